/*
 * evaluate.c - ./evaluate: how good the weights of a file are on a data set.  What the file says
 * about itself (stem, size, normalisation, class names, data) is believed unless a flag says
 * otherwise; widths come from the shapes.
 */
#include "base/file.h"
#include "base/mem.h"
#include "tools/cli/evaluate_report.h"
#include "tools/cli/files.h"
#include "tools/cli/plot.h"
#include "tools/cli/train_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "checkpoint", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "weights: .pth, .safetensors, .npz",
      "Evaluation" },
    { "data", OPT_TEXT, NULL, 0, 0, NULL, "WHAT",
      "demo[:SIZE], cifar10:DIR or fashion-mnist:DIR; default: the checkpoint's, else demo",
      "Evaluation" },
    { "split", OPT_CHOICE, "val", 0, 0, "train|val|test", NULL,
      "which images; val and test are the same where the data has only one of them", "Evaluation" },
    { "limit", OPT_INT, "0", 0, 1e9, NULL, "N", "the first N images in file order; 0: all",
      "Evaluation" },
    { "batch-size", OPT_INT, "64", 1, 65536, NULL, "N", "changes no result", "Evaluation" },
    { "workers", OPT_INT, "1", 0, 64, NULL, "N", "threads that prepare batches ahead",
      "Evaluation" },
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
      "two classes: decide by the highest threshold that finds this share of the positive images, "
      "0.98 for 98 %",
      "Evaluation" },
    { "size", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "parameters, bytes on disk and in memory, and every layer's share; without --data that is all",
      "Evaluation" },
    { "logits", OPT_TEXT, NULL, 0, 0, NULL, "FILE.npy",
      "all outputs, float32, images x classes, in file order", "Output" },
    { "roc", OPT_TEXT, NULL, 0, 0, NULL, "FILE.csv",
      "two classes: sensitivity and specificity at every threshold", "Output" },
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

#define CLASS_NAME 200 /* bytes of a class name that are shown */

struct session {
    struct opt_set *o;
    struct rn_checkpoint *file;
    struct rn_dataset *data;
    struct tool_device device;
    struct rn_net *net;
    struct rn_loader *loader;
    struct tool_evaluation e;         /* m and what follows from it */
    struct tool_screening screening;
    struct rn_class_score *score;     /* [classes] */
    char (*names)[CLASS_NAME];        /* [classes], fit to be printed */
    const char **name;                /* [classes], each in names */
    struct tool_size size;
    int64_t count;
};

/* -- the net ----------------------------------------------------------------------------------- */
static rn_status misfit(struct session *s, rn_status st)
{
    const char *foreign = rn_checkpoint_foreign(s->file);
    if (st == RN_EINPUT && foreign)
        return rn_fail(st, "%s: the tensor \"%s\" is none of torchvision's residual networks (%s)",
                       s->file->path, foreign, rn_error());
    return st ? rn_fail_in(st, s->file->path) : st;
}

/* The stem that a flag, the file or a name says; *said: one of them did. */
static rn_status wanted_stem(enum rn_stem *stem, bool *said, struct session *s)
{
    const char *name = opt_text(s->o, "stem");
    if (!name) name = rn_checkpoint_text(s->file, "stem");
    *said = name;
    *stem = RN_STEM_CIFAR;
    return name ? rn_stem_parse(stem, name) : RN_OK;
}

/* Another stem than the weights have: rn_load_weights then says which tensor does not fit, and how. */
static void give_stem(struct rn_arch *a, enum rn_stem stem)
{
    int width = a->stem_width[a->stem == RN_STEM_DEEP ? 2 : 0];
    for (int i = 0; i < 3; i++)
        a->stem_width[i] = stem == RN_STEM_DEEP && i < 2 ? RN_MAX(width / 2, 1) : width;
    a->stem = stem;
}

static rn_status choose_arch(struct rn_arch *a, struct session *s)
{
    enum rn_stem stem;
    bool said;
    rn_status st = wanted_stem(&stem, &said, s);
    if (st) return st;
    if ((st = rn_arch_from_shapes(a, stem, rn_checkpoint_shape, s->file))) return misfit(s, st);
    if (said && a->stem != stem) give_stem(a, stem);
    if (opt_text(s->o, "num-classes")) a->classes = (int)opt_int(s->o, "num-classes");
    if (!said && a->stem == RN_STEM_CIFAR && !opt_switch(s->o, "quiet"))
        fprintf(stderr,
                "evaluate: %s does not say its stem; taking cifar (--stem cifar-pool or 3x3s2 are "
                "the others of this shape)\n",
                s->file->path);
    const char *arch = opt_text(s->o, "arch");
    return arch ? rn_arch_named(a, arch, a->stem, a->classes) : RN_OK;
}

/* A net's answers mean its own classes; other classes' labels would make the accuracy nonsense. */
static rn_status check_names(const struct session *s)
{
    const struct rn_value *v = rn_dict_get(s->file->own, "class_names");
    size_t there = v && v->kind == RN_LIST ? v->count : 0, here = (size_t)s->data->classes;
    for (size_t i = 0; there && i < RN_MAX(there, here); i++) {
        const struct rn_value *item = i < there ? v->item[i] : NULL;
        const char *a = item && item->kind == RN_STRING ? item->text : "(none)";
        const char *b = i < here ? s->data->class_names[i] : "(none)";
        char shown[80];
        if (strcmp(a, b))
            return rn_fail(RN_EINPUT, "%s: class %zu is \"%s\", in %s of %dx%d it is \"%s\"",
                           s->file->path, i, rn_printable(shown, sizeof shown, a, strlen(a)),
                           s->data->spec, s->data->height, s->data->width, b);
    }
    return RN_OK;
}

static rn_status open_data(struct session *s, const struct rn_arch *a)
{
    const char *spec = opt_text(s->o, "data");
    bool train = !strcmp(opt_text(s->o, "split"), "train");
    bool sized = spec && strchr(spec, ':'); /* explicit data outrank the stored size */
    if (!spec) spec = rn_checkpoint_text(s->file, "data");
    int64_t size = opt_text(s->o, "image-size") ? opt_int(s->o, "image-size")
                   : sized                       ? 0
                                                 : rn_checkpoint_int(s->file, "image_size", 0);
    rn_status st =
        rn_dataset_open(&s->data, spec ? spec : "demo", size > 0 && size <= 4096 ? (int)size : 0);
    if (st) return st;
    if (a->classes < s->data->classes)
        return rn_fail(RN_EINPUT, "%s: fc.weight is [%d, %d], %s has %d classes and needs [%d, %d]",
                       s->file->path, a->classes, a->features, s->data->spec, s->data->classes,
                       s->data->classes, a->features);
    if ((st = check_names(s))) return st;
    if (s->data->height != s->data->width)
        return rn_fail(RN_EINPUT, "images of %s are %dx%d; the net wants squares", s->data->spec,
                       s->data->height, s->data->width);
    s->count = train ? s->data->train.count : s->data->val.count;
    if (opt_int(s->o, "limit")) s->count = RN_MIN(s->count, opt_int(s->o, "limit"));
    return s->count ? RN_OK : rn_fail(RN_EINPUT, "%s has no images to evaluate", s->data->spec);
}

/* -- the images -------------------------------------------------------------------------------- */

/* Three numbers: the flag's, else the checkpoint's, else the data set's. */
static rn_status normalisation(double out[3], struct session *s, const char *name,
                               const double fallback[3])
{
    const struct rn_value *v = rn_dict_get(s->file->own, name);
    double x[4];
    memcpy(out, fallback, 3 * sizeof *out);
    if (opt_text(s->o, name)) {
        int count = opt_reals(s->o, name, x, 4);
        if (count != 3) return rn_fail(RN_EUSAGE, "--%s takes three numbers, not %d", name, count);
        memcpy(out, x, 3 * sizeof *out);
    } else if (v && v->kind == RN_LIST && v->count == 3) {
        for (int i = 0; i < 3; i++)
            out[i] = v->item[i]->kind == RN_REAL ? v->item[i]->real : fallback[i];
    }
    return RN_OK;
}

static rn_status choose_images(struct rn_loader_config *c, struct session *s)
{
    bool train = !strcmp(opt_text(s->o, "split"), "train");
    *c = (struct rn_loader_config){ .set = s->data, .split = train ? &s->data->train : &s->data->val,
                                    .limit = opt_int(s->o, "limit"),
                                    .batch = (int)RN_MIN(opt_int(s->o, "batch-size"), s->count),
                                    .workers = (int)opt_int(s->o, "workers") };
    rn_status st = normalisation(c->mean, s, "mean", s->data->mean);
    return st ? st : normalisation(c->std, s, "std", s->data->std);
}

/* The net with the file's weights. */
static rn_status make_net(struct session *s, struct rn_net_config *c)
{
    int64_t upsample = opt_text(s->o, "upsample") ? opt_int(s->o, "upsample")
                                                   : rn_checkpoint_int(s->file, "upsample", 0);
    c->upsample = upsample > 0 && upsample <= 4096 ? (int)upsample : 0;
    c->fold = opt_switch(s->o, "fold");
    rn_status st = rn_net_create(&s->net, c, s->device.ops, s->device.dev);
    return st ? st : rn_load_weights(s->net, s->file, false);
}

/* The net before the loader, whose memory it is told: it refuses before anything large is allocated. */
static rn_status make_net_and_loader(struct session *s, const struct rn_arch *a)
{
    struct rn_loader_config images;
    struct rn_loader_size size;
    rn_status st = choose_images(&images, s);
    if (!st) st = rn_loader_measure(&size, &images);
    if (st) return st;
    struct rn_net_config c = { .arch = *a, .image_size = s->data->height, .eval_batch = images.batch,
                               .beside_bytes = size.bytes };
    st = make_net(s, &c);
    return st ? st : rn_loader_create(&s->loader, &images);
}

/* The checkpoint's class names if it has one for each class, else the data's, else none. */
static rn_status name_classes(struct session *s)
{
    const struct rn_value *v = rn_dict_get(s->file->own, "class_names");
    int classes = s->e.classes;
    bool own = v && v->kind == RN_LIST && v->count == (size_t)classes;
    s->names = rn_alloc_array((size_t)classes, sizeof *s->names);
    s->name = rn_alloc_array((size_t)classes, sizeof *s->name);
    if (!s->names || !s->name) return RN_ENOMEM;
    for (int i = 0; i < classes; i++) {
        const char *name = i < s->data->classes ? s->data->class_names[i] : "(no name)";
        if (own && v->item[i]->kind == RN_STRING) name = v->item[i]->text;
        s->name[i] = rn_printable(s->names[i], CLASS_NAME, name, strlen(name));
    }
    s->e.names = s->name;
    return RN_OK;
}

/* -- the evaluation ---------------------------------------------------------------------------- */

/* --positive-class: a name, or else a number. */
static rn_status choose_positive(struct session *s)
{
    const char *text = opt_text(s->o, "positive-class");
    int64_t number = 1;
    if (s->e.classes != 2) {
        static const char *const flag[] = { "positive-class", "target-sensitivity", "roc" };
        for (size_t i = 0; i < RN_COUNT(flag); i++)
            if (opt_text(s->o, flag[i]))
                return rn_fail(RN_EUSAGE, "--%s is for two classes, and %s has %d", flag[i], s->file->path,
                               s->e.classes);
        return RN_OK;
    }
    for (int i = 0; i < 2 && text; i++) {
        if (strcmp(text, s->name[i])) continue;
        number = i;
        text = NULL;
    }
    if (text && (!rn_parse_int(&number, text) || number < 0 || number > 1))
        return rn_fail(RN_EUSAGE, "--positive-class %s: the classes are 0, \"%s\", and 1, \"%s\"", text, s->name[0],
                       s->name[1]);
    s->screening.positive_class = s->e.m.positive_class = (int)number;
    s->e.screening = &s->screening;
    return RN_OK;
}

static rn_status make_metrics(struct session *s)
{
    struct rn_metrics *m = &s->e.m;
    size_t classes = (size_t)s->e.classes, count = (size_t)s->count;
    bool logits = opt_text(s->o, "logits"), leaning = s->e.screening;
    m->flip = !strcmp(opt_text(s->o, "tta"), "flip");
    m->confusion = rn_alloc_array(classes * classes, sizeof *m->confusion);
    m->calibration = rn_alloc(sizeof *m->calibration);
    s->score = rn_alloc_array(classes, sizeof *s->score);
    if (logits) m->logits = rn_alloc_array(count * classes, sizeof *m->logits);
    if (leaning) m->leaning = rn_alloc_array(count, sizeof *m->leaning);
    s->e.score = s->score;
    return m->confusion && m->calibration && s->score && (m->logits || !logits) && (m->leaning || !leaning)
               ? RN_OK
               : RN_ENOMEM;
}

/* Without a target the decisions are the answers, and two classes make the threshold one half. */
static struct rn_decisions answers_counted(const struct session *s)
{
    const int64_t *row = s->e.m.confusion;
    int p = s->screening.positive_class, n = 1 - p;
    return (struct rn_decisions){ .true_positive = row[2 * p + p], .false_negative = row[2 * p + n],
                                  .true_negative = row[2 * n + n], .false_positive = row[2 * n + p] };
}

static rn_status write_roc(struct session *s)
{
    struct rn_text t = {0};
    if (!opt_text(s->o, "roc")) return RN_OK;
    tool_roc_csv(&t, s->e.m.leaning, s->e.m.count);
    rn_status st = rn_text_status(&t);
    if (!st) st = rn_file_write(opt_text(s->o, "roc"), t.data, t.length);
    rn_text_free(&t);
    return st;
}

static rn_status screen(struct session *s)
{
    struct tool_screening *x = &s->screening;
    const struct rn_metrics *m = &s->e.m;
    rn_rank(m->leaning, m->count);
    x->auc_known = rn_auc(&x->auc, m->leaning, m->count);
    x->counts = answers_counted(s);
    if (opt_text(s->o, "target-sensitivity") &&
        !rn_decide_for_sensitivity(&x->counts, m->leaning, m->count, opt_real(s->o, "target-sensitivity")))
        return rn_fail(RN_EINPUT, "--target-sensitivity: none of the %" PRId64 " images is of class \"%s\"",
                       m->count, s->name[x->positive_class]);
    x->threshold = tool_probability(x->counts.threshold);
    return write_roc(s);
}

static rn_status write_logits(struct session *s)
{
    const struct rn_metrics *m = &s->e.m;
    struct rn_tensor t = { .dtype = RN_F32, .dims = 2, .shape = { m->count, s->e.classes },
                           .count = m->count * s->e.classes, .data = m->logits };
    return m->logits ? rn_npy_write(opt_text(s->o, "logits"), &t) : RN_OK;
}

static rn_status draw_confusion(struct session *s)
{
    char title[200], percent[RN_NUMBER_CHARS];
    const struct rn_metrics *m = &s->e.m;
    if (!opt_text(s->o, "confusion")) return RN_OK;
    snprintf(title, sizeof title, "%s, %s, %s: top-1 %s %% of %" PRId64 " images", s->e.arch, s->data->name,
             s->e.split, rn_fixed_text(percent, tool_percent(m->correct, m->count), 2), m->count);
    const struct tool_confusion c = { title, s->name, m->confusion, s->e.classes };
    return tool_plot_confusion(opt_text(s->o, "confusion"), &c);
}

static rn_status evaluate(struct session *s, const struct rn_arch *a)
{
    rn_status st = make_net_and_loader(s, a);
    s->e.classes = a->classes;
    if (!st) st = name_classes(s);
    if (!st) st = choose_positive(s);
    if (!st) st = make_metrics(s);
    if (!st) st = rn_evaluate(&s->e.m, s->net, s->loader, NULL, NULL);
    if (st) return st;
    const struct rn_net_config *c = rn_net_config_of(s->net);
    s->e.arch = c->arch.name;
    s->e.stem = rn_stem_name(c->arch.stem);
    s->e.folded = c->fold;
    s->e.data = s->data->spec;
    s->e.split = opt_text(s->o, "split");
    s->e.numerics = opt_text(s->o, "numerics");
    rn_class_scores(s->score, s->e.m.confusion, s->e.classes);
    if (s->e.screening) st = screen(s);
    if (!st) st = write_logits(s);
    return st ? st : draw_confusion(s);
}

/* -- the size ---------------------------------------------------------------------------------- */

/* Of the images that the net is for, where there are none to look at. */
static int likely_image_size(const struct session *s, enum rn_stem stem)
{
    if (opt_text(s->o, "image-size")) return (int)opt_int(s->o, "image-size");
    int64_t stored = rn_checkpoint_int(s->file, "image_size", 0);
    if (stored >= 32 && stored <= 4096) return (int)stored;
    return stem == RN_STEM_CIFAR || stem == RN_STEM_CIFAR_POOL ? 32 : 224;
}

static rn_status measure_size(struct session *s, const struct rn_arch *a)
{
    struct rn_net_config c = { .arch = *a, .eval_batch = 1, .image_size = likely_image_size(s, a->stem) };
    rn_status st = s->net ? RN_OK : make_net(s, &c);
    s->size.numerics = opt_text(s->o, "numerics");
    return st ? st : tool_size_measure(&s->size, s->net, s->file->path);
}

/* -- the result -------------------------------------------------------------------------------- */
static rn_status report(struct session *s)
{
    struct rn_text t = {0};
    bool evaluated = s->e.score, sized = s->size.layer;
    if (opt_switch(s->o, "json")) {
        rn_text_add(&t, "{\n");
        if (evaluated) tool_evaluation_json(&t, &s->e);
        else tool_net_json(&t, s->size.arch, s->size.stem, s->size.numerics);
        if (sized) tool_size_json(&t, &s->size);
        rn_text_add(&t, "\n}\n");
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
/* What can be said of the files to be written before anything is read. */
static rn_status check_outputs(const struct session *s)
{
    static const char *const flag[] = { "logits", "roc", "confusion" };
    const char *path[RN_COUNT(flag)];
    rn_status st = opt_text(s->o, "confusion") ? tool_plot_check(opt_text(s->o, "confusion")) : RN_OK;
    for (size_t i = 0; !st && i < RN_COUNT(flag); i++) {
        path[i] = opt_text(s->o, flag[i]);
        for (size_t k = 0; k < i && path[i]; k++)
            if (path[k] && !strcmp(path[i], path[k]))
                return rn_fail(RN_EUSAGE, "--%s and --%s: both would be written to %s", flag[k], flag[i], path[i]);
        st = tool_file_check(path[i]);
    }
    return st;
}

/* The numerics of the training are the evaluation's, where this backend has them and no flag says otherwise:
 * so it gives the bits of the training's validation. */
static rn_status adopt_numerics(struct session *s)
{
    const char *there = rn_checkpoint_text(s->file, "numerics");
    const struct rn_ops *ops;
    if (!there || opt_given(s->o, "numerics")) return RN_OK;
    if (!rn_backend_find(&ops, opt_text(s->o, "backend"), there)) return opt_set_text(s->o, "numerics", there);
    rn_error_clear();
    return RN_OK;
}

static rn_status work(struct session *s)
{
    const char *path = opt_text(s->o, "checkpoint");
    bool size = opt_switch(s->o, "size"), images = !size || opt_text(s->o, "data");
    struct rn_arch arch;
    rn_status st;
    if (!path) return rn_fail(RN_EUSAGE, "--checkpoint FILE is needed");
    if ((st = check_outputs(s)) || (st = rn_checkpoint_open(&s->file, path))) return st;
    if ((st = choose_arch(&arch, s)) || (images && (st = open_data(s, &arch)))) return st;
    if ((st = adopt_numerics(s)) || (st = tool_device_open(&s->device, s->o))) return st;
    tool_mention_numerics(s->o, s->file);
    if (images && (st = evaluate(s, &arch))) return st;
    if (size && (st = measure_size(s, &arch))) return st;
    return report(s);
}

static void end(struct session *s)
{
    rn_free(s->e.m.confusion);
    rn_free(s->e.m.logits);
    rn_free(s->e.m.calibration);
    rn_free(s->e.m.leaning);
    rn_free(s->score);
    rn_free(s->names);
    rn_free(s->name);
    rn_free(s->size.layer);
    rn_loader_free(s->loader);
    rn_net_free(s->net);
    rn_dataset_close(s->data);
    rn_checkpoint_free(s->file);
    tool_device_close(&s->device);
}

static rn_status run(struct opt_set *o)
{
    struct session s = { .o = o };
    rn_status st = work(&s);
    end(&s);
    return st;
}

int main(int argc, char **argv)
{
    const struct tool evaluate_tool = {
        .name = "evaluate", .summary = "measures how good a checkpoint is, and how large", .run = run,
        .table = { { rows, RN_COUNT(rows) }, { opt_common, opt_common_count } },
    };
    return tool_main(&evaluate_tool, argc, argv);
}
