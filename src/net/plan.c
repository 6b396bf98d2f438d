/*
 * plan.c - lifetimes and placement.
 *
 * Time: node i runs forward at i, the loss at n (the number of nodes), node i backward at 2n - i.
 * A buffer lives over a closed interval of that time.  Placement is greedy: largest first, each at the
 * lowest offset that is free during its life.
 *
 * Gradients share buffers where an op may work in place (resnet_backend.h says where): a batch norm
 * turns the gradient of its output into that of its input, or, when it adds a shortcut, hands it on to
 * the shortcut; the second consumer of a tensor adds to what the first wrote.
 */
#include "net/plan.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

struct item { size_t *place; size_t bytes; int first, last; };

size_t rn_plan_align(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* Larger first; then by first use, then by place in the tables: a total order, so plans never vary. */
static int larger_first(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first) return a->first - b->first;
    return a->last != b->last ? a->last - b->last : (a->place > b->place) - (a->place < b->place);
}

/* Lowest offset where items[k] fits beside the items before it that live at the same time. */
static size_t lowest_free(const struct item *items, int k)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < k; i++) {
            bool together = items[i].first <= items[k].last && items[k].first <= items[i].last;
            size_t begin = *items[i].place, end = begin + items[i].bytes;
            if (together && at < end && begin < at + items[k].bytes) {
                at = end;
                moved = true;
            }
        }
    }
    return at;
}

static size_t place_all(struct item *items, int count)
{
    size_t bytes = 0;
    qsort(items, (size_t)count, sizeof *items, larger_first);
    for (int k = 0; k < count; k++) {
        *items[k].place = lowest_free(items, k);
        bytes = RN_MAX(bytes, *items[k].place + items[k].bytes);
    }
    return bytes;
}

static rn_status plan_begin(struct rn_plan *p, struct item **items, const struct rn_graph *g)
{
    size_t n = (size_t)g->nodes;
    memset(p, 0, sizeof *p);
    *items = rn_alloc_array(3 * n, sizeof **items);
    p->out = rn_alloc_array(3 * n, sizeof *p->out);
    if (!*items || !p->out) {
        rn_free(*items);
        rn_plan_free(p);
        return RN_ENOMEM;
    }
    p->grad = p->out + n;
    p->index = p->grad + n;
    for (size_t i = 0; i < 3 * n; i++) p->out[i] = RN_NOWHERE;
    return RN_OK;
}

void rn_plan_free(struct rn_plan *p)
{
    rn_free(p->out);
    memset(p, 0, sizeof *p);
}

static size_t output_bytes(const struct rn_node *n, int batch, const struct rn_ops *ops, void *dev)
{
    return rn_plan_align(ops->tensor_bytes(dev, batch, n->C, n->H, n->W));
}

static size_t index_bytes(const struct rn_node *n, int batch)
{
    return rn_plan_align((size_t)batch * (size_t)n->C * (size_t)n->H * (size_t)n->W);
}

/* The last time node i's output is read: by its consumers, and backward by the ops that need it. */
static int output_last_use(const struct rn_graph *g, int i)
{
    const int n = g->nodes;
    int last = g->node[i].last_consumer < 0 ? 2 * n : g->node[i].last_consumer; /* logits: to the end */
    for (int j = i; j < n; j++) {
        const struct rn_node *c = &g->node[j];
        bool mask = j == i && c->kind == RN_NODE_BN && c->u.bn.post != RN_POST_NONE;
        bool input = c->src == i && j != i &&
                     (c->kind == RN_NODE_CONV || c->kind == RN_NODE_BN || c->kind == RN_NODE_LINEAR);
        if (mask || input) last = RN_MAX(last, 2 * n - j);
    }
    return last;
}

/* Node whose gradient buffer node i's output gradient shares: the consumer that works in place. */
static int gradient_owner(const struct rn_graph *g, int i)
{
    int c = g->node[i].last_consumer;
    if (c < 0 || g->node[c].kind != RN_NODE_BN) return i;
    bool handed_on = g->node[c].u.bn.post == RN_POST_ADD_RELU ? g->node[c].add == i : g->node[c].src == i;
    return handed_on ? gradient_owner(g, c) : i;
}

rn_status rn_plan_training(struct rn_plan *p, const struct rn_graph *g, int batch, const struct rn_ops *ops,
                           void *dev)
{
    const int n = g->nodes;
    struct item *items;
    int count = 0;
    rn_status st = plan_begin(p, &items, g);
    if (st != RN_OK) return st;

    for (int i = 0; i < n; i++) {
        const struct rn_node *node = &g->node[i];
        size_t bytes = output_bytes(node, batch, ops, dev);
        items[count++] = (struct item){ &p->out[i], bytes, i, output_last_use(g, i) };
        if (node->kind == RN_NODE_MAXPOOL)
            items[count++] = (struct item){ &p->index[i], index_bytes(node, batch), i, 2 * n - i };
    }
    for (int i = n - 1; i > 0; i--) {
        const struct rn_node *node = &g->node[i];
        if (node->kind == RN_NODE_RESIZE || gradient_owner(g, i) != i) continue;
        int first = node->last_consumer < 0 ? n : 2 * n - node->last_consumer, last = 2 * n - i;
        for (int j = 1; j < i; j++)
            if (gradient_owner(g, j) == i) last = RN_MAX(last, 2 * n - j);
        items[count++] = (struct item){ &p->grad[i], output_bytes(node, batch, ops, dev), first, last };
    }
    p->bytes = place_all(items, count);
    for (int i = 1; i < n; i++)
        if (g->node[i].kind != RN_NODE_RESIZE) p->grad[i] = p->grad[gradient_owner(g, i)];
    rn_free(items);
    return RN_OK;
}

rn_status rn_plan_evaluation(struct rn_plan *p, const struct rn_graph *g, int batch,
                             const struct rn_ops *ops, void *dev)
{
    const int n = g->nodes;
    struct item *items;
    int count = 0;
    rn_status st = plan_begin(p, &items, g);
    if (st != RN_OK) return st;

    for (int i = 0; i < n; i++) {
        const struct rn_node *node = &g->node[i];
        if (node->kind == RN_NODE_CONV) continue;
        int last = node->last_consumer < 0 ? n : node->last_consumer;
        for (int j = i + 1; j < n; j++) /* read by a convolution: that is, when its batch norm runs */
            if (g->node[j].kind == RN_NODE_CONV && g->node[j].src == i)
                last = RN_MAX(last, g->node[j].last_consumer);
        items[count++] = (struct item){ &p->out[i], output_bytes(node, batch, ops, dev), i, last };
        if (node->kind == RN_NODE_MAXPOOL)
            items[count++] = (struct item){ &p->index[i], index_bytes(node, batch), i, i };
    }
    p->bytes = place_all(items, count);
    rn_free(items);
    return RN_OK;
}
