/*
 * steps.c - writes the steps of a pass.
 *
 * Training keeps every activation once.  Kept from the forward pass for the backward pass are the
 * outputs of convolutions and of blocks (the sums after ReLU), and whatever is no batch norm.  The
 * output of a batch norm inside a block is not: batchnorm_apply makes it again from the
 * convolution's output, bit for bit, just before the weight gradient that reads it.  With
 * `checkpoint` the outputs of convolutions are not kept either, only the inputs of blocks; each
 * block then runs forward again inside the backward pass (Chen et al., "Training deep nets with
 * sublinear memory cost", arXiv:1604.06174).
 *
 * Either rule is one line, `kept`.  Everything else follows: a step that needs a value asks `need`,
 * which returns its buffer, or first writes the steps that make it anew.
 *
 * Gradients share buffers where a slot may work in place (resnet_backend.h says where): a batch norm
 * turns the gradient of its output into that of its input, or, when it adds a shortcut, hands it on
 * to the shortcut; the second consumer of a tensor adds to what the first wrote.
 *
 * A gradient is made only if a parameter that is not frozen waits for it, or for one before it: `trained`.
 * Whatever only the others needed is not there, activations too, as nobody asks for them.
 */
#include "net/plan.h"

#include "base/mem.h"

/* A plan in the making: by node, the buffer that holds its output now, the gradient's, and a max-pool's
 * choices. */
struct writer {
    struct rn_plan *plan;
    const struct rn_plan_for *want;
    int *value, *gradient, *index;
    int *trained; /* training: whether node i, or one that it comes from, has a parameter that is not frozen */
    bool training;
};

static const struct rn_node *node_at(const struct writer *w, int i) { return &w->want->graph->node[i]; }

static int new_tensor(struct writer *w, int node)
{
    const struct rn_plan_for *f = w->want;
    const struct rn_node *n = node_at(w, node);
    if (n->kind == RN_NODE_LINEAR) /* logits and their gradient are dense floats in all numerics */
        return rn_plan_add_buffer(w->plan, (size_t)f->batch * (size_t)n->C * sizeof(float));
    return rn_plan_add_buffer(w->plan, f->ops->tensor_bytes(f->dev, f->batch, n->C, n->H, n->W));
}

/* -- workspaces and packed weights: buffers of one step ---------------------------------------- */

static struct rn_conv_shape conv_shape(const struct writer *w, int conv)
{
    return rn_node_conv(node_at(w, conv), w->want->batch);
}

static size_t conv_bytes(const struct writer *w, int conv)
{
    const struct rn_conv_shape s = conv_shape(w, conv);
    return rn_plan_align(w->want->ops->conv2d_workspace(w->want->dev, &s));
}

static size_t bn_bytes(const struct writer *w, int bn)
{
    struct rn_bn_shape s = node_at(w, bn)->u.bn;
    s.N = w->want->batch;
    return w->want->ops->batchnorm_workspace(w->want->dev, &s);
}

static size_t linear_bytes(const struct writer *w, int linear)
{
    struct rn_linear_shape s = node_at(w, linear)->u.linear;
    s.N = w->want->batch;
    return w->want->ops->linear_workspace(w->want->dev, &s);
}

static int new_packed(struct writer *w, int conv, enum rn_pass pass)
{
    const struct rn_conv_shape s = conv_shape(w, conv);
    return rn_plan_add_buffer(w->plan, w->want->ops->conv2d_packed_bytes(w->want->dev, &s, pass));
}

/* -- forward ----------------------------------------------------------------------------------- */

static void write_conv_bn(struct writer *w, int bn)
{
    const struct rn_node *n = node_at(w, bn);
    const int conv = n->src;
    struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_CONV_BN, bn);
    s->in = w->value[node_at(w, conv)->src];
    s->add = n->add < 0 ? RN_NONE : w->value[n->add];
    if (w->training) {
        s->x = w->value[conv] = new_tensor(w, conv);
        s->packed = new_packed(w, conv, RN_PASS_FORWARD);
    }
    s->out = w->value[bn] = new_tensor(w, bn);
    s->work = rn_plan_add_buffer(w->plan, conv_bytes(w, conv) + (w->training ? bn_bytes(w, bn) : 0));
}

static void write_forward_node(struct writer *w, int i)
{
    static const enum rn_step_kind kind[] = {
        [RN_NODE_INPUT] = RN_STEP_INPUT, [RN_NODE_RESIZE] = RN_STEP_RESIZE,
        [RN_NODE_MAXPOOL] = RN_STEP_MAXPOOL, [RN_NODE_AVGPOOL] = RN_STEP_AVGPOOL,
        [RN_NODE_LINEAR] = RN_STEP_LINEAR,
    };
    const struct rn_node *n = node_at(w, i);
    if (n->kind == RN_NODE_CONV) return; /* runs together with its batch norm */
    if (n->kind == RN_NODE_BN) {
        write_conv_bn(w, i);
        return;
    }
    struct rn_plan_step *s = rn_plan_add_step(w->plan, kind[n->kind], i);
    if (n->src >= 0) s->in = w->value[n->src];
    s->out = w->value[i] = new_tensor(w, i);
    if (n->kind == RN_NODE_MAXPOOL) { /* a byte an element */
        size_t bytes = (size_t)w->want->batch * (size_t)n->C * (size_t)n->H * (size_t)n->W;
        s->index = w->index[i] = rn_plan_add_buffer(w->plan, bytes);
    }
    if (n->kind == RN_NODE_LINEAR) {
        if (w->training) s->packed = new_packed(w, i, RN_PASS_FORWARD);
        s->work = rn_plan_add_buffer(w->plan, linear_bytes(w, i));
    }
}

static void write_forward(struct writer *w)
{
    const int nodes = w->want->graph->nodes;
    for (int i = 0; i < nodes; i++) write_forward_node(w, i);
    w->plan->logits = w->value[nodes - 1];
}

/* -- between the passes ------------------------------------------------------------------------ */

/* Two nodes read a block's input: its first convolution, and its shortcut. */
static bool block_input(const struct writer *w, int i)
{
    int readers = 0;
    for (int j = i + 1; j < w->want->graph->nodes; j++)
        readers += (node_at(w, j)->src == i) + (node_at(w, j)->add == i);
    return readers > 1;
}

/* Whether node i's output stays for the backward pass. */
static bool kept(const struct writer *w, int i)
{
    const struct rn_node *n = node_at(w, i);
    if (n->kind == RN_NODE_CONV) return !w->want->checkpoint;
    if (n->kind != RN_NODE_BN) return true;
    return n->u.bn.post == RN_POST_ADD_RELU || (w->want->checkpoint && block_input(w, i));
}

/* The loss makes the gradient of the logits; what is not kept is gone. */
static void write_loss(struct writer *w)
{
    const int last = w->want->graph->nodes - 1;
    struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_LOSS, last);
    w->plan->loss = w->plan->steps - 1;
    s->in = w->value[last];
    s->dout = w->gradient[last] = new_tensor(w, last);
    for (int i = 0; i < last; i++)
        if (!kept(w, i)) w->value[i] = RN_NONE;
}

/* -- backward ---------------------------------------------------------------------------------- */

/* The buffer with node i's output, made again if it is gone: a convolution from its source, a batch
 * norm from its convolution.  Ends, for the sources of both chains are kept. */
static int need(struct writer *w, int i)
{
    if (w->value[i] != RN_NONE) return w->value[i];
    const struct rn_node *n = node_at(w, i);
    const int src = need(w, n->src);
    if (n->kind == RN_NODE_CONV) {
        struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_CONV, i);
        s->in = src;
        s->x = w->value[i] = new_tensor(w, i);
        s->packed = new_packed(w, i, RN_PASS_FORWARD);
        s->work = rn_plan_add_buffer(w->plan, conv_bytes(w, i));
    } else {
        RN_ASSERT(n->kind == RN_NODE_BN && n->add < 0);
        struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_APPLY, i);
        s->x = src;
        s->out = w->value[i] = new_tensor(w, i);
    }
    return w->value[i];
}

/* Whether a parameter of the node itself is not frozen. */
static bool has_trained(const struct writer *w, int i)
{
    static const int parameters[] = { [RN_NODE_CONV] = 1, [RN_NODE_BN] = 2, [RN_NODE_LINEAR] = 2 };
    const struct rn_node *n = node_at(w, i);
    for (int k = 0; k < parameters[n->kind]; k++)
        if (!w->want->graph->param[n->param + k].frozen) return true;
    return false;
}

static void find_trained(struct writer *w)
{
    for (int i = 0; i < w->want->graph->nodes; i++) {
        const struct rn_node *n = node_at(w, i);
        w->trained[i] = has_trained(w, i) || (n->src >= 0 && w->trained[n->src]) ||
                        (n->add >= 0 && w->trained[n->add]);
    }
}

static void write_conv_weights(struct writer *w, int i)
{
    const int input = need(w, node_at(w, i)->src);
    struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_CONV_WEIGHTS, i);
    s->dout = w->gradient[i];
    s->in = input;
    s->work = rn_plan_add_buffer(w->plan, conv_bytes(w, i));
}

static void write_conv_back(struct writer *w, int i)
{
    const int src = node_at(w, i)->src;
    if (has_trained(w, i)) write_conv_weights(w, i);
    if (!w->trained[src]) return;
    struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_CONV_DATA, i);
    s->dout = w->gradient[i];
    s->sum = w->gradient[src] != RN_NONE;
    if (!s->sum) w->gradient[src] = new_tensor(w, src);
    s->din = w->gradient[src];
    s->packed = new_packed(w, i, RN_PASS_BACKWARD_DATA);
    s->work = rn_plan_add_buffer(w->plan, conv_bytes(w, i));
}

static void write_bn_back(struct writer *w, int i)
{
    const struct rn_node *n = node_at(w, i);
    const int x = need(w, n->src);
    const bool masked = w->want->freeze_bn && n->u.bn.post == RN_POST_RELU;
    const int mask = masked ? need(w, i) : RN_NONE;
    struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_BN_BACK, i);
    s->dout = w->gradient[i];
    s->x = x;
    if (n->add < 0) {
        s->out = mask;
        s->din = w->gradient[n->src] = s->dout;
    } else {
        s->out = w->value[i];
        s->din = w->gradient[n->src] = new_tensor(w, n->src);
        s->dadd = w->gradient[n->add] = s->dout; /* the addition is the shortcut's last reader */
    }
    s->work = rn_plan_add_buffer(w->plan, bn_bytes(w, i));
}

static void write_linear_back(struct writer *w, int i)
{
    const int src = node_at(w, i)->src, input = has_trained(w, i) ? need(w, src) : RN_NONE;
    struct rn_plan_step *s = rn_plan_add_step(w->plan, RN_STEP_LINEAR_BACK, i);
    s->in = input;
    s->dout = w->gradient[i];
    if (w->trained[src]) s->din = w->gradient[src] = new_tensor(w, src);
    s->work = rn_plan_add_buffer(w->plan, linear_bytes(w, i));
}

static void write_pool_back(struct writer *w, int i)
{
    const struct rn_node *n = node_at(w, i);
    const bool max = n->kind == RN_NODE_MAXPOOL;
    const enum rn_step_kind kind = max ? RN_STEP_MAXPOOL_BACK : RN_STEP_AVGPOOL_BACK;
    struct rn_plan_step *s = rn_plan_add_step(w->plan, kind, i);
    s->index = w->index[i];
    s->dout = w->gradient[i];
    s->din = w->gradient[n->src] = new_tensor(w, n->src);
}

static void write_backward_node(struct writer *w, int i)
{
    switch (node_at(w, i)->kind) {
    case RN_NODE_INPUT:
    case RN_NODE_RESIZE:
        break;
    case RN_NODE_CONV:
        write_conv_back(w, i);
        break;
    case RN_NODE_BN:
        write_bn_back(w, i);
        break;
    case RN_NODE_LINEAR:
        write_linear_back(w, i);
        break;
    case RN_NODE_MAXPOOL:
    case RN_NODE_AVGPOOL:
        write_pool_back(w, i);
        break;
    }
}

/* -- whole plans ------------------------------------------------------------------------------- */

/* A node takes at most a step forward and four backward, and a step makes at most four buffers. */
#define STEPS_A_NODE 5
#define BUFFERS_A_STEP 4

static rn_status write_plan(struct rn_plan *p, const struct rn_plan_for *want, bool training)
{
    const int nodes = want->graph->nodes, steps = STEPS_A_NODE * nodes + 1;
    int *number = rn_alloc_array(4 * (size_t)nodes, sizeof *number);
    rn_status st = number ? rn_plan_begin(p, steps, BUFFERS_A_STEP * steps) : RN_ENOMEM;
    if (st == RN_OK) {
        struct writer w = { p, want, number, number + nodes, number + 2 * nodes, number + 3 * nodes,
                            training };
        for (int i = 0; i < 3 * nodes; i++) number[i] = RN_NONE;
        write_forward(&w);
        if (training) {
            find_trained(&w);
            write_loss(&w);
            for (int i = nodes - 1; i > 0; i--)
                if (w.trained[i]) write_backward_node(&w, i);
        }
        st = rn_plan_place(p);
        if (st != RN_OK) rn_plan_free(p);
    }
    rn_free(number);
    return st;
}

rn_status rn_plan_training(struct rn_plan *p, const struct rn_plan_for *want)
{
    return write_plan(p, want, true);
}

rn_status rn_plan_evaluation(struct rn_plan *p, const struct rn_plan_for *want)
{
    return write_plan(p, want, false);
}
