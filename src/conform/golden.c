/* golden.c - names, hashes and tensors of golden packs, and how arrays differ; see golden.h. */
#include "conform/golden.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/real.h"
#include "resnet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void rn_golden_file_name(char out[RN_GOLDEN_NAME_CHARS], size_t number, const struct rn_case *c)
{
    snprintf(out, RN_GOLDEN_NAME_CHARS, "%03zu-%s-%s.safetensors", number, rn_case_op(c->slot),
             rn_case_direction(c->slot));
}

uint64_t rn_golden_hash(const void *data, size_t bytes)
{
    struct rn_hash h;
    rn_hash_begin(&h, 0);
    rn_hash_bytes(&h, data, bytes);
    return rn_hash_end(&h);
}

rn_status rn_golden_file_hash(uint64_t *hash, const char *path)
{
    unsigned char *data = NULL;
    size_t bytes = 0;
    rn_status status = rn_file_read(&data, &bytes, path, RN_GOLDEN_FILE_LIMIT);
    if (status) return status;
    *hash = rn_golden_hash(data, bytes);
    rn_free(data);
    return RN_OK;
}

rn_status rn_golden_reference(void **dev, const char *numerics)
{
    const struct rn_device_options options = { .threads = 1, .numerics = numerics };
    return rn_ops_ref.open(dev, &options);
}

/* Hands the operands' memory over to the list. */
static rn_status take_operands(struct rn_tensors *t, struct rn_call *call)
{
    rn_status status = RN_OK;
    for (int i = 0; i < call->count && status == RN_OK; i++) {
        struct rn_operand *o = &call->item[i];
        struct rn_tensor tensor = { .dtype = o->dtype, .dims = o->dims, .count = (int64_t)o->count,
                                    .data = o->host, .owned = true };
        memcpy(tensor.shape, o->shape, sizeof o->shape);
        o->host = NULL;
        status = rn_tensors_add(t, o->name, &tensor);
    }
    return status;
}

rn_status rn_golden_case_tensors(struct rn_tensors *t, const struct rn_case *c, void *reference)
{
    struct rn_call call;
    *t = (struct rn_tensors){ 0 };
    rn_status status = rn_call_open(&call, c);
    if (status) return status;
    status = rn_call_inputs(&call, &rn_ops_ref, reference, 0);
    if (status == RN_OK) status = rn_call_run(&call, &rn_ops_ref, reference);
    if (status == RN_OK) status = take_operands(t, &call);
    rn_call_close(&call);
    if (status) rn_tensors_free(t);
    return status;
}

/* -- differences ------------------------------------------------------------------------------- */

/* Bits of an element, widened, so that equal bits are equal numbers. */
static uint64_t element_bits(enum rn_dtype dtype, const void *data, size_t i)
{
    switch (dtype) {
    case RN_F32: return rn_bits(((const float *)data)[i]);
    case RN_F64: return rn_bits64(((const double *)data)[i]);
    case RN_I32: return (uint32_t)((const int32_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

static double element_value(enum rn_dtype dtype, const void *data, size_t i)
{
    switch (dtype) {
    case RN_F32: return ((const float *)data)[i];
    case RN_F64: return ((const double *)data)[i];
    case RN_I32: return ((const int32_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

/* Position of a float among all floats of its type: neighbours differ by one. */
static uint64_t rank(uint64_t bits, uint64_t sign)
{
    return bits & sign ? sign - (bits ^ sign) : sign + bits;
}

/* "0x1.8p+0 (3fc00000), golden 0x1p+0 (3f800000), 4194304 ulps apart"; integers as such. */
static void describe(char *out, size_t size, enum rn_dtype dtype, const void *got, const void *want,
                     size_t i)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    uint64_t p = element_bits(dtype, got, i), q = element_bits(dtype, want, i);
    double x = element_value(dtype, got, i), y = element_value(dtype, want, i);
    int digits = dtype == RN_F64 ? 16 : 8;
    if (dtype != RN_F32 && dtype != RN_F64) {
        snprintf(out, size, "[%zu] %s, golden %s", i, rn_number_text(a, x), rn_number_text(b, y));
        return;
    }
    int length = snprintf(out, size, "[%zu] %s (%0*" PRIx64 "), golden %s (%0*" PRIx64 ")", i,
                          rn_hex_text(a, x), digits, p, rn_hex_text(b, y), digits, q);
    if (x != x || y != y || length < 0 || (size_t)length >= size) return;
    uint64_t sign = dtype == RN_F64 ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
    uint64_t r = rank(p, sign), s = rank(q, sign), apart = r > s ? r - s : s - r;
    snprintf(out + length, size - (size_t)length, ", %" PRIu64 " ulp%s apart", apart,
             apart == 1 ? "" : "s");
}

void rn_difference(struct rn_difference *d, enum rn_dtype dtype, const void *got, const void *want,
                   size_t count)
{
    double largest = 0, squares = 0;
    *d = (struct rn_difference){ .same = true };
    for (size_t i = 0; i < count; i++) {
        double x = element_value(dtype, got, i), y = element_value(dtype, want, i);
        bool same = element_bits(dtype, got, i) == element_bits(dtype, want, i);
        if (!same && d->same) {
            d->same = false;
            d->index = i;
            describe(d->text, sizeof d->text, dtype, got, want, i);
        }
        double distance = same ? 0 : fabs(x - y);
        squares += y * y;
        if (!(distance <= largest)) largest = distance;
        if (distance != distance) break;
    }
    d->error = squares > 0 ? largest / sqrt(squares / (double)count) : largest;
}

bool rn_tensor_fits(const struct rn_tensor *t, enum rn_dtype dtype, int dims, const int64_t *shape)
{
    if (t->dtype != dtype || t->dims != dims) return false;
    for (int i = 0; i < dims; i++)
        if (t->shape[i] != shape[i]) return false;
    return true;
}

bool rn_tensors_differ(char text[RN_DETAIL_CHARS], const struct rn_tensors *got,
                       const struct rn_tensors *want)
{
    struct rn_difference d;
    for (size_t i = 0; i < want->count; i++) {
        const struct rn_tensor *w = &want->item[i].tensor;
        const struct rn_named *g = rn_tensors_find(got, want->item[i].name);
        if (!g || !rn_tensor_fits(&g->tensor, w->dtype, w->dims, w->shape)) {
            snprintf(text, RN_DETAIL_CHARS, "tensor %s is missing or of another shape",
                     want->item[i].name);
            return true;
        }
        rn_difference(&d, w->dtype, g->tensor.data, w->data, (size_t)w->count);
        if (d.same) continue;
        snprintf(text, RN_DETAIL_CHARS, "tensor %s%.*s", want->item[i].name, RN_DETAIL_CHARS - 64,
                 d.text);
        return true;
    }
    return false;
}
