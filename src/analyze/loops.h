/*
 * loops.h - the loops that a machine is measured with, for every instruction set: multiply-adds with their operands in
 * memory, results into it, reads, and narrow multiply-adds.  They know nothing of nets.
 */
#ifndef RN_ANALYZE_LOOPS_H
#define RN_ANALYZE_LOOPS_H

#include "analyze/hardware.h"

#define RN_LOOP_ROWS 6     /* of a tile of sums */
#define RN_LOOP_VECTORS 4  /* in a row, at most */
#define RN_LOOP_LANES 16   /* floats of a vector, at most */
#define RN_LOOP_VALUES 256 /* steps after which the values begin again */

struct rn_loops {
    const char *isa;
    int lanes, vectors;
    /* sums[row][vector] <- `steps` steps, each a row of vectors of `panel` times RN_LOOP_ROWS values. */
    void (*tile)(float *sums, const float *panel, const float *value, int64_t steps);
    /* to[row] <- max(0, sums * factor[vector] + factor[vectors + vector] + add[row]), rows `stride` floats apart. */
    void (*finish)(float *to, const float *add, size_t stride, const float *sums, const float *factor);
    /* One lane of the sum of as many floats, a multiple of 8 vectors. */
    float (*read)(const float *from, size_t floats);
};

/* Floats of a row of a tile, which a step takes of a panel; operations of a step, 2 a multiply-add. */
static inline size_t rn_loop_row(const struct rn_loops *l) { return (size_t)(l->vectors * l->lanes); }
static inline double rn_loop_flops(const struct rn_loops *l) { return 2.0 * RN_LOOP_ROWS * (double)rn_loop_row(l); }

const struct rn_loops *rn_loops_named(const char *isa); /* NULL: there are none for that set */

/* Operations a second, 2 a multiply-add, on registers, of `threads` threads with what the named set and this CPU have
 * for fp16, bf16 or int8 numbers: sums of bf16 and int8 products are of 32 bits.  0: nothing, or this build does
 * not know it. */
double rn_peak_narrow(int threads, const char *isa, enum rn_precision precision);

#endif /* RN_ANALYZE_LOOPS_H */
