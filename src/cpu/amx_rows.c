/* amx_rows.c - see amx_rows.h. */
#include "cpu/amx_rows.h"

#if RN_AMX
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#define A_BYTES (512 << 10) /* of A in a unit: a quarter of a second-level cache */
#define ROWS_MIN 64         /* destination pixels: two pieces */
#define ROWS_MAX 1024
#define SMALL_MAP 64        /* pixels of a map whose images are taken together */
#define SLOTS 32            /* of a block */

/* -- the copy of a band ----------------------------------------------------------------------------- */

/* One dimension of it: pixel `low` of the source and every `every`-th from there on; position i reads
 * i*step, and the taps from there on.  With one tap, what the stride skips is not copied. */
struct span { int low, every, step, taps; };

static struct span span(const struct rn_axis *a)
{
    struct span s = { a->dir > 0 ? a->offset : a->offset - (a->taps - 1), 1, a->step, a->taps };
    if (a->taps == 1) s.every = a->step, s.step = 1;
    return s;
}

static int extent(const struct span *s, int positions) { return (positions - 1) * s->step + s->taps; }

/* How far tap t of an axis is from the first that is copied. */
static int tap_at(const struct rn_axis *a, int t) { return a->dir > 0 ? t : a->taps - 1 - t; }

static size_t band_bytes(const struct rn_amx_cut *c, const struct rn_conv_class *k, int rows)
{
    struct span h = span(&k->h), w = span(&k->w);
    if (!k->depth || k->w.rows < 1) return 0;
    return ((size_t)extent(&h, rows) * (size_t)extent(&w, k->w.rows) + 16 * (size_t)w.step) *
           (size_t)c->pass.run * sizeof(rn_bf16);
}

/* -- how rows are cut ------------------------------------------------------------------------------- */

/* Bytes of a row of a gathered tile; 64 more than slots, so that rows lie in different sets of the cache. */
static size_t gathered(const struct rn_conv_class *k)
{
    return rn_round_up((size_t)k->depth, SLOTS) * sizeof(rn_bf16) + RN_AMX_LINE;
}

static int even_parts(int total, int part)
{
    return rn_ceil_div(total, rn_ceil_div(total, RN_MAX(RN_MIN(part, total), 1)));
}

static int band_rows(const struct rn_amx_cut *c, const struct rn_conv_class *k)
{
    int rows = RN_MAX(RN_MIN(k->h.rows, ROWS_MAX / RN_MAX(k->w.rows, 1)), 1);
    while (rows > 1 && band_bytes(c, k, rows) > A_BYTES) rows--;
    return even_parts(RN_MAX(k->h.rows, 1), rows);
}

static int image_rows(const struct rn_amx_cut *c, const struct rn_conv_class *k)
{
    size_t row = (size_t)c->pass.W * (size_t)c->pass.C * sizeof(rn_bf16) * RN_AMX_ROWS;
    int rows = RN_MAX(k->h.rows, 1);
    while (rows > 1 && (size_t)((rows - 1) * k->h.step + k->h.taps) * row > 2 * A_BYTES) rows--;
    return even_parts(RN_MAX(k->h.rows, 1), rows);
}

/* Source rows of destination rows i0 ... i1-1, of those inside the image. */
static void image_span(const struct rn_amx_cut *c, const struct rn_conv_class *k, int i0, int i1, int *from, int *to)
{
    int low = span(&k->h).low;
    *from = RN_MAX(i0 * k->h.step + low, 0);
    *to = RN_MAX(RN_MIN((i1 - 1) * k->h.step + low + k->h.taps, c->pass.H), *from);
}

/* Bytes from image to image of their copies: the same pixel of 32 of them lies in different sets of the first
 * cache and in different ones of the table of pages, which maps of 8x8 or 4x4 in a row would not. */
static size_t image_pitch(const struct rn_amx_cut *c, const struct rn_conv_class *k)
{
    size_t rows = (size_t)RN_MIN((c->rows - 1) * k->h.step + k->h.taps, c->pass.H);
    size_t lines = rows * (size_t)c->pass.W * (size_t)c->pass.C * sizeof(rn_bf16) / RN_AMX_LINE;
    return ((lines + 17) | 1) * RN_AMX_LINE;
}

static int flat_rows(size_t bytes)
{
    int rows = (int)(A_BYTES / bytes) / RN_AMX_ROWS * RN_AMX_ROWS;
    return RN_MIN(RN_MAX(rows, ROWS_MIN), ROWS_MAX);
}

static int64_t positions(const struct rn_amx_cut *c, const struct rn_conv_class *k)
{
    return (int64_t)c->pass.N * k->h.rows * k->w.rows;
}

struct rn_amx_cut rn_amx_cut(const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct rn_amx_cut c = { .pass = rn_bf16_pass(s, pass) };
    struct rn_conv_class k = rn_conv_class(&c.pass, 0);
    bool dense = s->R * s->S == 1 && s->stride == 1 && s->pad == 0;
    if (c.pass.run % SLOTS) {
        c.mode = RN_AMX_GATHER;
        c.rows = flat_rows(gathered(&k));
    } else if (dense && positions(&c, &k) >= 16) {
        c.mode = RN_AMX_FLAT;
        c.rows = flat_rows((size_t)c.pass.C * sizeof(rn_bf16));
    } else if (s->N >= 16 && k.h.rows * k.w.rows <= SMALL_MAP) {
        c.mode = RN_AMX_IMAGES;
        c.rows = image_rows(&c, &k);
    } else {
        c.mode = RN_AMX_BAND;
        c.rows = band_rows(&c, &k);
    }
    return c;
}

bool rn_amx_cut_finer(struct rn_amx_cut *c)
{
    struct rn_conv_class k = rn_conv_class(&c->pass, 0);
    bool pixels = c->mode == RN_AMX_FLAT || c->mode == RN_AMX_GATHER;
    int row = pixels ? 1 : c->mode == RN_AMX_BAND ? k.w.rows : k.w.rows * RN_AMX_ROWS;
    if (c->rows < 2 || c->rows * row <= ROWS_MIN) return false;
    c->rows = rn_ceil_div(c->rows, 2);
    if (pixels) c->rows = (int)rn_round_up((size_t)c->rows, RN_AMX_ROWS);
    return true;
}

int rn_amx_units(const struct rn_amx_cut *c, int class)
{
    struct rn_conv_class k = rn_conv_class(&c->pass, class);
    int bands = rn_ceil_div(k.h.rows, c->rows);
    if (k.w.rows < 1) return 0;
    if (c->mode == RN_AMX_BAND) return c->pass.N * bands;
    if (c->mode == RN_AMX_IMAGES) return rn_ceil_div(c->pass.N, RN_AMX_ROWS) * bands;
    return (int)((positions(c, &k) + c->rows - 1) / c->rows);
}

size_t rn_amx_carve_unit(struct rn_amx_unit *u, char *base, const struct rn_amx_cut *c)
{
    size_t pieces = 1, runs = 1, bytes = 0;
    for (int i = 0; i < c->pass.classes * c->pass.classes; i++) {
        struct rn_conv_class k = rn_conv_class(&c->pass, i);
        size_t taps = (size_t)(k.h.taps * k.w.taps), rows = (size_t)c->rows, across = (size_t)k.w.rows;
        size_t tiles = rows * (across + 15) / 16 + rows, pixels = rows;
        if (c->mode == RN_AMX_IMAGES) {
            tiles = 2 * rows * across, taps *= rows * across;
            bytes = RN_MAX(bytes, RN_AMX_ROWS * image_pitch(c, &k));
        }
        else if (c->mode == RN_AMX_BAND) bytes = RN_MAX(bytes, band_bytes(c, &k, c->rows));
        else tiles = pixels / 16 + 1;
        if (c->mode == RN_AMX_GATHER)
            bytes = RN_MAX(bytes, rn_round_up(pixels, RN_AMX_ROWS) * gathered(&k));
        pieces = RN_MAX(pieces, (tiles + 1) / 2);
        runs = RN_MAX(runs, taps);
    }
    struct rn_carve w = { base, 0 };
    u->piece = rn_carve(&w, pieces * sizeof *u->piece);
    u->run = rn_carve(&w, runs * sizeof *u->run);
    u->copy = rn_carve(&w, bytes);
    return w.used;
}

/* -- filling ---------------------------------------------------------------------------------------- */

/* The next tile; its rows go nowhere yet. */
static size_t *add_tile(struct rn_amx_unit *u, const void *a, bool alone)
{
    struct rn_amx_piece *p = u->pieces ? &u->piece[u->pieces - 1] : NULL;
    if (!p || p->tiles == 2 || alone) {
        p = &u->piece[u->pieces++];
        *p = (struct rn_amx_piece){ .run = u->run };
        for (int r = 0; r < RN_AMX_ROWS; r++) p->to[r] = SIZE_MAX;
    }
    p->a[p->tiles] = a;
    return p->to + 16 * p->tiles++;
}

/* Destination of position (i, j) of image n, its group's first channel. */
static size_t place(const struct rn_amx_cut *c, const struct rn_amx_unit *u, int group, int n, int i, int j)
{
    const struct rn_conv_pass *p = &c->pass;
    int h = u->class.h.out + i * u->class.h.spread, w = u->class.w.out + j * u->class.w.spread;
    return (((size_t)n * (size_t)p->P + (size_t)h) * (size_t)p->Q + (size_t)w) * (size_t)p->K +
           (size_t)(group * p->cols);
}

/* All pieces see the same runs. */
static void share_runs(struct rn_amx_unit *u, int runs)
{
    for (int i = 0; i < u->pieces; i++) u->piece[i].runs = runs;
}

static void fill_flat(struct rn_amx_unit *u, const struct rn_amx_cut *c, int group, int unit, const rn_bf16 *src)
{
    const struct rn_conv_pass *p = &c->pass;
    int64_t all = positions(c, &u->class), first = (int64_t)unit * c->rows, end = RN_MIN(first + c->rows, all);
    u->stride = (size_t)p->C * sizeof *src;
    u->run[0] = (struct rn_amx_run){ (ptrdiff_t)((size_t)(group * p->run) * sizeof *src), 0, p->run / SLOTS };
    for (int64_t at = first; at < end; at += 16) {
        int64_t base = RN_MIN(at, all - 16);
        size_t *to = add_tile(u, src + base * p->C, false);
        for (int64_t i = at; i < RN_MIN(at + 16, end); i++)
            to[i - base] = (size_t)i * (size_t)p->K + (size_t)(group * p->cols);
    }
    share_runs(u, 1);
}

/* The runs of the taps that position (i, j) finds inside the image, in a copy of it from row `first` on. */
static int image_runs(struct rn_amx_run *run, const struct rn_amx_cut *c, const struct rn_conv_class *k,
                      int group, int i, int j, int first)
{
    const struct rn_conv_pass *p = &c->pass;
    int runs = 0, blocks = p->run / SLOTS;
    for (int t = 0; t < k->h.taps * k->w.taps; t++) {
        int h = i * k->h.step + k->h.offset + t / k->w.taps * k->h.dir;
        int w = j * k->w.step + k->w.offset + t % k->w.taps * k->w.dir;
        if (h < 0 || h >= p->H || w < 0 || w >= p->W) continue;
        size_t at = ((size_t)(h - first) * (size_t)p->W + (size_t)w) * (size_t)p->C + (size_t)(group * p->run);
        run[runs++] = (struct rn_amx_run){ (ptrdiff_t)(at * sizeof(rn_bf16)), (size_t)(t * blocks), blocks };
    }
    return runs;
}

static void fill_images(struct rn_amx_unit *u, const struct rn_amx_cut *c, int group, int unit,
                        const rn_bf16 *src)
{
    const struct rn_conv_pass *p = &c->pass;
    int bands = rn_ceil_div(u->class.h.rows, c->rows), n0 = unit / bands * RN_AMX_ROWS;
    int i0 = unit % bands * c->rows, i1 = RN_MIN(i0 + c->rows, u->class.h.rows);
    int n1 = RN_MIN(n0 + RN_AMX_ROWS, p->N), from, to_row;
    size_t row = (size_t)p->W * (size_t)p->C, next = (size_t)(p->P * p->Q) * (size_t)p->K;
    struct rn_amx_run *run = u->run;
    u->stride = image_pitch(c, &u->class);
    image_span(c, &u->class, i0, i1, &from, &to_row);
    for (int n = n0; n < n1; n++)
        memcpy(u->copy + (size_t)(n - n0) * u->stride, src + ((size_t)n * (size_t)p->H + (size_t)from) * row,
               (size_t)(to_row - from) * row * sizeof *src);
    for (int i = i0; i < i1; i++)
        for (int j = 0; j < u->class.w.rows; j++) {
            int runs = image_runs(run, c, &u->class, group, i, j, from);
            for (int n = n0; n < n1; n += 16) {
                size_t *to = add_tile(u, u->copy + (size_t)(n - n0) * u->stride, n == n0);
                size_t at = place(c, u, group, n, i, j);
                for (int m = n; m < RN_MIN(n + 16, n1); m++, at += next) to[m - n] = at;
            }
            u->piece[u->pieces - 1].run = run;
            u->piece[u->pieces - 1].runs = runs;
            run += runs;
        }
}

/* One row of a band: `width` pixels of a group from column w.low on, zeros for those outside the image. */
static void copy_row(char *dst, const struct rn_amx_cut *c, const rn_bf16 *row, const struct span *w, int width,
                     bool inside)
{
    const struct rn_conv_pass *p = &c->pass;
    size_t pixel = (size_t)p->run * sizeof *row;
    int begin = w->low < 0 ? rn_ceil_div(-w->low, w->every) : 0;
    int end = p->W > w->low ? (p->W - 1 - w->low) / w->every + 1 : 0;
    begin = inside ? RN_MIN(begin, width) : width;
    end = RN_MAX(RN_MIN(end, width), begin);
    memset(dst, 0, (size_t)begin * pixel);
    if (w->every == 1 && p->run == p->C && end > begin)
        memcpy(dst + (size_t)begin * pixel, row + (ptrdiff_t)(w->low + begin) * p->C, (size_t)(end - begin) * pixel);
    else
        for (int i = begin; i < end; i++)
            memcpy(dst + (size_t)i * pixel, row + (ptrdiff_t)(w->low + i * w->every) * p->C, pixel);
    memset(dst + (size_t)end * pixel, 0, (size_t)(width - end) * pixel);
}

static void copy_band(struct rn_amx_unit *u, const struct rn_amx_cut *c, int group, int n, int i0, int rows,
                      const rn_bf16 *src)
{
    const struct rn_conv_pass *p = &c->pass;
    struct span h = span(&u->class.h), w = span(&u->class.w);
    int width = extent(&w, u->class.w.rows), height = extent(&h, rows), first = i0 * u->class.h.step + h.low;
    for (int r = 0; r < height; r++) {
        int row = first + r * h.every;
        bool inside = row >= 0 && row < p->H;
        const rn_bf16 *from = src + (((size_t)n * (size_t)p->H + (size_t)(inside ? row : 0)) * (size_t)p->W) *
                                        (size_t)p->C + (size_t)(group * p->run);
        copy_row(u->copy + (size_t)r * (size_t)width * (size_t)p->run * sizeof *src, c, from, &w, width, inside);
    }
}

static int band_runs(struct rn_amx_run *run, const struct rn_conv_class *k, int width, int channels)
{
    int blocks = channels / SLOTS, taps = k->h.taps * k->w.taps;
    for (int t = 0; t < taps; t++) {
        int at = tap_at(&k->h, t / k->w.taps) * width + tap_at(&k->w, t % k->w.taps);
        run[t] = (struct rn_amx_run){ (ptrdiff_t)at * channels * (ptrdiff_t)sizeof(rn_bf16),
                                      (size_t)(t * blocks), blocks };
    }
    return taps;
}

/* Tiles of a band.  Where positions step by one pixel they may run on from row to row of the copy, over what
 * lies between the maps' rows, if that makes fewer tiles. */
static void fill_band(struct rn_amx_unit *u, const struct rn_amx_cut *c, int group, int unit, const rn_bf16 *src)
{
    struct span h = span(&u->class.h), w = span(&u->class.w);
    int bands = rn_ceil_div(u->class.h.rows, c->rows), n = unit / bands, i0 = unit % bands * c->rows;
    int rows = RN_MIN(c->rows, u->class.h.rows - i0), across = u->class.w.rows, width = extent(&w, across);
    size_t pixel = (size_t)c->pass.run * sizeof *src, next = (size_t)(u->class.w.spread * c->pass.K);
    bool any = u->class.depth > 0;
    if (any) copy_band(u, c, group, n, i0, rows, src);
    u->stride = (size_t)w.step * pixel;
    int line = (rows - 1) * width + across;
    bool runs_on = any && h.step == 1 && w.step == 1 && rn_ceil_div(line, 16) < rows * rn_ceil_div(across, 16);
    if (runs_on)
        for (int at = 0; at < line; at += 16) {
            size_t *to = add_tile(u, u->copy + (size_t)at * pixel, false);
            int i = at / width, j = at % width;
            for (int r = 0; r < 16 && i < rows; r++) {
                if (j < across) to[r] = place(c, u, group, n, i0 + i, j);
                if (++j == width) j = 0, i++;
            }
        }
    else
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < across; j += 16) {
                size_t at = any ? (size_t)(i * h.step * width + j * w.step) * pixel : 0;
                size_t *to = add_tile(u, u->copy + at, false), out = place(c, u, group, n, i0 + i, j);
                for (int r = 0; r < RN_MIN(16, across - j); r++, out += next) to[r] = out;
            }
    share_runs(u, any ? band_runs(u->run, &u->class, width, c->pass.run) : 0);
}

/* dst[0 ... n-1] = the numbers begin ... end-1 of src, zeros around them; up to 31 more are written. */
TARGET static void copy_slots(rn_bf16 *dst, const rn_bf16 *src, int begin, int end, int n)
{
    for (int i = 0; i < n; i += SLOTS) {
        int from = RN_MIN(RN_MAX(begin - i, 0), SLOTS), to = RN_MIN(RN_MAX(end - i, from), SLOTS);
        __mmask32 mask = (__mmask32)(((uint64_t)1 << to) - ((uint64_t)1 << from));
        _mm512_storeu_si512(dst + i, _mm512_maskz_loadu_epi16(mask, (const void *)((uintptr_t)src + 2 * (uintptr_t)i)));
    }
}

/* The slots of position (i, j) of image n.  A row of the filter is one run where it is so in the image. */
static void gather_row(rn_bf16 *dst, const struct rn_amx_cut *c, const struct rn_conv_class *k, int group, int n,
                       int i, int j, const rn_bf16 *src)
{
    const struct rn_conv_pass *p = &c->pass;
    int C = p->C, pixels = p->groups == 1 && k->w.dir > 0 ? k->w.taps : 1, run = p->run * pixels;
    for (int t = 0; t < k->h.taps; t++) {
        int h = i * k->h.step + k->h.offset + t * k->h.dir;
        for (int x = 0; x < k->w.taps; x += pixels, dst += run) {
            int w = j * k->w.step + k->w.offset + x * k->w.dir, begin = 0, end = 0;
            if (h >= 0 && h < p->H) {
                begin = RN_MIN(RN_MAX(-w, 0), pixels) * p->run;
                end = RN_MIN(RN_MAX(p->W - w, 0), pixels) * p->run;
            }
            ptrdiff_t at = (((ptrdiff_t)n * p->H + h) * p->W + w) * C + group * p->run;
            copy_slots(dst, (const rn_bf16 *)((uintptr_t)src + (uintptr_t)(at * (ptrdiff_t)sizeof *src)), begin,
                       end, run);
        }
    }
    copy_slots(dst, src, 0, 0, SLOTS);
}

static void fill_gather(struct rn_amx_unit *u, const struct rn_amx_cut *c, int group, int unit, const rn_bf16 *src)
{
    const struct rn_conv_class *k = &u->class;
    int64_t all = positions(c, k), first = (int64_t)unit * c->rows, end = RN_MIN(first + c->rows, all);
    int64_t image = (int64_t)k->h.rows * k->w.rows;
    int n = (int)(first / image), i = (int)(first % image) / k->w.rows, j = (int)(first % image) % k->w.rows;
    size_t *to = NULL;
    u->stride = gathered(k);
    u->run[0] = (struct rn_amx_run){ 0, 0, rn_bf16_blocks(k) };
    for (int64_t r = 0; r < end - first; r++) {
        char *row = u->copy + (size_t)r * u->stride;
        if (r % 16 == 0) to = add_tile(u, row, false);
        gather_row((rn_bf16 *)(void *)row, c, k, group, n, i, j, src);
        to[r % 16] = place(c, u, group, n, i, j);
        if (++j == k->w.rows) j = 0, i++;
        if (i == k->h.rows) i = 0, n++;
    }
    share_runs(u, k->depth ? 1 : 0);
}

void rn_amx_fill_unit(struct rn_amx_unit *u, const struct rn_amx_cut *c, int class, int group, int i,
                      const rn_bf16 *src)
{
    u->class = rn_conv_class(&c->pass, class);
    u->pieces = 0;
    if (c->mode == RN_AMX_FLAT) fill_flat(u, c, group, i, src);
    else if (c->mode == RN_AMX_IMAGES) fill_images(u, c, group, i, src);
    else if (c->mode == RN_AMX_BAND) fill_band(u, c, group, i, src);
    else fill_gather(u, c, group, i, src);
}

#endif
