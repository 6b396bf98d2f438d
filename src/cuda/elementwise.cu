/*
 * elementwise.cu - ReLU, additions (A18, A25) and the search for numbers that are not finite (A7): one thread,
 * one element, neighbours beside each other.
 */
#include "cuda/storage.h"

#define THREADS 256

static __device__ inline size_t element() { return static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x; }

template <class T> static __global__ void relu_kernel(T *dst, const T *src, size_t count)
{
    size_t i = element();
    if (i < count) dst[i] = rn_put<T>(rn_cuda_relu(rn_load(src[i])));
}

template <class T> static __global__ void relu_back_kernel(T *dsrc, const T *ddst, const T *dst, size_t count)
{
    size_t i = element();
    if (i < count) dsrc[i] = rn_put<T>(rn_load(dst[i]) <= 0 ? 0.0f : rn_load(ddst[i]));
}

template <class T> static __global__ void add_kernel(T *dst, const T *a, const T *b, size_t count)
{
    size_t i = element();
    if (i < count) dst[i] = rn_put<T>(rn_load(a[i]) + rn_load(b[i]));
}

static __global__ void begin_kernel(int32_t *all, const int32_t *given) { *all = rn_cuda_given(given); }

/* *all = 0 if there is such a number; each thread looks at every (number of threads)-th element. */
template <class T> static __global__ void finite_kernel(int32_t *all, const T *src, size_t count)
{
    size_t step = static_cast<size_t>(gridDim.x) * THREADS;
    for (size_t i = element(); i < count; i += step)
        if ((__float_as_uint(rn_load(src[i])) & 0x7f800000u) == 0x7f800000u) *all = 0;
}

void rn_cuda_relu_forward(void *dev, void *dst, const void *src, size_t count)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, relu_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dst, src, count);
    });
}

void rn_cuda_relu_backward(void *dev, void *dsrc, const void *ddst, const void *dst, size_t count)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, relu_back_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dsrc, ddst, dst,
                  count);
    });
}

void rn_cuda_add(void *dev, void *dst, const void *a, const void *b, size_t count)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, add_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dst, a, b, count);
    });
}

void rn_cuda_accumulate(void *dev, float *dst, const float *src, size_t count)
{
    rn_launch(dev, add_kernel<float>, rn_cuda_blocks(count, THREADS), THREADS, dst, dst, src, count);
}

template <class T> static void finite(void *dev, int32_t *all, const T *src, size_t count, const int32_t *given)
{
    rn_launch(dev, begin_kernel, 1, 1, all, given);
    rn_launch(dev, finite_kernel<T>, RN_MIN(rn_cuda_blocks(count, THREADS), 4096u), THREADS, all, src, count);
}

void rn_cuda_finite(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given)
{
    finite(dev, all, src, count, given);
}

void rn_cuda_tensor_finite(void *dev, int32_t *all, const void *src, size_t count)
{
    rn_cuda_typed(dev, [=](auto type) { finite(dev, all, static_cast<const decltype(type) *>(src), count, NULL); });
}
