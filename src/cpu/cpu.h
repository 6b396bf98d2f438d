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

/* A stretch of k: row[i] points at what row i of A holds of it, B's rows of it begin with row k. */
struct rn_stretch { const float *const *row; size_t k; };

/* C[mr][nr] = (first ? 0 : C) + A B over `steps` stretches of kc each, one chain of fma an element,
 * k ascending.  A's element (i, k) of a step is row[i][shift + k*cs]; b is [k][nr] and c is [mr][nr],
 * both dense.  With `first` C may hold garbage on entry.  steps and kc may be 0. */
typedef void rn_ukr(const struct rn_stretch *step, int steps, size_t kc, size_t cs, size_t shift,
                    const float *b, float *c, bool first);
struct rn_tile { int mr, nr; rn_ukr *run; };

/* C[mr][nr] = (first ? 0 : C) + the sum over `count` positions, in their order, of x[row + i] dy[col + j];
 * C as for rn_ukr.  With every position it asks for a cache line that will be wanted later. */
struct rn_position { const float *x, *dy; };
struct rn_ahead { const char *at; size_t stride; };
typedef void rn_outer(const struct rn_position *p, size_t count, size_t row, size_t col, float *c,
                      bool first, struct rn_ahead ahead);
struct rn_outer_tile { int mr, nr; rn_outer *run; };
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

/* Which gradients a ReLU behind batch norm lets pass (A18): those where its output y is not <= 0; with y
 * NULL those where F(fma(x, a, b)), as it would be stored, is not; with all NULL every one. */
struct rn_bn_mask { const void *y; const float *a, *b; };

/* The transforms of F(4x4, 3x3) (A35, A36) for all channels of one tile; a point is a plane, and planes are
 * `plane` floats apart.  `pixel` points at channel 0 of the pixels of a patch or tile, row by row. */
struct rn_winograd_kernels {
    /* channels first ... first+channels-1 of a patch, [36] pixels */
    void (*input)(float *v, size_t plane, const float *const *pixel, size_t first, size_t channels);
    /* n filters, tap by tap, g[9][n]; n is a multiple of the vector */
    void (*filter)(float *u, size_t plane, const float *g, size_t n);
    /* m to the finished outputs dst[at[16]]; SIZE_MAX: none there.  f->add runs parallel to dst.  With
     * `stream` they go around the caches: whole vectors, aligned as RN_PAD floats. */
    void (*output)(float *dst, const size_t *at, const float *m, size_t plane, size_t channels, bool stream,
                   const struct rn_finish *f);
    /* the same of a tile of gradients, [16] pixels */
    void (*gradient)(float *z, size_t plane, const float *const *pixel, size_t first, size_t channels);
    void (*taps)(float *g, const float *m, size_t plane, size_t n); /* to g[9][n], n as above */
};

/* A tap of a depthwise convolution: channel 0 of the first pixel it reads, and of its weights. */
struct rn_depthwise_tap { const float *x, *w; };
#define RN_DEPTHWISE_TAPS 64

/* rows x cols positions of one vector of channels: dy dense; rows of x `line` floats apart, its pixels
 * dense, and positions step by `stride` of them. */
struct rn_depthwise_band {
    const float *x, *dy;
    int rows, cols, stride;
    size_t line;
};

struct rn_depthwise_kernels {
    /* dst = finish(sum over the taps of x w) of `pixels` pixels of n channels, `to` floats apart; each reads
     * x `step` floats further.  f->add runs parallel to dst.  n is a vector at least. */
    void (*run)(float *dst, size_t to, const struct rn_depthwise_tap *tap, int taps, size_t step, int pixels,
                size_t n, const struct rn_finish *f);
    /* `pixels` of them, C channels apart, from channel `first` on: a vector each to dst and so many planes,
     * `plane` floats apart.  What would begin after channel C - lanes begins there. */
    void (*split)(float *dst, size_t plane, int planes, const float *src, size_t C, size_t first, int pixels);
    /* sums[R*S][lanes] += x dy over the positions of a band, in their order; the x of a tap lies as many
     * rows and pixels further as the tap says */
    void (*weights)(float *sums, int R, int S, const struct rn_depthwise_band *b);
};

/* Pixels of a map: `rows` of them `pitch` elements apart, each of `cols` pixels `step` apart.  Max-pool
 * numbers them: the first is `tap`, and it is `down` and `right` more in the next row and column. */
struct rn_grid { int rows, cols; size_t pitch, step; int tap, down, right; };

/* The loops over tensors, for one type of element: float (fp32), or bf16, where Q follows F (A32).  `n`
 * counts elements, as do all distances. */
struct rn_tensor_kernels {
    size_t bytes; /* of an element */
    /* A17: s += x, q += x x over rows of C channels.  Vectors of channels, here and below, are padded to a
     * multiple of RN_PAD. */
    void (*bn_sums)(double *s, double *q, const void *x, size_t rows, size_t C);
    /* the same of g and g x, where the mask lets g pass, else of 0 */
    void (*bn_backward_sums)(double *s, double *q, const void *g, const void *x,
                             const struct rn_bn_mask *mask, size_t rows, size_t C);
    /* dst = F(fma(x, a, b)) and what follows it; stream: dst is none of the inputs and not read soon */
    void (*bn_apply)(void *dst, const void *src, const void *add, const float *a, const float *b,
                     size_t rows, size_t C, size_t ld, enum rn_post post, bool stream);
    /* dsrc = F(fma(a, g, fma(b, x, c))), or F(g a) when b is NULL, g masked; dadd, if not NULL, = F(g) */
    void (*bn_gradient)(void *dsrc, void *dadd, const void *g, const void *x,
                        const struct rn_bn_mask *mask, const float *a, const float *b, const float *c,
                        size_t rows, size_t C, bool stream);
    /* A19, of n channels: the largest of a grid at src and the number of its pixel; the sum of those of a
     * grid whose index is their number.  A20: the sum of all divided by count. */
    void (*max_of)(void *dst, uint8_t *index, const void *src, const struct rn_grid *g, size_t n);
    void (*sum_chosen)(void *dst, const void *src, const uint8_t *index, const struct rn_grid *g,
                       size_t n);
    void (*mean_of)(void *dst, const void *src, const struct rn_grid *g, int count, size_t n);
    bool (*finite)(const void *src, size_t n); /* A7: none is Inf or NaN */
    void (*relu)(void *dst, const void *src, size_t n);
    void (*relu_gradient)(void *dsrc, const void *ddst, const void *dst, size_t n);
    void (*add)(void *dst, const void *a, const void *b, size_t n);
    /* A21: dst = F(lerp(ly, lerp(lx, a, b), lerp(lx, c, d))) of the corners a, b, c, d */
    void (*bilinear)(void *dst, const void *const corner[4], float lx, float ly, size_t n);
    void (*axpy)(float *acc, float w, const void *x, size_t n); /* acc = fma(w, x, acc), no F */
    void (*from_floats)(void *dst, const float *src, size_t n); /* dst = F(src) */
};

/* One instruction set: micro-kernels and the loops that a vector unit helps.  `n` counts floats. */
struct rn_kernels {
    const char *name;
    int lanes;                    /* floats in a vector: panel widths are multiples of it */
    const struct rn_tile *tile;   /* widest first; of one width tallest first; ends with nr = 0 */
    const struct rn_tile *narrow; /* tallest first: groups narrower than a vector, see narrow_ukr.inc */
    const struct rn_outer_tile *outer; /* the same; of every width there is one of height 1 */
    /* dst[rows][ld] = src[rows][stride], `cols` floats of each row, then zeros */
    void (*copy_rows)(float *dst, size_t ld, const float *src, size_t stride, size_t rows, size_t cols);
    void (*gather)(float *dst, size_t ld, const struct rn_row *row, int rows,
                   const struct rn_tap *tap);
    /* dst[at[r] ...] = finish(acc[r]) for rows of n channels, ld apart and padded to whole vectors; f->add
     * runs parallel to dst, the other pointers are those of this run of channels */
    void (*finish)(float *dst, const size_t *at, const float *acc, size_t ld, int rows, size_t n,
                   const struct rn_finish *f);
    void (*sum)(float *dst, const float *a, const float *b, size_t n); /* dst = a + b, no F */
    /* dst[i][r] = src[r*stride + i] for r < rows, a multiple of lanes, and i < n <= lanes where dst[i] is not
     * NULL.  `left` floats may be read from src on. */
    void (*transpose_to)(float *const *dst, int n, const float *src, size_t left, size_t stride,
                         size_t rows);
    /* dst[r*stride + i] = F(src[i][r]), or +0 where src[i] is NULL, for the same r and i */
    void (*transpose_from)(float *dst, size_t stride, const float *const *src, int n, size_t rows);
    /* A11 over count rows of n doubles, `stride` apart, into the first; n is a multiple of RN_PAD */
    void (*bn_tree)(double *v, int64_t count, size_t stride, size_t n);
    void (*sgd)(float *w, float *v, const float *g, size_t n, const struct rn_sgd *hp);
    void (*adamw)(float *w, float *m, float *v, const float *g, size_t n,
                  const struct rn_adamw *hp);
    struct rn_winograd_kernels winograd;
    struct rn_depthwise_kernels depthwise;
    const struct rn_tensor_kernels *fp32, *bf16; /* the loops over tensors of either */
    /* those of the bf16 numerics, each in a header of its own */
    const struct rn_bf16_conv_kernels *bf16_conv;
    const struct rn_bf16_wgrad_kernels *bf16_wgrad;
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
    const struct rn_tensor_kernels *tensor; /* those of the kernels that its numerics want */
    const char *isa;
    bool winograd; /* numerics fp32-winograd: convolutions by A34-A36 where their shape says so */
    bool amx;      /* numerics bf16: convolutions on the tile unit */
    bool im2col;   /* RESNET_CONV=im2col: the textbook's convolution, same bits, for comparison */
};

/* Element i of a tensor; NULL stays NULL. */
static inline void *rn_element(const struct rn_cpu *cpu, const void *tensor, size_t i)
{
    return tensor ? (char *)tensor + i * cpu->tensor->bytes : NULL;
}

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
