/*
 * test_counting.h - an op table whose compute slots do nothing but count: what a net really asks of its backend.
 *
 * Its memory is addresses without memory behind them, so nets of any size fit, and a slot that touched its operands
 * would crash.  All counts follow the rules of analyze/counts.h, applied to the shapes that arrive.  Who includes
 * this defines _DEFAULT_SOURCE first, for MAP_ANONYMOUS.
 */
#ifndef RN_TEST_COUNTING_H
#define RN_TEST_COUNTING_H

#include "base/mem.h"
#include "net/net.h"

#include <sys/mman.h>

enum counted { COUNT_INFERENCE, COUNT_FORWARD, COUNT_DATA, COUNT_WEIGHTS, COUNT_AGAIN, COUNT_PASSES };

/* By pass; AGAIN is what a training step computes a second time instead of keeping it. */
struct counting {
    enum counted forward;   /* the pass that forward slots count into */
    struct { int64_t macs, conv, linear, bias, bn, relu, add, maxpool, avgpool, resize, softmax; } of[COUNT_PASSES];
    int64_t updated;        /* parameters that an optimiser slot went over */
    int calls_bn[3];        /* convolution + batch norm in one call, by enum rn_post */
    int calls_bias[3];      /* convolution + bias in one call, likewise */
    int convolutions;       /* forward, in whatever slot */
    uint64_t arena;         /* bytes of the last allocation */
};

/* -- the op table ---------------------------------------------------------------------------------- */

static struct counting *counting_of(void *dev) { return dev; }

static rn_status open_counting(void **dev, const struct rn_device_options *options)
{
    (void)options;
    *dev = rn_alloc(sizeof(struct counting));
    return *dev ? RN_OK : RN_ENOMEM;
}
static const char *isa_of(void *dev) { (void)dev; return "none"; }
static rn_status reserve(void *dev, void **mem, size_t bytes)
{
    counting_of(dev)->arena = bytes;
    *mem = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return *mem == MAP_FAILED ? RN_ENOMEM : RN_OK;
}
static void give_back(void *dev, void *mem)
{
    if (mem) munmap(mem, counting_of(dev)->arena);
}
static void no_write(void *dev, void *dst, const void *host, size_t bytes) { (void)dev, (void)dst, (void)host,
                                                                             (void)bytes; }
static void no_read(void *dev, void *host, const void *src, size_t bytes) { (void)dev, (void)host, (void)src,
                                                                            (void)bytes; }
static void no_sync(void *dev) { (void)dev; }
static void run_pass(void *dev, void (*pass)(void *arg), void *arg) { (void)dev; pass(arg); }
static size_t tensor_bytes(void *dev, int N, int C, int H, int W)
{
    (void)dev;
    return 4 * (size_t)N * (size_t)C * (size_t)H * (size_t)W;
}
static void no_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W)
{
    (void)dev, (void)dst, (void)nchw, (void)N, (void)C, (void)H, (void)W;
}
static size_t conv_work(void *dev, const struct rn_conv_shape *s) { (void)dev, (void)s; return 64; }
static size_t packed_size(void *dev, const struct rn_conv_shape *s, enum rn_pass pass)
{
    (void)dev, (void)pass;
    return 4 * (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S);
}
static void no_pack(void *dev, void *packed, const float *w, const struct rn_conv_shape *s, enum rn_pass pass)
{
    (void)dev, (void)packed, (void)w, (void)s, (void)pass;
}
static int no_unpack(void *dev, float *w, const void *packed, const struct rn_conv_shape *s)
{
    (void)dev, (void)w, (void)packed, (void)s;
    return 1;
}

/* Multiply-accumulates of a call, every tap of the window counted. */
static int64_t macs_of(const struct rn_conv_shape *s)
{
    int64_t taps = 0;
    for (int r = 0; r < s->R; r++) taps += (int64_t)s->S * (s->C / s->groups);
    return taps * s->N * s->K * s->P * s->Q;
}
static void count_conv(void *dev, enum counted pass, const struct rn_conv_shape *s)
{
    struct counting *c = counting_of(dev);
    c->of[pass].macs += macs_of(s);
    c->of[pass].conv += 2 * macs_of(s);
}
static void count_post(void *dev, enum counted pass, int64_t elements, enum rn_post post)
{
    struct counting *c = counting_of(dev);
    if (post != RN_POST_NONE) c->of[pass].relu += elements;
    if (post == RN_POST_ADD_RELU) c->of[pass].add += elements;
}
static int64_t bn_elements(const struct rn_bn_shape *s) { return (int64_t)s->N * s->C * s->H * s->W; }

static void conv_forward(void *dev, void *dst, const void *src, const void *packed, const float *bias,
                         const struct rn_conv_shape *s, void *work)
{
    (void)dst, (void)src, (void)packed, (void)bias, (void)work;
    struct counting *c = counting_of(dev);
    const bool again = c->forward == COUNT_DATA;
    count_conv(dev, again ? COUNT_AGAIN : c->forward, s);
    if (!again) c->convolutions++;
}
static void conv_bias(void *dev, void *dst, const void *src, const void *packed, const float *bias, const void *add,
                      enum rn_post post, const struct rn_conv_shape *s, void *work)
{
    (void)dst, (void)src, (void)packed, (void)bias, (void)add, (void)work;
    struct counting *c = counting_of(dev);
    count_conv(dev, c->forward, s);
    count_post(dev, c->forward, (int64_t)s->N * s->K * s->P * s->Q, post);
    c->calls_bias[post]++;
    c->convolutions++;
}
static void conv_data(void *dev, void *dsrc, const void *ddst, const void *packed, const void *add,
                      const struct rn_conv_shape *s, void *work)
{
    (void)dsrc, (void)ddst, (void)packed, (void)work;
    count_conv(dev, COUNT_DATA, s);
    if (add) counting_of(dev)->of[COUNT_DATA].add += (int64_t)s->N * s->C * s->H * s->W;
}
static void conv_weights(void *dev, float *dw, float *db, const void *src, const void *ddst,
                         const struct rn_conv_shape *s, void *work)
{
    (void)dw, (void)db, (void)src, (void)ddst, (void)work;
    count_conv(dev, COUNT_WEIGHTS, s);
}
static size_t linear_work(void *dev, const struct rn_linear_shape *s) { (void)dev, (void)s; return 64; }
static void count_linear(void *dev, enum counted pass, const struct rn_linear_shape *s, bool bias)
{
    struct counting *c = counting_of(dev);
    c->of[pass].macs += (int64_t)s->N * s->C * s->K;
    c->of[pass].linear += 2 * (int64_t)s->N * s->C * s->K;
    if (bias) c->of[pass].bias += (int64_t)s->N * s->K;
}
static void linear_forward(void *dev, float *dst, const void *src, const void *packed, const float *bias,
                           const struct rn_linear_shape *s, void *work)
{
    (void)dst, (void)src, (void)packed, (void)work;
    count_linear(dev, counting_of(dev)->forward, s, bias != NULL);
}
static void linear_data(void *dev, void *dsrc, const float *ddst, const float *w, const struct rn_linear_shape *s,
                        void *work)
{
    (void)dsrc, (void)ddst, (void)w, (void)work;
    count_linear(dev, COUNT_DATA, s, false);
}
static void linear_weights(void *dev, float *dw, float *db, const void *src, const float *ddst,
                           const struct rn_linear_shape *s, void *work)
{
    (void)dw, (void)src, (void)ddst, (void)work;
    count_linear(dev, COUNT_WEIGHTS, s, db != NULL);
}
static size_t bn_work(void *dev, const struct rn_bn_shape *s) { (void)dev, (void)s; return 64; }
static void bn_train(void *dev, void *dst, double *saved, const void *src, const void *add, const float *gamma,
                     const float *beta, const struct rn_bn_shape *s, void *work)
{
    (void)dst, (void)saved, (void)src, (void)add, (void)gamma, (void)beta, (void)work;
    counting_of(dev)->of[COUNT_FORWARD].bn += 6 * bn_elements(s);
    count_post(dev, COUNT_FORWARD, bn_elements(s), s->post);
}
static void bn_eval(void *dev, void *dst, const void *src, const void *add, const float *gamma, const float *beta,
                    const float *mean, const float *var, const struct rn_bn_shape *s)
{
    (void)dst, (void)src, (void)add, (void)gamma, (void)beta, (void)mean, (void)var;
    counting_of(dev)->of[COUNT_INFERENCE].bn += 2 * bn_elements(s);
    count_post(dev, COUNT_INFERENCE, bn_elements(s), s->post);
}
static void bn_apply(void *dev, void *dst, const void *src, const void *add, const double *saved,
                     const float *gamma, const float *beta, const struct rn_bn_shape *s)
{
    (void)dst, (void)src, (void)add, (void)saved, (void)gamma, (void)beta;
    counting_of(dev)->of[COUNT_AGAIN].bn += 2 * bn_elements(s);
    count_post(dev, COUNT_AGAIN, bn_elements(s), s->post);
}
static void bn_running(void *dev, float *mean, float *var, const double *saved, const struct rn_bn_shape *s,
                       const int32_t *given)
{
    (void)dev, (void)mean, (void)var, (void)saved, (void)s, (void)given;
}
static void bn_back(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta, const void *ddst,
                    const void *dst, const void *src, const double *saved, const float *gamma, const float *beta,
                    const struct rn_bn_shape *s, void *work)
{
    (void)dsrc, (void)dadd, (void)ddst, (void)dst, (void)src, (void)saved, (void)gamma, (void)beta, (void)work;
    struct counting *c = counting_of(dev);
    c->of[COUNT_DATA].bn += 4 * bn_elements(s);
    if (dbeta) c->of[COUNT_WEIGHTS].bn += bn_elements(s);
    if (dgamma) c->of[COUNT_WEIGHTS].bn += 4 * bn_elements(s);
    if (s->post != RN_POST_NONE) c->of[COUNT_DATA].relu += bn_elements(s);
}
static void bn_back_eval(void *dev, void *dsrc, void *dadd, float *dgamma, float *dbeta, const void *ddst,
                         const void *dst, const void *src, const float *mean, const float *var,
                         const float *gamma, const struct rn_bn_shape *s, void *work)
{
    (void)dsrc, (void)dadd, (void)dgamma, (void)dbeta, (void)ddst, (void)dst, (void)src, (void)mean, (void)var;
    (void)dev, (void)gamma, (void)s, (void)work;
}
static void conv_bn(void *dev, void *dst, const void *src, const void *packed, const void *add, const float *gamma,
                    const float *beta, const float *mean, const float *var, const struct rn_conv_shape *s,
                    const struct rn_bn_shape *bn, void *work)
{
    conv_forward(dev, dst, src, packed, NULL, s, work);
    bn_eval(dev, dst, src, add, gamma, beta, mean, var, bn);
    counting_of(dev)->calls_bn[bn->post]++;
}
static void conv_bn_train(void *dev, void *dst, void *x, double *saved, const void *src, const void *packed,
                          const void *add, const float *gamma, const float *beta, const struct rn_conv_shape *s,
                          const struct rn_bn_shape *bn, void *work)
{
    conv_forward(dev, x, src, packed, NULL, s, work);
    bn_train(dev, dst, saved, x, add, gamma, beta, bn, work);
    counting_of(dev)->calls_bn[bn->post]++;
}
static void no_fold(void *dev, float *folded, float *bias, const float *w, const float *gamma, const float *beta,
                    const float *mean, const float *var, const struct rn_conv_shape *s, const struct rn_bn_shape *bn)
{
    (void)dev, (void)folded, (void)bias, (void)w, (void)gamma, (void)beta, (void)mean, (void)var, (void)s, (void)bn;
}
static void relu(void *dev, void *dst, const void *src, size_t n)
{
    (void)dst, (void)src;
    counting_of(dev)->of[counting_of(dev)->forward].relu += (int64_t)n;
}
static void three(void *dev, void *dst, const void *a, const void *b, size_t n)
{
    (void)dst, (void)a, (void)b;
    counting_of(dev)->of[counting_of(dev)->forward].add += (int64_t)n;
}
static void is_finite(void *dev, int32_t *all, const void *src, size_t n) { (void)dev, (void)all, (void)src, (void)n; }
static void max_forward(void *dev, void *dst, uint8_t *index, const void *src, const struct rn_pool_shape *s)
{
    (void)dst, (void)index, (void)src;
    struct counting *c = counting_of(dev);
    c->of[c->forward].maxpool += (int64_t)s->N * s->C * s->P * s->Q * (s->R * s->S - 1);
}
static void max_backward(void *dev, void *dsrc, const void *ddst, const uint8_t *index, const struct rn_pool_shape *s)
{
    (void)dsrc, (void)ddst, (void)index;
    counting_of(dev)->of[COUNT_DATA].maxpool += (int64_t)s->N * s->C * s->P * s->Q;
}
static void mean_forward(void *dev, void *dst, const void *src, const struct rn_pool_shape *s)
{
    (void)dst, (void)src;
    struct counting *c = counting_of(dev);
    c->of[c->forward].avgpool += (int64_t)s->N * s->C * s->H * s->W;
}
static void mean_backward(void *dev, void *dsrc, const void *ddst, const struct rn_pool_shape *s)
{
    (void)dsrc, (void)ddst;
    counting_of(dev)->of[COUNT_DATA].avgpool += (int64_t)s->N * s->C;
}
static void resize(void *dev, void *dst, const void *src, const struct rn_resize_shape *s)
{
    (void)dst, (void)src;
    struct counting *c = counting_of(dev);
    c->of[c->forward].resize += 11 * (int64_t)s->N * s->C * s->P * s->Q;
}
static void loss(void *dev, double *l, float *dlogits, const float *logits, const int32_t *labels,
                 const struct rn_loss_shape *s)
{
    (void)l, (void)logits, (void)labels;
    struct counting *c = counting_of(dev);
    c->of[COUNT_FORWARD].softmax += (int64_t)s->N * (4 * s->K + 2);
    if (dlogits) c->of[COUNT_DATA].softmax += 2 * (int64_t)s->N * s->K;
    c->forward = COUNT_DATA;
}
static void no_accumulate(void *dev, float *dst, const float *src, size_t n) { (void)dev, (void)dst, (void)src,
                                                                               (void)n; }
static void floats_finite(void *dev, int32_t *all, const float *src, size_t n, const int32_t *given)
{
    (void)given;
    is_finite(dev, all, src, n);
}
static void sgd(void *dev, float *w, float *v, const float *g, size_t n, const struct rn_sgd *hp)
{
    (void)w, (void)v, (void)g, (void)hp;
    counting_of(dev)->updated += (int64_t)n;
}
static void adamw(void *dev, float *w, float *m, float *v, const float *g, size_t n, const struct rn_adamw *hp)
{
    (void)w, (void)m, (void)v, (void)g, (void)hp;
    counting_of(dev)->updated += (int64_t)n;
}

static void no_images(void *dev, void *dst, const uint8_t *src, const struct rn_image_move *move,
                      const struct rn_image_shape *s)
{
    (void)dev, (void)dst, (void)src, (void)move, (void)s;
}

static const struct rn_ops counting_ops = {
    .version = RN_BACKEND_VERSION, .struct_bytes = sizeof(struct rn_ops), .name = "counting", .numerics = "fp32",
    .open = open_counting, .close = rn_free, .isa = isa_of, .alloc = reserve, .release = give_back,
    .write = no_write, .read = no_read, .copy = no_write, .sync = no_sync, .run = run_pass,
    .tensor_bytes = tensor_bytes, .tensor_set = no_set, .images_forward = no_images,
    .conv2d_workspace = conv_work, .conv2d_packed_bytes = packed_size, .conv2d_pack = no_pack,
    .conv2d_unpack = no_unpack, .conv2d_forward = conv_forward, .conv2d_bias = conv_bias,
    .conv2d_backward_data = conv_data, .conv2d_backward_weights = conv_weights, .linear_workspace = linear_work,
    .linear_forward = linear_forward, .linear_backward_data = linear_data, .linear_backward_weights = linear_weights,
    .batchnorm_workspace = bn_work, .batchnorm_forward_train = bn_train, .batchnorm_forward_eval = bn_eval,
    .batchnorm_apply = bn_apply, .batchnorm_running = bn_running, .batchnorm_backward = bn_back,
    .batchnorm_backward_eval = bn_back_eval, .conv2d_bn = conv_bn, .conv2d_bn_train = conv_bn_train,
    .conv2d_fold = no_fold, .relu_forward = relu, .add = three, .tensor_finite = is_finite,
    .maxpool_forward = max_forward, .maxpool_backward = max_backward, .global_avgpool_forward = mean_forward,
    .global_avgpool_backward = mean_backward, .resize_forward = resize, .softmax_cross_entropy = loss,
    .accumulate = no_accumulate, .finite = floats_finite, .sgd_update = sgd, .adamw_update = adamw,
};

#endif /* RN_TEST_COUNTING_H */
