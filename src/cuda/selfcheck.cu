/*
 * selfcheck.cu - rule A40 on the device: the rows of base/selfcheck_rows.inc, one thread each, compared bit for bit.
 * It also finds out whether this build has code for this GPU at all.
 */
#include "cuda/math.h"

#include <math.h>

enum operation {
    ADD, SUB, MUL, DIV, SQRT, FMA, SOFT_FMA, MUL_ADD, ADD_SUB, MUL_DIV, STORE,
    NARROW, FLOAT_FROM_INT, TO_INT, RINT, FLOOR, EXP, LOG, SINPI, COSPI
};

struct row32 { int rule; enum operation operation; float a, b, c, result; };
struct row64 { int rule; enum operation operation; double a, b, c, result; };

#include "base/selfcheck_rows.inc"

/* Operands come from memory, so the compiler cannot know them. */
static __device__ float compute32(const struct row32 *row)
{
    const float a = row->a, b = row->b, c = row->c;
    switch (row->operation) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return __fdiv_rn(a, b);
    case SQRT: return __fsqrt_rn(a);
    case FMA: return __fmaf_rn(a, b, c);
    case MUL_ADD: return a * b + c;
    case ADD_SUB: return a + b - c;
    case MUL_DIV: return __fdiv_rn(a * b, c);
    case STORE: return rn_cuda_store(a);
    default: return __uint_as_float(0x7fc00000u);
    }
}

static __device__ double compute64(const struct row64 *row)
{
    const double a = row->a, b = row->b, c = row->c;
    switch (row->operation) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return __ddiv_rn(a, b);
    case SQRT: return __dsqrt_rn(a);
    case MUL_ADD: return a * b + c;
    case ADD_SUB: return a + b - c;
    case MUL_DIV: return __ddiv_rn(a * b, c);
    case NARROW: return static_cast<float>(a);
    case FLOAT_FROM_INT: return static_cast<float>(static_cast<int32_t>(a));
    case TO_INT: return static_cast<double>(static_cast<int32_t>(a));
    case RINT: return rint(a);
    case FLOOR: return floor(a);
    case EXP: return rn_exp(a);
    case LOG: return rn_log(a);
    case SINPI: return rn_sinpi(a);
    case COSPI: return rn_cospi(a);
    default: return rn_double(NAN_BITS);
    }
}

/* Leaves in *rule the rule of a row that does not hold, and in rule[1] its number. */
static __global__ void check_kernel(int *rule, const struct row32 *small, int smalls, const struct row64 *large,
                                    int larges)
{
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < smalls && __float_as_uint(compute32(&small[i])) != __float_as_uint(small[i].result)) {
        rule[0] = small[i].rule;
        rule[1] = i;
    }
    if (i < larges && rn_bits64(compute64(&large[i])) != rn_bits64(large[i].result)) {
        rule[0] = large[i].rule;
        rule[1] = smalls + i;
    }
}

rn_status rn_cuda_selfcheck(struct rn_cuda *cuda)
{
    const int smalls = static_cast<int>(RN_COUNT(rows32)), larges = static_cast<int>(RN_COUNT(rows64));
    const int threads = 128, most = RN_MAX(smalls, larges);
    int found[2] = { 0, 0 };
    char *memory = static_cast<char *>(rn_cuda_stage(cuda, 256 + sizeof rows64 + sizeof rows32));
    char *large = memory + 256, *small = large + sizeof rows64;
    if (memory) {
        rn_cuda_write(cuda, memory, found, sizeof found);
        rn_cuda_write(cuda, large, rows64, sizeof rows64);
        rn_cuda_write(cuda, small, rows32, sizeof rows32);
        rn_launch(cuda, check_kernel, rn_cuda_blocks(static_cast<size_t>(most), threads), threads,
                  static_cast<void *>(memory), static_cast<const void *>(small), smalls,
                  static_cast<const void *>(large), larges);
        rn_cuda_read(cuda, found, memory, sizeof found);
    }
    rn_cuda_unstage(cuda);
    cudaError_t error = static_cast<cudaError_t>(cuda->failed.load());
    if (error == cudaErrorNoKernelImageForDevice)
        return rn_fail(RN_EFAIL, "backend cuda: this build has code for %s, and the device is %s", rn_cuda_build(),
                       cuda->isa);
    if (error) return rn_fail(RN_EFAIL, "backend cuda: the device cannot be used: %s", cudaGetErrorString(error));
    if (found[0])
        return rn_fail(RN_EIO, "start-up check: rule A%d does not hold on the CUDA device %s or in this build (row %d)",
                       found[0], cuda->isa, found[1]);
    return RN_OK;
}
