/* trainer.h - what the files of this room share: the trainer's inside.  Included by src/train
 * only. */
#ifndef RN_TRAINER_H
#define RN_TRAINER_H

#include "train/train.h"

/* -- optimiser --------------------------------------------------------------------------------- */
struct rn_rates { double lr, head_lr, momentum; };

/* State beside the flat trainable array; one run of floats for the body, one for the head
 * (fc.*). */
struct rn_optimizer {
    const struct rn_train_config *config;
    struct rn_net *net;
    float *first, *second;   /* device: velocity, or AdamW's two moments; second NULL for SGD */
    size_t count, head;      /* floats in all; where fc.* begins */
    int64_t t;               /* updates made */
    double power1, power2;   /* beta1^t and beta2^t, running products (A10) */
    double powers_of;        /* the beta1 that power1 is of */
};
rn_status rn_optimizer_create(struct rn_optimizer *o, const struct rn_train_config *c,
                              struct rn_net *net);
void rn_optimizer_free(struct rn_optimizer *o);
/* t updates have been made: recomputes the powers (A10). */
void rn_optimizer_set_time(struct rn_optimizer *o, int64_t t);
void rn_optimizer_update(struct rn_optimizer *o, const float *gradients, const struct rn_rates *r);
const char *rn_optimizer_name(enum rn_optimizer_kind kind); /* "sgd", "adamw" */

/* -- state that decides later bits ------------------------------------------------------------- */
struct rn_state {
    int64_t step, epoch, step_in_epoch; /* done: in all, whole epochs, of the current epoch */
    double loss_sum;                    /* of the current epoch: chain of step loss * images */
    int64_t images, correct;
    double best_acc;                    /* percent; < 0: no epoch finished */
    int64_t bad_epochs;                 /* epochs since best_acc rose */
    bool stopped;                       /* early */
    struct rn_plateau plateau;
    /* For the summary: of the last finished epoch, or of the evaluation at eval_step. */
    double train_loss, train_acc, val_loss, val_acc;
    int64_t eval_step;                  /* < 0: never evaluated */
};

struct rn_trainer {
    struct rn_train_config c;
    const struct rn_ops *ops;
    void *dev;
    struct rn_net *net;
    struct rn_loader *train, *val;
    struct rn_optimizer opt;
    struct rn_state s;
    int64_t steps_per_epoch, count; /* of the training split, after --limit-train */
    bool begun;                     /* the loader stands at step_in_epoch */
    bool damaged;                   /* an update made a weight not finite: never save this */
    float *sum, *buffers;           /* device, parts > 1: gradients; statistics to restore */
    int64_t *batches;
    double *loss;                   /* [batch] per image, [batch][classes] */
    float *logits;
    double train_seconds, epoch_seconds; /* of this process */
    int64_t train_images, epoch_images;
};

struct rn_rates rn_trainer_rates(const struct rn_trainer *t);
/* Validation now, without effect on later bits; fills val_* and eval_step. */
rn_status rn_trainer_validate(struct rn_trainer *t, rn_stop_fn *stop, void *arg);
/* RN_EINPUT with a table of every tensor that is missing, unknown or of another shape or type. */
rn_status rn_weights_fit(const struct rn_net *net, const struct rn_checkpoint *c, bool new_head);
/* The tree of a checkpoint (checkpoint.c); NULL when out of memory. */
struct rn_value *rn_trainer_tree(struct rn_trainer *t);
struct rn_value *rn_optimizer_tree(struct rn_trainer *t);
struct rn_value *rn_schedule_tree(struct rn_trainer *t);

#endif /* RN_TRAINER_H */
