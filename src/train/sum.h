/* sum.h - the sum of A23: per-image values in groups of 8 (a chain each), groups by the tree of
 * A11, fed one value at a time, so that batches of any size give the same bits. */
#ifndef RN_SUM_H
#define RN_SUM_H

#include "base/base.h"

struct rn_sum { double node[60], chain; int64_t groups; int fill; };

/* A full group enters the tree as a binary counter: equal partners merge, the older one on the
 * left. */
static inline void rn_sum_group(struct rn_sum *s)
{
    double v = s->chain;
    int level = 0;
    for (int64_t g = s->groups; g & 1; g >>= 1) v = s->node[level++] + v;
    s->node[level] = v;
    s->groups++;
    s->chain = 0;
    s->fill = 0;
}

static inline void rn_sum_add(struct rn_sum *s, double x)
{
    s->chain = s->chain + x;
    if (++s->fill == 8) rn_sum_group(s);
}

/* Leftovers are folded from the newest to the oldest (A11).  Ends the sum. */
static inline double rn_sum_total(struct rn_sum *s)
{
    if (s->fill) rn_sum_group(s);
    double total = 0;
    bool any = false;
    for (int level = 0; s->groups >> level; level++) {
        if (!(s->groups >> level & 1)) continue;
        total = any ? s->node[level] + total : s->node[level];
        any = true;
    }
    return total;
}

#endif /* RN_SUM_H */
