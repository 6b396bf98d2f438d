#define _POSIX_C_SOURCE 200809L
/*
 * test_train_average.c - the average of weights against its formula, what a checkpoint makes of it,
 * and groups of parameters with rates and decays of their own.
 */
#include "tests/test_train.h"

#include "base/file.h"
#include "train/trainer.h"

#include <stdlib.h>

/* All floats of the net, in state-dict order; rn_alloc'ed. */
static float *all_floats(struct rn_net *net, size_t *count)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    float *x = rn_alloc_array(rn_net_trainable_count(net) + rn_net_buffer_count(net), sizeof *x);
    *count = 0;
    for (size_t i = 0; i < rows; i++) {
        if (p[i].kind == RN_PARAM_BATCHES) continue;
        rn_net_get(net, i, x + *count);
        *count += p[i].count;
    }
    return x;
}

static float *floats_of_file(struct rn_net *net, const struct rn_checkpoint *file, size_t *count)
{
    CHECK_OK(rn_load_weights(net, file, false));
    return all_floats(net, count);
}

static struct rn_checkpoint *saved(struct rn_trainer *t, const char *folder)
{
    struct rn_checkpoint *file = NULL;
    char *path = rn_path_join(folder, "x.pth");
    CHECK_OK(rn_trainer_save(t, path));
    CHECK_OK(rn_checkpoint_open(&file, path));
    rn_free(path);
    return file;
}

static struct rn_train_config averaged(void)
{
    struct rn_train_config c = tiny_config();
    c.average = true;
    c.average_decay = 0.7;
    return c;
}

/* -- the average ------------------------------------------------------------------------------- */

/* Element by element: e' = F(fma(f32(1 - d), w - e, e)), of weights and statistics, every second step. */
static void test_formula(void)
{
    struct rn_train_config c = averaged();
    const char *folder = make_folder();
    const float share = (float)(1.0 - 0.7);
    struct rn_step s;
    size_t count;
    c.average_steps = 2;
    struct tiny x = tiny_begin(&c, 1), y = tiny_begin(&c, 1);
    float *e = all_floats(rn_trainer_net(x.t), &count);
    for (int step = 1; step <= 3; step++) {
        CHECK_OK(rn_trainer_step(x.t, &s));
        float *w = all_floats(rn_trainer_net(x.t), &count);
        for (size_t i = 0; step == 2 && i < count; i++)
            e[i] = rn_store(rn_fmaf(share, w[i] - e[i], e[i]));
        struct rn_checkpoint *file = saved(x.t, folder);
        float *average = floats_of_file(rn_trainer_net(y.t), file, &count);
        check_bits("average", average, e, count);
        struct rn_checkpoint raw = { .path = file->path, .tensors = file->training };
        float *training = floats_of_file(rn_trainer_net(y.t), &raw, &count);
        check_bits("weights as training left them", training, w, count);
        rn_checkpoint_free(file);
        rn_free(average);
        rn_free(training);
        rn_free(w);
    }
    rn_free(e);
    tiny_end(&x);
    tiny_end(&y);
    remove_folder(folder);
}

/* Training does not feel the average; validation is of it, and so are the hashes of epoch and summary. */
static void test_beside_training(void)
{
    struct rn_train_config c = tiny_config(), d = averaged();
    struct rn_step s[2];
    struct rn_epoch e[2];
    struct rn_summary sum[2];
    uint64_t before[2];
    struct tiny x[2] = { tiny_begin(&c, 1), tiny_begin(&d, 1) };
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 3; i++) CHECK_OK(rn_trainer_step(x[k].t, &s[k]));
        rn_trainer_summary(x[k].t, &sum[k]);
        before[k] = sum[k].weights_hash;
        CHECK_OK(rn_trainer_end_epoch(x[k].t, &e[k], NULL, NULL));
        CHECK_OK(rn_trainer_step(x[k].t, &s[k]));
        rn_trainer_summary(x[k].t, &sum[k]);
    }
    CHECK(s[0].hash == s[1].hash && s[0].loss == s[1].loss && e[0].train_loss == e[1].train_loss);
    CHECK(e[0].val_loss != e[1].val_loss);
    CHECK(e[0].hash == before[0] && e[1].hash != before[0] && e[1].hash == before[1]);
    CHECK(sum[0].weights_hash == s[0].hash && sum[1].weights_hash != s[1].hash);
    tiny_end(&x[0]);
    tiny_end(&x[1]);
}

/* The average of a resumed run has the bits of an uninterrupted one's, at every step. */
static void test_resume(void)
{
    struct rn_train_config c = averaged();
    const char *folder = make_folder();
    uint64_t want[5];
    struct rn_summary sum;
    struct rn_step s;
    c.epochs = 3;
    struct tiny x = tiny_begin(&c, 1);
    for (int i = 0; i < 3; i++) CHECK_OK(rn_trainer_step(x.t, &s));
    rn_trainer_summary(x.t, &sum);
    want[3] = sum.weights_hash;
    tiny_end(&x);
    for (int k = 0; k < 3; k++) {
        x = tiny_begin(&c, 1);
        for (int i = 0; i < k; i++) CHECK_OK(rn_trainer_step(x.t, &s));
        struct rn_checkpoint *file = saved(x.t, folder);
        tiny_end(&x);
        x = tiny_begin(&c, k + 1);
        CHECK_OK(rn_trainer_resume(x.t, file, false));
        for (int i = k; i < 3; i++) CHECK_OK(rn_trainer_step(x.t, &s));
        rn_trainer_summary(x.t, &sum);
        CHECK_MSG(sum.weights_hash == want[3], "resumed after step %d: another average", k);
        rn_checkpoint_free(file);
        tiny_end(&x);
    }
    remove_folder(folder);
}

/* Forced on a checkpoint without an average, it begins with the weights there are; forced off, training
 * goes on with the weights it had. */
static void test_forced(void)
{
    struct rn_train_config c = tiny_config(), d = averaged();
    const char *folder = make_folder();
    struct rn_summary sum;
    struct rn_step s;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s));
    struct rn_checkpoint *file = saved(x.t, folder);
    tiny_end(&x);
    x = tiny_begin(&d, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, true));
    rn_checkpoint_free(file);
    rn_trainer_summary(x.t, &sum);
    CHECK(sum.weights_hash == s.hash);
    CHECK_OK(rn_trainer_step(x.t, &s));
    file = saved(x.t, folder);
    tiny_end(&x);
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, true));
    CHECK(rn_net_hash(rn_trainer_net(x.t)) == s.hash);
    rn_checkpoint_free(file);
    tiny_end(&x);
    remove_folder(folder);
}

/* Every allocation of saving and resuming may fail: nothing leaks, nothing changes. */
static void test_no_memory(void)
{
    struct rn_train_config c = averaged();
    const char *folder = make_folder();
    struct rn_step s;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s));
    struct rn_checkpoint *file = saved(x.t, folder), *again;
    tiny_end(&x);
    x = tiny_begin(&c, 1);
    uint64_t before = rn_net_hash(rn_trainer_net(x.t)), live = rn_alloc_live(), n = 1;
    rn_status status = RN_ENOMEM;
    for (; status != RN_OK && n < 10000; n++) {
        CHECK(before == rn_net_hash(rn_trainer_net(x.t)));
        rn_alloc_fail_at(n, false);
        status = rn_trainer_resume(x.t, file, false);
        rn_alloc_fail_at(0, false);
        CHECK(rn_alloc_live() == live);
    }
    CHECK(status == RN_OK && rn_net_hash(rn_trainer_net(x.t)) == s.hash);
    for (status = RN_ENOMEM, n = 1; status != RN_OK && n < 10000; n++) {
        rn_alloc_fail_at(n, false);
        status = rn_checkpoint_open(&again, file->path);
        rn_alloc_fail_at(0, false);
        if (status == RN_OK) rn_checkpoint_free(again);
        CHECK(rn_alloc_live() == live);
    }
    CHECK(status == RN_OK);
    rn_checkpoint_free(file);
    tiny_end(&x);
    remove_folder(folder);
}

static void test_bad_decay(void)
{
    struct rn_train_config c = averaged();
    c.average_decay = 1;
    CHECK(rn_train_config_check(&c) == RN_EUSAGE && strstr(rn_error(), "below 1"));
    c.average = false;
    CHECK_OK(rn_train_config_check(&c));
}

/* -- groups ------------------------------------------------------------------------------------ */
static struct rn_train_config grouped(void)
{
    struct rn_train_config c = tiny_config();
    c.schedule = (struct rn_schedule){ .kind = RN_CONSTANT };
    c.lr = 0.05;
    c.head_lr = 0.02;
    c.weight_decay = 0.01;
    c.norm_decay = (struct rn_optional){ true, 0.25 };
    c.bias_decay = (struct rn_optional){ true, 0 };
    c.bias_lr = (struct rn_optional){ true, 0.5 };
    return c;
}

/* What a step makes of each tensor is what the update alone makes of it with the rate and decay that its
 * name asks for. */
static void check_groups(const struct rn_train_config *c)
{
    struct rn_step s;
    struct tiny x = tiny_begin(c, 1), y = tiny_begin(c, 1);
    struct rn_net *net = rn_trainer_net(x.t), *old = rn_trainer_net(y.t);
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    CHECK_OK(rn_trainer_step(x.t, &s));
    for (size_t i = 0; i < rows; i++) {
        if (!p[i].trainable) continue;
        bool bias = strstr(p[i].name, ".bias"), norm = strstr(p[i].name, "bn") || strstr(p[i].name, "sample.1");
        bool head = !strncmp(p[i].name, "fc.", 3);
        double lr = bias ? 0.5 : head ? 0.02 : 0.05, decay = bias ? 0 : norm ? 0.25 : 0.01;
        float *w = rn_net_weights(old) + p[i].offset, *g = rn_net_gradients(net) + p[i].offset;
        float *first = rn_alloc_array(p[i].count, sizeof *first);
        float *second = rn_alloc_array(p[i].count, sizeof *second);
        struct rn_sgd sgd = { lr, c->momentum, decay, c->nesterov, NULL };
        struct rn_adamw adamw = { lr, c->momentum, c->beta2, c->eps, decay, c->momentum, c->beta2, NULL };
        if (c->optimizer == RN_SGD) rn_ops_cpu.sgd_update(y.dev, w, first, g, p[i].count, &sgd);
        else rn_ops_cpu.adamw_update(y.dev, w, first, second, g, p[i].count, &adamw);
        check_bits(p[i].name, rn_net_weights(net) + p[i].offset, w, p[i].count);
        rn_free(first);
        rn_free(second);
    }
    tiny_end(&x);
    tiny_end(&y);
}

static void test_groups(void)
{
    struct rn_train_config c = grouped();
    check_groups(&c);
    c.optimizer = RN_ADAMW;
    check_groups(&c);
}

/* param_groups of the checkpoint: rates, decays, and every parameter in one of them. */
static void test_groups_of_file(void)
{
    static const double lr[] = { 0.05, 0.05, 0.5, 0.02 }, decay[] = { 0.01, 0.25, 0, 0.01 };
    struct rn_train_config c = grouped();
    const char *folder = make_folder();
    struct rn_step s;
    int64_t members = 0;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s));
    struct rn_checkpoint *file = saved(x.t, folder);
    const struct rn_value *optimizer = rn_dict_get(file->root, "optimizer_state_dict");
    const struct rn_value *groups = rn_dict_get(optimizer, "param_groups");
    CHECK(groups->count == 4 && x.t->opt.groups == 4);
    for (size_t g = 0; g < groups->count && g < 4; g++) {
        CHECK(rn_dict_get(groups->item[g], "lr")->real == lr[g]);
        CHECK(rn_dict_get(groups->item[g], "weight_decay")->real == decay[g]);
        members += (int64_t)rn_dict_get(groups->item[g], "params")->count;
    }
    CHECK(members == (int64_t)rn_dict_get(optimizer, "state")->count / 2);
    CHECK(rn_dict_get(rn_dict_get(file->root, "scheduler_state_dict"), "base_lrs")->count == 4);
    rn_checkpoint_free(file);
    tiny_end(&x);
    remove_folder(folder);
}

/* As torch.optim writes them, states are numbered group by group: the moments still find their way. */
static void test_numbers_of_torch(void)
{
    struct rn_train_config c = grouped();
    const char *folder = make_folder();
    struct rn_step s;
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_step(x.t, &s));
    struct rn_checkpoint *file = saved(x.t, folder);
    CHECK_OK(rn_trainer_step(x.t, &s));
    tiny_end(&x);
    struct rn_value *optimizer = rn_dict_get(file->root, "optimizer_state_dict");
    struct rn_value *groups = rn_dict_get(optimizer, "param_groups"), *state = rn_dict_get(optimizer, "state");
    int64_t number = 1000;
    for (size_t g = 0; g < groups->count; g++) {
        struct rn_value *list = rn_dict_get(groups->item[g], "params");
        for (size_t k = 0; k < list->count; k++, number++) {
            for (size_t i = 0; i < state->count; i += 2)
                if (state->item[i]->integer == list->item[k]->integer) {
                    state->item[i]->integer = number;
                    break;
                }
            list->item[k]->integer = number;
        }
    }
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    uint64_t want = s.hash;
    CHECK_OK(rn_trainer_step(x.t, &s));
    CHECK(s.hash == want);
    rn_checkpoint_free(file);
    tiny_end(&x);
    remove_folder(folder);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_formula),  RN_TEST_ROW(test_beside_training), RN_TEST_ROW(test_resume),
        RN_TEST_ROW(test_forced),   RN_TEST_ROW(test_no_memory),       RN_TEST_ROW(test_bad_decay),
        RN_TEST_ROW(test_groups),   RN_TEST_ROW(test_groups_of_file),  RN_TEST_ROW(test_numbers_of_torch),
    };
    return rn_test_main("test_train_average", rows, RN_COUNT(rows), argc, argv);
}
