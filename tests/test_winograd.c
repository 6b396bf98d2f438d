/*
 * test_winograd.c - numerics `fp32-winograd` (A34-A36): the CPU backend against ref/ bit by bit, ref/
 * against the convolution's definition in double, and the table against what it may look at.
 *
 *     test_winograd            everything
 *     test_winograd bits       one test by its name
 *
 * With RN_TEST_PRINT set the measured errors are printed.
 */
#include "test.h"

#include "base/mem.h"
#include "base/random.h"
#include "conform/geometry.h"
#include "ref/winograd.h"

extern const struct rn_ops rn_ops_ref, rn_ops_cpu;

/* -- operands ----------------------------------------------------------------------------------- */

enum { SRC, DDST, ADD_DST, ADD_SRC, WEIGHTS, BIAS, GAMMA, BETA, MEAN, VAR, INPUTS };
enum { PLAIN, BIASED, BN, FOLDED, DATA, DATA_ADDED, DWEIGHTS, OUTPUTS };
static const char *const output_names[OUTPUTS] = { "forward", "forward + bias", "conv2d_bn",
                                                   "conv2d_bias",
                                                   "data", "data + add", "weights" };

/* Inputs of one case, and the outputs of every slot, dense NCHW and OIHW. */
struct operands { struct rn_conv_shape s; float *in[INPUTS], *out[OUTPUTS]; };

static size_t source_count(const struct rn_conv_shape *s)
{
    return (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
}

static size_t result_count(const struct rn_conv_shape *s)
{
    return (size_t)s->N * (size_t)s->K * (size_t)s->P * (size_t)s->Q;
}

static size_t weight_count(const struct rn_conv_shape *s) { return (size_t)s->K * (size_t)s->C * 9; }

static size_t input_count(const struct rn_conv_shape *s, int i)
{
    if (i == SRC || i == ADD_SRC) return source_count(s);
    if (i == DDST || i == ADD_DST) return result_count(s);
    return i == WEIGHTS ? weight_count(s) : (size_t)s->K;
}

static size_t output_count(const struct rn_conv_shape *s, int i)
{
    if (i == DWEIGHTS) return weight_count(s);
    return i == DATA || i == DATA_ADDED ? source_count(s) : result_count(s);
}

static float *array(size_t count)
{
    float *x = rn_alloc_array(count, sizeof *x);
    if (!x) exit(1);
    return x;
}

/* Small integers, exact in any order but for the points; or normal numbers with zeros among them. */
static struct operands operands(const char *text, uint64_t seed, bool integers)
{
    struct operands x = { 0 };
    CHECK_OK(rn_geometry_parse(&x.s, text));
    for (int i = 0; i < INPUTS; i++) {
        struct rn_random key = rn_random(seed, RN_RANDOM_TEST, (uint32_t)i, 0);
        x.in[i] = array(input_count(&x.s, i));
        for (size_t k = 0; k < input_count(&x.s, i); k++) {
            double v = integers ? (double)rn_random_below(&key, 7) - 3 : rn_random_normal(&key);
            if (!rn_random_below(&key, 16)) v = 0;
            x.in[i][k] = (float)(i == VAR ? v * v + 0.25 : v);
        }
    }
    for (int i = 0; i < OUTPUTS; i++) x.out[i] = array(output_count(&x.s, i));
    return x;
}

static void release(struct operands *x)
{
    for (int i = 0; i < INPUTS; i++) rn_free(x->in[i]);
    for (int i = 0; i < OUTPUTS; i++) rn_free(x->out[i]);
}

/* -- all slots on one device -------------------------------------------------------------------- */

/* Device memory full of NaN: whoever reads what nobody wrote shows. */
static void *fresh(const struct rn_ops *ops, void *dev, size_t bytes)
{
    void *p = NULL;
    if (ops->alloc(dev, &p, bytes)) exit(1);
    memset(p, 0xff, bytes);
    return p;
}

static float *upload(const struct rn_ops *ops, void *dev, const struct operands *x, int i)
{
    const struct rn_conv_shape *s = &x->s;
    int C = i == SRC || i == ADD_SRC ? s->C : s->K;
    float *p = fresh(ops, dev, input_count(s, i) * sizeof(float));
    if (i <= ADD_SRC) ops->tensor_set(dev, p, x->in[i], s->N, C, s->H, s->W);
    else ops->write(dev, p, x->in[i], input_count(s, i) * sizeof(float));
    return p;
}

/* Fills x->out. */
static void run(struct operands *x, const struct rn_ops *ops, void *dev)
{
    const struct rn_conv_shape *s = &x->s;
    struct rn_bn_shape bn = { s->N, s->K, s->P, s->Q, 1e-5, 0.1, RN_POST_ADD_RELU };
    float *in[INPUTS], *dst = fresh(ops, dev, result_count(s) * sizeof(float));
    float *dsrc = fresh(ops, dev, source_count(s) * sizeof(float));
    float *dweights = fresh(ops, dev, weight_count(s) * sizeof(float));
    void *workspace = fresh(ops, dev, ops->conv2d_workspace(dev, s)), *packed[2];
    for (int i = 0; i < INPUTS; i++) in[i] = upload(ops, dev, x, i);
    for (int i = 0; i < 2; i++) {
        packed[i] = fresh(ops, dev, ops->conv2d_packed_bytes(dev, s, (enum rn_pass)i));
        ops->conv2d_pack(dev, packed[i], in[WEIGHTS], s, (enum rn_pass)i);
    }
    ops->conv2d_forward(dev, dst, in[SRC], packed[0], NULL, s, workspace);
    ops->tensor_get(dev, x->out[PLAIN], dst, s->N, s->K, s->P, s->Q);
    ops->conv2d_forward(dev, dst, in[SRC], packed[0], in[BIAS], s, workspace);
    ops->tensor_get(dev, x->out[BIASED], dst, s->N, s->K, s->P, s->Q);
    ops->conv2d_bn(dev, dst, in[SRC], packed[0], in[ADD_DST], in[GAMMA], in[BETA], in[MEAN],
                   in[VAR], s, &bn,
                   workspace);
    ops->tensor_get(dev, x->out[BN], dst, s->N, s->K, s->P, s->Q);
    ops->conv2d_bias(dev, dst, in[SRC], packed[0], in[BIAS], in[ADD_DST], RN_POST_ADD_RELU, s,
                     workspace);
    ops->tensor_get(dev, x->out[FOLDED], dst, s->N, s->K, s->P, s->Q);
    ops->conv2d_backward_data(dev, dsrc, in[DDST], packed[1], NULL, s, workspace);
    ops->tensor_get(dev, x->out[DATA], dsrc, s->N, s->C, s->H, s->W);
    ops->conv2d_backward_data(dev, in[ADD_SRC], in[DDST], packed[1], in[ADD_SRC], s, workspace);
    ops->tensor_get(dev, x->out[DATA_ADDED], in[ADD_SRC], s->N, s->C, s->H, s->W);
    ops->conv2d_backward_weights(dev, dweights, NULL, in[SRC], in[DDST], s, workspace);
    ops->read(dev, x->out[DWEIGHTS], dweights, weight_count(s) * sizeof(float));
    for (int i = 0; i < INPUTS; i++) ops->release(dev, in[i]);
    void *const rest[] = { dst, dsrc, dweights, workspace, packed[0], packed[1] };
    for (size_t i = 0; i < RN_COUNT(rest); i++) ops->release(dev, rest[i]);
}

/* The same on a device opened for it; false when there is none such. */
static bool run_on(struct operands *x, const struct rn_ops *ops, const char *numerics,
                   const char *isa, int threads)
{
    struct rn_device_options options = { .threads = threads, .isa = isa, .numerics = numerics };
    void *dev = NULL;
    if (ops->open(&dev, &options)) return false;
    run(x, ops, dev);
    ops->close(dev);
    return true;
}

/* -- cpu = ref ---------------------------------------------------------------------------------- */

/* Whole and ragged maps, maps of one tile, channels that fill no vector, weights that are kept
 * transformed and not, one and several leaves, waves of leaves and pieces of a leaf. */
static const char *const cases[] = {
    "n1c16h4w4k16r3s3a1", "n1c64h8w8k64r3s3a1", "n3c16h7w7k32r3s3a1", "n2c33h14w14k17r3s3a1",
    "n9c16h6w9k19r3s3a1", "n1c130h6w6k140r3s3a1", "n2c70h4w12k300r3s3a1", "n25c16h4w4k16r3s3a1",
    "n17c20h13w10k16r3s3a1", "n3c100h16w16k65r3s3a1", "n1c16h40w61k16r3s3a1",
    "n9c16h32w32k16r3s3a1", "n1c260h7w7k129r3s3a1", "n33c128h4w4k144r3s3a1",
};

/* All thread counts on the best instruction set, two on the others. */
static const struct way { const char *isa; int threads; } ways[] = {
    { NULL, 1 }, { NULL, 2 }, { NULL, 3 }, { NULL, 6 }, { "avx512", 3 }, { "avx2", 1 }, { "avx2", 3 },
    { "neon", 3 }, { "portable", 2 },
};

static void test_bits(void)
{
    for (size_t i = 0; i < RN_COUNT(cases); i++)
        for (int integers = 0; integers < 2; integers++) {
            struct operands want = operands(cases[i], 1, integers), got = operands(cases[i], 1,
                                                                                   integers);
            CHECK(run_on(&want, &rn_ops_ref, "fp32-winograd", NULL, 1));
            for (size_t w = 0; w < (integers ? 1 : RN_COUNT(ways)); w++) {
                if (!run_on(&got, &rn_ops_cpu, "fp32-winograd", ways[w].isa, ways[w].threads)) continue;
                for (int k = 0; k < OUTPUTS; k++) {
                    char what[128];
                    snprintf(what, sizeof what, "%s %s --isa %s --threads %d", output_names[k],
                             cases[i],
                             ways[w].isa ? ways[w].isa : "best", ways[w].threads);
                    check_bits(what, got.out[k], want.out[k], output_count(&want.s, k));
                }
            }
            release(&want);
            release(&got);
        }
}

/* What conv2d_unpack gives back, where it does, are the weights. */
static void test_unpack(void)
{
    static const struct { const char *shape; bool kept; } rows[] = {
        { "n1c64h8w8k64r3s3a1", false }, { "n1c130h6w6k140r3s3a1", true }, { "n1c256h4w4k80r3s3a1",
                                                                             true },
    };
    struct rn_device_options options = { .threads = 2, .numerics = "fp32-winograd" };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        struct operands x = operands(rows[i].shape, 3, false);
        float *got = array(weight_count(&x.s));
        void *dev = NULL;
        CHECK_OK(rn_ops_cpu.open(&dev, &options));
        void *packed = fresh(&rn_ops_cpu, dev, rn_ops_cpu.conv2d_packed_bytes(dev, &x.s,
                                                                              RN_PASS_FORWARD));
        rn_ops_cpu.conv2d_pack(dev, packed, x.in[WEIGHTS], &x.s, RN_PASS_FORWARD);
        CHECK(!rn_ops_cpu.conv2d_unpack(dev, NULL, packed, &x.s) == !rows[i].kept);
        if (rn_ops_cpu.conv2d_unpack(dev, got, packed, &x.s))
            check_bits(rows[i].shape, got, x.in[WEIGHTS], weight_count(&x.s));
        rn_ops_cpu.release(dev, packed);
        rn_ops_cpu.close(dev);
        rn_free(got);
        release(&x);
    }
}

/* The workspace that a larger batch asked for is enough: its bytes never shrink with N. */
static void test_workspace(void)
{
    static const char *const shapes[] = {
        "n1c64h32w32k64r3s3a1", "n1c128h16w16k128r3s3a1", "n1c256h8w8k256r3s3a1",
        "n1c512h4w4k512r3s3a1", "n1c64h56w56k64r3s3a1",
    };
    for (size_t i = 0; i < RN_COUNT(shapes); i++)
        for (int threads = 1; threads < 9; threads += 7) {
            struct rn_device_options options = { .threads = threads, .numerics = "fp32-winograd" };
            struct rn_conv_shape s;
            void *dev = NULL;
            size_t before = 0;
            CHECK_OK(rn_geometry_parse(&s, shapes[i]));
            CHECK_OK(rn_ops_cpu.open(&dev, &options));
            for (s.N = 1; s.N < 300; s.N++) {
                size_t bytes = rn_ops_cpu.conv2d_workspace(dev, &s);
                if (bytes < before) CHECK_MSG(false, "%s: N = %d needs less than N - 1", shapes[i],
                                              s.N);
                before = bytes;
            }
            rn_ops_cpu.close(dev);
        }
}

/* -- the table (A34) ------------------------------------------------------------------------------ */

static void test_table(void)
{
    static const char *const never[] = {
        "n1c64h32w32k64r1s1", "n1c64h32w32k64r3s3u2a1", "n1c64h32w32k64r3s3a0",
        "n1c64h32w32k64r3s3a1g2", "n1c64h32w32k64r5s5a2", "n1c3h32w32k64r3s3a1",
        "n1c512h1w1k512r3s3a1", "n1c64h5w8k64r3s3a1", "n1c64h8w3k64r3s3a1",
    };
    for (size_t i = 0; i < RN_COUNT(never); i++)
        for (int pass = 0; pass < 3; pass++) {
            struct rn_conv_shape s;
            CHECK_OK(rn_geometry_parse(&s, never[i]));
            CHECK_MSG(!rn_winograd_applies(&s, (enum rn_winograd_pass)pass), "%s", never[i]);
        }
    struct rn_conv_shape s;
    CHECK_OK(rn_geometry_parse(&s, "n1c64h1w1k64r3s3a1"));
    for (s.H = s.P = 1; s.H < 60; s.H = ++s.P)
        for (s.C = s.K = 1; s.C < 600; s.C = s.K += 13)
            for (int pass = 0; pass < 3; pass++) {
                s.W = s.Q = s.H;
                s.N = 1;
                bool one = rn_winograd_applies(&s, (enum rn_winograd_pass)pass);
                for (s.N = 2; s.N < 70000; s.N *= 3)
                    if (rn_winograd_applies(&s, (enum rn_winograd_pass)pass) != one)
                        CHECK_MSG(false, "C = %d, H = %d: N = %d decides", s.C, s.H, s.N);
            }
}

/* -- accuracy ------------------------------------------------------------------------------------- */

/* Root mean square of a - b over that of b. */
static double error(const float *a, const double *b, size_t count)
{
    double square = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        double d = a[i] - b[i];
        square += d * d;
        all += b[i] * b[i];
    }
    return sqrt(square / all);
}

/* Index of pixel (h, w) of channel c, image n. */
static size_t at(int n, int c, int h, int w, int C, const struct rn_conv_shape *s)
{
    return ((size_t)(n * C + c) * (size_t)s->H + (size_t)h) * (size_t)s->W + (size_t)w;
}

/* Forward, data and weight gradient in double, by their definition: what goes through one tap. */
static void exact_tap(const struct operands *x, double *out[3], int n, int k, int c, int t)
{
    const struct rn_conv_shape *s = &x->s;
    size_t tap = (size_t)(k * s->C + c) * 9 + (size_t)t;
    for (int p = 0; p < s->P; p++)
        for (int q = 0; q < s->Q; q++) {
            int h = p + t / 3 - 1, w = q + t % 3 - 1;
            if (h < 0 || h >= s->H || w < 0 || w >= s->W) continue;
            size_t from = at(n, c, h, w, s->C, s), to = at(n, k, p, q, s->K, s);
            out[0][to] += (double)x->in[SRC][from] * x->in[WEIGHTS][tap];
            out[1][from] += (double)x->in[DDST][to] * x->in[WEIGHTS][tap];
            out[2][tap] += (double)x->in[SRC][from] * x->in[DDST][to];
        }
}

static void exact(const struct operands *x, double *out[3])
{
    const struct rn_conv_shape *s = &x->s;
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < s->K; k++)
            for (int c = 0; c < s->C; c++)
                for (int t = 0; t < 9; t++) exact_tap(x, out, n, k, c, t);
}

/* The error against double, and that of numerics fp32, for several seeds: below a bound that the usual
 * points 0, 1, -1, 2, -2 would exceed. */
static void test_accuracy(void)
{
    static const char *const shapes[] = { "n2c64h8w8k16r3s3a1", "n2c16h14w14k64r3s3a1",
                                          "n9c32h7w7k32r3s3a1" };
    static const int pass[3] = { PLAIN, DATA, DWEIGHTS };
    for (size_t i = 0; i < RN_COUNT(shapes); i++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            struct operands x = operands(shapes[i], seed, false), direct = operands(shapes[i], seed,
                                                                                    false);
            double *want[3];
            for (int k = 0; k < 3; k++) {
                want[k] = rn_alloc_array(output_count(&x.s, pass[k]), sizeof **want);
                if (!want[k]) exit(1);
            }
            exact(&x, want);
            CHECK(run_on(&x, &rn_ops_ref, "fp32-winograd", NULL, 1));
            CHECK(run_on(&direct, &rn_ops_ref, "fp32", NULL, 1));
            for (int k = 0; k < 3; k++) {
                double e = error(x.out[pass[k]], want[k], output_count(&x.s, pass[k]));
                double d = error(direct.out[pass[k]], want[k], output_count(&x.s, pass[k]));
                CHECK_MSG(e <= 1e-6, "%s %s: error %g", output_names[pass[k]], shapes[i], e);
                CHECK_MSG(d <= 1e-6 && e > d / 8, "%s %s: direct %g, Winograd %g",
                          output_names[pass[k]], shapes[i], d, e);
                if (getenv("RN_TEST_PRINT"))
                    printf("%-8s %s seed %d: %.2e, direct %.2e\n", output_names[pass[k]], shapes[i],
                           (int)seed, e, d);
                rn_free(want[k]);
            }
            release(&x);
            release(&direct);
        }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_bits), RN_TEST_ROW(test_unpack),
                                               RN_TEST_ROW(test_workspace),
                                               RN_TEST_ROW(test_table), RN_TEST_ROW(test_accuracy) };
    return rn_test_main("test_winograd", rows, RN_COUNT(rows), argc, argv);
}
