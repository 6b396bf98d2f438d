/* file.h - files are read whole with a limit, and written whole or not at all. */
#ifndef RN_FILE_H
#define RN_FILE_H

#include "base/base.h"

/* Reads a regular file of at most `limit` bytes.  RN_EINPUT: missing, a directory, a device, too
 * long, changes while read.  *data is rn_alloc'ed (one extra zero byte follows the content). */
rn_status rn_file_read(unsigned char **data, size_t *bytes, const char *path, size_t limit);

/* Atomic replacement: temporary in the same folder (O_EXCL) -> write -> fsync -> close -> rename ->
 * fsync of the folder.  On any failure the old file is untouched and the temporary is gone. */
struct rn_writer {
    int fd;
    char *path, *temporary;
    uint64_t offset; /* bytes given so far */
    uint32_t crc;    /* CRC-32 of what was given since the caller last set it to 0 */
    unsigned char *buffer;
    size_t fill;
};
rn_status rn_writer_open(struct rn_writer *w, const char *path);
/* RN_EIO names path, bytes, offset and reason. */
rn_status rn_writer_bytes(struct rn_writer *w, const void *data, size_t bytes);
rn_status rn_writer_commit(struct rn_writer *w); /* on failure it is aborted, too */
void rn_writer_abort(struct rn_writer *w); /* after any failure; harmless after commit */
rn_status rn_file_write(const char *path, const void *data, size_t bytes); /* the four in one */

rn_status rn_folder_make(const char *path);          /* with parents; an existing folder is fine */
bool rn_path_exists(const char *path);
bool rn_path_exists_in(const char *folder, const char *name); /* false, too, when out of memory */
bool rn_folder_exists(const char *path);
char *rn_path_join(const char *folder, const char *name); /* rn_alloc'ed; NULL when out of memory */

#endif /* RN_FILE_H */
