/*
 * loops.c - loops of vectors, written once for every instruction set.
 *
 * The tile has the form of any matrix product: a step loads a few vectors and broadcasts six values, and makes as many
 * multiply-adds of them as fit the registers.  What it reaches of the peak is what a product can, whoever writes it;
 * and the same goes for what becomes of its sums: scaled, shifted, added to something, cut at zero and stored.
 */
#include "analyze/loops.h"

#include "base/real.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define ROWS RN_LOOP_ROWS
#define CHAINS 8 /* of sums: additions take a few cycles, and none shall wait */

#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 8")
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

#define TILE_LOOP(NAME, TARGET, VEC, LANES, VECTORS, ZERO, LOAD, STORE, SET, FMA)                    \
    TARGET static void NAME(float *sums, const float *panel, const float *value, int64_t steps)      \
    {                                                                                                \
        VEC acc[ROWS][VECTORS], w[VECTORS];                                                          \
        UNROLL for (int i = 0; i < ROWS; i++)                                                        \
            UNROLL for (int k = 0; k < VECTORS; k++) acc[i][k] = ZERO;                               \
        for (int64_t s = 0; s < steps; s++, panel += VECTORS * (LANES)) {                            \
            const float *v = value + ROWS * (s % RN_LOOP_VALUES);                                    \
            UNROLL for (int k = 0; k < VECTORS; k++) w[k] = LOAD(panel + k * (LANES));               \
            UNROLL for (int i = 0; i < ROWS; i++) {                                                  \
                const VEC x = SET(v[i]);                                                             \
                UNROLL for (int k = 0; k < VECTORS; k++) acc[i][k] = FMA(w[k], x, acc[i][k]);        \
            }                                                                                        \
        }                                                                                            \
        UNROLL for (int i = 0; i < ROWS; i++)                                                        \
            UNROLL for (int k = 0; k < VECTORS; k++)                                                 \
                STORE(sums + (i * VECTORS + k) * (LANES), acc[i][k]);                                \
    }

#define FINISH_LOOP(NAME, TARGET, VEC, LANES, VECTORS, ZERO, LOAD, STORE, FMA, ADD, MAX)             \
    TARGET static void NAME(float *to, const float *add, size_t stride, const float *sums,           \
                            const float *factor)                                                     \
    {                                                                                                \
        const VEC zero = ZERO;                                                                       \
        for (int k = 0; k < VECTORS; k++, to += (LANES), add += (LANES), sums += (LANES)) {          \
            const VEC a = LOAD(factor + k * (LANES)), b = LOAD(factor + (VECTORS + k) * (LANES));    \
            for (size_t i = 0; i < ROWS; i++) {                                                      \
                const VEC x = FMA(LOAD(sums + i * VECTORS * (LANES)), a, b);                         \
                STORE(to + i * stride, MAX(ADD(x, LOAD(add + i * stride)), zero));                   \
            }                                                                                        \
        }                                                                                            \
    }

#define READ_LOOP(NAME, TARGET, VEC, LANES, ZERO, LOAD, ADD, FIRST)                                  \
    TARGET static float NAME(const float *from, size_t floats)                                       \
    {                                                                                                \
        VEC sum[CHAINS];                                                                             \
        UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = ZERO;                                       \
        for (const float *end = from + floats; from < end; from += CHAINS * (LANES))                 \
            UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = ADD(sum[i], LOAD(from + i * (LANES)));  \
        UNROLL for (int i = 1; i < CHAINS; i++) sum[0] = ADD(sum[0], sum[i]);                        \
        return FIRST(sum[0]);                                                                        \
    }

#define FLOAT_LOAD(p) (*(p))
#define FLOAT_STORE(p, x) (*(p) = (x))
#define FLOAT_SAME(x) (x)
#define FLOAT_ADD(x, y) ((x) + (y))
TILE_LOOP(tile_portable, , float, 1, 2, 0, FLOAT_LOAD, FLOAT_STORE, FLOAT_SAME, rn_fmaf)
FINISH_LOOP(finish_portable, , float, 1, 2, 0, FLOAT_LOAD, FLOAT_STORE, rn_fmaf, FLOAT_ADD, RN_MAX)
READ_LOOP(read_portable, , float, 1, 0, FLOAT_LOAD, FLOAT_ADD, FLOAT_SAME)
#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f")))
TILE_LOOP(tile_avx2, AVX2, __m256, 8, 2, _mm256_setzero_ps(), _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps,
          _mm256_fmadd_ps)
FINISH_LOOP(finish_avx2, AVX2, __m256, 8, 2, _mm256_setzero_ps(), _mm256_loadu_ps, _mm256_storeu_ps,
            _mm256_fmadd_ps, _mm256_add_ps, _mm256_max_ps)
READ_LOOP(read_avx2, AVX2, __m256, 8, _mm256_setzero_ps(), _mm256_loadu_ps, _mm256_add_ps, _mm256_cvtss_f32)
TILE_LOOP(tile_avx512, AVX512, __m512, 16, 4, _mm512_setzero_ps(), _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps,
          _mm512_fmadd_ps)
FINISH_LOOP(finish_avx512, AVX512, __m512, 16, 4, _mm512_setzero_ps(), _mm512_loadu_ps, _mm512_storeu_ps,
            _mm512_fmadd_ps, _mm512_add_ps, _mm512_max_ps)
READ_LOOP(read_avx512, AVX512, __m512, 16, _mm512_setzero_ps(), _mm512_loadu_ps, _mm512_add_ps, _mm512_cvtss_f32)
#elif defined(__aarch64__)
#define NEON_FMA(a, x, acc) vfmaq_f32(acc, a, x)
#define NEON_FIRST(x) vgetq_lane_f32(x, 0)
TILE_LOOP(tile_neon, , float32x4_t, 4, 4, vdupq_n_f32(0), vld1q_f32, vst1q_f32, vdupq_n_f32, NEON_FMA)
FINISH_LOOP(finish_neon, , float32x4_t, 4, 4, vdupq_n_f32(0), vld1q_f32, vst1q_f32, NEON_FMA, vaddq_f32, vmaxq_f32)
READ_LOOP(read_neon, , float32x4_t, 4, vdupq_n_f32(0), vld1q_f32, vaddq_f32, NEON_FIRST)
#endif

const struct rn_loops *rn_loops_named(const char *isa)
{
    static const struct rn_loops table[] = {
#if defined(__x86_64__)
        { "avx512", 16, 4, tile_avx512, finish_avx512, read_avx512 },
        { "amx", 16, 4, tile_avx512, finish_avx512, read_avx512 },
        { "avx2", 8, 2, tile_avx2, finish_avx2, read_avx2 },
#elif defined(__aarch64__)
        { "neon", 4, 4, tile_neon, finish_neon, read_neon },
#endif
        { "portable", 1, 2, tile_portable, finish_portable, read_portable },
    };
    for (size_t i = 0; i < RN_COUNT(table); i++)
        if (!strcmp(table[i].isa, isa)) return &table[i];
    return NULL;
}
