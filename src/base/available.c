/*
 * available.c - asks Linux what memory is left; elsewhere only the limits of the process are
 * known.
 *
 * Numbers are read from /proc and /sys/fs/cgroup as they are now, and some are estimates.  A yes is no
 * promise: others may take memory a moment later.  A no means that by the system's own account there is
 * too little now; it can be wrong when memory is given back a moment later, or for a control group that
 * may swap, whose limit is taken as one on memory and swap together.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/available.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TEXT 8192 /* of a file of numbers; the rest is not looked at */
#define PATH 4096 /* of a file's name; what has a longer one says nothing */

static atomic_uint_fast64_t pretended;

void rn_memory_pretend(uint64_t bytes) { atomic_store(&pretended, bytes); }

/* The beginning of folder/file as text; false if it cannot be read. */
static bool read_text(char text[TEXT], const char *folder, const char *file)
{
    char path[PATH];
    int length = snprintf(path, sizeof path, "%s/%s", folder, file);
    if (length < 0 || length >= (int)sizeof path) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, text, TEXT - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The number after `key` at the start of a line; false if there is none. */
static bool find_number(uint64_t *value, const char *text, const char *key)
{
    const size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0) continue;
        char *end;
        *value = strtoull(line + length, &end, 10);
        return end != line + length;
    }
    return false;
}

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }
static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t of_machine(const char *proc)
{
    char text[TEXT];
    uint64_t available, swap = 0; /* KiB; the first is without swap */
    if (!read_text(text, proc, "meminfo")) return UINT64_MAX;
    if (!find_number(&available, text, "MemAvailable:")) return UINT64_MAX;
    find_number(&swap, text, "SwapFree:");
    return (available + swap) * 1024;
}

/* What a limit of this process leaves, of which column `column` of statm is used, in pages. */
static uint64_t of_limit(int resource, int column)
{
    struct rlimit limit;
    char text[TEXT], *at = text;
    uint64_t pages = 0;
    if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    if (read_text(text, "/proc/self", "statm"))
        for (int i = 0; i <= column; i++) pages = strtoull(at, &at, 10);
    return less((uint64_t)limit.rlim_cur, pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* Of addresses, and of memory that is written to. */
static uint64_t of_process(void) { return smaller(of_limit(RLIMIT_AS, 0), of_limit(RLIMIT_DATA, 5)); }

/* -- control groups ---------------------------------------------------------------------------- */

/* How the two generations call things.  Files that were read and can be dropped count as used, so
 * they are taken off again. */
struct generation { const char *limit, *used, *inactive, *active; };
static const struct generation first = { "memory.limit_in_bytes", "memory.usage_in_bytes",
                                         "total_inactive_file ", "total_active_file " };
static const struct generation second = { "memory.max", "memory.current", "inactive_file ",
                                          "active_file " };

static bool read_number(uint64_t *value, const char *folder, const char *file)
{
    char text[TEXT];
    return read_text(text, folder, file) && find_number(value, text, "");
}

/* What one group leaves; "max" is no number, so no limit. */
static uint64_t of_group(const struct generation *g, const char *folder)
{
    char text[TEXT];
    uint64_t limit, used, inactive = 0, active = 0;
    if (!read_number(&limit, folder, g->limit)) return UINT64_MAX;
    if (!read_number(&used, folder, g->used)) return UINT64_MAX;
    if (read_text(text, folder, "memory.stat")) {
        find_number(&inactive, text, g->inactive);
        find_number(&active, text, g->active);
    }
    return less(limit, less(used, inactive + active));
}

/* The least that the group `path` of the hierarchy at groups/mount and those above it leave.  Inside a
 * container the path may be that of the world outside; what does not exist says nothing. */
static uint64_t of_hierarchy(const struct generation *g, const char *groups, const char *mount,
                             const char *path)
{
    char folder[PATH];
    const size_t root = strlen(groups) + strlen(mount);
    uint64_t least = UINT64_MAX;
    int length = snprintf(folder, sizeof folder, "%s%s%s", groups, mount, path);
    if (length < 0 || length >= (int)sizeof folder || *path != '/') return least;
    for (;;) {
        least = smaller(least, of_group(g, folder));
        if (strlen(folder) <= root) return least;
        *strrchr(folder, '/') = '\0';
    }
}

/* Whether a list like "cpu,memory" has the whole word. */
static bool lists(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (; words; words = strchr(words, ',')) {
        words += *words == ',';
        if (strncmp(words, word, length) != 0) continue;
        if (words[length] == ',' || words[length] == '\0') return true;
    }
    return false;
}

/* What a line id:controllers:path of /proc/self/cgroup leads to.  The second generation has no list of
 * controllers; a hierarchy of the first stands under the names of all its controllers, and mostly
 * under each of them too. */
static uint64_t of_line(const char *groups, char *line)
{
    char mount[PATH];
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) return UINT64_MAX;
    *controllers++ = *path++ = '\0';
    if (*controllers == '\0') return of_hierarchy(&second, groups, "", path);
    if (!lists(controllers, "memory")) return UINT64_MAX;
    snprintf(mount, sizeof mount, "/%s", controllers);
    return smaller(of_hierarchy(&first, groups, mount, path),
                   of_hierarchy(&first, groups, "/memory", path));
}

static uint64_t of_control_groups(const char *proc, const char *groups)
{
    char text[TEXT];
    uint64_t least = UINT64_MAX;
    if (!read_text(text, proc, "self/cgroup")) return least;
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        least = smaller(least, of_line(groups, line));
    }
    return least;
}

/* -- all together ------------------------------------------------------------------------------ */

uint64_t rn_memory_available_in(const char *proc, const char *groups)
{
    return smaller(of_machine(proc), of_control_groups(proc, groups));
}

uint64_t rn_memory_available(void)
{
    const uint64_t hook = atomic_load(&pretended);
    if (hook) return hook;
    return smaller(of_process(), rn_memory_available_in("/proc", "/sys/fs/cgroup"));
}

rn_status rn_memory_check(size_t bytes)
{
    const uint64_t there = rn_memory_available();
    if (bytes <= there) return RN_OK;
    return rn_fail(RN_ENOMEM, "%zu bytes are needed, %" PRIu64 " are there", bytes, there);
}
