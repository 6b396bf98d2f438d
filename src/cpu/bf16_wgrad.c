/*
 * bf16_wgrad.c - weight gradients under bf16 (A31) on fused multiply-adds.
 *
 * dW is cut into tiles of channels and columns with all taps, the batch into blocks of leaves (A11), and a
 * task owns a tile for a block; a block is a power of two of leaves, so that its sum is a node of the tree.
 * A leaf goes by in chunks of whole blocks of slots.  Of a chunk, x is widened to floats between the zeros
 * of its padding, so that a tap of any slot is a fixed step further into the copy, and dy in panels of
 * columns.  Tap by tap the slots that meet the image are listed, block by block, even and odd ones apart:
 * the others hold +0, which leaves a chain that began with +0 as it is, so they cost nothing and yet keep
 * their places.  Then strip by strip the micro-kernel (bf16_wgrad_ukr.inc) goes through that list, and at a
 * leaf's end the strip joins the tree while it is in the first cache.
 *
 * Depthwise, a lane is a channel of x and of dy, and the rest is the same.
 */
#include "cpu/bf16_wgrad.h"

#include "cpu/ahead.h"
#include "cpu/conv.h"
#include "cpu/leaf_tree.h"

#define CHUNK 128              /* slots at once: no leaf of several images has more; a panel of dy is 16 KB */
#define TILE_FLOATS (36 << 10) /* of a tile of dW */
#define WINDOW_FLOATS (64 << 10) /* of the copy of x */

/* One dimension of the copy of x: element b is coordinate b*every + low of the map, and position o meets tap t
 * in element o*step + t. */
struct window { int taps, low, every, step, extent; };

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_shape shape;
    struct rn_conv_pass pass;  /* of the forward pass: groups as they are merged, cropped taps */
    struct window h, w;
    int images, leaves;        /* images in a leaf; leaves */
    int channels, cols;        /* of a tile at most */
    int channel_tiles, col_tiles, tiles;
    struct rn_leaf_cut cut;
    int rows;                  /* of the copy of x that a chunk needs at most, all images together */
    bool depthwise;
    int across, pixels;        /* of a filter row: runs, and pixels in each */
    size_t tile;               /* floats of the largest tile */
    const rn_bf16 *src, *ddst;
    float *dweights;
    char *workspace;
    size_t worker_bytes;
    float *results;            /* [blocks][tiles][tile], where there are several blocks */
};

/* Channels c0 ... c1-1 of a group times columns k0 ... k1-1; depthwise, those channels each by itself.  Its sums
 * lie panel by panel, [tap][run][width of the panel], a run being (pixel, channel), or just (pixel).  Of x it
 * wants planes of `ld` channels: one, or depthwise one for each panel. */
struct tile { int index, group, c0, c1, k0, k1, ld, run, rows; };

/* What one worker needs. */
struct scratch {
    struct rn_bf16_block *list; /* of a chunk and tap */
    float *x;                  /* [planes][rows][w.extent][ld] */
    float *dy;                 /* [panels][CHUNK][width of the widest] */
    struct rn_leaf_tree tree;  /* of a block */
};

static const struct rn_bf16_outer_tile *kernels(const struct job *j)
{
    const struct rn_bf16_wgrad_kernels *k = j->cpu->kernels->bf16_wgrad;
    return j->depthwise ? k->diagonal : k->tile;
}

static size_t plane_floats(const struct job *j, int ld)
{
    return (size_t)j->rows * (size_t)j->w.extent * (size_t)ld;
}

static size_t carve(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
    s->list = rn_carve(&w, CHUNK / RN_BF16_SLOTS * sizeof *s->list);
    s->x = rn_carve(&w, plane_floats(j, j->channels) * sizeof(float));
    s->dy = rn_carve(&w, CHUNK * rn_round_up((size_t)j->cols, (size_t)kernels(j)->nr) * sizeof(float));
    float *nodes = rn_carve(&w, rn_leaf_tree_floats(j->tile, j->cut.block) * sizeof(float));
    s->tree = rn_leaf_tree(nodes, j->tile, j->cut.block);
    return w.used;
}

/* -- how the work is cut ---------------------------------------------------------------------------- */

/* A single tap wants no pixels but those it meets. */
static struct window window(const struct rn_crop *crop, int outputs, int stride)
{
    struct window w = { .taps = crop->taps, .low = -crop->pad, .every = 1, .step = stride };
    if (w.taps == 1) w.every = stride, w.step = 1;
    w.extent = (outputs - 1) * w.step + w.taps;
    return w;
}

/* The length of `parts` even parts, a multiple of `unit`. */
static int even(int total, int parts, int unit)
{
    return RN_MIN((int)rn_round_up((size_t)rn_ceil_div(total, parts), (size_t)unit), total);
}

/* Rows of the copy of x for the chunk that needs most: of all images of a short leaf, or of the output rows that
 * CHUNK positions may touch. */
static int chunk_rows(const struct job *j)
{
    int P = j->shape.P, Q = j->shape.Q;
    if ((int64_t)j->images * P * Q <= CHUNK) return j->images * j->h.extent;
    return (RN_MIN(P, (CHUNK + Q - 2) / Q + 1) - 1) * j->h.step + j->h.taps;
}

static void cut_tiles(struct job *j)
{
    int taps = j->h.taps * j->w.taps, padded = (int)rn_gemm_padded(j->cpu->kernels, j->pass.cols);
    int most = taps > 1 ? 128 : 256;
    j->cols = even(padded, rn_ceil_div(padded, most), kernels(j)->nr);
    j->col_tiles = rn_ceil_div(padded, j->cols);
    int limit = RN_MIN(TILE_FLOATS / (taps * j->cols), WINDOW_FLOATS / (j->rows * j->w.extent));
    limit = RN_MAX(limit, 1);
    j->channels = even(j->pass.span, rn_ceil_div(j->pass.span, limit), limit >= RN_PAD ? RN_PAD : 1);
    j->channel_tiles = rn_ceil_div(j->pass.span, j->channels);
    j->tiles = j->pass.groups * j->channel_tiles * j->col_tiles;
    j->tile = (size_t)taps * (size_t)j->channels * (size_t)j->cols;
    j->pixels = j->pass.pixels;
}

/* Tiles of some vectors of channels, with all groups as one. */
static void cut_vectors(struct job *j)
{
    int lanes = j->cpu->kernels->lanes, padded = (int)rn_gemm_padded(j->cpu->kernels, j->shape.C);
    int limit = RN_MAX(WINDOW_FLOATS / 4 / (j->rows * j->w.extent * lanes), 1) * lanes;
    j->pass.groups = j->pass.merged = 1;
    j->pass.span = j->pass.cols = j->shape.C;
    j->cols = j->channels = even(padded, rn_ceil_div(padded, RN_MIN(limit, 128)), lanes);
    j->tiles = j->channel_tiles = rn_ceil_div(padded, j->cols);
    j->col_tiles = 1;
    j->tile = (size_t)(j->h.taps * j->w.taps) * (size_t)j->cols;
    j->pixels = j->w.taps;
}

/* Everything but the pointers, from the shape alone. */
static struct job plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = { .cpu = cpu, .shape = *s, .pass = rn_conv_pass(cpu->kernels, s, RN_PASS_FORWARD) };
    j.h = window(&j.pass.h, s->P, s->stride);
    j.w = window(&j.pass.w, s->Q, s->stride);
    if (!j.h.taps || !j.w.taps) return j;
    j.images = rn_group_images((int64_t)s->P * s->Q);
    j.leaves = rn_ceil_div(s->N, j.images);
    j.rows = chunk_rows(&j);
    j.depthwise = s->groups > 1 && s->groups == s->C && s->C == s->K;
    if (j.depthwise) cut_vectors(&j);
    else cut_tiles(&j);
    j.across = j.w.taps / j.pixels;
    j.cut = rn_leaf_cut(j.leaves, j.tiles, j.tile, cpu->threads);
    struct scratch unused;
    j.worker_bytes = carve(&j, &unused, NULL);
    return j;
}

static size_t result_floats(const struct job *j)
{
    return j->cut.parts > 1 ? (size_t)j->cut.parts * (size_t)j->tiles * j->tile : 0;
}

size_t rn_bf16_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, s);
    return (size_t)cpu->threads * j.worker_bytes + result_floats(&j) * sizeof(float);
}

static struct tile find_tile(const struct job *j, int index)
{
    struct tile t = { .index = index };
    t.k0 = index % j->col_tiles * j->cols;
    t.k1 = RN_MIN(t.k0 + j->cols, j->pass.cols);
    index /= j->col_tiles;
    t.c0 = index % j->channel_tiles * j->channels;
    t.c1 = RN_MIN(t.c0 + j->channels, j->pass.span);
    t.group = index / j->channel_tiles;
    if (j->depthwise) t.k0 = t.c0, t.k1 = t.c1;
    t.ld = j->depthwise ? kernels(j)->nr : t.c1 - t.c0;
    t.run = j->depthwise ? j->pixels : j->pixels * t.ld;
    t.rows = j->h.taps * j->across * t.run;
    return t;
}

/* A panel: columns col ... col+cols-1 of a tile, on the widest kernel that they fill. */
struct panel { const struct rn_bf16_outer_tile *kernel; int col, cols; size_t at; };

/* The panel that begins at column `col`, counted from the tile's first. */
static struct panel panel_at(const struct job *j, const struct tile *t, int col)
{
    int left = t->k1 - t->k0 - col;
    struct panel p = { .kernel = kernels(j), .col = col, .at = (size_t)col * (size_t)t->rows };
    while (p.kernel->nr > (int)rn_gemm_padded(j->cpu->kernels, left)) p.kernel++;
    p.cols = RN_MIN(p.kernel->nr, left);
    return p;
}

/* Of the panel's width: the tallest that `left` rows fill, or the next if that leaves no short rest. */
static const struct rn_bf16_outer_tile *tallest(const struct rn_bf16_outer_tile *k, int left)
{
    while (k->mr > left) k++;
    return left > k->mr && left < k->mr + 3 && left >= k[1].mr + 3 && k[1].mr ? k + 1 : k;
}

/* -- sums ------------------------------------------------------------------------------------------- */

/* Slots m0 ... m1-1 of a leaf, whose images are n0 ... n1-1; the copy of x begins with row `low`. */
struct chunk { int n0, n1, m0, m1, low, rows; bool first, last; };

/* Positions i0 ... i1-1 of those given that meet tap t inside the map. */
static void clip(const struct window *w, int t, int extent, int *i0, int *i1)
{
    int low = w->low + t * w->every, step = w->step * w->every; /* position i meets coordinate low + i*step */
    *i0 = RN_MAX(*i0, low < 0 ? rn_ceil_div(-low, step) : 0);
    *i1 = RN_MIN(*i1, extent > low ? (extent - 1 - low) / step + 1 : 0);
}

/* The slots of a chunk that a tap meets inside the image. */
static void list_slots(const struct job *j, const struct tile *t, struct rn_bf16_block *list,
                       const struct chunk *c, int kh, int kw)
{
    int P = j->shape.P, Q = j->shape.Q, nr = kernels(j)->nr;
    int p0 = 0, p1 = P, q0 = 0, q1 = Q;
    clip(&j->h, kh, j->pass.H, &p0, &p1);
    if (j->pixels == 1) clip(&j->w, kw, j->pass.W, &q0, &q1);
    for (int m = 0; m < c->m1 - c->m0; m += RN_BF16_SLOTS) memset(list[m / RN_BF16_SLOTS].count, 0, sizeof list->count);
    for (int row = c->m0 / Q; row * Q < c->m1; row++) {
        int n = row / P, p = row % P, first = row * Q - c->m0;
        if (p < p0 || p >= p1) continue;
        int x = ((n * c->rows + p * j->h.step + kh - c->low) * j->w.extent + kw) * t->ld;
        for (int q = RN_MAX(q0, -first); q < RN_MIN(q1, c->m1 - c->m0 - first); q++) {
            int m = first + q;
            struct rn_bf16_block *b = list + m / RN_BF16_SLOTS;
            b->slot[m & 1][b->count[m & 1]++] = (struct rn_bf16_slot){ x + q * j->w.step * t->ld, m * nr };
        }
    }
}

/* Row h of image n, `channels` channels from c on, as the tile wants it: zeros, pixels, zeros. */
static void widen_row(const struct job *j, const struct tile *t, float *dst, int n, int h, int c, int channels)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct window *w = &j->w;
    int begin = w->extent, end = w->extent;
    if (h >= 0 && h < p->H) {
        begin = RN_MIN(w->low < 0 ? rn_ceil_div(-w->low, w->every) : 0, w->extent);
        end = RN_MAX(begin, RN_MIN(w->extent, w->low < p->W ? (p->W - 1 - w->low) / w->every + 1 : 0));
    }
    memset(dst, 0, (size_t)(begin * t->ld) * sizeof *dst);
    if (end > begin) {
        size_t pixel = ((size_t)n * (size_t)p->H + (size_t)h) * (size_t)p->W + (size_t)(begin * w->every + w->low);
        j->cpu->kernels->bf16_wgrad->widen(dst + begin * t->ld, (size_t)t->ld,
                                           j->src + pixel * (size_t)p->C + t->group * p->span + c,
                                           (size_t)(w->every * p->C), (size_t)(end - begin), (size_t)channels);
    }
    memset(dst + end * t->ld, 0, (size_t)((w->extent - end) * t->ld) * sizeof *dst);
}

static void widen_x(const struct job *j, const struct tile *t, float *plane, const struct chunk *c)
{
    for (int from = t->c0; from < t->c1; from += t->ld, plane += plane_floats(j, t->ld)) {
        float *dst = plane;
        for (int n = c->n0; n < c->n1; n++)
            for (int i = 0; i < c->rows; i++, dst += j->w.extent * t->ld)
                widen_row(j, t, dst, n, (c->low + i) * j->h.every + j->h.low, from, RN_MIN(t->ld, t->c1 - from));
    }
}

/* The columns of dy that the tile wants, as panels of CHUNK rows. */
static void widen_dy(const struct job *j, const struct tile *t, float *dst, const struct chunk *c)
{
    size_t K = (size_t)j->shape.K, map = (size_t)j->shape.P * (size_t)j->shape.Q;
    const rn_bf16 *src = j->ddst + ((size_t)c->n0 * map + (size_t)c->m0) * K + t->group * j->pass.cols + t->k0;
    int nr = kernels(j)->nr, cols = t->k1 - t->k0;
    for (int col = 0; col < cols; col += nr)
        j->cpu->kernels->bf16_wgrad->widen(dst + col * CHUNK, (size_t)nr, src + col, K, (size_t)(c->m1 - c->m0),
                                           (size_t)RN_MIN(nr, cols - col));
}

/* The slots that follow the chunk in the batch, as many as it has, and the rows of x that come with them. */
static struct rn_upcoming look_ahead(const struct job *j, const struct tile *t, const struct chunk *c)
{
    const struct rn_conv_shape *f = &j->shape;
    int64_t slots = c->m1 - c->m0, next = (int64_t)c->n0 * f->P * f->Q + c->m1;
    int64_t rows = ((slots - 1) / f->Q + 1) * f->H / f->P + 1;
    int64_t pixel = (next / f->Q * f->H / f->P + j->h.taps + j->h.low) * f->W;
    int64_t strips = (int64_t)rn_ceil_div(t->rows, kernels(j)->mr) * rn_ceil_div(t->k1 - t->k0, kernels(j)->nr);
    struct rn_upcoming a = { .share = 1 };
    a.stream[0] = rn_stream(j->src + t->group * j->pass.span + t->c0, f->C, t->c1 - t->c0, pixel,
                            pixel + rows * f->W, (int64_t)f->N * f->H * f->W);
    a.stream[1] = rn_stream(j->ddst + t->group * j->pass.cols + t->k0, f->K, t->k1 - t->k0, next,
                            next + slots, (int64_t)f->N * f->P * f->Q);
    for (int i = 0; i < 2; i++) a.share += a.stream[i].count * a.stream[i].lines / strips;
    return a;
}

/* One tap and panel of the tile through a chunk of leaf i of the block. */
static void multiply(const struct job *j, const struct tile *t, const struct scratch *s, const struct chunk *c,
                     int i, int tap, const struct panel *p, struct rn_upcoming *ahead)
{
    int blocks = rn_ceil_div(c->m1 - c->m0, RN_BF16_SLOTS), within = p->col % kernels(j)->nr;
    float *slot = rn_leaf_slot(&s->tree, i);
    bool passing = i & 1 && c->first && c->last; /* no need to keep it: stay in the first cache */
    size_t at = p->at + (size_t)(tap * t->run) * (size_t)p->kernel->nr;
    const float *x = s->x + (j->depthwise ? plane_floats(j, p->col) : 0);
    const float *dy = s->dy + (p->col - within) * CHUNK + within;
    for (int row = 0; row < t->run;) {
        const struct rn_bf16_outer_tile *k = tallest(p->kernel, t->run - row);
        float *sums = passing ? slot : slot + at;
        rn_ask(ahead);
        k->run(s->list, blocks, x + (j->depthwise ? row * t->ld : row), dy, sums, c->first);
        size_t n = (size_t)k->mr * (size_t)k->nr;
        if (c->last) rn_leaf_add(j->cpu->kernels, &s->tree, i, sums, at, n);
        row += k->mr, at += n;
    }
}

/* Leaf number `leaf`, the i-th of its block. */
static void leaf_sums(const struct job *j, const struct tile *t, const struct scratch *s, int leaf, int i)
{
    int Q = j->shape.Q, map = j->shape.P * Q;
    struct chunk c = { .n0 = leaf * j->images };
    c.n1 = RN_MIN(c.n0 + j->images, j->shape.N);
    int slots = (c.n1 - c.n0) * map;
    for (; c.m0 < slots; c.m0 = c.m1) {
        c.m1 = RN_MIN(c.m0 + CHUNK, slots);
        c.first = c.m0 == 0, c.last = c.m1 == slots;
        c.low = slots <= CHUNK ? 0 : c.m0 / Q * j->h.step;
        c.rows = slots <= CHUNK ? j->h.extent : ((c.m1 - 1) / Q - c.m0 / Q) * j->h.step + j->h.taps;
        widen_x(j, t, s->x, &c);
        widen_dy(j, t, s->dy, &c);
        struct rn_upcoming ahead = look_ahead(j, t, &c);
        for (int tap = 0; tap < j->h.taps * j->across; tap++) {
            list_slots(j, t, s->list, &c, tap / j->across, tap % j->across);
            for (int col = 0; col < t->k1 - t->k0;) {
                struct panel p = panel_at(j, t, col);
                multiply(j, t, s, &c, i, tap, &p, &ahead);
                col += p.kernel->nr;
            }
        }
    }
}

/* -- results ---------------------------------------------------------------------------------------- */

/* The sum of row `row` of a filter's (c, kh, kw), counted from the tile's first channel, for the panel's
 * first column; NULL where the tap was cropped, its gradient +0. */
static const float *sum_at(const struct job *j, const struct tile *t, const struct panel *p, const float *panel,
                           int row)
{
    const struct rn_conv_shape *f = &j->shape;
    int kw = row % f->S - j->pass.w.first, kh = row / f->S % f->R - j->pass.h.first, c = row / (f->R * f->S);
    if (kh < 0 || kh >= j->h.taps || kw < 0 || kw >= j->w.taps) return NULL;
    return panel + (size_t)((kh * j->w.taps + kw) * (t->run / j->pixels) + c) * (size_t)p->kernel->nr;
}

/* A panel to its places in OIHW where its columns are whole vectors: squares are transposed in registers. */
static void store_squares(const struct job *j, const struct tile *t, const struct panel *p, const float *panel)
{
    int lanes = j->cpu->kernels->lanes, taps = j->shape.R * j->shape.S, count = (t->c1 - t->c0) * taps, n;
    size_t ld = (size_t)(j->pass.span * taps);
    float *dw = j->dweights + (size_t)(t->group * j->pass.cols + t->k0 + p->col) * ld + (size_t)(t->c0 * taps);
    for (int row = 0; row < count; row += n) {
        const float *src[RN_PAD];
        n = RN_MIN(lanes, count - row);
        for (int i = 0; i < n; i++) src[i] = sum_at(j, t, p, panel, row + i);
        j->cpu->kernels->transpose_from(dw + row, ld, src, n, (size_t)p->kernel->nr);
    }
}

/* The same one by one.  Of merged groups only the blocks on the diagonal are weights. */
static void store_singly(const struct job *j, const struct tile *t, const struct panel *p, const float *panel)
{
    const struct rn_conv_shape *f = &j->shape;
    int C = f->C / f->groups, K = f->K / f->groups, taps = f->R * f->S;
    for (int x = 0; x < p->cols; x++) {
        int column = t->k0 + p->col + x, first = column / K * C;
        float *dw = j->dweights + (size_t)(t->group * j->pass.cols + column) * (size_t)(C * taps);
        for (int c = RN_MAX(first, t->c0); c < RN_MIN(first + C, t->c1); c++)
            for (int tap = 0; tap < taps; tap++) {
                const float *sum = sum_at(j, t, p, panel, (j->depthwise ? 0 : c - t->c0) * taps + tap);
                dw[(c - first) * taps + tap] = sum ? rn_store(sum[x]) : 0;
            }
    }
}

static void store_panel(const struct job *j, const struct tile *t, const struct panel *p, const float *panel)
{
    if (j->pass.merged == 1 && !j->depthwise && p->cols == p->kernel->nr) store_squares(j, t, p, panel);
    else store_singly(j, t, p, panel);
}

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
    size_t floats = (size_t)t.rows * rn_gemm_padded(j->cpu->kernels, t.k1 - t.k0);
    const float *sums = rn_leaf_total(j->cpu->kernels, &s.tree, leaves, floats);
    if (j->cut.blocks > 1) {
        memcpy(result(j, block, t.index), sums, floats * sizeof(float));
        return;
    }
    for (int col = 0; col < t.k1 - t.k0;) {
        struct panel p = panel_at(j, &t, col);
        store_panel(j, &t, &p, sums + p.at);
        col += p.kernel->nr;
    }
}

/* One panel: all blocks are folded by the tree into the first and put in their places. */
static void fold_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int panels = rn_ceil_div(j->cols, kernels(j)->nr), col = (int)(task % panels) * kernels(j)->nr;
    struct tile t = find_tile(j, (int)(task / panels));
    (void)worker;
    for (int end = RN_MIN(col + kernels(j)->nr, t.k1 - t.k0); col < end;) {
        struct panel p = panel_at(j, &t, col);
        float *sums = result(j, 0, t.index) + p.at;
        rn_leaf_fold(j->cpu->kernels, sums, j->cut.blocks, (size_t)j->tiles * j->tile,
                     (size_t)t.rows * (size_t)p.kernel->nr);
        store_panel(j, &t, &p, sums);
        col += p.kernel->nr;
    }
}

void rn_bf16_weights(const struct rn_cpu *cpu, float *dweights, const rn_bf16 *src, const rn_bf16 *ddst,
                     const struct rn_conv_shape *s, void *workspace)
{
    struct job j = plan(cpu, s);
    if (!j.tiles) { /* all taps meet only padding */
        memset(dweights, 0, (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S) * sizeof(float));
        return;
    }
    j.src = src, j.ddst = ddst, j.dweights = dweights, j.workspace = workspace;
    j.results = (float *)(j.workspace + (size_t)cpu->threads * j.worker_bytes);
    rn_parallel(cpu->threads, (int64_t)j.tiles * j.cut.blocks, tile_task, &j);
    if (j.cut.blocks > 1)
        rn_parallel(cpu->threads, (int64_t)j.tiles * rn_ceil_div(j.cols, kernels(&j)->nr), fold_task, &j);
}
