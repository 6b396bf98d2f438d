/*
 * fused.c - slots that join several layers, and batch norm folded into a convolution (A22).
 *
 * The composition is the specification, so they compose.
 */
#include "ref/ref.h"

#include "base/real.h"

#include <math.h>

void rn_ref_conv2d_bias(void *dev, void *dst, const void *src, const void *packed,
                        const float *bias, const void *add, enum rn_post post,
                        const struct rn_conv_shape *s, void *workspace)
{
    size_t count = (size_t)s->N * (size_t)s->K * (size_t)s->P * (size_t)s->Q;
    rn_ref_conv2d_forward(dev, dst, src, packed, bias, s, workspace);
    if (post == RN_POST_ADD_RELU) rn_ref_add(dev, dst, dst, add, count);
    if (post != RN_POST_NONE) rn_ref_relu_forward(dev, dst, dst, count);
}

void rn_ref_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace)
{
    rn_ref_conv2d_forward(dev, dst, src, packed, NULL, s, workspace);
    rn_ref_batchnorm_forward_eval(dev, dst, dst, add, gamma, beta, running_mean, running_var, bn);
}

void rn_ref_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                            const void *packed, const void *add, const float *gamma,
                            const float *beta, const struct rn_conv_shape *s,
                            const struct rn_bn_shape *bn, void *workspace)
{
    rn_ref_conv2d_forward(dev, x, src, packed, NULL, s, workspace);
    rn_ref_batchnorm_forward_train(dev, dst, saved, x, add, gamma, beta, bn, workspace);
}

/* A22: t as in A17 from the running statistics, w' = F(f32(w t)), b' = F(f32(beta - m t)). */
void rn_ref_conv2d_fold(void *dev, float *folded, float *bias, const float *weights,
                        const float *gamma, const float *beta, const float *running_mean,
                        const float *running_var, const struct rn_conv_shape *s,
                        const struct rn_bn_shape *bn)
{
    size_t each = (size_t)(s->C / s->groups) * (size_t)(s->R * s->S);
    (void)dev;
    for (int k = 0; k < s->K; k++) {
        double r = 1 / sqrt((double)running_var[k] + bn->eps), t = gamma[k] * r;
        for (size_t i = (size_t)k * each; i < (size_t)(k + 1) * each; i++)
            folded[i] = rn_store((float)(weights[i] * t));
        bias[k] = rn_store((float)(beta[k] - running_mean[k] * t));
    }
}
