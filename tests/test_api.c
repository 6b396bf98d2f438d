/*
 * test_api.c - the library as its users see it: nothing but include/resnet.h.  Trains a net for a few
 * steps, stores it in each form, reads it back into another one.
 */
#define _POSIX_C_SOURCE 200809L
#include "resnet.h"

#include "tests/test.h"

#include <unistd.h>

#define BATCH 4

static float images[BATCH * 3 * 32 * 32];
static const int32_t labels[BATCH] = { 0, 1, 2, 1 };

static struct rn_net_config small(void)
{
    struct rn_net_config c = { .image_size = 32, .batch = BATCH, .eval_batch = BATCH };
    CHECK_OK(rn_arch_named(&c.arch, "resnet18", RN_STEM_IMAGENET, 3));
    return c;
}

/* The program of resnet.h's opening comment. */
static void train(struct rn_net *net, const struct rn_ops *ops, void *dev, int steps)
{
    const struct rn_sgd sgd = { .lr = 0.01, .momentum = 0.9 };
    double loss[BATCH], first = 0;
    void *velocity;
    CHECK_OK(ops->alloc(dev, &velocity, rn_net_trainable_count(net) * sizeof(float)));
    for (int i = 0; i < steps; i++) {
        rn_net_forward(net, images, BATCH, true);
        rn_net_loss(net, loss, labels, BATCH, 0.0);
        rn_net_backward(net);
        CHECK(rn_net_gradients_finite(net));
        ops->sgd_update(dev, rn_net_weights(net), velocity, rn_net_gradients(net),
                        rn_net_trainable_count(net), &sgd);
        rn_net_commit_statistics(net);
        if (i == 0) first = loss[0] + loss[1] + loss[2] + loss[3];
    }
    CHECK(loss[0] + loss[1] + loss[2] + loss[3] < first);
    ops->release(dev, velocity);
}

static void check_file(struct rn_net *net, struct rn_net *other, const char *folder, const char *name)
{
    char path[256];
    float want[BATCH * 3], got[BATCH * 3];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(rn_net_save(net, path));
    rn_net_init(other, 99);
    CHECK(rn_net_hash(other) != rn_net_hash(net));
    CHECK_OK(rn_net_load(other, path));
    CHECK_MSG(rn_net_hash(other) == rn_net_hash(net), "%s: other weights came back", name);
    rn_net_forward(net, images, BATCH, false);
    rn_net_logits(net, want);
    rn_net_forward(other, images, BATCH, false);
    rn_net_logits(other, got);
    check_bits(name, got, want, BATCH * 3);
    CHECK(unlink(path) == 0);
}

static void test_train_save_load(void)
{
    const struct rn_device_options options = { .threads = 2 };
    const struct rn_net_config c = small();
    struct rn_net_config inference = c;
    const struct rn_ops *ops;
    struct rn_net *net, *other;
    char folder[] = "/tmp/resnet-api-XXXXXX";
    void *dev;

    inference.batch = 0;
    for (size_t i = 0; i < RN_COUNT(images); i++) images[i] = (float)((int)(i * 31 % 19) - 9) / 8.0f;
    CHECK_OK(rn_backend_find(&ops, "cpu", "fp32"));
    CHECK_OK(ops->open(&dev, &options));
    CHECK_OK(rn_net_create(&net, &c, ops, dev));
    CHECK_OK(rn_net_create(&other, &inference, ops, dev));
    rn_net_init(net, 42);
    train(net, ops, dev, 6);
    if (!mkdtemp(folder)) CHECK(0);
    check_file(net, other, folder, "net.pth");
    check_file(net, other, folder, "net.safetensors");
    check_file(net, other, folder, "net.npz");
    CHECK(rn_net_save(net, "net.onnxx") == RN_EUSAGE);
    CHECK(rn_net_load(net, "no/such/file.pth") == RN_EINPUT && rn_error()[0]);
    rmdir(folder);
    rn_net_free(other);
    rn_net_free(net);
    ops->close(dev);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = { RN_TEST_ROW(test_train_save_load) };
    return rn_test_main("test_api", row, RN_COUNT(row), argc, argv);
}
