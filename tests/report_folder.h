/* report_folder.h - a made-up run folder of which every figure is known, and its report without measuring. */
#ifndef RN_TESTS_REPORT_FOLDER_H
#define RN_TESTS_REPORT_FOLDER_H

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "tools/report/report.h"

#include <dirent.h>
#include <unistd.h>

#define EVIL "<script>alert(1)</script>"

static char base[] = "/tmp/resnet-test-XXXXXX";
static char folder[80];

static const char args[] =
    "data = demo:224\nepochs = 10\nbatch-size = 64\nopt = adamw\nlr = 0.0001\nhead-lr = 0.001\n"
    "weight-decay = 0.0001\nlr-scheduler = plateau\nearly-stop-patience = 2\nlabel-smoothing = 0.1\n"
    "augment = crop:4,flip,vflip\nseed = 42\narch = resnet18\nstem = imagenet\nnum-classes = 2\nimage-size = 224\n"
    "threads = 2\nnumerics = fp32\n";
static const char head[] = "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,images_per_second,"
                           "peak_rss_mb\n";
static const char table[] = "1,0.5123,91.5,0.4,90.25,0.0001,2000,10.5,190.4,800.1\n"
                            "2,0.31,97.75,0.2305,98.95,0.0001,2000,10.25,195.1,800.1\n"
                            "3,0.25,99,0.3307,98.5,0.0001,2000,10,200,800.1\n"
                            "4,0.212986123,99.5,0.230540987,98.45,1e-05,2000,10,200,800.1\n";
static const char summary[] =
    "{\"steps\": 128, \"epochs\": 4, \"train_loss\": 0.212986123, \"val_acc\": 98.45, \"best_acc\": 98.9500001,\n"
    " \"images_per_second\": 196.4321, \"seconds\": 40.7512345, \"peak_rss_mb\": 800.125, \"weights_hash\": "
    "\"6d15b0aba2130e6a\", \"waited_seconds\": 1.25678, \"train_images\": 2000, \"val_images\": 517,\n"
    " \"isa\": \"avx2\", \"cpu\": \"Z80 <at> 4 MHz\", \"skipped_images\": 3}\n";
static const char hashes[] = "step 1 loss 0x1p+0 weights 1111111111111111\n"
                             "epoch 1 step 32 loss 0x1p+0 weights 2222222222222222\n"
                             "epoch 2 step 64 loss 0x1p+0 weights 9777d10fa7ea9408\n";
static const char evaluation[] =
    "{\"data\": \"demo:224\", \"split\": \"test\", \"weights_hash\": \"9777d10fa7ea9408\", \"count\": 300, "
    "\"correct\": 287, \"top1\": 95.66666666666667, \"top5\": 100, \"loss\": 0.123456789, \"classes\": [\"" EVIL
    "\", \"a|b & \\\"c\\\"\"],\n \"confusion\": [[141, 9], [4, 146]], \"auc\": 0.98765432, \"sensitivity\": "
    "0.973333, \"bootstrap\": {\"auc\": [0.97, 0.99612]}, \"ece\": 0.0123456, \"positive_class\": \"" EVIL "\",\n"
    " \"per_class\": [{\"class\": \"" EVIL "\", \"support\": 150, \"answers\": 145, \"correct\": 141, \"precision\": "
    "0.9724, \"recall\": 0.94, \"f1\": 0.9559}], \"reliability\": [{\"count\": 10, \"correct\": 5}, {\"count\": 0, "
    "\"correct\": 0}]}\n";
static const char bench[] =
    "{\"results\": [\n {\"mode\": \"infer\", \"arch\": \"resnet18\", \"image_size\": 224, \"batch\": 1, "
    "\"threads\": 2, \"numerics\": \"fp32\", \"isa\": \"avx2\", \"mean_ms\": 17.4310, \"per_image_ms\": 17.4310, "
    "\"std_ms\": 0.3100, \"p50_ms\": 17.4005, \"p95_ms\": 18.0150, \"p99_ms\": 18.9990, \"min_ms\": 17.0, "
    "\"max_ms\": 19.0, \"images_per_second\": 57.470, \"gflops\": 208.453, \"peak_gflops_measured\": 416.906, "
    "\"peak_rss_mb\": 77.7, \"host_growth_mb\": 0.41, \"arena_mb\": 61.23, "
    "\"histogram\": [1,2,3,4,5,6,7,8,9,9,9,9,8,7,6,5,1,0,0,1]},\n"
    " {\"batch\": 8, \"image_size\": 224, \"threads\": 2, \"mean_ms\": 120.5000, \"std_ms\": 1, \"p50_ms\": 120, "
    "\"p95_ms\": 121, \"p99_ms\": 122, \"min_ms\": 119, \"max_ms\": 123, \"images_per_second\": 66.667, "
    "\"gflops\": 241.8, \"peak_gflops_measured\": 416.9, \"peak_rss_mb\": 99.5, \"host_growth_mb\": null}],\n"
    " \"knee_batch\": 8, \"stem\": \"imagenet\", \"num_classes\": 2, \"warmup\": 10, \"runs\": 100, "
    "\"cpu\": \"6502\", \"input\": \"synthetic\"}\n";
static const char missed[] =
    "{\"weights_hash\": \"9777d10fa7ea9408\", \"build\": \"resnet.c 0.1.0, compiled by cc\", \"split\": \"test\", "
    "\"test_is_validation\": false, \"count\": 300, \"wrong\": 13, \"images\": [{\"index\": 17, \"label\": \"" EVIL
    "\", \"answer\": \"dog\", \"confidence\": 0.99871, \"png\": \"iVBORw0KGgo=\"}]}\n";
static const char roc[] = "threshold,threshold_margin,true_positives,false_positives,sensitivity,specificity\n"
                          "1,inf,0,0,0,1\n0.7,0.8,1,0,0.5,1\n0.1,-2,2,2,1,0\n";

static const struct { const char *name, *text; } files[] = {
    { "args.conf", args }, { "summary.json", summary }, { "hashes.txt", hashes }, { "evaluation.json", evaluation },
    { "bench.json", bench }, { "misclassified.json", missed }, { "roc.csv", roc },
};

static void put(const char *name, const char *text)
{
    char *path = rn_path_join(folder, name);
    CHECK_OK(rn_file_write(path, text, strlen(text)));
    rn_free(path);
}

static void take(const char *name)
{
    char *path = rn_path_join(folder, name);
    unlink(path);
    rn_free(path);
}

static void put_table(const char *lines)
{
    struct rn_text t = { 0 };
    rn_text_add(&t, "%s%s", head, lines);
    put("results.csv", t.data);
    rn_text_free(&t);
}

/* A whole run folder of this name. */
static void make_run(const char *name)
{
    snprintf(folder, sizeof folder, "%s/%s", base, name);
    CHECK_OK(rn_folder_make(folder));
    for (size_t i = 0; i < RN_COUNT(files); i++) put(files[i].name, files[i].text);
    put_table(table);
}

static void remove_run(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) take(e->d_name);
    if (dir) closedir(dir);
    rmdir(folder);
}

static const struct opt no_measure[] = {
    { "measure", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "", NULL },
    { "data", OPT_TEXT, NULL, 0, 0, NULL, "X", "", NULL },
};

/* The document of the run at hand, without measuring. */
static bool report(struct report_page *page)
{
    struct report_run run;
    struct opt_set o;
    opt_begin(&o, "report", "");
    opt_add(&o, no_measure, RN_COUNT(no_measure));
    opt_add(&o, opt_common, opt_common_count);
    rn_status st = report_run_read(&run, folder);
    if (!st) report_measure(&run, 1, &o);
    if (!st) report_compose(page, &run, 1);
    report_run_free(&run);
    opt_end(&o);
    return !st;
}

static void end_page(struct report_page *page)
{
    rn_text_free(&page->html);
    rn_text_free(&page->md);
    rn_text_free(&page->txt);
}

static void check_has(const struct rn_text *t, const char *what, const char *form)
{
    CHECK_MSG(t->data && strstr(t->data, what), "no \"%s\" in the %s", what, form);
}

#endif /* RN_TESTS_REPORT_FOLDER_H */
