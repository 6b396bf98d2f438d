/*
 * test_metrics.c - per-class scores, calibration and screening against cases worked out by hand and against
 * naive counts; and that an evaluation gives the same for every batch size.
 */
#define _POSIX_C_SOURCE 200809L

#include "tests/test_train.h"

#include "base/math.h"
#include "train/metrics.h"

static const float not_a_number = (float)NAN;

/* -- per class --------------------------------------------------------------------------------- */

static bool near(double x, double y) { return fabs(x - y) <= 1e-15; }

/* Labels 0 0 0 1 1 2, answers 0 0 1 1 2 2; class 3 is neither. */
static void test_classes(void)
{
    static const int64_t confusion[16] = { 2, 1, 0, 0, /**/ 0, 1, 1, 0, /**/ 0, 0, 1, 0 };
    struct rn_class_score s[4];
    rn_class_scores(s, confusion, 4);
    CHECK(s[0].support == 3 && s[0].answers == 2 && s[0].correct == 2);
    CHECK(s[0].precision == 1 && s[0].recall == 2.0 / 3 && s[0].f1 == 0.8);
    CHECK(s[1].precision == 0.5 && s[1].recall == 0.5 && s[1].f1 == 0.5);
    CHECK(s[2].precision == 0.5 && s[2].recall == 1 && s[2].f1 == 2.0 / 3);
    CHECK(s[3].support == 0 && s[3].precision == 0 && s[3].recall == 0 && s[3].f1 == 0);
    const struct rn_class_mean macro = rn_macro_mean(s, 4), weighted = rn_weighted_mean(s, 4);
    CHECK(near(macro.precision, 2.0 / 3) && near(macro.recall, 13.0 / 18) && near(macro.f1, 59.0 / 90));
    CHECK(near(weighted.precision, 0.75) && near(weighted.recall, 2.0 / 3) && near(weighted.f1, 61.0 / 90));
}

/* One class is the answer to everything; one has no image but is an answer, which the mean counts. */
static void test_degenerate_classes(void)
{
    static const int64_t one[4] = { 0, 3, 0, 1 }, missing[9] = { 1, 0, 1 }, none[4] = { 0, 0, 0, 0 };
    struct rn_class_score s[3];
    rn_class_scores(s, one, 2);
    CHECK(s[0].precision == 0 && s[0].recall == 0 && s[0].f1 == 0);
    CHECK(s[1].precision == 0.25 && s[1].recall == 1 && s[1].f1 == 0.4);
    CHECK(near(rn_macro_mean(s, 2).f1, 0.2) && near(rn_weighted_mean(s, 2).f1, 0.1));
    rn_class_scores(s, missing, 3);
    CHECK(s[2].support == 0 && s[2].answers == 1 && rn_macro_mean(s, 3).recall == 0.25);
    rn_class_scores(s, none, 2);
    CHECK(rn_macro_mean(s, 2).f1 == 0 && rn_weighted_mean(s, 2).precision == 0);
}

/* -- one image --------------------------------------------------------------------------------- */

static void test_confidence(void)
{
    const float even[4] = { 3, 3, 3, 3 }, sure[2] = { 0, 200 }, x[3] = { 0, 1, 2 };
    const float broken[3] = { 1, not_a_number, 2 }, first[2] = { not_a_number, 1 };
    CHECK(rn_confidence(even, 4) == 0.25);
    CHECK(rn_confidence(sure, 2) == 1);
    CHECK(rn_confidence(broken, 3) == 1 && rn_confidence(first, 2) == 1);
    CHECK(near(rn_confidence(x, 3), exp(2) / (1 + exp(1) + exp(2))));
}

/* The same bits as the loss of the op table. */
static void test_likelihood(void)
{
    enum { N = 50, K = 7 };
    float x[N * K];
    double loss[N];
    int32_t label[N];
    const struct rn_loss_shape shape = { .N = N, .K = K };
    for (uint32_t i = 0; i < N * K; i++) {
        struct rn_random r = rn_random(2, RN_RANDOM_TEST, 0, i);
        x[i] = (float)(20 * rn_random_normal(&r));
        label[i / K] = (int32_t)(i % 5);
    }
    rn_ops_ref.softmax_cross_entropy(NULL, loss, NULL, x, label, &shape);
    for (int n = 0; n < N; n++) {
        double own = rn_negative_log_likelihood(x + n * K, K, label[n]);
        CHECK_MSG(rn_bits64(own) == rn_bits64(loss[n]), "image %d: %a instead of %a", n, own, loss[n]);
    }
}

/* A NaN makes every answer wrong, and keeps it off the diagonal of the confusion matrix. */
static void test_not_a_numberanswer(void)
{
    const float x[3] = { 1, not_a_number, 0 };
    bool top1, top5;
    int answer;
    for (int label = 0; label < 3; label++) {
        rn_score(&top1, &top5, &answer, x, 3, label);
        CHECK(!top1 && !top5 && answer != label && answer >= 0 && answer < 3);
    }
}

/* -- calibration ------------------------------------------------------------------------------- */

/* Two bins of two: |1/2 - 0.75| and |2/2 - 0.95|, each half of the images. */
static void test_calibration(void)
{
    struct rn_calibration c = {0};
    CHECK(rn_calibration_error(&c) == 0);
    rn_calibration_add(&c, 0.74, true);
    rn_calibration_add(&c, 0.76, false);
    CHECK(c.bin[11].count == 2 && c.bin[11].correct == 1 && rn_calibration_confidence(&c, 11) == 0.75);
    rn_calibration_add(&c, 0.94, true);
    rn_calibration_add(&c, 0.96, true);
    CHECK(c.bin[14].count == 2 && near(rn_calibration_error(&c), 0.15));
    rn_calibration_add(&c, 1, true); /* asking has not closed the sums */
    CHECK(c.bin[14].count == 3 && near(rn_calibration_error(&c), 0.12));
}

/* A bin has its upper edge and not its lower one. */
static void test_bins(void)
{
    struct rn_calibration c = {0};
    for (int b = 0; b < RN_CALIBRATION_BINS; b++) {
        rn_calibration_add(&c, (b + 0.5) / RN_CALIBRATION_BINS, false);
        CHECK(c.bin[b].count == 1);
    }
    rn_calibration_add(&c, 0.2, false);                  /* 3/15 */
    rn_calibration_add(&c, nextafter(0.2, 1), false);
    rn_calibration_add(&c, 0, false);
    rn_calibration_add(&c, 1, false);
    CHECK(c.bin[2].count == 2 && c.bin[3].count == 2 && c.bin[0].count == 2 && c.bin[14].count == 2);
}

/* -- two classes ------------------------------------------------------------------------------- */

static struct rn_leaning lean(double margin, bool positive)
{
    return (struct rn_leaning){ margin, positive };
}

static void test_lean(void)
{
    const float x[2] = { 1, 3.5f }, broken[2] = { not_a_number, 0 };
    CHECK(rn_lean(x, 1, 1).margin == 2.5 && rn_lean(x, 1, 1).positive);
    CHECK(rn_lean(x, 1, 0).margin == -2.5 && !rn_lean(x, 1, 0).positive);
    CHECK(rn_lean(broken, 1, 1).margin < -1e300 && rn_lean(broken, 0, 1).margin > 1e300);
    CHECK(rn_lean(broken, 0, 0).margin < -1e300 && rn_lean(broken, 1, 0).margin > 1e300);
}

static double auc_of(const struct rn_leaning *ranked, int64_t count)
{
    const struct rn_decisions none = rn_decide_none(ranked, count);
    struct rn_screening s;
    rn_screen(&s, &none, ranked, count);
    return s.figure[RN_AUC];
}

/* Positive 3 2 2, negative 2 1: pairs in order 1+1, 1/2+1, 1/2+1 of 6. */
static void test_auc_by_hand(void)
{
    struct rn_leaning x[] = { lean(2, false), lean(2, true), lean(3, true), lean(1, false), lean(2, true) };
    rn_rank(x, 5);
    CHECK(x[0].margin == 3 && x[4].margin == 1);
    CHECK(auc_of(x, 5) == 5.0 / 6);
    CHECK(isnan(auc_of(x, 1)) && isnan(auc_of(x + 4, 1)) && isnan(auc_of(x, 0)));
    struct rn_leaning equal[] = { lean(0, true), lean(0, false), lean(0, false) };
    CHECK(auc_of(equal, 3) == 0.5);
}

static double naive_auc(const struct rn_leaning *x, int n)
{
    int64_t twice = 0, pairs = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) {
            if (!x[i].positive || x[k].positive) continue;
            pairs++;
            twice += x[i].margin > x[k].margin ? 2 : x[i].margin == x[k].margin;
        }
    }
    return (double)twice / (double)(2 * pairs);
}

/* Counts of `margin >= threshold`, one image at a time. */
static void check_decisions(const struct rn_decisions *d, const struct rn_leaning *x, int n)
{
    struct rn_decisions want = {0};
    for (int i = 0; i < n; i++) {
        bool said = x[i].margin >= d->threshold;
        if (x[i].positive) ++*(said ? &want.true_positive : &want.false_negative);
        else ++*(said ? &want.false_positive : &want.true_negative);
    }
    CHECK(want.true_positive == d->true_positive && want.false_negative == d->false_negative &&
          want.true_negative == d->true_negative && want.false_positive == d->false_positive);
}

/* Random margins of which many are equal: AUC, thresholds that cannot be higher, and every
 * point of the ROC curve. */
static void test_against_naive(void)
{
    enum { N = 60 };
    struct rn_leaning x[N];
    for (uint32_t round = 0; round < 200; round++) {
        int n = 2 + (int)(round % (N - 1));
        struct rn_random r = rn_random(round, RN_RANDOM_TEST, 0, 0);
        for (int i = 0; i < n; i++) x[i] = lean(rn_random_below(&r, 12) - 6.0, rn_random_below(&r, 3) == 0);
        x[0].positive = true;
        x[1].positive = false;
        double target = 0.05 * (1 + rn_random_below(&r, 20)), want = naive_auc(x, n);
        struct rn_decisions d;
        rn_rank(x, n);
        CHECK(auc_of(x, n) == want);
        CHECK(rn_decide_for_sensitivity(&d, x, n, target));
        check_decisions(&d, x, n);
        double all = (double)(d.true_positive + d.false_negative);
        CHECK((double)d.true_positive / all >= target);
        int64_t higher = 0; /* positives above the threshold: too few of them */
        for (int i = 0; i < n; i++) higher += x[i].positive && x[i].margin > d.threshold;
        CHECK((double)higher / all < target);
        d = rn_decide_none(x, n);
        check_decisions(&d, x, n);
        for (int64_t i = 0; i < n;) {
            i = rn_decide_next(&d, x, i, n);
            check_decisions(&d, x, n);
        }
        CHECK(d.false_negative == 0 && d.true_negative == 0);
    }
}

/* 49 of 50 are 0.98, with the threshold on the 49th; without positive images there is none. */
static void test_target(void)
{
    struct rn_leaning x[60];
    struct rn_decisions d = {0};
    for (int i = 0; i < 60; i++) x[i] = lean(-i, i < 50);
    CHECK(rn_decide_for_sensitivity(&d, x, 60, 0.98) && d.threshold == -48 && d.true_positive == 49);
    CHECK(d.false_negative == 1 && d.true_negative == 10 && d.false_positive == 0);
    CHECK(rn_decide_for_sensitivity(&d, x, 60, 1) && d.threshold == -49 && d.false_negative == 0);
    CHECK(!rn_decide_for_sensitivity(&d, x + 50, 10, 0.5));
}

/* -- evaluations ------------------------------------------------------------------------------- */

struct result {
    struct rn_metrics m;
    struct rn_calibration calibration;
    int64_t confusion[9];
    float logits[TINY_VAL * 3];
};

static void evaluate_tiny(struct result *r, const struct rn_dataset *data, int batch, int threads, bool flip)
{
    struct rn_train_config c = tiny_config();
    c.val_batch = 5;
    struct tiny x = tiny_begin(&c, threads);
    struct rn_loader *loader;
    const struct rn_loader_config images = { .set = data, .split = &data->val, .batch = batch,
                                             .mean = { 0.5, 0.5, 0.5 }, .std = { 0.25, 0.25, 0.25 } };
    memset(r, 0, sizeof *r);
    r->m = (struct rn_metrics){ .flip = flip, .confusion = r->confusion, .logits = r->logits,
                                .calibration = &r->calibration };
    CHECK_OK(rn_loader_create(&loader, &images));
    CHECK_OK(rn_evaluate(&r->m, rn_trainer_net(x.t), loader, NULL, NULL));
    rn_loader_free(loader);
    tiny_end(&x);
}

static void check_same(const struct result *a, const struct result *b)
{
    CHECK(a->m.count == b->m.count && a->m.correct == b->m.correct && a->m.correct5 == b->m.correct5);
    CHECK(rn_bits64(a->m.loss) == rn_bits64(b->m.loss));
    CHECK(!memcmp(a->confusion, b->confusion, sizeof a->confusion));
    CHECK(rn_bits64(rn_calibration_error(&a->calibration)) == rn_bits64(rn_calibration_error(&b->calibration)));
    check_bits("logits", a->logits, b->logits, TINY_VAL * 3);
}

static void test_batch_size(void)
{
    static struct result a, b;
    for (int flip = 0; flip < 2; flip++) {
        evaluate_tiny(&a, tiny_data(), 1, 1, flip);
        CHECK(a.m.count == TINY_VAL);
        int64_t diagonal = a.confusion[0] + a.confusion[4] + a.confusion[8];
        CHECK(diagonal == a.m.correct && a.m.correct5 == TINY_VAL);
        evaluate_tiny(&b, tiny_data(), 4, 1, flip);
        check_same(&a, &b);
        evaluate_tiny(&b, tiny_data(), 5, 3, flip);
        check_same(&a, &b);
    }
}

/* With mirror images: mirrored data give the same bits, and logits are the mean of the two plain ones. */
static void test_flip(void)
{
    static struct result plain, mirrored, mean, other;
    static uint8_t pixels[TINY_VAL][TINY_PIXELS];
    struct rn_dataset data = *tiny_data();
    evaluate_tiny(&plain, &data, 4, 1, false);
    evaluate_tiny(&mean, &data, 4, 1, true);
    for (int i = 0; i < TINY_VAL; i++)
        for (size_t k = 0; k < TINY_PIXELS; k++) pixels[i][k] = tiny_pixels[TINY_TRAIN + i][k / 32 * 32 + 31 - k % 32];
    data.val.pixels = pixels[0];
    evaluate_tiny(&mirrored, &data, 4, 1, false);
    evaluate_tiny(&other, &data, 4, 1, true);
    check_same(&mean, &other);
    CHECK(memcmp(plain.logits, mirrored.logits, sizeof plain.logits) != 0);
    for (int i = 0; i < TINY_VAL * 3; i++)
        CHECK(mean.logits[i] == (plain.logits[i] + mirrored.logits[i]) / 2);
}

/* Each of an evaluation's own allocations fails once; what is left when it does not is as before. */
static void test_no_memory(void)
{
    struct rn_train_config c = tiny_config();
    struct tiny x = tiny_begin(&c, 1);
    struct rn_loader *loader;
    const struct rn_dataset *data = tiny_data();
    const struct rn_loader_config images = { .set = data, .split = &data->val, .batch = 4, .mean = { 0.5, 0.5, 0.5 },
                                             .std = { 0.25, 0.25, 0.25 } };
    CHECK_OK(rn_loader_create(&loader, &images));
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n <= 4; n++) {
        struct rn_metrics m = { .flip = true };
        rn_alloc_fail_at(n, false);
        CHECK(rn_evaluate(&m, rn_trainer_net(x.t), loader, NULL, NULL) == RN_ENOMEM);
    }
    rn_alloc_fail_at(0, false);
    CHECK(rn_alloc_live() == live);
    rn_loader_free(loader);
    tiny_end(&x);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_classes),       RN_TEST_ROW(test_degenerate_classes),
        RN_TEST_ROW(test_confidence),    RN_TEST_ROW(test_likelihood),
        RN_TEST_ROW(test_not_a_numberanswer),    RN_TEST_ROW(test_calibration),
        RN_TEST_ROW(test_bins),          RN_TEST_ROW(test_lean),
        RN_TEST_ROW(test_auc_by_hand),   RN_TEST_ROW(test_against_naive),
        RN_TEST_ROW(test_target),        RN_TEST_ROW(test_batch_size),
        RN_TEST_ROW(test_flip),          RN_TEST_ROW(test_no_memory),
    };
    return rn_test_main("test_metrics", rows, RN_COUNT(rows), argc, argv);
}
