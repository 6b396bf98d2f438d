/*
 * test_screening.c - average precision, thresholds carried from one set of images to another, figures of
 * decisions, and the bootstrap: by hand, against naive counts, and against resamples drawn one image at a time.
 */
#include "tests/test.h"

#include "base/mem.h"
#include "base/random.h"
#include "train/metrics.h"

#include <math.h>
#include <string.h>

static bool near(double x, double y) { return fabs(x - y) <= 1e-12; }

static bool is_nan(double x) { return x != x; }

static struct rn_leaning lean(double margin, bool positive) { return (struct rn_leaning){ margin, positive }; }

/* n images, a third of them positive; margins are whole numbers, so that many are equal, and those of positive
 * images are higher by `gap` in the mean. */
static void make_images(struct rn_leaning *x, int n, uint32_t seed, int gap)
{
    struct rn_random r = rn_random(seed, RN_RANDOM_TEST, 0, 0);
    for (int i = 0; i < n; i++) {
        bool positive = rn_random_below(&r, 3) == 0;
        x[i] = lean((int)rn_random_below(&r, 20) - 10 + (positive ? gap : 0), positive);
    }
    x[0].positive = true;
    x[1].positive = false;
}

/* -- average precision ------------------------------------------------------------------------- */

static double precision_of(const struct rn_leaning *ranked, int64_t count)
{
    const struct rn_decisions none = rn_decide_none(ranked, count);
    struct rn_screening s;
    rn_screen(&s, &none, ranked, count);
    return s.figure[RN_AVERAGE_PRECISION];
}

/* Precision where each positive image is met: 1, 2/3, 3/4. */
static void test_precision_by_hand(void)
{
    const struct rn_leaning x[] = { lean(5, true), lean(4, false), lean(3, true), lean(2, true), lean(1, false) };
    CHECK(near(precision_of(x, 5), 29.0 / 36) && precision_of(x, 1) == 1);
    CHECK(is_nan(precision_of(x + 4, 1)) && is_nan(precision_of(x, 0)));
}

/* Equal margins are one point: 1 of 3 at precision 1, 2 of 3 at 3/4; all equal is the share of positives. */
static void test_precision_of_ties(void)
{
    struct rn_leaning x[] = { lean(2, false), lean(2, true), lean(3, true), lean(1, false), lean(2, true) };
    struct rn_leaning equal[] = { lean(0, true), lean(0, false), lean(0, false), lean(0, false) };
    rn_rank(x, 5);
    CHECK(x[1].positive && x[2].positive && !x[3].positive); /* of equal margins, positives first */
    CHECK(near(precision_of(x, 5), 2.5 / 3) && precision_of(equal, 4) == 0.25);
}

/* The sum over thresholds of (R - R before) P, each from counts over all images. */
static double naive_precision(const struct rn_leaning *x, int n)
{
    double sum = 0, before = 0;
    for (int margin = 40; margin >= -40; margin--) {
        int found = 0, called = 0, all = 0;
        for (int i = 0; i < n; i++) {
            all += x[i].positive;
            called += x[i].margin >= margin;
            found += x[i].positive && x[i].margin >= margin;
        }
        double recall = (double)found / all;
        if (called) sum += (recall - before) * found / called;
        before = recall;
    }
    return sum;
}

static void test_precision_naive(void)
{
    struct rn_leaning x[80];
    for (uint32_t round = 0; round < 100; round++) {
        int n = 2 + (int)(round % 79);
        make_images(x, n, round, 4);
        rn_rank(x, n);
        CHECK(near(precision_of(x, n), naive_precision(x, n)));
    }
}

/* -- decisions --------------------------------------------------------------------------------- */

/* A threshold is a bound for any images, also between and beyond their margins. */
static void test_decide_at(void)
{
    struct rn_leaning x[50];
    make_images(x, 50, 3, 4);
    rn_rank(x, 50);
    for (double threshold = -20.5; threshold <= 20; threshold += 0.5) {
        struct rn_decisions d = rn_decide_at(threshold, x, 50), want = { .threshold = threshold };
        for (int i = 0; i < 50; i++) {
            bool called = x[i].margin >= threshold;
            if (x[i].positive) ++*(called ? &want.true_positive : &want.false_negative);
            else ++*(called ? &want.false_positive : &want.true_negative);
        }
        CHECK(!memcmp(&d, &want, sizeof d));
    }
}

/* What validation images choose does not move with the images judged, and gives on its own what it promised. */
static void test_transfer(void)
{
    struct rn_leaning val[90], judged[70];
    struct rn_decisions chosen, again;
    make_images(val, 90, 5, 6);
    rn_rank(val, 90);
    CHECK(rn_decide_for_sensitivity(&chosen, val, 90, 0.9));
    again = rn_decide_at(chosen.threshold, val, 90);
    CHECK(!memcmp(&chosen, &again, sizeof again));
    for (uint32_t round = 0; round < 5; round++) {
        make_images(judged, 70, 100 + round, 6);
        rn_rank(judged, 70);
        again = rn_decide_at(chosen.threshold, judged, 70);
        CHECK(again.threshold == chosen.threshold);
        CHECK(again.true_positive + again.false_negative + again.true_negative + again.false_positive == 70);
    }
}

/* Positive 5 4 2 0, negative 3 1 1, called from 2 on: found 3 of 4, passed 2 of 3, right 3 of 4 called. */
static void test_figures(void)
{
    const struct rn_leaning x[] = { lean(5, true),  lean(4, true),  lean(3, false), lean(2, true),
                                    lean(1, false), lean(1, false), lean(0, true) };
    const struct rn_decisions d = rn_decide_at(2, x, 7);
    struct rn_screening s;
    rn_screen(&s, &d, x, 7);
    CHECK(s.figure[RN_SENSITIVITY] == 0.75 && s.figure[RN_SPECIFICITY] == 2.0 / 3);
    CHECK(s.figure[RN_PRECISION] == 0.75 && s.figure[RN_F1] == 0.75 && s.figure[RN_ACCURACY] == 5.0 / 7);
    CHECK(near(s.figure[RN_BALANCED_ACCURACY], 17.0 / 24) && s.figure[RN_AUC] == 8.0 / 12);
    CHECK(near(s.figure[RN_AVERAGE_PRECISION], (1 + 1 + 3.0 / 4 + 4.0 / 7) / 4));
}

/* What has nothing below the line is not known, and nothing else is. */
static void test_unknown_figures(void)
{
    const struct rn_leaning x[] = { lean(2, false), lean(1, false), lean(1, true), lean(0, true) };
    struct rn_screening s;
    struct rn_decisions d = rn_decide_none(x, 4);
    rn_screen(&s, &d, x, 4);
    CHECK(is_nan(s.figure[RN_PRECISION]) && s.figure[RN_SENSITIVITY] == 0 && s.figure[RN_F1] == 0);
    d = rn_decide_at(1, x, 2);
    rn_screen(&s, &d, x, 2);
    CHECK(is_nan(s.figure[RN_SENSITIVITY]) && is_nan(s.figure[RN_BALANCED_ACCURACY]) && is_nan(s.figure[RN_AUC]) &&
          is_nan(s.figure[RN_AVERAGE_PRECISION]));
    CHECK(s.figure[RN_SPECIFICITY] == 0 && s.figure[RN_PRECISION] == 0 && s.figure[RN_ACCURACY] == 0);
    d = rn_decide_at(1, x + 3, 1);
    rn_screen(&s, &d, x + 3, 1);
    CHECK(is_nan(s.figure[RN_SPECIFICITY]) && is_nan(s.figure[RN_AUC]) && s.figure[RN_AVERAGE_PRECISION] == 1);
}

/* -- bootstrap --------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *value, int count, double percent)
{
    double at = percent / 100 * (count - 1);
    int i = (int)at;
    qsort(value, (size_t)count, sizeof *value, rising);
    return i + 1 < count ? value[i] + (at - i) * (value[i + 1] - value[i]) : value[i];
}

enum { N = 40, RESAMPLES = 50 };

/* Draws image after image, ranks them, and asks the functions for whole sets. */
static void naive_bootstrap(struct rn_bootstrap *b, const struct rn_leaning *x, double threshold, uint64_t seed)
{
    static double value[RN_FIGURES][RESAMPLES];
    int known[RN_FIGURES] = {0};
    *b = (struct rn_bootstrap){ .resamples = RESAMPLES };
    for (int i = 0; i < RESAMPLES; i++) {
        struct rn_random r = rn_random(seed, RN_RANDOM_BOOTSTRAP, (uint32_t)i, 0);
        struct rn_leaning drawn[N];
        struct rn_screening s;
        for (int k = 0; k < N; k++) drawn[k] = x[rn_random_below(&r, N)];
        rn_rank(drawn, N);
        const struct rn_decisions d = rn_decide_at(threshold, drawn, N);
        rn_screen(&s, &d, drawn, N);
        b->one_class += is_nan(s.figure[RN_AUC]);
        for (int k = 0; k < RN_FIGURES; k++)
            if (!is_nan(s.figure[k])) value[k][known[k]++] = s.figure[k];
    }
    for (int k = 0; k < RN_FIGURES; k++) {
        b->low[k] = known[k] ? percentile(value[k], known[k], 2.5) : (double)NAN;
        b->high[k] = known[k] ? percentile(value[k], known[k], 97.5) : (double)NAN;
    }
}

static void check_same(const struct rn_bootstrap *a, const struct rn_bootstrap *b)
{
    CHECK(a->resamples == b->resamples && a->one_class == b->one_class);
    for (int k = 0; k < RN_FIGURES; k++) {
        CHECK_MSG(!memcmp(&a->low[k], &b->low[k], sizeof(double)) || (is_nan(a->low[k]) && is_nan(b->low[k])),
                  "figure %d: from %a, not %a", k, a->low[k], b->low[k]);
        CHECK_MSG(!memcmp(&a->high[k], &b->high[k], sizeof(double)) || (is_nan(a->high[k]) && is_nan(b->high[k])),
                  "figure %d: to %a, not %a", k, a->high[k], b->high[k]);
    }
}

static int64_t called_from(double threshold, const struct rn_leaning *x, int64_t count)
{
    const struct rn_decisions d = rn_decide_at(threshold, x, count);
    return d.true_positive + d.false_positive;
}

/* Also where no image is called positive, where all are, and where resamples lack a class. */
static void test_bootstrap_naive(void)
{
    struct rn_leaning x[N];
    for (uint32_t round = 0; round < 8; round++) {
        struct rn_bootstrap b, want;
        double threshold = round == 0 ? 30 : round == 1 ? -30 : (int)round - 4;
        make_images(x, N, round, 5);
        for (int i = 1; i < N && round == 7; i++) x[i].positive = false;
        rn_rank(x, N);
        naive_bootstrap(&want, x, threshold, round);
        CHECK_OK(rn_bootstrap(&b, x, N, called_from(threshold, x, N), RESAMPLES, round, 1));
        check_same(&b, &want);
        CHECK((b.one_class > 5) == (round == 7));
    }
}

/* Neither threads nor the order of the images, but the seed. */
static void test_bootstrap_bits(void)
{
    struct rn_leaning x[N], y[N];
    struct rn_bootstrap a, b;
    make_images(x, N, 1, 5);
    for (int i = 0; i < N; i++) y[i] = x[(7 * i + 3) % N];
    rn_rank(x, N);
    rn_rank(y, N);
    CHECK_OK(rn_bootstrap(&a, x, N, called_from(0, x, N), 301, 9, 1));
    CHECK_OK(rn_bootstrap(&b, y, N, called_from(0, y, N), 301, 9, 3));
    check_same(&a, &b);
    CHECK_OK(rn_bootstrap(&b, x, N, called_from(0, x, N), 301, 10, 1));
    CHECK(memcmp(a.low, b.low, sizeof a.low) != 0);
}

/* A perfect net stays perfect in every resample; one that says nothing has half of all pairs. */
static void test_bootstrap_extremes(void)
{
    struct rn_leaning x[N];
    struct rn_bootstrap b;
    for (int i = 0; i < N; i++) x[i] = lean(N - i, i < N / 2);
    CHECK_OK(rn_bootstrap(&b, x, N, N / 2, 200, 1, 1));
    for (int k = 0; k < RN_FIGURES; k++) CHECK(b.low[k] == 1 && b.high[k] == 1);
    for (int i = 0; i < N; i++) x[i].margin = 0;
    CHECK_OK(rn_bootstrap(&b, x, N, 0, 200, 1, 1));
    CHECK(b.low[RN_AUC] == 0.5 && b.high[RN_AUC] == 0.5 && b.high[RN_SENSITIVITY] == 0 && b.low[RN_SPECIFICITY] == 1);
    CHECK(is_nan(b.low[RN_PRECISION]) && is_nan(b.high[RN_PRECISION]));
    CHECK(b.low[RN_AVERAGE_PRECISION] < 0.5 && b.high[RN_AVERAGE_PRECISION] > 0.5);
    CHECK_OK(rn_bootstrap(&b, x + N / 2, N / 2, 0, 20, 1, 1));
    CHECK(b.one_class == 20 && is_nan(b.low[RN_AUC]) && is_nan(b.low[RN_SENSITIVITY]) && b.low[RN_ACCURACY] == 1);
}

/* Around the figures themselves; and as wide as the normal approximation says, 1.96 standard deviations of a mean. */
static void test_bootstrap_width(void)
{
    enum { MANY = 900 };
    static struct rn_leaning x[MANY];
    struct rn_bootstrap b;
    struct rn_screening s;
    make_images(x, MANY, 4, 8);
    rn_rank(x, MANY);
    const struct rn_decisions d = rn_decide_at(2, x, MANY);
    rn_screen(&s, &d, x, MANY);
    CHECK_OK(rn_bootstrap(&b, x, MANY, d.true_positive + d.false_positive, 2000, 1, 2));
    for (int k = 0; k < RN_FIGURES; k++) CHECK(b.low[k] < s.figure[k] && s.figure[k] < b.high[k]);
    const double p = s.figure[RN_ACCURACY], half = 1.96 * sqrt(p * (1 - p) / MANY);
    const double width = b.high[RN_ACCURACY] - b.low[RN_ACCURACY];
    CHECK_MSG(fabs(width / (2 * half) - 1) < 0.1, "width %.17g, expected about %.17g", width, 2 * half);
}

static void test_bootstrap_refused(void)
{
    struct rn_leaning x[N];
    struct rn_bootstrap b;
    make_images(x, N, 1, 5);
    rn_rank(x, N);
    CHECK(rn_bootstrap(&b, x, 0, 0, 10, 1, 1) == RN_EUSAGE && rn_bootstrap(&b, x, N, 0, 0, 1, 1) == RN_EUSAGE);
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n <= 3; n++) {
        rn_alloc_fail_at(n, false);
        CHECK(rn_bootstrap(&b, x, N, 0, 10, 1, 1) == RN_ENOMEM);
    }
    rn_alloc_fail_at(0, false);
    CHECK(rn_alloc_live() == live);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_precision_by_hand), RN_TEST_ROW(test_precision_of_ties), RN_TEST_ROW(test_precision_naive),
        RN_TEST_ROW(test_decide_at),         RN_TEST_ROW(test_transfer),          RN_TEST_ROW(test_figures),
        RN_TEST_ROW(test_unknown_figures),   RN_TEST_ROW(test_bootstrap_naive),   RN_TEST_ROW(test_bootstrap_bits),
        RN_TEST_ROW(test_bootstrap_extremes), RN_TEST_ROW(test_bootstrap_width),  RN_TEST_ROW(test_bootstrap_refused),
    };
    return rn_test_main("test_screening", rows, RN_COUNT(rows), argc, argv);
}
