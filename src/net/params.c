/*
 * params.c - a net's parameters from outside: one by one in OIHW, as device arrays, as a hash; and
 * the packed forms that an evaluation runs on.
 *
 * An inference-only net packs a layer's weights when they are set and, where the packed form
 * gives them back to the bit, keeps nothing else.  A folded net (A22) keeps both: what it gives out
 * is unfolded.
 */
#include "net/net_private.h"

#include "base/hash.h"
#include "base/marks.h"
#include "base/real.h"

const struct rn_net_config *rn_net_config_of(const struct rn_net *net) { return &net->config; }
const struct rn_ops *rn_net_ops(const struct rn_net *net) { return net->ops; }
void *rn_net_dev(const struct rn_net *net) { return net->dev; }
size_t rn_net_trainable_count(const struct rn_net *net) { return net->graph.trainable; }
size_t rn_net_buffer_count(const struct rn_net *net) { return net->graph.buffers; }
int64_t rn_net_macs(const struct rn_net *net) { return net->graph.macs; }
float *rn_net_buffers(struct rn_net *net) { return (float *)(void *)(net->arena + net->at.buffers); }
int64_t *rn_net_batches(struct rn_net *net) { return net->batches; }

float *rn_net_weights(struct rn_net *net)
{
    return net->config.batch ? (float *)(void *)(net->arena + net->at.weights) : NULL;
}

float *rn_net_gradients(struct rn_net *net)
{
    return net->config.batch ? (float *)(void *)(net->arena + net->at.gradients) : NULL;
}

size_t rn_net_params(const struct rn_net *net, const struct rn_param **table)
{
    *table = net->graph.param;
    return (size_t)net->graph.params;
}

/* Row `row`, or NULL where the packed form is all there is. */
static float *row_at(const struct rn_net *net, size_t row)
{
    return net->place[row] == RN_NOWHERE ? NULL : (float *)(void *)(net->arena + net->place[row]);
}

float *rn_net_param(const struct rn_net *net, const struct rn_node *node, int k)
{
    return row_at(net, (size_t)(node->param + k));
}

/* -- packed forms ------------------------------------------------------------------------------ */

static void *packed_at(const struct rn_net *net, int node)
{
    return net->arena + net->at.packed + net->packed[node];
}

/* Between the passes the block is free. */
static float *scratch(const struct rn_net *net)
{
    return (float *)(void *)(net->arena + net->at.block);
}

/* The node whose first row is `row`. */
static int node_of(const struct rn_net *net, size_t row)
{
    int i = 0;
    while (net->graph.node[i].param != (int)row) i++;
    return i;
}

/* Batch norm `bn` folded into its convolution: weights packed, and the bias (A22). */
static void fold(struct rn_net *net, int bn)
{
    const struct rn_node *node = &net->graph.node[bn];
    const int conv = node->src;
    const struct rn_conv_shape s = rn_net_conv_shape(net, conv);
    struct rn_bn_shape b = node->u.bn;
    b.N = s.N;
    const float *weights = rn_net_param(net, &net->graph.node[conv], 0);
    float *bias = (float *)(void *)(net->arena + net->at.packed + net->bias[conv]);
    net->ops->conv2d_fold(net->dev, scratch(net), bias, weights, rn_net_param(net, node, 0),
                          rn_net_param(net, node, 1), rn_net_param(net, node, 2),
                          rn_net_param(net, node, 3), &s, &b);
    net->ops->conv2d_pack(net->dev, packed_at(net, conv), scratch(net), &s, RN_PASS_FORWARD);
}

void rn_net_pack(struct rn_net *net)
{
    if (net->packed_valid) return;
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        const struct rn_conv_shape s = rn_net_conv_shape(net, i);
        const float *weights = s.C ? rn_net_param(net, node, 0) : NULL;
        if (net->config.fold && node->kind == RN_NODE_BN) fold(net, i);
        else if (weights && !(net->config.fold && node->kind == RN_NODE_CONV))
            net->ops->conv2d_pack(net->dev, packed_at(net, i), weights, &s, RN_PASS_FORWARD);
    }
    net->packed_valid = true;
}

void rn_net_touch(struct rn_net *net) { net->packed_valid = false; }

/* -- one row ----------------------------------------------------------------------------------- */

void rn_net_get(struct rn_net *net, size_t param, float *host)
{
    const struct rn_param *p = &net->graph.param[param];
    const float *row = row_at(net, param);
    RN_ASSERT(p->kind != RN_PARAM_BATCHES);
    if (!row) {
        const int node = node_of(net, param);
        const struct rn_conv_shape s = rn_net_conv_shape(net, node);
        net->ops->conv2d_unpack(net->dev, scratch(net), packed_at(net, node), &s);
        row = scratch(net);
    }
    net->ops->read(net->dev, host, row, p->count * sizeof(float));
}

void rn_net_set(struct rn_net *net, size_t param, const float *host)
{
    const struct rn_param *p = &net->graph.param[param];
    float *row = row_at(net, param);
    RN_ASSERT(p->kind != RN_PARAM_BATCHES);
    for (size_t i = 0; i < p->count; i++) net->staging[i] = rn_store(host[i]); /* A5 */
    net->ops->write(net->dev, row ? row : scratch(net), net->staging, p->count * sizeof(float));
    if (row) {
        rn_net_touch(net);
    } else {
        const int node = node_of(net, param);
        const struct rn_conv_shape s = rn_net_conv_shape(net, node);
        net->ops->conv2d_pack(net->dev, packed_at(net, node), scratch(net), &s, RN_PASS_FORWARD);
    }
}

uint64_t rn_net_hash(struct rn_net *net)
{
    struct rn_hash h;
    rn_hash_begin(&h, 0);
    for (int i = 0; i < net->graph.params; i++) {
        const struct rn_param *p = &net->graph.param[i];
        if (p->kind == RN_PARAM_BATCHES) {
            rn_hash_u64(&h, (uint64_t)net->batches[p->offset]);
            continue;
        }
        rn_net_get(net, (size_t)i, net->staging);
        rn_mark_begin("hash of the weights");
        rn_hash_floats(&h, net->staging, p->count);
        rn_mark_end();
    }
    return rn_hash_end(&h);
}
