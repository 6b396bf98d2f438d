/*
 * test_base_file.c - reading with limits, atomic writing, what happens when the system says no.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[64];

/* folder/name in a buffer of its own for each of the last four calls. */
static const char *at(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    while (dir && readdir(dir)) count++;
    if (dir) closedir(dir);
    return count - 2;
}

/* The file holds exactly these bytes. */
static bool holds(const char *path, const void *want, size_t bytes)
{
    unsigned char *data;
    size_t got;
    bool same = rn_file_read(&data, &got, path, 1u << 24) == RN_OK && got == bytes &&
                memcmp(data, want, bytes) == 0 && data[bytes] == 0;
    rn_free(data);
    return same;
}

static rn_status read_status(const char *path, size_t limit)
{
    unsigned char *data;
    size_t bytes;
    uint64_t live = rn_alloc_live();
    rn_status status = rn_file_read(&data, &bytes, path, limit);
    if (status != RN_OK) CHECK(data == NULL && bytes == 0);
    rn_free(data);
    CHECK(rn_alloc_live() == live);
    return status;
}

static bool says(const char *what)
{
    if (strstr(rn_error(), what)) return true;
    printf("\"%s\" is missing in: %s\n", what, rn_error());
    return false;
}

static void test_write_and_read(void)
{
    static const size_t sizes[] = { 0, 1, 4095, 262143, 262144, 262145, 600000, 1000000 };
    unsigned char *data = rn_alloc(1000000);
    for (size_t i = 0; i < 1000000; i++) data[i] = (unsigned char)(i * 131 % 251);
    for (size_t k = 0; k < RN_COUNT(sizes); k++) {
        CHECK_OK(rn_file_write(at("f"), data, sizes[k]));
        CHECK(holds(at("f"), data, sizes[k]) && files_in_folder() == 1);
        CHECK_OK(read_status(at("f"), sizes[k]));
        if (sizes[k] == 0) continue;
        CHECK(read_status(at("f"), sizes[k] - 1) == RN_EINPUT && says("bytes; at most"));
    }
    rn_free(data);
    unlink(at("f"));
}

static void test_writer_pieces(void)
{
    unsigned char *data = rn_alloc(1200000);
    struct rn_writer w;
    size_t offset = 0;
    for (size_t i = 0; i < 1200000; i++) data[i] = (unsigned char)(i * 37 % 253);
    CHECK_OK(rn_writer_open(&w, at("pieces")));
    for (size_t take = 1; offset < 1200000; take = take * 3 % 400009 + 1) {
        take = RN_MIN(take, 1200000 - offset);
        CHECK_OK(rn_writer_bytes(&w, data + offset, take));
        offset += take;
        CHECK(w.offset == offset && w.crc == (uint32_t)crc32_z(0, data, offset));
    }
    w.crc = 0;
    CHECK_OK(rn_writer_bytes(&w, "123456789", 9));
    CHECK(w.crc == 0xcbf43926u);
    CHECK(!rn_path_exists(at("pieces")) && files_in_folder() == 1); /* nothing before commit */
    CHECK_OK(rn_writer_commit(&w));
    rn_writer_abort(&w);
    unsigned char *got;
    size_t bytes;
    CHECK_OK(rn_file_read(&got, &bytes, at("pieces"), 1u << 24));
    CHECK(bytes == 1200009 && memcmp(got, data, 1200000) == 0);
    CHECK(memcmp(got + 1200000, "123456789", 9) == 0);
    rn_free(got);
    rn_free(data);
    unlink(at("pieces"));
}

static void test_abort_keeps_the_old_file(void)
{
    struct rn_writer w, other, empty = { 0 };
    CHECK_OK(rn_file_write(at("keep"), "old", 3));
    CHECK_OK(rn_writer_open(&w, at("keep")));
    CHECK_OK(rn_writer_open(&other, at("keep"))); /* two at once do not meet */
    CHECK_OK(rn_writer_bytes(&w, "new", 3));
    rn_writer_abort(&w);
    rn_writer_abort(&w);
    rn_writer_abort(&empty);
    CHECK(holds(at("keep"), "old", 3));
    CHECK_OK(rn_writer_bytes(&other, "other", 5));
    CHECK_OK(rn_writer_commit(&other));
    CHECK(holds(at("keep"), "other", 5) && files_in_folder() == 1);
    unlink(at("keep"));
}

/* The disk is full: a limit on file size, whose signal the tools ignore, stands in for it. */
static void test_no_room(void)
{
    struct rlimit saved, small;
    static unsigned char block[100000];
    struct rn_writer w;
    rn_status status = RN_OK;
    CHECK_OK(rn_file_write(at("full"), "old", 3));
    getrlimit(RLIMIT_FSIZE, &saved);
    small = saved;
    small.rlim_cur = 400000;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_OK(rn_writer_open(&w, at("full")));
    for (int i = 0; i < 20 && status == RN_OK; i++)
        status = rn_writer_bytes(&w, block, sizeof block);
    CHECK(status == RN_EIO && says(folder) && says("/full: cannot write"));
    CHECK(says(" bytes at offset 400000"));
    rn_writer_abort(&w);
    CHECK(rn_file_write(at("full"), block, sizeof block) == RN_OK);
    CHECK_OK(rn_file_write(at("full"), "old", 3));
    unsigned char *large = rn_alloc(2000000); /* past the buffer at once */
    CHECK(rn_file_write(at("full"), large, 2000000) == RN_EIO && says("at offset 400000"));
    rn_free(large);
    CHECK_OK(rn_writer_open(&w, at("full"))); /* only the flush of commit meets the limit */
    small.rlim_cur = 1000;
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_OK(rn_writer_bytes(&w, block, 5000));
    CHECK(rn_writer_commit(&w) == RN_EIO && says("cannot write 4000 bytes at offset 1000"));
    setrlimit(RLIMIT_FSIZE, &saved);
    CHECK(holds(at("full"), "old", 3) && files_in_folder() == 1);
    unlink(at("full"));
}

static void test_unwritable(void)
{
    struct rn_writer w;
    CHECK_OK(rn_file_write(at("file"), "x", 1));
    CHECK(rn_writer_open(&w, at("none/f")) == RN_EIO && says("/none/f: cannot create"));
    CHECK(rn_writer_open(&w, at("file/f")) == RN_EIO && says("cannot create"));
    CHECK(rn_writer_open(&w, "") == RN_EINPUT && says("name is empty"));
    CHECK(rn_folder_make(at("locked")) == RN_OK && chmod(at("locked"), 0500) == 0);
    if (geteuid() != 0) /* root may */
        CHECK(rn_writer_open(&w, at("locked/f")) == RN_EIO && says(strerror(EACCES)));
    rmdir(at("locked"));
    unlink(at("file"));
}

/* Rename would replace these, and as root it could. */
static void test_targets_that_are_no_files(void)
{
    CHECK(mkfifo(at("fifo"), 0600) == 0 && symlink("/dev/null", at("link")) == 0);
    CHECK(rn_file_write(folder, "x", 1) == RN_EINPUT && says("is a folder"));
    CHECK(rn_file_write("/dev/null", "x", 1) == RN_EINPUT && says("/dev/null: is a device"));
    CHECK(rn_file_write(at("link"), "x", 1) == RN_EINPUT && says("is a device"));
    CHECK(rn_file_write(at("fifo"), "x", 1) == RN_EINPUT && says("is a pipe"));
    CHECK(files_in_folder() == 2);
    unlink(at("link"));
    unlink(at("fifo"));
}

static void test_unreadable(void)
{
    CHECK(mkfifo(at("fifo"), 0600) == 0);
    CHECK(read_status(at("none"), 100) == RN_EINPUT && says("/none: cannot open"));
    CHECK(says(strerror(ENOENT)));
    CHECK(read_status(folder, 100) == RN_EINPUT && says("is a folder"));
    CHECK(read_status(at("fifo"), 100) == RN_EINPUT && says("is a pipe"));
    CHECK(read_status("/dev/null", 100) == RN_EINPUT && says("is a device"));
    CHECK(read_status("/dev/zero", 100) == RN_EINPUT && says("is a device"));
    CHECK(read_status("", 100) == RN_EINPUT);
    CHECK(read_status(at("fifo/x"), 100) == RN_EINPUT);
    CHECK(read_status(at("a\x1b[31m"), 100) == RN_EINPUT && says("a\\x1b[31m: cannot open"));
    unlink(at("fifo"));
#ifdef __linux__ /* a regular file of 0 bytes that holds more */
    if (rn_path_exists("/proc/self/status"))
        CHECK(read_status("/proc/self/status", 100000) == RN_EINPUT && says("grew"));
#endif
    CHECK_OK(rn_file_write(at("good"), "abc", 3));
    CHECK(symlink("good", at("link")) == 0 && holds(at("link"), "abc", 3));
    unlink(at("link"));
    unlink(at("good"));
}

/* Every allocation fails in turn, once and for ever. */
static void test_no_memory(void)
{
    uint64_t live = rn_alloc_live();
    for (int for_ever = 0; for_ever <= 1; for_ever++) {
        rn_status status = RN_ENOMEM;
        uint64_t n;
        CHECK_OK(rn_file_write(at("m"), "old", 3));
        for (n = 1; status == RN_ENOMEM && n < 100; n++) {
            rn_alloc_fail_at(n, for_ever);
            status = rn_file_write(at("m"), "new", 3);
            rn_alloc_fail_at(0, false);
            CHECK(status == RN_OK || says("out of memory"));
            CHECK(rn_alloc_live() == live && files_in_folder() == 1);
            CHECK(holds(at("m"), status == RN_OK ? "new" : "old", 3));
        }
        CHECK(status == RN_OK && n > 3);
        rn_alloc_fail_at(1, for_ever);
        status = read_status(at("m"), 100);
        rn_alloc_fail_at(0, false);
        CHECK(status == RN_ENOMEM && says("/m: out of memory"));
    }
    unlink(at("m"));
}

static void test_folders(void)
{
    CHECK_OK(rn_folder_make(at("a/b/c")));
    CHECK(rn_folder_exists(at("a/b/c")) && rn_path_exists(at("a/b")));
    CHECK_OK(rn_folder_make(at("a/b/c")));
    CHECK_OK(rn_folder_make(at("a//b/c/")));
    CHECK_OK(rn_folder_make("/"));
    CHECK_OK(rn_file_write(at("a/file"), "x", 1));
    CHECK(!rn_folder_exists(at("a/file")) && rn_path_exists(at("a/file")));
    CHECK(rn_path_exists_in(at("a"), "file") && !rn_path_exists_in(at("a"), "none"));
    CHECK(!rn_path_exists(at("none")));
    CHECK(rn_folder_make(at("a/file")) == RN_EINPUT && says("a/file: "));
    CHECK(rn_folder_make(at("a/file/x")) == RN_EINPUT);
    CHECK(rn_folder_make("") == RN_EINPUT);
    CHECK(rn_folder_make("/proc/none/such") == RN_EIO || !rn_folder_exists("/proc/self"));
    unlink(at("a/file"));
    rmdir(at("a/b/c"));
    rmdir(at("a/b"));
    rmdir(at("a"));
}

static void test_path_join(void)
{
    static const char *const known[][3] = {
        { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "", "b", "b" }, { "/", "b", "/b" },
        { "a/b", "c.pth", "a/b/c.pth" },
    };
    for (size_t i = 0; i < RN_COUNT(known); i++) {
        char *path = rn_path_join(known[i][0], known[i][1]);
        CHECK(path && strcmp(path, known[i][2]) == 0);
        rn_free(path);
    }
    rn_alloc_fail_at(1, false);
    CHECK(rn_path_join("a", "b") == NULL);
    rn_alloc_fail_at(0, false);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_write_and_read), RN_TEST_ROW(test_writer_pieces),
        RN_TEST_ROW(test_abort_keeps_the_old_file), RN_TEST_ROW(test_no_room),
        RN_TEST_ROW(test_unwritable), RN_TEST_ROW(test_targets_that_are_no_files),
        RN_TEST_ROW(test_unreadable), RN_TEST_ROW(test_no_memory), RN_TEST_ROW(test_folders),
        RN_TEST_ROW(test_path_join),
    };
    snprintf(folder, sizeof folder, "/tmp/rn-test-XXXXXX");
    if (!mkdtemp(folder)) {
        printf("test_base_file: no folder for tests in /tmp\n");
        return 1;
    }
    int result = rn_test_main("test_base_file", rows, RN_COUNT(rows), argc, argv);
    if (rmdir(folder) != 0) {
        printf("FAIL: tests left files in %s\n", folder);
        result = 1;
    }
    return result;
}
