/*
 * run.c - carries out one call on an op table: memory on the device, operands there, the slot,
 * results back.  What a caller of the slots has to know about layouts and workspace stands here
 * once.
 */
#include "conform/case.h"

#include "base/mem.h"
#include "base/real.h"

#include <string.h>

#define EPS 1e-5
#define MOMENTUM 0.1
#define POISON 0xff /* bytes of a quiet NaN, and of a tap that no window has */

struct run {
    const struct rn_ops *ops;
    void *dev;
    struct rn_call *call;
    void *device[RN_MAX_OPERANDS];
    bool owned[RN_MAX_OPERANDS];
    void *packed, *workspace;
};

/* -- shapes ------------------------------------------------------------------------------------ */

struct rn_bn_shape rn_call_bn(const struct rn_call *call)
{
    const struct rn_conv_shape *g = &call->g;
    unsigned v = call->c->variant;
    struct rn_bn_shape s = { g->N, g->C, g->H, g->W, EPS, MOMENTUM, RN_POST_NONE };
    if (v & RN_V_RELU) s.post = RN_POST_RELU;
    if (v & RN_V_ADD_RELU) s.post = RN_POST_ADD_RELU;
    switch (call->c->slot) {
    case RN_SLOT_conv2d_bias:
    case RN_SLOT_conv2d_bn:
    case RN_SLOT_conv2d_bn_train:
    case RN_SLOT_conv2d_fold: s.C = g->K, s.H = g->P, s.W = g->Q; break;
    default: break;
    }
    return s;
}

struct rn_pool_shape rn_call_pool(const struct rn_call *call)
{
    const struct rn_conv_shape *g = &call->g;
    return (struct rn_pool_shape){ g->N, g->C, g->H, g->W, g->R, g->S, g->P, g->Q, g->stride,
                                   g->pad };
}

struct rn_linear_shape rn_call_linear(const struct rn_call *call)
{
    return (struct rn_linear_shape){ call->g.N, call->g.C, call->g.K };
}

struct rn_resize_shape rn_call_resize(const struct rn_call *call)
{
    const struct rn_conv_shape *g = &call->g;
    return (struct rn_resize_shape){ g->N, g->C, g->H, g->W, g->P, g->Q };
}

struct rn_loss_shape rn_call_loss(const struct rn_call *call)
{
    unsigned v = call->c->variant;
    int N = call->g.N;
    return (struct rn_loss_shape){ N, call->g.K, v & RN_V_PART ? N + 3 : N,
                                   v & RN_V_SMOOTH ? 0.1 : 0 };
}

/* CIFAR-10's mean and deviation. */
struct rn_image_shape rn_call_images(const struct rn_call *call)
{
    const struct rn_conv_shape *g = &call->g;
    return (struct rn_image_shape){ g->N, g->C, g->H, g->W, (call->c->variant & RN_V_REFLECT) != 0,
                                    { 0.4914f, 0.4822f, 0.4465f }, { 0.247f, 0.2435f, 0.2616f } };
}

/* Step 3: the powers are 0.9 * 0.9 * 0.9 and 0.999 * 0.999 * 0.999, left to right (A10). */
const struct rn_adamw rn_case_adamw = { 1e-3, 0.9, 0.999, 1e-8, 0.01, 0.9 * 0.9 * 0.9,
                                        0.999 * 0.999 * 0.999, NULL };

struct rn_sgd rn_case_sgd(unsigned variant)
{
    return (struct rn_sgd){ 0.1, 0.9, 5e-4, (variant & RN_V_NESTEROV) != 0, NULL };
}

/* -- memory ------------------------------------------------------------------------------------ */

static void *at(const struct run *r, const char *name)
{
    for (int i = 0; i < r->call->count; i++)
        if (strcmp(r->call->item[i].name, name) == 0) return r->device[i];
    return NULL;
}

static size_t device_bytes(const struct run *r, const struct rn_operand *o)
{
    return rn_operand_bytes(o, r->ops, r->dev);
}

static rn_status upload(struct run *r, const struct rn_operand *o, void *memory)
{
    const int64_t *d = o->shape;
    if (o->map && o->dtype == RN_U8) return rn_taps_upload(o, memory, r->ops, r->dev);
    if (o->map)
        r->ops->tensor_set(r->dev, memory, o->host, (int)d[0], (int)d[1], (int)d[2], (int)d[3]);
    else r->ops->write(r->dev, memory, o->host, device_bytes(r, o));
    r->ops->sync(r->dev);
    return RN_OK;
}

static rn_status poison(struct run *r, void *memory, size_t bytes)
{
    unsigned char *bad = rn_alloc(bytes);
    if (!bad) return RN_ENOMEM;
    memset(bad, POISON, bytes);
    r->ops->write(r->dev, memory, bad, bytes);
    r->ops->sync(r->dev);
    rn_free(bad);
    return RN_OK;
}

/* A7 promises a NaN, not its bits: one NaN stands for all. */
static void one_nan(struct rn_operand *o)
{
    float *f = o->host;
    double *d = o->host;
    for (size_t i = 0; i < o->count; i++) {
        if (o->dtype == RN_F32 && f[i] != f[i]) f[i] = rn_float(0x7fc00000u);
        if (o->dtype == RN_F64 && d[i] != d[i]) d[i] = rn_double(0x7ff8000000000000u);
    }
}

static rn_status download(struct run *r, struct rn_operand *o, void *memory)
{
    const int64_t *d = o->shape;
    if (o->map && o->dtype == RN_U8) return rn_taps_download(o, memory, r->ops, r->dev);
    if (o->map)
        r->ops->tensor_get(r->dev, o->host, memory, (int)d[0], (int)d[1], (int)d[2], (int)d[3]);
    else r->ops->read(r->dev, o->host, memory, device_bytes(r, o));
    r->ops->sync(r->dev);
    one_nan(o);
    return RN_OK;
}

/* -- slots ------------------------------------------------------------------------------------- */

static void run_conv2d(struct run *r)
{
    r->ops->conv2d_forward(r->dev, at(r, "dst"), at(r, "src"), r->packed, at(r, "bias"),
                           &r->call->g, r->workspace);
}

/* The weights back; where the packed form does not hold them, as their owner has them.  "consistent":
 * the answer does not depend on whether there is a place to write to. */
static void run_conv2d_unpack(struct run *r)
{
    const struct rn_conv_shape *g = &r->call->g;
    int able = r->ops->conv2d_unpack(r->dev, at(r, "unpacked"), r->packed, g);
    int32_t consistent = able == r->ops->conv2d_unpack(r->dev, NULL, r->packed, g);
    if (!able) r->ops->copy(r->dev, at(r, "unpacked"), at(r, "weights"),
                            rn_call_operand(r->call, "weights")->count * sizeof(float));
    r->ops->write(r->dev, at(r, "consistent"), &consistent, sizeof consistent);
}

static void run_conv2d_bias(struct run *r)
{
    r->ops->conv2d_bias(r->dev, at(r, "dst"), at(r, "src"), r->packed, at(r, "bias"), at(r, "add"),
                        rn_call_bn(r->call).post, &r->call->g, r->workspace);
}

static void run_conv2d_data(struct run *r)
{
    r->ops->conv2d_backward_data(r->dev, at(r, "dsrc"), at(r, "ddst"), r->packed, at(r, "add"),
                                 &r->call->g, r->workspace);
}

static void run_conv2d_weights(struct run *r)
{
    r->ops->conv2d_backward_weights(r->dev, at(r, "dweights"), at(r, "dbias"), at(r, "src"),
                                    at(r, "ddst"), &r->call->g, r->workspace);
}

static void run_conv2d_bn(struct run *r)
{
    struct rn_bn_shape bn = rn_call_bn(r->call);
    r->ops->conv2d_bn(r->dev, at(r, "dst"), at(r, "src"), r->packed, at(r, "add"), at(r, "gamma"),
                      at(r, "beta"), at(r, "running_mean"), at(r, "running_var"), &r->call->g, &bn,
                      r->workspace);
}

static void run_conv2d_bn_train(struct run *r)
{
    struct rn_bn_shape bn = rn_call_bn(r->call);
    r->ops->conv2d_bn_train(r->dev, at(r, "dst"), at(r, "x"), at(r, "saved"), at(r, "src"), r->packed,
                            at(r, "add"), at(r, "gamma"), at(r, "beta"), &r->call->g, &bn,
                            r->workspace);
}

static void run_conv2d_fold(struct run *r)
{
    struct rn_bn_shape bn = rn_call_bn(r->call);
    r->ops->conv2d_fold(r->dev, at(r, "folded"), at(r, "bias"), at(r, "weights"), at(r, "gamma"),
                        at(r, "beta"), at(r, "running_mean"), at(r, "running_var"), &r->call->g, &bn);
}

static void run_linear(struct run *r)
{
    struct rn_linear_shape s = rn_call_linear(r->call);
    if (r->call->c->slot == RN_SLOT_linear_forward)
        r->ops->linear_forward(r->dev, at(r, "dst"), at(r, "src"), r->packed, at(r, "bias"), &s,
                               r->workspace);
    else if (r->call->c->slot == RN_SLOT_linear_backward_data)
        r->ops->linear_backward_data(r->dev, at(r, "dsrc"), at(r, "ddst"), at(r, "weights"), &s,
                                     r->workspace);
    else
        r->ops->linear_backward_weights(r->dev, at(r, "dweights"), at(r, "dbias"), at(r, "src"),
                                        at(r, "ddst"), &s, r->workspace);
}

static void run_batchnorm_forward(struct run *r)
{
    struct rn_bn_shape s = rn_call_bn(r->call);
    if (r->call->c->slot == RN_SLOT_batchnorm_forward_train)
        r->ops->batchnorm_forward_train(r->dev, at(r, "dst"), at(r, "saved"), at(r, "src"),
                                        at(r, "add"), at(r, "gamma"), at(r, "beta"), &s,
                                        r->workspace);
    else if (r->call->c->slot == RN_SLOT_batchnorm_forward_eval)
        r->ops->batchnorm_forward_eval(r->dev, at(r, "dst"), at(r, "src"), at(r, "add"),
                                       at(r, "gamma"), at(r, "beta"), at(r, "running_mean"),
                                       at(r, "running_var"), &s);
    else if (r->call->c->slot == RN_SLOT_batchnorm_apply)
        r->ops->batchnorm_apply(r->dev, at(r, "dst"), at(r, "src"), at(r, "add"), at(r, "saved"),
                                at(r, "gamma"), at(r, "beta"), &s);
    else
        r->ops->batchnorm_running(r->dev, at(r, "running_mean"), at(r, "running_var"),
                                  at(r, "saved"), &s, at(r, "given"));
}

static void run_batchnorm_backward(struct run *r)
{
    struct rn_bn_shape s = rn_call_bn(r->call);
    if (r->call->c->slot == RN_SLOT_batchnorm_backward)
        r->ops->batchnorm_backward(r->dev, at(r, "dsrc"), at(r, "dadd"), at(r, "dgamma"),
                                   at(r, "dbeta"), at(r, "ddst"), at(r, "dst"), at(r, "src"),
                                   at(r, "saved"), at(r, "gamma"), at(r, "beta"), &s, r->workspace);
    else
        r->ops->batchnorm_backward_eval(r->dev, at(r, "dsrc"), at(r, "dadd"), at(r, "dgamma"),
                                        at(r, "dbeta"), at(r, "ddst"), at(r, "dst"), at(r, "src"),
                                        at(r, "running_mean"), at(r, "running_var"), at(r, "gamma"),
                                        &s, r->workspace);
}

static void run_elementwise(struct run *r)
{
    size_t count = r->call->item[0].count;
    if (r->call->c->slot == RN_SLOT_relu_forward)
        r->ops->relu_forward(r->dev, at(r, "dst"), at(r, "src"), count);
    else if (r->call->c->slot == RN_SLOT_relu_backward)
        r->ops->relu_backward(r->dev, at(r, "dsrc"), at(r, "ddst"), at(r, "dst"), count);
    else r->ops->add(r->dev, at(r, "dst"), at(r, "a"), at(r, "b"), count);
}

static void run_pool(struct run *r)
{
    const struct rn_ops *ops = r->ops;
    struct rn_pool_shape s = rn_call_pool(r->call);
    switch (r->call->c->slot) {
    case RN_SLOT_maxpool_forward:
        ops->maxpool_forward(r->dev, at(r, "dst"), at(r, "index"), at(r, "src"), &s);
        break;
    case RN_SLOT_maxpool_backward:
        ops->maxpool_backward(r->dev, at(r, "dsrc"), at(r, "ddst"), at(r, "index"), &s);
        break;
    case RN_SLOT_avgpool_forward:
        ops->avgpool_forward(r->dev, at(r, "dst"), at(r, "src"), &s);
        break;
    case RN_SLOT_avgpool_backward:
        ops->avgpool_backward(r->dev, at(r, "dsrc"), at(r, "ddst"), &s);
        break;
    case RN_SLOT_global_avgpool_forward:
        ops->global_avgpool_forward(r->dev, at(r, "dst"), at(r, "src"), &s);
        break;
    default: ops->global_avgpool_backward(r->dev, at(r, "dsrc"), at(r, "ddst"), &s); break;
    }
}

static void run_resize(struct run *r)
{
    struct rn_resize_shape s = rn_call_resize(r->call);
    if (r->call->c->slot == RN_SLOT_resize_forward)
        r->ops->resize_forward(r->dev, at(r, "dst"), at(r, "src"), &s);
    else r->ops->resize_backward(r->dev, at(r, "dsrc"), at(r, "ddst"), &s);
}

static void run_loss(struct run *r)
{
    struct rn_loss_shape s = rn_call_loss(r->call);
    r->ops->softmax_cross_entropy(r->dev, at(r, "loss"), at(r, "dlogits"), at(r, "logits"),
                                  at(r, "labels"), &s);
}

static void run_parameters(struct run *r)
{
    size_t count = r->call->item[0].count;
    struct rn_sgd sgd = rn_case_sgd(r->call->c->variant);
    struct rn_adamw adamw = rn_case_adamw;
    sgd.given = adamw.given = at(r, "given");
    if (r->call->c->slot == RN_SLOT_accumulate)
        r->ops->accumulate(r->dev, at(r, "dst"), at(r, "src"), count);
    else if (r->call->c->slot == RN_SLOT_sgd_update)
        r->ops->sgd_update(r->dev, at(r, "weights"), at(r, "velocity"), at(r, "gradient"), count,
                           &sgd);
    else
        r->ops->adamw_update(r->dev, at(r, "weights"), at(r, "first"), at(r, "second"),
                             at(r, "gradient"), count, &adamw);
}

static void run_finite(struct run *r)
{
    size_t count = r->call->item[0].count;
    if (r->call->c->slot == RN_SLOT_tensor_finite)
        r->ops->tensor_finite(r->dev, at(r, "result"), at(r, "src"), count);
    else r->ops->finite(r->dev, at(r, "result"), at(r, "src"), count, at(r, "given"));
}

static void run_images(struct run *r)
{
    const struct rn_image_shape s = rn_call_images(r->call);
    r->ops->images_forward(r->dev, at(r, "dst"), at(r, "src"), at(r, "move"), &s);
}

/* From the backend's layout into the backend's layout, through a dense copy on the host. */
static void run_tensor(struct run *r)
{
    const struct rn_conv_shape *g = &r->call->g;
    struct rn_operand *dst = rn_call_operand(r->call, "dst");
    r->ops->tensor_get(r->dev, dst->host, at(r, "src"), g->N, g->C, g->H, g->W);
    r->ops->sync(r->dev);
    r->ops->tensor_set(r->dev, at(r, "dst"), dst->host, g->N, g->C, g->H, g->W);
}

/* What memory a slot wants besides its operands, and how it is called. */
enum wants { NOTHING, FORWARD_WEIGHTS, FORWARD_WEIGHTS_BN, BACKWARD_WEIGHTS, CONV_WORKSPACE,
             LINEAR_WEIGHTS, LINEAR_WORKSPACE, BN_WORKSPACE };
static const struct { void (*call)(struct run *r); enum wants wants; } runs[RN_SLOT_COUNT] = {
    [RN_SLOT_tensor_set] = { run_tensor, NOTHING },
    [RN_SLOT_tensor_get] = { run_tensor, NOTHING },
    [RN_SLOT_images_forward] = { run_images, NOTHING },
    [RN_SLOT_conv2d_pack] = { run_conv2d, FORWARD_WEIGHTS },
    [RN_SLOT_conv2d_forward] = { run_conv2d, FORWARD_WEIGHTS },
    [RN_SLOT_conv2d_unpack] = { run_conv2d_unpack, FORWARD_WEIGHTS },
    [RN_SLOT_conv2d_bias] = { run_conv2d_bias, FORWARD_WEIGHTS },
    [RN_SLOT_conv2d_backward_data] = { run_conv2d_data, BACKWARD_WEIGHTS },
    [RN_SLOT_conv2d_backward_weights] = { run_conv2d_weights, CONV_WORKSPACE },
    [RN_SLOT_conv2d_bn] = { run_conv2d_bn, FORWARD_WEIGHTS },
    [RN_SLOT_conv2d_bn_train] = { run_conv2d_bn_train, FORWARD_WEIGHTS_BN },
    [RN_SLOT_conv2d_fold] = { run_conv2d_fold, NOTHING },
    [RN_SLOT_linear_forward] = { run_linear, LINEAR_WEIGHTS },
    [RN_SLOT_linear_backward_data] = { run_linear, LINEAR_WORKSPACE },
    [RN_SLOT_linear_backward_weights] = { run_linear, LINEAR_WORKSPACE },
    [RN_SLOT_batchnorm_forward_train] = { run_batchnorm_forward, BN_WORKSPACE },
    [RN_SLOT_batchnorm_forward_eval] = { run_batchnorm_forward, NOTHING },
    [RN_SLOT_batchnorm_apply] = { run_batchnorm_forward, NOTHING },
    [RN_SLOT_batchnorm_running] = { run_batchnorm_forward, NOTHING },
    [RN_SLOT_batchnorm_backward] = { run_batchnorm_backward, BN_WORKSPACE },
    [RN_SLOT_batchnorm_backward_eval] = { run_batchnorm_backward, BN_WORKSPACE },
    [RN_SLOT_relu_forward] = { run_elementwise, NOTHING },
    [RN_SLOT_relu_backward] = { run_elementwise, NOTHING },
    [RN_SLOT_add] = { run_elementwise, NOTHING },
    [RN_SLOT_tensor_finite] = { run_finite, NOTHING },
    [RN_SLOT_maxpool_forward] = { run_pool, NOTHING },
    [RN_SLOT_maxpool_backward] = { run_pool, NOTHING },
    [RN_SLOT_avgpool_forward] = { run_pool, NOTHING },
    [RN_SLOT_avgpool_backward] = { run_pool, NOTHING },
    [RN_SLOT_global_avgpool_forward] = { run_pool, NOTHING },
    [RN_SLOT_global_avgpool_backward] = { run_pool, NOTHING },
    [RN_SLOT_resize_forward] = { run_resize, NOTHING },
    [RN_SLOT_resize_backward] = { run_resize, NOTHING },
    [RN_SLOT_softmax_cross_entropy] = { run_loss, NOTHING },
    [RN_SLOT_accumulate] = { run_parameters, NOTHING },
    [RN_SLOT_finite] = { run_finite, NOTHING },
    [RN_SLOT_sgd_update] = { run_parameters, NOTHING },
    [RN_SLOT_adamw_update] = { run_parameters, NOTHING },
};

/* The weights as the pass wants them; the geometry of a linear layer is that of its convolution.
 * conv2d_pack's own case packs for one image and runs on all, which a table must allow. */
static rn_status pack(struct run *r, enum rn_pass pass)
{
    struct rn_conv_shape g = r->call->g;
    if (r->call->c->slot == RN_SLOT_conv2d_pack) g.N = 1;
    rn_status status =
        r->ops->alloc(r->dev, &r->packed, r->ops->conv2d_packed_bytes(r->dev, &g, pass));
    if (status == RN_OK) r->ops->conv2d_pack(r->dev, r->packed, at(r, "weights"), &g, pass);
    return status;
}

static rn_status prepare(struct run *r)
{
    const struct rn_ops *ops = r->ops;
    enum wants wants = runs[r->call->c->slot].wants;
    struct rn_linear_shape linear = rn_call_linear(r->call);
    struct rn_bn_shape bn = rn_call_bn(r->call);
    size_t bytes = 0;
    rn_status status = RN_OK;
    if (wants == FORWARD_WEIGHTS || wants == FORWARD_WEIGHTS_BN || wants == LINEAR_WEIGHTS)
        status = pack(r, RN_PASS_FORWARD);
    if (wants == BACKWARD_WEIGHTS) status = pack(r, RN_PASS_BACKWARD_DATA);
    if (status || wants == NOTHING) return status;
    if (wants == LINEAR_WORKSPACE || wants == LINEAR_WEIGHTS)
        bytes = ops->linear_workspace(r->dev, &linear);
    else if (wants == BN_WORKSPACE) bytes = ops->batchnorm_workspace(r->dev, &bn);
    else bytes = ops->conv2d_workspace(r->dev, &r->call->g);
    if (wants == FORWARD_WEIGHTS_BN) bytes += ops->batchnorm_workspace(r->dev, &bn);
    status = ops->alloc(r->dev, &r->workspace, bytes);
    return status ? status : poison(r, r->workspace, bytes);
}

static rn_status place_operand(struct run *r, int i)
{
    const struct rn_operand *o = &r->call->item[i];
    if (o->over >= 0) {
        r->device[i] = r->device[o->over];
        return RN_OK;
    }
    rn_status status = r->ops->alloc(r->dev, &r->device[i], device_bytes(r, o));
    if (status) return status;
    r->owned[i] = true;
    return o->output ? poison(r, r->device[i], device_bytes(r, o)) : upload(r, o, r->device[i]);
}

rn_status rn_call_run(struct rn_call *call, const struct rn_ops *ops, void *dev)
{
    struct run r = { .ops = ops, .dev = dev, .call = call };
    rn_status status = RN_OK;
    for (int i = 0; i < call->count && status == RN_OK; i++) status = place_operand(&r, i);
    if (status == RN_OK) status = prepare(&r);
    if (status == RN_OK) {
        runs[call->c->slot].call(&r);
        ops->sync(dev);
    }
    for (int i = 0; i < call->count && status == RN_OK; i++)
        if (call->item[i].output) status = download(&r, &call->item[i], r.device[i]);
    for (int i = 0; i < call->count; i++)
        if (r.owned[i]) ops->release(dev, r.device[i]);
    ops->release(dev, r.packed);
    ops->release(dev, r.workspace);
    return status;
}
