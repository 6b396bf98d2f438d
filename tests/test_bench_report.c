/* test_bench_report.c - the statistics of ./bench, by hand. */
#include "tests/test.h"

#include "tools/cli/bench_report.h"

/* 1 to 101 in any order: a quantile q is 1 + 100 q. */
static void test_quantiles(void)
{
    double times[101];
    struct bench_result r = { .batch = 4 };
    for (int i = 0; i < 101; i++) times[i] = 1 + i * 37 % 101;
    bench_summarise(&r, times, 101);
    CHECK(r.min == 1 && r.max == 101 && r.mean == 51 && r.median == 51);
    CHECK(r.p90 == 91 && r.p95 == 96 && r.p99 == 100);
    CHECK(fabs(r.std - sqrt(101.0 * 102 / 12)) <= 1e-12); /* of a sample of 1 ... n */
    CHECK(r.images_per_second == 4e3 / 51);
}

/* Between two times quantiles are linear. */
static void test_few(void)
{
    double two[2] = { 4, 2 }, one[1] = { 7 };
    struct bench_result r = { .batch = 1 };
    bench_summarise(&r, two, 2);
    CHECK(r.median == 3 && fabs(r.p90 - 3.8) <= 1e-15 && fabs(r.p99 - 3.98) <= 1e-15);
    CHECK(r.mean == 3 && fabs(r.std - sqrt(2)) <= 1e-15);
    bench_summarise(&r, one, 1);
    CHECK(r.median == 7 && r.p99 == 7 && r.std == 0 && r.min == 7 && r.max == 7);
}

/* The smallest batch with 95 % of the best, wherever it stands in the list. */
static void test_knee(void)
{
    const struct bench_result r[] = { { .batch = 32, .images_per_second = 100 },
                                      { .batch = 8, .images_per_second = 95 },
                                      { .batch = 1, .images_per_second = 94.9 } };
    CHECK(bench_knee(r, 3) == 8 && bench_knee(r, 1) == 32);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_quantiles), RN_TEST_ROW(test_few),
                                               RN_TEST_ROW(test_knee) };
    return rn_test_main("test_bench_report", rows, RN_COUNT(rows), argc, argv);
}
