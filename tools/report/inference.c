/* inference.c - section 5: how long inference takes and what memory it needs; what it answers is answers.c. */
#include "tools/report/report.h"

#include "base/mem.h"
#include "observe/observe.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_HISTOGRAMS 6

const struct rn_value *report_result(const struct report_run *r, int batch)
{
    const struct rn_value *results = r->bench.root ? rn_dict_get(r->bench.root, "results") : NULL;
    for (size_t i = 0; results && i < results->count; i++)
        if (!batch || rn_dict_get(results->item[i], "batch")->integer == batch) return results->item[i];
    return NULL;
}

static double number(const struct report_run *r, const struct rn_value *result, const char *key)
{
    char digits[REPORT_DIGITS];
    double x;
    report_number(digits, &x, &r->bench, result, key);
    return x;
}

static void number_cell(struct report_page *p, const struct report_run *r, const struct rn_value *result,
                        const char *key)
{
    char digits[REPORT_DIGITS];
    double x;
    report_cell(p, report_number(digits, &x, &r->bench, result, key));
}

/* -- speed ------------------------------------------------------------------------------------- */

/* Mean over batch, with the digits of the file where it has them. */
static void per_image_cell(struct report_page *p, const struct report_run *r, const struct rn_value *result,
                           int decimals)
{
    char text[RN_NUMBER_CHARS];
    if (decimals > 2 && rn_dict_get(result, "per_image_ms")) number_cell(p, r, result, "per_image_ms");
    else report_cell(p, rn_fixed_text(text, number(r, result, "mean_ms") / number(r, result, "batch"), decimals));
}

/* The table as such reports have always had it, in the text only. */
static void short_table(struct report_page *p, const struct report_run *r, const struct rn_value *results)
{
    static const struct report_head head[] = { { "Batch Size", 12, false }, { "Mean Time (ms)", 15, false },
                                               { "Per Image (ms)", 15, false }, { "Throughput (FPS)", 16, false } };
    char text[RN_NUMBER_CHARS];
    p->into = REPORT_TXT;
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < results->count; i++) {
        number_cell(p, r, results->item[i], "batch");
        report_cell(p, rn_fixed_text(text, number(r, results->item[i], "mean_ms"), 2));
        per_image_cell(p, r, results->item[i], 2);
        report_cell(p, rn_fixed_text(text, number(r, results->item[i], "images_per_second"), 1));
    }
}

static void long_table(struct report_page *p, const struct report_run *r, const struct rn_value *results)
{
    static const struct report_head head[] = {
        { "Batch Size", 10, false }, { "Mean Time (ms)", 14, false }, { "Per Image (ms)", 14, false },
        { "Throughput (FPS)", 16, false }, { "Std (ms)", 10, false }, { "p50 (ms)", 10, false },
        { "p95 (ms)", 10, false }, { "p99 (ms)", 10, false }, { "GFLOP/s", 9, false }, { "Of Peak", 8, false },
        { "Peak Memory (MB)", 16, false },
    };
    static const char *const key[] = { "images_per_second", "std_ms", "p50_ms", "p95_ms", "p99_ms", "gflops" };
    char text[RN_NUMBER_CHARS], share[RN_NUMBER_CHARS + 4];
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < results->count; i++) {
        const struct rn_value *v = results->item[i];
        number_cell(p, r, v, "batch");
        number_cell(p, r, v, "mean_ms");
        per_image_cell(p, r, v, 4);
        for (size_t k = 0; k < RN_COUNT(key); k++) number_cell(p, r, v, key[k]);
        double part = number(r, v, "gflops") / number(r, v, "peak_gflops_measured");
        snprintf(share, sizeof share, "%s %%", isfinite(part) ? rn_fixed_text(text, 100 * part, 1) : "N/A");
        report_cell(p, share);
        number_cell(p, r, v, "peak_rss_mb");
    }
}

static void speed_chart(struct report_page *p, const struct report_run *r, const struct rn_value *results)
{
    double x[BENCH_SIZES], y[BENCH_SIZES];
    struct rn_text svg = { 0 };
    struct report_chart c = { .x_title = "batch size", .y_title = "images/s", .curves = 1, .from_zero = true,
                              .doubling = true };
    c.curve[0] = (struct report_curve){ .x = x, .y = y, .count = (int)results->count };
    for (size_t i = 0; i < results->count; i++) {
        size_t k = i; /* by batch size */
        double batch = number(r, results->item[i], "batch");
        for (; k > 0 && x[k - 1] > batch; k--) x[k] = x[k - 1], y[k] = y[k - 1];
        x[k] = batch;
        y[k] = number(r, results->item[i], "images_per_second");
    }
    c.mark = number(r, r->bench.root, "knee_batch");
    if (!(c.mark >= x[0])) c.mark = NAN;
    report_chart(&svg, &c);
    if (!rn_text_status(&svg)) report_figure(p, true, svg.data, "<b>Throughput</b> over batch size; dashed: the knee");
    rn_text_free(&svg);
}

static void histogram(struct report_page *p, const struct report_run *r, const struct rn_value *result)
{
    const struct rn_value *counts = rn_dict_get(result, "histogram");
    double height[BENCH_BARS], low = number(r, result, "min_ms"), high = number(r, result, "max_ms");
    char caption[200], batch[REPORT_DIGITS];
    struct rn_text svg = { 0 };
    double x;
    if (!counts || !(low <= high)) return;
    for (int i = 0; i < BENCH_BARS; i++) height[i] = (double)counts->item[i]->integer;
    const struct report_bars bars = { .x_title = "milliseconds of one call", .y_title = "calls", .low = low,
                                      .width = (high - low) / BENCH_BARS, .height = height, .count = BENCH_BARS };
    report_bars(&svg, &bars);
    snprintf(caption, sizeof caption, "<b>Latency</b>, batch %s",
             report_number(batch, &x, &r->bench, result, "batch"));
    if (!rn_text_status(&svg)) report_figure(p, true, svg.data, caption);
    rn_text_free(&svg);
}

static void speed(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *results = r->bench.root ? rn_dict_get(r->bench.root, "results") : NULL;
    char text[REPORT_DIGITS];
    double x;
    report_heading(p, "Benchmark Results by Batch Size");
    if (!results) {
        report_note(p, "N/A (%s)", r->bench.why);
        return;
    }
    short_table(p, r, results);
    p->into = REPORT_PAGE;
    long_table(p, r, results);
    p->into = REPORT_ALL;
    report_number(text, &x, &r->bench, r->bench.root, "knee_batch");
    report_note(p, "Knee: batch %s is the smallest with 95 %% of the best images/s.%s%s", text,
                *r->bench.why ? " Not all could be measured: " : "", r->bench.why);
    p->into = REPORT_PAGE;
    if (results->count > 1) speed_chart(p, r, results);
    for (size_t i = 0; i < results->count && i < SHOWN_HISTOGRAMS; i++) histogram(p, r, results->item[i]);
    p->into = REPORT_ALL;
}

/* -- memory, methodology ----------------------------------------------------------------------- */

/* Inference was timed on a GPU: bench.json says it, which need not be where the training ran. */
static bool timed_on_gpu(const struct report_run *r)
{
    const char *backend = report_string(r->bench.root, "backend");
    return backend && !strcmp(backend, "cuda");
}

static void memory(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *one = report_result(r, 0);
    const struct report_flops f = report_flops(r);
    char text[RN_NUMBER_CHARS], digits[REPORT_DIGITS], batch[REPORT_DIGITS];
    double x;
    int64_t weights = 0;
    for (int i = 0; i < r->layers; i++) weights += r->layer[i].bytes;
    report_heading(p, "Memory Usage Analysis");
    if (r->layer) report_fields(p, "Model Size on Disk", "%s MB (parameters; with the buffers of batch norm %" PRId64
                                " bytes, which is what ./convert --weights-only writes besides names)",
                                rn_fixed_text(text, (double)f.parameters * 4 / RN_MB, 2), weights);
    else report_fields(p, "Model Size on Disk", "N/A (%s)", r->why_net);
    if (r->checkpoint)
        report_fields(p, "Checkpoint on Disk", "%s MB (%" PRId64 " bytes, with the state of the optimiser)",
                      rn_fixed_text(text, (double)r->checkpoint_bytes / RN_MB, 2), r->checkpoint_bytes);
    report_field(p, "GPU Runtime Memory", timed_on_gpu(r) ? "the arena below (what the driver takes is not measured)"
                 : "N/A (no GPU is used: the net lives in the arena below)", NULL);
    report_number(digits, &x, &r->bench, one, "host_growth_mb");
    if (isfinite(x)) report_fields(p, "CPU Runtime Memory", "%s MB (growth of the process from before the first call "
                                   "to after the last, batch %s)", digits,
                                   report_number(batch, &x, &r->bench, one, "batch"));
    else report_fields(p, "CPU Runtime Memory", "N/A (%s)", !one ? r->bench.why : "bench.json does not say");
    if (!one) return;
    report_number(digits, &x, &r->bench, one, "arena_mb");
    if (isfinite(x)) report_fields(p, "Arena", "%s MB (weights and activations in one block, taken before the first "
                                   "call)", digits);
    report_number(digits, &x, &r->bench, one, "peak_rss_mb");
    report_fields(p, "Peak Memory of the Process", "%s MB", digits);
}

/* The CPU of bench.json. */
static const char *timed_on(char out[RN_CPU_NAME], const struct rn_value *root)
{
    const char *cpu = report_string(root, "cpu");
    return cpu ? rn_printable(out, RN_CPU_NAME, cpu, strlen(cpu)) : "(bench.json does not say which)";
}

static void methodology(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *root = r->bench.root, *one = report_result(r, 0);
    const struct rn_value *results = root ? rn_dict_get(root, "results") : NULL;
    char text[REPORT_DIGITS], list[400] = "", cpu[RN_CPU_NAME];
    double x;
    report_heading(p, "Inference Methodology");
    if (!root) {
        report_bullet(p, "N/A (%s)", r->bench.why);
        return;
    }
    for (size_t i = 0; i < results->count; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "",
                 report_number(text, &x, &r->bench, results->item[i], "batch"));
    }
    report_bullet(p, "Warm-up Passes: %s runs before benchmarking", report_number(text, &x, &r->bench, root, "warmup"));
    report_bullet(p, "Benchmark Runs: %s iterations per batch size", report_number(text, &x, &r->bench, root, "runs"));
    report_bullet(p, "Batch Sizes Tested: [%s]", list);
    report_bullet(p, "Backend: resnet.c on the %s %s, %s, %s, %s threads", timed_on_gpu(r) ? "GPU, host" : "CPU",
                  timed_on(cpu, root), report_string(one, "isa"), report_string(one, "numerics"),
                  report_number(text, &x, &r->bench, one, "threads"));
    report_bullet(p, "Synchronization: a call ends when its logits are in the host's memory; wall clock");
    report_bullet(p, "Input: %s; weights of this net's shapes, whose values have no influence on time",
                  report_string(root, "input") ? report_string(root, "input") : "not said");
    report_bullet(p, "Statistics: images/s of the median call; quantiles linear between neighbours; std of a sample; "
                  "each batch size in a process of its own");
    report_bullet(p, "GFLOP/s: two for each multiply-accumulate, also of padding, which nothing computes (so small "
                  "images may pass 100 %%); the peak is that of a loop of nothing but fused multiply-adds on the same "
                  "threads, %s GFLOP/s", report_number(text, &x, &r->bench, one,
                                                                                 "peak_gflops_measured"));
    report_bullet(p, "Reproducibility: Fixed random seed (42) of input and weights");
}

/* -- the section ------------------------------------------------------------------------------- */

/* "; the first 16 of 300 images", where a limit left some out. */
static const char *first_of(char out[80], const struct rn_value *root)
{
    const struct rn_value *count = rn_dict_get(root, "count"), *all = rn_dict_get(root, "split_images");
    out[0] = '\0';
    if (count && all && count->kind == RN_INT && all->kind == RN_INT && count->integer < all->integer)
        snprintf(out, 80, "; the first %" PRId64 " of %" PRId64 " images", count->integer, all->integer);
    return out;
}

static void accuracy(struct report_page *p, const struct report_run *r)
{
    char digits[REPORT_DIGITS], count[REPORT_DIGITS], correct[REPORT_DIGITS], text[RN_NUMBER_CHARS],
        shown[RN_NUMBER_CHARS + 4], part[80];
    const struct rn_value *root = r->evaluation.root;
    const struct rn_value *same = r->missed.root ? rn_dict_get(r->missed.root, "test_is_validation") : NULL;
    const bool validation = root && same && same->kind == RN_BOOLEAN && same->integer;
    double x;
    if (!root) {
        report_fields(p, "Final Test Accuracy", "N/A (%s)", r->evaluation.why);
        return;
    }
    report_number(digits, &x, &r->evaluation, root, "top1");
    snprintf(shown, sizeof shown, "%s %%", rn_fixed_text(text, x, 2));
    p->into = REPORT_PAGE;
    report_field(p, "Final Test Accuracy", shown, digits);
    p->into = REPORT_TXT;
    report_fields(p, "Final Test Accuracy", "%s%%", rn_fixed_text(text, x, 4));
    p->into = REPORT_ALL;
    report_number(count, &x, &r->evaluation, root, "count");
    report_number(correct, &x, &r->evaluation, root, "correct");
    report_fields(p, "Test Images", "%s, of which %s right (split %s of %s%s%s)", count, correct,
                  report_string(root, "split"), report_string(root, "data") ? report_string(root, "data") : "N/A",
                  first_of(part, root),
                  validation ? "; these data have one set for validation and test, which also chose the epoch" : "");
    if (r->checkpoint)
        report_fields(p, "Weights Evaluated", "%s%s%s", strrchr(r->checkpoint, '/') + 1,
                      report_string(root, "weights_hash") ? ", hash " : "",
                      report_string(root, "weights_hash") ? report_string(root, "weights_hash") : "");
    report_number(digits, &x, &r->evaluation, root, "loss");
    report_field(p, "Test Loss", rn_fixed_text(text, x, 6), digits);
}

void report_inference(struct report_page *p, const struct report_run *r)
{
    report_section(p, 5, "Inference Performance Analysis");
    accuracy(p, r);
    speed(p, r);
    memory(p, r);
    methodology(p, r);
    report_answers(p, r);
}
