/*
 * batchnorm.c - batch norm, alone or followed by ReLU or add + ReLU (A17, A18, A22), of either
 * element.
 *
 * The sums stand in batchnorm_runs.c.  The normalisation and its gradient are one pass each, with
 * per-channel float coefficients.  The mask of a ReLU right behind the normalisation is recomputed
 * from its input, so that the backward pass reads one tensor less.  Ioffe & Szegedy,
 * arXiv:1502.03167.
 */
#include "cpu/batchnorm.h"

#include <math.h>

#define CHANNELS 1024      /* whose coefficients stand on a worker's stack */
#define STREAM (8 << 20)   /* bytes: the smallest tensor that is written around the caches */

static int64_t positions(const struct rn_bn_shape *s) { return (int64_t)s->N * s->H * s->W; }

/* The workspace: the sums of the runs, then coefficients of every channel. */
struct space { struct rn_bn_runs runs; float *a, *b, *c, *scale, *shift; size_t bytes; };

static struct space carve(const struct rn_bn_shape *s, void *workspace)
{
    struct space v = { .runs = rn_bn_runs(s, workspace) };
    size_t bytes = v.runs.padded * sizeof(float);
    struct rn_carve w = { workspace, v.runs.bytes };
    v.a = rn_carve(&w, bytes);
    v.b = rn_carve(&w, bytes);
    v.c = rn_carve(&w, bytes);
    v.scale = rn_carve(&w, bytes);
    v.shift = rn_carve(&w, bytes);
    v.bytes = w.used;
    return v;
}

size_t rn_cpu_batchnorm_workspace(void *dev, const struct rn_bn_shape *s)
{
    (void)dev;
    return carve(s, NULL).bytes;
}

/* A17: y = F(fma(x, a, b)). */
static void coefficients(float *a, float *b, double mean, double var, float gamma, float beta,
                         double eps)
{
    double t = (double)gamma * (1 / sqrt(var + eps));
    *a = (float)t;
    *b = (float)((double)beta - mean * t);
}

/* The statistics that a call normalises with: of the batch, or running ones. */
struct statistics { const double *saved; const float *mean, *var, *gamma, *beta; };

/* Of channels begin ... begin+count-1. */
static void channel_coefficients(float *a, float *b, const struct statistics *t,
                                 const struct rn_bn_shape *s, int begin, int count)
{
    for (int i = 0; i < count; i++) {
        int c = begin + i;
        double mean = t->saved ? t->saved[c] : (double)t->mean[c];
        double var = t->saved ? t->saved[s->C + c] : (double)t->var[c];
        coefficients(a + i, b + i, mean, var, t->gamma[c], t->beta[c], s->eps);
    }
}

void rn_bn_eval_coefficients(float *a, float *b, const float *gamma, const float *beta,
                             const float *running_mean, const float *running_var,
                             const struct rn_bn_shape *s)
{
    struct statistics t = { NULL, running_mean, running_var, gamma, beta };
    channel_coefficients(a, b, &t, s, 0, s->C);
}

/* -- forward ---------------------------------------------------------------------------------- */

struct forward {
    const struct rn_cpu *cpu;
    const struct rn_bn_shape *shape;
    struct statistics statistics;
    void *dst;
    const void *x, *add;
};

/* A piece of the rows large enough to be worth a task. */
static int64_t grain(const struct rn_bn_shape *s) { return RN_MAX(16384 / s->C, 1); }

/* Whether a tensor of this shape is written around the caches: it outgrows what a core has of them. */
static bool streams(const struct rn_cpu *cpu, const struct rn_bn_shape *s)
{
    return (size_t)positions(s) * (size_t)s->C * cpu->tensor->bytes >= STREAM;
}

static void apply_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct forward *j = arg;
    float a[CHANNELS] = { 0 }, b[CHANNELS] = { 0 };
    const struct rn_cpu *cpu = j->cpu;
    int C = j->shape->C;
    bool stream = streams(cpu, j->shape) && j->dst != j->x && j->dst != j->add;
    (void)worker;
    for (int c = 0; c < C; c += CHANNELS) {
        int count = RN_MIN(CHANNELS, C - c);
        size_t at = (size_t)begin * (size_t)C + (size_t)c;
        channel_coefficients(a, b, &j->statistics, j->shape, c, count);
        cpu->tensor->bn_apply(rn_element(cpu, j->dst, at), rn_element(cpu, j->x, at),
                              rn_element(cpu, j->add, at), a, b, (size_t)(end - begin), (size_t)count,
                              (size_t)C, j->shape->post, stream);
    }
}

static void apply(struct forward *j)
{
    rn_parallel_range(j->cpu->threads, positions(j->shape), grain(j->shape), apply_range, j);
}

void rn_cpu_batchnorm_apply(void *dev, void *dst, const void *src, const void *add,
                            const double *saved, const float *gamma, const float *beta,
                            const struct rn_bn_shape *s)
{
    struct forward j = { .cpu = dev, .shape = s, .dst = dst, .x = src, .add = add,
                         .statistics = { .saved = saved, .gamma = gamma, .beta = beta } };
    apply(&j);
}

void rn_cpu_batchnorm_forward_eval(void *dev, void *dst, const void *src, const void *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s)
{
    struct forward j = { .cpu = dev, .shape = s, .dst = dst, .x = src, .add = add,
                         .statistics = { NULL, running_mean, running_var, gamma, beta } };
    apply(&j);
}

void rn_cpu_batchnorm_forward_train(void *dev, void *dst, double *saved, const void *src,
                                    const void *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace)
{
    struct rn_bn_runs runs = rn_bn_runs(s, workspace);
    double M = (double)runs.positions;
    rn_bn_sums(dev, &runs, src);
    rn_bn_tree(dev, &runs);
    for (int c = 0; c < s->C; c++) {
        double m = runs.s[c] / M, v = runs.q[c] / M - m * m;
        saved[c] = m;
        saved[s->C + c] = v < 0 ? 0 : v;
    }
    rn_cpu_batchnorm_apply(dev, dst, src, add, saved, gamma, beta, s);
}

void rn_cpu_batchnorm_running(void *dev, float *running_mean, float *running_var, const double *saved,
                              const struct rn_bn_shape *s, const int32_t *given)
{
    double mu = s->momentum, M = (double)positions(s), unbiased = M > 1 ? M / (M - 1) : 1;
    (void)dev;
    if (!rn_given(given)) return;
    for (int c = 0; c < s->C; c++) {
        double m = (1 - mu) * (double)running_mean[c] + mu * saved[c];
        double v = (1 - mu) * (double)running_var[c] + mu * (saved[s->C + c] * unbiased);
        running_mean[c] = rn_store((float)m);
        running_var[c] = rn_store((float)v);
    }
}

/* -- backward --------------------------------------------------------------------------------- */

struct backward {
    const struct rn_cpu *cpu;
    const struct rn_bn_shape *shape;
    struct space space;
    struct rn_bn_mask mask;
    void *dsrc, *dadd;
    const void *g, *x;
    bool frozen;
};

/* Parameter gradients and the coefficients of dx for channel c with statistics m and v. */
static void backward_channel(struct backward *j, int c, double m, double v, float gamma,
                             float *dgamma, float *dbeta)
{
    double M = (double)positions(j->shape), d1 = j->space.runs.s[c], d2 = j->space.runs.q[c];
    double r = 1 / sqrt(v + j->shape->eps), t = (double)gamma * r, k = d2 - m * d1;
    double u = -(t * ((k * r) * r) / M);
    *dbeta = rn_store((float)d1);
    *dgamma = rn_store((float)(k * r));
    j->space.a[c] = (float)t;
    j->space.b[c] = (float)u;
    j->space.c[c] = (float)(-((t * d1) / M) - u * m);
}

static void gradient_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct backward *j = arg;
    size_t C = (size_t)j->shape->C, at = (size_t)begin * C;
    const struct rn_cpu *cpu = j->cpu;
    struct rn_bn_mask mask = { rn_element(cpu, j->mask.y, at), j->mask.a, j->mask.b };
    (void)worker;
    cpu->tensor->bn_gradient(rn_element(cpu, j->dsrc, at), rn_element(cpu, j->dadd, at),
                             rn_element(cpu, j->g, at), rn_element(cpu, j->x, at), &mask, j->space.a,
                             j->frozen ? NULL : j->space.b, j->space.c, (size_t)(end - begin), C,
                             streams(cpu, j->shape) && j->dsrc != j->g);
}

static void backward(struct backward *j, const struct statistics *t, float *dgamma, float *dbeta)
{
    const struct rn_bn_shape *s = j->shape;
    rn_bn_backward_sums(j->cpu, &j->space.runs, j->g, j->x, &j->mask);
    rn_bn_tree(j->cpu, &j->space.runs);
    for (int c = 0; c < s->C; c++) {
        double m = t->saved ? t->saved[c] : (double)t->mean[c];
        double v = t->saved ? t->saved[s->C + c] : (double)t->var[c];
        backward_channel(j, c, m, v, t->gamma[c], dgamma + c, dbeta + c);
    }
    rn_parallel_range(j->cpu->threads, positions(s), grain(s), gradient_range, j);
}

void rn_cpu_batchnorm_backward(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                               const void *ddst, const void *dst, const void *src,
                               const double *saved, const float *gamma, const float *beta,
                               const struct rn_bn_shape *s, void *workspace)
{
    struct backward j = { .cpu = dev, .shape = s, .space = carve(s, workspace), .g = ddst, .x = src,
                          .dsrc = dsrc, .dadd = dadd };
    struct statistics t = { .saved = saved, .gamma = gamma, .beta = beta };
    if (s->post == RN_POST_ADD_RELU) j.mask.y = dst;
    if (s->post == RN_POST_RELU) {
        j.mask.a = j.space.scale, j.mask.b = j.space.shift;
        channel_coefficients(j.space.scale, j.space.shift, &t, s, 0, s->C);
    }
    backward(&j, &t, dgamma, dbeta);
}

void rn_cpu_batchnorm_backward_eval(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                                    const void *ddst, const void *dst, const void *src,
                                    const float *running_mean, const float *running_var,
                                    const float *gamma, const struct rn_bn_shape *s,
                                    void *workspace)
{
    struct backward j = { .cpu = dev, .shape = s, .space = carve(s, workspace), .g = ddst, .x = src,
                          .dsrc = dsrc, .dadd = dadd, .frozen = true };
    struct statistics t = { .mean = running_mean, .var = running_var, .gamma = gamma };
    if (s->post != RN_POST_NONE) j.mask.y = dst;
    backward(&j, &t, dgamma, dbeta);
}

/* -- folding (A22) ------------------------------------------------------------------------------ */

void rn_cpu_conv2d_fold(void *dev, float *folded, float *bias, const float *weights,
                        const float *gamma, const float *beta, const float *running_mean,
                        const float *running_var, const struct rn_conv_shape *s,
                        const struct rn_bn_shape *bn)
{
    size_t each = (size_t)(s->C / s->groups) * (size_t)s->R * (size_t)s->S;
    (void)dev;
    for (int k = 0; k < s->K; k++, folded += each, weights += each) {
        double t = (double)gamma[k] * (1 / sqrt((double)running_var[k] + bn->eps));
        for (size_t i = 0; i < each; i++) folded[i] = rn_store((float)((double)weights[i] * t));
        bias[k] = rn_store((float)((double)beta[k] - (double)running_mean[k] * t));
    }
}
