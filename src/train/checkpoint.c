/*
 * checkpoint.c - a trainer as the tree of a .pth file: the usual keys for PyTorch
 * (checkpoint_torch.c has the optimiser's and the scheduler's), and `resnet_c` with the exact bits
 * of all else that decides later bits (A29).  Doubles go there as hex text: no reader can round
 * them.
 */
#include "train/trainer.h"
#include "base/mem.h"
#include "train/tree.h"

#include <string.h>

static struct rn_value *hex(double x)
{
    char text[RN_NUMBER_CHARS];
    return rn_string(rn_hex_text(text, x));
}

static struct rn_value *copy_value(const struct rn_value *v)
{
    struct rn_value *list;
    switch (v->kind) {
    case RN_BOOLEAN: return rn_boolean(v->integer != 0);
    case RN_INT: return rn_integer(v->integer);
    case RN_REAL: return rn_real(v->real);
    case RN_STRING: return rn_string(v->text);
    case RN_LIST:
    case RN_TUPLE:
        list = rn_list();
        for (size_t i = 0; list && i < v->count; i++)
            if (rn_list_add(list, copy_value(v->item[i]))) return rn_tree_end(list, false);
        return list;
    case RN_DICT:
        list = rn_dict(false);
        for (size_t i = 0; list && i + 1 < v->count; i += 2)
            if (rn_dict_set_value(list, copy_value(v->item[i]), copy_value(v->item[i + 1])))
                return rn_tree_end(list, false);
        return list;
    case RN_NONE:
    case RN_TENSOR: break;
    }
    return rn_none();
}

struct rn_value *rn_floats_tree(const struct rn_trainer *t, const float *device, const struct rn_param *p)
{
    if (rn_net_on_host(t->net)) return rn_tensor_value(RN_F32, p->dims, p->shape, (void *)device, false);
    float *data = rn_alloc_array(p->count, sizeof *data);
    if (!data) return NULL;
    t->ops->read(t->dev, data, device, p->count * sizeof *data);
    if (!rn_fail_cause()) return rn_tensor_value(RN_F32, p->dims, p->shape, data, true);
    rn_free(data);
    rn_fail(RN_EFAIL, "'%s' cannot be read from the device", p->name);
    return NULL;
}

static struct rn_value *counter_tree(int64_t batches)
{
    int64_t *data = rn_alloc(sizeof *data);
    if (!data) return NULL;
    *data = batches;
    return rn_tensor_value(RN_I64, 0, NULL, data, true);
}

/* A state dict of the net's rows, out of its own floats or the average's. */
static struct rn_value *model_tree(const struct rn_trainer *t, const float *weights, const float *buffers)
{
    const struct rn_param *p;
    size_t rows = rn_net_params(t->net, &p);
    struct rn_value *d = rn_dict(true);
    bool ok = d;
    for (size_t i = 0; ok && i < rows; i++) {
        const float *floats = (p[i].trainable ? weights : buffers) + p[i].offset;
        bool counter = p[i].kind == RN_PARAM_BATCHES;
        ok = rn_tree_put(d, p[i].name, counter ? counter_tree(rn_net_batches(t->net)[p[i].offset])
                                               : rn_floats_tree(t, floats, &p[i]));
    }
    return rn_tree_end(d, ok);
}

static struct rn_value *training_tree(const struct rn_trainer *t)
{
    return model_tree(t, rn_net_weights(t->net), rn_net_buffers(t->net));
}

static struct rn_value *names_list(const struct rn_dataset *data)
{
    struct rn_value *list = rn_list();
    bool ok = list;
    for (int i = 0; ok && i < data->classes; i++)
        ok = rn_list_add(list, rn_string(data->class_names[i])) == RN_OK;
    return rn_tree_end(list, ok);
}

/* What a reader needs to use the weights. */
static bool put_description(struct rn_value *d, const struct rn_train_config *c)
{
    return rn_tree_put(d, "version", rn_integer(1)) &&
           rn_tree_put(d, "build", rn_string(c->build)) &&
           rn_tree_put(d, "numerics", rn_string(c->numerics)) &&
           rn_tree_put(d, "arch", rn_string(c->arch.name)) &&
           rn_tree_put(d, "stem", rn_string(rn_stem_name(c->arch.stem))) &&
           rn_tree_put(d, "num_classes", rn_integer(c->arch.classes)) &&
           rn_tree_put(d, "image_size", rn_integer(c->image_size)) &&
           rn_tree_put(d, "upsample", rn_integer(c->upsample)) &&
           rn_tree_put(d, "data", rn_string(c->data->spec)) &&
           rn_tree_put(d, "class_names", names_list(c->data)) &&
           rn_tree_put(d, "mean", rn_tree_reals(c->mean, 3)) &&
           rn_tree_put(d, "std", rn_tree_reals(c->std, 3));
}

/* What decides later bits beside parameters, buffers and moments. */
static bool put_state(struct rn_value *d, const struct rn_trainer *t)
{
    const struct rn_state *s = &t->s;
    return rn_tree_put(d, "seed", rn_integer((int64_t)t->c.seed)) &&
           rn_tree_put(d, "step", rn_integer(s->step)) &&
           rn_tree_put(d, "epoch", rn_integer(s->epoch)) &&
           rn_tree_put(d, "step_in_epoch", rn_integer(s->step_in_epoch)) &&
           rn_tree_put(d, "epoch_loss_sum", hex(s->loss_sum)) &&
           rn_tree_put(d, "epoch_images", rn_integer(s->images)) &&
           rn_tree_put(d, "epoch_correct", rn_integer(s->correct)) &&
           rn_tree_put(d, "best_acc", hex(s->best_acc)) &&
           rn_tree_put(d, "bad_epochs", rn_integer(s->bad_epochs)) &&
           rn_tree_put(d, "stopped", rn_boolean(s->stopped)) &&
           rn_tree_put(d, "plateau_any", rn_boolean(s->plateau.any)) &&
           rn_tree_put(d, "plateau_best", hex(s->plateau.best)) &&
           rn_tree_put(d, "plateau_bad", rn_integer(s->plateau.bad)) &&
           rn_tree_put(d, "plateau_cuts", rn_integer(s->plateau.cuts)) &&
           rn_tree_put(d, "plateau_cooldown", rn_integer(s->plateau.cooldown)) &&
           rn_tree_put(d, "optimizer", rn_string(rn_optimizer_name(t->c.optimizer))) &&
           rn_tree_put(d, "optimizer_step", rn_integer(t->opt.t)) &&
           rn_tree_put(d, "train_loss", hex(s->train_loss)) &&
           rn_tree_put(d, "train_acc", hex(s->train_acc)) &&
           rn_tree_put(d, "val_loss", hex(s->val_loss)) &&
           rn_tree_put(d, "val_acc", hex(s->val_acc)) &&
           rn_tree_put(d, "eval_step", rn_integer(s->eval_step));
}

static bool put_scaler(struct rn_value *d, const struct rn_scaler *s)
{
    return rn_tree_put(d, "loss_scale", hex(s->scale)) &&
           rn_tree_put(d, "loss_scale_tracker", rn_integer(s->tracker)) &&
           rn_tree_put(d, "skipped_steps", rn_integer(s->skipped));
}

static struct rn_value *own_tree(const struct rn_trainer *t)
{
    struct rn_value *d = rn_dict(false);
    bool ok = d && put_description(d, &t->c) && put_state(d, t);
    if (ok && t->c.scaling.kind == RN_SCALING_DYNAMIC) ok = put_scaler(d, &t->s.scaler);
    if (ok && t->c.average) ok = rn_tree_put(d, RN_TRAINING_WEIGHTS, training_tree(t));
    if (ok && t->c.arguments) ok = rn_tree_put(d, "arguments", copy_value(t->c.arguments));
    return rn_tree_end(d, ok);
}

/* What was validated: the average, if there is one. */
static struct rn_value *result_tree(const struct rn_trainer *t)
{
    return t->c.average ? model_tree(t, t->average.value[0], t->average.value[1]) : training_tree(t);
}

struct rn_value *rn_trainer_tree(struct rn_trainer *t)
{
    const struct rn_state *s = &t->s;
    double loss = s->images ? s->loss_sum / (double)s->images : s->train_loss;
    struct rn_value *d = rn_dict(false);
    bool ok = d && rn_tree_put(d, "epoch", rn_integer(s->epoch)) &&
              rn_tree_put(d, "model_state_dict", result_tree(t)) &&
              rn_tree_put(d, "optimizer_state_dict", rn_optimizer_tree(t)) &&
              rn_tree_put(d, "scheduler_state_dict", rn_schedule_tree(t));
    if (ok && t->c.scaling.kind == RN_SCALING_DYNAMIC) ok = rn_tree_put(d, "scaler_state_dict", rn_scaler_tree(t));
    ok = ok && rn_tree_put(d, "best_acc", rn_real(RN_MAX(s->best_acc, 0))) &&
              rn_tree_put(d, "loss", rn_real(loss)) && rn_tree_put(d, "resnet_c", own_tree(t));
    return rn_tree_end(d, ok);
}
