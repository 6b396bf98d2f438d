/*
 * file.c - files read whole with a limit, and written whole or not at all.
 *
 * Reading never waits: a FIFO or a terminal is opened without blocking, recognised and refused.
 * Writing goes to a new file in the same folder that replaces the old one by rename, after its
 * bytes are on the disk; whatever fails before that leaves the old file as it was.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/file.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define BUFFER_BYTES (256u << 10)
#define LARGEST_CALL (1u << 30) /* of read, write, crc32; some take no more than 2^31 - 1 */
#define SHOWN 400               /* characters of a path in a message */

/* The path as a message may show it. */
struct shown { char text[SHOWN]; };

static struct shown shown(const char *path)
{
    struct shown s;
    rn_printable(s.text, sizeof s.text, path, strlen(path));
    return s;
}

/* A failed system call: what the caller gave is at fault (3), or the machine is (4). */
static rn_status fail_open(const char *path, int error)
{
    bool machine = error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
    return rn_fail(machine ? RN_EIO : RN_EINPUT, "%s: cannot open: %s", shown(path).text,
                   strerror(error));
}

static rn_status fail_io(const char *path, const char *doing)
{
    int error = errno;
    return rn_fail(RN_EIO, "%s: %s: %s", shown(path).text, doing, strerror(error));
}

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    return "not a regular file";
}

static rn_status fail_kind(const char *path, mode_t mode)
{
    return rn_fail(RN_EINPUT, "%s: is %s, where a regular file is needed", shown(path).text,
                   kind_of(mode));
}

/* Reads until `bytes` are there or the file ends; *got says how many. */
static rn_status read_all(unsigned char *data, size_t bytes, size_t *got, int fd, const char *path)
{
    for (*got = 0; *got < bytes;) {
        ssize_t n = read(fd, data + *got, RN_MIN(bytes - *got, LARGEST_CALL));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_io(path, "cannot read");
        if (n == 0) break;
        *got += (size_t)n;
    }
    return RN_OK;
}

/* The content of the open file; *data is the caller's to free, also on failure. */
static rn_status read_open(unsigned char **data, size_t *bytes, int fd, const char *path,
                           size_t limit)
{
    struct stat info;
    size_t got;
    if (fstat(fd, &info) != 0) return fail_io(path, "cannot stat");
    if (!S_ISREG(info.st_mode)) return fail_kind(path, info.st_mode);
    if (info.st_size < 0 || (uintmax_t)info.st_size > limit || (uintmax_t)info.st_size >= SIZE_MAX)
        return rn_fail(RN_EINPUT, "%s: has %jd bytes; at most %zu are read", shown(path).text,
                       (intmax_t)info.st_size, limit);
    size_t size = (size_t)info.st_size;
    if (!(*data = rn_alloc(size + 1))) return rn_fail_in(RN_ENOMEM, shown(path).text);
    rn_status status = read_all(*data, size + 1, &got, fd, path); /* one more, to see it grow */
    if (status != RN_OK) return status;
    if (got != size)
        return rn_fail(RN_EINPUT, "%s: %s while it was read; it had %zu bytes", shown(path).text,
                       got < size ? "became shorter" : "grew", size);
    *bytes = size;
    return RN_OK;
}

rn_status rn_file_read(unsigned char **data, size_t *bytes, const char *path, size_t limit)
{
    int fd;
    *data = NULL;
    *bytes = 0;
    do fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return fail_open(path, errno);
    rn_status status = read_open(data, bytes, fd, path, limit);
    close(fd);
    if (status != RN_OK) {
        rn_free(*data);
        *data = NULL;
    }
    return status;
}

/* Opens a file that did not exist, named after the target; names left by the dead are skipped. */
static rn_status open_temporary(struct rn_writer *w)
{
    size_t room = strlen(w->path) + 48;
    if (!(w->temporary = rn_alloc(room))) return RN_ENOMEM;
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        snprintf(w->temporary, room, "%s.tmp-%ld-%u", w->path, (long)getpid(), attempt);
        w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) return RN_OK;
        if (errno != EEXIST && errno != EINTR) break;
    }
    rn_status status = fail_io(w->path, "cannot create");
    rn_free(w->temporary); /* nothing of ours to remove */
    w->temporary = NULL;
    return status;
}

rn_status rn_writer_open(struct rn_writer *w, const char *path)
{
    struct stat info;
    rn_status status = RN_ENOMEM;
    *w = (struct rn_writer){ .fd = -1 };
    if (*path == '\0') return rn_fail(RN_EINPUT, "a file's name is empty");
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) return fail_kind(path, info.st_mode);
    w->path = rn_strdup(path);
    w->buffer = rn_alloc(BUFFER_BYTES);
    if (w->path && w->buffer) status = open_temporary(w);
    if (status != RN_OK) rn_writer_abort(w);
    return status;
}

static rn_status write_all(struct rn_writer *w, const unsigned char *p, size_t bytes)
{
    uint64_t offset = w->offset - w->fill; /* of p; what is buffered lies behind it */
    while (bytes > 0) {
        ssize_t n = write(w->fd, p, RN_MIN(bytes, LARGEST_CALL));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            int error = n < 0 ? errno : ENOSPC;
            return rn_fail(RN_EIO, "%s: cannot write %zu bytes at offset %" PRIu64 ": %s",
                           shown(w->path).text, bytes, offset, strerror(error));
        }
        p += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return RN_OK;
}

static rn_status flush(struct rn_writer *w)
{
    rn_status status = write_all(w, w->buffer, w->fill);
    if (status == RN_OK) w->fill = 0;
    return status;
}

static uint32_t crc_of(uint32_t crc, const unsigned char *p, size_t bytes)
{
    for (; bytes > 0; p += RN_MIN(bytes, LARGEST_CALL), bytes -= RN_MIN(bytes, LARGEST_CALL))
        crc = (uint32_t)crc32(crc, p, (uInt)RN_MIN(bytes, LARGEST_CALL));
    return crc;
}

rn_status rn_writer_bytes(struct rn_writer *w, const void *data, size_t bytes)
{
    if (bytes == 0) return RN_OK;
    if (bytes > BUFFER_BYTES - w->fill) {
        rn_status status = flush(w);
        if (status != RN_OK) return status;
    }
    if (bytes > BUFFER_BYTES) {
        rn_status status = write_all(w, data, bytes);
        if (status != RN_OK) return status;
    } else {
        memcpy(w->buffer + w->fill, data, bytes);
        w->fill += bytes;
    }
    w->crc = crc_of(w->crc, data, bytes);
    w->offset += bytes;
    return RN_OK;
}

/* Waits until the entry of `path` in its folder is on the disk; cuts `path` down to the folder.
 * Folders that cannot be opened for reading, or that their file system cannot synchronise, are
 * left. */
static rn_status sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash) slash[1] = '\0';
    int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return RN_OK;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    errno = error;
    return error == EIO ? fail_io(path, "cannot synchronise this folder") : RN_OK;
}

static rn_status finish(struct rn_writer *w)
{
    rn_status status = flush(w);
    if (status != RN_OK) return status;
    int result;
    do result = fsync(w->fd);
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno != EINVAL) return fail_io(w->path, "cannot synchronise");
    int fd = w->fd;
    w->fd = -1; /* close gives the number back even when it fails */
    if (close(fd) != 0 && errno != EINTR) return fail_io(w->path, "cannot close");
    if (rename(w->temporary, w->path) != 0) return fail_io(w->path, "cannot replace");
    rn_free(w->temporary);
    w->temporary = NULL;
    return sync_folder(w->path);
}

rn_status rn_writer_commit(struct rn_writer *w)
{
    rn_status status = finish(w);
    rn_writer_abort(w);
    return status;
}

void rn_writer_abort(struct rn_writer *w)
{
    if (w->temporary) {
        if (w->fd >= 0) close(w->fd);
        unlink(w->temporary);
    }
    rn_free(w->temporary);
    rn_free(w->path);
    rn_free(w->buffer);
    *w = (struct rn_writer){ .fd = -1 };
}

rn_status rn_file_write(const char *path, const void *data, size_t bytes)
{
    struct rn_writer w;
    rn_status status = rn_writer_open(&w, path);
    if (status == RN_OK) status = rn_writer_bytes(&w, data, bytes);
    if (status == RN_OK) status = rn_writer_commit(&w);
    rn_writer_abort(&w);
    return status;
}

bool rn_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool rn_path_exists_in(const char *folder, const char *name)
{
    char *path = rn_path_join(folder, name);
    const bool there = path && rn_path_exists(path);
    rn_free(path);
    return there;
}

bool rn_folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static rn_status make_one(const char *path)
{
    if (mkdir(path, 0777) == 0) return RN_OK;
    int error = errno;
    if (rn_folder_exists(path)) return RN_OK;
    if (error == EEXIST || error == ENOTDIR)
        return rn_fail(RN_EINPUT, "%s: cannot make this folder: a file is in its place",
                       shown(path).text);
    errno = error;
    return fail_io(path, "cannot make this folder");
}

rn_status rn_folder_make(const char *path)
{
    rn_status status = RN_OK;
    if (*path == '\0') return rn_fail(RN_EINPUT, "a folder's name is empty");
    char *copy = rn_strdup(path);
    if (!copy) return RN_ENOMEM;
    for (char *p = copy + 1; status == RN_OK; p++) {
        char c = *p;
        if (c != '/' && c != '\0') continue;
        *p = '\0';
        status = make_one(copy);
        *p = c;
        if (c == '\0') break;
    }
    rn_free(copy);
    return status;
}

char *rn_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder), bytes = length + strlen(name) + 2;
    char *path = rn_alloc(bytes);
    const char *between = length == 0 || folder[length - 1] == '/' ? "" : "/";
    if (path) snprintf(path, bytes, "%s%s%s", folder, between, name);
    return path;
}
