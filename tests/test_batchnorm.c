/*
 * test_batchnorm.c - what convolutions and large tensors use of batch norm, and test_bits.c does not
 * see: sums of single runs in any order and in pieces of channels, and stores around the caches.
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

/* Sums of every run, from the last to the first, each in pieces of `piece` channels. */
static void sum_in_pieces(const struct rn_cpu *cpu, const struct rn_bn_runs *runs, const float *x,
                          int piece)
{
    int C = (int)runs->C;
    int64_t rows = 0;
    for (int64_t run = runs->count - 1; run >= 0; run--) {
        const float *first = x + (size_t)rn_bn_run_begin(runs, run) * runs->C;
        rows += (int64_t)rn_bn_run_rows(runs, run);
        for (int c = 0; c < C; c += piece)
            rn_bn_run_sums(cpu->kernels, runs, run, first, (size_t)c, (size_t)RN_MIN(piece, C - c));
    }
    CHECK(rows == runs->positions);
}

static void check_pieces(void *dev, struct rn_bn_shape s, int piece)
{
    size_t C = (size_t)s.C, count = (size_t)s.N * (size_t)s.H * (size_t)s.W * C;
    size_t bytes = rn_ops_cpu.batchnorm_workspace(dev, &s);
    float *x = random_floats(count, 1), *add = random_floats(count, 2), *gamma = random_floats(C, 3);
    float *beta = random_floats(C, 4), *y = random_floats(count, 5), *z = random_floats(count, 6);
    double *saved = rn_alloc(4 * C * sizeof *saved);
    void *workspace = rn_alloc(bytes);
    if (!saved || !workspace) exit(1);
    rn_ops_cpu.batchnorm_forward_train(dev, y, saved, x, add, gamma, beta, &s, workspace);

    memset(workspace, 0xff, bytes); /* NaN: whoever reads what nobody wrote shows */
    struct rn_bn_runs runs = rn_bn_runs(&s, workspace);
    sum_in_pieces(dev, &runs, x, piece);
    rn_bn_train_finish(dev, z, saved + 2 * C, x, add, gamma, beta, &s, workspace);
    CHECK(!memcmp(saved, saved + 2 * C, 2 * C * sizeof *saved));
    check_bits("output", z, y, count);
    free_all((void *[]){ x, add, gamma, beta, y, z, saved, workspace }, 8);
}

/* Both kinds of stores, every mask and every form of the output. */
static void check_stores(const struct rn_kernels *k)
{
    const size_t C = CHANNELS, count = ROWS * C;
    float *x = random_floats(count, 1), *y = random_floats(count, 2), *g = random_floats(count, 3);
    float *a = random_floats(C, 4), *b = random_floats(C, 5), *c = random_floats(C, 6);
    float *plain = random_floats(count, 7), *streamed = random_floats(count, 8);
    const struct rn_bn_mask masks[] = { { .y = y }, { .a = a, .b = b }, { 0 } };
    for (int post = RN_POST_NONE; post <= RN_POST_ADD_RELU; post++) {
        k->bn_apply(plain, x, g, a, b, ROWS, C, C, (enum rn_post)post, false);
        k->bn_apply(streamed, x, g, a, b, ROWS, C, C, (enum rn_post)post, true);
        check_bits("apply", streamed, plain, count);
    }
    for (size_t m = 0; m < RN_COUNT(masks); m++) {
        k->bn_gradient(plain, NULL, g, x, &masks[m], a, b, c, ROWS, C, false);
        k->bn_gradient(streamed, NULL, g, x, &masks[m], a, b, c, ROWS, C, true);
        check_bits("gradient", streamed, plain, count);
    }
    free_all((void *[]){ x, y, g, a, b, c, plain, streamed }, 8);
}

/* A tensor large enough to be written around the caches against one that is not: the same images twice.
 * The sums of these values are exact, so two equal halves have the statistics of one. */
static void check_large(void *dev)
{
    struct rn_bn_shape s = { 32, 64, 16, 64, 1e-5, 0.1, RN_POST_RELU }, both = s;
    size_t half = (size_t)s.N * (size_t)s.C * (size_t)s.H * (size_t)s.W, C = (size_t)s.C;
    both.N = 2 * s.N;
    float *x = rn_alloc(2 * half * sizeof *x), *y = rn_alloc(2 * half * sizeof *y);
    float *z = rn_alloc(half * sizeof *z), *gamma = random_floats(C, 3), *beta = random_floats(C, 4);
    double *saved = rn_alloc(2 * C * sizeof *saved);
    void *workspace = rn_alloc(rn_ops_cpu.batchnorm_workspace(dev, &both));
    if (!x || !y || !z || !saved || !workspace) exit(1);
    for (size_t i = 0; i < half; i++)
        x[i] = x[half + i] = (float)((int)((uint32_t)i * 2654435761u >> 7 & 15) - 8);
    rn_ops_cpu.batchnorm_forward_train(dev, z, saved, x, NULL, gamma, beta, &s, workspace);
    rn_ops_cpu.batchnorm_forward_train(dev, y, saved, x, NULL, gamma, beta, &both, workspace);
    check_bits("first half", y, z, half);
    check_bits("second half", y + half, z, half);
    free_all((void *[]){ x, y, z, gamma, beta, saved, workspace }, 7);
}

/* Calls check(dev) for every instruction set of this CPU. */
static void every_isa(void (*check)(void *dev))
{
    for (int i = 0; rn_isa_name(i); i++) {
        struct rn_device_options options = { .threads = 2, .isa = rn_isa_name(i) };
        void *dev = NULL;
        CHECK_OK(rn_ops_cpu.open(&dev, &options));
        if (!dev) continue;
        check(dev);
        rn_ops_cpu.close(dev);
    }
}

static void check_runs(void *dev)
{
    static const struct rn_bn_shape shapes[] = {
        { 3, 80, 12, 12, 1e-5, 0.1, RN_POST_ADD_RELU }, /* two runs a group, the second is short */
        { 13, 40, 7, 7, 1e-5, 0.1, RN_POST_ADD_RELU },  /* two images a group, the last is alone */
        { 21, 19, 2, 2, 1e-5, 0.1, RN_POST_ADD_RELU },
        { 2, 33, 32, 32, 1e-5, 0.1, RN_POST_ADD_RELU },
    };
    for (size_t k = 0; k < RN_COUNT(shapes); k++) {
        check_pieces(dev, shapes[k], RN_PAD);
        check_pieces(dev, shapes[k], 3 * RN_PAD);
    }
}

static void check_streams(void *dev)
{
    check_stores(((const struct rn_cpu *)dev)->kernels);
    check_large(dev);
}

static void test_runs(void) { every_isa(check_runs); }
static void test_streams(void) { every_isa(check_streams); }

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_runs), RN_TEST_ROW(test_streams) };
    return rn_test_main("test_batchnorm", rows, RN_COUNT(rows), argc, argv);
}
