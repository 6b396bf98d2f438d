/*
 * resize.cu - bilinear resize with half-pixel centres (A21).  One thread makes one element; backward it looks up
 * the outputs that its input has a part in, (oh, ow) ascending.
 */
#include "cuda/storage.h"

#define THREADS 256

/* Where an output lies between two inputs: `low` has weight 1 - lambda, `high` has lambda; at the border both are
 * one input, of weight 1. */
struct place { int low, high; float lambda; };

static __device__ inline struct place place_of(int d, int inputs, int outputs)
{
    int64_t n = (2 * static_cast<int64_t>(d) + 1) * inputs - outputs, unit = 2 * static_cast<int64_t>(outputs);
    struct place p;
    if (n < 0) n = 0;
    p.low = static_cast<int>(n / unit);
    p.high = p.low + 1;
    p.lambda = __fdiv_rn(static_cast<float>(n % unit), static_cast<float>(unit));
    if (p.high >= inputs) {
        p.high = p.low;
        p.lambda = 0;
    }
    return p;
}

/* No output before this one has a part of input i, for `low` grows with the output and must be i - 1 at least. */
static __device__ inline int first_output(int i, int inputs, int outputs)
{
    int64_t n = 2 * static_cast<int64_t>(outputs) * (i - 1) + outputs - inputs;
    return n > 0 ? static_cast<int>(n / (2 * static_cast<int64_t>(inputs))) : 0;
}

template <class T> static __global__ void resize_kernel(T *dst, const T *src, struct rn_resize_shape s)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x, C = s.C, W = s.W;
    size_t q = i / C, p = q / s.Q, n = p / s.P;
    if (n >= static_cast<size_t>(s.N)) return;
    struct place y = place_of(static_cast<int>(p % s.P), s.H, s.P), x = place_of(static_cast<int>(q % s.Q), s.W, s.Q);
    const T *low = src + (n * s.H + y.low) * W * C + i % C, *high = src + (n * s.H + y.high) * W * C + i % C;
    float a = rn_load(low[x.low * C]), b = rn_load(low[x.high * C]);
    float c = rn_load(high[x.low * C]), d = rn_load(high[x.high * C]);
    float upper = __fmaf_rn(x.lambda, b - a, a), lower = __fmaf_rn(x.lambda, d - c, c);
    dst[i] = rn_put<T>(__fmaf_rn(y.lambda, lower - upper, upper));
}

template <class T> static __global__ void resize_back_kernel(T *dsrc, const T *ddst, struct rn_resize_shape s)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x, C = s.C;
    size_t column = i / C, row = column / s.W, n = row / s.H;
    if (n >= static_cast<size_t>(s.N)) return;
    int h = static_cast<int>(row % s.H), w = static_cast<int>(column % s.W);
    float acc = 0;
    for (int oh = first_output(h, s.H, s.P); oh < s.P; oh++) {
        struct place y = place_of(oh, s.H, s.P);
        if (y.low > h) break;
        if (y.low != h && y.high != h) continue;
        float wy = y.low == h ? 1 - y.lambda : y.lambda;
        for (int ow = first_output(w, s.W, s.Q); ow < s.Q; ow++) {
            struct place x = place_of(ow, s.W, s.Q);
            if (x.low > w) break;
            if (x.low != w && x.high != w) continue;
            float wx = x.low == w ? 1 - x.lambda : x.lambda;
            acc = __fmaf_rn(wy * wx, rn_load(ddst[((n * s.P + oh) * s.Q + ow) * C + i % C]), acc);
        }
    }
    dsrc[i] = rn_put<T>(acc);
}

static unsigned blocks(const struct rn_resize_shape *s, int H, int W)
{
    return rn_cuda_blocks(static_cast<size_t>(s->N) * s->C * H * W, THREADS);
}

void rn_cuda_resize_forward(void *dev, void *dst, const void *src, const struct rn_resize_shape *s)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, resize_kernel<decltype(type)>, blocks(s, s->P, s->Q), THREADS, dst, src, *s);
    });
}

void rn_cuda_resize_backward(void *dev, void *dsrc, const void *ddst, const struct rn_resize_shape *s)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, resize_back_kernel<decltype(type)>, blocks(s, s->H, s->W), THREADS, dsrc, ddst, *s);
    });
}
