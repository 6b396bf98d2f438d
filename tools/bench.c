/*
 * bench.c - ./bench: speed of inference or training over batch sizes.  How it is measured: bench_run.c.
 */
#include "tools/bench/run.h"

#include <stdio.h>
#include <stdlib.h>

/* Prints what was added since the last call; `hidden` text is dropped. */
static rn_status show(struct rn_text *t, bool hidden)
{
    rn_status status = rn_text_status(t);
    if (!status && !hidden && t->data) fputs(t->data, stdout);
    fflush(stdout);
    rn_text_free(t);
    *t = (struct rn_text){ 0 };
    return status;
}

/* One batch size.  Where it does not fit into memory it is written down as such, and that is no failure. */
static rn_status measure(struct rn_text *t, struct bench_result *r, int *count, struct bench_refused *refused,
                         int *refusals, const struct opt_set *o, int batch)
{
    rn_status status = bench_measure(&r[*count], o, batch);
    if (status == RN_ENOMEM) {
        refused += (*refusals)++;
        refused->batch = batch;
        snprintf(refused->why, sizeof refused->why, "%s", rn_error());
        bench_add_refused(t, refused);
        return RN_OK;
    }
    if (!status) bench_add_row(t, &r[(*count)++]);
    return status;
}

static rn_status run(struct opt_set *o)
{
    struct bench_result r[BENCH_SIZES];
    struct bench_refused refused[BENCH_SIZES];
    struct rn_text text = { 0 };
    double size[BENCH_SIZES];
    bool json = opt_switch(o, "json");
    int sizes = opt_reals(o, "batch-sizes", size, BENCH_SIZES), count = 0, refusals = 0;
    rn_status status = bench_check_files(o);
    for (int i = 0; !status && i < sizes; i++) {
        if (i == 0) bench_add_title(&text, o);
        if ((status = measure(&text, r, &count, refused, &refusals, o, (int)size[i]))) break;
        if (refusals == sizes) status = rn_fail(RN_ENOMEM, "%s", refused[0].why);
        else status = show(&text, json);
    }
    if (status) {
        rn_text_free(&text);
        return status;
    }
    if (json) bench_add_json(&text, o, r, count, refused, refusals);
    else if (count > 1)
        rn_text_add(&text, "knee: batch %d is the smallest with 95 %% of the best images/s\n", bench_knee(r, count));
    status = show(&text, false);
    return status ? status : bench_write_files(o, r, count, refused, refusals);
}

int main(int argc, char **argv)
{
    const struct tool bench = {
        .name = "bench", .summary = "times inference or training over batch sizes", .run = run,
        .table = { { opt_net, opt_net_count }, { bench_rows, bench_rows_count }, { opt_common, opt_common_count } },
    };
    return tool_main(&bench, argc, argv);
}
