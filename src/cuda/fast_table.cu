/*
 * fast_table.cu - the op table of the numerics `fast`, and the device with its libraries.
 */
#include "cuda/fast.h"
#include "cuda/table.h"

extern "C" {
#include "base/mem.h"
}

#include <stdlib.h>
#include <string.h>

static enum rn_cuda_storage storage_of(const struct rn_device_options *options)
{
    const char *numerics = options && options->numerics ? options->numerics : "";
    if (!strcmp(numerics, "fast-fp16")) return RN_CUDA_HALF;
    return strcmp(numerics, "fast-bf16") ? RN_CUDA_FLOAT : RN_CUDA_BF16;
}

static rn_status open_libraries(struct rn_cuda *cuda)
{
    struct rn_cuda_fast *fast = cuda->fast;
    const struct rn_cuda_end dnn = rn_fast_ended(cudnnCreate(&fast->dnn));
    if (dnn.error) return rn_fail(RN_EFAIL, "backend cuda: cuDNN cannot be used: %s", dnn.why);
    const struct rn_cuda_end blas = rn_fast_ended(cublasCreate(&fast->blas));
    if (blas.error) return rn_fail(RN_EFAIL, "backend cuda: cuBLAS cannot be used: %s", blas.why);
    return rn_cuda_alloc(cuda, &fast->blas_memory, RN_FAST_BLAS_BYTES);
}

/* bf16 came with sm_80. */
static rn_status check_storage(const struct rn_cuda *cuda)
{
    if (cuda->storage == RN_CUDA_BF16 && cuda->major < 8)
        return rn_fail(RN_EUSAGE, "--numerics fast-bf16: the GPU is %s, and bf16 needs sm_80 or later", cuda->isa);
    return RN_OK;
}

/* RESNET_CUDA_GRAPHS=no: without graphs, to compare with. */
static rn_status open_graphs(struct rn_cuda *cuda)
{
    const char *wanted = getenv("RESNET_CUDA_GRAPHS");
    return wanted && !strcmp(wanted, "no") ? RN_OK : rn_cuda_graphs_open(cuda);
}

rn_status rn_fast_open(void **dev, const struct rn_device_options *options)
{
    struct rn_cuda *cuda = NULL;
    rn_status status = rn_cuda_open_for(&cuda, options, &rn_ops_cuda_fast);
    if (status) return status;
    cuda->storage = storage_of(options);
    if ((status = check_storage(cuda))) goto fail;
    cuda->fast = static_cast<struct rn_cuda_fast *>(rn_alloc(sizeof *cuda->fast));
    status = RN_ENOMEM;
    if (!cuda->fast) goto fail;
    pthread_mutex_init(&cuda->fast->lock, NULL);
    pthread_mutex_init(&cuda->fast->busy, NULL);
    if ((status = open_libraries(cuda))) goto fail;
    if ((status = open_graphs(cuda))) goto fail;
    *dev = cuda;
    return RN_OK;
fail:
    rn_fast_close(cuda);
    return status;
}

void rn_fast_close(void *dev)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    if (!cuda) return;
    rn_cuda_sync(cuda);
    rn_cuda_graphs_close(cuda);
    if (struct rn_cuda_fast *fast = cuda->fast) {
        rn_fast_plans_free(fast);
        if (fast->blas_memory) rn_cuda_release(cuda, fast->blas_memory);
        if (fast->blas) cublasDestroy(fast->blas);
        if (fast->dnn) cudnnDestroy(fast->dnn);
        pthread_mutex_destroy(&fast->busy);
        pthread_mutex_destroy(&fast->lock);
        rn_free(fast);
    }
    rn_cuda_close(cuda);
}

static constexpr struct rn_ops make_table()
{
    struct rn_ops table = rn_cuda_table();
    table.numerics = "fast fast-fp16 fast-bf16";
    table.exact = 0;
#define FILL(slot) table.slot = rn_fast_##slot;
    RN_FAST_SLOTS(FILL)
#undef FILL
    table.run = rn_cuda_run_recorded;
    return table;
}

extern "C" constexpr struct rn_ops rn_ops_cuda_fast = make_table();
