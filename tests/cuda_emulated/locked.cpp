/*
 * locked.cpp - page-locked memory and events of the emulated device.
 *
 * What is queued has been done when the call returns, so a copy out of page-locked memory cannot be late here.  That
 * nothing changes there until the stream, or an event behind the copy, was waited for is checked when it is waited for.
 */
#include "locked.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A copy on its way, by its number. */
struct departure { departure *next; const void *src; size_t bytes, sum; unsigned long number; };
static departure *departures;
struct locked_piece { locked_piece *next; char *mem; size_t bytes; };
static locked_piece *locked_pieces;
static unsigned long copies;
struct rn_emulated_event { unsigned long number; };

static size_t sum_of(const void *mem, size_t bytes)
{
    size_t sum = bytes;
    for (size_t i = 0; i < bytes; i++) sum = sum * 31 + static_cast<const unsigned char *>(mem)[i];
    return sum;
}

static bool page_locked(const void *src)
{
    for (const locked_piece *p = locked_pieces; p; p = p->next)
        if (src >= p->mem && src < p->mem + p->bytes) return true;
    return false;
}

void rn_emulated_depart(const void *src, size_t bytes)
{
    pthread_mutex_lock(&lock);
    copies++;
    if (page_locked(src)) departures = new departure{ departures, src, bytes, sum_of(src, bytes), copies };
    pthread_mutex_unlock(&lock);
}

/* The copies up to that one have been waited for. */
static void arrived(unsigned long number)
{
    pthread_mutex_lock(&lock);
    for (departure **at = &departures; *at;) {
        departure *d = *at;
        if (sum_of(d->src, d->bytes) != d->sum)
            rn_emulated_die("page-locked memory changes before its copy is waited for");
        if (d->number > number) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        delete d;
    }
    pthread_mutex_unlock(&lock);
}

void rn_emulated_arrived() { arrived(copies); }

cudaError_t cudaHostAlloc(void **mem, size_t bytes, unsigned)
{
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    char *got = static_cast<char *>(malloc(bytes));
    if (!got) return cudaErrorMemoryAllocation;
    pthread_mutex_lock(&lock);
    locked_pieces = new locked_piece{ locked_pieces, got, bytes };
    pthread_mutex_unlock(&lock);
    *mem = got;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *mem)
{
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    pthread_mutex_lock(&lock);
    locked_piece **at = &locked_pieces;
    while (*at && (*at)->mem != mem) at = &(*at)->next;
    if (!*at) rn_emulated_die("cudaFreeHost of something else");
    locked_piece *p = *at;
    for (const departure *d = departures; d; d = d->next)
        if (d->src >= p->mem && d->src < p->mem + p->bytes)
            rn_emulated_die("page-locked memory is freed before its copy is waited for");
    *at = p->next;
    delete p;
    pthread_mutex_unlock(&lock);
    free(mem);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = new rn_emulated_event();
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    event->number = copies;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    arrived(event->number);
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}
