/*
 * cpu.h - what the files of the fast CPU backend share.  Private to src/cpu and its tests.
 *
 * Activations lie NHWC: the channels of a pixel are one contiguous run, which is what a GEMM over
 * channels wants and what vectors of channels want in every other op.  Lanes and threads are always
 * different outputs, never parts of one sum (A1), so vector width and thread count cannot be seen
 * in the bits.
 */
#ifndef RN_CPU_H
#define RN_CPU_H

#include "base/base.h"
#include "base/real.h"
#include "base/threads.h"

/* -- instruction sets ------------------------------------------------------------------------- */

/* C[mr][nr] = (first ? 0 : C) + A B over kc steps, one chain of fma an element, k ascending.
 * A's element (i, k) is a[i*rs + k*cs]; b is [kc][nr] and c is [mr][nr], both dense.  With `first`
 * C may hold garbage on entry.  kc may be 0. */
typedef void rn_ukr(size_t kc, const float *a, size_t rs, size_t cs, const float *b, float *c,
                    bool first);
struct rn_tile { int mr, nr; rn_ukr *run; };
#define RN_MAX_MR 16
#define RN_PAD 16 /* floats in the longest vector */

/* Row (n, i, j) of a GEMM operand: image n, position (i, j) of the map that is walked over. */
struct rn_row { int n, i, j; };

/* One tap of the gather: row (n, i, j) takes floats from ... from+count-1 of the run that starts at
 * pixel (i*step + dh, j*step + dw) of src[N][H][W][C], `channel` floats in, and spans `pixels`
 * whole pixels; what lies outside the image is +0 (A6). */
struct rn_tap {
    const float *src;
    int H, W, C, step, dh, dw, channel, pixels, from, count;
};

/* What happens to finished sums, in this order, each step stored by F (A13, A22):
 * + bias, then fma(., scale, shift), then + add, then ReLU.  NULL or false leaves a step out. */
struct rn_finish { const float *bias, *scale, *shift, *add; bool relu; };

/* One instruction set: micro-kernels and the loops that a vector unit helps.  `n` counts floats. */
struct rn_kernels {
    const char *name;
    int lanes;                    /* floats in a vector: panel widths are multiples of it */
    const struct rn_tile *tile;   /* widest first; of one width tallest first; ends with nr = 0 */
    void (*gather)(float *dst, size_t ld, const struct rn_row *row, int rows,
                   const struct rn_tap *tap);
    /* dst = finish(acc); acc is destroyed; the pointers of `f` are those of this run of channels */
    void (*finish)(float *dst, float *acc, size_t n, const struct rn_finish *f);
    void (*sum)(float *dst, const float *a, const float *b, size_t n); /* dst = a + b, no F */
    /* A17: s += g, q += g x over rows of C channels; g is 0 where y <= 0 if y is not NULL.  s, q
     * and the coefficients a, b, c below are padded to a multiple of RN_PAD channels. */
    void (*bn_sums)(double *s, double *q, const float *g, const float *y, const float *x,
                    size_t rows, size_t C);
    void (*bn_apply)(float *dst, const float *src, const float *add, const float *a, const float *b,
                     size_t rows, size_t C, size_t ld, enum rn_post post); /* rows ld apart */
    /* dsrc = F(fma(a, g, fma(b, x, c))), or F(g a) when b is NULL; g as in bn_sums; dadd = g */
    void (*bn_gradient)(float *dsrc, float *dadd, const float *ddst, const float *y, const float *x,
                        const float *a, const float *b, const float *c, size_t rows, size_t C);
    void (*relu)(float *dst, const float *src, size_t n);
    void (*relu_gradient)(float *dsrc, const float *ddst, const float *dst, size_t n);
    void (*add)(float *dst, const float *a, const float *b, size_t n);
    /* acc = fma(w, x, acc), no F */
    void (*axpy)(float *acc, float w, const float *x, size_t n);
    /* A21: dst = F(lerp(ly, lerp(lx, a, b), lerp(lx, c, d))) */
    void (*bilinear)(float *dst, const float *a, const float *b, const float *c, const float *d,
                     float lx, float ly, size_t n);
    void (*sgd)(float *w, float *v, const float *g, size_t n, const struct rn_sgd *hp);
    void (*adamw)(float *w, float *m, float *v, const float *g, size_t n,
                  const struct rn_adamw *hp);
};

extern const struct rn_kernels rn_kernels_avx512, rn_kernels_avx2, rn_kernels_neon,
    rn_kernels_portable;

/* The set called `name` (NULL or "": the best this CPU has).  RN_EUSAGE lists what it has. */
rn_status rn_isa_find(const struct rn_kernels **kernels, const char **name, const char *wanted);
/* The i-th set this CPU has, best first; NULL past the last. */
const char *rn_isa_name(int i);

/* -- the device ------------------------------------------------------------------------------- */
struct rn_cpu {
    int threads;
    const struct rn_kernels *kernels;
    const char *isa;
    bool im2col; /* RESNET_CONV=im2col: gather whole matrices first (same bits, for comparison) */
};

/* -- positions and their tree (A11) ----------------------------------------------------------- */

/* c(P): consecutive images in one group when an image has `positions` positions. */
static inline int rn_group_images(int64_t positions)
{
    int c = 8;
    while (c > 1 && c * positions > 128) c /= 2;
    return c;
}

static inline size_t rn_round_up(size_t x, size_t to) { return (x + to - 1) / to * to; }
static inline int rn_ceil_div(int a, int b) { return (a + b - 1) / b; }

/* Carves aligned pieces out of a workspace; with base NULL it only counts. */
struct rn_carve { char *base; size_t used; };
static inline void *rn_carve(struct rn_carve *c, size_t bytes)
{
    size_t at = c->used;
    c->used += rn_round_up(bytes, 64);
    return c->base ? c->base + at : NULL;
}

#endif /* RN_CPU_H */
