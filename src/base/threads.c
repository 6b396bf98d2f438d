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

#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

static _Thread_local bool inside; /* this thread is working on a task */

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
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < tasks; i++) task(arg, i, worker);
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
#endif

void rn_parallel(int threads, int64_t tasks, rn_task *task, void *arg)
{
    int64_t team = RN_MIN(RN_MIN((int64_t)threads, RN_MAX_THREADS), tasks);
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

int rn_cpu_count(void)
{
    long count = 0;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
    if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (int)RN_MIN(count, RN_MAX_THREADS);
}
