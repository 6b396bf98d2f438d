/*
 * weights.c - a state dict into a net.  Two passes: the first only looks, and says all that does
 * not fit at once, as PyTorch's load_state_dict does; the second only copies.
 */
#include "train/tensor_floats.h"
#include "train/trainer.h"
#include "base/mem.h"
#include "base/real.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LISTED 12 /* mismatches named one by one; the rest is counted */

/* -- tensors as floats ------------------------------------------------------------------------- */
bool rn_tensor_is_real(const struct rn_tensor *t)
{
    return t->dtype == RN_F32 || t->dtype == RN_F64 || t->dtype == RN_F16 || t->dtype == RN_BF16;
}

/* IEEE half precision, exactly. */
static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 31) return rn_float(sign | 0x7f800000u | fraction << 13);
    if (exponent) return rn_float(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
}

static float element(const struct rn_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case RN_F32: return ((const float *)t->data)[i];
    case RN_F64: return (float)((const double *)t->data)[i];
    case RN_F16: return from_half(((const uint16_t *)t->data)[i]);
    case RN_BF16: return rn_float((uint32_t)((const uint16_t *)t->data)[i] << 16);
    default: return 0;
    }
}

int64_t rn_tensor_floats(float *dst, const struct rn_tensor *t)
{
    int64_t bad = -1;
    for (int64_t i = 0; i < t->count; i++) {
        float x = element(t, i);
        if (!rn_finite(x) && bad < 0) bad = i;
        dst[i] = rn_store(x);
    }
    return bad;
}

const char *rn_shape_text(char *out, size_t size, int dims, const int64_t *shape)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < dims && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%" PRId64, i ? ", " : "", shape[i]);
    if (at < size) snprintf(out + at, size - at, "]");
    return out;
}

/* -- what does not fit ------------------------------------------------------------------------- */
struct mismatches { struct rn_text text; int count; };

RN_PRINTF(2, 3) static void note(struct mismatches *m, const char *fmt, ...)
{
    char line[512];
    va_list args;
    if (++m->count > LISTED) return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    rn_text_add(&m->text, "\n  %s", line);
}

static bool same_shape(const struct rn_param *p, const struct rn_tensor *t)
{
    if (p->kind == RN_PARAM_BATCHES) return t->count == 1;
    if (t->dims != p->dims) return false;
    for (int i = 0; i < p->dims; i++)
        if (t->shape[i] != p->shape[i]) return false;
    return true;
}

/* fc.* of another class count, where a new head is wanted. */
static bool other_head(const struct rn_param *p, const struct rn_tensor *t)
{
    bool fc = p->kind == RN_PARAM_FC_WEIGHT || p->kind == RN_PARAM_FC_BIAS;
    return fc && t->dims == p->dims && t->shape[0] != p->shape[0] &&
           (p->dims == 1 || t->shape[1] == p->shape[1]);
}

static void check_row(struct mismatches *m, const struct rn_param *p, const struct rn_named *n,
                      bool new_head)
{
    char have[160], want[160];
    bool counter = p->kind == RN_PARAM_BATCHES;
    if (!n) {
        if (!counter)
            note(m, "%s: missing", p->name); /* files before 2018 have no num_batches_tracked */
        return;
    }
    if (!same_shape(p, &n->tensor) && !(new_head && other_head(p, &n->tensor)))
        note(m, "%s: the file has %s, the net %s", p->name,
             rn_shape_text(have, sizeof have, n->tensor.dims, n->tensor.shape),
             rn_shape_text(want, sizeof want, p->dims, p->shape));
    else if (counter ? n->tensor.dtype != RN_I64 : !rn_tensor_is_real(&n->tensor))
        note(m, "%s: %s, expected %s", p->name, rn_dtype_name(n->tensor.dtype),
             counter ? "int64" : "a floating-point type");
    else if (!n->tensor.data)
        note(m, "%s: listed, but its values are not in the file", p->name);
}

rn_status rn_weights_fit(const struct rn_net *net, const struct rn_checkpoint *c, bool new_head)
{
    struct mismatches m = {0};
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p);
    for (size_t i = 0; i < rows; i++)
        check_row(&m, &p[i], rn_tensors_find(&c->tensors, p[i].name), new_head);
    for (size_t i = 0; i < c->tensors.count; i++) {
        bool known = false;
        for (size_t k = 0; k < rows && !known; k++)
            known = !strcmp(p[k].name, c->tensors.item[i].name);
        if (!known) note(&m, "%s: the net has no such tensor", c->tensors.item[i].name);
    }
    if (m.count > LISTED) rn_text_add(&m.text, "\n  and %d more", m.count - LISTED);
    rn_status status = RN_OK;
    if (m.count)
        status = rn_fail(RN_EINPUT, "%s does not fit %s with stem %s and %d classes:%s", c->path,
                         rn_net_config_of(net)->arch.name,
                         rn_stem_name(rn_net_config_of(net)->arch.stem),
                         rn_net_config_of(net)->arch.classes, m.text.data ? m.text.data : "");
    rn_text_free(&m.text);
    return status;
}

/* -- into the net ------------------------------------------------------------------------------ */

/* The index of the first element below zero, or -1. */
static int64_t first_negative(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (x[i] < 0) return (int64_t)i;
    return -1;
}

/* Looks at (apply false) or copies (true) every tensor that the net has a row for. */
static rn_status walk(struct rn_net *net, const struct rn_checkpoint *c, float *buffer, bool apply)
{
    const struct rn_param *p;
    char number[RN_NUMBER_CHARS];
    size_t rows = rn_net_params(net, &p);
    for (size_t i = 0; i < rows; i++) {
        const struct rn_named *n = rn_tensors_find(&c->tensors, p[i].name);
        if (p[i].kind == RN_PARAM_BATCHES) {
            int64_t seen = n ? *(const int64_t *)n->tensor.data : 0;
            if (apply) rn_net_batches(net)[p[i].offset] = seen;
            else if (seen < 0)
                return rn_fail(RN_EINPUT, "%s: %s is %" PRId64, c->path, p[i].name, seen);
            continue;
        }
        if (!same_shape(&p[i], &n->tensor)) continue; /* the head that is to be new */
        int64_t bad = rn_tensor_floats(buffer, &n->tensor);
        if (bad >= 0)
            return rn_fail(RN_EINPUT, "%s: %s[%" PRId64 "] is not finite", c->path, p[i].name, bad);
        if (p[i].kind == RN_PARAM_VAR && (bad = first_negative(buffer, p[i].count)) >= 0)
            return rn_fail(RN_EINPUT, "%s: %s[%" PRId64 "] is %s, a variance is not negative",
                           c->path, p[i].name, bad, rn_number_text(number, (double)buffer[bad]));
        if (apply) rn_net_set(net, i, buffer);
    }
    return RN_OK;
}

/* A buffer for the largest tensor of the net; NULL when out of memory. */
static float *walking_buffer(const struct rn_net *net)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(net, &p), largest = 1;
    for (size_t i = 0; i < rows; i++) largest = RN_MAX(largest, p[i].count);
    return rn_alloc_array(largest, sizeof(float));
}

rn_status rn_load_weights(struct rn_net *net, const struct rn_checkpoint *c, bool new_head)
{
    rn_status status = rn_weights_fit(net, c, new_head);
    if (status) return status;
    float *buffer = walking_buffer(net);
    if (!buffer) return RN_ENOMEM;
    status = walk(net, c, buffer, false);
    if (status == RN_OK) status = walk(net, c, buffer, true);
    rn_free(buffer);
    if (status == RN_OK) rn_net_touch(net);
    return status;
}

rn_status rn_load_training(struct rn_net *net, struct rn_average *average,
                           const struct rn_checkpoint *c)
{
    const struct rn_checkpoint raw = { .path = c->path, .tensors = c->training };
    bool both = raw.tensors.count > 0;
    rn_status status = rn_weights_fit(net, c, false);
    if (status == RN_OK && both) status = rn_weights_fit(net, &raw, false);
    if (status) return status;
    float *buffer = walking_buffer(net);
    if (!buffer) return RN_ENOMEM;
    status = walk(net, c, buffer, false);
    if (status == RN_OK && both) status = walk(net, &raw, buffer, false);
    if (status == RN_OK) status = walk(net, c, buffer, true);
    if (status == RN_OK && average->net) rn_average_start(average);
    if (status == RN_OK && both) status = walk(net, &raw, buffer, true);
    rn_free(buffer);
    if (status == RN_OK) rn_net_touch(net);
    return status;
}
