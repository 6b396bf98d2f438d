/* test_quantile.c - sorting, quantiles and medians against numbers by hand. */
#include "tests/test.h"

#include "base/quantile.h"

static void test_sort(void)
{
    double v[] = { 3, -1, 2, 2, 1e300 };
    static const double want[] = { -1, 2, 2, 3, 1e300 };
    rn_sort(v, 5);
    rn_sort(v, 0);
    rn_sort(v, 1);
    for (int i = 0; i < 5; i++) CHECK(v[i] == want[i]);
}

/* Between two values quantiles are linear; numpy.quantile says the same of these. */
static void test_linear(void)
{
    static const double v[] = { 1, 2, 4, 8 };
    CHECK(rn_quantile(v, 4, 0) == 1);
    CHECK(rn_quantile(v, 4, 0.5) == 3);
    CHECK(rn_quantile(v, 4, 0.75) == 5);
    CHECK(rn_quantile(v, 4, 1) == 8);
    CHECK(rn_quantile(v, 1, 0.99) == 1);
}

static void test_median(void)
{
    double odd[] = { 9, 1, 5 }, even[] = { 7, 1, 3, 5 };
    CHECK(rn_median(odd, 3) == 5);
    CHECK(rn_median(even, 4) == 4);
    CHECK(even[0] == 1 && even[3] == 7); /* it has sorted them */
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_sort), RN_TEST_ROW(test_linear),
                                               RN_TEST_ROW(test_median) };
    return rn_test_main("test_quantile", rows, RN_COUNT(rows), argc, argv);
}
