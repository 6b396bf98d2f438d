/*
 * mem.c - the one door to the heap: aligned, zeroed, counted, and able to fail on demand.
 *
 * Memory is cleared here and not by calloc because calloc promises no alignment, and an aligned
 * pointer inside a larger block would hide overruns from the address sanitizer.  Large blocks are
 * cleared by giving their pages back: the system brings zeros when, and on the processor where, a page
 * is first used, so half a gigabyte costs nothing at start-up and what is never used is never there.
 * They come back as large pages where the system has them: kernels stride over tens of megabytes.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* madvise */
#elif !defined(__linux__)
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/mem.h"

#include "base/available.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define ALIGNMENT 64
#define LARGE ((size_t)1 << 20) /* bytes from which on pages are given back */
#define ASKED ((size_t)16 << 20) /* bytes from which on it is asked first whether they are there */
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

/* Drops the content of `pages`, whole pages, so that they read as zeros.  Not every system that knows
 * the call does this (emulators ignore it): a mark in the first byte tells. */
static bool drop(unsigned char *pages, size_t bytes)
{
#ifdef __linux__
    volatile unsigned char *mark = pages;
    *mark = 1;
    if (madvise(pages, bytes, MADV_DONTNEED) || *mark != 0) return false;
    (void)madvise(pages, bytes, MADV_DONTNEED); /* the page of the mark too, to come back large */
#ifdef MADV_HUGEPAGE
    (void)madvise(pages, bytes, MADV_HUGEPAGE); /* advice: it may be declined */
#endif
    return true;
#else
    (void)pages, (void)bytes;
    return false;
#endif
}

static size_t page_bytes(void)
{
    long bytes = sysconf(_SC_PAGESIZE);
    return bytes > 0 && (size_t)bytes <= LARGE / 2 ? (size_t)bytes : LARGE / 2;
}

static void clear(unsigned char *p, size_t bytes)
{
    if (bytes >= LARGE) {
        size_t page = page_bytes(), head = (page - (uintptr_t)p % page) % page;
        size_t body = (bytes - head) / page * page;
        if (drop(p + head, body)) {
            memset(p, 0, head);
            p += head + body;
            bytes -= head + body;
        }
    }
    memset(p, 0, bytes);
}

void *rn_alloc(size_t bytes)
{
    void *p = NULL;
    if (bytes >= ASKED && rn_memory_check(bytes) != RN_OK) { /* when pages are used is too late for a no */
        rn_fail_in(RN_ENOMEM, "out of memory");
        return NULL;
    }
    if (must_fail() || bytes > LARGEST || posix_memalign(&p, ALIGNMENT, RN_MAX(bytes, 1)) != 0) {
        rn_fail(RN_ENOMEM, "out of memory: %zu bytes cannot be had", bytes);
        return NULL;
    }
    clear(p, RN_MAX(bytes, 1));
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
