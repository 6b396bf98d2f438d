/* advice.h - sentences of ./train about what a run begins with, and about settings that are seldom meant. */
#ifndef RN_TRAIN_ADVICE_H
#define RN_TRAIN_ADVICE_H

#include "train/train.h"

/* Where the first step's weights come from; file: NULL, or what --weights names. */
void tool_tell_origin(struct rn_text *line, const struct rn_train_config *c, const struct rn_checkpoint *file);
/* Of an epoch in which training waited for images long enough to matter: how many --workers might keep up, on a
 * machine of so many CPUs.  false: there is nothing to say. */
bool tool_advise_workers(struct rn_text *line, const struct rn_epoch *e, const struct rn_train_config *c, int cpus);
/* Of settings that belong to weights that were trained before, where there are none. */
bool tool_advise_fresh(struct rn_text *line, const struct rn_train_config *c);

#endif /* RN_TRAIN_ADVICE_H */
