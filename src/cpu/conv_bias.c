/* conv_bias.c - bias gradient (A15): chains of + over the positions of a leaf, the tree over
 * leaves; the channels are parallel and in vectors. */
#include "cpu/conv.h"

#define CHANNELS 64 /* at once: their tree nodes stand on the stack */

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

/* At most CHANNELS channels: the binary counter of conv_wgrad.c. */
static void sum_channels(const struct job *j, size_t begin, size_t count)
{
    void (*sum)(float *, const float *, const float *, size_t) = j->cpu->kernels->sum;
    float node[32][CHANNELS], sums[CHANNELS];
    for (int i = 0; i < j->leaves; i++) {
        int level = 0;
        leaf_sums(j, sums, begin, count, i * j->images, RN_MIN((i + 1) * j->images, j->N));
        for (; i >> level & 1; level++) sum(sums, node[level], sums, count);
        memcpy(node[level], sums, count * sizeof(float));
    }
    bool any = false;
    for (int level = 0; j->leaves >> level; level++) {
        if (!(j->leaves >> level & 1)) continue;
        if (any) sum(sums, node[level], sums, count);
        else memcpy(sums, node[level], count * sizeof(float));
        any = true;
    }
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
