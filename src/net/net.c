/*
 * net.c - creating a net: validation, the question whether it fits in memory, one arena.  Execution is
 * exec.c, access to parameters params.c.
 */
#include "net/net_private.h"

#include "base/available.h"
#include "base/mem.h"

#include <string.h>

/* Images an evaluation takes at a time: enough that 7x7 maps fill the blocks of a convolution, few
 * enough that activations stay small.  Measured, see docs/performance.md. */
#define PART 32
#define PART_BYTES ((size_t)192 << 20) /* and fewer, down to one, when they would take more than this */

/* -- layout of the arena ----------------------------------------------------------------------- */

static size_t take(size_t *bytes, size_t want)
{
    size_t at = *bytes;
    *bytes += rn_plan_align(want);
    return at;
}

struct rn_conv_shape rn_net_conv_shape(const struct rn_net *net, int i)
{
    return rn_node_conv(&net->graph.node[i], net->n);
}

/* Packed weights of every layer, and the folded biases. */
static size_t packed_bytes(struct rn_net *net)
{
    size_t bytes = 0;
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_conv_shape s = rn_net_conv_shape(net, i);
        if (!s.C) continue;
        net->packed[i] = take(&bytes, net->ops->conv2d_packed_bytes(net->dev, &s, RN_PASS_FORWARD));
        if (net->config.fold) net->bias[i] = take(&bytes, (size_t)s.K * sizeof(float));
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

/* Whether node i has weights that need not be there beside their packed form. */
static bool packed_only(const struct rn_net *net, int i)
{
    const struct rn_conv_shape s = rn_net_conv_shape(net, i);
    return s.C && net->config.batch == 0 && !net->config.fold &&
           net->ops->conv2d_unpack(net->dev, NULL, NULL, &s);
}

/* Places the trainable rows one after the other; returns their bytes. */
static size_t place_weights(struct rn_net *net)
{
    const struct rn_graph *g = &net->graph;
    size_t bytes = 0;
    for (int i = 0; i < g->nodes; i++)
        if (packed_only(net, i)) net->place[g->node[i].param] = RN_NOWHERE;
    for (int i = 0; i < g->params; i++) {
        if (!g->param[i].trainable || net->place[i] == RN_NOWHERE) continue;
        net->place[i] = net->at.weights + bytes;
        bytes += g->param[i].count * sizeof(float);
    }
    return bytes;
}

static void place_buffers(struct rn_net *net)
{
    for (int i = 0; i < net->graph.params; i++)
        if (!net->graph.param[i].trainable)
            net->place[i] = net->at.buffers + net->graph.param[i].offset * sizeof(float);
}

static size_t largest_param(const struct rn_graph *g)
{
    size_t largest = 1;
    for (int i = 0; i < g->params; i++) largest = RN_MAX(largest, g->param[i].count);
    return largest;
}

static void lay_out(struct rn_net *net)
{
    const struct rn_graph *g = &net->graph;
    const bool training = net->config.batch > 0;
    const size_t n = (size_t)RN_MAX(net->config.batch, net->config.eval_batch);
    const size_t at_once = (size_t)RN_MAX(net->config.batch, net->part);
    const size_t parts = (size_t)(net->config.eval_batch + net->part - 1) / (size_t)net->part;
    struct rn_layout *at = &net->at;
    size_t bytes = 0;

    at->packed_bytes = packed_bytes(net);
    at->logits_bytes = net->evaluation.buffer[net->evaluation.logits].bytes;
    at->weights = take(&bytes, place_weights(net));
    at->gradients = take(&bytes, training ? g->trainable * sizeof(float) : 0);
    at->buffers = take(&bytes, g->buffers * sizeof(float));
    at->saved = take(&bytes, training ? saved_bytes(net) : 0);
    at->loss = take(&bytes, n * sizeof(double));
    at->labels = take(&bytes, n * sizeof(int32_t));
    at->verdict = take(&bytes, sizeof(int32_t));
    if (training) {
        const size_t evaluation = net->evaluation.bytes + at->packed_bytes;
        at->block = take(&bytes, RN_MAX(net->training.bytes, evaluation));
        at->packed = at->block + net->evaluation.bytes;
    } else {
        at->packed = take(&bytes, at->packed_bytes);
        /* in it, weights are also folded, packed and unpacked, layer by layer */
        at->block = take(&bytes, RN_MAX(net->evaluation.bytes, largest_param(g) * sizeof(float)));
    }
    at->logits = take(&bytes, parts * at->logits_bytes);
    at->pixels = take(&bytes, at_once * 3 * (size_t)net->config.image_size * (size_t)net->config.image_size);
    at->moves = take(&bytes, at_once * sizeof(struct rn_image_move));
    at->bytes = bytes;
    place_buffers(net);
}

/* -- plans ------------------------------------------------------------------------------------- */

/* Bytes of one element of a tensor. */
static size_t element_bytes(const struct rn_net *net)
{
    return net->ops->tensor_bytes(net->dev, 1, 1, 1, 1);
}

/* Images an evaluation takes at a time, before its plan is known; at most net->part, where that is known. */
static int first_part(const struct rn_net *net)
{
    size_t part = (size_t)RN_MIN(net->config.eval_batch, PART);
    part = RN_MAX(1, RN_MIN(part, PART_BYTES / (rn_graph_largest(&net->graph) * element_bytes(net))));
    return net->part ? RN_MIN(net->part, (int)part) : (int)part;
}

static rn_status make_plans(struct rn_net *net)
{
    struct rn_plan_for want = { &net->graph, net->ops, net->dev, net->config.batch,
                                net->config.checkpoint, net->config.freeze_bn };
    rn_status st = net->config.batch ? rn_plan_training(&net->training, &want) : RN_OK;
    for (net->part = first_part(net); st == RN_OK; net->part = (net->part + 1) / 2) {
        want.batch = net->part;
        st = rn_plan_evaluation(&net->evaluation, &want);
        if (net->part == 1 || net->evaluation.bytes <= PART_BYTES) break;
        rn_plan_free(&net->evaluation);
    }
    return st;
}

static rn_status make_tables(struct rn_net *net)
{
    const struct rn_graph *g = &net->graph;
    net->place = rn_alloc_array((size_t)g->params, sizeof *net->place);
    net->saved = rn_alloc_array((size_t)g->batchnorms, sizeof *net->saved);
    net->packed = rn_alloc_array((size_t)g->nodes, sizeof *net->packed);
    net->bias = rn_alloc_array((size_t)g->nodes, sizeof *net->bias);
    return net->place && net->saved && net->packed && net->bias ? RN_OK : RN_ENOMEM;
}

/* Whether it is a table of the backend `name`, watched or not. */
static bool is_of(const struct rn_ops *ops, const char *name) { return !strcmp(ops->name, name); }

bool rn_net_on_host(const struct rn_net *net) { return is_of(net->ops, "cpu") || is_of(net->ops, "ref"); }

/* RN_ENOMEM where `bytes` and what the caller needs beside them are not there.  It is this process's
 * memory that is asked for, so only for the backends that allocate there; another one may have memory
 * of its own, and refuses in its alloc. */
static rn_status must_fit(const struct rn_net *net, size_t bytes)
{
    if (!rn_net_on_host(net)) return RN_OK;
    const int batch = RN_MAX(net->config.batch, net->config.eval_batch);
    const size_t arrays = (size_t)net->config.beside_arrays * net->graph.trainable * sizeof(float);
    const size_t beside = net->config.beside_bytes, all = bytes + arrays + beside;
    rn_status st = rn_memory_check(all < beside ? SIZE_MAX : all);
    if (st != RN_OK) rn_fail(st, "no memory for the net at batch size %d: %s", batch, rn_error());
    return st;
}

/* Everything but the arena.  part: most images an evaluation may take at a time, 0 for the best.  fit: ask whether
 * there is memory; of sizes beyond those that can be planned, for what surely is needed. */
static rn_status plan_net(struct rn_net **out, const struct rn_net_config *config,
                          const struct rn_ops *ops, void *dev, int part, bool fit)
{
    struct rn_net *net = rn_alloc(sizeof *net);
    if (!net) return RN_ENOMEM;
    net->config = *config;
    net->ops = ops;
    net->dev = dev;
    net->n = 1;
    net->part = part;

    rn_status st = rn_graph_build(&net->graph, config);
    if (st == RN_OK) {
        st = rn_graph_check(&net->graph, RN_MAX(config->batch, 1));
        if (st != RN_OK && fit && must_fit(net, rn_graph_least_bytes(&net->graph, config, element_bytes(net))) != RN_OK)
            st = RN_ENOMEM;
    }
    if (st == RN_OK) st = make_plans(net);
    if (st == RN_OK) st = make_tables(net);
    if (st == RN_OK) {
        lay_out(net);
        if (fit) st = must_fit(net, net->at.bytes);
    }
    if (st != RN_OK) {
        rn_net_free(net);
        return st;
    }
    net->plan = &net->evaluation;
    *out = net;
    return RN_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

void rn_net_free(struct rn_net *net)
{
    if (!net) return;
    net->ops->release(net->dev, net->arena);
    rn_free(net->staging);
    rn_free(net->batches);
    rn_free(net->place);
    rn_free(net->saved);
    rn_free(net->packed);
    rn_free(net->bias);
    rn_plan_free(&net->training);
    rn_plan_free(&net->evaluation);
    rn_graph_free(&net->graph);
    rn_free(net);
}

rn_status rn_net_arena_bytes(size_t *bytes, const struct rn_net_config *config,
                             const struct rn_ops *ops, void *dev)
{
    struct rn_net *net;
    rn_status st = plan_net(&net, config, ops, dev, 0, false);
    if (st != RN_OK) return st;
    *bytes = net->at.bytes;
    rn_net_free(net);
    return RN_OK;
}

rn_status rn_net_create(struct rn_net **out, const struct rn_net_config *config,
                        const struct rn_ops *ops, void *dev)
{
    struct rn_net *net;
    if (config->image_size < 32)
        return rn_fail(RN_EUSAGE, "image size: %d, must be 32 to 8192", config->image_size);
    rn_status st = plan_net(&net, config, ops, dev, 0, true);
    if (st != RN_OK) return st;

    void *arena = NULL;
    net->staging = rn_alloc_array(largest_param(&net->graph), sizeof(float));
    net->batches = rn_alloc_array((size_t)net->graph.batchnorms, sizeof *net->batches);
    st = net->staging && net->batches ? ops->alloc(dev, &arena, net->at.bytes) : RN_ENOMEM;
    net->arena = arena;
    net->arena_bytes = net->at.bytes;
    net->most_part = net->part;
    if (st != RN_OK) {
        rn_net_free(net);
        return rn_fail_in(st, "no memory for the net");
    }
    *out = net;
    return RN_OK;
}

/* What outlives a pass stands before the block and depends on the batch and the parameters alone: it stays
 * where it is. */
rn_status rn_net_resize(struct rn_net *net, int image_size)
{
    struct rn_net *other, old = *net;
    struct rn_net_config config = net->config;
    if (image_size == config.image_size) return RN_OK;
    config.image_size = image_size;
    rn_status st = plan_net(&other, &config, net->ops, net->dev, net->most_part, false);
    if (st != RN_OK) return st;
    const size_t needed = other->at.bytes;
    if (needed > net->arena_bytes || other->at.block != net->at.block) {
        rn_net_free(other);
        return rn_fail(RN_EUSAGE, "image size: %d needs %zu bytes, and the net was created with %zu", image_size,
                       needed, net->arena_bytes);
    }
    *net = *other;
    net->arena = old.arena;
    net->arena_bytes = old.arena_bytes;
    net->most_part = old.most_part;
    net->staging = old.staging;
    net->batches = old.batches;
    net->plan = &net->evaluation;
    *other = old; /* whose tables and plans go; what was taken over does not */
    other->arena = NULL;
    other->staging = NULL;
    other->batches = NULL;
    rn_net_free(other);
    return RN_OK;
}
