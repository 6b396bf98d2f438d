/*
 * store.h - the pictures of a split that lies in files: where they are, what they are, and as many of their
 * decoded pixels as there is room for.
 *
 * A store is filled and then scanned, by one thread; from then on it only gives, to any number of threads.
 * What it gives never depends on what it kept.
 */
#ifndef RN_DATA_STORE_H
#define RN_DATA_STORE_H

#include "base/text.h"
#include "data/image.h"

struct rn_picture {
    char *path;
    int32_t label;
    int width, height; /* as the store gives it */
    uint64_t hash;     /* of the file's bytes when it was scanned */
    uint8_t *pixels;   /* [3][height][width]; NULL: not kept, and decoded whenever it is asked for */
};

struct rn_store {
    struct rn_picture *picture; /* in file order */
    size_t count, room;
    int resize;      /* the short side that evaluation brings pictures to */
    bool originals;  /* pictures are given as they are; else those with a longer short side come with that one */
};

/* Files and folders that cannot be used; strict: the first of them is RN_EINPUT, and the list stays empty. */
struct rn_skipped {
    bool strict;
    int64_t count;
    struct rn_text lines; /* "path: reason\n", the first RN_SKIPPED_LINES */
};
#define RN_SKIPPED_LINES 10000
/* Puts a line on the list, unless it is strict. */
rn_status rn_skip(struct rn_skipped *skipped, const char *line);

rn_status rn_store_create(struct rn_store **store, int resize, bool originals);
void rn_store_free(struct rn_store *store);
/* One more file, whose path is copied. */
rn_status rn_store_add(struct rn_store *store, const char *path, int32_t label);
/* Moves the marked files, in their order, to the end of another store; `marked` is [from->count]. */
rn_status rn_store_move(struct rn_store *to, struct rn_store *from, const bool *marked);

struct rn_scan {
    int threads;          /* that decode; at least 1 */
    uint64_t cache_bytes; /* room for pixels; what is kept is taken off */
    bool headers;         /* no file is decoded or kept: damage behind the headers is not found */
    struct rn_skipped *skipped;
    void (*progress)(void *arg, int64_t done, int64_t count); /* or NULL; of the whole scan: of `total` files */
    void *arg;
    int64_t done, total;
};
/* Decodes every file once, or looks at its header.  Those that cannot be used are listed and taken out.
 * RN_ENOMEM, RN_EIO: the machine failed; RN_EINPUT only when the list is strict. */
rn_status rn_store_scan(struct rn_store *store, struct rn_scan *scan);

/* Instead of a scan: leaves one usable file of each label, of those that have any, for a store that nobody will
 * ask.  Files of a label follow each other. */
rn_status rn_store_probe(struct rn_store *store);

/* A picture to look at: in the cache, or in `own`, which the caller frees. */
struct rn_view { int width, height; const uint8_t *pixels; };
/* RN_EINPUT: the file changed, or is gone, since it was scanned. */
rn_status rn_store_get(struct rn_view *view, struct rn_image *own, const struct rn_store *store, uint32_t index);

/* torchvision's Resize(resize): the view becomes that of `own`, which the caller frees, unless it is of that size
 * already. */
rn_status rn_view_resize(struct rn_view *view, struct rn_image *own, int resize);
/* torchvision's Resize(resize) and CenterCrop(side) of a picture, into planes [3][side][side];
 * resize >= side.  Nothing but memory can fail. */
rn_status rn_centre_crop(uint8_t *dst, int side, const struct rn_view *view, int resize);

#endif /* RN_DATA_STORE_H */
