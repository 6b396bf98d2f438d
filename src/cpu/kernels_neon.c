/* kernels_neon.c - the AArch64 instance: 32 registers of 4 floats; fused multiply-add and
 * subnormals are part of the base architecture. */
#include "cpu/bf16_conv.h"
#include "cpu/bf16_wgrad.h"
#include "cpu/cpu.h"
#include "cpu/unroll.h"
#include "ref/winograd.h"

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
#define VBYTES(p) ((int32x4_t){ (p)[0], (p)[1], (p)[2], (p)[3] })
#define VSTOREBYTES(p, v)                                                                         \
    ((p)[0] = (uint8_t)(v)[0], (p)[1] = (uint8_t)(v)[1], (p)[2] = (uint8_t)(v)[2],               \
     (p)[3] = (uint8_t)(v)[3])
#define VHALVES(p) vmovl_u16(vld1_u16(p))
#define VSTOREHALVES(p, v) vst1_u16(p, vmovn_u32((uint32x4_t)(v)))
#define VSTREAM(p, v) VSTORE(p, v)
#define VSTREAMHALVES(p, v) VSTOREHALVES(p, v)
#define VFENCE() ((void)0)
#define VSET1(x) vdupq_n_f32(x)
#define VFMA(x, y, z) vfmaq_f32(z, x, y)
#define VPERM(v, l) ((float32x4_t){ (v)[(l)[0]], (v)[(l)[1]], (v)[(l)[2]], (v)[(l)[3]] })
#define VSQRT(x) vsqrtq_f32(x)
#define DVEC float64x2_t
#define DFMA(x, y, z) vfmaq_f64(z, x, y)
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

#define MR 6
#define NV 4
#include "cpu/outer_ukr.inc"
#define MR 4
#define NV 4
#include "cpu/outer_ukr.inc"
#define MR 1
#define NV 4
#include "cpu/outer_ukr.inc"
#define MR 12
#define NV 1
#include "cpu/outer_ukr.inc"
#define MR 4
#define NV 1
#include "cpu/outer_ukr.inc"
#define MR 1
#define NV 1
#include "cpu/outer_ukr.inc"

static const struct rn_outer_tile outer[] = {
    { 6, 16, outer_6x4_neon },
    { 4, 16, outer_4x4_neon },
    { 1, 16, outer_1x4_neon },
    { 12, 4, outer_12x1_neon },
    { 4, 4, outer_4x1_neon },
    { 1, 4, outer_1x1_neon },
    { 0, 0, NULL },
};

#define MR 12
#include "cpu/narrow_ukr.inc"
#define MR 4
#include "cpu/narrow_ukr.inc"

static const struct rn_tile narrow_tiles[] = {
    { 12, 4, narrow_12_neon }, { 4, 4, narrow_4_neon }, { 0, 0, NULL },
};

#include "cpu/loops.inc"
const struct rn_kernels rn_kernels_neon = RN_KERNELS("neon");
#endif
