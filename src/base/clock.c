#define _POSIX_C_SOURCE 200809L
/* clock.c - the monotonic clock. */
#include "base/clock.h"

#include <time.h>

uint64_t rn_nanoseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now)) return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double rn_seconds(void)
{
    return (double)rn_nanoseconds() * 1e-9;
}
