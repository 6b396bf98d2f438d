/*
 * test_ref_fused.c - the reference's slots that join layers (A22), the output made again and the mask
 * recomputed (A17, A18), against hand-computed cases, against the slots they join, and folding against
 * the unfolded layer in double.
 */
#include "test_ref.h"

#define MAX 4000 /* floats in one array */

static const struct rn_ops *const ops = &rn_ops_ref;
static const float least = 0x1p-126f; /* half of it is subnormal, and F makes it +0 */
static double scratch[1000];          /* workspace */

static const struct rn_conv_shape one_pixel = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 };
static const struct rn_conv_shape wide = { 3, 6, 7, 5, 8, 3, 3, 4, 3, 2, 1, 2 };

static struct rn_bn_shape norm(const struct rn_conv_shape *s, enum rn_post post)
{
    return (struct rn_bn_shape){ s->N, s->K, s->P, s->Q, 1e-5, 0.1, post };
}

static size_t outputs(const struct rn_conv_shape *s)
{
    return (size_t)(s->N * s->K * s->P * s->Q);
}

static size_t inputs(const struct rn_conv_shape *s)
{
    return (size_t)(s->N * s->C * s->H * s->W);
}

static size_t weights(const struct rn_conv_shape *s)
{
    return (size_t)(s->K * (s->C / s->groups) * s->R * s->S);
}

/* -- unpack, run --------------------------------------------------------------------------------- */

static void test_unpack(void)
{
    float w[MAX], packed[MAX], back[MAX];
    size_t count = weights(&wide);
    fill_reals(w, count, 1), fill(back, count, NAN);
    ops->conv2d_pack(NULL, packed, w, &wide, RN_PASS_FORWARD);
    CHECK(ops->conv2d_unpack(NULL, NULL, packed, &wide) == 1);
    CHECK(ops->conv2d_unpack(NULL, back, packed, &wide) == 1);
    check_bits("weights back out of their packed form", back, w, count);
}

static void count_call(void *arg) { ++*(int *)arg; }

static void test_run(void)
{
    int calls = 0;
    ops->run(NULL, count_call, &calls);
    CHECK(calls == 1);
}

/* -- convolution with bias ----------------------------------------------------------------------- */

static float bias_pixel(float x, float w, float bias, float add, enum rn_post post)
{
    float y = NAN;
    ops->conv2d_bias(NULL, &y, &x, &w, &bias, &add, post, &one_pixel, scratch);
    return y;
}

static void test_bias_by_hand(void)
{
    CHECK(bias_pixel(3, 2, -10, 7, RN_POST_NONE) == -4);
    CHECK(bias_pixel(3, 2, -10, 7, RN_POST_RELU) == 0);
    CHECK(bias_pixel(3, 2, -10, 7, RN_POST_ADD_RELU) == 3); /* the shortcut comes before the ReLU */
    CHECK(bias_pixel(3, 2, -10, 3, RN_POST_ADD_RELU) == 0);
    CHECK(isnan(bias_pixel(NAN, 2, -10, 3, RN_POST_ADD_RELU)));
    /* F between the bias and the shortcut: half of the least normal number is lost. */
    CHECK(bias_pixel(1.5f * least, 1, -least, least, RN_POST_ADD_RELU) == least);
    CHECK(rn_bits(bias_pixel(1.5f * least, 1, -least, 0, RN_POST_NONE)) == 0);
    /* and none between the sum and the bias (A13) */
    CHECK(bias_pixel(0.5f * least, 1, least, 0, RN_POST_NONE) == 1.5f * least);
}

static void test_bias_is_its_composition(void)
{
    static float x[MAX], w[MAX], add[MAX], y[MAX], want[MAX];
    float bias[8];
    size_t count = outputs(&wide);
    fill_reals(x, inputs(&wide), 1), fill_reals(w, weights(&wide), 2);
    fill_reals(add, count, 3), fill_reals(bias, 8, 4);
    for (enum rn_post post = RN_POST_NONE; post <= RN_POST_ADD_RELU; post++) {
        ops->conv2d_bias(NULL, y, x, w, bias, add, post, &wide, scratch);
        ops->conv2d_forward(NULL, want, x, w, bias, &wide, scratch);
        if (post == RN_POST_ADD_RELU) ops->add(NULL, want, want, add, count);
        if (post != RN_POST_NONE) ops->relu_forward(NULL, want, want, count);
        check_bits("convolution with bias", y, want, count);
    }
}

/* -- folding ------------------------------------------------------------------------------------- */

static void test_fold_by_hand(void)
{
    const struct rn_conv_shape s = { 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 0, 1 };
    struct rn_bn_shape bn = { 1, 2, 1, 1, 1, 0.1, RN_POST_NONE };
    const float gamma[2] = { 3, 1 }, beta[2] = { 5, 0 }, mean[2] = { 4, 1 }, var[2] = { 3, 2 };
    const float w[4] = { 2, -1, 1, least }, want[2] = { 3, -1.5f };
    float folded[4], bias[2];
    /* channel 0: r = 1 / sqrt(3 + 1), t = 3 / 2; channel 1: t = 1 / sqrt(3) in double */
    double t = 1 / sqrt(3.0);
    ops->conv2d_fold(NULL, folded, bias, w, gamma, beta, mean, var, &s, &bn);
    check_bits("folded weights", folded, want, 2);
    CHECK(bias[0] == -1);
    CHECK(folded[2] == (float)t && bias[1] == (float)(0 - 1 * t));
    CHECK(rn_bits(folded[3]) == 0); /* F */
    memcpy(folded, w, sizeof w);
    ops->conv2d_fold(NULL, folded, bias, folded, gamma, beta, mean, var, &s, &bn);
    check_bits("folded in place", folded, want, 2);
}

/* The product is one of doubles, rounded once; the bias is stored by F. */
static void test_fold_rounds_once(void)
{
    const struct rn_conv_shape s = { 1, 64, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 };
    struct rn_bn_shape bn = { 1, 1, 1, 1, 0, 0.1, RN_POST_NONE };
    const float gamma = 1, beta = 1.5f * least, mean = least, three = 3, one = 1;
    float w[64], folded[64], bias;
    int unlike = 0;
    fill_reals(w, 64, 1);
    ops->conv2d_fold(NULL, folded, &bias, w, &gamma, &beta, &mean, &three, &s, &bn);
    for (int i = 0; i < 64; i++) {
        CHECK(folded[i] == (float)(w[i] * (1 / sqrt(3.0))));
        unlike += folded[i] != w[i] * (float)(1 / sqrt(3.0));
    }
    CHECK(unlike > 5);
    ops->conv2d_fold(NULL, folded, &bias, w, &gamma, &beta, &mean, &one, &s, &bn);
    check_bits("weights that are scaled by 1", folded, w, 64);
    CHECK(rn_bits(bias) == 0);
}

/* One output of convolution and batch norm in double. */
static double unfolded(const float *x, const float *w, const float *const bn[4], double eps,
                       const struct rn_conv_shape *s, int n, int k, int p, int q)
{
    int channels = s->C / s->groups, first = k / (s->K / s->groups) * channels;
    double sum = 0;
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < s->R * s->S; i++) {
            int h = p * s->stride - s->pad + i / s->S, v = q * s->stride - s->pad + i % s->S;
            if (h < 0 || h >= s->H || v < 0 || v >= s->W) continue;
            sum += (double)x[((n * s->C + first + c) * s->H + h) * s->W + v] *
                   w[(k * channels + c) * s->R * s->S + i];
        }
    return (sum - bn[2][k]) / sqrt(bn[3][k] + eps) * bn[0][k] + bn[1][k];
}

/* A folded net computes what the unfolded one does, up to rounding. */
static void test_fold_against_double(void)
{
    static float x[MAX], w[MAX], folded[MAX], y[MAX];
    const struct rn_conv_shape *s = &wide;
    struct rn_bn_shape bn = norm(s, RN_POST_NONE);
    float gamma[8], beta[8], mean[8], var[8], bias[8];
    const float *const parameters[4] = { gamma, beta, mean, var };
    double worst = 0, squares = 0;
    fill_reals(x, inputs(s), 1), fill_reals(w, weights(s), 2), fill_reals(gamma, 8, 3);
    fill_reals(beta, 8, 4), fill_reals(mean, 8, 5), fill_reals(var, 8, 6);
    for (int k = 0; k < 8; k++) var[k] = var[k] * var[k] + 0.01f;
    ops->conv2d_fold(NULL, folded, bias, w, gamma, beta, mean, var, s, &bn);
    ops->conv2d_bias(NULL, y, x, folded, bias, NULL, RN_POST_NONE, s, scratch);
    for (int i = 0; i < (int)outputs(s); i++) {
        int map = s->P * s->Q;
        double want = unfolded(x, w, parameters, bn.eps, s, i / map / s->K, i / map % s->K,
                               i % map / s->Q, i % s->Q);
        worst = fmax(worst, fabs(y[i] - want));
        squares += want * want;
    }
    CHECK_MSG(worst < 2e-6 * sqrt(squares / (double)outputs(s)), "off by %g", worst);
}

/* -- batch norm: made with the convolution, made again, masked again ------------------------------ */

static void test_bn_train_and_apply(void)
{
    static float x[MAX], w[MAX], add[MAX], z[MAX], y[MAX], want_z[MAX], want[MAX], again[MAX];
    float gamma[8], beta[8];
    double saved[16], want_saved[16];
    size_t count = outputs(&wide);
    fill_reals(x, inputs(&wide), 1), fill_reals(w, weights(&wide), 2), fill_reals(add, count, 3);
    fill_reals(gamma, 8, 4), fill_reals(beta, 8, 5);
    for (enum rn_post post = RN_POST_NONE; post <= RN_POST_ADD_RELU; post++) {
        struct rn_bn_shape bn = norm(&wide, post);
        ops->conv2d_bn_train(NULL, y, z, saved, x, w, add, gamma, beta, &wide, &bn, scratch);
        ops->conv2d_forward(NULL, want_z, x, w, NULL, &wide, scratch);
        ops->batchnorm_forward_train(NULL, want, want_saved, want_z, add, gamma, beta, &bn, scratch);
        check_bits("convolution of conv2d_bn_train", z, want_z, count);
        check_bits("batch norm of conv2d_bn_train", y, want, count);
        CHECK(!memcmp(saved, want_saved, sizeof saved));
        ops->batchnorm_apply(NULL, again, z, add, saved, gamma, beta, &bn);
        check_bits("the output made again", again, want, count);
    }
}

/* g masked by what y was is g masked by the y that was stored. */
static void test_recomputed_mask(void)
{
    static float x[MAX], g[MAX], y[MAX], masked[MAX], dx[MAX], want[MAX];
    struct rn_bn_shape s = { 3, 8, 4, 3, 1e-5, 0.1, RN_POST_RELU }, plain = s;
    float gamma[8], beta[8], dgamma[8], dbeta[8], want_dgamma[8], want_dbeta[8];
    double saved[16];
    size_t count = 3 * 8 * 4 * 3;
    plain.post = RN_POST_NONE;
    fill_reals(x, count, 1), fill_reals(g, count, 2), fill_reals(gamma, 8, 3), fill_reals(beta, 8, 4);
    ops->batchnorm_forward_train(NULL, y, saved, x, NULL, gamma, beta, &s, scratch);
    ops->batchnorm_backward(NULL, dx, NULL, dgamma, dbeta, g, NULL, x, saved, gamma, beta, &s, scratch);
    ops->relu_backward(NULL, masked, g, y, count);
    ops->batchnorm_backward(NULL, want, NULL, want_dgamma, want_dbeta, masked, NULL, x, saved, gamma,
                            beta, &plain, scratch);
    check_bits("data gradient under a recomputed mask", dx, want, count);
    check_bits("dgamma under a recomputed mask", dgamma, want_dgamma, 8);
    check_bits("dbeta under a recomputed mask", dbeta, want_dbeta, 8);
    memcpy(dx, g, sizeof dx);
    ops->batchnorm_backward(NULL, dx, NULL, dgamma, dbeta, dx, NULL, x, saved, gamma, beta, &s, scratch);
    check_bits("the same in place", dx, want, count);
}

/* y = x + 1.5 least: where it is subnormal it was stored as +0, and its gradient is stopped. */
static void test_mask_of_a_subnormal(void)
{
    const struct rn_bn_shape s = { 1, 1, 1, 2, 0, 0.1, RN_POST_RELU };
    const float x[2] = { -least, 0 }, g[2] = { 5, 7 }, gamma = 1, beta = 1.5f * least;
    const double saved[2] = { 0, 1 };
    float dx[2], dgamma, dbeta;
    ops->batchnorm_backward(NULL, dx, NULL, &dgamma, &dbeta, g, NULL, x, saved, &gamma, &beta, &s, scratch);
    CHECK(dbeta == 7);
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_unpack),
    RN_TEST_ROW(test_run),
    RN_TEST_ROW(test_bias_by_hand),
    RN_TEST_ROW(test_bias_is_its_composition),
    RN_TEST_ROW(test_fold_by_hand),
    RN_TEST_ROW(test_fold_rounds_once),
    RN_TEST_ROW(test_fold_against_double),
    RN_TEST_ROW(test_bn_train_and_apply),
    RN_TEST_ROW(test_recomputed_mask),
    RN_TEST_ROW(test_mask_of_a_subnormal),
};

int main(int argc, char **argv)
{
    return rn_test_main("test_ref_fused", tests, RN_COUNT(tests), argc, argv);
}
