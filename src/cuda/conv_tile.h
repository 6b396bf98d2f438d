/*
 * conv_tile.h - the product of two small matrices in the memory of a block, where all convolutions spend their
 * time.  A[depth][rows] times B[depth][cols] is added to sums that stay in registers from the first term of the
 * chain to its last.
 *
 * Why it looks so:
 *   - a thread owns TM x TN outputs, so TM + TN loads feed TM * TN multiply-adds: with 8 x 8 that is 4 loads of
 *     16 bytes for 64, and the multipliers, not the shared memory, are the limit;
 *   - its rows (and columns) are groups of four that lie rows / (TM / 4) apart, so that the threads of a warp read
 *     neighbouring 16 bytes: 8 x 4 threads of a warp ask for 128 and 64 bytes, each bank once.  Lanes i and i ^ 1
 *     share a row of A and i and i ^ 2 a column of B (Gray, "SGEMM", the maxas project, 2014), which lets
 *     the hardware serve the whole warp at once;
 *   - rows of A are padded by four floats, because a forward pass writes them across (conv_rows.h);
 *   - two copies of A and B: one is multiplied while the next slice of the chain is on its way, first in
 *     registers, then in the other copy; one barrier a slice.
 */
#ifndef RN_CUDA_CONV_TILE_H
#define RN_CUDA_CONV_TILE_H

#include "cuda/conv.h"

#ifdef __CUDACC__
#define RN_UNROLL _Pragma("unroll")
#else
#define RN_UNROLL
#endif

/* A tile, cut in TM x TN a thread, `depth` terms of the chain a slice; `blocks` of them fit a multiprocessor
 * by their registers. */
template <int rows_, int cols_, int TM_, int TN_, int depth_, int blocks_> struct rn_cuda_tile {
    static constexpr int rows = rows_, cols = cols_, TM = TM_, TN = TN_, depth = depth_, blocks = blocks_;
    static constexpr int threads = rows / TM * (cols / TN);
    static constexpr int row_vector = TM < 4 ? TM : 4, col_vector = TN < 4 ? TN : 4;
    static constexpr int row_jump = rows / (TM / row_vector), col_jump = cols / (TN / col_vector);
    static constexpr int lda = rows + 4, ldb = cols;
};

using rn_cuda_tile_128x128 = rn_cuda_tile<128, 128, 8, 8, 8, 2>;
using rn_cuda_tile_128x64 = rn_cuda_tile<128, 64, 8, 8, 16, 3>;
using rn_cuda_tile_64x64 = rn_cuda_tile<64, 64, 8, 4, 16, 4>;
using rn_cuda_tile_32x32 = rn_cuda_tile<32, 32, 4, 4, 16, 8>;
using rn_cuda_tile_16x16 = rn_cuda_tile<16, 16, 2, 2, 16, 8>;

/* Further down than any map: what a thread sees there is outside. */
#define RN_CUDA_OUTSIDE (1 << 20)

/* The first row and column that a thread owns: a warp is 8 x 4 threads, warps go down the rows first. */
struct rn_cuda_place { int row, col; };

template <class T> static __device__ inline struct rn_cuda_place rn_cuda_place_of(int thread)
{
    constexpr int down = T::rows / (8 * T::TM);
    int lane = thread % 32, warp = thread / 32;
    int row = warp % down * 8 + (lane >> 1 & 7), col = warp / down * 4 + ((lane & 1) | (lane >> 3 & 2));
    return { row * T::row_vector, col * T::col_vector };
}

/* Row or column i of a thread, from its first. */
template <int vector, int jump> static __device__ inline constexpr int rn_cuda_nth(int i)
{
    return i / vector * jump + i % vector;
}

/* n floats from p, in vectors that lie `jump` apart; p is aligned to a vector. */
template <int n, int vector, int jump> static __device__ inline void rn_cuda_fetch(float (&x)[n], const float *p)
{
    RN_UNROLL
    for (int i = 0; i < n; i += vector) {
        if constexpr (vector == 4) {
            const float4 v = *reinterpret_cast<const float4 *>(p + i / vector * jump);
            x[i] = v.x, x[i + 1] = v.y, x[i + 2] = v.z, x[i + 3] = v.w;
        } else {
            const float2 v = *reinterpret_cast<const float2 *>(p + i / vector * jump);
            x[i] = v.x, x[i + 1] = v.y;
        }
    }
}

/* sum += A B, one slice: a and b are where this thread's first row and column begin.  k ascends, and every sum has
 * one chain of fma. */
template <class T>
static __device__ inline void rn_cuda_multiply(float (&sum)[T::TM][T::TN], const float *a, const float *b)
{
    RN_UNROLL
    for (int k = 0; k < T::depth; k++) {
        float x[T::TM], y[T::TN];
        rn_cuda_fetch<T::TM, T::row_vector, T::row_jump>(x, a + k * T::lda);
        rn_cuda_fetch<T::TN, T::col_vector, T::col_jump>(y, b + k * T::ldb);
        RN_UNROLL
        for (int i = 0; i < T::TM; i++) {
            RN_UNROLL
            for (int j = 0; j < T::TN; j++) sum[i][j] = __fmaf_rn(x[i], y[j], sum[i][j]);
        }
    }
}

/* V floats at p (V = 4: aligned), or zeros (A6). */
template <int V> static __device__ inline void rn_cuda_load(float (&x)[V], const float *p, bool inside)
{
    if constexpr (V == 4) {
        const float4 v = inside ? *reinterpret_cast<const float4 *>(p) : make_float4(0, 0, 0, 0);
        x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
    } else {
        x[0] = inside ? *p : 0.0f;
    }
}

template <int V> static __device__ inline void rn_cuda_save(float *p, const float (&x)[V])
{
    if constexpr (V == 4) *reinterpret_cast<float4 *>(p) = make_float4(x[0], x[1], x[2], x[3]);
    else *p = x[0];
}

#endif /* RN_CUDA_CONV_TILE_H */
