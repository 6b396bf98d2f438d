/*
 * npz.c - NumPy's files: one array (.npy), or a zip of them (.npz), stored or deflated.
 */
#include "io/io.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/npy.h"
#include "io/pth.h"
#include "io/source.h"
#include "io/zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that deflated arrays may take: 64 for each byte of the file, and this. */
#define UNPACKED_SLACK ((uint64_t)64 << 20)

/* -- reading ----------------------------------------------------------------------------------- */

/* An array whose whole file is `bytes` of memory, which this takes over: the data moves to its
 * beginning. */
static rn_status add_array(struct rn_tensors *t, const char *name, unsigned char *file,
                           uint64_t bytes, const char *path)
{
    struct rn_npy h;
    size_t header = 0;
    void *data = file;
    rn_status s = rn_npy_header_bytes(&header, file, (size_t)RN_MIN(bytes, RN_NPY_PREFIX), path);
    if (!s && header > bytes)
        s = rn_fail(RN_EINPUT, "%s: truncated: a NumPy header of %zu bytes in %" PRIu64, path,
                    header, bytes);
    if (!s) s = rn_npy_parse(&h, file, header, bytes - header, path);
    if (!s && (uint64_t)h.tensor.count * rn_dtype_bytes(h.tensor.dtype) != bytes - header)
        s = rn_fail(RN_EINPUT,
                    "%s: %s: %" PRIu64 " bytes follow the NumPy header, its shape needs %" PRIu64,
                    path, name, bytes - header,
                    (uint64_t)h.tensor.count * rn_dtype_bytes(h.tensor.dtype));
    if (!s) {
        memmove(file, file + header, (size_t)(bytes - header));
        s = rn_npy_arrange(&h, &data);
    }
    if (s) {
        rn_free(data);
        return s;
    }
    h.tensor.data = data;
    h.tensor.owned = true;
    s = rn_tensors_add(t, name, &h.tensor);
    return s == RN_EINPUT ? rn_fail_in(s, path) : s;
}

static rn_status read_entry(struct rn_tensors *t, const struct rn_zip *zip, struct rn_zip_entry *e)
{
    char name[RN_MAX_TENSOR_NAME];
    const char *path = zip->source->path;
    size_t n = strlen(e->name);
    if (n < 5 || n - 4 >= sizeof name || strcmp(e->name + n - 4, ".npy")) {
        char shown[128];
        return rn_fail(RN_EINPUT, "%s: entry %s is no array (NAME.npy, NAME of at most %d letters)",
                       path, rn_printable(shown, sizeof shown, e->name, n), RN_MAX_TENSOR_NAME - 1);
    }
    memcpy(name, e->name, n - 4);
    name[n - 4] = '\0';
    unsigned char *file = rn_alloc((size_t)e->size);
    if (!file) return RN_ENOMEM;
    rn_status s = rn_zip_read(zip, e, file);
    if (s) rn_free(file);
    return s ? s : add_array(t, name, file, e->size, path);
}

static rn_status read_zip(struct rn_tensors *t, const struct rn_source *source)
{
    struct rn_zip zip;
    uint64_t total = 0, most = source->size * 64 + UNPACKED_SLACK;
    rn_status s = rn_zip_open(&zip, source);
    if (s) return s;
    for (size_t i = 0; i < zip.count && !s; i++) {
        if (zip.entry[i].size > most - total)
            s = rn_fail(RN_EINPUT, "%s: unpacks to more than %" PRIu64 " bytes", source->path,
                        most);
        else total += zip.entry[i].size;
    }
    for (size_t i = 0; i < zip.count && !s; i++) s = read_entry(t, &zip, &zip.entry[i]);
    rn_zip_close(&zip);
    return s;
}

rn_status rn_npz_read(struct rn_tensors *t, const char *path)
{
    struct rn_source source;
    enum rn_format format;
    unsigned char *file;
    *t = (struct rn_tensors){ 0 };
    rn_status s = rn_source_open(&source, path);
    if (s) return s;
    s = rn_sniff(&source, &format);
    if (!s && format == RN_FORMAT_NPZ) s = read_zip(t, &source);
    else if (!s && format == RN_FORMAT_NPY) {
        s = rn_source_take(&source, &file, 0, source.size, "the array");
        if (!s) s = add_array(t, "array", file, source.size, path);
    } else if (!s)
        s = rn_fail(RN_EINPUT, "%s: is %s, not .npz or .npy", path, rn_format_name(format));
    rn_source_close(&source);
    if (s) rn_tensors_free(t);
    return s;
}

/* -- writing ----------------------------------------------------------------------------------- */

static rn_status check(const struct rn_tensor *t, const char *name)
{
    return t->data ? RN_OK : rn_fail(RN_EINPUT, "tensor %s has no values to write", name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct rn_named *const *)a)->name,
                  (*(const struct rn_named *const *)b)->name);
}

static rn_status put_array(struct rn_zip_writer *zip, const struct rn_named *x)
{
    unsigned char header[RN_NPY_HEADER_MAX];
    char name[RN_MAX_TENSOR_NAME + 4];
    size_t bytes = 0, n = strlen(x->name);
    memcpy(name, x->name, n);
    memcpy(name + n, ".npy", 5);
    rn_status s = check(&x->tensor, x->name);
    if (!s && !rn_zip_name_is_plain(name, n + 4))
        s = rn_fail(RN_EINPUT, "tensor %s: no entry of an archive can be called so", x->name);
    if (!s) s = rn_npy_header(header, &bytes, &x->tensor);
    return s ? s
             : rn_zip_put(zip, name, header, bytes, x->tensor.data, (size_t)x->tensor.count,
                          rn_dtype_bytes(x->tensor.dtype));
}

rn_status rn_npz_write(const char *path, const struct rn_tensors *t)
{
    struct rn_zip_writer zip;
    const struct rn_named **x = rn_alloc_array(t->count + 1, sizeof *x);
    if (!x) return RN_ENOMEM;
    for (size_t i = 0; i < t->count; i++) x[i] = &t->item[i];
    qsort(x, t->count, sizeof *x, by_name);
    rn_status s = rn_tensors_unique(t, path);
    if (!s) {
        s = rn_zip_begin(&zip, path);
        for (size_t i = 0; i < t->count && !s; i++)
            if ((s = put_array(&zip, x[i])) == RN_EINPUT) s = rn_fail_in(s, path);
        if (!s) s = rn_zip_commit(&zip);
        rn_zip_abort(&zip);
    }
    rn_free(x);
    return s;
}

rn_status rn_npy_write(const char *path, const struct rn_tensor *tensor)
{
    struct rn_writer w;
    unsigned char header[RN_NPY_HEADER_MAX];
    size_t bytes = 0;
    rn_status s = check(tensor, "of the array");
    if (!s) s = rn_npy_header(header, &bytes, tensor);
    if (s) return rn_fail_in(s, path);
    if ((s = rn_writer_open(&w, path)) != RN_OK) return s;
    s = rn_writer_bytes(&w, header, bytes);
    if (!s)
        s = rn_write_items(&w, tensor->data, (size_t)tensor->count, rn_dtype_bytes(tensor->dtype));
    if (!s) s = rn_writer_commit(&w);
    rn_writer_abort(&w);
    return s;
}
