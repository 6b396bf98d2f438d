/*
 * gemm.c - panels and strips: how a GEMM is cut.  No arithmetic here, and no cut is visible
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

const struct rn_tile *rn_gemm_tile(const struct rn_tile *t, int left)
{
    while (t[1].nr == t->nr && (int)rn_round_up((size_t)left, (size_t)t[1].mr) < t->mr) t++;
    return t;
}

void rn_gemm_strips(const struct rn_panel *p, size_t kc, const float *a, size_t rs, size_t cs,
                    const float *b, float *c, int rows, bool first)
{
    const struct rn_tile *t = p->tile;
    for (int i = 0; i < rows; i += t->mr) {
        t = rn_gemm_tile(t, rows - i);
        const float *row[RN_MAX_MR];
        for (int r = 0; r < t->mr; r++) row[r] = a + (size_t)(i + r) * rs;
        t->run(&(struct rn_stretch){ row, 0 }, 1, kc, cs, 0, b, c + (size_t)i * (size_t)p->nr, first);
    }
}
