/*
 * evaluator.h - a checkpoint, the data it is judged on and its net, made ready; and one pass over a split with
 * all that follows from its answers.  Of use to every program that judges a checkpoint: equal wishes give
 * equal figures.
 *
 *     struct tool_evaluator v = {0};
 *     struct tool_evaluation e = {0};
 *     const struct tool_evaluate want = { .checkpoint = path, .split = "test" };
 *     rn_status st = tool_evaluator_open(&v, options, &want);
 *     if (!st) st = tool_evaluator_data(&v);
 *     if (!st) st = tool_evaluator_run(&e, &v);
 *     if (!st) tool_evaluation_json(&text, &e);
 *     tool_evaluation_free(&e);
 *     tool_evaluator_close(&v);
 */
#ifndef RN_EVALUATE_EVALUATOR_H
#define RN_EVALUATE_EVALUATOR_H

#include "tools/evaluate/report.h"
#include "tools/cli/options.h"

/* What to evaluate, and how.  All but the checkpoint may be 0 or NULL: the checkpoint's own, else the data's,
 * and no bound.  Pointers are borrowed for the evaluator's life. */
struct tool_evaluate {
    const char *checkpoint;
    const char *arch, *stem;       /* insisted on */
    int classes, image_size, upsample;
    int resize;                    /* the short side of a folder's pictures before their middle is cut out */
    const char *data;
    const char *split;             /* "train", "val" or "test"; NULL: "val".  Of a folder, only it and val are read */
    int64_t limit;                 /* the first so many images of any split */
    double val_split;              /* of a folder without val; 0: the training's */
    bool strict;                   /* of a folder: every file must be usable */
    uint64_t cache_bytes;          /* of its decoded pixels */
    int batch, workers;            /* 0: 64 images a batch, and no worker; of no effect on figures */
    struct { bool given; double value[3]; } mean, std;
    bool fold, flip;               /* batch norm folded into the weights; mirror images too */
    bool logits;                   /* keep them: e.m.logits, in file order */
    /* Two classes: */
    const char *positive_class;    /* name or number; NULL: the second */
    struct rn_optional sensitivity; /* decide by the threshold that finds this share of validation images */
    struct rn_optional threshold;  /* or by this probability of the positive class */
    int resamples;                 /* of the bootstrap; 0: no intervals */
    uint64_t seed;                 /* its */
};

#define TOOL_WORKERS (-1) /* as many workers as suit the data */
#define TOOL_CLASS_NAME 200 /* bytes of a class name that are shown */

/* {0} before it is opened. */
struct tool_evaluator {
    struct opt_set *o;             /* with opt_common */
    struct tool_evaluate want;
    struct rn_checkpoint *file;
    struct rn_arch arch;
    struct rn_dataset *data;       /* owned */
    char (*shown)[TOOL_CLASS_NAME]; /* [classes], fit to be printed */
    const char **name;             /* [classes], each in shown */
    int positive_class;            /* where there are two */
    double mean[3], std[3];
    struct tool_device device;
    struct rn_net *net;            /* made by the first run; its weights are the file's */
};

/* Reads the checkpoint, tells its architecture and opens the device of `o`, under the numerics of the training
 * unless `o` has others.  RN_EINPUT, RN_EUSAGE: as ./evaluate says them. */
rn_status tool_evaluator_open(struct tool_evaluator *v, struct opt_set *o, const struct tool_evaluate *want);
/* Opens the data; they must have the checkpoint's classes in its order. */
rn_status tool_evaluator_data(struct tool_evaluator *v);
/* The same with pictures already in memory, which the evaluator owns from now on, also when it fails. */
rn_status tool_evaluator_use(struct tool_evaluator *v, struct rn_dataset *data);
/* The net, inference only, at this size and batch, unless there is one. */
rn_status tool_evaluator_net(struct tool_evaluator *v, int image_size, int batch, size_t beside_bytes);
/* Side of the images that the net is for: the flag's, the checkpoint's, else by its stem. */
int tool_evaluator_side(const struct tool_evaluator *v);
/* The short side of a folder's pictures before their middle is cut out: the flag's, else the training's in the ratio
 * of this side to the training's, rounded up; 0: by the side. */
int tool_evaluator_resize(const struct tool_evaluator *v);
/* The images called "train", "val" or "test"; the last two are the same where the data have one of them. */
const struct rn_split *tool_evaluator_split(const struct tool_evaluator *v, const char *name);
/* A pass over the split wanted, and before it one over the validation images if those choose the threshold and
 * are others.  m.leaning is ranked. */
rn_status tool_evaluator_run(struct tool_evaluation *e, struct tool_evaluator *v);
void tool_evaluator_close(struct tool_evaluator *v);

void tool_evaluation_free(struct tool_evaluation *e);

#endif /* RN_EVALUATE_EVALUATOR_H */
