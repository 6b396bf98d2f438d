/*
 * layers.c - speed of every convolution of a net, each pass for itself.
 *
 * Shapes come from the net's own graph, each once with the number of layers that have it.  A time is the
 * median of some calls on random data, weights packed before.  GF counts every tap of the filter, as
 * everyone does; "real" leaves out the taps that touch only padding, so it is the share of the peak
 * that says how good a kernel is.  The peak is that of fused multiply-adds; none is known for tile units.
 * With --beside another numerics computes the same layers, call by call in turn, and "x" is the speed over it.
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/analyze.h"
#include "base/mem.h"
#include "base/quantile.h"
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
    { "beside", OPT_CHOICE, NULL, 0, 0, "fp32|fp32-winograd|bf16", NULL, "numerics to compare with in turn",
      "Measurement" },
};

enum { FORWARD, DATA, WEIGHTS, PASSES };
static const char *const pass_names[PASSES] = { "forward", "data", "weights" };

enum { OWN, BESIDE, SIDES };

struct layer {
    struct rn_conv_shape shape;
    int count;
    bool first;                 /* reads the images: no data gradient */
    double ms[SIDES][PASSES];
};

struct operands { void *src, *dst; float *weights, *dweights; void *packed[2], *workspace; };

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

/* Fills a tensor. */
static rn_status random_tensor(const struct tool_device *d, void *tensor, struct rn_random *r, int N, int C, int H,
                               int W)
{
    size_t count = (size_t)N * (size_t)C * (size_t)H * (size_t)W;
    float *v = rn_alloc_array(count, sizeof *v);
    for (size_t k = 0; v && k < count; k++) v[k] = (float)(2 * rn_random_uniform(r) - 1);
    if (v) d->ops->tensor_set(d->dev, tensor, v, N, C, H, W);
    rn_free(v);
    return v ? RN_OK : RN_ENOMEM;
}

static rn_status allocate(struct operands *x, const struct tool_device *d, const struct rn_conv_shape *s)
{
    const struct rn_ops *ops = d->ops;
    size_t count = (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S);
    const size_t bytes[] = { ops->tensor_bytes(d->dev, s->N, s->C, s->H, s->W),
                             ops->tensor_bytes(d->dev, s->N, s->K, s->P, s->Q),
                             count * sizeof(float), count * sizeof(float),
                             ops->conv2d_packed_bytes(d->dev, s, RN_PASS_FORWARD),
                             ops->conv2d_packed_bytes(d->dev, s, RN_PASS_BACKWARD_DATA),
                             ops->conv2d_workspace(d->dev, s) };
    void *memory[RN_COUNT(bytes)] = { 0 };
    rn_status status = RN_OK;
    for (size_t i = 0; i < RN_COUNT(bytes) && !status; i++) status = ops->alloc(d->dev, &memory[i], bytes[i]);
    *x = (struct operands){ memory[0], memory[1], memory[2], memory[3], { memory[4], memory[5] }, memory[6] };
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    if (!status) status = random_tensor(d, x->src, &r, s->N, s->C, s->H, s->W);
    if (!status) status = random_tensor(d, x->dst, &r, s->N, s->K, s->P, s->Q);
    for (size_t k = 0; k < count && !status; k++) x->weights[k] = (float)(2 * rn_random_uniform(&r) - 1);
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

/* The sides take turns; ms[side][runs] is room for their times. */
static void time_pass(struct layer *l, int pass, const struct operands *x, const struct tool_device *d,
                      int sides, double *ms[SIDES], int runs)
{
    for (int i = -1; i < runs; i++) /* the first round is not counted */
        for (int side = 0; side < sides; side++) {
            double begin = rn_seconds();
            call(pass, &x[side], &d[side], &l->shape);
            if (i >= 0) ms[side][i] = 1e3 * (rn_seconds() - begin);
        }
    for (int side = 0; side < sides; side++) l->ms[side][pass] = rn_median(ms[side], runs);
}

/* d: of each side; the second may be missing. */
static rn_status measure(struct layer *l, const struct tool_device d[SIDES], const struct opt_set *o)
{
    const char *only = opt_text(o, "pass");
    int runs = (int)opt_int(o, "runs"), sides = d[BESIDE].ops ? 2 : 1;
    struct operands x[SIDES] = { { 0 } };
    double *ms[SIDES] = { 0 };
    rn_status status = RN_OK;
    for (int side = 0; side < sides && !status; side++) {
        ms[side] = rn_alloc_array((size_t)runs, sizeof *ms[side]);
        status = ms[side] ? allocate(&x[side], &d[side], &l->shape) : RN_ENOMEM;
    }
    for (int pass = 0; pass < PASSES && !status; pass++) {
        if ((pass == DATA && l->first) || (strcmp(only, "all") && strcmp(only, pass_names[pass]))) continue;
        for (int side = 0; side < sides && pass != WEIGHTS; side++)
            d[side].ops->conv2d_pack(d[side].dev, x[side].packed[pass], x[side].weights, &l->shape,
                                     pass == FORWARD ? RN_PASS_FORWARD : RN_PASS_BACKWARD_DATA);
        time_pass(l, pass, x, d, sides, ms, runs);
    }
    for (int side = 0; side < sides; side++) {
        release(&x[side], &d[side]);
        rn_free(ms[side]);
    }
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

static void print_head(const struct tool_device d[SIDES], const struct opt_set *o, double peak)
{
    const char *beside = opt_text(o, "beside"), *x = beside ? "      x" : "";
    printf("%s, batch %d, %d threads, %s, %s; ms, GF with padding, share of the peak (%.0f GF) without\n",
           opt_text(o, "arch"), (int)opt_int(o, "batch-size"), d->threads, opt_text(o, "numerics"),
           d->ops->isa(d->dev), peak);
    if (beside) printf("x: the speed over that of %s, %s\n", beside, d[BESIDE].ops->isa(d[BESIDE].dev));
    printf("%-28s %21s%s %21s%s %21s%s\n", "layers", "forward", x, "data gradient", x, "weight gradient", x);
}

/* A row of the table. */
static void print(const char *name, double ms[SIDES][PASSES], const double work[PASSES],
                  const double real[PASSES], double peak, bool beside)
{
    printf("%-28s", name);
    for (int p = 0; p < PASSES; p++) {
        if (ms[OWN][p] > 0) printf(" %8.3f %6.1f", ms[OWN][p], work[p] / ms[OWN][p] * 1e-6);
        else printf(" %8s %6s", "-", "-");
        if (ms[OWN][p] > 0 && peak > 0) printf(" %4.0f%%", 1e-4 * real[p] / ms[OWN][p] / peak);
        else printf(" %5s", "-");
        if (beside && ms[OWN][p] > 0) printf(" %6.2f", ms[BESIDE][p] / ms[OWN][p]);
        else if (beside) printf(" %6s", "-");
    }
    printf("\n");
    fflush(stdout);
}

static void print_layer(struct layer *l, double peak, bool beside)
{
    const struct rn_conv_shape *s = &l->shape;
    double work[PASSES], real[PASSES];
    char name[64];
    snprintf(name, sizeof name, "%d x %d>%d@%d %dx%d/%d g%d", l->count, s->C, s->K, s->H, s->R, s->S, s->stride,
             s->groups);
    for (int p = 0; p < PASSES; p++) work[p] = flops(s, false), real[p] = flops(s, true);
    print(name, l->ms, work, real, peak, beside);
}

static rn_status open_sides(struct tool_device d[SIDES], const struct opt_set *o)
{
    const char *beside = opt_text(o, "beside");
    rn_status status = tool_device_open(&d[OWN], o);
    if (status || !beside) return status;
    const struct rn_device_options options = { d[OWN].threads, opt_text(o, "isa"), beside };
    d[BESIDE].threads = d[OWN].threads;
    const struct rn_ops *ops;
    status = rn_backend_find(&ops, opt_text(o, "backend"), beside);
    if (!status) status = ops->open(&d[BESIDE].dev, &options);
    if (!status) d[BESIDE].ops = ops;
    return status;
}

static rn_status run(struct opt_set *o)
{
    struct tool_device d[SIDES] = { { 0 } };
    struct rn_graph g = { 0 };
    struct rn_net_config c = { .batch = 1, .eval_batch = 1 };
    struct layer layer[64];
    double total[SIDES][PASSES] = { { 0 } }, work[PASSES] = { 0 }, real[PASSES] = { 0 };
    bool beside = opt_given(o, "beside");
    rn_status status = tool_net(&c, o);
    if (!status) status = rn_graph_build(&g, &c);
    if (!status) status = open_sides(d, o);
    int count = status ? 0 : collect(layer, RN_COUNT(layer), &g, (int)opt_int(o, "batch-size"));
    double peak = status ? 0 : rn_peak_gflops(d->threads, d->ops->isa(d->dev));
    if (!status) print_head(d, o, peak);
    for (int i = 0; i < count && !status; i++) {
        struct layer *l = &layer[i];
        status = measure(l, d, o);
        if (!status) print_layer(l, peak, beside);
        for (int p = 0; p < PASSES; p++) {
            for (int side = 0; side < SIDES; side++) total[side][p] += l->count * l->ms[side][p];
            if (l->ms[OWN][p] == 0) continue;
            work[p] += l->count * flops(&l->shape, false);
            real[p] += l->count * flops(&l->shape, true);
        }
    }
    if (!status) print("all", total, work, real, peak, beside);
    rn_graph_free(&g);
    for (int side = 0; side < SIDES; side++) tool_device_close(&d[side]);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool layers = {
        .name = "layers", .summary = "times every convolution of a net, each pass for itself", .run = run,
        .table = { { opt_net, opt_net_count }, { opt_net_cifar, opt_net_cifar_count },
                   { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&layers, argc, argv);
}
