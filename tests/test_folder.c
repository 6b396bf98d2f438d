/*
 * test_folder.c - data sets in folders: what is found and in which order, what is left out and what is said of
 * it, and how one split becomes two.  What is then read: test_store.c.
 */
#define _XOPEN_SOURCE 700
#include "tests/test_folder.h"

#include <zlib.h>

/* The end of a picture's path. */
static bool is_at(const struct rn_split *split, size_t i, const char *end, int label)
{
    const char *path = i < split->store->count ? split->store->picture[i].path : "";
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && !strcmp(path + length - tail, end) && split->labels[i] == label;
}

static bool lists(const struct rn_dataset *set, const char *text)
{
    return set->skipped_list && strstr(set->skipped_list, text);
}

/* -- what is found ----------------------------------------------------------------------------- */

static void test_order(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/b", 2, 10);
    pictures("train/Z", 1, 20);
    pictures("train/\303\244", 1, 30);
    picture("train/b/1/deep.JPG", 40, 9, 9); /* kinds are told by content */
    picture("train/b/.hidden.png", 50, 9, 9);
    picture("train/.git/x.png", 50, 9, 9);
    picture("train/beside.png", 50, 9, 9);
    pictures("val/b", 1, 60);
    pictures("test/Z", 3, 70);
    struct rn_dataset *set = opened(&o);
    if (!set) return;
    CHECK(set->classes == 3 && set->height == 8 && set->width == 8 && set->channels == 3);
    CHECK(!strcmp(set->class_names[0], "Z") && !strcmp(set->class_names[1], "b") &&
          !strcmp(set->class_names[2], "\303\244"));
    CHECK(set->train.count == 5 && set->val.count == 1 && set->test.count == 3 && set->has_test);
    CHECK(set->skipped == 0 && !set->skipped_list && !strcmp(set->name, "folder") && !set->divided);
    CHECK(is_at(&set->train, 0, "/train/Z/00.png", 0) && is_at(&set->train, 1, "/train/b/00.png", 1));
    CHECK(is_at(&set->train, 2, "/train/b/01.png", 1) && is_at(&set->train, 3, "/b/1/deep.JPG", 1));
    CHECK(is_at(&set->train, 4, "/00.png", 2) && is_at(&set->val, 0, "/val/b/00.png", 1));
    CHECK(set->mean[0] == 0.485 && set->std[2] == 0.225);
    rn_dataset_close(set);
    o.no_test = o.no_train = true;
    set = opened(&o);
    CHECK(set && set->classes == 3 && !set->train.count && set->val.count == 1 && !set->test.count);
    rn_dataset_close(set);
}

static void test_sizes(void)
{
    struct rn_dataset_options o = usual();
    CHECK(rn_resize_side(224) == 256 && rn_resize_side(64) == 73 && rn_resize_side(32) == 37);
    clear();
    pictures("train/a", 1, 1);
    pictures("train/b", 1, 1);
    pictures("valid/a", 1, 1);
    o.image_size = o.resize = 0;
    struct rn_dataset *set = opened(&o);
    CHECK(set && set->height == 224 && set->train.store->resize == 256 && set->val.count == 1);
    CHECK(set && !set->has_test && set->test.count == 1 && set->test.store == set->val.store);
    rn_dataset_close(set);
    o.resize = 200;
    check_refused_with(&o, RN_EUSAGE, "too small");
    o = usual();
    o.val_split = 1;
    check_refused_with(&o, RN_EUSAGE, "between 0 and 1");
}

static void test_refuses(void)
{
    clear();
    check_refused("no class folders");
    picture("train/1.png", 1, 9, 9);
    check_refused("no class folders");
    pictures("train/a", 2, 1);
    check_refused("1 class (a); two are needed");
    CHECK_OK(rn_folder_make(path_of("train/b")));
    check_refused("train/b: a class folder without files");
    put("train/b/x.png", "no", 2);
    check_refused("could not be used: ");
    pictures("val/b", 2, 1);
    check_refused("val has a class without images in train, \"b\"; classes of train: a; of val: b");
    CHECK(strstr(rn_error(), "of val: b; the first that could not be used: ") && strstr(rn_error(), "x.png: is text"));
    pictures("train/b", 2, 1);
    pictures("test/c", 1, 1);
    check_refused("test has a class without images in train, \"c\"; classes of train: a, b; of test: c");
    clear();
    pictures("val/a", 1, 1);
    check_refused("has val but no train");
    pictures("train/a", 1, 1);
    pictures("validation/a", 1, 1);
    check_refused("has both val and validation");
    struct rn_dataset *set;
    CHECK(rn_dataset_open(&set, "folder:/nowhere/at/all", NULL) == RN_EINPUT && strstr(rn_error(), "no such"));
    CHECK(rn_dataset_open(&set, "folder:/dev/null", NULL) == RN_EINPUT && strstr(rn_error(), "is no folder"));
}

static uint64_t hash_of_folder(void)
{
    const struct rn_dataset_options o = usual();
    struct rn_dataset *set = opened(&o);
    const uint64_t hash = set ? rn_dataset_hash(set) : 0;
    rn_dataset_close(set);
    return hash;
}

/* Of bytes, order and classes; never of names. */
static void test_hash(void)
{
    uint64_t hash[6];
    clear();
    pictures("train/a", 2, 1);
    pictures("train/b", 2, 1);
    pictures("val/b", 1, 9);
    hash[0] = hash_of_folder();
    CHECK(hash[0] && hash_of_folder() == hash[0]);
    CHECK(remove(path_of("train/a/00.png")) == 0);
    picture("train/a/-.png", 1, 20, 18);
    CHECK(hash_of_folder() == hash[0]);
    picture("val/b/00.png", 10, 20, 18);
    hash[1] = hash_of_folder();
    pictures("train/a", 3, 1);
    hash[2] = hash_of_folder();
    CHECK(remove(path_of("train/b/01.png")) == 0);
    hash[3] = hash_of_folder();
    picture("train/b/-.png", 2, 21, 19); /* the pictures of hash[2] in another order */
    hash[4] = hash_of_folder();
    pictures("val/a", 1, 10);
    CHECK(remove(path_of("val/b/00.png")) == 0); /* the same picture of another class */
    hash[5] = hash_of_folder();
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++) CHECK_MSG(hash[i] != hash[k], "%d and %d", i, k);
    struct rn_dataset *demo;
    CHECK_OK(rn_dataset_open(&demo, "demo", NULL));
    CHECK(rn_dataset_hash(demo) == 0);
    rn_dataset_close(demo);
}

/* -- what is left out -------------------------------------------------------------------------- */

static void make_bad(void)
{
    size_t size = 0;
    uint8_t *whole = picture_bytes(&size, 7, 40, 30);
    clear();
    pictures("train/a", 2, 1);
    pictures("train/b", 2, 1);
    pictures("val/a", 1, 1);
    put("train/a/03-text.png", "not an image", 12);
    put("train/a/04-empty.jpg", "", 0);
    put("train/a/05-cut.png", whole, size - 30);
    put("train/a/06-gif.jpg", "GIF89a\1\0\1\0\0\0\0;", 14);
    whole[20]++; /* of the width */
    put("train/b/07-damaged.png", whole, size);
    put("val/b/08-line\nbreak.png", "x", 1);
    put("val/b/09-\377\376.png", "x", 1);
    rn_free(whole);
    CHECK(symlink("..", path_of("train/b/up")) == 0 && symlink("../..", path_of("train/b/top")) == 0);
    CHECK(symlink("nothing", path_of("train/b/dangling.png")) == 0);
    CHECK(mkfifo(path_of("train/b/pipe.png"), 0600) == 0);
    CHECK_OK(rn_folder_make(path_of("train/c")));
}

static void test_skipped(void)
{
    static const char *const reason[] = {
        "/train/a/03-text.png: ", "/train/a/04-empty.jpg: is empty", "/train/a/05-cut.png: ",
        "/train/a/06-gif.jpg: ", "GIF", "/train/b/07-damaged.png: ", "/val/b/08-line\\x0abreak.png: ",
        "/val/b/09-\\xff\\xfe.png: ", "/train/b/up: leads back", "/train/b/top: leads back",
        "/train/b/dangling.png: ", "/train/b/pipe.png: ", "/train/c: a class folder without files\n",
        "/val: class \"b\": none of its 2 files can be used\n",
    };
    struct rn_dataset_options o = usual();
    make_bad();
    struct rn_dataset *set = opened(&o);
    if (!set) return;
    CHECK(set->classes == 2 && set->train.count == 4 && set->val.count == 1);
    CHECK_MSG(set->skipped == 13, "%" PRId64 " skipped:\n%s", set->skipped, set->skipped_list);
    for (size_t i = 0; i < RN_COUNT(reason); i++)
        CHECK_MSG(lists(set, reason[i]), "%s is not in\n%s", reason[i], set->skipped_list);
    CHECK(is_at(&set->train, 2, "/train/b/00.png", 1));
    rn_dataset_close(set);
    picture("val/b/good.png", 1, 20, 20);
    put("train/b/00.png", "x", 1); /* the class is found by its second picture, though nobody asks for it */
    o.no_train = true;
    set = opened(&o);
    CHECK(set && set->classes == 2 && set->train.count == 0 && set->val.count == 2 && set->val.labels[1] == 1);
    CHECK(set && !lists(set, "/train/b/00.png") && lists(set, "/val/b/08-line"));
    rn_dataset_close(set);
}

/* The first in order, whoever finds its own first. */
static void test_strict(void)
{
    struct rn_dataset_options o = usual();
    o.strict = true;
    make_bad();
    CHECK(remove(path_of("train/b/up")) == 0 && remove(path_of("train/b/top")) == 0);
    CHECK(remove(path_of("train/c")) == 0);
    for (o.threads = 1; o.threads <= 4; o.threads++) check_refused_with(&o, RN_EINPUT, "/train/a/03-text.png: ");
    CHECK(remove(path_of("train/a/03-text.png")) == 0);
    check_refused_with(&o, RN_EINPUT, "/train/a/04-empty.jpg: is empty");
    clear();
    pictures("train/a", 2, 1);
    pictures("train/b", 2, 3);
    struct rn_dataset *set = opened(&o);
    CHECK(set && set->train.count == 2 && set->val.count == 2);
    rn_dataset_close(set);
}

static void test_long_and_narrow(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/a", 1, 1);
    pictures("train/b", 1, 1);
    pictures("val/a", 1, 1);
    picture("train/a/line.png", 1, 256, 1);
    struct rn_dataset *set = opened(&o);
    CHECK(set && set->train.count == 3 && set->skipped == 0);
    rn_dataset_close(set);
    o.resize = 600; /* 600 x 153600 pixels are too many */
    set = opened(&o);
    CHECK(set && set->train.count == 2 && set->skipped == 1 && lists(set, "too long and narrow"));
    rn_dataset_close(set);
}

static void test_names(void)
{
    const struct rn_dataset_options o = usual();
    clear();
    pictures("train/new\nline", 2, 1);
    pictures("train/\377", 2, 3);
    picture("train/\377/\001\200.png", 9, 9, 9);
    pictures("val/\377", 1, 3);
    struct rn_dataset *set = opened(&o);
    if (!set) return;
    CHECK(!strcmp(set->class_names[0], "new\\x0aline") && !strcmp(set->class_names[1], "\\xff"));
    CHECK(set->train.count == 5 && set->val.labels[0] == 1);
    CHECK(is_at(&set->train, 4, "/01.png", 1) && is_at(&set->train, 2, "/\001\200.png", 1));
    rn_dataset_close(set);
}

/* -- one split becomes two --------------------------------------------------------------------- */

/* The seeds of the pictures in a split, one bit each. */
static uint64_t who(const struct rn_split *split, uint64_t seed)
{
    uint64_t all = 0;
    struct rn_view view;
    struct rn_image own;
    for (uint32_t i = 0; i < (uint32_t)split->count; i++) {
        CHECK_OK(rn_store_get(&view, &own, split->store, i));
        if (view.pixels) all |= UINT64_C(1) << (view.pixels[0] - seed);
        rn_image_free(&own);
    }
    return all;
}

static void test_val_split(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("a", 20, 0); /* class folders without a train above them */
    pictures("b", 10, 20);
    pictures("c", 1, 30);
    struct rn_dataset *set = opened(&o), *again = opened(&o);
    if (!set || !again) return;
    uint64_t train = who(&set->train, 0), val = who(&set->val, 0);
    CHECK(set->train.count == 16 + 8 + 1 && set->val.count == 4 + 2 && !(train & val) && (train | val) == 0x7fffffff);
    CHECK(train >> 30 & 1); /* a class of one stays where the training is */
    CHECK(val == who(&again->val, 0));
    const struct rn_picture *p = set->val.store->picture;
    for (int i = 1; i < 6; i++) CHECK(set->val.labels[i] == (i >= 4) && strcmp(p[i - 1].path, p[i].path) < 0);
    rn_dataset_close(again);
    rn_dataset_close(set);
    /* A damaged picture moves no other. */
    const int held = (val & 1) != 0;
    put("a/00.png", "x", 1);
    set = opened(&o);
    CHECK(set && who(&set->val, 0) == (val & ~UINT64_C(1)) && set->val.count == 6 - held && set->skipped == 1);
    rn_dataset_close(set);
    pictures("a", 1, 0);
    o.seed = 6;
    set = opened(&o);
    CHECK(set && who(&set->val, 0) != val && set->val.count == 6);
    rn_dataset_close(set);
    o.seed = 5;
    o.val_split = 0.5;
    o.no_train = true;
    set = opened(&o);
    CHECK(set && set->val.count == 15 && set->classes == 3 && (who(&set->val, 0) & val) == val);
    rn_dataset_close(set);
}

/* By a Philox of its own, in Python: a change would move images from one run's validation to another's training. */
static void test_val_split_golden(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/a", 20, 0);
    pictures("train/b", 20, 20);
    pictures("test/b", 2, 0);
    o.seed = 42;
    struct rn_dataset *set = opened(&o);
    CHECK_MSG(set && who(&set->val, 0) == UINT64_C(0xa810c280), "%#" PRIx64, set ? who(&set->val, 0) : 0);
    CHECK(set && set->has_test && set->test.count == 2 && set->divided);
    rn_dataset_close(set);
}

/* -- without train ----------------------------------------------------------------------------- */

/* Who does not train needs no training images; who does is told. */
static void test_without_train(void)
{
    struct rn_dataset_options o = usual(), evaluation = usual();
    evaluation.no_train = true;
    clear();
    pictures("test/a", 2, 1);
    pictures("test/b", 3, 10);
    put("test/b/bad.png", "x", 1);
    check_refused_with(&o, RN_EINPUT, "has test but no train");
    struct rn_dataset *set = opened(&evaluation);
    CHECK(set && set->classes == 2 && !set->train.count && set->test.count == 5 && set->val.count == 5);
    CHECK(set && set->only_test && !set->divided && set->skipped == 1 && lists(set, "/test/b/bad.png"));
    CHECK(set && is_at(&set->test, 0, "/test/a/00.png", 0) && is_at(&set->test, 2, "/test/b/00.png", 1));
    rn_dataset_close(set);
    pictures("val/b", 1, 20);
    set = opened(&evaluation); /* which images there are says nothing of the classes: test has both */
    CHECK(set && set->classes == 2 && set->val.count == 1 && set->val.labels[0] == 1 && set->test.count == 5);
    CHECK(set && set->has_test && !set->only_test);
    rn_dataset_close(set);
    evaluation.no_test = true;
    set = opened(&evaluation);
    CHECK(set && set->classes == 2 && set->val.count == 1 && set->val.labels[0] == 1 && !set->test.count);
    rn_dataset_close(set);
    clear();
    pictures("val/a", 2, 1);
    check_refused_with(&evaluation, RN_EINPUT, "val: images of 1 class (a); two are needed");
    CHECK_OK(rn_folder_make(path_of("test")));
    pictures("val/b", 2, 1);
    set = opened(&evaluation);
    CHECK(set && set->classes == 2 && set->val.count == 4);
    rn_dataset_close(set);
    clear();
    CHECK_OK(rn_folder_make(path_of("test")));
    check_refused_with(&evaluation, RN_EINPUT, "test: no class folders in it");
}

/* -- headers only ------------------------------------------------------------------------------ */

/* A PNG with the checksums that fit, and pixels that are none. */
static void put_unreadable(const char *name)
{
    size_t size;
    uint8_t *bytes = picture_bytes(&size, 1, 30, 20), *at = bytes;
    while (memcmp(at, "IDAT", 4)) at++;
    const size_t length = (size_t)at[-2] << 8 | at[-1];
    memset(at + 6, 0xff, length - 6); /* behind the two bytes that begin a zlib stream */
    const uint32_t sum = (uint32_t)crc32(0, at, (uInt)length + 4);
    for (int i = 0; i < 4; i++) at[4 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
    put(name, bytes, size);
    rn_free(bytes);
}

/* The same counts, sizes and hash as if all were decoded, but for what only decoding finds. */
static void test_headers(void)
{
    struct rn_dataset_options all = usual(), headers = usual();
    struct rn_view view;
    struct rn_image own;
    clear();
    pictures("train/a", 4, 1);
    pictures("train/b", 3, 9);
    picture("train/b/wide.png", 50, 90, 40); /* brought to the short side */
    put("train/a/no.png", "x", 1);
    headers.headers = true;
    all.cache_bytes = headers.cache_bytes = 1 << 20;
    struct rn_dataset *a = opened(&all), *b = opened(&headers);
    if (!a || !b) return;
    CHECK(a->train.count == b->train.count && a->val.count == b->val.count && b->skipped == 1);
    CHECK(rn_dataset_hash(a) == rn_dataset_hash(b));
    for (size_t i = 0; i < a->train.store->count; i++) {
        const struct rn_picture *p = &a->train.store->picture[i], *q = &b->train.store->picture[i];
        CHECK(p->width == q->width && p->height == q->height && p->pixels && !q->pixels);
        CHECK_OK(rn_store_get(&view, &own, b->train.store, (uint32_t)i));
        CHECK(!memcmp(view.pixels, p->pixels, 3 * (size_t)p->width * (size_t)p->height));
        rn_image_free(&own);
    }
    rn_dataset_close(a);
    rn_dataset_close(b);
    put_unreadable("val/a/bad.png");
    pictures("val/b", 1, 30);
    a = opened(&all);
    b = opened(&headers);
    CHECK(a && b && a->val.count == 1 && a->skipped == 3 && b->val.count == 2 && b->skipped == 1);
    rn_dataset_close(a);
    rn_dataset_close(b);
}

/* -- memory ------------------------------------------------------------------------------------ */

static void look_at_counts(const struct rn_dataset *set)
{
    CHECK(set->train.count == 2 && set->val.count == 2 && set->skipped == 1);
}

static void test_memory(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/a", 2, 1);
    pictures("train/b", 2, 1);
    put("train/b/bad.png", "x", 1);
    o.cache_bytes = 1 << 20;
    o.threads = 1;
    check_memory(&o, look_at_counts);
}

static int64_t last_done, last_count, calls;

static void note(void *arg, int64_t done, int64_t count)
{
    CHECK(arg == &calls && done > last_done && done <= count);
    last_done = done;
    last_count = count;
    calls++;
}

static void test_progress(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/a", 90, 1);
    pictures("train/b", 10, 1);
    pictures("val/b", 5, 1);
    o.progress = note;
    o.arg = &calls;
    o.threads = 1;
    rn_dataset_close(opened(&o));
    CHECK(calls == 3 && last_done == 105 && last_count == 105);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_order), RN_TEST_ROW(test_sizes), RN_TEST_ROW(test_refuses), RN_TEST_ROW(test_hash),
        RN_TEST_ROW(test_skipped),
        RN_TEST_ROW(test_strict), RN_TEST_ROW(test_long_and_narrow), RN_TEST_ROW(test_names),
        RN_TEST_ROW(test_val_split), RN_TEST_ROW(test_val_split_golden), RN_TEST_ROW(test_without_train),
        RN_TEST_ROW(test_headers), RN_TEST_ROW(test_memory), RN_TEST_ROW(test_progress),
    };
    return folder_test_main("test_folder", rows, RN_COUNT(rows), argc, argv);
}
