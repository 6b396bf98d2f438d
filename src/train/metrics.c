/* metrics.c - what the answers of a net are worth, for any number of classes.  See metrics.h. */
#include "train/metrics.h"

#include "base/base.h"
#include "base/math.h"

#include <math.h>

/* 0 with nothing below the line. */
static double ratio(int64_t part, int64_t whole) { return whole ? (double)part / (double)whole : 0; }

/* -- per class --------------------------------------------------------------------------------- */

void rn_class_scores(struct rn_class_score *score, const int64_t *confusion, int classes)
{
    for (int i = 0; i < classes; i++) {
        struct rn_class_score *s = &score[i];
        *s = (struct rn_class_score){ .correct = confusion[(int64_t)i * classes + i] };
        for (int k = 0; k < classes; k++) {
            s->support += confusion[(int64_t)i * classes + k];
            s->answers += confusion[(int64_t)k * classes + i];
        }
        s->precision = ratio(s->correct, s->answers);
        s->recall = ratio(s->correct, s->support);
        s->f1 = ratio(2 * s->correct, s->support + s->answers);
    }
}

struct rn_class_mean rn_macro_mean(const struct rn_class_score *score, int classes)
{
    struct rn_class_mean m = { 0, 0, 0 };
    int there = 0;
    for (int i = 0; i < classes; i++) {
        there += score[i].support + score[i].answers > 0;
        m.precision += score[i].precision;
        m.recall += score[i].recall;
        m.f1 += score[i].f1;
    }
    if (!there) return m;
    return (struct rn_class_mean){ m.precision / there, m.recall / there, m.f1 / there };
}

struct rn_class_mean rn_weighted_mean(const struct rn_class_score *score, int classes)
{
    struct rn_class_mean m = { 0, 0, 0 };
    int64_t correct = 0, images = 0;
    for (int i = 0; i < classes; i++) {
        images += score[i].support;
        correct += score[i].correct;
        m.precision += (double)score[i].support * score[i].precision;
        m.f1 += (double)score[i].support * score[i].f1;
    }
    if (!images) return m;
    return (struct rn_class_mean){ m.precision / (double)images, ratio(correct, images),
                                   m.f1 / (double)images };
}

/* -- one image --------------------------------------------------------------------------------- */

/* Sum of exp(x - max), classes ascending, and that max; both NaN when a logit is. */
struct softmax { double max, sum; };

static struct softmax softmax(const float *x, int classes)
{
    struct softmax s = { (double)x[0], 0 };
    for (int k = 1; k < classes; k++)
        if ((double)x[k] > s.max) s.max = (double)x[k];
    for (int k = 0; k < classes; k++) s.sum = s.sum + rn_exp((double)x[k] - s.max);
    return s;
}

double rn_confidence(const float *logits, int classes)
{
    double sum = softmax(logits, classes).sum;
    return sum >= 1 ? 1 / sum : 1;
}

double rn_negative_log_likelihood(const float *logits, int classes, int label)
{
    struct softmax s = softmax(logits, classes);
    return -(((double)logits[label] - s.max) - rn_log(s.sum));
}

/* -- calibration ------------------------------------------------------------------------------- */

void rn_calibration_add(struct rn_calibration *c, double confidence, bool correct)
{
    int b = (int)ceil(confidence * RN_CALIBRATION_BINS) - 1;
    b = RN_MIN(RN_MAX(b, 0), RN_CALIBRATION_BINS - 1);
    c->bin[b].count++;
    c->bin[b].correct += correct;
    rn_sum_add(&c->bin[b].confidence, confidence);
}

/* Of a bin's confidences; the sum itself stays open for more. */
static double confidence_sum(const struct rn_calibration *c, int bin)
{
    struct rn_sum sum = c->bin[bin].confidence;
    return rn_sum_total(&sum);
}

double rn_calibration_confidence(const struct rn_calibration *c, int bin)
{
    return confidence_sum(c, bin) / (double)c->bin[bin].count;
}

/* The weights count/images cancel the divisions of the bins: what is left is one, at the end. */
double rn_calibration_error(const struct rn_calibration *c)
{
    double gap = 0;
    int64_t images = 0;
    for (int b = 0; b < RN_CALIBRATION_BINS; b++) {
        gap = gap + fabs((double)c->bin[b].correct - confidence_sum(c, b));
        images += c->bin[b].count;
    }
    return images ? gap / (double)images : 0;
}
