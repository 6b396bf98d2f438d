/*
 * cudnn.cpp - cuDNN's convolutions as loops over all products, for the emulated device.
 *
 * It refuses what cuDNN refuses and checks what cuDNN may assume: equal types and NHWC everywhere, shapes that fit each
 * other, pointers that are aligned, results that do not lie over operands, a workspace as large as the algorithm said.
 * Of the workspace it spoils every byte.  Products of floats are rounded to TF32 wherever the mathematics allows it
 * (CUDNN_DEFAULT_MATH), as on a GPU.  Sums run backwards, so that no bits agree with those of the exact kernels by
 * chance.  Its list of algorithms begins with ones that must not be taken: too much workspace, not deterministic, not
 * supported; and these compute rubbish.
 */
#include "cudnn.h"
#include "numbers.h"

#include <vector>

enum { GREEDY = 1, RANDOM = 2, MISSING = 3, RIGHT = 4, SLOW = 0 };

struct rn_emulated_dnn { cudaStream_t stream; };
struct rn_emulated_tensor { bool set, filter; cudnnDataType_t type; int n, c, h, w; };
struct rn_emulated_conv { int pad, stride, groups; bool set; cudnnMathType_t math; };

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch (status) {
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER: return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
    case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    default: return "CUDNN_STATUS_EXECUTION_FAILED";
    }
}

/* -- handles and descriptors ---------------------------------------------------------------------------- */

template <class T> static cudnnStatus_t create(T **made)
{
    *made = new T();
    return CUDNN_STATUS_SUCCESS;
}

template <class T> static cudnnStatus_t destroy(T *made)
{
    delete made;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) { return create(handle); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return destroy(handle); }
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *t) { return create(t); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t) { return destroy(t); }
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *w) { return create(w); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t w) { return destroy(w); }
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *c) { return create(c); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c) { return destroy(c); }

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t set(rn_emulated_tensor *t, bool filter, cudnnTensorFormat_t format, cudnnDataType_t type, int n,
                         int c, int h, int w)
{
    const bool known = type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_HALF || type == CUDNN_DATA_BFLOAT16;
    if (n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
    if (format != CUDNN_TENSOR_NHWC || !known) return CUDNN_STATUS_NOT_SUPPORTED;
    *t = { true, filter, type, n, c, h, w };
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t format, cudnnDataType_t type,
                                         int n, int c, int h, int w)
{
    return set(t, false, format, type, n, c, h, w);
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t w, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int h, int width)
{
    return set(w, true, format, type, k, c, h, width);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t c, int pad_h, int pad_w, int u, int v,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t type)
{
    if (pad_h < 0 || u < 1 || dilation_h < 1) return CUDNN_STATUS_BAD_PARAM;
    if (pad_h != pad_w || u != v || dilation_h != 1 || dilation_w != 1 || mode != CUDNN_CROSS_CORRELATION ||
        type != CUDNN_DATA_FLOAT)
        return CUDNN_STATUS_NOT_SUPPORTED;
    *c = { pad_h, u, 1, true, CUDNN_DEFAULT_MATH };
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t c, int groups)
{
    if (!c->set || groups < 1) return CUDNN_STATUS_BAD_PARAM;
    c->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math)
{
    if (!c->set) return CUDNN_STATUS_BAD_PARAM;
    c->math = math;
    return CUDNN_STATUS_SUCCESS;
}

/* -- shapes and algorithms ------------------------------------------------------------------------------ */

static int extent(int size, int taps, const rn_emulated_conv *c) { return (size + 2 * c->pad - taps) / c->stride + 1; }

static cudnnStatus_t fit(const rn_emulated_tensor *x, const rn_emulated_tensor *w, const rn_emulated_conv *c,
                         const rn_emulated_tensor *y)
{
    if (!x->set || !w->set || !y->set || !c->set || x->filter || !w->filter || y->filter) return CUDNN_STATUS_BAD_PARAM;
    if (x->type != w->type || x->type != y->type) return CUDNN_STATUS_BAD_PARAM;
    if (x->n != y->n || x->c != w->c * c->groups || y->c != w->n || w->n % c->groups ||
        y->h != extent(x->h, w->h, c) || y->w != extent(x->w, w->w, c))
        return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
    return CUDNN_STATUS_SUCCESS;
}

/* Channels that are no multiple of 8 are padded for the tensor cores, in the workspace. */
static size_t bytes_of(const rn_emulated_tensor *x, const rn_emulated_tensor *y, int algorithm)
{
    const bool padded = x->type != CUDNN_DATA_FLOAT && (x->c % 8 || y->c % 8);
    return algorithm == GREEDY ? size_t{ 1 } << 40 : algorithm == SLOW ? 0 : padded ? 40016 : 20000;
}

template <class Perf, class Algorithm>
static cudnnStatus_t suggest(const rn_emulated_tensor *x, const rn_emulated_tensor *w, const rn_emulated_conv *c,
                             const rn_emulated_tensor *y, int wanted, int *count, Perf *perf, Algorithm)
{
    static const int order[] = { GREEDY, RANDOM, MISSING, RIGHT, SLOW };
    cudnnStatus_t status = fit(x, w, c, y);
    if (status) return status;
    for (*count = 0; *count < wanted && *count < 5; ++*count) {
        const int a = order[*count];
        perf[*count] = { static_cast<Algorithm>(a), a == MISSING ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS,
                         a + 1.0f, bytes_of(x, y, a), a == RANDOM ? CUDNN_NON_DETERMINISTIC : CUDNN_DETERMINISTIC,
                         x->type == CUDNN_DATA_FLOAT ? CUDNN_DEFAULT_MATH : CUDNN_TENSOR_OP_MATH, {} };
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t c,
                                                     cudnnTensorDescriptor_t y, int wanted, int *count,
                                                     cudnnConvolutionFwdAlgoPerf_t *perf)
{
    return suggest(x, w, c, y, wanted, count, perf, cudnnConvolutionFwdAlgo_t());
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                          cudnnTensorDescriptor_t dy, cudnnConvolutionDescriptor_t c,
                                                          cudnnTensorDescriptor_t dx, int wanted, int *count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t *perf)
{
    return suggest(dx, w, c, dy, wanted, count, perf, cudnnConvolutionBwdDataAlgo_t());
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                            cudnnTensorDescriptor_t dy, cudnnConvolutionDescriptor_t c,
                                                            cudnnFilterDescriptor_t dw, int wanted, int *count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t *perf)
{
    return suggest(x, dw, c, dy, wanted, count, perf, cudnnConvolutionBwdFilterAlgo_t());
}

static cudnnStatus_t measure(const rn_emulated_tensor *x, const rn_emulated_tensor *w, const rn_emulated_conv *c,
                             const rn_emulated_tensor *y, int algorithm, size_t *bytes)
{
    *bytes = bytes_of(x, y, algorithm);
    return algorithm == MISSING ? CUDNN_STATUS_NOT_SUPPORTED : fit(x, w, c, y);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                      cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t c,
                                                      cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t algo,
                                                      size_t *bytes)
{
    return measure(x, w, c, y, algo, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, cudnnFilterDescriptor_t w,
                                                           cudnnTensorDescriptor_t dy, cudnnConvolutionDescriptor_t c,
                                                           cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algo, size_t *bytes)
{
    return measure(dx, w, c, dy, algo, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, cudnnTensorDescriptor_t x,
                                                             cudnnTensorDescriptor_t dy,
                                                             cudnnConvolutionDescriptor_t c,
                                                             cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t algo, size_t *bytes)
{
    return measure(x, dw, c, dy, algo, bytes);
}

/* -- the loops ------------------------------------------------------------------------------------------ */

enum part { FORWARD, DATA, WEIGHTS };

/* A call: descriptors by value, so that a graph may outlive them, and memory. */
struct job {
    rn_emulated_tensor x, w, y;
    rn_emulated_conv c;
    void *x_data, *w_data, *y_data, *workspace;
    size_t bytes;
    int algorithm;
    part what;
    float alpha, beta;
};

static rn_kind kind_of(const job &j)
{
    return j.x.type == CUDNN_DATA_HALF ? RN_HALF : j.x.type == CUDNN_DATA_BFLOAT16 ? RN_BF16 : RN_FLOAT;
}

static size_t size_of(const rn_emulated_tensor &t) { return size_t(t.n) * size_t(t.c) * size_t(t.h) * size_t(t.w); }

static size_t at(const rn_emulated_tensor &t, int n, int c, int h, int w)
{
    return ((size_t(n) * size_t(t.h) + size_t(h)) * size_t(t.w) + size_t(w)) * size_t(t.c) + size_t(c);
}

/* An operand as floats; as TF32 where the mathematics of floats allows it. */
static std::vector<float> floats(const job &j, const rn_emulated_tensor &t, const void *data)
{
    const rn_kind kind = kind_of(j);
    std::vector<float> all(size_of(t));
    for (size_t i = 0; i < all.size(); i++) {
        all[i] = rn_get(data, kind, i);
        if (kind == RN_FLOAT && j.c.math != CUDNN_FMA_MATH) all[i] = rn_rounded(all[i], 10);
    }
    return all;
}

/* Adds every product to its sum, those of one output's or one filter's place and all its channels together. */
static void add_row(part what, float *x, float *w, float *y, int channels)
{
    if (what == FORWARD) {
        float sum = 0;
        for (int c = 0; c < channels; c++) sum += x[c] * w[c];
        *y += sum;
    }
    if (what == DATA)
        for (int c = 0; c < channels; c++) x[c] += *y * w[c];
    if (what == WEIGHTS)
        for (int c = 0; c < channels; c++) w[c] += *y * x[c];
}

static void add_products(const job &j, float *x_all, float *w_all, float *y_all)
{
    const int each = j.w.n / j.c.groups;
    for (int n = j.y.n - 1; n >= 0; n--)
    for (int p = j.y.h - 1; p >= 0; p--)
    for (int q = j.y.w - 1; q >= 0; q--)
    for (int r = j.w.h - 1; r >= 0; r--)
    for (int s = j.w.w - 1; s >= 0; s--) {
        const int h = p * j.c.stride - j.c.pad + r, w = q * j.c.stride - j.c.pad + s;
        if (h < 0 || h >= j.x.h || w < 0 || w >= j.x.w) continue;
        for (int k = j.w.n - 1; k >= 0; k--)
            add_row(j.what, x_all + at(j.x, n, k / each * j.w.c, h, w), w_all + at(j.w, k, 0, r, s),
                    y_all + at(j.y, n, k, p, q), j.w.c);
    }
}

static void compute(const job &j)
{
    void *out = j.what == FORWARD ? j.y_data : j.what == DATA ? j.x_data : j.w_data;
    const bool rubbish = j.algorithm != RIGHT && j.algorithm != SLOW;
    std::vector<float> x, w, y;
    if (j.what == DATA) x.resize(size_of(j.x));
    else x = floats(j, j.x, j.x_data);
    if (j.what == WEIGHTS) w.resize(size_of(j.w));
    else w = floats(j, j.w, j.w_data);
    if (j.what == FORWARD) y.resize(size_of(j.y));
    else y = floats(j, j.y, j.y_data);
    memset(j.workspace, 0xff, j.bytes);
    add_products(j, x.data(), w.data(), y.data());
    const std::vector<float> &sums = j.what == FORWARD ? y : j.what == DATA ? x : w;
    for (size_t i = 0; i < sums.size(); i++) {
        float sum = rubbish ? 1e30f : j.alpha * sums[i];
        if (j.beta != 0) sum += j.beta * rn_get(out, kind_of(j), i);
        rn_set(out, kind_of(j), i, sum);
    }
}

static bool apart(const void *a, size_t bytes, const void *b, size_t others)
{
    const char *p = static_cast<const char *>(a), *q = static_cast<const char *>(b);
    return p + bytes <= q || q + others <= p;
}

static cudnnStatus_t submit(cudnnHandle_t handle, const job &j)
{
    const size_t element = rn_kind_bytes(kind_of(j)), needed = bytes_of(&j.x, &j.y, j.algorithm);
    const size_t x = size_of(j.x) * element, w = size_of(j.w) * element, y = size_of(j.y) * element;
    cudnnStatus_t status = fit(&j.x, &j.w, &j.c, &j.y);
    if (status) return status;
    for (const void *p : { j.x_data, j.w_data, j.y_data, j.workspace }) {
        rn_emulated_check_pointer(p);
        if (reinterpret_cast<uintptr_t>(p) % 16) return CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER;
    }
    if (j.bytes < needed || (needed && !j.workspace)) return CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
    if (!apart(j.x_data, x, j.w_data, w) || !apart(j.x_data, x, j.y_data, y) || !apart(j.w_data, w, j.y_data, y) ||
        !apart(j.workspace, j.bytes, j.x_data, x) || !apart(j.workspace, j.bytes, j.w_data, w) ||
        !apart(j.workspace, j.bytes, j.y_data, y))
        return CUDNN_STATUS_BAD_PARAM;
    return rn_emulated_work(handle->stream, [j] { compute(j); }) ? CUDNN_STATUS_EXECUTION_FAILED
                                                                : CUDNN_STATUS_SUCCESS;
}

static float number(const void *p) { return *static_cast<const float *>(p); }

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x,
                                      const void *x_data, cudnnFilterDescriptor_t w, const void *w_data,
                                      cudnnConvolutionDescriptor_t c, cudnnConvolutionFwdAlgo_t algo, void *workspace,
                                      size_t bytes, const void *beta, cudnnTensorDescriptor_t y, void *y_data)
{
    return submit(handle, { *x, *w, *y, *c, const_cast<void *>(x_data), const_cast<void *>(w_data), y_data, workspace,
                            bytes, algo, FORWARD, number(alpha), number(beta) });
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, cudnnFilterDescriptor_t w,
                                           const void *w_data, cudnnTensorDescriptor_t dy, const void *dy_data,
                                           cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdDataAlgo_t algo,
                                           void *workspace, size_t bytes, const void *beta, cudnnTensorDescriptor_t dx,
                                           void *dx_data)
{
    return submit(handle, { *dx, *w, *dy, *c, dx_data, const_cast<void *>(w_data), const_cast<void *>(dy_data),
                            workspace, bytes, algo, DATA, number(alpha), number(beta) });
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t x,
                                             const void *x_data, cudnnTensorDescriptor_t dy, const void *dy_data,
                                             cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdFilterAlgo_t algo,
                                             void *workspace, size_t bytes, const void *beta,
                                             cudnnFilterDescriptor_t dw, void *dw_data)
{
    return submit(handle, { *x, *dw, *dy, *c, const_cast<void *>(x_data), dw_data, const_cast<void *>(dy_data),
                            workspace, bytes, algo, WEIGHTS, number(alpha), number(beta) });
}
