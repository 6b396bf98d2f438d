/*
 * stability.c - sections 6 and 7: how smoothly a run went, as far as its table says, and the figures that
 * later runs are held against.
 */
#include "tools/report/report.h"

#include <math.h>
#include <stdio.h>

/* -- 6 ----------------------------------------------------------------------------------------- */

/* The largest rise of a column from one epoch to the next; the row it rises to, 0: it never rises. */
static int largest_rise(double *rise, const struct report_run *r, enum report_column column)
{
    int row = 0;
    *rise = 0;
    for (int i = 1; i < r->epochs; i++) {
        double d = r->epoch[i].x[column] - r->epoch[i - 1].x[column];
        if (!(d > *rise)) continue;
        *rise = d;
        row = i;
    }
    return row;
}

static int lowest_loss(const struct report_run *r)
{
    int row = 0;
    for (int i = 1; i < r->epochs; i++)
        if (r->epoch[i].x[REPORT_VAL_LOSS] < r->epoch[row].x[REPORT_VAL_LOSS]) row = i;
    return row;
}

static int not_finite(const struct report_run *r)
{
    int n = 0;
    for (int i = 0; i < r->epochs; i++)
        n += !isfinite(r->epoch[i].x[REPORT_TRAIN_LOSS]) || !isfinite(r->epoch[i].x[REPORT_VAL_LOSS]);
    return n;
}

void report_stability(struct report_page *p, const struct report_run *r)
{
    char text[RN_NUMBER_CHARS], other[RN_NUMBER_CHARS];
    double rise;
    report_section(p, 6, report_titles[5]);
    if (!r->epochs) {
        report_bullet(p, "N/A: no epoch has ended");
        return;
    }
    const struct report_epoch *best = &r->epoch[r->best], *last = &r->epoch[r->epochs - 1];
    report_bullet(p, "Best accuracy achieved at epoch %s", best->digits[REPORT_EPOCH]);
    report_bullet(p, "Early stopping: %s", report_stopped_early(r) ? "Yes" : "No");
    report_bullet(p, "Epochs with a loss that is not a finite number: %d of %d", not_finite(r), r->epochs);
    const struct report_epoch *low = &r->epoch[lowest_loss(r)];
    report_bullet(p, "Lowest validation loss: %s at epoch %s", low->digits[REPORT_VAL_LOSS], low->digits[REPORT_EPOCH]);
    int row = largest_rise(&rise, r, REPORT_VAL_LOSS);
    if (row) report_bullet(p, "Largest rise of the validation loss from one epoch to the next: %s, to epoch %s",
                           rn_fixed_text(text, rise, 6), r->epoch[row].digits[REPORT_EPOCH]);
    else report_bullet(p, "The validation loss never rose from one epoch to the next");
    row = largest_rise(&rise, r, REPORT_TRAIN_LOSS);
    if (row) report_bullet(p, "Largest rise of the training loss: %s, to epoch %s", rn_fixed_text(text, rise, 6),
                           r->epoch[row].digits[REPORT_EPOCH]);
    else report_bullet(p, "The training loss never rose from one epoch to the next");
    report_bullet(p, "Training less validation accuracy: %s points at the best epoch, %s at the last",
                  rn_fixed_text(text, best->x[REPORT_TRAIN_ACC] - best->x[REPORT_VAL_ACC], 2),
                  rn_fixed_text(other, last->x[REPORT_TRAIN_ACC] - last->x[REPORT_VAL_ACC], 2));
    report_bullet(p, "Best less last validation accuracy: %s points",
                  rn_fixed_text(text, best->x[REPORT_VAL_ACC] - last->x[REPORT_VAL_ACC], 2));
}

/* -- 7 ----------------------------------------------------------------------------------------- */

void report_baseline(struct report_page *p, const struct report_run *r)
{
    const struct report_flops f = report_flops(r);
    const struct rn_value *one = report_result(r, 0);
    char digits[REPORT_DIGITS], number[40], text[RN_NUMBER_CHARS], batch[REPORT_DIGITS];
    double x;
    report_section(p, 7, report_titles[6]);
    report_number(digits, &x, &r->evaluation, r->evaluation.root, "top1");
    if (isfinite(x)) report_bullet(p, "Accuracy: %s%%", rn_fixed_text(text, x, 2));
    else report_bullet(p, "Accuracy: N/A");
    if (r->layer) {
        report_bullet(p, "Model Size: %s MB", rn_fixed_text(text, (double)f.parameters * 4 / RN_MB, 2));
        report_bullet(p, "Parameter Count: %s", report_grouped(number, f.parameters));
        report_bullet(p, "Computational Cost: %sG", rn_fixed_text(text, 1e-9 * (double)f.thop, 3));
    }
    report_number(digits, &x, &r->bench, one, "mean_ms");
    if (isfinite(x)) report_bullet(p, "Inference Latency: %s ms (batch %s)", digits,
                                   report_number(batch, &x, &r->bench, one, "batch"));
    else report_bullet(p, "Inference Latency: N/A");
    report_bullet(p, "Weights Hash: %s", *r->best_hash ? r->best_hash : "N/A");
    report_note(p, "For quantisation (bf16, int8), compression and other hardware: ./report RUN OTHER sets a "
                "second run beside this one.");
}
