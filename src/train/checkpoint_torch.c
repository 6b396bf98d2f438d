/*
 * checkpoint_torch.c - optimiser, schedule and loss scaling as the state dicts that torch.optim.SGD, AdamW,
 * torch's schedulers and GradScaler load (all keys of PyTorch 2.13).  PyTorch numbers parameters in the order of
 * model.parameters(), which is the order of the trainable rows of our table.
 */
#include "train/trainer.h"
#include "base/mem.h"
#include "train/tree.h"

/* -- optimiser --------------------------------------------------------------------------------- */

static struct rn_value *step_tensor(int64_t step)
{
    float *data = rn_alloc(sizeof *data);
    if (!data) return NULL;
    *data = (float)step;
    return rn_tensor_value(RN_F32, 0, NULL, data, true);
}

static struct rn_value *param_state(struct rn_trainer *t, const struct rn_param *p)
{
    struct rn_value *d = rn_dict(false);
    bool ok = d;
    if (ok && t->c.optimizer == RN_SGD)
        ok = rn_tree_put(d, "momentum_buffer", rn_floats_tree(t, t->opt.first + p->offset, p));
    else if (ok)
        ok = rn_tree_put(d, "step", step_tensor(t->opt.t)) &&
             rn_tree_put(d, "exp_avg", rn_floats_tree(t, t->opt.first + p->offset, p)) &&
             rn_tree_put(d, "exp_avg_sq", rn_floats_tree(t, t->opt.second + p->offset, p));
    return rn_tree_end(d, ok);
}

/* {0: {...}, 1: {...}} without those that are frozen; empty before the first step, as torch has it. */
static struct rn_value *states(struct rn_trainer *t)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(t->net, &p);
    struct rn_value *d = rn_dict(false);
    bool ok = d;
    int64_t number = 0;
    for (size_t i = 0; ok && t->opt.t > 0 && i < rows; i++) {
        if (!p[i].trainable) continue;
        if (!rn_frozen(&t->c, &p[i]))
            ok = rn_dict_set_value(d, rn_integer(number), param_state(t, &p[i])) == RN_OK;
        number++;
    }
    return rn_tree_end(d, ok);
}

static struct rn_value *betas(double beta1, double beta2)
{
    struct rn_value *v = rn_tuple();
    bool ok =
        v && rn_list_add(v, rn_real(beta1)) == RN_OK && rn_list_add(v, rn_real(beta2)) == RN_OK;
    return rn_tree_end(v, ok);
}

static double initial_lr(const struct rn_train_config *c, double hi)
{
    return c->schedule.kind == RN_ONE_CYCLE ? hi / c->schedule.divide : hi;
}

static bool put_group_of_optimizer(struct rn_value *d, const struct rn_train_config *c,
                                   double decay, double momentum)
{
    if (c->optimizer == RN_SGD)
        return rn_tree_put(d, "momentum", rn_real(momentum)) &&
               rn_tree_put(d, "dampening", rn_integer(0)) &&
               rn_tree_put(d, "weight_decay", rn_real(decay)) &&
               rn_tree_put(d, "nesterov", rn_boolean(c->nesterov));
    return rn_tree_put(d, "betas", betas(momentum, c->beta2)) &&
           rn_tree_put(d, "eps", rn_real(c->eps)) &&
           rn_tree_put(d, "weight_decay", rn_real(decay)) &&
           rn_tree_put(d, "amsgrad", rn_boolean(false)) &&
           rn_tree_put(d, "capturable", rn_boolean(false)) &&
           rn_tree_put(d, "decoupled_weight_decay", rn_boolean(true));
}

static bool put_one_cycle(struct rn_value *d, const struct rn_schedule *s, double hi)
{
    double start = hi / s->divide;
    return rn_tree_put(d, "max_lr", rn_real(hi)) &&
           rn_tree_put(d, "min_lr", rn_real(start / s->final_divide)) &&
           (!s->cycle_momentum || (rn_tree_put(d, "max_momentum", rn_real(s->momentum_high)) &&
                                   rn_tree_put(d, "base_momentum", rn_real(s->momentum_low))));
}

/* Numbers of the parameters of group g. */
static struct rn_value *members(const struct rn_trainer *t, int g)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(t->net, &p);
    struct rn_value *list = rn_list();
    bool ok = list;
    int64_t number = -1;
    for (size_t i = 0; ok && i < rows; i++) {
        number += p[i].trainable;
        if (p[i].trainable && rn_optimizer_group(&t->opt, &p[i]) == g)
            ok = rn_list_add(list, rn_integer(number)) == RN_OK;
    }
    return rn_tree_end(list, ok);
}

static struct rn_value *group(const struct rn_trainer *t, int g, const struct rn_rates *r)
{
    const struct rn_train_config *c = &t->c;
    const double hi = t->opt.group[g].peak, decay = t->opt.group[g].decay;
    struct rn_value *d = rn_dict(false);
    bool ok =
        d && rn_tree_put(d, "lr", rn_real(r->lr[g])) &&
        put_group_of_optimizer(d, c, decay, r->momentum) &&
        rn_tree_put(d, "maximize", rn_boolean(false)) && rn_tree_put(d, "foreach", rn_none()) &&
        rn_tree_put(d, "differentiable", rn_boolean(false)) && rn_tree_put(d, "fused", rn_none()) &&
        rn_tree_put(d, "initial_lr", rn_real(initial_lr(c, hi)));
    if (ok && c->schedule.kind == RN_ONE_CYCLE) ok = put_one_cycle(d, &c->schedule, hi);
    return rn_tree_end(d, ok && rn_tree_put(d, "params", members(t, g)));
}

struct rn_value *rn_optimizer_tree(struct rn_trainer *t)
{
    struct rn_rates r = rn_trainer_rates(t);
    struct rn_value *d = rn_dict(false), *groups = rn_list();
    bool ok = d && groups;
    for (int g = 0; ok && g < t->opt.groups; g++)
        ok = rn_list_add(groups, group(t, g, &r)) == RN_OK;
    ok = ok && rn_tree_put(d, "state", states(t));
    if (!ok) rn_value_free(groups);
    return rn_tree_end(d, ok && rn_tree_put(d, "param_groups", groups));
}

/* -- schedule ---------------------------------------------------------------------------------- */
static struct rn_value *peaks(const struct rn_trainer *t)
{
    double x[RN_GROUPS];
    for (int g = 0; g < t->opt.groups; g++) x[g] = initial_lr(&t->c, t->opt.group[g].peak);
    return rn_tree_reals(x, (size_t)t->opt.groups);
}

static struct rn_value *rates_now(const struct rn_trainer *t)
{
    struct rn_rates r = rn_trainer_rates(t);
    return rn_tree_reals(r.lr, (size_t)t->opt.groups);
}

/* What every torch scheduler has; last: how often it has been stepped. */
static bool put_common(struct rn_value *d, const struct rn_trainer *t, int64_t last)
{
    return rn_tree_put(d, "base_lrs", peaks(t)) &&
           rn_tree_put(d, "last_epoch", rn_integer(last)) &&
           rn_tree_put(d, "_step_count", rn_integer(last + 1)) &&
           rn_tree_put(d, "_is_initial", rn_boolean(false)) &&
           rn_tree_put(d, "_get_lr_called_within_step", rn_boolean(false)) &&
           rn_tree_put(d, "_last_lr", rates_now(t));
}

static struct rn_value *phase(const char *from, const char *to, struct rn_value *end, bool first)
{
    struct rn_value *d = rn_dict(false);
    bool ok =
        rn_tree_put(d, "end_step", end) && rn_tree_put(d, "start_lr", rn_string(from)) &&
        rn_tree_put(d, "end_lr", rn_string(to)) &&
        rn_tree_put(d, "start_momentum", rn_string(first ? "max_momentum" : "base_momentum")) &&
        rn_tree_put(d, "end_momentum", rn_string(first ? "base_momentum" : "max_momentum"));
    return rn_tree_end(d, ok);
}

static bool put_one_cycle_schedule(struct rn_value *d, const struct rn_trainer *t)
{
    const struct rn_schedule *s = &t->c.schedule;
    int64_t total = s->span * s->steps_per_epoch;
    struct rn_value *phases = rn_list();
    bool ok = phases &&
              rn_list_add(phases, phase("initial_lr", "max_lr",
                                        rn_real(s->rise * (double)total - 1.0), true)) == RN_OK &&
              rn_list_add(phases, phase("max_lr", "min_lr", rn_integer(total - 1), false)) == RN_OK;
    phases = rn_tree_end(phases, ok);
    return rn_tree_put(d, "_schedule_phases", phases) &&
           rn_tree_put(d, "total_steps", rn_integer(total)) &&
           rn_tree_put(d, "_anneal_func_type", rn_string("cos")) &&
           rn_tree_put(d, "cycle_momentum", rn_boolean(s->cycle_momentum)) &&
           rn_tree_put(d, "use_beta1", rn_boolean(t->c.optimizer == RN_ADAMW)) &&
           put_common(d, t, RN_MIN(t->s.step, total));
}

static bool put_plateau(struct rn_value *d, const struct rn_trainer *t)
{
    const struct rn_schedule *s = &t->c.schedule;
    const struct rn_plateau *p = &t->s.plateau;
    double worst = (s->rising ? -1e300 : 1e300) * 1e300, low[RN_GROUPS];
    for (int g = 0; g < t->opt.groups; g++) low[g] = s->low;
    return rn_tree_put(d, "factor", rn_real(s->factor)) &&
           rn_tree_put(d, "default_min_lr", rn_real(s->low)) &&
           rn_tree_put(d, "min_lrs", rn_tree_reals(low, (size_t)t->opt.groups)) &&
           rn_tree_put(d, "patience", rn_integer(s->patience)) &&
           rn_tree_put(d, "cooldown", rn_integer(s->cooldown)) &&
           rn_tree_put(d, "eps", rn_real(s->least_cut)) &&
           rn_tree_put(d, "mode", rn_string(s->rising ? "max" : "min")) &&
           rn_tree_put(d, "threshold", rn_real(s->threshold)) &&
           rn_tree_put(d, "threshold_mode", rn_string(s->absolute ? "abs" : "rel")) &&
           rn_tree_put(d, "mode_worse", rn_real(worst)) &&
           rn_tree_put(d, "best", rn_real(p->any ? p->best : worst)) &&
           rn_tree_put(d, "cooldown_counter", rn_integer(p->cooldown)) &&
           rn_tree_put(d, "num_bad_epochs", rn_integer(p->bad)) && put_common(d, t, t->s.epoch);
}

/* The schedule after the warm-up, `last` epochs into it. */
static struct rn_value *main_schedule(const struct rn_trainer *t, int64_t last)
{
    const struct rn_schedule *s = &t->c.schedule;
    struct rn_value *d = rn_dict(false);
    bool ok = d;
    switch (s->kind) {
    case RN_COSINE:
        ok = ok && rn_tree_put(d, "T_max", rn_integer(s->span)) &&
             rn_tree_put(d, "eta_min", rn_real(s->low)) && put_common(d, t, last);
        break;
    case RN_STEP_DECAY:
        ok = ok && rn_tree_put(d, "step_size", rn_integer(s->step_size)) &&
             rn_tree_put(d, "gamma", rn_real(s->gamma)) && put_common(d, t, last);
        break;
    case RN_CONSTANT: /* torch.optim.lr_scheduler.ConstantLR with nothing to change */
        ok = ok && rn_tree_put(d, "factor", rn_real(1)) &&
             rn_tree_put(d, "total_iters", rn_integer(0)) && put_common(d, t, last);
        break;
    case RN_ONE_CYCLE: ok = ok && put_one_cycle_schedule(d, t); break;
    case RN_PLATEAU: ok = ok && put_plateau(d, t); break;
    }
    return rn_tree_end(d, ok);
}

/* The linear warm-up as torch.optim.lr_scheduler.LinearLR: (t + 1) / W for t = 0 ... W - 1. */
static struct rn_value *warmup_schedule(const struct rn_trainer *t, int64_t last)
{
    int64_t w = t->c.schedule.warmup;
    struct rn_value *d = rn_dict(false);
    bool ok = d && rn_tree_put(d, "start_factor", rn_real(1.0 / (double)w)) &&
              rn_tree_put(d, "end_factor", rn_real(1)) &&
              rn_tree_put(d, "total_iters", rn_integer(w - 1)) && put_common(d, t, last);
    return rn_tree_end(d, ok);
}

/* With a warm-up of W epochs: SequentialLR of the two, which turns at epoch W. */
struct rn_value *rn_schedule_tree(struct rn_trainer *t)
{
    int64_t w = t->c.schedule.warmup, epoch = t->s.epoch;
    if (!w) return main_schedule(t, epoch);
    struct rn_value *d = rn_dict(false), *both = rn_list(), *turn = rn_list();
    bool ok = d && rn_list_add(both, warmup_schedule(t, RN_MIN(epoch, w - 1))) == RN_OK &&
              rn_list_add(both, main_schedule(t, RN_MAX(epoch - w, 0))) == RN_OK &&
              rn_list_add(turn, rn_integer(w)) == RN_OK;
    both = rn_tree_end(both, ok);
    turn = rn_tree_end(turn, ok);
    if (!ok || !rn_tree_put(d, "_schedulers", both)) {
        rn_value_free(turn);
        return rn_tree_end(d, false);
    }
    ok = rn_tree_put(d, "_milestones", turn) && rn_tree_put(d, "last_epoch", rn_integer(epoch)) &&
         rn_tree_put(d, "_last_lr", rates_now(t));
    return rn_tree_end(d, ok);
}

/* -- loss scaling ------------------------------------------------------------------------------ */
struct rn_value *rn_scaler_tree(const struct rn_trainer *t)
{
    struct rn_value *d = rn_dict(false);
    bool ok = d && rn_tree_put(d, "scale", rn_real(t->s.scaler.scale)) &&
              rn_tree_put(d, "growth_factor", rn_real(2)) && rn_tree_put(d, "backoff_factor", rn_real(0.5)) &&
              rn_tree_put(d, "growth_interval", rn_integer(t->c.scaling.interval)) &&
              rn_tree_put(d, "_growth_tracker", rn_integer(t->s.scaler.tracker));
    return rn_tree_end(d, ok);
}
