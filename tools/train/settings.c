/*
 * settings.c - what the flags of ./train mean (rows.c has their table).  Every setting that
 * decides a run's bits ends up explicit in the table, so that args.conf and checkpoints hold the whole run.
 */
#include "tools/train/settings.h"

#include "tools/cli/data.h"
#include "tools/cli/private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- settings ---------------------------------------------------------------------------------- */
static bool has_row(const struct opt_set *o, const char *name)
{
    for (size_t i = 0; i < o->rows; i++)
        if (!strcmp(o->row[i]->name, name)) return true;
    return false;
}

/* Takes a setting of an earlier run unless this command line has its own. */
static rn_status adopt(struct opt_set *o, const char *name, const char *text)
{
    return has_row(o, name) && !opt_given(o, name) ? opt_set_text(o, name, text) : RN_OK;
}

void tool_value_text(struct rn_text *t, const struct rn_value *v, bool json)
{
    if (v->kind == RN_STRING && json) rn_text_json(t, v->text);
    else if (v->kind == RN_STRING) rn_text_add(t, "%s", v->text);
    else if (v->kind == RN_REAL) rn_text_number(t, v->real);
    else if (v->kind == RN_BOOLEAN) rn_text_add(t, "%s", v->integer ? "true" : "false");
    else if (v->kind == RN_INT) rn_text_add(t, "%" PRId64, v->integer);
    if (v->kind != RN_LIST) return;
    rn_text_add(t, "%s", json ? "[" : "");
    for (size_t i = 0; i < v->count; i++) {
        rn_text_add(t, "%s", i ? "," : "");
        if (v->item[i]->kind != RN_LIST) tool_value_text(t, v->item[i], json);
    }
    rn_text_add(t, "%s", json ? "]" : "");
}

static rn_status add_epochs(struct opt_set *o, const struct rn_checkpoint *c)
{
    const struct rn_value *planned = rn_dict_get(c->arguments, "epochs");
    char text[32];
    if (opt_given(o, "epochs"))
        return rn_fail(RN_EUSAGE, "--epochs and --more-epochs exclude each other");
    int64_t from =
        planned && planned->kind == RN_INT ? planned->integer : rn_checkpoint_int(c, "epoch", 0);
    snprintf(text, sizeof text, "%" PRId64, from + opt_int(o, "more-epochs"));
    return opt_set_text(o, "epochs", text);
}

/* Whether a later part of a run, or its replay, takes this setting of the first: all that decide bits, and
 * what names its files.  weights: for the record, which --verify-run replays. */
static bool inherited(const char *name)
{
    static const char *const too[] = { "epochs",      "weights",    "checkpoint-name",
                                       "csv-name",    "target-acc", "tensorboard" };
    for (size_t i = 0; i < RN_COUNT(too); i++)
        if (!strcmp(name, too[i])) return true;
    return !rn_setting_free(name);
}

rn_status tool_train_adopt_checkpoint(struct opt_set *o, const struct rn_checkpoint *c)
{
    const struct rn_value *a = c->arguments;
    rn_status status = RN_OK;
    for (size_t i = 0; status == RN_OK && a && i + 1 < a->count; i += 2) {
        const char *name = a->item[i]->kind == RN_STRING ? a->item[i]->text : "";
        struct rn_text t = {0};
        if (!inherited(name)) continue;
        tool_value_text(&t, a->item[i + 1], false);
        status = rn_text_status(&t);
        if (status == RN_OK && t.data) status = adopt(o, name, t.data);
        rn_text_free(&t);
    }
    return status || !opt_given(o, "more-epochs") ? status : add_epochs(o, c);
}

/* Gives the setting `name` the value that --`because` implies, with the same rank. */
static rn_status imply(struct opt_set *o, const char *name, const char *value, const char *because)
{
    return opt_assign(o, opt_row(o, name, strlen(name)), value, opt_source_of(o, because), because);
}

/* What each numerics says about --amp, */
static const char *amp_of(const char *numerics)
{
    if (!strcmp(numerics, "bf16") || !strcmp(numerics, "fast-bf16")) return "bf16";
    return strcmp(numerics, "fast-fp16") ? "off" : "fp16";
}

/* and --amp about the numerics: halves are for GPUs, where bf16 is fast-bf16, too. */
static const char *numerics_of(const char *amp, const char *numerics, const char *backend)
{
    const bool fast = !strncmp(numerics, "fast", 4) || !strcmp(backend, "cuda");
    if (!strcmp(amp, "fp16")) return "fast-fp16";
    if (!strcmp(amp, "bf16")) return fast ? "fast-bf16" : "bf16";
    return strncmp(numerics, "fast", 4) ? "fp32" : "fast";
}

rn_status tool_train_settle_precision(struct opt_set *o)
{
    const enum opt_source by_amp = opt_source_of(o, "amp"), by_numerics = opt_source_of(o, "numerics");
    const char *amp = opt_text(o, "amp"), *numerics = opt_text(o, "numerics"), *backend = opt_text(o, "backend");
    const bool as_they_are = !strcmp(amp, amp_of(numerics)), which = !strcmp(numerics, "fast");
    if (!as_they_are && by_amp == by_numerics && !which)
        return rn_fail(RN_EUSAGE, "--amp %s and --numerics %s exclude each other", amp, numerics);
    if (!as_they_are && (by_amp > by_numerics || (which && by_amp == by_numerics)))
        numerics = numerics_of(amp, numerics, backend);
    else if (!as_they_are)
        amp = amp_of(numerics);
    if (!strcmp(amp, "fp16") && (!strcmp(backend, "cpu") || !strcmp(backend, "ref")))
        return rn_fail(RN_EUSAGE, "--amp fp16 needs a GPU; on a CPU --amp bf16 is the mixed precision");
    if (by_amp == by_numerics) return as_they_are ? RN_OK : opt_set_text(o, "numerics", numerics);
    return by_amp > by_numerics ? imply(o, "numerics", numerics, "amp") : imply(o, "amp", amp, "numerics");
}

void tool_mention_numerics(const struct opt_set *o, const struct rn_checkpoint *file)
{
    const char *now = opt_text(o, "numerics"), *there = rn_checkpoint_text(file, "numerics");
    char shown[64];
    if (there && strcmp(there, now) && !opt_switch(o, "quiet"))
        fprintf(stderr, "%s: %s was trained under --numerics %s; this is %s\n", o->program, file->path,
                rn_printable(shown, sizeof shown, there, strlen(there)), now);
}

static bool says(const struct opt_set *o, const char *name, const char *text)
{
    return opt_text(o, name) && !strcmp(opt_text(o, name), text);
}

/* Makes a setting that nobody gave explicit, so that args.conf and checkpoints show it. */
static rn_status settle(struct opt_set *o, const char *name, const char *text)
{
    return opt_text(o, name) ? RN_OK : opt_set_text(o, name, text);
}

static rn_status settle_number(struct opt_set *o, const char *name, int64_t x)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, x);
    return settle(o, name, text);
}

static rn_status settle_reals(struct opt_set *o, const char *name, const double x[3])
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], c[RN_NUMBER_CHARS], text[3 * RN_NUMBER_CHARS];
    snprintf(text, sizeof text, "%s,%s,%s", rn_number_text(a, x[0]), rn_number_text(b, x[1]),
             rn_number_text(c, x[2]));
    return settle(o, name, text);
}

/* ReduceLROnPlateau's defaults. */
static rn_status settle_plateau(struct opt_set *o)
{
    rn_status st;
    if ((st = settle(o, "lr-mode", "min"))) return st;
    if ((st = settle(o, "lr-threshold-mode", "rel"))) return st;
    if ((st = settle(o, "lr-cooldown", "0"))) return st;
    return settle(o, "lr-eps", "1e-8");
}

/* A scale becomes its shortest text, so that two ways to write it are one setting. */
static rn_status settle_scale(struct opt_set *o, const char *name)
{
    char text[RN_NUMBER_CHARS], flag[64];
    double scale;
    rn_status st = rn_scale_parse(&scale, opt_text(o, name));
    if (!st) return opt_set_text(o, name, rn_number_text(text, scale));
    snprintf(flag, sizeof flag, "--%s", name);
    return rn_fail_in(st, flag);
}

/* The defaults of torch.amp.GradScaler. */
static rn_status settle_scaling(struct opt_set *o)
{
    static const char *const needs[] = { "loss-scale-init", "loss-scale-growth-interval" };
    rn_status st = RN_OK;
    if (!strcmp(opt_text(o, "amp"), "fp16") && (st = settle(o, "loss-scale", "dynamic"))) return st;
    if (says(o, "loss-scale", "dynamic")) {
        if ((st = settle(o, "loss-scale-init", "65536")) || (st = settle_scale(o, "loss-scale-init"))) return st;
        return settle_number(o, "loss-scale-growth-interval", RN_SCALE_INTERVAL);
    }
    for (size_t i = 0; i < RN_COUNT(needs); i++)
        if (opt_source_of(o, needs[i]) == OPT_FLAG)
            return rn_fail(RN_EUSAGE, "--%s needs --loss-scale dynamic", needs[i]);
    return !opt_text(o, "loss-scale") || says(o, "loss-scale", "off") ? RN_OK : settle_scale(o, "loss-scale");
}

/* By the name or the spec of a data set, which both begin with its kind. */
static const char *usual_augment(const char *data)
{
    return !strncmp(data, "demo", 4) ? "none" : !strncmp(data, "folder", 6) ? "rrc,flip" : "crop:4,flip";
}

/* Checkpoints record all settings, in UTF-8: what is not would be refused when the first of them is written. */
static rn_status check_texts(const struct opt_set *o)
{
    char shown[200];
    for (size_t i = 0; i < o->rows; i++)
        if (o->value[i] && !rn_text_valid(o->value[i], strlen(o->value[i])))
            return rn_fail(RN_EUSAGE, "--%s %s: is not UTF-8, as checkpoints have it", o->row[i]->name,
                           rn_printable(shown, sizeof shown, o->value[i], strlen(o->value[i])));
    return RN_OK;
}

rn_status tool_train_data(struct rn_dataset_options *options, struct opt_set *o)
{
    struct rn_augment augment;
    rn_status st = check_texts(o);
    if (!st) st = settle(o, "augment", usual_augment(opt_text(o, "data")));
    if (!st) st = rn_augment_parse(&augment, opt_text(o, "augment"));
    if (st) return st;
    *options = (struct rn_dataset_options){
        .image_size = (int)opt_int(o, "image-size"), .val_split = opt_real(o, "val-split"),
        .seed = (uint64_t)opt_int(o, "seed"), .resize = (int)opt_int(o, "val-resize-size"),
        .originals = rn_augment_has(&augment, RN_AUGMENT_RRC), .cache_bytes = tool_cache_bytes(o),
        .strict = opt_switch(o, "strict-data"), .no_test = true,
    };
    const bool dry = has_row(o, "dry-run") && opt_switch(o, "dry-run") && !opt_text(o, "preview");
    options->headers = dry && !options->strict; /* nobody will ask for a pixel */
    return RN_OK;
}

/* What a folder was opened with. */
static rn_status settle_folder(struct opt_set *o, const struct rn_dataset *d)
{
    char share[RN_NUMBER_CHARS];
    rn_status st = settle(o, "val-split", rn_number_text(share, RN_VAL_SPLIT));
    return st ? st : settle_number(o, "val-resize-size", rn_resize_side(d->height));
}

rn_status tool_train_settle(struct opt_set *o, const struct rn_dataset *d)
{
    bool demo = !strcmp(d->name, "demo"), sgd = !strcmp(opt_text(o, "opt"), "sgd");
    const bool folder = !strcmp(d->name, "folder");
    rn_status st;
    if (folder && (st = settle_folder(o, d))) return st;
    if ((st = settle_number(o, "workers", tool_workers(o, d->name)))) return st;
    if ((st = settle(o, "stem", "imagenet"))) return st;
    if ((st = settle(o, "augment", usual_augment(d->name)))) return st;
    if ((st = settle(o, "epochs", demo ? "5" : "30"))) return st;
    if ((st = settle(o, "batch-size", demo ? "64" : "128"))) return st;
    if ((st = settle(o, "lr-scheduler", demo ? "onecycle" : "cosine"))) return st;
    if ((st = settle(o, "lr", !sgd ? "0.001" : demo ? "0.02" : "0.1"))) return st;
    if ((st = settle(o, "head-lr", opt_text(o, "lr")))) return st;
    if ((st = settle(o, "weight-decay", sgd ? "0.0005" : "0.01"))) return st;
    if ((st = settle_number(o, "num-classes", d->classes))) return st;
    if ((st = settle_number(o, "image-size", d->height))) return st;
    if ((st = settle_reals(o, "mean", d->mean)) || (st = settle_reals(o, "std", d->std))) return st;
    if ((st = settle(o, "checkpoint-name", d->name))) return st;
    if (opt_switch(o, "model-ema") && (st = settle(o, "model-ema-decay", "0.999"))) return st;
    if (opt_switch(o, "model-ema") && (st = settle(o, "model-ema-steps", "1"))) return st;
    if (!strcmp(opt_text(o, "lr-scheduler"), "plateau") && (st = settle_plateau(o))) return st;
    if ((st = settle_scaling(o))) return st;
    int64_t span = opt_int(o, "epochs") - opt_int(o, "lr-warmup-epochs");
    return settle_number(o, "t-max", RN_MAX(span, 1));
}

static struct rn_scaling scaling_of(const struct opt_set *o)
{
    struct rn_scaling s = { .interval = opt_int(o, "loss-scale-growth-interval") };
    if (!opt_text(o, "loss-scale") || says(o, "loss-scale", "off")) return s;
    s.kind = says(o, "loss-scale", "dynamic") ? RN_SCALING_DYNAMIC : RN_SCALING_FIXED;
    s.scale = opt_real(o, s.kind == RN_SCALING_DYNAMIC ? "loss-scale-init" : "loss-scale");
    return s;
}

static struct rn_schedule schedule_of(const struct opt_set *o)
{
    static const char *const name[] = { "constant", "cosine", "step", "onecycle", "plateau" };
    struct rn_schedule s = {
        .warmup = opt_int(o, "lr-warmup-epochs"),
        .span = opt_int(o, "t-max"),
        .low = opt_real(o, "lr-min"),
        .step_size = opt_int(o, "lr-step-size"),
        .gamma = opt_real(o, "lr-gamma"),
        .rise = opt_real(o, "pct-start"),
        .divide = opt_real(o, "div-factor"),
        .final_divide = opt_real(o, "final-div-factor"),
        .cycle_momentum = opt_switch(o, "cycle-momentum"),
        .momentum_low = opt_real(o, "base-momentum"),
        .momentum_high = opt_real(o, "max-momentum"),
        .factor = opt_real(o, "lr-factor"),
        .rising = says(o, "lr-mode", "max"),
        .absolute = says(o, "lr-threshold-mode", "abs"),
        .cooldown = opt_int(o, "lr-cooldown"),
        .least_cut = opt_real(o, "lr-eps"),
        .threshold = opt_real(o, "lr-threshold"),
        .patience = opt_int(o, "lr-patience"),
    };
    for (size_t i = 0; i < RN_COUNT(name); i++)
        if (!strcmp(opt_text(o, "lr-scheduler"), name[i])) s.kind = (enum rn_schedule_kind)i;
    return s;
}

rn_status tool_train_adopt_shapes(struct opt_set *o, const struct rn_checkpoint *file)
{
    const char *name = opt_text(o, "stem");
    enum rn_stem stem = RN_STEM_IMAGENET;
    struct rn_arch a;
    if (!name) name = rn_checkpoint_text(file, "stem");
    rn_status st = name ? rn_stem_parse(&stem, name) : RN_OK;
    if (st) return st;
    if ((st = rn_arch_from_shapes(&a, stem, rn_checkpoint_shape, (void *)file)))
        return rn_fail_in(st, file->path);
    if (name && a.stem != stem)
        return rn_fail(RN_EINPUT, "%s: conv1.weight is of stem %s; %s was asked for", file->path,
                       rn_stem_name(a.stem), name);
    if (!name && a.stem == RN_STEM_CIFAR)
        return rn_fail(RN_EINPUT,
                       "%s: conv1.weight is 3x3 and does not say its stem: give --stem cifar, "
                       "cifar-pool or 3x3s2",
                       file->path);
    if ((st = opt_set_text(o, "arch", a.name))) return st;
    return opt_set_text(o, "stem", rn_stem_name(a.stem));
}

/* The net by name, or with the widths of `file` and a head for --num-classes. */
static rn_status choose_arch(struct rn_arch *a, const struct opt_set *o,
                             const struct rn_checkpoint *file)
{
    const char *name = opt_text(o, "arch");
    int classes = (int)opt_int(o, "num-classes");
    enum rn_stem stem;
    rn_status st = rn_stem_parse(&stem, opt_text(o, "stem"));
    if (st) return st;
    if (strcmp(name, TOOL_CUSTOM)) return rn_arch_named(a, name, stem, classes);
    if (!file)
        return rn_fail(RN_EUSAGE, "--arch " TOOL_CUSTOM " is what the shapes of a file say: it "
                                  "needs --weights or --resume");
    if ((st = rn_arch_from_shapes(a, stem, rn_checkpoint_shape, (void *)file)))
        return rn_fail_in(st, file->path);
    if (a->stem != stem)
        return rn_fail(RN_EINPUT, "%s: conv1.weight is of stem %s, not %s", file->path,
                       rn_stem_name(a->stem), rn_stem_name(stem));
    a->classes = classes;
    return RN_OK;
}

static struct rn_optional optional(const struct opt_set *o, const char *name)
{
    return (struct rn_optional){ opt_text(o, name), opt_real(o, name) };
}

/* Names of files that stay within the run folder. */
static rn_status check_names(const struct opt_set *o)
{
    const char *checkpoint = opt_text(o, "checkpoint-name"), *csv = opt_text(o, "csv-name");
    size_t length = strlen(checkpoint);
    if (checkpoint[0] == '/' || checkpoint[length - 1] == '/' || strstr(checkpoint, "..") ||
        strstr(checkpoint, "//") || (strchr(checkpoint, '/') != strrchr(checkpoint, '/')))
        return rn_fail(RN_EUSAGE, "--checkpoint-name %s: NAME or FOLDER/NAME is needed, within "
                                  "checkpoints", checkpoint);
    if (csv && (strchr(csv, '/') || csv[0] == '.'))
        return rn_fail(RN_EUSAGE, "--csv-name %s: a file name without a folder is needed", csv);
    return RN_OK;
}

rn_status tool_train_config(struct rn_train_config *c, const struct opt_set *o,
                            const struct rn_dataset *d, const struct rn_checkpoint *file)
{
    bool adamw = !strcmp(opt_text(o, "opt"), "adamw");
    rn_status st;
    *c = (struct rn_train_config){
        .data = d,
        .limit_train = opt_int(o, "limit-train"),
        .limit_val = opt_int(o, "limit-val"),
        .shuffle = opt_switch(o, "shuffle"),
        .workers = (int)opt_int(o, "workers"),
        .image_size = (int)opt_int(o, "image-size"),
        .upsample = (int)opt_int(o, "upsample"),
        .batch = (int)opt_int(o, "batch-size"),
        .parts = (int)opt_int(o, "grad-accum-steps"),
        .val_batch = (int)opt_int(o, "val-batch-size"),
        .checkpoint_activations = opt_switch(o, "checkpoint-activations"),
        .epochs = opt_int(o, "epochs"),
        .max_steps = opt_text(o, "max-steps") ? opt_int(o, "max-steps") : -1,
        .optimizer = adamw ? RN_ADAMW : RN_SGD,
        .lr = opt_real(o, "lr"),
        .head_lr = opt_real(o, "head-lr"),
        .momentum = opt_real(o, adamw ? "beta1" : "momentum"),
        .beta2 = opt_real(o, "beta2"),
        .eps = opt_real(o, "opt-eps"),
        .weight_decay = opt_real(o, "weight-decay"),
        .norm_decay = optional(o, "norm-weight-decay"),
        .bias_decay = optional(o, "bias-weight-decay"),
        .bias_lr = optional(o, "bias-lr"),
        .nesterov = opt_switch(o, "nesterov"),
        .freeze_bn = opt_switch(o, "freeze-bn"),
        .clip = opt_text(o, "clip-grad-norm") ? opt_real(o, "clip-grad-norm") : 0,
        .freeze = opt_text(o, "freeze"),
        .scaling = scaling_of(o),
        .schedule = schedule_of(o),
        .smoothing = opt_real(o, "label-smoothing"),
        .average = opt_switch(o, "model-ema"),
        .average_decay = opt_real(o, "model-ema-decay"),
        .average_steps = opt_int(o, "model-ema-steps"),
        .stop_floor = opt_int(o, "early-stop-floor"),
        .stop_patience = opt_int(o, "early-stop-patience"),
        .seed = (uint64_t)opt_int(o, "seed"),
        .checkpoint_every = opt_int(o, "checkpoint-every"),
        .numerics = opt_text(o, "numerics"),
    };
    if ((st = check_names(o))) return st;
    if ((st = opt_three(o, "mean", c->mean)) || (st = opt_three(o, "std", c->std))) return st;
    if ((st = rn_augment_parse(&c->augment, opt_text(o, "augment")))) return st;
    if ((st = rn_progressive_parse(&c->progressive, opt_text(o, "progressive-sizes")))) return st;
    return choose_arch(&c->arch, o, file);
}

rn_status tool_train_adopt_run(struct opt_set *o, const char *folder, char **resumed)
{
    char *path = rn_path_join(folder, "args.conf");
    char program[] = "train", flag[] = "--config", *argv[] = { program, flag, path };
    struct opt_set recorded;
    rn_status st = path ? RN_OK : RN_ENOMEM;
    opt_begin(&recorded, program, "");
    for (size_t i = 0; i < o->rows; i++) opt_add(&recorded, o->row[i], 1);
    if (!st) st = opt_parse(&recorded, 3, argv);
    for (size_t i = 0; !st && i < recorded.rows; i++) {
        const char *name = recorded.row[i]->name;
        if (inherited(name) && recorded.source[i] == OPT_FILE) st = adopt(o, name, recorded.value[i]);
    }
    *resumed = NULL;
    if (!st && opt_text(&recorded, "resume") && !(*resumed = rn_strdup(opt_text(&recorded, "resume"))))
        st = RN_ENOMEM;
    if (st == RN_EUSAGE)
        st = rn_fail(RN_EINPUT, "%s", rn_error()); /* the file is at fault, not the flags */
    opt_end(&recorded);
    rn_free(path);
    return st;
}
