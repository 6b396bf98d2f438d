/* kernels_neon.c - the AArch64 instance: 32 registers of 4 floats; fused multiply-add and
 * subnormals are part of the base architecture. */
#include "cpu/cpu.h"
#include "cpu/unroll.h"

#include <math.h>

#if defined(__aarch64__)
#include <arm_neon.h>

#define SUFFIX neon
#define TARGET
#define VEC float32x4_t
#define VL 4
#define VZERO() vdupq_n_f32(0)
#define VLOAD(p) vld1q_f32(p)
#define VSTORE(p, v) vst1q_f32(p, v)
#define VSET1(x) vdupq_n_f32(x)
#define VFMA(x, y, z) vfmaq_f32(z, x, y)
#define VSQRT(x) vsqrtq_f32(x)
#define DVEC float64x2_t
#define DLO(v) vcvt_f64_f32(vget_low_f32(v))
#define DHI(v) vcvt_high_f64_f32(v)

#define MR 6 /* 24 accumulators + 4 + 1 of 32 registers */
#define NV 4
#include "cpu/gemm_ukr.inc"
#define MR 2
#define NV 4
#include "cpu/gemm_ukr.inc"
#define MR 12 /* 12 + 1 + 1 */
#define NV 1
#include "cpu/gemm_ukr.inc"
#define MR 3
#define NV 1
#include "cpu/gemm_ukr.inc"

static const struct rn_tile tiles[] = {
    { 6, 16, ukr_6x4_neon }, { 2, 16, ukr_2x4_neon }, { 12, 4, ukr_12x1_neon },
    { 3, 4, ukr_3x1_neon },  { 0, 0, NULL },
};

#include "cpu/loops.inc"
const struct rn_kernels rn_kernels_neon = RN_KERNELS("neon");
#endif
