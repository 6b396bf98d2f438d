/*
 * augment.c - one training picture on its way through a list of augmentations (A29).
 *
 * Each item turns a picture into another, of the same size or, cut by crop and rrc, of the result's; two
 * buffers in the caller's scratch take turns.  What is drawn is augment_draw.c's, what is done to pixels
 * resize.c's, colour.c's and affine.c's; only bytes that are merely moved are moved here.
 */
#include "data/augment.h"

#include <string.h>

#define ALIGN(bytes) (((bytes) + 63) / 64 * 64)

/* -- moving bytes ------------------------------------------------------------------------------ */

/* `width` pixels of a row from number `left` on, zeros where it has none. */
static void cut_row(uint8_t *dst, int width, const uint8_t *src, int source_w, int left)
{
    const int from = RN_MIN(RN_MAX(0, -left), width), to = RN_MAX(from, RN_MIN(source_w - left, width));
    memset(dst, 0, (size_t)from);
    if (to > from) memcpy(dst + from, src + left + from, (size_t)(to - from));
    memset(dst + to, 0, (size_t)(width - to));
}

static void reflect_row(uint8_t *dst, int width, const uint8_t *src, int source_w, int left)
{
    for (int x = 0; x < width; x++) dst[x] = src[rn_reflected(left + x, source_w)];
}

/* A plane of width x height from the place on; what is outside the source is 0, or the source reflected. */
static void cut_plane(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
                      struct rn_place p, bool reflect)
{
    for (int y = p.top; y < p.top + height; y++, dst += width) {
        const int row = reflect ? rn_reflected(y, source_h) : y;
        const uint8_t *from = src + (ptrdiff_t)row * source_w;
        if (reflect) reflect_row(dst, width, from, source_w, p.left);
        else if (row >= 0 && row < source_h) cut_row(dst, width, from, source_w, p.left);
        else memset(dst, 0, (size_t)width);
    }
}

static void swap(uint8_t *a, uint8_t *b)
{
    uint8_t kept = *a;
    *a = *b;
    *b = kept;
}

/* rows of all planes, left for right */
static void mirror(uint8_t *planes, int width, int rows)
{
    for (int y = 0; y < rows; y++, planes += width)
        for (int i = 0, j = width - 1; i < j; i++, j--) swap(&planes[i], &planes[j]);
}

/* Three planes, top for bottom. */
static void turn_over(uint8_t *planes, int width, int height)
{
    const size_t row = (size_t)width;
    for (int c = 0; c < 3; c++, planes += row * (size_t)height)
        for (size_t i = 0, j = (size_t)height - 1; i < j; i++, j--)
            for (size_t x = 0; x < row; x++) swap(&planes[i * row + x], &planes[j * row + x]);
}

void rn_augment_move(struct rn_image_move *move, int height, int width, const struct rn_augment *a, uint64_t seed,
                     uint32_t epoch, uint32_t index)
{
    const struct rn_augment_key key = { seed, epoch, index };
    struct rn_place p = {0};
    if (rn_augment_has(a, RN_AUGMENT_CROP)) p = rn_draw_place(a, &key, width, height, width, height);
    *move = (struct rn_image_move){ .top = p.top, .left = p.left, .mirror = rn_draw_mirror(a, &key) };
}

void rn_augment_image(uint8_t *dst, const uint8_t *src, int channels, int height, int width,
                      const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index)
{
    const size_t plane = (size_t)width * (size_t)height;
    struct rn_image_move m;
    rn_augment_move(&m, height, width, a, seed, epoch, index);
    for (size_t c = 0; c < (size_t)channels; c++)
        cut_plane(dst + c * plane, width, height, src + c * plane, width, height, (struct rn_place){ m.left, m.top },
                  a->reflect);
    if (m.mirror) mirror(dst, width, channels * height);
}

/* -- the list ---------------------------------------------------------------------------------- */

struct canvas {
    const uint8_t *pixels; /* [3][height][width], the source's or in a buffer */
    int width, height;
    uint8_t *buffer[2];
    void *resizing;        /* scratch of rrc */
};

static size_t canvas_bytes(const struct canvas *c)
{
    return 3 * (size_t)c->width * (size_t)c->height;
}

static uint8_t *unused_buffer(const struct canvas *c)
{
    return c->buffer[c->pixels == c->buffer[0]];
}

/* The pixels to be changed in place: never the source's. */
static uint8_t *own_pixels(struct canvas *c)
{
    uint8_t *own = c->buffer[c->pixels == c->buffer[1]];
    if (c->pixels != own) memcpy(own, c->pixels, canvas_bytes(c));
    c->pixels = own;
    return own;
}

/* The canvas becomes width x height of itself from the place on. */
static void cut(struct canvas *c, uint8_t *dst, int width, int height, struct rn_place p, bool reflect)
{
    const size_t plane = (size_t)width * (size_t)height, source = (size_t)c->width * (size_t)c->height;
    for (size_t k = 0; k < 3; k++)
        cut_plane(dst + k * plane, width, height, c->pixels + k * source, c->width, c->height, p, reflect);
    c->pixels = dst;
    c->width = width;
    c->height = height;
}

static void resized_crop(struct canvas *c, int width, int height, const struct rn_region *part)
{
    uint8_t *dst = unused_buffer(c);
    rn_resize_region(dst, width, height, c->pixels, c->width, c->height, part, c->resizing);
    c->pixels = dst;
    c->width = width;
    c->height = height;
}

static void colour(struct canvas *c, const struct rn_augment *a, const struct rn_jitter *j)
{
    const size_t count = (size_t)c->width * (size_t)c->height;
    uint8_t *own = own_pixels(c);
    for (int i = 0; i < 4; i++) {
        const double amount = j->amount[j->order[i]];
        switch (j->order[i]) {
        case 0: if (a->jitter.brightness > 0) rn_adjust_brightness(own, count, amount); break;
        case 1: if (a->jitter.contrast > 0) rn_adjust_contrast(own, count, amount); break;
        case 2: if (a->jitter.saturation > 0) rn_adjust_saturation(own, count, amount); break;
        default: if (a->jitter.hue > 0) rn_adjust_hue(own, count, amount);
        }
    }
}

static void move(struct canvas *c, const struct rn_motion *m, bool bilinear)
{
    static const uint8_t black[3];
    const struct rn_affine matrix =
        rn_affine_inverse(m->degrees, m->dx, m->dy, m->scale, m->shear, 0, c->width, c->height);
    const enum rn_filter filter = bilinear ? RN_BILINEAR : RN_NEAREST;
    uint8_t *dst = unused_buffer(c);
    rn_affine_image(dst, c->pixels, c->width, c->height, &matrix, filter, black);
    c->pixels = dst;
}

/* One item; width and height: of the result. */
static void carry_out(struct canvas *c, const struct rn_augment *a, enum rn_augment_kind kind,
                      const struct rn_augment_key *key, int width, int height)
{
    switch (kind) {
    case RN_AUGMENT_CROP: {
        struct rn_place p = rn_draw_place(a, key, width, height, c->width, c->height);
        cut(c, unused_buffer(c), width, height, p, a->reflect);
        break;
    }
    case RN_AUGMENT_FLIP:
        if (rn_draw_mirror(a, key)) mirror(own_pixels(c), c->width, 3 * c->height);
        break;
    case RN_AUGMENT_VFLIP:
        if (rn_draw_vflip(key)) turn_over(own_pixels(c), c->width, c->height);
        break;
    case RN_AUGMENT_RRC: {
        struct rn_region part = rn_draw_region(a, key, c->width, c->height);
        resized_crop(c, width, height, &part);
        break;
    }
    case RN_AUGMENT_JITTER: {
        struct rn_jitter j = rn_draw_jitter(a, key);
        colour(c, a, &j);
        break;
    }
    case RN_AUGMENT_ROTATE: { /* torchvision turns anticlockwise here, and clockwise in RandomAffine */
        struct rn_motion m = { -rn_draw_rotation(a, key), 0, 0, 1, 0 };
        move(c, &m, a->rotate.bilinear);
        break;
    }
    case RN_AUGMENT_AFFINE: {
        struct rn_motion m = rn_draw_motion(a, key, c->width, c->height);
        move(c, &m, a->affine.bilinear);
        break;
    }
    case RN_AUGMENT_ERASE: /* of the finished image: rn_augment_erase */
    case RN_AUGMENT_KINDS: break;
    }
}

/* Bytes of one buffer: of the result, or of the source where something is done before it is cut. */
static size_t buffer_bytes(const struct rn_augment *a, int width, int height, int source_w, int source_h)
{
    const size_t small = 3 * (size_t)width * (size_t)height, large = 3 * (size_t)source_w * (size_t)source_h;
    if (a->items == 0 || a->item[0] == RN_AUGMENT_CROP || a->item[0] == RN_AUGMENT_RRC) return ALIGN(small);
    return ALIGN(RN_MAX(small, large));
}

size_t rn_augment_scratch(const struct rn_augment *a, int width, int height, int source_w, int source_h)
{
    const size_t both = 2 * buffer_bytes(a, width, height, source_w, source_h);
    return both + (rn_augment_has(a, RN_AUGMENT_RRC)
                       ? rn_resize_scratch(RN_MAX(source_w, width), RN_MAX(source_h, height), width, height)
                       : 0);
}

/* Where the middle begins, also of less than is needed: then outside, rounded downwards. */
static int middle(int size, int source)
{
    return source >= size ? rn_middle(size, source) : -((size - source) / 2);
}

void rn_augment_apply(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
                      const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index,
                      void *scratch)
{
    const struct rn_augment_key key = { seed, epoch, index };
    const size_t buffer = buffer_bytes(a, width, height, source_w, source_h);
    uint8_t *space = scratch;
    struct canvas c = { src, source_w, source_h, { space, space + buffer }, space + 2 * buffer };
    for (int i = 0; i < a->items; i++) carry_out(&c, a, a->item[i], &key, width, height);
    const struct rn_place p = { middle(width, c.width), middle(height, c.height) };
    cut(&c, dst, width, height, p, false);
}

void rn_augment_erase(struct rn_image_move *move, int height, int width, const struct rn_augment *a, uint64_t seed,
                      uint32_t epoch, uint32_t index)
{
    const struct rn_augment_key key = { seed, epoch, index };
    if (!rn_augment_has(a, RN_AUGMENT_ERASE)) return;
    const struct rn_region part = rn_draw_erasure(a, &key, width, height);
    move->erase_top = part.top;
    move->erase_left = part.left;
    move->erase_height = part.height;
    move->erase_width = part.width;
}
