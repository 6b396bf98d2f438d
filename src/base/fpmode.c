/*
 * fpmode.c - rule A3: the floating-point mode in which every rule is meant: round to nearest even,
 * subnormals computed, no traps.
 *
 * Compilers do not know that arithmetic depends on the mode register and may move it across the
 * write.  So the write is a function that is never inlined and that may, for all the compiler
 * knows, change any memory; the arithmetic is in other functions and works on memory.
 */
#include "base/threads.h"

#if defined(__GNUC__) && (defined(__x86_64__) || (defined(__i386__) && defined(__SSE__)))

#define MXCSR_DEFAULT 0x1f80u /* all exceptions masked, nearest even, no FTZ, no DAZ */
#define X87_DEFAULT 0x037fu   /* the same for the old unit: strtod and printf of glibc obey it */

RN_NOINLINE rn_fpmode rn_fpmode_enter(void)
{
    rn_fpmode saved = { { 0 } };
    uint32_t word, standard = MXCSR_DEFAULT;
    uint16_t word87, standard87 = X87_DEFAULT;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(word), "=m"(word87) : : "memory");
    saved.word[0] = word;
    saved.word[1] = word87;
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(standard), "m"(standard87) : "memory");
    return saved;
}

RN_NOINLINE void rn_fpmode_leave(rn_fpmode saved)
{
    uint32_t word = (uint32_t)saved.word[0];
    uint16_t word87 = (uint16_t)saved.word[1];
    __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(word), "m"(word87) : "memory");
}

#elif defined(__GNUC__) && defined(__aarch64__)

RN_NOINLINE rn_fpmode rn_fpmode_enter(void)
{
    rn_fpmode saved = { { 0 } };
    uint64_t standard = 0; /* FPCR: nearest even, no FZ, FIZ, AH or DN, no traps */
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved.word[0]) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(standard) : "memory");
    return saved;
}

RN_NOINLINE void rn_fpmode_leave(rn_fpmode saved)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(saved.word[0]) : "memory");
}

#else

#include <fenv.h>
#include <string.h>

_Static_assert(sizeof(fenv_t) <= sizeof(rn_fpmode), "rn_fpmode must hold a fenv_t");

RN_NOINLINE rn_fpmode rn_fpmode_enter(void)
{
    rn_fpmode saved = { { 0 } };
    fenv_t environment;
    fegetenv(&environment);
    memcpy(&saved, &environment, sizeof environment);
    fesetenv(FE_DFL_ENV);
    return saved;
}

RN_NOINLINE void rn_fpmode_leave(rn_fpmode saved)
{
    fenv_t environment;
    memcpy(&environment, &saved, sizeof environment);
    fesetenv(&environment);
}

#endif
