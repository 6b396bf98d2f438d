/*
 * source.c - reading files at places, and recognising them by content.
 */
#define _POSIX_C_SOURCE 200809L
#include "io/source.h"

#include "base/mem.h"
#include "io/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

rn_status rn_source_open(struct rn_source *s, const char *path)
{
    struct stat st;
    *s = (struct rn_source){ .fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY),
                             .path = path };
    if (s->fd < 0) return rn_fail(RN_EINPUT, "%s: %s", path, strerror(errno));
    rn_status status = RN_OK;
    if (fstat(s->fd, &st) != 0) status = rn_fail(RN_EINPUT, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode)) status = rn_fail(RN_EINPUT, "%s: is a folder, not a file", path);
    else if (!S_ISREG(st.st_mode)) status = rn_fail(RN_EINPUT, "%s: is not a regular file", path);
    else if (st.st_size <= 0) status = rn_fail(RN_EINPUT, "%s: is empty (0 bytes)", path);
    else s->size = (uint64_t)st.st_size;
    if (status) rn_source_close(s);
    return status;
}

void rn_source_close(struct rn_source *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

rn_status rn_source_read(const struct rn_source *s, void *dst, uint64_t offset, uint64_t bytes,
                         const char *what)
{
    unsigned char *p = dst;
    if (offset > s->size || bytes > s->size - offset)
        return rn_fail(RN_EINPUT,
                       "%s: truncated at byte %" PRIu64 ": %s needs %" PRIu64
                       " bytes from offset %" PRIu64,
                       s->path, s->size, what, bytes, offset);
    while (bytes > 0) {
        ssize_t n = pread(s->fd, p, (size_t)RN_MIN(bytes, (uint64_t)1 << 30), (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return rn_fail(RN_EIO, "%s: offset %" PRIu64 ": %s", s->path, offset, strerror(errno));
        if (n == 0)
            return rn_fail(RN_EINPUT,
                           "%s: became shorter while it was read: no byte at offset %" PRIu64,
                           s->path, offset);
        p += n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return RN_OK;
}

rn_status rn_source_take(const struct rn_source *s, unsigned char **data, uint64_t offset,
                         uint64_t bytes, const char *what)
{
    *data = NULL;
    if (offset > s->size || bytes > s->size - offset)
        return rn_source_read(s, NULL, offset, bytes, what); /* its message */
    unsigned char *p = rn_alloc((size_t)bytes + 1);
    if (!p) return RN_ENOMEM;
    rn_status status = rn_source_read(s, p, offset, bytes, what);
    if (status) rn_free(p);
    else *data = p;
    return status;
}

/* -- recognition ------------------------------------------------------------------------------- */

#define HEAD 512

/* Beginnings of files that are often mistaken for one of ours, and what to call them. */
static const struct { const char *bytes; size_t count; const char *name; } strangers[] = {
    { "\x1f\x8b", 2, "a gzip file; unpack it first" },
    { "version https://git-lfs", 23,
      "a Git-LFS pointer, not the file it points to; fetch it with git lfs pull" },
    { "<!DOCTYPE", 9, "an HTML page, perhaps a download that went wrong" },
    { "<!doctype", 9, "an HTML page, perhaps a download that went wrong" },
    { "<html", 5, "an HTML page, perhaps a download that went wrong" },
    { "<HTML", 5, "an HTML page, perhaps a download that went wrong" },
    { "<?xml", 5, "an XML file" },
    { "{", 1, "text that looks like JSON" },
    { "\x89HDF\r\n\x1a\n", 8, "an HDF5 file" },
    { "\x89PNG", 4, "a PNG image" },
    { "\xff\xd8\xff", 3, "a JPEG image" },
    { "BZh", 3, "a bzip2 file; unpack it first" },
    { "\xfd"
      "7zXZ",
      5, "an xz file; unpack it first" },
    { "\x28\xb5\x2f\xfd", 4, "a zstd file; unpack it first" },
    { "7z\xbc\xaf\x27\x1c", 6, "a 7z archive; unpack it first" },
    { "Rar!", 4, "a RAR archive; unpack it first" },
    { "\x7f"
      "ELF",
      4, "an ELF program or library" },
    { "PK\x05\x06", 4, "an empty zip archive" },
    { "PK\x07\x08", 4, "a part of a multi-disk zip archive" },
    { "GGUF", 4, "a GGUF file" },
    { "%PDF", 4, "a PDF document" },
    { "\x80\x03", 2, "a pickle of protocol 3; torch.save writes protocol 2" },
    { "\x80\x04", 2, "a pickle of protocol 4; torch.save writes protocol 2" },
    { "\x80\x05", 2, "a pickle of protocol 5; torch.save writes protocol 2" },
};

/* A zip holds arrays of NumPy when its first entry is called *.npy. */
static bool first_is_npy(const unsigned char *head, size_t n)
{
    size_t length = n >= 30 ? rn_get16(head + 26) : 0;
    return length >= 4 && 30 + length <= n && !memcmp(head + 30 + length - 4, ".npy", 4);
}

bool rn_tar_checksum(const unsigned char *block)
{
    unsigned long sum = 0, stated = 0;
    for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? ' ' : block[i];
    int at = 148;
    while (at < 156 && block[at] == ' ') at++;
    for (; at < 156 && block[at] >= '0' && block[at] <= '7'; at++)
        stated = stated * 8 + (unsigned long)(block[at] - '0');
    return sum == stated;
}

static bool is_safetensors(const unsigned char *head, size_t n, uint64_t size)
{
    return n >= 9 && head[8] == '{' && rn_get64(head) <= size - 8;
}

rn_status rn_sniff(const struct rn_source *s, enum rn_format *format)
{
    /* LONG1 of ten bytes, 0x1950a86a20f9469cfc6c: how torch.save began every file before 1.6 */
    static const unsigned char magic[] = { 0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20,
                                           0x6a, 0xa8, 0x50, 0x19, '.' };
    unsigned char head[HEAD];
    size_t n = (size_t)RN_MIN(s->size, HEAD);
    rn_status status = rn_source_read(s, head, 0, n, "the beginning");
    if (status) return status;
    if (n >= 4 && !memcmp(head, "PK\x03\x04", 4))
        *format = first_is_npy(head, n) ? RN_FORMAT_NPZ : RN_FORMAT_PTH_ZIP;
    else if (n >= sizeof magic && !memcmp(head, magic, sizeof magic))
        *format = RN_FORMAT_PTH_STREAM;
    else if (n >= 6 && !memcmp(head, "\x93NUMPY", 6)) *format = RN_FORMAT_NPY;
    else if (is_safetensors(head, n, s->size)) *format = RN_FORMAT_SAFETENSORS;
    else if (n >= 2 && head[0] == 0x80 && head[1] == 2) *format = RN_FORMAT_PICKLE;
    else if (n == HEAD && rn_tar_checksum(head)) *format = RN_FORMAT_PTH_TAR;
    else {
        for (size_t i = 0; i < RN_COUNT(strangers); i++)
            if (n >= strangers[i].count && !memcmp(head, strangers[i].bytes, strangers[i].count))
                return rn_fail(RN_EINPUT, "%s: is %s", s->path, strangers[i].name);
        return rn_fail(RN_EINPUT,
                       "%s: offset 0: bytes %02x %02x %02x %02x begin no format known here "
                       "(.pth, .safetensors, .npz, .npy)",
                       s->path, head[0], n > 1 ? head[1] : 0, n > 2 ? head[2] : 0,
                       n > 3 ? head[3] : 0);
    }
    return RN_OK;
}
