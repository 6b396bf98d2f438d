/*
 * linear.cu - the linear layer as a 1x1 convolution on 1x1 maps (A16).  Logits and their gradient, dense floats
 * [N][K], are such a map too; the data gradient packs the weights at each call.
 */
#include "cuda/conv.h"

static struct rn_conv_shape as_conv(const struct rn_linear_shape *s)
{
    struct rn_conv_shape c = {};
    c.N = s->N, c.C = s->C, c.K = s->K;
    c.H = c.W = c.R = c.S = c.P = c.Q = c.stride = c.groups = 1;
    return c;
}

size_t rn_cuda_linear_workspace(void *dev, const struct rn_linear_shape *s)
{
    const struct rn_conv_shape c = as_conv(s);
    const size_t packed = rn_cuda_conv2d_packed_bytes(dev, &c, RN_PASS_BACKWARD_DATA);
    const size_t weights = rn_cuda_conv2d_workspace(dev, &c);
    return packed > weights ? packed : weights;
}

void rn_cuda_linear_forward(void *dev, float *dst, const void *src, const void *packed, const float *bias,
                            const struct rn_linear_shape *s, void *workspace)
{
    const struct rn_conv_shape c = as_conv(s);
    rn_cuda_conv2d_forward(dev, dst, src, packed, bias, &c, workspace);
}

void rn_cuda_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                  const struct rn_linear_shape *s, void *workspace)
{
    const struct rn_conv_shape c = as_conv(s);
    rn_cuda_conv2d_pack(dev, workspace, weights, &c, RN_PASS_BACKWARD_DATA);
    rn_cuda_conv2d_backward_data(dev, dsrc, ddst, workspace, nullptr, &c, nullptr);
}

void rn_cuda_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src, const float *ddst,
                                     const struct rn_linear_shape *s, void *workspace)
{
    const struct rn_conv_shape c = as_conv(s);
    rn_cuda_conv2d_backward_weights(dev, dweights, dbias, src, ddst, &c, workspace);
}
