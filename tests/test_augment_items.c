/*
 * test_augment_items.c - the items of augmentation beyond crop and flip: what they draw, over many images,
 * and what a list of them makes of a picture, put together here from the single operations.
 */
#include "tests/test_picture.h"
#include "tests/test_images.h"

#include "base/mem.h"
#include "data/augment.h"

#define DRAWS 20000

static struct rn_augment list(const char *text)
{
    struct rn_augment a;
    CHECK_OK(rn_augment_parse(&a, text));
    return a;
}

/* -- draws ------------------------------------------------------------------------------------- */

struct spread { double least, most, sum; int count; };

static void note(struct spread *s, double x)
{
    s->least = s->count ? fmin(s->least, x) : x;
    s->most = s->count ? fmax(s->most, x) : x;
    s->sum += x;
    s->count++;
}

/* Uniform over low ... high: nothing outside, something within 1 % of both ends, and the mean in the middle:
 * 1 % of the range is five standard deviations of it for 20,000 draws. */
static void check_uniform(const char *what, const struct spread *s, double low, double high)
{
    const double mean = s->sum / s->count, range = high - low;
    CHECK_MSG(s->least >= low && s->most <= high, "%s: %g ... %g", what, s->least, s->most);
    CHECK_MSG(s->least <= low + 0.01 * range && s->most >= high - 0.01 * range, "%s: only %g ... %g", what,
              s->least, s->most);
    CHECK_MSG(fabs(mean - (low + high) / 2) <= 0.01 * range, "%s: mean %g", what, mean);
}

static struct rn_augment_key key_of(uint32_t i)
{
    return (struct rn_augment_key){ 7, i / 5000, i };
}

static void test_jitter_draws(void)
{
    const struct rn_augment a = list("jitter:0.4:1.5:0.2:0.1");
    struct spread amount[4] = { 0 };
    int orders[256] = { 0 }, different = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const struct rn_augment_key key = key_of(i);
        const struct rn_jitter j = rn_draw_jitter(&a, &key);
        int used = 0, code = 0;
        for (int k = 0; k < 4; k++) {
            note(&amount[k], j.amount[k]);
            used |= 1 << j.order[k];
            code = code * 4 + j.order[k];
        }
        CHECK(used == 15);
        orders[code]++;
    }
    check_uniform("brightness", &amount[0], 0.6, 1.4);
    check_uniform("contrast", &amount[1], 0, 2.5); /* not below 0 */
    check_uniform("saturation", &amount[2], 0.8, 1.2);
    check_uniform("hue", &amount[3], -0.1, 0.1);
    for (int i = 0; i < 256; i++) {
        different += orders[i] > 0;
        CHECK(!orders[i] || (orders[i] > 690 && orders[i] < 980)); /* 833, five deviations */
    }
    CHECK(different == 24);
}

static void test_motion_draws(void)
{
    const struct rn_augment a = list("rotate:20,affine:30:0.1:0.3:0.8:1.25:15"), still = list("affine:5");
    struct spread turn = { 0 }, m[5] = { 0 };
    for (uint32_t i = 0; i < DRAWS; i++) {
        const struct rn_augment_key key = key_of(i);
        const struct rn_motion d = rn_draw_motion(&a, &key, 1000, 2000);
        const struct rn_motion s = rn_draw_motion(&still, &key, 100, 100);
        note(&turn, rn_draw_rotation(&a, &key));
        note(&m[0], d.degrees);
        note(&m[1], d.dx);
        note(&m[2], d.dy);
        note(&m[3], d.scale);
        note(&m[4], d.shear);
        CHECK(d.dx == floor(d.dx) && d.dy == floor(d.dy));
        CHECK(s.dx == 0 && s.dy == 0 && s.scale == 1 && s.shear == 0 && fabs(s.degrees) <= 5);
        CHECK(fabs(s.degrees * 6 - d.degrees) < 1e-12); /* the same word, whatever else there is */
    }
    check_uniform("rotate", &turn, -20, 20);
    check_uniform("angle", &m[0], -30, 30);
    check_uniform("shift along x", &m[1], -100, 100);
    check_uniform("shift along y", &m[2], -600, 600);
    check_uniform("scale", &m[3], 0.8, 1.25);
    check_uniform("shear", &m[4], -15, 15);
}

/* Share of the area and logarithm of the ratio are uniform where every choice fits; edges are whole pixels. */
static void test_region_draws(void)
{
    const struct rn_augment a = list("rrc:0.1:0.5:0.5:2"), wide = list("rrc");
    struct spread share = { 0 }, ratio = { 0 }, left = { 0 };
    double largest = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const struct rn_augment_key key = key_of(i);
        const struct rn_region r = rn_draw_region(&a, &key, 4000, 4000);
        const struct rn_region s = rn_draw_region(&wide, &key, 50, 37);
        CHECK(r.left >= 0 && r.top >= 0 && r.left + r.width <= 4000 && r.top + r.height <= 4000);
        CHECK(s.left >= 0 && s.top >= 0 && s.width > 0 && s.height > 0);
        CHECK(s.left + s.width <= 50 && s.top + s.height <= 37);
        note(&share, (double)r.width * r.height / 16e6);
        note(&ratio, log((double)r.width / r.height) / log(2.0));
        if (r.width < 4000) note(&left, (double)r.left / (4000 - r.width));
        largest = fmax(largest, s.width * s.height / (50.0 * 37));
    }
    check_uniform("share of the area", &share, 0.0998, 0.5002);
    check_uniform("ratio", &ratio, -1.001, 1.001);
    check_uniform("place", &left, 0, 1);
    CHECK(largest > 0.97);
}

/* Pictures too narrow for any ratio in the range: the largest part in the middle that has one. */
static void test_region_fallback(void)
{
    const struct rn_augment a = list("rrc");
    for (uint32_t i = 0; i < 100; i++) {
        const struct rn_augment_key key = key_of(i);
        const struct rn_region flat = rn_draw_region(&a, &key, 1000, 10);
        const struct rn_region tall = rn_draw_region(&a, &key, 10, 1000);
        const struct rn_region dot = rn_draw_region(&a, &key, 1, 1);
        CHECK(flat.width == 13 && flat.height == 10 && flat.left == 493 && flat.top == 0);
        CHECK(tall.width == 10 && tall.height == 13 && tall.left == 0 && tall.top == 493);
        CHECK(dot.width == 1 && dot.height == 1 && dot.left == 0 && dot.top == 0);
    }
}

static void test_erasure_draws(void)
{
    const struct rn_augment a = list("erase:0.25:0.02:0.33:0.5:2");
    const struct rn_augment never = list("erase:0"), all = list("erase:1"), whole = list("erase:1:1:1:1:1");
    const struct rn_augment tall = list("erase:1:0.1:0.1:2:3");
    struct spread share = { 0 }, ratio = { 0 };
    int erased = 0, always = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        const struct rn_augment_key key = key_of(i);
        const struct rn_region r = rn_draw_erasure(&a, &key, 2240, 2240);
        CHECK(rn_draw_erasure(&never, &key, 224, 224).width == 0);
        CHECK(rn_draw_erasure(&whole, &key, 224, 224).width == 0); /* something is always left */
        const struct rn_region high = rn_draw_erasure(&tall, &key, 2240, 2240);
        CHECK(high.height > 1.99 * high.width && high.height < 3.01 * high.width); /* ratios are height / width */
        always += rn_draw_erasure(&all, &key, 32, 32).width > 0;
        if (!r.width) continue;
        CHECK(r.left >= 0 && r.top >= 0 && r.left + r.width <= 2240 && r.top + r.height <= 2240);
        note(&share, (double)r.width * r.height / (2240.0 * 2240));
        note(&ratio, log((double)r.width / r.height) / log(2.0));
        erased++;
    }
    CHECK_MSG(abs(erased - DRAWS / 4) < 310, "%d erased", erased); /* five deviations */
    CHECK(always == DRAWS);
    CHECK(share.least >= 0.0199 && share.least < 0.025 && share.most <= 0.3301 && share.most > 0.32);
    CHECK(fabs(share.sum / erased - 0.175) < 0.008 && fabs(ratio.sum / erased) < 0.05);
}

/* -- pictures ---------------------------------------------------------------------------------- */
#define SOURCE_W 45
#define SOURCE_H 39
#define SIDE 24
#define BYTES (3 * SIDE * SIDE)

static uint8_t source[3 * SOURCE_W * SOURCE_H], result[BYTES + 64];

static void apply(const struct rn_augment *a, uint64_t seed, uint32_t epoch, uint32_t index)
{
    const size_t room = rn_augment_scratch(a, SIDE, SIDE, SOURCE_W, SOURCE_H);
    uint8_t *scratch = rn_alloc(room + 64), was[3 * SOURCE_W * SOURCE_H];
    int beyond = 0;
    make_picture(source, SOURCE_W, SOURCE_H);
    memcpy(was, source, sizeof was);
    memset(scratch, 0xa5, room + 64);
    memset(result, 0xee, sizeof result);
    rn_augment_apply(result, SIDE, SIDE, source, SOURCE_W, SOURCE_H, a, seed, epoch, index, scratch);
    for (size_t i = 0; i < 64; i++) beyond += (scratch[room + i] != 0xa5) + (result[BYTES + i] != 0xee);
    CHECK(beyond == 0 && !memcmp(was, source, sizeof was));
    rn_free(scratch);
}

/* Every item on its own changes most pictures, differently for other seeds, epochs and images, and the same
 * way every time. */
static void test_each_item(void)
{
    static const char *const lists[] = {
        "crop", "crop:4", "crop:4:reflect", "flip", "vflip", "rrc", "jitter:0.5", "jitter:0:0.5",
        "jitter:0:0:0.9", "jitter:0:0:0:0.3", "rotate:30", "rotate:30:bilinear", "affine:30",
        "affine:0:0.3:0.3", "affine:0:0:0:0.5:0.9", "affine:0:0:0:1:1:20:bilinear",
    };
    const struct rn_augment none = list("none");
    uint8_t plain[BYTES], first[BYTES];
    apply(&none, 1, 0, 0);
    memcpy(plain, result, BYTES);
    for (size_t k = 0; k < RN_COUNT(lists); k++) {
        const struct rn_augment a = list(lists[k]);
        int changed = 0, other[3] = { 0 };
        for (uint32_t i = 0; i < 60; i++) {
            apply(&a, 1, 2, i);
            memcpy(first, result, BYTES);
            changed += memcmp(first, plain, BYTES) != 0;
            for (int d = 0; d < 3; d++) {
                apply(&a, 1 + !d, 2 + (d == 1), i + 1000 * (d == 2));
                other[d] += memcmp(first, result, BYTES) != 0;
            }
            apply(&a, 1, 2, i);
            CHECK(!memcmp(first, result, BYTES));
        }
        const int least = strstr(lists[k], "flip") ? 15 : 50; /* of a flip, half are as before */
        CHECK_MSG(changed >= least && other[0] >= least && other[1] >= least && other[2] >= least,
                  "%s: %d changed; %d, %d, %d differ", lists[k], changed, other[0], other[1], other[2]);
    }
}

/* Nothing drawn: the middle, beginning at (45 - 24) / 2 = 10.5 and (39 - 24) / 2 = 7.5, to even: 10 and 8. */
static void test_middle(void)
{
    const struct rn_augment none = list("none");
    int wrong = 0;
    apply(&none, 1, 0, 0);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                wrong += result[(c * SIDE + y) * SIDE + x] !=
                         source[(c * SOURCE_H + y + 8) * SOURCE_W + x + 10];
    CHECK(wrong == 0);
    /* What a picture lacks is black, half of it on either side. */
    const uint8_t two[6] = { 1, 2, 3, 4, 5, 6 };
    uint8_t got[3 * 4 * 3];
    static const uint8_t want[12] = { 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0 };
    uint8_t *scratch = rn_alloc(rn_augment_scratch(&none, 4, 3, 2, 1));
    rn_augment_apply(got, 4, 3, two, 2, 1, &none, 1, 0, 0, scratch);
    CHECK(!memcmp(got, want, sizeof want));
    rn_free(scratch);
}

/* RandomCrop of a larger picture: each place as often, found by looking for it. */
static void test_crop_places(void)
{
    const struct rn_augment a = list("crop");
    struct spread left = { 0 }, top = { 0 };
    for (uint32_t i = 0; i < 3000; i++) {
        const struct rn_augment_key key = { 1, 0, i };
        const struct rn_place p = rn_draw_place(&a, &key, SIDE, SIDE, SOURCE_W, SOURCE_H);
        note(&left, p.left);
        note(&top, p.top);
        if (i % 100) continue;
        apply(&a, 1, 0, i);
        int wrong = 0;
        for (int y = 0; y < SIDE; y++)
            wrong += memcmp(result + y * SIDE, source + (y + p.top) * SOURCE_W + p.left, SIDE) != 0;
        CHECK(wrong == 0);
    }
    CHECK(left.least == 0 && left.most == SOURCE_W - SIDE && top.least == 0 && top.most == SOURCE_H - SIDE);
    CHECK(fabs(left.sum / left.count - (SOURCE_W - SIDE) / 2.0) < 0.6);
}

/* A list is its items one after the other, each with the draws it has alone. */
static void test_composition(void)
{
    const struct rn_augment a =
        list("rrc,vflip,jitter:0.4:0.4:0.4:0.1,rotate:15:bilinear,affine:10:0.1:0.1:0.8:1.2:5,flip,erase");
    static void (*const adjust[4])(uint8_t *, size_t, double) = { rn_adjust_brightness, rn_adjust_contrast,
                                                                  rn_adjust_saturation, rn_adjust_hue };
    static const uint8_t black[3];
    void *scratch = rn_alloc(rn_resize_scratch(SOURCE_W, SOURCE_H, SIDE, SIDE));
    for (uint32_t i = 0; i < 200; i++) {
        const struct rn_augment_key key = { 3, 1, i };
        const struct rn_region part = rn_draw_region(&a, &key, SOURCE_W, SOURCE_H);
        const struct rn_jitter j = rn_draw_jitter(&a, &key);
        const struct rn_motion m = rn_draw_motion(&a, &key, SIDE, SIDE);
        const bool over = rn_draw_vflip(&key), mirror = rn_draw_mirror(&a, &key);
        uint8_t one[BYTES], two[BYTES];
        apply(&a, 3, 1, i);
        rn_resize_region(one, SIDE, SIDE, source, SOURCE_W, SOURCE_H, &part, scratch);
        for (int r = 0; r < 3 * SIDE; r++)
            memcpy(two + r * SIDE, one + (over ? r / SIDE * SIDE + SIDE - 1 - r % SIDE : r) * SIDE, SIDE);
        for (int k = 0; k < 4; k++) adjust[j.order[k]](two, SIDE * SIDE, j.amount[j.order[k]]);
        struct rn_affine matrix = rn_affine_inverse(-rn_draw_rotation(&a, &key), 0, 0, 1, 0, 0, SIDE, SIDE);
        rn_affine_image(one, two, SIDE, SIDE, &matrix, RN_BILINEAR, black);
        matrix = rn_affine_inverse(m.degrees, m.dx, m.dy, m.scale, m.shear, 0, SIDE, SIDE);
        rn_affine_image(two, one, SIDE, SIDE, &matrix, RN_NEAREST, black);
        for (int r = 0; r < 3 * SIDE; r++)
            for (int x = 0; x < SIDE; x++) one[r * SIDE + x] = two[r * SIDE + (mirror ? SIDE - 1 - x : x)];
        CHECK_MSG(!memcmp(one, result, BYTES), "image %" PRIu32, i);
    }
    rn_free(scratch);
}

/* Items before the picture is cut work on all of it. */
static void test_before_the_cut(void)
{
    const struct rn_augment turned = list("vflip,rotate:10,crop"), cut = list("vflip,rotate:10");
    const struct rn_augment_key key = { 1, 0, 4 };
    static uint8_t whole[3 * SOURCE_W * SOURCE_H];
    uint8_t *scratch = rn_alloc(rn_augment_scratch(&cut, SOURCE_W, SOURCE_H, SOURCE_W, SOURCE_H));
    const struct rn_place p = rn_draw_place(&turned, &key, SIDE, SIDE, SOURCE_W, SOURCE_H);
    int wrong = 0;
    apply(&turned, 1, 0, 4);
    rn_augment_apply(whole, SOURCE_W, SOURCE_H, source, SOURCE_W, SOURCE_H, &cut, 1, 0, 4, scratch);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            wrong += memcmp(result + (c * SIDE + y) * SIDE,
                            whole + (c * SOURCE_H + y + p.top) * SOURCE_W + p.left, SIDE) != 0;
    CHECK(wrong == 0);
    rn_free(scratch);
}

/* Zeros in the part that is drawn, in every plane, and nowhere else. */
static void test_erasing(void)
{
    const struct rn_augment a = list("erase:0.5"), none = list("flip");
    const struct rn_image_shape shape = { 1, 3, 20, 30, 0, { 0 }, { 1, 1, 1 } };
    uint8_t picture[3 * 20 * 30];
    float image[3 * 20 * 30];
    memset(picture, 255, sizeof picture);
    for (uint32_t i = 0; i < 200; i++) {
        const struct rn_augment_key key = { 1, 0, i };
        const struct rn_region r = rn_draw_erasure(&a, &key, 30, 20);
        struct rn_image_move move = { 0 };
        int wrong = 0;
        rn_augment_erase(&move, 20, 30, &none, 1, 0, i);
        CHECK(move.erase_height == 0 && move.erase_width == 0);
        rn_augment_erase(&move, 20, 30, &a, 1, 0, i);
        images_floats(image, &(struct rn_images){ picture, &move, shape });
        for (int k = 0; k < 3 * 20 * 30; k++) {
            const int x = k % 30, y = k / 30 % 20;
            const bool in = x >= r.left && x < r.left + r.width && y >= r.top && y < r.top + r.height;
            wrong += image[k] != (in ? 0.0f : 1.0f);
        }
        CHECK(wrong == 0);
    }
}

/* -- the loader -------------------------------------------------------------------------------- */
#define IMAGES 37

/* CRC-32 of all batches of epoch 2, prepared by that many threads. */
static uint32_t epoch_crc(const struct rn_augment *a, int workers)
{
    static uint8_t pixels[IMAGES * BYTES];
    static int32_t labels[IMAGES];
    static const struct rn_dataset set = { .name = "made up", .channels = 3, .height = SIDE, .width = SIDE,
                                           .classes = 1, .train = { .count = IMAGES, .pixels = pixels,
                                                                    .labels = labels } };
    const struct rn_loader_config c = { .set = &set, .split = &set.train, .batch = 5, .shuffle = true,
                                        .augment = *a, .std = { 1, 1, 1 }, .seed = 9, .workers = workers };
    struct rn_loader *l = NULL;
    struct rn_batch b;
    uint32_t crc = 0;
    make_picture(pixels, SIDE * IMAGES, SIDE);
    CHECK_OK(rn_loader_create(&l, &c));
    if (!l) return 0;
    CHECK_OK(rn_loader_begin(l, 2, 0));
    while (rn_loader_next(l, &b) == RN_OK && b.n) {
        size_t count;
        float *floats = images_alloc(&count, &b.images);
        crc = (uint32_t)crc32(crc, (const void *)floats, (uInt)(count * sizeof *floats));
        rn_free(floats);
    }
    rn_loader_free(l);
    return crc;
}

/* Threads change nothing; every item reaches the batches. */
static void test_loader(void)
{
    static const char *const lists[] = { "none", "flip", "vflip", "crop:3", "rrc", "jitter:0.4", "rotate:20",
                                         "affine:20", "erase",
                                         "crop:2,flip,rrc,jitter:0.4:0.4:0.4:0.1,rotate:5,affine:5,vflip,erase" };
    uint32_t crc[RN_COUNT(lists)];
    for (size_t k = 0; k < RN_COUNT(lists); k++) {
        const struct rn_augment a = list(lists[k]);
        crc[k] = epoch_crc(&a, 0);
        for (int workers = 1; workers < 6; workers += 2) CHECK(epoch_crc(&a, workers) == crc[k]);
        for (size_t i = 0; i < k; i++) CHECK_MSG(crc[i] != crc[k], "%s is as %s", lists[k], lists[i]);
    }
    const struct rn_augment bare = list("crop"); /* there is but one place in images of that size */
    CHECK(epoch_crc(&bare, 0) == crc[0]);
}

/* Bits that must not change: CRC-32s of results, as the first version had them. */
static void test_golden(void)
{
    static const struct { const char *list; uint32_t want; } cases[] = {
        { "crop:4,flip", 0x3c77bfe0 },
        { "rrc,flip", 0x968e09e4 },
        { "jitter:0.4:0.4:0.4:0.1", 0x0ddde03f },
        { "rotate:15", 0x2020a44c },
        { "affine:10:0.1:0.1:0.9:1.1:5:bilinear", 0xb29df466 },
        { "vflip,crop", 0x7a0d72d7 },
    };
    for (size_t k = 0; k < RN_COUNT(cases); k++) {
        const struct rn_augment a = list(cases[k].list);
        uint32_t crc = 0;
        for (uint32_t i = 0; i < 20; i++) {
            apply(&a, 42, i / 10, i);
            crc = (uint32_t)crc32(crc, result, BYTES);
        }
        CHECK_MSG(crc == cases[k].want, "%s: 0x%08" PRIx32, cases[k].list, crc);
    }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_jitter_draws),  RN_TEST_ROW(test_motion_draws),   RN_TEST_ROW(test_region_draws),
        RN_TEST_ROW(test_region_fallback), RN_TEST_ROW(test_erasure_draws), RN_TEST_ROW(test_each_item),
        RN_TEST_ROW(test_middle),        RN_TEST_ROW(test_crop_places),    RN_TEST_ROW(test_composition),
        RN_TEST_ROW(test_before_the_cut), RN_TEST_ROW(test_erasing),       RN_TEST_ROW(test_loader),
        RN_TEST_ROW(test_golden),
    };
    return rn_test_main("test_augment_items", rows, RN_COUNT(rows), argc, argv);
}
