/*
 * data.h - what the programs have in common when they open image folders: how much memory decoded pictures may
 * take, a line that moves while they are decoded, and a word on those that cannot be used.
 */
#ifndef RN_CLI_DATA_H
#define RN_CLI_DATA_H

#include "data/data.h"
#include "tools/cli/options.h"

/* --cache-mb, or else a quarter of the memory that is available. */
uint64_t tool_cache_bytes(const struct opt_set *o);
/* rn_dataset_open with a progress line, where stderr is a terminal, and the first of what was skipped on stderr;
 * neither under --quiet.  The call's threads are those of --threads. */
rn_status tool_data_open(struct rn_dataset **set, const char *spec, const struct rn_dataset_options *options,
                         const struct opt_set *o);

#endif /* RN_CLI_DATA_H */
