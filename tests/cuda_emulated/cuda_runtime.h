/*
 * cuda_runtime.h - the part of the CUDA runtime that src/cuda/ uses, for a C++ compiler and no GPU: it stands in
 * front of NVIDIA's header when the sources are compiled for the emulated device (device.cpp).
 *
 * A kernel is an ordinary function.  Its threads are fibers of the thread that launched it; one runs until it ends
 * or reaches __syncthreads(), then the next.  Arithmetic is the processor's: with -ffp-contract=off the same IEEE
 * operations.
 */
#ifndef RN_EMULATED_CUDA_RUNTIME_H
#define RN_EMULATED_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct double2 { double x, y; };
static inline float2 make_float2(float x, float y) { return { x, y }; }
static inline float4 make_float4(float x, float y, float z, float w) { return { x, y, z, w }; }
static inline double2 make_double2(double x, double y) { return { x, y }; }

/* -- what a kernel sees ----------------------------------------------------------------------------- */

extern dim3 gridDim, blockDim, blockIdx, threadIdx;

/* Returns when every thread of the block has called it. */
void __syncthreads();

/* The next piece of the block's memory: each thread asks for the same ones in the same order.  When a block
 * starts, all of it holds NaNs. */
void *rn_emulated_shared(size_t bytes);

template <class T> static inline T &rn_emulated_piece() { return *static_cast<T *>(rn_emulated_shared(sizeof(T))); }
#define RN_SHARED(type_, name, extent) \
    using name##_type = type_ extent; \
    name##_type &name = rn_emulated_piece<name##_type>()

static inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, sizeof u); return u; }
static inline float __uint_as_float(unsigned u) { float x; memcpy(&x, &u, sizeof x); return x; }
static inline long long __double_as_longlong(double x) { long long u; memcpy(&u, &x, sizeof u); return u; }
static inline double __longlong_as_double(long long u) { double x; memcpy(&x, &u, sizeof x); return x; }

float rn_emulated_fmaf(float x, float y, float z);

static inline float __fmaf_rn(float x, float y, float z)
{
#if defined(__FP_FAST_FMAF) || defined(__FMA__)
    return __builtin_fmaf(x, y, z);
#else
    return rn_emulated_fmaf(x, y, z);
#endif
}

static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline double __dadd_rn(double x, double y) { return x + y; }
static inline double __dmul_rn(double x, double y) { return x * y; }
static inline double __ddiv_rn(double x, double y) { return x / y; }
static inline double __dsqrt_rn(double x) { return sqrt(x); }
template <class T> static inline T __ldg(const T *p) { return *p; }

/* -- what the host calls ---------------------------------------------------------------------------- */

/* The numbers are NVIDIA's. */
enum cudaError_t {
    cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2, cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35, cudaErrorNoDevice = 100, cudaErrorNoKernelImageForDevice = 209,
    cudaErrorIllegalAddress = 700, cudaErrorLaunchFailure = 719, cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901, cudaErrorUnknown = 999
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76 };
constexpr unsigned cudaStreamNonBlocking = 1;
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };
enum cudaDataType { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };

using cudaStream_t = struct rn_emulated_stream *;
using cudaGraph_t = struct rn_emulated_graph *;
using cudaGraphExec_t = struct rn_emulated_graph *;
using cudaEvent_t = struct rn_emulated_event *;
constexpr unsigned cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;
struct cudaLaunchConfig_t { dim3 gridDim, blockDim; size_t dynamicSmemBytes; cudaStream_t stream; };

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMalloc(void **mem, size_t bytes);
cudaError_t cudaFree(void *mem);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *mem, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaHostAlloc(void **mem, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void *mem);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);

/* -- launches --------------------------------------------------------------------------------------- */

/* Calls body once for every thread of the grid. */
cudaError_t rn_emulated_launch(const cudaLaunchConfig_t *config, std::function<void()> body);
/* Calls work, which may touch device memory, in the order of the stream: for libraries. */
cudaError_t rn_emulated_work(cudaStream_t stream, std::function<void()> work);
[[noreturn]] void rn_emulated_die(const char *what);
/* How many graphs have been launched so far. */
long rn_emulated_graph_launches();
/* Ends the process unless p is NULL or points into memory of cudaMalloc. */
void rn_emulated_check_pointer(const void *p);

template <class T> static inline void rn_emulated_check(const T &argument)
{
    if constexpr (std::is_pointer_v<T>) rn_emulated_check_pointer(argument);
    else (void)argument;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               Arguments &&...arguments)
{
    (rn_emulated_check(static_cast<Parameters>(arguments)), ...);
    std::tuple<Parameters...> all(static_cast<Parameters>(arguments)...);
    return rn_emulated_launch(config, [kernel, all] { std::apply(kernel, all); });
}

#endif /* RN_EMULATED_CUDA_RUNTIME_H */
