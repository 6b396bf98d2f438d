/*
 * pool.c - max, average and global average pooling (A19, A20).
 *
 * A task is one row of the written map.  Backward passes collect: each input goes through the
 * windows that cover it in (oh, ow) order, so that nothing is scattered and no two tasks write one
 * place. Channels are the inner loop everywhere; no rule here has an fma, so plain loops will do.
 */
#include "cpu/slots.h"

struct job {
    const struct rn_pool_shape *shape;
    float *dst;
    uint8_t *taken;        /* maxpool forward */
    const uint8_t *index;  /* maxpool backward */
    const float *src;
};

/* Taps or windows begin ... end-1. */
struct span { int begin, end; };

/* The taps of window p that lie inside an input of `extent`. */
static struct span taps(int p, int size, int extent, const struct rn_pool_shape *s)
{
    int first = p * s->stride - s->pad;
    return (struct span){ RN_MAX(-first, 0), RN_MIN(size, extent - first) };
}

/* The windows that cover input i. */
static struct span windows(int i, int size, int outputs, const struct rn_pool_shape *s)
{
    int last = (i + s->pad) / s->stride, before = i + s->pad - size; /* ends before i */
    return (struct span){ before < 0 ? 0 : before / s->stride + 1, RN_MIN(last + 1, outputs) };
}

static size_t at(int64_t n, int h, int w, int H, int W, int C)
{
    return (((size_t)n * (size_t)H + (size_t)h) * (size_t)W + (size_t)w) * (size_t)C;
}

/* A later tap replaces the best one if it is larger or NaN. */
static void max_tap(float *best, uint8_t *index, const float *x, int tap, int C)
{
#pragma omp simd
    for (int c = 0; c < C; c++) {
        bool replace = x[c] > best[c] || x[c] != x[c];
        best[c] = replace ? x[c] : best[c];
        index[c] = replace ? (uint8_t)tap : index[c];
    }
}

static void max_window(const struct job *j, int64_t n, int p, int q)
{
    const struct rn_pool_shape *s = j->shape;
    struct span r = taps(p, s->R, s->H, s), t = taps(q, s->S, s->W, s);
    size_t out = at(n, p, q, s->P, s->Q, s->C);
    float *best = j->dst + out;
    uint8_t *index = j->taken + out;
    bool first = true;
    for (int kh = r.begin; kh < r.end; kh++)
        for (int kw = t.begin; kw < t.end; kw++) {
            const float *x = j->src + at(n, p * s->stride - s->pad + kh, q * s->stride - s->pad +
                                         kw,
                                         s->H, s->W, s->C);
            int tap = kh * s->S + kw;
            if (first) {
                memcpy(best, x, (size_t)s->C * sizeof(float));
                memset(index, tap, (size_t)s->C);
            } else {
                max_tap(best, index, x, tap, s->C);
            }
            first = false;
        }
    for (int c = 0; c < s->C; c++) best[c] = rn_store(best[c]);
}

static void maxpool_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    (void)worker;
    for (int q = 0; q < j->shape->Q; q++)
        max_window(j, row / j->shape->P, (int)(row % j->shape->P), q);
}

void rn_cpu_maxpool_forward(void *dev, float *dst, uint8_t *index, const float *src,
                            const struct rn_pool_shape *s)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .shape = s, .dst = dst, .taken = index, .src = src };
    rn_parallel(cpu->threads, (int64_t)s->N * s->P, maxpool_task, &j);
}

/* One input row of either gradient: the windows that chose an input, or all that cover it. */
static void gradient_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_pool_shape *s = j->shape;
    int64_t n = row / s->H;
    int h = (int)(row % s->H), C = s->C;
    struct span ps = windows(h, s->R, s->P, s);
    float count = (float)(s->R * s->S);
    (void)worker;
    for (int w = 0; w < s->W; w++) {
        struct span qs = windows(w, s->S, s->Q, s);
        float *dx = j->dst + at(n, h, w, s->H, s->W, C);
        memset(dx, 0, (size_t)C * sizeof(float));
        for (int p = ps.begin; p < ps.end; p++)
            for (int q = qs.begin; q < qs.end; q++) {
                size_t out = at(n, p, q, s->P, s->Q, C);
                const float *dy = j->src + out;
                const uint8_t *chosen = j->index ? j->index + out : NULL;
                int tap = (h + s->pad - p * s->stride) * s->S + w + s->pad - q * s->stride;
                if (chosen)
                    for (int c = 0; c < C; c++) dx[c] = dx[c] + (chosen[c] == tap ? dy[c] : 0);
                else
                    for (int c = 0; c < C; c++) dx[c] = dx[c] + dy[c];
            }
        for (int c = 0; c < C; c++) dx[c] = rn_store(j->index ? dx[c] : dx[c] / count);
    }
}

void rn_cpu_maxpool_backward(void *dev, float *dsrc, const float *ddst, const uint8_t *index,
                             const struct rn_pool_shape *s)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .shape = s, .dst = dsrc, .index = index, .src = ddst };
    rn_parallel(cpu->threads, (int64_t)s->N * s->H, gradient_task, &j);
}

static void avgpool_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_pool_shape *s = j->shape;
    int64_t n = row / s->P;
    int p = (int)(row % s->P), C = s->C;
    struct span r = taps(p, s->R, s->H, s);
    (void)worker;
    for (int q = 0; q < s->Q; q++) {
        struct span t = taps(q, s->S, s->W, s);
        float *y = j->dst + at(n, p, q, s->P, s->Q, C);
        memset(y, 0, (size_t)C * sizeof(float));
        for (int kh = r.begin; kh < r.end; kh++)
            for (int kw = t.begin; kw < t.end; kw++) {
                const float *x = j->src + at(n, p * s->stride - s->pad + kh,
                                             q * s->stride - s->pad + kw, s->H, s->W, C);
#pragma omp simd
                for (int c = 0; c < C; c++) y[c] = y[c] + x[c];
            }
        for (int c = 0; c < C; c++) y[c] = rn_store(y[c] / (float)(s->R * s->S));
    }
}

void rn_cpu_avgpool_forward(void *dev, float *dst, const float *src, const struct rn_pool_shape *s)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .shape = s, .dst = dst, .src = src };
    rn_parallel(cpu->threads, (int64_t)s->N * s->P, avgpool_task, &j);
}

void rn_cpu_avgpool_backward(void *dev, float *dsrc, const float *ddst,
                             const struct rn_pool_shape *s)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .shape = s, .dst = dsrc, .src = ddst };
    rn_parallel(cpu->threads, (int64_t)s->N * s->H, gradient_task, &j);
}

/* One window as large as the map. */
static struct rn_pool_shape whole(const struct rn_pool_shape *s)
{
    return (struct rn_pool_shape){ s->N, s->C, s->H, s->W, s->H, s->W, 1, 1, 1, 0 };
}

void rn_cpu_global_avgpool_forward(void *dev, float *dst, const float *src,
                                   const struct rn_pool_shape *s)
{
    struct rn_pool_shape w = whole(s);
    rn_cpu_avgpool_forward(dev, dst, src, &w);
}

void rn_cpu_global_avgpool_backward(void *dev, float *dsrc, const float *ddst,
                                    const struct rn_pool_shape *s)
{
    struct rn_pool_shape w = whole(s);
    rn_cpu_avgpool_backward(dev, dsrc, ddst, &w);
}
