/*
 * folder.h - what the readers of image folders share: names of a folder in order, and all files below one.
 */
#ifndef RN_DATA_FOLDER_H
#define RN_DATA_FOLDER_H

#include "data/store.h"

#define RN_FOLDER_DEPTH 32 /* folders within folders of a class */

struct rn_names { char **name; size_t count, room; };
void rn_names_free(struct rn_names *names);
rn_status rn_names_add(struct rn_names *names, const char *name);
void rn_names_sort(struct rn_names *names); /* by bytes */
/* What lies in the folder, sorted by bytes, without what begins with a dot.  RN_EINPUT: it cannot be read. */
rn_status rn_names_read(struct rn_names *names, const char *folder);

/* Adds the files of a class to the store: sorted by bytes, those of a folder within it at the place of its name.
 * What leads back to a folder already seen, to one of `above` (which ends with NULL), is too deep or cannot be
 * read is skipped. */
rn_status rn_walk_class(struct rn_store *store, int32_t label, const char *folder, const char *const *above,
                        struct rn_skipped *skipped);

#endif /* RN_DATA_FOLDER_H */
