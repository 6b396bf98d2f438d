/* screening.c - what a net of two classes finds and misses, as text, as JSON and as curves. */
#include "tools/evaluate/report.h"

#include "base/math.h"
#include "base/real.h"

#include <inttypes.h>
#include <stdio.h>

static const struct { const char *key, *name; bool share; } figures[RN_FIGURES] = {
    [RN_SENSITIVITY] = { "sensitivity", "sensitivity", true },
    [RN_SPECIFICITY] = { "specificity", "specificity", true },
    [RN_PRECISION] = { "precision", "precision", true },
    [RN_F1] = { "f1", "F1", true },
    [RN_ACCURACY] = { "accuracy", "accuracy", true },
    [RN_BALANCED_ACCURACY] = { "balanced_accuracy", "balanced accuracy", true },
    [RN_AUC] = { "auc", "AUC", false },
    [RN_AVERAGE_PRECISION] = { "average_precision", "average precision", false },
};

double tool_probability(double margin) { return 1 / (1 + rn_exp(-margin)); }

/* -- JSON -------------------------------------------------------------------------------------- */

static void add_known(struct rn_text *t, double x)
{
    if (rn_finite64(x)) rn_text_number(t, x);
    else rn_text_add(t, "null");
}

static void add_figures(struct rn_text *t, const char *before, const struct rn_screening *s)
{
    for (int i = 0; i < RN_FIGURES; i++) {
        rn_text_add(t, "%s\"%s\": ", before, figures[i].key);
        add_known(t, s->figure[i]);
    }
}

static void add_counts(struct rn_text *t, const char *before, const struct rn_decisions *d)
{
    rn_text_add(t, "%s\"true_positives\": %" PRId64 ", \"false_negatives\": %" PRId64 ", \"true_negatives\": %" PRId64
                ", \"false_positives\": %" PRId64, before, d->true_positive, d->false_negative, d->true_negative,
                d->false_positive);
}

/* What chose the threshold. */
static void add_choice(struct rn_text *t, const struct tool_chosen *c)
{
    rn_text_add(t, ",\n  \"threshold_split\": ");
    if (c->split) rn_text_json(t, c->split);
    else rn_text_add(t, "null");
    if (!c->split) return;
    rn_text_add(t, ",\n  \"threshold_choice\": {\"target_sensitivity\": ");
    rn_text_number(t, c->sensitivity);
    rn_text_add(t, ", \"same_images\": %s", c->same_images ? "true" : "false");
    add_figures(t, ", ", &c->figures);
    add_counts(t, ", ", &c->counts);
    rn_text_add(t, "}");
}

static void add_intervals(struct rn_text *t, const struct tool_screening *s)
{
    const struct rn_bootstrap *b = &s->interval;
    if (!b->resamples) return;
    rn_text_add(t, ",\n  \"bootstrap\": {\"resamples\": %d, \"seed\": %" PRIu64 ", \"one_class\": %" PRId64
                ", \"level\": 0.95", b->resamples, s->seed, b->one_class);
    for (int i = 0; i < RN_FIGURES; i++) {
        rn_text_add(t, ",\n    \"%s\": [", figures[i].key);
        add_known(t, b->low[i]);
        rn_text_add(t, ", ");
        add_known(t, b->high[i]);
        rn_text_add(t, "]");
    }
    rn_text_add(t, "}");
}

void tool_screening_json(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct tool_screening *s = &e->screening;
    rn_text_add(t, ",\n  \"positive_class\": ");
    rn_text_json(t, e->names[s->positive_class]);
    add_figures(t, ",\n  ", &s->figures);
    rn_text_add(t, ",\n  \"threshold\": ");
    rn_text_number(t, s->threshold);
    rn_text_add(t, ",\n  \"threshold_margin\": ");
    add_known(t, s->counts.threshold);
    add_choice(t, &s->chosen);
    add_counts(t, ",\n  ", &s->counts);
    add_intervals(t, s);
}

/* -- text -------------------------------------------------------------------------------------- */

#define FIGURE 16

/* "98.25 %", "0.99213", or a dash for what is not known. */
static const char *figure_text(char out[FIGURE], int figure, double x)
{
    char number[RN_NUMBER_CHARS];
    const bool share = figures[figure].share;
    if (x != x) return "-";
    snprintf(out, FIGURE, "%.12s%s", rn_fixed_text(number, share ? 100 * x : x, share ? 2 : 5), share ? " %" : "");
    return out;
}

/* Whom the decisions look for, and who chose the threshold. */
static void add_rule(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct tool_screening *s = &e->screening;
    char text[RN_NUMBER_CHARS];
    rn_text_add(t, "\nlooking for \"%s\", from probability %s on", e->names[s->positive_class],
                rn_number_text(text, s->threshold));
    if (s->chosen.split) {
        rn_text_add(t, ", chosen on %s for sensitivity %s %%",
                    s->chosen.same_images ? "the images it is judged on" : s->chosen.split,
                    rn_fixed_text(text, 100 * s->chosen.sensitivity, 2));
    }
    rn_text_add(t, ":\n");
}

static void add_figure(struct rn_text *t, const struct tool_screening *s, int i, bool elsewhere)
{
    char text[FIGURE];
    rn_text_add(t, "     %-20s %9s", figures[i].name, figure_text(text, i, s->figures.figure[i]));
    if (s->interval.resamples) {
        rn_text_add(t, " %9s ...", figure_text(text, i, s->interval.low[i]));
        rn_text_add(t, elsewhere ? " %-9s" : " %s", figure_text(text, i, s->interval.high[i]));
    }
    if (elsewhere) rn_text_add(t, " %9s", figure_text(text, i, s->chosen.figures.figure[i]));
    rn_text_add(t, "\n");
}

void tool_screening_text(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct tool_screening *s = &e->screening;
    const struct rn_decisions *d = &s->counts;
    const bool elsewhere = s->chosen.split && !s->chosen.same_images;
    add_rule(t, e);
    if (s->interval.resamples || elsewhere) {
        rn_text_add(t, "     %-20s %9s", "", e->split);
        if (s->interval.resamples) rn_text_add(t, elsewhere ? " %-23s" : " %s", "     95 % interval");
        if (elsewhere) rn_text_add(t, " %9s", s->chosen.split);
        rn_text_add(t, "\n");
    }
    for (int i = 0; i < RN_FIGURES; i++) add_figure(t, s, i, elsewhere);
    rn_text_add(t, "true positives %" PRId64 "  false negatives %" PRId64 "  true negatives %" PRId64
                "  false positives %" PRId64 "\n", d->true_positive, d->false_negative, d->true_negative,
                d->false_positive);
    if (!s->interval.resamples) return;
    rn_text_add(t, "intervals: %d resamples of the images, seed %" PRIu64, s->interval.resamples, s->seed);
    if (s->interval.one_class)
        rn_text_add(t, "; %" PRId64 " of them have images of one class only", s->interval.one_class);
    rn_text_add(t, "\n");
}

/* -- CSV --------------------------------------------------------------------------------------- */

/* A ratio of counts; an empty field where there is nothing below the line. */
static void add_field(struct rn_text *t, int64_t part, int64_t whole)
{
    rn_text_add(t, ",");
    if (whole) rn_text_number(t, (double)part / (double)whole);
}

/* The beginning of a line: threshold, its margin, and what is called positive. */
static void add_threshold(struct rn_text *t, const struct rn_decisions *d)
{
    rn_text_number(t, tool_probability(d->threshold));
    rn_text_add(t, ",");
    rn_text_number(t, d->threshold);
    rn_text_add(t, ",%" PRId64 ",%" PRId64, d->true_positive, d->false_positive);
}

void tool_roc_csv(struct rn_text *t, const struct rn_leaning *ranked, int64_t count)
{
    struct rn_decisions d = rn_decide_none(ranked, count);
    const int64_t positive = d.false_negative, negative = d.true_negative;
    rn_text_add(t, "threshold,threshold_margin,true_positives,false_positives,sensitivity,specificity\n");
    for (int64_t i = 0;; i = rn_decide_next(&d, ranked, i, count)) {
        add_threshold(t, &d);
        add_field(t, d.true_positive, positive);
        add_field(t, d.true_negative, negative);
        rn_text_add(t, "\n");
        if (i == count) return;
    }
}

void tool_pr_csv(struct rn_text *t, const struct rn_leaning *ranked, int64_t count)
{
    struct rn_decisions d = rn_decide_none(ranked, count);
    const int64_t positive = d.false_negative;
    rn_text_add(t, "threshold,threshold_margin,true_positives,false_positives,recall,precision\n");
    for (int64_t i = 0;; i = rn_decide_next(&d, ranked, i, count)) {
        add_threshold(t, &d);
        add_field(t, d.true_positive, positive);
        add_field(t, d.true_positive, d.true_positive + d.false_positive);
        rn_text_add(t, "\n");
        if (i == count) return;
    }
}
