/* net_private.h - what a net consists of.  Internal to src/net. */
#ifndef RN_NET_PRIVATE_H
#define RN_NET_PRIVATE_H

#include "net/plan.h"

/* The arena, in this order; offsets in bytes. */
struct rn_layout {
    size_t weights, gradients, buffers;
    size_t saved;      /* batch statistics, 2*C doubles a batch norm (training) */
    size_t loss, labels;
    size_t block;      /* activations and their gradients: the larger of the two plans */
    size_t packed;     /* packed weights: one slot, or one a convolution when inference-only */
    size_t workspace;
    size_t bytes;
};

struct rn_net {
    struct rn_net_config config;
    const struct rn_ops *ops;
    void *dev;
    struct rn_graph graph;
    struct rn_plan training, evaluation;
    struct rn_layout at;
    unsigned char *arena;   /* device memory */
    float *staging;         /* host: room for the largest parameter */
    int64_t *batches;       /* host: num_batches_tracked */
    size_t *saved;          /* by batch norm: byte offset within `saved` */
    size_t *packed;         /* by node: byte offset within `packed` */
    bool packed_valid;      /* inference-only: packed forms are those of the weights */
    bool was_training;      /* of the last forward pass */
    int n;                  /* images of the last forward pass */
};

#endif /* RN_NET_PRIVATE_H */
