/* test_conform.c - the judges judged: backends that are refused, gradients that are wrong,
 * golden packs that were changed. */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "conform/golden.h"
#include "resnet.h"
#include "tests/broken/backend.c"

#include <unistd.h>

static void *open_ref(void)
{
    void *dev = NULL;
    CHECK_OK(rn_golden_reference(&dev));
    return dev;
}

/* -- finding backends -------------------------------------------------------------------------- */

static void test_find(void)
{
    const struct rn_ops *ops = NULL;
    CHECK_OK(rn_backend_find(&ops, "ref"));
    CHECK(ops == &rn_ops_ref);
    CHECK_OK(rn_backend_find(&ops, "cpu"));
    CHECK(ops == &rn_ops_cpu);
    CHECK(rn_backend_find(&ops, "cuda") == RN_EFAIL && strstr(rn_error(), "not in this build"));
    CHECK(rn_backend_find(&ops, "cqu") == RN_EUSAGE && strstr(rn_error(), "cpu"));
    CHECK(rn_backend_find(&ops, "") == RN_EUSAGE);
    CHECK(rn_backend_find(&ops, "none.so") == RN_EINPUT && strstr(rn_error(), "none.so"));
    CHECK(rn_backend_find(&ops, "tests/test.h") == RN_EINPUT);
}

static void test_holes(void)
{
    struct rn_ops ops = rn_ops_ref;
    CHECK_OK(rn_backend_validate(&ops, "table"));
#define WITHOUT(slot) \
    ops = rn_ops_ref; \
    ops.slot = NULL; \
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT && strstr(rn_error(), " " #slot " ")); \
    CHECK(strcmp(rn_slot_name(RN_SLOT_##slot), #slot) == 0);
    RN_SLOTS(WITHOUT)
#undef WITHOUT
    ops = rn_ops_ref;
    ops.version++;
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT && strstr(rn_error(), "version"));
    ops = rn_ops_ref;
    ops.struct_bytes -= 8;
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT && strstr(rn_error(), "bytes"));
    ops = rn_ops_ref;
    ops.name = NULL;
    CHECK(rn_backend_validate(&ops, "table") == RN_EINPUT);
    CHECK(rn_backend_validate(NULL, "table") == RN_EINPUT);
}

/* -- cases ------------------------------------------------------------------------------------- */

static void test_cases_cover_every_slot(void)
{
    size_t count;
    bool covered[RN_SLOT_COUNT] = { false };
    const struct rn_case *cases = rn_cases(&count);
    CHECK(count >= 60);
    for (size_t i = 0; i < count; i++) {
        struct rn_call call;
        covered[cases[i].slot] = true;
        CHECK_OK(rn_call_open(&call, &cases[i]));
        CHECK(call.count >= 2);
        rn_call_close(&call);
    }
#define COVERED(slot) CHECK_MSG(covered[RN_SLOT_##slot], "no case for slot %s", #slot);
    RN_COMPUTE_SLOTS(COVERED)
#undef COVERED
    CHECK(rn_alloc_live() == 0);
}

/* Outputs are poisoned: a slot that leaves an element out cannot pass. */
static void forgetful_add(void *dev, float *dst, const float *a, const float *b, size_t count)
{
    rn_ops_ref.add(dev, dst, a, b, count - 1);
}

static void test_outputs_are_poisoned(void)
{
    const struct rn_case c = { RN_SLOT_add, "n1c2h3w3", 0 };
    struct rn_ops ops = rn_ops_ref;
    struct rn_call call;
    void *dev = open_ref();
    ops.add = forgetful_add;
    CHECK_OK(rn_call_open(&call, &c));
    CHECK_OK(rn_call_inputs(&call, &ops, dev, 0));
    CHECK_OK(rn_call_run(&call, &ops, dev));
    const float *dst = rn_call_operand(&call, "dst")->host;
    CHECK(dst[0] == dst[0] && dst[17] != dst[17]);
    rn_call_close(&call);
    ops.close(dev);
}

static void test_difference(void)
{
    struct rn_difference d;
    const float a[] = { 1, 2, 3 }, b[] = { 1, rn_float(rn_bits(2) + 3), 3 };
    const float tiny[] = { rn_float(1) }, minus[] = { rn_float(0x80000002u) };
    rn_difference(&d, RN_F32, a, a, 3);
    CHECK(d.same && d.error == 0);
    rn_difference(&d, RN_F32, b, a, 3);
    CHECK(!d.same && d.index == 1 && strstr(d.text, "3 ulps") && strstr(d.text, "40000003"));
    CHECK(d.error > 1e-7 && d.error < 1e-6);
    rn_difference(&d, RN_F32, tiny, minus, 1);
    CHECK(strstr(d.text, "3 ulps"));
    const double x[] = { NAN }, y[] = { 1 };
    rn_difference(&d, RN_F64, x, y, 1);
    CHECK(!d.same && !(d.error <= 1e300));
}

/* -- gradients --------------------------------------------------------------------------------- */

struct seen { int rows, failed, legal; char first[64]; };

static void see(void *arg, const struct rn_finding *f)
{
    struct seen *seen = arg;
    bool good = !strcmp(f->verdict, "ok") || !strcmp(f->verdict, "same");
    bool legal = !strcmp(f->verdict, "legal");
    seen->rows++;
    seen->legal += legal;
    if (!good && !legal && seen->failed++ == 0)
        snprintf(seen->first, sizeof seen->first, "%s %s", f->op, f->part);
}

static void test_gradients_of_the_reference(void)
{
    struct seen seen = { 0 };
    void *dev = open_ref();
    CHECK_OK(rn_gradcheck(&rn_ops_ref, dev, see, &seen));
    CHECK(seen.rows >= 100 && seen.failed == 0);
    rn_ops_ref.close(dev);
    CHECK(rn_alloc_live() == 0);
}

static void test_every_mistake_is_named(void)
{
    for (int i = 0; i < broken_count; i++) {
        struct rn_ops ops = broken_table(i);
        struct seen seen = { 0 };
        void *dev = open_ref();
        rn_status status = rn_gradcheck(&ops, dev, see, &seen);
        CHECK_MSG(status == RN_ECHECK && seen.failed > 0, "broken %s passed", broken_names[i].name);
        CHECK_MSG(strncmp(seen.first, broken_names[i].op, strlen(broken_names[i].op)) == 0,
                  "broken %s was called %s", broken_names[i].name, seen.first);
        CHECK(strstr(rn_error(), broken_names[i].op));
        ops.close(dev);
    }
}

/* A gradient of NaN must not slip through a comparison. */
static void nan_relu(void *dev, float *dsrc, const float *ddst, const float *dst, size_t count)
{
    rn_ops_ref.relu_backward(dev, dsrc, ddst, dst, count);
    dsrc[count / 2] = NAN;
}

static void test_nan_is_no_pass(void)
{
    struct rn_ops ops = rn_ops_ref;
    struct seen seen = { 0 };
    void *dev = open_ref();
    ops.relu_backward = nan_relu;
    CHECK(rn_gradcheck(&ops, dev, see, &seen) == RN_ECHECK);
    CHECK(strcmp(seen.first, "relu dx") == 0);
    ops.close(dev);
}

/* -- golden packs ------------------------------------------------------------------------------ */

static char folder[] = "/tmp/rn-conform-XXXXXX";
static char pack[64], other[64];

static char *file_in(const char *where, const char *name)
{
    char *path = rn_path_join(where, name);
    if (!path) abort();
    return path;
}

/* Without rn_file_write's syncs, which a test with hundreds of changes would wait for. */
static void put_file(const char *path, const void *data, size_t bytes)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, bytes, f) == bytes);
    CHECK(f && fclose(f) == 0);
}

static void remove_pack(const char *where)
{
    size_t count;
    const struct rn_case *cases = rn_cases(&count);
    for (size_t i = 0; i < count + 2; i++) {
        char name[RN_GOLDEN_NAME_CHARS] = RN_GOLDEN_INDEX;
        if (i < count) rn_golden_file_name(name, i, &cases[i]);
        else if (i == count) snprintf(name, sizeof name, RN_TRAJECTORY_FILE);
        char *path = file_in(where, name);
        remove(path);
        rn_free(path);
    }
    rmdir(where);
}

static rn_status check_pack(const struct rn_ops *ops, struct seen *seen)
{
    void *dev = open_ref();
    *seen = (struct seen){ 0 };
    rn_error_clear();
    rn_status status = rn_golden_check(pack, ops, dev, see, seen);
    ops->close(dev);
    return status;
}

/* Files of the pack by number: cases, trajectory, index. */
static void pack_file(char name[RN_GOLDEN_NAME_CHARS], size_t i)
{
    size_t count;
    const struct rn_case *cases = rn_cases(&count);
    if (i < count) rn_golden_file_name(name, i, &cases[i]);
    else snprintf(name, RN_GOLDEN_NAME_CHARS, i == count ? RN_TRAJECTORY_FILE : RN_GOLDEN_INDEX);
}

static void test_two_packs_are_equal(void)
{
    size_t count;
    struct seen seen;
    rn_cases(&count);
    CHECK_OK(rn_golden_write(pack));
    CHECK_OK(rn_golden_write(other));
    for (size_t i = 0; i < count + 2; i++) {
        char name[RN_GOLDEN_NAME_CHARS];
        uint64_t a = 0, b = 1;
        pack_file(name, i);
        char *p = file_in(pack, name), *q = file_in(other, name);
        CHECK_OK(rn_golden_file_hash(&a, p));
        CHECK_OK(rn_golden_file_hash(&b, q));
        CHECK_MSG(a == b, "%s differs between two writes", name);
        rn_free(p);
        rn_free(q);
    }
    CHECK_OK(check_pack(&rn_ops_ref, &seen));
    CHECK(seen.rows == (int)count + 1 && seen.failed == 0 && seen.legal == 0);
    CHECK(rn_alloc_live() == 0);
}

/* Flips one bit, checks, and puts the byte back; (size_t)-1 is the last byte. */
static void flip(const char *name, size_t at, int bit)
{
    unsigned char *data;
    size_t bytes;
    struct seen seen;
    char *path = file_in(pack, name);
    CHECK_OK(rn_file_read(&data, &bytes, path, RN_GOLDEN_FILE_LIMIT));
    at = at > SIZE_MAX / 2 ? at + bytes : at % bytes;
    data[at] ^= (unsigned char)(1 << bit);
    put_file(path, data, bytes);
    rn_status status = check_pack(&rn_ops_ref, &seen);
    CHECK_MSG(status == RN_ECHECK, "%s: bit %d of byte %zu flipped: status %d, %s", name, bit, at,
              (int)status, rn_error());
    CHECK_MSG(strstr(rn_error(), name), "%s is not named: %s", name, rn_error());
    data[at] ^= (unsigned char)(1 << bit);
    put_file(path, data, bytes);
    rn_free(data);
    rn_free(path);
}

static void test_flipped_bits(void)
{
    size_t count;
    struct rn_random r = rn_random(1, RN_RANDOM_TEST, 0, 0);
    rn_cases(&count);
    for (size_t i = count % 6; i < count + 2; i += 6) {
        char name[RN_GOLDEN_NAME_CHARS];
        pack_file(name, i);
        flip(name, (size_t)rn_random_word(&r) % 1000, (int)rn_random_below(&r, 8));
    }
    for (size_t at = 0; at < 40; at++) {
        flip(RN_GOLDEN_INDEX, at, (int)rn_random_below(&r, 8)); /* its opening */
        flip(RN_GOLDEN_INDEX, (size_t)0 - 1 - at, (int)rn_random_below(&r, 8)); /* its end */
        flip(RN_GOLDEN_INDEX, 500 + at * 997, (int)rn_random_below(&r, 8));
    }
    flip("000-tensor-set.safetensors", 0, 3); /* header length, header, first and last value */
    flip("000-tensor-set.safetensors", 7, 7);
    flip("000-tensor-set.safetensors", 8, 0);
    flip("000-tensor-set.safetensors", 1823, 7);
    CHECK(strstr(rn_error(), "tensor src[209]") && strstr(rn_error(), "ulps apart"));
    struct seen seen;
    CHECK_OK(check_pack(&rn_ops_ref, &seen));
}

/* The index with one text in place of another, all hashes made anew: what an enemy would write. */
static rn_status check_forged(const char *from, const char *to)
{
    unsigned char *data;
    size_t bytes;
    struct seen seen;
    struct rn_text t = { 0 };
    char *path = file_in(pack, RN_GOLDEN_INDEX);
    CHECK_OK(rn_file_read(&data, &bytes, path, RN_GOLDEN_FILE_LIMIT));
    const char *text = (const char *)data, *place = strstr(text, from);
    const char *end = text + bytes - strlen(RN_GOLDEN_HASH) - 16 - 3;
    CHECK_MSG(place && place < end, "no \"%s\" in the index", from);
    rn_text_bytes(&t, text, (size_t)(place - text));
    rn_text_add(&t, "%s", to);
    rn_text_bytes(&t, place + strlen(from), (size_t)(end - place) - strlen(from));
    uint64_t hash = rn_golden_hash(t.data, t.length);
    rn_text_add(&t, RN_GOLDEN_HASH "%016" PRIx64 "\"}\n", hash);
    put_file(path, t.data, t.length);
    rn_status status = check_pack(&rn_ops_ref, &seen);
    put_file(path, data, bytes);
    rn_text_free(&t);
    rn_free(data);
    rn_free(path);
    return status;
}

static void test_forged_index(void)
{
    CHECK_OK(check_forged("\"about\"", "\"About\"")); /* the forgery itself is sound */
    CHECK(check_forged("\"version\":1", "\"version\":2") == RN_EINPUT);
    CHECK(check_forged("000-tensor-set.safetensors", "../000-tensor-set.safetensors") == RN_EINPUT);
    CHECK(strstr(rn_error(), "file name"));
    CHECK(check_forged("000-tensor-set.safetensors", "/etc/passwd") == RN_EINPUT);
    CHECK(check_forged("000-tensor-set.safetensors", "") == RN_EINPUT);
    CHECK(check_forged("000-tensor-set.safetensors", "not-there.safetensors") == RN_EINPUT);
    CHECK(check_forged("000-tensor-set.safetensors", "002-conv2d-forward.safetensors") ==
          RN_ECHECK);
    CHECK(check_forged("\"op\":\"conv2d\"", "\"op\":\"conv3d\"") == RN_EINPUT);
    CHECK(check_forged("n1c1h4w4k1r3s3u1a1g1", "n1c1h4w4k9r3s3u1a1g1") == RN_EINPUT);
    CHECK(check_forged("\"bound\":0", "\"bound\":-1") == RN_EINPUT);
    CHECK(check_forged("\"bound\":0", "\"bound\":[]") == RN_EINPUT);
    CHECK(check_forged("\"files\":[", "\"files\":[1,") == RN_EINPUT);
    CHECK(check_forged("\"cases\":[", "\"cases\":{") == RN_EINPUT);
    CHECK(check_forged("\"xxh64\":\"", "\"xxh64\":\"zz") == RN_EINPUT);
}

/* File `name` with the first byte of one tensor changed, and the index made to agree. */
static rn_status check_forged_tensor(const char *name, const char *tensor, unsigned char byte)
{
    struct rn_tensors t;
    char from[32], to[32];
    unsigned char *data;
    size_t bytes;
    uint64_t before = 0, after = 0;
    char *path = file_in(pack, name);
    CHECK_OK(rn_file_read(&data, &bytes, path, RN_GOLDEN_FILE_LIMIT));
    CHECK_OK(rn_golden_file_hash(&before, path));
    CHECK_OK(rn_safetensors_read(&t, path));
    const struct rn_named *named = rn_tensors_find(&t, tensor);
    CHECK(named != NULL);
    if (named) *(unsigned char *)named->tensor.data = byte;
    CHECK_OK(rn_safetensors_write(path, &t));
    CHECK_OK(rn_golden_file_hash(&after, path));
    snprintf(from, sizeof from, "%016" PRIx64, before);
    snprintf(to, sizeof to, "%016" PRIx64, after);
    rn_status status = check_forged(from, to);
    put_file(path, data, bytes);
    rn_tensors_free(&t);
    rn_free(data);
    rn_free(path);
    return status;
}

/* The number of the first case of a slot, as its file is called. */
static void first_file(char name[RN_GOLDEN_NAME_CHARS], enum rn_slot slot)
{
    size_t count, i = 0;
    const struct rn_case *cases = rn_cases(&count);
    while (i < count && cases[i].slot != slot) i++;
    CHECK(i < count);
    pack_file(name, i);
}

static void test_forged_indices(void)
{
    char name[RN_GOLDEN_NAME_CHARS];
    first_file(name, RN_SLOT_softmax_cross_entropy);
    CHECK(check_forged_tensor(name, "labels", 77) == RN_EINPUT && strstr(rn_error(), "labels[0]"));
    first_file(name, RN_SLOT_maxpool_backward);
    CHECK(check_forged_tensor(name, "index", 9) == RN_EINPUT && strstr(rn_error(), "index[0]"));
    /* the corner's window begins outside of the image */
    CHECK(check_forged_tensor(name, "index", 0) == RN_EINPUT);
    CHECK(check_forged_tensor(RN_TRAJECTORY_FILE, "labels", 5) == RN_EINPUT);
    first_file(name, RN_SLOT_conv2d_forward);
    CHECK(check_forged_tensor(name, "dst", 1) == RN_ECHECK && strstr(rn_error(), "dst[0]"));
}

static void test_cut_and_missing_files(void)
{
    struct seen seen;
    unsigned char *data;
    size_t bytes;
    char *path = file_in(pack, RN_GOLDEN_INDEX);
    CHECK_OK(rn_file_read(&data, &bytes, path, RN_GOLDEN_FILE_LIMIT));
    for (size_t keep = 0; keep < bytes; keep = keep < 80 ? keep + 1 : keep * 2) {
        put_file(path, data, keep);
        rn_status status = check_pack(&rn_ops_ref, &seen);
        CHECK_MSG(status == RN_ECHECK || status == RN_EINPUT, "index cut at %zu", keep);
    }
    remove(path);
    CHECK(check_pack(&rn_ops_ref, &seen) == RN_EINPUT);
    put_file(path, data, bytes);
    rn_free(data);
    rn_free(path);
    path = file_in(pack, "002-conv2d-forward.safetensors");
    CHECK_OK(rn_file_read(&data, &bytes, path, RN_GOLDEN_FILE_LIMIT));
    put_file(path, data, bytes / 2);
    CHECK(check_pack(&rn_ops_ref, &seen) == RN_ECHECK && !strcmp(seen.first, "conv2d forward"));
    remove(path);
    CHECK(check_pack(&rn_ops_ref, &seen) == RN_EINPUT && strstr(rn_error(), "002-conv2d-forward"));
    put_file(path, data, bytes);
    rn_free(data);
    rn_free(path);
}

/* -- verdicts ---------------------------------------------------------------------------------- */

/* One ulp off in every output: legal where no equal bits are claimed, wrong where they are. */
static void almost_linear(void *dev, float *dst, const float *src, const float *weights,
                          const float *bias, const struct rn_linear_shape *s, void *workspace)
{
    rn_ops_ref.linear_forward(dev, dst, src, weights, bias, s, workspace);
    for (int i = 0; i < s->N * s->K; i++)
        if (dst[i] != 0) dst[i] = rn_float(rn_bits(dst[i]) + 1);
}

static void test_verdicts(void)
{
    struct rn_ops ops = rn_ops_ref;
    struct seen seen;
    ops.linear_forward = almost_linear;
    CHECK(check_pack(&ops, &seen) == RN_ECHECK && !strcmp(seen.first, "linear forward"));
    CHECK(strstr(rn_error(), "dst[0]") && strstr(rn_error(), "1 ulp apart"));
    ops.exact = 0;
    CHECK_OK(check_pack(&ops, &seen));
    CHECK(seen.legal >= 3 && seen.failed == 0);
    for (int i = 0; i < broken_count; i++) {
        ops = broken_table(i);
        ops.exact = 0;
        CHECK_MSG(check_pack(&ops, &seen) == RN_ECHECK && seen.failed > 0, "broken %s is legal",
                  broken_names[i].name);
    }
}

static void test_no_memory(void)
{
    struct seen seen;
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n < 3000; n += 1 + n / 5) {
        void *dev = open_ref();
        rn_alloc_fail_at(n, n % 2);
        rn_status status = rn_golden_check(pack, &rn_ops_ref, dev, see, &seen);
        rn_alloc_fail_at(0, false);
        rn_ops_ref.close(dev);
        CHECK_MSG(status == RN_ENOMEM, "allocation %d failed: status %d", (int)n, (int)status);
        CHECK_MSG(rn_alloc_live() == live, "allocation %d failed: memory leaked", (int)n);
    }
    for (uint64_t n = 1; n < 1500; n += 1 + n / 3) {
        void *dev = open_ref();
        rn_alloc_fail_at(n, true);
        rn_status status = rn_gradcheck(&rn_ops_ref, dev, see, &seen);
        rn_alloc_fail_at(0, false);
        rn_ops_ref.close(dev);
        CHECK(status == RN_ENOMEM && rn_alloc_live() == live);
    }
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_find), RN_TEST_ROW(test_holes), RN_TEST_ROW(test_cases_cover_every_slot),
    RN_TEST_ROW(test_outputs_are_poisoned), RN_TEST_ROW(test_difference),
    RN_TEST_ROW(test_gradients_of_the_reference), RN_TEST_ROW(test_every_mistake_is_named),
    RN_TEST_ROW(test_nan_is_no_pass), RN_TEST_ROW(test_two_packs_are_equal),
    RN_TEST_ROW(test_flipped_bits), RN_TEST_ROW(test_forged_index),
    RN_TEST_ROW(test_forged_indices), RN_TEST_ROW(test_cut_and_missing_files),
    RN_TEST_ROW(test_verdicts), RN_TEST_ROW(test_no_memory),
};

int main(int argc, char **argv)
{
    if (!mkdtemp(folder)) return 1;
    snprintf(pack, sizeof pack, "%s/pack", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    if (argc > 1 && rn_golden_write(pack)) return 1; /* a filter may leave the writing test out */
    int result = rn_test_main("test_conform", tests, RN_COUNT(tests), argc, argv);
    remove_pack(pack);
    remove_pack(other);
    rmdir(folder);
    return result;
}
