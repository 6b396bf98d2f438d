/*
 * conv_wgrad.c - weight and bias gradient (A15): dW[(tap, channel)][k] = sum over positions of x dy.
 *
 * A task owns a tile of dW: a slice of its rows (tap, channel) and a chunk of its columns, for the whole
 * batch.  Leaf by leaf (A11) it gathers the positions of the leaf, the slice of x and the columns of dy
 * side by side, runs one chain over them, and adds the leaf into a binary counter of tree nodes.  So no
 * thread ever holds a part of another's sum, and no order depends on how many there are.  Where the slice
 * lies in one tap, positions whose x is outside the image are not visited.
 */
#include "cpu/conv.h"

#define POSITIONS 128         /* gathered at once */
#define TILE_FLOATS (96 << 10) /* of a tile of dW: large, because x and dy are read again for every tile */
#define TILE_COLS 256
#define BIAS_CHANNELS 64
#define STORE_ROWS 64

struct job {
    const struct rn_cpu *cpu;
    const struct rn_conv_shape *shape;
    struct rn_conv_pass x, dy;    /* how x is gathered (as forward), and dy (as a 1x1 convolution's) */
    struct rn_conv_class taps, one;
    struct rn_slices slices;
    int chunk, chunks;            /* columns in a chunk; chunks of a group */
    int images, leaves, levels;   /* images in a leaf; leaves; tree nodes kept at once */
    size_t ld, tile;              /* floats of a gathered position; of a tile */
    const float *src, *ddst;
    float *dweights, *dbias;
    char *workspace;
    size_t worker_bytes;
};

/* What one worker needs. */
struct scratch {
    struct rn_row *row;
    float *x, *dy;          /* [POSITIONS][ld], [panel][POSITIONS][nr] */
    float *leaf, *node;     /* tiles [panel][rows + RN_MAX_MR][nr]; a node for each level */
};

static size_t carve_scratch(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
    s->row = rn_carve(&w, POSITIONS * sizeof(struct rn_row));
    s->x = rn_carve(&w, POSITIONS * j->ld * sizeof(float));
    s->dy = rn_carve(&w, POSITIONS * (size_t)j->chunk * sizeof(float));
    s->leaf = rn_carve(&w, j->tile * sizeof(float));
    s->node = rn_carve(&w, j->tile * (size_t)j->levels * sizeof(float));
    return w.used;
}

/* Everything but the pointers, from the shape alone. */
static struct job plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = { .cpu = cpu, .shape = s, .x = rn_conv_pass(cpu->kernels, s, RN_PASS_FORWARD) };
    j.taps = rn_conv_class(&j.x, 0);
    struct rn_conv_shape plain = { s->N, s->K, s->P, s->Q, s->K, 1, 1, s->P, s->Q, 1, 0, 1 };
    j.dy = rn_conv_pass(cpu->kernels, &plain, RN_PASS_FORWARD);
    j.dy.run = j.x.cols;
    j.one = rn_conv_class(&j.dy, 0);
    int cols = (int)rn_gemm_padded(cpu->kernels, j.x.cols);
    j.chunk = RN_MIN(cols, TILE_COLS);
    j.chunks = rn_ceil_div(cols, j.chunk);
    int rows = TILE_FLOATS / j.chunk, others = j.x.groups * j.chunks, each = rn_ceil_div(cpu->threads, others);
    rows = RN_MIN(rows, rn_ceil_div(j.taps.depth, each)); /* a task for every thread, or more */
    j.slices = rn_gemm_slices(j.taps.taps, j.taps.run, rows, 6);
    j.images = rn_group_images((int64_t)s->P * s->Q);
    j.leaves = rn_ceil_div(s->N, j.images);
    for (int n = j.leaves; n; n /= 2) j.levels++;
    j.ld = rn_round_up((size_t)j.slices.len, 16) + 16;
    j.tile = ((size_t)j.slices.len + RN_MAX_MR) * (size_t)j.chunk;
    return j;
}

size_t rn_conv_wgrad_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, s);
    struct scratch unused;
    return (size_t)cpu->threads * carve_scratch(&j, &unused, NULL);
}

/* One task's tile of dW. */
struct tile {
    int group, begin, end;   /* rows: k of the gather */
    int panel0, panel1, origin; /* panels, and the column the first begins with */
};

static struct rn_panel panel_of(const struct job *j, const struct tile *t, int p, size_t *at)
{
    struct rn_panel panel = rn_gemm_panel(j->cpu->kernels, j->x.cols, p);
    *at = (size_t)(panel.begin - t->origin) * (size_t)(t->end - t->begin + RN_MAX_MR);
    return panel;
}

/* Positions i0 ... i1-1 whose tap t lies inside the image. */
static void inside(const struct rn_axis *a, int t, int extent, int *i0, int *i1)
{
    int offset = a->offset + t * a->dir;
    *i0 = offset < 0 ? rn_ceil_div(-offset, a->step) : 0;
    *i1 = extent > offset ? RN_MIN(a->rows, (extent - 1 - offset) / a->step + 1) : 0;
}

/* The positions of images n0 ... n1-1 that this tile's rows read. */
static struct rn_walk walk(const struct job *j, const struct tile *t, int n0, int n1)
{
    const struct rn_conv_class *c = &j->taps;
    struct rn_walk w = { .n0 = n0, .n1 = n1, .i1 = c->h.rows, .j1 = c->w.rows };
    int tap = t->begin / c->run;
    if (j->x.pixels == 1 && tap == (t->end - 1) / c->run) {
        inside(&c->h, tap / c->w.taps, j->x.H, &w.i0, &w.i1);
        inside(&c->w, tap % c->w.taps, j->x.W, &w.j0, &w.j1);
    }
    return w;
}

/* dy of `count` positions from number `at` of a walk, as a panel: gathered, or in place where a pixel of dy
 * is exactly one panel and the walk visits every pixel. */
static const float *dy_panel(const struct job *j, const struct tile *t, const struct scratch *s,
                             const struct rn_panel *panel, const struct rn_walk *w, int64_t at,
                             int count)
{
    int64_t map = (int64_t)j->shape->P * j->shape->Q;
    if (panel->nr == j->shape->K && rn_walk_rows(w) == (w->n1 - w->n0) * map)
        return j->ddst + (size_t)(w->n0 * map + at) * (size_t)panel->nr;
    float *dy = s->dy + (size_t)(panel->begin - t->origin) * POSITIONS;
    rn_conv_gather(j->cpu->kernels, dy, (size_t)panel->nr, j->ddst, &j->dy, &j->one, t->group,
                   panel->begin, panel->begin + panel->cols, s->row, count);
    return dy;
}

/* One leaf of the tile: chains over the positions of images n0 ... n1-1, from +0. */
static void leaf_sums(const struct job *j, const struct tile *t, const struct scratch *s, float *sums,
                      int n0, int n1)
{
    const struct rn_kernels *k = j->cpu->kernels;
    struct rn_walk w = walk(j, t, n0, n1);
    int64_t total = rn_walk_rows(&w), at = 0;
    do { /* once even when there is no position: the sums become +0 */
        int count = (int)RN_MIN(total - at, POSITIONS);
        rn_walk_fill(s->row, &w, at, count);
        rn_conv_gather(k, s->x, j->ld, j->src, &j->x, &j->taps, t->group, t->begin, t->end, s->row,
                       count);
        for (int p = t->panel0; p < t->panel1; p++) {
            size_t place;
            struct rn_panel panel = panel_of(j, t, p, &place);
            const float *dy = dy_panel(j, t, s, &panel, &w, at, count);
            rn_gemm_strips(&panel, (size_t)count, s->x, 1, j->ld, dy, sums + place,
                           t->end - t->begin, at == 0);
        }
        at += POSITIONS;
    } while (at < total);
}

/* dst = a + b over the valid part of a tile. */
static void add_tiles(const struct job *j, const struct tile *t, float *dst, const float *a,
                      const float *b)
{
    for (int p = t->panel0; p < t->panel1; p++) {
        size_t at;
        struct rn_panel panel = panel_of(j, t, p, &at);
        j->cpu->kernels->sum(dst + at, a + at, b + at,
                             (size_t)(t->end - t->begin) * (size_t)panel.nr);
    }
}

/* The tree over all leaves (A11) as a binary counter: node i holds the sum of 2^i leaves. */
static const float *tree_sums(const struct job *j, const struct tile *t, const struct scratch *s)
{
    for (int i = 0; i < j->leaves; i++) {
        int n0 = i * j->images, n1 = RN_MIN(n0 + j->images, j->shape->N), level = 0;
        leaf_sums(j, t, s, i & 1 ? s->leaf : s->node, n0, n1);
        for (; i >> level & 1; level++) {
            bool last = !(i >> (level + 1) & 1);
            add_tiles(j, t, last ? s->node + (size_t)(level + 1) * j->tile : s->leaf,
                      s->node + (size_t)level * j->tile, s->leaf);
        }
    }
    const float *sums = NULL; /* what is left over is folded from the newest to the oldest */
    for (int level = 0; level < j->levels; level++) {
        const float *node = s->node + (size_t)level * j->tile;
        if (!(j->leaves >> level & 1)) continue;
        if (sums) add_tiles(j, t, s->leaf, node, sums);
        sums = sums ? s->leaf : node;
    }
    return sums;
}

/* Rows begin ... end-1 of one tap of a finished panel to their places in OIHW.  Of merged groups, only
 * the blocks on the diagonal are weights. */
static void store_rows(const struct job *j, const struct tile *t, const struct rn_panel *panel,
                       const float *sums, int begin, int end)
{
    const struct rn_conv_shape *s = j->shape;
    int C = s->C / s->groups, K = s->K / s->groups, taps = s->R * s->S, tap = begin / j->x.run;
    for (int x = 0; x < panel->cols; x++) {
        int column = panel->begin + x, first = tap * j->x.run + column / K * C;
        float *dw = j->dweights + (size_t)(t->group * j->x.cols + column) * (size_t)(C * taps) + tap;
        for (int k = RN_MAX(begin, first); k < RN_MIN(end, first + C); k++)
            dw[(size_t)(k - first) * (size_t)taps] =
                rn_store(sums[(size_t)(k - begin) * (size_t)panel->nr + (size_t)x]);
    }
}

/* The finished tile to its places in OIHW, in pieces that stay in the first cache. */
static void store_tile(const struct job *j, const struct tile *t, const float *sums)
{
    int C = j->x.run;
    for (int p = t->panel0; p < t->panel1; p++) {
        size_t at;
        struct rn_panel panel = panel_of(j, t, p, &at);
        for (int k = t->begin, end; k < t->end; k = end) {
            end = RN_MIN(RN_MIN(k + STORE_ROWS, (k / C + 1) * C), t->end);
            store_rows(j, t, &panel, sums + at + (size_t)(k - t->begin) * (size_t)panel.nr, k, end);
        }
    }
}

static void tile_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    int chunk = (int)(task % j->chunks), nr = j->cpu->kernels->tile->nr;
    int64_t rest = task / j->chunks;
    struct tile t = { .group = (int)(rest / j->slices.count) };
    carve_scratch(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    rn_gemm_slice(&j->slices, (int)(rest % j->slices.count), &t.begin, &t.end);
    t.panel0 = chunk * j->chunk / nr; /* all chunks but the last are whole widest panels */
    t.panel1 = chunk + 1 < j->chunks ? (chunk + 1) * j->chunk / nr
                                     : rn_gemm_panels(j->cpu->kernels, j->x.cols);
    t.origin = rn_gemm_panel(j->cpu->kernels, j->x.cols, t.panel0).begin;
    memset(s.x, 0, POSITIONS * j->ld * sizeof(float)); /* what lies beyond the slice stays +0 */
    memset(s.dy, 0, POSITIONS * (size_t)j->chunk * sizeof(float));
    store_tile(j, &t, tree_sums(j, &t, &s));
}

/* Channels begin ... end-1 of the bias gradient: chains of + inside a leaf, the same tree of leaves. */
static void bias_task(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t K = (size_t)j->shape->K, P = (size_t)j->shape->P * (size_t)j->shape->Q;
    float node[32][BIAS_CHANNELS], sums[BIAS_CHANNELS];
    int channels = (int)(end - begin);
    (void)worker;
    for (int i = 0; i < j->leaves; i++) {
        size_t n1 = (size_t)RN_MIN((i + 1) * j->images, j->shape->N);
        int level = 0;
        memset(sums, 0, sizeof sums);
        for (size_t at = (size_t)(i * j->images) * P; at < n1 * P; at++)
            for (int c = 0; c < channels; c++) sums[c] = sums[c] + j->ddst[at * K + (size_t)(begin + c)];
        for (; i >> level & 1; level++)
            for (int c = 0; c < channels; c++) sums[c] = node[level][c] + sums[c];
        memcpy(node[level], sums, sizeof sums);
    }
    bool any = false;
    for (int level = 0; level < j->levels; level++) {
        if (!(j->leaves >> level & 1)) continue;
        for (int c = 0; c < channels; c++) sums[c] = any ? node[level][c] + sums[c] : node[level][c];
        any = true;
    }
    for (int c = 0; c < channels; c++) j->dbias[begin + c] = rn_store(sums[c]);
}

/* Pieces of rn_parallel_range may be longer than a task's buffers: they are cut here. */
static void bias_range(void *arg, int64_t begin, int64_t end, int worker)
{
    for (; begin < end; begin += BIAS_CHANNELS)
        bias_task(arg, begin, RN_MIN(begin + BIAS_CHANNELS, end), worker);
}

void rn_cpu_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const float *src,
                                    const float *ddst, const struct rn_conv_shape *s, void *workspace)
{
    const struct rn_cpu *cpu = dev;
    struct job j = plan(cpu, s);
    struct scratch unused;
    j.src = src, j.ddst = ddst, j.dweights = dweights, j.dbias = dbias, j.workspace = workspace;
    j.worker_bytes = carve_scratch(&j, &unused, NULL);
    rn_parallel(cpu->threads, (int64_t)j.x.groups * j.slices.count * j.chunks, tile_task, &j);
    if (dbias) rn_parallel_range(cpu->threads, s->K, 16, bias_range, &j);
}
