/* memory.h - what a net's memory is for, and how much of it is in use when. */
#ifndef RN_NET_MEMORY_H
#define RN_NET_MEMORY_H

#include "net/net.h"

/* What is alive while one step of a pass runs; bytes. */
struct rn_memory_point {
    const char *layer;    /* the net's; of the node that the step is on */
    bool backward;
    size_t activations, gradients, workspace; /* gradients: of activations */
};

struct rn_net_memory {
    size_t weights;       /* trainable, and running statistics */
    size_t gradients;     /* of the parameters */
    size_t packed;        /* weights in the form of inference, where they have a place of their own */
    size_t statistics;    /* of a batch, loss, labels, logits, pixels, and room on the host for one parameter */
    size_t block;         /* for what is alive during a pass: peak, and gaps between it */
    size_t idle;          /* training: what only an evaluation in between uses */
    size_t arena;         /* all of these but the room on the host */
    struct rn_memory_point *point; /* step by step, [points]; rn_alloc'ed */
    int points, peak;     /* peak: the step that has most alive */
};

/* Of training, or of inference with as many images as it takes at a time.  RN_ENOMEM. */
rn_status rn_net_memory(struct rn_net_memory *m, const struct rn_net *net, bool training);
void rn_net_memory_free(struct rn_net_memory *m);

#endif /* RN_NET_MEMORY_H */
