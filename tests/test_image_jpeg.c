/*
 * test_image_jpeg.c - JPEG files: the pixels that Pillow has, orientation, damage, limits.
 */
#include "tests/test_image.h"
#include "tests/test_image_jpegs.h"

#define ROOM 40000

static void test_pixels(void)
{
    if (!have("libjpeg-turbo")) return;
    for (size_t i = 0; i < RN_COUNT(jpegs); i++) {
        struct rn_image image;
        CHECK_OK(decode(&image, jpegs[i].bytes, jpegs[i].size));
        CHECK(image.width == jpegs[i].width && image.height == jpegs[i].height);
        CHECK_MSG(pixels_crc(&image) == jpegs[i].crc, "file %zu: pixels %08x", i, (unsigned)pixels_crc(&image));
        rn_image_free(&image);
    }
}

/* The file with a segment APP1 behind its first marker: EXIF with an orientation, and before it what is to
 * be passed over: another APP1 and filling bytes. */
static size_t with_exif(uint8_t *out, const struct jpeg *from, int orientation, bool big)
{
    static const uint8_t front[] = "\xff\xd8\xff\xe1\0\x08http:/\xff\xff\xff\xe1\0\x22" "Exif\0\0";
    static const uint8_t tiff[2][27] = {
        "II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\0\0\0\0\0\0\0\0",
        "MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\0\0\0\0\0\0\0",
    };
    size_t n = sizeof front - 1;
    memcpy(out, front, n);
    memcpy(out + n, tiff[big], 26);
    out[n + 18 + big] = (uint8_t)orientation;
    memcpy(out + n + 26, from->bytes + 2, from->size - 2);
    return n + 26 + from->size - 2;
}

static void test_orientation(void)
{
    static uint8_t file[ROOM];
    for (size_t i = 0; i < RN_COUNT(jpegs); i++) {
        struct rn_image plain, image;
        CHECK_OK(decode(&plain, jpegs[i].bytes, jpegs[i].size));
        for (int value = 0; value < 2 * 10; value++) {
            int orientation = value / 2;
            CHECK_OK(decode(&image, file, with_exif(file, &jpegs[i], orientation, value % 2)));
            CHECK(is_turned(&image, &plain, orientation >= 1 && orientation <= 8 ? orientation : 1));
            rn_image_free(&image);
        }
        rn_image_free(&plain);
    }
}

/* A file that ends early is refused wherever it does. */
static void test_cut(void)
{
    for (size_t i = 0; i < RN_COUNT(jpegs); i++)
        for (size_t size = 0; size < jpegs[i].size; size++)
            CHECK_MSG(decode_status(jpegs[i].bytes, size) == RN_EINPUT, "file %zu, cut after %zu bytes, is read", i,
                      size);
    CHECK(decode_status(jpeg_colour, sizeof jpeg_colour - 1) == RN_EINPUT && says("is cut off"));
    CHECK(decode_status(jpeg_progressive, sizeof jpeg_progressive - 40) == RN_EINPUT && says("is cut off"));
}

/* Any byte may be anything: an image or a refusal, and nothing else. */
static void test_damage(void)
{
    static uint8_t file[ROOM];
    long refused = 0, read = 0;
    for (size_t i = 0; i < RN_COUNT(jpegs); i++)
        for (size_t at = 2; at < jpegs[i].size; at++)
            for (int flip = 0; flip < 4; flip++) {
                static const uint8_t flips[4] = { 0x01, 0x80, 0xff, 0x2a };
                memcpy(file, jpegs[i].bytes, jpegs[i].size);
                file[at] ^= flips[flip];
                rn_status status = decode_status(file, jpegs[i].size);
                CHECK(!status || status == RN_EINPUT);
                *(status ? &refused : &read) += 1;
            }
    CHECK(refused > 1000 && read > 100);
}

/* Where the library would only warn, and guess pixels: an end in the middle of the data. */
static void test_guessed(void)
{
    static uint8_t file[ROOM];
    for (size_t i = 0; i < 2; i++) {
        memcpy(file, jpegs[i].bytes, jpegs[i].size);
        memcpy(file + jpegs[i].size - 20, "\xff\xd9", 2);
        CHECK(decode_status(file, jpegs[i].size) == RN_EINPUT && says("damaged near byte"));
    }
}

/* What has no effect on pixels is passed over: bytes behind the end, and before the last marker, which is
 * needed. */
static void test_surplus(void)
{
    static uint8_t file[ROOM];
    enum { SURPLUS = 100 };
    struct rn_image plain, image;
    CHECK_OK(decode(&plain, jpeg_colour, sizeof jpeg_colour));
    memcpy(file, jpeg_colour, sizeof jpeg_colour);
    CHECK_OK(decode(&image, file, sizeof jpeg_colour + 1000));
    CHECK(is_turned(&image, &plain, 1));
    rn_image_free(&image);
    memset(file + sizeof jpeg_colour - 2, 0x55, SURPLUS);
    memcpy(file + sizeof jpeg_colour - 2 + SURPLUS, "\xff\xd9", 2);
    CHECK_OK(decode(&image, file, sizeof jpeg_colour + SURPLUS));
    CHECK(is_turned(&image, &plain, 1));
    rn_image_free(&image);
    CHECK(decode_status(file, sizeof jpeg_colour + SURPLUS - 1) == RN_EINPUT && says("is cut off"));
    rn_image_free(&plain);
}

/* Where the frame header of a file is. */
static uint8_t *frame_of(uint8_t *file)
{
    uint8_t *p = file + 2;
    while (p[1] != 0xc0 && p[1] != 0xc2) p += 2 + (p[2] << 8 | p[3]);
    return p;
}

/* Sizes are judged before anything is allocated: with no memory at all, the answer is the same. */
static void test_size(void)
{
    static const struct { uint8_t size[4]; const char *says; } row[] = {
        { { 0xff, 0xdc, 0xff, 0xdc }, "65500 x 65500 pixels; at most 67108864" },
        { { 0x40, 0x00, 0x20, 0x00 }, "cannot be in" },
        { { 0x20, 0x01, 0x20, 0x00 }, "8192 x 8193 pixels; at most" },
        { { 0xff, 0xff, 0xff, 0xff }, "65500" },
        { { 0x00, 0x00, 0x00, 0x10 }, "libjpeg" },
        { { 0x00, 0x10, 0x00, 0x00 }, "libjpeg" },
    };
    static uint8_t file[ROOM];
    for (size_t i = 0; i < RN_COUNT(jpegs); i++)
        for (size_t k = 0; k < RN_COUNT(row); k++) {
            memcpy(file, jpegs[i].bytes, jpegs[i].size);
            memcpy(frame_of(file) + 5, row[k].size, 4);
            if (k == 1) frame_of(file)[5] = 0x20; /* 8192 x 8192, which alone would be read */
            rn_alloc_fail_at(1, true);
            CHECK(decode_status(file, jpegs[i].size) == RN_EINPUT);
            rn_alloc_fail_at(0, false);
            CHECK(says(row[k].says));
        }
}

/* The largest picture there may be, as its header alone tells; one row more is refused there, too. */
static void test_header(void)
{
    static uint8_t file[ROOM];
    const size_t size = 8192; /* bytes that so many pixels could be in */
    int width, height;
    CHECK(size <= ROOM && sizeof jpeg_colour <= size);
    memcpy(file, jpeg_colour, sizeof jpeg_colour);
    memcpy(frame_of(file) + 5, "\x20\0\x20\0", 4);
    CHECK_OK(rn_image_size(&width, &height, file, size, "x"));
    CHECK(width == 8192 && height == 8192);
    frame_of(file)[6] = 1;
    CHECK(rn_image_size(&width, &height, file, size, "x") == RN_EINPUT && says("8192 x 8193 pixels; at most"));
    CHECK(!width && !height);
    CHECK(rn_image_size(&width, &height, (const uint8_t *)"GIF89a", 6, "x") == RN_EINPUT && says("is a GIF"));
}

/* The first scan of the grey file, all of DC, may stand there again and again without a complaint of the
 * library's. */
static void test_scans(void)
{
    static uint8_t file[ROOM];
    const uint8_t *first = jpeg_grey + 2, *second;
    while (first[1] != 0xda) first += 2 + (first[2] << 8 | first[3]);
    for (second = first + 2; second[0] != 0xff || second[1] == 0; second++) {}
    const size_t before = (size_t)(second - jpeg_grey), scan = (size_t)(second - first);
    struct rn_image plain, image;
    CHECK_OK(decode(&plain, jpeg_grey, sizeof jpeg_grey));
    for (int more = 50; more <= 500; more += 450) {
        memcpy(file, jpeg_grey, before);
        for (int i = 0; i < more; i++) memcpy(file + before + (size_t)i * scan, first, scan);
        memcpy(file + before + (size_t)more * scan, second, sizeof jpeg_grey - before);
        rn_status status = decode(&image, file, sizeof jpeg_grey + (size_t)more * scan);
        if (more == 50) CHECK(!status && is_turned(&image, &plain, 1));
        else CHECK(status == RN_EINPUT && says("more than 100 scans"));
        rn_image_free(&image);
    }
    rn_image_free(&plain);
}

static void test_components(void)
{
    static uint8_t file[ROOM];
    memcpy(file, jpeg_colour, sizeof jpeg_colour);
    frame_of(file)[4] = 12;
    CHECK(decode_status(file, sizeof jpeg_colour) == RN_EINPUT);
    CHECK(strstr(rn_error(), "12 bits") || says("precision"));
}

static void test_no_memory(void)
{
    for (size_t i = 0; i < RN_COUNT(jpegs); i++) {
        rn_status status = RN_ENOMEM;
        struct rn_image image = { 0 };
        for (uint64_t n = 1; status && n < 10; n++) {
            rn_alloc_fail_at(n, false);
            status = decode(&image, jpegs[i].bytes, jpegs[i].size);
            CHECK(!status || status == RN_ENOMEM);
        }
        rn_alloc_fail_at(0, false);
        CHECK(!status);
        rn_image_free(&image);
    }
}

static const struct rn_test_row rows[] = {
    RN_TEST_ROW(test_pixels),  RN_TEST_ROW(test_orientation), RN_TEST_ROW(test_cut),
    RN_TEST_ROW(test_damage),  RN_TEST_ROW(test_guessed),     RN_TEST_ROW(test_surplus),
    RN_TEST_ROW(test_size),    RN_TEST_ROW(test_scans),       RN_TEST_ROW(test_components),
    RN_TEST_ROW(test_header),  RN_TEST_ROW(test_no_memory),
};

int main(int argc, char **argv)
{
    CHECK(*rn_image_libraries()); /* so that a build without the library has a check */
    return rn_test_main("test_image_jpeg", rows, have("libjpeg") ? RN_COUNT(rows) : 0, argc, argv);
}
