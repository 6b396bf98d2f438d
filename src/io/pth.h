/*
 * pth.h - between the files that read the three forms of .pth (inside io/ only).
 */
#ifndef RN_IO_PTH_H
#define RN_IO_PTH_H

#include "io/pickle.h"
#include "io/source.h"

/* Bytes that tensors sharing storages may exceed the file by. */
#define RN_TENSOR_SLACK ((uint64_t)64 << 20)

/* Reads all st->numel elements of a storage, in host order; with dst NULL only checks that the file
 * has just these. */
typedef rn_status rn_storage_reader(void *context, const struct rn_storage *st, void *dst);
/* Gives every pending tensor its values, one storage in memory at a time; reorders the list. */
rn_status rn_pending_fill(struct rn_pending_list *list, const char *path, rn_storage_reader *read,
                          void *context);

rn_status rn_pth_read_stream(struct rn_value **root, const struct rn_source *source);
rn_status rn_pth_read_tar(struct rn_value **root, const struct rn_source *source);

/* Where a storage lies in a stream or tar file. */
struct rn_place { char key[RN_STORAGE_KEY]; uint64_t offset; int64_t numel; enum rn_dtype dtype; };
struct rn_places { struct rn_place *item; size_t count, room; const struct rn_source *source; };
rn_status rn_places_add(struct rn_places *list, const struct rn_place *place);
rn_status rn_places_sort(struct rn_places *list); /* RN_EINPUT: two of one key */
struct rn_place *rn_places_find(const struct rn_places *list, const char *key); /* sorted ones */
rn_storage_reader rn_places_read;

/* Keys of a dictionary differ, else RN_EINPUT. */
rn_status rn_dict_unique(const struct rn_value *dict, const char *path);

/* Names differ, else RN_EINPUT. */
rn_status rn_tensors_unique(const struct rn_tensors *t, const char *path);

#endif /* RN_IO_PTH_H */
