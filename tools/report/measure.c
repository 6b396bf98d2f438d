/*
 * measure.c - measures what a run folder lacks: how long inference takes (bench.json), what the best
 * weights answer on the test images (evaluation.json, roc.csv), and which of them they get wrong
 * (misclassified.json).  The first two are what ./bench --json and ./evaluate --json print.
 */
#include "tools/report/report.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/image.h"
#include "tools/bench/run.h"
#include "tools/evaluate/evaluator.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 24        /* misclassified images at most */
#define LARGEST_SIDE 256 /* of a picture; a larger one is thinned out */
#define NO_MEASURE "--no-measure; to have it: ./report %s"

static void say(const struct opt_set *o, const char *fmt, const char *a, const char *b)
{
    if (opt_switch(o, "quiet")) return;
    fprintf(stderr, "report: ");
    fprintf(stderr, fmt, a, b);
    fprintf(stderr, "\n");
}

/* The text becomes the file NAME of the folder, and *j; that it cannot be written is only said. */
static rn_status keep(struct report_json *j, struct rn_text *t, const struct report_run *r, const char *name,
                      const struct opt_set *o)
{
    struct report_json fresh = { .path = rn_path_join(r->folder, name) };
    rn_status st = fresh.path ? rn_text_status(t) : RN_ENOMEM;
    if (!st) st = rn_json_parse(&fresh.root, t->data, t->length, fresh.path);
    if (!st && rn_file_write(fresh.path, t->data, t->length)) say(o, "%s; it is not kept%s", rn_error(), "");
    if (!st) {
        fresh.text = t->data;
        *t = (struct rn_text){ 0 };
        report_json_free(j);
        *j = fresh;
    } else {
        report_json_free(&fresh);
    }
    return st;
}

/* The file is not there, or not of use, because of what rn_error says. */
static void give_up(struct report_json *j, const struct report_run *r, const char *what, const struct opt_set *o)
{
    rn_value_free(j->root);
    j->root = NULL;
    snprintf(j->why, sizeof j->why, "%s", rn_error());
    say(o, what, r->name, j->why);
    rn_error_clear();
}

/* -- speed ------------------------------------------------------------------------------------- */

static bool says(const struct rn_value *dict, const char *key, const char *text)
{
    const char *there = report_string(dict, key);
    return !there || !text || !strcmp(there, text);
}

static bool counts_to(const struct rn_value *dict, const char *key, int64_t number)
{
    const struct rn_value *v = rn_dict_get(dict, key);
    return !v || v->kind != RN_INT || v->integer == number;
}

/* Whether the user gave this flag, and it is one for measuring now. */
static bool asked(const struct opt_set *o, const char *name)
{
    return opt_switch(o, "measure") && opt_given(o, name);
}

/* Whether the file has these batch sizes, the first that memory did not suffice for included. */
static bool same_batches(const struct rn_value *root, const struct opt_set *o)
{
    const struct rn_value *results = rn_dict_get(root, "results"), *not_fitting = rn_dict_get(root, "not_fitting");
    double size[BENCH_SIZES];
    const size_t count = (size_t)opt_reals(o, "batch-sizes", size, BENCH_SIZES);
    if (results->count > count) return false;
    for (size_t i = 0; i < results->count; i++)
        if (rn_dict_get(results->item[i], "batch")->integer != (int64_t)size[i]) return false;
    if (results->count == count) return true;
    return not_fitting && not_fitting->kind == RN_LIST && not_fitting->count == 1 &&
           not_fitting->item[0]->kind == RN_DICT && rn_dict_get(not_fitting->item[0], "batch") &&
           counts_to(not_fitting->item[0], "batch", (int64_t)size[results->count]);
}

/* Whether bench.json was measured as the flags that are given say. */
static bool bench_as_asked(const struct rn_value *root, const struct opt_set *o)
{
    const struct rn_value *first = rn_dict_get(root, "results")->item[0];
    return (!asked(o, "batch-sizes") || same_batches(root, o)) &&
           (!asked(o, "warmup") || counts_to(root, "warmup", opt_int(o, "warmup"))) &&
           (!asked(o, "runs") || counts_to(root, "runs", opt_int(o, "runs"))) &&
           (!asked(o, "threads") || counts_to(first, "threads", opt_int(o, "threads")));
}

/* Whether bench.json is of this run's net, as far as it says, and what the flags ask for. */
static bool bench_fits(const struct report_run *r, const struct opt_set *o)
{
    const struct rn_value *root = r->bench.root;
    if (!root || !bench_as_asked(root, o)) return false;
    const struct rn_value *first = rn_dict_get(root, "results")->item[0];
    if (!r->layer) return true;
    return says(first, "mode", "infer") && says(first, "arch", r->net.arch.name) &&
           says(first, "numerics", opt_text(asked(o, "numerics") ? o : &r->conf, "numerics")) &&
           counts_to(first, "image_size", r->net.image_size) &&
           says(root, "stem", rn_stem_name(r->net.arch.stem)) &&
           counts_to(root, "num_classes", r->net.arch.classes) && counts_to(root, "upsample", r->net.upsample);
}

/* ./bench's settings for this run's net. */
static rn_status bench_settings(struct opt_set *b, const struct report_run *r, const struct opt_set *o)
{
    static const char *const ours[] = { "batch-sizes", "warmup", "runs", "threads", "backend", "isa", "quiet" };
    static const char *const the_runs[] = { "arch", "stem", "num-classes", "image-size", "upsample", "numerics" };
    rn_status st = RN_OK;
    opt_begin(b, "report", "");
    opt_add(b, opt_net, opt_net_count);
    opt_add(b, bench_rows, bench_rows_count);
    opt_add(b, opt_common, opt_common_count);
    for (size_t i = 0; !st && i < b->rows; i++)
        if (b->row[i]->fallback) st = opt_set_text(b, b->row[i]->name, b->row[i]->fallback);
    for (size_t i = 0; !st && i < RN_COUNT(ours); i++)
        if (opt_text(o, ours[i])) st = opt_set_text(b, ours[i], opt_text(o, ours[i]));
    for (size_t i = 0; !st && i < RN_COUNT(the_runs); i++)
        if (opt_text(&r->conf, the_runs[i])) st = opt_set_text(b, the_runs[i], opt_text(&r->conf, the_runs[i]));
    if (!st && opt_given(o, "numerics")) st = opt_set_text(b, "numerics", opt_text(o, "numerics"));
    return st ? st : opt_set_text(b, "data-free", "true");
}

static rn_status sweep(struct report_run *r, struct opt_set *b, const struct opt_set *o)
{
    struct bench_result result[BENCH_SIZES];
    double size[BENCH_SIZES];
    char number[RN_NUMBER_CHARS], why[400] = "";
    struct bench_refused refused = { .batch = 0 };
    struct rn_text t = { 0 };
    int count = opt_reals(b, "batch-sizes", size, BENCH_SIZES), done = 0;
    rn_status st = RN_OK;
    for (; !st && done < count; done += !st) {
        say(o, "%s: timing inference, batch %s", r->name, rn_number_text(number, size[done]));
        st = bench_measure(&result[done], b, (int)size[done]);
    }
    if (st && !done) return st;
    if (st) {
        snprintf(why, sizeof why, "from batch %s on: %s", rn_number_text(number, size[done]), rn_error());
        refused.batch = (int)size[done];
        snprintf(refused.why, sizeof refused.why, "%s", rn_error());
    }
    bench_add_json(&t, b, result, done, &refused, st != RN_OK);
    st = keep(&r->bench, &t, r, "bench.json", o);
    snprintf(r->bench.why, sizeof r->bench.why, "%s", why);
    rn_text_free(&t);
    return st;
}

static void measure_speed(struct report_run *r, const struct opt_set *o)
{
    struct opt_set b;
    rn_status st = r->layer ? bench_settings(&b, r, o) : rn_fail(RN_EINPUT, "%s", r->why_net);
    if (!st) st = sweep(r, &b, o);
    if (r->layer) opt_end(&b);
    if (st) give_up(&r->bench, r, "%s: inference was not timed: %s", o);
}

/* -- answers ----------------------------------------------------------------------------------- */

/* A wrong answer. */
struct missed { int64_t index; int label, answer; double confidence; };

/* The surest first. */
static int surer(const void *a, const void *b)
{
    const struct missed *x = a, *y = b;
    if (x->confidence != y->confidence) return x->confidence > y->confidence ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static rn_status find_missed(struct missed **list, int64_t *count, const struct tool_evaluation *e,
                             const struct rn_split *split)
{
    struct missed *m = rn_alloc_array((size_t)(e->m.count - e->m.correct) + 1, sizeof *m);
    if (!(*list = m)) return RN_ENOMEM;
    *count = 0;
    for (int64_t i = 0; i < e->m.count; i++) {
        const float *logits = e->m.logits + i * e->classes;
        bool top1, top5;
        int answer;
        rn_score(&top1, &top5, &answer, logits, e->classes, split->labels[i]);
        if (!top1) m[(*count)++] = (struct missed){ i, split->labels[i], answer, rn_confidence(logits, e->classes) };
    }
    qsort(m, (size_t)*count, sizeof *m, surer);
    return RN_OK;
}

static void add_base64(struct rn_text *t, const uint8_t *data, size_t bytes)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t x = (uint32_t)data[i] << 16;
        if (i + 1 < bytes) x |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < bytes) x |= data[i + 2];
        char four[4] = { digit[x >> 18], digit[x >> 12 & 63], i + 1 < bytes ? digit[x >> 6 & 63] : '=',
                         i + 2 < bytes ? digit[x & 63] : '=' };
        rn_text_bytes(t, four, sizeof four);
    }
}

/* The PNG in base64 of a picture [3][height][width], every step-th pixel of it. */
static rn_status picture(char **base64, const uint8_t *pixels, int height, int width)
{
    const int step = (RN_MAX(height, width) + LARGEST_SIDE - 1) / LARGEST_SIDE, h = height / step, w = width / step;
    uint8_t *planes = rn_alloc_array((size_t)3 * (size_t)h, (size_t)w), *png = NULL;
    struct rn_text t = { 0 };
    size_t bytes, at = 0;
    if (!planes) return RN_ENOMEM;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                planes[at++] = pixels[((size_t)c * (size_t)height + (size_t)(y * step)) * (size_t)width +
                                      (size_t)(x * step)];
    rn_status st = rn_png_encode(&png, &bytes, planes, w, h);
    if (!st) add_base64(&t, png, bytes);
    if (!st) st = rn_text_status(&t);
    if (!st) *base64 = t.data;
    else rn_text_free(&t);
    rn_free(png);
    rn_free(planes);
    return st;
}

/* One more pass over the images for the pictures of the first `shown` of the list. */
static rn_status take_pictures(char **base64, const struct missed *list, int shown, const struct tool_evaluator *v,
                               const struct rn_split *split, int64_t count)
{
    const struct rn_loader_config c = { .set = v->data, .split = split, .limit = count, .batch = (int)RN_MIN(count, 64),
                                        .std = { 1, 1, 1 }, .workers = 1 };
    struct rn_loader *loader = NULL;
    struct rn_batch batch;
    rn_status st = shown ? rn_loader_create(&loader, &c) : RN_OK;
    if (!st && shown) st = rn_loader_begin(loader, 0, 0);
    while (!st && shown && !(st = rn_loader_next(loader, &batch)) && batch.n) {
        size_t size = 3 * (size_t)v->data->height * (size_t)v->data->width;
        for (int i = 0; !st && i < batch.n; i++)
            for (int k = 0; !st && k < shown; k++)
                if (list[k].index == batch.index[i])
                    st = picture(&base64[k], batch.images.pixels + (size_t)i * size, v->data->height, v->data->width);
    }
    rn_loader_free(loader);
    return st;
}

static void add_missed_json(struct rn_text *t, const struct tool_evaluation *e, const struct tool_evaluator *v,
                            const struct missed *list, int64_t wrong, char *const *base64, int shown)
{
    const char *build = rn_checkpoint_text(v->file, "build");
    rn_text_add(t, "{\n  \"weights_hash\": \"%016" PRIx64 "\",\n  \"build\": ", e->weights_hash);
    rn_text_json(t, build ? build : "");
    rn_text_add(t, ",\n  \"split\": ");
    rn_text_json(t, e->split);
    rn_text_add(t, ",\n  \"test_is_validation\": %s,\n  \"count\": %" PRId64 ",\n  \"wrong\": %" PRId64
                ",\n  \"images\": [", v->data->has_test ? "false" : "true", e->m.count, wrong);
    for (int i = 0; i < shown; i++) {
        rn_text_add(t, "%s\n    {\"index\": %" PRId64 ", \"label\": ", i ? "," : "", list[i].index);
        rn_text_json(t, e->names[list[i].label]);
        rn_text_add(t, ", \"answer\": ");
        rn_text_json(t, e->names[list[i].answer]);
        rn_text_add(t, ", \"confidence\": ");
        rn_text_number(t, list[i].confidence);
        rn_text_add(t, ", \"png\": \"%s\"}", base64[i] ? base64[i] : "");
    }
    rn_text_add(t, "\n  ]\n}\n");
}

static rn_status keep_missed(struct report_run *r, const struct tool_evaluation *e, const struct tool_evaluator *v,
                             const struct opt_set *o)
{
    const struct rn_split *split = tool_evaluator_split(v, "test");
    struct missed *list = NULL;
    char *base64[SHOWN] = { NULL };
    struct rn_text t = { 0 };
    int64_t wrong = 0;
    rn_status st = find_missed(&list, &wrong, e, split);
    const int shown = (int)RN_MIN(wrong, SHOWN);
    if (!st) st = take_pictures(base64, list, shown, v, split, e->m.count);
    if (!st) add_missed_json(&t, e, v, list, wrong, base64, shown);
    if (!st) st = keep(&r->missed, &t, r, "misclassified.json", o);
    for (int i = 0; i < SHOWN; i++) rn_free(base64[i]);
    rn_text_free(&t);
    rn_free(list);
    return st;
}

static rn_status keep_roc(struct report_run *r, const struct tool_evaluation *e, const struct opt_set *o)
{
    struct rn_text t = { 0 };
    char *path = rn_path_join(r->folder, "roc.csv");
    rn_status st = path ? RN_OK : RN_ENOMEM;
    if (!st && e->classes == 2) {
        tool_roc_csv(&t, e->m.leaning, e->m.count);
        st = rn_text_status(&t);
        if (!st && rn_file_write(path, t.data, t.length)) say(o, "%s; it is not kept%s", rn_error(), "");
        else if (!st) st = report_roc_read(r);
    }
    rn_text_free(&t);
    rn_free(path);
    return st;
}

/* What ./evaluate prints, and how many of the split's images there was to be. */
static rn_status keep_evaluation(struct report_run *r, const struct tool_evaluation *e,
                                 const struct tool_evaluator *v, const struct opt_set *o)
{
    struct rn_text t = { 0 };
    rn_text_add(&t, "{\n");
    tool_evaluation_json(&t, e);
    rn_text_add(&t, ",\n  \"limit\": %" PRId64 ",\n  \"split_images\": %" PRId64 "\n}\n", v->want.limit,
                tool_evaluator_split(v, "test")->count);
    rn_status st = keep(&r->evaluation, &t, r, "evaluation.json", o);
    rn_text_free(&t);
    return st ? st : report_check_evaluation(&r->evaluation);
}

/* Whether a file is of the weights that are stored as the best, as far as both say. */
static bool of_best(const struct report_json *j, const struct report_run *r)
{
    return j->root && (!*r->best_hash || says(j->root, "weights_hash", r->best_hash));
}

static bool is_class(const struct rn_value *root, const char *name)
{
    const struct rn_value *names = rn_dict_get(root, "classes");
    bool found = false;
    for (size_t i = 0; i < names->count && name; i++) found |= !strcmp(names->item[i]->text, name);
    return found;
}

/* Whether the class looked for is the one that the flag means, by name or else by number. */
static bool looks_for(const struct rn_value *root, const char *class)
{
    const struct rn_value *names = rn_dict_get(root, "classes");
    const char *there = report_string(root, "positive_class");
    int64_t number;
    if (!is_class(root, class) && rn_parse_int(&number, class) && number >= 0 && (uint64_t)number < names->count)
        class = names->item[number]->text;
    return there && !strcmp(there, class);
}

/* Whether the threshold was chosen for this sensitivity. */
static bool chosen_for(const struct rn_value *root, double sensitivity)
{
    const struct rn_value *choice = rn_dict_get(root, "threshold_choice"), *v;
    v = choice && choice->kind == RN_DICT ? rn_dict_get(choice, "target_sensitivity") : NULL;
    return v && ((v->kind == RN_REAL && v->real == sensitivity) ||
                 (v->kind == RN_INT && (double)v->integer == sensitivity));
}

/* Whether evaluation.json is of the images, the arithmetic and the decisions that the flags ask for. */
static bool answers_as_asked(const struct report_run *r, const struct opt_set *o)
{
    const struct rn_value *root = r->evaluation.root;
    const char *key = rn_dict_get(root, "limit") ? "limit" : "count";
    return (!asked(o, "limit") || counts_to(root, key, opt_int(o, "limit"))) &&
           (!asked(o, "data") || says(root, "data", opt_text(o, "data"))) &&
           (!asked(o, "numerics") || says(root, "numerics", opt_text(o, "numerics"))) &&
           (!asked(o, "positive-class") || looks_for(root, opt_text(o, "positive-class"))) &&
           (!asked(o, "target-sensitivity") || chosen_for(root, opt_real(o, "target-sensitivity")));
}

/* As many images as evaluation.json says it is of, where that stays. */
static int64_t limit_of(const struct report_run *r, const struct opt_set *o, bool keep_figures)
{
    const struct rn_value *v = keep_figures ? rn_dict_get(r->evaluation.root, "limit") : NULL;
    return v && v->kind == RN_INT && v->integer >= 0 ? v->integer : opt_int(o, "limit");
}

/* Where evaluation.json stays, the curve is to be of its positive class. */
static struct tool_evaluate wishes(const struct report_run *r, const struct opt_set *o, bool keep_figures)
{
    struct tool_evaluate want = { .checkpoint = r->checkpoint, .data = opt_text(o, "data"), .split = "test",
                                  .limit = limit_of(r, o, keep_figures), .workers = TOOL_WORKERS, .logits = true,
                                  .resamples = 1000 };
    const char *kept = keep_figures ? report_string(r->evaluation.root, "positive_class") : NULL;
    if (!keep_figures) want.positive_class = opt_text(o, "positive-class");
    else if (is_class(r->evaluation.root, kept)) want.positive_class = kept;
    if (!keep_figures && opt_text(o, "target-sensitivity"))
        want.sensitivity = (struct rn_optional){ true, opt_real(o, "target-sensitivity") };
    return want;
}

static rn_status evaluate(struct report_run *r, struct opt_set *o, bool keep_figures)
{
    struct tool_evaluator v = { 0 };
    struct tool_evaluation e = { 0 };
    const struct tool_evaluate want = wishes(r, o, keep_figures);
    rn_status st = tool_evaluator_open(&v, o, &want);
    if (!st) st = tool_evaluator_data(&v);
    if (!st) st = tool_evaluator_run(&e, &v);
    if (!st && !keep_figures) st = keep_evaluation(r, &e, &v, o);
    if (!st) st = keep_roc(r, &e, o);
    if (!st) st = keep_missed(r, &e, &v, o);
    tool_evaluation_free(&e);
    tool_evaluator_close(&v);
    return st;
}

/* RN_EUSAGE: a flag has no sense for this net; all else that fails is said, and a reason. */
static rn_status measure_answers(struct report_run *r, struct opt_set *o)
{
    const bool figures = of_best(&r->evaluation, r) && answers_as_asked(r, o);
    const struct rn_value *names = figures ? rn_dict_get(r->evaluation.root, "classes") : NULL;
    if (figures && of_best(&r->missed, r) && (names->count != 2 || r->roc_points)) return RN_OK;
    say(o, "%s: evaluating %s on the test images", r->name, r->checkpoint ? r->checkpoint : "nothing");
    rn_status st = r->checkpoint ? evaluate(r, o, figures) : rn_fail(RN_EINPUT, "%s/checkpoints: no *_best.pth or "
                                                                     "*_last.pth in it", r->folder);
    if (!st || (st == RN_EUSAGE && (asked(o, "positive-class") || asked(o, "target-sensitivity")))) return st;
    char why[512];
    snprintf(why, sizeof why, "%s", rn_error());
    give_up(&r->missed, r, "%s: not evaluated: %s", o);
    if (figures) return RN_OK;
    rn_value_free(r->evaluation.root);
    r->evaluation.root = NULL;
    snprintf(r->evaluation.why, sizeof r->evaluation.why, "%s", why);
    return RN_OK;
}

/* -- both -------------------------------------------------------------------------------------- */

/* Without measuring: what is of other weights or another net does not count. */
static void leave_out(struct report_json *j, const struct report_run *r, bool fits)
{
    const char *end = strrchr(j->path, '/');
    if (j->root && fits) return;
    snprintf(j->why, sizeof j->why, j->root ? "%s is not of this run's best weights or net, and " NO_MEASURE
                                            : "there is no %s, and " NO_MEASURE, end ? end + 1 : j->path, r->folder);
    rn_value_free(j->root);
    j->root = NULL;
}

static rn_status measure_one(struct report_run *r, struct opt_set *o)
{
    rn_status st = RN_OK;
    if (opt_switch(o, "measure")) {
        st = measure_answers(r, o);
    } else {
        leave_out(&r->bench, r, bench_fits(r, o));
        leave_out(&r->evaluation, r, of_best(&r->evaluation, r));
        leave_out(&r->missed, r, of_best(&r->missed, r));
    }
    const char *build = report_string(r->missed.root, "build");
    if (build && !*r->build) rn_printable(r->build, sizeof r->build, build, strlen(build));
    return st;
}

/* Speed first: its processes fork off here, and must not inherit a team of threads that evaluating has made. */
rn_status report_measure(struct report_run *r, int runs, struct opt_set *o)
{
    rn_status st = RN_OK;
    for (int i = 0; i < runs; i++)
        if (opt_switch(o, "measure") && !bench_fits(&r[i], o)) measure_speed(&r[i], o);
    for (int i = 0; i < runs && !st; i++) st = measure_one(&r[i], o);
    return st;
}
