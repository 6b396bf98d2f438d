/*
 * slow_zeroed.c - the built-in set shows a broken gradient.  Two epochs of the default run, once as it is
 * and once with a table whose `linear_backward_data` hands down zeros, so that one layer's gradient is
 * missing and all below it stays as initialised: the second must end 10 points lower or more.
 *
 * Takes minutes; `make check-all` runs it, `make test` does not.
 */
#include "tests/test.h"

#include "base/threads.h"
#include "resnet.h"
#include "train/train.h"

static void no_gradient(void *dev, void *dsrc, const float *ddst, const float *weights,
                        const struct rn_linear_shape *s, void *workspace)
{
    (void)dev, (void)ddst, (void)weights, (void)workspace;
    memset(dsrc, 0, (size_t)s->N * (size_t)s->C * sizeof(float));
}

/* Accuracy on unseen images, percent; 0 if anything failed. */
static double accuracy(const struct rn_dataset *data, const struct rn_ops *ops)
{
    const struct rn_device_options options = { .threads = rn_cpu_count() };
    const struct rn_observer silent = { 0 };
    struct rn_train_config c = {
        .data = data, .shuffle = true, .workers = 1, .image_size = 32, .batch = 64, .parts = 1,
        .val_batch = 250, .epochs = 2, .max_steps = -1, .optimizer = RN_SGD, .lr = 0.02,
        .head_lr = 0.02, .momentum = 0.9, .weight_decay = 5e-4, .seed = 42, .numerics = "fp32",
        .build = "test",
        .schedule = { .kind = RN_ONE_CYCLE, .span = 2, .rise = 0.3, .divide = 25,
                      .final_divide = 1e4 },
    };
    struct rn_trainer *trainer = NULL;
    struct rn_summary summary = { 0 };
    void *dev;

    memcpy(c.mean, data->mean, sizeof c.mean);
    memcpy(c.std, data->std, sizeof c.std);
    CHECK_OK(rn_arch_named(&c.arch, "resnet18", RN_STEM_IMAGENET, data->classes));
    CHECK_OK(ops->open(&dev, &options));
    CHECK_OK(rn_trainer_create(&trainer, &c, ops, dev));
    if (trainer) {
        CHECK_OK(rn_train(trainer, NULL, &silent));
        rn_trainer_summary(trainer, &summary);
    }
    rn_trainer_free(trainer);
    ops->close(dev);
    return summary.val_acc;
}

static void test_zeroed_gradient_shows(void)
{
    struct rn_dataset *data;
    struct rn_ops broken = rn_ops_cpu;
    broken.linear_backward_data = no_gradient;

    CHECK_OK(rn_dataset_open(&data, "demo", NULL));
    double whole = accuracy(data, &rn_ops_cpu), zeroed = accuracy(data, &broken);
    printf("after two epochs: %.2f %%, with the gradient that fc hands down zeroed: %.2f %%\n", whole,
           zeroed);
    CHECK(whole - zeroed >= 10);
    rn_dataset_close(data);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = { RN_TEST_ROW(test_zeroed_gradient_shows) };
    return rn_test_main("slow_zeroed", row, RN_COUNT(row), argc, argv);
}
