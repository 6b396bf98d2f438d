/*
 * test_math.c - EXP, LOG, SINPI, COSPI against long double over millions of points, against a table
 * of hard points, and bit for bit against the hash every machine must give.
 *
 * long double is a reference here only; where it is no wider than double the sweep is left out and
 * the table and the hash remain.
 */
#include "tests/test.h"

#include "base/hash.h"
#include "base/math.h"
#include "base/random.h"

#include <float.h>

#define SWEEP 600000 /* points of each function */
#define PI_LONG 3.14159265358979323846264338327950288L

typedef double function(double);

/* Bits 64 apart: the distance of two doubles of one sign in units of the last place. */
static int64_t ulps(double a, double b)
{
    int64_t x = (int64_t)rn_bits64(a), y = (int64_t)rn_bits64(b);
    if ((x < 0) != (y < 0)) return a == b ? 0 : INT64_MAX;
    return x > y ? x - y : y - x;
}

/* Values by mpmath (600 bits), rounded once to double: interval ends, results near 1 and near 0,
 * subnormal arguments and results, overflow, large arguments. */
static const struct { function *f; double x, y; } hard[] = {
    /* exp */
    { rn_exp, 0x1p+0, 0x1.5bf0a8b145769p+1 },
    { rn_exp, -0x1p+0, 0x1.78b56362cef38p-2 },
    { rn_exp, 0x1.62e42fefa39efp-2, 0x1.6a09e667f3bccp+0 },
    { rn_exp, -0x1.62e42fefa39efp-2, 0x1.6a09e667f3bcdp-1 },
    { rn_exp, 0x1.62e42fefa39fp-2, 0x1.6a09e667f3bcdp+0 },
    { rn_exp, 0x1.0a2b23f3bab73p+0, 0x1.6a09e667f3bccp+1 },
    { rn_exp, 0x1.0a2b23f3bab72p+0, 0x1.6a09e667f3bcbp+1 },
    { rn_exp, -0x1.9fe3682cd3be4p+4, 0x1.6a09e667f3bd4p-38 },
    { rn_exp, 0x1.62b7d369a5aa8p+9, 0x1.6a09e667f3be4p+1023 },
    { rn_exp, 0x1.62e42fefa39efp+9, 0x1.fffffffffff2ap+1023 },
    { rn_exp, 0x1.62e42fefa39eep+9, 0x1.ffffffffffb2ap+1023 },
    { rn_exp, -0x1.6232bdd7abcd2p+9, 0x1.000000000007cp-1022 },
    { rn_exp, -0x1.682p+9, 0x0.000077564144fp-1022 },
    { rn_exp, -0x1.74385446d71c3p+9, 0x0.0000000000001p-1022 },
    { rn_exp, -0x1.74910d52d3051p+9, 0x0.0000000000001p-1022 },
    { rn_exp, 0x1p-53, 0x1.0000000000001p+0 },
    { rn_exp, -0x1p-54, 0x1p+0 },
    { rn_exp, 0x0.0000000000001p-1022, 0x1p+0 },
    { rn_exp, 0x1.9e9cbbfd6080bp-31, 0x1.000000033d398p+0 },
    { rn_exp, 0x1.62e42feba39efp+6, 0x1.fffffdffffff5p+127 },
    { rn_exp, -0x1.9fe3682cd3be4p+6, 0x1.0000000000015p-150 },
    { rn_exp, 0x1.4p+3, 0x1.5829dcf95056p+14 },
    { rn_exp, 0x1.999999999999ap-4, 0x1.1aec7b35a00d4p+0 },
    { rn_exp, -0x1.3333333333333p-2, 0x1.7b4c869c37c05p-1 },
    /* log */
    { rn_log, 0x1p+1, 0x1.62e42fefa39efp-1 },
    { rn_log, 0x1p-1, -0x1.62e42fefa39efp-1 },
    { rn_log, 0x1.4p+3, 0x1.26bb1bbb55516p+1 },
    { rn_log, 0x1.0000000000001p+0, 0x1.fffffffffffffp-53 },
    { rn_log, 0x1.fffffffffffffp-1, -0x1p-53 },
    { rn_log, 0x1.ffffffffffffep-1, -0x1.0000000000001p-52 },
    { rn_log, 0x1.000001ad7f29bp+0, 0x1.ad7f2847b6492p-24 },
    { rn_log, 0x1.fff2e48e8a71ep-1, -0x1.a3738d2cf1cc2p-14 },
    { rn_log, 0x1.6a09e667f3bcdp+0, 0x1.62e42fefa39fp-2 },
    { rn_log, 0x1.6a09e667f3bccp+0, 0x1.62e42fefa39eep-2 },
    { rn_log, 0x1.6a09e667f3bcep+0, 0x1.62e42fefa39f3p-2 },
    { rn_log, 0x1.6a09e667f3bcdp-1, -0x1.62e42fefa39eep-2 },
    { rn_log, 0x1.6a09e667f3bccp-1, -0x1.62e42fefa39f1p-2 },
    { rn_log, 0x0.0000000000001p-1022, -0x1.74385446d71c3p+9 },
    { rn_log, 0x0.0000000000003p-1022, -0x1.73abb4f301b42p+9 },
    { rn_log, 0x1p-1022, -0x1.6232bdd7abcd2p+9 },
    { rn_log, 0x0.fffffffffffffp-1022, -0x1.6232bdd7abcd2p+9 },
    { rn_log, 0x1.fffffffffffffp+1023, 0x1.62e42fefa39efp+9 },
    { rn_log, 0x1.f4p+9, 0x1.ba18a998fffap+2 },
    { rn_log, 0x1.8p+1, 0x1.193ea7aad030bp+0 },
    { rn_log, 0x1p-53, -0x1.25e4f7b2737fap+5 },
    { rn_log, 0x1.999999999999ap-4, -0x1.26bb1bbb55515p+1 },
    { rn_log, 0x1.5bf0a8b145769p+1, 0x1p+0 },
    { rn_log, 0x1.56e1fc2f8f359p-997, -0x1.5963447f87fb5p+9 },
    /* sinpi */
    { rn_sinpi, 0x1p-2, 0x1.6a09e667f3bcdp-1 },
    { rn_sinpi, 0x1.0000000000001p-2, 0x1.6a09e667f3bcep-1 },
    { rn_sinpi, 0x1.fffffffffffffp-3, 0x1.6a09e667f3bccp-1 },
    { rn_sinpi, 0x1.5555555555555p-2, 0x1.bb67ae8584caap-1 },
    { rn_sinpi, 0x1.8p-1, 0x1.6a09e667f3bcdp-1 },
    { rn_sinpi, 0x1.8000000000001p-1, 0x1.6a09e667f3bcap-1 },
    { rn_sinpi, 0x1.fffffffffffffp-1, 0x1.921fb54442d18p-52 },
    { rn_sinpi, 0x1.0000000000001p+0, -0x1.921fb54442d18p-51 },
    { rn_sinpi, 0x1.4p+0, -0x1.6a09e667f3bcdp-1 },
    { rn_sinpi, 0x1.0000000000001p+1, 0x1.921fb54442d18p-50 },
    { rn_sinpi, 0x1.56e1fc2f8f359p-997, 0x1.0d4cab14b6bcp-995 },
    { rn_sinpi, 0x0.000000000001p-1022, 0x0.0000000000032p-1022 },
    { rn_sinpi, -0x1.3333333333333p-2, -0x1.9e3779b97f4a8p-1 },
    { rn_sinpi, -0x1.b333333333333p+0, 0x1.9e3779b97f4a8p-1 },
    { rn_sinpi, 0x1.e240c9fbe76c9p+16, 0x1.3b13ec1c8e465p-1 },
    { rn_sinpi, 0x1.fffffffffffffp+50, -0x1.6a09e667f3bcdp-1 },
    { rn_sinpi, 0x1.fffffffffffffp+51, -0x1p+0 },
    { rn_sinpi, 0x1.00000000002p+40, 0x1.87de2a6aea963p-2 },
    { rn_sinpi, 0x1.5798ee2308c3ap-27, 0x1.0ddc5a614c56fp-25 },
    { rn_sinpi, 0x1.999999999999ap-4, 0x1.3c6ef372fe95p-2 },
    /* cospi */
    { rn_cospi, 0x1p-2, 0x1.6a09e667f3bcdp-1 },
    { rn_cospi, 0x1.0000000000001p-2, 0x1.6a09e667f3bcbp-1 },
    { rn_cospi, 0x1.fffffffffffffp-3, 0x1.6a09e667f3bcdp-1 },
    { rn_cospi, 0x1.5555555555555p-2, 0x1p-1 },
    { rn_cospi, 0x1.0000000000001p-1, -0x1.921fb54442d18p-52 },
    { rn_cospi, 0x1.fffffffffffffp-2, 0x1.921fb54442d18p-53 },
    { rn_cospi, 0x1.8p-1, -0x1.6a09e667f3bcdp-1 },
    { rn_cospi, 0x1.4p+0, -0x1.6a09e667f3bcdp-1 },
    { rn_cospi, 0x1.8000000000001p+0, 0x1.921fb54442d18p-51 },
    { rn_cospi, 0x1.cp+0, 0x1.6a09e667f3bcdp-1 },
    { rn_cospi, 0x1.5798ee2308c3ap-27, 0x1.ffffffffffffcp-1 },
    { rn_cospi, -0x1.3333333333333p-2, 0x1.2cf2304755a5ep-1 },
    { rn_cospi, -0x1.b333333333333p+0, 0x1.2cf2304755a5dp-1 },
    { rn_cospi, 0x1.e240c9fbe76c9p+16, -0x1.93924eb2ceff4p-1 },
    { rn_cospi, 0x1.fffffffffffffp+50, 0x1.6a09e667f3bcdp-1 },
    { rn_cospi, 0x1.00000000002p+40, 0x1.d906bcf328d46p-1 },
    { rn_cospi, 0x1.999999999999ap-4, 0x1.e6f0e134454ffp-1 },
    { rn_cospi, 0x1p-27, 0x1.ffffffffffffep-1 },
    { rn_cospi, 0x1.4000000036f9cp+1, -0x1.596bfaadf5c18p-32 },
};

static void test_hard_points(void)
{
    for (size_t i = 0; i < RN_COUNT(hard); i++) {
        double y = hard[i].f(hard[i].x);
        CHECK_MSG(ulps(y, hard[i].y) <= 2, "point %zu, %a: %a instead of %a", i, hard[i].x, y,
                  hard[i].y);
    }
}

static void test_special_values(void)
{
    double inf = INFINITY, nan = NAN, largest = DBL_MAX;
    CHECK(rn_exp(0.0) == 1.0 && rn_exp(-0.0) == 1.0);
    CHECK(rn_exp(inf) == inf && rn_exp(709.79) == inf && rn_exp(largest) == inf);
    CHECK(rn_exp(-inf) == 0.0 && rn_exp(-745.2) == 0.0 && rn_exp(-largest) == 0.0);
    CHECK(rn_bits64(rn_exp(-inf)) == 0 && rn_exp(nan) != rn_exp(nan));
    CHECK(rn_log(0.0) == -inf && rn_log(-0.0) == -inf && rn_log(inf) == inf);
    CHECK(rn_log(-1.0) != rn_log(-1.0) && rn_log(-inf) != rn_log(-inf));
    CHECK(rn_log(nan) != rn_log(nan));
    CHECK(rn_bits64(rn_log(1.0)) == 0);
    CHECK(rn_sinpi(inf) != rn_sinpi(inf) && rn_cospi(-inf) != rn_cospi(-inf));
    CHECK(rn_sinpi(nan) != rn_sinpi(nan) && rn_cospi(nan) != rn_cospi(nan));
    CHECK(rn_sinpi(0x1p-1074) == 0x1.8p-1073 && rn_sinpi(-0x1p-1074) == -0x1.8p-1073);
}

/* At multiples of one half the values are exact and every zero is +0. */
static void test_quarter_turns(void)
{
    static const double starts[] = { 0, 1, 100, 65537, 0x1p+31, 0x1p+50, 0x1p+51, 0x1p+52 - 8 };
    static const double wave[4] = { 0, 1, 0, -1 };
    for (size_t i = 0; i < RN_COUNT(starts); i++)
        for (int k = -8; k <= 8; k++) {
            double x = starts[i] + 0.5 * k;
            int n = (int)fmod(2 * x, 4) & 3;
            CHECK(rn_bits64(rn_sinpi(x)) == rn_bits64(wave[n]));
            CHECK(rn_bits64(rn_cospi(x)) == rn_bits64(wave[(n + 1) & 3]));
        }
    CHECK(rn_cospi(0x1p+52 + 1) == -1 && rn_cospi(0x1p+52 + 2) == 1);
    CHECK(rn_cospi(-0x1p+52 - 1) == -1);
    CHECK(rn_cospi(0x1p+53) == 1 && rn_cospi(DBL_MAX) == 1 && rn_sinpi(DBL_MAX) == 0);
}

static void test_symmetry(void)
{
    struct rn_random r = rn_random(1, RN_RANDOM_TEST, 0, 1);
    long wrong = 0;
    for (int i = 0; i < 20000; i++) {
        double x = rn_random_uniform(&r) * 64;
        wrong += rn_cospi(-x) != rn_cospi(x) || rn_sinpi(-x) != -rn_sinpi(x);
    }
    CHECK(wrong == 0);
}

/* -- the sweep ------------------------------------------------------------------------------------
 * */

static long double wide_sinpi(double x)
{
    return sinl(PI_LONG * remainderl((long double)x, 2)); /* exact reduction to [-1, 1] */
}

static long double wide_cospi(double x)
{
    return cosl(PI_LONG * remainderl((long double)x, 2));
}

/* sin(pi x) near integers and cos(pi x) near half integers lose their leading digits in pi * x;
 * there the distance r from the zero is exact and sin(pi r) is the reference. */
static long double wide_turn(double x, double quarter)
{
    long double y = remainderl((long double)x, 2) + quarter, r = remainderl(y, 1);
    if (fabsl(r) > 0.25L) return quarter == 0 ? wide_sinpi(x) : wide_cospi(x);
    return remainderl(y - r, 2) == 0 ? sinl(PI_LONG * r) : -sinl(PI_LONG * r);
}

static long double wide_exp(double x) { return expl(x); }
static long double wide_log(double x) { return logl(x); }
static long double wide_sin(double x) { return wide_turn(x, 0); }
static long double wide_cos(double x) { return wide_turn(x, 0.5); }

/* Arguments as training meets them and as nobody does. */
static double exp_argument(struct rn_random *r)
{
    double u = rn_random_uniform(r);
    switch (rn_random_below(r, 3)) {
    case 0: return -40 * u;
    case 1: return 1417 * u - 708;
    default: return ldexp(u - 0.5, -(int)rn_random_below(r, 60));
    }
}

static double log_argument(struct rn_random *r)
{
    double u = rn_random_uniform(r) + 0x1p-54;
    switch (rn_random_below(r, 3)) {
    case 0: return 1 + ldexp(u - 0.5, -(int)rn_random_below(r, 50));
    case 1: return u;
    default: return ldexp(u + 1, (int)rn_random_below(r, 2045) - 1022);
    }
}

static double turn_argument(struct rn_random *r)
{
    double u = rn_random_uniform(r) - 0.5;
    int half = (int)rn_random_below(r, 9) - 4;
    switch (rn_random_below(r, 3)) {
    case 0: return 4 * u;
    case 1: return 0.5 * half + ldexp(u, -(int)rn_random_below(r, 52));
    default: return ldexp(u, (int)rn_random_below(r, 56));
    }
}

static const struct {
    const char *name;
    function *f;
    long double (*wide)(double x);
    double (*argument)(struct rn_random *r);
    double bound;  /* relative error in units of 2^-53: A10 allows 4 */
    uint64_t hash; /* of the bits of all results */
} sweeps[] = {
    { "EXP", rn_exp, wide_exp, exp_argument, 2.0, 0xe14eafd3a4c8fd07u },
    { "LOG", rn_log, wide_log, log_argument, 2.0, 0xe120d859f6cb1330u },
    { "SINPI", rn_sinpi, wide_sin, turn_argument, 3.0, 0x9273fed49c846405u },
    { "COSPI", rn_cospi, wide_cos, turn_argument, 3.0, 0x8224bb2ccba6b458u },
};

static void test_sweep(void)
{
    for (size_t k = 0; k < RN_COUNT(sweeps); k++) {
        struct rn_random r = rn_random(2, RN_RANDOM_TEST, 0, (uint32_t)k);
        struct rn_hash h;
        double worst = 0, where = 0;
        rn_hash_begin(&h, 0);
        for (int i = 0; i < SWEEP; i++) {
            double x = sweeps[k].argument(&r), y = sweeps[k].f(x);
            rn_hash_u64(&h, rn_bits64(y));
            if (LDBL_MANT_DIG < 64) continue;
            long double wide = sweeps[k].wide(x);
            double error = wide == 0 ? (y == 0 ? 0 : INFINITY)
                                     : (double)fabsl((y - wide) / wide * 0x1p+53L);
            if (error <= worst) continue;
            worst = error;
            where = x;
        }
        printf("%s: %d points, largest error %.3f x 2^-53 at %a\n", sweeps[k].name, SWEEP, worst,
               where);
        CHECK_MSG(worst <= sweeps[k].bound, "%s: more than %.1f", sweeps[k].name, sweeps[k].bound);
        CHECK_MSG(rn_hash_end(&h) == sweeps[k].hash, "%s: hash %016" PRIx64, sweeps[k].name,
                  rn_hash_end(&h));
    }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_hard_points), RN_TEST_ROW(test_special_values),
        RN_TEST_ROW(test_quarter_turns), RN_TEST_ROW(test_symmetry), RN_TEST_ROW(test_sweep),
    };
    return rn_test_main("test_math", rows, RN_COUNT(rows), argc, argv);
}
