/*
 * zip_read.c - reads zip archives as .pth and .npz files have them, and refuses all others.
 *
 * The central directory is the truth; a local header may leave CRC and sizes to it (bit 3, as
 * PyTorch writes) but must not contradict it.  The idea that keeps hostile archives out: the file
 * must be exactly its entries, one after the other from offset 0, then the directory, then the end
 * record. With no byte unaccounted for, readers that trust different parts of the file see the same
 * content.
 */
#include "io/zip.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LOCAL_BYTES 30
#define CENTRAL_BYTES 46
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define DESCRIPTOR_MAX 24
/* half a million entries; a ResNet-152 with Adam has 1,500 */
#define DIRECTORY_LIMIT ((uint64_t)32 << 20)

#define FLAG_ENCRYPTED 0x2041 /* bits 0, 6, 13 */
#define FLAG_DESCRIPTOR 0x0008

struct end { uint64_t entries, size, offset, at; /* where the end records begin */ };

static rn_status bad(const struct rn_zip *z, uint64_t offset, const char *what)
{
    return rn_fail(RN_EINPUT, "%s: zip offset %" PRIu64 ": %s", z->source->path, offset, what);
}

static rn_status bad_entry(const struct rn_zip *z, const struct rn_zip_entry *e, const char *what)
{
    char name[128];
    return rn_fail(RN_EINPUT, "%s: zip entry %s at offset %" PRIu64 ": %s", z->source->path,
                   rn_printable(name, sizeof name, e->name, strlen(e->name)), e->local, what);
}

/* -- the end ----------------------------------------------------------------------------------- */

/* Says why no end record closes the file. */
static rn_status no_end(const struct rn_zip *z)
{
    unsigned char *tail;
    uint64_t n = RN_MIN(z->source->size, (uint64_t)65535 + END_BYTES), found = 0;
    uint64_t from = z->source->size - n;
    rn_status s = rn_source_take(z->source, &tail, from, n, "the end of the archive");
    if (s) return s;
    for (uint64_t i = 0; i + 4 <= n; i++)
        if (!memcmp(tail + i, "PK\5\6", 4)) found = from + i + 1;
    rn_free(tail);
    if (found)
        return bad(z, found - 1,
                   "bytes or a comment follow the end record; an archive here has none");
    return rn_fail(RN_EINPUT,
                   "%s: truncated at byte %" PRIu64 ": a zip archive without its end record",
                   z->source->path, z->source->size);
}

static rn_status read_end64(const struct rn_zip *z, struct end *end)
{
    unsigned char p[END64_BYTES + LOCATOR_BYTES];
    uint64_t total = sizeof p + END_BYTES;
    if (z->source->size < total) return bad(z, 0, "too short for its ZIP64 end record");
    end->at = z->source->size - total;
    rn_status s = rn_source_read(z->source, p, end->at, sizeof p, "the ZIP64 end record");
    if (s) return s;
    const unsigned char *locator = p + END64_BYTES;
    if (memcmp(p, "PK\6\6", 4) || memcmp(locator, "PK\6\7", 4))
        return bad(z, end->at, "no ZIP64 end record and locator where they must be");
    if (rn_get64(p + 4) != END64_BYTES - 12 || rn_get64(locator + 8) != end->at)
        return bad(z, end->at, "the ZIP64 locator points elsewhere");
    if (rn_get32(p + 16) || rn_get32(p + 20) || rn_get32(locator + 4) ||
        rn_get32(locator + 16) != 1)
        return bad(z, end->at, "an archive over several disks");
    end->entries = rn_get64(p + 32);
    end->size = rn_get64(p + 40);
    end->offset = rn_get64(p + 48);
    if (rn_get64(p + 24) != end->entries) return bad(z, end->at, "an archive over several disks");
    return RN_OK;
}

/* True when a 16- or 32-bit field of the end record neither gives nor defers to the ZIP64 value. */
static bool differs(uint64_t field, uint64_t all_ones, uint64_t value)
{
    return field != all_ones && field != value;
}

static rn_status read_end(const struct rn_zip *z, struct end *end)
{
    unsigned char p[END_BYTES], locator[LOCATOR_BYTES] = { 0 };
    uint64_t size = z->source->size;
    if (size < END_BYTES) return no_end(z);
    uint64_t at = size - END_BYTES;
    rn_status s = rn_source_read(z->source, p, at, sizeof p, "the end record");
    if (!s && at >= LOCATOR_BYTES)
        s = rn_source_read(z->source, locator, at - LOCATOR_BYTES, sizeof locator,
                           "the end record");
    if (s) return s;
    if (memcmp(p, "PK\5\6", 4) || rn_get16(p + 20) != 0) return no_end(z);
    uint16_t disk = rn_get16(p + 4), start_disk = rn_get16(p + 6), here = rn_get16(p + 8);
    uint16_t entries = rn_get16(p + 10);
    if ((disk != 0 && disk != 0xffff) || (start_disk != 0 && start_disk != 0xffff) ||
        here != entries)
        return bad(z, at, "an archive over several disks");
    *end = (struct end){ entries, rn_get32(p + 12), rn_get32(p + 16), at };
    if (!memcmp(locator, "PK\6\7", 4)) {
        if ((s = read_end64(z, end)) != RN_OK) return s;
        if (differs(entries, 0xffff, end->entries) ||
            differs(rn_get32(p + 12), 0xffffffff, end->size) ||
            differs(rn_get32(p + 16), 0xffffffff, end->offset))
            return bad(z, at, "the end record contradicts the ZIP64 end record");
    }
    if (end->offset > end->at || end->size != end->at - end->offset)
        return bad(z, at, "the directory does not end where the end record begins");
    if (end->size > DIRECTORY_LIMIT) return bad(z, at, "a directory of more than 32 MB");
    if (end->entries == 0) return bad(z, at, "an archive without entries");
    if (end->entries > end->size / CENTRAL_BYTES)
        return bad(z, at, "more entries than the directory has room for");
    return RN_OK;
}

/* -- the directory ----------------------------------------------------------------------------- */

/* Takes from the ZIP64 extra field (id 1) the values whose 32-bit fields are all ones, in the order
 * of the format.  False when the extra fields are damaged or a value is missing. */
static bool extra64(const unsigned char *extra, size_t bytes, uint64_t *const value[3])
{
    const unsigned char *field = NULL;
    size_t left = 0, at = 0;
    while (bytes - at >= 4) {
        size_t n = rn_get16(extra + at + 2);
        if (n > bytes - at - 4) return false;
        if (rn_get16(extra + at) == 1) {
            if (field) return false;
            field = extra + at + 4;
            left = n;
        }
        at += 4 + n;
    }
    if (at != bytes) return false;
    for (int i = 0; i < 3; i++) {
        if (!value[i] || *value[i] != 0xffffffff) continue;
        if (left < 8) return false;
        *value[i] = rn_get64(field);
        field += 8;
        left -= 8;
    }
    return true;
}

/* A relative path of ordinary parts: nothing that leads out of a folder or hides what it is. */
bool rn_zip_name_is_plain(const char *name, size_t n)
{
    if (n == 0 || !rn_text_valid(name, n)) return false;
    if (name[0] == '/' || memchr(name, '\\', n) || (n > 1 && name[1] == ':')) return false;
    for (size_t at = 0; at <= n;) {
        const char *slash = memchr(name + at, '/', n - at);
        size_t part = slash ? (size_t)(slash - (name + at)) : n - at;
        if (part == 2 && name[at] == '.' && name[at + 1] == '.') return false;
        if (part == 1 && name[at] == '.') return false;
        if (part == 0 && slash) return false;
        at += part + 1;
    }
    return true;
}

/* One record of the directory at p, `left` bytes to its end; *used is its length. */
static rn_status read_record(const struct rn_zip *z, struct rn_zip_entry *e, const unsigned char *p,
                             uint64_t left, uint64_t offset, char *name, uint64_t *used)
{
    if (left < CENTRAL_BYTES || memcmp(p, "PK\1\2", 4))
        return bad(z, offset, "no directory record where one must be");
    size_t n = rn_get16(p + 28), extra = rn_get16(p + 30), comment = rn_get16(p + 32);
    if (left - CENTRAL_BYTES < n + extra + comment)
        return bad(z, offset, "a directory record is cut off");
    *e = (struct rn_zip_entry){ .name = name, .flags = rn_get16(p + 8), .method = rn_get16(p + 10),
        .crc = rn_get32(p + 16), .packed = rn_get32(p + 20), .size = rn_get32(p + 24),
        .local = rn_get32(p + 42) };
    if (!rn_zip_name_is_plain((const char *)p + CENTRAL_BYTES, n)) {
        char shown[128];
        return rn_fail(RN_EINPUT,
                       "%s: zip offset %" PRIu64 ": entry name \"%s\" is absolute, leads out of "
                       "the archive or is no text",
                       z->source->path, offset,
                       rn_printable(shown, sizeof shown, p + CENTRAL_BYTES, n));
    }
    memcpy(name, p + CENTRAL_BYTES, n);
    name[n] = '\0';
    uint64_t *const value[3] = { &e->size, &e->packed, &e->local };
    if (!extra64(p + CENTRAL_BYTES + n, extra, value))
        return bad_entry(z, e, "damaged extra fields");
    uint16_t disk = rn_get16(p + 34);
    if (disk != 0 && disk != 0xffff) return bad_entry(z, e, "lies on another disk");
    if (comment) return bad_entry(z, e, "has a comment; an archive here has none");
    if (e->flags & FLAG_ENCRYPTED) return bad_entry(z, e, "is encrypted");
    if (e->method != 0 && e->method != 8)
        return bad_entry(z, e, "is compressed by another method than deflate");
    if (e->method == 0 && e->packed != e->size)
        return bad_entry(z, e, "is stored, but its two sizes differ");
    *used = CENTRAL_BYTES + n + extra;
    return RN_OK;
}

/* The local header against the directory; finds where the content begins. */
static rn_status read_local(const struct rn_zip *z, struct rn_zip_entry *e, uint64_t end)
{
    unsigned char p[LOCAL_BYTES], *rest = NULL;
    if (e->local > end || end - e->local < LOCAL_BYTES)
        return bad_entry(z, e, "begins past the entries' end");
    rn_status s = rn_source_read(z->source, p, e->local, sizeof p, "a local header");
    if (s) return s;
    if (memcmp(p, "PK\3\4", 4)) return bad_entry(z, e, "no local header where the directory says");
    size_t n = rn_get16(p + 26), extra = rn_get16(p + 28);
    e->data = e->local + LOCAL_BYTES + n + extra;
    if (e->data > end || e->packed > end - e->data)
        return bad_entry(z, e, "content runs past the entries' end");
    if ((s = rn_source_take(z->source, &rest, e->local + LOCAL_BYTES, n + extra,
                            "a local header")) != RN_OK)
        return s;
    uint64_t packed = rn_get32(p + 18), size = rn_get32(p + 22);
    uint64_t *const value[3] = { &size, &packed, NULL };
    uint32_t crc = rn_get32(p + 14);
    if (n != strlen(e->name) || memcmp(rest, e->name, n))
        s = bad_entry(z, e, "has another name in its local header");
    else if (!extra64(rest + n, extra, value))
        s = bad_entry(z, e, "damaged extra fields in its local header");
    else if (rn_get16(p + 6) != e->flags || rn_get16(p + 8) != e->method)
        s = bad_entry(z, e, "has other flags or another method in its local header");
    else if ((crc != e->crc || packed != e->packed || size != e->size) &&
             !((e->flags & FLAG_DESCRIPTOR) && crc == 0 && packed == 0 && size == 0))
        s = bad_entry(z, e, "has another CRC or size in its local header");
    rn_free(rest);
    return s;
}

static int by_place(const void *a, const void *b)
{
    const struct rn_zip_entry *x = a, *y = b;
    return (x->local > y->local) - (x->local < y->local);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct rn_zip_entry *)a)->name, ((const struct rn_zip_entry *)b)->name);
}

/* The entries lie one after the other from 0 to the directory; only a data descriptor may stand
 * between. */
static rn_status check_places(const struct rn_zip *z, uint64_t end)
{
    uint64_t at = 0, slack = 0;
    for (size_t i = 0; i <= z->count; i++) {
        const struct rn_zip_entry *e = &z->entry[i];
        uint64_t next = i < z->count ? e->local : end;
        if (next < at)
            return bad_entry(z, i < z->count ? e : e - 1, "overlaps another part of the archive");
        if (next - at > slack) return bad(z, at, "bytes that belong to no entry");
        if (i == z->count) break;
        at = e->data + e->packed;
        slack = e->flags & FLAG_DESCRIPTOR ? DESCRIPTOR_MAX : 0;
    }
    return RN_OK;
}

rn_status rn_zip_open(struct rn_zip *z, const struct rn_source *source)
{
    struct end end = { 0 };
    unsigned char *directory = NULL;
    *z = (struct rn_zip){ .source = source };
    rn_status s = read_end(z, &end);
    if (s) return s;
    s = rn_source_take(source, &directory, end.offset, end.size, "the zip directory");
    if (s) return s;
    s = RN_ENOMEM;
    if (!(z->names = rn_alloc((size_t)end.size)))
        goto done; /* a record is longer than its name + 1 */
    if (!(z->entry = rn_alloc_array((size_t)end.entries, sizeof *z->entry))) goto done;
    uint64_t at = 0, used = 0;
    char *name = z->names;
    for (; z->count < end.entries; z->count++, at += used) {
        struct rn_zip_entry *e = &z->entry[z->count];
        s = read_record(z, e, directory + at, end.size - at, end.offset + at, name, &used);
        if (!s) s = read_local(z, e, end.offset);
        if (s) goto done;
        name += strlen(name) + 1;
    }
    if (at != end.size) {
        s = bad(z, end.offset + at, "bytes after the last directory record");
        goto done;
    }
    qsort(z->entry, z->count, sizeof *z->entry, by_place);
    if ((s = check_places(z, end.offset)) != RN_OK) goto done;
    qsort(z->entry, z->count, sizeof *z->entry, by_name);
    for (size_t i = 1; i < z->count && !s; i++)
        if (!by_name(&z->entry[i - 1], &z->entry[i]))
            s = bad_entry(z, &z->entry[i], "is there twice");
done:
    rn_free(directory);
    if (s) rn_zip_close(z);
    return s;
}

void rn_zip_close(struct rn_zip *z)
{
    rn_free(z->entry);
    rn_free(z->names);
    z->entry = NULL;
    z->names = NULL;
    z->count = 0;
}

struct rn_zip_entry *rn_zip_find(const struct rn_zip *z, const char *name)
{
    struct rn_zip_entry key = { .name = name };
    return bsearch(&key, z->entry, z->count, sizeof *z->entry, by_name);
}

/* -- content ----------------------------------------------------------------------------------- */

#define CHUNK 65536

/* Unpacks exactly e->size bytes: the declared size is the hard cap, and must be reached. */
static rn_status inflate_entry(const struct rn_zip *z, const struct rn_zip_entry *e,
                               unsigned char *dst)
{
    z_stream stream = { 0 };
    uint64_t taken = 0, made = 0;
    int code = Z_OK;
    unsigned char *in = rn_alloc(CHUNK), none[1];
    if (!in) return RN_ENOMEM;
    rn_status s = RN_OK;
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        rn_free(in);
        return rn_fail(RN_ENOMEM, "out of memory: zlib cannot begin to unpack");
    }
    while (code == Z_OK && !s) {
        if (stream.avail_in == 0) {
            uint64_t n = RN_MIN(e->packed - taken, (uint64_t)CHUNK);
            s = n ? rn_source_read(z->source, in, e->data + taken, n, "packed content")
                  : bad_entry(z, e, "packed content is cut off");
            if (s) break;
            stream.next_in = in;
            stream.avail_in = (uInt)n;
            taken += n;
        }
        uInt room = (uInt)RN_MIN(e->size - made, (uint64_t)1 << 30);
        stream.next_out = room ? dst + made : none;
        stream.avail_out = room ? room : 1; /* one byte more than declared is one too many */
        uInt before = stream.avail_out;
        code = inflate(&stream, Z_NO_FLUSH);
        if (!room && stream.avail_out == 0)
            s = bad_entry(z, e, "unpacks to more than its declared size");
        else made += room ? before - stream.avail_out : 0;
        if (code == Z_BUF_ERROR && stream.avail_in == 0) code = Z_OK;
    }
    if (!s && (code != Z_STREAM_END || made != e->size || taken - stream.avail_in != e->packed))
        s = bad_entry(z, e, "packed content is damaged or not of the declared size");
    inflateEnd(&stream);
    rn_free(in);
    return s;
}

rn_status rn_zip_read(const struct rn_zip *z, struct rn_zip_entry *e, void *dst)
{
    rn_status s = e->method ? inflate_entry(z, e, dst)
                            : rn_source_read(z->source, dst, e->data, e->size, e->name);
    if (s) return s;
    uint32_t crc = rn_crc_bytes(0, dst, (size_t)e->size);
    if (crc != e->crc) {
        char name[128];
        return rn_fail(RN_EINPUT,
                       "%s: zip entry %s: CRC-32 of its content is %08" PRIx32
                       ", the archive says %08" PRIx32,
                       z->source->path, rn_printable(name, sizeof name, e->name, strlen(e->name)),
                       crc, e->crc);
    }
    e->checked = true;
    return RN_OK;
}

rn_status rn_zip_check_rest(const struct rn_zip *z)
{
    unsigned char *chunk = rn_alloc(CHUNK);
    rn_status s = chunk ? RN_OK : RN_ENOMEM;
    for (size_t i = 0; i < z->count && !s; i++) {
        struct rn_zip_entry *e = &z->entry[i];
        uint32_t crc = 0;
        if (e->checked) continue;
        if (e->method) s = bad_entry(z, e, "is compressed; torch.save stores");
        for (uint64_t at = 0; at < e->size && !s; at += CHUNK) {
            uint64_t n = RN_MIN(e->size - at, (uint64_t)CHUNK);
            s = rn_source_read(z->source, chunk, e->data + at, n, e->name);
            if (!s) crc = rn_crc_bytes(crc, chunk, (size_t)n);
        }
        if (!s && crc != e->crc)
            s = bad_entry(z, e, "its content does not have the CRC-32 the archive says");
    }
    rn_free(chunk);
    return s;
}
