/*
 * pickle_torch.c - what a pickle's names mean: the fixed dictionary of classes and functions, and
 * the records that take the place of calling them.
 *
 * Sources: torch/_utils.py (_rebuild_*), torch/serialization.py (persistent ids), torch/_tensor.py
 * and torch/autograd/variable.py (__setstate__) in PyTorch 0.1 to 2.13.
 */
#include "io/pickle.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <string.h>

enum meaning { ORDERED_DICT, COUNTER, TENSOR_V1, TENSOR_V2, REBUILD_PARAMETER, PARAMETER, SIZE,
               STORAGE_TYPE, TENSOR_TYPE, REFUSED };

struct global { const char *module, *name; enum meaning meaning; const char *reason; };

static const struct global globals[] = {
    { "collections", "OrderedDict", ORDERED_DICT, NULL },
    { "collections", "Counter", COUNTER, NULL }, /* MultiStepLR keeps its milestones in one */
    { "torch._utils", "_rebuild_tensor", TENSOR_V1, NULL },
    { "torch._utils", "_rebuild_tensor_v2", TENSOR_V2, NULL },
    { "torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, NULL },
    { "torch.nn.parameter", "Parameter", PARAMETER, NULL },
    { "torch.autograd.variable", "Variable", PARAMETER, NULL },
    { "torch", "Size", SIZE, NULL },
    { "torch._utils", "_rebuild_qtensor", REFUSED, "quantized tensors are not supported" },
    { "torch._utils", "_rebuild_sparse_tensor", REFUSED, "sparse tensors are not supported" },
    { "torch._utils", "_rebuild_sparse_csr_tensor", REFUSED, "sparse tensors are not supported" },
    { "torch._utils", "_rebuild_nested_tensor", REFUSED, "nested tensors are not supported" },
    { "torch._utils", "_rebuild_meta_tensor_no_storage", REFUSED,
      "a tensor on the meta device has no values" },
    { "torch._utils", "_rebuild_wrapper_subclass", REFUSED,
      "subclasses of tensors are not supported" },
    { "torch._utils", "_rebuild_tensor_v3", REFUSED, "this element type is not supported" },
    { "torch._tensor", "_rebuild_from_type_v2", REFUSED,
      "subclasses of tensors are not supported" },
    { "torch.jit._pickle", "build_intlist", REFUSED, "TorchScript, not a state dict" },
};

/* Element types: "FloatStorage", and in the tar files of 2017 "FloatTensor". */
static const struct { const char *stem; enum rn_dtype dtype; } types[] = {
    { "Float", RN_F32 }, { "Double", RN_F64 }, { "Half", RN_F16 },  { "BFloat16", RN_BF16 },
    { "Long", RN_I64 },  { "Int", RN_I32 },    { "Short", RN_I16 }, { "Char", RN_I8 },
    { "Byte", RN_U8 },   { "Bool", RN_BOOL },
};
static const struct { const char *stem, *reason; } refused_types[] = {
    { "ComplexFloat", "complex numbers are not supported" },
    { "ComplexDouble", "complex numbers are not supported" },
    { "QInt8", "quantized tensors are not supported" },
    { "QUInt8", "quantized tensors are not supported" },
    { "QInt32", "quantized tensors are not supported" },
    { "QUInt4x2", "quantized tensors are not supported" },
    { "QUInt2x4", "quantized tensors are not supported" },
    { "Untyped", "a storage without an element type is not supported" },
    { "Typed", "a storage without an element type is not supported" },
};

/* A global's node packs its meaning and, for types, the element type. */
#define PACK(meaning, dtype) ((int64_t)(meaning) << 8 | (int64_t)(dtype))

static bool equal(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && !memcmp(text, word, n);
}

static bool torch_module(const char *module, size_t m)
{
    return equal(module, m, "torch") || equal(module, m, "torch.cuda") ||
           equal(module, m, "torch.storage");
}

static rn_status refuse(const struct rn_pickle *p, const char *module, size_t m, const char *name,
                        size_t n, const char *reason)
{
    char a[128], b[128];
    return rn_pickle_fail(p, "global %s.%s: %s", rn_printable(a, sizeof a, module, m),
                          rn_printable(b, sizeof b, name, n),
                          reason ? reason : "not in the list of names that a checkpoint may "
                                            "mention; nothing in the file is executed");
}

rn_status rn_pickle_global(struct rn_pickle *p, const char *module, size_t m, const char *name,
                           size_t n, uint32_t *id)
{
    int64_t packed = -1;
    const char *reason = NULL;
    for (size_t i = 0; i < RN_COUNT(globals); i++)
        if (equal(module, m, globals[i].module) && equal(name, n, globals[i].name)) {
            reason = globals[i].reason;
            if (!reason) packed = PACK(globals[i].meaning, 0);
        }
    if (n > 7 && torch_module(module, m)) {
        bool storage = equal(name + n - 7, 7, "Storage"), tensor = equal(name + n - 6, 6, "Tensor");
        size_t stem = n - (storage ? 7 : 6);
        for (size_t i = 0; i < RN_COUNT(types); i++)
            if ((storage || tensor) && equal(name, stem, types[i].stem))
                packed = PACK(storage ? STORAGE_TYPE : TENSOR_TYPE, types[i].dtype);
        for (size_t i = 0; i < RN_COUNT(refused_types); i++)
            if (storage && equal(name, stem, refused_types[i].stem))
                reason = refused_types[i].reason;
    }
    if (packed < 0) return refuse(p, module, m, name, n, reason);
    rn_status s = rn_pickle_node(p, RN_NODE_GLOBAL, id);
    if (!s) p->node[*id].as.integer = packed;
    return s;
}

bool rn_pickle_storage_type(const struct rn_pickle *p, uint32_t id, enum rn_dtype *dtype)
{
    const struct rn_node *n = &p->node[id];
    if (n->kind != RN_NODE_GLOBAL || n->as.integer >> 8 != STORAGE_TYPE) return false;
    *dtype = (enum rn_dtype)(n->as.integer & 0xff);
    return true;
}

/* -- storages ---------------------------------------------------------------------------------- */

static bool node_text(const struct rn_pickle *p, uint32_t id, const char *word)
{
    const struct rn_node *n = &p->node[id];
    return n->kind == RN_NODE_TEXT && equal(n->as.text, n->count, word);
}

static bool node_int(const struct rn_pickle *p, uint32_t id, int64_t *value)
{
    *value = p->node[id].as.integer;
    return p->node[id].kind == RN_NODE_INT;
}

/* Keys name files inside the archive: letters and digits only. */
static bool storage_key(const struct rn_pickle *p, uint32_t id, char key[RN_STORAGE_KEY])
{
    const struct rn_node *n = &p->node[id];
    if (n->kind != RN_NODE_TEXT || n->count == 0 || n->count >= RN_STORAGE_KEY) return false;
    for (uint32_t i = 0; i < n->count; i++) {
        char c = n->as.text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '_'))
            return false;
    }
    memcpy(key, n->as.text, n->count);
    key[n->count] = '\0';
    return true;
}

/* Persistent ids of the zip and stream forms: ('storage', type, key, location, numel) and, in
 * streams, a view: None or (key, offset, size).  The location (cuda:0 ...) does not matter: all is
 * read to memory. */
rn_status rn_pickle_storage(struct rn_pickle *p, uint32_t id, uint32_t *object)
{
    uint32_t part[6], view[3];
    struct rn_storage st = { 0 };
    size_t n = p->node[id].kind == RN_NODE_TUPLE ? rn_pickle_items(p, id, part, 6) : 0;
    if (n >= 1 && n <= 6 && node_text(p, part[0], "module"))
        return rn_pickle_fail(
            p, "a whole module was saved, with its code; save its state_dict() instead");
    if ((n != 5 && n != 6) || !node_text(p, part[0], "storage") ||
        !rn_pickle_storage_type(p, part[1], &st.dtype) || p->node[part[3]].kind != RN_NODE_TEXT ||
        !node_int(p, part[4], &st.numel))
        return rn_pickle_fail(
            p, "a persistent id that is not ('storage', type, key, location, numel)");
    if (!storage_key(p, part[2], st.key))
        return rn_pickle_fail(p, "a storage's key is not a word of letters and digits");
    if (st.numel < 0 || st.numel > INT64_MAX / 64)
        return rn_pickle_fail(p, "storage %s: numel %" PRId64 " is negative or absurd", st.key,
                              st.numel);
    st.count = st.numel;
    if (n == 6 && p->node[part[5]].kind != RN_NODE_NONE) {
        if (p->node[part[5]].kind != RN_NODE_TUPLE || rn_pickle_items(p, part[5], view, 3) != 3 ||
            !node_int(p, view[1], &st.first) || !node_int(p, view[2], &st.count))
            return rn_pickle_fail(p, "storage %s: a view that is not (key, offset, size)", st.key);
        if (st.first < 0 || st.count < 0 || st.first > st.numel || st.count > st.numel - st.first)
            return rn_pickle_fail(
                p, "storage %s: a view of elements %" PRId64 " + %" PRId64 "; it has %" PRId64,
                st.key, st.first, st.count, st.numel);
    }
    rn_status s =
        rn_grow(&p->storage, p->storages, &p->storage_room, sizeof *p->storage, RN_PICKLE_NODES);
    if (!s) s = rn_pickle_node(p, RN_NODE_STORAGE, object);
    if (s) return s;
    p->node[*object].as.integer = (int64_t)p->storages;
    p->storage[p->storages++] = st;
    return RN_OK;
}

/* -- tensors ----------------------------------------------------------------------------------- */

rn_status rn_pickle_bounds(const struct rn_pickle *p, struct rn_strided *t)
{
    const struct rn_storage *st = &p->storage[t->storage];
    if (!rn_shape_count(&t->count, t->shape, t->dims))
        return rn_pickle_fail(p, "a tensor has a negative size, or more than 2^56 elements");
    if (t->offset < 0)
        return rn_pickle_fail(p, "a tensor's offset %" PRId64 " is negative", t->offset);
    if (t->count == 0) return RN_OK;
    if (t->count > st->count)
        return rn_pickle_fail(p, "a tensor has more elements than its storage %s (%" PRId64 ")",
                              st->key, st->count);
    if (t->offset >= st->count)
        return rn_pickle_fail(
            p, "a tensor's offset %" PRId64 " leads out of its storage %s (%" PRId64 " elements)",
            t->offset, st->key, st->count);
    int64_t beyond = st->count - 1 - t->offset; /* elements after the first one that it may reach */
    for (int i = 0; i < t->dims; i++) {
        int64_t size = t->shape[i], stride = t->stride[i];
        if (stride < 0 || (stride == 0 && size > 1))
            return rn_pickle_fail(p,
                                  "a tensor's stride %" PRId64 " over %" PRId64
                                  " elements: expanded and "
                                  "reversed tensors are not supported",
                                  stride, size);
        if (size == 1) continue;
        if (stride > beyond / (size - 1))
            return rn_pickle_fail(p,
                                  "a tensor of size %" PRId64 " with stride %" PRId64
                                  " leads out of its storage "
                                  "%s (%" PRId64 " elements)",
                                  size, stride, st->key, st->count);
        beyond -= (size - 1) * stride;
    }
    return RN_OK;
}

rn_status rn_pickle_tensor(struct rn_pickle *p, const struct rn_strided *t, uint32_t *id)
{
    rn_status s =
        rn_grow(&p->tensor, p->tensors, &p->tensor_room, sizeof *p->tensor, RN_PICKLE_NODES);
    if (!s) s = rn_pickle_node(p, RN_NODE_TENSOR, id);
    if (s) return s;
    p->node[*id].as.integer = (int64_t)p->tensors;
    p->tensor[p->tensors++] = *t;
    return RN_OK;
}

/* A tuple of up to RN_MAX_DIMS integers. */
static rn_status take_dims(const struct rn_pickle *p, uint32_t id, int64_t *out, int *dims,
                           const char *what)
{
    uint32_t item[RN_MAX_DIMS];
    if (p->node[id].kind != RN_NODE_TUPLE)
        return rn_pickle_fail(p, "a tensor's %s is not a tuple", what);
    size_t n = rn_pickle_items(p, id, item, RN_MAX_DIMS);
    if (n > RN_MAX_DIMS)
        return rn_pickle_fail(p, "a tensor's %s has %zu dimensions; the limit is %d", what, n,
                              RN_MAX_DIMS);
    for (size_t i = 0; i < n; i++)
        if (!node_int(p, item[i], &out[i]))
            return rn_pickle_fail(p, "a tensor's %s holds what is no integer", what);
    *dims = (int)n;
    return RN_OK;
}

/* (storage, offset, size, stride) of both versions; the second one's further arguments carry no
 * values. */
static rn_status rebuild_tensor(struct rn_pickle *p, const uint32_t *arg, uint32_t *result)
{
    struct rn_strided t = { 0 };
    int strides = 0;
    if (p->node[arg[0]].kind != RN_NODE_STORAGE)
        return rn_pickle_fail(p, "a tensor is rebuilt from what is no storage");
    t.storage = (uint32_t)p->node[arg[0]].as.integer;
    if (!node_int(p, arg[1], &t.offset))
        return rn_pickle_fail(p, "a tensor's offset is no integer");
    rn_status s = take_dims(p, arg[2], t.shape, &t.dims, "size");
    if (!s) s = take_dims(p, arg[3], t.stride, &strides, "stride");
    if (!s && strides != t.dims)
        s = rn_pickle_fail(p, "a tensor has %d sizes and %d strides", t.dims, strides);
    if (!s) s = rn_pickle_bounds(p, &t);
    return s ? s : rn_pickle_tensor(p, &t, result);
}

/* The same tensor, marked as a parameter; without arguments a Parameter that BUILD fills. */
static rn_status make_parameter(struct rn_pickle *p, const uint32_t *arg, size_t n,
                                uint32_t *result)
{
    if (n == 0) return rn_pickle_node(p, RN_NODE_HOLLOW, result);
    if (n > 3 || p->node[arg[0]].kind != RN_NODE_TENSOR)
        return rn_pickle_fail(p, "a Parameter is made from what is no tensor");
    rn_status s = rn_pickle_node(p, RN_NODE_TENSOR, result);
    if (s) return s;
    p->node[*result].as.integer = p->node[arg[0]].as.integer;
    p->node[*result].parameter = true;
    return RN_OK;
}

/* OrderedDict() that SETITEMS fills, or Python 2's OrderedDict([[key, value], ...]). */
static rn_status make_dict(struct rn_pickle *p, const uint32_t *arg, size_t n, uint32_t *result)
{
    uint32_t pair[2];
    rn_status s = rn_pickle_node(p, RN_NODE_DICT, result);
    if (s) return s;
    p->node[*result].ordered = true;
    if (n == 0) return RN_OK;
    if (n != 1 || p->node[arg[0]].kind != RN_NODE_LIST)
        return rn_pickle_fail(p, "OrderedDict of what is no list");
    uint32_t count = p->node[arg[0]].count, link = p->node[arg[0]].first;
    for (uint32_t i = 0; i < count && !s; i++, link = p->link[link].next) {
        uint32_t item = p->link[link].node;
        enum rn_node_kind kind = p->node[item].kind;
        if ((kind != RN_NODE_LIST && kind != RN_NODE_TUPLE) ||
            rn_pickle_items(p, item, pair, 2) != 2 || p->node[pair[0]].kind > RN_NODE_TEXT)
            return rn_pickle_fail(p, "OrderedDict: item %lu is not a key and a value",
                                  (unsigned long)i);
        s = rn_pickle_append(p, *result, pair[0]);
        if (!s) s = rn_pickle_append(p, *result, pair[1]);
    }
    return s;
}

rn_status rn_pickle_call(struct rn_pickle *p, uint32_t callee, uint32_t args, uint32_t *result)
{
    uint32_t arg[7];
    const struct rn_node *f = &p->node[callee];
    if (f->kind != RN_NODE_GLOBAL)
        return rn_pickle_fail(p, "what is called is no class or function");
    if (p->node[args].kind != RN_NODE_TUPLE)
        return rn_pickle_fail(p, "the arguments of a call are no tuple");
    size_t n = rn_pickle_items(p, args, arg, 7);
    switch (f->as.integer >> 8) {
    case ORDERED_DICT: return make_dict(p, arg, n, result);
    case TENSOR_V1: if (n == 4) return rebuild_tensor(p, arg, result); break;
    case TENSOR_V2: if (n == 6 || n == 7) return rebuild_tensor(p, arg, result); break;
    case REBUILD_PARAMETER: if (n == 3) return make_parameter(p, arg, n, result); break;
    case PARAMETER: if (n <= 3) return make_parameter(p, arg, n, result); break;
    case COUNTER: case SIZE: /* the dictionary or tuple that is the one argument */
        if (n == 1 &&
            p->node[arg[0]].kind == (f->as.integer >> 8 == SIZE ? RN_NODE_TUPLE : RN_NODE_DICT)) {
            *result = arg[0];
            return RN_OK;
        }
        break;
    default: break;
    }
    return rn_pickle_fail(p, "a call with %zu arguments that fit no known form", n);
}

/* Attributes: an OrderedDict's _metadata is dropped; an old Parameter's may bring its tensor. */
rn_status rn_pickle_build(struct rn_pickle *p, uint32_t object, uint32_t state)
{
    uint32_t part[5];
    struct rn_node *o = &p->node[object];
    size_t n = p->node[state].kind == RN_NODE_TUPLE ? rn_pickle_items(p, state, part, 5) : 0;
    if (o->kind == RN_NODE_DICT && o->ordered && p->node[state].kind == RN_NODE_DICT) return RN_OK;
    if (o->kind == RN_NODE_TENSOR && o->parameter && n == 3)
        return RN_OK; /* requires_grad, volatile, hooks */
    if (o->kind == RN_NODE_HOLLOW && n == 5 && p->node[part[0]].kind == RN_NODE_TENSOR) {
        o->kind = RN_NODE_TENSOR;
        o->parameter = true;
        o->as.integer = p->node[part[0]].as.integer;
        return RN_OK;
    }
    return rn_pickle_fail(p, "BUILD on an object that takes no attributes");
}
