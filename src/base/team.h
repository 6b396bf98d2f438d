/*
 * team.h - threads that stay at hand between short parallel jobs: one publishes, the others take.
 *
 * It neither starts threads nor knows OpenMP: threads.c brings the members, a test brings its own.
 */
#ifndef RN_TEAM_H
#define RN_TEAM_H

#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>

#define RN_CACHE_LINE 64

struct rn_team {
    int members; /* the owner, number 0, and those who serve; it may lower this before its first job */
    /* Job number and tasks that nobody has taken yet, in one word. */
    _Alignas(RN_CACHE_LINE) _Atomic(uint64_t) ticket;
    /* The job: written by the owner while no job is open, read by all. */
    _Alignas(RN_CACHE_LINE) _Atomic(rn_task *) task;
    _Atomic(void *) arg;
    _Atomic(int64_t) tasks;
    atomic_int workers; /* members beyond them stay out of this job */
    /* Tasks not finished yet. */
    _Alignas(RN_CACHE_LINE) _Atomic(int64_t) pending;
    /* Members that gave up looking for a job: only they cost a lock. */
    _Alignas(RN_CACHE_LINE) atomic_int sleepers;
    atomic_bool owner_sleeps;
    pthread_mutex_t lock;
    pthread_cond_t opened, finished;
};

/* false: the system has no lock to give; then nothing is to be closed. */
bool rn_team_open(struct rn_team *t, int members);
/* Member `worker` (1 ... members-1): takes tasks of every job until the team is dismissed. */
void rn_team_serve(struct rn_team *t, int worker);
/* The owner's: every task once, on workers 0 ... workers-1; returns when all are done. */
void rn_team_do(struct rn_team *t, int workers, int64_t tasks, rn_task *task, void *arg);
/* The owner's: all who serve return.  Close when they have. */
void rn_team_dismiss(struct rn_team *t);
void rn_team_close(struct rn_team *t);

#endif /* RN_TEAM_H */
