/*
 * ops.c - the tables of the CPU backend: one for the fp32 numerics, whose tensors are floats, and one for bf16,
 * whose tensors are bf16.  They share the device, all that works on parameters, and
 * between the convolutions everything but the layout: those slots ask rn_cpu.tensor for the loops of the element.
 *
 * Convolution stands in conv*.c over gemm.c and in bf16_*.c, everything per instruction set in kernels_*.c
 * (listed in isa.c), the rest in one file an op.
 */
#include "cpu/batchnorm.h"
#include "cpu/bf16.h"
#include "cpu/conv.h"
#include "cpu/slots.h"

#include "resnet.h"

/* What both have. */
#define SHARED \
    .version = RN_BACKEND_VERSION, \
    .struct_bytes = sizeof(struct rn_ops), \
    .name = "cpu", \
    .exact = 1, \
    .close = rn_cpu_close, \
    .isa = rn_cpu_isa, \
    .alloc = rn_cpu_alloc, \
    .release = rn_cpu_release, \
    .write = rn_cpu_write, \
    .read = rn_cpu_read, \
    .copy = rn_cpu_copy, \
    .sync = rn_cpu_sync, \
    .run = rn_cpu_run, \
    .tensor_bytes = rn_cpu_tensor_bytes, \
    .images_forward = rn_cpu_images_forward, \
    .batchnorm_workspace = rn_cpu_batchnorm_workspace, \
    .batchnorm_forward_train = rn_cpu_batchnorm_forward_train, \
    .batchnorm_forward_eval = rn_cpu_batchnorm_forward_eval, \
    .batchnorm_apply = rn_cpu_batchnorm_apply, \
    .batchnorm_running = rn_cpu_batchnorm_running, \
    .batchnorm_backward = rn_cpu_batchnorm_backward, \
    .batchnorm_backward_eval = rn_cpu_batchnorm_backward_eval, \
    .conv2d_fold = rn_cpu_conv2d_fold, \
    .relu_forward = rn_cpu_relu_forward, \
    .relu_backward = rn_cpu_relu_backward, \
    .add = rn_cpu_add, \
    .tensor_finite = rn_cpu_tensor_finite, \
    .maxpool_forward = rn_cpu_maxpool_forward, \
    .maxpool_backward = rn_cpu_maxpool_backward, \
    .avgpool_forward = rn_cpu_avgpool_forward, \
    .avgpool_backward = rn_cpu_avgpool_backward, \
    .global_avgpool_forward = rn_cpu_global_avgpool_forward, \
    .global_avgpool_backward = rn_cpu_global_avgpool_backward, \
    .resize_forward = rn_cpu_resize_forward, \
    .resize_backward = rn_cpu_resize_backward, \
    .softmax_cross_entropy = rn_cpu_softmax_cross_entropy, \
    .accumulate = rn_cpu_accumulate, \
    .finite = rn_cpu_finite, \
    .sgd_update = rn_cpu_sgd_update, \
    .adamw_update = rn_cpu_adamw_update

const struct rn_ops rn_ops_cpu = {
    SHARED,
    .numerics = "fp32 fp32-winograd",
    .open = rn_cpu_open,
    .tensor_set = rn_cpu_tensor_set,
    .tensor_get = rn_cpu_tensor_get,
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
    .conv2d_bn = rn_cpu_conv2d_bn,
    .conv2d_bn_train = rn_cpu_conv2d_bn_train,
};

const struct rn_ops rn_ops_cpu_bf16 = {
    SHARED,
    .numerics = "bf16",
    .open = rn_bf16_open,
    .tensor_set = rn_bf16_tensor_set,
    .tensor_get = rn_bf16_tensor_get,
    .conv2d_workspace = rn_bf16_conv2d_workspace,
    .conv2d_packed_bytes = rn_bf16_conv2d_packed_bytes,
    .conv2d_pack = rn_bf16_conv2d_pack,
    .conv2d_unpack = rn_bf16_conv2d_unpack,
    .conv2d_forward = rn_bf16_conv2d_forward,
    .conv2d_bias = rn_bf16_conv2d_bias,
    .conv2d_backward_data = rn_bf16_conv2d_backward_data,
    .conv2d_backward_weights = rn_bf16_conv2d_backward_weights,
    .linear_workspace = rn_bf16_linear_workspace,
    .linear_forward = rn_bf16_linear_forward,
    .linear_backward_data = rn_bf16_linear_backward_data,
    .linear_backward_weights = rn_bf16_linear_backward_weights,
    .conv2d_bn = rn_bf16_conv2d_bn,
    .conv2d_bn_train = rn_bf16_conv2d_bn_train,
};
