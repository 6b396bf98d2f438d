/*
 * gemm.h - the parts of a blocked GEMM that the passes of a convolution share.
 *
 * C[rows][cols] = A[rows][k] B[k][cols].  Columns are cut into panels as wide as a micro-kernel
 * (the last ones narrower, so that few columns waste few lanes), k into slices that fit a cache,
 * rows into strips as tall as a micro-kernel.  B is packed [panel][k][nr]; A is addressed by two
 * strides.
 */
#ifndef RN_GEMM_H
#define RN_GEMM_H

#include "cpu/cpu.h"

/* Columns begin ... begin+cols-1 of B and C; nr >= cols are stored. */
struct rn_panel { int begin, cols, nr; const struct rn_tile *tile; };

/* Panel i of a matrix of `cols` columns.  Panels before it hold `begin` stored columns. */
struct rn_panel rn_gemm_panel(const struct rn_kernels *k, int cols, int i);
int rn_gemm_panels(const struct rn_kernels *k, int cols); /* how many */
/* Stored columns of all panels: cols rounded up to whole vectors. */
static inline size_t rn_gemm_padded(const struct rn_kernels *k, int cols)
{
    return rn_round_up((size_t)cols, (size_t)k->lanes);
}

/* The tile for the next strip when `left` rows are left: t, or a shorter one of its width. */
const struct rn_tile *rn_gemm_tile(const struct rn_tile *t, int left);

/* C[rows][nr] = (first ? 0 : C) + A B for one panel.  Reads A and writes C up to RN_MAX_MR - 1 rows
 * past the end. */
void rn_gemm_strips(const struct rn_panel *p, size_t kc, const float *a, size_t rs, size_t cs,
                    const float *b, float *c, int rows, bool first);

#endif /* RN_GEMM_H */
