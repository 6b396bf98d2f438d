/*
 * schedule.c - learning rates by A28, all in double with the project's own cosine, so that a rate
 * has the same bits on every machine.  PyTorch's chained updates differ from these closed forms in
 * the last bits.
 */
#include "train/schedule.h"
#include "base/math.h"

/* From `a` (t = 0) to `b` (t = 1) along half a cosine. */
static double half_cosine(double a, double b, double t)
{
    return b + (a - b) * (0.5 * (1.0 + rn_cospi(t)));
}

/* OneCycleLR's two phases: a -> peak over the rising steps, peak -> b over the rest.  The first
 * ends at step rise * total - 1, which need not be an integer. */
static double one_cycle(const struct rn_schedule *s, int64_t step, double a, double peak, double b)
{
    double last = (double)s->span * (double)s->steps_per_epoch - 1.0;
    double turn = s->rise * (last + 1.0) - 1.0;
    double t = (double)step < last ? (double)step : last;
    if (t <= turn) return turn > 0 ? half_cosine(a, peak, t / turn) : peak;
    return last > turn ? half_cosine(peak, b, (t - turn) / (last - turn)) : b;
}

static double powered(double x, double factor, int64_t times)
{
    for (int64_t i = 0; i < times && x != 0; i++) x = x * factor;
    return x;
}

static double after_cuts(const struct rn_schedule *s, double lr, int64_t cuts)
{
    for (int64_t i = 0; i < cuts; i++) {
        double next = RN_MAX(lr * s->factor, s->low);
        if (!(lr - next > s->least_cut)) break;
        lr = next;
    }
    return lr;
}

double rn_schedule_lr(const struct rn_schedule *s, double hi, int64_t step, int64_t epoch,
                      const struct rn_plateau *p)
{
    if (s->kind == RN_ONE_CYCLE) {
        double start = hi / s->divide;
        return one_cycle(s, step, start, hi, start / s->final_divide);
    }
    if (epoch < s->warmup) return hi * ((double)(epoch + 1) / (double)s->warmup);
    int64_t t = epoch - s->warmup;
    switch (s->kind) {
    case RN_COSINE:
        return half_cosine(hi, s->low, (double)RN_MIN(t, s->span) / (double)RN_MAX(s->span, 1));
    case RN_STEP_DECAY: return powered(hi, s->gamma, t / s->step_size);
    case RN_PLATEAU: return after_cuts(s, hi, p->cuts);
    case RN_CONSTANT:
    case RN_ONE_CYCLE: break;
    }
    return hi;
}

double rn_schedule_momentum(const struct rn_schedule *s, double momentum, int64_t step)
{
    if (s->kind != RN_ONE_CYCLE || !s->cycle_momentum) return momentum;
    return one_cycle(s, step, s->momentum_high, s->momentum_low, s->momentum_high);
}

/* As ReduceLROnPlateau.is_better. */
static bool gained(const struct rn_plateau *p, const struct rn_schedule *s, double value)
{
    const double by = s->absolute ? s->threshold : 0, parts = s->absolute ? 0 : s->threshold;
    if (!p->any) return true;
    return s->rising ? value > p->best * (1.0 + parts) + by : value < p->best * (1.0 - parts) - by;
}

/* As ReduceLROnPlateau.step. */
void rn_plateau_update(struct rn_plateau *p, const struct rn_schedule *s, double value)
{
    if (gained(p, s, value)) {
        p->best = value;
        p->any = true;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->cooldown > 0) {
        p->cooldown--;
        p->bad = 0;
    }
    if (p->bad > s->patience) {
        p->cuts++;
        p->cooldown = s->cooldown;
        p->bad = 0;
    }
}
