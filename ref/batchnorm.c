/*
 * batchnorm.c - batch normalisation, forward and backward, with batch or with running statistics,
 * alone or followed by ReLU or by addition and ReLU (A17, A18, A22).
 *
 * Per-channel arithmetic is double without fma; one element costs one float fma forward and two
 * backward.  The statistics are E[x] and E[x*x] - E[x]^2 of exact products, not a second pass.
 * Ioffe & Szegedy, "Batch normalization", arXiv:1502.03167: algorithm 1 and the equations of
 * section 3, gathered into one affine function of (g, x) for each channel.
 */
#include "ref/ref.h"
#include "ref/tree.h"

#include "base/real.h"

#include <math.h>

#define RUN 128 /* A17: positions in one chain */

/* The sums of A17 over one channel: d1 of g, d2 of g * x.  Forward, g is x itself. */
struct sums { double d1, d2; };

/* What they are taken over.  g is masked by y, or, where `relu` is set, by what y was:
 * F(fma(x, a, b)), under bf16 Q of that (A18). */
struct terms { const void *dev; const float *g, *y, *x; bool relu; float a, b; };

static float masked(const struct terms *t, size_t i)
{
    if (t->y) return t->y[i] <= 0 ? 0.0f : t->g[i];
    if (!t->relu) return t->g[i];
    return rn_ref_element(t->dev, rn_fmaf(t->x[i], t->a, t->b)) <= 0 ? 0.0f : t->g[i];
}

static int map_size(const struct rn_bn_shape *s) { return s->H * s->W; }

/* M of A17: positions of a channel in the whole batch. */
static double positions(const struct rn_bn_shape *s) { return (double)s->N * (double)map_size(s); }

static int run_count(int count) { return count / RUN + (count % RUN != 0); }

/* Runs of the largest possible group, then groups; twice, for d1 and d2. */
size_t rn_ref_batchnorm_workspace(void *dev, const struct rn_bn_shape *s)
{
    int runs = run_count(rn_ref_group_images(map_size(s)) * map_size(s));
    (void)dev;
    return (size_t)(runs + rn_ref_group_count(s->N, map_size(s))) * 2 * sizeof(double);
}

/* A17: one chain over positions begin ... end-1 of the group that starts at image n0. */
static struct sums run_sums(const struct terms *t, const struct rn_bn_shape *s, int c, int n0,
                            int begin, int end)
{
    int map = map_size(s);
    struct sums sum = { 0, 0 };
    for (int p = begin; p < end; p++) {
        size_t i = at4(n0 + p / map, c, 0, p % map, s->C, 1, map);
        double g = masked(t, i), x = t->x[i];
        sum.d1 = sum.d1 + g;
        sum.d2 = sum.d2 + g * x;
    }
    return sum;
}

/* A17: one group, its runs by tree.  d1, d2: room for its runs. */
static struct sums group_sums(const struct terms *t, const struct rn_bn_shape *s, int c, int begin,
                              int end, double *d1, double *d2)
{
    int count = (end - begin) * map_size(s), runs = run_count(count);
    for (int k = 0; k < runs; k++) {
        struct sums run = run_sums(t, s, c, begin, k * RUN, RN_MIN((k + 1) * RUN, count));
        d1[k] = run.d1;
        d2[k] = run.d2;
    }
    return (struct sums){ rn_ref_tree_double(d1, runs), rn_ref_tree_double(d2, runs) };
}

/* A17, A11: the whole channel, its groups by tree. */
static struct sums channel_sums(const struct terms *t, const struct rn_bn_shape *s, int c,
                                double *workspace)
{
    int images = rn_ref_group_images(map_size(s)), groups = rn_ref_group_count(s->N, map_size(s));
    int runs = run_count(images * map_size(s));
    double *d1 = workspace, *d2 = d1 + groups, *run1 = d2 + groups, *run2 = run1 + runs;
    for (int k = 0; k < groups; k++) {
        struct sums group = group_sums(t, s, c, k * images, RN_MIN((k + 1) * images, s->N), run1,
                                       run2);
        d1[k] = group.d1;
        d2[k] = group.d2;
    }
    return (struct sums){ rn_ref_tree_double(d1, groups), rn_ref_tree_double(d2, groups) };
}

/* A17: r = 1 / sqrt(v + eps). */
static double inverse_deviation(double v, const struct rn_bn_shape *s)
{
    return 1 / sqrt(v + s->eps);
}

/* A17: y = F(fma(x, a, b)). */
static void coefficients(float *a, float *b, double m, double v, float gamma, float beta,
                         const struct rn_bn_shape *s)
{
    double t = gamma * inverse_deviation(v, s);
    *a = (float)t;
    *b = (float)(beta - m * t);
}

/* A17, A18, A22: y and what follows it, F at every seam; A32: one Q at the end. */
static void normalise(const void *dev, float *dst, const float *src, const float *add, double m,
                      double v, float gamma, float beta, const struct rn_bn_shape *s, int c)
{
    float a, b;
    coefficients(&a, &b, m, v, gamma, beta, s);
    for (int n = 0; n < s->N; n++)
        for (int p = 0; p < map_size(s); p++) {
            size_t i = at4(n, c, 0, p, s->C, 1, map_size(s));
            float y = rn_store(rn_fmaf(src[i], a, b));
            if (s->post == RN_POST_ADD_RELU) y = rn_store(y + add[i]);
            if (s->post != RN_POST_NONE) y = rn_relu(y);
            dst[i] = rn_ref_element(dev, y);
        }
}

/* A17 with batch statistics: algorithm 1. */
void rn_ref_batchnorm_forward_train(void *dev, void *dst, double *saved, const void *src,
                                    const void *add, const float *gamma, const float *beta,
                                    const struct rn_bn_shape *s, void *workspace)
{
    const struct terms terms = { .g = src, .x = src };
    for (int c = 0; c < s->C; c++) {
        struct sums sum = channel_sums(&terms, s, c, workspace);
        double m = sum.d1 / positions(s), v = sum.d2 / positions(s) - m * m;
        if (v < 0) v = 0;
        saved[c] = m;
        saved[s->C + c] = v;
        normalise(dev, dst, src, add, m, v, gamma[c], beta[c], s, c);
    }
}

/* The output again, from the statistics that the forward pass saved. */
void rn_ref_batchnorm_apply(void *dev, void *dst, const void *src, const void *add,
                            const double *saved, const float *gamma, const float *beta,
                            const struct rn_bn_shape *s)
{
    for (int c = 0; c < s->C; c++)
        normalise(dev, dst, src, add, saved[c], saved[s->C + c], gamma[c], beta[c], s, c);
}

/* A17 with running statistics: algorithm 2. */
void rn_ref_batchnorm_forward_eval(void *dev, void *dst, const void *src, const void *add,
                                   const float *gamma, const float *beta, const float *running_mean,
                                   const float *running_var, const struct rn_bn_shape *s)
{
    for (int c = 0; c < s->C; c++)
        normalise(dev, dst, src, add, running_mean[c], running_var[c], gamma[c], beta[c], s, c);
}

/* A17: the running mean and the running unbiased variance; one position has factor 1. */
void rn_ref_batchnorm_running(void *dev, float *running_mean, float *running_var, const double *saved,
                              const struct rn_bn_shape *s, const int32_t *given)
{
    double mu = s->momentum, M = positions(s), unbias = M > 1 ? M / (M - 1) : 1;
    (void)dev;
    if (!rn_given(given)) return;
    for (int c = 0; c < s->C; c++) {
        double m = saved[c], v = saved[s->C + c];
        running_mean[c] = rn_store((float)((1 - mu) * running_mean[c] + mu * m));
        running_var[c] = rn_store((float)((1 - mu) * running_var[c] + mu * (v * unbias)));
    }
}

/* What A17's backward pass needs of one channel: its sums, m, r, t = gamma r, k = D2 - m D1. */
struct channel { struct sums d; double m, r, t, k; };

/* A17. */
static struct channel channel_backward(const struct terms *terms, double m, double v, float gamma,
                                       const struct rn_bn_shape *s, int c, double *workspace)
{
    struct channel ch = { .d = channel_sums(terms, s, c, workspace), .m = m };
    ch.r = inverse_deviation(v, s);
    ch.t = gamma * ch.r;
    ch.k = ch.d.d2 - m * ch.d.d1;
    return ch;
}

/* A17: dbeta = F(f32(D1)), dgamma = F(f32(k r)). */
static void store_parameters(float *dgamma, float *dbeta, const struct channel *ch)
{
    *dbeta = rn_store((float)ch->d.d1);
    *dgamma = rn_store((float)(ch->k * ch->r));
}

/* A17 with batch statistics; dx = F(fma(A, g, fma(B, x, C))). */
void rn_ref_batchnorm_backward(void *dev, void *dsrc_tensor, void *dadd_tensor, float *dgamma,
                               float *dbeta, const void *ddst, const void *dst,
                               const void *src_tensor, const double *saved, const float *gamma,
                               const float *beta, const struct rn_bn_shape *s, void *workspace)
{
    float *dsrc = dsrc_tensor, *dadd = dadd_tensor;
    const float *src = src_tensor;
    struct terms terms = { .dev = dev, .g = ddst, .y = s->post == RN_POST_ADD_RELU ? dst : NULL,
                           .x = src, .relu = s->post == RN_POST_RELU };
    for (int c = 0; c < s->C; c++) {
        coefficients(&terms.a, &terms.b, saved[c], saved[s->C + c], gamma[c], beta[c], s);
        struct channel ch =
            channel_backward(&terms, saved[c], saved[s->C + c], gamma[c], s, c, workspace);
        double u = -(ch.t * ((ch.k * ch.r) * ch.r) / positions(s));
        float A = (float)ch.t, B = (float)u;
        float C = (float)(-((ch.t * ch.d.d1) / positions(s)) - u * ch.m);
        store_parameters(&dgamma[c], &dbeta[c], &ch);
        for (int n = 0; n < s->N; n++)
            for (int p = 0; p < map_size(s); p++) {
                size_t i = at4(n, c, 0, p, s->C, 1, map_size(s));
                float g = masked(&terms, i);
                if (dadd) dadd[i] = rn_ref_element(dev, g);
                dsrc[i] = rn_ref_element(dev, rn_fmaf(A, g, rn_fmaf(B, src[i], C)));
            }
    }
}

/* A17 with frozen statistics: dx = F(g * a). */
void rn_ref_batchnorm_backward_eval(void *dev, void *dsrc_tensor, void *dadd_tensor, float *dgamma,
                                    float *dbeta, const void *ddst, const void *dst,
                                    const void *src, const float *running_mean,
                                    const float *running_var, const float *gamma,
                                    const struct rn_bn_shape *s, void *workspace)
{
    float *dsrc = dsrc_tensor, *dadd = dadd_tensor;
    const struct terms terms = { .g = ddst, .y = s->post == RN_POST_NONE ? NULL : dst, .x = src };
    for (int c = 0; c < s->C; c++) {
        struct channel ch = channel_backward(&terms, running_mean[c], running_var[c], gamma[c], s,
                                             c, workspace);
        float a = (float)ch.t;
        store_parameters(&dgamma[c], &dbeta[c], &ch);
        for (int n = 0; n < s->N; n++)
            for (int p = 0; p < map_size(s); p++) {
                size_t i = at4(n, c, 0, p, s->C, 1, map_size(s));
                float g = masked(&terms, i);
                if (dadd) dadd[i] = rn_ref_element(dev, g);
                dsrc[i] = rn_ref_element(dev, g * a);
            }
    }
}
