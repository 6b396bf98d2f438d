/*
 * device.c - the reference device is this process's memory: allocation by base/mem.h, copies by
 * memcpy, activations laid out as dense NCHW.  There are no threads and no instruction sets to choose,
 * only the numerics.
 * These slots move bits as they are, but for tensor_set of bf16 (A32); A5 is for those who compute or
 * load a number.
 */
#include "ref/ref.h"

#include "base/mem.h"
#include "base/real.h"
#include "resnet.h"

/* All that a device knows is its arithmetic, so there is one for each; NULL is one of fp32. */
static struct device { const char *numerics; bool winograd, bf16; } devices[] = {
    { "fp32", false, false },
    { "fp32-winograd", true, false },
    { "bf16", false, true },
};

bool rn_ref_winograd(const void *dev)
{
    return dev && ((const struct device *)dev)->winograd;
}

bool rn_ref_bf16(const void *dev) { return dev && ((const struct device *)dev)->bf16; }

float rn_ref_element(const void *dev, float value)
{
    return rn_ref_bf16(dev) ? rn_round_bf16(rn_store(value)) : rn_store(value);
}

/* Every cap on the instruction set is kept by using none; a name that is none is still an error. */
static bool isa_known(const char *name)
{
    static const char *const known[] = { "",       "scalar", "portable", "avx2",
                                         "avx512", "amx",    "neon" };
    for (size_t i = 0; i < RN_COUNT(known); i++)
        if (!strcmp(name, known[i])) return true;
    return false;
}

rn_status rn_ref_open(void **dev, const struct rn_device_options *options)
{
    const char *numerics = options && options->numerics ? options->numerics : "";
    if (options && options->isa && !isa_known(options->isa))
        return rn_fail(RN_EUSAGE, "instruction set '%s' is unknown; backend ref has only scalar",
                       options->isa);
    for (size_t i = 0; i < RN_COUNT(devices); i++)
        if (!*numerics || !strcmp(numerics, devices[i].numerics)) {
            *dev = &devices[i];
            return RN_OK;
        }
    return rn_fail(RN_EUSAGE, "backend ref does not have the numerics '%s'; it has: %s", numerics,
                   rn_ops_ref.numerics);
}

void rn_ref_close(void *dev) { (void)dev; }

const char *rn_ref_isa(void *dev)
{
    (void)dev;
    return "scalar";
}

rn_status rn_ref_alloc(void *dev, void **mem, size_t bytes)
{
    (void)dev;
    *mem = rn_alloc(bytes);
    return *mem ? RN_OK : RN_ENOMEM;
}

void rn_ref_release(void *dev, void *mem)
{
    (void)dev;
    rn_free(mem);
}

void rn_ref_write(void *dev, void *dst, const void *host, size_t bytes)
{
    (void)dev;
    memcpy(dst, host, bytes);
}

void rn_ref_read(void *dev, void *host, const void *src, size_t bytes)
{
    (void)dev;
    memcpy(host, src, bytes);
}

void rn_ref_copy(void *dev, void *dst, const void *src, size_t bytes)
{
    (void)dev;
    memcpy(dst, src, bytes);
}

void rn_ref_sync(void *dev) { (void)dev; }

void rn_ref_run(void *dev, void (*pass)(void *arg), void *arg)
{
    (void)dev;
    pass(arg);
}

size_t rn_ref_tensor_bytes(void *dev, int N, int C, int H, int W)
{
    (void)dev;
    return (size_t)N * (size_t)C * (size_t)H * (size_t)W * sizeof(float);
}

/* A32: what enters a tensor of bf16 is rounded. */
void rn_ref_tensor_set(void *dev, void *dst_tensor, const float *nchw, int N, int C, int H, int W)
{
    float *dst = dst_tensor;
    size_t count = (size_t)N * (size_t)C * (size_t)H * (size_t)W;
    for (size_t i = 0; i < count; i++) dst[i] = rn_ref_bf16(dev) ? rn_round_bf16(nchw[i]) : nchw[i];
}

void rn_ref_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W)
{
    memcpy(nchw, src, rn_ref_tensor_bytes(dev, N, C, H, W));
}
