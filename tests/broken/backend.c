/*
 * backend.c - op tables that are wrong on purpose: the reference with one slot replaced by a
 * version with a mistake that people do make.  The gradient checks must find each one and name its
 * op.
 *
 * As a plug-in, -DBREAK=NAME chooses the mistake; `make gradcheck BREAK=conv_dw` builds and runs it:
 *
 *     ./conform --grad --backend build/broken/conv_dw.so
 *
 * Without BREAK the file is included by a test, which goes through all of them.
 */
#include "resnet.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* conv_dw: the last two taps of each filter row have changed places. */
static void broken_conv_dw(void *dev, float *dweights, float *dbias, const void *src,
                           const void *ddst, const struct rn_conv_shape *s, void *workspace)
{
    rn_ops_ref.conv2d_backward_weights(dev, dweights, dbias, src, ddst, s, workspace);
    size_t rows = (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)s->R, S = (size_t)s->S;
    for (size_t i = 0; i < rows && S > 1; i++) {
        float *last = dweights + i * S + S - 1, kept = last[0];
        last[0] = last[-1];
        last[-1] = kept;
    }
}

/* conv_dx: the last row is forgotten where the stride leaves a remainder. */
static void broken_conv_dx(void *dev, void *dsrc_tensor, const void *ddst, const void *packed,
                           const void *add, const struct rn_conv_shape *s, void *workspace)
{
    float *dsrc = dsrc_tensor;
    size_t W = (size_t)s->W, map = (size_t)s->H * W;
    rn_ops_ref.conv2d_backward_data(dev, dsrc, ddst, packed, add, s, workspace);
    for (size_t m = 1; m <= (size_t)s->N * (size_t)s->C && s->H % s->stride; m++)
        memset(dsrc + m * map - W, 0, W * sizeof *dsrc);
}

/* bn_dx: the gradient's mean is not taken out. */
static void broken_bn_dx(void *dev, void *dsrc_tensor, void *dadd, float *dgamma, float *dbeta,
                         const void *ddst, const void *dst, const void *src, const double *saved,
                         const float *gamma, const float *beta, const struct rn_bn_shape *s,
                         void *workspace)
{
    float *dsrc = dsrc_tensor;
    int map = s->H * s->W;
    rn_ops_ref.batchnorm_backward(dev, dsrc, dadd, dgamma, dbeta, ddst, dst, src, saved, gamma,
                                  beta, s, workspace);
    for (int i = 0; i < s->N * s->C * map; i++) {
        int c = i / map % s->C;
        dsrc[i] += (float)(gamma[c] / sqrt(saved[s->C + c] + s->eps) * dbeta[c] / (s->N * map));
    }
}

/* bn_dgamma: divided by the number of images, as a mean would be. */
static void broken_bn_dgamma(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta,
                             const void *ddst, const void *dst, const void *src,
                             const double *saved, const float *gamma, const float *beta,
                             const struct rn_bn_shape *s, void *workspace)
{
    rn_ops_ref.batchnorm_backward(dev, dsrc, dadd, dgamma, dbeta, ddst, dst, src, saved, gamma,
                                  beta, s, workspace);
    for (int c = 0; c < s->C; c++) dgamma[c] /= (float)s->N;
}

/* pool: where windows overlap, the last one overwrites instead of adding. */
static void broken_pool(void *dev, void *dsrc_tensor, const void *ddst_tensor, const uint8_t *index,
                        const struct rn_pool_shape *s)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    int outputs = s->P * s->Q;
    (void)dev;
    memset(dsrc, 0, (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W * sizeof *dsrc);
    for (int i = 0; i < s->N * s->C * outputs; i++) {
        int h = i % outputs / s->Q * s->stride - s->pad + index[i] / s->S;
        int w = i % s->Q * s->stride - s->pad + index[i] % s->S;
        dsrc[(i / outputs * s->H + h) * s->W + w] = ddst[i];
    }
}

/* avgpool: the divisor of a smaller window. */
static void broken_avgpool(void *dev, void *dsrc_tensor, const void *ddst, const struct rn_pool_shape *s)
{
    float *dsrc = dsrc_tensor;
    int count = s->N * s->C * s->H * s->W;
    rn_ops_ref.avgpool_backward(dev, dsrc, ddst, s);
    for (int i = 0; i < count; i++) dsrc[i] *= (float)(s->R * s->S) / (float)(s->R * s->S - 1);
}

/* linear: the last image of an odd batch does not reach the weights. */
static void broken_linear(void *dev, float *dweights, float *dbias, const void *src,
                          const float *ddst, const struct rn_linear_shape *s, void *workspace)
{
    struct rn_linear_shape shorter = *s;
    if (s->N > 1) shorter.N -= s->N % 2;
    rn_ops_ref.linear_backward_weights(dev, dweights, dbias, src, ddst, &shorter, workspace);
}

/* add: a loop by four without its tail. */
static void broken_add(void *dev, void *dst, const void *a, const void *b, size_t count)
{
    memmove(dst, a, count * sizeof(float));
    rn_ops_ref.add(dev, dst, a, b, count / 4 * 4);
}

/* relu: the mask lets the gradient pass at zero. */
static void broken_relu(void *dev, void *dsrc_tensor, const void *ddst_tensor, const void *dst_tensor, size_t count)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    const float *dst = dst_tensor;
    (void)dev;
    for (size_t i = 0; i < count; i++) dsrc[i] = dst[i] < 0 ? 0 : ddst[i];
}

/* resize: the gradient of the nearest pixel. */
static void broken_resize(void *dev, void *dsrc_tensor, const void *ddst_tensor,
                          const struct rn_resize_shape *s)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    (void)dev;
    memset(dsrc, 0, (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W * sizeof *dsrc);
    for (int i = 0; i < s->N * s->C * s->P * s->Q; i++) {
        int h = i / s->Q % s->P * s->H / s->P, w = i % s->Q * s->W / s->Q;
        dsrc[(i / (s->P * s->Q) * s->H + h) * s->W + w] += ddst[i];
    }
}

/* loss: divided by the images at hand where the step has more of them. */
static void broken_loss(void *dev, double *loss, float *dlogits, const float *logits,
                        const int32_t *labels, const struct rn_loss_shape *s)
{
    struct rn_loss_shape part = *s;
    part.total = s->N;
    rn_ops_ref.softmax_cross_entropy(dev, loss, dlogits, logits, labels, &part);
}

/* conv_tile: of a map that tiles of 4x4 do not fill, the last row is that of the tile before. */
static void broken_conv_tile(void *dev, void *dst_tensor, const void *src, const void *packed,
                             const float *bias, const struct rn_conv_shape *s, void *workspace)
{
    float *dst = dst_tensor;
    size_t Q = (size_t)s->Q, map = (size_t)s->P * Q;
    rn_ops_ref.conv2d_forward(dev, dst, src, packed, bias, s, workspace);
    for (size_t m = 1; m <= (size_t)s->N * (size_t)s->K && s->P > 4 && s->P % 4; m++)
        memcpy(dst + m * map - Q, dst + m * map - 5 * Q, Q * sizeof *dst);
}

/* unpack: rows and columns of the filters have changed places. */
static int broken_unpack(void *dev, float *weights, const void *packed, const struct rn_conv_shape *s)
{
    const float *from = packed;
    int taps = s->R * s->S, count = s->K * (s->C / s->groups) * taps;
    (void)dev;
    for (int i = 0; weights && i < count; i++)
        weights[i] = from[i / taps * taps + i % s->S * s->R + i % taps / s->S];
    return 1;
}

/* bias: the shortcut comes after the ReLU. */
static void broken_bias(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                        const void *add, enum rn_post post, const struct rn_conv_shape *s,
                        void *workspace)
{
    size_t count = (size_t)s->N * (size_t)s->K * (size_t)s->P * (size_t)s->Q;
    enum rn_post first = post == RN_POST_ADD_RELU ? RN_POST_RELU : post;
    rn_ops_ref.conv2d_bias(dev, dst, src, packed, bias, NULL, first, s, workspace);
    if (post == RN_POST_ADD_RELU) rn_ops_ref.add(dev, dst, dst, add, count);
}

/* fold: eps is left out, as if the variance had it already. */
static void broken_fold(void *dev, float *folded, float *bias, const float *weights,
                        const float *gamma, const float *beta, const float *running_mean,
                        const float *running_var, const struct rn_conv_shape *s,
                        const struct rn_bn_shape *bn)
{
    struct rn_bn_shape without = *bn;
    without.eps = 0;
    rn_ops_ref.conv2d_fold(dev, folded, bias, weights, gamma, beta, running_mean, running_var, s,
                           &without);
}

/* bn_train: what is saved is the variance of a sample. */
static void broken_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                            const void *packed, const void *add, const float *gamma,
                            const float *beta, const struct rn_conv_shape *s,
                            const struct rn_bn_shape *bn, void *workspace)
{
    double M = (double)bn->N * bn->H * bn->W;
    rn_ops_ref.conv2d_bn_train(dev, dst, x, saved, src, packed, add, gamma, beta, s, bn, workspace);
    for (int k = 0; k < s->K && M > 1; k++) saved[s->K + k] *= M / (M - 1);
}

/* bn_apply: made again without its ReLU. */
static void broken_bn_apply(void *dev, void *dst, const void *src, const void *add,
                            const double *saved, const float *gamma, const float *beta,
                            const struct rn_bn_shape *s)
{
    struct rn_bn_shape plain = *s;
    if (s->post == RN_POST_RELU) plain.post = RN_POST_NONE;
    rn_ops_ref.batchnorm_apply(dev, dst, src, add, saved, gamma, beta, &plain);
}

/* bn_mask: the mask that is recomputed is that of x and not that of y. */
static void broken_bn_mask(void *dev, void *dsrc_tensor, void *dadd, float *dgamma, float *dbeta,
                           const void *ddst_tensor, const void *dst, const void *src_tensor,
                           const double *saved, const float *gamma, const float *beta,
                           const struct rn_bn_shape *s, void *workspace)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    const float *src = src_tensor;
    struct rn_bn_shape plain = *s;
    int count = s->N * s->C * s->H * s->W;
    if (s->post == RN_POST_RELU) {
        plain.post = RN_POST_NONE;
        for (int i = 0; i < count; i++) dsrc[i] = src[i] <= 0 ? 0 : ddst[i];
        ddst = dsrc;
    }
    rn_ops_ref.batchnorm_backward(dev, dsrc, dadd, dgamma, dbeta, ddst, dst, src, saved, gamma, beta,
                                  &plain, workspace);
}

/* Every mistake; `op` is what the report must name. */
#define BREAKS(X) \
    X(conv_dw, conv2d_backward_weights, "conv2d dw") X(conv_dx, conv2d_backward_data, "conv2d dx") \
    X(bn_dx, batchnorm_backward, "bn dx") X(bn_dgamma, batchnorm_backward, "bn dgamma") \
    X(pool, maxpool_backward, "maxpool dx") X(avgpool, avgpool_backward, "avgpool dx") \
    X(linear, linear_backward_weights, "linear dw") X(add, add, "add") \
    X(relu, relu_backward, "relu dx") X(resize, resize_backward, "resize dx") \
    X(loss, softmax_cross_entropy, "softmax_cross_entropy dlogits") \
    X(conv_tile, conv2d_forward, "conv2d y") X(unpack, conv2d_unpack, "conv2d unpacked") \
    X(bias, conv2d_bias, "conv2d_bias y") X(fold, conv2d_fold, "conv2d_fold folded") \
    X(bn_train, conv2d_bn_train, "conv2d_bn_train saved") \
    X(bn_apply, batchnorm_apply, "bn y again") X(bn_mask, batchnorm_backward, "bn dx")

#define NUMBER(name, slot, op) broken_number_##name,
enum { BREAKS(NUMBER) broken_count };

#define NAMES(name, slot, op) { #name, op },
static const struct { const char *name, *op; } broken_names[] = { BREAKS(NAMES) };

/* The reference with mistake number `which`. */
static struct rn_ops broken_table(int which)
{
    struct rn_ops ops = rn_ops_ref;
    ops.name = broken_names[which].name;
#define REPLACE(mistake, slot_name, op) \
    if (which == broken_number_##mistake) ops.slot_name = broken_##mistake;
    BREAKS(REPLACE)
    return ops;
}

#ifdef BREAK
#define JOIN(a, b) a##b
#define NUMBER_OF(name) JOIN(broken_number_, name)

const struct rn_ops *rn_backend_table(void);

const struct rn_ops *rn_backend_table(void)
{
    static struct rn_ops ops;
    ops = broken_table(NUMBER_OF(BREAK));
    return &ops;
}
#endif
