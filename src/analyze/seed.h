/*
 * seed.h - the arithmetic of the characterisation report that this project began with (2025-10-17), as its published
 * source does it: github.com/branes-ai/graphs, src/graphs/characterize at commit dfc55336 (walker.py, fused_ops.py,
 * tiling.py, arch_profiles.py).  It is reproduced to be explained, not to be used.
 *
 *   - Its graph is the list of modules alone: the additions, being functions, are not in it.  A window of three
 *     neighbours Conv2d, BatchNorm2d, ReLU is one fusion, whoever reads whom.  Where a block has a projection, the
 *     list is conv2 bn2 downsample.0 downsample.1 relu: the projection is taken for a Conv+BN+ReLU, and conv2 is
 *     left out.  What is in no window is not counted; that goes for the linear layer, too.
 *   - It takes the shape of a convolution's output for that of its input: as many input channels as output
 *     channels, and stride and padding applied once more to the smaller map.  Groups are not looked at.
 *   - FLOPs of a window: outputs (2 C R S + 2).  Memory: input, weights, outputs, at 4 bytes a value.
 *   - Tiles of a window: the sum (not the product) of the four extents, in bytes, over the size of a tile; never
 *     less than 1.  So every window is one tile, and the overhead 1 + 0.05 (tiles - 1) is 1.
 */
#ifndef RN_SEED_H
#define RN_SEED_H

#include "analyze/trace.h"

struct rn_seed_window {
    int conv, relu;       /* operations of the trace; the batch norm stands between them */
    int64_t flops, bytes; /* as the seed counts them, for one image */
    int64_t right;        /* 2 a MAC of the convolution as it is */
};
struct rn_seed {
    struct rn_seed_window *row;
    int rows;
    int64_t flops, bytes;
    int64_t left_out;     /* 2 a MAC of the convolutions in no window, and of the linear layer */
    int convs_left_out;
};

rn_status rn_seed_build(struct rn_seed *s, const struct rn_trace *t); /* RN_ENOMEM */
/* Bytes that it holds against a tile, of a window with that convolution: `buffers` times the sum of the extents. */
int64_t rn_seed_extents(const struct rn_op *conv, int batch, double buffers);
/* The tiles that it then counts, and, on a machine of wavefronts, of a map of so many bytes. */
int64_t rn_seed_tiles(int64_t extents, double tile_bytes);
int64_t rn_seed_wavefronts(const struct rn_op *conv, double wavefront_bytes);
/* What so many tiles take longer than one. */
static inline double rn_seed_overhead(int64_t tiles) { return 1 + 0.05 * (double)(tiles - 1); }
void rn_seed_free(struct rn_seed *s);

#endif /* RN_SEED_H */
