/* page.c - the summary as a page and as Markdown: the study's table, and what explains it. */
#include "tools/experiments/experiments.h"

#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE "N/A"

static const char *const stem_name[EXPERIMENT_STEMS] = { "stock", "CIFAR" };

static const char *fixed(char out[RN_NUMBER_CHARS], double x, int digits)
{
    return isfinite(x) ? rn_fixed_text(out, x, digits) : NONE;
}

static const char *setting(const struct experiment *x, const char *key)
{
    const char *text = opt_text(&x->run.conf, key);
    return text ? text : NONE;
}

static double figure(const struct experiment *x, const char *key)
{
    char digits[REPORT_DIGITS];
    double value;
    report_number(digits, &value, &x->run.summary, x->run.summary.root, key);
    return value;
}

/* "CPU, fp32, 6 threads, 2 loader workers, batch 64" of a run; of none what was meant to be. */
static void tell_setup(char out[160], const struct experiments *e, int kind, int stem)
{
    const struct experiment *x = &e->row[kind][stem];
    if (!x->ran) {
        snprintf(out, 160, "%s", experiment_kinds[kind].setup);
        return;
    }
    const bool cpu = strcmp(setting(x, "backend"), "cuda") != 0, one = !strcmp(setting(x, "threads"), "1");
    snprintf(out, 160, "%s, %s, %s thread%s, %s loader worker%s, batch %s", cpu ? "CPU" : "GPU",
             setting(x, "numerics"), setting(x, "threads"), one ? "" : "s", setting(x, "workers"),
             !strcmp(setting(x, "workers"), "1") ? "" : "s", setting(x, "batch-size"));
}

/* -- the table ------------------------------------------------------------------------------------ */

static void result_cells(struct report_page *p, const struct experiments *e, int kind, int stem)
{
    const struct experiment *x = &e->row[kind][stem];
    char setup[160], text[RN_NUMBER_CHARS], grouped[40];
    tell_setup(setup, e, kind, stem);
    report_cell(p, experiment_kinds[kind].title);
    report_cell(p, stem_name[stem]);
    report_cell(p, setup);
    if (!x->ran) {
        for (int i = 0; i < 7; i++) report_cell(p, NONE);
        return;
    }
    const double images = x->run.epoch[x->run.epochs - 1].x[REPORT_IMAGES], memory = figure(x, "peak_rss_mb");
    report_cell(p, fixed(text, x->epoch, 2));
    report_cell(p, fabs(images) < 1e15 ? report_grouped(grouped, (int64_t)images) : NONE);
    report_cell(p, fixed(text, figure(x, "epochs"), 0));
    report_cell(p, fixed(text, x->rate, 1));
    report_cell(p, fixed(text, figure(x, "val_acc"), 2));
    report_cell(p, memory > 0 ? fixed(text, memory, 0) : NONE);
    const double speedup = experiment_speedup(e, kind, stem);
    snprintf(grouped, sizeof grouped, "%s%s", fixed(text, speedup, 2), isfinite(speedup) ? "\xc3\x97" : "");
    report_cell(p, grouped);
}

/* Exp 5 on a CPU stands in for Exp 5. */
static bool wanted(const struct experiments *e, int kind)
{
    const bool stand_in = kind == EXPERIMENTS - 1, ran = e->row[kind][0].ran || e->row[kind][1].ran;
    return !stand_in || ran || !(e->row[kind - 1][0].ran || e->row[kind - 1][1].ran);
}

/* A reason once for both stems where it is the same. */
static void reasons(struct report_page *p, const struct experiments *e)
{
    for (int k = 0; k < EXPERIMENTS && wanted(e, k); k++) {
        const struct experiment *a = &e->row[k][0], *b = &e->row[k][1];
        const bool both = !a->ran && !b->ran && !strcmp(a->why, b->why);
        if (both) report_bullet(p, "%s is N/A: %s", experiment_kinds[k].title, a->why);
        for (int stem = 0; stem < EXPERIMENT_STEMS && !both; stem++)
            if (!e->row[k][stem].ran)
                report_bullet(p, "%s with the %s stem is N/A: %s", experiment_kinds[k].title, stem_name[stem],
                              e->row[k][stem].why);
    }
}

/* What the gradient scaler did, where there was one. */
static void scalers(struct report_page *p, const struct experiments *e)
{
    for (int i = 0; i < EXPERIMENTS * EXPERIMENT_STEMS; i++) {
        const struct experiment *x = &e->row[i / EXPERIMENT_STEMS][i % EXPERIMENT_STEMS];
        char scale[REPORT_DIGITS], skipped[REPORT_DIGITS], steps[REPORT_DIGITS];
        double value;
        if (!x->ran || !(figure(x, "loss_scale") > 0)) continue;
        report_bullet(p, "%s, %s stem: the loss was scaled, by %s at the end; %s of %s steps were skipped for an "
                      "overflow", experiment_kinds[i / EXPERIMENT_STEMS].title, stem_name[i % EXPERIMENT_STEMS],
                      report_number(scale, &value, &x->run.summary, x->run.summary.root, "loss_scale"),
                      report_number(skipped, &value, &x->run.summary, x->run.summary.root, "skipped_steps"),
                      report_number(steps, &value, &x->run.summary, x->run.summary.root, "steps"));
    }
}

static void draw_bars(struct report_page *p, const struct experiments *e)
{
    struct rn_text svg = {0};
    experiments_bars(&svg, e, false);
    if (svg.data && !rn_text_status(&svg)) {
        report_note(p, "%s", "Throughput in training:");
        rn_text_add(&p->html, "%s", svg.data);
        rn_text_add(&p->md, "![images a second of every run](throughput.svg)\n\n");
    }
    rn_text_free(&svg);
}

static const char *weights_of(const struct experiment *x)
{
    return report_string(x->run.summary.root, "weights_hash");
}

/* The run before this one that ended on the same weights, and so has the same curve; -1: there is none. */
static int twin(const struct experiments *e, int kind, int stem)
{
    for (int k = 0; k < kind; k++) {
        const struct experiment *a = &e->row[k][stem], *b = &e->row[kind][stem];
        if (a->ran && a->run.epochs == b->run.epochs && !strcmp(weights_of(a), weights_of(b))) return k;
    }
    return -1;
}

static void name_curve(struct rn_text *caption, const struct experiments *e, int kind, int stem, int colour)
{
    rn_text_add(caption, " <svg class=\"s\" viewBox=\"0 0 18 8\"><path class=\"k c%d\" d=\"M0 4H18\"/></svg> %s",
                colour, experiment_kinds[kind].title);
    for (int k = kind + 1; k < EXPERIMENTS; k++)
        if (e->row[k][stem].ran && twin(e, k, stem) == kind)
            rn_text_add(caption, " and %s", experiment_kinds[k].title);
}

static void draw_accuracy(struct report_page *p, const struct experiments *e, int stem)
{
    struct report_chart c = { .x_title = "epoch", .y_title = "validation accuracy (%)", .whole = true,
                              .mark = NAN };
    struct rn_text svg = {0}, caption = {0};
    size_t all = 1;
    for (int k = 0; k < EXPERIMENTS; k++) all += e->row[k][stem].ran ? (size_t)e->row[k][stem].run.epochs : 0;
    double *space = rn_alloc_array(all, 2 * sizeof *space), *at = space;
    rn_text_add(&caption, "<b>Accuracy, %s stem</b>", stem_name[stem]);
    for (int k = 0; space && k < EXPERIMENTS; k++) {
        const struct experiment *x = &e->row[k][stem];
        if (!x->ran || x->run.epochs < 2 || twin(e, k, stem) >= 0) continue;
        report_run_curve(&c.curve[c.curves], &x->run, REPORT_VAL_ACC, at, at + x->run.epochs);
        at += 2 * x->run.epochs;
        name_curve(&caption, e, k, stem, c.curves++);
    }
    if (c.curves) report_chart(&svg, &c);
    if (c.curves && !rn_text_status(&svg) && !rn_text_status(&caption))
        report_figure(p, false, svg.data, caption.data);
    rn_text_free(&svg);
    rn_text_free(&caption);
    rn_free(space);
}

static void results(struct report_page *p, const struct experiments *e)
{
    static const struct report_head head[] = {
        { "Experiment", 14, true }, { "Stem", 6, true }, { "Setup", 40, true }, { "Epoch Time (s)", 10, false },
        { "Images", 8, false }, { "Epochs", 6, false }, { "Throughput (img/s)", 10, false },
        { "Accuracy (%)", 8, false }, { "Memory (MB)", 8, false }, { "Speed-up", 8, false },
    };
    report_section(p, 1, "Key Results");
    report_table(p, head, RN_COUNT(head));
    for (int k = 0; k < EXPERIMENTS && wanted(e, k); k++)
        for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) result_cells(p, e, k, stem);
    reasons(p, e);
    scalers(p, e);
    report_note(p, "Epoch time: mean over the epochs, training alone. Images: of an epoch. Throughput: of all of "
                "training. Accuracy: on the validation images after the last epoch. Memory: the most that the "
                "process held, the profiler's own included; of a GPU's memory it says nothing. Speed-up: throughput "
                "over that of Exp 1 with the same stem; runs of other batch sizes, epochs or numbers of images are "
                "compared all the same.");
    draw_bars(p, e);
    for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) draw_accuracy(p, e, stem);
}

/* -- same weights --------------------------------------------------------------------------------- */

static void weights(struct report_page *p, const struct experiments *e)
{
    static const char *const verdict[] = {
        [SAME_UNKNOWN] = "N/A: one of them did not run", [SAME_OTHER_SETTINGS] = "N/A: their settings differ",
        [SAME_YES] = "yes", [SAME_NO] = "NO: this must not be",
    };
    static const struct report_head head[] = {
        { "Stem", 8, true }, { "Exp 1, one thread", 20, true }, { "Exp 2, six threads", 20, true },
        { "Same weights", 12, true },
    };
    report_section(p, 2, "Same Weights");
    report_note(p, "Threads and loader workers are to change no bit: where Exp 1 and Exp 2 do the same steps, they "
                "must end on the same weights, and so on the same accuracy. Hashes are of all parameters and buffers "
                "after the last step.");
    report_table(p, head, RN_COUNT(head));
    for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) {
        report_cell(p, stem_name[stem]);
        for (int k = 0; k < 2; k++) {
            const struct experiment *x = &e->row[k][stem];
            report_cell(p, x->ran ? weights_of(x) : NONE);
        }
        report_cell(p, verdict[experiments_same(e, stem)]);
    }
}

/* -- batch sizes ---------------------------------------------------------------------------------- */

struct sweep { int count; double batch[BENCH_SIZES], rate[BENCH_SIZES], time[BENCH_SIZES], memory[BENCH_SIZES]; };

static void sweep_row(struct report_page *p, const struct report_json *j, const struct rn_value *r, struct sweep *s)
{
    static const char *const key[] = { "batch", "images_per_second", "p50_ms", "p95_ms", "peak_rss_mb", "gflops" };
    double value[RN_COUNT(key)];
    char digits[REPORT_DIGITS];
    for (size_t i = 0; i < RN_COUNT(key); i++) report_cell(p, report_number(digits, &value[i], j, r, key[i]));
    int at = s->count++; /* ascending batch sizes, whatever the order of the flags was */
    for (; at > 0 && s->batch[at - 1] > value[0]; at--) {
        s->batch[at] = s->batch[at - 1];
        s->rate[at] = s->rate[at - 1];
        s->time[at] = s->time[at - 1];
        s->memory[at] = s->memory[at - 1];
    }
    s->batch[at] = value[0];
    s->rate[at] = value[1];
    s->time[at] = value[2];
    s->memory[at] = value[4] > 0 ? value[4] : NAN;
}

static void draw_sweep(struct report_page *p, const struct sweep *s, double knee)
{
    const struct { const char *title; const double *y; const char *caption; } chart[] = {
        { "images/s", s->rate, "<b>Throughput</b>; dashed: the sweet spot" },
        { "ms", s->time, "<b>Time of a step</b>, median" },
        { "MB", s->memory, "<b>Memory</b>, the most that the process held" },
    };
    for (size_t i = 0; i < RN_COUNT(chart) && s->count > 1; i++) {
        struct report_chart c = { .x_title = "batch", .y_title = chart[i].title, .doubling = true,
                                  .from_zero = true, .curves = 1, .mark = i ? NAN : knee,
                                  .curve = { { "", s->batch, chart[i].y, s->count, false } } };
        struct rn_text svg = {0};
        report_chart(&svg, &c);
        if (!rn_text_status(&svg)) report_figure(p, true, svg.data, chart[i].caption);
        rn_text_free(&svg);
    }
}

/* Batches that were too large: "not_fitting": [{"batch": 512, "why": "..."}]. */
static void not_fitting(struct report_page *p, const struct report_json *j)
{
    const struct rn_value *list = rn_dict_get(j->root, "not_fitting");
    for (size_t i = 0; list && list->kind == RN_LIST && i < list->count; i++) {
        char digits[REPORT_DIGITS];
        double batch;
        const struct rn_value *v = list->item[i]->kind == RN_DICT ? list->item[i] : NULL;
        const char *why = report_string(v, "why");
        report_bullet(p, "batch %s did not fit: %s", report_number(digits, &batch, j, v, "batch"), why ? why : NONE);
    }
}

static void sweep(struct report_page *p, const struct experiments *e, int stem)
{
    static const struct report_head head[] = {
        { "Batch", 6, false }, { "Throughput (img/s)", 10, false }, { "Step, median (ms)", 10, false },
        { "95th percentile (ms)", 10, false }, { "Memory (MB)", 10, false }, { "GFLOP/s", 8, false },
    };
    const struct report_json *j = &e->sweep[stem];
    const struct rn_value *results = rn_dict_get(j->root, "results"), *first = results->item[0];
    const char *png = stem ? "exp4-cifar_batches.png" : "exp4_batches.png";
    const char *numerics = report_string(first, "numerics");
    char digits[REPORT_DIGITS], name[80];
    struct sweep s = { .count = 0 };
    double knee;
    snprintf(name, sizeof name, "%s stem, %s", stem ? "CIFAR" : "Stock", numerics ? numerics : NONE);
    report_heading(p, name);
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < results->count; i++) sweep_row(p, j, results->item[i], &s);
    not_fitting(p, j);
    report_number(digits, &knee, j, j->root, "knee_batch");
    report_note(p, "Sweet spot: batch %s, the smallest with 95 %% of the best images/s.", digits);
    draw_sweep(p, &s, knee);
    char *path = rn_path_join(e->folder, png);
    if (path && rn_path_exists(path)) {
        rn_text_add(&p->md, "![throughput, step time and memory over batch sizes](%s)\n\n", png);
    }
    rn_free(path);
}

static void sweeps(struct report_page *p, const struct experiments *e)
{
    report_section(p, 3, "Batch Sizes under Mixed Precision");
    if (!e->sweep[0].root && !e->sweep[1].root) report_note(p, "%s", "N/A: no sweep was run.");
    for (int stem = 0; stem < EXPERIMENT_STEMS; stem++)
        if (e->sweep[stem].root) sweep(p, e, stem);
}

/* -- where the time goes -------------------------------------------------------------------------- */

static void times(struct report_page *p, const struct experiments *e)
{
    static const struct report_head head[] = {
        { "Experiment", 14, true }, { "Stem", 6, true }, { "Step (ms)", 10, false },
        { "convolution_backward of a step (%)", 10, false }, { "CPU total %", 10, false },
        { "All convolutions (%)", 10, false }, { "Most time-consuming op", 14, true },
    };
    char text[RN_NUMBER_CHARS];
    bool any = false;
    report_section(p, 4, "Where the Time Goes");
    for (int i = 0; i < EXPERIMENTS * EXPERIMENT_STEMS; i++) {
        const int k = i / EXPERIMENT_STEMS, stem = i % EXPERIMENT_STEMS;
        const struct experiment_profile *f = &e->row[k][stem].profile;
        if (!f->there) continue;
        if (!any) report_table(p, head, RN_COUNT(head));
        any = true;
        report_cell(p, experiment_kinds[k].title);
        report_cell(p, stem_name[stem]);
        report_cell(p, fixed(text, f->step_ms, 2));
        report_cell(p, fixed(text, 100 * f->backward / f->steps, 1));
        report_cell(p, f->share);
        report_cell(p, *f->convolution ? f->convolution : NONE);
        report_cell(p, f->largest);
    }
    if (!any) report_note(p, "%s", "N/A: no run has a profile.");
    else
        report_note(p, "From the profiles of the first steps. CPU total %% and the share of all convolutions are as "
                    "the profile has them, of all that was recorded, validation and checkpoints included where they "
                    "fell among those steps.");
}

/* -- machine, files ------------------------------------------------------------------------------- */

static void machine(struct report_page *p, const struct experiments *e)
{
    report_section(p, 5, "Machine");
    for (int i = 0; i < e->facts; i++) report_field(p, e->fact[i].name, e->fact[i].value, NULL);
    if (!e->facts) report_note(p, "%s", "N/A: there is no machine.txt.");
    for (int k = 0; k < EXPERIMENTS; k++)
        if (*e->row[k][0].profile.machine)
            report_fields(p, experiment_kinds[k].title, "measured: %s", e->row[k][0].profile.machine);
}

static void files(struct report_page *p, const struct experiments *e)
{
    static const struct report_head head[] = {
        { "Experiment", 14, true }, { "Checkpoint", 40, true }, { "Bytes", 12, false }, { "Profile", 40, true },
        { "Trace", 40, true },
    };
    char bytes[40];
    report_section(p, 6, "Files");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < EXPERIMENTS * EXPERIMENT_STEMS; i++) {
        const struct experiment *x = &e->row[i / EXPERIMENT_STEMS][i % EXPERIMENT_STEMS];
        if (!x->ran) continue;
        report_cell(p, x->name);
        report_cell(p, x->run.checkpoint ? experiment_below(e, x->run.checkpoint) : NONE);
        report_cell(p, x->run.checkpoint ? report_grouped(bytes, x->run.checkpoint_bytes) : NONE);
        report_cell(p, x->summary ? experiment_below(e, x->summary) : NONE);
        report_cell(p, x->trace ? experiment_below(e, x->trace) : NONE);
    }
}

/* -- the document --------------------------------------------------------------------------------- */

static void cards(struct report_page *p, const struct experiments *e)
{
    char text[RN_NUMBER_CHARS], digits[REPORT_DIGITS];
    const enum experiment_same same = experiments_same(e, 0);
    double best = NAN, x;
    for (int k = 1; k < EXPERIMENTS; k++) {
        const double speedup = experiment_speedup(e, k, 0);
        if (isfinite(speedup) && !(speedup <= best)) best = speedup;
    }
    report_box(p, "cards");
    if (e->row[0][0].ran) report_card(p, "images/s of Exp 1, stock stem", fixed(text, e->row[0][0].rate, 1));
    if (isfinite(best)) {
        snprintf(digits, sizeof digits, "%s\xc3\x97", fixed(text, best, 2));
        report_card(p, "the best of the others, over Exp 1", digits);
    }
    if (same == SAME_YES || same == SAME_NO)
        report_card(p, "same weights in Exp 1 and Exp 2", same == SAME_YES ? "yes" : "NO");
    if (e->sweep[0].root)
        report_card(p, "sweet spot, batch", report_number(digits, &x, &e->sweep[0], e->sweep[0].root, "knee_batch"));
    if (e->row[0][0].profile.there)
        report_card(p, "% of a step of Exp 1 in convolution_backward",
                    fixed(text, 100 * e->row[0][0].profile.backward / e->row[0][0].profile.steps, 1));
    report_box(p, NULL);
}

void experiments_compose(struct report_page *p, const struct experiments *e)
{
    char subtitle[400] = "resnet.c " RN_VERSION;
    for (int i = 0; i < EXPERIMENTS * EXPERIMENT_STEMS; i++) {
        const struct experiment *x = &e->row[i % EXPERIMENTS][i / EXPERIMENTS];
        if (!x->ran) continue;
        const char *data = setting(x, "data");
        snprintf(subtitle, sizeof subtitle, "%s on %.*s, %s x %s pixels; resnet.c %s", setting(x, "arch"),
                 (int)strcspn(data, ":"), data, setting(x, "image-size"), setting(x, "image-size"), RN_VERSION);
        break;
    }
    report_begin(p, "Profiling Study", subtitle);
    p->into = REPORT_PAGE;
    cards(p, e);
    results(p, e);
    weights(p, e);
    sweeps(p, e);
    times(p, e);
    machine(p, e);
    files(p, e);
    report_end(p);
}
