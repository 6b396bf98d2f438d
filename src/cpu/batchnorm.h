/* batchnorm.h - the slots of batchnorm.c, and what conv2d_bn needs of it. */
#ifndef RN_BATCHNORM_H
#define RN_BATCHNORM_H

#include "cpu/cpu.h"

/* A17, running statistics: y = F(fma(x, a, b)). */
void rn_bn_eval_coefficients(float *a, float *b, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var,
                             const struct rn_bn_shape *s);

size_t rn_cpu_batchnorm_workspace(void *dev, const struct rn_bn_shape *s);
void rn_cpu_batchnorm_forward_train(void *dev, float *dst, double *saved, const float *src,
                                    const float *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace);
void rn_cpu_batchnorm_forward_eval(void *dev, float *dst, const float *src, const float *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s);
void rn_cpu_batchnorm_running(void *dev, float *running_mean, float *running_var,
                              const double *saved, const struct rn_bn_shape *s);
void rn_cpu_batchnorm_backward(void *dev, float *dsrc, float *dadd, float *dgamma, float *dbeta,
                               const float *ddst, const float *dst, const float *src,
                               const double *saved, const float *gamma, const struct rn_bn_shape *s,
                               void *workspace);
void rn_cpu_batchnorm_backward_eval(void *dev, float *dsrc, float *dadd, float *dgamma,
                                    float *dbeta,
                                    const float *ddst, const float *dst, const float *src,
                                    const float *running_mean, const float *running_var,
                                    const float *gamma, const struct rn_bn_shape *s,
                                    void *workspace);

#endif /* RN_BATCHNORM_H */
