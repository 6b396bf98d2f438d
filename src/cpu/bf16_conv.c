/*
 * bf16_conv.c - convolution forward and data gradient under bf16 (A31) on fused multiply-adds.
 *
 * A task is a block of rows (destination pixels) times a chunk of panels (columns of one group).  The loop
 * over blocks of slots is the outermost: a block's operands are widened to floats, rows for all panels of the
 * chunk, weights for all rows, and the sums of the chunk wait in the second-level cache for the next block.
 * So scratch is small, and what is widened stays in the first cache while it is used.
 *
 * Rows of a strip are the same pixel of several images where there are such, so that a block outside the
 * image is outside for the whole strip and is left out, which A31 allows.
 */
#include "cpu/bf16_conv.h"

#define BLOCK_ROWS 192 /* a multiple of the height of every tile */
#define LD (BLOCK_ROWS + RN_MAX_MR)
#define CHUNK 256      /* columns: their sums are 208 KB */
#define TOGETHER 6     /* images of a strip */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const rn_bf16 *src;
    const uint32_t *packed;
    rn_bf16 *dst;
    float *floats;           /* where sums go that are not rounded to dst */
    struct rn_bf16_finish finish;
    int blocks;              /* of rows, in the largest class */
    int panels, units;       /* panels of a group, of all groups */
    int chunk, chunks;       /* units in a chunk; chunks */
    char *workspace;         /* of all workers */
    size_t worker_bytes;
};

/* Where a row finds a tap: numbers first ... end-1 of its run at x; the others lie outside the image. */
struct place { const rn_bf16 *x; int first, end; };

/* A block of rows of one class, and what its worker computes it in. */
struct block {
    struct rn_conv_class class;
    const uint32_t *packed;
    int rows;
    struct rn_row *row;     /* [BLOCK_ROWS] */
    size_t *to;             /* [BLOCK_ROWS]: channel 0 of their pixels in dst */
    struct place *place;    /* [taps][LD]; nothing past `rows` */
    const rn_bf16 **at;     /* [LD]: a row's part of the block of slots, NULL where it is all zeros */
    rn_bf16 *slots;         /* [LD][RN_BF16_BLOCK]: parts that do not lie in one piece */
    float *a;               /* [LD][RN_BF16_BLOCK] */
    float *w;               /* [RN_BF16_BLOCK][nr] */
    float *c;               /* the sums, [panel][LD][nr] */
};

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
    b->place = rn_carve(&w, taps * LD * sizeof *b->place);
    b->at = rn_carve(&w, LD * sizeof *b->at);
    b->slots = rn_carve(&w, LD * RN_BF16_BLOCK * sizeof *b->slots);
    b->a = rn_carve(&w, LD * RN_BF16_BLOCK * sizeof *b->a);
    b->w = rn_carve(&w, RN_BF16_BLOCK * 2 * (size_t)k->lanes * sizeof *b->w);
    b->c = rn_carve(&w, LD * (size_t)chunk_cols(k, p) * sizeof *b->c);
    return w.used;
}

static size_t worker_bytes(const struct rn_kernels *k, const struct rn_conv_pass *p)
{
    struct block b;
    return carve_block(&b, NULL, k, p);
}

/* -- where rows lie ---------------------------------------------------------------------------- */

/* Where one row finds every tap: place[taps][LD]. */
static void locate(const struct job *j, const struct rn_conv_class *c, struct place *place,
                   const struct rn_row *row)
{
    const struct rn_conv_pass *p = &j->pass;
    int columns = p->pixels > 1 ? 1 : c->w.taps, numbers = p->pixels > 1 ? p->C : c->run;
    int top = row->i * c->h.step + c->h.offset, w = row->j * c->w.step + c->w.offset;
    ptrdiff_t down = (ptrdiff_t)c->h.dir * p->W * p->C;
    for (int b = 0; b < columns; b++, w += c->w.dir, place += LD) {
        int first = RN_MAX(-w, 0), end = RN_MIN(p->W - w, p->pixels);
        ptrdiff_t at = (((ptrdiff_t)row->n * p->H + top) * p->W + w + first) * p->C;
        struct place *to = place;
        for (int a = 0, h = top; a < c->h.taps; a++, h += c->h.dir, at += down, to += columns * LD)
            if (h < 0 || h >= p->H || first >= end) *to = (struct place){ NULL, 0, 0 };
            else *to = (struct place){ j->src + at, first * numbers, end * numbers };
    }
}

/* Where the rows of a block are read and written. */
static void aim(const struct job *j, struct block *b)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct rn_axis *ah = &b->class.h, *aw = &b->class.w;
    for (int r = 0; r < b->rows; r++) {
        int h = ah->out + b->row[r].i * ah->spread, w = aw->out + b->row[r].j * aw->spread;
        b->to[r] = (((size_t)b->row[r].n * (size_t)p->P + (size_t)h) * (size_t)p->Q + (size_t)w) *
                   (size_t)p->K;
        locate(j, &b->class, b->place + r, b->row + r);
    }
    for (int tap = 0; tap < b->class.taps; tap++)
        for (int r = b->rows; r < LD; r++) b->place[tap * LD + r] = (struct place){ NULL, 0, 0 };
}

/* Block number i of a class; false when the class has no such block. */
static bool find_block(const struct job *j, struct block *b, int class, int i)
{
    b->class = rn_conv_class(&j->pass, class);
    b->packed = j->packed + rn_bf16_packed_at(j->cpu->kernels, &j->pass, class, 0);
    struct rn_walk w = rn_conv_walk(&j->pass, &b->class, TOGETHER);
    int size = rn_walk_block(&w, BLOCK_ROWS);
    int64_t first = (int64_t)i * size;
    if (first >= rn_walk_rows(&w)) return false;
    b->rows = (int)RN_MIN(size, rn_walk_rows(&w) - first);
    rn_walk_fill(b->row, &w, first, b->rows);
    aim(j, b);
    return true;
}

/* -- a block of slots -------------------------------------------------------------------------- */

/* A part of a block: `count` numbers of a tap's run, from number `from` on, are slots `to` ... of the block. */
struct piece { int tap, from, count, to; };

static int cut_block(const struct rn_conv_class *c, int i, struct piece *piece)
{
    int pieces = 0, first = i * RN_BF16_BLOCK, end = RN_MIN(first + RN_BF16_BLOCK, c->depth);
    for (int slot = first; slot < end; slot += piece[pieces++].count) {
        int from = slot % c->run;
        int count = RN_MIN(c->run - from, end - slot);
        piece[pieces] = (struct piece){ slot / c->run, from, count, slot - first };
    }
    return pieces;
}

/* memcpy of a few numbers without a call: the last step may overlap the one before. */
static inline void copy_few(rn_bf16 *dst, const rn_bf16 *src, int n)
{
    if (n >= 8) {
        for (int i = 0; i + 8 < n; i += 8) memcpy(dst + i, src + i, 8 * sizeof *dst);
        memcpy(dst + n - 8, src + n - 8, 8 * sizeof *dst);
    } else if (n >= 4) {
        memcpy(dst, src, 4 * sizeof *dst);
        memcpy(dst + n - 4, src + n - 4, 4 * sizeof *dst);
    } else {
        for (int i = 0; i < n; i++) dst[i] = src[i];
    }
}

/* Block number i of the slots, piece by piece to b->slots. */
static void collect(const struct block *b, int i, size_t shift)
{
    struct piece piece[RN_BF16_BLOCK];
    int pieces = cut_block(&b->class, i, piece);
    memset(b->slots, 0, (size_t)b->rows * RN_BF16_BLOCK * sizeof *b->slots);
    for (int k = 0; k < pieces; k++) {
        int begin = piece[k].from, end = begin + piece[k].count;
        const struct place *p = b->place + (size_t)piece[k].tap * LD;
        rn_bf16 *slots = b->slots + piece[k].to;
        for (int r = 0; r < b->rows; r++, p++, slots += RN_BF16_BLOCK) {
            int from = RN_MAX(begin, p->first), to = RN_MIN(end, p->end);
            if (from >= to) continue;
            copy_few(slots + (from - begin), p->x + shift + (from - p->first), to - from);
            b->at[r] = b->slots + r * RN_BF16_BLOCK;
        }
    }
}

/* Block number i of the slots of all rows of one group, widened to b->a. */
static void widen(const struct job *j, const struct block *b, int i, int group)
{
    int run = b->class.run, first = i * RN_BF16_BLOCK, rows = (int)rn_round_up((size_t)b->rows, 12);
    size_t shift = (size_t)group * (size_t)j->pass.run;
    bool whole = j->pass.pixels == 1 && run % RN_BF16_BLOCK == 0; /* padding cuts into runs of several pixels */
    const struct place *p = b->place + (size_t)(first / run) * LD;
    for (int r = 0; r < rows; r++) b->at[r] = whole ? p[r].x : NULL;
    if (!whole) collect(b, i, shift);
    j->cpu->kernels->bf16_conv->rows(b->a, b->at, whole ? shift + (size_t)(first % run) : 0, rows);
}

/* The tile for the next strip when `left` rows are left: t, or a shorter one of its width. */
static const struct rn_bf16_tile *tile_for(const struct rn_bf16_tile *t, int left)
{
    while (t[1].nr == t->nr && (int)rn_round_up((size_t)left, (size_t)t[1].mr) < t->mr) t++;
    return t;
}

/* The first block of slots goes to all sums, each other to those it is not all zeros for. */
static void multiply(const struct job *j, const struct block *b, int nr, float *c, bool first)
{
    const struct rn_bf16_tile *t = j->cpu->kernels->bf16_conv->tile;
    while (t->nr != nr) t++;
    for (int r = 0; r < b->rows; r += t->mr) {
        t = tile_for(t, b->rows - r);
        int i = 0;
        while (i < t->mr && !b->at[r + i]) i++;
        if (first || i < t->mr) t->run(b->a + r * RN_BF16_BLOCK, b->w, c + r * nr, first);
    }
}

/* Finishes and stores the sums of a panel: channels from `channel` on. */
static void store(const struct job *j, const struct block *b, const struct rn_bf16_panel *panel, int channel,
                  const float *c)
{
    const struct rn_kernels *k = j->cpu->kernels;
    struct rn_bf16_finish f = j->finish;
    if (f.bias) f.bias += channel;
    if (f.scale) f.scale += channel, f.shift += channel;
    if (f.add) f.add += channel;
    size_t nr = (size_t)panel->nr, cols = (size_t)panel->cols;
    if (!j->dst)
        k->finish(j->floats + channel, b->to, c, nr, b->rows, cols, &(struct rn_finish){ .bias = f.bias });
    else k->bf16_conv->finish(j->dst + channel, b->to, c, nr, b->rows, cols, &f);
}

/* Units u0 ... u1-1, all of one group, of a block of rows. */
static void compute(const struct job *j, const struct block *b, int u0, int u1)
{
    const struct rn_kernels *k = j->cpu->kernels;
    int group = u0 / j->panels, blocks = rn_bf16_blocks(&b->class);
    size_t words = rn_gemm_padded(k, j->pass.cols) * RN_BF16_PAIRS * (size_t)blocks;
    for (int i = 0; i <= blocks; i++) {
        float *c = b->c;
        if (i < blocks) widen(j, b, i, group);
        for (int u = u0; u < u1; u++) {
            struct rn_bf16_panel p = rn_bf16_panel(k, j->pass.cols, u % j->panels);
            size_t floats = (size_t)LD * (size_t)p.nr;
            if (i < blocks) {
                size_t at = (size_t)(p.begin * blocks + i * p.nr) * RN_BF16_PAIRS;
                k->bf16_conv->weights(b->w, b->packed + (size_t)group * words + at, (size_t)p.nr);
                multiply(j, b, p.nr, c, i == 0);
            } else {
                if (!blocks) memset(c, 0, floats * sizeof *c);
                store(j, b, &p, group * j->pass.cols + p.begin, c);
            }
            c += floats;
        }
    }
}

/* ---------------------------------------------------------------------------------------------- */

static void block_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct block b;
    int chunk = (int)(task % j->chunks), rest = (int)(task / j->chunks);
    carve_block(&b, j->workspace + (size_t)worker * j->worker_bytes, j->cpu->kernels, &j->pass);
    if (!find_block(j, &b, rest / j->blocks, rest % j->blocks)) return;
    int end = RN_MIN((chunk + 1) * j->chunk, j->units);
    for (int u = chunk * j->chunk, next; u < end; u = next) {
        next = RN_MIN((u / j->panels + 1) * j->panels, end);
        compute(j, &b, u, next);
    }
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
    j->panels = rn_bf16_panels(k, j->pass.cols);
    j->units = j->panels * j->pass.groups;
    int nr = RN_MIN(2 * k->lanes, (int)rn_gemm_padded(k, j->pass.cols));
    j->chunk = RN_MIN(RN_MAX(CHUNK / nr, 1), j->units);
    if (threads > 1)
        while (j->chunk > 1 &&
               (int64_t)classes * j->blocks * rn_ceil_div(j->units, j->chunk) < 4 * threads)
            j->chunk = rn_ceil_div(j->chunk, 2);
    j->chunks = rn_ceil_div(j->units, j->chunk);
}

size_t rn_bf16_blocks_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_conv_pass p = rn_bf16_pass(s, pass);
    return (size_t)cpu->threads * worker_bytes(cpu->kernels, &p);
}

void rn_bf16_blocks_run(const struct rn_cpu *cpu, enum rn_pass pass, rn_bf16 *dst, float *floats,
                        const rn_bf16 *src, const void *packed, const struct rn_bf16_finish *finish,
                        const struct rn_conv_shape *s, void *workspace)
{
    struct job j = { .cpu = cpu, .pass = rn_bf16_pass(s, pass), .src = src, .packed = packed, .dst = dst,
                     .floats = floats, .finish = *finish, .workspace = workspace };
    j.worker_bytes = worker_bytes(cpu->kernels, &j.pass);
    plan(&j);
    rn_parallel(cpu->threads, (int64_t)j.pass.classes * j.pass.classes * j.blocks * j.chunks, block_task, &j);
}
