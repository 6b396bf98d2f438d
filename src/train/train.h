/*
 * train.h - training and evaluation: one configuration in, one run of steps out, any step of it a
 * place to stop and to go on from with the same bits.
 *
 * Nothing here prints.  What happens is told to an observer; what stays is written by the run
 * folder.
 */
#ifndef RN_TRAIN_H
#define RN_TRAIN_H

#include "data/data.h"
#include "io/io.h"
#include "net/net.h"
#include "observe/observe.h"
#include "train/metrics.h"
#include "train/scaler.h"
#include "train/schedule.h"

/* -- configuration ----------------------------------------------------------------------------- */
enum rn_optimizer_kind { RN_SGD, RN_ADAMW };

struct rn_optional { bool given; double value; };

/* All that decides the bits of a run, and a little that does not (workers, hashing).  Pointers are
 * borrowed for the trainer's life. */
struct rn_train_config {
    const struct rn_dataset *data;
    int64_t limit_train, limit_val; /* the first so many in file order; 0: all */
    bool shuffle;
    struct rn_augment augment;
    struct rn_progressive progressive; /* sizes of training images; validation is of image_size */
    double mean[3], std[3];
    int workers;

    struct rn_arch arch;
    int image_size, upsample;

    int batch;         /* images a part; the last of an epoch may be smaller */
    int parts;         /* parts a step: gradients are accumulated over them (A25) */
    int val_batch;
    bool checkpoint_activations; /* rn_net_config.checkpoint: no effect on bits */
    bool freeze_bn;    /* rn_net_config.freeze_bn */
    int64_t epochs;    /* total */
    int64_t max_steps; /* total; < 0: no limit */

    enum rn_optimizer_kind optimizer;
    double lr, head_lr;  /* head: fc.weight and fc.bias */
    double momentum;     /* SGD's; AdamW's beta1 */
    double beta2, eps;   /* AdamW */
    double weight_decay;
    struct rn_optional norm_decay, bias_decay, bias_lr; /* else weight_decay and lr or head_lr */
    bool nesterov;
    struct rn_scaling scaling; /* of the loss, before it goes backward */
    double clip;         /* the largest norm of the gradients (A25); 0: any */
    const char *freeze;  /* beginnings of names, separated by commas, of parameters that stay; NULL: none */
    struct rn_schedule schedule; /* steps_per_epoch is filled in by rn_trainer_create */
    double smoothing;
    bool average;            /* keep an average of the weights (A28); it is what is validated, */
    double average_decay;    /* judged and stored under model_state_dict */
    int64_t average_steps;   /* moves every so many steps; 0 counts as 1 */
    int64_t stop_floor, stop_patience; /* early stopping on val_acc; patience 0: never */
    uint64_t seed;

    bool hash_steps;          /* hash the weights after every step, not only the first 20 */
    bool hash_none;           /* not even after those */
    int64_t checkpoint_every; /* steps; 0: at epochs' ends only */

    const char *numerics;     /* "fp32" */
    const char *build;        /* version and compiler, for the record */
    const struct rn_value *arguments; /* all settings by flag name, for checkpoints; may be NULL */
};

#define RN_HASHED_STEPS 20 /* hashes.txt has this many first steps of a run, or of its continuation */

/* -- the trainer ------------------------------------------------------------------------------- */
struct rn_trainer;

/* RN_EUSAGE for settings that contradict each other or the data. */
rn_status rn_train_config_check(const struct rn_train_config *config);
/* The loaders of a run's batches: in an epoch's order and augmented; and those that validate. */
struct rn_loader_config rn_train_loader(const struct rn_train_config *config);
struct rn_loader_config rn_val_loader(const struct rn_train_config *config);
/* Validates, creates net, loaders and optimiser state; weights are those of the seed
 * (rn_net_init). */
rn_status rn_trainer_create(struct rn_trainer **t, const struct rn_train_config *config,
                            const struct rn_ops *ops, void *dev);
void rn_trainer_free(struct rn_trainer *t);
struct rn_net *rn_trainer_net(struct rn_trainer *t);
int64_t rn_trainer_steps(const struct rn_trainer *t); /* done since the start of training */
int64_t rn_trainer_epochs(const struct rn_trainer *t);          /* completed */
int64_t rn_trainer_steps_per_epoch(const struct rn_trainer *t);
bool rn_trainer_done(const struct rn_trainer *t);               /* nothing is left to do */
/* The epoch's last step is done; rn_trainer_end_epoch comes next. */
bool rn_trainer_epoch_pending(const struct rn_trainer *t);

/* One optimiser step.  RN_EFAIL: loss or a gradient is not finite (A7), and nothing has changed; or the update of the
 * step before made a weight not finite, which is said here, or by whatever is to validate, store or, where steps are
 * hashed, hash those weights: the device is not waited for at the end of a step.  Under dynamic loss scaling a
 * gradient that is not finite is no failure: weights and optimiser stay, out->skipped. */
rn_status rn_trainer_step(struct rn_trainer *t, struct rn_step *out);
/* Validation, then best-so-far, plateau and early stopping, then the next epoch.  RN_EINTR:
 * `stop` said so during validation; nothing has changed and it may be called again, also after
 * resume. */
typedef int rn_stop_fn(void *arg); /* the number of the signal that wants an end, or 0 */
rn_status rn_trainer_end_epoch(struct rn_trainer *t, struct rn_epoch *out, rn_stop_fn *stop,
                               void *arg);

/* What ./train --json and summary.json say.  -1 for accuracies that are not known. */
struct rn_summary {
    int64_t steps, epochs;
    double train_loss, val_acc, best_acc, images_per_second, seconds, peak_rss_mb;
    double waited_seconds; /* of those, in which training steps waited for their images */
    uint64_t weights_hash; /* of what a checkpoint has as model_state_dict */
    const char *numerics, *isa, *backend, *data;
    char cpu[RN_CPU_NAME], build[RN_CPU_NAME]; /* where, and by what, the last part of the run was made */
    int threads;
    int64_t train_images, val_images; /* of an epoch, and of its validation */
    int64_t skipped_images;
    int64_t skipped_steps; /* without an update: loss scaling */
    double loss_scale;     /* of the next step; 0: the loss is not scaled */
};
/* All but seconds and threads, which are the caller's. */
void rn_trainer_summary(struct rn_trainer *t, struct rn_summary *s);
/* One JSON object, a line for each key. */
rn_status rn_summary_text(struct rn_text *t, const struct rn_summary *s);

/* -- the run folder ---------------------------------------------------------------------------- */
struct rn_run;
struct rn_run_config {
    const char *output;  /* NULL: runs/NAME, runs/NAME-2 ...; on resume the checkpoint's own run */
    const char *place;   /* NAME of the default folder */
    const char *name;    /* NAME of the checkpoints' files; with '/' a folder in checkpoints/ */
    const char *csv;     /* a second name of results.csv, or NULL */
    bool tensorboard;    /* leave events for TensorBoard */
    const char *resume;  /* the checkpoint resumed from, or NULL */
    bool overwrite;
    const char *conf;    /* text of args.conf */
    int64_t steps, epochs; /* done so far: later lines of an earlier run's files are dropped */
    bool pending;          /* the last step ends an epoch that is not among them yet */
};
/* RN_EUSAGE: `output` holds a run; RN_EIO: it cannot be made or written. */
rn_status rn_run_open(struct rn_run **run, const struct rn_run_config *config);
void rn_run_close(struct rn_run *run);
const char *rn_run_folder(const struct rn_run *run);
const char *rn_run_last(const struct rn_run *run); /* path of NAME_last.pth */
const char *rn_run_best(const struct rn_run *run);
/* A line of hashes.txt, for the first 20 steps done in this folder; events for TensorBoard. */
rn_status rn_run_step(struct rn_run *run, const struct rn_step *s);
/* A line of each of results.csv, hashes.txt and log.txt. */
rn_status rn_run_epoch(struct rn_run *run, const struct rn_epoch *e);
rn_status rn_run_log(struct rn_run *run, const char *line);
rn_status rn_run_summary(struct rn_run *run, const char *json);
/* Takes images_per_second, seconds, waited_seconds, peak_rss_mb, cpu and build from the summary.json that is
 * there, if it is of s->steps steps: a finished run that is resumed does nothing, and its own figures stay. */
void rn_run_keep_figures(const struct rn_run *run, struct rn_summary *s);

/* -- the whole loop ---------------------------------------------------------------------------- */
struct rn_observer {
    void *arg;
    void (*on_step)(void *arg, const struct rn_step *s);
    void (*on_epoch)(void *arg, const struct rn_epoch *e);
    void (*on_line)(void *arg, const char *line); /* something to tell */
    rn_stop_fn *stop;
    rn_stop_fn *save;   /* asked after each step: whether to save now and go on */
};
/* Steps and epochs until done, with checkpoints at epochs' ends, every checkpoint_every steps, when asked for one,
 * at the end and when stopped (RN_EINTR).  RN_EFAIL, and RN_EINPUT for a file of the data set that changed or is
 * gone, leave the last good state in NAME_last.pth.
 * run may be NULL; any function of the observer may be NULL. */
rn_status rn_train(struct rn_trainer *t, struct rn_run *run, const struct rn_observer *o);

/* Does the beginning of the run in `folder` again, as far as its hashes.txt lists steps; from the first of
 * them on if the trainer was resumed just before it.  RN_ECHECK: the first line that differs; RN_EINPUT: no
 * such file, or no hashes in it. */
rn_status rn_replay(int64_t *lines, struct rn_trainer *t, const char *folder,
                    const struct rn_observer *o);
/* The number of the first step in hashes.txt: above 1 where the folder continues another's run. */
rn_status rn_replay_first(int64_t *step, const char *folder);
int64_t rn_first_step(const char *hashes); /* the same of the file's text; 0: there is none */

/* -- checkpoints ------------------------------------------------------------------------------- */
rn_status rn_trainer_save(struct rn_trainer *t, const char *path);

/* A file of weights, any format; with what it says beside them when it is a checkpoint. */
struct rn_checkpoint {
    char *path;
    struct rn_tensors tensors;        /* the state dict under torchvision's names */
    struct rn_tensors training;       /* where that is an average: the weights it follows */
    struct rn_value *root;            /* the rest of a .pth, or NULL */
    const struct rn_value *own;       /* its resnet_c, or NULL */
    const struct rn_value *arguments; /* its settings by flag name, or NULL */
};
rn_status rn_checkpoint_open(struct rn_checkpoint **c, const char *path);
void rn_checkpoint_free(struct rn_checkpoint *c);
/* Entries of resnet_c; NULL, or `otherwise`, when it has none of that kind. */
const char *rn_checkpoint_text(const struct rn_checkpoint *c, const char *key);
int64_t rn_checkpoint_int(const struct rn_checkpoint *c, const char *key, int64_t otherwise);
/* The name of the first tensor that no residual network of torchvision has, or NULL. */
const char *rn_checkpoint_foreign(const struct rn_checkpoint *c);
/* For rn_arch_from_shapes; arg is the struct rn_checkpoint. */
int rn_checkpoint_shape(void *arg, const char *name, int64_t dims[8]);

/* RN_EINPUT with both lists where the file's class names are not the data's, one for one; a file without names is
 * taken at its word.  others_too: entirely or partly other classes are fine, only the same in another order are
 * not. */
rn_status rn_check_classes(const struct rn_checkpoint *c, const struct rn_dataset *d, bool others_too);

/* All parameters and buffers of the net from the file.  Everything is checked before anything
 * changes: RN_EINPUT lists every missing, unknown and misshapen tensor, or names the first value
 * that is not finite.  new_head: fc.* may have another class count, and then stays as it is. */
rn_status rn_load_weights(struct rn_net *net, const struct rn_checkpoint *c, bool new_head);

/* Goes on where the checkpoint stopped.  RN_EINPUT: tensors or state do not fit; RN_EUSAGE:
 * settings differ (all are listed) and !force.  With resnet_c the continuation has the bits of
 * an uninterrupted run; without, weights, momentum and the number of epochs are taken. */
rn_status rn_trainer_resume(struct rn_trainer *t, const struct rn_checkpoint *c, bool force);
/* Whether a setting may differ between the parts of one run (output, threads ...). */
bool rn_setting_free(const char *name);

/* -- evaluation -------------------------------------------------------------------------------- */
struct rn_metrics {
    bool flip;          /* given: logits are the mean of an image's and its mirror image's */
    int64_t count, correct, correct5;
    double loss;        /* mean, A23: independent of the batch size */
    double seconds;
    /* Each the caller's, zeroed, or NULL: */
    int64_t *confusion; /* [classes][classes], row = label, column = answer */
    float *logits;      /* [count][classes] in file order */
    struct rn_calibration *calibration;
    struct rn_leaning *leaning; /* [count] in file order; two classes only */
    int positive_class;         /* of leaning */
};
/* One pass over the loader's images in file order with running statistics.  RN_EINTR when `stop`
 * (may be NULL) says so. */
rn_status rn_evaluate(struct rn_metrics *m, struct rn_net *net, struct rn_loader *loader,
                      rn_stop_fn *stop, void *arg);
/* Scores one image (A24): the answer is the lowest index of the maximum; with a NaN anywhere it is
 * wrong, and never the label. */
void rn_score(bool *top1, bool *top5, int *answer, const float *logits, int classes, int label);

#endif /* RN_TRAIN_H */
