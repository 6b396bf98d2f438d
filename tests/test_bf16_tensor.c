/*
 * test_bf16_tensor.c - the rounding to bf16 (A30) by every instruction set against base/real.h, and what the
 * ops between convolutions make of Inf and NaN, against ref/.  Everything finite is in test_bits.c.
 */
#include "test.h"

#include "base/mem.h"
#include "cpu/cpu.h"
#include "resnet.h"

/* Calls check(dev) with a device of bf16 of every instruction set of this CPU. */
static void every_isa(void (*check)(void *dev))
{
    for (int i = 0; rn_isa_name(i); i++) {
        struct rn_device_options options = { .threads = 2, .isa = rn_isa_name(i) };
        void *dev = NULL;
        CHECK_OK(rn_ops_cpu_bf16.open(&dev, &options));
        if (!dev) continue;
        check(dev);
        rn_ops_cpu_bf16.close(dev);
    }
}

static bool is_nan(rn_bf16 x) { return (x & 0x7fff) > 0x7f80; }
static bool same(rn_bf16 x, rn_bf16 y) { return x == y || (is_nan(x) && is_nan(y)); }

/* -- Q ---------------------------------------------------------------------------------------------- */

/* Every upper half with the lower halves at which rounding changes its mind; NaN must stay one. */
static void check_rounding(void *dev)
{
    static const uint32_t lower[] = { 0, 1, 0x7fff, 0x8000, 0x8001, 0xffff };
    const struct rn_tensor_kernels *k = ((const struct rn_cpu *)dev)->kernels->bf16;
    size_t count = RN_COUNT(lower) << 16, wrong = 0;
    float *x = rn_alloc(count * sizeof *x);
    rn_bf16 *y = rn_alloc(count * sizeof *y);
    if (!x || !y) exit(1);
    for (size_t i = 0; i < count; i++)
        x[i] = rn_float((uint32_t)(i / RN_COUNT(lower)) << 16 | lower[i % RN_COUNT(lower)]);
    k->from_floats(y, x, count);
    for (size_t i = 0; i < count; i++) wrong += !same(y[i], rn_to_bf16(x[i]));
    CHECK_MSG(!wrong, "%s: %zu of %zu floats are rounded otherwise", rn_ops_cpu_bf16.isa(dev), wrong, count);
    rn_free(x);
    rn_free(y);
}

/* Lengths around whole vectors: nothing is written past the end. */
static void check_tails(void *dev)
{
    const struct rn_tensor_kernels *k = ((const struct rn_cpu *)dev)->kernels->bf16;
    float x[40];
    for (int i = 0; i < 40; i++) x[i] = (float)(i - 20) * 1.001f;
    for (size_t n = 0; n < 40; n++) {
        rn_bf16 y[40];
        memset(y, 0xff, sizeof y);
        k->from_floats(y, x, n);
        bool right = true;
        for (size_t i = 0; i < 40; i++) right &= y[i] == (i < n ? rn_to_bf16(x[i]) : 0xffff);
        CHECK_MSG(right, "%s: %zu floats", rn_ops_cpu_bf16.isa(dev), n);
    }
}

static void test_rounding(void) { every_isa(check_rounding); }
static void test_tails(void) { every_isa(check_tails); }

/* -- Inf and NaN ------------------------------------------------------------------------------------ */

enum { N = 2, C = 19, H = 5, W = 6, COUNT = N * C * H * W };

/* What one op makes of inputs x and y, as floats in NCHW; returns how many. */
typedef size_t operation(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y);

static void *tensor(const struct rn_ops *ops, void *dev, const float *x)
{
    void *t = rn_alloc(ops->tensor_bytes(dev, N, C, H, W));
    if (!t) exit(1);
    if (x) ops->tensor_set(dev, t, x, N, C, H, W);
    return t;
}

static size_t take(const struct rn_ops *ops, void *dev, float *out, void **owned, size_t count, int h, int w)
{
    ops->tensor_get(dev, out, owned[0], N, C, h, w);
    for (size_t i = 0; i < count; i++) rn_free(owned[i]);
    return (size_t)(N * C * h * w);
}

static size_t set_and_get(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    (void)y;
    return take(ops, dev, out, (void *[]){ tensor(ops, dev, x) }, 1, H, W);
}

static size_t relu(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, x) };
    (void)y;
    ops->relu_forward(dev, t[0], t[1], COUNT);
    return take(ops, dev, out, t, 2, H, W);
}

static size_t relu_back(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, x), tensor(ops, dev, y) };
    ops->relu_backward(dev, t[0], t[1], t[2], COUNT);
    return take(ops, dev, out, t, 3, H, W);
}

static size_t add(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, x), tensor(ops, dev, y) };
    ops->add(dev, t[0], t[1], t[2], COUNT);
    return take(ops, dev, out, t, 3, H, W);
}

static size_t bn(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    const struct rn_bn_shape s = { N, C, H, W, 1e-5, 0.1, RN_POST_ADD_RELU };
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, x), tensor(ops, dev, y) };
    float one[C], zero[C] = { 0 };
    for (int c = 0; c < C; c++) one[c] = 1;
    ops->batchnorm_forward_eval(dev, t[0], t[1], t[2], one, zero, zero, one, &s);
    return take(ops, dev, out, t, 3, H, W);
}

/* Its ReLU's mask is recomputed, and the inputs are such that y is around the zero of Q: finite, for a single
 * NaN would be in the gradient everywhere. */
static size_t bn_back(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    const struct rn_bn_shape s = { N, C, H, W, 1e-5, 0.1, RN_POST_RELU };
    float few[COUNT], gradient[COUNT], gamma[C], beta[C] = { 0 }, dgamma[C], dbeta[C];
    double saved[2 * C];
    (void)x, (void)y;
    for (int i = 0; i < COUNT; i++) few[i] = (float)(i % 7 - 3) * 0x1p-9f, gradient[i] = (float)(i % 5 + 1);
    for (int c = 0; c < C; c++) gamma[c] = 0x1p-47f, saved[c] = 0, saved[C + c] = 1;
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, few), tensor(ops, dev, gradient) };
    void *workspace = rn_alloc(ops->batchnorm_workspace(dev, &s));
    if (!workspace) exit(1);
    ops->batchnorm_backward(dev, t[0], NULL, dgamma, dbeta, t[2], NULL, t[1], saved, gamma, beta, &s,
                            workspace);
    rn_free(workspace);
    return take(ops, dev, out, t, 3, H, W);
}

static size_t maxpool(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    const struct rn_pool_shape s = { N, C, H, W, 3, 3, H, W, 1, 1 };
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, x) };
    uint8_t index[COUNT];
    (void)y;
    ops->maxpool_forward(dev, t[0], index, t[1], &s);
    return take(ops, dev, out, t, 2, H, W);
}

static size_t avgpool(const struct rn_ops *ops, void *dev, float *out, const float *x, const float *y)
{
    const struct rn_pool_shape s = { .N = N, .C = C, .H = H, .W = W };
    void *t[] = { tensor(ops, dev, NULL), tensor(ops, dev, x) };
    (void)y;
    ops->global_avgpool_forward(dev, t[0], t[1], &s);
    return take(ops, dev, out, t, 2, 1, 1);
}

static const struct { const char *name; operation *run; } operations[] = {
    { "set and get", set_and_get }, { "relu", relu }, { "relu backward", relu_back }, { "add", add },
    { "batch norm", bn }, { "batch norm backward", bn_back }, { "max-pool", maxpool },
    { "average", avgpool },
};

/* Mostly numbers, with every kind of special one among them. */
static void fill(float *x, uint32_t salt)
{
    static const uint32_t special[] = { 0x7f800000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f800001,
                                        0x80000000, 0x237fffff, 0x23800000, 0xa37fffff, 0xa3800000,
                                        0x7f7fffff, 0xff7fffff, 0x7f7f0000, 1, 0x807fffff };
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t h = (i + salt) * 2654435761u >> 8;
        x[i] = h % 8 ? (float)((int)(h % 2001) - 1000) * 0x1p-9f : rn_float(special[h / 8 % RN_COUNT(special)]);
    }
}

static void check_special(void *dev)
{
    static float x[COUNT], y[COUNT], got[COUNT], want[COUNT];
    void *ref = NULL;
    CHECK_OK(rn_ops_ref.open(&ref, &(struct rn_device_options){ .threads = 1, .numerics = "bf16" }));
    fill(x, 1);
    fill(y, 77);
    for (size_t k = 0; k < RN_COUNT(operations); k++) {
        size_t count = operations[k].run(&rn_ops_ref, ref, want, x, y), wrong = 0;
        operations[k].run(&rn_ops_cpu_bf16, dev, got, x, y);
        for (size_t i = 0; i < count; i++)
            wrong += rn_bits(got[i]) != rn_bits(want[i]) && !(isnan(got[i]) && isnan(want[i]));
        CHECK_MSG(!wrong, "%s, %s: %zu of %zu differ", rn_ops_cpu_bf16.isa(dev), operations[k].name, wrong,
                  count);
    }
    rn_ops_ref.close(ref);
}

static void test_special(void) { every_isa(check_special); }

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_rounding), RN_TEST_ROW(test_tails),
                                               RN_TEST_ROW(test_special) };
    return rn_test_main("test_bf16_tensor", rows, RN_COUNT(rows), argc, argv);
}
