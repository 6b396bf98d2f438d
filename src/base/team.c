/*
 * team.c - a team of threads and the hand-over of jobs to it.
 *
 * The one idea: what is left of a job stands in one word, [job number | tasks not taken], and a
 * member takes tasks by compare-and-swap on it.  Whoever comes late, with the word of an earlier job
 * in hand, fails to swap and learns so; hence the owner waits only for tasks that were taken, never
 * for members that slept or were not scheduled.  The swap can succeed only while the job is open, and
 * the job's fields change only while none is, so a member that read them before it swapped read the
 * right ones.
 *
 * Nobody waits hot for long: first a few looks at the word, then looks between which the processor is
 * offered to others, then sleep.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/team.h"

#include "base/marks.h"

#include <sched.h>

#define LEFT_BITS 40 /* of tasks; the job number wraps after 2^24 jobs, too many for a late swap */
#define LEFT_MASK (((uint64_t)1 << LEFT_BITS) - 1)
#define DISMISSED UINT64_MAX
#define LOOKS 1000     /* before sleep: a fraction of a millisecond */
#define PURE_LOOKS 200 /* the first of them, without offering the processor: microseconds */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Between two looks; `look` counts from 0. */
static void pass_time(int look)
{
    if (look < PURE_LOOKS) relax();
    else sched_yield();
}

bool rn_team_open(struct rn_team *t, int members)
{
    *t = (struct rn_team){ .members = members };
    if (pthread_mutex_init(&t->lock, NULL)) return false;
    if (pthread_cond_init(&t->opened, NULL)) goto no_opened;
    if (pthread_cond_init(&t->finished, NULL)) goto no_finished;
    return true;
no_finished:
    pthread_cond_destroy(&t->opened);
no_opened:
    pthread_mutex_destroy(&t->lock);
    return false;
}

void rn_team_close(struct rn_team *t)
{
    pthread_cond_destroy(&t->finished);
    pthread_cond_destroy(&t->opened);
    pthread_mutex_destroy(&t->lock);
}

/* -- taking tasks ------------------------------------------------------------------------------- */

/* Takes tasks of job `job`: *first and the count returned.  0: none is left, or that job is over.
 * Of thousands of tasks many at once, of the last few one by one: few swaps, and an even end. */
static int64_t take(struct rn_team *t, uint64_t job, int64_t tasks, int workers, int64_t *first)
{
    uint64_t ticket = atomic_load_explicit(&t->ticket, memory_order_acquire);
    for (;;) {
        int64_t left = (int64_t)(ticket & LEFT_MASK);
        if (ticket >> LEFT_BITS != job || left == 0) return 0;
        int64_t share = RN_MAX(1, left / (16 * (int64_t)workers));
        *first = tasks - left;
        if (atomic_compare_exchange_weak_explicit(&t->ticket, &ticket, ticket - (uint64_t)share,
                                                  memory_order_acq_rel, memory_order_acquire))
            return share;
    }
}

/* Works on job `job` until none of its tasks is left to take. */
static void work(struct rn_team *t, uint64_t job, int worker)
{
    rn_task *task = atomic_load_explicit(&t->task, memory_order_relaxed);
    void *arg = atomic_load_explicit(&t->arg, memory_order_relaxed);
    int64_t tasks = atomic_load_explicit(&t->tasks, memory_order_relaxed), first, share, done = 0;
    int workers = atomic_load_explicit(&t->workers, memory_order_relaxed);
    if (worker >= workers) return;
    const struct rn_marks *marks = rn_marks();
    const uint64_t since = marks ? marks->clock() : 0;
    while ((share = take(t, job, tasks, workers, &first))) {
        for (int64_t i = first; i < first + share; i++) task(arg, i, worker);
        done += share;
    }
    if (marks && worker > 0 && done > 0) marks->worked(worker, since);
    if (done == 0 || atomic_fetch_sub(&t->pending, done) != done) return;
    if (!atomic_load(&t->owner_sleeps)) return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_signal(&t->finished);
    pthread_mutex_unlock(&t->lock);
}

/* The first ticket of another job than `job`. */
static uint64_t wait_for_job(struct rn_team *t, uint64_t job)
{
    uint64_t ticket;
    for (int look = 0; look < LOOKS; look++) {
        ticket = atomic_load_explicit(&t->ticket, memory_order_acquire);
        if (ticket >> LEFT_BITS != job) return ticket;
        pass_time(look);
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->sleepers, 1);
    while ((ticket = atomic_load(&t->ticket)) >> LEFT_BITS == job)
        pthread_cond_wait(&t->opened, &t->lock);
    atomic_fetch_sub(&t->sleepers, 1);
    pthread_mutex_unlock(&t->lock);
    return ticket;
}

void rn_team_serve(struct rn_team *t, int worker)
{
    uint64_t ticket, job = 0;
    while ((ticket = wait_for_job(t, job)) != DISMISSED) {
        job = ticket >> LEFT_BITS;
        work(t, job, worker);
    }
}

/* -- the owner's side ----------------------------------------------------------------------------- */

/* Makes the ticket public and wakes sleepers until `wanted` members are awake.  A member either counts
 * itself as asleep before the writer of the ticket counts, or sees the ticket and stays awake. */
static void publish(struct rn_team *t, uint64_t ticket, int64_t wanted)
{
    atomic_store(&t->ticket, ticket);
    int asleep = atomic_load(&t->sleepers), awake = t->members - 1 - asleep;
    int64_t missing = RN_MIN(wanted - awake, asleep);
    if (missing <= 0) return;
    pthread_mutex_lock(&t->lock);
    for (int64_t i = 0; i < missing; i++) pthread_cond_signal(&t->opened);
    pthread_mutex_unlock(&t->lock);
}

static void wait_for_end(struct rn_team *t)
{
    for (int look = 0; look < LOOKS; look++) {
        if (atomic_load_explicit(&t->pending, memory_order_acquire) == 0) return;
        pass_time(look);
    }
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->owner_sleeps, true);
    while (atomic_load(&t->pending) != 0) pthread_cond_wait(&t->finished, &t->lock);
    atomic_store(&t->owner_sleeps, false);
    pthread_mutex_unlock(&t->lock);
}

void rn_team_do(struct rn_team *t, int workers, int64_t tasks, rn_task *task, void *arg)
{
    RN_ASSERT(tasks > 0 && (uint64_t)tasks < LEFT_MASK);
    uint64_t last = (UINT64_MAX >> LEFT_BITS) - 1; /* one more is DISMISSED */
    uint64_t job = atomic_load_explicit(&t->ticket, memory_order_relaxed) >> LEFT_BITS;
    job = job == last ? 1 : job + 1;
    atomic_store_explicit(&t->task, task, memory_order_relaxed);
    atomic_store_explicit(&t->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&t->tasks, tasks, memory_order_relaxed);
    atomic_store_explicit(&t->workers, workers, memory_order_relaxed);
    atomic_store_explicit(&t->pending, tasks, memory_order_relaxed);
    publish(t, job << LEFT_BITS | (uint64_t)tasks, RN_MIN(tasks, workers) - 1);
    work(t, job, 0);
    wait_for_end(t);
}

void rn_team_dismiss(struct rn_team *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->ticket, DISMISSED);
    pthread_cond_broadcast(&t->opened);
    pthread_mutex_unlock(&t->lock);
}
