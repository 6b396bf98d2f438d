/*
 * test_affine.c - geometry: matrices by hand, pictures turned by quarters, and CRC-32s of what Pillow 13
 * makes of the same pictures with the same matrices (tests/peers/check_pixels.py compares many more with it).
 */
#include "tests/test_picture.h"

#define PIXELS (3 * 64 * 64)
static uint8_t src[PIXELS], dst[PIXELS + 1];
static const uint8_t fill[3] = { 9, 77, 200 };

static void move(int width, int height, const struct rn_affine *m, enum rn_filter filter)
{
    const size_t bytes = 3 * (size_t)width * (size_t)height;
    make_picture(src, width, height);
    memset(dst, 0xee, sizeof dst);
    rn_affine_image(dst, src, width, height, m, filter, fill);
    CHECK(dst[bytes] == 0xee);
}

static void test_pillow(void)
{
    static const struct { int width, height; struct rn_affine m; uint32_t want[2]; } cases[] = {
        { 32, 32, { 0.8, 0.6, -6.25, -0.6, 0.8, 12.5 }, { 0xd5e852b3, 0x3a27e90b } },
        { 23, 17, { 1.2, -0.3, 1.5, 0.4, 0.9, -3.75 }, { 0xd3ecd188, 0xf503f563 } },
        { 23, 17, { 0.5, 0, 3.25, 0, 2, -5.5 }, { 0x50c52ff2, 0x4047cb86 } }, /* scaling only */
        { 16, 16, { 1, 0, 3, 0, 1, -2 }, { 0xcba8f1da, 0xcba8f1da } },        /* whole pixels */
        { 20, 12, { 2000.5, 1, -5000, 0.5, 0.75, 1 }, { 0xd117d3c5, 0x3df0e94c } },       /* corners beyond 16.16 */
        { 19, 31, { -1, 0, 19, 0, -1, 31 }, { 0x3adc2114, 0x3adc2114 } },
        { 40, 40, { 1, 0.001, 0, 0, 1, 0 }, { 0x7e6cf22b, 0x4f910a52 } },
    };
    for (size_t i = 0; i < RN_COUNT(cases); i++)
        for (int filter = 0; filter < 2; filter++) {
            move(cases[i].width, cases[i].height, &cases[i].m, filter ? RN_BILINEAR : RN_NEAREST);
            uint32_t got = picture_crc(dst, cases[i].width, cases[i].height);
            CHECK_MSG(got == cases[i].want[filter], "case %zu, filter %d: 0x%08" PRIx32, i, filter, got);
        }
}

/* Clockwise by quarters, pixel for pixel, with both filters. */
static void test_quarters(void)
{
    const int n = 24;
    for (int filter = 0; filter < 2; filter++)
        for (int quarter = 0; quarter < 4; quarter++) {
            const struct rn_affine m = rn_affine_inverse(90 * quarter, 0, 0, 1, 0, 0, n, n);
            int wrong = 0;
            move(n, n, &m, filter ? RN_BILINEAR : RN_NEAREST);
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < n; y++)
                    for (int x = 0; x < n; x++) {
                        const int from_x[4] = { x, y, n - 1 - x, n - 1 - y };
                        const int from_y[4] = { y, n - 1 - x, n - 1 - y, x };
                        wrong += dst[(c * n + y) * n + x] !=
                                 src[(c * n + from_y[quarter]) * n + from_x[quarter]];
                    }
            CHECK_MSG(wrong == 0, "filter %d, %d quarters: %d pixels wrong", filter, quarter, wrong);
        }
}

/* Whole pixels to the right and down, and the fill where nothing comes from. */
static void test_shift(void)
{
    const struct rn_affine m = rn_affine_inverse(0, 3, 2, 1, 0, 0, 10, 8);
    int wrong = 0;
    move(10, 8, &m, RN_NEAREST);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 10; x++)
                wrong += dst[(c * 8 + y) * 10 + x] !=
                         (x >= 3 && y >= 2 ? src[(c * 8 + y - 2) * 10 + x - 3] : fill[c]);
    CHECK(wrong == 0);
}

static bool near(double x, double y)
{
    return fabs(x - y) <= 1e-13;
}

/* The inverse of shift, turn, scale and shear about the centre, taken apart. */
static void test_matrices(void)
{
    const double turn = 0.5235987755982988, shear = 0.17453292519943295; /* 30 and 10 degrees */
    struct rn_affine m = rn_affine_inverse(30, 0, 0, 1, 0, 0, 40, 20);
    CHECK(near(m.a, cos(turn)) && near(m.b, sin(turn)) && near(m.d, -sin(turn)) && near(m.e, cos(turn)));
    m = rn_affine_inverse(30, 5, -7, 2, 10, 0, 40, 20);
    CHECK(near(m.a * 25 + m.b * 3 + m.c, 20) && near(m.d * 25 + m.e * 3 + m.f, 10)); /* centre to centre */
    CHECK(near(m.a * m.e - m.b * m.d, 0.25)); /* areas four times as large */
    CHECK(near(m.b, (cos(turn) * tan(shear) + sin(turn)) / 2));
    m = rn_affine_inverse(0, 0, 0, 1, 0, 10, 40, 20);
    CHECK(near(m.d, tan(shear)) && near(m.a, 1) && near(m.b, 0));
    m = rn_affine_inverse(0, 0, 0, 1, 0, 0, 41, 23);
    CHECK(m.a == 1 && m.b == 0 && m.c == 0 && m.d == 0 && m.e == 1 && m.f == 0);
}

/* Between pixels, and half a pixel from the edge, where the outermost pixels stand alone. */
static void test_bilinear_by_hand(void)
{
    const struct rn_affine half = { 1, 0, 0.5, 0, 1, 0 };
    uint8_t row[12] = { 0, 100, 30, 255, 0, 100, 30, 255, 0, 100, 30, 255 };
    rn_affine_image(dst, row, 4, 1, &half, RN_BILINEAR, fill);
    CHECK(dst[0] == 50 && dst[1] == 65 && dst[2] == 142); /* cut off, not rounded */
    CHECK(dst[3] == fill[0] && dst[7] == fill[1] && dst[11] == fill[2]); /* from x = 4, which is outside */
    const struct rn_affine little = { 1, 0, -0.25, 0, 1, 0 };
    rn_affine_image(dst, row, 4, 1, &little, RN_BILINEAR, fill);
    CHECK(dst[0] == 0 && dst[1] == 75 && dst[2] == 47 && dst[3] == 198);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_pillow), RN_TEST_ROW(test_quarters), RN_TEST_ROW(test_shift),
        RN_TEST_ROW(test_matrices), RN_TEST_ROW(test_bilinear_by_hand),
    };
    return rn_test_main("test_affine", rows, RN_COUNT(rows), argc, argv);
}
