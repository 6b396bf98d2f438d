/*
 * wide.c - forward ops in double, as the textbooks write them: variance by two passes, log-sum-exp
 * by libm, resize by real coordinates.  No rule of ref/ARITHMETIC.md is followed here and no bit is
 * promised; agreement with the slots is judged with tolerances.
 */
#include "conform/wide.h"

#include <math.h>

static size_t at(int n, int c, int h, int w, int C, int H, int W)
{
    return (((size_t)n * (size_t)C + (size_t)c) * (size_t)H + (size_t)h) * (size_t)W + (size_t)w;
}

static void fill(double *dst, double value, int N, int C, int H, int W)
{
    for (size_t i = 0; i < at(N, 0, 0, 0, C, H, W); i++) dst[i] = value;
}

/* One tap's contribution to one output map of one image. */
static void add_tap(double *dst, const double *src, double weight, const struct rn_conv_shape *s,
                    int r, int t)
{
    for (int p = 0; p < s->P; p++)
        for (int q = 0; q < s->Q; q++) {
            int h = p * s->stride + r - s->pad, w = q * s->stride + t - s->pad;
            if (h < 0 || h >= s->H || w < 0 || w >= s->W) continue;
            dst[p * s->Q + q] += weight * src[h * s->W + w];
        }
}

void rn_wide_conv2d(double *dst, const double *src, const double *weights, const double *bias,
                    const struct rn_conv_shape *s)
{
    int inputs = s->C / s->groups, outputs = s->K / s->groups;
    fill(dst, 0, s->N, s->K, s->P, s->Q);
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < s->K; k++) {
            double *map = dst + at(n, k, 0, 0, s->K, s->P, s->Q);
            for (int i = 0; i < s->P * s->Q; i++) map[i] += bias ? bias[k] : 0;
            for (int c = 0; c < inputs; c++)
                for (int r = 0; r < s->R; r++)
                    for (int t = 0; t < s->S; t++)
                        add_tap(map, src + at(n, k / outputs * inputs + c, 0, 0, s->C, s->H, s->W),
                                weights[at(k, c, r, t, inputs, s->R, s->S)], s, r, t);
        }
}

/* gamma (w x - mean) / sigma + beta, multiplied out. */
void rn_wide_fold(double *folded, double *bias, const double *weights, const double *gamma,
                  const double *beta, const double *mean, const double *var,
                  const struct rn_conv_shape *s, const struct rn_bn_shape *bn)
{
    int each = s->C / s->groups * s->R * s->S;
    for (int i = 0; i < s->K * each; i++)
        folded[i] = weights[i] * gamma[i / each] / sqrt(var[i / each] + bn->eps);
    for (int k = 0; k < s->K; k++)
        bias[k] = beta[k] - mean[k] * gamma[k] / sqrt(var[k] + bn->eps);
}

double rn_wide_finish(double *dst, const double *add, enum rn_post post, size_t count)
{
    for (size_t i = 0; post == RN_POST_ADD_RELU && i < count; i++) dst[i] += add[i];
    return post == RN_POST_NONE ? HUGE_VAL : rn_wide_relu(dst, dst, count);
}

void rn_wide_linear(double *dst, const double *src, const double *weights, const double *bias,
                    const struct rn_linear_shape *s)
{
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < s->K; k++) {
            double sum = bias[k];
            for (int c = 0; c < s->C; c++) sum += src[n * s->C + c] * weights[k * s->C + c];
            dst[n * s->K + k] = sum;
        }
}

static double channel_mean(const double *src, double shift, int power, const struct rn_bn_shape *s,
                           int c)
{
    double sum = 0;
    for (int n = 0; n < s->N; n++)
        for (int i = 0; i < s->H * s->W; i++) {
            double x = src[at(n, c, 0, i, s->C, 1, s->H * s->W)] - shift;
            sum += power == 2 ? x * x : x;
        }
    return sum / ((double)s->N * s->H * s->W);
}

/* Normalises one channel and applies what post says. */
static double finish_channel(double *dst, const double *src, const double *add, double mean,
                             double var, double gamma, double beta, const struct rn_bn_shape *s,
                             int c)
{
    double margin = HUGE_VAL;
    for (int n = 0; n < s->N; n++)
        for (int i = 0; i < s->H * s->W; i++) {
            size_t o = at(n, c, 0, i, s->C, 1, s->H * s->W);
            double y = (src[o] - mean) / sqrt(var + s->eps) * gamma + beta;
            if (s->post == RN_POST_ADD_RELU) y += add[o];
            if (s->post != RN_POST_NONE) {
                margin = RN_MIN(margin, fabs(y));
                y = y > 0 ? y : 0;
            }
            dst[o] = y;
        }
    return margin;
}

double rn_wide_batchnorm_train(double *dst, double *saved, const double *src, const double *add,
                               const double *gamma, const double *beta, const struct rn_bn_shape *s)
{
    double margin = HUGE_VAL;
    for (int c = 0; c < s->C; c++) {
        double mean = channel_mean(src, 0, 1, s, c), var = channel_mean(src, mean, 2, s, c);
        double here = finish_channel(dst, src, add, mean, var, gamma[c], beta[c], s, c);
        margin = RN_MIN(margin, here);
        if (saved) saved[c] = mean, saved[s->C + c] = var;
    }
    return margin;
}

double rn_wide_batchnorm_eval(double *dst, const double *src, const double *add,
                              const double *gamma, const double *beta, const double *mean,
                              const double *var, const struct rn_bn_shape *s)
{
    double margin = HUGE_VAL;
    for (int c = 0; c < s->C; c++) {
        double here = finish_channel(dst, src, add, mean[c], var[c], gamma[c], beta[c], s, c);
        margin = RN_MIN(margin, here);
    }
    return margin;
}

double rn_wide_relu(double *dst, const double *src, size_t count)
{
    double margin = HUGE_VAL;
    for (size_t i = 0; i < count; i++) {
        margin = RN_MIN(margin, fabs(src[i]));
        dst[i] = src[i] > 0 ? src[i] : 0;
    }
    return margin;
}

/* Largest value of a window and its lead over the second largest. */
static double window_max(double *lead, const double *map, const struct rn_pool_shape *s, int p,
                         int q)
{
    double best = -HUGE_VAL, second = -HUGE_VAL;
    for (int h = p * s->stride - s->pad; h < p * s->stride - s->pad + s->R; h++)
        for (int w = q * s->stride - s->pad; w < q * s->stride - s->pad + s->S; w++) {
            if (h < 0 || h >= s->H || w < 0 || w >= s->W) continue;
            double x = map[h * s->W + w];
            if (x > best) second = best, best = x;
            else second = RN_MAX(second, x);
        }
    *lead = best - second;
    return best;
}

double rn_wide_maxpool(double *dst, const double *src, const struct rn_pool_shape *s)
{
    double margin = HUGE_VAL, lead;
    for (int m = 0; m < s->N * s->C; m++)
        for (int p = 0; p < s->P; p++)
            for (int q = 0; q < s->Q; q++) {
                dst[at(0, m, p, q, 0, s->P, s->Q)] =
                    window_max(&lead, src + at(0, m, 0, 0, 0, s->H, s->W), s, p, q);
                if (dst[at(0, m, p, q, 0, s->P, s->Q)] != 0) margin = RN_MIN(margin, lead);
            }
    return margin;
}

void rn_wide_avgpool(double *dst, const double *src, const struct rn_pool_shape *s)
{
    fill(dst, 0, s->N, s->C, s->P, s->Q);
    for (int m = 0; m < s->N * s->C; m++)
        for (int h = 0; h < s->H; h++)
            for (int w = 0; w < s->W; w++)
                for (int p = 0; p < s->P; p++)
                    for (int q = 0; q < s->Q; q++) {
                        int r = h + s->pad - p * s->stride, t = w + s->pad - q * s->stride;
                        if (r < 0 || r >= s->R || t < 0 || t >= s->S) continue;
                        dst[at(0, m, p, q, 0, s->P, s->Q)] +=
                            src[at(0, m, h, w, 0, s->H, s->W)] / ((double)s->R * s->S);
                    }
}

void rn_wide_global_avgpool(double *dst, const double *src, const struct rn_pool_shape *s)
{
    int positions = s->H * s->W;
    for (int m = 0; m < s->N * s->C; m++) {
        dst[m] = 0;
        for (int i = 0; i < positions; i++)
            dst[m] += src[(size_t)m * (size_t)positions + (size_t)i];
        dst[m] /= positions;
    }
}

/* Source coordinate of output d: half-pixel centres, held at the borders.  Returns the lower
 * tap; *part of the way leads to the next one. */
static int coordinate(double *part, int d, int in, int out)
{
    double x = (d + 0.5) * in / out - 0.5;
    x = x < 0 ? 0 : x > in - 1 ? in - 1 : x;
    int low = RN_MIN((int)x, RN_MAX(in - 2, 0));
    *part = x - low;
    return low;
}

void rn_wide_resize(double *dst, const double *src, const struct rn_resize_shape *s)
{
    int down = s->H > 1 ? s->W : 0, right = s->W > 1;
    for (int m = 0; m < s->N * s->C; m++)
        for (int p = 0; p < s->P; p++)
            for (int q = 0; q < s->Q; q++) {
                double y, x;
                int h = coordinate(&y, p, s->H, s->P), w = coordinate(&x, q, s->W, s->Q);
                const double *v = src + at(0, m, h, w, 0, s->H, s->W);
                dst[at(0, m, p, q, 0, s->P, s->Q)] =
                    (1 - y) * ((1 - x) * v[0] + x * v[right]) +
                    y * ((1 - x) * v[down] + x * v[down + right]);
            }
}

void rn_wide_cross_entropy(double *loss, const double *logits, const int32_t *labels,
                           const struct rn_loss_shape *s)
{
    for (int n = 0; n < s->N; n++) {
        const double *x = logits + (size_t)n * (size_t)s->K;
        double max = -HUGE_VAL, sum = 0;
        for (int k = 0; k < s->K; k++) max = RN_MAX(max, x[k]);
        for (int k = 0; k < s->K; k++) sum += exp(x[k] - max);
        loss[n] = 0;
        for (int k = 0; k < s->K; k++) {
            double q = (k == labels[n] ? 1 - s->smoothing : 0) + s->smoothing / s->K;
            loss[n] -= q * (x[k] - max - log(sum));
        }
    }
}
