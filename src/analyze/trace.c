/*
 * trace.c - unfolds the nodes of a net into primitive operations.
 *
 * torch.fx lists a block's last batch norm before the projection of its shortcut, and the addition after both;
 * so a convolution brings its batch norm with it, and what follows the norm stands where the graph has the node.
 */
#include "analyze/trace.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *name, *class; } kind_table[RN_OP_KINDS] = {
    [RN_OP_INPUT] = { "input", "placeholder" },
    [RN_OP_RESIZE] = { "resize", "interpolate" },
    [RN_OP_CONV] = { "conv2d", "Conv2d" },
    [RN_OP_BN] = { "batch_norm2d", "BatchNorm2d" },
    [RN_OP_RELU] = { "relu", "ReLU" },
    [RN_OP_ADD] = { "add", "add" },
    [RN_OP_MAXPOOL] = { "max_pool2d", "MaxPool2d" },
    [RN_OP_AVGPOOL] = { "adaptive_avg_pool2d", "AdaptiveAvgPool2d" },
    [RN_OP_FLATTEN] = { "flatten", "flatten" },
    [RN_OP_LINEAR] = { "linear", "Linear" },
    [RN_OP_SOFTMAX] = { "softmax", "Softmax" },
};

const char *rn_op_kind_name(enum rn_op_kind kind) { return kind_table[kind].name; }
const char *rn_op_kind_class(enum rn_op_kind kind) { return kind_table[kind].class; }

int64_t rn_op_elements(const struct rn_op *op) { return (int64_t)op->C * op->H * op->W; }

int64_t rn_op_inputs(const struct rn_trace *t, const struct rn_op *op)
{
    int64_t elements = 0;
    for (int k = 0; k < 2; k++)
        if (op->src[k] >= 0) elements += rn_op_elements(&t->op[op->src[k]]);
    return elements;
}

/* -- building ------------------------------------------------------------------------------------ */

/* value[i]: the operation whose output is that of node i. */
struct builder { struct rn_trace *t; int *value; };

static int add_op(struct builder *b, enum rn_op_kind kind, int node, int src)
{
    struct rn_trace *t = b->t;
    const struct rn_node *n = &t->graph.node[node];
    struct rn_op *op = &t->op[t->ops];
    *op = (struct rn_op){ .kind = kind, .node = node, .src = { src, -1 }, .fork = -1, .C = n->C, .H = n->H,
                          .W = n->W };
    if (src >= 0) t->op[src].readers++;
    return t->ops++;
}

/* torch.fx writes the module's path with underscores. */
static void name_op(struct rn_op *op, const char *module)
{
    snprintf(op->name, sizeof op->name, "%s", module);
    for (char *p = op->name; *p; p++)
        if (*p == '.') *p = '_';
}

/* `name`, or name_1, name_2 ... where that is taken already. */
static void name_once_more(struct builder *b, struct rn_op *op, const char *name)
{
    int times = 0;
    const size_t length = strlen(name);
    for (const struct rn_op *o = b->t->op; o < op; o++) {
        const char *rest = o->name + length;
        if (o->kind == op->kind && !strncmp(o->name, name, length) && (!*rest || *rest == '_')) times++;
    }
    if (times) snprintf(op->name, sizeof op->name, "%.48s_%d", name, times);
    else snprintf(op->name, sizeof op->name, "%.48s", name);
}

/* The ReLU after the batch norm `bn`: a module of its block, of the stem, or the next of the deep stem's list. */
static void name_relu(struct builder *b, struct rn_op *op, const char *bn)
{
    char name[48];
    int number;
    if (sscanf(bn, "conv1.%d", &number) == 1) {
        snprintf(name, sizeof name, "conv1_%d", number + 1);
    } else {
        const char *last = strrchr(bn, '.');
        snprintf(name, sizeof name, "%.*s%srelu", last ? (int)(last - bn) : 0, bn, last ? "_" : "");
    }
    for (char *p = name; *p; p++)
        if (*p == '.') *p = '_';
    name_once_more(b, op, name);
}

/* The trainable floats and the buffers of a node: the rows of the state dict that share its name. */
static void add_rows(struct rn_op *op, const struct rn_graph *g, const struct rn_node *n)
{
    const size_t length = strlen(n->name);
    for (int i = n->param; i >= 0 && i < g->params; i++) {
        const struct rn_param *p = &g->param[i];
        if (strncmp(p->name, n->name, length) || p->name[length] != '.') return;
        if (p->trainable) op->parameters += (int64_t)p->count;
        else if (p->kind != RN_PARAM_BATCHES) op->buffers += (int64_t)p->count;
    }
}

/* The batch norm node of convolution i. */
static int norm_of(const struct rn_graph *g, int i)
{
    int bn = i + 1;
    while (g->node[bn].kind != RN_NODE_BN || g->node[bn].src != i) bn++;
    return bn;
}

static int add_module(struct builder *b, enum rn_op_kind kind, int node, int src)
{
    const struct rn_graph *g = &b->t->graph;
    const struct rn_node *n = &g->node[node];
    int i = add_op(b, kind, node, src);
    struct rn_op *op = &b->t->op[i];
    name_op(op, n->name);
    op->conv = rn_node_conv(n, 1);
    if (n->kind == RN_NODE_MAXPOOL || n->kind == RN_NODE_AVGPOOL) {
        op->R = n->u.pool.R;
        op->S = n->u.pool.S;
    }
    add_rows(op, g, n);
    return i;
}

/* What follows the batch norm of node i, whose output is value[i] so far. */
static void add_post(struct builder *b, int i)
{
    const struct rn_graph *g = &b->t->graph;
    const struct rn_node *n = &g->node[i];
    struct rn_op *op;
    if (n->u.bn.post == RN_POST_ADD_RELU) {
        const struct rn_node *shortcut = &g->node[n->add];
        bool projected = shortcut->kind == RN_NODE_BN && shortcut->u.bn.post == RN_POST_NONE;
        int fork = b->value[projected ? g->node[shortcut->src].src : n->add];
        b->value[i] = add_op(b, RN_OP_ADD, i, b->value[i]);
        op = &b->t->op[b->value[i]];
        op->src[1] = b->value[n->add];
        op->fork = fork;
        b->t->op[op->src[1]].readers++;
        name_once_more(b, op, "add");
    }
    if (n->u.bn.post == RN_POST_NONE) return;
    b->value[i] = add_op(b, RN_OP_RELU, i, b->value[i]);
    name_relu(b, &b->t->op[b->value[i]], n->name);
}

static void add_node(struct builder *b, int i)
{
    static const enum rn_op_kind kind[] = {
        [RN_NODE_INPUT] = RN_OP_INPUT, [RN_NODE_RESIZE] = RN_OP_RESIZE, [RN_NODE_CONV] = RN_OP_CONV,
        [RN_NODE_MAXPOOL] = RN_OP_MAXPOOL, [RN_NODE_AVGPOOL] = RN_OP_AVGPOOL, [RN_NODE_LINEAR] = RN_OP_LINEAR,
    };
    const struct rn_node *n = &b->t->graph.node[i];
    if (n->kind == RN_NODE_BN) {
        add_post(b, i);
        return;
    }
    int src = n->src < 0 ? -1 : b->value[n->src];
    if (n->kind == RN_NODE_LINEAR) {
        src = add_op(b, RN_OP_FLATTEN, n->src, src);
        name_op(&b->t->op[src], "flatten");
    }
    b->value[i] = add_module(b, kind[n->kind], i, src);
    if (n->kind == RN_NODE_CONV) {
        const int bn = norm_of(&b->t->graph, i);
        b->value[bn] = add_module(b, RN_OP_BN, bn, b->value[i]);
    }
}

rn_status rn_trace_build(struct rn_trace *t, const struct rn_net_config *config)
{
    *t = (struct rn_trace){ .ops = 0 };
    rn_status status = rn_graph_build(&t->graph, config);
    if (status) return status;
    const size_t nodes = (size_t)t->graph.nodes;
    struct builder b = { t, rn_alloc_array(nodes, sizeof *b.value) };
    t->op = rn_alloc_array(3 * nodes + 1, sizeof *t->op); /* batch norm, addition, ReLU of one node */
    if (b.value && t->op)
        for (int i = 0; i < t->graph.nodes; i++) add_node(&b, i);
    status = b.value && t->op ? RN_OK : RN_ENOMEM;
    rn_free(b.value);
    if (status) rn_trace_free(t);
    return status;
}

void rn_trace_free(struct rn_trace *t)
{
    rn_graph_free(&t->graph);
    rn_free(t->op);
    *t = (struct rn_trace){ .ops = 0 };
}

/* -- folding ------------------------------------------------------------------------------------- */

/* Where operation i stands once the batch norms before it are gone; of a batch norm, its convolution. */
static int folded_place(const struct rn_trace *t, int i)
{
    int place = i;
    if (i < 0) return i;
    for (int k = 0; k <= i; k++) place -= t->op[k].kind == RN_OP_BN;
    return t->op[i].kind == RN_OP_BN ? folded_place(t, t->op[i].src[0]) : place;
}

void rn_trace_fold(struct rn_trace *t)
{
    int ops = 0;
    for (int i = 0; i < t->ops; i++) { /* a bias is what is left of a batch norm */
        struct rn_op *op = &t->op[i];
        if (op->kind == RN_OP_BN) {
            struct rn_op *conv = &t->op[op->src[0]];
            conv->readers = op->readers;
            conv->parameters += op->C;
        }
    }
    for (int i = t->ops - 1; i >= 0; i--) { /* backwards: sources stand before their readers */
        struct rn_op *op = &t->op[i];
        for (int k = 0; k < 2; k++) op->src[k] = folded_place(t, op->src[k]);
        op->fork = folded_place(t, op->fork);
    }
    for (int i = 0; i < t->ops; i++)
        if (t->op[i].kind != RN_OP_BN) t->op[ops++] = t->op[i];
    t->ops = ops;
}
