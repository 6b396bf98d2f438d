#define _POSIX_C_SOURCE 200809L
/*
 * test_train.c - steps and epochs: the bits of a resumed run at every step, for every optimiser and
 * schedule, with another number of threads; what a step that goes wrong leaves; early stopping;
 * sums and scores.
 */
#include "tests/test_train.h"
#include "base/available.h"
#include "base/file.h"
#include "train/sum.h"

#include <stdlib.h>

/* -- the same bits from any step --------------------------------------------------------------- */
#define MOST_STEPS 16

struct trace {
    uint64_t hash[MOST_STEPS];
    double loss[MOST_STEPS], val_loss[4];
    int64_t steps, epochs;
};

/* Runs to the end or to `limit` steps, writing what happens at its place in the trace. */
static void run_on(struct rn_trainer *t, struct trace *r, int64_t limit)
{
    struct rn_step s;
    struct rn_epoch e;
    while (!rn_trainer_done(t) && (rn_trainer_steps(t) < limit || rn_trainer_epoch_pending(t))) {
        if (rn_trainer_epoch_pending(t)) {
            CHECK_OK(rn_trainer_end_epoch(t, &e, NULL, NULL));
            r->val_loss[e.epoch - 1] = e.val_loss + e.train_loss;
            r->epochs = e.epoch;
        } else {
            CHECK_OK(rn_trainer_step(t, &s));
            r->hash[s.step - 1] = s.hash;
            r->loss[s.step - 1] = s.loss;
            r->steps = s.step;
        }
    }
}

static void check_every_step(const char *what, const struct rn_train_config *c)
{
    char path[128];
    const char *folder = make_folder();
    snprintf(path, sizeof path, "%s/x.pth", folder);
    struct trace whole = {0};
    struct tiny x = tiny_begin(c, 1);
    run_on(x.t, &whole, MOST_STEPS);
    tiny_end(&x);
    CHECK_MSG(whole.steps > 3 && whole.epochs == c->epochs, "%s: %d steps", what, (int)whole.steps);
    CHECK(whole.hash[0] != whole.hash[1] && whole.hash[1] != whole.hash[2]);
    for (int64_t k = 0; k <= whole.steps; k++) {
        struct trace parts = {0};
        struct rn_checkpoint *file;
        x = tiny_begin(c, 1);
        run_on(x.t, &parts, k);
        CHECK_OK(rn_trainer_save(x.t, path));
        tiny_end(&x);
        CHECK_OK(rn_checkpoint_open(&file, path));
        x = tiny_begin(c, k == 1 ? 2 : k == 4 ? 3 : 1);
        CHECK_OK(rn_trainer_resume(x.t, file, false));
        rn_checkpoint_free(file);
        CHECK(rn_trainer_steps(x.t) == k);
        run_on(x.t, &parts, MOST_STEPS);
        tiny_end(&x);
        CHECK_MSG(!memcmp(&whole, &parts, sizeof whole), "%s: resumed after step %d, other bits",
                  what, (int)k);
    }
    remove_folder(folder);
}

static void test_resume_sgd(void)
{
    struct rn_train_config c = tiny_config();
    check_every_step("sgd, one-cycle", &c);
    c.nesterov = true;
    c.head_lr = 0.2;
    c.smoothing = 0.1;
    c.schedule = (struct rn_schedule){ .kind = RN_COSINE, .span = 2, .warmup = 1 };
    check_every_step("Nesterov, cosine after warm-up, head rate", &c);
    c.average = true;
    c.average_decay = 0.8;
    c.average_steps = 2;
    c.norm_decay = (struct rn_optional){ true, 0 };
    c.bias_lr = (struct rn_optional){ true, 0.4 };
    CHECK_OK(rn_augment_parse(&c.augment, "crop:2:reflect,altflip"));
    check_every_step("average of weights, groups, alternating flip", &c);
}

static void test_resume_adamw(void)
{
    struct rn_train_config c = tiny_config();
    c.optimizer = RN_ADAMW;
    c.lr = c.head_lr = 0.002;
    check_every_step("adamw, one-cycle", &c);
    c.epochs = 3; /* the cut after the second must still be known */
    c.schedule =
        (struct rn_schedule){ .kind = RN_PLATEAU, .factor = 0.5, .threshold = 0.9, .patience = 0 };
    check_every_step("adamw, plateau", &c);
}

static void test_resume_accumulation(void)
{
    struct rn_train_config c = tiny_config();
    c.batch = 2;
    c.parts = 2;
    c.schedule = (struct rn_schedule){ .kind = RN_STEP_DECAY, .step_size = 1, .gamma = 0.5 };
    check_every_step("accumulation", &c);
}

/* An interrupted validation changes nothing: the epoch's end can be done after a resume. */
static int stop_at_once(void *arg) { (void)arg; return 15; }

static void test_resume_before_validation(void)
{
    struct rn_train_config c = tiny_config();
    char path[128];
    const char *folder = make_folder();
    struct trace whole = {0}, parts = {0};
    struct rn_checkpoint *file;
    struct rn_epoch e;
    struct rn_step s;
    snprintf(path, sizeof path, "%s/x.pth", folder);
    struct tiny x = tiny_begin(&c, 1);
    run_on(x.t, &whole, MOST_STEPS);
    tiny_end(&x);
    x = tiny_begin(&c, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(rn_trainer_step(x.t, &s));
        parts.hash[i] = s.hash;
        parts.loss[i] = s.loss;
    }
    CHECK(rn_trainer_end_epoch(x.t, &e, stop_at_once, NULL) == RN_EINTR);
    CHECK_OK(rn_trainer_save(x.t, path));
    tiny_end(&x);
    CHECK_OK(rn_checkpoint_open(&file, path));
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_trainer_resume(x.t, file, false));
    CHECK(rn_trainer_epoch_pending(x.t) && rn_trainer_epochs(x.t) == 0);
    run_on(x.t, &parts, MOST_STEPS);
    CHECK(!memcmp(&whole, &parts, sizeof whole));
    tiny_end(&x);
    rn_checkpoint_free(file);
    remove_folder(folder);
}

/* -- epochs ------------------------------------------------------------------------------------ */
static void test_early_stop(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    c.lr = c.head_lr = 0;
    c.momentum = 0;
    c.epochs = 50;
    c.stop_patience = 2;
    c.schedule = (struct rn_schedule){ .kind = RN_CONSTANT };
    struct tiny x = tiny_begin(&c, 1);
    CHECK_OK(rn_train(x.t, NULL, &quiet));
    int64_t free_end = rn_trainer_epochs(x.t);
    CHECK_MSG(free_end >= 3 && free_end < 20, "stopped after %d epochs", (int)free_end);
    tiny_end(&x);
    c.stop_floor = free_end + 4;
    x = tiny_begin(&c, 1);
    CHECK_OK(rn_train(x.t, NULL, &quiet));
    CHECK(rn_trainer_epochs(x.t) == c.stop_floor);
    tiny_end(&x);
}

static void test_max_steps(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_observer quiet = {0};
    struct rn_summary sum;
    for (int64_t n = 0; n < 9; n++) {
        c.max_steps = n;
        struct tiny x = tiny_begin(&c, 1);
        CHECK_OK(rn_train(x.t, NULL, &quiet));
        rn_trainer_summary(x.t, &sum);
        CHECK(sum.steps == RN_MIN(n, 6) && sum.epochs == RN_MIN(n, 6) / 3);
        CHECK(n == 0 ? sum.val_acc < 0 : sum.val_acc >= 0);
        tiny_end(&x);
    }
}

/* Learns: the loss of the last epoch is well below the first's. */
static void test_learns(void)
{
    struct rn_train_config c = tiny_config();
    c.epochs = c.schedule.span = 12;
    struct tiny x = tiny_begin(&c, 1);
    struct rn_step s;
    struct rn_epoch e = {0};
    struct rn_summary sum;
    double first = 0, waited = 0;
    while (!rn_trainer_done(x.t)) {
        if (rn_trainer_epoch_pending(x.t)) {
            CHECK_OK(rn_trainer_end_epoch(x.t, &e, NULL, NULL));
            if (e.epoch == 1) first = e.train_loss;
            waited += e.waited;
        } else {
            CHECK_OK(rn_trainer_step(x.t, &s));
        }
    }
    CHECK_MSG(e.train_loss < 0.5 * first && e.val_acc > 80, "loss %g -> %g, val_acc %g", first,
              e.train_loss, e.val_acc);
    rn_trainer_summary(x.t, &sum);
    CHECK(fabs(sum.waited_seconds - waited) <= 1e-9); /* each epoch has its own */
    tiny_end(&x);
}

/* Validation does not know the batch size. */
static void test_batch_of_validation(void)
{
    struct rn_train_config c = tiny_config();
    struct rn_summary sum;
    struct rn_observer quiet = {0};
    double loss[2];
    for (int k = 0; k < 2; k++) {
        struct rn_epoch e = {0};
        struct rn_step s;
        c.val_batch = k ? 9 : 2;
        struct tiny x = tiny_begin(&c, 1);
        for (int i = 0; i < 3; i++) CHECK_OK(rn_trainer_step(x.t, &s));
        CHECK_OK(rn_trainer_end_epoch(x.t, &e, NULL, NULL));
        loss[k] = e.val_loss;
        CHECK(e.waited > 0 && e.waited <= e.seconds);
        CHECK_OK(rn_train(x.t, NULL, &quiet));
        rn_trainer_summary(x.t, &sum);
        CHECK(sum.waited_seconds > e.waited); /* the second epoch's, too */
        tiny_end(&x);
    }
    CHECK(loss[0] == loss[1]);
}

/* -- memory ------------------------------------------------------------------------------------ */

/* What creating a trainer says when so many bytes are there; on refusal nothing is left behind. */
static rn_status create_with(const struct rn_train_config *c, const struct rn_ops *ops, uint64_t there)
{
    struct tiny x = {0};
    struct rn_device_options o = { .threads = 1 };
    CHECK_OK(ops->open(&x.dev, &o));
    const uint64_t live = rn_alloc_live();
    rn_memory_pretend(there);
    rn_status status = rn_trainer_create(&x.t, c, ops, x.dev);
    rn_memory_pretend(0);
    if (status) CHECK(!x.t && rn_alloc_live() == live);
    rn_trainer_free(x.t);
    ops->close(x.dev);
    return status;
}

/* The net, the arrays of the optimiser and of a step's parts, and the batches of both loaders. */
static size_t bytes_needed(const struct rn_train_config *c)
{
    struct tiny x = tiny_begin(c, 1);
    const struct rn_net *net = rn_trainer_net(x.t);
    const size_t image = TINY_PIXELS + sizeof(struct rn_image_move);
    const size_t batches = 3 * 4 * image + 2 * 9 * image; /* two steps ahead; validation has one step */
    size_t arena = 0;
    CHECK_OK(rn_net_arena_bytes(&arena, rn_net_config_of(net), &rn_ops_cpu, x.dev));
    const size_t beside = rn_net_config_of(net)->beside_bytes;
    CHECK_MSG(beside > batches && beside < batches + batches / 4, "%zu bytes beside the net", beside);
    arena += beside + 3 * rn_net_trainable_count(net) * sizeof(float);
    tiny_end(&x);
    return arena;
}

static void test_memory_is_asked_for(void)
{
    struct rn_train_config c = tiny_config();
    c.batch = 4;
    c.val_batch = 9;
    c.parts = 2;
    c.workers = 2;
    c.optimizer = RN_ADAMW;
    const size_t needed = bytes_needed(&c);
    CHECK(create_with(&c, &rn_ops_cpu, needed - 1) == RN_ENOMEM);
    CHECK_MSG(strstr(rn_error(), "no memory for the net at batch size 9"), "%s", rn_error());
    CHECK_OK(create_with(&c, &rn_ops_cpu, needed));
    CHECK(create_with(&c, &rn_ops_ref, 1) == RN_ENOMEM);
    struct rn_ops other = rn_ops_ref; /* of another name: may have memory of its own */
    other.name = "elsewhere";
    CHECK_OK(create_with(&c, &other, 1));
}

/* -- sums and scores --------------------------------------------------------------------------- */

/* A11 level by level, as the rule is written. */
static double tree(double *v, int count)
{
    for (; count > 1; count = (count + 1) / 2)
        for (int k = 0; 2 * k < count; k++)
            v[k] = 2 * k + 1 < count ? v[2 * k] + v[2 * k + 1] : v[2 * k];
    return count ? v[0] : 0;
}

static void test_sum(void)
{
    for (int count = 0; count < 300; count++) {
        double group[64] = {0};
        struct rn_sum s = {0};
        for (int i = 0; i < count; i++) {
            struct rn_random r = rn_random(5, RN_RANDOM_TEST, 0, (uint32_t)i);
            double x = rn_random_normal(&r);
            group[i / 8] = group[i / 8] + x;
            rn_sum_add(&s, x);
        }
        double want = tree(group, (count + 7) / 8), got = rn_sum_total(&s);
        CHECK_MSG(rn_bits64(want) == rn_bits64(got), "sum of %d: %a instead of %a", count, got,
                  want);
    }
}

static void check_score(const float *x, int label, bool want1, bool want5)
{
    bool top1, top5;
    int answer;
    rn_score(&top1, &top5, &answer, x, 8, label);
    CHECK_MSG(top1 == want1 && top5 == want5, "label %d: %d %d", label, top1, top5);
}

static void test_score(void)
{
    const float ties[8] = { 1, 3, 3, 3, 3, 3, 3, 0 };
    check_score(ties, 1, true, true);
    check_score(ties, 2, false, true);
    check_score(ties, 5, false, true);
    check_score(ties, 6, false, false); /* five equal ones stand before it */
    check_score(ties, 0, false, false);
    const float nan[8] = { 1, 2, 9, 3, rn_float(0x7fc00000), 3, 3, 0 };
    check_score(nan, 2, false, false);
    check_score(nan, 4, false, false);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_resume_sgd),
        RN_TEST_ROW(test_resume_adamw),
        RN_TEST_ROW(test_resume_accumulation),
        RN_TEST_ROW(test_resume_before_validation),
        RN_TEST_ROW(test_early_stop),
        RN_TEST_ROW(test_max_steps),
        RN_TEST_ROW(test_learns),
        RN_TEST_ROW(test_batch_of_validation),
        RN_TEST_ROW(test_memory_is_asked_for),
        RN_TEST_ROW(test_sum),
        RN_TEST_ROW(test_score),
    };
    return rn_test_main("test_train", rows, RN_COUNT(rows), argc, argv);
}
