/*
 * colour.c - brightness, contrast, saturation and hue of 8-bit pictures.
 *
 * The first three mix a picture with a plainer one (black, its mean grey, its grey version) in single
 * precision: plain + factor (picture - plain), cut off to an integer, and to 0 ... 255 where the factor is
 * outside 0 ... 1.  The fourth goes to hue, saturation and value of 8 bits each, turns the hue byte, and
 * comes back, which by itself loses some of the 8 bits.  The definitions are those of Pillow's ImageEnhance,
 * Image.blend and convert("HSV"), which torchvision's transforms call; the bytes are the same.
 */
#include "data/image.h"

#include <math.h>

/* ITU-R 601 luma, as weights of 2^16 */
static int grey_of(int red, int green, int blue)
{
    return (red * 19595 + green * 38470 + blue * 7471 + (1 << 15)) >> 16;
}

static uint8_t blend(int plain, int pixel, float factor)
{
    float mixed = (float)plain + factor * (float)(pixel - plain);
    return (uint8_t)(mixed <= 0.0f ? 0 : mixed >= 255.0f ? 255 : (int)mixed);
}

/* All three planes against the same plain value. */
static void blend_flat(uint8_t *planes, size_t count, int plain, double factor)
{
    uint8_t mixed[256];
    for (int u = 0; u < 256; u++) mixed[u] = blend(plain, u, (float)factor);
    for (size_t i = 0; i < 3 * count; i++) planes[i] = mixed[planes[i]];
}

void rn_adjust_brightness(uint8_t *planes, size_t count, double factor)
{
    blend_flat(planes, count, 0, factor);
}

void rn_adjust_contrast(uint8_t *planes, size_t count, double factor)
{
    const uint8_t *red = planes, *green = planes + count, *blue = planes + 2 * count;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += (uint64_t)grey_of(red[i], green[i], blue[i]);
    blend_flat(planes, count, (int)((2 * sum + count) / (2 * count)), factor); /* rounded, halves upwards */
}

void rn_adjust_saturation(uint8_t *planes, size_t count, double factor)
{
    uint8_t *red = planes, *green = planes + count, *blue = planes + 2 * count;
    for (size_t i = 0; i < count; i++) {
        int grey = grey_of(red[i], green[i], blue[i]);
        red[i] = blend(grey, red[i], (float)factor);
        green[i] = blend(grey, green[i], (float)factor);
        blue[i] = blend(grey, blue[i], (float)factor);
    }
}

struct hsv { uint8_t hue, saturation, value; };

static struct hsv hsv_of(int red, int green, int blue)
{
    int high = RN_MAX(red, RN_MAX(green, blue)), low = RN_MIN(red, RN_MIN(green, blue));
    if (high == low) return (struct hsv){ 0, 0, (uint8_t)high };
    float span = (float)(high - low), saturation = span / (float)high;
    float from_red = (float)(high - red) / span, from_green = (float)(high - green) / span;
    float from_blue = (float)(high - blue) / span, hue; /* hue in sixths, -1 ... 5 */
    if (red == high) hue = from_blue - from_green;
    else if (green == high) hue = (float)(2.0 + (double)from_red - (double)from_blue);
    else hue = (float)(4.0 + (double)from_green - (double)from_red);
    double turns = (double)hue / 6.0 + 1.0;
    hue = (float)(turns < 1.0 ? turns : turns - 1.0);
    return (struct hsv){ (uint8_t)((double)hue * 255.0), (uint8_t)((double)saturation * 255.0),
                         (uint8_t)high };
}

/* The nearest integer, halves upwards; 0 <= x < 256 */
static uint8_t rounded(double x)
{
    int whole = (int)x;
    return (uint8_t)(whole + (x - whole >= 0.5));
}

static void rgb_of(struct hsv c, uint8_t *red, uint8_t *green, uint8_t *blue)
{
    const double sixths = c.hue * 6.0 / 255.0;
    const int sector = (int)sixths;
    const float rest = (float)(sixths - sector), share = (float)(c.saturation / 255.0), part = share * rest;
    const double value = c.value;
    const uint8_t v = c.value, p = rounded(value * (1.0 - (double)share));
    const uint8_t q = rounded(value * (1.0 - (double)part));
    const uint8_t t = rounded(value * (1.0 - (double)share * (1.0 - (double)rest)));
    const uint8_t sectors[6][3] = {
        { v, t, p }, { q, v, p }, { p, v, t }, { p, q, v }, { t, p, v }, { v, p, q }
    };
    const uint8_t *way = sectors[sector % 6];
    *red = way[0];
    *green = way[1];
    *blue = way[2];
}

void rn_adjust_hue(uint8_t *planes, size_t count, double shift)
{
    uint8_t *red = planes, *green = planes + count, *blue = planes + 2 * count;
    const int turn = (int)(shift * 255.0);
    for (size_t i = 0; i < count; i++) {
        struct hsv c = hsv_of(red[i], green[i], blue[i]);
        c.hue = (uint8_t)(c.hue + turn);
        rgb_of(c, &red[i], &green[i], &blue[i]);
    }
}
