/* trainer.c - the trainer: creation, what it knows of itself, the end of an epoch (its steps: step.c). */
#include "train/trainer.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* -- creation ---------------------------------------------------------------------------------- */
rn_status rn_train_config_check(const struct rn_train_config *c)
{
    const struct rn_dataset *d = c->data;
    if (c->arch.classes < d->classes)
        return rn_fail(RN_EUSAGE, "the net has %d classes, but %s has %d", c->arch.classes, d->spec,
                       d->classes);
    if (c->image_size != d->height || d->height != d->width)
        return rn_fail(RN_EUSAGE,
                       "images of %s are %dx%d, but the net is for %dx%d (--upsample %d resizes "
                       "inside the net)",
                       d->spec, d->height, d->width, c->image_size, c->image_size, c->image_size);
    if (c->batch < 1 || c->parts < 1 || c->val_batch < 1 || c->epochs < 0)
        return rn_fail(RN_EUSAGE, "batch sizes, parts and epochs must be positive");
    if (c->average && !(c->average_decay >= 0 && c->average_decay < 1))
        return rn_fail(RN_EUSAGE, "the decay of the average of weights lies from 0 to below 1");
    if (c->scaling.kind && !rn_scale_valid(c->scaling.scale))
        return rn_fail(RN_EUSAGE, "the scale of the loss must be a power of two from 2^-126 to 2^127");
    if (c->scaling.kind == RN_SCALING_DYNAMIC && c->scaling.interval < 1)
        return rn_fail(RN_EUSAGE, "the loss scale grows after one step or more");
    if (!(c->clip >= 0)) return rn_fail(RN_EUSAGE, "the largest norm of the gradients must be positive");
    if (c->schedule.kind == RN_ONE_CYCLE && c->schedule.warmup)
        return rn_fail(RN_EUSAGE, "the one-cycle schedule has its own warm-up: lr-warmup-epochs "
                                  "must be 0");
    return RN_OK;
}

struct rn_loader_config rn_train_loader(const struct rn_train_config *c)
{
    struct rn_loader_config l = { .set = c->data, .split = &c->data->train, .limit = c->limit_train,
                                  .batch = c->batch, .shuffle = c->shuffle, .augment = c->augment,
                                  .progressive = c->progressive, .seed = c->seed, .workers = c->workers };
    memcpy(l.mean, c->mean, sizeof l.mean);
    memcpy(l.std, c->std, sizeof l.std);
    return l;
}

struct rn_loader_config rn_val_loader(const struct rn_train_config *c)
{
    struct rn_loader_config l = rn_train_loader(c);
    l.split = &c->data->val;
    l.limit = c->limit_val;
    l.batch = c->val_batch;
    l.shuffle = false;
    l.augment = (struct rn_augment){0};
    l.progressive = (struct rn_progressive){0};
    return l;
}

/* Images and steps of an epoch, and the net for them, which is told what the loaders and the optimiser
 * will take: it is created first and refuses before anything large is allocated. */
static rn_status size_up(struct rn_trainer *t, struct rn_net_config *n)
{
    const struct rn_train_config *c = &t->c;
    const struct rn_loader_config train = rn_train_loader(c), val = rn_val_loader(c);
    struct rn_loader_size a, b;
    rn_status status = rn_loader_measure(&a, &train);
    if (status || (status = rn_loader_measure(&b, &val))) return status;
    if (!a.count || !b.count)
        return rn_fail(RN_EINPUT, "%s: no images to %s", c->data->spec,
                       a.count ? "validate" : "train");
    t->count = a.count;
    t->steps_per_epoch = (a.steps + c->parts - 1) / c->parts;
    t->c.schedule.steps_per_epoch = t->steps_per_epoch;
    *n = (struct rn_net_config){ .arch = c->arch, .image_size = c->image_size,
                                 .upsample = c->upsample, .batch = (int)RN_MIN(c->batch, a.count),
                                 .eval_batch = (int)RN_MIN(c->val_batch, b.count),
                                 .checkpoint = c->checkpoint_activations, .freeze_bn = c->freeze_bn,
                                 .freeze = c->freeze,
                                 .beside_arrays = (c->optimizer == RN_ADAMW ? 2 : 1) + (c->parts > 1) +
                                                  c->average,
                                 .beside_bytes = a.bytes + b.bytes };
    return RN_OK;
}

static rn_status create_loaders(struct rn_trainer *t)
{
    const struct rn_loader_config train = rn_train_loader(&t->c), val = rn_val_loader(&t->c);
    rn_status status = rn_loader_create(&t->train, &train);
    return status ? status : rn_loader_create(&t->val, &val);
}

/* That the net can be planned for every size that training will ask for: better refused now than then. */
static rn_status try_sizes(struct rn_trainer *t)
{
    const struct rn_progressive *p = &t->c.progressive;
    rn_status status = RN_OK;
    for (int i = 0; !status && i < p->parts; i++) status = rn_net_resize(t->net, p->part[i].side);
    return status ? status : rn_net_resize(t->net, t->c.image_size);
}

/* Memory of a step beside the net's: results, verdicts, and what a step that fails rolls back to. */
static rn_status create_scratch(struct rn_trainer *t)
{
    const struct rn_train_config *c = &t->c;
    const struct rn_param *p;
    const size_t rows = rn_net_params(t->net, &p);
    void *memory;
    rn_status status;
    for (size_t i = 0; i < rows; i++) t->counters += p[i].kind == RN_PARAM_BATCHES;
    t->loss = rn_alloc_array((size_t)c->batch, sizeof *t->loss);
    t->logits = rn_alloc_array((size_t)c->batch * (size_t)c->arch.classes, sizeof *t->logits);
    t->batches = rn_alloc_array(t->counters, sizeof *t->batches);
    if (!t->loss || !t->logits || !t->batches) return RN_ENOMEM;
    if ((status = t->ops->alloc(t->dev, &memory, RN_VERDICTS * sizeof *t->verdict))) return status;
    t->verdict = memory;
    if (c->parts == 1) return RN_OK;
    status = t->ops->alloc(t->dev, &memory, rn_net_trainable_count(t->net) * sizeof(float));
    if (status) return status;
    t->sum = memory;
    status = t->ops->alloc(t->dev, &memory, rn_net_buffer_count(t->net) * sizeof(float));
    if (status == RN_OK) t->buffers = memory;
    return status;
}

rn_status rn_trainer_create(struct rn_trainer **out, const struct rn_train_config *config,
                            const struct rn_ops *ops, void *dev)
{
    *out = NULL;
    rn_status status = rn_train_config_check(config);
    if (status) return status;
    struct rn_trainer *t = rn_alloc(sizeof *t);
    if (!t) return RN_ENOMEM;
    t->c = *config;
    t->ops = ops;
    t->dev = dev;
    t->s.best_acc = t->s.val_acc = t->s.train_acc = -1;
    t->s.eval_step = -1;
    t->s.scaler.scale = config->scaling.scale;
    struct rn_net_config n;
    if ((status = size_up(t, &n))) goto fail;
    if ((status = rn_net_create(&t->net, &n, ops, dev))) goto fail;
    if ((status = try_sizes(t))) goto fail;
    if ((status = create_loaders(t))) goto fail;
    if ((status = rn_optimizer_create(&t->opt, &t->c, t->net))) goto fail;
    if ((status = create_scratch(t))) goto fail;
    rn_net_init(t->net, config->seed);
    if (config->clip > 0 && (status = rn_clip_create(&t->clip, &t->c, t->net))) goto fail;
    if (config->scaling.kind && (status = rn_multiplier_create(&t->times, t->net))) goto fail;
    if (config->average && (status = rn_average_create(&t->average, t->net))) goto fail;
    *out = t;
    return RN_OK;
fail:
    rn_trainer_free(t);
    return status;
}

void rn_trainer_free(struct rn_trainer *t)
{
    if (!t) return;
    if (t->net) {
        t->ops->release(t->dev, t->verdict);
        t->ops->release(t->dev, t->sum);
        t->ops->release(t->dev, t->buffers);
    }
    rn_average_free(&t->average);
    rn_clip_free(&t->clip);
    rn_multiplier_free(&t->times);
    rn_optimizer_free(&t->opt);
    rn_net_free(t->net);
    rn_loader_free(t->train);
    rn_loader_free(t->val);
    rn_free(t->loss);
    rn_free(t->logits);
    rn_free(t->batches);
    rn_free(t);
}

struct rn_net *rn_trainer_net(struct rn_trainer *t) { return t->net; }
int64_t rn_trainer_steps(const struct rn_trainer *t) { return t->s.step; }
int64_t rn_trainer_epochs(const struct rn_trainer *t) { return t->s.epoch; }
int64_t rn_trainer_steps_per_epoch(const struct rn_trainer *t) { return t->steps_per_epoch; }
bool rn_trainer_epoch_pending(const struct rn_trainer *t)
{
    return t->s.step_in_epoch == t->steps_per_epoch;
}

rn_status rn_trainer_intact(const struct rn_trainer *t)
{
    if (!t->damaged) return RN_OK;
    return rn_fail(RN_EFAIL, "step %" PRId64 ": the update made a weight not finite", t->damaged);
}

bool rn_trainer_done(const struct rn_trainer *t)
{
    if (rn_trainer_epoch_pending(t)) return false;
    return t->s.stopped || t->s.epoch >= t->c.epochs ||
           (t->c.max_steps >= 0 && t->s.step >= t->c.max_steps);
}

/* -- the end of an epoch ----------------------------------------------------------------------- */
rn_status rn_trainer_validate(struct rn_trainer *t, rn_stop_fn *stop, void *arg)
{
    struct rn_metrics m = {0};
    rn_status status = rn_trainer_intact(t);
    if (!status) status = rn_net_resize(t->net, t->c.image_size);
    if (status) return status;
    t->begun = false; /* the next step sees to its own size */
    rn_average_exchange(&t->average);
    status = rn_evaluate(&m, t->net, t->val, stop, arg);
    rn_average_exchange(&t->average);
    if (status == RN_EFAIL) return rn_fail_in(status, "validation");
    if (status) return status;
    t->s.val_loss = m.loss;
    t->s.val_acc = 100.0 * (double)m.correct / (double)m.count;
    t->s.eval_step = t->s.step;
    return RN_OK;
}

/* Best-so-far, early stopping and plateau, from this epoch's validation. */
static bool judge_epoch(struct rn_trainer *t)
{
    struct rn_state *s = &t->s;
    bool best = s->val_acc > s->best_acc;
    if (best) s->best_acc = s->val_acc;
    s->bad_epochs = best ? 0 : s->bad_epochs + 1;
    if (t->c.schedule.kind == RN_PLATEAU && s->epoch >= t->c.schedule.warmup)
        rn_plateau_update(&s->plateau, &t->c.schedule, t->c.schedule.rising ? s->val_acc : s->val_loss);
    s->stopped = t->c.stop_patience > 0 && s->epoch + 1 >= t->c.stop_floor &&
                 s->bad_epochs >= t->c.stop_patience;
    return best;
}

rn_status rn_trainer_end_epoch(struct rn_trainer *t, struct rn_epoch *out, rn_stop_fn *stop,
                               void *arg)
{
    RN_ASSERT(rn_trainer_epoch_pending(t));
    struct rn_state *s = &t->s;
    rn_status status = rn_trainer_validate(t, stop, arg);
    if (status) return status;
    s->train_loss = s->loss_sum / (double)s->images;
    s->train_acc = 100.0 * (double)s->correct / (double)s->images;
    double lr = rn_schedule_lr(&t->c.schedule, t->c.lr, s->step - 1, s->epoch, &s->plateau);
    bool best = judge_epoch(t);
    rn_average_exchange(&t->average); /* what the checkpoint of this epoch has, and what was judged */
    const uint64_t hash = rn_net_hash(t->net);
    rn_average_exchange(&t->average);
    *out = (struct rn_epoch){
        .epoch = s->epoch + 1, .epochs = t->c.epochs, .steps = s->step, .train_loss = s->train_loss,
        .train_acc = s->train_acc, .val_loss = s->val_loss, .val_acc = s->val_acc,
        .lr = lr, .images = s->images,
        .seconds = t->epoch_seconds, .waited = rn_loader_waited(t->train) - t->waited_before,
        .images_per_second = t->epoch_seconds > 0 ? (double)t->epoch_images / t->epoch_seconds : 0,
        .peak_rss_mb = rn_peak_rss_mb(), .hash = hash, .best = best,
    };
    s->epoch++;
    s->step_in_epoch = 0;
    s->images = s->correct = 0;
    s->loss_sum = 0;
    t->epoch_seconds = 0;
    t->epoch_images = 0;
    t->waited_before = rn_loader_waited(t->train);
    t->begun = false;
    return RN_OK;
}
