/*
 * conv_slots.c - the convolution slots of the table, and the one place that decides who computes them:
 * Winograd where the numerics and the shape say so (A34), depthwise.c where every channel is a group, the
 * textbook's way where RESNET_CONV asks for it (conv_im2col.c), else the direct convolution of conv.h.
 */
#include "cpu/batchnorm.h"
#include "cpu/conv.h"
#include "cpu/depthwise.h"
#include "cpu/winograd.h"

/* Bytes of scale and shift of conv2d_bn, at the start of the workspace. */
static size_t coefficient_bytes(const struct rn_conv_shape *s)
{
    return 2 * rn_round_up((size_t)s->K * sizeof(float), 64);
}

static size_t direct_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    return rn_im2col_does(cpu, s, pass) ? rn_im2col_workspace(cpu, s, pass) : rn_conv_workspace(cpu, s, pass);
}

size_t rn_cpu_conv2d_workspace(void *dev, const struct rn_conv_shape *s)
{
    const struct rn_cpu *cpu = dev;
    if (rn_depthwise_does(cpu, s)) return coefficient_bytes(s) + rn_depthwise_weights_workspace(cpu, s);
    bool forward = rn_winograd_does(cpu, s, RN_PASS_FORWARD);
    bool data = rn_winograd_does(cpu, s, RN_PASS_BACKWARD_DATA), weights = rn_winograd_does_weights(cpu, s);
    size_t bytes = forward || data || weights ? rn_winograd_workspace(cpu, s) : 0;
    if (!forward) bytes = RN_MAX(bytes, direct_workspace(cpu, s, RN_PASS_FORWARD));
    if (!data) bytes = RN_MAX(bytes, direct_workspace(cpu, s, RN_PASS_BACKWARD_DATA));
    if (!weights)
        bytes = RN_MAX(bytes, rn_im2col_does(cpu, s, RN_PASS_FORWARD) ? rn_im2col_weights_workspace(cpu, s)
                                                                      : rn_conv_weights_workspace(cpu, s));
    return coefficient_bytes(s) + bytes;
}

size_t rn_cpu_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass)
{
    const struct rn_cpu *cpu = dev;
    if (rn_depthwise_does(cpu, s)) return rn_depthwise_packed_bytes(s);
    return rn_winograd_does(cpu, s, pass) ? rn_winograd_packed_bytes(cpu, s, pass)
                                          : rn_conv_packed_bytes(cpu, s, pass);
}

void rn_cpu_conv2d_pack(void *dev, void *packed, const float *weights,
                        const struct rn_conv_shape *s, enum rn_pass pass)
{
    const struct rn_cpu *cpu = dev;
    if (rn_winograd_does(cpu, s, pass)) rn_winograd_pack(cpu, packed, weights, s, pass);
    else if (rn_depthwise_does(cpu, s)) rn_depthwise_pack(cpu, packed, weights, s);
    else rn_conv_pack(cpu, packed, weights, s, pass);
}

int rn_cpu_conv2d_unpack(void *dev, float *weights, const void *packed,
                         const struct rn_conv_shape *s)
{
    const struct rn_cpu *cpu = dev;
    if (rn_depthwise_does(cpu, s)) return rn_depthwise_unpack(cpu, weights, packed, s);
    return rn_winograd_does(cpu, s, RN_PASS_FORWARD) ? rn_winograd_unpack(cpu, weights, packed, s)
                                                     : rn_conv_unpack(cpu, weights, packed, s);
}

/* Forward or data gradient, finished as `f` says. */
static void run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                const void *packed, const struct rn_finish *f, const struct rn_conv_shape *s,
                void *workspace)
{
    char *space = (char *)workspace + coefficient_bytes(s);
    if (rn_winograd_does(cpu, s, pass)) rn_winograd_run(cpu, pass, dst, src, packed, f, s, space);
    else if (rn_depthwise_does(cpu, s)) rn_depthwise_run(cpu, pass, dst, src, packed, f, s);
    else if (rn_im2col_does(cpu, s, pass)) rn_im2col_run(cpu, pass, dst, src, packed, f, s, space);
    else rn_conv_run(cpu, pass, dst, src, packed, f, s, space);
}

void rn_cpu_conv2d_forward(void *dev, void *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_finish f = { .bias = bias };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, workspace);
}

void rn_cpu_conv2d_bias(void *dev, void *dst, const void *src, const void *packed,
                        const float *bias, const void *add, enum rn_post post,
                        const struct rn_conv_shape *s, void *workspace)
{
    struct rn_finish f = { .bias = bias, .relu = post != RN_POST_NONE,
                           .add = post == RN_POST_ADD_RELU ? add : NULL };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, workspace);
}

void rn_cpu_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace)
{
    float *scale = workspace, *shift = scale + coefficient_bytes(s) / 2 / sizeof(float);
    rn_bn_eval_coefficients(scale, shift, gamma, beta, running_mean, running_var, bn);
    struct rn_finish f = { .scale = scale, .shift = shift, .relu = bn->post != RN_POST_NONE,
                           .add = bn->post == RN_POST_ADD_RELU ? add : NULL };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, workspace);
}

void rn_cpu_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                            const void *packed, const void *add, const float *gamma,
                            const float *beta, const struct rn_conv_shape *s,
                            const struct rn_bn_shape *bn, void *workspace)
{
    rn_cpu_conv2d_forward(dev, x, src, packed, NULL, s, workspace);
    rn_cpu_batchnorm_forward_train(dev, dst, saved, x, add, gamma, beta, bn, workspace);
}

void rn_cpu_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed,
                                 const void *add, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_finish f = { .add = add };
    run(dev, RN_PASS_BACKWARD_DATA, dsrc, ddst, packed, &f, s, workspace);
}

void rn_cpu_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const void *ddst, const struct rn_conv_shape *s,
                                    void *workspace)
{
    const struct rn_cpu *cpu = dev;
    char *space = (char *)workspace + coefficient_bytes(s);
    if (rn_winograd_does_weights(cpu, s)) rn_winograd_weights(cpu, dweights, src, ddst, s, space);
    else if (rn_depthwise_does(cpu, s)) rn_depthwise_weights(cpu, dweights, src, ddst, s, space);
    else if (rn_im2col_does(cpu, s, RN_PASS_FORWARD)) rn_im2col_weights(cpu, dweights, src, ddst, s, space);
    else rn_conv_weights(cpu, dweights, src, ddst, s, space);
    if (dbias) rn_conv_bias_gradient(cpu, dbias, ddst, s);
}
