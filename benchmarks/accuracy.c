/*
 * accuracy.c - how far the convolutions of each numerics are from the exact result.
 *
 * Every different convolution of a net, forward and both gradients, on normal random operands (weights
 * with the deviation of their initial values) under many seeds, beside the same sums in double.  The
 * error of a pass is the difference in root mean square over all seeds, and the largest one, both divided
 * by the root mean square of the exact result.  Where a numerics gives the bits of fp32 it has "=".
 *
 * The error of bf16 is first of all that its operands are rounded; with --rounded they are drawn as numbers
 * that bf16 has, so that what is left is the error of its sums and, of a tensor, of the last rounding.
 */
#define _POSIX_C_SOURCE 200809L

#include "base/mem.h"
#include "base/random.h"
#include "base/real.h"
#include "base/threads.h"
#include "net/graph.h"
#include "tools/cli/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "batch-size", OPT_INT, "4", 1, 64, NULL, "N", "images a call", "Measurement" },
    { "seeds", OPT_INT, "20", 1, 100000, NULL, "N", "draws of random operands", "Measurement" },
    { "rounded", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "operands are numbers that bf16 has", "Measurement" },
};

enum { FORWARD, DATA, WEIGHTS, PASSES };
static const char *const pass_names[PASSES] = { "forward", "data gradient", "weight gradient" };
static const char *const numerics[] = { "fp32", "fp32-winograd", "bf16" };
#define NUMERICS ((int)RN_COUNT(numerics))

struct error { double squares, worst; };

/* One convolution: operands as every backend gets them, the exact results, what was measured. */
struct work {
    struct rn_conv_shape s;
    float *x, *w, *dy;                /* NCHW, OIHW, NCHW */
    double *exact[PASSES];
    double squares[PASSES];           /* of the exact results, all seeds */
    struct error error[NUMERICS][PASSES];
    bool own[NUMERICS][PASSES];       /* other bits than the first numerics */
};

static size_t elements(const struct rn_conv_shape *s, int pass)
{
    if (pass == FORWARD) return (size_t)s->N * (size_t)s->K * (size_t)s->P * (size_t)s->Q;
    if (pass == DATA) return (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
    return (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)s->R * (size_t)s->S;
}

/* -- in double ------------------------------------------------------------------------------------ */

/* The output positions o of one dimension for which o * stride - pad + f lies in 0 ... in-1. */
struct span { int begin, end; };

static struct span span_of(int in, int out, int f, const struct rn_conv_shape *s)
{
    struct span r = { 0, out };
    while (r.begin < r.end && r.begin * s->stride - s->pad + f < 0) r.begin++;
    while (r.end > r.begin && (r.end - 1) * s->stride - s->pad + f >= in) r.end--;
    return r;
}

/* What one tap (r, q) of one pair of channels does on one image's maps x[H][W] and y[P][Q]: FORWARD adds
 * x w to y, DATA adds y w to x, WEIGHTS returns the sum of x y. */
static double tap(int pass, double *x, double *y, double w, int r, int q, const struct rn_conv_shape *s)
{
    struct span rows_in = span_of(s->H, s->P, r, s), columns = span_of(s->W, s->Q, q, s);
    int count = columns.end - columns.begin, step = s->stride;
    double sum[4] = { 0 };
    for (int p = rows_in.begin; p < rows_in.end; p++) {
        double *a = x + (p * step - s->pad + r) * s->W + columns.begin * step - s->pad + q;
        double *b = y + p * s->Q + columns.begin;
        if (pass == FORWARD)
            for (int i = 0; i < count; i++) b[i] += w * a[i * step];
        else if (pass == DATA)
            for (int i = 0; i < count; i++) a[i * step] += w * b[i];
        else
            for (int i = 0; i < count; i++) sum[i & 3] += a[i * step] * b[i];
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

struct exact { struct work *k; int pass; double *x, *y; };

/* FORWARD: task = output map (n, k); DATA: input map (n, c); WEIGHTS: output channel. */
static void exact_task(void *arg, int64_t task, int worker)
{
    struct exact *e = arg;
    const struct rn_conv_shape *s = &e->k->s;
    int Cg = s->C / s->groups, Kg = s->K / s->groups, taps = s->R * s->S, pass = e->pass;
    int outer = pass == FORWARD ? s->K : s->C, n0 = pass == WEIGHTS ? 0 : (int)(task / outer);
    int k0 = pass == WEIGHTS ? (int)task : (int)(task % outer);
    int inner = pass == DATA ? Kg : Cg, group = k0 / (pass == DATA ? Cg : Kg);
    (void)worker;
    for (int n = n0; n < (pass == WEIGHTS ? s->N : n0 + 1); n++)
        for (int i = 0; i < inner; i++) {
            int k = pass == DATA ? group * Kg + i : k0, c = pass == DATA ? k0 : group * Cg + i;
            double *x = e->x + ((size_t)n * (size_t)s->C + (size_t)c) * (size_t)(s->H * s->W);
            double *y = e->y + ((size_t)n * (size_t)s->K + (size_t)k) * (size_t)(s->P * s->Q);
            for (int t = 0; t < taps; t++) {
                size_t place = ((size_t)k * (size_t)Cg + (size_t)(c % Cg)) * (size_t)taps + (size_t)t;
                double sum = tap(pass, x, y, e->k->w[place], t / s->S, t % s->S, s);
                if (pass == WEIGHTS) e->k->exact[WEIGHTS][place] += sum;
            }
        }
}

static double *widened(const float *v, size_t count)
{
    double *d = rn_alloc_array(count, sizeof *d);
    for (size_t i = 0; d && v && i < count; i++) d[i] = v[i];
    return d;
}

static rn_status compute_exact(struct work *k, int threads)
{
    const struct rn_conv_shape *s = &k->s;
    rn_status status = RN_OK;
    for (int pass = 0; pass < PASSES && !status; pass++) {
        struct exact e = { k, pass, widened(pass == DATA ? NULL : k->x, elements(s, DATA)),
                           widened(pass == FORWARD ? NULL : k->dy, elements(s, FORWARD)) };
        if (e.x && e.y) {
            memset(k->exact[pass], 0, elements(s, pass) * sizeof(double));
            rn_parallel(threads, pass == FORWARD ? s->N * s->K : pass == DATA ? s->N * s->C : s->K,
                        exact_task, &e);
            if (pass != WEIGHTS)
                memcpy(k->exact[pass], pass == FORWARD ? e.y : e.x, elements(s, pass) * sizeof(double));
        } else {
            status = RN_ENOMEM;
        }
        rn_free(e.x);
        rn_free(e.y);
    }
    for (int pass = 0; pass < PASSES && !status; pass++)
        for (size_t i = 0; i < elements(s, pass); i++)
            k->squares[pass] += k->exact[pass][i] * k->exact[pass][i];
    return status;
}

/* -- one numerics --------------------------------------------------------------------------------- */

struct device { const struct rn_ops *ops; void *dev; };

/* out[pass] in NCHW or OIHW. */
static rn_status compute(float *out[PASSES], const struct device *d, const struct work *k)
{
    const struct rn_ops *ops = d->ops;
    const struct rn_conv_shape *s = &k->s;
    const size_t bytes[] = { ops->tensor_bytes(d->dev, s->N, s->C, s->H, s->W),
                             ops->tensor_bytes(d->dev, s->N, s->K, s->P, s->Q),
                             ops->tensor_bytes(d->dev, s->N, s->C, s->H, s->W),
                             ops->tensor_bytes(d->dev, s->N, s->K, s->P, s->Q),
                             ops->conv2d_packed_bytes(d->dev, s, RN_PASS_FORWARD),
                             ops->conv2d_packed_bytes(d->dev, s, RN_PASS_BACKWARD_DATA),
                             ops->conv2d_workspace(d->dev, s) };
    void *m[RN_COUNT(bytes)] = { 0 };
    rn_status status = RN_OK;
    for (size_t i = 0; i < RN_COUNT(bytes) && !status; i++) status = ops->alloc(d->dev, &m[i], bytes[i]);
    if (!status) {
        ops->tensor_set(d->dev, m[0], k->x, s->N, s->C, s->H, s->W);
        ops->tensor_set(d->dev, m[1], k->dy, s->N, s->K, s->P, s->Q);
        ops->conv2d_pack(d->dev, m[4], k->w, s, RN_PASS_FORWARD);
        ops->conv2d_pack(d->dev, m[5], k->w, s, RN_PASS_BACKWARD_DATA);
        ops->conv2d_forward(d->dev, m[3], m[0], m[4], NULL, s, m[6]);
        ops->conv2d_backward_data(d->dev, m[2], m[1], m[5], NULL, s, m[6]);
        ops->conv2d_backward_weights(d->dev, out[WEIGHTS], NULL, m[0], m[1], s, m[6]);
        ops->tensor_get(d->dev, out[FORWARD], m[3], s->N, s->K, s->P, s->Q);
        ops->tensor_get(d->dev, out[DATA], m[2], s->N, s->C, s->H, s->W);
    }
    for (size_t i = 0; i < RN_COUNT(bytes); i++) ops->release(d->dev, m[i]);
    return status;
}

static void compare(struct error *e, const float *out, const double *exact, size_t count)
{
    double squares = 0, largest = 0, rms = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs(out[i] - exact[i]);
        squares += difference * difference;
        largest = RN_MAX(largest, difference);
        rms += exact[i] * exact[i];
    }
    rms = sqrt(rms / (double)count);
    e->squares += squares;
    e->worst = RN_MAX(e->worst, largest / rms);
}

/* -- all seeds of one convolution ----------------------------------------------------------------- */

#define BLOCK 4096 /* numbers drawn from one key */

struct draw { float *out; size_t count; double deviation; uint64_t seed; uint32_t tensor; bool rounded; };

static void draw_task(void *arg, int64_t block, int worker)
{
    const struct draw *d = arg;
    struct rn_random r = rn_random(d->seed, RN_RANDOM_TEST, d->tensor, (uint32_t)block);
    size_t begin = (size_t)block * BLOCK, end = RN_MIN(begin + BLOCK, d->count);
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float x = (float)(rn_random_normal(&r) * d->deviation);
        d->out[i] = d->rounded ? rn_round_bf16(x) : x;
    }
}

static void draw(struct work *k, uint64_t seed, bool rounded, int threads)
{
    const struct rn_conv_shape *s = &k->s;
    double deviation = sqrt(2.0 / ((double)s->K * s->R * s->S));
    struct draw d[] = { { k->x, elements(s, DATA), 1, seed, 0, rounded },
                        { k->dy, elements(s, FORWARD), 1, seed, 1, rounded },
                        { k->w, elements(s, WEIGHTS), deviation, seed, 2, rounded } };
    for (size_t t = 0; t < RN_COUNT(d); t++)
        rn_parallel(threads, (int64_t)((d[t].count + BLOCK - 1) / BLOCK), draw_task, &d[t]);
}

static rn_status measure(struct work *k, const struct device d[NUMERICS], const struct opt_set *o)
{
    int threads = (int)opt_int(o, "threads"), seeds = (int)opt_int(o, "seeds");
    float *out[NUMERICS][PASSES];
    bool memory = true;
    k->x = rn_alloc_array(elements(&k->s, DATA), sizeof(float));
    k->w = rn_alloc_array(elements(&k->s, WEIGHTS), sizeof(float));
    k->dy = rn_alloc_array(elements(&k->s, FORWARD), sizeof(float));
    for (int p = 0; p < PASSES; p++) {
        memory &= (k->exact[p] = rn_alloc_array(elements(&k->s, p), sizeof(double))) != NULL;
        for (int m = 0; m < NUMERICS; m++)
            memory &= (out[m][p] = rn_alloc_array(elements(&k->s, p), sizeof(float))) != NULL;
    }
    rn_status status = memory && k->x && k->w && k->dy ? RN_OK : RN_ENOMEM;
    for (int seed = 0; seed < seeds && !status; seed++) {
        draw(k, (uint64_t)seed, opt_switch(o, "rounded"), threads);
        status = compute_exact(k, threads);
        for (int m = 0; m < NUMERICS && !status; m++) status = compute(out[m], &d[m], k);
        for (int p = 0; p < PASSES && !status; p++) {
            size_t count = elements(&k->s, p);
            for (int m = 0; m < NUMERICS; m++) {
                compare(&k->error[m][p], out[m][p], k->exact[p], count);
                k->own[m][p] |= m == 0 || memcmp(out[0][p], out[m][p], count * sizeof(float)) != 0;
            }
        }
    }
    for (int p = 0; p < PASSES; p++) {
        rn_free(k->exact[p]);
        for (int m = 0; m < NUMERICS; m++) rn_free(out[m][p]);
    }
    rn_free(k->x);
    rn_free(k->w);
    rn_free(k->dy);
    return status;
}

static void print(const struct work *k)
{
    const struct rn_conv_shape *s = &k->s;
    for (int p = 0; p < PASSES; p++) {
        printf("| %d > %d, %dx%d /%d, %d x %d | %s |", s->C, s->K, s->R, s->S, s->stride, s->H, s->W,
               pass_names[p]);
        for (int m = 0; m < NUMERICS; m++)
            if (k->own[m][p])
                printf(" %.1e | %.1e |", sqrt(k->error[m][p].squares / k->squares[p]), k->error[m][p].worst);
            else
                printf(" = | = |");
        printf("\n");
    }
    fflush(stdout);
}

static void head(const struct opt_set *o)
{
    printf("Batch %d, %d seeds%s.\n\n| convolution, map | pass |", (int)opt_int(o, "batch-size"),
           (int)opt_int(o, "seeds"), opt_switch(o, "rounded") ? ", operands rounded to bf16" : "");
    for (int m = 0; m < NUMERICS; m++) printf(" %s: rms | largest |", numerics[m]);
    printf("\n|---|---|");
    for (int m = 0; m < NUMERICS; m++) printf("---|---|");
    printf("\n");
}

static rn_status run(struct opt_set *o)
{
    struct rn_graph g = { 0 };
    struct rn_net_config c = { .batch = 1, .eval_batch = 1 };
    struct device d[NUMERICS] = { { 0 } };
    struct rn_conv_shape seen[64];
    int threads = (int)opt_int(o, "threads"), count = 0;
    rn_status status = tool_net(&c, o);
    if (!status) status = rn_graph_build(&g, &c);
    for (int m = 0; m < NUMERICS && !status; m++) {
        struct rn_device_options options = { .threads = threads, .isa = opt_text(o, "isa"),
                                             .numerics = numerics[m] };
        status = rn_backend_find(&d[m].ops, opt_text(o, "backend"), numerics[m]);
        if (!status) status = d[m].ops->open(&d[m].dev, &options);
    }
    if (!status) head(o);
    for (int i = 0; i < g.nodes && !status; i++) {
        struct work k = { .s = g.node[i].u.conv };
        int same = 0;
        if (g.node[i].kind != RN_NODE_CONV) continue;
        k.s.N = (int)opt_int(o, "batch-size");
        while (same < count && memcmp(&seen[same], &k.s, sizeof k.s)) same++;
        if (same < count || count == (int)RN_COUNT(seen)) continue;
        seen[count++] = k.s;
        status = measure(&k, d, o);
        if (!status) print(&k);
    }
    for (int m = 0; m < NUMERICS; m++)
        if (d[m].dev) d[m].ops->close(d[m].dev);
    rn_graph_free(&g);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool accuracy = {
        .name = "accuracy", .summary = "measures the error of convolutions against double", .run = run,
        .table = { { opt_net, opt_net_count }, { opt_net_cifar, opt_net_cifar_count },
                   { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&accuracy, argc, argv);
}
