/*
 * tiles.h - how many pieces an operation falls into where its operands do not fit a memory at once.
 *
 * Ours, of a fused operation: a tile is some rows of the outputs, some of their channels, and some of the channels that
 * they are sums over.  It holds all that it takes: the rows of the inputs under its window, its weights, its outputs
 * and what is added to them; and every tile fits the memory.  Outputs stay until their last sum is added, so that they
 * move once.  Where the sums are cut, nothing else stays: inputs are read again for every piece of the channels,
 * weights for every piece of the rows.  Where they are not, either the inputs or the weights stay while the other's
 * pieces pass.  Rows under two windows are read twice.  Groups of a convolution, and channels of a pooling, share no
 * inputs.  Of all cuts the one with the least traffic is taken, and of those the one with the fewest tiles.  The
 * overhead is the traffic with tiles over the traffic without.
 * On a wavefront machine (key wavefront) operands stream through the array: one tile a fused operation.
 *
 * The seed's, of a window (see seed.h): the sum of the four extents of its output over the size of the memory, and
 * never less than 1; on a wavefront machine 1, or 2 of a map beyond seed_wavefront_bytes.  The overhead is on time:
 * 1 + 0.05 (tiles - 1), in its source of each window, in its text of the tiles of all windows together.
 */
#ifndef RN_TILES_H
#define RN_TILES_H

#include "analyze/project.h"
#include "analyze/seed.h"

/* working_set: bytes of all operands; the seed's: of what it takes for them.  tile: of the largest one.  tiles 0: not
 * even the smallest fits. */
struct rn_tiling { int64_t working_set, traffic, tiled_traffic, tiles, tile; };

/* Ours: of one image, `size` bytes a value, against a memory of so many bytes. */
struct rn_tiling rn_tile(const struct rn_group *g, const struct rn_trace *t, int size, double capacity);

/* The memories that a machine's file says the capacity of, innermost first, and the wavefront, whose capacity is 0. */
struct rn_tile_level { const char *name; double capacity; };
#define RN_TILE_LEVELS (RN_MEMORY_LEVELS + 1)
int rn_tile_levels(struct rn_tile_level level[RN_TILE_LEVELS], const struct rn_hardware *h);

/* Whose operations are cut, and for which machine. */
struct rn_tile_net {
    const struct rn_trace *trace;
    const struct rn_groups *groups;
    const struct rn_seed *seed;
    const struct rn_hardware *hardware;
    int size; /* bytes of a value */
};
enum rn_tile_model { RN_TILES_OURS, RN_TILES_SEED };

/* How many operations a model cuts, the first operation of the trace in the i-th, and its tiles.  overhead 0: nothing
 * fits. */
int rn_tile_rows(const struct rn_tile_net *n, enum rn_tile_model model);
int rn_tile_first(const struct rn_tile_net *n, enum rn_tile_model model, int i);
struct rn_tiling rn_tile_row(const struct rn_tile_net *n, enum rn_tile_model model, const struct rn_tile_level *level,
                             int i);
double rn_tile_overhead(enum rn_tile_model model, const struct rn_tiling *r);
/* All of them together, but working_set and tile of the largest; split: those with more than one tile.  tiles 0: one
 * of them does not fit. */
struct rn_tile_sum { struct rn_tiling all; int rows, split; };
struct rn_tile_sum rn_tile_all(const struct rn_tile_net *n, enum rn_tile_model model,
                               const struct rn_tile_level *level);

#endif /* RN_TILES_H */
