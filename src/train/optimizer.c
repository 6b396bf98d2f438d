/*
 * optimizer.c - SGD (A26) and AdamW (A27) over the net's one flat array of trainable floats.
 * Parameters fall into groups of one peak rate and one weight decay, as in torch.optim; neighbours of
 * one group are updated together.
 */
#include "train/trainer.h"
#include "base/marks.h"
#include "base/mem.h"

#include <string.h>

const char *rn_optimizer_name(enum rn_optimizer_kind kind)
{
    return kind == RN_SGD ? "sgd" : "adamw";
}

/* -- what is frozen ---------------------------------------------------------------------------- */

bool rn_frozen(const struct rn_train_config *c, const struct rn_param *p)
{
    return rn_frozen_by(c->freeze, p);
}

/* Every beginning must be of something, and something must be left to train. */
static rn_status check_frozen(const struct rn_train_config *c, const struct rn_net *net)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p), length, i;
    const char *stray = rn_freeze_stray(&length, c->freeze, p, rows);
    if (stray)
        return rn_fail(RN_EUSAGE, "--freeze %.*s: no parameter's name begins so (conv1, bn1, layer1 ... layer4, fc do)",
                       (int)length, stray);
    for (i = 0; i < rows && (!p[i].trainable || rn_frozen(c, &p[i])); i++) continue;
    return i < rows ? RN_OK : rn_fail(RN_EUSAGE, "--freeze %s leaves nothing to train", c->freeze);
}

/* -- groups ------------------------------------------------------------------------------------ */

/* The group that the settings put a parameter into.  Norms and biases as torchvision's training
 * script has them: a bias is whatever is called so, also of a norm. */
static struct rn_group wanted(const struct rn_train_config *c, const struct rn_param *p)
{
    bool bias = p->kind == RN_PARAM_BETA || p->kind == RN_PARAM_FC_BIAS;
    bool norm = p->kind == RN_PARAM_BETA || p->kind == RN_PARAM_GAMMA;
    bool head = p->kind == RN_PARAM_FC_WEIGHT || p->kind == RN_PARAM_FC_BIAS;
    struct rn_group g = { head ? c->head_lr : c->lr, c->weight_decay };
    if (bias && c->bias_lr.given) g.peak = c->bias_lr.value;
    if (bias && c->bias_decay.given) g.decay = c->bias_decay.value;
    else if (norm && c->norm_decay.given) g.decay = c->norm_decay.value;
    return g;
}

int rn_optimizer_group(const struct rn_optimizer *o, const struct rn_param *p)
{
    struct rn_group g = wanted(o->config, p);
    int i = 0;
    while (i < o->groups && (o->group[i].peak != g.peak || o->group[i].decay != g.decay)) i++;
    return i;
}

/* Groups in the order of their first parameter, and the spans of neighbours. */
static rn_status make_groups(struct rn_optimizer *o)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(o->net, &p);
    o->span = rn_alloc_array(rows, sizeof *o->span);
    if (!o->span) return RN_ENOMEM;
    for (size_t i = 0; i < rows; i++) {
        if (!p[i].trainable) continue;
        int g = rn_optimizer_group(o, &p[i]);
        if (g == o->groups) o->group[o->groups++] = wanted(o->config, &p[i]);
        if (rn_frozen(o->config, &p[i])) continue;
        struct rn_span *last = o->spans ? &o->span[o->spans - 1] : NULL;
        if (last && last->group == g && last->at + last->count == p[i].offset)
            last->count += p[i].count;
        else
            o->span[o->spans++] = (struct rn_span){ p[i].offset, p[i].count, g };
    }
    return RN_OK;
}

/* -- state and update -------------------------------------------------------------------------- */
static double power(double beta, int64_t t)
{
    double p = 1;
    for (int64_t i = 0; i < t; i++) p = p * beta;
    return p;
}

void rn_optimizer_set_time(struct rn_optimizer *o, int64_t t)
{
    o->t = t;
    o->powers_of = -1;
    o->power2 = power(o->config->beta2, t);
}

rn_status rn_optimizer_create(struct rn_optimizer *o, const struct rn_train_config *c,
                              struct rn_net *net)
{
    const struct rn_ops *ops = rn_net_ops(net);
    void *dev = rn_net_dev(net), *memory;
    size_t bytes = rn_net_trainable_count(net) * sizeof(float);
    *o = (struct rn_optimizer){ .config = c, .net = net, .count = rn_net_trainable_count(net) };
    rn_optimizer_set_time(o, 0);
    rn_status status = check_frozen(c, net);
    if (status == RN_OK) status = make_groups(o);
    if (status == RN_OK) status = ops->alloc(dev, &memory, bytes);
    if (status) return status;
    o->first = memory;
    if (c->optimizer != RN_ADAMW) return RN_OK;
    status = ops->alloc(dev, &memory, bytes);
    if (status == RN_OK) o->second = memory;
    return status;
}

void rn_optimizer_free(struct rn_optimizer *o)
{
    if (!o->net) return;
    const struct rn_ops *ops = rn_net_ops(o->net);
    ops->release(rn_net_dev(o->net), o->first);
    ops->release(rn_net_dev(o->net), o->second);
    rn_free(o->span);
    *o = (struct rn_optimizer){0};
}

/* beta1^t and beta2^t for the t just reached.  A one-cycle moves beta1; then its power starts
 * over. */
static void advance_powers(struct rn_optimizer *o, double beta1)
{
    o->power1 = beta1 == o->powers_of ? o->power1 * beta1 : power(beta1, o->t);
    o->power2 = o->power2 * o->config->beta2;
    o->powers_of = beta1;
}

static void update_span(struct rn_optimizer *o, const float *gradients, const struct rn_span *span,
                        const struct rn_rates *r, const int32_t *given)
{
    const struct rn_train_config *c = o->config;
    const struct rn_ops *ops = rn_net_ops(o->net);
    void *dev = rn_net_dev(o->net);
    float *weights = rn_net_weights(o->net) + span->at, *first = o->first + span->at;
    const double lr = r->lr[span->group], decay = o->group[span->group].decay;
    gradients += span->at;
    if (c->optimizer == RN_SGD) {
        struct rn_sgd hp = { lr, r->momentum, decay, c->nesterov, given };
        ops->sgd_update(dev, weights, first, gradients, span->count, &hp);
    } else {
        struct rn_adamw hp = {
            lr, r->momentum, c->beta2, c->eps, decay, o->power1, o->power2, given
        };
        ops->adamw_update(dev, weights, first, o->second + span->at, gradients, span->count, &hp);
    }
}

void rn_optimizer_update(struct rn_optimizer *o, const float *gradients, const struct rn_rates *r, const int32_t *given)
{
    o->t++;
    if (o->config->optimizer == RN_ADAMW) advance_powers(o, r->momentum);
    rn_mark_begin("Optimizer.step");
    for (size_t i = 0; i < o->spans; i++) update_span(o, gradients, &o->span[i], r, given);
    rn_mark_end();
    rn_net_touch(o->net);
}
