/*
 * conv_pack.cu - the weights as the passes read them: a row for every term of the chain, in its order, and in it
 * a column for every channel of the destination (B5).
 *
 * Forward that is a transposition of [k][ic][tap] to [tap][ic][k], through memory of the block, so that both sides
 * are touched in runs of 32; for the data gradient ic stays innermost: [k][ic][tap] to [tap][k][ic], where a block
 * reads one k, all of it from its cache after the first time.
 */
#include "cuda/conv.h"

#define SIDE 32 /* of a transposed square */
#define NARROW 16

struct rn_cuda_pass rn_cuda_conv_pass(const struct rn_conv_shape *s, enum rn_pass pass)
{
    const struct rn_cuda_map in = { s->H, s->W, s->C }, out = { s->P, s->Q, s->K };
    struct rn_cuda_pass p = {};
    p.N = s->N, p.R = s->R, p.S = s->S, p.groups = s->groups, p.pad = s->pad;
    p.backward = pass == RN_PASS_BACKWARD_DATA;
    p.from = p.backward ? out : in;
    p.to = p.backward ? in : out;
    p.run = p.from.C / s->groups;
    p.cols = p.to.C / s->groups;
    p.classes = p.backward ? s->stride : 1;
    p.step = p.backward ? 1 : s->stride;
    p.narrow = s->groups > 1 && p.cols < NARROW;
    p.ld = p.narrow ? p.to.C : (p.cols + 3) / 4 * 4;
    p.group = p.narrow ? static_cast<size_t>(p.cols)
                       : static_cast<size_t>(s->R * s->S) * static_cast<size_t>(p.run) * static_cast<size_t>(p.ld);
    return p;
}

/* Where the weight of a term lies: of group g, tap (kh, kw), channel `from` and column `to` of the group. */
static __device__ size_t packed_place(const struct rn_cuda_pass &p, int g, int kh, int kw, int from, int to)
{
    const size_t row = static_cast<size_t>(rn_cuda_tap(p, kh, kw)) * p.run + from;
    return g * p.group + row * p.ld + to;
}

/* One element of `weights` or of what stands for it; j = ic * R * S + tap, `each` of them a filter. */
static __device__ size_t place_of_weight(const struct rn_cuda_pass &p, int k, int j)
{
    const int filters = p.backward ? p.run : p.cols, taps = p.R * p.S, tap = j % taps;
    const int from = p.backward ? k % filters : j / taps, to = p.backward ? j / taps : k % filters;
    return packed_place(p, k / filters, tap / p.S, tap % p.S, from, to);
}

/* A square of [K][each]: in by rows of `weights`, out by its columns; columns past a group's last are zeroed by
 * those who own the last one. */
static __global__ void __launch_bounds__(SIDE * 8)
transpose(float *packed, const float *weights, struct rn_cuda_pass p, int each)
{
    RN_SHARED(float, square, [SIDE][SIDE + 1]);
    const int x = static_cast<int>(threadIdx.x), K = p.to.C;
    const int j0 = static_cast<int>(blockIdx.x) * SIDE, k0 = static_cast<int>(blockIdx.y) * SIDE;
    for (int y = static_cast<int>(threadIdx.y); y < SIDE; y += 8)
        if (k0 + y < K && j0 + x < each)
            square[y][x] = weights[static_cast<size_t>(k0 + y) * static_cast<size_t>(each) + j0 + x];
    __syncthreads();
    for (int y = static_cast<int>(threadIdx.y); y < SIDE; y += 8) {
        if (k0 + x >= K || j0 + y >= each) continue;
        const size_t at = place_of_weight(p, k0 + x, j0 + y);
        packed[at] = square[x][y];
        const bool last = !p.narrow && (k0 + x + 1) % p.cols == 0;
        for (int pad = 1; last && pad <= p.ld - p.cols; pad++) packed[at + static_cast<size_t>(pad)] = 0;
    }
}

/* For the data gradient: a block takes one k; its threads go along (tap, column). */
static __global__ void __launch_bounds__(256)
gather(float *packed, const float *weights, struct rn_cuda_pass p)
{
    const int k = static_cast<int>(blockIdx.x), g = k / p.run, taps = p.R * p.S;
    const int cols = p.narrow ? p.cols : p.ld;
    const float *filter = weights + static_cast<size_t>(k) * static_cast<size_t>(p.cols) * static_cast<size_t>(taps);
    for (int i = static_cast<int>(threadIdx.x); i < taps * cols; i += static_cast<int>(blockDim.x)) {
        const int tap = i / cols, to = i % cols;
        packed[packed_place(p, g, tap / p.S, tap % p.S, k % p.run, to)] = to < p.cols ? filter[to * taps + tap] : 0;
    }
}

static __global__ void __launch_bounds__(256)
unpack(float *weights, const float *packed, struct rn_cuda_pass p, int each)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= static_cast<size_t>(p.to.C) * static_cast<size_t>(each)) return;
    weights[i] = packed[place_of_weight(p, static_cast<int>(i / each), static_cast<int>(i % each))];
}

/* -- slots ------------------------------------------------------------------------------------------ */

size_t rn_cuda_conv2d_packed_bytes(void *, const struct rn_conv_shape *s, enum rn_pass pass)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, pass);
    const size_t rows = static_cast<size_t>(p.R * p.S) * static_cast<size_t>(p.run);
    return rows * static_cast<size_t>(p.ld) * (p.narrow ? 1 : static_cast<size_t>(p.groups)) * sizeof(float);
}

void rn_cuda_conv2d_pack(void *dev, void *packed, const float *weights, const struct rn_conv_shape *s,
                         enum rn_pass pass)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, pass);
    const int each = s->C / s->groups * s->R * s->S;
    const dim3 squares(rn_cuda_blocks(static_cast<size_t>(each), SIDE),
                       rn_cuda_blocks(static_cast<size_t>(s->K), SIDE));
    if (p.backward)
        rn_launch(dev, gather, static_cast<unsigned>(s->K), 256, static_cast<float *>(packed), weights, p);
    else
        rn_launch(dev, transpose, squares, dim3(SIDE, 8), static_cast<float *>(packed), weights, p, each);
}

int rn_cuda_conv2d_unpack(void *dev, float *weights, const void *packed, const struct rn_conv_shape *s)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, RN_PASS_FORWARD);
    const int each = s->C / s->groups * s->R * s->S;
    const size_t count = static_cast<size_t>(s->K) * static_cast<size_t>(each);
    if (weights)
        rn_launch(dev, unpack, rn_cuda_blocks(count, 256), 256, weights, static_cast<const float *>(packed), p, each);
    return 1;
}
