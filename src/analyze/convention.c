/* convention.c - the rules of the counters, applied to a trace. */
#include "analyze/convention.h"

#include "analyze/seed.h"
#include "base/text.h"

#include <string.h>

const char *const *rn_convention_names(void)
{
    static const char *const name[RN_CONVENTIONS] = { "seed", "fvcore", "ptflops", "thop", "torchinfo" };
    return name;
}

/* What the rules are made of. */
struct sums { int64_t conv, linear, bias, norm, relu, add, pool_in, map, features, norm_params; };

static struct sums sums_of(const struct rn_trace *t)
{
    struct sums s = { 0 };
    for (int i = 0; i < t->ops; i++) {
        const struct rn_op *op = &t->op[i];
        const int64_t macs = rn_op_macs(t, op, RN_WORK_INFERENCE), elements = rn_op_elements(op);
        if (op->kind == RN_OP_CONV) s.conv += macs;
        if (op->kind == RN_OP_LINEAR) s.linear += macs;
        if (op->kind == RN_OP_LINEAR) s.bias += op->C;
        if (op->kind == RN_OP_BN) s.norm += elements;
        if (op->kind == RN_OP_BN) s.norm_params += op->parameters;
        if (op->kind == RN_OP_RELU) s.relu += elements;
        if (op->kind == RN_OP_ADD) s.add += elements;
        if (op->kind == RN_OP_MAXPOOL) s.pool_in += rn_op_inputs(t, op);
        if (op->kind == RN_OP_AVGPOOL) s.map += rn_op_inputs(t, op);
        if (op->kind == RN_OP_AVGPOOL) s.features += elements;
    }
    return s;
}

static void line(struct rn_convention *c, const char *what, const char *rule, int64_t count)
{
    c->line[c->lines].what = what;
    c->line[c->lines].rule = rule;
    c->line[c->lines++].count = count;
    c->total += count;
}

static void of_fvcore(struct rn_convention *c, const struct sums *s)
{
    c->tool = "fvcore 0.1.5, FlopCountAnalysis(...).total(), evaluation mode";
    c->unit = "\"flop\" = one multiply-accumulate";
    c->left_out = "ReLU, addition, max-pooling, the bias of the linear layer";
    line(c, "convolution", "1 a MAC", s->conv);
    line(c, "linear", "1 a MAC", s->linear);
    line(c, "batch norm", "2 an element", 2 * s->norm);
    line(c, "average pooling", "1 an element of its input", s->map);
}

static void of_ptflops(struct rn_convention *c, const struct sums *s)
{
    c->tool = "ptflops 0.7.5, backend pytorch";
    c->unit = "\"MAC\"; for what is no convolution or linear layer, an operation";
    c->left_out = "addition";
    line(c, "convolution", "1 a MAC", s->conv);
    line(c, "linear", "1 a MAC", s->linear);
    line(c, "bias", "1 an output", s->bias);
    line(c, "batch norm", "2 an element", 2 * s->norm);
    line(c, "ReLU", "1 an element, twice: the module's hook and the patched function inside it", 2 * s->relu);
    line(c, "max-pooling", "1 an element of its input, twice for the same reason", 2 * s->pool_in);
    line(c, "average pooling", "1 an element of its input, twice for the same reason", 2 * s->map);
}

static void of_thop(struct rn_convention *c, const struct sums *s)
{
    c->tool = "thop 0.1.1, profile(...)";
    c->unit = "\"MAC\"; for what is no convolution or linear layer, an operation";
    c->left_out = "ReLU, addition, max-pooling, the bias of the linear layer";
    line(c, "convolution", "1 a MAC", s->conv);
    line(c, "linear", "1 a MAC", s->linear);
    line(c, "batch norm", "4 an element: 2, doubled for gamma and beta", 4 * s->norm);
    line(c, "average pooling", "H W + 1 an output", s->map + s->features);
}

static void of_torchinfo(struct rn_convention *c, const struct sums *s)
{
    c->tool = "torchinfo 1.8.0, summary(...).total_mult_adds";
    c->unit = "\"mult-add\": parameters times places where they are applied";
    c->left_out = "ReLU, addition, pooling, and batch norm's work on the elements";
    line(c, "convolution", "weights times positions of the output: 1 a MAC", s->conv);
    line(c, "linear", "weights and bias, once", s->linear + s->bias);
    line(c, "batch norm", "its parameters, once", s->norm_params);
}

static rn_status of_seed(struct rn_convention *c, const struct rn_trace *t)
{
    struct rn_seed s;
    rn_status status = rn_seed_build(&s, t);
    if (status) return status;
    int64_t extra = 0, right = 0, wrong = 0, ops = 0;
    for (int i = 0; i < s.rows; i++) {
        const struct rn_op *op = &t->op[s.row[i].conv];
        const int64_t outputs = s.row[i].flops / (2 * (int64_t)op->conv.K * op->conv.R * op->conv.S + 2);
        right += s.row[i].right;
        ops += 2 * outputs;
        extra = s.row[i].flops - 2 * outputs - s.row[i].right;
        wrong += extra;
    }
    c->tool = "branes-ai/graphs, src/graphs/characterize at commit dfc55336";
    c->unit = "FLOP, 2 a MAC";
    c->left_out = "convolutions that no ReLU follows in the list of modules, the linear layer, additions, pooling";
    line(c, "convolutions in a window", "2 a MAC, as they are", right);
    line(c, "the output's shape for the input's", "as many input channels as output channels, and stride again", wrong);
    line(c, "batch norm and ReLU", "2 an output of the wrong shape", ops);
    rn_seed_free(&s);
    return RN_OK;
}

rn_status rn_convention_of(struct rn_convention *c, const char *name, const struct rn_trace *t)
{
    static void (*const of[RN_CONVENTIONS])(struct rn_convention *c, const struct sums *s) = {
        NULL, of_fvcore, of_ptflops, of_thop, of_torchinfo
    };
    const char *const *names = rn_convention_names();
    const struct sums s = sums_of(t);
    int i = 0;
    while (i < RN_CONVENTIONS && strcmp(names[i], name)) i++;
    if (i == RN_CONVENTIONS) {
        const char *nearest = rn_nearest(name, names, RN_CONVENTIONS);
        return rn_fail(RN_EUSAGE, "--convention: \"%.60s\" is not known%s%s; they are seed, fvcore, ptflops, thop, "
                       "torchinfo", name, nearest ? "; did you mean " : "", nearest ? nearest : "");
    }
    *c = (struct rn_convention){ .name = names[i] };
    if (i == 0) return of_seed(c, t);
    of[i](c, &s);
    return RN_OK;
}
