/*
 * test_report_flags.c - what makes ./report measure again, and that the page says where and on how many images
 * a figure was measured.
 */
#define _POSIX_C_SOURCE 200809L

#include "tests/report_folder.h"

static const struct opt measuring[] = {
    { "measure", OPT_SWITCH, "true", 0, 0, NULL, NULL, "", NULL },
    { "data", OPT_TEXT, NULL, 0, 0, NULL, "X", "", NULL },
    { "limit", OPT_INT, "0", 0, 1e9, NULL, "N", "", NULL },
    { "positive-class", OPT_TEXT, NULL, 0, 0, NULL, "X", "", NULL },
    { "target-sensitivity", OPT_REAL, NULL, 0, 1, NULL, "X", "", NULL },
    { "batch-sizes", OPT_INTS, "1,8,16,32,64", 1, 65536, NULL, "LIST", "", NULL },
    { "warmup", OPT_INT, "10", 0, 1000000, NULL, "N", "", NULL },
    { "runs", OPT_INT, "100", 1, 1000000, NULL, "N", "", NULL },
};

/* Whether the figures of the run at hand stay with this flag; they cannot be had anew: no checkpoint, no net. */
static void figures_stay(const char *flag, const char *value, bool answers, bool times)
{
    char word[2][40], program[] = "report", quiet[] = "--quiet", *words[] = { program, quiet, word[0], word[1] };
    struct report_run run;
    struct opt_set o;
    snprintf(word[0], sizeof word[0], "%s", flag ? flag : "");
    snprintf(word[1], sizeof word[1], "%s", value ? value : "");
    opt_begin(&o, "report", "");
    opt_add(&o, opt_common, opt_common_count);
    opt_add(&o, measuring, RN_COUNT(measuring));
    CHECK_OK(opt_parse(&o, !flag ? 2 : value ? 4 : 3, words));
    CHECK_OK(report_run_read(&run, folder));
    CHECK_OK(report_measure(&run, 1, &o));
    CHECK_MSG(!run.evaluation.root == !answers && !run.bench.root == !times, "%s %s: answers %d, times %d", word[0],
              word[1], run.evaluation.root != NULL, run.bench.root != NULL);
    report_run_free(&run);
    opt_end(&o);
}

/* Flags that are given and differ from what the files say measure again; without any, what is there stays. */
static void test_flags(void)
{
    static const struct { const char *flag, *value; bool answers, times; } rows[] = {
        { NULL, NULL, true, true },           { "--limit", "300", true, true },     { "--limit", "16", false, true },
        { "--limit", "0", false, true },      { "--data", "demo:224", true, true }, { "--data", "demo", false, true },
        { "--warmup", "10", true, true },     { "--warmup", "1", true, false },     { "--runs", "100", true, true },
        { "--runs", "3", true, false },       { "--batch-sizes", "1,8", true, true },
        { "--batch-sizes", "1", true, false }, { "--batch-sizes", "1,16", true, false },
        { "--batch-sizes", "1,8,16", true, false }, { "--threads", "1", true, false },
        { "--no-measure", NULL, true, true }, { "--positive-class", EVIL, true, true },
        { "--positive-class", "0", true, true }, { "--positive-class", "1", false, true },
        { "--positive-class", "dog", false, true }, { "--target-sensitivity", "0.98", false, true },
    };
    struct report_page page = { .into = 0 };
    struct rn_text t = { 0 };
    make_run("flags");
    put("args.conf", "arch = custom\nstem = imagenet\nnum-classes = 2\nimage-size = 224\nnumerics = fp32\n");
    for (size_t i = 0; i < RN_COUNT(rows); i++)
        figures_stay(rows[i].flag, rows[i].value, rows[i].answers, rows[i].times);
    rn_text_add(&t, "{\"limit\": 1000, \"split_images\": 4000, %s", evaluation + 1);
    put("evaluation.json", t.data);
    figures_stay("--limit", "1000", true, true);
    figures_stay("--limit", "300", false, true);
    figures_stay(NULL, NULL, true, true);
    CHECK(report(&page));
    check_has(&page.txt, "(split test of demo:224; the first 300 of 4000 images)", "text");
    end_page(&page);
    rn_text_free(&t);
    t = (struct rn_text){ 0 };
    rn_text_add(&t, "{\"not_fitting\": [{\"batch\": 16, \"why\": \"memory\"}], %s", bench + 1);
    put("bench.json", t.data);
    figures_stay("--batch-sizes", "1,8,16,32", true, true);
    figures_stay("--batch-sizes", "1,8,32", true, false);
    rn_text_free(&t);
    remove_run();
}

#define CHOSEN \
    "{\"threshold\": 0.3125, \"threshold_split\": \"val\", \"threshold_choice\": {\"target_sensitivity\": 0.98, " \
    "\"same_images\": false, \"sensitivity\": 0.98765, \"specificity\": 0.75, \"precision\": null}, " \
    "\"true_positives\": 141, \"false_negatives\": 9, \"true_negatives\": 146, " \
    "\"false_positives\": 4, \"specificity\": 0.9733, "

/* A threshold chosen on validation images is shown with what it gives there and here; asked for again it stays. */
static void test_threshold(void)
{
    struct report_page page = { .into = 0 };
    struct rn_text t = { 0 };
    make_run("threshold");
    put("args.conf", "arch = custom\nstem = imagenet\nnum-classes = 2\nimage-size = 224\nnumerics = fp32\n");
    CHECK(report(&page));
    CHECK(!strstr(page.html.data, "the validation images)") && !strstr(page.txt.data, "Decisions: "));
    end_page(&page);
    rn_text_add(&t, CHOSEN "%s", evaluation + 1);
    put("evaluation.json", t.data);
    figures_stay("--target-sensitivity", "0.98", true, true);
    figures_stay("--target-sensitivity", "0.95", false, true);
    figures_stay("--target-sensitivity", "1", false, true);
    t.length = 0; /* classes whose names are numbers: the name counts */
    rn_text_add(&t, "{\"data\": \"demo:224\", \"split\": \"test\", \"weights_hash\": \"9777d10fa7ea9408\", "
                "\"count\": 300, \"correct\": 287, \"top1\": 95.6, \"top5\": 100, \"loss\": 1, "
                "\"classes\": [\"1\", \"2\"], \"confusion\": [[141, 9], [4, 146]], \"positive_class\": \"2\"}");
    put("evaluation.json", t.data);
    figures_stay("--positive-class", "2", true, true);
    figures_stay("--positive-class", "1", false, true);
    figures_stay("--positive-class", "0", false, true);
    t.length = 0;
    rn_text_add(&t, CHOSEN "%s", evaluation + 1);
    put("evaluation.json", t.data);
    CHECK(report(&page));
    check_has(&page.html, "0.3125 (probability of the positive class; the highest that finds a share of 0.98 of it "
              "on the validation images)", "page");
    check_has(&page.md, "of the likelier class, whatever the threshold", "Markdown");
    check_has(&page.html, "sensitivity 0.9877, specificity 0.7500, precision N/A", "page");
    check_has(&page.html, "positive images: 141 found, 9 missed; negative images: 4 called positive, 146 passed",
              "page");
    check_has(&page.txt, "AUC: 0.9877 (95 % interval 0.9700 to 0.9961)\n", "text");
    check_has(&page.txt, "Decisions: positive images: 141 found", "text");
    check_has(&page.html, "upright the threshold in force", "page");
    end_page(&page);
    rn_text_free(&t);
    remove_run();
}

/* Where it ran is what the files say; times of a net that resizes inside are not those of one that does not. */
static void test_device(void)
{
    struct report_page page = { .into = 0 };
    struct rn_text t = { 0 };
    make_run("device");
    CHECK(report(&page));
    check_has(&page.txt, "CUDA Version: N/A (no GPU is used)\nDevice: CPU, Z80 <at> 4 MHz; instruction set avx2",
              "text");
    check_has(&page.html, "Z80 &lt;at&gt; 4 MHz", "page");
    check_has(&page.txt, "resnet.c on the CPU 6502, avx2", "text");
    end_page(&page);
    rn_text_add(&t, "{\"backend\": \"cuda\", %s", summary + 1);
    put("summary.json", t.data);
    t.length = 0;
    rn_text_add(&t, "{\"backend\": \"cuda\", %s", bench + 1);
    put("bench.json", t.data);
    CHECK(report(&page));
    check_has(&page.txt, "Device: GPU by the backend cuda, avx2", "text");
    check_has(&page.txt, "resnet.c on the GPU, host 6502, avx2", "text");
    CHECK(!strstr(page.html.data, "no GPU is used"));
    end_page(&page);
    t.length = 0;
    rn_text_add(&t, "{\"upsample\": 448, %s", bench + 1);
    put("bench.json", t.data);
    CHECK(report(&page));
    check_has(&page.txt, "N/A (bench.json is not of this run's best weights or net", "text");
    end_page(&page);
    rn_text_free(&t);
    remove_run();
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_flags), RN_TEST_ROW(test_threshold),
                                              RN_TEST_ROW(test_device) };
    if (!mkdtemp(base)) return 1;
    int failed = rn_test_main("test_report_flags", rows, RN_COUNT(rows), argc, argv);
    rmdir(base);
    return failed;
}
