/*
 * test_bf16_conv.c - convolution under bf16 (A31), forward and data gradient: every instruction set and some
 * thread counts against ref/, bit for bit.
 */
#include "resnet.h"
#include "base/mem.h"
#include "base/random.h"
#include "cpu/bf16_conv.h"
#include "tests/test.h"

/* What a shape is given: numbers about 1, or such that products and sums underflow Q, or overflow. */
enum { NORMAL, TINY, HUGE_ONES, KINDS };

struct sizes { size_t src, dst, weights; };

static struct sizes sizes_of(const struct rn_conv_shape *s)
{
    return (struct sizes){ (size_t)s->N * (size_t)(s->C * s->H) * (size_t)s->W,
                           (size_t)s->N * (size_t)(s->K * s->P) * (size_t)s->Q,
                           (size_t)s->K * (size_t)(s->C / s->groups * s->R * s->S) };
}

static float *floats(size_t n) { return rn_alloc_array(RN_MAX(n, 1), sizeof(float)); }

static void fill(float *v, size_t n, int kind, uint32_t stream)
{
    struct rn_random r = rn_random(7, RN_RANDOM_TEST, stream, 0);
    for (size_t i = 0; i < n; i++) {
        double x = 2 * rn_random_uniform(&r) - 1, u = rn_random_uniform(&r);
        if (kind == TINY) x = u < 0.3 ? ldexp(x, -55) : u < 0.6 ? ldexp(x, -28) : u < 0.7 ? 0 : x;
        if (kind == HUGE_ONES && u < 0.1) x = ldexp(x, 63);
        v[i] = (float)x;
    }
}

/* NCHW floats to NHWC bf16, and back. */
static void to_bf16(rn_bf16 *dst, const float *src, int N, int C, int H, int W)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < H * W; i++)
                dst[((size_t)n * (size_t)(H * W) + (size_t)i) * (size_t)C + (size_t)c] = rn_to_bf16(*src++);
}

static void from_bf16(float *dst, const rn_bf16 *src, int N, int C, int H, int W)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < H * W; i++)
                *dst++ = rn_from_bf16(src[((size_t)n * (size_t)(H * W) + (size_t)i) * (size_t)C + (size_t)c]);
}

/* A convolution's operands, and what ref/ makes of them. */
struct trial {
    struct rn_conv_shape s;
    struct sizes n;
    char name[96];
    float *weights, *vectors[4];           /* bias or gamma, beta, mean, variance: of K channels */
    float *src, *addend_out;               /* as ref has them */
    float *ddst, *addend_in;
    float *forward, *bias, *post, *bn, *data, *data_add;
};

static void *tensor(const struct rn_ops *ops, void *dev, float *v, int N, int C, int H, int W)
{
    void *t = NULL;
    CHECK_OK(ops->alloc(dev, &t, ops->tensor_bytes(dev, N, C, H, W)));
    if (v) ops->tensor_set(dev, t, v, N, C, H, W);
    return t;
}

static float *result(const struct rn_ops *ops, void *dev, const void *t, int N, int C, int H, int W)
{
    float *v = floats((size_t)N * (size_t)(C * H) * (size_t)W);
    ops->tensor_get(dev, v, t, N, C, H, W);
    return v;
}

static struct rn_bn_shape bn_of(const struct rn_conv_shape *s)
{
    return (struct rn_bn_shape){ .N = s->N, .C = s->K, .H = s->P, .W = s->Q, .post = RN_POST_ADD_RELU,
                                 .eps = 1e-5 };
}

static void by_ref(struct trial *t)
{
    const struct rn_ops *ops = &rn_ops_ref;
    const struct rn_conv_shape *s = &t->s;
    struct rn_bn_shape bn = bn_of(s);
    void *dev, *packed, *space, *mem[6];
    CHECK_OK(ops->open(&dev, &(struct rn_device_options){ .threads = 1, .numerics = "bf16" }));
    CHECK_OK(ops->alloc(dev, &packed, RN_MAX(ops->conv2d_packed_bytes(dev, s, RN_PASS_FORWARD), 64)));
    CHECK_OK(ops->alloc(dev, &space, RN_MAX(ops->conv2d_workspace(dev, s), 64)));
    mem[0] = tensor(ops, dev, t->src, s->N, s->C, s->H, s->W);
    mem[1] = tensor(ops, dev, t->addend_out, s->N, s->K, s->P, s->Q);
    mem[2] = tensor(ops, dev, t->ddst, s->N, s->K, s->P, s->Q);
    mem[3] = tensor(ops, dev, t->addend_in, s->N, s->C, s->H, s->W);
    mem[4] = tensor(ops, dev, NULL, s->N, s->K, s->P, s->Q);
    mem[5] = tensor(ops, dev, NULL, s->N, s->C, s->H, s->W);
    ops->conv2d_pack(dev, packed, t->weights, s, RN_PASS_FORWARD);
    ops->conv2d_forward(dev, mem[4], mem[0], packed, NULL, s, space);
    t->forward = result(ops, dev, mem[4], s->N, s->K, s->P, s->Q);
    ops->conv2d_forward(dev, mem[4], mem[0], packed, t->vectors[0], s, space);
    t->bias = result(ops, dev, mem[4], s->N, s->K, s->P, s->Q);
    ops->conv2d_bias(dev, mem[4], mem[0], packed, t->vectors[0], mem[1], RN_POST_ADD_RELU, s, space);
    t->post = result(ops, dev, mem[4], s->N, s->K, s->P, s->Q);
    ops->conv2d_bn(dev, mem[4], mem[0], packed, mem[1], t->vectors[0], t->vectors[1], t->vectors[2],
                   t->vectors[3], s, &bn, space);
    t->bn = result(ops, dev, mem[4], s->N, s->K, s->P, s->Q);
    ops->conv2d_pack(dev, packed, t->weights, s, RN_PASS_BACKWARD_DATA);
    ops->conv2d_backward_data(dev, mem[5], mem[2], packed, NULL, s, space);
    t->data = result(ops, dev, mem[5], s->N, s->C, s->H, s->W);
    ops->conv2d_backward_data(dev, mem[5], mem[2], packed, mem[3], s, space);
    t->data_add = result(ops, dev, mem[5], s->N, s->C, s->H, s->W);
    for (size_t i = 0; i < RN_COUNT(mem); i++) ops->release(dev, mem[i]);
    ops->release(dev, packed);
    ops->release(dev, space);
    ops->close(dev);
}

static struct trial begin(struct rn_conv_shape s, int kind)
{
    struct trial t = { .s = s };
    t.s.P = (s.H + 2 * s.pad - s.R) / s.stride + 1;
    t.s.Q = (s.W + 2 * s.pad - s.S) / s.stride + 1;
    t.n = sizes_of(&t.s);
    snprintf(t.name, sizeof t.name, "n%dc%dh%dw%dk%dr%ds%du%dp%dg%d kind %d", s.N, s.C, s.H, s.W, s.K, s.R, s.S,
             s.stride, s.pad, s.groups, kind);
    t.weights = floats(t.n.weights), t.src = floats(t.n.src), t.addend_in = floats(t.n.src);
    t.ddst = floats(t.n.dst), t.addend_out = floats(t.n.dst);
    fill(t.weights, t.n.weights, kind, 0);
    fill(t.src, t.n.src, kind, 1);
    fill(t.addend_in, t.n.src, kind, 2);
    fill(t.ddst, t.n.dst, kind, 3);
    fill(t.addend_out, t.n.dst, kind, 4);
    for (uint32_t i = 0; i < 4; i++) {
        t.vectors[i] = floats((size_t)s.K);
        fill(t.vectors[i], (size_t)s.K, NORMAL, 5 + i);
    }
    for (int k = 0; k < s.K; k++) t.vectors[3][k] = fabsf(t.vectors[3][k]) + 0.1f;
    by_ref(&t);
    return t;
}

static void end(struct trial *t)
{
    float *all[] = { t->weights, t->vectors[0], t->vectors[1], t->vectors[2], t->vectors[3], t->src,
                     t->addend_out, t->ddst, t->addend_in, t->forward, t->bias, t->post, t->bn, t->data,
                     t->data_add };
    for (size_t i = 0; i < RN_COUNT(all); i++) rn_free(all[i]);
}

/* Equal bits; NaN is only a NaN (A7). */
static void compare(const struct trial *t, const struct rn_cpu *cpu, const char *what, const float *got,
                    const float *want, size_t n)
{
    char name[192];
    size_t i = 0;
    while (i < n && (rn_bits(got[i]) == rn_bits(want[i]) || (isnan(got[i]) && isnan(want[i])))) i++;
    snprintf(name, sizeof name, "%s %s, %s, %d threads", what, t->name, cpu->kernels->name, cpu->threads);
    check_bits(name, got + i, want + i, i < n);
}

/* One slot's result, which lies in `out`. */
static void check(const struct trial *t, const struct rn_cpu *cpu, const char *what, const rn_bf16 *out,
                  const float *want, bool input)
{
    const struct rn_conv_shape *s = &t->s;
    size_t n = input ? t->n.src : t->n.dst;
    float *got = floats(n);
    if (input) from_bf16(got, out, s->N, s->C, s->H, s->W);
    else from_bf16(got, out, s->N, s->K, s->P, s->Q);
    compare(t, cpu, what, got, want, n);
    rn_free(got);
}

/* Memory for n numbers of a tensor and nothing behind them, so that a sanitizer sees what reads past it. */
static rn_bf16 *halves(size_t n) { return rn_alloc_array(n, sizeof(rn_bf16)); }

static void try_forward(const struct trial *t, struct rn_cpu *cpu, void *space)
{
    const struct rn_conv_shape *s = &t->s;
    struct rn_bn_shape bn = bn_of(s);
    rn_bf16 *src = halves(t->n.src), *add = halves(t->n.dst), *dst = halves(t->n.dst);
    void *packed = rn_alloc(rn_bf16_conv2d_packed_bytes(cpu, s, RN_PASS_FORWARD));
    to_bf16(src, t->src, s->N, s->C, s->H, s->W);
    to_bf16(add, t->addend_out, s->N, s->K, s->P, s->Q);
    rn_bf16_conv2d_pack(cpu, packed, t->weights, s, RN_PASS_FORWARD);
    CHECK(!rn_bf16_conv2d_unpack(cpu, NULL, packed, s));
    memset(dst, 0xff, t->n.dst * sizeof *dst);
    rn_bf16_conv2d_forward(cpu, dst, src, packed, NULL, s, space);
    check(t, cpu, "forward", dst, t->forward, false);
    rn_bf16_conv2d_forward(cpu, dst, src, packed, t->vectors[0], s, space);
    check(t, cpu, "forward with bias", dst, t->bias, false);
    rn_bf16_conv2d_bias(cpu, dst, src, packed, t->vectors[0], add, RN_POST_ADD_RELU, s, space);
    check(t, cpu, "conv2d_bias", dst, t->post, false);
    rn_bf16_conv2d_bn(cpu, dst, src, packed, add, t->vectors[0], t->vectors[1], t->vectors[2], t->vectors[3],
                      s, &bn, space);
    check(t, cpu, "conv2d_bn", dst, t->bn, false);
    rn_free(packed);
    rn_free(src);
    rn_free(add);
    rn_free(dst);
}

static void try_data(const struct trial *t, struct rn_cpu *cpu, void *space)
{
    const struct rn_conv_shape *s = &t->s;
    rn_bf16 *ddst = halves(t->n.dst), *dsrc = halves(t->n.src);
    void *packed = rn_alloc(rn_bf16_conv2d_packed_bytes(cpu, s, RN_PASS_BACKWARD_DATA));
    to_bf16(ddst, t->ddst, s->N, s->K, s->P, s->Q);
    rn_bf16_conv2d_pack(cpu, packed, t->weights, s, RN_PASS_BACKWARD_DATA);
    memset(dsrc, 0xff, t->n.src * sizeof *dsrc);
    rn_bf16_conv2d_backward_data(cpu, dsrc, ddst, packed, NULL, s, space);
    check(t, cpu, "data gradient", dsrc, t->data, true);
    to_bf16(dsrc, t->addend_in, s->N, s->C, s->H, s->W);
    rn_bf16_conv2d_backward_data(cpu, dsrc, ddst, packed, dsrc, s, space);
    check(t, cpu, "data gradient + add", dsrc, t->data_add, true);
    rn_free(packed);
    rn_free(ddst);
    rn_free(dsrc);
}

static void try_shape(struct rn_conv_shape s, int kind)
{
    struct trial t = begin(s, kind);
    const char *name;
    for (int i = 0; (name = rn_isa_name(i)); i++) {
        struct rn_cpu cpu = { .threads = 1 + (i + s.N + s.C) % 3 };
        const char *isa = name;
        CHECK_OK(rn_isa_find(&cpu.kernels, &isa, name));
        void *space = rn_alloc(rn_bf16_conv2d_workspace(&cpu, &t.s));
        try_forward(&t, &cpu, space);
        try_data(&t, &cpu, space);
        rn_free(space);
    }
    end(&t);
}

/* N C H W K . . R S stride pad groups */
#define SHAPE(n, c, h, w, k, r, s, u, p, g)                                                       \
    { .N = n, .C = c, .H = h, .W = w, .K = k, .R = r, .S = s, .stride = u, .pad = p, .groups = g }

static void try_all(const struct rn_conv_shape *s, size_t count)
{
    for (size_t i = 0; i < count; i++) try_shape(s[i], NORMAL);
}

static void test_stems(void)
{
    static const struct rn_conv_shape s[] = {
        SHAPE(2, 3, 23, 20, 64, 7, 7, 2, 3, 1), SHAPE(3, 3, 8, 8, 16, 3, 3, 1, 1, 1),
        SHAPE(1, 3, 9, 7, 20, 3, 3, 2, 1, 1),   SHAPE(9, 1, 4, 5, 6, 7, 7, 2, 3, 1),
        SHAPE(2, 3, 1, 1, 5, 7, 7, 2, 3, 1),    SHAPE(1, 4, 6, 6, 33, 4, 4, 4, 0, 1),
    };
    try_all(s, RN_COUNT(s));
}

static void test_wide(void)
{
    static const struct rn_conv_shape s[] = {
        SHAPE(2, 64, 9, 9, 64, 3, 3, 1, 1, 1),  SHAPE(7, 32, 4, 4, 96, 3, 3, 1, 1, 1),
        SHAPE(3, 96, 5, 4, 32, 3, 3, 2, 1, 1),  SHAPE(9, 64, 2, 2, 40, 3, 3, 1, 1, 1),
        SHAPE(8, 64, 1, 1, 64, 3, 3, 1, 1, 1),  SHAPE(5, 32, 1, 1, 17, 3, 3, 2, 1, 1),
        SHAPE(2, 32, 7, 6, 600, 3, 3, 1, 1, 1), SHAPE(1, 64, 3, 9, 7, 5, 3, 1, 2, 1),
    };
    try_all(s, RN_COUNT(s));
}

static void test_ragged(void)
{
    static const struct rn_conv_shape s[] = {
        SHAPE(2, 16, 8, 8, 16, 3, 3, 1, 1, 1), SHAPE(3, 20, 7, 5, 24, 3, 3, 2, 1, 1),
        SHAPE(2, 33, 5, 5, 31, 3, 3, 1, 1, 1), SHAPE(6, 48, 2, 2, 16, 3, 3, 1, 1, 1),
        SHAPE(1, 100, 3, 3, 10, 3, 3, 1, 1, 1), SHAPE(4, 10, 1, 1, 12, 3, 3, 1, 1, 1),
        SHAPE(2, 5, 6, 6, 130, 2, 2, 2, 0, 1),
    };
    try_all(s, RN_COUNT(s));
}

static void test_pointwise(void)
{
    static const struct rn_conv_shape s[] = {
        SHAPE(3, 64, 6, 6, 128, 1, 1, 1, 0, 1), SHAPE(2, 64, 7, 7, 128, 1, 1, 2, 0, 1),
        SHAPE(2, 24, 4, 6, 70, 1, 1, 2, 0, 1),  SHAPE(5, 512, 1, 1, 10, 1, 1, 1, 0, 1),
        SHAPE(1, 7, 3, 3, 3, 1, 1, 3, 0, 1),
    };
    try_all(s, RN_COUNT(s));
}

static void test_groups(void)
{
    static const struct rn_conv_shape s[] = {
        SHAPE(2, 128, 5, 5, 128, 3, 3, 1, 1, 32), SHAPE(2, 64, 6, 5, 64, 3, 3, 2, 1, 8),
        SHAPE(1, 128, 4, 4, 128, 3, 3, 1, 1, 4),  SHAPE(3, 12, 5, 5, 24, 3, 3, 1, 1, 3),
        SHAPE(2, 64, 4, 4, 64, 3, 3, 1, 1, 4),    SHAPE(2, 24, 7, 7, 24, 3, 3, 1, 1, 24),
        SHAPE(3, 40, 6, 6, 40, 3, 3, 2, 1, 40),   SHAPE(1, 5, 9, 9, 10, 5, 5, 1, 2, 5),
        SHAPE(2, 32, 8, 8, 32, 7, 7, 1, 3, 32),   SHAPE(2, 32, 4, 4, 32, 3, 3, 2, 1, 16),
    };
    try_all(s, RN_COUNT(s));
}

static void test_special(void)
{
    static const struct rn_conv_shape s[] = {
        SHAPE(2, 64, 4, 4, 48, 3, 3, 1, 1, 1), SHAPE(2, 16, 5, 5, 16, 3, 3, 2, 1, 1),
        SHAPE(2, 3, 9, 9, 16, 7, 7, 2, 3, 1),  SHAPE(2, 16, 5, 5, 16, 3, 3, 1, 1, 16),
        SHAPE(2, 32, 5, 5, 32, 3, 3, 1, 1, 8),
    };
    for (int kind = TINY; kind < KINDS; kind++)
        for (size_t i = 0; i < RN_COUNT(s); i++) try_shape(s[i], kind);
}

/* Sums that are not rounded, as the linear layer needs them. */
static void test_floats(void)
{
    struct trial t = begin((struct rn_conv_shape)SHAPE(5, 70, 1, 1, 37, 1, 1, 1, 0, 1), NORMAL);
    struct rn_linear_shape linear = { .N = 5, .C = 70, .K = 37 };
    float *want = floats(t.n.dst), *got = floats(t.n.dst);
    void *dev;
    CHECK_OK(rn_ops_ref.open(&dev, &(struct rn_device_options){ .threads = 1, .numerics = "bf16" }));
    void *src = tensor(&rn_ops_ref, dev, t.src, 5, 70, 1, 1);
    float *rounded = floats(t.n.weights);
    rn_ops_ref.conv2d_pack(dev, rounded, t.weights, &t.s, RN_PASS_FORWARD);
    rn_ops_ref.linear_forward(dev, want, src, rounded, t.vectors[0], &linear, NULL);
    rn_ops_ref.release(dev, src);
    rn_ops_ref.close(dev);
    const char *name;
    for (int i = 0; (name = rn_isa_name(i)); i++) {
        struct rn_cpu cpu = { .threads = 2 };
        const char *isa = name;
        CHECK_OK(rn_isa_find(&cpu.kernels, &isa, name));
        void *space = rn_alloc(rn_bf16_conv2d_workspace(&cpu, &t.s));
        void *packed = rn_alloc(rn_bf16_conv2d_packed_bytes(&cpu, &t.s, RN_PASS_FORWARD));
        rn_bf16 *x = halves(t.n.src);
        to_bf16(x, t.src, 5, 70, 1, 1);
        rn_bf16_conv2d_pack(&cpu, packed, t.weights, &t.s, RN_PASS_FORWARD);
        rn_bf16_conv_floats(&cpu, got, x, packed, t.vectors[0], &t.s, space);
        compare(&t, &cpu, "floats", got, want, t.n.dst);
        rn_free(space);
        rn_free(packed);
        rn_free(x);
    }
    rn_free(rounded);
    rn_free(want);
    rn_free(got);
    end(&t);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_stems), RN_TEST_ROW(test_wide), RN_TEST_ROW(test_ragged),
        RN_TEST_ROW(test_pointwise), RN_TEST_ROW(test_groups), RN_TEST_ROW(test_special),
        RN_TEST_ROW(test_floats),
    };
    return rn_test_main("test_bf16_conv", rows, RN_COUNT(rows), argc, argv);
}
