/*
 * test_characterize_patterns.c - fusion patterns: what is found is what the executor fuses; pattern files; and the
 * memory of a net, part by part, equals what its arena takes.
 */
#define _DEFAULT_SOURCE /* for test_counting.h */
#include "tests/test_net.h"

#include "analyze/memory.h"
#include "analyze/patterns.h"
#include "net/plan.h"
#include "tests/test_counting.h"

/* -- the executor ---------------------------------------------------------------------------------- */

/* The match that begins with the convolution of node `conv` and ends in node `bn`, with as many operations. */
static bool has_match(const struct rn_matches *m, const struct rn_trace *t, int conv, int bn, int length)
{
    for (int i = 0; i < m->rows; i++) {
        const struct rn_match *r = &m->row[i];
        if (t->op[r->op[0]].node == conv && t->op[r->op[r->length - 1]].node == bn &&
            r->length == length) return true;
    }
    return false;
}

/* Every step of the plan that runs several operations is a match, and every match is a step. */
static void check_plan(const struct rn_trace *t, const struct rn_matches *m, bool training)
{
    static const int length[] = { [RN_POST_NONE] = 2, [RN_POST_RELU] = 3, [RN_POST_ADD_RELU] = 4 };
    const struct rn_plan_for want = { &t->graph, &counting_ops, NULL, 2, false, false };
    struct rn_plan p;
    int steps = 0;
    CHECK_OK(training ? rn_plan_training(&p, &want) : rn_plan_evaluation(&p, &want));
    for (int i = 0; i < p.steps; i++) {
        if (p.step[i].kind != RN_STEP_CONV_BN) continue;
        const struct rn_node *bn = &t->graph.node[p.step[i].node];
        CHECK_MSG(has_match(m, t, bn->src, p.step[i].node, length[bn->u.bn.post]), "%s is fused and not matched",
                  bn->name);
        steps++;
    }
    CHECK_MSG(steps == m->rows, "%d steps, %d matches", steps, m->rows);
    rn_plan_free(&p);
}

/* The calls of one pass, by what follows the convolution. */
static struct counting calls_of(const struct rn_net_config *config, bool training, bool fold)
{
    struct rn_net_config c = *config;
    struct counting seen;
    struct rn_net *net;
    void *dev;
    float *images = calloc((size_t)(3 * c.image_size * c.image_size), sizeof *images);
    CHECK(images);
    c.batch = training ? 2 : 0;
    c.eval_batch = 1;
    c.fold = fold;
    CHECK_OK(counting_ops.open(&dev, NULL));
    CHECK_OK(rn_net_create(&net, &c, &counting_ops, dev));
    rn_net_forward(net, images, 1, training);
    seen = *counting_of(dev);
    rn_net_free(net);
    counting_ops.close(dev);
    free(images);
    return seen;
}

static int find(const struct rn_pattern *p, int patterns, const char *name)
{
    for (int i = 0; i < patterns; i++)
        if (!strcmp(p[i].name, name)) return i;
    return -1;
}

static int count_of(const struct rn_matches *m, const struct rn_pattern *p, int patterns, const char *name)
{
    return rn_matches_of(m, find(p, patterns, name), NULL);
}

/* The fusions of a net, and of the same one folded, against plan and calls. */
static void check_net(const struct rn_net_config *config, int relu, int add_relu, int plain)
{
    struct rn_trace t;
    struct rn_matches m;
    int patterns;
    const struct rn_pattern *p = rn_patterns_fused(false, &patterns);
    CHECK_OK(rn_trace_build(&t, config));
    CHECK_OK(rn_match(&m, &t, p, patterns, NULL));
    CHECK(count_of(&m, p, patterns, "conv_bn_relu") == relu);
    CHECK(count_of(&m, p, patterns, "conv_bn_add_relu") == add_relu);
    CHECK(count_of(&m, p, patterns, "conv_bn") == plain);
    for (int training = 0; training < 2; training++) {
        const struct counting seen = calls_of(config, training, false);
        check_plan(&t, &m, training);
        CHECK(seen.calls_bn[RN_POST_RELU] == relu && seen.calls_bn[RN_POST_ADD_RELU] == add_relu &&
              seen.calls_bn[RN_POST_NONE] == plain);
    }
    rn_matches_free(&m);
    const struct counting folded = calls_of(config, false, true);
    rn_trace_fold(&t);
    p = rn_patterns_fused(true, &patterns);
    CHECK_OK(rn_match(&m, &t, p, patterns, NULL));
    CHECK(count_of(&m, p, patterns, "conv_relu") == folded.calls_bias[RN_POST_RELU]);
    CHECK(count_of(&m, p, patterns, "conv_add_relu") == folded.calls_bias[RN_POST_ADD_RELU]);
    CHECK(count_of(&m, p, patterns, "conv") == folded.calls_bias[RN_POST_NONE]);
    CHECK(count_of(&m, p, patterns, "conv_add") == 0 && m.rows == relu + add_relu + plain);
    rn_matches_free(&m);
    rn_trace_free(&t);
}

static void test_fused(void)
{
    static const struct { const char *name; int relu, add_relu, plain; } row[] = {
        { "resnet18", 9, 8, 3 }, { "resnet34", 17, 16, 3 }, { "resnet50", 33, 16, 4 },
        { "resnet101", 67, 33, 4 }, { "resnet152", 101, 50, 4 }, { "resnext50_32x4d", 33, 16, 4 },
        { "resnext101_32x8d", 67, 33, 4 }, { "resnext101_64x4d", 67, 33, 4 }, { "wide_resnet50_2", 33, 16, 4 },
        { "wide_resnet101_2", 67, 33, 4 },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++)
        for (int stem = 0; stem <= RN_STEM_DEEP; stem++) {
            const struct rn_net_config c = config_of(row[i].name, (enum rn_stem)stem, 1000, 64, 0);
            check_net(&c, row[i].relu + (stem == RN_STEM_DEEP ? 2 : 0), row[i].add_relu, row[i].plain);
        }
}

/* -- what is saved, and other patterns ------------------------------------------------------------- */

static void test_saved(void)
{
    const struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 1);
    struct rn_trace t;
    struct rn_matches m;
    int patterns;
    int64_t saved;
    const struct rn_pattern *p = rn_patterns_fused(false, &patterns);
    CHECK_OK(rn_trace_build(&t, &c));
    CHECK_OK(rn_match(&m, &t, p, patterns, NULL));
    CHECK(m.row[0].saved == 2 * 2 * 4 * 802816 && m.row[0].length == 3); /* conv1: its output and the norm's */
    rn_matches_of(&m, find(p, patterns, "conv_bn_add_relu"), &saved);
    CHECK(saved == 3 * 2 * 4 * 752640);
    rn_matches_of(&m, find(p, patterns, "conv_bn"), &saved);
    CHECK(saved == 2 * 4 * (100352 + 50176 + 25088));
    p = rn_patterns_candidates(&patterns);
    struct rn_matches more;
    CHECK_OK(rn_match(&more, &t, p, patterns, NULL));
    CHECK(more.rows == 2 && count_of(&more, p, patterns, "head") == 1 &&
          count_of(&more, p, patterns, "stem_pool") == 1);
    CHECK(more.row[1].saved == 2 * 4 * 512 && more.row[0].saved == 3 * 2 * 4 * 802816);
    rn_matches_free(&more);
    CHECK_OK(rn_match(&more, &t, p, patterns, &m)); /* of the stem's three tensors the executor keeps two already */
    CHECK(more.row[1].saved == 2 * 4 * 512 && more.row[0].saved == 2 * 4 * 802816);
    rn_matches_free(&more);
    rn_matches_free(&m);
    rn_trace_free(&t);
}

static int matches_of_text(const char *text)
{
    const struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 1);
    struct rn_trace t;
    struct rn_patterns p;
    struct rn_matches m;
    CHECK_OK(rn_trace_build(&t, &c));
    CHECK_OK(rn_patterns_parse(&p, text, strlen(text), "x.txt"));
    CHECK_OK(rn_match(&m, &t, p.row, p.rows, NULL));
    const int rows = m.rows;
    rn_matches_free(&m);
    rn_patterns_free(&p);
    rn_trace_free(&t);
    return rows;
}

static void test_user_patterns(void)
{
    CHECK(matches_of_text("a = add relu\n") == 8);
    CHECK(matches_of_text("# what ends a convolution\nany = conv2d batch_norm2d relu|add  # both\n") == 17);
    CHECK(matches_of_text("pool = max_pool2d|adaptive_avg_pool2d\r\nlast=linear") == 3);
    CHECK(matches_of_text("two = relu conv2d") == 8); /* a sum that a shortcut reads, too, is none */
}

static void refused(const char *text, const char *where, const char *what)
{
    struct rn_patterns p;
    CHECK_MSG(rn_patterns_parse(&p, text, strlen(text), "x.txt") == RN_EINPUT, "accepted: %s", text);
    CHECK_MSG(!strncmp(rn_error(), where, strlen(where)) && strstr(rn_error(), what), "%s: %s", text, rn_error());
    rn_patterns_free(&p);
}

static void test_refusals(void)
{
    refused("", "x.txt:1:1: ", "no pattern");
    refused("# nothing\n", "x.txt:1:1: ", "no pattern");
    refused("a conv2d", "x.txt:1:3: ", "a = should be");
    refused("\n\n  = conv2d", "x.txt:3:3: ", "a name");
    refused("a = ", "x.txt:1:5: ", "the line ends where an operation");
    refused("a = conv2d rellu", "x.txt:1:12: ", "did you mean relu?");
    refused("a = conv2d | relu", "x.txt:1:12: ", "an operation");
    refused("a = conv2d|", "x.txt:1:12: ", "an operation");
    refused("a = conv2d\na = relu", "x.txt:2:1: ", "line 1 already");
    refused("a = relu relu relu relu relu relu relu relu relu", "x.txt:1:45: ", "more than 8");
    refused("a = conv2d \x01", "x.txt:1:12: ", "\\x01");
    refused("a = wurst", "x.txt:1:5: ", "they are conv2d");
    refused("a = relu|softmax", "x.txt:1:10: ", "no operation is called \"softmax\"");
    refused("a = input relu", "x.txt:1:5: ", "no operation is called \"input\"");
    /* 48 characters, where 47 and a zero fit; and a kind longer than any word */
    refused("\n  a23456789b123456789c123456789d123456789e12345678 = relu", "x.txt:2:3: ", "48 characters");
    refused("a = relu a23456789b123456789c123456789d123456789e123456789f123456789g1234", "x.txt:1:10: ",
            "64 characters");
    struct rn_patterns p;
    const char *longest = "a23456789b123456789c123456789d123456789e1234567 = relu";
    CHECK_OK(rn_patterns_parse(&p, longest, strlen(longest), "x.txt"));
    CHECK(p.rows == 1 && strlen(p.row[0].name) == 47);
    rn_patterns_free(&p);
}

/* -- memory ---------------------------------------------------------------------------------------- */

static size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* The parts add up to the arena, on a backend whose packed weights give the weights back and on one that keeps
 * both; batch norm's statistics, losses, labels, logits and the images' bytes are the small change. */
static void check_memory(const char *name, int size, int batch, const struct rn_ops *ops)
{
    const struct rn_device_options o = { .threads = 1 };
    struct rn_net_config c = config_of(name, RN_STEM_IMAGENET, 1000, size, 1);
    struct rn_trace t;
    struct rn_memory m;
    void *dev;
    CHECK_OK(ops->open(&dev, &o));
    CHECK_OK(rn_trace_build(&t, &c));
    CHECK_OK(rn_memory_of(&m, &t, &c, batch, ops, dev));
    size_t kept = 0, most = 0;
    for (int i = 0; i < t.graph.params; i++) {
        const struct rn_param *p = &t.graph.param[i];
        const bool packs = p->kind == RN_PARAM_CONV || p->kind == RN_PARAM_FC_WEIGHT;
        most = RN_MAX(most, 4 * p->count);
        if (p->trainable && !packs) kept += 4 * p->count;
    }
    for (int i = 0; i < t.ops; i++)
        if ((t.op[i].kind == RN_OP_CONV || t.op[i].kind == RN_OP_LINEAR) &&
            !ops->conv2d_unpack(dev, NULL, NULL, &t.op[i].conv))
            kept += 4 * (size_t)(t.op[i].parameters - (t.op[i].kind == RN_OP_LINEAR ? t.op[i].C : 0));
    const size_t pixels = padded((size_t)batch * 3 * (size_t)size * (size_t)size);
    const size_t small = padded(8 * (size_t)batch) + padded(4 * (size_t)batch) + padded(4000 * (size_t)batch) +
                         padded(4) + pixels + padded((size_t)batch * sizeof(struct rn_image_move));
    const size_t inference = padded(kept) + padded(m.buffers) + m.packed + padded(RN_MAX(m.inference.block, most)) +
                             small;
    const size_t training = 2 * padded(m.weights) + padded(m.buffers) + m.statistics +
                            RN_MAX(m.training.block, m.inference.block + m.packed) + small;
    CHECK_MSG(inference == m.arena_inference, "%s %d: parts %zu, arena %zu", name, size, inference,
              m.arena_inference);
    CHECK_MSG(training == m.arena_training, "%s %d: parts %zu, arena %zu", name, size, training, m.arena_training);
    CHECK(m.inference.live <= m.inference.block && m.inference.block <= m.inference.values + m.inference.indices +
          m.inference.work);
    CHECK(m.training.live <= m.training.block && m.inference.live < m.inference.values && !m.inference.gradients);
    CHECK(m.weights == 4 * t.graph.trainable && m.buffers == 4 * t.graph.buffers && m.gradients == m.weights);
    rn_trace_free(&t);
    ops->close(dev);
}

/* What a net of this config reserves on its device. */
static uint64_t reserved(const struct rn_net_config *config)
{
    struct rn_net *net;
    void *dev;
    CHECK_OK(counting_ops.open(&dev, NULL));
    CHECK_OK(rn_net_create(&net, config, &counting_ops, dev));
    const uint64_t bytes = counting_of(dev)->arena;
    rn_net_free(net);
    counting_ops.close(dev);
    return bytes;
}

/* Of every architecture: the memory said is what a net takes, for inference, folded, and for training. */
static void test_arena(void)
{
    static const struct { int size, batch; } row[] = { { 224, 1 }, { 97, 3 }, { 33, 8 } };
    size_t count;
    const char *const *name = rn_arch_names(&count);
    for (size_t i = 0; i < count * RN_COUNT(row); i++) {
        struct rn_net_config c = config_of(name[i / RN_COUNT(row)], (enum rn_stem)(i % (RN_STEM_DEEP + 1)), 1000,
                                           row[i % RN_COUNT(row)].size, 1);
        struct rn_trace t;
        struct rn_memory m;
        void *dev;
        CHECK_OK(counting_ops.open(&dev, NULL));
        CHECK_OK(rn_trace_build(&t, &c));
        CHECK_OK(rn_memory_of(&m, &t, &c, row[i % RN_COUNT(row)].batch, &counting_ops, dev));
        rn_trace_free(&t);
        counting_ops.close(dev);
        c.batch = c.eval_batch = row[i % RN_COUNT(row)].batch;
        CHECK_MSG(reserved(&c) == m.arena_training, "%s, training: %zu", c.arch.name, m.arena_training);
        c.batch = 0;
        CHECK_MSG(reserved(&c) == m.arena_inference, "%s, inference: %zu", c.arch.name, m.arena_inference);
        c.fold = true;
        CHECK_MSG(reserved(&c) == m.arena_folded, "%s, folded: %zu", c.arch.name, m.arena_folded);
    }
}

static void test_memory(void)
{
    check_memory("resnet18", 224, 1, &rn_ops_cpu);
    check_memory("resnet18", 64, 8, &rn_ops_cpu);
    check_memory("resnet50", 97, 3, &rn_ops_cpu);
    check_memory("resnext50_32x4d", 64, 2, &rn_ops_ref);
    check_memory("wide_resnet50_2", 33, 2, &counting_ops);
}

/* ResNet-18 at 224x224: the larger two of any three neighbours are 802,816 values, before the first pooling. */
static void test_peak(void)
{
    const struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 1);
    struct rn_trace t;
    struct rn_memory m;
    void *dev;
    CHECK_OK(counting_ops.open(&dev, NULL));
    CHECK_OK(rn_trace_build(&t, &c));
    CHECK_OK(rn_memory_of(&m, &t, &c, 1, &counting_ops, dev));
    CHECK(m.input == 4 * 150528 && m.weights == 4 * 11689512 && m.inference.live == 4 * (802816 + 200704) + 200704);
    CHECK(m.activations == 4 * (2 * 2483712 + 2308096 + 752640 + 200704 + 512 + 1000));
    rn_trace_free(&t);
    counting_ops.close(dev);
}

/* Under bf16 a value of a tensor is 2 bytes, but for the logits. */
static void test_elements(void)
{
    const struct rn_device_options o = { .threads = 1, .numerics = "bf16" };
    const struct rn_net_config c = config_of("resnet18", RN_STEM_IMAGENET, 1000, 224, 1);
    const struct rn_ops *ops;
    struct rn_trace t;
    struct rn_memory m;
    void *dev;
    CHECK_OK(rn_backend_find(&ops, "cpu", "bf16"));
    CHECK_OK(ops->open(&dev, &o));
    CHECK_OK(rn_trace_build(&t, &c));
    CHECK_OK(rn_memory_of(&m, &t, &c, 1, ops, dev));
    CHECK(m.element == 2 && m.input == 2 * 150528 && m.weights == 4 * 11689512);
    CHECK(m.activations == 2 * (2 * 2483712 + 2308096 + 752640 + 200704 + 512) + 4 * 1000);
    rn_trace_free(&t);
    ops->close(dev);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_fused), RN_TEST_ROW(test_saved), RN_TEST_ROW(test_user_patterns), RN_TEST_ROW(test_refusals),
        RN_TEST_ROW(test_memory), RN_TEST_ROW(test_arena), RN_TEST_ROW(test_peak), RN_TEST_ROW(test_elements),
    };
    return rn_test_main("test_characterize_patterns", rows, RN_COUNT(rows), argc, argv);
}
