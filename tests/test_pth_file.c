/*
 * test_pth_file.c - the files around a checkpoint's pickle: zip archives that contradict
 * themselves, the stream and tar forms of old PyTorch, and files that are something else.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_io.h"

#include <sys/time.h>

/* -- zip --------------------------------------------------------------------------------------- */

#define TEXT(n, s) "X" n "\0\0\0" s
#define REBUILD "ctorch._utils\n_rebuild_tensor\n("
#define STORE(key)                                                                                 \
    "(" TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT("\1", key) TEXT("\3", "cpu") "K\4tQ"
static const char pickle[] = "\x80\x02}" TEXT("\1", "w") REBUILD STORE("0") "K\0K\4\x85K\1\x85tRs.";

#define PICKLE .data = pickle, .n = sizeof pickle - 1
#define GOOD { .name = "x/data.pkl", PICKLE }
#define DATA .name = "x/data/0", .data = four_floats, .n = 16

static rn_status read_members(const struct member *m, size_t count)
{
    struct bytes zip = zip_of(m, count);
    save(at("a"), zip.data, zip.count);
    drop(&zip);
    rn_error_clear();
    return read_any(at("a"));
}

static void test_zip_members(void)
{
#define ONE(...) { __VA_ARGS__ }
    static const struct { const char *message; struct member m; } rows[] = {
        { NULL, ONE(DATA) },
        { NULL, ONE(DATA, .descriptor = true) },
        { "no entry", ONE(DATA, .gap = 1) },
        { "no entry", ONE(DATA, .gap = 9, .descriptor = true) },
        { "another name", ONE(DATA, .local_name = "x/data/1") },
        { "another name", ONE(DATA, .local_name = "x/data/00") },
        { "another CRC or size", ONE(DATA, .local_crc = 1) },
        { "another CRC or size", ONE(DATA, .local_size = 4) },
        { "other flags", ONE(DATA, .local_flags = 0x0800) },
        { "CRC-32", ONE(DATA, .crc = 1) },
        { "damaged or not of", ONE(DATA, .method = 8) },
        { "another method", ONE(DATA, .method = 12) },
        { "encrypted", ONE(DATA, .flags = 1) },
        { "encrypted", ONE(DATA, .flags = 0x2000) },
        { "another disk", ONE(DATA, .disk = 1) },
        { "past the entries' end", ONE(DATA, .offset = 0x40000000) },
        { "past the entries' end", ONE(DATA, .size = 0x40000000) },
        { "local header", ONE(DATA, .offset = 1) },
        { "extra fields", ONE(DATA, .size = 0xffffffffu ^ 16) },
        { "past the entries' end", ONE(DATA, .size = 0xffffffffu ^ 16, .extra_bytes = 20,
                                       .extra = "\1\0\20\0\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\x80") },
        { "two sizes", ONE(DATA, .size = 0xffffffffu ^ 16, .extra_bytes = 20,
                           .extra = "\1\0\20\0\0\0\0\0\0\0\0\x80\20\0\0\0\0\0\0\0") },
        { "extra fields", ONE(DATA, .extra_bytes = 4, .extra = "\1\0\20\0") },
        { NULL, ONE(DATA, .extra_bytes = 4, .extra = "FB\0\0") },
        { "no entry data/0", ONE(.name = "x/data/1", .data = four_floats, .n = 16) },
        { "needs 16", ONE(.name = "x/data/0", .data = four_floats, .n = 12) },
        { "is there twice", ONE(.name = "x/data.pkl", PICKLE) },
        { "absolute", ONE(.name = "/data/0", .data = four_floats, .n = 16) },
        { "leads out", ONE(.name = "x/../0", .data = four_floats, .n = 16) },
        { "leads out", ONE(.name = "x\\data\\0", .data = four_floats, .n = 16) },
        { "leads out", ONE(.name = "C:x/data/0", .data = four_floats, .n = 16) },
        { "leads out", ONE(.name = "x/data/\xff", .data = four_floats, .n = 16) },
        { "one folder", ONE(.name = "y/data/0", .data = four_floats, .n = 16) },
        { "TorchScript", ONE(.name = "x/constants.pkl", .data = four_floats, .n = 16) },
        { "TorchScript", ONE(.name = "x/code/a.py", .data = four_floats, .n = 16) },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        const struct member m[] = { GOOD, rows[i].m };
        uint64_t live = rn_alloc_live();
        rn_status s = read_members(m, 2);
        if (!rows[i].message) CHECK_MSG(s == RN_OK, "zip row %zu: %s", i, rn_error());
        else if (!strcmp(rows[i].message, "needs 16"))
            CHECK(refused(s, live) && strstr(rn_error(), "need 16"));
        else if (rows[i].m.method == 8) CHECK(refused(s, live) && strstr(rn_error(), "compressed"));
        else
            CHECK_MSG(refused(s, live) && strstr(rn_error(), rows[i].message),
                      "zip row %zu, %s: status %d, %s", i, rows[i].message, s, rn_error());
    }
    const struct member no_pickle[] = { { DATA } };
    CHECK(read_members(no_pickle, 1) == RN_EINPUT && strstr(rn_error(), "data.pkl"));
    const struct member unread[] = { GOOD,
                                     { DATA },
                                     { .name = "x/version", .data = "3\n", .n = 2, .crc = 5 } };
    CHECK(read_members(unread, 3) == RN_EINPUT && strstr(rn_error(), "CRC-32"));
}

static void test_byteorder(void)
{
    static const unsigned char big[16] = { 0x3f, 0x80, 0, 0, 0x40, 0,    0, 0,
                                           0x40, 0x40, 0, 0, 0x40, 0x80, 0, 0 };
    static const float want[] = { 1, 2, 3, 4 };
    static const struct { const char *word; const void *data; bool good; } rows[] = {
        { "little", four_floats, true }, { "big", big, true }, { "middle", big, false },
        { "little ", big, false },       { "", big, false },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        const struct member m[] = {
            GOOD,
            { .name = "x/data/0", .data = rows[i].data, .n = 16 },
            { .name = "x/byteorder", .data = rows[i].word, .n = strlen(rows[i].word) }
        };
        struct rn_tensors t = { 0 };
        struct bytes zip = zip_of(m, 3);
        save(at("a"), zip.data, zip.count);
        drop(&zip);
        CHECK((rn_tensors_read(&t, NULL, at("a")) == RN_OK) == rows[i].good);
        if (rows[i].good) check_bits(rows[i].word, t.item[0].tensor.data, want, 4);
        rn_tensors_free(&t);
    }
}

/* Bytes before, between and after: what other programs might read differently. */
static void test_zip_edges(void)
{
    const struct member m[] = { GOOD, { DATA, .descriptor = true } };
    struct bytes zip = zip_of(m, 2), b = { 0 };
    uint64_t live = rn_alloc_live();
    struct { const char *name; size_t from, insert; const char *bytes; } rows[] = {
        { "a second archive in the comment", zip.count, 22,
          "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
        { "bytes after the end", zip.count, 3, "abc" },
        { "bytes before the beginning", 0, 3, "PK!" },
        { "bytes before the end record", zip.count - 22, 4, "abcd" },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        add(&b, zip.data, rows[i].from);
        add(&b, rows[i].bytes, rows[i].insert);
        add(&b, zip.data + rows[i].from, zip.count - rows[i].from);
        save(at("a"), b.data, b.count);
        CHECK_MSG(refused(read_any(at("a")), live), "%s", rows[i].name);
        drop(&b);
    }
    add(&b, zip.data, zip.count); /* a comment that holds a whole end record */
    b.data[b.count - 2] = 22;
    add(&b, zip.data + zip.count - 22, 22);
    save(at("a"), b.data, b.count);
    CHECK(refused(read_any(at("a")), live) && strstr(rn_error(), "directory does not end"));
    b.data[b.count - 22] = 'x'; /* a comment that is just one */
    save(at("a"), b.data, b.count);
    CHECK(refused(read_any(at("a")), live) && strstr(rn_error(), "comment"));
    drop(&b);
    const struct {
        size_t back;
        unsigned char value;
    } fields[] = { { 18, 1 }, { 16, 1 }, { 14, 3 }, { 12, 1 }, { 10, 1 }, { 6, 1 } };
    for (size_t i = 0; i < RN_COUNT(fields);
         i++) { /* disks, counts, size and offset of the directory */
        add(&b, zip.data, zip.count);
        b.data[b.count - fields[i].back] = fields[i].value;
        save(at("a"), b.data, b.count);
        CHECK(refused(read_any(at("a")), live));
        drop(&b);
    }
    check_prefixes(read_any, &zip, "zip with a descriptor");
    check_flips(read_any, &zip, "zip with a descriptor");
    drop(&zip);
}

/* Two directory records for the same bytes, and one entry inside another. */
static void test_overlap(void)
{
    struct bytes inner = zip_of(&(struct member){ DATA }, 1);
    const struct member same[] = {
        GOOD,
        { DATA },
        { .name = "x/data/1", .local_name = "x/data/1", .data = four_floats, .n = 16, .offset = 0 }
    };
    struct bytes zip = zip_of(same, 3);
    uint64_t live = rn_alloc_live();
    size_t first = 0, second = 0; /* the two local headers of four floats */
    for (size_t i = 0; i + 38 < zip.count; i++)
        if (!memcmp(zip.data + i, "PK\3\4", 4) && zip.data[i + 26] == 8) {
            second = first ? i : 0;
            first = first ? first : i;
        }
    memcpy(zip.data + second + 30, "x/data/0", 8);
    for (size_t i = second; i + 46 < zip.count; i++)
        if (!memcmp(zip.data + i, "PK\1\2", 4) && zip.data[i + 28] == 8) {
            rn_error_clear();
            memcpy(zip.data + i + 42,
                   &(unsigned char[4]){ (unsigned char)first, (unsigned char)(first >> 8) }, 4);
        }
    save(at("a"), zip.data, zip.count);
    CHECK(refused(read_any(at("a")), live));
    drop(&zip);
    const struct member outer[] = { GOOD,
                                    { DATA },
                                    { .name = "x/nested", .data = inner.data, .n = inner.count } };
    CHECK_OK(read_members(outer, 3)); /* an archive as content is content */
    drop(&inner);
}

/* The same archive with a ZIP64 end record, good and damaged. */
static void test_zip64(void)
{
    const struct member m[] = { GOOD, { DATA, .size = 0xffffffffu ^ 16, .extra_bytes = 20,
                                        .extra = "\1\0\20\0\20\0\0\0\0\0\0\0\20\0\0\0\0\0\0\0" } };
    struct bytes zip = zip_of(m, 2), b = { 0 };
    /* the local header says the plain size: 16 where the builder wrote ones */
    for (size_t i = 1; i + 30 < zip.count; i++)
        if (!memcmp(zip.data + i, "PK\3\4", 4)) memcpy(zip.data + i + 18, "\20\0\0\0\20\0\0\0", 8);
    size_t end = zip.count - 22, size = zip.data[end + 12],
           begin = zip.data[end + 16] | (size_t)zip.data[end + 17] << 8;
    add(&b, zip.data, end);
    add(&b, "PK\6\6", 4);
    add_number(&b, 44, 8);
    add_number(&b, 45, 2);
    add_number(&b, 45, 2);
    add_number(&b, 0, 8);
    add_number(&b, 2, 8);
    add_number(&b, 2, 8);
    add_number(&b, size, 8);
    add_number(&b, begin, 8);
    add(&b, "PK\6\7\0\0\0\0", 8);
    add_number(&b, end, 8);
    add_number(&b, 1, 4);
    add(&b, "PK\5\6\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", 22);
    save(at("a"), b.data, b.count);
    CHECK_OK(read_any(at("a")));
    check_prefixes(read_any, &b, "zip64");
    check_flips(read_any, &b, "zip64");
    for (size_t i = 0; i < 3; i++) { /* entries, size, offset of 2^63 */
        b.data[end + 39 + 8 * i] = 0x80;
        save(at("a"), b.data, b.count);
        CHECK(read_any(at("a")) == RN_EINPUT);
        b.data[end + 39 + 8 * i] = 0;
    }
    drop(&b);
    drop(&zip);
}

/* -- the stream of PyTorch before 1.6 ---------------------------------------------------------- */

#define MAGIC "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
#define PROTOCOL "\x80\x02M\xe9\x03."
#define STREAM_STORE(view)                                                                         \
    "(" TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT("\2", "77")                            \
        TEXT("\3", "cpu") "K\4" view "tQ"
#define VIEW "(" TEXT("\2", "78") "K\1K\2t"

#define LIT(s) s, sizeof(s) - 1

static struct bytes stream(const char *object, size_t n, const char *keys, size_t key_bytes)
{
    struct bytes b = { 0 };
    add(&b, MAGIC PROTOCOL, sizeof(MAGIC PROTOCOL) - 1);
    add(&b, LIT("\x80\x02}" TEXT("\1", "l") "\x88s."));
    add(&b, object, n);
    add(&b, keys, key_bytes);
    add_number(&b, 4, 8);
    add(&b, four_floats, 16);
    return b;
}

#define STREAM_TWO "\x80\x02}(" TEXT("\1", "w") REBUILD STREAM_STORE("N") "K\0K\4\x85K\1\x85tR" \
    TEXT("\1", "v") REBUILD STREAM_STORE(VIEW) "K\0K\2\x85K\1\x85tRu."
#define KEYS "\x80\x02]" TEXT("\2", "77") "a."

static void test_stream(void)
{
    static const float want[] = { 1, 2, 3, 4 };
    struct bytes b = stream(LIT(STREAM_TWO), LIT(KEYS));
    struct rn_tensors t = { 0 };
    enum rn_format format;
    save(at("a"), b.data, b.count);
    CHECK_OK(rn_tensors_read(&t, &format, at("a")));
    CHECK(t.count == 2 && format == RN_FORMAT_PTH_STREAM);
    if (t.count == 2) {
        check_bits("stream", t.item[0].tensor.data, want, 4);
        check_bits("view in a stream", t.item[1].tensor.data, want + 1, 2);
    }
    rn_tensors_free(&t);
    check_memory(read_any, at("a"), "stream");
    check_prefixes(read_any, &b, "stream");
    check_flips(read_any, &b, "stream");
    uint64_t live = rn_alloc_live();
    add(&b, "x", 1);
    save(at("a"), b.data, b.count);
    CHECK(refused(read_any(at("a")), live) && strstr(rn_error(), "follow"));
    b.data[17] ^= 1; /* protocol 1000 */
    save(at("a"), b.data, b.count);
    CHECK(refused(read_any(at("a")), live) && strstr(rn_error(), "1001"));
    drop(&b);
    static const struct {
        const char *object;
        size_t n;
        const char *keys;
        size_t key_bytes;
        const char *message;
    } rows[] = {
        { LIT(STREAM_TWO), LIT("\x80\x02]."), "follow" },
        { LIT(STREAM_TWO), LIT("\x80\x02}."), "no list" },
        { LIT(STREAM_TWO), LIT("\x80\x02]" TEXT("\2", "99") "a."), "no tensor" },
        { LIT(STREAM_TWO), LIT("\x80\x02](" TEXT("\2", "77") TEXT("\2", "77") "e."), "truncated" },
        { LIT("\x80\x02" STREAM_STORE("(" TEXT("\2", "78") "K\1K\4t") "."), LIT(KEYS), "view" },
        { LIT("\x80\x02" STREAM_STORE("K\1") "."), LIT(KEYS), "view" },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        b = stream(rows[i].object, rows[i].n, rows[i].keys, rows[i].key_bytes);
        save(at("a"), b.data, b.count);
        CHECK_MSG(refused(read_any(at("a")), live) && strstr(rn_error(), rows[i].message),
                  "stream row %zu: %s", i, rn_error());
        drop(&b);
    }
}

/* -- the tar of 2017 --------------------------------------------------------------------------- */

static void add_member(struct bytes *tar, const char *name, char type, const void *data, size_t n)
{
    unsigned char h[512] = { 0 };
    unsigned sum = 0;
    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 100, 8, "%07o", 0644u);
    snprintf((char *)h + 124, 12, "%011lo", (unsigned long)n);
    h[156] = (unsigned char)type;
    memcpy(h + 257, "ustar\0" "00", 8);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    add(tar, h, 512);
    add(tar, data, n);
    memset(h, 0, 512);
    add(tar, h, (512 - n % 512) % 512);
}

static struct bytes tar_of(const char *extra, char type, const char *extra_data)
{
    struct bytes tar = { 0 }, s = { 0 }, t = { 0 };
    unsigned char zero[1024] = { 0 };
    add(&s, LIT("\x80\x02K\1.\x80\x02K\7" TEXT("\3", "cpu") "ctorch\nFloatStorage\n\x87."));
    add_number(&s, 4, 8);
    add(&s, four_floats, 16);
    add(&s, LIT("\x80\x02](K\10K\7K\1K\3ta."));
    add(&t, LIT("\x80\x02K\2."));
    for (int i = 0; i < 2;
         i++) { /* tensor 1 is the storage as 2 x 2; tensor 2 every other element of the view */
        add(&t, LIT("\x80\x02K"));
        add_number(&t, (uint64_t)i + 1, 1);
        add(&t, i ? "K\10" : "K\7", 2);
        add(&t, LIT("ctorch\nFloatTensor\n\x87."));
        add_number(&t, i ? 1 : 2, 8);
        for (int k = 0; k < (i ? 1 : 2); k++) add_number(&t, 2, 8);
        add_number(&t, 2, 8);
        if (!i) add_number(&t, 1, 8);
        add_number(&t, 0, 8);
    }
    if (extra) add_member(&tar, extra, type, extra_data, strlen(extra_data));
    add_member(&tar, "sys_info", '0', LIT("\x80\x02}."));
    add_member(&tar, "pickle", '0',
               LIT("\x80\x02}(" TEXT("\1", "w") TEXT("\1", "1") "Q" TEXT("\1", "v")
                       TEXT("\1", "2") "Qu."));
    add_member(&tar, "tensors", '0', t.data, t.count);
    add_member(&tar, "storages", '0', s.data, s.count);
    add(&tar, zero, sizeof zero);
    drop(&s);
    drop(&t);
    return tar;
}

static void test_tar(void)
{
    static const float want[] = { 1, 2, 3, 4 }, odd[] = { 2, 4 };
    struct bytes b = tar_of("pax", 'x', "28 mtime=1496000000.2512345\n");
    struct rn_tensors t = { 0 };
    enum rn_format format;
    save(at("a"), b.data, b.count);
    CHECK_OK(rn_tensors_read(&t, &format, at("a")));
    CHECK(t.count == 2 && format == RN_FORMAT_PTH_TAR);
    if (t.count == 2) {
        check_bits("tar", t.item[0].tensor.data, want, 4);
        check_bits("view in a tar", t.item[1].tensor.data, odd, 2);
    }
    rn_tensors_free(&t);
    check_memory(read_any, at("a"), "tar");
    check_flips(read_any, &b, "tar");
    uint64_t live = rn_alloc_live();
    for (size_t n = 0; n + 1024 < b.count;
         n += 7) { /* a tar may end with any number of zero blocks */
        save(at("a"), b.data, n);
        CHECK_MSG(refused(read_any(at("a")), live), "tar cut at %zu", n);
    }
    drop(&b);
    static const struct { const char *name; char type; const char *data, *message; } rows[] = {
        { "link", '1', "", "link" },
        { "storages", '2', "", "link" },
        { "folder", '5', "", "no file" },
        { "../pickle", '0', "", "none of" },
        { "/etc/passwd", '0', "x", "none of" },
        { "other", '0', "x", "none of" },
        { "pickle", '0', "x", "twice" },
        { "pax", 'x', "19 path=../../evil\n", "renames" },
        { "pax", 'x', "20 linkpath=/etc/x\n", "renames" },
        { "long", 'L', "x", "no file" },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        b = tar_of(rows[i].name, rows[i].type, rows[i].data);
        save(at("a"), b.data, b.count);
        CHECK_MSG(refused(read_any(at("a")), live) && strstr(rn_error(), rows[i].message),
                  "tar row %zu: %s", i, rn_error());
        drop(&b);
    }
}

/* -- other files ------------------------------------------------------------------------------- */

static void test_recognition(void)
{
    static const struct { const char *bytes; size_t n; const char *message; } rows[] = {
        { LIT("<!DOCTYPE html><html>"), "HTML" },
        { LIT("<html>404"), "HTML" },
        { LIT("version https://git-lfs.github.com/spec/v1\noid sha256:00"), "Git-LFS" },
        { LIT("\x1f\x8b\x08\0\0\0\0\0\0\3"), "gzip" },
        { LIT("\x89HDF\r\n\x1a\n"), "HDF5" },
        { LIT("\x80\x04\x95\0"), "protocol 4" },
        { LIT("{\"a\":1}"), "JSON" },
        { LIT("hello, world"), "no format" },
        { LIT("x"), "no format" },
        { LIT("PK\5\6"), "empty zip" },
        { LIT("\0\0\0\0\0\0\0\0"), "no format" },
    };
    uint64_t live = rn_alloc_live();
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        save(at("a"), rows[i].bytes, rows[i].n);
        CHECK_MSG(refused(read_any(at("a")), live) && strstr(rn_error(), rows[i].message), "%s: %s",
                  rows[i].message, rn_error());
    }
    CHECK(refused(read_any(folder), live) && strstr(rn_error(), "folder"));
    CHECK(refused(read_any(at("absent")), live));
    CHECK(refused(read_any("/dev/zero"), live));
    CHECK(refused(read_any("/dev/null"), live));
    CHECK(mkfifo(at("fifo"), 0600) == 0);
    CHECK(refused(read_any(at("fifo")), live)); /* and does not wait */
    save(at("a"), "", 0);
    CHECK(refused(read_any(at("a")), live) && strstr(rn_error(), "empty"));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row tests[] = {
        RN_TEST_ROW(test_zip_members), RN_TEST_ROW(test_byteorder), RN_TEST_ROW(test_zip_edges),
        RN_TEST_ROW(test_overlap), RN_TEST_ROW(test_zip64), RN_TEST_ROW(test_stream),
        RN_TEST_ROW(test_tar), RN_TEST_ROW(test_recognition),
    };
    folder_begin();
    int status = rn_test_main("test_pth_file", tests, RN_COUNT(tests), argc, argv);
    folder_end();
    return status;
}
