/*
 * amx_tile.h - the tile unit's instructions, and the one product that everything is made of.
 *
 * TDPBF16PS adds one block of 32 slots (A31) to 16x16 outputs: A is 16 rows of 32 numbers, B 16 rows of 16
 * pairs, the even slot of a pair first.  All tiles are 16 rows of 64 bytes: of the eight, four hold outputs,
 * two A and two B, so that four tile loads feed four products.  A load takes 8 cycles out of the first cache
 * and about 16 out of the second, a product 16: with one operand in the first cache loads hide behind products.
 * Rows that nobody wants are computed all the same and not stored: one configuration is enough.
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
 */
#ifndef RN_CPU_AMX_TILE_H
#define RN_CPU_AMX_TILE_H

#include "cpu/cpu.h"

/* Whether this build has it: compilers that know AVX512-BF16 and whose assemblers know tiles. */
#if defined(__x86_64__) && (__GNUC__ >= 11 || (defined(__clang__) && __clang_major__ >= 12))
#define RN_AMX 1
#else
#define RN_AMX 0
#endif

#define RN_AMX_ROWS 32  /* of two tiles: outputs come in squares of so many */
#define RN_AMX_LINE 64  /* bytes of a row of a tile */
#define RN_AMX_SQUARE (RN_AMX_ROWS * RN_AMX_ROWS)

/* What the CPU loads to know its tiles. */
struct rn_amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
extern const struct rn_amx_config rn_amx_config;

/* Blocks of k that lie one after the other: `a` bytes from where a tile of A begins, from block b on of B. */
struct rn_amx_run { ptrdiff_t a; size_t b; int blocks; };

/* A of up to two tiles, rows a_stride bytes apart, a block in the first 64 bytes; B of up to two, the second
 * 64 bytes after the first, rows b_stride and blocks b_block bytes apart. */
struct rn_amx_product {
    const void *a[2];
    size_t a_stride;
    const void *b;
    size_t b_stride, b_block;
    const struct rn_amx_run *run;
    int runs;
};

/* Around all products of a task: the tiles of a thread are configured, and given back. */
void rn_amx_begin(void);
void rn_amx_end(void);
/* c[32][32] = A B by A31, of `rows` tiles of A and `cols` of B; the rest of c is left alone. */
void rn_amx_multiply(float *c, int rows, int cols, const struct rn_amx_product *p);

#endif /* RN_CPU_AMX_TILE_H */
