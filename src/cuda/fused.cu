/*
 * fused.cu - convolutions joined with what follows them (A22), and batch norm folded into weights.
 *
 * What a finished sum needs is a few numbers of its channel, so bias, normalising, shortcut and ReLU happen where
 * the sum is, in registers, with F at every seam.  Batch statistics need all of the stored sums first, in an order
 * of their own (A17): that slot composes.
 */
#include "cuda/conv.h"

/* A17 with running statistics: t = gamma / sqrt(var + eps). */
static __device__ double scale_of(const float *gamma, const float *running_var, double eps, int k)
{
    return gamma[k] * (1 / sqrt(static_cast<double>(running_var[k]) + eps));
}

/* A17: a = f32(t), b = f32(beta - m t) of every channel. */
static __global__ void __launch_bounds__(128)
coefficients(float *scale, float *shift, const float *gamma, const float *beta, const float *running_mean,
             const float *running_var, double eps, int K)
{
    const int k = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (k >= K) return;
    const double t = scale_of(gamma, running_var, eps, k);
    scale[k] = static_cast<float>(t);
    shift[k] = static_cast<float>(beta[k] - running_mean[k] * t);
}

/* A22: w' = F(f32(w t)), b' = F(f32(beta - m t)); a block has a filter. */
static __global__ void __launch_bounds__(128)
fold(float *folded, float *bias, const float *weights, const float *gamma, const float *beta,
     const float *running_mean, const float *running_var, double eps, int each)
{
    const int k = static_cast<int>(blockIdx.x);
    const double t = scale_of(gamma, running_var, eps, k);
    const size_t first = static_cast<size_t>(k) * static_cast<size_t>(each);
    for (size_t i = first + threadIdx.x; i < first + static_cast<size_t>(each); i += blockDim.x)
        folded[i] = rn_cuda_store(static_cast<float>(weights[i] * t));
    if (!threadIdx.x) bias[k] = rn_cuda_store(static_cast<float>(beta[k] - running_mean[k] * t));
}

size_t rn_cuda_conv_bn_workspace(const struct rn_conv_shape *s)
{
    return 2 * static_cast<size_t>(s->K) * sizeof(float);
}

/* -- slots ------------------------------------------------------------------------------------------ */

void rn_cuda_conv2d_bias(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                         const void *add, enum rn_post post, const struct rn_conv_shape *s, void *)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, RN_PASS_FORWARD);
    struct rn_cuda_finish f = {};
    f.bias = bias;
    f.add = post == RN_POST_ADD_RELU ? static_cast<const float *>(add) : nullptr;
    f.relu = post != RN_POST_NONE;
    rn_cuda_conv_run(dev, &p, static_cast<float *>(dst), static_cast<const float *>(src),
                     static_cast<const float *>(packed), &f);
}

void rn_cuda_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                       const float *gamma, const float *beta, const float *running_mean, const float *running_var,
                       const struct rn_conv_shape *s, const struct rn_bn_shape *bn, void *workspace)
{
    const struct rn_cuda_pass p = rn_cuda_conv_pass(s, RN_PASS_FORWARD);
    float *scale = static_cast<float *>(workspace), *shift = scale + s->K;
    struct rn_cuda_finish f = {};
    f.scale = scale;
    f.shift = shift;
    f.add = bn->post == RN_POST_ADD_RELU ? static_cast<const float *>(add) : nullptr;
    f.relu = bn->post != RN_POST_NONE;
    rn_launch(dev, coefficients, rn_cuda_blocks(static_cast<size_t>(s->K), 128), 128, scale, shift, gamma, beta,
              running_mean, running_var, bn->eps, s->K);
    rn_cuda_conv_run(dev, &p, static_cast<float *>(dst), static_cast<const float *>(src),
                     static_cast<const float *>(packed), &f);
}

void rn_cuda_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src, const void *packed,
                             const void *add, const float *gamma, const float *beta, const struct rn_conv_shape *s,
                             const struct rn_bn_shape *bn, void *workspace)
{
    rn_cuda_conv2d_forward(dev, x, src, packed, nullptr, s, workspace);
    rn_cuda_batchnorm_forward_train(dev, dst, saved, x, add, gamma, beta, bn, workspace);
}

void rn_cuda_conv2d_fold(void *dev, float *folded, float *bias, const float *weights, const float *gamma,
                         const float *beta, const float *running_mean, const float *running_var,
                         const struct rn_conv_shape *s, const struct rn_bn_shape *bn)
{
    rn_launch(dev, fold, static_cast<unsigned>(s->K), 128, folded, bias, weights, gamma, beta, running_mean,
              running_var, bn->eps, s->C / s->groups * s->R * s->S);
}
