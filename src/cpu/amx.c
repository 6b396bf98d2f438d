/*
 * amx.c - whether the tile unit is there and computes what A31 says.
 *
 * Three must agree: the CPU has AMX-TILE, AMX-BF16 and the AVX-512 of what surrounds them; the system saves
 * tiles and lets this process use them, which it must be asked for; and TDPBF16PS passes a check on fixed data
 * (A33).
 */
#define _DEFAULT_SOURCE /* syscall */
#include "cpu/amx.h"

#if RN_AMX
#include <cpuid.h>
#include <pthread.h>
#if defined(__linux__)
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* -- A33 -------------------------------------------------------------------------------------------- */

#define BLOCKS 3
#define SLOTS 32

/* What numbers a set of data is made of: sign and fraction at random, exponents lowest ... lowest+span-1,
 * every second slot of A the negative of the one two before where terms shall cancel, and some special. */
static const struct data { const char *name; int lowest, span; bool cancel; rn_bf16 special[2]; } data[] = {
    { "ordinary numbers", 120, 12, false, { 0, 0x8000 } },
    { "sums that cancel", 120, 12, true, { 0x3f80, 0xbf80 } },
    { "large numbers", 180, 11, false, { 0x6280, 0 } },
    { "overflow", 188, 12, false, { 0x7f7f, 0xff7f } },
    { "small numbers", 71, 8, true, { 0x2380, 0xa380 } },
    { "numbers at the border of A30", 71, 1, true, { 0x2380, 0 } },
    { "all exponents", 71, 120, false, { 0x2380, 0x5f80 } },
};

static rn_bf16 number(const struct data *d, uint32_t *state)
{
    uint32_t x = *state = *state * 1664525u + 1013904223u;
    if (x >> 28 == 7) return d->special[x >> 27 & 1];
    return (rn_bf16)((x >> 31 << 15) | ((uint32_t)d->lowest + (x >> 16 & 0xff) % (uint32_t)d->span) << 7 |
                     (x >> 9 & 0x7f));
}

/* A31: a row of A by column j of B, whose rows are pairs of slots. */
static float dot(const rn_bf16 *a, rn_bf16 (*b)[16][2], int j)
{
    float acc = 0;
    for (int block = 0; block < BLOCKS; block++, a += SLOTS, b += SLOTS / 2) {
        float e = 0, o = 0;
        for (int k = 0; k < SLOTS / 2; k++) {
            e = rn_fmaf(rn_from_bf16(a[2 * k]), rn_from_bf16(b[k][j][0]), e);
            o = rn_fmaf(rn_from_bf16(a[2 * k + 1]), rn_from_bf16(b[k][j][1]), o);
        }
        acc = acc + (e + o);
    }
    return acc;
}

/* Zeros of both signs are one number (A6), and so are all NaN (A7). */
static bool same(float x, float y)
{
    return rn_bits(x) == rn_bits(y) || (isnan(x) && isnan(y)) || (rn_bits(x) | rn_bits(y)) == 0x80000000u;
}

static bool passes(const struct data *d)
{
    rn_bf16 a[16][BLOCKS * SLOTS], b[BLOCKS * SLOTS / 2][16][2];
    float c[RN_AMX_SQUARE];
    uint32_t state = (uint32_t)(d - data) + 1;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < BLOCKS * SLOTS; k++)
            a[i][k] = d->cancel && k & 2 ? a[i][k - 2] ^ 0x8000 : number(d, &state);
    for (int k = 0; k < BLOCKS * SLOTS; k++)
        for (int j = 0; j < 16; j++)
            b[k / 2][j][k & 1] = d->cancel && k & 2 && j & 3 ? b[k / 2 - 1][j][k & 1] : number(d, &state);
    struct rn_amx_run run = { 0, 0, BLOCKS };
    struct rn_amx_product p = { { a, a }, sizeof a[0], b, RN_AMX_LINE, sizeof b / BLOCKS, &run, 1 };
    rn_amx_multiply(c, 1, 1, &p);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
            if (!same(c[i * RN_AMX_ROWS + j], dot(a[i], b, j))) return false;
    return true;
}

const char *rn_amx_check(void)
{
    const char *failed = NULL;
    rn_amx_begin();
    for (size_t i = 0; i < RN_COUNT(data) && !failed; i++)
        if (!passes(&data[i])) failed = data[i].name;
    rn_amx_end();
    return failed;
}

/* -- who must agree --------------------------------------------------------------------------------- */

/* Leaf 7: EDX bit 24 is AMX-TILE, bit 22 AMX-BF16. */
static bool cpu_has_tiles(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 22 & 1);
}

/* What is not tiles: all that kernels_avx512.c uses, for a hypervisor may hide some of it, and AVX512-BF16,
 * bit 5 of EAX in sub-leaf 1 of leaf 7. */
static bool cpu_has_vectors(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

/* XCR0 bits 17 and 18: configuration and content of tiles. */
static bool system_saves(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 0x60000u) == 0x60000u;
}

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

/* NULL when the system lets this process use tiles. */
static const char *permission(void)
{
#if defined(__linux__)
    if (!syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)) return NULL;
    static char other[64];
    switch (errno) {
    case EPERM: return "the system does not allow this process its tiles";
    case ENOSPC: return "the signal stack of a thread (sigaltstack) is too small for tiles";
    case ENOSYS: case EINVAL: case EOPNOTSUPP: return "the system knows no way to ask for tiles (Linux 5.16 does)";
    }
    snprintf(other, sizeof other, "the system refuses to give tiles (errno %d)", errno);
    return other;
#else
    return "this program does not know how to ask this system for tiles";
#endif
}

static const char *absence(void)
{
    if (!cpu_has_tiles()) return "the CPU has none";
    if (!cpu_has_vectors()) return "the CPU has not all of the AVX-512 that goes with it";
    if (!system_saves()) return "the system does not save its tiles";
    const char *refused = permission();
    if (refused) return refused;
    return rn_amx_check() ? "it does not compute as A31 says (A33)" : NULL;
}

static const char *answer;

static void ask(void) { answer = absence(); }

const char *rn_amx_absence(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return answer;
}

bool rn_amx_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return cpu->amx && (s->groups == 1 || RN_MIN(s->C, s->K) / s->groups >= 16);
}

#elif defined(__x86_64__)

const char *rn_amx_absence(void) { return "the compiler of this build knew none"; }

#else

const char *rn_amx_absence(void) { return "the CPU has none"; }

#endif
