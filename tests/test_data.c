/*
 * test_data.c - specs, normalisation, shuffling, and the loader: its batches do not depend on its
 * threads or on where in the epoch a run began.  Crops and flips: test_data_augment.c; the files of
 * data sets: test_data_files.c.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"
#include "tests/test_images.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "data/data.h"

#include <time.h>

/* -- specs ------------------------------------------------------------------------------------- */

static void check_refused(const char *spec, int image_size, rn_status want, const char *says)
{
    struct rn_dataset *set = (void *)1;
    rn_status got = rn_dataset_open(&set, spec, &(struct rn_dataset_options){ .image_size = image_size });
    CHECK_MSG(got == want && strstr(rn_error(), says), "%s: status %d, said \"%s\"", spec, got,
              rn_error());
    CHECK(set == NULL);
}

static void test_specs(void)
{
    check_refused("cifar11:x", 0, RN_EUSAGE, "did you mean 'cifar10'?");
    check_refused("dem", 0, RN_EUSAGE, "did you mean 'demo'?");
    check_refused("", 0, RN_EUSAGE, "there are demo[:SIZE]");
    check_refused("\033[2J", 0, RN_EUSAGE, "\\x1b[2J");
    check_refused("cifar10", 0, RN_EUSAGE, "needs a folder");
    check_refused("fashion-mnist:", 0, RN_EUSAGE, "needs a folder");
    check_refused("folder", 0, RN_EUSAGE, "needs a folder");
    check_refused("folder:/nowhere/at/all", 0, RN_EINPUT, "no such folder");
    check_refused("demo:", 0, RN_EUSAGE, "no image size");
    check_refused("demo:32x", 0, RN_EUSAGE, "no image size");
    check_refused("demo:48", 0, RN_EUSAGE, "size 48");
    check_refused("demo:-32", 0, RN_EUSAGE, "size -32");
    check_refused("demo:4294967328", 0, RN_EUSAGE, "size 4294967328"); /* 32 if cut to 32 bits */
    check_refused("demo:64", 32, RN_EUSAGE, "contradict");
    check_refused("demo", 65, RN_EUSAGE, "size 65");
    check_refused("cifar10:/nowhere/at/all", 0, RN_EINPUT, "no such folder");
    check_refused("mnist:/nowhere/at/all", 0, RN_EINPUT, "no such folder");
}

/* -- images of a few pixels -------------------------------------------------------------------- */
#define C 3
#define H 7
#define W 5
#define IMAGE (C * H * W)

static void test_normalise(void)
{
    static const double mean[3] = { 0.4914, 0.4465, 1.0 }, std[3] = { 0.2023, 0.2010, 1.0 };
    static const uint8_t u[18] = { 0, 1, 127, 128, 254, 255, 0, 1, 127, 128, 254, 255,
                                   255, 255, 255, 255, 255, 255 };
    static const uint32_t bits[18] = { /* by NumPy in float32 */
        0xc01b75d0, 0xc01a3836, 0x3d066cd9, 0x3d55d38f, 0x401fa937, 0x4020e6d1,
        0xc00e2b4e, 0xc00ceba5, 0x3e8348b2, 0x3e8d45f7, 0x402efd7a, 0x40303d22 };
    float got[18], want[18];
    for (int i = 0; i < 18; i++) want[i] = rn_float(bits[i]);
    normalised(got, u, 3, 2, 3, mean, std);
    check_bits("normalise", got, want, 18);
    double tiny[3] = { 0, 0, 0 }, huge[3] = { 0x1p127, 0x1p127, 0x1p127 };
    normalised(got, u, 3, 2, 3, tiny, huge); /* subnormal results are stored as +0 (A5) */
    for (int i = 0; i < 18; i++) CHECK(rn_bits(got[i]) == 0);
}

/* -- shuffling --------------------------------------------------------------------------------- */

static void test_shuffle(void)
{
    enum { N = 1000 };
    static uint32_t a[N], b[N];
    bool seen[N] = { false };
    int same_epoch = 0, same_seed = 0, in_place = 0;
    rn_shuffle(a, N, 7, 3);
    for (int i = 0; i < N; i++) {
        CHECK(a[i] < N && !seen[a[i]]);
        if (a[i] < N) seen[a[i]] = true;
        in_place += a[i] == (uint32_t)i;
    }
    rn_shuffle(b, N, 7, 4);
    for (int i = 0; i < N; i++) same_epoch += a[i] == b[i];
    rn_shuffle(b, N, 8, 3);
    for (int i = 0; i < N; i++) same_seed += a[i] == b[i];
    CHECK(in_place < 10 && same_epoch < 10 && same_seed < 10);
    rn_shuffle(b, N, 7, 3);
    CHECK(memcmp(a, b, sizeof a) == 0);
    rn_shuffle(b, 1, 7, 3);
    CHECK(b[0] == 0);
    rn_shuffle(NULL, 0, 7, 3);
}

/* All 24 orders of four things come about equally often. */
static void test_shuffle_is_fair(void)
{
    int count[256] = { 0 }, orders = 0;
    for (uint32_t e = 0; e < 24 * 200; e++) {
        uint32_t o[4];
        rn_shuffle(o, 4, 99, e);
        count[o[0] << 6 | o[1] << 4 | o[2] << 2 | o[3]]++;
    }
    for (int i = 0; i < 256; i++) {
        orders += count[i] > 0;
        CHECK(!count[i] || (count[i] > 130 && count[i] < 270)); /* 200, five deviations */
    }
    CHECK(orders == 24);
}

/* -- loader ------------------------------------------------------------------------------------ */

#define COUNT 53
static uint8_t pixels[COUNT * IMAGE];
static int32_t labels[COUNT];
static struct rn_dataset set = { .name = "made up", .channels = C, .height = H, .width = W,
                                 .classes = 10, .train = { COUNT, pixels, labels, NULL } };

static struct rn_loader_config config(int workers)
{
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < COUNT; i++) labels[i] = i % 10;
    return (struct rn_loader_config){ .set = &set, .split = &set.train, .batch = 8, .shuffle = true,
                                      .augment = { .crop_padding = 2, .flip = RN_FLIP_RANDOM, .items = 2,
                                                   .item = { RN_AUGMENT_CROP, RN_AUGMENT_FLIP } },
                                      .mean = { .5, .4, .3 },
                                      .std = { .25, .2, .3 }, .seed = 11, .workers = workers };
}

/* The hash of all that a batch says. */
static uint64_t batch_hash(const struct rn_batch *b)
{
    struct rn_hash h;
    size_t count;
    float *floats = images_alloc(&count, &b->images);
    rn_hash_begin(&h, (uint64_t)b->n);
    rn_hash_floats(&h, floats, count);
    rn_free(floats);
    for (int i = 0; i < b->n; i++) rn_hash_u64(&h, (uint64_t)b->labels[i] << 32 | b->index[i]);
    return rn_hash_end(&h);
}

#define STEPS 7 /* ceil(53 / 8) */

/* Hashes of the batches first ... STEPS - 1 of an epoch. */
static void run_epoch(uint64_t hash[STEPS], struct rn_loader *l, uint32_t epoch, int64_t first)
{
    struct rn_batch b;
    CHECK_OK(rn_loader_begin(l, epoch, first));
    for (int64_t s = first; s < STEPS; s++) {
        CHECK_OK(rn_loader_next(l, &b));
        CHECK(b.n == (s == STEPS - 1 ? COUNT % 8 : 8));
        hash[s] = batch_hash(&b);
    }
    for (int i = 0; i < 2; i++) { /* the end stays the end */
        CHECK_OK(rn_loader_next(l, &b));
        CHECK(b.n == 0);
    }
}

static void test_loader_content(void)
{
    struct rn_loader_config c = config(0);
    struct rn_loader *l;
    struct rn_batch b;
    uint32_t order[COUNT];
    uint8_t cut[IMAGE];
    float got[8 * IMAGE], want[IMAGE];
    int64_t at = 0;
    CHECK_OK(rn_loader_create(&l, &c));
    CHECK(rn_loader_steps(l) == STEPS && rn_loader_count(l) == COUNT);
    rn_shuffle(order, COUNT, c.seed, 5);
    CHECK_OK(rn_loader_begin(l, 5, 0));
    while (rn_loader_next(l, &b) == RN_OK && b.n) {
        images_floats(got, &b.images);
        for (int i = 0; i < b.n; i++, at++) {
            CHECK(b.index[i] == order[at] && b.labels[i] == labels[order[at]]);
            rn_augment_image(cut, pixels + order[at] * IMAGE, C, H, W, &c.augment, c.seed, 5,
                             order[at]);
            normalised(want, cut, C, H, W, c.mean, c.std);
            check_bits("image of a batch", got + i * IMAGE, want, IMAGE);
        }
    }
    CHECK(at == COUNT);
    rn_loader_free(l);
}

static void test_loader_workers(void)
{
    static const int workers[] = { 0, 1, 2, 3, 6, 64 };
    uint64_t want[3][STEPS], got[STEPS];
    for (size_t k = 0; k < RN_COUNT(workers); k++) {
        struct rn_loader_config c = config(workers[k]);
        struct rn_loader *l;
        CHECK_OK(rn_loader_create(&l, &c));
        for (uint32_t e = 0; e < 3; e++) {
            run_epoch(k ? got : want[e], l, e, 0);
            CHECK_MSG(!k || memcmp(got, want[e], sizeof got) == 0, "%d workers, epoch %" PRIu32,
                      workers[k], e);
        }
        rn_loader_free(l);
    }
    CHECK(memcmp(want[0], want[1], sizeof want[0]) != 0);
}

static void test_loader_resume(void)
{
    for (int workers = 0; workers <= 3; workers += 3) {
        struct rn_loader_config c = config(workers);
        struct rn_loader *l;
        struct rn_batch b;
        uint64_t want[STEPS], got[STEPS];
        CHECK_OK(rn_loader_create(&l, &c));
        run_epoch(want, l, 9, 0);
        for (int64_t first = 0; first <= STEPS; first++) {
            memcpy(got, want, sizeof got);
            CHECK_OK(rn_loader_begin(l, 1, first / 2)); /* an epoch left in the middle */
            CHECK_OK(rn_loader_next(l, &b));
            run_epoch(got, l, 9, first);
            CHECK_MSG(memcmp(got, want, sizeof got) == 0, "from step %" PRId64, first);
        }
        CHECK(rn_loader_begin(l, 0, STEPS + 1) == RN_EUSAGE);
        CHECK(rn_loader_begin(l, 0, -1) == RN_EUSAGE);
        rn_loader_free(l);
    }
}

/* An epoch begun while workers still fill batches of another: pictures large enough to be in the
 * middle. */
static void test_loader_begin_again(void)
{
    enum { SIDE = 224, BIG = 40 };
    size_t image = 3 * SIDE * SIDE;
    struct rn_dataset big = { .name = "made up", .channels = 3, .height = SIDE, .width = SIDE };
    big.train.pixels = rn_alloc(BIG * image);
    big.train.labels = rn_alloc_array(BIG, sizeof *big.train.labels);
    big.train.count = BIG;
    for (size_t i = 0; i < BIG * image; i++) big.train.pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    uint64_t want = 0;
    for (int workers = 0; workers <= 4; workers += 4) {
        struct rn_loader_config c = config(workers);
        struct rn_loader *l;
        struct rn_batch b;
        c.set = &big;
        c.split = &big.train;
        CHECK_OK(rn_loader_create(&l, &c));
        for (int i = 0; i < (workers ? 12 : 1); i++) {
            struct rn_hash h;
            CHECK_OK(rn_loader_begin(l, 1, 0));
            CHECK_OK(rn_loader_next(l, &b)); /* the other workers are at it now */
            CHECK_OK(rn_loader_begin(l, 9, 0));
            rn_hash_begin(&h, 0);
            while (rn_loader_next(l, &b) == RN_OK && b.n)
                rn_hash_bytes(&h, b.images.pixels, (size_t)b.n * image);
            if (!workers) want = rn_hash_end(&h);
            CHECK(rn_hash_end(&h) == want);
        }
        rn_loader_free(l);
    }
    rn_free(big.train.pixels);
    rn_free(big.train.labels);
}

static void test_loader_order(void)
{
    struct rn_loader_config c = config(2);
    struct rn_loader *l;
    struct rn_batch b;
    uint32_t at = 0;
    c.shuffle = false;
    c.limit = 20;
    CHECK_OK(rn_loader_create(&l, &c));
    CHECK(rn_loader_count(l) == 20 && rn_loader_steps(l) == 3);
    CHECK_OK(rn_loader_begin(l, 3, 0));
    while (rn_loader_next(l, &b) == RN_OK && b.n)
        for (int i = 0; i < b.n; i++) CHECK(b.index[i] == at++);
    CHECK(at == 20);
    rn_loader_free(l);
    c.shuffle = true; /* shuffled among the first 20 */
    CHECK_OK(rn_loader_create(&l, &c));
    CHECK_OK(rn_loader_begin(l, 3, 0));
    while (rn_loader_next(l, &b) == RN_OK && b.n)
        for (int i = 0; i < b.n; i++) CHECK(b.index[i] < 20);
    rn_loader_free(l);
}

/* Ended at any moment: workers waiting, filling, or not yet begun. */
static void test_loader_free_early(void)
{
    struct rn_loader_config c = config(3);
    struct rn_batch b;
    uint64_t before = rn_alloc_live();
    for (int taken = -2; taken < STEPS; taken++) {
        struct rn_loader *l;
        CHECK_OK(rn_loader_create(&l, &c));
        if (taken == -1) CHECK(rn_loader_next(l, &b) == RN_OK && b.n == 0);
        if (taken >= 0) CHECK_OK(rn_loader_begin(l, 0, 0));
        for (int i = 0; i < taken; i++) CHECK_OK(rn_loader_next(l, &b));
        rn_loader_free(l);
    }
    rn_loader_free(NULL);
    CHECK(rn_alloc_live() == before);
}

static void test_loader_refuses(void)
{
    struct rn_loader *l;
    struct rn_loader_config c = config(65);
    CHECK(rn_loader_create(&l, &c) == RN_EUSAGE && !l);
    c = config(-1);
    CHECK(rn_loader_create(&l, &c) == RN_EUSAGE);
    c = config(0);
    c.batch = 0;
    CHECK(rn_loader_create(&l, &c) == RN_EUSAGE);
    c = config(0);
    c.std[1] = 0;
    CHECK(rn_loader_create(&l, &c) == RN_EUSAGE);
    c = config(0);
    c.mean[2] = (double)NAN;
    CHECK(rn_loader_create(&l, &c) == RN_EUSAGE);
    c = config(0);
    c.batch = INT32_MAX; /* no memory for images that do not exist */
    CHECK_OK(rn_loader_create(&l, &c));
    CHECK(rn_loader_steps(l) == 1);
    rn_loader_free(l);
}

static void test_loader_measure(void)
{
    struct rn_loader_config c = config(0);
    struct rn_loader_size size, ahead;
    const uint64_t live = rn_alloc_live();
    CHECK_OK(rn_loader_measure(&size, &c));
    CHECK(size.count == COUNT && size.steps == STEPS);
    const size_t images = (size_t)c.batch * (IMAGE + sizeof(struct rn_image_move) + 2 * sizeof(int32_t));
    CHECK(size.bytes > images && size.bytes < images + 2048);
    c.workers = 2;
    CHECK_OK(rn_loader_measure(&ahead, &c));
    CHECK(ahead.bytes > size.bytes + 2 * images && ahead.bytes < 3 * size.bytes);
    c.limit = 1;
    c.batch = INT32_MAX; /* of images that do not exist */
    CHECK_OK(rn_loader_measure(&ahead, &c));
    CHECK(ahead.count == 1 && ahead.steps == 1 && ahead.bytes < size.bytes);
    struct rn_dataset wide = *c.set;
    struct rn_split many = { .count = UINT32_MAX };
    wide.height = wide.width = 1 << 20;
    c.set = &wide;
    c.split = &many;
    c.limit = 0;
    CHECK_OK(rn_loader_measure(&ahead, &c));
    CHECK(ahead.bytes == SIZE_MAX / 2);
    c.batch = 0;
    CHECK(rn_loader_measure(&ahead, &c) == RN_EUSAGE);
    CHECK(rn_alloc_live() == live);
}

static void test_loader_memory(void)
{
    struct rn_loader_config c = config(2);
    uint64_t before = rn_alloc_live();
    rn_status status = RN_ENOMEM;
    uint64_t n = 0;
    while (status == RN_ENOMEM && n < 100) {
        struct rn_loader *l;
        rn_alloc_fail_at(++n, false);
        status = rn_loader_create(&l, &c);
        rn_alloc_fail_at(0, false);
        CHECK(status == RN_OK || status == RN_ENOMEM);
        rn_loader_free(l);
        CHECK(rn_alloc_live() == before);
    }
    CHECK(status == RN_OK && n > 10);
}

/* What is counted is the time in rn_loader_next, and nothing else. */
static void test_loader_waited(void)
{
    const struct timespec nap = { 0, 50000000 };
    struct rn_loader_config c = config(0);
    struct rn_loader *l;
    struct rn_batch b;
    CHECK_OK(rn_loader_create(&l, &c));
    CHECK_OK(rn_loader_begin(l, 0, 0));
    CHECK(rn_loader_waited(l) == 0);
    const double start = rn_seconds();
    CHECK_OK(rn_loader_next(l, &b));
    const double first = rn_loader_waited(l);
    nanosleep(&nap, NULL);
    CHECK(rn_loader_waited(l) == first && first > 0);
    while (rn_loader_next(l, &b) == RN_OK && b.n) { }
    CHECK(rn_loader_waited(l) > first && rn_loader_waited(l) <= rn_seconds() - start - 0.05);
    rn_loader_free(l);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_specs), RN_TEST_ROW(test_normalise), RN_TEST_ROW(test_shuffle),
        RN_TEST_ROW(test_shuffle_is_fair), RN_TEST_ROW(test_loader_content),
        RN_TEST_ROW(test_loader_workers), RN_TEST_ROW(test_loader_resume),
        RN_TEST_ROW(test_loader_begin_again), RN_TEST_ROW(test_loader_order),
        RN_TEST_ROW(test_loader_free_early),
        RN_TEST_ROW(test_loader_refuses), RN_TEST_ROW(test_loader_memory),
        RN_TEST_ROW(test_loader_measure), RN_TEST_ROW(test_loader_waited),
    };
    return rn_test_main("test_data", rows, RN_COUNT(rows), argc, argv);
}
