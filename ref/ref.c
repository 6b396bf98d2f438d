/*
 * ref.c - the reference backend: the rules of ARITHMETIC.md as a program, for fp32, fp32-winograd
 * and bf16.
 *
 * What it will not do: be fast.  No blocking, no vectors, no threads, no packing, no fused loops,
 * no layout but NCHW, no instruction set; a line is here because a rule says so.  It shares nothing
 * with src/cpu but the few functions of src/base, so that the two can disagree.  Whoever doubts a
 * fast path asks this one; whoever doubts this one reads it beside the rules.
 */
#include "ref/ref.h"

#include "resnet.h"

const struct rn_ops rn_ops_ref = {
    .version = RN_BACKEND_VERSION,
    .struct_bytes = sizeof(struct rn_ops),
    .name = "ref",
    .numerics = "fp32 fp32-winograd bf16",
    .exact = 1,

    .open = rn_ref_open,
    .close = rn_ref_close,
    .isa = rn_ref_isa,
    .alloc = rn_ref_alloc,
    .release = rn_ref_release,
    .write = rn_ref_write,
    .read = rn_ref_read,
    .copy = rn_ref_copy,
    .sync = rn_ref_sync,
    .run = rn_ref_run,
    .tensor_bytes = rn_ref_tensor_bytes,
    .tensor_set = rn_ref_tensor_set,
    .tensor_get = rn_ref_tensor_get,
    .images_forward = rn_ref_images_forward,

    .conv2d_workspace = rn_ref_conv2d_workspace,
    .conv2d_packed_bytes = rn_ref_conv2d_packed_bytes,
    .conv2d_pack = rn_ref_conv2d_pack,
    .conv2d_unpack = rn_ref_conv2d_unpack,
    .conv2d_forward = rn_ref_conv2d_forward,
    .conv2d_bias = rn_ref_conv2d_bias,
    .conv2d_backward_data = rn_ref_conv2d_backward_data,
    .conv2d_backward_weights = rn_ref_conv2d_backward_weights,

    .linear_workspace = rn_ref_linear_workspace,
    .linear_forward = rn_ref_linear_forward,
    .linear_backward_data = rn_ref_linear_backward_data,
    .linear_backward_weights = rn_ref_linear_backward_weights,

    .batchnorm_workspace = rn_ref_batchnorm_workspace,
    .batchnorm_forward_train = rn_ref_batchnorm_forward_train,
    .batchnorm_forward_eval = rn_ref_batchnorm_forward_eval,
    .batchnorm_apply = rn_ref_batchnorm_apply,
    .batchnorm_running = rn_ref_batchnorm_running,
    .batchnorm_backward = rn_ref_batchnorm_backward,
    .batchnorm_backward_eval = rn_ref_batchnorm_backward_eval,
    .conv2d_bn = rn_ref_conv2d_bn,
    .conv2d_bn_train = rn_ref_conv2d_bn_train,
    .conv2d_fold = rn_ref_conv2d_fold,

    .relu_forward = rn_ref_relu_forward,
    .relu_backward = rn_ref_relu_backward,
    .add = rn_ref_add,
    .tensor_finite = rn_ref_tensor_finite,

    .maxpool_forward = rn_ref_maxpool_forward,
    .maxpool_backward = rn_ref_maxpool_backward,
    .avgpool_forward = rn_ref_avgpool_forward,
    .avgpool_backward = rn_ref_avgpool_backward,
    .global_avgpool_forward = rn_ref_global_avgpool_forward,
    .global_avgpool_backward = rn_ref_global_avgpool_backward,

    .resize_forward = rn_ref_resize_forward,
    .resize_backward = rn_ref_resize_backward,

    .softmax_cross_entropy = rn_ref_softmax_cross_entropy,

    .accumulate = rn_ref_accumulate,
    .finite = rn_ref_finite,
    .sgd_update = rn_ref_sgd_update,
    .adamw_update = rn_ref_adamw_update,
};
