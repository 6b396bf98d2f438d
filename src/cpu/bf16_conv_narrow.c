/*
 * bf16_conv_narrow.c - forward and data gradient under bf16 of groups that fill a vector together.
 *
 * A lane is a channel.  Each number of a pixel is spread over the lanes of its group, as in narrow_ukr.inc, and
 * rows are widened in registers, so nothing is copied.  A block of A31 is some whole taps, for groups are 1, 2,
 * 4 ... channels wide; a tap outside the image reads zeros.  Depthwise convolutions are those of width 1.
 */
#include "cpu/amx.h"
#include "cpu/bf16_conv.h"

#define BLOCK_ROWS 48 /* a multiple of the rows of every tile */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const rn_bf16 *src, *zeros;
    const float *packed;
    rn_bf16 *dst;
    struct rn_bf16_finish finish;
    int blocks;              /* of rows, in the largest class */
    char *workspace;         /* of all workers */
};

/* A block of rows of one class. */
struct block {
    int rows;
    struct rn_row row[BLOCK_ROWS];
    size_t to[BLOCK_ROWS];   /* channel 0 of their pixels in dst */
    const rn_bf16 **at;      /* [taps][BLOCK_ROWS]: the pixels they read; zeros past `rows` */
};

bool rn_bf16_narrow_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    int width = s->C / s->groups;
    return s->C == s->K && !(width & (width - 1)) && width <= cpu->kernels->lanes && s->R * s->S > 1 &&
           !rn_amx_does(cpu, s);
}

static struct rn_conv_pass narrow_pass(const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_conv_pass p = rn_bf16_pass(s, pass);
    p.pixels = 1; /* a tap at a time */
    return p;
}

static int vectors(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return rn_ceil_div(s->C, cpu->kernels->lanes);
}

/* -- weights: [class][vector][tap][number of the group][lane], floats --------------------------- */

size_t rn_bf16_narrow_packed_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    size_t lanes = (size_t)(vectors(cpu, s) * cpu->kernels->lanes);
    return lanes * (size_t)(s->C / s->groups * s->R * s->S) * sizeof(float);
}

static size_t packed_at(const struct rn_cpu *cpu, const struct rn_conv_pass *p, int class)
{
    size_t taps = 0;
    for (int i = 0; i < class; i++) taps += (size_t)rn_conv_class(p, i).taps;
    return taps * (size_t)(p->run * vectors(cpu, &p->shape) * cpu->kernels->lanes);
}

void rn_bf16_narrow_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                         const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_conv_pass p = narrow_pass(s, pass);
    int width = p.run, padded = vectors(cpu, s) * cpu->kernels->lanes, filter = s->R * s->S;
    float *to = packed;
    for (int class = 0; class < p.classes * p.classes; class++) {
        struct rn_conv_class c = rn_conv_class(&p, class);
        for (int first = 0; first < padded; first += cpu->kernels->lanes)
            for (int i = 0; i < c.taps * width; i++)
                for (int lane = first; lane < first + cpu->kernels->lanes; lane++) {
                    int other = lane / width * width + i % width, tap = i / width;
                    int k = pass == RN_PASS_FORWARD ? lane : other, ch = pass == RN_PASS_FORWARD ? other : lane;
                    int h = c.h.first + tap / c.w.taps * c.h.every, w = c.w.first + tap % c.w.taps * c.w.every;
                    size_t at = (size_t)(k * width + ch % width) * (size_t)filter + (size_t)(h * s->S + w);
                    *to++ = lane < s->C ? rn_round_bf16(weights[at]) : 0;
                }
    }
}

/* -- the passes -------------------------------------------------------------------------------- */

static size_t worker_bytes(const struct rn_conv_shape *s)
{
    return rn_round_up((size_t)(s->R * s->S * BLOCK_ROWS) * sizeof(const rn_bf16 *), 64);
}

static size_t zeros_bytes(const struct rn_conv_shape *s) { return (size_t)s->C * sizeof(rn_bf16); }

/* Where the rows of a block are read and written. */
static void aim(const struct job *j, struct block *b, const struct rn_conv_class *c)
{
    const struct rn_conv_pass *p = &j->pass;
    for (int r = 0; r < BLOCK_ROWS; r++) {
        const struct rn_row *row = &b->row[r];
        bool some = r < b->rows;
        int top = some ? row->i * c->h.step + c->h.offset : 0, left = some ? row->j * c->w.step + c->w.offset : 0;
        for (int t = 0; t < c->taps; t++) {
            int h = top + t / c->w.taps * c->h.dir, w = left + t % c->w.taps * c->w.dir;
            bool inside = some && h >= 0 && h < p->H && w >= 0 && w < p->W;
            ptrdiff_t pixel = inside ? ((ptrdiff_t)row->n * p->H + h) * p->W + w : 0;
            b->at[t * BLOCK_ROWS + r] = inside ? j->src + pixel * p->C : j->zeros;
        }
        if (!some) continue;
        int h = c->h.out + row->i * c->h.spread, w = c->w.out + row->j * c->w.spread;
        b->to[r] = (((size_t)row->n * (size_t)p->P + (size_t)h) * (size_t)p->Q + (size_t)w) * (size_t)p->K;
    }
}

static void block_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const struct rn_kernels *k = j->cpu->kernels;
    const struct rn_conv_shape *s = &j->pass.shape;
    int class = (int)(task / j->blocks), C = s->C;
    struct rn_conv_class c = rn_conv_class(&j->pass, class);
    struct rn_walk w = rn_conv_walk(&j->pass, &c, 1);
    struct block b = { .at = (const rn_bf16 **)(void *)(j->workspace + (size_t)worker * worker_bytes(s)) };
    int64_t first = task % j->blocks * BLOCK_ROWS;
    if (first >= rn_walk_rows(&w)) return;
    b.rows = (int)RN_MIN(BLOCK_ROWS, rn_walk_rows(&w) - first);
    rn_walk_fill(b.row, &w, first, b.rows);
    aim(j, &b, &c);
    const float *weights = j->packed + packed_at(j->cpu, &j->pass, class);
    float sums[BLOCK_ROWS * RN_PAD];
    for (int v = 0; v < C; v += k->lanes, weights += c.taps * c.run * k->lanes) {
        struct rn_bf16_narrow n = { b.at, BLOCK_ROWS, b.rows, c.taps, c.run, (size_t)v, (size_t)(C - v) };
        struct rn_bf16_finish f = j->finish;
        k->bf16_conv->narrow(sums, &n, weights);
        if (f.bias) f.bias += v;
        if (f.scale) f.scale += v, f.shift += v;
        if (f.add) f.add += v;
        k->bf16_conv->finish(j->dst + v, b.to, sums, (size_t)k->lanes, b.rows,
                             (size_t)RN_MIN(C - v, k->lanes), &f);
    }
}

size_t rn_bf16_narrow_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return (size_t)cpu->threads * worker_bytes(s) + zeros_bytes(s);
}

void rn_bf16_narrow_run(const struct rn_cpu *cpu, enum rn_pass pass, rn_bf16 *dst, const rn_bf16 *src,
                        const void *packed, const struct rn_bf16_finish *finish,
                        const struct rn_conv_shape *s, void *workspace)
{
    struct job j = { .cpu = cpu, .pass = narrow_pass(s, pass), .src = src, .packed = packed, .dst = dst,
                     .finish = *finish, .workspace = workspace };
    void *zeros = j.workspace + (size_t)cpu->threads * worker_bytes(s);
    j.zeros = memset(zeros, 0, zeros_bytes(s));
    for (int i = 0; i < j.pass.classes * j.pass.classes; i++) {
        struct rn_conv_class c = rn_conv_class(&j.pass, i);
        struct rn_walk w = rn_conv_walk(&j.pass, &c, 1);
        j.blocks = RN_MAX(j.blocks, (int)((rn_walk_rows(&w) + BLOCK_ROWS - 1) / BLOCK_ROWS));
    }
    rn_parallel(cpu->threads, (int64_t)j.pass.classes * j.pass.classes * j.blocks, block_task, &j);
}
