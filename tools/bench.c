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

static rn_status run(struct opt_set *o)
{
    struct bench_result r[BENCH_SIZES];
    struct rn_text text = { 0 };
    double size[BENCH_SIZES];
    bool json = opt_switch(o, "json");
    int count = opt_reals(o, "batch-sizes", size, BENCH_SIZES);
    rn_status status = bench_check_files(o);
    for (int i = 0; !status && i < count; i++) {
        if ((status = bench_measure(&r[i], o, (int)size[i]))) return status;
        if (i == 0) bench_add_title(&text, o);
        bench_add_row(&text, &r[i]);
        status = show(&text, json);
    }
    if (status) return status;
    if (json) bench_add_json(&text, o, r, count);
    else if (count > 1)
        rn_text_add(&text, "knee: batch %d is the smallest with 95 %% of the best images/s\n", bench_knee(r, count));
    status = show(&text, false);
    return status ? status : bench_write_files(o, r, count);
}

int main(int argc, char **argv)
{
    const struct tool bench = {
        .name = "bench", .summary = "times inference or training over batch sizes", .run = run,
        .table = { { opt_net, opt_net_count }, { bench_rows, bench_rows_count }, { opt_common, opt_common_count } },
    };
    return tool_main(&bench, argc, argv);
}
