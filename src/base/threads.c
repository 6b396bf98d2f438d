/*
 * threads.c - the only file that starts threads for arithmetic.
 *
 * A task writes outputs of its own and reads nothing that another task writes, so which worker
 * takes which task, and when, cannot be seen in the results (A1).  Workers take tasks as they come.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#endif
#include "base/threads.h"

#include "base/marks.h"
#include "base/mem.h"
#include "base/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

static _Thread_local bool inside; /* this thread is working on a task */
static _Thread_local struct rn_team *team_at_hand; /* of the rn_with_team around this call */
static _Thread_local struct { rn_watch *see; void *arg; } watcher;

/* What the caller does alone: one thread, one task, or a call from within a task. */
static void run_serial(int64_t tasks, rn_task *task, void *arg)
{
    bool nested = inside;
    rn_fpmode mode = rn_fpmode_enter();
    inside = true;
    for (int64_t i = 0; i < tasks; i++) task(arg, i, 0);
    inside = nested;
    rn_fpmode_leave(mode);
}

#ifdef _OPENMP
static void run_team(int threads, int64_t tasks, rn_task *task, void *arg)
{
#pragma omp parallel num_threads(threads)
    {
        int worker = omp_get_thread_num();
        rn_fpmode mode = rn_fpmode_enter(); /* A3: pooled threads keep the mode of their birth */
        inside = true;
        const struct rn_marks *marks = rn_marks();
        const uint64_t since = marks ? marks->clock() : 0;
#pragma omp for schedule(dynamic) nowait
        for (int64_t i = 0; i < tasks; i++) task(arg, i, worker);
        if (marks && worker > 0) marks->worked(worker, since);
        inside = false;
        rn_fpmode_leave(mode);
    }
}

static void run_each(int threads, rn_task *task, void *arg)
{
#pragma omp parallel num_threads(threads)
    {
        int worker = omp_get_thread_num();
        rn_fpmode mode = rn_fpmode_enter();
        inside = true;
        task(arg, worker, worker);
        inside = false;
        rn_fpmode_leave(mode);
    }
}

/* The region of rn_with_team: its worker 0 is the caller. */
static void run_region(struct rn_team *t, int threads, void (*body)(void *arg), void *arg)
{
#pragma omp parallel num_threads(threads)
    {
        int worker = omp_get_thread_num();
        rn_fpmode mode = rn_fpmode_enter();
        if (worker == 0) {
            t->members = omp_get_num_threads(); /* it may give fewer than were asked for */
            team_at_hand = t;
            body(arg);
            team_at_hand = NULL;
            rn_team_dismiss(t);
        } else {
            inside = true;
            rn_team_serve(t, worker);
            inside = false;
        }
        rn_fpmode_leave(mode);
    }
}
#endif

/* -- whether there can be so many ----------------------------------------------------------------- */

static atomic_int most = 1; /* threads that were there at once */

static void *wait_for_gate(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

rn_status rn_threads_probe(int threads)
{
    if (threads <= atomic_load(&most)) return RN_OK;
    pthread_t *thread = rn_alloc_array((size_t)threads, sizeof *thread);
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int started = 1, error = 0;
    if (!thread) return RN_ENOMEM;
    pthread_mutex_lock(&gate);
    while (started < threads && !(error = pthread_create(&thread[started], NULL, wait_for_gate, &gate))) started++;
    pthread_mutex_unlock(&gate);
    for (int i = 1; i < started; i++) pthread_join(thread[i], NULL);
    pthread_mutex_destroy(&gate);
    rn_free(thread);
    if (error)
        return rn_fail(RN_EIO, "%d threads: this process can start %d: %s", threads, started, strerror(error));
    atomic_store(&most, threads);
    return RN_OK;
}

/* -- teams ---------------------------------------------------------------------------------------- */

static void run_in_team(int workers, int64_t tasks, rn_task *task, void *arg)
{
    inside = true;
    rn_team_do(team_at_hand, workers, tasks, task, arg);
    inside = false;
}

void rn_with_team(int threads, void (*body)(void *arg), void *arg)
{
#ifdef _OPENMP
    struct rn_team team;
    int members = RN_MIN(threads, rn_cpu_count());
    if (threads > 1 && !inside && !team_at_hand && !watcher.see && rn_team_open(&team, members)) {
        run_region(&team, members, body, arg);
        rn_team_close(&team);
        return;
    }
#endif
    (void)threads;
    rn_fpmode mode = rn_fpmode_enter();
    body(arg);
    rn_fpmode_leave(mode);
}

void rn_parallel_watch(rn_watch *watch, void *arg)
{
    watcher.see = watch;
    watcher.arg = arg;
}

/* What a watcher makes of a job. */
static void run_watched(int64_t tasks, rn_task *task, void *arg)
{
    rn_fpmode mode = rn_fpmode_enter();
    inside = true;
    watcher.see(watcher.arg, tasks, task, arg);
    inside = false;
    rn_fpmode_leave(mode);
}

void rn_parallel(int threads, int64_t tasks, rn_task *task, void *arg)
{
    if (watcher.see && threads > 1 && !inside) {
        run_watched(tasks, task, arg);
        return;
    }
    int64_t team = RN_MIN(RN_MIN((int64_t)threads, RN_MAX_THREADS), tasks);
    if (team > 1 && !inside && team_at_hand) {
        run_in_team(threads, tasks, task, arg);
        return;
    }
#ifdef _OPENMP
    if (team > 1 && !inside) {
        run_team((int)team, tasks, task, arg);
        return;
    }
#endif
    (void)team;
    run_serial(tasks, task, arg);
}

void rn_every_worker(int threads, rn_task *task, void *arg)
{
    RN_ASSERT(!team_at_hand);
#ifdef _OPENMP
    if (threads > 1 && !inside) {
        run_each(RN_MIN(threads, RN_MAX_THREADS), task, arg);
        return;
    }
#endif
    (void)threads;
    run_serial(1, task, arg);
}

/* A range of `count` seen as `pieces` tasks; all but the last are multiples of `grain`. */
struct range {
    rn_range_task *task;
    void *arg;
    int64_t count, grain, pieces;
};

/* Start of piece i: the whole grains are dealt out evenly, the remainder goes to the last piece. */
static int64_t piece_begin(const struct range *r, int64_t i)
{
    int64_t grains = r->count / r->grain, each = grains / r->pieces, more = grains % r->pieces;
    return i == r->pieces ? r->count : (i * each + RN_MIN(i, more)) * r->grain;
}

static void run_piece(void *arg, int64_t i, int worker)
{
    const struct range *r = arg;
    r->task(r->arg, piece_begin(r, i), piece_begin(r, i + 1), worker);
}

void rn_parallel_range(int threads, int64_t count, int64_t grain, rn_range_task *task, void *arg)
{
    if (count <= 0) return;
    struct range r = { task, arg, count, RN_MAX(grain, 1), 1 };
    if (threads > 1) /* four pieces a worker even out what disturbs one of them */
        r.pieces = RN_MAX(1, RN_MIN(count / r.grain, (int64_t)RN_MIN(threads, RN_MAX_THREADS) * 4));
    rn_parallel(threads, r.pieces, run_piece, &r);
}

/* CPUs of the places that OpenMP binds its threads to; 0 where it binds none.  A bound thread has no others than its
 * own place's to run on, so its affinity does not say what the process has. */
static long cpus_of_places(void)
{
    long count = 0;
#ifdef _OPENMP
    for (int i = 0; i < omp_get_num_places(); i++) count += omp_get_place_num_procs(i);
    count = RN_MIN(count, omp_get_num_procs()); /* places may overlap */
#endif
    return count;
}

void rn_thread_roam(void)
{
#if defined(_OPENMP) && defined(__linux__)
    int id[CPU_SETSIZE];
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < omp_get_num_places(); i++) {
        const int count = omp_get_place_num_procs(i);
        if (count > CPU_SETSIZE) return;
        omp_get_place_proc_ids(i, id);
        for (int k = 0; k < count; k++) CPU_SET(id[k], &set);
    }
    if (CPU_COUNT(&set)) sched_setaffinity(0, sizeof set, &set);
#endif
}

int rn_cpu_count(void)
{
    long count = cpus_of_places();
#ifdef __linux__
    cpu_set_t set;
    if (count < 1 && sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
    if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (int)RN_MIN(count, RN_MAX_THREADS);
}
