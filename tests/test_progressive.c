#define _POSIX_C_SOURCE 200809L
/*
 * test_progressive.c - images that grow in the course of training: the list, the loader's images, a net that is
 * planned anew, and a run that stops and goes on across sizes.
 */
#include "tests/test_net.h"
#include "tests/test_images.h"
#include "tests/test_train.h"

#include "base/file.h"
#include "data/data.h"
#include "data/image.h"

#include <stdlib.h>

static void check_list(const char *list, rn_status want, const char *says)
{
    struct rn_progressive p;
    rn_status got = rn_progressive_parse(&p, list);
    CHECK_MSG(got == want, "'%s' gives %d", list, (int)got);
    if (want) CHECK_MSG(strstr(rn_error(), says), "'%s': %s", list, rn_error());
    if (want) CHECK(!p.parts);
}

static void test_list(void)
{
    struct rn_progressive p;
    check_list("none", RN_OK, "");
    check_list("16", RN_EUSAGE, "'16' is not SIDE:EPOCH");
    check_list("16:0", RN_EUSAGE, "'16:0' is not");
    check_list("0:3", RN_EUSAGE, "'0:3' is not");
    check_list("16:3,", RN_EUSAGE, "an item is empty");
    check_list("16:x", RN_EUSAGE, "'16:x'");
    check_list("16:3,16:4", RN_EUSAGE, "must rise");
    check_list("16:3,24:3", RN_EUSAGE, "must rise");
    check_list("8:1,9:2,10:3,11:4,12:5,13:6,14:7,15:8,16:9", RN_EUSAGE, "more than 8");
    CHECK_OK(rn_progressive_parse(&p, "16:3,24:7"));
    static const int want[] = { 16, 16, 16, 24, 24, 24, 24, 32, 32 };
    for (int e = 0; e < (int)RN_COUNT(want); e++) CHECK(rn_progressive_side(&p, e, 32) == want[e]);
}

/* Batches of the small epoch are the big one's, augmented alike and then resized. */
static void test_loader(void)
{
    struct rn_dataset *set = NULL;
    struct rn_loader *l = NULL;
    struct rn_batch b;
    CHECK_OK(rn_dataset_open(&set, "demo", 0));
    struct rn_loader_config c = { .set = set, .split = &set->train, .limit = 20, .batch = 8, .shuffle = true,
                                  .std = { 1, 1, 1 }, .seed = 3 };
    CHECK_OK(rn_augment_parse(&c.augment, "crop:4,flip"));
    CHECK_OK(rn_progressive_parse(&c.progressive, "12:2"));
    for (c.workers = 0; c.workers < 3; c.workers++) {
        CHECK_OK(rn_loader_create(&l, &c));
        for (uint32_t epoch = 1; epoch < 3; epoch++) {
            int side = epoch < 2 ? 12 : 32;
            uint8_t cut[3 * 32 * 32], small[3 * 32 * 32];
            float want[3 * 32 * 32];
            CHECK_OK(rn_loader_begin(l, epoch, 1));
            CHECK_OK(rn_loader_next(l, &b));
            size_t count;
            float *got = images_alloc(&count, &b.images);
            CHECK(b.n == 8 && b.images.shape.H == side && b.images.shape.W == side);
            for (int i = 0; i < b.n; i++) {
                const struct rn_box whole = { 0, 0, 32, 32 };
                void *scratch = rn_alloc(rn_resize_scratch(32, 32, side, side));
                rn_augment_image(cut, set->train.pixels + (size_t)b.index[i] * sizeof cut, 3, 32, 32, &c.augment, 3,
                                 epoch, b.index[i]);
                rn_resize(small, side, side, cut, 32, 32, &whole, scratch);
                normalised(want, small, 3, side, side, c.mean, c.std);
                const size_t floats = 3 * (size_t)side * (size_t)side;
                check_bits("image", got + (size_t)i * floats, want, floats);
                rn_free(scratch);
            }
            rn_free(got);
        }
        rn_loader_free(l);
    }
    CHECK_OK(rn_progressive_parse(&c.progressive, "32:2"));
    CHECK(rn_loader_create(&l, &c) == RN_EUSAGE && strstr(rn_error(), "32x32"));
    rn_dataset_close(set);
}

/* Smaller images let an evaluation take more of them at a time, which took more memory than the net was created
 * with: 80 pixels were refused, where 96 had been planned for. */
static void test_parts_of_evaluation(void)
{
    const struct rn_device_options o = { .threads = 1 };
    struct rn_net_config c = { .image_size = 96, .batch = 4, .eval_batch = 64 };
    struct rn_net *net;
    void *dev;
    CHECK_OK(rn_arch_named(&c.arch, "resnet18", RN_STEM_CIFAR, 10));
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK_OK(rn_net_create(&net, &c, &rn_ops_cpu, dev));
    for (int side = 96; side >= RN_LEAST_SIZE; side -= 8) CHECK_OK(rn_net_resize(net, side));
    CHECK_OK(rn_net_resize(net, 96));
    rn_net_free(net);
    rn_ops_cpu.close(dev);
}

/* Gradients of one step at 16 pixels, then evaluation at 32: as by nets created for either size. */
static void test_resized_net(void)
{
    const struct rn_device_options o = { .threads = 2 };
    const int32_t labels[6] = { 0, 1, 2, 3, 4, 0 };
    static float images[6 * 3 * 32 * 32], logits[2][6 * 5], eval[2][6 * 5];
    struct rn_net_config c = small(true, RN_STEM_CIFAR, 0);
    struct rn_net *grown, *full;
    double loss[2][6];
    uint64_t hash[2];
    void *dev;
    test_fill(images, RN_COUNT(images), 0);
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK_OK(rn_net_create(&full, &c, &rn_ops_cpu, dev));
    rn_net_init(full, 42);
    CHECK_OK(rn_net_resize(full, 16));
    CHECK(rn_net_config_of(full)->image_size == 16);
    float *weights = rn_net_weights(full);
    CHECK_OK(rn_net_create(&grown, &c, &rn_ops_cpu, dev));
    rn_net_init(grown, 42);
    CHECK_OK(rn_net_resize(grown, 24));
    CHECK_OK(rn_net_resize(grown, 16));
    for (int k = 0; k < 2; k++) {
        struct rn_net *net = k ? grown : full;
        rn_net_forward(net, images, 6, true);
        rn_net_loss(net, loss[k], labels, 6, 0);
        rn_net_backward(net);
        CHECK(rn_net_gradients_finite(net));
        rn_net_commit_statistics(net);
        rn_net_logits(net, logits[k]);
        CHECK_OK(rn_net_resize(net, 32));
        rn_net_forward(net, images, 6, false);
        rn_net_logits(net, eval[k]);
        hash[k] = rn_net_hash(net);
    }
    CHECK(hash[0] == hash[1] && rn_net_weights(full) == weights);
    check_bits("logits at 16", logits[0], logits[1], 30);
    check_bits("logits at 32", eval[0], eval[1], 30);
    CHECK(memcmp(logits[0], eval[0], sizeof logits[0]) != 0);
    CHECK(rn_net_resize(full, 224) == RN_EUSAGE && strstr(rn_error(), "224 needs"));
    CHECK(rn_net_resize(full, RN_LEAST_SIZE - 1) == RN_EUSAGE);
    rn_net_forward(full, images, 6, false);
    rn_net_logits(full, eval[1]);
    check_bits("after refusals", eval[1], eval[0], 30);
    rn_net_free(full);
    rn_net_free(grown);
    rn_ops_cpu.close(dev);
}

/* Stopped in the middle of the small epoch and again in the full one, a run ends on the same weights. */
static void test_stops_and_goes_on(void)
{
    struct rn_train_config c = tiny_config();
    const char *folder = make_folder();
    struct rn_step s;
    struct rn_epoch e;
    CHECK_OK(rn_progressive_parse(&c.progressive, "16:1"));
    struct tiny whole = tiny_begin(&c, 1), parts = tiny_begin(&c, 2);
    while (!rn_trainer_done(whole.t)) {
        CHECK_OK(rn_trainer_step(whole.t, &s));
        if (rn_trainer_epoch_pending(whole.t)) CHECK_OK(rn_trainer_end_epoch(whole.t, &e, NULL, NULL));
    }
    char *path = rn_path_join(folder, "x.pth");
    for (int step = 1; !rn_trainer_done(parts.t); step++) {
        struct rn_checkpoint *file = NULL;
        CHECK_OK(rn_trainer_step(parts.t, &s));
        if (rn_trainer_epoch_pending(parts.t)) CHECK_OK(rn_trainer_end_epoch(parts.t, &e, NULL, NULL));
        CHECK_OK(rn_trainer_save(parts.t, path));
        tiny_end(&parts);
        parts = tiny_begin(&c, step % 3 + 1);
        CHECK_OK(rn_checkpoint_open(&file, path));
        CHECK_OK(rn_trainer_resume(parts.t, file, false));
        rn_checkpoint_free(file);
    }
    CHECK(rn_net_hash(rn_trainer_net(parts.t)) == rn_net_hash(rn_trainer_net(whole.t)));
    CHECK(rn_trainer_steps(parts.t) == 6);
    rn_free(path);
    remove_folder(folder);
    tiny_end(&parts);
    tiny_end(&whole);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_list), RN_TEST_ROW(test_loader), RN_TEST_ROW(test_resized_net),
        RN_TEST_ROW(test_parts_of_evaluation),
        RN_TEST_ROW(test_stops_and_goes_on),
    };
    return rn_test_main("test_progressive", row, RN_COUNT(row), argc, argv);
}
