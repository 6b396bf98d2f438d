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

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *weights;
    uint32_t *packed;
    int panels; /* of a group */
};

/* Slot number i of a class: how far its weight is from that of tap (0, 0) and channel 0. */
static size_t slot_at(const struct job *j, const struct rn_conv_class *c, int i)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    int tap = i / j->pass.run, channel = i % j->pass.run, taps = s->R * s->S;
    int h = c->h.first + tap / c->w.taps * c->h.every, w = c->w.first + tap % c->w.taps * c->w.every;
    size_t step = (size_t)(j->pass.pass == RN_PASS_FORWARD ? taps : s->C / s->groups * taps);
    return (size_t)channel * step + (size_t)(h * s->S + w);
}

/* One block of a panel; column x of it reads weights[x*column]. */
static void pack_block(const struct job *j, uint32_t *packed, const float *weights, size_t column,
                       const struct rn_bf16_panel *panel, const struct rn_conv_class *c, int first)
{
    for (int pair = 0; pair < RN_BF16_PAIRS; pair++, packed += panel->nr) {
        int slot = first + 2 * pair;
        bool even = slot < c->depth, odd = slot + 1 < c->depth;
        const float *a = even ? weights + slot_at(j, c, slot) : NULL;
        const float *b = odd ? weights + slot_at(j, c, slot + 1) : NULL;
        for (int x = 0; x < panel->nr; x++) packed[x] = 0;
        for (int x = 0; x < panel->cols; x++) {
            size_t at = (size_t)x * column;
            if (even) packed[x] = rn_to_bf16(a[at]);
            if (odd) packed[x] |= (uint32_t)rn_to_bf16(b[at]) << 16;
        }
    }
}

static void pack_panel(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const struct rn_conv_shape *s = &j->pass.shape;
    int panel = (int)(task % j->panels), group = (int)(task / j->panels % j->pass.groups);
    int class = (int)(task / j->panels / j->pass.groups), taps = s->R * s->S;
    struct rn_conv_class c = rn_conv_class(&j->pass, class);
    struct rn_bf16_panel p = rn_bf16_panel(j->cpu->kernels, j->pass.cols, panel);
    uint32_t *packed = j->packed + rn_bf16_packed_at(j->cpu->kernels, &j->pass, class, group) +
                       (size_t)p.begin * RN_BF16_PAIRS * (size_t)rn_bf16_blocks(&c);
    size_t filter = (size_t)(s->C / s->groups * taps);
    size_t column = j->pass.pass == RN_PASS_FORWARD ? filter : (size_t)taps;
    const float *weights = j->weights + (size_t)group * (size_t)(s->K / s->groups) * filter +
                           (size_t)p.begin * column;
    (void)worker;
    for (int first = 0; first < c.depth; first += RN_BF16_BLOCK, packed += RN_BF16_PAIRS * p.nr)
        pack_block(j, packed, weights, column, &p, &c, first);
}

void rn_bf16_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                  const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct job j = { cpu, rn_bf16_pass(s, pass), weights, packed, 0 };
    j.panels = rn_bf16_panels(cpu->kernels, j.pass.cols);
    rn_parallel(cpu->threads, (int64_t)j.pass.classes * j.pass.classes * j.pass.groups * j.panels,
                pack_panel, &j);
}
