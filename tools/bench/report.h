/* report.h - what ./bench has measured, as text, JSON, CSV and a plot. */
#ifndef RN_BENCH_REPORT_H
#define RN_BENCH_REPORT_H

#include "tools/cli/options.h"

#include "base/text.h"

#define BENCH_SIZES 64 /* results at most */
#define BENCH_BARS 20  /* of the histogram */

/* One batch size; times in milliseconds, memory in MB of 2^20 bytes: rss is the process's peak, growth what
 * the calls added to what it had before the first of them (below 0: not known), arena the net's one block. */
struct bench_result {
    int batch;
    char isa[16];
    double mean, median, std, p90, p95, p99, min, max;
    double images_per_second, gflops, peak_gflops, rss, growth, arena;
    int histogram[BENCH_BARS]; /* calls in each of as many equal parts from min to max */
};

/* A batch size for which there was not enough memory, on the host or on the device. */
struct bench_refused { int batch; char why[256]; };

/* Fills in what follows from r->batch and the times of single calls, which it sorts: the quantile q of n times
 * lies at q (n - 1) of the sorted ones, linear between neighbours (the median is that of 0.5); std divides by
 * n - 1; images a second come from the median. */
void bench_summarise(struct bench_result *r, double *times, int count);

/* The settings of `o` belong to every result. */
void bench_add_title(struct rn_text *t, const struct opt_set *o);
void bench_add_row(struct rn_text *t, const struct bench_result *r);
void bench_add_refused(struct rn_text *t, const struct bench_refused *refused);
void bench_add_json(struct rn_text *t, const struct opt_set *o, const struct bench_result *r, int count,
                    const struct bench_refused *refused, int refusals);

/* The smallest batch with 95 % of the best images a second. */
int bench_knee(const struct bench_result *r, int count);

/* That the files of --csv and --plot can be written, before anything is measured; leaves nothing behind. */
rn_status bench_check_files(const struct opt_set *o);
/* Writes them, each whole or not at all. */
rn_status bench_write_files(const struct opt_set *o, const struct bench_result *r, int count,
                            const struct bench_refused *refused, int refusals);

#endif /* RN_BENCH_REPORT_H */
