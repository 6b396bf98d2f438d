/*
 * test_bits.c - the CPU backend against ref/: equal bits for every slot of fp32 and of bf16, over
 * geometries, instruction sets, thread counts and both ways to convolve.
 *
 *     test_bits                                             everything
 *     test_bits OP [GEOMETRY] [--isa NAME] [--threads N] [--im2col | --bf16]     what a failure prints
 *
 * Data are small integers first, exact in any order, so that a wrong index never looks like
 * rounding; then normal numbers with zeros of both signs and subnormals among them.  Outputs of
 * ref/ are computed once a case and compared bit by bit, so a case costs its naive loops: shapes
 * are chosen for their edges, small.
 */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include "test.h"

#include "base/mem.h"
#include "conform/geometry.h"
#include "test_bits_ops.h"

extern const struct rn_ops rn_ops_ref, rn_ops_cpu, rn_ops_cpu_bf16;

/* -- what is run ---------------------------------------------------------------------------------- */

static const char *const conv_cases[] = {
    "n1c1h1w1k1r1s1", "n1c1h5w5k1r3s3a1", "n2c3h7w5k4r3s3u2a1", "n3c5h6w6k7r1s1",
    "n2c16h8w8k16r3s3a1",
    "n1c64h4w4k64r3s3a1", "n2c64h8w8k128r3s3u2a1", "n2c64h8w8k128r1s1u2", "n17c8h4w4k12r3s3a1",
    "n9c8h2w2k8r3s3a1", "n17c16h1w1k24r3s3a1", "n16c4h1w1k10r1s1", "n5c3h9w11k6r5s5a2",
    "n2c3h15w13k8r7s7u2a3", "n1c2h9w9k3r7s7u3a3", "n2c4h7w8k5r3s3u3a1", "n2c4h8w7k5r2s2u2",
    "n3c6h5w5k9r1s3a1", "n3c6h5w5k9r3s1a0", "n2c8h6w6k8r3s3a1g2", "n2c32h6w5k32r3s3a1g8",
    "n2c32h7w7k64r3s3u2a1g4", "n2c17h5w5k17r3s3a1g17", "n2c12h6w6k24r3s3u2a1g12",
    "n2c8h4w4k4r1s1g4",
    "n1c100h3w3k51r3s3a1", "n1c51h5w4k25r3s3a1", "n2c25h4w5k51r1s1", "n1c130h3w3k70r1s1",
    "n1c300h2w3k17r3s3a1", "n4c20h3w3k80r3s3a1", "n7c7h3w5k33r3s3u2a0", "n2c3h12w12k16r3s3a2",
    "n1c4h5w5k4r5s5a0", "n1c4h6w6k4r6s6u2a3", "n13c3h10w10k5r3s3a1", "n3c2h12w11k3r3s3a1",
    "n2c2h17w19k2r3s3u2a3", "n8c10h4w4k10r3s3u2a1", "n33c9h3w3k7r3s3a1", "n40c6h4w2k5r3s3u2a1",
    "n34c5h8w8k6r1s1u2", "n3c1h4w4k65r3s3a1", "n1c2h3w3k4r1s1u3a2", "n1c31h6w6k16r3s3a1",
    "n2c33h4w4k15r3s3a1", "n2c48h4w4k48r3s3a1g3", "n150c3h2w2k4r3s3a1", "n3c32h7w5k32r3s3a1g32",
    "n2c32h8w7k32r3s3u2a1g16",
    "n7c64h5w6k64r3s3a1g16", "n3c24h9w8k24r3s3u2a1g24", "n2c40h7w9k40r5s5a2g40",
    "n9c24h5w5k24r3s3a0g24", "n2c20h11w9k20r5s5u2a2g20", "n3c17h8w23k17r3s3u3a2g17", "n19c32h2w3k32r3s3a1g32",
    "n2c16h5w4k16r1s1u2g16", "n1c64h10w10k64r7s7a3g64", "n2c33h6w7k33r2s4u2a3g33",
    "n2c64h5w4k64r3s3u2a1g8", "n3c64h4w5k64r1s1g32", "n9c512h1w1k20r3s3a1",
    "n2c64h14w13k64r3s3a1", "n9c40h1w2k70r3s3u2a1", "n2c700h3w2k40r3s3a1",
    "n2c16h5w6k9r3s4a1", "n1c48h4w5k6r2s2u2a1",
};
static const char *const bn_cases[] = {
    "n1c1h1w1", "n2c3h1w1", "n17c5h1w1", "n9c16h2w2", "n17c8h4w4", "n5c64h8w8", "n3c33h9w7",
    "n2c17h12w11", "n3c4h16w17", "n1c70h23w1", "n13c7h5w5", "n2c260h3w3", "n20c20h7w7",
};
static const char *const pool_cases[] = {
    "n2c3h8w8r3s3u2a1", "n1c17h7w9r3s3u2a1", "n3c16h6w6r2s2u2", "n2c5h5w5r3s3u1a1",
    "n2c20h9w4r3s2u3a1",
    "n1c64h1w1r1s1", "n2c4h4w4r4s4", "n1c3h5w6r2s3u1", "n2c8h11w11r5s5u2a2",
};
static const char *const map_cases[] = { "n1c1h1w1", "n2c3h5w4", "n1c16h7w7", "n3c17h6w8",
                                         "n2c5h1w9" };
static const char *const vector_cases[] = { "n1c1h1w1", "n1c7h1w1", "n1c64h1w1", "n3c11h7w5",
                                            "n4c32h33w31" };
static const char *const linear_cases[] = {
    "n1c1h1w1k1", "n1c512h1w1k10", "n17c33h1w1k10", "n56c9h1w1k70", "n8c64h1w1k51",
    "n24c5h1w1k100", "n40c20h1w1k65",
};

#define ROW(op, cases) { #op, op, cases, RN_COUNT(cases) }
static const struct row {
    const char *name;
    void (*run)(struct run *r);
    const char *const *cases;
    size_t count;
} rows[] = {
    ROW(conv2d_forward, conv_cases), ROW(conv2d_backward_data, conv_cases),
    ROW(conv2d_backward_weights, conv_cases), ROW(conv2d_bn, conv_cases),
    ROW(conv2d_bn_train, conv_cases), ROW(conv2d_bias, conv_cases), ROW(conv2d_fold, conv_cases),
    ROW(batchnorm_train, bn_cases), ROW(batchnorm_eval, bn_cases), ROW(elementwise, vector_cases),
    ROW(maxpool, pool_cases), ROW(avgpool, pool_cases), ROW(resize, map_cases),
    ROW(linear, linear_cases), ROW(loss, linear_cases), ROW(sgd, vector_cases),
    ROW(adamw, vector_cases),
};

/* One way to run the CPU backend; isa NULL: the best. */
struct way { const char *isa; int threads; bool im2col, bf16; };

static uint32_t *expected, *got; /* [MAX_WORDS] */

static size_t run_once(const struct row *row, const struct rn_conv_shape *s, enum data data,
                       const struct rn_ops *ops, void *dev, uint32_t *words)
{
    struct run r = { .ops = ops, .dev = dev, .s = *s, .data = data, .word = words };
    row->run(&r);
    for (int i = 0; i < r.count; i++) ops->release(dev, r.owned[i]);
    return r.words;
}

/* Compares one way with what ref/ gave; prints the command that shows a difference. */
static void check_way(const struct row *row, const struct rn_conv_shape *s, const char *text,
                      enum data data, const struct way *way, size_t words)
{
    const struct rn_ops *ops = way->bf16 ? &rn_ops_cpu_bf16 : &rn_ops_cpu;
    struct rn_device_options options = { .threads = way->threads, .isa = way->isa };
    void *dev = NULL;
    if (way->im2col) setenv("RESNET_CONV", "im2col", 1);
    else unsetenv("RESNET_CONV");
    CHECK_OK(ops->open(&dev, &options));
    if (!dev) return;
    size_t count = run_once(row, s, data, ops, dev, got), i = 0;
    while (i < words && i < count && got[i] == expected[i]) i++;
    rn_test_checks++;
    if (count != words || i < words) {
        rn_test_failures++;
        printf("FAIL test_bits %s %s --isa %s --threads %d%s: %s word %zu of %zu, %08" PRIx32
               " instead of %08" PRIx32 "\n", row->name, text, ops->isa(dev), way->threads,
               way->im2col ? " --im2col" : way->bf16 ? " --bf16" : "",
               data == INTEGERS ? "integers" : "numbers", i, words, got[i], expected[i]);
    }
    ops->close(dev);
}

/* One case in `count` ways, both kinds of data, those of the ways with or without bf16. */
static void check_numerics(const struct row *row, const char *text, bool bf16, const struct way *ways,
                           size_t count)
{
    struct rn_device_options options = { .threads = 1, .numerics = bf16 ? "bf16" : "fp32" };
    struct rn_conv_shape s;
    void *dev = NULL;
    CHECK_OK(rn_geometry_parse(&s, text));
    CHECK_OK(rn_ops_ref.open(&dev, &options));
    for (int data = INTEGERS; data <= NUMBERS; data++) {
        where = text;
        size_t words = run_once(row, &s, (enum data)data, &rn_ops_ref, dev, expected);
        for (size_t i = 0; i < count; i++)
            if (ways[i].bf16 == bf16 && (data == NUMBERS || ways[i].threads == 1 || count == 1))
                check_way(row, &s, text, (enum data)data, &ways[i], words);
    }
    rn_ops_ref.close(dev);
}

static void check_case(const struct row *row, const char *text, const struct way *ways, size_t count)
{
    bool wanted[2] = { false, false };
    for (size_t i = 0; i < count; i++) wanted[ways[i].bf16] = true;
    for (int bf16 = 0; bf16 < 2; bf16++)
        if (wanted[bf16]) check_numerics(row, text, bf16, ways, count);
}

/* Every way on this CPU: all thread counts on the best set, two on the others, im2col on each; and bf16. */
static size_t all_ways(struct way *ways)
{
    static const char *const names[] = { "amx", "avx512", "avx2", "neon", "portable" };
    static const int threads[] = { 1, 2, 3, 6, 8 };
    size_t count = 0;
    for (size_t t = 0; t < RN_COUNT(threads); t++) ways[count++] = (struct way){ NULL, threads[t], false, false };
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        struct rn_device_options options = { .threads = 1, .isa = names[i] };
        void *dev = NULL;
        if (rn_ops_cpu.open(&dev, &options)) continue;
        rn_ops_cpu.close(dev);
        if (i) { /* amx is for bf16 alone */
            ways[count++] = (struct way){ names[i], 1, false, false };
            ways[count++] = (struct way){ names[i], 3, false, false };
            ways[count++] = (struct way){ names[i], 2, true, false };
        }
        for (int n = 1; n <= 3; n++) ways[count++] = (struct way){ names[i], n, false, true };
    }
    return count;
}

/* test_bits OP [GEOMETRY] [--isa NAME] [--threads N] [--im2col | --bf16] */
static void parse(int argc, char **argv, const char **op, const char **text, struct way *way)
{
    *way = (struct way){ NULL, 0, false, false };
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--im2col")) way->im2col = true;
        else if (!strcmp(argv[i], "--bf16")) way->bf16 = true;
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc) way->isa = argv[++i];
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc) way->threads = atoi(argv[++i]);
        else if (!*op) *op = argv[i];
        else *text = argv[i];
    }
}

int main(int argc, char **argv)
{
    const char *op = NULL, *text = NULL;
    struct way ways[32], one;
    size_t count = all_ways(ways);
    parse(argc, argv, &op, &text, &one);
    if (one.isa || one.threads || one.im2col || one.bf16) {
        one.threads = RN_MAX(one.threads, 1);
        ways[0] = one;
        count = 1;
    }
    expected = rn_alloc_array(MAX_WORDS, sizeof *expected);
    got = rn_alloc_array(MAX_WORDS, sizeof *got);
    if (!expected || !got) return 1;
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        if (op && !strstr(rows[i].name, op)) continue;
        if (text) check_case(&rows[i], text, ways, count);
        for (size_t k = 0; k < rows[i].count && !text; k++)
            check_case(&rows[i], rows[i].cases[k], ways, count);
    }
    rn_free(expected);
    rn_free(got);
    printf("test_bits: %ld checks, %ld failed\n", rn_test_checks, rn_test_failures);
    return rn_test_failures || !rn_test_checks;
}
