/*
 * fast_conv.cu - the convolution's slots by cuDNN, in NHWC and with filters [K][R][S][C/groups], and what stands around
 * a call: weights from floats and their gradients back, bias, shortcut and ReLU.
 */
#include "cuda/fast.h"

#define THREADS 256

/* -- kernels ----------------------------------------------------------------------------------------- */

/* packed[k][tap][c] from weights[k][c][tap]. */
template <class T>
static __global__ void pack_kernel(T *packed, const float *weights, size_t count, int channels, int taps)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x, each = channels * taps;
    if (i >= count) return;
    const int c = static_cast<int>(i % channels), tap = static_cast<int>(i / channels % taps);
    packed[i] = rn_put<T>(weights[i / each * each + static_cast<size_t>(c) * taps + tap]);
}

/* weights[k][c][tap] from packed[k][tap][c]. */
template <class T>
static __global__ void unpack_kernel(float *weights, const T *packed, size_t count, int channels, int taps)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x, each = channels * taps;
    if (i >= count) return;
    const int tap = static_cast<int>(i % taps), c = static_cast<int>(i / taps % channels);
    weights[i] = rn_cuda_store(rn_load(packed[i / each * each + static_cast<size_t>(tap) * channels + c]));
}

/* dst = what follows a convolution in its own slot: + bias, + add, ReLU, each stored. */
template <class T>
static __global__ void finish_kernel(T *dst, const float *bias, const T *add, size_t count, int K, bool relu)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count) return;
    float y = rn_load(dst[i]);
    if (bias) y = rn_stored<T>(y + bias[i % K]);
    if (add) y = rn_stored<T>(y + rn_load(add[i]));
    dst[i] = rn_put<T>(relu ? rn_cuda_relu(y) : y);
}

/* bias[k] = the sum of dst over a channel: a block a channel, its threads' chains one after the other. */
template <class T> static __global__ void bias_kernel(float *dbias, const T *ddst, size_t positions, int K)
{
    RN_SHARED(double, part, [THREADS]);
    double sum = 0;
    for (size_t p = threadIdx.x; p < positions; p += THREADS) sum = sum + rn_load(ddst[p * K + blockIdx.x]);
    part[threadIdx.x] = sum;
    for (unsigned half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] = part[threadIdx.x] + part[threadIdx.x + half];
    }
    if (threadIdx.x == 0) dbias[blockIdx.x] = rn_cuda_store(static_cast<float>(part[0]));
}

/* -- calls ------------------------------------------------------------------------------------------- */

/* One call of cuDNN.  beta: what is there already is added to. */
struct conv_call {
    const struct rn_fast_plan *plan;
    void *x, *w, *y, *workspace;
    float beta;

    cudnnStatus_t call(cudnnHandle_t dnn) const
    {
        const float one = 1;
        const int a = plan->algorithm;
        switch (plan->pass) {
        case RN_FAST_FORWARD:
            return cudnnConvolutionForward(dnn, &one, plan->x, x, plan->w, w, plan->conv,
                                           static_cast<cudnnConvolutionFwdAlgo_t>(a), workspace, plan->bytes, &beta,
                                           plan->y, y);
        case RN_FAST_DATA:
            return cudnnConvolutionBackwardData(dnn, &one, plan->w, w, plan->y, y, plan->conv,
                                                static_cast<cudnnConvolutionBwdDataAlgo_t>(a), workspace, plan->bytes,
                                                &beta, plan->x, x);
        default:
            return cudnnConvolutionBackwardFilter(dnn, &one, plan->x, x, plan->y, y, plan->conv,
                                                  static_cast<cudnnConvolutionBwdFilterAlgo_t>(a), workspace,
                                                  plan->bytes, &beta, plan->w, w);
        }
    }

    struct rn_cuda_end play(struct rn_cuda *cuda, cudaStream_t stream) const
    {
        pthread_mutex_lock(&cuda->fast->busy);
        cudnnStatus_t status = cudnnSetStream(cuda->fast->dnn, stream);
        if (!status) status = call(cuda->fast->dnn);
        pthread_mutex_unlock(&cuda->fast->busy);
        return rn_fast_ended(status);
    }
};

static void convolve(void *dev, enum rn_fast_pass pass, const void *x, const void *w, const void *y, bool sum,
                     const struct rn_conv_shape *s, void *workspace)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    const struct rn_fast_plan *plan = rn_fast_plan(cuda, s, pass);
    if (plan)
        rn_cuda_queue<conv_call>(cuda, plan, const_cast<void *>(x), const_cast<void *>(w), const_cast<void *>(y),
                                 rn_fast_align(workspace), sum ? 1.0f : 0.0f);
}

static size_t weight_count(const struct rn_conv_shape *s)
{
    return static_cast<size_t>(s->K) * static_cast<size_t>(s->C / s->groups) * static_cast<size_t>(s->R * s->S);
}

static size_t output_positions(const struct rn_conv_shape *s)
{
    return static_cast<size_t>(s->N) * static_cast<size_t>(s->P) * static_cast<size_t>(s->Q);
}

static void finish(void *dev, void *dst, const float *bias, const void *add, bool relu, const struct rn_conv_shape *s)
{
    const size_t count = output_positions(s) * static_cast<size_t>(s->K);
    const int K = s->K;
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, finish_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dst, bias, add, count, K,
                  relu);
    });
}

/* -- slots ------------------------------------------------------------------------------------------- */

/* The workspace of a call, and before it the gradient of packed weights. */
static size_t gradient_bytes(void *dev, const struct rn_conv_shape *s)
{
    const size_t bytes = weight_count(s) * rn_cuda_element_bytes(rn_cuda_device(dev));
    return (bytes + RN_FAST_ALIGNMENT - 1) / RN_FAST_ALIGNMENT * RN_FAST_ALIGNMENT;
}

size_t rn_fast_conv2d_workspace(void *dev, const struct rn_conv_shape *s)
{
    return gradient_bytes(dev, s) + RN_FAST_WORKSPACE + RN_FAST_ALIGNMENT;
}

size_t rn_fast_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass)
{
    return weight_count(s) * rn_cuda_element_bytes(rn_cuda_device(dev));
}

void rn_fast_conv2d_pack(void *dev, void *packed, const float *weights, const struct rn_conv_shape *s, enum rn_pass)
{
    const size_t count = weight_count(s);
    const int channels = s->C / s->groups, taps = s->R * s->S;
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, pack_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, packed, weights, count,
                  channels, taps);
    });
}

int rn_fast_conv2d_unpack(void *dev, float *weights, const void *packed, const struct rn_conv_shape *s)
{
    const size_t count = weight_count(s);
    if (rn_cuda_device(dev)->storage != RN_CUDA_FLOAT) return 0; /* rounded */
    if (weights)
        rn_launch(dev, unpack_kernel<float>, rn_cuda_blocks(count, THREADS), THREADS, weights, packed, count,
                  s->C / s->groups, s->R * s->S);
    return 1;
}

void rn_fast_conv2d_forward(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                            const struct rn_conv_shape *s, void *workspace)
{
    convolve(dev, RN_FAST_FORWARD, src, packed, dst, false, s, workspace);
    if (bias) finish(dev, dst, bias, nullptr, false, s);
}

void rn_fast_conv2d_bias(void *dev, void *dst, const void *src, const void *packed, const float *bias, const void *add,
                         enum rn_post post, const struct rn_conv_shape *s, void *workspace)
{
    convolve(dev, RN_FAST_FORWARD, src, packed, dst, false, s, workspace);
    finish(dev, dst, bias, post == RN_POST_ADD_RELU ? add : nullptr, post != RN_POST_NONE, s);
}

void rn_fast_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed, const void *add,
                                  const struct rn_conv_shape *s, void *workspace)
{
    const size_t count = static_cast<size_t>(s->N) * static_cast<size_t>(s->C) * static_cast<size_t>(s->H * s->W);
    if (add && add != dsrc) rn_cuda_copy(dev, dsrc, add, count * rn_cuda_element_bytes(rn_cuda_device(dev)));
    convolve(dev, RN_FAST_DATA, dsrc, packed, ddst, add != nullptr, s, workspace);
}

void rn_fast_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src, const void *ddst,
                                     const struct rn_conv_shape *s, void *workspace)
{
    const size_t count = weight_count(s), positions = output_positions(s);
    const int channels = s->C / s->groups, taps = s->R * s->S, K = s->K;
    void *packed = rn_fast_align(workspace);
    convolve(dev, RN_FAST_WEIGHTS, src, packed, ddst, false, s, static_cast<char *>(packed) + gradient_bytes(dev, s));
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, unpack_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dweights, packed, count,
                  channels, taps);
        if (dbias)
            rn_launch(dev, bias_kernel<decltype(type)>, static_cast<unsigned>(K), THREADS, dbias, ddst, positions, K);
    });
}

void rn_fast_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add, const float *gamma,
                       const float *beta, const float *running_mean, const float *running_var,
                       const struct rn_conv_shape *s, const struct rn_bn_shape *bn, void *workspace)
{
    convolve(dev, RN_FAST_FORWARD, src, packed, dst, false, s, workspace);
    rn_cuda_batchnorm_forward_eval(dev, dst, dst, add, gamma, beta, running_mean, running_var, bn);
}

void rn_fast_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src, const void *packed,
                             const void *add, const float *gamma, const float *beta, const struct rn_conv_shape *s,
                             const struct rn_bn_shape *bn, void *workspace)
{
    convolve(dev, RN_FAST_FORWARD, src, packed, x, false, s, workspace);
    rn_cuda_batchnorm_forward_train(dev, dst, saved, x, add, gamma, beta, bn, workspace);
}
