/*
 * pickle_tree.c - from the nodes of a pickle to a tree that owns its values.
 *
 * Nodes may be shared; the tree has a copy for each place, so the number of values, the bytes of
 * text and the bytes of tensors are bounded, and a container inside itself is refused.
 */
#include "io/pickle.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/pth.h"

#include <stdlib.h>
#include <string.h>

struct builder {
    struct rn_pickle *p;
    struct rn_pending_list *pending;
    size_t values;                   /* still allowed */
    uint64_t text_bytes, tensor_bytes; /* still allowed */
};

static rn_status build(struct builder *b, uint32_t id, int depth, struct rn_value **out);

static rn_status tree_fail(const struct builder *b, const char *what)
{
    return rn_fail(RN_EINPUT, "%s: %s", b->p->path, what);
}

static rn_status make_text(struct builder *b, const struct rn_node *n, struct rn_value **out)
{
    if (n->count > b->text_bytes)
        return tree_fail(b, "texts repeated through the memo exceed 64 MB");
    b->text_bytes -= n->count;
    *out = rn_string_of(n->as.text, n->count);
    return *out ? RN_OK : RN_ENOMEM;
}

static rn_status make_tensor(struct builder *b, const struct rn_node *n, struct rn_value **out)
{
    struct rn_pending_list *list = b->pending;
    const struct rn_strided *t = &b->p->tensor[n->as.integer];
    const struct rn_storage *st = &b->p->storage[t->storage];
    uint64_t item = rn_dtype_bytes(st->dtype);
    if ((uint64_t)t->count > b->tensor_bytes / item)
        return tree_fail(b, "tensors that share storages exceed the file's size by 64 MB");
    b->tensor_bytes -= (uint64_t)t->count * item;
    rn_status s = rn_grow(&list->item, list->count, &list->room, sizeof *list->item,
                          RN_PICKLE_NODES);
    if (s) return s;
    struct rn_value *v = *out = rn_tensor_value(st->dtype, t->dims, t->shape, NULL, false);
    if (!v) return RN_ENOMEM;
    v->tensor.parameter = n->parameter;
    v->tensor.count = t->count;
    list->item[list->count] = (struct rn_pending){ v, t, st, list->count };
    list->count++;
    return RN_OK;
}

/* -1, 0, 1 over the kind and content of two keys. */
static int compare_keys(const void *a, const void *b)
{
    const struct rn_value *x = *(const struct rn_value *const *)a,
                          *y = *(const struct rn_value *const *)b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->kind == RN_STRING) return strcmp(x->text, y->text);
    if (x->kind == RN_INT || x->kind == RN_BOOLEAN)
        return (x->integer > y->integer) - (x->integer < y->integer);
    return x < y ? -1 : 1; /* reals and tuples are not compared; no two are the same value */
}

rn_status rn_dict_unique(const struct rn_value *dict, const char *path)
{
    size_t n = dict->count / 2;
    const struct rn_value **key = rn_alloc_array(n, sizeof *key);
    if (!key) return RN_ENOMEM;
    for (size_t i = 0; i < n; i++) key[i] = dict->item[2 * i];
    qsort(key, n, sizeof *key, compare_keys);
    rn_status s = RN_OK;
    for (size_t i = 1; i < n && !s; i++) {
        char name[128] = "";
        if (compare_keys(&key[i - 1], &key[i])) continue;
        if (key[i]->kind == RN_STRING)
            rn_printable(name, sizeof name, key[i]->text, key[i]->length);
        s = key[i]->kind == RN_STRING
                ? rn_fail(RN_EINPUT, "%s: key \"%s\" is twice in one dictionary", path, name)
                : rn_fail(RN_EINPUT, "%s: key %lld is twice in one dictionary", path,
                          (long long)key[i]->integer);
    }
    rn_free(key);
    return s;
}

/* The items of node `id` into v, which stays well-formed (count grows with the items) when one
 * fails. */
static rn_status make_items(struct builder *b, uint32_t id, int depth, struct rn_value *v)
{
    const struct rn_node *n = &b->p->node[id];
    rn_status s = RN_OK;
    if (depth >= RN_PICKLE_DEPTH) return tree_fail(b, "values are nested more than 200 deep");
    if (n->count > b->values) return tree_fail(b, "more than a million values");
    if (!(v->item = rn_alloc_array(n->count, sizeof *v->item))) return RN_ENOMEM;
    v->capacity = n->count;
    uint32_t link = n->first;
    for (uint32_t i = 0; i < n->count && !s; i++, link = b->p->link[link].next) {
        s = build(b, b->p->link[link].node, depth + 1, &v->item[i]);
        if (!s) v->count++;
    }
    return !s && v->kind == RN_DICT ? rn_dict_unique(v, b->p->path) : s;
}

static rn_status make_container(struct builder *b, uint32_t id, int depth, struct rn_value **out)
{
    struct rn_node *n = &b->p->node[id];
    struct rn_value *v = n->kind == RN_NODE_LIST    ? rn_list()
                         : n->kind == RN_NODE_TUPLE ? rn_tuple()
                                                    : rn_dict(n->ordered);
    if (!v) return RN_ENOMEM;
    if (n->open) {
        rn_value_free(v);
        return tree_fail(b, "a container contains itself");
    }
    n->open = true;
    rn_status s = make_items(b, id, depth, v);
    n->open = false;
    if (s) rn_value_free(v);
    else *out = v;
    return s;
}

static rn_status build(struct builder *b, uint32_t id, int depth, struct rn_value **out)
{
    const struct rn_node *n = &b->p->node[id];
    if (b->values == 0) return tree_fail(b, "more than a million values");
    b->values--;
    switch (n->kind) {
    case RN_NODE_NONE: *out = rn_none(); break;
    case RN_NODE_BOOL: *out = rn_boolean(n->as.integer != 0); break;
    case RN_NODE_INT: *out = rn_integer(n->as.integer); break;
    case RN_NODE_REAL: *out = rn_real(n->as.real); break;
    case RN_NODE_TEXT: return make_text(b, n, out);
    case RN_NODE_TENSOR: return make_tensor(b, n, out);
    case RN_NODE_LIST:
    case RN_NODE_TUPLE:
    case RN_NODE_DICT: return make_container(b, id, depth, out);
    case RN_NODE_GLOBAL: return tree_fail(b, "a class or function stands where a value must be");
    case RN_NODE_STORAGE: return tree_fail(b, "a storage stands where a value must be");
    default: return tree_fail(b, "a Parameter without a tensor");
    }
    return *out ? RN_OK : RN_ENOMEM;
}

rn_status rn_pickle_tree(struct rn_pickle *p, uint32_t root, uint64_t tensor_limit,
                         struct rn_value **tree, struct rn_pending_list *pending)
{
    struct builder b = { .p = p, .pending = pending, .values = RN_PICKLE_NODES,
                         .text_bytes = RN_PICKLE_LIMIT, .tensor_bytes = tensor_limit };
    *tree = NULL;
    return build(&b, root, 0, tree);
}
