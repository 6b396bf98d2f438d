/*
 * amx_conv.c - convolution forward and data gradient on the tile unit (A31).
 *
 * A task is a unit of rows (amx_rows.h) times some strips of 32 columns.  Strip by strip, the rows of the unit
 * pass by in squares of 32x32 outputs: the whole dot product runs in four tiles, whose sums go through a small
 * buffer to AVX-512, which finishes them.  The weights of a strip, 64 bytes a slot, so stay in the second-level
 * cache, or the first where k is below about 500, while the unit's A is read once a strip.
 *
 * What a square costs, in cycles: 64 for each block of k; its four stores 64; finishing 32 rows about 200, so
 * a fifth of the whole at 64 channels 3x3 and a thirtieth at 512.
 */
#include "cpu/amx_rows.h"

#if RN_AMX
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")))
#define TASKS 4                 /* for every thread */
#define MANY_WEIGHTS (1 << 20)  /* bytes: more than should be read again for few rows */

struct job {
    const struct rn_cpu *cpu;
    struct rn_amx_cut cut;
    int units;            /* of the largest class */
    int strips;           /* of a group */
    int chunk, chunks;    /* strips in a chunk; chunks */
    struct rn_amx_target dst;
    const rn_bf16 *src;
    const uint32_t *packed;
    struct rn_bf16_finish finish;
    char *workspace;
    size_t worker_bytes;
};

/* Columns column ... column+cols-1 of a group: a panel of packed weights, nr wide. */
struct strip { int column, cols, nr; const uint32_t *packed; };

/* -- finishing -------------------------------------------------------------------------------------- */

/* 32 numbers: the first 16 and the others. */
struct pair { __m512 a, b; };

/* Q of both as bf16.  The instruction rounds, keeps Inf and makes NaN quiet as Q does, and what Q makes zero is
 * left out. */
TARGET static inline __m512i to_bf16(struct pair v)
{
    const __m512 border = _mm512_set1_ps(0x1p-56f);
    __mmask16 a = _mm512_cmp_ps_mask(_mm512_abs_ps(v.a), border, _CMP_NLT_UQ);
    __mmask16 b = _mm512_cmp_ps_mask(_mm512_abs_ps(v.b), border, _CMP_NLT_UQ);
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(v.b, v.a);
    return _mm512_maskz_mov_epi16((__mmask32)a | (__mmask32)b << 16, both);
}

TARGET static inline struct pair to_floats(__m512i v)
{
    __m512i a = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(v));
    __m512i b = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v, 1));
    return (struct pair){ _mm512_castsi512_ps(_mm512_slli_epi32(a, 16)),
                          _mm512_castsi512_ps(_mm512_slli_epi32(b, 16)) };
}

/* The first floats of the strip from `v` on, zeros where there are fewer or v is NULL. */
TARGET static inline struct pair load(const float *v, __mmask32 mask)
{
    if (!v) return (struct pair){ _mm512_setzero_ps(), _mm512_setzero_ps() };
    return (struct pair){ _mm512_maskz_loadu_ps((__mmask16)mask, v),
                          _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), v + 16) };
}

/* A5 on every lane. */
TARGET static inline __m512 stored(__m512 v)
{
    return _mm512_maskz_mov_ps(_mm512_test_epi32_mask(_mm512_castps_si512(v), _mm512_set1_epi32(0x7f800000)), v);
}

/* Rows of sums [32][32] to dst.  F is left out before a Q, which makes the same of both, and before `add`: an
 * addend is 0 or at least 2^-56 (A30), so a subnormal beside it ends as 0 or is rounded away. */
TARGET static void finish(const struct job *j, const size_t *to, const float *c, int rows, int channel, int cols)
{
    const struct rn_bf16_finish *f = &j->finish;
    const __mmask32 mask = cols < 32 ? ((__mmask32)1 << cols) - 1 : ~(__mmask32)0;
    const struct pair bias = load(f->bias ? f->bias + channel : NULL, mask);
    const struct pair scale = load(f->scale ? f->scale + channel : NULL, mask);
    const struct pair shift = load(f->scale ? f->shift + channel : NULL, mask);
    const __m512 zero = _mm512_setzero_ps();
    for (int r = 0; r < rows; r++, c += RN_AMX_ROWS) {
        struct pair v = { _mm512_loadu_ps(c), _mm512_loadu_ps(c + 16) };
        if (to[r] == SIZE_MAX) continue;
        size_t at = to[r] + (size_t)channel;
        if (f->bias) v.a = _mm512_add_ps(v.a, bias.a), v.b = _mm512_add_ps(v.b, bias.b);
        if (j->dst.floats) {
            _mm512_mask_storeu_ps(j->dst.floats + at, (__mmask16)mask, stored(v.a));
            _mm512_mask_storeu_ps(j->dst.floats + at + 16, (__mmask16)(mask >> 16), stored(v.b));
            continue;
        }
        if (f->scale || f->add) v = to_floats(to_bf16(v));
        if (f->scale) v.a = _mm512_fmadd_ps(v.a, scale.a, shift.a), v.b = _mm512_fmadd_ps(v.b, scale.b, shift.b);
        if (f->add) {
            struct pair add = to_floats(_mm512_maskz_loadu_epi16(mask, f->add + at));
            v.a = _mm512_add_ps(v.a, add.a), v.b = _mm512_add_ps(v.b, add.b);
        }
        if (f->relu) v.a = _mm512_max_ps(zero, v.a), v.b = _mm512_max_ps(zero, v.b); /* NaN stays (A18) */
        _mm512_mask_storeu_epi16(j->dst.bf16 + at, mask, to_bf16(v));
    }
}

/* -- tasks ------------------------------------------------------------------------------------------ */

static struct strip strip_at(const struct job *j, const struct rn_conv_class *c, int class, int group, int i)
{
    const struct rn_kernels *k = j->cpu->kernels;
    struct rn_bf16_panel p = rn_bf16_panel(k, j->cut.pass.cols, i);
    size_t at = rn_bf16_packed_at(k, &j->cut.pass, class, group) +
                (size_t)p.begin * RN_BF16_PAIRS * (size_t)rn_bf16_blocks(c);
    return (struct strip){ p.begin, p.cols, p.nr, j->packed + at };
}

static void compute(const struct job *j, const struct rn_amx_unit *u, int group, const struct strip *s)
{
    float c[RN_AMX_SQUARE] __attribute__((aligned(64)));
    size_t row = (size_t)s->nr * sizeof *s->packed;
    int channel = s->column; /* `to` already has the group's */
    struct job here = *j;
    size_t first = (size_t)(group * j->cut.pass.cols);
    if (here.finish.bias) here.finish.bias += first;
    if (here.finish.scale) here.finish.scale += first, here.finish.shift += first;
    for (const struct rn_amx_piece *p = u->piece, *end = p + u->pieces; p < end; p++) {
        struct rn_amx_product product = { { p->a[0], p->a[1] }, u->stride, s->packed, row,
                                          RN_BF16_PAIRS * row, p->run, p->runs };
        rn_amx_multiply(c, p->tiles, s->cols > 16 ? 2 : 1, &product);
        finish(&here, p->to, c, 16 * p->tiles, channel, s->cols);
    }
}

static void unit_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const struct rn_conv_pass *p = &j->cut.pass;
    int chunk = (int)(task % j->chunks), i = (int)(task / j->chunks % j->units);
    int rest = (int)(task / j->chunks / j->units), group = rest % p->groups, class = rest / p->groups;
    if (i >= rn_amx_units(&j->cut, class)) return;
    struct rn_amx_unit u;
    rn_amx_carve_unit(&u, j->workspace + (size_t)worker * j->worker_bytes, &j->cut);
    rn_amx_fill_unit(&u, &j->cut, class, group, i, j->src);
    rn_amx_begin();
    for (int k = chunk * j->chunk; k < RN_MIN((chunk + 1) * j->chunk, j->strips); k++) {
        struct strip s = strip_at(j, &u.class, class, group, k);
        compute(j, &u, group, &s);
    }
    rn_amx_end();
}

static int64_t tasks(const struct job *j)
{
    return (int64_t)j->cut.pass.classes * j->cut.pass.classes * j->cut.pass.groups * j->units * j->chunks;
}

static bool fewer_rows(struct job *j)
{
    if (!rn_amx_cut_finer(&j->cut)) return false;
    j->units = rn_amx_units(&j->cut, 0);
    return true;
}

static bool fewer_strips(struct job *j)
{
    if (j->chunk < 2) return false;
    j->chunk = rn_ceil_div(j->chunk, 2);
    j->chunks = rn_ceil_div(j->strips, j->chunk);
    return true;
}

/* Everything but the pointers.  Tasks become smaller until every thread has some: along rows first, for the
 * unit is copied once a chunk, but where the weights are large along columns. */
static struct job plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct job j = { .cpu = cpu, .cut = rn_amx_cut(s, pass), .chunks = 1 };
    const struct rn_conv_pass *p = &j.cut.pass;
    size_t weights = rn_bf16_packed_at(cpu->kernels, p, p->classes * p->classes, 0) * sizeof(uint32_t);
    bool rows_first = weights / (size_t)(p->groups * p->classes * p->classes) < MANY_WEIGHTS;
    j.units = rn_amx_units(&j.cut, 0);
    j.strips = j.chunk = rn_bf16_panels(cpu->kernels, p->cols);
    while (cpu->threads > 1 && tasks(&j) < TASKS * cpu->threads)
        if (rows_first ? !fewer_rows(&j) && !fewer_strips(&j) : !fewer_strips(&j) && !fewer_rows(&j)) break;
    struct rn_amx_unit unused;
    j.worker_bytes = rn_amx_carve_unit(&unused, NULL, &j.cut);
    return j;
}

/* Rows of few images are cut in another way, which may take more. */
size_t rn_amx_conv_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    size_t bytes = plan(cpu, s, pass).worker_bytes;
    for (int n = 1; n < RN_MIN(s->N, 16); n++) {
        struct rn_conv_shape few = *s;
        few.N = n;
        bytes = RN_MAX(bytes, plan(cpu, &few, pass).worker_bytes);
    }
    return (size_t)cpu->threads * bytes;
}

void rn_amx_conv_run(const struct rn_cpu *cpu, enum rn_pass pass, struct rn_amx_target dst,
                     const rn_bf16 *src, const void *packed, const struct rn_bf16_finish *finish,
                     const struct rn_conv_shape *s, void *workspace)
{
    struct job j = plan(cpu, s, pass);
    j.dst = dst, j.src = src, j.packed = packed, j.finish = *finish, j.workspace = workspace;
    rn_parallel(cpu->threads, tasks(&j), unit_task, &j);
}

#endif
