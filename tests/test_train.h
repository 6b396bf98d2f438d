/*
 * test_train.h - a tiny net on a tiny made-up data set, for tests of training that take
 * milliseconds: two basic blocks of 4 and 8 channels, three classes, images of 32x32 whose
 * brightness depends on the class.
 */
#ifndef RN_TEST_TRAIN_H
#define RN_TEST_TRAIN_H

#include "tests/test.h"

#include "base/mem.h"
#include "base/random.h"
#include "resnet.h"
#include "train/train.h"

#define TINY_TRAIN 11 /* not a multiple of the batch: the last step is short */
#define TINY_VAL 9
#define TINY_PIXELS ((size_t)3 * 32 * 32)

static int tiny_shape(void *arg, const char *name, int64_t dims[8])
{
    static const struct { const char *name; int dims; int64_t shape[4];
    } row[] = {
        { "conv1.weight", 4, { 4, 3, 3, 3 } },
        { "layer1.0.conv1.weight", 4, { 4, 4, 3, 3 } },
        { "layer1.0.conv2.weight", 4, { 4, 4, 3, 3 } },
        { "layer2.0.conv1.weight", 4, { 8, 4, 3, 3 } },
        { "layer2.0.conv2.weight", 4, { 8, 8, 3, 3 } },
        { "layer2.0.downsample.0.weight", 4, { 8, 4, 1, 1 } },
        { "fc.weight", 2, { 3, 8, 0, 0 } },
    };
    (void)arg;
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        if (strcmp(row[i].name, name)) continue;
        memcpy(dims, row[i].shape, sizeof row[i].shape);
        return row[i].dims;
    }
    return 0;
}

static inline struct rn_arch tiny_arch(void)
{
    struct rn_arch a;
    CHECK_OK(rn_arch_from_shapes(&a, RN_STEM_3X3S2, tiny_shape, NULL));
    return a;
}

static uint8_t tiny_pixels[TINY_TRAIN + TINY_VAL][TINY_PIXELS];
static int32_t tiny_labels[TINY_TRAIN + TINY_VAL];

/* Borrowed; the same at every call. */
static inline const struct rn_dataset *tiny_data(void)
{
    static char name[] = "tiny", a[] = "dark", b[] = "grey", c[] = "bright", *names[] = { a, b, c };
    static struct rn_dataset d;
    for (uint32_t i = 0; i < TINY_TRAIN + TINY_VAL; i++) {
        struct rn_random r = rn_random(1, RN_RANDOM_TEST, 0, i);
        tiny_labels[i] = (int32_t)(i % 3);
        for (size_t k = 0; k < TINY_PIXELS; k++)
            tiny_pixels[i][k] = (uint8_t)(60 * (i % 3) + rn_random_below(&r, 120));
    }
    d = (struct rn_dataset){ .spec = name,
                             .name = name,
                             .channels = 3,
                             .height = 32,
                             .width = 32,
                             .classes = 3,
                             .class_names = names,
                             .mean = { 0.5, 0.5, 0.5 },
                             .std = { 0.25, 0.25, 0.25 },
                             .train = { TINY_TRAIN, tiny_pixels[0], tiny_labels, NULL },
                             .val = { TINY_VAL, tiny_pixels[TINY_TRAIN],
                                      tiny_labels + TINY_TRAIN, NULL } };
    return &d;
}

/* SGD, one-cycle, batches of 4, two epochs of three steps. */
static inline struct rn_train_config tiny_config(void)
{
    return (struct rn_train_config){
        .data = tiny_data(),
        .shuffle = true,
        .mean = { 0.5, 0.5, 0.5 },
        .std = { 0.25, 0.25, 0.25 },
        .arch = tiny_arch(),
        .image_size = 32,
        .batch = 4,
        .parts = 1,
        .val_batch = 4,
        .epochs = 2,
        .max_steps = -1,
        .optimizer = RN_SGD,
        .lr = 0.05,
        .head_lr = 0.05,
        .momentum = 0.9,
        .beta2 = 0.999,
        .eps = 1e-8,
        .weight_decay = 5e-4,
        .seed = 3,
        .hash_steps = true,
        .numerics = "fp32",
        .build = "test",
        .schedule = { .kind = RN_ONE_CYCLE,
                      .span = 2,
                      .rise = 0.3,
                      .divide = 25,
                      .final_divide = 1e4,
                      .cycle_momentum = true,
                      .momentum_low = 0.85,
                      .momentum_high = 0.95 },
    };
}

struct tiny { void *dev; struct rn_trainer *t; };

static inline struct tiny tiny_begin(const struct rn_train_config *c, int threads)
{
    struct tiny x = {0};
    struct rn_device_options o = { .threads = threads };
    CHECK_OK(rn_ops_cpu.open(&x.dev, &o));
    CHECK_OK(rn_trainer_create(&x.t, c, &rn_ops_cpu, x.dev));
    return x;
}

static inline void tiny_end(struct tiny *x)
{
    rn_trainer_free(x->t);
    rn_ops_cpu.close(x->dev);
}

/* All elements are `head` up to the first `split`, `tail` from there on. */
static inline void set_param(struct rn_net *net, const char *name, size_t split, float head, float tail)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    for (size_t i = 0; i < rows; i++) {
        if (strcmp(p[i].name, name)) continue;
        float *x = rn_alloc_array(p[i].count, sizeof *x);
        for (size_t k = 0; k < p[i].count; k++) x[k] = k < split ? head : tail;
        rn_net_set(net, i, x);
        rn_free(x);
    }
}

/* A net whose first update, and no loss or gradient before it, is beyond all floats: large features make a gradient
 * of the head that the rate carries there. */
static inline struct tiny begin_damaging(struct rn_train_config *c)
{
    c->schedule = (struct rn_schedule){ .kind = RN_CONSTANT };
    c->lr = c->head_lr = 3e38;
    struct tiny x = tiny_begin(c, 1);
    set_param(rn_trainer_net(x.t), "layer2.0.bn2.bias", 0, 0, 100);
    return x;
}

/* A fresh folder for one test; remove_folder takes it away again. */
static inline const char *make_folder(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/resnet-test-XXXXXX");
    CHECK(mkdtemp(path) != NULL);
    return path;
}

static inline void remove_folder(const char *path)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    CHECK(system(command) == 0);
}

#endif /* RN_TEST_TRAIN_H */
