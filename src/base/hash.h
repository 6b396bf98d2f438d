/* hash.h - XXH64 (Yann Collet's published specification), streaming: the hash of weights and of
 * files' content.  Floats go in as little-endian bit patterns, NaN as 0x7fc00000 (A7). */
#ifndef RN_HASH_H
#define RN_HASH_H

#include "base/base.h"

struct rn_hash { uint64_t lane[4], total; unsigned char tail[32]; size_t fill; };

void rn_hash_begin(struct rn_hash *h, uint64_t seed);
void rn_hash_bytes(struct rn_hash *h, const void *data, size_t bytes);
void rn_hash_floats(struct rn_hash *h, const float *data, size_t count);
void rn_hash_u64(struct rn_hash *h, uint64_t value); /* as 8 little-endian bytes */
uint64_t rn_hash_end(const struct rn_hash *h);

#endif /* RN_HASH_H */
