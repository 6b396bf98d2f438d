/*
 * math.h - EXP, LOG, SINPI, COSPI of rule A10 as device functions, from the source that the processor uses
 * too; and what that source takes from real.h.
 */
#ifndef RN_CUDA_MATH_H
#define RN_CUDA_MATH_H

#include "cuda/cuda.h"

static __device__ inline uint64_t rn_bits64(double x) { return static_cast<uint64_t>(__double_as_longlong(x)); }
static __device__ inline double rn_double(uint64_t u) { return __longlong_as_double(static_cast<long long>(u)); }

static __device__ inline bool rn_finite64(double x)
{
    return (rn_bits64(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

#define MATH_FUNCTION [[maybe_unused]] static __device__
#define MATH_HELPER [[maybe_unused]] static __device__
#include "base/math_functions.inc"

#endif /* RN_CUDA_MATH_H */
