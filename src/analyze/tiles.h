/*
 * tiles.h - how many pieces a fused operation falls into where its operands do not fit a memory at once.
 *
 * Ours: the working set of a group is what it reads and writes, weights included; it takes as many tiles as its
 * working set is times the capacity, rounded up.  Tiles split either the output's channels, and then each reads all
 * inputs again, or its rows, and then each reads all weights again, and the rows that its window shares with the next;
 * the cheaper of the two is taken.  The overhead is the traffic with tiles over the traffic without.
 * On a wavefront machine (key wavefront) operands stream through the array: one tile a fused operation.
 * The seed's: one tile a window (seed.h says why), and a text that claims 1 + 0.05 (17 - 1) = 1.8 for all of them.
 */
#ifndef RN_TILES_H
#define RN_TILES_H

#include "analyze/project.h"

struct rn_tiling { int64_t working_set, traffic, tiled_traffic, tiles; };

/* Of one image, `size` bytes a value, against a memory of so many bytes. */
struct rn_tiling rn_tile(const struct rn_group *g, const struct rn_trace *t, int size, double capacity);

#endif /* RN_TILES_H */
