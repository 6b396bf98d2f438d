/*
 * test_ref_bf16.c - the reference under bf16 (A30-A32): Q on its borders, the order of additions of A31 and
 * the slots that keep their places, and where between two operations Q stands, all by hand.
 *
 * 2^24 is the number that tells orders apart: 2^24 + 1 is 2^24 again, 2^24 + (1 + 1) is not.
 */
#include "test_ref.h"

static const struct rn_ops *const ops = &rn_ops_ref;
static const float two24 = 0x1p24f, border = 0x1p-56f;
static double scratch[1000]; /* workspace */
static void *dev;

/* -- Q (A30) -------------------------------------------------------------------------------------- */

static void test_rounding(void)
{
    static const struct { float x, q; } rows[] = {
        { 1, 1 },
        { 1 + 0x1p-8f, 1 },                       /* ties go to the even one */
        { 1 + 0x3p-8f, 1 + 0x2p-7f },
        { 1 + 0x1p-8f + 0x1p-23f, 1 + 0x1p-7f },
        { 1 + 0x3p-8f - 0x1p-23f, 1 + 0x1p-7f },
        { -1 - 0x3p-8f, -1 - 0x2p-7f },
        { 0x1.ffp0f, 2 },                         /* into the next binade */
        { 0x1p-56f, 0x1p-56f },
        { -0x1p-56f, -0x1p-56f },
        { 0x1.01p-56f, 0x1p-56f },
        { 0x1.fffffep-57f, 0 },                   /* nearer to 2^-56, but below it */
        { -0x1.fffffep-57f, 0 },
        { -0.0f, 0 },
        { 0x1p-126f, 0 },
        { 0x1.fep127f, 0x1.fep127f },             /* the largest */
        { 0x1.fefffep127f, 0x1.fep127f },
        { 0x1.ffp127f, INFINITY },
        { -0x1.fffffep127f, -INFINITY },
        { INFINITY, INFINITY },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++)
        CHECK_MSG(rn_bits(rn_round_bf16(rows[i].x)) == rn_bits(rows[i].q), "Q(%a) is %a",
                  (double)rows[i].x, (double)rn_round_bf16(rows[i].x));
    CHECK(rn_to_bf16(rn_float(0x7f800001u)) == 0x7fc0); /* NaN whose bits are all in the lower half */
    CHECK(isnan(rn_round_bf16(rn_float(0xff800001u))) && isnan(rn_round_bf16(rn_float(0x7fffffffu))));
}

/* Eight bits of significand, to nearest even, said in another way. */
static void test_rounding_in_double(void)
{
    float x[4000];
    fill_reals(x, RN_COUNT(x), 1);
    for (size_t i = 0; i < RN_COUNT(x); i++) {
        int exponent;
        double digits = rint(ldexp(frexp(x[i], &exponent), 8));
        CHECK(rn_round_bf16(x[i]) == (float)ldexp(digits, exponent - 8));
        CHECK(rn_from_bf16(rn_to_bf16(x[i])) == rn_round_bf16(x[i]));
    }
}

static void test_device(void)
{
    const float x[4] = { 1 + 0x1p-8f, border / 2, -3, 1 + 0x3p-8f }, q[4] = { 1, 0, -3, 1 + 0x2p-7f };
    const struct rn_conv_shape s = { 1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 };
    float packed[4], back[4] = { 5, 5, 5, 5 };
    ops->tensor_set(dev, packed, x, 1, 4, 1, 1);
    check_bits("tensor_set rounds", packed, q, 4);
    ops->tensor_get(dev, back, packed, 1, 4, 1, 1);
    check_bits("tensor_get gives what is there", back, q, 4);
    fill(back, 4, 5);
    ops->conv2d_pack(dev, packed, x, &s, RN_PASS_FORWARD);
    check_bits("weights are rounded", packed, q, 4);
    CHECK(ops->conv2d_unpack(dev, NULL, packed, &s) == 0);
    CHECK(ops->conv2d_unpack(dev, back, packed, &s) == 0 && back[0] == 5 && back[3] == 5);
    back[1] = INFINITY;
    int32_t all[2] = { -1, -1 };
    ops->tensor_finite(dev, &all[0], back, 1);
    ops->tensor_finite(dev, &all[1], back, 4);
    CHECK(all[0] == 1 && all[1] == 0);
}

/* -- sums of products (A31) ----------------------------------------------------------------------- */

/* The sum of x[i] * 1 as a logit, which is a float. */
static float sum(const float *x, int C)
{
    const struct rn_linear_shape s = { 1, C, 1 };
    const float bias = 0;
    float ones[128], y;
    fill(ones, 128, 1);
    ops->linear_forward(dev, &y, x, ones, &bias, &s, scratch);
    return y;
}

static void test_blocks(void)
{
    /* a few terms by the numbers of their slots; all others are 0 */
    static const struct { int C, slot[4]; float x[4], want; } rows[] = {
        { 4, { 0, 2 }, { 0x1p24f, 1 }, 0x1p24f },                /* one chain of even slots */
        { 4, { 0, 1, 3 }, { 0x1p24f, 1, 1 }, 0x1p24f + 2 },      /* one of odd slots */
        { 4, { 0, 1, 2, 3 }, { 0x1p24f, -0x1p24f, 1, 1 }, 1 },   /* 2^24 + (1 - 2^24) */
        { 32, { 0, 30, 31 }, { 0x1p24f, 1, 1 }, 0x1p24f },
        { 34, { 0, 32, 33 }, { 0x1p24f, 1, 1 }, 0x1p24f + 2 },   /* the next block begins at 32 */
        { 36, { 0, 32, 34 }, { 0x1p24f, 1, 1 }, 0x1p24f + 2 },
        { 33, { 0, 32 }, { 0x1p24f, 2 }, 0x1p24f + 2 },          /* and may be short */
        { 34, { 0, 32, 33 }, { 1, 0x1p24f, 1 }, 0x1p24f },       /* acc + (e + o) */
        { 100, { 0, 64, 65, 99 }, { 0x1p24f, 1, 1, 2 }, 0x1p24f + 4 },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        float x[128] = { 0 };
        for (int k = 0; k < 4; k++) x[rows[i].slot[k]] += rows[i].x[k];
        CHECK_MSG(sum(x, rows[i].C) == rows[i].want, "row %zu: %a", i, (double)sum(x, rows[i].C));
    }
}

/* Forward and both gradients on maps where taps lie outside: were their slots filled by the next ones, even
 * and odd would change places, and one of the sums would be 1. */
static void test_padded_slots_keep_their_places(void)
{
    const struct rn_conv_shape small = { 1, 1, 2, 2, 1, 3, 3, 2, 2, 1, 1, 1 };
    const struct rn_conv_shape wide = { 1, 1, 2, 3, 1, 3, 3, 2, 3, 1, 1, 1 };
    const float map[4] = { two24, 0, -two24, 1 };
    const float x[6] = { two24, 0, 0, -two24, 1, 0 };
    float w[9], y[4], dx[4], dw[9], dy[6];
    fill(w, 9, 1), fill(dy, 6, 1);
    ops->conv2d_forward(dev, y, map, w, NULL, &small, scratch);
    CHECK(y[0] == 0); /* slots 4, 5, 7, 8 */
    ops->conv2d_forward(NULL, y, map, w, NULL, &small, scratch);
    CHECK(y[0] == 1); /* the one chain of fp32 */
    ops->conv2d_backward_data(dev, dx, map, w, NULL, &small, scratch);
    CHECK(dx[0] == 0); /* slots 0, 1, 3, 4 */
    ops->conv2d_backward_weights(dev, dw, NULL, x, dy, &wide, scratch);
    CHECK(dw[3] == 0); /* tap (1, 0): slots 1, 2, 4, 5 */
}

/* Taps that the stride leaves out of a data gradient have no slots. */
static void test_slots_on_the_grid(void)
{
    const struct rn_conv_shape s = { 1, 1, 4, 4, 1, 3, 3, 2, 2, 2, 1, 1 };
    const float dy[4] = { 0, 1, -two24, two24 };
    float w[9], dx[16];
    fill(w, 9, 1);
    ops->conv2d_backward_data(dev, dx, dy, w, NULL, &s, scratch);
    CHECK(dx[5] == 0); /* slots 0 ... 3 are dy backwards: (2^24 + 1) + (-2^24 + 0) */
}

/* The weight gradient of one pixel's filter on 7x7 maps: a leaf has two images, 98 slots. */
static float pixel_dw(int N, const int at[4], const float value[4])
{
    const struct rn_conv_shape s = { N, 1, 7, 7, 1, 1, 1, 7, 7, 1, 0, 1 };
    float x[4 * 49] = { 0 }, dy[4 * 49], dw, db;
    fill(dy, RN_COUNT(dy), 1);
    for (int i = 0; i < 4; i++) x[at[i]] += value[i];
    ops->conv2d_backward_weights(dev, &dw, &db, x, dy, &s, scratch);
    CHECK(db == (float)(49 * N));
    return dw;
}

static void test_leaves(void)
{
    CHECK(pixel_dw(2, (int[]){ 0, 30, 31, 0 }, (float[]){ two24, 1, 1, 0 }) == two24);
    CHECK(pixel_dw(2, (int[]){ 0, 32, 33, 0 }, (float[]){ two24, 1, 1, 0 }) == two24 + 2);
    CHECK(pixel_dw(2, (int[]){ 0, 49, 50, 0 }, (float[]){ two24, 1, 1, 0 }) == two24 + 2);
    CHECK(pixel_dw(2, (int[]){ 0, 96, 97, 0 }, (float[]){ two24, 1, 1, 0 }) == two24 + 2);
    /* slot 96 is alone in its block: a leaf of one image follows, with blocks of its own */
    CHECK(pixel_dw(3, (int[]){ 0, 96, 98, 0 }, (float[]){ two24, 1, 1, 0 }) == two24);
    CHECK(pixel_dw(3, (int[]){ 0, 98, 99, 0 }, (float[]){ two24, 1, 1, 0 }) == two24 + 2);
    CHECK(pixel_dw(4, (int[]){ 0, 98, 147, 0 }, (float[]){ two24, 1, 1, 0 }) == two24 + 2);
}

/* -- linear ---------------------------------------------------------------------------------------- */

static void test_linear(void)
{
    const struct rn_linear_shape s = { 1, 2, 1 };
    const float x[2] = { 1, 2 }, w[2] = { 1 + 0x1p-8f, 3 }, dy = 1 + 0x3p-8f, bias = 0x1p-20f;
    float packed[2], y, dx[2], dw[2], db;
    const struct rn_conv_shape conv = { 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 };
    ops->conv2d_pack(dev, packed, w, &conv, RN_PASS_FORWARD);
    ops->linear_forward(dev, &y, x, packed, &bias, &s, scratch);
    CHECK(y == 7 + 0x1p-20f); /* a logit keeps all digits */
    ops->linear_backward_data(dev, dx, &dy, w, &s, scratch);
    CHECK(dx[0] == 1 + 0x2p-7f && dx[1] == 3 + 0x6p-7f);
    ops->linear_backward_weights(dev, dw, &db, x, &dy, &s, scratch);
    CHECK(dw[0] == 1 + 0x2p-7f && dw[1] == 2 + 0x4p-7f && db == dy);
}

/* -- where Q stands (A22, A32) --------------------------------------------------------------------- */

static const float one[2] = { 1, 1 }, half_ulp = 0x1p-8f, less = 0x1p-9f;

static void test_seams_of_convolution(void)
{
    const struct rn_conv_shape s = { 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 };
    const struct rn_conv_shape back = { 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 0, 1 };
    const float tie[2] = { 1, half_ulp }, more[2] = { 1, less }, little = 0x1p-20f, minus = -1;
    float y, dx;
    ops->conv2d_forward(dev, &y, tie, one, NULL, &s, scratch);
    CHECK(y == 1);
    ops->conv2d_forward(dev, &y, tie, one, &little, &s, scratch);
    CHECK(y == 1 + 0x1p-7f); /* the bias before Q */
    ops->conv2d_bias(dev, &y, more, one, &little, &minus, RN_POST_ADD_RELU, &s, scratch);
    CHECK(y == 0); /* Q before the shortcut */
    ops->conv2d_backward_data(dev, &dx, more, one, &minus, &back, scratch);
    CHECK(dx == 0);
    ops->conv2d_backward_data(NULL, &dx, more, one, &minus, &back, scratch);
    CHECK(dx == less);
}

static void test_seams_of_batchnorm(void)
{
    const struct rn_conv_shape s = { 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 };
    const struct rn_bn_shape plain = { 1, 1, 1, 1, 0, 0.1, RN_POST_NONE };
    const struct rn_bn_shape add_relu = { 1, 1, 1, 1, 0, 0.1, RN_POST_ADD_RELU };
    const float more[2] = { 1, less }, minus = -1, zero = 0;
    const double saved[2] = { 0, 1 };
    float y;
    ops->conv2d_bn(dev, &y, more, one, NULL, one, &minus, &zero, one, &s, &plain, scratch);
    CHECK(y == 0); /* Q between convolution and batch norm */
    ops->batchnorm_forward_eval(dev, &y, one, &minus, one, &less, &zero, one, &add_relu);
    CHECK(y == less); /* none between batch norm and shortcut */
    ops->batchnorm_apply(dev, &y, one, &minus, saved, one, &less, &add_relu);
    CHECK(y == less);
    ops->batchnorm_apply(dev, &y, one, NULL, saved, one, &half_ulp, &plain);
    CHECK(y == 1);
}

/* What was stored as +0 stops its gradient: z = x + 1.5 * 2^-56 is 2^-57 at the first position. */
static void test_mask_of_small_values(void)
{
    const struct rn_bn_shape s = { 1, 1, 1, 3, 0, 0.1, RN_POST_RELU };
    const float x[3] = { -border, 0, -0.5f * border }, g[3] = { 5, 7, 11 }, gamma = 1;
    const float beta = 1.5f * border, nan[3] = { NAN, -1, -1 };
    const double saved[2] = { 0, 1 };
    float y[3], dx[3], dgamma, dbeta;
    ops->batchnorm_apply(dev, y, x, NULL, saved, &gamma, &beta, &s);
    CHECK(rn_bits(y[0]) == 0 && y[1] == 1.5f * border && y[2] == border);
    ops->batchnorm_backward(dev, dx, NULL, &dgamma, &dbeta, g, NULL, x, saved, &gamma, &beta, &s, scratch);
    CHECK(dbeta == 18);
    ops->relu_backward(dev, dx, g, y, 3);
    CHECK(dx[0] == 0 && dx[1] == 7 && dx[2] == 11);
    ops->batchnorm_backward(NULL, dx, NULL, &dgamma, &dbeta, g, NULL, x, saved, &gamma, &beta, &s, scratch);
    CHECK(dbeta == 23); /* fp32 stores it */
    ops->batchnorm_backward(dev, dx, NULL, &dgamma, &dbeta, g, NULL, nan, saved, &gamma, &beta, &s, scratch);
    CHECK(dbeta == 5 && isnan(dgamma)); /* NaN passes */
}

static void test_gradient_of_batchnorm(void)
{
    const struct rn_bn_shape s = { 1, 1, 1, 2, 0, 0.1, RN_POST_ADD_RELU };
    const float x[2] = { 0, 0 }, g[2] = { 1, 3 }, y[2] = { 0, 1 }, gamma = 1 + 0x1p-8f, zero = 0;
    float dx[2], dadd[2], dgamma, dbeta;
    ops->batchnorm_backward_eval(dev, dx, dadd, &dgamma, &dbeta, g, y, x, &zero, one, &gamma, &s, scratch);
    CHECK(dx[0] == 0 && dx[1] == 3 + 0x1p-6f); /* 3 + 3 * 2^-8, whose neighbours are 2^-6 apart */
    CHECK(dadd[0] == 0 && dadd[1] == 3 && dbeta == 3);
}

/* One Q, after the sums in float. */
static void test_elements(void)
{
    const float a[2] = { 1, 1 + 0x1p-7f }, b[2] = { half_ulp, half_ulp }, dy[3] = { 1, half_ulp, half_ulp };
    const struct rn_pool_shape whole = { 1, 1, 1, 2, 1, 2, 1, 1, 1, 0 };
    const struct rn_pool_shape windows = { 1, 1, 1, 1, 3, 1, 3, 1, 1, 1 };
    const struct rn_resize_shape resize = { 1, 1, 1, 2, 1, 1 };
    const uint8_t index[3] = { 2, 1, 0 };
    float y[2];
    ops->add(dev, y, a, b, 2);
    CHECK(y[0] == 1 && y[1] == 1 + 0x2p-7f);
    ops->global_avgpool_forward(dev, y, a, &whole);
    CHECK(y[0] == 1);
    ops->avgpool_forward(dev, y, a, &whole);
    CHECK(y[0] == 1);
    ops->resize_forward(dev, y, a, &resize);
    CHECK(y[0] == 1);
    ops->maxpool_backward(dev, y, dy, index, &windows);
    CHECK(y[0] == 1 + 0x1p-7f);
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_rounding),
    RN_TEST_ROW(test_rounding_in_double),
    RN_TEST_ROW(test_device),
    RN_TEST_ROW(test_blocks),
    RN_TEST_ROW(test_padded_slots_keep_their_places),
    RN_TEST_ROW(test_slots_on_the_grid),
    RN_TEST_ROW(test_leaves),
    RN_TEST_ROW(test_linear),
    RN_TEST_ROW(test_seams_of_convolution),
    RN_TEST_ROW(test_seams_of_batchnorm),
    RN_TEST_ROW(test_mask_of_small_values),
    RN_TEST_ROW(test_gradient_of_batchnorm),
    RN_TEST_ROW(test_elements),
};

int main(int argc, char **argv)
{
    const struct rn_device_options options = { .threads = 1, .numerics = "bf16" };
    if (ops->open(&dev, &options)) return 1;
    int result = rn_test_main("test_ref_bf16", tests, RN_COUNT(tests), argc, argv);
    ops->close(dev);
    return result;
}
