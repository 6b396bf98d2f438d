/* test_layers.c - a net as a list of layers: its sums are the net's own, and some rows by hand. */
#include "tests/test_net.h"

#include "analyze/analyze.h"
#include "base/mem.h"

/* The row of that name, or an empty one. */
static struct rn_layer find(const struct rn_layer *layer, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(layer[i].name, name)) return layer[i];
    return (struct rn_layer){ .kind = "none" };
}

static int kinds(const struct rn_layer *layer, int count, const char *kind)
{
    int found = 0;
    for (int i = 0; i < count; i++) found += !strcmp(layer[i].kind, kind);
    return found;
}

static void check_sums(const char *arch, enum rn_stem stem, int64_t parameters)
{
    const struct rn_net_config c = config_of(arch, stem, 1000, 64, 0);
    struct rn_layer *layer = NULL;
    struct rn_net *net;
    void *dev;
    const struct rn_device_options o = { .threads = 1 };
    int count = 0;
    int64_t sum = 0, macs = 0, bytes = 0;
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK_OK(rn_net_create(&net, &c, &rn_ops_cpu, dev));
    CHECK_OK(rn_layers(&layer, &count, &c));
    for (int i = 0; i < count; i++) {
        sum += layer[i].parameters;
        macs += layer[i].macs;
        bytes += layer[i].bytes;
    }
    int64_t floats = (int64_t)(rn_net_trainable_count(net) + rn_net_buffer_count(net));
    CHECK_MSG(sum == parameters && sum == (int64_t)rn_net_trainable_count(net), "%s: %" PRId64, arch, sum);
    CHECK(macs == rn_net_macs(net));
    CHECK(bytes == 4 * floats + 8 * kinds(layer, count, "batch_norm2d"));
    rn_free(layer);
    rn_net_free(net);
    rn_ops_cpu.close(dev);
}

static void test_sums(void)
{
    check_sums("resnet18", RN_STEM_IMAGENET, 11689512);
    check_sums("resnet50", RN_STEM_IMAGENET, 25557032);
    check_sums("resnext50_32x4d", RN_STEM_IMAGENET, 25028904);
}

/* ResNet-18 as the CIFAR-10 sheet has it. */
static void test_rows(void)
{
    const struct rn_net_config c = config_of("resnet18", RN_STEM_CIFAR, 10, 32, 0);
    struct rn_layer *layer = NULL;
    int count = 0;
    CHECK_OK(rn_layers(&layer, &count, &c));
    CHECK(kinds(layer, count, "conv2d") == 20 && kinds(layer, count, "batch_norm2d") == 20);
    CHECK(kinds(layer, count, "linear") == 1 && kinds(layer, count, "adaptive_avg_pool2d") == 1);
    CHECK(kinds(layer, count, "max_pool2d") == 0 && kinds(layer, count, "input") == 0);
    struct rn_layer l = find(layer, count, "layer2.0.conv1");
    CHECK(l.C == 128 && l.H == 16 && l.W == 16 && l.parameters == 73728 && l.macs == 73728 * 256);
    l = find(layer, count, "layer2.0.downsample.0");
    CHECK(l.parameters == 8192 && l.macs == 8192 * 256);
    l = find(layer, count, "layer1.0.bn2");
    CHECK(l.parameters == 128 && l.bytes == 4 * 256 + 8 && l.macs == 0);
    l = find(layer, count, "fc");
    CHECK(l.C == 10 && l.parameters == 5130 && l.bytes == 4 * 5130 && l.macs == 5120);
    rn_free(layer);
}

static void test_refusals(void)
{
    struct rn_net_config c = config_of("resnet18", RN_STEM_CIFAR, 10, 32, 0);
    struct rn_layer *layer;
    int count;
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n <= 3; n++) {
        rn_alloc_fail_at(n, false);
        CHECK(rn_layers(&layer, &count, &c) == RN_ENOMEM);
    }
    rn_alloc_fail_at(0, false);
    CHECK(rn_alloc_live() == live);
    c.image_size = RN_LEAST_SIZE - 1;
    CHECK(rn_layers(&layer, &count, &c) == RN_EUSAGE);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_sums), RN_TEST_ROW(test_rows),
                                               RN_TEST_ROW(test_refusals) };
    return rn_test_main("test_layers", rows, RN_COUNT(rows), argc, argv);
}
