/*
 * batchnorm.c - batch norm, alone or followed by ReLU or add + ReLU (A17, A18, A22).
 *
 * Sums: every run of 128 positions is a task that walks its rows with the channels in vectors, in
 * double; runs and groups then meet in the tree of A11, channels in parallel.  The normalisation
 * and its gradient are one pass each, with per-channel float coefficients.  Ioffe & Szegedy,
 * arXiv:1502.03167.
 */
#include "cpu/batchnorm.h"

#include <math.h>

#define RUN 128           /* A17: positions in one chain */
#define EVAL_CHANNELS 256 /* whose coefficients stand on a worker's stack */

/* How the positions of a batch are cut (A11, A17): groups of `length` positions, each of `runs`
 * runs. */
struct cut { int64_t positions, length, runs, groups; };

static struct cut cut(const struct rn_bn_shape *s)
{
    int64_t map = (int64_t)s->H * s->W;
    struct cut c = { .positions = s->N * map, .length = rn_group_images(map) * map };
    c.runs = (c.length + RUN - 1) / RUN;
    c.groups = (c.positions + c.length - 1) / c.length;
    return c;
}

static size_t padded(const struct rn_bn_shape *s) { return rn_round_up((size_t)s->C, RN_PAD); }

/* The workspace: sums of every run, [runs][padded] each, and the coefficients. */
struct space { double *s, *q; float *a, *b, *c; size_t bytes; };

static struct space carve(const struct rn_bn_shape *s, void *workspace)
{
    struct cut c = cut(s);
    struct rn_carve w = { workspace, 0 };
    struct space v;
    v.s = rn_carve(&w, (size_t)(c.groups * c.runs) * padded(s) * sizeof(double));
    v.q = rn_carve(&w, (size_t)(c.groups * c.runs) * padded(s) * sizeof(double));
    v.a = rn_carve(&w, padded(s) * sizeof(float));
    v.b = rn_carve(&w, padded(s) * sizeof(float));
    v.c = rn_carve(&w, padded(s) * sizeof(float));
    v.bytes = w.used;
    return v;
}

size_t rn_cpu_batchnorm_workspace(void *dev, const struct rn_bn_shape *s)
{
    (void)dev;
    return carve(s, NULL).bytes;
}

/* What one call works on; y masks g where it is not NULL. */
struct job {
    const struct rn_cpu *cpu;
    const struct rn_bn_shape *shape;
    struct cut cut;
    struct space space;
    const float *g, *y, *x, *add;
    const float *gamma, *beta, *mean, *var;
    float *dst, *dadd;
    bool frozen;
};

static struct job begin(void *dev, const struct rn_bn_shape *s, void *workspace)
{
    return (struct job){ .cpu = dev, .shape = s, .cut = cut(s), .space = carve(s, workspace) };
}

/* Sums of run i (A17). */
static void run_task(void *arg, int64_t i, int worker)
{
    const struct job *j = arg;
    size_t C = (size_t)j->shape->C, pad = padded(j->shape);
    int64_t first = i / j->cut.runs * j->cut.length + i % j->cut.runs * RUN;
    int64_t end = RN_MIN(RN_MIN(first + RUN, (i / j->cut.runs + 1) * j->cut.length),
                         j->cut.positions);
    double *s = j->space.s + (size_t)i * pad, *q = j->space.q + (size_t)i * pad;
    size_t at = (size_t)first * C;
    (void)worker;
    memset(s, 0, pad * sizeof(double));
    memset(q, 0, pad * sizeof(double));
    j->cpu->kernels->bn_sums(s, q, j->g + at, j->y ? j->y + at : NULL, j->x + at,
                             (size_t)(end - first), C);
}

/* A11 over count rows `stride` doubles apart, for channels begin ... end-1, into the first row. */
static void tree(double *v, int64_t count, size_t stride, size_t begin, size_t end)
{
    for (; count > 1; count = (count + 1) / 2)
        for (int64_t k = 0; k < (count + 1) / 2; k++) {
            double *to = v + (size_t)k * stride;
            const double *left = v + (size_t)(2 * k) * stride, *right = left + stride;
            bool alone = 2 * k + 1 == count;
            for (size_t c = begin; c < end; c++) to[c] = alone ? left[c] : left[c] + right[c];
        }
}

static void tree_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t pad = padded(j->shape), group = (size_t)j->cut.runs * pad;
    (void)worker;
    for (int64_t g = 0; g < j->cut.groups; g++) {
        tree(j->space.s + (size_t)g * group, j->cut.runs, pad, (size_t)begin, (size_t)end);
        tree(j->space.q + (size_t)g * group, j->cut.runs, pad, (size_t)begin, (size_t)end);
    }
    tree(j->space.s, j->cut.groups, group, (size_t)begin, (size_t)end);
    tree(j->space.q, j->cut.groups, group, (size_t)begin, (size_t)end);
}

/* space.s[c] = sum of g, space.q[c] = sum of g x, over the batch. */
static void sums(struct job *j)
{
    rn_parallel(j->cpu->threads, j->cut.groups * j->cut.runs, run_task, j);
    rn_parallel_range(j->cpu->threads, j->shape->C, RN_PAD, tree_range, j);
}

/* A piece of the rows large enough to be worth a task. */
static int64_t grain(const struct rn_bn_shape *s) { return RN_MAX(16384 / s->C, 1); }

static void apply_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t C = (size_t)j->shape->C, at = (size_t)begin * C;
    (void)worker;
    j->cpu->kernels->bn_apply(j->dst + at, j->x + at, j->add ? j->add + at : NULL, j->space.a,
                              j->space.b, (size_t)(end - begin), C, C, j->shape->post);
}

void rn_cpu_batchnorm_forward_train(void *dev, float *dst, double *saved, const float *src,
                                    const float *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace)
{
    struct job j = begin(dev, s, workspace);
    double M = (double)j.cut.positions;
    j.g = j.x = src, j.add = add, j.dst = dst;
    sums(&j);
    for (int c = 0; c < s->C; c++) {
        double m = j.space.s[c] / M, v = j.space.q[c] / M - m * m;
        if (v < 0) v = 0;
        saved[c] = m;
        saved[s->C + c] = v;
        double t = (double)gamma[c] * (1 / sqrt(v + s->eps));
        j.space.a[c] = (float)t;
        j.space.b[c] = (float)((double)beta[c] - m * t);
    }
    rn_parallel_range(j.cpu->threads, j.cut.positions, grain(s), apply_range, &j);
}

/* Channels begin ... begin+count-1. */
static void eval_coefficients(float *a, float *b, const struct job *j, int begin, int count)
{
    for (int i = 0; i < count; i++) {
        int c = begin + i;
        double t = (double)j->gamma[c] * (1 / sqrt((double)j->var[c] + j->shape->eps));
        a[i] = (float)t;
        b[i] = (float)((double)j->beta[c] - (double)j->mean[c] * t);
    }
}

void rn_bn_eval_coefficients(float *a, float *b, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var,
                             const struct rn_bn_shape *s)
{
    struct job j = { .shape = s, .gamma = gamma, .beta = beta, .mean = running_mean,
                     .var = running_var };
    eval_coefficients(a, b, &j, 0, s->C);
}

static void eval_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    float a[EVAL_CHANNELS] = { 0 }, b[EVAL_CHANNELS] = { 0 };
    int C = j->shape->C;
    (void)worker;
    for (int c = 0; c < C; c += EVAL_CHANNELS) {
        int count = RN_MIN(EVAL_CHANNELS, C - c);
        size_t at = (size_t)begin * (size_t)C + (size_t)c;
        eval_coefficients(a, b, j, c, count);
        j->cpu->kernels->bn_apply(j->dst + at, j->x + at, j->add ? j->add + at : NULL, a, b,
                                  (size_t)(end - begin), (size_t)count, (size_t)C, j->shape->post);
    }
}

void rn_cpu_batchnorm_forward_eval(void *dev, float *dst, const float *src, const float *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s)
{
    struct job j = { .cpu = dev, .shape = s, .cut = cut(s), .dst = dst, .x = src, .add = add,
                     .gamma = gamma, .beta = beta, .mean = running_mean, .var = running_var };
    rn_parallel_range(j.cpu->threads, j.cut.positions, grain(s), eval_range, &j);
}

void rn_cpu_batchnorm_running(void *dev, float *running_mean, float *running_var,
                              const double *saved, const struct rn_bn_shape *s)
{
    double mu = s->momentum, M = (double)cut(s).positions, unbiased = M > 1 ? M / (M - 1) : 1;
    (void)dev;
    for (int c = 0; c < s->C; c++) {
        double m = (1 - mu) * (double)running_mean[c] + mu * saved[c];
        double v = (1 - mu) * (double)running_var[c] + mu * (saved[s->C + c] * unbiased);
        running_mean[c] = rn_store((float)m);
        running_var[c] = rn_store((float)v);
    }
}

/* Parameter gradients and the coefficients of dx for channel c with statistics m and v. */
static void backward_channel(struct job *j, int c, double m, double v, float *dgamma, float *dbeta)
{
    double M = (double)j->cut.positions, d1 = j->space.s[c], d2 = j->space.q[c];
    double r = 1 / sqrt(v + j->shape->eps), t = (double)j->gamma[c] * r, k = d2 - m * d1;
    double u = -(t * ((k * r) * r) / M);
    *dbeta = rn_store((float)d1);
    *dgamma = rn_store((float)(k * r));
    j->space.a[c] = (float)t;
    j->space.b[c] = (float)u;
    j->space.c[c] = (float)(-((t * d1) / M) - u * m);
}

static void gradient_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t C = (size_t)j->shape->C, at = (size_t)begin * C;
    (void)worker;
    j->cpu->kernels->bn_gradient(j->dst + at, j->dadd ? j->dadd + at : NULL, j->g + at,
                                 j->y ? j->y + at : NULL, j->x + at, j->space.a,
                                 j->frozen ? NULL : j->space.b, j->space.c, (size_t)(end - begin),
                                     C);
}

void rn_cpu_batchnorm_backward(void *dev, float *dsrc, float *dadd, float *dgamma, float *dbeta,
                               const float *ddst, const float *dst, const float *src,
                               const double *saved, const float *gamma, const struct rn_bn_shape *s,
                               void *workspace)
{
    struct job j = begin(dev, s, workspace);
    j.g = ddst, j.x = src, j.y = s->post == RN_POST_NONE ? NULL : dst;
    j.gamma = gamma, j.dst = dsrc, j.dadd = dadd;
    sums(&j);
    for (int c = 0; c < s->C; c++)
        backward_channel(&j, c, saved[c], saved[s->C + c], dgamma + c, dbeta + c);
    rn_parallel_range(j.cpu->threads, j.cut.positions, grain(s), gradient_range, &j);
}

void rn_cpu_batchnorm_backward_eval(void *dev, float *dsrc, float *dadd, float *dgamma,
                                    float *dbeta,
                                    const float *ddst, const float *dst, const float *src,
                                    const float *running_mean, const float *running_var,
                                    const float *gamma, const struct rn_bn_shape *s,
                                        void *workspace)
{
    struct job j = begin(dev, s, workspace);
    j.g = ddst, j.x = src, j.y = s->post == RN_POST_NONE ? NULL : dst;
    j.gamma = gamma, j.dst = dsrc, j.dadd = dadd, j.frozen = true;
    sums(&j);
    for (int c = 0; c < s->C; c++)
        backward_channel(&j, c, (double)running_mean[c], (double)running_var[c], dgamma + c,
                         dbeta + c);
    rn_parallel_range(j.cpu->threads, j.cut.positions, grain(s), gradient_range, &j);
}
