/* kernels_avx2.c - the AVX2 + FMA instance: 16 registers of 8 floats.  Intel Haswell (2013) and AMD
 * Zen (2017) onwards. */
#include "cpu/bf16_conv.h"
#include "cpu/bf16_wgrad.h"
#include "cpu/cpu.h"
#include "cpu/unroll.h"
#include "ref/winograd.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define SUFFIX avx2
#define TARGET __attribute__((target("avx2,fma")))
#define VEC __m256
#define VL 8
#define VZERO() _mm256_setzero_ps()
#define VLOAD(p) _mm256_loadu_ps(p)
#define VSTORE(p, v) _mm256_storeu_ps(p, v)
#define VBYTES(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(p)))
#define VSTOREBYTES(p, v)                                                                         \
    do {                                                                                          \
        __m128i low = _mm256_castsi256_si128((__m256i)(v));                                       \
        __m128i words = _mm_packus_epi32(low, _mm256_extracti128_si256((__m256i)(v), 1));         \
        _mm_storel_epi64((void *)(p), _mm_packus_epi16(words, words));                            \
    } while (0)
#define VHALVES(p) _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(p)))
#define VSTOREHALVES(p, v)                                                                        \
    _mm_storeu_si128((void *)(p), _mm_packus_epi32(_mm256_castsi256_si128((__m256i)(v)),          \
                                                   _mm256_extracti128_si256((__m256i)(v), 1)))
#define VSTREAM(p, v) _mm256_stream_ps(p, v)
#define VSTREAMHALVES(p, v)                                                                       \
    _mm_stream_si128((void *)(p), _mm_packus_epi32(_mm256_castsi256_si128((__m256i)(v)),          \
                                                   _mm256_extracti128_si256((__m256i)(v), 1)))
#define VFENCE() _mm_sfence()
#define VSET1(x) _mm256_set1_ps(x)
#define VFMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#define VPERM(v, lanes) _mm256_permutevar8x32_ps(v, (__m256i)(lanes))
#define VSQRT(x) _mm256_sqrt_ps(x)
#define DVEC __m256d
#define DFMA(x, y, z) _mm256_fmadd_pd(x, y, z)
#define DLO(v) _mm256_cvtps_pd(_mm256_castps256_ps128(v))
#define DHI(v) _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))

#define MR 6 /* 12 accumulators + 2 + 1 of 16 registers */
#define NV 2
#include "cpu/gemm_ukr.inc"
#define MR 2
#define NV 2
#include "cpu/gemm_ukr.inc"
#define MR 12 /* 12 + 1 + 1 */
#define NV 1
#include "cpu/gemm_ukr.inc"
#define MR 3
#define NV 1
#include "cpu/gemm_ukr.inc"

static const struct rn_tile tiles[] = {
    { 6, 16, ukr_6x2_avx2 }, { 2, 16, ukr_2x2_avx2 }, { 12, 8, ukr_12x1_avx2 },
    { 3, 8, ukr_3x1_avx2 },  { 0, 0, NULL },
};

#define MR 6
#define NV 2
#include "cpu/outer_ukr.inc"
#define MR 4
#define NV 2
#include "cpu/outer_ukr.inc"
#define MR 1
#define NV 2
#include "cpu/outer_ukr.inc"
#define MR 12
#define NV 1
#include "cpu/outer_ukr.inc"
#define MR 8
#define NV 1
#include "cpu/outer_ukr.inc"
#define MR 4
#define NV 1
#include "cpu/outer_ukr.inc"
#define MR 1
#define NV 1
#include "cpu/outer_ukr.inc"

static const struct rn_outer_tile outer[] = {
    { 6, 16, outer_6x2_avx2 },
    { 4, 16, outer_4x2_avx2 },
    { 1, 16, outer_1x2_avx2 },
    { 12, 8, outer_12x1_avx2 },
    { 8, 8, outer_8x1_avx2 },
    { 4, 8, outer_4x1_avx2 },
    { 1, 8, outer_1x1_avx2 },
    { 0, 0, NULL },
};

#define MR 12
#include "cpu/narrow_ukr.inc"
#define MR 4
#include "cpu/narrow_ukr.inc"

static const struct rn_tile narrow_tiles[] = {
    { 12, 8, narrow_12_avx2 }, { 4, 8, narrow_4_avx2 }, { 0, 0, NULL },
};

#include "cpu/loops.inc"
const struct rn_kernels rn_kernels_avx2 = RN_KERNELS("avx2");
#endif
