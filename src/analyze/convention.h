/*
 * convention.h - how the well-known counters arrive at their numbers for one net: what each counts, line by line,
 * what it leaves out, and what its unit is.  tests/peers/check_flops.py holds the totals against the tools.
 */
#ifndef RN_CONVENTION_H
#define RN_CONVENTION_H

#include "analyze/counts.h"

#define RN_CONVENTIONS 5
/* "seed", "fvcore", "ptflops", "thop", "torchinfo" */
const char *const *rn_convention_names(void);

#define RN_CONVENTION_LINES 10
struct rn_convention {
    const char *name, *tool, *unit; /* tool: with the version whose rules these are */
    const char *left_out;
    struct { const char *what, *rule; int64_t count; } line[RN_CONVENTION_LINES];
    int lines;
    int64_t total;
};

/* RN_EUSAGE with the nearest name; RN_ENOMEM. */
rn_status rn_convention_of(struct rn_convention *c, const char *name, const struct rn_trace *t);

#endif /* RN_CONVENTION_H */
