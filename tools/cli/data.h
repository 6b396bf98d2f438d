/*
 * data.h - what the programs have in common when they open image folders: how much memory decoded pictures may
 * take, a line that moves while they are decoded, and a word on those that cannot be used.
 */
#ifndef RN_CLI_DATA_H
#define RN_CLI_DATA_H

#include "data/data.h"
#include "tools/cli/options.h"

/* --cache-mb, but no more than seven eighths of the memory that is available; without it, a quarter of that. */
uint64_t tool_cache_bytes(const struct opt_set *o);
/* As many workers as it takes that the net seldom waits for a folder's pictures to be decoded, and one for data in
 * memory.  data: spec or name of the data set. */
int tool_usual_workers(const char *data);
/* --workers, or else these. */
int tool_workers(const struct opt_set *o, const char *data);
/* rn_dataset_open with a line on stderr, that moves where that is a terminal, and the first of what was skipped;
 * neither under --quiet.  The call's threads are those of --threads. */
rn_status tool_data_open(struct rn_dataset **set, const char *spec, const struct rn_dataset_options *options,
                         const struct opt_set *o);
/* Whether the first `limit` images of a folder's split, 0 for all, are of one class only: files are taken class
 * by class.  *needed: how many it takes for a second one. */
bool tool_data_one_class(int64_t *needed, const struct rn_split *split, int64_t limit);
/* Says so on stderr, where it is so, of images that are judged; not under --quiet. */
void tool_data_mention_limit(const struct opt_set *o, const char *flag, const struct rn_dataset *set,
                             const struct rn_split *split);

#endif /* RN_CLI_DATA_H */
