/*
 * conv_gather.c - which pixels a GEMM row reads: axes, classes, walks, and the packer that gathers
 * them.
 *
 * There is no im2col matrix: the gather is the packing that a blocked GEMM does anyway, one
 * cache-sized slice at a time.
 */
#include "cpu/conv.h"

#define FEW_CHANNELS 64 /* up to this many, a filter row is gathered as one run of whole pixels */

/* How many groups fit a vector; a divisor of their number. */
static int merge(const struct rn_kernels *kernels, const struct rn_conv_shape *s)
{
    int m = RN_MIN(kernels->lanes / RN_MAX(s->C / s->groups, s->K / s->groups), s->groups);
    while (m > 1 && s->groups % m) m--;
    return RN_MAX(m, 1);
}

struct rn_conv_pass rn_conv_pass(const struct rn_kernels *kernels, const struct rn_conv_shape *s,
                                 enum rn_pass pass)
{
    struct rn_conv_pass p = { .shape = *s, .pass = pass, .N = s->N, .pixels = 1 };
    p.merged = merge(kernels, s);
    p.groups = s->groups / p.merged;
    int c = s->C / p.groups, k = s->K / p.groups;
    if (pass == RN_PASS_FORWARD) {
        p.H = s->H, p.W = s->W, p.C = s->C;
        p.P = s->P, p.Q = s->Q, p.K = s->K;
        p.run = c, p.cols = k, p.classes = 1;
        if (p.groups == 1 && s->C <= FEW_CHANNELS) p.pixels = s->S;
    } else {
        p.H = s->P, p.W = s->Q, p.C = s->K;
        p.P = s->H, p.Q = s->W, p.K = s->C;
        p.run = k, p.cols = c, p.classes = s->stride;
    }
    return p;
}

/* One dimension: `filter` taps, `outputs` destination coordinates, class a of the stride's. */
static struct rn_axis axis(const struct rn_conv_pass *p, int filter, int outputs, int a)
{
    int u = p->shape.stride, pad = p->shape.pad;
    if (p->pass == RN_PASS_FORWARD)
        return (struct rn_axis){ .rows = outputs, .taps = filter, .spread = 1, .step = u,
                                 .offset = -pad, .dir = 1, .every = 1 };
    int first = (a + pad) % u;
    return (struct rn_axis){
        .rows = a < outputs ? (outputs - a - 1) / u + 1 : 0,
        .taps = first < filter ? (filter - first - 1) / u + 1 : 0,
        .out = a, .spread = u, .step = 1, .offset = (a + pad - first) / u, .dir = -1,
        .first = first, .every = u,
    };
}

struct rn_conv_class rn_conv_class(const struct rn_conv_pass *p, int i)
{
    struct rn_conv_class c = {
        .h = axis(p, p->shape.R, p->P, i / p->classes),
        .w = axis(p, p->shape.S, p->Q, i % p->classes),
    };
    c.taps = c.h.taps * c.w.taps / p->pixels;
    c.run = p->run * p->pixels;
    c.depth = c.taps * c.run;
    return c;
}

size_t rn_conv_packed_at(const struct rn_kernels *k, const struct rn_conv_pass *p, int i, int group)
{
    size_t padded = rn_gemm_padded(k, p->cols), depth = 0;
    for (int before = 0; before < i; before++) depth += (size_t)rn_conv_class(p, before).depth;
    size_t at = depth * padded * (size_t)p->groups;
    if (group) at += (size_t)group * padded * (size_t)rn_conv_class(p, i).depth;
    return at;
}

int64_t rn_walk_rows(const struct rn_walk *w)
{
    return (int64_t)(w->n1 - w->n0) * RN_MAX(w->i1 - w->i0, 0) * RN_MAX(w->j1 - w->j0, 0);
}

void rn_walk_fill(struct rn_row *row, const struct rn_walk *w, int64_t first, int count)
{
    int N = w->n1 - w->n0, I = w->i1 - w->i0, J = w->j1 - w->j0;
    if (count <= 0) return;
    if (w->by_position) {
        int n = (int)(first % N), i = (int)(first / N / J), j = (int)(first / N % J);
        for (int r = 0; r < count; r++) {
            row[r] = (struct rn_row){ w->n0 + n, w->i0 + i, w->j0 + j };
            if (++n < N) continue;
            n = 0;
            if (++j == J) j = 0, i++;
        }
        return;
    }
    int j = (int)(first % J), i = (int)(first / J % I), n = (int)(first / J / I);
    for (int r = 0; r < count; r++) {
        row[r] = (struct rn_row){ w->n0 + n, w->i0 + i, w->j0 + j };
        if (++j < J) continue;
        j = 0;
        if (++i == I) i = 0, n++;
    }
}

/* The tap that k = begin lies in, cut to begin ... end-1. */
static struct rn_tap tap_at(const struct rn_conv_pass *p, const struct rn_conv_class *c, int begin,
                            int end)
{
    int tap = begin / c->run, across = c->w.taps / p->pixels;
    struct rn_tap t = {
        .H = p->H, .W = p->W, .C = p->C, .step = c->h.step, .pixels = p->pixels,
        .dh = c->h.offset + tap / across * c->h.dir, .dw = c->w.offset + tap % across * c->w.dir,
        .from = begin - tap * c->run,
    };
    t.count = RN_MIN(c->run - t.from, end - begin);
    return t;
}

void rn_conv_gather(const struct rn_kernels *k, float *dst, size_t ld, const float *src,
                    const struct rn_conv_pass *p, const struct rn_conv_class *c, int group,
                        int begin,
                    int end, const struct rn_row *row, int rows)
{
    for (int at = begin; at < end;) {
        struct rn_tap t = tap_at(p, c, at, end);
        t.src = src;
        t.channel = group * p->run;
        k->gather(dst + (at - begin), ld, row, rows, &t);
        at += t.count;
    }
}

bool rn_conv_touches(const struct rn_conv_pass *p, const struct rn_conv_class *c, int begin,
                     int end,
                     const struct rn_row *row, int rows)
{
    for (int at = begin; at < end;) {
        struct rn_tap t = tap_at(p, c, at, end);
        for (int r = 0; r < rows; r++) {
            int h = row[r].i * t.step + t.dh, w = row[r].j * t.step + t.dw;
            if (h >= 0 && h < p->H && w + p->pixels > 0 && w < p->W) return true;
        }
        at += t.count;
    }
    return false;
}
