/*
 * resume.c - goes on where a checkpoint stopped.  Everything is read and judged before the trainer
 * changes: settings, tensors, counters, moments.
 */
#include "train/tensor_floats.h"
#include "train/trainer.h"
#include "base/mem.h"
#include "base/real.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- settings ---------------------------------------------------------------------------------- */
bool rn_setting_free(const char *name)
{
    static const char *const may_differ[] = {
        "output",  "epochs",  "more-epochs",      "max-steps",      "threads", "isa",
        "backend", "workers", "checkpoint-every", "quiet",          "json",    "hash",
        "profile", "profile-steps", "resume",  "overwrite",        "force",          "dry-run", "verify-run",
        "config",  "preset",  "target-acc",       "val-batch-size", "weights",
        "checkpoint-activations", "checkpoint-name", "csv-name", "tensorboard", "cache-mb", "strict-data",
        "preview",
    };
    for (size_t i = 0; i < RN_COUNT(may_differ); i++)
        if (!strcmp(name, may_differ[i])) return true;
    return false;
}

static void add_setting(struct rn_text *t, const struct rn_value *v)
{
    char number[RN_NUMBER_CHARS], text[96];
    if (!v) rn_text_add(t, "unset");
    else if (v->kind == RN_BOOLEAN) rn_text_add(t, "%s", v->integer ? "true" : "false");
    else if (v->kind == RN_INT) rn_text_add(t, "%" PRId64, v->integer);
    else if (v->kind == RN_REAL) rn_text_add(t, "%s", rn_number_text(number, v->real));
    else if (v->kind == RN_STRING)
        rn_text_add(t, "%s", rn_printable(text, sizeof text, v->text, v->length));
    else if (v->kind == RN_LIST || v->kind == RN_TUPLE)
        for (size_t i = 0; i < v->count; i++) {
            if (i) rn_text_add(t, ",");
            if (v->item[i]->kind == RN_REAL || v->item[i]->kind == RN_INT)
                add_setting(t, v->item[i]);
        }
}

/* What is off says no more than what another version does not know. */
static bool is_off(const struct rn_value *v)
{
    return !v || (v->kind == RN_BOOLEAN && !v->integer) || (v->kind == RN_STRING && !strcmp(v->text, "off"));
}

/* Adds "--lr: 0.1 there, 0.2 now" if the two differ as text. */
static void compare(struct rn_text *list, const char *name, const struct rn_value *there,
                    const struct rn_value *now)
{
    struct rn_text a = {0}, b = {0};
    if (is_off(there) && is_off(now)) return;
    add_setting(&a, there);
    add_setting(&b, now);
    const char *x = a.data ? a.data : "", *y = b.data ? b.data : "";
    if (a.failed || b.failed) list->failed = true;
    else if (strcmp(x, y)) rn_text_add(list, "\n  --%s: %s there, %s now", name, x, y);
    rn_text_free(&a);
    rn_text_free(&b);
}

static rn_status check_settings(const struct rn_trainer *t, const struct rn_checkpoint *c,
                                bool force)
{
    const struct rn_value *now = t->c.arguments, *there = c->arguments;
    struct rn_text list = {0};
    rn_status status = RN_OK;
    if (!now || !there || force) return RN_OK;
    for (size_t i = 0; i + 1 < now->count; i += 2)
        if (now->item[i]->kind == RN_STRING && !rn_setting_free(now->item[i]->text))
            compare(&list, now->item[i]->text, rn_dict_get(there, now->item[i]->text),
                    now->item[i + 1]);
    for (size_t i = 0; i + 1 < there->count; i += 2)
        if (there->item[i]->kind == RN_STRING && !rn_setting_free(there->item[i]->text) &&
            !rn_dict_get(now, there->item[i]->text))
            compare(&list, there->item[i]->text, there->item[i + 1], NULL);
    status = rn_text_status(&list);
    if (status == RN_OK && list.length)
        status =
            rn_fail(RN_EUSAGE, "%s was made with other settings (--force goes on all the same):%s",
                    c->path, list.data);
    rn_text_free(&list);
    return status;
}

/* Shapes do not tell every stem and group count apart; names do. */
static rn_status check_arch(const struct rn_trainer *t, const struct rn_checkpoint *c)
{
    const char *stem = rn_checkpoint_text(c, "stem"), *arch = rn_checkpoint_text(c, "arch");
    const char *now = rn_stem_name(t->c.arch.stem);
    if (stem && strcmp(stem, now))
        return rn_fail(RN_EINPUT, "%s: conv1.weight belongs to stem %s, not %s", c->path, stem,
                       now);
    if (arch && strcmp(arch, t->c.arch.name))
        return rn_fail(RN_EINPUT, "%s: layer1.0.conv1.weight belongs to %s, not %s", c->path, arch,
                       t->c.arch.name);
    return RN_OK;
}

/* -- counters ---------------------------------------------------------------------------------- */
struct fields { const struct rn_checkpoint *c; rn_status status; };

static int64_t count_of(struct fields *f, const char *key, int64_t low, int64_t high)
{
    const struct rn_value *v = rn_dict_get(f->c->own, key);
    bool number = v && (v->kind == RN_INT || v->kind == RN_BOOLEAN);
    if (f->status == RN_OK && (!number || v->integer < low || v->integer > high))
        f->status = rn_fail(RN_EINPUT,
                            "%s: resnet_c.%s is %s, a count from %" PRId64 " to %" PRId64 " is "
                                                                                          "needed",
                            f->c->path, key, number ? "out of range" : "missing", low, high);
    return number ? v->integer : 0;
}

static double real_of(struct fields *f, const char *key)
{
    const char *text = rn_checkpoint_text(f->c, key);
    double x = 0;
    if (f->status == RN_OK && !(text && rn_parse_double(&x, text)))
        f->status = rn_fail(RN_EINPUT, "%s: resnet_c.%s is not a hex number", f->c->path, key);
    return x;
}

/* Scales are powers of two. */
static void read_scaler(struct rn_scaler *s, struct fields *f, const struct rn_trainer *t, int64_t most)
{
    s->skipped = count_of(f, "skipped_steps", 0, most);
    if (t->c.scaling.kind != RN_SCALING_DYNAMIC) return; /* forced: of no more use */
    s->scale = real_of(f, "loss_scale");
    s->tracker = count_of(f, "loss_scale_tracker", 0, most);
    if (f->status == RN_OK && !rn_scale_valid(s->scale))
        f->status = rn_fail(RN_EINPUT, "%s: resnet_c.loss_scale is no power of two from 2^-126 to 2^127", f->c->path);
}

static rn_status read_own(struct rn_state *s, int64_t *updates, const struct rn_trainer *t,
                          const struct rn_checkpoint *c)
{
    struct fields f = { c, RN_OK };
    const int64_t most = INT64_C(1) << 53;
    s->step = count_of(&f, "step", 0, most);
    s->epoch = count_of(&f, "epoch", 0, INT32_MAX);
    s->step_in_epoch = count_of(&f, "step_in_epoch", 0, t->steps_per_epoch);
    s->loss_sum = real_of(&f, "epoch_loss_sum");
    s->images = count_of(&f, "epoch_images", 0, t->count);
    s->correct = count_of(&f, "epoch_correct", 0, s->images);
    s->best_acc = real_of(&f, "best_acc");
    s->bad_epochs = count_of(&f, "bad_epochs", 0, most);
    s->stopped = count_of(&f, "stopped", 0, 1);
    s->plateau.any = count_of(&f, "plateau_any", 0, 1);
    s->plateau.best = real_of(&f, "plateau_best");
    s->plateau.bad = count_of(&f, "plateau_bad", 0, most);
    s->plateau.cuts = count_of(&f, "plateau_cuts", 0, most);
    if (rn_dict_get(c->own, "plateau_cooldown")) /* files of 0.1.0 have none */
        s->plateau.cooldown = count_of(&f, "plateau_cooldown", 0, most);
    s->train_loss = real_of(&f, "train_loss");
    s->train_acc = real_of(&f, "train_acc");
    s->val_loss = real_of(&f, "val_loss");
    s->val_acc = real_of(&f, "val_acc");
    s->eval_step = count_of(&f, "eval_step", -1, most);
    *updates = count_of(&f, "optimizer_step", 0, most);
    if (rn_dict_get(c->own, "loss_scale")) read_scaler(&s->scaler, &f, t, most);
    if (f.status == RN_OK && (s->step_in_epoch > 0) != (s->images > 0))
        return rn_fail(RN_EINPUT,
                       "%s: resnet_c has %" PRId64 " steps and %" PRId64 " images of an epoch",
                       c->path, s->step_in_epoch, s->images);
    return f.status;
}

/* Whole epochs that a checkpoint without resnet_c has behind it.  Scripts count `epoch` from 0 or from 1,
 * so the scheduler, stepped once an epoch, has the better word where the two are at most one apart. */
static int64_t foreign_epochs(const struct rn_checkpoint *c)
{
    const struct rn_value *epoch = rn_dict_get(c->root, "epoch"); /* check_complete saw it */
    const struct rn_value *last =
        rn_dict_get(rn_dict_get(c->root, "scheduler_state_dict"), "last_epoch");
    bool near = last && last->kind == RN_INT &&
                (last->integer == epoch->integer || last->integer == epoch->integer + 1);
    return near ? last->integer : epoch->integer;
}

static int64_t foreign_count(const struct rn_value *dict, const char *key)
{
    const struct rn_value *v = rn_dict_get(dict, key);
    return v && v->kind == RN_INT && v->integer > 0 ? v->integer : 0;
}

/* What torch's ReduceLROnPlateau kept.  It has no number of cuts: as many as make the first rate what it was. */
static struct rn_plateau foreign_plateau(const struct rn_trainer *t, const struct rn_checkpoint *c, int64_t epoch)
{
    const struct rn_value *d = rn_dict_get(c->root, "scheduler_state_dict"), *best = rn_dict_get(d, "best");
    const struct rn_value *rates = rn_dict_get(d, "_last_lr");
    bool number = best && best->kind == RN_REAL && rn_finite64(best->real);
    struct rn_plateau p = { .bad = foreign_count(d, "num_bad_epochs"), .any = number,
                            .best = number ? best->real : 0, .cooldown = foreign_count(d, "cooldown_counter") };
    if (!rates || rates->kind != RN_LIST || !rates->count || rates->item[0]->kind != RN_REAL) return p;
    const double last = rates->item[0]->real * (1 + 1e-9), peak = t->opt.group[0].peak;
    while (p.cuts < 1000 && rn_schedule_lr(&t->c.schedule, peak, 0, epoch, &p) > last) p.cuts++;
    return p;
}

/* What torch.amp.GradScaler kept, under the usual names of scripts.  Its interval and factors are settings here. */
static rn_status foreign_scaler(struct rn_scaler *s, const struct rn_checkpoint *c)
{
    const struct rn_value *d = rn_dict_get(c->root, "scaler_state_dict");
    if (!d) d = rn_dict_get(c->root, "scaler");
    const struct rn_value *scale = d && d->kind == RN_DICT ? rn_dict_get(d, "scale") : NULL;
    if (!scale) return RN_OK;
    if (scale->kind != RN_REAL || !rn_scale_valid(scale->real))
        return rn_fail(RN_EINPUT, "%s: the scaler's scale is no power of two from 2^-126 to 2^127", c->path);
    s->scale = scale->real;
    s->tracker = foreign_count(d, "_growth_tracker");
    return RN_OK;
}

static rn_status read_foreign(struct rn_state *s, int64_t *updates, const struct rn_trainer *t,
                              const struct rn_checkpoint *c)
{
    const struct rn_value *best = rn_dict_get(c->root, "best_acc");
    s->epoch = foreign_epochs(c);
    if (s->epoch < 0 || s->epoch > INT32_MAX)
        return rn_fail(RN_EINPUT, "%s: epoch is %" PRId64, c->path, s->epoch);
    s->step = *updates = s->epoch * t->steps_per_epoch;
    if (t->c.schedule.kind == RN_PLATEAU) s->plateau = foreign_plateau(t, c, s->epoch);
    s->eval_step = -1;
    s->best_acc = best && best->kind == RN_REAL && rn_finite64(best->real) ? best->real : -1;
    s->train_acc = s->val_acc = -1;
    return t->c.scaling.kind == RN_SCALING_DYNAMIC ? foreign_scaler(&s->scaler, c) : RN_OK;
}

/* -- moments ----------------------------------------------------------------------------------- */
static const struct rn_value *state_of(const struct rn_checkpoint *c, int64_t number)
{
    const struct rn_value *all = rn_dict_get(rn_dict_get(c->root, "optimizer_state_dict"), "state");
    if (!all || all->kind != RN_DICT) return NULL;
    for (size_t i = 0; i + 1 < all->count; i += 2)
        if (all->item[i]->kind == RN_INT && all->item[i]->integer == number)
            return all->item[i + 1];
    return NULL;
}

/* The number under which the file has the state of parameter k of group g: torch counts group by group,
 * we in the order of the state dict, and both say so in param_groups. */
static int64_t number_of(const struct rn_checkpoint *c, int groups, int g, size_t k,
                         int64_t otherwise)
{
    const struct rn_value *all =
        rn_dict_get(rn_dict_get(c->root, "optimizer_state_dict"), "param_groups");
    bool same = all && all->kind == RN_LIST && all->count == (size_t)groups;
    const struct rn_value *group = same ? all->item[g] : NULL;
    const struct rn_value *list = group ? rn_dict_get(group, "params") : NULL;
    bool there = list && list->kind == RN_LIST && k < list->count && list->item[k]->kind == RN_INT;
    return there ? list->item[k]->integer : otherwise;
}

/* One parameter's slice of a moment into its place in flat[]; zeros where the file has none
 * (PyTorch has no state before the first step, and no momentum_buffer at momentum 0). */
static rn_status read_moment(float *flat, const struct rn_param *p, const struct rn_checkpoint *c,
                             int64_t number, const char *key, bool needed)
{
    const struct rn_value *v = rn_dict_get(state_of(c, number), key);
    char shape[160];
    if (!v || v->kind != RN_TENSOR) {
        if (needed)
            return rn_fail(RN_EINPUT, "%s: the optimiser has no %s for %s", c->path, key, p->name);
        return RN_OK;
    }
    bool same = v->tensor.dims == p->dims && rn_tensor_is_real(&v->tensor) && v->tensor.data;
    for (int i = 0; same && i < p->dims; i++) same = v->tensor.shape[i] == p->shape[i];
    if (!same)
        return rn_fail(RN_EINPUT, "%s: %s of %s is %s %s", c->path, key, p->name,
                       rn_dtype_name(v->tensor.dtype),
                       rn_shape_text(shape, sizeof shape, v->tensor.dims, v->tensor.shape));
    int64_t bad = rn_tensor_floats(flat + p->offset, &v->tensor);
    if (bad >= 0)
        return rn_fail(RN_EINPUT, "%s: %s of %s[%" PRId64 "] is not finite", c->path, key, p->name,
                       bad);
    return RN_OK;
}

static rn_status read_moments(float *first, float *second, const struct rn_trainer *t,
                              const struct rn_checkpoint *c, int64_t updates)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(t->net, &p);
    const char *name = rn_checkpoint_text(c, "optimizer");
    bool needed = c->own && updates > 0;
    int64_t trainable = 0;
    size_t of_group[RN_GROUPS] = {0};
    rn_status status = RN_OK;
    if (name && strcmp(name, rn_optimizer_name(t->c.optimizer)))
        return RN_OK; /* forced: starts afresh */
    for (size_t i = 0; status == RN_OK && i < rows; i++) {
        if (!p[i].trainable) continue;
        int g = rn_optimizer_group(&t->opt, &p[i]);
        int64_t number = number_of(c, t->opt.groups, g, of_group[g]++, trainable++);
        if (rn_frozen(&t->c, &p[i])) continue;
        if (second) {
            status = read_moment(first, &p[i], c, number, "exp_avg", needed);
            if (status == RN_OK)
                status = read_moment(second, &p[i], c, number, "exp_avg_sq", needed);
        } else {
            status = read_moment(first, &p[i], c, number, "momentum_buffer", needed);
        }
    }
    return status;
}

/* -- all of it --------------------------------------------------------------------------------- */
static void apply(struct rn_trainer *t, const struct rn_state *s, const float *first,
                  const float *second, int64_t updates)
{
    size_t bytes = t->opt.count * sizeof(float);
    t->ops->write(t->dev, t->opt.first, first, bytes);
    if (second) t->ops->write(t->dev, t->opt.second, second, bytes);
    rn_optimizer_set_time(&t->opt, updates);
    t->s = *s;
    t->resumed_at = s->step;
    t->begun = false;
}

/* Weights alone would begin a new run under the name of an old one. */
static rn_status check_complete(const struct rn_checkpoint *c)
{
    const struct rn_value *optimizer = rn_dict_get(c->root, "optimizer_state_dict");
    const struct rn_value *epoch = rn_dict_get(c->root, "epoch");
    const char *lacks = NULL;
    if (!c->own && !(epoch && epoch->kind == RN_INT)) lacks = "epoch";
    if (!(optimizer && optimizer->kind == RN_DICT)) lacks = "optimizer_state_dict";
    if (!lacks) return RN_OK;
    return rn_fail(RN_EINPUT,
                   "%s holds weights only (no %s); --weights takes them, --resume wants a "
                   "checkpoint",
                   c->path, lacks);
}

rn_status rn_trainer_resume(struct rn_trainer *t, const struct rn_checkpoint *c, bool force)
{
    struct rn_state s = { .scaler = t->s.scaler };
    int64_t updates = 0;
    float *first = rn_alloc_array(t->opt.count, sizeof *first), *second = NULL;
    rn_status status = first ? RN_OK : RN_ENOMEM;
    if (status == RN_OK && t->opt.second &&
        !(second = rn_alloc_array(t->opt.count, sizeof *second)))
        status = RN_ENOMEM;
    if (status == RN_OK) status = check_complete(c);
    if (status == RN_OK) status = rn_weights_fit(t->net, c, false);
    if (status == RN_OK) status = check_arch(t, c);
    if (status == RN_OK) status = rn_check_classes(c, t->c.data, false);
    if (status == RN_OK) status = check_settings(t, c, force);
    if (status == RN_OK)
        status = c->own ? read_own(&s, &updates, t, c) : read_foreign(&s, &updates, t, c);
    if (status == RN_OK) status = read_moments(first, second, t, c, updates);
    if (status == RN_OK) status = rn_load_training(t->net, &t->average, c);
    if (status == RN_OK) {
        const struct rn_value *planned = rn_dict_get(c->arguments, "epochs");
        if (planned && t->c.epochs > planned->integer) s.stopped = false; /* more were asked for */
        apply(t, &s, first, second, updates);
        t->damaged = 0; /* nothing is left of what was */
    }
    rn_free(first);
    rn_free(second);
    return status;
}
