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

/* -- bf16: the upper half of a float (A30) ------------------------------------------------------- */

typedef uint16_t rn_bf16;

static inline float rn_from_bf16(rn_bf16 x) { return rn_float((uint32_t)x << 16); }

/* Q: +0 below 2^-56, else to nearest even; what overflows is Inf, and NaN stays a quiet NaN. */
static inline rn_bf16 rn_to_bf16(float x)
{
    uint32_t u = rn_bits(x), magnitude = u & 0x7fffffffu;
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    if (magnitude > 0x7f800000u) rounded = u >> 16 | 0x40u;
    return (rn_bf16)(magnitude < 0x23800000u ? 0 : rounded);
}

/* Q as a float. */
static inline float rn_round_bf16(float x) { return rn_from_bf16(rn_to_bf16(x)); }

/* A18: NaN stays. */
static inline float rn_relu(float x) { return x <= 0 ? 0.0f : x; }

#endif /* RN_REAL_H */
