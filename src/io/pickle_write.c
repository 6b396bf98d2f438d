/*
 * pickle_write.c - a tree as a protocol 2 pickle that torch.load(weights_only=True) takes.
 *
 * No memo: every object is written out where it stands, so the bytes are a pure function of the
 * tree. A tensor becomes torch._utils._rebuild_tensor_v2(storage, 0, size, stride, False,
 * OrderedDict()).
 */
#include "io/pickle.h"

#include "base/mem.h"
#include "base/real.h"
#include "base/text.h"
#include "io/bytes.h"

#include <stdio.h>
#include <string.h>

static const char *const storage_type[] = {
    [RN_F32] = "FloatStorage",     [RN_F64] = "DoubleStorage", [RN_F16] = "HalfStorage",
    [RN_BF16] = "BFloat16Storage", [RN_I64] = "LongStorage",   [RN_I32] = "IntStorage",
    [RN_I16] = "ShortStorage",     [RN_I8] = "CharStorage",    [RN_U8] = "ByteStorage",
    [RN_BOOL] = "BoolStorage",
};

static void put_op(struct rn_text *t, int opcode)
{
    unsigned char c = (unsigned char)opcode;
    rn_text_bytes(t, &c, 1);
}

static void put_number(struct rn_text *t, int opcode, uint64_t value, int bytes)
{
    unsigned char b[9] = { (unsigned char)opcode };
    rn_put(b + 1, value, bytes);
    rn_text_bytes(t, b, 1 + (size_t)bytes);
}

static void put_global(struct rn_text *t, const char *module, const char *name)
{
    put_op(t, 'c');
    rn_text_bytes(t, module, strlen(module));
    put_op(t, '\n');
    rn_text_bytes(t, name, strlen(name));
    put_op(t, '\n');
}

static void put_ordered_dict(struct rn_text *t)
{
    put_global(t, "collections", "OrderedDict");
    put_op(t, ')');
    put_op(t, 'R');
}

static void put_int(struct rn_text *t, int64_t value)
{
    if (value >= 0 && value <= 0xff) put_number(t, 'K', (uint64_t)value, 1);
    else if (value >= 0 && value <= 0xffff) put_number(t, 'M', (uint64_t)value, 2);
    else if (value >= INT32_MIN && value <= INT32_MAX) put_number(t, 'J', (uint64_t)value, 4);
    else {
        put_number(t, 0x8a, 8, 1);
        unsigned char b[8];
        rn_put(b, (uint64_t)value, 8);
        rn_text_bytes(t, b, 8);
    }
}

static void put_real(struct rn_text *t, double x)
{
    unsigned char b[9] = { 'G' };
    uint64_t u = rn_bits64(x);
    for (int i = 0; i < 8; i++) b[1 + i] = (unsigned char)(u >> (56 - 8 * i));
    rn_text_bytes(t, b, sizeof b);
}

static rn_status put_text(struct rn_text *t, const char *text, size_t n)
{
    if (n > UINT32_MAX || !rn_text_valid(text, n))
        return rn_fail(RN_EINPUT, "a text that is to be written is not UTF-8");
    put_number(t, 'X', n, 4);
    rn_text_bytes(t, text, n);
    return RN_OK;
}

/* Closes a tuple whose `n` items were written after begin_tuple. */
static void begin_tuple(struct rn_text *t, size_t n)
{
    if (n > 3) put_op(t, '(');
}

static void end_tuple(struct rn_text *t, size_t n)
{
    put_op(t, n == 0 ? ')' : n <= 3 ? 0x84 + (int)n : 't');
}

/* Sizes and dense strides, row-major. */
static void put_geometry(struct rn_text *t, const struct rn_tensor *x)
{
    int64_t stride[RN_MAX_DIMS], step = 1;
    for (int i = x->dims; i-- > 0;) {
        stride[i] = step;
        step *= RN_MAX(x->shape[i], 1);
    }
    begin_tuple(t, (size_t)x->dims);
    for (int i = 0; i < x->dims; i++) put_int(t, x->shape[i]);
    end_tuple(t, (size_t)x->dims);
    begin_tuple(t, (size_t)x->dims);
    for (int i = 0; i < x->dims; i++) put_int(t, stride[i]);
    end_tuple(t, (size_t)x->dims);
}

static rn_status put_tensor(struct rn_text *t, const struct rn_tensor *x,
                            struct rn_tensor_list *list)
{
    char key[24];
    rn_status s =
        rn_grow(&list->item, list->count, &list->room, sizeof *list->item, RN_PICKLE_NODES);
    if (s) return s;
    if (!x->data) return rn_fail(RN_EINPUT, "a tensor without values cannot be written");
    snprintf(key, sizeof key, "%zu", list->count);
    list->item[list->count++] = x;
    if (x->parameter) {
        put_global(t, "torch._utils", "_rebuild_parameter");
        begin_tuple(t, 3);
    }
    put_global(t, "torch._utils", "_rebuild_tensor_v2");
    begin_tuple(t, 6);
    begin_tuple(t, 5);
    put_text(t, "storage", 7);
    put_global(t, "torch", storage_type[x->dtype]);
    put_text(t, key, strlen(key));
    put_text(t, "cpu", 3);
    put_int(t, x->count);
    end_tuple(t, 5);
    put_op(t, 'Q');
    put_int(t, 0);
    put_geometry(t, x);
    put_op(t, 0x89);
    put_ordered_dict(t);
    end_tuple(t, 6);
    put_op(t, 'R');
    if (x->parameter) {
        put_op(t, 0x88);
        put_ordered_dict(t);
        end_tuple(t, 3);
        put_op(t, 'R');
    }
    return RN_OK;
}

static rn_status put_value(struct rn_text *t, const struct rn_value *v, struct rn_tensor_list *list,
                           int depth);

static rn_status put_items(struct rn_text *t, const struct rn_value *v, struct rn_tensor_list *list,
                           int depth)
{
    rn_status s = RN_OK;
    for (size_t i = 0; i < v->count && !s; i++) s = put_value(t, v->item[i], list, depth + 1);
    return s;
}

static rn_status put_value(struct rn_text *t, const struct rn_value *v, struct rn_tensor_list *list,
                           int depth)
{
    rn_status s = RN_OK;
    if (depth > RN_PICKLE_DEPTH)
        return rn_fail(RN_EINPUT, "values that are to be written are nested more than %d deep",
                       RN_PICKLE_DEPTH);
    switch (v->kind) {
    case RN_NONE: put_op(t, 'N'); break;
    case RN_BOOLEAN: put_op(t, v->integer ? 0x88 : 0x89); break;
    case RN_INT: put_int(t, v->integer); break;
    case RN_REAL: put_real(t, v->real); break;
    case RN_STRING: return put_text(t, v->text, v->length);
    case RN_TENSOR: return put_tensor(t, &v->tensor, list);
    case RN_TUPLE:
        begin_tuple(t, v->count);
        s = put_items(t, v, list, depth);
        end_tuple(t, v->count);
        break;
    case RN_LIST: case RN_DICT:
        if (v->kind == RN_DICT && v->ordered) put_ordered_dict(t);
        else put_op(t, v->kind == RN_LIST ? ']' : '}');
        if (!v->count) break;
        put_op(t, '(');
        s = put_items(t, v, list, depth);
        put_op(t, v->kind == RN_LIST ? 'e' : 'u');
        break;
    }
    return s;
}

rn_status rn_pickle_write(struct rn_text *out, const struct rn_value *root,
                          struct rn_tensor_list *tensors)
{
    put_op(out, 0x80);
    put_op(out, 2);
    rn_status s = put_value(out, root, tensors, 0);
    put_op(out, '.');
    return s ? s : rn_text_status(out);
}
