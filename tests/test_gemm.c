/*
 * test_gemm.c - the micro-kernels and the cutting of a GEMM, for every instruction set this CPU
 * has: equal bits to a naive loop of fma at sizes below, at and above each tile, with strides that
 * are prime, A by rows and by columns, k in one piece or continued, and C full of NaN where it must
 * not be read.
 */
#include "test.h"

#include "base/mem.h"
#include "base/random.h"
#include "cpu/gemm.h"

#define ROWS (2 * RN_MAX_MR + 1)
#define COLS 131
#define DEPTH 300
#define LD 307 /* prime */

static float a_rows[(ROWS + RN_MAX_MR) * LD], a_cols[DEPTH * LD], b[DEPTH * COLS], want[ROWS *
                                                                                        COLS];
static float packed[DEPTH * (COLS + RN_PAD)], c[(ROWS + RN_MAX_MR) * (COLS + RN_PAD)];

static float number(struct rn_random *key)
{
    uint32_t kind = rn_random_below(key, 32);
    if (kind < 2) return kind ? -0.0f : 0.0f;
    if (kind == 2) return rn_float(rn_random_below(key, 0x7fffff)); /* subnormal */
    return (float)rn_random_normal(key);
}

static void fill(void)
{
    struct rn_random key = rn_random(7, RN_RANDOM_TEST, 0, 0);
    for (int i = 0; i < ROWS + RN_MAX_MR; i++)
        for (int k = 0; k < DEPTH; k++) a_rows[i * LD + k] = a_cols[k * LD + i] = number(&key);
    for (size_t i = 0; i < RN_COUNT(b); i++) b[i] = number(&key);
}

/* want[ROWS][COLS] by definition. */
static void naive(int depth)
{
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) {
            float acc = 0;
            for (int k = 0; k < depth; k++)
                acc = rn_fmaf(a_rows[i * LD + k], b[k * COLS + j], acc);
            want[i * COLS + j] = acc;
        }
}

/* B's columns as panels [k][nr], zeros beyond `cols`. */
static void pack(const struct rn_panel *p, int depth)
{
    for (int k = 0; k < depth; k++)
        for (int x = 0; x < p->nr; x++)
            packed[k * p->nr + x] = x < p->cols ? b[k * COLS + p->begin + x] : 0;
}

static bool panel_equal(const struct rn_panel *p, int rows)
{
    for (int i = 0; i < rows; i++)
        for (int x = 0; x < p->cols; x++)
            if (rn_bits(c[i * p->nr + x]) != rn_bits(want[i * COLS + p->begin + x])) return false;
    return true;
}

/* One panel at every number of rows, by rows and by columns of A, k whole and cut in two. */
static void check_panel(const struct rn_kernels *k, const struct rn_panel *p, int depth)
{
    for (int rows = 1; rows <= RN_MIN(2 * p->tile->mr + 1, ROWS); rows++)
        for (int by_column = 0; by_column < 2; by_column++)
            for (int cut = 0; cut <= depth; cut += RN_MAX(depth / 3, 1)) {
                const float *a = by_column ? a_cols : a_rows;
                size_t rs = by_column ? 1 : LD, cs = by_column ? LD : 1;
                memset(c, 0xff, sizeof c);
                rn_gemm_strips(p, (size_t)cut, a, rs, cs, packed, c, rows, true);
                if (cut < depth)
                    rn_gemm_strips(p, (size_t)(depth - cut), a + (size_t)cut * cs, rs, cs,
                                   packed + cut * p->nr, c, rows, false);
                CHECK_MSG(panel_equal(p, rows),
                          "%s: %d rows, panel of %d/%d columns, k %d = %d + %d%s",
                          k->name, rows, p->cols, p->nr, depth, cut, depth - cut,
                          by_column ? ", A by columns" : "");
            }
}

static const struct rn_kernels *set(int i)
{
    const struct rn_kernels *k = NULL;
    const char *name = rn_isa_name(i);
    if (name) CHECK_OK(rn_isa_find(&k, &name, name));
    return k;
}

static void test_kernels(void)
{
    static const int depths[] = { 0, 1, 2, 255, 256, 257 };
    fill();
    for (size_t d = 0; d < RN_COUNT(depths); d++) {
        naive(depths[d]);
        for (int i = 0; set(i); i++) {
            const struct rn_kernels *k = set(i);
            int nr = k->tile->nr, v = k->lanes;
            const int cols[] = { 1, v - 1, v, v + 1, nr - 1, nr, nr + 1, 2 * nr - 1, 2 * nr, 2 *
                                 nr + 1 };
            for (size_t n = 0; n < RN_COUNT(cols); n++)
                for (int p = 0; p < rn_gemm_panels(k, cols[n]); p++) {
                    struct rn_panel panel = rn_gemm_panel(k, cols[n], p);
                    pack(&panel, depths[d]);
                    check_panel(k, &panel, depths[d]);
                }
        }
    }
}

/* Every tile of every set is reached by some panel and some remainder of rows, or it is dead
 * weight. */
static void test_tiles_used(void)
{
    for (int i = 0; set(i); i++) {
        const struct rn_kernels *k = set(i);
        for (const struct rn_tile *t = k->tile; t->nr; t++) {
            CHECK(t->mr < RN_MAX_MR && t->nr % k->lanes == 0);
            struct rn_panel p = rn_gemm_panel(k, t->nr, 0);
            CHECK(p.nr == t->nr && p.cols == t->nr);
            if (t > k->tile && t[-1].nr == t->nr) CHECK(t->mr < t[-1].mr);
        }
    }
}

static void test_panels(void)
{
    for (int i = 0; set(i); i++)
        for (int cols = 1; cols < 300; cols++) {
            const struct rn_kernels *k = set(i);
            int at = 0, stored = 0, count = rn_gemm_panels(k, cols);
            for (int p = 0; p < count; p++) {
                struct rn_panel panel = rn_gemm_panel(k, cols, p);
                CHECK(panel.begin == at && panel.begin == stored && panel.cols >= 1);
                at += panel.cols;
                stored += panel.nr;
            }
            CHECK(at == cols && stored == (int)rn_gemm_padded(k, cols));
        }
}

/* Names: the best without one, each by its own, a list for those that are not here. */
static void test_names(void)
{
    const struct rn_kernels *k = NULL;
    const char *name = NULL;
    CHECK_OK(rn_isa_find(&k, &name, NULL));
    CHECK(k && name && !strcmp(name, rn_isa_name(0)));
    CHECK_OK(rn_isa_find(&k, &name, "portable"));
    CHECK(!strcmp(k->name, "portable"));
    CHECK(rn_isa_find(&k, &name, "sse9") == RN_EUSAGE);
    CHECK(strstr(rn_error(), "sse9") && strstr(rn_error(), "portable"));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_kernels), RN_TEST_ROW(test_tiles_used), RN_TEST_ROW(test_panels),
        RN_TEST_ROW(test_names),
    };
    return rn_test_main("test_gemm", rows, RN_COUNT(rows), argc, argv);
}
