/*
 * zip.h - the zip archives inside .pth and .npz (inside io/ only).
 * Format: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
 */
#ifndef RN_IO_ZIP_H
#define RN_IO_ZIP_H

#include "base/file.h"
#include "io/source.h"

struct rn_zip_entry {
    const char *name;    /* zero-terminated, valid UTF-8, relative, without "." and ".." parts */
    uint64_t local;      /* offset of the local header */
    uint64_t data;       /* offset of the content */
    uint64_t packed;     /* bytes in the file */
    uint64_t size;       /* bytes of content */
    uint32_t crc;
    uint16_t flags, method; /* 0 stored, 8 deflated */
    bool checked;        /* its CRC was found right */
};

struct rn_zip {
    const struct rn_source *source;
    struct rn_zip_entry *entry; /* sorted by name */
    size_t count;
    char *names;
};

/* Reads the directory and checks all of the archive's structure: a single one that fills the file,
 * without gaps, overlaps, duplicates, encryption, comments or disks; local headers agree with the
 * directory. */
rn_status rn_zip_open(struct rn_zip *z, const struct rn_source *source);
void rn_zip_close(struct rn_zip *z);
struct rn_zip_entry *rn_zip_find(const struct rn_zip *z, const char *name); /* NULL: none */
/* All e->size bytes of content; the CRC is checked. */
rn_status rn_zip_read(const struct rn_zip *z, struct rn_zip_entry *e, void *dst);
/* Checks the CRC of whatever was not read. */
rn_status rn_zip_check_rest(const struct rn_zip *z);

/* A relative path of ordinary parts: nothing that leads out of a folder, in valid UTF-8. */
bool rn_zip_name_is_plain(const char *name, size_t length);

/* Writes stored entries in the order of the calls; fixed dates, content at multiples of 64. */
struct rn_zip_record { char *name; uint64_t offset, size; uint32_t crc; };
struct rn_zip_writer {
    struct rn_writer out;
    struct rn_zip_record *record;
    size_t count, capacity;
};
rn_status rn_zip_begin(struct rn_zip_writer *z, const char *path);
/* One entry: `head` as it is, then `count` items of `size` bytes in little-endian order. */
rn_status rn_zip_put(struct rn_zip_writer *z, const char *name, const void *head, size_t head_bytes,
                     const void *items, size_t count, size_t size);
rn_status rn_zip_commit(struct rn_zip_writer *z);
void rn_zip_abort(struct rn_zip_writer *z); /* always, at the end; harmless after commit */

#endif /* RN_IO_ZIP_H */
