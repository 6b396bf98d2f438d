/*
 * ops.c - the table of the CPU backend, its device and the layout of its tensors.
 *
 * Convolution stands in conv*.c over gemm.c, everything per instruction set in kernels_*.c (listed
 * in isa.c), the rest in one file an op.
 */
#include "cpu/batchnorm.h"
#include "cpu/conv.h"
#include "cpu/slots.h"

#include "base/mem.h"

#include <stdlib.h>

extern const struct rn_ops rn_ops_cpu;

/* The arithmetic that is asked for. */
static rn_status choose_numerics(struct rn_cpu *cpu, const char *name)
{
    cpu->winograd = name && !strcmp(name, "fp32-winograd");
    if (!name || !*name || !strcmp(name, "fp32") || cpu->winograd) return RN_OK;
    return rn_fail(RN_EUSAGE, "numerics '%s': the backend cpu has fp32, fp32-winograd", name);
}

/* RESNET_CONV: "" or "direct", or "im2col" (conv_im2col.c). */
static rn_status choose_conv(struct rn_cpu *cpu)
{
    const char *mode = getenv("RESNET_CONV");
    cpu->im2col = mode && !strcmp(mode, "im2col");
    if (!mode || !*mode || !strcmp(mode, "direct") || cpu->im2col) return RN_OK;
    return rn_fail(RN_EUSAGE, "RESNET_CONV is neither 'direct' nor 'im2col'");
}

static void close_cpu(void *dev) { rn_free(dev); }

static rn_status open_cpu(void **dev, const struct rn_device_options *options)
{
    int threads = options ? options->threads : rn_cpu_count();
    if (threads < 1) return rn_fail(RN_EUSAGE, "%d threads: at least 1 is needed", threads);
    struct rn_cpu *cpu = rn_alloc(sizeof *cpu);
    if (!cpu) return RN_ENOMEM;
    cpu->threads = RN_MIN(threads, RN_MAX_THREADS);
    rn_status status = choose_numerics(cpu, options ? options->numerics : NULL);
    if (!status) status = choose_conv(cpu);
    if (!status) status = rn_isa_find(&cpu->kernels, &cpu->isa, options ? options->isa : NULL);
    if (status) close_cpu(cpu);
    else *dev = cpu;
    return status;
}

static const char *isa_name(void *dev) { return ((const struct rn_cpu *)dev)->isa; }

static rn_status allocate(void *dev, void **mem, size_t bytes)
{
    (void)dev;
    *mem = rn_alloc(bytes);
    return *mem ? RN_OK : RN_ENOMEM;
}

static void release(void *dev, void *mem)
{
    (void)dev;
    rn_free(mem);
}

static void write_bytes(void *dev, void *dst, const void *host, size_t bytes)
{
    (void)dev;
    if (bytes) memcpy(dst, host, bytes);
}

static void read_bytes(void *dev, void *host, const void *src, size_t bytes)
{
    write_bytes(dev, host, src, bytes);
}

static void sync_cpu(void *dev) { (void)dev; }

static void run_pass(void *dev, void (*pass)(void *arg), void *arg)
{
    rn_with_team(((const struct rn_cpu *)dev)->threads, pass, arg);
}

/* -- layout: NHWC ----------------------------------------------------------------------------- */

static size_t tensor_bytes(void *dev, int N, int C, int H, int W)
{
    (void)dev;
    return (size_t)N * (size_t)C * (size_t)H * (size_t)W * sizeof(float);
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

static void tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W)
{
    const struct rn_cpu *cpu = dev;
    struct transpose t = { dst, nchw, (size_t)C, (size_t)H * (size_t)W };
    rn_parallel(cpu->threads, N, set_image, &t);
}

static void tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W)
{
    const struct rn_cpu *cpu = dev;
    struct transpose t = { nchw, src, (size_t)C, (size_t)H * (size_t)W };
    rn_parallel(cpu->threads, N, get_image, &t);
}

const struct rn_ops rn_ops_cpu = {
    .version = RN_BACKEND_VERSION,
    .struct_bytes = sizeof(struct rn_ops),
    .name = "cpu",
    .exact = 1,

    .open = open_cpu,
    .close = close_cpu,
    .isa = isa_name,
    .alloc = allocate,
    .release = release,
    .write = write_bytes,
    .read = read_bytes,
    .copy = write_bytes,
    .sync = sync_cpu,
    .run = run_pass,
    .tensor_bytes = tensor_bytes,
    .tensor_set = tensor_set,
    .tensor_get = tensor_get,

    .conv2d_workspace = rn_cpu_conv2d_workspace,
    .conv2d_packed_bytes = rn_cpu_conv2d_packed_bytes,
    .conv2d_pack = rn_cpu_conv2d_pack,
    .conv2d_unpack = rn_cpu_conv2d_unpack,
    .conv2d_forward = rn_cpu_conv2d_forward,
    .conv2d_bias = rn_cpu_conv2d_bias,
    .conv2d_backward_data = rn_cpu_conv2d_backward_data,
    .conv2d_backward_weights = rn_cpu_conv2d_backward_weights,

    .linear_workspace = rn_cpu_linear_workspace,
    .linear_forward = rn_cpu_linear_forward,
    .linear_backward_data = rn_cpu_linear_backward_data,
    .linear_backward_weights = rn_cpu_linear_backward_weights,

    .batchnorm_workspace = rn_cpu_batchnorm_workspace,
    .batchnorm_forward_train = rn_cpu_batchnorm_forward_train,
    .batchnorm_forward_eval = rn_cpu_batchnorm_forward_eval,
    .batchnorm_apply = rn_cpu_batchnorm_apply,
    .batchnorm_running = rn_cpu_batchnorm_running,
    .batchnorm_backward = rn_cpu_batchnorm_backward,
    .batchnorm_backward_eval = rn_cpu_batchnorm_backward_eval,
    .conv2d_bn = rn_cpu_conv2d_bn,
    .conv2d_bn_train = rn_cpu_conv2d_bn_train,
    .conv2d_fold = rn_cpu_conv2d_fold,

    .relu_forward = rn_cpu_relu_forward,
    .relu_backward = rn_cpu_relu_backward,
    .add = rn_cpu_add,

    .maxpool_forward = rn_cpu_maxpool_forward,
    .maxpool_backward = rn_cpu_maxpool_backward,
    .avgpool_forward = rn_cpu_avgpool_forward,
    .avgpool_backward = rn_cpu_avgpool_backward,
    .global_avgpool_forward = rn_cpu_global_avgpool_forward,
    .global_avgpool_backward = rn_cpu_global_avgpool_backward,

    .resize_forward = rn_cpu_resize_forward,
    .resize_backward = rn_cpu_resize_backward,

    .softmax_cross_entropy = rn_cpu_softmax_cross_entropy,

    .accumulate = rn_cpu_accumulate,
    .finite = rn_cpu_finite,
    .sgd_update = rn_cpu_sgd_update,
    .adamw_update = rn_cpu_adamw_update,
};
