/*
 * linear.c - the linear layer.  A16: it is a 1x1 convolution on a 1x1 map, so it calls that.  Its
 * outputs and their gradients are floats, no tensors, under bf16 too; A31 rounds what it takes.
 */
#include "ref/ref.h"

#include "base/real.h"

static struct rn_conv_shape as_conv(const struct rn_linear_shape *s)
{
    return (struct rn_conv_shape){ .N = s->N, .C = s->C, .H = 1, .W = 1, .K = s->K, .R = 1, .S = 1,
                                   .P = 1, .Q = 1, .stride = 1, .pad = 0, .groups = 1 };
}

size_t rn_ref_linear_workspace(void *dev, const struct rn_linear_shape *s)
{
    struct rn_conv_shape conv = as_conv(s);
    return rn_ref_conv2d_workspace(dev, &conv);
}

/* A16 by A13: y = F(acc + b). */
void rn_ref_linear_forward(void *dev, float *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_linear_shape *s, void *workspace)
{
    struct rn_conv_shape conv = as_conv(s);
    (void)workspace;
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < s->K; k++) {
            float acc = rn_ref_output(dev, src, packed, &conv, n, k, 0, 0);
            if (bias) acc = acc + bias[k];
            dst[(size_t)n * (size_t)s->K + (size_t)k] = rn_store(acc);
        }
}

/* A16 by A14. */
void rn_ref_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                 const struct rn_linear_shape *s, void *workspace)
{
    struct rn_conv_shape conv = as_conv(s);
    rn_ref_conv2d_backward_data(dev, dsrc, ddst, weights, NULL, &conv, workspace);
}

/* A16 by A15; c(1) = 8 images a leaf. */
void rn_ref_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const float *ddst, const struct rn_linear_shape *s,
                                    void *workspace)
{
    struct rn_conv_shape conv = as_conv(s);
    rn_ref_conv2d_backward_weights(dev, dweights, dbias, src, ddst, &conv, workspace);
}
