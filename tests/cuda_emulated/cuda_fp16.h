/* cuda_fp16.h - the part of NVIDIA's header that src/cuda/ uses: IEEE binary16 and floats, nearest even. */
#ifndef RN_EMULATED_CUDA_FP16_H
#define RN_EMULATED_CUDA_FP16_H

#include "cuda_runtime.h"

struct __half { unsigned short bits; };

static inline __half __ushort_as_half(unsigned short bits) { return { bits }; }
static inline unsigned short __half_as_ushort(__half x) { return x.bits; }

static inline float __half2float(__half x)
{
    const unsigned exponent = x.bits >> 10 & 31u, fraction = x.bits & 1023u;
    const float sign = x.bits & 0x8000u ? -1.0f : 1.0f;
    if (exponent == 31) return fraction ? __uint_as_float(0x7fc00000u) : sign * HUGE_VALF;
    if (exponent == 0) return sign * ldexpf(static_cast<float>(fraction), -24);
    return sign * ldexpf(static_cast<float>(fraction + 1024), static_cast<int>(exponent) - 25);
}

static inline __half __float2half_rn(float x)
{
    const unsigned short sign = static_cast<unsigned short>(__float_as_uint(x) >> 16 & 0x8000u);
    float size = fabsf(x);
    int exponent;
    if (size == 0) return { sign };
    if (x != x) return { 0x7fff };
    if (size >= 65520.0f) return { static_cast<unsigned short>(sign | 0x7c00u) };
    frexpf(size, &exponent); /* size < 2^exponent */
    const int unit = (exponent < -13 ? -13 : exponent) - 11; /* of the last place */
    const unsigned places = static_cast<unsigned>(rintf(ldexpf(size, -unit)));
    return { static_cast<unsigned short>(sign | (places + (static_cast<unsigned>(unit + 24) << 10))) };
}

#endif /* RN_EMULATED_CUDA_FP16_H */
