/*
 * safetensors.c - a JSON header between its length and one block of tensor data.
 *
 * Read strictly: the tensors must fill the block exactly, without holes, overlaps or bytes after
 * them. Written as a pure function of the tensors: keys sorted by byte; data by falling element
 * size, then name, so that every tensor is aligned to its element.  Format: the safetensors README,
 * "Format".
 */
#include "io/io.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/pth.h"
#include "io/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT ((uint64_t)100 << 20)

static const char *const type_name[] = {
    [RN_F32] = "F32", [RN_F64] = "F64", [RN_F16] = "F16", [RN_BF16] = "BF16", [RN_I64] = "I64",
    [RN_I32] = "I32", [RN_I16] = "I16", [RN_I8] = "I8", [RN_U8] = "U8", [RN_BOOL] = "BOOL",
};

struct entry { const char *name; struct rn_tensor tensor; uint64_t begin, end; size_t order; };

/* -- reading ----------------------------------------------------------------------------------- */

static rn_status bad(const char *path, const char *name, const char *what)
{
    char shown[128];
    return rn_fail(RN_EINPUT, "%s: safetensors header: %s: %s", path,
                   rn_printable(shown, sizeof shown, name, strlen(name)), what);
}

static bool natural(const struct rn_value *v, int64_t *x)
{
    *x = v->integer;
    return v->kind == RN_INT && v->integer >= 0;
}

static rn_status read_shape(struct entry *e, const struct rn_value *shape, const char *path)
{
    struct rn_tensor *t = &e->tensor;
    if (!shape || shape->kind != RN_LIST) return bad(path, e->name, "shape is no list");
    if (shape->count > RN_MAX_DIMS)
        return bad(path, e->name, "shape has more than 8 dimensions");
    t->dims = (int)shape->count;
    for (int i = 0; i < t->dims; i++)
        if (!natural(shape->item[i], &t->shape[i]))
            return bad(path, e->name, "shape holds what is no integer from 0 up");
    if (!rn_shape_count(&t->count, t->shape, t->dims))
        return bad(path, e->name, "shape has more than 2^56 elements");
    if ((uint64_t)t->count * rn_dtype_bytes(t->dtype) != e->end - e->begin)
        return bad(path, e->name, "shape and dtype do not make the bytes of data_offsets");
    return RN_OK;
}

static rn_status read_entry(struct entry *e, const struct rn_value *v, const char *path)
{
    int64_t begin, end;
    size_t type = 0;
    const struct rn_value *dtype = rn_dict_get(v, "dtype"),
                          *offsets = rn_dict_get(v, "data_offsets");
    if (v->kind != RN_DICT || v->count != 6)
        return bad(path, e->name, "is no object of dtype, shape and data_offsets");
    if (!dtype || dtype->kind != RN_STRING) return bad(path, e->name, "dtype is no string");
    while (type < RN_COUNT(type_name) && strcmp(type_name[type], dtype->text)) type++;
    if (type == RN_COUNT(type_name)) {
        char shown[64];
        return rn_fail(RN_EINPUT, "%s: safetensors header: dtype %s is not supported", path,
                       rn_printable(shown, sizeof shown, dtype->text, dtype->length));
    }
    e->tensor.dtype = (enum rn_dtype)type;
    if (!offsets || offsets->kind != RN_LIST || offsets->count != 2 ||
        !natural(offsets->item[0], &begin) || !natural(offsets->item[1], &end) || begin > end)
        return bad(path, e->name, "data_offsets are not two rising integers");
    e->begin = (uint64_t)begin;
    e->end = (uint64_t)end;
    return read_shape(e, rn_dict_get(v, "shape"), path);
}

static rn_status check_metadata(const struct rn_value *v, const char *path)
{
    if (v->kind != RN_DICT) return bad(path, "__metadata__", "is no object");
    for (size_t i = 1; i < v->count; i += 2)
        if (v->item[i]->kind != RN_STRING)
            return bad(path, "__metadata__", "holds what is no string");
    return RN_OK;
}

static int by_begin(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_order(const void *a, const void *b)
{
    return (((const struct entry *)a)->order > ((const struct entry *)b)->order) -
           (((const struct entry *)a)->order < ((const struct entry *)b)->order);
}

/* The entries of the header in its order, checked to fill `bytes` of data exactly. */
static rn_status read_entries(struct entry *e, size_t *count, const struct rn_value *header,
                              uint64_t bytes, const char *path)
{
    rn_status s = RN_OK;
    size_t n = 0;
    for (size_t i = 0; i < header->count && !s; i += 2) {
        const char *name = header->item[i]->text;
        if (!strcmp(name, "__metadata__")) s = check_metadata(header->item[i + 1], path);
        else {
            e[n] = (struct entry){ .name = name, .order = n };
            s = read_entry(&e[n++], header->item[i + 1], path);
        }
    }
    if (s) return s;
    qsort(e, n, sizeof *e, by_begin);
    uint64_t at = 0;
    for (size_t i = 0; i < n; at = e[i++].end)
        if (e[i].begin != at)
            return bad(path, e[i].name,
                       e[i].begin < at ? "overlaps another tensor"
                                       : "bytes before it belong to no tensor");
    if (at != bytes)
        return rn_fail(RN_EINPUT,
                       "%s: safetensors: the tensors end at byte %" PRIu64
                       " of the data, the file at %" PRIu64,
                       path, at, bytes);
    qsort(e, n, sizeof *e, by_order);
    *count = n;
    return RN_OK;
}

static rn_status read_data(struct rn_tensors *t, struct entry *e, const struct rn_source *source,
                           uint64_t base)
{
    size_t item = rn_dtype_bytes(e->tensor.dtype);
    rn_status s;
    if (!(e->tensor.data = rn_alloc_array((size_t)e->tensor.count, item))) return RN_ENOMEM;
    e->tensor.owned = true;
    s = rn_source_read(source, e->tensor.data, base + e->begin, e->end - e->begin, e->name);
    if (s) {
        rn_free(e->tensor.data);
        return s;
    }
    if (RN_HOST_BIG) rn_swap(e->tensor.data, (size_t)e->tensor.count, item);
    s = rn_tensors_add(t, e->name, &e->tensor);
    return s == RN_EINPUT ? rn_fail_in(s, source->path) : s;
}

static rn_status read_header(struct rn_value **header, uint64_t *length,
                             const struct rn_source *source)
{
    unsigned char b[8], *text;
    rn_status s = rn_source_read(source, b, 0, 8, "the header's length");
    if (s) return s;
    *length = rn_get64(b);
    if (*length > HEADER_LIMIT || *length > source->size - 8)
        return rn_fail(RN_EINPUT,
                       "%s: offset 0: a safetensors header of %" PRIu64
                       " bytes; the file has %" PRIu64 ", the limit is 100 MB",
                       source->path, *length, source->size);
    s = rn_source_take(source, &text, 8, *length, "the header");
    if (s) return s;
    if (text[0] != '{')
        s = rn_fail(RN_EINPUT, "%s: offset 8: the safetensors header does not begin with {",
                    source->path);
    else s = rn_json_parse(header, (const char *)text, (size_t)*length, source->path);
    rn_free(text);
    return s;
}

rn_status rn_safetensors_read(struct rn_tensors *t, const char *path)
{
    struct rn_source source;
    struct rn_value *header = NULL;
    struct entry *e = NULL;
    uint64_t length = 0;
    size_t count = 0;
    *t = (struct rn_tensors){ 0 };
    rn_status s = rn_source_open(&source, path);
    if (s) return s;
    s = read_header(&header, &length, &source);
    if (!s && !(e = rn_alloc_array(header->count / 2 + 1, sizeof *e))) s = RN_ENOMEM;
    if (!s) s = read_entries(e, &count, header, source.size - 8 - length, path);
    for (size_t i = 0; i < count && !s; i++) s = read_data(t, &e[i], &source, 8 + length);
    rn_free(e);
    rn_value_free(header);
    rn_source_close(&source);
    if (s) rn_tensors_free(t);
    return s;
}

/* -- writing ----------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int by_size_and_name(const void *a, const void *b)
{
    size_t x = rn_dtype_bytes(((const struct entry *)a)->tensor.dtype);
    size_t y = rn_dtype_bytes(((const struct entry *)b)->tensor.dtype);
    return x != y ? (x < y ? 1 : -1) : by_name(a, b);
}

static void put_header(struct rn_text *h, const struct entry *e, size_t count)
{
    rn_text_add(h, "{");
    for (size_t i = 0; i < count; i++, e++) {
        if (i) rn_text_add(h, ",");
        rn_text_json(h, e->name);
        rn_text_add(h, ":{\"dtype\":\"%s\",\"shape\":[", type_name[e->tensor.dtype]);
        for (int d = 0; d < e->tensor.dims; d++)
            rn_text_add(h, "%s%" PRId64, d ? "," : "", e->tensor.shape[d]);
        rn_text_add(h, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", e->begin, e->end);
    }
    rn_text_add(h, "}");
    while (!h->failed && h->length % 8) rn_text_add(h, " ");
}

static rn_status write_all(const char *path, const struct rn_text *header, const struct entry *e,
                           size_t count)
{
    struct rn_writer w;
    unsigned char length[8];
    rn_put(length, header->length, 8);
    rn_status s = rn_writer_open(&w, path);
    if (s) return s;
    s = rn_writer_bytes(&w, length, 8);
    if (!s) s = rn_writer_bytes(&w, header->data, header->length);
    for (size_t i = 0; i < count && !s; i++)
        s = rn_write_items(&w, e[i].tensor.data, (size_t)e[i].tensor.count,
                           rn_dtype_bytes(e[i].tensor.dtype));
    if (!s) s = rn_writer_commit(&w);
    rn_writer_abort(&w);
    return s;
}

rn_status rn_safetensors_write(const char *path, const struct rn_tensors *t)
{
    struct rn_text header = { 0 };
    struct entry *e = rn_alloc_array(t->count + 1, sizeof *e);
    rn_status s = e ? rn_tensors_unique(t, path) : RN_ENOMEM;
    for (size_t i = 0; i < t->count && !s; i++) {
        e[i] = (struct entry){ .name = t->item[i].name, .tensor = t->item[i].tensor };
        if (!e[i].tensor.data)
            s = rn_fail(RN_EINPUT, "%s: tensor %s has no values to write", path, e[i].name);
        if (!strcmp(e[i].name, "__metadata__"))
            s = rn_fail(RN_EINPUT, "%s: no tensor can be called __metadata__", path);
    }
    if (!s) {
        uint64_t at = 0;
        qsort(e, t->count, sizeof *e, by_size_and_name);
        for (size_t i = 0; i < t->count; i++) {
            e[i].begin = at;
            e[i].end = at += (uint64_t)e[i].tensor.count * rn_dtype_bytes(e[i].tensor.dtype);
        }
        qsort(e, t->count, sizeof *e, by_name);
        put_header(&header, e, t->count);
        qsort(e, t->count, sizeof *e, by_size_and_name);
        s = rn_text_status(&header);
    }
    if (!s) s = write_all(path, &header, e, t->count);
    rn_text_free(&header);
    rn_free(e);
    return s;
}
