/*
 * plan.h - a pass of a net written out: the steps in the order in which they run, and where in one
 * block of memory each buffer lies that they read and write.  Internal to src/net and src/analyze.
 *
 * exec.c runs a plan step by step and knows nothing of lifetimes; steps.c writes the steps and knows
 * nothing of addresses; plan.c finds the lifetimes by looking at the steps, so a buffer cannot be
 * forgotten or kept too short, whatever is recomputed.
 */
#ifndef RN_PLAN_H
#define RN_PLAN_H

#include "net/graph.h"

#define RN_NONE (-1) /* no buffer */

enum rn_step_kind {
    /* forward                 writes      reads */
    RN_STEP_INPUT,          /* out         the images */
    RN_STEP_RESIZE,         /* out         in */
    RN_STEP_CONV_BN,        /* out, x      in, add: a convolution, its batch norm, and what follows;
                                           x, its output in between, only when training */
    RN_STEP_CONV,           /* x           in: the convolution alone */
    RN_STEP_APPLY,          /* out         x, add: the batch norm again, from its statistics */
    RN_STEP_MAXPOOL,        /* out, index  in */
    RN_STEP_AVGPOOL,        /* out         in */
    RN_STEP_LINEAR,         /* out         in */
    RN_STEP_LOSS,           /* dout        in: the logits; rn_net_loss does it */
    /* backward: dout is the gradient of the node's output, din that of its source's */
    RN_STEP_LINEAR_BACK,    /* din         dout, in; and the gradients of the parameters.  No din: none is
                                           wanted; no in: the parameters are frozen */
    RN_STEP_AVGPOOL_BACK,   /* din         dout */
    RN_STEP_MAXPOOL_BACK,   /* din         dout, index */
    RN_STEP_BN_BACK,        /* din, dadd   dout, x, out (with an addition, or freeze_bn and a ReLU) */
    RN_STEP_CONV_WEIGHTS,   /*             dout, in */
    RN_STEP_CONV_DATA       /* din         dout, and din where `sum` */
};

/* One step on one node; the steps of a batch norm that also run its convolution name the batch norm.
 * Buffers are numbers into rn_plan.buffer, or RN_NONE. */
struct rn_plan_step {
    enum rn_step_kind kind;
    int node;
    bool sum;                    /* din holds another consumer's gradient already: add to it */
    int out, x, in, add, index;
    int dout, din, dadd;
    int packed, work;            /* packed weights made for this step alone; workspace */
};
#define RN_STEP_BUFFERS 10

/* The numbers of a step's buffers, one after the other. */
void rn_plan_step_buffers(int number[RN_STEP_BUFFERS], const struct rn_plan_step *s);

struct rn_plan_buffer {
    size_t bytes, at;            /* at: offset within the block */
    int first, last;             /* the steps that use it; nobody else writes there between the two */
};

struct rn_plan {
    struct rn_plan_step *step;
    struct rn_plan_buffer *buffer;
    int steps, step_capacity;
    int buffers, buffer_capacity;
    int loss;                    /* training: its steps before this one are the forward pass */
    int logits;                  /* the buffer of the last node's output; it lives to the end */
    size_t bytes;                /* of the block */
};

/* What a plan is made for; `batch` images at most. */
struct rn_plan_for {
    const struct rn_graph *graph;
    const struct rn_ops *ops;
    void *dev;
    int batch;
    bool checkpoint;             /* training: keep the inputs of blocks only */
    bool freeze_bn;              /* training: BN_BACK needs the output for every ReLU */
};

/* Training: what is kept for the backward pass and what is recomputed there, see steps.c.
 * Evaluation: no step has packed weights of its own.  RN_ENOMEM. */
rn_status rn_plan_training(struct rn_plan *p, const struct rn_plan_for *want);
rn_status rn_plan_evaluation(struct rn_plan *p, const struct rn_plan_for *want);
void rn_plan_free(struct rn_plan *p);

/* For steps.c: an empty plan with room for so many; the place of the next step; a new buffer; and the
 * last word, after all steps are there: lifetimes and addresses. */
rn_status rn_plan_begin(struct rn_plan *p, int steps, int buffers);
struct rn_plan_step *rn_plan_add_step(struct rn_plan *p, enum rn_step_kind kind, int node);
int rn_plan_add_buffer(struct rn_plan *p, size_t bytes);
rn_status rn_plan_place(struct rn_plan *p);

/* Bytes rounded up to the arena's alignment. */
size_t rn_plan_align(size_t bytes);

#endif /* RN_PLAN_H */
