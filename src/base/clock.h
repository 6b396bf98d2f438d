/* clock.h - the monotonic clock, of spans, speeds and progress.  Never part of a result's bits. */
#ifndef RN_CLOCK_H
#define RN_CLOCK_H

#include <stdint.h>

uint64_t rn_nanoseconds(void); /* 0 where there is no such clock */
double rn_seconds(void);

#endif /* RN_CLOCK_H */
