/*
 * evaluator.c - makes a checkpoint ready to be judged.  What the file says about itself (stem, size,
 * normalisation, class names, data) is believed unless the wishes say otherwise; widths come from the shapes.
 */
#include "tools/evaluate/evaluator.h"

#include "base/mem.h"
#include "tools/cli/data.h"
#include "tools/train/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- the architecture -------------------------------------------------------------------------- */

static rn_status misfit(const struct tool_evaluator *v, rn_status st)
{
    const char *foreign = rn_checkpoint_foreign(v->file);
    if (st == RN_EINPUT && foreign)
        return rn_fail(st, "%s: the tensor \"%s\" is none of torchvision's residual networks (%s)",
                       v->file->path, foreign, rn_error());
    return st ? rn_fail_in(st, v->file->path) : st;
}

/* The stem that a wish, the file or a name says; *said: one of them did. */
static rn_status wanted_stem(enum rn_stem *stem, bool *said, const struct tool_evaluator *v)
{
    const char *name = v->want.stem;
    if (!name) name = rn_checkpoint_text(v->file, "stem");
    *said = name;
    *stem = RN_STEM_CIFAR;
    return name ? rn_stem_parse(stem, name) : RN_OK;
}

/* Another stem than the weights have: rn_load_weights then says which tensor does not fit, and how. */
static void give_stem(struct rn_arch *a, enum rn_stem stem)
{
    int width = a->stem_width[a->stem == RN_STEM_DEEP ? 2 : 0];
    for (int i = 0; i < 3; i++)
        a->stem_width[i] = stem == RN_STEM_DEEP && i < 2 ? RN_MAX(width / 2, 1) : width;
    a->stem = stem;
}

static rn_status choose_arch(struct tool_evaluator *v)
{
    struct rn_arch *a = &v->arch;
    enum rn_stem stem;
    bool said;
    rn_status st = wanted_stem(&stem, &said, v);
    if (st) return st;
    if ((st = rn_arch_from_shapes(a, stem, rn_checkpoint_shape, v->file))) return misfit(v, st);
    if (said && a->stem != stem) give_stem(a, stem);
    if (v->want.classes) a->classes = v->want.classes;
    if (!said && a->stem == RN_STEM_CIFAR && !opt_switch(v->o, "quiet"))
        fprintf(stderr, "%s: %s does not say its stem; taking cifar (--stem cifar-pool or 3x3s2 are the others of "
                "this shape)\n", v->o->program, v->file->path);
    return v->want.arch ? rn_arch_named(a, v->want.arch, a->stem, a->classes) : RN_OK;
}

/* The numerics of the training are the evaluation's, where this backend has them and no flag says otherwise:
 * so it gives the bits of the training's validation. */
static rn_status adopt_numerics(struct tool_evaluator *v)
{
    const char *there = rn_checkpoint_text(v->file, "numerics");
    const struct rn_ops *ops;
    if (!there || opt_given(v->o, "numerics")) return RN_OK;
    if (!rn_backend_find(&ops, opt_text(v->o, "backend"), there)) return opt_set_text(v->o, "numerics", there);
    rn_error_clear();
    return RN_OK;
}

rn_status tool_evaluator_open(struct tool_evaluator *v, struct opt_set *o, const struct tool_evaluate *want)
{
    *v = (struct tool_evaluator){ .o = o, .want = *want };
    if (!v->want.split) v->want.split = "val";
    if (!v->want.batch) v->want.batch = 64;
    rn_status st = rn_checkpoint_open(&v->file, want->checkpoint);
    if (!st) st = choose_arch(v);
    if (!st) st = adopt_numerics(v);
    if (!st) st = tool_device_open(&v->device, o);
    if (!st) tool_mention_numerics(o, v->file);
    return st;
}

/* -- the images -------------------------------------------------------------------------------- */

/* Side of the images of the training: the checkpoint's, else by its stem. */
static int trained_side(const struct tool_evaluator *v)
{
    int64_t stored = rn_checkpoint_int(v->file, "image_size", 0);
    if (stored >= 32 && stored <= 4096) return (int)stored;
    return v->arch.stem == RN_STEM_CIFAR || v->arch.stem == RN_STEM_CIFAR_POOL ? 32 : 224;
}

int tool_evaluator_side(const struct tool_evaluator *v)
{
    return v->want.image_size ? v->want.image_size : trained_side(v);
}

/* Three numbers: the wish's, else the checkpoint's, else the data set's. */
static void normalisation(double out[3], const struct tool_evaluator *v, const char *name, const double *wish,
                          const double *fallback)
{
    const struct rn_value *own = rn_dict_get(v->file->own, name);
    memcpy(out, wish ? wish : fallback, 3 * sizeof *out);
    for (int i = 0; !wish && own && own->kind == RN_LIST && own->count == 3 && i < 3; i++)
        if (own->item[i]->kind == RN_REAL) out[i] = own->item[i]->real;
}

/* The checkpoint's class names if it has one for each class, else the data's, else none. */
static rn_status name_classes(struct tool_evaluator *v)
{
    const struct rn_value *own = rn_dict_get(v->file->own, "class_names");
    const int classes = v->arch.classes;
    v->shown = rn_alloc_array((size_t)classes, sizeof *v->shown);
    v->name = rn_alloc_array((size_t)classes, sizeof *v->name);
    if (!v->shown || !v->name) return RN_ENOMEM;
    for (int i = 0; i < classes; i++) {
        const char *name = v->data->class_names && i < v->data->classes ? v->data->class_names[i] : "(no name)";
        if (own && own->kind == RN_LIST && own->count == (size_t)classes && own->item[i]->kind == RN_STRING)
            name = own->item[i]->text;
        v->name[i] = rn_printable(v->shown[i], TOOL_CLASS_NAME, name, strlen(name));
    }
    return RN_OK;
}

/* A name of one of two classes, or else its number. */
static rn_status choose_positive(struct tool_evaluator *v)
{
    const char *text = v->want.positive_class;
    int64_t number = 1;
    if (v->arch.classes != 2) {
        const char *flag = text ? "positive-class" : v->want.sensitivity.given ? "target-sensitivity"
                         : v->want.threshold.given ? "threshold" : NULL;
        return flag ? rn_fail(RN_EUSAGE, "--%s is for two classes, and %s has %d", flag, v->file->path,
                              v->arch.classes)
                    : RN_OK;
    }
    for (int i = 0; i < 2 && text; i++) {
        if (strcmp(text, v->name[i])) continue;
        number = i;
        text = NULL;
    }
    if (text && (!rn_parse_int(&number, text) || number < 0 || number > 1))
        return rn_fail(RN_EUSAGE, "--positive-class %s: the classes are 0, \"%s\", and 1, \"%s\"", text, v->name[0],
                       v->name[1]);
    v->positive_class = (int)number;
    return RN_OK;
}

rn_status tool_evaluator_use(struct tool_evaluator *v, struct rn_dataset *data)
{
    v->data = data;
    normalisation(v->mean, v, "mean", v->want.mean.given ? v->want.mean.value : NULL, data->mean);
    normalisation(v->std, v, "std", v->want.std.given ? v->want.std.value : NULL, data->std);
    rn_status st = name_classes(v);
    return st ? st : choose_positive(v);
}

static bool is_folder(const char *spec) { return !strncmp(spec, "folder:", 7); }

/* Data of a size of their own, "demo:64", outrank the checkpoint's; others are made its size if they can. */
static int wanted_size(const struct tool_evaluator *v, const char *spec)
{
    if (v->want.image_size || is_folder(spec)) return tool_evaluator_side(v);
    if (v->want.data && !strncmp(spec, "demo:", 5)) return 0;
    int64_t size = rn_checkpoint_int(v->file, "image_size", 0);
    return size > 0 && size <= 4096 ? (int)size : 0;
}

#define MOST_RESIZE 8192

/* A setting of the training, or `otherwise`. */
static double trained_with(const struct tool_evaluator *v, const char *name, double otherwise)
{
    const struct rn_value *x = rn_dict_get(v->file->arguments, name);
    if (!x) return otherwise;
    return x->kind == RN_REAL ? x->real : x->kind == RN_INT ? (double)x->integer : otherwise;
}

int tool_evaluator_resize(const struct tool_evaluator *v)
{
    const double trained = trained_with(v, "val-resize-size", 0);
    const int64_t side = tool_evaluator_side(v), old = trained_side(v);
    if (v->want.resize) return v->want.resize;
    if (!(trained > 0 && trained <= MOST_RESIZE)) return 0;
    return (int)RN_MIN(((int64_t)trained * side + old - 1) / old, MOST_RESIZE);
}

/* The division of a folder into training and validation images is that of the training. */
static struct rn_dataset_options data_options(const struct tool_evaluator *v, const char *spec)
{
    double share = v->want.val_split > 0 ? v->want.val_split : trained_with(v, "val-split", 0);
    double seed = trained_with(v, "seed", 0);
    return (struct rn_dataset_options){
        .image_size = wanted_size(v, spec), .val_split = share > 0 && share < 1 ? share : 0,
        .seed = seed >= 0 && seed <= 9007199254740992.0 ? (uint64_t)seed : 0, .strict = v->want.strict,
        .resize = tool_evaluator_resize(v), .cache_bytes = v->want.cache_bytes,
        .no_train = strcmp(v->want.split, "train") != 0, .no_test = strcmp(v->want.split, "test") != 0,
    };
}

rn_status tool_evaluator_data(struct tool_evaluator *v)
{
    const char *own = rn_checkpoint_text(v->file, "data"), *spec = v->want.data ? v->want.data : own ? own : "demo";
    const struct rn_dataset_options options = data_options(v, spec);
    struct rn_dataset *d;
    rn_status st = tool_data_open(&d, spec, &options, v->o);
    if (st) return st;
    const char *missing = d->only_test ? "val" : "test", *taken = d->only_test ? "test" : "val";
    if (d->val.store && !d->has_test && !strcmp(v->want.split, missing) && !opt_switch(v->o, "quiet"))
        fprintf(stderr, "%s: %s has no %s; its %s is taken\n", v->o->program, d->spec, missing, taken);
    if (d->val.store && d->divided && !opt_switch(v->o, "quiet"))
        fprintf(stderr, "%s: %s is not divided into train and val: val is a share of it, %" PRId64 " images\n",
                v->o->program, d->spec, d->val.count);
    v->data = d;
    if (v->arch.classes < d->classes)
        return rn_fail(RN_EINPUT, "%s: fc.weight is [%d, %d], %s has %d classes and needs [%d, %d]", v->file->path,
                       v->arch.classes, v->arch.features, d->spec, d->classes, d->classes, v->arch.features);
    if ((st = rn_check_classes(v->file, d, false))) return st;
    if (d->height != d->width)
        return rn_fail(RN_EINPUT, "images of %s are %dx%d; the net wants squares", d->spec, d->height, d->width);
    if (!tool_evaluator_split(v, v->want.split)->count)
        return rn_fail(RN_EINPUT, "%s: %s has no images to evaluate", d->spec, v->want.split);
    return tool_evaluator_use(v, d);
}

const struct rn_split *tool_evaluator_split(const struct tool_evaluator *v, const char *name)
{
    if (!strcmp(name, "train")) return &v->data->train;
    return !strcmp(name, "test") && v->data->has_test ? &v->data->test : &v->data->val;
}

/* -- the net ----------------------------------------------------------------------------------- */

rn_status tool_evaluator_net(struct tool_evaluator *v, int image_size, int batch, size_t beside_bytes)
{
    int64_t upsample = v->want.upsample ? v->want.upsample : rn_checkpoint_int(v->file, "upsample", 0);
    struct rn_net_config c = { .arch = v->arch, .image_size = image_size, .eval_batch = batch,
                               .upsample = upsample > 0 && upsample <= 4096 ? (int)upsample : 0,
                               .fold = v->want.fold, .beside_bytes = beside_bytes };
    if (v->net) return RN_OK;
    rn_status st = rn_net_create(&v->net, &c, v->device.ops, v->device.dev);
    return st ? st : rn_load_weights(v->net, v->file, false);
}

void tool_evaluator_close(struct tool_evaluator *v)
{
    rn_free(v->shown);
    rn_free(v->name);
    rn_net_free(v->net);
    rn_dataset_close(v->data);
    rn_checkpoint_free(v->file);
    tool_device_close(&v->device);
    *v = (struct tool_evaluator){0};
}
