/* profile_shapes.h - a slot's shape as the op that the profiler counts; element: bytes of a tensor's element.  Included
 * by profile_ops.c only. */
#ifndef RN_PROFILE_SHAPES_H
#define RN_PROFILE_SHAPES_H

#include "observe/profile.h"

static inline struct rn_op conv_op(int element, enum rn_op_kind kind, const struct rn_conv_shape *s, int extra)
{
    return (struct rn_op){ .kind = (int)kind, .element = element, .extra = extra, .N = s->N, .C = s->C, .H = s->H,
                           .W = s->W, .K = s->K, .R = s->R, .S = s->S, .P = s->P, .Q = s->Q, .stride = s->stride,
                           .pad = s->pad, .groups = s->groups };
}

static inline struct rn_op fused_op(int element, enum rn_op_kind kind, const struct rn_conv_shape *s,
                                    enum rn_post post)
{
    struct rn_op op = conv_op(element, kind, s, 0);
    op.post = (int)post;
    return op;
}

static inline struct rn_op linear_op(int element, enum rn_op_kind kind, const struct rn_linear_shape *s)
{
    return (struct rn_op){ .kind = (int)kind, .element = element, .N = s->N, .C = s->C, .K = s->K };
}

static inline struct rn_op norm_op(int element, enum rn_op_kind kind, const struct rn_bn_shape *s)
{
    return (struct rn_op){ .kind = (int)kind, .element = element, .post = (int)s->post, .N = s->N, .C = s->C,
                           .H = s->H, .W = s->W };
}

static inline struct rn_op pool_op(int element, enum rn_op_kind kind, const struct rn_pool_shape *s)
{
    const bool mean = kind == RN_OP_MEAN || kind == RN_OP_MEAN_BACK;
    return (struct rn_op){ .kind = (int)kind, .element = element, .N = s->N, .C = s->C, .H = s->H, .W = s->W,
                           .R = mean ? s->H : s->R, .S = mean ? s->W : s->S, .P = mean ? 1 : s->P,
                           .Q = mean ? 1 : s->Q, .stride = s->stride, .pad = s->pad };
}

static inline struct rn_op resize_op(int element, enum rn_op_kind kind, const struct rn_resize_shape *s)
{
    return (struct rn_op){ .kind = (int)kind, .element = element, .N = s->N, .C = s->C, .H = s->H, .W = s->W,
                           .P = s->P, .Q = s->Q };
}

static inline struct rn_op flat_op(int element, enum rn_op_kind kind, size_t count)
{
    return (struct rn_op){ .kind = (int)kind, .element = element, .count = (int64_t)count };
}

static inline struct rn_op tensor_op(int element, enum rn_op_kind kind, int N, int C, int H, int W)
{
    return (struct rn_op){ .kind = (int)kind, .element = element, .N = N, .C = C, .H = H, .W = W };
}

#endif /* RN_PROFILE_SHAPES_H */
