/*
 * test_data_augment.c - lists of augmentations, and what they do to images: compared pixel by pixel
 * with the rules, as functions of seed, epoch and image.
 */
#include "tests/test.h"

#include "base/mem.h"
#include "base/random.h"
#include "data/augment.h"

/* -- lists ------------------------------------------------------------------------------------- */
#define NEVER RN_FLIP_NEVER
#define RANDOM RN_FLIP_RANDOM
#define ALTERNATING RN_FLIP_ALTERNATING

static void check_list(const char *list, rn_status want, int padding, enum rn_flip flip,
                       const char *says)
{
    struct rn_augment a = { .crop_padding = 77, .reflect = true, .flip = RANDOM, .items = 3 };
    rn_error_clear();
    rn_status got = rn_augment_parse(&a, list);
    CHECK_MSG(got == want && strstr(rn_error(), says), "'%s': status %d, said \"%s\"", list, got,
              rn_error());
    CHECK(a.crop_padding == padding && a.flip == flip);
    CHECK(a.reflect == (strstr(list, "reflect") && want == RN_OK));
    CHECK(want == RN_OK || a.items == 0);
}

static void test_augment_lists(void)
{
    check_list("none", RN_OK, 0, NEVER, "");
    check_list("crop:4,flip", RN_OK, 4, RANDOM, "");
    check_list("flip,crop:64", RN_OK, 64, RANDOM, "");
    check_list("flip", RN_OK, 0, RANDOM, "");
    check_list("crop:2:reflect,altflip", RN_OK, 2, ALTERNATING, "");
    check_list("crop", RN_OK, 0, NEVER, "");
    check_list("crop:2:wrap", RN_EUSAGE, 0, NEVER, "zeros, or reflect");
    check_list("crop:2:reflect:3", RN_EUSAGE, 0, NEVER, "zeros, or reflect");
    check_list("flip,altflip", RN_EUSAGE, 0, NEVER, "twice");
    check_list("altflip:2", RN_EUSAGE, 0, NEVER, "altflip takes no argument");
    check_list("", RN_EUSAGE, 0, NEVER, "empty");
    check_list("flip,", RN_EUSAGE, 0, NEVER, "empty");
    check_list("crop:", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("crop:0", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("flip,crop:65", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("crop:4.5", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("crop:4,crop:4", RN_EUSAGE, 0, NEVER, "twice");
    check_list("flip,flip", RN_EUSAGE, 0, NEVER, "twice");
    check_list("flip:1", RN_EUSAGE, 0, NEVER, "takes no argument");
    check_list("flp", RN_EUSAGE, 0, NEVER, "did you mean 'flip'?");
    check_list("none,flip", RN_EUSAGE, 0, NEVER, "alone");
}

/* The items with numbers: what is refused, and how it is said. */
static void test_augment_numbers(void)
{
    static const char *const refused[][2] = {
        { "vflip:1", "vflip takes no argument, and got '1'" },
        { "rrc:0.5", "rrc: the upper scale is missing; it is rrc[:SCALE:SCALE[:RATIO:RATIO]]" },
        { "rrc:0.5:0.4", "rrc: the upper scale is a number from 0.5 to 1, not '0.4'" },
        { "rrc:0:1", "the lower scale is a number from 0.001 to 1, not '0'" },
        { "rrc:0.5:1:0.75", "the upper ratio is missing" },
        { "rrc:0.5:1:0.75:1.5:2", "rrc: '2' is too much" },
        { "rrc:0.5:1:2:1.5", "the upper ratio is a number from 2 to 20" },
        { "jitter", "jitter: brightness is missing" },
        { "jitter:0.2:-1", "jitter: contrast is a number from 0 to 10, not '-1'" },
        { "jitter:0.2:0.2:x", "jitter: saturation is a number from 0 to 10, not 'x'" },
        { "jitter:0.2:0.2:0.2:0.6", "jitter: hue is a number from 0 to 0.5, not '0.6'" },
        { "jitter:nan", "from 0 to 10, not 'nan'" },
        { "jitter:0.1:0.1:0.1:0.1:0.1", "'0.1' is too much" },
        { "rotate", "the angle in degrees is missing; it is rotate:DEGREES[:bilinear]" },
        { "rotate:bilinear", "the angle in degrees is missing" },
        { "rotate:181", "from 0 to 180, not '181'" },
        { "rotate:10:cubic", "'cubic' is too much" },
        { "rotate:10:bilinear:1", "'bilinear' is too much" },
        { "affine:5:1.5", "the shift along x, a share of the width, is a number from 0 to 1" },
        { "affine:5:0.1:0.1:0.9", "the upper scale is missing" },
        { "affine:5:0.1:0.1:0:1", "the lower scale is a number from 0.1 to 10" },
        { "affine:5:0.1:0.1:1:1:90", "shear in degrees is a number from 0 to 80" },
        { "erase:1.5", "erase: the probability is a number from 0 to 1" },
        { "erase:0.5:0.02", "the upper scale is missing" },
        { "erase,flip,erase", "erase is given twice" },
        { "rrc,rrc", "rrc is given twice" },
        { "jiter:1", "did you mean 'jitter'?" },
        { "blur", "no augmentation 'blur'; there are none, crop, flip, altflip, vflip, rrc, jitter" },
    };
    struct rn_augment a;
    for (size_t i = 0; i < RN_COUNT(refused); i++) {
        rn_status status = rn_augment_parse(&a, refused[i][0]);
        CHECK_MSG(status == RN_EUSAGE && strstr(rn_error(), refused[i][1]) && a.items == 0,
                  "'%s': status %d, said \"%s\"", refused[i][0], status, rn_error());
    }
    CHECK_OK(rn_augment_parse(&a, "rrc,vflip,jitter:0.1:0.2:0.3:0.4,rotate:30,affine:5,erase"));
    CHECK(a.rrc.scale_low == 0.08 && a.rrc.scale_high == 1 && a.rrc.ratio_low == 0.75);
    CHECK(a.rrc.ratio_high == 4.0 / 3 && a.rotate.degrees == 30 && !a.rotate.bilinear && !a.affine.bilinear);
    CHECK(a.jitter.brightness == 0.1 && a.jitter.contrast == 0.2 && a.jitter.saturation == 0.3);
    CHECK(a.jitter.hue == 0.4 && a.affine.degrees == 5 && a.affine.shift_x == 0 && a.affine.shift_y == 0);
    CHECK(a.affine.scale_low == 1 && a.affine.scale_high == 1 && a.affine.shear == 0);
    CHECK(a.erase.share == 0.5 && a.erase.area.scale_low == 0.02 && a.erase.area.scale_high == 0.33);
    CHECK(a.erase.area.ratio_low == 0.3 && a.erase.area.ratio_high == 3.3);
    CHECK_OK(rn_augment_parse(&a, "erase:1:0.1:0.2:0.5:2,affine:5:0.1:0.2:0.8:1.2:10:bilinear,"
                                  "rotate:7:bilinear,rrc:0.5:0.9:0.8:1.25,altflip,crop:3"));
    CHECK(a.erase.share == 1 && a.erase.area.scale_high == 0.2 && a.erase.area.ratio_high == 2);
    CHECK(a.affine.bilinear && a.affine.shift_y == 0.2 && a.affine.scale_high == 1.2 && a.affine.shear == 10);
    CHECK(a.rotate.bilinear && a.rotate.degrees == 7 && a.rrc.scale_high == 0.9 && a.rrc.ratio_low == 0.8);
    static const enum rn_augment_kind order[] = { RN_AUGMENT_ERASE, RN_AUGMENT_AFFINE, RN_AUGMENT_ROTATE,
                                                  RN_AUGMENT_RRC, RN_AUGMENT_CROP, RN_AUGMENT_FLIP };
    CHECK(a.items == (int)RN_COUNT(order) && !memcmp(a.item, order, sizeof order));
    CHECK_OK(rn_augment_parse(&a, "flip,vflip,crop:2")); /* only next to it is the crop put first */
    CHECK(a.item[0] == RN_AUGMENT_FLIP && a.item[2] == RN_AUGMENT_CROP);
    CHECK_OK(rn_augment_parse(&a, "rotate:5:nearest"));
    CHECK(!a.rotate.bilinear);
}

/* -- images ------------------------------------------------------------------------------------ */
#define C 3
#define H 7
#define W 5
#define IMAGE (C * H * W)

static struct rn_augment list(const char *text)
{
    struct rn_augment a;
    CHECK_OK(rn_augment_parse(&a, text));
    return a;
}

/* The planes of width x height that come of a picture; to be looked at until the next call. */
#define LARGEST (3 * 64 * 64)
static uint8_t *applied(const struct rn_augment *a, const uint8_t *src, int width, int height, int source_w,
                        int source_h, uint64_t seed, uint32_t epoch, uint32_t index)
{
    static uint8_t dst[LARGEST + 1];
    const size_t bytes = 3 * (size_t)width * (size_t)height;
    const size_t room = rn_augment_scratch(a, width, height, source_w, source_h);
    uint8_t *scratch = rn_alloc(room + 64);
    memset(scratch, 0xa5, room + 64);
    memset(dst, 0xee, sizeof dst);
    rn_augment_apply(dst, width, height, src, source_w, source_h, a, seed, epoch, index, scratch);
    int beyond = dst[bytes] != 0xee;
    for (size_t i = 0; i < 64; i++) beyond += scratch[room + i] != 0xa5;
    CHECK(beyond == 0);
    rn_free(scratch);
    return dst;
}

/* What the rules say, pixel by pixel. */
static void slow_augment(uint8_t *dst, const uint8_t *src, const struct rn_augment *a,
                         uint64_t seed, uint32_t epoch, uint32_t index)
{
    struct rn_random r = rn_random(seed, RN_RANDOM_AUGMENT, epoch, index);
    int p = a->crop_padding, dy = 0, dx = 0;
    if (p) dy = (int)rn_random_below(&r, (uint32_t)(2 * p + 1)) - p;
    if (p) dx = (int)rn_random_below(&r, (uint32_t)(2 * p + 1)) - p;
    bool mirror = a->flip && rn_random_word(&r) >> 63;
    if (a->flip == ALTERNATING) { /* the first epoch's, and its opposite in every other */
        struct rn_random first = rn_random(seed, RN_RANDOM_AUGMENT, 0, index);
        for (int i = 0; p && i < 2; i++) rn_random_below(&first, 2);
        mirror = (rn_random_word(&first) >> 63) != epoch % 2;
    }
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                int sy = y + dy, sx = (mirror ? W - 1 - x : x) + dx;
                for (int i = 0; a->reflect && i < 2 * p; i++) {
                    sy = sy < 0 ? -sy : sy >= H ? 2 * H - 2 - sy : sy;
                    sx = sx < 0 ? -sx : sx >= W ? 2 * W - 2 - sx : sx;
                }
                bool in = sy >= 0 && sy < H && sx >= 0 && sx < W;
                *dst++ = in ? src[(c * H + sy) * W + sx] : 0;
            }
}

static void test_augment_images(void)
{
    static const char *const lists[] = {
        "none", "flip", "crop:1", "crop:4,flip", "flip,crop:9", /* 9: more than the image has */
        "altflip", "crop:2,altflip", "altflip,crop:2:reflect", "crop:9:reflect,flip",
    };
    uint8_t src[IMAGE], want[IMAGE];
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i + 1);
    int changed = 0, mirrored = 0;
    for (size_t k = 0; k < RN_COUNT(lists); k++)
        for (uint32_t i = 0; i < 400; i++) {
            struct rn_augment a = list(lists[k]);
            uint8_t *got = applied(&a, src, W, H, W, H, 5, i / 20, i);
            slow_augment(want, src, &a, 5, i / 20, i);
            CHECK_MSG(memcmp(got, want, IMAGE) == 0, "list %zu, image %" PRIu32, k, i);
            if (k == 0) CHECK(memcmp(got, src, IMAGE) == 0);
            if (k == 1) mirrored += got[0] == W;
            if (k == 3) changed += memcmp(got, src, IMAGE) != 0;
        }
    CHECK(mirrored > 150 && mirrored < 250);
    CHECK(changed > 380);
}

/* A29: another seed, epoch or image, another cut. */
static void test_augment_key(void)
{
    struct rn_augment a = list("crop:4,flip");
    uint8_t src[IMAGE], one[IMAGE];
    int same[3] = { 0 };
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i + 1);
    for (uint32_t i = 0; i < 100; i++) {
        memcpy(one, applied(&a, src, W, H, W, H, 1, 2, i), IMAGE);
        for (int k = 0; k < 3; k++)
            same[k] += !memcmp(one, applied(&a, src, W, H, W, H, 1 + !k, 2 + (k == 1), i + (k == 2)), IMAGE);
    }
    CHECK(same[0] < 10 && same[1] < 10 && same[2] < 10);
}

/* altflip: in the first epoch as flip, then both sides in turn, whatever the crop. */
static void test_alternating_flip(void)
{
    const struct rn_augment flip = list("crop:4:reflect,flip"), alternating = list("crop:4:reflect,altflip");
    const struct rn_augment bare = list("altflip");
    uint8_t src[IMAGE], one[IMAGE], other[IMAGE];
    int mirrored = 0;
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i + 1);
    for (uint32_t i = 0; i < 200; i++) {
        memcpy(one, applied(&flip, src, W, H, W, H, 5, 0, i), IMAGE);
        memcpy(other, applied(&alternating, src, W, H, W, H, 5, 0, i), IMAGE);
        CHECK(!memcmp(one, other, IMAGE));
        for (uint32_t epoch = 0; epoch < 6; epoch++) {
            memcpy(one, applied(&bare, src, W, H, W, H, 5, epoch, i), IMAGE);
            memcpy(other, applied(&bare, src, W, H, W, H, 5, epoch + 1, i), IMAGE);
            CHECK((one[0] == W) != (other[0] == W));
            mirrored += one[0] == W;
        }
    }
    CHECK(mirrored == 600);
}

/* A row of 1 2 3 4 5 moved by two: its ends are mirrored at the outermost pixel, not repeated. */
static void test_reflection(void)
{
    const struct rn_augment a = list("crop:2:reflect");
    static const uint8_t want[5][W] = { { 3, 2, 1, 2, 3 }, { 2, 1, 2, 3, 4 }, { 1, 2, 3, 4, 5 },
                                        { 2, 3, 4, 5, 4 }, { 3, 4, 5, 4, 3 } };
    uint8_t src[IMAGE];
    int seen[5] = { 0 };
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i % W + 1);
    for (uint32_t i = 0; i < 200; i++) {
        struct rn_random r = rn_random(5, RN_RANDOM_AUGMENT, 3, i);
        rn_random_below(&r, 5);
        uint32_t dx = rn_random_below(&r, 5);
        CHECK(!memcmp(applied(&a, src, W, H, W, H, 5, 3, i), want[dx], W));
        seen[dx]++;
    }
    for (int i = 0; i < 5; i++) CHECK(seen[i] > 10);
    const uint8_t dot[3] = { 10, 20, 30 }; /* a single pixel is its own reflection */
    const uint8_t *grown = applied(&a, dot, 3, 3, 1, 1, 5, 3, 0);
    for (int i = 0; i < 27; i++) CHECK(grown[i] == dot[i / 9]);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_augment_lists),    RN_TEST_ROW(test_augment_numbers), RN_TEST_ROW(test_augment_images),
        RN_TEST_ROW(test_augment_key),      RN_TEST_ROW(test_alternating_flip), RN_TEST_ROW(test_reflection),
    };
    return rn_test_main("test_data_augment", rows, RN_COUNT(rows), argc, argv);
}
