/*
 * pool.cu - max, average and global average pooling (A19, A20): one thread makes one element, forward from the
 * taps of its window, backward from the windows that cover it, both in the order of their rule.
 */
#include "cuda/storage.h"

#define THREADS 256

/* An element of a tensor [N][H][W][C]. */
struct element { int n, h, w, c; };

/* The element that this thread makes, if there is one. */
static __device__ inline bool mine(size_t *at, struct element *e, int N, int C, int H, int W)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    unsigned row = W * C, inside;
    size_t rows = i / row;
    if (rows >= static_cast<size_t>(N) * H) return false;
    inside = static_cast<unsigned>(i % row);
    *at = i;
    e->c = inside % C;
    e->w = inside / C;
    e->h = static_cast<int>(rows % H);
    e->n = static_cast<int>(rows / H);
    return true;
}

static __device__ inline size_t offset(int n, int h, int w, int c, int C, int H, int W)
{
    return ((static_cast<size_t>(n) * H + h) * W + w) * C + c;
}

static unsigned blocks(int N, int C, int H, int W)
{
    return rn_cuda_blocks(static_cast<size_t>(N) * C * H * W, THREADS);
}

/* The windows that cover place i of an axis: [first, end) of `outputs`. */
static __device__ inline int first_window(int i, int pad, int taps, int stride)
{
    int least = i + pad - taps + 1;
    return least > 0 ? (least + stride - 1) / stride : 0;
}

static __device__ inline int end_window(int i, int pad, int stride, int outputs)
{
    return RN_MIN((i + pad) / stride + 1, outputs);
}

template <class T>
static __global__ void max_kernel(T *dst, uint8_t *index, const T *src, struct rn_pool_shape s)
{
    size_t at;
    struct element e;
    if (!mine(&at, &e, s.N, s.C, s.P, s.Q)) return;
    float best = 0;
    int tap = -1;
    for (int kh = 0; kh < s.R; kh++)
        for (int kw = 0; kw < s.S; kw++) {
            int h = e.h * s.stride - s.pad + kh, w = e.w * s.stride - s.pad + kw;
            if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
            float v = rn_load(src[offset(e.n, h, w, e.c, s.C, s.H, s.W)]);
            if (tap >= 0 && !(v > best || v != v)) continue;
            best = v;
            tap = kh * s.S + kw;
        }
    dst[at] = rn_put<T>(best);
    if (tap >= 0) index[at] = static_cast<uint8_t>(tap);
}

template <class T>
static __global__ void max_back_kernel(T *dsrc, const T *ddst, const uint8_t *index, struct rn_pool_shape s)
{
    size_t at;
    struct element e;
    if (!mine(&at, &e, s.N, s.C, s.H, s.W)) return;
    float acc = 0;
    for (int p = first_window(e.h, s.pad, s.R, s.stride); p < end_window(e.h, s.pad, s.stride, s.P); p++)
        for (int q = first_window(e.w, s.pad, s.S, s.stride); q < end_window(e.w, s.pad, s.stride, s.Q); q++) {
            size_t o = offset(e.n, p, q, e.c, s.C, s.P, s.Q);
            int tap = (e.h + s.pad - p * s.stride) * s.S + e.w + s.pad - q * s.stride;
            if (index[o] == tap) acc = acc + rn_load(ddst[o]);
        }
    dsrc[at] = rn_put<T>(acc);
}

template <class T> static __global__ void average_kernel(T *dst, const T *src, struct rn_pool_shape s)
{
    size_t at;
    struct element e;
    if (!mine(&at, &e, s.N, s.C, s.P, s.Q)) return;
    float acc = 0;
    for (int kh = 0; kh < s.R; kh++)
        for (int kw = 0; kw < s.S; kw++) {
            int h = e.h * s.stride - s.pad + kh, w = e.w * s.stride - s.pad + kw;
            if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
            acc = acc + rn_load(src[offset(e.n, h, w, e.c, s.C, s.H, s.W)]);
        }
    dst[at] = rn_put<T>(__fdiv_rn(acc, static_cast<float>(s.R * s.S)));
}

template <class T> static __global__ void average_back_kernel(T *dsrc, const T *ddst, struct rn_pool_shape s)
{
    size_t at;
    struct element e;
    if (!mine(&at, &e, s.N, s.C, s.H, s.W)) return;
    float acc = 0;
    for (int p = first_window(e.h, s.pad, s.R, s.stride); p < end_window(e.h, s.pad, s.stride, s.P); p++)
        for (int q = first_window(e.w, s.pad, s.S, s.stride); q < end_window(e.w, s.pad, s.stride, s.Q); q++)
            acc = acc + rn_load(ddst[offset(e.n, p, q, e.c, s.C, s.P, s.Q)]);
    dsrc[at] = rn_put<T>(__fdiv_rn(acc, static_cast<float>(s.R * s.S)));
}

void rn_cuda_maxpool_forward(void *dev, void *dst, uint8_t *index, const void *src, const struct rn_pool_shape *s)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, max_kernel<decltype(type)>, blocks(s->N, s->C, s->P, s->Q), THREADS, dst, index, src, *s);
    });
}

void rn_cuda_maxpool_backward(void *dev, void *dsrc, const void *ddst, const uint8_t *index,
                              const struct rn_pool_shape *s)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, max_back_kernel<decltype(type)>, blocks(s->N, s->C, s->H, s->W), THREADS, dsrc, ddst, index, *s);
    });
}

void rn_cuda_avgpool_forward(void *dev, void *dst, const void *src, const struct rn_pool_shape *s)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, average_kernel<decltype(type)>, blocks(s->N, s->C, s->P, s->Q), THREADS, dst, src, *s);
    });
}

void rn_cuda_avgpool_backward(void *dev, void *dsrc, const void *ddst, const struct rn_pool_shape *s)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, average_back_kernel<decltype(type)>, blocks(s->N, s->C, s->H, s->W), THREADS, dsrc, ddst, *s);
    });
}

/* One window as large as the map. */
static struct rn_pool_shape whole_map(const struct rn_pool_shape *s)
{
    struct rn_pool_shape whole = { s->N, s->C, s->H, s->W, s->H, s->W, 1, 1, 1, 0 };
    return whole;
}

void rn_cuda_global_avgpool_forward(void *dev, void *dst, const void *src, const struct rn_pool_shape *s)
{
    struct rn_pool_shape whole = whole_map(s);
    rn_cuda_avgpool_forward(dev, dst, src, &whole);
}

void rn_cuda_global_avgpool_backward(void *dev, void *dsrc, const void *ddst, const struct rn_pool_shape *s)
{
    struct rn_pool_shape whole = whole_map(s);
    rn_cuda_avgpool_backward(dev, dsrc, ddst, &whole);
}
