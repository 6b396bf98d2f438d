/* validate.h - this machine measured, and a projection held against it. */
#ifndef RN_CHARACTERIZE_VALIDATE_H
#define RN_CHARACTERIZE_VALIDATE_H

#include "tools/characterize/characterize.h"

/* Writes a hardware file for this machine, with the threads and the instruction set of c's device; rounds: see
 * analyze/measure.h. */
rn_status characterize_measure(const char *path, const struct characterize *c, int rounds);

/* measured[groups]: seconds of each fused operation; seconds: of the whole, median of `runs` passes; median_error: of
 * the groups' |projected / measured - 1|. */
struct characterize_validation { double seconds, median_error, *measured; int groups, runs; };

/* Seconds of an inference of c's batch of that net on c's device: the median of *runs passes. */
rn_status characterize_time(double *seconds, int *runs, const struct characterize *c,
                            const struct rn_net_config *config);
/* Runs the net.  RN_EUSAGE: the projection is not one of what runs here; RN_EINPUT: its file was measured with other
 * threads, instructions or numerics.  Free in any case. */
rn_status characterize_validate(struct characterize_validation *v, const struct characterize *c);
void characterize_validation_free(struct characterize_validation *v);
void characterize_add_validation_json(struct rn_text *t, const struct characterize *c);
void characterize_add_validation(struct rn_text *t, const struct characterize *c);

#endif /* RN_CHARACTERIZE_VALIDATE_H */
