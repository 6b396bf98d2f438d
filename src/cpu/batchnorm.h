/* batchnorm.h - the slots of batchnorm.c, the sums of batchnorm_runs.c, and what convolutions need of
 * both. */
#ifndef RN_BATCHNORM_H
#define RN_BATCHNORM_H

#include "cpu/cpu.h"

/* A17, running statistics: y = F(fma(x, a, b)). */
void rn_bn_eval_coefficients(float *a, float *b, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var,
                             const struct rn_bn_shape *s);

/* How the positions of a batch are cut (A11, A17): `groups` groups of `length` positions, the last may
 * be short; each of `per_group` runs, of which again the last may be short.  s, q: what is summed
 * over each of all `count` runs, [count][padded]; padded is C rounded up to a multiple of RN_PAD. */
struct rn_bn_runs {
    int64_t positions, length, per_group, groups, count;
    size_t C, padded, bytes;
    double *s, *q;
};

/* The runs of a batch, their sums at the start of a workspace of batchnorm_workspace bytes, of which
 * they take `bytes`. */
struct rn_bn_runs rn_bn_runs(const struct rn_bn_shape *s, void *workspace);

/* Sums of all runs: of x and x x, or of g and g x where the mask lets g pass. */
void rn_bn_sums(const struct rn_cpu *cpu, const struct rn_bn_runs *r, const void *x);
void rn_bn_backward_sums(const struct rn_cpu *cpu, const struct rn_bn_runs *r, const void *g,
                         const void *x, const struct rn_bn_mask *mask);
/* The tree over runs and groups: leaves the sums of the batch in s[0 ... C-1] and q[0 ... C-1]. */
void rn_bn_tree(const struct rn_cpu *cpu, const struct rn_bn_runs *r);

size_t rn_cpu_batchnorm_workspace(void *dev, const struct rn_bn_shape *s);
void rn_cpu_batchnorm_forward_train(void *dev, void *dst, double *saved, const void *src,
                                    const void *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace);
void rn_cpu_batchnorm_forward_eval(void *dev, void *dst, const void *src, const void *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s);
void rn_cpu_batchnorm_apply(void *dev, void *dst, const void *src, const void *add,
                            const double *saved, const float *gamma, const float *beta,
                            const struct rn_bn_shape *s);
void rn_cpu_batchnorm_running(void *dev, float *running_mean, float *running_var, const double *saved,
                              const struct rn_bn_shape *s, const int32_t *given);
void rn_cpu_batchnorm_backward(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                               const void *ddst, const void *dst, const void *src,
                               const double *saved, const float *gamma, const float *beta,
                               const struct rn_bn_shape *s, void *workspace);
void rn_cpu_batchnorm_backward_eval(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                                    const void *ddst, const void *dst, const void *src,
                                    const float *running_mean, const float *running_var,
                                    const float *gamma, const struct rn_bn_shape *s,
                                    void *workspace);

void rn_cpu_conv2d_fold(void *dev, float *folded, float *bias, const float *weights,
                        const float *gamma, const float *beta, const float *running_mean,
                        const float *running_var, const struct rn_conv_shape *s,
                        const struct rn_bn_shape *bn);

#endif /* RN_BATCHNORM_H */
