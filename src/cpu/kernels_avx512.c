/* kernels_avx512.c - the AVX-512 instance: 32 registers of 16 floats.  Intel Skylake-SP (2017) and
 * AMD Zen 4 (2022) onwards. */
#include "cpu/bf16_conv.h"
#include "cpu/bf16_wgrad.h"
#include "cpu/cpu.h"
#include "cpu/unroll.h"
#include "ref/winograd.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define SUFFIX avx512
#define TARGET __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")))
#define VEC __m512
#define VL 16
#define VZERO() _mm512_setzero_ps()
#define VLOAD(p) _mm512_loadu_ps(p)
#define VSTORE(p, v) _mm512_storeu_ps(p, v)
#define VBYTES(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p)))
#define VSTOREBYTES(p, v) _mm_storeu_si128((void *)(p), _mm512_cvtepi32_epi8((__m512i)(v)))
#define VHALVES(p) _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(p)))
#define VSTOREHALVES(p, v) _mm256_storeu_si256((void *)(p), _mm512_cvtepi32_epi16((__m512i)(v)))
#define VSTREAM(p, v) _mm512_stream_ps(p, v)
#define VSTREAMHALVES(p, v) _mm256_stream_si256((void *)(p), _mm512_cvtepi32_epi16((__m512i)(v)))
#define VFENCE() _mm_sfence()
#define VSET1(x) _mm512_set1_ps(x)
#define VFMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define VPERM(v, lanes) _mm512_permutexvar_ps((__m512i)(lanes), v)
#define VSQRT(x) _mm512_sqrt_ps(x)
#define DVEC __m512d
#define DFMA(x, y, z) _mm512_fmadd_pd(x, y, z)
#define DLO(v) _mm512_cvtps_pd(_mm512_castps512_ps256(v))
#define DHI(v) _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))

#define MR 6 /* 24 accumulators + 4 + 1 of 32 registers */
#define NV 4
#include "cpu/gemm_ukr.inc"
#define MR 2
#define NV 4
#include "cpu/gemm_ukr.inc"
#define MR 12 /* 24 + 2 + 1 */
#define NV 2
#include "cpu/gemm_ukr.inc"
#define MR 3
#define NV 2
#include "cpu/gemm_ukr.inc"
#define MR 12 /* 12 + 1 + 1: enough chains to hide the latency of fma */
#define NV 1
#include "cpu/gemm_ukr.inc"
#define MR 3
#define NV 1
#include "cpu/gemm_ukr.inc"

static const struct rn_tile tiles[] = {
    { 6, 64, ukr_6x4_avx512 },  { 2, 64, ukr_2x4_avx512 },  { 12, 32, ukr_12x2_avx512 },
    { 3, 32, ukr_3x2_avx512 },  { 12, 16, ukr_12x1_avx512 }, { 3, 16, ukr_3x1_avx512 }, { 0, 0,
                                                                                          NULL },
};

#define MR 12
#define NV 2
#include "cpu/outer_ukr.inc"
#define MR 8
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
    { 12, 32, outer_12x2_avx512 },
    { 8, 32, outer_8x2_avx512 },
    { 4, 32, outer_4x2_avx512 },
    { 1, 32, outer_1x2_avx512 },
    { 12, 16, outer_12x1_avx512 },
    { 8, 16, outer_8x1_avx512 },
    { 4, 16, outer_4x1_avx512 },
    { 1, 16, outer_1x1_avx512 },
    { 0, 0, NULL },
};

#define MR 12
#include "cpu/narrow_ukr.inc"
#define MR 4
#include "cpu/narrow_ukr.inc"

static const struct rn_tile narrow_tiles[] = {
    { 12, 16, narrow_12_avx512 }, { 4, 16, narrow_4_avx512 }, { 0, 0, NULL },
};

#include "cpu/loops.inc"
const struct rn_kernels rn_kernels_avx512 = RN_KERNELS("avx512");
#endif
