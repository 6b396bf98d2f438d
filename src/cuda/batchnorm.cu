/*
 * batchnorm.cu - batch normalisation, forward and backward, with batch or with running statistics, alone or
 * followed by ReLU or by addition and ReLU (A17, A18, A22).
 *
 * Three steps: sums of groups (batchnorm_sums.cu); the groups by tree and the double arithmetic of a channel, once;
 * then one float fma (backward two) for each element.
 */
#include "cuda/batchnorm.h"

/* What lies in a workspace. */
struct parts { struct rn_bn_sums *groups, *runs; float *coefficient; };

static size_t group_sum_count(const struct rn_bn_shape *s)
{
    return static_cast<size_t>(rn_bn_cut_of(s).groups) * static_cast<size_t>(s->C);
}

static size_t run_sum_count(const struct rn_bn_shape *s)
{
    const int runs = rn_bn_cut_of(s).runs;
    return runs > 1 ? group_sum_count(s) * static_cast<size_t>(runs) : 0;
}

static struct parts parts_of(void *workspace, const struct rn_bn_shape *s)
{
    struct parts p;
    p.groups = static_cast<struct rn_bn_sums *>(workspace);
    p.runs = p.groups + group_sum_count(s);
    p.coefficient = reinterpret_cast<float *>(p.runs + run_sum_count(s));
    return p;
}

size_t rn_cuda_batchnorm_workspace(void *dev, const struct rn_bn_shape *s)
{
    (void)dev;
    return (group_sum_count(s) + run_sum_count(s)) * sizeof(struct rn_bn_sums)
           + 5 * static_cast<size_t>(s->C) * sizeof(float);
}

/* -- channels ------------------------------------------------------------------------------------------- */

static dim3 tree_grid(const struct rn_bn_shape *s)
{
    return dim3(rn_cuda_blocks(static_cast<size_t>(s->C), RN_BN_TREE_CHANNELS));
}

static const dim3 tree_block(RN_BN_TREE_CHANNELS, RN_BN_TREE_ROWS);

static __global__ void statistics_kernel(double *saved, const struct rn_bn_sums *groups, int count,
                                         struct rn_bn_shape s)
{
    const int c = static_cast<int>(blockIdx.x * RN_BN_TREE_CHANNELS + threadIdx.x);
    const struct rn_bn_sums sum = rn_bn_block_tree(groups, count, c, s.C);
    if (threadIdx.y || c >= s.C) return;
    const double M = static_cast<double>(s.N) * (s.H * s.W);
    double m = __ddiv_rn(sum.d1, M), v = __ddiv_rn(sum.d2, M) - m * m;
    if (v < 0) v = 0;
    saved[c] = m;
    saved[s.C + c] = v;
}

/* A17: gradients of gamma and beta, and the coefficients of dx.  beta: NULL where the statistics are frozen; then
 * A alone is written. */
template <class Statistic>
static __global__ void channel_back_kernel(float *coefficient, float *dgamma, float *dbeta, const Statistic *mean,
                                           const Statistic *variance, const float *gamma, const float *beta,
                                           const struct rn_bn_sums *groups, int count, struct rn_bn_shape s)
{
    const int c = static_cast<int>(blockIdx.x * RN_BN_TREE_CHANNELS + threadIdx.x), C = s.C;
    const struct rn_bn_sums d = rn_bn_block_tree(groups, count, c, C);
    if (threadIdx.y || c >= C) return;
    const double M = static_cast<double>(s.N) * (s.H * s.W), m = mean[c], v = variance[c];
    const double r = rn_bn_inverse(v, s.eps), t = gamma[c] * r, k = d.d2 - m * d.d1;
    const double u = -__ddiv_rn(t * ((k * r) * r), M);
    dbeta[c] = rn_cuda_store(static_cast<float>(d.d1));
    dgamma[c] = rn_cuda_store(static_cast<float>(k * r));
    coefficient[c] = static_cast<float>(t);
    if (!beta) return;
    coefficient[C + c] = static_cast<float>(u);
    coefficient[2 * C + c] = static_cast<float>(-__ddiv_rn(t * d.d1, M) - u * m);
    rn_bn_affine(&coefficient[3 * C + c], &coefficient[4 * C + c], m, v, gamma[c], beta[c], s.eps);
}

static __global__ void running_kernel(float *running_mean, float *running_var, const double *saved, int C, double mu,
                                      double keep, double unbias, const int32_t *given)
{
    const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= C || !rn_cuda_given(given)) return;
    double m = saved[c], v = saved[C + c];
    running_mean[c] = rn_cuda_store(static_cast<float>(keep * running_mean[c] + mu * m));
    running_var[c] = rn_cuda_store(static_cast<float>(keep * running_var[c] + mu * (v * unbias)));
}

/* -- elements ------------------------------------------------------------------------------------------- */

/* How positions are spread over blocks: enough blocks for a large GPU, and then as many positions in each as
 * there are, so that what a block prepares for its channels pays. */
struct spread { dim3 grid; int each; };

static struct spread spread_of(const struct rn_bn_shape *s)
{
    const size_t positions = static_cast<size_t>(s->N) * static_cast<size_t>(s->H) * static_cast<size_t>(s->W);
    const unsigned tiles = rn_cuda_blocks(static_cast<size_t>(s->C), RN_BN_CHANNELS);
    int each = RN_BN_ROWS;
    while (each < 64 * RN_BN_ROWS && positions / each * tiles > 4096) each *= 2;
    struct spread spread = { dim3(rn_cuda_blocks(positions, static_cast<unsigned>(each)), tiles), each };
    return spread;
}

static const dim3 element_block(RN_BN_CHANNELS, RN_BN_ROWS);

/* A17, A18, A22: y and what follows it, F at every seam. */
template <class T, class Statistic>
static __global__ void normalise_kernel(T *dst, const T *src, const T *add, const Statistic *mean,
                                        const Statistic *variance, const float *gamma, const float *beta,
                                        struct rn_bn_shape s, int each)
{
    RN_SHARED(float, a, [RN_BN_CHANNELS]);
    RN_SHARED(float, b, [RN_BN_CHANNELS]);
    const int lane = static_cast<int>(threadIdx.x), c = static_cast<int>(blockIdx.y * RN_BN_CHANNELS) + lane;
    const int first = static_cast<int>(blockIdx.x) * each, end = RN_MIN(first + each, s.N * s.H * s.W);
    if (threadIdx.y == 0 && c < s.C) rn_bn_affine(&a[lane], &b[lane], mean[c], variance[c], gamma[c], beta[c], s.eps);
    __syncthreads();
    if (c >= s.C) return;
    const float A = a[lane], B = b[lane];
#pragma unroll 4
    for (int p = first + static_cast<int>(threadIdx.y); p < end; p += RN_BN_ROWS) {
        size_t i = static_cast<size_t>(p) * s.C + c;
        float y = rn_stored<T>(__fmaf_rn(rn_load(src[i]), A, B));
        if (s.post == RN_POST_ADD_RELU) y = rn_stored<T>(y + rn_load(add[i]));
        if (s.post != RN_POST_NONE) y = rn_cuda_relu(y);
        dst[i] = rn_put<T>(y);
    }
}

/* A17: dx, and the masked gradient as that of the addend.  y: the mask is y <= 0; `recompute`: that of A18 over y
 * recomputed from x.  frozen: dx = F(g * A). */
template <class T>
static __global__ void gradient_kernel(T *dsrc, T *dadd, const T *ddst, const T *y, const T *src,
                                       const float *coefficient, int C, int positions, int each, bool recompute,
                                       bool frozen)
{
    const int c = static_cast<int>(blockIdx.y * RN_BN_CHANNELS + threadIdx.x);
    const int first = static_cast<int>(blockIdx.x) * each, end = RN_MIN(first + each, positions);
    if (c >= C) return;
    const float A = coefficient[c], B = frozen ? 0 : coefficient[C + c], D = frozen ? 0 : coefficient[2 * C + c];
    const float a = recompute ? coefficient[3 * C + c] : 0, b = recompute ? coefficient[4 * C + c] : 0;
#pragma unroll 4
    for (int p = first + static_cast<int>(threadIdx.y); p < end; p += RN_BN_ROWS) {
        size_t i = static_cast<size_t>(p) * C + c;
        float x = frozen ? 0 : rn_load(src[i]), g = rn_load(ddst[i]);
        float out = recompute ? rn_stored<T>(__fmaf_rn(x, a, b)) : y ? rn_load(y[i]) : 1.0f;
        if (out <= 0) g = 0;
        if (dadd) dadd[i] = rn_put<T>(g);
        dsrc[i] = rn_put<T>(frozen ? g * A : __fmaf_rn(A, g, __fmaf_rn(B, x, D)));
    }
}

/* -- slots ---------------------------------------------------------------------------------------------- */

void rn_cuda_batchnorm_apply(void *dev, void *dst, const void *src, const void *add, const double *saved,
                             const float *gamma, const float *beta, const struct rn_bn_shape *s)
{
    const struct spread spread = spread_of(s);
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, normalise_kernel<decltype(type), double>, spread.grid, element_block, dst, src, add, saved,
                  saved + s->C, gamma, beta, *s, spread.each);
    });
}

void rn_cuda_batchnorm_forward_train(void *dev, void *dst, double *saved, const void *src, const void *add,
                                     const float *gamma, const float *beta, const struct rn_bn_shape *s,
                                     void *workspace)
{
    const struct parts w = parts_of(workspace, s);
    rn_bn_group_sums(dev, w.groups, w.runs, src, NULL, src, NULL, NULL, NULL, s);
    rn_launch(dev, statistics_kernel, tree_grid(s), tree_block, saved, w.groups, rn_bn_cut_of(s).groups, *s);
    rn_cuda_batchnorm_apply(dev, dst, src, add, saved, gamma, beta, s);
}

void rn_cuda_batchnorm_forward_eval(void *dev, void *dst, const void *src, const void *add, const float *gamma,
                                    const float *beta, const float *running_mean, const float *running_var,
                                    const struct rn_bn_shape *s)
{
    const struct spread spread = spread_of(s);
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, normalise_kernel<decltype(type), float>, spread.grid, element_block, dst, src, add, running_mean,
                  running_var, gamma, beta, *s, spread.each);
    });
}

void rn_cuda_batchnorm_running(void *dev, float *running_mean, float *running_var, const double *saved,
                               const struct rn_bn_shape *s, const int32_t *given)
{
    const double M = static_cast<double>(s->N) * (s->H * s->W), unbias = M > 1 ? M / (M - 1) : 1;
    rn_launch(dev, running_kernel, rn_cuda_blocks(static_cast<size_t>(s->C), 128), 128, running_mean, running_var,
              saved, s->C, s->momentum, 1 - s->momentum, unbias, given);
}

static void gradient(void *dev, void *dsrc, void *dadd, const void *ddst, const void *y, const void *src,
                     const float *coefficient, const struct rn_bn_shape *s, bool recompute, bool frozen)
{
    const struct spread spread = spread_of(s);
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, gradient_kernel<decltype(type)>, spread.grid, element_block, dsrc, dadd, ddst, y, src,
                  coefficient, s->C, s->N * s->H * s->W, spread.each, recompute, frozen);
    });
}

void rn_cuda_batchnorm_backward(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta, const void *ddst,
                                const void *dst, const void *src, const double *saved, const float *gamma,
                                const float *beta, const struct rn_bn_shape *s, void *workspace)
{
    const struct parts w = parts_of(workspace, s);
    const bool recompute = s->post == RN_POST_RELU;
    const void *y = s->post == RN_POST_ADD_RELU ? dst : NULL;
    rn_bn_group_sums(dev, w.groups, w.runs, ddst, y, src, recompute ? saved : NULL, gamma, beta, s);
    rn_launch(dev, channel_back_kernel<double>, tree_grid(s), tree_block, w.coefficient, dgamma, dbeta, saved,
              saved + s->C, gamma, beta, w.groups, rn_bn_cut_of(s).groups, *s);
    gradient(dev, dsrc, dadd, ddst, y, src, w.coefficient, s, recompute, false);
}

void rn_cuda_batchnorm_backward_eval(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta, const void *ddst,
                                     const void *dst, const void *src, const float *running_mean,
                                     const float *running_var, const float *gamma, const struct rn_bn_shape *s,
                                     void *workspace)
{
    const struct parts w = parts_of(workspace, s);
    const void *y = s->post == RN_POST_NONE ? NULL : dst;
    rn_bn_group_sums(dev, w.groups, w.runs, ddst, y, src, NULL, NULL, NULL, s);
    rn_launch(dev, channel_back_kernel<float>, tree_grid(s), tree_block, w.coefficient, dgamma, dbeta, running_mean,
              running_var, gamma, static_cast<const float *>(NULL), w.groups, rn_bn_cut_of(s).groups, *s);
    gradient(dev, dsrc, dadd, ddst, y, src, w.coefficient, s, false, true);
}
