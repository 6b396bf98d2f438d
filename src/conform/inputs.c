/*
 * inputs.c - what the cases are fed: values from the counter-based generator, all of them as A5
 * stores them, and for backward passes what the forward pass made.
 *
 * The plain mixture has zeros (A6) and values near 2^-70 among uniform ones; the other mixtures are
 * what RN_V_TINY, RN_V_SMALL, RN_V_TIES and RN_V_NAN say.
 */
#include "conform/case.h"

#include "base/hash.h"
#include "base/random.h"
#include "base/real.h"

#include <string.h>

#define SEED 20151210 /* of all cases; any number will do, but it is part of the golden packs */
#define QUIET_NAN 0x7fc00000u

/* 2^-power, exactly. */
static double power_of_half(int power) { return rn_double((uint64_t)(1023 - power) << 52); }

static double uniform(struct rn_random *r, double low, double high)
{
    return low + (high - low) * rn_random_uniform(r);
}

/* One value of the case's mixture, before it is stored. */
static double value(struct rn_random *r, unsigned variant)
{
    if (variant & RN_V_NORMAL) return rn_random_normal(r);
    if (variant & RN_V_TIES) return (double)rn_random_below(r, 5) - 2;
    if (variant & RN_V_TINY)
        return uniform(r, -2, 2) * power_of_half(60 + (int)rn_random_below(r, 8));
    if (variant & RN_V_SMALL) {
        int power = rn_random_below(r, 2) ? 55 : 27;
        return uniform(r, -2, 2) * power_of_half(power + (int)rn_random_below(r, 4));
    }
    switch (rn_random_below(r, 32)) {
    case 0:
    case 1: return 0;
    case 2: return uniform(r, -2, 2) * power_of_half(70);
    default: return uniform(r, -2, 2);
    }
}

/* Variances and second moments. */
static bool is_positive(const struct rn_operand *o)
{
    return strcmp(o->name, "running_var") == 0 || strcmp(o->name, "second") == 0;
}

/* Up to five pixels beyond each edge, which reflects twice where pictures are small; a part of every other image is
 * erased. */
static void fill_moves(struct rn_operand *o, struct rn_random *r, const struct rn_conv_shape *g)
{
    struct rn_image_move *move = o->host;
    for (int n = 0; n < g->N; n++) {
        struct rn_image_move *m = &move[n];
        m->top = (int)rn_random_below(r, 11) - 5;
        m->left = (int)rn_random_below(r, 11) - 5;
        m->mirror = (int)rn_random_below(r, 2);
        if (n % 2) continue;
        m->erase_top = (int)rn_random_below(r, (uint32_t)g->H);
        m->erase_left = (int)rn_random_below(r, (uint32_t)g->W);
        m->erase_height = 1 + (int)rn_random_below(r, (uint32_t)(g->H - m->erase_top));
        m->erase_width = 1 + (int)rn_random_below(r, (uint32_t)(g->W - m->erase_left));
    }
}

static void fill_operand(struct rn_operand *o, struct rn_random *r, const struct rn_call *call)
{
    if (strcmp(o->name, "move") == 0) {
        fill_moves(o, r, &call->g);
        return;
    }
    if (strcmp(o->name, "given") == 0) {
        *(int32_t *)o->host = call->c->variant & RN_V_GIVEN ? 1 : -1; /* what is not 1 counts as 0 */
        return;
    }
    for (size_t i = 0; i < o->count; i++) {
        if (o->dtype == RN_I32)
            ((int32_t *)o->host)[i] = (int32_t)rn_random_below(r, (uint32_t)call->g.K);
        else if (o->dtype == RN_U8 && !o->map) ((uint8_t *)o->host)[i] = (uint8_t)rn_random_below(r, 256);
        else if (o->dtype == RN_F32 && is_positive(o))
            ((float *)o->host)[i] = (float)uniform(r, 0.25, 2);
        else if (o->dtype == RN_F32)
            ((float *)o->host)[i] = rn_store((float)value(r, call->c->variant));
    }
}

/* The generator's key of a case, so that a case keeps its values when others come or go. */
static uint32_t case_key(const struct rn_case *c, uint32_t draw)
{
    struct rn_hash h;
    const char *slot = rn_slot_name(c->slot);
    rn_hash_begin(&h, draw);
    rn_hash_bytes(&h, slot, strlen(slot));
    rn_hash_bytes(&h, c->geometry, strlen(c->geometry));
    rn_hash_u64(&h, c->variant);
    return (uint32_t)rn_hash_end(&h);
}

void rn_call_fill(struct rn_call *call, uint32_t draw)
{
    uint32_t key = case_key(call->c, draw);
    for (int i = 0; i < call->count; i++) {
        struct rn_random r = rn_random(SEED, RN_RANDOM_TEST, key, (uint32_t)i);
        if (!call->item[i].output) fill_operand(&call->item[i], &r, call);
    }
    if (call->c->variant & RN_V_NAN) {
        struct rn_operand *first = &call->item[0];
        ((float *)first->host)[first->count / 2] = rn_float(QUIET_NAN);
    }
}

int rn_call_share(struct rn_call *call, const struct rn_call *from)
{
    int shared = 0;
    for (int i = 0; i < from->count; i++) {
        struct rn_operand *o = rn_call_operand(call, from->item[i].name);
        if (!o || o->output || o->count != from->item[i].count) continue;
        memcpy(o->host, from->item[i].host, o->count * rn_dtype_bytes(o->dtype));
        shared++;
    }
    return shared;
}

rn_status rn_call_inputs(struct rn_call *call, const struct rn_ops *ops, void *dev, uint32_t draw)
{
    struct rn_case c;
    struct rn_call forward;
    rn_call_fill(call, draw);
    if (!rn_case_forward(&c, call->c)) return RN_OK;
    rn_status status = rn_call_open(&forward, &c);
    if (status) return status;
    rn_call_fill(&forward, draw);
    if ((status = rn_call_run(&forward, ops, dev)) == RN_OK) rn_call_share(call, &forward);
    rn_call_close(&forward);
    return status;
}
