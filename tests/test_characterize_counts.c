/*
 * test_characterize_counts.c - one number three ways: from the graph (src/analyze), from a formula over the widths
 * of the architecture, and from the calls that a net makes on an op table that only counts.
 */
#define _DEFAULT_SOURCE /* for test_counting.h */
#include "tests/test_net.h"

#include "analyze/counts.h"
#include "tests/test_counting.h"

/* -- the formula ----------------------------------------------------------------------------------- */

/* Sums over a net for one image; from rn_arch alone. */
struct formula {
    int64_t macs, first, norms, relus, sums, forks, pooled, map, parameters, buffers;
    int convs, blocks;
};

static int halved(int size, int window) { return (size + 2 * (window / 2) - window) / 2 + 1; }

/* A convolution with its batch norm: square maps of `size` afterwards. */
static void add_conv(struct formula *f, int in, int out, int window, int groups, int size)
{
    const int64_t weights = (int64_t)out * (in / groups) * window * window, map = (int64_t)size * size;
    f->macs += weights * map;
    if (f->convs++ == 0) f->first = weights * map;
    f->norms += out * map;
    f->parameters += weights + 2 * out;
    f->buffers += 2 * out;
}

static int add_stem(struct formula *f, const struct rn_arch *a, int size)
{
    const bool deep = a->stem == RN_STEM_DEEP;
    int in = 3;
    for (int i = 0; i < (deep ? 3 : 1); i++) {
        const int window = a->stem == RN_STEM_IMAGENET ? 7 : 3;
        if (i == 0 && a->stem != RN_STEM_CIFAR && a->stem != RN_STEM_CIFAR_POOL) size = halved(size, window);
        add_conv(f, in, a->stem_width[i], window, 1, size);
        in = a->stem_width[i];
        f->relus += (int64_t)in * size * size;
    }
    if (a->stem == RN_STEM_CIFAR) return size;
    size = halved(size, 3);
    f->pooled = (int64_t)in * size * size;
    return size;
}

static struct formula formula_of(const struct rn_net_config *c)
{
    const struct rn_arch *a = &c->arch;
    struct formula f = { .blocks = a->blocks };
    int size = add_stem(&f, a, c->upsample ? c->upsample : c->image_size);
    int in = a->stem_width[a->stem == RN_STEM_DEEP ? 2 : 0];
    for (int i = 0; i < a->blocks; i++) {
        const struct rn_block *b = &a->block[i];
        const int before = size, after = b->stride == 2 ? halved(size, 3) : size;
        f.forks += (int64_t)in * before * before;
        if (a->bottleneck) {
            add_conv(&f, in, b->mid, 1, 1, before);
            add_conv(&f, b->mid, b->mid2, 3, b->groups, after);
            add_conv(&f, b->mid2, b->out, 1, 1, after);
            f.relus += (int64_t)b->mid * before * before + (int64_t)b->mid2 * after * after;
        } else {
            add_conv(&f, in, b->mid, 3, 1, after);
            add_conv(&f, b->mid, b->out, 3, 1, after);
            f.relus += (int64_t)b->mid * after * after;
        }
        if (b->project) add_conv(&f, in, b->out, 1, 1, after);
        f.sums += (int64_t)b->out * after * after;
        size = after;
        in = b->out;
    }
    f.relus += f.sums;
    f.map = (int64_t)in * size * size;
    f.macs += (int64_t)a->features * a->classes;
    f.parameters += ((int64_t)a->features + 1) * a->classes;
    return f;
}

/* -- the three ------------------------------------------------------------------------------------- */

#define BATCH 3

static void count_calls(struct counting *seen, const struct rn_net_config *config, bool training)
{
    struct rn_net_config c = *config;
    void *dev;
    struct rn_net *net;
    double l[BATCH] = { 0 };
    const int32_t label[BATCH] = { 0 };
    float *images = calloc((size_t)BATCH * 3 * (size_t)(c.image_size * c.image_size), sizeof *images);
    CHECK(images);
    c.batch = training ? BATCH : 0;
    c.eval_batch = BATCH;
    CHECK_OK(counting_ops.open(&dev, NULL));
    CHECK_OK(rn_net_create(&net, &c, &counting_ops, dev));
    counting_of(dev)->forward = training ? COUNT_FORWARD : COUNT_INFERENCE;
    rn_net_forward(net, images, BATCH, training);
    if (training) {
        const struct rn_sgd hp = { .lr = 0.1 };
        rn_net_loss(net, l, label, BATCH, 0);
        rn_net_backward(net);
        rn_net_commit_statistics(net);
        counting_ops.sgd_update(dev, rn_net_weights(net), NULL, rn_net_gradients(net),
                                rn_net_trainable_count(net), &hp);
    }
    *seen = *counting_of(dev);
    rn_net_free(net);
    counting_ops.close(dev);
    free(images);
}

/* What the graph says equals what the net asked for, pass by pass and kind by kind. */
static void check_calls(const char *what, const struct rn_counts *c, const struct counting *seen, enum rn_work work)
{
    const enum counted pass = (enum counted)work;
    const struct rn_work_counts *w = &c->work[work];
    const struct { const char *kind; int64_t graph, calls; } row[] = {
        { "MACs", w->macs, seen->of[pass].macs },
        { "conv2d", w->flops[RN_OP_CONV], seen->of[pass].conv },
        { "linear", w->flops[RN_OP_LINEAR], seen->of[pass].linear },
        { "bias", w->bias, seen->of[pass].bias },
        { "batch norm", w->flops[RN_OP_BN], seen->of[pass].bn },
        { "relu", w->flops[RN_OP_RELU], seen->of[pass].relu },
        { "add", w->flops[RN_OP_ADD], seen->of[pass].add },
        { "max-pool", w->flops[RN_OP_MAXPOOL], seen->of[pass].maxpool },
        { "average pool", w->flops[RN_OP_AVGPOOL], seen->of[pass].avgpool },
        { "resize", w->flops[RN_OP_RESIZE], seen->of[pass].resize },
        { "softmax", w->flops[RN_OP_SOFTMAX], seen->of[pass].softmax },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++)
        CHECK_MSG(BATCH * row[i].graph == row[i].calls, "%s, %s, %s: the graph says %" PRId64 ", the calls %" PRId64,
                  what, rn_work_name(work), row[i].kind, BATCH * row[i].graph, row[i].calls);
}

/* What the graph says equals the formula. */
static void check_formula(const char *what, const struct rn_counts *c, const struct rn_net_config *config)
{
    const struct formula f = formula_of(config);
    const struct rn_work_counts *w = c->work;
    const int64_t K = config->arch.classes, fc = 2 * (int64_t)config->arch.features * K;
    const int64_t resized = config->upsample ? 33 * (int64_t)config->upsample * config->upsample : 0;
    const struct { const char *name; int64_t got, want; } row[] = {
        { "MACs", w[RN_WORK_INFERENCE].macs, f.macs },
        { "MACs of the data gradient", w[RN_WORK_DATA].macs, f.macs - f.first },
        { "MACs of the weight gradient", w[RN_WORK_WEIGHTS].macs, f.macs },
        { "parameters", c->parameters, f.parameters },
        { "buffers", c->buffers, f.buffers },
        { "convolutions", c->of_kind[RN_OP_CONV], f.convs },
        { "additions", c->of_kind[RN_OP_ADD], f.blocks },
        { "inference", w[RN_WORK_INFERENCE].all,
          2 * f.macs + 2 * f.norms + f.relus + f.sums + 8 * f.pooled + f.map + K + resized },
        { "forward", w[RN_WORK_FORWARD].all,
          2 * f.macs + 6 * f.norms + f.relus + f.sums + 8 * f.pooled + f.map + K + resized + 4 * K + 2 },
        { "data gradient", w[RN_WORK_DATA].all, 2 * (f.macs - f.first) + 4 * f.norms + f.relus + f.forks + f.pooled +
          config->arch.features + 2 * K },
        { "weight gradient", w[RN_WORK_WEIGHTS].all, 2 * f.macs + 5 * f.norms + K },
        { "convolution and linear", w[RN_WORK_INFERENCE].conv_linear,
          w[RN_WORK_INFERENCE].flops[RN_OP_CONV] + fc },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++)
        CHECK_MSG(row[i].got == row[i].want, "%s, %s: %" PRId64 ", by the formula %" PRId64, what, row[i].name,
                  row[i].got, row[i].want);
}

static void check_net(const struct rn_net_config *config)
{
    struct rn_trace t;
    struct rn_counts c;
    struct counting training, inference;
    char what[80];
    snprintf(what, sizeof what, "%s %s %d", config->arch.name, rn_stem_name(config->arch.stem), config->image_size);
    CHECK_OK(rn_trace_build(&t, config));
    rn_count(&c, &t);
    count_calls(&training, config, true);
    count_calls(&inference, config, false);
    check_calls(what, &c, &inference, RN_WORK_INFERENCE);
    for (int work = RN_WORK_FORWARD; work < RN_WORKS; work++) check_calls(what, &c, &training, (enum rn_work)work);
    CHECK_MSG(training.updated == c.parameters, "%s: %" PRId64 " parameters updated", what, training.updated);
    CHECK(training.convolutions == c.of_kind[RN_OP_CONV]);
    CHECK(inference.convolutions % c.of_kind[RN_OP_CONV] == 0); /* large images come in parts */
    CHECK(c.work[RN_WORK_INFERENCE].macs == t.graph.macs);
    check_formula(what, &c, config);
    rn_trace_free(&t);
}

/* Every architecture and stem; sizes that no stride divides; classes that are no round number. */
static void test_three_ways(void)
{
    static const int size[] = { 224, 33, 45, 97, 64, 231, 32 };
    size_t count, n = 0;
    const char *const *name = rn_arch_names(&count);
    for (size_t i = 0; i < count; i++) {
        for (int stem = 0; stem <= RN_STEM_DEEP; stem++, n++) {
            struct rn_net_config c = config_of(name[i], (enum rn_stem)stem, n % 2 ? 1000 : 7,
                                               size[n % RN_COUNT(size)], 1);
            if (n % 5 == 3) c.upsample = c.image_size + 19;
            check_net(&c);
        }
    }
}

/* Groups that are not an architecture's own. */
static void test_groups(void)
{
    for (int stem = 0; stem <= RN_STEM_DEEP; stem++) {
        const struct rn_net_config c = small(true, (enum rn_stem)stem, stem % 2 ? 51 : 0);
        check_net(&c);
    }
}

/* -- numbers that are known ------------------------------------------------------------------------ */

static struct rn_counts counts_of(const char *arch, enum rn_stem stem, int classes, int size)
{
    const struct rn_net_config config = config_of(arch, stem, classes, size, 1);
    struct rn_trace t;
    struct rn_counts c = { .parameters = 0 };
    CHECK_OK(rn_trace_build(&t, &config));
    rn_count(&c, &t);
    rn_trace_free(&t);
    return c;
}

static void test_known(void)
{
    struct rn_counts c = counts_of("resnet18", RN_STEM_IMAGENET, 1000, 224);
    const struct rn_work_counts *w = &c.work[RN_WORK_INFERENCE];
    CHECK(w->macs == 1814073344 && w->conv_linear == 3628146688 && c.parameters == 11689512);
    CHECK(w->flops[RN_OP_BN] == 2 * 2483712 && w->flops[RN_OP_RELU] == 2308096 && w->flops[RN_OP_ADD] == 752640);
    CHECK(w->flops[RN_OP_MAXPOOL] == 8 * 200704 && w->flops[RN_OP_AVGPOOL] == 25088 && w->bias == 1000);
    CHECK(w->all == 3628146688 + 4967424 + 2308096 + 752640 + 1605632 + 25088 + 1000);
    CHECK(c.of_kind[RN_OP_CONV] == 20 && c.of_kind[RN_OP_BN] == 20 && c.of_kind[RN_OP_RELU] == 17 &&
          c.of_kind[RN_OP_ADD] == 8 && c.of_kind[RN_OP_LINEAR] == 1);
    c = counts_of("resnet18", RN_STEM_CIFAR, 10, 32);
    CHECK(c.work[RN_WORK_INFERENCE].macs == 555422720 && c.parameters == 11173962);
    CHECK(counts_of("resnet50", RN_STEM_IMAGENET, 1000, 224).work[RN_WORK_INFERENCE].macs == 4089184256);
    CHECK(counts_of("resnext50_32x4d", RN_STEM_IMAGENET, 1000, 224).work[RN_WORK_INFERENCE].macs == 4230479872);
}

/* -- names ----------------------------------------------------------------------------------------- */

/* Names and order are torch.fx's. */
static void test_names(void)
{
    static const char *const begin[] = { "input", "conv1", "bn1", "relu", "maxpool", "layer1_0_conv1", "layer1_0_bn1",
                                         "layer1_0_relu", "layer1_0_conv2", "layer1_0_bn2", "add",
                                         "layer1_0_relu_1", "layer1_1_conv1" };
    static const char *const projected[] = { "layer2_0_conv2", "layer2_0_bn2", "layer2_0_downsample_0",
                                             "layer2_0_downsample_1", "add_2", "layer2_0_relu_1" };
    const struct rn_net_config config = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 1);
    struct rn_trace t;
    CHECK_OK(rn_trace_build(&t, &config));
    for (size_t i = 0; i < RN_COUNT(begin); i++) CHECK_MSG(!strcmp(t.op[i].name, begin[i]), "%s", t.op[i].name);
    int at = 0;
    while (at < t.ops && strcmp(t.op[at].name, projected[0])) at++;
    CHECK(at + (int)RN_COUNT(projected) <= t.ops);
    for (size_t i = 0; i < RN_COUNT(projected); i++)
        CHECK_MSG(!strcmp(t.op[at + (int)i].name, projected[i]), "%s", t.op[at + (int)i].name);
    CHECK(!strcmp(t.op[t.ops - 1].name, "fc") && !strcmp(t.op[t.ops - 2].name, "flatten"));
    CHECK(t.op[at + 4].src[0] == at + 1 && t.op[at + 4].src[1] == at + 3);
    CHECK(!strcmp(t.op[t.op[at + 4].fork].name, "layer1_1_relu_1") && t.op[t.op[at + 4].fork].readers == 2);
    const int ops = t.ops;
    rn_trace_fold(&t);
    CHECK(t.ops == ops - 20 && !strcmp(t.op[2].name, "relu") && t.op[2].src[0] == 1);
    for (int i = 1; i < t.ops; i++) CHECK(t.op[i].src[0] >= 0 && t.op[i].src[0] < i && t.op[i].src[1] < i);
    rn_trace_free(&t);
}

static void test_refusals(void)
{
    const struct rn_net_config config = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 1);
    struct rn_trace t;
    const uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n <= 4; n++) {
        rn_alloc_fail_at(n, false);
        CHECK(rn_trace_build(&t, &config) == RN_ENOMEM);
    }
    rn_alloc_fail_at(0, false);
    CHECK(rn_alloc_live() == live);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_three_ways), RN_TEST_ROW(test_groups),
                                               RN_TEST_ROW(test_known), RN_TEST_ROW(test_names),
                                               RN_TEST_ROW(test_refusals) };
    return rn_test_main("test_characterize_counts", rows, RN_COUNT(rows), argc, argv);
}
