/*
 * loop.c - a whole run: steps, epochs, checkpoints, and every way to end.  Whatever ends it, the
 * last good state is on disk before the function returns.
 */
#include "train/trainer.h"
#include "base/file.h"
#include "base/marks.h"

#include <inttypes.h>
#include <stdio.h>

struct loop {
    struct rn_trainer *t;
    struct rn_run *run;         /* or NULL */
    const struct rn_observer *o;
    int64_t saved;              /* step of the last checkpoint written; < 0: none */
    bool best_written;
};

static int stop_asked(void *arg)
{
    const struct rn_observer *o = arg;
    return o->stop ? o->stop(o->arg) : 0;
}

static rn_status write(const char *path, const struct rn_value *root)
{
    rn_mark_begin("write a file");
    rn_status status = rn_pth_write(path, root);
    rn_mark_end();
    return status;
}

/* NAME_last.pth comes after all else that an epoch leaves: whoever is killed in between does the epoch's
 * end again, and leaves the same. */
static rn_status save(struct loop *l, bool best)
{
    rn_status status = rn_trainer_intact(l->t);
    if (status || !l->run) return status;
    rn_mark_begin("checkpoint");
    struct rn_value *root = rn_trainer_tree(l->t);
    status = root ? RN_OK : RN_ENOMEM;
    if (status == RN_OK && best) status = write(rn_run_best(l->run), root);
    if (status == RN_OK) status = write(rn_run_last(l->run), root);
    rn_value_free(root);
    rn_mark_end();
    if (status) return status;
    l->saved = l->t->s.step;
    l->best_written |= best;
    return RN_OK;
}

/* A not-finite step, or a file of the data set that is gone: the state before it is still whole, unless the update
 * itself did the damage. */
static rn_status end_failed(struct loop *l, rn_status failure)
{
    char why[512];
    snprintf(why, sizeof why, "%s", rn_error());
    if (!l->run) return rn_fail(failure, "%s", why);
    if (l->t->damaged && l->saved < 0)
        return rn_fail(failure, "%s; no checkpoint was written", why);
    if (!l->t->damaged && save(l, false))
        return rn_fail(failure,
                       "%s; nor could the state before it be "
                       "saved",
                       why);
    return rn_fail(failure, "%s; the state after step %" PRId64 " is in %s", why, l->saved,
                   rn_run_last(l->run));
}

static rn_status end_stopped(struct loop *l)
{
    rn_status status = save(l, false);
    if (status) return status;
    return rn_fail(RN_EINTR, "stopped after step %" PRId64 "%s%s", l->t->s.step,
                   l->run ? "; go on with --resume " : "", l->run ? rn_run_last(l->run) : "");
}

static rn_status save_as_asked(struct loop *l)
{
    char line[512];
    rn_status status = save(l, false);
    if (status || !l->run || !l->o->on_line) return status;
    snprintf(line, sizeof line, "as asked: the state after step %" PRId64 " is in %s", l->saved, rn_run_last(l->run));
    l->o->on_line(l->o->arg, line);
    return RN_OK;
}

static rn_status do_step(struct loop *l)
{
    struct rn_step s;
    rn_status status = rn_trainer_step(l->t, &s);
    if (status) return status;
    if (l->run && (status = rn_run_step(l->run, &s))) return status;
    if (l->o->on_step) l->o->on_step(l->o->arg, &s);
    const int64_t every = l->t->c.checkpoint_every;
    if (l->o->save && l->o->save(l->o->arg)) return save_as_asked(l);
    return every > 0 && s.step % every == 0 ? save(l, false) : RN_OK;
}

static rn_status do_epoch_end(struct loop *l)
{
    struct rn_epoch e;
    rn_status status = rn_trainer_end_epoch(l->t, &e, stop_asked, (void *)l->o);
    if (status) return status;
    if (l->run && (status = rn_run_epoch(l->run, &e))) return status;
    if ((status = save(l, e.best))) return status;
    if (l->o->on_epoch) l->o->on_epoch(l->o->arg, &e);
    return RN_OK;
}

/* A run that ends inside an epoch is validated once for its summary; nothing later depends on
 * it. */
static rn_status end_done(struct loop *l)
{
    struct rn_state *s = &l->t->s;
    bool fresh = s->step > 0 && s->eval_step != s->step;
    rn_status status = RN_OK;
    if (fresh) status = rn_trainer_validate(l->t, stop_asked, (void *)l->o);
    if (status) return status;
    bool best = l->run && !l->best_written && s->best_acc < 0 && s->step > 0;
    return fresh || best || l->saved != s->step ? save(l, best) : RN_OK;
}

rn_status rn_train(struct rn_trainer *t, struct rn_run *run, const struct rn_observer *o)
{
    struct loop l = { .t = t, .run = run, .o = o, .saved = -1 };
    bool idle = rn_trainer_done(t) && t->s.step > 0 && t->s.eval_step == t->s.step;
    rn_status status = RN_OK;
    if (idle && (!run || rn_path_exists(rn_run_last(run)))) return RN_OK; /* a finished run */
    while (status == RN_OK && !rn_trainer_done(t)) {
        if (stop_asked((void *)o)) return end_stopped(&l);
        status = rn_trainer_epoch_pending(t) ? do_epoch_end(&l) : do_step(&l);
    }
    if (status == RN_OK) status = end_done(&l);
    if (status == RN_EINTR) return end_stopped(&l);
    return status == RN_EFAIL || status == RN_EINPUT ? end_failed(&l, status) : status;
}

rn_status rn_trainer_save(struct rn_trainer *t, const char *path)
{
    rn_status status = rn_trainer_intact(t);
    if (status) return status;
    struct rn_value *root = rn_trainer_tree(t);
    if (!root) return RN_ENOMEM;
    status = rn_pth_write(path, root);
    rn_value_free(root);
    return status;
}

/* -- the summary ------------------------------------------------------------------------------- */
void rn_trainer_summary(struct rn_trainer *t, struct rn_summary *out)
{
    const struct rn_state *s = &t->s;
    out->steps = s->step;
    out->epochs = s->epoch;
    out->train_loss = s->images ? s->loss_sum / (double)s->images : s->train_loss;
    out->val_acc = s->eval_step == s->step ? s->val_acc : -1;
    out->best_acc = RN_MAX(s->best_acc, out->val_acc);
    out->images_per_second = t->train_seconds > 0 ? (double)t->train_images / t->train_seconds : 0;
    out->waited_seconds = rn_loader_waited(t->train);
    out->peak_rss_mb = rn_peak_rss_mb();
    rn_cpu_name(out->cpu);
    snprintf(out->build, sizeof out->build, "%s", t->c.build);
    rn_average_exchange(&t->average);
    out->weights_hash = rn_net_hash(t->net);
    rn_average_exchange(&t->average);
    out->numerics = t->c.numerics;
    out->isa = t->ops->isa(t->dev);
    out->backend = t->ops->name;
    out->data = t->c.data->spec;
    out->train_images = rn_loader_count(t->train);
    out->val_images = rn_loader_count(t->val);
    out->skipped_images = t->c.data->skipped;
    out->skipped_steps = s->scaler.skipped;
    out->loss_scale = t->c.scaling.kind ? s->scaler.scale : 0;
}

static void add_real(struct rn_text *t, const char *key, double x, bool known)
{
    rn_text_add(t, ",\n  \"%s\": ", key);
    if (known) rn_text_number(t, x);
    else rn_text_add(t, "null");
}

static void add_string(struct rn_text *t, const char *key, const char *text)
{
    rn_text_add(t, ",\n  \"%s\": ", key);
    rn_text_json(t, text);
}

rn_status rn_summary_text(struct rn_text *t, const struct rn_summary *s)
{
    rn_text_add(t, "{\n  \"steps\": %" PRId64 ",\n  \"epochs\": %" PRId64, s->steps, s->epochs);
    add_real(t, "train_loss", s->train_loss, s->steps > 0);
    add_real(t, "val_acc", s->val_acc, s->val_acc >= 0);
    add_real(t, "best_acc", s->best_acc, s->best_acc >= 0);
    add_real(t, "images_per_second", s->images_per_second, true);
    add_real(t, "seconds", s->seconds, true);
    add_real(t, "waited_seconds", s->waited_seconds, true);
    add_real(t, "peak_rss_mb", s->peak_rss_mb, true);
    rn_text_add(t, ",\n  \"weights_hash\": \"%016" PRIx64 "\"", s->weights_hash);
    add_string(t, "numerics", s->numerics);
    add_string(t, "isa", s->isa);
    add_string(t, "backend", s->backend);
    add_string(t, "cpu", s->cpu);
    add_string(t, "build", s->build);
    rn_text_add(t, ",\n  \"threads\": %d", s->threads);
    add_string(t, "data", s->data);
    rn_text_add(t, ",\n  \"train_images\": %" PRId64 ",\n  \"val_images\": %" PRId64, s->train_images, s->val_images);
    rn_text_add(t, ",\n  \"skipped_steps\": %" PRId64, s->skipped_steps);
    add_real(t, "loss_scale", s->loss_scale, s->loss_scale > 0);
    rn_text_add(t, ",\n  \"skipped_images\": %" PRId64 "\n}\n", s->skipped_images);
    return rn_text_status(t);
}
