/* kernels_avx2.c - the AVX2 + FMA instance: 16 registers of 8 floats.  Intel Haswell (2013) and AMD
 * Zen (2017) onwards. */
#include "cpu/cpu.h"
#include "cpu/unroll.h"

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
#define VSET1(x) _mm256_set1_ps(x)
#define VFMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#define VSQRT(x) _mm256_sqrt_ps(x)
#define DVEC __m256d
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

#include "cpu/loops.inc"
const struct rn_kernels rn_kernels_avx2 = RN_KERNELS("avx2");
#endif
