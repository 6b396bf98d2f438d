/* mem.h - every allocation of the library.  64-byte aligned and zeroed; NULL with a message set
 * when there is no memory.  Sizes of several factors are multiplied with a check. */
#ifndef RN_MEM_H
#define RN_MEM_H

#include "base/base.h"

void *rn_alloc(size_t bytes);                   /* zeroed; bytes = 0 gives a valid pointer */
void *rn_alloc_array(size_t count, size_t size); /* count * size, overflow checked */
/* Keeps the content; on failure p stays valid. */
void *rn_realloc(void *p, size_t old_bytes, size_t new_bytes);
void rn_free(void *p);                          /* NULL is allowed */
char *rn_strdup(const char *s);
bool rn_mul_size(size_t *product, size_t a, size_t b); /* false on overflow */
/* Test hook: the n-th allocation from now on fails (0 = never); for_ever: all after it too. */
void rn_alloc_fail_at(uint64_t n, bool for_ever);
uint64_t rn_alloc_live(void);                   /* allocations not freed yet */

#endif /* RN_MEM_H */
