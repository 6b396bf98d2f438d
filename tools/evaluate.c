/*
 * evaluate.c - ./evaluate: how good the weights of a file are on a data set, how large their net is, and what it
 * says of single pictures.
 */
#include "base/file.h"
#include "base/mem.h"
#include "tools/cli/data.h"
#include "tools/evaluate/evaluator.h"
#include "tools/cli/files.h"
#include "tools/plot/plot.h"
#include "tools/evaluate/predict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "checkpoint", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "weights: .pth, .safetensors, .npz",
      "Evaluation" },
    { "data", OPT_TEXT, NULL, 0, 0, NULL, "WHAT",
      "demo[:SIZE], cifar10:DIR, fashion-mnist:DIR, mnist:DIR or folder:DIR; default: the checkpoint's, else demo",
      "Evaluation" },
    { "predict", OPT_TEXT, NULL, 0, 0, NULL, "PICTURE",
      "instead of data: .png or .jpg, and any number of others after it without a flag", "Evaluation" },
    { "split", OPT_CHOICE, "val", 0, 0, "train|val|test", NULL,
      "which images; val and test are the same where the data has only one of them", "Evaluation" },
    { "limit", OPT_INT, "0", 0, 1e9, NULL, "N", "the first N images in file order; 0: all",
      "Evaluation" },
    { "batch-size", OPT_INT, "64", 1, 65536, NULL, "N", "changes no result", "Evaluation" },
    { "workers", OPT_INT, NULL, 0, 64, NULL, "N",
      "threads that prepare batches ahead; default: folders one a CPU, at most 4; else 1", "Evaluation" },
    { "val-split", OPT_REAL, NULL, 0.001, 0.999, NULL, "X",
      "the share of a folder's training images that is val where it has no val; default: the training's",
      "Evaluation" },
    { "val-resize-size", OPT_INT, NULL, 32, 8192, NULL, "N",
      "folders and --predict: short side before the centre crop; default: the training's, in the ratio of --image-size "
      "to the training's", "Evaluation" },
    { "strict-data", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "the first file of a folder that cannot be used ends it all",
      "Evaluation" },
    { "cache-mb", OPT_INT, NULL, 0, 1e7, NULL, "N",
      "memory for decoded pictures of a folder; default: a quarter of what is free", "Evaluation" },
    { "mean", OPT_REALS, NULL, -100, 100, NULL, "a,b,c",
      "of pixels in 0...1; default: the checkpoint's, "
      "else the data's",
      "Evaluation" },
    { "std", OPT_REALS, NULL, 1e-6, 100, NULL, "a,b,c", "likewise", "Evaluation" },
    { "fold", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "batch norm folded into the weights: faster, other bits than training's validation", "Evaluation" },
    { "tta", OPT_CHOICE, "none", 0, 0, "none|flip", NULL,
      "flip: an image's logits are the mean of its own and its mirror image's", "Evaluation" },
    { "positive-class", OPT_TEXT, NULL, 0, 0, NULL, "CLASS",
      "two classes: name or number of the one that is looked for; default: the second",
      "Evaluation" },
    { "target-sensitivity", OPT_REAL, NULL, 0, 1, NULL, "X",
      "two classes: decide by the highest threshold that finds this share of the positive validation images, "
      "0.98 for 98 %", "Evaluation" },
    { "threshold", OPT_REAL, NULL, 0, 1, NULL, "X",
      "two classes, also with --predict: decide for the positive class from this probability on", "Evaluation" },
    { "bootstrap", OPT_INT, "1000", 0, 1e6, NULL, "N",
      "two classes: resamples of the images that make the intervals; 0: none", "Evaluation" },
    { "seed", OPT_INT, "0", 0, 9e15, NULL, "N", "of the resamples", "Evaluation" },
    { "size", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "parameters, bytes on disk and in memory, and every layer's share; without --data that is all",
      "Evaluation" },
    { "logits", OPT_TEXT, NULL, 0, 0, NULL, "FILE.npy",
      "all outputs, float32, images x classes, in file order", "Output" },
    { "predictions", OPT_TEXT, NULL, 0, 0, NULL, "FILE.csv",
      "each image, in file order: path or number, label, answer, probability", "Output" },
    { "roc", OPT_TEXT, NULL, 0, 0, NULL, "FILE.csv",
      "two classes: sensitivity and specificity at every threshold", "Output" },
    { "pr", OPT_TEXT, NULL, 0, 0, NULL, "FILE.csv",
      "two classes: precision and recall at every threshold", "Output" },
    { "confusion", OPT_TEXT, NULL, 0, 0, NULL, "FILE",
      "the confusion matrix drawn, as .png or .svg; needs cairo", "Output" },
    { "arch", OPT_TEXT, NULL, 0, 0, NULL, "NAME",
      "insist on this architecture; default: from the shapes", "Net" },
    { "stem", OPT_CHOICE, NULL, 0, 0, "imagenet|cifar|cifar-pool|3x3s2|deep", NULL,
      "first layers; default: the checkpoint's, else from the shapes", "Net" },
    { "num-classes", OPT_INT, NULL, 2, 100000, NULL, "N",
      "insist on this many; default: from the shapes", "Net" },
    { "image-size", OPT_INT, NULL, 32, 4096, NULL, "N",
      "default: the checkpoint's, else the data's", "Net" },
    { "upsample", OPT_INT, NULL, 32, 4096, NULL, "N",
      "resize inside the net; default: the checkpoint's", "Net" },
};

struct session {
    struct opt_set *o;
    const char *picture[1 + OPT_WORDS]; /* to be predicted */
    int pictures, unread;               /* of them; and how many could not be */
    struct tool_evaluator v;
    struct tool_evaluation e;
    struct tool_size size;
};

/* -- the wishes -------------------------------------------------------------------------------- */

static int number(const struct opt_set *o, const char *name)
{
    return opt_text(o, name) ? (int)opt_int(o, name) : 0;
}

/* Three numbers, or none. */
static rn_status read_three(bool *given, double out[3], const struct opt_set *o, const char *name)
{
    *given = opt_text(o, name);
    return *given ? opt_three(o, name, out) : RN_OK;
}

static rn_status read_wishes(struct tool_evaluate *w, const struct opt_set *o)
{
    *w = (struct tool_evaluate){
        .checkpoint = opt_text(o, "checkpoint"), .arch = opt_text(o, "arch"), .stem = opt_text(o, "stem"),
        .classes = number(o, "num-classes"), .image_size = number(o, "image-size"),
        .upsample = number(o, "upsample"), .resize = number(o, "val-resize-size"), .data = opt_text(o, "data"),
        .split = opt_text(o, "split"), .limit = opt_int(o, "limit"),
        .val_split = opt_text(o, "val-split") ? opt_real(o, "val-split") : 0, .strict = opt_switch(o, "strict-data"),
        .cache_bytes = tool_cache_bytes(o), .batch = number(o, "batch-size"),
        .workers = opt_text(o, "workers") ? number(o, "workers") : TOOL_WORKERS,
        .fold = opt_switch(o, "fold"), .flip = !strcmp(opt_text(o, "tta"), "flip"), 
        .logits = opt_text(o, "logits") || opt_text(o, "predict") || opt_text(o, "predictions"),
        .positive_class = opt_text(o, "positive-class"), .resamples = number(o, "bootstrap"),
        .seed = (uint64_t)opt_int(o, "seed"),
    };
    if (opt_text(o, "target-sensitivity"))
        w->sensitivity = (struct rn_optional){ true, opt_real(o, "target-sensitivity") };
    if (opt_text(o, "threshold")) w->threshold = (struct rn_optional){ true, opt_real(o, "threshold") };
    if (w->sensitivity.given && w->threshold.given)
        return rn_fail(RN_EUSAGE, "--target-sensitivity chooses the threshold; it excludes --threshold");
    if (!w->checkpoint) return rn_fail(RN_EUSAGE, "--checkpoint FILE is needed");
    rn_status st = read_three(&w->mean.given, w->mean.value, o, "mean");
    return st ? st : read_three(&w->std.given, w->std.value, o, "std");
}

/* The pictures to be predicted, and beside them no flag that has no use for them. */
static rn_status read_pictures(struct session *s)
{
    static const char *const beside[] = { "data", "predictions", "roc", "pr", "confusion", "target-sensitivity",
                                          "limit", "split", "size" };
    const struct opt_set *o = s->o;
    char shown[80];
    if (!opt_text(o, "predict") && o->positionals)
        return rn_fail(RN_EUSAGE, "\"%s\" is not a flag; pictures stand behind --predict",
                       rn_printable(shown, sizeof shown, o->positional[0], strlen(o->positional[0])));
    if (!opt_text(o, "predict")) return RN_OK;
    for (size_t i = 0; i < RN_COUNT(beside); i++)
        if (opt_given(o, beside[i]))
            return rn_fail(RN_EUSAGE, "--predict is for pictures alone, without --%s", beside[i]);
    if (opt_text(o, "positive-class") && !opt_text(o, "threshold"))
        return rn_fail(RN_EUSAGE, "--predict has a use for --positive-class only with --threshold");
    s->picture[s->pictures++] = opt_text(o, "predict");
    for (int i = 0; i < o->positionals; i++) s->picture[s->pictures++] = o->positional[i];
    return RN_OK;
}

/* -- the files --------------------------------------------------------------------------------- */

/* What can be said of the files to be written before anything is read. */
static rn_status check_outputs(const struct opt_set *o)
{
    static const char *const flag[] = { "logits", "predictions", "roc", "pr", "confusion" };
    const char *path[RN_COUNT(flag)];
    rn_status st = opt_text(o, "confusion") ? tool_plot_check(opt_text(o, "confusion")) : RN_OK;
    for (size_t i = 0; !st && i < RN_COUNT(flag); i++) {
        path[i] = opt_text(o, flag[i]);
        for (size_t k = 0; k < i && path[i]; k++)
            if (path[k] && !strcmp(path[i], path[k]))
                return rn_fail(RN_EUSAGE, "--%s and --%s: both would be written to %s", flag[k], flag[i], path[i]);
        st = tool_file_check(path[i]);
    }
    return st;
}

static rn_status write_text(const char *path, struct rn_text *t)
{
    rn_status st = rn_text_status(t);
    if (!st) st = rn_file_write(path, t->data, t->length);
    rn_text_free(t);
    return st;
}

typedef void curve(struct rn_text *t, const struct rn_leaning *ranked, int64_t count);

static rn_status write_curve(const struct session *s, const char *flag, curve *points)
{
    struct rn_text t = {0};
    if (!opt_text(s->o, flag)) return RN_OK;
    points(&t, s->e.m.leaning, s->e.m.count);
    return write_text(opt_text(s->o, flag), &t);
}

static rn_status write_answers(const struct session *s)
{
    struct rn_text t = {0};
    if (!opt_text(s->o, "predictions")) return RN_OK;
    tool_answers_csv(&t, &s->e, tool_evaluator_split(&s->v, s->v.want.split));
    return write_text(opt_text(s->o, "predictions"), &t);
}

static rn_status write_logits(const struct session *s)
{
    const struct rn_metrics *m = &s->e.m;
    struct rn_tensor t = { .dtype = RN_F32, .dims = 2, .shape = { m->count, s->e.classes },
                           .count = m->count * s->e.classes, .data = m->logits };
    return opt_text(s->o, "logits") ? rn_npy_write(opt_text(s->o, "logits"), &t) : RN_OK;
}

static rn_status draw_confusion(const struct session *s)
{
    char title[200], percent[RN_NUMBER_CHARS];
    const struct rn_metrics *m = &s->e.m;
    if (!opt_text(s->o, "confusion")) return RN_OK;
    snprintf(title, sizeof title, "%s, %s, %s: top-1 %s %% of %" PRId64 " images", s->e.arch, s->v.data->name,
             s->e.split, rn_fixed_text(percent, tool_percent(m->correct, m->count), 2), m->count);
    const struct tool_confusion c = { title, s->e.names, m->confusion, s->e.classes };
    return tool_plot_confusion(opt_text(s->o, "confusion"), &c);
}

/* -- the work ---------------------------------------------------------------------------------- */

/* Of flags that only two classes have a use for. */
static rn_status check_classes(const struct session *s)
{
    static const char *const flag[] = { "roc", "pr" };
    for (size_t i = 0; i < RN_COUNT(flag) && s->v.arch.classes != 2; i++)
        if (opt_text(s->o, flag[i]))
            return rn_fail(RN_EUSAGE, "--%s is for two classes, and %s has %d", flag[i], s->v.file->path,
                           s->v.arch.classes);
    return RN_OK;
}

static rn_status evaluate(struct session *s)
{
    rn_status st = check_classes(s);
    if (!st) st = tool_evaluator_data(&s->v);
    if (!st) tool_data_mention_limit(s->o, "limit", s->v.data, tool_evaluator_split(&s->v, s->v.want.split));
    if (!st) st = tool_evaluator_run(&s->e, &s->v);
    if (!st) st = write_answers(s);
    if (!st) st = write_curve(s, "roc", tool_roc_csv);
    if (!st) st = write_curve(s, "pr", tool_pr_csv);
    if (!st) st = write_logits(s);
    return st ? st : draw_confusion(s);
}

static rn_status predict(struct session *s)
{
    const int given = s->pictures;
    rn_status st = tool_predict_read(&s->v, s->picture, &s->pictures);
    s->unread = given - s->pictures;
    if (!st) st = tool_evaluator_run(&s->e, &s->v);
    return st ? st : write_logits(s);
}

static rn_status measure_size(struct session *s)
{
    rn_status st = tool_evaluator_net(&s->v, tool_evaluator_side(&s->v), 1, 0);
    s->size.numerics = opt_text(s->o, "numerics");
    return st ? st : tool_size_measure(&s->size, s->v.net, s->v.file->path);
}

/* -- the result -------------------------------------------------------------------------------- */
static rn_status report(struct session *s)
{
    struct rn_text t = {0};
    bool evaluated = s->e.score, sized = s->size.layer;
    if (opt_switch(s->o, "json")) {
        rn_text_add(&t, "{\n");
        if (s->pictures) tool_predictions_json(&t, &s->e, s->picture);
        else if (evaluated) tool_evaluation_json(&t, &s->e);
        else tool_net_json(&t, s->size.arch, s->size.stem, s->size.numerics);
        if (sized) tool_size_json(&t, &s->size);
        rn_text_add(&t, "\n}\n");
    } else if (s->pictures) {
        tool_predictions_text(&t, &s->e, s->picture);
    } else {
        if (evaluated) tool_evaluation_text(&t, &s->e);
        if (evaluated && sized) rn_text_add(&t, "\n");
        if (sized) tool_size_text(&t, &s->size);
    }
    rn_status st = rn_text_status(&t);
    if (!st) fputs(t.data, stdout);
    rn_text_free(&t);
    return st;
}

/* -- the program ------------------------------------------------------------------------------- */

static rn_status work(struct session *s)
{
    const bool size = opt_switch(s->o, "size"), images = !size || opt_text(s->o, "data");
    struct tool_evaluate wishes;
    rn_status st = read_wishes(&wishes, s->o);
    if (!st) st = read_pictures(s);
    if (!st) st = check_outputs(s->o);
    if (!st) st = tool_evaluator_open(&s->v, s->o, &wishes);
    if (!st && s->pictures) st = predict(s);
    else if (!st && images) st = evaluate(s);
    if (!st && size) st = measure_size(s);
    if (!st) st = report(s);
    if (!st && s->unread)
        st = rn_fail(RN_EINPUT, "%d of %d pictures could not be used", s->unread, s->unread + s->pictures);
    return st;
}

static rn_status run(struct opt_set *o)
{
    struct session s = { .o = o };
    rn_status st = work(&s);
    rn_free(s.size.layer);
    tool_evaluation_free(&s.e);
    tool_evaluator_close(&s.v);
    return st;
}

int main(int argc, char **argv)
{
    const struct tool evaluate_tool = {
        .name = "evaluate", .summary = "measures how good a checkpoint is, and how large", .run = run,
        .positionals = OPT_WORDS,
        .table = { { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&evaluate_tool, argc, argv);
}
