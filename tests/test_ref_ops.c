/*
 * test_ref_ops.c - the reference backend: batch norm, pools, resize, loss, optimisers, against
 * hand-computed cases and direct formulas in double.
 */
#include "test_ref.h"

static const struct rn_ops *const ops = &rn_ops_ref;
static double scratch[1000]; /* workspace */

/* -- batch norm (A17, A18, A22) ---------------------------------------------------------------- */

static void test_batchnorm_by_hand(void)
{
    const struct rn_bn_shape s = { 1, 1, 2, 2, 0.0, 0.25, RN_POST_NONE };
    const float x[4] = { 0, 0, 2, 2 }, g[4] = { 1, 0, 0, 0 }, gamma = 1, beta = 3;
    const float want_y[4] = { 2, 2, 4, 4 }, want_dx[4] = { 0.5f, -0.5f, 0, 0 };
    const float zero = 0, three = 3, want_eval[4] = { 2, 2, 3, 3 };
    float y[4], dx[4], dgamma, dbeta, mean = 5, var = 2;
    double saved[2];
    ops->batchnorm_forward_train(NULL, y, saved, x, NULL, &gamma, &beta, &s, scratch);
    CHECK(saved[0] == 1 && saved[1] == 1);
    check_bits("batch norm", y, want_y, 4);
    ops->batchnorm_running(NULL, &mean, &var, saved, &s, NULL);
    CHECK(mean == 4 && var == (float)(1.5 + 0.25 * (4.0 / 3.0)));
    ops->batchnorm_backward(NULL, dx, NULL, &dgamma, &dbeta, g, y, x, saved, &gamma, &beta, &s, scratch);
    check_bits("batch norm, data gradient", dx, want_dx, 4);
    CHECK(dgamma == -1 && dbeta == 1);

    mean = 0, var = 4;
    ops->batchnorm_forward_eval(NULL, y, x, NULL, &gamma, &(float){ 2 }, &mean, &var, &s);
    check_bits("batch norm, evaluation", y, want_eval, 4);
    ops->batchnorm_backward_eval(NULL, dx, NULL, &dgamma, &dbeta, x, y, x, &mean, &var, &gamma, &s,
                                 scratch);
    CHECK(dx[0] == 0 && dx[3] == 1 && dbeta == 4 && dgamma == 4);

    const struct rn_bn_shape one = { 1, 1, 1, 1, 0.25, 0.5, RN_POST_NONE };
    ops->batchnorm_forward_train(NULL, y, saved, &three, NULL, &gamma, &zero, &one, scratch);
    CHECK(saved[0] == 3 && saved[1] == 0 && y[0] == 0);
    mean = 1, var = 1;
    ops->batchnorm_running(NULL, &mean, &var, saved, &one, NULL); /* one position: factor 1, no 0 / 0 */
    CHECK(mean == 2 && var == 0.5f);
}

/* Runs of 128 inside an image, groups of c(64) = 2 images: 2^53 swallows the ones of its chain. */
static void test_batchnorm_order(void)
{
    static float x[300], y[300];
    const float gamma = 1, beta = 0;
    struct rn_bn_shape s = { 1, 1, 15, 20, 1e-5, 0.1, RN_POST_NONE };
    double saved[2];
    fill(x, 300, 1);
    x[0] = 0x1p53f;
    ops->batchnorm_forward_train(NULL, y, saved, x, NULL, &gamma, &beta, &s, scratch);
    CHECK(saved[0] == (0x1p53 + 172) / 300);
    s = (struct rn_bn_shape){ 3, 1, 8, 8, 1e-5, 0.1, RN_POST_NONE };
    ops->batchnorm_forward_train(NULL, y, saved, x, NULL, &gamma, &beta, &s, scratch);
    CHECK(saved[0] == (0x1p53 + 64) / 192);
    fill(x, 300, 0.1f); /* constant: the variance of rounded sums may come out negative */
    ops->batchnorm_forward_train(NULL, y, saved, x, NULL, &gamma, &beta, &s, scratch);
    CHECK(saved[1] >= 0 && saved[1] < 1e-15);
}

/* Against mean and variance by two passes, and the gradient as the paper writes it. */
static void test_batchnorm_two_pass(void)
{
    enum { N = 5, C = 3, P = 35, ALL = N * C * P };
    const struct rn_bn_shape s = { N, C, 5, 7, 1e-5, 0.1, RN_POST_NONE };
    const double M = N * P;
    float x[ALL], y[ALL], g[ALL], dx[ALL], gamma[C] = { 0.5f, 1, -2 }, beta[C] = { 0, 1, 2 };
    float dgamma[C], dbeta[C];
    double saved[2 * C];
    fill_reals(x, ALL, 1), fill_reals(g, ALL, 2);
    void *workspace = malloc(ops->batchnorm_workspace(NULL, &s)); /* no byte more */
    ops->batchnorm_forward_train(NULL, y, saved, x, NULL, gamma, beta, &s, workspace);
    ops->batchnorm_backward(NULL, dx, NULL, dgamma, dbeta, g, y, x, saved, gamma, beta, &s, workspace);
    free(workspace);
    for (int c = 0; c < C; c++) {
        double m = 0, v = 0, sum_g = 0, sum_gh = 0;
#define EACH(i) for (int i = c * P; i < ALL; i += (i + 1) % P ? 1 : 1 + (C - 1) * P)
        EACH(i) m += x[i] / M;
        EACH(i) v += (x[i] - m) * (x[i] - m) / M;
        double r = 1 / sqrt(v + s.eps);
        EACH(i) sum_g += g[i], sum_gh += g[i] * ((x[i] - m) * r);
        CHECK(near(saved[c], m, 1e-14) && near(saved[C + c], v, 1e-14));
        CHECK(near(dbeta[c], sum_g, 1e-6) && near(dgamma[c], sum_gh, 1e-6));
        EACH(i) {
            double h = (x[i] - m) * r;
            CHECK(near(y[i], gamma[c] * h + beta[c], 1e-6));
            CHECK(near(dx[i], gamma[c] * r * (g[i] - sum_g / M - h * sum_gh / M), 1e-6));
        }
#undef EACH
    }
}

/* A22: what follows in the same slot is the composition of slots; so is conv2d_bn. */
static void test_batchnorm_post(void)
{
    enum { ALL = 2 * 3 * 4 * 4 };
    struct rn_bn_shape s = { 2, 3, 4, 4, 1e-5, 0.1, RN_POST_NONE };
    const struct rn_conv_shape cs = { 2, 3, 4, 4, 3, 1, 1, 4, 4, 1, 0, 1 };
    float x[ALL], add[ALL], plain[ALL], want[ALL], got[ALL], w[9];
    float dy[ALL], g[ALL], dadd[ALL], dx[ALL];
    float gamma[3] = { 1, -1, 2 }, beta[3] = { 0, 0.5f, -1 }, mean[3] = { 0 }, var[3] = { 1, 2, 3 };
    float dgamma[2][3], dbeta[2][3];
    double saved[6];
    fill_reals(x, ALL, 1), fill_reals(add, ALL, 2), fill_reals(dy, ALL, 3), fill_reals(w, 9, 4);
    ops->batchnorm_forward_train(NULL, plain, saved, x, NULL, gamma, beta, &s, scratch);
    ops->add(NULL, want, plain, add, ALL);
    ops->relu_forward(NULL, want, want, ALL);
    ops->relu_backward(NULL, g, dy, want, ALL);
    ops->batchnorm_backward(NULL, plain, NULL, dgamma[0], dbeta[0], g, want, x, saved, gamma, beta, &s,
                            scratch);
    s.post = RN_POST_ADD_RELU;
    ops->batchnorm_forward_train(NULL, got, saved, x, add, gamma, beta, &s, scratch);
    check_bits("bn+add+relu", got, want, ALL);
    ops->batchnorm_backward(NULL, dx, dadd, dgamma[1], dbeta[1], dy, got, x, saved, gamma, beta, &s,
                            scratch);
    check_bits("gradient of the addend", dadd, g, ALL);
    check_bits("gradient through bn+add+relu", dx, plain, ALL);
    check_bits("its gammas", dgamma[1], dgamma[0], 3);
    check_bits("its betas", dbeta[1], dbeta[0], 3);
    memcpy(dadd, dy, sizeof dy);
    ops->batchnorm_backward(NULL, dadd, NULL, dgamma[1], dbeta[1], dadd, got, x, saved, gamma, beta, &s,
                            scratch);
    check_bits("in place", dadd, plain, ALL);

    s.post = RN_POST_RELU;
    ops->conv2d_forward(NULL, plain, x, w, NULL, &cs, scratch);
    ops->batchnorm_forward_eval(NULL, want, plain, NULL, gamma, beta, mean, var, &s);
    ops->conv2d_bn(NULL, got, x, w, NULL, gamma, beta, mean, var, &cs, &s, scratch);
    check_bits("conv+bn+relu", got, want, ALL);
    CHECK(dot(want, want, ALL) > 0);
    for (int i = 0; i < ALL; i++) CHECK(want[i] >= 0);
}

/* -- pools and resize (A19, A20, A21) ---------------------------------------------------------- */

static void test_maxpool(void)
{
    const struct rn_pool_shape s = { 1, 1, 4, 4, 3, 3, 2, 2, 2, 1 };
    float x[16] = { -1, -2, 3, 3, -3, -4, 3, 1, 5, 5, 0, 0, 5, 5, 0, NAN };
    const uint8_t want_index[4] = { 4, 4, 4, 8 };
    const float dy[4] = { 1, 2, 4, 8 };
    const float want_dx[16] = { 1, 0, 2, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 8 };
    float y[4], dx[16];
    uint8_t index[4];
    ops->maxpool_forward(NULL, y, index, x, &s);
    CHECK(y[0] == -1 && y[1] == 3 && y[2] == 5 && isnan(y[3]));
    CHECK(!memcmp(index, want_index, 4));
    ops->maxpool_backward(NULL, dx, dy, index, &s);
    check_bits("max-pool, gradient", dx, want_dx, 16);
    x[0] = NAN; /* first tap of the first window: nothing may replace it */
    ops->maxpool_forward(NULL, y, index, x, &s);
    CHECK(isnan(y[0]) && index[0] == 4);

    /* Overlapping windows that chose the same input add up. */
    const struct rn_pool_shape overlap = { 1, 1, 1, 3, 1, 2, 1, 2, 1, 0 };
    const float peak[3] = { 1, 9, 2 }, want[3] = { 0, 3, 0 };
    ops->maxpool_forward(NULL, y, index, peak, &overlap);
    ops->maxpool_backward(NULL, dx, dy, index, &overlap);
    check_bits("max-pool, shared maximum", dx, want, 3);
}

static void test_avgpool(void)
{
    const struct rn_pool_shape s = { 1, 1, 2, 2, 2, 2, 2, 2, 2, 1 }; /* one input a window */
    const float x[4] = { 1, 2, 3, 8 }, want[4] = { 0.25f, 0.5f, 0.75f, 2 };
    float y[4], dx[4];
    ops->avgpool_forward(NULL, y, x, &s);
    check_bits("average pool counts padding", y, want, 4);
    ops->avgpool_backward(NULL, dx, x, &s);
    check_bits("average pool, gradient", dx, want, 4);
    const struct rn_pool_shape overlap = { 1, 1, 1, 3, 1, 2, 1, 2, 1, 0 };
    const float want_dx[3] = { 0.5f, 1.5f, 1 };
    ops->avgpool_backward(NULL, dx, x, &overlap);
    check_bits("average pool, overlapping gradient", dx, want_dx, 3);

    const struct rn_pool_shape whole = { .N = 1, .C = 2, .H = 1, .W = 2 };
    const float want_mean[2] = { 1.5f, 5.5f }, want_half[4] = { 0.5f, 0.5f, 1, 1 };
    ops->global_avgpool_forward(NULL, y, x, &whole);
    check_bits("global average", y, want_mean, 2);
    ops->global_avgpool_backward(NULL, dx, x, &whole);
    check_bits("global average, gradient", dx, want_half, 4);
}

static void test_resize(void)
{
    const struct rn_resize_shape up = { 1, 1, 1, 2, 1, 4 }, both = { 1, 2, 3, 5, 7, 4 };
    const float x[2] = { 1, 3 }, want[4] = { 1, 1.5f, 2.5f, 3 }, ones[4] = { 1, 1, 1, 1 };
    float y[56], dx[30], map[30], dy[56];
    ops->resize_forward(NULL, y, x, &up);
    check_bits("resize 2 -> 4", y, want, 4);
    ops->resize_backward(NULL, dx, ones, &up);
    CHECK(dx[0] == 2 && dx[1] == 2);
    const struct rn_resize_shape same = { 1, 1, 5, 6, 5, 6 }, down = { 1, 1, 1, 4, 1, 2 };
    fill_reals(map, 30, 1);
    ops->resize_forward(NULL, dx, map, &same);
    check_bits("resize to the same size", dx, map, 30);
    ops->resize_forward(NULL, y, want, &down);
    CHECK(y[0] == 1.25f && y[1] == 2.75f);
    fill_reals(dy, 56, 2);
    ops->resize_forward(NULL, y, map, &both);
    ops->resize_backward(NULL, dx, dy, &both);
    CHECK(near(dot(y, dy, 56), dot(map, dx, 30), 1e-6));
}

/* -- loss and optimisers (A23, A26, A27) ------------------------------------------------------- */

static void test_loss(void)
{
    enum { N = 4, K = 10 };
    const int32_t label[N] = { 0, 3, 9, 5 };
    float x[N * K], dx[N * K], zero[2] = { 0, 0 };
    double loss[N];
    fill_reals(x, N * K, 1);
    for (int i = 0; i < K; i++) x[i] = 200 * x[i];
    for (double smoothing = 0; smoothing < 0.2; smoothing += 0.1) {
        const struct rn_loss_shape s = { N, K, 2 * N, smoothing };
        ops->softmax_cross_entropy(NULL, loss, dx, x, label, &s);
        for (int n = 0; n < N; n++) {
            double sum = 0, want = 0;
            for (int k = 0; k < K; k++) sum += exp((double)x[n * K + k]);
            for (int k = 0; k < K; k++) {
                double p = exp((double)x[n * K + k]) / sum;
                double q = (k == label[n]) * (1 - smoothing) + smoothing / K;
                want -= q * ((double)x[n * K + k] - log(sum));
                CHECK(near(dx[n * K + k], (p - q) / (2 * N), 1e-7));
            }
            CHECK_MSG(near(loss[n], want, 1e-13), "loss of image %d is %a", n, loss[n]);
        }
    }
    const struct rn_loss_shape two = { 1, 2, 1, 0 };
    ops->softmax_cross_entropy(NULL, loss, dx, zero, label, &two);
    CHECK(dx[0] == -0.5f && dx[1] == 0.5f && near(loss[0], 0.6931471805599453, 1e-15));
    ops->softmax_cross_entropy(NULL, loss, NULL, zero, label, &two);
    zero[1] = NAN;
    ops->softmax_cross_entropy(NULL, loss, dx, zero, label, &two);
    CHECK(isnan(loss[0]) && isnan(dx[0]) && isnan(dx[1]));
}

static void test_sgd(void)
{
    struct rn_sgd hp = { .lr = 0.5, .momentum = 0.5, .weight_decay = 0.5, .nesterov = 0 };
    float w = 1, v = 0, g = 0.5f;
    ops->sgd_update(NULL, &w, &v, &g, 1, &hp);
    CHECK(w == 0.5f && v == 1);
    ops->sgd_update(NULL, &w, &v, &g, 1, &hp);
    CHECK(w == -0.125f && v == 1.25f);
    hp.nesterov = 1, w = 1, v = 0;
    ops->sgd_update(NULL, &w, &v, &g, 1, &hp);
    CHECK(w == 0.25f && v == 1);
    hp = (struct rn_sgd){ .lr = 1 }; /* what ends below the least normal number ends at 0 */
    w = rn_float(0x00c00000u), g = rn_float(0x00800000u), v = 0;
    ops->sgd_update(NULL, &w, &v, &g, 1, &hp);
    CHECK(rn_bits(w) == 0);
}

static void test_adamw(void)
{
    struct rn_adamw hp = { .lr = 0.5, .beta1 = 0.5, .beta2 = 0.75, .eps = 0, .weight_decay = 0.5,
                           .beta1_power = 0.5, .beta2_power = 0.75 };
    float w = 1, m = 0, v = 0, g = 2;
    ops->adamw_update(NULL, &w, &m, &v, &g, 1, &hp);
    CHECK(w == 0.25f && m == 1 && v == 1);
    w = 1, m = 3, v = 1, g = 1; /* m falls half way towards g, v stays at 1 = g * g */
    ops->adamw_update(NULL, &w, &m, &v, &g, 1, &hp);
    CHECK(w == -0.25f && m == 2 && v == 1);
    hp.eps = 2, g = 2; /* the denominator grows from 2 to 4 */
    w = 1, m = 0, v = 0;
    ops->adamw_update(NULL, &w, &m, &v, &g, 1, &hp);
    CHECK(w == 0.5f);
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_batchnorm_by_hand),
    RN_TEST_ROW(test_batchnorm_order),
    RN_TEST_ROW(test_batchnorm_two_pass),
    RN_TEST_ROW(test_batchnorm_post),
    RN_TEST_ROW(test_maxpool),
    RN_TEST_ROW(test_avgpool),
    RN_TEST_ROW(test_resize),
    RN_TEST_ROW(test_loss),
    RN_TEST_ROW(test_sgd),
    RN_TEST_ROW(test_adamw),
};

int main(int argc, char **argv)
{
    return rn_test_main("test_ref_ops", tests, RN_COUNT(tests), argc, argv);
}
