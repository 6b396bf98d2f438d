/* test_golden.c - golden packs: written twice alike, changed in every way, of either numerics; and the
 * verdicts on backends that are not the reference. */
#define _POSIX_C_SOURCE 200809L

#include "tests/test_conform.h"

#include "base/file.h"
#include "base/random.h"

#include <unistd.h>

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
    rn_status status = rn_golden_check(pack, ops, dev, "fp32", see, seen);
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
    CHECK_OK(rn_golden_write(pack, "fp32"));
    CHECK_OK(rn_golden_write(other, "fp32"));
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
    for (size_t i = count % 24; i < count + 2; i += 24) {
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
    CHECK(check_forged("\"version\":2", "\"version\":1") == RN_EINPUT);
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
static void almost_linear(void *dev, float *dst, const void *src, const void *weights,
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

/* A pack is of one numerics; direct convolution is legal where Winograd's is wanted, and not the same. */
static void test_numerics(void)
{
    const char *winograd = "fp32-winograd";
    struct seen seen = { 0 };
    struct rn_ops ops = rn_ops_ref;
    void *dev = NULL, *direct = open_ref();
    CHECK_OK(rn_golden_reference(&dev, winograd));
    CHECK(dev != direct);
    CHECK_OK(rn_gradcheck(&rn_ops_ref, dev, winograd, see, &seen));
    CHECK(seen.failed == 0);
    CHECK_OK(rn_golden_write(other, winograd));
    CHECK(rn_golden_check(other, &ops, direct, "fp32", see, &seen) == RN_EINPUT);
    CHECK(strstr(rn_error(), "numerics"));
    CHECK(rn_golden_check(pack, &ops, dev, winograd, see, &seen) == RN_EINPUT);
    seen = (struct seen){ 0 };
    CHECK_OK(rn_golden_check(other, &ops, dev, winograd, see, &seen));
    CHECK(seen.failed == 0 && seen.legal == 0);
    CHECK(rn_golden_check(other, &ops, direct, winograd, see, &seen) == RN_ECHECK);
    CHECK(!strcmp(seen.first, "conv2d forward"));
    ops.exact = 0;
    seen = (struct seen){ 0 };
    CHECK_OK(rn_golden_check(other, &ops, direct, winograd, see, &seen));
    CHECK(seen.failed == 0 && seen.legal >= 15);
    CHECK(rn_golden_reference(&dev, "fp33") == RN_EUSAGE && strstr(rn_error(), "fp32-winograd"));
    ops.close(dev);
    ops.close(direct);
}

/* Inputs of a bf16 pack are floats, which the table rounds; weights cannot be had back. */
static void test_bf16(void)
{
    const char *bf16 = "bf16";
    struct seen seen = { 0 };
    struct rn_ops ops = rn_ops_ref;
    void *dev = open_numerics(bf16), *fp32 = open_ref();
    CHECK_OK(rn_golden_write(other, bf16));
    CHECK_OK(rn_golden_check(other, &ops, dev, bf16, see, &seen));
    CHECK(seen.failed == 0 && seen.legal == 0);
    CHECK(rn_golden_check(other, &ops, fp32, bf16, see, &seen) == RN_ECHECK);
    CHECK(rn_golden_check(pack, &ops, dev, "fp32", see, &seen) == RN_ECHECK);
    ops.exact = 0;
    ops.linear_forward = almost_linear;
    seen = (struct seen){ 0 };
    CHECK_OK(rn_golden_check(other, &ops, dev, bf16, see, &seen));
    CHECK(seen.failed == 0 && seen.legal >= 3);
    ops.close(dev);
    ops.close(fp32);
}

static void test_no_memory(void)
{
    struct seen seen;
    uint64_t live = rn_alloc_live();
    for (uint64_t n = 1; n < 3000; n += 1 + n / 5) {
        void *dev = open_ref();
        rn_alloc_fail_at(n, n % 2);
        rn_status status = rn_golden_check(pack, &rn_ops_ref, dev, "fp32", see, &seen);
        rn_alloc_fail_at(0, false);
        rn_ops_ref.close(dev);
        CHECK_MSG(status == RN_ENOMEM, "allocation %d failed: status %d", (int)n, (int)status);
        CHECK_MSG(rn_alloc_live() == live, "allocation %d failed: memory leaked", (int)n);
    }
}

static const struct rn_test_row tests[] = {
    RN_TEST_ROW(test_two_packs_are_equal), RN_TEST_ROW(test_flipped_bits),
    RN_TEST_ROW(test_forged_index), RN_TEST_ROW(test_forged_indices),
    RN_TEST_ROW(test_cut_and_missing_files), RN_TEST_ROW(test_verdicts), RN_TEST_ROW(test_numerics),
    RN_TEST_ROW(test_bf16), RN_TEST_ROW(test_no_memory),
};

int main(int argc, char **argv)
{
    if (!mkdtemp(folder)) return 1;
    snprintf(pack, sizeof pack, "%s/pack", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    if (argc > 1 && rn_golden_write(pack, "fp32")) return 1; /* a filter may leave the writing test out */
    int result = rn_test_main("test_golden", tests, RN_COUNT(tests), argc, argv);
    remove_pack(pack);
    remove_pack(other);
    rmdir(folder);
    return result;
}
