/* locked.h - what the emulated device tells of its copies. */
#ifndef RN_EMULATED_LOCKED_H
#define RN_EMULATED_LOCKED_H

#include "cuda_runtime.h"

/* A copy to the device was queued. */
void rn_emulated_depart(const void *src, size_t bytes);
/* All copies have been waited for. */
void rn_emulated_arrived();
/* Whether the calling thread captures, where most calls may not be made: the capture then fails. */
bool rn_emulated_forbidden();

#endif /* RN_EMULATED_LOCKED_H */
