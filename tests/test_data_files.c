/*
 * test_data_files.c - CIFAR-10 and IDX files, whole and damaged.  Everything is made here, in a
 * folder that is removed; files of CIFAR-10's size are sparse.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/data.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static char folder[512]; /* the one for this run's files */

static const char *path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const void *data, size_t bytes)
{
    FILE *f = fopen(path_of(name), "wb");
    CHECK(f && fwrite(data, 1, bytes, f) == bytes);
    if (f) CHECK(fclose(f) == 0);
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') remove(path_of(e->d_name));
    if (d) closedir(d);
}

/* Opening `kind`:folder must fail with RN_EINPUT and these words, and leave nothing behind. */
static void check_refused(const char *kind, const char *says)
{
    char spec[600];
    struct rn_dataset *set;
    uint64_t before = rn_alloc_live();
    snprintf(spec, sizeof spec, "%s:%s", kind, folder);
    rn_status status = rn_dataset_open(&set, spec, NULL);
    CHECK_MSG(status == RN_EINPUT && strstr(rn_error(), says), "status %d, \"%s\" lacks \"%s\"",
              status, rn_error(), says);
    rn_dataset_close(set);
    CHECK(rn_alloc_live() == before);
}

static rn_status open_here(struct rn_dataset **set, const char *kind)
{
    char spec[600];
    snprintf(spec, sizeof spec, "%s:%s", kind, folder);
    return rn_dataset_open(set, spec, NULL);
}

/* -- CIFAR-10 ---------------------------------------------------------------------------------- */

#define FILE_BYTES 30730000

static const char *const batches[6] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                        "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin" };

/* Writes one byte into a file of the wanted length, which it makes if need be. */
static void poke(const char *name, off_t length, off_t offset, uint8_t byte)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, length) == 0 && pwrite(fd, &byte, 1, offset) == 1);
    if (fd >= 0) close(fd);
}

/* A whole set of black images: file i's record 7 has label i and, in green row 2, column 5,
 * value 9. */
static void make_cifar(void)
{
    empty_folder();
    for (int i = 0; i < 6; i++) {
        poke(batches[i], FILE_BYTES, 7 * 3073, (uint8_t)(i + 1));
        poke(batches[i], FILE_BYTES, 7 * 3073 + 1 + 1024 + 2 * 32 + 5, 9);
    }
}

static void test_cifar_whole(void)
{
    struct rn_dataset *set;
    int64_t bright = 0;
    make_cifar();
    CHECK_OK(open_here(&set, "cifar10"));
    if (!set) return;
    CHECK(set->channels == 3 && set->height == 32 && set->width == 32 && set->classes == 10);
    CHECK(set->train.count == 50000 && set->val.count == 10000 && set->skipped == 0);
    CHECK(strcmp(set->name, "cifar10") == 0 && strncmp(set->spec, "cifar10:", 8) == 0);
    CHECK(strcmp(set->class_names[0], "airplane") == 0);
    CHECK(strcmp(set->class_names[9], "truck") == 0);
    for (int64_t i = 0; i < set->train.count; i++)
        CHECK(set->train.labels[i] == (i % 10000 == 7 ? i / 10000 + 1 : 0));
    CHECK(set->val.labels[7] == 6 && set->val.labels[8] == 0);
    for (int64_t i = 0; i < set->train.count * 3072; i++) bright += set->train.pixels[i];
    CHECK(bright == 5 * 9 && set->train.pixels[20007 * 3072 + 1024 + 69] == 9);
    rn_dataset_close(set);
}

static void test_cifar_archive_folder(void)
{
    char outer[512], inner[600];
    struct rn_dataset *set;
    make_cifar();
    memcpy(outer, folder, sizeof outer);
    snprintf(inner, sizeof inner, "%.490s/cifar-10-batches-bin", outer);
    CHECK(mkdir(inner, 0700) == 0);
    for (int i = 0; i < 6; i++) {
        char to[700];
        snprintf(to, sizeof to, "%s/%s", inner, batches[i]);
        CHECK(rename(path_of(batches[i]), to) == 0);
    }
    CHECK_OK(open_here(&set, "cifar10"));
    rn_dataset_close(set);
    snprintf(folder, sizeof folder, "%.511s", inner);
    empty_folder();
    memcpy(folder, outer, sizeof folder);
    CHECK(rmdir(inner) == 0);
}

static void test_cifar_damaged(void)
{
    make_cifar();
    poke("data_batch_3.bin", FILE_BYTES, 9999 * 3073, 10);
    check_refused("cifar10", "data_batch_3.bin: offset 30726927: label 10 of record 9999");
    poke("data_batch_3.bin", FILE_BYTES, 9999 * 3073, 9);
    poke("test_batch.bin", FILE_BYTES, 0, 255);
    check_refused("cifar10", "test_batch.bin: offset 0: label 255");
    poke("test_batch.bin", FILE_BYTES - 1, 0, 0);
    check_refused("cifar10", "test_batch.bin: is cut short: 30729999 bytes where CIFAR-10 has 3073"
                             "0000");
    poke("test_batch.bin", FILE_BYTES + 3073, 0, 0);
    check_refused("cifar10", "test_batch.bin: is too long: 30733073 bytes");
    poke("test_batch.bin", 30740000, 0, 0);
    check_refused("cifar10", "test_batch.bin: has CIFAR-100's records of 3074 bytes");
    poke("test_batch.bin", (off_t)1 << 40, 0, 0);
    check_refused("cifar10", "test_batch.bin: has 1099511627776 bytes");
    put("test_batch.bin", "", 0);
    check_refused("cifar10", "test_batch.bin: is cut short: 0 bytes");
    remove(path_of("test_batch.bin"));
    check_refused("cifar10", "missing test_batch.bin");
    remove(path_of("data_batch_4.bin"));
    check_refused("cifar10", "missing data_batch_4.bin, test_batch.bin");
}

static void test_cifar_twice_the_same(void)
{
    make_cifar();
    poke("data_batch_2.bin", FILE_BYTES, 7 * 3073, 1);
    check_refused("cifar10", "data_batch_2.bin: has the content of data_batch_1.bin");
}

/* Bytes are read once: what becomes of the files afterwards cannot be seen, and harms nobody. */
static void test_cifar_files_shrink(void)
{
    struct rn_dataset *set;
    struct rn_loader *loader = NULL;
    struct rn_batch b;
    int64_t labels = 0, images = 0;
    make_cifar();
    CHECK_OK(open_here(&set, "cifar10"));
    if (!set) return;
    for (int i = 0; i < 6; i++) CHECK(truncate(path_of(batches[i]), i % 2 ? 0 : FILE_BYTES / 3) == 0);
    struct rn_loader_config c = { .set = set, .split = &set->train, .limit = 20008, .batch = 500,
                                  .augment = { .crop_padding = 4, .flip = RN_FLIP_RANDOM, .items = 2,
                                               .item = { RN_AUGMENT_CROP, RN_AUGMENT_FLIP } },
                                  .std = { 1, 1, 1 }, .workers = 2 };
    CHECK_OK(rn_loader_create(&loader, &c));
    if (loader) CHECK_OK(rn_loader_begin(loader, 0, 0));
    while (loader && rn_loader_next(loader, &b) == RN_OK && b.n) {
        for (int i = 0; i < b.n; i++) labels += b.labels[i];
        images += b.n;
    }
    CHECK(images == 20008 && labels == 1 + 2 + 3);
    rn_loader_free(loader);
    rn_dataset_close(set);
}

static void *shrink_and_grow(void *arg)
{
    const char *path = arg;
    for (int i = 0; i < 400; i++) {
        struct timespec pause = { 0, 1000000 };
        if (truncate(path, i % 2 ? FILE_BYTES : FILE_BYTES / 2)) break;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* A file that shrinks under the reader is refused, or is read whole; the program goes on. */
static void test_cifar_shrinks_meanwhile(void)
{
    static char path[1024];
    pthread_t other;
    make_cifar();
    snprintf(path, sizeof path, "%s", path_of("data_batch_1.bin"));
    CHECK(pthread_create(&other, NULL, shrink_and_grow, path) == 0);
    for (int i = 0; i < 5; i++) {
        struct rn_dataset *set;
        rn_status status = open_here(&set, "cifar10");
        CHECK_MSG(status == RN_OK || (status == RN_EINPUT && strstr(rn_error(), "data_batch_1")),
                  "status %d: %s", status, rn_error());
        rn_dataset_close(set);
    }
    pthread_join(other, NULL);
}

static void test_cifar_other_sets(void)
{
    empty_folder();
    check_refused("cifar10", "no CIFAR-10 here; missing data_batch_1.bin, data_batch_2.bin");
    put("data_batch_1", "x", 1);
    check_refused("cifar10", "the Python version");
    put("train.bin", "x", 1);
    put("test.bin", "x", 1);
    check_refused("cifar10", "holds CIFAR-100");
    empty_folder();
    for (int i = 0; i < 6; i++) CHECK(mkdir(path_of(batches[i]), 0700) == 0);
    check_refused("cifar10", "data_batch_1.bin: is a folder");
    for (int i = 0; i < 6; i++) rmdir(path_of(batches[i]));
}

/* -- IDX --------------------------------------------------------------------------------------- */

#define COUNT 5
#define GREY (28 * 28)

static unsigned char images[16 + COUNT * GREY], labels[8 + COUNT];

static void be32(unsigned char *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(x >> (24 - 8 * i));
}

/* gzip of the data; its length. */
static size_t pack(unsigned char *dst, size_t room, const void *data, size_t bytes)
{
    z_stream z = { .next_in = (unsigned char *)(uintptr_t)data, .avail_in = (uInt)bytes,
                   .next_out = dst, .avail_out = (uInt)room };
    CHECK(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

/* A whole set of five images a split, the test split compressed. */
static void make_idx(void)
{
    static unsigned char packed[2 * sizeof images];
    empty_folder();
    be32(images, 0x803), be32(images + 4, COUNT), be32(images + 8, 28), be32(images + 12, 28);
    be32(labels, 0x801), be32(labels + 4, COUNT);
    for (size_t i = 0; i < COUNT * GREY; i++)
        images[16 + i] = (unsigned char)(i * 2654435761u >> 11);
    for (int i = 0; i < COUNT; i++) labels[8 + i] = (unsigned char)(9 - i);
    put("train-images-idx3-ubyte", images, sizeof images);
    put("train-labels-idx1-ubyte", labels, sizeof labels);
    put("t10k-images-idx3-ubyte.gz", packed, pack(packed, sizeof packed, images, sizeof images));
    put("t10k-labels-idx1-ubyte.gz", packed, pack(packed, sizeof packed, labels, sizeof labels));
}

static void test_idx_whole(void)
{
    struct rn_dataset *set;
    make_idx();
    CHECK_OK(open_here(&set, "fashion-mnist"));
    if (!set) return;
    CHECK(set->channels == 3 && set->height == 32 && set->width == 32 && set->classes == 10);
    CHECK(strcmp(set->class_names[9], "ankle boot") == 0);
    for (int part = 0; part < 2; part++) {
        const struct rn_split *s = part ? &set->val : &set->train;
        CHECK(s->count == COUNT);
        for (int i = 0; i < COUNT; i++) CHECK(s->labels[i] == 9 - i);
        for (int i = 0; i < COUNT * 3 * 32 * 32; i++) {
            int x = i % 32 - 2, y = i / 32 % 32 - 2, n = i / 3072;
            bool in = x >= 0 && x < 28 && y >= 0 && y < 28;
            CHECK(s->pixels[i] == (in ? images[16 + n * GREY + y * 28 + x] : 0));
        }
    }
    rn_dataset_close(set);
    CHECK_OK(open_here(&set, "mnist"));
    CHECK(set && strcmp(set->class_names[9], "9") == 0);
    rn_dataset_close(set);
}

/* Writes a 4-byte field of the training images or labels and looks at what is said. */
static void check_field(const char *name, unsigned char *data, size_t bytes, int offset,
                        uint32_t value, const char *says)
{
    unsigned char kept[4];
    memcpy(kept, data + offset, 4);
    be32(data + offset, value);
    put(name, data, bytes);
    check_refused("fashion-mnist", says);
    memcpy(data + offset, kept, 4);
    put(name, data, bytes);
}

static void test_idx_headers(void)
{
    static const char i[] = "train-images-idx3-ubyte", l[] = "train-labels-idx1-ubyte";
    make_idx();
    check_field(i, images, sizeof images, 0, 0x801, "offset 0: magic number 0x00000801");
    check_field(i, images, sizeof images, 0, 0x03080000, "magic number 0x03080000");
    check_field(i, images, sizeof images, 4, 0, "offset 4: 0 items");
    check_field(i, images, sizeof images, 4, UINT32_MAX, "4294967295 items");
    check_field(i, images, sizeof images, 4, COUNT + 1, "header asks for 4720");
    check_field(i, images, sizeof images, 4, COUNT - 1, "3936 bytes where its header asks for "
                "3152");
    check_field(i, images, sizeof images, 8, 27, "offset 8: images of 27 x 28");
    check_field(i, images, sizeof images, 12, 1u << 31, "images of 28 x 2147483648");
    check_field(l, labels, sizeof labels, 0, 0x803, "magic number 0x00000803 where IDX labels");
    check_field(l, labels, sizeof labels, 4, COUNT + 1, "6 labels for 5 images");
    check_field(l, labels, sizeof labels, 8, 0x0909090au, "offset 11: label 10 of image 3");
    put(l, labels, sizeof labels - 1);
    check_refused("fashion-mnist", "1 bytes before the end of the labels");
    put(l, labels, 3);
    check_refused("fashion-mnist", "before the end of the header");
    remove(path_of(l));
    check_refused("fashion-mnist", "neither train-labels-idx1-ubyte nor train-labels-idx1-"
                                   "ubyte.gz");
}

/* Every prefix of a compressed file is refused; every flipped bit is, or changes nothing that
 * counts. */
static void test_idx_damaged_gzip(void)
{
    static const char name[] = "train-labels-idx1-ubyte.gz";
    unsigned char packed[200];
    make_idx();
    remove(path_of("train-labels-idx1-ubyte"));
    size_t bytes = pack(packed, sizeof packed, labels, sizeof labels);
    for (size_t n = 0; n < bytes; n++) {
        put(name, packed, n);
        check_refused("fashion-mnist", name);
    }
    put(name, packed, bytes - 8); /* only checksum and length are missing */
    check_refused("fashion-mnist", "is cut short");
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        struct rn_dataset *set;
        /* A date and such at the beginning; bits behind the last code, before the checksum. */
        bool free_byte = bit / 8 < 10 || bit / 8 == bytes - 9;
        packed[bit / 8] ^= (unsigned char)(1 << bit % 8);
        put(name, packed, bytes);
        rn_status status = open_here(&set, "fashion-mnist");
        CHECK_MSG(status == RN_EINPUT || (status == RN_OK && free_byte), "bit %zu: status %d", bit,
                  status);
        for (int i = 0; set && i < COUNT; i++) CHECK(set->train.labels[i] == 9 - i);
        rn_dataset_close(set);
        packed[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    packed[bytes] = 0;
    put(name, packed, bytes + 1);
    check_refused("fashion-mnist", "1 bytes follow");
}

/* A small file that unpacks to 64 MB, and one whose header promises more than it can hold. */
static void test_idx_bomb(void)
{
    enum { BOMB = 64 << 20 };
    unsigned char *zeros = calloc(BOMB, 1), *packed = malloc(1 << 20);
    make_idx();
    remove(path_of("train-images-idx3-ubyte"));
    CHECK(zeros && packed);
    if (zeros && packed) {
        memcpy(zeros, images, 16);
        put("train-images-idx3-ubyte.gz", packed, pack(packed, 1 << 20, zeros, BOMB));
        check_refused("fashion-mnist", "unpacks to more than the 3936 bytes");
        be32(zeros + 4, 100000);
        put("train-images-idx3-ubyte.gz", packed, pack(packed, 1 << 20, zeros, 1 << 20));
        check_refused("fashion-mnist", "bytes compressed where its header asks for 78400016");
    }
    free(zeros);
    free(packed);
}

static void test_idx_memory(void)
{
    uint64_t before = rn_alloc_live(), n = 0;
    rn_status status = RN_ENOMEM;
    make_idx();
    while (status == RN_ENOMEM && n < 200) {
        struct rn_dataset *set;
        rn_alloc_fail_at(++n, false);
        status = open_here(&set, "fashion-mnist");
        rn_alloc_fail_at(0, false);
        CHECK_MSG(status == RN_OK || status == RN_ENOMEM, "allocation %" PRIu64 ": status %d, %s",
                  n, status, rn_error());
        rn_dataset_close(set);
        CHECK(rn_alloc_live() == before);
    }
    CHECK(status == RN_OK && n > 30);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_cifar_whole), RN_TEST_ROW(test_cifar_archive_folder),
        RN_TEST_ROW(test_cifar_damaged), RN_TEST_ROW(test_cifar_twice_the_same),
        RN_TEST_ROW(test_cifar_files_shrink), RN_TEST_ROW(test_cifar_shrinks_meanwhile),
        RN_TEST_ROW(test_cifar_other_sets), RN_TEST_ROW(test_idx_whole),
        RN_TEST_ROW(test_idx_headers), RN_TEST_ROW(test_idx_damaged_gzip),
        RN_TEST_ROW(test_idx_bomb), RN_TEST_ROW(test_idx_memory),
    };
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.400s/test_data.XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        printf("test_data_files: no temporary folder %s\n", folder);
        return 1;
    }
    int verdict = rn_test_main("test_data_files", rows, RN_COUNT(rows), argc, argv);
    empty_folder();
    rmdir(folder);
    return verdict;
}
