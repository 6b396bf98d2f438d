/* numbers.h - elements of tensors and matrices for the emulated libraries, by the number of bytes and the kind. */
#ifndef RN_EMULATED_NUMBERS_H
#define RN_EMULATED_NUMBERS_H

#include "cuda_fp16.h"

enum rn_kind { RN_FLOAT, RN_HALF, RN_BF16 };

static inline size_t rn_kind_bytes(rn_kind kind) { return kind == RN_FLOAT ? 4 : 2; }

static inline float rn_get(const void *data, rn_kind kind, size_t i)
{
    if (kind == RN_FLOAT) return static_cast<const float *>(data)[i];
    const unsigned short bits = static_cast<const unsigned short *>(data)[i];
    return kind == RN_HALF ? __half2float({ bits }) : __uint_as_float(static_cast<unsigned>(bits) << 16);
}

/* x with `places` bits behind the point, nearest even. */
static inline float rn_rounded(float x, int places)
{
    unsigned u = __float_as_uint(x), low = 1u << (23 - places);
    if ((u & 0x7f800000u) == 0x7f800000u) return x;
    return __uint_as_float((u + low / 2 - 1 + (u / low & 1)) / low * low);
}

static inline void rn_set(void *data, rn_kind kind, size_t i, float x)
{
    if (kind == RN_FLOAT) static_cast<float *>(data)[i] = x;
    else if (kind == RN_HALF) static_cast<unsigned short *>(data)[i] = __float2half_rn(x).bits;
    else static_cast<unsigned short *>(data)[i] = static_cast<unsigned short>(__float_as_uint(rn_rounded(x, 7)) >> 16);
}

#endif /* RN_EMULATED_NUMBERS_H */
