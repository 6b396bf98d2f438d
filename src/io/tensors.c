/*
 * tensors.c - flat lists of named tensors, and reading any file of tensors by what it is.
 */
#include "io/io.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/source.h"

#include <string.h>

#define TENSORS_LIMIT ((size_t)1 << 20)

const char *rn_format_name(enum rn_format f)
{
    static const char *const name[] = {
        [RN_FORMAT_PTH_ZIP] = "pth (zip)",
        [RN_FORMAT_PTH_STREAM] = "pth (stream, before PyTorch 1.6)",
        [RN_FORMAT_PTH_TAR] = "pth (tar, 2017)",
        [RN_FORMAT_PICKLE] = "pickle without its storages",
        [RN_FORMAT_SAFETENSORS] = "safetensors",
        [RN_FORMAT_NPZ] = "npz",
        [RN_FORMAT_NPY] = "npy",
    };
    return name[f];
}

void rn_tensors_free(struct rn_tensors *t)
{
    for (size_t i = 0; i < t->count; i++) {
        rn_free(t->item[i].name);
        if (t->item[i].tensor.owned) rn_free(t->item[i].tensor.data);
    }
    rn_free(t->item);
    *t = (struct rn_tensors){ 0 };
}

static rn_status check_name(const char *name)
{
    char shown[128];
    size_t n = strlen(name);
    if (n == 0) return rn_fail(RN_EINPUT, "a tensor has an empty name");
    if (n >= RN_MAX_TENSOR_NAME)
        return rn_fail(RN_EINPUT, "a tensor's name has %zu letters; the limit is %d", n,
                       RN_MAX_TENSOR_NAME - 1);
    if (!rn_text_valid(name, n))
        return rn_fail(RN_EINPUT, "a tensor's name \"%s\" is not UTF-8",
                       rn_printable(shown, sizeof shown, name, n));
    return RN_OK;
}

rn_status rn_tensors_add(struct rn_tensors *t, const char *name, const struct rn_tensor *tensor)
{
    char *copy = NULL;
    rn_status s = check_name(name);
    if (!s) s = rn_grow(&t->item, t->count, &t->capacity, sizeof *t->item, TENSORS_LIMIT);
    if (!s && !(copy = rn_strdup(name))) s = RN_ENOMEM;
    if (s) {
        if (tensor->owned) rn_free(tensor->data);
        return s;
    }
    uint32_t crc = tensor->data
        ? rn_crc_items(0, tensor->data, (size_t)tensor->count, rn_dtype_bytes(tensor->dtype)) : 0;
    t->item[t->count++] = (struct rn_named){ .name = copy, .tensor = *tensor, .crc = crc };
    return RN_OK;
}

const struct rn_named *rn_tensors_find(const struct rn_tensors *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (!strcmp(t->item[i].name, name)) return &t->item[i];
    return NULL;
}

rn_status rn_recognise(enum rn_format *format, const char *path)
{
    struct rn_source source;
    rn_status s = rn_source_open(&source, path);
    if (s) return s;
    s = rn_sniff(&source, format);
    rn_source_close(&source);
    return s;
}

rn_status rn_tensors_read(struct rn_tensors *t, enum rn_format *format, const char *path)
{
    struct rn_value *root;
    enum rn_format f;
    *t = (struct rn_tensors){ 0 };
    rn_status s = rn_recognise(&f, path);
    if (s) return s;
    switch (f) {
    case RN_FORMAT_SAFETENSORS: s = rn_safetensors_read(t, path); break;
    case RN_FORMAT_NPZ: case RN_FORMAT_NPY: s = rn_npz_read(t, path); break;
    default:
        s = rn_pth_read(&root, &f, path);
        if (!s) s = rn_state_dict(t, root, path);
        else root = NULL;
        rn_value_free(root);
    }
    if (!s && format) *format = f;
    return s;
}
