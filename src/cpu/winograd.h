/*
 * winograd.h - convolution by Winograd's algorithm F(4x4, 3x3), for the numerics `fp32-winograd`
 * (A34-A36).  conv.c asks for each pass whether the table of shapes (ref/winograd.h) gives it to this
 * file, and if so calls here instead of its own GEMM.
 */
#ifndef RN_CPU_WINOGRAD_H
#define RN_CPU_WINOGRAD_H

#include "cpu/cpu.h"

/* Whether this device computes a pass of this shape here (A34): never a matter of N. */
bool rn_winograd_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
bool rn_winograd_does_weights(const struct rn_cpu *cpu, const struct rn_conv_shape *s);

/* Transformed weights of forward or data gradient (A35), and the workspace of a pass. */
size_t rn_winograd_packed_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s,
                                enum rn_pass pass);
void rn_winograd_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                      const struct rn_conv_shape *s, enum rn_pass pass);
/* The weights back out of the packed form of the forward pass; false where it does not hold them, and
 * nothing is written.  weights NULL: only the answer. */
bool rn_winograd_unpack(const struct rn_cpu *cpu, float *weights, const void *packed,
                        const struct rn_conv_shape *s);
size_t rn_winograd_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);

/* Forward, or data gradient with src the gradient of the output; finished as `finish` says. */
void rn_winograd_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                     const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                     void *workspace);
/* Weight gradient (A36); dweights OIHW, overwritten. */
void rn_winograd_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                         const struct rn_conv_shape *s, void *workspace);

#endif /* RN_CPU_WINOGRAD_H */
