/* table.h - the table of the exact numerics, with which that of `fast` begins. */
#ifndef RN_CUDA_TABLE_H
#define RN_CUDA_TABLE_H

#include "cuda/cuda.h"

static constexpr struct rn_ops rn_cuda_table()
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

#endif /* RN_CUDA_TABLE_H */
