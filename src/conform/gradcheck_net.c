/*
 * gradcheck_net.c - all gradients of the small residual net, as the slots of an op table give them,
 * against central differences of the whole net in double.
 *
 * Where gradcheck.c measures every element, a sample of each tensor is enough here: the ops are
 * already known to be right, and what is left to get wrong (a shortcut, a mask, the wrong saved
 * tensor) spoils tensors as a whole.
 *
 * Under bf16 a net has other kinks than in double: where a rounded argument comes to lie on the other
 * side of 0, or another pixel is the largest, the gradient goes another way, and no draw keeps
 * seventeen layers away from that.  There whole tensors are compared with those of fp32, by their
 * distance; in halves (fast-fp16) an eighth of it is allowed.
 */
#include "conform/conform.h"

#include "base/mem.h"
#include "base/random.h"
#include "conform/case.h"
#include "conform/golden.h"
#include "conform/small_net.h"
#include "conform/wide.h"
#include "resnet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define STEP 1e-6
#define MARGIN 1e-4 /* a weight of the first layer moves a later one's input by about ten steps */
#define DRAWS 256
#define SAMPLE 8       /* elements of each tensor */
#define TOLERANCE 2e-5 /* of the sample's root mean square: seventeen layers, forth and back */
#define TOLERANCE_FAST 2e-4 /* of a library's floats: correct ones stay below 5e-6; TF32 fails in all but fc.bias */
#define DISTANCE_BF16 0.25 /* correct ones stay below 0.18 in the draw that is taken, whatever the order of sums; */
#define DISTANCE_FP16 0.03125 /* below 0.005; in other draws kinks cost up to 0.45 and 0.26 */
#define GEOMETRY "n4c3h11w13"

/* The net in double: tensors of all layers, and parameters; image and labels of one draw. */
struct wide_net {
    struct rn_small_plan plan;
    double *tensor[RN_SMALL_TENSORS], *param[RN_SMALL_PARAMS];
    float *start[RN_SMALL_PARAMS], *image;
    int32_t labels[RN_SMALL_N];
    double limit; /* what is allowed */
};

static double limit_of(const char *numerics)
{
    if (rn_numerics_narrow(numerics)) return strcmp(numerics, "fast-fp16") ? DISTANCE_BF16 : DISTANCE_FP16;
    return rn_numerics_fast(numerics) ? TOLERANCE_FAST : TOLERANCE;
}

static void wide_close(struct wide_net *w)
{
    for (int i = 0; i < RN_SMALL_TENSORS; i++) rn_free(w->tensor[i]);
    for (int i = 0; i < RN_SMALL_PARAMS; i++) {
        rn_free(w->param[i]);
        rn_free(w->start[i]);
    }
    rn_free(w->image);
}

static rn_status wide_open(struct wide_net *w)
{
    memset(w, 0, sizeof *w);
    rn_small_plan(&w->plan);
    for (int i = 0; i < RN_SMALL_TENSORS; i++) {
        w->tensor[i] = rn_alloc_array(rn_small_count(&w->plan.layer[i]), sizeof(double));
        if (!w->tensor[i]) return RN_ENOMEM;
    }
    for (int i = 0; i < RN_SMALL_PARAMS; i++) {
        w->param[i] = rn_alloc_array(w->plan.param[i].count, sizeof(double));
        w->start[i] = rn_alloc_array(w->plan.param[i].count, sizeof(float));
        if (!w->param[i] || !w->start[i]) return RN_ENOMEM;
    }
    w->image = rn_alloc_array(rn_small_count(&w->plan.layer[0]), sizeof(float));
    return w->image ? RN_OK : RN_ENOMEM;
}

static double wide_layer(struct wide_net *w, int i)
{
    const struct rn_small_layer *l = &w->plan.layer[i];
    struct rn_conv_shape conv = rn_small_conv(&w->plan, i);
    struct rn_bn_shape bn = rn_small_bn(&w->plan, i);
    struct rn_pool_shape pool = rn_small_pool(&w->plan, i);
    struct rn_linear_shape linear = rn_small_linear(&w->plan, i);
    double *dst = w->tensor[i], *src = w->tensor[l->src];
    double *const *p = l->param < 0 ? NULL : &w->param[l->param];
    switch (l->kind) {
    case RN_SMALL_CONV: rn_wide_conv2d(dst, src, p[0], NULL, &conv); break;
    case RN_SMALL_BN:
        return rn_wide_batchnorm_train(dst, NULL, src, l->add < 0 ? NULL : w->tensor[l->add], p[0],
                                       p[1], &bn);
    case RN_SMALL_MAXPOOL: return rn_wide_maxpool(dst, src, &pool);
    case RN_SMALL_AVERAGE: rn_wide_global_avgpool(dst, src, &pool); break;
    case RN_SMALL_LINEAR: rn_wide_linear(dst, src, p[0], p[1], &linear); break;
    case RN_SMALL_IMAGE: break;
    }
    return HUGE_VAL;
}

/* Mean loss of the batch, computed from layer `first` on, the layers before being up to date; the
 * margin of those layers if asked for. */
static double wide_loss(struct wide_net *w, int first, double *margin)
{
    const struct rn_loss_shape s = rn_small_loss();
    double loss[RN_SMALL_N], sum = 0;
    if (margin) *margin = HUGE_VAL;
    for (int i = first; i < RN_SMALL_TENSORS; i++) {
        double here = wide_layer(w, i);
        if (margin) *margin = RN_MIN(*margin, here);
    }
    rn_wide_cross_entropy(loss, w->tensor[RN_SMALL_TENSORS - 1], w->labels, &s);
    for (int n = 0; n < RN_SMALL_N; n++) sum += loss[n];
    return sum / RN_SMALL_N;
}

/* Draws parameters and images until no argument is near a kink; *loss is what the net gives. */
static rn_status draw_net(struct wide_net *w, double *loss)
{
    double margin;
    for (uint32_t draw = 0; draw < DRAWS; draw++) {
        rn_small_start(&w->plan, w->start, draw);
        rn_small_batch(w->image, w->labels, draw);
        for (int i = 0; i < RN_SMALL_PARAMS; i++)
            for (size_t j = 0; j < w->plan.param[i].count; j++) w->param[i][j] = w->start[i][j];
        for (size_t j = 0; j < rn_small_count(&w->plan.layer[0]); j++)
            w->tensor[0][j] = w->image[j];
        *loss = wide_loss(w, 1, &margin);
        if (margin >= MARGIN) return RN_OK;
    }
    return rn_fail(RN_ECHECK, "small net: no inputs away from kinks in %d draws", DRAWS);
}

static void report(struct rn_verdicts *v, const char *part, const double *got, const double *want,
                   size_t count, double limit)
{
    char detail[RN_DETAIL_CHARS] = "";
    size_t worst;
    double error = rn_relative_error(&worst, got, want, count);
    bool ok = error <= limit;
    if (!ok) rn_detail(detail, worst, got[worst], want[worst]);
    struct rn_finding f = { "net", part, GEOMETRY, "plain", ok ? "ok" : "FAIL", error, limit, detail };
    rn_verdict(v, &f, !ok);
}

/* A sample of one tensor's gradient: x in double, got as the device gave it.  Layer `first` is the
 * first that reads x. */
static void check_tensor(struct rn_verdicts *v, struct wide_net *w, const char *name, int first,
                         double *x, const float *got, size_t count)
{
    double slope[SAMPLE], values[SAMPLE];
    char part[48];
    size_t samples = RN_MIN(count, (size_t)SAMPLE);
    for (size_t k = 0; k < samples; k++) {
        size_t i = (k * count + count / 2) / samples % count;
        double middle = x[i];
        x[i] = middle + STEP;
        double above = wide_loss(w, first, NULL);
        x[i] = middle - STEP;
        slope[k] = (above - wide_loss(w, first, NULL)) / (2 * STEP);
        x[i] = middle;
        values[k] = got[i];
    }
    wide_loss(w, first, NULL);
    snprintf(part, sizeof part, "d(%s)", name);
    report(v, part, values, slope, samples, w->limit);
}

static void check_loss(struct rn_verdicts *v, struct rn_small *net, double want, double limit)
{
    double loss[RN_SMALL_N], got = 0;
    net->ops->read(net->dev, loss, net->loss, sizeof loss);
    net->ops->sync(net->dev);
    for (int n = 0; n < RN_SMALL_N; n++) got += loss[n];
    got /= RN_SMALL_N;
    report(v, "loss", &got, &want, 1, limit);
}

/* Gradient `i` of a net, dense: parameters, then that of the image.  Returns how many elements. */
static size_t read_gradient(float *dense, struct rn_small *net, int i)
{
    const struct rn_small_layer *image = &net->plan.layer[0];
    size_t count = i < RN_SMALL_PARAMS ? net->plan.param[i].count : rn_small_count(image);
    if (i < RN_SMALL_PARAMS)
        net->ops->read(net->dev, dense, net->dweights[i], count * sizeof *dense);
    else
        net->ops->tensor_get(net->dev, dense, net->gradient[0], RN_SMALL_N, image->C, image->H,
                             image->W);
    net->ops->sync(net->dev);
    return count;
}

static void check_params(struct rn_verdicts *v, struct wide_net *w, struct rn_small *net,
                         float *got)
{
    for (int i = 0, layer = 1; i < RN_SMALL_PARAMS; i++) {
        const struct rn_small_param *p = &w->plan.param[i];
        for (int l = layer; l < RN_SMALL_TENSORS; l++)
            if (w->plan.layer[l].param >= 0 && w->plan.layer[l].param <= i) layer = l;
        read_gradient(got, net, i);
        check_tensor(v, w, p->name, layer, w->param[i], got, p->count);
    }
}

/* |got - want| : |want|, Euclid's. */
static double distance(const float *got, const float *want, size_t count)
{
    double apart = 0, length = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)got[i] - (double)want[i];
        apart += d * d;
        length += (double)want[i] * (double)want[i];
    }
    return sqrt(apart / length);
}

/* All gradients of two nets with the same weights and images. */
static rn_status check_distances(struct rn_verdicts *v, struct rn_small *net, struct rn_small *fp32, double limit)
{
    const struct rn_small_plan *plan = &net->plan;
    size_t most = rn_small_count(&plan->layer[0]);
    for (int i = 0; i < RN_SMALL_PARAMS; i++) most = RN_MAX(most, plan->param[i].count);
    float *got = rn_alloc_array(most, sizeof *got), *want = rn_alloc_array(most, sizeof *want);
    for (int i = 0; i <= RN_SMALL_PARAMS && got && want; i++) {
        char part[64];
        size_t count = read_gradient(got, net, i);
        read_gradient(want, fp32, i);
        double apart = distance(got, want, count);
        bool ok = apart <= limit;
        snprintf(part, sizeof part, "d(%s) against fp32",
                 i < RN_SMALL_PARAMS ? plan->param[i].name : plan->layer[0].name);
        struct rn_finding f = { "net", part, GEOMETRY, "plain", ok ? "ok" : "FAIL", apart,
                                limit, "" };
        rn_verdict(v, &f, !ok);
    }
    rn_status status = got && want ? RN_OK : RN_ENOMEM;
    rn_free(want);
    rn_free(got);
    return status;
}

/* The net on a table, and on the reference under fp32. */
static rn_status check_narrow(struct rn_verdicts *v, struct wide_net *w, struct rn_small *net)
{
    struct rn_small fp32 = { 0 };
    void *dev = NULL;
    rn_status status = rn_golden_reference(&dev, "fp32");
    if (status == RN_OK) status = rn_small_open(&fp32, &rn_ops_ref, dev);
    for (int i = 0; i < RN_SMALL_PARAMS && status == RN_OK; i++) rn_small_set(&fp32, i, w->start[i]);
    if (status == RN_OK) {
        rn_small_gradients(&fp32, w->image, w->labels);
        status = check_distances(v, net, &fp32, w->limit);
    }
    rn_small_close(&fp32);
    if (dev) rn_ops_ref.close(dev);
    return status;
}

/* All gradients against slopes in double. */
static rn_status check_slopes(struct rn_verdicts *v, struct wide_net *w, struct rn_small *net,
                              double loss)
{
    const struct rn_small_layer *image = &w->plan.layer[0];
    size_t largest = rn_small_count(image);
    for (int i = 0; i < RN_SMALL_PARAMS; i++) largest = RN_MAX(largest, w->plan.param[i].count);
    float *got = rn_alloc_array(largest, sizeof *got);
    if (!got) return RN_ENOMEM;
    check_loss(v, net, loss, w->limit);
    check_params(v, w, net, got);
    size_t count = read_gradient(got, net, RN_SMALL_PARAMS);
    check_tensor(v, w, image->name, 1, w->tensor[0], got, count);
    rn_free(got);
    return RN_OK;
}

rn_status rn_gradcheck_net(struct rn_verdicts *v, const struct rn_ops *ops, void *dev,
                           const char *numerics)
{
    struct wide_net w;
    struct rn_small net = { 0 };
    double loss = 0;
    rn_status status = wide_open(&w);
    if (status == RN_OK) status = draw_net(&w, &loss);
    if (status == RN_OK) status = rn_small_open(&net, ops, dev);
    if (status) goto done;
    for (int i = 0; i < RN_SMALL_PARAMS; i++) rn_small_set(&net, i, w.start[i]);
    rn_small_gradients(&net, w.image, w.labels);
    w.limit = limit_of(numerics);
    status = rn_numerics_narrow(numerics) ? check_narrow(v, &w, &net) : check_slopes(v, &w, &net, loss);
done:
    rn_small_close(&net);
    wide_close(&w);
    return status;
}
