/*
 * marks.h - where the program says what it is about to do, for whoever looks on (observe/span.h).
 *
 * Nobody looks: a mark is one load and one branch that always goes the same way.  Marks change no result.
 * Each thread's spans nest; a mark that ends what nobody saw begin is ignored.
 */
#ifndef RN_MARKS_H
#define RN_MARKS_H

#include "base/base.h"

#include <stdatomic.h>

struct rn_marks {
    uint64_t (*clock)(void);                               /* ns */
    /* A span of this thread.  thread: what kind of thread it is, should nobody have told yet. */
    void (*begin)(const char *name, const char *thread);
    void (*end)(void);
    /* The step of a pass that this thread's next calls of the op table are of, its layer, and, where a call is of two
     * layers, the other. */
    void (*layer)(int step, const char *name, const char *other);
    /* Worker `worker`, 1 or more, has done its share of an rn_parallel call, from `since` until now.  Called before
     * the caller of rn_parallel can return. */
    void (*worked)(int worker, uint64_t since);
};

extern _Atomic(const struct rn_marks *) rn_marks_watched; /* NULL: nobody looks; set by observe/span.c */

static inline const struct rn_marks *rn_marks(void)
{
    return atomic_load_explicit(&rn_marks_watched, memory_order_acquire);
}

static inline void rn_mark_begin(const char *name)
{
    const struct rn_marks *marks = rn_marks();
    if (marks) marks->begin(name, NULL);
}

static inline void rn_mark_end(void)
{
    const struct rn_marks *marks = rn_marks();
    if (marks) marks->end();
}

#endif /* RN_MARKS_H */
