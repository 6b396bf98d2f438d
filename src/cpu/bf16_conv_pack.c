/*
 * bf16_conv_pack.c - the geometry of a bf16 pass, and its weights: OIHW floats to blocks of pairs.
 *
 * The layout is also the one a tile unit wants: a block of a panel is 16 rows of pairs.
 */
#include "cpu/bf16_conv.h"

struct rn_conv_pass rn_bf16_pass(const struct rn_conv_shape *s, enum rn_pass pass)
{
    bool forward = pass == RN_PASS_FORWARD;
    int c = s->C / s->groups, k = s->K / s->groups;
    struct rn_conv_pass p = { .shape = *s, .pass = pass, .N = s->N, .merged = 1, .groups = s->groups,
                              .h = { 0, s->R, s->pad }, .w = { 0, s->S, s->pad }, .pixels = 1,
                              .classes = forward ? 1 : s->stride };
    if (forward) {
        p.H = s->H, p.W = s->W, p.C = s->C;
        p.P = s->P, p.Q = s->Q, p.K = s->K;
    } else {
        p.H = s->P, p.W = s->Q, p.C = s->K;
        p.P = s->H, p.Q = s->W, p.K = s->C;
    }
    p.run = p.span = forward ? c : k;
    p.cols = forward ? k : c;
    if (forward && s->groups == 1 && c % RN_BF16_BLOCK) p.pixels = s->S;
    return p;
}

int rn_bf16_blocks(const struct rn_conv_class *c) { return rn_ceil_div(c->depth, RN_BF16_BLOCK); }

struct rn_bf16_panel rn_bf16_panel(const struct rn_kernels *k, int cols, int i)
{
    int begin = i * 2 * k->lanes, left = cols - begin;
    int nr = left > k->lanes ? 2 * k->lanes : k->lanes;
    return (struct rn_bf16_panel){ begin, RN_MIN(left, nr), nr };
}

int rn_bf16_panels(const struct rn_kernels *k, int cols) { return rn_ceil_div(cols, 2 * k->lanes); }

size_t rn_bf16_packed_at(const struct rn_kernels *k, const struct rn_conv_pass *p, int i, int group)
{
    size_t words = rn_gemm_padded(k, p->cols) * RN_BF16_PAIRS, blocks = 0;
    for (int before = 0; before < i; before++) {
        struct rn_conv_class c = rn_conv_class(p, before);
        blocks += (size_t)rn_bf16_blocks(&c) * (size_t)p->groups;
    }
    if (group) {
        struct rn_conv_class c = rn_conv_class(p, i);
        blocks += (size_t)rn_bf16_blocks(&c) * (size_t)group;
    }
    return blocks * words;
}

/* -- weights: [class][group][panel][pair][nr], a pair two neighbours of (tap, channel) ------------- */

#define PART 64  /* channels of a task */
#define ROWS 160 /* (tap, channel) at once, in squares: of 32 columns 20 KB */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *weights;
    uint32_t *packed;
    int panels, parts; /* of a group; of a panel */
};

static uint32_t *panel_at(const struct job *j, const struct rn_conv_class *c, int class, int group, int begin)
{
    return j->packed + rn_bf16_packed_at(j->cpu->kernels, &j->pass, class, group) +
           (size_t)begin * RN_BF16_PAIRS * (size_t)rn_bf16_blocks(c);
}

/* Slot number i of a class: how far its weight is from that of tap (0, 0) and channel 0. */
static size_t slot_at(const struct job *j, const struct rn_conv_class *c, int i)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    int tap = i / j->pass.run, channel = i % j->pass.run, taps = s->R * s->S;
    size_t step = (size_t)(j->pass.pass == RN_PASS_FORWARD ? taps : s->C / s->groups * taps);
    return (size_t)channel * step + (size_t)rn_conv_filter_tap(s, c, tap);
}

/* The slots 2*first ... 2*end-1 of a class one by one, zeros where there are none; column x of the panel reads
 * weights[x*column]. */
static void pack_singly(const struct job *j, uint32_t *packed, const float *weights, size_t column,
                        const struct rn_bf16_panel *panel, const struct rn_conv_class *c, int first, int end)
{
    packed += first * panel->nr;
    for (int slot = 2 * first; slot < 2 * end; slot += 2, packed += panel->nr) {
        const float *a = slot < c->depth ? weights + slot_at(j, c, slot) : NULL;
        const float *b = slot + 1 < c->depth ? weights + slot_at(j, c, slot + 1) : NULL;
        for (int x = 0; x < panel->nr; x++) packed[x] = 0;
        for (int x = 0; x < panel->cols; x++) {
            size_t at = (size_t)x * column;
            if (a) packed[x] = rn_to_bf16(a[at]);
            if (b) packed[x] |= (uint32_t)rn_to_bf16(b[at]) << 16;
        }
    }
}

/* One of the even shares of a class and panel. */
static void pack_share(const struct job *j, const struct rn_bf16_panel *p, int class, int group, int part)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    struct rn_conv_class c = rn_conv_class(&j->pass, class);
    size_t taps = (size_t)(s->R * s->S), filter = (size_t)(s->C / s->groups) * taps;
    size_t column = j->pass.pass == RN_PASS_FORWARD ? filter : taps;
    const float *weights = j->weights + (size_t)group * (size_t)(s->K / s->groups) * filter +
                           (size_t)p->begin * column;
    int64_t pairs = (int64_t)rn_bf16_blocks(&c) * RN_BF16_PAIRS;
    pack_singly(j, panel_at(j, &c, class, group, p->begin), weights, column, p, &c,
                (int)(pairs * part / j->parts), (int)(pairs * (part + 1) / j->parts));
}

/* Where columns fill whole vectors and channels pair up, squares of weights are transposed in registers, as in
 * conv_pack.c, each weight read once for all classes; then neighbours become pairs. */
static bool in_squares(const struct job *j, const struct rn_bf16_panel *p)
{
    return p->cols == p->nr && j->pass.run % 2 == 0 && j->pass.shape.R * j->pass.shape.S <= RN_SQUARE_TAPS;
}

/* Channels c0 ... c1-1 of a class, which lie in q's places. */
static void pack_pairs(const struct job *j, const struct rn_squares *q, int class)
{
    struct rn_conv_class c = rn_conv_class(&j->pass, class);
    uint32_t *packed = panel_at(j, &c, class, q->group, q->begin);
    for (int t = 0; t < c.depth / j->pass.run; t++) {
        const float *from = q->place[rn_conv_filter_tap(&j->pass.shape, &c, t)];
        uint32_t *to = packed + (size_t)((t * j->pass.run + q->c0) / 2) * (size_t)q->nr;
        for (int i = q->c0; i < q->c1; i += 2, from += 2 * q->nr, to += q->nr)
            j->cpu->kernels->bf16_conv->pairs(to, from, from + q->nr, (size_t)q->nr);
    }
    if (q->c1 == j->pass.run) { /* and what is missing from the last block */
        size_t depth = (size_t)c.depth, whole = (size_t)rn_bf16_blocks(&c) * RN_BF16_BLOCK;
        memset(packed + depth / 2 * (size_t)q->nr, 0, (whole - depth) / 2 * (size_t)q->nr * sizeof *packed);
    }
}

static void pack_squares(const struct job *j, const struct rn_bf16_panel *p, int group, int part)
{
    float rows[ROWS * 2 * RN_PAD];
    int taps = j->pass.shape.R * j->pass.shape.S, channels = ROWS / taps & -2;
    int end = RN_MIN((part + 1) * PART, j->pass.run), classes = j->pass.classes * j->pass.classes;
    struct rn_squares q = { .group = group, .begin = p->begin, .nr = p->nr, .c0 = part * PART };
    for (int f = 0; f < taps; f++) q.place[f] = rows + f * RN_MIN(channels, PART) * p->nr;
    for (; q.c0 < end; q.c0 = q.c1) {
        q.c1 = RN_MIN(q.c0 + channels, end);
        rn_conv_squares(j->cpu, &j->pass, j->weights, &q);
        for (int class = 0; class < classes; class++) pack_pairs(j, &q, class);
    }
}

static void pack_part(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int part = (int)(task % j->parts), unit = (int)(task / j->parts), group = unit / j->panels;
    struct rn_bf16_panel p = rn_bf16_panel(j->cpu->kernels, j->pass.cols, unit % j->panels);
    (void)worker;
    if (in_squares(j, &p)) pack_squares(j, &p, group, part);
    else
        for (int class = 0; class < j->pass.classes * j->pass.classes; class++)
            pack_share(j, &p, class, group, part);
}

void rn_bf16_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                  const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct job j = { cpu, rn_bf16_pass(s, pass), weights, packed, 0, 0 };
    j.panels = rn_bf16_panels(cpu->kernels, j.pass.cols);
    j.parts = rn_ceil_div(j.pass.run, PART);
    rn_parallel(cpu->threads, (int64_t)j.pass.groups * j.panels * j.parts, pack_part, &j);
}
