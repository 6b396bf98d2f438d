/*
 * shuffle.c - the order of an epoch: Fisher-Yates, keyed by (seed, epoch, position), A29.
 *
 * Source: Durstenfeld, "Algorithm 235: Random permutation", CACM 7(7), 1964.
 */
#include "data/data.h"

#include "base/random.h"

void rn_shuffle(uint32_t *order, uint32_t count, uint64_t seed, uint32_t epoch)
{
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; i-- > 1;) {
        struct rn_random r = rn_random(seed, RN_RANDOM_SHUFFLE, epoch, i);
        uint32_t j = rn_random_below(&r, i + 1), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}
