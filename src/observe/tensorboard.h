/*
 * tensorboard.h - the curves of a run as an event file, which TensorBoard reads from the run folder
 * (`tensorboard --logdir runs`).
 *
 * The file is a function of the run's numbers alone: an event's wall time is its step in seconds
 * since 1970, not the clock, so that equal runs leave equal bytes.  Speeds and memory, which differ
 * from run to run, stay in results.csv.
 */
#ifndef RN_TENSORBOARD_H
#define RN_TENSORBOARD_H

#include "observe/observe.h"

struct rn_events;
/* The event file of a run folder, with one record that names the format.  steps >= 0: continues the
 * file that is there after that many steps; what lies beyond, or is torn, is dropped.  pending: the last of
 * these steps ends an epoch whose own event is still to come.  RN_EIO, RN_ENOMEM. */
rn_status rn_events_open(struct rn_events **events, const char *folder, int64_t steps, bool pending);
void rn_events_close(struct rn_events *events);
/* step/loss and step/lr, of the first and every tenth step. */
rn_status rn_events_step(struct rn_events *events, const struct rn_step *s);
/* train/loss, train/accuracy, val/loss, val/accuracy (percent) and train/lr, at the epoch's last
 * step. */
rn_status rn_events_epoch(struct rn_events *events, const struct rn_epoch *e);
void rn_events_remove(const char *folder); /* the file of an overwritten run, if there is one */

uint32_t rn_crc32c(const void *data, size_t bytes); /* Castagnoli's polynomial, as in RFC 3720 */

#endif /* RN_TENSORBOARD_H */
