/*
 * conv.c - convolution forward and data gradient (A13, A14): one driver, see conv.h.
 *
 * A task is a block of rows (destination pixels) times a chunk of panels (columns of one group).  It
 * notes where every row finds every tap and multiplies in place: strips of rows keep their sums in
 * registers while k runs over the taps.  Rows of a strip are the same pixel of several images where
 * there are such, so that a tap outside the image is outside for the whole strip and is left out (A6).
 * Where k is long it is cut into slices, so that a panel's slice of weights stays in the second-level
 * cache while all strips of the block use it; sums wait in a small buffer meanwhile.
 */
#include "cpu/conv.h"

#define BLOCK_ROWS 96  /* a multiple of the height of most tiles */
#define LD (BLOCK_ROWS + RN_MAX_MR)
#define STRIPS (BLOCK_ROWS / 3 + 8)
#define SLICE 640      /* of k: 160 KB of weights */
#define CHUNK 512      /* columns: their sums are 192 KB */
#define TOGETHER 6     /* images of a strip */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *src, *packed, *zeros;
    float *dst;
    struct rn_finish finish;
    int blocks;              /* blocks of the largest class */
    int panels, units;       /* panels of a group, of all groups */
    int chunk, chunks;       /* units in a chunk; chunks */
    char *workspace;         /* of all workers */
    size_t worker_bytes;
};

/* k of a class: slices of whole taps, or equal parts of one tap. */
struct slices { int taps, parts, len, count; };

/* Rows of a block that are computed at once, through the taps of a slice that some of them touch. */
struct strip { const struct rn_tile *tile; int row, rows, steps; const struct rn_stretch *step; };

/* One block of rows of one class, and what its worker computes it in. */
struct block {
    struct rn_conv_class class;
    struct slices slices;
    const float *packed;
    int rows, strips;
    struct rn_row *row;      /* [BLOCK_ROWS] */
    size_t *to;              /* [BLOCK_ROWS]: channel 0 of their pixels in dst */
    const float **at;        /* [taps][LD]: see rn_conv_locate */
    float *edge;
    struct strip *strip;     /* [STRIPS] */
    struct rn_stretch *step;    /* [STRIPS][taps] */
    float *c;                /* the sums, [panel][rows + RN_MAX_MR][nr] */
};

static struct slices cut_k(const struct rn_conv_class *c)
{
    struct slices s = { .taps = 1, .len = c->run, .count = 1 };
    s.parts = RN_MAX(rn_ceil_div(c->run, SLICE), 1);
    if (!c->taps) return s;
    if (s.parts > 1) s.len = (int)rn_round_up((size_t)rn_ceil_div(c->run, s.parts), RN_PAD);
    else s.taps = rn_ceil_div(c->taps, rn_ceil_div(c->depth, SLICE));
    s.count = rn_ceil_div(c->taps, s.taps) * s.parts;
    return s;
}

/* Columns of the units a worker may hold sums of. */
static int chunk_cols(const struct rn_kernels *k, const struct rn_conv_pass *p)
{
    return RN_MIN(CHUNK, (int)rn_gemm_padded(k, p->cols) * p->groups);
}

/* Carves what one worker needs; returns its bytes. */
static size_t carve_block(struct block *b, char *base, const struct rn_kernels *k,
                          const struct rn_conv_pass *p)
{
    struct rn_carve w = { base, 0 };
    size_t taps = (size_t)RN_MAX(p->h.taps * p->w.taps / p->pixels, 1);
    b->row = rn_carve(&w, BLOCK_ROWS * sizeof *b->row);
    b->to = rn_carve(&w, BLOCK_ROWS * sizeof *b->to);
    b->at = rn_carve(&w, taps * LD * sizeof *b->at);
    b->edge = rn_carve(&w, p->pixels > 1 ? taps * LD * (size_t)(p->run * p->pixels) * sizeof(float) : 0);
    b->strip = rn_carve(&w, STRIPS * sizeof *b->strip);
    b->step = rn_carve(&w, STRIPS * taps * sizeof *b->step);
    b->c = rn_carve(&w, LD * (size_t)chunk_cols(k, p) * sizeof(float));
    return w.used;
}

static size_t worker_bytes(const struct rn_kernels *k, const struct rn_conv_pass *p)
{
    struct block b;
    return carve_block(&b, NULL, k, p);
}

/* Bytes of a run of zeros as long as any pixel, or run of pixels. */
static size_t zeros_bytes(const struct rn_conv_pass *p)
{
    return (size_t)RN_MAX(p->C, p->run * p->pixels) * sizeof(float);
}

/* Cuts the block into strips for a panel of this tile and the taps t0 ... t1-1. */
static void cut_strips(const struct job *j, struct block *b, const struct rn_tile *tile, int t0, int t1)
{
    struct rn_stretch *step = b->step;
    b->strips = 0;
    for (int r = 0; r < b->rows; r += tile->mr) {
        tile = rn_gemm_tile(tile, b->rows - r);
        struct strip *s = &b->strip[b->strips++];
        *s = (struct strip){ .tile = tile, .row = r, .rows = RN_MIN(tile->mr, b->rows - r), .step = step };
        for (int t = t0; t < t1; t++) {
            const float *const *at = b->at + (size_t)t * LD + r;
            int i = 0;
            while (i < s->rows && at[i] == j->zeros) i++;
            if (i < s->rows) *step++ = (struct rn_stretch){ at, (size_t)t * (size_t)b->class.run };
        }
        s->steps = (int)(step - s->step);
    }
}

/* Finishes and stores the sums of one strip: the panel's columns, channels from `channel` on. */
static void store_strip(const struct job *j, const struct block *b, const struct strip *s, int channel,
                        const struct rn_panel *panel, const float *sums)
{
    struct rn_finish f = j->finish;
    if (f.bias) f.bias += channel;
    if (f.scale) f.scale += channel, f.shift += channel;
    if (f.add) f.add += channel;
    j->cpu->kernels->finish(j->dst + channel, b->to + s->row, sums, (size_t)panel->nr, s->rows,
                            (size_t)panel->cols, &f);
}

/* Slice i of one panel of one group, for all strips. */
static void multiply(const struct job *j, const struct block *b, int i, int group,
                     const struct rn_panel *panel, float *c)
{
    const struct slices *s = &b->slices;
    size_t from = (size_t)(i % s->parts * s->len), depth = (size_t)b->class.depth;
    size_t kc = RN_MIN((size_t)s->len, (size_t)b->class.run - from);
    size_t shift = (size_t)(group * j->pass.span) + from;
    const float *w = b->packed + ((size_t)group * rn_gemm_padded(j->cpu->kernels, j->pass.cols) +
                                  (size_t)panel->begin) * depth + from * (size_t)panel->nr;
    int channel = group * j->pass.cols + panel->begin;
    for (int k = 0; k < b->strips; k++) {
        const struct strip *t = &b->strip[k];
        float *sums = s->count > 1 ? c + (size_t)t->row * (size_t)panel->nr : c;
        if (i == 0 || t->steps) t->tile->run(t->step, t->steps, kc, 1, shift, w, sums, i == 0);
        if (i + 1 == s->count) store_strip(j, b, t, channel, panel, sums);
    }
}

/* Units u0 ... u1-1 of one block. */
static void compute(const struct job *j, struct block *b, int u0, int u1)
{
    const struct slices *s = &b->slices;
    for (int i = 0; i < s->count; i++) {
        const struct rn_tile *tile = NULL;
        int tap = i / s->parts * s->taps;
        float *c = b->c;
        for (int u = u0; u < u1; u++) {
            struct rn_panel panel = rn_gemm_panel(j->cpu->kernels, j->pass.cols, u % j->panels);
            if (j->pass.narrow) panel.tile = j->cpu->kernels->narrow;
            if (panel.tile != tile) cut_strips(j, b, panel.tile, tap, RN_MIN(tap + s->taps, b->class.taps));
            tile = panel.tile;
            multiply(j, b, i, u / j->panels, &panel, c);
            if (s->count > 1) c += (size_t)LD * (size_t)panel.nr;
        }
    }
}

/* Where the rows of a block go. */
static void aim(const struct block *b, const struct rn_conv_pass *p)
{
    const struct rn_axis *ah = &b->class.h, *aw = &b->class.w;
    for (int r = 0; r < b->rows; r++) {
        int h = ah->out + b->row[r].i * ah->spread, w = aw->out + b->row[r].j * aw->spread;
        b->to[r] = (((size_t)b->row[r].n * (size_t)p->P + (size_t)h) * (size_t)p->Q + (size_t)w) *
                   (size_t)p->K;
    }
}

/* Block number i of a class; false when the class has no such block. */
static bool find_block(const struct job *j, struct block *b, int class, int i)
{
    const struct rn_kernels *k = j->cpu->kernels;
    b->class = rn_conv_class(&j->pass, class);
    b->slices = cut_k(&b->class);
    b->packed = j->packed + rn_conv_packed_at(k, &j->pass, class, 0);
    struct rn_walk w = rn_conv_walk(&j->pass, &b->class, TOGETHER);
    int size = rn_walk_block(&w, BLOCK_ROWS);
    int64_t first = (int64_t)i * size;
    if (first >= rn_walk_rows(&w)) return false;
    b->rows = (int)RN_MIN(size, rn_walk_rows(&w) - first);
    rn_walk_fill(b->row, &w, first, b->rows);
    aim(b, &j->pass);
    rn_conv_locate(k, b->at, LD, b->edge, j->src, j->zeros, &j->pass, &b->class, b->row, b->rows);
    return true;
}

static void block_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct block b;
    int chunk = (int)(task % j->chunks), rest = (int)(task / j->chunks);
    carve_block(&b, j->workspace + (size_t)worker * j->worker_bytes, j->cpu->kernels, &j->pass);
    if (find_block(j, &b, rest / j->blocks, rest % j->blocks))
        compute(j, &b, chunk * j->chunk, RN_MIN((chunk + 1) * j->chunk, j->units));
}

/* Blocks and chunks: chunks large enough to locate a block once, small enough to keep every thread busy. */
static void plan(struct job *j)
{
    const struct rn_kernels *k = j->cpu->kernels;
    int classes = j->pass.classes * j->pass.classes, threads = j->cpu->threads;
    for (int i = 0; i < classes; i++) {
        struct rn_conv_class c = rn_conv_class(&j->pass, i);
        struct rn_walk w = rn_conv_walk(&j->pass, &c, TOGETHER);
        int size = rn_walk_block(&w, BLOCK_ROWS);
        j->blocks = RN_MAX(j->blocks, (int)((rn_walk_rows(&w) + size - 1) / size));
    }
    j->panels = rn_gemm_panels(k, j->pass.cols);
    j->units = j->panels * j->pass.groups;
    int nr = RN_MIN(k->tile->nr, (int)rn_gemm_padded(k, j->pass.cols));
    j->chunk = RN_MIN(RN_MAX(CHUNK / nr, 1), j->units);
    if (threads > 1)
        while (j->chunk > 1 &&
               (int64_t)classes * j->blocks * rn_ceil_div(j->units, j->chunk) < 4 * threads)
            j->chunk = rn_ceil_div(j->chunk, 2);
    j->chunks = rn_ceil_div(j->units, j->chunk);
}

size_t rn_conv_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_conv_pass p = rn_conv_pass(cpu->kernels, s, pass);
    return (size_t)cpu->threads * worker_bytes(cpu->kernels, &p) + zeros_bytes(&p);
}

void rn_conv_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                 const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                 void *workspace)
{
    struct job j = { .cpu = cpu, .pass = rn_conv_pass(cpu->kernels, s, pass), .src = src,
                     .packed = packed, .dst = dst, .finish = *finish, .workspace = workspace };
    j.worker_bytes = worker_bytes(cpu->kernels, &j.pass);
    float *zeros = (float *)(j.workspace + (size_t)cpu->threads * j.worker_bytes);
    memset(zeros, 0, zeros_bytes(&j.pass));
    j.zeros = zeros;
    plan(&j);
    rn_parallel(cpu->threads, (int64_t)j.pass.classes * j.pass.classes * j.blocks * j.chunks,
                block_task, &j);
}
