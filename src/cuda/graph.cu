/*
 * graph.cu - records commands instead of queueing them, and turns records that come again into CUDA graphs.
 *
 * A pass (the slot `run`) is a few hundred commands that are the same at every step.  While a thread is inside `run`
 * its commands are written down; at the end, or before anything that does not go by a record, they are looked up.  A
 * record that was never seen is queued command by command, which also loads whatever kernels it needs; the second
 * time it is captured; from then on it is one launch of a graph.  Equal records are equal bytes: the kernels, their
 * grids and all arguments, hence the same memory.  Whatever differs (a batch of another size) is another record.
 *
 * What cannot be captured is queued command by command for as long as the device is open, and `isa` says why.
 */
#include "cuda/cuda.h"

extern "C" {
#include "base/mem.h"
}

#include <stdio.h>
#include <string.h>

#define MOST 16         /* graphs; then the oldest goes */
#define LEAST 8         /* commands that a graph pays for */
#define ALIGNMENT alignof(max_align_t)

struct header { rn_cuda_play_fn *play; size_t bytes; };

struct record { unsigned char *bytes; size_t length, capacity; int commands; };

struct known { unsigned char *bytes; size_t length; cudaGraphExec_t graph; }; /* graph: from the second time on */

struct rn_cuda_graphs {
    pthread_mutex_t lock; /* of all that follows */
    cudaStream_t stream;  /* where commands are captured */
    bool broken;
    size_t next;
    struct known known[MOST];
};

static thread_local struct record *recording; /* of this thread, while it is inside `run` */
static thread_local const struct rn_cuda *recorded;
static thread_local int pauses;

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* -- life -------------------------------------------------------------------------------------------- */

rn_status rn_cuda_graphs_open(struct rn_cuda *cuda)
{
    struct rn_cuda_graphs *g = static_cast<struct rn_cuda_graphs *>(rn_alloc(sizeof *g));
    if (!g) return RN_ENOMEM;
    cudaError_t error = cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking);
    if (error) {
        rn_free(g);
        return rn_fail(RN_EFAIL, "backend cuda: the device cannot be used: %s", cudaGetErrorString(error));
    }
    pthread_mutex_init(&g->lock, NULL);
    cuda->graphs = g;
    return RN_OK;
}

static void forget(struct known *k)
{
    if (k->graph) cudaGraphExecDestroy(k->graph);
    rn_free(k->bytes);
    *k = {};
}

void rn_cuda_graphs_close(struct rn_cuda *cuda)
{
    struct rn_cuda_graphs *g = cuda->graphs;
    if (!g) return;
    for (struct known &k : g->known) forget(&k);
    cudaStreamDestroy(g->stream);
    pthread_mutex_destroy(&g->lock);
    rn_free(g);
    cuda->graphs = NULL;
}

/* -- recording --------------------------------------------------------------------------------------- */

static bool is_recording(const struct rn_cuda *cuda) { return recording && recorded == cuda && !pauses; }

void *rn_cuda_record(struct rn_cuda *cuda, rn_cuda_play_fn *play, size_t bytes)
{
    if (!is_recording(cuda)) return NULL;
    struct record *r = recording;
    const size_t head = aligned(sizeof(struct header)), body = aligned(bytes);
    if (r->length + head + body > r->capacity) {
        const size_t capacity = 2 * (r->length + head + body);
        unsigned char *larger = static_cast<unsigned char *>(rn_alloc(capacity));
        if (!larger) { /* then this one, too, is queued at once, behind the others */
            rn_cuda_flush(cuda);
            return NULL;
        }
        if (r->length) memcpy(larger, r->bytes, r->length);
        rn_free(r->bytes);
        r->bytes = larger;
        r->capacity = capacity;
    }
    unsigned char *at = r->bytes + r->length;
    memset(at, 0, head + body);
    *reinterpret_cast<struct header *>(at) = { play, head + body };
    r->length += head + body;
    r->commands++;
    return at + head;
}

void rn_cuda_pause(struct rn_cuda *cuda)
{
    rn_cuda_flush(cuda);
    pauses++;
}

void rn_cuda_resume(void) { pauses--; }

/* -- playing ----------------------------------------------------------------------------------------- */

static struct rn_cuda_end play(struct rn_cuda *cuda, const struct record *r, cudaStream_t stream)
{
    struct rn_cuda_end end = {};
    for (size_t at = 0; at < r->length && !end.error;) {
        const struct header *h = reinterpret_cast<const struct header *>(r->bytes + at);
        end = h->play(cuda, r->bytes + at + aligned(sizeof *h), stream);
        at += h->bytes;
    }
    return end;
}

/* A graph of the record. */
static struct rn_cuda_end capture(struct rn_cuda *cuda, cudaGraphExec_t *exec, const struct record *r)
{
    cudaStream_t stream = cuda->graphs->stream;
    cudaGraph_t graph = NULL;
    struct rn_cuda_end end = rn_cuda_ended(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    if (end.error) return end;
    end = play(cuda, r, stream);
    const struct rn_cuda_end captured = rn_cuda_ended(cudaStreamEndCapture(stream, &graph));
    if (!end.error) end = captured;
    if (!end.error) end = rn_cuda_ended(cudaGraphInstantiate(exec, graph, 0));
    if (end.error) *exec = NULL; /* whatever was written there */
    if (graph) cudaGraphDestroy(graph);
    return end;
}

/* Where a record is known, or a place for it in the order of coming; NULL: no memory. */
static struct known *find(struct rn_cuda *cuda, const struct record *r, bool *seen)
{
    struct rn_cuda_graphs *g = cuda->graphs;
    for (struct known &k : g->known)
        if (k.length == r->length && !memcmp(k.bytes, r->bytes, r->length)) {
            *seen = true;
            return &k;
        }
    *seen = false;
    struct known *k = &g->known[g->next];
    if (k->graph) rn_cuda_note(cuda, cudaStreamSynchronize(cuda->stream)); /* it may still run */
    forget(k);
    k->bytes = static_cast<unsigned char *>(rn_alloc(r->length));
    if (!k->bytes) return NULL;
    memcpy(k->bytes, r->bytes, r->length);
    k->length = r->length;
    g->next = (g->next + 1) % MOST;
    return k;
}

/* Whether the record went as a graph. */
static bool launched(struct rn_cuda *cuda, const struct record *r)
{
    struct rn_cuda_graphs *g = cuda->graphs;
    bool seen;
    if (g->broken || r->commands < LEAST) return false;
    struct known *k = find(cuda, r, &seen);
    if (!k || !seen) return false;
    const struct rn_cuda_end end = k->graph ? rn_cuda_end() : capture(cuda, &k->graph, r);
    if (!end.error) {
        rn_cuda_note(cuda, cudaGraphLaunch(k->graph, cuda->stream));
        return true;
    }
    const size_t length = strlen(cuda->isa);
    snprintf(cuda->isa + length, sizeof cuda->isa - length, ", without CUDA graphs: %s", end.why);
    cudaGetLastError();
    g->broken = true;
    return false;
}

void rn_cuda_flush(struct rn_cuda *cuda)
{
    if (!is_recording(cuda) || !recording->length) return;
    if (!cuda->failed.load()) {
        pthread_mutex_lock(&cuda->graphs->lock);
        if (!launched(cuda, recording)) rn_cuda_fail(cuda, play(cuda, recording, cuda->stream));
        pthread_mutex_unlock(&cuda->graphs->lock);
    }
    recording->length = 0;
    recording->commands = 0;
}

void rn_cuda_run_recorded(void *dev, void (*pass)(void *arg), void *arg)
{
    struct rn_cuda *cuda = rn_cuda_device(dev);
    struct record r = {};
    if (recording) { /* a pass within a pass */
        pass(arg);
        return;
    }
    if (cuda->graphs) {
        recording = &r;
        recorded = cuda;
    }
    pass(arg);
    rn_cuda_flush(cuda);
    recording = NULL;
    rn_free(r.bytes);
}
