/*
 * amx_wgrad.c - weight gradient on the tile unit: dW[(kh, kw, channel)][k] = sum over positions of x dy (A31).
 *
 * dW is cut into strips, all taps of 32 channels of a group, and the batch into blocks of leaves (A11); a task
 * owns a strip for a block, which is a power of two of leaves and so a node of the tree.  It takes as many
 * leaves at once as fit the second-level cache with their operands (amx_planes.h), and for these computes one
 * square of 32x32 after the other, each leaf's sum straight into a small tree (leaf_tree.h) that never leaves
 * the first cache.  At the end blocks are folded and dW is put in its order.
 *
 * What a leaf costs a strip, in cycles, per 32 numbers of k: 64 a square, of which there are R S K/32; about 250
 * to transpose x, 3 for each of the rows a plane has (32 S), 100 to zip dy of each 32 columns.  With K = 64 and
 * 3x3 that is 1150 of products to 750 of the rest, with K = 512 9200 to 2200.  Adding a leaf to the tree is about
 * 200 a square: little where a leaf has 1024 positions, nearly as much as the product where it has 128.
 */
#include "cpu/amx_planes.h"
#include "cpu/leaf_tree.h"

#if RN_AMX

#define OPERANDS (1 << 20)       /* bytes: half a second-level cache */
#define MAX_CHUNK 64             /* leaves */

struct job {
    const struct rn_cpu *cpu;
    struct rn_amx_planes planes;
    int strips, panels;          /* of a group: runs of channels, of 32 columns */
    int squares;                 /* along a plane's rows */
    int leaves;                  /* of the batch */
    struct rn_leaf_cut cut;
    size_t part;                 /* floats of a strip: [R][squares][panels][32][32] */
    const rn_bf16 *src, *ddst;
    float *dweights, *results;   /* [blocks][groups][strips][part] */
    uint32_t *masks;
    char *workspace;
    size_t worker_bytes;
};

/* What one worker needs. */
struct scratch { char *planes, *phases, *pairs; struct rn_leaf_tree chunk, block; };

static int chunks(const struct job *j) { return rn_ceil_div(j->cut.block, j->planes.leaves); }

static size_t carve(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
    s->planes = rn_carve(&w, rn_amx_planes_bytes(&j->planes));
    s->phases = rn_carve(&w, rn_amx_phases_bytes(&j->planes));
    s->pairs = rn_carve(&w, rn_amx_pairs_bytes(&j->planes));
    float *chunk = rn_carve(&w, rn_leaf_tree_floats(RN_AMX_SQUARE, j->planes.leaves) * sizeof(float));
    float *block = rn_carve(&w, chunks(j) > 1 ? rn_leaf_tree_floats(j->part, chunks(j)) * sizeof(float) : 0);
    s->chunk = rn_leaf_tree(chunk, RN_AMX_SQUARE, j->planes.leaves);
    s->block = rn_leaf_tree(block, j->part, chunks(j));
    return w.used;
}

/* -- how the work is cut ---------------------------------------------------------------------------- */

static void cut_chunks(struct job *j)
{
    int leaves = 1;
    for (;; leaves *= 2) {
        rn_amx_planes_hold(&j->planes, leaves);
        if (leaves >= RN_MIN(j->cut.block, MAX_CHUNK)) return;
        if (2 * (rn_amx_planes_bytes(&j->planes) + rn_amx_pairs_bytes(&j->planes)) > OPERANDS) return;
    }
}

/* Everything but the pointers, from the shape alone. */
static struct job plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = { .cpu = cpu, .planes = rn_amx_planes(s) };
    j.strips = rn_ceil_div(s->C / s->groups, j.planes.channels);
    j.panels = rn_ceil_div(s->K / s->groups, RN_AMX_ROWS);
    j.squares = rn_ceil_div(j.planes.rows, RN_AMX_ROWS);
    j.part = (size_t)(s->R * j.squares) * (size_t)j.panels * RN_AMX_SQUARE;
    j.leaves = rn_ceil_div(s->N, j.planes.images);
    j.cut = rn_leaf_cut(j.leaves, j.strips * s->groups, j.part, cpu->threads);
    cut_chunks(&j);
    struct scratch unused;
    j.worker_bytes = carve(&j, &unused, NULL);
    return j;
}

static size_t results_bytes(const struct job *j)
{
    return (size_t)(j->cut.parts * j->strips * j->planes.shape.groups) * j->part * sizeof(float);
}

size_t rn_amx_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, s);
    return (size_t)cpu->threads * j.worker_bytes + results_bytes(&j) + rn_amx_masks_bytes(&j.planes);
}

/* Strip number i of all, of a block of leaves. */
static float *result(const struct job *j, int block, int i)
{
    return j->results + ((size_t)block * (size_t)(j->strips * j->planes.shape.groups) + (size_t)i) * j->part;
}

/* Floats before a square in a strip. */
static size_t square_at(const struct job *j, int kh, int square, int panel)
{
    return (size_t)((kh * j->squares + square) * j->panels + panel) * RN_AMX_SQUARE;
}

/* -- sums ------------------------------------------------------------------------------------------- */

/* A square of a strip, over a chunk of leaves: blocks[l] of k in the l-th.  What tiles leave alone is zero. */
static const float *chunk_sum(const struct job *j, const struct scratch *s, int kh, int square, int cols,
                              int leaves, const int *blocks)
{
    const struct rn_amx_planes *p = &j->planes;
    int row = square * RN_AMX_ROWS, tiles = RN_MIN((p->rows - row) / 16, 2);
    for (int l = 0; l < leaves; l++) {
        const char *a = rn_amx_plane(s->planes, p, kh, row, l);
        struct rn_amx_run run = { 0, 0, blocks[l] };
        struct rn_amx_product product = {
            { a, a + (tiles > 1 ? 16 * p->pitch : 0) }, p->pitch,
            s->pairs + (size_t)(l * p->blocks) * RN_AMX_PAIRS_BLOCK, 2 * RN_AMX_LINE, RN_AMX_PAIRS_BLOCK, &run, 1,
        };
        float *c = rn_leaf_slot(&s->chunk, l);
        rn_amx_multiply(c, tiles, cols > 16 ? 2 : 1, &product);
        rn_leaf_add(j->cpu->kernels, &s->chunk, l, c, 0, RN_AMX_SQUARE);
    }
    return rn_leaf_total(j->cpu->kernels, &s->chunk, leaves, RN_AMX_SQUARE);
}

/* Chunk number i of a block: `leaves` leaves from `first` on; sums to `out`, or to the block's tree. */
static void chunk_sums(const struct job *j, const struct scratch *s, int strip, int first, int leaves, int i,
                       float *out)
{
    const struct rn_conv_shape *f = &j->planes.shape;
    int C = f->C / f->groups, K = f->K / f->groups, group = strip / j->strips;
    int channel = strip % j->strips * j->planes.channels, blocks[MAX_CHUNK];
    for (int l = 0; l < leaves; l++)
        rn_amx_fill_planes(s->planes, s->phases, j->masks, &j->planes, l, first + l, group * C + channel,
                           RN_MIN(C - channel, j->planes.channels), j->src);
    for (int panel = 0; panel < j->panels; panel++) {
        int cols = RN_MIN(K - panel * RN_AMX_ROWS, RN_AMX_ROWS);
        for (int l = 0; l < leaves; l++)
            blocks[l] = rn_amx_fill_pairs(s->pairs, &j->planes, l, first + l, group * K + panel * RN_AMX_ROWS,
                                          cols, j->ddst);
        for (int kh = 0; kh < f->R; kh++)
            for (int square = 0; square < j->squares; square++) {
                const float *sum = chunk_sum(j, s, kh, square, cols, leaves, blocks);
                size_t at = square_at(j, kh, square, panel);
                float *slot = (out ? out : rn_leaf_slot(&s->block, i)) + at;
                memcpy(slot, sum, RN_AMX_SQUARE * sizeof *sum);
                if (!out) rn_leaf_add(j->cpu->kernels, &s->block, i, slot, at, RN_AMX_SQUARE);
            }
    }
}

static void strip_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int all = j->strips * j->planes.shape.groups, strip = (int)(task % all), block = (int)(task / all);
    int first = block * j->cut.block, leaves = RN_MIN(j->cut.block, j->leaves - first);
    int count = rn_ceil_div(leaves, j->planes.leaves);
    float *out = result(j, block, strip);
    struct scratch s;
    carve(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    memset(s.chunk.node, 0, rn_leaf_tree_floats(RN_AMX_SQUARE, j->planes.leaves) * sizeof(float));
    rn_amx_begin();
    for (int i = 0; i < count; i++) {
        int done = i * j->planes.leaves, now = RN_MIN(j->planes.leaves, leaves - done);
        chunk_sums(j, &s, strip, first + done, now, i, count == 1 ? out : NULL);
    }
    rn_amx_end();
    if (count > 1)
        memcpy(out, rn_leaf_total(j->cpu->kernels, &s.block, count, j->part), j->part * sizeof(float));
}

/* -- results ---------------------------------------------------------------------------------------- */

/* A square, all blocks folded by the tree into the first. */
static void fold_blocks(const struct job *j, int strip, size_t at)
{
    size_t strips = (size_t)(j->strips * j->planes.shape.groups);
    rn_leaf_fold(j->cpu->kernels, result(j, 0, strip) + at, j->cut.blocks, strips * j->part, RN_AMX_SQUARE);
}

/* Row `i` of a strip in OIHW, (channel, kh, kw): its sums in a panel. */
static const float *row_sums(const struct job *j, int strip, int panel, int i)
{
    const struct rn_conv_shape *f = &j->planes.shape;
    int kw = i % f->S, kh = i / f->S % f->R, row = kw * j->planes.channels + i / f->S / f->R;
    return result(j, 0, strip) + square_at(j, kh, row / RN_AMX_ROWS, panel) +
           (size_t)(row % RN_AMX_ROWS) * RN_AMX_ROWS;
}

/* One panel of a strip to its places in OIHW, in squares transposed in registers where it is whole vectors. */
static void store_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const struct rn_conv_shape *f = &j->planes.shape;
    int panel = (int)(task % j->panels), strip = (int)(task / j->panels), group = strip / j->strips;
    int C = f->C / f->groups, K = f->K / f->groups, cols = RN_MIN(K - panel * RN_AMX_ROWS, RN_AMX_ROWS);
    int channel = strip % j->strips * j->planes.channels, taps = f->R * f->S, n;
    int count = RN_MIN(C - channel, j->planes.channels) * taps;
    size_t ld = (size_t)(C * taps);
    float *dw = j->dweights + (size_t)(group * K + panel * RN_AMX_ROWS) * ld + (size_t)(channel * taps);
    (void)worker;
    for (int kh = 0; kh < f->R; kh++)
        for (int square = 0; square < j->squares; square++) fold_blocks(j, strip, square_at(j, kh, square, panel));
    for (int i = 0; i < count; i += n) {
        const float *row[RN_PAD];
        n = RN_MIN(RN_PAD, count - i);
        for (int k = 0; k < n; k++) row[k] = row_sums(j, strip, panel, i + k);
        int whole = cols / RN_PAD * RN_PAD;
        j->cpu->kernels->transpose_from(dw + i, ld, row, n, (size_t)whole);
        for (int x = whole; x < cols; x++)
            for (int k = 0; k < n; k++) dw[(size_t)x * ld + (size_t)(i + k)] = rn_store(row[k][x]);
    }
}

void rn_amx_weights(const struct rn_cpu *cpu, float *dweights, const rn_bf16 *src, const rn_bf16 *ddst,
                    const struct rn_conv_shape *s, void *workspace)
{
    struct job j = plan(cpu, s);
    j.src = src, j.ddst = ddst, j.dweights = dweights, j.workspace = workspace;
    j.results = (float *)(void *)(j.workspace + (size_t)cpu->threads * j.worker_bytes);
    j.masks = (uint32_t *)(void *)((char *)j.results + results_bytes(&j));
    rn_amx_fill_masks(j.masks, &j.planes);
    int strips = j.strips * s->groups;
    rn_parallel(cpu->threads, (int64_t)strips * j.cut.blocks, strip_task, &j);
    rn_parallel(cpu->threads, (int64_t)strips * j.panels, store_task, &j);
}

#endif
