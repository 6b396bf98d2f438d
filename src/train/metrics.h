/*
 * metrics.h - what the answers of a net on a data set are worth: per-class scores, calibration, and
 * for two classes the trade of sensitivity against specificity.
 *
 * Counts are integers, and a ratio is one division of them at the end (A24); sums of confidences are
 * those of A23.  So nothing here knows the batch size or the thread count.
 */
#ifndef RN_METRICS_H
#define RN_METRICS_H

#include "train/sum.h"

/* -- per class --------------------------------------------------------------------------------- */

/* support: images with this label; answers: images given this answer; correct: both.  A ratio with
 * nothing below the line is 0. */
struct rn_class_score {
    int64_t support, answers, correct;
    double precision, recall, f1;
};
struct rn_class_mean { double precision, recall, f1; };

/* confusion[classes][classes], row = label, column = answer. */
void rn_class_scores(struct rn_class_score *score, const int64_t *confusion, int classes);
/* The mean over the classes that are a label or an answer of any image. */
struct rn_class_mean rn_macro_mean(const struct rn_class_score *score, int classes);
/* The mean over images, each with the score of its label. */
struct rn_class_mean rn_weighted_mean(const struct rn_class_score *score, int classes);

/* -- one image --------------------------------------------------------------------------------- */

/* The largest softmax of the logits; 1 when one of them is NaN, which is as wrong as can be. */
double rn_confidence(const float *logits, int classes);
/* -log of the label's softmax: the loss of A23 without smoothing. */
double rn_negative_log_likelihood(const float *logits, int classes, int label);

/* -- calibration ------------------------------------------------------------------------------- */
#define RN_CALIBRATION_BINS 15

/* Bin b has the images with b/15 < confidence <= (b+1)/15.  {0} is empty. */
struct rn_calibration {
    struct { int64_t count, correct; struct rn_sum confidence; } bin[RN_CALIBRATION_BINS];
};
void rn_calibration_add(struct rn_calibration *c, double confidence, bool correct);
/* Mean confidence of a bin that has images. */
double rn_calibration_confidence(const struct rn_calibration *c, int bin);
/* Expected calibration error, 0 to 1: the mean over images of |accuracy - mean confidence| of their
 * bin (Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", arXiv:1706.04599).
 * 0 without images. */
double rn_calibration_error(const struct rn_calibration *c);

/* -- two classes ------------------------------------------------------------------------------- */

/* An image by how much the net leans to the positive class: the difference of its two logits. */
struct rn_leaning { double margin; bool positive; };

/* A NaN logit leans all the way to the wrong side. */
struct rn_leaning rn_lean(const float logits[2], int label, int positive_class);
/* Sorts by falling margin, which the functions below expect; of equal margins, positive images come first. */
void rn_rank(struct rn_leaning *image, int64_t count);

/* Decisions "positive where margin >= threshold", counted. */
struct rn_decisions {
    double threshold;
    int64_t true_positive, false_negative, true_negative, false_positive;
};
/* Where the ROC curve begins: no image is called positive. */
struct rn_decisions rn_decide_none(const struct rn_leaning *ranked, int64_t count);
/* Its next point: lowers the threshold to the margin of image i, the first that is not called positive yet.
 * Returns the next such image; `count`: there is none. */
int64_t rn_decide_next(struct rn_decisions *d, const struct rn_leaning *ranked, int64_t i, int64_t count);
/* The decisions of this threshold. */
struct rn_decisions rn_decide_at(double threshold, const struct rn_leaning *ranked, int64_t count);
/* The highest threshold, among the margins that occur, with a sensitivity of at least `target`, 0 to
 * 1; false without positive images. */
bool rn_decide_for_sensitivity(struct rn_decisions *d, const struct rn_leaning *ranked, int64_t count,
                               double target);

/* -- figures of screening ---------------------------------------------------------------------- */

enum rn_figure {
    RN_SENSITIVITY,       /* positive images found; also called recall */
    RN_SPECIFICITY,       /* negative images passed */
    RN_PRECISION,         /* of the images called positive, those that are */
    RN_F1,                /* 2 found / (positive + called positive) */
    RN_ACCURACY,
    RN_BALANCED_ACCURACY, /* mean of sensitivity and specificity */
    RN_AUC,               /* pairs of a positive and a negative image that margins put in order, ties half */
    RN_AVERAGE_PRECISION, /* area under precision over recall as steps, equal margins as one point */
    RN_FIGURES
};
/* NaN where there is nothing below the line. */
struct rn_screening { double figure[RN_FIGURES]; };
/* Of these decisions, and of the ranking. */
void rn_screen(struct rn_screening *s, const struct rn_decisions *d, const struct rn_leaning *ranked,
               int64_t count);

/* Intervals that hold 95 % of the figures of resamples: from the 2.5th to the 97.5th percentile, linear between
 * two values.  NaN where the figure itself or all of a resample's is. */
struct rn_bootstrap {
    int resamples;
    int64_t one_class;    /* resamples without a positive or without a negative image */
    double low[RN_FIGURES], high[RN_FIGURES];
};
/* A resample is as many images as there are, drawn with replacement from all of them, classes not kept apart; the
 * threshold stays.  A figure that a resample leaves undefined is left out of its percentiles.  `called`: the
 * decisions call the first so many positive, and with them all of their margin.  Draws are keyed by seed and
 * resample, so that bits depend neither on threads nor on the order the images came in.  RN_ENOMEM; RN_EUSAGE for
 * less than one resample or image, or 2^31 images. */
rn_status rn_bootstrap(struct rn_bootstrap *b, const struct rn_leaning *ranked, int64_t count, int64_t called,
                       int resamples, uint64_t seed, int threads);

#endif /* RN_METRICS_H */
