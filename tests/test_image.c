/*
 * test_image.c - what a file is by its content, EXIF, writing PNG.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_image.h"

#include "base/file.h"
#include "base/random.h"
#include "data/image_codec.h"

#include <sys/stat.h>
#include <unistd.h>

static uint8_t *noise(size_t count, uint32_t index)
{
    struct rn_random r = rn_random(1, RN_RANDOM_TEST, 0, index);
    uint8_t *p = rn_alloc(count);
    for (size_t i = 0; i < count; i++) p[i] = (uint8_t)(rn_random_below(&r, 4) ? i / 7 : rn_random_word(&r));
    return p;
}

/* -- kinds ------------------------------------------------------------------------------------- */

static void test_kinds(void)
{
    static const struct { const char *bytes; size_t size; const char *says; } row[] = {
        { "", 0, "is empty, and no picture" },
        { "\0\0\0\0\0\0\0", 7, "nothing but zero bytes" },
        { "GIF89a\1\0\1\0", 10, "is a GIF, which is not supported" },
        { "RIFF\x1a\0\0\0WEBPVP8 ", 16, "is a WebP, which is not supported" },
        { "RIFF\x1a\0\0\0WAVEfmt ", 16, "is neither JPEG nor PNG: it begins with 52 49 46 46 1a 00 00 00" },
        { "BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2\0\0\0\2\0\0\0", 26, "a BMP" },
        { "II*\0\x08\0\0\0", 8, "a TIFF" },
        { "MM\0*\0\0\0\x08", 8, "a TIFF" },
        { "\0\0\0\x18" "ftypheic\0\0\0\0", 16, "a HEIC" },
        { "\0\0\0\x1c" "ftypavif\0\0\0\0", 16, "an AVIF" },
        { "\0\0\0\x1c" "ftypisom\0\0\0\0", 16, "a video" },
        { "\0\0\0\x0cjP  \r\n\x87\n", 12, "a JPEG 2000" },
        { "\0\0\1\0\1\0\x10\x10", 8, "an icon" },
        { "\0\5\x16\7\0\2\0\0", 8, "AppleDouble" },
        { "P6\n2 2\n255\n", 11, "a PPM" },
        { "\x1f\x8b\x08\0\0\0\0\0", 8, "compressed by gzip" },
        { "PK\3\4\x14\0\0\0", 8, "a zip archive" },
        { "%PDF-1.7\n", 9, "a PDF" },
        { "<!DOCTYPE html><title>404", 25, "is an HTML page, and no picture" },
        { "\xef\xbb\xbf \r\n<HTML>", 12, "an HTML page" },
        { "<svg xmlns='http://www.w3.org/2000/svg'/>", 41, "an SVG" },
        { "<?xml version='1.0'?>", 21, "XML" },
        { "version https://git-lfs.github.com/spec/v1\noid sha256:", 54, "a Git LFS pointer" },
        { "not an image", 12, "is text, and no picture" },
        { "\x89PNG\n\x1a\n", 7, "cut off or was transferred as text" },
        { "\xff\xd8", 2, "it begins with ff d8" },
        { "\x7f" "ELF\2\1\1\0\0\0", 10, "it begins with 7f 45 4c 46 02 01 01 00" },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        CHECK(decode_status((const uint8_t *)row[i].bytes, row[i].size) == RN_EINPUT);
        CHECK(says(row[i].says));
    }
}

/* A name says nothing about the content, and only regular files are read. */
static void test_files(void)
{
    char folder[] = "/tmp/resnet-image-XXXXXX", path[64];
    struct rn_image image;
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/cat.jpg", folder);
    CHECK_OK(rn_file_write(path, "GIF89a\1\0\1\0", 10));
    CHECK(rn_image_read(&image, path) == RN_EINPUT && says("cat.jpg: is a GIF") && !image.pixels);
    CHECK(unlink(path) == 0);
    CHECK(rn_image_read(&image, path) == RN_EINPUT && says("cat.jpg: cannot open"));
    CHECK(rn_image_read(&image, folder) == RN_EINPUT && says("is a folder"));
    CHECK(rn_image_read(&image, "/dev/zero") == RN_EINPUT && says("is a device"));
    if (mkfifo(path, 0600) == 0) CHECK(rn_image_read(&image, path) == RN_EINPUT && says("is a pipe"));
    unlink(path);
    CHECK(decode_status((const uint8_t *)"GIF8", 4) == RN_EINPUT);
    CHECK(rn_image_decode(&image, (const uint8_t *)"GIF8", 4, "\x1b[2J\n.jpg") == RN_EINPUT);
    CHECK(says("\\x1b[2J\\x0a.jpg"));
    rmdir(folder);
}

/* Without a library the message says what to install. */
static void test_libraries(void)
{
    CHECK(*rn_image_libraries());
    if (!strstr(rn_image_libraries(), "libjpeg"))
        CHECK(decode_status((const uint8_t *)"\xff\xd8\xff\xe0", 4) == RN_EINPUT && says("libjpeg-dev of Debian"));
    if (!strstr(rn_image_libraries(), "libpng"))
        CHECK(decode_status((const uint8_t *)"\x89PNG\r\n\x1a\n", 8) == RN_EINPUT && says("libpng-dev of Debian"));
}

/* -- EXIF -------------------------------------------------------------------------------------- */

/* A directory with one other entry and the orientation; returns its length. */
static size_t exif(uint8_t out[64], bool big, int type, uint32_t count, uint32_t value)
{
    const struct { uint32_t value; int bytes; } field[] = {
        { 42, 2 }, { 8, 4 }, { 2, 2 },
        { 0x0100, 2 }, { 3, 2 }, { 1, 4 }, { 640, 2 }, { 0, 2 },
        { 0x0112, 2 }, { (uint32_t)type, 2 }, { count, 4 }, { value, type == 1 ? 1 : type == 4 ? 4 : 2 },
    };
    size_t n = 2;
    memset(out, 0, 64);
    memset(out, big ? 'M' : 'I', 2);
    for (size_t i = 0; i < RN_COUNT(field); i++)
        for (int b = 0; b < field[i].bytes; b++)
            out[n++] = (uint8_t)(field[i].value >> 8 * (big ? field[i].bytes - 1 - b : b));
    return 2 + 2 + 4 + 2 + 2 * 12 + 4;
}

/* rn_exif_orientation of a block of just that size. */
static int orientation(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    int value = rn_exif_orientation(copy, size);
    free(copy);
    return value;
}

static void test_exif(void)
{
    uint8_t e[64];
    for (int big = 0; big < 2; big++) {
        for (uint32_t value = 0; value < 300; value++) {
            int want = value >= 1 && value <= 8 ? (int)value : 1;
            CHECK(orientation(e, exif(e, big, 3, 1, value)) == want);
            CHECK(orientation(e, exif(e, big, 4, 1, value)) == want);
            if (value < 256) CHECK(orientation(e, exif(e, big, 1, 1, value)) == want);
        }
        CHECK(orientation(e, exif(e, big, 3, 2, 6)) == 1);
        CHECK(orientation(e, exif(e, big, 3, 0, 6)) == 1);
        CHECK(orientation(e, exif(e, big, 2, 1, 6)) == 1);
        size_t size = exif(e, big, 3, 1, 6), entries_end = 8 + 2 + 24;
        for (size_t cut = 0; cut <= size; cut++) CHECK(orientation(e, cut) == (cut < entries_end ? 1 : 6));
        for (size_t i = 0; i < size; i++)
            for (int flip = 1; flip < 256; flip++) {
                exif(e, big, 3, 1, 6);
                e[i] ^= (uint8_t)flip;
                int value = orientation(e, size);
                CHECK(value >= 1 && value <= 8);
            }
    }
}

/* -- writing PNG ------------------------------------------------------------------------------- */

static size_t get32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* The planes in a file with the chunks IHDR, IDAT and IEND and filter Sub, read by zlib alone. */
static bool holds(const uint8_t *file, size_t size, const uint8_t *planes, int width, int height)
{
    const size_t row = 3 * (size_t)width + 1, plane = (size_t)width * (size_t)height, packed = get32(file + 33);
    uLongf bytes = row * (size_t)height;
    uint8_t *raw = rn_alloc(bytes);
    bool same = size == 8 + 25 + 12 + packed + 12 && !memcmp(file, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16) &&
                get32(file + 16) == (size_t)width && get32(file + 20) == (size_t)height &&
                !memcmp(file + 37, "IDAT", 4) &&
                !memcmp(file + size - 12, "\0\0\0\0IEND\xae\x42\x60\x82", 12) &&
                crc32(0, file + 37, (uInt)packed + 4) == get32(file + 41 + packed) &&
                uncompress(raw, &bytes, file + 41, packed) == Z_OK && bytes == row * (size_t)height;
    for (size_t y = 0; same && y < (size_t)height; y++) {
        same = raw[y * row] == 1;
        for (size_t i = 0; same && i < row - 1; i++) {
            uint8_t *p = raw + y * row + 1 + i;
            if (i >= 3) *p = (uint8_t)(*p + p[-3]);
            same = *p == planes[i % 3 * plane + y * (size_t)width + i / 3];
        }
    }
    rn_free(raw);
    return same;
}

static void test_png_encode(void)
{
    static const int sizes[][2] = { { 1, 1 }, { 1, 50 }, { 50, 1 }, { 61, 43 }, { 300, 200 } };
    const bool reads = have("libpng");
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        const int w = sizes[i][0], h = sizes[i][1];
        uint8_t *planes = noise((size_t)(3 * w * h), (uint32_t)i), *file, *again;
        size_t size, size_again;
        struct rn_image image = { 0 };
        CHECK_OK(rn_png_encode(&file, &size, planes, w, h));
        CHECK(holds(file, size, planes, w, h));
        CHECK_OK(rn_png_encode(&again, &size_again, planes, w, h));
        CHECK(size == size_again && !memcmp(file, again, size));
        if (reads) {
            CHECK_OK(decode(&image, file, size));
            CHECK(image.width == w && image.height == h && !memcmp(image.pixels, planes, (size_t)(3 * w * h)));
        }
        rn_image_free(&image);
        rn_free(file);
        rn_free(again);
        rn_free(planes);
    }
    uint8_t *file, pixel[3] = { 1, 2, 3 };
    size_t size;
    CHECK(rn_png_encode(&file, &size, pixel, 0, 1) == RN_EUSAGE && !file && says("0 x 1"));
    CHECK(rn_png_encode(&file, &size, pixel, 1, -1) == RN_EUSAGE && !file);
    CHECK(rn_png_encode(&file, &size, pixel, 65536, 65536) == RN_EUSAGE && !file && says("65536 x 65536"));
}

/* Wherever memory runs out, the call says so and leaves nothing behind. */
static void test_no_memory(void)
{
    uint8_t *planes = noise(3 * 20 * 10, 9), *file = NULL;
    size_t size;
    rn_status status = RN_ENOMEM;
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; status && n < 100; n++) {
        rn_alloc_fail_at(n, false);
        status = rn_png_encode(&file, &size, planes, 20, 10);
        CHECK(!status || (status == RN_ENOMEM && !file && rn_alloc_live() == live));
    }
    rn_alloc_fail_at(0, false);
    CHECK(!status && file);
    struct rn_image image = { 0 };
    if (have("libpng")) {
        live = rn_alloc_live();
        status = RN_ENOMEM;
        for (uint64_t n = 1; status && n < 100; n++) {
            rn_alloc_fail_at(n, false);
            status = rn_image_decode(&image, file, size, "x.png");
            CHECK(!status || (status == RN_ENOMEM && !image.pixels && rn_alloc_live() == live));
        }
        rn_alloc_fail_at(0, false);
        CHECK(!status && image.pixels);
    }
    rn_image_free(&image);
    rn_free(file);
    rn_free(planes);
}

static const struct rn_test_row rows[] = {
    RN_TEST_ROW(test_kinds), RN_TEST_ROW(test_files),      RN_TEST_ROW(test_libraries),
    RN_TEST_ROW(test_exif),  RN_TEST_ROW(test_png_encode), RN_TEST_ROW(test_no_memory),
};

int main(int argc, char **argv)
{
    return rn_test_main("test_image", rows, RN_COUNT(rows), argc, argv);
}
