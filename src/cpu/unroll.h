/* unroll.h - full unrolling of a short constant loop, in each compiler's words: tiles of vectors
 * stay in registers only when their loops are gone. */
#ifndef RN_UNROLL_H
#define RN_UNROLL_H

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

#endif /* RN_UNROLL_H */
