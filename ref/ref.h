/*
 * ref.h - the slots of the reference backend, as ref.c puts them into its table.
 *
 * What each one computes is the contract of its slot in include/resnet_backend.h; how, to the bit,
 * is ARITHMETIC.md in this folder.  Only ref/ includes this file: others see `rn_ops_ref`.
 */
#ifndef RN_REF_H
#define RN_REF_H

#include "resnet_backend.h"

#include <stdbool.h>

/* Offset of element [a][b][c][d] in a dense array whose last three extents are B, C, D. */
static inline size_t at4(int a, int b, int c, int d, int B, int C, int D)
{
    return (((size_t)a * (size_t)B + (size_t)b) * (size_t)C + (size_t)c) * (size_t)D + (size_t)d;
}

static inline bool inside(int i, int extent) { return i >= 0 && i < extent; }

/* device.c */
/* Whether the device computes as `fp32-winograd` says (A34-A36), or as `bf16` says (A30-A32). */
bool rn_ref_winograd(const void *dev);
bool rn_ref_bf16(const void *dev);
/* What the store of a tensor's element makes of a value: F(value), under bf16 Q(F(value)).  Tensors
 * are arrays of floats all the same; those of bf16 hold such floats as bf16 has. */
float rn_ref_element(const void *dev, float value);
rn_status rn_ref_open(void **dev, const struct rn_device_options *options);
void rn_ref_close(void *dev);
const char *rn_ref_isa(void *dev);
rn_status rn_ref_alloc(void *dev, void **mem, size_t bytes);
void rn_ref_release(void *dev, void *mem);
void rn_ref_write(void *dev, void *dst, const void *host, size_t bytes);
void rn_ref_read(void *dev, void *host, const void *src, size_t bytes);
void rn_ref_copy(void *dev, void *dst, const void *src, size_t bytes);
void rn_ref_sync(void *dev);
void rn_ref_run(void *dev, void (*pass)(void *arg), void *arg);
size_t rn_ref_tensor_bytes(void *dev, int N, int C, int H, int W);
void rn_ref_tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W);
void rn_ref_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W);

/* images.c */
void rn_ref_images_forward(void *dev, void *dst, const uint8_t *src, const struct rn_image_move *move,
                           const struct rn_image_shape *s);

/* conv.c */
/* A13, A31: one output before anything is added to it or it is stored. */
float rn_ref_output(const void *dev, const float *src, const float *weights,
                    const struct rn_conv_shape *s, int n, int k, int p, int q);
size_t rn_ref_conv2d_workspace(void *dev, const struct rn_conv_shape *s);
size_t rn_ref_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_ref_conv2d_pack(void *dev, void *packed, const float *weights,
                        const struct rn_conv_shape *s, enum rn_pass pass);
int rn_ref_conv2d_unpack(void *dev, float *weights, const void *packed,
                         const struct rn_conv_shape *s);
void rn_ref_conv2d_forward(void *dev, void *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace);
void rn_ref_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed,
                                 const void *add, const struct rn_conv_shape *s, void *workspace);
void rn_ref_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const void *ddst, const struct rn_conv_shape *s,
                                    void *workspace);

/* fused.c */
void rn_ref_conv2d_bias(void *dev, void *dst, const void *src, const void *packed,
                        const float *bias, const void *add, enum rn_post post,
                        const struct rn_conv_shape *s, void *workspace);
void rn_ref_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace);
void rn_ref_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                            const void *packed, const void *add, const float *gamma,
                            const float *beta, const struct rn_conv_shape *s,
                            const struct rn_bn_shape *bn, void *workspace);
void rn_ref_conv2d_fold(void *dev, float *folded, float *bias, const float *weights,
                        const float *gamma, const float *beta, const float *running_mean,
                        const float *running_var, const struct rn_conv_shape *s,
                        const struct rn_bn_shape *bn);

/* linear.c */
size_t rn_ref_linear_workspace(void *dev, const struct rn_linear_shape *s);
void rn_ref_linear_forward(void *dev, float *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_linear_shape *s, void *workspace);
void rn_ref_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                 const struct rn_linear_shape *s, void *workspace);
void rn_ref_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const float *ddst, const struct rn_linear_shape *s,
                                    void *workspace);

/* batchnorm.c */
size_t rn_ref_batchnorm_workspace(void *dev, const struct rn_bn_shape *s);
void rn_ref_batchnorm_forward_train(void *dev, void *dst, double *saved, const void *src,
                                    const void *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace);
void rn_ref_batchnorm_forward_eval(void *dev, void *dst, const void *src, const void *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s);
void rn_ref_batchnorm_apply(void *dev, void *dst, const void *src, const void *add,
                            const double *saved, const float *gamma, const float *beta,
                            const struct rn_bn_shape *s);
void rn_ref_batchnorm_running(void *dev, float *running_mean, float *running_var, const double *saved,
                              const struct rn_bn_shape *s, const int32_t *given);
void rn_ref_batchnorm_backward(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                               const void *ddst, const void *dst, const void *src,
                               const double *saved, const float *gamma, const float *beta,
                               const struct rn_bn_shape *s, void *workspace);
void rn_ref_batchnorm_backward_eval(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                                    const void *ddst, const void *dst, const void *src,
                                    const float *running_mean, const float *running_var,
                                    const float *gamma, const struct rn_bn_shape *s,
                                    void *workspace);

/* elementwise.c */
void rn_ref_relu_forward(void *dev, void *dst, const void *src, size_t count);
void rn_ref_relu_backward(void *dev, void *dsrc, const void *ddst, const void *dst, size_t count);
void rn_ref_add(void *dev, void *dst, const void *a, const void *b, size_t count);
void rn_ref_accumulate(void *dev, float *dst, const float *src, size_t count);
void rn_ref_tensor_finite(void *dev, int32_t *all, const void *src, size_t count);
void rn_ref_finite(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given);

/* pool.c */
void rn_ref_maxpool_forward(void *dev, void *dst, uint8_t *index, const void *src,
                            const struct rn_pool_shape *s);
void rn_ref_maxpool_backward(void *dev, void *dsrc, const void *ddst, const uint8_t *index,
                             const struct rn_pool_shape *s);
void rn_ref_avgpool_forward(void *dev, void *dst, const void *src, const struct rn_pool_shape *s);
void rn_ref_avgpool_backward(void *dev, void *dsrc, const void *ddst, const struct rn_pool_shape *s);
void rn_ref_global_avgpool_forward(void *dev, void *dst, const void *src,
                                   const struct rn_pool_shape *s);
void rn_ref_global_avgpool_backward(void *dev, void *dsrc, const void *ddst,
                                    const struct rn_pool_shape *s);

/* resize.c */
void rn_ref_resize_forward(void *dev, void *dst, const void *src, const struct rn_resize_shape *s);
void rn_ref_resize_backward(void *dev, void *dsrc, const void *ddst,
                            const struct rn_resize_shape *s);

/* loss.c */
void rn_ref_softmax_cross_entropy(void *dev, double *loss, float *dlogits, const float *logits,
                                  const int32_t *labels, const struct rn_loss_shape *s);

/* optim.c */
void rn_ref_sgd_update(void *dev, float *weights, float *velocity, const float *gradient,
                       size_t count, const struct rn_sgd *hp);
void rn_ref_adamw_update(void *dev, float *weights, float *first, float *second,
                         const float *gradient, size_t count, const struct rn_adamw *hp);

#endif /* RN_REF_H */
