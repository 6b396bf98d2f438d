/* bf16_wgrad.h - the weight gradient of the bf16 numerics on fused multiply-adds: what an instruction set
 * provides, and what the slot calls. */
#ifndef RN_CPU_BF16_WGRAD_H
#define RN_CPU_BF16_WGRAD_H

#include "cpu/bf16.h"

/* A block of A31: the slots whose x lies inside the image, count[0] even ones and count[1] odd ones, each a
 * place in x and one in dy. */
#define RN_BF16_SLOTS 32
struct rn_bf16_slot { int32_t x, dy; };
struct rn_bf16_block { int32_t count[2]; struct rn_bf16_slot slot[2][RN_BF16_SLOTS / 2]; };

/* C[mr][nr] = (first ? 0 : C) + the sum by A31 over the slots of `blocks` blocks of x[slot.x + i]
 * dy[slot.dy + j].  With `first` C may hold garbage on entry. */
typedef void rn_bf16_outer(const struct rn_bf16_block *block, int blocks, const float *x, const float *dy,
                           float *c, bool first);
struct rn_bf16_outer_tile { int mr, nr; rn_bf16_outer *run; };

struct rn_bf16_wgrad_kernels {
    const struct rn_bf16_outer_tile *tile; /* widest first; of one width tallest first; of every width
                                            * there is one of height 1; ends with nr = 0 */
    /* the same of one vector with x[slot.x + i*nr + j] instead: depthwise */
    const struct rn_bf16_outer_tile *diagonal;
    /* dst[rows][ld] = src[rows][stride] as floats, `cols` numbers of each row, then zeros */
    void (*widen)(float *dst, size_t ld, const rn_bf16 *src, size_t stride, size_t rows, size_t cols);
    /* sums[n] += src[r*stride ...], r = 0 ... rows-1 one after the other (A15) */
    void (*add_rows)(float *sums, const rn_bf16 *src, size_t stride, size_t rows, size_t n);
};

/* bf16_wgrad.c: dweights of the slot, on fused multiply-adds. */
size_t rn_bf16_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_bf16_weights(const struct rn_cpu *cpu, float *dweights, const rn_bf16 *src, const rn_bf16 *ddst,
                     const struct rn_conv_shape *s, void *workspace);

#endif /* RN_CPU_BF16_WGRAD_H */
