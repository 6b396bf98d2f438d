/*
 * net.c - creating a net: validation, one arena, access to parameters.  Execution is exec.c.
 */
#include "net/net_private.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/real.h"
#include "base/text.h"

#include <string.h>

/* -- layout of the arena ------------------------------------------------------------------------ */

static size_t take(size_t *bytes, size_t want)
{
    size_t at = *bytes;
    *bytes += rn_plan_align(want);
    return at;
}

static struct rn_conv_shape conv_at(const struct rn_node *node, int n)
{
    struct rn_conv_shape s = node->u.conv;
    s.N = n;
    return s;
}

/* Bytes of packed weights: every convolution its own place when inference-only, else one for all. */
static size_t packed_bytes(struct rn_net *net)
{
    const struct rn_ops *ops = net->ops;
    const bool keep = net->config.batch == 0;
    size_t bytes = 0;
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        if (node->kind != RN_NODE_CONV) continue;
        struct rn_conv_shape s = conv_at(node, RN_MAX(net->config.batch, net->config.eval_batch));
        size_t want = ops->conv2d_packed_bytes(net->dev, &s, RN_PASS_FORWARD);
        if (keep) {
            net->packed[i] = take(&bytes, want);
            continue;
        }
        net->packed[i] = 0;
        size_t back = ops->conv2d_packed_bytes(net->dev, &s, RN_PASS_BACKWARD_DATA);
        bytes = RN_MAX(bytes, RN_MAX(want, back));
    }
    return bytes;
}

static size_t workspace_bytes(const struct rn_net *net)
{
    const struct rn_ops *ops = net->ops;
    const int n = RN_MAX(net->config.batch, net->config.eval_batch);
    size_t bytes = 0;
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        size_t want = 0;
        if (node->kind == RN_NODE_CONV) {
            struct rn_conv_shape s = conv_at(node, n);
            want = ops->conv2d_workspace(net->dev, &s);
        } else if (node->kind == RN_NODE_BN) {
            struct rn_bn_shape s = node->u.bn;
            s.N = n;
            want = ops->batchnorm_workspace(net->dev, &s);
        } else if (node->kind == RN_NODE_LINEAR) {
            struct rn_linear_shape s = node->u.linear;
            s.N = n;
            want = ops->linear_workspace(net->dev, &s);
        }
        bytes = RN_MAX(bytes, want);
    }
    return bytes;
}

static size_t saved_bytes(struct rn_net *net)
{
    size_t bytes = 0;
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        if (node->kind == RN_NODE_BN)
            net->saved[node->batchnorm] = take(&bytes, 2 * (size_t)node->C * sizeof(double));
    }
    return bytes;
}

static void lay_out(struct rn_net *net)
{
    const struct rn_graph *g = &net->graph;
    const bool training = net->config.batch > 0;
    const size_t n = (size_t)RN_MAX(net->config.batch, net->config.eval_batch);
    struct rn_layout *at = &net->at;
    size_t bytes = 0;

    at->weights = take(&bytes, g->trainable * sizeof(float));
    at->gradients = take(&bytes, training ? g->trainable * sizeof(float) : 0);
    at->buffers = take(&bytes, g->buffers * sizeof(float));
    at->saved = take(&bytes, training ? saved_bytes(net) : 0);
    at->loss = take(&bytes, n * sizeof(double));
    at->labels = take(&bytes, n * sizeof(int32_t));
    at->block = take(&bytes, RN_MAX(net->training.bytes, net->evaluation.bytes));
    at->packed = take(&bytes, packed_bytes(net));
    at->workspace = take(&bytes, workspace_bytes(net));
    at->bytes = bytes;
}

/* -- life --------------------------------------------------------------------------------------- */

void rn_net_free(struct rn_net *net)
{
    if (!net) return;
    if (net->ops) net->ops->release(net->dev, net->arena);
    rn_free(net->staging);
    rn_free(net->batches);
    rn_free(net->saved);
    rn_free(net->packed);
    rn_plan_free(&net->training);
    rn_plan_free(&net->evaluation);
    rn_graph_free(&net->graph);
    rn_free(net);
}

/* Everything but the arena. */
static rn_status plan_net(struct rn_net **out, const struct rn_net_config *config,
                          const struct rn_ops *ops, void *dev)
{
    struct rn_net *net = rn_alloc(sizeof *net);
    if (!net) return RN_ENOMEM;
    net->config = *config;
    net->ops = ops;
    net->dev = dev;

    rn_status st = rn_graph_build(&net->graph, config);
    if (st == RN_OK && config->batch > 0)
        st = rn_plan_training(&net->training, &net->graph, config->batch, ops, dev);
    if (st == RN_OK) st = rn_plan_evaluation(&net->evaluation, &net->graph, config->eval_batch, ops, dev);
    if (st == RN_OK) {
        net->saved = rn_alloc_array((size_t)net->graph.batchnorms, sizeof *net->saved);
        net->packed = rn_alloc_array((size_t)net->graph.nodes, sizeof *net->packed);
        if (!net->saved || !net->packed) st = RN_ENOMEM;
    }
    if (st != RN_OK) {
        rn_net_free(net);
        return st;
    }
    lay_out(net);
    *out = net;
    return RN_OK;
}

rn_status rn_net_arena_bytes(size_t *bytes, const struct rn_net_config *config, const struct rn_ops *ops,
                             void *dev)
{
    struct rn_net *net;
    rn_status st = plan_net(&net, config, ops, dev);
    if (st != RN_OK) return st;
    *bytes = net->at.bytes;
    rn_net_free(net);
    return RN_OK;
}

static size_t largest_param(const struct rn_graph *g)
{
    size_t largest = 1;
    for (int i = 0; i < g->params; i++) largest = RN_MAX(largest, g->param[i].count);
    return largest;
}

rn_status rn_net_create(struct rn_net **out, const struct rn_net_config *config, const struct rn_ops *ops,
                        void *dev)
{
    struct rn_net *net;
    rn_status st = plan_net(&net, config, ops, dev);
    if (st != RN_OK) return st;

    net->staging = rn_alloc_array(largest_param(&net->graph), sizeof(float));
    net->batches = rn_alloc_array((size_t)net->graph.batchnorms, sizeof *net->batches);
    if (!net->staging || !net->batches) {
        st = RN_ENOMEM;
    } else {
        void *arena = NULL;
        st = ops->alloc(dev, &arena, net->at.bytes);
        net->arena = arena;
        if (st != RN_OK) {
            char mb[RN_NUMBER_CHARS];
            rn_fixed_text(mb, (double)net->at.bytes / RN_MB, 1);
            st = rn_fail(st, "no memory for the net: it takes %s MB at batch size %d", mb, config->batch);
        }
    }
    if (st != RN_OK) {
        rn_net_free(net);
        return st;
    }
    *out = net;
    return RN_OK;
}

/* -- access ------------------------------------------------------------------------------------- */

const struct rn_net_config *rn_net_config_of(const struct rn_net *net) { return &net->config; }
const struct rn_ops *rn_net_ops(const struct rn_net *net) { return net->ops; }
void *rn_net_dev(const struct rn_net *net) { return net->dev; }
size_t rn_net_trainable_count(const struct rn_net *net) { return net->graph.trainable; }
size_t rn_net_buffer_count(const struct rn_net *net) { return net->graph.buffers; }
int64_t rn_net_macs(const struct rn_net *net) { return net->graph.macs; }
float *rn_net_weights(struct rn_net *net) { return (float *)(void *)(net->arena + net->at.weights); }
float *rn_net_buffers(struct rn_net *net) { return (float *)(void *)(net->arena + net->at.buffers); }
int64_t *rn_net_batches(struct rn_net *net) { return net->batches; }
void rn_net_touch(struct rn_net *net) { net->packed_valid = false; }

float *rn_net_gradients(struct rn_net *net)
{
    return net->config.batch ? (float *)(void *)(net->arena + net->at.gradients) : NULL;
}

size_t rn_net_params(const struct rn_net *net, const struct rn_param **table)
{
    *table = net->graph.param;
    return (size_t)net->graph.params;
}

static float *param_at(struct rn_net *net, const struct rn_param *p)
{
    return (p->trainable ? rn_net_weights(net) : rn_net_buffers(net)) + p->offset;
}

void rn_net_get(struct rn_net *net, size_t param, float *host)
{
    const struct rn_param *p = &net->graph.param[param];
    RN_ASSERT(p->kind != RN_PARAM_BATCHES);
    net->ops->read(net->dev, host, param_at(net, p), p->count * sizeof(float));
}

void rn_net_set(struct rn_net *net, size_t param, const float *host)
{
    const struct rn_param *p = &net->graph.param[param];
    RN_ASSERT(p->kind != RN_PARAM_BATCHES);
    for (size_t i = 0; i < p->count; i++) net->staging[i] = rn_store(host[i]); /* A5 */
    net->ops->write(net->dev, param_at(net, p), net->staging, p->count * sizeof(float));
    rn_net_touch(net);
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
        rn_hash_floats(&h, net->staging, p->count);
    }
    return rn_hash_end(&h);
}
