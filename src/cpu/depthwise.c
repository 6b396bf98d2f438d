/*
 * depthwise.c - convolutions with as many groups as channels in and out (A13-A15).
 *
 * No sum runs over channels, so there is no GEMM: a lane is a channel and a vector of weights meets a vector
 * of the source.  Forward and data gradient go row by row and read the source in place, with those taps that
 * lie inside the image; the axes of conv.h say where.  The weight gradient copies bands of rows, vector by
 * vector of channels, between zeros (A6), so that all taps see every position, and adds up the taps of a leaf
 * together; leaves are kept and meet in the tree at the end.
 */
#include "cpu/depthwise.h"

#include "cpu/conv.h"
#include "cpu/leaf_tree.h"

#define TASK_FLOATS (32 << 10) /* of dst, at least */
#define BAND_FLOATS (6 << 10) /* of a vector's x in a band: several are a fraction of a second-level cache */

bool rn_depthwise_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return s->groups > 1 && s->groups == s->C && s->C == s->K && s->C >= cpu->kernels->lanes &&
           s->R * s->S <= RN_DEPTHWISE_TAPS;
}

/* -- weights: [tap][channel] ------------------------------------------------------------------------ */

size_t rn_depthwise_packed_bytes(const struct rn_conv_shape *s)
{
    return (size_t)(s->R * s->S) * (size_t)s->C * sizeof(float);
}

struct packing { const float *src; float *dst; size_t rows, cols; };

/* Transposes rows begin ... end-1. */
static void transpose(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct packing *p = arg;
    (void)worker;
    for (size_t r = (size_t)begin; r < (size_t)end; r++)
        for (size_t c = 0; c < p->cols; c++) p->dst[c * p->rows + r] = p->src[r * p->cols + c];
}

void rn_depthwise_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                       const struct rn_conv_shape *s)
{
    struct packing p = { weights, packed, (size_t)s->C, (size_t)(s->R * s->S) };
    rn_parallel_range(cpu->threads, s->C, 1024, transpose, &p);
}

bool rn_depthwise_unpack(const struct rn_cpu *cpu, float *weights, const void *packed,
                         const struct rn_conv_shape *s)
{
    struct packing p = { packed, weights, (size_t)(s->R * s->S), (size_t)s->C };
    if (weights) rn_parallel_range(cpu->threads, (int64_t)p.rows, 1024, transpose, &p);
    return true;
}

/* -- forward and data gradient ---------------------------------------------------------------------- */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *src, *packed;
    float *dst;
    struct rn_finish finish;
};

/* The source coordinate that position i reads through tap t. */
static int source(const struct rn_axis *a, int i, int t) { return i * a->step + a->offset + t * a->dir; }

static bool inside(const struct rn_axis *a, int i, int t, int extent)
{
    return source(a, i, t) >= 0 && source(a, i, t) < extent;
}

/* How many positions from j on see the same taps of a row: many where they see all, else 1. */
static int alike(const struct rn_axis *a, int j, int extent)
{
    int last = RN_MAX(a->taps - 1, 0), end = j;
    while (end < a->rows && inside(a, end, 0, extent) && inside(a, end, last, extent)) end++;
    return RN_MAX(end - j, 1);
}

/* The positions of one class in row h of image n. */
static void run_row(const struct job *j, const struct rn_conv_class *c, int n, int h,
                    struct rn_depthwise_tap *tap)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct rn_axis *ah = &c->h, *aw = &c->w;
    size_t C = (size_t)p->C, step = (size_t)aw->step * C, to = (size_t)aw->spread * C;
    for (int i = 0, count; i < aw->rows; i += count) {
        int taps = 0;
        for (int r = 0; r < ah->taps; r++)
            for (int s = 0; s < aw->taps && inside(ah, h / p->classes, r, p->H); s++) {
                if (!inside(aw, i, s, p->W)) continue;
                int kh = ah->first + r * ah->every, kw = aw->first + s * aw->every;
                size_t row = (size_t)n * (size_t)p->H + (size_t)source(ah, h / p->classes, r);
                tap[taps++] = (struct rn_depthwise_tap){
                    j->src + (row * (size_t)p->W + (size_t)source(aw, i, s)) * C,
                    j->packed + (size_t)(kh * p->shape.S + kw) * C };
            }
        size_t at = (((size_t)n * (size_t)p->P + (size_t)h) * (size_t)p->Q +
                     (size_t)(aw->out + i * aw->spread)) * C;
        struct rn_finish f = j->finish;
        if (f.add) f.add += at;
        count = alike(aw, i, p->W);
        j->cpu->kernels->depthwise.run(j->dst + at, to, tap, taps, step, count, C, &f);
    }
}

/* Rows begin ... end-1 of all images. */
static void run_rows(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    struct rn_depthwise_tap tap[RN_DEPTHWISE_TAPS];
    int classes = j->pass.classes;
    (void)worker;
    for (int64_t row = begin; row < end; row++) {
        int n = (int)(row / j->pass.P), h = (int)(row % j->pass.P);
        for (int i = 0; i < classes; i++) {
            struct rn_conv_class c = rn_conv_class(&j->pass, h % classes * classes + i);
            run_row(j, &c, n, h, tap);
        }
    }
}

void rn_depthwise_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                      const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s)
{
    struct job j = { cpu, rn_conv_pass(cpu->kernels, s, pass), src, packed, dst, *finish };
    int64_t rows = (int64_t)s->N * j.pass.P;
    int64_t grain = RN_MAX(TASK_FLOATS / ((int64_t)j.pass.Q * s->C), 1);
    rn_parallel_range(cpu->threads, rows, RN_MIN(grain, rn_ceil_div((int)rows, cpu->threads)), run_rows, &j);
}

/* -- weight gradient -------------------------------------------------------------------------------- */

#define BLOCK 8 /* vectors of a task: of every pixel a few cache lines side by side */

struct gradient {
    const struct rn_cpu *cpu;
    struct rn_conv_shape shape;
    int images, leaves, vectors, blocks; /* of a leaf; leaves; vectors of channels; tasks of a leaf */
    int width, rows;                     /* pixels of a row of x in a band; rows of dy */
    size_t sums, x, dy;                  /* floats of a vector: of all taps, of a band */
    const float *src, *ddst;
    float *dweights;
    float *leaf;                         /* [leaves][vectors][sums] */
    float *bands;                        /* [threads][BLOCK][x + dy] */
};

static struct gradient plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct gradient g = { .cpu = cpu, .shape = *s };
    int lanes = cpu->kernels->lanes;
    g.images = rn_group_images((int64_t)s->P * s->Q);
    g.leaves = rn_ceil_div(s->N, g.images);
    g.vectors = rn_ceil_div(s->C, lanes);
    g.blocks = rn_ceil_div(g.vectors, BLOCK);
    g.width = (s->Q - 1) * s->stride + s->S;
    g.rows = RN_MIN(RN_MAX((BAND_FLOATS / (g.width * lanes) - s->R) / s->stride + 1, 1), s->P);
    g.sums = (size_t)(s->R * s->S * lanes);
    g.x = rn_round_up((size_t)((g.rows - 1) * s->stride + s->R) * (size_t)(g.width * lanes), RN_PAD);
    g.dy = rn_round_up((size_t)(g.rows * s->Q * lanes), RN_PAD);
    return g;
}

static size_t leaf_floats(const struct gradient *g)
{
    return rn_round_up((size_t)g->leaves * (size_t)g->vectors * g->sums, RN_PAD);
}

size_t rn_depthwise_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct gradient g = plan(cpu, s);
    return (leaf_floats(&g) + (size_t)cpu->threads * BLOCK * (g.x + g.dy)) * sizeof(float);
}

/* What the taps see of rows p0 ... of dy: vectors v0 ... of each pixel, zeros outside the image. */
static void copy_x(const struct gradient *g, float *x, int n, int p0, int rows, int v0, int vectors)
{
    const struct rn_conv_shape *s = &g->shape;
    size_t lanes = (size_t)g->cpu->kernels->lanes, C = (size_t)s->C, line = (size_t)g->width * lanes;
    int left = RN_MIN(s->pad, g->width), cols = RN_MIN(s->W, g->width - left), h = p0 * s->stride - s->pad;
    size_t from = (size_t)left * lanes, to = (size_t)(left + cols) * lanes;
    for (int i = (rows - 1) * s->stride + s->R; i; i--, h++, x += line) {
        bool inside = h >= 0 && h < s->H;
        for (int v = 0; v < vectors; v++) {
            float *row = x + (size_t)v * g->x;
            memset(row, 0, (inside ? from : line) * sizeof(float));
            if (inside) memset(row + to, 0, (line - to) * sizeof(float));
        }
        if (inside)
            g->cpu->kernels->depthwise.split(x + from, g->x, vectors,
                                             g->src + ((size_t)n * (size_t)s->H + (size_t)h) * (size_t)s->W * C,
                                             C, (size_t)v0 * lanes, cols);
    }
}

/* The sums of a few vectors of one leaf, band by band. */
static void leaf_task(void *arg, int64_t task, int worker)
{
    const struct gradient *g = arg;
    const struct rn_conv_shape *s = &g->shape;
    const struct rn_depthwise_kernels *k = &g->cpu->kernels->depthwise;
    int leaf = (int)(task / g->blocks), v0 = (int)(task % g->blocks) * BLOCK, lanes = g->cpu->kernels->lanes;
    int vectors = RN_MIN(BLOCK, g->vectors - v0), n1 = RN_MIN((leaf + 1) * g->images, s->N);
    float *sums = g->leaf + ((size_t)leaf * (size_t)g->vectors + (size_t)v0) * g->sums;
    float *x = g->bands + (size_t)worker * BLOCK * (g->x + g->dy), *dy = x + BLOCK * g->x;
    memset(sums, 0, (size_t)vectors * g->sums * sizeof(float));
    for (int n = leaf * g->images; n < n1; n++)
        for (int p = 0; p < s->P; p += g->rows) {
            struct rn_depthwise_band b = { x, dy, RN_MIN(g->rows, s->P - p), s->Q, s->stride,
                                           (size_t)(g->width * lanes) };
            size_t at = ((size_t)n * (size_t)s->P + (size_t)p) * (size_t)s->Q * (size_t)s->K;
            copy_x(g, x, n, p, b.rows, v0, vectors);
            k->split(dy, g->dy, vectors, g->ddst + at, (size_t)s->K, (size_t)(v0 * lanes), b.rows * s->Q);
            for (int v = 0; v < vectors; v++, b.x += g->x, b.dy += g->dy)
                k->weights(sums + (size_t)v * g->sums, s->R, s->S, &b);
        }
}

/* The tree over the leaves of one vector, then each channel's taps to their places. */
static void tree_task(void *arg, int64_t task, int worker)
{
    const struct gradient *g = arg;
    float *leaf = g->leaf + (size_t)task * g->sums;
    int lanes = g->cpu->kernels->lanes, taps = g->shape.R * g->shape.S;
    (void)worker;
    rn_leaf_fold(g->cpu->kernels, leaf, g->leaves, (size_t)g->vectors * g->sums, g->sums);
    int first = RN_MIN((int)task * lanes, g->shape.C - lanes); /* the last vector ends with the last channel */
    for (int c = (int)task * lanes; c < first + lanes; c++)
        for (int t = 0; t < taps; t++) g->dweights[c * taps + t] = rn_store(leaf[t * lanes + c - first]);
}

void rn_depthwise_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                          const struct rn_conv_shape *s, void *workspace)
{
    struct gradient g = plan(cpu, s);
    g.src = src, g.ddst = ddst, g.dweights = dweights, g.leaf = workspace;
    g.bands = g.leaf + leaf_floats(&g);
    rn_parallel(cpu->threads, (int64_t)g.leaves * g.blocks, leaf_task, &g);
    rn_parallel(cpu->threads, g.vectors, tree_task, &g);
}
