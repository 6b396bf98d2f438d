/*
 * amx_emulator.h - AMX-TILE and AMX-BF16 for CPUs that have none, so that what uses them can be tested anywhere.
 *
 * Such a CPU answers each of their instructions with SIGILL.  The handler here reads the instruction (VEX, map
 * 0F38, with its operands out of the interrupted thread's registers), does what the manual's pseudo-code says
 * to tiles of that thread, and goes on behind it.  What real hardware refuses (#UD, #GP) ends the program: a
 * tile that the configuration lacks, sizes that do not fit, one tile twice in a product, a reserved byte set.
 * On a CPU that has the instructions nothing is installed and they run there; where it has them and the library may
 * not use them, nothing is tested, for then some would run there and some in the handler.
 *
 * Written after: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG, TILELOADD,
 * TILERELEASE, TILESTORED, TILEZERO, TDPBF16PS, and chapter 2.3 for the encoding.
 */
#ifndef RN_TEST_AMX_EMULATOR_H
#define RN_TEST_AMX_EMULATOR_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first header: registers of a ucontext"
#endif

#include "cpu/amx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if RN_AMX && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#define EMULATOR_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))

struct amx_tile { uint32_t row[16][16]; };

static _Thread_local struct {
    bool configured;
    uint16_t row_bytes[8];
    uint8_t rows[8];
    struct amx_tile tile[8];
    long executed[3]; /* loads and stores, products, all others */
} amx;

static _Noreturn void amx_refuse(const char *why)
{
    static const char before[] = "FAIL AMX instruction refused: ";
    if (write(1, before, sizeof before - 1) < 0 || write(1, why, strlen(why)) < 0 || write(1, "\n", 1) < 0) _exit(2);
    _exit(1);
}

/* -- instructions ----------------------------------------------------------------------------------- */

static void amx_configure(const uint8_t *m)
{
    memset(&amx.tile, 0, sizeof amx.tile);
    amx.configured = false;
    if (m[0] == 0) return;
    if (m[0] != 1) amx_refuse("ldtilecfg: palette");
    for (int i = 1; i < 64; i++)
        if (m[i] && (i < 16 || (i >= 32 && i < 48) || i >= 56)) amx_refuse("ldtilecfg: reserved byte");
    for (int t = 0; t < 8; t++) {
        memcpy(&amx.row_bytes[t], m + 16 + 2 * t, 2);
        amx.rows[t] = m[48 + t];
        if (amx.row_bytes[t] > 64 || amx.rows[t] > 16) amx_refuse("ldtilecfg: too large");
        if (!amx.row_bytes[t] != !amx.rows[t]) amx_refuse("ldtilecfg: half of a tile");
    }
    amx.configured = true;
}

/* Every use of a tile. */
static struct amx_tile *amx_use(int t)
{
    if (!amx.configured) amx_refuse("no configuration");
    if (t > 7 || !amx.rows[t]) amx_refuse("a tile that the configuration lacks");
    if (amx.row_bytes[t] % 4) amx_refuse("rows of no whole words");
    return &amx.tile[t];
}

static void amx_load(int t, const char *base, ptrdiff_t stride)
{
    struct amx_tile *tile = amx_use(t), loaded = { { { 0 } } };
    for (int r = 0; r < amx.rows[t]; r++) memcpy(loaded.row[r], base + r * stride, amx.row_bytes[t]);
    *tile = loaded;
}

static void amx_store(int t, char *base, ptrdiff_t stride)
{
    struct amx_tile *tile = amx_use(t);
    for (int r = 0; r < amx.rows[t]; r++) memcpy(base + r * stride, tile->row[r], amx.row_bytes[t]);
}

/* Rounded to nearest even, subnormals zeros on both sides, no exception: as MXCSR is set while this runs. */
EMULATOR_TARGET static __attribute__((noinline)) void amx_product_rows(struct amx_tile *c,
                                                                       const struct amx_tile *a,
                                                                       const struct amx_tile *b, int rows,
                                                                       int pairs, __mmask16 cols)
{
    for (int m = 0; m < rows; m++) {
        __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
        for (int k = 0; k < pairs; k++) {
            __m512i x = _mm512_set1_epi32((int)a->row[m][k]), y = _mm512_loadu_si512(b->row[k]);
            __m512i upper = _mm512_set1_epi32(-0x10000);
            even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                                   _mm512_castsi512_ps(_mm512_slli_epi32(y, 16)), even);
            odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                                  _mm512_castsi512_ps(_mm512_and_si512(y, upper)), odd);
        }
        __m512 sum = _mm512_add_ps(_mm512_loadu_ps(c->row[m]), _mm512_add_ps(even, odd));
        _mm512_storeu_ps(c->row[m], _mm512_maskz_mov_ps(cols, sum));
    }
    if (rows < 16) memset(c->row[rows], 0, (size_t)(16 - rows) * 64);
}

static void amx_product(int to, int from, int by)
{
    struct amx_tile *c = amx_use(to), *a = amx_use(from), *b = amx_use(by);
    if (to == from || to == by || from == by) amx_refuse("tdpbf16ps: one tile twice");
    if (amx.rows[to] != amx.rows[from] || amx.row_bytes[to] != amx.row_bytes[by] ||
        amx.row_bytes[from] / 4 != amx.rows[by])
        amx_refuse("tdpbf16ps: sizes do not fit");
    unsigned mode = _mm_getcsr();
    _mm_setcsr(0x9fc0); /* all masked, nearest even, FTZ, DAZ */
    amx_product_rows(c, a, b, amx.rows[to], amx.rows[by], (__mmask16)((1u << amx.row_bytes[to] / 4) - 1));
    _mm_setcsr(mode);
}

/* -- decoding --------------------------------------------------------------------------------------- */

/* A VEX instruction: prefix pp, opcode, register numbers, memory operand if it has one. */
struct amx_instruction {
    int pp, opcode, reg, rm, vvvv, bytes;
    bool memory, indexed;
    uintptr_t base, index;
};

static uint64_t amx_register(const ucontext_t *u, int i)
{
    static const int place[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
    return (uint64_t)u->uc_mcontext.gregs[place[i]];
}

/* The memory operand: ModRM at p[0].  The displacement counts from behind the instruction for rip. */
static int amx_operand(struct amx_instruction *x, const ucontext_t *u, const uint8_t *p, int xbit, int bbit)
{
    int mod = p[0] >> 6, rm = p[0] & 7, n = 1;
    bool rip = mod == 0 && rm == 5, none = false;
    x->memory = true;
    if (rm == 4) {
        int sib = p[n++], index = (sib >> 3 & 7) | xbit, base = sib & 7;
        x->indexed = true;
        x->index = index == 4 ? 0 : amx_register(u, index) << (sib >> 6);
        none = mod == 0 && base == 5;
        if (!none) x->base = amx_register(u, base | bbit);
    } else if (!rip) {
        x->base = amx_register(u, rm | bbit);
    }
    if (mod == 1) {
        x->base += (uintptr_t)(intptr_t)(int8_t)p[n];
        n++;
    } else if (mod == 2 || rip || none) {
        int32_t far;
        memcpy(&far, p + n, 4);
        x->base += (uintptr_t)(intptr_t)far;
        n += 4;
    }
    if (rip) x->base += (uintptr_t)(p + n);
    return n;
}

/* False for what is not of VEX map 0F38, 128 bits, W0. */
static bool amx_decode(struct amx_instruction *x, const ucontext_t *u)
{
    const uint8_t *p = (const uint8_t *)(uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    *x = (struct amx_instruction){ 0 };
    if (p[0] != 0xc4 || (p[1] & 0x1f) != 2 || p[2] & 0x84) return false;
    int rbit = p[1] & 0x80 ? 0 : 8, xbit = p[1] & 0x40 ? 0 : 8, bbit = p[1] & 0x20 ? 0 : 8;
    x->pp = p[2] & 3;
    x->vvvv = ~p[2] >> 3 & 15;
    x->opcode = p[3];
    x->reg = (p[4] >> 3 & 7) | rbit;
    if (p[4] >> 6 == 3) x->rm = (p[4] & 7) | bbit;
    x->bytes = 4 + (p[4] >> 6 == 3 ? 1 : amx_operand(x, u, p + 4, xbit, bbit));
    return true;
}

/* pp: 0 none, 1 is 66, 2 is F3, 3 is F2. */
static bool amx_execute(const struct amx_instruction *x)
{
    bool load = x->opcode == 0x4b && (x->pp == 3 || x->pp == 1), store = x->opcode == 0x4b && x->pp == 2;
    if (x->opcode != 0x5c && x->vvvv) return false;
    if ((load || store) && x->memory) {
        if (!x->indexed) amx_refuse("a tile in memory without SIB");
        amx.executed[0]++;
        if (load) amx_load(x->reg, (const char *)x->base, (ptrdiff_t)x->index);
        else amx_store(x->reg, (char *)x->base, (ptrdiff_t)x->index);
        return true;
    }
    if (x->opcode == 0x5c && x->pp == 2 && !x->memory) {
        amx.executed[1]++;
        amx_product(x->reg, x->rm, x->vvvv);
        return true;
    }
    if (x->opcode != 0x49) return false;
    amx.executed[2]++;
    if (x->pp == 0 && x->memory && x->reg == 0) amx_configure((const uint8_t *)(x->base + x->index));
    else if (x->pp == 0 && !x->memory && x->reg == 0 && x->rm == 0) amx.configured = false;
    else if (x->pp == 3 && !x->memory && x->rm == 0) memset(amx_use(x->reg), 0, sizeof(struct amx_tile));
    else return false;
    return true;
}

static void amx_handler(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    struct amx_instruction x;
    (void)sig, (void)info;
    if (!amx_decode(&x, u) || !amx_execute(&x)) amx_refuse("not an instruction of AMX");
    u->uc_mcontext.gregs[REG_RIP] += x.bytes;
}

/* -- use -------------------------------------------------------------------------------------------- */

/* The CPU has tiles (leaf 7, EDX bit 24), and the system has turned them on (XCR0 bits 17 and 18). */
static inline bool amx_is_there(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1)) return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 0x60000u) == 0x60000u;
}

/* "hardware", "emulated", or NULL: not here, for what surrounds the tiles is AVX-512 with BF16. */
static inline const char *amx_start(void)
{
    if (!rn_amx_absence()) return "hardware";
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bf16") || amx_is_there())
        return NULL;
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_NODEFER, .sa_sigaction = amx_handler };
    sigemptyset(&action.sa_mask);
    return sigaction(SIGILL, &action, NULL) ? NULL : "emulated";
}

/* Products that this thread has emulated so far. */
static inline long amx_products(void) { return amx.executed[1]; }

#else

static inline const char *amx_start(void) { return NULL; }
static inline long amx_products(void) { return 0; }

#endif
#endif /* RN_TEST_AMX_EMULATOR_H */
