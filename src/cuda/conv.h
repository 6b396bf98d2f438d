/*
 * conv.h - what the files of the CUDA convolution share: a forward pass and a data gradient as one kind of matrix
 * product, the form of the weights, and what happens to finished sums.  Private to src/cuda.
 *
 * Implicit GEMM (Chetlur et al., arXiv:1410.0759): a row is a pixel of the destination, a column one of its
 * channels, and the chain of A13 or A14 runs over taps (kh, kw) and the channels of the source.  No matrix of
 * patches is stored; who loads a tile computes where its numbers lie.  A data gradient of stride u falls into
 * u x u classes of pixels that see the same taps; each class is such a product by itself.
 */
#ifndef RN_CUDA_CONV_H
#define RN_CUDA_CONV_H

#include "cuda/cuda.h"

struct rn_cuda_map { int H, W, C; };

/* A forward pass, or a data gradient (`backward`), of N images. */
struct rn_cuda_pass {
    int N, R, S, groups;
    struct rn_cuda_map from, to;
    int run, cols;    /* channels of a group in the source (terms of a tap), in the destination (columns) */
    int classes;      /* of an axis; 1 forward */
    int step, pad;    /* source pixels from one row of the product to the next on an axis */
    bool backward;
    bool narrow;      /* groups of few columns: a thread for every output, conv_narrow.cu */
    int ld;           /* packed weights: [tap][run] rows, ld floats apart, */
    size_t group;     /* and from a group to the next; tiles need rows whose length is a multiple of 4 */
};

struct rn_cuda_pass rn_cuda_conv_pass(const struct rn_conv_shape *s, enum rn_pass pass);

/* What becomes of finished sums, in this order, each value stored by F (A13, A14, A22): + bias, then
 * fma(., scale, shift), then + add, which is shaped like the destination and may be it, then ReLU.  NULL or
 * false leaves a step out. */
struct rn_cuda_finish { const float *bias, *scale, *shift, *add; bool relu; };

/* dst = finish(sums of the pass). */
void rn_cuda_conv_run(void *dev, const struct rn_cuda_pass *p, float *dst, const float *src, const float *packed,
                      const struct rn_cuda_finish *f);
void rn_cuda_conv_narrow(void *dev, const struct rn_cuda_pass *p, float *dst, const float *src,
                         const float *packed, const struct rn_cuda_finish *f);

/* Bytes that conv2d_backward_weights needs; the forward pass and the data gradient need none. */
size_t rn_cuda_conv_weights_workspace(const struct rn_conv_shape *s);
/* Bytes of scale and shift of conv2d_bn. */
size_t rn_cuda_conv_bn_workspace(const struct rn_conv_shape *s);

/* Multiprocessors of the machine that tiles are chosen for.  Another number costs speed, never bits; with 1 the small
 * shapes of tests meet the large tiles too. */
#ifndef RN_CUDA_NOMINAL
#define RN_CUDA_NOMINAL 132
#endif

static inline bool rn_cuda_aligned(const void *p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

/* -- for kernels ------------------------------------------------------------------------------------ */

/* One axis of a class: its `count` rows are destination pixels first, first + classes ...; row i sees through tap
 * a < taps the source pixel i * step + base + a, backward i * step + base - a.  `before`: taps of earlier classes. */
struct rn_cuda_axis { int taps, before, first, count, base; };

static __host__ __device__ inline struct rn_cuda_axis rn_cuda_axis_of(const struct rn_cuda_pass &p, int index,
                                                                      int filter, int extent)
{
    struct rn_cuda_axis x = {};
    int rest = filter % p.classes;
    x.taps = filter / p.classes + (index < rest);
    x.before = index * (filter / p.classes) + (index < rest ? index : rest);
    x.first = p.backward ? ((index - p.pad) % p.classes + p.classes) % p.classes : 0;
    x.base = p.backward ? (x.first + p.pad - index) / p.classes : -p.pad;
    x.count = x.first < extent ? (extent - x.first + p.classes - 1) / p.classes : 0;
    return x;
}

/* The place of a tap among the packed ones: class by class, in each the order of the chain. */
static __host__ __device__ inline int rn_cuda_tap(const struct rn_cuda_pass &p, int kh, int kw)
{
    const struct rn_cuda_axis h = rn_cuda_axis_of(p, kh % p.classes, p.R, 0);
    const struct rn_cuda_axis w = rn_cuda_axis_of(p, kw % p.classes, p.S, 0);
    return h.before * p.S + h.taps * w.before + kh / p.classes * w.taps + kw / p.classes;
}

/* The steps of rn_cuda_finish for one sum; `addend` is what add has there. */
static __device__ inline float rn_cuda_finished(const struct rn_cuda_finish &f, float sum, float bias, float scale,
                                                float shift, float addend)
{
    float y = rn_cuda_store(f.bias ? sum + bias : sum);
    if (f.scale) y = rn_cuda_store(__fmaf_rn(y, scale, shift));
    if (f.add) y = rn_cuda_store(y + addend);
    return f.relu ? rn_cuda_relu(y) : y;
}

#endif /* RN_CUDA_CONV_H */
