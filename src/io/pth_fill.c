/*
 * pth_fill.c - storages become tensors: dense, row-major, owned.
 *
 * Tensors that share a storage are filled together, and the storage's own memory becomes the data
 * of the last one that covers all of it, so that the common case copies nothing.
 */
#include "io/pth.h"

#include "base/mem.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int by_storage(const void *a, const void *b)
{
    const struct rn_pending *x = a, *y = b;
    int order = strcmp(x->storage->key, y->storage->key);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* Row-major and without gaps; strides of sizes 0 and 1 do not matter. */
static bool dense(const struct rn_strided *t)
{
    int64_t step = 1;
    for (int i = t->dims; i-- > 0; step *= t->shape[i])
        if (t->shape[i] != 1 && t->stride[i] != step) return false;
    return true;
}

static bool covers(const struct rn_pending *x)
{
    return x->tensor->offset == 0 && x->storage->first == 0 &&
           x->tensor->count == x->storage->numel && (x->tensor->count == 0 || dense(x->tensor));
}

/* dst, dense <- the elements of t, whose first one is at src. */
static void gather(unsigned char *dst, const unsigned char *src, const struct rn_strided *t,
                   size_t item)
{
    int64_t index[RN_MAX_DIMS] = { 0 }, at = 0;
    if (dense(t)) {
        memcpy(dst, src, (size_t)t->count * item);
        return;
    }
    for (int64_t n = 0; n < t->count; n++) {
        memcpy(dst + (size_t)n * item, src + (size_t)at * item, item);
        for (int i = t->dims; i-- > 0;) {
            at += t->stride[i];
            if (++index[i] < t->shape[i]) break;
            at -= t->stride[i] * t->shape[i];
            index[i] = 0;
        }
    }
}

/* The `n` tensors at x are those of one storage, whose memory is `data`; returns what of it is not
 * given away. */
static rn_status fill_one(struct rn_pending *x, size_t n, unsigned char **data)
{
    size_t item = rn_dtype_bytes(x->storage->dtype), heir = n;
    for (size_t i = 0; i < n; i++)
        if (covers(&x[i])) heir = i;
    for (size_t i = 0; i < n; i++) {
        struct rn_tensor *t = &x[i].value->tensor;
        if (i == heir) continue;
        if (!(t->data = rn_alloc_array((size_t)t->count, item))) return RN_ENOMEM;
        t->owned = true;
        if (t->count)
            gather(t->data, *data + (size_t)(x[i].storage->first + x[i].tensor->offset) * item,
                   x[i].tensor, item);
    }
    if (heir < n) {
        x[heir].value->tensor.data = *data;
        x[heir].value->tensor.owned = true;
        *data = NULL;
    }
    return RN_OK;
}

rn_status rn_pending_fill(struct rn_pending_list *list, const char *path, rn_storage_reader *read,
                          void *context)
{
    rn_status s = RN_OK;
    size_t n;
    if (list->count) qsort(list->item, list->count, sizeof *list->item, by_storage);
    for (size_t i = 0; i < list->count && !s; i += n) {
        struct rn_pending *x = &list->item[i];
        for (n = 1; i + n < list->count && !strcmp(x[n].storage->key, x->storage->key); n++)
            if (x[n].storage->dtype != x->storage->dtype ||
                x[n].storage->numel != x->storage->numel)
                return rn_fail(RN_EINPUT,
                               "%s: storage %s is described in two ways: %" PRId64
                               " x %s and %" PRId64 " x %s",
                               path, x->storage->key, x->storage->numel,
                               rn_dtype_name(x->storage->dtype), x[n].storage->numel,
                               rn_dtype_name(x[n].storage->dtype));
        size_t item = rn_dtype_bytes(x->storage->dtype);
        unsigned char *data = NULL;
        s = read(context, x->storage, NULL); /* the file has it: only then is memory taken */
        if (!s && !(data = rn_alloc_array((size_t)x->storage->numel, item))) s = RN_ENOMEM;
        if (!s) s = read(context, x->storage, data);
        if (!s) s = fill_one(x, n, &data);
        rn_free(data);
    }
    return s;
}
