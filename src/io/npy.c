/*
 * npy.c - the header of a NumPy array: a Python dictionary literal of descr, fortran_order and
 * shape, read by a small parser of just that.
 */
#include "io/npy.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER_LIMIT 65536 /* bytes; NumPy's own limit is 10,000 characters */

static const struct { char text[4]; enum rn_dtype dtype; } types[] = {
    { "f4", RN_F32 }, { "f8", RN_F64 }, { "f2", RN_F16 }, { "i8", RN_I64 }, { "i4", RN_I32 },
    { "i2", RN_I16 }, { "i1", RN_I8 }, { "u1", RN_U8 }, { "b1", RN_BOOL },
};

rn_status rn_npy_header_bytes(size_t *bytes, const unsigned char *prefix, size_t n,
                              const char *path)
{
    if (n < 10 || memcmp(prefix, "\x93NUMPY", 6))
        return rn_fail(RN_EINPUT, "%s: offset 0: no header of a NumPy array", path);
    int version = prefix[6];
    if (version < 1 || version > 3 || prefix[7] != 0)
        return rn_fail(RN_EINPUT, "%s: offset 6: npy version %d.%d; 1.0, 2.0 and 3.0 are known",
                       path, version, prefix[7]);
    if (version > 1 && n < 12)
        return rn_fail(RN_EINPUT, "%s: truncated at byte %zu: a NumPy header", path, n);
    *bytes = version == 1 ? (size_t)10 + rn_get16(prefix + 8) : (size_t)12 + rn_get32(prefix + 8);
    if (*bytes > HEADER_LIMIT)
        return rn_fail(RN_EINPUT, "%s: offset 8: a NumPy header of %zu bytes; the limit is %d",
                       path, *bytes, HEADER_LIMIT);
    return RN_OK;
}

/* -- the dictionary ---------------------------------------------------------------------------- */

struct literal { const char *p, *end; };

static void skip_space(struct literal *l)
{
    while (l->p < l->end && (*l->p == ' ' || *l->p == '\n' || *l->p == '\t')) l->p++;
}

/* Skips space, then `word` if it is there. */
static bool skip(struct literal *l, const char *word)
{
    size_t n = strlen(word);
    skip_space(l);
    if ((size_t)(l->end - l->p) < n || memcmp(l->p, word, n)) return false;
    l->p += n;
    return true;
}

/* A quoted string without escapes. */
static bool quoted(struct literal *l, const char **text, size_t *n)
{
    skip_space(l);
    if (l->p == l->end || (*l->p != '\'' && *l->p != '"')) return false;
    char quote = *l->p++;
    const char *close = memchr(l->p, quote, (size_t)(l->end - l->p));
    if (!close || memchr(l->p, '\\', (size_t)(close - l->p))) return false;
    *text = l->p;
    *n = (size_t)(close - l->p);
    l->p = close + 1;
    return true;
}

static bool natural(struct literal *l, int64_t *x)
{
    skip_space(l);
    const char *begin = l->p;
    for (*x = 0; l->p < l->end && *l->p >= '0' && *l->p <= '9'; l->p++) {
        if (*x > (INT64_MAX - 9) / 10) return false;
        *x = *x * 10 + (*l->p - '0');
    }
    if (l->p < l->end && *l->p == 'L') l->p++; /* Python 2's long */
    return l->p > begin;
}

static rn_status read_descr(struct rn_npy *h, const char *text, size_t n, const char *path)
{
    char shown[64];
    bool known = false;
    if (n == 3)
        for (size_t i = 0; i < RN_COUNT(types); i++)
            if (!memcmp(text + 1, types[i].text, 2)) {
                h->tensor.dtype = types[i].dtype;
                known = strchr("<>|=", text[0]) != NULL;
            }
    if (n > 0 && memchr(text, 'O', n))
        return rn_fail(
            RN_EINPUT,
            "%s: an array of objects: those are pickles, and nothing in a file is executed", path);
    if (!known)
        return rn_fail(RN_EINPUT, "%s: element type %s is not supported", path,
                       rn_printable(shown, sizeof shown, text, n));
    h->big = text[0] == '>' || (text[0] == '=' && RN_HOST_BIG);
    return RN_OK;
}

static bool read_shape(struct rn_npy *h, struct literal *l)
{
    h->tensor.dims = 0;
    if (!skip(l, "(")) return false;
    while (!skip(l, ")")) {
        if (h->tensor.dims == RN_MAX_DIMS || !natural(l, &h->tensor.shape[h->tensor.dims++]))
            return false;
        if (skip(l, ",")) continue;
        return h->tensor.dims > 1 && skip(l, ")");
    }
    return true;
}

static rn_status read_dict(struct rn_npy *h, struct literal *l, const char *path)
{
    const char *key, *descr;
    size_t n, m;
    int seen[3] = { 0 };
    bool ok = skip(l, "{");
    rn_status s = RN_OK;
    while (ok && !s && !skip(l, "}")) {
        if (!quoted(l, &key, &n) || !skip(l, ":")) break;
        if (n == 5 && !memcmp(key, "descr", 5)) {
            seen[0]++;
            if ((ok = quoted(l, &descr, &m))) s = read_descr(h, descr, m, path);
            else s = rn_fail(RN_EINPUT, "%s: an array of records is not supported", path);
        } else if (n == 13 && !memcmp(key, "fortran_order", 13)) {
            seen[1]++;
            h->fortran = skip(l, "True");
            ok = h->fortran || skip(l, "False");
        } else if (n == 5 && !memcmp(key, "shape", 5)) {
            seen[2]++;
            ok = read_shape(h, l);
        } else ok = false;
        if (ok && !skip(l, ",")) {
            ok = skip(l, "}");
            break;
        }
    }
    skip_space(l);
    if (s) return s;
    if (!ok || seen[0] != 1 || seen[1] != 1 || seen[2] != 1 || l->p != l->end || l->end[-1] != '\n')
        return rn_fail(RN_EINPUT,
                       "%s: a NumPy header that is not {'descr': .., 'fortran_order': .., 'shape': "
                       "..}, or more than 8 dimensions",
                       path);
    return RN_OK;
}

rn_status rn_npy_parse(struct rn_npy *h, const unsigned char *header, size_t bytes, uint64_t limit,
                       const char *path)
{
    size_t prefix = header[6] == 1 ? 10 : 12;
    struct literal l = { (const char *)header + prefix, (const char *)header + bytes };
    *h = (struct rn_npy){ .header = bytes };
    rn_status s = bytes > prefix ? read_dict(h, &l, path)
                                 : rn_fail(RN_EINPUT, "%s: an empty NumPy header", path);
    if (s) return s;
    if (!rn_shape_count(&h->tensor.count, h->tensor.shape, h->tensor.dims) ||
        (uint64_t)h->tensor.count > limit / rn_dtype_bytes(h->tensor.dtype))
        return rn_fail(RN_EINPUT,
                       "%s: a NumPy shape needs more than the %" PRIu64 " bytes there are", path,
                       limit);
    return RN_OK;
}

rn_status rn_npy_header(unsigned char out[RN_NPY_HEADER_MAX], size_t *bytes,
                        const struct rn_tensor *t)
{
    char *text = (char *)out + 10;
    size_t room = RN_NPY_HEADER_MAX - 10, n, type = 0;
    while (type < RN_COUNT(types) && types[type].dtype != t->dtype) type++;
    if (type == RN_COUNT(types))
        return rn_fail(RN_EINPUT, "NumPy has no type for %s", rn_dtype_name(t->dtype));
    n = (size_t)snprintf(text, room, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                         rn_dtype_bytes(t->dtype) == 1 ? '|' : '<', types[type].text);
    for (int i = 0; i < t->dims; i++)
        n += (size_t)snprintf(text + n, room - n, i ? ", %" PRId64 : "%" PRId64, t->shape[i]);
    n += (size_t)snprintf(text + n, room - n, t->dims == 1 ? ",), }" : "), }");
    while ((10 + n + 1) % 64) text[n++] = ' ';
    text[n++] = '\n';
    memcpy(out, "\x93NUMPY\1\0", 8);
    rn_put(out + 8, n, 2);
    *bytes = 10 + n;
    return RN_OK;
}

rn_status rn_npy_arrange(struct rn_npy *h, void **data)
{
    struct rn_tensor *t = &h->tensor;
    size_t item = rn_dtype_bytes(t->dtype), count = (size_t)t->count;
    if (h->big != RN_HOST_BIG) rn_swap(*data, count, item);
    if (!h->fortran || t->dims < 2 || count == 0) return RN_OK;
    int64_t index[RN_MAX_DIMS] = { 0 }, stride[RN_MAX_DIMS], at = 0;
    unsigned char *dense = rn_alloc_array(count, item);
    if (!dense) return RN_ENOMEM;
    stride[0] = 1;
    for (int i = 1; i < t->dims; i++) stride[i] = stride[i - 1] * t->shape[i - 1];
    for (size_t n = 0; n < count; n++) {
        memcpy(dense + n * item, (unsigned char *)*data + (size_t)at * item, item);
        for (int i = t->dims; i-- > 0;) {
            at += stride[i];
            if (++index[i] < t->shape[i]) break;
            at -= stride[i] * t->shape[i];
            index[i] = 0;
        }
    }
    rn_free(*data);
    *data = dense;
    return RN_OK;
}
