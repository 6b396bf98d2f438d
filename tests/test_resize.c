/*
 * test_resize.c - resampling: by hand, against the definition in doubles, and against CRC-32s of what Pillow
 * 13 makes of the same pictures (tests/peers/check_pixels.py compares many more with it).
 */
#include "tests/test_picture.h"

#include "base/mem.h"

#define PIXELS (3 * 512 * 400)
static uint8_t src[PIXELS], dst[PIXELS];

static void resize(int width, int height, int source_w, int source_h, const struct rn_box *box)
{
    const size_t room = rn_resize_scratch(source_w, source_h, width, height);
    const size_t bytes = 3 * (size_t)width * (size_t)height;
    unsigned char *scratch = rn_alloc(room + 64);
    int beyond = 0;
    memset(scratch, 0xa5, room + 64); /* nothing is taken to be zero, and nothing behind is touched */
    memset(dst, 0xee, bytes + 64);
    rn_resize(dst, width, height, src, source_w, source_h, box, scratch);
    for (size_t i = 0; i < 64; i++) beyond += (scratch[room + i] != 0xa5) + (dst[bytes + i] != 0xee);
    CHECK(beyond == 0);
    rn_free(scratch);
}

static void test_pillow(void)
{
    static const struct {
        int source_w, source_h, width, height;
        struct rn_box box;
        uint32_t want;
    } cases[] = {
        { 37, 53, 16, 24, { 0, 0, 37, 53 }, 0x6569e353 },
        { 16, 16, 40, 23, { 0, 0, 16, 16 }, 0x3a928965 },
        { 64, 48, 64, 20, { 0, 0, 64, 48 }, 0x36959c2c },   /* y alone */
        { 48, 64, 20, 64, { 0, 0, 48, 64 }, 0x9e00632b },   /* x alone */
        { 30, 90, 28, 30, { 0, 0, 30, 90 }, 0x3ec0c267 },   /* y first */
        { 30, 90, 60, 30, { 0, 0, 30, 90 }, 0x0b7a0db0 },   /* y first */
        { 40, 90, 30, 65, { 0, 0, 40, 90 }, 0xf29597a4 }, /* y first: 25 > 2 10 */
        { 40, 90, 30, 70, { 0, 0, 40, 90 }, 0x5b690a64 }, /* x first: 20 is not more */
        { 40, 90, 45, 89, { 0, 0, 40, 90 }, 0x3e45ae32 },
        { 400, 300, 250, 250, { 100.1, 50.3, 133.3, 90.7 }, 0xd36ce18f }, /* a box that float rounds */
        { 90, 30, 30, 30, { 0, 0, 90, 30 }, 0x2771ee91 },
        { 50, 40, 24, 24, { 3, 7, 41, 33 }, 0x463f2ad2 },
        { 50, 40, 24, 24, { 3.25, 7.5, 41.75, 33.125 }, 0xa8b8e2eb },
        { 50, 40, 24, 24, { 10.5, 10.5, 11, 10.75 }, 0x8111901f },
        { 500, 375, 32, 32, { 0, 0, 500, 375 }, 0x90a31872 },
        { 1, 1, 5, 4, { 0, 0, 1, 1 }, 0xf356cefa },
        { 7, 1, 1, 3, { 0, 0, 7, 1 }, 0xc5c1a49d },
        { 40, 40, 24, 16, { 8, 0, 32, 40 }, 0x757c9b7f },   /* the width is the box's: x is only moved */
        { 24, 40, 24, 40, { 0, 0, 24, 40 }, 0x5b512ad6 },   /* a copy */
    };
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        make_picture(src, cases[i].source_w, cases[i].source_h);
        resize(cases[i].width, cases[i].height, cases[i].source_w, cases[i].source_h, &cases[i].box);
        uint32_t got = picture_crc(dst, cases[i].width, cases[i].height);
        CHECK_MSG(got == cases[i].want, "case %zu: 0x%08" PRIx32, i, got);
    }
}

/* One row of four pixels: to twice as many, where each lies a quarter off a pixel, and to half, where a
 * triangle four wide covers three pixels at the edge with weights 3, 3, 1. */
static void test_by_hand(void)
{
    static const uint8_t row[4] = { 10, 50, 130, 250 };
    static const uint8_t doubled[8] = { 10, 20, 40, 70, 110, 160, 220, 250 };
    const struct rn_box box = { 0, 0, 4, 1 };
    for (int c = 0; c < 3; c++) memcpy(src + 4 * c, row, 4);
    resize(8, 1, 4, 1, &box);
    for (int c = 0; c < 3; c++) CHECK(!memcmp(dst + 8 * c, doubled, 8));
    resize(2, 1, 4, 1, &box);
    CHECK(dst[0] == (3 * 10 + 3 * 50 + 130 + 3) / 7 && dst[1] == (50 + 3 * 130 + 3 * 250 + 3) / 7);
    resize(1, 1, 4, 1, &box); /* 5, 7, 7, 5 of a triangle eight wide, whose ends are cut off */
    CHECK(dst[0] == (5 * 10 + 7 * 50 + 7 * 130 + 5 * 250 + 12) / 24);
}

/* Weight of pixel j of a row for a place `centre`, not normalised. */
static double triangle(int j, double centre, double width)
{
    return fmax(0.0, 1.0 - fabs(j + 0.5 - centre) / width);
}

/* A weighted mean in double, both axes at once, is never further off than the roundings of two passes. */
static void test_definition(void)
{
    const int source_w = 29, source_h = 41, width = 13, height = 50;
    const struct rn_box box = { 2, 1.5, 27.5, 40 };
    const double scale_x = (box.right - box.left) / width, scale_y = (box.bottom - box.top) / height;
    double worst = 0;
    make_picture(src, source_w, source_h);
    resize(width, height, source_w, source_h, &box);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                const double middle_x = box.left + (x + 0.5) * scale_x;
                const double middle_y = box.top + (y + 0.5) * scale_y;
                double sum = 0, weights = 0;
                for (int v = 0; v < source_h; v++)
                    for (int u = 0; u < source_w; u++) {
                        double w = triangle(u, middle_x, fmax(scale_x, 1));
                        w *= triangle(v, middle_y, fmax(scale_y, 1));
                        sum += w * src[(c * source_h + v) * source_w + u];
                        weights += w;
                    }
                worst = fmax(worst, fabs(sum / weights - dst[(c * height + y) * width + x]));
            }
    CHECK_MSG(worst <= 1.001, "off by %g", worst);
    CHECK(worst > 0.2); /* or the comparison is not one */
}

/* What is cut out first has no neighbours: as a picture of its own. */
static void test_region(void)
{
    static uint8_t part[3 * 20 * 11], want[3 * 9 * 30];
    const struct rn_region region = { 7, 5, 20, 11 };
    const struct rn_box whole = { 0, 0, 20, 11 };
    void *scratch = rn_alloc(rn_resize_scratch(40, 31, 9, 30));
    make_picture(src, 40, 31);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 11; y++)
            memcpy(part + (c * 11 + y) * 20, src + (c * 31 + 5 + y) * 40 + 7, 20);
    rn_resize(want, 9, 30, part, 20, 11, &whole, scratch);
    rn_resize_region(dst, 9, 30, src, 40, 31, &region, scratch);
    CHECK(!memcmp(dst, want, sizeof want));
    rn_resize_region(dst, 20, 11, src, 40, 31, &region, scratch);
    CHECK(!memcmp(dst, part, sizeof part));
    rn_free(scratch);
}

/* A flat picture stays flat, at every level and scale: weights sum to 1 closely enough. */
static void test_flat(void)
{
    static const int sizes[] = { 1, 2, 3, 7, 31, 64, 200 };
    for (int level = 0; level < 256; level += 15)
        for (size_t i = 0; i < RN_COUNT(sizes); i++)
            for (size_t k = 0; k < RN_COUNT(sizes); k++) {
                const struct rn_box box = { 0, 0, sizes[i], 20 };
                int other = 0;
                memset(src, level, 3 * (size_t)sizes[i] * 20);
                resize(sizes[k], 11, sizes[i], 20, &box);
                for (int n = 0; n < 3 * sizes[k] * 11; n++) other += dst[n] != level;
                CHECK(other == 0);
            }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_pillow), RN_TEST_ROW(test_by_hand), RN_TEST_ROW(test_definition),
        RN_TEST_ROW(test_region), RN_TEST_ROW(test_flat),
    };
    return rn_test_main("test_resize", rows, RN_COUNT(rows), argc, argv);
}
