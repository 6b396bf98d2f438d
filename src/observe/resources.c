#define _POSIX_C_SOURCE 200809L
/* resources.c - this process's memory.  Never part of a result's bits. */
#include "observe/observe.h"

#include <stdio.h>
#include <sys/resource.h>
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

double rn_rss_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r"); /* Linux: all pages, then those in memory */
    if (!f) return 0;
    if (fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / RN_MB;
}
