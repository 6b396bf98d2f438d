#define _POSIX_C_SOURCE 200809L
/* resources.c - the clock and this process's peak of memory.  Never part of a result's bits. */
#include "observe/observe.h"

#include <sys/resource.h>
#include <time.h>

double rn_seconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now)) return 0;
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

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
