/*
 * test_store.c - pictures in files on their way to the net: cache, threads and workers change no bit, evaluation
 * sees the middle, and a file that changes ends the run with its state saved.
 */
#define _XOPEN_SOURCE 700
#include "tests/test_folder.h"
#include "tests/test_images.h"
#include "tests/test_train.h"

#include "base/hash.h"

/* -- batches ----------------------------------------------------------------------------------- */

#define SIDE 8
#define BATCH 4

static uint64_t epochs_hash(const struct rn_dataset *set, const struct rn_split *split, const char *augment,
                            int workers)
{
    struct rn_loader_config c = { .set = set, .split = split, .batch = BATCH, .shuffle = true, .seed = 3,
                                  .mean = { .5, .4, .3 }, .std = { .25, .2, .3 }, .workers = workers };
    struct rn_loader *l;
    struct rn_batch b;
    struct rn_hash h;
    rn_hash_begin(&h, 0);
    CHECK_OK(rn_augment_parse(&c.augment, augment));
    CHECK_OK(rn_loader_create(&l, &c));
    for (uint32_t epoch = 0; l && epoch < 2; epoch++) {
        CHECK_OK(rn_loader_begin(l, epoch, 0));
        for (;;) {
            CHECK_OK(rn_loader_next(l, &b));
            if (!b.n) break;
            size_t count;
            float *floats = images_alloc(&count, &b.images);
            rn_hash_floats(&h, floats, count);
            rn_free(floats);
            for (int i = 0; i < b.n; i++) rn_hash_u64(&h, (uint64_t)b.labels[i] << 32 | b.index[i]);
        }
    }
    rn_loader_free(l);
    return rn_hash_end(&h);
}

static void test_same_batches(void)
{
    static const char *const lists_of[] = { "none", "crop:2,flip", "flip,jitter:0.4:0.4:0.4:0.1,rotate:20,erase:1",
                                            "rrc,flip,affine:10:0.1:0.1" };
    static const uint64_t room[] = { 0, 3000, 1 << 20 };
    clear();
    pictures("train/a", 7, 10);
    pictures("train/b", 6, 90);
    picture("train/a/small.png", 200, 7, 9);
    picture("train/b/large.png", 220, 200, 100);
    pictures("val/a", 3, 40);
    for (size_t list = 0; list < RN_COUNT(lists_of); list++) {
        uint64_t first = 0;
        for (int way = 0; way < 12; way++) {
            struct rn_dataset_options o = usual();
            o.originals = list == 3;
            o.cache_bytes = room[way % 3];
            o.threads = 1 + way % 2;
            struct rn_dataset *set = opened(&o);
            if (!set) return;
            uint64_t hash = epochs_hash(set, &set->train, lists_of[list], way / 3);
            if (!way) first = hash;
            CHECK_MSG(hash == first, "%s: way %d", lists_of[list], way);
            rn_dataset_close(set);
        }
    }
}

/* What is kept is bounded, and is what is decoded. */
static void test_cache(void)
{
    struct rn_dataset_options o = usual();
    clear();
    for (int i = 0; i < 8; i++) {
        char name[40];
        snprintf(name, sizeof name, "train/%c/%d.png", 'a' + i % 2, i);
        picture(name, i, 30, 20); /* kept with 15 x 10 pixels */
    }
    pictures("val/a", 1, 1);
    o.cache_bytes = 5 * 450 + 449;
    struct rn_dataset *set = opened(&o);
    if (!set) return;
    int kept = 0;
    for (uint32_t i = 0; i < 8; i++) {
        struct rn_picture *p = &set->train.store->picture[i];
        struct rn_view there, here;
        struct rn_image own;
        CHECK(p->width == 15 && p->height == 10);
        if (!p->pixels) continue;
        kept++;
        CHECK_OK(rn_store_get(&there, &own, set->train.store, i));
        CHECK(there.pixels == p->pixels && !own.pixels);
        uint8_t *pixels = p->pixels;
        p->pixels = NULL;
        CHECK_OK(rn_store_get(&here, &own, set->train.store, i));
        CHECK(here.width == 15 && !memcmp(here.pixels, pixels, 450));
        rn_image_free(&own);
        p->pixels = pixels;
    }
    CHECK(kept == 5);
    rn_dataset_close(set);
    o.originals = true; /* of training pictures only */
    set = opened(&o);
    CHECK(set && set->train.store->picture[0].width == 30 && set->train.store->picture[0].height == 20);
    CHECK(set && set->val.store->picture[0].width == 11 && set->val.store->picture[0].height == 10);
    rn_dataset_close(set);
}

/* Evaluation sees the middle: of 13 columns 8 from number 2 on (2.5 is rounded to even), of 10 rows from 1 on. */
static void test_centre_crop(void)
{
    uint8_t planes[3 * 15 * 10], got[3 * SIDE * SIDE];
    for (int i = 0; i < 3 * 15 * 10; i++) planes[i] = (uint8_t)(i % 251);
    const struct rn_view view = { 13, 10, planes };
    CHECK_OK(rn_centre_crop(got, SIDE, &view, 10));
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            CHECK(!memcmp(got + (c * SIDE + y) * SIDE, planes + (c * 10 + y + 1) * 13 + 2, SIDE));
    const struct rn_view wider = { 15, 10, planes };
    uint8_t odd[3 * SIDE * SIDE];
    CHECK_OK(rn_centre_crop(odd, SIDE, &wider, 10)); /* 3.5 is rounded to 4 */
    CHECK(!memcmp(odd, planes + 15 + 4, SIDE));
    struct rn_view larger = view;
    struct rn_image own;
    CHECK_OK(rn_view_resize(&larger, &own, 21));
    CHECK(larger.width == 27 && larger.height == 21 && larger.pixels == own.pixels); /* 27.3 */
    rn_image_free(&own);
}

static void test_changed_file(void)
{
    const struct rn_dataset_options o = usual(); /* nothing is kept */
    for (int way = 0; way < 2; way++)
        for (int workers = 0; workers < 3; workers++) {
            struct rn_loader *l;
            struct rn_batch b;
            rn_status status = RN_OK;
            clear();
            pictures("train/a", 6, 1);
            pictures("train/b", 6, 1);
            pictures("val/a", 1, 1);
            struct rn_dataset *set = opened(&o);
            if (!set) return;
            if (way) CHECK(remove(path_of("train/b/03.png")) == 0);
            else picture("train/b/03.png", 99, 20, 20);
            struct rn_loader_config c = { .set = set, .split = &set->train, .batch = 2, .std = { 1, 1, 1 },
                                          .workers = workers };
            CHECK_OK(rn_loader_create(&l, &c));
            CHECK_OK(rn_loader_begin(l, 0, 0));
            int good = 0;
            while (!(status = rn_loader_next(l, &b)) && b.n) good++;
            CHECK(status == RN_EINPUT && good == 4 && b.n == 0 && strstr(rn_error(), "train/b/03.png: "));
            CHECK(way || strstr(rn_error(), "changed since"));
            CHECK(rn_loader_next(l, &b) == RN_OK && b.n == 2); /* the others are as they were */
            rn_loader_free(l);
            rn_dataset_close(set);
        }
}

/* A batch for which there is no memory is refused; nothing is left behind, and the next call makes it. */
static void test_memory(void)
{
    const struct rn_dataset_options o = usual(); /* nothing is kept: every batch allocates */
    const uint64_t before = rn_alloc_live();
    clear();
    pictures("train/a", 2, 1);
    pictures("train/b", 2, 1);
    pictures("val/a", 1, 1);
    struct rn_dataset *set = opened(&o);
    if (!set) return;
    struct rn_loader_config c = { .set = set, .split = &set->train, .batch = 4, .std = { 1, 1, 1 } };
    struct rn_loader *l;
    CHECK_OK(rn_augment_parse(&c.augment, "crop,flip,jitter:0.1"));
    rn_status status = RN_ENOMEM;
    uint64_t n = 0;
    while (status == RN_ENOMEM && n < 1000) {
        struct rn_batch b;
        CHECK_OK(rn_loader_create(&l, &c));
        CHECK_OK(rn_loader_begin(l, 0, 0));
        const uint64_t live = rn_alloc_live();
        rn_alloc_fail_at(++n, false);
        status = rn_loader_next(l, &b);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(status == RN_OK || status == RN_ENOMEM, "allocation %" PRIu64 ": %s", n, rn_error());
        CHECK(rn_alloc_live() <= live + 1 && b.n == (status ? 0 : 4)); /* scratch may have grown */
        rn_loader_free(l);
    }
    CHECK(status == RN_OK && n > 12);
    rn_dataset_close(set);
    CHECK(rn_alloc_live() == before);
}

/* A run whose data change stops where they do, and goes on from there once they are back. */
static void test_run_stops(void)
{
    static const struct rn_observer nobody;
    struct rn_dataset_options o = { .image_size = 32, .resize = 32, .threads = 1 };
    struct rn_train_config c = tiny_config();
    struct rn_run_config place = { .name = "x", .conf = "" };
    struct rn_run *run;
    char aside[2048], output[600];
    clear();
    for (int i = 0; i < 12; i++) {
        char name[60];
        snprintf(name, sizeof name, "data/train/%c/%02d.png", 'a' + i % 3, i);
        picture(name, 20 * i, 32, 32);
        snprintf(name, sizeof name, "data/val/%c/%02d.png", 'a' + i % 3, i);
        picture(name, 20 * i + 5, 32, 32);
    }
    char spec[600];
    struct rn_dataset *set;
    snprintf(spec, sizeof spec, "folder:%s/data", root);
    CHECK_OK(rn_dataset_open(&set, spec, &o));
    if (!set) return;
    c.data = set;
    c.shuffle = false;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_train(x.t, NULL, &nobody));
    const uint64_t whole = rn_net_hash(rn_trainer_net(x.t));
    tiny_end(&x);
    snprintf(aside, sizeof aside, "%s", path_of("aside.png"));
    snprintf(output, sizeof output, "%s/run", root);
    place.output = output;
    CHECK(rename(path_of("data/train/b/07.png"), aside) == 0); /* of the second step's four */
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_run_open(&run, &place));
    CHECK(rn_train(x.t, run, &nobody) == RN_EINPUT);
    CHECK_MSG(strstr(rn_error(), "data/train/b/07.png: ") && strstr(rn_error(), "the state after step 1 is in "), "%s",
              rn_error());
    tiny_end(&x);
    CHECK(rename(aside, path_of("data/train/b/07.png")) == 0);
    struct rn_checkpoint *file;
    CHECK_OK(rn_checkpoint_open(&file, rn_run_last(run)));
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    CHECK(rn_trainer_steps(x.t) == 1);
    CHECK_OK(rn_train(x.t, NULL, &nobody));
    CHECK(rn_net_hash(rn_trainer_net(x.t)) == whole);
    tiny_end(&x);
    /* Its classes are not to be taken for others. */
    char *const first = set->class_names[0];
    set->class_names[0] = set->class_names[1];
    set->class_names[1] = first;
    x = tiny_begin(&c, 1);
    CHECK(rn_trainer_resume(x.t, file, false) == RN_EINPUT);
    CHECK_MSG(strstr(rn_error(), "classes there: a, b, c; here: b, a, c"), "%s", rn_error());
    CHECK(rn_check_classes(file, set, true) == RN_EINPUT);
    tiny_end(&x);
    set->class_names[1] = set->class_names[0];
    set->class_names[0] = first;
    CHECK_OK(rn_check_classes(file, set, false));
    set->class_names[2][0] = 'd';
    CHECK_OK(rn_check_classes(file, set, true));
    CHECK(rn_check_classes(file, set, false) == RN_EINPUT && strstr(rn_error(), "class 2 is \"c\""));
    rn_checkpoint_free(file);
    rn_run_close(run);
    rn_dataset_close(set);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_same_batches), RN_TEST_ROW(test_cache), RN_TEST_ROW(test_centre_crop),
        RN_TEST_ROW(test_changed_file), RN_TEST_ROW(test_memory), RN_TEST_ROW(test_run_stops),
    };
    return folder_test_main("test_store", rows, RN_COUNT(rows), argc, argv);
}
