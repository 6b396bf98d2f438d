/*
 * test_upsample.c - images that a net resizes itself: the values PyTorch gives with align_corners=False, forward and
 * backward, and the same bits as a net that is given the resized images.
 */
#include "tests/test_net.h"

static const struct { const char *backend, *numerics; } devices[] = {
    { "ref", "fp32" }, { "cpu", "fp32" }, { "ref", "bf16" }, { "cpu", "bf16" },
};

struct device { const struct rn_ops *ops; void *dev; };

static struct device open_device(size_t i, int threads)
{
    struct device d = { NULL, NULL };
    const struct rn_device_options o = { .threads = threads, .numerics = devices[i].numerics };
    CHECK_OK(rn_backend_find(&d.ops, devices[i].backend, devices[i].numerics));
    CHECK_OK(d.ops->open(&d.dev, &o));
    return d;
}

/* From host to host: dst of [N][C][P][Q] from src of [N][C][H][W], or backward the other way. */
static void resize(const struct device *d, float *dst, const float *src, const struct rn_resize_shape *s, bool back)
{
    const size_t small = d->ops->tensor_bytes(d->dev, s->N, s->C, s->H, s->W);
    const size_t large = d->ops->tensor_bytes(d->dev, s->N, s->C, s->P, s->Q);
    void *a, *b;
    CHECK_OK(d->ops->alloc(d->dev, &a, small));
    CHECK_OK(d->ops->alloc(d->dev, &b, large));
    if (back) {
        d->ops->tensor_set(d->dev, b, src, s->N, s->C, s->P, s->Q);
        d->ops->resize_backward(d->dev, a, b, s);
        d->ops->tensor_get(d->dev, dst, a, s->N, s->C, s->H, s->W);
    } else {
        d->ops->tensor_set(d->dev, a, src, s->N, s->C, s->H, s->W);
        d->ops->resize_forward(d->dev, b, a, s);
        d->ops->tensor_get(d->dev, dst, b, s->N, s->C, s->P, s->Q);
    }
    d->ops->release(d->dev, a);
    d->ops->release(d->dev, b);
}

/* -- values ------------------------------------------------------------------------------------ */

static void check_near(const char *what, const float *got, const double *want, int count, double bound)
{
    for (int i = 0; i < count; i++)
        CHECK_MSG(fabs((double)got[i] - want[i]) <= bound * (1 + fabs(want[i])), "%s [%d]: %a, not near %a", what, i,
                  (double)got[i], want[i]);
}

/* PyTorch 2.13's interpolate(mode="bilinear", align_corners=False), in float64, of 2x3 to 5x4; and its gradient of the
 * sum of 1 ... 20 times the outputs. */
static void test_values(void)
{
    static const double forward[20] = { 3, 0.5, 0.875, 4, 2.8, 0.175, 0.8125, 4.5, 2, -1.125, 0.5625, 6.5, 1.2, -2.425,
                                        0.3125, 8.5, 1, -2.75, 0.25, 9 };
    static const double backward[6] = { 16.475, 18.8125, 24.9125, 47.275, 46.8125, 55.7125 };
    static const float src[6] = { 3, -1, 4, 1, -5, 9 };
    const struct rn_resize_shape s = { .N = 1, .C = 1, .H = 2, .W = 3, .P = 5, .Q = 4 };
    float ddst[20], dst[20], dsrc[6];
    for (int i = 0; i < 20; i++) ddst[i] = (float)(i + 1);
    for (size_t i = 0; i < RN_COUNT(devices); i++) {
        struct device d = open_device(i, 1);
        const double bound = strcmp(devices[i].numerics, "bf16") ? 1e-6 : 0x1p-8;
        resize(&d, dst, src, &s, false);
        check_near("forward", dst, forward, 20, bound);
        resize(&d, dsrc, ddst, &s, true);
        check_near("backward", dsrc, backward, 6, bound);
        d.ops->close(d.dev);
    }
}

/* 64 to 224, the sizes of screening: backward is the transpose of forward, <R x, g> = <x, R' g>; and flat images
 * stay what they are. */
static void test_transpose(void)
{
    enum { SMALL = 2 * 3 * 64 * 64, LARGE = 2 * 3 * 224 * 224 };
    static float x[SMALL], back[SMALL], g[LARGE], y[LARGE];
    const struct rn_resize_shape s = { .N = 2, .C = 3, .H = 64, .W = 64, .P = 224, .Q = 224 };
    struct device d = open_device(1, 2);
    double one = 0, other = 0, scale = 0;
    test_fill(x, SMALL, 1);
    test_fill(g, LARGE, 2);
    resize(&d, y, x, &s, false);
    resize(&d, back, g, &s, true);
    for (int i = 0; i < LARGE; i++) one += (double)y[i] * (double)g[i], scale += fabs((double)y[i] * (double)g[i]);
    for (int i = 0; i < SMALL; i++) other += (double)x[i] * (double)back[i];
    CHECK_MSG(fabs(one - other) <= 1e-6 * scale, "%a and %a", one, other);
    for (int i = 0; i < SMALL; i++) x[i] = 0.7f;
    resize(&d, y, x, &s, false);
    int flat = 0;
    for (int i = 0; i < LARGE; i++) flat += y[i] == 0.7f;
    CHECK(flat == LARGE);
    d.ops->close(d.dev);
}

/* -- nets -------------------------------------------------------------------------------------- */

enum { IMAGES = 4, CLASSES = 5, FROM = 32, TO = 48 };

struct outcome { float training[IMAGES * CLASSES], eval[IMAGES * CLASSES]; double loss[IMAGES]; uint64_t gradients; };

/* The gradients are hashed as weights: the step that takes them with rate 1 changes all of them. */
static void run_net(struct outcome *r, const struct device *d, int image_size, int upsample, const float *images)
{
    static const int32_t labels[IMAGES] = { 0, 1, 2, 3 };
    const struct rn_sgd sgd = { .lr = 1 };
    struct rn_net_config c = small(false, RN_STEM_IMAGENET, upsample);
    struct rn_net *net;
    void *velocity;
    c.image_size = image_size;
    c.batch = c.eval_batch = IMAGES;
    CHECK_OK(rn_net_create(&net, &c, d->ops, d->dev));
    rn_net_init(net, 42);
    CHECK_OK(d->ops->alloc(d->dev, &velocity, rn_net_trainable_count(net) * sizeof(float)));
    rn_net_forward(net, images, IMAGES, false);
    rn_net_logits(net, r->eval);
    rn_net_forward(net, images, IMAGES, true);
    rn_net_logits(net, r->training);
    rn_net_loss(net, r->loss, labels, IMAGES, 0.1);
    rn_net_backward(net);
    d->ops->sgd_update(d->dev, rn_net_weights(net), velocity, rn_net_gradients(net), rn_net_trainable_count(net), &sgd);
    rn_net_commit_statistics(net);
    r->gradients = rn_net_hash(net);
    d->ops->release(d->dev, velocity);
    rn_net_free(net);
}

static void test_net(void)
{
    static float images[IMAGES * 3 * FROM * FROM], resized[IMAGES * 3 * TO * TO];
    const struct rn_resize_shape s = { .N = IMAGES, .C = 3, .H = FROM, .W = FROM, .P = TO, .Q = TO };
    test_fill(images, RN_COUNT(images), 0);
    for (size_t i = 0; i < RN_COUNT(devices); i++) {
        struct device d = open_device(i, 2);
        struct outcome inside, outside;
        resize(&d, resized, images, &s, false);
        run_net(&inside, &d, FROM, TO, images);
        run_net(&outside, &d, TO, 0, resized);
        check_bits("logits of evaluation", inside.eval, outside.eval, IMAGES * CLASSES);
        check_bits("logits of training", inside.training, outside.training, IMAGES * CLASSES);
        CHECK(!memcmp(inside.loss, outside.loss, sizeof inside.loss) && inside.gradients == outside.gradients);
        d.ops->close(d.dev);
    }
}

/* The layers after it do the work of the larger size: MACs are the larger net's, 12.25 times in convolutions. */
static void test_work(void)
{
    int64_t macs[3];
    static const int size[3][2] = { { 64, 0 }, { 64, 224 }, { 224, 0 } };
    struct device d = open_device(1, 1);
    for (int i = 0; i < 3; i++) {
        struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 2, size[i][0], 0);
        struct rn_net *net;
        c.upsample = size[i][1];
        CHECK_OK(rn_net_create(&net, &c, d.ops, d.dev));
        macs[i] = rn_net_macs(net);
        rn_net_free(net);
    }
    CHECK(macs[1] == macs[2]);
    CHECK((macs[1] - 1024) * 4 == (macs[0] - 1024) * 49); /* but for the 512 x 2 of the linear layer */
    d.ops->close(d.dev);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_values), RN_TEST_ROW(test_transpose), RN_TEST_ROW(test_net), RN_TEST_ROW(test_work),
    };
    return rn_test_main("test_upsample", rows, RN_COUNT(rows), argc, argv);
}
