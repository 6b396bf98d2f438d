/*
 * partition.c - how evenly a training step falls into tasks, for more threads than this machine has.
 *
 * The step is computed by one thread on a device that believes it has T: a watcher of rn_parallel sees
 * every job with the tasks that T threads would share, times them one by one, and deals them out as a
 * team does, each to whoever is free first.  What comes out is the tasks a thread has in a job (units),
 * the time of the last thread over the mean of all (imbalance, 1 is even), and, for the whole step, the
 * speed over one thread that the partition alone would allow.  It says nothing of memory, caches and
 * clocks that cores share, nor of the half microsecond that a hand-over takes.
 */
#define _POSIX_C_SOURCE 200809L

#include "base/mem.h"
#include "base/random.h"
#include "base/threads.h"
#include "observe/observe.h"
#include "tools/cli/options.h"

#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "batch-size", OPT_INT, "128", 1, 65536, NULL, "N", "images a step", "Measurement" },
    { "runs", OPT_INT, "2", 1, 100, NULL, "N", "steps of a team; of a task the least time counts",
      "Measurement" },
};

static const int team_sizes[] = { 1, 2, 4, 8, 16, 32, 64 };
#define MOST_THREADS 64

enum part { FORWARD, DATA, WEIGHTS, NORM, OTHER, PARTS };
static const char *const part_names[PARTS] = { "forward", "data gradient", "weight gradient",
                                               "batch norm backward", "the rest" };

/* -- what the watcher sees ------------------------------------------------------------------------ */

struct job { enum part part; int64_t first, tasks; }; /* its times: seconds[first] ... */

static struct {
    double *seconds;         /* of every task of a step, in order */
    struct job *jobs;
    size_t seconds_room, jobs_room, seconds_used, jobs_used;
    enum part part;          /* whose jobs these are */
    bool again, failed;      /* a later step: keep the lesser times */
    double in_jobs, alone;   /* seconds of the step in all tasks, and outside */
} seen;

static bool grow(void **p, size_t *room, size_t used, size_t more, size_t size)
{
    if (used + more <= *room) return true;
    size_t wanted = 2 * (used + more);
    void *grown = rn_realloc(*p, *room * size, wanted * size);
    if (!grown) return false;
    *p = grown;
    *room = wanted;
    return true;
}

static void *note_job(int64_t tasks)
{
    void *seconds = seen.seconds, *jobs = seen.jobs;
    bool room = grow(&seconds, &seen.seconds_room, seen.seconds_used, (size_t)tasks,
                     sizeof *seen.seconds);
    seen.seconds = seconds;
    room = room && grow(&jobs, &seen.jobs_room, seen.jobs_used, 1, sizeof *seen.jobs);
    seen.jobs = jobs;
    if (!room) return NULL;
    seen.jobs[seen.jobs_used++] = (struct job){ seen.part, (int64_t)seen.seconds_used, tasks };
    seen.seconds_used += (size_t)tasks;
    return seen.seconds + seen.seconds_used - tasks;
}

static void watch(void *arg, int64_t tasks, rn_task *task, void *task_arg)
{
    (void)arg;
    double *seconds = note_job(tasks), begin = rn_seconds();
    if (!seconds) seen.failed = true;
    seen.in_jobs -= begin;
    for (int64_t i = 0; i < tasks; i++) {
        task(task_arg, i, 0);
        double end = rn_seconds();
        if (seconds) seconds[i] = seen.again ? RN_MIN(seconds[i], end - begin) : end - begin;
        begin = end;
    }
    seen.in_jobs += begin;
}

/* -- a table of operations that says whose job it is ---------------------------------------------- */

static const struct rn_ops *real;

static void forward(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                    const struct rn_conv_shape *s, void *workspace)
{
    seen.part = FORWARD;
    real->conv2d_forward(dev, dst, src, packed, bias, s, workspace);
    seen.part = OTHER;
}

static void forward_bn(void *dev, void *dst, void *x, double *saved, const void *src,
                       const void *packed, const void *add, const float *gamma, const float *beta,
                       const struct rn_conv_shape *s, const struct rn_bn_shape *bn, void *workspace)
{
    seen.part = FORWARD;
    real->conv2d_bn_train(dev, dst, x, saved, src, packed, add, gamma, beta, s, bn, workspace);
    seen.part = OTHER;
}

static void backward_data(void *dev, void *dsrc, const void *ddst, const void *packed,
                          const void *add, const struct rn_conv_shape *s, void *workspace)
{
    seen.part = DATA;
    real->conv2d_backward_data(dev, dsrc, ddst, packed, add, s, workspace);
    seen.part = OTHER;
}

static void backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                             const void *ddst, const struct rn_conv_shape *s, void *workspace)
{
    seen.part = WEIGHTS;
    real->conv2d_backward_weights(dev, dweights, dbias, src, ddst, s, workspace);
    seen.part = OTHER;
}

static void backward_bn(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                        const void *ddst, const void *dst, const void *src, const double *saved,
                        const float *gamma, const float *beta, const struct rn_bn_shape *s,
                        void *workspace)
{
    seen.part = NORM;
    real->batchnorm_backward(dev, dsrc, dadd, dgamma, dbeta, ddst, dst, src, saved, gamma, beta, s,
                             workspace);
    seen.part = OTHER;
}

/* -- a step --------------------------------------------------------------------------------------- */

struct step {
    struct rn_net *net;
    float *images, *velocity;
    int32_t *labels;
    double *loss;
    int batch;
};

static void run_step(struct step *x, const struct rn_ops *ops, void *dev)
{
    const struct rn_sgd hp = { .lr = 1e-3, .momentum = 0.9, .weight_decay = 5e-4 };
    rn_net_forward(x->net, x->images, x->batch, true);
    rn_net_loss(x->net, x->loss, x->labels, x->batch, 0);
    rn_net_backward(x->net);
    ops->sgd_update(dev, rn_net_weights(x->net), x->velocity, rn_net_gradients(x->net),
                    rn_net_trainable_count(x->net), &hp);
    rn_net_touch(x->net);
}

static void watched_step(struct step *x, const struct rn_ops *ops, void *dev, bool again)
{
    seen.seconds_used = seen.jobs_used = 0;
    seen.part = OTHER;
    seen.again = again;
    seen.in_jobs = 0;
    rn_parallel_watch(watch, NULL);
    double begin = rn_seconds();
    run_step(x, ops, dev);
    double alone = rn_seconds() - begin - seen.in_jobs;
    rn_parallel_watch(NULL, NULL);
    seen.alone = again ? RN_MIN(seen.alone, alone) : alone;
}

static rn_status make_step(struct step *x, const struct opt_set *o, const struct rn_ops *ops, void *dev)
{
    struct rn_net_config c = { .batch = x->batch, .eval_batch = 1 };
    rn_status status = tool_net(&c, o);
    size_t pixels = (size_t)x->batch * 3 * (size_t)c.image_size * (size_t)c.image_size;
    if (!status) status = rn_net_create(&x->net, &c, ops, dev);
    if (status) return status;
    rn_net_init(x->net, 42);
    x->images = rn_alloc_array(pixels, sizeof *x->images);
    x->labels = rn_alloc_array((size_t)x->batch, sizeof *x->labels);
    x->loss = rn_alloc_array((size_t)x->batch, sizeof *x->loss);
    x->velocity = rn_alloc_array(rn_net_trainable_count(x->net), sizeof *x->velocity);
    if (!x->images || !x->labels || !x->loss || !x->velocity) return RN_ENOMEM;
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < pixels; i++) x->images[i] = (float)(4 * rn_random_uniform(&r) - 2);
    return RN_OK;
}

static void free_step(struct step *x)
{
    rn_net_free(x->net);
    rn_free(x->images);
    rn_free(x->labels);
    rn_free(x->loss);
    rn_free(x->velocity);
}

/* Steps on a device of `threads` threads; afterwards `seen` tells of them. */
static rn_status observe(const struct opt_set *o, const struct rn_ops *ops, int threads)
{
    const struct rn_device_options options = { threads, opt_text(o, "isa"), opt_text(o, "numerics") };
    struct step x = { .batch = (int)opt_int(o, "batch-size") };
    void *dev;
    rn_status status = ops->open(&dev, &options);
    if (status) return status;
    status = make_step(&x, o, ops, dev);
    if (!status) run_step(&x, ops, dev); /* touches the memory */
    for (int i = 0; i < (int)opt_int(o, "runs") && !status; i++) {
        watched_step(&x, ops, dev, i > 0);
        if (seen.failed) status = RN_ENOMEM;
    }
    free_step(&x);
    ops->close(dev);
    return status;
}

/* -- dealing out ---------------------------------------------------------------------------------- */

struct share { double work, longest; int64_t units, jobs; }; /* sums over jobs */

/* The time at which the last of `threads` is done when each task goes to whoever is free first. */
static double deal(const double *seconds, int64_t tasks, int threads)
{
    double busy[MOST_THREADS] = { 0 }, last = 0;
    for (int64_t i = 0; i < tasks; i++) {
        int free_first = 0;
        for (int k = 1; k < threads; k++)
            if (busy[k] < busy[free_first]) free_first = k;
        busy[free_first] += seconds[i];
        last = RN_MAX(last, busy[free_first]);
    }
    return last;
}

static void print_row(int threads)
{
    struct share part[PARTS] = { { 0 } };
    double length = seen.alone, work = seen.alone;
    for (size_t j = 0; j < seen.jobs_used; j++) {
        const struct job *job = &seen.jobs[j];
        struct share *s = &part[job->part];
        double longest = deal(seen.seconds + job->first, job->tasks, threads);
        for (int64_t i = 0; i < job->tasks; i++) s->work += seen.seconds[job->first + i];
        s->longest += longest;
        s->units += job->tasks;
        s->jobs++;
        length += longest;
    }
    for (int p = 0; p < PARTS; p++) work += part[p].work;
    printf("| %d |", threads);
    for (int p = 0; p < PARTS; p++)
        if (part[p].work > 0)
            printf(" %.1f, %.2f |", (double)part[p].units / (double)part[p].jobs / threads,
                   part[p].longest * threads / part[p].work);
        else printf(" - |"); /* one thread has no jobs */
    printf(" %.1f %% | %.2f |\n", 100 * seen.alone / length, work / length);
    fflush(stdout);
}

static rn_status run(struct opt_set *o)
{
    struct tool_device d;
    rn_status status = tool_device_open(&d, o);
    if (status) return status;
    struct rn_ops labelled = *(real = d.ops);
    labelled.conv2d_forward = forward;
    labelled.conv2d_bn_train = forward_bn;
    labelled.conv2d_backward_data = backward_data;
    labelled.conv2d_backward_weights = backward_weights;
    labelled.batchnorm_backward = backward_bn;
    printf("%s, batch %d, %s: units a thread in a job, imbalance\n\n| threads |", opt_text(o, "arch"),
           (int)opt_int(o, "batch-size"), opt_text(o, "numerics"));
    for (int p = 0; p < PARTS; p++) printf(" %s |", part_names[p]);
    printf(" alone | speed |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < RN_COUNT(team_sizes) && !status; i++) {
        status = observe(o, &labelled, team_sizes[i]);
        if (!status) print_row(team_sizes[i]);
    }
    rn_free(seen.seconds);
    rn_free(seen.jobs);
    tool_device_close(&d);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool partition = {
        .name = "partition", .run = run,
        .summary = "simulates how a training step falls into tasks on up to 64 threads",
        .table = { { opt_net, opt_net_count }, { opt_net_cifar, opt_net_cifar_count },
                   { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&partition, argc, argv);
}
