/*
 * number.c - numbers as text and back, correctly rounded, the same in every locale.
 *
 * printf and strtod round correctly in every libc we meet, but spell the decimal point as the
 * locale says.  So they are never shown one: digits come from "%.*e" with whatever stands between
 * them skipped, and strtod gets an integer with the exponent moved ("1.25" as "125e-2").
 */
#include "base/text.h"

#include "base/mem.h"
#include "base/real.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIGITS 17          /* enough to tell any two doubles apart */
#define PLAIN_BELOW 16         /* integers up to 10^16 and */
#define PLAIN_FROM (-4)        /* fractions from 0.0001 are written without an exponent */
#define MAX_TEXT 1200          /* longest number read; the exact 2^-1074 has 1076 characters */
#define EXPONENT_LIMIT 100000  /* where counting stops: far beyond what MAX_TEXT digits can undo */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* "inf", "-inf", "nan": the texts of what is not a number; NULL for finite x. */
static const char *not_finite_text(double x)
{
    if (rn_finite64(x)) return NULL;
    return x != x ? "nan" : x > 0 ? "inf" : "-inf";
}

/* |x| rounded to `count` significant digits; returns the decimal exponent of the first one. */
static int decimal_digits(char digits[MAX_DIGITS + 1], double x, int count)
{
    char text[MAX_DIGITS + 16];
    snprintf(text, sizeof text, "%.*e", count - 1, fabs(x));
    const char *p = text;
    int n = 0;
    for (; *p != 'e'; p++)
        if (is_digit(*p) && n < count) digits[n++] = *p;
    digits[n] = '\0';
    return (int)strtol(p + 1, NULL, 10);
}

/* The fewest digits that read back as |x|; returns their exponent. */
static int shortest_digits(char digits[MAX_DIGITS + 1], double x)
{
    for (int count = 1;; count++) {
        int exponent = decimal_digits(digits, x, count);
        char text[MAX_DIGITS + 16];
        snprintf(text, sizeof text, "%se%d", digits, exponent - (count - 1));
        if (count == MAX_DIGITS || strtod(text, NULL) == fabs(x)) return exponent;
    }
}

const char *rn_number_text(char out[RN_NUMBER_CHARS], double x)
{
    const char *word = not_finite_text(x), *sign = rn_bits64(x) >> 63 ? "-" : "";
    char digits[MAX_DIGITS + 1];
    if (word) {
        snprintf(out, RN_NUMBER_CHARS, "%s", word);
        return out;
    }
    int exponent = shortest_digits(digits, x), count = (int)strlen(digits);
    if (exponent < PLAIN_FROM || exponent >= PLAIN_BELOW)
        snprintf(out, RN_NUMBER_CHARS, "%s%c%s%se%+03d", sign, digits[0], count > 1 ? "." : "",
                 digits + 1, exponent);
    else if (exponent < 0)
        snprintf(out, RN_NUMBER_CHARS, "%s0.%.*s%s", sign, -exponent - 1, "000", digits);
    else if (exponent >= count - 1)
        snprintf(out, RN_NUMBER_CHARS, "%s%s%.*s", sign, digits, exponent - (count - 1),
                 "0000000000000000");
    else
        snprintf(out, RN_NUMBER_CHARS, "%s%.*s.%s", sign, exponent + 1, digits,
                 digits + exponent + 1);
    return out;
}

const char *rn_fixed_text(char out[RN_NUMBER_CHARS], double x, int digits)
{
    char text[DBL_MAX_10_EXP + 64];
    size_t n = 0;
    const char *word = not_finite_text(x);
    int decimals = RN_MIN(RN_MAX(digits, 0), 30);
    int length = word ? -1 : snprintf(text, sizeof text, "%.*f", decimals, x);
    if (length < 0) return rn_number_text(out, x);
    /* The integer part, then the locale's point (whatever its bytes), then the decimals. */
    const char *p = text, *fraction = text + length - decimals;
    while (*p && (is_digit(*p) || *p == '-') && (decimals == 0 || p < fraction)) p++;
    n = (size_t)(p - text);
    if (n + 1 + (size_t)decimals >= RN_NUMBER_CHARS) return rn_number_text(out, x);
    memcpy(out, text, n);
    if (decimals > 0) {
        out[n++] = '.';
        memcpy(out + n, fraction, (size_t)decimals);
        n += (size_t)decimals;
    }
    out[n] = '\0';
    return out;
}

const char *rn_hex_text(char out[RN_NUMBER_CHARS], double x)
{
    const char *word = not_finite_text(x);
    uint64_t u = rn_bits64(x), fraction = u & 0xfffffffffffffu;
    int exponent = (int)(u >> 52 & 0x7ff) - 1023, digits = 13;
    if (word) {
        snprintf(out, RN_NUMBER_CHARS, "%s", word);
        return out;
    }
    if ((u & 0x7fffffffffffffffu) == 0) {
        exponent = 0;
    } else if (exponent == -1023) { /* subnormal: move the leading one to its place */
        for (exponent = -1022; !(fraction >> 52); exponent--) fraction <<= 1;
        fraction &= 0xfffffffffffffu;
    }
    for (; digits > 0 && !(fraction & 15); digits--) fraction >>= 4;
    int n = snprintf(out, RN_NUMBER_CHARS, "%s0x%d%s", u >> 63 ? "-" : "", (u << 1) != 0,
                     digits > 0 ? "." : "");
    for (int i = digits - 1; i >= 0; i--) out[n++] = "0123456789abcdef"[fraction >> 4 * i & 15];
    snprintf(out + n, (size_t)(RN_NUMBER_CHARS - n), "p%+d", exponent);
    return out;
}

/* Reads digits with at most one point from *s into `to`, without the point; *shift is the number of
 * digits after it.  Returns how many there were. */
static int scan_digits(const char **s, char *to, bool hex, int *shift)
{
    int count = 0;
    bool point = false;
    for (*shift = 0; **s == '.' || (hex ? hex_digit(**s) >= 0 : is_digit(**s)); ++*s) {
        if (**s == '.') {
            if (point) return 0;
            point = true;
        } else {
            to[count++] = **s;
            *shift += point;
        }
    }
    return count;
}

/* Reads [+-]digits; false if there is no digit.  Large values stop at EXPONENT_LIMIT. */
static bool scan_exponent(const char **s, int *exponent)
{
    int sign = **s == '-' ? -1 : 1, value = 0;
    if (**s == '-' || **s == '+') ++*s;
    if (!is_digit(**s)) return false;
    for (; is_digit(**s); ++*s) value = RN_MIN(value * 10 + (**s - '0'), EXPONENT_LIMIT);
    *exponent = sign * value;
    return true;
}

bool rn_parse_double(double *x, const char *s)
{
    char text[MAX_TEXT + 32], *to = text;
    int exponent = 0, shift;
    if (strlen(s) > MAX_TEXT) return false;
    if (*s == '-') *to++ = *s++;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (hex) {
        *to++ = *s++;
        *to++ = *s++;
    }
    int count = scan_digits(&s, to, hex, &shift);
    if (count == 0) return false;
    if (*s == (hex ? 'p' : 'e') || *s == (hex ? 'P' : 'E')) {
        s++;
        if (!scan_exponent(&s, &exponent)) return false;
    }
    if (*s != '\0') return false;
    snprintf(to + count, 32, "%c%d", hex ? 'p' : 'e', exponent - shift * (hex ? 4 : 1));
    double value = strtod(text, NULL);
    if (!rn_finite64(value)) return false;
    *x = value;
    return true;
}

bool rn_parse_int(int64_t *x, const char *s)
{
    bool negative = *s == '-';
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
    s += negative;
    if (!is_digit(*s)) return false;
    for (; is_digit(*s); s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (value > (limit - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (*s != '\0') return false;
    *x = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool rn_parse_hash(uint64_t *x, const char *s)
{
    uint64_t value = 0;
    int count = 0;
    for (; hex_digit(*s) >= 0 && count < 17; s++, count++)
        value = value << 4 | (uint64_t)hex_digit(*s);
    if (*s != '\0' || count < 1 || count > 16) return false;
    *x = value;
    return true;
}
