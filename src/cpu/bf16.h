/*
 * bf16.h - what the files of the bf16 numerics share (A30-A33).  Private to src/cpu and its tests.
 *
 * Tensors lie NHWC like those of fp32, with elements of two bytes.  Convolutions have two machines under them:
 * fused multiply-adds, on operands widened to floats beforehand (bf16_conv.c, bf16_wgrad.c), and the tile
 * unit AMX (amx.h), which computes A31 as it stands; rn_cpu.amx says which.  Both give the bits of ref/.
 */
#ifndef RN_CPU_BF16_H
#define RN_CPU_BF16_H

#include "cpu/cpu.h"

/* The slots of rn_ops_cpu_bf16 that are not shared with rn_ops_cpu (slots.h, batchnorm.h); contracts stand in
 * include/resnet_backend.h. */

/* device.c */
rn_status rn_bf16_open(void **dev, const struct rn_device_options *options);

/* bf16_conv.c */
size_t rn_bf16_conv2d_workspace(void *dev, const struct rn_conv_shape *s);
size_t rn_bf16_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_bf16_conv2d_pack(void *dev, void *packed, const float *weights,
                         const struct rn_conv_shape *s, enum rn_pass pass);
int rn_bf16_conv2d_unpack(void *dev, float *weights, const void *packed,
                          const struct rn_conv_shape *s);
void rn_bf16_conv2d_forward(void *dev, void *dst, const void *src, const void *packed,
                            const float *bias, const struct rn_conv_shape *s, void *workspace);
void rn_bf16_conv2d_bias(void *dev, void *dst, const void *src, const void *packed,
                         const float *bias, const void *add, enum rn_post post,
                         const struct rn_conv_shape *s, void *workspace);
void rn_bf16_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed,
                                  const void *add, const struct rn_conv_shape *s, void *workspace);
void rn_bf16_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                       const float *gamma, const float *beta, const float *running_mean,
                       const float *running_var, const struct rn_conv_shape *s,
                       const struct rn_bn_shape *bn, void *workspace);
void rn_bf16_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                             const void *packed, const void *add, const float *gamma,
                             const float *beta, const struct rn_conv_shape *s,
                             const struct rn_bn_shape *bn, void *workspace);

/* bf16_wgrad_slot.c */
size_t rn_bf16_wgrad_workspace(void *dev, const struct rn_conv_shape *s);
void rn_bf16_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                     const void *ddst, const struct rn_conv_shape *s,
                                     void *workspace);

/* bf16_tensor.c */
void rn_bf16_tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W);
void rn_bf16_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W);

/* bf16_linear.c */
size_t rn_bf16_linear_workspace(void *dev, const struct rn_linear_shape *s);
void rn_bf16_linear_forward(void *dev, float *dst, const void *src, const void *packed,
                            const float *bias, const struct rn_linear_shape *s, void *workspace);
void rn_bf16_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                  const struct rn_linear_shape *s, void *workspace);
void rn_bf16_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                     const float *ddst, const struct rn_linear_shape *s,
                                     void *workspace);

#endif /* RN_CPU_BF16_H */
