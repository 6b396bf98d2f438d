/*
 * conv.cu - the forward pass and the data gradient (A13, A14): the choice of a tile, and their slots.
 *
 * A small map has few outputs, and since no chain may be split, small tiles are what spreads them over the
 * machine.  The choice is an estimate of time; it cannot be seen in the bits.
 */
#include "cuda/conv_rows.h"

/* Cycles that a multiprocessor spends on a term of the chain of a whole tile, in tenths: when it has
 * tiles enough to hide waiting, and with this one alone.  Estimates, from 128 multiply-adds a cycle. */
struct choice {
    int rows, cols, busy, alone;
    void (*run)(void *dev, float *dst, const float *src, const float *packed, const struct rn_cuda_pass *p,
                struct rn_cuda_rows r, unsigned blocks);
};

template <class T>
static void run(void *dev, float *dst, const float *src, const float *packed, const struct rn_cuda_pass *p,
                struct rn_cuda_rows r, unsigned blocks)
{
    bool vectors = p->run % 4 == 0 && rn_cuda_aligned(src);
    auto *kernel = vectors ? rn_cuda_conv_rows<T, rn_cuda_vectors> : rn_cuda_conv_rows<T, rn_cuda_scalars>;
    rn_launch(dev, kernel, blocks, T::threads, dst, src, packed, *p, r);
}

static const struct choice choices[] = {
    { 128, 128, 1420, 1700, run<rn_cuda_tile_128x128> }, { 128, 64, 750, 950, run<rn_cuda_tile_128x64> },
    { 64, 64, 420, 550, run<rn_cuda_tile_64x64> },       { 32, 32, 160, 300, run<rn_cuda_tile_32x32> },
    { 16, 16, 100, 140, run<rn_cuda_tile_16x16> },
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Tiles along the rows of the largest class. */
static int64_t row_tiles(const struct rn_cuda_pass *p, const struct choice *c)
{
    int64_t rows = p->N * ceil_div(p->to.H, p->classes) * ceil_div(p->to.W, p->classes);
    return ceil_div(rows, c->rows);
}

static int64_t tiles(const struct rn_cuda_pass *p, const struct choice *c)
{
    return row_tiles(p, c) * ceil_div(p->cols, c->cols) * p->groups * p->classes * p->classes;
}

static int64_t cost(const struct rn_cuda_pass *p, const struct choice *c)
{
    int64_t busy = ceil_div(tiles(p, c), RN_CUDA_NOMINAL) * c->busy;
    return busy > c->alone ? busy : c->alone;
}

void rn_cuda_conv_run(void *dev, const struct rn_cuda_pass *p, float *dst, const float *src, const float *packed,
                      const struct rn_cuda_finish *f)
{
    const struct choice *best = &choices[0];
    if (p->narrow) {
        rn_cuda_conv_narrow(dev, p, dst, src, packed, f);
        return;
    }
    for (const struct choice &c : choices)
        if (cost(p, &c) < cost(p, best)) best = &c;
    struct rn_cuda_rows r = {};
    r.finish = *f;
    r.row_tiles = static_cast<int>(row_tiles(p, best));
    r.col_tiles = static_cast<int>(ceil_div(p->cols, best->cols));
    r.wide = p->cols % 4 == 0 && rn_cuda_aligned(dst) && rn_cuda_aligned(f->add);
    best->run(dev, dst, src, packed, p, r, static_cast<unsigned>(tiles(p, best)));
}

/* -- slots ------------------------------------------------------------------------------------------ */

size_t rn_cuda_conv2d_workspace(void *, const struct rn_conv_shape *s)
{
    size_t weights = rn_cuda_conv_weights_workspace(s), bn = rn_cuda_conv_bn_workspace(s);
    return weights > bn ? weights : bn;
}

void rn_cuda_conv2d_forward(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                            const struct rn_conv_shape *s, void *)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, RN_PASS_FORWARD);
    struct rn_cuda_finish f = {};
    f.bias = bias;
    rn_cuda_conv_run(dev, &p, static_cast<float *>(dst), static_cast<const float *>(src),
                     static_cast<const float *>(packed), &f);
}

void rn_cuda_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed, const void *add,
                                  const struct rn_conv_shape *s, void *)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, RN_PASS_BACKWARD_DATA);
    struct rn_cuda_finish f = {};
    f.add = static_cast<const float *>(add);
    rn_cuda_conv_run(dev, &p, static_cast<float *>(dsrc), static_cast<const float *>(ddst),
                     static_cast<const float *>(packed), &f);
}
