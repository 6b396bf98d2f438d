/*
 * test_image_png.c - PNG files, made here chunk by chunk: every colour type, depth and way of interlacing,
 * what is dropped, orientation, damage, limits.
 */
#include "tests/test_image.h"
#include "tests/test_image_made.h"

/* What Pillow makes of channel c of a pixel: palettes looked up, few bits spread over 0 ... 255, the high
 * 8 of 16. */
static int expected(const struct picture *p, int x, int y, int c)
{
    const uint16_t *s = p->sample + (y * p->width + x) * p->channels;
    int value = s[p->channels >= 3 ? c : 0];
    if (p->colour == PALETTE) return p->palette[3 * value + c];
    return p->depth == 16 ? value >> 8 : value * 255 / ((1 << p->depth) - 1);
}

static bool is_picture(const struct rn_image *image, const struct picture *p)
{
    if (image->width != p->width || image->height != p->height) return false;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++)
                if (image->pixels[(c * p->height + y) * p->width + x] != expected(p, x, y, c)) return false;
    return true;
}

static struct file file, other;
static struct picture picture;

static void test_kinds(void)
{
    static const struct { int colour, depth; } kind[] = {
        { GREY, 1 },       { GREY, 2 },        { GREY, 4 },    { GREY, 8 },    { GREY, 16 },
        { RGB, 8 },        { RGB, 16 },        { PALETTE, 1 }, { PALETTE, 2 }, { PALETTE, 4 }, { PALETTE, 8 },
        { GREY_ALPHA, 8 }, { GREY_ALPHA, 16 }, { RGBA, 8 },    { RGBA, 16 },
    };
    static const int size[][2] = { { 1, 1 }, { 5, 3 }, { 3, 9 }, { 33, 18 } };
    for (size_t k = 0; k < RN_COUNT(kind); k++)
        for (size_t i = 0; i < RN_COUNT(size); i++)
            for (int interlaced = 0; interlaced < 2; interlaced++) {
                struct rn_image image;
                draw(&picture, size[i][0], size[i][1], kind[k].depth, kind[k].colour);
                make(&file, &picture, interlaced);
                CHECK_OK(decode(&image, file.bytes, file.size));
                CHECK_MSG(is_picture(&image, &picture), "colour type %d, %d bits, %d x %d, interlaced %d",
                          kind[k].colour, kind[k].depth, size[i][0], size[i][1], interlaced);
                rn_image_free(&image);
            }
}

/* How often memory is asked for when a file is read. */
static uint64_t allocations(const struct file *f)
{
    for (uint64_t n = 1; n < 1000; n++) {
        rn_alloc_fail_at(n, false);
        rn_status status = decode_status(f->bytes, f->size);
        rn_alloc_fail_at(0, false);
        CHECK(!status || status == RN_ENOMEM);
        if (!status) return n - 1;
    }
    return 0;
}

/* Chunks that do not make pixels have no say in them: transparency, gamma, background, a damaged profile,
 * a text that would unpack to gigabytes, an animation's; nor does what stands behind the end.  Nobody even
 * looks at them: they take no memory. */
static void test_dropped(void)
{
    static const struct { const char *name, *data; size_t size; } extra[] = {
        { "gAMA", "\0\1\0\0", 4 },    { "tRNS", "\0\x10\0\x20\0\x30", 6 },  { "bKGD", "\0\1\0\2\0\3", 6 },
        { "iCCP", "x\0\0garbage", 10 }, { "zTXt", "x\0\0garbage", 10 },     { "acTL", "\0\0\0\2\0\0\0\0", 8 },
        { "sBIT", "\5\6\5", 3 },      { "tIME", "garbage", 7 },             { "prVt", "", 0 },
    };
    struct rn_image image;
    draw(&picture, 20, 10, 8, RGB);
    begin(&file, 20, 10, 8, RGB, 0);
    for (size_t i = 0; i < RN_COUNT(extra); i++) put_chunk(&file, extra[i].name, extra[i].data, extra[i].size);
    put_pixels(&file, &picture, false);
    put_chunk(&file, "tEXt", "Comment\0none", 12);
    put_chunk(&file, "IEND", "", 0);
    memset(file.bytes + file.size, 0xff, 100);
    CHECK_OK(decode(&image, file.bytes, file.size + 100));
    CHECK(is_picture(&image, &picture));
    rn_image_free(&image);
    make(&other, &picture, false);
    CHECK(allocations(&file) == allocations(&other) && allocations(&other) > 2);
}

static void test_orientation(void)
{
    struct rn_image plain, image;
    draw(&picture, 7, 4, 8, RGB);
    make(&file, &picture, false);
    CHECK_OK(decode(&plain, file.bytes, file.size));
    for (int orientation = 0; orientation < 10; orientation++)
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            uint8_t exif[26] = "MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1";
            exif[19] = (uint8_t)orientation;
            begin(&file, 7, 4, 8, RGB, interlaced);
            put_chunk(&file, "eXIf", exif, sizeof exif);
            put_pixels(&file, &picture, interlaced);
            put_chunk(&file, "IEND", "", 0);
            CHECK_OK(decode(&image, file.bytes, file.size));
            CHECK(is_turned(&image, &plain, orientation >= 1 && orientation <= 8 ? orientation : 1));
            rn_image_free(&image);
        }
    rn_image_free(&plain);
}

/* Cut anywhere, or with one byte changed anywhere, a file is refused: checksums cover all of it. */
static void test_damage(void)
{
    for (int colour = RGB; colour <= PALETTE; colour++) {
        draw(&picture, 9, 6, 8 / (colour - 1), colour);
        make(&file, &picture, false);
        for (size_t size = 0; size < file.size; size++)
            CHECK_MSG(decode_status(file.bytes, size) == RN_EINPUT, "cut after %zu bytes it is read", size);
        CHECK(decode_status(file.bytes, file.size - 1) == RN_EINPUT && says("is cut off"));
        CHECK(decode_status(file.bytes, file.size - 12) == RN_EINPUT && says("ends with IEND"));
        for (size_t at = 0; at < file.size; at++)
            for (int bit = 0; bit < 8; bit++) {
                file.bytes[at] ^= (uint8_t)(1 << bit);
                CHECK_MSG(decode_status(file.bytes, file.size) == RN_EINPUT, "byte %zu, bit %d: it is read", at, bit);
                file.bytes[at] ^= (uint8_t)(1 << bit);
            }
    }
    file.bytes[file.size - 1] ^= 1;
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT && says("chunk IEND at byte") && says("checksum"));
}

/* The same with checksums that fit: an image or a refusal, and nothing else. */
static void test_forged(void)
{
    long refused = 0, read = 0;
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        draw(&picture, 9, 6, 8, RGBA);
        make(&file, &picture, interlaced);
        for (size_t at = 16; at < file.size - 12; at++)
            for (int flip = 1; flip < 256; flip += 2) {
                other = file;
                other.bytes[at] ^= (uint8_t)flip;
                for (size_t p = 8, n = 0; p + 12 <= other.size; p += n + 12) {
                    n = (size_t)other.bytes[p + 2] << 8 | other.bytes[p + 3];
                    if (other.bytes[p] || other.bytes[p + 1] || n > other.size - p - 12) break;
                    put32(other.bytes + p + 8 + n, crc32(0, other.bytes + p + 4, (uInt)n + 4));
                }
                rn_status status = decode_status(other.bytes, other.size);
                CHECK(!status || status == RN_EINPUT);
                *(status ? &refused : &read) += 1;
            }
    }
    CHECK(refused > 1000 && read > 100);
}

static void test_structure(void)
{
    static const uint8_t filter_9[] = { 9, 1, 2, 3, 4, 5, 6 };
    uint8_t packed[64];
    uLongf bytes = sizeof packed;
    compress(packed, &bytes, filter_9, sizeof filter_9);
    begin(&file, 2, 1, 8, RGB, 0);
    put_chunk(&file, "IDAT", packed, bytes);
    put_chunk(&file, "IEND", "", 0);
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT && says("libpng")); /* no such filter */

    draw(&picture, 5, 5, 4, PALETTE);
    for (int i = 0; i < 25; i++) picture.sample[i] = (uint16_t)(i / 6); /* 0 ... 4 */
    begin(&file, 5, 5, 4, PALETTE, 0);
    put_chunk(&file, "PLTE", picture.palette, 3 * 4);
    put_pixels(&file, &picture, false);
    put_chunk(&file, "IEND", "", 0);
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT && says("colour 4 of a palette of 4"));

    begin(&file, 5, 5, 4, PALETTE, 0);
    put_pixels(&file, &picture, false);
    put_chunk(&file, "IEND", "", 0);
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT); /* no palette */

    begin(&file, 5, 5, 8, RGB, 0);
    put_chunk(&file, "ABCD", "", 0);
    put_pixels(&file, &picture, false);
    put_chunk(&file, "IEND", "", 0);
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT); /* critical, and unknown */

    begin(&file, 5, 5, 8, 5, 0);
    put_chunk(&file, "IEND", "", 0);
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT); /* no such colour type, no pixels */

    memcpy(file.bytes, "\x89PNG\r\n\x1a\n", 8);
    file.size = 8;
    put_chunk(&file, "IEND", "", 0);
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT && says("begins with IHDR"));
}

/* Sizes are judged before anything is allocated: with no memory at all, the answer is the same. */
static void test_size(void)
{
    static const struct { size_t width, height; const char *says; } row[] = {
        { 65535, 65535, "65535 x 65535 pixels; at most 67108864" },
        { 8192, 8193, "8192 x 8193 pixels; at most" },
        { 8192, 8192, "8192 x 8192 pixels cannot be in 13 bytes" },
        { 67108864, 1, "cannot be in" },
        { 0x7fffffff, 0x7fffffff, "at most" },
        { 0xffffffff, 1, "damaged: its size is 4294967295 x 1" },
        { 0, 1, "damaged: its size is 0 x 1" },
        { 1, 0, "damaged: its size is 1 x 0" },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        begin(&file, row[i].width, row[i].height, 8, RGB, 0);
        put_chunk(&file, "IDAT", "\x78\x9c\x63\x60\0\2\0\0\5\0\1\xff\xff", 13);
        put_chunk(&file, "IEND", "", 0);
        rn_alloc_fail_at(1, true);
        CHECK(decode_status(file.bytes, file.size) == RN_EINPUT);
        rn_alloc_fail_at(0, false);
        CHECK(says(row[i].says));
    }
    draw(&picture, 3, 3, 8, RGB);
    make(&file, &picture, false);
    put32(file.bytes + 20, 300); /* more rows than there are */
    put32(file.bytes + 29, crc32(0, file.bytes + 12, 17));
    CHECK(decode_status(file.bytes, file.size) == RN_EINPUT && says("libpng"));
}

static const struct rn_test_row rows[] = {
    RN_TEST_ROW(test_kinds),  RN_TEST_ROW(test_dropped), RN_TEST_ROW(test_orientation),
    RN_TEST_ROW(test_damage), RN_TEST_ROW(test_forged),  RN_TEST_ROW(test_structure),
    RN_TEST_ROW(test_size),
};

int main(int argc, char **argv)
{
    CHECK(*rn_image_libraries()); /* so that a build without the library has a check */
    return rn_test_main("test_image_png", rows, have("libpng") ? RN_COUNT(rows) : 0, argc, argv);
}
