/*
 * amx_planes.h - the operands of a weight gradient as the tile unit wants them, leaf by leaf (A11).
 *
 * k runs over positions, so A is x transposed: a row for every (kw, channel), in it what that tap sees at every
 * position, densely, zeros outside the image (A31).  Each image is transposed once, pixels of equal row and
 * column modulo the stride together ("phase"); what a tap sees is then one of those, shifted, under a mask that
 * is the same for all channels, so that a copy costs a load and a store per 32 numbers.
 *
 * In leaves of one image a tap in the next row of the filter sees the same numbers a row of the map further on:
 * a plane for each (kh modulo stride) serves all of them.  In leaves of several images there is one for each kh.
 *
 * B is dy with every two positions interleaved.
 */
#ifndef RN_CPU_AMX_PLANES_H
#define RN_CPU_AMX_PLANES_H

#include "cpu/amx.h"

struct rn_amx_planes {
    struct rn_conv_shape shape;
    int channels;    /* of a strip at most: a group's, up to 32 */
    int rows;        /* of a plane: S * channels, rounded up to whole tiles */
    int images;      /* of a leaf */
    int kinds;       /* planes */
    bool shifts;     /* what taps see is made by shifts; else pixel by pixel */
    int blocks;      /* of k in a leaf */
    int leaves;      /* in memory at once */
    size_t length;   /* numbers of a leaf in a row of a plane */
    size_t pitch;    /* bytes from row to row */
    size_t phase;    /* bytes from channel to channel of a transposed phase */
};

/* All but `leaves` and `pitch`, which the next call adds. */
struct rn_amx_planes rn_amx_planes(const struct rn_conv_shape *s);
void rn_amx_planes_hold(struct rn_amx_planes *p, int leaves);

size_t rn_amx_masks_bytes(const struct rn_amx_planes *p);
size_t rn_amx_planes_bytes(const struct rn_amx_planes *p);  /* of `leaves` leaves */
size_t rn_amx_phases_bytes(const struct rn_amx_planes *p);
size_t rn_amx_pairs_bytes(const struct rn_amx_planes *p);   /* of `leaves` leaves */

/* Which numbers of a phase each tap takes: once for all leaves. */
void rn_amx_fill_masks(uint32_t *masks, const struct rn_amx_planes *p);
/* Leaf number `leaf` as the l-th in memory, channels first ... first+count-1 of src. */
void rn_amx_fill_planes(char *planes, char *phases, const uint32_t *masks, const struct rn_amx_planes *p, int l,
                        int leaf, int first, int count, const rn_bf16 *src);
/* Its dy, columns first ... first+count-1, count <= 32; returns the blocks that are not empty. */
int rn_amx_fill_pairs(char *pairs, const struct rn_amx_planes *p, int l, int leaf, int first, int count,
                      const rn_bf16 *ddst);

/* Where row r of what row kh of the filter sees begins, in the l-th leaf. */
static inline const char *rn_amx_plane(const char *planes, const struct rn_amx_planes *p, int kh, int r, int l)
{
    int u = p->shape.stride, kind = p->images > 1 ? kh : kh % u, further = p->images > 1 ? 0 : kh / u;
    return planes + ((size_t)kind * (size_t)p->rows + (size_t)r) * p->pitch +
           ((size_t)l * p->length + (size_t)(further * p->shape.Q)) * sizeof(rn_bf16);
}

#define RN_AMX_PAIRS_BLOCK 2048 /* bytes: 16 pairs of 32 columns */

#endif /* RN_CPU_AMX_PLANES_H */
