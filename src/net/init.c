/*
 * init.c - initial weights, from the counter-based generator: a pure function of (seed, number of the
 * parameter in the state dict, number of the element), A29.
 *
 * Convolutions: normal with deviation sqrt(2 / (K R S)), He et al., "Delving deep into rectifiers",
 * arXiv:1502.01852, fan-out form, as torchvision does.  fc: uniform within 1/sqrt(features), torch's
 * default for linear layers.  Batch norm: gamma 1, beta 0, running mean 0, variance 1.
 */
#include "net/net_private.h"

#include "base/random.h"
#include "base/real.h"
#include "base/threads.h"

#include <math.h>

struct draw {
    uint64_t seed;
    uint32_t param;
    double scale;
    bool normal;
    float *dst;
};

static void draw_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct draw *d = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        struct rn_random r = rn_random(d->seed, RN_RANDOM_INIT, d->param, (uint32_t)i);
        double z = d->normal ? rn_random_normal(&r) : 2.0 * rn_random_uniform(&r) - 1.0;
        d->dst[i] = rn_store((float)(z * d->scale));
    }
}

static void fill(float *dst, size_t count, float value)
{
    for (size_t i = 0; i < count; i++) dst[i] = value;
}

void rn_net_init(struct rn_net *net, uint64_t seed)
{
    const rn_fpmode mode = rn_fpmode_enter();
    for (int i = 0; i < net->graph.params; i++) {
        const struct rn_param *p = &net->graph.param[i];
        struct draw d = { seed, (uint32_t)i, 0, p->kind == RN_PARAM_CONV, net->staging };
        switch (p->kind) {
        case RN_PARAM_CONV:
            d.scale = sqrt(2.0 / (double)(p->shape[0] * p->shape[2] * p->shape[3]));
            break;
        case RN_PARAM_FC_WEIGHT:
        case RN_PARAM_FC_BIAS:
            d.scale = 1.0 / sqrt((double)net->config.arch.features);
            break;
        case RN_PARAM_GAMMA:
        case RN_PARAM_VAR:
            fill(net->staging, p->count, 1.0f);
            break;
        case RN_PARAM_BETA:
        case RN_PARAM_MEAN:
            fill(net->staging, p->count, 0.0f);
            break;
        case RN_PARAM_BATCHES:
            net->batches[p->offset] = 0;
            continue;
        }
        if (d.scale > 0) rn_parallel_range(rn_cpu_count(), (int64_t)p->count, 4096, draw_range, &d);
        rn_net_set(net, (size_t)i, net->staging);
    }
    rn_fpmode_leave(mode);
}
