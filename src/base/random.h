/*
 * random.h - counter-based random numbers (A29): a pure function of (seed, purpose, epoch, index,
 * draw).  Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC'11.  Key = seed; counter = (draw, index, epoch, purpose); a word is output 0 (low half) and 1.
 */
#ifndef RN_RANDOM_H
#define RN_RANDOM_H

#include "base/base.h"

enum rn_purpose { /* numbers are part of the arithmetic: never renumber */
    RN_RANDOM_INIT = 1,     /* epoch = parameter's number in state-dict order, index = element */
    RN_RANDOM_SHUFFLE = 2,  /* index = position in Fisher-Yates */
    RN_RANDOM_AUGMENT = 3,  /* index = sample's index in the data set */
    RN_RANDOM_DEMO = 4,     /* built-in images */
    RN_RANDOM_SPLIT = 5,    /* train/validation split */
    RN_RANDOM_TEST = 6,     /* synthetic inputs of tests, checks and benchmarks */
    RN_RANDOM_BOOTSTRAP = 7 /* epoch = resample, a word for each image drawn */
};

/* One key of the generator; `draw` counts up with every word taken. */
struct rn_random {
    uint64_t seed;
    uint32_t purpose, epoch, index, draw;
};

void rn_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);
struct rn_random rn_random(uint64_t seed, enum rn_purpose purpose, uint32_t epoch, uint32_t index);
uint64_t rn_random_word(struct rn_random *r);
double rn_random_uniform(struct rn_random *r);             /* [0, 1): (w >> 11) 2^-53 */
double rn_random_normal(struct rn_random *r);              /* Box-Muller, first branch, 2 words */
uint32_t rn_random_below(struct rn_random *r, uint32_t n); /* 0 ... n-1: high word of w n; n >= 1 */

#endif /* RN_RANDOM_H */
