/*
 * cuda_strict.cpp - what the emulated device must find, and what the backend cuda must do when a device fails: for
 * tests/cuda.sh.  A line for each check, and 0 when all hold.
 */
#include "cuda/cuda.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void check(bool holds, const char *what)
{
    printf("%s %s\n", holds ? "ok  " : "FAIL", what);
    failures += !holds;
}

/* An allocation was unmapped when it was freed, and the next page of a heap could come to lie there: a kernel with an
 * old pointer would have written into the host's memory, where nothing finds it. */
static void check_freed()
{
    const size_t bytes = 1 << 20;
    void *device = nullptr, *host[8];
    bool apart = cudaMalloc(&device, bytes) == cudaSuccess && cudaFree(device) == cudaSuccess;
    for (void *&mem : host) {
        mem = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        const char *at = static_cast<char *>(mem), *freed = static_cast<char *>(device);
        apart = apart && mem != MAP_FAILED && (at + bytes <= freed || freed + bytes <= at);
    }
    for (void *mem : host) munmap(mem, bytes);
    check(apart, "memory that the device frees does not become the host's");
}

/* Whether the rest of a stack was there; `deep` stands in for a kernel with large arrays. */
[[gnu::noinline]] static int deep(int pages)
{
    volatile char page[4096]; /* all of it is used, or a compiler makes it smaller */
    for (volatile char &at : page) at = static_cast<char>(pages);
    return pages ? deep(pages - 1) + page[pages] : page[0];
}

static void deep_kernel()
{
    __syncthreads(); /* by then the other thread has its stack, too */
    if (threadIdx.x == 0) _exit(deep(40) == -1);
}

/* Stacks of a block's threads lay side by side: one that was too small wrote into another. */
static void check_stack()
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        struct rn_cuda cuda = {};
        signal(SIGSEGV, SIG_DFL);
        cudaStreamCreateWithFlags(&cuda.stream, cudaStreamNonBlocking);
        rn_launch(&cuda, deep_kernel, 1, 2);
        _exit(1);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
          "a kernel that needs more stack than there is ends the process");
}

/* A copy to the host was queued when another thread's launch failed; nobody waited for it any more, and it arrived
 * when its target had been given back. */
static void check_pending()
{
    void *dev = nullptr, *mem = nullptr;
    const float sent[4] = { 1, 2, 3, 4 };
    float got[4] = {};
    if (rn_cuda_open(&dev, nullptr) || rn_cuda_alloc(dev, &mem, sizeof sent)) {
        check(false, rn_error());
        return;
    }
    struct rn_cuda *cuda = rn_cuda_device(dev);
    rn_cuda_write(dev, mem, sent, sizeof sent);
    rn_cuda_note(cuda, cudaMemcpyAsync(got, mem, sizeof got, cudaMemcpyDeviceToHost, cuda->stream));
    rn_cuda_note(cuda, cudaErrorLaunchFailure);
    rn_cuda_sync(dev);
    check(!memcmp(sent, got, sizeof sent), "a failed device is waited for, too");
    rn_cuda_release(dev, mem);
    rn_cuda_close(dev);
}

/* Writes `writes` times through page-locked memory, and into it before the last copy was waited for. */
static void hurry(int writes)
{
    cudaStream_t stream = nullptr;
    cudaEvent_t passed = nullptr;
    void *locked = nullptr, *mem = nullptr;
    bool good = !cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) && !cudaMalloc(&mem, 64);
    good = good && !cudaHostAlloc(&locked, 64, cudaHostAllocDefault);
    good = good && !cudaEventCreateWithFlags(&passed, cudaEventDisableTiming);
    for (int i = 0; good && i < writes; i++) {
        good = !cudaEventSynchronize(passed);
        memset(locked, i, 64);
        good = good && !cudaMemcpyAsync(mem, locked, 64, cudaMemcpyHostToDevice, stream);
        good = good && !cudaEventRecord(passed, stream);
    }
    if (writes > 1) memset(locked, 99, 64);
    good = good && !cudaStreamSynchronize(stream);
    _exit(good ? 0 : 1);
}

static int end_of_hurry(int writes)
{
    int status = -1;
    fflush(stderr);
    const pid_t child = fork();
    if (child == 0) {
        if (writes > 1 && !freopen("/dev/null", "w", stderr)) _exit(1);
        hurry(writes);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_locked()
{
    check(end_of_hurry(1) == 0, "a copy out of page-locked memory is waited for");
    check(end_of_hurry(5) == 99, "page-locked memory that changes too early ends the process");
}

/* Arguments with holes between them. */
static void holes_kernel(float *, bool, int, bool, double, char) {}

[[gnu::noinline]] static void litter(int byte)
{
    volatile char stack[8192];
    for (volatile char &at : stack) at = static_cast<char>(byte);
}

static struct rn_cuda *cuda_of_pass;
static int passes;

static void pass(void *)
{
    passes++;
    for (int i = 0; i < 12; i++) {
        litter(16 * passes + i);
        rn_launch(cuda_of_pass, holes_kernel, 1, 1, nullptr, true, 7, false, 2.0, 'x');
    }
}

/* Records are compared byte by byte.  A command was copied into its record whole, with whatever lay between its
 * arguments: the same pass could come as another one every time, and never be a graph. */
static void check_records()
{
    void *dev = nullptr;
    if (rn_cuda_open(&dev, nullptr) || rn_cuda_graphs_open(rn_cuda_device(dev))) {
        check(false, rn_error());
        return;
    }
    cuda_of_pass = rn_cuda_device(dev);
    const long before = rn_emulated_graph_launches();
    for (int i = 0; i < 4; i++) rn_cuda_run_recorded(dev, pass, nullptr);
    check(rn_emulated_graph_launches() - before == 3, "equal commands make equal records");
    rn_cuda_graphs_close(cuda_of_pass);
    rn_cuda_close(dev);
}

int main()
{
    setvbuf(stdout, nullptr, _IONBF, 0);
    check_freed();
    check_stack();
    check_pending();
    check_locked();
    check_records();
    return failures != 0;
}
