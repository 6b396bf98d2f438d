/*
 * dot.h - the sum of products that one output of a convolution is, in either form of it.
 *
 * fp32 (A13): one chain of fma.  bf16 (A31): the terms fill numbered slots, 32 to a block; the even
 * and the odd slots of a block are two chains from +0, whose sum is added to the result.  That is what
 * a matrix unit does with pairs of 16-bit numbers, so a term that is left out must keep its slot:
 * moving the later ones would change chains and blocks.
 */
#ifndef RN_REF_DOT_H
#define RN_REF_DOT_H

#include "base/real.h"

#define RN_DOT_BLOCK 32 /* slots */

/* A sum under way; begins with all zero but `bf16`. */
struct rn_ref_dot { bool bf16; int slot; float acc, even, odd; };

/* A31: the block is full, or there are no more terms. */
static inline void rn_ref_dot_close_block(struct rn_ref_dot *d)
{
    d->acc = d->acc + (d->even + d->odd);
    d->even = d->odd = 0;
    d->slot = 0;
}

/* The next term. */
static inline void rn_ref_dot_push(struct rn_ref_dot *d, float x, float y)
{
    if (!d->bf16) {
        d->acc = rn_fmaf(x, y, d->acc);
        return;
    }
    float *chain = d->slot % 2 ? &d->odd : &d->even;
    *chain = rn_fmaf(rn_round_bf16(x), rn_round_bf16(y), *chain);
    if (++d->slot == RN_DOT_BLOCK) rn_ref_dot_close_block(d);
}

/* The next `count` terms lie outside the image: A6 leaves them out, A31 makes them +0. */
static inline void rn_ref_dot_skip(struct rn_ref_dot *d, int count)
{
    if (!d->bf16) return;
    for (int i = 0; i < count; i++) rn_ref_dot_push(d, 0, 0);
}

static inline float rn_ref_dot_finish(struct rn_ref_dot *d)
{
    if (d->bf16) rn_ref_dot_close_block(d);
    return d->acc;
}

#endif /* RN_REF_DOT_H */
