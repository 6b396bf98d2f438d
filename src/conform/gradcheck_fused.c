/*
 * gradcheck_fused.c - a slot that joins several layers gives the bits of the slots that it joins (A22),
 * on every backend, exact or not: what a net computes must not depend on which of them it calls.
 */
#include "conform/conform.h"

#include "conform/case.h"
#include "conform/geometry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LAYERS 3

/* The layers one by one; each takes its map from the one before, the rest from the fused call. */
struct chain {
    const struct rn_ops *ops;
    void *dev;
    struct rn_call *fused, part[LAYERS];
    struct rn_case c[LAYERS];
    char map[RN_GEOMETRY_CHARS]; /* geometry of the layers behind the convolution */
    int length;
};

void rn_check_same(struct rn_verdicts *v, const struct rn_case *c, const char *part,
                   const struct rn_operand *got, const struct rn_operand *want)
{
    char variant[RN_VARIANT_CHARS];
    bool same = memcmp(got->host, want->host, got->count * rn_dtype_bytes(got->dtype)) == 0;
    rn_variant_text(variant, c->variant & ~(unsigned)RN_V_NORMAL);
    struct rn_finding f = { rn_case_op(c->slot), part, c->geometry, variant, same ? "ok" : "FAIL",
                            same ? 0 : HUGE_VAL, 0, "" };
    rn_verdict(v, &f, !same);
}

static void copy_operand(struct rn_call *to, const char *name, const struct rn_operand *from)
{
    memcpy(rn_call_operand(to, name)->host, from->host, from->count * rn_dtype_bytes(from->dtype));
}

/* Runs `slot` behind the layers so far. */
static rn_status follow(struct chain *k, enum rn_slot slot, unsigned variant)
{
    struct rn_call *part = &k->part[k->length];
    struct rn_case *c = &k->c[k->length];
    bool first = k->length == 0;
    *c = (struct rn_case){ slot, first ? k->fused->c->geometry : k->map, variant };
    rn_status status = rn_call_open(part, c);
    if (status) return status;
    k->length++;
    rn_call_share(part, k->fused);
    if (!first) copy_operand(part, slot == RN_SLOT_add ? "a" : "src", rn_call_operand(part - 1, "dst"));
    if (slot == RN_SLOT_add) copy_operand(part, "b", rn_call_operand(k->fused, "add"));
    return rn_call_run(part, k->ops, k->dev);
}

/* The composition of the fused slot. */
static rn_status compose(struct chain *k)
{
    unsigned variant = k->fused->c->variant;
    bool bias = k->fused->c->slot == RN_SLOT_conv2d_bias;
    rn_status status = follow(k, RN_SLOT_conv2d_forward, bias ? RN_V_BIAS : 0);
    if (status) return status;
    if (k->fused->c->slot == RN_SLOT_conv2d_bn)
        return follow(k, RN_SLOT_batchnorm_forward_eval, variant);
    if (k->fused->c->slot == RN_SLOT_conv2d_bn_train)
        return follow(k, RN_SLOT_batchnorm_forward_train, variant);
    if (variant & RN_V_ADD_RELU) status = follow(k, RN_SLOT_add, 0);
    if (status == RN_OK && variant & (RN_V_RELU | RN_V_ADD_RELU))
        status = follow(k, RN_SLOT_relu_forward, 0);
    return status;
}

rn_status rn_check_composition(struct rn_verdicts *v, struct rn_call *fused,
                               const struct rn_ops *ops, void *dev)
{
    struct chain k = { .ops = ops, .dev = dev, .fused = fused };
    enum rn_slot slot = fused->c->slot;
    if (slot != RN_SLOT_conv2d_bias && slot != RN_SLOT_conv2d_bn && slot != RN_SLOT_conv2d_bn_train)
        return RN_OK;
    snprintf(k.map, sizeof k.map, "n%dc%dh%dw%d", fused->g.N, fused->g.K, fused->g.P, fused->g.Q);
    rn_status status = compose(&k);
    for (int i = 0; i < fused->count && status == RN_OK; i++) {
        const struct rn_operand *got = &fused->item[i];
        bool inner = strcmp(got->name, "x") == 0;
        if (got->output)
            rn_check_same(v, fused->c, "composition", got,
                          rn_call_operand(inner ? &k.part[0] : &k.part[k.length - 1],
                                          inner ? "dst" : got->name));
    }
    while (k.length > 0) rn_call_close(&k.part[--k.length]);
    return status;
}
