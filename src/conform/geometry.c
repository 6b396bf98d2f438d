/* geometry.c - convolution geometries to and from words; see geometry.h. */
#include "conform/geometry.h"


#define LIMIT 65536 /* of every number: products of two stay far inside an int */

/* One letter of the word, in the order they stand. */
struct letter { char name; int *value; int min; };

/* Reads the decimal digits at *text; -1 when there are none or they pass LIMIT. */
static int number(const char **text)
{
    const char *t = *text;
    int value = 0;
    if (*t < '0' || *t > '9') return -1;
    for (; *t >= '0' && *t <= '9'; t++) {
        value = value * 10 + (*t - '0');
        if (value > LIMIT) return -1;
    }
    *text = t;
    return value;
}

static rn_status check(const struct rn_conv_shape *s, const char *text)
{
    if (s->C % s->groups || s->K % s->groups)
        return rn_fail(RN_EUSAGE, "geometry '%s': %d groups do not divide %d and %d channels", text,
                       s->groups, s->C, s->K);
    if (s->R > s->H + 2 * s->pad || s->S > s->W + 2 * s->pad)
        return rn_fail(RN_EUSAGE, "geometry '%s': a %dx%d filter does not fit a padded %dx%d map",
                       text, s->R, s->S, s->H + 2 * s->pad, s->W + 2 * s->pad);
    return RN_OK;
}

rn_status rn_geometry_parse(struct rn_conv_shape *s, const char *text)
{
    *s = (struct rn_conv_shape){ .R = 1, .S = 1, .stride = 1, .groups = 1 };
    const struct letter letters[] = {
        { 'n', &s->N, 1 }, { 'c', &s->C, 1 }, { 'h', &s->H, 1 }, { 'w', &s->W, 1 },
        { 'k', &s->K, 1 }, { 'r', &s->R, 1 }, { 's', &s->S, 1 }, { 'u', &s->stride, 1 },
        { 'a', &s->pad, 0 }, { 'g', &s->groups, 1 },
    };
    const char *t = text;
    for (size_t i = 0; i < RN_COUNT(letters); i++) {
        if (*t != letters[i].name) {
            if (i < 4)
                return rn_fail(RN_EUSAGE, "geometry '%s': '%c' is missing at character %d", text,
                               letters[i].name, (int)(t - text) + 1);
            continue;
        }
        t++;
        *letters[i].value = number(&t);
        if (*letters[i].value < letters[i].min)
            return rn_fail(RN_EUSAGE, "geometry '%s': '%c' needs a number from %d to %d", text,
                           letters[i].name, letters[i].min, LIMIT);
    }
    if (*t)
        return rn_fail(RN_EUSAGE, "geometry '%s': unexpected '%c' at character %d", text, *t,
                       (int)(t - text) + 1);
    if (!s->K) s->K = s->C;
    rn_status status = check(s, text);
    if (status) return status;
    s->P = (s->H + 2 * s->pad - s->R) / s->stride + 1;
    s->Q = (s->W + 2 * s->pad - s->S) / s->stride + 1;
    return RN_OK;
}
