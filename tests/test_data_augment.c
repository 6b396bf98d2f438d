/*
 * test_data_augment.c - lists of augmentations, and what they do to images: compared pixel by pixel
 * with the rules, as functions of seed, epoch and image.
 */
#include "tests/test.h"

#include "base/random.h"
#include "data/data.h"

/* -- lists ------------------------------------------------------------------------------------- */
#define NEVER RN_FLIP_NEVER
#define RANDOM RN_FLIP_RANDOM
#define ALTERNATING RN_FLIP_ALTERNATING

static void check_list(const char *list, rn_status want, int padding, enum rn_flip flip,
                       const char *says)
{
    struct rn_augment a = { 77, true, RANDOM };
    rn_error_clear();
    rn_status got = rn_augment_parse(&a, list);
    CHECK_MSG(got == want && strstr(rn_error(), says), "'%s': status %d, said \"%s\"", list, got,
              rn_error());
    CHECK(a.crop_padding == padding && a.flip == flip);
    CHECK(a.reflect == (strstr(list, "reflect") && want == RN_OK));
}

static void test_augment_lists(void)
{
    check_list("none", RN_OK, 0, NEVER, "");
    check_list("crop:4,flip", RN_OK, 4, RANDOM, "");
    check_list("flip,crop:64", RN_OK, 64, RANDOM, "");
    check_list("flip", RN_OK, 0, RANDOM, "");
    check_list("crop:2:reflect,altflip", RN_OK, 2, ALTERNATING, "");
    check_list("crop:2:wrap", RN_EUSAGE, 0, NEVER, "zeros, or reflect");
    check_list("crop:2:reflect:3", RN_EUSAGE, 0, NEVER, "zeros, or reflect");
    check_list("flip,altflip", RN_EUSAGE, 0, NEVER, "twice");
    check_list("altflip:2", RN_EUSAGE, 0, NEVER, "altflip takes no argument");
    check_list("", RN_EUSAGE, 0, NEVER, "empty");
    check_list("flip,", RN_EUSAGE, 0, NEVER, "empty");
    check_list("crop", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("crop:0", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("flip,crop:65", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("crop:4.5", RN_EUSAGE, 0, NEVER, "1 to 64");
    check_list("crop:4,crop:4", RN_EUSAGE, 0, NEVER, "twice");
    check_list("flip,flip", RN_EUSAGE, 0, NEVER, "twice");
    check_list("flip:1", RN_EUSAGE, 0, NEVER, "takes no argument");
    check_list("flp", RN_EUSAGE, 0, NEVER, "did you mean 'flip'?");
    check_list("none,flip", RN_EUSAGE, 0, NEVER, "alone");
    check_list("jitter:0.2", RN_EUSAGE, 0, NEVER, "not in this version");
    check_list("erase", RN_EUSAGE, 0, NEVER, "not in this version");
}

/* -- images ------------------------------------------------------------------------------------ */
#define C 3
#define H 7
#define W 5
#define IMAGE (C * H * W)

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
    static const struct rn_augment lists[] = {
        { 0, false, NEVER }, { 0, false, RANDOM }, { 1, false, NEVER }, { 4, false, RANDOM },
        { 9, false, RANDOM }, /* 9: more than the image has */
        { 0, false, ALTERNATING }, { 2, false, ALTERNATING }, { 2, true, ALTERNATING }, { 9, true, RANDOM },
    };
    uint8_t src[IMAGE], got[IMAGE], want[IMAGE];
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i + 1);
    int changed = 0, mirrored = 0;
    for (size_t k = 0; k < RN_COUNT(lists); k++)
        for (uint32_t i = 0; i < 400; i++) {
            memset(got, 0xee, sizeof got);
            rn_augment_image(got, src, C, H, W, &lists[k], 5, i / 20, i);
            slow_augment(want, src, &lists[k], 5, i / 20, i);
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
    struct rn_augment a = { 4, false, RANDOM };
    uint8_t src[IMAGE], one[IMAGE], other[IMAGE];
    int same[3] = { 0 };
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i + 1);
    for (uint32_t i = 0; i < 100; i++) {
        rn_augment_image(one, src, C, H, W, &a, 1, 2, i);
        for (int k = 0; k < 3; k++) {
            rn_augment_image(other, src, C, H, W, &a, 1 + (k == 0), 2 + (k == 1), i + (k == 2));
            same[k] += memcmp(one, other, IMAGE) == 0;
        }
    }
    CHECK(same[0] < 10 && same[1] < 10 && same[2] < 10);
}

/* altflip: in the first epoch as flip, then both sides in turn, whatever the crop. */
static void test_alternating_flip(void)
{
    const struct rn_augment flip = { 4, true, RANDOM }, alternating = { 4, true, ALTERNATING };
    const struct rn_augment bare = { 0, false, ALTERNATING };
    uint8_t src[IMAGE], one[IMAGE], other[IMAGE];
    int mirrored = 0;
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i + 1);
    for (uint32_t i = 0; i < 200; i++) {
        rn_augment_image(one, src, C, H, W, &flip, 5, 0, i);
        rn_augment_image(other, src, C, H, W, &alternating, 5, 0, i);
        CHECK(!memcmp(one, other, IMAGE));
        for (uint32_t epoch = 0; epoch < 6; epoch++) {
            rn_augment_image(one, src, C, H, W, &bare, 5, epoch, i);
            rn_augment_image(other, src, C, H, W, &bare, 5, epoch + 1, i);
            CHECK((one[0] == W) != (other[0] == W));
            mirrored += one[0] == W;
        }
    }
    CHECK(mirrored == 600);
}

/* A row of 1 2 3 4 5 moved by two: its ends are mirrored at the outermost pixel, not repeated. */
static void test_reflection(void)
{
    const struct rn_augment a = { 2, true, NEVER };
    static const uint8_t want[5][W] = { { 3, 2, 1, 2, 3 }, { 2, 1, 2, 3, 4 }, { 1, 2, 3, 4, 5 },
                                        { 2, 3, 4, 5, 4 }, { 3, 4, 5, 4, 3 } };
    uint8_t src[IMAGE], got[IMAGE];
    int seen[5] = { 0 };
    for (int i = 0; i < IMAGE; i++) src[i] = (uint8_t)(i % W + 1);
    for (uint32_t i = 0; i < 200; i++) {
        struct rn_random r = rn_random(5, RN_RANDOM_AUGMENT, 3, i);
        rn_random_below(&r, 5);
        uint32_t dx = rn_random_below(&r, 5);
        rn_augment_image(got, src, C, H, W, &a, 5, 3, i);
        CHECK(!memcmp(got, want[dx], W));
        seen[dx]++;
    }
    for (int i = 0; i < 5; i++) CHECK(seen[i] > 10);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_augment_lists), RN_TEST_ROW(test_augment_images), RN_TEST_ROW(test_augment_key),
        RN_TEST_ROW(test_alternating_flip), RN_TEST_ROW(test_reflection),
    };
    return rn_test_main("test_data_augment", rows, RN_COUNT(rows), argc, argv);
}
