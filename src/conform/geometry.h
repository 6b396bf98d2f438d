/*
 * geometry.h - a convolution's geometry as one word, so that any failing case is one line to paste:
 *
 *     n2c3h7w5k4r3s3u2a1g1
 *
 * N images, C channels, H x W map, K output channels, R x S filter, stride u, padding a, groups g;
 * after the idea of benchdnn's problem strings.  Letters stand in this order, each followed by a
 * decimal number.  u, a, g may be left out (1, 0, 1); so may the letters from k on where a slot has
 * no filter (k = c, r = s = 1).
 */
#ifndef RN_CONFORM_GEOMETRY_H
#define RN_CONFORM_GEOMETRY_H

#include "base/base.h"

#define RN_GEOMETRY_CHARS 96

/* Fills *s, P and Q included.  RN_EUSAGE names the letter, its value and the limit. */
rn_status rn_geometry_parse(struct rn_conv_shape *s, const char *text);

#endif /* RN_CONFORM_GEOMETRY_H */
