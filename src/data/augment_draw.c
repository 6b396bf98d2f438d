/*
 * augment_draw.c - the random numbers of augmentation (A29), with torchvision's definitions and ranges.
 *
 * The words of an image come from the key (seed, augment, epoch, index).  crop takes words 0 and 1, for the
 * row and the column; flip the one after them, or word 0 where there is no crop.  Every other kind begins at
 * 2^16 times its number, so that what an item draws does not depend on which others there are.
 *
 * altflip mirrors an image in its first epoch as flip would, and from then on every other epoch: two epochs
 * in a row show both sides of it.  Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU",
 * arXiv:2404.00498, section 3.6.
 */
#include "data/augment.h"

#include "base/math.h"

#include <math.h>

#define KIND_WORDS 65536u /* more than any item draws */
#define TRIES 10          /* for a part of the wanted area and shape that fits */

static struct rn_random stream(const struct rn_augment_key *key, enum rn_augment_kind kind)
{
    struct rn_random r = rn_random(key->seed, RN_RANDOM_AUGMENT, key->epoch, key->index);
    r.draw = (uint32_t)kind * KIND_WORDS;
    return r;
}

static double uniform(struct rn_random *r, double low, double high)
{
    return low + (high - low) * rn_random_uniform(r);
}

/* How far from the source's edge a crop of `size` begins; without room, in the middle. */
static int offset(struct rn_random *r, int size, int source, int padding)
{
    const int room = source + 2 * padding - size;
    if (room < 0) return -((size - source) / 2);
    return (int)rn_random_below(r, (uint32_t)room + 1) - padding;
}

struct rn_place rn_draw_place(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                              int height, int source_w, int source_h)
{
    struct rn_random r = stream(key, RN_AUGMENT_CROP);
    const int top = offset(&r, height, source_h, a->crop_padding);
    return (struct rn_place){ offset(&r, width, source_w, a->crop_padding), top };
}

bool rn_draw_mirror(const struct rn_augment *a, const struct rn_augment_key *key)
{
    struct rn_random r = rn_random(key->seed, RN_RANDOM_AUGMENT, key->epoch, key->index);
    if (a->flip == RN_FLIP_NEVER) return false;
    if (rn_augment_has(a, RN_AUGMENT_CROP)) r.draw = 2;
    if (a->flip == RN_FLIP_ALTERNATING) r.epoch = 0;
    const bool mirror = rn_random_word(&r) >> 63;
    return a->flip == RN_FLIP_ALTERNATING ? mirror != (key->epoch & 1) : mirror;
}

bool rn_draw_vflip(const struct rn_augment_key *key)
{
    struct rn_random r = stream(key, RN_AUGMENT_VFLIP);
    return rn_random_word(&r) >> 63;
}

/* Width and height of a part of the picture with an area and a shape out of the ranges; may not fit. */
static struct rn_region draw_area(struct rn_random *r, const struct rn_area *area, int width, int height)
{
    const double pixels = (double)width * height * uniform(r, area->scale_low, area->scale_high);
    const double ratio = rn_exp(uniform(r, rn_log(area->ratio_low), rn_log(area->ratio_high)));
    return (struct rn_region){ 0, 0, (int)rint(sqrt(pixels * ratio)), (int)rint(sqrt(pixels / ratio)) };
}

/* Puts it somewhere. */
static struct rn_region place_area(struct rn_random *r, struct rn_region part, int width, int height)
{
    part.top = (int)rn_random_below(r, (uint32_t)(height - part.height) + 1);
    part.left = (int)rn_random_below(r, (uint32_t)(width - part.width) + 1);
    return part;
}

/* The largest part in the middle whose shape is in the range. */
static struct rn_region middle_area(const struct rn_area *area, int width, int height)
{
    const double ratio = (double)width / height;
    struct rn_region part = { 0, 0, width, height };
    if (ratio < area->ratio_low) part.height = (int)rint(width / area->ratio_low);
    else if (ratio > area->ratio_high) part.width = (int)rint(height * area->ratio_high);
    part.width = RN_MAX(1, RN_MIN(part.width, width));
    part.height = RN_MAX(1, RN_MIN(part.height, height));
    part.left = (width - part.width) / 2;
    part.top = (height - part.height) / 2;
    return part;
}

struct rn_region rn_draw_region(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                                int height)
{
    struct rn_random r = stream(key, RN_AUGMENT_RRC);
    for (int i = 0; i < TRIES; i++) {
        struct rn_region part = draw_area(&r, &a->rrc, width, height);
        if (part.width > 0 && part.width <= width && part.height > 0 && part.height <= height)
            return place_area(&r, part, width, height);
    }
    return middle_area(&a->rrc, width, height);
}

struct rn_jitter rn_draw_jitter(const struct rn_augment *a, const struct rn_augment_key *key)
{
    const double spread[3] = { a->jitter.brightness, a->jitter.contrast, a->jitter.saturation };
    struct rn_random r = stream(key, RN_AUGMENT_JITTER);
    struct rn_jitter j = { { 0, 1, 2, 3 }, { 0 } };
    for (int i = 3; i > 0; i--) {
        const int other = (int)rn_random_below(&r, (uint32_t)i + 1), last = j.order[i];
        j.order[i] = j.order[other];
        j.order[other] = last;
    }
    for (int i = 0; i < 3; i++) j.amount[i] = uniform(&r, RN_MAX(0.0, 1.0 - spread[i]), 1.0 + spread[i]);
    j.amount[3] = uniform(&r, -a->jitter.hue, a->jitter.hue);
    return j;
}

double rn_draw_rotation(const struct rn_augment *a, const struct rn_augment_key *key)
{
    struct rn_random r = stream(key, RN_AUGMENT_ROTATE);
    return uniform(&r, -a->rotate.degrees, a->rotate.degrees);
}

struct rn_motion rn_draw_motion(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                                int height)
{
    const double far_x = a->affine.shift_x * width, far_y = a->affine.shift_y * height;
    struct rn_random r = stream(key, RN_AUGMENT_AFFINE);
    struct rn_motion m;
    m.degrees = uniform(&r, -a->affine.degrees, a->affine.degrees);
    m.dx = rint(uniform(&r, -far_x, far_x));
    m.dy = rint(uniform(&r, -far_y, far_y));
    m.scale = uniform(&r, a->affine.scale_low, a->affine.scale_high);
    m.shear = uniform(&r, -a->affine.shear, a->affine.shear);
    return m;
}

struct rn_region rn_draw_erasure(const struct rn_augment *a, const struct rn_augment_key *key, int width,
                                 int height)
{
    struct rn_random r = stream(key, RN_AUGMENT_ERASE);
    if (rn_random_uniform(&r) >= a->erase.share) return (struct rn_region){0};
    for (int i = 0; i < TRIES; i++) {
        const struct rn_region drawn = draw_area(&r, &a->erase.area, width, height);
        const struct rn_region part = { 0, 0, drawn.height, drawn.width }; /* its ratio is height / width */
        if (part.width > 0 && part.width < width && part.height > 0 && part.height < height)
            return place_area(&r, part, width, height);
    }
    return (struct rn_region){0};
}
