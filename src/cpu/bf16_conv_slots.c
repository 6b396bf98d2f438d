/*
 * bf16_conv_slots.c - the convolution slots of the bf16 table, but for the weight gradient, and the one
 * place that decides who computes them: the tile unit where there is one, bf16_conv_narrow.c where groups are
 * narrower than a vector, else bf16_conv.c.
 */
#include "cpu/amx.h"
#include "cpu/batchnorm.h"
#include "cpu/bf16_conv.h"

/* Bytes of scale and shift of conv2d_bn, at the start of the workspace. */
static size_t coefficient_bytes(const struct rn_conv_shape *s)
{
    return 2 * rn_round_up((size_t)s->K * sizeof(float), 64);
}

static size_t pass_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    if (rn_amx_does(cpu, s)) return rn_amx_conv_workspace(cpu, s, pass);
    return rn_bf16_narrow_does(cpu, s) ? rn_bf16_narrow_workspace(cpu, s)
                                       : rn_bf16_blocks_workspace(cpu, s, pass);
}

size_t rn_bf16_conv2d_workspace(void *dev, const struct rn_conv_shape *s)
{
    size_t forward = pass_workspace(dev, s, RN_PASS_FORWARD);
    size_t data = pass_workspace(dev, s, RN_PASS_BACKWARD_DATA);
    size_t weights = rn_bf16_wgrad_workspace(dev, s);
    return RN_MAX(coefficient_bytes(s) + RN_MAX(forward, data), weights);
}

size_t rn_bf16_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass)
{
    const struct rn_cpu *cpu = dev;
    struct rn_conv_pass p = rn_bf16_pass(s, pass);
    if (rn_bf16_narrow_does(cpu, s)) return rn_bf16_narrow_packed_bytes(cpu, s);
    return rn_bf16_packed_at(cpu->kernels, &p, p.classes * p.classes, 0) * sizeof(uint32_t);
}

void rn_bf16_conv2d_pack(void *dev, void *packed, const float *weights,
                         const struct rn_conv_shape *s, enum rn_pass pass)
{
    if (rn_bf16_narrow_does(dev, s)) rn_bf16_narrow_pack(dev, packed, weights, s, pass);
    else rn_bf16_pack(dev, packed, weights, s, pass);
}

/* What is rounded cannot be had back. */
int rn_bf16_conv2d_unpack(void *dev, float *weights, const void *packed,
                          const struct rn_conv_shape *s)
{
    (void)dev, (void)weights, (void)packed, (void)s;
    return 0;
}

/* Forward or data gradient, finished as `f` says. */
static void run(const struct rn_cpu *cpu, enum rn_pass pass, void *dst, const void *src, const void *packed,
                const struct rn_bf16_finish *f, const struct rn_conv_shape *s, void *workspace)
{
    char *space = (char *)workspace + coefficient_bytes(s);
    struct rn_amx_target to = { .bf16 = dst };
    if (rn_amx_does(cpu, s)) rn_amx_conv_run(cpu, pass, to, src, packed, f, s, space);
    else if (rn_bf16_narrow_does(cpu, s)) rn_bf16_narrow_run(cpu, pass, dst, src, packed, f, s, space);
    else rn_bf16_blocks_run(cpu, pass, dst, NULL, src, packed, f, s, space);
}

void rn_bf16_conv_floats(const struct rn_cpu *cpu, float *dst, const rn_bf16 *src, const void *packed,
                         const float *bias, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_bf16_finish f = { .bias = bias };
    struct rn_amx_target to = { .floats = dst };
    if (rn_amx_does(cpu, s)) rn_amx_conv_run(cpu, RN_PASS_FORWARD, to, src, packed, &f, s, workspace);
    else rn_bf16_blocks_run(cpu, RN_PASS_FORWARD, NULL, dst, src, packed, &f, s, workspace);
}

void rn_bf16_conv2d_forward(void *dev, void *dst, const void *src, const void *packed,
                            const float *bias, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_bf16_finish f = { .bias = bias };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, workspace);
}

void rn_bf16_conv2d_bias(void *dev, void *dst, const void *src, const void *packed,
                         const float *bias, const void *add, enum rn_post post,
                         const struct rn_conv_shape *s, void *workspace)
{
    struct rn_bf16_finish f = { .bias = bias, .relu = post != RN_POST_NONE,
                                .add = post == RN_POST_ADD_RELU ? add : NULL };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, workspace);
}

void rn_bf16_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed,
                                  const void *add, const struct rn_conv_shape *s, void *workspace)
{
    struct rn_bf16_finish f = { .add = add };
    run(dev, RN_PASS_BACKWARD_DATA, dsrc, ddst, packed, &f, s, workspace);
}

void rn_bf16_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                       const float *gamma, const float *beta, const float *running_mean,
                       const float *running_var, const struct rn_conv_shape *s,
                       const struct rn_bn_shape *bn, void *workspace)
{
    float *scale = workspace, *shift = scale + coefficient_bytes(s) / 2 / sizeof(float);
    rn_bn_eval_coefficients(scale, shift, gamma, beta, running_mean, running_var, bn);
    struct rn_bf16_finish f = { .scale = scale, .shift = shift, .relu = bn->post != RN_POST_NONE,
                                .add = bn->post == RN_POST_ADD_RELU ? add : NULL };
    run(dev, RN_PASS_FORWARD, dst, src, packed, &f, s, workspace);
}

void rn_bf16_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                             const void *packed, const void *add, const float *gamma,
                             const float *beta, const struct rn_conv_shape *s,
                             const struct rn_bn_shape *bn, void *workspace)
{
    rn_bf16_conv2d_forward(dev, x, src, packed, NULL, s, workspace);
    rn_cpu_batchnorm_forward_train(dev, dst, saved, x, add, gamma, beta, bn, workspace);
}
