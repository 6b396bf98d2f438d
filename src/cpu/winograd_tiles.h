/* winograd_tiles.h - tiles of a map and where their pixels lie; shared by winograd*.c. */
#ifndef RN_CPU_WINOGRAD_TILES_H
#define RN_CPU_WINOGRAD_TILES_H

#include "cpu/gemm.h"
#include "cpu/winograd.h"
#include "ref/winograd.h"

#define POINTS RN_WINOGRAD_POINTS
#define TILE RN_WINOGRAD_TILE
#define PATCH RN_WINOGRAD_PATCH

/* Maps of H x W pixels of C channels, NHWC, cut into rows x cols tiles; tile t of the batch is tile
 * (i, j) of image n in the order (n, i, j). */
struct rn_tiles { int H, W, C, rows, cols; };

static inline struct rn_tiles rn_tiles(const struct rn_conv_shape *s, int C)
{
    return (struct rn_tiles){ s->H, s->W, C, rn_ceil_div(s->H, TILE), rn_ceil_div(s->W, TILE) };
}

static inline int rn_tiles_per_map(const struct rn_tiles *t) { return t->rows * t->cols; }

/* The pixels of extent x extent from `before` rows above and columns left of tile t on; those outside
 * the map are `zeros` [C]. */
static inline void rn_tile_pixels(const float **pixel, const struct rn_tiles *t, int64_t tile,
                                  int before, int extent, const float *src, const float *zeros)
{
    int64_t n = tile / rn_tiles_per_map(t), i = tile / t->cols % t->rows, j = tile % t->cols;
    int h0 = (int)i * TILE - before, w0 = (int)j * TILE - before;
    for (int h = h0; h < h0 + extent; h++)
        for (int w = w0; w < w0 + extent; w++) {
            bool inside = h >= 0 && h < t->H && w >= 0 && w < t->W;
            *pixel++ = inside ? src + (size_t)((n * t->H + h) * t->W + w) * (size_t)t->C : zeros;
        }
}

/* Transformed patches, V[block of channels][point][tile][width]: what is read together lies together.
 * The last block may be narrower, but holds whole vectors. */
struct rn_patches { float *v; int64_t tiles; int C, width; };

/* Floats from plane to plane; never a multiple of a page, which would put every plane into the same few
 * sets of a cache. */
static inline size_t rn_plane(size_t rows, size_t columns) { return rows * columns + RN_PAD; }

/* Width of the block that begins at channel c. */
static inline int rn_patch_width(const struct rn_patches *p, int c)
{
    return RN_MIN(p->width, (int)rn_round_up((size_t)p->C, RN_PAD) - c);
}

static inline size_t rn_patch_plane(const struct rn_patches *p, int c)
{
    return rn_plane((size_t)p->tiles, (size_t)rn_patch_width(p, c));
}

/* Row of tile i, at the first point, in the block that begins at channel c. */
static inline float *rn_patch_row(const struct rn_patches *p, int64_t i, int c)
{
    return p->v + POINTS * (p->tiles * c + c / p->width * RN_PAD) + i * rn_patch_width(p, c);
}

/* Of all blocks, with room for the rows that a micro-kernel reads past the last. */
static inline size_t rn_patch_floats(const struct rn_patches *p)
{
    size_t blocks = (size_t)rn_ceil_div(p->C, p->width), C = rn_round_up((size_t)p->C, RN_PAD);
    return POINTS * ((size_t)p->tiles * C + blocks * RN_PAD) + RN_MAX_MR * (size_t)p->width;
}

/* Transforms the patch of tile `tile` of the batch into row i of every block. */
static inline void rn_patch_transform(const struct rn_kernels *k, const struct rn_patches *p, int64_t i,
                                      const struct rn_tiles *t, int64_t tile, const float *src,
                                      const float *zeros)
{
    const float *pixel[PATCH * PATCH];
    rn_tile_pixels(pixel, t, tile, 1, PATCH, src, zeros);
    for (int c = 0; c < p->C; c += p->width)
        k->winograd.input(rn_patch_row(p, i, c), rn_patch_plane(p, c), pixel, (size_t)c,
                          (size_t)RN_MIN(p->width, p->C - c));
}

/* winograd_weights.c */
size_t rn_winograd_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
#define RN_WINOGRAD_SLICE 32 /* channels whose filters are transformed at once, and packed together */
#define RN_WINOGRAD_NR 64    /* columns of the widest panel of any instruction set */
/* winograd_pack.c: filters up to this many are kept transformed, else they are packed as they are. */
#define RN_WINOGRAD_KEEP (128 * 128) /* U of 2.3 MB */
static inline bool rn_winograd_keeps(const struct rn_conv_shape *s)
{
    return (int64_t)s->C * s->K <= RN_WINOGRAD_KEEP;
}

#endif /* RN_CPU_WINOGRAD_TILES_H */
