/*
 * compare.c - the whole document; several runs side by side: a column for each, and their curves over
 * each other.
 */
#include "tools/report/report.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST 8 /* runs; the colours of the page */

enum place { CONF, SUMMARY, EVALUATION, BENCH, BEST, LAST, COUNTED };
static const struct { const char *name; enum place place; const char *key; int column; } line[] = {
    { "Architecture", CONF, "arch", 0 },
    { "Stem", CONF, "stem", 0 },
    { "Input Resolution", CONF, "image-size", 0 },
    { "Numerics", CONF, "numerics", 0 },
    { "Data", CONF, "data", 0 },
    { "Parameters", COUNTED, "parameters", 0 },
    { "MACs", COUNTED, "macs", 0 },
    { "Random Seed", CONF, "seed", 0 },
    { "Optimizer", CONF, "opt", 0 },
    { "Learning Rate", CONF, "lr", 0 },
    { "Batch Size", CONF, "batch-size", 0 },
    { "Epochs Trained", LAST, NULL, REPORT_EPOCH },
    { "Convergence Epoch", BEST, NULL, REPORT_EPOCH },
    { "Best Validation Accuracy (%)", SUMMARY, "best_acc", 0 },
    { "Final Training Accuracy (%)", LAST, NULL, REPORT_TRAIN_ACC },
    { "Final Validation Accuracy (%)", LAST, NULL, REPORT_VAL_ACC },
    { "Final Training Loss", LAST, NULL, REPORT_TRAIN_LOSS },
    { "Final Validation Loss", LAST, NULL, REPORT_VAL_LOSS },
    { "Final Test Accuracy (%)", EVALUATION, "top1", 0 },
    { "AUC", EVALUATION, "auc", 0 },
    { "Expected Calibration Error", EVALUATION, "ece", 0 },
    { "Training Time (s)", SUMMARY, "seconds", 0 },
    { "Training Speed (images/s)", SUMMARY, "images_per_second", 0 },
    { "Peak Memory of Training (MB)", SUMMARY, "peak_rss_mb", 0 },
    { "Inference, first batch size", BENCH, "batch", 0 },
    { "Inference, first batch size: mean (ms)", BENCH, "mean_ms", 0 },
    { "Inference, first batch size: images/s", BENCH, "images_per_second", 0 },
    { "Inference, first batch size: peak memory (MB)", BENCH, "peak_rss_mb", 0 },
};

static void row_cell(struct report_page *p, const struct report_run *r, int row, int column)
{
    report_cell(p, row >= 0 && row < r->epochs ? r->epoch[row].digits[column] : "N/A");
}

static void cell(struct report_page *p, const struct report_run *r, size_t i)
{
    const struct report_flops f = report_flops(r);
    char digits[REPORT_DIGITS];
    const char *text;
    double x;
    switch (line[i].place) {
    case CONF:
        text = opt_text(&r->conf, line[i].key);
        report_cell(p, text ? text : "N/A");
        return;
    case SUMMARY:
        report_cell(p, report_number(digits, &x, &r->summary, r->summary.root, line[i].key));
        return;
    case EVALUATION:
        report_cell(p, report_number(digits, &x, &r->evaluation, r->evaluation.root, line[i].key));
        return;
    case BENCH:
        report_cell(p, report_number(digits, &x, &r->bench, report_result(r, 0), line[i].key));
        return;
    case BEST: row_cell(p, r, r->best, line[i].column); return;
    case LAST: row_cell(p, r, r->epochs - 1, line[i].column); return;
    case COUNTED:
        snprintf(digits, sizeof digits, "%" PRId64, !strcmp(line[i].key, "macs") ? f.macs : f.parameters);
        report_cell(p, r->layer ? digits : "N/A");
    }
}

static void table(struct report_page *p, const struct report_run *r, int runs)
{
    struct report_head head[MOST + 1] = { { "", 46, true } };
    for (int k = 0; k < runs; k++) head[k + 1] = (struct report_head){ r[k].name, 24, false };
    report_table(p, head, runs + 1);
    for (size_t i = 0; i < RN_COUNT(line); i++) {
        report_cell(p, line[i].name);
        for (int k = 0; k < runs; k++) cell(p, &r[k], i);
    }
}

/* A sample of each colour and the run's name. */
static void add_legend(struct rn_text *t, const struct report_run *r, int runs)
{
    for (int k = 0; k < runs; k++) {
        rn_text_add(t, " <svg class=\"s\" viewBox=\"0 0 18 8\"><path class=\"k c%d\" d=\"M0 4H18\"/></svg> ", k);
        report_escape(t, r[k].name);
    }
}

static void draw(struct report_page *p, const struct report_run *r, int runs, enum report_column column,
                 const char *y_title, const char *title)
{
    struct report_chart c = { .x_title = "epoch", .y_title = y_title, .whole = true, .mark = NAN, .curves = runs };
    struct rn_text svg = { 0 }, caption = { 0 };
    size_t all = 0;
    for (int k = 0; k < runs; k++) all += (size_t)r[k].epochs;
    double *space = rn_alloc_array(all + 1, 2 * sizeof *space), *at = space;
    for (int k = 0; space && k < runs; k++, at += 2 * r[k - 1].epochs)
        report_run_curve(&c.curve[k], &r[k], column, at, at + r[k].epochs);
    if (space && all) {
        report_chart(&svg, &c);
        rn_text_add(&caption, "<b>%s</b>", title);
        add_legend(&caption, r, runs);
        if (!rn_text_status(&svg) && !rn_text_status(&caption)) report_figure(p, false, svg.data, caption.data);
    }
    rn_text_free(&svg);
    rn_text_free(&caption);
    rn_free(space);
}

static void comparison(struct report_page *p, const struct report_run *r, int runs)
{
    report_section(p, 0, "Comparison");
    table(p, r, runs);
    p->into = REPORT_PAGE;
    draw(p, r, runs, REPORT_VAL_ACC, "accuracy (%)", "Validation accuracy");
    draw(p, r, runs, REPORT_VAL_LOSS, "loss", "Validation loss");
    draw(p, r, runs, REPORT_TRAIN_ACC, "accuracy (%)", "Training accuracy");
    draw(p, r, runs, REPORT_TRAIN_LOSS, "loss", "Training loss");
    p->into = REPORT_ALL;
}

void report_compose(struct report_page *p, const struct report_run *r, int runs)
{
    char title[300], subtitle[400];
    if (runs == 1) {
        snprintf(title, sizeof title, "%s: Comprehensive Analysis Report", r->name);
        snprintf(subtitle, sizeof subtitle, "%s on %s, %s; resnet.c %s", opt_text(&r->conf, "arch"),
                 opt_text(&r->conf, "data"), r->when, RN_VERSION);
    } else {
        snprintf(title, sizeof title, "Comparison of %d Runs", runs);
        snprintf(subtitle, sizeof subtitle, "%s and %d more; resnet.c %s", r->name, runs - 1, RN_VERSION);
    }
    report_begin(p, title, subtitle);
    report_box(p, "links");
    for (int i = 0; i < runs && runs > 1; i++) report_link(p, i + 1, 0, r[i].name);
    for (int i = 0; i < REPORT_SECTIONS && runs == 1; i++) report_link(p, 0, i + 1, report_titles[i]);
    report_box(p, NULL);
    if (runs == 1) report_cards(p, r);
    else comparison(p, r, runs);
    for (int i = 0; i < runs; i++) {
        if (runs > 1) report_part(p, r[i].name);
        report_sections(p, &r[i]);
    }
    report_end(p);
}
