/*
 * evaluate.c - ./evaluate: how good the weights of a file are on a data set.  What the file says
 * about itself (stem, size, normalisation, class names, data) is believed unless a flag says
 * otherwise; widths come from the shapes.
 */
#include "base/mem.h"
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
    { "logits", OPT_TEXT, NULL, 0, 0, NULL, "FILE.npy", "all outputs, float32, images x classes",
      "Evaluation" },
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
    struct opt_set o;
    struct rn_checkpoint *file;
    struct rn_dataset *data;
    struct tool_device device;
    struct rn_net *net;
    struct rn_loader *loader;
    struct rn_metrics m;
    const char **names;   /* [classes] */
    int classes;
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
    const char *name = opt_text(&s->o, "stem");
    if (!name) name = rn_checkpoint_text(s->file, "stem");
    *said = name;
    *stem = RN_STEM_CIFAR;
    return name ? rn_stem_parse(stem, name) : RN_OK;
}

static rn_status choose_arch(struct rn_arch *a, struct session *s)
{
    enum rn_stem stem;
    bool said;
    rn_status st = wanted_stem(&stem, &said, s);
    if (st) return st;
    if ((st = rn_arch_from_shapes(a, stem, rn_checkpoint_shape, s->file))) return misfit(s, st);
    if (said && a->stem != stem)
        return rn_fail(RN_EINPUT, "%s: conv1.weight is of stem %s; %s was asked for", s->file->path,
                       rn_stem_name(a->stem), rn_stem_name(stem));
    int64_t classes = opt_text(&s->o, "num-classes") ? opt_int(&s->o, "num-classes") : a->classes;
    if (classes != a->classes)
        return rn_fail(RN_EINPUT, "%s: fc.weight has %d classes, --num-classes is %" PRId64,
                       s->file->path, a->classes, classes);
    if (!said && a->stem == RN_STEM_CIFAR && !opt_switch(&s->o, "quiet"))
        fprintf(stderr,
                "evaluate: %s does not say its stem; taking cifar (--stem cifar-pool or 3x3s2 are "
                "the "
                "others of this shape)\n",
                s->file->path);
    const char *arch = opt_text(&s->o, "arch");
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
    const char *spec = opt_text(&s->o, "data");
    bool train = !strcmp(opt_text(&s->o, "split"), "train");
    bool sized = spec && strchr(spec, ':'); /* explicit data outrank the stored size */
    if (!spec) spec = rn_checkpoint_text(s->file, "data");
    int64_t size = opt_text(&s->o, "image-size") ? opt_int(&s->o, "image-size")
                   : sized                       ? 0
                                                 : rn_checkpoint_int(s->file, "image_size", 0);
    rn_status st =
        rn_dataset_open(&s->data, spec ? spec : "demo", size > 0 && size <= 4096 ? (int)size : 0);
    if (st) return st;
    if (a->classes < s->data->classes)
        return rn_fail(RN_EINPUT, "%s: fc.weight has %d classes, %s has %d", s->file->path,
                       a->classes, s->data->spec, s->data->classes);
    if ((st = check_names(s))) return st;
    if (s->data->height != s->data->width)
        return rn_fail(RN_EINPUT, "images of %s are %dx%d; the net wants squares", s->data->spec,
                       s->data->height, s->data->width);
    s->count = train ? s->data->train.count : s->data->val.count;
    if (opt_int(&s->o, "limit")) s->count = RN_MIN(s->count, opt_int(&s->o, "limit"));
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
    if (opt_text(&s->o, name)) {
        int count = opt_reals(&s->o, name, x, 4);
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
    bool train = !strcmp(opt_text(&s->o, "split"), "train");
    *c = (struct rn_loader_config){ .set = s->data, .split = train ? &s->data->train : &s->data->val,
                                    .limit = opt_int(&s->o, "limit"),
                                    .batch = (int)RN_MIN(opt_int(&s->o, "batch-size"), s->count),
                                    .workers = (int)opt_int(&s->o, "workers") };
    rn_status st = normalisation(c->mean, s, "mean", s->data->mean);
    return st ? st : normalisation(c->std, s, "std", s->data->std);
}

/* The net before the loader, whose memory it is told: it refuses before anything large is allocated. */
static rn_status make_net(struct session *s, const struct rn_arch *a,
                          const struct rn_loader_config *images)
{
    struct rn_loader_size size;
    rn_status st = rn_loader_measure(&size, images);
    if (st) return st;
    int64_t upsample = opt_text(&s->o, "upsample") ? opt_int(&s->o, "upsample")
                                                   : rn_checkpoint_int(s->file, "upsample", 0);
    struct rn_net_config c = { .arch = *a, .image_size = s->data->height,
                               .upsample = upsample > 0 && upsample <= 4096 ? (int)upsample : 0,
                               .eval_batch = images->batch, .fold = opt_switch(&s->o, "fold"),
                               .beside_bytes = size.bytes };
    st = rn_net_create(&s->net, &c, s->device.ops, s->device.dev);
    s->classes = a->classes;
    return st ? st : rn_load_weights(s->net, s->file, false);
}

/* The checkpoint's class names if it has one for each class, else the data's, else numbers. */
static rn_status name_classes(struct session *s)
{
    const struct rn_value *v = rn_dict_get(s->file->own, "class_names");
    bool own = v && v->kind == RN_LIST && v->count == (size_t)s->classes;
    s->names = rn_alloc_array((size_t)s->classes, sizeof *s->names);
    if (!s->names) return RN_ENOMEM;
    for (int i = 0; i < s->classes; i++) {
        if (own && v->item[i]->kind == RN_STRING) s->names[i] = v->item[i]->text;
        else s->names[i] = i < s->data->classes ? s->data->class_names[i] : "(no name)";
    }
    return RN_OK;
}

/* -- the result -------------------------------------------------------------------------------- */
static double percent(int64_t part, int64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static int64_t row_sum(const struct session *s, int row)
{
    int64_t sum = 0;
    for (int k = 0; k < s->classes; k++) sum += s->m.confusion[(int64_t)row * s->classes + k];
    return sum;
}

static void add_json(struct rn_text *t, const struct session *s)
{
    const struct rn_metrics *m = &s->m;
    rn_text_add(t,
                "{\n  \"count\": %" PRId64 ",\n  \"correct\": %" PRId64 ",\n  \"top1\": ", m->count,
                m->correct);
    rn_text_number(t, percent(m->correct, m->count));
    rn_text_add(t, ",\n  \"top5\": ");
    rn_text_number(t, percent(m->correct5, m->count));
    rn_text_add(t, ",\n  \"loss\": ");
    rn_text_number(t, m->loss);
    rn_text_add(t, ",\n  \"images_per_second\": ");
    rn_text_number(t, m->seconds > 0 ? (double)m->count / m->seconds : 0);
    rn_text_add(t, ",\n  \"classes\": [");
    for (int i = 0; i < s->classes; i++) {
        rn_text_add(t, "%s", i ? ", " : "");
        rn_text_json(t, s->names[i]);
    }
    rn_text_add(t, "],\n  \"confusion\": [");
    for (int i = 0; i < s->classes; i++) {
        rn_text_add(t, "%s\n    [", i ? "," : "");
        for (int k = 0; k < s->classes; k++)
            rn_text_add(t, "%s%" PRId64, k ? ", " : "", m->confusion[(int64_t)i * s->classes + k]);
        rn_text_add(t, "]");
    }
    rn_text_add(t, "\n  ]\n}\n");
}

static void add_totals(struct rn_text *t, const struct session *s)
{
    const struct rn_metrics *m = &s->m;
    const struct rn_net_config *c = rn_net_config_of(s->net);
    rn_text_add(t, "%s%s on %s, %s: %" PRId64 " images\ntop-1 ", c->arch.name, c->fold ? ", folded," : "",
                s->data->spec, opt_text(&s->o, "split"), m->count);
    rn_text_fixed(t, percent(m->correct, m->count), 2);
    rn_text_add(t, " %% (%" PRId64 " correct)  top-5 ", m->correct);
    rn_text_fixed(t, percent(m->correct5, m->count), 2);
    rn_text_add(t, " %%  loss ");
    rn_text_fixed(t, m->loss, 5);
    rn_text_add(t, "  ");
    rn_text_fixed(t, m->seconds > 0 ? (double)m->count / m->seconds : 0, 1);
    rn_text_add(t, " images/s\n");
}

#define WIDE_TABLE 30 /* classes; beyond it the confusion matrix is left to --json */

static void add_tables(struct rn_text *t, const struct session *s)
{
    rn_text_add(t, "\n%-4s %-20s %8s %8s %9s\n", "", "class", "images", "correct", "accuracy");
    for (int i = 0; i < s->classes; i++) {
        int64_t images = row_sum(s, i), right = s->m.confusion[(int64_t)i * s->classes + i];
        char text[RN_NUMBER_CHARS];
        rn_text_add(t, "%4d %-20.40s %8" PRId64 " %8" PRId64 " %7s %%\n", i, s->names[i], images,
                    right, rn_fixed_text(text, percent(right, images), 2));
    }
    if (s->classes > WIDE_TABLE) return;
    rn_text_add(t, "\nconfusion: a row for each label, a column for each answer\n     ");
    for (int k = 0; k < s->classes; k++) rn_text_add(t, " %6d", k);
    for (int i = 0; i < s->classes; i++) {
        rn_text_add(t, "\n%4d ", i);
        for (int k = 0; k < s->classes; k++)
            rn_text_add(t, " %6" PRId64, s->m.confusion[(int64_t)i * s->classes + k]);
    }
    rn_text_add(t, "\n");
}

static rn_status report(struct session *s)
{
    struct rn_text t = {0};
    if (opt_switch(&s->o, "json")) {
        add_json(&t, s);
    } else {
        add_totals(&t, s);
        add_tables(&t, s);
    }
    rn_status st = rn_text_status(&t);
    if (!st) fputs(t.data, stdout);
    rn_text_free(&t);
    return st;
}

static rn_status write_logits(struct session *s)
{
    struct rn_tensor t = { .dtype = RN_F32, .dims = 2, .shape = { s->m.count, s->classes },
                           .count = s->m.count * s->classes, .data = s->m.logits };
    return rn_npy_write(opt_text(&s->o, "logits"), &t);
}

/* Weights are numbers and work under any arithmetic; that they come from another one is said. */
static void mention_numerics(const struct session *s)
{
    const char *now = opt_text(&s->o, "numerics"), *there = rn_checkpoint_text(s->file, "numerics");
    char shown[64];
    if (there && strcmp(there, now) && !opt_switch(&s->o, "quiet"))
        fprintf(stderr, "evaluate: %s was trained under --numerics %s; this is %s\n", s->file->path,
                rn_printable(shown, sizeof shown, there, strlen(there)), now);
}

/* -- the program ------------------------------------------------------------------------------- */
static rn_status run(struct session *s)
{
    const char *path = opt_text(&s->o, "checkpoint");
    size_t classes;
    struct rn_arch arch;
    struct rn_loader_config images;
    rn_status st;
    if (!path) return rn_fail(RN_EUSAGE, "--checkpoint FILE is needed");
    if ((st = rn_checkpoint_open(&s->file, path))) return st;
    if ((st = choose_arch(&arch, s)) || (st = open_data(s, &arch))) return st;
    if ((st = tool_device_open(&s->device, &s->o))) return st;
    mention_numerics(s);
    if ((st = choose_images(&images, s)) || (st = make_net(s, &arch, &images))) return st;
    if ((st = rn_loader_create(&s->loader, &images)) || (st = name_classes(s))) return st;
    classes = (size_t)s->classes;
    if (!(s->m.confusion = rn_alloc_array(classes * classes, sizeof *s->m.confusion)))
        return RN_ENOMEM;
    if (opt_text(&s->o, "logits") &&
        !(s->m.logits = rn_alloc_array((size_t)s->count * classes, sizeof *s->m.logits)))
        return RN_ENOMEM;
    st = rn_evaluate(&s->m, s->net, s->loader, NULL, NULL);
    if (!st && s->m.logits) st = write_logits(s);
    return st ? st : report(s);
}

static void end(struct session *s)
{
    rn_free(s->m.confusion);
    rn_free(s->m.logits);
    rn_free(s->names);
    rn_loader_free(s->loader);
    rn_net_free(s->net);
    rn_dataset_close(s->data);
    rn_checkpoint_free(s->file);
    tool_device_close(&s->device);
    opt_end(&s->o);
}

int main(int argc, char **argv)
{
    static struct session s;
    opt_begin(&s.o, "evaluate", "measures the accuracy of a checkpoint");
    opt_add(&s.o, rows, RN_COUNT(rows));
    opt_add(&s.o, opt_common, opt_common_count);
    rn_status st = opt_parse(&s.o, argc, argv);
    if (!st && opt_switch(&s.o, "help")) opt_print_help(&s.o);
    else if (!st && opt_switch(&s.o, "version")) opt_print_version(&s.o);
    else if (!st) st = run(&s);
    int code = tool_exit("evaluate", st);
    end(&s);
    return code;
}
