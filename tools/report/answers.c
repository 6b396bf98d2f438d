/* answers.c - what the net answers on the test images: decisions of two classes, curves, what it gets wrong. */
#include "tools/report/report.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_CLASSES 40 /* of the confusion matrix, and of the table of classes */

static const struct rn_value *item(const struct report_run *r, const char *key)
{
    return r->evaluation.root ? rn_dict_get(r->evaluation.root, key) : NULL;
}

static void draw_confusion(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *rows = item(r, "confusion"), *names = item(r, "classes");
    const size_t n = rows->count;
    int64_t *count = rn_alloc_array(n * n, sizeof *count);
    const char **name = rn_alloc_array(n, sizeof *name);
    struct rn_text svg = { 0 };
    for (size_t i = 0; count && name && i < n; i++) {
        name[i] = names->item[i]->text;
        for (size_t k = 0; k < n; k++) count[i * n + k] = rows->item[i]->item[k]->integer;
    }
    if (count && name) {
        report_confusion(&svg, count, name, (int)n);
        if (!rn_text_status(&svg)) report_figure(p, n <= 4, svg.data, "<b>Confusion matrix</b>: a row for each label, "
                                            "a column for each answer; colour is the share of the row");
    }
    rn_text_free(&svg);
    rn_free(count);
    rn_free(name);
}

static void draw_roc(struct report_page *p, const struct report_run *r)
{
    char caption[300], digits[REPORT_DIGITS];
    struct rn_text svg = { 0 };
    double auc, specificity, *x = rn_alloc_array((size_t)r->roc_points + 1, 2 * sizeof *x);
    double *y = x ? x + r->roc_points : NULL;
    if (!x || !r->roc_points) {
        rn_free(x);
        return;
    }
    for (int i = 0; i < r->roc_points; i++) x[i] = r->roc[i][0], y[i] = r->roc[i][1];
    report_number(digits, &specificity, &r->evaluation, r->evaluation.root, "specificity");
    struct report_chart c = { .x_title = "1 - specificity", .y_title = "sensitivity", .curves = 1, .unit = true,
                              .mark = 1 - specificity };
    c.curve[0] = (struct report_curve){ .x = x, .y = y, .count = r->roc_points, .steps = true };
    report_chart(&svg, &c);
    report_number(digits, &auc, &r->evaluation, r->evaluation.root, "auc");
    snprintf(caption, sizeof caption, "<b>ROC</b>: area under the curve %s; dashed: chance%s", digits,
             isfinite(c.mark) ? ", and upright the threshold in force" : "");
    if (!rn_text_status(&svg)) report_figure(p, true, svg.data, caption);
    rn_text_free(&svg);
    rn_free(x);
}

/* Accuracy of each bin of confidences, where the file has bins of equal width. */
static void draw_reliability(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *bins = item(r, "reliability");
    double height[100], ece;
    char digits[REPORT_DIGITS], caption[300];
    struct rn_text svg = { 0 };
    if (!bins || bins->kind != RN_LIST || !bins->count || bins->count > RN_COUNT(height)) return;
    for (size_t i = 0; i < bins->count; i++) {
        double count, correct;
        report_number(digits, &count, &r->evaluation, bins->item[i], "count");
        report_number(digits, &correct, &r->evaluation, bins->item[i], "correct");
        height[i] = count > 0 && correct >= 0 && correct <= count ? correct / count : NAN;
    }
    const struct report_bars bars = { .x_title = "confidence", .y_title = "accuracy", .height = height,
                                      .width = 1.0 / (double)bins->count, .count = (int)bins->count,
                                      .unit = true };
    report_bars(&svg, &bars);
    report_number(digits, &ece, &r->evaluation, r->evaluation.root, "ece");
    snprintf(caption, sizeof caption, "<b>Reliability</b>: expected calibration error %s; dashed: perfect", digits);
    if (!rn_text_status(&svg)) report_figure(p, true, svg.data, caption);
    rn_text_free(&svg);
}

static void class_table(struct report_page *p, const struct report_run *r)
{
    static const struct report_head head[] = { { "Class", 20, true }, { "Images", 9, false }, { "Answers", 9, false },
                                               { "Correct", 9, false }, { "Precision", 10, false },
                                               { "Recall", 10, false }, { "F1", 10, false } };
    static const char *const key[] = { "support", "answers", "correct", "precision", "recall", "f1" };
    const struct rn_value *list = item(r, "per_class");
    char digits[REPORT_DIGITS], text[RN_NUMBER_CHARS];
    double x;
    if (!list || list->kind != RN_LIST || list->count > SHOWN_CLASSES) return;
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < list->count; i++) {
        const struct rn_value *v = list->item[i]->kind == RN_DICT ? list->item[i] : NULL;
        const char *name = report_string(v, "class");
        report_cell(p, name ? name : "N/A");
        for (size_t k = 0; k < RN_COUNT(key); k++) {
            report_number(digits, &x, &r->evaluation, v, key[k]);
            report_cell(p, k < 3 || !isfinite(x) ? digits : rn_fixed_text(text, x, 4));
        }
    }
}

static void missed(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *images = r->missed.root ? rn_dict_get(r->missed.root, "images") : NULL;
    char wrong[REPORT_DIGITS], count[REPORT_DIGITS], digits[REPORT_DIGITS], text[RN_NUMBER_CHARS];
    char head[300], below[300];
    double x;
    report_heading(p, "Misclassified Examples");
    if (!images) {
        report_note(p, "N/A (%s)", r->missed.why);
        return;
    }
    report_number(wrong, &x, &r->missed, r->missed.root, "wrong");
    report_number(count, &x, &r->missed, r->missed.root, "count");
    report_note(p, "%s of %s images are misclassified; here are the %zu of them in which the net is surest. Pixels are "
                "what the net is given, before normalisation.", wrong, count, images->count);
    for (size_t i = 0; i < images->count; i++) {
        const struct rn_value *v = images->item[i];
        char shown[100];
        const char *label = report_string(v, "label"), *answer = report_string(v, "answer");
        snprintf(head, sizeof head, "%s", rn_printable(shown, sizeof shown, label, strlen(label)));
        report_number(digits, &x, &r->missed, v, "confidence");
        snprintf(below, sizeof below, "taken for %s, %s %%, image ",
                 rn_printable(shown, sizeof shown, answer, strlen(answer)), rn_fixed_text(text, 100 * x, 1));
        size_t at = strlen(below);
        snprintf(below + at, sizeof below - at, "%s", report_number(digits, &x, &r->missed, v, "index"));
        report_picture(p, report_string(v, "png"), head, below);
    }
}

static void ratio_field(struct report_page *p, const struct report_run *r, const char *name, const char *key)
{
    const struct rn_value *root = r->evaluation.root, *all = rn_dict_get(root, "bootstrap"), *pair = NULL;
    char digits[REPORT_DIGITS], other[REPORT_DIGITS], text[3][RN_NUMBER_CHARS], shown[200];
    double x, low = NAN, high = NAN;
    if (!rn_dict_get(root, key)) return;
    if (all && all->kind == RN_DICT) pair = rn_dict_get(all, key);
    if (pair && pair->kind == RN_LIST && pair->count == 2) {
        report_digits(other, &low, &r->evaluation, pair->item[0]);
        report_digits(other, &high, &r->evaluation, pair->item[1]);
    }
    report_number(digits, &x, &r->evaluation, root, key);
    snprintf(shown, sizeof shown, isfinite(low) && isfinite(high) ? "%s (95 %% interval %s to %s)" : "%s",
             isfinite(x) ? rn_fixed_text(text[0], x, 4) : "N/A", rn_fixed_text(text[1], low, 4),
             rn_fixed_text(text[2], high, 4));
    report_field(p, name, shown, digits);
}

/* "0.98412", by so many digits, of an object of evaluation.json. */
static const char *share(char out[RN_NUMBER_CHARS], const struct report_run *r, const struct rn_value *v,
                         const char *key)
{
    char digits[REPORT_DIGITS];
    double x;
    report_number(digits, &x, &r->evaluation, v, key);
    return isfinite(x) ? rn_fixed_text(out, x, 4) : "N/A";
}

/* Whom the decisions look for, from which probability on, and who chose that. */
static void decision_fields(struct report_page *p, const struct report_run *r)
{
    const struct rn_value *root = r->evaluation.root, *choice = rn_dict_get(root, "threshold_choice"), *same;
    char digits[REPORT_DIGITS], target[REPORT_DIGITS], text[3][RN_NUMBER_CHARS], name[200];
    const char *split = report_string(root, "threshold_split"), *positive = report_string(root, "positive_class");
    double x;
    if (!positive) return;
    report_field(p, "Positive Class", rn_printable(name, sizeof name, positive, strlen(positive)), NULL);
    report_number(digits, &x, &r->evaluation, root, "threshold");
    if (!split || !choice || choice->kind != RN_DICT) {
        report_fields(p, "Decision Threshold", "%s (the answers of the confusion matrix; ./report --target-sensitivity "
                      "chooses another)", digits);
        return;
    }
    same = rn_dict_get(choice, "same_images");
    report_fields(p, "Decision Threshold", "%s (probability of the positive class; the highest that finds a share "
                  "of %s of it on %s)", digits, report_number(target, &x, &r->evaluation, choice, "target_sensitivity"),
                  same && same->kind == RN_BOOLEAN && same->integer
                      ? "the images judged here, which looks too good" : "the validation images");
    report_fields(p, "On the Images That Chose", "sensitivity %s, specificity %s, precision %s",
                  share(text[0], r, choice, "sensitivity"), share(text[1], r, choice, "specificity"),
                  share(text[2], r, choice, "precision"));
}

/* What the threshold makes of the test images. */
static void decisions(struct report_page *p, const struct report_run *r)
{
    static const char *const key[] = { "true_positives", "false_negatives", "false_positives", "true_negatives" };
    const struct rn_value *root = r->evaluation.root;
    char count[RN_COUNT(key)][REPORT_DIGITS];
    double x;
    if (!rn_dict_get(root, key[0])) return;
    for (size_t i = 0; i < RN_COUNT(key); i++) report_number(count[i], &x, &r->evaluation, root, key[i]);
    report_fields(p, "Decisions", "positive images: %s found, %s missed; negative images: %s called positive, "
                  "%s passed", count[0], count[1], count[2], count[3]);
    if (report_string(root, "threshold_split"))
        report_note(p, "Accuracy, the table of classes, the confusion matrix and the misclassified examples are of the "
                    "likelier class, whatever the threshold.");
}

void report_answers(struct report_page *p, const struct report_run *r)
{
    static const char *const ratio[][2] = { { "Sensitivity", "sensitivity" }, { "Specificity", "specificity" },
                                            { "Precision", "precision" }, { "F1", "f1" }, { "AUC", "auc" },
                                            { "Average Precision", "average_precision" },
                                            { "Expected Calibration Error", "ece" } };
    if (!r->evaluation.root) return;
    p->into = report_string(r->evaluation.root, "positive_class") ? REPORT_ALL : REPORT_PAGE;
    report_heading(p, "Answers on the Test Images");
    decision_fields(p, r);
    for (size_t i = 0; i < RN_COUNT(ratio); i++) ratio_field(p, r, ratio[i][0], ratio[i][1]);
    decisions(p, r);
    p->into = REPORT_PAGE;
    class_table(p, r);
    if (item(r, "confusion")->count <= SHOWN_CLASSES) draw_confusion(p, r);
    else report_note(p, "The confusion matrix is too large for a page: ./evaluate --confusion FILE.png draws it.");
    draw_roc(p, r);
    draw_reliability(p, r);
    missed(p, r);
    p->into = REPORT_ALL;
}
