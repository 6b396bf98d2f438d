/*
 * device.c - the device of the CPU backend: its threads, its instruction set, its numerics, this process's
 * memory, and the layout of fp32 tensors.
 */
#include "cpu/amx.h"
#include "cpu/bf16.h"
#include "cpu/slots.h"

#include "base/mem.h"

#include <stdlib.h>

static bool is(const char *name, const char *other) { return name && !strcmp(name, other); }

/* The arithmetic that is asked for, of those that a table has. */
static rn_status choose_fp32(struct rn_cpu *cpu, const char *name)
{
    cpu->winograd = is(name, "fp32-winograd");
    if (!name || !*name || is(name, "fp32") || cpu->winograd) return RN_OK;
    return rn_fail(RN_EUSAGE, "numerics '%s': this table of the backend cpu has fp32, fp32-winograd", name);
}

static rn_status choose_bf16(struct rn_cpu *cpu, const char *name)
{
    (void)cpu;
    if (!name || !*name || is(name, "bf16")) return RN_OK;
    return rn_fail(RN_EUSAGE, "numerics '%s': this table of the backend cpu has bf16", name);
}

/* RESNET_CONV: "" or "direct", or "im2col" (conv_im2col.c). */
static rn_status choose_conv(struct rn_cpu *cpu)
{
    const char *mode = getenv("RESNET_CONV");
    cpu->im2col = mode && !strcmp(mode, "im2col");
    if (!mode || !*mode || !strcmp(mode, "direct") || cpu->im2col) return RN_OK;
    return rn_fail(RN_EUSAGE, "RESNET_CONV is neither 'direct' nor 'im2col'");
}

void rn_cpu_close(void *dev) { rn_free(dev); }

static rn_status open_cpu(void **dev, const struct rn_device_options *options,
                          rn_status (*choose_numerics)(struct rn_cpu *cpu, const char *name))
{
    int threads = options ? options->threads : rn_cpu_count();
    if (threads < 1) return rn_fail(RN_EUSAGE, "%d threads: at least 1 is needed", threads);
    struct rn_cpu *cpu = rn_alloc(sizeof *cpu);
    if (!cpu) return RN_ENOMEM;
    cpu->threads = RN_MIN(threads, RN_MAX_THREADS);
    rn_status status = choose_numerics(cpu, options ? options->numerics : NULL);
    if (!status) status = choose_conv(cpu);
    const char *isa = options ? options->isa : NULL;
    bool bf16 = choose_numerics == choose_bf16;
    if (!status && bf16 && (!isa || !*isa) && !rn_amx_absence()) isa = "amx";
    if (!status) status = rn_isa_find(&cpu->kernels, &cpu->isa, isa);
    if (status) {
        rn_cpu_close(cpu);
        return status;
    }
    cpu->amx = bf16 && is(cpu->isa, "amx");
    cpu->tensor = bf16 ? cpu->kernels->bf16 : cpu->kernels->fp32;
    *dev = cpu;
    return RN_OK;
}

rn_status rn_cpu_open(void **dev, const struct rn_device_options *options)
{
    return open_cpu(dev, options, choose_fp32);
}

rn_status rn_bf16_open(void **dev, const struct rn_device_options *options)
{
    return open_cpu(dev, options, choose_bf16);
}

const char *rn_cpu_isa(void *dev) { return ((const struct rn_cpu *)dev)->isa; }

rn_status rn_cpu_alloc(void *dev, void **mem, size_t bytes)
{
    (void)dev;
    *mem = rn_alloc(bytes);
    return *mem ? RN_OK : RN_ENOMEM;
}

void rn_cpu_release(void *dev, void *mem)
{
    (void)dev;
    rn_free(mem);
}

void rn_cpu_write(void *dev, void *dst, const void *host, size_t bytes)
{
    (void)dev;
    if (bytes) memcpy(dst, host, bytes);
}

void rn_cpu_read(void *dev, void *host, const void *src, size_t bytes)
{
    rn_cpu_write(dev, host, src, bytes);
}

void rn_cpu_copy(void *dev, void *dst, const void *src, size_t bytes)
{
    rn_cpu_write(dev, dst, src, bytes);
}

void rn_cpu_sync(void *dev) { (void)dev; }

void rn_cpu_run(void *dev, void (*pass)(void *arg), void *arg)
{
    rn_with_team(((const struct rn_cpu *)dev)->threads, pass, arg);
}

/* -- layout: NHWC ----------------------------------------------------------------------------- */

size_t rn_cpu_tensor_bytes(void *dev, int N, int C, int H, int W)
{
    return (size_t)N * (size_t)C * (size_t)H * (size_t)W * ((const struct rn_cpu *)dev)->tensor->bytes;
}

struct transpose { float *dst; const float *src; size_t C, positions; };

#define EDGE 16 /* of the squares in which a map is transposed: a cache line of floats */

/* dst[j][i] = src[i][j] for one image, src [rows][cols]. */
static void transpose(float *dst, const float *src, size_t rows, size_t cols)
{
    for (size_t i0 = 0; i0 < rows; i0 += EDGE)
        for (size_t j0 = 0; j0 < cols; j0 += EDGE)
            for (size_t j = j0; j < RN_MIN(j0 + EDGE, cols); j++)
                for (size_t i = i0; i < RN_MIN(i0 + EDGE, rows); i++)
                    dst[j * rows + i] = src[i * cols + j];
}

static void set_image(void *arg, int64_t n, int worker)
{
    const struct transpose *t = arg;
    size_t at = (size_t)n * t->C * t->positions;
    (void)worker;
    transpose(t->dst + at, t->src + at, t->C, t->positions);
}

static void get_image(void *arg, int64_t n, int worker)
{
    const struct transpose *t = arg;
    size_t at = (size_t)n * t->C * t->positions;
    (void)worker;
    transpose(t->dst + at, t->src + at, t->positions, t->C);
}

void rn_cpu_tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W)
{
    const struct rn_cpu *cpu = dev;
    struct transpose t = { dst, nchw, (size_t)C, (size_t)H * (size_t)W };
    rn_parallel(cpu->threads, N, set_image, &t);
}

void rn_cpu_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W)
{
    const struct rn_cpu *cpu = dev;
    struct transpose t = { nchw, src, (size_t)C, (size_t)H * (size_t)W };
    rn_parallel(cpu->threads, N, get_image, &t);
}

