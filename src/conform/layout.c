/*
 * layout.c - operands in a backend's own layout: how many bytes, and where on the device the pooling
 * taps stand, which are bytes in the order of a map's elements.  No slot moves taps, so the order is
 * found out, from what tensor_set does with elements that are 0 or 1.
 */
#include "conform/case.h"

#include "base/mem.h"

/* Bytes of a map's floats on the device, in the element type of the numerics. */
static size_t map_bytes(const struct rn_operand *o, const struct rn_ops *ops, void *dev)
{
    const int64_t *d = o->shape;
    return ops->tensor_bytes(dev, (int)d[0], (int)d[1], (int)d[2], (int)d[3]);
}

size_t rn_operand_bytes(const struct rn_operand *o, const struct rn_ops *ops, void *dev)
{
    bool tensor = o->map && o->dtype == RN_F32;
    return tensor ? map_bytes(o, ops, dev) : o->count * rn_dtype_bytes(o->dtype);
}

/* A map of the taps' shape, on the host and on the device; number[p] is the element at place p. */
struct order {
    const struct rn_operand *o;
    const struct rn_ops *ops;
    void *dev, *memory;
    float *dense;
    unsigned char *raw;
    size_t *number;
};

static bool any(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return true;
    return false;
}

/* One bit of all numbers: uploaded as 0 or 1 and looked for.  In every type 0 alone has no bit set. */
static void find_bit(struct order *k, int bit)
{
    const int64_t *d = k->o->shape;
    size_t bytes = map_bytes(k->o, k->ops, k->dev), each = bytes / k->o->count;
    for (size_t i = 0; i < k->o->count; i++) k->dense[i] = (float)(i >> bit & 1);
    k->ops->tensor_set(k->dev, k->memory, k->dense, (int)d[0], (int)d[1], (int)d[2], (int)d[3]);
    k->ops->sync(k->dev);
    k->ops->read(k->dev, k->raw, k->memory, bytes);
    k->ops->sync(k->dev);
    for (size_t p = 0; p < k->o->count; p++)
        k->number[p] |= (size_t)any(k->raw + p * each, each) << bit;
}

static void order_close(struct order *k)
{
    k->ops->release(k->dev, k->memory);
    rn_free(k->dense);
    rn_free(k->raw);
    rn_free(k->number);
}

/* Finds the order; raw has room for the taps, too. */
static rn_status order_open(struct order *k, const struct rn_operand *o, const struct rn_ops *ops,
                            void *dev)
{
    size_t bytes = map_bytes(o, ops, dev);
    *k = (struct order){ .o = o, .ops = ops, .dev = dev };
    k->dense = rn_alloc_array(o->count, sizeof *k->dense);
    k->raw = rn_alloc(RN_MAX(bytes, o->count));
    k->number = rn_alloc_array(o->count, sizeof *k->number);
    rn_status status =
        k->dense && k->raw && k->number ? ops->alloc(dev, &k->memory, bytes) : RN_ENOMEM;
    for (int bit = 0; status == RN_OK && o->count >> bit; bit++) find_bit(k, bit);
    if (status) order_close(k);
    return status;
}

rn_status rn_taps_upload(const struct rn_operand *o, void *memory, const struct rn_ops *ops, void *dev)
{
    struct order k;
    const uint8_t *dense = o->host;
    rn_status status = order_open(&k, o, ops, dev);
    if (status) return status;
    for (size_t p = 0; p < o->count; p++) k.raw[p] = dense[k.number[p]];
    ops->write(dev, memory, k.raw, o->count);
    ops->sync(dev);
    order_close(&k);
    return RN_OK;
}

rn_status rn_taps_download(struct rn_operand *o, const void *memory, const struct rn_ops *ops, void *dev)
{
    struct order k;
    uint8_t *dense = o->host;
    rn_status status = order_open(&k, o, ops, dev);
    if (status) return status;
    ops->read(dev, k.raw, memory, o->count);
    ops->sync(dev);
    for (size_t p = 0; p < o->count; p++) dense[k.number[p]] = k.raw[p];
    order_close(&k);
    return RN_OK;
}
