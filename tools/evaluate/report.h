/* report.h - what ./evaluate has found, as text and as JSON. */
#ifndef RN_EVALUATE_REPORT_H
#define RN_EVALUATE_REPORT_H

#include "analyze/analyze.h"
#include "base/text.h"
#include "train/train.h"

/* Where a threshold comes from: the images that chose it, and what it gives on them. */
struct tool_chosen {
    const char *split;            /* NULL: nothing was chosen, and decisions are the answers */
    bool same_images;             /* they are the images judged */
    double sensitivity;           /* that was wanted */
    struct rn_decisions counts;
    struct rn_screening figures;
};

/* Two classes: decisions that call an image positive where the probability of the positive class is at
 * least `threshold`. */
struct tool_screening {
    int positive_class;
    bool given;                   /* the threshold is one that was asked for */
    double threshold;
    struct rn_decisions counts;   /* its threshold is the one of margins */
    struct rn_screening figures;
    struct rn_bootstrap interval; /* resamples 0: none */
    uint64_t seed;                /* of the resamples */
    struct tool_chosen chosen;
};

/* {0} before; to be freed by tool_evaluation_free.  Texts are borrowed from the evaluator. */
struct tool_evaluation {
    const char *arch, *stem, *data, *split, *numerics;
    bool folded;
    uint64_t weights_hash;        /* of the net (A29) */
    int64_t skipped;              /* files of the data that could not be used, in any split */
    const char *const *names;     /* [classes] */
    int classes;
    struct rn_metrics m;          /* with confusion and calibration; leaning where there are two classes */
    struct rn_class_score *score; /* [classes] */
    struct tool_screening screening; /* of two classes */
};

struct tool_size {
    const char *numerics;         /* given; the rest is tool_size_measure's */
    const char *arch, *stem;
    int image_size;
    int64_t file_bytes;
    int64_t parameters, weights_bytes, macs; /* weights: parameters and buffers */
    size_t inference_bytes;       /* the net's arena at batch 1, weights included */
    struct rn_layer *layer;       /* rn_alloc'ed */
    int layers;
};

/* Of a net that has the weights of the file. */
rn_status tool_size_measure(struct tool_size *s, const struct rn_net *net, const char *path);

/* Keys of one object, without the braces around them: the net's or the evaluation's, which has the net's too,
 * and the size's after one of these. */
void tool_net_json(struct rn_text *t, const char *arch, const char *stem, const char *numerics);
void tool_evaluation_json(struct rn_text *t, const struct tool_evaluation *e);
void tool_size_json(struct rn_text *t, const struct tool_size *s);

/* Keys of an object, each after a comma. */
void tool_screening_json(struct rn_text *t, const struct tool_evaluation *e);

void tool_evaluation_text(struct rn_text *t, const struct tool_evaluation *e);
void tool_screening_text(struct rn_text *t, const struct tool_evaluation *e);
void tool_size_text(struct rn_text *t, const struct tool_size *s);

/* The points of the ROC curve, from "no image is positive" on: a line for each margin that occurs. */
void tool_roc_csv(struct rn_text *t, const struct rn_leaning *ranked, int64_t count);
/* Precision over recall, from the highest margin down. */
void tool_pr_csv(struct rn_text *t, const struct rn_leaning *ranked, int64_t count);
/* A line for each image of the split that e, with logits, is of, in file order: its path, or its place where it is in
 * no file of its own, label, answer and the answer's probability; of two classes also the positive one's. */
void tool_answers_csv(struct rn_text *t, const struct tool_evaluation *e, const struct rn_split *split);
/* Of the positive class, at this margin. */
double tool_probability(double margin);

/* 100 * part / whole; 0 of nothing. */
double tool_percent(int64_t part, int64_t whole);

#endif /* RN_EVALUATE_REPORT_H */
