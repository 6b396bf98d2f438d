/*
 * test_colour.c - brightness, contrast, saturation and hue: by hand, and against CRC-32s of what Pillow 13
 * makes of the same picture (tests/peers/check_pixels.py compares many more with it).
 */
#include "tests/test_picture.h"

#define SIDE 32
#define COUNT ((size_t)SIDE * SIDE)
static uint8_t planes[3 * COUNT];

typedef void adjustment(uint8_t *planes, size_t count, double amount);

static uint32_t adjusted(adjustment *adjust, double amount)
{
    make_picture(planes, SIDE, SIDE);
    adjust(planes, COUNT, amount);
    return picture_crc(planes, SIDE, SIDE);
}

static void test_pillow(void)
{
    static adjustment *const adjust[3] = { rn_adjust_brightness, rn_adjust_contrast, rn_adjust_saturation };
    static const struct { double factor; uint32_t want[3]; } cases[] = {
        { 0.0, { 0x67e6c984, 0x147f3944, 0xac836cde } },  { 0.37, { 0xe1d2041f, 0xa0764f61, 0x96527198 } },
        { 0.9, { 0xc858b3f4, 0x3fa5bf42, 0x0eef2b2e } },  { 1.0, { 0x1745be1e, 0x1745be1e, 0x1745be1e } },
        { 1.1, { 0x872486d0, 0x34395b4d, 0xc5a484ff } },  { 1.73, { 0x5574454e, 0x1ed7da43, 0x1bf0a174 } },
        { 4.0, { 0x83c8cac1, 0xbed53700, 0xfc333aa1 } },
    };
    static const struct { double shift; uint32_t want; } turns[] = {
        { 0.0, 0xc1e06abd }, { 0.5, 0x427e9bf2 },  { -0.5, 0xde115e64 },
        { 0.1, 0xcfad7167 }, { -0.1, 0x0ca6f8c1 }, { 0.333, 0x9b323541 },
    };
    for (size_t i = 0; i < RN_COUNT(cases); i++)
        for (int k = 0; k < 3; k++) CHECK(adjusted(adjust[k], cases[i].factor) == cases[i].want[k]);
    for (size_t i = 0; i < RN_COUNT(turns); i++)
        CHECK(adjusted(rn_adjust_hue, turns[i].shift) == turns[i].want);
}

/* Two pixels, and what they become. */
static void check_two(const char *what, adjustment *adjust, double amount, const uint8_t pixels[6],
                      const uint8_t want[6])
{
    uint8_t got[6];
    memcpy(got, pixels, 6);
    adjust(got, 2, amount);
    CHECK_MSG(!memcmp(got, want, 6), "%s %g: %d %d %d, %d %d %d", what, amount, got[0], got[2], got[4], got[1],
              got[3], got[5]);
}

static void test_by_hand(void)
{
    static const uint8_t two[6] = { 101, 200, 0, 255, 13, 90 }; /* (101, 0, 13) and (200, 255, 90) */
    check_two("brightness", rn_adjust_brightness, 0.5, two, (const uint8_t[6]){ 50, 100, 0, 127, 6, 45 });
    check_two("brightness", rn_adjust_brightness, 1.5, two, (const uint8_t[6]){ 151, 255, 0, 255, 19, 135 });
    /* Greys 0.299 101 + 0.114 13 = 31.7 and 0.299 200 + 0.587 255 + 0.114 90 = 219.7; their mean is 126. */
    check_two("contrast", rn_adjust_contrast, 0, two, (const uint8_t[6]){ 126, 126, 126, 126, 126, 126 });
    check_two("contrast", rn_adjust_contrast, 0.5, two, (const uint8_t[6]){ 113, 163, 63, 190, 69, 108 });
    static const uint8_t greys[6] = { 31, 32, 31, 32, 31, 32 }; /* a mean of 31.5 is 32 */
    check_two("contrast", rn_adjust_contrast, 0, greys, (const uint8_t[6]){ 32, 32, 32, 32, 32, 32 });
    check_two("saturation", rn_adjust_saturation, 0, two, (const uint8_t[6]){ 32, 220, 32, 220, 32, 220 });
    check_two("saturation", rn_adjust_saturation, 2, two, (const uint8_t[6]){ 170, 180, 0, 255, 0, 0 });
    /* A third of a turn takes red to green.  Backwards it is not quite blue, for the byte of the hue wraps at
     * 256 and a turn has 255 steps.  Greys have no hue. */
    static const uint8_t red[6] = { 255, 77, 0, 77, 0, 77 };
    check_two("hue", rn_adjust_hue, 1.0 / 3, red, (const uint8_t[6]){ 0, 77, 255, 77, 0, 77 });
    check_two("hue", rn_adjust_hue, -1.0 / 3, red, (const uint8_t[6]){ 6, 77, 0, 77, 255, 77 });
}

/* 255 steps are a turn: 0.1 of one is 25 of the hue's byte, -0.1 is -25, and both undo each other as far as
 * 8 bits of hue and saturation can say: each of the two ways through them is off by up to 6. */
static void test_hue_turns_back(void)
{
    uint8_t before[3 * COUNT];
    int worst = 0;
    make_picture(planes, SIDE, SIDE);
    memcpy(before, planes, sizeof planes);
    rn_adjust_hue(planes, COUNT, 0.1);
    CHECK(memcmp(before, planes, sizeof planes) != 0);
    rn_adjust_hue(planes, COUNT, -0.1);
    for (size_t i = 0; i < 3 * COUNT; i++) worst = RN_MAX(worst, abs(before[i] - planes[i]));
    CHECK_MSG(worst <= 12, "off by %d", worst);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_pillow), RN_TEST_ROW(test_by_hand),
                                               RN_TEST_ROW(test_hue_turns_back) };
    return rn_test_main("test_colour", rows, RN_COUNT(rows), argc, argv);
}
