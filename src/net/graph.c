/*
 * graph.c - unfolds an architecture into nodes and state-dict rows.
 *
 * Rows come in torchvision's order (a block's projection after its last batch norm); nodes come in the
 * order of execution (the projection before it, because the last batch norm adds the shortcut).
 */
#include "net/graph.h"

#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define BN_EPS 1e-5      /* torch.nn.BatchNorm2d's defaults */
#define BN_MOMENTUM 0.1

/* -- rows --------------------------------------------------------------------------------------- */

static struct rn_param *add_row(struct rn_graph *g, enum rn_param_kind kind, const char *module,
                                const char *field, int dims, const int64_t *shape)
{
    RN_ASSERT(g->params < g->param_capacity);
    struct rn_param *p = &g->param[g->params++];
    p->kind = kind;
    p->dims = dims;
    p->count = 1;
    for (int i = 0; i < dims; i++) {
        p->shape[i] = shape[i];
        p->count *= (size_t)shape[i];
    }
    p->trainable = kind < RN_PARAM_MEAN;
    size_t *region = p->trainable ? &g->trainable : &g->buffers;
    p->offset = *region;
    if (kind != RN_PARAM_BATCHES) *region += p->count;
    snprintf(p->name, sizeof p->name, "%s.%s", module, field);
    return p;
}

static int conv_rows(struct rn_graph *g, const char *module, int K, int C, int R)
{
    const int64_t shape[4] = { K, C, R, R };
    add_row(g, RN_PARAM_CONV, module, "weight", 4, shape);
    return g->params - 1;
}

static int bn_rows(struct rn_graph *g, const char *module, int C)
{
    const int64_t shape[1] = { C };
    int first = g->params;
    add_row(g, RN_PARAM_GAMMA, module, "weight", 1, shape);
    add_row(g, RN_PARAM_BETA, module, "bias", 1, shape);
    add_row(g, RN_PARAM_MEAN, module, "running_mean", 1, shape);
    add_row(g, RN_PARAM_VAR, module, "running_var", 1, shape);
    struct rn_param *batches = add_row(g, RN_PARAM_BATCHES, module, "num_batches_tracked", 0, NULL);
    batches->offset = (size_t)g->batchnorms++;
    return first;
}

/* -- nodes -------------------------------------------------------------------------------------- */

static int add_node(struct rn_graph *g, enum rn_node_kind kind, const char *name, int src, int param)
{
    RN_ASSERT(g->nodes < g->node_capacity);
    int number = g->nodes++;
    struct rn_node *n = &g->node[number];
    n->kind = kind;
    n->src = src;
    n->add = -1;
    n->last_consumer = -1;
    n->param = param;
    snprintf(n->name, sizeof n->name, "%s", name);
    if (src >= 0) {
        g->node[src].last_consumer = number;
        n->C = g->node[src].C;
        n->H = g->node[src].H;
        n->W = g->node[src].W;
    }
    return number;
}

static int conv_node(struct rn_graph *g, const char *name, int src, int param, int stride, int groups)
{
    const int64_t *w = g->param[param].shape;
    int number = add_node(g, RN_NODE_CONV, name, src, param), R = (int)w[2], pad = R / 2;
    struct rn_node *n = &g->node[number];
    struct rn_conv_shape s = { .C = n->C, .H = n->H, .W = n->W, .K = (int)w[0], .R = R, .S = R,
                               .stride = stride, .pad = pad, .groups = groups };
    s.P = (s.H + 2 * pad - R) / stride + 1;
    s.Q = (s.W + 2 * pad - R) / stride + 1;
    n->u.conv = s;
    n->C = s.K;
    n->H = s.P;
    n->W = s.Q;
    g->macs += (int64_t)s.K * s.P * s.Q * (s.C / groups) * R * R;
    return number;
}

static int bn_node(struct rn_graph *g, const char *name, int src, int param, enum rn_post post, int add)
{
    int number = add_node(g, RN_NODE_BN, name, src, param);
    struct rn_node *n = &g->node[number];
    n->u.bn = (struct rn_bn_shape){ .C = n->C, .H = n->H, .W = n->W, .eps = BN_EPS,
                                    .momentum = BN_MOMENTUM, .post = post };
    n->batchnorm = (int)g->param[param + 4].offset;
    n->add = add;
    if (add >= 0) g->node[add].last_consumer = number;
    return number;
}

static int maxpool_node(struct rn_graph *g, int src)
{
    int number = add_node(g, RN_NODE_MAXPOOL, "maxpool", src, -1);
    struct rn_node *n = &g->node[number];
    n->u.pool = (struct rn_pool_shape){ .C = n->C, .H = n->H, .W = n->W, .R = 3, .S = 3, .stride = 2,
                                        .pad = 1, .P = (n->H - 1) / 2 + 1, .Q = (n->W - 1) / 2 + 1 };
    n->H = n->u.pool.P;
    n->W = n->u.pool.Q;
    return number;
}

/* -- the parts of a net -------------------------------------------------------------------------- */

static int build_input(struct rn_graph *g, const struct rn_net_config *c)
{
    int x = add_node(g, RN_NODE_INPUT, "input", -1, -1);
    g->node[x].C = 3;
    g->node[x].H = g->node[x].W = c->image_size;
    if (!c->upsample) return x;
    int y = add_node(g, RN_NODE_RESIZE, "upsample", x, -1), size = c->upsample;
    g->node[y].u.resize = (struct rn_resize_shape){ .C = 3, .H = c->image_size, .W = c->image_size,
                                                    .P = size, .Q = size };
    g->node[y].H = g->node[y].W = size;
    return y;
}

static int build_stem(struct rn_graph *g, const struct rn_arch *a, int x)
{
    static const char *const deep_conv[3] = { "conv1.0", "conv1.3", "conv1.6" };
    static const char *const deep_bn[3] = { "conv1.1", "conv1.4", "bn1" };
    bool deep = a->stem == RN_STEM_DEEP;

    for (int i = 0; i < (deep ? 3 : 1); i++) {
        const char *conv = deep ? deep_conv[i] : "conv1", *bn = deep ? deep_bn[i] : "bn1";
        bool halve = i == 0 && (deep || a->stem == RN_STEM_IMAGENET || a->stem == RN_STEM_3X3S2);
        int w = conv_rows(g, conv, a->stem_width[i], g->node[x].C, a->stem == RN_STEM_IMAGENET ? 7 : 3);
        int s = bn_rows(g, bn, a->stem_width[i]);
        x = conv_node(g, conv, x, w, halve ? 2 : 1, 1);
        x = bn_node(g, bn, x, s, RN_POST_RELU, -1);
    }
    return a->stem == RN_STEM_CIFAR ? x : maxpool_node(g, x);
}

/* One residual block on node x; returns its output. */
static int build_block(struct rn_graph *g, const struct rn_arch *a, const struct rn_block *b, int x)
{
    const int channels = g->node[x].C, convs = a->bottleneck ? 3 : 2;
    const int width[3] = { b->mid, a->bottleneck ? b->mid2 : b->out, b->out };
    int w[4], s[4], y = x, shortcut = x;
    char prefix[24], name[4][48], bn[4][48];

    snprintf(prefix, sizeof prefix, "layer%d.%d", b->stage + 1, b->index);
    for (int i = 0, in = channels; i < convs; in = width[i++]) {
        bool middle = a->bottleneck && i == 1;
        int groups = middle ? b->groups : 1, R = a->bottleneck && !middle ? 1 : 3;
        snprintf(name[i], sizeof name[i], "%s.conv%d", prefix, i + 1);
        snprintf(bn[i], sizeof bn[i], "%s.bn%d", prefix, i + 1);
        w[i] = conv_rows(g, name[i], width[i], in / groups, R);
        s[i] = bn_rows(g, bn[i], width[i]);
    }
    if (b->project) {
        snprintf(name[3], sizeof name[3], "%s.downsample.0", prefix);
        snprintf(bn[3], sizeof bn[3], "%s.downsample.1", prefix);
        w[3] = conv_rows(g, name[3], b->out, channels, 1);
        s[3] = bn_rows(g, bn[3], b->out);
    }
    for (int i = 0; i < convs; i++) {
        bool last = i == convs - 1, middle = a->bottleneck && i == 1;
        bool strided = a->bottleneck ? middle : i == 0;
        y = conv_node(g, name[i], y, w[i], strided ? b->stride : 1, middle ? b->groups : 1);
        if (last && b->project) {
            int p = conv_node(g, name[3], x, w[3], b->stride, 1);
            shortcut = bn_node(g, bn[3], p, s[3], RN_POST_NONE, -1);
        }
        y = bn_node(g, bn[i], y, s[i], last ? RN_POST_ADD_RELU : RN_POST_RELU, last ? shortcut : -1);
    }
    return y;
}

static void build_head(struct rn_graph *g, const struct rn_arch *a, int x)
{
    int y = add_node(g, RN_NODE_AVGPOOL, "avgpool", x, -1);
    struct rn_node *n = &g->node[y];
    n->u.pool = (struct rn_pool_shape){ .C = n->C, .H = n->H, .W = n->W, .R = n->H, .S = n->W, .P = 1,
                                        .Q = 1, .stride = 1 };
    n->H = n->W = 1;
    const int64_t shape[2] = { a->classes, a->features };
    add_row(g, RN_PARAM_FC_WEIGHT, "fc", "weight", 2, shape);
    add_row(g, RN_PARAM_FC_BIAS, "fc", "bias", 1, shape);
    int z = add_node(g, RN_NODE_LINEAR, "fc", y, g->params - 2);
    g->node[z].u.linear = (struct rn_linear_shape){ .C = a->features, .K = a->classes };
    g->node[z].C = a->classes;
    g->macs += (int64_t)a->features * a->classes;
}

static rn_status check_config(const struct rn_net_config *c)
{
    if (c->image_size < RN_LEAST_SIZE || c->image_size > 8192)
        return rn_fail(RN_EUSAGE, "image size: %d, must be %d to 8192", c->image_size, RN_LEAST_SIZE);
    if (c->upsample && (c->upsample < c->image_size || c->upsample > 8192))
        return rn_fail(RN_EUSAGE, "upsample: %d, must be %d (the image size) to 8192", c->upsample,
                       c->image_size);
    if (c->batch < 0 || c->batch > RN_MOST_BATCH)
        return rn_fail(RN_EUSAGE, "batch size: %d, must be 1 to %d", c->batch, RN_MOST_BATCH);
    if (c->eval_batch < 1 || c->eval_batch > RN_MOST_BATCH)
        return rn_fail(RN_EUSAGE, "evaluation batch size: %d, must be 1 to %d", c->eval_batch, RN_MOST_BATCH);
    if (c->beside_arrays < 0) return rn_fail(RN_EUSAGE, "arrays beside the net: %d", c->beside_arrays);
    if (c->fold && c->batch)
        return rn_fail(RN_EUSAGE, "fold: batch norm can be folded for inference only");
    if (c->checkpoint && !c->batch)
        return rn_fail(RN_EUSAGE, "checkpoint-activations: only training keeps activations");
    return RN_OK;
}

struct rn_conv_shape rn_node_conv(const struct rn_node *node, int N)
{
    struct rn_conv_shape s = { 0 };
    if (node->kind == RN_NODE_CONV) s = node->u.conv;
    if (node->kind == RN_NODE_LINEAR)
        s = (struct rn_conv_shape){ .C = node->u.linear.C, .H = 1, .W = 1, .K = node->u.linear.K, .R = 1,
                                    .S = 1, .P = 1, .Q = 1, .stride = 1, .groups = 1 };
    s.N = N;
    return s;
}

static int64_t tensor_values(const struct rn_node *n) { return (int64_t)n->C * n->H * n->W; }

size_t rn_graph_largest(const struct rn_graph *g)
{
    int64_t largest = 0;
    for (int i = 0; i < g->nodes; i++) largest = RN_MAX(largest, tensor_values(&g->node[i]));
    return (size_t)largest;
}

size_t rn_graph_least_bytes(const struct rn_graph *g, const struct rn_net_config *c, size_t element)
{
    int64_t values = 0;
    for (int i = 0; i < g->nodes; i++)
        if (g->node[i].kind == RN_NODE_CONV) values += tensor_values(&g->node[i]);
    if (c->checkpoint) values = (int64_t)rn_graph_largest(g);
    double bytes = (double)c->batch * (double)values * (double)element;
    return bytes < (double)(SIZE_MAX / 2) ? (size_t)bytes : SIZE_MAX / 2;
}

rn_status rn_graph_check(const struct rn_graph *g, int n)
{
    for (int i = 0; i < g->nodes; i++) {
        const struct rn_node *node = &g->node[i];
        if (tensor_values(node) > INT_MAX / n)
            return rn_fail(RN_EUSAGE, "%s: %d images of %dx%dx%d are more than 2^31 values; use a "
                           "smaller batch or image", node->name, n, node->C, node->H, node->W);
    }
    return RN_OK;
}

rn_status rn_graph_build(struct rn_graph *g, const struct rn_net_config *c)
{
    const struct rn_arch *a = &c->arch;
    memset(g, 0, sizeof *g);
    rn_status st = check_config(c);
    if (st != RN_OK) return st;

    int units = 3 + 4 * a->blocks; /* convolutions with their batch norms, at most */
    g->node_capacity = 2 * units + 5;
    g->param_capacity = 6 * units + 2;
    g->node = rn_alloc_array((size_t)g->node_capacity, sizeof *g->node);
    g->param = rn_alloc_array((size_t)g->param_capacity, sizeof *g->param);
    if (!g->node || !g->param) {
        rn_graph_free(g);
        return RN_ENOMEM;
    }
    int x = build_stem(g, a, build_input(g, c));
    for (int i = 0; i < a->blocks; i++) x = build_block(g, a, &a->block[i], x);
    build_head(g, a, x);
    for (int i = 0; i < g->params; i++) g->param[i].frozen = rn_frozen_by(c->freeze, &g->param[i]);
    return RN_OK;
}

void rn_graph_free(struct rn_graph *g)
{
    rn_free(g->node);
    rn_free(g->param);
    memset(g, 0, sizeof *g);
}
