/* memory.h - what ./profile --memory says: memory by what it is for, over a step and at its peak. */
#ifndef RN_PROFILE_MEMORY_H
#define RN_PROFILE_MEMORY_H

#include "net/memory.h"
#include "tools/profile/run.h"

struct profile_memory {
    struct rn_net_memory net;
    size_t optimizer, data, profiler; /* bytes; data: pixels and prepared batches */
    double program;                   /* MB, before anything was opened */
    double measured;                  /* MB, by the operating system, after the last step */
};

/* Gives back to the system what the allocator keeps of memory that is free, as of files that have been read. */
void profile_memory_settle(void);
/* Collects it from a run whose steps are done. */
rn_status profile_memory_take(struct profile_memory *m, const struct profile_run *r);
void profile_memory_free(struct profile_memory *m);
double profile_memory_sum(const struct profile_memory *m); /* MB */

/* Activations, their gradients and workspace as curves of the trace, a point for each step of each pass. */
void profile_memory_curves(const struct profile_memory *m, struct tool_profile *p);
/* The table of categories, and that of a pass, step by step. */
void profile_memory_text(struct rn_text *t, const struct profile_memory *m);
void profile_memory_json(struct rn_text *t, const struct profile_memory *m);

#endif /* RN_PROFILE_MEMORY_H */
