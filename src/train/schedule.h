/*
 * schedule.h - learning rates as functions (A28): of the integer step, the integer epoch, and the
 * number of steps the whole schedule spans; never of where a run happens to stop.
 *
 * The shapes are PyTorch's: CosineAnnealingLR in closed form, StepLR, OneCycleLR (two phases,
 * cosine), ReduceLROnPlateau; a linear warm-up of whole epochs may
 * stand before all but the one-cycle, which has its own.
 */
#ifndef RN_SCHEDULE_H
#define RN_SCHEDULE_H

#include "base/base.h"

enum rn_schedule_kind { RN_CONSTANT, RN_COSINE, RN_STEP_DECAY, RN_ONE_CYCLE, RN_PLATEAU };

struct rn_schedule {
    enum rn_schedule_kind kind;
    int64_t warmup;          /* W: epochs of linear warm-up, lr = hi (t + 1) / W */
    int64_t span;            /* T: epochs of the cosine (after the warm-up) or the one-cycle */
    double low;              /* cosine: where it ends; plateau: never below */
    int64_t step_size;       /* step decay: epochs between multiplications by */
    double gamma;
    int64_t steps_per_epoch; /* one-cycle: changes every step, over span * steps_per_epoch */
    double rise;             /* one-cycle: share of rising steps */
    double divide, final_divide; /* one-cycle: start = hi / divide; end = start / final_divide */
    bool cycle_momentum;     /* one-cycle: momentum (beta1) falls from high to low and back */
    double momentum_low, momentum_high;
    double factor;           /* plateau: cut to lr * factor after more than `patience` epochs in a row */
    int64_t patience;        /* without a gain; `cooldown` epochs after a cut none is counted */
    int64_t cooldown;
    bool rising;             /* what is watched should rise (val_acc), not fall (val_loss) */
    double threshold;        /* a gain is one by more than best * threshold, */
    bool absolute;           /* or by more than threshold */
    double least_cut;        /* a cut of a rate by no more than this is not made */
};

/* What plateau keeps between epochs. */
struct rn_plateau { double best; bool any; int64_t bad, cuts, cooldown; };

/* Rate of a parameter group whose peak rate is `hi`.  step, epoch: from 0, since the start of
 * training. */
double rn_schedule_lr(const struct rn_schedule *s, double hi, int64_t step, int64_t epoch,
                      const struct rn_plateau *p);
/* Momentum (AdamW: beta1) of this step. */
double rn_schedule_momentum(const struct rn_schedule *s, double momentum, int64_t step);
/* One epoch's validation loss or accuracy. */
void rn_plateau_update(struct rn_plateau *p, const struct rn_schedule *s, double value);

#endif /* RN_SCHEDULE_H */
