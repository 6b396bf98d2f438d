/*
 * png_write.c - an image as a PNG file, by zlib alone: 8-bit RGB, one IDAT.
 *
 * Every row has filter Sub (the difference to the pixel on the left), and the level is fixed, so that equal
 * images are equal files wherever zlib is the same.
 */
#include "base/mem.h"
#include "data/image.h"

#include <string.h>
#include <zlib.h>

#define LEVEL 6
#define FRAME 12 /* of a chunk: length, name, checksum */
#define FRONT (8 + FRAME + 13)

struct work {
    z_stream z;
    uint8_t *row, *out;
    size_t room;
};

static void *allocate(void *unused, unsigned count, unsigned size)
{
    (void)unused;
    return rn_alloc_array(count, size);
}

static void release(void *unused, void *p)
{
    (void)unused;
    rn_free(p);
}

static void put32(uint8_t *p, size_t value)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Writes length, name and checksum around the `bytes` that stand at p + 8. */
static size_t frame(uint8_t *p, const char *name, size_t bytes)
{
    put32(p, bytes);
    memcpy(p + 4, name, 4);
    put32(p + 8 + bytes, crc32(0, p + 4, (uInt)(bytes + 4)));
    return bytes + FRAME;
}

static void put_front(uint8_t *p, int width, int height)
{
    memcpy(p, "\x89PNG\r\n\x1a\n", 8);
    memcpy(p + 8 + 8 + 8, "\x08\2\0\0\0", 5); /* 8 bits, RGB, deflate, five filters, no interlacing */
    put32(p + 8 + 8, (size_t)width);
    put32(p + 8 + 8 + 4, (size_t)height);
    frame(p + 8, "IHDR", 13);
}

static void filter(uint8_t *row, const uint8_t *planes, size_t plane, int width)
{
    *row++ = 1;
    for (size_t c = 0; c < 3; c++)
        for (int x = 0, before = 0; x < width; before = planes[c * plane + (size_t)x++])
            row[3 * (size_t)x + c] = (uint8_t)(planes[c * plane + (size_t)x] - before);
}

/* Deflates all rows behind the front; the room is what zlib's bound asks for. */
static rn_status pack(struct work *w, const uint8_t *planes, int width, int height)
{
    const size_t row = 3 * (size_t)width + 1, plane = (size_t)width * (size_t)height;
    for (int y = 0; y < height; y++) {
        filter(w->row, planes + (size_t)y * (size_t)width, plane, width);
        w->z.next_in = w->row;
        w->z.avail_in = (uInt)row;
        int want = y == height - 1 ? Z_STREAM_END : Z_OK;
        if (deflate(&w->z, want == Z_OK ? Z_NO_FLUSH : Z_FINISH) != want || w->z.avail_in)
            return rn_fail(RN_EFAIL, "zlib cannot pack row %d of a picture", y);
    }
    return RN_OK;
}

rn_status rn_png_encode(uint8_t **bytes, size_t *size, const uint8_t *planes, int width, int height)
{
    *bytes = NULL;
    *size = 0;
    if (width < 1 || height < 1 || (int64_t)width * height > RN_IMAGE_MAX_PIXELS)
        return rn_fail(RN_EUSAGE, "a PNG of %d x %d pixels: 1 ... %jd are written", width, height,
                       (intmax_t)RN_IMAGE_MAX_PIXELS);
    const size_t row = 3 * (size_t)width + 1;
    struct work w = { .z = { .zalloc = allocate, .zfree = release } };
    rn_status status = RN_ENOMEM;
    if (deflateInit(&w.z, LEVEL) != Z_OK) return rn_fail(RN_ENOMEM, "out of memory for zlib");
    w.room = deflateBound(&w.z, (uLong)(row * (size_t)height));
    w.row = rn_alloc(row);
    w.out = rn_alloc(FRONT + FRAME + w.room + FRAME);
    if (w.row && w.out) {
        put_front(w.out, width, height);
        w.z.next_out = w.out + FRONT + 8;
        w.z.avail_out = (uInt)w.room;
        status = pack(&w, planes, width, height);
    }
    const size_t packed = w.z.total_out;
    deflateEnd(&w.z);
    rn_free(w.row);
    if (status) {
        rn_free(w.out);
        return status;
    }
    *size = FRONT + frame(w.out + FRONT, "IDAT", packed);
    *size += frame(w.out + *size, "IEND", 0);
    *bytes = w.out;
    return RN_OK;
}
