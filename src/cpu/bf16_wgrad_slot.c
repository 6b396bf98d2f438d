/*
 * bf16_wgrad_slot.c - the slot of weight gradients under bf16: the one place that decides whether the tile
 * unit computes them or fused multiply-adds do (bf16_wgrad.c), and the bias gradient, which is plain fp32
 * (A15): chains of + over the positions of a leaf, the tree over leaves; channels are parallel.
 */
#include "cpu/amx.h"
#include "cpu/bf16_wgrad.h"
#include "cpu/leaf_tree.h"

#define BIAS_COLS 64 /* channels at once: their tree stands on the stack */
#define BIAS_LEVELS 31

struct bias_job {
    const struct rn_cpu *cpu;
    const struct rn_conv_shape *shape;
    const rn_bf16 *ddst;
    float *dbias;
};

/* A15 for BIAS_COLS channels at most. */
static void bias_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct bias_job *b = arg;
    const struct rn_kernels *k = b->cpu->kernels;
    int64_t map = (int64_t)b->shape->P * b->shape->Q;
    int images = rn_group_images(map), leaves = rn_ceil_div(b->shape->N, images);
    size_t K = (size_t)b->shape->K;
    (void)worker;
    for (size_t c = (size_t)begin, n; c < (size_t)end; c += n) {
        float nodes[(BIAS_LEVELS + 1) * BIAS_COLS];
        struct rn_leaf_tree tree = rn_leaf_tree(nodes, BIAS_COLS, leaves);
        n = RN_MIN((size_t)end - c, (size_t)BIAS_COLS);
        for (int i = 0; i < leaves; i++) {
            float *leaf = rn_leaf_slot(&tree, i);
            int64_t count = RN_MIN(images, b->shape->N - i * images) * map;
            memset(leaf, 0, n * sizeof *leaf);
            k->bf16_wgrad->add_rows(leaf, b->ddst + (size_t)(i * images * map) * K + c, K, (size_t)count, n);
            rn_leaf_add(k, &tree, i, leaf, 0, n);
        }
        const float *sums = rn_leaf_total(k, &tree, leaves, n);
        for (size_t i = 0; i < n; i++) b->dbias[c + i] = rn_store(sums[i]);
    }
}

size_t rn_bf16_wgrad_workspace(void *dev, const struct rn_conv_shape *s)
{
    return rn_amx_does(dev, s) ? rn_amx_weights_workspace(dev, s) : rn_bf16_weights_workspace(dev, s);
}

void rn_bf16_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                     const void *ddst, const struct rn_conv_shape *s,
                                     void *workspace)
{
    const struct rn_cpu *cpu = dev;
    if (rn_amx_does(cpu, s)) rn_amx_weights(cpu, dweights, src, ddst, s, workspace);
    else rn_bf16_weights(cpu, dweights, src, ddst, s, workspace);
    if (!dbias) return;
    struct bias_job b = { cpu, s, ddst, dbias };
    rn_parallel_range(cpu->threads, s->K, RN_PAD, bias_range, &b);
}
