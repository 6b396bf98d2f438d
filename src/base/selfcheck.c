/*
 * selfcheck.c - rule A40: does this machine, in this build, compute as the rules say?
 *
 * Compilers contract and widen, other libraries set flush-to-zero, emulators err.  Each of these
 * changes results silently, so a few hundred operations that they are known to touch are done
 * before anything else, on every worker, and compared bit for bit.  Operands are volatile: what is
 * checked is the running machine and not the compiler's constant folding.
 */
#include "base/threads.h"

#include "base/math.h"
#include "base/real.h"
#include "base/text.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum operation {
    ADD, SUB, MUL, DIV, SQRT, FMA, SOFT_FMA, MUL_ADD, ADD_SUB, MUL_DIV, STORE,
    NARROW, FLOAT_FROM_INT, TO_INT, RINT, FLOOR, EXP, LOG, SINPI, COSPI
};

static const char *const formula[] = {
    [ADD] = "a + b", [SUB] = "a - b", [MUL] = "a * b", [DIV] = "a / b", [SQRT] = "sqrt a",
    [FMA] = "fma(a, b, c)", [SOFT_FMA] = "portable fma(a, b, c)", [MUL_ADD] = "a * b + c",
    [ADD_SUB] = "(a + b) - c", [MUL_DIV] = "(a * b) / c", [STORE] = "F(a)",
    [NARROW] = "a rounded to float", [FLOAT_FROM_INT] = "integer a as float",
    [TO_INT] = "a as integer", [RINT] = "rint a", [FLOOR] = "floor a", [EXP] = "EXP(a)",
    [LOG] = "LOG(a)", [SINPI] = "SINPI(a)", [COSPI] = "COSPI(a)"
};

static const char *const rule_name[] = {
    [1] = "IEEE arithmetic, nearest even", [2] = "compilation: no contraction, no wider type",
    [3] = "floating-point mode: no flush to zero", [4] = "fma", [5] = "store", [9] = "conversions",
    [10] = "EXP, LOG, SINPI, COSPI"
};

struct row32 { int rule; enum operation operation; float a, b, c, result; };
struct row64 { int rule; enum operation operation; double a, b, c, result; };

#include "base/selfcheck_rows.inc"

static RN_NOINLINE float compute32(enum operation operation, const struct row32 *row)
{
    volatile float va = row->a, vb = row->b, vc = row->c;
    float a = va, b = vb, c = vc;
    switch (operation) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case SQRT: return sqrtf(a);
    case FMA: return rn_fmaf(a, b, c);
    case SOFT_FMA: return rn_soft_fmaf(a, b, c);
    case MUL_ADD: return a * b + c;
    case ADD_SUB: return a + b - c;
    case MUL_DIV: return a * b / c;
    case STORE: return rn_store(a);
    default: return NAN;
    }
}

static RN_NOINLINE double compute64(const struct row64 *row)
{
    volatile double va = row->a, vb = row->b, vc = row->c;
    double a = va, b = vb, c = vc;
    switch (row->operation) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case SQRT: return sqrt(a);
    case MUL_ADD: return a * b + c;
    case ADD_SUB: return a + b - c;
    case MUL_DIV: return a * b / c;
    case NARROW: return (float)a;
    case FLOAT_FROM_INT: return (float)(int32_t)a;
    case TO_INT: return (double)(int32_t)a;
    case RINT: return rint(a);
    case FLOOR: return floor(a);
    case EXP: return rn_exp(a);
    case LOG: return rn_log(a);
    case SINPI: return rn_sinpi(a);
    case COSPI: return rn_cospi(a);
    default: return NAN;
    }
}

/* x as a double, by integer operations where the machine might flush it to zero. */
static double widen(float x)
{
    uint32_t u = rn_bits(x);
    if (u & 0x7f800000u) return x;
    double size = (u & 0x7fffffu) * 0x1p-149;
    return u >> 31 ? -size : size;
}

static rn_status fail_row(int rule, enum operation operation, const double abc[3], double got,
                          double result)
{
    char text[5][RN_NUMBER_CHARS];
    for (int i = 0; i < 3; i++) rn_hex_text(text[i], abc[i]);
    rn_hex_text(text[3], got);
    rn_hex_text(text[4], result);
    return rn_fail(RN_EIO, "start-up check: rule A%d (%s) does not hold on this machine or in this "
                   "build: %s with a = %s, b = %s, c = %s gave %s instead of %s", rule,
                   rule_name[rule], formula[operation], text[0], text[1], text[2], text[3],
                   text[4]);
}

static rn_status check32(enum operation operation, const struct row32 *row)
{
    float got = compute32(operation, row);
    if (rn_bits(got) == rn_bits(row->result)) return RN_OK;
    double abc[3] = { widen(row->a), widen(row->b), widen(row->c) };
    return fail_row(row->rule, operation, abc, widen(got), widen(row->result));
}

static rn_status check64(const struct row64 *row)
{
    double got = compute64(row), abc[3] = { row->a, row->b, row->c };
    if (rn_bits64(got) == rn_bits64(row->result)) return RN_OK;
    return fail_row(row->rule, row->operation, abc, got, row->result);
}

rn_status rn_selfcheck_here(void)
{
    rn_status status = RN_OK;
    for (size_t i = 0; status == RN_OK && i < RN_COUNT(rows32); i++) {
        status = check32(rows32[i].operation, &rows32[i]);
        if (status == RN_OK && rows32[i].operation == FMA) status = check32(SOFT_FMA, &rows32[i]);
    }
    for (size_t i = 0; status == RN_OK && i < RN_COUNT(rows64); i++) status = check64(&rows64[i]);
    return status;
}

/* The first failure of any worker, carried to the caller's thread. */
struct verdict {
    atomic_bool failed;
    char message[512];
};

static void check_worker(void *arg, int64_t i, int worker)
{
    struct verdict *verdict = arg;
    (void)i;
    if (rn_selfcheck_here() == RN_OK || atomic_exchange(&verdict->failed, true)) return;
    snprintf(verdict->message, sizeof verdict->message, "%s (worker %d)", rn_error(), worker);
}

rn_status rn_selfcheck(int threads)
{
    struct verdict verdict = { .failed = false };
    rn_status status = rn_threads_probe(threads);
    if (status) return status;
    rn_every_worker(threads, check_worker, &verdict);
    return atomic_load(&verdict.failed) ? rn_fail(RN_EIO, "%s", verdict.message) : RN_OK;
}
