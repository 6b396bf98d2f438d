/*
 * run.c - what ./bench does: calls of inference or training, timed.
 *
 * Each batch size is measured in a process of its own: nothing is left over from the one before, and
 * the peak of memory is its own.  A time is one call, wall clock; images a second come from the median.
 * FLOPs are two for each multiply-accumulate of convolutions and the linear layer, padding included, and
 * three times that for a training step (forward and both backward passes).
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/bench/run.h"

#include "analyze/analyze.h"
#include "base/mem.h"
#include "base/random.h"
#include "data/data.h"
#include "net/net.h"
#include "observe/observe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const struct opt bench_rows[] = {
    { "mode", OPT_CHOICE, "infer", 0, 0, "train|infer", NULL, "what is timed", "Measurement" },
    { "batch-sizes", OPT_INTS, "1", 1, RN_MOST_BATCH, NULL, "LIST", "images a call; each gets a line of results",
      "Measurement" },
    { "warmup", OPT_INT, "10", 0, 1000000, NULL, "N", "calls that are not timed", "Measurement" },
    { "runs", OPT_INT, "100", 1, 1000000, NULL, "N",
      "calls that are timed; quantiles are linear between the two nearest of them, std is that of a sample",
      "Measurement" },
    { "data", OPT_TEXT, "demo", 0, 0, NULL, "SPEC", "where images come from; loading them is timed too",
      "Measurement" },
    { "data-free", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "one batch of random numbers instead, made before",
      "Measurement" },
    { "opt", OPT_CHOICE, "sgd", 0, 0, "sgd|adamw", NULL, "update of a training step", "Measurement" },
    { "checkpoint-activations", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "train with less memory: blocks run forward twice", "Measurement" },
    { "fold", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "infer with batch norm folded into the weights",
      "Measurement" },
    { "csv", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "the results as a table for other programs", "Output" },
    { "plot", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "the results drawn, as .png or .svg; needs cairo", "Output" },
    { "num-classes", OPT_INT, "1000", 2, 100000, NULL, "N", "outputs", "Net" },
    { "image-size", OPT_INT, "224", 32, 4096, NULL, "N", "height and width given to the net", "Net" },
    { "stem", OPT_CHOICE, "imagenet", 0, 0, "imagenet|cifar|cifar-pool|3x3s2|deep", NULL, "first layers",
      "Net" },
};
const size_t bench_rows_count = RN_COUNT(bench_rows);

/* What the child process sends to its parent. */
struct report { rn_status status; char message[512]; struct bench_result result; };

/* -- one measurement ------------------------------------------------------------------------------ */

struct bench {
    pid_t parent;
    const struct opt_set *o;
    struct tool_device device;
    struct rn_net *net;
    bool train, adamw;
    int batch, size, classes;
    float *first, *second;     /* optimiser state, on the device */
    int64_t updates;
    struct rn_dataset *set;    /* NULL: data-free */
    struct rn_loader *loader;
    uint32_t epoch;
    float *images, *logits;    /* data-free: the batch */
    int32_t *labels;
    double *loss;
};

static rn_status make_net(struct bench *b)
{
    struct rn_net_config config = { .batch = b->train ? b->batch : 0, .eval_batch = b->train ? 1 : b->batch,
                                    .checkpoint = opt_switch(b->o, "checkpoint-activations"),
                                    .fold = opt_switch(b->o, "fold") };
    config.beside_arrays = !b->train ? 0 : b->adamw ? 2 : 1;
    config.beside_bytes = (size_t)b->batch * 3 * (size_t)b->size * (size_t)b->size * sizeof(float);
    rn_status status = tool_net(&config, b->o);
    if (!status) status = rn_net_create(&b->net, &config, b->device.ops, b->device.dev);
    if (!status) rn_net_init(b->net, 42);
    return status;
}

static rn_status make_optimizer(struct bench *b)
{
    size_t bytes = rn_net_trainable_count(b->net) * sizeof(float);
    void *first = NULL, *second = NULL;
    rn_status status = b->device.ops->alloc(b->device.dev, &first, bytes);
    if (!status && b->adamw) status = b->device.ops->alloc(b->device.dev, &second, bytes);
    b->first = first;
    b->second = second;
    return status;
}

/* Numbers spread evenly over -2 ... 2, about what normalised pixels are. */
static rn_status make_batch(struct bench *b)
{
    size_t count = (size_t)b->batch * 3 * (size_t)b->size * (size_t)b->size;
    b->images = rn_alloc_array(count, sizeof(float));
    b->labels = rn_alloc_array((size_t)b->batch, sizeof(int32_t));
    if (!b->images || !b->labels) return RN_ENOMEM;
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < count; i++) b->images[i] = (float)(4 * rn_random_uniform(&r) - 2);
    for (int i = 0; i < b->batch; i++) b->labels[i] = (int32_t)rn_random_below(&r, (uint32_t)b->classes);
    return RN_OK;
}

static rn_status open_data(struct bench *b)
{
    rn_status status = rn_dataset_open(&b->set, opt_text(b->o, "data"),
                                       &(struct rn_dataset_options){ .image_size = b->size });
    if (status) return status;
    if (b->set->height != b->size || b->set->width != b->size || b->set->channels != 3)
        return rn_fail(RN_EUSAGE, "--image-size %d: the images of %s are %d x %d", b->size, b->set->name,
                       b->set->width, b->set->height);
    if (b->set->classes > b->classes)
        return rn_fail(RN_EUSAGE, "--num-classes %d: %s has %d", b->classes, b->set->name, b->set->classes);
    if (b->set->train.count < b->batch)
        return rn_fail(RN_EUSAGE, "--batch-sizes: %d images; %s has %lld", b->batch, b->set->name,
                       (long long)b->set->train.count);
    struct rn_loader_config config = { .set = b->set, .split = &b->set->train, .batch = b->batch,
                                       .shuffle = b->train, .seed = 42, .workers = 1 };
    memcpy(config.mean, b->set->mean, sizeof config.mean);
    memcpy(config.std, b->set->std, sizeof config.std);
    status = rn_loader_create(&b->loader, &config);
    return status ? status : rn_loader_begin(b->loader, 0, 0);
}

/* The forward pass of a whole batch; an epoch's smaller last one is passed over, so that every call does the same
 * work. */
static rn_status forward(struct bench *b, const int32_t **labels)
{
    struct rn_batch batch;
    rn_status status;
    *labels = b->labels;
    if (!b->set) {
        rn_net_forward(b->net, b->images, b->batch, b->train);
        return RN_OK;
    }
    while (!(status = rn_loader_next(b->loader, &batch)) && batch.n != b->batch)
        if (batch.n == 0 && (status = rn_loader_begin(b->loader, ++b->epoch, 0))) break;
    if (status) return status;
    *labels = batch.labels;
    rn_net_forward_images(b->net, &batch.images, b->train);
    return RN_OK;
}

static void update(struct bench *b)
{
    const struct rn_ops *ops = b->device.ops;
    size_t count = rn_net_trainable_count(b->net);
    float *weights = rn_net_weights(b->net), *gradients = rn_net_gradients(b->net);
    b->updates++;
    if (b->adamw) {
        struct rn_adamw hp = { .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01,
                               .beta1_power = 0.9, .beta2_power = 0.999 };
        ops->adamw_update(b->device.dev, weights, b->first, b->second, gradients, count, &hp);
    } else {
        struct rn_sgd hp = { .lr = 1e-3, .momentum = 0.9, .weight_decay = 5e-4 };
        ops->sgd_update(b->device.dev, weights, b->first, gradients, count, &hp);
    }
    rn_net_touch(b->net);
}

/* One call of what is measured, from the batch on the host to the result on the host. */
static rn_status call(struct bench *b)
{
    const int32_t *labels;
    rn_status status = forward(b, &labels);
    if (status) return status;
    if (b->train) {
        rn_net_loss(b->net, b->loss, labels, b->batch, 0);
        rn_net_backward(b->net);
        if (!rn_net_gradients_finite(b->net))
            return rn_fail(RN_EFAIL, "batch %d: a gradient is not finite after %lld steps", b->batch,
                           (long long)b->updates);
        rn_net_commit_statistics(b->net);
        update(b);
    } else {
        rn_net_logits(b->net, b->logits);
    }
    b->device.ops->sync(b->device.dev);
    return RN_OK;
}

static rn_status prepare(struct bench *b)
{
    rn_status status = tool_device_open(&b->device, b->o);
    if (!status && !opt_switch(b->o, "data-free")) status = open_data(b); /* no such batch: before no such memory */
    if (!status) status = make_net(b);
    if (!status && b->train) status = make_optimizer(b);
    if (!status && opt_switch(b->o, "data-free")) status = make_batch(b);
    if (status) return status;
    b->loss = rn_alloc_array((size_t)b->batch, sizeof(double));
    b->logits = rn_alloc_array((size_t)b->batch, (size_t)b->classes * sizeof(float));
    return b->loss && b->logits ? RN_OK : RN_ENOMEM;
}

static void finish(struct bench *b)
{
    rn_loader_free(b->loader);
    rn_dataset_close(b->set);
    if (b->first) b->device.ops->release(b->device.dev, b->first);
    if (b->second) b->device.ops->release(b->device.dev, b->second);
    rn_net_free(b->net);
    tool_device_close(&b->device);
    rn_free(b->images);
    rn_free(b->labels);
    rn_free(b->loss);
    rn_free(b->logits);
}

/* Who waits for the result may have been killed, which nobody tells a child. */
static rn_status wanted(const struct bench *b)
{
    return getppid() == b->parent ? RN_OK : rn_fail(RN_EFAIL, "nobody waits for batch %d any more", b->batch);
}

static rn_status measure(struct bench_result *r, struct bench *b)
{
    int runs = (int)opt_int(b->o, "runs"), warmup = (int)opt_int(b->o, "warmup");
    double *times = rn_alloc_array((size_t)runs, sizeof *times);
    size_t arena = 0;
    rn_status status = times ? prepare(b) : RN_ENOMEM;
    if (!status) status = rn_net_arena_bytes(&arena, rn_net_config_of(b->net), b->device.ops, b->device.dev);
    /* The peak is measured on both sides of the calls, should the machine be busy on one of them. */
    const char *isa = status ? NULL : b->device.ops->isa(b->device.dev);
    double peak = status ? 0 : rn_peak_gflops(b->device.threads, isa);
    double before = rn_rss_mb(), after;
    for (int i = 0; !status && i < warmup; i++)
        if (!(status = wanted(b))) status = call(b);
    for (int i = 0; !status && i < runs; i++) {
        if ((status = wanted(b))) break;
        double begin = rn_seconds();
        status = call(b);
        times[i] = 1e3 * (rn_seconds() - begin);
    }
    after = rn_rss_mb();
    if (!status) {
        r->batch = b->batch;
        bench_summarise(r, times, runs);
        r->rss = rn_peak_rss_mb();
        r->growth = before > 0 && after > 0 ? RN_MAX(after - before, 0) : -1;
        r->arena = (double)arena / RN_MB;
        r->gflops = 2e-9 * (double)rn_net_macs(b->net) * (b->train ? 3 : 1) * r->images_per_second;
        snprintf(r->isa, sizeof r->isa, "%s", isa);
        r->peak_gflops = RN_MAX(peak, rn_peak_gflops(b->device.threads, isa));
    }
    rn_free(times);
    return status;
}

/* -- a process for each batch size ---------------------------------------------------------------- */

static void child(int fd, pid_t parent, const struct opt_set *o, int batch)
{
    struct report report = { .status = RN_OK };
    struct bench b = { .parent = parent, .o = o, .batch = batch, .train = !strcmp(opt_text(o, "mode"), "train"),
                       .adamw = !strcmp(opt_text(o, "opt"), "adamw"), .size = (int)opt_int(o, "image-size"),
                       .classes = (int)opt_int(o, "num-classes") };
    report.status = measure(&report.result, &b);
    if (report.status) snprintf(report.message, sizeof report.message, "%s", rn_error());
    finish(&b);
    bool sent = write(fd, &report, sizeof report) == (ssize_t)sizeof report;
    _exit(sent ? 0 : 4);
}

static ssize_t read_all(int fd, void *data, size_t bytes)
{
    size_t got = 0;
    while (got < bytes) {
        ssize_t n = read(fd, (char *)data + got, bytes - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

rn_status bench_measure(struct bench_result *r, const struct opt_set *o, int batch)
{
    int pipes[2], ended = 0;
    if (pipe(pipes)) return rn_fail(RN_EIO, "pipe: %s", strerror(errno));
    fflush(NULL);
    const pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) child(pipes[1], parent, o, batch);
    close(pipes[1]);
    struct report report;
    bool whole = pid > 0 && read_all(pipes[0], &report, sizeof report) == (ssize_t)sizeof report;
    close(pipes[0]);
    if (pid < 0) return rn_fail(RN_EIO, "fork: %s", strerror(errno));
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {}
    if (!whole && WIFSIGNALED(ended))
        return rn_fail(WTERMSIG(ended) == SIGKILL ? RN_ENOMEM : RN_EIO,
                       "batch %d: the measuring process was ended by signal %d%s", batch, WTERMSIG(ended),
                       WTERMSIG(ended) == SIGKILL ? ", as the system does where memory runs out" : "");
    if (!whole) return rn_fail(RN_EIO, "batch %d: the measuring process ended early", batch);
    *r = report.result;
    return report.status ? rn_fail(report.status, "%s", report.message) : RN_OK;
}
