/*
 * isa.c - the list of instruction sets, best first, and which of them this CPU has.
 *
 * A name caps what is used; nothing else of the program looks at the CPU.  `amx` is the tile unit of
 * the bf16 numerics (amx.h) beside avx512.  fp32 takes it by name only, runs as avx512 does and keeps the
 * name it was asked for.  Whether tiles are there is found by using them (A33), so a set is asked only
 * when its name is meant.
 */
#include "cpu/amx.h"
#include "cpu/cpu.h"

#include "base/text.h"

#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") &&
                             __builtin_cpu_supports("fma"); }

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}

static bool has_amx(void) { return !rn_amx_absence(); } /* with all of AVX-512 above */
#endif

static bool always(void) { return true; }

static const struct isa {
    const char *name;
    bool (*present)(void);
    const struct rn_kernels *kernels;
    bool by_name_only; /* not a choice of its own for fp32 */
} sets[] = {
#if defined(__x86_64__)
    { "amx", has_amx, &rn_kernels_avx512, true },
    { "avx512", has_avx512, &rn_kernels_avx512, false },
    { "avx2", has_avx2, &rn_kernels_avx2, false },
#endif
#if defined(__aarch64__)
    { "neon", always, &rn_kernels_neon, false },
#endif
    { "portable", always, &rn_kernels_portable, false },
};

const char *rn_isa_name(int i)
{
    for (size_t k = 0; k < RN_COUNT(sets); k++)
        if (!sets[k].by_name_only && sets[k].present() && i-- == 0) return sets[k].name;
    return NULL;
}

/* The refusal of a name, with those that this CPU has. */
static rn_status refuse(const char *wanted)
{
    struct rn_text list = { 0 };
    for (size_t k = 0; k < RN_COUNT(sets); k++)
        if (sets[k].present()) rn_text_add(&list, "%s%s", list.length ? ", " : "", sets[k].name);
    rn_status status = rn_text_status(&list);
    if (!status) {
        char shown[64];
        const char *why = strcmp(wanted, "amx") ? NULL : rn_amx_absence();
        status = rn_fail(RN_EUSAGE, "instruction set '%s' is not one of this CPU's: %s%s%s",
                         rn_printable(shown, sizeof shown, wanted, strlen(wanted)), list.data,
                         why ? "; amx: " : "", why ? why : "");
    }
    rn_text_free(&list);
    return status;
}

rn_status rn_isa_find(const struct rn_kernels **kernels, const char **name, const char *wanted)
{
    bool best = !wanted || !*wanted;
    for (size_t k = 0; k < RN_COUNT(sets); k++) {
        if (best ? sets[k].by_name_only : strcmp(wanted, sets[k].name) != 0) continue;
        if (!sets[k].present()) continue;
        *kernels = sets[k].kernels;
        *name = sets[k].name;
        return RN_OK;
    }
    return refuse(wanted);
}
