/* amx_planes.c - see amx_planes.h. */
#include "cpu/amx_planes.h"

#include "cpu/unroll.h"

#if RN_AMX
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#define SLOTS 32
#define AHEAD 64 /* pixels that are asked for before they are wanted: lines of other channels lie between them */

/* Floor and remainder of a division by a positive number. */
static int floor_div(int a, int b) { return (a - (a < 0 ? b - 1 : 0)) / b; }
static int modulo(int a, int b) { return a - floor_div(a, b) * b; }

/* Rows a number of lines apart, so that 16 of them lie in as many sets of the first cache. */
static size_t odd_lines(size_t bytes)
{
    size_t lines = (bytes + RN_AMX_LINE - 1) / RN_AMX_LINE;
    return (lines | 1) * RN_AMX_LINE;
}

struct rn_amx_planes rn_amx_planes(const struct rn_conv_shape *s)
{
    struct rn_amx_planes p = { .shape = *s, .images = rn_group_images((int64_t)s->P * s->Q) };
    int u = s->stride, positions = p.images * s->P * s->Q;
    p.channels = RN_MIN(s->C / s->groups, RN_AMX_ROWS);
    p.rows = (int)rn_round_up((size_t)(s->S * p.channels), 16);
    p.kinds = p.images > 1 ? s->R : RN_MIN(u, s->R);
    p.shifts = s->H == u * s->P && s->W == u * s->Q;
    p.blocks = rn_ceil_div(positions, SLOTS);
    p.length = (size_t)(p.blocks * SLOTS);
    p.phase = odd_lines(p.length * sizeof(rn_bf16));
    if (p.images == 1) p.length = rn_round_up(p.length + (size_t)((s->R - 1) / u * s->Q), SLOTS);
    return p;
}

void rn_amx_planes_hold(struct rn_amx_planes *p, int leaves)
{
    p->leaves = leaves;
    p->pitch = odd_lines((size_t)leaves * p->length * sizeof(rn_bf16));
}

size_t rn_amx_masks_bytes(const struct rn_amx_planes *p)
{
    return (size_t)(p->kinds * p->shape.S) * p->length / SLOTS * sizeof(uint32_t);
}

size_t rn_amx_planes_bytes(const struct rn_amx_planes *p)
{
    return (size_t)(p->kinds * p->rows) * p->pitch;
}

size_t rn_amx_phases_bytes(const struct rn_amx_planes *p)
{
    return (size_t)(p->shape.stride * p->shape.stride * RN_AMX_ROWS) * p->phase;
}

size_t rn_amx_pairs_bytes(const struct rn_amx_planes *p)
{
    return (size_t)(p->leaves * p->blocks) * RN_AMX_PAIRS_BLOCK;
}

/* -- what a tap sees -------------------------------------------------------------------------------- */

/* Position (i, j) of image n of a leaf, one after the other; of a plane of one image i may go on past the map. */
struct position { int n, i, j; };

static void next(struct position *at, const struct rn_amx_planes *p)
{
    if (++at->j < p->shape.Q) return;
    at->j = 0;
    if (++at->i < p->shape.P || p->images == 1) return;
    at->i = 0;
    at->n++;
}

/* Whether column kw of the filter, in a plane of a kind, sees a pixel of the image at a position. */
static bool sees(const struct rn_amx_planes *p, const struct position *at, int kind, int kw, int *h, int *w)
{
    *h = at->i * p->shape.stride + kind - p->shape.pad;
    *w = at->j * p->shape.stride + kw - p->shape.pad;
    return at->n < p->images && *h >= 0 && *h < p->shape.H && *w >= 0 && *w < p->shape.W;
}

void rn_amx_fill_masks(uint32_t *masks, const struct rn_amx_planes *p)
{
    if (!p->shifts) return;
    for (int kind = 0; kind < p->kinds; kind++)
        for (int kw = 0; kw < p->shape.S; kw++) {
            struct position at = { 0 };
            for (size_t k = 0; k < p->length; k++, next(&at, p)) {
                int h, w;
                if (k % SLOTS == 0) *masks = 0;
                if (sees(p, &at, kind, kw, &h, &w)) *masks |= (uint32_t)1 << k % SLOTS;
                if (k % SLOTS == SLOTS - 1) masks++;
            }
        }
}

/* -- phases ----------------------------------------------------------------------------------------- */

/* Words of four vectors of a row each, lane by lane: v[4 i + q] becomes word q of v[4 i ...]. */
TARGET static inline void transpose_lanes(__m512i *v)
{
    UNROLL for (int i = 0; i < 16; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(v[i], v[i + 1]), b = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]);
        __m512i c = _mm512_unpackhi_epi32(v[i], v[i + 1]), d = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
        v[i] = _mm512_unpacklo_epi64(a, b);
        v[i + 1] = _mm512_unpackhi_epi64(a, b);
        v[i + 2] = _mm512_unpacklo_epi64(c, d);
        v[i + 3] = _mm512_unpackhi_epi64(c, d);
    }
}

/* Lanes of v[q], v[4 + q], v[8 + q], v[12 + q] as a square: out[l] is lane l of each. */
TARGET static inline void gather_lanes(__m512i *out, const __m512i *v, int q)
{
    __m512i a = _mm512_shuffle_i32x4(v[q], v[4 + q], 0x44), b = _mm512_shuffle_i32x4(v[8 + q], v[12 + q], 0x44);
    __m512i c = _mm512_shuffle_i32x4(v[q], v[4 + q], 0xee), d = _mm512_shuffle_i32x4(v[8 + q], v[12 + q], 0xee);
    out[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    out[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    out[2] = _mm512_shuffle_i32x4(c, d, 0x88);
    out[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* dst[c][32] = pixel[32][c] for c < count <= 32; rows of dst `pitch` bytes apart.  Pairs of pixels are zipped to
 * words first: four channels of every eight, then the other four. */
TARGET static void transpose(char *dst, size_t pitch, const rn_bf16 *const *pixel, int count)
{
    const __mmask32 mask = count < 32 ? ((__mmask32)1 << count) - 1 : ~(__mmask32)0;
    for (int half = 0; half < 2; half++) {
        __m512i v[16];
        UNROLL for (int i = 0; i < 16; i++) {
            __m512i a = _mm512_maskz_loadu_epi16(mask, pixel[2 * i]);
            __m512i b = _mm512_maskz_loadu_epi16(mask, pixel[2 * i + 1]);
            v[i] = half ? _mm512_unpackhi_epi16(a, b) : _mm512_unpacklo_epi16(a, b);
        }
        transpose_lanes(v);
        UNROLL for (int q = 0; q < 4; q++) {
            __m512i out[4];
            gather_lanes(out, v, q);
            for (int l = 0; l < 4; l++)
                if (8 * l + 4 * half + q < count)
                    _mm512_store_si512(dst + (size_t)(8 * l + 4 * half + q) * pitch, out[l]);
        }
    }
}

/* Positions of one phase of a leaf: pixels (i u + a, j u + b) of its images, zeros where it has fewer. */
static void fill_phase(char *dst, const struct rn_amx_planes *p, int a, int b, int leaf, int first, int count,
                       const rn_bf16 *src)
{
    static const rn_bf16 zeros[SLOTS];
    const struct rn_conv_shape *s = &p->shape;
    size_t C = (size_t)s->C, across = (size_t)s->stride * C;
    struct position at = { leaf * p->images, 0, 0 };
    int end = RN_MIN(at.n + p->images, s->N);
    for (int block = 0; block < p->blocks; block++, dst += RN_AMX_LINE) {
        const rn_bf16 *pixel[SLOTS];
        for (int k = 0; k < SLOTS; k++) {
            size_t row = ((size_t)at.n * (size_t)s->H + (size_t)(at.i * s->stride + a)) * (size_t)s->W + (size_t)b;
            pixel[k] = at.n < end ? src + row * C + (size_t)at.j * across + first : zeros;
            __builtin_prefetch(pixel[k] + (at.n < end ? AHEAD * across : 0));
            if (++at.j == s->Q) at.j = 0, at.i++;
            if (at.i == s->P) at.i = 0, at.n++;
        }
        transpose(dst, p->phase, pixel, count);
    }
}

/* -- planes ----------------------------------------------------------------------------------------- */

TARGET static void shift_row(char *dst, const char *phase, ptrdiff_t shift, const uint32_t *mask, size_t blocks)
{
    uintptr_t from = (uintptr_t)phase + (uintptr_t)(shift * (ptrdiff_t)sizeof(rn_bf16));
    for (size_t i = 0; i < blocks; i++, from += RN_AMX_LINE)
        _mm512_store_si512(dst + i * RN_AMX_LINE, _mm512_maskz_loadu_epi16(mask[i], (const void *)from));
}

/* The plane of a kind, by shifts of the phases. */
static void shift_plane(char *plane, const char *phases, const uint32_t *masks, const struct rn_amx_planes *p,
                        int kind, int count)
{
    const struct rn_conv_shape *s = &p->shape;
    int u = s->stride, a = modulo(kind - s->pad, u), down = floor_div(kind - s->pad, u);
    for (int kw = 0; kw < s->S; kw++, masks += p->length / SLOTS) {
        int b = modulo(kw - s->pad, u), right = floor_div(kw - s->pad, u);
        const char *phase = phases + (size_t)((a * u + b) * RN_AMX_ROWS) * p->phase;
        for (int c = 0; c < p->channels; c++) {
            char *row = plane + (size_t)(kw * p->channels + c) * p->pitch;
            if (c < count)
                shift_row(row, phase + (size_t)c * p->phase, (ptrdiff_t)down * s->Q + right, masks,
                          p->length / SLOTS);
            else memset(row, 0, p->length * sizeof(rn_bf16));
        }
    }
}

/* The same for maps that are no whole multiple of the output's: pixel by pixel. */
static void look_plane(char *plane, const struct rn_amx_planes *p, int kind, int leaf, int first, int count,
                       const rn_bf16 *src)
{
    const struct rn_conv_shape *s = &p->shape;
    for (int kw = 0; kw < s->S; kw++) {
        struct position at = { 0 };
        for (size_t k = 0; k < p->length; k++, next(&at, p)) {
            int h, w, n = leaf * p->images + at.n;
            bool seen = sees(p, &at, kind, kw, &h, &w) && n < s->N;
            const rn_bf16 *pixel = !seen ? NULL : src + (((size_t)n * (size_t)s->H + (size_t)h) * (size_t)s->W +
                                                         (size_t)w) * (size_t)s->C + first;
            for (int c = 0; c < p->channels; c++) {
                rn_bf16 x = pixel && c < count ? pixel[c] : 0;
                memcpy(plane + (size_t)(kw * p->channels + c) * p->pitch + k * sizeof x, &x, sizeof x);
            }
        }
    }
}

void rn_amx_fill_planes(char *planes, char *phases, const uint32_t *masks, const struct rn_amx_planes *p, int l,
                        int leaf, int first, int count, const rn_bf16 *src)
{
    const struct rn_conv_shape *s = &p->shape;
    int u = s->stride;
    for (int a = 0; p->shifts && a < RN_MIN(u, s->R); a++)
        for (int b = 0; b < RN_MIN(u, s->S); b++) { /* those that some tap sees */
            int h = modulo(a - s->pad, u), w = modulo(b - s->pad, u);
            fill_phase(phases + (size_t)((h * u + w) * RN_AMX_ROWS) * p->phase, p, h, w, leaf, first, count, src);
        }
    for (int kind = 0; kind < p->kinds; kind++) {
        char *plane = planes + (size_t)(kind * p->rows) * p->pitch + (size_t)l * p->length * sizeof *src;
        if (p->shifts)
            shift_plane(plane, phases, masks + (size_t)(kind * s->S) * p->length / SLOTS, p, kind, count);
        else look_plane(plane, p, kind, leaf, first, count, src);
    }
}

/* -- pairs ------------------------------------------------------------------------------------------ */

/* dst[32][2] = the first numbers of a and b, taken in turns; zeros for b NULL. */
TARGET static inline void zip(char *dst, const rn_bf16 *a, const rn_bf16 *b, __mmask32 mask)
{
    __m512i x = _mm512_maskz_loadu_epi16(mask, a);
    __m512i y = b ? _mm512_maskz_loadu_epi16(mask, b) : _mm512_setzero_si512();
    __m512i low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y); /* of every lane */
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    _mm512_store_si512(dst, _mm512_permutex2var_epi64(low, first, high));
    _mm512_store_si512(dst + RN_AMX_LINE, _mm512_permutex2var_epi64(low, second, high));
}

TARGET int rn_amx_fill_pairs(char *pairs, const struct rn_amx_planes *p, int l, int leaf, int first, int count,
                             const rn_bf16 *ddst)
{
    const struct rn_conv_shape *s = &p->shape;
    const __mmask32 mask = count < 32 ? ((__mmask32)1 << count) - 1 : ~(__mmask32)0;
    int images = RN_MIN(p->images, s->N - leaf * p->images), positions = images * s->P * s->Q;
    int blocks = rn_ceil_div(positions, SLOTS), k = 0;
    size_t K = (size_t)s->K;
    const rn_bf16 *dy = ddst + (size_t)leaf * (size_t)(p->images * s->P * s->Q) * K + first;
    char *dst = pairs + (size_t)(l * p->blocks) * RN_AMX_PAIRS_BLOCK;
    for (; k < positions; k += 2, dy += 2 * K, dst += 2 * RN_AMX_LINE) {
        __builtin_prefetch((const void *)((uintptr_t)dy + AHEAD * K * sizeof *dy));
        __builtin_prefetch((const void *)((uintptr_t)dy + (AHEAD + 1) * K * sizeof *dy));
        zip(dst, dy, k + 1 < positions ? dy + K : NULL, mask);
    }
    memset(dst, 0, (size_t)(blocks * SLOTS - (int)rn_round_up((size_t)positions, 2)) * RN_AMX_LINE);
    return blocks;
}

#endif
