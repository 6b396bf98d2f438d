/*
 * observe.h - what a run of training reports, and how people see it: events, the progress line, the
 * clock and the memory in use.  Nothing here prints: text goes to a function that the tool gives.
 */
#ifndef RN_OBSERVE_H
#define RN_OBSERVE_H

#include "base/clock.h"
#include "base/text.h"

/* One optimiser step, after it.  loss: mean of this step's images (A23).  The epoch's running sums:
 * images, correct, mean_loss.  hash: of all weights and buffers, 0 when nobody asked for it. */
struct rn_step {
    int64_t step, epoch, epochs, step_in_epoch, steps_per_epoch; /* epoch counts from 1 */
    double loss, lr, mean_loss;
    int64_t images, correct;
    double images_per_second; /* of this epoch so far, loading included */
    uint64_t hash;
    bool hashed;
    bool skipped;             /* no update: a gradient of the scaled loss was not finite */
    double loss_scale, next_scale; /* of this step and the next; 0: the loss is not scaled */
};

/* One epoch, after its validation.  Accuracies in percent.  seconds: its training steps; waited: those of them in
 * which a step waited for its images. */
struct rn_epoch {
    int64_t epoch, epochs, steps; /* steps since the start of training */
    double train_loss, train_acc, val_loss, val_acc, lr;
    int64_t images;
    double seconds, waited, images_per_second, peak_rss_mb;
    uint64_t hash;            /* of the weights judged, with --model-ema their average */
    bool best;
};

double rn_peak_rss_mb(void); /* of this process so far; 1 MB = 2^20 bytes */
void rn_peak_rss_reset(void); /* the peak is counted from now on, where the system lets one say so */
double rn_rss_mb(void);      /* what it has in memory now; 0 where the system does not say */
#define RN_CPU_NAME 160
const char *rn_cpu_name(char out[RN_CPU_NAME]); /* what the system calls the CPU, printable; for the record */

/* -- progress ---------------------------------------------------------------------------------- */
/* On a terminal a bar that redraws itself at most ten times a second; elsewhere nothing between the
 * epochs' lines.  color: false where NO_COLOR is set. */
struct rn_progress {
    void (*write)(void *arg, const char *text);
    void *arg;
    bool terminal, color;
    int columns;
    double last_draw;
    bool drawn; /* a bar stands on the current line */
};
void rn_progress_step(struct rn_progress *p, const struct rn_step *s);
void rn_progress_epoch(struct rn_progress *p, const struct rn_epoch *e);
void rn_progress_line(struct rn_progress *p, const char *line); /* a sentence on its own line */
/* The plain line of an epoch, for logs. */
void rn_epoch_text(struct rn_text *t, const struct rn_epoch *e);
/* `step 17 loss 0x1.2p+1 weights 3f9a...` */
void rn_step_text(struct rn_text *t, const struct rn_step *s);
/* The sentence about a skipped step, for logs. */
void rn_skip_text(struct rn_text *t, const struct rn_step *s);
/* `epoch 2 step 782 loss 0x1.2p+1 weights 3f9a...`: the loss is the epoch's training loss. */
void rn_epoch_hash_text(struct rn_text *t, const struct rn_epoch *e);

#endif /* RN_OBSERVE_H */
