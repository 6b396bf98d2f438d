#define _POSIX_C_SOURCE 200809L
/*
 * test_scaler.c - loss scaling: the rule beside torch.amp.GradScaler's own numbers, the same bits under every scale,
 * steps that overflow, and what a checkpoint keeps of it all.
 */
#include "tests/test_settings.h"

#include "base/file.h"

#include <stdlib.h>

/* -- the rule ---------------------------------------------------------------------------------- */

/* GradScaler("cpu", init_scale=2**123, growth_interval=3) of PyTorch 2.13; a 1 is a step with an inf in a gradient. */
static void test_rule(void)
{
    static const struct { bool overflow; double scale; int64_t tracker; } torch[] = {
        { 0, 0x1p123, 1 }, { 0, 0x1p123, 2 }, { 0, 0x1p124, 0 }, { 1, 0x1p123, 0 }, { 0, 0x1p123, 1 },
        { 1, 0x1p122, 0 }, { 1, 0x1p121, 0 }, { 0, 0x1p121, 1 }, { 0, 0x1p121, 2 }, { 1, 0x1p120, 0 },
        { 0, 0x1p120, 1 }, { 0, 0x1p120, 2 }, { 0, 0x1p121, 0 }, { 0, 0x1p121, 1 },
    };
    struct rn_scaler s = { .scale = 0x1p123 };
    for (size_t i = 0; i < RN_COUNT(torch); i++) {
        rn_scaler_update(&s, torch[i].overflow, 3);
        CHECK_MSG(s.scale == torch[i].scale && s.tracker == torch[i].tracker, "step %d: %a, %d", (int)i, s.scale,
                  (int)s.tracker);
    }
    CHECK(s.skipped == 4);
    s = (struct rn_scaler){ .scale = 0x1p126 };
    for (int i = 0; i < 5; i++) rn_scaler_update(&s, false, 1);
    CHECK(s.scale == RN_SCALE_MOST && s.tracker == 0); /* torch: not past the bounds of a float */
    s.scale = 0x1p-125;
    for (int i = 0; i < 5; i++) rn_scaler_update(&s, true, 1);
    CHECK(s.scale == RN_SCALE_LEAST && s.skipped == 5);
}

static void test_parse(void)
{
    static const struct { const char *text; double scale; } good[] = {
        { "65536", 65536 }, { "2^16", 65536 }, { "0x1p16", 65536 }, { "1", 1 }, { "0.5", 0.5 },
        { "2^-126", 0x1p-126 }, { "2^127", 0x1p127 }, { "2^0", 1 }, { "6.5536e4", 65536 },
    };
    static const char *const bad[] = { "", "0", "3", "-2", "2^128", "2^-127", "2^", "2^1x", "2^1.5", "inf", "nan",
                                       "off", "65537", "2^99999999999999999999", "1e300" };
    double x;
    for (size_t i = 0; i < RN_COUNT(good); i++)
        CHECK_MSG(rn_scale_parse(&x, good[i].text) == RN_OK && x == good[i].scale, "%s", good[i].text);
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        x = 7;
        CHECK_MSG(rn_scale_parse(&x, bad[i]) == RN_EUSAGE && strstr(rn_error(), "power of two"), "%s", bad[i]);
        CHECK(x == 7);
    }
}

/* -- the same bits ----------------------------------------------------------------------------- */
#define STEPS 18

struct trace {
    uint64_t hash[STEPS];
    double loss[STEPS], scale[STEPS];
    int skipped[STEPS];
    int64_t steps, all_skipped;
};

/* The tiny net on a device of this numerics. */
static struct tiny begin_with(const struct rn_train_config *c)
{
    struct rn_device_options o = { .threads = 1, .numerics = c->numerics };
    const struct rn_ops *ops;
    struct tiny x = {0};
    CHECK_OK(rn_backend_find(&ops, "cpu", c->numerics));
    CHECK_OK(ops->open(&x.dev, &o));
    CHECK_OK(rn_trainer_create(&x.t, c, ops, x.dev));
    return x;
}

static void go_on(struct rn_trainer *t, struct trace *r, int64_t limit)
{
    rn_status status = RN_OK;
    struct rn_summary sum;
    while (!rn_trainer_done(t) && (rn_trainer_steps(t) < limit || rn_trainer_epoch_pending(t))) {
        struct rn_epoch e;
        struct rn_step s;
        if (rn_trainer_epoch_pending(t)) {
            CHECK_OK(status = rn_trainer_end_epoch(t, &e, NULL, NULL));
            if (status) return;
            continue;
        }
        CHECK_OK(status = rn_trainer_step(t, &s));
        if (status) return;
        const int64_t i = s.step - 1;
        r->hash[i] = s.hash;
        r->loss[i] = s.loss;
        r->scale[i] = s.loss_scale;
        r->skipped[i] = s.skipped;
        r->steps = s.step;
    }
    rn_trainer_summary(t, &sum);
    r->all_skipped = sum.skipped_steps;
}

static void check_scale(const char *what, const struct rn_train_config *c, double scale)
{
    struct rn_train_config scaled = *c;
    struct trace plain = {0}, other = {0};
    struct tiny x = begin_with(c);
    go_on(x.t, &plain, STEPS);
    tiny_end(&x);
    scaled.scaling = (struct rn_scaling){ RN_SCALING_FIXED, scale, 0 };
    x = begin_with(&scaled);
    go_on(x.t, &other, STEPS);
    tiny_end(&x);
    CHECK_MSG(plain.steps == 6 && !memcmp(plain.hash, other.hash, sizeof plain.hash), "%s, %a: other weights", what,
              scale);
    CHECK(!memcmp(plain.loss, other.loss, sizeof plain.loss));
    CHECK(plain.scale[0] == 0 && other.scale[0] == scale && !other.skipped[0]);
}

static void test_same_bits(void)
{
    static const double scale[] = { 1, 2, 0x1p16, 0x1p60, 0x1p110, 0x1p-20 };
    struct rn_train_config c = tiny_config();
    for (size_t i = 0; i < RN_COUNT(scale); i++) check_scale("sgd", &c, scale[i]);
    c.clip = 0.01; /* of the gradients as they are without the scale */
    c.batch = c.parts = 2;
    check_scale("clipping, accumulation", &c, 0x1p16);
    c.optimizer = RN_ADAMW;
    c.lr = c.head_lr = 0.002;
    c.average = true;
    c.average_decay = 0.8;
    check_scale("adamw, average", &c, 0x1p40);
    c = tiny_config();
    c.numerics = "bf16";
    check_scale("bf16", &c, 0x1p16);
    c.numerics = "fp32-winograd";
    check_scale("fp32-winograd", &c, 0x1p16);
}

/* Scaled by 2^-120 gradients fall below the normal floats and are stored as zeros (A5). */
static void test_underflow(void)
{
    struct rn_train_config c = tiny_config();
    struct trace plain = {0}, small = {0};
    struct tiny x = begin_with(&c);
    go_on(x.t, &plain, 1);
    tiny_end(&x);
    c.scaling = (struct rn_scaling){ RN_SCALING_FIXED, 0x1p-120, 0 };
    x = begin_with(&c);
    go_on(x.t, &small, 1);
    tiny_end(&x);
    CHECK(plain.loss[0] == small.loss[0] && plain.hash[0] != small.hash[0]);
}

/* -- overflow ---------------------------------------------------------------------------------- */

/* All elements x of a parameter become factor x + more, the first `split` of them factor x - more. */
static void change(struct rn_net *net, const char *name, float factor, float more, size_t split)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    for (size_t i = 0; i < rows; i++) {
        if (strcmp(p[i].name, name)) continue;
        float *x = rn_alloc_array(p[i].count, sizeof *x);
        rn_net_get(net, i, x);
        for (size_t k = 0; k < p[i].count; k++) x[k] = factor * x[k] + (k < split ? -more : more);
        rn_net_set(net, i, x);
        rn_free(x);
    }
}

static struct rn_train_config overflowing(void)
{
    struct rn_train_config c = tiny_config();
    c.epochs = c.schedule.span = 5;
    c.scaling = (struct rn_scaling){ RN_SCALING_DYNAMIC, 0x1p127, 2 };
    return c;
}

/* A head whose weights are large makes large gradients. */
static struct tiny begin_overflowing(const struct rn_train_config *c)
{
    struct tiny x = begin_with(c);
    change(rn_trainer_net(x.t), "fc.weight", 256, 0, 0);
    return x;
}

static void check_overflow(struct rn_train_config c)
{
    struct trace r = {0};
    struct tiny x = begin_overflowing(&c);
    struct rn_net *net = rn_trainer_net(x.t);
    const size_t bytes = rn_net_trainable_count(net) * sizeof(float);
    float *before = rn_alloc(bytes);
    memcpy(before, rn_net_weights(net), bytes);
    int64_t batches = rn_net_batches(net)[0], halved = 0;
    bool skipped;
    do {
        int64_t done = r.steps;
        go_on(x.t, &r, done + 1);
        skipped = r.steps > done && r.skipped[done];
        halved += skipped;
    } while (skipped && halved < 12);
    CHECK_MSG(halved >= 3 && halved < 12, "%d steps skipped", (int)halved);
    CHECK(rn_net_batches(net)[0] == batches + r.steps * c.parts); /* statistics move all the same, as in PyTorch */
    for (int64_t i = 1; i < r.steps; i++) CHECK(r.scale[i] == r.scale[i - 1] / 2 && r.hash[i] != r.hash[i - 1]);
    CHECK(memcmp(before, rn_net_weights(net), bytes) != 0); /* the last of them went well */
    tiny_end(&x);
    x = begin_overflowing(&c);
    net = rn_trainer_net(x.t);
    const float mean = rn_net_buffers(net)[0];
    r.steps = 0;
    go_on(x.t, &r, halved);
    CHECK(!memcmp(before, rn_net_weights(net), bytes) && rn_net_buffers(net)[0] != mean);
    tiny_end(&x);
    rn_free(before);
}

static void test_overflow(void)
{
    struct rn_train_config c = overflowing();
    check_overflow(c);
    c.clip = 1;
    c.batch = c.parts = 2;
    check_overflow(c);
    c.numerics = "bf16";
    check_overflow(c);
}

/* A fixed scale that is too large, and gradients too large for any scale, end the run with its state whole. */
static void check_end(struct rn_scaling scaling, int parts, const char *why)
{
    struct rn_train_config c = overflowing();
    struct rn_step s;
    c.scaling = scaling;
    c.shuffle = false;
    c.parts = parts;
    c.batch = 3;
    struct tiny x = begin_overflowing(&c);
    if (scaling.scale < 1) { /* as in test_train.c: features of 2e-38, logits of +-53, a gradient of 4.4e38 */
        struct rn_net *net = rn_trainer_net(x.t);
        change(net, "layer2.0.bn2.weight", 0, 0, 0);
        change(net, "layer2.0.bn2.bias", 0, 2e-38f, 0);
        change(net, "layer2.0.downsample.1.weight", 0, 0, 0);
        change(net, "fc.weight", 0, -3.3e38f, 8);
    }
    uint64_t before = rn_net_hash(rn_trainer_net(x.t));
    CHECK(rn_trainer_step(x.t, &s) == RN_EFAIL);
    CHECK_MSG(strstr(rn_error(), why) && strstr(rn_error(), "step 1"), "%s", rn_error());
    CHECK(before == rn_net_hash(rn_trainer_net(x.t)) && rn_trainer_steps(x.t) == 0);
    tiny_end(&x);
}

static void test_end(void)
{
    for (int parts = 1; parts <= 2; parts++) {
        check_end((struct rn_scaling){ RN_SCALING_FIXED, 0x1p127, 0 }, parts, "scaled by 1.70141");
        check_end((struct rn_scaling){ RN_SCALING_DYNAMIC, 0x1p-20, 9 }, parts, "beyond all floats");
        check_end((struct rn_scaling){ RN_SCALING_FIXED, 0x1p-20, 0 }, parts, "beyond all floats");
    }
}

/* -- what is kept ------------------------------------------------------------------------------ */
static struct rn_checkpoint *save_and_open(struct tiny *x, const char *folder)
{
    struct rn_checkpoint *file = NULL;
    char *path = rn_path_join(folder, "x.pth");
    CHECK_OK(rn_trainer_save(x->t, path));
    CHECK_OK(rn_checkpoint_open(&file, path));
    rn_free(path);
    return file;
}

static void check_resume(const struct rn_train_config *c, const char *folder)
{
    struct trace whole = {0};
    struct tiny x = begin_overflowing(c);
    go_on(x.t, &whole, STEPS);
    tiny_end(&x);
    for (int64_t k = 0; k <= whole.steps; k++) {
        struct trace parts = {0};
        x = begin_overflowing(c);
        go_on(x.t, &parts, k);
        struct rn_checkpoint *file = save_and_open(&x, folder);
        tiny_end(&x);
        x = begin_with(c);
        CHECK_OK(rn_trainer_resume(x.t, file, false));
        rn_checkpoint_free(file);
        go_on(x.t, &parts, STEPS);
        tiny_end(&x);
        CHECK_MSG(!memcmp(&whole, &parts, sizeof whole), "resumed after step %d, other bits", (int)k);
    }
}

static void test_resume(void)
{
    const char *folder = make_folder();
    struct rn_train_config c = overflowing();
    check_resume(&c, folder);
    c.optimizer = RN_ADAMW;
    c.lr = c.head_lr = 0.002;
    check_resume(&c, folder);
    remove_folder(folder);
}

static double real_in(const struct rn_value *dict, const char *key)
{
    const struct rn_value *v = rn_dict_get(dict, key);
    return v && v->kind == RN_REAL ? v->real : v && v->kind == RN_INT ? (double)v->integer : -1;
}

/* The keys of torch's state dict; skipped steps are not among the optimiser's. */
static void test_checkpoint(void)
{
    const char *folder = make_folder();
    struct rn_train_config c = overflowing();
    struct rn_summary sum = {0};
    struct trace r = {0};
    c.optimizer = RN_ADAMW;
    struct tiny x = begin_overflowing(&c);
    go_on(x.t, &r, 14);
    struct rn_checkpoint *file = save_and_open(&x, folder);
    rn_trainer_summary(x.t, &sum);
    tiny_end(&x);
    const struct rn_value *d = rn_dict_get(file->root, "scaler_state_dict");
    CHECK(d && d->count == 2 * 5 && real_in(d, "scale") == sum.loss_scale && real_in(d, "growth_factor") == 2);
    CHECK(real_in(d, "backoff_factor") == 0.5 && real_in(d, "growth_interval") == 2);
    CHECK(real_in(d, "_growth_tracker") == (double)rn_checkpoint_int(file, "loss_scale_tracker", -1));
    CHECK(sum.skipped_steps >= 3 && rn_checkpoint_int(file, "skipped_steps", 0) == sum.skipped_steps);
    CHECK(rn_checkpoint_int(file, "step", 0) == 14);
    CHECK(rn_checkpoint_int(file, "optimizer_step", 0) == 14 - sum.skipped_steps);
    rn_checkpoint_free(file);
    c.scaling = (struct rn_scaling){0};
    x = begin_with(&c);
    file = save_and_open(&x, folder);
    CHECK(!rn_dict_get(file->root, "scaler_state_dict") && !rn_dict_get(file->own, "loss_scale"));
    tiny_end(&x);
    c.scaling = (struct rn_scaling){ RN_SCALING_DYNAMIC, 8, 2 }; /* it has no scaler: the first scale */
    x = begin_with(&c);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    go_on(x.t, &r, 1);
    CHECK(r.scale[0] == 8);
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

/* A checkpoint of a script: GradScaler's state under either name; torch's scales need not be ours. */
static void test_foreign(void)
{
    const char *folder = make_folder();
    struct rn_train_config c = overflowing();
    struct trace r = {0};
    struct tiny x = begin_overflowing(&c);
    struct rn_value *scale = NULL;
    go_on(x.t, &r, 3);
    struct rn_checkpoint *file = save_and_open(&x, folder);
    tiny_end(&x);
    file->own = NULL;
    for (size_t i = 0; i + 1 < file->root->count; i += 2)
        if (!strcmp(file->root->item[i]->text, "scaler_state_dict")) scale = file->root->item[i + 1]->item[1];
    CHECK(scale && scale->kind == RN_REAL && scale->real == r.scale[2] / (r.skipped[2] ? 2 : 1));
    scale->real = 0x1p11;
    c.scaling.scale = 32;
    x = begin_with(&c);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    go_on(x.t, &r, rn_trainer_steps(x.t) + 1);
    CHECK(r.scale[r.steps - 1] == 0x1p11);
    tiny_end(&x);
    scale->real = 48000;
    x = begin_with(&c);
    CHECK(rn_trainer_resume(x.t, file, false) == RN_EINPUT && strstr(rn_error(), "power of two"));
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

/* Every skipped step has its line in log.txt; the table keeps its columns. */
static void test_log(void)
{
    const char *folder = make_folder();
    char *path = rn_path_join(folder, "run"), *log = rn_path_join(folder, "run/log.txt");
    char *table = rn_path_join(folder, "run/results.csv");
    struct rn_run_config rc = { .output = path, .place = "tiny", .name = "tiny", .conf = "" };
    struct rn_train_config c = overflowing();
    struct rn_observer quiet = {0};
    struct rn_summary sum = {0};
    struct rn_run *run = NULL;
    unsigned char *text;
    size_t bytes;
    struct tiny x = begin_overflowing(&c);
    CHECK_OK(rn_run_open(&run, &rc));
    CHECK_OK(rn_train(x.t, run, &quiet));
    rn_trainer_summary(x.t, &sum);
    rn_run_close(run);
    tiny_end(&x);
    CHECK_OK(rn_file_read(&text, &bytes, log, 1 << 20));
    int64_t lines = 0;
    for (const char *at = (const char *)text; (at = strstr(at, ": no update; the scale is now ")); at++) lines++;
    CHECK(lines == sum.skipped_steps && lines >= 3);
    CHECK(strstr((const char *)text, "step 1: a gradient is not finite with the loss scaled by 1.7014118346046923e+38: "
                                     "no update; the scale is now 8.507059173023462e+37\n"));
    rn_free(text);
    CHECK_OK(rn_file_read(&text, &bytes, table, 1 << 20));
    CHECK(!strncmp((const char *)text, "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,"
                                       "images_per_second,peak_rss_mb\n", 92));
    rn_free(text);
    rn_free(path);
    rn_free(log);
    rn_free(table);
    remove_folder(folder);
}

/* -- flags ------------------------------------------------------------------------------------- */
static void check_flags(const char *flags, struct rn_scaling wanted, bool good)
{
    struct rn_train_config c = {0};
    struct opt_set o;
    rn_status status = configure(&c, &o, flags);
    CHECK_MSG(status == (good ? RN_OK : RN_EUSAGE), "%s: %d, %s", flags, status, rn_error());
    const bool same = c.scaling.kind == wanted.kind && c.scaling.scale == wanted.scale;
    CHECK_MSG(!good || same, "%s: %a", flags, c.scaling.scale);
    if (good && wanted.kind == RN_SCALING_DYNAMIC) CHECK(c.scaling.interval == wanted.interval);
    if (good && !*flags) CHECK(!opt_text(&o, "loss-scale")); /* not a word of what is off */
    opt_end(&o);
}

static void test_flags(void)
{
    const struct rn_scaling off = {0}, torch = { RN_SCALING_DYNAMIC, 65536, 2000 };
    check_flags("", off, true);
    check_flags("--loss-scale off", off, true);
    check_flags("--loss-scale dynamic", torch, true);
    check_flags("--amp bf16", off, true);
    check_flags("--amp fp16 --backend cuda", torch, true);
    check_flags("--amp fp16 --backend cuda --loss-scale off", off, true);
    check_flags("--loss-scale 2^7", (struct rn_scaling){ RN_SCALING_FIXED, 128, 0 }, true);
    check_flags("--loss-scale dynamic --loss-scale-init 2^127 --loss-scale-growth-interval 5",
                (struct rn_scaling){ RN_SCALING_DYNAMIC, 0x1p127, 5 }, true);
    check_flags("--amp fp16", off, false);
    check_flags("--amp fp16 --backend ref", off, false);
    check_flags("--loss-scale 1000", off, false);
    check_flags("--loss-scale dynamic --loss-scale-init 0", off, false);
    check_flags("--loss-scale-init 1024", off, false);
    check_flags("--loss-scale 1024 --loss-scale-growth-interval 4", off, false);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_rule),   RN_TEST_ROW(test_parse),      RN_TEST_ROW(test_same_bits),
        RN_TEST_ROW(test_underflow), RN_TEST_ROW(test_overflow), RN_TEST_ROW(test_end),
        RN_TEST_ROW(test_resume), RN_TEST_ROW(test_checkpoint), RN_TEST_ROW(test_foreign),
        RN_TEST_ROW(test_log),    RN_TEST_ROW(test_flags),
    };
    return rn_test_main("test_scaler", rows, RN_COUNT(rows), argc, argv);
}
