/*
 * optimizer.c - SGD (A26) and AdamW (A27) over the net's one flat array of trainable floats.  The
 * head may have its own rate; fc.* stand last in the state dict, so the array splits into two runs.
 */
#include "train/trainer.h"

#include <string.h>

const char *rn_optimizer_name(enum rn_optimizer_kind kind)
{
    return kind == RN_SGD ? "sgd" : "adamw";
}

/* Where fc.weight begins; everything trainable from there on is the head. */
static size_t head_offset(const struct rn_net *net)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    for (size_t i = 0; i < rows; i++)
        if (p[i].kind == RN_PARAM_FC_WEIGHT) return p[i].offset;
    return rn_net_trainable_count(net);
}

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
    *o = (struct rn_optimizer){ .config = c, .net = net, .head = head_offset(net),
                                .count = rn_net_trainable_count(net) };
    rn_optimizer_set_time(o, 0);
    rn_status status = ops->alloc(dev, &memory, bytes);
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

static void update_run(struct rn_optimizer *o, const float *gradients, size_t at, size_t count,
                       double lr, double momentum)
{
    const struct rn_train_config *c = o->config;
    const struct rn_ops *ops = rn_net_ops(o->net);
    void *dev = rn_net_dev(o->net);
    float *weights = rn_net_weights(o->net) + at;
    if (!count) return;
    if (c->optimizer == RN_SGD) {
        struct rn_sgd hp = { lr, momentum, c->weight_decay, c->nesterov };
        ops->sgd_update(dev, weights, o->first + at, gradients + at, count, &hp);
    } else {
        struct rn_adamw hp = {
            lr, momentum, c->beta2, c->eps, c->weight_decay, o->power1, o->power2
        };
        ops->adamw_update(dev, weights, o->first + at, o->second + at, gradients + at, count, &hp);
    }
}

void rn_optimizer_update(struct rn_optimizer *o, const float *gradients, const struct rn_rates *r)
{
    o->t++;
    if (o->config->optimizer == RN_ADAMW) advance_powers(o, r->momentum);
    update_run(o, gradients, 0, o->head, r->lr, r->momentum);
    update_run(o, gradients, o->head, o->count - o->head, r->head_lr, r->momentum);
    rn_net_touch(o->net);
}
