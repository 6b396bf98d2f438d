/*
 * predict.c - single pictures through a net.  They become a data set of their own, so that a picture gets the
 * very logits that it has as a member of an image folder.
 */
#include "tools/evaluate/predict.h"

#include "base/math.h"
#include "base/mem.h"
#include "data/store.h"

#include <stdio.h>
#include <string.h>

/* -- in ---------------------------------------------------------------------------------------- */

/* Where the checkpoint does not say what it was trained on, the stem does: CIFAR's have images of the net's size. */
static int resize_side(const struct tool_evaluator *v, int side)
{
    const char *data = rn_checkpoint_text(v->file, "data");
    const bool small = v->arch.stem == RN_STEM_CIFAR || v->arch.stem == RN_STEM_CIFAR_POOL;
    if (v->want.resize) return v->want.resize;
    if (data ? strncmp(data, "folder:", 7) != 0 : small) return side;
    return RN_MAX(side, tool_evaluator_resize(v) ? tool_evaluator_resize(v) : rn_resize_side(side));
}

static rn_status read_picture(uint8_t *pixels, int side, int resize, const char *path)
{
    struct rn_image image = {0};
    rn_status st = rn_image_read(&image, path);
    if (st) return st;
    const struct rn_view view = { image.width, image.height, image.pixels };
    st = rn_centre_crop(pixels, side, &view, resize);
    rn_image_free(&image);
    return st ? rn_fail_in(st, path) : RN_OK;
}

/* Those that can be used, one after the other; the others are said, and leave the list. */
static rn_status read_pictures(struct rn_dataset *d, const struct tool_evaluator *v, const char **path, int count)
{
    const int side = d->height, resize = resize_side(v, side);
    const size_t bytes = 3 * (size_t)side * (size_t)side;
    if (resize < side) return rn_fail(RN_EUSAGE, "a short side of %d is too small for crops of %d", resize, side);
    for (int i = 0; i < count; i++) {
        const rn_status st = read_picture(d->val.pixels + (size_t)d->val.count * bytes, side, resize, path[i]);
        if (st == RN_EINPUT) {
            fprintf(stderr, "%s: %s\n", v->o->program, rn_error());
            rn_error_clear();
        } else if (st) {
            return st;
        } else {
            path[d->val.count++] = path[i];
        }
    }
    return d->val.count ? RN_OK : rn_fail(RN_EINPUT, "none of the %d pictures can be used", count);
}

rn_status tool_predict_read(struct tool_evaluator *v, const char **path, int *count)
{
    static const double mean[3] = { 0.485, 0.456, 0.406 }, std[3] = { 0.229, 0.224, 0.225 };
    const int side = tool_evaluator_side(v);
    const size_t bytes = 3 * (size_t)side * (size_t)side;
    struct rn_dataset *d = rn_alloc(sizeof *d);
    if (!d) return RN_ENOMEM;
    d->channels = 3;
    d->height = d->width = side;
    d->classes = v->arch.classes;
    memcpy(d->mean, mean, sizeof mean);
    memcpy(d->std, std, sizeof std);
    d->val.pixels = rn_alloc_array((size_t)*count, bytes);
    d->val.labels = rn_alloc_array((size_t)*count, sizeof *d->val.labels);
    d->spec = rn_strdup("pictures");
    d->name = rn_strdup("pictures");
    rn_status st = d->val.pixels && d->val.labels && d->spec && d->name ? RN_OK : RN_ENOMEM;
    if (!st) st = read_pictures(d, v, path, *count);
    *count = (int)d->val.count;
    d->test = d->val;
    if (!st) return tool_evaluator_use(v, d);
    rn_dataset_close(d);
    return st;
}

/* -- out --------------------------------------------------------------------------------------- */

#define SHOWN 5

/* The likeliest classes of a picture, of equal ones the first; and the decision, which a threshold may give to the
 * less likely of two. */
struct answer { int count, class_index[SHOWN], decision; double probability[SHOWN], decided; };

static struct answer answer_of(const struct tool_evaluation *e, int64_t picture)
{
    const float *x = e->m.logits + picture * e->classes;
    struct answer a = { .count = RN_MIN(e->classes, SHOWN) };
    for (int n = 0; n < a.count; n++) {
        int best = -1;
        for (int k = 0; k < e->classes; k++) {
            bool taken = false;
            for (int i = 0; i < n; i++) taken |= a.class_index[i] == k;
            if (!taken && (best < 0 || x[k] > x[best])) best = k;
        }
        a.class_index[n] = best;
        a.probability[n] = rn_exp((double)x[best] - (double)x[a.class_index[0]]) * rn_confidence(x, e->classes);
    }
    const int positive = e->screening.positive_class;
    int place = 0;
    if (e->screening.given) {
        const bool found = tool_probability((double)x[positive] - (double)x[1 - positive]) >= e->screening.threshold;
        place = a.class_index[0] == (found ? positive : 1 - positive) ? 0 : 1;
    }
    a.decision = a.class_index[place];
    a.decided = a.probability[place];
    return a;
}

static const char *shown_path(char out[400], const char *path) { return rn_printable(out, 400, path, strlen(path)); }

void tool_predictions_text(struct rn_text *t, const struct tool_evaluation *e, const char *const *path)
{
    char shown[400], number[RN_NUMBER_CHARS];
    for (int64_t i = 0; i < e->m.count; i++) {
        const struct answer a = answer_of(e, i);
        rn_text_add(t, "%s: %s, %s %%", shown_path(shown, path[i]), e->names[a.decision],
                    rn_fixed_text(number, 100 * a.decided, 2));
        if (e->screening.given)
            rn_text_add(t, " (\"%s\" from probability %s on)", e->names[e->screening.positive_class],
                        rn_number_text(number, e->screening.threshold));
        rn_text_add(t, "\n");
        for (int n = 0; n < a.count; n++)
            rn_text_add(t, "%9s %%  %4d %s\n", rn_fixed_text(number, 100 * a.probability[n], 2), a.class_index[n],
                        e->names[a.class_index[n]]);
    }
}

static void add_class(struct rn_text *t, const struct tool_evaluation *e, int class_index, double probability)
{
    rn_text_add(t, "\"class\": ");
    rn_text_json(t, e->names[class_index]);
    rn_text_add(t, ", \"class_index\": %d, \"probability\": ", class_index);
    rn_text_number(t, probability);
}

void tool_predictions_json(struct rn_text *t, const struct tool_evaluation *e, const char *const *path)
{
    char shown[400];
    tool_net_json(t, e->arch, e->stem, e->numerics);
    rn_text_add(t, ",\n  \"tta\": \"%s\"", e->m.flip ? "flip" : "none");
    if (e->screening.given) {
        rn_text_add(t, ",\n  \"positive_class\": ");
        rn_text_json(t, e->names[e->screening.positive_class]);
        rn_text_add(t, ",\n  \"threshold\": ");
        rn_text_number(t, e->screening.threshold);
    }
    rn_text_add(t, ",\n  \"predictions\": [");
    for (int64_t i = 0; i < e->m.count; i++) {
        const struct answer a = answer_of(e, i);
        rn_text_add(t, "%s\n    {\"file\": ", i ? "," : "");
        rn_text_json(t, shown_path(shown, path[i]));
        rn_text_add(t, ", ");
        add_class(t, e, a.decision, a.decided);
        rn_text_add(t, ", \"top5\": [");
        for (int n = 0; n < a.count; n++) {
            rn_text_add(t, "%s{", n ? ", " : "");
            add_class(t, e, a.class_index[n], a.probability[n]);
            rn_text_add(t, "}");
        }
        rn_text_add(t, "]}");
    }
    rn_text_add(t, "\n  ]");
}
