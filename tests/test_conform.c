/* test_conform.c - the judges judged: backends that are refused, cases that cover the table, gradients that
 * are wrong. */
#include "tests/test_conform.h"

#include "conform/small_net.h"
#include "ref/winograd.h"

/* -- finding backends -------------------------------------------------------------------------- */

static void test_find(void)
{
    const struct rn_ops *ops = NULL;
    CHECK_OK(rn_backend_find(&ops, "ref", NULL));
    CHECK(ops == &rn_ops_ref);
    CHECK_OK(rn_backend_find(&ops, "cpu", NULL));
    CHECK(ops == &rn_ops_cpu);
    if (*rn_cuda_build()) CHECK(rn_backend_find(&ops, "cuda", NULL) == RN_OK);
    else CHECK(rn_backend_find(&ops, "cuda", NULL) == RN_EFAIL && strstr(rn_error(), "not in this build"));
    CHECK(rn_backend_find(&ops, "cqu", NULL) == RN_EUSAGE && strstr(rn_error(), "cpu"));
    CHECK(rn_backend_find(&ops, "", NULL) == RN_EUSAGE);
    CHECK(rn_backend_find(&ops, "none.so", NULL) == RN_EINPUT && strstr(rn_error(), "none.so"));
    CHECK(rn_backend_find(&ops, "tests/test.h", NULL) == RN_EINPUT);
}

static void test_holes(void)
{
    struct rn_ops ops = rn_ops_ref;
    CHECK_OK(rn_backend_validate(&ops, "table"));
#define WITHOUT(slot) \
    ops = rn_ops_ref; \
    ops.slot = NULL; \
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT && strstr(rn_error(), " " #slot " ")); \
    CHECK(strcmp(rn_slot_name(RN_SLOT_##slot), #slot) == 0);
    RN_SLOTS(WITHOUT)
#undef WITHOUT
    ops = rn_ops_ref;
    ops.version++;
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT && strstr(rn_error(), "version"));
    ops = rn_ops_ref;
    ops.struct_bytes -= 8;
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT && strstr(rn_error(), "bytes"));
    ops = rn_ops_ref;
    ops.name = NULL;
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT);
    CHECK(rn_backend_validate(NULL, "table") == RN_EINPUT);
}

/* -- cases ------------------------------------------------------------------------------------- */

static void test_cases_cover_every_slot(void)
{
    size_t count;
    bool covered[RN_SLOT_COUNT] = { false };
    const struct rn_case *cases = rn_cases(&count);
    CHECK(count >= 60);
    for (size_t i = 0; i < count; i++) {
        struct rn_call call;
        covered[cases[i].slot] = true;
        CHECK_OK(rn_call_open(&call, &cases[i]));
        CHECK(call.count >= 2);
        rn_call_close(&call);
    }
#define COVERED(slot) CHECK_MSG(covered[RN_SLOT_##slot], "no case for slot %s", #slot);
    RN_COMPUTE_SLOTS(COVERED)
#undef COVERED
    CHECK(rn_alloc_live() == 0);
}

/* Every pass that fp32-winograd computes otherwise is met by a case, and so is the small net. */
static void test_cases_cover_winograd(void)
{
    size_t count;
    bool met[RN_SLOT_COUNT] = { false };
    struct rn_small_plan plan;
    int layers = 0;
    const struct rn_case *cases = rn_cases(&count);
    for (size_t i = 0; i < count; i++) {
        struct rn_call call;
        CHECK_OK(rn_call_open(&call, &cases[i]));
        met[cases[i].slot] |= rn_call_winograd(&call, "fp32-winograd");
        CHECK(!rn_call_winograd(&call, "fp32"));
        rn_call_close(&call);
    }
    CHECK(met[RN_SLOT_conv2d_forward] && met[RN_SLOT_conv2d_bias] && met[RN_SLOT_conv2d_bn]);
    CHECK(met[RN_SLOT_conv2d_bn_train] && met[RN_SLOT_conv2d_backward_data]);
    CHECK(met[RN_SLOT_conv2d_backward_weights]);
    rn_small_plan(&plan);
    for (int i = 1; i < RN_SMALL_TENSORS; i++) {
        struct rn_conv_shape s = rn_small_conv(&plan, i);
        layers += plan.layer[i].kind == RN_SMALL_CONV && rn_winograd_applies(&s, RN_WINOGRAD_FORWARD);
    }
    CHECK(layers == 2);
}

/* Outputs are poisoned: a slot that leaves an element out cannot pass. */
static void forgetful_add(void *dev, void *dst, const void *a, const void *b, size_t count)
{
    rn_ops_ref.add(dev, dst, a, b, count - 1);
}

static void test_outputs_are_poisoned(void)
{
    const struct rn_case c = { RN_SLOT_add, "n1c2h3w3", 0 };
    struct rn_ops ops = rn_ops_ref;
    struct rn_call call;
    void *dev = open_ref();
    ops.add = forgetful_add;
    CHECK_OK(rn_call_open(&call, &c));
    CHECK_OK(rn_call_inputs(&call, &ops, dev, 0));
    CHECK_OK(rn_call_run(&call, &ops, dev));
    const float *dst = rn_call_operand(&call, "dst")->host;
    CHECK(dst[0] == dst[0] && dst[17] != dst[17]);
    rn_call_close(&call);
    ops.close(dev);
}

static void fill_channels(struct rn_call *call, const char *name, float even, float odd)
{
    struct rn_operand *o = rn_call_operand(call, name);
    for (size_t i = 0; i < o->count; i++) ((float *)o->host)[i] = i % 2 ? odd : even;
}

/* dbeta of a layer whose y is half of the least normal number at even positions: it was stored as +0, so
 * its gradient is stopped, and only the ones at odd positions are counted. */
static float masked_sum(const struct rn_ops *ops, const char *isa)
{
    const struct rn_case c = { RN_SLOT_batchnorm_backward, "n1c19h2w4", RN_V_RELU };
    const struct rn_device_options options = { .threads = 1, .isa = isa };
    const float least = 0x1p-126f;
    struct rn_call call;
    float sum = 4;
    void *dev = NULL;
    if (ops->open(&dev, &options)) return sum; /* this machine has not that instruction set */
    CHECK_OK(rn_call_open(&call, &c));
    fill_channels(&call, "src", -least, 0);
    fill_channels(&call, "ddst", 1, 1);
    fill_channels(&call, "gamma", 1, 1);
    fill_channels(&call, "beta", 1.5f * least, 1.5f * least);
    double *saved = rn_call_operand(&call, "saved")->host;
    for (int i = 0; i < 19; i++) saved[i] = 0, saved[19 + i] = 1 - 1e-5;
    CHECK_OK(rn_call_run(&call, ops, dev));
    const float *dbeta = rn_call_operand(&call, "dbeta")->host;
    for (int i = 0; i < 19; i++)
        if (dbeta[i] != 4) sum = dbeta[i];
    rn_call_close(&call);
    ops->close(dev);
    return sum;
}

static void test_mask_of_a_subnormal(void)
{
    static const char *const isa[] = { "portable", "avx2", "avx512", "neon" };
    CHECK(masked_sum(&rn_ops_ref, "") == 4);
    for (size_t i = 0; i < RN_COUNT(isa); i++)
        CHECK_MSG(masked_sum(&rn_ops_cpu, isa[i]) == 4, "%s: dbeta is %g", isa[i],
                  (double)masked_sum(&rn_ops_cpu, isa[i]));
}

/* Under bf16 every element of a tensor that any case computes is one of bf16. */
static void test_elements_of_bf16(void)
{
    size_t count;
    const struct rn_case *cases = rn_cases(&count);
    void *dev = open_numerics("bf16");
    for (size_t i = 0; i < count; i++) {
        struct rn_call call;
        CHECK_OK(rn_call_open(&call, &cases[i]));
        CHECK_OK(rn_call_inputs(&call, &rn_ops_ref, dev, 0));
        CHECK_OK(rn_call_run(&call, &rn_ops_ref, dev));
        for (int k = 0; k < call.count; k++) {
            const struct rn_operand *o = &call.item[k];
            size_t wrong = 0;
            for (size_t e = 0; e < o->count && o->map && o->output && o->dtype == RN_F32; e++) {
                float x = ((const float *)o->host)[e];
                wrong += x == x && rn_bits(rn_round_bf16(x)) != rn_bits(x);
            }
            CHECK_MSG(!wrong, "%s %s %s: %zu elements of %s", rn_case_op(cases[i].slot),
                      rn_case_direction(cases[i].slot), cases[i].geometry, wrong, o->name);
        }
        rn_call_close(&call);
    }
    rn_ops_ref.close(dev);
}

static void test_difference(void)
{
    struct rn_difference d;
    const float a[] = { 1, 2, 3 }, b[] = { 1, rn_float(rn_bits(2) + 3), 3 };
    const float tiny[] = { rn_float(1) }, minus[] = { rn_float(0x80000002u) };
    rn_difference(&d, RN_F32, a, a, 3);
    CHECK(d.same && d.error == 0);
    rn_difference(&d, RN_F32, b, a, 3);
    CHECK(!d.same && d.index == 1 && strstr(d.text, "3 ulps") && strstr(d.text, "40000003"));
    CHECK(d.error > 1e-7 && d.error < 1e-6);
    rn_difference(&d, RN_F32, tiny, minus, 1);
    CHECK(strstr(d.text, "3 ulps"));
    const double x[] = { NAN }, y[] = { 1 };
    rn_difference(&d, RN_F64, x, y, 1);
    CHECK(!d.same && !(d.error <= 1e300));
}

/* -- gradients --------------------------------------------------------------------------------- */

static void check_gradients(const char *numerics)
{
    struct seen seen = { 0 };
    void *dev = open_numerics(numerics);
    CHECK_OK(rn_gradcheck(&rn_ops_ref, dev, numerics, see, &seen));
    CHECK(seen.rows >= 100 && seen.failed == 0);
    rn_ops_ref.close(dev);
    CHECK(rn_alloc_live() == 0);
}

static void test_gradients_of_the_reference(void)
{
    check_gradients("fp32");
    check_gradients("bf16");
}

static void check_mistakes(const char *numerics)
{
    for (int i = 0; i < broken_count; i++) {
        struct rn_ops ops = broken_table(i);
        struct seen seen = { 0 };
        void *dev = open_numerics(numerics);
        rn_status status = rn_gradcheck(&ops, dev, numerics, see, &seen);
        CHECK_MSG(status == RN_ECHECK && seen.failed > 0, "broken %s passed", broken_names[i].name);
        CHECK_MSG(strncmp(seen.first, broken_names[i].op, strlen(broken_names[i].op)) == 0,
                  "broken %s was called %s", broken_names[i].name, seen.first);
        CHECK(strstr(rn_error(), broken_names[i].op));
        ops.close(dev);
    }
}

static void test_every_mistake_is_named(void)
{
    check_mistakes("fp32");
    check_mistakes("bf16");
}

/* A gradient of NaN must not slip through a comparison. */
static void nan_relu(void *dev, void *dsrc, const void *ddst, const void *dst, size_t count)
{
    rn_ops_ref.relu_backward(dev, dsrc, ddst, dst, count);
    ((float *)dsrc)[count / 2] = NAN;
}

static void test_nan_is_no_pass(void)
{
    struct rn_ops ops = rn_ops_ref;
    struct seen seen = { 0 };
    void *dev = open_ref();
    ops.relu_backward = nan_relu;
    CHECK(rn_gradcheck(&ops, dev, "fp32", see, &seen) == RN_ECHECK);
    CHECK(strcmp(seen.first, "relu dx") == 0);
    ops.close(dev);
}

static void test_no_memory(void)
{
    struct seen seen;
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n < 1500; n += 1 + n / 3) {
        void *dev = open_ref();
        rn_alloc_fail_at(n, true);
        rn_status status = rn_gradcheck(&rn_ops_ref, dev, "fp32", see, &seen);
        rn_alloc_fail_at(0, false);
        rn_ops_ref.close(dev);
        CHECK(status == RN_ENOMEM && rn_alloc_live() == live);
    }
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_find), RN_TEST_ROW(test_holes), RN_TEST_ROW(test_cases_cover_every_slot),
    RN_TEST_ROW(test_cases_cover_winograd), RN_TEST_ROW(test_outputs_are_poisoned),
    RN_TEST_ROW(test_mask_of_a_subnormal),
    RN_TEST_ROW(test_elements_of_bf16), RN_TEST_ROW(test_difference), RN_TEST_ROW(test_gradients_of_the_reference),
    RN_TEST_ROW(test_every_mistake_is_named), RN_TEST_ROW(test_nan_is_no_pass),
    RN_TEST_ROW(test_no_memory),
};

int main(int argc, char **argv)
{
    return rn_test_main("test_conform", tests, RN_COUNT(tests), argc, argv);
}
