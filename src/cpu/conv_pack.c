/*
 * conv_pack.c - weights OIHW to the panels a GEMM reads: [class][group][panel][k][nr], zeros where
 * a panel is wider than its columns.  k runs over (tap, channel) in the order of the pass (A13,
 * A14).
 *
 * Where columns fill whole vectors, as in most networks, squares of weights are transposed in
 * registers, each weight read once for all classes.  What is left (few channels, merged groups,
 * unpacking) goes piece by piece.
 */
#include "cpu/conv.h"

/* Of a piece: small enough for the first cache, and as wide as its lines. */
#define COLS 16
#define CHANNELS 8
#define TAPS 16

#define PART 64 /* channels at once, in squares */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *weights; /* packed from them, or with `unpacked` into those */
    float *packed, *unpacked;
    int panels, parts;    /* of a group; parts of a panel, in squares */
};

/* Columns x0 ... x1-1 of a panel, channels c0 ... c1-1, taps t0 ... t1-1. */
struct piece { int x0, x1, c0, c1, t0, t1; };

int rn_conv_filter_tap(const struct rn_conv_shape *s, const struct rn_conv_class *c, int t)
{
    return (c->h.first + t / c->w.taps * c->h.every) * s->S + c->w.first + t % c->w.taps * c->w.every;
}

/* -- piece by piece ---------------------------------------------------------------------------- */

/* Between a piece [channel][tap][column] and the weights, in the order in which those lie. */
static void copy_weights(const struct job *j, float *piece, const struct rn_conv_class *c,
                         const struct rn_panel *panel, int group, const struct piece *b)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    int C = s->C / s->groups, K = s->K / s->groups, m = j->pass.merged, place[TAPS];
    bool forward = j->pass.pass == RN_PASS_FORWARD;
    int cols = b->x1 - b->x0, channels = b->c1 - b->c0, x = 0, ch = 0;
    for (int t = b->t0; t < b->t1; t++) place[t - b->t0] = rn_conv_filter_tap(s, c, t);
    for (int left = cols * channels; left > 0; left--) {
        int column = panel->begin + b->x0 + x;
        int other = j->pass.narrow ? column / C * C + b->c0 + ch : b->c0 + ch;
        int k = forward ? column : other, i = forward ? other : column;
        bool here = b->x0 + x < panel->cols && (m == 1 || k / K == i / C); /* else no weight but a zero */
        if (m > 1) i %= C;
        size_t weight = ((size_t)(group * m * K + k) * (size_t)C + (size_t)i) * (size_t)(s->R * s->S);
        float *p = piece + (size_t)ch * TAPS * COLS + x;
        for (int t = 0; t < b->t1 - b->t0; t++, p += COLS)
            if (!j->unpacked) *p = here ? j->weights[weight + (size_t)place[t]] : 0;
            else if (here) j->unpacked[weight + (size_t)place[t]] = *p;
        if (forward && ++ch == channels) ch = 0, x++;
        else if (!forward && ++x == cols) x = 0, ch++;
    }
}

/* Between a piece and its panel, [tap][channel][nr]. */
static void copy_panel(const struct job *j, float *packed, float *piece, int nr, const struct piece *b)
{
    size_t bytes = (size_t)(b->x1 - b->x0) * sizeof(float);
    for (int t = b->t0; t < b->t1; t++)
        for (int ch = b->c0; ch < b->c1; ch++) {
            float *at = packed + ((size_t)t * (size_t)j->pass.run + (size_t)ch) * (size_t)nr + b->x0;
            float *p = piece + ((size_t)(ch - b->c0) * TAPS + (size_t)(t - b->t0)) * COLS;
            if (j->unpacked) memcpy(p, at, bytes);
            else memcpy(at, p, bytes);
        }
}

static void pack_panel(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int panel = (int)(task % j->panels), group = (int)(task / j->panels % j->pass.groups);
    int class = (int)(task / j->panels / j->pass.groups), run = j->pass.run;
    struct rn_conv_class c = rn_conv_class(&j->pass, class);
    struct rn_panel p = rn_gemm_panel(j->cpu->kernels, j->pass.cols, panel);
    float *packed = j->packed + rn_conv_packed_at(j->cpu->kernels, &j->pass, class, group) +
                    (size_t)p.begin * (size_t)c.depth;
    float piece[CHANNELS * TAPS * COLS];
    int taps = c.taps * j->pass.pixels;
    (void)worker;
    for (int c0 = 0; c0 < run; c0 += CHANNELS)
        for (int x0 = 0; x0 < p.nr; x0 += COLS)
            for (int t0 = 0; t0 < taps; t0 += TAPS) {
                struct piece b = { x0, RN_MIN(x0 + COLS, p.nr), c0, RN_MIN(c0 + CHANNELS, run), t0,
                                   RN_MIN(t0 + TAPS, taps) };
                if (j->unpacked) copy_panel(j, packed, piece, p.nr, &b);
                copy_weights(j, piece, &c, &p, group, &b);
                if (!j->unpacked) copy_panel(j, packed, piece, p.nr, &b);
            }
}

/* -- in squares -------------------------------------------------------------------------------- */

static bool in_squares(const struct job *j)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    return !j->unpacked && j->pass.merged == 1 && j->pass.cols % j->cpu->kernels->lanes == 0 &&
           s->R * s->S <= RN_SQUARE_TAPS;
}

/* Where weight f of a filter goes in a panel, for channel `first`; NULL where no class has it. */
static void find_places(const struct job *j, float **place, const struct rn_panel *p, int group, int first)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    for (int f = 0; f < s->R * s->S; f++) place[f] = NULL;
    for (int class = 0; class < j->pass.classes * j->pass.classes; class++) {
        struct rn_conv_class c = rn_conv_class(&j->pass, class);
        float *packed = j->packed + rn_conv_packed_at(j->cpu->kernels, &j->pass, class, group) +
                        (size_t)p->begin * (size_t)c.depth;
        for (int t = 0; t < c.taps * j->pass.pixels; t++)
            place[rn_conv_filter_tap(s, &c, t)] = packed + (size_t)(t * j->pass.run + first) * (size_t)p->nr;
    }
}

/* A square is some output channels by as many neighbours of (input channel, tap). */
static void forward_squares(const struct rn_cpu *cpu, const struct rn_conv_pass *p, const float *weights,
                            const struct rn_squares *q)
{
    const struct rn_conv_shape *s = &p->shape;
    int taps = s->R * s->S, lanes = cpu->kernels->lanes, c = 0, f = 0;
    size_t row = (size_t)(s->C / s->groups * taps), all = row * (size_t)s->K;
    size_t first = row * (size_t)(q->group * p->cols + q->begin);
    for (int i = q->c0 * taps; i < q->c1 * taps; i += lanes) {
        float *dst[RN_PAD];
        int n = RN_MIN(lanes, q->c1 * taps - i);
        for (int k = 0; k < n; k++) {
            dst[k] = q->place[f] ? q->place[f] + c * q->nr : NULL;
            if (++f == taps) f = 0, c++;
        }
        size_t at = first + (size_t)i;
        cpu->kernels->transpose_to(dst, n, weights + at, all - at, row, (size_t)q->nr);
    }
}

/* A square is some input channels by the taps of their filters, of one output channel. */
static void data_squares(const struct rn_cpu *cpu, const struct rn_conv_pass *p, const float *weights,
                         const struct rn_squares *q)
{
    const struct rn_conv_shape *s = &p->shape;
    int taps = s->R * s->S, lanes = cpu->kernels->lanes;
    size_t row = (size_t)(s->C / s->groups * taps), all = row * (size_t)s->K;
    for (int k = q->c0; k < q->c1; k++)
        for (int f = 0; f < taps; f += lanes) {
            float *dst[RN_PAD];
            int n = RN_MIN(lanes, taps - f);
            for (int t = 0; t < n; t++)
                dst[t] = q->place[f + t] ? q->place[f + t] + (k - q->c0) * q->nr : NULL;
            size_t at = (size_t)(q->group * p->run + k) * row + (size_t)(q->begin * taps + f);
            cpu->kernels->transpose_to(dst, n, weights + at, all - at, (size_t)taps, (size_t)q->nr);
        }
}

/* Rows of input channels on both sides. */
static void copy_pointwise(const struct rn_cpu *cpu, const struct rn_conv_pass *p, const float *weights,
                           const struct rn_squares *q)
{
    size_t cols = (size_t)p->cols, nr = (size_t)q->nr;
    const float *src = weights + (size_t)(q->group * p->run + q->c0) * cols + q->begin;
    if (q->place[0]) cpu->kernels->copy_rows(q->place[0], nr, src, cols, (size_t)(q->c1 - q->c0), nr);
}

void rn_conv_squares(const struct rn_cpu *cpu, const struct rn_conv_pass *p, const float *weights,
                     const struct rn_squares *q)
{
    if (p->pass == RN_PASS_FORWARD) forward_squares(cpu, p, weights, q);
    else if (p->shape.R * p->shape.S > 1) data_squares(cpu, p, weights, q);
    else copy_pointwise(cpu, p, weights, q);
}

static void pack_part(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int part = (int)(task % j->parts), unit = (int)(task / j->parts), group = unit / j->panels;
    struct rn_panel p = rn_gemm_panel(j->cpu->kernels, j->pass.cols, unit % j->panels);
    int first = part * PART;
    struct rn_squares q = { .group = group, .begin = p.begin, .nr = p.nr, .c0 = first,
                            .c1 = RN_MIN(first + PART, j->pass.run) };
    (void)worker;
    find_places(j, q.place, &p, group, first);
    rn_conv_squares(j->cpu, &j->pass, j->weights, &q);
}

/* ---------------------------------------------------------------------------------------------- */

size_t rn_conv_packed_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_conv_pass p = rn_conv_pass(cpu->kernels, s, pass);
    return rn_conv_packed_at(cpu->kernels, &p, p.classes * p.classes, 0) * sizeof(float);
}

static void run(struct job *j)
{
    j->panels = rn_gemm_panels(j->cpu->kernels, j->pass.cols);
    j->parts = rn_ceil_div(j->pass.run, PART);
    int64_t units = (int64_t)j->pass.groups * j->panels;
    if (in_squares(j)) rn_parallel(j->cpu->threads, units * j->parts, pack_part, j);
    else rn_parallel(j->cpu->threads, units * j->pass.classes * j->pass.classes, pack_panel, j);
}

void rn_conv_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                  const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct job j = { cpu, rn_conv_pass(cpu->kernels, s, pass), weights, packed, NULL, 0, 0 };
    run(&j);
}

bool rn_conv_unpack(const struct rn_cpu *cpu, float *weights, const void *packed,
                    const struct rn_conv_shape *s)
{
    struct job j = { cpu, rn_conv_pass(cpu->kernels, s, RN_PASS_FORWARD), NULL, (float *)(uintptr_t)packed,
                     weights, 0, 0 };
    if (j.pass.h.taps < s->R || j.pass.w.taps < s->S) return false; /* cropped taps are lost */
    if (weights) run(&j);
    return true;
}
