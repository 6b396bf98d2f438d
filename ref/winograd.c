/*
 * winograd.c - convolution by Winograd's algorithm F(4x4, 3x3) as A34-A36 state it.
 *
 * A 4x4 tile of outputs needs a 6x6 patch of inputs and a 3x3 filter.  All three are polynomials in two
 * variables; evaluated at 36 points, their convolution is 36 products instead of 144, and the outputs
 * are interpolated from them.  Each transform is a 1-D one along the rows, then along the columns;
 * the 1-D ones are written out below, every operation as it is rounded.
 * Winograd, "Arithmetic complexity of computations", SIAM, 1980; Lavin & Gray, "Fast algorithms for
 * convolutional neural networks", CVPR 2016; on the points: Barabasz, Anderson, Soodhalter, Gregg,
 * "Error analysis and improving the accuracy of Winograd convolution", ACM TOMS 46(4), 2020.
 */
#include "ref/winograd.h"

#include "ref/ref.h"
#include "ref/tree.h"

#include "base/real.h"

#define TILE RN_WINOGRAD_TILE
#define PATCH RN_WINOGRAD_PATCH
#define POINTS RN_WINOGRAD_POINTS
#define LEAF RN_WINOGRAD_LEAF

/* -- A34 -------------------------------------------------------------------------------------- */

/* Maps below 4 a side, and of 5, spend more products on tiles than they have taps inside the image. */
static bool fits(int extent) { return extent == TILE || extent > TILE + 1; }

/* The table: rows hold for at least so many channels on either side. */
static const struct row { int channels; bool pass[3]; } table[] = {
    /* channels, { forward, data gradient, weight gradient } */
    { 16, { true, true, true } },
};

bool rn_winograd_applies(const struct rn_conv_shape *s, enum rn_winograd_pass pass)
{
    if (s->R != 3 || s->S != 3 || s->stride != 1 || s->pad != 1 || s->groups != 1) return false;
    if (!fits(s->H) || !fits(s->W)) return false;
    for (size_t i = 0; i < RN_COUNT(table); i++)
        if (RN_MIN(s->C, s->K) >= table[i].channels) return table[i].pass[pass];
    return false;
}

/* -- the 1-D transforms; x[i * step] are the values ---------------------------------------------- */

/* Patch: 6 values to 6 points. */
static void input_line(float *v, const float *d, int step)
{
    float d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 =
        d[5 * step];
    float even_a = rn_fmaf(-RN_WINOGRAD_BB, d2, d4), odd_a = rn_fmaf(-RN_WINOGRAD_BB, d1, d3);
    float even_b = rn_fmaf(-RN_WINOGRAD_AA, d2, d4), odd_b = rn_fmaf(-RN_WINOGRAD_AA, d1, d3);
    v[0] = rn_fmaf(-RN_WINOGRAD_RATIO, d2, rn_fmaf(RN_WINOGRAD_INVERSE, d4, d0));
    v[step] = rn_fmaf(RN_WINOGRAD_A, odd_a, even_a);
    v[2 * step] = rn_fmaf(-RN_WINOGRAD_A, odd_a, even_a);
    v[3 * step] = rn_fmaf(RN_WINOGRAD_B, odd_b, even_b);
    v[4 * step] = rn_fmaf(-RN_WINOGRAD_B, odd_b, even_b);
    v[5 * step] = rn_fmaf(RN_WINOGRAD_PRODUCT, d1, rn_fmaf(-RN_WINOGRAD_SUM, d3, d5));
}

/* Filter: 3 values to 6 points. */
static void filter_line(float *u, const float *g, int step)
{
    float g0 = g[0], g1 = g[step], g2 = g[2 * step];
    float even_a = rn_fmaf(RN_WINOGRAD_AA, g2, g0), even_b = rn_fmaf(RN_WINOGRAD_BB, g2, g0);
    u[0] = g0;
    u[step] = rn_fmaf(RN_WINOGRAD_A, g1, even_a);
    u[2 * step] = rn_fmaf(-RN_WINOGRAD_A, g1, even_a);
    u[3 * step] = rn_fmaf(RN_WINOGRAD_B, g1, even_b);
    u[4 * step] = rn_fmaf(-RN_WINOGRAD_B, g1, even_b);
    u[5 * step] = g2;
}

/* Products: 6 points to 4 outputs. */
static void output_line(float *y, const float *m, int step)
{
    float m0 = m[0], m5 = m[5 * step];
    float sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
    float sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
    y[0] = rn_fmaf(RN_WINOGRAD_B0, sum_b, rn_fmaf(RN_WINOGRAD_A0, sum_a, m0));
    y[step] = rn_fmaf(RN_WINOGRAD_B1, difference_b, RN_WINOGRAD_A1 * difference_a);
    y[2 * step] = rn_fmaf(RN_WINOGRAD_B2, sum_b, RN_WINOGRAD_A2 * sum_a);
    y[3 * step] = rn_fmaf(RN_WINOGRAD_B3, difference_b, rn_fmaf(RN_WINOGRAD_A3, difference_a, m5));
}

/* Gradient of a tile of outputs: 4 values to 6 points. */
static void gradient_line(float *z, const float *y, int step)
{
    float y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
    float even_a = rn_fmaf(RN_WINOGRAD_AA, y2, y0), odd_a = rn_fmaf(RN_WINOGRAD_AA, y3, y1);
    float even_b = rn_fmaf(RN_WINOGRAD_BB, y2, y0), odd_b = rn_fmaf(RN_WINOGRAD_BB, y3, y1);
    z[0] = y0;
    z[step] = rn_fmaf(RN_WINOGRAD_A, odd_a, even_a);
    z[2 * step] = rn_fmaf(-RN_WINOGRAD_A, odd_a, even_a);
    z[3 * step] = rn_fmaf(RN_WINOGRAD_B, odd_b, even_b);
    z[4 * step] = rn_fmaf(-RN_WINOGRAD_B, odd_b, even_b);
    z[5 * step] = y3;
}

/* Products of a weight gradient: 6 points to 3 taps. */
static void taps_line(float *g, const float *m, int step)
{
    float m0 = m[0], m5 = m[5 * step];
    float sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
    float sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
    g[0] = rn_fmaf(RN_WINOGRAD_B0, sum_b, rn_fmaf(RN_WINOGRAD_A0, sum_a, m0));
    g[step] = rn_fmaf(RN_WINOGRAD_B1, difference_b, RN_WINOGRAD_A1 * difference_a);
    g[2 * step] = rn_fmaf(RN_WINOGRAD_B2, sum_b, rn_fmaf(RN_WINOGRAD_A2, sum_a, m5));
}

/* A square of `in` x `in` values to one of `out` x `out`, both in the upper left corner of x: along the
 * rows for all, then along the columns. */
typedef void line(float *out, const float *in, int step);
static void transform(float x[PATCH * PATCH], line *f, int in, int out)
{
    float t[PATCH * PATCH];
    for (int i = 0; i < in; i++) f(t + i * PATCH, x + i * PATCH, 1);
    for (int j = 0; j < out; j++) f(x + j, t + j, PATCH);
}

/* -- passes ----------------------------------------------------------------------------------- */

static int tiles(int extent) { return extent / TILE + (extent % TILE != 0); }

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

size_t rn_ref_winograd_workspace(const struct rn_conv_shape *s)
{
    size_t C = (size_t)s->C, K = (size_t)s->K, leaf = (size_t)RN_MIN(s->N, LEAF);
    size_t leaves = (size_t)(s->N / LEAF + 1), map = (size_t)tiles(s->H) * (size_t)tiles(s->W);
    size_t dsrc = (size_t)s->N * C * (size_t)s->H * (size_t)s->W;
    size_t sums = dsrc + (C * K + max_size(C, K)) * POINTS;
    return max_size(sums, (C + K) * leaf * map * POINTS + C * K * 9 * leaves);
}

/* Rows i, columns j of map[H][W] from (h, w) on, +0 outside, into a corner of x[PATCH][PATCH]. */
static void cut(float *x, const float *map, int H, int W, int h, int w, int extent)
{
    for (int i = 0; i < extent; i++)
        for (int j = 0; j < extent; j++)
            x[i * PATCH + j] = inside(h + i, H) && inside(w + j, W) ? map[(h + i) * W + w + j] : 0;
}

/* The transformed filter from channel c to channel k of a forward pass; for a data gradient k is the
 * source's channel and the filter is rotated by 180 degrees. */
static void filter(float u[POINTS], const float *weights, const struct rn_conv_shape *s, int from,
                   int to,
                   bool rotated)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            u[i * PATCH + j] = rotated ? weights[at4(from, to, 2 - i, 2 - j, s->C, 3, 3)]
                                       : weights[at4(to, from, i, j, s->C, 3, 3)];
    transform(u, filter_line, 3, PATCH);
}

/* A35, one tile of one output channel: the chain over `from` channels at each point, then the sums. */
static void tile_sums(float *map, const float *v, const float *u, int channels, int H, int W, int h,
                      int w)
{
    float m[POINTS] = { 0 };
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < POINTS; p++) m[p] = rn_fmaf(v[c * POINTS + p], u[c * POINTS + p], m[p]);
    transform(m, output_line, PATCH, TILE);
    for (int i = 0; i < TILE; i++)
        for (int j = 0; j < TILE; j++)
            if (h + i < H && w + j < W) map[(h + i) * W + w + j] = m[i * PATCH + j];
}

/* A35 from src[N][from][H][W] to dst[N][to][H][W]. */
static void convolve(float *dst, const float *src, const float *weights, const struct rn_conv_shape *s,
                     int from, int to, bool rotated, float *u)
{
    size_t map = (size_t)s->H * (size_t)s->W;
    float *v = u + (size_t)from * (size_t)to * POINTS;
    for (int k = 0; k < to; k++)
        for (int c = 0; c < from; c++) filter(u + (k * from + c) * POINTS, weights, s, c, k, rotated);
    for (int n = 0; n < s->N; n++)
        for (int h = 0; h < s->H; h += TILE)
            for (int w = 0; w < s->W; w += TILE) {
                for (int c = 0; c < from; c++) {
                    cut(v + c * POINTS, src + (size_t)(n * from + c) * map, s->H, s->W, h - 1,
                        w - 1, PATCH);
                    transform(v + c * POINTS, input_line, PATCH, PATCH);
                }
                for (int k = 0; k < to; k++)
                    tile_sums(dst + (size_t)(n * to + k) * map, v, u + k * from * POINTS, from,
                              s->H, s->W, h, w);
            }
}

void rn_ref_winograd_forward(float *dst, const float *src, const float *weights,
                             const struct rn_conv_shape *s, float *workspace)
{
    convolve(dst, src, weights, s, s->C, s->K, false, workspace);
}

const float *rn_ref_winograd_data(const float *ddst, const float *weights,
                                  const struct rn_conv_shape *s,
                                  float *workspace)
{
    size_t dsrc = (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
    convolve(workspace, ddst, weights, s, s->K, s->C, true, workspace + dsrc);
    return workspace;
}

/* A36: the transformed patches (extent 6) or gradients of tiles (extent 4) of one channel in images
 * begin ... end-1, in the order of the chain; returns how many. */
static int leaf_points(float *x, const float *src, const struct rn_conv_shape *s, int channels, int c,
                       int begin, int end, int extent)
{
    int count = 0, before = extent == PATCH;
    for (int n = begin; n < end; n++)
        for (int h = 0; h < s->H; h += TILE)
            for (int w = 0; w < s->W; w += TILE, count++) {
                const float *map = src + (size_t)(n * channels + c) * (size_t)s->H * (size_t)s->W;
                cut(x + count * POINTS, map, s->H, s->W, h - before, w - before, extent);
                transform(x + count * POINTS, before ? input_line : gradient_line, extent, PATCH);
            }
    return count;
}

/* A36: one leaf of the nine taps from channel c to channel k, `leaves` apart. */
static void leaf_taps(float *leaf, const float *v, const float *z, int count, int leaves)
{
    float m[POINTS] = { 0 };
    for (int i = 0; i < count; i++)
        for (int p = 0; p < POINTS; p++) m[p] = rn_fmaf(v[i * POINTS + p], z[i * POINTS + p], m[p]);
    transform(m, taps_line, PATCH, 3);
    for (int t = 0; t < 9; t++) leaf[t * leaves] = m[t / 3 * PATCH + t % 3];
}

void rn_ref_winograd_weights(float *dweights, const float *src, const float *ddst,
                             const struct rn_conv_shape *s, float *workspace)
{
    int most = RN_MIN(s->N, LEAF) * tiles(s->H) * tiles(s->W) * POINTS, count = 0;
    int leaves = s->N / LEAF + (s->N % LEAF != 0);
    float *v = workspace, *z = v + (size_t)s->C * (size_t)most, *leaf = z + (size_t)s->K * (size_t)most;
    for (int i = 0; i < leaves; i++) {
        int begin = i * LEAF, end = RN_MIN(begin + LEAF, s->N);
        for (int c = 0; c < s->C; c++)
            count = leaf_points(v + (size_t)c * (size_t)most, src, s, s->C, c, begin, end, PATCH);
        for (int k = 0; k < s->K; k++)
            count = leaf_points(z + (size_t)k * (size_t)most, ddst, s, s->K, k, begin, end, TILE);
        for (int k = 0; k < s->K; k++)
            for (int c = 0; c < s->C; c++)
                leaf_taps(leaf + (size_t)(k * s->C + c) * 9 * (size_t)leaves + i,
                          v + (size_t)c * (size_t)most,
                          z + (size_t)k * (size_t)most, count, leaves);
    }
    for (size_t i = 0; i < (size_t)s->K * (size_t)s->C * 9; i++)
        dweights[i] = rn_store(rn_ref_tree_float(leaf + i * (size_t)leaves, leaves));
}
