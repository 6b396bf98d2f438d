#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* syscall */
#endif
/*
 * span_counters.c - cycles, instructions and cache misses through perf_event_open(2): user space only, which
 * kernel.perf_event_paranoid = 2 allows.  Virtual machines and containers often have none; then nothing is said.
 */
#include "observe/span_counters.h"

#ifdef __linux__
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_counter(uint64_t which)
{
    struct perf_event_attr a;
    memset(&a, 0, sizeof a);
    a.type = PERF_TYPE_HARDWARE;
    a.size = sizeof a;
    a.config = which;
    a.exclude_kernel = a.exclude_hv = 1;
    a.inherit = 1;
    return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

bool rn_counters_open(int file[RN_COUNTERS])
{
    static const uint64_t which[RN_COUNTERS] = { PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS,
                                                 PERF_COUNT_HW_CACHE_MISSES };
    bool all = true;
    for (int i = 0; i < RN_COUNTERS; i++) all &= (file[i] = open_counter(which[i])) >= 0;
    if (!all) rn_counters_close(file);
    return all;
}

void rn_counters_read(uint64_t value[RN_COUNTERS], const int file[RN_COUNTERS])
{
    for (int i = 0; i < RN_COUNTERS; i++)
        if (read(file[i], &value[i], sizeof value[i]) != (ssize_t)sizeof value[i]) value[i] = 0;
}

void rn_counters_close(int file[RN_COUNTERS])
{
    for (int i = 0; i < RN_COUNTERS; i++) {
        if (file[i] >= 0) close(file[i]);
        file[i] = -1;
    }
}
#else
bool rn_counters_open(int file[RN_COUNTERS])
{
    for (int i = 0; i < RN_COUNTERS; i++) file[i] = -1;
    return false;
}

void rn_counters_read(uint64_t value[RN_COUNTERS], const int file[RN_COUNTERS])
{
    for (int i = 0; i < RN_COUNTERS; i++) value[i] = (uint64_t)file[i] * 0;
}

void rn_counters_close(int file[RN_COUNTERS]) { (void)file; }
#endif
