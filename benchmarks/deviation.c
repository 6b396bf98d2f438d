/*
 * deviation.c - how far a net of each numerics is from the same net under fp32.
 *
 * For every seed a net is initialised and trained some steps under fp32; its weights then serve nets of the
 * other numerics as well, and all compute one training pass of the same batch.  Told are the differences from
 * fp32: of the step's loss; of the logits and of all parameter gradients, in root mean square over all seeds,
 * divided by that of fp32's own.  The last column is the noise to hold them against: how far fp32's gradients
 * of another batch are from these.
 */
#define _POSIX_C_SOURCE 200809L

#include "base/mem.h"
#include "data/data.h"
#include "net/net.h"
#include "tools/cli/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "batch-size", OPT_INT, "64", 1, 4096, NULL, "N", "images a step", "Measurement" },
    { "seeds", OPT_INT, "5", 1, 1000, NULL, "N", "nets", "Measurement" },
    { "steps", OPT_INT, "0", 0, 100000, NULL, "N", "of training under fp32 before", "Measurement" },
    { "data", OPT_TEXT, "demo", 0, 0, NULL, "SPEC", "where images come from", "Measurement" },
};

static const char *const numerics[] = { "fp32", "fp32-winograd", "bf16" };
enum { NUMERICS = RN_COUNT(numerics), OTHER_BATCH = NUMERICS, PASSES };

/* What one pass gave; sizes as in struct bench. */
struct outcome { double *loss; float *logits, *gradients; };

/* Sums over all seeds. */
struct difference { double loss, largest, logits, gradients; };

struct bench {
    struct rn_dataset *set;
    struct tool_device d[NUMERICS];
    struct rn_net *net[NUMERICS];
    int batch, classes;
    size_t pixels, parameters;         /* of an image; of the net */
    float *images, *parameter;         /* a batch; room for the largest parameter */
    int32_t *labels;
    float *velocity;
    struct outcome outcome[PASSES];
    struct difference difference[PASSES];
    double loss, logits, gradients;    /* of fp32: sum of losses, of squares */
};

/* -- a net ---------------------------------------------------------------------------------------- */

/* Images number * batch ... of the training data, over and over. */
static void load_batch(struct bench *b, int64_t number)
{
    const struct rn_dataset *s = b->set;
    const struct rn_image_move none = { 0 };
    struct rn_image_shape shape = { 1, s->channels, s->height, s->width, 0, { 0 }, { 0 } };
    for (int c = 0; c < shape.C; c++) {
        shape.mean[c] = (float)s->mean[c];
        shape.std[c] = (float)s->std[c];
    }
    for (int i = 0; i < b->batch; i++) {
        int64_t k = (number * b->batch + i) % s->train.count;
        const uint8_t *picture = s->train.pixels + (size_t)k * b->pixels;
        rn_ops_ref.images_forward(NULL, b->images + (size_t)i * b->pixels, picture, &none, &shape);
        b->labels[i] = s->train.labels[k];
    }
}

static void pass(struct bench *b, struct outcome *out, int m)
{
    struct rn_net *net = b->net[m];
    rn_net_forward(net, b->images, b->batch, true);
    rn_net_loss(net, out->loss, b->labels, b->batch, 0);
    rn_net_logits(net, out->logits);
    rn_net_backward(net);
    b->d[m].ops->read(b->d[m].dev, out->gradients, rn_net_gradients(net), b->parameters * sizeof(float));
}

static void train(struct bench *b, int steps, int64_t first)
{
    const struct rn_sgd hp = { .lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4 };
    memset(b->velocity, 0, b->parameters * sizeof(float));
    for (int i = 0; i < steps; i++) {
        load_batch(b, first + i);
        pass(b, &b->outcome[0], 0);
        b->d[0].ops->sgd_update(b->d[0].dev, rn_net_weights(b->net[0]), b->velocity,
                                rn_net_gradients(b->net[0]), b->parameters, &hp);
        rn_net_touch(b->net[0]);
    }
}

static void copy_weights(struct bench *b, int m)
{
    const struct rn_param *table;
    size_t count = rn_net_params(b->net[0], &table);
    for (size_t i = 0; i < count; i++) {
        if (table[i].kind == RN_PARAM_BATCHES) continue;
        rn_net_get(b->net[0], i, b->parameter);
        rn_net_set(b->net[m], i, b->parameter);
    }
}

/* -- differences ---------------------------------------------------------------------------------- */

static double mean(const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += v[i];
    return sum / n;
}

/* The sum of squares of a - b, or of a alone. */
static double squares(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (b ? b[i] : 0);
        sum += d * d;
    }
    return sum;
}

static void compare(struct bench *b, int i)
{
    const struct outcome *own = &b->outcome[i], *fp32 = &b->outcome[0];
    struct difference *d = &b->difference[i];
    double loss = fabs(mean(own->loss, b->batch) - mean(fp32->loss, b->batch));
    d->loss += loss;
    d->largest = RN_MAX(d->largest, loss);
    d->logits += squares(own->logits, fp32->logits, (size_t)b->batch * (size_t)b->classes);
    d->gradients += squares(own->gradients, fp32->gradients, b->parameters);
}

static void measure(struct bench *b, int seed, int steps)
{
    int64_t first = (int64_t)seed * (steps + 2);
    rn_net_init(b->net[0], (uint64_t)seed);
    train(b, steps, first);
    for (int m = 1; m < NUMERICS; m++) copy_weights(b, m);
    load_batch(b, first + steps + 1);
    pass(b, &b->outcome[OTHER_BATCH], 0);
    load_batch(b, first + steps);
    for (int m = 0; m < NUMERICS; m++) pass(b, &b->outcome[m], m);
    for (int i = 1; i < PASSES; i++) compare(b, i);
    b->loss += mean(b->outcome[0].loss, b->batch);
    b->logits += squares(b->outcome[0].logits, NULL, (size_t)b->batch * (size_t)b->classes);
    b->gradients += squares(b->outcome[0].gradients, NULL, b->parameters);
}

static void print(const struct bench *b, int seeds, int steps)
{
    printf("Batch %d, %d seeds, %d steps, mean loss of fp32 %.3f.\n\n"
           "| numerics | loss: mean | largest | logits: rms | gradients: rms | of another batch |\n"
           "|---|---|---|---|---|---|\n", b->batch, seeds, steps, b->loss / seeds);
    for (int m = 1; m < NUMERICS; m++) {
        const struct difference *d = &b->difference[m];
        printf("| %s | %.1e | %.1e | %.1e | %.1e | %.1e |\n", numerics[m], d->loss / seeds, d->largest,
               sqrt(d->logits / b->logits), sqrt(d->gradients / b->gradients),
               sqrt(b->difference[OTHER_BATCH].gradients / b->gradients));
    }
}

/* -- all ------------------------------------------------------------------------------------------ */

static rn_status open_net(struct bench *b, int m, const struct opt_set *o)
{
    const struct rn_device_options options = { (int)opt_int(o, "threads"), opt_text(o, "isa"), numerics[m] };
    struct rn_net_config c = { .batch = b->batch, .eval_batch = 1 };
    rn_status status = tool_net(&c, o);
    if (!status) status = rn_backend_find(&b->d[m].ops, opt_text(o, "backend"), numerics[m]);
    if (!status) status = b->d[m].ops->open(&b->d[m].dev, &options);
    return status ? status : rn_net_create(&b->net[m], &c, b->d[m].ops, b->d[m].dev);
}

static rn_status allocate(struct bench *b)
{
    const struct rn_dataset *s = b->set;
    b->pixels = (size_t)s->channels * (size_t)s->height * (size_t)s->width;
    b->parameters = rn_net_trainable_count(b->net[0]);
    bool memory = true;
    memory &= (b->images = rn_alloc_array((size_t)b->batch, b->pixels * sizeof(float))) != NULL;
    memory &= (b->labels = rn_alloc_array((size_t)b->batch, sizeof(int32_t))) != NULL;
    memory &= (b->parameter = rn_alloc_array(b->parameters, sizeof(float))) != NULL;
    memory &= (b->velocity = rn_alloc_array(b->parameters, sizeof(float))) != NULL;
    for (int i = 0; i < PASSES; i++) {
        struct outcome *r = &b->outcome[i];
        memory &= (r->loss = rn_alloc_array((size_t)b->batch, sizeof(double))) != NULL;
        memory &= (r->logits = rn_alloc_array((size_t)b->batch, (size_t)b->classes * sizeof(float))) != NULL;
        memory &= (r->gradients = rn_alloc_array(b->parameters, sizeof(float))) != NULL;
    }
    return memory ? RN_OK : RN_ENOMEM;
}

static void finish(struct bench *b)
{
    for (int i = 0; i < PASSES; i++) {
        rn_free(b->outcome[i].loss);
        rn_free(b->outcome[i].logits);
        rn_free(b->outcome[i].gradients);
    }
    rn_free(b->images);
    rn_free(b->labels);
    rn_free(b->parameter);
    rn_free(b->velocity);
    for (int m = 0; m < NUMERICS; m++) {
        rn_net_free(b->net[m]);
        if (b->d[m].dev) b->d[m].ops->close(b->d[m].dev);
    }
    rn_dataset_close(b->set);
}

static rn_status run(struct opt_set *o)
{
    struct bench b = { .batch = (int)opt_int(o, "batch-size"), .classes = (int)opt_int(o, "num-classes") };
    int size = (int)opt_int(o, "image-size"), seeds = (int)opt_int(o, "seeds");
    int steps = (int)opt_int(o, "steps");
    rn_status status = rn_dataset_open(&b.set, opt_text(o, "data"),
                                       &(struct rn_dataset_options){ .image_size = size });
    if (!status && (b.set->channels != 3 || b.set->height != size || b.set->classes > b.classes))
        status = rn_fail(RN_EUSAGE, "--data %s: %d channels, %d x %d, %d classes; the net has 3, %d x %d, %d",
                         b.set->name, b.set->channels, b.set->height, b.set->width, b.set->classes, size,
                         size, b.classes);
    for (int m = 0; m < NUMERICS && !status; m++) status = open_net(&b, m, o);
    if (!status) status = allocate(&b);
    for (int seed = 0; seed < seeds && !status; seed++) measure(&b, seed, steps);
    if (!status) print(&b, seeds, steps);
    finish(&b);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool deviation = {
        .name = "deviation", .summary = "measures how far nets of each numerics are from fp32", .run = run,
        .table = { { opt_net, opt_net_count }, { opt_net_cifar, opt_net_cifar_count },
                   { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&deviation, argc, argv);
}
