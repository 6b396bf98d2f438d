/*
 * test_bits_ops.h - what test_bits.c runs: for each slot of the op table a function that takes
 * inputs, calls the slot in all its forms and appends the outputs as words.  Included there only.
 */
#ifndef RN_TEST_BITS_OPS_H
#define RN_TEST_BITS_OPS_H

#include "test.h"

#include "base/mem.h"
#include "base/random.h"

enum data { INTEGERS, NUMBERS };
#define MAX_WORDS (1 << 21)

/* One run of one operation: inputs are taken in order, outputs are appended as words. */
struct run {
    const struct rn_ops *ops;
    void *dev;
    struct rn_conv_shape s;
    enum data data;
    uint32_t draws;     /* inputs so far: the next one's place among the numbers */
    uint32_t *word;     /* [MAX_WORDS] */
    size_t words;
    void *owned[48];    /* device memory, released at the end */
    int count;
};

static const char *where; /* the case at work, for messages that should never come */

static void *device_alloc(struct run *r, size_t bytes)
{
    void *p = NULL;
    if (r->count == (int)RN_COUNT(r->owned) || r->ops->alloc(r->dev, &p, bytes)) {
        printf("test_bits: no memory in %s\n", where);
        exit(1);
    }
    r->owned[r->count++] = p;
    memset(p, 0xff, bytes); /* NaN: whoever reads what nobody wrote shows */
    return p;
}

static float draw(struct rn_random *key, enum data data)
{
    uint32_t kind = rn_random_below(key, 64);
    if (data == INTEGERS) return (float)((int)rn_random_below(key, 7) - 3);
    if (kind < 4) return kind & 1 ? -0.0f : 0.0f;
    if (kind < 6) return rn_float(rn_random_below(key, 0x7fffff) | (kind & 1 ? 0x80000000u : 0));
    if (kind < 8) return (float)rn_random_normal(key) * 0x1p-56f; /* where Q has its zero */
    return (float)rn_random_normal(key);
}

#define POOL (1 << 18)

/* Drawing numbers costs more than most of the slots: all inputs are stretches of these. */
static const float *pool(enum data data)
{
    static float numbers[2][POOL];
    static bool drawn[2];
    struct rn_random key = rn_random(1, RN_RANDOM_TEST, (uint32_t)data, 0);
    for (int i = 0; i < POOL && !drawn[data]; i++) numbers[data][i] = draw(&key, data);
    drawn[data] = true;
    return numbers[data];
}

/* `count` floats of the run's next input; positive ones where a variance is wanted. */
static float *host_input(struct run *r, size_t count, bool positive)
{
    const float *number = pool(r->data);
    size_t first = r->draws++ * (size_t)40503;
    float *x = rn_alloc(count * sizeof(float) + 1);
    if (!x) exit(1);
    for (size_t i = 0; i < count; i++) {
        x[i] = number[(first + i) % POOL];
        if (positive) x[i] = x[i] * x[i] + 0.25f;
    }
    return x;
}

static float *vector(struct run *r, size_t count, bool positive)
{
    float *x = host_input(r, count, positive), *p = device_alloc(r, count * sizeof(float));
    r->ops->write(r->dev, p, x, count * sizeof(float));
    rn_free(x);
    return p;
}

static void *tensor(struct run *r, int N, int C, int H, int W)
{
    float *x = host_input(r, (size_t)N * (size_t)C * (size_t)H * (size_t)W, false);
    void *p = device_alloc(r, r->ops->tensor_bytes(r->dev, N, C, H, W));
    r->ops->tensor_set(r->dev, p, x, N, C, H, W);
    rn_free(x);
    return p;
}

static void *empty_tensor(struct run *r, int N, int C, int H, int W)
{
    return device_alloc(r, r->ops->tensor_bytes(r->dev, N, C, H, W));
}

static void output_words(struct run *r, const void *p, size_t bytes)
{
    if (r->words + bytes / 4 > MAX_WORDS) {
        printf("test_bits: too many outputs in %s\n", where);
        exit(1);
    }
    r->ops->read(r->dev, r->word + r->words, p, bytes);
    r->words += bytes / 4;
}

static void output_vector(struct run *r, const float *p, size_t count)
{
    output_words(r, p, count * sizeof(float));
}

static void output_tensor(struct run *r, const void *p, int N, int C, int H, int W)
{
    size_t count = (size_t)N * (size_t)C * (size_t)H * (size_t)W;
    float *x = rn_alloc(count * sizeof(float) + 1);
    if (!x || r->words + count > MAX_WORDS) {
        printf("test_bits: too many outputs in %s\n", where);
        exit(1);
    }
    r->ops->tensor_get(r->dev, x, p, N, C, H, W);
    memcpy(r->word + r->words, x, count * sizeof(float));
    r->words += count;
    rn_free(x);
}

/* -- operations: each draws its inputs, calls its slots, appends its outputs
 * -------------------------- */

static void *packed_weights(struct run *r, const float *weights, enum rn_pass pass)
{
    void *packed = device_alloc(r, r->ops->conv2d_packed_bytes(r->dev, &r->s, pass));
    r->ops->conv2d_pack(r->dev, packed, weights, &r->s, pass);
    return packed;
}

static float *conv_weights(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    return vector(r, (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S), false);
}

static void conv2d_forward(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    void *src = tensor(r, s->N, s->C, s->H, s->W), *bias = vector(r, (size_t)s->K, false);
    void *packed = packed_weights(r, conv_weights(r), RN_PASS_FORWARD);
    void *workspace = device_alloc(r, r->ops->conv2d_workspace(r->dev, s));
    void *dst = empty_tensor(r, s->N, s->K, s->P, s->Q);
    for (int with_bias = 0; with_bias < 2; with_bias++) {
        r->ops->conv2d_forward(r->dev, dst, src, packed, with_bias ? bias : NULL, s, workspace);
        output_tensor(r, dst, s->N, s->K, s->P, s->Q);
    }
}

static void conv2d_backward_data(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    void *ddst = tensor(r, s->N, s->K, s->P, s->Q), *add = tensor(r, s->N, s->C, s->H, s->W);
    void *packed = packed_weights(r, conv_weights(r), RN_PASS_BACKWARD_DATA);
    void *workspace = device_alloc(r, r->ops->conv2d_workspace(r->dev, s));
    void *dsrc = empty_tensor(r, s->N, s->C, s->H, s->W);
    const void *addend[] = { NULL, add, add };
    for (int i = 0; i < 3; i++) { /* alone, with an addend, in place of it */
        void *to = i < 2 ? dsrc : add;
        r->ops->conv2d_backward_data(r->dev, to, ddst, packed, addend[i], s, workspace);
        output_tensor(r, to, s->N, s->C, s->H, s->W);
    }
}

static void conv2d_backward_weights(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t count = (size_t)s->K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S);
    void *src = tensor(r, s->N, s->C, s->H, s->W), *ddst = tensor(r, s->N, s->K, s->P, s->Q);
    float *dweights = device_alloc(r, count * sizeof(float));
    float *dbias = device_alloc(r, (size_t)s->K * sizeof(float));
    void *workspace = device_alloc(r, r->ops->conv2d_workspace(r->dev, s));
    for (int with_bias = 0; with_bias < 2; with_bias++) {
        r->ops->conv2d_backward_weights(r->dev, dweights, with_bias ? dbias : NULL, src, ddst, s,
                                        workspace);
        output_vector(r, dweights, count);
    }
    output_vector(r, dbias, (size_t)s->K);
}

static struct rn_bn_shape bn_shape(int N, int C, int H, int W, int post)
{
    return (struct rn_bn_shape){ N, C, H, W, 1e-5, 0.1, (enum rn_post)post };
}

static void conv2d_bn(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t K = (size_t)s->K;
    void *src = tensor(r, s->N, s->C, s->H, s->W), *add = tensor(r, s->N, s->K, s->P, s->Q);
    float *gamma = vector(r, K, false), *beta = vector(r, K, false);
    float *mean = vector(r, K, false), *var = vector(r, K, true);
    void *packed = packed_weights(r, conv_weights(r), RN_PASS_FORWARD);
    void *workspace = device_alloc(r, r->ops->conv2d_workspace(r->dev, s));
    void *dst = empty_tensor(r, s->N, s->K, s->P, s->Q);
    for (int post = 0; post < 3; post++) {
        struct rn_bn_shape bn = bn_shape(s->N, s->K, s->P, s->Q, post);
        r->ops->conv2d_bn(r->dev, dst, src, packed, post == RN_POST_ADD_RELU ? add : NULL, gamma,
                          beta, mean, var, s, &bn, workspace);
        output_tensor(r, dst, s->N, s->K, s->P, s->Q);
    }
}

static void conv2d_bn_train(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t K = (size_t)s->K;
    void *src = tensor(r, s->N, s->C, s->H, s->W), *add = tensor(r, s->N, s->K, s->P, s->Q);
    float *gamma = vector(r, K, false), *beta = vector(r, K, false);
    void *packed = packed_weights(r, conv_weights(r), RN_PASS_FORWARD);
    double *saved = device_alloc(r, 2 * K * sizeof(double));
    void *dst = empty_tensor(r, s->N, s->K, s->P, s->Q), *x = empty_tensor(r, s->N, s->K, s->P, s->Q);
    for (int post = 0; post < 3; post++) {
        struct rn_bn_shape bn = bn_shape(s->N, s->K, s->P, s->Q, post);
        void *workspace = device_alloc(r, r->ops->conv2d_workspace(r->dev, s) +
                                              r->ops->batchnorm_workspace(r->dev, &bn));
        r->ops->conv2d_bn_train(r->dev, dst, x, saved, src, packed,
                                post == RN_POST_ADD_RELU ? add : NULL, gamma, beta, s, &bn, workspace);
        output_tensor(r, x, s->N, s->K, s->P, s->Q);
        output_tensor(r, dst, s->N, s->K, s->P, s->Q);
        output_words(r, saved, 2 * K * sizeof(double));
    }
}

static void conv2d_bias(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    void *src = tensor(r, s->N, s->C, s->H, s->W), *add = tensor(r, s->N, s->K, s->P, s->Q);
    void *bias = vector(r, (size_t)s->K, false), *dst = empty_tensor(r, s->N, s->K, s->P, s->Q);
    void *packed = packed_weights(r, conv_weights(r), RN_PASS_FORWARD);
    void *workspace = device_alloc(r, r->ops->conv2d_workspace(r->dev, s));
    for (int post = 0; post < 3; post++) {
        r->ops->conv2d_bias(r->dev, dst, src, packed, bias, post == RN_POST_ADD_RELU ? add : NULL,
                            (enum rn_post)post, s, workspace);
        output_tensor(r, dst, s->N, s->K, s->P, s->Q);
    }
}

/* Into another array, then in place. */
static void conv2d_fold(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t K = (size_t)s->K, count = K * (size_t)(s->C / s->groups) * (size_t)(s->R * s->S);
    struct rn_bn_shape bn = bn_shape(s->N, s->K, s->P, s->Q, RN_POST_NONE);
    float *weights = conv_weights(r), *folded = device_alloc(r, count * sizeof(float));
    float *gamma = vector(r, K, false), *beta = vector(r, K, false), *bias = device_alloc(r, K * 4);
    float *mean = vector(r, K, false), *var = vector(r, K, true);
    for (int i = 0; i < 2; i++) {
        float *to = i ? weights : folded;
        r->ops->conv2d_fold(r->dev, to, bias, weights, gamma, beta, mean, var, s, &bn);
        output_vector(r, to, count);
        output_vector(r, bias, K);
    }
}

static void batchnorm_train(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t C = (size_t)s->C;
    void *src = tensor(r, s->N, s->C, s->H, s->W), *add = tensor(r, s->N, s->C, s->H, s->W);
    void *ddst = tensor(r, s->N, s->C, s->H, s->W);
    float *gamma = vector(r, C, false), *beta = vector(r, C, false);
    float *mean = vector(r, C, false), *var = vector(r, C, true);
    float *dgamma = device_alloc(r, C * 4), *dbeta = device_alloc(r, C * 4);
    double *saved = device_alloc(r, 2 * C * sizeof(double));
    void *dst = empty_tensor(r, s->N, s->C, s->H, s->W);
    void *dadd = empty_tensor(r, s->N, s->C, s->H, s->W);
    for (int post = 0; post < 3; post++) {
        struct rn_bn_shape bn = bn_shape(s->N, s->C, s->H, s->W, post);
        void *workspace = device_alloc(r, r->ops->batchnorm_workspace(r->dev, &bn));
        bool sum = post == RN_POST_ADD_RELU;
        r->ops->batchnorm_forward_train(r->dev, dst, saved, src, sum ? add : NULL, gamma, beta, &bn,
                                        workspace);
        r->ops->batchnorm_running(r->dev, mean, var, saved, &bn, NULL);
        output_tensor(r, dst, s->N, s->C, s->H, s->W);
        r->ops->batchnorm_apply(r->dev, dadd, src, sum ? add : NULL, saved, gamma, beta, &bn);
        output_tensor(r, dadd, s->N, s->C, s->H, s->W);
        output_words(r, saved, 2 * C * sizeof(double));
        output_vector(r, mean, C);
        output_vector(r, var, C);
        /* the gradient may overwrite ddst: the last round does */
        void *dsrc = sum ? ddst : empty_tensor(r, s->N, s->C, s->H, s->W);
        r->ops->batchnorm_backward(r->dev, dsrc, sum ? dadd : NULL, dgamma, dbeta, ddst,
                                   sum ? dst : NULL, src, saved, gamma, beta, &bn, workspace);
        output_tensor(r, dsrc, s->N, s->C, s->H, s->W);
        if (sum) output_tensor(r, dadd, s->N, s->C, s->H, s->W);
        output_vector(r, dgamma, C);
        output_vector(r, dbeta, C);
    }
}

static void batchnorm_eval(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t C = (size_t)s->C;
    void *src = tensor(r, s->N, s->C, s->H, s->W), *add = tensor(r, s->N, s->C, s->H, s->W);
    void *ddst = tensor(r, s->N, s->C, s->H, s->W);
    float *gamma = vector(r, C, false), *beta = vector(r, C, false);
    float *mean = vector(r, C, false), *var = vector(r, C, true);
    float *dgamma = device_alloc(r, C * 4), *dbeta = device_alloc(r, C * 4);
    void *dst = empty_tensor(r, s->N, s->C, s->H, s->W);
    void *dsrc = empty_tensor(r, s->N, s->C, s->H, s->W);
    for (int post = 0; post < 3; post++) {
        struct rn_bn_shape bn = bn_shape(s->N, s->C, s->H, s->W, post);
        void *workspace = device_alloc(r, r->ops->batchnorm_workspace(r->dev, &bn));
        bool sum = post == RN_POST_ADD_RELU;
        r->ops->batchnorm_forward_eval(r->dev, dst, src, sum ? add : NULL, gamma, beta, mean, var,
                                       &bn);
        output_tensor(r, dst, s->N, s->C, s->H, s->W);
        /* the addend's gradient may overwrite ddst: the last round does */
        r->ops->batchnorm_backward_eval(r->dev, dsrc, sum ? ddst : NULL, dgamma, dbeta, ddst, dst,
                                        src, mean, var, gamma, &bn, workspace);
        output_tensor(r, dsrc, s->N, s->C, s->H, s->W);
        if (sum) output_tensor(r, ddst, s->N, s->C, s->H, s->W);
        output_vector(r, dgamma, C);
        output_vector(r, dbeta, C);
    }
    struct rn_bn_shape bn = bn_shape(s->N, s->C, s->H, s->W, RN_POST_RELU);
    r->ops->batchnorm_forward_eval(r->dev, src, src, NULL, gamma, beta, mean, var, &bn);
    output_tensor(r, src, s->N, s->C, s->H, s->W);
}

static size_t elements(const struct rn_conv_shape *s)
{
    return (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
}

/* A NaN at some places, Inf at others, none, among floats and in a tensor. */
static void search(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t n = elements(s);
    float *x = host_input(r, n, false), *p = device_alloc(r, n * sizeof(float));
    int32_t *all = device_alloc(r, sizeof *all), verdict;
    void *t = empty_tensor(r, s->N, s->C, s->H, s->W);
    for (size_t bad = 0; bad <= n + n / 2 + 1; bad += n / 2 + 1) {
        float kept = bad < n ? x[bad] : 0;
        if (bad < n) x[bad] = rn_float(bad & 1 ? 0x7f800000u : 0xffc00001u);
        r->ops->write(r->dev, p, x, n * sizeof(float));
        r->ops->tensor_set(r->dev, t, x, s->N, s->C, s->H, s->W);
        r->ops->finite(r->dev, all, p, n, NULL);
        r->ops->read(r->dev, &verdict, all, sizeof verdict);
        r->word[r->words++] = (uint32_t)verdict;
        r->ops->tensor_finite(r->dev, all, t, n);
        r->ops->read(r->dev, &verdict, all, sizeof verdict);
        r->word[r->words++] = (uint32_t)verdict;
        if (bad < n) x[bad] = kept;
    }
    rn_free(x);
}

static void elementwise(struct run *r)
{
    const struct rn_conv_shape *s = &r->s;
    size_t n = elements(s);
    void *a = tensor(r, s->N, s->C, s->H, s->W), *b = tensor(r, s->N, s->C, s->H, s->W);
    void *y = empty_tensor(r, s->N, s->C, s->H, s->W);
    output_tensor(r, a, s->N, s->C, s->H, s->W);
    r->ops->relu_forward(r->dev, y, a, n);
    output_tensor(r, y, s->N, s->C, s->H, s->W);
    r->ops->relu_backward(r->dev, b, b, y, n);
    output_tensor(r, b, s->N, s->C, s->H, s->W);
    r->ops->add(r->dev, y, a, b, n);
    output_tensor(r, y, s->N, s->C, s->H, s->W);
    float *sum = vector(r, n, false);
    r->ops->accumulate(r->dev, sum, vector(r, n, false), n);
    output_vector(r, sum, n);
    search(r);
}

static struct rn_pool_shape pool_shape(const struct rn_conv_shape *s)
{
    return (struct rn_pool_shape){ s->N, s->C, s->H, s->W, s->R, s->S, s->P, s->Q, s->stride,
                                   s->pad };
}

static void maxpool(struct run *r)
{
    struct rn_pool_shape s = pool_shape(&r->s);
    void *src = tensor(r, s.N, s.C, s.H, s.W), *ddst = tensor(r, s.N, s.C, s.P, s.Q);
    void *dst = empty_tensor(r, s.N, s.C, s.P, s.Q), *dsrc = empty_tensor(r, s.N, s.C, s.H, s.W);
    uint8_t *index = device_alloc(r, (size_t)s.N * (size_t)s.C * (size_t)s.P * (size_t)s.Q);
    r->ops->maxpool_forward(r->dev, dst, index, src, &s);
    r->ops->maxpool_backward(r->dev, dsrc, ddst, index, &s);
    output_tensor(r, dst, s.N, s.C, s.P, s.Q);
    output_tensor(r, dsrc, s.N, s.C, s.H, s.W);
}

static void avgpool(struct run *r)
{
    struct rn_pool_shape s = pool_shape(&r->s);
    void *src = tensor(r, s.N, s.C, s.H, s.W), *ddst = tensor(r, s.N, s.C, s.P, s.Q);
    void *dst = empty_tensor(r, s.N, s.C, s.P, s.Q), *dsrc = empty_tensor(r, s.N, s.C, s.H, s.W);
    r->ops->avgpool_forward(r->dev, dst, src, &s);
    r->ops->avgpool_backward(r->dev, dsrc, ddst, &s);
    output_tensor(r, dst, s.N, s.C, s.P, s.Q);
    output_tensor(r, dsrc, s.N, s.C, s.H, s.W);
    void *mean = empty_tensor(r, s.N, s.C, 1, 1);
    r->ops->global_avgpool_forward(r->dev, mean, src, &s);
    r->ops->global_avgpool_backward(r->dev, dsrc, mean, &s);
    output_tensor(r, mean, s.N, s.C, 1, 1);
    output_tensor(r, dsrc, s.N, s.C, s.H, s.W);
}

/* To a size that enlarges one side and one that shrinks both. */
static void resize(struct run *r)
{
    const struct rn_conv_shape *c = &r->s;
    void *src = tensor(r, c->N, c->C, c->H, c->W);
    for (int i = 0; i < 2; i++) {
        struct rn_resize_shape s = { c->N, c->C, c->H, c->W, i ? (c->H + 1) / 2 : 2 * c->H + 1,
                                     i ? (c->W + 2) / 3 : 3 * c->W };
        void *dst = empty_tensor(r, s.N, s.C, s.P, s.Q), *ddst = tensor(r, s.N, s.C, s.P, s.Q);
        void *dsrc = empty_tensor(r, s.N, s.C, s.H, s.W);
        r->ops->resize_forward(r->dev, dst, src, &s);
        r->ops->resize_backward(r->dev, dsrc, ddst, &s);
        output_tensor(r, dst, s.N, s.C, s.P, s.Q);
        output_tensor(r, dsrc, s.N, s.C, s.H, s.W);
    }
}

static void linear(struct run *r)
{
    struct rn_linear_shape s = { r->s.N, r->s.C, r->s.K };
    size_t count = (size_t)s.K * (size_t)s.C, outputs = (size_t)s.N * (size_t)s.K;
    void *src = tensor(r, s.N, s.C, 1, 1), *dsrc = empty_tensor(r, s.N, s.C, 1, 1);
    float *ddst = vector(r, outputs, false), *dst = device_alloc(r, outputs * 4);
    float *weights = vector(r, count, false), *bias = vector(r, (size_t)s.K, false);
    float *dweights = device_alloc(r, count * 4), *dbias = device_alloc(r, (size_t)s.K * 4);
    void *packed = packed_weights(r, weights, RN_PASS_FORWARD);
    void *workspace = device_alloc(r, r->ops->linear_workspace(r->dev, &s));
    r->ops->linear_forward(r->dev, dst, src, packed, bias, &s, workspace);
    r->ops->linear_backward_data(r->dev, dsrc, ddst, weights, &s, workspace);
    r->ops->linear_backward_weights(r->dev, dweights, dbias, src, ddst, &s, workspace);
    output_vector(r, dst, outputs);
    output_tensor(r, dsrc, s.N, s.C, 1, 1);
    output_vector(r, dweights, count);
    output_vector(r, dbias, (size_t)s.K);
}

static void loss(struct run *r)
{
    struct rn_loss_shape s = { r->s.N, r->s.K, r->s.N + 3, 0 };
    size_t count = (size_t)s.N * (size_t)s.K;
    float *logits = vector(r, count, false), *dlogits = device_alloc(r, count * 4);
    double *value = device_alloc(r, (size_t)s.N * sizeof(double));
    int32_t *labels = device_alloc(r, (size_t)s.N * sizeof(int32_t));
    for (int32_t n = 0; n < s.N; n++) {
        int32_t label = n * 7 % s.K;
        r->ops->write(r->dev, labels + n, &label, sizeof label);
    }
    for (int i = 0; i < 3; i++) { /* plain, smoothed, evaluation */
        s.smoothing = i ? 0.1 : 0;
        r->ops->softmax_cross_entropy(r->dev, value, i < 2 ? dlogits : NULL, logits, labels, &s);
        output_words(r, value, (size_t)s.N * sizeof(double));
        output_vector(r, dlogits, count);
    }
}

static void sgd(struct run *r)
{
    size_t n = elements(&r->s);
    float *w = vector(r, n, false), *v = vector(r, n, false);
    const struct rn_sgd hp[] = { { 0.1, 0.9, 5e-4, 0, NULL }, { 0.05, 0.9, 5e-4, 1, NULL }, { .lr = 0.1 } };
    for (size_t i = 0; i < RN_COUNT(hp); i++) {
        r->ops->sgd_update(r->dev, w, v, vector(r, n, false), n, &hp[i]);
        output_vector(r, w, n);
        output_vector(r, v, n);
    }
}

static void adamw(struct run *r)
{
    size_t n = elements(&r->s);
    float *w = vector(r, n, false), *m = vector(r, n, false), *v = vector(r, n, true);
    struct rn_adamw hp = { 1e-3, 0.9, 0.999, 1e-3, 0.01, 1, 1, NULL }; /* an eps that shows */
    for (int step = 1; step <= 3; step++) {
        hp.beta1_power *= hp.beta1;
        hp.beta2_power *= hp.beta2;
        r->ops->adamw_update(r->dev, w, m, v, vector(r, n, false), n, &hp);
        output_vector(r, w, n);
        output_vector(r, m, n);
        output_vector(r, v, n);
    }
}

#endif /* RN_TEST_BITS_OPS_H */
