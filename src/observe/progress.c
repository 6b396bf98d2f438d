/*
 * progress.c - training as people watch it: a bar that redraws itself on a terminal, one plain line
 * per epoch everywhere.  Only formats; the caller's function writes.
 */
#include "observe/observe.h"

#include <inttypes.h>

#define REDRAW_SECONDS 0.1
#define BAR_CELLS 24  /* of a wide terminal */
#define REST_CELLS 74 /* what stands beside the bar */
#define WORTH_SAYING 0.02 /* share of an epoch's time that went by waiting for images */

static void clear_bar(struct rn_progress *p)
{
    if (p->drawn) p->write(p->arg, "\r\033[K");
    p->drawn = false;
}

static void emit(struct rn_progress *p, struct rn_text *t)
{
    if (rn_text_status(t) == RN_OK && t->data) p->write(p->arg, t->data);
    rn_text_free(t);
}

static void add_duration(struct rn_text *t, double seconds)
{
    int64_t s = seconds < 1e9 ? (int64_t)seconds : 999999999;
    if (s >= 3600)
        rn_text_add(t, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        rn_text_add(t, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

static void add_bar(struct rn_text *t, const struct rn_step *s, int cells, bool color)
{
    int full = (int)(s->step_in_epoch * cells / RN_MAX(s->steps_per_epoch, 1));
    rn_text_add(t, "%s[", color ? "\033[36m" : "");
    for (int i = 0; i < cells; i++) rn_text_bytes(t, i < full ? "=" : i == full ? ">" : " ", 1);
    rn_text_add(t, "]%s", color ? "\033[0m" : "");
}

/* Seconds until the last step of the last epoch, from the speed of this epoch; validation not
 * counted. */
static double remaining(const struct rn_step *s)
{
    double images_per_step = (double)s->images / (double)RN_MAX(s->step_in_epoch, 1);
    int64_t steps = (s->epochs - s->epoch + 1) * s->steps_per_epoch - s->step_in_epoch;
    return s->images_per_second > 0 ? (double)steps * images_per_step / s->images_per_second : 0;
}

void rn_progress_step(struct rn_progress *p, const struct rn_step *s)
{
    double now = rn_seconds();
    if (!p->terminal || (p->drawn && now - p->last_draw < REDRAW_SECONDS)) return;
    p->last_draw = now;
    struct rn_text t = {0};
    rn_text_add(&t, "\r\033[Kepoch %" PRId64 "/%" PRId64 " ", s->epoch, s->epochs);
    int cells = RN_MIN(p->columns - REST_CELLS, BAR_CELLS);
    if (cells >= 6) add_bar(&t, s, cells, p->color);
    rn_text_add(&t, " %" PRId64 "/%" PRId64 " loss ", s->step_in_epoch, s->steps_per_epoch);
    rn_text_fixed(&t, s->mean_loss, 4);
    rn_text_add(&t, " acc ");
    rn_text_fixed(&t, 100.0 * (double)s->correct / (double)RN_MAX(s->images, 1), 2);
    rn_text_add(&t, "%% ");
    rn_text_fixed(&t, s->images_per_second, 1);
    rn_text_add(&t, " img/s ETA ");
    add_duration(&t, remaining(s));
    emit(p, &t);
    p->drawn = true;
}

void rn_epoch_text(struct rn_text *t, const struct rn_epoch *e)
{
    rn_text_add(t, "epoch %" PRId64 "/%" PRId64 "  train loss ", e->epoch, e->epochs);
    rn_text_fixed(t, e->train_loss, 4);
    rn_text_add(t, " acc ");
    rn_text_fixed(t, e->train_acc, 2);
    rn_text_add(t, "%%  val loss ");
    rn_text_fixed(t, e->val_loss, 4);
    rn_text_add(t, " acc ");
    rn_text_fixed(t, e->val_acc, 2);
    rn_text_add(t, "%%%s  lr ", e->best ? " (best)" : "");
    rn_text_fixed(t, e->lr, 6);
    rn_text_add(t, "  ");
    rn_text_fixed(t, e->images_per_second, 1);
    rn_text_add(t, " img/s");
    if (!(e->waited > WORTH_SAYING * e->seconds)) return;
    rn_text_add(t, ", waited ");
    rn_text_fixed(t, 100 * e->waited / e->seconds, 1);
    rn_text_add(t, "%% for images");
}

void rn_step_text(struct rn_text *t, const struct rn_step *s)
{
    char loss[RN_NUMBER_CHARS];
    rn_text_add(t, "step %" PRId64 " loss %s weights %016" PRIx64, s->step,
                rn_hex_text(loss, s->loss), s->hash);
}

void rn_skip_text(struct rn_text *t, const struct rn_step *s)
{
    char scale[RN_NUMBER_CHARS], next[RN_NUMBER_CHARS];
    rn_text_add(t, "step %" PRId64 ": a gradient is not finite with the loss scaled by %s: no update; the scale is "
                   "now %s", s->step, rn_number_text(scale, s->loss_scale), rn_number_text(next, s->next_scale));
}

void rn_epoch_hash_text(struct rn_text *t, const struct rn_epoch *e)
{
    char loss[RN_NUMBER_CHARS];
    rn_text_add(t, "epoch %" PRId64 " step %" PRId64 " loss %s weights %016" PRIx64, e->epoch,
                e->steps, rn_hex_text(loss, e->train_loss), e->hash);
}

void rn_progress_epoch(struct rn_progress *p, const struct rn_epoch *e)
{
    struct rn_text t = {0};
    clear_bar(p);
    rn_epoch_text(&t, e);
    rn_text_add(&t, "\n");
    emit(p, &t);
}

void rn_progress_line(struct rn_progress *p, const char *line)
{
    struct rn_text t = {0};
    clear_bar(p);
    rn_text_add(&t, "%s\n", line);
    emit(p, &t);
}
