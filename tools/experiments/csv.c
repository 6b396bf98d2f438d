/*
 * csv.c - the summary for other programs: a line for each experiment and stem.  Digits are those of the runs'
 * files where the figure stands in one.
 */
#include "tools/experiments/experiments.h"

#include "tools/cli/csv.h"

#include <math.h>

/* A cell and the comma before the next. */
static void add_cell(struct rn_text *t, const char *text)
{
    tool_csv_field(t, text);
    rn_text_add(t, ",");
}

static void add_setting(struct rn_text *t, const struct experiment *x, const char *key)
{
    const char *text = x->ran ? opt_text(&x->run.conf, key) : NULL;
    add_cell(t, text ? text : "");
}

static void add_number(struct rn_text *t, double x, int digits)
{
    char text[RN_NUMBER_CHARS];
    add_cell(t, isfinite(x) ? rn_fixed_text(text, x, digits) : "");
}

static void add_figure(struct rn_text *t, const struct experiment *x, const char *key)
{
    char digits[REPORT_DIGITS];
    double value;
    add_cell(t, x->ran ? report_number(digits, &value, &x->run.summary, x->run.summary.root, key) : "");
}

static void add_line(struct rn_text *t, const struct experiments *e, int kind, int stem)
{
    static const char *const setting[] = { "backend", "numerics", "threads", "workers", "batch-size" };
    const struct experiment *x = &e->row[kind][stem];
    const struct experiment_profile *p = &x->profile;
    rn_text_add(t, "%s,%s,%s,", experiment_kinds[kind].key, experiment_stems[stem], x->ran ? "yes" : "no");
    for (size_t i = 0; i < RN_COUNT(setting); i++) add_setting(t, x, setting[i]);
    add_figure(t, x, "epochs");
    add_cell(t, x->ran ? x->run.epoch[x->run.epochs - 1].digits[REPORT_IMAGES] : "");
    add_number(t, x->ran ? x->epoch : NAN, 3);
    add_figure(t, x, "images_per_second");
    add_number(t, experiment_speedup(e, kind, stem), 3);
    add_figure(t, x, "val_acc");
    add_figure(t, x, "best_acc");
    add_figure(t, x, "peak_rss_mb");
    add_number(t, p->there ? 100 * p->backward / p->steps : NAN, 2);
    add_cell(t, p->largest);
    add_cell(t, x->ran ? report_string(x->run.summary.root, "weights_hash") : "");
    add_cell(t, x->ran && x->run.checkpoint ? experiment_below(e, x->run.checkpoint) : "");
    add_cell(t, x->why);
    if (!rn_text_status(t)) t->data[t->length - 1] = '\n'; /* instead of the last comma */
}

void experiments_csv(struct rn_text *t, const struct experiments *e)
{
    rn_text_add(t, "experiment,stem,ran,backend,numerics,threads,workers,batch,epochs,images_per_epoch,"
                "epoch_seconds,images_per_second,speedup,val_acc,best_acc,peak_rss_mb,"
                "convolution_backward_percent,largest_op,weights_hash,checkpoint,reason\n");
    for (int k = 0; k < EXPERIMENTS; k++)
        for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) add_line(t, e, k, stem);
}
