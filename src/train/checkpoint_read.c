/*
 * checkpoint_read.c - opens a file of weights of any format and finds in it the state dict, and
 * what a checkpoint of ours says beside it.  Judging whether it fits a net is weights.c and
 * resume.c.
 */
#include "train/trainer.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* -- names ------------------------------------------------------------------------------------- */

/* What follows "layerS.B.", or NULL where the name is not of a block. */
static const char *inside_block(const char *name)
{
    if (strncmp(name, "layer", 5)) return NULL;
    const char *p = name + 5;
    for (int i = 0; i < 2; i++) {
        size_t digits = strspn(p, "0123456789");
        if (!digits || p[digits] != '.') return NULL;
        p += digits + 1;
    }
    return p;
}

static bool starts_with_any(const char *s, const char *const *prefix, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strncmp(s, prefix[i], strlen(prefix[i]))) return true;
    return false;
}

static bool torchvision_name(const char *name)
{
    static const char *const top[] = { "conv1.", "bn1.", "fc." };
    static const char *const inner[] = { "conv1.", "conv2.", "conv3.", "bn1.", "bn2.", "bn3.",
                                         "downsample.0.", "downsample.1." };
    const char *in = inside_block(name);
    return in ? starts_with_any(in, inner, RN_COUNT(inner))
              : starts_with_any(name, top, RN_COUNT(top));
}

const char *rn_checkpoint_foreign(const struct rn_checkpoint *c)
{
    for (size_t i = 0; i < c->tensors.count; i++)
        if (!torchvision_name(c->tensors.item[i].name)) return c->tensors.item[i].name;
    return NULL;
}

/* Basic blocks written as nn.Sequential (conv, bn, relu, conv, bn, then the shortcut) get
 * torchvision's names: layer1.0.3.weight is layer1.0.conv2.weight. */
static rn_status rename_sequential(struct rn_named *item)
{
    static const struct { const char *from, *to; } part[] = {
        { "0.", "conv1." }, { "1.", "bn1." }, { "3.", "conv2." }, { "4.", "bn2." },
        { "5.0.", "downsample.0." }, { "5.1.", "downsample.1." },
    };
    const char *in = inside_block(item->name);
    for (size_t i = 0; in && i < RN_COUNT(part); i++) {
        size_t length = strlen(part[i].from);
        if (strncmp(in, part[i].from, length)) continue;
        size_t bytes = strlen(item->name) + strlen(part[i].to) + 1;
        char *name = rn_alloc(bytes);
        if (!name) return RN_ENOMEM;
        snprintf(name, bytes, "%.*s%s%s", (int)(in - item->name), item->name, part[i].to,
                 in + length);
        rn_free(item->name);
        item->name = name;
        return RN_OK;
    }
    return RN_OK;
}

/* -- opening ----------------------------------------------------------------------------------- */
static rn_status read_file(struct rn_checkpoint *c)
{
    enum rn_format format;
    rn_status status = rn_pth_read(&c->root, &format, c->path);
    if (status == RN_OK) return rn_state_dict(&c->tensors, c->root, c->path);
    if (status != RN_EINPUT) return status;
    /* Another format, or else the better message. */
    return rn_tensors_read(&c->tensors, &format, c->path);
}

rn_status rn_checkpoint_open(struct rn_checkpoint **out, const char *path)
{
    *out = NULL;
    struct rn_checkpoint *c = rn_alloc(sizeof *c);
    if (!c) return RN_ENOMEM;
    rn_status status = RN_ENOMEM;
    if ((c->path = rn_strdup(path))) status = read_file(c);
    for (size_t i = 0; status == RN_OK && i < c->tensors.count; i++)
        status = rename_sequential(&c->tensors.item[i]);
    if (status) {
        rn_checkpoint_free(c);
        return status;
    }
    c->own = rn_dict_get(c->root, "resnet_c");
    if (c->own && c->own->kind != RN_DICT) c->own = NULL;
    c->arguments = rn_dict_get(c->own, "arguments");
    if (c->arguments && c->arguments->kind != RN_DICT) c->arguments = NULL;
    if (rn_dict_get(c->own, RN_TRAINING_WEIGHTS))
        status = rn_state_dict(&c->training, rn_dict_get(c->own, RN_TRAINING_WEIGHTS), path);
    if (status) rn_checkpoint_free(c);
    else *out = c;
    return status;
}

void rn_checkpoint_free(struct rn_checkpoint *c)
{
    if (!c) return;
    rn_tensors_free(&c->tensors);
    rn_tensors_free(&c->training);
    rn_value_free(c->root);
    rn_free(c->path);
    rn_free(c);
}

const char *rn_checkpoint_text(const struct rn_checkpoint *c, const char *key)
{
    const struct rn_value *v = rn_dict_get(c->own, key);
    return v && v->kind == RN_STRING ? v->text : NULL;
}

int64_t rn_checkpoint_int(const struct rn_checkpoint *c, const char *key, int64_t otherwise)
{
    const struct rn_value *v = rn_dict_get(c->own, key);
    return v && v->kind == RN_INT ? v->integer : otherwise;
}

int rn_checkpoint_shape(void *arg, const char *name, int64_t dims[8])
{
    const struct rn_checkpoint *c = arg;
    const struct rn_named *n = rn_tensors_find(&c->tensors, name);
    if (!n) return 0;
    for (int i = 0; i < n->tensor.dims; i++) dims[i] = n->tensor.shape[i];
    return n->tensor.dims;
}
