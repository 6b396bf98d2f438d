/* dry_run.h - ./train --dry-run: sizes and settings of a run, on stdout. */
#ifndef RN_TRAIN_DRY_RUN_H
#define RN_TRAIN_DRY_RUN_H

#include "tools/cli/options.h"
#include "train/train.h"

/* arguments: all settings by flag name. */
rn_status tool_dry_run(const struct rn_train_config *c, struct tool_device *device, const struct rn_value *arguments,
                       bool json);

#endif /* RN_TRAIN_DRY_RUN_H */
