/*
 * settings.h - what ./train can be told, and how flags, an earlier run and the data set
 * together make one training configuration.
 */
#ifndef RN_TRAIN_SETTINGS_H
#define RN_TRAIN_SETTINGS_H

#include "tools/cli/options.h"
#include "train/train.h"

extern const struct opt tool_train_rows[];
extern const size_t tool_train_rows_count;

/* Settings of the run that a checkpoint belongs to, where this command line has none;
 * --more-epochs. */
rn_status tool_train_adopt_checkpoint(struct opt_set *o, const struct rn_checkpoint *c);
/* The same from FOLDER/args.conf, initial weights and number of epochs included; *resumed: the checkpoint
 * that the run went on from, rn_alloc'ed, or NULL. */
rn_status tool_train_adopt_run(struct opt_set *o, const char *folder, char **resumed);
/* Makes --amp and --numerics say the same: the one that was given, or given with the higher rank, decides.
 * RN_EUSAGE where they contradict each other, and for fp16 on a CPU.  Before anything is adopted. */
rn_status tool_train_settle_precision(struct opt_set *o);
/* Weights are numbers and work under any arithmetic; that they come from another one is said on stderr. */
void tool_mention_numerics(const struct opt_set *o, const struct rn_checkpoint *file);
/* What the data set is opened with; its kind's default of --augment is made explicit, for it decides that. */
rn_status tool_train_data(struct rn_dataset_options *options, struct opt_set *o);
/* Defaults that depend on the data set, the optimiser or each other are made explicit. */
rn_status tool_train_settle(struct opt_set *o, const struct rn_dataset *d);
/* Arch and stem off the shapes of the initial weights, for when no --arch was given; widths of no
 * known net make arch TOOL_CUSTOM. */
#define TOOL_CUSTOM "custom"
rn_status tool_train_adopt_shapes(struct opt_set *o, const struct rn_checkpoint *file);
/* The configuration of settled settings; build, arguments and hash_steps are the caller's.  file:
 * initial weights or the checkpoint to resume, or NULL; it has the widths of TOOL_CUSTOM. */
rn_status tool_train_config(struct rn_train_config *c, const struct opt_set *o,
                            const struct rn_dataset *d, const struct rn_checkpoint *file);
/* A setting as text: numbers shortest, lists with commas; as JSON when json is set. */
void tool_value_text(struct rn_text *t, const struct rn_value *v, bool json);

#endif /* RN_TRAIN_SETTINGS_H */
