/*
 * tiles.h - how many pieces a fused operation falls into where its operands do not fit a memory at once.
 *
 * Ours: a tile is some rows of the outputs, some of their channels, and some of the channels that they are sums over.
 * It holds all that it takes: the rows of the inputs under its window, its weights, its outputs and what is added to
 * them; and every tile fits the memory.  Outputs stay until their last sum is added, so that they move once.  Where
 * the sums are cut, nothing else stays: inputs are read again for every piece of the channels, weights for every
 * piece of the rows.  Where they are not, either the inputs or the weights stay while the other's pieces pass.  Rows
 * under two windows are read twice.  Groups of a convolution, and channels of a pooling, share no inputs.  Of all
 * cuts the one with the least traffic is taken, and of those the one with the fewest tiles.  The overhead is the
 * traffic with tiles over the traffic without.
 * On a wavefront machine (key wavefront) operands stream through the array: one tile a fused operation.
 * The seed's: one tile a window (seed.h says why), and a text that claims 1 + 0.05 (17 - 1) = 1.8 for all of them.
 */
#ifndef RN_TILES_H
#define RN_TILES_H

#include "analyze/project.h"

/* tile: bytes of the largest one.  tiles 0: not even the smallest fits. */
struct rn_tiling { int64_t working_set, traffic, tiled_traffic, tiles, tile; };

/* Of one image, `size` bytes a value, against a memory of so many bytes. */
struct rn_tiling rn_tile(const struct rn_group *g, const struct rn_trace *t, int size, double capacity);

#endif /* RN_TILES_H */
