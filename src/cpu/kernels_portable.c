/*
 * kernels_portable.c - the instance for any machine: vectors of 4 floats in the compiler's own
 * terms.
 *
 * Where the compiler's target has no fma, it is emulated lane by lane as rn_soft_fmaf does (A4),
 * without branches so that it still runs on whatever vectors there are; about a tenth of the speed
 * of hardware.
 */
#include "cpu/bf16_conv.h"
#include "cpu/bf16_wgrad.h"
#include "cpu/cpu.h"
#include "cpu/unroll.h"
#include "ref/winograd.h"

#include <math.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef float vec4 __attribute__((vector_size(16)));
typedef int32_t int4 __attribute__((vector_size(16)));
typedef double pair __attribute__((vector_size(16)));
typedef uint64_t pair_bits __attribute__((vector_size(16)));

static inline vec4 vload(const float *p)
{
    vec4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline vec4 permuted(vec4 v, int4 l) { return (vec4){ v[l[0]], v[l[1]], v[l[2]], v[l[3]] }; }

static inline void vstore(float *p, vec4 v) { memcpy(p, &v, sizeof v); }

/* Two lanes as doubles.  gcc 12 builds a vector of doubles straight from the doubles that its
 * floats were rounded from, and so loses the rounding: hence the processor's own conversions, or a
 * value that the compiler cannot look through. */
#if defined(__SSE2__)
static inline pair widen_low(vec4 v) { return _mm_cvtps_pd(v); }
static inline pair widen_high(vec4 v) { return _mm_cvtps_pd(_mm_movehl_ps(v, v)); }
#else
static inline vec4 opaque(vec4 v)
{
    __asm__("" : "+m"(v));
    return v;
}

static inline pair widen_low(vec4 v)
{
    vec4 w = opaque(v);
    return (pair){ w[0], w[1] };
}

static inline pair widen_high(vec4 v)
{
    vec4 w = opaque(v);
    return (pair){ w[2], w[3] };
}
#endif

#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
static inline vec4 vfma(vec4 x, vec4 y, vec4 z)
{
    return (vec4){ __builtin_fmaf(x[0], y[0], z[0]), __builtin_fmaf(x[1], y[1], z[1]),
                   __builtin_fmaf(x[2], y[2], z[2]), __builtin_fmaf(x[3], y[3], z[3]) };
}
#else
static inline vec4 narrow(pair lo, pair hi)
{
#if defined(__SSE2__)
    return _mm_movelh_ps(_mm_cvtpd_ps(lo), _mm_cvtpd_ps(hi));
#else
    return opaque((vec4){ (float)lo[0], (float)lo[1], (float)hi[0], (float)hi[1] });
#endif
}

/* rn_soft_fmaf up to its last rounding, for two lanes: the sum rounded to odd where it is inexact.
 */
static inline pair odd_sum(pair x, pair y, pair c)
{
    pair p = x * y, s = p + c, b = s - p, e = (p - (s - b)) + (c - b), zero = { 0, 0 };
    pair_bits u = (pair_bits)s, inward = (u ^ (pair_bits)e) >> 63;
    pair_bits inexact = (pair_bits)(e > zero) | (pair_bits)(e < zero);
    return (pair)((((u - inward) | 1) & inexact) | (u & ~inexact));
}

static inline vec4 vfma(vec4 x, vec4 y, vec4 z)
{
    return narrow(odd_sum(widen_low(x), widen_low(y), widen_low(z)),
                  odd_sum(widen_high(x), widen_high(y), widen_high(z)));
}
#endif

#define SUFFIX portable
#define TARGET
#define VEC vec4
#define VL 4
#define VZERO() ((vec4){ 0, 0, 0, 0 })
#define VLOAD(p) vload(p)
#define VSTORE(p, v) vstore(p, v)
#define VBYTES(p) ((vint){ (p)[0], (p)[1], (p)[2], (p)[3] })
#define VSTOREBYTES(p, v)                                                                         \
    ((p)[0] = (uint8_t)(v)[0], (p)[1] = (uint8_t)(v)[1], (p)[2] = (uint8_t)(v)[2],               \
     (p)[3] = (uint8_t)(v)[3])
#define VHALVES(p) ((vint){ (p)[0], (p)[1], (p)[2], (p)[3] })
#define VSTOREHALVES(p, v)                                                                        \
    ((p)[0] = (uint16_t)(v)[0], (p)[1] = (uint16_t)(v)[1], (p)[2] = (uint16_t)(v)[2],            \
     (p)[3] = (uint16_t)(v)[3])
#define VSTREAM(p, v) VSTORE(p, v)
#define VSTREAMHALVES(p, v) VSTOREHALVES(p, v)
#define VFENCE() ((void)0)
#define VSET1(x) ((vec4){ x, x, x, x })
#define VFMA(x, y, z) vfma(x, y, z)
#define VPERM(v, l) permuted(v, l)
#define VSQRT(x) ((vec4){ sqrtf((x)[0]), sqrtf((x)[1]), sqrtf((x)[2]), sqrtf((x)[3]) })
#define DVEC pair
#define DFMA(x, y, z) ((x) * (y) + (z))
#define DLO(v) widen_low(v)
#define DHI(v) widen_high(v)

#define MR 3
#define NV 2
#include "cpu/gemm_ukr.inc"
#define MR 1
#define NV 2
#include "cpu/gemm_ukr.inc"
#define MR 3
#define NV 1
#include "cpu/gemm_ukr.inc"

static const struct rn_tile tiles[] = {
    { 3, 8, ukr_3x2_portable }, { 1, 8, ukr_1x2_portable }, { 3, 4, ukr_3x1_portable }, { 0, 0,
                                                                                          NULL },
};

#define MR 3
#define NV 2
#include "cpu/outer_ukr.inc"
#define MR 1
#define NV 2
#include "cpu/outer_ukr.inc"
#define MR 3
#define NV 1
#include "cpu/outer_ukr.inc"
#define MR 1
#define NV 1
#include "cpu/outer_ukr.inc"

static const struct rn_outer_tile outer[] = {
    { 3, 8, outer_3x2_portable },
    { 1, 8, outer_1x2_portable },
    { 3, 4, outer_3x1_portable },
    { 1, 4, outer_1x1_portable },
    { 0, 0, NULL },
};

#define MR 6
#include "cpu/narrow_ukr.inc"
#define MR 2
#include "cpu/narrow_ukr.inc"

static const struct rn_tile narrow_tiles[] = {
    { 6, 4, narrow_6_portable }, { 2, 4, narrow_2_portable }, { 0, 0, NULL },
};

#include "cpu/loops.inc"
const struct rn_kernels rn_kernels_portable = RN_KERNELS("portable");
