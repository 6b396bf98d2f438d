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

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_names), RN_TEST_ROW(test_files) };
    if (!mkdtemp(folder)) return 1;
    int failed = rn_test_main("test_plot", rows, RN_COUNT(rows), argc, argv);
    rmdir(folder);
    return failed;
}
