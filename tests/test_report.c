/*
 * test_report.c - the report of made-up runs: every known number is in it, nothing from a file becomes markup,
 * nothing points outside, and a damaged file is named.
 */
#define _POSIX_C_SOURCE 200809L

#include "tests/report_folder.h"

/* -- what is in it ----------------------------------------------------------------------------- */

/* Digits as the files have them, in the page and in Markdown. */
static void test_numbers(void)
{
    static const char *const figures[] = {
        "11,177,538", "42.64 MB", "1.824G", "1,823,522,816", "1,813,562,368", "3,627,124,736", "98.95 %", "98.9500001",
        "99.50 %", "98.45 %", "0.212986123", "0.230540987", "95.67 %", "95.66666666666667", "0.123456789", "0.98765432",
        "0.9700 to 0.9961", "0.0123456", "17.4310", "57.470", "0.3100", "17.4005", "18.0150", "18.9990", "208.453",
        "50.0 %", "77.7", "66.667", "15.0625", "0.41 MB", "61.23 MB", "416.906", "6d15b0aba2130e6a", "9777d10fa7ea9408",
        "40.7512345", "196.4321", "800.125", "[1, 8]", "backbone=0.0001, head=0.001", "ReduceLROnPlateau",
        "CrossEntropyLoss with Label Smoothing (0.1)", "resnet.c 0.1.0, compiled by cc", "13 of 300",
        "1.25678", "2000 for training, 517 for validation",
    };
    struct report_page page = { .into = 0 };
    make_run("numbers");
    CHECK(report(&page));
    for (size_t i = 0; i < RN_COUNT(figures); i++) {
        char in_md[200];
        size_t n = 0;
        for (const char *s = figures[i]; *s; s++) {
            if (strchr("[]_", *s)) in_md[n++] = '\\';
            in_md[n++] = *s;
        }
        in_md[n] = '\0';
        check_has(&page.html, figures[i], "page");
        check_has(&page.md, in_md, "Markdown");
    }
    end_page(&page);
    remove_run();
}

/* The plain text has the form that such reports have had. */
static void test_text(void)
{
    static const char *const lines[] = {
        "1. EXPERIMENT METADATA\n--------------------------------------------------\nExperiment Name: text\n",
        "Random Seed: 42\n", "Architecture: ResNet-18", "Precision: FP32\n", "Total Parameters: 11,177,538\n",
        "Trainable Parameters: 11,177,538\n", "FLOPs per Forward Pass: 1.824G\n", "Input Resolution: (224, 224)\n",
        "Data Augmentation: RandomCrop, RandomHorizontalFlip, RandomVerticalFlip\n", "Number of Classes: 2\n",
        "Data Type: float32\n", "Best Validation Accuracy: 98.9500%\n",
        "Final Training Accuracy: 99.5000%\n", "Final Validation Accuracy: 98.4500%\n",
        "Final Training Loss: 0.212986\n", "Final Validation Loss: 0.230541\n", "Convergence Epoch: 2\n",
        "Early Stopping Triggered: True\n", "Final Test Accuracy: 95.6667%\n",
        "Batch Size   Mean Time (ms)  Per Image (ms)  Throughput (FPS)\n",
        "1            17.43           17.43           57.5",
        "8            120.50          15.06           66.7", "Memory Usage Analysis:\n------------------------------\n",
        "\xe2\x80\xa2 Warm-up Passes: 10 runs before benchmarking\n",
        "\xe2\x80\xa2 Best accuracy achieved at epoch 2\n",
        "\xe2\x80\xa2 Epochs with a loss that is not a finite number: 0 of 4\n",
        "from one epoch to the next: 0.100200, to epoch 3\n", "-1.20 points at the best epoch, 1.05 at the last\n",
        "\xe2\x80\xa2 Accuracy: 95.67%\n", "\xe2\x80\xa2 Inference Latency: 17.4310 ms (batch 1)\n",
    };
    struct report_page page = { .into = 0 };
    make_run("text");
    CHECK(report(&page));
    for (size_t i = 0; i < RN_COUNT(lines); i++) check_has(&page.txt, lines[i], "text");
    end_page(&page);
    remove_run();
}

/* Frozen parameters are not trainable; a net without a name says why it is not counted. */
static void test_nets(void)
{
    struct report_page page = { .into = 0 };
    struct rn_text t = { 0 };
    make_run("nets");
    rn_text_add(&t, "%sfreeze = conv1,bn1,layer\n", args);
    put("args.conf", t.data);
    CHECK(report(&page));
    check_has(&page.txt, "Total Parameters: 11,177,538\nTrainable Parameters: 1,026\n", "text");
    end_page(&page);
    rn_text_free(&t);
    static const struct { const char *arch, *thop; } known[] = { /* what thop says of torchvision's nets */
        { "resnet18", "1,824,033,792" }, { "resnet50", "4,133,742,592" }, { "resnet152", "11,603,945,472" },
    };
    for (size_t i = 0; i < RN_COUNT(known); i++) {
        t = (struct rn_text){ 0 };
        rn_text_add(&t, "arch = %s\nstem = imagenet\nnum-classes = 1000\nimage-size = 224\n", known[i].arch);
        put("args.conf", t.data);
        CHECK(report(&page));
        check_has(&page.txt, known[i].thop, "text");
        end_page(&page);
        rn_text_free(&t);
    }
    put("args.conf", "arch = custom\nstem = imagenet\nnum-classes = 2\nimage-size = 224\n");
    CHECK(report(&page));
    check_has(&page.txt, "Total Parameters: N/A (", "text");
    end_page(&page);
    remove_run();
}

/* -- forms ------------------------------------------------------------------------------------- */

static int count_of(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)); text++) n++;
    return n;
}

/* Elements that are opened are closed; no name out of a file is markup; nothing is loaded from elsewhere. */
static void test_page(void)
{
    static const char *const pairs[][2] = {
        { "<table", "</table>" }, { "<tr", "</tr>" }, { "<td", "</td>" }, { "<ul>", "</ul>" }, { "<li>", "</li>" },
        { "<div", "</div>" }, { "<figure", "</figure>" }, { "<svg", "</svg>" }, { "<text", "</text>" },
        { "<details>", "</details>" }, { "<tbody>", "</tbody>" }, { "<h2", "</h2>" }, { "<p", "</p>" },
    };
    static const char *const outside[] = { "http:", "https:", "<script", "<link", "@import", "url(", "src=\"/",
                                           "href=\"/", "<iframe" };
    struct report_page page = { .into = 0 };
    make_run("page");
    CHECK(report(&page));
    const char *html = page.html.data;
    for (size_t i = 0; i < RN_COUNT(pairs); i++) {
        int opened = count_of(html, pairs[i][0]), closed = count_of(html, pairs[i][1]);
        if (!strcmp(pairs[i][0], "<p")) opened -= count_of(html, "<path");
        CHECK_MSG(opened == closed && opened, "%s: %d times, closed %d times", pairs[i][0], opened, closed);
    }
    for (size_t i = 0; i < RN_COUNT(outside); i++) CHECK_MSG(!strstr(html, outside[i]), "%s in the page", outside[i]);
    CHECK(strstr(html, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    CHECK(strstr(html, "a|b &amp; &quot;c&quot;"));
    CHECK(strstr(html, "src=\"data:image/png;base64,iVBORw0KGgo=\""));
    CHECK(!strstr(html, "nan") && !strstr(html, "inf\""));
    CHECK(!strstr(page.md.data, "<script"));
    end_page(&page);
    remove_run();
}

/* Bars between cells that are no part of a text. */
static int bars(const char *line, size_t length)
{
    int n = 0;
    for (size_t i = 0; i < length; i++) n += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    return n;
}

/* Each table of the Markdown has a line under its head, and as many cells in every line. */
static void test_markdown(void)
{
    struct report_page page = { .into = 0 };
    int tables = 0, columns = 0, row = 0;
    make_run("markdown");
    CHECK(report(&page));
    for (const char *line = page.md.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        if (*line != '|') {
            columns = row = 0;
            continue;
        }
        int here = bars(line, (size_t)(end - line));
        CHECK_MSG(!row || here == columns, "%d bars instead of %d: %.*s", here, columns, (int)(end - line), line);
        CHECK(end[-1] == '|');
        if (row == 1) CHECK(!strncmp(line, "|---", 4));
        tables += row == 1;
        columns = here;
        row++;
    }
    CHECK(tables >= 9);
    CHECK(strstr(page.md.data, "a\\|b & \"c\"") || !strstr(page.md.data, "a|b"));
    end_page(&page);
    remove_run();
}

/* -- what is missing, and what is damaged ------------------------------------------------------ */

/* Without the measured files: a reason and the command, no failure; a run whose first epoch has not ended. */
static void test_missing(void)
{
    struct report_page page = { .into = 0 };
    make_run("missing");
    for (size_t i = 1; i < RN_COUNT(files); i++) take(files[i].name);
    put_table("");
    CHECK(report(&page));
    check_has(&page.txt, "Final Test Accuracy: N/A (there is no evaluation.json, and --no-measure; to have it: "
              "./report ", "text");
    check_has(&page.txt, "N/A (there is no bench.json", "text");
    check_has(&page.txt, "Convergence Epoch: N/A (no epoch has ended)", "text");
    check_has(&page.txt, "Weights Hash (last): N/A", "text");
    CHECK(count_of(page.html.data, "<div") == count_of(page.html.data, "</div>"));
    end_page(&page);
    remove_run();
}

/* Figures of other weights, or of another net, are not this run's. */
static void test_stale(void)
{
    struct report_page page = { .into = 0 };
    make_run("stale");
    put("hashes.txt", "epoch 2 step 64 loss 0x1p+0 weights 0123456789abcdef\n");
    CHECK(report(&page));
    check_has(&page.txt, "Final Test Accuracy: N/A (evaluation.json is not of this run's best weights", "text");
    CHECK(!strstr(page.html.data, "95.67"));
    end_page(&page);
    put("args.conf", "arch = resnet34\nstem = imagenet\nnum-classes = 2\nimage-size = 224\nnumerics = fp32\n");
    CHECK(report(&page));
    check_has(&page.txt, "N/A (bench.json is not of this run's best weights or net", "text");
    end_page(&page);
    remove_run();
}

/* Losses that are no numbers are said, and leave a gap in the curves. */
static void test_not_finite(void)
{
    struct report_page page = { .into = 0 };
    make_run("nan");
    put_table("1,nan,50,inf,50,0.1,9,1,9,100\n2,0.5,60,1e300,nan,0.1,9,1,9,100\n");
    CHECK(report(&page));
    check_has(&page.txt, "Epochs with a loss that is not a finite number: 1 of 2", "text");
    CHECK(!strstr(page.html.data, "=\"nan") && !strstr(page.html.data, "=\"inf"));
    end_page(&page);
    remove_run();
}

static void test_damaged(void)
{
    static const struct { const char *name, *text, *word; } bad[] = {
        { "summary.json", "{\"steps\": 1", "JSON" },
        { "summary.json", "[1]", "object" },
        { "summary.json", "", "JSON" },
        { "evaluation.json", "{}", "\"classes\"" },
        { "evaluation.json", "{\"classes\": [\"a\", \"b\"], \"confusion\": [[1, 2], [3]]}", "\"confusion\"" },
        { "evaluation.json", "{\"classes\": [\"a\", \"b\"], \"confusion\": [[1, 2], [3, -1]]}", "\"confusion\"" },
        { "evaluation.json", "{\"classes\": [\"a\", 7], \"confusion\": [[1, 2], [3, 4]]}", "\"classes\"" },
        { "bench.json", "{\"results\": []}", "\"results\"" },
        { "bench.json", "{\"results\": [1]}", "\"results\"" },
        { "bench.json", "{\"results\": [{\"batch\": \"1\"}]}", "\"batch\"" },
        { "misclassified.json", "{\"images\": 3}", "\"images\"" },
        { "misclassified.json", "{\"images\": [{\"label\": \"a\", \"answer\": \"b\", \"png\": \"x\\\"onload=\"}]}",
          "\"png\"" },
        { "roc.csv", "a,b\n", "ROC" },
        { "roc.csv", "threshold,x,y,z,sensitivity,specificity\n1,1,1,1,2,0\n", "line 2" },
        { "results.csv", "epoch,loss\n1,2\n", "first line" },
        { "args.conf", "no such key = 3\n", "unknown key" },
        { "args.conf", "epochs = many\n", "epochs" },
    };
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        struct report_run run;
        make_run("damaged");
        put(bad[i].name, bad[i].text);
        rn_status st = report_run_read(&run, folder);
        CHECK_MSG(st == RN_EINPUT && strstr(rn_error(), bad[i].name) &&
                      strstr(rn_error(), bad[i].word), "%s \"%s\": status %d, %s", bad[i].name,
                  bad[i].text, st, rn_error());
        report_run_free(&run);
        remove_run();
    }
    static const char *const lines[] = { "1,2\n", "1,x,50,1,50,1,1,1,1,1\n", "0,1,1,1,1,1,1,1,1,1\n",
                                         "2,1,1,1,1,1,1,1,1,1\n2,1,1,1,1,1,1,1,1,1\n", "1,1,1,1,1,1,1,1,1,1" };
    for (size_t i = 0; i < RN_COUNT(lines); i++) {
        struct report_run run;
        make_run("damaged");
        put_table(lines[i]);
        CHECK_MSG(report_run_read(&run, folder) == RN_EINPUT && strstr(rn_error(), "results.csv"), "%s", lines[i]);
        report_run_free(&run);
        remove_run();
    }
    struct report_run run;
    CHECK(report_run_read(&run, "/tmp/no/such/run") == RN_EINPUT);
    report_run_free(&run);
}

/* -- several ----------------------------------------------------------------------------------- */

static void test_comparison(void)
{
    struct report_run run[2];
    struct report_page page = { .into = 0 };
    char first[80];
    make_run("one");
    snprintf(first, sizeof first, "%s", folder);
    CHECK_OK(report_run_read(&run[0], first));
    snprintf(folder, sizeof folder, "%s/two<b>", base);
    make_run("two<b>");
    put_table("1,0.9,50,0.8,55.5,0.1,2000,1,2000,100\n");
    CHECK_OK(report_run_read(&run[1], folder));
    report_compose(&page, run, 2);
    check_has(&page.md, "| Best Validation Accuracy (%) | 98.9500001 | 98.9500001 |", "Markdown");
    check_has(&page.md, "| Convergence Epoch | 2 | 1 |", "Markdown");
    check_has(&page.md, "| Final Validation Accuracy (%) | 98.45 | 55.5 |", "Markdown");
    check_has(&page.html, "two&lt;b&gt;", "page");
    CHECK(!strstr(page.html.data, "two<b>"));
    CHECK(count_of(page.html.data, "id=\"s1-4\"") == 1 && count_of(page.html.data, "id=\"s2-4\"") == 1);
    end_page(&page);
    report_run_free(&run[0]);
    report_run_free(&run[1]);
    remove_run();
    snprintf(folder, sizeof folder, "%s", first);
    remove_run();
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_numbers), RN_TEST_ROW(test_text), RN_TEST_ROW(test_nets), RN_TEST_ROW(test_page),
        RN_TEST_ROW(test_markdown), RN_TEST_ROW(test_missing), RN_TEST_ROW(test_stale), RN_TEST_ROW(test_not_finite),
        RN_TEST_ROW(test_damaged), RN_TEST_ROW(test_comparison),
    };
    if (!mkdtemp(base)) return 1;
    int failed = rn_test_main("test_report", rows, RN_COUNT(rows), argc, argv);
    rmdir(base);
    return failed;
}
