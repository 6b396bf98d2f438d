/*
 * test_net.c - architectures, their parameter counts, and training: reference and CPU table, any
 * number of threads, and activations recomputed or not give the same bits.  Plans are test_plan.c's,
 * inference test_infer.c's.
 */
#include "tests/test_net.h"

#include "base/mem.h"
#include "net/graph.h"

/* -- architectures ----------------------------------------------------------------------------- */

/* torchvision's published parameter counts, and the CIFAR-10 sheet's and the 224 baseline's. */
static void test_parameter_counts(void)
{
    static const struct { const char *name; enum rn_stem stem; int classes; size_t want; } row[] = {
        { "resnet18", RN_STEM_IMAGENET, 1000, 11689512 },
        { "resnet18", RN_STEM_IMAGENET, 2, 11177538 },
        { "resnet18", RN_STEM_CIFAR, 10, 11173962 },
        { "resnet34", RN_STEM_IMAGENET, 1000, 21797672 },
        { "resnet50", RN_STEM_IMAGENET, 1000, 25557032 },
        { "resnet101", RN_STEM_IMAGENET, 1000, 44549160 },
        { "resnet152", RN_STEM_IMAGENET, 1000, 60192808 },
        { "resnext50_32x4d", RN_STEM_IMAGENET, 1000, 25028904 },
        { "resnext101_32x8d", RN_STEM_IMAGENET, 1000, 88791336 },
        { "resnext101_64x4d", RN_STEM_IMAGENET, 1000, 83455272 },
        { "wide_resnet50_2", RN_STEM_IMAGENET, 1000, 68883240 },
        { "wide_resnet101_2", RN_STEM_IMAGENET, 1000, 126886696 },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        struct rn_net_config c = config_of(row[i].name, row[i].stem, row[i].classes, 224, 1);
        struct rn_graph g;
        CHECK_OK(rn_graph_build(&g, &c));
        CHECK_MSG(g.trainable == row[i].want, "%s: %zu parameters", row[i].name, g.trainable);
        rn_graph_free(&g);
    }
}

/* Multiply-accumulates of convolution and linear layers, one image. */
static void test_macs(void)
{
    static const struct { const char *name; enum rn_stem stem; int classes, size; int64_t want; } row[] = {
        { "resnet18", RN_STEM_IMAGENET, 1000, 224, 1814073344 },
        { "resnet18", RN_STEM_CIFAR, 10, 32, 555422720 },
        { "resnet50", RN_STEM_IMAGENET, 1000, 224, 4089184256 },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        struct rn_net_config c = config_of(row[i].name, row[i].stem, row[i].classes, row[i].size, 1);
        struct rn_graph g;
        CHECK_OK(rn_graph_build(&g, &c));
        CHECK_MSG(g.macs == row[i].want, "%s: %" PRId64 " MACs", row[i].name, g.macs);
        rn_graph_free(&g);
    }
}

static int shape_in_graph(void *arg, const char *name, int64_t dims[8])
{
    const struct rn_graph *g = arg;
    for (int i = 0; i < g->params; i++) {
        if (strcmp(g->param[i].name, name) != 0) continue;
        for (int d = 0; d < g->param[i].dims; d++) dims[d] = g->param[i].shape[d];
        return g->param[i].dims;
    }
    return 0;
}

/* Every architecture and stem is read back from its own shapes. */
static void test_arch_from_shapes(void)
{
    size_t count;
    const char *const *name = rn_arch_names(&count);
    for (size_t i = 0; i < count; i++) {
        for (int stem = RN_STEM_IMAGENET; stem <= RN_STEM_DEEP; stem++) {
            struct rn_net_config c = config_of(name[i], (enum rn_stem)stem, 7, 32, 1);
            struct rn_graph g;
            struct rn_arch back;
            CHECK_OK(rn_graph_build(&g, &c));
            CHECK_OK(rn_arch_from_shapes(&back, (enum rn_stem)stem, shape_in_graph, &g));
            CHECK_MSG(strcmp(back.name, name[i]) == 0 && back.stem == (enum rn_stem)stem &&
                      back.classes == 7, "%s read back as %s", name[i], back.name);
            rn_graph_free(&g);
        }
    }
}

/* A pruned net: odd widths everywhere; and the first tensor that does not fit is named. */
static void test_arch_of_odd_widths(void)
{
    struct rn_net_config c = config_of("resnet18", RN_STEM_CIFAR_POOL, 10, 32, 1);
    c.arch.stem_width[0] = 12;
    static const int width[4] = { 12, 25, 51, 102 };
    for (int i = 0; i < c.arch.blocks; i++) {
        struct rn_block *b = &c.arch.block[i];
        b->mid = b->mid2 = b->out = width[b->stage];
    }
    c.arch.features = 102;
    struct rn_graph g;
    struct rn_arch back;
    CHECK_OK(rn_graph_build(&g, &c));
    CHECK_OK(rn_arch_from_shapes(&back, RN_STEM_CIFAR_POOL, shape_in_graph, &g));
    CHECK(strcmp(back.name, "custom") == 0 && back.features == 102 && back.block[3].mid == 25);

    for (int i = 0; i < g.params; i++)
        if (strcmp(g.param[i].name, "layer3.0.downsample.0.weight") == 0) g.param[i].shape[1] = 24;
    CHECK(rn_arch_from_shapes(&back, RN_STEM_CIFAR_POOL, shape_in_graph, &g) == RN_EINPUT);
    CHECK_MSG(strstr(rn_error(), "layer3.0.downsample.0.weight"), "message: %s", rn_error());
    rn_graph_free(&g);
}

static void test_bad_configurations(void)
{
    struct rn_arch a;
    struct rn_graph g;
    CHECK(rn_arch_named(&a, "resnet19", RN_STEM_CIFAR, 10) == RN_EUSAGE);
    CHECK(strstr(rn_error(), "resnet18"));
    CHECK(rn_arch_named(&a, "resnet18", RN_STEM_CIFAR, 1) == RN_EUSAGE);
    struct rn_net_config c = config_of("resnet18", RN_STEM_CIFAR, 10, 32, 1);
    c.image_size = RN_LEAST_SIZE - 1;
    CHECK(rn_graph_build(&g, &c) == RN_EUSAGE);
    c.image_size = 8192;
    c.batch = 4096;
    CHECK_OK(rn_graph_build(&g, &c));
    CHECK(rn_graph_check(&g, 4096) == RN_EUSAGE);
    rn_graph_free(&g);
    c.image_size = 64;
    c.batch = 1;
    c.upsample = 32;
    CHECK(rn_graph_build(&g, &c) == RN_EUSAGE);
}

/* -- execution --------------------------------------------------------------------------------- */

struct step_result { uint64_t weights; double loss; float logits[6 * 5]; float eval[6 * 5]; };

/* Two steps of plain gradient descent and an evaluation. */
static void run_steps(struct step_result *r, const struct rn_net_config *c, const struct rn_ops *ops,
                      int threads, int n, int eval_n)
{
    const struct rn_device_options o = { .threads = threads };
    const int32_t labels[6] = { 0, 1, 2, 3, 4, 0 };
    const struct rn_sgd sgd = { .lr = 0.05 };
    static float images[6 * 3 * 32 * 32];
    double loss[6];
    struct rn_net *net;
    void *dev, *velocity;

    test_fill(images, RN_COUNT(images), 0);
    CHECK_OK(ops->open(&dev, &o));
    CHECK_OK(rn_net_create(&net, c, ops, dev));
    rn_net_init(net, 42);
    size_t count = rn_net_trainable_count(net);
    CHECK_OK(ops->alloc(dev, &velocity, count * sizeof(float)));
    for (int step = 0; step < 2; step++) {
        rn_net_forward(net, images, n, true);
        rn_net_loss(net, loss, labels, n, 0.1);
        rn_net_backward(net);
        CHECK(rn_net_gradients_finite(net));
        ops->sgd_update(dev, rn_net_weights(net), velocity, rn_net_gradients(net), count, &sgd);
        rn_net_commit_statistics(net);
    }
    r->loss = loss[0];
    r->weights = rn_net_hash(net);
    rn_net_logits(net, r->logits);
    for (int i = 0; i < n; i += eval_n) {
        int m = RN_MIN(eval_n, n - i);
        rn_net_forward(net, images + (size_t)i * 3 * 32 * 32, m, false);
        rn_net_logits(net, r->eval + i * 5);
    }
    CHECK(rn_net_find_not_finite(net, images, n) == NULL);
    ops->release(dev, velocity);
    rn_net_free(net);
    ops->close(dev);
}

static void check_equal(const struct step_result *got, const struct step_result *want, int threads,
                        int n)
{
    CHECK_MSG(got->weights == want->weights, "%d threads: weights %016" PRIx64 ", expected %016" PRIx64,
              threads, got->weights, want->weights);
    CHECK(got->loss == want->loss);
    check_bits("training logits", got->logits, want->logits, (size_t)n * 5);
    check_bits("evaluation logits", got->eval, want->eval, (size_t)n * 5);
}

static void check_same(const struct rn_net_config *c, int n)
{
    struct step_result want, got;
    run_steps(&want, c, &rn_ops_ref, 1, n, n);
    static const int threads[] = { 1, 2, 3, 6, 8 };
    for (size_t t = 0; t < RN_COUNT(threads); t++) {
        run_steps(&got, c, &rn_ops_cpu, threads[t], n, t % 2 ? 1 : 4);
        check_equal(&got, &want, threads[t], n);
    }
}

static void test_same_bits(void)
{
    struct rn_net_config c = small(false, RN_STEM_IMAGENET, 0);
    check_same(&c, 6);
    check_same(&c, 5); /* a batch smaller than the plan's */
    c = small(true, RN_STEM_DEEP, 0);
    check_same(&c, 6);
    c = small(false, RN_STEM_CIFAR_POOL, 48);
    check_same(&c, 2);
}

/* Blocks that run forward again in the backward pass, on both tables. */
static void test_checkpoints_change_no_bit(void)
{
    for (int stem = RN_STEM_IMAGENET; stem <= RN_STEM_DEEP; stem++) {
        int upsample = stem == RN_STEM_3X3S2 ? 40 : 0;
        struct rn_net_config c = small(stem % 2 == 0, (enum rn_stem)stem, upsample);
        struct step_result want, got;
        run_steps(&want, &c, &rn_ops_cpu, 2, 5, 5);
        c.checkpoint = true;
        run_steps(&got, &c, &rn_ops_cpu, 2, 5, 5);
        check_equal(&got, &want, 2, 5);
        run_steps(&got, &c, &rn_ops_ref, 1, 5, 5);
        check_equal(&got, &want, 1, 5);
    }
}

/* A NaN in one weight is found in the layer that has it. */
static void test_not_finite_is_named(void)
{
    const struct rn_net_config c = small(false, RN_STEM_3X3S2, 0);
    const struct rn_device_options o = { .threads = 1 };
    static float images[6 * 3 * 32 * 32];
    const struct rn_param *row;
    struct rn_net *net;
    void *dev;

    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK_OK(rn_net_create(&net, &c, &rn_ops_cpu, dev));
    rn_net_init(net, 1);
    for (size_t i = 0; i < RN_COUNT(images); i++) images[i] = (float)(i % 7) - 3.0f;
    CHECK(rn_net_find_not_finite(net, images, 4) == NULL);
    size_t rows = rn_net_params(net, &row);
    for (size_t i = 0; i < rows; i++) {
        if (strcmp(row[i].name, "layer2.0.conv2.weight") != 0) continue;
        float *w = rn_alloc_array(row[i].count, sizeof *w);
        rn_net_get(net, i, w);
        w[3] = rn_float(0x7fc00000u);
        rn_net_set(net, i, w);
        rn_free(w);
    }
    const char *where = rn_net_find_not_finite(net, images, 4);
    CHECK_MSG(where && strcmp(where, "layer2.0.conv2") == 0, "found in %s", where ? where : "nothing");
    rn_net_free(net);
    rn_ops_cpu.close(dev);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_parameter_counts), RN_TEST_ROW(test_macs), RN_TEST_ROW(test_arch_from_shapes),
        RN_TEST_ROW(test_arch_of_odd_widths), RN_TEST_ROW(test_bad_configurations),
        RN_TEST_ROW(test_same_bits), RN_TEST_ROW(test_checkpoints_change_no_bit),
        RN_TEST_ROW(test_not_finite_is_named),
    };
    return rn_test_main("test_net", row, RN_COUNT(row), argc, argv);
}
