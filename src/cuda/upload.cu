/*
 * upload.cu - from the host's memory to the device's without waiting for the device.
 *
 * A copy out of pageable memory may hold the host up until the stream has come to it.  So what is written goes into a
 * piece of page-locked memory first, one of a ring; a piece is free again when the event behind its copy has passed.
 */
#include "cuda/cuda.h"

#include <string.h>

#define LARGEST (static_cast<size_t>(16) << 20) /* what is larger is copied as it lies; a piece keeps its memory */

/* Makes the piece free, and that large; false: it cannot be. */
static bool reserve(struct rn_cuda_piece *p, size_t bytes)
{
    if (!p->passed && cudaEventCreateWithFlags(&p->passed, cudaEventDisableTiming)) return false;
    if (cudaEventSynchronize(p->passed)) return false;
    if (bytes <= p->bytes) return true;
    if (p->memory) cudaFreeHost(p->memory);
    *p = { NULL, 0, p->passed };
    if (cudaHostAlloc(&p->memory, bytes, cudaHostAllocDefault)) return false;
    p->bytes = bytes;
    return true;
}

/* Whether it was queued so. */
static bool queued(struct rn_cuda *cuda, void *dst, const void *host, size_t bytes)
{
    struct rn_cuda_piece *p = &cuda->piece[cuda->next_piece];
    if (bytes > LARGEST) return false;
    if (!reserve(p, bytes)) {
        cudaGetLastError();
        return false;
    }
    cuda->next_piece = (cuda->next_piece + 1) % RN_CUDA_PIECES;
    memcpy(p->memory, host, bytes);
    rn_cuda_note(cuda, cudaMemcpyAsync(dst, p->memory, bytes, cudaMemcpyHostToDevice, cuda->stream));
    rn_cuda_note(cuda, cudaEventRecord(p->passed, cuda->stream));
    return true;
}

void rn_cuda_write(void *dev, void *dst, const void *host, size_t bytes)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    rn_cuda_flush(cuda);
    if (!bytes || cuda->failed.load()) return;
    pthread_mutex_lock(&cuda->pieces_lock);
    if (!queued(cuda, dst, host, bytes))
        rn_cuda_note(cuda, cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, cuda->stream));
    pthread_mutex_unlock(&cuda->pieces_lock);
}

void rn_cuda_pieces_free(struct rn_cuda *cuda)
{
    for (struct rn_cuda_piece &p : cuda->piece) {
        if (p.passed) cudaEventSynchronize(p.passed);
        if (p.memory) cudaFreeHost(p.memory);
        if (p.passed) cudaEventDestroy(p.passed);
    }
}
