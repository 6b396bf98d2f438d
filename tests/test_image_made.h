/* test_image_made.h - PNG files made chunk by chunk, of kinds that nothing else here writes. */
#ifndef RN_TEST_IMAGE_MADE_H
#define RN_TEST_IMAGE_MADE_H

#include "base/random.h"

#include <string.h>
#include <zlib.h>

#define ROOM 100000

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGBA = 6 };

struct file { uint8_t bytes[ROOM]; size_t size; };

static inline void put32(uint8_t *p, size_t value)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void put_chunk(struct file *f, const char *name, const void *data, size_t size)
{
    uint8_t *p = f->bytes + f->size;
    put32(p, size);
    memcpy(p + 4, name, 4);
    if (size) memcpy(p + 8, data, size);
    put32(p + 8 + size, crc32(0, p + 4, (uInt)size + 4));
    f->size += size + 12;
}

static inline void begin(struct file *f, size_t width, size_t height, int depth, int colour, int interlace)
{
    uint8_t header[13] = { [8] = (uint8_t)depth, (uint8_t)colour, 0, 0, (uint8_t)interlace };
    put32(header, width);
    put32(header + 4, height);
    memcpy(f->bytes, "\x89PNG\r\n\x1a\n", 8);
    f->size = 8;
    put_chunk(f, "IHDR", header, sizeof header);
}

/* A picture of random samples: that of pixel (x, y), channel c is sample[(y width + x) channels + c]. */
struct picture { int width, height, depth, colour, channels; uint16_t sample[8000]; uint8_t palette[768]; };

static inline void draw(struct picture *p, int width, int height, int depth, int colour)
{
    static const int channels[7] = { 1, 0, 3, 1, 2, 0, 4 };
    struct rn_random r =
        rn_random(1, RN_RANDOM_TEST, (uint32_t)(colour * 100 + depth), (uint32_t)(width * 100 + height));
    *p = (struct picture){ .width = width, .height = height, .depth = depth, .colour = colour,
                           .channels = channels[colour] };
    for (int i = 0; i < width * height * p->channels; i++)
        p->sample[i] = (uint16_t)rn_random_below(&r, 1u << depth);
    for (int i = 0; i < 768; i++) p->palette[i] = (uint8_t)rn_random_below(&r, 256);
}

/* Appends the rows of every dx-th pixel from x0 and every dy-th row from y0, unfiltered. */
static inline size_t put_rows(uint8_t *out, const struct picture *p, int x0, int y0, int dx, int dy)
{
    size_t n = 0;
    if (x0 >= p->width) return 0;
    for (int y = y0; y < p->height; y += dy) {
        size_t bit = 0;
        out[n++] = 0;
        for (int x = x0; x < p->width; x += dx)
            for (int c = 0; c < p->channels; c++)
                for (int b = p->depth - 1; b >= 0; b--, bit++) {
                    if (bit % 8 == 0) out[n + bit / 8] = 0;
                    int value = p->sample[(y * p->width + x) * p->channels + c] >> b & 1;
                    out[n + bit / 8] |= (uint8_t)(value << (7 - bit % 8));
                }
        n += (bit + 7) / 8;
    }
    return n;
}

/* IDAT, in two chunks. */
static inline void put_pixels(struct file *f, const struct picture *p, bool interlaced)
{
    static const int pass[7][4] = { { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
                                    { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 } };
    static uint8_t raw[ROOM / 2], packed[ROOM / 2];
    size_t n = 0;
    uLongf bytes = sizeof packed;
    if (!interlaced) n = put_rows(raw, p, 0, 0, 1, 1);
    else
        for (int i = 0; i < 7; i++) n += put_rows(raw + n, p, pass[i][0], pass[i][1], pass[i][2], pass[i][3]);
    compress(packed, &bytes, raw, n);
    put_chunk(f, "IDAT", packed, bytes / 2);
    put_chunk(f, "IDAT", packed + bytes / 2, bytes - bytes / 2);
}

static inline void make(struct file *f, const struct picture *p, bool interlaced)
{
    begin(f, (size_t)p->width, (size_t)p->height, p->depth, p->colour, interlaced);
    if (p->colour == PALETTE) put_chunk(f, "PLTE", p->palette, (size_t)3 << p->depth);
    put_pixels(f, p, interlaced);
    put_chunk(f, "IEND", "", 0);
}

#endif /* RN_TEST_IMAGE_MADE_H */
