/*
 * test_folder_check.c - what in a folder of pictures looks like a mistake, and what looks like one and is none.
 */
#define _XOPEN_SOURCE 700
#include "tests/test_folder.h"

static bool notes(const struct rn_dataset *set, const char *text)
{
    return set->notes && strstr(set->notes, text);
}

static void test_misnamed(void)
{
    static const struct { const char *name, *part; } row[] = {
        { "Train", "train" }, { "TRAINING", "train" }, { "training_set", "train" }, { "train_Set", "train" },
        { "Val", "val" }, { "VALID", "val" }, { "Validation", "val" }, { "val_set", "val" },
        { "validation_set", "val" }, { "Test", "test" }, { "test_set", "test" },
    };
    static const char *const class[] = { "trains", "tested", "valley", "test_sets", "retrain", "test-set", "Tes" };
    struct rn_dataset_options o = usual(), evaluation = usual();
    char path[40], says[120];
    evaluation.no_train = true;
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        clear();
        snprintf(path, sizeof path, "%s/cat", row[i].name);
        pictures(path, 1, 1);
        pictures("other/dog", 1, 2);
        snprintf(says, sizeof says, "has a folder \"%s\": images of %s are expected in \"%s\"", row[i].name,
                 row[i].part, row[i].part);
        check_refused(says);
        check_refused_with(&evaluation, RN_EINPUT, says);
        pictures("train/cat", 1, 3);
        pictures("train/dog", 1, 4);
        check_refused(says);
    }
    clear();
    for (size_t i = 0; i < RN_COUNT(class); i++) pictures(class[i], 1, (int)i);
    put("Train", "a file", 6);
    struct rn_dataset *set = opened(&o);
    CHECK(set && set->classes == (int)RN_COUNT(class) && !set->notes);
    rn_dataset_close(set);
}

static void test_beside(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/a", 1, 1);
    pictures("train/b", 1, 2);
    pictures("val/a", 1, 3);
    put("readme.txt", "x", 1);
    struct rn_dataset *set = opened(&o);
    CHECK(set && !set->notes);
    rn_dataset_close(set);
    pictures("more", 1, 4);
    pictures("extra\nline/a", 1, 5);
    o.strict = true;
    set = opened(&o);
    CHECK(set && set->train.count == 2 && set->skipped == 0);
    CHECK_MSG(set && notes(set, ": not looked at beside train, val and test: extra\\x0aline, more\n"), "%s",
              set && set->notes ? set->notes : "no notes");
    rn_dataset_close(set);
}

static void test_twice(void)
{
    struct rn_dataset_options o = usual(), strict = usual();
    strict.strict = true;
    clear();
    pictures("train/a", 3, 1);
    pictures("train/b", 3, 11);
    pictures("val/a", 2, 21);
    pictures("test/b", 2, 31);
    picture("train/a/again.png", 1, 20, 18); /* in the same class of the same part: nobody minds */
    struct rn_dataset *set = opened(&strict);
    CHECK(set && set->train.count == 7 && !set->notes);
    rn_dataset_close(set);
    picture("val/a/zz.png", 12, 21, 19); /* train/b/01.png */
    set = opened(&o);
    CHECK(set && set->val.count == 3 && !set->skipped && notes(set, "1 picture is in more than one class"));
    CHECK(set && notes(set, "/train/b/01.png and ") && notes(set, "/val/a/zz.png\n"));
    rn_dataset_close(set);
    check_refused_with(&strict, RN_EINPUT, "/val/a/zz.png");
    strict.no_train = true; /* what is not read is not compared */
    set = opened(&strict);
    CHECK(set && set->val.count == 3 && !set->notes);
    rn_dataset_close(set);
    strict.no_train = false;
    CHECK(remove(path_of("val/a/zz.png")) == 0);
    picture("val/a/zz.png", 2, 21, 19); /* of the same class, in train and val */
    picture("test/b/zz.png", 21, 20, 18);
    set = opened(&o);
    CHECK(set && notes(set, "2 pictures are in ") && notes(set, "/train/a/01.png and "));
    CHECK(set && notes(set, "/val/a/zz.png\n"));
    rn_dataset_close(set);
    CHECK(remove(path_of("val/a/zz.png")) == 0 && remove(path_of("test/b/zz.png")) == 0);
    CHECK(symlink("../a", path_of("train/b/link")) == 0);
    set = opened(&o);
    CHECK(set && notes(set, "3 pictures are in ") && notes(set, "/train/a/00.png and "));
    CHECK(set && notes(set, "/train/b/link/00.png\n"));
    rn_dataset_close(set);
    check_refused_with(&strict, RN_EINPUT, "/train/b/link/00.png");
}

/* What systems leave in folders. */
static void test_furniture(void)
{
    struct rn_dataset_options o = usual();
    o.strict = true;
    clear();
    pictures("train/a", 2, 1);
    pictures("train/b", 2, 3);
    put("train/a/Thumbs.db", "x", 1); /* no picture, and not meant to be one */
    put("train/a/more/DESKTOP.INI", "x", 1);
    put("train/a/.DS_Store", "x", 1);
    struct rn_dataset *set = opened(&o);
    CHECK(set && set->train.count == 2 && set->val.count == 2 && !set->skipped && !set->notes);
    rn_dataset_close(set);
    put("train/a/Thumbs.dbx", "x", 1);
    check_refused_with(&o, RN_EINPUT, "/train/a/Thumbs.dbx: ");
    CHECK(remove(path_of("train/a/Thumbs.dbx")) == 0);
    picture("train/a/desktop.ini/x.png", 9, 9, 9);
    set = opened(&o);
    CHECK(set && set->train.count + set->val.count == 5);
    rn_dataset_close(set);
}

static void look_for_notes(const struct rn_dataset *set)
{
    CHECK(notes(set, "not looked at") && notes(set, "1 picture is in "));
}

static void test_check_memory(void)
{
    struct rn_dataset_options o = usual();
    clear();
    pictures("train/a", 1, 1);
    pictures("train/b", 2, 1);
    pictures("more", 1, 1);
    o.threads = 1;
    check_memory(&o, look_for_notes);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_misnamed), RN_TEST_ROW(test_beside), RN_TEST_ROW(test_twice), RN_TEST_ROW(test_furniture),
        RN_TEST_ROW(test_check_memory),
    };
    return folder_test_main("test_folder_check", rows, RN_COUNT(rows), argc, argv);
}
