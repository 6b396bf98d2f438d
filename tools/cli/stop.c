#define _POSIX_C_SOURCE 200809L
/* stop.c - signals that ask a run to end after its step, or to save. */
#include "tools/cli/stop.h"

#include <signal.h>
#include <stdint.h>
#include <time.h>

static volatile sig_atomic_t stop_signal, stop_seconds, stop_nanoseconds, save_signal;

/* The first signal finishes the step and saves.  A second within a second of it is the same wish
 * told twice, as timeout(1) does to a child and its group; a later one ends at once. */
static void on_signal(int number)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!stop_signal) {
        stop_seconds = (sig_atomic_t)now.tv_sec;
        stop_nanoseconds = (sig_atomic_t)now.tv_nsec;
        stop_signal = number;
        return;
    }
    int64_t passed = (int64_t)now.tv_sec - stop_seconds;
    if (passed < 1 || (passed == 1 && now.tv_nsec < stop_nanoseconds)) return;
    signal(number, SIG_DFL);
    raise(number); /* delivered as this handler returns */
}

void tool_stop_catch(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void on_save(int number)
{
    (void)number;
    save_signal = 1;
}

void tool_save_catch(void)
{
    struct sigaction action = { .sa_handler = on_save, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
}

int tool_save_asked(void *arg)
{
    (void)arg;
    if (!save_signal) return 0;
    save_signal = 0; /* one that comes from here on is another */
    return 1;
}

int tool_stop_asked(void *arg)
{
    (void)arg;
    return (int)stop_signal;
}
