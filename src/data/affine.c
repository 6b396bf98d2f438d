/*
 * affine.c - pictures turned, moved, scaled and sheared.
 *
 * Every pixel of the result asks where its middle comes from, (a x + b y + c, d x + e y + f), and takes the
 * pixel there, or the mean of the four around it.
 *
 * The matrix is the one of torchvision's RandomAffine; with no shift, scale or shear, and the other sense of
 * turning, it is that of Pillow's Image.rotate, so of RandomRotation.  Its sines and cosines are those of
 * base/math.h, the same on every machine: a, b, d and e are within 2e-15 of what Python computes with the C
 * library's (tests/peers/check_pixels.py measures it), c and f within that times the picture's size.  For a
 * given matrix the pixels are those of Pillow's Image.transform(AFFINE), which finds the nearest ones in
 * 16.16 fixed point where that holds the corners.
 */
#include "data/image.h"

#include "base/math.h"

#include <math.h>
#include <string.h>

#define FIXED_ONE 65536.0   /* 16 bits after the point */
#define FIXED_LIMIT 32768.0 /* and 16 before it, one of them the sign */

/* -- matrices ---------------------------------------------------------------------------------- */

static double cosine(double degrees)
{
    return rn_cospi(degrees / 180.0);
}

static double sine(double degrees)
{
    return rn_sinpi(degrees / 180.0);
}

struct rn_affine rn_affine_inverse(double degrees, double dx, double dy, double scale, double shear_x,
                                   double shear_y, int width, int height)
{
    const double tangent = sine(shear_x) / cosine(shear_x), squeeze = cosine(shear_y);
    const double along = cosine(degrees - shear_y), across = sine(degrees - shear_y);
    const double centre_x = width * 0.5, centre_y = height * 0.5;
    struct rn_affine m;
    m.a = (-across * tangent / squeeze + cosine(degrees)) / scale;
    m.b = (along * tangent / squeeze + sine(degrees)) / scale;
    m.d = (-across / squeeze) / scale;
    m.e = (along / squeeze) / scale;
    m.c = m.a * (-centre_x - dx) + m.b * (-centre_y - dy) + centre_x;
    m.f = m.d * (-centre_x - dx) + m.e * (-centre_y - dy) + centre_y;
    return m;
}

/* -- pixels ------------------------------------------------------------------------------------ */

struct picture { const uint8_t *pixels; int width, height; };

/* Whether the point that a corner comes from fits 16.16 numbers. */
static bool fits(const struct rn_affine *m, int x, int y)
{
    return fabs(x * m->a + y * m->b + m->c) < FIXED_LIMIT && fabs(x * m->d + y * m->e + m->f) < FIXED_LIMIT;
}

static int64_t fixed(double x)
{
    return (int64_t)floor(x * FIXED_ONE + 0.5);
}

/* x / 2^16, rounded down */
static int64_t whole(int64_t x)
{
    return x >= 0 ? x >> 16 : -((-x + 65535) >> 16);
}

/* Copies pixel (x, y) of the source's planes to *dst and the planes after it, if there is one. */
static void copy_pixel(uint8_t *dst, const struct picture *src, int64_t x, int64_t y)
{
    const size_t plane = (size_t)src->width * (size_t)src->height;
    if (x < 0 || x >= src->width || y < 0 || y >= src->height) return;
    const uint8_t *from = src->pixels + y * src->width + x;
    for (size_t c = 0; c < 3; c++) dst[c * plane] = from[c * plane];
}

static void nearest_fixed(uint8_t *dst, const struct picture *src, const struct rn_affine *m)
{
    const int64_t a = fixed(m->a), b = fixed(m->b), d = fixed(m->d), e = fixed(m->e);
    int64_t row_x = fixed(m->c + m->a * 0.5 + m->b * 0.5), row_y = fixed(m->f + m->d * 0.5 + m->e * 0.5);
    for (int y = 0; y < src->height; y++, row_x += b, row_y += e) {
        int64_t from_x = row_x, from_y = row_y;
        for (int x = 0; x < src->width; x++, from_x += a, from_y += d)
            copy_pixel(dst++, src, whole(from_x), whole(from_y));
    }
}

/* The same in double, for pure scaling and for points far off. */
static void nearest_double(uint8_t *dst, const struct picture *src, const struct rn_affine *m)
{
    double row_x = m->c + m->b * 0.5 + m->a * 0.5, row_y = m->f + m->e * 0.5 + m->d * 0.5;
    for (int y = 0; y < src->height; y++, row_x += m->b, row_y += m->e) {
        double from_x = row_x, from_y = row_y;
        for (int x = 0; x < src->width; x++, dst++, from_x += m->a, from_y += m->d)
            if (from_x >= 0 && from_x < src->width && from_y >= 0 && from_y < src->height)
                copy_pixel(dst, src, (int64_t)from_x, (int64_t)from_y);
    }
}

/* The mean of the four pixels around (x, y), a point of the picture; its edge stands for what is beyond. */
static void mean_pixel(uint8_t *dst, const struct picture *src, double x, double y)
{
    const size_t plane = (size_t)src->width * (size_t)src->height;
    const int left = (int)floor(x - 0.5), top = (int)floor(y - 0.5);
    const double right_share = x - 0.5 - left, bottom_share = y - 0.5 - top;
    const int x0 = RN_MAX(left, 0), x1 = RN_MIN(left + 1, src->width - 1);
    const int y0 = RN_MAX(top, 0), y1 = RN_MIN(top + 1, src->height - 1);
    const uint8_t *above = src->pixels + (ptrdiff_t)y0 * src->width;
    const uint8_t *below = src->pixels + (ptrdiff_t)y1 * src->width;
    for (size_t c = 0; c < 3; c++, above += plane, below += plane) {
        double first = above[x0] + (above[x1] - above[x0]) * right_share;
        double second = below[x0] + (below[x1] - below[x0]) * right_share;
        dst[c * plane] = (uint8_t)(first + (second - first) * bottom_share);
    }
}

static void bilinear(uint8_t *dst, const struct picture *src, const struct rn_affine *m)
{
    for (int y = 0; y < src->height; y++)
        for (int x = 0; x < src->width; x++, dst++) {
            double from_x = m->a * (x + 0.5) + m->b * (y + 0.5) + m->c;
            double from_y = m->d * (x + 0.5) + m->e * (y + 0.5) + m->f;
            if (from_x >= 0 && from_x < src->width && from_y >= 0 && from_y < src->height)
                mean_pixel(dst, src, from_x, from_y);
        }
}

void rn_affine_image(uint8_t *dst, const uint8_t *src, int width, int height, const struct rn_affine *m,
                     enum rn_filter filter, const uint8_t fill[3])
{
    const struct picture picture = { src, width, height };
    const size_t plane = (size_t)width * (size_t)height;
    const bool scaling = m->b == 0 && m->d == 0;
    for (size_t c = 0; c < 3; c++) memset(dst + c * plane, fill[c], plane);
    if (filter == RN_BILINEAR)
        bilinear(dst, &picture, m);
    else if (!scaling && fits(m, 0, 0) && fits(m, width, height) && fits(m, 0, height) && fits(m, width, 0))
        nearest_fixed(dst, &picture, m);
    else
        nearest_double(dst, &picture, m);
}
