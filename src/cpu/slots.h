/* slots.h - the slots of the CPU table outside convolution and batch norm; contracts stand in
 * include/resnet_backend.h. */
#ifndef RN_CPU_SLOTS_H
#define RN_CPU_SLOTS_H

#include "cpu/cpu.h"

size_t rn_cpu_linear_workspace(void *dev, const struct rn_linear_shape *s);
void rn_cpu_linear_forward(void *dev, float *dst, const float *src, const float *weights,
                           const float *bias, const struct rn_linear_shape *s, void *workspace);
void rn_cpu_linear_backward_data(void *dev, float *dsrc, const float *ddst, const float *weights,
                                 const struct rn_linear_shape *s, void *workspace);
void rn_cpu_linear_backward_weights(void *dev, float *dweights, float *dbias, const float *src,
                                    const float *ddst, const struct rn_linear_shape *s,
                                    void *workspace);

void rn_cpu_relu_forward(void *dev, float *dst, const float *src, size_t count);
void rn_cpu_relu_backward(void *dev, float *dsrc, const float *ddst, const float *dst,
                          size_t count);
void rn_cpu_add(void *dev, float *dst, const float *a, const float *b, size_t count);
void rn_cpu_accumulate(void *dev, float *dst, const float *src, size_t count);
int rn_cpu_finite(void *dev, const float *src, size_t count);

void rn_cpu_maxpool_forward(void *dev, float *dst, uint8_t *index, const float *src,
                            const struct rn_pool_shape *s);
void rn_cpu_maxpool_backward(void *dev, float *dsrc, const float *ddst, const uint8_t *index,
                             const struct rn_pool_shape *s);
void rn_cpu_avgpool_forward(void *dev, float *dst, const float *src, const struct rn_pool_shape *s);
void rn_cpu_avgpool_backward(void *dev, float *dsrc, const float *ddst,
                             const struct rn_pool_shape *s);
void rn_cpu_global_avgpool_forward(void *dev, float *dst, const float *src,
                                   const struct rn_pool_shape *s);
void rn_cpu_global_avgpool_backward(void *dev, float *dsrc, const float *ddst,
                                    const struct rn_pool_shape *s);

void rn_cpu_resize_forward(void *dev, float *dst, const float *src,
                           const struct rn_resize_shape *s);
void rn_cpu_resize_backward(void *dev, float *dsrc, const float *ddst,
                            const struct rn_resize_shape *s);

void rn_cpu_softmax_cross_entropy(void *dev, double *loss, float *dlogits, const float *logits,
                                  const int32_t *labels, const struct rn_loss_shape *s);

void rn_cpu_sgd_update(void *dev, float *weights, float *velocity, const float *gradient,
                       size_t count, const struct rn_sgd *hp);
void rn_cpu_adamw_update(void *dev, float *weights, float *first, float *second,
                         const float *gradient, size_t count, const struct rn_adamw *hp);

#endif /* RN_CPU_SLOTS_H */
