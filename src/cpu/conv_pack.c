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

/* Which weight of a filter tap t of a class is. */
static int filter_tap(const struct rn_conv_shape *s, const struct rn_conv_class *c, int t)
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
    for (int t = b->t0; t < b->t1; t++) place[t - b->t0] = filter_tap(s, c, t);
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

/* Where weight f of a filter begins in a panel, NULL where no class has it. */
static void find_places(const struct job *j, float **place, int group, const struct rn_panel *p)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    for (int f = 0; f < s->R * s->S; f++) place[f] = NULL;
    for (int class = 0; class < j->pass.classes * j->pass.classes; class++) {
        struct rn_conv_class c = rn_conv_class(&j->pass, class);
        float *packed = j->packed + rn_conv_packed_at(j->cpu->kernels, &j->pass, class, group) +
                        (size_t)p->begin * (size_t)c.depth;
        for (int t = 0; t < c.taps * j->pass.pixels; t++)
            place[filter_tap(s, &c, t)] = packed + (size_t)(t * j->pass.run) * (size_t)p->nr;
    }
}

/* A square is some output channels by as many neighbours of (input channel, tap). */
static void pack_forward(const struct job *j, float *const *place, int group, const struct rn_panel *p,
                         int c0, int c1)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    int taps = s->R * s->S, lanes = j->cpu->kernels->lanes, c = c0, f = 0;
    size_t row = (size_t)(s->C / s->groups * taps), all = row * (size_t)s->K;
    size_t first = row * (size_t)(group * j->pass.cols + p->begin);
    for (int i = c0 * taps; i < c1 * taps; i += lanes) {
        float *dst[RN_PAD];
        int n = RN_MIN(lanes, c1 * taps - i);
        for (int k = 0; k < n; k++) {
            dst[k] = place[f] ? place[f] + (size_t)c * (size_t)p->nr : NULL;
            if (++f == taps) f = 0, c++;
        }
        size_t at = first + (size_t)i;
        j->cpu->kernels->transpose_to(dst, n, j->weights + at, all - at, row, (size_t)p->nr);
    }
}

/* A square is some input channels by the taps of their filters, of one output channel. */
static void pack_data(const struct job *j, float *const *place, int group, const struct rn_panel *p,
                      int k0, int k1)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    int taps = s->R * s->S, lanes = j->cpu->kernels->lanes;
    size_t row = (size_t)(s->C / s->groups * taps), all = row * (size_t)s->K, nr = (size_t)p->nr;
    for (int k = k0; k < k1; k++)
        for (int f = 0; f < taps; f += lanes) {
            float *dst[RN_PAD];
            int n = RN_MIN(lanes, taps - f);
            for (int t = 0; t < n; t++) dst[t] = place[f + t] ? place[f + t] + (size_t)k * nr : NULL;
            size_t at = (size_t)(group * j->pass.run + k) * row + (size_t)(p->begin * taps + f);
            j->cpu->kernels->transpose_to(dst, n, j->weights + at, all - at, (size_t)taps, nr);
        }
}

static void pack_part(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int part = (int)(task % j->parts), unit = (int)(task / j->parts), group = unit / j->panels;
    struct rn_panel p = rn_gemm_panel(j->cpu->kernels, j->pass.cols, unit % j->panels);
    int first = part * PART, end = RN_MIN(first + PART, j->pass.run);
    float *place[RN_SQUARE_TAPS];
    size_t nr = (size_t)p.nr, cols = (size_t)j->pass.cols, row = (size_t)(group * j->pass.run + first);
    (void)worker;
    find_places(j, place, group, &p);
    if (j->pass.pass == RN_PASS_FORWARD) pack_forward(j, place, group, &p, first, end);
    else if (j->pass.shape.R * j->pass.shape.S > 1) pack_data(j, place, group, &p, first, end);
    else if (place[0]) /* rows of input channels on both sides */
        j->cpu->kernels->copy_rows(place[0] + (size_t)first * nr, nr, j->weights + row * cols + p.begin,
                                   cols, (size_t)(end - first), nr);
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
