/* test_plot.c - charts of tools/plot/plot.h, and what is said where they cannot be. */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tools/plot/plot.h"

#include <unistd.h>

static char folder[] = "/tmp/resnet-test-XXXXXX";

static const double x[] = { 1, 8, 32 }, y[] = { 50, 80.5, 81 };
static const struct tool_chart charts[] = {
    { "speed", "batch", "images/s", { { "median", x, y, 3 } }, 1, 8 },
    { "one point, all zero", "batch", "ms", { { "a", x, (const double[]){ 0 }, 1 } }, 1, 0 },
};

static void test_names(void)
{
    CHECK(tool_plot_check("x.pdf") == RN_EUSAGE);
    CHECK(tool_plot_check(".png") == RN_EUSAGE);
    CHECK(tool_plot_check("x.png") == (tool_plot_available() ? RN_OK : RN_EUSAGE));
}

/* A file of the right kind; nothing at all where it cannot be written. */
static void test_files(void)
{
    static const char *const names[] = { "x.png", "x.svg" }, *const begins[] = { "\x89PNG", "<?xml" };
    if (!tool_plot_available()) return;
    for (int i = 0; i < 2; i++) {
        unsigned char *data = NULL;
        size_t bytes = 0;
        char *path = rn_path_join(folder, names[i]);
        CHECK_OK(tool_plot_write(path, charts, RN_COUNT(charts)));
        CHECK_OK(rn_file_read(&data, &bytes, path, 1 << 20));
        CHECK(bytes > 1000 && !memcmp(data, begins[i], strlen(begins[i])));
        unlink(path);
        rn_free(data);
        rn_free(path);
    }
    CHECK(tool_plot_write("/nowhere/x.png", charts, 1) == RN_EIO);
}

/* From cells with counts to cells of two pixels; names that are long, or end inside UTF-8; an empty row. */
static void test_confusion(void)
{
    static const int size[] = { 2, 10, 45, 300, TOOL_CONFUSION_CLASSES };
    static int64_t count[TOOL_CONFUSION_CLASSES * TOOL_CONFUSION_CLASSES];
    static const char *names[TOOL_CONFUSION_CLASSES];
    if (!tool_plot_available()) return;
    char *path = rn_path_join(folder, "c.png");
    for (int i = 0; i < TOOL_CONFUSION_CLASSES; i++)
        names[i] = i % 2 ? "a name that takes more than all the space, \xc3\xa4\xc3\xb6\xc3\xbc and so on" : "b";
    for (size_t i = 0; i < RN_COUNT(size); i++) {
        const struct tool_confusion c = { "title", names, count, size[i] };
        unsigned char *data = NULL;
        size_t bytes = 0;
        memset(count, 0, sizeof count);
        for (int k = 1; k < size[i]; k++) count[k * size[i] + k] = k % 3 ? 1234567 : 5;
        CHECK_OK(tool_plot_confusion(path, &c));
        CHECK_OK(rn_file_read(&data, &bytes, path, 1 << 24));
        CHECK(bytes > 1000 && !memcmp(data, "\x89PNG", 4));
        rn_free(data);
    }
    unlink(path);
    rn_free(path);
    const struct tool_confusion many = { "title", names, count, TOOL_CONFUSION_CLASSES + 1 };
    CHECK(tool_plot_confusion("x.png", &many) == RN_EUSAGE);
}

/* -- the curves of a run --------------------------------------------------------------------------- */

static const char head[] = "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,images_per_second,"
                           "peak_rss_mb\n";

/* results.csv in the folder: the head, so many epochs, and what comes after them. */
static void write_table(int epochs, const char *rest)
{
    struct rn_text t = { 0 };
    char *path = rn_path_join(folder, "results.csv");
    rn_text_add(&t, "%s", head);
    for (int i = 1; i <= epochs; i++)
        rn_text_add(&t, "%d,%d.5,%d,0.25,%d.5,1e-05,9,1,9,100\n", i, 200 - i, i / 3, i % 7);
    rn_text_add(&t, "%s", rest);
    CHECK_OK(rn_file_write(path, t.data, t.length));
    rn_text_free(&t);
    rn_free(path);
}

/* Draws the curves; the picture's bytes. */
static size_t picture(unsigned char **data, const char *title)
{
    size_t bytes = 0;
    char *path = rn_path_join(folder, "curves.png");
    CHECK_OK(tool_plot_run(folder, title, "what it is of"));
    CHECK_OK(rn_file_read(data, &bytes, path, 1 << 24));
    CHECK(bytes > 1000 && !memcmp(*data, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\4\xb0\0\0\3\x20", 24)); /* 1200x800 */
    unlink(path);
    rn_free(path);
    return bytes;
}

/* No epoch, one, many; numbers of every size, and what is none; a title that is no text. */
static void test_run(void)
{
    static const int epochs[] = { 0, 1, 2, 41, 200 };
    if (!tool_plot_available()) return;
    for (size_t i = 0; i < RN_COUNT(epochs); i++) {
        unsigned char *one = NULL, *two = NULL;
        write_table(epochs[i], "");
        size_t bytes = picture(&one, "a run"), again = picture(&two, "a run");
        CHECK_MSG(bytes == again && !memcmp(one, two, bytes), "%d epochs: other bytes the second time", epochs[i]);
        rn_free(one);
        rn_free(two);
    }
    static const char *const odd[] = {
        "9,nan,inf,-inf,nan,nan,1,1,1,1\n", "2147483646,1e308,1e-320,-1e308,0,-5,\n2147483647,1,1,1,1,1,\n",
        "1e9,1e30,100,1e30,100,1e-30,\n", "9,1,2,3,4,5,6\n10,1,2,", "7,1e17,5,100000000000000016,5,5,\n",
    };
    for (size_t i = 0; i < RN_COUNT(odd); i++) {
        unsigned char *data = NULL;
        write_table(i % 2, odd[i]);
        picture(&data, "\xff\xfe and a title of more letters than fit, which goes on and on and on and on and on");
        rn_free(data);
    }
}

/* A table that is none leaves no picture. */
static void test_run_damaged(void)
{
    static const char *const bad[] = { "2,1,2,3,4\n", "1,1,2,3,4,5,6\n", "x,1,2,3,4,5,6\n", "\n",
                                       "3000000000,1,1,1,1,1,\n" };
    char *csv = rn_path_join(folder, "results.csv"), *png = rn_path_join(folder, "curves.png");
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        write_table(1, bad[i]);
        CHECK(tool_plot_run(folder, "", "") == RN_EINPUT && strstr(rn_error(), "results.csv: line 3"));
    }
    CHECK_OK(rn_file_write(csv, "a,b\n1,2\n", 8));
    CHECK(tool_plot_run(folder, "", "") == RN_EINPUT);
    unlink(csv);
    CHECK(tool_plot_run(folder, "", "") == RN_EINPUT);
    CHECK(!rn_path_exists(png));
    rn_free(csv);
    rn_free(png);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_names), RN_TEST_ROW(test_files),
                                               RN_TEST_ROW(test_confusion), RN_TEST_ROW(test_run),
                                               RN_TEST_ROW(test_run_damaged) };
    if (!mkdtemp(folder)) return 1;
    int failed = rn_test_main("test_plot", rows, RN_COUNT(rows), argc, argv);
    rmdir(folder);
    return failed;
}
