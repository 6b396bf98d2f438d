/*
 * session.h - one profile of a program's run: what ./profile and ./train --profile have in common.
 *
 *     tool_profile_open(&p, "exp1", 20, threads, workers);   before the device, so that its threads are counted
 *     tool_device_open(&device, o);
 *     tool_profile_device(&p, &device);
 *     ... what is not to be seen ...
 *     tool_profile_start(&p);
 *     each step: tool_profile_step(&p, images);
 *     tool_profile_write(&p, folder, title, &style);
 *     ... everything that has threads is freed ...
 *     tool_profile_close(&p);
 */
#ifndef RN_PROFILE_SESSION_H
#define RN_PROFILE_SESSION_H

#include "observe/profile.h"
#include "tools/cli/options.h"
#include "train/train.h"

/* {0}: there is no profile, and all of these but open do nothing. */
struct tool_profile {
    struct rn_recorder *recorder;
    char name[64];
    int threads;
    const char *isa, *numerics;
    int64_t most, steps, images; /* steps to record; recorded */
    int64_t of_epoch;          /* images that ./train has seen in this epoch */
    int64_t wait;              /* steps of ./train until recording begins */
    bool on, written;
    uint64_t began, last, epoch; /* when recording, the step, the epoch began */
    struct rn_text summary;    /* what profiler_NAME_summary.txt holds */
    struct rn_text appendix;   /* the caller's, for its end */
    struct rn_profile result;
    struct rn_machine machine;
    double step_ms, images_per_second;
    char *summary_path, *trace_path;
    char lost[480], line[4096]; /* why ./train's could not be written; what it says */
};

/* And measures how fast memory is.  RN_EUSAGE: a name that is none of a file. */
rn_status tool_profile_open(struct tool_profile *p, const char *name, int64_t steps, int threads, int workers);
/* The one that ./train's flags ask for, if they do. */
rn_status tool_profile_open_train(struct tool_profile *p, const struct opt_set *o);
rn_status tool_profile_device(struct tool_profile *p, struct tool_device *d);
/* RN_EUSAGE: --batch-size, other than a preset's, asks for more images than the set has.  Training would take those,
 * but of what is measured a batch is as large as it says, unless images are left out on purpose (--limit-train). */
rn_status tool_profile_batch(const struct opt_set *o, int batch, int64_t there, const char *set);
/* One line about the net, the batch, the arithmetic and the threads; mode: "train" or "infer". */
void tool_profile_title(char title[256], const struct rn_train_config *c, const char *stem, const char *mode,
                        const struct tool_device *d);
void tool_profile_start(struct tool_profile *p);
/* ./train: at once or, where so many steps are left that it fits, behind the steps whose weights are hashed, which take
 * longer than others. */
void tool_profile_start_train(struct tool_profile *p, int64_t steps_left);
/* A step of so many images is done.  After the last that is wanted recording stops; true: that was it. */
bool tool_profile_step(struct tool_profile *p, int64_t images);
void tool_profile_epoch(struct tool_profile *p, int64_t epoch); /* is over */
/* Records no more: from here on the recording may be looked at, and curves and the appendix added. */
void tool_profile_stop(struct tool_profile *p);
/* Stops, measures the machine, and writes profiler_NAME_summary.txt and profiler_NAME_trace.json; both are tried
 * and summary is there even where neither can be written.  RN_EIO, RN_ENOMEM.  A second time: nothing. */
rn_status tool_profile_write(struct tool_profile *p, const char *folder, const char *title,
                             const struct rn_profile_style *style);
/* For ./train, after each step; and to write the files, which is no reason to stop whatever becomes of it: `lost`
 * says why there are none, `line` what there is to say, if anything.  Returns `failure`, with the message that it
 * has. */
bool tool_profile_observe(struct tool_profile *p, const struct rn_step *step);
rn_status tool_profile_finish(struct tool_profile *p, const char *folder, const struct rn_train_config *c,
                              const char *stem, const struct tool_device *d, rn_status failure);
void tool_profile_close(struct tool_profile *p);

#endif /* RN_PROFILE_SESSION_H */
