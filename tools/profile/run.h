/* run.h - the settings of ./profile, and the run that it looks at. */
#ifndef RN_PROFILE_RUN_H
#define RN_PROFILE_RUN_H

#include "tools/profile/session.h"

/* Adds ./profile's rows to `o`: ./train's, less those that a profile has no use for, and its own. */
void profile_add_rows(struct opt_set *o);

struct profile_memory; /* memory.h */

struct profile_run {
    struct opt_set *o;
    struct tool_profile profile;
    struct tool_device device;
    struct rn_dataset *data;
    struct rn_train_config config;
    struct rn_trainer *trainer;  /* --mode train */
    struct rn_net *net;          /* --mode infer, with its batches: */
    struct rn_loader *loader;
    float *logits;
    int64_t images;              /* of the epoch so far */
    double program_mb;           /* in memory before anything was opened */
    struct profile_memory *memory; /* --memory */
    char title[256];
};

/* Everything from the data to the two files.  Whatever has been opened is the run's until profile_run_end. */
rn_status profile_run(struct profile_run *r);
void profile_run_end(struct profile_run *r);

/* The two tables' style that the flags ask for. */
struct rn_profile_style profile_style(const struct opt_set *o);
/* What was measured as one JSON object. */
void profile_add_json(struct rn_text *t, const struct profile_run *r);

#endif /* RN_PROFILE_RUN_H */
