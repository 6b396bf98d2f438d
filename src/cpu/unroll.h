/* unroll.h - full unrolling of a short constant loop, in each compiler's words: tiles of vectors
 * stay in registers only when their loops are gone.  And what keeps addresses simple. */
#ifndef RN_UNROLL_H
#define RN_UNROLL_H

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/* Makes a pointer be computed here, once: else gcc keeps an index register for every place it points near. */
#if defined(__GNUC__)
#define POINTER_HERE(p) __asm__("" : "+r"(p))
#else
#define POINTER_HERE(p) ((void)0)
#endif

#endif /* RN_UNROLL_H */
