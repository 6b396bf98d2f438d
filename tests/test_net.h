/* test_net.h - configurations that several tests of nets build on. */
#ifndef RN_TEST_NET_H
#define RN_TEST_NET_H

#include "tests/test.h"

#include "base/random.h"
#include "net/net.h"

static inline struct rn_net_config config_of(const char *name, enum rn_stem stem, int classes, int size,
                                             int batch)
{
    struct rn_net_config c = { .image_size = size, .batch = batch, .eval_batch = RN_MAX(batch, 1) };
    CHECK_OK(rn_arch_named(&c.arch, name, stem, classes));
    return c;
}

/* A net small enough for the naive loops: one block a stage, narrow. */
static inline struct rn_net_config small(bool bottleneck, enum rn_stem stem, int upsample)
{
    struct rn_net_config c = config_of(bottleneck ? "resnext50_32x4d" : "resnet18", stem, 5, 32, 6);
    struct rn_arch *a = &c.arch;
    int kept = 0;
    for (int i = 0; i < a->blocks; i++) {
        struct rn_block b = a->block[i];
        if (b.index > (b.stage == 0)) continue;
        b.out = bottleneck ? 16 << b.stage : 4 << b.stage;
        b.groups = bottleneck ? 2 : 1;
        b.mid = b.mid2 = bottleneck ? 8 : b.out;
        b.project = b.index == 0 && (b.stage > 0 || bottleneck);
        a->block[kept++] = b;
    }
    memset(&a->block[kept], 0, (RN_MAX_BLOCKS - (size_t)kept) * sizeof a->block[0]);
    a->blocks = kept;
    a->features = a->block[kept - 1].out;
    for (int i = 0; i < (stem == RN_STEM_DEEP ? 3 : 1); i++) a->stem_width[i] = 4;
    c.upsample = upsample;
    return c;
}

/* Numbers within -1 ... 1; `draw` tells sets apart. */
static inline void test_fill(float *x, size_t count, uint32_t draw)
{
    for (size_t i = 0; i < count; i++) {
        struct rn_random g = rn_random(1, RN_RANDOM_TEST, draw, (uint32_t)i);
        x[i] = (float)(2 * rn_random_uniform(&g) - 1);
    }
}

#endif /* RN_TEST_NET_H */
