/* depthwise.h - convolutions with one channel in a group and one filter for it.  Private to src/cpu. */
#ifndef RN_DEPTHWISE_H
#define RN_DEPTHWISE_H

#include "cpu/cpu.h"

/* Whether depthwise.c computes a shape, in all passes. */
bool rn_depthwise_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s);

/* As the functions of these names in conv.h.  Both passes read the same packed weights. */
size_t rn_depthwise_packed_bytes(const struct rn_conv_shape *s);
void rn_depthwise_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                       const struct rn_conv_shape *s);
bool rn_depthwise_unpack(const struct rn_cpu *cpu, float *weights, const void *packed,
                         const struct rn_conv_shape *s);
void rn_depthwise_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                      const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s);
size_t rn_depthwise_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_depthwise_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                          const struct rn_conv_shape *s, void *workspace);

#endif /* RN_DEPTHWISE_H */
