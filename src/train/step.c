/*
 * step.c - one step of training: it happens whole or, when a number in it is not finite, not at all (A7).
 *
 * The whole step is queued on the device: forward, loss, backward, running statistics, update.  Whether it may change
 * anything is decided there, by the verdicts that slots are given; losses, logits and verdicts are read at its end.
 * That is the only time that the host waits for the device, but for steps of several parts, once a part; for clipping,
 * whose norm is made on the host; for a loss that is scaled by less than 1; and for the hash of a step that has one.
 */
#include "train/trainer.h"
#include "base/marks.h"
#include "base/real.h"
#include "base/threads.h"
#include "train/sum.h"

#include <inttypes.h>
#include <string.h>

struct step {
    struct rn_trainer *t;
    struct rn_rates rates;
    struct rn_batch batch;   /* of the part that runs */
    int part, total;         /* its number; images of all parts */
    bool last;
    float *gradients;        /* device: of the part; after the last one the step's */
    const int32_t *finite;   /* device: the verdict on them */
    const int32_t *goes_on;  /* device: the verdict that statistics and average are given: not stopped by an overflow
                                that costs the step its update only */
    struct rn_sum loss;      /* of the parts that are done, and so on */
    int64_t correct, images;
    bool overflow;
    rn_status status;
};

struct rn_rates rn_trainer_rates(const struct rn_trainer *t)
{
    const struct rn_train_config *c = &t->c;
    const struct rn_state *s = &t->s;
    struct rn_rates r = { .momentum = rn_schedule_momentum(&c->schedule, c->momentum, s->step) };
    for (int g = 0; g < t->opt.groups; g++)
        r.lr[g] = rn_schedule_lr(&c->schedule, t->opt.group[g].peak, s->step, s->epoch, &s->plateau);
    return r;
}

/* -- verdicts ---------------------------------------------------------------------------------- */

/* Queues the verdict on x, 0 where the one before it is. */
static const int32_t *judge(struct rn_trainer *t, enum rn_verdict of, const float *x, size_t count,
                            const int32_t *given)
{
    t->ops->finite(t->dev, &t->verdict[of], x, count, given);
    return &t->verdict[of];
}

/* Waits for the device.  One that failed gives other bits than 1. */
static bool read_verdict(struct rn_trainer *t, const int32_t *verdict)
{
    int32_t value;
    t->ops->read(t->dev, &value, verdict, sizeof value);
    return value == 1;
}

static rn_status not_finite(const struct step *s, const char *what)
{
    struct rn_trainer *t = s->t;
    const char *where = rn_net_find_not_finite(t->net, NULL, s->batch.n);
    return rn_fail(RN_EFAIL, "step %" PRId64 ": %s is not finite%s%s", t->s.step + 1, what,
                   where ? "; first in " : "", where ? where : "");
}

/* -- what is queued ---------------------------------------------------------------------------- */

static void add_to_sum(struct step *s)
{
    struct rn_trainer *t = s->t;
    const size_t count = rn_net_trainable_count(t->net);
    if (s->part) t->ops->accumulate(t->dev, t->sum, s->gradients, count);
    else t->ops->copy(t->dev, t->sum, s->gradients, count * sizeof(float));
    if (!s->last) return;
    s->gradients = t->sum;
    s->finite = judge(t, RN_OF_SUM, t->sum, count, s->finite);
}

/* The gradients back to those of the loss.  Only a scale below 1 can make them infinite. */
static void unscale(struct step *s)
{
    struct rn_trainer *t = s->t;
    rn_unscale(t, s->gradients, s->finite);
    if (!t->c.scaling.kind || t->s.scaler.scale >= 1) return;
    judge(t, RN_OF_UNSCALED, s->gradients, rn_net_trainable_count(t->net), NULL);
    if (read_verdict(t, s->finite) && !read_verdict(t, &t->verdict[RN_OF_UNSCALED]))
        s->status = rn_fail(RN_EFAIL, "step %" PRId64 ": a gradient is beyond all floats without its scale",
                            t->s.step + 1);
}

/* Forward, loss and backward of a part, whose labels are on the device; a pass of the device's. */
static void queue_part(void *arg)
{
    struct step *s = arg;
    struct rn_trainer *t = s->t;
    const size_t logits = (size_t)s->batch.n * (size_t)t->c.arch.classes;
    rn_net_forward_images(t->net, &s->batch.images, true);
    rn_net_loss(t->net, NULL, NULL, s->total, t->c.smoothing);
    /* A23: the losses are finite if, and only if, the logits are. */
    const int32_t *scored = judge(t, RN_OF_LOGITS, rn_net_training_logits(t->net), logits, NULL);
    rn_scale_loss(t, s->batch.n, scored);
    rn_net_backward(t->net);
    s->gradients = rn_net_gradients(t->net);
    s->finite = judge(t, RN_OF_GRADIENTS, s->gradients, rn_net_trainable_count(t->net), scored);
    if (t->sum) add_to_sum(s);
    if (s->last) unscale(s);
    if (s->status) return;
    s->goes_on = rn_may_skip(t) ? scored : s->finite;
    rn_net_commit_given(t->net, s->goes_on);
}

/* The step's gradients into the weights, and these into their average. */
static void queue_update(struct step *s)
{
    struct rn_trainer *t = s->t;
    if (t->clip.net && read_verdict(t, s->finite)) rn_clip_gradients(&t->clip, s->gradients);
    rn_optimizer_update(&t->opt, s->gradients, &s->rates, s->finite);
    judge(t, RN_OF_WEIGHTS, rn_net_weights(t->net), rn_net_trainable_count(t->net), NULL);
    if (t->c.average && (t->s.step + 1) % RN_MAX(t->c.average_steps, 1) == 0)
        rn_average_follow(&t->average, t->c.average_decay, s->goes_on);
}

/* -- what it came to --------------------------------------------------------------------------- */

/* Losses and answers of a part into the step's. */
static rn_status score_part(struct step *s)
{
    struct rn_trainer *t = s->t;
    const int classes = t->c.arch.classes;
    rn_net_losses(t->net, t->loss);
    rn_net_logits(t->net, t->logits);
    for (int i = 0; i < s->batch.n; i++) {
        bool top1, top5;
        int answer;
        if (!rn_finite64(t->loss[i])) return not_finite(s, "loss");
        rn_sum_add(&s->loss, t->loss[i]);
        rn_score(&top1, &top5, &answer, t->logits + (size_t)i * (size_t)classes, classes, s->batch.labels[i]);
        s->correct += top1;
    }
    s->images += s->batch.n;
    return RN_OK;
}

/* Waits for what is queued.  RN_EFAIL: the step does not happen, or it made a weight not finite. */
static rn_status collect(struct step *s)
{
    struct rn_trainer *t = s->t;
    int32_t verdict[RN_VERDICTS];
    t->ops->read(t->dev, verdict, t->verdict, sizeof verdict);
    if (s->last && (verdict[RN_OF_WEIGHTS] & ~1)) { /* no verdict: the device failed, and nobody knows what is there */
        t->damaged = t->s.step + 1;
        return rn_fail(RN_EFAIL, "step %" PRId64 ": the device failed", t->damaged);
    }
    rn_status status = score_part(s);
    if (status) return status;
    const bool part = verdict[RN_OF_GRADIENTS] == 1, sum = !t->sum || !s->last || verdict[RN_OF_SUM] == 1;
    if (!part || !sum) {
        s->overflow = true;
        if (rn_may_skip(t)) return RN_OK;
        if (!part) return rn_scaled_failure(t, not_finite(s, "a gradient"));
        return rn_scaled_failure(t, rn_fail(RN_EFAIL, "step %" PRId64 ": the sum of its parts' gradients is not finite",
                                            t->s.step + 1));
    }
    if (s->last && verdict[RN_OF_WEIGHTS] != 1) t->damaged = t->s.step + 1;
    return rn_trainer_intact(t);
}

/* -- the step ---------------------------------------------------------------------------------- */

static rn_status run_part(struct step *s)
{
    struct rn_trainer *t = s->t;
    rn_net_labels(t->net, s->batch.labels, s->batch.n);
    t->ops->run(t->dev, queue_part, s);
    if (s->status) return s->status;
    if (s->last) queue_update(s);
    return collect(s);
}

/* What no verdict guards, as it was before the step: after an overflow the optimiser's count, after a failure all. */
static void take_back(struct rn_trainer *t, const struct rn_optimizer *opt, bool failed)
{
    t->opt = *opt;
    if (!failed) return;
    rn_multiplier_reset(&t->times);
    memcpy(rn_net_batches(t->net), t->batches, t->counters * sizeof *t->batches);
    if (t->sum)
        t->ops->copy(t->dev, rn_net_buffers(t->net), t->buffers, rn_net_buffer_count(t->net) * sizeof(float));
}

/* All parts; on failure nothing has changed (A7, A25), but for weights that an update made not finite. */
static rn_status run_parts(struct step *s)
{
    struct rn_trainer *t = s->t;
    const struct rn_optimizer opt = t->opt;
    rn_status status = RN_OK;
    memcpy(t->batches, rn_net_batches(t->net), t->counters * sizeof *t->batches);
    if (t->sum)
        t->ops->copy(t->dev, t->buffers, rn_net_buffers(t->net), rn_net_buffer_count(t->net) * sizeof(float));
    while (!status && !s->last) {
        if ((status = rn_loader_next(t->train, &s->batch))) break;
        s->last = s->part + 1 == t->c.parts || s->images + s->batch.n == s->total;
        status = run_part(s);
        s->part++;
    }
    if (status || s->overflow) take_back(t, &opt, status != RN_OK);
    return status;
}

static void account(struct rn_trainer *t, const struct step *run, double loss, double seconds)
{
    struct rn_state *s = &t->s;
    s->step++;
    s->step_in_epoch++;
    s->loss_sum = s->loss_sum + loss * (double)run->images;
    s->images += run->images;
    s->correct += run->correct;
    t->train_seconds += seconds;
    t->epoch_seconds += seconds;
    t->train_images += run->images;
    t->epoch_images += run->images;
}

static void report_step(struct rn_trainer *t, struct rn_step *out, double loss, double lr, double scale)
{
    const struct rn_state *s = &t->s;
    *out = (struct rn_step){
        .step = s->step,
        .epoch = s->epoch + 1,
        .epochs = t->c.epochs,
        .step_in_epoch = s->step_in_epoch,
        .steps_per_epoch = t->steps_per_epoch,
        .loss = loss,
        .lr = lr,
        .images = s->images,
        .correct = s->correct,
        .mean_loss = s->loss_sum / (double)s->images,
        .images_per_second = t->epoch_seconds > 0 ? (double)t->epoch_images / t->epoch_seconds : 0,
        .loss_scale = scale,
        .next_scale = t->c.scaling.kind ? s->scaler.scale : 0,
        .hashed = t->c.hash_steps || (!t->c.hash_none && s->step <= t->resumed_at + RN_HASHED_STEPS),
    };
    if (out->hashed) out->hash = rn_net_hash(t->net);
}

/* The loader and the net are where the step is to begin. */
static rn_status begin(struct rn_trainer *t)
{
    if (t->begun) return RN_OK;
    rn_status status = rn_loader_begin(t->train, (uint32_t)t->s.epoch, t->s.step_in_epoch * t->c.parts);
    return status ? status
                  : rn_net_resize(t->net, rn_progressive_side(&t->c.progressive, t->s.epoch, t->c.image_size));
}

static rn_status step_once(struct rn_trainer *t, struct rn_step *out)
{
    const int64_t whole = (int64_t)t->c.batch * t->c.parts, before = t->s.step_in_epoch * whole;
    struct step s = { .t = t, .rates = rn_trainer_rates(t), .total = (int)RN_MIN(whole, t->count - before) };
    const double start = rn_seconds();
    rn_status status = rn_trainer_intact(t);
    if (!status) status = begin(t);
    if (status) return status;
    t->begun = false; /* stays so when the step fails: the loader has moved on */
    if ((status = run_parts(&s))) return status;
    t->begun = true;
    const double scale = t->c.scaling.kind ? t->s.scaler.scale : 0;
    if (t->c.scaling.kind == RN_SCALING_DYNAMIC) rn_scaler_update(&t->s.scaler, s.overflow, t->c.scaling.interval);
    const double loss = rn_sum_total(&s.loss) / (double)s.images;
    account(t, &s, loss, rn_seconds() - start);
    report_step(t, out, loss, s.rates.lr[0], scale);
    out->skipped = s.overflow;
    return RN_OK;
}

rn_status rn_trainer_step(struct rn_trainer *t, struct rn_step *out)
{
    RN_ASSERT(!rn_trainer_epoch_pending(t));
    rn_fpmode mode = rn_fpmode_enter();
    rn_mark_begin("step");
    rn_status status = step_once(t, out);
    rn_mark_end();
    rn_fpmode_leave(mode);
    return status;
}
