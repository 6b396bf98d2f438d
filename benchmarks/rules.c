/*
 * rules.c - what the rules that keep the bits cost: weight gradients and the sums of batch norm as they
 * are, beside the same with an order that is free.
 *
 * Weight gradient, in turns: A15 (a chain for each group of images, groups by the tree); the same kernel
 * with groups four to eight times as large, so that little of the tree is left (conv_wgrad.c once more,
 * with another size of a group); and that once for each thread on its share of the images, the threads'
 * results added.  Batch norm, forward and backward: A17 (runs of 128 in double, trees) and sums in float,
 * one chain for each thread and channel.  Both on data that stays in the second cache, where the cost
 * of arithmetic shows in full; scaled up to the batch.
 */
#define _POSIX_C_SOURCE 200809L

#include "cpu/batchnorm.h"
#include "cpu/conv.h"
#include "cpu/unroll.h"

/* The library's own source with another size of a group, under another name. */
size_t free_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
/* As many images as conv_wgrad.c can take through its lists at once: a row of each, of square maps. */
static int free_group(int64_t positions)
{
    int side = 1;
    while ((int64_t)side * side < positions) side++;
    return RN_MAX(128 / side, 1);
}

void free_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                  const struct rn_conv_shape *s, void *workspace);
#define rn_group_images free_group
#define rn_conv_weights free_weights
#define rn_conv_weights_workspace free_workspace
#include "cpu/conv_wgrad.c"
#undef rn_group_images
#undef rn_conv_weights
#undef rn_conv_weights_workspace

#include "base/clock.h"
#include "base/mem.h"
#include "base/quantile.h"
#include "base/random.h"
#include "net/graph.h"
#include "tools/cli/options.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const struct opt rows[] = {
    { "batch-size", OPT_INT, "128", 1, 65536, NULL, "N", "images a step", "Measurement" },
    { "runs", OPT_INT, "5", 1, 1000, NULL, "N", "calls that are timed", "Measurement" },
};

enum { EXACT, FREE, THREADS, WAYS }; /* how a weight gradient is summed */
#define HOT ((size_t)512 << 10)      /* bytes of a tensor for each thread that stay in its second cache */

struct device { const struct rn_ops *ops; void *dev; int threads; };

static void fill(float *v, size_t count, uint32_t index)
{
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, index, 0);
    for (size_t i = 0; i < count; i++) v[i] = (float)(2 * rn_random_uniform(&r) - 1);
}

/* -- weight gradients ----------------------------------------------------------------------------- */

struct gradient {
    const struct rn_conv_shape *s;
    struct rn_cpu cpu, one;          /* the device; and it with one thread */
    float *src, *ddst, *dweights;    /* dweights: one for each thread */
    char *workspace;
    size_t weights, bytes;           /* floats of dweights; bytes of one thread's workspace */
};

static void share_task(void *arg, int64_t i, int worker)
{
    const struct gradient *g = arg;
    struct rn_conv_shape s = *g->s;
    int threads = g->cpu.threads, begin = (int)(i * s.N / threads);
    (void)worker;
    s.N = (int)((i + 1) * g->s->N / threads) - begin;
    free_weights(&g->one, g->dweights + (size_t)i * g->weights,
                 g->src + (size_t)begin * (size_t)(s.C * s.H * s.W),
                 g->ddst + (size_t)begin * (size_t)(s.K * s.P * s.Q), &s,
                 g->workspace + (size_t)i * g->bytes);
}

static void add_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct gradient *g = arg;
    (void)worker;
    for (int t = 1; t < g->cpu.threads; t++)
        g->cpu.kernels->sum(g->dweights + begin, g->dweights + begin,
                            g->dweights + (size_t)t * g->weights + begin, (size_t)(end - begin));
}

static void run_gradient(struct gradient *g, int way)
{
    if (way == EXACT) rn_conv_weights(&g->cpu, g->dweights, g->src, g->ddst, g->s, g->workspace);
    if (way == FREE) free_weights(&g->cpu, g->dweights, g->src, g->ddst, g->s, g->workspace);
    if (way != THREADS) return;
    rn_parallel(g->cpu.threads, g->cpu.threads, share_task, g);
    rn_parallel_range(g->cpu.threads, (int64_t)g->weights, 4096, add_range, g);
}

/* Milliseconds of each way. */
static rn_status time_gradient(double ms[WAYS], const struct device *d, const struct rn_conv_shape *s,
                               int runs)
{
    struct gradient g = { .s = s, .cpu = *(const struct rn_cpu *)d->dev };
    size_t threads = (size_t)d->threads, x = (size_t)s->N * (size_t)s->C * (size_t)(s->H * s->W);
    size_t y = (size_t)s->N * (size_t)s->K * (size_t)(s->P * s->Q);
    double *times = rn_alloc_array((size_t)runs, WAYS * sizeof *times);
    g.one = g.cpu;
    g.one.threads = 1;
    g.weights = rn_round_up((size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S), 16);
    g.bytes = rn_round_up(free_workspace(&g.one, s), 64);
    g.src = rn_alloc_array(x, sizeof(float));
    g.ddst = rn_alloc_array(y, sizeof(float));
    g.dweights = rn_alloc_array(g.weights * threads, sizeof(float));
    g.workspace = rn_alloc(RN_MAX(RN_MAX(free_workspace(&g.cpu, s), rn_conv_weights_workspace(&g.cpu, s)),
                                  threads * g.bytes));
    rn_status status = times && g.src && g.ddst && g.dweights && g.workspace ? RN_OK : RN_ENOMEM;
    if (!status) {
        fill(g.src, x, 0);
        fill(g.ddst, y, 1);
    }
    for (int i = -1; i < runs && !status; i++) /* the first round is not counted */
        for (int way = 0; way < WAYS; way++) {
            double begin = 1e3 * rn_seconds();
            run_gradient(&g, way);
            if (i >= 0) times[way * runs + i] = 1e3 * rn_seconds() - begin;
        }
    for (int way = 0; way < WAYS && !status; way++) ms[way] = rn_median(times + way * runs, runs);
    rn_free(times);
    rn_free(g.src);
    rn_free(g.ddst);
    rn_free(g.dweights);
    rn_free(g.workspace);
    return status;
}

/* -- sums of batch norm --------------------------------------------------------------------------- */

struct sums { const float *g, *x; float *s, *q; int64_t positions; int C, threads; };

#if defined(__x86_64__)
/* s[c] += x and q[c] += x x, or with g s[c] += g and q[c] += g x, for 64 channels. */
__attribute__((target("avx512f"))) static void float_sums(float *s, float *q, const float *g,
                                                          const float *x, int64_t count, int C)
{
    __m512 a[4], b[4];
    UNROLL for (int v = 0; v < 4; v++) a[v] = b[v] = _mm512_setzero_ps();
    for (; count > 0; count--, g += C, x += C)
        UNROLL for (int v = 0; v < 4; v++) {
            __m512 left = _mm512_loadu_ps(g + 16 * v);
            a[v] = _mm512_add_ps(a[v], left);
            b[v] = _mm512_fmadd_ps(left, _mm512_loadu_ps(x + 16 * v), b[v]);
        }
    UNROLL for (int v = 0; v < 4; v++) {
        _mm512_storeu_ps(s + 16 * v, a[v]);
        _mm512_storeu_ps(q + 16 * v, b[v]);
    }
}
#else
static void float_sums(float *s, float *q, const float *g, const float *x, int64_t count, int C)
{
    memset(s, 0, 64 * sizeof *s);
    memset(q, 0, 64 * sizeof *q);
    for (; count > 0; count--, g += C, x += C)
        for (int c = 0; c < 64; c++) s[c] += g[c], q[c] += g[c] * x[c];
}
#endif

static void float_task(void *arg, int64_t i, int worker)
{
    const struct sums *j = arg;
    int64_t begin = i * j->positions / j->threads, end = (i + 1) * j->positions / j->threads;
    (void)worker;
    for (int c = 0; c < j->C; c += 64)
        float_sums(j->s + i * j->C + c, j->q + i * j->C + c, (j->g ? j->g : j->x) + begin * j->C + c,
                   j->x + begin * j->C + c, end - begin, j->C);
}

static void run_float(const struct sums *j)
{
    rn_parallel(j->threads, j->threads, float_task, (void *)(uintptr_t)j);
    for (int t = 1; t < j->threads; t++)
        for (int c = 0; c < j->C; c++) j->s[c] += j->s[t * j->C + c], j->q[c] += j->q[t * j->C + c];
}

/* Milliseconds, scaled up to the batch, of [forward, backward][as A17, in float]. */
static rn_status time_sums(double ms[2][2], const struct device *d, const struct rn_bn_shape *shape,
                           int runs)
{
    const struct rn_cpu *cpu = d->dev;
    struct rn_bn_shape s = *shape;
    size_t image = (size_t)s.C * (size_t)(s.H * s.W), threads = (size_t)d->threads;
    int repeats = 20 * runs;
    s.N = RN_MIN(shape->N, RN_MAX(1, (int)(HOT * threads / (image * sizeof(float)))));
    double *times = rn_alloc_array((size_t)repeats, 4 * sizeof *times);
    float *x = rn_alloc_array(2 * (size_t)s.N * image, sizeof(float)), *g = x + (size_t)s.N * image;
    float *sums = rn_alloc_array(2 * (size_t)s.C * threads, sizeof(float));
    void *workspace = rn_alloc(d->ops->batchnorm_workspace(d->dev, &s));
    rn_status status = times && x && sums && workspace ? RN_OK : RN_ENOMEM;
    if (!status) fill(x, 2 * (size_t)s.N * image, 2);
    struct rn_bn_runs r = rn_bn_runs(&s, workspace);
    struct sums j = { NULL, x, sums, sums + (size_t)s.C * threads, s.N * s.H * s.W, s.C, d->threads };
    for (int i = 0; i < repeats && !status; i++)
        for (int way = 0; way < 4; way++) {
            double begin = 1e3 * rn_seconds();
            j.g = way & 2 ? g : NULL;
            if (way & 1) run_float(&j);
            else if (way & 2) rn_bn_backward_sums(cpu, &r, g, x, &(struct rn_bn_mask){ 0 });
            else rn_bn_sums(cpu, &r, x);
            if (!(way & 1)) rn_bn_tree(cpu, &r);
            times[way * repeats + i] = 1e3 * rn_seconds() - begin;
        }
    for (int way = 0; way < 4 && !status; way++)
        ms[way >> 1][way & 1] = rn_median(times + way * repeats, repeats) * shape->N / s.N;
    rn_free(times);
    rn_free(x);
    rn_free(sums);
    rn_free(workspace);
    return status;
}

/* -- the table ------------------------------------------------------------------------------------ */

/* all: sums over the layers, the last of the fastest way of each. */
static rn_status measure_gradients(double all[WAYS + 1], const struct device *d, const struct rn_graph *g,
                                   const struct opt_set *o)
{
    rn_status status = RN_OK;
    printf("%-30s %9s %9s %9s\n", "weight gradient, ms", "A15", "long", "by thread");
    for (int i = 0; i < g->nodes && !status; i++) {
        if (g->node[i].kind != RN_NODE_CONV) continue;
        struct rn_conv_shape s = g->node[i].u.conv;
        double ms[WAYS] = { 0 };
        bool seen = false;
        int count = 0;
        for (int k = 0; k < g->nodes; k++) {
            bool same = g->node[k].kind == RN_NODE_CONV && !memcmp(&g->node[k].u.conv, &s, sizeof s);
            count += same;
            seen |= same && k < i;
        }
        if (seen) continue;
        s.N = (int)opt_int(o, "batch-size");
        status = time_gradient(ms, d, &s, (int)opt_int(o, "runs"));
        if (!status)
            printf("%2d x %3d > %3d, %dx%d /%d, at %3d %9.3f %9.3f %9.3f\n", count, s.C, s.K, s.R, s.S,
                   s.stride, s.H, ms[EXACT], ms[FREE], ms[THREADS]);
        for (int way = 0; way < WAYS; way++) all[way] += count * ms[way];
        all[WAYS] += count * RN_MIN(ms[EXACT], RN_MIN(ms[FREE], ms[THREADS]));
    }
    return status;
}

static rn_status measure_sums(double all[2][2], const struct device *d, const struct rn_graph *g,
                              const struct opt_set *o)
{
    rn_status status = RN_OK;
    for (int i = 0; i < g->nodes && !status; i++) {
        if (g->node[i].kind != RN_NODE_BN) continue;
        struct rn_bn_shape s = g->node[i].u.bn;
        double ms[2][2] = { { 0 } };
        s.N = (int)opt_int(o, "batch-size");
        status = time_sums(ms, d, &s, RN_MIN((int)opt_int(o, "runs"), 5));
        for (int k = 0; k < 4; k++) all[k >> 1][k & 1] += ms[k >> 1][k & 1];
    }
    return status;
}

static rn_status run(struct opt_set *o)
{
    struct tool_device t = { 0 };
    struct rn_graph g = { 0 };
    struct rn_net_config c = { .batch = 1, .eval_batch = 1 };
    double gradients[WAYS + 1] = { 0 }, sums[2][2] = { { 0 } };
    rn_status status = tool_net(&c, o);
    if (!status) status = rn_graph_build(&g, &c);
    if (!status) status = tool_device_open(&t, o);
    struct device d = { t.ops, t.dev, t.threads };
    if (!status && (t.ops != &rn_ops_cpu || strcmp(t.ops->isa(t.dev), "avx512")))
        status = rn_fail(RN_EUSAGE, "this is written for fp32 on the cpu backend with AVX-512");
    if (!status) status = measure_gradients(gradients, &d, &g, o);
    if (!status) status = measure_sums(sums, &d, &g, o);
    if (!status) {
        printf("%-30s %9.2f %9.2f %9.2f\n", "all layers", gradients[EXACT], gradients[FREE],
               gradients[THREADS]);
        printf("%-30s %9s %9s\n", "sums of batch norm, ms", "A17", "float");
        printf("%-30s %9.2f %9.2f\n", "forward, all layers", sums[0][0], sums[0][1]);
        printf("%-30s %9.2f %9.2f\n", "backward, all layers", sums[1][0], sums[1][1]);
        printf("the rules cost %.2f ms a step, beside the fastest way of every layer\n",
               gradients[EXACT] - gradients[WAYS] + sums[0][0] - sums[0][1] + sums[1][0] - sums[1][1]);
    }
    rn_graph_free(&g);
    if (t.ops) tool_device_close(&t);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool rules = {
        .name = "rules", .summary = "measures what the rules that keep the bits cost", .run = run,
        .table = { { opt_net, opt_net_count }, { opt_net_cifar, opt_net_cifar_count },
                   { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&rules, argc, argv);
}
