/*
 * augment.h - what the items of a list draw, apart from what they do with it.
 */
#ifndef RN_DATA_AUGMENT_H
#define RN_DATA_AUGMENT_H

#include "base/random.h"
#include "data/data.h"
#include "data/image.h"

struct rn_augment_key { uint64_t seed; uint32_t epoch, index; };

/* The corner of a crop of width x height in a source, which padding lets be outside. */
struct rn_place { int left, top; };
struct rn_place rn_draw_place(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                              int height, int source_w, int source_h);
bool rn_draw_mirror(const struct rn_augment *a, const struct rn_augment_key *key);
bool rn_draw_vflip(const struct rn_augment_key *key);
/* RandomResizedCrop's part of a picture. */
struct rn_region rn_draw_region(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                                int height);
/* ColorJitter: factors of brightness, contrast and saturation, shift of hue; 0 ... 3 in `order`. */
struct rn_jitter { int order[4]; double amount[4]; };
struct rn_jitter rn_draw_jitter(const struct rn_augment *a, const struct rn_augment_key *key);
double rn_draw_rotation(const struct rn_augment *a, const struct rn_augment_key *key); /* degrees */
/* RandomAffine: degrees, whole pixels, factor, degrees. */
struct rn_motion { double degrees, dx, dy, scale, shear; };
struct rn_motion rn_draw_motion(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                                int height);
/* RandomErasing's part; of width 0: nothing is erased. */
struct rn_region rn_draw_erasure(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                                 int height);

#endif /* RN_DATA_AUGMENT_H */
