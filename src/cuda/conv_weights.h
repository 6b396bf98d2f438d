/*
 * conv_weights.h - the weight gradient (A15) as a product of tiles: the kernel.
 *
 * dW[(kh, kw, ic)][k] is a sum over positions of x dy.  The batch is cut into chunks of a power of two of leaves, and
 * a task is a tile of dW for a chunk: leaf after leaf it runs the chain over the positions, and the leaf's sum
 * joins the tree of A11, a binary counter whose waiting nodes lie in global memory, each where the thread that owns
 * it put it.  A chunk's sum is a node of the tree, too; chunks are joined at the end (conv_weights.cu).  As many
 * blocks are started as fit the machine, and each does task after task, so that the waiting nodes are few enough
 * for the second-level cache.
 *
 * Both x and dy have their channels innermost, which is how the product wants them: nothing is turned round.
 */
#ifndef RN_CUDA_CONV_WEIGHTS_H
#define RN_CUDA_CONV_WEIGHTS_H

#include "cuda/conv_tile.h"

/* A weight gradient and how it is cut. */
struct rn_cuda_dw {
    struct rn_conv_shape s;
    int run, rows, cols;              /* of a group: channels of x, R S run, channels of dy */
    int images, leaves;               /* of a leaf; leaves */
    int chunk, chunks, levels;        /* leaves of a chunk; waiting nodes of one, at most */
    int row_tiles, col_tiles, tasks;
};

/* A task: a tile of dW of a group, leaves first ... end-1. */
struct rn_cuda_task { int chunk, group, row, col, first, end; };

template <class T>
static __device__ inline struct rn_cuda_task rn_cuda_task_of(const struct rn_cuda_dw &d, int index)
{
    struct rn_cuda_task t = {};
    t.col = index % d.col_tiles * T::cols;
    index /= d.col_tiles;
    t.row = index % d.row_tiles * T::rows;
    index /= d.row_tiles;
    t.group = index % d.s.groups;
    t.chunk = index / d.s.groups;
    t.first = t.chunk * d.chunk;
    t.end = t.first + d.chunk < d.leaves ? t.first + d.chunk : d.leaves;
    return t;
}

/* Positions of a leaf; its first image is leaf * d.images. */
static __device__ inline int rn_cuda_leaf_positions(const struct rn_cuda_dw &d, int leaf)
{
    const int left = d.s.N - leaf * d.images;
    return (left < d.images ? left : d.images) * d.s.P * d.s.Q;
}

/* A thread's share of x: V neighbouring rows of dW at `each` neighbouring positions of a slice. */
template <class T, int V> struct rn_cuda_x {
    static constexpr int lanes = T::rows / V, each = T::depth * lanes / T::threads;
    int channel;     /* the first of its rows, of all of a pixel of x */
    int down, right; /* the pixel that its tap sees at the first position of an image */
    int h, w;        /* at the next position */
    const float *image;
    float value[each][V];

    static __device__ inline int first() { return static_cast<int>(threadIdx.x) / lanes * each; }

    static __device__ inline int64_t size(const struct rn_cuda_dw &d)
    {
        return static_cast<int64_t>(d.s.H) * d.s.W * d.s.C;
    }

    __device__ inline void begin(const struct rn_cuda_dw &d, const struct rn_cuda_task &t)
    {
        const int row = t.row + static_cast<int>(threadIdx.x) % lanes * V, tap = row / d.run;
        channel = t.group * d.run + row % d.run;
        down = row < d.rows ? tap / d.s.S - d.s.pad : RN_CUDA_OUTSIDE;
        right = tap % d.s.S - d.s.pad;
    }

    __device__ inline void begin_leaf(const struct rn_cuda_dw &d, const float *src, int leaf)
    {
        h = down;
        w = right;
        image = src + static_cast<int64_t>(leaf) * d.images * size(d) + channel;
        step(d, first());
    }

    /* `positions` further; what is beyond a row of the map is on a later one, or in a later image. */
    __device__ inline void step(const struct rn_cuda_dw &d, int positions)
    {
        w += positions * d.s.stride;
        while (w >= right + d.s.Q * d.s.stride) {
            w -= d.s.Q * d.s.stride;
            h += d.s.stride;
            if (h == down + d.s.P * d.s.stride) h = down, image += size(d);
        }
    }

    /* The next slice, of which `left` positions are of this leaf. */
    __device__ inline void load(const struct rn_cuda_dw &d, int left)
    {
        RN_UNROLL
        for (int l = 0; l < each; l++) {
            const bool inside = first() + l < left && static_cast<unsigned>(h) < static_cast<unsigned>(d.s.H) &&
                                static_cast<unsigned>(w) < static_cast<unsigned>(d.s.W);
            rn_cuda_load<V>(value[l], image + (h * d.s.W + w) * d.s.C, inside);
            step(d, l < each - 1 ? 1 : T::depth - each + 1);
        }
    }

    __device__ inline void store(float *tile) const
    {
        RN_UNROLL
        for (int l = 0; l < each; l++)
            rn_cuda_save<V>(tile + (first() + l) * T::lda + static_cast<int>(threadIdx.x) % lanes * V, value[l]);
    }
};

/* A thread's share of dy: V neighbouring columns of dW; the positions of a leaf lie one after the other. */
template <class T, int V> struct rn_cuda_dy {
    static constexpr int lanes = T::cols / V, apart = T::threads / lanes, each = T::depth / apart;
    int column;        /* floats from the first position of a leaf to what it begins with; -1 outside dW */
    const float *from; /* at the next position */
    float value[each][V];

    __device__ inline void begin(const struct rn_cuda_dw &d, const struct rn_cuda_task &t)
    {
        const int thread = static_cast<int>(threadIdx.x), col = t.col + thread % lanes * V;
        column = col < d.cols ? t.group * d.cols + col + thread / lanes * d.s.K : -1;
    }

    __device__ inline void begin_leaf(const struct rn_cuda_dw &d, const float *ddst, int leaf)
    {
        from = ddst + static_cast<int64_t>(leaf) * d.images * d.s.P * d.s.Q * d.s.K + column;
    }

    __device__ inline void load(const struct rn_cuda_dw &d, int left)
    {
        RN_UNROLL
        for (int l = 0; l < each; l++)
            rn_cuda_load<V>(value[l], from + static_cast<int64_t>(l * apart) * d.s.K,
                            column >= 0 && static_cast<int>(threadIdx.x) / lanes + l * apart < left);
        from += static_cast<int64_t>(T::depth) * d.s.K;
    }

    __device__ inline void store(float *tile) const
    {
        const int thread = static_cast<int>(threadIdx.x);
        RN_UNROLL
        for (int l = 0; l < each; l++)
            rn_cuda_save<V>(tile + (thread / lanes + l * apart) * T::ldb + thread % lanes * V, value[l]);
    }
};

/* sum = node + sum (A11), or node = sum.  Number i of all threads lies together, so a warp moves whole lines. */
template <class T>
static __device__ inline void rn_cuda_join(float (&sum)[T::TM][T::TN], const float *node)
{
    RN_UNROLL
    for (int i = 0; i < T::TM * T::TN; i++)
        sum[i / T::TN][i % T::TN] = node[i * T::threads + static_cast<int>(threadIdx.x)] + sum[i / T::TN][i % T::TN];
}

template <class T>
static __device__ inline void rn_cuda_keep(float *node, const float (&sum)[T::TM][T::TN])
{
    RN_UNROLL
    for (int i = 0; i < T::TM * T::TN; i++)
        node[i * T::threads + static_cast<int>(threadIdx.x)] = sum[i / T::TN][i % T::TN];
}

/* Leaf number i of `count` is done: it joins the nodes that wait for it, and waits itself, or, being the last, takes
 * in all that wait, from the newest to the oldest. */
template <class T>
static __device__ inline void rn_cuda_leaf_done(float (&sum)[T::TM][T::TN], float *nodes, int i, int count)
{
    constexpr int size = T::rows * T::cols;
    int level = 0;
    for (; i >> level & 1; level++) rn_cuda_join<T>(sum, nodes + level * size);
    if (i + 1 < count) {
        rn_cuda_keep<T>(nodes + level * size, sum);
        RN_UNROLL
        for (int j = 0; j < T::TM * T::TN; j++) sum[j / T::TN][j % T::TN] = 0;
    } else {
        for (level++; count >> level; level++)
            if (count >> level & 1) rn_cuda_join<T>(sum, nodes + level * size);
    }
}

/* The tile of a chunk to results[chunk][group][row][col]. */
template <class T>
static __device__ inline void rn_cuda_save_tile(float *results, const struct rn_cuda_dw &d,
                                                const struct rn_cuda_task &t, const float (&sum)[T::TM][T::TN])
{
    const struct rn_cuda_place place = rn_cuda_place_of<T>(static_cast<int>(threadIdx.x));
    RN_UNROLL
    for (int i = 0; i < T::TM; i++) {
        const int row = t.row + place.row + rn_cuda_nth<T::row_vector, T::row_jump>(i);
        if (row >= d.rows) continue;
        float *to = results + (static_cast<int64_t>(t.chunk * d.s.groups + t.group) * d.rows + row) * d.cols;
        RN_UNROLL
        for (int j = 0; j < T::TN; j++) {
            const int col = t.col + place.col + rn_cuda_nth<T::col_vector, T::col_jump>(j);
            if (col < d.cols) to[col] = sum[i][j];
        }
    }
}

/* The slices of a task, leaf after leaf, as they are fetched. */
struct rn_cuda_slices { int leaf, left; }; /* the next leaf; positions of the one before that are not fetched yet */

/* Fetches the next slice, or zeros after the last; the leaf that it ends, or -1. */
template <class X, class DY>
static __device__ inline int rn_cuda_fetch_slice(X &x, DY &dy, struct rn_cuda_slices &s, const float *src,
                                                 const float *ddst, const struct rn_cuda_dw &d, int end, int depth)
{
    if (s.left <= 0 && s.leaf < end) {
        x.begin_leaf(d, src, s.leaf);
        dy.begin_leaf(d, ddst, s.leaf);
        s.left = rn_cuda_leaf_positions(d, s.leaf++);
    }
    x.load(d, s.left);
    dy.load(d, s.left);
    s.left -= depth;
    return s.left <= 0 ? s.leaf - 1 : -1;
}

/* V and U: 4 where the channels of a group are vectors of 4 in x and in dy, else 1, which takes more registers. */
template <class T, int V, int U>
static __global__ void __launch_bounds__(T::threads, T::blocks - (V + U == 2))
rn_cuda_conv_weights(float *results, float *nodes, const float *src, const float *ddst, struct rn_cuda_dw d)
{
    RN_SHARED(float4, a, [2][T::depth * T::lda / 4]);
    RN_SHARED(float4, b, [2][T::depth * T::ldb / 4]);
    RN_SHARED(struct rn_cuda_task, task, [1]);
    const struct rn_cuda_place place = rn_cuda_place_of<T>(static_cast<int>(threadIdx.x));
    nodes += static_cast<int64_t>(blockIdx.x) * d.levels * (T::rows * T::cols);
    for (int index = static_cast<int>(blockIdx.x); index < d.tasks; index += static_cast<int>(gridDim.x)) {
        if (!threadIdx.x) *task = rn_cuda_task_of<T>(d, index);
        __syncthreads();
        float sum[T::TM][T::TN] = {};
        rn_cuda_x<T, V> x;
        rn_cuda_dy<T, U> dy;
        x.begin(d, *task);
        dy.begin(d, *task);
        struct rn_cuda_slices slices = { task->first, 0 };
        int ends = rn_cuda_fetch_slice(x, dy, slices, src, ddst, d, task->end, T::depth), now = 0, last;
        x.store(&a[0][0].x), dy.store(&b[0][0].x);
        __syncthreads();
        do {
            last = ends;
            ends = rn_cuda_fetch_slice(x, dy, slices, src, ddst, d, task->end, T::depth);
            rn_cuda_multiply<T>(sum, &a[now][0].x + place.row, &b[now][0].x + place.col);
            if (last >= 0) rn_cuda_leaf_done<T>(sum, nodes, last - task->first, task->end - task->first);
            now ^= 1;
            x.store(&a[now][0].x), dy.store(&b[now][0].x);
            __syncthreads();
        } while (last != task->end - 1);
        rn_cuda_save_tile<T>(results, d, *task, sum);
        __syncthreads();
    }
}

#endif /* RN_CUDA_CONV_WEIGHTS_H */
