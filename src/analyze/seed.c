/* seed.c - windows over the list of modules, with the shapes that the seed took. */
#include "analyze/seed.h"

#include "analyze/counts.h"
#include "base/mem.h"

#define MOST 1e15 /* bytes and tiles, whatever a file says */

/* The operations that are modules in PyTorch. */
static bool is_module(enum rn_op_kind kind)
{
    return kind == RN_OP_CONV || kind == RN_OP_BN || kind == RN_OP_RELU || kind == RN_OP_MAXPOOL ||
           kind == RN_OP_AVGPOOL || kind == RN_OP_LINEAR;
}

/* The next module after operation i; t->ops: none. */
static int next_module(const struct rn_trace *t, int i)
{
    do i++;
    while (i < t->ops && !is_module(t->op[i].kind));
    return i;
}

/* The end of the window that begins at convolution i; -1: there is none. */
static int window_end(const struct rn_trace *t, int i)
{
    const int bn = next_module(t, i), relu = bn < t->ops ? next_module(t, bn) : bn;
    if (t->op[i].kind != RN_OP_CONV || relu >= t->ops) return -1;
    return t->op[bn].kind == RN_OP_BN && t->op[relu].kind == RN_OP_RELU ? relu : -1;
}

static struct rn_seed_window window_of(const struct rn_trace *t, int conv, int relu)
{
    const struct rn_op *op = &t->op[conv];
    const struct rn_conv_shape *c = &op->conv;
    const int64_t P = (op->H - c->R + 2 * c->pad) / c->stride + 1, Q = (op->W - c->S + 2 * c->pad) / c->stride + 1;
    const int64_t outputs = c->K * P * Q, taps = (int64_t)c->K * c->R * c->S;
    return (struct rn_seed_window){ conv, relu, outputs * (2 * taps + 2),
                                    4 * (rn_op_elements(op) + c->K * taps + outputs),
                                    2 * rn_op_macs(t, op, RN_WORK_INFERENCE) };
}

rn_status rn_seed_build(struct rn_seed *s, const struct rn_trace *t)
{
    *s = (struct rn_seed){ .row = rn_alloc_array((size_t)t->ops, sizeof *s->row) };
    if (!s->row) return RN_ENOMEM;
    for (int i = next_module(t, -1); i < t->ops; i = next_module(t, i)) {
        const int relu = window_end(t, i);
        if (relu >= 0) {
            struct rn_seed_window *w = &s->row[s->rows++];
            *w = window_of(t, i, relu);
            s->flops += w->flops;
            s->bytes += w->bytes;
            i = relu;
        } else {
            s->left_out += 2 * rn_op_macs(t, &t->op[i], RN_WORK_INFERENCE);
            s->convs_left_out += t->op[i].kind == RN_OP_CONV;
        }
    }
    return RN_OK;
}

int64_t rn_seed_extents(const struct rn_op *conv, int batch, double buffers)
{
    return (int64_t)RN_MIN(4.0 * (batch + conv->C + conv->H + conv->W) * buffers, MOST);
}

int64_t rn_seed_tiles(int64_t extents, double tile_bytes)
{
    return RN_MAX(1, (int64_t)RN_MIN((double)extents / tile_bytes, MOST));
}

int64_t rn_seed_wavefronts(const struct rn_op *conv, double wavefront_bytes)
{
    return 4.0 * conv->W * conv->W < wavefront_bytes ? 1 : 2;
}

void rn_seed_free(struct rn_seed *s)
{
    rn_free(s->row);
    *s = (struct rn_seed){ .rows = 0 };
}
