/* report.c - accuracy, per-class scores and calibration, as text and as JSON. */
#include "tools/evaluate/report.h"

#include <inttypes.h>

#define WIDE_TABLE 30 /* classes; beyond it the confusion matrix is left to --json and --confusion */

double tool_percent(int64_t part, int64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static double rate(const struct rn_metrics *m) { return m->seconds > 0 ? (double)m->count / m->seconds : 0; }

/* The lower edge of a bin of confidences. */
static double edge(int bin) { return (double)bin / RN_CALIBRATION_BINS; }

/* -- JSON -------------------------------------------------------------------------------------- */

/* "key": x, the first one of an object without the comma before it. */
static void add_number(struct rn_text *t, const char *before, const char *key, double x)
{
    rn_text_add(t, "%s\"%s\": ", before, key);
    rn_text_number(t, x);
}

static void add_word(struct rn_text *t, const char *before, const char *key, const char *word)
{
    rn_text_add(t, "%s\"%s\": ", before, key);
    rn_text_json(t, word);
}

static void add_confusion_json(struct rn_text *t, const struct tool_evaluation *e)
{
    rn_text_add(t, ",\n  \"confusion\": [");
    for (int i = 0; i < e->classes; i++) {
        rn_text_add(t, "%s\n    [", i ? "," : "");
        for (int k = 0; k < e->classes; k++)
            rn_text_add(t, "%s%" PRId64, k ? ", " : "", e->m.confusion[(int64_t)i * e->classes + k]);
        rn_text_add(t, "]");
    }
    rn_text_add(t, "\n  ]");
}

static void add_mean_json(struct rn_text *t, const char *key, struct rn_class_mean m)
{
    rn_text_add(t, ",\n  \"%s\": {", key);
    add_number(t, "", "precision", m.precision);
    add_number(t, ", ", "recall", m.recall);
    add_number(t, ", ", "f1", m.f1);
    rn_text_add(t, "}");
}

static void add_classes_json(struct rn_text *t, const struct tool_evaluation *e)
{
    rn_text_add(t, ",\n  \"per_class\": [");
    for (int i = 0; i < e->classes; i++) {
        const struct rn_class_score *s = &e->score[i];
        add_word(t, i ? ",\n    {" : "\n    {", "class", e->names[i]);
        rn_text_add(t, ", \"support\": %" PRId64 ", \"answers\": %" PRId64 ", \"correct\": %" PRId64, s->support,
                    s->answers, s->correct);
        add_number(t, ", ", "precision", s->precision);
        add_number(t, ", ", "recall", s->recall);
        add_number(t, ", ", "f1", s->f1);
        rn_text_add(t, "}");
    }
    rn_text_add(t, "\n  ]");
    add_mean_json(t, "macro", rn_macro_mean(e->score, e->classes));
    add_mean_json(t, "weighted", rn_weighted_mean(e->score, e->classes));
}

static void add_calibration_json(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct rn_calibration *c = e->m.calibration;
    add_number(t, ",\n  ", "ece", rn_calibration_error(c));
    rn_text_add(t, ",\n  \"reliability\": [");
    for (int b = 0; b < RN_CALIBRATION_BINS; b++) {
        int64_t count = c->bin[b].count;
        add_number(t, b ? ",\n    {" : "\n    {", "from", edge(b));
        add_number(t, ", ", "to", edge(b + 1));
        rn_text_add(t, ", \"count\": %" PRId64 ", \"correct\": %" PRId64, count, c->bin[b].correct);
        if (count) add_number(t, ", ", "confidence", rn_calibration_confidence(c, b));
        else rn_text_add(t, ", \"confidence\": null");
        rn_text_add(t, "}");
    }
    rn_text_add(t, "\n  ]");
}

void tool_net_json(struct rn_text *t, const char *arch, const char *stem, const char *numerics)
{
    add_word(t, "  ", "arch", arch);
    add_word(t, ",\n  ", "stem", stem);
    add_word(t, ",\n  ", "numerics", numerics);
}

void tool_evaluation_json(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct rn_metrics *m = &e->m;
    tool_net_json(t, e->arch, e->stem, e->numerics);
    add_word(t, ",\n  ", "data", e->data);
    add_word(t, ",\n  ", "split", e->split);
    rn_text_add(t, ",\n  \"weights_hash\": \"%016" PRIx64 "\",\n  \"folded\": %s", e->weights_hash,
                e->folded ? "true" : "false");
    add_word(t, ",\n  ", "tta", m->flip ? "flip" : "none");
    rn_text_add(t, ",\n  \"skipped_images\": %" PRId64 ",\n  \"count\": %" PRId64 ",\n  \"correct\": %" PRId64,
                e->skipped, m->count, m->correct);
    add_number(t, ",\n  ", "top1", tool_percent(m->correct, m->count));
    add_number(t, ",\n  ", "top5", tool_percent(m->correct5, m->count));
    add_number(t, ",\n  ", "loss", m->loss);
    add_number(t, ",\n  ", "seconds", m->seconds);
    add_number(t, ",\n  ", "images_per_second", rate(m));
    rn_text_add(t, ",\n  \"classes\": [");
    for (int i = 0; i < e->classes; i++) {
        rn_text_add(t, "%s", i ? ", " : "");
        rn_text_json(t, e->names[i]);
    }
    rn_text_add(t, "]");
    add_confusion_json(t, e);
    add_classes_json(t, e);
    add_calibration_json(t, e);
    if (e->classes == 2) tool_screening_json(t, e);
}

/* -- text -------------------------------------------------------------------------------------- */

/* A share of 1 as "  98.25 %". */
static void add_share(struct rn_text *t, double share)
{
    char text[RN_NUMBER_CHARS];
    rn_text_add(t, " %7s %%", rn_fixed_text(text, 100 * share, 2));
}

static void add_totals(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct rn_metrics *m = &e->m;
    rn_text_add(t, "%s%s%s on %s, %s: %" PRId64 " images", e->arch, e->folded ? ", folded," : "",
                m->flip ? ", with mirror images," : "", e->data, e->split, m->count);
    if (e->skipped) rn_text_add(t, " (%" PRId64 " files of the data could not be used)", e->skipped);
    rn_text_add(t, "\ntop-1 ");
    rn_text_fixed(t, tool_percent(m->correct, m->count), 2);
    rn_text_add(t, " %% (%" PRId64 " correct)  top-5 ", m->correct);
    rn_text_fixed(t, tool_percent(m->correct5, m->count), 2);
    rn_text_add(t, " %%  loss ");
    rn_text_fixed(t, m->loss, 5);
    rn_text_add(t, "  ");
    rn_text_fixed(t, rate(m), 1);
    rn_text_add(t, " images/s\n");
}

static void add_mean(struct rn_text *t, const char *name, struct rn_class_mean m)
{
    rn_text_add(t, "     %-47s", name);
    add_share(t, m.precision);
    add_share(t, m.recall);
    add_share(t, m.f1);
    rn_text_add(t, "\n");
}

static void add_classes(struct rn_text *t, const struct tool_evaluation *e)
{
    rn_text_add(t, "\n     %-20s %8s %8s %8s %9s %9s %9s\n", "class", "images", "answers", "correct", "precision",
                "recall", "F1");
    for (int i = 0; i < e->classes; i++) {
        const struct rn_class_score *s = &e->score[i];
        rn_text_add(t, "%4d %-20.40s %8" PRId64 " %8" PRId64 " %8" PRId64, i, e->names[i], s->support,
                    s->answers, s->correct);
        add_share(t, s->precision);
        add_share(t, s->recall);
        add_share(t, s->f1);
        rn_text_add(t, "\n");
    }
    add_mean(t, "mean over classes", rn_macro_mean(e->score, e->classes));
    add_mean(t, "mean over images", rn_weighted_mean(e->score, e->classes));
}

static void add_calibration(struct rn_text *t, const struct tool_evaluation *e)
{
    const struct rn_calibration *c = e->m.calibration;
    char text[2][RN_NUMBER_CHARS];
    rn_text_add(t, "\ncalibration: expected error ");
    rn_text_fixed(t, 100 * rn_calibration_error(c), 2);
    rn_text_add(t, " %% over %d bins\n     %-20s %8s %8s %9s %9s\n", RN_CALIBRATION_BINS, "confidence", "images",
                "correct", "accuracy", "mean conf");
    for (int b = 0; b < RN_CALIBRATION_BINS; b++) {
        int64_t count = c->bin[b].count, correct = c->bin[b].correct;
        if (!count) continue;
        rn_text_add(t, "     %6s ... %-9s %8" PRId64 " %8" PRId64, rn_fixed_text(text[0], 100 * edge(b), 1),
                    rn_fixed_text(text[1], 100 * edge(b + 1), 1), count, correct);
        add_share(t, (double)correct / (double)count);
        add_share(t, rn_calibration_confidence(c, b));
        rn_text_add(t, "\n");
    }
}

static void add_confusion(struct rn_text *t, const struct tool_evaluation *e)
{
    rn_text_add(t, "\nconfusion: a row for each label, a column for each answer\n     ");
    for (int k = 0; k < e->classes; k++) rn_text_add(t, " %6d", k);
    for (int i = 0; i < e->classes; i++) {
        rn_text_add(t, "\n%4d ", i);
        for (int k = 0; k < e->classes; k++)
            rn_text_add(t, " %6" PRId64, e->m.confusion[(int64_t)i * e->classes + k]);
    }
    rn_text_add(t, "\n");
}

void tool_evaluation_text(struct rn_text *t, const struct tool_evaluation *e)
{
    add_totals(t, e);
    add_classes(t, e);
    if (e->classes == 2) tool_screening_text(t, e);
    add_calibration(t, e);
    if (e->classes <= WIDE_TABLE) add_confusion(t, e);
}
