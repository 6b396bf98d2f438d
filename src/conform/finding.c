/* finding.c - rows of verdicts: counted, handed on, and as text.  See conform.h. */
#include "conform/conform.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Two significant digits, rounded half up: 3.1e-07.  For people: no result depends on it. */
static const char *brief(char out[16], double x)
{
    int exponent = 0;
    if (x != x) return "nan";
    if (x > 1e300) return "inf";
    if (!(x > 0)) return "0";
    while (x >= 9.95) x /= 10, exponent++;
    while (x < 0.995) x *= 10, exponent--;
    int tenths = (int)(x * 10 + 0.5);
    snprintf(out, 16, "%d.%de%c%02d", tenths / 10 % 10, tenths % 10, exponent < 0 ? '-' : '+',
             (exponent < 0 ? -exponent : exponent) % 1000);
    return out;
}

void rn_finding_text(struct rn_text *t, const struct rn_finding *f)
{
    char error[16], limit[16];
    bool plain = !f->variant || !*f->variant || strcmp(f->variant, "plain") == 0;
    rn_text_add(t, "%s %s %s%s%s  max rel err %s  %s", f->op, f->part, f->geometry,
                plain ? "" : " ", plain ? "" : f->variant, brief(error, f->error), f->verdict);
    if (!(f->error <= f->limit)) rn_text_add(t, " (limit %s)", brief(limit, f->limit));
    if (f->detail && *f->detail) rn_text_add(t, "  %s", f->detail);
}

void rn_verdict(struct rn_verdicts *v, const struct rn_finding *f, bool failed)
{
    v->rows++;
    if (failed && v->failures++ == 0)
        snprintf(v->first, sizeof v->first, "%s %s %s%s%s", f->op, f->part, f->geometry,
                 f->detail && *f->detail ? ": " : "", f->detail ? f->detail : "");
    if (v->sink) v->sink(v->arg, f);
}

double rn_relative_error(size_t *worst, const double *got, const double *want, size_t count)
{
    double largest = 0, squares = 0;
    *worst = 0;
    for (size_t i = 0; i < count; i++) {
        double distance = fabs(got[i] - want[i]);
        squares += want[i] * want[i];
        if (distance <= largest) continue;
        *worst = i;
        if (distance != distance) return distance;
        largest = distance;
    }
    return squares > 0 ? largest / sqrt(squares / (double)count) : largest;
}

void rn_detail(char out[RN_DETAIL_CHARS], size_t index, double got, double want)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    snprintf(out, RN_DETAIL_CHARS, "[%zu] %s, measured %s", index, rn_number_text(a, got),
             rn_number_text(b, want));
}
