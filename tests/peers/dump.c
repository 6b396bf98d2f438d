/*
 * dump.c - writes what PyTorch needs to repeat a short run: the weights it starts from, its batches, and
 * what became of it.  `dump DIR [--opt sgd|adamw] [--steps N] ...` writes into DIR, as safetensors:
 *
 *   initial  the state dict before the first step       batches  images [steps][n][3][H][W], labels
 *   first    gradients and state dict after step 1      last     state dict after the last step
 *   losses   one double a step                          val      images and labels to evaluate with
 *
 * With --epochs it writes `batches` and `val`, and checkpoints instead of the rest: start.pth after --warm
 * epochs of so many steps, and last.pth after --epochs more, AdamW under a plateau with a rate for the head.
 */
#define _POSIX_C_SOURCE 200809L

#include "base/file.h"
#include "base/mem.h"
#include "io/io.h"
#include "tools/cli/options.h"
#include "train/train.h"

#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "opt", OPT_CHOICE, "sgd", 0, 0, "sgd|adamw", NULL, "optimiser", "Run" },
    { "steps", OPT_INT, "20", 1, 1000, NULL, "N", "steps", "Run" },
    { "batch-size", OPT_INT, "16", 1, 1024, NULL, "N", "images a step", "Run" },
    { "lr", OPT_REAL, "0.05", 0, 10, NULL, "X", "rate of every step", "Run" },
    { "eps", OPT_REAL, "1e-8", 0, 1, NULL, "X", "AdamW's", "Run" },
    { "weight-decay", OPT_REAL, "0.0005", 0, 1, NULL, "X", "weight decay", "Run" },
    { "label-smoothing", OPT_REAL, "0.1", 0, 1, NULL, "X", "label smoothing", "Run" },
    { "epochs", OPT_INT, "0", 0, 100, NULL, "N", "epochs of --steps between two checkpoints", "Run" },
    { "warm", OPT_INT, "2", 0, 100, NULL, "N", "epochs before the first of them", "Run" },
    { "head-lr", OPT_REAL, "0.05", 0, 10, NULL, "X", "rate of fc.*", "Run" },
    { "val", OPT_INT, "64", 1, 1024, NULL, "N", "images to evaluate with", "Run" },
};

static const char *folder;

static rn_status write_tensors(struct rn_tensors *t, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, name);
    rn_status status = rn_safetensors_write(path, t);
    rn_tensors_free(t);
    *t = (struct rn_tensors){ 0 };
    return status;
}

/* Adds a copy of `count` elements. */
static rn_status add(struct rn_tensors *t, const char *name, enum rn_dtype dtype, int dims, const int64_t *shape,
                     const void *data, size_t count)
{
    struct rn_tensor tensor = { .dtype = dtype, .dims = dims, .count = (int64_t)count, .owned = true };
    for (int i = 0; i < dims; i++) tensor.shape[i] = shape[i];
    tensor.data = rn_alloc_array(count, rn_dtype_bytes(dtype));
    if (!tensor.data) return RN_ENOMEM;
    memcpy(tensor.data, data, count * rn_dtype_bytes(dtype));
    return rn_tensors_add(t, name, &tensor);
}

static rn_status add_state(struct rn_tensors *t, struct rn_net *net)
{
    const struct rn_param *p;
    size_t count = rn_net_params(net, &p);
    rn_status status = RN_OK;
    for (size_t i = 0; !status && i < count; i++) {
        if (p[i].kind == RN_PARAM_BATCHES) {
            status = add(t, p[i].name, RN_I64, 0, NULL, &rn_net_batches(net)[p[i].offset], 1);
            continue;
        }
        float *host = rn_alloc_array(p[i].count, sizeof *host);
        if (!host) return RN_ENOMEM;
        rn_net_get(net, i, host);
        status = add(t, p[i].name, RN_F32, p[i].dims, p[i].shape, host, p[i].count);
        rn_free(host);
    }
    return status;
}

/* Gradients of the last step, named "grad." and the parameter. */
static rn_status add_gradients(struct rn_tensors *t, struct rn_net *net)
{
    const struct rn_param *p;
    size_t count = rn_net_params(net, &p), floats = rn_net_trainable_count(net);
    float *host = rn_alloc_array(floats, sizeof *host);
    if (!host) return RN_ENOMEM;
    rn_net_ops(net)->read(rn_net_dev(net), host, rn_net_gradients(net), floats * sizeof *host);
    rn_status status = RN_OK;
    for (size_t i = 0; !status && i < count; i++) {
        char name[80];
        if (!p[i].trainable) continue;
        snprintf(name, sizeof name, "grad.%s", p[i].name);
        status = add(t, name, RN_F32, p[i].dims, p[i].shape, host + p[i].offset, p[i].count);
    }
    rn_free(host);
    return status;
}

/* The first `batches` batches of a split in file order, not augmented: images and labels. */
static rn_status write_batches(const char *name, const struct rn_train_config *c, const struct rn_split *split,
                               int batch, int batches)
{
    struct rn_loader_config config = { .set = c->data, .split = split, .batch = batch, .seed = c->seed };
    struct rn_loader *loader = NULL;
    struct rn_tensors t = { 0 };
    struct rn_batch b;
    memcpy(config.mean, c->mean, sizeof config.mean);
    memcpy(config.std, c->std, sizeof config.std);
    const int64_t shape[] = { batches, batch, 3, c->data->height, c->data->width };
    size_t image = (size_t)(shape[2] * shape[3] * shape[4]), n = (size_t)batch;
    float *images = rn_alloc_array((size_t)batches * n * image, sizeof *images);
    int64_t *labels = rn_alloc_array((size_t)batches * n, sizeof *labels);
    rn_status status = images && labels ? rn_loader_create(&loader, &config) : RN_ENOMEM;
    if (!status) status = rn_loader_begin(loader, 0, 0);
    for (size_t i = 0; !status && i < (size_t)batches; i++) {
        status = rn_loader_next(loader, &b);
        if (!status && b.n != batch) status = rn_fail(RN_EUSAGE, "%s: too few images", c->data->name);
        for (size_t k = 0; !status && k < n; k++) labels[i * n + k] = b.labels[k];
        if (!status)
            rn_ops_ref.images_forward(NULL, images + i * n * image, b.images.pixels, b.images.move, &b.images.shape);
    }
    if (!status) status = add(&t, "images", RN_F32, 5, shape, images, (size_t)batches * n * image);
    if (!status) status = add(&t, "labels", RN_I64, 2, shape, labels, (size_t)batches * n);
    if (!status) status = write_tensors(&t, name);
    rn_tensors_free(&t);
    rn_loader_free(loader);
    rn_free(images);
    rn_free(labels);
    return status;
}

static rn_status run_steps(struct rn_trainer *trainer, int steps)
{
    struct rn_net *net = rn_trainer_net(trainer);
    struct rn_tensors t = { 0 };
    struct rn_step step;
    const int64_t shape[] = { steps };
    double *loss = rn_alloc_array((size_t)steps, sizeof *loss);
    rn_status status = loss ? add_state(&t, net) : RN_ENOMEM;
    if (!status) status = write_tensors(&t, "initial");
    for (int i = 0; !status && i < steps; i++) {
        status = rn_trainer_step(trainer, &step);
        loss[i] = step.loss;
        if (i > 0 || status) continue;
        status = add_gradients(&t, net);
        if (!status) status = add_state(&t, net);
        if (!status) status = write_tensors(&t, "first");
    }
    if (!status) status = add_state(&t, net);
    if (!status) status = write_tensors(&t, "last");
    if (!status) status = add(&t, "loss", RN_F64, 1, shape, loss, (size_t)steps);
    if (!status) status = write_tensors(&t, "losses");
    rn_tensors_free(&t);
    rn_free(loss);
    return status;
}

static rn_status run_epoch(struct rn_trainer *t)
{
    struct rn_step step;
    struct rn_epoch epoch;
    rn_status status = RN_OK;
    while (!status && !rn_trainer_epoch_pending(t)) status = rn_trainer_step(t, &step);
    return status ? status : rn_trainer_end_epoch(t, &epoch, NULL, NULL);
}

static rn_status save(struct rn_trainer *t, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.pth", folder, name);
    return rn_trainer_save(t, path);
}

static rn_status run_epochs(struct rn_trainer *t, const struct opt_set *o)
{
    rn_status status = RN_OK;
    for (int64_t i = 0; !status && i < opt_int(o, "warm"); i++) status = run_epoch(t);
    if (!status) status = save(t, "start");
    for (int64_t i = 0; !status && i < opt_int(o, "epochs"); i++) status = run_epoch(t);
    return status ? status : save(t, "last");
}

/* Epochs of --steps batches; whatever the losses are, the rates are cut at the ends of the second, the fourth ... */
static void configure_epochs(struct rn_train_config *c, const struct opt_set *o)
{
    c->limit_train = opt_int(o, "steps") * c->batch;
    c->limit_val = opt_int(o, "val");
    c->epochs = opt_int(o, "warm") + opt_int(o, "epochs");
    c->head_lr = opt_real(o, "head-lr");
    c->schedule = (struct rn_schedule){ .kind = RN_PLATEAU, .factor = 0.025, .threshold = 1e30, .absolute = true,
                                        .cooldown = 1, .least_cut = 1e-8 };
}

static rn_status configure(struct rn_train_config *c, const struct opt_set *o, struct rn_dataset *set)
{
    enum rn_stem stem;
    *c = (struct rn_train_config){
        .data = set, .image_size = set->height, .batch = (int)opt_int(o, "batch-size"), .parts = 1,
        .val_batch = 16, .epochs = 1, .max_steps = -1, .lr = opt_real(o, "lr"), .head_lr = opt_real(o, "lr"),
        .optimizer = strcmp(opt_text(o, "opt"), "sgd") ? RN_ADAMW : RN_SGD, .momentum = 0.9, .beta2 = 0.999,
        .eps = opt_real(o, "eps"), .weight_decay = opt_real(o, "weight-decay"),
        .smoothing = opt_real(o, "label-smoothing"),
        .schedule = { .kind = RN_CONSTANT }, .seed = 42, .numerics = "fp32", .build = RN_VERSION,
    };
    memcpy(c->mean, set->mean, sizeof c->mean);
    memcpy(c->std, set->std, sizeof c->std);
    rn_status status = rn_stem_parse(&stem, opt_text(o, "stem") ? opt_text(o, "stem") : "cifar-pool");
    return status ? status : rn_arch_named(&c->arch, opt_text(o, "arch"), stem, set->classes);
}

static rn_status dump(const struct opt_set *o)
{
    struct tool_device device;
    struct rn_dataset *set = NULL;
    struct rn_trainer *trainer = NULL;
    struct rn_train_config config;
    int steps = (int)opt_int(o, "steps");
    if (o->positionals != 1) return rn_fail(RN_EUSAGE, "a folder to write into must be given");
    folder = o->positional[0];
    rn_status status = tool_device_open(&device, o);
    if (!status) status = rn_folder_make(folder);
    if (!status) status = rn_dataset_open(&set, "demo", NULL);
    if (!status) status = configure(&config, o, set);
    if (!status) status = write_batches("batches", &config, &set->train, config.batch, steps);
    if (!status) status = write_batches("val", &config, &set->val, (int)opt_int(o, "val"), 1);
    if (!status && opt_int(o, "epochs")) configure_epochs(&config, o);
    if (!status) status = rn_trainer_create(&trainer, &config, device.ops, device.dev);
    if (!status) status = config.limit_train ? run_epochs(trainer, o) : run_steps(trainer, steps);
    rn_trainer_free(trainer);
    rn_dataset_close(set);
    tool_device_close(&device);
    return status;
}

int main(int argc, char **argv)
{
    struct opt_set o;
    opt_begin(&o, "dump", "writes a short run for PyTorch to repeat");
    opt_add(&o, rows, RN_COUNT(rows));
    opt_add(&o, opt_net, opt_net_count);
    opt_add(&o, opt_common, opt_common_count);
    o.max_positionals = 1;
    rn_status status = opt_parse(&o, argc, argv);
    if (!status && opt_switch(&o, "help")) opt_print_help(&o);
    else if (!status) status = dump(&o);
    opt_end(&o);
    return tool_exit("dump", status);
}
