/*
 * average.c - the exponential moving average of weights and running statistics (A28):
 * e' = F(fma(f32(1 - d), w - e, e)).  It follows training without touching it; validation and
 * checkpoints are of it.
 *
 * The formula is that of AdamW's first moment (A27) with d as beta1 and the weights for a gradient, so the
 * device's own update computes it; what the update makes beside the moment goes into scratch.  Source:
 * Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim.
 * 30(4), 1992, in the form that torchvision and timm call model EMA.
 */
#include "train/trainer.h"

#define PIECE ((size_t)1 << 18) /* floats at a time: the scratch stays in a cache */

static rn_status take_memory(float **floats, struct rn_net *net, size_t count)
{
    void *memory = NULL;
    rn_status status = rn_net_ops(net)->alloc(rn_net_dev(net), &memory, count * sizeof(float));
    *floats = memory;
    return status;
}

rn_status rn_average_create(struct rn_average *a, struct rn_net *net)
{
    rn_status status = RN_OK;
    *a = (struct rn_average){ .net = net,
                              .count = { rn_net_trainable_count(net), rn_net_buffer_count(net) } };
    size_t piece = RN_MIN(PIECE, RN_MAX(a->count[0], a->count[1]));
    for (int k = 0; k < 2 && status == RN_OK; k++) {
        status = take_memory(&a->value[k], net, a->count[k]);
        if (status == RN_OK) status = take_memory(&a->scratch[k], net, piece);
    }
    if (status == RN_OK) rn_average_start(a);
    return status;
}

void rn_average_free(struct rn_average *a)
{
    for (int k = 0; k < 2 && a->net; k++) {
        rn_net_ops(a->net)->release(rn_net_dev(a->net), a->value[k]);
        rn_net_ops(a->net)->release(rn_net_dev(a->net), a->scratch[k]);
    }
    *a = (struct rn_average){0};
}

/* A piece of the average and the net's values at the same place, all on the device. */
typedef void piece_fn(const struct rn_average *a, float *average, float *now, size_t count, const struct rn_adamw *hp);

static void each_piece(struct rn_average *a, piece_fn *work, const struct rn_adamw *hp)
{
    float *now[2] = { rn_net_weights(a->net), rn_net_buffers(a->net) };
    for (int k = 0; k < 2; k++)
        for (size_t at = 0; at < a->count[k]; at += PIECE)
            work(a, a->value[k] + at, now[k] + at, RN_MIN(PIECE, a->count[k] - at), hp);
}

static void copy_piece(const struct rn_average *a, float *average, float *now, size_t count,
                       const struct rn_adamw *hp)
{
    (void)hp;
    rn_net_ops(a->net)->copy(rn_net_dev(a->net), average, now, count * sizeof(float));
}

/* With a rate of 0 and a divisor of at least 1 the scratch stays finite. */
static void follow_piece(const struct rn_average *a, float *average, float *now, size_t count,
                         const struct rn_adamw *hp)
{
    rn_net_ops(a->net)->adamw_update(rn_net_dev(a->net), a->scratch[0], average, a->scratch[1], now,
                                     count, hp);
}

static void exchange_piece(const struct rn_average *a, float *average, float *now, size_t count,
                           const struct rn_adamw *hp)
{
    const struct rn_ops *ops = rn_net_ops(a->net);
    void *dev = rn_net_dev(a->net);
    (void)hp;
    ops->copy(dev, a->scratch[1], now, count * sizeof(float));
    ops->copy(dev, now, average, count * sizeof(float));
    ops->copy(dev, average, a->scratch[1], count * sizeof(float));
}

void rn_average_start(struct rn_average *a) { each_piece(a, copy_piece, NULL); }

void rn_average_follow(struct rn_average *a, double decay, const int32_t *given)
{
    each_piece(a, follow_piece, &(struct rn_adamw){ .beta1 = decay, .eps = 1, .given = given });
}

void rn_average_exchange(struct rn_average *a)
{
    if (!a->net) return;
    each_piece(a, exchange_piece, NULL);
    rn_net_touch(a->net);
}
