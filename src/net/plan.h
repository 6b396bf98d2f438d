/*
 * plan.h - where every tensor of a pass lies: buffers with lifetimes, packed into one block so that what is
 * never alive together shares memory.  Internal to src/net.
 */
#ifndef RN_PLAN_H
#define RN_PLAN_H

#include "net/graph.h"

#define RN_NOWHERE SIZE_MAX

/* Byte offsets into the pass's block, one per node; RN_NOWHERE where a node has no such buffer. */
struct rn_plan {
    size_t *out;    /* the node's output */
    size_t *grad;   /* gradient of the node's output (training); aliases are made on purpose, see plan.c */
    size_t *index;  /* a max-pool's choices */
    size_t bytes;   /* of the block */
};

/* Training: outputs that the backward pass reads stay until it has.  Evaluation: a convolution and its
 * batch norm are one op, so the convolution has no output of its own. */
rn_status rn_plan_training(struct rn_plan *p, const struct rn_graph *g, int batch, const struct rn_ops *ops,
                           void *dev);
rn_status rn_plan_evaluation(struct rn_plan *p, const struct rn_graph *g, int batch,
                             const struct rn_ops *ops, void *dev);
void rn_plan_free(struct rn_plan *p);

/* Bytes rounded up to the arena's alignment. */
size_t rn_plan_align(size_t bytes);

#endif /* RN_PLAN_H */
