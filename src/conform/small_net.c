/*
 * small_net.c - the small residual net on the slots of an op table: layers as a table, forward in
 * its order, backward in the reverse order.  A tensor with two consumers gets its second gradient
 * added (A18): by the slot `add` where the shortcut is the identity, inside conv2d_backward_data
 * where it is a projection; both are the same bits.
 */
#include "conform/small_net.h"

#include "base/random.h"
#include "base/real.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SEED 1512 /* part of the golden packs */
#define IMAGE_H 11
#define IMAGE_W 13
#define CONV(name, src, K, R, stride, groups) \
    { name, RN_SMALL_CONV, src, -1, RN_POST_NONE, K, R, stride, R / 2, groups, 0, 0, 0, -1, -1 }
#define BN(name, src, post, add) \
    { name, RN_SMALL_BN, src, add, post, 0, 1, 1, 0, 1, 0, 0, 0, -1, -1 }

static const struct rn_small_layer layers[RN_SMALL_TENSORS] = {
    { "image", RN_SMALL_IMAGE, -1, -1, RN_POST_NONE, 0, 1, 1, 0, 1, 3, IMAGE_H, IMAGE_W, -1, -1 },
    CONV("conv1", 0, 16, 3, 1, 1),
    BN("bn1", 1, RN_POST_RELU, -1),
    { "maxpool", RN_SMALL_MAXPOOL, 2, -1, RN_POST_NONE, 0, 3, 2, 1, 1, 0, 0, 0, -1, -1 },
    CONV("block1.conv1", 3, 16, 3, 1, 1),
    BN("block1.bn1", 4, RN_POST_RELU, -1),
    CONV("block1.conv2", 5, 16, 3, 1, 1),
    BN("block1.bn2", 6, RN_POST_ADD_RELU, 3),
    CONV("block2.down.conv", 7, 12, 1, 2, 1),
    BN("block2.down.bn", 8, RN_POST_NONE, -1),
    CONV("block2.conv1", 7, 8, 1, 1, 1),
    BN("block2.bn1", 10, RN_POST_RELU, -1),
    CONV("block2.conv2", 11, 8, 3, 2, 2),
    BN("block2.bn2", 12, RN_POST_RELU, -1),
    CONV("block2.conv3", 13, 12, 1, 1, 1),
    BN("block2.bn3", 14, RN_POST_ADD_RELU, 9),
    { "average", RN_SMALL_AVERAGE, 15, -1, RN_POST_NONE, 0, 1, 1, 0, 1, 0, 0, 0, -1, -1 },
    { "fc", RN_SMALL_LINEAR, 16, -1, RN_POST_NONE, RN_SMALL_CLASSES, 1, 1, 0, 1, 0, 0, 0, -1, -1 },
};

/* -- plan -------------------------------------------------------------------------------------- */

static void name_array(struct rn_small_param *p, const char *layer, const char *name, int dims,
                       const int64_t shape[4])
{
    snprintf(p->name, sizeof p->name, "%s.%s", layer, name);
    p->dims = dims;
    p->count = 1;
    for (int i = 0; i < dims; i++) {
        p->shape[i] = shape[i];
        p->count *= (size_t)shape[i];
    }
}

/* Parameters and buffers of one layer; advances both counts. */
static void plan_arrays(struct rn_small_plan *plan, struct rn_small_layer *l, int *params,
                        int *buffers)
{
    int C = plan->layer[l->src].C;
    const int64_t filter[4] = { l->K, C / l->groups, l->R, l->R }, matrix[4] = { l->K, C };
    const int64_t outputs[4] = { l->K }, channels[4] = { C };
    struct rn_small_param *p = &plan->param[*params], *b = &plan->buffer[*buffers];
    int made = 0;
    if (l->kind == RN_SMALL_CONV) {
        name_array(p, l->name, "weight", 4, filter);
        made = 1;
    }
    if (l->kind == RN_SMALL_LINEAR) {
        made = 2;
        name_array(p, l->name, "weight", 2, matrix);
        name_array(p + 1, l->name, "bias", 1, outputs);
    }
    if (l->kind == RN_SMALL_BN) {
        made = 2;
        name_array(p, l->name, "weight", 1, channels);
        name_array(p + 1, l->name, "bias", 1, channels);
        name_array(b, l->name, "running_mean", 1, channels);
        name_array(b + 1, l->name, "running_var", 1, channels);
        l->buffer = *buffers;
        *buffers += 2;
    }
    if (made) l->param = *params;
    *params += made;
}

void rn_small_plan(struct rn_small_plan *plan)
{
    int params = 0, buffers = 0;
    memset(plan, 0, sizeof *plan);
    memcpy(plan->layer, layers, sizeof layers);
    for (int i = 1; i < RN_SMALL_TENSORS; i++) {
        struct rn_small_layer *l = &plan->layer[i];
        const struct rn_small_layer *src = &plan->layer[l->src];
        bool flat = l->kind == RN_SMALL_AVERAGE || l->kind == RN_SMALL_LINEAR;
        l->C = l->K ? l->K : src->C;
        l->H = flat ? 1 : (src->H + 2 * l->pad - l->R) / l->stride + 1;
        l->W = flat ? 1 : (src->W + 2 * l->pad - l->R) / l->stride + 1;
        plan_arrays(plan, l, &params, &buffers);
    }
}

size_t rn_small_count(const struct rn_small_layer *l)
{
    return (size_t)RN_SMALL_N * (size_t)l->C * (size_t)l->H * (size_t)l->W;
}

struct rn_conv_shape rn_small_conv(const struct rn_small_plan *plan, int layer)
{
    const struct rn_small_layer *l = &plan->layer[layer], *src = &plan->layer[l->src];
    return (struct rn_conv_shape){ RN_SMALL_N, src->C, src->H, src->W, l->K, l->R, l->R, l->H, l->W,
                                   l->stride, l->pad, l->groups };
}

struct rn_bn_shape rn_small_bn(const struct rn_small_plan *plan, int layer)
{
    const struct rn_small_layer *l = &plan->layer[layer];
    return (struct rn_bn_shape){ RN_SMALL_N, l->C, l->H, l->W, 1e-5, 0.1, l->post };
}

struct rn_pool_shape rn_small_pool(const struct rn_small_plan *plan, int layer)
{
    const struct rn_small_layer *l = &plan->layer[layer], *src = &plan->layer[l->src];
    return (struct rn_pool_shape){ RN_SMALL_N, src->C, src->H, src->W, l->R, l->R, l->H, l->W,
                                   l->stride, l->pad };
}

struct rn_linear_shape rn_small_linear(const struct rn_small_plan *plan, int layer)
{
    const struct rn_small_layer *l = &plan->layer[layer];
    return (struct rn_linear_shape){ RN_SMALL_N, plan->layer[l->src].C, l->K };
}

struct rn_loss_shape rn_small_loss(void)
{
    return (struct rn_loss_shape){ RN_SMALL_N, RN_SMALL_CLASSES, RN_SMALL_N, RN_SMALL_SMOOTHING };
}

/* -- values ------------------------------------------------------------------------------------ */

void rn_small_start(const struct rn_small_plan *plan, float *const param[RN_SMALL_PARAMS],
                    uint32_t draw)
{
    for (int i = 0; i < RN_SMALL_PARAMS; i++) {
        const struct rn_small_param *p = &plan->param[i];
        struct rn_random r = rn_random(SEED, RN_RANDOM_TEST, draw, (uint32_t)i);
        double fan_in = (double)p->count / (double)p->shape[0];
        double scale = p->dims > 1 ? sqrt(2 / fan_in) : 0.25;
        bool gain = p->dims == 1 && strstr(p->name, "bn") && strstr(p->name, ".weight");
        for (size_t j = 0; j < p->count; j++)
            param[i][j] = rn_store((float)((gain ? 1 : 0) + scale * rn_random_normal(&r)));
    }
}

void rn_small_batch(float *images, int32_t *labels, uint32_t draw)
{
    struct rn_random r = rn_random(SEED, RN_RANDOM_TEST, draw, RN_SMALL_PARAMS);
    for (size_t i = 0; i < rn_small_count(&layers[0]); i++)
        images[i] = rn_store((float)rn_random_normal(&r));
    for (int n = 0; n < RN_SMALL_N; n++)
        labels[n] = (int32_t)rn_random_below(&r, RN_SMALL_CLASSES);
}

/* -- on a device ------------------------------------------------------------------------------- */

static rn_status reserve(struct rn_small *net, void *array, size_t bytes)
{
    void *memory = NULL;
    rn_status status = net->ops->alloc(net->dev, &memory, bytes);
    if (status == RN_OK) memcpy(array, &memory, sizeof memory);
    return status;
}

/* Logits and their gradient are plain floats. */
static size_t tensor_bytes(const struct rn_small *net, int i)
{
    const struct rn_small_layer *l = &net->plan.layer[i];
    if (l->kind == RN_SMALL_LINEAR) return rn_small_count(l) * sizeof(float);
    return net->ops->tensor_bytes(net->dev, RN_SMALL_N, l->C, l->H, l->W);
}

/* Largest workspace and packed weights of any layer. */
static void shared_bytes(const struct rn_small *net, size_t *packed, size_t *workspace)
{
    const struct rn_ops *ops = net->ops;
    for (int i = 1; i < RN_SMALL_TENSORS; i++) {
        struct rn_conv_shape conv = rn_small_conv(&net->plan, i);
        struct rn_bn_shape bn = rn_small_bn(&net->plan, i);
        struct rn_linear_shape linear = rn_small_linear(&net->plan, i);
        size_t bytes = 0, forward = 0, backward = 0;
        switch (net->plan.layer[i].kind) {
        case RN_SMALL_CONV:
            bytes = ops->conv2d_workspace(net->dev, &conv);
            forward = ops->conv2d_packed_bytes(net->dev, &conv, RN_PASS_FORWARD);
            backward = ops->conv2d_packed_bytes(net->dev, &conv, RN_PASS_BACKWARD_DATA);
            break;
        case RN_SMALL_BN:
            conv = rn_small_conv(&net->plan, net->plan.layer[i].src);
            bytes = ops->conv2d_workspace(net->dev, &conv) + ops->batchnorm_workspace(net->dev, &bn);
            break;
        case RN_SMALL_LINEAR:
            bytes = ops->linear_workspace(net->dev, &linear);
            forward = ops->conv2d_packed_bytes(net->dev, &conv, RN_PASS_FORWARD);
            break;
        default: break;
        }
        *workspace = RN_MAX(*workspace, bytes);
        *packed = RN_MAX(*packed, RN_MAX(forward, backward));
    }
}

static rn_status open_tensors(struct rn_small *net)
{
    size_t largest = 0;
    rn_status status = RN_OK;
    for (int i = 0; i < RN_SMALL_TENSORS && status == RN_OK; i++) {
        const struct rn_small_layer *l = &net->plan.layer[i];
        largest = RN_MAX(largest, tensor_bytes(net, i));
        status = reserve(net, &net->tensor[i], tensor_bytes(net, i));
        if (status == RN_OK) status = reserve(net, &net->gradient[i], tensor_bytes(net, i));
        if (status == RN_OK && l->kind == RN_SMALL_BN)
            status = reserve(net, &net->saved[i], 2 * (size_t)l->C * sizeof(double));
        if (status == RN_OK && l->kind == RN_SMALL_MAXPOOL)
            status = reserve(net, &net->index, rn_small_count(l));
    }
    return status ? status : reserve(net, &net->spare, largest);
}

static rn_status open_arrays(struct rn_small *net)
{
    rn_status status = RN_OK;
    for (int i = 0; i < RN_SMALL_PARAMS && status == RN_OK; i++) {
        size_t bytes = net->plan.param[i].count * sizeof(float);
        status = reserve(net, &net->weights[i], bytes);
        if (status == RN_OK) status = reserve(net, &net->dweights[i], bytes);
        if (status == RN_OK) status = reserve(net, &net->velocity[i], bytes);
    }
    for (int i = 0; i < RN_SMALL_BUFFERS && status == RN_OK; i++) {
        float ones[32];
        size_t bytes = net->plan.buffer[i].count * sizeof(float);
        for (size_t j = 0; j < RN_COUNT(ones); j++) ones[j] = 1;
        status = reserve(net, &net->buffer[i], bytes);
        if (status == RN_OK && i % 2) net->ops->write(net->dev, net->buffer[i], ones, bytes);
    }
    return status;
}

rn_status rn_small_open(struct rn_small *net, const struct rn_ops *ops, void *dev)
{
    size_t packed = 0, workspace = 0;
    memset(net, 0, sizeof *net);
    net->ops = ops;
    net->dev = dev;
    rn_small_plan(&net->plan);
    shared_bytes(net, &packed, &workspace);
    rn_status status = open_tensors(net);
    if (status == RN_OK) status = open_arrays(net);
    if (status == RN_OK) status = reserve(net, &net->loss, RN_SMALL_N * sizeof(double));
    if (status == RN_OK) status = reserve(net, &net->labels, RN_SMALL_N * sizeof(int32_t));
    if (status == RN_OK) status = reserve(net, &net->packed, packed);
    if (status == RN_OK) status = reserve(net, &net->workspace, workspace);
    if (status) rn_small_close(net);
    return status;
}

void rn_small_close(struct rn_small *net)
{
    if (!net->ops) return;
    for (int i = 0; i < RN_SMALL_TENSORS; i++) {
        net->ops->release(net->dev, net->tensor[i]);
        net->ops->release(net->dev, net->gradient[i]);
        net->ops->release(net->dev, net->saved[i]);
    }
    for (int i = 0; i < RN_SMALL_PARAMS; i++) {
        net->ops->release(net->dev, net->weights[i]);
        net->ops->release(net->dev, net->dweights[i]);
        net->ops->release(net->dev, net->velocity[i]);
    }
    for (int i = 0; i < RN_SMALL_BUFFERS; i++) net->ops->release(net->dev, net->buffer[i]);
    void *const rest[] = { net->spare, net->index, net->loss, net->labels, net->packed,
                           net->workspace };
    for (size_t i = 0; i < RN_COUNT(rest); i++) net->ops->release(net->dev, rest[i]);
    memset(net, 0, sizeof *net);
}

void rn_small_set(struct rn_small *net, int param, const float *host)
{
    net->ops->write(net->dev, net->weights[param], host,
                    net->plan.param[param].count * sizeof(float));
    net->ops->sync(net->dev);
}

/* -- forward and backward ---------------------------------------------------------------------- */

/* A convolution and the batch norm behind it, layer `i`, in one slot; tensor l->src is its x. */
static void forward_conv_bn(struct rn_small *net, int i)
{
    const struct rn_small_layer *l = &net->plan.layer[i], *before = &net->plan.layer[l->src];
    struct rn_conv_shape conv = rn_small_conv(&net->plan, l->src);
    struct rn_bn_shape bn = rn_small_bn(&net->plan, i);
    float *const *w = &net->weights[l->param];
    net->ops->conv2d_pack(net->dev, net->packed, net->weights[before->param], &conv, RN_PASS_FORWARD);
    net->ops->conv2d_bn_train(net->dev, net->tensor[i], net->tensor[l->src], net->saved[i],
                              net->tensor[before->src], net->packed,
                              l->add < 0 ? NULL : net->tensor[l->add], w[0], w[1], &conv, &bn,
                              net->workspace);
}

static void forward_layer(struct rn_small *net, int i)
{
    const struct rn_small_layer *l = &net->plan.layer[i];
    const struct rn_ops *ops = net->ops;
    struct rn_pool_shape pool = rn_small_pool(&net->plan, i);
    struct rn_linear_shape linear = rn_small_linear(&net->plan, i);
    struct rn_conv_shape conv = rn_small_conv(&net->plan, i);
    void *dst = net->tensor[i], *src = net->tensor[l->src];
    float *const *w = l->param < 0 ? NULL : &net->weights[l->param];
    switch (l->kind) {
    case RN_SMALL_CONV: break; /* its batch norm calls it */
    case RN_SMALL_BN: forward_conv_bn(net, i); break;
    case RN_SMALL_MAXPOOL: ops->maxpool_forward(net->dev, dst, net->index, src, &pool); break;
    case RN_SMALL_AVERAGE: ops->global_avgpool_forward(net->dev, dst, src, &pool); break;
    case RN_SMALL_LINEAR:
        ops->conv2d_pack(net->dev, net->packed, w[0], &conv, RN_PASS_FORWARD);
        ops->linear_forward(net->dev, dst, src, net->packed, w[1], &linear, net->workspace);
        break;
    case RN_SMALL_IMAGE: break;
    }
}

/* Tensor i as the backward pass reads it: what a batch norm made is made once more, from its x. */
static const void *again(struct rn_small *net, int i)
{
    const struct rn_small_layer *l = &net->plan.layer[i];
    struct rn_bn_shape bn = rn_small_bn(&net->plan, i);
    if (l->kind != RN_SMALL_BN) return net->tensor[i];
    net->ops->batchnorm_apply(net->dev, net->spare, net->tensor[l->src],
                              l->add < 0 ? NULL : net->tensor[l->add], net->saved[i],
                              net->weights[l->param], net->weights[l->param + 1], &bn);
    return net->spare;
}

/* Data gradient of a convolution, joined with what the source's gradient already holds. */
static void backward_conv_data(struct rn_small *net, int i)
{
    const struct rn_small_layer *l = &net->plan.layer[i];
    const struct rn_ops *ops = net->ops;
    struct rn_conv_shape conv = rn_small_conv(&net->plan, i);
    void *dsrc = net->gradient[l->src], *ddst = net->gradient[i];
    bool projection = l->stride > 1, join = net->reached[l->src];
    ops->conv2d_pack(net->dev, net->packed, net->weights[l->param], &conv, RN_PASS_BACKWARD_DATA);
    if (join && !projection) {
        ops->conv2d_backward_data(net->dev, net->spare, ddst, net->packed, NULL, &conv,
                                  net->workspace);
        ops->add(net->dev, dsrc, dsrc, net->spare, rn_small_count(&net->plan.layer[l->src]));
    } else {
        ops->conv2d_backward_data(net->dev, dsrc, ddst, net->packed, join ? dsrc : NULL, &conv,
                                  net->workspace);
    }
}

static void backward_layer(struct rn_small *net, int i)
{
    const struct rn_small_layer *l = &net->plan.layer[i];
    const struct rn_ops *ops = net->ops;
    struct rn_conv_shape conv = rn_small_conv(&net->plan, i);
    struct rn_bn_shape bn = rn_small_bn(&net->plan, i);
    struct rn_pool_shape pool = rn_small_pool(&net->plan, i);
    struct rn_linear_shape linear = rn_small_linear(&net->plan, i);
    void *src = net->tensor[l->src], *dsrc = net->gradient[l->src], *ddst = net->gradient[i];
    float *const *w = l->param < 0 ? NULL : &net->weights[l->param];
    float *const *dw = l->param < 0 ? NULL : &net->dweights[l->param];
    switch (l->kind) {
    case RN_SMALL_CONV:
        ops->conv2d_backward_weights(net->dev, dw[0], NULL, again(net, l->src), ddst, &conv,
                                     net->workspace);
        backward_conv_data(net, i);
        break;
    case RN_SMALL_BN:
        ops->batchnorm_backward(net->dev, dsrc, l->add < 0 ? NULL : net->gradient[l->add], dw[0],
                                dw[1], ddst, l->post == RN_POST_ADD_RELU ? net->tensor[i] : NULL, src,
                                net->saved[i], w[0], w[1], &bn, net->workspace);
        if (l->add >= 0) net->reached[l->add] = true;
        break;
    case RN_SMALL_MAXPOOL: ops->maxpool_backward(net->dev, dsrc, ddst, net->index, &pool); break;
    case RN_SMALL_AVERAGE: ops->global_avgpool_backward(net->dev, dsrc, ddst, &pool); break;
    case RN_SMALL_LINEAR:
        ops->linear_backward_weights(net->dev, dw[0], dw[1], src, ddst, &linear, net->workspace);
        ops->linear_backward_data(net->dev, dsrc, ddst, w[0], &linear, net->workspace);
        break;
    case RN_SMALL_IMAGE: break;
    }
    net->reached[l->src] = true;
}

/* Forward, loss, backward: what slot `run` calls. */
static void pass(void *arg)
{
    struct rn_small *net = arg;
    const struct rn_loss_shape loss = rn_small_loss();
    int last = RN_SMALL_TENSORS - 1;
    for (int i = 1; i <= last; i++) forward_layer(net, i);
    net->ops->softmax_cross_entropy(net->dev, net->loss, net->gradient[last], net->tensor[last],
                                    net->labels, &loss);
    memset(net->reached, 0, sizeof net->reached);
    for (int i = last; i >= 1; i--) backward_layer(net, i);
}

/* As training has it: a pass within a pass. */
static void outer_pass(void *arg)
{
    struct rn_small *net = arg;
    net->ops->run(net->dev, pass, net);
}

void rn_small_gradients(struct rn_small *net, const float *images, const int32_t *labels)
{
    const struct rn_small_layer *image = &net->plan.layer[0];
    net->ops->tensor_set(net->dev, net->tensor[0], images, RN_SMALL_N, image->C, image->H,
                         image->W);
    net->ops->write(net->dev, net->labels, labels, RN_SMALL_N * sizeof *labels);
    net->ops->sync(net->dev);
    net->ops->run(net->dev, outer_pass, net);
    net->ops->sync(net->dev);
}

const struct rn_sgd rn_small_sgd = { 0.05, 0.9, 1e-3, 0, NULL };

void rn_small_update(struct rn_small *net)
{
    for (int i = 1; i < RN_SMALL_TENSORS; i++) {
        const struct rn_small_layer *l = &net->plan.layer[i];
        struct rn_bn_shape bn = rn_small_bn(&net->plan, i);
        if (l->kind == RN_SMALL_BN)
            net->ops->batchnorm_running(net->dev, net->buffer[l->buffer],
                                        net->buffer[l->buffer + 1], net->saved[i], &bn, NULL);
    }
    for (int i = 0; i < RN_SMALL_PARAMS; i++)
        net->ops->sgd_update(net->dev, net->weights[i], net->velocity[i], net->dweights[i],
                             net->plan.param[i].count, &rn_small_sgd);
    net->ops->sync(net->dev);
}
