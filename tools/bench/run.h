/* run.h - the settings of ./bench, and one measurement of it. */
#ifndef RN_BENCH_RUN_H
#define RN_BENCH_RUN_H

#include "tools/bench/report.h"

extern const struct opt bench_rows[]; /* besides the net's and the common ones */
extern const size_t bench_rows_count;

/* One batch size, in a process of its own that forks off here, from one that has used no threads yet (teams do
 * not survive a fork); *r stays as it is when that fails. */
rn_status bench_measure(struct bench_result *r, const struct opt_set *o, int batch);

#endif /* RN_BENCH_RUN_H */
