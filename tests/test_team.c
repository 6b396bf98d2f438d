/*
 * test_team.c - the hand-over of jobs to a standing team: every task once, whoever sleeps, comes late
 * or is one too many; and rn_with_team, which is how the library uses it.
 *
 * The first part brings threads of its own, so that a thread sanitizer sees every step; OpenMP's are
 * not instrumented.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include "base/team.h"

#include <fenv.h>
#include <time.h>

#define MOST 8
#define TASKS 3000

static void nap(long microseconds)
{
    struct timespec t = { 0, 1000 * microseconds };
    nanosleep(&t, NULL);
}

/* What the tasks of a job leave behind: not atomic, for nobody else may touch it meanwhile. */
struct job { int count[TASKS], worker[TASKS], value; long nap; };

static void note(void *arg, int64_t i, int worker)
{
    struct job *j = arg;
    j->count[i] += j->value;
    j->worker[i] = worker;
    if (j->nap) nap(j->nap);
}

/* Tasks that were not done once by one of `workers`. */
static int wrong_in(const struct job *j, int tasks, int workers)
{
    int wrong = 0;
    for (int i = 0; i < TASKS; i++)
        wrong += j->count[i] != (i < tasks ? j->value : 0) || j->worker[i] < 0 ||
                 j->worker[i] >= workers;
    return wrong;
}

/* -- the team by itself --------------------------------------------------------------------------- */

struct member { struct rn_team *team; int number; pthread_t thread; };

static void *serve(void *arg)
{
    struct member *m = arg;
    rn_team_serve(m->team, m->number);
    return NULL;
}

/* body(team) while members 1 ... serve; the job before the first is that of `ticket`. */
static void with_members(int members, uint64_t ticket, void (*body)(struct rn_team *t))
{
    struct rn_team team;
    struct member m[MOST];
    CHECK(rn_team_open(&team, members));
    team.ticket = ticket;
    for (int i = 1; i < members; i++) {
        m[i] = (struct member){ .team = &team, .number = i };
        CHECK(pthread_create(&m[i].thread, NULL, serve, &m[i]) == 0);
    }
    body(&team);
    rn_team_dismiss(&team);
    for (int i = 1; i < members; i++) pthread_join(m[i].thread, NULL);
    rn_team_close(&team);
}

static void run_job(struct rn_team *t, int workers, int tasks, int value, long task_nap)
{
    static struct job j;
    memset(&j, 0, sizeof j);
    j.value = value;
    j.nap = task_nap;
    rn_team_do(t, workers, tasks, note, &j);
    int wrong = wrong_in(&j, tasks, workers);
    CHECK_MSG(wrong == 0, "%d tasks, %d workers: %d wrong", tasks, workers, wrong);
}

static void many_jobs(struct rn_team *t)
{
    static const int tasks[] = { 1, 2, 3, 7, 64, TASKS };
    for (int k = 0; k < 600; k++)
        run_job(t, 1 + k % t->members, tasks[(size_t)k % RN_COUNT(tasks)], k + 1, 0);
}

/* Between the jobs all fall asleep; in the tasks the owner does. */
static void rare_jobs(struct rn_team *t)
{
    for (int k = 1; k <= 6; k++) {
        nap(3000);
        run_job(t, t->members, 2 * k, k, k % 2 ? 0 : 2000);
    }
}

static void no_jobs(struct rn_team *t) { (void)t; }

static void test_every_task_once(void)
{
    for (int members = 1; members <= MOST; members++) {
        with_members(members, 0, many_jobs);
        with_members(members, 0, rare_jobs);
        with_members(members, 0, no_jobs);
    }
}

/* Job numbers begin again; the last is that of the dismissal. */
static void test_job_numbers_wrap(void)
{
    for (uint64_t before = 0xfffff0; before <= 0xfffffe; before += 2)
        with_members(3, before << 40, many_jobs);
}

/* -- rn_with_team --------------------------------------------------------------------------------- */

struct region { int threads, jobs, wrong; };

static void several_jobs(void *arg)
{
    struct region *r = arg;
    struct job *j = malloc(sizeof *j);
    if (!j) r->wrong++;
    for (int k = 0; j && k < r->jobs; k++) {
        int tasks = k * 37 % TASKS;
        memset(j, 0, sizeof *j);
        j->value = k + 1;
        rn_parallel(r->threads, tasks, note, j);
        r->wrong += wrong_in(j, tasks, r->threads);
    }
    free(j);
}

static void test_jobs_in_a_region(void)
{
    for (int threads = 1; threads <= MOST; threads++) {
        struct region r = { .threads = threads, .jobs = 90 };
        rn_with_team(threads, several_jobs, &r);
        r.threads = RN_MAX(1, threads - 2); /* fewer than stand by */
        rn_with_team(threads, several_jobs, &r);
        r.threads = threads + 3; /* more */
        rn_with_team(threads, several_jobs, &r);
        CHECK_MSG(r.wrong == 0, "%d threads: %d tasks wrong", threads, r.wrong);
    }
}

static void region_in_a_region(void *arg)
{
    struct region *r = arg;
    several_jobs(r);
    rn_with_team(r->threads, several_jobs, r);
    several_jobs(r);
}

static void region_in_a_task(void *arg, int64_t i, int worker)
{
    struct region inner = { .threads = 1, .jobs = 3 };
    (void)worker;
    rn_with_team(4, several_jobs, &inner); /* serial: a worker above 0 would be wrong */
    ((int *)arg)[i] = inner.wrong == 0;
}

static void tasks_with_regions(void *arg)
{
    rn_parallel(3, 20, region_in_a_task, arg);
}

static void test_nested(void)
{
    struct region r = { .threads = 3, .jobs = 20 };
    int done[20] = { 0 }, sum = 0;
    rn_with_team(3, region_in_a_region, &r);
    rn_with_team(3, tasks_with_regions, done);
    for (int i = 0; i < 20; i++) sum += done[i];
    CHECK(sum == 20 && r.wrong == 0);
}

static void *host_thread(void *arg)
{
    for (int k = 0; k < 20; k++) rn_with_team(((struct region *)arg)->threads, several_jobs, arg);
    return NULL;
}

static void test_two_hosts_at_once(void)
{
    struct region r[2] = { { .threads = 2, .jobs = 30 }, { .threads = 3, .jobs = 30 } };
    pthread_t other;
    CHECK(pthread_create(&other, NULL, host_thread, &r[1]) == 0);
    host_thread(&r[0]);
    pthread_join(other, NULL);
    CHECK(r[0].wrong == 0 && r[1].wrong == 0);
}

struct watched { int64_t jobs, tasks; };

static void watch(void *arg, int64_t tasks, rn_task *task, void *task_arg)
{
    struct watched *w = arg;
    w->jobs++;
    w->tasks += tasks;
    for (int64_t i = tasks; i-- > 0;) task(task_arg, i, 0);
}

static void test_watcher(void)
{
    struct region r = { .threads = 64, .jobs = 5 };
    struct watched w = { 0, 0 };
    rn_parallel_watch(watch, &w);
    rn_with_team(64, several_jobs, &r);
    rn_parallel_watch(NULL, NULL);
    CHECK(r.wrong == 0 && w.jobs == 5 && w.tasks == 37 * (1 + 2 + 3 + 4));
    rn_with_team(2, several_jobs, &r);
    CHECK(r.wrong == 0 && w.jobs == 5);
}

/* 1 + 2^-24 is a tie: 1 in the default mode, more when rounding up. */
static RN_NOINLINE bool rounds_up(void)
{
    volatile float one = 1.0f, half_ulp = 0x1p-24f, sum = one + half_ulp;
    return sum > 1.0f;
}

static void see_mode(void *arg, int64_t i, int worker)
{
    (void)worker;
    ((int *)arg)[i] = rounds_up();
    nap(50);
}

static void mode_in_region(void *arg)
{
    int *up = arg;
    up[50] = rounds_up();
    rn_parallel(4, 50, see_mode, up);
}

static void test_mode(void)
{
    for (int threads = 1; threads <= MOST; threads++) {
        int up[51], sum = 0;
        for (int i = 0; i < 51; i++) up[i] = 1;
        CHECK(fesetround(FE_UPWARD) == 0 && rounds_up());
        rn_with_team(threads, mode_in_region, up);
        CHECK(rounds_up()); /* the caller's mode is back */
        fesetround(FE_TONEAREST);
        for (int i = 0; i < 51; i++) sum += up[i];
        CHECK_MSG(sum == 0, "%d threads: %d of 51 round upward", threads, sum);
    }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_every_task_once), RN_TEST_ROW(test_job_numbers_wrap),
        RN_TEST_ROW(test_jobs_in_a_region), RN_TEST_ROW(test_nested),
        RN_TEST_ROW(test_two_hosts_at_once), RN_TEST_ROW(test_watcher), RN_TEST_ROW(test_mode),
    };
    return rn_test_main("test_team", rows, RN_COUNT(rows), argc, argv);
}
