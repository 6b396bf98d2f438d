/*
 * base.h - what every file of the library may use: guards of the arithmetic (A2), status and
 * message, small macros.  Nothing here knows about nets.
 */
#ifndef RN_BASE_H
#define RN_BASE_H

#include "resnet.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A2: refuse to be compiled with anything that changes values. */
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__NO_SIGNED_ZEROS__) || \
    defined(__RECIPROCAL_MATH__)
#error "value-changing floating-point options are in force; see rule A2 in ref/ARITHMETIC.md"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ != 0
#error "-ffinite-math-only is in force; see rule A2 in ref/ARITHMETIC.md"
#endif
#include <float.h>
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "floats are evaluated in a wider type; see rule A2 in ref/ARITHMETIC.md"
#endif

#define RN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define RN_MAX(a, b) ((a) > (b) ? (a) : (b))
#define RN_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RN_MB (1024.0 * 1024.0)

/* Where i lies in 0 ... size-1 after reflection at the outermost pixels. */
static inline int rn_reflected(int i, int size)
{
    if (size == 1) return 0;
    while (i < 0 || i >= size) i = i < 0 ? -i : 2 * (size - 1) - i;
    return i;
}

/* Whether a slot with this verdict given does its work (resnet_backend.h). */
static inline bool rn_given(const int32_t *given) { return !given || *given == 1; }

#if defined(__GNUC__)
#define RN_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define RN_NOINLINE __attribute__((noinline))
#define RN_UNUSED __attribute__((unused))
#else
#define RN_PRINTF(fmt, first)
#define RN_NOINLINE
#define RN_UNUSED
#endif

/* Internal contracts; on in debug and sanitizer builds, never a substitute for checking input. */
#ifdef RN_DEBUG
#include <assert.h>
#define RN_ASSERT(condition) assert(condition)
#else
#define RN_ASSERT(condition) ((void)0)
#endif

/* Records a message for this thread and returns `status`, so that `return rn_fail(...)` is the one
 * way to report an error.  The text names file, offset or field, value and limit. */
rn_status rn_fail(rn_status status, const char *fmt, ...) RN_PRINTF(2, 3);
/* Puts "context: " before this thread's message and returns `status`. */
rn_status rn_fail_in(rn_status status, const char *context);
void rn_error_clear(void);
/* From now on every message, of any thread, ends with `text`, and no program with status 0: a device has failed
 * behind a call that cannot say so.  The first text stays. */
void rn_fail_because(const char *text);
const char *rn_fail_cause(void); /* NULL: there is none */
int rn_exit_code(rn_status status); /* of the programs: 0 1 2 3 4 5 130 */

#endif /* RN_BASE_H */
