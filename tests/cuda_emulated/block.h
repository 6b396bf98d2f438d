/* block.h - the blocks of a launch on the emulated device: fibers, barriers, the memory of a block (block.cpp). */
#ifndef RN_EMULATED_BLOCK_H
#define RN_EMULATED_BLOCK_H

#include "cuda_runtime.h"

constexpr unsigned RN_EMULATED_THREADS = 1024; /* that a block may have */

/* Calls body once for every thread of the grid, block by block.  One caller at a time. */
void rn_emulated_run(dim3 grid, dim3 block, const std::function<void()> &body);

#endif /* RN_EMULATED_BLOCK_H */
