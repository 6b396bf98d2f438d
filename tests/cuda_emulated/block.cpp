/*
 * block.cpp - runs the threads of a block as fibers of the thread that launched it: one runs until it ends or reaches a
 * barrier, then the next.  A fiber is begun by setcontext and goes on by longjmp, which costs no call of the system.
 */
#undef _FORTIFY_SOURCE /* with which longjmp takes another stack for a mistake */
#include "block.h"

#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

dim3 gridDim, blockDim, blockIdx, threadIdx;

constexpr size_t STACK = 128 << 10, GUARD = 4096, MOST_SHARED = 48 << 10;

struct fiber {
    ucontext_t start;
    jmp_buf at;
    bool begun, done;
    dim3 thread;
    size_t shared;
};

static fiber fiber_of[RN_EMULATED_THREADS];
static fiber *running;
static jmp_buf scheduler;
static const std::function<void()> *kernel;
alignas(128) static unsigned char shared[MOST_SHARED];
static size_t shared_used = MOST_SHARED;

void *rn_emulated_shared(size_t bytes)
{
    size_t at = running->shared;
    running->shared += (bytes + 127) / 128 * 128;
    if (running->shared > MOST_SHARED) rn_emulated_die("a block needs more than 48 KB");
    if (running->shared > shared_used) shared_used = running->shared;
    return shared + at;
}

static void leave()
{
    if (!_setjmp(running->at)) _longjmp(scheduler, 1);
}

void __syncthreads() { leave(); }

static void live()
{
    for (;;) {
        (*kernel)();
        running->done = true;
        leave();
    }
}

/* A stack, and below it a page without rights: who needs more does not write where another's begins. */
static void *new_stack()
{
    void *got = mmap(nullptr, GUARD + STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *stack = static_cast<char *>(got) + GUARD;
    if (got == MAP_FAILED || mprotect(stack, STACK, PROT_READ | PROT_WRITE)) rn_emulated_die("no memory for a stack");
    return stack;
}

static void resume(fiber *f)
{
    running = f;
    threadIdx = f->thread;
    if (_setjmp(scheduler)) return;
    if (f->begun) _longjmp(f->at, 1);
    f->begun = true;
    getcontext(&f->start);
    f->start.uc_stack.ss_sp = new_stack();
    f->start.uc_stack.ss_size = STACK;
    makecontext(&f->start, live, 0);
    setcontext(&f->start);
}

static size_t common_divisor(size_t a, size_t b) { return b ? common_divisor(b, a % b) : a; }

/* The order of `count` things, the number `draw` of all: the i-th is the one of number (i * step + first) % count. */
struct order { size_t first, step; };

static order order_of(size_t count, uint64_t draw)
{
    static const char *text = getenv("RN_EMULATED_ORDER");
    if (!text || !*text || !strcmp(text, "forward")) return { 0, 1 };
    if (!strcmp(text, "reverse")) return { count - 1, count - 1 };
    uint64_t word = (strtoull(text, nullptr, 10) + draw + 1) * 0x9e3779b97f4a7c15u;
    order o = { static_cast<size_t>((word >> 20) % count), static_cast<size_t>((word >> 40) % count) };
    while (common_divisor(o.step, count) != 1) o.step++;
    return o;
}

/* From one barrier, or the start, to the next; returns how many threads have ended. */
static unsigned run_stretch(unsigned threads)
{
    static uint64_t stretches;
    order o = order_of(threads, stretches++);
    unsigned ended = 0;
    for (unsigned i = 0; i < threads; i++) {
        fiber *f = &fiber_of[(i * o.step + o.first) % threads];
        resume(f);
        ended += f->done;
    }
    return ended;
}

static void run_block()
{
    unsigned threads = blockDim.x * blockDim.y * blockDim.z;
    memset(shared, 0xff, shared_used);
    shared_used = 0;
    for (unsigned i = 0; i < threads; i++) {
        fiber_of[i].thread = { i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y };
        fiber_of[i].done = false;
        fiber_of[i].shared = 0;
    }
    for (;;) {
        unsigned ended = run_stretch(threads);
        if (ended == threads) return;
        if (ended) rn_emulated_die("some threads of a block end while others wait for them");
    }
}

void rn_emulated_run(dim3 grid, dim3 block, const std::function<void()> &body)
{
    kernel = &body;
    gridDim = grid;
    blockDim = block;
    const size_t blocks = static_cast<size_t>(grid.x) * grid.y * grid.z;
    const order o = order_of(blocks, 0);
    for (size_t i = 0; i < blocks; i++) {
        const size_t b = (i * o.step + o.first) % blocks;
        blockIdx = { static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                     static_cast<unsigned>(b / grid.x / grid.y) };
        run_block();
    }
}
