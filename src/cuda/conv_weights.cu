/*
 * conv_weights.cu - weight and bias gradients (A15): how the work is cut, the sum over the chunks, groups of few
 * channels, and the slot.
 */
#include "cuda/conv_weights.h"

#define NARROW 16
#define MOST_LEAVES 64              /* of a chunk, where the results allow it */
#define MOST_CHUNKS (2 * RN_CUDA_NOMINAL)
#define MOST_RESULTS (48 << 20)     /* floats of all chunks together */

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* -- plan ------------------------------------------------------------------------------------------- */

/* A tile, the blocks of it that fit the nominal machine, and its time of a term as in conv.cu. */
struct choice {
    int rows, cols, blocks, busy;
    void (*run)(void *dev, float *results, float *nodes, const float *src, const float *ddst,
                const struct rn_cuda_dw *d, unsigned blocks);
};

template <class T>
static void run(void *dev, float *results, float *nodes, const float *src, const float *ddst,
                const struct rn_cuda_dw *d, unsigned blocks)
{
    const bool x = d->run % 4 == 0 && rn_cuda_aligned(src), dy = d->cols % 4 == 0 && rn_cuda_aligned(ddst);
    auto *kernel = !dy ? rn_cuda_conv_weights<T, 1, 1>
                   : x ? rn_cuda_conv_weights<T, 4, 4> : rn_cuda_conv_weights<T, 1, 4>;
    rn_launch(dev, kernel, blocks, T::threads, results, nodes, src, ddst, *d);
}

template <class T> static constexpr struct choice choice_of(int busy)
{
    return { T::rows, T::cols, RN_CUDA_NOMINAL * T::blocks, busy, run<T> };
}

static const struct choice choices[] = {
    choice_of<rn_cuda_tile_128x128>(142), choice_of<rn_cuda_tile_128x64>(75),
    choice_of<rn_cuda_tile_64x64>(42), choice_of<rn_cuda_tile_32x32>(16),
};

static int64_t tiles(const struct rn_cuda_dw *d, const struct choice *c)
{
    return ceil_div(d->rows, c->rows) * ceil_div(d->cols, c->cols) * d->s.groups;
}

/* The tile that wastes the least of its time on what lies outside dW; N has no say, so that a smaller one needs no
 * larger workspace. */
static const struct choice *choose(const struct rn_cuda_dw *d)
{
    const struct choice *best = &choices[0];
    for (const struct choice &c : choices)
        if (tiles(d, &c) * c.busy < tiles(d, best) * best->busy) best = &c;
    return best;
}

static size_t dw_floats(const struct rn_cuda_dw *d)
{
    return static_cast<size_t>(d->s.groups) * static_cast<size_t>(d->rows) * static_cast<size_t>(d->cols);
}

static int most_chunks(const struct rn_cuda_dw *d)
{
    size_t fit = MOST_RESULTS / dw_floats(d);
    return fit > MOST_CHUNKS ? MOST_CHUNKS : fit ? static_cast<int>(fit) : 1;
}

static int levels_of(int leaves)
{
    int levels = 0;
    while (1 << levels < leaves) levels++;
    return levels;
}

/* Waiting nodes of a chunk at most: grows with the leaves. */
static int most_levels(const struct rn_cuda_dw *d)
{
    const int wanted = levels_of(static_cast<int>(ceil_div(d->leaves, most_chunks(d))));
    const int free = levels_of(d->leaves < MOST_LEAVES ? d->leaves : MOST_LEAVES);
    return wanted > free ? wanted : free;
}

/* The chunk with which the blocks of the machine end at about the same time; of nearly equal ones the longest, which
 * needs the least room. */
static void cut(struct rn_cuda_dw *d, const struct choice *c)
{
    int64_t best = INT64_MAX;
    for (int level = most_levels(d); level >= 0; level--) {
        const int64_t chunks = ceil_div(d->leaves, int64_t{ 1 } << level);
        if (chunks > most_chunks(d)) break;
        const int64_t rounds = ceil_div(chunks * tiles(d, c), c->blocks), time = (rounds << level) * 100;
        if (time >= best - best / 32) continue;
        best = time;
        d->levels = level;
        d->chunks = static_cast<int>(chunks);
    }
    d->chunk = 1 << d->levels;
    d->row_tiles = static_cast<int>(ceil_div(d->rows, c->rows));
    d->col_tiles = static_cast<int>(ceil_div(d->cols, c->cols));
    d->tasks = static_cast<int>(d->chunks * tiles(d, c));
}

static struct rn_cuda_dw plan(const struct rn_conv_shape *s)
{
    struct rn_cuda_dw d = {};
    d.s = *s;
    d.run = s->C / s->groups;
    d.rows = s->R * s->S * d.run;
    d.cols = s->K / s->groups;
    d.images = rn_cuda_group_images(s->P * s->Q);
    d.leaves = rn_cuda_group_count(s->N, s->P * s->Q);
    cut(&d, choose(&d));
    return d;
}

static bool narrow(const struct rn_cuda_dw *d) { return d->s.groups > 1 && d->cols < NARROW; }

static size_t result_floats(const struct rn_cuda_dw *d)
{
    const int chunks = d->leaves < most_chunks(d) ? d->leaves : most_chunks(d);
    return (static_cast<size_t>(chunks) * dw_floats(d) + 3) / 4 * 4;
}

/* Bounds that grow with N, of what any plan of so many leaves needs. */
size_t rn_cuda_conv_weights_workspace(const struct rn_conv_shape *s)
{
    const struct rn_cuda_dw d = plan(s);
    const struct choice *c = choose(&d);
    const int64_t most = tiles(&d, c) * (d.leaves < most_chunks(&d) ? d.leaves : most_chunks(&d));
    const size_t blocks = static_cast<size_t>(most < c->blocks ? most : c->blocks);
    const size_t nodes = blocks * static_cast<size_t>(most_levels(&d) * c->rows * c->cols);
    const size_t bias = static_cast<size_t>(d.leaves) * static_cast<size_t>(s->K);
    const size_t weights = result_floats(&d) + (narrow(&d) ? 0 : nodes);
    return (weights > bias ? weights : bias) * sizeof(float);
}

/* -- kernels ---------------------------------------------------------------------------------------- */

/* A narrow group: an element of dW for a chunk; neighbouring threads have neighbouring columns. */
static __global__ void __launch_bounds__(128)
narrow_chunk(float *results, const float *src, const float *ddst, struct rn_cuda_dw d)
{
    const struct rn_conv_shape &s = d.s;
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= static_cast<int64_t>(d.rows) * s.K) return;
    const int k = static_cast<int>(i % s.K), row = static_cast<int>(i / s.K), group = k / d.cols, tap = row / d.run;
    const int chunk = static_cast<int>(blockIdx.y), first = chunk * d.chunk;
    const int down = tap / s.S - s.pad, right = tap % s.S - s.pad;
    const float *const x = src + group * d.run + row % d.run;
    auto leaf = [&](int index) {
        float sum = 0;
        int64_t n = static_cast<int64_t>(first + index) * d.images;
        for (int image = 0; image < d.images && n < s.N; image++, n++)
            for (int p = 0; p < s.P; p++)
                for (int q = 0; q < s.Q; q++) {
                    const int h = p * s.stride + down, w = q * s.stride + right;
                    if (h < 0 || h >= s.H || w < 0 || w >= s.W) continue;
                    sum = __fmaf_rn(x[((n * s.H + h) * s.W + w) * s.C], ddst[((n * s.P + p) * s.Q + q) * s.K + k], sum);
                }
        return sum;
    };
    const int count = d.leaves - first < d.chunk ? d.leaves - first : d.chunk;
    results[(static_cast<int64_t>(chunk * s.groups + group) * d.rows + row) * d.cols + k % d.cols] =
        rn_cuda_tree<float>(count, leaf);
}

/* The tree over v[0], v[stride] ... of `count` values, as one thread reads them: eight are on their way at once, and
 * their sum is a node. */
static __device__ float join(const float *v, int64_t stride, int count)
{
    return rn_cuda_tree<float>((count + 7) / 8, [&](int eight) {
        const float *at = v + eight * 8 * stride;
        const int left = count - eight * 8;
        float x[8];
        RN_UNROLL
        for (int i = 0; i < 8; i++) x[i] = i < left ? at[i * stride] : 0;
        RN_UNROLL
        for (int width = 1; width < 8; width *= 2) {
            RN_UNROLL
            for (int i = 0; i + width < 8; i += 2 * width)
                if (i + width < left) x[i] = x[i] + x[i + width];
        }
        return x[0];
    });
}

/* dW = F(tree over the chunks), into OIHW. */
static __global__ void __launch_bounds__(128)
join_chunks(float *dweights, const float *results, struct rn_cuda_dw d)
{
    const int64_t count = static_cast<int64_t>(d.s.groups) * d.rows * d.cols;
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const int col = static_cast<int>(i % d.cols), row = static_cast<int>(i / d.cols % d.rows);
    const int64_t k = i / d.cols / d.rows * d.cols + col;
    dweights[(k * d.run + row % d.run) * (d.s.R * d.s.S) + row / d.run] =
        rn_cuda_store(join(results + i, count, d.chunks));
}

/* Leaves of the bias gradient: leaves[leaf][k], the chain of acc + dy over its positions. */
static __global__ void __launch_bounds__(128)
bias_leaves(float *leaves, const float *ddst, struct rn_cuda_dw d)
{
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= static_cast<int64_t>(d.leaves) * d.s.K) return;
    const int leaf = static_cast<int>(i / d.s.K), count = rn_cuda_leaf_positions(d, leaf);
    const float *dy = ddst + static_cast<int64_t>(leaf) * d.images * d.s.P * d.s.Q * d.s.K + i % d.s.K;
    float sum = 0;
    for (int at = 0; at < count; at++, dy += d.s.K) sum = sum + *dy;
    leaves[i] = sum;
}

static __global__ void __launch_bounds__(128)
join_bias(float *dbias, const float *leaves, struct rn_cuda_dw d)
{
    const int64_t k = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (k >= d.s.K) return;
    dbias[k] = rn_cuda_store(join(leaves + k, d.s.K, d.leaves));
}

/* -- slot ------------------------------------------------------------------------------------------- */

void rn_cuda_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src, const void *ddst,
                                     const struct rn_conv_shape *s, void *workspace)
{
    const struct rn_cuda_dw d = plan(s);
    const struct choice *c = choose(&d);
    const float *x = static_cast<const float *>(src), *dy = static_cast<const float *>(ddst);
    float *results = static_cast<float *>(workspace);
    if (narrow(&d)) {
        const unsigned threads = rn_cuda_blocks(static_cast<size_t>(d.rows) * static_cast<size_t>(s->K), 128);
        rn_launch(dev, narrow_chunk, dim3(threads, static_cast<unsigned>(d.chunks)), 128, results, x, dy, d);
    } else {
        const unsigned blocks = static_cast<unsigned>(d.tasks < c->blocks ? d.tasks : c->blocks);
        c->run(dev, results, results + result_floats(&d), x, dy, &d, blocks);
    }
    rn_launch(dev, join_chunks, rn_cuda_blocks(dw_floats(&d), 128), 128, dweights, results, d);
    if (!dbias) return;
    const size_t leaves = static_cast<size_t>(d.leaves) * static_cast<size_t>(s->K);
    rn_launch(dev, bias_leaves, rn_cuda_blocks(leaves, 128), 128, results, dy, d);
    rn_launch(dev, join_bias, rn_cuda_blocks(static_cast<size_t>(s->K), 128), 128, dbias, results, d);
}
