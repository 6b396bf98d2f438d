/* counts.c - the rules of counts.h, operation by operation. */
#include "analyze/counts.h"

#include <string.h>

const char *rn_work_name(enum rn_work work)
{
    static const char *const name[RN_WORKS] = { "inference", "forward", "data_gradient", "weight_gradient" };
    return name[work];
}

/* Images and what resizing makes of them need no gradient. */
static bool reads_images(const struct rn_trace *t, const struct rn_op *op)
{
    enum rn_op_kind kind = t->op[op->src[0]].kind;
    return kind == RN_OP_INPUT || kind == RN_OP_RESIZE;
}

int64_t rn_op_macs(const struct rn_trace *t, const struct rn_op *op, enum rn_work work)
{
    const struct rn_conv_shape *s = &op->conv;
    if (op->kind != RN_OP_CONV && op->kind != RN_OP_LINEAR) return 0;
    if (work == RN_WORK_DATA && reads_images(t, op)) return 0;
    return (int64_t)s->K * s->P * s->Q * (s->C / s->groups) * s->R * s->S;
}

int64_t rn_op_bias_flops(const struct rn_op *op, enum rn_work work)
{
    return op->kind == RN_OP_LINEAR && work != RN_WORK_DATA ? op->C : 0;
}

static int64_t of_norm(int64_t elements, enum rn_work work)
{
    static const int each[RN_WORKS] = { 2, 6, 4, 5 };
    return each[work] * elements;
}

static int64_t of_add(const struct rn_trace *t, const struct rn_op *op, enum rn_work work)
{
    if (work == RN_WORK_WEIGHTS) return 0;
    return work == RN_WORK_DATA ? rn_op_elements(&t->op[op->fork]) : rn_op_elements(op);
}

static int64_t of_softmax(int64_t classes, enum rn_work work)
{
    if (work == RN_WORK_FORWARD) return 4 * classes + 2;
    return work == RN_WORK_DATA ? 2 * classes : 0;
}

int64_t rn_op_flops(const struct rn_trace *t, const struct rn_op *op, enum rn_work work)
{
    const int64_t elements = rn_op_elements(op);
    const bool forward = work == RN_WORK_INFERENCE || work == RN_WORK_FORWARD;
    switch (op->kind) {
    case RN_OP_CONV:
    case RN_OP_LINEAR: return 2 * rn_op_macs(t, op, work);
    case RN_OP_BN: return of_norm(elements, work);
    case RN_OP_ADD: return of_add(t, op, work);
    case RN_OP_RELU: return work == RN_WORK_WEIGHTS ? 0 : elements;
    case RN_OP_MAXPOOL: return forward ? elements * (op->R * op->S - 1) : work == RN_WORK_DATA ? elements : 0;
    case RN_OP_AVGPOOL: return forward ? elements * op->R * op->S : work == RN_WORK_DATA ? elements : 0;
    case RN_OP_RESIZE: return forward ? 11 * elements : 0;
    case RN_OP_SOFTMAX: return of_softmax(elements, work);
    case RN_OP_INPUT:
    case RN_OP_FLATTEN:
    case RN_OP_KINDS: break;
    }
    return 0;
}

int64_t rn_op_all_flops(const struct rn_trace *t, const struct rn_op *op, enum rn_work work)
{
    return rn_op_flops(t, op, work) + rn_op_bias_flops(op, work);
}

static void count_op(struct rn_work_counts *c, const struct rn_trace *t, const struct rn_op *op, enum rn_work work)
{
    const int64_t macs = rn_op_macs(t, op, work), flops = rn_op_flops(t, op, work);
    const int64_t bias = rn_op_bias_flops(op, work);
    c->macs += macs;
    c->conv_linear += 2 * macs;
    c->flops[op->kind] += flops;
    c->bias += bias;
    c->all += flops + bias;
}

void rn_count(struct rn_counts *c, const struct rn_trace *t)
{
    memset(c, 0, sizeof *c);
    const struct rn_op *last = &t->op[t->ops - 1];
    const struct rn_op loss = { .kind = RN_OP_SOFTMAX, .C = last->C, .H = 1, .W = 1 };
    for (int i = 0; i < t->ops; i++) {
        c->parameters += t->op[i].parameters;
        c->buffers += t->op[i].buffers;
        c->of_kind[t->op[i].kind]++;
    }
    for (int work = 0; work < RN_WORKS; work++) {
        for (int i = 0; i < t->ops; i++) count_op(&c->work[work], t, &t->op[i], (enum rn_work)work);
        count_op(&c->work[work], t, &loss, (enum rn_work)work);
    }
}
