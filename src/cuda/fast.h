/*
 * fast.h - the numerics `fast` of the CUDA backend: convolutions by cuDNN, the classifier by cuBLAS, everything else by
 * the kernels of the exact numerics.  Only in a build that found both libraries (tools/cudnn.sh).
 *
 *   fast        tensors are floats, and no product is rounded to TF32
 *   fast-fp16   tensors are IEEE halves, products run on tensor cores and are summed as floats
 *   fast-bf16   the same with bf16
 *
 * Weights, statistics, logits, gradients of weights, and updates are floats in all three; batch statistics are summed
 * in double.  conv2d_pack rounds the weights, so they are the master weights of mixed precision.  The gradient of a
 * convolution's weights leaves cuDNN in the type of the tensors.  Source: Micikevicius et al., "Mixed precision
 * training", ICLR 2018.
 *
 * Bits are those of the libraries' algorithms.  Of these only deterministic ones are taken, so a GPU and its libraries
 * repeat themselves; another GPU gives other bits.
 */
#ifndef RN_CUDA_FAST_H
#define RN_CUDA_FAST_H

#include "cuda/storage.h"

#include <cublas_v2.h>
#include <cudnn.h>

/* What a convolution may have of workspace: algorithms that want more are not taken. */
#ifndef RN_FAST_WORKSPACE
#define RN_FAST_WORKSPACE (static_cast<size_t>(64) << 20)
#endif
#define RN_FAST_ALIGNMENT 256
#ifndef RN_FAST_BLAS_BYTES
#define RN_FAST_BLAS_BYTES (static_cast<size_t>(32) << 20) /* what NVIDIA recommends for sm_90 */
#endif

enum rn_fast_pass { RN_FAST_FORWARD, RN_FAST_DATA, RN_FAST_WEIGHTS };

/* A pass of a convolution as cuDNN is told of it.  Made once for each shape, kept until the device is closed. */
struct rn_fast_plan {
    struct rn_fast_plan *next;
    struct rn_conv_shape shape;
    enum rn_fast_pass pass;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t conv;
    int algorithm;
    size_t bytes; /* of its workspace */
};

struct rn_cuda_fast {
    pthread_mutex_t lock; /* of the plans */
    pthread_mutex_t busy; /* of the handles, while a call is queued with them */
    cudnnHandle_t dnn;
    cublasHandle_t blas;
    void *blas_memory;    /* workspace that cuBLAS is given: with its own it could not be captured */
    struct rn_fast_plan *plans;
};

/* The plan of a pass; NULL when there is none, and then the device has failed (fast_plan.cu). */
const struct rn_fast_plan *rn_fast_plan(struct rn_cuda *cuda, const struct rn_conv_shape *s, enum rn_fast_pass pass);
void rn_fast_plans_free(struct rn_cuda_fast *fast);

static inline struct rn_cuda_end rn_fast_ended(cudnnStatus_t status)
{
    return { status ? cudaErrorUnknown : cudaSuccess, cudnnGetErrorString(status) };
}

static inline struct rn_cuda_end rn_fast_ended(cublasStatus_t status)
{
    return { status ? cudaErrorUnknown : cudaSuccess, cublasGetStatusString(status) };
}

static inline void *rn_fast_align(void *memory)
{
    const uintptr_t at = reinterpret_cast<uintptr_t>(memory);
    return static_cast<char *>(memory) + (RN_FAST_ALIGNMENT - at % RN_FAST_ALIGNMENT) % RN_FAST_ALIGNMENT;
}

extern "C" const struct rn_ops rn_ops_cuda_fast;

/* The slots that differ from the exact ones: rn_fast_NAME for NAME. */
#define RN_FAST_SLOTS(X) \
    X(open) X(close) X(conv2d_workspace) X(conv2d_packed_bytes) X(conv2d_pack) X(conv2d_unpack) X(conv2d_forward) \
    X(conv2d_bias) X(conv2d_backward_data) X(conv2d_backward_weights) X(linear_workspace) X(linear_forward) \
    X(linear_backward_data) X(linear_backward_weights) X(conv2d_bn) X(conv2d_bn_train)

#define RN_FAST_DECLARE(slot) std::remove_pointer_t<decltype(rn_ops::slot)> rn_fast_##slot;
RN_FAST_SLOTS(RN_FAST_DECLARE)
#undef RN_FAST_DECLARE

#endif /* RN_CUDA_FAST_H */
