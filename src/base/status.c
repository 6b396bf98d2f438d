/*
 * status.c - the message of a thread's last failure, and what statuses are called.
 *
 * One fixed buffer per thread: reporting an error allocates nothing, so it also works when memory
 * is what ran out.  A message that does not fit is cut.
 */
#include "base/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048];

/* The cause behind all failures to come: 0 none, 1 being written, 2 there. */
static atomic_int cause_state;
static char cause[256];

void rn_fail_because(const char *text)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&cause_state, &none, 1)) return;
    snprintf(cause, sizeof cause, "%s", text);
    atomic_store(&cause_state, 2);
}

const char *rn_fail_cause(void) { return atomic_load(&cause_state) == 2 ? cause : NULL; }

rn_status rn_fail(rn_status status, const char *fmt, ...)
{
    char text[sizeof message]; /* the arguments may point into the old message */
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    memcpy(message, length < 0 ? "" : text, length < 0 ? 1 : strlen(text) + 1);
    if (rn_fail_cause() && !strstr(message, cause)) {
        size_t used = strlen(message);
        snprintf(message + used, sizeof message - used, "; %s", cause);
    }
    return status;
}

rn_status rn_fail_in(rn_status status, const char *context)
{
    return rn_fail(status, "%s: %s", context, message);
}

const char *rn_error(void)
{
    return message;
}

void rn_error_clear(void)
{
    message[0] = '\0';
}

const char *rn_status_text(rn_status status)
{
    switch (status) {
    case RN_OK: return "ok";
    case RN_EFAIL: return "the run failed";
    case RN_EUSAGE: return "wrong usage";
    case RN_EINPUT: return "unusable input";
    case RN_EIO: return "the machine failed";
    case RN_ENOMEM: return "out of memory";
    case RN_ECHECK: return "a check did not hold";
    case RN_EINTR: return "interrupted";
    }
    return "unknown status";
}

int rn_exit_code(rn_status status)
{
    switch (status) {
    case RN_OK: return 0;
    case RN_EFAIL: return 1;
    case RN_EUSAGE: return 2;
    case RN_EINPUT: return 3;
    case RN_EIO: return 4;
    case RN_ENOMEM: return 4;
    case RN_ECHECK: return 5;
    case RN_EINTR: return 130;
    }
    return 1;
}
