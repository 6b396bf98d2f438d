#define _POSIX_C_SOURCE 200809L
/*
 * test_preview.c - the sheet of ./train --preview, read back: where its images lie, that they are those of the
 * loader's first batch, and what is said about them.  Without libpng only that a sheet is written.
 */
#include "tests/test_picture.h"

#include "base/mem.h"
#include "tools/train/preview.h"

#include <unistd.h>

#define IMAGES 70
#define SIDE 40
#define BYTES (3 * SIDE * SIDE)
#define ZOOM 2 /* of 40 pixels towards 112 */
#define GAP 4

static char path[] = "/tmp/resnet-preview-XXXXXX";
static uint8_t pixels[IMAGES * BYTES];
static int32_t labels[IMAGES];
static char *names[2] = { "cat", "d\nog" };
static const struct rn_dataset set = { .name = "made up", .channels = 3, .height = SIDE, .width = SIDE,
                                       .classes = 2, .class_names = names,
                                       .train = { .count = IMAGES, .pixels = pixels, .labels = labels } };

static struct rn_train_config config(const char *augment, int batch)
{
    struct rn_train_config c = { .data = &set, .shuffle = true, .mean = { .5, .4, .3 }, .std = { .25, .2, .3 },
                                 .batch = batch, .seed = 3, .workers = 2 };
    CHECK_OK(rn_augment_parse(&c.augment, augment));
    make_picture(pixels, SIDE, SIDE * IMAGES);
    for (int i = 0; i < IMAGES; i++) labels[i] = i % 2;
    return c;
}

/* How many pixels of the sheet are not what the bytes of the batch's images are, or paper. */
static int64_t wrong_pixels(const struct rn_image *sheet, const uint8_t *images, int count, int columns)
{
    const int tile = SIDE * ZOOM + GAP;
    int64_t wrong = 0;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < sheet->height; y++)
            for (int x = 0; x < sheet->width; x++) {
                const int u = x % tile - GAP, v = y % tile - GAP, i = y / tile * columns + x / tile;
                const bool paper = u < 0 || v < 0 || i >= count || x / tile >= columns;
                const uint8_t want =
                    paper ? 255 : images[((i * 3 + c) * SIDE + v / ZOOM) * SIDE + u / ZOOM];
                wrong += sheet->pixels[((int64_t)c * sheet->height + y) * sheet->width + x] != want;
            }
    return wrong;
}

/* The sheet of a list whose bytes are known: those of apply, erased parts apart. */
static void check_sheet(const char *augment, int batch, int shown, int columns, int rows)
{
    static uint8_t images[64 * BYTES];
    const struct rn_train_config c = config(augment, batch);
    struct rn_text legend = {0};
    struct rn_image sheet = {0};
    uint32_t order[IMAGES];
    int lines = 1;
    CHECK_OK(tool_preview(&legend, &c, path));
    rn_shuffle(order, IMAGES, c.seed, 0);
    void *scratch = rn_alloc(rn_augment_scratch(&c.augment, SIDE, SIDE, SIDE, SIDE));
    for (int i = 0; i < shown; i++)
        rn_augment_apply(images + (size_t)i * BYTES, SIDE, SIDE, pixels + (size_t)order[i] * BYTES, SIDE, SIDE,
                         &c.augment, c.seed, 0, order[i], scratch);
    rn_free(scratch);
    CHECK(legend.data && !strncmp(legend.data, order[0] % 2 ? "d\\x0aog" : "cat", 3));
    for (const char *at = legend.data; at && *at; at++) lines += *at == '\n';
    CHECK_MSG(lines == rows, "%d lines: %s", lines, legend.data);
    if (strstr(rn_image_libraries(), "libpng")) {
        CHECK_OK(rn_image_read(&sheet, path));
        CHECK(sheet.width == columns * (SIDE * ZOOM + GAP) + GAP);
        CHECK(sheet.height == rows * (SIDE * ZOOM + GAP) + GAP);
        const int64_t wrong = sheet.pixels ? wrong_pixels(&sheet, images, shown, columns) : 1;
        CHECK_MSG(wrong == 0, "%s: %" PRId64 " bytes wrong", augment, wrong);
    }
    rn_image_free(&sheet);
    rn_text_free(&legend);
}

static void test_sheets(void)
{
    check_sheet("none", 5, 5, 3, 2);
    check_sheet("crop:4,flip,jitter:0.4:0.4:0.4:0.1", 7, 7, 3, 3);
    check_sheet("none", 70, 64, 8, 8); /* no more than that */
    check_sheet("none", 1, 1, 1, 1);
}

/* Two of them would make more than 2^24 pixels. */
static void test_large_images(void)
{
    struct rn_dataset large = set;
    struct rn_train_config c = config("none", 2);
    struct rn_text legend = {0};
    large.width = 4096;
    large.height = 2050;
    large.train.count = 2;
    large.train.pixels = rn_alloc_array(2 * 3 * 2050, 4096);
    c.data = &large;
    CHECK_OK(large.train.pixels ? tool_preview(&legend, &c, path) : RN_ENOMEM);
    CHECK(legend.data && !strchr(legend.data, ',') && !strchr(legend.data, '\n')); /* one name */
    rn_text_free(&legend);
    rn_free(large.train.pixels);
}

static void test_failures(void)
{
    const struct rn_train_config c = config("none", 4);
    struct rn_text legend = {0};
    CHECK(tool_preview_check("sheet.jpg") == RN_EUSAGE && strstr(rn_error(), "sheet.jpg"));
    CHECK(tool_preview_check(".png") == RN_EUSAGE && !tool_preview_check("a/b.png") && !tool_preview_check(NULL));
    CHECK(tool_preview(&legend, &c, "/tmp/no/such/folder/sheet.png") == RN_EIO);
    CHECK(strstr(rn_error(), "sheet.png"));
    rn_text_free(&legend);
    for (uint64_t n = 1; n < 40; n++) { /* every allocation may fail */
        const uint64_t before = rn_alloc_live();
        rn_alloc_fail_at(n, false);
        rn_status status = tool_preview(&legend, &c, path);
        rn_alloc_fail_at(0, false);
        rn_text_free(&legend);
        CHECK(status == RN_ENOMEM || status == RN_OK);
        CHECK(rn_alloc_live() == before);
    }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_sheets), RN_TEST_ROW(test_large_images),
                                                RN_TEST_ROW(test_failures) };
    const int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const int verdict = rn_test_main("test_preview", rows, RN_COUNT(rows), argc, argv);
    unlink(path);
    return verdict;
}
