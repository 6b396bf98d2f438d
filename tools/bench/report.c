/*
 * report.c - what ./bench has measured, as text, JSON, CSV and a plot.
 */
#include "tools/bench/report.h"

#include "base/file.h"
#include "base/quantile.h"
#include "observe/observe.h"
#include "tools/cli/files.h"
#include "tools/plot/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* -- statistics ----------------------------------------------------------------------------------- */

static int bar(const struct bench_result *r, double time)
{
    int i = r->max > r->min ? (int)(BENCH_BARS * (time - r->min) / (r->max - r->min)) : 0;
    return RN_MIN(i, BENCH_BARS - 1);
}

void bench_summarise(struct bench_result *r, double *times, int count)
{
    double sum = 0, squares = 0;
    rn_sort(times, count);
    for (int i = 0; i < count; i++) sum += times[i];
    r->mean = sum / count;
    for (int i = 0; i < count; i++) squares += (times[i] - r->mean) * (times[i] - r->mean);
    r->std = count > 1 ? sqrt(squares / (count - 1)) : 0;
    r->median = rn_quantile(times, count, 0.5);
    r->p90 = rn_quantile(times, count, 0.9);
    r->p95 = rn_quantile(times, count, 0.95);
    r->p99 = rn_quantile(times, count, 0.99);
    r->min = times[0];
    r->max = times[count - 1];
    memset(r->histogram, 0, sizeof r->histogram);
    for (int i = 0; i < count; i++) r->histogram[bar(r, times[i])]++;
    r->images_per_second = 1e3 * r->batch / r->median;
}

/* -- reports -------------------------------------------------------------------------------------- */

struct column { const char *key; double value; int digits; };
#define COLUMNS 17

static void columns(struct column c[COLUMNS], const struct bench_result *r)
{
    const struct column all[COLUMNS] = {
        { "mean_ms", r->mean, 4 }, { "per_image_ms", r->mean / r->batch, 4 },
        { "median_ms", r->median, 4 }, { "std_ms", r->std, 4 }, { "p50_ms", r->median, 4 },
        { "p90_ms", r->p90, 4 }, { "p95_ms", r->p95, 4 },
        { "p99_ms", r->p99, 4 }, { "min_ms", r->min, 4 }, { "max_ms", r->max, 4 },
        { "images_per_second", r->images_per_second, 3 }, { "gflops", r->gflops, 3 },
        { "peak_gflops_measured", r->peak_gflops, 1 }, { "peak_rss_mb", r->rss, 1 },
        { "host_growth_mb", r->growth, 2 }, { "arena_mb", r->arena, 2 }, { NULL, 0, 0 },
    };
    memcpy(c, all, sizeof all);
}

/* Memory that the system does not tell is below 0. */
static bool known(const struct column *c) { return c->value >= 0; }

int bench_knee(const struct bench_result *r, int count)
{
    double best = 0;
    int batch = 0;
    for (int i = 0; i < count; i++) best = RN_MAX(best, r[i].images_per_second);
    for (int i = 0; i < count; i++)
        if (r[i].images_per_second >= 0.95 * best && (!batch || r[i].batch < batch)) batch = r[i].batch;
    return batch;
}

/* "not_fitting": [{"batch": 512, "why": "..."}]; nothing where all fit. */
static void add_refusals(struct rn_text *t, const struct bench_refused *refused, int refusals)
{
    for (int i = 0; i < refusals; i++) {
        rn_text_add(t, "%s{\"batch\": %d, \"why\": ", i ? ", " : ",\n\"not_fitting\": [", refused[i].batch);
        rn_text_json(t, refused[i].why);
        rn_text_add(t, i + 1 < refusals ? "}" : "}]");
    }
}

void bench_add_json(struct rn_text *t, const struct opt_set *o, const struct bench_result *r, int count,
                    const struct bench_refused *refused, int refusals)
{
    struct column c[COLUMNS];
    char cpu[RN_CPU_NAME];
    rn_text_add(t, "{\"results\": [");
    for (int i = 0; i < count; i++) {
        rn_text_add(t, "%s\n  {\"mode\": \"%s\", \"arch\": \"%s\", \"image_size\": %d, \"batch\": %d, "
                    "\"threads\": %d, \"numerics\": \"%s\", \"isa\": \"%s\"", i ? "," : "", opt_text(o, "mode"),
                    opt_text(o, "arch"), (int)opt_int(o, "image-size"), r[i].batch, (int)opt_int(o, "threads"),
                    opt_text(o, "numerics"), r[i].isa);
        columns(c, &r[i]);
        for (int k = 0; c[k].key; k++) {
            rn_text_add(t, ", \"%s\": ", c[k].key);
            if (known(&c[k])) rn_text_fixed(t, c[k].value, c[k].digits);
            else rn_text_add(t, "null");
        }
        rn_text_add(t, ", \"histogram\": [");
        for (int k = 0; k < BENCH_BARS; k++) rn_text_add(t, "%s%d", k ? ", " : "", r[i].histogram[k]);
        rn_text_add(t, "]}");
    }
    rn_text_add(t, "\n], \"knee_batch\": %d,\n\"stem\": \"%s\", \"num_classes\": %d, \"upsample\": %d, \"warmup\": %d, "
                "\"runs\": %d, \"backend\": ", bench_knee(r, count), opt_text(o, "stem"),
                (int)opt_int(o, "num-classes"), (int)opt_int(o, "upsample"), (int)opt_int(o, "warmup"),
                (int)opt_int(o, "runs"));
    rn_text_json(t, opt_text(o, "backend"));
    rn_text_add(t, ", \"cpu\": ");
    rn_text_json(t, rn_cpu_name(cpu));
    rn_text_add(t, ", \"input\": ");
    rn_text_json(t, opt_switch(o, "data-free") ? "synthetic" : opt_text(o, "data"));
    add_refusals(t, refused, refusals);
    rn_text_add(t, "}\n");
}

static void add_csv_settings(struct rn_text *t, const struct opt_set *o, int batch, const char *isa)
{
    rn_text_add(t, "\n%s,%s,%d,%d,%d,%s,%s", opt_text(o, "mode"), opt_text(o, "arch"), (int)opt_int(o, "image-size"),
                batch, (int)opt_int(o, "threads"), opt_text(o, "numerics"), isa);
}

/* A batch that did not fit has a line without figures. */
static void add_csv(struct rn_text *t, const struct opt_set *o, const struct bench_result *r, int count,
                    const struct bench_refused *refused, int refusals)
{
    struct column c[COLUMNS];
    rn_text_add(t, "mode,arch,image_size,batch,threads,numerics,isa");
    columns(c, &r[0]);
    for (int k = 0; c[k].key; k++) rn_text_add(t, ",%s", c[k].key);
    for (int i = 0; i < count; i++) {
        add_csv_settings(t, o, r[i].batch, r[i].isa);
        columns(c, &r[i]);
        for (int k = 0; c[k].key; k++) {
            rn_text_add(t, ",");
            if (known(&c[k])) rn_text_fixed(t, c[k].value, c[k].digits);
        }
    }
    for (int i = 0; i < refusals; i++) {
        add_csv_settings(t, o, refused[i].batch, "");
        for (int k = 0; c[k].key; k++) rn_text_add(t, ",");
    }
    rn_text_add(t, "\n");
}

void bench_add_title(struct rn_text *t, const struct opt_set *o)
{
    rn_text_add(t, "%s, %s, %s stem, %dx%d, %d classes, %s, %d threads, %s; milliseconds of %d calls after %d\n"
                "%6s %10s %10s %9s %8s %9s %9s %9s %9s %9s %9s %8s %8s %8s\n",
                opt_text(o, "mode"), opt_text(o, "arch"), opt_text(o, "stem"), (int)opt_int(o, "image-size"),
                (int)opt_int(o, "image-size"), (int)opt_int(o, "num-classes"), opt_text(o, "numerics"),
                (int)opt_int(o, "threads"), opt_switch(o, "data-free") ? "synthetic input" : opt_text(o, "data"),
                (int)opt_int(o, "runs"), (int)opt_int(o, "warmup"), "batch", "mean", "per image", "images/s", "std",
                "p50", "p90", "p95", "p99", "min", "max", "GFLOP/s", "of peak", "peak MB");
}

void bench_add_row(struct rn_text *t, const struct bench_result *r)
{
    const struct { double value; int width, digits; } cell[] = {
        { r->mean, 10, 3 }, { r->mean / r->batch, 10, 3 }, { r->images_per_second, 9, 1 }, { r->std, 8, 3 },
        { r->median, 9, 3 }, { r->p90, 9, 3 }, { r->p95, 9, 3 }, { r->p99, 9, 3 }, { r->min, 9, 3 },
        { r->max, 9, 3 }, { r->gflops, 8, 1 },
    };
    char text[RN_NUMBER_CHARS];
    rn_text_add(t, "%6d", r->batch);
    for (size_t i = 0; i < RN_COUNT(cell); i++)
        rn_text_add(t, " %*s", cell[i].width, rn_fixed_text(text, cell[i].value, cell[i].digits));
    if (r->peak_gflops > 0) rn_text_add(t, " %6s %%", rn_fixed_text(text, 100 * r->gflops / r->peak_gflops, 1));
    else rn_text_add(t, " %8s", "-");
    rn_text_add(t, " %8s\n", rn_fixed_text(text, r->rss, 1));
}

void bench_add_refused(struct rn_text *t, const struct bench_refused *refused)
{
    rn_text_add(t, "%6d does not fit: %s\n", refused->batch, refused->why);
}

static rn_status write_csv(const struct opt_set *o, const struct bench_result *r, int count,
                           const struct bench_refused *refused, int refusals)
{
    struct rn_text t = { 0 };
    add_csv(&t, o, r, count, refused, refusals);
    rn_status status = rn_text_status(&t);
    if (!status) status = rn_file_write(opt_text(o, "csv"), t.data, t.length);
    rn_text_free(&t);
    return status;
}

/* Images a second, milliseconds and memory over the batch size. */
static rn_status write_plot(const struct opt_set *o, const struct bench_result *r, int count)
{
    double x[BENCH_SIZES], rate[BENCH_SIZES], median[BENCH_SIZES], p95[BENCH_SIZES];
    double memory[BENCH_SIZES], arena[BENCH_SIZES];
    int order[BENCH_SIZES];
    char title[160];
    for (int i = 0; i < count; i++) {
        int k = i;
        for (; k > 0 && r[order[k - 1]].batch > r[i].batch; k--) order[k] = order[k - 1];
        order[k] = i;
    }
    for (int i = 0; i < count; i++) {
        const struct bench_result *b = &r[order[i]];
        x[i] = b->batch;
        rate[i] = b->images_per_second;
        median[i] = b->median;
        p95[i] = b->p95;
        memory[i] = RN_MAX(b->rss, 0);
        arena[i] = b->arena;
    }
    snprintf(title, sizeof title, "%s, %s, %s, %d threads", opt_text(o, "mode"), opt_text(o, "arch"),
             opt_text(o, "numerics"), (int)opt_int(o, "threads"));
    const struct tool_chart charts[] = {
        { title, "batch", "images/s", { { "median call; dashed: knee", x, rate, count } }, 1,
          bench_knee(r, count) },
        { "one call", "batch", "ms",
          { { "median", x, median, count }, { "95th percentile", x, p95, count } }, 2, 0 },
        { "memory", "batch", "MB",
          { { "peak of the process", x, memory, count }, { "the net's arena", x, arena, count } }, 2, 0 },
    };
    return tool_plot_write(opt_text(o, "plot"), charts, RN_COUNT(charts));
}

rn_status bench_check_files(const struct opt_set *o)
{
    if (opt_given(o, "plot") && opt_given(o, "csv") && !strcmp(opt_text(o, "plot"), opt_text(o, "csv")))
        return rn_fail(RN_EUSAGE, "--csv and --plot: both would be written to %s", opt_text(o, "csv"));
    rn_status status = opt_given(o, "plot") ? tool_plot_check(opt_text(o, "plot")) : RN_OK;
    if (!status) status = tool_file_check(opt_text(o, "plot"));
    return status ? status : tool_file_check(opt_text(o, "csv"));
}

rn_status bench_write_files(const struct opt_set *o, const struct bench_result *r, int count,
                            const struct bench_refused *refused, int refusals)
{
    rn_status status = opt_given(o, "csv") ? write_csv(o, r, count, refused, refusals) : RN_OK;
    if (!status && opt_given(o, "plot")) status = write_plot(o, r, count);
    return status;
}
