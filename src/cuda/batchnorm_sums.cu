/*
 * batchnorm_sums.cu - the sums of A17: one thread makes the chain of one run of 128 positions of one channel,
 * neighbouring threads those of neighbouring channels; then the runs of a group meet in the tree of A11.
 */
#include "cuda/batchnorm.h"

#define RUN 128 /* A17: positions in one chain */

static int run_count(int positions) { return positions / RUN + (positions % RUN != 0); }

struct rn_bn_cut rn_bn_cut_of(const struct rn_bn_shape *s)
{
    struct rn_bn_cut cut;
    cut.map = s->H * s->W;
    cut.images = rn_cuda_group_images(cut.map);
    cut.groups = rn_cuda_group_count(s->N, cut.map);
    cut.runs = run_count(RN_MIN(cut.images, s->N) * cut.map);
    cut.last_runs = run_count((s->N - (cut.groups - 1) * cut.images) * cut.map);
    return cut;
}

/* What the run of this thread adds: g at element i, or 0 where its output was not positive (A18). */
template <class T>
static __device__ inline float masked(const T *g, const T *y, const T *x, bool recompute, float a, float b, size_t i)
{
    float out = recompute ? rn_stored<T>(__fmaf_rn(rn_load(x[i]), a, b)) : y ? rn_load(y[i]) : 1.0f;
    return out <= 0 ? 0.0f : rn_load(g[i]);
}

/* sums[groups][cut.runs][C] */
template <class T>
static __global__ void run_kernel(struct rn_bn_sums *sums, const T *g, const T *y, const T *x, const double *saved,
                                  const float *gamma, const float *beta, struct rn_bn_shape s, struct rn_bn_cut cut)
{
    const int c = static_cast<int>(blockIdx.y * RN_BN_CHANNELS + threadIdx.x);
    const int run = static_cast<int>(blockIdx.x * RN_BN_ROWS + threadIdx.y), group = run / cut.runs;
    if (c >= s.C || group >= cut.groups) return;
    const int first = group * cut.images * cut.map + run % cut.runs * RUN;
    const int end = RN_MIN(first + RUN, RN_MIN((group + 1) * cut.images, s.N) * cut.map);
    float a = 0, b = 0;
    if (saved) rn_bn_affine(&a, &b, saved[c], saved[s.C + c], gamma[c], beta[c], s.eps);
    struct rn_bn_sums sum = { 0, 0 };
#pragma unroll 8
    for (int p = first; p < end; p++) {
        size_t i = static_cast<size_t>(p) * s.C + c;
        double value = masked(g, y, x, saved != nullptr, a, b, i), factor = rn_load(x[i]);
        sum.d1 = sum.d1 + value;
        sum.d2 = sum.d2 + value * factor;
    }
    sums[static_cast<size_t>(run) * s.C + c] = sum;
}

/* Group blockIdx.y: its runs by tree. */
static __global__ void group_kernel(struct rn_bn_sums *groups, const struct rn_bn_sums *runs, int C,
                                    struct rn_bn_cut cut)
{
    const int c = static_cast<int>(blockIdx.x * RN_BN_TREE_CHANNELS + threadIdx.x);
    const int group = static_cast<int>(blockIdx.y);
    const struct rn_bn_sums *mine = runs + static_cast<size_t>(group) * cut.runs * C;
    struct rn_bn_sums sum = rn_bn_block_tree(mine, group + 1 == cut.groups ? cut.last_runs : cut.runs, c, C);
    if (threadIdx.y == 0 && c < C) groups[static_cast<size_t>(group) * C + c] = sum;
}

void rn_bn_group_sums(void *dev, struct rn_bn_sums *groups, struct rn_bn_sums *runs, const void *g, const void *y,
                      const void *x, const double *saved, const float *gamma, const float *beta,
                      const struct rn_bn_shape *s)
{
    const struct rn_bn_cut cut = rn_bn_cut_of(s);
    const size_t all = static_cast<size_t>(cut.groups) * cut.runs, C = static_cast<size_t>(s->C);
    struct rn_bn_sums *first = cut.runs == 1 ? groups : runs; /* a group of one run is that run */
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, run_kernel<decltype(type)>,
                  dim3(rn_cuda_blocks(all, RN_BN_ROWS), rn_cuda_blocks(C, RN_BN_CHANNELS)),
                  dim3(RN_BN_CHANNELS, RN_BN_ROWS), first, g, y, x, saved, gamma, beta, *s, cut);
    });
    if (cut.runs > 1)
        rn_launch(dev, group_kernel, dim3(rn_cuda_blocks(C, RN_BN_TREE_CHANNELS), static_cast<unsigned>(cut.groups)),
                  dim3(RN_BN_TREE_CHANNELS, RN_BN_TREE_ROWS), groups, runs, s->C, cut);
}
