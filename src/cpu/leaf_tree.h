/*
 * leaf_tree.h - the tree of A11 over leaves of floats, which are all there or come one after the other.
 *
 * A11 adds leaves pairwise, level by level, and a leaf without a partner moves up as it is.  Nobody has
 * to keep all leaves for that; a binary counter does: node l holds the sum of 2^l leaves, and a leaf is
 * carried upwards through the occupied nodes as a bit is, older + newer.  After the last leaf the nodes
 * still occupied are folded from the newest, the lowest, to the oldest:
 *
 *     leaves 0 ... 6:   ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + v6)
 *
 * The other direction, which adds v6 last, gives other bits.  All sums are fp32 + without F, and every
 * float of a leaf is a tree of its own: pieces of a leaf may be added apart, in any order.
 */
#ifndef RN_CPU_LEAF_TREE_H
#define RN_CPU_LEAF_TREE_H

#include "cpu/cpu.h"

/* node[levels + 1][floats]: the last is no node but the spare, where odd leaves and carries stand. */
struct rn_leaf_tree { float *node; size_t floats; int levels; };

static inline int rn_leaf_levels(int64_t leaves)
{
    int levels = 1;
    while (leaves >> levels) levels++;
    return levels;
}

/* The memory of a tree over `leaves` leaves, at least 1, of `floats` each. */
static inline size_t rn_leaf_tree_floats(size_t floats, int64_t leaves)
{
    return floats * (size_t)(rn_leaf_levels(leaves) + 1);
}

/* That tree in memory `node`, whose content does not matter. */
static inline struct rn_leaf_tree rn_leaf_tree(float *node, size_t floats, int64_t leaves)
{
    return (struct rn_leaf_tree){ node, floats, rn_leaf_levels(leaves) };
}

static inline float *rn_leaf_node(const struct rn_leaf_tree *t, int level)
{
    return t->node + (size_t)level * t->floats;
}

/* Where leaf i = 0, 1, ... is to be written, after leaf i-1 has been added. */
static inline float *rn_leaf_slot(const struct rn_leaf_tree *t, int64_t i)
{
    return rn_leaf_node(t, i & 1 ? t->levels : 0);
}

/* Adds floats at ... at+n-1 of leaf i, which stand at `leaf`: in the slot, `at` floats in, or, of an odd
 * leaf, anywhere.  They are overwritten. */
static inline void rn_leaf_add(const struct rn_kernels *k, const struct rn_leaf_tree *t, int64_t i,
                               float *leaf, size_t at, size_t n)
{
    for (int level = 0; i >> level & 1; level++) {
        bool last = !(i >> (level + 1) & 1);
        k->sum(last ? rn_leaf_node(t, level + 1) + at : leaf, rn_leaf_node(t, level) + at, leaf, n);
    }
}

/* The sum of all leaves, in the first n floats of where it points; overwrites the spare. */
static inline const float *rn_leaf_total(const struct rn_kernels *k, const struct rn_leaf_tree *t,
                                         int64_t leaves, size_t n)
{
    float *spare = rn_leaf_node(t, t->levels);
    const float *total = NULL;
    for (int level = 0; level < t->levels; level++) {
        if (!(leaves >> level & 1)) continue;
        if (total) k->sum(spare, rn_leaf_node(t, level), total, n);
        total = total ? spare : rn_leaf_node(t, level);
    }
    return total;
}

/* The sum of leaves that are all there, `stride` floats apart, into the first. */
static inline void rn_leaf_fold(const struct rn_kernels *k, float *v, int64_t leaves, size_t stride,
                                size_t n)
{
    for (int64_t step = 1; step < leaves; step *= 2)
        for (int64_t i = 0; i + step < leaves; i += 2 * step) {
            float *left = v + (size_t)i * stride;
            k->sum(left, left, left + (size_t)step * stride, n);
        }
}

/* How weight gradients cut their leaves: into `blocks` of `block` each, a power of two, so that the tree over the
 * sums of blocks is the tree over leaves.  A batch of fewer leaves may have more blocks, but never more than
 * `parts`, which is what memory for them has to be sized by. */
struct rn_leaf_cut { int parts, block, blocks; };

#define RN_LEAF_TASKS 4                 /* for every thread, where leaves allow */
#define RN_LEAF_RESULTS ((size_t)32 << 20) /* bytes of the sums of all blocks at most, where there are several */

/* Blocks only where `tiles` of so many floats are too few to keep every thread busy. */
static inline struct rn_leaf_cut rn_leaf_cut(int leaves, int tiles, size_t floats, int threads)
{
    struct rn_leaf_cut cut = { .parts = 1, .block = 1 };
    while (threads > 1 && tiles * cut.parts < RN_LEAF_TASKS * threads && cut.parts < leaves &&
           2 * (size_t)(cut.parts * tiles) * floats * sizeof(float) <= RN_LEAF_RESULTS)
        cut.parts *= 2;
    while (cut.block * cut.parts < leaves) cut.block *= 2;
    cut.blocks = rn_ceil_div(leaves, cut.block);
    return cut;
}

#endif /* RN_CPU_LEAF_TREE_H */
