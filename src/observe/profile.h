/*
 * profile.h - what a recording says: which op, which layer, which family of ops took the time, and how close to the
 * machine's limits it came.  And the op table that is recorded: rn_observe.
 */
#ifndef RN_PROFILE_H
#define RN_PROFILE_H

#include "observe/span.h"

/* -- a table that is watched --------------------------------------------------------------------- */
/* In place of an open device *dev of the table *ops, a table that does the same through them and marks each call;
 * its close closes them.  Any backend can be watched.  RN_ENOMEM: *ops and *dev are as they were. */
rn_status rn_observe(const struct rn_ops **ops, void **dev);
/* The table behind a watched one; another table itself. */
const struct rn_ops *rn_observed(const struct rn_ops *ops, void *dev);

/* -- tables -------------------------------------------------------------------------------------- */
enum rn_sort {
    RN_SORT_SELF, RN_SORT_TOTAL, RN_SORT_AVERAGE, RN_SORT_COUNT, RN_SORT_FLOPS, RN_SORT_BYTES, RN_SORT_NAME
};

/* Everything of one name (and, if grouped so, shape; or layer; or family) on the main thread. */
struct rn_profile_row {
    const char *name;
    struct rn_op op;           /* of one of its calls */
    int64_t calls;
    uint64_t self, total;      /* ns; total: with what ran within; a call within another of its row counts once */
    uint64_t forward, backward; /* by layer: self time of the two passes */
    int64_t flops, bytes, written; /* of its calls and of those within */
    bool leaf;                 /* its calls hold no others */
    uint64_t counter[RN_COUNTERS];
};

struct rn_profile_track { const char *name; int64_t spans; uint64_t busy; }; /* ns within an outermost span */

struct rn_profile {
    struct rn_profile_row *op, *layer, *family;
    int ops, layers, families;
    struct rn_profile_track *track;
    int tracks;
    uint64_t self;             /* the sum of all self times: the main thread's outermost spans */
    uint64_t steps_time, leaves_time; /* in the outermost spans called `step`, and the leaves within these */
    int64_t steps, flops;      /* steps recorded; FLOPs of all leaves */
    bool counted;
};

rn_status rn_profile_make(struct rn_profile *p, const struct rn_recording *r, const char *step, bool by_shape);
void rn_profile_free(struct rn_profile *p);

/* What the machine can do: 0 where it is not known. */
struct rn_machine { double gflops, gbytes; };
/* Bytes a second, in 2^30, that `threads` threads bring through memory: a triad over arrays larger than any cache. */
double rn_memory_bandwidth(int threads);

struct rn_profile_style {
    enum rn_sort sort;
    int rows;                  /* at most; 0: all */
    bool by_shape;
    struct rn_machine machine;
};
/* The tables as text, torch.profiler's columns first. */
void rn_profile_text(struct rn_text *t, const struct rn_profile *p, const struct rn_profile_style *style);
/* 1.234ms and the like, as torch.profiler writes times. */
const char *rn_time_text(char out[RN_NUMBER_CHARS], double ns);
/* FLOPs or bytes a second of a row. */
double rn_row_rate(int64_t amount, uint64_t ns);

#endif /* RN_PROFILE_H */
