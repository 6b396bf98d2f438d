/*
 * experiments.h - the profiling study: what its runs left in one folder, and the summary of it.
 *
 *     DIR/exp1 .. DIR/exp5-cpu       run folders of ./train with the stock stem
 *     DIR/exp1-cifar .. and so on    the same with the CIFAR stem
 *     DIR/NAME.na                    one line: why that experiment could not run here
 *     DIR/exp4_batches.json          what ./bench --json printed; exp4-cifar_batches.json
 *     DIR/machine.txt                `key: value` lines about the machine
 *
 * tools/experiments.sh makes them.  Every file is untrusted; nothing is shown that none of them says.
 */
#ifndef RN_TOOLS_EXPERIMENTS_H
#define RN_TOOLS_EXPERIMENTS_H

#include "tools/report/report.h"

#define EXPERIMENTS 6
#define EXPERIMENT_STEMS 2
#define EXPERIMENT_FACTS 24 /* lines of machine.txt at most */

/* What profiler_NAME_summary.txt says; seconds are of the recorded part. */
struct experiment_profile {
    bool there;
    char machine[120];        /* its line about the machine, as it stands there; "" */
    double step_ms;           /* of a step */
    double steps, backward;   /* seconds within steps, within aten::convolution_backward */
    char share[16];           /* CPU total % of aten::convolution_backward, as it stands there */
    char largest[64];         /* the aten:: op with the most CPU total */
    char convolution[16];     /* share of the whole family, as it stands there; "" */
};
/* RN_EINPUT names the file and what is wrong with it. */
rn_status experiment_profile_read(struct experiment_profile *p, const char *path);

/* One experiment with one stem: a run, or the reason why there is none. */
struct experiment {
    char name[24];            /* of its folder */
    char *folder;
    bool ran;
    struct report_run run;
    struct experiment_profile profile;
    char *summary, *trace;    /* paths of the profile's files; NULL: not there */
    double rate, epoch;       /* images a second; seconds an epoch, mean */
    char why[400];
};

struct experiment_fact { char *name, *value; };

struct experiments {
    const char *folder;
    struct experiment row[EXPERIMENTS][EXPERIMENT_STEMS];
    struct report_json sweep[EXPERIMENT_STEMS];
    char *machine;                                 /* what fact points into */
    struct experiment_fact fact[EXPERIMENT_FACTS];
    int facts;
};

/* What the table calls an experiment, and what its preset asks for. */
extern const struct experiment_kind { const char *key, *title, *setup; } experiment_kinds[EXPERIMENTS];
extern const char *const experiment_stems[EXPERIMENT_STEMS];

/* RN_EINPUT: no such folder, no experiment in it, or a damaged file; the message names it. */
rn_status experiments_read(struct experiments *e, const char *folder);
void experiments_free(struct experiments *e);

/* Whether exp1 and exp2 of a stem ended on the same weights. */
enum experiment_same { SAME_UNKNOWN, SAME_OTHER_SETTINGS, SAME_YES, SAME_NO };
enum experiment_same experiments_same(const struct experiments *e, int stem);
/* Throughput over exp1's with the same stem; NaN where one of them did not run. */
double experiment_speedup(const struct experiments *e, int kind, int stem);
/* What of the path follows the folder of all. */
const char *experiment_below(const struct experiments *e, const char *path);
/* Images a second of every run as bars; alone: a file of its own, with its style. */
void experiments_bars(struct rn_text *svg, const struct experiments *e, bool alone);
/* The document, and the table for other programs. */
void experiments_compose(struct report_page *p, const struct experiments *e);
void experiments_csv(struct rn_text *t, const struct experiments *e);

/* Reads DIR, writes DIR/summary.html, .md, .csv and throughput.svg, and their paths to stdout as --quiet and --json of
 * `o` have it.  RN_ECHECK, after that: exp1 and exp2 did the same steps and have other weights. */
rn_status experiments_report(const char *folder, const struct opt_set *o);

#endif /* RN_TOOLS_EXPERIMENTS_H */
