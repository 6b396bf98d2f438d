/*
 * screening.c - two classes: ranked margins, decisions, and how sure their figures are.  See metrics.h.
 *
 * Images of one margin are one step of every curve.  So a sample is two counts a step, positive and negative,
 * and all figures come from one walk over the steps, from the highest margin down; a resample of the bootstrap
 * is other counts on the same steps.  Bootstrap: Efron, "Bootstrap methods: another look at the jackknife",
 * Annals of Statistics 7 (1979).
 */
#include "train/metrics.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/quantile.h"
#include "base/random.h"
#include "base/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rn_leaning rn_lean(const float logits[2], int label, int positive_class)
{
    bool positive = label == positive_class;
    double margin = (double)logits[positive_class] - (double)logits[1 - positive_class];
    if (margin != margin) margin = positive ? (double)-INFINITY : (double)INFINITY;
    return (struct rn_leaning){ margin, positive };
}

static int falling(const void *a, const void *b)
{
    const struct rn_leaning *p = a, *q = b;
    if (p->margin != q->margin) return p->margin < q->margin ? 1 : -1;
    return q->positive - p->positive;
}

void rn_rank(struct rn_leaning *image, int64_t count)
{
    qsort(image, (size_t)count, sizeof *image, falling);
}

/* Counts the images from `i` on that share one margin; returns where the next margin begins. */
static int64_t take_ties(int64_t *positive, int64_t *negative, const struct rn_leaning *ranked, int64_t i,
                         int64_t count)
{
    double margin = ranked[i].margin;
    *positive = *negative = 0;
    for (; i < count && ranked[i].margin == margin; i++) ++*(ranked[i].positive ? positive : negative);
    return i;
}

/* -- curves ------------------------------------------------------------------------------------ */

/* What a walk has met so far. */
struct walk {
    int64_t positive, negative;
    int64_t twice;              /* twice the pairs in order */
    double found;               /* sum over positive images of the precision at their step */
};

static void step(struct walk *w, int64_t positive, int64_t negative)
{
    w->twice += negative * (2 * w->positive + positive);
    w->positive += positive;
    w->negative += negative;
    if (positive)
        w->found = w->found + (double)positive * ((double)w->positive / (double)(w->positive + w->negative));
}

static struct walk walk_all(const struct rn_leaning *ranked, int64_t count)
{
    struct walk w = {0};
    int64_t positive, negative;
    for (int64_t i = 0; i < count;) {
        i = take_ties(&positive, &negative, ranked, i, count);
        step(&w, positive, negative);
    }
    return w;
}

static double over(double part, int64_t whole) { return whole ? part / (double)whole : (double)NAN; }

static double area_of(const struct walk *w) { return over((double)w->twice, 2 * w->positive * w->negative); }

/* -- decisions --------------------------------------------------------------------------------- */

struct rn_decisions rn_decide_none(const struct rn_leaning *ranked, int64_t count)
{
    struct rn_decisions d = { .threshold = (double)INFINITY };
    for (int64_t i = 0; i < count; i++) ++*(ranked[i].positive ? &d.false_negative : &d.true_negative);
    return d;
}

int64_t rn_decide_next(struct rn_decisions *d, const struct rn_leaning *ranked, int64_t i, int64_t count)
{
    int64_t positive, negative;
    d->threshold = ranked[i].margin;
    i = take_ties(&positive, &negative, ranked, i, count);
    d->true_positive += positive;
    d->false_negative -= positive;
    d->false_positive += negative;
    d->true_negative -= negative;
    return i;
}

struct rn_decisions rn_decide_at(double threshold, const struct rn_leaning *ranked, int64_t count)
{
    struct rn_decisions d = rn_decide_none(ranked, count);
    for (int64_t i = 0; i < count && ranked[i].margin >= threshold;) i = rn_decide_next(&d, ranked, i, count);
    d.threshold = threshold;
    return d;
}

bool rn_decide_for_sensitivity(struct rn_decisions *d, const struct rn_leaning *ranked, int64_t count,
                               double target)
{
    struct rn_decisions at = rn_decide_none(ranked, count);
    const int64_t all = at.false_negative;
    int64_t i = 0;
    if (!all) return false;
    do i = rn_decide_next(&at, ranked, i, count);
    while ((double)at.true_positive / (double)all < target);
    *d = at;
    return true;
}

/* -- figures ----------------------------------------------------------------------------------- */

/* Of a whole walk that had met `found` and `wrong` where decisions end. */
static void set_figures(double figure[RN_FIGURES], const struct walk *w, int64_t found, int64_t wrong)
{
    const int64_t passed = w->negative - wrong;
    figure[RN_SENSITIVITY] = over((double)found, w->positive);
    figure[RN_SPECIFICITY] = over((double)passed, w->negative);
    figure[RN_PRECISION] = over((double)found, found + wrong);
    figure[RN_F1] = over((double)(2 * found), w->positive + found + wrong);
    figure[RN_ACCURACY] = over((double)(found + passed), w->positive + w->negative);
    figure[RN_BALANCED_ACCURACY] = (figure[RN_SENSITIVITY] + figure[RN_SPECIFICITY]) / 2;
    figure[RN_AUC] = area_of(w);
    figure[RN_AVERAGE_PRECISION] = over(w->found, w->positive);
}

void rn_screen(struct rn_screening *s, const struct rn_decisions *d, const struct rn_leaning *ranked,
               int64_t count)
{
    const struct walk w = walk_all(ranked, count);
    set_figures(s->figure, &w, d->true_positive, d->false_positive);
}

/* -- bootstrap --------------------------------------------------------------------------------- */

struct bootstrap {
    uint32_t count, steps, called_steps;
    uint32_t *place;     /* [count] where a ranked image is counted: its step times two, plus 1 if negative */
    uint32_t *tally;     /* [workers][steps][2] */
    double *figure;      /* [RN_FIGURES][resamples] */
    uint64_t seed;
    int resamples;
};

static void lay_out_steps(struct bootstrap *b, const struct rn_leaning *ranked, int64_t called)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (!i || ranked[i].margin != ranked[i - 1].margin) {
            b->called_steps += i < called;
            b->steps++;
        }
        b->place[i] = 2 * (b->steps - 1) + !ranked[i].positive;
    }
}

static void resample(void *arg, int64_t i, int worker)
{
    const struct bootstrap *b = arg;
    uint32_t *tally = b->tally + (size_t)worker * 2 * b->steps;
    struct rn_random r = rn_random(b->seed, RN_RANDOM_BOOTSTRAP, (uint32_t)i, 0);
    struct walk w = {0}, decided = {0};
    double figure[RN_FIGURES];
    memset(tally, 0, (size_t)b->steps * 2 * sizeof *tally);
    for (uint32_t n = 0; n < b->count; n++) tally[b->place[rn_random_below(&r, b->count)]]++;
    for (uint32_t n = 0; n < b->steps; n++) {
        step(&w, tally[2 * n], tally[2 * n + 1]);
        if (n + 1 == b->called_steps) decided = w;
    }
    set_figures(figure, &w, decided.positive, decided.negative);
    for (int k = 0; k < RN_FIGURES; k++) b->figure[(size_t)k * (size_t)b->resamples + (size_t)i] = figure[k];
}

/* Sorts the values that there are; NaN where there are none. */
static void interval(double *low, double *high, double *value, int count)
{
    int known = 0;
    for (int i = 0; i < count; i++)
        if (value[i] == value[i]) value[known++] = value[i];
    rn_sort(value, known);
    *low = known ? rn_quantile(value, known, 0.025) : (double)NAN;
    *high = known ? rn_quantile(value, known, 0.975) : (double)NAN;
}

static void resample_all(struct rn_bootstrap *out, struct bootstrap *b, int threads)
{
    rn_fpmode mode = rn_fpmode_enter();
    rn_parallel(threads, b->resamples, resample, b);
    *out = (struct rn_bootstrap){ .resamples = b->resamples };
    const double *auc = b->figure + (size_t)RN_AUC * (size_t)b->resamples;
    for (int i = 0; i < b->resamples; i++) out->one_class += auc[i] != auc[i];
    for (int k = 0; k < RN_FIGURES; k++)
        interval(&out->low[k], &out->high[k], b->figure + (size_t)k * (size_t)b->resamples, b->resamples);
    rn_fpmode_leave(mode);
}

rn_status rn_bootstrap(struct rn_bootstrap *b, const struct rn_leaning *ranked, int64_t count, int64_t called,
                       int resamples, uint64_t seed, int threads)
{
    if (count < 1 || count > INT32_MAX || resamples < 1)
        return rn_fail(RN_EUSAGE, "bootstrap: %lld images and %d resamples; at least 1 of each, and fewer than "
                       "2^31 images", (long long)count, resamples);
    threads = RN_MAX(1, RN_MIN(threads, resamples));
    struct bootstrap work = { .count = (uint32_t)count, .seed = seed, .resamples = resamples };
    work.place = rn_alloc_array((size_t)count, sizeof *work.place);
    work.figure = rn_alloc_array((size_t)resamples, RN_FIGURES * sizeof *work.figure);
    if (work.place) lay_out_steps(&work, ranked, called);
    work.tally = rn_alloc_array((size_t)threads, (size_t)work.steps * 2 * sizeof *work.tally);
    rn_status status = work.place && work.figure && work.tally ? RN_OK : RN_ENOMEM;
    if (!status) resample_all(b, &work, threads);
    rn_free(work.place);
    rn_free(work.figure);
    rn_free(work.tally);
    return status;
}
