/* slots.h - the slots outside convolution and batch norm: those of both CPU tables, and some of fp32 alone;
 * contracts stand in include/resnet_backend.h. */
#ifndef RN_CPU_SLOTS_H
#define RN_CPU_SLOTS_H

#include "cpu/cpu.h"

rn_status rn_cpu_open(void **dev, const struct rn_device_options *options);
void rn_cpu_close(void *dev);
const char *rn_cpu_isa(void *dev);
rn_status rn_cpu_alloc(void *dev, void **mem, size_t bytes);
void rn_cpu_release(void *dev, void *mem);
void rn_cpu_write(void *dev, void *dst, const void *host, size_t bytes);
void rn_cpu_read(void *dev, void *host, const void *src, size_t bytes);
void rn_cpu_copy(void *dev, void *dst, const void *src, size_t bytes);
void rn_cpu_sync(void *dev);
void rn_cpu_run(void *dev, void (*pass)(void *arg), void *arg);
size_t rn_cpu_tensor_bytes(void *dev, int N, int C, int H, int W);
void rn_cpu_tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W);
void rn_cpu_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W);
void rn_cpu_images_forward(void *dev, void *dst, const uint8_t *src, const struct rn_image_move *move,
                           const struct rn_image_shape *s);

size_t rn_cpu_linear_workspace(void *dev, const struct rn_linear_shape *s);
void rn_cpu_linear_forward(void *dev, float *dst, const void *src, const void *weights,
                           const float *bias, const struct rn_linear_shape *s, void *workspace);
void rn_cpu_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                 const struct rn_linear_shape *s, void *workspace);
void rn_cpu_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const float *ddst, const struct rn_linear_shape *s,
                                    void *workspace);

void rn_cpu_relu_forward(void *dev, void *dst, const void *src, size_t count);
void rn_cpu_relu_backward(void *dev, void *dsrc, const void *ddst, const void *dst, size_t count);
void rn_cpu_add(void *dev, void *dst, const void *a, const void *b, size_t count);
void rn_cpu_accumulate(void *dev, float *dst, const float *src, size_t count);
void rn_cpu_tensor_finite(void *dev, int32_t *all, const void *src, size_t count);
void rn_cpu_finite(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given);

void rn_cpu_maxpool_forward(void *dev, void *dst, uint8_t *index, const void *src,
                            const struct rn_pool_shape *s);
void rn_cpu_maxpool_backward(void *dev, void *dsrc, const void *ddst, const uint8_t *index,
                             const struct rn_pool_shape *s);
void rn_cpu_avgpool_forward(void *dev, void *dst, const void *src, const struct rn_pool_shape *s);
void rn_cpu_avgpool_backward(void *dev, void *dsrc, const void *ddst, const struct rn_pool_shape *s);
void rn_cpu_global_avgpool_forward(void *dev, void *dst, const void *src,
                                   const struct rn_pool_shape *s);
void rn_cpu_global_avgpool_backward(void *dev, void *dsrc, const void *ddst,
                                    const struct rn_pool_shape *s);

void rn_cpu_resize_forward(void *dev, void *dst, const void *src, const struct rn_resize_shape *s);
void rn_cpu_resize_backward(void *dev, void *dsrc, const void *ddst,
                            const struct rn_resize_shape *s);

void rn_cpu_softmax_cross_entropy(void *dev, double *loss, float *dlogits, const float *logits,
                                  const int32_t *labels, const struct rn_loss_shape *s);

void rn_cpu_sgd_update(void *dev, float *weights, float *velocity, const float *gradient,
                       size_t count, const struct rn_sgd *hp);
void rn_cpu_adamw_update(void *dev, float *weights, float *first, float *second,
                         const float *gradient, size_t count, const struct rn_adamw *hp);

#endif /* RN_CPU_SLOTS_H */
