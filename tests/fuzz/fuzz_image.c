/*
 * fuzz_image.c - reads damaged pictures until something breaks, under the sanitizers (`make fuzz-image`).
 *
 * With libFuzzer, which clang brings, only LLVMFuzzerTestOneInput is here.  Built with -DFUZZ_ALONE it is a
 * program: `fuzz_image corpus FOLDER` writes the files to begin with, for libFuzzer; `fuzz_image SECONDS
 * [FIRST]` damages these itself, by random numbers that are functions of the number of the try, so that a
 * try can be repeated.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_image_jpegs.h"
#include "tests/test_image_made.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST_PIXELS (600 * 600) /* of a picture that is tried, in any shape: larger ones take long and show nothing
                                  else, until they are too large to be read, which is tried again */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "fuzz_image: %s: %s\n", what, rn_error());
    abort();
}

enum size { SMALL, LARGE, BEYOND };

static enum size size_of(uint64_t width, uint64_t height)
{
    const uint64_t pixels = width * height; /* below 2^64, for each has 32 bits */
    return pixels <= MOST_PIXELS ? SMALL : pixels <= (uint64_t)RN_IMAGE_MAX_PIXELS ? LARGE : BEYOND;
}

/* What the headers say, of several the one that takes longest. */
static enum size size_said(const uint8_t *p, size_t size)
{
    enum size said = SMALL;
    if (size >= 24 && p[0] == 0x89) return size_of(get32(p + 16), get32(p + 20));
    for (size_t i = 0; i + 9 < size && said != LARGE; i++)
        if (p[i] == 0xff && p[i + 1] >= 0xc0 && p[i + 1] <= 0xcf && p[i + 1] != 0xc4 && p[i + 1] != 0xc8) {
            const enum size one = size_of((uint64_t)p[i + 7] << 8 | p[i + 8], (uint64_t)p[i + 5] << 8 | p[i + 6]);
            if (one != SMALL) said = one;
        }
    return said;
}

/* Gives the chunks the checksums that fit, without which nothing but the first check of a PNG would be
 * tried. */
static void mend(uint8_t *p, size_t size)
{
    for (size_t at = 8, n; size - at >= 12; at += n + 12) {
        n = get32(p + at);
        if (n > size - at - 12) return;
        put32(p + at + 8 + n, crc32(0, p + at + 4, (uInt)n + 4));
    }
}

/* One file, in a block of its size. */
static rn_status try(const uint8_t *bytes, size_t size)
{
    struct rn_image image;
    uint64_t live = rn_alloc_live();
    int width, height;
    rn_status header = rn_image_size(&width, &height, bytes, size, "fuzz");
    check(rn_alloc_live() == live && (!header || header == RN_EINPUT), "a header that leaves something");
    rn_status status = rn_image_decode(&image, bytes, size, "fuzz");
    check(header || (int64_t)width * height <= RN_IMAGE_MAX_PIXELS, "a header beyond the limit");
    check(status || (!header && width == image.width && height == image.height), "a header of another size");
    if (status) {
        check(status == RN_EINPUT && !image.pixels && rn_alloc_live() == live, "a refusal that is none");
    } else {
        volatile unsigned sum = 0;
        check(image.width > 0 && image.height > 0 && rn_alloc_live() == live + 1, "an image that is none");
        for (int64_t i = 0; i < (int64_t)3 * image.width * image.height; i++) sum = sum + image.pixels[i];
        rn_image_free(&image);
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size_said(data, size) == LARGE) return 0;
    try(data, size);
    if (size < 8 || data[0] != 0x89) return 0;
    uint8_t *mended = malloc(size);
    if (!mended) return 0;
    memcpy(mended, data, size);
    mend(mended, size);
    try(mended, size);
    free(mended);
    return 0;
}

#ifdef FUZZ_ALONE

#define SOUND (RN_COUNT(jpegs) + 2 * 15)
#define SEEDS (SOUND + 2)

/* Beyond the limit on pixels: 65500 x 65500 in a JPEG, 2^31 - 1 squared in a PNG. */
static void seed_beyond(struct file *f, bool png)
{
    if (png) {
        begin(f, 0x7fffffff, 0x7fffffff, 8, 2, 0);
        put_chunk(f, "IDAT", "\x78\x9c\x63\x60\0\2\0\0\5\0\1\xff\xff", 13);
        put_chunk(f, "IEND", "", 0);
        return;
    }
    memcpy(f->bytes, jpegs[0].bytes, f->size = jpegs[0].size);
    uint8_t *p = f->bytes + 2;
    while (p[1] != 0xc0 && p[1] != 0xc2) p += 2 + (p[2] << 8 | p[3]);
    memcpy(p + 5, "\xff\xdc\xff\xdc", 4);
}

/* File number i to begin with. */
static void seed(struct file *f, size_t i)
{
    static const uint8_t exif[26] = "II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0";
    static const uint8_t kind[15][2] = { { 0, 1 }, { 0, 2 },  { 0, 4 }, { 0, 8 }, { 0, 16 },
                                         { 2, 8 }, { 2, 16 }, { 3, 1 }, { 3, 2 }, { 3, 4 },
                                         { 3, 8 }, { 4, 8 },  { 4, 16 }, { 6, 8 }, { 6, 16 } };
    if (i >= SOUND) {
        seed_beyond(f, i > SOUND);
        return;
    }
    if (i < RN_COUNT(jpegs)) {
        memcpy(f->bytes, "\xff\xd8\xff\xe1\0\x22" "Exif\0", 12);
        memcpy(f->bytes + 12, exif, sizeof exif);
        memcpy(f->bytes + 12 + sizeof exif, jpegs[i].bytes + 2, jpegs[i].size - 2);
        f->size = 12 + sizeof exif + jpegs[i].size - 2;
        return;
    }
    static struct picture p;
    i -= RN_COUNT(jpegs);
    draw(&p, 9, 7, kind[i / 2][1], kind[i / 2][0]);
    make(f, &p, i % 2);
    f->size -= 12;
    put_chunk(f, "eXIf", exif, sizeof exif);
    put_chunk(f, "IEND", "", 0);
}

static int write_corpus(const char *folder)
{
    static struct file f;
    rn_status status = rn_folder_make(folder);
    for (size_t i = 0; i < SEEDS && !status; i++) {
        char path[4096];
        seed(&f, i);
        snprintf(path, sizeof path, "%s/%s-%zu", folder, i < RN_COUNT(jpegs) || i == SOUND ? "jpeg" : "png", i);
        status = rn_file_write(path, f.bytes, f.size);
    }
    if (status) fprintf(stderr, "fuzz_image: %s\n", rn_error());
    return status != RN_OK;
}

/* Changes, removes, repeats or brings over a part of a file. */
static void damage(struct file *f, const struct file *from, struct rn_random *r)
{
    static const uint8_t value[] = { 0x00, 0x01, 0x7f, 0x80, 0xff, 0xc0, 0xda, 0x10 };
    const uint32_t at = rn_random_below(r, (uint32_t)f->size), what = rn_random_below(r, 6);
    size_t n = 1 + rn_random_below(r, 40);
    n = RN_MIN(n, f->size - at);
    switch (what) {
    case 0: f->bytes[at] ^= (uint8_t)(1u << rn_random_below(r, 8)); break;
    case 1: f->bytes[at] = value[rn_random_below(r, RN_COUNT(value))]; break;
    case 2: f->bytes[at] = (uint8_t)rn_random_below(r, 256); break;
    case 3: /* remove */
        memmove(f->bytes + at, f->bytes + at + n, f->size - at - n);
        f->size -= f->size > n ? n : 0;
        break;
    case 4: /* repeat */
        memmove(f->bytes + at + n, f->bytes + at, f->size - at);
        f->size += n;
        break;
    default: /* bring over */
        n = RN_MIN(n, from->size - 1);
        memcpy(f->bytes + at, from->bytes + rn_random_below(r, (uint32_t)(from->size - n)), n);
    }
}

static int run(double seconds, uint32_t first)
{
    static struct file seeds[SEEDS], f;
    struct timespec begin_time, now;
    uint64_t tries = 0;
    for (size_t i = 0; i < SEEDS; i++) seed(&seeds[i], i);
    clock_gettime(CLOCK_MONOTONIC, &begin_time);
    do {
        struct rn_random r = rn_random(7, RN_RANDOM_TEST, 0, first + (uint32_t)tries);
        const struct file *old = &seeds[rn_random_below(&r, SEEDS)], *from = &seeds[rn_random_below(&r, SEEDS)];
        memcpy(f.bytes, old->bytes, f.size = old->size);
        for (uint32_t n = 1 + rn_random_below(&r, 8); n > 0; n--) damage(&f, from, &r);
        if (tries % 100000 == 0) fprintf(stderr, "try %u\n", first + (unsigned)tries);
        uint8_t *copy = malloc(f.size);
        if (!copy) return 1;
        memcpy(copy, f.bytes, f.size);
        LLVMFuzzerTestOneInput(copy, f.size);
        free(copy);
        tries++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin_time.tv_sec) < seconds);
    printf("fuzz_image: %ju tries, nothing found\n", (uintmax_t)tries);
    return 0;
}

int main(int argc, char **argv)
{
    double seconds;
    int64_t first = 0;
    if (argc == 3 && !strcmp(argv[1], "corpus")) return write_corpus(argv[2]);
    if (argc < 2 || !rn_parse_double(&seconds, argv[1]) || (argc > 2 && !rn_parse_int(&first, argv[2]))) {
        fprintf(stderr, "usage: fuzz_image corpus FOLDER | SECONDS [FIRST]\n");
        return 2;
    }
    return run(seconds, (uint32_t)first);
}

#endif /* FUZZ_ALONE */
