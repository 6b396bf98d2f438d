/*
 * bf16_conv.h - forward and data gradient under bf16 (A31) on fused multiply-adds.
 *
 * One computation, as in conv.h: rows are destination pixels, the slots of a dot product run over (tap,
 * channel).  Slots are cut into blocks of RN_BF16_BLOCK, and a block is what everything is made of: its
 * operands are widened to floats in the first cache, two chains per output run through it, one over the even
 * slots and one over the odd, and their sum is added to the output's.
 */
#ifndef RN_CPU_BF16_CONV_H
#define RN_CPU_BF16_CONV_H

#include "cpu/bf16.h"
#include "cpu/conv.h"

#define RN_BF16_BLOCK 32
#define RN_BF16_PAIRS (RN_BF16_BLOCK / 2)

/* -- what an instruction set provides --------------------------------------------------------- */

/* c[mr][nr] = (first ? 0 : c) + (e + o), e and o the chains of one block: a[mr][2][RN_BF16_PAIRS],
 * of a row first the even slots and then the odd, and w[RN_BF16_PAIRS][2][nr]. */
typedef void rn_bf16_block(const float *a, const float *w, float *c, bool first);
struct rn_bf16_tile { int mr, nr; rn_bf16_block *run; };

/* What happens to finished sums, in this order: + bias; Q; fma(., scale, shift); + add; ReLU; Q (A32).  NULL
 * or false leaves a step out. */
struct rn_bf16_finish { const float *bias, *scale, *shift; const rn_bf16 *add; bool relu; };

/* Rows of groups of `width` channels: at[taps][ld] points at the pixels, of which a vector of channels from
 * `shift` on is meant; `left` channels are left there.  `rows` rounded up to RN_BF16_NARROW are read. */
#define RN_BF16_NARROW 6
struct rn_bf16_narrow { const rn_bf16 *const *at; size_t ld; int rows, taps, width; size_t shift, left; };

struct rn_bf16_conv_kernels {
    /* of two vectors, then of one; of one width tallest first; ends with nr = 0 */
    const struct rn_bf16_tile *tile;
    /* a[rows][2][RN_BF16_PAIRS] = the numbers at row[i] + shift, zeros where row[i] is NULL */
    void (*rows)(float *a, const rn_bf16 *const *row, size_t shift, int rows);
    /* w[RN_BF16_PAIRS][2][nr] = a block of packed weights */
    void (*weights)(float *w, const uint32_t *packed, size_t nr);
    /* packed[n] = Q of even[n] in the lower halves, of odd[n] in the upper; n is a multiple of lanes */
    void (*pairs)(uint32_t *packed, const float *even, const float *odd, size_t n);
    /* dst[at[r] ...] = finish(acc[r]) for rows of n channels, ld apart and padded to whole vectors; f->add
     * runs parallel to dst, the other pointers are those of this run of channels */
    void (*finish)(rn_bf16 *dst, const size_t *at, const float *acc, size_t ld, int rows, size_t n,
                   const struct rn_bf16_finish *f);
    /* c[rows, rounded up][lanes] = the sums of a vector of channels, w[taps][width][lanes] */
    void (*narrow)(float *c, const struct rn_bf16_narrow *n, const float *w);
};

/* -- geometry and weights: bf16_conv_pack.c ---------------------------------------------------- */

/* The pass with every tap of the filter, for slots outside the image keep their place, and no groups merged.
 * Where taps are no whole blocks, those of a row of the filter are one run of pixels if they lie so. */
struct rn_conv_pass rn_bf16_pass(const struct rn_conv_shape *s, enum rn_pass pass);
int rn_bf16_blocks(const struct rn_conv_class *c); /* of a row of this class */

/* Columns begin ... begin+cols-1; nr >= cols are stored: two vectors, in the last panel perhaps one. */
struct rn_bf16_panel { int begin, cols, nr; };
struct rn_bf16_panel rn_bf16_panel(const struct rn_kernels *k, int cols, int i);
int rn_bf16_panels(const struct rn_kernels *k, int cols); /* how many */

/* Packed weights are [class][group][panel][block][pair][nr]: the even slot of a pair in the lower half of a
 * word, the odd one in the upper; Q of them, zeros past the last slot and column.  Where those of a class and
 * group begin, in words; with i = classes^2 their total. */
size_t rn_bf16_packed_at(const struct rn_kernels *k, const struct rn_conv_pass *p, int i, int group);
void rn_bf16_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                  const struct rn_conv_shape *s, enum rn_pass pass);

/* -- bf16_conv.c: forward, or data gradient with src the gradient of the output ----------------- */

size_t rn_bf16_blocks_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
/* The outputs are rounded to dst or, with dst NULL, go to `floats` before their last rounding. */
void rn_bf16_blocks_run(const struct rn_cpu *cpu, enum rn_pass pass, rn_bf16 *dst, float *floats,
                        const rn_bf16 *src, const void *packed, const struct rn_bf16_finish *finish,
                        const struct rn_conv_shape *s, void *workspace);

/* -- bf16_conv_narrow.c: the same of groups that fill a vector together, where it can ------------- */

bool rn_bf16_narrow_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
size_t rn_bf16_narrow_packed_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_bf16_narrow_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                         const struct rn_conv_shape *s, enum rn_pass pass);
size_t rn_bf16_narrow_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_bf16_narrow_run(const struct rn_cpu *cpu, enum rn_pass pass, rn_bf16 *dst, const rn_bf16 *src,
                        const void *packed, const struct rn_bf16_finish *finish,
                        const struct rn_conv_shape *s, void *workspace);

/* -- bf16_conv_slots.c ------------------------------------------------------------------------- */

/* The forward pass without the last rounding, for the linear layer: a 1x1 convolution, dst[N][P][Q][K] =
 * F(acc + bias).  The workspace is that of the convolution. */
void rn_bf16_conv_floats(const struct rn_cpu *cpu, float *dst, const rn_bf16 *src, const void *packed,
                         const float *bias, const struct rn_conv_shape *s, void *workspace);

#endif /* RN_CPU_BF16_CONV_H */
