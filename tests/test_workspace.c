/*
 * test_workspace.c - the contract of the workspaces: what is enough for N images is enough for fewer.  A last
 * short batch once had more partial weight gradients than a whole one (8 groups of images go to 8 threads one
 * by one, 9 in pairs), and wrote behind its workspace.
 */
#include "tests/test.h"

#include "base/threads.h"
#include "resnet.h"

static const struct rn_conv_shape conv[] = {
    { .C = 16, .H = 4, .W = 4, .K = 16, .R = 3, .S = 3, .P = 4, .Q = 4, .stride = 1, .pad = 1, .groups = 1 },
    { .C = 64, .H = 8, .W = 8, .K = 64, .R = 3, .S = 3, .P = 8, .Q = 8, .stride = 1, .pad = 1, .groups = 1 },
    { .C = 64, .H = 8, .W = 8, .K = 128, .R = 1, .S = 1, .P = 4, .Q = 4, .stride = 2, .groups = 1 },
    { .C = 3, .H = 32, .W = 32, .K = 64, .R = 3, .S = 3, .P = 32, .Q = 32, .stride = 1, .pad = 1, .groups = 1 },
    { .C = 32, .H = 7, .W = 7, .K = 32, .R = 3, .S = 3, .P = 7, .Q = 7, .stride = 1, .pad = 1, .groups = 8 },
    { .C = 32, .H = 7, .W = 7, .K = 32, .R = 3, .S = 3, .P = 7, .Q = 7, .stride = 1, .pad = 1, .groups = 32 },
    { .C = 512, .H = 1, .W = 1, .K = 10, .R = 1, .S = 1, .P = 1, .Q = 1, .stride = 1, .groups = 1 },
};

static void never_shrinks(const struct rn_ops *ops, const char *numerics, int threads)
{
    const struct rn_device_options options = { threads, "", numerics };
    void *dev;
    CHECK_OK(ops->open(&dev, &options));
    for (size_t i = 0; i < RN_COUNT(conv); i++) {
        struct rn_conv_shape s = conv[i];
        size_t before = 0;
        for (s.N = 1; s.N <= 150; s.N++) {
            size_t bytes = ops->conv2d_workspace(dev, &s);
            CHECK_MSG(bytes >= before, "%s, %d threads, shape %zu: %zu bytes for %d images, %zu for one less",
                      numerics, threads, i, bytes, s.N, before);
            before = bytes;
        }
    }
    ops->close(dev);
}

static void test_fewer_images_need_no_more(void)
{
    static const char *const numerics[] = { "fp32", "fp32-winograd", "bf16" };
    static const int threads[] = { 1, 2, 3, 6, 8 };
    for (size_t i = 0; i < RN_COUNT(numerics); i++)
        for (size_t k = 0; k < RN_COUNT(threads); k++) {
            const struct rn_ops *ops;
            CHECK_OK(rn_backend_find(&ops, "cpu", numerics[i]));
            never_shrinks(ops, numerics[i], threads[k]);
        }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = { RN_TEST_ROW(test_fewer_images_need_no_more) };
    return rn_test_main("test_workspace", row, RN_COUNT(row), argc, argv);
}
