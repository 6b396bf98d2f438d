/*
 * validate.c - --validate: a projection beside what the net really takes here.
 *
 * The whole is timed on the backend as it is.  Layers are timed on a copy of its table in which the slots that an
 * inference calls look at the clock before and after: each fused operation is one such call, so calls and groups are
 * in the same order.
 */
#include "tools/characterize/validate.h"

#include "base/mem.h"
#include "base/quantile.h"
#include "base/random.h"
#include "observe/observe.h"

#include <stdlib.h>
#include <string.h>

/* -- the clock around each call ------------------------------------------------------------------- */

/* Of the calling thread's net: its backend, and the seconds of the calls of one pass. */
struct watch { const struct rn_ops *ops; double *seconds; int calls, most; };
static _Thread_local struct watch watch;

/* When the device is done with the call. */
static void note(void *dev, double begin)
{
    watch.ops->sync(dev);
    if (watch.calls < watch.most) watch.seconds[watch.calls] = rn_seconds() - begin;
    watch.calls++;
}

static void conv_bn(void *dev, void *dst, const void *src, const void *packed, const void *add, const float *gamma,
                    const float *beta, const float *mean, const float *var, const struct rn_conv_shape *s,
                    const struct rn_bn_shape *bn, void *work)
{
    double begin = rn_seconds();
    watch.ops->conv2d_bn(dev, dst, src, packed, add, gamma, beta, mean, var, s, bn, work);
    note(dev, begin);
}

static void linear(void *dev, float *dst, const void *src, const void *packed, const float *bias,
                   const struct rn_linear_shape *s, void *work)
{
    double begin = rn_seconds();
    watch.ops->linear_forward(dev, dst, src, packed, bias, s, work);
    note(dev, begin);
}

static void max_pool(void *dev, void *dst, uint8_t *index, const void *src, const struct rn_pool_shape *s)
{
    double begin = rn_seconds();
    watch.ops->maxpool_forward(dev, dst, index, src, s);
    note(dev, begin);
}

static void mean_pool(void *dev, void *dst, const void *src, const struct rn_pool_shape *s)
{
    double begin = rn_seconds();
    watch.ops->global_avgpool_forward(dev, dst, src, s);
    note(dev, begin);
}

static void resize(void *dev, void *dst, const void *src, const struct rn_resize_shape *s)
{
    double begin = rn_seconds();
    watch.ops->resize_forward(dev, dst, src, s);
    note(dev, begin);
}

static struct rn_ops watched(const struct rn_ops *ops)
{
    struct rn_ops w = *ops;
    w.conv2d_bn = conv_bn;
    w.linear_forward = linear;
    w.maxpool_forward = max_pool;
    w.global_avgpool_forward = mean_pool;
    w.resize_forward = resize;
    return w;
}

/* -- validate ------------------------------------------------------------------------------------- */

#define WARM 2
#define MOST_RUNS 60
#define LEAST_RUNS 7
#define SECONDS 2.0 /* of either measurement, unless LEAST_RUNS take longer */

struct subject { struct rn_net *net; float *images, *logits; int batch; };

static rn_status prepare(struct subject *s, const struct characterize *c, const struct rn_net_config *of,
                         const struct rn_ops *ops)
{
    struct rn_net_config config = *of;
    const size_t pixels = (size_t)c->batch * 3 * (size_t)config.image_size * (size_t)config.image_size;
    *s = (struct subject){ .batch = c->batch };
    config.batch = 0;
    config.eval_batch = c->batch;
    rn_status status = rn_net_create(&s->net, &config, ops, c->device.dev);
    if (status) return status;
    rn_net_init(s->net, 42);
    s->images = rn_alloc_array(pixels, sizeof *s->images);
    s->logits = rn_alloc_array((size_t)c->batch, (size_t)config.arch.classes * sizeof *s->logits);
    if (!s->images || !s->logits) return RN_ENOMEM;
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < pixels; i++) s->images[i] = (float)(4 * rn_random_uniform(&r) - 2);
    return RN_OK;
}

static void finish(struct subject *s)
{
    rn_net_free(s->net);
    rn_free(s->images);
    rn_free(s->logits);
}

/* Seconds of one pass. */
static double one_pass(struct subject *s)
{
    double begin = rn_seconds();
    rn_net_infer(s->net, s->images, s->batch, s->logits);
    return rn_seconds() - begin;
}

static bool enough(int runs, double begin)
{
    return runs >= MOST_RUNS || (runs >= LEAST_RUNS && rn_seconds() - begin > SECONDS);
}

rn_status characterize_time(double *seconds, int *runs, const struct characterize *c,
                            const struct rn_net_config *config)
{
    struct subject s;
    double time[MOST_RUNS];
    rn_status status = prepare(&s, c, config, c->device.ops);
    if (!status) {
        for (int i = 0; i < WARM; i++) one_pass(&s);
        const double begin = rn_seconds();
        for (*runs = 0; !enough(*runs, begin); (*runs)++) time[*runs] = one_pass(&s);
        *seconds = rn_median(time, *runs);
    }
    finish(&s);
    return status;
}

/* time[group][run]: seconds of the calls for that group, those of all parts of a large batch together. */
static rn_status watch_passes(double (*time)[MOST_RUNS], int *runs, struct subject *s, int groups)
{
    const double begin = rn_seconds();
    for (int run = -WARM; run < 0 || !enough(run, begin); run++) {
        watch.calls = 0;
        one_pass(s);
        if (watch.calls % groups || watch.calls > watch.most)
            return rn_fail(RN_EFAIL, "--validate: %d calls for %d fused operations", watch.calls, groups);
        for (int i = 0; run >= 0 && i < watch.calls; i++)
            time[i % groups][run] = (i < groups ? 0 : time[i % groups][run]) + watch.seconds[i];
        *runs = run + 1;
    }
    return RN_OK;
}

static rn_status time_layers(double *seconds, const struct characterize *c)
{
    const struct rn_ops ops = watched(c->device.ops);
    const int groups = c->groups.rows, most = groups * c->batch;
    double (*time)[MOST_RUNS] = rn_alloc_array((size_t)groups, sizeof *time);
    struct subject s;
    int runs = 0;
    rn_status status = prepare(&s, c, &c->config, &ops);
    watch = (struct watch){ c->device.ops, rn_alloc_array((size_t)most, sizeof(double)), 0, most };
    if (!status && (!time || !watch.seconds)) status = RN_ENOMEM;
    if (!status) status = watch_passes(time, &runs, &s, groups);
    for (int i = 0; !status && i < groups; i++) seconds[i] = rn_median(time[i], runs);
    finish(&s);
    rn_free(watch.seconds);
    rn_free(time);
    return status;
}

/* A file that --measure has made says what with; what it says of other threads or instructions is no projection of
 * this run. */
static rn_status check_measured(const struct characterize *c)
{
    const struct rn_hardware *h = &c->hardware;
    const char *file = opt_text(c->o, "hardware"), *isa = c->device.ops->isa(c->device.dev);
    const char *numerics = opt_text(c->o, "numerics");
    const int threads = (int)rn_hardware_value(h, RN_HW_THREADS, c->device.threads);
    if (threads != c->device.threads)
        return rn_fail(RN_EINPUT, "--validate: %s was measured with %d threads, and this run has %d; --threads %d, or "
                       "measure again", file, threads, c->device.threads, threads);
    if (*h->isa && strcmp(h->isa, isa))
        return rn_fail(RN_EINPUT, "--validate: %s was measured with %s, and this run has %s; --isa %s, or measure "
                       "again", file, h->isa, isa, h->isa);
    if (*h->numerics && strcmp(h->numerics, numerics))
        return rn_fail(RN_EINPUT, "--validate: %s was measured for --numerics %s, and this run has %s", file,
                       h->numerics, numerics);
    return RN_OK;
}

rn_status characterize_validate(struct characterize_validation *v, const struct characterize *c)
{
    const struct rn_projection *p = &c->projection;
    *v = (struct characterize_validation){ .groups = c->groups.rows };
    if (p->missing_seconds >= 0)
        return rn_fail(RN_EUSAGE, "--validate: %s has no %s", c->hardware.name,
                       rn_hardware_key_name(p->missing_seconds));
    rn_status status = check_measured(c);
    if (status) return status;
    v->measured = rn_alloc_array((size_t)v->groups, sizeof *v->measured);
    double *error = rn_alloc_array((size_t)v->groups, sizeof *error);
    status = v->measured && error ? characterize_time(&v->seconds, &v->runs, c, &c->config) : RN_ENOMEM;
    if (!status) status = time_layers(v->measured, c);
    for (int i = 0; !status && i < v->groups; i++) {
        const double off = p->row[i].seconds / v->measured[i] - 1;
        error[i] = off < 0 ? -off : off;
    }
    if (!status) v->median_error = rn_median(error, v->groups);
    rn_free(error);
    return status;
}

void characterize_validation_free(struct characterize_validation *v)
{
    rn_free(v->measured);
    v->measured = NULL;
}

/* -- what is written ------------------------------------------------------------------------------ */

void characterize_add_validation_json(struct rn_text *t, const struct characterize *c)
{
    const struct characterize_validation *v = c->validation;
    rn_text_add(t, ",\n\"validation\": {\"predicted_ms\": ");
    rn_text_number(t, 1e3 * c->projection.seconds);
    rn_text_add(t, ", \"measured_ms\": ");
    rn_text_number(t, 1e3 * v->seconds);
    rn_text_add(t, ", \"error\": ");
    rn_text_number(t, c->projection.seconds / v->seconds - 1);
    rn_text_add(t, ", \"median_layer_error\": ");
    rn_text_number(t, v->median_error);
    rn_text_add(t, ", \"runs\": %d, \"threads\": %d, \"isa\": \"%s\", \"layers\": [", v->runs, c->device.threads,
                c->device.ops->isa(c->device.dev));
    for (int i = 0; i < v->groups; i++) {
        rn_text_add(t, "%s\n  {\"name\": \"%s\", \"predicted_ms\": ", i ? "," : "",
                    c->trace.op[c->groups.row[i].op[0]].name);
        rn_text_number(t, 1e3 * c->projection.row[i].seconds);
        rn_text_add(t, ", \"measured_ms\": ");
        rn_text_number(t, 1e3 * v->measured[i]);
        rn_text_add(t, ", \"error\": ");
        rn_text_number(t, c->projection.row[i].seconds / v->measured[i] - 1);
        rn_text_add(t, "}");
    }
    rn_text_add(t, "]}");
}

void characterize_add_validation(struct rn_text *t, const struct characterize *c)
{
    const struct characterize_validation *v = c->validation;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], e[RN_NUMBER_CHARS], what[64];
    rn_text_add(t, "\nprojected against measured here: %d threads, %s, batch %d, median of %d passes\n",
                c->device.threads, c->device.ops->isa(c->device.dev), c->batch, v->runs);
    rn_text_add(t, "  %-22s %-18s %12s %12s %8s\n", "fused operation", "", "projected ms", "measured ms", "error %");
    for (int i = 0; i < v->groups; i++) {
        const struct rn_op *first = &c->trace.op[c->groups.row[i].op[0]];
        const double p = c->projection.row[i].seconds, m = v->measured[i];
        rn_text_add(t, "  %-22s %-18s %12s %12s %8s\n", first->name, characterize_describe(what, first),
                    rn_fixed_text(a, 1e3 * p, 4), rn_fixed_text(b, 1e3 * m, 4),
                    rn_fixed_text(e, 100 * (p / m - 1), 1));
    }
    rn_text_add(t, "  %-41s %12s %12s %8s\n", "whole, timed without a clock inside",
                rn_fixed_text(a, 1e3 * c->projection.seconds, 3),
                rn_fixed_text(b, 1e3 * v->seconds, 3),
                rn_fixed_text(e, 100 * (c->projection.seconds / v->seconds - 1), 1));
    rn_text_add(t, "  median error of a fused operation: %s %%\n", rn_fixed_text(e, 100 * v->median_error, 1));
}
