/*
 * pth_state.c - finds the state dict inside a checkpoint, under the names that programs give it.
 */
#include "io/io.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/pth.h"

#include <stdlib.h>
#include <string.h>

/* Where training programs keep the weights, most specific first. */
static const char *const wrappers[] = {
    "model_state_dict", "state_dict", "model_state", "model",          "net",
    "network",          "weights",    "params",      "ema_state_dict", "ema"
};

static bool holds_tensors(const struct rn_value *v)
{
    if (!v || v->kind != RN_DICT) return false;
    for (size_t i = 1; i < v->count; i += 2)
        if (v->item[i]->kind == RN_TENSOR) return true;
    return false;
}

struct rn_value *rn_state_dict_find(struct rn_value *root)
{
    for (size_t i = 0; i < RN_COUNT(wrappers); i++) {
        struct rn_value *inner = rn_dict_get(root, wrappers[i]), *deeper;
        if (holds_tensors(inner)) return inner;
        if (inner && inner->kind == RN_DICT && (deeper = rn_dict_get(inner, "state_dict")) &&
            holds_tensors(deeper))
            return deeper;
    }
    return holds_tensors(root) ? root : NULL;
}

/* Moves the tensor out of the value: the list owns its data from here on. */
static rn_status move(struct rn_tensors *t, const char *name, struct rn_value *v)
{
    struct rn_tensor tensor = v->tensor;
    v->tensor.owned = false;
    return rn_tensors_add(t, name, &tensor);
}

/* How many letters `module.` takes in front of every tensor's name: 7, or 0 if one does without. */
static size_t prefix(const struct rn_value *dict)
{
    for (size_t i = 0; i < dict->count; i += 2)
        if (dict->item[i + 1]->kind == RN_TENSOR &&
            (dict->item[i]->kind != RN_STRING || strncmp(dict->item[i]->text, "module.", 7)))
            return 0;
    return 7;
}

static rn_status take_dict(struct rn_tensors *t, struct rn_value *dict)
{
    size_t skip = prefix(dict);
    rn_status s = RN_OK;
    for (size_t i = 0; i < dict->count && !s; i += 2) {
        if (dict->item[i + 1]->kind != RN_TENSOR) continue;
        s = dict->item[i]->kind == RN_STRING
                ? move(t, dict->item[i]->text + skip, dict->item[i + 1])
                : rn_fail(RN_EINPUT, "a tensor's name is no text");
    }
    return s;
}

/* Every tensor of the tree, named by its path: "encoder.conv1.weight", "0.bias". */
static rn_status take_tree(struct rn_tensors *t, struct rn_value *v, struct rn_text *name)
{
    size_t length = name->length;
    rn_status s = RN_OK;
    if (v->kind == RN_TENSOR) return move(t, length ? name->data : "tensor", v);
    size_t step = v->kind == RN_DICT ? 2 : 1;
    for (size_t i = 0; i < v->count && !s; i += step) {
        const struct rn_value *key = v->item[i];
        const char *dot = length ? "." : "";
        if (v->kind != RN_DICT) rn_text_add(name, "%s%zu", dot, i);
        else if (key->kind == RN_STRING) rn_text_add(name, "%s%s", dot, key->text);
        else rn_text_add(name, "%s%lld", dot, (long long)key->integer);
        s = rn_text_status(name);
        if (!s) s = take_tree(t, v->item[i + step - 1], name);
        name->length = length;
        if (name->data) name->data[length] = '\0';
    }
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

rn_status rn_tensors_unique(const struct rn_tensors *t, const char *path)
{
    const char **name = rn_alloc_array(t->count, sizeof *name);
    if (!name) return RN_ENOMEM;
    for (size_t i = 0; i < t->count; i++) name[i] = t->item[i].name;
    if (t->count) qsort(name, t->count, sizeof *name, by_name);
    rn_status s = RN_OK;
    for (size_t i = 1; i < t->count && !s; i++)
        if (!strcmp(name[i - 1], name[i])) {
            char shown[RN_MAX_TENSOR_NAME];
            s = rn_fail(RN_EINPUT, "%s: tensor %s is there twice", path,
                        rn_printable(shown, sizeof shown, name[i], strlen(name[i])));
        }
    rn_free(name);
    return s;
}

rn_status rn_state_dict(struct rn_tensors *t, struct rn_value *root, const char *path)
{
    struct rn_text name = { 0 };
    struct rn_value *dict = rn_state_dict_find(root);
    *t = (struct rn_tensors){ 0 };
    rn_status s = dict ? take_dict(t, dict) : take_tree(t, root, &name);
    rn_text_free(&name);
    if (s == RN_EINPUT) s = rn_fail_in(s, path);
    if (!s && t->count == 0) s = rn_fail(RN_EINPUT, "%s: holds no tensors", path);
    if (!s) s = rn_tensors_unique(t, path);
    if (s) rn_tensors_free(t);
    return s;
}

/* The tensors as an ordered dictionary that borrows their data; NULL when out of memory. */
static struct rn_value *as_dict(const struct rn_tensors *t)
{
    struct rn_value *dict = rn_dict(true);
    for (size_t i = 0; i < t->count && dict; i++) {
        const struct rn_tensor *x = &t->item[i].tensor;
        struct rn_value *v = rn_tensor_value(x->dtype, x->dims, x->shape, x->data, false);
        if (v) v->tensor.parameter = x->parameter;
        if (rn_dict_set(dict, t->item[i].name, v)) {
            rn_value_free(dict);
            dict = NULL;
        }
    }
    return dict;
}

rn_status rn_state_dict_write(const char *path, const struct rn_tensors *t)
{
    struct rn_value *dict = as_dict(t);
    rn_status s = dict ? rn_pth_write(path, dict) : RN_ENOMEM;
    rn_value_free(dict);
    return s;
}
