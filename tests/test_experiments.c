/*
 * test_experiments.c - the summary of the profiling study from made-up runs: every figure of theirs is where it
 * belongs, what did not run is N/A with its reason, and a damaged file is named.
 */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "tools/experiments/experiments.h"

#include <dirent.h>
#include <unistd.h>

static char base[] = "/tmp/resnet-test-XXXXXX";

/* -- made-up runs ------------------------------------------------------------------------------ */

static const char machine[] = "Processor: A <b>CPU</b>\nCores: 2\n";
static const char profile[] =
    "exp1: resnet18, batch 64\n"
    "machine, measured: 118.2 GFLOP/s, 17.2 GB/s of memory; compute bound from 6.4 FLOP/B\n"
    "20 steps of 144.792 ms, 442.0 images/s; ops are 99.79 % of them\n\n"
    "By op\n-----  ----\n"
    "Name                            Self CPU %   Self CPU  CPU total %  CPU total  # of Calls       Mem\n"
    "-----  ----\n"
    "convolution_backward.weights        21.15%  698.412ms       21.15%  698.412ms         320  2.130 MB\n"
    "write a file                        20.83%     3.000s       20.83%     3.000s           3        --\n"
    "aten::convolution                   15.90%  525.274ms       15.90%  525.274ms         320  633.6 KB\n"
    "step                                 0.04%    1.383ms       70.15%     2.000s          16  317.1 MB\n"
    "aten::convolution_backward           0.02%  821.612us       35.38%     1.050s         320  4.764 MB\n"
    "aten::linear_backward                0.00%       96ns        0.00%       96ns          16  148.0 KB\n"
    "-----  ----\nSelf CPU time total: 3.303s\n\nBy family of ops\nconvolution: 62.21 %  (2.054s)\n";
static const char sweep[] =
    "{\"results\": [{\"mode\": \"train\", \"numerics\": \"bf16\", \"batch\": 64, \"image_size\": 32, \"threads\": 2, "
    "\"mean_ms\": 71, \"std_ms\": 1, \"p50_ms\": 70.5005, \"p95_ms\": 72.25, \"p99_ms\": 73, \"min_ms\": 69, "
    "\"max_ms\": 74, \"images_per_second\": 907.794, \"gflops\": 208.4, \"peak_gflops_measured\": 400, "
    "\"peak_rss_mb\": 377.7}, {\"batch\": 16, \"image_size\": 32, \"threads\": 2, \"mean_ms\": 31, \"std_ms\": 1, "
    "\"p50_ms\": 30.25, \"p95_ms\": 31, \"p99_ms\": 32, \"min_ms\": 29, \"max_ms\": 33, \"images_per_second\": "
    "528.926, \"gflops\": 121.4, \"peak_gflops_measured\": 400, \"peak_rss_mb\": 344.5}], \"knee_batch\": 64,\n"
    "\"not_fitting\": [{\"batch\": 512, \"why\": \"no memory for <it>\"}]}\n";

/* What of a run the tests vary. */
struct made { const char *name, *stem, *threads, *numerics, *rate, *hash, *more; };
static const struct made one = { "exp1", "imagenet", "1", "fp32", "400.5", "6d15b0aba2130e6a", "" };
static const struct made six = { "exp2", "imagenet", "6", "fp32", "700.875", "6d15b0aba2130e6a", "" };
static const struct made swept = { "exp4", "imagenet", "2", "bf16", "640.8", "1111111111111111", "" };
static const struct made scaled = { "exp5-cpu", "imagenet", "2", "bf16", "600.75", "2222222222222222",
                                  ", \"skipped_steps\": 3, \"loss_scale\": 8192" };
static const struct made one_cifar = { "exp1-cifar", "cifar", "1", "fp32", "30.5", "3333333333333333", "" };

static void put(const char *folder, const char *name, const char *text)
{
    char *place = rn_path_join(base, folder), *path = rn_path_join(place, name);
    CHECK_OK(rn_folder_make(place));
    FILE *f = fopen(path, "w"); /* rn_file_write waits for the disk */
    CHECK(f && fputs(text, f) >= 0);
    if (f) fclose(f);
    rn_free(path);
    rn_free(place);
}

static void put_run(const struct made *m)
{
    char text[1200];
    snprintf(text, sizeof text, "data = cifar10:somewhere\nepochs = 2\nbatch-size = 64\nseed = 42\narch = resnet18\n"
             "stem = %s\nnum-classes = 10\nimage-size = 32\nbackend = cpu\nthreads = %s\nworkers = 1\nnumerics = %s\n",
             m->stem, m->threads, m->numerics);
    put(m->name, "args.conf", text);
    snprintf(text, sizeof text, "{\"steps\": 1564, \"epochs\": 2, \"val_acc\": 61.52, \"best_acc\": 62.5, "
             "\"images_per_second\": %s, \"seconds\": 250.5, \"peak_rss_mb\": 386.72265625, \"weights_hash\": \"%s\", "
             "\"threads\": %s%s}\n", m->rate, m->hash, m->threads, m->more);
    put(m->name, "summary.json", text);
    put(m->name, "results.csv", "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,images_per_second,"
        "peak_rss_mb\n1,1.5,45,1.4,62.5,0.04,50000,125.25,399,380\n2,1.2,55,1.1,61.52,0.01,50000,124.75,401,380\n");
}

static void put_all(void)
{
    put_run(&one);
    put_run(&six);
    put_run(&swept);
    put_run(&scaled);
    put_run(&one_cifar);
    put("exp1", "profiler_exp1_summary.txt", profile);
    put("exp5-cpu", "profiler_exp5_summary.txt", profile);
    put("exp1/checkpoints", "exp1_best.pth", "1234567");
    put("", "machine.txt", machine);
    put("", "exp3.na", "train: backend cuda is not in this build, \"really\"\n");
    put("", "exp4_batches.json", sweep);
}

static void remove_all(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *path = rn_path_join(folder, e->d_name);
        if (rn_folder_exists(path)) remove_all(path);
        else unlink(path);
        rn_free(path);
    }
    if (dir) closedir(dir);
    rmdir(folder);
}

/* -- the summary ------------------------------------------------------------------------------- */

static struct opt_set quiet; /* as of ./report --quiet */

static rn_status summarise(const char *folder) { return experiments_report(folder, &quiet); }

static char *text_of(const char *name)
{
    unsigned char *data = NULL;
    size_t bytes;
    char *path = rn_path_join(base, name);
    CHECK_OK(rn_file_read(&data, &bytes, path, (size_t)1 << 20));
    rn_free(path);
    return (char *)data;
}

static void check_has(const char *name, const char *what, bool wanted)
{
    char *text = text_of(name);
    CHECK_MSG(text && !!strstr(text, what) == wanted, "%s in %s: %s", wanted ? "missing" : "found", name, what);
    rn_free(text);
}

static void test_all_columns(void)
{
    static const char *const md[] = {
        "| Exp 1 | stock | CPU, fp32, 1 thread, 1 loader worker, batch 64 | 125.00 | 50,000 | 2 | 400.5 | 61.52 | 387 "
        "| 1.00\xc3\x97 |",
        "| Exp 2 | stock | CPU, fp32, 6 threads, 1 loader worker, batch 64 | 125.00 | 50,000 | 2 | 700.9 | 61.52 | "
        "387 | 1.75\xc3\x97 |",
        "| Exp 2 | CIFAR | CPU, six threads, loader workers | N/A | N/A | N/A | N/A | N/A | N/A | N/A |",
        "| Exp 3 | stock | GPU, FP32 | N/A |", "| Exp 4 | stock | CPU, bf16, 2 threads",
        "| Exp 5 on a CPU | stock | CPU, bf16,", "600.8 | 61.52 | 387 | 1.50\xc3\x97 |",
        "| Exp 1 | CIFAR | CPU, fp32, 1 thread, 1 loader worker, batch 64 | 125.00 | 50,000 | 2 | 30.5 ",
        "- Exp 3 with the stock stem is N/A: train: backend cuda is not in this build, \"really\"",
        "- Exp 3 with the CIFAR stem is N/A: not run",
        "the loss was scaled, by 8192 at the end; 3 of 1564 steps were skipped",
        "| stock | 6d15b0aba2130e6a | 6d15b0aba2130e6a | yes |", "| CIFAR | 3333333333333333 | N/A | N/A: one of them",
        "| 64 | 907.794 | 70.5005 | 72.25 | 377.7 | 208.4 |", "| 16 | 528.926 | 30.25 | 31 | 344.5 | 121.4 |",
        "batch 512 did not fit: no memory for &lt;it>", "Sweet spot: batch 64, the smallest with 95 % of the best",
        "| Exp 1 | stock | 144.79 | 52.5 | 35.38% | 62.21 | aten::convolution\\_backward |",
        "| Processor | A &lt;b>CPU&lt;/b> |", "measured: 118.2 GFLOP/s, 17.2 GB/s",
        "| exp1 | exp1/checkpoints/exp1\\_best.pth | 7 | exp1/profiler\\_exp1\\_summary.txt | N/A |",
    };
    static const char *const csv[] = {
        "exp1,imagenet,yes,cpu,fp32,1,1,64,2,50000,125.000,400.5,1.000,61.52,62.5,386.72265625,52.50,"
        "aten::convolution_backward,6d15b0aba2130e6a,exp1/checkpoints/exp1_best.pth,\n",
        "exp2,imagenet,yes,cpu,fp32,6,1,64,2,50000,125.000,700.875,1.750,61.52,62.5,386.72265625,,,"
        "6d15b0aba2130e6a,,\n",
        "exp2,cifar,no,,,,,,,,,,,,,,,,,,not run\n",
        "exp3,imagenet,no,,,,,,,,,,,,,,,,,,\"train: backend cuda is not in this build, \"\"really\"\"\"\n",
    };
    static const char *const names[] = { "summary.html", "summary.md", "summary.csv", "throughput.svg" };
    char *first[RN_COUNT(names)];
    put_all();
    CHECK_OK(summarise(base));
    for (size_t i = 0; i < RN_COUNT(md); i++) check_has("summary.md", md[i], true);
    for (size_t i = 0; i < RN_COUNT(csv); i++) check_has("summary.csv", csv[i], true);
    for (size_t i = 0; i < RN_COUNT(names); i++) first[i] = text_of(names[i]);
    CHECK_OK(summarise(base));
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        char *again = text_of(names[i]);
        CHECK_MSG(first[i] && again && !strcmp(first[i], again), "%s differs the second time", names[i]);
        rn_free(again);
        rn_free(first[i]);
    }
    remove_all(base);
}

/* Nothing from a file becomes markup, and nothing points outside; runs with the same weights share a curve. */
static void test_page(void)
{
    put_all();
    CHECK_OK(summarise(base));
    check_has("summary.html", "A &lt;b&gt;CPU&lt;/b&gt;", true);
    check_has("summary.html", "<b>CPU", false);
    check_has("summary.html", "http", false);
    check_has("summary.html", "</svg> Exp 1 and Exp 2 <svg", true);
    check_has("summary.html", "</html>", true);
    check_has("summary.html", "<path class=\"k c0\" d=\"M72.0 ", true); /* ascending batch sizes: from the left */
    check_has("throughput.svg", ">700.9 (1.75\xc3\x97)<", true);
    check_has("throughput.svg", "xmlns=\"http://www.w3.org/2000/svg\"", true);
    remove_all(base);
}

/* One run alone has a summary: the rest is N/A. */
static void test_missing(void)
{
    put_run(&six);
    put("exp4", "args.conf", "");
    CHECK_OK(summarise(base));
    check_has("summary.md", "700.9 | 61.52 | 387 | N/A |", true);
    check_has("summary.md", "- Exp 1 is N/A: not run", true);
    check_has("summary.md", "- Exp 4 with the stock stem is N/A: not run to its end", true);
    check_has("summary.md", "| stock | N/A | 6d15b0aba2130e6a | N/A: one of them did not run |", true);
    check_has("summary.md", "N/A: no sweep was run.", true);
    check_has("summary.md", "N/A: no run has a profile.", true);
    check_has("summary.md", "N/A: there is no machine.txt.", true);
    check_has("summary.md", "| Exp 5 on a CPU |", true);
    struct made gpu = scaled; /* where Exp 5 itself ran, nothing stands in for it */
    gpu.name = "exp5";
    put_run(&gpu);
    CHECK_OK(summarise(base));
    check_has("summary.md", "Exp 5 on a CPU", false);
    remove_all(base);
}

/* Other weights after the same steps are a failure that the summary shows; after other steps they are none. */
static void test_other_weights(void)
{
    struct made other = six;
    other.hash = "6d15b0aba2130e6b";
    put_run(&one);
    put_run(&other);
    CHECK(summarise(base) == RN_ECHECK && strstr(rn_error(), "other weights"));
    check_has("summary.md", "| stock | 6d15b0aba2130e6a | 6d15b0aba2130e6b | NO: this must not be |", true);
    put("exp2", "args.conf", "data = cifar10:somewhere\nstem = imagenet\nbatch-size = 32\narch = resnet18\n"
        "num-classes = 10\nimage-size = 32\nnumerics = fp32\nseed = 42\nepochs = 2\n");
    CHECK_OK(summarise(base));
    check_has("summary.md", "N/A: their settings differ", true);
    remove_all(base);
}

/* -- damaged files ----------------------------------------------------------------------------- */

static void refuse(const char *folder, const char *name, const char *text, const char *word)
{
    put_all();
    put(folder, name, text);
    const rn_status st = summarise(base);
    CHECK_MSG(st == RN_EINPUT && strstr(rn_error(), name) && strstr(rn_error(), word), "%s \"%.60s\": status %d, %s",
              name, text, st, rn_error());
    char *path = rn_path_join(base, "summary.md");
    CHECK_MSG(!rn_path_exists(path), "%s \"%.60s\" left a summary", name, text);
    rn_free(path);
    remove_all(base);
}

static void test_damaged(void)
{
    static const char figures[] = "{\"steps\": 1, \"epochs\": 2, \"val_acc\": 6, \"best_acc\": 6, "
                                  "\"images_per_second\": %s, \"seconds\": 2, \"peak_rss_mb\": 3, "
                                  "\"threads\": 1, \"weights_hash\": \"%s\"}";
    static const char table[] = "By op\nName  CPU total %%  CPU total\n----\n%s  70.15%%  %s\n%s----\n";
    char text[400];
    refuse("exp1", "summary.json", "{\"steps\": 1", "JSON");
    snprintf(text, sizeof text, figures, "\"fast\"", "12ab");
    refuse("exp1", "summary.json", text, "\"images_per_second\" is not a number");
    snprintf(text, sizeof text, figures, "4", "<script>");
    refuse("exp1", "summary.json", text, "\"weights_hash\"");
    refuse("exp2", "results.csv", "epoch,loss\n1,2\n", "first line");
    refuse("exp2", "args.conf", "no such key = 3\n", "unknown key");
    refuse("exp2", "args.conf", "stem = cifar\n", "its stem is not imagenet");
    refuse("exp1", "profiler_exp1_summary.txt", "", "no table by op");
    refuse("exp1", "profiler_exp1_summary.txt", "By op\nName  Self CPU\n", "no column");
    refuse("exp1", "profiler_exp1_summary.txt", "By op\nName  CPU total %  CPU total\n----\nstep  1%  1s\n", "no end");
    snprintf(text, sizeof text, table, "step", "2.0 hours", "");
    refuse("exp1", "profiler_exp1_summary.txt", text, "a row of its table");
    snprintf(text, sizeof text, table, "step", "2.000s", "aten::linear  1\n");
    refuse("exp1", "profiler_exp1_summary.txt", text, "a row of its table");
    snprintf(text, sizeof text, table, "step", "2.000s", "");
    refuse("exp1", "profiler_exp1_summary.txt", text, "no row \"aten::convolution_backward\"");
    snprintf(text, sizeof text, table, "aten::convolution_backward", "2.000s", "");
    refuse("exp1", "profiler_exp1_summary.txt", text, "no row \"step\"");
    refuse("", "exp4_batches.json", "{\"results\": []}", "\"results\"");
    refuse("", "exp4-cifar_batches.json", "[1]", "object");
    refuse("", "exp3.na", "\n", "no reason");
    refuse("", "machine.txt", "Cores: 2\nnothing\n", "line 2");
}

/* Whichever allocation fails: a status, nothing half written, nothing lost. */
static void test_no_memory(void)
{
    const uint64_t live = rn_alloc_live();
    uint64_t n = 1;
    rn_status st = RN_ENOMEM;
    put_all();
    for (; st && n < 100000; n += n < 20 ? 1 : 23) { /* each reading takes thousands */
        rn_alloc_fail_at(n, true);
        st = summarise(base);
        rn_alloc_fail_at(0, false);
        CHECK_MSG(st == RN_OK || st == RN_ENOMEM, "allocation %" PRIu64 ": status %d, %s", n, st, rn_error());
        CHECK_MSG(rn_alloc_live() == live, "allocation %" PRIu64 " leaves %" PRIu64 " alive", n, rn_alloc_live());
    }
    CHECK(!st && n > 100);
    check_has("summary.html", "</html>", true);
    remove_all(base);
}

static void test_nothing(void)
{
    CHECK(summarise("/nowhere/at/all") == RN_EINPUT && strstr(rn_error(), "/nowhere/at/all"));
    put("", "exp3.na", "no GPU\n");
    CHECK(summarise(base) == RN_EINPUT && strstr(rn_error(), "make experiments"));
    remove_all(base);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_all_columns), RN_TEST_ROW(test_page), RN_TEST_ROW(test_missing),
        RN_TEST_ROW(test_other_weights), RN_TEST_ROW(test_damaged), RN_TEST_ROW(test_no_memory),
        RN_TEST_ROW(test_nothing),
    };
    if (!mkdtemp(base)) return 1;
    opt_begin(&quiet, "report", "");
    opt_add(&quiet, opt_common, opt_common_count);
    CHECK_OK(opt_set_text(&quiet, "quiet", "true"));
    CHECK_OK(opt_set_text(&quiet, "json", "false"));
    const int failed = rn_test_main("test_experiments", rows, RN_COUNT(rows), argc, argv);
    remove_all(base);
    opt_end(&quiet);
    return failed;
}
