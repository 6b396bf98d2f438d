/*
 * exec.c - runs a net: the steps of a plan one after the other, each one or two calls through the op
 * table on slices of the arena.  Nothing here allocates.
 *
 * An evaluation takes `part` images at a time, so its activations never need more room than that; the
 * results do not know (no slot lets one image see another when the statistics are frozen).
 */
#include "net/net_private.h"

#include "base/marks.h"
#include "base/threads.h"

/* -- slices of the arena ----------------------------------------------------------------------- */

void *rn_net_buffer_at(const struct rn_net *net, int buffer)
{
    return buffer == RN_NONE ? NULL : net->arena + net->at.block + net->plan->buffer[buffer].at;
}

static void *at(const struct rn_net *net, int buffer) { return rn_net_buffer_at(net, buffer); }

static double *saved_of(const struct rn_net *net, const struct rn_node *node)
{
    return (double *)(void *)(net->arena + net->at.saved + net->saved[node->batchnorm]);
}

/* The gradient of row `k` of a node's parameters. */
static float *dparam_of(const struct rn_net *net, const struct rn_node *node, int k)
{
    const struct rn_param *p = &net->graph.param[node->param + k];
    return (float *)(void *)(net->arena + net->at.gradients) + p->offset;
}

static float *logits_of(const struct rn_net *net, int part)
{
    if (net->plan == &net->training) return at(net, net->plan->logits);
    return (float *)(void *)(net->arena + net->at.logits + (size_t)part * net->at.logits_bytes);
}

/* -- shapes ------------------------------------------------------------------------------------ */

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

/* -- packed weights ---------------------------------------------------------------------------- */

/* The weights of `conv`, a convolution or fc, packed into the step's own buffer. */
static const void *pack_for_step(struct rn_net *net, const struct rn_plan_step *step, int conv,
                                 enum rn_pass pass)
{
    void *packed = at(net, step->packed);
    const struct rn_conv_shape s = rn_net_conv_shape(net, conv);
    net->ops->conv2d_pack(net->dev, packed, rn_net_param(net, &net->graph.node[conv], 0), &s, pass);
    return packed;
}

/* -- forward ----------------------------------------------------------------------------------- */

/* What follows a convolution, from its output and the statistics that there are. */
static void bn_again(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_node *bn = &net->graph.node[step->node];
    const struct rn_bn_shape s = bn_shape(net, bn);
    void *out = at(net, step->out);
    const void *x = at(net, step->x), *add = at(net, step->add);
    const float *gamma = rn_net_param(net, bn, 0), *beta = rn_net_param(net, bn, 1);

    if (net->config.freeze_bn)
        net->ops->batchnorm_forward_eval(net->dev, out, x, add, gamma, beta, rn_net_param(net, bn, 2),
                                         rn_net_param(net, bn, 3), &s);
    else
        net->ops->batchnorm_apply(net->dev, out, x, add, saved_of(net, bn), gamma, beta, &s);
}

static void conv_bn_train(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_node *bn = &net->graph.node[step->node];
    const struct rn_conv_shape s = rn_net_conv_shape(net, bn->src);
    const struct rn_bn_shape b = bn_shape(net, bn);
    const void *packed = pack_for_step(net, step, bn->src, RN_PASS_FORWARD);
    if (net->config.freeze_bn) {
        net->ops->conv2d_forward(net->dev, at(net, step->x), at(net, step->in), packed, NULL, &s,
                                 at(net, step->work));
        bn_again(net, step);
        return;
    }
    net->ops->conv2d_bn_train(net->dev, at(net, step->out), at(net, step->x), saved_of(net, bn),
                              at(net, step->in), packed, at(net, step->add), rn_net_param(net, bn, 0),
                              rn_net_param(net, bn, 1), &s, &b, at(net, step->work));
}

static void conv_bn_eval(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_node *bn = &net->graph.node[step->node];
    const struct rn_conv_shape s = rn_net_conv_shape(net, bn->src);
    const struct rn_bn_shape b = bn_shape(net, bn);
    const unsigned char *region = net->arena + net->at.packed, *packed = region + net->packed[bn->src];
    const float *bias = (const float *)(const void *)(region + net->bias[bn->src]);
    void *out = at(net, step->out), *work = at(net, step->work);
    const void *in = at(net, step->in), *add = at(net, step->add);

    if (net->config.fold)
        net->ops->conv2d_bias(net->dev, out, in, packed, bias, add, b.post, &s, work);
    else
        net->ops->conv2d_bn(net->dev, out, in, packed, add, rn_net_param(net, bn, 0),
                            rn_net_param(net, bn, 1), rn_net_param(net, bn, 2),
                            rn_net_param(net, bn, 3), &s, &b, work);
}

static void conv_again(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_conv_shape s = rn_net_conv_shape(net, step->node);
    const void *packed = pack_for_step(net, step, step->node, RN_PASS_FORWARD);
    net->ops->conv2d_forward(net->dev, at(net, step->x), at(net, step->in), packed, NULL, &s,
                             at(net, step->work));
}

static void resize(struct rn_net *net, const struct rn_plan_step *step)
{
    struct rn_resize_shape s = net->graph.node[step->node].u.resize;
    s.N = net->n;
    net->ops->resize_forward(net->dev, at(net, step->out), at(net, step->in), &s);
}

/* -- backward ---------------------------------------------------------------------------------- */

static void bn_back(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_node *bn = &net->graph.node[step->node];
    const struct rn_bn_shape s = bn_shape(net, bn);
    const float *gamma = rn_net_param(net, bn, 0), *beta = rn_net_param(net, bn, 1);
    float *dgamma = dparam_of(net, bn, 0), *dbeta = dparam_of(net, bn, 1);
    void *din = at(net, step->din), *dadd = at(net, step->dadd), *work = at(net, step->work);
    const void *dout = at(net, step->dout), *out = at(net, step->out), *x = at(net, step->x);

    if (net->config.freeze_bn)
        net->ops->batchnorm_backward_eval(net->dev, din, dadd, dgamma, dbeta, dout, out, x,
                                          rn_net_param(net, bn, 2), rn_net_param(net, bn, 3), gamma, &s,
                                          work);
    else
        net->ops->batchnorm_backward(net->dev, din, dadd, dgamma, dbeta, dout, out, x, saved_of(net, bn),
                                     gamma, beta, &s, work);
}

static void conv_weights_back(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_conv_shape s = rn_net_conv_shape(net, step->node);
    net->ops->conv2d_backward_weights(net->dev, dparam_of(net, &net->graph.node[step->node], 0), NULL,
                                      at(net, step->in), at(net, step->dout), &s,
                                      at(net, step->work));
}

static void conv_data_back(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_conv_shape s = rn_net_conv_shape(net, step->node);
    const void *packed = pack_for_step(net, step, step->node, RN_PASS_BACKWARD_DATA);
    void *din = at(net, step->din);
    net->ops->conv2d_backward_data(net->dev, din, at(net, step->dout), packed,
                                   step->sum ? din : NULL, &s, at(net, step->work));
}

static void linear_back(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_node *fc = &net->graph.node[step->node];
    const struct rn_linear_shape s = linear_shape(net, fc);
    const float *dout = at(net, step->dout);
    void *work = at(net, step->work);
    if (step->in != RN_NONE)
        net->ops->linear_backward_weights(net->dev, dparam_of(net, fc, 0), dparam_of(net, fc, 1),
                                          at(net, step->in), dout, &s, work);
    if (step->din != RN_NONE)
        net->ops->linear_backward_data(net->dev, at(net, step->din), dout, rn_net_param(net, fc, 0), &s, work);
}

/* -- any step ---------------------------------------------------------------------------------- */

static void linear(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_node *fc = &net->graph.node[step->node];
    const struct rn_linear_shape s = linear_shape(net, fc);
    const bool training = net->plan == &net->training;
    const void *packed = training ? pack_for_step(net, step, step->node, RN_PASS_FORWARD)
                                  : net->arena + net->at.packed + net->packed[step->node];
    net->ops->linear_forward(net->dev, at(net, step->out), at(net, step->in), packed,
                             rn_net_param(net, fc, 1), &s, at(net, step->work));
}

/* A step on layers without parameters. */
static void run_plain_step(struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_ops *ops = net->ops;
    const struct rn_node *node = &net->graph.node[step->node];
    const struct rn_pool_shape pool = pool_shape(net, node);
    void *out = at(net, step->out), *din = at(net, step->din);
    const void *in = at(net, step->in), *dout = at(net, step->dout);

    if (step->kind == RN_STEP_MAXPOOL)
        ops->maxpool_forward(net->dev, out, at(net, step->index), in, &pool);
    if (step->kind == RN_STEP_MAXPOOL_BACK)
        ops->maxpool_backward(net->dev, din, dout, at(net, step->index), &pool);
    if (step->kind == RN_STEP_AVGPOOL) ops->global_avgpool_forward(net->dev, out, in, &pool);
    if (step->kind == RN_STEP_AVGPOOL_BACK) ops->global_avgpool_backward(net->dev, din, dout, &pool);
}

/* Says which layers the step is of. */
static void mark_step(const struct rn_net *net, const struct rn_plan_step *step)
{
    const struct rn_marks *marks = rn_marks();
    const struct rn_node *node = &net->graph.node[step->node];
    if (!marks) return;
    const int number = (int)(step - net->plan->step);
    if (step->kind == RN_STEP_CONV_BN) marks->layer(number, net->graph.node[node->src].name, node->name);
    else marks->layer(number, node->name, NULL);
}

void rn_net_run_step(struct rn_net *net, const struct rn_plan_step *step)
{
    mark_step(net, step);
    switch (step->kind) {
    case RN_STEP_INPUT: /* begin_pass has put the images there */
    case RN_STEP_LOSS:
        break;
    case RN_STEP_RESIZE:
        resize(net, step);
        break;
    case RN_STEP_CONV_BN:
        if (net->plan == &net->training) conv_bn_train(net, step);
        else conv_bn_eval(net, step);
        break;
    case RN_STEP_CONV:
        conv_again(net, step);
        break;
    case RN_STEP_APPLY:
        bn_again(net, step);
        break;
    case RN_STEP_BN_BACK:
        bn_back(net, step);
        break;
    case RN_STEP_CONV_WEIGHTS:
        conv_weights_back(net, step);
        break;
    case RN_STEP_CONV_DATA:
        conv_data_back(net, step);
        break;
    case RN_STEP_LINEAR_BACK:
        linear_back(net, step);
        break;
    case RN_STEP_LINEAR:
        linear(net, step);
        break;
    case RN_STEP_MAXPOOL:
    case RN_STEP_AVGPOOL:
    case RN_STEP_AVGPOOL_BACK:
    case RN_STEP_MAXPOOL_BACK:
        run_plain_step(net, step);
        break;
    }
}

/* -- passes ------------------------------------------------------------------------------------ */

/* Elements of an image. */
static size_t image_size(const struct rn_net *net)
{
    const struct rn_node *input = &net->graph.node[0];
    return (size_t)input->C * (size_t)input->H * (size_t)input->W;
}

/* The bytes on the device into the buffer of the plan's first step. */
static void set_bytes(struct rn_net *net)
{
    struct rn_image_shape s = net->bytes;
    s.N = net->n;
    net->ops->images_forward(net->dev, at(net, net->plan->step[0].out), net->arena + net->at.pixels,
                             (const struct rn_image_move *)(const void *)(net->arena + net->at.moves), &s);
}

void rn_net_begin_pass(const struct rn_net_pass *p, int first, int n)
{
    struct rn_net *net = p->net;
    const struct rn_node *input = &net->graph.node[0];
    const size_t size = image_size(net), skipped = (size_t)first * size;
    net->n = n;
    if (!net->bytes.N) {
        net->ops->tensor_set(net->dev, at(net, net->plan->step[0].out), p->floats + skipped, n, input->C, input->H,
                             input->W);
        return;
    }
    if (p->bytes) {
        const struct rn_image_move *move = p->bytes->move + first;
        net->ops->write(net->dev, net->arena + net->at.pixels, p->bytes->pixels + skipped, (size_t)n * size);
        net->ops->write(net->dev, net->arena + net->at.moves, move, (size_t)n * sizeof *move);
    }
    set_bytes(net);
}

static void train_forward(void *arg)
{
    const struct rn_net_pass *p = arg;
    struct rn_net *net = p->net;
    rn_net_begin_pass(p, 0, net->images);
    for (int i = 0; i < net->plan->loss; i++) rn_net_run_step(net, &net->plan->step[i]);
}

static void train_backward(void *arg)
{
    const struct rn_net_pass *p = arg;
    struct rn_net *net = p->net;
    for (int i = net->plan->loss; i < net->plan->steps; i++) rn_net_run_step(net, &net->plan->step[i]);
}

/* Training takes all images at once; the parts of an evaluation differ by one image at most. */
static int parts_of(const struct rn_net *net)
{
    return net->plan == &net->training ? 1 : (net->images + net->part - 1) / net->part;
}

static int part_begin(const struct rn_net *net, int part)
{
    return (int)((int64_t)net->images * part / parts_of(net));
}

static void evaluate(void *arg)
{
    const struct rn_net_pass *p = arg;
    struct rn_net *net = p->net;
    const struct rn_node *last = &net->graph.node[net->graph.nodes - 1];
    rn_net_pack(net);
    for (int part = 0; part < parts_of(net); part++) {
        int first = part_begin(net, part), n = part_begin(net, part + 1) - first;
        rn_net_begin_pass(p, first, n);
        for (int i = 0; i < net->plan->steps; i++) rn_net_run_step(net, &net->plan->step[i]);
        net->ops->copy(net->dev, logits_of(net, part), at(net, net->plan->logits),
                       (size_t)n * (size_t)last->C * sizeof(float));
    }
}

static void forward(struct rn_net_pass *pass, int n, bool training)
{
    struct rn_net *net = pass->net;
    RN_ASSERT(n >= 1 && n <= (training ? net->config.batch : net->config.eval_batch));
    const rn_fpmode mode = rn_fpmode_enter();
    net->images = n;
    net->plan = training ? &net->training : &net->evaluation;
    if (training) net->packed_valid = false; /* the training plan's buffers lie where they were */
    rn_mark_begin(training ? "forward" : "inference");
    net->ops->run(net->dev, training ? train_forward : evaluate, pass);
    rn_mark_end();
    rn_fpmode_leave(mode);
}

void rn_net_forward(struct rn_net *net, const float *images, int n, bool training)
{
    net->bytes = (struct rn_image_shape){0};
    forward(&(struct rn_net_pass){ .net = net, .floats = images }, n, training);
}

void rn_net_forward_images(struct rn_net *net, const struct rn_images *images, bool training)
{
    RN_ASSERT(images->shape.C == 3 && images->shape.H == net->config.image_size &&
              images->shape.W == net->config.image_size);
    net->bytes = images->shape;
    forward(&(struct rn_net_pass){ .net = net, .bytes = images }, images->shape.N, training);
}

void rn_net_backward(struct rn_net *net)
{
    struct rn_net_pass pass = { .net = net };
    RN_ASSERT(net->plan == &net->training);
    const rn_fpmode mode = rn_fpmode_enter();
    rn_mark_begin("backward");
    net->ops->run(net->dev, train_backward, &pass);
    rn_mark_end();
    rn_fpmode_leave(mode);
}

/* -- results ----------------------------------------------------------------------------------- */

void rn_net_logits(struct rn_net *net, float *host)
{
    const int classes = net->graph.node[net->graph.nodes - 1].C;
    for (int part = 0; part < parts_of(net); part++) {
        int first = part_begin(net, part), n = part_begin(net, part + 1) - first;
        net->ops->read(net->dev, host + (size_t)first * (size_t)classes, logits_of(net, part),
                       (size_t)n * (size_t)classes * sizeof(float));
    }
}

void rn_net_infer(struct rn_net *net, const float *images, int n, float *logits)
{
    rn_net_forward(net, images, n, false);
    rn_net_logits(net, logits);
}

float *rn_net_logit_gradients(struct rn_net *net)
{
    RN_ASSERT(net->plan == &net->training);
    return at(net, net->plan->step[net->plan->loss].dout);
}

const float *rn_net_training_logits(struct rn_net *net)
{
    RN_ASSERT(net->plan == &net->training);
    return logits_of(net, 0);
}

static int32_t *labels_of(const struct rn_net *net) { return (int32_t *)(void *)(net->arena + net->at.labels); }

void rn_net_labels(struct rn_net *net, const int32_t *labels, int n)
{
    RN_ASSERT(n >= 1 && n <= RN_MAX(net->config.batch, net->config.eval_batch));
    net->ops->write(net->dev, labels_of(net), labels, (size_t)n * sizeof *labels);
}

void rn_net_loss(struct rn_net *net, double *loss, const int32_t *labels, int total, double smoothing)
{
    const struct rn_ops *ops = net->ops;
    const int classes = net->graph.node[net->graph.nodes - 1].C;
    RN_ASSERT(total == 0 || net->plan == &net->training);
    double *dloss = (double *)(void *)(net->arena + net->at.loss);
    const int32_t *dlabels = labels_of(net);
    float *gradient = total ? rn_net_logit_gradients(net) : NULL;
    const rn_fpmode mode = rn_fpmode_enter();

    rn_mark_begin("loss");
    if (labels) rn_net_labels(net, labels, net->images);
    for (int part = 0; part < parts_of(net); part++) {
        int first = part_begin(net, part), n = part_begin(net, part + 1) - first;
        const struct rn_loss_shape s = { n, classes, total ? total : n, smoothing };
        ops->softmax_cross_entropy(net->dev, dloss + first, gradient, logits_of(net, part),
                                   dlabels + first, &s);
    }
    if (loss) rn_net_losses(net, loss);
    rn_mark_end();
    rn_fpmode_leave(mode);
}

void rn_net_losses(struct rn_net *net, double *loss)
{
    net->ops->read(net->dev, loss, net->arena + net->at.loss, (size_t)net->images * sizeof *loss);
}

void rn_net_commit_statistics(struct rn_net *net) { rn_net_commit_given(net, NULL); }

void rn_net_commit_given(struct rn_net *net, const int32_t *given)
{
    if (net->config.freeze_bn) return;
    const rn_fpmode mode = rn_fpmode_enter();
    rn_mark_begin("running statistics");
    for (int i = 0; i < net->graph.nodes; i++) {
        const struct rn_node *node = &net->graph.node[i];
        if (node->kind != RN_NODE_BN) continue;
        const struct rn_bn_shape s = bn_shape(net, node);
        net->ops->batchnorm_running(net->dev, rn_net_param(net, node, 2), rn_net_param(net, node, 3),
                                    saved_of(net, node), &s, given);
        net->batches[node->batchnorm]++;
    }
    rn_mark_end();
    net->packed_valid = false; /* folded weights are made of the running statistics */
    rn_fpmode_leave(mode);
}
