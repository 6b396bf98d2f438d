/* linear.c - the linear layer as a 1x1 convolution on 1x1 maps (A16); its data
 * gradient packs the weights at each call. */
#include "cpu/conv.h"
#include "cpu/slots.h"

static struct rn_conv_shape as_conv(const struct rn_linear_shape *s)
{
    return (struct rn_conv_shape){ .N = s->N, .C = s->C, .H = 1, .W = 1, .K = s->K, .R = 1, .S = 1,
                                   .P = 1, .Q = 1, .stride = 1, .groups = 1 };
}

/* The weights packed for the gradient come first in the workspace. */
static size_t packed_bytes(void *dev, const struct rn_conv_shape *s)
{
    return rn_round_up(rn_cpu_conv2d_packed_bytes(dev, s, RN_PASS_BACKWARD_DATA), 64);
}

size_t rn_cpu_linear_workspace(void *dev, const struct rn_linear_shape *s)
{
    struct rn_conv_shape c = as_conv(s);
    return packed_bytes(dev, &c) + rn_cpu_conv2d_workspace(dev, &c);
}

void rn_cpu_linear_forward(void *dev, float *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_linear_shape *s, void *workspace)
{
    struct rn_conv_shape c = as_conv(s);
    rn_cpu_conv2d_forward(dev, dst, src, packed, bias, &c, workspace);
}

void rn_cpu_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                 const struct rn_linear_shape *s, void *workspace)
{
    struct rn_conv_shape c = as_conv(s);
    rn_cpu_conv2d_pack(dev, workspace, weights, &c, RN_PASS_BACKWARD_DATA);
    rn_cpu_conv2d_backward_data(dev, dsrc, ddst, workspace, NULL, &c,
                                (char *)workspace + packed_bytes(dev, &c));
}

void rn_cpu_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const float *ddst, const struct rn_linear_shape *s,
                                    void *workspace)
{
    struct rn_conv_shape c = as_conv(s);
    rn_cpu_conv2d_backward_weights(dev, dweights, dbias, src, ddst, &c, workspace);
}
