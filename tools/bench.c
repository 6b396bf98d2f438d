/*
 * bench.c - speed of inference or training over batch sizes.
 *
 * Each batch size is measured in a process of its own: nothing is left over from the one before, and
 * the peak of memory is its own.  A time is one call, wall clock; images a second come from the median.
 * FLOPs are two for each multiply-accumulate of convolutions and the linear layer, padding included, and
 * three times that for a training step (forward and both backward passes).
 */
#define _POSIX_C_SOURCE 200809L

#include "analyze/analyze.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"
#include "data/data.h"
#include "net/net.h"
#include "observe/observe.h"
#include "tools/cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct opt rows[] = {
    { "mode", OPT_CHOICE, "infer", 0, 0, "train|infer", NULL, "what is timed", "Measurement" },
    { "batch-sizes", OPT_INTS, "1,8,32", 1, 65536, NULL, "LIST", "images a call", "Measurement" },
    { "warmup", OPT_INT, "10", 0, 1000000, NULL, "N", "calls that are not timed", "Measurement" },
    { "runs", OPT_INT, "100", 1, 1000000, NULL, "N", "calls that are timed", "Measurement" },
    { "data", OPT_TEXT, "demo", 0, 0, NULL, "SPEC", "where images come from; loading them is timed too",
      "Measurement" },
    { "data-free", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "one batch of random numbers instead, made before",
      "Measurement" },
    { "opt", OPT_CHOICE, "sgd", 0, 0, "sgd|adamw", NULL, "update of a training step", "Measurement" },
    { "csv", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "the results as a table for other programs", "Output" },
    { "num-classes", OPT_INT, "1000", 2, 100000, NULL, "N", "outputs", "Net" },
    { "image-size", OPT_INT, "224", 32, 4096, NULL, "N", "height and width given to the net", "Net" },
    { "stem", OPT_CHOICE, "imagenet", 0, 0, "imagenet|cifar|cifar-pool|3x3s2|deep", NULL, "first layers",
      "Net" },
};

#define MAX_SIZES 64

struct result {
    int batch;
    char isa[16];
    double mean, median, std, p90, p95, p99, min, max; /* milliseconds */
    double images_per_second, gflops, peak_gflops, rss;
};

/* What the child process sends to its parent. */
struct report { rn_status status; char message[512]; struct result result; };

/* -- one measurement ------------------------------------------------------------------------------ */

struct bench {
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
    struct rn_net_config config = { .image_size = b->size, .upsample = (int)opt_int(b->o, "upsample"),
                                    .batch = b->train ? b->batch : 0, .eval_batch = b->train ? 1 : b->batch };
    enum rn_stem stem;
    rn_status status = rn_stem_parse(&stem, opt_text(b->o, "stem"));
    if (!status) status = rn_arch_named(&config.arch, opt_text(b->o, "arch"), stem, b->classes);
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
    rn_status status = rn_dataset_open(&b->set, opt_text(b->o, "data"), b->size);
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

/* A whole batch; an epoch's smaller last one is passed over, so that every call does the same work. */
static rn_status next_batch(struct bench *b, struct rn_batch *batch)
{
    *batch = (struct rn_batch){ .images = b->images, .labels = b->labels, .n = b->batch };
    if (!b->set) return RN_OK;
    rn_status status;
    while (!(status = rn_loader_next(b->loader, batch)) && batch->n != b->batch)
        if (batch->n == 0 && (status = rn_loader_begin(b->loader, ++b->epoch, 0))) break;
    return status;
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
    struct rn_batch batch;
    rn_status status = next_batch(b, &batch);
    if (status) return status;
    rn_net_forward(b->net, batch.images, batch.n, b->train);
    if (b->train) {
        rn_net_loss(b->net, b->loss, batch.labels, batch.n, 0);
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
    if (!status) status = make_net(b);
    if (!status && b->train) status = make_optimizer(b);
    if (!status) status = opt_switch(b->o, "data-free") ? make_batch(b) : open_data(b);
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

/* -- statistics ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile of sorted times, linear between neighbours. */
static double quantile(const double *sorted, int count, double q)
{
    double place = q * (count - 1);
    int i = (int)place;
    return i + 1 >= count ? sorted[count - 1] : sorted[i] + (place - i) * (sorted[i + 1] - sorted[i]);
}

/* Fills in what follows from the times (milliseconds), which it sorts. */
static void summarise(struct result *r, double *times, int count)
{
    double sum = 0, squares = 0;
    qsort(times, (size_t)count, sizeof *times, compare);
    for (int i = 0; i < count; i++) sum += times[i];
    r->mean = sum / count;
    for (int i = 0; i < count; i++) squares += (times[i] - r->mean) * (times[i] - r->mean);
    r->std = count > 1 ? sqrt(squares / (count - 1)) : 0;
    r->median = quantile(times, count, 0.5);
    r->p90 = quantile(times, count, 0.9);
    r->p95 = quantile(times, count, 0.95);
    r->p99 = quantile(times, count, 0.99);
    r->min = times[0];
    r->max = times[count - 1];
    r->images_per_second = 1e3 * r->batch / r->median;
}

static rn_status measure(struct result *r, struct bench *b)
{
    int runs = (int)opt_int(b->o, "runs"), warmup = (int)opt_int(b->o, "warmup");
    double *times = rn_alloc_array((size_t)runs, sizeof *times);
    rn_status status = times ? prepare(b) : RN_ENOMEM;
    for (int i = 0; !status && i < warmup; i++) status = call(b);
    for (int i = 0; !status && i < runs; i++) {
        double begin = rn_seconds();
        status = call(b);
        times[i] = 1e3 * (rn_seconds() - begin);
    }
    if (!status) {
        r->batch = b->batch;
        summarise(r, times, runs);
        r->rss = rn_peak_rss_mb();
        r->gflops = 2e-9 * (double)rn_net_macs(b->net) * (b->train ? 3 : 1) * r->images_per_second;
        snprintf(r->isa, sizeof r->isa, "%s", b->device.ops->isa(b->device.dev));
        r->peak_gflops = rn_peak_gflops(b->device.threads, r->isa);
    }
    rn_free(times);
    return status;
}

/* -- a process for each batch size ---------------------------------------------------------------- */

static void child(int fd, const struct opt_set *o, int batch)
{
    struct report report = { .status = RN_OK };
    struct bench b = { .o = o, .batch = batch, .train = !strcmp(opt_text(o, "mode"), "train"),
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

static rn_status measure_apart(struct result *r, const struct opt_set *o, int batch)
{
    int pipes[2], ended = 0;
    if (pipe(pipes)) return rn_fail(RN_EIO, "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) child(pipes[1], o, batch);
    close(pipes[1]);
    struct report report;
    bool whole = pid > 0 && read_all(pipes[0], &report, sizeof report) == (ssize_t)sizeof report;
    close(pipes[0]);
    if (pid < 0) return rn_fail(RN_EIO, "fork: %s", strerror(errno));
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {}
    if (!whole && WIFSIGNALED(ended))
        return rn_fail(RN_EIO, "batch %d: the measuring process was ended by signal %d%s", batch, WTERMSIG(ended),
                       WTERMSIG(ended) == 9 ? " (out of memory?)" : "");
    if (!whole) return rn_fail(RN_EIO, "batch %d: the measuring process ended early", batch);
    *r = report.result;
    return report.status ? rn_fail(report.status, "%s", report.message) : RN_OK;
}

/* -- results -------------------------------------------------------------------------------------- */

struct column { const char *key; double value; int digits; };
#define COLUMNS 14

static void columns(struct column c[COLUMNS], const struct result *r)
{
    const struct column all[COLUMNS] = {
        { "mean_ms", r->mean, 4 }, { "median_ms", r->median, 4 }, { "std_ms", r->std, 4 },
        { "p50_ms", r->median, 4 }, { "p90_ms", r->p90, 4 }, { "p95_ms", r->p95, 4 },
        { "p99_ms", r->p99, 4 }, { "min_ms", r->min, 4 }, { "max_ms", r->max, 4 },
        { "images_per_second", r->images_per_second, 3 }, { "gflops", r->gflops, 3 },
        { "peak_gflops_measured", r->peak_gflops, 1 }, { "peak_rss_mb", r->rss, 1 }, { NULL, 0, 0 },
    };
    memcpy(c, all, sizeof all);
}

/* The smallest batch with 95 % of the best images a second. */
static int knee(const struct result *r, int count)
{
    double best = 0;
    int batch = 0;
    for (int i = 0; i < count; i++) best = RN_MAX(best, r[i].images_per_second);
    for (int i = 0; i < count; i++)
        if (r[i].images_per_second >= 0.95 * best && (!batch || r[i].batch < batch)) batch = r[i].batch;
    return batch;
}

static void add_json(struct rn_text *t, const struct opt_set *o, const struct result *r, int count)
{
    struct column c[COLUMNS];
    rn_text_add(t, "{\"results\": [");
    for (int i = 0; i < count; i++) {
        rn_text_add(t, "%s\n  {\"mode\": \"%s\", \"arch\": \"%s\", \"image_size\": %d, \"batch\": %d, "
                    "\"threads\": %d, \"numerics\": \"%s\", \"isa\": \"%s\"", i ? "," : "", opt_text(o, "mode"),
                    opt_text(o, "arch"), (int)opt_int(o, "image-size"), r[i].batch, (int)opt_int(o, "threads"),
                    opt_text(o, "numerics"), r[i].isa);
        columns(c, &r[i]);
        for (int k = 0; c[k].key; k++) {
            rn_text_add(t, ", \"%s\": ", c[k].key);
            rn_text_fixed(t, c[k].value, c[k].digits);
        }
        rn_text_add(t, "}");
    }
    rn_text_add(t, "\n], \"knee_batch\": %d}\n", knee(r, count));
}

static void add_csv(struct rn_text *t, const struct opt_set *o, const struct result *r, int count)
{
    struct column c[COLUMNS];
    rn_text_add(t, "mode,arch,image_size,batch,threads,numerics,isa");
    columns(c, &r[0]);
    for (int k = 0; c[k].key; k++) rn_text_add(t, ",%s", c[k].key);
    for (int i = 0; i < count; i++) {
        rn_text_add(t, "\n%s,%s,%d,%d,%d,%s,%s", opt_text(o, "mode"), opt_text(o, "arch"),
                    (int)opt_int(o, "image-size"), r[i].batch, (int)opt_int(o, "threads"), opt_text(o, "numerics"),
                    r[i].isa);
        columns(c, &r[i]);
        for (int k = 0; c[k].key; k++) {
            rn_text_add(t, ",");
            rn_text_fixed(t, c[k].value, c[k].digits);
        }
    }
    rn_text_add(t, "\n");
}

static void add_title(struct rn_text *t, const struct opt_set *o)
{
    rn_text_add(t, "%s, %s, %s stem, %dx%d, %d classes, %s, %d threads, %s\n%6s %11s %9s %11s %11s %11s %9s %8s\n",
                opt_text(o, "mode"), opt_text(o, "arch"), opt_text(o, "stem"), (int)opt_int(o, "image-size"),
                (int)opt_int(o, "image-size"), (int)opt_int(o, "num-classes"), opt_text(o, "numerics"),
                (int)opt_int(o, "threads"), opt_switch(o, "data-free") ? "synthetic input" : opt_text(o, "data"),
                "batch", "median ms", "std ms", "p95 ms", "images/s", "GFLOP/s", "of peak", "peak MB");
}

static void add_row(struct rn_text *t, const struct result *r)
{
    char a[6][RN_NUMBER_CHARS];
    rn_text_add(t, "%6d %11s %9s %11s %11s %11s ", r->batch, rn_fixed_text(a[0], r->median, 3),
                rn_fixed_text(a[1], r->std, 3), rn_fixed_text(a[2], r->p95, 3),
                rn_fixed_text(a[3], r->images_per_second, 1), rn_fixed_text(a[4], r->gflops, 1));
    if (r->peak_gflops > 0) rn_text_add(t, "%7s %%", rn_fixed_text(a[5], 100 * r->gflops / r->peak_gflops, 1));
    else rn_text_add(t, "%9s", "-");
    rn_text_add(t, " %8s\n", rn_fixed_text(a[0], r->rss, 1));
}

/* Prints what was added since the last call; `hidden` text is dropped. */
static rn_status show(struct rn_text *t, bool hidden)
{
    rn_status status = rn_text_status(t);
    if (!status && !hidden && t->data) fputs(t->data, stdout);
    fflush(stdout);
    rn_text_free(t);
    *t = (struct rn_text){ 0 };
    return status;
}

static rn_status write_csv(const struct opt_set *o, const struct result *r, int count)
{
    struct rn_text t = { 0 };
    add_csv(&t, o, r, count);
    rn_status status = rn_text_status(&t);
    if (!status) status = rn_file_write(opt_text(o, "csv"), t.data, t.length);
    rn_text_free(&t);
    return status;
}

static rn_status run(const struct opt_set *o)
{
    struct result r[MAX_SIZES];
    struct rn_text text = { 0 };
    double size[MAX_SIZES];
    bool json = opt_switch(o, "json");
    int count = opt_reals(o, "batch-sizes", size, MAX_SIZES);
    rn_status status = RN_OK;
    for (int i = 0; !status && i < count; i++) {
        if ((status = measure_apart(&r[i], o, (int)size[i]))) return status;
        if (i == 0) add_title(&text, o);
        add_row(&text, &r[i]);
        status = show(&text, json);
    }
    if (!status && json) add_json(&text, o, r, count);
    else rn_text_add(&text, "knee: batch %d is the smallest with 95 %% of the best images/s\n", knee(r, count));
    if (!status) status = show(&text, false);
    if (!status && opt_given(o, "csv")) status = write_csv(o, r, count);
    return status;
}

int main(int argc, char **argv)
{
    struct opt_set o;
    opt_begin(&o, "bench", "times inference or training over batch sizes");
    opt_add(&o, opt_net, opt_net_count);
    opt_add(&o, rows, RN_COUNT(rows));
    opt_add(&o, opt_common, opt_common_count);
    rn_status status = opt_parse(&o, argc, argv);
    if (!status && opt_switch(&o, "help")) opt_print_help(&o);
    else if (!status && opt_switch(&o, "version")) opt_print_version(&o);
    else if (!status) status = run(&o);
    opt_end(&o);
    return tool_exit("bench", status);
}
