/*
 * conv_rows.h - the forward pass and the data gradient (A13, A14) as products of tiles: the kernel.
 *
 * Eight or sixteen terms of the chain at a time, a block fetches their weights (dense rows) and, for each of its
 * pixels, the channels of the source pixel that the term's tap sees, or +0 outside the image (A6).  Neighbouring
 * threads take neighbouring channels, so every 32 bytes that are moved are used.  A takes them across: its rows
 * are channels, so that the product reads pixels as vectors.
 */
#ifndef RN_CUDA_CONV_ROWS_H
#define RN_CUDA_CONV_ROWS_H

#include "cuda/conv_tile.h"

/* What a kernel is told besides the pass; wide: destination, addend and rows of columns hold vectors of 4. */
struct rn_cuda_rows { struct rn_cuda_finish finish; int row_tiles, col_tiles; bool wide; };

/* A block's part of the pass: a group, a class, `left` rows from `row` on, which is row `at` of image n, and columns
 * from `col` on. */
struct rn_cuda_part {
    int group, col;
    struct rn_cuda_axis h, w;
    int64_t row, n;
    int at, left;
};

/* A row of the product: its image and its place on the axes of the class; i < 0 past the last. */
struct rn_cuda_row { int64_t n; int i, j; };

/* Part `index` of tiles of rows x cols: columns fastest, for neighbouring blocks then share the source. */
static __device__ inline struct rn_cuda_part rn_cuda_part_of(const struct rn_cuda_pass &p, const struct rn_cuda_rows &r,
                                                             int index, int rows, int cols)
{
    struct rn_cuda_part part = {};
    part.col = index % r.col_tiles * cols;
    index /= r.col_tiles;
    part.row = static_cast<int64_t>(index % r.row_tiles) * rows;
    index /= r.row_tiles;
    part.w = rn_cuda_axis_of(p, index % p.classes, p.S, p.to.W);
    index /= p.classes;
    part.h = rn_cuda_axis_of(p, index % p.classes, p.R, p.to.H);
    part.group = index / p.classes;
    const int64_t each = static_cast<int64_t>(part.h.count) * part.w.count, left = each * p.N - part.row;
    part.left = static_cast<int>(left < rows ? left : rows);
    part.n = each ? part.row / each : 0;
    part.at = static_cast<int>(part.row - part.n * each);
    return part;
}

/* Row `offset` of the part. */
static __device__ inline struct rn_cuda_row rn_cuda_find_row(const struct rn_cuda_part &part, int offset)
{
    if (offset >= part.left) return { 0, -1, -1 };
    const int each = part.h.count * part.w.count, at = part.at + offset, n = at / each, place = at - n * each;
    return { part.n + n, place / part.w.count, place % part.w.count };
}

/* Where a thread stands in the chain: a channel of a tap, which is so many pixels down and right of tap 0 and
 * `shift` floats from its first channel. */
struct rn_cuda_cursor {
    int channel, down, right, shift;

    __device__ inline void begin(const struct rn_cuda_pass &p, const struct rn_cuda_part &part, int term)
    {
        channel = shift = right = 0;
        down = part.h.taps && part.w.taps ? 0 : RN_CUDA_OUTSIDE;
        if (down) channel = INT32_MIN;
        step(p, part, term);
    }

    /* `terms` further; a channel beyond the run of a tap is one of a later tap. */
    __device__ inline void step(const struct rn_cuda_pass &p, const struct rn_cuda_part &part, int terms)
    {
        const int sign = p.backward ? -1 : 1;
        channel += terms;
        shift += terms;
        while (channel >= p.run) {
            channel -= p.run;
            right += sign;
            if (right == sign * part.w.taps) right = 0, down += sign;
            shift = (down * p.from.W + right) * p.from.C + channel;
            if (down == sign * part.h.taps) channel = INT32_MIN, down = RN_CUDA_OUTSIDE;
        }
    }
};

/* A row of the product as the loads want it: the pixel of tap 0 and where it lies. */
struct rn_cuda_pixel {
    int h, w;
    const float *at;

    __device__ inline void begin(const struct rn_cuda_pass &p, const struct rn_cuda_part &part, const float *src,
                                 int offset)
    {
        const int64_t width = static_cast<int64_t>(p.from.W) * p.from.C;
        const struct rn_cuda_row row = rn_cuda_find_row(part, offset);
        h = row.i < 0 ? RN_CUDA_OUTSIDE : row.i * p.step + part.h.base;
        w = row.j * p.step + part.w.base;
        at = src + (row.n * p.from.H + h) * width + static_cast<int64_t>(w) * p.from.C + part.group * p.run;
    }

    __device__ inline bool inside(const struct rn_cuda_pass &p, const struct rn_cuda_cursor &c) const
    {
        return static_cast<unsigned>(h + c.down) < static_cast<unsigned>(p.from.H) &&
               static_cast<unsigned>(w + c.right) < static_cast<unsigned>(p.from.W);
    }
};

/* A thread's share of A where a tap has vectors of four channels: one vector of `each` rows. */
template <class T> struct rn_cuda_vectors {
    static constexpr int lanes = T::depth / 4, apart = T::threads / lanes, each = T::rows / apart;
    struct rn_cuda_cursor cursor;
    struct rn_cuda_pixel pixel[each];
    float value[each][4];

    __device__ inline void begin(const struct rn_cuda_pass &p, const struct rn_cuda_part &part, const float *src)
    {
        const int thread = static_cast<int>(threadIdx.x);
        cursor.begin(p, part, thread % lanes * 4);
        RN_UNROLL
        for (int l = 0; l < each; l++) pixel[l].begin(p, part, src, thread / lanes + l * apart);
    }

    /* The next slice from memory; zeros after the last. */
    __device__ inline void load(const struct rn_cuda_pass &p, const struct rn_cuda_part &part)
    {
        RN_UNROLL
        for (int l = 0; l < each; l++)
            rn_cuda_load<4>(value[l], pixel[l].at + cursor.shift, pixel[l].inside(p, cursor));
        cursor.step(p, part, T::depth);
    }

    __device__ inline void store(float *tile) const
    {
        const int thread = static_cast<int>(threadIdx.x);
        RN_UNROLL
        for (int l = 0; l < each; l++) {
            RN_UNROLL
            for (int v = 0; v < 4; v++)
                tile[(thread % lanes * 4 + v) * T::lda + thread / lanes + l * apart] = value[l][v];
        }
    }
};

/* The same for any number of channels: `each` neighbouring terms of one row. */
template <class T> struct rn_cuda_scalars {
    static constexpr int each = T::rows * T::depth / T::threads;
    struct rn_cuda_cursor cursor;
    struct rn_cuda_pixel pixel;
    float value[each];

    __device__ inline void begin(const struct rn_cuda_pass &p, const struct rn_cuda_part &part, const float *src)
    {
        const int thread = static_cast<int>(threadIdx.x);
        cursor.begin(p, part, thread / T::rows * each);
        pixel.begin(p, part, src, thread % T::rows);
    }

    __device__ inline void load(const struct rn_cuda_pass &p, const struct rn_cuda_part &part)
    {
        RN_UNROLL
        for (int l = 0; l < each; l++) {
            value[l] = pixel.inside(p, cursor) ? pixel.at[cursor.shift] : 0.0f;
            cursor.step(p, part, 1);
        }
        cursor.step(p, part, T::depth - each);
    }

    __device__ inline void store(float *tile) const
    {
        const int thread = static_cast<int>(threadIdx.x);
        RN_UNROLL
        for (int l = 0; l < each; l++) tile[(thread / T::rows * each + l) * T::lda + thread % T::rows] = value[l];
    }
};

/* A thread's share of B: 4 columns of `each` rows of weights. */
template <class T> struct rn_cuda_weights {
    static constexpr int lanes = T::cols / 4, apart = T::threads / lanes, each = T::depth / apart;
    const float *from;
    int left; /* rows of weights from this thread's first one on; none if its columns lie outside */
    float value[each][4];

    __device__ inline void begin(const struct rn_cuda_pass &p, const struct rn_cuda_part &part, const float *packed)
    {
        const int thread = static_cast<int>(threadIdx.x), first = thread / lanes, col = part.col + thread % lanes * 4;
        const int taps = part.h.before * p.S + part.h.taps * part.w.before;
        from = packed + part.group * p.group + (static_cast<size_t>(taps) * p.run + first) * p.ld + col;
        left = col < p.ld ? part.h.taps * part.w.taps * p.run - first : 0;
    }

    __device__ inline void load(const struct rn_cuda_pass &p)
    {
        RN_UNROLL
        for (int l = 0; l < each; l++)
            rn_cuda_load<4>(value[l], from + static_cast<size_t>(l * apart) * p.ld, l * apart < left);
        from += static_cast<size_t>(T::depth) * p.ld;
        left -= T::depth;
    }

    __device__ inline void store(float *tile) const
    {
        const int thread = static_cast<int>(threadIdx.x);
        RN_UNROLL
        for (int l = 0; l < each; l++)
            rn_cuda_save<4>(tile + (thread / lanes + l * apart) * T::ldb + thread % lanes * 4, value[l]);
    }
};

/* A group of V columns from `col` on, the last of them perhaps outside: what they need to be finished. */
template <int V> struct rn_cuda_columns {
    int first, count; /* of all channels of the destination; inside */
    float bias[V], scale[V], shift[V];
};

template <int V>
static __device__ inline struct rn_cuda_columns<V> rn_cuda_columns_of(const struct rn_cuda_pass &p,
                                                                      const struct rn_cuda_finish &f, int group,
                                                                      int col)
{
    struct rn_cuda_columns<V> c = {};
    c.first = group * p.cols + col;
    c.count = p.cols - col < V ? p.cols - col : V;
    RN_UNROLL
    for (int j = 0; j < V; j++) {
        if (j >= c.count) continue;
        if (f.bias) c.bias[j] = f.bias[c.first + j];
        if (f.scale) c.scale[j] = f.scale[c.first + j], c.shift[j] = f.shift[c.first + j];
    }
    return c;
}

/* The pixel of the destination that a row is; -1 past the last row. */
static __device__ inline int64_t rn_cuda_pixel_of(const struct rn_cuda_pass &p, const struct rn_cuda_part &part,
                                                  int offset)
{
    if (p.classes == 1)
        return offset < part.left ? part.row + offset : -1;
    const struct rn_cuda_row row = rn_cuda_find_row(part, offset);
    const int64_t y = row.n * p.to.H + part.h.first + row.i * p.classes;
    return row.i < 0 ? -1 : y * p.to.W + part.w.first + row.j * p.classes;
}

/* Finishes V sums of one pixel; `at` is the place of the first. */
template <int V>
static __device__ inline void rn_cuda_finish_columns(float *dst, size_t at, const float *sum,
                                                     const struct rn_cuda_columns<V> &c,
                                                     const struct rn_cuda_rows &r)
{
    const struct rn_cuda_finish &f = r.finish;
    float y[V];
    if constexpr (V == 4) {
        if (r.wide) {
            rn_cuda_load<4>(y, f.add + at, f.add != nullptr);
            RN_UNROLL
            for (int j = 0; j < 4; j++) y[j] = rn_cuda_finished(f, sum[j], c.bias[j], c.scale[j], c.shift[j], y[j]);
            rn_cuda_save<4>(dst + at, y);
            return;
        }
    }
    RN_UNROLL
    for (int j = 0; j < V; j++) {
        if (j >= c.count) continue;
        float addend = f.add ? f.add[at + static_cast<size_t>(j)] : 0.0f;
        dst[at + static_cast<size_t>(j)] = rn_cuda_finished(f, sum[j], c.bias[j], c.scale[j], c.shift[j], addend);
    }
}

template <class T>
static __device__ inline void rn_cuda_finish_tile(const struct rn_cuda_pass &p, const struct rn_cuda_part &part,
                                                  float *dst, const float (&sum)[T::TM][T::TN],
                                                  const struct rn_cuda_rows &r)
{
    const struct rn_cuda_place place = rn_cuda_place_of<T>(static_cast<int>(threadIdx.x));
    RN_UNROLL
    for (int j = 0; j < T::TN; j += T::col_vector) {
        const int col = part.col + place.col + j / T::col_vector * T::col_jump;
        if (col >= p.cols) continue;
        const auto columns = rn_cuda_columns_of<T::col_vector>(p, r.finish, part.group, col);
        RN_UNROLL
        for (int i = 0; i < T::TM; i++) {
            const int offset = place.row + rn_cuda_nth<T::row_vector, T::row_jump>(i);
            const int64_t pixel = rn_cuda_pixel_of(p, part, offset);
            if (pixel < 0) continue;
            const size_t at = static_cast<size_t>(pixel) * static_cast<size_t>(p.to.C) + columns.first;
            rn_cuda_finish_columns<T::col_vector>(dst, at, &sum[i][j], columns, r);
        }
    }
}

/* Source: rn_cuda_vectors or rn_cuda_scalars.  The part lies in the memory of the block: in registers it would live
 * through a loop that needs them all. */
template <class T, template <class> class Source>
static __global__ void __launch_bounds__(T::threads, T::blocks)
rn_cuda_conv_rows(float *dst, const float *src, const float *packed, struct rn_cuda_pass p, struct rn_cuda_rows r)
{
    RN_SHARED(float4, a, [2][T::depth * T::lda / 4]);
    RN_SHARED(float4, b, [2][T::depth * T::ldb / 4]);
    RN_SHARED(struct rn_cuda_part, part, [1]);
    if (!threadIdx.x) *part = rn_cuda_part_of(p, r, static_cast<int>(blockIdx.x), T::rows, T::cols);
    __syncthreads();
    if (part->left <= 0) return;
    const struct rn_cuda_place place = rn_cuda_place_of<T>(static_cast<int>(threadIdx.x));
    const int slices = (part->h.taps * part->w.taps * p.run + T::depth - 1) / T::depth;
    float sum[T::TM][T::TN] = {};
    Source<T> source;
    rn_cuda_weights<T> weights;
    source.begin(p, *part, src);
    weights.begin(p, *part, packed);
    source.load(p, *part), weights.load(p);
    source.store(&a[0][0].x), weights.store(&b[0][0].x);
    __syncthreads();
    for (int slice = 0, now = 0; slice < slices; slice++, now ^= 1) {
        source.load(p, *part), weights.load(p);
        rn_cuda_multiply<T>(sum, &a[now][0].x + place.row, &b[now][0].x + place.col);
        source.store(&a[now ^ 1][0].x), weights.store(&b[now ^ 1][0].x);
        __syncthreads();
    }
    rn_cuda_finish_tile<T>(p, *part, dst, sum, r);
}

#endif /* RN_CUDA_CONV_ROWS_H */
