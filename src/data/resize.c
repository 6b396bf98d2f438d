/*
 * resize.c - resampling with a triangle filter that widens when pictures shrink, in fixed point.
 *
 * A pixel of the result is a weighted mean of the source's pixels around its place, along one axis first and
 * then along the other, with bytes between the two.  The weights, computed in double and divided by their
 * sum, are rounded to 22 bits after the point; a sum of them with bytes is then exact in 32 bits whatever the
 * order, so the result depends on nothing but the arguments.
 *
 * The definition is that of Pillow's Image.resize, whose bytes these are: the box is in float, a pass that
 * would change nothing is left out, and x comes first, except where the height shrinks by more than twice
 * what the width does (so since Pillow 13; those before it always begin with x, which can differ by 1 then).
 */
#include "data/image.h"

#include <math.h>
#include <string.h>

#define WEIGHT_BITS 22 /* 32, less 8 of the pixel and 2 for sums that overshoot */
#define HALF (1 << (WEIGHT_BITS - 1))
#define ALIGN(bytes) (((bytes) + 63) / 64 * 64)

/* How one axis is resampled: result i is the sum over j < taps[i] of source[first[i] + j] times
 * weight[i * stride + j]. */
struct axis { int size, stride, *first, *taps; int32_t *weight; };

static double support(double scale)
{
    return scale < 1.0 ? 1.0 : scale;
}

/* The most taps of a result. */
static int stride_of(double scale)
{
    return (int)ceil(support(scale)) * 2 + 1;
}

static size_t axis_bytes(int size, int stride)
{
    return 2 * ALIGN((size_t)size * sizeof(int)) + ALIGN((size_t)size * (size_t)stride * sizeof(int32_t));
}

/* Takes the axis' arrays from the scratch and moves it on. */
static void axis_place(struct axis *axis, int size, int stride, unsigned char **scratch)
{
    size_t ints = ALIGN((size_t)size * sizeof(int));
    axis->size = size;
    axis->stride = stride;
    axis->first = (int *)(void *)*scratch;
    axis->taps = (int *)(void *)(*scratch + ints);
    axis->weight = (int32_t *)(void *)(*scratch + 2 * ints);
    *scratch += axis_bytes(size, stride);
}

/* Weights of result i: triangle of half width `width` about `centre`, among the source's pixels. */
static void axis_weigh(struct axis *axis, int i, double centre, double width, int source)
{
    int32_t *weight = axis->weight + (size_t)i * (size_t)axis->stride;
    int from = RN_MAX(0, (int)(centre - width + 0.5)), to = RN_MIN(source, (int)(centre + width + 0.5));
    double sum = 0, inverse = 1.0 / width;
    for (int j = from; j < to; j++) {
        double distance = fabs((j - centre + 0.5) * inverse);
        if (distance < 1.0) sum += 1.0 - distance;
    }
    for (int j = from; j < to; j++) {
        double distance = fabs((j - centre + 0.5) * inverse), share = distance < 1.0 ? 1.0 - distance : 0.0;
        if (sum != 0) share /= sum;
        weight[j - from] = (int32_t)(0.5 + share * (1 << WEIGHT_BITS));
    }
    axis->first[i] = from;
    axis->taps[i] = to - from;
}

/* Resampling of low ... high, out of `source` pixels, to `size`. */
static void axis_make(struct axis *axis, int size, int source, float low, float high, unsigned char **scratch)
{
    double scale = (double)(high - low) / size, width = support(scale);
    axis_place(axis, size, stride_of(scale), scratch);
    for (int i = 0; i < size; i++) axis_weigh(axis, i, low + (i + 0.5) * scale, width, source);
}

static uint8_t clip(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resample_row(uint8_t *dst, const uint8_t *src, const struct axis *x)
{
    for (int i = 0; i < x->size; i++) {
        const uint8_t *from = src + x->first[i];
        const int32_t *weight = x->weight + (size_t)i * (size_t)x->stride;
        int32_t sum = HALF;
        for (int j = 0; j < x->taps[i]; j++) sum += from[j] * weight[j];
        dst[i] = clip(sum);
    }
}

/* `rows` rows of x->size pixels, from number `first` on; src_row: from one row of the source to the next. */
static void resample_x(uint8_t *dst, const uint8_t *src, size_t src_row, const struct axis *x, int first,
                       int rows)
{
    for (int r = first; r < first + rows; r++)
        resample_row(dst + (size_t)r * (size_t)x->size, src + (size_t)r * src_row, x);
}

/* A row times a weight, to the sums.  The weight is taken apart into products of 16 bits, which every
 * instruction set has many of at once. */
static void add_row(int32_t *sums, const uint8_t *row, int32_t weight, int width)
{
    const int16_t high = (int16_t)(weight >> 11), low = (int16_t)(weight & 2047);
#pragma omp simd
    for (int k = 0; k < width; k++) {
        const int16_t pixel = row[k];
        sums[k] += ((pixel * high) << 11) + pixel * low;
    }
}

/* y->size rows of `width` pixels out of more or fewer; `sums` is scratch of a row. */
static void resample_y(uint8_t *dst, const uint8_t *src, size_t src_row, int width, const struct axis *y,
                       int32_t *sums)
{
    for (int i = 0; i < y->size; i++, dst += width) {
        const int32_t *weight = y->weight + (size_t)i * (size_t)y->stride;
#pragma omp simd
        for (int k = 0; k < width; k++) sums[k] = HALF;
        for (int j = 0; j < y->taps[i]; j++)
            add_row(sums, src + (size_t)(y->first[i] + j) * src_row, weight[j], width);
#pragma omp simd
        for (int k = 0; k < width; k++) dst[k] = clip(sums[k]);
    }
}

static void copy_rows(uint8_t *dst, const uint8_t *src, size_t src_row, int width, int height)
{
    for (int r = 0; r < height; r++, dst += width, src += src_row) memcpy(dst, src, (size_t)width);
}

int rn_middle(int size, int source)
{
    const int over = source - size, half = over / 2;
    return over % 2 ? half + half % 2 : half;
}

size_t rn_resize_scratch(int source_w, int source_h, int width, int height)
{
    size_t x_first = (size_t)width * (size_t)source_h, y_first = (size_t)source_w * (size_t)height;
    return axis_bytes(width, stride_of((double)(float)source_w / width)) +
           axis_bytes(height, stride_of((double)(float)source_h / height)) +
           ALIGN((size_t)RN_MAX(width, source_w) * sizeof(int32_t)) + ALIGN(RN_MAX(x_first, y_first));
}

/* Three planes that stand `plane` bytes apart. */
struct source { const uint8_t *pixels; int width, height; size_t row, plane; };

static void resize(uint8_t *dst, int width, int height, const struct source *s, const struct rn_box *box,
                   unsigned char *space)
{
    const float left = (float)box->left, right = (float)box->right;
    const float top = (float)box->top, bottom = (float)box->bottom;
    const bool along_x = width != s->width || left != 0 || right != (float)width;
    const bool along_y = height != s->height || top != 0 || bottom != (float)height;
    const bool y_first = height < s->height && s->height - height > 2 * (s->width - width);
    const uint8_t *src = s->pixels;
    struct axis x, y;
    axis_make(&x, width, s->width, left, right, &space);
    axis_make(&y, height, s->height, top, bottom, &space);
    int32_t *sums = (int32_t *)(void *)space;
    uint8_t *between = space + ALIGN((size_t)RN_MAX(width, s->width) * sizeof(int32_t));
    const int first = y.first[0], rows = y.first[height - 1] + y.taps[height - 1] - first; /* that are read */
    for (int c = 0; c < 3; c++, dst += (size_t)width * (size_t)height, src += s->plane) {
        if (!along_x && !along_y) {
            copy_rows(dst, src, s->row, width, height);
        } else if (!along_y) {
            resample_x(dst, src, s->row, &x, 0, height);
        } else if (!along_x) {
            resample_y(dst, src, s->row, width, &y, sums);
        } else if (y_first) {
            resample_y(between, src, s->row, s->width, &y, sums);
            resample_x(dst, between, (size_t)s->width, &x, 0, height);
        } else {
            resample_x(between, src, s->row, &x, first, rows);
            resample_y(dst, between, (size_t)width, width, &y, sums);
        }
    }
}

void rn_resize(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
               const struct rn_box *box, void *scratch)
{
    const size_t row = (size_t)source_w;
    const struct source source = { src, source_w, source_h, row, row * (size_t)source_h };
    resize(dst, width, height, &source, box, scratch);
}

void rn_resize_region(uint8_t *dst, int width, int height, const uint8_t *src, int source_w, int source_h,
                      const struct rn_region *region, void *scratch)
{
    const size_t row = (size_t)source_w;
    const uint8_t *corner = src + (size_t)region->top * row + region->left;
    const struct source part = { corner, region->width, region->height, row, row * (size_t)source_h };
    const struct rn_box whole = { 0, 0, region->width, region->height };
    resize(dst, width, height, &part, &whole, scratch);
}
