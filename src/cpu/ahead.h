/*
 * ahead.h - tensors asked for before they are read: two runs of memory, a share of them at a time, so that the
 * loads spread over the arithmetic before the chunk that reads them.
 */
#ifndef RN_CPU_AHEAD_H
#define RN_CPU_AHEAD_H

#include "cpu/bf16.h"

#define RN_LINE 64 /* bytes of a cache line */

/* Memory that will be read: `count` pixels `stride` bytes apart, `lines` cache lines of each. */
struct rn_stream { const char *at; size_t stride; int64_t count; int lines, line; };

/* What the next chunk reads of two tensors, and how many lines are asked for at a time. */
struct rn_upcoming { struct rn_stream stream[2]; int64_t share; };

/* Pixels first ... end-1 of a tensor of `total`, `channels` of the C of each. */
static inline struct rn_stream rn_stream(const rn_bf16 *from, int C, int channels, int64_t first, int64_t end,
                                         int64_t total)
{
    struct rn_stream s = { .stride = (size_t)C * sizeof *from, .lines = rn_ceil_div(channels * 2, RN_LINE) };
    first = RN_MIN(first, total), end = RN_MIN(end, total);
    s.at = (const char *)(from + (size_t)first * (size_t)C);
    s.count = end - first;
    if (C > channels) return s;
    s.count = (s.count * (int64_t)s.stride + RN_LINE - 1) / RN_LINE; /* whole pixels: one dense run */
    s.stride = RN_LINE, s.lines = 1;
    return s;
}

/* Asks for the next share, the first stream first. */
static inline void rn_ask(struct rn_upcoming *a)
{
    int64_t left = a->share;
    for (struct rn_stream *s = a->stream; s < a->stream + 2; s++)
        for (; s->count && left; left--) {
            __builtin_prefetch(s->at + s->line * RN_LINE, 0, 2);
            if (++s->line < s->lines) continue;
            s->line = 0, s->at += s->stride, s->count--;
        }
}

#endif /* RN_CPU_AHEAD_H */
