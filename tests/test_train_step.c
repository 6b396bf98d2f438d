#define _POSIX_C_SOURCE 200809L
/*
 * test_train_step.c - a step happens whole or not at all (A7): what one that goes wrong leaves, and that the host does
 * not wait for the device before a step is queued whole.
 */
#include "tests/test_train.h"

#include "base/file.h"

/* -- steps that go wrong ----------------------------------------------------------------------- */

/* A rate of 1e30 makes the second or third loss overflow: the failed step must leave no trace. */
static void check_not_finite(struct rn_train_config c, bool may_damage)
{
    struct rn_step s = {0};
    rn_status status = RN_OK;
    c.schedule = (struct rn_schedule){ .kind = RN_CONSTANT };
    struct tiny x = tiny_begin(&c, 1);
    uint64_t before = 0;
    for (int i = 0; i < 3 && status == RN_OK; i++) {
        before = rn_net_hash(rn_trainer_net(x.t));
        status = rn_trainer_step(x.t, &s);
    }
    CHECK(status == RN_EFAIL);
    CHECK_MSG(strstr(rn_error(), "not finite") && strstr(rn_error(), "step "), "%s", rn_error());
    CHECK(may_damage || before == rn_net_hash(rn_trainer_net(x.t)));
    CHECK(rn_trainer_steps(x.t) == s.step);
    tiny_end(&x);
}

static void test_not_finite(void)
{
    struct rn_train_config c = tiny_config();
    c.lr = c.head_lr = 1e30;
    check_not_finite(c, false);
    c.batch = 2;
    c.parts = 2; /* the running statistics of the first part must be taken back */
    check_not_finite(c, false);
    c.lr = c.head_lr = 3e38; /* here the update itself overflows */
    check_not_finite(c, true);
}

static bool says_damaged(void) { return strstr(rn_error(), "step 1: the update made a weight not finite"); }

/* An update can make a weight infinite out of finite gradients; then nothing more is made of the trainer. */
static void check_damaged(struct rn_train_config c)
{
    const char *folder = make_folder();
    char path[256], good[256];
    struct rn_checkpoint *file = NULL;
    struct rn_step s;
    snprintf(path, sizeof path, "%s/damaged.pth", folder);
    snprintf(good, sizeof good, "%s/good.pth", folder);
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_save(x.t, good));
    tiny_end(&x);
    x = begin_damaging(&c);
    for (int i = 0; i < 2; i++) { /* asking twice does not help */
        CHECK(rn_trainer_step(x.t, &s) == RN_EFAIL);
        CHECK_MSG(says_damaged(), "%s", rn_error());
        CHECK(rn_trainer_save(x.t, path) == RN_EFAIL && !rn_path_exists(path));
        CHECK_MSG(says_damaged(), "%s", rn_error());
    }
    CHECK(rn_trainer_steps(x.t) == 0);
    CHECK_OK(rn_checkpoint_open(&file, good)); /* but to go on from a state that is whole does */
    CHECK_OK(rn_trainer_resume(x.t, file, true));
    CHECK_OK(rn_trainer_save(x.t, path));
    rn_checkpoint_free(file);
    tiny_end(&x);
    remove_folder(folder);
}

static void test_update_not_finite(void)
{
    for (int parts = 1; parts < 3; parts++) {
        struct rn_train_config c = tiny_config();
        c.parts = parts;
        check_damaged(c);
        c.hash_steps = false;
        c.hash_none = true;
        c.average = true;
        c.average_decay = 0.5;
        check_damaged(c);
    }
}

/* The head's weights of one class. */
static void set_class(struct rn_net *net, int class, float x)
{
    const struct rn_param *p;
    size_t i = 0;
    float w[24];
    for (rn_net_params(net, &p); strcmp(p[i].name, "fc.weight"); i++) continue;
    rn_net_get(net, i, w);
    for (int k = 0; k < 8; k++) w[8 * class + k] = x;
    rn_net_set(net, i, w);
}

enum wrong { GRADIENT, LOSS, ONLY_LOSS };

/* LOSS: the first layer overflows, so all losses are NaN.  ONLY_LOSS: a logit is -Inf, of a class that no image has;
 * its probability is 0 and all gradients are finite.  GRADIENT: tiny features and huge weights of the head make
 * logits of +-53 and losses of about 106, but the gradient of the features' bias is 2 * 3.3e38 * 2 / 3. */
static void spoil(struct rn_net *net, enum wrong wrong)
{
    if (wrong == LOSS) {
        set_param(net, "conv1.weight", 0, 0, 3e37f);
        return;
    }
    if (wrong == ONLY_LOSS) {
        set_param(net, "layer2.0.bn2.bias", 0, 0, 100);
        set_class(net, 2, -3e38f);
        return;
    }
    set_param(net, "layer2.0.bn2.weight", 0, 0, 0);
    set_param(net, "layer2.0.bn2.bias", 0, 0, 2e-38f);
    set_param(net, "layer2.0.downsample.1.weight", 0, 0, 0);
    set_param(net, "fc.weight", 8, 3.3e38f, -3.3e38f);
}

static void test_gradient_not_finite(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_step s;
    c.shuffle = false;
    c.batch = 3;
    struct tiny x = tiny_begin(&c, 1);
    struct rn_net *net = rn_trainer_net(x.t);
    spoil(net, GRADIENT);
    uint64_t before = rn_net_hash(net);
    CHECK(rn_trainer_step(x.t, &s) == RN_EFAIL);
    CHECK_MSG(strstr(rn_error(), "a gradient is not finite; first in layer2.0."), "%s", rn_error());
    CHECK(before == rn_net_hash(net));
    tiny_end(&x);
}

/* The first part of a step is fine and moves the running statistics, the second is not: it overflows in the first
 * layer or, all gradients being finite, in the logits of a class that no image has.  What the first did is taken
 * back. */
static void test_second_part_not_finite(void)
{
    for (int only_loss = 0; only_loss < 2; only_loss++) {
        struct rn_train_config c = tiny_config();
        struct rn_step s;
        for (int i = 0; i < 4; i++) memset(tiny_pixels[i], i < 2 ? 128 : 255, TINY_PIXELS);
        for (int i = 0; i < 4; i++) tiny_labels[i] = i % 2;
        for (int i = 0; i < 3; i++) c.mean[i] = (double)(128.0f / 255.0f); /* 128 becomes exactly 0 */
        c.shuffle = false;
        c.batch = 2;
        c.parts = 2;
        struct tiny x = tiny_begin(&c, 1);
        struct rn_net *net = rn_trainer_net(x.t);
        set_param(net, only_loss ? "layer2.0.bn2.weight" : "conv1.weight", 0, 0, only_loss ? 100 : 3e37f);
        if (only_loss) set_class(net, 2, -3e38f);
        uint64_t before = rn_net_hash(net);
        CHECK(rn_trainer_step(x.t, &s) == RN_EFAIL);
        const char *why = only_loss ? "loss is not finite; first in fc" : "first in conv1";
        CHECK_MSG(strstr(rn_error(), why), "%s", rn_error());
        CHECK(before == rn_net_hash(net));
        tiny_end(&x);
    }
}

/* -- what it leaves ---------------------------------------------------------------------------- */

/* A checkpoint has all that decides later bits: weights, statistics, the optimiser's state, the average. */
static unsigned char *saved(struct rn_trainer *t, const char *path, size_t *bytes)
{
    unsigned char *all = NULL;
    CHECK_OK(rn_trainer_save(t, path));
    CHECK_OK(rn_file_read(&all, bytes, path, (size_t)1 << 24));
    return all;
}

static void check_no_trace(struct rn_train_config c, enum wrong wrong)
{
    const char *folder = make_folder();
    char path[256], good[256];
    size_t a_bytes = 0, b_bytes = 0;
    struct rn_checkpoint *file = NULL;
    struct rn_step s, again;
    snprintf(path, sizeof path, "%s/x.pth", folder);
    snprintf(good, sizeof good, "%s/good.pth", folder);
    c.shuffle = false;
    c.batch = wrong == ONLY_LOSS ? 2 : 3;
    for (int i = 0; i < TINY_TRAIN && wrong == ONLY_LOSS; i++) tiny_labels[i] %= 2;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s)); /* so that there is a state */
    CHECK_OK(rn_trainer_save(x.t, good));
    spoil(rn_trainer_net(x.t), wrong);
    unsigned char *a = saved(x.t, path, &a_bytes);
    CHECK(rn_trainer_step(x.t, &s) == RN_EFAIL);
    CHECK_MSG(strstr(rn_error(), wrong ? "step 2: loss is not finite" : "step 2: a gradient is not finite") ||
                  strstr(rn_error(), "with the loss scaled") || (!wrong && strstr(rn_error(), "beyond all floats")),
              "%s", rn_error());
    unsigned char *b = saved(x.t, path, &b_bytes);
    CHECK(a_bytes > 1000 && a_bytes == b_bytes && !memcmp(a, b, a_bytes));
    rn_free(a);
    rn_free(b);

    CHECK_OK(rn_checkpoint_open(&file, good)); /* and whoever goes on from there finds all in order */
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    CHECK_OK(rn_trainer_step(x.t, &s));
    tiny_end(&x);
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    CHECK_OK(rn_trainer_step(x.t, &again));
    CHECK(s.hash == again.hash && s.loss == again.loss);
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

static void test_no_trace(void)
{
    for (enum wrong wrong = GRADIENT; wrong <= ONLY_LOSS; wrong++) {
        struct rn_train_config c = tiny_config();
        check_no_trace(c, wrong);
        c.clip = 0.5;
        check_no_trace(c, wrong);
        c.clip = 0;
        c.optimizer = RN_ADAMW;
        c.lr = c.head_lr = 0.002;
        c.average = true;
        c.average_decay = 0.5;
        check_no_trace(c, wrong);
        c.scaling = (struct rn_scaling){ RN_SCALING_FIXED, 0.5, 0 };
        check_no_trace(c, wrong);
        c.scaling = (struct rn_scaling){ RN_SCALING_FIXED, 2, 0 };
        check_no_trace(c, wrong);
        c.parts = 2;
        check_no_trace(c, wrong);
    }
}

/* -- when it waits ----------------------------------------------------------------------------- */

/* What is called of a device, a letter each; equal neighbours are one, but for R and S, which wait. */
static struct { char text[200]; size_t length; } calls;

static void called(char letter)
{
    if (calls.length && calls.text[calls.length - 1] == letter && !strchr("()RS", letter)) return;
    if (calls.length + 1 < sizeof calls.text) calls.text[calls.length++] = letter;
}

static void see_run(void *dev, void (*pass)(void *arg), void *arg)
{
    called('(');
    rn_ops_cpu.run(dev, pass, arg);
    called(')');
}

static void see_write(void *dev, void *dst, const void *host, size_t bytes)
{
    called('w');
    rn_ops_cpu.write(dev, dst, host, bytes);
}

static void see_read(void *dev, void *host, const void *src, size_t bytes)
{
    called('R');
    rn_ops_cpu.read(dev, host, src, bytes);
}

static void see_sync(void *dev)
{
    called('S');
    rn_ops_cpu.sync(dev);
}

static void see_finite(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given)
{
    called('f');
    rn_ops_cpu.finite(dev, all, src, count, given);
}

static void see_running(void *dev, float *mean, float *var, const double *saved_, const struct rn_bn_shape *s,
                        const int32_t *given)
{
    called('s');
    rn_ops_cpu.batchnorm_running(dev, mean, var, saved_, s, given);
}

static void see_sgd(void *dev, float *weights, float *velocity, const float *gradient, size_t count,
                    const struct rn_sgd *hp)
{
    called('u');
    rn_ops_cpu.sgd_update(dev, weights, velocity, gradient, count, hp);
}

static void see_adamw(void *dev, float *weights, float *first, float *second, const float *gradient, size_t count,
                      const struct rn_adamw *hp)
{
    called('a');
    rn_ops_cpu.adamw_update(dev, weights, first, second, gradient, count, hp);
}

/* The second step's calls. */
static void check_calls(const char *what, const struct rn_train_config *c, const char *wanted)
{
    struct rn_ops ops = rn_ops_cpu;
    struct rn_device_options o = { .threads = 2 };
    struct tiny x = {0};
    struct rn_step s;
    ops.run = see_run;
    ops.write = see_write;
    ops.read = see_read;
    ops.sync = see_sync;
    ops.finite = see_finite;
    ops.batchnorm_running = see_running;
    ops.sgd_update = see_sgd;
    ops.adamw_update = see_adamw;
    CHECK_OK(ops.open(&x.dev, &o));
    CHECK_OK(rn_trainer_create(&x.t, c, &ops, x.dev));
    CHECK_OK(rn_trainer_step(x.t, &s));
    memset(&calls, 0, sizeof calls);
    CHECK_OK(rn_trainer_step(x.t, &s));
    CHECK_MSG(!strcmp(calls.text, wanted), "%s: %s, not %s", what, calls.text, wanted);
    tiny_end(&x);
}

/* Clipping reads the verdict and the gradients of the tiny net's 20 parameters. */
static void check_clipped_calls(const struct rn_train_config *c)
{
    char wanted[200] = "w((w)f()fs)R";
    for (int i = 0; i < 20; i++) strcat(wanted, "R");
    check_calls("with clipping", c, strcat(wanted, "ufRRR"));
}

/* One pass of the device from the images to the statistics, and nothing is read before the update is queued. */
static void test_calls(void)
{
    struct rn_train_config c = tiny_config();
    c.hash_steps = false;
    c.hash_none = true;
    check_calls("a step", &c, "w((w)f()fs)ufRRR");
    c.average = true;
    c.average_decay = 0.5;
    check_calls("with an average", &c, "w((w)f()fs)ufaRRR");
    c.scaling = (struct rn_scaling){ RN_SCALING_DYNAMIC, 65536, 2000 };
    check_calls("with a scale", &c, "w((w)fu()fus)ufaRRR");
    c.scaling.scale = 0.5;
    check_calls("with a scale below 1", &c, "w((w)fu()fufRRs)ufaRRR");
    c.scaling.kind = RN_SCALING_OFF;
    c.average = false;
    c.batch = c.parts = 2;
    check_calls("of two parts", &c, "w((w)f()fs)RRRw((w)f()fs)ufRRR");
    c.parts = 1;
    c.clip = 1e-3;
    check_clipped_calls(&c);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_not_finite), RN_TEST_ROW(test_update_not_finite), RN_TEST_ROW(test_gradient_not_finite),
        RN_TEST_ROW(test_second_part_not_finite), RN_TEST_ROW(test_no_trace), RN_TEST_ROW(test_calls),
    };
    return rn_test_main("test_train_step", rows, RN_COUNT(rows), argc, argv);
}
