/*
 * multiply.c - floats on the device times a number: x = F(x * f32(factor)).
 *
 * It is a step of the device's SGD (A26): with a momentum of h, no gradient and no decay the velocity becomes
 * F(fma(h, x, 0)), which is F(x * h).
 */
#include "train/trainer.h"

#define PIECE ((size_t)1 << 18) /* floats at a time: they stay in a cache */

rn_status rn_multiplier_create(struct rn_multiplier *m, struct rn_net *net)
{
    const size_t piece = RN_MIN(PIECE, rn_net_trainable_count(net));
    void *memory = NULL;
    *m = (struct rn_multiplier){ .net = net, .piece = piece };
    rn_status status = rn_net_ops(net)->alloc(rn_net_dev(net), &memory, 2 * piece * sizeof(float)); /* zeroed */
    m->zeros = memory;
    return status;
}

void rn_multiplier_free(struct rn_multiplier *m)
{
    if (m->net) rn_net_ops(m->net)->release(rn_net_dev(m->net), m->zeros);
    *m = (struct rn_multiplier){0};
}

void rn_multiplier_reset(const struct rn_multiplier *m)
{
    if (m->net) rn_net_ops(m->net)->copy(rn_net_dev(m->net), m->zeros + m->piece, m->zeros, m->piece * sizeof(float));
}

void rn_multiply(const struct rn_multiplier *m, float *x, size_t count, double factor, const int32_t *given)
{
    const struct rn_sgd hp = { .momentum = factor, .given = given };
    for (size_t at = 0; at < count; at += m->piece)
        rn_net_ops(m->net)->sgd_update(rn_net_dev(m->net), m->zeros + m->piece, x + at, m->zeros,
                                       RN_MIN(m->piece, count - at), &hp);
}
