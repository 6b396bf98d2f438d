/*
 * winograd.h - convolution by Winograd's algorithm F(4x4, 3x3): where it applies and its constants.
 *
 * Both are part of the specification (A34, A35), so the fast backend includes this file; the slots
 * below are for ref/conv.c.
 */
#ifndef RN_REF_WINOGRAD_H
#define RN_REF_WINOGRAD_H

#include "resnet_backend.h"

#include <stdbool.h>

/* The columns of the table. */
enum rn_winograd_pass { RN_WINOGRAD_FORWARD, RN_WINOGRAD_DATA, RN_WINOGRAD_WEIGHTS };

/* A34: whether this pass of this shape is computed by A35 or A36.  N is not read. */
bool rn_winograd_applies(const struct rn_conv_shape *s, enum rn_winograd_pass pass);

#define RN_WINOGRAD_TILE 4   /* outputs of a tile along one axis */
#define RN_WINOGRAD_PATCH 6  /* inputs it reads along one axis */
#define RN_WINOGRAD_POINTS 36
#define RN_WINOGRAD_LEAF 8   /* images in a leaf of the weight gradient (A36) */

/* The polynomials are evaluated at 0, a, -a, b, -b and infinity with a = 5/8, b = 3/2.  Constants that
 * are no floats are the nearest ones. */
#define RN_WINOGRAD_A 0x1.4p-1f          /* a */
#define RN_WINOGRAD_B 0x1.8p+0f          /* b */
#define RN_WINOGRAD_AA 0x1.9p-2f         /* a^2 */
#define RN_WINOGRAD_BB 0x1.2p+1f         /* b^2 */
#define RN_WINOGRAD_SUM 0x1.52p+1f       /* a^2 + b^2 */
#define RN_WINOGRAD_PRODUCT 0x1.c2p-1f   /* a^2 b^2 */
#define RN_WINOGRAD_RATIO 0x1.8091a2p+1f /* (a^2 + b^2) / (a^2 b^2) */
#define RN_WINOGRAD_INVERSE 0x1.234568p+0f /* 1 / (a^2 b^2) */
/* a^i / (2 a^2 (a^2 - b^2)) and b^i / (2 b^2 (b^2 - a^2)) for i = 0 ... 3 */
#define RN_WINOGRAD_A0 -0x1.607668p-1f
#define RN_WINOGRAD_A1 -0x1.b89402p-2f
#define RN_WINOGRAD_A2 -0x1.135c82p-2f
#define RN_WINOGRAD_A3 -0x1.5833a2p-3f
#define RN_WINOGRAD_B0 0x1.e98802p-4f
#define RN_WINOGRAD_B1 0x1.6f2602p-3f
#define RN_WINOGRAD_B2 0x1.135c82p-2f
#define RN_WINOGRAD_B3 0x1.9d0ac2p-2f

/* For ref/conv.c, NCHW and OIHW: floats of workspace; A35, the sums of outputs before anything is
 * added to them or they are stored; the same of the data gradient, left in the workspace; A36. */
size_t rn_ref_winograd_workspace(const struct rn_conv_shape *s);
void rn_ref_winograd_forward(float *dst, const float *src, const float *weights,
                             const struct rn_conv_shape *s, float *workspace);
const float *rn_ref_winograd_data(const float *ddst, const float *weights,
                                  const struct rn_conv_shape *s,
                                  float *workspace);
void rn_ref_winograd_weights(float *dweights, const float *src, const float *ddst,
                             const struct rn_conv_shape *s, float *workspace);

#endif /* RN_REF_WINOGRAD_H */
