/*
 * device.cu - the device of the CUDA backend: the first GPU that CUDA_VISIBLE_DEVICES leaves, one stream on it,
 * its memory, and what happens when it fails.
 *
 * Slots return nothing, so an error of a launch or a copy is kept.  From then on the device computes nothing, what
 * is read from it is NaN, and a verdict that is read is not 1: the caller's next look at a loss ends the run (A7).
 * The reason stands behind every later message (rn_fail_because), and no program ends with status 0 once it is known.
 */
#include "cuda/cuda.h"

extern "C" {
#include "base/mem.h"
#include "base/text.h"
}

#include <stdio.h>
#include <string.h>

/* -- failure ------------------------------------------------------------------------------------------ */

void rn_cuda_fail(struct rn_cuda *cuda, struct rn_cuda_end end)
{
    int none = cudaSuccess;
    if (end.error == cudaSuccess || !cuda->failed.compare_exchange_strong(none, end.error)) return;
    char text[300];
    snprintf(text, sizeof text, "the CUDA device failed before: %s", end.why);
    rn_fail_because(text);
}

static bool failed(const struct rn_cuda *cuda) { return cuda->failed.load() != cudaSuccess; }

/* -- opening ------------------------------------------------------------------------------------------ */

/* Why there is no device to open. */
static rn_status find_device(void)
{
    int devices = 0, driver = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);
    if (error == cudaSuccess && devices > 0) return RN_OK;
    cudaGetLastError();
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return rn_fail(RN_EFAIL, "backend cuda: there is no NVIDIA driver on this machine");
    if (error == cudaErrorInsufficientDriver)
        return rn_fail(RN_EFAIL, "backend cuda: the NVIDIA driver is for CUDA %d.%d, older than this build's",
                       driver / 1000, driver % 1000 / 10);
    if (error == cudaSuccess || error == cudaErrorNoDevice)
        return rn_fail(RN_EFAIL, "backend cuda: there is no CUDA device, or CUDA_VISIBLE_DEVICES hides it");
    return rn_fail(RN_EFAIL, "backend cuda: the device cannot be used: %s", cudaGetErrorString(error));
}

static rn_status check_options(const struct rn_device_options *options, const struct rn_ops *table)
{
    const char *numerics = options && options->numerics ? options->numerics : "";
    const char *isa = options && options->isa ? options->isa : "";
    if (*numerics && !rn_listed(table->numerics, numerics))
        return rn_fail(RN_EUSAGE, "backend cuda does not have the numerics '%s'; it has: %s", numerics,
                       table->numerics);
    if (*isa) return rn_fail(RN_EUSAGE, "instruction set '%s': backend cuda has only the GPU's own", isa);
    return RN_OK;
}

static cudaError_t start(struct rn_cuda *cuda)
{
    int minor = 0;
    cudaError_t error = cudaSetDevice(0);
    if (!error) error = cudaDeviceGetAttribute(&cuda->major, cudaDevAttrComputeCapabilityMajor, 0);
    if (!error) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0);
    snprintf(cuda->isa, sizeof cuda->isa, "sm_%d%d", cuda->major, minor);
    if (!error) error = cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking);
    return error;
}

rn_status rn_cuda_open_for(struct rn_cuda **opened, const struct rn_device_options *options, const struct rn_ops *table)
{
    rn_status status = check_options(options, table);
    if (!status) status = find_device();
    if (status) return status;
    struct rn_cuda *cuda = static_cast<struct rn_cuda *>(rn_alloc(sizeof *cuda));
    if (!cuda) return RN_ENOMEM;
    pthread_mutex_init(&cuda->lock, NULL);
    pthread_mutex_init(&cuda->pieces_lock, NULL);
    cudaError_t error = start(cuda);
    if (error) status = rn_fail(RN_EFAIL, "backend cuda: the device cannot be used: %s", cudaGetErrorString(error));
    if (!status) status = rn_cuda_selfcheck(cuda);
    if (status) rn_cuda_close(cuda);
    else *opened = cuda;
    return status;
}

rn_status rn_cuda_open(void **dev, const struct rn_device_options *options)
{
    struct rn_cuda *cuda = NULL;
    rn_status status = rn_cuda_open_for(&cuda, options, &rn_ops_cuda);
    if (!status) *dev = cuda;
    return status;
}

void rn_cuda_close(void *dev)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    if (!cuda) return;
    rn_cuda_pieces_free(cuda);
    if (cuda->staging) cudaFree(cuda->staging);
    if (cuda->stream) cudaStreamDestroy(cuda->stream);
    pthread_mutex_destroy(&cuda->pieces_lock);
    pthread_mutex_destroy(&cuda->lock);
    rn_free(cuda);
}

const char *rn_cuda_isa(void *dev) { return rn_cuda_device(dev)->isa; }

/* -- memory ------------------------------------------------------------------------------------------- */

rn_status rn_cuda_alloc(void *dev, void **mem, size_t bytes)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    void *got = NULL;
    cudaError_t error = static_cast<cudaError_t>(cuda->failed.load());
    if (!error) error = cudaMalloc(&got, RN_MAX(bytes, 1));
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* the device goes on */
        return rn_fail(RN_ENOMEM, "out of memory: the CUDA device has no %.1f MB left",
                       static_cast<double>(bytes) / RN_MB);
    }
    if (!error) error = cudaMemsetAsync(got, 0, bytes, cuda->stream);
    if (error) {
        rn_cuda_note(cuda, error);
        return rn_fail(RN_EFAIL, "backend cuda: no memory of the device: %s", cudaGetErrorString(error));
    }
    *mem = got;
    return RN_OK;
}

void rn_cuda_release(void *dev, void *mem)
{
    rn_cuda_flush(rn_cuda_device(dev));
    if (mem) rn_cuda_note(rn_cuda_device(dev), cudaFree(mem));
}

void *rn_cuda_stage(struct rn_cuda *cuda, size_t bytes)
{
    rn_cuda_pause(cuda);
    pthread_mutex_lock(&cuda->lock);
    if (failed(cuda)) return NULL;
    if (bytes <= cuda->staging_bytes) return cuda->staging;
    if (cuda->staging) rn_cuda_note(cuda, cudaFree(cuda->staging));
    cuda->staging = NULL;
    cuda->staging_bytes = 0;
    cudaError_t error = cudaMalloc(&cuda->staging, bytes);
    rn_cuda_note(cuda, error);
    if (!error) cuda->staging_bytes = bytes;
    return failed(cuda) ? NULL : cuda->staging;
}

void rn_cuda_unstage(struct rn_cuda *cuda)
{
    pthread_mutex_unlock(&cuda->lock);
    rn_cuda_resume();
}

/* What a failed device is asked for is NaN, as floats and as doubles. */
void rn_cuda_read(void *dev, void *host, const void *src, size_t bytes)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    rn_cuda_flush(cuda);
    if (bytes && !failed(cuda))
        rn_cuda_note(cuda, cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, cuda->stream));
    rn_cuda_sync(dev);
    if (failed(cuda) && bytes) memset(host, 0xff, bytes);
}

struct copy {
    void *dst;
    const void *src;
    size_t bytes;

    struct rn_cuda_end play(struct rn_cuda *, cudaStream_t stream) const
    {
        return rn_cuda_ended(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, stream));
    }
};

void rn_cuda_copy(void *dev, void *dst, const void *src, size_t bytes)
{
    if (bytes) rn_cuda_queue<copy>(rn_cuda_device(dev), dst, src, bytes);
}

/* A failed device is waited for, too: what was queued before may still write into the host's memory. */
void rn_cuda_sync(void *dev)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    rn_cuda_flush(cuda);
    rn_cuda_note(cuda, cudaStreamSynchronize(cuda->stream));
}

void rn_cuda_run(void *dev, void (*pass)(void *arg), void *arg)
{
    (void)dev;
    pass(arg);
}
