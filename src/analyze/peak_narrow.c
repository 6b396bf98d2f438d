/*
 * peak_narrow.c - the highest rate of multiply-adds of fp16, bf16 and int8 numbers, measured, where a CPU has
 * instructions for them.
 *
 * avx512 has, by CPU: VFMADD213PH (AVX512-FP16), VDPBF16PS (AVX512-BF16: two products a lane), VPDPBUSD (AVX512-VNNI:
 * four).  amx has TDPBF16PS and TDPBSSD: 16x16 sums of 32 and 64 products.  Twelve chains, or four tiles of sums, keep
 * the units busy.  Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/loops.h"

#include "base/clock.h"
#include "base/threads.h"
#include "cpu/amx_tile.h"

#include <string.h>

#if defined(__x86_64__) && (__GNUC__ >= 11 || (defined(__clang__) && __clang_major__ >= 12))
#define NARROW 1
#include <cpuid.h>
#include <immintrin.h>
#endif
#if defined(NARROW) && !defined(__clang__) && __GNUC__ >= 12
#define HALVES 1
#endif

#define CHAINS 12
#define TRIES 3

/* Runs `rounds` rounds; one number of the sums, or the compiler would leave the loop out. */
typedef int64_t narrow_loop(int64_t rounds);

struct narrow_row {
    const char *isa;
    enum rn_precision precision;
    int64_t macs, rounds;   /* multiply-adds of a round; rounds that take some milliseconds */
    narrow_loop *run;
    struct { int leaf, sub, word, bit; } feature; /* CPUID's answer: word 0 eax ... 3 edx */
};

#ifdef NARROW

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

__attribute__((target("avx512f,avx512bf16"))) static int64_t loop_bf16(int64_t rounds)
{
    __m512 acc[CHAINS], sum = _mm512_setzero_ps();
    const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_set1_ps((float)i);
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_dpbf16_ps(acc[i], x, x);
    UNROLL for (int i = 0; i < CHAINS; i++) sum = _mm512_add_ps(sum, acc[i]);
    return _mm_cvtsi128_si32(_mm_castps_si128(_mm512_castps512_ps128(sum)));
}

__attribute__((target("avx512f,avx512vnni"))) static int64_t loop_int8(int64_t rounds)
{
    __m512i acc[CHAINS], sum = _mm512_setzero_si512();
    const __m512i x = _mm512_set1_epi32(0x01020301);
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_set1_epi32(i);
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_dpbusd_epi32(acc[i], x, x);
    UNROLL for (int i = 0; i < CHAINS; i++) sum = _mm512_add_epi32(sum, acc[i]);
    return _mm_cvtsi128_si32(_mm512_castsi512_si128(sum));
}

#ifdef HALVES
__attribute__((target("avx512f,avx512fp16,avx512bw,avx512vl"))) static int64_t loop_fp16(int64_t rounds)
{
    __m512h acc[CHAINS];
    __m512i sum = _mm512_setzero_si512();
    const __m512h half = _mm512_castsi512_ph(_mm512_set1_epi16(0x3800)), one = _mm512_castsi512_ph(_mm512_set1_epi16(
                                                                             0x3c00));
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_castsi512_ph(_mm512_set1_epi16((short)(0x3c00 + i)));
    for (; rounds > 0; rounds--)
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_fmadd_ph(acc[i], half, one);
    UNROLL for (int i = 0; i < CHAINS; i++) sum = _mm512_add_epi32(sum, _mm512_castph_si512(acc[i]));
    return _mm_cvtsi128_si32(_mm512_castsi512_si128(sum));
}
#endif

/* Four products of tiles of zeros; tiles 0 to 3 are sums, 4 and 5 A, 6 and 7 B. */
#define TILES(NAME, PRODUCT)                                                                         \
    static int64_t NAME(int64_t rounds)                                                              \
    {                                                                                                \
        rn_amx_begin();                                                                              \
        __asm__ volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t" \
                         "tilezero %%tmm4\n\ttilezero %%tmm5\n\ttilezero %%tmm6\n\ttilezero %%tmm7" : :); \
        for (; rounds > 0; rounds--)                                                                 \
            __asm__ volatile(PRODUCT " %%tmm6, %%tmm4, %%tmm0\n\t" PRODUCT " %%tmm7, %%tmm4, %%tmm1\n\t" \
                             PRODUCT " %%tmm6, %%tmm5, %%tmm2\n\t" PRODUCT " %%tmm7, %%tmm5, %%tmm3" : :); \
        rn_amx_end();                                                                                \
        return 0;                                                                                    \
    }
TILES(tiles_bf16, "tdpbf16ps")
TILES(tiles_int8, "tdpbssd")

static const struct narrow_row table[] = {
    { "amx", RN_BF16_TENSOR, 4 * 16 * 16 * 32, 1 << 16, tiles_bf16, { 7, 0, 3, 22 } },
    { "amx", RN_INT8, 4 * 16 * 16 * 64, 1 << 16, tiles_int8, { 7, 0, 3, 25 } },
    { "avx512", RN_BF16_TENSOR, CHAINS * 32, 1 << 19, loop_bf16, { 7, 1, 0, 5 } },
    { "avx512", RN_INT8, CHAINS * 64, 1 << 19, loop_int8, { 7, 0, 2, 11 } },
#ifdef HALVES
    { "avx512", RN_FP16, CHAINS * 32, 1 << 19, loop_fp16, { 7, 0, 3, 23 } },
    { "amx", RN_FP16, CHAINS * 32, 1 << 19, loop_fp16, { 7, 0, 3, 23 } },
#endif
};

static bool present(const struct narrow_row *r)
{
    unsigned word[4];
    return __get_cpuid_count((unsigned)r->feature.leaf, (unsigned)r->feature.sub, &word[0], &word[1], &word[2],
                             &word[3]) && (word[r->feature.word] >> r->feature.bit & 1);
}

struct work { const struct narrow_row *row; int64_t result[RN_MAX_THREADS]; };

static void work(void *arg, int64_t i, int worker)
{
    struct work *w = arg;
    (void)i;
    w->result[worker] = w->row->run(w->row->rounds);
}

static double measure(const struct narrow_row *r, int threads)
{
    struct work w = { .row = r };
    double best = 0;
    for (int attempt = 0; attempt < TRIES; attempt++) {
        const double begin = rn_seconds();
        rn_every_worker(threads, work, &w);
        best = RN_MAX(best, 2.0 * (double)(r->macs * r->rounds) * threads / (rn_seconds() - begin));
    }
    return best;
}

double rn_peak_narrow(int threads, const char *isa, enum rn_precision precision)
{
    for (size_t i = 0; i < RN_COUNT(table); i++)
        if (!strcmp(table[i].isa, isa) && table[i].precision == precision && present(&table[i]))
            return measure(&table[i], RN_MIN(threads, RN_MAX_THREADS));
    return 0;
}

#else

double rn_peak_narrow(int threads, const char *isa, enum rn_precision precision)
{
    (void)threads, (void)isa, (void)precision;
    return 0;
}

#endif
