#define _POSIX_C_SOURCE 200809L
/*
 * test_train_settings.c - what ./train makes of initial weights without --arch: the net of their
 * shapes, with a head for the data's classes; settings that settle others; what a run's later part and
 * its replay inherit.
 */
#include "tests/test_settings.h"

#include "base/file.h"
#include "base/threads.h"
#include "tools/cli/data.h"
#include "tools/train/advice.h"

#include <stdlib.h>

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
    train_flags(&o, "");
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
    train_flags(&o, "--stem cifar-pool"); /* a flag outranks the file */
    CHECK_OK(tool_train_adopt_shapes(&o, file));
    CHECK(!strcmp(opt_text(&o, "stem"), "cifar-pool"));
    opt_end(&o);
    train_flags(&o, "--stem imagenet");
    CHECK(tool_train_adopt_shapes(&o, file) == RN_EINPUT && strstr(rn_error(), "was asked for"));
    opt_end(&o);
    train_flags(&o, "");
    file->own = NULL; /* nothing says which of three */
    CHECK(tool_train_adopt_shapes(&o, file) == RN_EINPUT && strstr(rn_error(), "give --stem"));
    opt_end(&o);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

static void test_average(void)
{
    struct rn_train_config c;
    struct opt_set o;
    CHECK_OK(configure(&c, &o, ""));
    CHECK(!opt_text(&o, "model-ema-decay") && !opt_text(&o, "bias-lr")); /* not a word of what is off */
    CHECK(!c.average && !c.bias_lr.given && !c.norm_decay.given && !c.bias_decay.given);
    opt_end(&o);
    CHECK_OK(configure(&c, &o, "--model-ema --bias-lr 0.5 --norm-weight-decay 0"));
    CHECK(c.average && c.average_decay == 0.999 && c.average_steps == 1);
    CHECK(c.bias_lr.given && c.bias_lr.value == 0.5 && c.norm_decay.given && c.norm_decay.value == 0);
    CHECK(!c.bias_decay.given);
    opt_end(&o);
}

static void check_name(const char *flag, const char *value, bool good)
{
    char flags[100];
    struct rn_train_config c;
    struct opt_set o;
    snprintf(flags, sizeof flags, "%s %s", flag, value);
    rn_status got = configure(&c, &o, flags);
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
    train_flags(&o, "");
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

/* -- workers ----------------------------------------------------------------------------------- */

/* One for data in memory; a folder's pictures have more where there are CPUs, and a flag outranks both. */
static void test_workers(void)
{
    struct rn_train_config c;
    struct opt_set o;
    CHECK_OK(configure(&c, &o, ""));
    CHECK(c.workers == 1 && !strcmp(opt_text(&o, "workers"), "1"));
    opt_end(&o);
    CHECK_OK(configure(&c, &o, "--workers 0"));
    CHECK(c.workers == 0);
    opt_end(&o);
    train_flags(&o, "--data folder:somewhere");
    CHECK(tool_workers(&o, opt_text(&o, "data")) == RN_MIN(rn_cpu_count(), 4));
    CHECK(tool_usual_workers("folder") == RN_MIN(rn_cpu_count(), 4) && tool_usual_workers("cifar10:x") == 1);
    opt_end(&o);
}

/* What is said of an epoch of so many seconds; "" for nothing. */
static const char *advice(double seconds, double waited, int workers, int cpus, bool folder)
{
    static char said[200];
    struct rn_dataset data = *tiny_data();
    const struct rn_train_config c = { .data = &data, .workers = workers };
    const struct rn_epoch e = { .seconds = seconds, .waited = waited };
    struct rn_text t = {0};
    if (folder) data.train.store = (void *)&data;
    const bool any = tool_advise_workers(&t, &e, &c, cpus);
    snprintf(said, sizeof said, "%s", any && t.data ? t.data : "");
    CHECK(any == (t.length > 0));
    rn_text_free(&t);
    return said;
}

static void test_advice(void)
{
    CHECK(!*advice(100, 4.9, 1, 8, true) && !*advice(10, 0.9, 1, 8, true) && !*advice(0, 0, 1, 8, true));
    CHECK(!strcmp(advice(100, 50, 1, 8, true), "training waited for images 50.0 % of its time: --workers 2 instead "
                                               "of 1 may shorten that, and changes no result"));
    CHECK(strstr(advice(100, 51, 1, 8, true), "--workers 3 instead of 1"));
    CHECK(strstr(advice(100, 51, 2, 8, false), "--workers 5 instead of 2"));
    CHECK(strstr(advice(100, 50, 0, 8, false), "--workers 1 instead of 0"));
    CHECK(strstr(advice(100, 100, 1, 8, true), "--workers 8 instead of 1"));
    CHECK(strstr(advice(100, 80, 4, 4, true), "4 workers on 4 CPUs cannot prepare more; smaller files"));
    CHECK(!*advice(100, 80, 4, 4, false));
}

/* Where weights come from, and whether their head stays. */
static void test_origin(void)
{
    const char *folder = make_folder();
    struct rn_checkpoint *file = tiny_file(folder);
    struct rn_train_config c = tiny_config();
    struct rn_text t = {0};
    tool_tell_origin(&t, &c, NULL);
    CHECK(t.data && !strcmp(t.data, "weights: random, of seed 3"));
    rn_text_free(&t);
    tool_tell_origin(&t, &c, file);
    CHECK_MSG(t.data && strstr(t.data, "/tiny.pth, its head of 3 classes included"), "%s", t.data);
    rn_text_free(&t);
    c.arch.classes = 2;
    tool_tell_origin(&t, &c, file);
    CHECK(t.data && strstr(t.data, "/tiny.pth, but for its head of 3 classes: a new one of 2 is random, of seed 3"));
    rn_text_free(&t);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

static void test_advice_fresh(void)
{
    struct rn_train_config c = { .freeze_bn = true };
    struct rn_text t = {0};
    CHECK(tool_advise_fresh(&t, &c) && strstr(t.data, "--freeze-bn without --weights keeps mean 0"));
    rn_text_free(&t);
    c = (struct rn_train_config){ .freeze = "layer1" };
    CHECK(tool_advise_fresh(&t, &c) && strstr(t.data, "--freeze without --weights keeps parameters"));
    rn_text_free(&t);
    c.freeze = NULL;
    CHECK(!tool_advise_fresh(&t, &c) && !t.length);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_shapes), RN_TEST_ROW(test_stems),     RN_TEST_ROW(test_average),
        RN_TEST_ROW(test_names),  RN_TEST_ROW(test_adopt_run), RN_TEST_ROW(test_workers),
        RN_TEST_ROW(test_advice), RN_TEST_ROW(test_advice_fresh),
        RN_TEST_ROW(test_origin),
    };
    return rn_test_main("test_train_settings", rows, RN_COUNT(rows), argc, argv);
}
