/*
 * exec.c - runs a net: the list of nodes forward, the same list backwards, each node one or two calls
 * through the op table on slices of the arena.  Nothing here allocates.
 */
#include "net/net_private.h"

#include "base/threads.h"

/* -- slices of the arena ------------------------------------------------------------------------- */

static float *block_at(const struct rn_net *net, size_t offset)
{
    return offset == RN_NOWHERE ? NULL : (float *)(void *)(net->arena + net->at.block + offset);
}

/* The plan of the last forward pass. */
static const struct rn_plan *plan_of(const struct rn_net *net)
{
    return net->was_training ? &net->training : &net->evaluation;
}

static float *out_of(const struct rn_net *net, int node)
{
    return node < 0 ? NULL : block_at(net, plan_of(net)->out[node]);
}

static float *grad_of(const struct rn_net *net, int node)
{
    return node < 0 ? NULL : block_at(net, net->training.grad[node]);
}

static uint8_t *index_of(const struct rn_net *net, int node)
{
    return net->arena + net->at.block + plan_of(net)->index[node];
}

static void *workspace(const struct rn_net *net) { return net->arena + net->at.workspace; }

static double *saved_of(const struct rn_net *net, const struct rn_node *node)
{
    return (double *)(void *)(net->arena + net->at.saved + net->saved[node->batchnorm]);
}

/* Row `k` of a node's parameters: its value, or its gradient. */
static float *param_of(const struct rn_net *net, const struct rn_node *node, int k)
{
    const struct rn_param *p = &net->graph.param[node->param + k];
    size_t region = p->trainable ? net->at.weights : net->at.buffers;
    return (float *)(void *)(net->arena + region) + p->offset;
}

static float *dparam_of(const struct rn_net *net, const struct rn_node *node, int k)
{
    const struct rn_param *p = &net->graph.param[node->param + k];
    return (float *)(void *)(net->arena + net->at.gradients) + p->offset;
}

static struct rn_conv_shape conv_shape(const struct rn_net *net, const struct rn_node *node)
{
    struct rn_conv_shape s = node->u.conv;
    s.N = net->n;
    return s;
}

static struct rn_bn_shape bn_shape(const struct rn_net *net, const struct rn_node *node)
{
    struct rn_bn_shape s = node->u.bn;
    s.N = net->n;
    return s;
}

static struct rn_linear_shape linear_shape(const struct rn_net *net, const struct rn_node *node)
{
    struct rn_linear_shape s = node->u.linear;
    s.N = net->n;
    return s;
}

static struct rn_pool_shape pool_shape(const struct rn_net *net, const struct rn_node *node)
{
    struct rn_pool_shape s = node->u.pool;
    s.N = net->n;
    return s;
}

/* The packed weights of convolution `i` for a pass.  One slot serves all convolutions of a training net,
 * so it is filled at each use; an inference-only net keeps them. */
static const void *packed_weights(struct rn_net *net, int i, enum rn_pass pass)
{
    const struct rn_node *node = &net->graph.node[i];
    void *packed = net->arena + net->at.packed + net->packed[i];
    if (net->config.batch == 0 && net->packed_valid) return packed;
    struct rn_conv_shape s = conv_shape(net, node);
    net->ops->conv2d_pack(net->dev, packed, param_of(net, node, 0), &s, pass);
    return packed;
}

/* -- forward -------------------------------------------------------------------------------------- */

static void forward_bn(struct rn_net *net, int i)
{
    const struct rn_ops *ops = net->ops;
    const struct rn_node *node = &net->graph.node[i];
    const struct rn_bn_shape s = bn_shape(net, node);

    if (net->was_training) {
        ops->batchnorm_forward_train(net->dev, out_of(net, i), saved_of(net, node), out_of(net, node->src),
                                     out_of(net, node->add), param_of(net, node, 0),
                                     param_of(net, node, 1), &s, workspace(net));
        return;
    }
    const struct rn_node *conv = &net->graph.node[node->src];
    const struct rn_conv_shape cs = conv_shape(net, conv);
    ops->conv2d_bn(net->dev, out_of(net, i), out_of(net, conv->src),
                   packed_weights(net, node->src, RN_PASS_FORWARD), out_of(net, node->add),
                   param_of(net, node, 0), param_of(net, node, 1), param_of(net, node, 2),
                   param_of(net, node, 3), &cs, &s, workspace(net));
}

static void forward_node(struct rn_net *net, int i)
{
    const struct rn_ops *ops = net->ops;
    const struct rn_node *node = &net->graph.node[i];
    float *dst = out_of(net, i);
    const float *src = out_of(net, node->src);

    switch (node->kind) {
    case RN_NODE_INPUT:
        break;
    case RN_NODE_RESIZE: {
        struct rn_resize_shape s = node->u.resize;
        s.N = net->n;
        ops->resize_forward(net->dev, dst, src, &s);
        break;
    }
    case RN_NODE_CONV:
        if (net->was_training) {
            const struct rn_conv_shape s = conv_shape(net, node);
            ops->conv2d_forward(net->dev, dst, src, packed_weights(net, i, RN_PASS_FORWARD), NULL, &s,
                                workspace(net));
        }
        break;
    case RN_NODE_BN:
        forward_bn(net, i);
        break;
    case RN_NODE_MAXPOOL: {
        const struct rn_pool_shape s = pool_shape(net, node);
        ops->maxpool_forward(net->dev, dst, index_of(net, i), src, &s);
        break;
    }
    case RN_NODE_AVGPOOL: {
        const struct rn_pool_shape s = pool_shape(net, node);
        ops->global_avgpool_forward(net->dev, dst, src, &s);
        break;
    }
    case RN_NODE_LINEAR: {
        const struct rn_linear_shape s = linear_shape(net, node);
        ops->linear_forward(net->dev, dst, src, param_of(net, node, 0), param_of(net, node, 1), &s,
                            workspace(net));
        break;
    }
    }
}

static void begin_forward(struct rn_net *net, const float *images, int n, bool training)
{
    RN_ASSERT(n >= 1 && n <= (training ? net->config.batch : net->config.eval_batch));
    net->n = n;
    net->was_training = training;
    const struct rn_node *input = &net->graph.node[0];
    net->ops->tensor_set(net->dev, out_of(net, 0), images, n, input->C, input->H, input->W);
}

void rn_net_forward(struct rn_net *net, const float *images, int n, bool training)
{
    const rn_fpmode mode = rn_fpmode_enter();
    begin_forward(net, images, n, training);
    for (int i = 0; i < net->graph.nodes; i++) forward_node(net, i);
    net->packed_valid = net->config.batch == 0;
    rn_fpmode_leave(mode);
}

void rn_net_logits(struct rn_net *net, float *host)
{
    int last = net->graph.nodes - 1;
    net->ops->tensor_get(net->dev, host, out_of(net, last), net->n, net->graph.node[last].C, 1, 1);
}

void rn_net_loss(struct rn_net *net, double *loss, const int32_t *labels, int total, double smoothing)
{
    const struct rn_ops *ops = net->ops;
    const int last = net->graph.nodes - 1;
    const struct rn_loss_shape s = { net->n, net->graph.node[last].C, total ? total : net->n, smoothing };
    double *dloss = (double *)(void *)(net->arena + net->at.loss);
    int32_t *dlabels = (int32_t *)(void *)(net->arena + net->at.labels);
    const rn_fpmode mode = rn_fpmode_enter();

    ops->write(net->dev, dlabels, labels, (size_t)net->n * sizeof *labels);
    ops->softmax_cross_entropy(net->dev, dloss, total ? grad_of(net, last) : NULL, out_of(net, last),
                               dlabels, &s);
    ops->read(net->dev, loss, dloss, (size_t)net->n * sizeof *loss);
    rn_fpmode_leave(mode);
}

/* -- backward ------------------------------------------------------------------------------------- */

static bool wants_gradient(const struct rn_net *net, int node)
{
    enum rn_node_kind kind = net->graph.node[node].kind;
    return kind != RN_NODE_INPUT && kind != RN_NODE_RESIZE;
}

static void backward_conv(struct rn_net *net, int i)
{
    const struct rn_ops *ops = net->ops;
    const struct rn_node *node = &net->graph.node[i];
    const struct rn_conv_shape s = conv_shape(net, node);
    float *ddst = grad_of(net, i), *dsrc = grad_of(net, node->src);

    ops->conv2d_backward_weights(net->dev, dparam_of(net, node, 0), NULL, out_of(net, node->src), ddst, &s,
                                 workspace(net));
    if (!wants_gradient(net, node->src)) return;
    /* Whoever reads src last in forward order has already written its gradient: add to it. */
    const bool first = net->graph.node[node->src].last_consumer == i;
    ops->conv2d_backward_data(net->dev, dsrc, ddst, packed_weights(net, i, RN_PASS_BACKWARD_DATA),
                              first ? NULL : dsrc, &s, workspace(net));
}

static void backward_node(struct rn_net *net, int i)
{
    const struct rn_ops *ops = net->ops;
    const struct rn_node *node = &net->graph.node[i];
    float *ddst = grad_of(net, i), *dsrc = grad_of(net, node->src);

    switch (node->kind) {
    case RN_NODE_INPUT:
    case RN_NODE_RESIZE:
        break;
    case RN_NODE_CONV:
        backward_conv(net, i);
        break;
    case RN_NODE_BN: {
        const struct rn_bn_shape s = bn_shape(net, node);
        ops->batchnorm_backward(net->dev, dsrc, grad_of(net, node->add), dparam_of(net, node, 0),
                                dparam_of(net, node, 1), ddst, out_of(net, i), out_of(net, node->src),
                                saved_of(net, node), param_of(net, node, 0), &s, workspace(net));
        break;
    }
    case RN_NODE_MAXPOOL: {
        const struct rn_pool_shape s = pool_shape(net, node);
        ops->maxpool_backward(net->dev, dsrc, ddst, index_of(net, i), &s);
        break;
    }
    case RN_NODE_AVGPOOL: {
        const struct rn_pool_shape s = pool_shape(net, node);
        ops->global_avgpool_backward(net->dev, dsrc, ddst, &s);
        break;
    }
    case RN_NODE_LINEAR: {
        const struct rn_linear_shape s = linear_shape(net, node);
        ops->linear_backward_weights(net->dev, dparam_of(net, node, 0), dparam_of(net, node, 1),
                                     out_of(net, node->src), ddst, &s, workspace(net));
        ops->linear_backward_data(net->dev, dsrc, ddst, param_of(net, node, 0), &s, workspace(net));
        break;
    }
    }
}

void rn_net_backward(struct rn_net *net)
{
    RN_ASSERT(net->was_training);
    const rn_fpmode mode = rn_fpmode_enter();
    for (int i = net->graph.nodes - 1; i > 0; i--) backward_node(net, i);
    rn_fpmode_leave(mode);
}

void rn_net_commit_statistics(struct rn_net *net)
{
    const rn_fpmode mode = rn_fpmode_enter();
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        if (node->kind != RN_NODE_BN) continue;
        const struct rn_bn_shape s = bn_shape(net, node);
        net->ops->batchnorm_running(net->dev, param_of(net, node, 2), param_of(net, node, 3),
                                    saved_of(net, node), &s);
        net->batches[node->batchnorm]++;
    }
    rn_fpmode_leave(mode);
}

/* -- when values are not finite (A7) --------------------------------------------------------------- */

bool rn_net_gradients_finite(struct rn_net *net)
{
    return net->ops->finite(net->dev, rn_net_gradients(net), net->graph.trainable);
}

const char *rn_net_find_not_finite(struct rn_net *net, const float *images, int n)
{
    const struct rn_ops *ops = net->ops;
    begin_forward(net, images, n, true);
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        size_t count = (size_t)n * (size_t)node->C * (size_t)node->H * (size_t)node->W;
        forward_node(net, i);
        if (!ops->finite(net->dev, out_of(net, i), count)) return node->name;
    }
    for (int i = net->graph.params - 1; i >= 0; i--) { /* backward order: the head comes first */
        const struct rn_param *p = &net->graph.param[i];
        if (p->trainable && !ops->finite(net->dev, rn_net_gradients(net) + p->offset, p->count))
            return p->name;
    }
    return NULL;
}
