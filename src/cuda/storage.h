/*
 * storage.h - what a tensor holds: floats, or numbers of 16 bits in which nothing is computed: they are loaded as
 * floats and rounded when they are stored.  The exact numerics has floats alone; a build without cuDNN has kernels for
 * no others.
 */
#ifndef RN_CUDA_STORAGE_H
#define RN_CUDA_STORAGE_H

#include "cuda/cuda.h"

#ifdef RN_HAVE_CUDNN
#include <cuda_fp16.h>
#endif

/* IEEE binary16, subnormals and all; and the upper half of a float, rounded by A30. */
struct rn_cuda_half { uint16_t bits; };
struct rn_cuda_bf16 { uint16_t bits; };

/* Calls body(T()) with the T of the device's tensors. */
template <class Body> static inline void rn_cuda_typed(void *dev, Body body)
{
#ifdef RN_HAVE_CUDNN
    const enum rn_cuda_storage storage = rn_cuda_device(dev)->storage;
    if (storage == RN_CUDA_HALF) return body(rn_cuda_half());
    if (storage == RN_CUDA_BF16) return body(rn_cuda_bf16());
#endif
    (void)dev;
    body(float());
}

static __device__ inline float rn_load(float x) { return x; }

/* F(x) (A5) as what a tensor holds. */
template <class T> static __device__ inline T rn_put(float x);
template <> __device__ inline float rn_put<float>(float x) { return rn_cuda_store(x); }

#ifdef RN_HAVE_CUDNN
static __device__ inline float rn_load(rn_cuda_half x) { return __half2float(__ushort_as_half(x.bits)); }
static __device__ inline float rn_load(rn_cuda_bf16 x)
{
    return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

template <> __device__ inline rn_cuda_half rn_put<rn_cuda_half>(float x)
{
    return { __half_as_ushort(__float2half_rn(x)) };
}

template <> __device__ inline rn_cuda_bf16 rn_put<rn_cuda_bf16>(float x)
{
    unsigned u = __float_as_uint(rn_cuda_store(x));
    if ((u & 0x7fffffffu) > 0x7f800000u) return { static_cast<uint16_t>(u >> 16 | 0x40u) };
    return { static_cast<uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16) };
}
#endif

/* x as it comes back out of a tensor. */
template <class T> static __device__ inline float rn_stored(float x) { return rn_load(rn_put<T>(x)); }

#endif /* RN_CUDA_STORAGE_H */
