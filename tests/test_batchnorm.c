/*
 * test_batchnorm.c - batch norm of tensors too large for test_bits.c: stores around the caches, of either
 * element.
 */
#include "test.h"

#include "base/mem.h"
#include "base/random.h"
#include "cpu/batchnorm.h"
#include "resnet.h"

#define CHANNELS 80
#define ROWS 150

static float *random_floats(size_t count, uint32_t draw)
{
    struct rn_random key = rn_random(7, RN_RANDOM_TEST, draw, 0);
    float *x = rn_alloc((count + RN_PAD) * sizeof *x);
    if (!x) exit(1);
    for (size_t i = 0; i < count; i++) x[i] = (float)rn_random_normal(&key);
    return x;
}

static void free_all(void *const *owned, size_t count)
{
    for (size_t i = 0; i < count; i++) rn_free(owned[i]);
}

/* Elements made of random floats. */
static void *random_elements(const struct rn_tensor_kernels *of, size_t count, uint32_t draw)
{
    float *x = random_floats(count, draw);
    void *p = rn_alloc(count * of->bytes);
    if (!p) exit(1);
    of->from_floats(p, x, count);
    rn_free(x);
    return p;
}

static void check_bytes(const char *what, const void *got, const void *want, size_t bytes)
{
    CHECK_MSG(!memcmp(got, want, bytes), "%s", what);
}

/* Both kinds of stores, every mask and every form of the output. */
static void check_stores(const struct rn_tensor_kernels *k)
{
    const size_t C = CHANNELS, count = ROWS * C, bytes = count * k->bytes;
    void *x = random_elements(k, count, 1), *y = random_elements(k, count, 2);
    void *g = random_elements(k, count, 3);
    float *a = random_floats(C, 4), *b = random_floats(C, 5), *c = random_floats(C, 6);
    void *plain = random_elements(k, count, 7), *streamed = random_elements(k, count, 8);
    const struct rn_bn_mask masks[] = { { .y = y }, { .a = a, .b = b }, { 0 } };
    for (int post = RN_POST_NONE; post <= RN_POST_ADD_RELU; post++) {
        k->bn_apply(plain, x, g, a, b, ROWS, C, C, (enum rn_post)post, false);
        k->bn_apply(streamed, x, g, a, b, ROWS, C, C, (enum rn_post)post, true);
        check_bytes("apply", streamed, plain, bytes);
    }
    for (size_t m = 0; m < RN_COUNT(masks); m++) {
        k->bn_gradient(plain, NULL, g, x, &masks[m], a, b, c, ROWS, C, false);
        k->bn_gradient(streamed, NULL, g, x, &masks[m], a, b, c, ROWS, C, true);
        check_bytes("gradient", streamed, plain, bytes);
    }
    free_all((void *[]){ x, y, g, a, b, c, plain, streamed }, 8);
}

/* A tensor large enough to be written around the caches against one that is not: the same images twice.
 * The sums of these values are exact, so two equal halves have the statistics of one. */
static void check_large(const struct rn_ops *ops, void *dev)
{
    struct rn_bn_shape s = { 32, 64, 16, 64, 1e-5, 0.1, RN_POST_RELU }, both = s;
    if (ops == &rn_ops_cpu_bf16) s.N *= 2;
    both.N = 2 * s.N;
    size_t half = (size_t)s.N * (size_t)s.C * (size_t)s.H * (size_t)s.W, C = (size_t)s.C;
    size_t bytes = ops->tensor_bytes(dev, s.N, s.C, s.H, s.W);
    float *values = rn_alloc(2 * half * sizeof *values);
    float *gamma = random_floats(C, 3), *beta = random_floats(C, 4);
    char *x = rn_alloc(2 * bytes), *y = rn_alloc(2 * bytes), *z = rn_alloc(bytes);
    double *saved = rn_alloc(2 * C * sizeof *saved);
    void *workspace = rn_alloc(ops->batchnorm_workspace(dev, &both));
    if (!values || !x || !y || !z || !saved || !workspace) exit(1);
    for (size_t i = 0; i < half; i++)
        values[i] = values[half + i] = (float)((int)((uint32_t)i * 2654435761u >> 7 & 15) - 8);
    ops->tensor_set(dev, x, values, both.N, s.C, s.H, s.W);
    ops->batchnorm_forward_train(dev, z, saved, x, NULL, gamma, beta, &s, workspace);
    ops->batchnorm_forward_train(dev, y, saved, x, NULL, gamma, beta, &both, workspace);
    check_bytes("first half", y, z, bytes);
    check_bytes("second half", y + bytes, z, bytes);
    free_all((void *[]){ values, x, y, z, gamma, beta, saved, workspace }, 8);
}

/* On every instruction set of this CPU. */
static void check_streams(const struct rn_ops *ops)
{
    for (int i = 0; rn_isa_name(i); i++) {
        struct rn_device_options options = { .threads = 2, .isa = rn_isa_name(i) };
        void *dev = NULL;
        CHECK_OK(ops->open(&dev, &options));
        if (!dev) continue;
        check_stores(((const struct rn_cpu *)dev)->tensor);
        check_large(ops, dev);
        ops->close(dev);
    }
}

static void test_floats(void) { check_streams(&rn_ops_cpu); }
static void test_bf16(void) { check_streams(&rn_ops_cpu_bf16); }

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_floats), RN_TEST_ROW(test_bf16) };
    return rn_test_main("test_batchnorm", rows, RN_COUNT(rows), argc, argv);
}
