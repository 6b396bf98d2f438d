/*
 * augment_list.c - lists of augmentations: crop:4,flip or rrc,flip,jitter:0.2:0.2:0.2:0.1,erase.
 *
 * An item is a name and numbers, each with a range; those left out at the end have torchvision's defaults, or
 * those that do nothing.  All but crop's and flip's are rows of one table.
 */
#include "base/text.h"
#include "data/sets.h"

#include <string.h>

#define MAX_PADDING 64
#define ITEM_CHARS 160
#define NUMBERS 6

/* A number of an item; paired: with the one before it, the high end of a range.  offset: of the double. */
struct number { const char *name; double low, high, fallback; bool paired; size_t offset; };
#define PLACE(field) offsetof(struct rn_augment, field)

static const struct row {
    const char *name, *usage;
    enum rn_augment_kind kind;
    int least;      /* numbers that must be there */
    size_t filter;  /* offset of the bool that a last word, nearest or bilinear, sets; 0: there is none */
    struct number number[NUMBERS];
} rows[] = {
    { "vflip", "vflip", RN_AUGMENT_VFLIP, 0, 0, { { 0 } } },
    { "rrc", "rrc[:SCALE:SCALE[:RATIO:RATIO]]", RN_AUGMENT_RRC, 0, 0,
      { { "the lower scale", 0.001, 1, 0.08, false, PLACE(rrc.scale_low) },
        { "the upper scale", 0.001, 1, 1, true, PLACE(rrc.scale_high) },
        { "the lower ratio", 0.05, 20, 3.0 / 4, false, PLACE(rrc.ratio_low) },
        { "the upper ratio", 0.05, 20, 4.0 / 3, true, PLACE(rrc.ratio_high) } } },
    { "jitter", "jitter:BRIGHTNESS[:CONTRAST[:SATURATION[:HUE]]]", RN_AUGMENT_JITTER, 1, 0,
      { { "brightness", 0, 10, 0, false, PLACE(jitter.brightness) },
        { "contrast", 0, 10, 0, false, PLACE(jitter.contrast) },
        { "saturation", 0, 10, 0, false, PLACE(jitter.saturation) },
        { "hue", 0, 0.5, 0, false, PLACE(jitter.hue) } } },
    { "rotate", "rotate:DEGREES[:bilinear]", RN_AUGMENT_ROTATE, 1, PLACE(rotate.bilinear),
      { { "the angle in degrees", 0, 180, 0, false, PLACE(rotate.degrees) } } },
    { "affine", "affine:DEGREES[:X:Y[:SCALE:SCALE[:SHEAR]]][:bilinear]", RN_AUGMENT_AFFINE, 1,
      PLACE(affine.bilinear),
      { { "the angle in degrees", 0, 180, 0, false, PLACE(affine.degrees) },
        { "the shift along x, a share of the width,", 0, 1, 0, false, PLACE(affine.shift_x) },
        { "the shift along y, a share of the height,", 0, 1, 0, false, PLACE(affine.shift_y) },
        { "the lower scale", 0.1, 10, 1, false, PLACE(affine.scale_low) },
        { "the upper scale", 0.1, 10, 1, true, PLACE(affine.scale_high) },
        { "shear in degrees", 0, 80, 0, false, PLACE(affine.shear) } } },
    { "erase", "erase[:P[:SCALE:SCALE[:RATIO:RATIO]]]", RN_AUGMENT_ERASE, 0, 0,
      { { "the probability", 0, 1, 0.5, false, PLACE(erase.share) },
        { "the lower scale", 0.001, 1, 0.02, false, PLACE(erase.area.scale_low) },
        { "the upper scale", 0.001, 1, 0.33, true, PLACE(erase.area.scale_high) },
        { "the lower ratio", 0.05, 20, 0.3, false, PLACE(erase.area.ratio_low) },
        { "the upper ratio", 0.05, 20, 3.3, true, PLACE(erase.area.ratio_high) } } },
};

static const char *const names[] = { "none",   "crop",   "flip",   "altflip", "vflip",
                                     "rrc",    "jitter", "rotate", "affine",  "erase" };

bool rn_augment_has(const struct rn_augment *a, enum rn_augment_kind kind)
{
    for (int i = 0; i < a->items; i++)
        if (a->item[i] == kind) return true;
    return false;
}

static rn_status add_item(struct rn_augment *a, enum rn_augment_kind kind, const char *name)
{
    if (rn_augment_has(a, kind)) return rn_fail(RN_EUSAGE, "augmentation %s is given twice", name);
    a->item[a->items++] = kind;
    return RN_OK;
}

/* The next part of an argument, NUL-terminated in its place; NULL: there is none. */
static char *next_part(char **argument)
{
    char *part = *argument;
    if (!part) return NULL;
    *argument = strchr(part, ':');
    if (*argument) *(*argument)++ = '\0';
    return part;
}

/* Nothing, N or N:reflect.  Of flip,crop the crop comes first: flip has always mirrored what was cut. */
static rn_status take_crop(struct rn_augment *a, char *argument)
{
    int64_t padding = 0;
    const char *first = next_part(&argument), *mode = argument;
    if (first && (!rn_parse_int(&padding, first) || padding < 1 || padding > MAX_PADDING))
        return rn_fail(RN_EUSAGE, "augmentation crop:%s: the padding is a number from 1 to %d",
                       rn_shown(first).text, MAX_PADDING);
    if (mode && strcmp(mode, "reflect"))
        return rn_fail(RN_EUSAGE, "augmentation crop:%s:%s: the padding is zeros, or reflect", first,
                       rn_shown(mode).text);
    rn_status status = add_item(a, RN_AUGMENT_CROP, "crop");
    if (status != RN_OK) return status;
    a->crop_padding = (int)padding;
    a->reflect = mode;
    if (a->items > 1 && a->item[a->items - 2] == RN_AUGMENT_FLIP) {
        a->item[a->items - 2] = RN_AUGMENT_CROP;
        a->item[a->items - 1] = RN_AUGMENT_FLIP;
    }
    return RN_OK;
}

static rn_status take_flip(struct rn_augment *a, const char *name, const char *argument)
{
    if (argument)
        return rn_fail(RN_EUSAGE, "augmentation %s takes no argument, and got '%s'", name,
                       rn_shown(argument).text);
    a->flip = strcmp(name, "flip") ? RN_FLIP_ALTERNATING : RN_FLIP_RANDOM;
    return add_item(a, RN_AUGMENT_FLIP, "flip");
}

static double *number_in(struct rn_augment *a, const struct number *n)
{
    return (double *)(void *)((char *)a + n->offset);
}

/* Number i of a row out of its text, or its default. */
static rn_status take_number(struct rn_augment *a, const struct row *row, int i, const char *text)
{
    const struct number *n = &row->number[i];
    char low[RN_NUMBER_CHARS], high[RN_NUMBER_CHARS];
    double *x = number_in(a, n);
    *x = n->fallback;
    if (!text) return RN_OK;
    double least = n->paired ? *number_in(a, n - 1) : n->low;
    if (!rn_parse_double(x, text) || !(*x >= least && *x <= n->high))
        return rn_fail(RN_EUSAGE, "augmentation %s: %s is a number from %s to %s, not '%s'", row->name,
                       n->name, rn_number_text(low, least), rn_number_text(high, n->high),
                       rn_shown(text).text);
    return RN_OK;
}

/* nearest or bilinear at the end of a row's argument; cut off. */
static void take_filter(struct rn_augment *a, const struct row *row, char **argument)
{
    char *last = *argument ? strrchr(*argument, ':') : NULL, *word = last ? last + 1 : *argument;
    if (!row->filter || !word || (strcmp(word, "bilinear") && strcmp(word, "nearest"))) return;
    *(bool *)((char *)a + row->filter) = !strcmp(word, "bilinear");
    if (last) *last = '\0';
    else *argument = NULL;
}

static rn_status take_row(struct rn_augment *a, const struct row *row, char *argument)
{
    rn_status status = add_item(a, row->kind, row->name);
    bool given = false; /* the number before was */
    if (!row->number[0].name && argument)
        return rn_fail(RN_EUSAGE, "augmentation %s takes no argument, and got '%s'", row->name,
                       rn_shown(argument).text);
    take_filter(a, row, &argument);
    const char *text = next_part(&argument);
    for (int i = 0; status == RN_OK && i < NUMBERS && row->number[i].name; i++) {
        const struct number *n = &row->number[i];
        if (!text && (i < row->least || (n->paired && given)))
            return rn_fail(RN_EUSAGE, "augmentation %s: %s is missing; it is %s", row->name, n->name,
                           row->usage);
        status = take_number(a, row, i, text);
        given = text;
        text = next_part(&argument);
    }
    if (status == RN_OK && text)
        return rn_fail(RN_EUSAGE, "augmentation %s: '%s' is too much; it is %s", row->name,
                       rn_shown(text).text, row->usage);
    return status;
}

static rn_status fail_name(const char *name)
{
    const char *near = rn_nearest(name, names, RN_COUNT(names));
    return rn_fail(RN_EUSAGE, "no augmentation '%s'%s%s%s; there are none, crop, flip, altflip, vflip, rrc, "
                   "jitter, rotate, affine and erase", rn_shown(name).text, near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* One item of the list, its argument cut off. */
static rn_status take_item(struct rn_augment *a, const char *name, char *argument)
{
    if (!strcmp(name, "none"))
        return rn_fail(RN_EUSAGE, "augmentation 'none' stands alone, not in a list");
    if (!strcmp(name, "crop")) return take_crop(a, argument);
    if (!strcmp(name, "flip") || !strcmp(name, "altflip")) return take_flip(a, name, argument);
    for (size_t i = 0; i < RN_COUNT(rows); i++)
        if (!strcmp(name, rows[i].name)) return take_row(a, &rows[i], argument);
    return fail_name(name);
}

rn_status rn_augment_parse(struct rn_augment *a, const char *list)
{
    struct rn_augment parsed = {0};
    *a = parsed;
    if (strcmp(list, "none") == 0) return RN_OK;
    for (const char *rest = list; rest;) {
        char item[ITEM_CHARS];
        rn_status status = rn_next_item(item, sizeof item, &rest, list, "augmentation");
        if (status != RN_OK) return status;
        char *argument = strchr(item, ':');
        if (argument) *argument++ = '\0';
        if ((status = take_item(&parsed, item, argument)) != RN_OK) return status;
    }
    *a = parsed;
    return RN_OK;
}
