/*
 * cuda.h - what the files of the CUDA backend share: the device, the launch of a kernel, F and the tree
 * of A11 as device functions.  Only src/cuda/ includes it; others see `rn_ops_cuda`.
 *
 * The backend computes the bits of ref/ (ARITHMETIC.md).  One thread owns the chain of an output from its
 * first term to its last, so no sum depends on the grid: no atomics on floats, no shuffles, no split over k.
 * Every multiplication that a rule fuses is written __fmaf_rn; -fmad=false keeps the compiler from fusing others.
 *
 * Where its numerics is `fast`, cuDNN and cuBLAS compute products instead (fast.h), and tensors may be of 16 bits.
 *
 * Layout: tensors are dense NHWC, weights (unpacked) OIHW.  The terms of A13 come with the channels innermost,
 * A14's too, and A15's one position at a time over all (c, k): in each the channels of a position are what a
 * block loads together.
 *
 * The sources are plain C++17, with no <<<>>>: tests/cuda_emulated/ compiles them for the CPU.
 */
#ifndef RN_CUDA_H
#define RN_CUDA_H

#include <cuda_runtime.h>

#include <pthread.h>

#include <atomic>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

extern "C" {
#include "conform/slots.h"
#include "resnet.h"
}

#ifndef RN_SHARED
/* An array (or one value, extent empty) in the memory of a block: RN_SHARED(float, tile, [8][32]); */
#define RN_SHARED(type, name, extent) __shared__ type name extent
#endif

/* -- device.cu ------------------------------------------------------------------------------------ */

enum rn_cuda_storage { RN_CUDA_FLOAT, RN_CUDA_HALF, RN_CUDA_BF16 }; /* storage.h */

/* A piece of page-locked memory, free when `passed` has passed. */
struct rn_cuda_piece { void *memory; size_t bytes; cudaEvent_t passed; };
#define RN_CUDA_PIECES 4

/* An open device.  Its stream is the only one, so slots run in the order in which they were called.  Once `failed`
 * is set nothing more is computed, and everything that is read is NaN (device.cu). */
struct rn_cuda {
    cudaStream_t stream;
    std::atomic<int> failed; /* the first cudaError_t that is not cudaSuccess */
    pthread_mutex_t lock;    /* of what follows; callers of several threads may share the device */
    void *staging;           /* device memory for tensors on their way to and from the host */
    size_t staging_bytes;
    pthread_mutex_t pieces_lock; /* of the next two: what is written to the device goes through them (upload.cu) */
    struct rn_cuda_piece piece[RN_CUDA_PIECES];
    unsigned next_piece;
    char isa[160];           /* "sm_90", and why there are no graphs */
    int major;               /* 9 */
    enum rn_cuda_storage storage;
    struct rn_cuda_fast *fast;     /* fast.h; NULL: the exact numerics */
    struct rn_cuda_graphs *graphs; /* graph.cu; NULL: every command is queued by itself */
};

static inline struct rn_cuda *rn_cuda_device(void *dev) { return static_cast<struct rn_cuda *>(dev); }

/* Opens a device for one of the table's numerics. */
rn_status rn_cuda_open_for(struct rn_cuda **cuda, const struct rn_device_options *options, const struct rn_ops *table);
/* How a call of the runtime or of a library ended; cudaErrorUnknown stands for a library's errors. */
struct rn_cuda_end { cudaError_t error; const char *why; };
static inline struct rn_cuda_end rn_cuda_ended(cudaError_t error) { return { error, cudaGetErrorString(error) }; }
/* Keeps the first failure of the device. */
void rn_cuda_fail(struct rn_cuda *cuda, struct rn_cuda_end end);
static inline void rn_cuda_note(struct rn_cuda *cuda, cudaError_t error)
{
    rn_cuda_fail(cuda, rn_cuda_ended(error));
}

static inline size_t rn_cuda_element_bytes(const struct rn_cuda *cuda)
{
    return cuda->storage == RN_CUDA_FLOAT ? 4 : 2;
}
/* The staging memory, of at least so many bytes, with the device locked until rn_cuda_unstage; NULL, and locked all
 * the same, where there is none.  Nothing is recorded in between. */
void *rn_cuda_stage(struct rn_cuda *cuda, size_t bytes);
void rn_cuda_unstage(struct rn_cuda *cuda);
void rn_cuda_pieces_free(struct rn_cuda *cuda);
/* A40: the start-up check's rows on the device. */
rn_status rn_cuda_selfcheck(struct rn_cuda *cuda);

/* -- commands: what is queued on a stream, at once or later out of a record (graph.cu) --------------- */

/* Queues a command on a stream. */
typedef struct rn_cuda_end rn_cuda_play_fn(struct rn_cuda *cuda, const void *command, cudaStream_t stream);

/* Zeroed room in this thread's record; NULL: nothing is recorded, the command is to be queued now. */
void *rn_cuda_record(struct rn_cuda *cuda, rn_cuda_play_fn *play, size_t bytes);
/* Queues what this thread has recorded: before anything that goes by another way. */
void rn_cuda_flush(struct rn_cuda *cuda);
/* Between the two this thread's commands are queued at once. */
void rn_cuda_pause(struct rn_cuda *cuda);
void rn_cuda_resume(void);
rn_status rn_cuda_graphs_open(struct rn_cuda *cuda);
void rn_cuda_graphs_close(struct rn_cuda *cuda);
/* The slot `run` that records. */
void rn_cuda_run_recorded(void *dev, void (*pass)(void *arg), void *arg);

/* Queues Command { arguments... } after all earlier calls; its play is what rn_cuda_play_fn says. */
template <class Command, class... Arguments> void rn_cuda_queue(struct rn_cuda *cuda, Arguments... arguments)
{
    if (cuda->failed.load()) return;
    rn_cuda_play_fn *play = [](struct rn_cuda *device, const void *command, cudaStream_t stream) {
        return static_cast<const Command *>(command)->play(device, stream);
    };
    if (void *room = rn_cuda_record(cuda, play, sizeof(Command))) new (room) Command{ arguments... };
    else rn_cuda_fail(cuda, Command{ arguments... }.play(cuda, cuda->stream));
}

template <class... Parameters> struct rn_cuda_launch {
    void (*kernel)(Parameters...);
    dim3 grid, block;
    std::tuple<Parameters...> arguments;

    /* Each argument by itself: a tuple that is copied whole brings along what lies between its elements, and a record
     * is compared byte by byte. */
    rn_cuda_launch(void (*kernel_)(Parameters...), dim3 grid_, dim3 block_, Parameters... arguments_)
        : kernel(kernel_), grid(grid_), block(block_), arguments(arguments_...)
    {
    }

    struct rn_cuda_end play(struct rn_cuda *, cudaStream_t stream) const
    {
        cudaLaunchConfig_t config = {};
        config.gridDim = grid;
        config.blockDim = block;
        config.stream = stream;
        return rn_cuda_ended(std::apply([&](const Parameters &...each) {
            return cudaLaunchKernelEx(&config, kernel, Parameters(each)...);
        }, arguments));
    }
};

/* Runs kernel(args...) on grid x block threads after all earlier calls.  A grid with an extent of 0 does nothing. */
template <class... Parameters, class... Arguments>
void rn_launch(void *dev, void (*kernel)(Parameters...), dim3 grid, dim3 block, Arguments... arguments)
{
    if (!grid.x || !grid.y || !grid.z) return;
    rn_cuda_queue<rn_cuda_launch<Parameters...>>(rn_cuda_device(dev), kernel, grid, block,
                                                 static_cast<Parameters>(arguments)...);
}

/* Blocks of `each` that cover `count`. */
static inline unsigned rn_cuda_blocks(size_t count, unsigned each)
{
    return static_cast<unsigned>((count + each - 1) / each);
}

/* -- for kernels ------------------------------------------------------------------------------------ */

/* A5: what a store makes of x. */
static __device__ inline float rn_cuda_store(float x)
{
    unsigned u = __float_as_uint(x);
    return __uint_as_float((u & 0x7f800000u) ? u : 0u);
}

/* Whether a slot with this verdict given does its work. */
static __device__ inline bool rn_cuda_given(const int32_t *given) { return !given || *given == 1; }

/* A18: NaN stays. */
static __device__ inline float rn_cuda_relu(float x) { return x <= 0 ? 0.0f : x; }

/* A11: the images of a group when a map has so many positions, and the groups of N images. */
static __host__ __device__ inline int rn_cuda_group_images(int positions)
{
    int c = 8;
    while (c > 1 && static_cast<int64_t>(c) * positions > 128) c /= 2;
    return c;
}

static __host__ __device__ inline int rn_cuda_group_count(int N, int positions)
{
    int c = rn_cuda_group_images(positions);
    return N / c + (N % c != 0);
}

/* A11 as a binary counter: the tree over leaf(0) ... leaf(count - 1), asked for in this order; count >= 1. */
template <class Number, class Leaf>
static __device__ inline Number rn_cuda_tree(int count, Leaf leaf)
{
    Number level[31];
    for (int i = 0; i < count; i++) {
        Number sum = leaf(i);
        int l = 0;
        for (; i >> l & 1; l++) sum = level[l] + sum;
        level[l] = sum;
    }
    int l = 0;
    while (!(count >> l & 1)) l++;
    Number sum = level[l];
    for (l++; count >> l; l++)
        if (count >> l & 1) sum = level[l] + sum;
    return sum;
}

/* -- the slots: rn_cuda_NAME has the type and the contract of NAME in struct rn_ops ------------------- */

#define RN_CUDA_DECLARE(slot) std::remove_pointer_t<decltype(rn_ops::slot)> rn_cuda_##slot;
RN_SLOTS(RN_CUDA_DECLARE)
#undef RN_CUDA_DECLARE

/*
 * Where they are:
 *   device.cu upload.cu         open ... run
 *   layout.cu images.cu         tensor_bytes, tensor_set, tensor_get, images_forward
 *   conv.cu conv_pack.cu conv_data.cu conv_weights.cu fused.cu linear.cu   conv2d_..., linear_...
 *   batchnorm.cu batchnorm_sums.cu   batchnorm_...
 *   elementwise.cu              relu, add, accumulate, finite
 *   pool.cu resize.cu loss.cu optim.cu
 *   table.cu                    rn_ops_cuda
 *   fast_*.cu                   rn_ops_cuda_fast (fast.h)
 */

#endif /* RN_CUDA_H */
