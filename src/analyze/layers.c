/* layers.c - a net as a list of layers, with what each holds and multiplies. */
#include "analyze/analyze.h"

#include "base/mem.h"
#include "net/graph.h"

#include <stdio.h>
#include <string.h>

static const char *kind_name(enum rn_node_kind kind)
{
    switch (kind) {
    case RN_NODE_INPUT: break;
    case RN_NODE_RESIZE: return "resize";
    case RN_NODE_CONV: return "conv2d";
    case RN_NODE_BN: return "batch_norm2d";
    case RN_NODE_MAXPOOL: return "max_pool2d";
    case RN_NODE_AVGPOOL: return "adaptive_avg_pool2d";
    case RN_NODE_LINEAR: return "linear";
    }
    return "input";
}

/* Adds the rows of the state dict that are the node's: they share its name. */
static void add_rows(struct rn_layer *l, const struct rn_graph *g, const struct rn_node *node)
{
    size_t length = strlen(node->name);
    for (int i = node->param; i >= 0 && i < g->params; i++) {
        const struct rn_param *p = &g->param[i];
        if (strncmp(p->name, node->name, length) || p->name[length] != '.') return;
        if (p->trainable) l->parameters += (int64_t)p->count;
        l->bytes += (int64_t)(p->count * (p->kind == RN_PARAM_BATCHES ? sizeof(int64_t) : sizeof(float)));
    }
}

static struct rn_layer layer_of(const struct rn_graph *g, const struct rn_node *node)
{
    struct rn_layer l = { .kind = kind_name(node->kind), .C = node->C, .H = node->H, .W = node->W };
    const struct rn_conv_shape s = rn_node_conv(node, 1);
    snprintf(l.name, sizeof l.name, "%s", node->name);
    if (s.C) l.macs = (int64_t)s.K * s.P * s.Q * (s.C / s.groups) * s.R * s.S;
    add_rows(&l, g, node);
    return l;
}

rn_status rn_layers(struct rn_layer **layer, int *count, const struct rn_net_config *config)
{
    struct rn_graph g;
    rn_status status = rn_graph_build(&g, config);
    if (status) return status;
    struct rn_layer *list = rn_alloc_array((size_t)g.nodes, sizeof *list);
    int n = 0;
    for (int i = 0; list && i < g.nodes; i++)
        if (g.node[i].kind != RN_NODE_INPUT) list[n++] = layer_of(&g, &g.node[i]);
    rn_graph_free(&g);
    if (!list) return RN_ENOMEM;
    *layer = list;
    *count = n;
    return RN_OK;
}
