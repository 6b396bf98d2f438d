/*
 * fast_linear.cu - the linear layer by cuBLAS: operands in the type of the tensors, sums of floats, logits and
 * gradients of parameters as floats.
 *
 * cuBLAS has matrices by columns; a matrix by rows is its transposed, so y = x W^T is asked for as y^T = W x^T.
 */
#include "cuda/fast.h"

#define THREADS 256

/* dst[n][k] = bias[k] */
static __global__ void spread_kernel(float *dst, const float *bias, size_t count, int K)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i < count) dst[i] = bias[i % K];
}

static __global__ void sum_kernel(float *dbias, const float *ddst, int N, int K)
{
    const int k = static_cast<int>(blockIdx.x * THREADS + threadIdx.x);
    float sum = 0;
    for (int n = 0; n < N && k < K; n++) sum = sum + ddst[static_cast<size_t>(n) * K + k];
    if (k < K) dbias[k] = rn_cuda_store(sum);
}

template <class T> static __global__ void narrow_kernel(T *dst, const float *src, size_t count)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i < count) dst[i] = rn_put<T>(src[i]);
}

/* Floats as the device's tensors have them. */
static void narrow(void *dev, void *dst, const float *src, size_t count)
{
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, narrow_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dst, src, count);
    });
}

/* C = op(A) op(B) + beta C, by columns: C is rows x cols, the sums have `depth` terms. */
struct gemm_call {
    cublasOperation_t op_a, op_b;
    int rows, cols, depth;
    const void *a;
    int ld_a;
    const void *b;
    int ld_b;
    float beta;
    void *c;
    int ld_c;
    cudaDataType type, type_c;

    struct rn_cuda_end play(struct rn_cuda *cuda, cudaStream_t stream) const
    {
        const float one = 1;
        cublasHandle_t blas = cuda->fast->blas;
        pthread_mutex_lock(&cuda->fast->busy);
        cublasStatus_t status = cublasSetStream(blas, stream); /* which forgets the workspace */
        if (!status) status = cublasSetWorkspace(blas, cuda->fast->blas_memory, RN_FAST_BLAS_BYTES);
        if (!status)
            status = cublasGemmEx(blas, op_a, op_b, rows, cols, depth, &one, a, type, ld_a, b, type, ld_b, &beta, c,
                                  type_c, ld_c, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
        pthread_mutex_unlock(&cuda->fast->busy);
        return rn_fast_ended(status);
    }
};

static cudaDataType type_of(const struct rn_cuda *cuda)
{
    if (cuda->storage == RN_CUDA_HALF) return CUDA_R_16F;
    return cuda->storage == RN_CUDA_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* -- slots ------------------------------------------------------------------------------------------- */

/* The gradient of the logits as the tensors have numbers, and behind it the weights. */
static size_t gradient_bytes(void *dev, const struct rn_linear_shape *s)
{
    const size_t count = static_cast<size_t>(s->N) * static_cast<size_t>(s->K);
    const size_t bytes = count * rn_cuda_element_bytes(rn_cuda_device(dev));
    return (bytes + RN_FAST_ALIGNMENT - 1) / RN_FAST_ALIGNMENT * RN_FAST_ALIGNMENT;
}

size_t rn_fast_linear_workspace(void *dev, const struct rn_linear_shape *s)
{
    const size_t weights = static_cast<size_t>(s->K) * static_cast<size_t>(s->C);
    return gradient_bytes(dev, s) + weights * rn_cuda_element_bytes(rn_cuda_device(dev)) + RN_FAST_ALIGNMENT;
}

void rn_fast_linear_forward(void *dev, float *dst, const void *src, const void *packed, const float *bias,
                            const struct rn_linear_shape *s, void *)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    const size_t count = static_cast<size_t>(s->N) * static_cast<size_t>(s->K);
    const cudaDataType type = type_of(cuda);
    if (bias) rn_launch(dev, spread_kernel, rn_cuda_blocks(count, THREADS), THREADS, dst, bias, count, s->K);
    rn_cuda_queue<gemm_call>(cuda, CUBLAS_OP_T, CUBLAS_OP_N, s->K, s->N, s->C, packed, s->C, src, s->C,
                             bias ? 1.0f : 0.0f, static_cast<void *>(dst), s->K, type, CUDA_R_32F);
}

void rn_fast_linear_backward_data(void *dev, void *dsrc, const float *ddst, const float *weights,
                                  const struct rn_linear_shape *s, void *workspace)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    const cudaDataType type = type_of(cuda);
    char *gradient = static_cast<char *>(rn_fast_align(workspace)), *factors = gradient + gradient_bytes(dev, s);
    narrow(dev, gradient, ddst, static_cast<size_t>(s->N) * static_cast<size_t>(s->K));
    narrow(dev, factors, weights, static_cast<size_t>(s->K) * static_cast<size_t>(s->C));
    rn_cuda_queue<gemm_call>(cuda, CUBLAS_OP_N, CUBLAS_OP_N, s->C, s->N, s->K, static_cast<const void *>(factors), s->C,
                             static_cast<const void *>(gradient), s->K, 0.0f, dsrc, s->C, type, type);
}

void rn_fast_linear_backward_weights(void *dev, float *dweights, float *dbias, const void *src, const float *ddst,
                                     const struct rn_linear_shape *s, void *workspace)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    const cudaDataType type = type_of(cuda);
    void *gradient = rn_fast_align(workspace);
    narrow(dev, gradient, ddst, static_cast<size_t>(s->N) * static_cast<size_t>(s->K));
    rn_cuda_queue<gemm_call>(cuda, CUBLAS_OP_N, CUBLAS_OP_T, s->C, s->K, s->N, src, s->C,
                             static_cast<const void *>(gradient), s->K, 0.0f, static_cast<void *>(dweights), s->C, type,
                             CUDA_R_32F);
    if (dbias)
        rn_launch(dev, sum_kernel, rn_cuda_blocks(static_cast<size_t>(s->K), THREADS), THREADS, dbias, ddst, s->N,
                  s->K);
}
