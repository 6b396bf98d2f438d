/*
 * measure.h - this machine's numbers for a hardware file, from loops that know nothing of nets: fused multiply-adds on
 * registers, the same with operands out of memory, reads of each level of memory, and empty tasks.
 */
#ifndef RN_MEASURE_H
#define RN_MEASURE_H

#include "analyze/hardware.h"

struct rn_measured {
    double peak;             /* operations a second, 2 a multiply-add, operands in registers */
    double fed;              /* the same, operands loaded: a panel of weights from level 2, values from level 1 */
    double capacity[RN_MEMORY_LEVELS], bandwidth[RN_MEMORY_LEVELS]; /* of all threads together; 0: not known */
    double main_bandwidth;   /* bytes a second */
    double launch;           /* seconds to hand a task to every thread of a waiting team and get it back */
};

/* Takes a second or two.  RN_EFAIL: no loop for that instruction set; RN_ENOMEM. */
rn_status rn_measure(struct rn_measured *m, int threads, const char *isa);

#endif /* RN_MEASURE_H */
