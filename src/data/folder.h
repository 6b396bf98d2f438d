/*
 * folder.h - what the readers of image folders share: names of a folder in order, all files below one, and
 * what in them looks like a mistake.
 */
#ifndef RN_DATA_FOLDER_H
#define RN_DATA_FOLDER_H

#include "data/store.h"

#define RN_FOLDER_DEPTH 32 /* folders within folders of a class */

/* Whether the first `count` bytes are the word's, big letters A to Z as small ones; the word has so many. */
bool rn_letters_alike(const char *text, const char *word, size_t count);

struct rn_names { char **name; size_t count, room; };
void rn_names_free(struct rn_names *names);
rn_status rn_names_add(struct rn_names *names, const char *name);
void rn_names_sort(struct rn_names *names); /* by bytes */
/* What lies in the folder, sorted by bytes, without what begins with a dot.  RN_EINPUT: it cannot be read. */
rn_status rn_names_read(struct rn_names *names, const char *folder);

/* Adds the files of a class to the store: sorted by bytes, those of a folder within it at the place of its name.
 * What leads back to a folder already seen, to one of `above` (which ends with NULL), is too deep or cannot be
 * read is skipped; what systems put into folders unasked (Thumbs.db) is passed over. */
rn_status rn_walk_class(struct rn_store *store, int32_t label, const char *folder, const char *const *above,
                        struct rn_skipped *skipped);

/* Adds a line to the notes that names the folders of `root` beside train, val and test.  RN_EINPUT: one of them
 * has a name as Train, test_set, which is meant to be a part and would be none. */
rn_status rn_folder_beside(struct rn_text *notes, const char *root);
/* Adds a line on the pictures, scanned, that are the same to the byte in two classes or two parts, if there are
 * any; strict: RN_EINPUT instead.  store: [parts], NULL for what was not scanned. */
rn_status rn_folder_twice(struct rn_text *notes, const struct rn_store *const *store, int parts, bool strict);

#endif /* RN_DATA_FOLDER_H */
