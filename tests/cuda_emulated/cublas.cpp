/*
 * cublas.cpp - cublasGemmEx as three loops, for the emulated device.  Strict where the library is, and where a use
 * would go wrong in a graph: a call that is captured needs a workspace of the caller's, which cublasSetStream forgets.
 */
#include "cublas_v2.h"
#include "numbers.h"

struct rn_emulated_blas {
    cudaStream_t stream;
    void *workspace;
    size_t bytes;
};

const char *cublasGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE" : "CUBLAS_STATUS_NOT_SUPPORTED";
}

cublasStatus_t cublasCreate(cublasHandle_t *handle)
{
    *handle = new rn_emulated_blas();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream)
{
    *handle = { stream, nullptr, 0 };
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes)
{
    if (reinterpret_cast<uintptr_t>(workspace) % 256) return CUBLAS_STATUS_INVALID_VALUE;
    rn_emulated_check_pointer(workspace);
    handle->workspace = workspace;
    handle->bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

static bool kind_of(rn_kind *kind, cudaDataType type)
{
    *kind = type == CUDA_R_16F ? RN_HALF : type == CUDA_R_16BF ? RN_BF16 : RN_FLOAT;
    return type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                            const void *alpha, const void *a, cudaDataType type_a, int ld_a, const void *b,
                            cudaDataType type_b, int ld_b, const void *beta, void *c, cudaDataType type_c, int ld_c,
                            cublasComputeType_t compute, cublasGemmAlgo_t)
{
    rn_kind from, to;
    const float times = *static_cast<const float *>(alpha), keep = *static_cast<const float *>(beta);
    if (m < 1 || n < 1 || k < 1 || ld_a < (op_a == CUBLAS_OP_N ? m : k) || ld_b < (op_b == CUBLAS_OP_N ? k : n) ||
        ld_c < m)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (type_a != type_b || compute != CUBLAS_COMPUTE_32F || !kind_of(&from, type_a) || !kind_of(&to, type_c) ||
        (to != RN_FLOAT && to != from))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (const void *p : { a, b, const_cast<const void *>(c) }) {
        rn_emulated_check_pointer(p);
        if (reinterpret_cast<uintptr_t>(p) % 16) return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (!handle->workspace) rn_emulated_die("cuBLAS without a workspace of the caller's cannot be captured");
    unsigned char *scratch = static_cast<unsigned char *>(handle->workspace);
    const size_t bytes = handle->bytes;
    return rn_emulated_work(handle->stream, [=] {
        memset(scratch, 0xff, bytes);
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                float sum = 0;
                for (int p = k - 1; p >= 0; p--) {
                    const size_t at_a = op_a == CUBLAS_OP_N ? size_t(p) * ld_a + i : size_t(i) * ld_a + p;
                    const size_t at_b = op_b == CUBLAS_OP_N ? size_t(j) * ld_b + p : size_t(p) * ld_b + j;
                    sum += rn_get(a, from, at_a) * rn_get(b, from, at_b);
                }
                const size_t at = size_t(j) * ld_c + i;
                rn_set(c, to, at, times * sum + (keep != 0 ? keep * rn_get(c, to, at) : 0));
            }
    }) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
