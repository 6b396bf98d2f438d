/* conv_bias.c - bias gradient (A15): chains of + over the positions of a leaf, the tree over
 * leaves; the channels are parallel and in vectors. */
#include "cpu/conv.h"
#include "cpu/leaf_tree.h"

#define CHANNELS 64 /* at once: their tree stands on the stack */
#define LEVELS 31   /* of a tree over any int of leaves */

struct job {
    const struct rn_cpu *cpu;
    const float *ddst;
    float *dbias;
    size_t K, map;      /* floats and pixels of an image of dy */
    int N, images, leaves;
};

/* The leaf of images n0 ... n1-1. */
static void leaf_sums(const struct job *j, float *sums, size_t begin, size_t count, int n0, int n1)
{
    memset(sums, 0, count * sizeof(float));
    for (size_t at = (size_t)n0 * j->map; at < (size_t)n1 * j->map; at++)
        j->cpu->kernels->sum(sums, sums, j->ddst + at * j->K + begin, count);
}

/* At most CHANNELS channels. */
static void sum_channels(const struct job *j, size_t begin, size_t count)
{
    const struct rn_kernels *k = j->cpu->kernels;
    float nodes[(LEVELS + 1) * CHANNELS];
    struct rn_leaf_tree tree = rn_leaf_tree(nodes, CHANNELS, j->leaves);
    for (int i = 0; i < j->leaves; i++) {
        float *leaf = rn_leaf_slot(&tree, i);
        leaf_sums(j, leaf, begin, count, i * j->images, RN_MIN((i + 1) * j->images, j->N));
        rn_leaf_add(k, &tree, i, leaf, 0, count);
    }
    const float *sums = rn_leaf_total(k, &tree, j->leaves, count);
    for (size_t c = 0; c < count; c++) j->dbias[begin + c] = rn_store(sums[c]);
}

static void channel_range(void *arg, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    for (; begin < end; begin += CHANNELS)
        sum_channels(arg, (size_t)begin, (size_t)RN_MIN(end - begin, (int64_t)CHANNELS));
}

void rn_conv_bias_gradient(const struct rn_cpu *cpu, float *dbias, const float *ddst,
                           const struct rn_conv_shape *s)
{
    struct job j = { .cpu = cpu, .ddst = ddst, .dbias = dbias, .K = (size_t)s->K, .N = s->N };
    j.map = (size_t)s->P * (size_t)s->Q;
    j.images = rn_group_images((int64_t)j.map);
    j.leaves = rn_ceil_div(s->N, j.images);
    rn_parallel_range(cpu->threads, s->K, RN_PAD, channel_range, &j);
}
