/*
 * conv_gather.c - which pixels a GEMM row reads: axes, classes, walks, and where those pixels lie.
 *
 * There is no im2col matrix and no copy of the pixels: every pass reads them through pointers.  Only what of
 * a run of several pixels lies partly outside the image is copied, between zeros.
 */
#include "cpu/conv.h"

#define FEW_CHANNELS 8 /* up to this many, a filter row is one run of whole pixels */

/* How many groups fit a vector; a divisor of their number. */
static int merge(const struct rn_kernels *kernels, const struct rn_conv_shape *s)
{
    int m = RN_MIN(kernels->lanes / RN_MAX(s->C / s->groups, s->K / s->groups), s->groups);
    while (m > 1 && s->groups % m) m--;
    return RN_MAX(m, 1);
}

/* One dimension of the filter: tap f reaches position o*stride - pad + f of 0 ... in-1 for o < out. */
static struct rn_crop crop(int in, int out, int filter, int stride, int pad)
{
    int first = filter, end = 0;
    for (int f = 0; f < filter; f++)
        for (int o = 0; o < out; o++) {
            int i = o * stride - pad + f;
            if (i < 0 || i >= in) continue;
            first = RN_MIN(first, f);
            end = f + 1;
        }
    first = RN_MIN(first, end);
    return (struct rn_crop){ first, end - first, pad - first };
}

struct rn_conv_pass rn_conv_pass(const struct rn_kernels *kernels, const struct rn_conv_shape *s,
                                 enum rn_pass pass)
{
    struct rn_conv_pass p = { .shape = *s, .pass = pass, .N = s->N, .pixels = 1 };
    p.h = crop(s->H, s->P, s->R, s->stride, s->pad);
    p.w = crop(s->W, s->Q, s->S, s->stride, s->pad);
    p.merged = merge(kernels, s);
    p.groups = s->groups / p.merged;
    int c = s->C / p.groups, k = s->K / p.groups;
    if (pass == RN_PASS_FORWARD) {
        p.H = s->H, p.W = s->W, p.C = s->C;
        p.P = s->P, p.Q = s->Q, p.K = s->K;
        p.run = c, p.cols = k, p.classes = 1;
        if (s->groups == 1 && s->C <= FEW_CHANNELS) p.pixels = RN_MAX(p.w.taps, 1);
    } else {
        p.H = s->P, p.W = s->Q, p.C = s->K;
        p.P = s->H, p.Q = s->W, p.K = s->C;
        p.run = k, p.cols = c, p.classes = s->stride;
    }
    int width = s->C / s->groups;
    p.span = p.run;
    p.narrow = p.merged > 1 && s->C == s->K && !(width & (width - 1)) && p.run == kernels->lanes;
    if (p.narrow) p.run = width;
    return p;
}

/* One dimension: the taps of `crop`, `outputs` destination coordinates, class a of the stride's. */
static struct rn_axis axis(const struct rn_conv_pass *p, struct rn_crop crop, int outputs, int a)
{
    int u = p->shape.stride;
    if (p->pass == RN_PASS_FORWARD)
        return (struct rn_axis){ .rows = outputs, .taps = crop.taps, .spread = 1, .step = u,
                                 .offset = -crop.pad, .dir = 1, .first = crop.first, .every = 1 };
    int first = (a + crop.pad) % u;
    return (struct rn_axis){
        .rows = a < outputs ? (outputs - a - 1) / u + 1 : 0,
        .taps = first < crop.taps ? (crop.taps - first - 1) / u + 1 : 0,
        .out = a, .spread = u, .step = 1, .offset = (a + crop.pad - first) / u, .dir = -1,
        .first = crop.first + first, .every = u,
    };
}

struct rn_conv_class rn_conv_class(const struct rn_conv_pass *p, int i)
{
    struct rn_conv_class c = {
        .h = axis(p, p->h, p->P, i / p->classes),
        .w = axis(p, p->w, p->Q, i % p->classes),
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

struct rn_walk rn_conv_walk(const struct rn_conv_pass *p, const struct rn_conv_class *c, int together)
{
    bool border = p->h.taps * p->w.taps > 1;
    return (struct rn_walk){ .n1 = p->N, .i1 = c->h.rows, .j1 = c->w.rows,
                             .together = border ? RN_MIN(together, p->N) : 1 };
}

int rn_walk_block(const struct rn_walk *w, int most)
{
    int64_t rows = rn_walk_rows(w), blocks = RN_MAX((rows + most - 1) / most, 1);
    return RN_MAX((int)rn_round_up((size_t)((rows + blocks - 1) / blocks), 12), 12);
}

void rn_walk_fill(struct rn_row *row, const struct rn_walk *w, int64_t first, int count)
{
    int I = w->i1 - w->i0, J = w->j1 - w->j0;
    if (count <= 0) return;
    int64_t group = (int64_t)w->together * I * J, rest = first % group;
    int n0 = w->n0 + (int)(first / group) * w->together, n1 = RN_MIN(n0 + w->together, w->n1);
    int n = n0 + (int)(rest % (n1 - n0)), position = (int)(rest / (n1 - n0));
    int i = w->i0 + position / J, j = w->j0 + position % J;
    for (int r = 0; r < count; r++) {
        row[r] = (struct rn_row){ n, i, j };
        if (++n < n1) continue;
        n = n0;
        if (++j < w->j1) continue;
        j = w->j0;
        if (++i < w->i1) continue;
        i = w->i0;
        n = n0 = n1;
        n1 = RN_MIN(n0 + w->together, w->n1);
    }
}

/* Where one row finds its taps when it spans several pixels, and what of them lies outside is copied. */
static void locate_run(const struct rn_kernels *k, const float **at, size_t ld, float *edge,
                       const float *src, const float *zeros, const struct rn_conv_pass *p,
                       const struct rn_conv_class *c, const struct rn_row *row)
{
    int w = row->j * c->w.step + c->w.offset, h = row->i * c->h.step + c->h.offset;
    bool whole = w >= 0 && w + p->pixels <= p->W, outside = w <= -p->pixels || w >= p->W;
    int last = h + (c->taps - 1) * c->h.dir;
    ptrdiff_t pixel = (((ptrdiff_t)row->n * p->H + h) * p->W + w) * p->C;
    ptrdiff_t down = (ptrdiff_t)c->h.dir * p->W * p->C;
    if (whole && RN_MIN(h, last) >= 0 && RN_MAX(h, last) < p->H) {
        for (int tap = 0; tap < c->taps; tap++, at += ld, pixel += down) *at = src + pixel;
        return;
    }
    for (int tap = 0; tap < c->taps; tap++, at += ld, edge += ld * (size_t)c->run) {
        int line = h + tap * c->h.dir;
        *at = zeros;
        if (line < 0 || line >= p->H || outside) continue;
        *at = whole ? src + pixel + tap * down : edge;
        if (whole) continue;
        struct rn_tap t = { .src = src, .H = p->H, .W = p->W, .C = p->C, .step = c->h.step,
                            .dh = line - row->i * c->h.step, .dw = c->w.offset,
                            .pixels = p->pixels, .count = c->run };
        k->gather(edge, (size_t)c->run, row, 1, &t);
    }
}

/* The same where a tap is one pixel: at[taps][ld]. */
static void locate_pixels(const float **at, size_t ld, const float *src, const float *zeros,
                          const struct rn_conv_pass *p, const struct rn_conv_class *c,
                          const struct rn_row *row)
{
    int h = row->i * c->h.step + c->h.offset, w = row->j * c->w.step + c->w.offset;
    ptrdiff_t right = (ptrdiff_t)c->w.dir * p->C;
    for (int a = 0; a < c->h.taps; a++, h += c->h.dir) {
        ptrdiff_t pixel = (((ptrdiff_t)row->n * p->H + h) * p->W + w) * p->C;
        bool line = h >= 0 && h < p->H;
        for (int b = 0, x = w; b < c->w.taps; b++, x += c->w.dir, pixel += right, at += ld)
            *at = line && x >= 0 && x < p->W ? src + pixel : zeros;
    }
}

void rn_conv_locate(const struct rn_kernels *k, const float **at, size_t ld, float *edge, const float *src,
                    const float *zeros, const struct rn_conv_pass *p, const struct rn_conv_class *c,
                    const struct rn_row *row, int rows)
{
    for (int r = 0; r < rows; r++)
        if (p->pixels > 1) locate_run(k, at + r, ld, edge + r * c->run, src, zeros, p, c, row + r);
        else locate_pixels(at + r, ld, src, zeros, p, c, row + r);
    for (int tap = 0; tap < c->taps; tap++)
        for (size_t r = (size_t)rows; r < ld; r++) at[(size_t)tap * ld + r] = zeros;
}
