/*
 * mem.c - the one door to the heap: aligned, zeroed, counted, and able to fail on demand.
 *
 * Memory is cleared here and not by calloc because calloc promises no alignment, and an aligned
 * pointer inside a larger block would hide overruns from the address sanitizer.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64
#if SIZE_MAX > 0xffffffffu
#define LARGEST ((size_t)1 << 39) /* 512 GB in one piece is a mistake, or a damaged file's number */
#else
#define LARGEST (SIZE_MAX / 2)
#endif

static atomic_uint_fast64_t live;      /* allocations not freed yet */
static atomic_uint_fast64_t countdown; /* the allocation that fails when this reaches 1; 0 = none */
static atomic_bool fail_for_ever;

/* True when the test hook wants this allocation to fail.  Stops at 1 to go on failing. */
static bool must_fail(void)
{
    uint_fast64_t n = atomic_load(&countdown);
    while (n != 0) {
        uint_fast64_t next = n == 1 && atomic_load(&fail_for_ever) ? 1 : n - 1;
        if (atomic_compare_exchange_weak(&countdown, &n, next)) return n == 1;
    }
    return false;
}

void *rn_alloc(size_t bytes)
{
    void *p = NULL;
    if (must_fail() || bytes > LARGEST || posix_memalign(&p, ALIGNMENT, RN_MAX(bytes, 1)) != 0) {
        rn_fail(RN_ENOMEM, "out of memory: %zu bytes cannot be had", bytes);
        return NULL;
    }
    memset(p, 0, RN_MAX(bytes, 1));
    atomic_fetch_add(&live, 1);
    return p;
}

bool rn_mul_size(size_t *product, size_t a, size_t b)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

void *rn_alloc_array(size_t count, size_t size)
{
    size_t bytes;
    if (!rn_mul_size(&bytes, count, size)) {
        rn_fail(RN_ENOMEM, "out of memory: %zu x %zu bytes cannot be had", count, size);
        return NULL;
    }
    return rn_alloc(bytes);
}

void *rn_realloc(void *p, size_t old_bytes, size_t new_bytes)
{
    void *grown = rn_alloc(new_bytes);
    if (!grown) return NULL;
    if (p) memcpy(grown, p, RN_MIN(old_bytes, new_bytes));
    rn_free(p);
    return grown;
}

void rn_free(void *p)
{
    if (!p) return;
    atomic_fetch_sub(&live, 1);
    free(p);
}

char *rn_strdup(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = rn_alloc(bytes);
    if (copy) memcpy(copy, s, bytes);
    return copy;
}

void rn_alloc_fail_at(uint64_t n, bool for_ever)
{
    atomic_store(&fail_for_ever, for_ever);
    atomic_store(&countdown, n);
}

uint64_t rn_alloc_live(void)
{
    return atomic_load(&live);
}
