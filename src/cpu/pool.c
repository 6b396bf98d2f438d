/*
 * pool.c - max, average and global average pooling (A19, A20).
 *
 * A task is one row of the written map.  Backward passes collect: each input goes through the
 * windows that cover it in (oh, ow) order, so that nothing is scattered and no two tasks write one
 * place.  The taps of a window, and the windows over an input, are a grid of pixels; the loops over
 * one, channels in vectors, stand in pool.inc.
 */
#include "cpu/slots.h"

struct job {
    const struct rn_cpu *cpu;
    const struct rn_pool_shape *shape;
    void *dst;
    uint8_t *taken;        /* maxpool forward */
    const uint8_t *index;  /* maxpool backward */
    const void *src;
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

/* The pixels down x right of a map W wide. */
static struct rn_grid grid(struct span down, struct span right, int W, int C)
{
    return (struct rn_grid){ .rows = down.end - down.begin, .cols = right.end - right.begin,
                             .pitch = (size_t)W * (size_t)C, .step = (size_t)C };
}

/* One row of the output: the largest tap of each window, or the mean of all. */
static void forward_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_pool_shape *s = j->shape;
    int64_t n = row / s->P;
    int p = (int)(row % s->P);
    struct span r = taps(p, s->R, s->H, s);
    (void)worker;
    for (int q = 0; q < s->Q; q++) {
        struct span t = taps(q, s->S, s->W, s);
        struct rn_grid g = grid(r, t, s->W, s->C);
        size_t out = at(n, p, q, s->P, s->Q, s->C);
        void *y = rn_element(j->cpu, j->dst, out);
        const void *x = rn_element(j->cpu, j->src, at(n, p * s->stride - s->pad + r.begin,
                                                      q * s->stride - s->pad + t.begin, s->H, s->W, s->C));
        g.tap = r.begin * s->S + t.begin, g.down = s->S, g.right = 1;
        if (j->taken) j->cpu->tensor->max_of(y, j->taken + out, x, &g, (size_t)s->C);
        else j->cpu->tensor->mean_of(y, x, &g, s->R * s->S, (size_t)s->C);
    }
}

/* One input row of either gradient: the windows that chose an input, or all that cover it. */
static void backward_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_pool_shape *s = j->shape;
    int64_t n = row / s->H;
    int h = (int)(row % s->H);
    struct span ps = windows(h, s->R, s->P, s);
    (void)worker;
    for (int w = 0; w < s->W; w++) {
        struct span qs = windows(w, s->S, s->Q, s);
        struct rn_grid g = grid(ps, qs, s->Q, s->C);
        size_t out = at(n, ps.begin, qs.begin, s->P, s->Q, s->C);
        void *dx = rn_element(j->cpu, j->dst, at(n, h, w, s->H, s->W, s->C));
        const void *dy = rn_element(j->cpu, j->src, out);
        g.tap = (h + s->pad - ps.begin * s->stride) * s->S + w + s->pad - qs.begin * s->stride;
        g.down = -s->stride * s->S, g.right = -s->stride;
        if (j->index) j->cpu->tensor->sum_chosen(dx, dy, j->index + out, &g, (size_t)s->C);
        else j->cpu->tensor->mean_of(dx, dy, &g, s->R * s->S, (size_t)s->C);
    }
}

void rn_cpu_maxpool_forward(void *dev, void *dst, uint8_t *index, const void *src,
                            const struct rn_pool_shape *s)
{
    struct job j = { .cpu = dev, .shape = s, .dst = dst, .taken = index, .src = src };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->P, forward_task, &j);
}

void rn_cpu_maxpool_backward(void *dev, void *dsrc, const void *ddst, const uint8_t *index,
                             const struct rn_pool_shape *s)
{
    struct job j = { .cpu = dev, .shape = s, .dst = dsrc, .index = index, .src = ddst };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->H, backward_task, &j);
}

void rn_cpu_avgpool_forward(void *dev, void *dst, const void *src, const struct rn_pool_shape *s)
{
    struct job j = { .cpu = dev, .shape = s, .dst = dst, .src = src };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->P, forward_task, &j);
}

void rn_cpu_avgpool_backward(void *dev, void *dsrc, const void *ddst, const struct rn_pool_shape *s)
{
    struct job j = { .cpu = dev, .shape = s, .dst = dsrc, .src = ddst };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->H, backward_task, &j);
}

/* One window as large as the map. */
static struct rn_pool_shape whole(const struct rn_pool_shape *s)
{
    return (struct rn_pool_shape){ s->N, s->C, s->H, s->W, s->H, s->W, 1, 1, 1, 0 };
}

void rn_cpu_global_avgpool_forward(void *dev, void *dst, const void *src,
                                   const struct rn_pool_shape *s)
{
    struct rn_pool_shape w = whole(s);
    rn_cpu_avgpool_forward(dev, dst, src, &w);
}

void rn_cpu_global_avgpool_backward(void *dev, void *dsrc, const void *ddst,
                                    const struct rn_pool_shape *s)
{
    struct rn_pool_shape w = whole(s);
    rn_cpu_avgpool_backward(dev, dsrc, ddst, &w);
}
