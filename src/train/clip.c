/*
 * clip.c - gradients of no more than a given norm (A25): all of them together are shortened, so their
 * direction stays.  The definition is that of torch.nn.utils.clip_grad_norm_ with the 2-norm; the order of
 * the sum is ours and fixed.  Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent
 * neural networks", ICML 2013, algorithm 1.
 *
 * The sum runs on the host, tensor by tensor.
 */
#include "train/trainer.h"
#include "base/marks.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define ROWS 8                  /* rows side by side: independent chains */

/* -- creation ---------------------------------------------------------------------------------- */
rn_status rn_clip_create(struct rn_clip *c, const struct rn_train_config *config, struct rn_net *net)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p), largest = 0, leaves = 1;
    *c = (struct rn_clip){ .config = config, .net = net };
    for (size_t i = 0; i < rows; i++) {
        largest = RN_MAX(largest, p[i].count);
        if (p[i].dims > 1) leaves = RN_MAX(leaves, (size_t)p[i].shape[0]);
    }
    c->tensor = rn_alloc_array(largest, sizeof *c->tensor);
    c->leaf = rn_alloc_array(leaves, sizeof *c->leaf);
    return c->tensor && c->leaf ? rn_multiplier_create(&c->times, net) : RN_ENOMEM;
}

void rn_clip_free(struct rn_clip *c)
{
    rn_multiplier_free(&c->times);
    rn_free(c->tensor);
    rn_free(c->leaf);
    *c = (struct rn_clip){0};
}

/* -- the norm ---------------------------------------------------------------------------------- */

/* Leaves of neighbouring rows of [channels][taps], each a chain over taps and, within a tap, channels. */
static inline void row_chains(double *leaf, const float *g, size_t rows, size_t channels, size_t taps)
{
    double sum[ROWS] = {0};
    for (size_t tap = 0; tap < taps; tap++)
        for (size_t c = 0; c < channels; c++)
            for (size_t k = 0; k < rows; k++) {
                double x = g[(k * channels + c) * taps + tap];
                sum[k] = sum[k] + x * x;
            }
    memcpy(leaf, sum, rows * sizeof *sum);
}

/* A11: level by level, a leaf without a partner moves up. */
static double tree(double *v, size_t count)
{
    for (; count > 1; count = count / 2 + count % 2) {
        for (size_t k = 0; k < count / 2; k++) v[k] = v[2 * k] + v[2 * k + 1];
        if (count % 2) v[count / 2] = v[count - 1];
    }
    return v[0];
}

/* The sum of squares of one tensor; `g` on the host. */
static double tensor_sum(double *leaf, const float *g, const struct rn_param *p)
{
    const size_t rows = p->dims > 1 ? (size_t)p->shape[0] : 1;
    const size_t taps = p->dims == 4 ? (size_t)(p->shape[2] * p->shape[3]) : 1;
    const size_t row = p->count / rows, channels = row / taps;
    size_t k = 0;
    for (; k + ROWS <= rows; k += ROWS) row_chains(leaf + k, g + k * row, ROWS, channels, taps);
    for (; k < rows; k++) row_chains(leaf + k, g + k * row, 1, channels, taps);
    return tree(leaf, rows);
}

static double norm(struct rn_clip *c, const float *gradients)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(c->net, &p);
    double total = 0;
    for (size_t i = 0; i < rows; i++) {
        if (!p[i].trainable || rn_frozen(c->config, &p[i])) continue;
        rn_net_ops(c->net)->read(rn_net_dev(c->net), c->tensor, gradients + p[i].offset,
                                 p[i].count * sizeof *c->tensor);
        rn_mark_begin("clip_grad_norm_");
        total = total + tensor_sum(c->leaf, c->tensor, &p[i]);
        rn_mark_end();
    }
    return sqrt(total);
}

double rn_clip_gradients(struct rn_clip *c, float *gradients)
{
    const double n = norm(c, gradients), h = c->config->clip / (n + 1e-6);
    if (h < 1) rn_multiply(&c->times, gradients, rn_net_trainable_count(c->net), h, NULL);
    return n;
}
