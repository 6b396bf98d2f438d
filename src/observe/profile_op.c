/* profile_op.c - names, families, shapes and costs of calls of the op table.  Conventions: docs/profiling.md. */
#include "observe/profile_op.h"

#include <inttypes.h>

/* -- names ------------------------------------------------------------------------------------- */

/* name: with nothing after it, with a ReLU, with an addition and a ReLU; the latter two where they differ. */
static const struct row {
    const char *name, *relu, *add_relu, *group;
    enum rn_family family;
    bool backward;
} row[RN_OP_KINDS] = {
    [RN_OP_CONV] = { .name = "aten::convolution", .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_CONV_DATA] = { .name = "convolution_backward.data", .group = "aten::convolution_backward",
                          .family = RN_FAMILY_CONVOLUTION, .backward = true },
    [RN_OP_CONV_WEIGHTS] = { .name = "convolution_backward.weights", .group = "aten::convolution_backward",
                             .family = RN_FAMILY_CONVOLUTION, .backward = true },
    [RN_OP_CONV_BN] = { .name = "aten::convolution+batch_norm", .relu = "aten::convolution+batch_norm+relu",
                        .add_relu = "aten::convolution+batch_norm+add+relu", .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_CONV_BN_TRAIN] = { .name = "aten::convolution+native_batch_norm",
                              .relu = "aten::convolution+native_batch_norm+relu",
                              .add_relu = "aten::convolution+native_batch_norm+add+relu",
                              .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_CONV_BIAS] = { .name = "aten::convolution", .relu = "aten::convolution+relu",
                          .add_relu = "aten::convolution+add+relu", .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_PACK] = { .name = "pack_weights", .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_PACK_BACK] = { .name = "convolution_backward.pack_weights", .group = "aten::convolution_backward",
                          .family = RN_FAMILY_CONVOLUTION, .backward = true },
    [RN_OP_UNPACK] = { .name = "unpack_weights", .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_FOLD] = { .name = "fold_batch_norm", .family = RN_FAMILY_CONVOLUTION },
    [RN_OP_LINEAR] = { .name = "aten::linear", .family = RN_FAMILY_LINEAR },
    [RN_OP_LINEAR_DATA] = { .name = "linear_backward.data", .group = "aten::linear_backward",
                            .family = RN_FAMILY_LINEAR, .backward = true },
    [RN_OP_LINEAR_WEIGHTS] = { .name = "linear_backward.weights", .group = "aten::linear_backward",
                               .family = RN_FAMILY_LINEAR, .backward = true },
    [RN_OP_BN_TRAIN] = { .name = "aten::native_batch_norm", .relu = "aten::native_batch_norm+relu",
                         .add_relu = "aten::native_batch_norm+add+relu", .family = RN_FAMILY_NORM },
    [RN_OP_BN_EVAL] = { .name = "aten::batch_norm", .relu = "aten::batch_norm+relu",
                        .add_relu = "aten::batch_norm+add+relu", .family = RN_FAMILY_NORM },
    [RN_OP_BN_APPLY] = { .name = "native_batch_norm.again", .relu = "native_batch_norm.again+relu",
                         .add_relu = "native_batch_norm.again+add+relu", .family = RN_FAMILY_NORM,
                         .backward = true },
    [RN_OP_BN_RUNNING] = { .name = "native_batch_norm.running", .family = RN_FAMILY_NORM },
    [RN_OP_BN_BACK] = { .name = "aten::native_batch_norm_backward",
                        .relu = "aten::native_batch_norm_backward+threshold_backward",
                        .add_relu = "aten::native_batch_norm_backward+add+threshold_backward",
                        .family = RN_FAMILY_NORM, .backward = true },
    [RN_OP_BN_BACK_EVAL] = { .name = "aten::native_batch_norm_backward",
                             .relu = "aten::native_batch_norm_backward+threshold_backward",
                             .add_relu = "aten::native_batch_norm_backward+add+threshold_backward",
                             .family = RN_FAMILY_NORM, .backward = true },
    [RN_OP_RELU] = { .name = "aten::relu", .family = RN_FAMILY_ELEMENTWISE },
    [RN_OP_RELU_BACK] = { .name = "aten::threshold_backward", .family = RN_FAMILY_ELEMENTWISE, .backward = true },
    [RN_OP_ADD] = { .name = "aten::add", .family = RN_FAMILY_ELEMENTWISE },
    [RN_OP_TENSOR_FINITE] = { .name = "aten::isfinite", .family = RN_FAMILY_CHECK },
    [RN_OP_MAXPOOL] = { .name = "aten::max_pool2d_with_indices", .family = RN_FAMILY_POOLING },
    [RN_OP_MAXPOOL_BACK] = { .name = "aten::max_pool2d_with_indices_backward", .family = RN_FAMILY_POOLING,
                             .backward = true },
    [RN_OP_AVGPOOL] = { .name = "aten::avg_pool2d", .family = RN_FAMILY_POOLING },
    [RN_OP_AVGPOOL_BACK] = { .name = "aten::avg_pool2d_backward", .family = RN_FAMILY_POOLING, .backward = true },
    [RN_OP_MEAN] = { .name = "aten::adaptive_avg_pool2d", .family = RN_FAMILY_POOLING },
    [RN_OP_MEAN_BACK] = { .name = "aten::adaptive_avg_pool2d_backward", .family = RN_FAMILY_POOLING,
                          .backward = true },
    [RN_OP_RESIZE] = { .name = "aten::upsample_bilinear2d", .family = RN_FAMILY_POOLING },
    [RN_OP_RESIZE_BACK] = { .name = "aten::upsample_bilinear2d_backward", .family = RN_FAMILY_POOLING,
                            .backward = true },
    [RN_OP_LOSS] = { .name = "aten::cross_entropy_loss", .family = RN_FAMILY_LOSS },
    [RN_OP_ACCUMULATE] = { .name = "aten::add_", .family = RN_FAMILY_ELEMENTWISE },
    [RN_OP_FINITE] = { .name = "aten::isfinite", .family = RN_FAMILY_CHECK },
    [RN_OP_SGD] = { .name = "aten::_fused_sgd_", .family = RN_FAMILY_OPTIMIZER },
    [RN_OP_ADAMW] = { .name = "aten::_fused_adamw_", .family = RN_FAMILY_OPTIMIZER },
    [RN_OP_MULTIPLY] = { .name = "aten::mul_", .family = RN_FAMILY_ELEMENTWISE },
    [RN_OP_AVERAGE] = { .name = "aten::lerp_", .family = RN_FAMILY_ELEMENTWISE },
    [RN_OP_TENSOR_SET] = { .name = "aten::contiguous", .family = RN_FAMILY_COPY },
    [RN_OP_TENSOR_GET] = { .name = "aten::contiguous", .family = RN_FAMILY_COPY },
    [RN_OP_IMAGES] = { .name = "images.normalize", .family = RN_FAMILY_DATA },
    [RN_OP_WRITE] = { .name = "aten::copy_", .family = RN_FAMILY_COPY },
    [RN_OP_READ] = { .name = "aten::copy_", .family = RN_FAMILY_COPY },
    [RN_OP_COPY] = { .name = "aten::copy_", .family = RN_FAMILY_COPY },
    [RN_OP_SYNC] = { .name = "synchronize", .family = RN_FAMILY_OTHER },
};

const char *rn_op_name(const struct rn_op *op)
{
    const struct row *r = &row[op->kind];
    if (op->post == 1 && r->relu) return r->relu;
    return op->post == 2 && r->add_relu ? r->add_relu : r->name;
}

const char *rn_op_group(const struct rn_op *op) { return row[op->kind].group; }
enum rn_family rn_op_family(const struct rn_op *op) { return row[op->kind].family; }
bool rn_op_backward(const struct rn_op *op) { return row[op->kind].backward; }

const char *rn_family_name(enum rn_family family)
{
    static const char *const name[RN_FAMILIES] = {
        [RN_FAMILY_OTHER] = "other", [RN_FAMILY_CONVOLUTION] = "convolution", [RN_FAMILY_NORM] = "batch norm",
        [RN_FAMILY_LINEAR] = "linear", [RN_FAMILY_ELEMENTWISE] = "elementwise", [RN_FAMILY_POOLING] = "pooling",
        [RN_FAMILY_LOSS] = "loss", [RN_FAMILY_OPTIMIZER] = "optimizer", [RN_FAMILY_COPY] = "copies",
        [RN_FAMILY_CHECK] = "checks", [RN_FAMILY_DATA] = "data loading",
    };
    return name[family];
}

/* -- costs ------------------------------------------------------------------------------------- */

static int64_t product(int64_t a, int64_t b, int64_t c, int64_t d) { return a * b * c * d; }

/* Elements of source, destination and weights of a convolution. */
static int64_t source(const struct rn_op *o) { return product(o->N, o->C, o->H, o->W); }
static int64_t target(const struct rn_op *o) { return product(o->N, o->K, o->P, o->Q); }
static int64_t weights(const struct rn_op *o)
{
    return product(o->K, o->C / RN_MAX(o->groups, 1), o->R, o->S);
}

static int64_t macs(const struct rn_op *o)
{
    return target(o) * (o->C / RN_MAX(o->groups, 1)) * o->R * o->S;
}

/* What follows inside the same call: an addition, a ReLU, each one operation an element. */
static int64_t after(const struct rn_op *o) { return o->post; }

static struct rn_cost cost(int64_t flops, int64_t read, int64_t written)
{
    return (struct rn_cost){ flops, read + written, written };
}

static struct rn_cost conv_cost(const struct rn_op *o)
{
    const int64_t e = o->element, x = e * source(o), y = e * target(o), w = 4 * weights(o);
    const int64_t addend = o->post == 2 ? y : 0, flops = 2 * macs(o);
    switch (o->kind) {
    case RN_OP_CONV: return cost(flops + (o->extra ? target(o) : 0), x + w + (o->extra ? 4 * o->K : 0), y);
    case RN_OP_CONV_BIAS: return cost(flops + (1 + after(o)) * target(o), x + w + 4 * o->K + addend, y);
    case RN_OP_CONV_BN: return cost(flops + (2 + after(o)) * target(o), x + w + 16 * o->K + addend, y);
    case RN_OP_CONV_BN_TRAIN: /* both outputs: of the convolution and of what follows */
        return cost(flops + (6 + after(o)) * target(o), x + w + 8 * o->K + addend, 2 * y + 16 * o->K);
    case RN_OP_CONV_DATA: return cost(flops + (o->extra ? source(o) : 0), y + w + (o->extra ? x : 0), x);
    case RN_OP_CONV_WEIGHTS: return cost(flops, x + y, w);
    case RN_OP_FOLD: return cost(weights(o) + 6 * o->K, w + 16 * o->K, w + 4 * o->K);
    default: return cost(0, w, w); /* packing and back */
    }
}

static struct rn_cost linear_cost(const struct rn_op *o)
{
    const int64_t x = (int64_t)o->element * o->N * o->C, y = 4 * (int64_t)o->N * o->K, w = 4 * (int64_t)o->K * o->C;
    const int64_t mac = (int64_t)o->N * o->K * o->C, bias = (int64_t)o->N * o->K;
    if (o->kind == RN_OP_LINEAR) return cost(2 * mac + bias, x + w + 4 * o->K, y);
    if (o->kind == RN_OP_LINEAR_DATA) return cost(2 * mac, y + w, x);
    return cost(2 * mac + bias, x + y, w + 4 * o->K);
}

/* An element of the forward pass: one for the mean, three for the variance, two for scale and shift; backward: one
 * for dbeta, three for dgamma, four for the gradient; and those of what follows. */
static struct rn_cost norm_cost(const struct rn_op *o)
{
    const int64_t n = source(o), x = o->element * n, addend = o->post == 2 ? x : 0, mask = o->post ? n : 0;
    switch (o->kind) {
    case RN_OP_BN_TRAIN: return cost((6 + after(o)) * n, x + addend + 8 * o->C, x + 16 * o->C);
    case RN_OP_BN_EVAL: return cost((2 + after(o)) * n, x + addend + 16 * o->C, x);
    case RN_OP_BN_APPLY: return cost((2 + after(o)) * n, x + addend + 24 * o->C, x);
    case RN_OP_BN_RUNNING: return cost(6 * o->C, 24 * o->C, 8 * o->C);
    default: return cost(8 * n + mask, 2 * x + addend + 20 * o->C, x + addend + 8 * o->C);
    }
}

static struct rn_cost pool_cost(const struct rn_op *o)
{
    const int64_t x = source(o), y = product(o->N, o->C, o->P, o->Q), e = o->element, taps = y * o->R * o->S;
    switch (o->kind) {
    case RN_OP_MAXPOOL: return cost(taps, e * x, e * y + y);
    case RN_OP_MAXPOOL_BACK: return cost(y, e * y + y, e * x);
    case RN_OP_AVGPOOL: return cost(taps + y, e * x, e * y);
    case RN_OP_AVGPOOL_BACK: return cost(taps + y, e * y, e * x);
    case RN_OP_MEAN: return cost(x + y, e * x, e * y);
    case RN_OP_MEAN_BACK: return cost(y, e * y, e * x);
    case RN_OP_RESIZE: return cost(7 * y, e * x, e * y); /* four products, three sums */
    default: return cost(8 * y, e * y, e * x);
    }
}

/* count elements, or bytes of a copy. */
static struct rn_cost flat_cost(const struct rn_op *o)
{
    const int64_t n = o->count, e = o->element, classes = (int64_t)o->N * o->K;
    switch (o->kind) {
    case RN_OP_RELU: return cost(n, e * n, e * n);
    case RN_OP_RELU_BACK:
    case RN_OP_ADD: return cost(n, 2 * e * n, e * n);
    case RN_OP_TENSOR_FINITE: return cost(n, e * n, 0);
    case RN_OP_ACCUMULATE: return cost(n, 8 * n, 4 * n);
    case RN_OP_FINITE: return cost(n, 4 * n, 0);
    case RN_OP_SGD: return cost((o->extra ? 8 : 6) * n, 12 * n, 8 * n);
    case RN_OP_ADAMW: return cost(14 * n, 16 * n, 12 * n);
    case RN_OP_MULTIPLY: return cost(n, 4 * n, 4 * n);
    case RN_OP_AVERAGE: return cost(3 * n, 8 * n, 4 * n);
    case RN_OP_LOSS: /* maximum, difference, exp, sum, product with the target; the gradient: quotient, difference */
        return cost((o->extra ? 7 : 5) * classes, 4 * classes + 4 * o->N, 8 * o->N + (o->extra ? 4 * classes : 0));
    case RN_OP_TENSOR_SET:
    case RN_OP_TENSOR_GET: {
        const int64_t host = 4 * source(o), tensor = e * source(o);
        return o->kind == RN_OP_TENSOR_SET ? cost(0, host, tensor) : cost(0, tensor, host);
    }
    case RN_OP_IMAGES: return cost(0, source(o), e * source(o)); /* a byte has one of 256 values */
    default: return cost(0, n, n);
    }
}

struct rn_cost rn_op_cost(const struct rn_op *op)
{
    if (op->kind == RN_OP_NONE || op->kind == RN_OP_SYNC) return (struct rn_cost){ 0, 0, 0 };
    if (op->kind <= RN_OP_FOLD) return conv_cost(op);
    if (op->kind <= RN_OP_LINEAR_WEIGHTS) return linear_cost(op);
    if (op->kind <= RN_OP_BN_BACK_EVAL) return norm_cost(op);
    if (op->kind >= RN_OP_MAXPOOL && op->kind <= RN_OP_RESIZE_BACK) return pool_cost(op);
    return flat_cost(op);
}

/* -- shapes ------------------------------------------------------------------------------------ */

static void add_shape(struct rn_text *t, int dims, const int *dim)
{
    rn_text_add(t, "%s[", t->length && t->data[t->length - 1] == ']' ? ", " : "");
    for (int i = 0; i < dims; i++) rn_text_add(t, "%s%d", i ? ", " : "", dim[i]);
    rn_text_add(t, "]");
}

static void add_conv(struct rn_text *t, const struct rn_op *o)
{
    const int x[] = { o->N, o->C, o->H, o->W }, y[] = { o->N, o->K, o->P, o->Q };
    const int w[] = { o->K, o->C / RN_MAX(o->groups, 1), o->R, o->S };
    const bool pack = o->kind >= RN_OP_PACK;
    if (o->kind == RN_OP_CONV_DATA || o->kind == RN_OP_CONV_WEIGHTS) add_shape(t, 4, y);
    if (!pack && o->kind != RN_OP_CONV_DATA) add_shape(t, 4, x);
    if (o->kind != RN_OP_CONV_WEIGHTS) add_shape(t, 4, w);
}

static void add_linear(struct rn_text *t, const struct rn_op *o)
{
    const int x[] = { o->N, o->C }, y[] = { o->N, o->K }, w[] = { o->K, o->C };
    if (o->kind != RN_OP_LINEAR) add_shape(t, 2, y);
    if (o->kind != RN_OP_LINEAR_DATA) add_shape(t, 2, x);
    if (o->kind != RN_OP_LINEAR_WEIGHTS) add_shape(t, 2, w);
}

void rn_op_shapes(struct rn_text *t, const struct rn_op *op)
{
    const int x[] = { op->N, op->C, op->H, op->W }, y[] = { op->N, op->C, op->P, op->Q }, z[] = { op->N, op->K };
    struct rn_text list = {0};
    if (op->kind == RN_OP_NONE || op->kind == RN_OP_SYNC) return;
    if (op->kind <= RN_OP_FOLD) add_conv(&list, op);
    else if (op->kind <= RN_OP_LINEAR_WEIGHTS) add_linear(&list, op);
    else if (op->kind == RN_OP_BN_RUNNING) add_shape(&list, 1, &op->C);
    else if (op->kind == RN_OP_LOSS) add_shape(&list, 2, z);
    else if (op->count) rn_text_add(&list, "[%" PRId64 "]", op->count);
    else if (op->kind == RN_OP_MAXPOOL_BACK || op->kind == RN_OP_AVGPOOL_BACK || op->kind == RN_OP_MEAN_BACK ||
             op->kind == RN_OP_RESIZE_BACK)
        add_shape(&list, 4, y);
    else add_shape(&list, 4, x);
    if (rn_text_status(&list)) t->failed = true;
    else rn_text_add(t, "[%s]", list.data);
    rn_text_free(&list);
}
