/*
 * conv_wgrad.c - weight gradient (A15): dW[(tap, channel)][k] = sum over positions of x dy.
 *
 * dW is cut into tiles, the batch into blocks of leaves (A11), and a task owns a tile for a block: the
 * block is a power of two of leaves, so that its sum is a node of the tree.  Leaf by leaf and tap by tap
 * it lists the positions whose x lies inside the image, and every strip of the tile runs its chain over
 * that list, with x in place and dy packed in panels.  The leaf's strip then joins the tree (leaf_tree.h)
 * while it is in the first cache.  At the end blocks are folded and dW is put in its order.  So no order
 * depends on how many threads there are.
 */
#include "cpu/conv.h"
#include "cpu/leaf_tree.h"

#define TILE_FLOATS (40 << 10) /* of a tile of dW: with its tree nodes, half a second-level cache */
#define TILE_COLS 256
#define POSITIONS 256          /* at once: a panel of dy for them is 32 KB, a first cache */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_shape shape;
    struct rn_conv_pass pass;  /* of the forward pass, which reads x as we do */
    struct rn_conv_class taps;
    int images, leaves;        /* images in a leaf; leaves */
    int rows, cols, count;     /* of a tile at most: rows of a tap, columns, taps */
    int row_tiles, col_tiles, tap_tiles, tiles;
    struct rn_leaf_cut cut;
    size_t tile;               /* floats of the largest tile */
    const float *src, *ddst;
    float *dweights;
    char *workspace;
    size_t worker_bytes;
    float *results;            /* [blocks][tiles][tile] */
    const float **sums;        /* [threads][taps]: where a strip's sums are */
};

/* Tile number `index`: rows row0 ... row1-1 of taps tap0 ... tap1-1, columns col0 ... col1-1 of a group. */
struct tile { int index, group, tap0, tap1, row0, row1, col0, col1; };

/* What one worker needs. */
struct scratch {
    struct rn_position *list;  /* [POSITIONS], or of one row of the map where that is longer */
    float *edge;               /* runs of several pixels that lie partly outside the image */
    float *dy;                 /* [panels][POSITIONS][nr of the widest] */
    struct rn_leaf_tree tree;  /* of a block */
};

static int list_length(const struct job *j) { return RN_MAX(POSITIONS, j->shape.Q); }

static size_t carve(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
    size_t list = (size_t)list_length(j), nr = (size_t)j->cpu->kernels->outer->nr;
    s->list = rn_carve(&w, list * sizeof *s->list);
    s->edge = rn_carve(&w, j->pass.pixels > 1 ? list * (size_t)j->taps.run * sizeof(float) : 0);
    s->dy = rn_carve(&w, list * rn_round_up((size_t)j->cols, nr) * sizeof(float));
    float *nodes = rn_carve(&w, rn_leaf_tree_floats(j->tile, j->cut.block) * sizeof(float));
    s->tree = rn_leaf_tree(nodes, j->tile, j->cut.block);
    return w.used;
}

/* -- how the work is cut ---------------------------------------------------------------------------- */

/* The length of `parts` even parts, a multiple of `unit`. */
static int even(int total, int parts, int unit)
{
    return (int)rn_round_up((size_t)rn_ceil_div(total, parts), (size_t)unit);
}

static void cut_tiles(struct job *j)
{
    int unit = j->cpu->kernels->outer->nr, padded = (int)rn_gemm_padded(j->cpu->kernels, j->pass.cols);
    int run = j->taps.run, taps = RN_MAX(j->taps.taps, 1);
    j->cols = RN_MIN(even(padded, rn_ceil_div(padded, TILE_COLS), unit), padded);
    j->col_tiles = rn_ceil_div(padded, j->cols);
    j->rows = RN_MIN(even(run, rn_ceil_div(run * j->cols, TILE_FLOATS), 8), run);
    j->row_tiles = rn_ceil_div(run, j->rows);
    j->count = RN_MIN(RN_MAX(TILE_FLOATS / (j->rows * j->cols), 1), taps);
    j->count = rn_ceil_div(taps, rn_ceil_div(taps, j->count));
    j->tap_tiles = rn_ceil_div(taps, j->count);
    j->tiles = j->pass.groups * j->row_tiles * j->col_tiles * j->tap_tiles;
    j->tile = (size_t)j->count * (size_t)j->rows * (size_t)j->cols;
}

/* Everything but the pointers, from the shape alone. */
static struct job plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = { .cpu = cpu, .shape = *s, .pass = rn_conv_pass(cpu->kernels, s, RN_PASS_FORWARD) };
    j.pass.run = j.pass.span; /* narrow groups: the whole square of the merged ones */
    j.taps = rn_conv_class(&j.pass, 0);
    cut_tiles(&j);
    j.images = rn_group_images((int64_t)s->P * s->Q);
    j.leaves = rn_ceil_div(s->N, j.images);
    j.cut = rn_leaf_cut(j.leaves, j.tiles, j.tile, cpu->threads);
    struct scratch unused;
    j.worker_bytes = carve(&j, &unused, NULL);
    return j;
}

static size_t result_floats(const struct job *j)
{
    return (size_t)j->cut.parts * (size_t)j->tiles * j->tile;
}

size_t rn_conv_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, s);
    return (size_t)cpu->threads * (j.worker_bytes + (size_t)j.taps.taps * sizeof *j.sums) +
           result_floats(&j) * sizeof(float);
}

static struct tile find_tile(const struct job *j, int index)
{
    struct tile t = { .index = index };
    int rest = index;
    t.col0 = rest % j->col_tiles * j->cols;
    t.col1 = RN_MIN(t.col0 + j->cols, j->pass.cols);
    rest /= j->col_tiles;
    t.row0 = rest % j->row_tiles * j->rows;
    t.row1 = RN_MIN(t.row0 + j->rows, j->taps.run);
    rest /= j->row_tiles;
    t.group = rest % j->pass.groups;
    t.tap0 = rest / j->pass.groups * j->count;
    t.tap1 = RN_MIN(t.tap0 + j->count, j->taps.taps);
    return t;
}

/* Part of a tap in a tile: rows row ... row+mr-1, columns col ... col+cols-1; `at` floats into the tile. */
struct strip { const struct rn_outer_tile *kernel; int row, col, cols; size_t at; };

static const struct rn_outer_tile *widest(const struct job *j, int left)
{
    const struct rn_outer_tile *k = j->cpu->kernels->outer;
    while (k->nr > (int)rn_gemm_padded(j->cpu->kernels, left)) k++;
    return k;
}

/* Of one width: the tallest that `left` rows fill, or two equal ones if those are shorter. */
static const struct rn_outer_tile *tallest(const struct rn_outer_tile *k, int left)
{
    while (k->mr > left || (k->mr > 1 && left < 2 * k->mr && left > k->mr && left % k[1].mr == 0)) k++;
    return k;
}

static struct strip strip_at(const struct job *j, const struct tile *t, int row, int col, size_t at)
{
    struct strip s = { .kernel = widest(j, t->col1 - col), .row = row, .col = col, .at = at };
    s.kernel = tallest(s.kernel, t->row1 - row);
    s.cols = RN_MIN(s.kernel->nr, t->col1 - col);
    return s;
}

/* Strips of one tap, panel by panel: the first, and the one after s; false after the last. */
static struct strip first_strip(const struct job *j, const struct tile *t, int tap)
{
    size_t cols = rn_gemm_padded(j->cpu->kernels, t->col1 - t->col0);
    return strip_at(j, t, t->row0, t->col0, (size_t)(tap - t->tap0) * (size_t)(t->row1 - t->row0) * cols);
}

static bool next_strip(const struct job *j, const struct tile *t, struct strip *s)
{
    int row = s->row + s->kernel->mr, col = s->col;
    if (row == t->row1) row = t->row0, col += s->kernel->nr;
    if (col >= t->col1) return false;
    *s = strip_at(j, t, row, col, s->at + (size_t)s->kernel->mr * (size_t)s->kernel->nr);
    return true;
}

/* -- sums ------------------------------------------------------------------------------------------- */

/* Positions i0 ... i1-1, of those given, whose tap t lies inside the image. */
static void clip(const struct rn_axis *a, int t, int extent, int *i0, int *i1)
{
    int offset = a->offset + t * a->dir;
    *i0 = RN_MAX(*i0, offset < 0 ? rn_ceil_div(-offset, a->step) : 0);
    *i1 = RN_MIN(*i1, extent > offset ? (extent - 1 - offset) / a->step + 1 : 0);
}

/* A chunk of a leaf: rows i0 ... i1-1 of the maps of images n0 ... n1-1. */
struct chunk { int n0, n1, i0, i1; bool first, last; };

/* x of a run of several pixels that begins at column w of its row, with zeros for those outside. */
static const float *edge_run(const struct job *j, float *copy, int n, int h, int w)
{
    struct rn_tap t = { .src = j->src, .H = j->pass.H, .W = j->pass.W, .C = j->pass.C, .step = 1, .dh = h,
                        .dw = w, .pixels = j->pass.pixels, .count = j->taps.run };
    struct rn_row row = { n, 0, 0 };
    j->cpu->kernels->gather(copy, (size_t)j->taps.run, &row, 1, &t);
    return copy;
}

/* The columns of dy that a tile wants of a chunk, as panels. */
static void pack_dy(const struct job *j, const struct tile *t, const struct scratch *s, const struct chunk *c)
{
    const struct rn_conv_shape *f = &j->shape;
    size_t nr = (size_t)j->cpu->kernels->outer->nr, K = (size_t)f->K;
    size_t count = (size_t)(c->n1 - c->n0) * (size_t)(c->i1 - c->i0) * (size_t)f->Q;
    const float *src = j->ddst + ((size_t)c->n0 * (size_t)f->P + (size_t)c->i0) * (size_t)f->Q * K +
                       t->group * j->pass.cols;
    float *dst = s->dy;
    size_t list = (size_t)list_length(j);
    for (size_t col = (size_t)t->col0, end = (size_t)t->col1; col < end; col += nr, dst += nr * list)
        j->cpu->kernels->copy_rows(dst, nr, src + col, K, count, RN_MIN(nr, end - col));
}

/* The positions of a chunk that a tap sees. */
static size_t list_positions(const struct job *j, const struct scratch *s, const struct chunk *c, int tap)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct rn_axis *ah = &j->taps.h, *aw = &j->taps.w;
    int across = aw->taps / p->pixels, i0 = c->i0, i1 = c->i1, j0 = 0, j1 = aw->rows;
    int dh = ah->offset + tap / across, dw = aw->offset + tap % across;
    size_t nr = (size_t)j->cpu->kernels->outer->nr;
    struct rn_position *at = s->list;
    clip(ah, tap / across, p->H, &i0, &i1);
    if (p->pixels == 1) clip(aw, tap % across, p->W, &j0, &j1);
    for (int n = c->n0; n < c->n1; n++)
        for (int i = i0; i < i1; i++) {
            int h = i * ah->step + dh, w = j0 * aw->step + dw;
            const float *x = j->src + (((ptrdiff_t)n * p->H + h) * p->W + w) * p->C;
            const float *dy = s->dy + (size_t)(((n - c->n0) * (c->i1 - c->i0) + i - c->i0) * p->Q + j0) * nr;
            for (int k = j0; k < j1; k++, at++, w += aw->step, x += p->C * aw->step, dy += nr) {
                *at = (struct rn_position){ x, dy };
                if (w < 0 || w + p->pixels > p->W)
                    at->x = edge_run(j, s->edge + (at - s->list) * j->taps.run, n, h, w);
            }
        }
    return (size_t)(at - s->list);
}

/* What the next chunk reads of a tensor: so many pixels `stride` bytes apart, so many bytes of each; asked
 * for line by line, a line of all pixels after the other. */
struct stream { const char *from; size_t stride, bytes, line; int64_t pixels, pixel; };
struct ahead { struct stream x, dy; };

#define LINE 64 /* bytes of a cache line */

static bool ask(struct stream *s, size_t count, struct rn_ahead *ahead)
{
    if (s->line >= s->bytes) return false;
    *ahead = (struct rn_ahead){ s->from + (size_t)s->pixel * s->stride + s->line, s->stride };
    s->pixel += (int64_t)count;
    if (s->pixel >= s->pixels) s->pixel = 0, s->line += LINE;
    return true;
}

/* The next `count` lines, of x or else of dy; when all have been asked for, the same one again. */
static struct rn_ahead lines_ahead(struct ahead *a, const struct scratch *s, size_t count)
{
    struct rn_ahead ahead = { (const char *)s->list, 0 };
    if (!ask(&a->x, count, &ahead)) ask(&a->dy, count, &ahead);
    return ahead;
}

static struct stream stream(const float *from, int channels, int cols, int64_t pixels)
{
    return (struct stream){ .from = (const char *)from, .stride = (size_t)channels * sizeof(float),
                            .bytes = pixels > 0 ? (size_t)cols * sizeof(float) : 0, .pixels = pixels };
}

/* The chunk after this one: for each row of dy as many of x as the stride is. */
static struct ahead look_ahead(const struct job *j, const struct tile *t, const struct chunk *c)
{
    const struct rn_conv_shape *f = &j->shape;
    int n0 = c->last ? c->n1 : c->n0, n1 = c->last ? RN_MIN(c->n1 + j->images, f->N) : c->n1;
    int i0 = c->last ? 0 : c->i1, i1 = RN_MIN(i0 + c->i1 - c->i0, f->P), h0 = i0 * f->stride;
    int64_t rows = (int64_t)(n1 - n0) * (i1 - i0), rows_x = rows * f->stride;
    if (n0 >= n1) return (struct ahead){ 0 };
    size_t x = ((size_t)n0 * (size_t)f->H + (size_t)RN_MIN(h0, f->H)) * (size_t)f->W * (size_t)f->C;
    size_t dy = ((size_t)n0 * (size_t)f->P + (size_t)i0) * (size_t)f->Q * (size_t)f->K;
    return (struct ahead){
        stream(j->src + x + t->group * j->pass.run + t->row0, f->C, t->row1 - t->row0, rows_x * f->W),
        stream(j->ddst + dy + t->group * j->pass.cols + t->col0, f->K, t->col1 - t->col0, rows * f->Q) };
}

/* One tap of the tile through one chunk of leaf i of the block. */
static void multiply(const struct job *j, const struct tile *t, const struct scratch *s,
                     const struct chunk *c, int i, int tap, struct ahead *ahead)
{
    size_t count = list_positions(j, s, c, tap);
    struct strip strip = first_strip(j, t, tap);
    do {
        const struct rn_outer_tile *k = strip.kernel;
        float *sums = rn_leaf_slot(&s->tree, i) + strip.at;
        if (i & 1 && c->first && c->last) sums -= strip.at; /* no need to keep it: stay in the first cache */
        k->run(s->list, count, (size_t)(t->group * j->pass.run + strip.row),
               (size_t)(strip.col - t->col0) * (size_t)list_length(j), sums, c->first,
               lines_ahead(ahead, s, count));
        if (c->last)
            rn_leaf_add(j->cpu->kernels, &s->tree, i, sums, strip.at, (size_t)k->mr * (size_t)k->nr);
    } while (next_strip(j, t, &strip));
}

/* Leaf number `leaf`, the i-th of its block. */
static void leaf_sums(const struct job *j, const struct tile *t, const struct scratch *s, int leaf, int i)
{
    struct chunk c = { .n0 = leaf * j->images, .first = true };
    c.n1 = RN_MIN(c.n0 + j->images, j->shape.N);
    int size = RN_MAX(list_length(j) / (j->shape.Q * (c.n1 - c.n0)), 1);
    do {
        c.i1 = RN_MIN(c.i0 + size, j->shape.P);
        c.last = c.i1 == j->shape.P;
        pack_dy(j, t, s, &c);
        struct ahead ahead = look_ahead(j, t, &c);
        for (int tap = t->tap0; tap < t->tap1; tap++) multiply(j, t, s, &c, i, tap, &ahead);
        c.i0 = c.i1;
        c.first = false;
    } while (!c.last);
}

/* -- results ---------------------------------------------------------------------------------------- */

static float *result(const struct job *j, int block, int tile)
{
    return j->results + ((size_t)block * (size_t)j->tiles + (size_t)tile) * j->tile;
}

static void tile_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct tile t = find_tile(j, (int)(task % j->tiles));
    int block = (int)(task / j->tiles), first = block * j->cut.block;
    int leaves = RN_MIN(j->cut.block, j->leaves - first);
    struct scratch s;
    carve(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    for (int i = 0; i < leaves; i++) leaf_sums(j, &t, &s, first + i, i);
    const float *sums = rn_leaf_total(j->cpu->kernels, &s.tree, leaves, j->tile);
    memcpy(result(j, block, t.index), sums, j->tile * sizeof(float));
}

/* The sums of one strip and tap, all blocks folded by the tree into the first. */
static const float *fold_blocks(const struct job *j, const struct tile *t, const struct strip *s)
{
    float *sums = result(j, 0, t->index) + s->at;
    rn_leaf_fold(j->cpu->kernels, sums, j->cut.blocks, (size_t)j->tiles * j->tile,
                 (size_t)s->kernel->mr * (size_t)s->kernel->nr);
    return sums;
}

/* A strip to its places in OIHW, tap[i] its sums of tap i.  Of merged groups, only the blocks on the diagonal
 * are weights. */
static void store_strip(const struct job *j, const struct tile *t, const struct strip *s,
                        const float *const *sums)
{
    const struct rn_conv_shape *f = &j->shape;
    int C = f->C / f->groups, K = f->K / f->groups, taps = f->R * f->S;
    int across = j->taps.w.taps / j->pass.pixels;
    int corner = j->pass.h.first * f->S + j->pass.w.first;
    for (int x = 0; x < s->cols; x++) {
        int column = s->col + x, first = column / K * C; /* rows of a pixel that are weights */
        float *dw = j->dweights + (size_t)(t->group * j->pass.cols + column) * (size_t)(C * taps) + corner;
        for (int r = 0; r < s->kernel->mr; r++) {
            int pixel = (s->row + r) / j->pass.run, c = (s->row + r) % j->pass.run - first;
            if (c < 0 || c >= C) continue;
            for (int tap = 0; tap < j->taps.taps; tap++)
                dw[c * taps + tap / across * f->S + tap % across + pixel] =
                    rn_store(sums[tap][r * s->kernel->nr + x]);
        }
    }
}

/* Whether all panels are whole vectors of output channels, and rows input channels. */
static bool in_squares(const struct job *j)
{
    return j->pass.merged == 1 && j->pass.pixels == 1 && j->pass.cols % j->cpu->kernels->lanes == 0 &&
           j->shape.R * j->shape.S <= RN_SQUARE_TAPS;
}

/* All rows of a panel to their places in OIHW, squares of them transposed in registers; sums[i] are those of
 * tap i for its last strip s.  Cropped taps become +0. */
static void store_panel(const struct job *j, const struct tile *t, const struct strip *s,
                        const float *const *sums)
{
    const struct rn_conv_shape *f = &j->shape;
    int lanes = j->cpu->kernels->lanes, taps = f->R * f->S, nr = s->kernel->nr, n;
    int count = (t->row1 - t->row0) * taps, r = 0, tap = 0;
    size_t ld = (size_t)(j->pass.run * taps);
    float *dw = j->dweights + (size_t)(t->group * j->pass.cols + s->col) * ld + (size_t)(t->row0 * taps);
    const float *place[RN_SQUARE_TAPS] = { 0 };
    for (int i = 0; i < j->taps.taps; i++)
        place[(j->pass.h.first + i / j->pass.w.taps) * f->S + j->pass.w.first + i % j->pass.w.taps] =
            sums[i] - (s->row - t->row0) * nr;
    for (int i = 0; i < count; i += n) {
        const float *src[RN_PAD];
        n = RN_MIN(lanes, count - i);
        for (int k = 0; k < n; k++) {
            src[k] = place[tap] ? place[tap] + r * nr : NULL;
            if (++tap == taps) tap = 0, r++;
        }
        j->cpu->kernels->transpose_from(dw + i, ld, src, n, (size_t)nr);
    }
}

/* One panel of all taps, tap by tap: a weight's taps are neighbours in OIHW. */
static void store_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int panels = rn_ceil_div(j->cols, j->cpu->kernels->outer->nr), part = (int)(task / panels);
    const float **sums = j->sums + worker * j->taps.taps;
    struct tile t = find_tile(j, part);
    struct strip strip = first_strip(j, &t, t.tap0);
    do {
        if ((strip.col - t.col0) / j->cpu->kernels->outer->nr != (int)(task % panels)) continue;
        for (int tap = 0; tap < j->taps.taps; tap++) {
            struct tile of_tap = find_tile(j, part + tap / j->count * (j->tiles / j->tap_tiles));
            struct strip s = strip;
            s.at += first_strip(j, &of_tap, tap).at;
            sums[tap] = fold_blocks(j, &of_tap, &s);
        }
        if (!in_squares(j)) store_strip(j, &t, &strip, sums);
        else if (strip.row + strip.kernel->mr == t.row1) store_panel(j, &t, &strip, sums);
    } while (next_strip(j, &t, &strip));
}

static void clear_range(void *arg, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    memset((float *)arg + begin, 0, (size_t)(end - begin) * sizeof(float));
}

void rn_conv_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                     const struct rn_conv_shape *s, void *workspace)
{
    struct job j = plan(cpu, s);
    j.src = src, j.ddst = ddst, j.dweights = dweights, j.workspace = workspace;
    j.results = (float *)(j.workspace + (size_t)cpu->threads * j.worker_bytes);
    bool cropped = j.pass.h.taps * j.pass.w.taps < s->R * s->S; /* taps that meet only padding: gradient +0 */
    if (cropped && (!j.taps.taps || !in_squares(&j)))
        rn_parallel_range(cpu->threads, (int64_t)s->K * (s->C / s->groups) * s->R * s->S, 4096, clear_range,
                          dweights);
    if (!j.taps.taps) return;
    j.sums = (const float **)(j.results + result_floats(&j));
    rn_parallel(cpu->threads, (int64_t)j.tiles * j.cut.blocks, tile_task, &j);
    int panels = rn_ceil_div(j.cols, cpu->kernels->outer->nr);
    rn_parallel(cpu->threads, (int64_t)(j.tiles / j.tap_tiles) * panels, store_task, &j);
}
