/*
 * table.cu - the op table of the CUDA backend.  Every slot is the function rn_cuda_SLOT.
 */
#include "cuda/cuda.h"

#ifndef RN_CUDA_ARCHS /* the Makefile knows them */
#define RN_CUDA_ARCHS "an emulated device"
#endif

static constexpr struct rn_ops make_table()
{
    struct rn_ops table = {};
    table.version = RN_BACKEND_VERSION;
    table.struct_bytes = sizeof(struct rn_ops);
    table.name = "cuda";
    table.numerics = "fp32";
    table.exact = 1;
#define FILL(slot) table.slot = rn_cuda_##slot;
    RN_SLOTS(FILL)
#undef FILL
    return table;
}

extern "C" constexpr struct rn_ops rn_ops_cuda = make_table();

extern "C" const char *rn_cuda_build(void) { return RN_CUDA_ARCHS; }
