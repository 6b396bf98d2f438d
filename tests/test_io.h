/*
 * test_io.h - what the tests of readers share: a folder of their own, files made of bytes, and the
 * three ways to torment a reader: every prefix, every byte changed, every allocation failing.
 */
#ifndef RN_TEST_IO_H
#define RN_TEST_IO_H

#include "tests/test.h"

#include "base/mem.h"
#include "io/io.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[64];

static inline const char *at(const char *name)
{
    static char path[4][160];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static inline void folder_begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/resnet-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static inline void folder_end(void)
{
    static const char *const names[] = { "a", "b", "c", "fifo", "a.pth", "b.pth", "a.safetensors",
                                         "b.safetensors", "a.npz", "b.npz", "a.npy" };
    for (size_t i = 0; i < RN_COUNT(names); i++) unlink(at(names[i]));
    CHECK(rmdir(folder) == 0);
}

/* Growing bytes. */
struct bytes { unsigned char *data; size_t count, room; };

static inline void add(struct bytes *b, const void *data, size_t n)
{
    if (b->count + n > b->room) {
        b->room = 2 * (b->count + n);
        b->data = realloc(b->data, b->room);
        if (!b->data) abort();
    }
    if (n) memcpy(b->data + b->count, data, n);
    b->count += n;
}

static inline void add_number(struct bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) add(b, &(unsigned char){ (unsigned char)(value >> (8 * i)) }, 1);
}

static inline void add_text(struct bytes *b, const char *text)
{
    add(b, text, strlen(text));
}

static inline void drop(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){ 0 };
}

static inline void save(const char *path, const void *data, size_t n)
{
    unlink(path); /* a new file: rewriting an old one makes some file systems wait for the disk */
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, n, f) == n);
    if (f) fclose(f);
}

static inline struct bytes load(const char *path)
{
    struct bytes b = { 0 };
    unsigned char chunk[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    while (f && (n = fread(chunk, 1, sizeof chunk, f)) > 0) add(&b, chunk, n);
    if (f) fclose(f);
    return b;
}

/* -- zip archives by hand ---------------------------------------------------------------------- */

/* An entry as it should be, and what is wrong with it. */
struct member {
    const char *name, *local_name; /* NULL: name */
    const void *data;
    size_t n;
    uint16_t flags, local_flags, method, disk; /* xor */
    uint32_t crc, local_crc, size, local_size; /* xor */
    uint32_t offset;                           /* xor */
    bool descriptor;                           /* CRC and sizes behind the content */
    const char *extra;                         /* of the directory */
    size_t extra_bytes;
    size_t gap;                                /* bytes behind it that belong to nothing */
};

RN_UNUSED static const unsigned char four_floats[16] = { 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40,
                                               0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40 };

static inline void zip_fields(struct bytes *b, const struct member *m, bool local)
{
    const char *name = local && m->local_name ? m->local_name : m->name;
    bool later = local && m->descriptor;
    uint32_t crc =
        (uint32_t)crc32(crc32(0, NULL, 0), m->n ? m->data : (const void *)"", (uInt)m->n) ^ m->crc;
    add_number(b, 20, 2);
    add_number(b, (m->descriptor ? 0x0808u : 0u) ^ m->flags ^ (local ? m->local_flags : 0u), 2);
    add_number(b, m->method, 2);
    add_number(b, 0, 4);
    add_number(b, later ? 0 : crc ^ (local ? m->local_crc : 0), 4);
    add_number(b, later ? 0 : m->n ^ m->size ^ (local ? m->local_size : 0), 4);
    add_number(b, later ? 0 : m->n ^ m->size ^ (local ? m->local_size : 0), 4);
    add_number(b, strlen(name), 2);
    add_number(b, local ? 0 : m->extra_bytes, 2);
}

static inline struct bytes zip_of(const struct member *m, size_t count)
{
    struct bytes zip = { 0 }, directory = { 0 };
    for (size_t i = 0; i < count; i++) {
        size_t offset = zip.count;
        add(&zip, "PK\3\4", 4);
        zip_fields(&zip, &m[i], true);
        add_text(&zip, m[i].local_name ? m[i].local_name : m[i].name);
        add(&zip, m[i].data, m[i].n);
        if (m[i].descriptor) {
            add(&zip, "PK\7\10", 4);
            add_number(&zip, crc32(crc32(0, NULL, 0), m[i].data, (uInt)m[i].n), 4);
            add_number(&zip, m[i].n, 4);
            add_number(&zip, m[i].n, 4);
        }
        for (size_t k = 0; k < m[i].gap; k++) add(&zip, "g", 1);
        add(&directory, "PK\1\2\0\0", 6);
        zip_fields(&directory, &m[i], false);
        add_number(&directory, 0, 2);
        add_number(&directory, m[i].disk, 2);
        add_number(&directory, 0, 6);
        add_number(&directory, offset ^ m[i].offset, 4);
        add_text(&directory, m[i].name);
        add(&directory, m[i].extra, m[i].extra_bytes);
    }
    size_t begin = zip.count;
    add(&zip, directory.data, directory.count);
    add(&zip, "PK\5\6\0\0\0\0", 8);
    add_number(&zip, count, 2);
    add_number(&zip, count, 2);
    add_number(&zip, directory.count, 4);
    add_number(&zip, begin, 4);
    add_number(&zip, 0, 2);
    drop(&directory);
    return zip;
}

/* -- torments ---------------------------------------------------------------------------------- */

/* Reads the file and frees what came of it. */
typedef rn_status reader(const char *path);

static inline rn_status read_any(const char *path)
{
    struct rn_tensors t;
    rn_status s = rn_tensors_read(&t, NULL, path);
    if (!s) rn_tensors_free(&t);
    return s;
}

/* A status that fits a bad file, with a message, and no memory left behind. */
static inline bool refused(rn_status s, uint64_t live)
{
    return s == RN_EINPUT && rn_error()[0] && rn_alloc_live() == live;
}

/* No file that is a part of `good` can be read. */
static inline void check_prefixes(reader *read, const struct bytes *good, const char *name)
{
    uint64_t live = rn_alloc_live();
    for (size_t n = 0; n < good->count; n++) {
        save(at("a"), good->data, n);
        rn_error_clear();
        rn_status s = read(at("a"));
        CHECK_MSG(refused(s, live), "%s cut at %zu: status %d, %s", name, n, s, rn_error());
    }
}

/* Whatever byte changes, the reader says no with a reason, or reads; it never falls over.  Returns
 * how many changed files were read all the same. */
static inline size_t check_flips(reader *read, const struct bytes *good, const char *name)
{
    static const unsigned char pattern[] = { 0x01, 0x80, 0xff, 0x20 };
    uint64_t live = rn_alloc_live();
    size_t passed = 0;
    for (size_t i = 0; i < good->count; i++)
        for (size_t k = 0; k < RN_COUNT(pattern); k++) {
            good->data[i] ^= pattern[k];
            save(at("a"), good->data, good->count);
            good->data[i] ^= pattern[k];
            rn_error_clear();
            rn_status s = read(at("a"));
            passed += s == RN_OK;
            CHECK_MSG((s == RN_OK && rn_alloc_live() == live) || refused(s, live),
                      "%s byte %zu ^ %02x: status %d, %s", name, i, pattern[k], s, rn_error());
        }
    return passed;
}

/* Every allocation of the operation fails once, and fails for ever: RN_ENOMEM, nothing lost, then
 * success. */
static inline void check_memory(reader *run, const char *path, const char *name)
{
    uint64_t live = rn_alloc_live(), n = 1;
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        rn_status s = RN_ENOMEM;
        for (n = 1; n < 5000 && s == RN_ENOMEM; n++) {
            rn_alloc_fail_at(n, for_ever);
            s = run(path);
            rn_alloc_fail_at(0, false);
            CHECK_MSG((s == RN_OK || s == RN_ENOMEM) && rn_alloc_live() == live,
                      "%s, allocation %d fails: status %d, %s", name, (int)n, s, rn_error());
        }
        CHECK_MSG(s == RN_OK && n > 3, "%s never succeeds without memory faults", name);
    }
}

#endif /* RN_TEST_IO_H */
