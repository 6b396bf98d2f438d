/*
 * batches.c - writes the batches of a run to stdout, exactly those that ./train would train or validate
 * with, for train_twin.py to train on: `batches --config RUN/args.conf [--first 0] [--last 3] [--split val]`.
 *
 * The stream is of 4-byte numbers in this machine's byte order.  A batch is int32 {n, channels, height,
 * width}, int32 labels[n], float images[n][channels][height][width]; an epoch ends with n = 0.
 */
#include "tools/train/settings.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "split", OPT_CHOICE, "train", 0, 0, "train|val", NULL, "whose batches; val: once, in file order", "Batches" },
    { "first", OPT_INT, "0", 0, 1e6, NULL, "N", "the first epoch, from 0", "Batches" },
    { "last", OPT_INT, NULL, 0, 1e6, NULL, "N", "the last epoch; default: the run's", "Batches" },
    { "count", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "print the steps of an epoch, write no batches", "Batches" },
};

static rn_status put(const void *data, size_t bytes)
{
    if (fwrite(data, 1, bytes, stdout) == bytes) return RN_OK;
    return rn_fail(RN_EIO, "stdout: %s", strerror(errno));
}

static rn_status put_batch(const struct rn_batch *b)
{
    const struct rn_image_shape *s = &b->images.shape;
    const int32_t head[4] = { b->n, s->C, s->H, s->W };
    const size_t n = (size_t)b->n, image = (size_t)s->C * (size_t)s->H * (size_t)s->W;
    float *images = rn_alloc_array(RN_MAX(n, 1), image * sizeof *images);
    rn_status status = images ? put(head, sizeof head) : RN_ENOMEM;
    if (!status) status = put(b->labels, n * sizeof *b->labels);
    if (!status) {
        rn_ops_ref.images_forward(NULL, images, b->images.pixels, b->images.move, s);
        status = put(images, n * image * sizeof *images);
    }
    rn_free(images);
    return status;
}

static rn_status put_epoch(struct rn_loader *loader, uint32_t epoch)
{
    struct rn_batch b = { .n = 1 };
    rn_status status = rn_loader_begin(loader, epoch, 0);
    while (!status && b.n) {
        status = rn_loader_next(loader, &b);
        if (!status) status = put_batch(&b);
    }
    return status;
}

static rn_status put_epochs(const struct opt_set *o, const struct rn_train_config *c)
{
    const bool val = !strcmp(opt_text(o, "split"), "val");
    const int64_t first = val ? 0 : opt_int(o, "first");
    int64_t last = opt_text(o, "last") ? opt_int(o, "last") : c->epochs - 1;
    struct rn_loader_config config = val ? rn_val_loader(c) : rn_train_loader(c);
    struct rn_loader *loader;
    if (val) last = 0;
    rn_status status = rn_loader_create(&loader, &config);
    for (int64_t e = first; !status && e <= last; e++) status = put_epoch(loader, (uint32_t)e);
    if (!status && fflush(stdout)) status = rn_fail(RN_EIO, "stdout: %s", strerror(errno));
    rn_loader_free(loader);
    return status;
}

static rn_status print_count(const struct rn_train_config *c)
{
    const struct rn_loader_config config = rn_train_loader(c);
    struct rn_loader_size size;
    rn_status status = rn_loader_measure(&size, &config);
    if (!status) printf("%lld\n", (long long)((size.steps + c->parts - 1) / c->parts));
    return status;
}

/* The settings as ./train completes them. */
static rn_status batches(struct opt_set *o)
{
    struct rn_dataset *set = NULL;
    struct rn_checkpoint *file = NULL;
    struct rn_train_config c;
    rn_status status = RN_OK;
    if (opt_text(o, "weights")) status = rn_checkpoint_open(&file, opt_text(o, "weights"));
    if (!status && file && !opt_given(o, "arch")) status = tool_train_adopt_shapes(o, file);
    struct rn_dataset_options options;
    if (!status) status = tool_train_data(&options, o);
    if (!status) status = rn_dataset_open(&set, opt_text(o, "data"), &options);
    if (!status) status = tool_train_settle(o, set);
    if (!status) status = tool_train_config(&c, o, set, file);
    if (!status) status = rn_train_config_check(&c);
    if (!status) status = opt_switch(o, "count") ? print_count(&c) : put_epochs(o, &c);
    rn_dataset_close(set);
    rn_checkpoint_free(file);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool tool = {
        .name = "batches",
        .summary = "writes the batches of a run to stdout",
        .table = { { rows, RN_COUNT(rows) }, { tool_train_rows, tool_train_rows_count },
                   { opt_net, opt_net_count }, { opt_common, opt_common_count } },
        .run = batches,
    };
    return tool_main(&tool, argc, argv);
}
