/*
 * memory.h - where the bytes of a net go, from its plans on one backend; and what the seed of this project called
 * memory.
 */
#ifndef RN_ANALYZE_MEMORY_H
#define RN_ANALYZE_MEMORY_H

#include "analyze/trace.h"

/* What a plan's buffers hold.  Those of a step alone are its packed weights and its workspace. */
struct rn_plan_bytes {
    size_t values, gradients, indices, packed, work; /* every buffer once, none shared */
    size_t work_most; /* the largest workspace of a step */
    size_t live;  /* the most that values, gradients and indices together need at one step */
    size_t block; /* what the plan takes, all buffers placed, those sharing that may */
    int steps;    /* of the plan */
};

struct rn_memory {
    size_t element;                            /* bytes of a value of a tensor: 4, or 2 of bf16 */
    /* of the net */
    size_t weights, buffers, counters;         /* float32; int64 counters */
    size_t input, activations;                 /* tensors: the images, and every operation's output once; the last
                                                  one's, the logits, are floats */
    /* of an evaluation and of a training step of as many images as the config says */
    struct rn_plan_bytes inference, training;
    size_t packed;                             /* all weights in the form that evaluations read */
    size_t gradients, statistics;              /* of a training net */
    size_t sgd, adamw;                         /* optimiser state beside the net */
    size_t arena_inference, arena_training;    /* the one block that a net takes, all of it together */
    size_t arena_folded;
};

/* Of an operation's output of one image, where a value of a tensor has `element` bytes. */
size_t rn_output_bytes(const struct rn_op *op, size_t element);

/* Of an inference-only net and a training net with batches of `batch` images. */
rn_status rn_memory_of(struct rn_memory *m, const struct rn_trace *t, const struct rn_net_config *config, int batch,
                       const struct rn_ops *ops, void *dev);

#endif /* RN_ANALYZE_MEMORY_H */
