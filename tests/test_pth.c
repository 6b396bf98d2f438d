/*
 * test_pth.c - .pth: what the writer writes is what the reader reads; pickles, good and hostile.
 * The archive around them is tested in test_pth_file.c.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_io.h"

#include "base/file.h"

/* -- a small checkpoint ------------------------------------------------------------------------ */

static struct rn_value *tensor(enum rn_dtype dtype, int dims, const int64_t *shape, unsigned seed)
{
    size_t n = 1;
    for (int i = 0; i < dims; i++) n *= (size_t)shape[i];
    unsigned char *data = rn_alloc(n * rn_dtype_bytes(dtype));
    for (size_t i = 0; data && i < n * rn_dtype_bytes(dtype); i++)
        data[i] = (unsigned char)(seed + 37 * i);
    return data ? rn_tensor_value(dtype, dims, shape, data, true) : NULL;
}

/* One value of each kind; NULL when out of memory. */
static struct rn_value *checkpoint(void)
{
    struct rn_value *root = rn_dict(false), *state = rn_dict(true), *list = rn_list(),
                    *pair = rn_tuple();
    struct rn_value *groups = rn_dict(false), *w = tensor(RN_F32, 2, (int64_t[]){ 2, 3 }, 1);
    rn_status s = RN_OK;
    if (w) w->tensor.parameter = true;
    s |= rn_dict_set(state, "conv1.weight", w);
    s |= rn_dict_set(state, "bn1.num_batches_tracked", tensor(RN_I64, 0, NULL, 5));
    s |= rn_dict_set(state, "half", tensor(RN_F16, 1, (int64_t[]){ 3 }, 7));
    s |= rn_dict_set(state, "none", tensor(RN_BOOL, 2, (int64_t[]){ 0, 4 }, 0));
    s |= rn_list_add(pair, rn_real(0.9));
    s |= rn_list_add(pair, rn_none());
    s |= rn_list_add(list, rn_integer(-1));
    s |= rn_list_add(list, rn_integer(70000));
    s |= rn_list_add(list, rn_integer(INT64_MIN));
    s |= rn_list_add(list, pair);
    s |= rn_dict_set_value(groups, rn_integer(0), list);
    s |= rn_dict_set_value(groups, rn_integer(300), rn_boolean(true));
    s |= rn_dict_set(root, "epoch", rn_integer(7));
    s |= rn_dict_set(root, "model_state_dict", state);
    s |= rn_dict_set(root, "groups", groups);
    s |= rn_dict_set(root, "name", rn_string("\xc3\xa9\xe4\xb8\x96"));
    if (!s) return root;
    rn_value_free(root);
    return NULL;
}

static bool same(const struct rn_value *a, const struct rn_value *b)
{
    if (a->kind != b->kind || a->count != b->count || a->ordered != b->ordered ||
        a->integer != b->integer || rn_bits64(a->real) != rn_bits64(b->real) ||
        a->length != b->length)
        return false;
    if (a->kind == RN_STRING) return !strcmp(a->text, b->text);
    for (size_t i = 0; i < a->count; i++)
        if (!same(a->item[i], b->item[i])) return false;
    const struct rn_tensor *x = &a->tensor, *y = &b->tensor;
    return a->kind != RN_TENSOR ||
           (x->dtype == y->dtype && x->dims == y->dims && x->count == y->count &&
            x->parameter == y->parameter && !memcmp(x->shape, y->shape, sizeof x->shape) &&
            !memcmp(x->data, y->data, (size_t)x->count * rn_dtype_bytes(x->dtype)));
}

static rn_status read_pth(const char *path)
{
    struct rn_value *root;
    rn_status s = rn_pth_read(&root, NULL, path);
    CHECK((s == RN_OK) == (root != NULL));
    rn_value_free(root);
    return s;
}

static rn_status write_pth(const char *path)
{
    struct rn_value *root = checkpoint();
    rn_status s = root ? rn_pth_write(path, root) : RN_ENOMEM;
    rn_value_free(root);
    return s;
}

static void test_round_trip(void)
{
    uint64_t live = rn_alloc_live();
    struct rn_value *want = checkpoint(), *got = NULL;
    enum rn_format format;
    CHECK_OK(rn_pth_write(at("a.pth"), want));
    CHECK_OK(rn_pth_read(&got, &format, at("a.pth")));
    CHECK(format == RN_FORMAT_PTH_ZIP && got && same(want, got));
    CHECK(rn_dict_get(got, "epoch")->integer == 7 && !rn_dict_get(got, "absent"));
    rn_value_free(got);
    rn_value_free(want);
    CHECK(rn_alloc_live() == live);
}

static void test_equal_bytes(void)
{
    CHECK_OK(write_pth(at("a.pth")));
    CHECK_OK(write_pth(at("b.pth")));
    struct bytes a = load(at("a.pth")), b = load(at("b.pth"));
    CHECK(a.count == b.count && !memcmp(a.data, b.data, a.count));
    for (size_t i = 0; i + 12 < a.count; i++) /* tensors begin at multiples of 64 */
        if (!memcmp(a.data + i, "\1\x26\x4b\x70", 4)) CHECK(i % 64 == 0);
    drop(&a);
    drop(&b);
}

static void test_state_dict(void)
{
    static const char *const wrapper[] = { NULL, "state_dict", "model", "net", "model_state" };
    for (size_t i = 0; i < RN_COUNT(wrapper); i++)
        for (int module = 0; module < 2; module++) {
            struct rn_value *root = rn_dict(false), *state = wrapper[i] ? rn_dict(true) : root;
            struct rn_tensors t;
            CHECK_OK(rn_dict_set(state, module ? "module.fc.bias" : "fc.bias",
                                 tensor(RN_F32, 1, (int64_t[]){ 4 }, 1)));
            CHECK_OK(rn_dict_set(state, "skipped", rn_integer(3)));
            if (wrapper[i]) CHECK_OK(rn_dict_set(root, wrapper[i], state));
            CHECK_OK(rn_state_dict(&t, root, "x.pth"));
            CHECK(t.count == 1 && rn_tensors_find(&t, "fc.bias") && t.item[0].tensor.data);
            rn_tensors_free(&t);
            rn_value_free(root);
        }
    struct rn_value *root = rn_dict(false);
    struct rn_tensors t;
    CHECK(rn_state_dict(&t, root, "x.pth") == RN_EINPUT);
    CHECK_OK(rn_dict_set(root, "list", rn_list()));
    CHECK_OK(rn_list_add(rn_dict_get(root, "list"), tensor(RN_F32, 0, NULL, 1)));
    CHECK_OK(rn_state_dict(&t, root, "x.pth"));
    CHECK(t.count == 1 && !strcmp(t.item[0].name, "list.0"));
    rn_tensors_free(&t);
    rn_value_free(root);
}

static void test_damage(void)
{
    CHECK_OK(write_pth(at("a.pth")));
    struct bytes good = load(at("a.pth"));
    check_prefixes(read_pth, &good, "zip");
    /* what may change unseen: dates, versions and padding of headers, which nothing depends on */
    size_t passed = check_flips(read_pth, &good, "zip");
    CHECK_MSG(passed * 2 < good.count * 4, "%zu of %zu changes were read", passed, 4 * good.count);
    drop(&good);
}

static void test_memory(void)
{
    CHECK_OK(write_pth(at("a.pth")));
    check_memory(read_pth, at("a.pth"), "reading");
    check_memory(write_pth, at("b.pth"), "writing");
    check_memory(read_any, at("a.pth"), "taking the state dict");
}

/* -- pickles by hand --------------------------------------------------------------------------- */

#define P "\x80\x02"
#define DICT "ccollections\nOrderedDict\n)R"
#define TEXT(n, s) "X" n "\0\0\0" s
#define STORE(type, key, numel)                                                                    \
    "(" TEXT("\7", "storage") "ctorch\n" type "Storage\n" key TEXT("\6", "cuda:0") numel "tQ"
#define KEY TEXT("\1", "0")
#define F4 STORE("Float", KEY, "K\4") /* the four floats of the archive */
#define REBUILD(store, offset, size, stride) \
    "ctorch._utils\n_rebuild_tensor_v2\n(" store offset size stride "\x89" DICT "tR"
#define T22 REBUILD(F4, "K\0", "K\2K\2\x86", "K\2K\1\x86")
#define D "}" TEXT("\1", "w")
#define LONG "\x8a\x08"

#define ROW(name, pickle, message) { name, pickle, sizeof(pickle) - 1, message }
static const struct { const char *name, *pickle; size_t bytes; const char *message; } rows[] = {
    ROW("a tensor", P D T22 "s.", NULL),
    ROW("transposed", P D REBUILD(F4, "K\0", "K\2K\2\x86", "K\1K\2\x86") "s.", NULL),
    ROW("slice", P D REBUILD(F4, "K\1", "K\2\x85", "K\2\x85") "s.", NULL),
    ROW("scalar", P D REBUILD(F4, "K\3", ")", ")") "s.", NULL),
    ROW("size 0", P D REBUILD(F4, "K\0", "K\0K\7\x86", "K\7K\1\x86") "s.", NULL),
    ROW("any stride of a size of 1", P D REBUILD(F4, "K\0", "K\1\x85", "K\x63\x85") "s.", NULL),
    ROW("parameter", P D "ctorch._utils\n_rebuild_parameter\n" T22 "\x88" DICT "\x87Rs.", NULL),
    ROW("old parameter",
        P D "ctorch.nn.parameter\nParameter\n" T22 "\x85R\x88\x89" DICT "\x87"
            "bs.",
        NULL),
    ROW("older parameter", P D "ctorch.nn.parameter\nParameter\n)\x81(" T22 "NN\x88\x89tbs.", NULL),
    ROW("first version", P D "ctorch._utils\n_rebuild_tensor\n(" F4 "K\0K\4\x85K\1\x85tRs.", NULL),
    ROW("metadata", P DICT "q\0" TEXT("\1", "w") T22 "s}" TEXT("\1", "v") "K\1sb.", NULL),
    ROW("python 2 dict", P "ccollections\nOrderedDict\n](](U\1w" T22 "ee\x85R.", NULL),
    ROW("shared by memo", P D T22 "q\1s" TEXT("\1", "v") "h\1s.", NULL),
    ROW("torch.Size", P D "ctorch\nSize\nK\2K\3\x86\x85Rs" TEXT("\1", "v") T22 "s.", NULL),

    ROW("nothing", "", "truncated"),
    ROW("protocol 0", "(dp0\n.", "protocol 2"),
    ROW("protocol 1", "}q\0.", "protocol 2"),
    ROW("protocol 3", "\x80\x03}.", "protocol 2"),
    ROW("protocol 4", "\x80\x04\x95\0\0\0\0\0\0\0\0}.", "protocol 2"),
    ROW("protocol 5", "\x80\x05}.", "protocol 2"),
    ROW("no STOP", P D T22 "s", "truncated"),
    ROW("bytes after STOP", P D T22 "s..", "follow"),
    ROW("two objects at STOP", P "}}.", "STOP"),
    ROW("none at STOP", P ".", "STOP"),
    ROW("a mark at STOP", P "}(.", "STOP"),
    ROW("PROTO again", P P "}.", "0x80"),
    ROW("INST", P "(ios\nsystem\n.", "0x69"),
    ROW("OBJ", P "(cos\nsystem\no.", "os.system"),
    ROW("STACK_GLOBAL", P TEXT("\2", "os") TEXT("\6", "system") "\x93.", "0x93"),
    ROW("EXT1", P "\x82\1.", "0x82"),
    ROW("PERSID", P "P0\n.", "0x50"),
    ROW("POP", P "NN0.", "0x30"),

    ROW("os.system", P "cos\nsystem\nX\2\0\0\0id\x85R.", "os.system"),
    ROW("posix.system", P "cposix\nsystem\nX\2\0\0\0id\x85R.", "posix.system"),
    ROW("eval", P "c__builtin__\neval\n.", "executed"),
    ROW("getattr", P "cbuiltins\ngetattr\n.", "executed"),
    ROW("loads bytes", P "ctorch.storage\n_load_from_bytes\n.", "executed"),
    ROW("near miss 1", P "ccollections\nOrderedDic\n.", "executed"),
    ROW("near miss 2", P "ccollections\nOrderedDict \n.", "executed"),
    ROW("near miss 3", P "ctorch\n_utils._rebuild_tensor_v2\n.", "executed"),
    ROW("near miss 4", P "ctorch\nStorage\n.", "executed"),
    ROW("name with a zero", P "cos\0\nsystem\n.", "executed"),
    ROW("name without end", P "ccollections", "without end"),
    ROW("module without end", P "ccollections\nOrderedDict", "without end"),
    ROW("complex", P D STORE("ComplexFloat", KEY, "K\2") "s.", "complex"),
    ROW("quantized", P D STORE("QInt8", KEY, "K\2") "s.", "quantized"),
    ROW("untyped", P D STORE("Untyped", KEY, "K\2") "s.", "element type"),
    ROW("sparse", P "ctorch._utils\n_rebuild_sparse_tensor\n.", "sparse"),
    ROW("meta", P "ctorch._utils\n_rebuild_meta_tensor_no_storage\n.", "meta"),
    ROW("qtensor", P "ctorch._utils\n_rebuild_qtensor\n.", "quantized"),

    ROW("REDUCE of nothing", P "R.", "empty stack"),
    ROW("SETITEM of nothing", P "s.", "empty stack"),
    ROW("SETITEM without a dict", P "KKK\1s.", "empty stack"),
    ROW("APPEND of nothing", P "a.", "empty stack"),
    ROW("TUPLE3 of two", P "NN\x87.", "empty stack"),
    ROW("BUILD of one", P "}b.", "empty stack"),
    ROW("PERSID of nothing", P "Q.", "empty stack"),
    ROW("PUT of nothing", P "q\0.", "empty stack"),
    ROW("below the mark", P "]K\1(a.", "empty stack"),
    ROW("a tuple across a mark", P "NN(\x85.", "empty stack"),
    ROW("no mark for TUPLE", P "Nt.", "MARK"),
    ROW("no mark for APPENDS", P "]Ne.", "MARK"),
    ROW("no mark for SETITEMS", P "}NNu.", "MARK"),
    ROW("memo never set", P "h\0.", "never set"),
    ROW("memo far away", P "j\xff\xff\xff\xff.", "never set"),
    ROW("memo put far away", P "Nr\xff\xff\xff\xff.", "memo number"),
    ROW("list in itself", P "]q\0h\0a.", "contains itself"),
    ROW("dict in itself", P "}q\0K\1h\0s.", "contains itself"),
    ROW("tuple in a list in itself",
        P "]q\0h\0\x85"
          "a.",
        "contains itself"),

    ROW("SETITEM on a tuple", P ")K\1K\2s.", "not a dictionary"),
    ROW("SETITEM on a tensor", P T22 "K\1K\2s.", "not a dictionary"),
    ROW("SETITEM on None", P "NK\1K\2s.", "not a dictionary"),
    ROW("SETITEMS, odd", P "}(K\1K\2K\3u.", "without a value"),
    ROW("APPEND on a dict", P "}K\1a.", "not a list"),
    ROW("APPENDS on a tuple", P ")(K\1e.", "not a list"),
    ROW("BUILD on a dict", P "}}b.", "BUILD"),
    ROW("BUILD on a list", P "]}b.", "BUILD"),
    ROW("BUILD on a tensor", P T22 "}b.", "BUILD"),
    ROW("REDUCE of an int", P "K\1)R.", "no class or function"),
    ROW("REDUCE of a tensor", P T22 ")R.", "no class or function"),
    ROW("arguments no tuple", P "ccollections\nOrderedDict\n]R.", "no tuple"),
    ROW("too many arguments", P "ccollections\nOrderedDict\nNN\x86R.", "list"),
    ROW("calls a storage type", P "ctorch\nFloatStorage\n)R.", "known form"),
    ROW("key is a list", P "}]K\1s.", "key"),
    ROW("key is a tensor", P "}" T22 "K\1s.", "key"),
    ROW("key twice", P "}(" TEXT("\1", "w") "K\1" TEXT("\1", "w") "K\2u.", "twice"),
    ROW("number key twice", P "}(K\1NK\1Nu.", "twice"),
    ROW("text with a zero", P "X\2\0\0\0a\0.", "UTF-8"),
    ROW("text no UTF-8", P "X\2\0\0\0\xc0\x80.", "UTF-8"),
    ROW("text longer than the file",
        P "X\xff\xff\xff\xff"
          "a.",
        "truncated"),
    ROW("a long of nine bytes", P "\x8a\x09\1\1\1\1\1\1\1\1\1.", "LONG1"),
    ROW("a global as a value", P "ccollections\nOrderedDict\n.", "class"),
    ROW("a storage as a value", P F4 ".", "storage"),
    ROW("a parameter of nothing", P "ctorch.nn.parameter\nParameter\n)\x81.", "Parameter"),

    ROW("persistent id no tuple", P TEXT("\1", "0") "Q.", "persistent"),
    ROW("persistent id too short", P "(" TEXT("\7", "storage") "tQ.", "persistent"),
    ROW("whole module", P "(" TEXT("\6", "module") "NNNtQ.", "module"),
    ROW("no such storage",
        P D REBUILD(STORE("Float", TEXT("\1", "9"), "K\4"), "K\0", ")", ")") "s.", "data/9"),
    ROW("key leads out", P D STORE("Float", TEXT("\4", "../0"), "K\4") "s.", "letters and digits"),
    ROW("numel too many", P D REBUILD(STORE("Float", KEY, "K\5"), "K\0", ")", ")") "s.", "16"),
    ROW("numel too few", P D REBUILD(STORE("Float", KEY, "K\3"), "K\0", ")", ")") "s.", "16"),
    ROW("other type", P D REBUILD(STORE("Double", KEY, "K\4"), "K\0", ")", ")") "s.", "16"),
    ROW("numel negative", P D STORE("Float", KEY, "J\xff\xff\xff\xff") "s.", "negative"),
    ROW("numel absurd", P D STORE("Float", KEY, LONG "\0\0\0\0\0\0\0\x40") "s.", "absurd"),
    ROW("numel overflows",
        P D REBUILD(STORE("Double", KEY, LONG "\0\0\0\0\0\0\0\x01"), "K\0", ")", ")") "s.",
        "entry has"),
    ROW("two types of one storage",
        P "}(" TEXT("\1", "w") T22 TEXT("\1", "v")
            REBUILD(STORE("Int", KEY, "K\4"), "K\0", ")", ")") "u.",
        "two ways"),
    ROW("offset past the end", P D REBUILD(F4, "K\4", ")", ")") "s.", "offset"),
    ROW("offset negative", P D REBUILD(F4, "J\xff\xff\xff\xff", ")", ")") "s.", "negative"),
    ROW("stride too long", P D REBUILD(F4, "K\0", "K\2\x85", "K\4\x85") "s.", "leads out"),
    ROW("strides add up", P D REBUILD(F4, "K\0", "K\2K\2\x86", "K\3K\1\x86") "s.", "leads out"),
    ROW("offset and stride", P D REBUILD(F4, "K\3", "K\2\x85", "K\1\x85") "s.", "leads out"),
    ROW("stride negative", P D REBUILD(F4, "K\3", "K\2\x85", "J\xff\xff\xff\xff\x85") "s.",
        "stride"),
    ROW("stride zero", P D REBUILD(F4, "K\0", "K\4\x85", "K\0\x85") "s.", "stride"),
    ROW("stride huge",
        P D REBUILD(F4, "K\0", "K\2\x85", LONG "\xff\xff\xff\xff\xff\xff\xff\x7f\x85") "s.",
        "leads out"),
    ROW("more than the storage", P D REBUILD(F4, "K\0", "K\2K\3\x86", "K\1K\1\x86") "s.",
        "more elements"),
    ROW("size negative", P D REBUILD(F4, "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85") "s.",
        "negative size"),
    ROW("size overflows",
        P D REBUILD(F4, "K\0", LONG "\0\0\0\0\1\0\0\0" LONG "\0\0\0\0\1\0\0\0\x86",
                    "K\1K\1\x86") "s.",
        "2^56"),
    ROW("size 0 among huge ones",
        P D REBUILD(F4, "K\0", "K\0" LONG "\0\0\0\0\0\0\0\x40\x86", "K\1K\1\x86") "s.", "2^56"),
    ROW("nine dimensions", P D REBUILD(F4, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", ")") "s.",
        "dimensions"),
    ROW("size of text", P D REBUILD(F4, "K\0", KEY "\x85", "K\1\x85") "s.", "no integer"),
    ROW("sizes and strides differ", P D REBUILD(F4, "K\0", "K\2\x85", ")") "s.", "strides"),
    ROW("tensor of no storage", P D REBUILD("N", "K\0", ")", ")") "s.", "no storage"),
};

/* The pickle in an archive with one storage of four floats, 1 2 3 4. */
static rn_status read_pickle(const void *pickle, size_t n)
{
    const struct member m[] = { { .name = "x/data.pkl", .data = pickle, .n = n },
                                { .name = "x/data/0", .data = four_floats, .n = 16 } };
    struct bytes zip = zip_of(m, RN_COUNT(m));
    save(at("a"), zip.data, zip.count);
    drop(&zip);
    rn_error_clear();
    return read_pth(at("a"));
}

static void test_pickles(void)
{
    for (size_t i = 0; i < RN_COUNT(rows); i++) {
        uint64_t live = rn_alloc_live();
        rn_status s = read_pickle(rows[i].pickle, rows[i].bytes);
        if (!rows[i].message) CHECK_MSG(s == RN_OK, "%s: %s", rows[i].name, rn_error());
        else
            CHECK_MSG(refused(s, live) && strstr(rn_error(), rows[i].message), "%s: status %d, %s",
                      rows[i].name, s, rn_error());
    }
}

static void test_views(void)
{
    static const struct {
        const char *pickle;
        size_t bytes;
        float want[4];
        int64_t count;
    } view[] = {
#define VIEW(p) p, sizeof(p) - 1
        { VIEW(P D T22 "s."), { 1, 2, 3, 4 }, 4 },
        { VIEW(P D REBUILD(F4, "K\0", "K\2K\2\x86", "K\1K\2\x86") "s."), { 1, 3, 2, 4 }, 4 },
        { VIEW(P D REBUILD(F4, "K\1", "K\2\x85", "K\2\x85") "s."), { 2, 4 }, 2 },
        { VIEW(P D REBUILD(F4, "K\3", ")", ")") "s."), { 4 }, 1 },
        { VIEW(P D REBUILD(F4, "K\0", "K\2K\2\x86", "K\1K\1\x86") "s."), { 1, 2, 2, 3 }, 4 },
    };
    for (size_t i = 0; i < RN_COUNT(view); i++) {
        struct rn_tensors t = { 0 };
        CHECK_OK(read_pickle(view[i].pickle, view[i].bytes));
        CHECK_OK(rn_tensors_read(&t, NULL, at("a")));
        CHECK(t.count == 1 && t.item[0].tensor.count == view[i].count);
        check_bits("view", t.item[0].tensor.data, view[i].want, (size_t)view[i].count);
        rn_tensors_free(&t);
    }
}

/* Pickles that are small and would become large. */
static void test_bombs(void)
{
    struct bytes b = { 0 };
    /* a list of two lists of two lists ... 40 deep */
    add(&b, P "(", 3);
    add(&b, "]q\0", 3);
    for (int i = 0; i < 40; i++) {
        add(&b, "](", 2);
        add(&b,
            (unsigned char[]){ 'h', (unsigned char)i, 'h', (unsigned char)i, 'e', 'q',
                               (unsigned char)(i + 1) },
            7);
    }
    add_text(&b, "t.");
    uint64_t live = rn_alloc_live();
    CHECK(refused(read_pickle(b.data, b.count), live) && strstr(rn_error(), "million values"));
    drop(&b);

    add(&b, P, 2); /* lists in lists, a million deep */
    for (int i = 0; i < 1000000; i++) add(&b, "](", 2);
    for (int i = 0; i < 1000000; i++) add(&b, "e", 1);
    add(&b, ".", 1);
    CHECK(refused(read_pickle(b.data, b.count), live));
    drop(&b);

    add(&b, P, 2);
    for (int i = 0; i < 300; i++) add(&b, "](", 2);
    for (int i = 0; i < 300; i++) add(&b, "e", 1);
    add(&b, ".", 1);
    CHECK(refused(read_pickle(b.data, b.count), live) && strstr(rn_error(), "deep"));
    drop(&b);

    add(&b, P "](", 4); /* one text of 1 MB, a thousand times */
    add(&b, "X\0\0\x10\0", 5);
    for (int i = 0; i < 1 << 20; i++) add(&b, "a", 1);
    add(&b, "q\0", 2);
    for (int i = 0; i < 1000; i++) add(&b, "h\0", 2);
    add(&b, "e.", 2);
    CHECK(refused(read_pickle(b.data, b.count), live) && strstr(rn_error(), "64 MB"));
    drop(&b);

    add(&b, P "c", 3); /* a name of 1 MB */
    for (int i = 0; i < 1 << 20; i++) add(&b, "a", 1);
    add(&b, "\nb\n.", 4);
    CHECK(refused(read_pickle(b.data, b.count), live) && strstr(rn_error(), "letters"));
    drop(&b);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row tests[] = {
        RN_TEST_ROW(test_round_trip), RN_TEST_ROW(test_equal_bytes), RN_TEST_ROW(test_state_dict),
        RN_TEST_ROW(test_damage), RN_TEST_ROW(test_memory), RN_TEST_ROW(test_pickles),
        RN_TEST_ROW(test_views), RN_TEST_ROW(test_bombs),
    };
    folder_begin();
    int status = rn_test_main("test_pth", tests, RN_COUNT(tests), argc, argv);
    folder_end();
    return status;
}
