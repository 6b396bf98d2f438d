/* net_private.h - what a net consists of.  Internal to src/net. */
#ifndef RN_NET_PRIVATE_H
#define RN_NET_PRIVATE_H

#include "net/plan.h"

#define RN_NOWHERE SIZE_MAX

/* The arena, in this order; offsets in bytes. */
struct rn_layout {
    size_t weights, gradients, buffers;
    size_t saved;      /* batch statistics, 2*C doubles a batch norm (training) */
    size_t loss, labels, verdict;
    size_t packed;     /* evaluation: packed weights of all layers, and folded biases; they lie in the
                          block of a training net, behind the evaluation's buffers */
    size_t block;      /* activations and their gradients, and all that is needed for a step only: the
                          larger of the two plans; scratch between the passes */
    size_t logits;     /* of an evaluation: one tensor after the other, `logits_bytes` each */
    size_t pixels, moves; /* of images that come as bytes */
    size_t bytes;
    size_t logits_bytes, packed_bytes;
};

struct rn_net {
    struct rn_net_config config;
    const struct rn_ops *ops;
    void *dev;
    struct rn_graph graph;
    struct rn_plan training, evaluation;
    const struct rn_plan *plan; /* of the pass that runs, or ran last */
    struct rn_layout at;
    unsigned char *arena;   /* device memory */
    size_t arena_bytes;
    float *staging;         /* host: room for the largest parameter */
    int64_t *batches;       /* host: num_batches_tracked */
    size_t *place;          /* by row of the state dict: byte offset in the arena; RN_NOWHERE: only the
                               packed form is there */
    size_t *saved;          /* by batch norm: byte offset within `saved` */
    size_t *packed, *bias;  /* by node: byte offset within `packed` */
    int part;               /* images an evaluation takes at a time */
    int most_part;          /* at the size that the arena is for: a smaller one has no room for more */
    bool packed_valid;      /* the packed forms are those of the weights */
    int images;             /* of the last forward pass, training or evaluation */
    struct rn_image_shape bytes; /* of its images, where they came as bytes; else N is 0 */
    int n;                  /* images of the pass that runs: of its present part when evaluating */
};

/* net.c: the shape of node i's convolution, or of fc as one; C is 0 for other nodes. */
struct rn_conv_shape rn_net_conv_shape(const struct rn_net *net, int i);
/* What a pass is over: images as floats or, where net->bytes says so, as bytes; both NULL: those of the last pass,
 * whose bytes are on the device. */
struct rn_net_pass { struct rn_net *net; const float *floats; const struct rn_images *bytes; };

/* exec.c: where a buffer of the plan is, NULL for RN_NONE; n images from number `first` on into the buffer of the
 * plan's first step; one step of it. */
void *rn_net_buffer_at(const struct rn_net *net, int buffer);
void rn_net_begin_pass(const struct rn_net_pass *pass, int first, int n);
void rn_net_run_step(struct rn_net *net, const struct rn_plan_step *step);
/* params.c: row k of a node's parameters. */
float *rn_net_param(const struct rn_net *net, const struct rn_node *node, int k);
/* params.c: packs all weights for evaluation, folded if the config says so, unless they are. */
void rn_net_pack(struct rn_net *net);

#endif /* RN_NET_PRIVATE_H */
