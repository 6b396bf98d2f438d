/*
 * amx.h - convolutions of the bf16 numerics on the tile unit of Intel's CPUs since Sapphire Rapids (2023).
 *
 * TDPBF16PS computes exactly one block of A31, so these passes give the bits of ref/ as those on fused
 * multiply-adds do; numbers below 2^-56 are zeros (A30), which is why it does not matter that the unit
 * flushes subnormals.  Weights are packed as bf16_conv.h says.  What is not tiles is AVX-512.
 */
#ifndef RN_CPU_AMX_H
#define RN_CPU_AMX_H

#include "cpu/amx_tile.h"
#include "cpu/bf16_conv.h"

#include "resnet.h" /* rn_amx_absence */

/* Outputs as bf16, or as floats without the last rounding: one of the two. */
struct rn_amx_target { rn_bf16 *bf16; float *floats; };

#if RN_AMX

/* A33: TDPBF16PS against A31, on fixed data, in this thread.  NULL, or on what they differ.  Part of what
 * rn_amx_absence() asks; here so that tests can run it on emulated tiles. */
const char *rn_amx_check(void);

/* Whether convolutions of a shape run here: on this device, and not on a few channels of many groups. */
bool rn_amx_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s);

/* amx_conv.c: forward, or data gradient with src the gradient of the output. */
size_t rn_amx_conv_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_amx_conv_run(const struct rn_cpu *cpu, enum rn_pass pass, struct rn_amx_target dst,
                     const rn_bf16 *src, const void *packed, const struct rn_bf16_finish *finish,
                     const struct rn_conv_shape *s, void *workspace);
/* amx_wgrad.c */
size_t rn_amx_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_amx_weights(const struct rn_cpu *cpu, float *dweights, const rn_bf16 *src, const rn_bf16 *ddst,
                    const struct rn_conv_shape *s, void *workspace);

#else /* rn_cpu.amx is never set */

static inline bool rn_amx_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return (void)cpu, (void)s, false;
}

static inline size_t rn_amx_conv_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s,
                                           enum rn_pass pass)
{
    return (void)cpu, (void)s, (void)pass, 0;
}

static inline void rn_amx_conv_run(const struct rn_cpu *cpu, enum rn_pass pass, struct rn_amx_target dst,
                                   const rn_bf16 *src, const void *packed,
                                   const struct rn_bf16_finish *finish, const struct rn_conv_shape *s,
                                   void *workspace)
{
    (void)cpu, (void)pass, (void)dst, (void)src, (void)packed, (void)finish, (void)s, (void)workspace;
}

static inline size_t rn_amx_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return (void)cpu, (void)s, 0;
}

static inline void rn_amx_weights(const struct rn_cpu *cpu, float *dweights, const rn_bf16 *src,
                                  const rn_bf16 *ddst, const struct rn_conv_shape *s, void *workspace)
{
    (void)cpu, (void)dweights, (void)src, (void)ddst, (void)s, (void)workspace;
}

#endif
#endif /* RN_CPU_AMX_H */
