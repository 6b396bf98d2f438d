/*
 * scaler.h - how far the loss is scaled, and the rule by which that moves: torch.amp.GradScaler's, with its
 * growth factor of 2 and backoff factor of 0.5.  Scales are powers of two, so that scaling and unscaling
 * round nothing.
 */
#ifndef RN_SCALER_H
#define RN_SCALER_H

#include "base/base.h"

enum rn_scaling_kind { RN_SCALING_OFF, RN_SCALING_FIXED, RN_SCALING_DYNAMIC };

#define RN_SCALE_LEAST 0x1p-126 /* the smallest normal float; torch would go on to 0 */
#define RN_SCALE_MOST 0x1p127   /* the largest power of two that is a float, as in torch */
#define RN_SCALE_INIT 0x1p16    /* torch's defaults */
#define RN_SCALE_INTERVAL 2000

struct rn_scaling {
    enum rn_scaling_kind kind;
    double scale;     /* FIXED: the scale; DYNAMIC: the first */
    int64_t interval; /* DYNAMIC: so many steps in a row without overflow double it */
};

struct rn_scaler {
    double scale;    /* of the next step */
    int64_t tracker; /* steps without overflow since it last moved */
    int64_t skipped; /* steps without an update since the start of training */
};

/* Whether x may be a scale. */
bool rn_scale_valid(double x);
/* A scale as people write it: 65536, 2^16, 0x1p16.  RN_EUSAGE: not one; the sentence names no flag. */
rn_status rn_scale_parse(double *scale, const char *text);
/* After a step: halves the scale where it overflowed, and counts it as skipped; doubles it after `interval` steps
 * in a row that did not, unless that is beyond RN_SCALE_MOST.  At RN_SCALE_LEAST it halves no more. */
void rn_scaler_update(struct rn_scaler *s, bool overflow, int64_t interval);

#endif /* RN_SCALER_H */
