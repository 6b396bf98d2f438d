/*
 * gradcheck.c - every op's forward pass against the same function in double (wide.c), and every
 * gradient against central differences of that function.
 *
 * With g the incoming gradient, L = sum g * y is one number; dL/dx[i] is measured in double, for
 * every element of every input (of inputs with more than EVERY elements for a sample), as
 *
 *     (L(x[i] + h) - L(x[i] - h)) / 2h.
 *
 * Under bf16 every input is rounded first (Q, A30), so that double and the backend begin with the same numbers: then
 * sums of products are as exact as under fp32, and only what ends in a tensor, or was in one on its way, has the error
 * of bf16.  The same numbers are halves too, so fast-fp16 begins with them.
 *
 * ReLU and max-pooling have kinks: inputs are drawn again until every argument stays far from one (margin).
 */
#include "conform/conform.h"

#include "base/mem.h"
#include "base/real.h"
#include "conform/case.h"
#include "conform/wide.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define STEP 1e-5       /* truncation about 1e-10, rounding about 1e-10 */
#define MARGIN 1e-3     /* a hundred steps: no kink is crossed */
#define DRAWS 256       /* a narrow margin has a chance of about one in three */
#define TOLERANCE 5e-6  /* of the tensor's root mean square; correct floats stay below 1.2e-6 */
#define TOLERANCE_WINOGRAD 3e-5 /* where A35 or A36 computes; correct ones stay below 6e-6 */
#define TOLERANCE_BF16 0x1p-5 /* of what is bf16; correct ones stay below 2.1e-2 */
#define TOLERANCE_FP16 0x1p-7 /* of what is a half under `fast`, where a convolution is stored before its */
#define TOLERANCE_FAST_BF16 0x1p-4 /* bias is added; and of bf16 there */
#define TOLERANCE_FAST 5e-5   /* of a library's floats, by whatever algorithm; products of TF32 give 2.5e-4 to 3e-3 */
#define EVERY 1024      /* larger tensors are sampled */
#define SAMPLE 64       /* elements, spread evenly */
#define NONE RN_SLOT_COUNT

struct row { enum rn_slot forward, backward[2]; unsigned variant; const char *geometry; };

#define CONV(geometry) \
    { RN_SLOT_conv2d_forward, { RN_SLOT_conv2d_backward_data, RN_SLOT_conv2d_backward_weights }, RN_V_BIAS, geometry }
#define PAIR(op, variant, geometry) \
    { RN_SLOT_##op##_forward, { RN_SLOT_##op##_backward, NONE }, variant, geometry }
#define BN(variant, geometry) \
    { RN_SLOT_batchnorm_forward_train, { RN_SLOT_batchnorm_apply, RN_SLOT_batchnorm_backward }, variant, geometry }
#define FORWARD(slot, variant, geometry) { RN_SLOT_##slot, { NONE, NONE }, variant, geometry }
#define BN_EVAL(variant, geometry) \
    { RN_SLOT_batchnorm_forward_eval, { RN_SLOT_batchnorm_backward_eval, NONE }, variant, geometry }

static const struct row rows[] = {
    CONV("n1c1h5w5k1r3s3u1a1g1"),
    CONV("n2c3h7w5k4r3s3u2a1g1"),
    CONV("n2c3h8w7k4r3s3u1a1g1"),
    CONV("n1c4h9w8k3r3s3u3a2g1"),
    CONV("n3c4h5w6k5r1s1u1a0g1"),
    CONV("n2c5h7w7k6r1s1u2a0g1"),
    CONV("n1c2h9w7k3r5s5u1a2g1"),
    CONV("n1c2h11w9k3r7s7u2a3g1"),
    CONV("n2c6h6w5k4r3s3u1a1g2"),
    CONV("n1c5h6w7k5r3s3u2a1g5"),
    CONV("n9c2h3w3k3r3s3u1a0g1"),
    CONV("n2c3h6w5k2r2s3u1a1g1"),
    { RN_SLOT_conv2d_forward, { RN_SLOT_conv2d_backward_data, NONE }, RN_V_ADD, "n2c3h7w6k4r3s3u2a1g1" },
    CONV("n2c16h7w6k16r3s3u1a1g1"), /* ragged tiles of fp32-winograd */
    FORWARD(conv2d_unpack, 0, "n2c3h5w4k4r3s3u2a1g1"),
    FORWARD(conv2d_bias, 0, "n2c3h7w5k4r3s3u2a1g1"),
    FORWARD(conv2d_bias, RN_V_RELU, "n2c4h6w5k4r3s3u1a1g2"),
    FORWARD(conv2d_bias, RN_V_ADD_RELU, "n1c6h5w5k8r1s1u1a0g1"),
    FORWARD(conv2d_bias, RN_V_ADD_RELU, "n1c16h6w7k16r3s3u1a1g1"),
    { RN_SLOT_linear_forward, { RN_SLOT_linear_backward_data, RN_SLOT_linear_backward_weights }, 0,
      "n4c7h1w1k5" },
    { RN_SLOT_linear_forward, { RN_SLOT_linear_backward_data, RN_SLOT_linear_backward_weights }, 0,
      "n11c13h1w1k3" },
    BN(0, "n2c3h5w4"),
    BN(RN_V_RELU, "n3c2h5w3"),
    BN(RN_V_ADD_RELU, "n2c3h3w5"),
    BN(RN_V_RELU, "n9c2h2w1"),
    BN(0, "n1c2h13w11"),
    BN_EVAL(0, "n2c3h5w4"),
    BN_EVAL(RN_V_RELU, "n3c2h5w3"),
    BN_EVAL(RN_V_ADD_RELU, "n2c3h3w5"),
    FORWARD(conv2d_bn, 0, "n2c3h7w5k4r3s3u2a1g1"),
    FORWARD(conv2d_bn, RN_V_RELU, "n2c4h6w5k4r3s3u1a1g2"),
    FORWARD(conv2d_bn, RN_V_ADD_RELU, "n1c6h5w5k8r1s1u1a0g1"),
    FORWARD(conv2d_bn_train, 0, "n2c3h7w5k4r3s3u2a1g1"),
    FORWARD(conv2d_bn_train, RN_V_RELU, "n3c4h6w5k4r3s3u2a1g2"),
    FORWARD(conv2d_bn_train, RN_V_ADD_RELU, "n2c6h5w5k3r1s1u1a0g1"),
    FORWARD(conv2d_bn_train, RN_V_RELU, "n1c16h7w6k16r3s3u1a1g1"),
    FORWARD(conv2d_fold, 0, "n1c3h4w4k9r3s3u1a1g1"),
    FORWARD(conv2d_fold, RN_V_IN_PLACE, "n1c6h4w4k8r3s3u1a1g2"),
    PAIR(relu, 0, "n2c3h5w7"),
    FORWARD(add, 0, "n2c3h5w7"),
    PAIR(maxpool, 0, "n2c3h8w7k3r3s3u2a1"),
    PAIR(maxpool, 0, "n1c4h7w9k4r2s2u2a0"),
    PAIR(maxpool, 0, "n1c3h6w5k3r3s3u1a1"),
    PAIR(avgpool, 0, "n2c3h8w7k3r3s3u2a1"),
    PAIR(avgpool, 0, "n1c2h6w6k2r2s2u2a0"),
    PAIR(global_avgpool, 0, "n2c5h7w3"),
    PAIR(resize, 0, "n2c2h4w5p9q7"),
    PAIR(resize, 0, "n1c3h7w6p4q4"),
    PAIR(resize, 0, "n1c2h1w4p3q6"),
    FORWARD(softmax_cross_entropy, 0, "n4c6h1w1"),
    FORWARD(softmax_cross_entropy, RN_V_SMOOTH | RN_V_PART, "n3c10h1w1"),
};

/* Who is judged, and where the findings go. */
struct judge {
    struct rn_verdicts *v;
    const struct rn_ops *ops;
    void *dev;
    const char *numerics;
};

/* A call's operands once more in double. */
struct wide { struct rn_call *call; double *item[RN_MAX_OPERANDS]; };

/* Short names of tensors, as gradients are called on paper. */
static const char *short_name(const char *operand)
{
    static const char *const names[][2] = {
        { "dsrc", "dx" }, { "dweights", "dw" }, { "dbias", "db" }, { "dst", "y" }
    };
    for (size_t i = 0; i < RN_COUNT(names); i++)
        if (strcmp(operand, names[i][0]) == 0) return names[i][1];
    return operand;
}

static double element(const struct rn_operand *o, size_t i)
{
    switch (o->dtype) {
    case RN_F32: return ((const float *)o->host)[i];
    case RN_F64: return ((const double *)o->host)[i];
    case RN_I32: return ((const int32_t *)o->host)[i];
    default: return ((const uint8_t *)o->host)[i];
    }
}

static double *widen(const struct rn_operand *o)
{
    double *wide = rn_alloc_array(o->count, sizeof *wide);
    for (size_t i = 0; wide && i < o->count; i++) wide[i] = element(o, i);
    return wide;
}

static void wide_close(struct wide *w)
{
    for (int i = 0; i < RN_MAX_OPERANDS; i++) {
        rn_free(w->item[i]);
        w->item[i] = NULL;
    }
}

static rn_status wide_open(struct wide *w, struct rn_call *call)
{
    *w = (struct wide){ .call = call };
    for (int i = 0; i < call->count; i++)
        if (!(w->item[i] = widen(&call->item[i]))) {
            wide_close(w);
            return RN_ENOMEM;
        }
    return RN_OK;
}

static double *at(const struct wide *w, const char *name)
{
    for (int i = 0; i < w->call->count; i++)
        if (strcmp(w->call->item[i].name, name) == 0) return w->item[i];
    return NULL;
}

/* Convolution and what the slot joins to it, through dst or x. */
static double wide_fused(struct wide *w)
{
    struct rn_bn_shape s = rn_call_bn(w->call);
    double *dst = at(w, "dst"), *x = at(w, "x") ? at(w, "x") : dst;
    rn_wide_conv2d(x, at(w, "src"), at(w, "weights"), at(w, "bias"), &w->call->g);
    switch (w->call->c->slot) {
    case RN_SLOT_conv2d_bias:
        return rn_wide_finish(dst, at(w, "add"), s.post, rn_call_operand(w->call, "dst")->count);
    case RN_SLOT_conv2d_bn_train:
        return rn_wide_batchnorm_train(dst, at(w, "saved"), x, at(w, "add"), at(w, "gamma"),
                                       at(w, "beta"), &s);
    default:
        return rn_wide_batchnorm_eval(dst, dst, at(w, "add"), at(w, "gamma"), at(w, "beta"),
                                      at(w, "running_mean"), at(w, "running_var"), &s);
    }
}

static void wide_fold(struct wide *w)
{
    struct rn_bn_shape s = rn_call_bn(w->call);
    rn_wide_fold(at(w, "folded"), at(w, "bias"), at(w, "weights"), at(w, "gamma"), at(w, "beta"),
                 at(w, "running_mean"), at(w, "running_var"), &w->call->g, &s);
}

/* The weights again, and an answer that is the same both times. */
static void wide_unpack(struct wide *w)
{
    size_t count = rn_call_operand(w->call, "weights")->count;
    memcpy(at(w, "unpacked"), at(w, "weights"), count * sizeof(double));
    *at(w, "consistent") = 1;
}

static double wide_batchnorm(struct wide *w)
{
    struct rn_bn_shape s = rn_call_bn(w->call);
    if (w->call->c->slot == RN_SLOT_batchnorm_forward_train)
        return rn_wide_batchnorm_train(at(w, "dst"), at(w, "saved"), at(w, "src"), at(w, "add"),
                                       at(w, "gamma"), at(w, "beta"), &s);
    return rn_wide_batchnorm_eval(at(w, "dst"), at(w, "src"), at(w, "add"), at(w, "gamma"),
                                  at(w, "beta"), at(w, "running_mean"), at(w, "running_var"), &s);
}

static void wide_add(struct wide *w)
{
    const double *a = at(w, "a"), *b = at(w, "b");
    for (size_t i = 0; i < w->call->item[0].count; i++) at(w, "dst")[i] = a[i] + b[i];
}

/* The op of the call, forward, in double; its margin. */
static double wide_forward(struct wide *w)
{
    struct rn_pool_shape pool = rn_call_pool(w->call);
    struct rn_linear_shape linear = rn_call_linear(w->call);
    struct rn_resize_shape resize = rn_call_resize(w->call);
    struct rn_loss_shape loss = rn_call_loss(w->call);
    double *dst = at(w, "dst"), *src = at(w, "src");
    switch (w->call->c->slot) {
    case RN_SLOT_conv2d_forward:
        rn_wide_conv2d(dst, src, at(w, "weights"), at(w, "bias"), &w->call->g);
        break;
    case RN_SLOT_linear_forward:
        rn_wide_linear(dst, src, at(w, "weights"), at(w, "bias"), &linear);
        break;
    case RN_SLOT_batchnorm_forward_train:
    case RN_SLOT_batchnorm_forward_eval: return wide_batchnorm(w);
    case RN_SLOT_conv2d_bias:
    case RN_SLOT_conv2d_bn:
    case RN_SLOT_conv2d_bn_train: return wide_fused(w);
    case RN_SLOT_conv2d_fold: wide_fold(w); break;
    case RN_SLOT_conv2d_unpack: wide_unpack(w); break;
    case RN_SLOT_relu_forward: return rn_wide_relu(dst, src, w->call->item[0].count);
    case RN_SLOT_add: wide_add(w); break;
    case RN_SLOT_maxpool_forward: return rn_wide_maxpool(dst, src, &pool);
    case RN_SLOT_avgpool_forward: rn_wide_avgpool(dst, src, &pool); break;
    case RN_SLOT_global_avgpool_forward: rn_wide_global_avgpool(dst, src, &pool); break;
    case RN_SLOT_resize_forward: rn_wide_resize(dst, src, &resize); break;
    default:
        rn_wide_cross_entropy(at(w, "loss"), at(w, "logits"),
                              rn_call_operand(w->call, "labels")->host, &loss);
    }
    return HUGE_VAL;
}

/* What L is made of: g of the output, and g2 where the source has a second consumer that passes
 * it on. */
struct loss { const double *g, *g2; };

static double weighted(const double *a, const double *g, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += a[i] * g[i];
    return sum;
}

static double loss_value(struct wide *w, const struct loss *l)
{
    const struct rn_operand *dst = rn_call_operand(w->call, "dst");
    wide_forward(w);
    if (dst) {
        double sum = weighted(at(w, "dst"), l->g, dst->count);
        return l->g2 ? sum + weighted(at(w, "src"), l->g2, w->call->item[0].count) : sum;
    }
    struct rn_loss_shape s = rn_call_loss(w->call);
    double sum = 0;
    for (int n = 0; n < s.N; n++) sum += at(w, "loss")[n];
    return sum / s.total;
}

/* Element number k of the sample of a tensor with `count` elements; all of a small one. */
static size_t sample_count(size_t count) { return count > EVERY ? SAMPLE : count; }

static size_t sampled(size_t k, size_t count)
{
    return count > EVERY ? (k * count + count / 2) / SAMPLE % count : k;
}

/* Central differences in the sampled elements of one input. */
static void slopes(double *slope, struct wide *w, double *x, size_t count, const struct loss *l)
{
    for (size_t k = 0; k < sample_count(count); k++) {
        size_t i = sampled(k, count);
        double middle = x[i];
        x[i] = middle + STEP;
        double above = loss_value(w, l);
        x[i] = middle - STEP;
        slope[k] = (above - loss_value(w, l)) / (2 * STEP);
        x[i] = middle;
    }
}

static const char *op_name(enum rn_slot slot)
{
    switch (slot) {
    case RN_SLOT_batchnorm_forward_eval:
    case RN_SLOT_batchnorm_backward_eval: return "bn_eval";
    case RN_SLOT_conv2d_bn_train: return "conv2d_bn_train";
    default: return rn_case_op(slot);
    }
}

/* Where tensors are of 16 bits: whether an output is stored in one or computed from what was: statistics of the x
 * that conv2d_bn_train stored.  Under `fast` gradients of weights are made in such a tensor, too. */
static bool passes_narrow(const struct judge *k, const struct rn_call *call, const struct rn_operand *o)
{
    const enum rn_slot slot = call->c->slot;
    const bool weights = slot == RN_SLOT_conv2d_backward_weights || slot == RN_SLOT_linear_backward_weights;
    return o->map || (slot == RN_SLOT_conv2d_bn_train && o->output) || (rn_numerics_fast(k->numerics) && weights);
}

static double tolerance(const struct judge *k, const struct rn_call *call, const struct rn_operand *o)
{
    if (rn_numerics_narrow(k->numerics) && passes_narrow(k, call, o))
        return rn_numerics_bf16(k->numerics) ? TOLERANCE_BF16
               : strcmp(k->numerics, "fast-fp16") ? TOLERANCE_FAST_BF16 : TOLERANCE_FP16;
    if (rn_numerics_fast(k->numerics)) return TOLERANCE_FAST;
    return rn_call_winograd(call, k->numerics) ? TOLERANCE_WINOGRAD : TOLERANCE;
}

/* Reports `count` values of a tensor of the call against what was measured in double. */
static void compare(struct judge *k, const struct rn_call *call, const struct rn_operand *o,
                    const char *name, const double *got, const double *want, size_t count)
{
    char variant[RN_VARIANT_CHARS];
    char detail[RN_DETAIL_CHARS] = "";
    size_t worst;
    double error = rn_relative_error(&worst, got, want, count);
    double limit = tolerance(k, call, o);
    bool ok = error <= limit;
    if (!ok) rn_detail(detail, worst, got[worst], want[worst]);
    rn_variant_text(variant, call->c->variant & ~(unsigned)(RN_V_NORMAL | RN_V_BIAS));
    struct rn_finding f = { op_name(call->c->slot), short_name(name), call->c->geometry, variant,
                            ok ? "ok" : "FAIL", error, limit, detail };
    rn_verdict(k->v, &f, !ok);
}

/* A whole tensor of the call. */
static rn_status compare_all(struct judge *k, const struct rn_call *call,
                             const struct rn_operand *got, const char *name, const double *want)
{
    double *values = widen(got);
    if (!values) return RN_ENOMEM;
    compare(k, call, got, name, values, want, got->count);
    rn_free(values);
    return RN_OK;
}

/* Gradient tensor "dX" of a backward call against slopes of the forward function in X. */
static rn_status check_gradient(struct judge *k, struct wide *w, const struct rn_call *call,
                                const struct rn_operand *got, const struct loss *l)
{
    const struct rn_operand *input = rn_call_operand(w->call, got->name + 1);
    double *x = at(w, got->name + 1);
    if (!input || input->count != got->count)
        return rn_fail(RN_ECHECK, "gradient %s of %s has no input", got->name, rn_case_op(call->c->slot));
    size_t count = sample_count(got->count);
    double *slope = rn_alloc_array(count, sizeof *slope), *values = widen(got);
    rn_status status = slope && values ? RN_OK : RN_ENOMEM;
    if (status == RN_OK) {
        slopes(slope, w, x, got->count, l);
        for (size_t i = 0; i < count; i++) values[i] = values[sampled(i, got->count)];
        compare(k, call, got, got->name, values, slope, count);
    }
    rn_free(values);
    rn_free(slope);
    return status;
}

/* Random inputs such as the numerics can take. */
static void fill(const struct judge *k, struct rn_call *call, uint32_t draw)
{
    rn_call_fill(call, draw);
    for (int i = 0; i < call->count && rn_numerics_narrow(k->numerics); i++) {
        struct rn_operand *o = &call->item[i];
        for (size_t e = 0; e < o->count && o->dtype == RN_F32 && !o->output; e++)
            ((float *)o->host)[e] = rn_round_bf16(((float *)o->host)[e]);
    }
}

/* A slot that shares the forward slot's operands: gradients, or the forward output once more. */
static rn_status check_backward(struct judge *k, struct wide *w, const struct rn_case *c, uint32_t draw)
{
    struct rn_call call;
    struct wide gradients = { 0 };
    rn_status status = rn_call_open(&call, c);
    if (status) return status;
    fill(k, &call, draw);
    rn_call_share(&call, w->call);
    if ((status = rn_call_run(&call, k->ops, k->dev))) goto done;
    if (c->slot == RN_SLOT_batchnorm_apply) {
        rn_check_same(k->v, c, "y again", rn_call_operand(&call, "dst"),
                      rn_call_operand(w->call, "dst"));
        goto done;
    }
    if ((status = wide_open(&gradients, &call))) goto done;
    struct loss l = { at(&gradients, "ddst"), at(&gradients, "add") };
    for (int i = 0; i < call.count && status == RN_OK; i++)
        if (call.item[i].output) status = check_gradient(k, w, &call, &call.item[i], &l);
done:
    wide_close(&gradients);
    rn_call_close(&call);
    return status;
}

/* Outputs of the forward slot.  A loss carries its own gradient. */
static rn_status check_forward(struct judge *k, struct wide *w)
{
    rn_status status = RN_OK;
    for (int i = 0; i < w->call->count && status == RN_OK; i++) {
        const struct rn_operand *o = &w->call->item[i];
        if (!o->output || o->dtype == RN_U8) continue;
        if (strcmp(o->name, "dlogits") == 0)
            status = check_gradient(k, w, w->call, o, &(struct loss){ NULL, NULL });
        else status = compare_all(k, w->call, o, o->name, w->item[i]);
    }
    return status;
}

/* A tensor x with two consumers that hand back g1 and g2: dx is the slot's a + b.  The slope of
 * L = g1 x + g2 x is the same everywhere; it is measured at x = 1. */
static rn_status check_fork(struct judge *k, struct wide *w)
{
    const struct rn_operand *dx = rn_call_operand(w->call, "dst");
    const double *g1 = at(w, "a"), *g2 = at(w, "b");
    double *slope = rn_alloc_array(dx->count, sizeof *slope);
    if (!slope) return RN_ENOMEM;
    for (size_t i = 0; i < dx->count; i++) {
        double above = g1[i] * (1 + STEP) + g2[i] * (1 + STEP);
        slope[i] = (above - (g1[i] * (1 - STEP) + g2[i] * (1 - STEP))) / (2 * STEP);
    }
    rn_status status = compare_all(k, w->call, dx, "dx", slope);
    rn_free(slope);
    return status;
}

/* Draws inputs until the function is smooth around them. */
static rn_status draw_inputs(struct judge *k, struct wide *w, struct rn_call *call, uint32_t *draw)
{
    for (*draw = 0; *draw < DRAWS; ++*draw) {
        fill(k, call, *draw);
        rn_status status = wide_open(w, call);
        if (status) return status;
        if (wide_forward(w) >= MARGIN) return RN_OK;
        wide_close(w);
    }
    return rn_fail(RN_ECHECK, "%s %s: no inputs away from kinks in %d draws",
                   rn_case_op(call->c->slot), call->c->geometry, DRAWS);
}

static rn_status check_row(struct judge *k, const struct row *row)
{
    unsigned variant = row->variant | RN_V_NORMAL;
    struct rn_case c = { row->forward, row->geometry, variant };
    struct rn_call call;
    struct wide w = { 0 };
    uint32_t draw;
    rn_status status = rn_call_open(&call, &c);
    if (status) return status;
    if ((status = draw_inputs(k, &w, &call, &draw))) goto done;
    if ((status = rn_call_run(&call, k->ops, k->dev))) goto done;
    if ((status = check_forward(k, &w))) goto done;
    if (row->forward == RN_SLOT_add) status = check_fork(k, &w);
    else status = rn_check_composition(k->v, &call, k->ops, k->dev);
    for (int i = 0; i < 2 && status == RN_OK; i++) {
        struct rn_case backward = { row->backward[i], row->geometry, variant };
        if (row->backward[i] != NONE) status = check_backward(k, &w, &backward, draw);
    }
done:
    wide_close(&w);
    rn_call_close(&call);
    return status;
}

rn_status rn_gradcheck(const struct rn_ops *ops, void *dev, const char *numerics,
                       rn_finding_sink *sink, void *arg)
{
    struct rn_verdicts v = { .sink = sink, .arg = arg };
    struct judge k = { &v, ops, dev, numerics };
    rn_status status = RN_OK;
    for (size_t i = 0; i < RN_COUNT(rows) && status == RN_OK; i++) status = check_row(&k, &rows[i]);
    if (status == RN_OK) status = rn_gradcheck_net(&v, ops, dev, numerics);
    if (status) return status;
    if (v.failures)
        return rn_fail(RN_ECHECK, "%d of %d gradient checks failed on backend %s, first %s",
                       v.failures, v.rows, ops->name, v.first);
    return RN_OK;
}
