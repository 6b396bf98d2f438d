/*
 * value.c - the tree that checkpoint files become, and element types.
 *
 * Dictionaries are lists of key, value, key, value: they keep order, and those that programs build
 * are small enough to be searched from the front.  Readers, whose dictionaries may be huge, append
 * and look for duplicates by sorting (pickle_tree.c, json.c).
 */
#include "io/value.h"

#include "base/mem.h"

#include <string.h>

static const struct { const char *name; size_t bytes; } dtypes[] = {
    [RN_F32] = { "float32", 4 }, [RN_F64] = { "float64", 8 }, [RN_F16] = { "float16", 2 },
    [RN_BF16] = { "bfloat16", 2 }, [RN_I64] = { "int64", 8 }, [RN_I32] = { "int32", 4 },
    [RN_I16] = { "int16", 2 }, [RN_I8] = { "int8", 1 }, [RN_U8] = { "uint8", 1 },
    [RN_BOOL] = { "bool", 1 },
};

size_t rn_dtype_bytes(enum rn_dtype d)
{
    return dtypes[d].bytes;
}

const char *rn_dtype_name(enum rn_dtype d)
{
    return dtypes[d].name;
}

bool rn_shape_count(int64_t *count, const int64_t *shape, int dims)
{
    const int64_t most = (int64_t)1 << 56;
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < dims; i++) {
        if (shape[i] < 0 || shape[i] > most / product) return false;
        if (shape[i] == 0) empty = true;
        else product *= shape[i];
    }
    *count = empty ? 0 : product;
    return true;
}

static struct rn_value *make(enum rn_kind kind)
{
    struct rn_value *v = rn_alloc(sizeof *v);
    if (v) v->kind = kind;
    return v;
}

struct rn_value *rn_none(void)
{
    return make(RN_NONE);
}

struct rn_value *rn_boolean(bool b)
{
    struct rn_value *v = make(RN_BOOLEAN);
    if (v) v->integer = b;
    return v;
}

struct rn_value *rn_integer(int64_t i)
{
    struct rn_value *v = make(RN_INT);
    if (v) v->integer = i;
    return v;
}

struct rn_value *rn_real(double x)
{
    struct rn_value *v = make(RN_REAL);
    if (v) v->real = x;
    return v;
}

struct rn_value *rn_string_of(const char *bytes, size_t length)
{
    struct rn_value *v = make(RN_STRING);
    if (!v || !(v->text = rn_alloc(length + 1))) {
        rn_free(v);
        return NULL;
    }
    if (length) memcpy(v->text, bytes, length);
    v->length = length;
    return v;
}

struct rn_value *rn_string(const char *utf8)
{
    return rn_string_of(utf8, strlen(utf8));
}

struct rn_value *rn_list(void)
{
    return make(RN_LIST);
}

struct rn_value *rn_tuple(void)
{
    return make(RN_TUPLE);
}

struct rn_value *rn_dict(bool ordered)
{
    struct rn_value *v = make(RN_DICT);
    if (v) v->ordered = ordered;
    return v;
}

struct rn_value *rn_tensor_value(enum rn_dtype dtype, int dims, const int64_t *shape, void *data,
                                 bool owned)
{
    int64_t count;
    bool fits = dims >= 0 && dims <= RN_MAX_DIMS && rn_shape_count(&count, shape, dims);
    struct rn_value *v = fits ? make(RN_TENSOR) : NULL;
    if (!fits) rn_fail(RN_EINPUT, "a tensor of %d dimensions is too large", dims);
    if (!v) {
        if (owned) rn_free(data);
        return NULL;
    }
    v->tensor = (struct rn_tensor){ .dtype = dtype, .dims = dims, .count = count, .data = data,
                                    .owned = owned };
    for (int i = 0; i < dims; i++) v->tensor.shape[i] = shape[i];
    return v;
}

/* Room for `more` further items. */
static rn_status reserve(struct rn_value *v, size_t more)
{
    if (v->capacity - v->count >= more) return RN_OK;
    size_t room = v->capacity ? 2 * v->capacity : 8;
    struct rn_value **grown =
        rn_realloc(v->item, v->capacity * sizeof *grown, room * sizeof *grown);
    if (!grown) return RN_ENOMEM;
    v->item = grown;
    v->capacity = room;
    return RN_OK;
}

/* A NULL among the arguments is a constructor that found no memory; its message stands. */
rn_status rn_list_add(struct rn_value *list, struct rn_value *v)
{
    rn_status s = list && v ? RN_OK : RN_ENOMEM;
    if (!s && list->kind != RN_LIST && list->kind != RN_TUPLE)
        s = rn_fail(RN_EINPUT, "an item is added to what is neither a list nor a tuple");
    if (!s) s = reserve(list, 1);
    if (s) {
        rn_value_free(v);
        return s;
    }
    list->item[list->count++] = v;
    return RN_OK;
}

static bool same_key(const struct rn_value *a, const struct rn_value *b)
{
    if (a->kind != b->kind) return false;
    if (a->kind == RN_STRING) return a->length == b->length && !memcmp(a->text, b->text, a->length);
    return (a->kind == RN_INT || a->kind == RN_BOOLEAN) && a->integer == b->integer;
}

rn_status rn_dict_set_value(struct rn_value *dict, struct rn_value *key, struct rn_value *v)
{
    rn_status s = dict && key && v ? RN_OK : RN_ENOMEM;
    if (!s && dict->kind != RN_DICT)
        s = rn_fail(RN_EINPUT, "a key is set in what is not a dictionary");
    for (size_t i = 0; !s && i < dict->count; i += 2)
        if (same_key(dict->item[i], key)) {
            rn_value_free(dict->item[i + 1]);
            rn_value_free(key);
            dict->item[i + 1] = v;
            return RN_OK;
        }
    if (!s) s = reserve(dict, 2);
    if (s) {
        rn_value_free(key);
        rn_value_free(v);
        return s;
    }
    dict->item[dict->count++] = key;
    dict->item[dict->count++] = v;
    return RN_OK;
}

rn_status rn_dict_set(struct rn_value *dict, const char *key, struct rn_value *v)
{
    return rn_dict_set_value(dict, rn_string(key), v);
}

struct rn_value *rn_dict_get(const struct rn_value *dict, const char *key)
{
    if (!dict || dict->kind != RN_DICT) return NULL;
    for (size_t i = 0; i < dict->count; i += 2)
        if (dict->item[i]->kind == RN_STRING && !strcmp(dict->item[i]->text, key))
            return dict->item[i + 1];
    return NULL;
}

void rn_value_free(struct rn_value *root)
{
    if (!root) return;
    for (size_t i = 0; i < root->count; i++) rn_value_free(root->item[i]);
    if (root->kind == RN_TENSOR && root->tensor.owned) rn_free(root->tensor.data);
    rn_free(root->item);
    rn_free(root->text);
    rn_free(root);
}
