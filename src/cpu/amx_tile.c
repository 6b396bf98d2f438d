/* amx_tile.c - see amx_tile.h.  Instructions are written out: compilers know no way to keep tiles apart. */
#include "cpu/amx_tile.h"

#if RN_AMX

#define ALL(x) { x, x, x, x, x, x, x, x }
const struct rn_amx_config rn_amx_config = { .palette = 1, .row_bytes = ALL(RN_AMX_LINE), .rows = ALL(16) };

void rn_amx_begin(void) { __asm__ volatile("ldtilecfg %0" : : "m"(rn_amx_config)); }
void rn_amx_end(void) { __asm__ volatile("tilerelease" : : : "memory"); }

#define LOAD(tile, at, stride)                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(at), "r"(stride) : "memory")
#define STORE(tile, at, stride)                                                                    \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(at), "r"(stride) : "memory")
#define ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : :)
#define PRODUCT(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

/* C is tiles 0 and 1, of the first rows, and 2 and 3; A is 4 and 5, B 6 and 7.  Constant arguments. */
static inline __attribute__((always_inline)) void multiply(float *c, const int rows, const int cols,
                                                           const struct rn_amx_product *p)
{
    const size_t ld = RN_AMX_ROWS * sizeof *c, as = p->a_stride, bs = p->b_stride, step = p->b_block;
    ZERO(0);
    if (cols > 1) ZERO(1);
    if (rows > 1) ZERO(2);
    if (rows > 1 && cols > 1) ZERO(3);
    for (const struct rn_amx_run *r = p->run, *end = r + p->runs; r < end; r++) {
        const char *a0 = (const char *)p->a[0] + r->a, *a1 = rows > 1 ? (const char *)p->a[1] + r->a : a0;
        const char *b = (const char *)p->b + r->b * step;
        for (int left = r->blocks; left > 0; left--, a0 += RN_AMX_LINE, a1 += RN_AMX_LINE, b += step) {
            LOAD(6, b, bs);
            LOAD(4, a0, as);
            PRODUCT(0, 4, 6);
            if (cols > 1) LOAD(7, b + RN_AMX_LINE, bs);
            if (cols > 1) PRODUCT(1, 4, 7);
            if (rows > 1) LOAD(5, a1, as);
            if (rows > 1) PRODUCT(2, 5, 6);
            if (rows > 1 && cols > 1) PRODUCT(3, 5, 7);
        }
    }
    STORE(0, c, ld);
    if (cols > 1) STORE(1, c + 16, ld);
    if (rows > 1) STORE(2, c + RN_AMX_SQUARE / 2, ld);
    if (rows > 1 && cols > 1) STORE(3, c + RN_AMX_SQUARE / 2 + 16, ld);
}

void rn_amx_multiply(float *c, int rows, int cols, const struct rn_amx_product *p)
{
    if (rows > 1 && cols > 1) multiply(c, 2, 2, p);
    else if (rows > 1) multiply(c, 2, 1, p);
    else if (cols > 1) multiply(c, 1, 2, p);
    else multiply(c, 1, 1, p);
}

#endif
