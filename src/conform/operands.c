/*
 * operands.c - what arguments each slot takes, as tables: name, kind, shape.  From these follow
 * host memory, random inputs, the tensors of a golden file and their checks.
 *
 * A shape is a word of letters: those of the geometry, c for C / groups, and digits for themselves.
 */
#include "conform/case.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/real.h"
#include "conform/geometry.h"
#include "ref/winograd.h"

#include <stdio.h>
#include <string.h>

enum kind { MAP, ARRAY, DOUBLES, LABELS, TAPS, FLAG, PIXELS, MOVES };

/* An operand is there when `when` is 0 or shares a bit with the variant; it lies over the
 * operand `over` when over_when is ALWAYS or shares a bit. */
struct spec {
    const char *name, *shape;
    enum kind kind;
    bool output;
    unsigned when;
    const char *over;
    unsigned over_when;
};
#define ALWAYS (~0u)
#define IN(name, kind, shape) { name, shape, kind, false, 0, NULL, 0 }
#define IN_WHEN(bit, name, kind, shape) { name, shape, kind, false, bit, NULL, 0 }
#define OUT(name, kind, shape) { name, shape, kind, true, 0, NULL, 0 }
#define OUT_WHEN(bit, name, kind, shape) { name, shape, kind, true, bit, NULL, 0 }
#define OUT_OVER(name, kind, shape, over, bit) { name, shape, kind, true, 0, over, bit }
#define GIVEN IN_WHEN(RN_V_GIVEN | RN_V_HELD, "given", FLAG, "1")
#define END { NULL, NULL, MAP, false, 0, NULL, 0 }

static const struct spec tensor_get[] = { IN("src", MAP, "NCHW"), OUT("dst", MAP, "NCHW"), END };
static const struct spec images_forward[] = {
    IN("src", PIXELS, "NCHW"), IN("move", MOVES, "N7"), OUT("dst", MAP, "NCHW"), END };
static const struct spec conv2d_forward[] = {
    IN("src", MAP, "NCHW"), IN("weights", ARRAY, "KcRS"), IN_WHEN(RN_V_BIAS, "bias", ARRAY, "K"),
    OUT("dst", MAP, "NKPQ"), END };
static const struct spec conv2d_unpack[] = {
    IN("weights", ARRAY, "KcRS"), OUT("unpacked", ARRAY, "KcRS"), OUT("consistent", FLAG, "1"), END };
static const struct spec conv2d_bias[] = {
    IN("src", MAP, "NCHW"), IN("weights", ARRAY, "KcRS"), IN("bias", ARRAY, "K"),
    IN_WHEN(RN_V_ADD_RELU, "add", MAP, "NKPQ"), OUT("dst", MAP, "NKPQ"), END };
static const struct spec conv2d_backward_data[] = {
    IN("ddst", MAP, "NKPQ"), IN("weights", ARRAY, "KcRS"), IN_WHEN(RN_V_ADD, "add", MAP, "NCHW"),
    OUT_OVER("dsrc", MAP, "NCHW", "add", RN_V_IN_PLACE), END };
static const struct spec conv2d_backward_weights[] = {
    IN("src", MAP, "NCHW"), IN("ddst", MAP, "NKPQ"), OUT("dweights", ARRAY, "KcRS"),
    OUT_WHEN(RN_V_BIAS, "dbias", ARRAY, "K"), END };
static const struct spec linear_forward[] = {
    IN("src", MAP, "NC11"), IN("weights", ARRAY, "KC"), IN("bias", ARRAY, "K"),
    OUT("dst", ARRAY, "NK11"), END };
static const struct spec linear_backward_data[] = {
    IN("ddst", ARRAY, "NK11"), IN("weights", ARRAY, "KC"), OUT("dsrc", MAP, "NC11"), END };
static const struct spec linear_backward_weights[] = {
    IN("src", MAP, "NC11"), IN("ddst", ARRAY, "NK11"), OUT("dweights", ARRAY, "KC"),
    OUT("dbias", ARRAY, "K"), END };
static const struct spec batchnorm_forward_train[] = {
    IN("src", MAP, "NCHW"), IN_WHEN(RN_V_ADD_RELU, "add", MAP, "NCHW"), IN("gamma", ARRAY, "C"),
    IN("beta", ARRAY, "C"), OUT("dst", MAP, "NCHW"), OUT("saved", DOUBLES, "2C"), END };
static const struct spec batchnorm_forward_eval[] = {
    IN("src", MAP, "NCHW"), IN_WHEN(RN_V_ADD_RELU, "add", MAP, "NCHW"), IN("gamma", ARRAY, "C"),
    IN("beta", ARRAY, "C"), IN("running_mean", ARRAY, "C"), IN("running_var", ARRAY, "C"),
    OUT_OVER("dst", MAP, "NCHW", "src", RN_V_IN_PLACE), END };
static const struct spec batchnorm_apply[] = {
    IN("src", MAP, "NCHW"), IN_WHEN(RN_V_ADD_RELU, "add", MAP, "NCHW"), IN("saved", DOUBLES, "2C"),
    IN("gamma", ARRAY, "C"), IN("beta", ARRAY, "C"), OUT("dst", MAP, "NCHW"), END };
static const struct spec batchnorm_running[] = {
    IN("saved", DOUBLES, "2C"), IN("running_mean", ARRAY, "C"), IN("running_var", ARRAY, "C"), GIVEN,
    OUT_OVER("running_mean_after", ARRAY, "C", "running_mean", ALWAYS),
    OUT_OVER("running_var_after", ARRAY, "C", "running_var", ALWAYS), END };
#define BATCHNORM_GRADIENTS \
    OUT_OVER("dsrc", MAP, "NCHW", "ddst", RN_V_IN_PLACE), \
    { "dadd", "NCHW", MAP, true, RN_V_ADD_RELU, "ddst", RN_V_IN_PLACE_ADD }, \
    OUT("dgamma", ARRAY, "C"), OUT("dbeta", ARRAY, "C"), END
static const struct spec batchnorm_backward[] = {
    IN("ddst", MAP, "NCHW"), IN_WHEN(RN_V_ADD_RELU, "dst", MAP, "NCHW"), IN("src", MAP, "NCHW"),
    IN("saved", DOUBLES, "2C"), IN("gamma", ARRAY, "C"), IN("beta", ARRAY, "C"),
    BATCHNORM_GRADIENTS };
static const struct spec batchnorm_backward_eval[] = {
    IN("ddst", MAP, "NCHW"), IN("dst", MAP, "NCHW"), IN("src", MAP, "NCHW"),
    IN("running_mean", ARRAY, "C"), IN("running_var", ARRAY, "C"), IN("gamma", ARRAY, "C"),
    BATCHNORM_GRADIENTS };
static const struct spec conv2d_bn[] = {
    IN("src", MAP, "NCHW"), IN("weights", ARRAY, "KcRS"),
    IN_WHEN(RN_V_ADD_RELU, "add", MAP, "NKPQ"), IN("gamma", ARRAY, "K"), IN("beta", ARRAY, "K"),
    IN("running_mean", ARRAY, "K"), IN("running_var", ARRAY, "K"), OUT("dst", MAP, "NKPQ"), END };
static const struct spec conv2d_bn_train[] = {
    IN("src", MAP, "NCHW"), IN("weights", ARRAY, "KcRS"),
    IN_WHEN(RN_V_ADD_RELU, "add", MAP, "NKPQ"), IN("gamma", ARRAY, "K"), IN("beta", ARRAY, "K"),
    OUT("dst", MAP, "NKPQ"), OUT("x", MAP, "NKPQ"), OUT("saved", DOUBLES, "2K"), END };
static const struct spec conv2d_fold[] = {
    IN("weights", ARRAY, "KcRS"), IN("gamma", ARRAY, "K"), IN("beta", ARRAY, "K"),
    IN("running_mean", ARRAY, "K"), IN("running_var", ARRAY, "K"),
    OUT_OVER("folded", ARRAY, "KcRS", "weights", RN_V_IN_PLACE), OUT("bias", ARRAY, "K"), END };
static const struct spec relu_forward[] = {
    IN("src", MAP, "NCHW"), OUT_OVER("dst", MAP, "NCHW", "src", RN_V_IN_PLACE), END };
static const struct spec relu_backward[] = {
    IN("ddst", MAP, "NCHW"), IN("dst", MAP, "NCHW"),
    OUT_OVER("dsrc", MAP, "NCHW", "ddst", RN_V_IN_PLACE), END };
static const struct spec add[] = {
    IN("a", MAP, "NCHW"), IN("b", MAP, "NCHW"),
    OUT_OVER("dst", MAP, "NCHW", "a", RN_V_IN_PLACE), END };
static const struct spec maxpool_forward[] = {
    IN("src", MAP, "NCHW"), OUT("dst", MAP, "NCPQ"), OUT("index", TAPS, "NCPQ"), END };
static const struct spec maxpool_backward[] = {
    IN("ddst", MAP, "NCPQ"), IN("index", TAPS, "NCPQ"), OUT("dsrc", MAP, "NCHW"), END };
static const struct spec window_forward[] = {
    IN("src", MAP, "NCHW"), OUT("dst", MAP, "NCPQ"), END };
static const struct spec window_backward[] = {
    IN("ddst", MAP, "NCPQ"), OUT("dsrc", MAP, "NCHW"), END };
static const struct spec global_forward[] = {
    IN("src", MAP, "NCHW"), OUT("dst", MAP, "NC11"), END };
static const struct spec global_backward[] = {
    IN("ddst", MAP, "NC11"), OUT("dsrc", MAP, "NCHW"), END };
static const struct spec softmax_cross_entropy[] = {
    IN("logits", ARRAY, "NK11"), IN("labels", LABELS, "N"), OUT("loss", DOUBLES, "N"),
    OUT("dlogits", ARRAY, "NK11"), END };
static const struct spec accumulate[] = {
    IN("dst", ARRAY, "NCHW"), IN("src", ARRAY, "NCHW"),
    OUT_OVER("dst_after", ARRAY, "NCHW", "dst", ALWAYS), END };
static const struct spec finite[] = {
    IN("src", ARRAY, "NCHW"), GIVEN, OUT("result", FLAG, "1"), END };
static const struct spec tensor_finite[] = {
    IN("src", MAP, "NCHW"), OUT("result", FLAG, "1"), END };
static const struct spec sgd_update[] = {
    IN("weights", ARRAY, "NCHW"), IN("velocity", ARRAY, "NCHW"), IN("gradient", ARRAY, "NCHW"), GIVEN,
    OUT_OVER("weights_after", ARRAY, "NCHW", "weights", ALWAYS),
    OUT_OVER("velocity_after", ARRAY, "NCHW", "velocity", ALWAYS), END };
static const struct spec adamw_update[] = {
    IN("weights", ARRAY, "NCHW"), IN("first", ARRAY, "NCHW"), IN("second", ARRAY, "NCHW"),
    IN("gradient", ARRAY, "NCHW"), GIVEN, OUT_OVER("weights_after", ARRAY, "NCHW", "weights", ALWAYS),
    OUT_OVER("first_after", ARRAY, "NCHW", "first", ALWAYS),
    OUT_OVER("second_after", ARRAY, "NCHW", "second", ALWAYS), END };

struct info {
    const char *op, *direction, *rule;
    double bound;
    const struct spec *spec;
    enum rn_slot forward; /* of a backward slot; else RN_SLOT_COUNT */
};
#define SUM 1e-5 /* chains of float operations; batch norm and loss end in a few */
#define FEW 1e-6 /* a few roundings and no sum */
#define BF16_ELEMENT 0x1p-5 /* a unit in the last place of an element eight times the mean (A30) */
#define WINOGRAD_SUM 1e-4 /* any algorithm F(4x4, 3x3) against any other (A35, A36) */
#define NO_FORWARD RN_SLOT_COUNT
static const struct info infos[RN_SLOT_COUNT] = {
    [RN_SLOT_tensor_set] = { "tensor", "set", "layout", 0, tensor_get, NO_FORWARD },
    [RN_SLOT_tensor_get] = { "tensor", "get", "layout", 0, tensor_get, NO_FORWARD },
    [RN_SLOT_images_forward] = { "images", "forward", "A29", FEW, images_forward, NO_FORWARD },
    [RN_SLOT_conv2d_pack] = { "conv2d", "pack", "A13", SUM, conv2d_forward, NO_FORWARD },
    [RN_SLOT_conv2d_unpack] = { "conv2d", "unpack", "B5", 0, conv2d_unpack, NO_FORWARD },
    [RN_SLOT_conv2d_forward] = { "conv2d", "forward", "A13", SUM, conv2d_forward, NO_FORWARD },
    [RN_SLOT_conv2d_bias] = { "conv2d_bias", "forward", "A22", SUM, conv2d_bias, NO_FORWARD },
    [RN_SLOT_conv2d_backward_data] = { "conv2d", "backward_data", "A14", SUM, conv2d_backward_data,
                                       RN_SLOT_conv2d_forward },
    [RN_SLOT_conv2d_backward_weights] = { "conv2d", "backward_weights", "A15", SUM,
                                          conv2d_backward_weights, RN_SLOT_conv2d_forward },
    [RN_SLOT_linear_forward] = { "linear", "forward", "A16", SUM, linear_forward, NO_FORWARD },
    [RN_SLOT_linear_backward_data] = { "linear", "backward_data", "A16", SUM, linear_backward_data,
                                       RN_SLOT_linear_forward },
    [RN_SLOT_linear_backward_weights] = { "linear", "backward_weights", "A16", SUM,
                                          linear_backward_weights, RN_SLOT_linear_forward },
    [RN_SLOT_batchnorm_forward_train] = { "bn", "forward_train", "A17", SUM,
                                          batchnorm_forward_train, NO_FORWARD },
    [RN_SLOT_batchnorm_forward_eval] = { "bn", "forward_eval", "A17", SUM, batchnorm_forward_eval,
                                         NO_FORWARD },
    [RN_SLOT_batchnorm_apply] = { "bn", "apply", "A17", FEW, batchnorm_apply,
                                  RN_SLOT_batchnorm_forward_train },
    [RN_SLOT_batchnorm_running] = { "bn", "running", "A17", SUM, batchnorm_running,
                                    RN_SLOT_batchnorm_forward_train },
    [RN_SLOT_batchnorm_backward] = { "bn", "backward", "A17", SUM, batchnorm_backward,
                                     RN_SLOT_batchnorm_forward_train },
    [RN_SLOT_batchnorm_backward_eval] = { "bn", "backward_eval", "A17", SUM,
                                          batchnorm_backward_eval, RN_SLOT_batchnorm_forward_eval },
    [RN_SLOT_conv2d_bn] = { "conv2d_bn", "forward", "A22", SUM, conv2d_bn, NO_FORWARD },
    [RN_SLOT_conv2d_bn_train] = { "conv2d_bn", "forward_train", "A22", SUM, conv2d_bn_train,
                                  NO_FORWARD },
    [RN_SLOT_conv2d_fold] = { "conv2d_fold", "forward", "A22", FEW, conv2d_fold, NO_FORWARD },
    [RN_SLOT_relu_forward] = { "relu", "forward", "A18", 0, relu_forward, NO_FORWARD },
    [RN_SLOT_relu_backward] = { "relu", "backward", "A18", 0, relu_backward, RN_SLOT_relu_forward },
    [RN_SLOT_add] = { "add", "forward", "A18", 0, add, NO_FORWARD },
    [RN_SLOT_tensor_finite] = { "tensor", "finite", "A7", 0, tensor_finite, NO_FORWARD },
    [RN_SLOT_maxpool_forward] = { "maxpool", "forward", "A19", 0, maxpool_forward, NO_FORWARD },
    [RN_SLOT_maxpool_backward] = { "maxpool", "backward", "A19", SUM, maxpool_backward,
                                   RN_SLOT_maxpool_forward },
    [RN_SLOT_avgpool_forward] = { "avgpool", "forward", "A20", SUM, window_forward, NO_FORWARD },
    [RN_SLOT_avgpool_backward] = { "avgpool", "backward", "A20", SUM, window_backward,
                                   RN_SLOT_avgpool_forward },
    [RN_SLOT_global_avgpool_forward] = { "global_avgpool", "forward", "A20", SUM, global_forward,
                                         NO_FORWARD },
    [RN_SLOT_global_avgpool_backward] = { "global_avgpool", "backward", "A20", SUM, global_backward,
                                          RN_SLOT_global_avgpool_forward },
    [RN_SLOT_resize_forward] = { "resize", "forward", "A21", SUM, window_forward, NO_FORWARD },
    [RN_SLOT_resize_backward] = { "resize", "backward", "A21", SUM, window_backward,
                                  RN_SLOT_resize_forward },
    [RN_SLOT_softmax_cross_entropy] = { "softmax_cross_entropy", "forward_backward", "A23", SUM,
                                        softmax_cross_entropy, NO_FORWARD },
    [RN_SLOT_accumulate] = { "accumulate", "update", "A25", 0, accumulate, NO_FORWARD },
    [RN_SLOT_finite] = { "finite", "forward", "A7", 0, finite, NO_FORWARD },
    [RN_SLOT_sgd_update] = { "sgd", "update", "A26", SUM, sgd_update, NO_FORWARD },
    [RN_SLOT_adamw_update] = { "adamw", "update", "A27", SUM, adamw_update, NO_FORWARD },
};

const char *rn_case_op(enum rn_slot slot) { return infos[slot].op; }
const char *rn_case_direction(enum rn_slot slot) { return infos[slot].direction; }

bool rn_case_forward(struct rn_case *forward, const struct rn_case *c)
{
    const unsigned backward_only = RN_V_ADD | RN_V_IN_PLACE | RN_V_IN_PLACE_ADD | RN_V_GIVEN | RN_V_HELD;
    *forward = *c;
    forward->slot = infos[c->slot].forward;
    forward->variant &= ~backward_only;
    return forward->slot != NO_FORWARD;
}

void rn_variant_text(char out[RN_VARIANT_CHARS], unsigned variant)
{
    static const char *const names[] = {
        "bias", "add", "in_place", "in_place_add", "relu", "add_relu", "smooth", "part", "nesterov",
        "tiny", "ties", "nan", "normal", "small", "reflect", "given", "held"
    };
    size_t length = 0;
    out[0] = 0;
    for (size_t i = 0; i < RN_COUNT(names); i++)
        if (variant & 1u << i)
            length += (size_t)snprintf(out + length, RN_VARIANT_CHARS - length, "%s%s",
                                       length ? "+" : "", names[i]);
    if (!length) snprintf(out, RN_VARIANT_CHARS, "plain");
}

/* -- shapes and memory ------------------------------------------------------------------------- */

/* The word of geometry.h; resize has its output size behind it, as p and q. */
static rn_status parse(struct rn_conv_shape *g, const struct rn_case *c)
{
    char word[RN_GEOMETRY_CHARS];
    const char *size = strchr(c->geometry, 'p');
    int P = 0, Q = 0, end = 0;
    snprintf(word, sizeof word, "%.*s", size ? (int)(size - c->geometry) : RN_GEOMETRY_CHARS - 1,
             c->geometry);
    rn_status status = rn_geometry_parse(g, word);
    if (status || !size) return status;
    if (sscanf(size, "p%4dq%4d%n", &P, &Q, &end) != 2 || size[end] || P < 1 || Q < 1)
        return rn_fail(RN_EUSAGE,
                       "geometry '%s': an output size is 'p' and 'q', each with a number",
                       c->geometry);
    g->P = P;
    g->Q = Q;
    return RN_OK;
}

static int64_t extent(const struct rn_conv_shape *g, char letter)
{
    switch (letter) {
    case 'N': return g->N;
    case 'C': return g->C;
    case 'H': return g->H;
    case 'W': return g->W;
    case 'K': return g->K;
    case 'R': return g->R;
    case 'S': return g->S;
    case 'P': return g->P;
    case 'Q': return g->Q;
    case 'c': return g->C / g->groups;
    default: return letter - '0';
    }
}

static struct rn_operand describe(const struct rn_call *call, const struct spec *s)
{
    static const enum rn_dtype dtypes[] = { [MAP] = RN_F32, [ARRAY] = RN_F32, [DOUBLES] = RN_F64,
                                            [LABELS] = RN_I32, [TAPS] = RN_U8, [FLAG] = RN_I32,
                                            [PIXELS] = RN_U8, [MOVES] = RN_I32 };
    struct rn_operand o = { .name = s->name, .dtype = dtypes[s->kind], .output = s->output,
                            .map = s->kind == MAP || s->kind == TAPS, .over = -1, .count = 1 };
    for (const char *letter = s->shape; *letter; letter++) {
        o.shape[o.dims] = extent(&call->g, *letter);
        o.count *= (size_t)o.shape[o.dims++];
    }
    for (int i = 0; s->over && i < call->count; i++)
        if (strcmp(call->item[i].name, s->over) == 0 && (s->over_when & call->c->variant ||
                                                         s->over_when == ALWAYS)) o.over = i;
    return o;
}

rn_status rn_call_open(struct rn_call *call, const struct rn_case *c)
{
    *call = (struct rn_call){ .c = c };
    rn_status status = parse(&call->g, c);
    if (status) return status;
    for (const struct spec *s = infos[c->slot].spec; s->name; s++) {
        if (s->when && !(s->when & c->variant)) continue;
        struct rn_operand o = describe(call, s);
        o.host = rn_alloc_array(o.count, rn_dtype_bytes(o.dtype));
        if (!o.host) {
            rn_call_close(call);
            return RN_ENOMEM;
        }
        call->item[call->count++] = o;
    }
    return RN_OK;
}

bool rn_numerics_bf16(const char *numerics) { return strcmp(numerics, "bf16") == 0; }
bool rn_numerics_fast(const char *numerics) { return strncmp(numerics, "fast", 4) == 0; }

bool rn_numerics_narrow(const char *numerics)
{
    return rn_numerics_bf16(numerics) || (rn_numerics_fast(numerics) && strcmp(numerics, "fast"));
}

bool rn_call_winograd(const struct rn_call *call, const char *numerics)
{
    if (strcmp(numerics, "fp32-winograd")) return false;
    switch (call->c->slot) {
    case RN_SLOT_conv2d_pack:
    case RN_SLOT_conv2d_forward:
    case RN_SLOT_conv2d_bias:
    case RN_SLOT_conv2d_bn:
    case RN_SLOT_conv2d_bn_train: return rn_winograd_applies(&call->g, RN_WINOGRAD_FORWARD);
    case RN_SLOT_conv2d_backward_data: return rn_winograd_applies(&call->g, RN_WINOGRAD_DATA);
    case RN_SLOT_conv2d_backward_weights: return rn_winograd_applies(&call->g, RN_WINOGRAD_WEIGHTS);
    default: return false;
    }
}

/* Whether the slot's own sums are those of A31 under bf16. */
static bool is_product(enum rn_slot slot)
{
    static const char *const rules[] = { "A13", "A14", "A15", "A16" };
    for (size_t i = 0; i < RN_COUNT(rules); i++)
        if (strcmp(infos[slot].rule, rules[i]) == 0) return true;
    return false;
}

const char *rn_call_rule(const struct rn_call *call, const char *numerics)
{
    if (rn_numerics_bf16(numerics) && is_product(call->c->slot)) return "A31";
    if (!rn_call_winograd(call, numerics)) return infos[call->c->slot].rule;
    return call->c->slot == RN_SLOT_conv2d_backward_weights ? "A36" : "A35";
}

double rn_call_bound(const struct rn_call *call, const char *numerics)
{
    bool several = infos[call->c->slot].bound > 0 || call->c->slot == RN_SLOT_add;
    for (int i = 0; i < call->count && rn_numerics_bf16(numerics) && several; i++)
        if (call->item[i].output && call->item[i].map) return BF16_ELEMENT;
    return rn_call_winograd(call, numerics) ? WINOGRAD_SUM : infos[call->c->slot].bound;
}

void rn_call_close(struct rn_call *call)
{
    for (int i = 0; i < call->count; i++) rn_free(call->item[i].host);
    call->count = 0;
}

struct rn_operand *rn_call_operand(struct rn_call *call, const char *name)
{
    for (int i = 0; i < call->count; i++)
        if (strcmp(call->item[i].name, name) == 0) return &call->item[i];
    return NULL;
}
