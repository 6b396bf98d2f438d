/*
 * real.h - floats as the rules see them: F (A5), fma (A4), bit access, finiteness.  Inline,
 * branch-free where a compiler may want to vectorise.
 */
#ifndef RN_REAL_H
#define RN_REAL_H

#include "base/base.h"

#include <math.h>
#include <string.h>

static inline uint32_t rn_bits(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline float rn_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
static inline uint64_t rn_bits64(double x) { uint64_t u; memcpy(&u, &x, 8); return u; }
static inline double rn_double(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }

static inline bool rn_finite(float x) { return (rn_bits(x) & 0x7f800000u) != 0x7f800000u; }
static inline bool rn_finite64(double x)
{
    return (rn_bits64(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

/* A5: what a store makes of x: +0 for zeros of both signs and subnormals, else x itself. */
static inline float rn_store(float x)
{
    uint32_t u = rn_bits(x);
    return rn_float((u & 0x7f800000u) ? u : 0);
}

/* A4 without hardware: exact double product, two-sum, the tail folded in by rounding to odd, one
 * final rounding.  Boldo & Melquiond, "Emulation of FMA and correctly rounded sums: proved
 * algorithms using rounding to odd", IEEE TC 57(4), 2008.
 *
 * x*y + z = s + e.  With e = 0, or NaN because s is not finite, s is all there is.  Otherwise the
 * significand of s, cut towards zero (one less if e points there), gets its last bit set. */
static inline float rn_soft_fmaf(float x, float y, float z)
{
    double p = (double)x * (double)y, c = z;
    double s = p + c, b = s - p, e = (p - (s - b)) + (c - b);
    uint64_t u = rn_bits64(s), inward = (u ^ rn_bits64(e)) >> 63, odd = (u - inward) | 1;
    return (float)rn_double(fabs(e) > 0.0 ? odd : u);
}

/* The one fused multiply-add of portable code: x*y + z, rounded once. */
static inline float rn_fmaf(float x, float y, float z)
{
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(x, y, z);
#else
    return rn_soft_fmaf(x, y, z);
#endif
}

/* A18: NaN stays. */
static inline float rn_relu(float x) { return x <= 0 ? 0.0f : x; }

#endif /* RN_REAL_H */
