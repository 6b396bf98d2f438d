/*
 * source.h - a file opened for reading at places (inside io/ only).
 *
 * Files are not read whole: storages go straight into the tensors they become, so that reading a
 * checkpoint takes about its size in memory and not twice that.
 */
#ifndef RN_IO_SOURCE_H
#define RN_IO_SOURCE_H

#include "io/io.h"

struct rn_source { int fd; uint64_t size; const char *path; /* borrowed */ };

/* RN_EINPUT: missing, unreadable, not a regular file, empty.  Never waits for a FIFO. */
rn_status rn_source_open(struct rn_source *s, const char *path);
void rn_source_close(struct rn_source *s); /* harmless twice */
/* Reads exactly bytes [offset, offset + bytes); `what` names them in messages.  RN_EINPUT: past the
 * end, or the file became shorter meanwhile. */
rn_status rn_source_read(const struct rn_source *s, void *dst, uint64_t offset, uint64_t bytes,
                         const char *what);
/* The same into new memory, one zero byte added. */
rn_status rn_source_take(const struct rn_source *s, unsigned char **data, uint64_t offset,
                         uint64_t bytes, const char *what);
/* What the file is, by content alone.  RN_EINPUT names what it is instead. */
rn_status rn_sniff(const struct rn_source *s, enum rn_format *format);
/* The checksum of a 512-byte tar header holds. */
bool rn_tar_checksum(const unsigned char *block);

#endif /* RN_IO_SOURCE_H */
