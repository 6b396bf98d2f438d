/* test_plot.c - charts of tools/cli/plot.h, and what is said where they cannot be. */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "tools/cli/plot.h"

#include <unistd.h>

/* fontconfig never gives back what it has read, which leak checkers report. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAKS true
#elif defined(__has_feature)
#define LEAKS __has_feature(address_sanitizer)
#else
#define LEAKS false
#endif

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
    if (LEAKS || !tool_plot_available()) return;
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
    if (LEAKS || !tool_plot_available()) return;
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

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_names), RN_TEST_ROW(test_files),
                                               RN_TEST_ROW(test_confusion) };
    if (!mkdtemp(folder)) return 1;
    int failed = rn_test_main("test_plot", rows, RN_COUNT(rows), argc, argv);
    rmdir(folder);
    return failed;
}
