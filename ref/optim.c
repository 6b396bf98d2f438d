/*
 * optim.c - one update of every parameter.  Hyper-parameters come as doubles and become float by
 * the one cast that their rule shows (A9); schedules and the powers of beta are the caller's.
 */
#include "ref/ref.h"

#include "base/real.h"

#include <math.h>

/* A26.  Momentum and Nesterov's form of it: Sutskever, Martens, Dahl, Hinton, "On the importance of
 * initialization and momentum in deep learning", ICML 2013, with the learning rate outside the
 * velocity; the decay is added to the gradient. */
void rn_ref_sgd_update(void *dev, float *weights, float *velocity, const float *gradient,
                       size_t count, const struct rn_sgd *hp)
{
    float wd = (float)hp->weight_decay, mu = (float)hp->momentum, lr = (float)hp->lr;
    (void)dev;
    if (!rn_given(hp->given)) return;
    for (size_t i = 0; i < count; i++) {
        float g = rn_fmaf(wd, weights[i], gradient[i]);
        float v = rn_store(rn_fmaf(mu, velocity[i], g));
        float u = hp->nesterov ? rn_fmaf(mu, v, g) : v;
        velocity[i] = v;
        weights[i] = rn_store(rn_fmaf(-lr, u, weights[i]));
    }
}

/* A27.  Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2, on
 * top of Kingma & Ba, "Adam", ICLR 2015, algorithm 1. */
void rn_ref_adamw_update(void *dev, float *weights, float *first, float *second,
                         const float *gradient, size_t count, const struct rn_adamw *hp)
{
    float keep = (float)(1.0 - hp->lr * hp->weight_decay);
    float new1 = (float)(1.0 - hp->beta1);
    float old2 = (float)hp->beta2, new2 = (float)(1.0 - hp->beta2);
    float root2 = (float)sqrt(1.0 - hp->beta2_power), eps = (float)hp->eps;
    float rate = (float)(hp->lr / (1.0 - hp->beta1_power));
    (void)dev;
    if (!rn_given(hp->given)) return;
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i], w1 = weights[i] * keep;
        float m = rn_store(rn_fmaf(new1, g - first[i], first[i]));
        float v = rn_store(rn_fmaf(old2, second[i], new2 * (g * g)));
        float d = (sqrtf(v) / root2) + eps;
        first[i] = m;
        second[i] = v;
        weights[i] = rn_store(rn_fmaf(-rate, m / d, w1));
    }
}
