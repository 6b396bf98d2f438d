/*
 * test_io.c - values, lists of tensors, safetensors, .npy and .npz: round trips, equal bytes
 * for equal content, damaged and hostile files, and memory that runs out.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_io.h"

#include "base/file.h"

#define LIT(s) s, sizeof(s) - 1

static const enum rn_dtype all_types[] = { RN_F32, RN_F64, RN_F16, RN_BF16, RN_I64,
                                           RN_I32, RN_I16, RN_I8,  RN_U8,   RN_BOOL };

/* Tensors of every type but bfloat16, which NumPy lacks, unless `bf16`; names in no order. */
static rn_status sample(struct rn_tensors *t, bool bf16)
{
    static const int64_t shape[][RN_MAX_DIMS] = { { 2, 3 },    { 5 },       { 0 },
                                                  { 1, 0, 4 }, { 3, 1, 2 }, { 7 } };
    static const int dims[] = { 2, 1, 0, 3, 3, 1 };
    *t = (struct rn_tensors){ 0 };
    rn_status s = RN_OK;
    for (size_t i = 0; i < RN_COUNT(all_types) && !s; i++) {
        char name[32];
        size_t k = i % RN_COUNT(dims);
        struct rn_tensor x = { .dtype = all_types[i], .dims = dims[k], .owned = true };
        if (x.dtype == RN_BF16 && !bf16) continue;
        memcpy(x.shape, shape[k], sizeof x.shape);
        CHECK(rn_shape_count(&x.count, x.shape, x.dims));
        size_t n = (size_t)x.count * rn_dtype_bytes(x.dtype);
        unsigned char *data = rn_alloc(n);
        if (!data) s = RN_ENOMEM;
        for (size_t j = 0; data && j < n; j++) data[j] = (unsigned char)(i + 31 * j);
        x.data = data;
        snprintf(name, sizeof name, "t%zu.\xc3\xa9 \"%zu%s", (i * 7) % 10, i, bf16 ? "\\" : "");
        if (!s) s = rn_tensors_add(t, name, &x);
    }
    if (s) rn_tensors_free(t);
    return s;
}

static bool same(const struct rn_tensors *a, const struct rn_tensors *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct rn_named *x = &a->item[i], *y = rn_tensors_find(b, x->name);
        if (!y || x->crc != y->crc || x->tensor.dtype != y->tensor.dtype ||
            x->tensor.dims != y->tensor.dims || x->tensor.count != y->tensor.count)
            return false;
        for (int d = 0; d < x->tensor.dims; d++)
            if (x->tensor.shape[d] != y->tensor.shape[d]) return false;
        if (memcmp(x->tensor.data, y->tensor.data,
                   (size_t)x->tensor.count * rn_dtype_bytes(x->tensor.dtype)))
            return false;
    }
    return true;
}

static rn_status write_safetensors(const char *path)
{
    struct rn_tensors t;
    rn_status s = sample(&t, true);
    if (!s) s = rn_safetensors_write(path, &t);
    rn_tensors_free(&t);
    return s;
}

static rn_status write_npz(const char *path)
{
    struct rn_tensors t;
    rn_status s = sample(&t, false);
    if (!s) s = rn_npz_write(path, &t);
    rn_tensors_free(&t);
    return s;
}

/* What the two flat formats have in common. */
static void test_formats(void)
{
    static const struct { const char *a, *b; reader *write; enum rn_format format; bool bf16; }
    rows[] = {
        { "a.safetensors", "b.safetensors", write_safetensors, RN_FORMAT_SAFETENSORS, true },
        { "a.npz", "b.npz", write_npz, RN_FORMAT_NPZ, false },
    };
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        struct rn_tensors want, got = { 0 }, turned = { 0 };
        enum rn_format format;
        uint64_t live = rn_alloc_live();
        CHECK_OK(sample(&want, rows[i].bf16));
        CHECK_OK(rows[i].write(at(rows[i].a)));
        CHECK_OK(rn_tensors_read(&got, &format, at(rows[i].a)));
        CHECK(format == rows[i].format && same(&want, &got));
        for (size_t k = want.count;
             k-- > 0;) { /* the same tensors in another order: the same bytes */
            struct rn_tensor x = want.item[k].tensor;
            x.owned = false;
            CHECK_OK(rn_tensors_add(&turned, want.item[k].name, &x));
        }
        CHECK_OK(rows[i].bf16 ? rn_safetensors_write(at(rows[i].b), &turned)
                              : rn_npz_write(at(rows[i].b), &turned));
        struct bytes a = load(at(rows[i].a)), b = load(at(rows[i].b));
        CHECK(a.count == b.count && !memcmp(a.data, b.data, a.count));
        rn_tensors_free(&want);
        rn_tensors_free(&got);
        rn_tensors_free(&turned);
        CHECK(rn_alloc_live() == live);
        check_prefixes(read_any, &a, rows[i].a);
        check_flips(read_any, &a, rows[i].a);
        check_memory(read_any, at(rows[i].a), rows[i].a);
        check_memory(rows[i].write, at(rows[i].b), rows[i].b);
        drop(&a);
        drop(&b);
    }
}

static void test_writers_refuse(void)
{
    struct rn_tensors t = { 0 };
    float x[2] = { 1, 2 };
    struct rn_tensor v = { .dtype = RN_F32, .dims = 1, .shape = { 2 }, .count = 2, .data = x };
    char name[400];
    unlink(at("a"));
    memset(name, 'n', sizeof name);
    name[300] = '\0';
    CHECK(rn_tensors_add(&t, "", &v) == RN_EINPUT);
    CHECK(rn_tensors_add(&t, name, &v) == RN_EINPUT);
    CHECK(rn_tensors_add(&t, "\xff", &v) == RN_EINPUT);
    CHECK_OK(rn_tensors_add(&t, "../up", &v));
    CHECK(rn_npz_write(at("a"), &t) == RN_EINPUT && strstr(rn_error(), "../up"));
    CHECK_OK(rn_tensors_add(&t, "../up", &v));
    CHECK(rn_safetensors_write(at("a"), &t) == RN_EINPUT && strstr(rn_error(), "twice"));
    rn_tensors_free(&t);
    v.dtype = RN_BF16;
    CHECK(rn_npy_write(at("a"), &v) == RN_EINPUT && strstr(rn_error(), "bfloat16"));
    v.data = NULL;
    CHECK_OK(rn_tensors_add(&t, "empty", &v));
    CHECK(rn_safetensors_write(at("a"), &t) == RN_EINPUT);
    CHECK(!rn_path_exists(at("a")));
    rn_tensors_free(&t);
    CHECK(write_safetensors("/nonexistent/folder/a.safetensors") != RN_OK && rn_error()[0]);
}

/* -- safetensors ------------------------------------------------------------------------------- */

static rn_status read_header(const char *header, size_t n, size_t data, uint64_t length)
{
    struct bytes b = { 0 };
    add_number(&b, length, 8);
    add(&b, header, n);
    for (size_t i = 0; i < data; i++) add(&b, "d", 1);
    save(at("a"), b.data, b.count);
    drop(&b);
    struct rn_tensors t;
    rn_error_clear();
    rn_status s = rn_safetensors_read(&t, at("a"));
    rn_tensors_free(&t);
    return s;
}

#define ENTRY(dtype, shape, begin, end)                                                            \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static void test_safetensors_headers(void)
{
    static const struct { const char *header; size_t data; const char *message; } rows[] = {
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") "}", 8, NULL },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") ",\"__metadata__\":{\"k\":\"v\"}}   ", 8, NULL },
        { "{\"a\":" ENTRY("F32", "[]", "4", "8") ",\"b\":" ENTRY("U8", "[4]", "0", "4") "}", 8,
          NULL },
        { "{\"a\":" ENTRY("F32", "[0,9]", "0", "0") "}", 0, NULL },
        { "{}", 0, NULL },
        { " {}", 0, "begin with {" },
        { "\xef\xbb\xbf{}", 0, "begin with {" },
        { "[]", 0, "begin with {" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") ",}", 8, "JSON" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") "}x", 8, "JSON" },
        { "{\"a\xff\":" ENTRY("F32", "[2]", "0", "8") "}", 8, "UTF-8" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") ",\"a\":" ENTRY("F32", "[2]", "0", "8") "}", 8,
          "twice" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") ",\"b\":" ENTRY("F32", "[2]", "4", "12") "}", 12,
          "overlaps" },
        { "{\"a\":" ENTRY("F32", "[1]", "0", "4") ",\"b\":" ENTRY("F32", "[1]", "8", "12") "}", 12,
          "no tensor" },
        { "{\"a\":" ENTRY("F32", "[2]", "8", "0") "}", 8, "data_offsets" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") "}", 4, "end at byte" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "8") "}", 9, "end at byte" },
        { "{\"a\":" ENTRY("F32", "[3]", "0", "8") "}", 8, "do not make" },
        { "{\"a\":" ENTRY("F64", "[2]", "0", "8") "}", 8, "do not make" },
        { "{\"a\":" ENTRY("F32", "[4294967296,4294967296]", "0", "8") "}", 8, "2^56" },
        { "{\"a\":" ENTRY("F32", "[0,4294967296,4294967296]", "0", "0") "}", 0, "2^56" },
        { "{\"a\":" ENTRY("F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "dimensions" },
        { "{\"a\":" ENTRY("F8_E4M3", "[8]", "0", "8") "}", 8, "not supported" },
        { "{\"a\":" ENTRY("f32", "[2]", "0", "8") "}", 8, "not supported" },
        { "{\"a\":" ENTRY("F32", "[2.0]", "0", "8") "}", 8, "no integer" },
        { "{\"a\":" ENTRY("F32", "[2e0]", "0", "8") "}", 8, "no integer" },
        { "{\"a\":" ENTRY("F32", "[-2]", "0", "8") "}", 8, "no integer" },
        { "{\"a\":" ENTRY("F32", "[2]", "-0.0", "8") "}", 8, "integers" },
        { "{\"a\":" ENTRY("F32", "[2]", "0", "18446744073709551616") "}", 8, "integers" },
        { "{\"a\":" ENTRY("F32", "2", "0", "8") "}", 8, "no list" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "object of" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", 8,
          "object of" },
        { "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "no string" },
        { "{\"a\":7}", 0, "object of" },
        { "{\"__metadata__\":{\"k\":1}}", 0, "__metadata__" },
        { "{\"__metadata__\":[]}", 0, "__metadata__" },
        { "{\"\":" ENTRY("F32", "[2]", "0", "8") "}", 8, "empty name" },
        { "{\"a\\u0000b\":" ENTRY("F32", "[2]", "0", "8") "}", 8, "zero" },
    };
    uint64_t live = rn_alloc_live();
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        size_t n = strlen(rows[i].header);
        rn_status s = read_header(rows[i].header, n, rows[i].data, n);
        if (!rows[i].message)
            CHECK_MSG(s == RN_OK && rn_alloc_live() == live, "%s: %s", rows[i].header, rn_error());
        else
            CHECK_MSG(refused(s, live) && strstr(rn_error(), rows[i].message), "%s: status %d, %s",
                      rows[i].header, s, rn_error());
    }
    static const uint64_t length[] = {
        0, 1, 3, 100, ((uint64_t)100 << 20) + 1, (uint64_t)1 << 63, UINT64_MAX
    };
    for (size_t i = 0; i < RN_COUNT(length); i++)
        CHECK(refused(read_header("{}", 2, 0, length[i]), live));
}

/* A hundred thousand tensors of nothing, and lists in lists: no long wait, no deep stack. */
static void test_safetensors_bombs(void)
{
    struct bytes b = { 0 };
    add_text(&b, "{");
    for (int i = 0; i < 100000; i++) {
        char entry[96];
        snprintf(entry, sizeof entry, "%s\"%d\":" ENTRY("F32", "[0]", "0", "0"), i ? "," : "", i);
        add_text(&b, entry);
    }
    add_text(&b, "}");
    uint64_t live = rn_alloc_live();
    CHECK(refused(read_header((char *)b.data, b.count, 0, b.count), live) &&
          strstr(rn_error(), "million"));
    b.count = 0;
    add_text(&b, "{\"a\":");
    for (int i = 0; i < 100000; i++) add_text(&b, "[");
    CHECK(refused(read_header((char *)b.data, b.count, 0, b.count), live) &&
          strstr(rn_error(), "64 levels"));
    drop(&b);
}

/* -- NumPy ------------------------------------------------------------------------------------- */

static rn_status read_npy(const char *dict, int version, size_t data)
{
    struct bytes b = { 0 };
    add(&b, "\x93NUMPY", 6);
    add_number(&b, (uint64_t)version, 2);
    add_number(&b, strlen(dict), version == 1 ? 2 : 4);
    add_text(&b, dict);
    for (size_t i = 0; i < data; i++) add_number(&b, i, 1);
    save(at("a"), b.data, b.count);
    drop(&b);
    rn_error_clear();
    return read_any(at("a"));
}

#define NPY(descr, fortran, shape)                                                                 \
    "{'descr': " descr ", 'fortran_order': " fortran ", 'shape': " shape ", }\n"

static void test_npy(void)
{
    static const struct { const char *dict; int version; size_t data; const char *message; }
    rows[] = {
        { NPY("'<f4'", "False", "(2, 3)"), 1, 24, NULL },
        { NPY("'<f4'", "False", "(2,)"), 2, 8, NULL },
        { NPY("'|u1'", "True", "(2, 3)"), 3, 6, NULL },
        { NPY("'>i8'", "False", "()"), 1, 8, NULL },
        { NPY("'|b1'", "False", "(0, 7)"), 1, 0, NULL },
        { "{'shape': (1L,), 'descr': '<f2', 'fortran_order': False}\n", 1, 2, NULL },
        { NPY("'<f4'", "False", "(2, 3)"), 4, 24, "version" },
        { NPY("'<f4'", "False", "(2, 3)"), 0, 24, "version" },
        { NPY("'|O'", "False", "(1,)"), 1, 8, "objects" },
        { NPY("'O'", "False", "(1,)"), 1, 8, "objects" },
        { NPY("'<c8'", "False", "(1,)"), 1, 8, "not supported" },
        { NPY("'<U3'", "False", "(1,)"), 1, 12, "not supported" },
        { NPY("'<u4'", "False", "(1,)"), 1, 4, "not supported" },
        { NPY("[('a', '<f4')]", "False", "(1,)"), 1, 4, "records" },
        { NPY("'<f4'", "False", "(3,)"), 1, 8, "needs" },
        { NPY("'<f4'", "False", "(1,)"), 1, 8, "needs" },
        { NPY("'<f4'", "False", "(-1,)"), 1, 8, "header" },
        { NPY("'<f4'", "False", "(2)"), 1, 8, "header" },
        { NPY("'<f4'", "False", "(4294967296, 4294967296, 4294967296)"), 1, 8, "needs" },
        { NPY("'<f4'", "False", "(99999999999999999999,)"), 1, 8, "header" },
        { NPY("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 1, 4, "header" },
        { NPY("'<f4'", "0", "(2,)"), 1, 8, "header" },
        { "{'descr': '<f4', 'shape': (2,)}\n", 1, 8, "header" },
        { "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", 1, 8,
          "header" },
        { NPY("'<f4'", "False", "(2,)") "x\n", 1, 8, "header" },
        { "\n", 1, 8, "header" },
        { "", 1, 8, "header" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}\n", 1, 8, "header" },
    };
    uint64_t live = rn_alloc_live();
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        rn_status s = read_npy(rows[i].dict, rows[i].version, rows[i].data);
        if (!rows[i].message)
            CHECK_MSG(s == RN_OK && rn_alloc_live() == live, "%s: %s", rows[i].dict, rn_error());
        else
            CHECK_MSG(refused(s, live) && strstr(rn_error(), rows[i].message), "%s: status %d, %s",
                      rows[i].dict, s, rn_error());
    }
    struct rn_tensors t;
    CHECK_OK(read_npy(NPY("'|u1'", "True", "(2, 3)"), 1, 6)); /* column by column in the file */
    CHECK_OK(rn_tensors_read(&t, NULL, at("a")));
    CHECK(!memcmp(t.item[0].tensor.data, "\0\2\4\1\3\5", 6) && !strcmp(t.item[0].name, "array"));
    rn_tensors_free(&t);
    CHECK_OK(read_npy(NPY("'>i2'", "False", "(2,)"), 1, 4));
    CHECK_OK(rn_tensors_read(&t, NULL, at("a")));
    CHECK(((int16_t *)t.item[0].tensor.data)[0] == 1 &&
          ((int16_t *)t.item[0].tensor.data)[1] == 0x203);
    CHECK_OK(rn_npy_write(at("a.npy"), &t.item[0].tensor));
    rn_tensors_free(&t);
    CHECK_OK(rn_tensors_read(&t, NULL, at("a.npy")));
    CHECK(t.count == 1 && t.item[0].tensor.dtype == RN_I16 &&
          ((int16_t *)t.item[0].tensor.data)[1] == 0x203);
    rn_tensors_free(&t);
}

/* A deflated entry: as zlib makes it, cut, and one that unpacks to more than it says. */
static void test_npz_deflated(void)
{
    unsigned char npy[2048], packed[2048];
    size_t n = 0;
    struct bytes b = { 0 };
    add(&b, "\x93NUMPY\1\0", 8);
    add_number(&b, strlen(NPY("'|u1'", "False", "(1000,)")), 2);
    add_text(&b, NPY("'|u1'", "False", "(1000,)"));
    n = b.count + 1000;
    memset(npy, 0, sizeof npy);
    memcpy(npy, b.data, b.count);
    drop(&b);
    for (int wrong = 0; wrong < 4; wrong++) {
        z_stream z = { 0 };
        size_t said = wrong == 1 ? n - 1 : wrong == 2 ? n + 1 : n;
        CHECK(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_in = npy;
        z.avail_in = (uInt)n;
        z.next_out = packed;
        z.avail_out = sizeof packed;
        CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
        size_t m = (size_t)z.total_out - (wrong == 3);
        deflateEnd(&z);
        struct member entry = { .name = "zeros.npy", .data = packed, .n = m, .method = 8 };
        b = zip_of(&entry, 1);
        uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), npy, (uInt)said);
        for (size_t i = 0; i + 28 < b.count; i++) { /* CRC and size of what it unpacks to */
            bool local = !memcmp(b.data + i, "PK\3\4", 4);
            size_t field = local ? 14 : !memcmp(b.data + i, "PK\1\2", 4) ? 16 : 0;
            for (int k = 0; field && k < 4; k++) {
                b.data[i + field + (size_t)k] = (unsigned char)(crc >> (8 * k));
                b.data[i + field + 8 + (size_t)k] = (unsigned char)(said >> (8 * k));
            }
        }
        save(at("a"), b.data, b.count);
        rn_status s = read_any(at("a"));
        CHECK_MSG((s == RN_OK) == (wrong == 0), "deflated %d: status %d, %s", wrong, s, rn_error());
        if (wrong == 0) {
            check_prefixes(read_any, &b, "deflated");
            check_flips(read_any, &b, "deflated");
        }
        drop(&b);
    }
}

/* -- values ------------------------------------------------------------------------------------ */

static void test_values(void)
{
    uint64_t live = rn_alloc_live();
    struct rn_value *d = rn_dict(false), *list = rn_list();
    CHECK_OK(rn_dict_set(d, "a", rn_integer(1)));
    CHECK_OK(rn_dict_set(d, "a", rn_integer(2)));
    CHECK_OK(rn_dict_set_value(d, rn_integer(5), rn_string("five")));
    CHECK_OK(rn_dict_set_value(d, rn_integer(5), rn_string("cinq")));
    CHECK(d->count == 4 && rn_dict_get(d, "a")->integer == 2 && !strcmp(d->item[3]->text, "cinq"));
    CHECK(rn_dict_set(list, "a", rn_none()) == RN_EINPUT && rn_list_add(d, rn_none()) == RN_EINPUT);
    CHECK(!rn_dict_get(list, "a") && !rn_dict_get(NULL, "a"));
    for (int i = 0; i < 100; i++) CHECK_OK(rn_list_add(list, rn_real(i)));
    CHECK(list->count == 100 && list->item[99]->real == 99);
    CHECK_OK(rn_dict_set(d, "list", list));
    CHECK(rn_tensor_value(RN_F32, 9, NULL, rn_alloc(4), true) == NULL);
    CHECK(rn_tensor_value(RN_F32, 2, (int64_t[]){ 1 << 30, INT64_MAX }, rn_alloc(4), true) == NULL);
    rn_value_free(d);
    CHECK(rn_alloc_live() == live);
    CHECK(rn_dtype_bytes(RN_BF16) == 2 && !strcmp(rn_dtype_name(RN_BOOL), "bool"));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row tests[] = {
        RN_TEST_ROW(test_values),
        RN_TEST_ROW(test_formats),
        RN_TEST_ROW(test_writers_refuse),
        RN_TEST_ROW(test_safetensors_headers),
        RN_TEST_ROW(test_safetensors_bombs),
        RN_TEST_ROW(test_npy),
        RN_TEST_ROW(test_npz_deflated),
    };
    folder_begin();
    int status = rn_test_main("test_io", tests, RN_COUNT(tests), argc, argv);
    folder_end();
    return status;
}
