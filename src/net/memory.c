/* memory.c - reads off a plan what is alive at each of its steps.  A buffer is what the steps use it for. */
#include "net/memory.h"

#include "base/mem.h"
#include "net/net_private.h"

enum use { ACTIVATION, GRADIENT, WORKSPACE };

static void note(unsigned char *use, int buffer, enum use what)
{
    if (buffer != RN_NONE) use[buffer] = (unsigned char)what;
}

/* Gradients and workspace say so themselves; what is left are activations. */
static void find_uses(unsigned char *use, const struct rn_plan *p)
{
    for (int i = 0; i < p->steps; i++) {
        const struct rn_plan_step *s = &p->step[i];
        note(use, s->dout, GRADIENT);
        note(use, s->din, GRADIENT);
        note(use, s->dadd, GRADIENT);
        note(use, s->packed, WORKSPACE);
        note(use, s->work, WORKSPACE);
    }
}

static size_t all_of(const struct rn_memory_point *p) { return p->activations + p->gradients + p->workspace; }

static void fill_points(struct rn_net_memory *m, const struct rn_net *net, const struct rn_plan *p,
                        const unsigned char *use)
{
    for (int i = 0; i < p->steps; i++) {
        struct rn_memory_point *point = &m->point[i];
        point->layer = net->graph.node[p->step[i].node].name;
        point->backward = p == &net->training && i > p->loss;
        for (int b = 0; b < p->buffers; b++) {
            const struct rn_plan_buffer *buffer = &p->buffer[b];
            if (i < buffer->first || i > buffer->last) continue;
            if (use[b] == ACTIVATION) point->activations += buffer->bytes;
            else if (use[b] == GRADIENT) point->gradients += buffer->bytes;
            else point->workspace += buffer->bytes;
        }
        if (all_of(point) > all_of(&m->point[m->peak])) m->peak = i;
    }
}

static size_t largest_param(const struct rn_graph *g)
{
    size_t largest = 1;
    for (int i = 0; i < g->params; i++) largest = RN_MAX(largest, g->param[i].count);
    return largest * sizeof(float);
}

rn_status rn_net_memory(struct rn_net_memory *m, const struct rn_net *net, bool training)
{
    const struct rn_plan *p = training ? &net->training : &net->evaluation;
    const struct rn_layout *at = &net->at;
    const bool trains = net->config.batch > 0;
    unsigned char *use = rn_alloc_array((size_t)p->buffers, 1);
    *m = (struct rn_net_memory){ .point = rn_alloc_array((size_t)p->steps, sizeof *m->point), .points = p->steps };
    if (!use || !m->point) {
        rn_free(use);
        rn_net_memory_free(m);
        return RN_ENOMEM;
    }
    m->weights = at->gradients - at->weights + (at->saved - at->buffers);
    m->gradients = at->buffers - at->gradients;
    m->packed = trains ? 0 : at->block - at->packed;
    m->block = training ? net->training.bytes : at->logits - at->block;
    m->idle = at->logits - at->block - m->block;
    m->arena = net->arena_bytes;
    m->statistics = m->arena - m->weights - m->gradients - m->packed - m->block - m->idle + largest_param(&net->graph);
    find_uses(use, p);
    fill_points(m, net, p, use);
    rn_free(use);
    return RN_OK;
}

void rn_net_memory_free(struct rn_net_memory *m)
{
    rn_free(m->point);
    *m = (struct rn_net_memory){0};
}
