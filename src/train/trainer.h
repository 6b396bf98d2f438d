/* trainer.h - what the files of this room share: the trainer's inside.  Included by src/train
 * only. */
#ifndef RN_TRAINER_H
#define RN_TRAINER_H

#include "train/train.h"

/* -- optimiser --------------------------------------------------------------------------------- */
#define RN_GROUPS 6 /* weights, norms, biases; body and head */

/* Parameters of one peak rate and one weight decay; neighbours of a group in the flat array. */
struct rn_group { double peak, decay; };
struct rn_span { size_t at, count; int group; };
struct rn_rates { double lr[RN_GROUPS], momentum; }; /* lr[0]: of the first convolution */

/* State beside the flat trainable array. */
struct rn_optimizer {
    const struct rn_train_config *config;
    struct rn_net *net;
    float *first, *second;   /* device: velocity, or AdamW's two moments; second NULL for SGD */
    size_t count;            /* floats in all */
    struct rn_group group[RN_GROUPS];
    int groups;
    struct rn_span *span;    /* of what is not frozen */
    size_t spans;
    int64_t t;               /* updates made */
    double power1, power2;   /* beta1^t and beta2^t, running products (A10) */
    double powers_of;        /* the beta1 that power1 is of */
};
rn_status rn_optimizer_create(struct rn_optimizer *o, const struct rn_train_config *c,
                              struct rn_net *net);
void rn_optimizer_free(struct rn_optimizer *o);
/* t updates have been made: recomputes the powers (A10). */
void rn_optimizer_set_time(struct rn_optimizer *o, int64_t t);
/* given: as in resnet_backend.h; if it comes to be 0, the caller puts back what o was. */
void rn_optimizer_update(struct rn_optimizer *o, const float *gradients, const struct rn_rates *r,
                         const int32_t *given);
int rn_optimizer_group(const struct rn_optimizer *o, const struct rn_param *p);
const char *rn_optimizer_name(enum rn_optimizer_kind kind); /* "sgd", "adamw" */
/* Whether the settings keep the parameter as it is. */
bool rn_frozen(const struct rn_train_config *c, const struct rn_param *p);

/* -- multiplication ---------------------------------------------------------------------------- */
struct rn_multiplier {
    struct rn_net *net;
    size_t piece; /* floats at a time */
    float *zeros; /* device, twice as many */
};
rn_status rn_multiplier_create(struct rn_multiplier *m, struct rn_net *net);
void rn_multiplier_free(struct rn_multiplier *m);
void rn_multiplier_reset(const struct rn_multiplier *m); /* as it was created */
/* x[i] = F(x[i] * f32(factor)) on the device, given a verdict or NULL.  Where that is not finite, m is of no more
 * use until it is reset. */
void rn_multiply(const struct rn_multiplier *m, float *x, size_t count, double factor, const int32_t *given);

/* -- clipping ---------------------------------------------------------------------------------- */
struct rn_clip {
    const struct rn_train_config *config;
    struct rn_net *net;  /* NULL: there is none */
    float *tensor;       /* host: the largest gradient */
    double *leaf;        /* its rows */
    struct rn_multiplier times;
};
rn_status rn_clip_create(struct rn_clip *c, const struct rn_train_config *config, struct rn_net *net);
void rn_clip_free(struct rn_clip *c);
/* Shortens all gradients, on the device, to a common norm of config->clip (A25); returns the norm they had.
 * Those of frozen parameters do not count towards it. */
double rn_clip_gradients(struct rn_clip *c, float *gradients);

/* -- average of weights ------------------------------------------------------------------------ */
struct rn_average {
    struct rn_net *net;  /* NULL: there is no average */
    float *value[2];     /* device: of the trainable floats, of the running statistics */
    float *scratch[2];
    size_t count[2];
};
/* Begins as what the net is now. */
rn_status rn_average_create(struct rn_average *a, struct rn_net *net);
void rn_average_free(struct rn_average *a);
void rn_average_start(struct rn_average *a);                /* anew as what the net is now */
/* One step towards the net (A28), given a verdict or NULL. */
void rn_average_follow(struct rn_average *a, double decay, const int32_t *given);
/* Changes places with the net's own values; a second time, back.  Nothing without an average. */
void rn_average_exchange(struct rn_average *a);

/* -- state that decides later bits ------------------------------------------------------------- */
struct rn_state {
    int64_t step, epoch, step_in_epoch; /* done: in all, whole epochs, of the current epoch */
    double loss_sum;                    /* of the current epoch: chain of step loss * images */
    int64_t images, correct;
    double best_acc;                    /* percent; < 0: no epoch finished */
    int64_t bad_epochs;                 /* epochs since best_acc rose */
    bool stopped;                       /* early */
    struct rn_plateau plateau;
    struct rn_scaler scaler;            /* where the loss is scaled */
    /* For the summary: of the last finished epoch, or of the evaluation at eval_step. */
    double train_loss, train_acc, val_loss, val_acc;
    int64_t eval_step;                  /* < 0: never evaluated */
};

/* What is judged on the device in a step. */
enum rn_verdict { RN_OF_LOGITS, RN_OF_GRADIENTS, RN_OF_SUM, RN_OF_UNSCALED, RN_OF_WEIGHTS, RN_VERDICTS };

struct rn_trainer {
    struct rn_train_config c;
    const struct rn_ops *ops;
    void *dev;
    struct rn_net *net;
    struct rn_loader *train, *val;
    struct rn_optimizer opt;
    struct rn_clip clip;
    struct rn_average average;
    struct rn_multiplier times;     /* where the loss is scaled */
    struct rn_state s;
    int64_t resumed_at;             /* step at which this process began */
    int64_t steps_per_epoch, count; /* of the training split, after --limit-train */
    bool begun;                     /* the loader stands at step_in_epoch */
    int64_t damaged;                /* the step whose update made a weight not finite, or may have: never save this;
                                       0: none */
    int32_t *verdict;               /* device, [RN_VERDICTS] */
    float *sum, *buffers;           /* device, parts > 1: gradients; statistics to restore */
    int64_t *batches;               /* [counters] of the net, to restore */
    size_t counters;
    double *loss;                   /* [batch] per image, [batch][classes] */
    float *logits;
    double train_seconds, epoch_seconds; /* of this process */
    double waited_before;           /* for images, before this epoch */
    int64_t train_images, epoch_images;
};

/* -- loss scaling (scaler.c) ------------------------------------------------------------------- */
/* Whether an overflow costs a step its update only, and not the run its end. */
bool rn_may_skip(const struct rn_trainer *t);
/* Between rn_net_loss and rn_net_backward, whose gradients are then those of the scaled loss; nothing where the
 * loss is not scaled, or where the verdict given is not 1. */
void rn_scale_loss(struct rn_trainer *t, int images, const int32_t *given);
/* The gradients of all parts back to those of the loss; likewise. */
void rn_unscale(struct rn_trainer *t, float *gradients, const int32_t *given);
/* Adds to a failure what the scale was. */
rn_status rn_scaled_failure(const struct rn_trainer *t, rn_status status);

/* RN_EFAIL: an update made a weight not finite; nothing more is made of this trainer. */
rn_status rn_trainer_intact(const struct rn_trainer *t);
struct rn_rates rn_trainer_rates(const struct rn_trainer *t);
/* Validation now, without effect on later bits; fills val_* and eval_step. */
rn_status rn_trainer_validate(struct rn_trainer *t, rn_stop_fn *stop, void *arg);
/* RN_EINPUT with a table of every tensor that is missing, unknown or of another shape or type. */
rn_status rn_weights_fit(const struct rn_net *net, const struct rn_checkpoint *c, bool new_head);
/* rn_load_weights for going on: the average from the state dict, the net from the weights as training left
 * them; the state dict is both where the file has no average. */
rn_status rn_load_training(struct rn_net *net, struct rn_average *average,
                           const struct rn_checkpoint *c);
/* A row's floats as a tensor: borrowed where the device's memory is the host's, so that a checkpoint is
 * written from where its numbers are, else copied.  NULL when out of memory. */
struct rn_value *rn_floats_tree(const struct rn_trainer *t, const float *device, const struct rn_param *p);
/* The tree of a checkpoint (checkpoint.c), good until the next step; NULL when out of memory. */
#define RN_TRAINING_WEIGHTS "training_state_dict" /* in resnet_c, beside an average */
struct rn_value *rn_trainer_tree(struct rn_trainer *t);
struct rn_value *rn_optimizer_tree(struct rn_trainer *t);
struct rn_value *rn_schedule_tree(struct rn_trainer *t);
struct rn_value *rn_scaler_tree(const struct rn_trainer *t);

#endif /* RN_TRAINER_H */
