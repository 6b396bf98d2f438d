/*
 * conv_narrow.cu - convolutions whose groups have few channels, depthwise ones among them: a thread for a channel
 * of the destination and four of its pixels.
 *
 * A tile of such a group would be mostly empty.  Here neighbouring threads are neighbouring channels, so a warp
 * reads 32 weights and, depthwise, 32 inputs that lie side by side, and each weight serves four pixels.
 */
#include "cuda/conv_rows.h"

#define PIXELS 4
#define THREADS 128

/* A block has four rows of the product and, of their pixels, the channels of 128 threads. */
static __global__ void __launch_bounds__(THREADS)
narrow_rows(float *dst, const float *src, const float *packed, struct rn_cuda_pass p, struct rn_cuda_rows r)
{
    struct rn_cuda_part part = rn_cuda_part_of(p, r, static_cast<int>(blockIdx.x), PIXELS, THREADS);
    const int k = part.col + static_cast<int>(threadIdx.x);
    if (k >= p.to.C || part.left <= 0) return;
    part.group = k / p.cols;
    part.col = k % p.cols;
    const int first = part.h.before * p.S + part.h.taps * part.w.before, sign = p.backward ? -1 : 1;
    const float *weight = packed + static_cast<size_t>(first) * static_cast<size_t>(p.run) * p.ld + k;
    const float *const channels = src + part.group * p.run;
    struct rn_cuda_row row[PIXELS];
    float sum[PIXELS] = {};
    RN_UNROLL
    for (int i = 0; i < PIXELS; i++) row[i] = rn_cuda_find_row(part, i);
    for (int a = 0; a < part.h.taps; a++)
        for (int b = 0; b < part.w.taps; b++) {
            const float *at[PIXELS];
            RN_UNROLL
            for (int i = 0; i < PIXELS; i++) {
                const int y = row[i].i * p.step + part.h.base + sign * a;
                const int x = row[i].j * p.step + part.w.base + sign * b;
                const bool inside = row[i].i >= 0 && y >= 0 && y < p.from.H && x >= 0 && x < p.from.W;
                const int64_t pixel = (row[i].n * p.from.H + y) * p.from.W + x;
                at[i] = inside ? channels + pixel * p.from.C : nullptr;
            }
            for (int c = 0; c < p.run; c++, weight += p.ld) {
                RN_UNROLL
                for (int i = 0; i < PIXELS; i++)
                    if (at[i]) sum[i] = __fmaf_rn(at[i][c], *weight, sum[i]);
            }
        }
    const auto columns = rn_cuda_columns_of<1>(p, r.finish, part.group, part.col);
    RN_UNROLL
    for (int i = 0; i < PIXELS; i++) {
        const int64_t pixel = rn_cuda_pixel_of(p, part, i);
        if (pixel >= 0) rn_cuda_finish_columns<1>(dst, static_cast<size_t>(pixel) * p.to.C + k, &sum[i], columns, r);
    }
}

void rn_cuda_conv_narrow(void *dev, const struct rn_cuda_pass *p, float *dst, const float *src,
                         const float *packed, const struct rn_cuda_finish *f)
{
    const int h = (p->to.H + p->classes - 1) / p->classes, w = (p->to.W + p->classes - 1) / p->classes;
    struct rn_cuda_rows r = {};
    r.finish = *f;
    r.row_tiles = static_cast<int>((static_cast<int64_t>(p->N) * h * w + PIXELS - 1) / PIXELS);
    r.col_tiles = (p->to.C + THREADS - 1) / THREADS;
    const size_t parts = static_cast<size_t>(r.row_tiles) * static_cast<size_t>(r.col_tiles * p->classes * p->classes);
    rn_launch(dev, narrow_rows, static_cast<unsigned>(parts), THREADS, dst, src, packed, *p, r);
}
