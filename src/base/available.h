/* available.h - how much memory this process may still have.  Never part of a result's bits. */
#ifndef RN_AVAILABLE_H
#define RN_AVAILABLE_H

#include "base/base.h"

/* Bytes: the least of what the machine has free or can free, swap included, what the control groups
 * above this process leave it, and what RLIMIT_AS does.  UINT64_MAX where nobody says. */
uint64_t rn_memory_available(void);
/* The first two of these, as the files below two folders say: proc for /proc, groups for
 * /sys/fs/cgroup. */
uint64_t rn_memory_available_in(const char *proc, const char *groups);
/* RN_ENOMEM with both numbers when `bytes` are more than that. */
rn_status rn_memory_check(size_t bytes);
/* Test hook: from now on so many bytes are available; 0: ask the machine again. */
void rn_memory_pretend(uint64_t bytes);

#endif /* RN_AVAILABLE_H */
