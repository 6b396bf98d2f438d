/*
 * amx_rows.h - the rows of a convolution as tiles of A: 16 destination pixels, whose sources lie a constant
 * stride apart.
 *
 * Where a tap is whole blocks of 32 channels the unit reads pixels as they are, and what differs is only
 * which 16 pixels go together:
 *
 *   FLAT    1x1 with stride 1: 16 neighbours of the whole batch, in the tensor itself
 *   IMAGES  small maps of many images: the same pixel of 16 images, in copies of 32 of them; taps outside the
 *           image are left out for all 16 (their blocks are zeros)
 *   BAND    else: neighbours in a row of the map, in a copy of some rows of the image between zeros
 *
 *   GATHER  where a block spans taps (stems, few channels): the slots of each pixel copied one after another
 *
 * A unit is as many rows as a task takes at once: its A stays in the second-level cache while the panels of
 * weights pass by.  A copy is made once and read K/32 times a tap.
 */
#ifndef RN_CPU_AMX_ROWS_H
#define RN_CPU_AMX_ROWS_H

#include "cpu/amx.h"

enum rn_amx_mode { RN_AMX_FLAT, RN_AMX_IMAGES, RN_AMX_BAND, RN_AMX_GATHER };

/* A pass cut into units, the same for every class.  `rows`: destination pixels of a unit when FLAT or
 * GATHER, else rows of the map. */
struct rn_amx_cut { struct rn_conv_pass pass; enum rn_amx_mode mode; int rows; };

/* One or two tiles of A, the blocks they see, and where their 32 outputs go: channel 0 of the pixel, SIZE_MAX:
 * nowhere. */
struct rn_amx_piece {
    const void *a[2];
    int tiles, runs;
    const struct rn_amx_run *run;
    size_t to[RN_AMX_ROWS];
};

/* What a worker holds of one unit. */
struct rn_amx_unit {
    struct rn_conv_class class;
    int pieces;
    size_t stride;              /* bytes between rows of every tile */
    struct rn_amx_piece *piece;
    struct rn_amx_run *run;
    char *copy;
};

struct rn_amx_cut rn_amx_cut(const struct rn_conv_shape *s, enum rn_pass pass);
/* Makes units half as large; false when they are small. */
bool rn_amx_cut_finer(struct rn_amx_cut *c);
int rn_amx_units(const struct rn_amx_cut *c, int class);

/* Carves the memory of any unit; returns its bytes. */
size_t rn_amx_carve_unit(struct rn_amx_unit *u, char *base, const struct rn_amx_cut *c);
/* Unit i of a class and group, of the tensor src. */
void rn_amx_fill_unit(struct rn_amx_unit *u, const struct rn_amx_cut *c, int class, int group, int i,
                      const rn_bf16 *src);

#endif /* RN_CPU_AMX_ROWS_H */
