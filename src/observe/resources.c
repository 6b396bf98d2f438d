#define _POSIX_C_SOURCE 200809L
/* resources.c - this process's memory, and the machine's name.  Never part of a result's bits. */
#include "observe/observe.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

double rn_peak_rss_mb(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage)) return 0;
#ifdef __APPLE__
    return (double)usage.ru_maxrss / RN_MB; /* bytes there, KiB elsewhere */
#else
    return (double)usage.ru_maxrss * 1024.0 / RN_MB;
#endif
}

void rn_peak_rss_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w"); /* Linux: proc(5) */
    if (!f) return;
    fputs("5", f);
    fclose(f);
}

double rn_rss_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r"); /* Linux: all pages, then those in memory */
    if (!f) return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / RN_MB;
}

const char *rn_cpu_name(char out[RN_CPU_NAME])
{
    FILE *f = fopen("/proc/cpuinfo", "r"); /* Linux; not every architecture has such a line there */
    char line[400];
    struct utsname machine;
    out[0] = '\0';
    while (f && !out[0] && fgets(line, sizeof line, f)) {
        const char *name = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !name) continue;
        name += 1 + strspn(name + 1, " \t");
        rn_printable(out, RN_CPU_NAME, name, strcspn(name, "\n"));
    }
    if (f) fclose(f);
    if (!out[0] && uname(&machine) >= 0) snprintf(out, RN_CPU_NAME, "%.100s", machine.machine);
    return out;
}
