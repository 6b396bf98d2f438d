/*
 * conv_wgrad.c - weight gradient (A15): dW[(tap, channel)][k] = sum over positions of x dy.
 *
 * A task owns a tile of dW: a slice of its rows (tap, channel) and a chunk of its columns, for the
 * whole batch.  Leaf by leaf (A11) it gathers the positions of the leaf, the slice of x and the
 * columns of dy side by side, runs one chain over them, and adds the leaf into a binary counter of
 * tree nodes.  So no thread ever holds a part of another's sum, and no order depends on how many
 * there are.  Where the slice lies in one tap, positions whose x is outside the image are not
 * visited.
 */
#include "cpu/conv.h"

#define POSITIONS 128         /* gathered at once */
/* of a tile of dW: large, because x and dy are read again for every tile */
#define TILE_FLOATS (96 << 10)
#define TILE_COLS 256
#define STORE_ROWS 64

struct job {
    const struct rn_cpu *cpu;
    const struct rn_conv_shape *shape;
    /* how x is gathered (as forward), and dy (as a 1x1 convolution's) */
    struct rn_conv_pass x, dy;
    struct rn_conv_class taps, one;
    struct rn_slices slices;
    int chunk, chunks;            /* columns in a chunk; chunks of a group */
    int images, leaves, levels;   /* images in a leaf; leaves; tree nodes kept at once */
    size_t ld, tile;              /* floats of a gathered position; of a tile */
    const float *src, *ddst;
    float *dweights;
    char *workspace;
    size_t worker_bytes, tile_bytes;
    float *matrix;                /* im2col: one leaf of one group, [positions][depth]; else NULL */
    char *tiles;                  /* im2col: the sums of every tile of a group */
    int leaf, group;              /* im2col: those at work */
};

/* What one worker needs: operands, then the sums of its tile. */
struct scratch {
    struct rn_row *row;
    float *x, *dy;          /* [POSITIONS][ld], [panel][POSITIONS][nr] */
    float *leaf, *node;     /* tiles [panel][rows + RN_MAX_MR][nr]; a node for each level */
};

static size_t carve_operands(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
    s->row = rn_carve(&w, POSITIONS * sizeof(struct rn_row));
    s->x = rn_carve(&w, POSITIONS * j->ld * sizeof(float));
    s->dy = rn_carve(&w, POSITIONS * (size_t)j->chunk * sizeof(float));
    return w.used;
}

static size_t carve_sums(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
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
    int slices = rn_ceil_div(cpu->threads, j.x.groups * j.chunks); /* for every thread a task */
    int rows = RN_MIN(TILE_FLOATS / j.chunk, rn_ceil_div(j.taps.depth, slices));
    j.slices = rn_gemm_slices(j.taps.taps, j.taps.run, rows, 6);
    j.images = rn_group_images((int64_t)s->P * s->Q);
    j.leaves = rn_ceil_div(s->N, j.images);
    for (int n = j.leaves; n; n /= 2) j.levels++;
    j.ld = rn_round_up((size_t)j.slices.len, 16) + 16;
    j.tile = ((size_t)j.slices.len + RN_MAX_MR) * (size_t)j.chunk;
    struct scratch unused;
    j.worker_bytes = carve_operands(&j, &unused, NULL);
    j.tile_bytes = carve_sums(&j, &unused, NULL);
    return j;
}

/* Floats of the im2col matrix. */
static size_t matrix_floats(const struct job *j)
{
    size_t positions = (size_t)j->images * (size_t)j->shape->P * (size_t)j->shape->Q;
    return positions * (size_t)j->taps.depth + RN_MAX_MR;
}

static size_t group_tiles(const struct job *j) { return (size_t)(j->slices.count * j->chunks); }

size_t rn_conv_wgrad_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, s);
    size_t threads = (size_t)cpu->threads;
    if (cpu->im2col)
        return threads * j.worker_bytes + group_tiles(&j) * j.tile_bytes +
               matrix_floats(&j) * sizeof(float);
    return threads * (j.worker_bytes + j.tile_bytes);
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
    if (!j->matrix && j->x.pixels == 1 && tap == (t->end - 1) / c->run) {
        inside(&c->h, tap / c->w.taps, j->x.H, &w.i0, &w.i1);
        inside(&c->w, tap % c->w.taps, j->x.W, &w.j0, &w.j1);
    }
    return w;
}

struct operand { const float *a; size_t ld; };

/* The tile's rows of x at `count` positions from number `at` of a walk: gathered, or in the matrix.
 */
static struct operand x_rows(const struct job *j, const struct tile *t, const struct scratch *s,
                             int64_t at, int count)
{
    size_t depth = (size_t)j->taps.depth;
    if (j->matrix) return (struct operand){ j->matrix + (size_t)at * depth + t->begin, depth };
    rn_conv_gather(j->cpu->kernels, s->x, j->ld, j->src, &j->x, &j->taps, t->group, t->begin,
                   t->end,
                   s->row, count);
    return (struct operand){ s->x, j->ld };
}

/* dy of `count` positions from number `at` of a walk, as a panel: gathered, or in place where a
 * pixel of dy is exactly one panel and the walk visits every pixel. */
static const float *dy_panel(const struct job *j, const struct tile *t, const struct scratch *s,
                             const struct rn_panel *panel, const struct rn_walk *w, int64_t at,
                             int count)
{
    int64_t map = (int64_t)j->shape->P * j->shape->Q;
    if (panel->cols == j->shape->K && panel->nr == panel->cols &&
        rn_walk_rows(w) == (w->n1 - w->n0) * map)
        return j->ddst + (size_t)(w->n0 * map + at) * (size_t)panel->nr;
    float *dy = s->dy + (size_t)(panel->begin - t->origin) * POSITIONS;
    rn_conv_gather(j->cpu->kernels, dy, (size_t)panel->nr, j->ddst, &j->dy, &j->one, t->group,
                   panel->begin, panel->begin + panel->cols, s->row, count);
    return dy;
}

/* One leaf of the tile: chains over the positions of images n0 ... n1-1, from +0. */
static void leaf_sums(const struct job *j, const struct tile *t, const struct scratch *s,
                      float *sums,
                      int n0, int n1)
{
    struct rn_walk w = walk(j, t, n0, n1);
    int64_t total = rn_walk_rows(&w), at = 0;
    do { /* once even when there is no position: the sums become +0 */
        int count = (int)RN_MIN(total - at, POSITIONS);
        rn_walk_fill(s->row, &w, at, count);
        struct operand x = x_rows(j, t, s, at, count);
        for (int p = t->panel0; p < t->panel1; p++) {
            size_t place;
            struct rn_panel panel = panel_of(j, t, p, &place);
            const float *dy = dy_panel(j, t, s, &panel, &w, at, count);
            rn_gemm_strips(&panel, (size_t)count, x.a, 1, x.ld, dy, sums + place,
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

/* Adds leaf i to the tree (A11) kept as a binary counter: node l holds the sum of 2^l leaves. */
static void add_leaf(const struct job *j, const struct tile *t, const struct scratch *s, int i)
{
    int n0 = i * j->images, n1 = RN_MIN(n0 + j->images, j->shape->N);
    leaf_sums(j, t, s, i & 1 ? s->leaf : s->node, n0, n1);
    for (int level = 0; i >> level & 1; level++) {
        bool last = !(i >> (level + 1) & 1);
        add_tiles(j, t, last ? s->node + (size_t)(level + 1) * j->tile : s->leaf,
                  s->node + (size_t)level * j->tile, s->leaf);
    }
}

/* The sums over all leaves: what is left over in the counter is folded from the newest to the
 * oldest. */
static const float *fold(const struct job *j, const struct tile *t, const struct scratch *s)
{
    const float *sums = NULL;
    for (int level = 0; level < j->levels; level++) {
        const float *node = s->node + (size_t)level * j->tile;
        if (!(j->leaves >> level & 1)) continue;
        if (sums) add_tiles(j, t, s->leaf, node, sums);
        sums = sums ? s->leaf : node;
    }
    return sums;
}

/* Rows begin ... end-1 of one tap of a finished panel to their places in OIHW.  Of merged groups,
 * only the blocks on the diagonal are weights. */
static void store_rows(const struct job *j, const struct tile *t, const struct rn_panel *panel,
                       const float *sums, int begin, int end)
{
    const struct rn_conv_shape *s = j->shape;
    int C = s->C / s->groups, K = s->K / s->groups, taps = s->R * s->S, tap = begin / j->x.run;
    for (int x = 0; x < panel->cols; x++) {
        int column = panel->begin + x, first = tap * j->x.run + column / K * C;
        float *dw = j->dweights + (size_t)(t->group * j->x.cols + column) * (size_t)(C * taps) +
            tap;
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

/* Tile `i` of a group. */
static struct tile find_tile(const struct job *j, int group, int i)
{
    const struct rn_kernels *k = j->cpu->kernels;
    int chunk = i % j->chunks, nr = k->tile->nr;
    struct tile t = { .group = group };
    rn_gemm_slice(&j->slices, i / j->chunks, &t.begin, &t.end);
    t.panel0 = chunk * j->chunk / nr; /* all chunks but the last are whole widest panels */
    t.panel1 = chunk + 1 < j->chunks ? (chunk + 1) * j->chunk / nr : rn_gemm_panels(k, j->x.cols);
    t.origin = rn_gemm_panel(k, j->x.cols, t.panel0).begin;
    return t;
}

/* Operands of a worker; what the gather leaves untouched beyond slice and columns is +0. */
static struct scratch operands(const struct job *j, int worker)
{
    struct scratch s;
    carve_operands(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    memset(s.x, 0, POSITIONS * j->ld * sizeof(float));
    memset(s.dy, 0, POSITIONS * (size_t)j->chunk * sizeof(float));
    return s;
}

static void tile_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int64_t tiles = (int64_t)group_tiles(j);
    struct tile t = find_tile(j, (int)(task / tiles), (int)(task % tiles));
    struct scratch s = operands(j, worker);
    carve_sums(j, &s, j->tiles + (size_t)worker * j->tile_bytes);
    for (int i = 0; i < j->leaves; i++) add_leaf(j, &t, &s, i);
    store_tile(j, &t, fold(j, &t, &s));
}

/* im2col: positions `task` * POSITIONS ... of the leaf into the matrix. */
static void matrix_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct rn_walk w = { .n0 = j->leaf * j->images, .i1 = j->taps.h.rows, .j1 = j->taps.w.rows };
    struct scratch s;
    w.n1 = RN_MIN(w.n0 + j->images, j->shape->N);
    int64_t first = task * POSITIONS;
    int count = (int)RN_MIN(POSITIONS, rn_walk_rows(&w) - first);
    carve_operands(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    rn_walk_fill(s.row, &w, first, count);
    if (count > 0)
        rn_conv_gather(j->cpu->kernels, j->matrix + first * j->taps.depth, (size_t)j->taps.depth,
                       j->src, &j->x, &j->taps, j->group, 0, j->taps.depth, s.row, count);
}

/* im2col: the leaf's part of one tile; with the last leaf, the tile itself. */
static void leaf_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct tile t = find_tile(j, j->group, (int)task);
    struct scratch s = operands(j, worker);
    carve_sums(j, &s, j->tiles + (size_t)task * j->tile_bytes);
    add_leaf(j, &t, &s, j->leaf);
    if (j->leaf + 1 == j->leaves) store_tile(j, &t, fold(j, &t, &s));
}

static void run_im2col(struct job *j)
{
    int64_t positions = (int64_t)j->images * j->shape->P * j->shape->Q;
    for (j->group = 0; j->group < j->x.groups; j->group++)
        for (j->leaf = 0; j->leaf < j->leaves; j->leaf++) {
            rn_parallel(j->cpu->threads, (positions + POSITIONS - 1) / POSITIONS, matrix_task, j);
            rn_parallel(j->cpu->threads, (int64_t)group_tiles(j), leaf_task, j);
        }
}

void rn_cpu_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const float *src,
                                    const float *ddst, const struct rn_conv_shape *s,
                                        void *workspace)
{
    const struct rn_cpu *cpu = dev;
    struct job j = plan(cpu, s);
    j.src = src, j.ddst = ddst, j.dweights = dweights, j.workspace = workspace;
    j.tiles = j.workspace + (size_t)cpu->threads * j.worker_bytes;
    if (cpu->im2col) {
        j.matrix = (float *)(j.tiles + group_tiles(&j) * j.tile_bytes);
        run_im2col(&j);
    } else {
        rn_parallel(cpu->threads, (int64_t)j.x.groups * (int64_t)group_tiles(&j), tile_task, &j);
    }
    if (dbias) rn_conv_bias_gradient(cpu, dbias, ddst, s);
}
