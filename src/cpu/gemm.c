/*
 * gemm.c - panels, strips and slices: how a GEMM is cut.  No arithmetic here, and no cut is visible
 * in the bits (A1, A13).  Goto & van de Geijn, "Anatomy of high-performance matrix multiplication",
 * ACM TOMS 34(3), 2008; Van Zee & van de Geijn, "BLIS", ACM TOMS 41(3), 2015.
 */
#include "cpu/gemm.h"

/* The widest tile that `left` columns, rounded up to whole vectors, can fill. */
static const struct rn_tile *widest(const struct rn_kernels *k, int left)
{
    const struct rn_tile *t = k->tile;
    while (t->nr > (int)rn_gemm_padded(k, left)) t++;
    return t;
}

struct rn_panel rn_gemm_panel(const struct rn_kernels *k, int cols, int i)
{
    int nr = k->tile->nr, whole = RN_MIN(i, cols / nr);
    struct rn_panel p = { .begin = whole * nr };
    for (int at = whole;; at++) {
        p.tile = widest(k, cols - p.begin);
        p.nr = p.tile->nr;
        p.cols = RN_MIN(p.nr, cols - p.begin);
        if (at == i) return p;
        p.begin += p.nr;
    }
}

int rn_gemm_panels(const struct rn_kernels *k, int cols)
{
    int nr = k->tile->nr, count = cols / nr;
    for (int left = cols % nr; left > 0; left -= widest(k, left)->nr) count++;
    return count;
}

void rn_gemm_strips(const struct rn_panel *p, size_t kc, const float *a, size_t rs, size_t cs,
                    const float *b, float *c, int rows, bool first)
{
    const struct rn_tile *t = p->tile;
    for (int i = 0; i < rows; i += t->mr) {
        while (t[1].nr == t->nr && (int)rn_round_up((size_t)(rows - i), (size_t)t[1].mr) < t->mr)
            t++;
        t->run(kc, a + (size_t)i * rs, rs, cs, b, c + (size_t)i * (size_t)p->nr, first);
    }
}

struct rn_slices rn_gemm_slices(int taps, int run, int target, int unit)
{
    struct rn_slices s = { .run = run, .total = taps * run, .count = 1 };
    if (!s.total) return s;
    if (2 * run >= target) {
        s.parts = rn_ceil_div(run, target);
        s.len = (int)rn_round_up((size_t)rn_ceil_div(run, s.parts), (size_t)unit);
        s.parts = rn_ceil_div(run, s.len);
        s.count = taps * s.parts;
    } else {
        int pieces = rn_ceil_div(s.total, target);
        s.len = (int)rn_round_up((size_t)rn_ceil_div(s.total, pieces), (size_t)unit);
        s.count = rn_ceil_div(s.total, s.len);
    }
    return s;
}

void rn_gemm_slice(const struct rn_slices *s, int i, int *begin, int *end)
{
    int first = i * s->len, limit = s->total;
    if (s->parts) {
        first = i / s->parts * s->run + i % s->parts * s->len;
        limit = (i / s->parts + 1) * s->run;
    }
    *begin = first;
    *end = RN_MIN(first + s->len, limit);
}
