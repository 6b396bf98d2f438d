/*
 * test_ref.c - the reference backend: table, device, F, groups and tree, convolution and linear,
 * against hand-computed cases and algebra that small integers make exact.  The numbers are chosen
 * so that another order of additions, a missing fma or a lost padding row gives another result.
 */
#include "test_ref.h"

#include "ref/tree.h"

#include <stddef.h>

#define MAX 40000 /* floats in one array */

static const struct rn_ops *const ops = &rn_ops_ref;
static const float two24 = 16777216.0f; /* two24 + 1 rounds to two24 */
static float scratch[MAX];              /* workspace */

/* -- the table and the device ------------------------------------------------------------------ */

static void test_table(void)
{
    typedef void slot(void);
    const char *base = (const char *)ops;
    size_t count = 0;
    CHECK(ops->version == RN_BACKEND_VERSION && ops->struct_bytes == sizeof *ops);
    CHECK(!strcmp(ops->name, "ref") && ops->exact == 1);
    for (size_t at = offsetof(struct rn_ops, open); at < sizeof *ops; at += sizeof(slot *)) {
        slot *f;
        memcpy(&f, base + at, sizeof f);
        CHECK_MSG(f != NULL, "slot %zu of the table is empty", count);
        count++;
    }
    CHECK(count == 53);
}

static void test_device(void)
{
    struct rn_device_options options = { .threads = 1 };
    float x[8] = { 1, -2, 3, 4, 5, 6, 7, 8 }, back[8];
    void *dev = NULL, *mem = NULL;
    CHECK_OK(ops->open(&dev, &options));
    CHECK(!strcmp(ops->isa(dev), "scalar"));
    CHECK_OK(ops->alloc(dev, &mem, sizeof x));
    CHECK(((uintptr_t)mem & 63) == 0);
    ops->read(dev, back, mem, sizeof back);
    for (int i = 0; i < 8; i++) CHECK(rn_bits(back[i]) == 0);
    CHECK(ops->tensor_bytes(dev, 1, 2, 2, 2) == sizeof x);
    ops->tensor_set(dev, mem, x, 1, 2, 2, 2);
    check_bits("tensor_set is the identity", mem, x, 8);
    ops->tensor_get(dev, back, mem, 1, 2, 2, 2);
    check_bits("tensor_get is the identity", back, x, 8);
    ops->release(dev, mem);
    ops->release(dev, NULL);
    ops->close(dev);
    options.numerics = "fp32-winograd";
    CHECK_OK(ops->open(&dev, &options));
    ops->close(dev);
    options.numerics = "fp33";
    CHECK(ops->open(&dev, &options) == RN_EUSAGE);
    CHECK(strstr(rn_error(), "fp33") && strstr(rn_error(), "fp32 fp32-winograd bf16"));
    options = (struct rn_device_options){ .threads = 1, .isa = "avx3" };
    CHECK(ops->open(&dev, &options) == RN_EUSAGE);
    CHECK(strstr(rn_error(), "avx3") != NULL);
}

/* -- F (A5), NaN (A7, A18, A19) ---------------------------------------------------------------- */

static void test_store(void)
{
    const float least = rn_float(0x00800000u);
    CHECK(rn_bits(rn_store(-0.0f)) == 0);
    CHECK(rn_bits(rn_store(rn_float(0x007fffffu))) == 0);
    CHECK(rn_bits(rn_store(rn_float(0x80000001u))) == 0);
    CHECK(rn_bits(rn_store(least)) == 0x00800000u);
    CHECK(rn_bits(rn_store(-least)) == 0x80800000u);
    CHECK(rn_store(INFINITY) == INFINITY && isnan(rn_store(NAN)));

    /* What ops store: a difference below the least normal number, a zero of the wrong sign. */
    float a[2] = { 1.5f * least, -0.0f }, b[2] = { -least, -0.0f }, y[2] = { 7, 7 };
    ops->add(NULL, y, a, b, 2);
    CHECK(rn_bits(y[0]) == 0 && rn_bits(y[1]) == 0);
    ops->accumulate(NULL, a, b, 2);
    CHECK(rn_bits(a[0]) == 0 && rn_bits(a[1]) == 0);
    float x[3] = { rn_float(1), -0.0f, -least }, z[3];
    ops->relu_forward(NULL, z, x, 3);
    CHECK(rn_bits(z[0]) == 0 && rn_bits(z[1]) == 0 && rn_bits(z[2]) == 0);
}

static void test_relu_and_nan(void)
{
    float x[4] = { -1, 0, 2, NAN }, y[4], dy[4] = { 5, 6, 7, 8 }, dx[4];
    ops->relu_forward(NULL, y, x, 4);
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 2 && isnan(y[3]));
    ops->relu_backward(NULL, dx, dy, y, 4);
    CHECK(dx[0] == 0 && dx[1] == 0 && dx[2] == 7 && dx[3] == 8);
    dy[2] = NAN;
    ops->relu_backward(NULL, dy, dy, y, 4);
    CHECK(dy[0] == 0 && isnan(dy[2]));
    int32_t all[3] = { -1, -1, -1 };
    ops->finite(NULL, &all[0], x, 3, NULL);
    ops->finite(NULL, &all[1], x, 4, NULL);
    x[3] = -INFINITY;
    ops->finite(NULL, &all[2], x, 4, NULL);
    CHECK(all[0] == 1 && all[1] == 0 && all[2] == 0);
}

/* -- groups and tree (A11) --------------------------------------------------------------------- */

static void test_groups(void)
{
    static const int want[][2] = { { 1, 8 }, { 4, 8 }, { 16, 8 }, { 17, 4 }, { 32, 4 }, { 33, 2 },
                                   { 49, 2 }, { 64, 2 }, { 65, 1 }, { 128, 1 }, { 1024, 1 } };
    for (size_t i = 0; i < RN_COUNT(want); i++)
        CHECK_MSG(rn_ref_group_images(want[i][0]) == want[i][1], "c(%d) is %d", want[i][0],
                  rn_ref_group_images(want[i][0]));
    CHECK(rn_ref_group_count(1, 1) == 1 && rn_ref_group_count(8, 1) == 1);
    CHECK(rn_ref_group_count(9, 1) == 2 && rn_ref_group_count(9, 64) == 5);
    CHECK(rn_ref_group_count(9, 100) == 9);
}

/* A11's other wording: T(J) = T(h) + T(J - h), h the largest power of two below J. */
static float tree_by_halves(const float *v, int J)
{
    int h = 1;
    if (J == 1) return v[0];
    while (2 * h < J) h *= 2;
    return tree_by_halves(v, h) + tree_by_halves(v + h, J - h);
}

static void test_tree(void)
{
    float v[40], copy[40];
    double wide[3] = { 9007199254740992.0, 1, 1 };
    int unlike_chain = 0;
    fill_reals(v, 40, 1);
    for (int J = 1; J <= 40; J++) {
        memcpy(copy, v, sizeof v);
        float want = tree_by_halves(v, J), chain = 0, got = rn_ref_tree_float(copy, J);
        check_bits("tree, level by level and by halves", &got, &want, 1);
        for (int i = 0; i < J; i++) chain += v[i];
        unlike_chain += chain != want;
    }
    CHECK(unlike_chain > 10);
    CHECK(rn_ref_tree_double(wide, 3) == 9007199254740992.0);
}

/* -- convolution (A13, A14, A15), linear (A16) ------------------------------------------------- */

static struct rn_conv_shape conv(int N, int C, int H, int W, int K, int R, int S, int stride,
                                 int pad, int groups)
{
    return (struct rn_conv_shape){ N, C, H, W, K, R, S, (H + 2 * pad - R) / stride + 1,
                                   (W + 2 * pad - S) / stride + 1, stride, pad, groups };
}

static void test_conv_ones(void)
{
    const struct rn_conv_shape s = conv(1, 1, 3, 3, 1, 3, 3, 1, 1, 1);
    const float want[9] = { 4, 6, 4, 6, 9, 6, 4, 6, 4 }, bias = -4;
    const float want_bias[9] = { 0, 2, 0, 2, 5, 2, 0, 2, 0 };
    float x[9], w[9], y[9], dw[9], db = 7;
    fill(x, 9, 1), fill(w, 9, 1);
    CHECK(ops->conv2d_packed_bytes(NULL, &s, RN_PASS_FORWARD) == sizeof w);
    ops->conv2d_forward(NULL, y, x, w, NULL, &s, scratch);
    check_bits("3x3 ones, pad 1", y, want, 9);
    ops->conv2d_forward(NULL, y, x, w, &bias, &s, scratch);
    check_bits("3x3 ones, pad 1, bias", y, want_bias, 9);
    ops->conv2d_backward_data(NULL, y, x, w, NULL, &s, scratch);
    check_bits("3x3 ones, data gradient", y, want, 9);
    ops->conv2d_backward_data(NULL, y, x, w, y, &s, scratch);
    for (int i = 0; i < 9; i++) CHECK(y[i] == 2 * want[i]);
    ops->conv2d_backward_weights(NULL, dw, &db, x, x, &s, scratch);
    check_bits("3x3 ones, weight gradient", dw, want, 9);
    CHECK(db == 9);
}

/* Grouped, strided: each number can be followed by hand. */
static void test_conv_by_hand(void)
{
    const struct rn_conv_shape s = conv(1, 2, 3, 3, 2, 2, 2, 2, 1, 2);
    const float x[18] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 0, 0, 0, 2, 0, 0, 0, 3 };
    const float w[8] = { 1, 10, 100, 1000, 1, 10, 100, 1000 };
    const float want[8] = { 1000, 3200, 7040, 9865, 1000, 0, 0, 3002 };
    float y[8], dx[18], dy[8] = { 0, 0, 0, 1, 0, 0, 0, 0 };
    const float want_dx[18] = { 0, 0, 0, 0, 1, 10, 0, 100, 1000 };
    CHECK(s.P == 2 && s.Q == 2);
    ops->conv2d_forward(NULL, y, x, w, NULL, &s, scratch);
    check_bits("2x2 stride 2 pad 1 groups 2", y, want, 8);
    ops->conv2d_backward_data(NULL, dx, dy, w, NULL, &s, scratch);
    check_bits("its data gradient", dx, want_dx, 18);
}

/* <dy, conv(x, w)> = <dx, x> = <dw, w>: exact in small integers, whatever the geometry. */
static void test_conv_adjoint(void)
{
    static const int list[][10] = { /* N C H W K R S stride pad groups */
        { 1, 1, 1, 1, 1, 1, 1, 1, 0, 1 }, { 2, 3, 7, 5, 4, 3, 3, 1, 1, 1 },
        { 3, 4, 8, 8, 6, 3, 3, 2, 1, 2 }, { 17, 3, 2, 2, 5, 3, 3, 1, 1, 1 },
        { 9, 2, 4, 4, 2, 1, 1, 2, 0, 1 }, { 1, 3, 11, 13, 4, 7, 7, 2, 3, 1 },
        { 2, 6, 5, 5, 6, 3, 3, 1, 0, 6 }, { 5, 2, 9, 7, 3, 5, 3, 3, 2, 1 } };
    static float x[MAX], y[MAX], dx[MAX], dy[MAX], w[MAX], dw[MAX];
    for (size_t i = 0; i < RN_COUNT(list); i++) {
        const int *g = list[i];
        struct rn_conv_shape s = conv(g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9]);
        size_t nx = (size_t)(s.N * s.C * s.H * s.W), ny = (size_t)(s.N * s.K * s.P * s.Q);
        size_t nw = (size_t)(s.K * (s.C / s.groups) * s.R * s.S);
        fill_integers(x, nx, 1), fill_integers(dy, ny, 2), fill_integers(w, nw, 3);
        fill(y, ny, NAN), fill(dx, nx, NAN), fill(dw, nw, NAN);
        void *workspace = malloc(ops->conv2d_workspace(NULL, &s)); /* no byte more */
        ops->conv2d_forward(NULL, y, x, w, NULL, &s, workspace);
        ops->conv2d_backward_data(NULL, dx, dy, w, NULL, &s, workspace);
        ops->conv2d_backward_weights(NULL, dw, NULL, x, dy, &s, workspace);
        free(workspace);
        double want = dot(dy, y, ny);
        CHECK_MSG(dot(dx, x, nx) == want, "data gradient of geometry %zu", i);
        CHECK_MSG(dot(dw, w, nw) == want, "weight gradient of geometry %zu", i);
        CHECK(want != 0);
    }
}

/* fma (A13), chain inside a leaf and tree over leaves (A15), all with c(1) = 8. */
static void test_order_of_additions(void)
{
    struct rn_linear_shape s = { 1, 2, 1 };
    const float one = 1 + 0x1p-12f, x[2] = { 1, one }, w[2] = { -1 - 0x1p-11f, one };
    float bias = 0, y, dw, db, feature[32], dy[32];
    ops->linear_forward(NULL, &y, x, w, &bias, &s, scratch);
    CHECK(y == 0x1p-24f); /* a rounded product would cancel to 0 */

    const struct { int N; float at[4], want; } row[] = {
        { 8, { two24 }, two24 },             /* one leaf: seven ones lost, one at a time */
        { 24, { two24, 1, 1 }, two24 },      /* (2^24 + 1) + 1 */
        { 32, { two24, 1, 1, 1 }, two24 + 2 }, /* (2^24 + 1) + (1 + 1) */
        { 25, { 1, 1, two24, 1 }, two24 + 2 }  /* (1 + 1) + (2^24 + 1), the last leaf short */
    };
    s = (struct rn_linear_shape){ 0, 1, 1 };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        s.N = row[i].N;
        fill(feature, 32, s.N == 8 ? 1 : 0), fill(dy, 32, 1);
        for (int leaf = 0; 8 * leaf < s.N; leaf++) feature[8 * leaf] = row[i].at[leaf];
        ops->linear_backward_weights(NULL, &dw, &db, feature, dy, &s, scratch);
        CHECK_MSG(dw == row[i].want, "row %zu: dw is %a", i, (double)dw);
        CHECK(db == (float)s.N);
        ops->linear_backward_weights(NULL, &dw, &db, dy, feature, &s, scratch);
        CHECK_MSG(db == row[i].want, "row %zu: db is %a", i, (double)db);
    }
}

static void test_linear(void)
{
    const struct rn_linear_shape s = { 2, 3, 2 };
    const float x[6] = { 1, 2, 3, 4, 5, 6 }, w[6] = { 1, 0, -1, 2, 1, 0 }, bias[2] = { 10, 20 };
    const float dy[4] = { 1, 2, 0, 3 };
    const float want_y[4] = { 8, 24, 8, 33 }, want_dx[6] = { 5, 2, -1, 6, 3, 0 };
    const float want_dw[6] = { 1, 2, 3, 14, 19, 24 }, want_db[2] = { 1, 5 };
    float y[4], dx[6], dw[6], db[2];
    CHECK(ops->linear_workspace(NULL, &s) <= sizeof scratch);
    ops->linear_forward(NULL, y, x, w, bias, &s, scratch);
    check_bits("linear", y, want_y, 4);
    ops->linear_backward_data(NULL, dx, dy, w, &s, scratch);
    check_bits("linear, data gradient", dx, want_dx, 6);
    ops->linear_backward_weights(NULL, dw, db, x, dy, &s, scratch);
    check_bits("linear, weight gradient", dw, want_dw, 6);
    check_bits("linear, bias gradient", db, want_db, 2);
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_table),
    RN_TEST_ROW(test_device),
    RN_TEST_ROW(test_store),
    RN_TEST_ROW(test_relu_and_nan),
    RN_TEST_ROW(test_groups),
    RN_TEST_ROW(test_tree),
    RN_TEST_ROW(test_conv_ones),
    RN_TEST_ROW(test_conv_by_hand),
    RN_TEST_ROW(test_conv_adjoint),
    RN_TEST_ROW(test_order_of_additions),
    RN_TEST_ROW(test_linear),
};

int main(int argc, char **argv)
{
    return rn_test_main("test_ref", tests, RN_COUNT(tests), argc, argv);
}
