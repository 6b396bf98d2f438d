/*
 * peak.c - the highest rate of fused multiply-adds, measured.
 *
 * A fused multiply-add takes 4 or 5 cycles and two can begin in each, so 12 independent chains keep the
 * units full and still fit the 16 registers of AVX2.  They begin with different numbers, or the compiler
 * would make one of equal ones; the results are of no use except that they are returned, or it would leave
 * the loop out.
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/analyze.h"

#include "base/clock.h"
#include "base/real.h"
#include "base/threads.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CHAINS 12

#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 12")
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

typedef float peak_loop(int64_t rounds);

static float loop_portable(int64_t rounds)
{
    float acc[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = (float)i;
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = rn_fmaf(acc[i], 0.5f, 1.0f);
    UNROLL for (int i = 1; i < CHAINS; i++) acc[0] += acc[i];
    return acc[0];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static float loop_avx2(int64_t rounds)
{
    __m256 acc[CHAINS], half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1);
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm256_set1_ps((float)i);
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm256_fmadd_ps(acc[i], half, one);
    UNROLL for (int i = 1; i < CHAINS; i++) acc[0] = _mm256_add_ps(acc[0], acc[i]);
    return _mm256_cvtss_f32(acc[0]);
}

__attribute__((target("avx512f"))) static float loop_avx512(int64_t rounds)
{
    __m512 acc[CHAINS], half = _mm512_set1_ps(0.5f), one = _mm512_set1_ps(1);
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_set1_ps((float)i);
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_fmadd_ps(acc[i], half, one);
    UNROLL for (int i = 1; i < CHAINS; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    return _mm512_cvtss_f32(acc[0]);
}
#elif defined(__aarch64__)
static float loop_neon(int64_t rounds)
{
    float32x4_t acc[CHAINS], half = vdupq_n_f32(0.5f), one = vdupq_n_f32(1);
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = vdupq_n_f32((float)i);
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = vfmaq_f32(one, acc[i], half);
    UNROLL for (int i = 1; i < CHAINS; i++) acc[0] = vaddq_f32(acc[0], acc[i]);
    return vgetq_lane_f32(acc[0], 0);
}
#endif

/* `rounds` take a few milliseconds on a CPU that runs at a few GHz. */
static const struct peak_row { const char *isa; int lanes; int64_t rounds; peak_loop *run; } row[] = {
#if defined(__x86_64__)
    { "avx512", 16, 1 << 20, loop_avx512 },
    { "avx2", 8, 1 << 20, loop_avx2 },
#elif defined(__aarch64__)
    { "neon", 4, 1 << 20, loop_neon },
#endif
    { "portable", 1, 1 << 17, loop_portable },
};

struct peak_work { const struct peak_row *row; float result[RN_MAX_THREADS]; };

static void work(void *arg, int64_t i, int worker)
{
    struct peak_work *w = arg;
    (void)worker;
    w->result[i] = w->row->run(w->row->rounds);
}

static double measure(const struct peak_row *r, int threads)
{
    struct peak_work w = { .row = r };
    double best = 0;
    threads = RN_MIN(threads, rn_cpu_count()); /* more would take turns, and each has a task of its own */
    for (int attempt = 0; attempt < 10; attempt++) {
        double begin = rn_seconds();
        rn_parallel(threads, threads, work, &w);
        double rate = 2.0 * CHAINS * r->lanes * (double)r->rounds * threads / (rn_seconds() - begin);
        best = RN_MAX(best, rate);
    }
    return best / 1e9;
}

double rn_peak_gflops(int threads, const char *isa)
{
    for (size_t i = 0; i < RN_COUNT(row); i++)
        if (isa && !strcmp(row[i].isa, isa)) return measure(&row[i], RN_MIN(threads, RN_MAX_THREADS));
    return 0;
}
