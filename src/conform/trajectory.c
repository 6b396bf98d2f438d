/*
 * trajectory.c - ten steps of training the small net on an op table, as named tensors: what went
 * in, and after every step the losses, gradients, running statistics and weights.
 */
#include "conform/golden.h"

#include "base/mem.h"
#include "base/real.h"
#include "conform/small_net.h"

#include <stdio.h>
#include <string.h>

#define NAME_CHARS 64

static rn_status add(struct rn_tensors *t, const char *name, enum rn_dtype dtype, int dims,
                     const int64_t *shape, void **data)
{
    struct rn_tensor tensor = { .dtype = dtype, .dims = dims, .count = 1, .owned = true };
    for (int i = 0; i < dims; i++) {
        tensor.shape[i] = shape[i];
        tensor.count *= shape[i];
    }
    tensor.data = *data;
    *data = NULL;
    return rn_tensors_add(t, name, &tensor);
}

/* Images and labels of all steps, one after the other. */
static rn_status add_batches(struct rn_tensors *t, const struct rn_small_plan *plan)
{
    const struct rn_small_layer *l = &plan->layer[0];
    const int64_t shape[] = { RN_TRAJECTORY_STEPS, RN_SMALL_N, l->C, l->H, l->W };
    size_t count = rn_small_count(l);
    void *images = rn_alloc_array(RN_TRAJECTORY_STEPS * count, sizeof(float));
    void *labels = rn_alloc_array(RN_TRAJECTORY_STEPS * RN_SMALL_N, sizeof(int32_t));
    rn_status status = images && labels ? RN_OK : RN_ENOMEM;
    for (uint32_t step = 0; step < RN_TRAJECTORY_STEPS && status == RN_OK; step++)
        rn_small_batch((float *)images + step * count, (int32_t *)labels + step * RN_SMALL_N, step);
    if (status == RN_OK) status = add(t, "images", RN_F32, 5, shape, &images);
    if (status == RN_OK) status = add(t, "labels", RN_I32, 2, shape, &labels);
    rn_free(images);
    rn_free(labels);
    return status;
}

rn_status rn_trajectory_start(struct rn_tensors *t)
{
    struct rn_small_plan plan;
    float *start[RN_SMALL_PARAMS] = { 0 };
    rn_status status = RN_OK;
    rn_small_plan(&plan);
    for (int i = 0; i < RN_SMALL_PARAMS && status == RN_OK; i++)
        if (!(start[i] = rn_alloc_array(plan.param[i].count, sizeof(float)))) status = RN_ENOMEM;
    if (status == RN_OK) rn_small_start(&plan, start, 0);
    for (int i = 0; i < RN_SMALL_PARAMS && status == RN_OK; i++) {
        char name[NAME_CHARS];
        void *data = start[i];
        snprintf(name, sizeof name, "start.%s", plan.param[i].name);
        start[i] = NULL;
        status = add(t, name, RN_F32, plan.param[i].dims, plan.param[i].shape, &data);
    }
    for (int i = 0; i < RN_SMALL_PARAMS; i++) rn_free(start[i]);
    return status ? status : add_batches(t, &plan);
}

/* Reads one device array into a new tensor; NaN as A7 writes it. */
static rn_status keep(struct rn_tensors *t, struct rn_small *net, int step, const char *kind,
                      const struct rn_small_param *p, const float *device)
{
    char name[NAME_CHARS];
    void *data = rn_alloc_array(p->count, sizeof(float));
    if (!data) return RN_ENOMEM;
    net->ops->read(net->dev, data, device, p->count * sizeof(float));
    net->ops->sync(net->dev);
    for (size_t i = 0; i < p->count; i++)
        if (((float *)data)[i] != ((float *)data)[i]) ((float *)data)[i] = rn_float(0x7fc00000u);
    snprintf(name, sizeof name, "step%02d.%s.%s", step, kind, p->name);
    return add(t, name, RN_F32, p->dims, p->shape, &data);
}

static rn_status keep_loss(struct rn_tensors *t, struct rn_small *net, int step)
{
    const int64_t shape[] = { RN_SMALL_N };
    char name[NAME_CHARS];
    void *data = rn_alloc_array(RN_SMALL_N, sizeof(double));
    if (!data) return RN_ENOMEM;
    net->ops->read(net->dev, data, net->loss, RN_SMALL_N * sizeof(double));
    net->ops->sync(net->dev);
    for (int n = 0; n < RN_SMALL_N; n++)
        if (((double *)data)[n] != ((double *)data)[n])
            ((double *)data)[n] = rn_double(0x7ff8000000000000u);
    snprintf(name, sizeof name, "step%02d.loss", step);
    return add(t, name, RN_F64, 1, shape, &data);
}

static rn_status one_step(struct rn_tensors *t, struct rn_small *net, int step, const float *images,
                          const int32_t *labels)
{
    const struct rn_small_plan *plan = &net->plan;
    rn_small_gradients(net, images, labels);
    rn_status status = keep_loss(t, net, step);
    for (int i = 0; i < RN_SMALL_PARAMS && status == RN_OK; i++)
        status = keep(t, net, step, "gradient", &plan->param[i], net->dweights[i]);
    if (status) return status;
    rn_small_update(net);
    for (int i = 0; i < RN_SMALL_BUFFERS && status == RN_OK; i++)
        status = keep(t, net, step, "buffer", &plan->buffer[i], net->buffer[i]);
    for (int i = 0; i < RN_SMALL_PARAMS && status == RN_OK; i++)
        status = keep(t, net, step, "weights", &plan->param[i], net->weights[i]);
    return status;
}

rn_status rn_trajectory_run(struct rn_tensors *t, const struct rn_tensors *given,
                            const struct rn_ops *ops, void *dev)
{
    struct rn_small net;
    const float *images = rn_tensors_find(given, "images")->tensor.data;
    const int32_t *labels = rn_tensors_find(given, "labels")->tensor.data;
    rn_status status = rn_small_open(&net, ops, dev);
    if (status) return status;
    for (int i = 0; i < RN_SMALL_PARAMS; i++) {
        char name[NAME_CHARS];
        snprintf(name, sizeof name, "start.%s", net.plan.param[i].name);
        rn_small_set(&net, i, rn_tensors_find(given, name)->tensor.data);
    }
    size_t count = rn_small_count(&net.plan.layer[0]);
    for (int step = 0; step < RN_TRAJECTORY_STEPS && status == RN_OK; step++)
        status = one_step(t, &net, step + 1, images + (size_t)step * count,
                          labels + step * RN_SMALL_N);
    rn_small_close(&net);
    return status;
}
