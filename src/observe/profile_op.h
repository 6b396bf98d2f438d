/*
 * profile_op.h - a call of the op table as the profiler sees it: which op, of what shape, and from these alone what
 * it computes and moves.
 *
 * FLOPs are exact counts of the textbook's formulas, whatever a fast path does instead: two for each
 * multiply-accumulate, padding included, one for each other operation on a float (compare, exp, root).  Bytes are
 * those that cannot be avoided: every operand once.  docs/profiling.md has the list.
 */
#ifndef RN_PROFILE_OP_H
#define RN_PROFILE_OP_H

#include "base/text.h"

enum rn_op_kind {
    RN_OP_NONE, /* not of the op table */
    RN_OP_CONV, RN_OP_CONV_DATA, RN_OP_CONV_WEIGHTS, RN_OP_CONV_BN, RN_OP_CONV_BN_TRAIN, RN_OP_CONV_BIAS,
    RN_OP_PACK, RN_OP_PACK_BACK, RN_OP_UNPACK, RN_OP_FOLD,
    RN_OP_LINEAR, RN_OP_LINEAR_DATA, RN_OP_LINEAR_WEIGHTS,
    RN_OP_BN_TRAIN, RN_OP_BN_EVAL, RN_OP_BN_APPLY, RN_OP_BN_RUNNING, RN_OP_BN_BACK, RN_OP_BN_BACK_EVAL,
    RN_OP_RELU, RN_OP_RELU_BACK, RN_OP_ADD, RN_OP_TENSOR_FINITE,
    RN_OP_MAXPOOL, RN_OP_MAXPOOL_BACK, RN_OP_AVGPOOL, RN_OP_AVGPOOL_BACK, RN_OP_MEAN, RN_OP_MEAN_BACK,
    RN_OP_RESIZE, RN_OP_RESIZE_BACK, RN_OP_LOSS, RN_OP_ACCUMULATE, RN_OP_FINITE, RN_OP_SGD, RN_OP_ADAMW,
    RN_OP_MULTIPLY, RN_OP_AVERAGE, /* what an update without a rate does: times its momentum, follows its gradients */
    RN_OP_TENSOR_SET, RN_OP_TENSOR_GET, RN_OP_IMAGES, RN_OP_WRITE, RN_OP_READ, RN_OP_COPY, RN_OP_SYNC,
    RN_OP_KINDS
};

enum rn_family {
    RN_FAMILY_OTHER, RN_FAMILY_CONVOLUTION, RN_FAMILY_NORM, RN_FAMILY_LINEAR, RN_FAMILY_ELEMENTWISE, RN_FAMILY_POOLING,
    RN_FAMILY_LOSS, RN_FAMILY_OPTIMIZER, RN_FAMILY_COPY, RN_FAMILY_CHECK, RN_FAMILY_DATA, RN_FAMILIES
};

/* No padding: ops are compared by their bytes. */
struct rn_op {
    int kind;                /* enum rn_op_kind */
    int element;             /* bytes of a tensor's element */
    int post;                /* enum rn_post of a batch norm */
    int extra;               /* an addend, a bias, Nesterov's momentum, a gradient of the loss */
    int N, C, H, W, K, R, S, P, Q, stride, pad, groups;
    int64_t count;           /* elements, or bytes of a copy */
};

struct rn_cost { int64_t flops, bytes, written; }; /* written: of the bytes, those of its outputs */

struct rn_cost rn_op_cost(const struct rn_op *op);
/* ATen's name for it, and for what stands in one call here with a + between: aten::native_batch_norm+relu. */
const char *rn_op_name(const struct rn_op *op);
/* The call that a profile of PyTorch would show around it (aten::convolution_backward), or NULL. */
const char *rn_op_group(const struct rn_op *op);
enum rn_family rn_op_family(const struct rn_op *op);
bool rn_op_backward(const struct rn_op *op);
const char *rn_family_name(enum rn_family family);
/* Shapes of its inputs as PyTorch lists them: [[32, 64, 8, 8], [64, 64, 3, 3]].  Nothing for RN_OP_NONE. */
void rn_op_shapes(struct rn_text *t, const struct rn_op *op);

#endif /* RN_PROFILE_OP_H */
