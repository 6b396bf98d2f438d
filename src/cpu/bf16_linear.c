/*
 * bf16_linear.c - the linear layer under bf16 (A16, A32): a 1x1 convolution on 1x1 maps.
 *
 * The logits and their gradient are floats.  For the two gradients that are matrix products the latter is
 * rounded to bf16 first, at the start of the workspace; the bias gradient is that of fp32.
 */
#include "cpu/bf16_conv.h"

/* The parts of the workspace; with base NULL only their bytes. */
struct space { rn_bf16 *ddst; void *packed, *conv; size_t bytes; };

static struct rn_conv_shape as_conv(const struct rn_linear_shape *s)
{
    return (struct rn_conv_shape){ .N = s->N, .C = s->C, .H = 1, .W = 1, .K = s->K, .R = 1, .S = 1,
                                   .P = 1, .Q = 1, .stride = 1, .groups = 1 };
}

static struct space carve(void *dev, const struct rn_conv_shape *s, void *base)
{
    struct rn_carve w = { base, 0 };
    struct space v;
    v.ddst = rn_carve(&w, (size_t)s->N * (size_t)s->K * sizeof(rn_bf16));
    v.packed = rn_carve(&w, rn_bf16_conv2d_packed_bytes(dev, s, RN_PASS_BACKWARD_DATA));
    v.conv = rn_carve(&w, rn_bf16_conv2d_workspace(dev, s));
    v.bytes = w.used;
    return v;
}

size_t rn_bf16_linear_workspace(void *dev, const struct rn_linear_shape *s)
{
    struct rn_conv_shape c = as_conv(s);
    return carve(dev, &c, NULL).bytes;
}

void rn_bf16_linear_forward(void *dev, float *dst, const void *src, const void *packed,
                            const float *bias, const struct rn_linear_shape *s, void *workspace)
{
    struct rn_conv_shape c = as_conv(s);
    rn_bf16_conv_floats(dev, dst, src, packed, bias, &c, workspace);
}

static void round_gradient(const struct rn_cpu *cpu, rn_bf16 *to, const float *ddst,
                           const struct rn_linear_shape *s)
{
    cpu->tensor->from_floats(to, ddst, (size_t)s->N * (size_t)s->K);
}

void rn_bf16_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                  const struct rn_linear_shape *s, void *workspace)
{
    struct rn_conv_shape c = as_conv(s);
    struct space v = carve(dev, &c, workspace);
    round_gradient(dev, v.ddst, ddst, s);
    rn_bf16_conv2d_pack(dev, v.packed, weights, &c, RN_PASS_BACKWARD_DATA);
    rn_bf16_conv2d_backward_data(dev, dsrc, v.ddst, v.packed, NULL, &c, v.conv);
}

void rn_bf16_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                     const float *ddst, const struct rn_linear_shape *s,
                                     void *workspace)
{
    struct rn_conv_shape c = as_conv(s);
    struct space v = carve(dev, &c, workspace);
    round_gradient(dev, v.ddst, ddst, s);
    rn_bf16_conv2d_backward_weights(dev, dweights, NULL, src, v.ddst, &c, v.conv);
    if (dbias) rn_conv_bias_gradient(dev, dbias, ddst, &c);
}
