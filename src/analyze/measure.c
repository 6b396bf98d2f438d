/*
 * measure.c - loops that measure a machine.
 *
 * The loaded loop has the form of any matrix product: a step loads two vectors and broadcasts six values, and makes
 * twelve multiply-adds of them.  What it reaches of the peak is what a product can, whoever writes it.
 * A level's bandwidth is that of reading half of what it holds; main memory's of reading four times the last level.
 * Every number is the best of several tries, for others may be using the machine.
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/measure.h"

#include "analyze/analyze.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/real.h"
#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define TRIES 60
#define VECTORS 2 /* of a step's panel */
#define VALUES 6

/* -- multiply-adds with operands ------------------------------------------------------------------ */

/* steps steps over a panel of VECTORS vectors a step and VALUES values a step, the values over and over. */
typedef float fed_loop(const float *panel, const float *value, int64_t steps);
#define VALUE_STEPS 256

#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 6")
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

#define FED_LOOP(NAME, TARGET, VEC, LANES, ZERO, LOAD, SET, FMA, ADD, FIRST)                         \
    TARGET static float NAME(const float *panel, const float *value, int64_t steps)                  \
    {                                                                                                \
        VEC acc[VALUES][VECTORS];                                                                    \
        UNROLL for (int i = 0; i < VALUES; i++)                                                      \
            UNROLL for (int k = 0; k < VECTORS; k++) acc[i][k] = ZERO;                               \
        for (int64_t s = 0; s < steps; s++, panel += VECTORS * (LANES)) {                            \
            const float *v = value + VALUES * (s % VALUE_STEPS);                                     \
            const VEC a = LOAD(panel), b = LOAD(panel + (LANES));                                    \
            UNROLL for (int i = 0; i < VALUES; i++) {                                                \
                const VEC x = SET(v[i]);                                                             \
                acc[i][0] = FMA(a, x, acc[i][0]);                                                    \
                acc[i][1] = FMA(b, x, acc[i][1]);                                                    \
            }                                                                                        \
        }                                                                                            \
        UNROLL for (int i = 0; i < VALUES; i++) acc[0][0] = ADD(acc[0][0], ADD(acc[i][0], acc[i][1])); \
        return FIRST(acc[0][0]);                                                                     \
    }

#define FLOAT_LOAD(p) (*(p))
#define FLOAT_SET(x) (x)
#define FLOAT_ADD(x, y) ((x) + (y))
FED_LOOP(fed_portable, , float, 1, 0, FLOAT_LOAD, FLOAT_SET, rn_fmaf, FLOAT_ADD, FLOAT_SET)
#if defined(__x86_64__)
FED_LOOP(fed_avx2, __attribute__((target("avx2,fma"))), __m256, 8, _mm256_setzero_ps(), _mm256_loadu_ps,
         _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_cvtss_f32)
FED_LOOP(fed_avx512, __attribute__((target("avx512f"))), __m512, 16, _mm512_setzero_ps(), _mm512_loadu_ps,
         _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_cvtss_f32)
#elif defined(__aarch64__)
#define NEON_FMA(a, x, acc) vfmaq_f32(acc, a, x)
#define NEON_FIRST(x) vgetq_lane_f32(x, 0)
FED_LOOP(fed_neon, , float32x4_t, 4, vdupq_n_f32(0), vld1q_f32, vdupq_n_f32, NEON_FMA, vaddq_f32, NEON_FIRST)
#endif

static const struct fed_row { const char *isa; int lanes; fed_loop *run; } fed_table[] = {
#if defined(__x86_64__)
    { "avx512", 16, fed_avx512 },
    { "amx", 16, fed_avx512 },
    { "avx2", 8, fed_avx2 },
#elif defined(__aarch64__)
    { "neon", 4, fed_neon },
#endif
    { "portable", 1, fed_portable },
};

#define PANEL_BYTES (256 * 1024)
#define PANEL_FLOATS (PANEL_BYTES / sizeof(float))
#define PANEL_ROUNDS 512

struct fed_work { const struct fed_row *row; float *memory, result[RN_MAX_THREADS]; };
#define FED_FLOATS (PANEL_FLOATS + VALUE_STEPS * VALUES)

static int64_t panel_steps(const struct fed_row *row) { return (int64_t)PANEL_FLOATS / (VECTORS * row->lanes); }

static void fed_task(void *arg, int64_t i, int worker)
{
    struct fed_work *w = arg;
    const float *panel = w->memory + (size_t)i * FED_FLOATS;
    (void)worker;
    w->result[i] = 0;
    for (int round = 0; round < PANEL_ROUNDS; round++)
        w->result[i] += w->row->run(panel, panel + PANEL_FLOATS, panel_steps(w->row));
}

static rn_status measure_fed(double *rate, int threads, const struct fed_row *row)
{
    struct fed_work w = { .row = row, .memory = rn_alloc_array((size_t)threads * FED_FLOATS, sizeof(float)) };
    if (!w.memory) return RN_ENOMEM;
    for (size_t i = 0; i < (size_t)threads * FED_FLOATS; i++) w.memory[i] = 1e-3f;
    const double flops = 2.0 * VECTORS * VALUES * row->lanes * (double)panel_steps(row) * PANEL_ROUNDS * threads;
    *rate = 0;
    for (int i = 0; i < TRIES; i++) {
        double begin = rn_seconds();
        rn_parallel(threads, threads, fed_task, &w);
        *rate = RN_MAX(*rate, flops / (rn_seconds() - begin));
    }
    rn_free(w.memory);
    return RN_OK;
}

/* -- memory --------------------------------------------------------------------------------------- */

struct read_work { unsigned char *memory; size_t half; int rounds, differ[RN_MAX_THREADS]; };

/* Compares two halves that are equal, over and over; a byte of both changes in between, or once were enough. */
static void read_task(void *arg, int64_t i, int worker)
{
    struct read_work *w = arg;
    unsigned char *one = w->memory + (size_t)i * 2 * w->half, *other = one + w->half;
    (void)worker;
    for (int round = 0; round < w->rounds; round++) {
        w->differ[i] += memcmp(one, other, w->half) != 0;
        one[round % 64]++;
        other[round % 64]++;
    }
}

/* Bytes a second of `threads` readers of `bytes` in all. */
static rn_status measure_reads(double *rate, int threads, size_t bytes)
{
    struct read_work w = { .half = bytes / (size_t)threads / 2 / 64 * 64 };
    w.memory = rn_alloc_array((size_t)threads, 2 * w.half);
    if (!w.memory) return RN_ENOMEM;
    w.rounds = (int)RN_MAX(1, ((size_t)32 << 20) / w.half);
    *rate = 0;
    for (int i = 0; i < TRIES; i++) {
        double begin = rn_seconds();
        rn_parallel(threads, threads, read_task, &w);
        *rate = RN_MAX(*rate, 2.0 * (double)w.half * w.rounds * threads / (rn_seconds() - begin));
    }
    rn_free(w.memory);
    return RN_OK;
}

/* A line of a file of cpu0's cache `index`; false where the system has none. */
static bool cache_line(char line[32], int index, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
    FILE *f = fopen(path, "r");
    bool read = f && fgets(line, 32, f);
    if (f) fclose(f);
    return read;
}

/* Bytes of a level for all threads together, as Linux says; 0 where nobody does. */
static double level_bytes(int level, int threads)
{
    static const int number[RN_MEMORY_LEVELS] = { 1, 0, 2, 3, 0 };
    char line[32];
    for (int i = 0; number[level] && i < 8; i++) {
        if (!cache_line(line, i, "level") || atoi(line) != number[level]) continue;
        if (!cache_line(line, i, "type") || line[0] == 'I' || !cache_line(line, i, "size")) continue;
        const double kilobytes = atoi(line), bytes = 1024 * (strchr(line, 'M') ? 1024 * kilobytes : kilobytes);
        return level == 3 ? bytes : bytes * threads; /* the third is shared */
    }
    return 0;
}

#define MAIN_BYTES ((size_t)128 << 20)

static rn_status measure_memory(struct rn_measured *m, int threads)
{
    rn_status status = RN_OK;
    double last = 0;
    for (int i = 0; i < RN_MEMORY_LEVELS && !status; i++) {
        m->capacity[i] = level_bytes(i, threads);
        if (m->capacity[i] <= last) m->capacity[i] = 0;
        last = RN_MAX(last, m->capacity[i]);
        if (m->capacity[i] > 0) status = measure_reads(&m->bandwidth[i], threads, (size_t)(m->capacity[i] / 2));
    }
    if (status) return status;
    return measure_reads(&m->main_bandwidth, threads, RN_MAX(MAIN_BYTES, (size_t)(4 * last)));
}

/* -- launching ------------------------------------------------------------------------------------ */

#define LAUNCHES 2000

struct launch_work { int threads; double seconds; };

static void nothing(void *arg, int64_t i, int worker) { (void)arg, (void)i, (void)worker; }

static void launch(void *arg)
{
    struct launch_work *w = arg;
    double begin = rn_seconds();
    for (int i = 0; i < LAUNCHES; i++) rn_parallel(w->threads, w->threads, nothing, NULL);
    w->seconds = RN_MIN(w->seconds, (rn_seconds() - begin) / LAUNCHES);
}

rn_status rn_measure(struct rn_measured *m, int threads, const char *isa)
{
    const struct fed_row *row = NULL;
    struct launch_work work = { threads, 1 };
    *m = (struct rn_measured){ 0 };
    for (size_t i = 0; i < RN_COUNT(fed_table) && !row; i++)
        if (!strcmp(fed_table[i].isa, isa)) row = &fed_table[i];
    if (!row) return rn_fail(RN_EFAIL, "there is no loop to measure %s with", isa);
    threads = RN_MIN(threads, RN_MAX_THREADS);
    rn_status status = measure_fed(&m->fed, threads, row);
    if (!status) status = measure_memory(m, threads);
    for (int i = 0; i < TRIES; i++) rn_with_team(threads, launch, &work);
    m->launch = work.seconds;
    m->peak = 1e9 * rn_peak_gflops(threads, strcmp(isa, "amx") ? isa : "avx512");
    m->fed = RN_MIN(m->fed, m->peak);
    return status;
}
