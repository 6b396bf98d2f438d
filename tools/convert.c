/*
 * convert.c - ./convert IN OUT between .pth, .safetensors, .npz and .npy, ./convert --list FILE, and
 * ./convert --images DATA FOLDER, a data set as PNG files.
 *
 * Values keep their bits.  A .pth written from a .pth keeps the whole checkpoint, unless
 * --weights-only.
 */
#include "base/mem.h"
#include "base/real.h"
#include "base/text.h"
#include "io/io.h"
#include "tools/cli/options.h"
#include "tools/convert/picture_folders.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "list", OPT_TEXT, NULL, 0, 0, NULL, "FILE",
      "print name, shape, dtype and CRC-32 of every tensor in FILE", "convert" },
    { "weights-only", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "keep the state dict and nothing else of a checkpoint", "convert" },
    { "images", OPT_TEXT, NULL, 0, 0, NULL, "DATA",
      "write a data set (cifar10:DIR, demo:64 ...) into a new FOLDER, as PNG files for --data folder:FOLDER",
      "Pictures" },
    { "classes", OPT_TEXT, NULL, 0, 0, NULL, "a,b", "only these", "Pictures" },
    { "limit", OPT_INT, "0", 0, 1e9, NULL, "N", "the first N of each class, of train and of val; 0: all", "Pictures" },
    { "size", OPT_INT, NULL, 1, 4096, NULL, "N", "pixels a side, by bilinear resampling; default: as they are",
      "Pictures" },
};

/* -- converting -------------------------------------------------------------------------------- */

enum target { TO_PTH, TO_SAFETENSORS, TO_NPZ, TO_NPY };

static rn_status target_of(enum target *target, const char *path)
{
    static const struct { const char *ending; enum target target; } endings[] = {
        { ".pth", TO_PTH }, { ".pt", TO_PTH },
        { ".th", TO_PTH },  { ".safetensors", TO_SAFETENSORS },
        { ".npz", TO_NPZ }, { ".npy", TO_NPY },
    };
    size_t n = strlen(path);
    for (size_t i = 0; i < RN_COUNT(endings); i++) {
        size_t m = strlen(endings[i].ending);
        if (n > m && !strcmp(path + n - m, endings[i].ending)) {
            *target = endings[i].target;
            return RN_OK;
        }
    }
    return rn_fail(RN_EUSAGE, "%s: the name must end in .pth, .safetensors, .npz or .npy", path);
}

static rn_status write_tensors(enum target target, const char *path, const struct rn_tensors *t)
{
    if (target == TO_SAFETENSORS) return rn_safetensors_write(path, t);
    if (target == TO_NPZ) return rn_npz_write(path, t);
    if (target == TO_NPY)
        return t->count == 1
                   ? rn_npy_write(path, &t->item[0].tensor)
                   : rn_fail(RN_EINPUT, "%s: a .npy holds one tensor, not %zu", path, t->count);
    return rn_state_dict_write(path, t);
}

static rn_status convert(const char *in, const char *out, bool weights_only)
{
    struct rn_tensors tensors = { 0 };
    struct rn_value *root = NULL;
    enum rn_format format;
    enum target target = TO_PTH;
    rn_status s = target_of(&target, out);
    if (s) return s;
    if ((s = rn_recognise(&format, in)) != RN_OK) return s;
    bool whole = target == TO_PTH && !weights_only && format <= RN_FORMAT_PICKLE;
    if (whole) {
        s = rn_pth_read(&root, &format, in);
        if (!s) s = rn_pth_write(out, root);
    } else {
        s = rn_tensors_read(&tensors, &format, in);
        if (!s) s = write_tensors(target, out, &tensors);
    }
    rn_value_free(root);
    rn_tensors_free(&tensors);
    return s;
}

/* -- listing ----------------------------------------------------------------------------------- */

struct totals { int64_t values; uint64_t bytes, zeroed, not_finite; };

/* The float that loading makes of element i, before rule A5; *bits is not zero unless the element
 * is +0. */
static float element(const struct rn_tensor *t, int64_t i, uint64_t *bits)
{
    uint16_t half = 0;
    if (t->dtype == RN_F64) {
        double x = ((const double *)t->data)[i];
        *bits = rn_bits64(x);
        return (float)x;
    }
    if (t->dtype == RN_F32) {
        float x = ((const float *)t->data)[i];
        *bits = rn_bits(x);
        return x;
    }
    half = ((const uint16_t *)t->data)[i];
    *bits = half;
    if (t->dtype == RN_BF16) return rn_float((uint32_t)half << 16);
    uint32_t sign = (uint32_t)(half & 0x8000) << 16,
             rest = half & 0x7fff; /* float16: all of its values are floats */
    if (rest >= 0x7c00) return rn_float(sign | 0x7f800000u | (rest & 0x3ff) << 13);
    if (rest >= 0x400) return rn_float(sign | ((rest << 13) + (112u << 23)));
    return (sign ? -1.0f : 1.0f) * ((float)rest * 0x1p-24f);
}

/* Counts what A5 loads as +0 though it is not, and what is not finite. */
static void count(struct totals *sum, const struct rn_tensor *t)
{
    bool is_float =
        t->dtype == RN_F32 || t->dtype == RN_F64 || t->dtype == RN_F16 || t->dtype == RN_BF16;
    sum->values += t->count;
    sum->bytes += (uint64_t)t->count * rn_dtype_bytes(t->dtype);
    for (int64_t i = 0; is_float && t->data && i < t->count; i++) {
        uint64_t bits;
        float x = element(t, i, &bits);
        if (!(rn_bits(x) & 0x7f800000u) && bits) sum->zeroed++;
        if (!rn_finite(x)) sum->not_finite++;
    }
}

/* What a checkpoint holds beside its state dict, without its values. */
static const char *describe(char out[96], const struct rn_value *v)
{
    char number[RN_NUMBER_CHARS];
    switch (v->kind) {
    case RN_NONE: return "None";
    case RN_BOOLEAN: return v->integer ? "True" : "False";
    case RN_INT: snprintf(out, 96, "%" PRId64, v->integer); break;
    case RN_REAL: return strcpy(out, rn_number_text(number, v->real));
    case RN_STRING: return rn_printable(out, 96, v->text, v->length);
    case RN_LIST: snprintf(out, 96, "list of %zu", v->count); break;
    case RN_TUPLE: snprintf(out, 96, "tuple of %zu", v->count); break;
    case RN_DICT: snprintf(out, 96, "dict of %zu", v->count / 2); break;
    case RN_TENSOR: snprintf(out, 96, "tensor of %" PRId64, v->tensor.count); break;
    }
    return out;
}

/* The next entry from *at on that is neither a tensor nor the state dict; its key, or NULL. */
static const char *next_other(const struct rn_value *root, const struct rn_value *dict, size_t *at)
{
    for (; root && root->kind == RN_DICT && *at < root->count; *at += 2)
        if (root->item[*at]->kind == RN_STRING && root->item[*at + 1] != dict &&
            root->item[*at + 1]->kind != RN_TENSOR)
            return root->item[*at]->text;
    return NULL;
}

struct listing {
    const char *path;
    enum rn_format format;
    struct rn_tensors tensors;
    struct rn_value *root, *dict; /* of a checkpoint; else NULL */
    struct totals sum;
};

static void list_json(struct rn_text *o, const struct listing *l)
{
    char text[96];
    rn_text_add(o, "{\"file\":");
    rn_text_json(o, l->path);
    rn_text_add(o, ",\"format\":\"%s\",\"tensors\":[", rn_format_name(l->format));
    for (size_t i = 0; i < l->tensors.count; i++) {
        const struct rn_named *x = &l->tensors.item[i];
        rn_text_add(o, "%s\n {\"name\":", i ? "," : "");
        rn_text_json(o, x->name);
        rn_text_add(o, ",\"shape\":[");
        for (int d = 0; d < x->tensor.dims; d++)
            rn_text_add(o, "%s%" PRId64, d ? "," : "", x->tensor.shape[d]);
        rn_text_add(o, "],\"dtype\":\"%s\",\"crc32\":", rn_dtype_name(x->tensor.dtype));
        if (x->tensor.data) rn_text_add(o, "\"%08" PRIx32 "\"}", x->crc);
        else rn_text_add(o, "null}");
    }
    rn_text_add(o, "],\n \"other\":{");
    const char *key;
    for (size_t i = 0, n = 0; (key = next_other(l->root, l->dict, &i)) != NULL; i += 2, n++) {
        rn_text_add(o, "%s", n ? "," : "");
        rn_text_json(o, key);
        rn_text_add(o, ":");
        rn_text_json(o, describe(text, l->root->item[i + 1]));
    }
    rn_text_add(o,
                "},\n \"count\":%zu,\"values\":%" PRId64 ",\"bytes\":%" PRIu64
                ",\"loaded_as_zero\":%" PRIu64 ",\"not_finite\":%" PRIu64 "}\n",
                l->tensors.count, l->sum.values, l->sum.bytes, l->sum.zeroed, l->sum.not_finite);
}

static void list_text(struct rn_text *o, const struct listing *l)
{
    char shown[2 * RN_MAX_TENSOR_NAME], shape[8 * 24], text[96];
    const char *key;
    rn_text_add(o, "%s: %s\n%-48s %-20s %-9s %s\n", l->path, rn_format_name(l->format), "name",
                "shape", "dtype", "crc32");
    for (size_t i = 0; i < l->tensors.count; i++) {
        const struct rn_named *x = &l->tensors.item[i];
        size_t n = (size_t)snprintf(shape, sizeof shape, "[");
        for (int d = 0; d < x->tensor.dims; d++)
            n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%" PRId64, d ? ", " : "",
                                  x->tensor.shape[d]);
        snprintf(shape + n, sizeof shape - n, "]");
        rn_text_add(o, "%-48s %-20s %-9s ",
                    rn_printable(shown, sizeof shown, x->name, strlen(x->name)), shape,
                    rn_dtype_name(x->tensor.dtype));
        if (x->tensor.data) rn_text_add(o, "%08" PRIx32 "\n", x->crc);
        else rn_text_add(o, "-\n");
    }
    for (size_t i = 0; (key = next_other(l->root, l->dict, &i)) != NULL; i += 2)
        rn_text_add(o, "also: %s = %s\n", rn_printable(shown, sizeof shown, key, strlen(key)),
                    describe(text, l->root->item[i + 1]));
    rn_text_add(o, "%zu tensors, %" PRId64 " values, %" PRIu64 " bytes", l->tensors.count,
                l->sum.values, l->sum.bytes);
    rn_text_add(o, "; %" PRIu64 " values are -0 or subnormal and load as +0", l->sum.zeroed);
    rn_text_add(o, "; %" PRIu64 " are not finite\n", l->sum.not_finite);
}

static rn_status list(const char *path, bool json)
{
    struct listing l = { .path = path };
    struct rn_text out = { 0 };
    rn_status s = rn_recognise(&l.format, path);
    if (s) return s;
    if (l.format <= RN_FORMAT_PICKLE) {
        s = rn_pth_read(&l.root, &l.format, path);
        if (!s) l.dict = rn_state_dict_find(l.root);
        if (!s) s = rn_state_dict(&l.tensors, l.root, path);
    } else s = rn_tensors_read(&l.tensors, &l.format, path);
    for (size_t i = 0; i < l.tensors.count && !s; i++) count(&l.sum, &l.tensors.item[i].tensor);
    if (!s) {
        if (json) list_json(&out, &l);
        else list_text(&out, &l);
        s = rn_text_status(&out);
    }
    if (!s && (fwrite(out.data, 1, out.length, stdout) != out.length || fflush(stdout) != 0))
        s = rn_fail(RN_EIO, "standard output: cannot write");
    rn_text_free(&out);
    rn_tensors_free(&l.tensors);
    rn_value_free(l.root);
    return s;
}

static rn_status write_pictures(struct opt_set *o)
{
    const struct tool_pictures how = { .classes = opt_text(o, "classes"), .limit = opt_int(o, "limit"),
                                       .size = (int)opt_int(o, "size") };
    struct rn_dataset *set;
    if (o->positionals != 1)
        return rn_fail(RN_EUSAGE, "--images DATA needs the name of one folder to write into");
    rn_status s = rn_dataset_open(&set, opt_text(o, "images"), NULL);
    if (!s) s = tool_write_pictures(o->positional[0], set, &how);
    rn_dataset_close(set);
    return s;
}

static rn_status run(struct opt_set *o)
{
    if (opt_text(o, "images")) return write_pictures(o);
    const char *file = opt_text(o, "list");
    if (file) {
        if (o->positionals)
            return rn_fail(RN_EUSAGE, "--list FILE stands alone; %s is one file too many",
                           o->positional[0]);
        return list(file, opt_switch(o, "json"));
    }
    if (o->positionals != 2)
        return rn_fail(RN_EUSAGE, "two files are needed, IN and OUT, or --list FILE; see --help");
    return convert(o->positional[0], o->positional[1], opt_switch(o, "weights-only"));
}

int main(int argc, char **argv)
{
    const struct tool convert = {
        .name = "convert", .run = run, .positionals = 2,
        .summary = "converts between .pth, .safetensors, .npz and .npy: convert IN OUT, or convert "
                   "--list FILE; writes data sets as PNG files",
        .table = { { opt_common, opt_common_count }, { rows, RN_COUNT(rows) } },
    };
    return tool_main(&convert, argc, argv);
}
