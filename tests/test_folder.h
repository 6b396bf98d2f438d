/*
 * test_folder.h - folders of small pictures made for one test: every picture's red plane is its number.
 */
#ifndef RN_TEST_FOLDER_H
#define RN_TEST_FOLDER_H

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/data.h"
#include "data/store.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[512]; /* the folder of one test */

/* -- making folders ---------------------------------------------------------------------------- */

static inline int remove_one(const char *path, const struct stat *info, int flag, struct FTW *at)
{
    (void)info, (void)flag, (void)at;
    return remove(path);
}

static inline void clear(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    CHECK_OK(rn_folder_make(root));
}

static inline const char *path_of(const char *name)
{
    static char path[2048];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

/* With the folders above it. */
static inline void put(const char *name, const void *data, size_t bytes)
{
    char path[2048];
    snprintf(path, sizeof path, "%s", path_of(name));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    CHECK_OK(rn_folder_make(path));
    *slash = '/';
    CHECK_OK(rn_file_write(path, data, bytes));
}

/* A PNG whose pixels say who it is: red has the seed, green x, blue y. */
static inline uint8_t *picture_bytes(size_t *size, int seed, int width, int height)
{
    static uint8_t planes[3 * 256 * 256];
    uint8_t *bytes = NULL;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            planes[y * width + x] = (uint8_t)seed;
            planes[(height + y) * width + x] = (uint8_t)x;
            planes[(2 * height + y) * width + x] = (uint8_t)y;
        }
    CHECK_OK(rn_png_encode(&bytes, size, planes, width, height));
    return bytes;
}

static inline void picture(const char *name, int seed, int width, int height)
{
    size_t size = 0;
    uint8_t *bytes = picture_bytes(&size, seed, width, height);
    put(name, bytes, size);
    rn_free(bytes);
}

/* `count` pictures PART/CLASS/NN.png of a class, seeds from `seed` on. */
static inline void pictures(const char *folder, int count, int seed)
{
    for (int i = 0; i < count; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s/%02d.png", folder, i);
        picture(name, seed + i, 20 + i % 5, 18 + i % 3);
    }
}

/* -- opening ----------------------------------------------------------------------------------- */

static inline struct rn_dataset_options usual(void)
{
    return (struct rn_dataset_options){ .image_size = 8, .resize = 10, .seed = 5, .threads = 2 };
}

static inline struct rn_dataset *opened(const struct rn_dataset_options *options)
{
    char spec[600];
    struct rn_dataset *set;
    snprintf(spec, sizeof spec, "folder:%s", root);
    CHECK_OK(rn_dataset_open(&set, spec, options));
    return set;
}

/* Opening must fail with these words, and leave nothing behind. */
static inline void check_refused_with(const struct rn_dataset_options *options, rn_status want, const char *says)
{
    char spec[600];
    struct rn_dataset *set;
    uint64_t before = rn_alloc_live();
    snprintf(spec, sizeof spec, "folder:%s", root);
    rn_status status = rn_dataset_open(&set, spec, options);
    CHECK_MSG(status == want && strstr(rn_error(), says), "status %d, \"%s\" lacks \"%s\"", status, rn_error(), says);
    CHECK(!set && rn_alloc_live() == before);
}

static inline void check_refused(const char *says)
{
    const struct rn_dataset_options o = usual();
    check_refused_with(&o, RN_EINPUT, says);
}

typedef void check_opened(const struct rn_dataset *set);

/* Whichever allocation fails, opening says so and keeps nothing; what is opened in the end is looked at. */
static inline void check_memory(const struct rn_dataset_options *options, check_opened *look)
{
    char spec[600];
    const uint64_t before = rn_alloc_live();
    uint64_t n = 0;
    rn_status status = RN_ENOMEM;
    snprintf(spec, sizeof spec, "folder:%s", root);
    while (status == RN_ENOMEM && n < 2000) {
        struct rn_dataset *set;
        rn_alloc_fail_at(++n, false);
        status = rn_dataset_open(&set, spec, options);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(status == RN_OK || status == RN_ENOMEM, "allocation %" PRIu64 ": %s", n, rn_error());
        if (!status) look(set);
        rn_dataset_close(set);
        CHECK(rn_alloc_live() == before);
    }
    CHECK(status == RN_OK && n > 40);
}

/* Runs the tests in a folder of their own; nothing where the build reads no PNG. */
static inline int folder_test_main(const char *name, const struct rn_test_row *row, size_t rows, int argc, char **argv)
{
    const char *parent = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/rn-folder-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!strstr(rn_image_libraries(), "libpng")) {
        printf("%s: skipped: this build has no libpng\n", name);
        return 0;
    }
    if (!mkdtemp(root)) {
        printf("FAIL %s cannot be made\n", root);
        return 1;
    }
    int result = rn_test_main(name, row, rows, argc, argv);
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return result;
}

#endif /* RN_TEST_FOLDER_H */
