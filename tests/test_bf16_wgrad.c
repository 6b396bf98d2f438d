/*
 * test_bf16_wgrad.c - the weight and bias gradients of bf16 (A15, A31) on fused multiply-adds against ref/,
 * bit by bit, for every instruction set this CPU has and several thread counts.
 *
 *     test_bf16_wgrad                   everything
 *     test_bf16_wgrad shapes            one test by its name
 */
#include "test.h"

#include "base/mem.h"
#include "base/random.h"
#include "conform/geometry.h"
#include "cpu/bf16.h"

extern const struct rn_ops rn_ops_ref;

/* Maps of one position to many blocks of slots, leaves of one and of several images, short and long trees,
 * padding on every side, columns and channels that fill no vector, groups. */
static const char *const shapes[] = {
    "n1c1h1w1k1r1s1", "n8c5h1w1k7r1s1", "n9c3h1w1k20r3s3a1", "n17c40h1w1k33r1s1", "n150c3h1w1k4r1s1",
    "n1c8h2w2k8r3s3a1", "n9c16h2w2k8r3s3a1", "n17c3h2w2k5r3s3u2a1", "n17c33h2w2k17r3s3a1",
    "n3c16h4w4k16r3s3a1", "n17c8h4w4k12r3s3a1", "n13c12h4w4k40r1s1u2", "n9c64h4w4k64r3s3a1",
    "n8c20h7w8k6r1s1u2", "n1c4h5w7k4r3s3a1", "n7c24h5w7k40r3s3a1", "n5c7h5w7k9r3s3u2a1", "n6c3h5w7k5r5s3a1",
    "n3c33h7w7k64r3s3a1", "n5c16h7w7k16r1s1", "n4c9h7w7k48r3s3u2a1", "n2c3h8w8k8r7s7u2a3",
    "n5c64h8w8k32r3s3a1", "n3c20h8w8k51r1s1", "n2c12h8w8k20r3s3a0", "n3c64h14w14k33r3s3a1",
    "n2c40h14w14k16r1s1", "n2c6h14w14k70r3s3u2a1", "n3c3h32w32k64r3s3a1", "n2c16h32w32k16r3s3a1",
    "n2c3h32w32k20r7s7u2a3", "n1c5h32w32k6r1s1u2", "n1c4h40w33k9r3s3a1", "n1c3h3w300k5r3s3a1",
    "n1c2h2w600k3r1s3u2a1", "n2c300h3w2k17r3s3a1", "n1c700h2w3k140r1s1", "n3c12h4w3k300r3s3a1",
    "n2c3h1w9k4r3s3a1", "n5c3h9w1k4r3s3a1", "n2c4h9w9k3r3s3u3a3", "n1c2h3w3k4r1s1u3a2", "n1c2h4w4k3r2s2u2",
    "n2c3h9w9k3r5s5u1a4", "n1c1h2w2k3r1s1u4a3", "n2c8h6w6k8r3s3a1g2", "n2c32h6w5k32r3s3a1g8",
    "n5c16h4w4k32r3s3a1g4", "n2c32h7w7k64r3s3u2a1g4", "n2c8h4w4k4r1s1g4", "n2c12h6w6k24r3s3u2a1g12",
    "n3c17h5w5k17r3s3a1g17", "n2c64h8w8k64r3s3a1g16", "n3c32h7w5k32r3s3a1g32", "n2c40h7w9k40r5s5a2g40",
    "n3c17h8w23k17r3s3u3a2g17", "n9c48h4w4k48r3s3u2a1g48", "n2c66h4w4k66r3s3a1g3", "n1c20h33w17k20r3s3u2a1g20",
};
static const int thread_counts[] = { 1, 2, 3 };

enum { NORMAL, INTEGERS, TINY, KINDS };

/* Zeros among normal numbers; small integers; or values around 2^-56, below which A30 has no numbers. */
static float number(struct rn_random *key, int kind)
{
    if (!rn_random_below(key, 16)) return rn_random_below(key, 2) ? 0.0f : -0.0f;
    if (kind == INTEGERS) return (float)((int)rn_random_below(key, 7) - 3);
    float x = (float)rn_random_normal(key);
    return kind == TINY ? ldexpf(x, -(int)rn_random_below(key, 4) - 54) : x;
}

struct operands {
    struct rn_conv_shape s;
    float *src, *ddst;           /* dense NCHW */
    rn_bf16 *src_bf16, *ddst_bf16; /* the same, NHWC */
    float *dweights, *dbias;     /* of ref/ */
};

static void *array(size_t count, size_t size)
{
    void *x = rn_alloc_array(count, size);
    if (!x) exit(1);
    return x;
}

static size_t weight_count(const struct rn_conv_shape *s)
{
    return (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S);
}

static float *tensor(rn_bf16 **bf16, int N, int C, int map, int kind, uint32_t draw)
{
    struct rn_random key = rn_random(11, RN_RANDOM_TEST, draw, (uint32_t)kind);
    size_t count = (size_t)N * (size_t)C * (size_t)map;
    float *x = array(count, sizeof *x);
    *bf16 = array(count, sizeof **bf16);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < map; i++) {
                rn_bf16 v = rn_to_bf16(number(&key, kind));
                (*bf16)[((size_t)n * (size_t)map + (size_t)i) * (size_t)C + (size_t)c] = v;
                x[((size_t)n * (size_t)C + (size_t)c) * (size_t)map + (size_t)i] = rn_from_bf16(v);
            }
    return x;
}

/* Inputs of a shape and what ref/ makes of them. */
static struct operands operands(const char *text, int kind)
{
    struct operands x = { 0 };
    struct rn_device_options options = { .threads = 1, .numerics = "bf16" };
    void *dev = NULL;
    CHECK_OK(rn_geometry_parse(&x.s, text));
    CHECK_OK(rn_ops_ref.open(&dev, &options));
    x.src = tensor(&x.src_bf16, x.s.N, x.s.C, x.s.H * x.s.W, kind, 0);
    x.ddst = tensor(&x.ddst_bf16, x.s.N, x.s.K, x.s.P * x.s.Q, kind, 1);
    x.dweights = array(weight_count(&x.s), sizeof(float));
    x.dbias = array((size_t)x.s.K, sizeof(float));
    void *workspace = array(rn_ops_ref.conv2d_workspace(dev, &x.s), 1);
    rn_ops_ref.conv2d_backward_weights(dev, x.dweights, x.dbias, x.src, x.ddst, &x.s, workspace);
    rn_free(workspace);
    rn_ops_ref.close(dev);
    return x;
}

static void release(struct operands *x)
{
    void *const memory[] = { x->src, x->ddst, x->src_bf16, x->ddst_bf16, x->dweights, x->dbias };
    for (size_t i = 0; i < RN_COUNT(memory); i++) rn_free(memory[i]);
}

/* All memory that is written is full of NaN before, and what follows it must stay so. */
static void check(const struct operands *x, const char *text, const char *isa, int threads)
{
    struct rn_cpu cpu = { .threads = threads };
    size_t weights = weight_count(&x->s), K = (size_t)x->s.K, guard = 16;
    CHECK_OK(rn_isa_find(&cpu.kernels, &cpu.isa, isa));
    size_t bytes = rn_bf16_wgrad_workspace(&cpu, &x->s);
    float *dweights = array(weights + guard, sizeof(float)), *dbias = array(K + guard, sizeof(float));
    char *workspace = array(bytes + 64, 1), what[160];
    memset(dweights, 0xff, (weights + guard) * sizeof(float));
    memset(dbias, 0xff, (K + guard) * sizeof(float));
    memset(workspace, 0xff, bytes + 64);
    rn_bf16_conv2d_backward_weights(&cpu, dweights, dbias, x->src_bf16, x->ddst_bf16, &x->s, workspace);
    snprintf(what, sizeof what, "%s, %s, %d threads: weights", text, cpu.isa, threads);
    check_bits(what, dweights, x->dweights, weights);
    snprintf(what, sizeof what, "%s, %s, %d threads: bias", text, cpu.isa, threads);
    check_bits(what, dbias, x->dbias, K);
    bool kept = true;
    for (size_t i = 0; i < guard; i++)
        kept = kept && rn_bits(dweights[weights + i]) == UINT32_MAX && rn_bits(dbias[K + i]) == UINT32_MAX;
    for (size_t i = 0; i < 64; i++) kept = kept && workspace[bytes + i] == (char)0xff;
    CHECK_MSG(kept, "%s, %s, %d threads: written past an end", text, cpu.isa, threads);
    rn_free(dweights);
    rn_free(dbias);
    rn_free(workspace);
}

static void check_all(const char *text, int kind)
{
    struct operands x = operands(text, kind);
    for (int i = 0; rn_isa_name(i); i++)
        if (strcmp(rn_isa_name(i), "amx"))
            for (size_t t = 0; t < RN_COUNT(thread_counts); t++)
                check(&x, text, rn_isa_name(i), thread_counts[t]);
    release(&x);
}

static void test_shapes(void)
{
    for (size_t i = 0; i < RN_COUNT(shapes); i++) check_all(shapes[i], i % 2 ? NORMAL : INTEGERS);
    for (size_t i = 0; i < RN_COUNT(shapes); i += 2) check_all(shapes[i], NORMAL);
}

static void test_batches(void)
{
    static const char *const maps[] = { "c5h1w1k9r3s3a1", "c6h2w2k10r3s3a1", "c9h4w4k8r3s3a1", "c3h7w7k11r3s3u2a1",
                                        "c4h6w10k5r1s1" };
    for (size_t i = 0; i < RN_COUNT(maps); i++)
        for (int n = 1; n <= 17; n++) {
            char text[RN_GEOMETRY_CHARS];
            snprintf(text, sizeof text, "n%d%s", n, maps[i]);
            check_all(text, NORMAL);
        }
}

static void test_tiny(void)
{
    static const char *const texts[] = { "n9c16h4w4k16r3s3a1", "n3c5h14w14k20r3s3a1", "n2c8h32w32k8r1s1" };
    for (size_t i = 0; i < RN_COUNT(texts); i++) check_all(texts[i], TINY);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = { RN_TEST_ROW(test_shapes), RN_TEST_ROW(test_batches),
                                              RN_TEST_ROW(test_tiny) };
    return rn_test_main("test_bf16_wgrad", row, RN_COUNT(row), argc, argv);
}
