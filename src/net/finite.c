/* finite.c - whether what a net computed is finite, and where it first was not (A7). */
#include "net/net_private.h"

static int32_t *verdict_of(const struct rn_net *net) { return (int32_t *)(void *)(net->arena + net->at.verdict); }

static bool read_verdict(const struct rn_net *net)
{
    int32_t all;
    net->ops->read(net->dev, &all, verdict_of(net), sizeof all);
    return all == 1; /* a device that failed gives other bits */
}

static bool floats_finite(const struct rn_net *net, const float *x, size_t count)
{
    net->ops->finite(net->dev, verdict_of(net), x, count, NULL);
    return read_verdict(net);
}

bool rn_net_gradients_finite(struct rn_net *net)
{
    return floats_finite(net, rn_net_gradients(net), net->graph.trainable);
}

static bool output_finite(const struct rn_net *net, int node, int buffer)
{
    if (buffer == RN_NONE) return true;
    const struct rn_node *n = &net->graph.node[node];
    size_t count = (size_t)net->n * (size_t)n->C * (size_t)n->H * (size_t)n->W;
    if (n->kind == RN_NODE_LINEAR) return floats_finite(net, rn_net_buffer_at(net, buffer), count);
    net->ops->tensor_finite(net->dev, verdict_of(net), rn_net_buffer_at(net, buffer), count);
    return read_verdict(net);
}

const char *rn_net_find_not_finite(struct rn_net *net, const float *images, int n)
{
    const struct rn_net_pass pass = { .net = net, .floats = images };
    if (images) net->bytes = (struct rn_image_shape){0};
    net->images = n;
    net->plan = &net->training;
    net->packed_valid = false;
    rn_net_begin_pass(&pass, 0, n);
    for (int i = 0; i < net->plan->loss; i++) {
        const struct rn_plan_step *step = &net->plan->step[i];
        const struct rn_node *node = &net->graph.node[step->node];
        rn_net_run_step(net, step);
        if (!output_finite(net, node->src, step->x)) return net->graph.node[node->src].name;
        if (!output_finite(net, step->node, step->out)) return node->name;
    }
    for (int i = net->graph.params - 1; i >= 0; i--) { /* backward order: the head comes first */
        const struct rn_param *p = &net->graph.param[i];
        if (p->trainable && !floats_finite(net, rn_net_gradients(net) + p->offset, p->count)) return p->name;
    }
    return NULL;
}
