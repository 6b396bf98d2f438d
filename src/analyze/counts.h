/*
 * counts.h - multiply-accumulates and float operations of a net, exact integers, under one stated rule an
 * operation and pass.  For one image; a batch of N takes N times as many, except the optimiser's.
 *
 *   what                 forward                    data gradient            weight gradient
 *   conv2d, linear       2 a MAC, and a MAC for every tap, those in the padding too;
 *                        the same number in each pass; no data gradient for what reads the images
 *   bias (of linear)     1 an output                -                        1 an output
 *   batch_norm2d         2 an element: scale, shift 4: a dy + b x + c        5: dbeta 1, dgamma 4
 *     in training        6: mean 1, variance 3, 2
 *   relu                 1: a comparison            1: a choice              -
 *   add                  1                          1 where a tensor is read twice: the two gradients' sum
 *   max_pool2d           R S - 1 comparisons        1 an output: a sum       -
 *   adaptive_avg_pool2d  H W an output: H W - 1     1 an output: a product   -
 *                        sums and a product
 *   resize               11 an output: 3 blends of 3, and 2 for the weights  no gradient is wanted
 *   softmax              with the loss, training only: 4 a class (greatest, difference, exp, sum) and 2
 *                        (logarithm, difference); gradient 2 a class
 *
 * What is done once a channel, not once an element (square roots, running statistics), is not counted.
 * Optimiser, a parameter: SGD 6 (decay 2, momentum 2, step 2), AdamW 15 (decay 1, moments 3 and 4, step 7).
 */
#ifndef RN_COUNTS_H
#define RN_COUNTS_H

#include "analyze/trace.h"

enum rn_work { RN_WORK_INFERENCE, RN_WORK_FORWARD, RN_WORK_DATA, RN_WORK_WEIGHTS, RN_WORKS };
const char *rn_work_name(enum rn_work work); /* "inference", "forward", "data_gradient", "weight_gradient" */

#define RN_SGD_FLOPS 6
#define RN_ADAMW_FLOPS 15

/* Of one operation, its bias left out. */
int64_t rn_op_macs(const struct rn_trace *t, const struct rn_op *op, enum rn_work work);
int64_t rn_op_flops(const struct rn_trace *t, const struct rn_op *op, enum rn_work work);
/* Additions of the bias; and with them. */
int64_t rn_op_bias_flops(const struct rn_op *op, enum rn_work work);
int64_t rn_op_all_flops(const struct rn_trace *t, const struct rn_op *op, enum rn_work work);

/* Sums over a net.  flops[k]: of operations of kind k; bias apart; conv_linear: convolutions and the linear
 * layer, 2 a MAC. */
struct rn_work_counts { int64_t macs, conv_linear, flops[RN_OP_KINDS], bias, all; };
struct rn_counts {
    struct rn_work_counts work[RN_WORKS];
    int64_t parameters, buffers;
    int of_kind[RN_OP_KINDS];
};
void rn_count(struct rn_counts *c, const struct rn_trace *t);

#endif /* RN_COUNTS_H */
