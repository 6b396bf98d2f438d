/*
 * test_available.c - what is read out of /proc and /sys/fs/cgroup, on folders made up like them: both
 * generations of control groups, limits above the own group, mounts under several names, damage.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include "base/available.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define NOBODY_SAYS UINT64_MAX

static char root[64];

static void begin(void)
{
    snprintf(root, sizeof root, "/tmp/resnet-available-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK(system(command) == 0);
}

/* Writes root/path, making the folders on the way. */
static void put(const char *path, const char *text)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s", root, path);
    for (char *p = name + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(name, 0700);
    }
    FILE *f = fopen(name, "w");
    CHECK(f && fputs(text, f) >= 0);
    if (f) CHECK(fclose(f) == 0);
}

/* A group of the second generation, folder below the mount. */
static void put_second(const char *folder, const char *max, const char *current)
{
    char path[256];
    snprintf(path, sizeof path, "groups%s/memory.max", folder);
    put(path, max);
    snprintf(path, sizeof path, "groups%s/memory.current", folder);
    put(path, current);
}

/* And one of the first, with mount and folder in one. */
static void put_first(const char *folder, const char *limit, const char *usage)
{
    char path[256];
    snprintf(path, sizeof path, "groups%s/memory.limit_in_bytes", folder);
    put(path, limit);
    snprintf(path, sizeof path, "groups%s/memory.usage_in_bytes", folder);
    put(path, usage);
}

static void check_there(const char *what, uint64_t want)
{
    char proc[80], groups[80];
    snprintf(proc, sizeof proc, "%s/proc", root);
    snprintf(groups, sizeof groups, "%s/groups", root);
    const uint64_t got = rn_memory_available_in(proc, groups);
    CHECK_MSG(got == want, "%s: %" PRIu64 " instead of %" PRIu64, what, got, want);
}

static void test_machine(void)
{
    begin();
    check_there("no file at all", NOBODY_SAYS);
    put("proc/meminfo", "MemFree: 100 kB\nMemAvailable:   300 kB\nSwapTotal: 70 kB\n");
    check_there("without swap", 300 * 1024);
    put("proc/meminfo", "MemTotal: 900 kB\nMemAvailable: 300 kB\nSwapCached: 5 kB\nSwapFree: 50 kB\n");
    check_there("with swap", 350 * 1024);
    put("proc/meminfo", "MemTotal: 900 kB\nMemFree: 100 kB\nSwapFree: 50 kB\n");
    check_there("an old kernel", NOBODY_SAYS);
    put("proc/meminfo", "");
    check_there("an empty file", NOBODY_SAYS);
    end();
}

static void test_second_generation(void)
{
    begin();
    put("proc/self/cgroup", "0::/a/b\n");
    check_there("no such group", NOBODY_SAYS);
    put_second("/a/b", "5000\n", "1000\n");
    check_there("one limit", 4000);
    put("groups/a/b/memory.stat", "anon 9\ninactive_file 300\nactive_file 200\nfile 7\n");
    check_there("files can be dropped", 4500);
    put_second("/a", "9000\n", "7000\n");
    check_there("less is left above", 2000);
    put_second("/a", "max\n", "7000\n");
    check_there("no limit above", 4500);
    put_second("", "100\n", "0\n"); /* what a container sees as its root */
    check_there("the root", 100);
    put_second("", "100\n", "200\n");
    check_there("over the limit", 0);
    put_second("", "max\n", "200\n");
    put_second("/a/b", "max\n", "1000\n");
    check_there("no limit at all", NOBODY_SAYS);
    put("proc/self/cgroup", "0::/of/the/world/outside");
    put_second("", "800\n", "200\n");
    check_there("a path from outside", 600);
    put("proc/meminfo", "MemAvailable: 0 kB\nSwapFree: 0 kB\n");
    check_there("less on the machine", 0);
    end();
}

static void test_first_generation(void)
{
    begin();
    put("proc/self/cgroup", "12:pids:/p\n4:memory:/c/d\n1:name=systemd:/s\n0::/\n");
    put_first("/memory/c/d", "6000\n", "1000\n");
    check_there("one limit", 5000);
    put("groups/memory/c/d/memory.stat",
        "inactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20\n");
    check_there("files can be dropped", 5050);
    put_first("/memory", "9223372036854771712\n", "1000\n");
    check_there("hardly a limit above", 5050);
    put_first("/memory/c", "3000\n", "1000\n");
    check_there("less is left above", 2000);
    end();
}

static void test_names_are_whole(void)
{
    begin();
    put_first("/memory/d", "6000\n", "1000\n");
    put_first("/memory/memory:/d", "600\n", "100\n");
    put("proc/self/cgroup", "5:cpu,memory:/d\n");
    check_there("mounted together", 5000);
    put("proc/self/cgroup", "5:memory,cpu:/d\n");
    check_there("the other way round", 5000);
    put_first("/memory,cpu/d", "4000\n", "1000\n");
    check_there("under all its names only", 3000);
    put("proc/self/cgroup", "5:cpu:/memory:/d\n7:name=memory:/d\n8:memoryless,inmemory:/d\n");
    check_there("others' names", NOBODY_SAYS);
    put("proc/self/cgroup", "4:memory:/memory:/d\n");
    check_there("a colon in the path", 500);
    static const char *const damaged[] = { "", "\n\n", "memory\n", "4:memory\n", "4:memory:\n",
                                           "4:memory:d", "::" };
    for (size_t i = 0; i < RN_COUNT(damaged); i++) {
        put("proc/self/cgroup", damaged[i]);
        check_there(damaged[i], NOBODY_SAYS);
    }
    put("proc/self/cgroup", "0::no slash\n4:memory:/d");
    check_there("a damaged line before", 5000);
    end();
}

static void test_damaged_numbers(void)
{
    begin();
    put("proc/self/cgroup", "0::/a\n");
    put("groups/a/memory.max", "4000\n");
    check_there("nothing says how much is used", NOBODY_SAYS);
    put("groups/a/memory.current", "much\n");
    check_there("no number", NOBODY_SAYS);
    put("groups/a/memory.current", "100");
    put("groups/a/memory.stat", "inactive_file\nactive_file many\n");
    check_there("no numbers to take off", 3900);
    put("groups/a/memory.stat", "inactive_file 500\n");
    check_there("more files than what is used", 4000);
    put("groups/a/memory.max", "");
    check_there("an empty limit", NOBODY_SAYS);
    end();
}

static void test_check(void)
{
    rn_memory_pretend(1000);
    CHECK(rn_memory_available() == 1000);
    CHECK_OK(rn_memory_check(1000));
    CHECK(rn_memory_check(1001) == RN_ENOMEM);
    CHECK(strstr(rn_error(), "1001 bytes are needed, 1000 are there"));
    rn_memory_pretend(0);
    CHECK(rn_memory_available() > 1001);
}

static void test_limit_of_data(void)
{
    struct rlimit old, small;
    CHECK(getrlimit(RLIMIT_DATA, &old) == 0);
    small = old;
    small.rlim_cur = 64 << 20;
    if (setrlimit(RLIMIT_DATA, &small)) return;
    CHECK(rn_memory_available() <= 64 << 20);
    setrlimit(RLIMIT_DATA, &old);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_machine), RN_TEST_ROW(test_second_generation),
        RN_TEST_ROW(test_first_generation), RN_TEST_ROW(test_names_are_whole),
        RN_TEST_ROW(test_damaged_numbers), RN_TEST_ROW(test_check), RN_TEST_ROW(test_limit_of_data),
    };
    return rn_test_main("test_available", rows, RN_COUNT(rows), argc, argv);
}
