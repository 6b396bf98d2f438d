/*
 * device.cpp - a device without hardware: memory, streams and launches for cuda_runtime.h of this folder.
 *
 * It is slow and strict.  What it finds: an access outside an allocation or after its end (each lies against a
 * page without rights), an access to device memory by the host (outside launches and copies it has no rights),
 * a kernel's pointer that is the host's, memory of a block read before it was written (NaNs), a barrier that not
 * all threads reach, more than 48 KB of memory in a block, a result used before the copy was waited for (NaNs).
 * Threads and blocks whose order matters show by running in another one.  Whatever it finds ends the process
 * with a line on standard error.
 *
 *   RN_EMULATED_ORDER     forward (default), reverse, or a number: another order in every block, after every barrier
 *   RN_EMULATED_FAIL_AT   n: the n-th launch and all later ones fail
 *   RN_EMULATED_DEVICES   how many there are (1); RN_EMULATED_DRIVER: the driver's version, 0 for none (13000)
 *   RN_EMULATED_MEMORY    MiB that can be allocated (4096)
 *   RN_EMULATED_RIGHTS    open: the host keeps its access, which saves half of the time
 *   RN_EMULATED_CAPTURE   refuse: whatever is captured ends with an error; late: its graph cannot be launched
 *   RN_EMULATED_COUNT     yes: at the end, a line on standard error with what was called how often
 *
 * A captured stream runs nothing; its commands are kept and run by every launch of the graph.  What CUDA does not allow
 * meanwhile (allocating, waiting) fails and spoils the capture.
 */
#include "block.h"
#include "locked.h"

extern "C" {
#include "base/real.h"
}

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one launch or copy at a time */

struct rn_emulated_graph { std::vector<std::function<cudaError_t()>> commands; };
struct rn_emulated_stream { bool capturing; rn_emulated_graph captured; };

static thread_local rn_emulated_stream *captures; /* the stream that this thread captures */
static thread_local bool spoilt;                  /* and whether that has failed */
static long launch_count, capture_count, graph_count;

[[noreturn]] static void die(const char *what)
{
    fprintf(stderr, "emulated device: %s (block %u %u %u, thread %u %u %u)\n", what, blockIdx.x, blockIdx.y,
            blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    _exit(99);
}

void rn_emulated_die(const char *what) { die(what); }

static long setting(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, nullptr, 10) : otherwise;
}

static bool chosen(const char *name, const char *word)
{
    const char *text = getenv(name);
    return text && !strcmp(text, word);
}

float rn_emulated_fmaf(float x, float y, float z) { return rn_soft_fmaf(x, y, z); }

/* -- streams ----------------------------------------------------------------------------------------- */

/* Runs a command, or keeps it. */
static cudaError_t in_order(cudaStream_t stream, std::function<cudaError_t()> command)
{
    if (!stream) die("the default stream is in no order with the others");
    if (!stream->capturing) return command();
    if (captures != stream) die("a stream is used while another thread captures it");
    stream->captured.commands.push_back(std::move(command));
    return cudaSuccess;
}

/* What may not happen in a thread that captures. */
bool rn_emulated_forbidden()
{
    if (captures) spoilt = true;
    return captures != nullptr;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    if (captures || stream->capturing || mode != cudaStreamCaptureModeThreadLocal) return cudaErrorInvalidValue;
    stream->capturing = true;
    stream->captured.commands.clear();
    captures = stream;
    spoilt = chosen("RN_EMULATED_CAPTURE", "refuse");
    capture_count++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    if (captures != stream) return cudaErrorInvalidValue;
    stream->capturing = false;
    captures = nullptr;
    *graph = nullptr;
    if (spoilt) return cudaErrorStreamCaptureInvalidated;
    *graph = new rn_emulated_graph(stream->captured);
    return cudaSuccess;
}

/* Where it fails it has written something. */
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    if (chosen("RN_EMULATED_CAPTURE", "late")) {
        memset(exec, 0xff, sizeof *exec);
        return cudaErrorInvalidValue;
    }
    *exec = new rn_emulated_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    graph_count++;
    return in_order(stream, [exec] {
        for (auto &command : exec->commands)
            if (cudaError_t error = command()) return error;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

long rn_emulated_graph_launches() { return graph_count; }

static void print_counts()
{
    fprintf(stderr, "emulated device: %ld launches, %ld captures, %ld graph launches\n", launch_count, capture_count,
            graph_count);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    static bool told;
    if (!told && getenv("RN_EMULATED_COUNT")) atexit(print_counts);
    told = true;
    *stream = new rn_emulated_stream();
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    delete stream;
    return cudaSuccess;
}

/* -- memory ------------------------------------------------------------------------------------------ */

constexpr size_t PAGE = 4096, SPACE = size_t{ 1 } << 38, MOST = 1 << 16;
constexpr int RESERVED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE; /* with no rights: an address and no memory */

struct piece { char *pages; size_t length; char *mem; }; /* pages: without the guard behind them */

static char *space;       /* addresses, never used twice, and never by the host */
static size_t taken, live_bytes, pieces;
static piece piece_of[MOST];

static bool host_has_access()
{
    static const char *text = getenv("RN_EMULATED_RIGHTS");
    return text && !strcmp(text, "open");
}

static void set_rights(int rights)
{
    if (host_has_access()) return;
    for (size_t i = 0; i < pieces; i++)
        if (mprotect(piece_of[i].pages, piece_of[i].length, rights)) die("mprotect fails");
}

static void begin_access()
{
    pthread_mutex_lock(&lock);
    set_rights(PROT_READ | PROT_WRITE);
}

static void end_access()
{
    set_rights(PROT_NONE);
    pthread_mutex_unlock(&lock);
}

cudaError_t cudaMalloc(void **mem, size_t bytes)
{
    size_t length = (bytes + PAGE - 1) / PAGE * PAGE, rounded = (bytes + 63) / 64 * 64;
    cudaError_t error = cudaSuccess;
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    pthread_mutex_lock(&lock);
    if (!space) {
        void *got = mmap(nullptr, SPACE, PROT_NONE, RESERVED, -1, 0);
        if (got != MAP_FAILED) space = static_cast<char *>(got);
    }
    if (!space || !bytes || pieces == MOST || taken + length + PAGE > SPACE ||
        live_bytes + length > static_cast<size_t>(setting("RN_EMULATED_MEMORY", 4096)) << 20)
        error = cudaErrorMemoryAllocation;
    if (!error) {
        piece p = { space + taken, length, space + taken + length - rounded };
        if (mprotect(p.pages, length, PROT_READ | PROT_WRITE)) die("mprotect fails");
        memset(p.pages, 0xff, length);
        if (!host_has_access() && mprotect(p.pages, length, PROT_NONE)) die("mprotect fails");
        taken += length + PAGE;
        live_bytes += length;
        piece_of[pieces++] = p;
        *mem = p.mem;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

cudaError_t cudaFree(void *mem)
{
    if (!mem) return cudaSuccess;
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < pieces && piece_of[i].mem != mem) i++;
    if (i == pieces) die("cudaFree of something else");
    /* Unmapped, the addresses would go to whoever asks next, a heap of the host too: and a kernel with an old pointer
     * would write there. */
    if (mmap(piece_of[i].pages, piece_of[i].length, PROT_NONE, RESERVED | MAP_FIXED, -1, 0) == MAP_FAILED)
        die("mmap fails");
    live_bytes -= piece_of[i].length;
    piece_of[i] = piece_of[--pieces];
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

static bool on_device(const void *p)
{
    const char *at = static_cast<const char *>(p);
    return space && at >= space && at < space + SPACE;
}

void rn_emulated_check_pointer(const void *p)
{
    if (p && !on_device(p)) die("a kernel is given a pointer into the host's memory");
}

/* What was copied for the host and not waited for. */
struct arrival { arrival *next; void *dst, *data; size_t bytes; };
static arrival *arrivals;

static void copy_to_host(void *dst, const void *src, size_t bytes)
{
    arrival *a = static_cast<arrival *>(malloc(sizeof *a));
    void *data = malloc(bytes + 1);
    if (!a || !data) die("no memory");
    memcpy(data, src, bytes);
    memset(dst, 0xff, bytes);
    *a = { nullptr, dst, data, bytes };
    arrival **last = &arrivals;
    while (*last) last = &(*last)->next;
    *last = a;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    if (rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    pthread_mutex_lock(&lock);
    while (arrival *a = arrivals) {
        arrivals = a->next;
        memcpy(a->dst, a->data, a->bytes);
        free(a->data);
        free(a);
    }
    pthread_mutex_unlock(&lock);
    rn_emulated_arrived();
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    if (bytes && (on_device(dst) != (kind != cudaMemcpyDeviceToHost) ||
                  on_device(src) != (kind != cudaMemcpyHostToDevice)))
        die("a copy in the wrong direction");
    if (kind != cudaMemcpyDeviceToDevice && rn_emulated_forbidden()) return cudaErrorStreamCaptureUnsupported;
    return in_order(stream, [=] {
        begin_access();
        if (kind == cudaMemcpyDeviceToHost) copy_to_host(dst, src, bytes);
        else if (bytes) memcpy(dst, src, bytes);
        if (kind == cudaMemcpyHostToDevice) rn_emulated_depart(src, bytes);
        end_access();
        return cudaSuccess;
    });
}

cudaError_t cudaMemsetAsync(void *mem, int value, size_t bytes, cudaStream_t stream)
{
    if (bytes && !on_device(mem)) die("cudaMemset of the host's memory");
    return in_order(stream, [=] {
        begin_access();
        memset(mem, value, bytes);
        end_access();
        return cudaSuccess;
    });
}

/* -- device ------------------------------------------------------------------------------------------ */

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    default: return "an error";
    }
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = static_cast<int>(setting("RN_EMULATED_DRIVER", 13000));
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    if (!setting("RN_EMULATED_DRIVER", 13000)) return cudaErrorInsufficientDriver;
    *count = static_cast<int>(setting("RN_EMULATED_DEVICES", 1));
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

/* RN_EMULATED_CAPABILITY: 75 is a Turing. */
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int)
{
    const long capability = setting("RN_EMULATED_CAPABILITY", 90);
    *value = static_cast<int>(attribute == cudaDevAttrComputeCapabilityMajor ? capability / 10 : capability % 10);
    return cudaSuccess;
}

/* -- launches ---------------------------------------------------------------------------------------- */

static bool possible(const cudaLaunchConfig_t *c)
{
    const dim3 g = c->gridDim, b = c->blockDim;
    return g.x && g.y && g.z && g.x < 1u << 31 && g.y < 1 << 16 && g.z < 1 << 16 && b.x && b.y && b.z && b.z <= 64 &&
           static_cast<size_t>(b.x) * b.y * b.z <= RN_EMULATED_THREADS && !c->dynamicSmemBytes;
}

/* Whether the launch that begins now is one that fails. */
static bool fails()
{
    const long fail_at = setting("RN_EMULATED_FAIL_AT", 0);
    return ++launch_count >= fail_at && fail_at;
}

static cudaError_t launch(dim3 grid, dim3 block, const std::function<void()> &body)
{
    begin_access();
    const bool failing = fails();
    if (!failing) rn_emulated_run(grid, block, body);
    end_access();
    return failing ? cudaErrorLaunchFailure : cudaSuccess;
}

cudaError_t rn_emulated_launch(const cudaLaunchConfig_t *config, std::function<void()> body)
{
    const dim3 grid = config->gridDim, block = config->blockDim;
    if (!possible(config)) return cudaErrorInvalidConfiguration;
    return in_order(config->stream, [=] { return launch(grid, block, body); });
}

cudaError_t rn_emulated_work(cudaStream_t stream, std::function<void()> work)
{
    return in_order(stream, [=] {
        begin_access();
        const bool failing = fails();
        if (!failing) work();
        end_access();
        return failing ? cudaErrorLaunchFailure : cudaSuccess;
    });
}
