/*
 * table.cu - the op table of the CUDA backend.  Every slot is the function rn_cuda_SLOT.  And what else the build has.
 */
#include "cuda/table.h"

#ifdef RN_HAVE_CUDNN
#include "cuda/fast.h"
#endif

#ifndef RN_CUDA_ARCHS /* the Makefile knows them */
#define RN_CUDA_ARCHS "an emulated device"
#endif

extern "C" constexpr struct rn_ops rn_ops_cuda = rn_cuda_table();

extern "C" const char *rn_cuda_build(void) { return RN_CUDA_ARCHS; }

#ifdef RN_HAVE_CUDNN
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

extern "C" const struct rn_ops *rn_cuda_fast(const char **libraries)
{
    *libraries = "cuDNN " TEXT(CUDNN_MAJOR) "." TEXT(CUDNN_MINOR) "." TEXT(CUDNN_PATCHLEVEL) ", cuBLAS " TEXT(
        CUBLAS_VER_MAJOR) "." TEXT(CUBLAS_VER_MINOR) "." TEXT(CUBLAS_VER_PATCH);
    return &rn_ops_cuda_fast;
}
#else
extern "C" const struct rn_ops *rn_cuda_fast(const char **libraries)
{
    *libraries = "";
    return nullptr;
}
#endif
