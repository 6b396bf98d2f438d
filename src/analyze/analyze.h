/* analyze.h - what a machine can do at most, to hold measured speed against. */
#ifndef RN_ANALYZE_H
#define RN_ANALYZE_H

#include "base/base.h"

/* Billions of float operations a second (a fused multiply-add is two) of `threads` threads with the named
 * instruction set: the best of a few short loops that keep every fused multiply-add unit busy.  Takes
 * about a tenth of a second.  0 for a set that this build or CPU has no loop for. */
double rn_peak_gflops(int threads, const char *isa);

#endif /* RN_ANALYZE_H */
