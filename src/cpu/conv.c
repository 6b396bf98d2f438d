/*
 * conv.c - convolution forward and data gradient (A13, A14): one driver, see conv.h.
 *
 * A task is a block of rows (destination pixels) times a chunk of columns.  It gathers the block
 * slice by slice of k, multiplies each slice with every panel of its chunk while the sums stay in a
 * small buffer, and after the last slice finishes and stores them.  With RESNET_CONV=im2col the
 * whole matrix of some rows is gathered first and multiplied after: same chains, same bits, more
 * memory traffic.
 */
#include "cpu/conv.h"

#include "cpu/batchnorm.h"

#define BLOCK_ROWS 96        /* with SLICE floats each: 96 KB, half a small second-level cache */
#define POSITION_ROWS 128    /* the same for walks position by position */
#define SLICE 256
#define CHUNK 512            /* columns: their sums are another 192 KB */
#define SMALL_MAP 64         /* maps up to this many positions are mostly border */
#define MANY_IMAGES 32       /* enough to fill a block with one position */
#define MATRIX_BYTES (32u << 20) /* of the im2col matrix */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *src, *packed;
    float *dst;
    struct rn_finish finish;
    int pair, pairs;         /* (class, group) pairs to do: the first, how many */
    int64_t row, rows;       /* rows of each to do: the first, how many at most */
    int blocks;              /* blocks of the largest class */
    int chunk, chunks;       /* panels in a chunk; chunks */
    char *workspace;         /* of all workers */
    size_t worker_bytes;
    float *matrix;           /* im2col: the gathered rows from `row` on; else NULL */
};

/* One block of rows of one class and group, and what its worker computes it in. */
struct block {
    struct rn_conv_class class;
    int group, rows;
    int64_t first;
    const float *packed;
    struct rn_row *row;      /* [rows] */
    float *a, *c;            /* a slice of A; the sums, [panel][rows + RN_MAX_MR][nr] */
};

/* Carves what one worker needs; returns its bytes. */
static size_t carve_block(struct block *b, char *base, int chunk_cols)
{
    struct rn_carve w = { base, 0 };
    size_t rows = POSITION_ROWS + RN_MAX_MR;
    b->row = rn_carve(&w, POSITION_ROWS * sizeof(struct rn_row));
    b->a = rn_carve(&w, rows * (SLICE + 32) * sizeof(float));
    b->c = rn_carve(&w, rows * (size_t)chunk_cols * sizeof(float));
    return w.used;
}

static size_t worker_bytes(const struct rn_kernels *k, const struct rn_conv_pass *p)
{
    struct block b;
    return carve_block(&b, NULL, RN_MIN(CHUNK, (int)rn_gemm_padded(k, p->cols)));
}

/* Small maps with many images are walked position by position: then most taps outside the image are
 * outside for a whole block, and their slices are left out (A6). */
static struct rn_walk walk(const struct rn_conv_pass *p, const struct rn_conv_class *c)
{
    return (struct rn_walk){ .n1 = p->N, .i1 = c->h.rows, .j1 = c->w.rows,
                             .by_position = p->shape.pad > 0 && p->N >= MANY_IMAGES &&
                                            c->h.rows * c->w.rows <= SMALL_MAP };
}

/* Rows of a block: even parts; position by position, none that straddles two positions. */
static int block_rows(const struct rn_walk *w)
{
    int64_t rows = rn_walk_rows(w);
    if (w->by_position) return rn_ceil_div(w->n1, rn_ceil_div(w->n1, POSITION_ROWS));
    int64_t blocks = RN_MAX((rows + BLOCK_ROWS - 1) / BLOCK_ROWS, 1);
    return RN_MAX((int)rn_round_up((size_t)((rows + blocks - 1) / blocks), 6), 6);
}

/* Finishes and stores the sums of one panel. */
static void store_panel(const struct job *j, const struct block *b, const struct rn_panel *panel,
                        float *sums)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct rn_axis *ah = &b->class.h, *aw = &b->class.w;
    int channel = b->group * p->cols + panel->begin;
    struct rn_finish f = j->finish;
    if (f.bias) f.bias += channel;
    if (f.scale) f.scale += channel, f.shift += channel;
    for (int r = 0; r < b->rows; r++, sums += panel->nr) {
        int h = ah->out + b->row[r].i * ah->spread, w = aw->out + b->row[r].j * aw->spread;
        size_t at = (((size_t)b->row[r].n * (size_t)p->P + (size_t)h) * (size_t)p->Q + (size_t)w) *
                        (size_t)p->K + (size_t)channel;
        if (j->finish.add) f.add = j->finish.add + at;
        j->cpu->kernels->finish(j->dst + at, sums, (size_t)panel->cols, &f);
    }
}

/* The first slice from `i` on that reads inside an image; slices->count when none is left. */
static int next_slice(const struct job *j, const struct block *b, const struct rn_slices *slices,
                      int i)
{
    for (; i < slices->count && !j->matrix; i++) {
        int begin, end;
        rn_gemm_slice(slices, i, &begin, &end);
        if (rn_conv_touches(&j->pass, &b->class, begin, end, b->row, b->rows)) break;
    }
    return i;
}

struct operand { const float *a; size_t rs; };

/* Whether rows are pixels as they lie, and there are enough for a strip that ends past the block.
 */
static bool in_place(const struct job *j, const struct block *b)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct rn_conv_shape *s = &p->shape;
    return !j->matrix && s->R * s->S == 1 && s->stride == 1 && !s->pad &&
           b->first + b->rows + RN_MAX_MR <= (int64_t)p->N * p->H * p->W;
}

/* A for k = begin ... end-1: in place, gathered now, or already in the im2col matrix. */
static struct operand slice_rows(const struct job *j, const struct block *b, int begin, int end)
{
    size_t depth = (size_t)b->class.depth, C = (size_t)j->pass.C;
    if (in_place(j, b))
        return (struct operand){ j->src + (size_t)b->first * C + b->group * j->pass.run + begin,
                                 C };
    if (j->matrix)
        return (struct operand){ j->matrix + (size_t)(b->first - j->row) * depth + begin, depth };
    size_t ld = rn_round_up((size_t)(end - begin), 16) + 16; /* no power of two: cache sets */
    rn_conv_gather(j->cpu->kernels, b->a, ld, j->src, &j->pass, &b->class, b->group, begin, end,
                   b->row, b->rows);
    memset(b->a + (size_t)b->rows * ld, 0, RN_MAX_MR * ld * sizeof(float));
    return (struct operand){ b->a, ld };
}

/* Panels p0 ... p1-1 of one block. */
static void compute(const struct job *j, const struct block *b, int p0, int p1)
{
    const struct rn_kernels *k = j->cpu->kernels;
    struct rn_slices slices = rn_gemm_slices(b->class.taps, b->class.run, SLICE, 1);
    int origin = rn_gemm_panel(k, j->pass.cols, p0).begin;
    int i = next_slice(j, b, &slices, 0);
    if (i == slices.count) i = 0; /* all of it is border: one slice of zeros makes the sums +0 */
    for (bool first = true; i < slices.count; first = false) {
        int begin, end, next = next_slice(j, b, &slices, i + 1);
        rn_gemm_slice(&slices, i, &begin, &end);
        struct operand a = slice_rows(j, b, begin, end);
        for (int p = p0; p < p1; p++) {
            struct rn_panel panel = rn_gemm_panel(k, j->pass.cols, p);
            float *sums = b->c + (size_t)(panel.begin - origin) * (size_t)(b->rows + RN_MAX_MR);
            const float *w = b->packed + (size_t)panel.begin * (size_t)b->class.depth +
                             (size_t)begin * (size_t)panel.nr;
            rn_gemm_strips(&panel, (size_t)(end - begin), a.a, a.rs, 1, w, sums, b->rows, first);
            if (next == slices.count) store_panel(j, b, &panel, sums);
        }
        i = next;
    }
}

/* Block number i of a pair; false when its class has no such block. */
static bool find_block(const struct job *j, struct block *b, int pair, int64_t i)
{
    int class = pair / j->pass.groups;
    b->group = pair % j->pass.groups;
    b->class = rn_conv_class(&j->pass, class);
    b->packed = j->packed + rn_conv_packed_at(j->cpu->kernels, &j->pass, class, b->group);
    struct rn_walk w = walk(&j->pass, &b->class);
    int size = block_rows(&w);
    int64_t end = RN_MIN(rn_walk_rows(&w) - j->row, j->rows) + j->row;
    b->first = j->row + i * size;
    if (b->first >= end) return false;
    b->rows = (int)RN_MIN(size, end - b->first);
    rn_walk_fill(b->row, &w, b->first, b->rows);
    return true;
}

static void multiply_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct block b;
    int chunk = (int)(task % j->chunks);
    int64_t rest = task / j->chunks;
    int panels = rn_gemm_panels(j->cpu->kernels, j->pass.cols);
    carve_block(&b, j->workspace + (size_t)worker * j->worker_bytes,
                RN_MIN(CHUNK, (int)rn_gemm_padded(j->cpu->kernels, j->pass.cols)));
    if (find_block(j, &b, j->pair + (int)(rest / j->blocks), rest % j->blocks))
        compute(j, &b, chunk * j->chunk, RN_MIN((chunk + 1) * j->chunk, panels));
}

/* im2col: the rows of one block to their place in the matrix. */
static void matrix_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct block b;
    carve_block(&b, j->workspace + (size_t)worker * j->worker_bytes, 0);
    if (!find_block(j, &b, j->pair, task)) return;
    size_t depth = (size_t)b.class.depth;
    rn_conv_gather(j->cpu->kernels, j->matrix + (size_t)(b.first - j->row) * depth, depth, j->src,
                   &j->pass, &b.class, b.group, 0, b.class.depth, b.row, b.rows);
}

/* Chunks of panels: large enough to gather a block once, small enough to keep every thread busy. */
static void multiply(struct job *j)
{
    const struct rn_kernels *k = j->cpu->kernels;
    int panels = rn_gemm_panels(k, j->pass.cols), threads = j->cpu->threads;
    int64_t blocks = (int64_t)j->pairs * j->blocks;
    j->chunk = RN_MIN(CHUNK / k->tile->nr, panels);
    if (threads > 1)
        while (j->chunk > 1 && blocks * rn_ceil_div(panels, j->chunk) < 4 * threads)
            j->chunk = rn_ceil_div(j->chunk, 2);
    j->chunks = rn_ceil_div(panels, j->chunk);
    rn_parallel(threads, blocks * j->chunks, multiply_task, j);
}

/* Rows of the im2col matrix: whole blocks, at least one. */
static int64_t matrix_rows(const struct rn_conv_class *c, int block)
{
    int64_t rows = (int64_t)(MATRIX_BYTES / sizeof(float) / (size_t)RN_MAX(c->depth, 1));
    return RN_MAX(rows / block, 1) * block;
}

static void run_im2col(struct job *j, int pairs)
{
    j->pairs = 1;
    for (j->pair = 0; j->pair < pairs; j->pair++) {
        struct rn_conv_class c = rn_conv_class(&j->pass, j->pair / j->pass.groups);
        struct rn_walk w = walk(&j->pass, &c);
        int block = block_rows(&w);
        j->rows = matrix_rows(&c, block);
        j->blocks = (int)((RN_MIN(j->rows, rn_walk_rows(&w)) + block - 1) / block);
        for (j->row = 0; j->row < rn_walk_rows(&w); j->row += j->rows) {
            rn_parallel(j->cpu->threads, j->blocks, matrix_task, j);
            multiply(j);
        }
    }
}

/* Forward or data gradient.  `workspace` is what conv2d_workspace asked for, less its coefficients.
 */
static void run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                char *workspace)
{
    struct job j = { .cpu = cpu, .pass = rn_conv_pass(cpu->kernels, s, pass), .src = src,
                     .packed = packed,
                     .dst = dst, .finish = *finish, .workspace = workspace };
    int pairs = j.pass.classes * j.pass.classes * j.pass.groups;
    j.worker_bytes = worker_bytes(cpu->kernels, &j.pass);
    if (cpu->im2col) {
        j.matrix = (float *)(workspace + (size_t)cpu->threads * j.worker_bytes);
        run_im2col(&j, pairs);
        return;
    }
    j.pairs = pairs;
    j.rows = INT64_MAX;
    for (int i = 0; i < j.pass.classes * j.pass.classes; i++) {
        struct rn_conv_class c = rn_conv_class(&j.pass, i);
        struct rn_walk w = walk(&j.pass, &c);
        int size = block_rows(&w);
        j.blocks = RN_MAX(j.blocks, (int)((rn_walk_rows(&w) + size - 1) / size));
    }
    multiply(&j);
}

/* Bytes of scale and shift of conv2d_bn, at the start of the workspace. */
static size_t coefficient_bytes(const struct rn_conv_shape *s)
{
    return 2 * rn_round_up((size_t)s->K * sizeof(float), 64);
}

static size_t pass_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_conv_pass p = rn_conv_pass(cpu->kernels, s, pass);
    size_t bytes = (size_t)cpu->threads * worker_bytes(cpu->kernels, &p), matrix = 0;
    for (int i = 0; cpu->im2col && i < p.classes * p.classes; i++) {
        struct rn_conv_class c = rn_conv_class(&p, i);
        struct rn_walk w = walk(&p, &c);
        size_t row = (size_t)c.depth * sizeof(float), all = (size_t)rn_walk_rows(&w) * row;
        size_t most = RN_MAX(RN_MIN(MATRIX_BYTES, all), POSITION_ROWS * row) + RN_MAX_MR * row;
        matrix = RN_MAX(matrix, most);
    }
    return bytes + matrix;
}

size_t rn_cpu_conv2d_workspace(void *dev, const struct rn_conv_shape *s)
{
    const struct rn_cpu *cpu = dev;
    size_t forward = pass_bytes(cpu, s, RN_PASS_FORWARD);
    size_t backward = pass_bytes(cpu, s, RN_PASS_BACKWARD_DATA);
    return coefficient_bytes(s) +
           RN_MAX(RN_MAX(forward, backward), rn_conv_wgrad_workspace(cpu, s));
}

void rn_cpu_conv2d_forward(void *dev, float *dst, const float *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_finish f = { .bias = bias };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, (char *)workspace + coefficient_bytes(s));
}

void rn_cpu_conv2d_backward_data(void *dev, float *dsrc, const float *ddst, const void *packed,
                                 const float *add, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_finish f = { .add = add };
    run(dev, RN_PASS_BACKWARD_DATA, dsrc, ddst, packed, &f, s,
        (char *)workspace + coefficient_bytes(s));
}

void rn_cpu_conv2d_bn(void *dev, float *dst, const float *src, const void *packed, const float *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace)
{
    float *scale = workspace, *shift = scale + coefficient_bytes(s) / 2 / sizeof(float);
    rn_bn_eval_coefficients(scale, shift, gamma, beta, running_mean, running_var, bn);
    struct rn_finish f = { .scale = scale, .shift = shift, .relu = bn->post != RN_POST_NONE,
                           .add = bn->post == RN_POST_ADD_RELU ? add : NULL };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, (char *)workspace + coefficient_bytes(s));
}
