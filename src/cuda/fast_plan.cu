/*
 * fast_plan.cu - what cuDNN is told of a convolution, and which of its algorithms computes it.
 *
 * cuDNN ranks its algorithms for a shape by what it expects of them; the first is taken that is deterministic and
 * content with the workspace there is.  Floats are multiplied as floats (CUDNN_FMA_MATH): cuDNN's own default would
 * round them to TF32.
 */
#include "cuda/fast.h"

extern "C" {
#include "base/mem.h"
}

#include <stdio.h>
#include <string.h>

#define MOST 16 /* algorithms that are asked for */

static cudnnDataType_t type_of(const struct rn_cuda *cuda)
{
    if (cuda->storage == RN_CUDA_HALF) return CUDNN_DATA_HALF;
    return cuda->storage == RN_CUDA_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

static cudnnStatus_t describe(struct rn_fast_plan *p, cudnnDataType_t type)
{
    const struct rn_conv_shape *s = &p->shape;
    const cudnnTensorFormat_t format = CUDNN_TENSOR_NHWC;
    cudnnStatus_t status = cudnnCreateTensorDescriptor(&p->x);
    if (!status) status = cudnnCreateTensorDescriptor(&p->y);
    if (!status) status = cudnnCreateFilterDescriptor(&p->w);
    if (!status) status = cudnnCreateConvolutionDescriptor(&p->conv);
    if (!status) status = cudnnSetTensor4dDescriptor(p->x, format, type, s->N, s->C, s->H, s->W);
    if (!status) status = cudnnSetTensor4dDescriptor(p->y, format, type, s->N, s->K, s->P, s->Q);
    if (!status) status = cudnnSetFilter4dDescriptor(p->w, type, format, s->K, s->C / s->groups, s->R, s->S);
    if (!status)
        status = cudnnSetConvolution2dDescriptor(p->conv, s->pad, s->pad, s->stride, s->stride, 1, 1,
                                                 CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT);
    if (!status) status = cudnnSetConvolutionGroupCount(p->conv, s->groups);
    if (!status)
        status = cudnnSetConvolutionMathType(p->conv, type == CUDNN_DATA_FLOAT ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH);
    return status;
}

static void free_plan(struct rn_fast_plan *p)
{
    if (p->conv) cudnnDestroyConvolutionDescriptor(p->conv);
    if (p->w) cudnnDestroyFilterDescriptor(p->w);
    if (p->y) cudnnDestroyTensorDescriptor(p->y);
    if (p->x) cudnnDestroyTensorDescriptor(p->x);
    rn_free(p);
}

/* One of cuDNN's suggestions, of whichever pass. */
struct suggestion { int algorithm; cudnnStatus_t status; cudnnDeterminism_t determinism; cudnnMathType_t math; };

template <class Perf> static int collect(struct suggestion *out, const Perf *perf, int count)
{
    for (int i = 0; i < count; i++)
        out[i] = { static_cast<int>(perf[i].algo), perf[i].status, perf[i].determinism, perf[i].mathType };
    return count;
}

static cudnnStatus_t ask(struct suggestion out[MOST], int *count, cudnnHandle_t dnn, const struct rn_fast_plan *p)
{
    cudnnConvolutionFwdAlgoPerf_t forward[MOST];
    cudnnConvolutionBwdDataAlgoPerf_t data[MOST];
    cudnnConvolutionBwdFilterAlgoPerf_t weights[MOST];
    cudnnStatus_t status;
    *count = 0;
    switch (p->pass) {
    case RN_FAST_FORWARD:
        status = cudnnGetConvolutionForwardAlgorithm_v7(dnn, p->x, p->w, p->conv, p->y, MOST, count, forward);
        if (!status) collect(out, forward, *count);
        return status;
    case RN_FAST_DATA:
        status = cudnnGetConvolutionBackwardDataAlgorithm_v7(dnn, p->w, p->y, p->conv, p->x, MOST, count, data);
        if (!status) collect(out, data, *count);
        return status;
    default:
        status = cudnnGetConvolutionBackwardFilterAlgorithm_v7(dnn, p->x, p->y, p->conv, p->w, MOST, count, weights);
        if (!status) collect(out, weights, *count);
        return status;
    }
}

static cudnnStatus_t workspace_bytes(size_t *bytes, cudnnHandle_t dnn, const struct rn_fast_plan *p, int algorithm)
{
    switch (p->pass) {
    case RN_FAST_FORWARD:
        return cudnnGetConvolutionForwardWorkspaceSize(dnn, p->x, p->w, p->conv, p->y,
                                                       static_cast<cudnnConvolutionFwdAlgo_t>(algorithm), bytes);
    case RN_FAST_DATA:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(dnn, p->w, p->y, p->conv, p->x,
                                                            static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm),
                                                            bytes);
    default:
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(dnn, p->x, p->y, p->conv, p->w,
                                                              static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm),
                                                              bytes);
    }
}

/* The first suggestion that will do; CUDNN_STATUS_NOT_SUPPORTED where none does. */
static cudnnStatus_t choose(struct rn_fast_plan *p, cudnnHandle_t dnn, cudnnDataType_t type)
{
    struct suggestion all[MOST];
    int count;
    cudnnStatus_t status = ask(all, &count, dnn, p);
    for (int i = 0; !status && i < count; i++) {
        size_t bytes = 0;
        if (all[i].status || all[i].determinism != CUDNN_DETERMINISTIC) continue;
        if (type != CUDNN_DATA_FLOAT && cudnnSetConvolutionMathType(p->conv, all[i].math)) continue;
        if (workspace_bytes(&bytes, dnn, p, all[i].algorithm) || bytes > RN_FAST_WORKSPACE) continue;
        p->algorithm = all[i].algorithm;
        p->bytes = bytes;
        return CUDNN_STATUS_SUCCESS;
    }
    return status ? status : CUDNN_STATUS_NOT_SUPPORTED;
}

/* A plan that is not there yet.  cuDNN is asked by one thread at a time. */
static cudnnStatus_t make(struct rn_cuda *cuda, const struct rn_conv_shape *s, enum rn_fast_pass pass)
{
    struct rn_cuda_fast *fast = cuda->fast;
    struct rn_fast_plan *p = static_cast<struct rn_fast_plan *>(rn_alloc(sizeof *p));
    if (!p) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    p->shape = *s;
    p->pass = pass;
    cudnnStatus_t status = describe(p, type_of(cuda));
    pthread_mutex_lock(&fast->busy);
    if (!status) status = choose(p, fast->dnn, type_of(cuda));
    pthread_mutex_unlock(&fast->busy);
    if (status) {
        free_plan(p);
        return status;
    }
    p->next = fast->plans;
    fast->plans = p;
    return status;
}

static const struct rn_fast_plan *find(const struct rn_fast_plan *p, const struct rn_conv_shape *s,
                                       enum rn_fast_pass pass)
{
    while (p && (p->pass != pass || memcmp(&p->shape, s, sizeof *s))) p = p->next;
    return p;
}

const struct rn_fast_plan *rn_fast_plan(struct rn_cuda *cuda, const struct rn_conv_shape *s, enum rn_fast_pass pass)
{
    static const char *const names[] = { "forward", "data gradient", "weight gradient" };
    struct rn_cuda_fast *fast = cuda->fast;
    if (cuda->failed.load()) return nullptr;
    pthread_mutex_lock(&fast->lock);
    const struct rn_fast_plan *plan = find(fast->plans, s, pass);
    cudnnStatus_t status = plan ? CUDNN_STATUS_SUCCESS : make(cuda, s, pass);
    if (!plan && !status) plan = fast->plans;
    pthread_mutex_unlock(&fast->lock);
    if (status) {
        char why[220];
        snprintf(why, sizeof why, "cuDNN has no algorithm for the %s of n%dc%dh%dw%dk%dr%ds%du%da%dg%d: %s",
                 names[pass], s->N, s->C, s->H, s->W, s->K, s->R, s->S, s->stride, s->pad, s->groups,
                 cudnnGetErrorString(status));
        rn_cuda_fail(cuda, { cudaErrorUnknown, why });
    }
    return plan;
}

void rn_fast_plans_free(struct rn_cuda_fast *fast)
{
    while (struct rn_fast_plan *p = fast->plans) {
        fast->plans = p->next;
        free_plan(p);
    }
}
