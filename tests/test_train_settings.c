#define _POSIX_C_SOURCE 200809L
/*
 * test_train_settings.c - what ./train makes of initial weights without --arch: the net of their
 * shapes, with a head for the data's classes; settings that settle others; what a run's later part and
 * its replay inherit.
 */
#include "tests/test_train.h"

#include "base/file.h"
#include "tools/train/settings.h"

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

/* Flags of one program call, settled for the tiny data. */
static void settled(struct opt_set *o, int count, const char *const *flags)
{
    char words[8][64], *argv[9];
    CHECK(count < 8);
    for (int i = 0; i <= count; i++) {
        snprintf(words[i], sizeof words[i], "%s", i ? flags[i - 1] : "train");
        argv[i] = words[i];
    }
    opt_begin(o, "train", "");
    opt_add(o, tool_train_rows, tool_train_rows_count);
    opt_add(o, opt_net, opt_net_count);
    opt_add(o, opt_common, opt_common_count);
    CHECK_OK(opt_parse(o, count + 1, argv));
    CHECK_OK(tool_train_settle(o, tiny_data()));
}

static void test_average(void)
{
    static const char *const on[] = { "--model-ema", "--bias-lr", "0.5", "--norm-weight-decay", "0" };
    struct rn_train_config c;
    struct opt_set o;
    settled(&o, 0, NULL);
    CHECK(!opt_text(&o, "model-ema-decay") && !opt_text(&o, "bias-lr")); /* not a word of what is off */
    CHECK_OK(tool_train_config(&c, &o, tiny_data(), NULL));
    CHECK(!c.average && !c.bias_lr.given && !c.norm_decay.given && !c.bias_decay.given);
    opt_end(&o);
    settled(&o, 5, on);
    CHECK_OK(tool_train_config(&c, &o, tiny_data(), NULL));
    CHECK(c.average && c.average_decay == 0.999 && c.average_steps == 1);
    CHECK(c.bias_lr.given && c.bias_lr.value == 0.5 && c.norm_decay.given && c.norm_decay.value == 0);
    CHECK(!c.bias_decay.given);
    opt_end(&o);
}

static void check_name(const char *flag, const char *value, bool good)
{
    const char *const flags[] = { flag, value };
    struct rn_train_config c;
    struct opt_set o;
    settled(&o, 2, flags);
    rn_status got = tool_train_config(&c, &o, tiny_data(), NULL);
    CHECK_MSG(got == (good ? RN_OK : RN_EUSAGE), "%s %s: %d", flag, value, got);
    opt_end(&o);
}

static void test_names(void)
{
    check_name("--checkpoint-name", "resnet18/resnet18_cifar", true);
    check_name("--checkpoint-name", "plain", true);
    check_name("--checkpoint-name", "/tmp/x", false);
    check_name("--checkpoint-name", "a/", false);
    check_name("--checkpoint-name", "a//b", false);
    check_name("--checkpoint-name", "a/b/c", false);
    check_name("--checkpoint-name", "../a", false);
    check_name("--csv-name", "table.csv", true);
    check_name("--csv-name", "a/table.csv", false);
    check_name("--csv-name", "..", false);
}

/* A replay takes what decides bits and what names files, and not where and how fast to run. */
static void test_adopt_run(void)
{
    static const char conf[] = "seed = 7\nlr = 0.25\nthreads = 3\nepochs = 9\nmodel-ema = true\n"
                               "checkpoint-name = a/b\nresume = else/where.pth\nmax-steps = 4\n";
    const char *folder = make_folder();
    char *path = rn_path_join(folder, "args.conf"), *resumed = NULL;
    struct opt_set o;
    CHECK_OK(rn_file_write(path, conf, sizeof conf - 1));
    begin(&o, NULL);
    CHECK_OK(tool_train_adopt_run(&o, folder, &resumed));
    CHECK(opt_int(&o, "seed") == 7 && opt_real(&o, "lr") == 0.25 && opt_int(&o, "epochs") == 9);
    CHECK(opt_switch(&o, "model-ema") && !strcmp(opt_text(&o, "checkpoint-name"), "a/b"));
    CHECK(!opt_text(&o, "resume") && !opt_text(&o, "max-steps") && opt_int(&o, "threads") != 3);
    CHECK(resumed && !strcmp(resumed, "else/where.pth"));
    rn_free(resumed);
    CHECK_OK(rn_file_write(path, "sead = 7\n", 9));
    CHECK(tool_train_adopt_run(&o, folder, &resumed) == RN_EINPUT && !resumed);
    opt_end(&o);
    rn_free(path);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_shapes), RN_TEST_ROW(test_stems),     RN_TEST_ROW(test_average),
        RN_TEST_ROW(test_names),  RN_TEST_ROW(test_adopt_run),
    };
    return rn_test_main("test_train_settings", rows, RN_COUNT(rows), argc, argv);
}
