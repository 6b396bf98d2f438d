/*
 * conv.c - convolution by its definition: seven loops forward, seven for each gradient.
 *
 * No im2col, no blocking, no packing (the packed form is the weights as they are, rounded under
 * bf16), dilation 1.  Every output is one sum of products in the order of its rule (dot.h).
 * LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998;
 * grouped: Krizhevsky, Sutskever, Hinton, NIPS 2012; Xie et al., arXiv:1611.05431.
 */
#include "ref/dot.h"
#include "ref/ref.h"
#include "ref/tree.h"
#include "ref/winograd.h"

static struct rn_ref_dot dot_begin(const void *dev)
{
    return (struct rn_ref_dot){ .bf16 = rn_ref_bf16(dev) };
}

/* A34: whether another algorithm is the specification of this pass. */
static bool by_winograd(const void *dev, const struct rn_conv_shape *s, enum rn_winograd_pass pass)
{
    return rn_ref_winograd(dev) && rn_winograd_applies(s, pass);
}

/* Leaves of one weight's gradient: one float for each group of images. */
size_t rn_ref_conv2d_workspace(void *dev, const struct rn_conv_shape *s)
{
    size_t leaves = (size_t)rn_ref_group_count(s->N, s->P * s->Q);
    size_t winograd = rn_ref_winograd(dev) ? rn_ref_winograd_workspace(s) : 0;
    return RN_MAX(leaves, winograd) * sizeof(float);
}

static size_t weight_count(const struct rn_conv_shape *s)
{
    return (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)s->R * (size_t)s->S;
}

size_t rn_ref_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass)
{
    (void)dev, (void)pass;
    return weight_count(s) * sizeof(float);
}

/* A32: the weights of bf16 are Q of the parameters. */
void rn_ref_conv2d_pack(void *dev, void *packed_weights, const float *weights,
                        const struct rn_conv_shape *s, enum rn_pass pass)
{
    float *packed = packed_weights;
    (void)pass;
    for (size_t i = 0; i < weight_count(s); i++)
        packed[i] = rn_ref_bf16(dev) ? rn_round_bf16(weights[i]) : weights[i];
}

int rn_ref_conv2d_unpack(void *dev, float *weights, const void *packed,
                         const struct rn_conv_shape *s)
{
    if (rn_ref_bf16(dev)) return 0;
    if (weights) memcpy(weights, packed, weight_count(s) * sizeof(float));
    return 1;
}

float rn_ref_output(const void *dev, const float *src, const float *weights,
                    const struct rn_conv_shape *s, int n, int k, int p, int q)
{
    int channels = s->C / s->groups, first = k / (s->K / s->groups) * channels;
    struct rn_ref_dot dot = dot_begin(dev);
    for (int kh = 0; kh < s->R; kh++)
        for (int kw = 0; kw < s->S; kw++) {
            int h = p * s->stride - s->pad + kh, w = q * s->stride - s->pad + kw;
            if (!inside(h, s->H) || !inside(w, s->W)) {
                rn_ref_dot_skip(&dot, channels);
                continue;
            }
            for (int c = 0; c < channels; c++)
                rn_ref_dot_push(&dot, src[at4(n, first + c, h, w, s->C, s->H, s->W)],
                                weights[at4(k, c, kh, kw, channels, s->R, s->S)]);
        }
    return rn_ref_dot_finish(&dot);
}

/* A13: y = F(acc), with a bias y = F(acc + b); A32: Q of that.  A35 leaves its sums in dst. */
void rn_ref_conv2d_forward(void *dev, void *dst_tensor, const void *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace)
{
    float *dst = dst_tensor;
    bool winograd = by_winograd(dev, s, RN_WINOGRAD_FORWARD);
    if (winograd) rn_ref_winograd_forward(dst, src, packed, s, workspace);
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < s->K; k++)
            for (int p = 0; p < s->P; p++)
                for (int q = 0; q < s->Q; q++) {
                    size_t i = at4(n, k, p, q, s->K, s->P, s->Q);
                    float acc = winograd ? dst[i] : rn_ref_output(dev, src, packed, s, n, k, p, q);
                    if (bias) acc = acc + bias[k];
                    dst[i] = rn_ref_element(dev, acc);
                }
}

/* A14: the gradient of one input, before its store.  Through a tap that is on the grid of the stride
 * the input is seen by output (p, q), or would be if the map of outputs were larger. */
static float input_gradient(const void *dev, const float *ddst, const float *weights,
                            const struct rn_conv_shape *s, int n, int c, int h, int w)
{
    int channels = s->C / s->groups, filters = s->K / s->groups, first = c / channels * filters;
    struct rn_ref_dot dot = dot_begin(dev);
    for (int kh = 0; kh < s->R; kh++)
        for (int kw = 0; kw < s->S; kw++) {
            int dh = h + s->pad - kh, dw = w + s->pad - kw;
            if (dh % s->stride || dw % s->stride) continue;
            int p = dh / s->stride, q = dw / s->stride;
            if (!inside(p, s->P) || !inside(q, s->Q)) {
                rn_ref_dot_skip(&dot, filters);
                continue;
            }
            for (int k = first; k < first + filters; k++)
                rn_ref_dot_push(&dot, ddst[at4(n, k, p, q, s->K, s->P, s->Q)],
                                weights[at4(k, c % channels, kh, kw, channels, s->R, s->S)]);
        }
    return rn_ref_dot_finish(&dot);
}

/* A14: dx = F(acc); A18 for a source with a second consumer: F(F(acc) + add); A32: Q at both stores.
 * A35 leaves its sums in the workspace, for dsrc may be the addend. */
void rn_ref_conv2d_backward_data(void *dev, void *dsrc_tensor, const void *ddst, const void *packed,
                                 const void *add_tensor, const struct rn_conv_shape *s,
                                 void *workspace)
{
    float *dsrc = dsrc_tensor;
    const float *add = add_tensor;
    bool winograd = by_winograd(dev, s, RN_WINOGRAD_DATA);
    const float *sums = winograd ? rn_ref_winograd_data(ddst, packed, s, workspace) : NULL;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int h = 0; h < s->H; h++)
                for (int w = 0; w < s->W; w++) {
                    size_t i = at4(n, c, h, w, s->C, s->H, s->W);
                    float acc =
                        winograd ? sums[i] : input_gradient(dev, ddst, packed, s, n, c, h, w);
                    float dx = rn_ref_element(dev, acc);
                    dsrc[i] = add ? rn_ref_element(dev, dx + add[i]) : dx;
                }
}

/* A15: one leaf of dweights[k][c][kh][kw], the chain over images begin ... end-1. */
static float weight_leaf(const void *dev, const float *src, const float *ddst,
                         const struct rn_conv_shape *s, int k, int c, int kh, int kw, int begin,
                         int end)
{
    int channels = s->C / s->groups, first = k / (s->K / s->groups) * channels;
    struct rn_ref_dot dot = dot_begin(dev);
    for (int n = begin; n < end; n++)
        for (int p = 0; p < s->P; p++)
            for (int q = 0; q < s->Q; q++) {
                int h = p * s->stride - s->pad + kh, w = q * s->stride - s->pad + kw;
                if (inside(h, s->H) && inside(w, s->W))
                    rn_ref_dot_push(&dot, src[at4(n, first + c, h, w, s->C, s->H, s->W)],
                                    ddst[at4(n, k, p, q, s->K, s->P, s->Q)]);
                else
                    rn_ref_dot_skip(&dot, 1);
            }
    return rn_ref_dot_finish(&dot);
}

/* A15: one leaf of dbias[k]. */
static float bias_leaf(const float *ddst, const struct rn_conv_shape *s, int k, int begin, int end)
{
    float acc = 0;
    for (int n = begin; n < end; n++)
        for (int p = 0; p < s->P; p++)
            for (int q = 0; q < s->Q; q++)
                acc = acc + ddst[at4(n, k, p, q, s->K, s->P, s->Q)];
    return acc;
}

/* A15, A11: dw = F(tree over the leaves of all groups). */
static float weight_gradient(const void *dev, const float *src, const float *ddst,
                             const struct rn_conv_shape *s, int k, int c, int kh, int kw,
                             float *leaf)
{
    int images = rn_ref_group_images(s->P * s->Q), groups = rn_ref_group_count(s->N, s->P * s->Q);
    for (int g = 0; g < groups; g++)
        leaf[g] = weight_leaf(dev, src, ddst, s, k, c, kh, kw, g * images,
                              RN_MIN((g + 1) * images, s->N));
    return rn_store(rn_ref_tree_float(leaf, groups));
}

/* A15, A11. */
static float bias_gradient(const float *ddst, const struct rn_conv_shape *s, int k, float *leaf)
{
    int images = rn_ref_group_images(s->P * s->Q), groups = rn_ref_group_count(s->N, s->P * s->Q);
    for (int g = 0; g < groups; g++)
        leaf[g] = bias_leaf(ddst, s, k, g * images, RN_MIN((g + 1) * images, s->N));
    return rn_store(rn_ref_tree_float(leaf, groups));
}

/* A15, one weight after the other. */
void rn_ref_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const void *ddst, const struct rn_conv_shape *s,
                                    void *workspace)
{
    int channels = s->C / s->groups;
    bool winograd = by_winograd(dev, s, RN_WINOGRAD_WEIGHTS);
    if (winograd) rn_ref_winograd_weights(dweights, src, ddst, s, workspace);
    for (int k = 0; k < s->K && !winograd; k++)
        for (int c = 0; c < channels; c++)
            for (int kh = 0; kh < s->R; kh++)
                for (int kw = 0; kw < s->S; kw++)
                    dweights[at4(k, c, kh, kw, channels, s->R, s->S)] =
                        weight_gradient(dev, src, ddst, s, k, c, kh, kw, workspace);
    if (dbias)
        for (int k = 0; k < s->K; k++) dbias[k] = bias_gradient(ddst, s, k, workspace);
}
