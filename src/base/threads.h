/*
 * threads.h - the only place that starts threads for arithmetic.  OpenMP underneath.
 *
 * A3: every worker sets the default floating-point mode (nearest even, no flush, traps masked) when
 * a region starts; the mode write sits in its own function and the arithmetic in the task.
 *
 * On machines of several sockets: threads stay where OpenMP binds them (OMP_PLACES=cores and
 * OMP_PROC_BIND=close; spread only where memory bandwidth, not cache, is what is missing), and a page
 * lies on the socket of the thread that first wrote to it.  Tasks are taken as they come, so pages are
 * not tied to threads: on two sockets `numactl --interleave=all`, or one process a socket, is the
 * better start.
 */
#ifndef RN_THREADS_H
#define RN_THREADS_H

#include "base/base.h"

#define RN_MAX_THREADS 1024

/* Runs task(arg, i, worker) for every i in 0 ... tasks-1, each once, on up to `threads` workers
 * (0 <= worker < threads).  Tasks must be independent outputs; order and placement are free.  One
 * thread or one task runs in the caller.  Returns when all are done. */
typedef void rn_task(void *arg, int64_t i, int worker);
void rn_parallel(int threads, int64_t tasks, rn_task *task, void *arg);

/* The same over the range 0 ... count-1 cut into pieces of at least `grain`. */
typedef void rn_range_task(void *arg, int64_t begin, int64_t end, int worker);
void rn_parallel_range(int threads, int64_t count, int64_t grain, rn_range_task *task, void *arg);

/* body(arg) in the caller, while a team of `threads` stands by: an rn_parallel in it hands its tasks
 * over in well under a microsecond.  Work is cut for `threads`, but no more of them are woken than this
 * process has processors: the others could only take time from these.  One rn_with_team within another
 * is only a call of its body. */
void rn_with_team(int threads, void (*body)(void *arg), void *arg);

/* task(arg, worker, worker) once on each worker of a team of `threads`, of its own: not to be called
 * within rn_with_team, whose members are not to be had one by one.  Within a task, once in the caller. */
void rn_every_worker(int threads, rn_task *task, void *arg);

/* For measurements: while `watch` is set (NULL ends it), this thread shares nothing out.  Each
 * rn_parallel call of several threads is handed to watch, which must do task(task_arg, i, 0) once for
 * every i below `tasks`. */
typedef void rn_watch(void *arg, int64_t tasks, rn_task *task, void *task_arg);
void rn_parallel_watch(rn_watch *watch, void *arg);

/* RN_EIO unless this process can start so many threads: OpenMP ends the process where one cannot be started, which a
 * limit of processes or of address space does. */
rn_status rn_threads_probe(int threads);

int rn_cpu_count(void); /* CPUs this process may run on, at least 1 */
/* Lets the calling thread run on all of these: where OpenMP binds threads, one that is started beside its team has the
 * place of who started it. */
void rn_thread_roam(void);

/* A3 at the library's borders: saves the caller's mode and sets the default; and back. */
typedef struct { uint64_t word[4]; } rn_fpmode; /* one register, or a whole fenv_t */
rn_fpmode rn_fpmode_enter(void);
void rn_fpmode_leave(rn_fpmode saved);

/* A40: a few hundred operations with known bits, on every worker of `threads`.  RN_EIO (exit 4) naming the rule when
 * this machine or build computes otherwise, and where so many threads cannot be started; RN_ENOMEM. */
rn_status rn_selfcheck(int threads);
rn_status rn_selfcheck_here(void); /* the same in this thread, in its floating-point mode */

#endif /* RN_THREADS_H */
