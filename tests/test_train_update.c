#define _POSIX_C_SOURCE 200809L
/*
 * test_train_update.c - what stands between gradients and weights: clipping against its definition, frozen
 * parameters and frozen batch norms, what a checkpoint says of them, and the same bits when resumed.
 */
#include "tests/test_train.h"
#include "tests/test_images.h"

#include "base/file.h"
#include "train/trainer.h"

/* -- clipping ---------------------------------------------------------------------------------- */

/* Rows of 12, 24 and 3: full blocks of rows side by side, and some left over. */
static int wide_shape(void *arg, const char *name, int64_t dims[8])
{
    int count = tiny_shape(arg, name, dims);
    for (int i = 0; i < 2 && i < count; i++)
        if (dims[i] != 3 && dims[i] != 1) dims[i] *= 3;
    if (!strcmp(name, "fc.weight")) dims[1] = 24;
    return count;
}

/* A11 as it is stated: h is the largest power of two below the number of leaves. */
static double tree(const double *v, size_t count)
{
    size_t h = 1;
    if (count == 1) return v[0];
    while (2 * h < count) h *= 2;
    return tree(v, h) + tree(v + h, count - h);
}

/* A25, term by term. */
static double defined_norm(const struct rn_net *net, const float *g, const char *without)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    double total = 0;
    for (size_t i = 0; i < rows; i++) {
        double leaf[64] = {0};
        size_t leaves = p[i].dims > 1 ? (size_t)p[i].shape[0] : 1, row = p[i].count / leaves;
        size_t taps = p[i].dims == 4 ? (size_t)(p[i].shape[2] * p[i].shape[3]) : 1;
        if (!p[i].trainable || (without && !strncmp(p[i].name, without, strlen(without)))) continue;
        for (size_t k = 0; k < leaves; k++)
            for (size_t tap = 0; tap < taps; tap++)
                for (size_t c = 0; c < row / taps; c++) {
                    double x = g[p[i].offset + k * row + c * taps + tap];
                    leaf[k] += x * x;
                }
        total += tree(leaf, leaves);
    }
    return sqrt(total);
}

static void check_clipped(struct rn_net *net, struct rn_train_config *c, const float *given, double most)
{
    size_t count = rn_net_trainable_count(net);
    float *g = rn_net_gradients(net), *want = rn_alloc_array(count, sizeof *want);
    double n = defined_norm(net, given, c->freeze), h = most / (n + 1e-6);
    struct rn_clip clip;
    c->clip = most;
    memcpy(g, given, count * sizeof *g);
    for (size_t i = 0; i < count; i++) want[i] = h < 1 ? rn_store(given[i] * (float)h) : given[i];
    CHECK_OK(rn_clip_create(&clip, c, net));
    double got = rn_clip_gradients(&clip, g);
    CHECK_MSG(got == n, "norm %a instead of %a", got, n);
    check_bits("clipped", g, want, count);
    rn_clip_free(&clip);
    rn_free(want);
}

static void test_clip(void)
{
    struct rn_train_config c = tiny_config();
    CHECK_OK(rn_arch_from_shapes(&c.arch, RN_STEM_3X3S2, wide_shape, NULL));
    struct tiny x = tiny_begin(&c, 2);
    struct rn_net *net = rn_trainer_net(x.t);
    size_t count = rn_net_trainable_count(net);
    float *given = rn_alloc_array(count, sizeof *given);
    struct rn_random r = rn_random(7, RN_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < count; i++) given[i] = rn_store((float)(rn_random_uniform(&r) - 0.5) * (i % 3 ? 1 : 1e-3f));
    given[3] = 0x1p-126f; /* shortened, it is subnormal, and so +0 */
    check_clipped(net, &c, given, 2.5);
    check_clipped(net, &c, given, 1e6);
    c.freeze = "layer1";
    check_clipped(net, &c, given, 2.5);
    rn_free(given);
    tiny_end(&x);
}

static uint64_t hash_after(const struct rn_train_config *c, int steps, int threads)
{
    struct tiny x = tiny_begin(c, threads);
    struct rn_step s = {0};
    for (int i = 0; i < steps; i++) CHECK_OK(rn_trainer_step(x.t, &s));
    tiny_end(&x);
    return s.hash;
}

/* A bound that is never reached changes nothing; one that is does, also of the sum of several parts. */
static void test_clip_in_training(void)
{
    struct rn_train_config c = tiny_config(), d = c;
    for (int parts = 1; parts <= 2; parts++) {
        c.parts = d.parts = parts;
        d.clip = 1e9;
        CHECK(hash_after(&c, 2, 1) == hash_after(&d, 2, 1));
        d.clip = 0.01;
        CHECK(hash_after(&c, 2, 1) != hash_after(&d, 2, 1));
        CHECK(hash_after(&d, 2, 1) == hash_after(&d, 2, 3));
    }
    d.clip = -1;
    CHECK(rn_train_config_check(&d) == RN_EUSAGE);
}

/* -- frozen parameters ------------------------------------------------------------------------- */
#define MOST 4096 /* floats of the tiny net's largest tensor */

static bool starts(const char *name, const char *with) { return !strncmp(name, with, strlen(with)); }

/* Three steps with decay, momentum and an average: frozen tensors keep their bits, all others move, and so do
 * the running statistics of frozen batch norms. */
static void check_freeze(enum rn_optimizer_kind kind)
{
    struct rn_train_config c = tiny_config();
    const struct rn_param *p;
    struct rn_step s;
    c.optimizer = kind;
    c.freeze = "conv1,layer1.,layer2.0.bn2.bias";
    c.average = true;
    c.average_decay = 0.5;
    struct tiny x = tiny_begin(&c, 2), y = tiny_begin(&c, 1);
    for (int i = 0; i < 3; i++) CHECK_OK(rn_trainer_step(x.t, &s));
    size_t rows = rn_net_params(rn_trainer_net(x.t), &p);
    for (size_t i = 0; i < rows; i++) {
        float before[MOST], after[MOST];
        bool frozen = starts(p[i].name, "conv1.") || starts(p[i].name, "layer1.") ||
                      starts(p[i].name, "layer2.0.bn2.bias");
        if (p[i].kind == RN_PARAM_BATCHES) continue;
        rn_net_get(rn_trainer_net(y.t), i, before);
        rn_net_get(rn_trainer_net(x.t), i, after);
        bool same = !memcmp(before, after, p[i].count * sizeof *after);
        CHECK_MSG(same == (frozen && p[i].trainable), "%s %s", p[i].name, same ? "did not move" : "moved");
    }
    tiny_end(&x);
    tiny_end(&y);
}

static void test_freeze(void)
{
    check_freeze(RN_SGD);
    check_freeze(RN_ADAMW);
}

static void test_freeze_names(void)
{
    static const struct { const char *list, *what; } bad[] = {
        { "layer1,lager2", "lager2: no parameter" },
        { "bn1.running_mean", "no parameter" },
        { "conv1,bn1,layer1,layer2,fc", "nothing to train" },
    };
    struct rn_device_options o = { .threads = 1 };
    void *dev;
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        struct rn_train_config c = tiny_config();
        struct rn_trainer *t;
        c.freeze = bad[i].list;
        CHECK(rn_trainer_create(&t, &c, &rn_ops_cpu, dev) == RN_EUSAGE);
        CHECK_MSG(strstr(rn_error(), bad[i].what), "%s: %s", bad[i].list, rn_error());
    }
    rn_ops_cpu.close(dev);
}

/* As torch.optim has it: frozen parameters are members of their group and have no state. */
static void test_freeze_in_checkpoint(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    char path[128];
    struct rn_checkpoint *file;
    struct rn_step s;
    snprintf(path, sizeof path, "%s/x.pth", folder);
    c.freeze = "conv1,bn1";
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s));
    CHECK_OK(rn_trainer_save(x.t, path));
    CHECK_OK(rn_checkpoint_open(&file, path));
    const struct rn_value *o = rn_dict_get(file->root, "optimizer_state_dict"), *state = rn_dict_get(o, "state");
    const struct rn_value *group = rn_dict_get(o, "param_groups")->item[0];
    const size_t members = rn_dict_get(group, "params")->count;
    CHECK(members == 20 && state->count / 2 == members - 3);
    CHECK(state->item[0]->integer == 3); /* conv1.weight, bn1.weight, bn1.bias are 0, 1, 2 */
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

/* -- frozen batch norms ------------------------------------------------------------------------ */
struct pass { float logits[4 * 3], gradients[MOST]; double loss; };

/* A training pass of four images; batch norms frozen or not, activations kept or made again. */
static struct pass run_pass(const struct rn_ops *ops, bool frozen, bool again, const float *weights)
{
    const struct rn_net_config n = { .arch = tiny_arch(), .image_size = 32, .batch = 4, .eval_batch = 4,
                                     .checkpoint = again, .freeze_bn = frozen };
    static float images[4 * TINY_PIXELS];
    const struct rn_device_options o = { .threads = 2 };
    const struct rn_dataset *d = tiny_data();
    struct pass r = {0};
    struct rn_net *net;
    double loss[4];
    void *dev;
    CHECK_OK(ops->open(&dev, &o));
    CHECK_OK(rn_net_create(&net, &n, ops, dev));
    size_t count = rn_net_trainable_count(net), buffers = rn_net_buffer_count(net);
    CHECK(count <= MOST);
    rn_net_init(net, 5);
    for (size_t i = 0; i < buffers; i++) /* means, then variances, of every batch norm: all 0.3 to 1.2 */
        rn_net_buffers(net)[i] = 0.3f + 0.9f * (float)(i * 7 % 10) / 9;
    if (weights) memcpy(rn_net_weights(net), weights, count * sizeof *weights);
    rn_net_touch(net);
    for (int i = 0; i < 4; i++)
        normalised(images + (size_t)i * TINY_PIXELS, d->train.pixels + (size_t)i * TINY_PIXELS, 3, 32, 32,
                     d->mean, d->std);
    uint64_t before = rn_net_hash(net);
    rn_net_forward(net, images, 4, true);
    rn_net_loss(net, loss, d->train.labels, 4, 0.1);
    rn_net_logits(net, r.logits);
    rn_net_backward(net);
    memcpy(r.gradients, rn_net_gradients(net), count * sizeof *r.gradients);
    rn_net_commit_statistics(net);
    CHECK((rn_net_hash(net) == before) == frozen); /* statistics and their counters stay */
    float logits[4 * 3];
    rn_net_infer(net, images, 4, logits);
    CHECK(!memcmp(logits, r.logits, sizeof logits) == frozen);
    r.loss = (loss[0] + loss[1] + loss[2] + loss[3]) / 4;
    rn_net_free(net);
    ops->close(dev);
    return r;
}

static void test_freeze_bn(void)
{
    struct pass ref = run_pass(&rn_ops_ref, true, false, NULL), cpu = run_pass(&rn_ops_cpu, true, false, NULL);
    struct pass again = run_pass(&rn_ops_cpu, true, true, NULL), free_bn = run_pass(&rn_ops_cpu, false, false, NULL);
    CHECK(!memcmp(&ref, &cpu, sizeof cpu) && !memcmp(&cpu, &again, sizeof cpu));
    CHECK(memcmp(cpu.gradients, free_bn.gradients, sizeof cpu.gradients));
}

/* Central differences of the loss, for every 97th weight; with room for units that open or close in between. */
static void test_freeze_bn_gradient(void)
{
    struct rn_train_config c = tiny_config();
    struct tiny x = tiny_begin(&c, 1);
    struct rn_net *net = rn_trainer_net(x.t);
    size_t count = rn_net_trainable_count(net);
    float weights[MOST];
    rn_net_init(net, 5);
    memcpy(weights, rn_net_weights(net), count * sizeof *weights);
    struct pass at = run_pass(&rn_ops_cpu, true, false, NULL);
    for (size_t i = 0; i < count; i += 97) {
        const float kept = weights[i], step = 0x1p-11f;
        weights[i] = kept + step;
        double above = run_pass(&rn_ops_cpu, true, false, weights).loss;
        weights[i] = kept - step;
        double below = run_pass(&rn_ops_cpu, true, false, weights).loss;
        weights[i] = kept;
        double slope = (above - below) / (2 * (double)step), g = at.gradients[i];
        CHECK_MSG(fabs(slope - g) <= 0.02 * fabs(g) + 1e-3, "weight %zu: slope %g, gradient %g", i, slope, g);
    }
    tiny_end(&x);
}

/* -- resumed ----------------------------------------------------------------------------------- */

/* All of it at once, stopped after every step. */
static void test_resume(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    char path[128];
    snprintf(path, sizeof path, "%s/x.pth", folder);
    c.optimizer = RN_ADAMW;
    c.lr = c.head_lr = 0.002;
    c.epochs = 3;
    c.clip = 0.1;
    c.freeze = "conv1,layer1.0.conv2";
    c.freeze_bn = true;
    c.schedule = (struct rn_schedule){ .kind = RN_PLATEAU, .factor = 0.5, .threshold = 50, .rising = true,
                                       .absolute = true, .cooldown = 1 };
    uint64_t whole = 0;
    for (int stop = 9; stop >= 1; stop--) {
        struct tiny x = tiny_begin(&c, 1);
        struct rn_step s = {0};
        struct rn_epoch e;
        while (!rn_trainer_done(x.t)) {
            if (rn_trainer_epoch_pending(x.t)) CHECK_OK(rn_trainer_end_epoch(x.t, &e, NULL, NULL));
            else CHECK_OK(rn_trainer_step(x.t, &s));
            if (s.step != stop || rn_trainer_epoch_pending(x.t)) continue;
            struct rn_checkpoint *file;
            CHECK_OK(rn_trainer_save(x.t, path));
            CHECK_OK(rn_checkpoint_open(&file, path));
            tiny_end(&x);
            x = tiny_begin(&c, 2);
            CHECK_OK(rn_trainer_resume(x.t, file, false));
            rn_checkpoint_free(file);
            s.step = 0; /* once is enough */
        }
        CHECK(x.t->s.plateau.cuts == 1 && x.t->s.plateau.cooldown == 0);
        if (stop == 9) whole = s.hash;
        CHECK_MSG(s.hash == whole, "stopped after step %d: other bits", stop);
        tiny_end(&x);
    }
    remove_folder(folder);
}

/* Without resnet_c the plateau is what torch's state dict says. */
static void test_plateau_of_torch(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    struct rn_checkpoint *file;
    struct rn_epoch e;
    struct rn_step s;
    char path[128];
    snprintf(path, sizeof path, "%s/x.pth", folder);
    c.epochs = 9;
    c.schedule = (struct rn_schedule){ .kind = RN_PLATEAU, .factor = 0.5, .threshold = 1e9, .absolute = true,
                                       .patience = 1, .cooldown = 1 };
    struct tiny x = tiny_begin(&c, 1);
    for (int i = 0; i < 8; i++) { /* cuts after the third and the sixth, the eighth counts */
        while (!rn_trainer_epoch_pending(x.t)) CHECK_OK(rn_trainer_step(x.t, &s));
        CHECK_OK(rn_trainer_end_epoch(x.t, &e, NULL, NULL));
    }
    const struct rn_plateau want = x.t->s.plateau;
    CHECK(want.cuts == 2 && want.bad == 1);
    CHECK_OK(rn_trainer_save(x.t, path));
    tiny_end(&x);
    CHECK_OK(rn_checkpoint_open(&file, path));
    file->own = NULL;
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    const struct rn_plateau got = x.t->s.plateau;
    CHECK(got.any && got.best == want.best && got.bad == want.bad && got.cuts == want.cuts &&
          got.cooldown == want.cooldown);
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

/* Memory that is not there, at any place. */
static void test_no_memory(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_device_options o = { .threads = 1 };
    struct rn_trainer *t = NULL;
    rn_status status = RN_ENOMEM;
    void *dev;
    c.clip = 1;
    c.freeze = "conv1";
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; status != RN_OK && n < 10000; n++) {
        rn_alloc_fail_at(n, false);
        status = rn_trainer_create(&t, &c, &rn_ops_cpu, dev);
        rn_alloc_fail_at(0, false);
        CHECK(status == RN_OK || rn_alloc_live() == live);
    }
    CHECK_OK(status);
    rn_trainer_free(t);
    CHECK(rn_alloc_live() == live);
    rn_ops_cpu.close(dev);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_clip),         RN_TEST_ROW(test_clip_in_training),
        RN_TEST_ROW(test_freeze),       RN_TEST_ROW(test_freeze_names),
        RN_TEST_ROW(test_freeze_in_checkpoint),
        RN_TEST_ROW(test_freeze_bn),    RN_TEST_ROW(test_freeze_bn_gradient),
        RN_TEST_ROW(test_resume),       RN_TEST_ROW(test_plateau_of_torch),
        RN_TEST_ROW(test_no_memory),
    };
    return rn_test_main("test_train_update", rows, RN_COUNT(rows), argc, argv);
}
