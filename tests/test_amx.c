/*
 * test_amx.c - the tile unit: TDPBF16PS against A31, and the convolutions made of it against ref/.
 *
 * Says whether the instructions run in hardware or are emulated (amx_emulator.h): a CPU without them tests the
 * same code, only slower and with the emulator's word for what an instruction does.
 */
#define _GNU_SOURCE
#include "test.h"

#include "amx_emulator.h"
#include "base/mem.h"
#include "base/random.h"
#include "conform/geometry.h"

#include "include/resnet.h"

static const char *how; /* amx_start() */

#if RN_AMX

static uint32_t draw(void)
{
    static struct rn_random random;
    if (!random.purpose) random = rn_random(5, RN_RANDOM_TEST, 0, 0);
    return (uint32_t)rn_random_word(&random);
}

/* -- the instruction ------------------------------------------------------------------------------- */

/* Numbers of the grid of A30 with exponents lowest ... lowest+span-1; one in 16 is zero, one in `odd` special. */
struct kind { const char *name; int lowest, span, odd; rn_bf16 special[4]; bool cancel; };
static const struct kind kinds[] = {
    { "ordinary", 118, 16, 0, { 0 }, false },
    { "cancelling", 118, 16, 0, { 0 }, true },
    { "huge", 180, 14, 0, { 0 }, false },
    { "tiny", 71, 6, 0, { 0 }, false },
    { "tiny, cancelling", 71, 6, 0, { 0 }, true },
    { "border of underflow", 71, 1, 2, { 0x2380, 0xa380, 0x2381, 0xa381 }, true },
    { "all exponents", 71, 183, 0, { 0 }, false },
    { "Inf and NaN", 118, 16, 64, { 0x7f80, 0xff80, 0x7fc0, 0x7f7f }, false },
};

static rn_bf16 number(const struct kind *k)
{
    uint32_t x = draw();
    if (k->odd && draw() % (uint32_t)k->odd == 0) return k->special[x & 3];
    if (x >> 28 == 0) return 0;
    return (rn_bf16)((x & 0x8000) | ((uint32_t)k->lowest + (x >> 16 & 0xff) % (uint32_t)k->span) << 7 | (x & 0x7f));
}

static float a31(const rn_bf16 *a, rn_bf16 (*b)[16][2], int column, int blocks)
{
    float acc = 0;
    for (int block = 0; block < blocks; block++) {
        float e = 0, o = 0;
        for (int k = 16 * block; k < 16 * block + 16; k++) {
            e = rn_fmaf(rn_from_bf16(a[2 * k]), rn_from_bf16(b[k][column][0]), e);
            o = rn_fmaf(rn_from_bf16(a[2 * k + 1]), rn_from_bf16(b[k][column][1]), o);
        }
        acc = acc + (e + o);
    }
    return acc;
}

/* Equal as stored: zeros of both signs are one (A5), all NaN are one (A7). */
static bool same(float x, float y)
{
    return (isnan(x) && isnan(y)) || rn_bits(rn_store(x)) == rn_bits(rn_store(y));
}

enum { BLOCKS = 3 };

static long products(const struct kind *k, long *different)
{
    rn_bf16 a[16][32 * BLOCKS], b[16 * BLOCKS][16][2];
    float c[RN_AMX_SQUARE];
    for (int i = 0; i < 16; i++)
        for (int s = 0; s < 32 * BLOCKS; s++)
            a[i][s] = k->cancel && s & 2 ? a[i][s - 2] ^ 0x8000 : number(k);
    for (int s = 0; s < 32 * BLOCKS; s++)
        for (int i = 0; i < 16; i++)
            b[s / 2][i][s & 1] = k->cancel && s & 2 && i & 3 ? b[s / 2 - 1][i][s & 1] : number(k);
    struct rn_amx_run run = { 0, 0, BLOCKS };
    struct rn_amx_product p = { { a, a }, sizeof a[0], b, 64, 1024, &run, 1 };
    rn_amx_begin();
    rn_amx_multiply(c, 1, 1, &p);
    rn_amx_end();
    for (int i = 0; i < 16; i++)
        for (int x = 0; x < 16; x++) *different += !same(c[i * RN_AMX_ROWS + x], a31(a[i], b, x, BLOCKS));
    return 256;
}

static void test_instruction(void)
{
    if (!how) return;
    int rounds = strcmp(how, "hardware") ? 24 : 400;
    for (size_t i = 0; i < RN_COUNT(kinds); i++) {
        long outputs = 0, different = 0;
        for (int r = 0; r < rounds; r++) outputs += products(&kinds[i], &different);
        printf("TDPBF16PS (%s), %s: %ld outputs, %ld differ from A31\n", how, kinds[i].name, outputs, different);
        CHECK(different == 0);
    }
}

static void test_start_up_check(void)
{
    if (!how) return;
    const char *failed = rn_amx_check();
    CHECK_MSG(!failed, "the check of A33 fails on %s", failed);
}

/* -- convolutions ---------------------------------------------------------------------------------- */

static const char *const shapes[] = {
    /* read in the tensor itself: pixels of the whole batch */
    "n2c64h5w7k32r1s1", "n19c32h1w1k10r1s1", "n3c96h4w4k50r1s1", "n1c32h3w3k64r1s1", "n2c64h30w30k16r1s1",
    /* ... the same pixel of many images */
    "n16c32h4w4k32r3s3a1", "n37c32h4w3k48r3s3a1", "n33c64h2w2k32r3s3a1", "n18c32h5w5k32r3s3u2a1",
    "n17c32h4w4k32r1s1u2", "n16c64h1w1k64r3s3a1",
    /* copied: rows of an image */
    "n2c32h16w16k32r3s3a1", "n1c64h9w33k80r3s3a1", "n2c32h7w7k32r3s3a1", "n1c32h14w14k96r3s3a1",
    "n1c32h18w20k32r3s3u2a1", "n2c32h15w17k32r3s3u2a1", "n1c64h17w16k32r1s1u2", "n1c32h4w4k32r3s3a1",
    "n1c32h12w11k32r5s5a2", "n1c32h9w10k32r3s3", "n3c32h8w8k32r2s2u2", "n1c32h20w6k32r3s1a1",
    "n1c32h7w7k32r3s3u3a1", "n1c64h40w36k32r3s3a1", "n1c32h1w1k32r3s3u2a1",
    /* gathered: blocks that span taps */
    "n2c3h12w12k32r3s3a1", "n1c3h17w19k64r7s7u2a3", "n5c16h6w5k20r3s3a1", "n2c33h4w4k47r3s3a1",
    "n3c1h5w5k1r1s1", "n2c5h9w8k7r3s3u2a1", "n1c48h6w6k24r3s3a1", "n20c8h1w1k40r1s1", "n2c3h8w6k16r5s5a2",
    /* groups */
    "n2c64h6w6k64r3s3a1g2", "n17c64h4w4k96r3s3a1g2", "n1c48h17w16k48r3s3u2a1g3", "n2c128h5w5k64r1s1g2",
    "n2c32h5w5k32r3s3a1g2",
    /* weights: leaves of 8, 4, 2 and 1 images, short ones, several blocks */
    "n21c32h4w4k32r3s3a1", "n9c32h8w8k32r3s3a1", "n9c32h7w7k32r3s3a1", "n5c40h11w11k33r3s3a1",
    "n30c3h12w12k16r3s3a1", "n40c32h2w2k32r3s3u2a1", "n26c16h6w6k16r3s3u2a1",
};

/* ... and one of each way to cut, and a linear layer, with numbers that are not finite */
static const char *const spoilt[] = {
    "n2c64h5w7k32r1s1", "n18c32h4w4k48r3s3a1", "n2c32h15w17k32r3s3u2a1", "n2c3h8w6k20r5s5a2",
    "n2c64h6w6k64r3s3a1g2", "n19c32h1w1k40r1s1",
};

/* A case's tensors, NCHW for ref/ and NHWC for us. */
struct data {
    struct rn_conv_shape s;
    float *x, *dy, *w, *bias, *scale, *add_y, *add_x, *out, *sums;
    rn_bf16 *tx, *tdy, *tadd_y, *tadd_x, *tout;
    void *ref_packed, *ref_space, *packed, *space;
};

/* Memory that is NaN as long as nobody has written there. */
static void *get(size_t bytes)
{
    void *p = rn_alloc(RN_MAX(bytes, 1));
    if (!p) exit(4);
    return memset(p, 0xff, RN_MAX(bytes, 1));
}

/* Mostly of one scale, some zeros, some far smaller or larger. */
static void fill(float *x, size_t n, bool rounded)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u = draw();
        float v = (float)(int32_t)(u << 8) * 0x1p-31f;
        if (u >> 28 == 1) v = 0;
        if (u >> 28 == 2) v *= 0x1p-50f;
        if (u >> 27 == 6) v *= 0x1p20f;
        x[i] = rounded ? rn_round_bf16(v) : rn_store(v);
    }
}

static void to_tensor(rn_bf16 *t, const float *x, int N, int C, int pixels)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < pixels; i++)
                t[(n * pixels + i) * C + c] = rn_to_bf16(x[(n * C + c) * pixels + i]);
}

static bool check_tensor(const char *what, const rn_bf16 *t, const float *x, int N, int C, int pixels)
{
    rn_test_checks++;
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < pixels; i++) {
                float got = rn_from_bf16(t[(n * pixels + i) * C + c]), want = x[(n * C + c) * pixels + i];
                if (rn_bits(got) == rn_bits(want) || (isnan(got) && isnan(want))) continue;
                rn_test_failures++;
                printf("FAIL %s: image %d, channel %d, pixel %d: %a instead of %a\n", what, n, c, i, (double)got,
                       (double)want);
                return false;
            }
    return true;
}

static size_t count_x(const struct rn_conv_shape *s) { return (size_t)s->N * (size_t)(s->C * s->H * s->W); }
static size_t count_y(const struct rn_conv_shape *s) { return (size_t)s->N * (size_t)(s->K * s->P * s->Q); }
static size_t count_w(const struct rn_conv_shape *s) { return (size_t)s->K * (size_t)(s->C / s->groups * s->R * s->S); }

static void to_tensors(struct data *d)
{
    const struct rn_conv_shape *s = &d->s;
    to_tensor(d->tx, d->x, s->N, s->C, s->H * s->W);
    to_tensor(d->tadd_x, d->add_x, s->N, s->C, s->H * s->W);
    to_tensor(d->tdy, d->dy, s->N, s->K, s->P * s->Q);
    to_tensor(d->tadd_y, d->add_y, s->N, s->K, s->P * s->Q);
}

static void make(struct data *d, const struct rn_conv_shape *s)
{
    size_t x = count_x(s), y = count_y(s), w = count_w(s), most = RN_MAX(RN_MAX(x, y), w);
    *d = (struct data){ .s = *s, .x = get(4 * x), .dy = get(4 * y), .w = get(4 * w), .add_y = get(4 * y),
                        .add_x = get(4 * x), .bias = get(4 * (size_t)s->K), .scale = get(4 * (size_t)s->K),
                        .out = get(4 * most), .sums = get(4 * most), .tx = get(2 * x), .tdy = get(2 * y),
                        .tadd_y = get(2 * y), .tadd_x = get(2 * x), .tout = get(4 * most) };
    fill(d->x, x, true), fill(d->dy, y, true), fill(d->w, w, false), fill(d->add_y, y, true), fill(d->add_x, x, true);
    fill(d->bias, (size_t)s->K, false), fill(d->scale, (size_t)s->K, false);
    to_tensors(d);
}

static void drop(struct data *d)
{
    void *all[] = { d->x, d->dy, d->w, d->bias, d->scale, d->add_y, d->add_x, d->out, d->sums, d->tx, d->tdy,
                    d->tadd_y, d->tadd_x, d->tout, d->ref_packed, d->ref_space, d->packed, d->space };
    for (size_t i = 0; i < RN_COUNT(all); i++) rn_free(all[i]);
}

static void *ref; /* its device */

static void pack(struct data *d, const struct rn_cpu *cpu, enum rn_pass pass)
{
    struct rn_conv_pass p = rn_bf16_pass(&d->s, pass);
    rn_free(d->packed), rn_free(d->space);
    d->packed = get(rn_bf16_packed_at(cpu->kernels, &p, p.classes * p.classes, 0) * 4);
    rn_bf16_pack(cpu, d->packed, d->w, &d->s, pass);
    size_t bytes = pass == RN_PASS_FORWARD ? rn_amx_weights_workspace(cpu, &d->s) : 0;
    bytes = RN_MAX(bytes, rn_amx_conv_workspace(cpu, &d->s, pass));
    d->space = get(bytes);
}

/* What follows the sums of ref/, one element after the other. */
static void follow(float *y, const struct data *d, const struct rn_bf16_finish *f)
{
    const struct rn_conv_shape *s = &d->s;
    for (int i = 0; i < s->N * s->K * s->P * s->Q; i++) {
        int k = i / (s->P * s->Q) % s->K;
        float z = y[i];
        if (f->scale) z = rn_store(rn_fmaf(z, f->scale[k], f->shift[k]));
        if (f->add) z = rn_store(z + d->add_y[i]);
        if (f->relu) z = rn_relu(z);
        y[i] = rn_round_bf16(z);
    }
}

static void forward(struct data *d, const struct rn_cpu *cpu, const char *shape)
{
    const struct rn_conv_shape *s = &d->s;
    const struct rn_bf16_finish finish[] = {
        { 0 },
        { .bias = d->bias, .add = d->tadd_y, .relu = true },
        { .bias = d->bias, .relu = true },
        { .scale = d->scale, .shift = d->bias, .add = d->tadd_y, .relu = true },
        { .scale = d->scale, .shift = d->bias },
    };
    pack(d, cpu, RN_PASS_FORWARD);
    for (size_t i = 0; i < RN_COUNT(finish); i++) {
        char what[96];
        if (i < 2 || finish[i].bias != finish[i - 1].bias)
            rn_ops_ref.conv2d_forward(ref, d->sums, d->x, d->ref_packed, finish[i].bias, s, d->ref_space);
        memcpy(d->out, d->sums, count_y(s) * 4);
        follow(d->out, d, &finish[i]);
        memset(d->tout, 0xff, count_y(s) * 2);
        rn_amx_conv_run(cpu, RN_PASS_FORWARD, (struct rn_amx_target){ .bf16 = d->tout }, d->tx, d->packed,
                        &finish[i], s, d->space);
        snprintf(what, sizeof what, "%s forward %zu, %d threads", shape, i, cpu->threads);
        if (!check_tensor(what, d->tout, d->out, s->N, s->K, s->P * s->Q)) return;
    }
}

static void floats(struct data *d, const struct rn_cpu *cpu, const char *shape)
{
    const struct rn_conv_shape *s = &d->s;
    const struct rn_linear_shape linear = { s->N, s->C, s->K };
    const struct rn_bf16_finish finish = { .bias = d->bias };
    float *got = (float *)(void *)d->tout;
    if (s->H * s->W * s->R * s->S != 1 || s->groups > 1) return;
    rn_ops_ref.linear_forward(ref, d->out, d->x, d->ref_packed, d->bias, &linear, d->ref_space);
    rn_amx_conv_run(cpu, RN_PASS_FORWARD, (struct rn_amx_target){ .floats = got }, d->tx, d->packed, &finish, s,
                    d->space);
    for (size_t i = 0; i < count_y(s); i++)
        if (isnan(got[i]) && isnan(d->out[i])) got[i] = d->out[i];
    check_bits(shape, got, d->out, count_y(s));
}

static void data_gradient(struct data *d, const struct rn_cpu *cpu, const char *shape)
{
    const struct rn_conv_shape *s = &d->s;
    pack(d, cpu, RN_PASS_BACKWARD_DATA);
    for (int add = 0; add < 2; add++) {
        char what[96];
        struct rn_bf16_finish f = { .add = add ? d->tadd_x : NULL };
        rn_ops_ref.conv2d_backward_data(ref, d->out, d->dy, d->ref_packed, add ? d->add_x : NULL, s, d->ref_space);
        memset(d->tout, 0xff, count_x(s) * 2);
        rn_amx_conv_run(cpu, RN_PASS_BACKWARD_DATA, (struct rn_amx_target){ .bf16 = d->tout }, d->tdy, d->packed, &f,
                        s, d->space);
        snprintf(what, sizeof what, "%s data gradient, add %d, %d threads", shape, add, cpu->threads);
        if (!check_tensor(what, d->tout, d->out, s->N, s->C, s->H * s->W)) return;
    }
}

static void weight_gradient(struct data *d, const struct rn_cpu *cpu, const char *shape)
{
    char what[96];
    float *got = (float *)(void *)d->tout;
    rn_ops_ref.conv2d_backward_weights(ref, d->out, NULL, d->x, d->dy, &d->s, d->ref_space);
    memset(got, 0xff, count_w(&d->s) * 4);
    rn_amx_weights(cpu, got, d->tx, d->tdy, &d->s, d->space);
    snprintf(what, sizeof what, "%s weight gradient, %d threads", shape, cpu->threads);
    check_bits(what, got, d->out, count_w(&d->s));
}

/* NaN, Inf and -Inf here and there, NaN at least. */
static void spoil(float *x, size_t n, size_t every)
{
    static const float special[] = { NAN, INFINITY, -INFINITY };
    for (size_t i = 0; i < 1 + n / every; i++) x[draw() % n] = special[i % RN_COUNT(special)];
}

static void not_finite(struct data *d)
{
    size_t x = count_x(&d->s), y = count_y(&d->s);
    spoil(d->x, x, 512), spoil(d->dy, y, 512), spoil(d->add_x, x, 32), spoil(d->add_y, y, 32);
}

/* Of a linear layer: sums of +-2^-112, which a bias takes to +-2^-136 or doubles or leaves. */
static void subnormal_logits(struct data *d)
{
    const struct rn_conv_shape *s = &d->s;
    const float nearly = 0x1.fffffep-113f;
    for (int i = 0; i < s->N * s->C; i++) d->x[i] = i % s->C ? 0 : i / s->C % 2 ? 0x1p-56f : -0x1p-56f;
    for (int i = 0; i < s->K * s->C; i++) d->w[i] = i % s->C ? 0 : 0x1p-56f;
    for (int i = 0; i < s->K; i++) d->bias[i] = (float)(i % 3 - 1) * nearly;
    CHECK(0x1p-112f + d->bias[0] == 0x1p-136f);
}

/* alter: what happens to the data, or NULL. */
static void check_shape(const char *text, int threads, void (*alter)(struct data *d))
{
    struct rn_cpu cpu = { .threads = threads, .kernels = &rn_kernels_avx512, .isa = "amx", .amx = true };
    struct rn_conv_shape s;
    struct data d;
    rn_status status = rn_geometry_parse(&s, text);
    CHECK_OK(status);
    if (status) return;
    make(&d, &s);
    if (alter) alter(&d), to_tensors(&d);
    d.ref_packed = get(rn_ops_ref.conv2d_packed_bytes(ref, &s, RN_PASS_FORWARD));
    d.ref_space = get(rn_ops_ref.conv2d_workspace(ref, &s));
    rn_ops_ref.conv2d_pack(ref, d.ref_packed, d.w, &s, RN_PASS_FORWARD);
    forward(&d, &cpu, text);
    floats(&d, &cpu, text);
    /* whether 0 outside the image times NaN is one is left open (A6) */
    if (alter != not_finite) weight_gradient(&d, &cpu, text);
    rn_ops_ref.conv2d_pack(ref, d.ref_packed, d.w, &s, RN_PASS_BACKWARD_DATA);
    data_gradient(&d, &cpu, text);
    drop(&d);
}

static void test_convolutions(void)
{
    struct rn_device_options options = { .threads = 1, .numerics = "bf16" };
    if (!how) return;
    CHECK_OK(rn_ops_ref.open(&ref, &options));
    for (size_t i = 0; i < RN_COUNT(shapes) && ref; i++) check_shape(shapes[i], i % 2 ? 3 : 1, NULL);
    for (size_t i = 0; i < RN_COUNT(spoilt) && ref; i++) check_shape(spoilt[i], 1, not_finite);
    if (ref) check_shape("n19c32h1w1k40r1s1", 1, subnormal_logits);
    printf("convolutions (%s): %zu shapes, forward, data and weight gradients\n", how, RN_COUNT(shapes));
    rn_ops_ref.close(ref);
}

/* -- the table: the same slots on both machines ---------------------------------------------------- */

/* Outputs of every slot that convolves, one after the other, as one device computes them. */
struct outputs { rn_bf16 *y, *x; float *dw, *db; double *saved; void *space, *packed; size_t bytes; };

static void convolve(struct outputs *o, void *dev, struct data *d)
{
    const struct rn_ops *t = &rn_ops_cpu_bf16;
    const struct rn_conv_shape *s = &d->s;
    const struct rn_bn_shape bn = { s->N, s->K, s->P, s->Q, 1e-5, 0.1, RN_POST_ADD_RELU };
    size_t y = count_y(s), x = count_x(s), w = count_w(s), k = (size_t)s->K;
    size_t bytes = t->conv2d_workspace(dev, s) + t->batchnorm_workspace(dev, &bn);
    *o = (struct outputs){ .y = get(10 * y), .x = get(2 * x), .dw = get(4 * w), .db = get(4 * k),
                           .saved = get(16 * k), .space = get(bytes), .bytes = bytes };
    for (size_t i = 0; i < k; i++) d->add_x[i] = 1.5f + (float)i; /* running variances */
    o->packed = get(t->conv2d_packed_bytes(dev, s, RN_PASS_FORWARD));
    t->conv2d_pack(dev, o->packed, d->w, s, RN_PASS_FORWARD);
    t->conv2d_forward(dev, o->y, d->tx, o->packed, d->bias, s, o->space);
    t->conv2d_bias(dev, o->y + y, d->tx, o->packed, d->bias, d->tadd_y, RN_POST_ADD_RELU, s, o->space);
    t->conv2d_bn(dev, o->y + 2 * y, d->tx, o->packed, d->tadd_y, d->scale, d->bias, d->bias, d->add_x, s, &bn,
                 o->space);
    t->conv2d_bn_train(dev, o->y + 3 * y, o->y + 4 * y, o->saved, d->tx, o->packed, d->tadd_y, d->scale, d->bias,
                       s, &bn, o->space);
    t->conv2d_backward_weights(dev, o->dw, o->db, d->tx, d->tdy, s, o->space);
    rn_free(o->packed);
    o->packed = get(t->conv2d_packed_bytes(dev, s, RN_PASS_BACKWARD_DATA));
    t->conv2d_pack(dev, o->packed, d->w, s, RN_PASS_BACKWARD_DATA);
    t->conv2d_backward_data(dev, o->x, d->tdy, o->packed, d->tadd_x, s, o->space);
}

static void compare_machines(struct rn_cpu *dev, const char *text)
{
    struct rn_conv_shape s;
    struct data d;
    struct outputs on, off;
    rn_status status = rn_geometry_parse(&s, text);
    CHECK_OK(status);
    if (status) return;
    make(&d, &s);
    long before = amx_products(), during;
    dev->amx = true;
    convolve(&on, dev, &d);
    during = amx_products();
    CHECK(strcmp(how, "emulated") || (during > before) == (s.groups == 1));
    dev->amx = false;
    convolve(&off, dev, &d);
    CHECK(amx_products() == during);
    CHECK_MSG(!memcmp(on.y, off.y, 10 * count_y(&s)), "%s: forward, bias, bn, bn_train", text);
    CHECK_MSG(!memcmp(on.x, off.x, 2 * count_x(&s)), "%s: data gradient", text);
    CHECK_MSG(!memcmp(on.dw, off.dw, 4 * count_w(&s)), "%s: weight gradient", text);
    CHECK_MSG(!memcmp(on.db, off.db, 4 * (size_t)s.K), "%s: bias gradient", text);
    CHECK_MSG(!memcmp(on.saved, off.saved, 16 * (size_t)s.K), "%s: statistics", text);
    void *all[] = { on.y, on.x, on.dw, on.db, on.saved, on.space, on.packed,
                    off.y, off.x, off.dw, off.db, off.saved, off.space, off.packed };
    for (size_t i = 0; i < RN_COUNT(all); i++) rn_free(all[i]);
    drop(&d);
}

static void test_table(void)
{
    static const char *const texts[] = { "n3c64h9w9k64r3s3a1", "n17c32h4w4k64r3s3u2a1", "n2c32h16w16k32r3s3a1g32",
                                         "n20c64h1w1k100r1s1" };
    struct rn_device_options options = { .threads = 1, .isa = "avx512" };
    void *dev = NULL;
    if (!how) return;
    CHECK_OK(rn_ops_cpu_bf16.open(&dev, &options));
    for (size_t i = 0; i < RN_COUNT(texts) && dev; i++) compare_machines(dev, texts[i]);
    rn_ops_cpu_bf16.close(dev);
}

#else
static void test_instruction(void) { }
static void test_start_up_check(void) { }
static void test_convolutions(void) { }
static void test_table(void) { }
#endif

/* -- who gets it ----------------------------------------------------------------------------------- */

/* What opening a table for an instruction set says; *isa is what runs. */
static rn_status open_isa(const struct rn_ops *ops, const char *wanted, const char **isa)
{
    struct rn_device_options options = { .threads = 1, .isa = wanted };
    void *dev = NULL;
    rn_status status = ops->open(&dev, &options);
    if (!status) *isa = ops->isa(dev), ops->close(dev);
    return status;
}

static void test_choice(void)
{
    const char *isa = "", *absence = rn_amx_absence();
    const struct rn_ops *tables[] = { &rn_ops_cpu, &rn_ops_cpu_bf16 };
    CHECK(absence == rn_amx_absence());
    for (size_t i = 0; i < RN_COUNT(tables); i++) {
        rn_status status = open_isa(tables[i], "amx", &isa);
        if (absence) {
            CHECK(status == RN_EUSAGE && strstr(rn_error(), "'amx'") && strstr(rn_error(), absence));
            CHECK(strstr(rn_error(), "portable"));
        } else {
            CHECK(status == RN_OK && !strcmp(isa, "amx"));
            CHECK(!open_isa(tables[i], "avx512", &isa) && !strcmp(isa, "avx512"));
        }
        CHECK_OK(open_isa(tables[i], NULL, &isa));
        CHECK((i == 1 && !absence) == !strcmp(isa, "amx"));
    }
}

int main(int argc, char **argv)
{
    how = amx_start();
    const char *absence = rn_amx_absence();
    if (!how) printf("skip the tile unit: %s, and it cannot be emulated here\n", absence);
    else if (absence) printf("tile unit: %s (%s)\n", how, absence);
    else printf("tile unit: %s\n", how);
    const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_instruction), RN_TEST_ROW(test_start_up_check), RN_TEST_ROW(test_convolutions),
        RN_TEST_ROW(test_table), RN_TEST_ROW(test_choice),
    };
    return rn_test_main("test_amx", rows, RN_COUNT(rows), argc, argv);
}
