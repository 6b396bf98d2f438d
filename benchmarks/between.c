/*
 * between.c - speed of everything between the convolutions of a net.
 *
 * Shapes come from the net's own graph, each once with the number of layers that have it.  A time is
 * the median of some calls, before each of which the caches are filled with something else, as the
 * convolutions of a step would.  GB/s counts every tensor once for each pass that must read or write
 * it, to be held against the copy of memory in the first line, counted alike.  A line with 0 layers is
 * there to compare and not part of the step.
 */
#define _POSIX_C_SOURCE 200809L

#include "base/mem.h"
#include "base/random.h"
#include "base/real.h"
#include "base/threads.h"
#include "net/graph.h"
#include "observe/observe.h"
#include "tools/cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct opt rows[] = {
    { "batch-size", OPT_INT, "128", 1, 65536, NULL, "N", "images a call", "Measurement" },
    { "runs", OPT_INT, "5", 1, 1000, NULL, "N", "calls that are timed", "Measurement" },
};

#define COLD ((size_t)96 << 20) /* bytes: more than a cache holds */
#define MAX_CHANNELS 2048
#define PIECES 15               /* of memory */

/* What a call works on: tensors as large as the largest of the net, or its parameters. */
struct bench {
    struct tool_device d;
    int runs;
    float *x, *y, *g, *h;  /* tensors, or floats; x holds numbers, g small ones */
    float *scale[4];       /* channels */
    double *saved;
    uint8_t *index;
    int32_t *labels;
    void *workspace;
    char *cold, *source;
    struct rn_image_move *move;
    void *memory[PIECES];
    struct rn_bn_shape bn;
    struct rn_pool_shape pool;
    struct rn_loss_shape loss;
    size_t count;          /* of a flat call */
    double element;        /* bytes of one of a tensor */
    double total;          /* ms of a step */
};

/* -- calls -------------------------------------------------------------------------------------- */

static const float *addend(const struct bench *b)
{
    return b->bn.post == RN_POST_ADD_RELU ? b->g : NULL;
}

static void bn_train(struct bench *b)
{
    b->d.ops->batchnorm_forward_train(b->d.dev, b->y, b->saved, b->x, addend(b), b->scale[0],
                                      b->scale[1], &b->bn, b->workspace);
}

static void bn_apply(struct bench *b)
{
    b->d.ops->batchnorm_apply(b->d.dev, b->y, b->x, addend(b), b->saved, b->scale[0], b->scale[1],
                              &b->bn);
}

/* The gradient of the addend, if there is one, replaces the incoming gradient, else that of x does. */
static void bn_backward(struct bench *b)
{
    bool sum = b->bn.post == RN_POST_ADD_RELU;
    b->d.ops->batchnorm_backward(b->d.dev, sum ? b->h : b->g, sum ? b->g : NULL, b->scale[2],
                                 b->scale[3], b->g, sum ? b->y : NULL, b->x, b->saved, b->scale[0],
                                 b->scale[1], &b->bn, b->workspace);
}

static void maxpool(struct bench *b)
{
    b->d.ops->maxpool_forward(b->d.dev, b->y, b->index, b->x, &b->pool);
}

static void maxpool_back(struct bench *b)
{
    b->d.ops->maxpool_backward(b->d.dev, b->h, b->g, b->index, &b->pool);
}

static void avgpool(struct bench *b)
{
    b->d.ops->global_avgpool_forward(b->d.dev, b->y, b->x, &b->pool);
}

static void avgpool_back(struct bench *b)
{
    b->d.ops->global_avgpool_backward(b->d.dev, b->h, b->g, &b->pool);
}

static void loss(struct bench *b)
{
    b->d.ops->softmax_cross_entropy(b->d.dev, b->saved, b->h, b->x, b->labels, &b->loss);
}

static void finite(struct bench *b) { b->d.ops->finite(b->d.dev, b->labels, b->x, b->count, NULL); }
static void accumulate(struct bench *b) { b->d.ops->accumulate(b->d.dev, b->y, b->x, b->count); }
static void relu(struct bench *b) { b->d.ops->relu_forward(b->d.dev, b->y, b->x, b->count); }

static void sgd(struct bench *b)
{
    const struct rn_sgd hp = { 0.1, 0.9, 5e-4, 1, NULL };
    b->d.ops->sgd_update(b->d.dev, b->x, b->y, b->g, b->count, &hp);
}

static void adamw(struct bench *b)
{
    const struct rn_adamw hp = { 1e-3, 0.9, 0.999, 1e-8, 0.01, 0.9, 0.999, NULL };
    b->d.ops->adamw_update(b->d.dev, b->x, b->y, b->h, b->g, b->count, &hp);
}

static void images(struct bench *b)
{
    const struct rn_pool_shape *p = &b->pool;
    const struct rn_image_shape s = { p->N, p->C, p->H, p->W, 0, { 0 }, { 1, 1, 1 } };
    b->d.ops->images_forward(b->d.dev, b->y, b->index, b->move, &s);
}

static void copy_range(void *arg, int64_t begin, int64_t end, int worker)
{
    struct bench *b = arg;
    (void)worker;
    memcpy(b->cold + begin, b->source + begin, (size_t)(end - begin));
}

static void copy(struct bench *b)
{
    rn_parallel_range(b->d.threads, (int64_t)COLD, 1 << 16, copy_range, b);
}

/* -- measuring ------------------------------------------------------------------------------------ */

static void fill_range(void *arg, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    memset((char *)arg + begin, (int)begin & 1, (size_t)(end - begin));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times `call`, which moves `bytes`, and prints it; `times` of it make a step. */
static void measure(struct bench *b, const char *name, void (*call)(struct bench *), double bytes,
                    int times)
{
    double ms[64];
    int runs = RN_MIN(b->runs, (int)RN_COUNT(ms));
    call(b);
    for (int i = 0; i < runs; i++) {
        rn_parallel_range(b->d.threads, (int64_t)COLD, 1 << 16, fill_range, b->cold);
        double begin = rn_seconds();
        call(b);
        ms[i] = 1e3 * (rn_seconds() - begin);
    }
    qsort(ms, (size_t)runs, sizeof *ms, compare);
    b->total += times * ms[runs / 2];
    printf("%2d x %-34s %9.3f ms %7.1f GB/s\n", times, name, ms[runs / 2], 1e-6 * bytes / ms[runs / 2]);
    fflush(stdout);
}

static void measure_bn(struct bench *b, int times)
{
    static const char *const post[] = { "", "+relu", "+add+relu" };
    const struct rn_bn_shape *s = &b->bn;
    double tensor = b->element * s->N * s->C * s->H * s->W;
    int sum = s->post == RN_POST_ADD_RELU;
    char name[80], where[40];
    snprintf(where, sizeof where, "%s %d@%d", post[s->post], s->C, s->H);
    snprintf(name, sizeof name, "bn%s sums, apply", where);
    measure(b, name, bn_train, (3 + sum) * tensor, times);
    snprintf(name, sizeof name, "bn%s apply", where);
    measure(b, name, bn_apply, (2 + sum) * tensor, 0);
    snprintf(name, sizeof name, "bn%s back", where);
    measure(b, name, bn_backward, (5 + 3 * sum) * tensor, times);
}

static void measure_pool(struct bench *b, bool max)
{
    const struct rn_pool_shape *s = &b->pool;
    double in = (double)s->N * s->C * s->H * s->W, out = (double)s->N * s->C * s->P * s->Q;
    double bytes = b->element * (in + out) + (max ? out : 0);
    measure(b, max ? "max-pool" : "global average", max ? maxpool : avgpool, bytes, 1);
    measure(b, max ? "max-pool back" : "global average back", max ? maxpool_back : avgpool_back, bytes,
            1);
}

static void measure_flat(struct bench *b, size_t count)
{
    double bytes = 4.0 * (double)count;
    b->count = count;
    measure(b, "gradients finite", finite, bytes, 1);
    measure(b, "weights finite", finite, bytes, 1);
    measure(b, "SGD", sgd, 5 * bytes, 1);
    measure(b, "AdamW", adamw, 7 * bytes, 0);
    measure(b, "accumulate", accumulate, 3 * bytes, 0);
    measure(b, "ReLU", relu, 2 * b->element * (double)count, 0);
}

/* -- a net ---------------------------------------------------------------------------------------- */

static size_t elements(const struct rn_node *n) { return (size_t)n->C * (size_t)n->H * (size_t)n->W; }

static rn_status allocate(struct bench *b, const struct rn_graph *g, int batch)
{
    size_t largest = g->trainable, workspace = 0;
    for (int i = 0; i < g->nodes; i++) {
        largest = RN_MAX(largest, elements(&g->node[i]) * (size_t)batch);
        if (g->node[i].kind != RN_NODE_BN) continue;
        struct rn_bn_shape s = g->node[i].u.bn;
        s.N = batch;
        workspace = RN_MAX(workspace, b->d.ops->batchnorm_workspace(b->d.dev, &s));
    }
    const size_t vector = MAX_CHANNELS * sizeof(float), tensor = largest * sizeof(float);
    const size_t saved = RN_MAX(2 * MAX_CHANNELS, (size_t)batch) * sizeof(double);
    const size_t bytes[PIECES] = { tensor, tensor, tensor, tensor, vector, vector, vector, vector,
                                   saved, largest, (size_t)batch * sizeof(int32_t), workspace, COLD,
                                   COLD, (size_t)batch * sizeof *b->move };
    rn_status status = RN_OK;
    for (int i = 0; i < PIECES && !status; i++)
        status = b->d.ops->alloc(b->d.dev, &b->memory[i], bytes[i]);
    if (status) return status;
    b->x = b->memory[0], b->y = b->memory[1], b->g = b->memory[2], b->h = b->memory[3];
    for (int i = 0; i < 4; i++) b->scale[i] = b->memory[4 + i];
    b->saved = b->memory[8], b->index = b->memory[9], b->labels = b->memory[10];
    b->workspace = b->memory[11], b->cold = b->memory[12], b->source = b->memory[13];
    b->move = b->memory[14];
    b->element = (double)b->d.ops->tensor_bytes(b->d.dev, batch, MAX_CHANNELS, 1, 1) / batch / MAX_CHANNELS;
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    for (size_t k = 0; k < largest; k++) { /* with nothing in the lower halves: bf16 tensors as well */
        b->x[k] = rn_round_bf16((float)(2 * rn_random_uniform(&r) - 1));
        b->g[k] = rn_round_bf16(b->x[k] * 0.01f);
    }
    for (int c = 0; c < MAX_CHANNELS; c++) b->scale[0][c] = 1;
    memset(b->source, 1, COLD);
    return RN_OK;
}

static void release(struct bench *b)
{
    for (int i = 0; i < PIECES; i++) b->d.ops->release(b->d.dev, b->memory[i]);
}

static bool same_bn(const struct rn_node *a, const struct rn_node *b)
{
    return a->kind == b->kind && a->C == b->C && a->H == b->H && a->W == b->W &&
           a->u.bn.post == b->u.bn.post;
}

static void measure_node(struct bench *b, const struct rn_graph *g, int i, int batch)
{
    const struct rn_node *n = &g->node[i];
    int times = 0;
    switch (n->kind) {
    case RN_NODE_INPUT:
        b->pool = (struct rn_pool_shape){ .N = batch, .C = n->C, .H = n->H, .W = n->W };
        measure(b, "bytes to images", images, (1 + b->element) * batch * (double)elements(n), 1);
        break;
    case RN_NODE_BN:
        for (int k = 0; k < i; k++)
            if (same_bn(n, &g->node[k])) return;
        for (int k = i; k < g->nodes; k++) times += same_bn(n, &g->node[k]);
        b->bn = n->u.bn;
        b->bn.N = batch;
        measure_bn(b, times);
        break;
    case RN_NODE_MAXPOOL:
    case RN_NODE_AVGPOOL:
        b->pool = n->u.pool;
        b->pool.N = batch;
        measure_pool(b, n->kind == RN_NODE_MAXPOOL);
        break;
    default:
        break;
    }
}

static rn_status run(struct opt_set *o)
{
    struct bench b = { .runs = (int)opt_int(o, "runs") };
    struct rn_graph g = { 0 };
    struct rn_net_config c = { .batch = 1, .eval_batch = 1 };
    int batch = (int)opt_int(o, "batch-size");
    rn_status status = tool_net(&c, o);
    if (!status) status = rn_graph_build(&g, &c);
    if (!status) status = tool_device_open(&b.d, o);
    if (!status) status = allocate(&b, &g, batch);
    if (!status) {
        printf("%s, batch %d, %d threads, %s\n", opt_text(o, "arch"), batch, b.d.threads,
               b.d.ops->isa(b.d.dev));
        measure(&b, "memory to memory", copy, 2.0 * (double)COLD, 0);
        for (int i = 0; i < g.nodes; i++) measure_node(&b, &g, i, batch);
        b.loss = (struct rn_loss_shape){ batch, g.node[g.nodes - 1].C, batch, 0 };
        measure(&b, "loss", loss, 8.0 * batch * b.loss.K, 1);
        measure_flat(&b, g.trainable);
        printf("a step %37.1f ms\n", b.total);
    }
    rn_graph_free(&g);
    if (b.d.ops) {
        release(&b);
        tool_device_close(&b.d);
    }
    return status;
}

int main(int argc, char **argv)
{
    const struct tool between = {
        .name = "between", .summary = "times everything between the convolutions of a net", .run = run,
        .table = { { opt_net, opt_net_count }, { opt_net_cifar, opt_net_cifar_count },
                   { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&between, argc, argv);
}
