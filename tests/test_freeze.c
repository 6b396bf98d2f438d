/*
 * test_freeze.c - frozen parameters in the backward pass: which steps are left, and that what is left has the bits
 * it has in a net without frozen parameters.
 */
#include "tests/test.h"

#include "base/mem.h"
#include "net/plan.h"

#include <string.h>

/* -- steps ------------------------------------------------------------------------------------- */

/* Backward steps of resnet18, counted by hand: 20 convolutions, each with a batch norm; the first has no data
 * gradient, and layer2, 3 and 4 have five convolutions, the third in the order of names of the first block being the
 * shortcut's. */
static const struct { const char *freeze; int weights, data, norms, pools; bool head, below; } expected[] = {
    { NULL, 20, 19, 20, 2, true, true },
    { "fc", 20, 19, 20, 2, false, true },
    { "conv1", 19, 19, 20, 2, true, true },
    { "conv1,bn1", 19, 18, 19, 1, true, true },
    { "layer2", 15, 19, 20, 2, true, true },
    { "layer2.0.conv1,fc.bias", 19, 19, 20, 2, true, true },
    { "conv1,bn1,layer1,layer2,layer3", 5, 3, 5, 1, true, true },
    { "conv1,bn1,layer1,layer2,layer3,layer4.0.conv,layer4.0.bn,layer4.1,fc", 1, 2, 4, 1, false, true },
    { "conv1,bn1,layer", 0, 0, 0, 0, true, false },
    { "conv1,bn1,layer,fc", 0, 0, 0, 0, false, false },
};

static int count_steps(const struct rn_plan *p, enum rn_step_kind kind)
{
    int count = 0;
    for (int i = 0; i < p->steps; i++) count += p->step[i].kind == kind;
    return count;
}

static const struct rn_plan_step *head_step(const struct rn_plan *p)
{
    for (int i = 0; i < p->steps; i++)
        if (p->step[i].kind == RN_STEP_LINEAR_BACK) return &p->step[i];
    return NULL;
}

static void test_steps(void)
{
    const struct rn_device_options o = { .threads = 1 };
    size_t all = 0;
    void *dev;
    CHECK_OK(rn_ops_ref.open(&dev, &o));
    for (size_t k = 0; k < RN_COUNT(expected); k++) {
        struct rn_net_config c = { .image_size = 64, .batch = 64, .eval_batch = 1, .freeze = expected[k].freeze };
        struct rn_graph g;
        struct rn_plan p;
        CHECK_OK(rn_arch_named(&c.arch, "resnet18", RN_STEM_IMAGENET, 10));
        CHECK_OK(rn_graph_build(&g, &c));
        const struct rn_plan_for want = { &g, &rn_ops_ref, dev, 64, false, false };
        CHECK_OK(rn_plan_training(&p, &want));
        const char *name = c.freeze ? c.freeze : "none";
        const int weights = count_steps(&p, RN_STEP_CONV_WEIGHTS), data = count_steps(&p, RN_STEP_CONV_DATA);
        const int norms = count_steps(&p, RN_STEP_BN_BACK);
        const int pools = count_steps(&p, RN_STEP_AVGPOOL_BACK) + count_steps(&p, RN_STEP_MAXPOOL_BACK);
        CHECK_MSG(weights == expected[k].weights && data == expected[k].data && norms == expected[k].norms &&
                  pools == expected[k].pools, "%s: %d weight gradients, %d data gradients, %d batch norms, %d pools",
                  name, weights, data, norms, pools);
        const struct rn_plan_step *head = head_step(&p);
        CHECK_MSG(!head == !(expected[k].head || expected[k].below), "%s: fc's step", name);
        if (head) CHECK_MSG((head->in != RN_NONE) == expected[k].head && (head->din != RN_NONE) == expected[k].below,
                            "%s: what fc's step makes", name);
        if (!k) all = p.bytes;
        CHECK_MSG(p.bytes <= all, "%s: %zu bytes, %zu without frozen parameters", name, p.bytes, all);
        if (!data) CHECK_MSG(2 * p.bytes < all, "%s: %zu bytes of %zu: activations are kept for nobody", name,
                             p.bytes, all);
        rn_plan_free(&p);
        rn_graph_free(&g);
    }
    rn_ops_ref.close(dev);
}

/* -- bits -------------------------------------------------------------------------------------- */

enum { BATCH = 2, SIDE = 32, CLASSES = 5, PIXELS = 3 * SIDE * SIDE };

struct pass { float *gradients, logits[BATCH * CLASSES]; double loss[BATCH]; size_t count; };

/* Two training passes, so that a buffer that holds the first one's numbers would be seen. */
static struct pass run_pass(const struct rn_net_config *c, struct rn_net **net, const struct rn_ops *ops, void *dev)
{
    static float images[2 * BATCH * PIXELS];
    const int32_t labels[2 * BATCH] = { 1, 4, 0, 3 };
    struct pass r = {0};
    CHECK_OK(rn_net_create(net, c, ops, dev));
    rn_net_init(*net, 3);
    for (int i = 0; i < 2 * BATCH * PIXELS; i++) images[i] = (float)(i * 37 % 101) / 50 - 1 + (float)(i % 7) / 9;
    for (int k = 0; k < 2; k++) {
        rn_net_forward(*net, images + k * BATCH * PIXELS, BATCH, true);
        rn_net_loss(*net, r.loss, labels + k * BATCH, BATCH, 0.1);
        rn_net_logits(*net, r.logits);
        rn_net_backward(*net);
        rn_net_commit_statistics(*net);
    }
    r.count = rn_net_trainable_count(*net);
    r.gradients = rn_alloc_array(r.count, sizeof *r.gradients);
    CHECK(r.gradients);
    memcpy(r.gradients, rn_net_gradients(*net), r.count * sizeof *r.gradients);
    return r;
}

static bool all_zero(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (x[i] != 0) return false;
    return true;
}

/* Gradients of what trains: as without frozen parameters.  Of frozen convolutions: never made. */
static void compare(struct rn_net *net, const struct pass *got, const struct pass *whole, const char *name)
{
    const struct rn_param *p;
    const size_t rows = rn_net_params(net, &p);
    CHECK_MSG(!memcmp(got->logits, whole->logits, sizeof got->logits), "%s: logits", name);
    CHECK_MSG(!memcmp(got->loss, whole->loss, sizeof got->loss), "%s: loss", name);
    for (size_t i = 0; i < rows; i++) {
        if (!p[i].trainable) continue;
        const float *g = got->gradients + p[i].offset, *w = whole->gradients + p[i].offset;
        CHECK_MSG(!all_zero(w, p[i].count), "%s has a gradient", p[i].name);
        if (!p[i].frozen) CHECK_MSG(!memcmp(g, w, p[i].count * sizeof *g), "%s frozen: %s", name, p[i].name);
        else if (p[i].kind == RN_PARAM_CONV) CHECK_MSG(all_zero(g, p[i].count), "%s: %s was made", name, p[i].name);
    }
}

/* resnet18 with a sixteenth of its channels. */
static struct rn_arch narrow_arch(void)
{
    struct rn_arch a;
    CHECK_OK(rn_arch_named(&a, "resnet18", RN_STEM_IMAGENET, CLASSES));
    a.stem_width[0] /= 16;
    a.features /= 16;
    for (int i = 0; i < a.blocks; i++) {
        a.block[i].mid /= 16;
        a.block[i].mid2 /= 16;
        a.block[i].out /= 16;
    }
    return a;
}

static void check_backend(const struct rn_ops *ops)
{
    const struct rn_device_options o = { .threads = 2 };
    void *dev;
    CHECK_OK(ops->open(&dev, &o));
    for (int kind = 0; kind < 4; kind++) {
        struct rn_net_config c = { .arch = narrow_arch(), .image_size = SIDE, .batch = BATCH, .eval_batch = 1,
                                   .checkpoint = kind & 1, .freeze_bn = kind & 2 };
        struct rn_net *net;
        struct pass whole = run_pass(&c, &net, ops, dev);
        rn_net_free(net);
        for (size_t k = 1; k < RN_COUNT(expected); k++) {
            c.freeze = expected[k].freeze;
            struct pass got = run_pass(&c, &net, ops, dev);
            compare(net, &got, &whole, c.freeze);
            rn_net_free(net);
            rn_free(got.gradients);
        }
        rn_free(whole.gradients);
    }
    ops->close(dev);
}

static void test_bits(void)
{
    check_backend(&rn_ops_cpu);
    check_backend(&rn_ops_cpu_bf16);
    check_backend(&rn_ops_ref);
}

/* -- names ------------------------------------------------------------------------------------- */

static void test_names(void)
{
    static const struct { const char *list, *stray; } rows[] = {
        { NULL, NULL }, { "", NULL }, { "conv1,,bn1.weight,", NULL }, { "conv1,layer5,x", "layer5" },
        { "bn1.running_mean", "bn1.running_mean" }, /* a buffer has no gradient anyway */
        { "layer1.0.conv", NULL }, { "fc.weightx", "fc.weightx" },
    };
    struct rn_net_config c = { .image_size = SIDE, .eval_batch = 1 };
    struct rn_graph g;
    CHECK_OK(rn_arch_named(&c.arch, "resnet18", RN_STEM_IMAGENET, CLASSES));
    CHECK_OK(rn_graph_build(&g, &c));
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        size_t length = 0;
        const char *stray = rn_freeze_stray(&length, rows[i].list, g.param, (size_t)g.params);
        CHECK_MSG(!stray == !rows[i].stray, "%s", rows[i].list ? rows[i].list : "NULL");
        if (stray && rows[i].stray)
            CHECK_MSG(length == strlen(rows[i].stray) && !strncmp(stray, rows[i].stray, length), "%s", stray);
    }
    rn_graph_free(&g);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_steps), RN_TEST_ROW(test_bits), RN_TEST_ROW(test_names),
    };
    return rn_test_main("test_freeze", row, RN_COUNT(row), argc, argv);
}
