#define _POSIX_C_SOURCE 200809L
/*
 * test_train_files.c - what training leaves and takes: the run folder and its tables, checkpoints
 * that do not fit, other settings, values that are not finite, foreign names, memory that runs out.
 */
#include "tests/test_train.h"

#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

static char *read_text(const char *folder, const char *name)
{
    unsigned char *data = NULL;
    size_t bytes;
    char *path = rn_path_join(folder, name);
    CHECK_OK(rn_file_read(&data, &bytes, path, 1 << 20));
    rn_free(path);
    return (char *)data;
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; text++) lines += *text == '\n';
    return lines;
}

static rn_status open_run(struct rn_run **run, const char *output, const char *resume,
                          bool overwrite, int64_t steps, int64_t epochs)
{
    struct rn_run_config c = { .output = output,
                               .name = "tiny",
                               .resume = resume,
                               .overwrite = overwrite,
                               .conf = "lr = 0.1\n",
                               .steps = steps,
                               .epochs = epochs };
    return rn_run_open(run, &c);
}

/* -- the run folder ---------------------------------------------------------------------------- */
static void test_run_folder(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    const char *folder = make_folder();
    struct rn_run *run;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(open_run(&run, folder, NULL, false, 0, 0));
    CHECK_OK(rn_train(x.t, run, &quiet));
    char *csv = read_text(folder, "results.csv"), *hashes = read_text(folder, "hashes.txt");
    char *log = read_text(folder, "log.txt"), *conf = read_text(folder, "args.conf");
    CHECK(!strncmp(csv,
                   "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,images_per_"
                   "second,"
                   "peak_rss_mb\n1,",
                   89));
    CHECK(lines_of(csv) == 3 && strstr(csv, "\n2,") && strstr(csv, ",11,"));
    CHECK(lines_of(hashes) == 8 && !strncmp(hashes, "step 1 loss 0x", 14) &&
          strstr(hashes, "\nepoch 2 step 6 "));
    CHECK(lines_of(log) == 2 && !strcmp(conf, "lr = 0.1\n"));
    CHECK(rn_path_exists(rn_run_last(run)) && rn_path_exists(rn_run_best(run)));
    rn_free(csv);
    rn_free(hashes);
    rn_free(log);
    rn_free(conf);

    struct rn_run *again;
    CHECK(open_run(&again, folder, NULL, false, 0, 0) == RN_EUSAGE);
    CHECK_OK(open_run(&again, folder, rn_run_last(run), false, 4, 1)); /* a checkpoint in it */
    csv = read_text(folder, "results.csv");
    hashes = read_text(folder, "hashes.txt");
    CHECK(lines_of(csv) == 2 && lines_of(hashes) == 5); /* what is beyond the checkpoint is gone */
    rn_free(csv);
    rn_free(hashes);
    rn_run_close(again);
    static const char *const measured[] = { "bench.json", "evaluation.json", "misclassified.json", "roc.csv",
                                            "report.html", "report.md", "report.txt", "notes.txt" };
    char *path[RN_COUNT(measured)];
    for (size_t i = 0; i < RN_COUNT(measured); i++) {
        path[i] = rn_path_join(folder, measured[i]);
        CHECK_OK(rn_file_write(path[i], "x", 1));
    }
    CHECK_OK(open_run(&again, folder, rn_run_last(run), true, 4, 1)); /* goes on: they stay */
    CHECK(rn_path_exists(path[0]) && rn_path_exists(path[6]));
    rn_run_close(again);
    CHECK_OK(open_run(&again, folder, NULL, true, 0, 0));
    CHECK(!rn_path_exists(rn_run_last(run)));
    for (size_t i = 0; i < RN_COUNT(measured); i++) {
        CHECK_MSG(rn_path_exists(path[i]) == !strcmp(measured[i], "notes.txt"), "%s", measured[i]);
        rn_free(path[i]);
    }
    rn_run_close(again);
    rn_run_close(run);
    tiny_end(&x);
    remove_folder(folder);
}

static void test_run_names(void)
{
    const char *folder = make_folder();
    char here[4096];
    struct rn_run *a, *b, *c;
    CHECK(getcwd(here, sizeof here) && !chdir(folder));
    CHECK_OK(open_run(&a, NULL, NULL, false, 0, 0));
    CHECK_OK(open_run(&b, NULL, NULL, false, 0, 0));
    CHECK_OK(open_run(&c, NULL, rn_run_last(a), false, 0, 0)); /* goes on where the checkpoint is */
    CHECK(!strcmp(rn_run_folder(a), "runs/tiny") && !strcmp(rn_run_folder(b), "runs/tiny-2"));
    CHECK(!strcmp(rn_run_folder(c), "runs/tiny"));
    rn_run_close(a);
    rn_run_close(b);
    rn_run_close(c);
    CHECK(open_run(&a, "/proc/nope", NULL, false, 0, 0) == RN_EIO);
    CHECK(!chdir(here));
    remove_folder(folder);
}

static void test_summary(void)
{
    static const char *const key[] = {
        "steps",   "epochs",      "train_loss",     "val_acc",  "best_acc", "images_per_second",
        "seconds", "peak_rss_mb", "weights_hash",   "numerics", "isa",      "backend",
        "threads", "data",        "skipped_images", "skipped_steps", "loss_scale", "waited_seconds",
        "cpu",     "build",       "train_images",   "val_images",
    };
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    struct rn_summary s = { .threads = 1 };
    struct rn_text t = {0};
    struct rn_value *root = NULL;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_train(x.t, NULL, &quiet));
    rn_trainer_summary(x.t, &s);
    CHECK_OK(rn_summary_text(&t, &s));
    CHECK_OK(rn_json_parse(&root, t.data, t.length, "summary"));
    for (size_t i = 0; i < RN_COUNT(key); i++)
        CHECK_MSG(rn_dict_get(root, key[i]), "no %s", key[i]);
    CHECK(root && root->count == 2 * RN_COUNT(key));
    CHECK(rn_dict_get(root, "steps")->integer == 6 &&
          rn_dict_get(root, "weights_hash")->length == 16);
    CHECK(rn_dict_get(root, "train_images")->integer == TINY_TRAIN);
    CHECK(rn_dict_get(root, "val_images")->integer == TINY_VAL);
    CHECK(s.waited_seconds > 0 && !strcmp(s.build, "test") && *s.cpu);
    rn_value_free(root);
    rn_text_free(&t);
    tiny_end(&x);
}

/* An epoch's line ends with the time it waited for images, where that is worth a word. */
static void test_epoch_text(void)
{
    static const struct { double seconds, waited; const char *end; } row[] = {
        { 10, 1.5, " 3.5 img/s, waited 15.0% for images" }, { 10, 0.2, " 3.5 img/s" }, { 0, 0, " 3.5 img/s" },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        const struct rn_epoch e = { .seconds = row[i].seconds, .waited = row[i].waited, .images_per_second = 3.5 };
        struct rn_text t = {0};
        rn_epoch_text(&t, &e);
        const size_t tail = strlen(row[i].end);
        CHECK_MSG(t.length > tail && !strcmp(t.data + t.length - tail, row[i].end), "%s", t.data);
        rn_text_free(&t);
    }
}

/* A diverging run stops with status 1 and leaves a checkpoint of the last good state. */
static void test_diverging_run(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    const char *folder = make_folder();
    struct rn_run *run;
    struct rn_checkpoint *file;
    c.lr = c.head_lr = 1e30;
    c.schedule = (struct rn_schedule){ .kind = RN_CONSTANT };
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(open_run(&run, folder, NULL, false, 0, 0));
    CHECK(rn_train(x.t, run, &quiet) == RN_EFAIL);
    CHECK_MSG(strstr(rn_error(), "not finite; first in ") && strstr(rn_error(), "_last.pth"), "%s",
              rn_error());
    CHECK_OK(rn_checkpoint_open(&file, rn_run_last(run)));
    CHECK_OK(rn_load_weights(rn_trainer_net(x.t), file, false));
    rn_checkpoint_free(file);
    rn_run_close(run);
    tiny_end(&x);
    remove_folder(folder);
}

/* An update that makes a weight not finite ends the run before anything of it is stored. */
static void test_damaging_run(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    const char *folder = make_folder();
    struct rn_run *run;
    c.checkpoint_every = 1;
    struct tiny x = begin_damaging(&c);
    CHECK_OK(open_run(&run, folder, NULL, false, 0, 0));
    CHECK(rn_train(x.t, run, &quiet) == RN_EFAIL);
    CHECK_MSG(strstr(rn_error(), "step 1: the update made a weight not finite; no checkpoint was written"), "%s",
              rn_error());
    CHECK(!rn_path_exists(rn_run_last(run)) && !rn_path_exists(rn_run_best(run)));
    rn_run_close(run);
    tiny_end(&x);
    remove_folder(folder);
}

/* A replay of equal settings agrees; of another seed it names the first step. */
static void test_replay(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    const char *folder = make_folder();
    struct rn_run *run;
    int64_t lines;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(open_run(&run, folder, NULL, false, 0, 0));
    CHECK_OK(rn_train(x.t, run, &quiet));
    rn_run_close(run);
    tiny_end(&x);
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_replay(&lines, x.t, folder, &quiet));
    CHECK(lines == 7); /* six steps and the epoch between them */
    tiny_end(&x);
    c.seed++;
    x = tiny_begin(&c, 1);
    CHECK(rn_replay(&lines, x.t, folder, &quiet) == RN_ECHECK && strstr(rn_error(), "step 1 "));
    tiny_end(&x);
    remove_folder(folder);
}

/* -- checkpoints that do not fit --------------------------------------------------------------- */

/* A checkpoint of the tiny net after one step, opened; the folder is the caller's to remove. */
static struct rn_checkpoint *one_step(const struct rn_train_config *c, const char *folder)
{
    struct rn_checkpoint *file = NULL;
    struct rn_step s;
    char *path = rn_path_join(folder, "one.pth");
    struct tiny x = tiny_begin(c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s));
    CHECK_OK(rn_trainer_save(x.t, path));
    tiny_end(&x);
    CHECK_OK(rn_checkpoint_open(&file, path));
    rn_free(path);
    return file;
}

static struct rn_named *tensor(struct rn_checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->tensors.count; i++)
        if (!strcmp(c->tensors.item[i].name, name)) return &c->tensors.item[i];
    CHECK_MSG(false, "no tensor %s", name);
    return NULL;
}

/* Loading fails with this status and word, and changes nothing. */
static void check_refused(const struct rn_train_config *c, const struct rn_checkpoint *file,
                          rn_status want, const char *word)
{
    struct tiny x = tiny_begin(c, 1);
    uint64_t before = rn_net_hash(rn_trainer_net(x.t));
    rn_status got = rn_trainer_resume(x.t, file, false);
    CHECK_MSG(got == want && strstr(rn_error(), word), "%d instead of %d: %s", got, want,
              rn_error());
    CHECK(before == rn_net_hash(rn_trainer_net(x.t)) && rn_trainer_steps(x.t) == 0);
    tiny_end(&x);
}

static void test_misfits(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    struct rn_checkpoint *file = one_step(&c, folder);
    struct rn_named *fc = tensor(file, "fc.weight"), *bn = tensor(file, "layer2.0.bn1.running_var");
    char *name = fc->name;
    char other[] = "fc.weigth";
    fc->name = other;
    check_refused(&c, file, RN_EINPUT, "fc.weight: missing");
    check_refused(&c, file, RN_EINPUT, "fc.weigth: the net has no such tensor");
    fc->name = name;
    float *value = (float *)bn->tensor.data + 5, kept = *value;
    *value = rn_float(0x7f800000);
    check_refused(&c, file, RN_EINPUT, "layer2.0.bn1.running_var[5] is not finite");
    *value = kept;
    *value = -0x1p-6f;
    check_refused(&c, file, RN_EINPUT, "layer2.0.bn1.running_var[5] is -0.015625");
    *value = kept;
    struct rn_train_config d = c;
    d.arch.stem = RN_STEM_CIFAR_POOL; /* the same shapes under another name */
    check_refused(&d, file, RN_EINPUT, "conv1.weight belongs to stem 3x3s2");
    d = c;
    d.arch.classes = 2;
    CHECK(rn_train_config_check(&d) == RN_EUSAGE && strstr(rn_error(), "2 classes, but tiny"));
    d.arch.classes = 4;
    CHECK_OK(rn_train_config_check(&d));
    check_refused(&d, file, RN_EINPUT, "fc.weight: the file has [3, 8], the net [4, 8]");
    struct tiny x = tiny_begin(&d, 1);
    CHECK(rn_load_weights(rn_trainer_net(x.t), file, false) == RN_EINPUT);
    CHECK_OK(rn_load_weights(rn_trainer_net(x.t), file, true)); /* a new head */
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

static struct rn_value *settings(double lr, int64_t threads)
{
    struct rn_value *d = rn_dict(true);
    CHECK_OK(rn_dict_set(d, "lr", rn_real(lr)));
    CHECK_OK(rn_dict_set(d, "threads", rn_integer(threads)));
    CHECK_OK(rn_dict_set(d, "data", rn_string("tiny")));
    return d;
}

static void test_other_settings(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_value *there = settings(0.1, 1), *now = settings(0.2, 2), *same = settings(0.1, 8);
    const char *folder = make_folder();
    c.arguments = there;
    struct rn_checkpoint *file = one_step(&c, folder);
    c.arguments = now;
    check_refused(&c, file, RN_EUSAGE, "--lr: 0.1 there, 0.2 now");
    CHECK(!strstr(rn_error(), "threads"));
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, true));
    tiny_end(&x);
    c.arguments = same;
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    tiny_end(&x);
    rn_checkpoint_free(file);
    rn_value_free(there);
    rn_value_free(now);
    rn_value_free(same);
    remove_folder(folder);
}

/* Hides a key of a dictionary for as long as it is called something else. */
static char *key_of(struct rn_value *dict, const char *key)
{
    for (size_t i = 0; i + 1 < dict->count; i += 2)
        if (!strcmp(dict->item[i]->text, key)) return dict->item[i]->text;
    CHECK_MSG(false, "no key %s", key);
    return NULL;
}

/* Weights without the optimiser's state, or without resnet_c and epoch, are not to be resumed. */
static void test_incomplete(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    struct rn_checkpoint *file = one_step(&c, folder);
    char *optimizer = key_of(file->root, "optimizer_state_dict");
    char *epoch = key_of(file->root, "epoch");
    optimizer[0] = 'O';
    check_refused(&c, file, RN_EINPUT, "holds weights only (no optimizer_state_dict)");
    optimizer[0] = 'o';
    file->own = NULL;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false)); /* another program's: weights, momentum, epoch */
    tiny_end(&x);
    epoch[0] = 'E';
    check_refused(&c, file, RN_EINPUT, "holds weights only (no epoch)");
    rn_checkpoint_free(file);
    remove_folder(folder);
}

/* A finished run's own figures outlive its resumption; those of another step do not. */
static void test_kept_figures(void)
{
    static const char json[] = "{\"steps\": 6, \"images_per_second\": 12.5, \"seconds\": 3,"
                               " \"peak_rss_mb\": 40.25, \"waited_seconds\": 0.75, \"cpu\": \"Z80\"}";
    const char *folder = make_folder();
    struct rn_summary s = { .steps = 6, .seconds = 0.5, .cpu = "6502", .build = "x" };
    struct rn_run *run;
    CHECK_OK(open_run(&run, folder, NULL, false, 0, 0));
    rn_run_keep_figures(run, &s);
    CHECK(s.seconds == 0.5); /* there is no summary yet */
    CHECK_OK(rn_run_summary(run, json));
    s.steps = 5;
    rn_run_keep_figures(run, &s);
    CHECK(s.seconds == 0.5);
    s.steps = 6;
    rn_run_keep_figures(run, &s);
    CHECK(s.seconds == 3 && s.images_per_second == 12.5 && s.peak_rss_mb == 40.25 && s.waited_seconds == 0.75);
    CHECK(!strcmp(s.cpu, "Z80") && !strcmp(s.build, "x"));
    CHECK_OK(rn_run_summary(run, "not JSON"));
    rn_run_keep_figures(run, &s);
    CHECK(s.seconds == 3);
    char *inside = rn_path_join(folder, "summary.json/run");
    struct rn_run *none;
    CHECK(open_run(&none, inside, NULL, false, 0, 0) == RN_EIO); /* under a file */
    rn_free(inside);
    rn_run_close(run);
    remove_folder(folder);
}

/* Basic blocks numbered as in nn.Sequential load as if they had torchvision's names. */
static void test_sequential_names(void)
{
    static const char *const other[][2] = {
        { "layer2.0.conv1.weight", "layer2.0.0.weight" },
        { "layer2.0.bn2.running_mean", "layer2.0.4.running_mean" },
        { "layer2.0.downsample.0.weight", "layer2.0.5.0.weight" },
    };
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    char *path = rn_path_join(folder, "one.safetensors");
    struct rn_checkpoint *file = one_step(&c, folder);
    for (size_t i = 0; i < RN_COUNT(other); i++) {
        struct rn_named *n = tensor(file, other[i][0]);
        rn_free(n->name);
        n->name = rn_strdup(other[i][1]);
    }
    CHECK(!strcmp(rn_checkpoint_foreign(file), "layer2.0.0.weight"));
    CHECK_OK(rn_safetensors_write(path, &file->tensors));
    rn_checkpoint_free(file);
    CHECK_OK(rn_checkpoint_open(&file, path));
    struct tiny x = tiny_begin(&c, 1);
    CHECK(!rn_checkpoint_foreign(file));
    CHECK_OK(rn_load_weights(rn_trainer_net(x.t), file, false));
    CHECK(rn_trainer_resume(x.t, file, false) == RN_EINPUT); /* weights only */
    tiny_end(&x);
    rn_checkpoint_free(file);
    rn_free(path);
    remove_folder(folder);
}

/* -- memory ------------------------------------------------------------------------------------ */

/* The n-th allocation of saving and of resuming fails, for every n: a status, no leak, nothing
 * changed. */
static void test_no_memory(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_value *arguments = settings(0.1, 1);
    const char *folder = make_folder();
    char *path = rn_path_join(folder, "two.pth");
    c.arguments = arguments;
    struct rn_checkpoint *file = one_step(&c, folder);
    struct tiny x = tiny_begin(&c, 1);
    uint64_t before = rn_net_hash(rn_trainer_net(x.t)), live = rn_alloc_live();
    rn_status status = RN_ENOMEM;
    uint64_t n = 1;
    for (; status != RN_OK && n < 100000; n++) {
        rn_alloc_fail_at(n, false);
        status = rn_trainer_save(x.t, path);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(rn_alloc_live() == live, "save: allocation %d leaks", (int)n);
        CHECK_MSG(status == RN_OK || (status == RN_ENOMEM && !rn_path_exists(path)), "save: %d",
                  status);
    }
    CHECK(status == RN_OK && n > 100);
    for (status = RN_ENOMEM, n = 1; status != RN_OK && n < 10000; n++) {
        CHECK(before == rn_net_hash(rn_trainer_net(x.t)) && rn_trainer_steps(x.t) == 0);
        rn_alloc_fail_at(n, false);
        status = rn_trainer_resume(x.t, file, false);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(rn_alloc_live() == live, "resume: allocation %d leaks", (int)n);
        CHECK_MSG(status == RN_OK || status == RN_ENOMEM, "resume: %d", status);
    }
    CHECK(status == RN_OK && n > 3 && rn_trainer_steps(x.t) == 1);
    tiny_end(&x);
    rn_checkpoint_free(file);
    rn_value_free(arguments);
    rn_free(path);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_run_folder),     RN_TEST_ROW(test_run_names),
        RN_TEST_ROW(test_summary), RN_TEST_ROW(test_epoch_text),        RN_TEST_ROW(test_diverging_run),
        RN_TEST_ROW(test_damaging_run),
        RN_TEST_ROW(test_replay),         RN_TEST_ROW(test_misfits),
        RN_TEST_ROW(test_other_settings), RN_TEST_ROW(test_sequential_names),
        RN_TEST_ROW(test_no_memory),      RN_TEST_ROW(test_incomplete),
        RN_TEST_ROW(test_kept_figures),
    };
    return rn_test_main("test_train_files", rows, RN_COUNT(rows), argc, argv);
}
