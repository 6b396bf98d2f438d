/*
 * layers.c - speed of every convolution of a net, each pass for itself.
 *
 * Shapes come from the net's own graph, each once with the number of layers that have it.  A time is the
 * median of some calls on random data, weights packed before.  GF counts every tap of the filter, as
 * everyone does; "real" leaves out the taps that touch only padding, so it is the share of the peak
 * that says how good a kernel is.
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/analyze.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/graph.h"
#include "observe/observe.h"
#include "tools/cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct opt rows[] = {
    { "batch-size", OPT_INT, "128", 1, 65536, NULL, "N", "images a call", "Measurement" },
    { "runs", OPT_INT, "5", 1, 1000, NULL, "N", "calls that are timed", "Measurement" },
    { "pass", OPT_CHOICE, "all", 0, 0, "all|forward|data|weights", NULL, "what is timed", "Measurement" },
    { "stem", OPT_CHOICE, "cifar", 0, 0, "imagenet|cifar|cifar-pool|3x3s2|deep", NULL, "first layers", "Net" },
    { "image-size", OPT_INT, "32", 32, 4096, NULL, "N", "height and width given to the net", "Net" },
    { "num-classes", OPT_INT, "10", 2, 100000, NULL, "N", "outputs", "Net" },
};

enum { FORWARD, DATA, WEIGHTS, PASSES };
static const char *const pass_names[PASSES] = { "forward", "data", "weights" };

struct layer {
    struct rn_conv_shape shape;
    int count;
    bool first;                 /* reads the images: no data gradient */
    double ms[PASSES];
};

struct operands { float *src, *dst, *weights, *dweights; void *packed[2], *workspace; };

/* Multiply-accumulates whose tap lies inside the image, along one dimension. */
static int64_t inside(int in, int out, int filter, int stride, int pad)
{
    int64_t count = 0;
    for (int o = 0; o < out; o++)
        for (int f = 0; f < filter; f++) {
            int i = o * stride - pad + f;
            count += i >= 0 && i < in;
        }
    return count;
}

static double flops(const struct rn_conv_shape *s, bool real)
{
    double taps = real ? (double)inside(s->H, s->P, s->R, s->stride, s->pad) *
                             (double)inside(s->W, s->Q, s->S, s->stride, s->pad)
                       : (double)s->R * s->S * s->P * s->Q;
    return 2.0 * s->N * s->K * (s->C / s->groups) * taps;
}

static rn_status allocate(struct operands *x, const struct tool_device *d, const struct rn_conv_shape *s)
{
    const struct rn_ops *ops = d->ops;
    size_t weights = (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S) * sizeof(float);
    const size_t bytes[] = { ops->tensor_bytes(d->dev, s->N, s->C, s->H, s->W),
                             ops->tensor_bytes(d->dev, s->N, s->K, s->P, s->Q), weights, weights,
                             ops->conv2d_packed_bytes(d->dev, s, RN_PASS_FORWARD),
                             ops->conv2d_packed_bytes(d->dev, s, RN_PASS_BACKWARD_DATA),
                             ops->conv2d_workspace(d->dev, s) };
    void *memory[RN_COUNT(bytes)] = { 0 };
    rn_status status = RN_OK;
    for (size_t i = 0; i < RN_COUNT(bytes) && !status; i++) status = ops->alloc(d->dev, &memory[i], bytes[i]);
    *x = (struct operands){ memory[0], memory[1], memory[2], memory[3], { memory[4], memory[5] }, memory[6] };
    for (size_t i = 0; i < 3 && !status; i++) {
        struct rn_random r = rn_random(42, RN_RANDOM_TEST, (uint32_t)i, 0);
        float *v = memory[i];
        for (size_t k = 0; k < bytes[i] / sizeof(float); k++) v[k] = (float)(2 * rn_random_uniform(&r) - 1);
    }
    return status;
}

static void release(const struct operands *x, const struct tool_device *d)
{
    void *const memory[] = { x->src, x->dst, x->weights, x->dweights, x->packed[0], x->packed[1], x->workspace };
    for (size_t i = 0; i < RN_COUNT(memory); i++)
        if (memory[i]) d->ops->release(d->dev, memory[i]);
}

struct call { int pass; const struct operands *x; const struct tool_device *d; const struct rn_conv_shape *s; };

static void pass_body(void *arg)
{
    const struct call *c = arg;
    const struct operands *x = c->x;
    const struct rn_ops *ops = c->d->ops;
    void *dev = c->d->dev;
    if (c->pass == FORWARD) ops->conv2d_forward(dev, x->dst, x->src, x->packed[0], NULL, c->s, x->workspace);
    else if (c->pass == DATA)
        ops->conv2d_backward_data(dev, x->src, x->dst, x->packed[1], NULL, c->s, x->workspace);
    else ops->conv2d_backward_weights(dev, x->dweights, NULL, x->src, x->dst, c->s, x->workspace);
    ops->sync(dev);
}

/* As in a net: inside `run`, where the workers stand by. */
static void call(int pass, const struct operands *x, const struct tool_device *d, const struct rn_conv_shape *s)
{
    struct call c = { pass, x, d, s };
    d->ops->run(d->dev, pass_body, &c);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static rn_status measure(struct layer *l, const struct tool_device *d, const struct opt_set *o)
{
    const char *only = opt_text(o, "pass");
    int runs = (int)opt_int(o, "runs");
    struct operands x;
    double *ms = rn_alloc_array((size_t)runs, sizeof *ms);
    rn_status status = ms ? allocate(&x, d, &l->shape) : RN_ENOMEM;
    for (int pass = 0; pass < PASSES && !status; pass++) {
        if ((pass == DATA && l->first) || (strcmp(only, "all") && strcmp(only, pass_names[pass]))) continue;
        if (pass != WEIGHTS)
            d->ops->conv2d_pack(d->dev, x.packed[pass], x.weights, &l->shape,
                                pass == FORWARD ? RN_PASS_FORWARD : RN_PASS_BACKWARD_DATA);
        call(pass, &x, d, &l->shape);
        for (int i = 0; i < runs; i++) {
            double begin = rn_seconds();
            call(pass, &x, d, &l->shape);
            ms[i] = 1e3 * (rn_seconds() - begin);
        }
        qsort(ms, (size_t)runs, sizeof *ms, compare);
        l->ms[pass] = ms[runs / 2];
    }
    if (ms) release(&x, d);
    rn_free(ms);
    return status;
}

/* The different convolutions of the graph. */
static int collect(struct layer *layer, int limit, const struct rn_graph *g, int batch)
{
    int count = 0;
    for (int i = 0; i < g->nodes; i++) {
        if (g->node[i].kind != RN_NODE_CONV) continue;
        struct rn_conv_shape s = g->node[i].u.conv;
        int k = 0;
        s.N = batch;
        while (k < count && memcmp(&layer[k].shape, &s, sizeof s)) k++;
        if (k == limit) continue;
        if (k == count) layer[count++] = (struct layer){ .shape = s, .first = g->node[i].src == 0 };
        layer[k].count++;
    }
    return count;
}

static void print(const struct layer *l, double peak)
{
    const struct rn_conv_shape *s = &l->shape;
    char name[64];
    snprintf(name, sizeof name, "%d x %d>%d@%d %dx%d/%d g%d", l->count, s->C, s->K, s->H, s->R, s->S, s->stride,
             s->groups);
    printf("%-28s", name);
    for (int pass = 0; pass < PASSES; pass++)
        if (l->ms[pass] > 0)
            printf(" %8.3f %6.1f %4.0f%%", l->ms[pass], flops(s, false) / l->ms[pass] * 1e-6,
                   1e-4 * flops(s, true) / l->ms[pass] / peak);
        else
            printf(" %8s %6s %5s", "-", "-", "-");
    printf("\n");
    fflush(stdout);
}

static rn_status run(const struct opt_set *o)
{
    struct tool_device d = { 0 };
    struct rn_graph g = { 0 };
    struct rn_net_config c = { .image_size = (int)opt_int(o, "image-size"), .upsample = (int)opt_int(o, "upsample"),
                               .batch = 1, .eval_batch = 1 };
    struct layer layer[64];
    double total[PASSES] = { 0 }, work[PASSES] = { 0 };
    enum rn_stem stem;
    rn_status status = rn_stem_parse(&stem, opt_text(o, "stem"));
    if (!status) status = rn_arch_named(&c.arch, opt_text(o, "arch"), stem, (int)opt_int(o, "num-classes"));
    if (!status) status = rn_graph_build(&g, &c);
    if (!status) status = tool_device_open(&d, o);
    int count = status ? 0 : collect(layer, RN_COUNT(layer), &g, (int)opt_int(o, "batch-size"));
    double peak = status ? 0 : rn_peak_gflops(d.threads, d.ops->isa(d.dev));
    if (!status)
        printf("%s, batch %d, %d threads, %s; ms, GF with padding, share of the peak (%.0f GF) without\n"
               "%-28s %21s %21s %21s\n",
               opt_text(o, "arch"), (int)opt_int(o, "batch-size"), d.threads, d.ops->isa(d.dev), peak, "layers",
               "forward", "data gradient", "weight gradient");
    for (int i = 0; i < count && !status; i++) {
        status = measure(&layer[i], &d, o);
        if (!status) print(&layer[i], peak);
        for (int p = 0; p < PASSES; p++) {
            total[p] += layer[i].count * layer[i].ms[p];
            if (layer[i].ms[p] > 0) work[p] += layer[i].count * flops(&layer[i].shape, false);
        }
    }
    if (!status) {
        printf("%-28s", "all");
        for (int p = 0; p < PASSES; p++)
            printf(" %8.2f %6.1f %5s", total[p], total[p] > 0 ? work[p] / total[p] * 1e-6 : 0, "");
        printf("\n");
    }
    rn_graph_free(&g);
    if (d.ops) tool_device_close(&d);
    return status;
}

int main(int argc, char **argv)
{
    struct opt_set o;
    opt_begin(&o, "layers", "times every convolution of a net, each pass for itself");
    opt_add(&o, opt_net, opt_net_count);
    opt_add(&o, rows, RN_COUNT(rows));
    opt_add(&o, opt_common, opt_common_count);
    rn_status status = opt_parse(&o, argc, argv);
    if (!status) status = run(&o);
    opt_end(&o);
    return tool_exit("layers", status);
}
