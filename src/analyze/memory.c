/*
 * memory.c - sums over the plans that the executor would follow.
 *
 * A net's arena is: weights, gradients, buffers, batch statistics, losses and labels, the plan's block, the logits
 * of an evaluation; the test of this file demands that these parts add up to it.
 */
#include "analyze/memory.h"

#include "base/mem.h"
#include "net/plan.h"

#include <string.h>

/* -- a plan -------------------------------------------------------------------------------------- */

enum holds { HOLDS_VALUE, HOLDS_GRADIENT, HOLDS_INDEX, HOLDS_PACKED, HOLDS_WORK, HOLDS_NOTHING };

/* What each buffer holds, by the place where steps name it; a buffer that is a value somewhere and a gradient
 * elsewhere does not occur. */
static void find_roles(enum holds *role, const struct rn_plan *p)
{
    for (int i = 0; i < p->buffers; i++) role[i] = HOLDS_NOTHING;
    for (int i = 0; i < p->steps; i++) {
        const struct rn_plan_step *s = &p->step[i];
        const struct { int buffer; enum holds holds; } use[] = {
            { s->out, HOLDS_VALUE }, { s->x, HOLDS_VALUE }, { s->in, HOLDS_VALUE }, { s->add, HOLDS_VALUE },
            { s->index, HOLDS_INDEX }, { s->dout, HOLDS_GRADIENT }, { s->din, HOLDS_GRADIENT },
            { s->dadd, HOLDS_GRADIENT }, { s->packed, HOLDS_PACKED }, { s->work, HOLDS_WORK },
        };
        for (size_t k = 0; k < RN_COUNT(use); k++)
            if (use[k].buffer != RN_NONE) role[use[k].buffer] = use[k].holds;
    }
}

static size_t live_at(const struct rn_plan *p, const enum holds *role, int step)
{
    size_t bytes = 0;
    for (int i = 0; i < p->buffers; i++) {
        const struct rn_plan_buffer *b = &p->buffer[i];
        if (role[i] < HOLDS_PACKED && b->first <= step && step <= b->last) bytes += b->bytes;
    }
    return bytes;
}

static rn_status sum_plan(struct rn_plan_bytes *sum, const struct rn_plan *p)
{
    enum holds *role = rn_alloc_array((size_t)p->buffers, sizeof *role);
    size_t of[HOLDS_NOTHING + 1] = { 0 };
    if (!role) return RN_ENOMEM;
    find_roles(role, p);
    *sum = (struct rn_plan_bytes){ .block = p->bytes, .steps = p->steps };
    for (int i = 0; i < p->buffers; i++) {
        of[role[i]] += p->buffer[i].bytes;
        if (role[i] == HOLDS_WORK) sum->work_most = RN_MAX(sum->work_most, p->buffer[i].bytes);
    }
    sum->values = of[HOLDS_VALUE];
    sum->gradients = of[HOLDS_GRADIENT];
    sum->indices = of[HOLDS_INDEX];
    sum->packed = of[HOLDS_PACKED];
    sum->work = of[HOLDS_WORK];
    for (int step = 0; step < p->steps; step++) sum->live = RN_MAX(sum->live, live_at(p, role, step));
    rn_free(role);
    return RN_OK;
}

static rn_status plan_bytes(struct rn_plan_bytes *sum, const struct rn_plan_for *want, bool training)
{
    struct rn_plan plan;
    rn_status status = training ? rn_plan_training(&plan, want) : rn_plan_evaluation(&plan, want);
    if (status) return status;
    status = sum_plan(sum, &plan);
    rn_plan_free(&plan);
    return status;
}

/* -- a net --------------------------------------------------------------------------------------- */

size_t rn_output_bytes(const struct rn_op *op, size_t element)
{
    return (op->kind == RN_OP_LINEAR ? sizeof(float) : element) * (size_t)rn_op_elements(op);
}

static void sum_net(struct rn_memory *m, const struct rn_trace *t, int batch, const struct rn_ops *ops, void *dev)
{
    m->element = ops->tensor_bytes(dev, 1, 1, 1, 1);
    for (int i = 0; i < t->ops; i++) {
        const struct rn_op *op = &t->op[i];
        const size_t bytes = (size_t)batch * rn_output_bytes(op, m->element);
        m->weights += 4 * (size_t)op->parameters;
        m->buffers += 4 * (size_t)op->buffers;
        if (op->kind == RN_OP_INPUT) m->input = bytes;
        else if (op->kind != RN_OP_FLATTEN) m->activations += bytes;
        if (op->kind == RN_OP_BN) {
            m->counters += sizeof(int64_t);
            m->statistics += rn_plan_align(2 * (size_t)op->C * sizeof(double));
        }
        if (op->kind == RN_OP_CONV || op->kind == RN_OP_LINEAR)
            m->packed += rn_plan_align(ops->conv2d_packed_bytes(dev, &op->conv, RN_PASS_FORWARD));
    }
    m->gradients = m->weights;
    m->sgd = m->weights;
    m->adamw = 2 * m->weights;
}

rn_status rn_memory_of(struct rn_memory *m, const struct rn_trace *t, const struct rn_net_config *config, int batch,
                       const struct rn_ops *ops, void *dev)
{
    struct rn_net_config training = *config, inference = *config;
    const struct rn_plan_for want = { &t->graph, ops, dev, batch, config->checkpoint, config->freeze_bn };
    memset(m, 0, sizeof *m);
    training.fold = inference.checkpoint = inference.freeze_bn = inference.fold = false;
    training.batch = training.eval_batch = inference.eval_batch = batch;
    inference.batch = 0;
    sum_net(m, t, batch, ops, dev);
    rn_status status = rn_graph_check(&t->graph, batch);
    if (!status) status = plan_bytes(&m->inference, &want, false);
    if (!status) status = plan_bytes(&m->training, &want, true);
    if (!status) status = rn_net_arena_bytes(&m->arena_inference, &inference, ops, dev);
    if (!status) status = rn_net_arena_bytes(&m->arena_training, &training, ops, dev);
    inference.fold = true;
    return status ? status : rn_net_arena_bytes(&m->arena_folded, &inference, ops, dev);
}
