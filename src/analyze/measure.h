/*
 * measure.h - this machine's numbers for a hardware file, from loops that know nothing of nets: multiply-adds on
 * registers, the same with operands out of memory and results into it, reads of each level, and empty tasks.
 */
#ifndef RN_MEASURE_H
#define RN_MEASURE_H

#include "analyze/hardware.h"

struct rn_measured {
    double peak[RN_PRECISIONS]; /* operations a second, 2 a multiply-add, operands in registers; 0: no such unit */
    double fed;              /* of fp32, operands loaded: a panel of weights from level 2, values from level 1 */
    /* Bytes, and bytes a second, of all threads together; 0: not known.  read: one after the other.  results: what is
     * added to the sums of a tile, and the tile that is stored then, between one tile's multiply-adds and the
     * next's. */
    double capacity[RN_MEMORY_LEVELS], read[RN_MEMORY_LEVELS], results[RN_MEMORY_LEVELS];
    double main_read, main_results;
    double overlap;          /* share of reading panels from main memory that multiply-adds hide */
    double launch;           /* seconds that sharing a task out to a waiting team costs beside the task */
};

/* Each is taken `rounds` times, 1 to RN_MEASURE_ROUNDS, which takes some seconds.  RN_EFAIL: no loop for that
 * instruction set; RN_ENOMEM. */
#define RN_MEASURE_ROUNDS 40
rn_status rn_measure(struct rn_measured *m, int threads, const char *isa, int rounds);

#endif /* RN_MEASURE_H */
