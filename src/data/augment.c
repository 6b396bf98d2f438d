/*
 * augment.c - random crop and mirror on bytes, and the way from bytes to floats (A29).
 *
 * The draws of an image, from the key (seed, augment, epoch, index), in this order: with a crop dy,
 * then dx, each of 0 ... 2 padding; with flip one word, whose top bit mirrors.  Nothing else is
 * drawn, so the same image in the same epoch is cut the same way whoever prepares it.
 *
 * altflip mirrors an image in its first epoch as flip would, and from then on every other epoch: two
 * epochs in a row show both sides of it.  Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a
 * single GPU", arXiv:2404.00498, section 3.6.
 */
#include "data/data.h"

#include "base/random.h"
#include "base/real.h"
#include "base/text.h"
#include "data/sets.h"

#include <string.h>

#define MAX_PADDING 64
#define ITEM_CHARS 64

static const char *const items[] = { "none",   "crop",   "flip",  "altflip",
                                     "jitter", "rotate", "affine", "erase" };
#define FIRST_LATER 4 /* items[] from here on are of later versions */
#define AVAILABLE "crop:N, crop:N:reflect, flip and altflip"

static rn_status fail_item(const char *name)
{
    for (size_t i = FIRST_LATER; i < RN_COUNT(items); i++)
        if (strcmp(name, items[i]) == 0)
            return rn_fail(RN_EUSAGE, "augmentation '%s' is not in this version; there are "
                           AVAILABLE, name);
    const char *near = rn_nearest(name, items, FIRST_LATER);
    return rn_fail(RN_EUSAGE, "no augmentation '%s'%s%s%s; there are none, " AVAILABLE,
                   rn_shown(name).text, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

/* N or N:reflect; cuts the text at the colon. */
static rn_status take_crop(struct rn_augment *a, char *argument)
{
    int64_t padding;
    char *mode = argument ? strchr(argument, ':') : NULL;
    if (mode) *mode++ = '\0';
    if (!argument || !rn_parse_int(&padding, argument) || padding < 1 || padding > MAX_PADDING)
        return rn_fail(RN_EUSAGE, "augmentation crop%s%s: the padding is a number from 1 to %d",
                       argument && *argument ? ":" : "", argument ? rn_shown(argument).text : "",
                       MAX_PADDING);
    if (mode && strcmp(mode, "reflect"))
        return rn_fail(RN_EUSAGE, "augmentation crop:%s:%s: the padding is zeros, or reflect",
                       argument, rn_shown(mode).text);
    if (a->crop_padding) return rn_fail(RN_EUSAGE, "augmentation crop is given twice");
    a->crop_padding = (int)padding;
    a->reflect = mode;
    return RN_OK;
}

/* One item of the list, NUL-terminated, its argument cut off. */
static rn_status take_item(struct rn_augment *a, const char *name, char *argument)
{
    bool alternating = !strcmp(name, "altflip");
    if (!strcmp(name, "crop")) return take_crop(a, argument);
    if (!alternating && strcmp(name, "flip")) return fail_item(name);
    if (argument)
        return rn_fail(RN_EUSAGE, "augmentation %s takes no argument, and got '%s'", name,
                       rn_shown(argument).text);
    if (a->flip) return rn_fail(RN_EUSAGE, "augmentation flip is given twice");
    a->flip = alternating ? RN_FLIP_ALTERNATING : RN_FLIP_RANDOM;
    return RN_OK;
}

rn_status rn_augment_parse(struct rn_augment *a, const char *list)
{
    struct rn_augment parsed = {0};
    *a = parsed;
    if (strcmp(list, "none") == 0) return RN_OK;
    for (const char *rest = list; rest;) {
        char item[ITEM_CHARS];
        const char *comma = strchr(rest, ',');
        size_t length = comma ? (size_t)(comma - rest) : strlen(rest);
        if (length == 0 || length >= sizeof item)
            return rn_fail(RN_EUSAGE, "augmentation '%s': an item is %s", rn_shown(list).text,
                           length ? "too long" : "empty");
        memcpy(item, rest, length);
        item[length] = '\0';
        char *argument = strchr(item, ':');
        if (argument) *argument++ = '\0';
        if (strcmp(item, "none") == 0)
            return rn_fail(RN_EUSAGE, "augmentation 'none' stands alone, not in a list");
        rn_status status = take_item(&parsed, item, argument);
        if (status != RN_OK) return status;
        rest = comma ? comma + 1 : NULL;
    }
    *a = parsed;
    return RN_OK;
}

/* Row y of the image moved by (dy, dx), zeros where it has no pixels. */
static void shift_row(uint8_t *dst, const uint8_t *src, int height, int width, int y, int dy,
                      int dx)
{
    int left = RN_MIN(RN_MAX(0, -dx), width), right = RN_MIN(RN_MAX(0, dx), width);
    if (y + dy < 0 || y + dy >= height) left = width, right = 0;
    int kept = RN_MAX(0, width - left - right);
    memset(dst, 0, (size_t)left);
    if (kept) memcpy(dst + left, src + (y + dy) * width + left + dx, (size_t)kept);
    memset(dst + width - right, 0, (size_t)right);
}

/* Where i lies in 0 ... size-1 after reflection at the outermost pixels; size > 1. */
static int reflected(int i, int size)
{
    while (i < 0 || i >= size) i = i < 0 ? -i : 2 * (size - 1) - i;
    return i;
}

/* Row y of the image moved by (dy, dx), mirrored outwards where it has no pixels. */
static void reflect_row(uint8_t *dst, const uint8_t *src, int height, int width, int y, int dy,
                        int dx)
{
    src += reflected(y + dy, height) * width;
    for (int x = 0; x < width; x++) dst[x] = src[reflected(x + dx, width)];
}

static void mirror_row(uint8_t *row, int width)
{
    for (int i = 0, j = width - 1; i < j; i++, j--) {
        uint8_t swapped = row[i];
        row[i] = row[j];
        row[j] = swapped;
    }
}

/* How an image lies in one epoch. */
struct placement { int dy, dx; bool mirror; };

static struct placement place(const struct rn_augment *a, uint64_t seed, uint32_t epoch,
                              uint32_t index)
{
    struct rn_random r = rn_random(seed, RN_RANDOM_AUGMENT, epoch, index);
    struct placement p = {0};
    if (a->crop_padding) {
        uint32_t places = 2 * (uint32_t)a->crop_padding + 1;
        p.dy = (int)rn_random_below(&r, places) - a->crop_padding;
        p.dx = (int)rn_random_below(&r, places) - a->crop_padding;
    }
    p.mirror = a->flip && rn_random_word(&r) >> 63;
    if (a->flip == RN_FLIP_ALTERNATING && epoch) p.mirror = place(a, seed, 0, index).mirror ^ (epoch & 1);
    return p;
}

void rn_augment_image(uint8_t *dst, const uint8_t *src, int channels, int height, int width,
                      const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index)
{
    struct placement p = place(a, seed, epoch, index);
    for (int c = 0; c < channels; c++, src += height * width)
        for (int y = 0; y < height; y++, dst += width) {
            if (a->reflect) reflect_row(dst, src, height, width, y, p.dy, p.dx);
            else shift_row(dst, src, height, width, y, p.dy, p.dx);
            if (p.mirror) mirror_row(dst, width);
        }
}

void rn_normalise(float *dst, const uint8_t *src, int channels, int height, int width,
                  const double mean[3], const double std[3])
{
    for (int c = 0; c < channels; c++) {
        float value[256], m = (float)mean[c], s = (float)std[c];
        for (int u = 0; u < 256; u++) value[u] = rn_store(((float)u / 255.0f - m) / s);
        for (int i = 0; i < height * width; i++) *dst++ = value[*src++];
    }
}
