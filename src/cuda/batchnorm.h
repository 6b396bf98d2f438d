/*
 * batchnorm.h - the sums of batch norm (batchnorm_sums.cu), as batchnorm.cu uses them, and the arithmetic of a
 * channel (A17): double, without fma.
 */
#ifndef RN_CUDA_BATCHNORM_H
#define RN_CUDA_BATCHNORM_H

#include "cuda/storage.h"

/* Channels of a block and rows of threads beside each other where elements are walked over. */
#define RN_BN_CHANNELS 32
#define RN_BN_ROWS 8

/* D1 and D2 of A17; forward g is x itself. */
struct rn_bn_sums { double d1, d2; };

/* How A17 and A11 cut the positions of a channel. */
struct rn_bn_cut {
    int map, images, groups; /* positions of a map; images of a group; groups */
    int runs, last_runs;     /* of a full group, of the last one */
};

struct rn_bn_cut rn_bn_cut_of(const struct rn_bn_shape *s);

/* Leaves in `groups` one sum for each group and channel, [groups][C]: of g, masked, and of g * x.  y: the mask is
 * y <= 0; else saved (with gamma and beta): that of A18 over y recomputed from x; else there is none. */
void rn_bn_group_sums(void *dev, struct rn_bn_sums *groups, struct rn_bn_sums *runs, const void *g, const void *y,
                      const void *x, const double *saved, const float *gamma, const float *beta,
                      const struct rn_bn_shape *s);

/* A17: r = 1 / sqrt(v + eps). */
static __device__ inline double rn_bn_inverse(double v, double eps) { return __ddiv_rn(1.0, __dsqrt_rn(v + eps)); }

/* A17: a and b of y = F(fma(x, a, b)). */
static __device__ inline void rn_bn_affine(float *a, float *b, double m, double v, float gamma, float beta, double eps)
{
    double t = gamma * rn_bn_inverse(v, eps);
    *a = static_cast<float>(t);
    *b = static_cast<float>(beta - m * t);
}

static __device__ inline struct rn_bn_sums operator+(struct rn_bn_sums x, struct rn_bn_sums y)
{
    return { x.d1 + y.d1, x.d2 + y.d2 };
}

#define RN_BN_TREE_CHANNELS 16
#define RN_BN_TREE_ROWS 32

/* For a block of RN_BN_TREE_CHANNELS x RN_BN_TREE_ROWS threads: the tree of A11 over leaf[0 ... count-1][C] for
 * channel c of C; count >= 1.  Each row of threads makes one node, then the rows' nodes meet.  Every thread must
 * call it; the sum is what row 0 gets. */
static __device__ inline struct rn_bn_sums rn_bn_block_tree(const struct rn_bn_sums *leaf, int count, int c, int C)
{
    RN_SHARED(struct rn_bn_sums, node, [RN_BN_TREE_ROWS][RN_BN_TREE_CHANNELS]);
    const int row = static_cast<int>(threadIdx.y), column = static_cast<int>(threadIdx.x);
    int width = 1;
    while (width * RN_BN_TREE_ROWS < count) width *= 2;
    const int first = row * width;
    struct rn_bn_sums sum = { 0, 0 };
    if (c < C && first < count)
        sum = rn_cuda_tree<struct rn_bn_sums>(RN_MIN(width, count - first), [&](int i) {
            return leaf[static_cast<size_t>(first + i) * C + c];
        });
    node[row][column] = sum;
    for (int nodes = (count + width - 1) / width; nodes > 1; nodes = nodes / 2 + nodes % 2) {
        __syncthreads();
        if (2 * row < nodes) sum = node[2 * row][column];
        if (2 * row + 1 < nodes) sum = sum + node[2 * row + 1][column];
        __syncthreads();
        if (2 * row < nodes) node[row][column] = sum;
    }
    return sum;
}

#endif /* RN_CUDA_BATCHNORM_H */
