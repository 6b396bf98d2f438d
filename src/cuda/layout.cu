/*
 * layout.cu - tensors are dense NHWC: the way there from the host's NCHW and back.  A copy of the tensor as the
 * host has it lies in the staging memory; one thread moves one element.
 */
#include "cuda/storage.h"

#include <string.h>

#define THREADS 256

/* Tensor [count / C / map][map][C] from dense [..][C][map]. */
template <class T> static __global__ void set_kernel(T *dst, const float *nchw, size_t count, int C, int map)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count) return;
    size_t position = i / C, c = i % C, n = position / map;
    dst[i] = rn_put<T>(nchw[(n * C + c) * map + position % map]);
}

template <class T> static __global__ void get_kernel(float *nchw, const T *src, size_t count, int C, int map)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count) return;
    size_t plane = i / map, p = i % map, n = plane / C;
    nchw[i] = rn_load(src[(n * map + p) * C + plane % C]);
}

static size_t count_of(int N, int C, int H, int W)
{
    return static_cast<size_t>(N) * static_cast<size_t>(C) * static_cast<size_t>(H) * static_cast<size_t>(W);
}

size_t rn_cuda_tensor_bytes(void *dev, int N, int C, int H, int W)
{
    return count_of(N, C, H, W) * rn_cuda_element_bytes(rn_cuda_device(dev));
}

void rn_cuda_tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    size_t count = count_of(N, C, H, W);
    float *staging = static_cast<float *>(rn_cuda_stage(cuda, count * sizeof(float)));
    if (staging) {
        rn_cuda_write(dev, staging, nchw, count * sizeof(float));
        rn_cuda_typed(dev, [=](auto type) {
            rn_launch(dev, set_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dst, staging, count, C,
                      H * W);
        });
    }
    rn_cuda_unstage(cuda);
}

void rn_cuda_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    size_t count = count_of(N, C, H, W);
    float *staging = static_cast<float *>(rn_cuda_stage(cuda, count * sizeof(float)));
    if (staging) {
        rn_cuda_typed(dev, [=](auto type) {
            rn_launch(dev, get_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, staging, src, count, C,
                      H * W);
        });
        rn_cuda_read(dev, nchw, staging, count * sizeof(float));
    } else {
        memset(nchw, 0xff, count * sizeof(float)); /* NaN */
    }
    rn_cuda_unstage(cuda);
}
