/*
 * test_evaluator.c - a file of weights judged on two splits: whose images choose the threshold, what is the same for
 * every batch size and number of threads, what the JSON says, and memory that runs out at any place.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_net.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/store.h"
#include "io/io.h"
#include "tools/evaluate/evaluator.h"
#include "tools/evaluate/predict.h"

#include <unistd.h>

enum { VAL = 24, TEST = 18, SIDE = 32 };
#define PIXELS ((size_t)3 * SIDE * SIDE)

static char folder[] = "/tmp/resnet-test-evaluator-XXXXXX", weights[64];

/* A small net of two classes with random weights, as a file. */
static void write_weights(void)
{
    const struct rn_device_options o = { .threads = 1 };
    struct rn_net_config c = small(false, RN_STEM_IMAGENET, 0);
    struct rn_net *net;
    void *dev;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(weights, sizeof weights, "%s/net.safetensors", folder);
    c.arch.classes = 2;
    c.batch = 0;
    c.eval_batch = 1;
    CHECK_OK(rn_ops_cpu.open(&dev, &o));
    CHECK_OK(rn_net_create(&net, &c, &rn_ops_cpu, dev));
    rn_net_init(net, 7);
    CHECK_OK(rn_net_save(net, weights));
    rn_net_free(net);
    rn_ops_cpu.close(dev);
}

static bool fill_split(struct rn_split *s, int64_t count, uint32_t first)
{
    s->pixels = rn_alloc_array((size_t)count, PIXELS);
    s->labels = rn_alloc_array((size_t)count, sizeof *s->labels);
    if (!s->pixels || !s->labels) return false;
    s->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct rn_random r = rn_random(3, RN_RANDOM_TEST, 0, first + i);
        s->labels[i] = i % 3 == 0;
        const uint32_t shade = rn_random_below(&r, 100) + 40u * (uint32_t)s->labels[i];
        for (size_t k = 0; k < PIXELS; k++) s->pixels[i * PIXELS + k] = (uint8_t)(shade + rn_random_below(&r, 60));
    }
    return true;
}

/* Noise in shades; a third of the images are of class "light".  NULL: no memory. */
static struct rn_dataset *make_data(uint32_t test_images, bool has_test)
{
    struct rn_dataset *d = rn_alloc(sizeof *d);
    if (!d) return NULL;
    bool made = (d->spec = rn_strdup("shades")) && (d->name = rn_strdup("shades")) &&
                (d->class_names = rn_alloc_array(2, sizeof *d->class_names));
    d->has_test = has_test;
    d->channels = 3;
    d->height = d->width = SIDE;
    d->classes = made ? 2 : 0;
    for (int k = 0; k < 3; k++) d->mean[k] = d->std[k] = 0.5;
    for (int k = 0; made && k < 2; k++) made = (d->class_names[k] = rn_strdup(k ? "light" : "dark"));
    made = made && fill_split(&d->val, VAL, 0) && (!has_test || fill_split(&d->test, TEST, test_images));
    if (!has_test) d->test = d->val;
    if (made) return d;
    rn_dataset_close(d);
    return NULL;
}

static void make_options(struct opt_set *o, const char *threads)
{
    char program[] = "evaluate", quiet[] = "--quiet", flag[] = "--threads", number[8];
    snprintf(number, sizeof number, "%s", threads);
    char *argv[] = { program, quiet, flag, number, NULL };
    opt_begin(o, "evaluate", "");
    opt_add(o, opt_common, opt_common_count);
    CHECK_OK(opt_parse(o, 4, argv));
}

/* The whole way; *e and *text are the caller's also when it fails. */
static rn_status judge(struct tool_evaluation *e, struct rn_text *text, struct opt_set *o,
                       const struct tool_evaluate *want, uint32_t test_images, bool has_test)
{
    struct tool_evaluator v = {0};
    rn_status st = tool_evaluator_open(&v, o, want);
    struct rn_dataset *d = st ? NULL : make_data(test_images, has_test);
    if (!st) st = d ? tool_evaluator_use(&v, d) : RN_ENOMEM;
    if (!st) st = tool_evaluator_run(e, &v);
    if (!st) {
        rn_text_add(text, "{\n");
        tool_evaluation_json(text, e);
        rn_text_add(text, "\n}\n");
        st = rn_text_status(text);
    }
    tool_evaluator_close(&v);
    return st;
}

static struct tool_evaluate on(const char *split, int batch)
{
    return (struct tool_evaluate){ .checkpoint = weights, .split = split, .batch = batch, .resamples = 50,
                                   .sensitivity = { true, 0.7 } };
}

static struct tool_screening screening(const struct tool_evaluate *want, uint32_t test_images, bool has_test,
                                       const char *threads)
{
    struct tool_evaluation e = {0};
    struct rn_text text = {0};
    struct opt_set o;
    make_options(&o, threads);
    CHECK_OK(judge(&e, &text, &o, want, test_images, has_test));
    const struct tool_screening s = e.screening;
    tool_evaluation_free(&e);
    rn_text_free(&text);
    opt_end(&o);
    return s;
}

/* -- thresholds -------------------------------------------------------------------------------- */

/* Validation images choose; other test images leave the threshold and get other figures. */
static void test_who_chooses(void)
{
    const struct tool_evaluate val = on("val", 5), test = on("test", 5);
    const struct tool_screening own = screening(&val, 100, true, "1");
    const struct tool_screening a = screening(&test, 100, true, "1"), b = screening(&test, 200, true, "1");
    CHECK(own.chosen.same_images && !strcmp(own.chosen.split, "val"));
    CHECK(own.counts.true_positive == 6 && own.counts.false_negative == 2); /* 6 of 8 are the first above 0.7 */
    CHECK(!a.chosen.same_images && !strcmp(a.chosen.split, "val"));
    CHECK(a.counts.threshold == own.counts.threshold && b.counts.threshold == own.counts.threshold);
    CHECK(!memcmp(&a.chosen.counts, &own.counts, sizeof own.counts));
    CHECK(a.counts.true_positive + a.counts.false_negative == 6);
    CHECK(a.figures.figure[RN_AUC] != b.figures.figure[RN_AUC]);
}

/* Without test images of their own, "test" is "val", and that is said. */
static void test_one_split(void)
{
    const struct tool_evaluate test = on("test", 5);
    const struct tool_screening s = screening(&test, 0, false, "1");
    CHECK(s.chosen.same_images && !strcmp(s.chosen.split, "test"));
    CHECK(s.counts.true_positive == 6 && s.counts.false_negative == 2);
}

/* Neither the size of batches nor threads move a bit. */
static void test_same_bits(void)
{
    const struct tool_evaluate one = on("test", 1), many = on("test", 64);
    const struct tool_screening a = screening(&one, 100, true, "1"), b = screening(&many, 100, true, "3");
    CHECK(!memcmp(&a.counts, &b.counts, sizeof a.counts) && !memcmp(&a.figures, &b.figures, sizeof a.figures));
    CHECK(!memcmp(&a.interval.low, &b.interval.low, sizeof a.interval.low));
    CHECK(!memcmp(&a.interval.high, &b.interval.high, sizeof a.interval.high));
}

/* A probability given decides, itself included: what a target chose gives the same decisions again. */
static void test_given_threshold(void)
{
    struct tool_evaluate want = on("val", 5);
    const struct tool_screening chosen = screening(&want, 100, true, "1");
    want.sensitivity.given = false;
    want.threshold = (struct rn_optional){ true, chosen.threshold };
    const struct tool_screening again = screening(&want, 100, true, "1");
    CHECK(again.given && !again.chosen.split && again.threshold == chosen.threshold);
    CHECK(again.counts.true_positive == chosen.counts.true_positive);
    CHECK(again.counts.false_positive == chosen.counts.false_positive);
    CHECK(again.figures.figure[RN_AUC] == chosen.figures.figure[RN_AUC]);
    want.threshold.value = 0;
    const struct tool_screening all = screening(&want, 100, true, "1");
    CHECK(all.threshold == 0 && all.counts.true_positive == 8 && all.counts.false_positive == VAL - 8);
    want.threshold.value = 1; /* of which no logit is sure */
    const struct tool_screening none = screening(&want, 100, true, "1");
    CHECK(none.counts.true_positive + none.counts.false_positive == 0 && none.counts.false_negative == 8);
}

/* The first image is light, the second is not: a limit of one leaves one class, and none to find. */
static void test_one_class(void)
{
    struct tool_evaluate want = on("val", 1);
    struct tool_evaluation e = {0};
    struct rn_text text = {0};
    struct opt_set o;
    make_options(&o, "1");
    want.limit = 1;
    want.positive_class = "dark";
    CHECK(judge(&e, &text, &o, &want, 0, false) == RN_EINPUT);
    CHECK_MSG(strstr(rn_error(), "none of the 1 images of shades, val, is of class \"dark\""), "%s", rn_error());
    tool_evaluation_free(&e);
    want.sensitivity.given = false;
    CHECK_OK(judge(&e, &text, &o, &want, 0, false));
    CHECK(e.screening.figures.figure[RN_AUC] != e.screening.figures.figure[RN_AUC]);
    CHECK(strstr(text.data, "\"auc\": null,") && strstr(text.data, "\"sensitivity\": null,"));
    tool_evaluation_free(&e);
    rn_text_free(&text);
    opt_end(&o);
}

/* -- text -------------------------------------------------------------------------------------- */

static void test_json(void)
{
    static const char *const keys[] = { "sensitivity", "specificity", "precision", "f1", "accuracy",
                                        "balanced_accuracy", "auc", "average_precision" };
    const struct tool_evaluate want = on("test", 5);
    struct tool_evaluation e = {0};
    struct rn_text text = {0};
    struct rn_value *root = NULL;
    struct opt_set o;
    make_options(&o, "1");
    CHECK_OK(judge(&e, &text, &o, &want, 100, true));
    CHECK_OK(rn_json_parse(&root, text.data, text.length, "evaluation"));
    const struct rn_value *chosen = rn_dict_get(root, "threshold_choice"), *bounds = rn_dict_get(root, "bootstrap");
    for (size_t i = 0; i < RN_COUNT(keys); i++)
        CHECK(rn_dict_get(root, keys[i]) && rn_dict_get(chosen, keys[i]) && rn_dict_get(bounds, keys[i]) &&
              rn_dict_get(bounds, keys[i])->count == 2);
    const struct rn_decisions d = rn_decide_at(e.screening.counts.threshold, e.m.leaning, e.m.count);
    struct rn_bootstrap own;
    CHECK_OK(rn_bootstrap(&own, e.m.leaning, e.m.count, d.true_positive + d.false_positive, 50, 0, 1));
    CHECK(d.false_positive > 0 && !memcmp(&own, &e.screening.interval, sizeof own));
    CHECK(rn_dict_get(root, "threshold_margin")->real == e.screening.counts.threshold);
    CHECK(!strcmp(rn_dict_get(root, "threshold_split")->text, "val"));
    rn_value_free(root);
    tool_evaluation_free(&e);
    rn_text_free(&text);
    opt_end(&o);
}

/* Pictures of validation, as --predict shows them: the likeliest class first, shares of one. */
static void test_predictions(void)
{
    static const char *const path[VAL] = { "a.png", "b\n.png", "c.png" };
    struct tool_evaluate want = on("val", 5);
    struct tool_evaluation e = {0};
    struct rn_text text = {0}, json = {0};
    struct opt_set o;
    make_options(&o, "1");
    want.logits = true;
    want.limit = 3;
    CHECK_OK(judge(&e, &text, &o, &want, 0, false));
    const char *names[] = { "dark", "light" };
    e.names = names; /* the evaluator that had them is closed */
    e.arch = e.stem = e.numerics = "x";
    e.m.logits[0] = 1;
    e.m.logits[1] = 1;
    e.m.logits[2] = -1;
    e.m.logits[3] = 3;
    rn_text_add(&json, "{");
    tool_predictions_json(&json, &e, path);
    rn_text_add(&json, "}");
    struct rn_value *root = NULL;
    CHECK_OK(rn_json_parse(&root, json.data, json.length, "predictions"));
    const struct rn_value *list = rn_dict_get(root, "predictions");
    CHECK(list && list->count == 3);
    CHECK(!strcmp(rn_dict_get(list->item[0], "class")->text, "dark")); /* of equal ones the first */
    CHECK(rn_dict_get(list->item[0], "probability")->real == 0.5);
    CHECK(!strcmp(rn_dict_get(list->item[1], "class")->text, "light"));
    CHECK(fabs(rn_dict_get(list->item[1], "probability")->real - 1 / (1 + exp(-4))) <= 1e-15);
    CHECK(rn_dict_get(list->item[1], "top5")->count == 2);
    rn_text_free(&text);
    tool_predictions_text(&text, &e, path);
    CHECK(!strncmp(text.data, "a.png: dark, 50.00 %\n", 21) && strstr(text.data, "\nb\\x0a.png: light, 98.20 %\n"));
    rn_text_free(&text);
    CHECK(!rn_dict_get(root, "threshold"));
    rn_value_free(root);
    e.screening.given = true; /* "light" at 50 and at 98 %: from 60 % on the first is dark, from 40 % light */
    e.screening.positive_class = 1;
    e.screening.threshold = 0.6;
    tool_predictions_text(&text, &e, path);
    CHECK(strstr(text.data, "a.png: dark, 50.00 % (\"light\" from probability 0.6 on)\n"));
    CHECK(strstr(text.data, "b\\x0a.png: light, 98.20 % (\"light\""));
    rn_text_free(&text);
    e.screening.threshold = 0.4;
    e.m.logits[0] = 1.125f; /* dark is likelier */
    json.length = 0;
    rn_text_add(&json, "{");
    tool_predictions_json(&json, &e, path);
    rn_text_add(&json, "}");
    CHECK_OK(rn_json_parse(&root, json.data, json.length, "predictions"));
    const struct rn_value *first = rn_dict_get(root, "predictions")->item[0];
    CHECK(rn_dict_get(root, "threshold")->real == 0.4 && !strcmp(rn_dict_get(root, "positive_class")->text, "light"));
    CHECK(!strcmp(rn_dict_get(first, "class")->text, "light") && rn_dict_get(first, "class_index")->integer == 1);
    CHECK(rn_dict_get(first, "probability")->real < 0.5);
    CHECK(!strcmp(rn_dict_get(rn_dict_get(first, "top5")->item[0], "class")->text, "dark"));
    e.screening.positive_class = 0; /* who looks for dark finds it */
    tool_predictions_text(&text, &e, path);
    CHECK(!strncmp(text.data, "a.png: dark, 53.12 %", 20));
    rn_value_free(root);
    rn_text_free(&text);
    rn_text_free(&json);
    tool_evaluation_free(&e);
    opt_end(&o);
}

/* A line for each image: place or path, label, answer, and probabilities. */
static void test_answers(void)
{
    float logits[] = { 1, 1, -1, 3 };
    int32_t labels[] = { 0, 0 };
    char comma[] = "a/b, \"c\"\n.png", plain[] = "a/d.png";
    struct rn_picture picture[] = { { .path = comma }, { .path = plain } };
    struct rn_store store = { .picture = picture, .count = 2 };
    struct rn_split split = { .count = 2, .labels = labels };
    const char *names[] = { "dark", "light" };
    struct tool_evaluation e = { .names = names, .classes = 2, .m = { .count = 2, .logits = logits },
                                 .screening = { .positive_class = 0 } };
    struct rn_text text = {0};
    tool_answers_csv(&text, &e, &split);
    CHECK_OK(rn_text_status(&text));
    CHECK_MSG(text.data && !strncmp(text.data, "image,label,label_name,answer,answer_name,probability,"
                                    "positive_probability\n0,0,dark,0,dark,0.5,0.5\n1,0,dark,1,light,0.98", 110),
              "%s", text.data);
    CHECK(text.data && strstr(text.data, ",0.017986"));
    rn_text_free(&text);
    split.store = &store;
    tool_answers_csv(&text, &e, &split);
    CHECK_OK(rn_text_status(&text));
    CHECK_MSG(text.data && strstr(text.data, "\n\"a/b, \"\"c\"\"\\x0a.png\",0,dark,0,dark,0.5,0.5\n"
                                             "a/d.png,0,dark,1,light,"),
              "%s", text.data);
    rn_text_free(&text);
}

/* -- the side before the crop ------------------------------------------------------------------ */

/* What the short side is for a net trained on 128 out of 146. */
static int resize_for(int image_size, int resize)
{
    static const char json[] = "{\"image_size\": 128, \"val-resize-size\": 146}";
    const struct tool_evaluate want = { .checkpoint = weights, .stem = "imagenet", .image_size = image_size,
                                        .resize = resize };
    struct tool_evaluator v;
    struct opt_set o;
    struct rn_value *root = NULL;
    make_options(&o, "1");
    CHECK_OK(tool_evaluator_open(&v, &o, &want));
    CHECK_OK(rn_json_parse(&root, json, sizeof json - 1, "settings"));
    v.file->own = v.file->arguments = root;
    const int side = tool_evaluator_resize(&v);
    v.file->own = v.file->arguments = NULL;
    rn_value_free(root);
    tool_evaluator_close(&v);
    opt_end(&o);
    return side;
}

/* Another size has the training's share of the picture, and a flag outranks it. */
static void test_resize(void)
{
    CHECK(resize_for(0, 0) == 146 && resize_for(128, 0) == 146);
    CHECK(resize_for(32, 0) == 37 && resize_for(64, 0) == 73 && resize_for(256, 0) == 292); /* 36.5 up */
    CHECK(resize_for(4096, 0) == 4672 && resize_for(0, 200) == 200 && resize_for(32, 40) == 40);
}

/* -- memory ------------------------------------------------------------------------------------ */

/* Whichever allocation fails, it says so and keeps nothing. */
static void test_no_memory(void)
{
    const struct tool_evaluate want = on("test", 5);
    struct opt_set o;
    make_options(&o, "1");
    const uint64_t live = rn_alloc_live();
    uint64_t n = 0;
    for (rn_status st = RN_ENOMEM; st != RN_OK && n < 20000;) {
        struct tool_evaluation e = {0};
        struct rn_text text = {0};
        rn_alloc_fail_at(++n, false);
        st = judge(&e, &text, &o, &want, 100, true);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(st == RN_OK || st == RN_ENOMEM, "allocation %d: %s", (int)n, rn_error());
        tool_evaluation_free(&e);
        rn_text_free(&text);
        CHECK_MSG(rn_alloc_live() == live, "allocation %d: %d are left", (int)n, (int)(rn_alloc_live() - live));
    }
    CHECK_MSG(n > 50 && n < 20000, "%d allocations", (int)n);
    opt_end(&o);
}

/* Pictures read from files, judged, and their answers as CSV. */
static rn_status predict(struct opt_set *o, const char *path)
{
    const struct tool_evaluate want = { .checkpoint = weights, .stem = "imagenet", .image_size = SIDE,
                                        .logits = true };
    const char *picture[2] = { path, path };
    struct tool_evaluator v = {0};
    struct tool_evaluation e = {0};
    struct rn_text text = {0};
    int count = 2;
    rn_status st = tool_evaluator_open(&v, o, &want);
    if (!st) st = tool_predict_read(&v, picture, &count);
    if (!st) st = tool_evaluator_run(&e, &v);
    if (!st) tool_answers_csv(&text, &e, tool_evaluator_split(&v, "val"));
    if (!st) st = rn_text_status(&text);
    if (!st) CHECK(count == 2 && strstr(text.data, "\n1,0,(no name),"));
    rn_text_free(&text);
    tool_evaluation_free(&e);
    tool_evaluator_close(&v);
    return st;
}

static void test_no_memory_for_pictures(void)
{
    static uint8_t planes[3 * 40 * 36];
    struct opt_set o;
    char path[80];
    uint8_t *png = NULL;
    size_t bytes = 0;
    if (!strstr(rn_image_libraries(), "libpng")) return;
    make_options(&o, "1");
    snprintf(path, sizeof path, "%s/a.png", folder);
    CHECK_OK(rn_png_encode(&png, &bytes, planes, 40, 36));
    CHECK_OK(rn_file_write(path, png, bytes));
    rn_free(png);
    const uint64_t live = rn_alloc_live();
    uint64_t n = 0;
    for (rn_status st = RN_ENOMEM; st != RN_OK && n < 20000;) {
        rn_alloc_fail_at(++n, false);
        st = predict(&o, path);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(st == RN_OK || st == RN_ENOMEM, "allocation %d: %s", (int)n, rn_error());
        CHECK_MSG(rn_alloc_live() == live, "allocation %d: %d are left", (int)n, (int)(rn_alloc_live() - live));
    }
    CHECK_MSG(n > 50 && n < 20000, "%d allocations", (int)n);
    unlink(path);
    opt_end(&o);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_who_chooses), RN_TEST_ROW(test_one_split), RN_TEST_ROW(test_same_bits),
        RN_TEST_ROW(test_one_class),   RN_TEST_ROW(test_json),      RN_TEST_ROW(test_predictions),
        RN_TEST_ROW(test_answers),     RN_TEST_ROW(test_resize),    RN_TEST_ROW(test_no_memory),
        RN_TEST_ROW(test_given_threshold), RN_TEST_ROW(test_no_memory_for_pictures),
    };
    write_weights();
    int failed = rn_test_main("test_evaluator", rows, RN_COUNT(rows), argc, argv);
    unlink(weights);
    rmdir(folder);
    return failed;
}
