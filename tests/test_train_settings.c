#define _POSIX_C_SOURCE 200809L
/*
 * test_train_settings.c - what ./train makes of initial weights without --arch: the net of their
 * shapes, with a head for the data's classes.
 */
#include "tests/test_train.h"

#include "base/file.h"
#include "tools/cli/train_settings.h"

#include <stdlib.h>

static void begin(struct opt_set *o, char *stem)
{
    char program[] = "train", flag[] = "--stem", *argv[] = { program, flag, stem };
    opt_begin(o, "train", "");
    opt_add(o, tool_train_rows, tool_train_rows_count);
    opt_add(o, opt_net, opt_net_count);
    opt_add(o, opt_common, opt_common_count);
    CHECK_OK(opt_parse(o, stem ? 3 : 1, argv));
}

/* A checkpoint of the tiny net, opened; the folder is the caller's to remove. */
static struct rn_checkpoint *tiny_file(const char *folder)
{
    struct rn_train_config c = tiny_config();
    struct rn_checkpoint *file = NULL;
    char *path = rn_path_join(folder, "tiny.pth");
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_save(x.t, path));
    tiny_end(&x);
    CHECK_OK(rn_checkpoint_open(&file, path));
    rn_free(path);
    return file;
}

static void test_shapes(void)
{
    const char *folder = make_folder();
    struct rn_checkpoint *file = tiny_file(folder);
    struct rn_dataset data = *tiny_data();
    struct rn_train_config c;
    struct opt_set o;
    data.classes = 5; /* another head than the file's three */
    begin(&o, NULL);
    CHECK_OK(tool_train_adopt_shapes(&o, file));
    CHECK(!strcmp(opt_text(&o, "arch"), TOOL_CUSTOM) && !strcmp(opt_text(&o, "stem"), "3x3s2"));
    CHECK_OK(tool_train_settle(&o, &data));
    CHECK_OK(tool_train_config(&c, &o, &data, file));
    CHECK(c.arch.classes == 5 && c.arch.blocks == 2 && c.arch.features == 8);
    CHECK(c.arch.stem == RN_STEM_3X3S2 && c.arch.stem_width[0] == 4);
    CHECK(tool_train_config(&c, &o, &data, NULL) == RN_EUSAGE && strstr(rn_error(), "--weights"));
    opt_end(&o);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

static void test_stems(void)
{
    const char *folder = make_folder();
    struct rn_checkpoint *file = tiny_file(folder);
    struct opt_set o;
    char pool[] = "cifar-pool", imagenet[] = "imagenet";
    begin(&o, pool); /* a flag outranks the file */
    CHECK_OK(tool_train_adopt_shapes(&o, file));
    CHECK(!strcmp(opt_text(&o, "stem"), "cifar-pool"));
    opt_end(&o);
    begin(&o, imagenet);
    CHECK(tool_train_adopt_shapes(&o, file) == RN_EINPUT && strstr(rn_error(), "was asked for"));
    opt_end(&o);
    begin(&o, NULL);
    file->own = NULL; /* nothing says which of three */
    CHECK(tool_train_adopt_shapes(&o, file) == RN_EINPUT && strstr(rn_error(), "give --stem"));
    opt_end(&o);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_shapes), RN_TEST_ROW(test_stems) };
    return rn_test_main("test_train_settings", rows, RN_COUNT(rows), argc, argv);
}
