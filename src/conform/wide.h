/*
 * wide.h - every differentiable op once more, forward only, in double: the function whose slopes
 * the gradient checks measure.  Dense NCHW, plain loops, shared with neither ref/ nor src/cpu;
 * where a formula can be written in another way than the rules write it, it is.
 *
 * An op with kinks returns its margin: how far its arguments stay away from the nearest kink (ReLU:
 * the smallest |x|; max-pooling: the smallest lead of a window's largest value, windows of zeros
 * left by a ReLU apart).  Slopes are only measured where the margin is wide.
 */
#ifndef RN_WIDE_H
#define RN_WIDE_H

#include "base/base.h"

void rn_wide_conv2d(double *dst, const double *src, const double *weights, const double *bias,
                    const struct rn_conv_shape *s);
/* Batch norm with running statistics folded into the weights before it: folded, bias. */
void rn_wide_fold(double *folded, double *bias, const double *weights, const double *gamma,
                  const double *beta, const double *mean, const double *var,
                  const struct rn_conv_shape *s, const struct rn_bn_shape *bn);
/* What follows a convolution with bias, in place. */
double rn_wide_finish(double *dst, const double *add, enum rn_post post, size_t count);
void rn_wide_linear(double *dst, const double *src, const double *weights, const double *bias,
                    const struct rn_linear_shape *s);
/* Statistics of the batch; saved[2*C] gets mean and biased variance, or may be NULL. */
double rn_wide_batchnorm_train(double *dst, double *saved, const double *src, const double *add,
                               const double *gamma, const double *beta,
                               const struct rn_bn_shape *s);
double rn_wide_batchnorm_eval(double *dst, const double *src, const double *add,
                              const double *gamma, const double *beta, const double *mean,
                              const double *var, const struct rn_bn_shape *s);
double rn_wide_relu(double *dst, const double *src, size_t count);
double rn_wide_maxpool(double *dst, const double *src, const struct rn_pool_shape *s);
void rn_wide_avgpool(double *dst, const double *src, const struct rn_pool_shape *s);
void rn_wide_global_avgpool(double *dst, const double *src, const struct rn_pool_shape *s);
void rn_wide_resize(double *dst, const double *src, const struct rn_resize_shape *s);
void rn_wide_cross_entropy(double *loss, const double *logits, const int32_t *labels,
                           const struct rn_loss_shape *s);

#endif /* RN_WIDE_H */
