/* span_counters.h - the processor's counters, where the system lets this process read them. */
#ifndef RN_SPAN_COUNTERS_H
#define RN_SPAN_COUNTERS_H

#include "observe/span.h"

/* Of this process: its threads that begin later are counted, too.  False: they are not to be had. */
bool rn_counters_open(int file[RN_COUNTERS]);
void rn_counters_read(uint64_t value[RN_COUNTERS], const int file[RN_COUNTERS]);
void rn_counters_close(int file[RN_COUNTERS]);

#endif /* RN_SPAN_COUNTERS_H */
