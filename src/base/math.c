/*
 * math.c - EXP, LOG, SINPI, COSPI (rule A10): one source, the same double bits everywhere.
 *
 * Each function moves its argument, without error or with a known one, to a short interval around
 * the point where its series starts, and sums the series there.  Nothing but + - x / and integer
 * operations on the bits is used, no fma and no table, so IEEE arithmetic alone fixes the result.
 *
 * Coefficients are Taylor's, each rounded once to double from 400-bit arithmetic; the series are
 * cut where the next term is below 2^-57 of the result, so minimax coefficients would buy nothing:
 *   EXP     |r| <= ln 2 / 2:               r^14 / 14!          < 2^-57
 *   LOG     |s| <= 3 - sqrt 8 = 0.1716:    s^24 / 25           < 2^-65
 *   SINPI   |r| <= 1/4:                    (pi r)^18 / 19!     < 2^-63
 *   COSPI   |r| <= 1/4:                    (pi r)^18 / 18!     < 2^-58
 * Largest errors found by tests/test_math.c, in units of 2^-53 of the result: EXP and LOG 1.4,
 * SINPI and COSPI 2.1, of the 4 that A10 allows.
 */
#include "base/math.h"

#include "base/base.h"
#include "base/real.h"

/* ln 2 = LN2_HIGH + LN2_LOW; LN2_HIGH has 42 bits: its product with an 11-bit integer is exact. */
#define LN2_HIGH 0x1.62e42fefa38p-1
#define LN2_LOW 0x1.ef35793c7673p-45
#define LN2_INVERSE 0x1.71547652b82fep+0
#define SQRT2 0x1.6a09e667f3bcdp+0
#define PI 0x1.921fb54442d18p+1

#define ROUNDER 0x1.8p+52 /* adding it rounds |x| < 2^51 to an integer, held in the low bits */
#define INFINITE_BITS 0x7ff0000000000000u
#define NAN_BITS 0x7ff8000000000000u

/* The nearest integer (even one on a tie); |x| < 2^51. */
static double nearest(double x)
{
    return (x + ROUNDER) - ROUNDER;
}

/* The same as an integer, where it fits 32 bits. */
static int32_t nearest_int(double x)
{
    return (int32_t)(uint32_t)rn_bits64(x + ROUNDER);
}

/* c[0] + c[1] x + ... + c[count-1] x^(count-1), by Horner's rule. */
static double polynomial(double x, const double *c, int count)
{
    double y = c[count - 1];
    for (int i = count - 2; i >= 0; i--) y = y * x + c[i];
    return y;
}

/* 2^k for a normal result. */
static double power_of_two(int k)
{
    return rn_double((uint64_t)(k + 1023) << 52);
}

/* e^x = 2^k e^r, x = k ln 2 + r. */
double rn_exp(double x)
{
    static const double c[] = { /* 1/2!, 1/3! ... 1/13! */
        0x1p-1, 0x1.5555555555555p-3, 0x1.5555555555555p-5, 0x1.1111111111111p-7,
        0x1.6c16c16c16c17p-10, 0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-16, 0x1.71de3a556c734p-19,
        0x1.27e4fb7789f5cp-22, 0x1.ae64567f544e4p-26, 0x1.1eed8eff8d898p-29, 0x1.6124613a86d09p-33
    };
    if (x != x) return x;
    if (x > 710.0) return rn_double(INFINITE_BITS);
    if (x < -746.0) return 0.0;
    int k = nearest_int(x * LN2_INVERSE), half = k / 2;
    double r = (x - k * LN2_HIGH) - k * LN2_LOW;
    double y = 1.0 + (r + r * r * polynomial(r, c, (int)RN_COUNT(c)));
    /* Two factors, because 2^k alone may not be a double; both products are exact unless the result
     * is subnormal, which then is rounded once, by the second. */
    return y * power_of_two(half) * power_of_two(k - half);
}

/* log x = k ln 2 + log(1 + f); with s = f / (2 + f), log(1 + f) = 2 atanh s = 2s + 2s^3/3 + ...,
 * and 2s = f - s f = f - f^2/2 + s f^2/2, which leaves the largest term, f, exact. */
double rn_log(double x)
{
    static const double c[] = { /* 2/3, 2/5 ... 2/23 */
        0x1.5555555555555p-1, 0x1.999999999999ap-2, 0x1.2492492492492p-2, 0x1.c71c71c71c71cp-3,
        0x1.745d1745d1746p-3, 0x1.3b13b13b13b14p-3, 0x1.1111111111111p-3, 0x1.e1e1e1e1e1e1ep-4,
        0x1.af286bca1af28p-4, 0x1.8618618618618p-4, 0x1.642c8590b2164p-4
    };
    int k = -1023;
    if (x != x) return x;
    if (x == 0) return rn_double(INFINITE_BITS | (uint64_t)1 << 63);
    if (x < 0) return rn_double(NAN_BITS);
    if (!rn_finite64(x)) return x;
    if (x < 0x1p-1022) { /* subnormal: exact */
        x *= 0x1p+54;
        k -= 54;
    }
    uint64_t u = rn_bits64(x);
    double m = rn_double((u & 0xfffffffffffffu) | (uint64_t)1023 << 52);
    k += (int)(u >> 52);
    if (m >= SQRT2) {
        m *= 0.5;
        k += 1;
    }
    double f = m - 1.0, s = f / (2.0 + f), z = s * s, h = 0.5 * f * f;
    double tail = s * (h + z * polynomial(z, c, (int)RN_COUNT(c)));
    return k * LN2_HIGH + (f - (h - (tail + k * LN2_LOW)));
}

/* sin(pi r), |r| <= 1/4 */
static double sin_kernel(double r)
{
    static const double c[] = { /* (-1)^k pi^(2k+1) / (2k+1)! */
        PI, -0x1.4abbce625be53p+2, 0x1.466bc6775aae2p+1, -0x1.32d2cce62bd86p-1,
        0x1.50783487ee782p-4, -0x1.e3074fde8871fp-8, 0x1.e8f434d018d63p-12, -0x1.6fadb9f155744p-16,
        0x1.aaec32af93359p-21
    };
    return r * polynomial(r * r, c, (int)RN_COUNT(c));
}

/* cos(pi r), |r| <= 1/4 */
static double cos_kernel(double r)
{
    static const double c[] = { /* (-1)^k pi^(2k) / (2k)! */
        1.0, -0x1.3bd3cc9be45dep+2, 0x1.03c1f081b5ac4p+2, -0x1.55d3c7e3cbffap+0,
        0x1.e1f506891babbp-3, -0x1.a6d1f2a204a8cp-6, 0x1.f9d38a3763cc3p-10, -0x1.b6e24f44b128fp-14,
        0x1.20c62c2f2d7f5p-18
    };
    return polynomial(r * r, c, (int)RN_COUNT(c));
}

/* sin(pi (x + quarter / 2)), quarter 0 or 1.  Every step of the reduction is exact: to [-1, 1] by
 * an even integer (doubles from 2^52 on are integers, their last bit says odd), then to
 * |r| <= 1/4 by half an integer n. */
static double circle(double x, int quarter)
{
    if (!rn_finite64(x)) return rn_double(NAN_BITS);
    double size = rn_double(rn_bits64(x) & ~((uint64_t)1 << 63));
    double y = size < 0x1p+52 ? x - 2.0 * nearest(0.5 * x)
               : size < 0x1p+53 ? (double)(rn_bits64(x) & 1) : 0.0;
    int n = nearest_int(2.0 * y);
    double r = y - 0.5 * n;
    switch ((n + quarter) & 3) {
    case 0: return 0.0 + sin_kernel(r); /* 0.0 + makes every zero a +0 */
    case 1: return cos_kernel(r);
    case 2: return 0.0 - sin_kernel(r);
    default: return -cos_kernel(r);
    }
}

double rn_sinpi(double x)
{
    return circle(x, 0);
}

double rn_cospi(double x)
{
    return circle(x, 1);
}
