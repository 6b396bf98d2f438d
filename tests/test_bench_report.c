/* test_bench_report.c - the statistics of ./bench, by hand, and how it tells of a batch that did not fit. */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "tools/bench/report.h"
#include "tools/bench/run.h"

#include <unistd.h>

/* 1 to 101 in any order: a quantile q is 1 + 100 q. */
static void test_quantiles(void)
{
    double times[101];
    struct bench_result r = { .batch = 4 };
    for (int i = 0; i < 101; i++) times[i] = 1 + i * 37 % 101;
    bench_summarise(&r, times, 101);
    CHECK(r.min == 1 && r.max == 101 && r.mean == 51 && r.median == 51);
    CHECK(r.p90 == 91 && r.p95 == 96 && r.p99 == 100);
    CHECK(fabs(r.std - sqrt(101.0 * 102 / 12)) <= 1e-12); /* of a sample of 1 ... n */
    CHECK(r.images_per_second == 4e3 / 51);
    for (int i = 0; i < BENCH_BARS; i++) CHECK(r.histogram[i] == 5 + (i == BENCH_BARS - 1)); /* 101 ends the last */
}

/* Between two times quantiles are linear. */
static void test_few(void)
{
    double two[2] = { 4, 2 }, one[1] = { 7 };
    struct bench_result r = { .batch = 1 };
    bench_summarise(&r, two, 2);
    CHECK(r.median == 3 && fabs(r.p90 - 3.8) <= 1e-15 && fabs(r.p99 - 3.98) <= 1e-15);
    CHECK(r.mean == 3 && fabs(r.std - sqrt(2)) <= 1e-15);
    bench_summarise(&r, one, 1);
    CHECK(r.median == 7 && r.p99 == 7 && r.std == 0 && r.min == 7 && r.max == 7 && r.histogram[0] == 1);
}

/* The smallest batch with 95 % of the best, wherever it stands in the list. */
static void test_knee(void)
{
    const struct bench_result r[] = { { .batch = 32, .images_per_second = 100 },
                                      { .batch = 8, .images_per_second = 95 },
                                      { .batch = 1, .images_per_second = 94.9 } };
    CHECK(bench_knee(r, 3) == 8 && bench_knee(r, 1) == 32);
}

/* The seed's table, whose best is 746.9: 703.2 are 94.1 % of it, 733.1 are 98.2 %. */
static void test_knee_of_the_seed(void)
{
    static const int batch[] = { 1, 8, 16, 32, 64 };
    static const double rate[] = { 352.7, 518.6, 703.2, 733.1, 746.9 };
    struct bench_result r[5] = { { 0 } };
    for (int i = 0; i < 5; i++) {
        r[i].batch = batch[i];
        r[i].images_per_second = rate[i];
    }
    CHECK(bench_knee(r, 5) == 32);
    r[2].images_per_second = 0.95 * 746.9;
    CHECK(bench_knee(r, 5) == 16);
}

/* In JSON a list of its own, in the table a line without figures; where all fit there is neither. */
static void test_refused(void)
{
    static char path[] = "/tmp/resnet-test-XXXXXX", program[] = "bench", flag[] = "--csv";
    char *words[] = { program, flag, path };
    const struct bench_result r[1] = { { .batch = 64, .isa = "avx2", .images_per_second = 100 } };
    const struct bench_refused refused[2] = { { 256, "no \"memory\"" }, { 512, "none either" } };
    struct rn_text text = { 0 }, whole = { 0 };
    struct opt_set o;
    unsigned char *csv = NULL;
    size_t bytes;
    close(mkstemp(path));
    opt_begin(&o, "bench", "");
    opt_add(&o, opt_net, opt_net_count);
    opt_add(&o, bench_rows, bench_rows_count);
    opt_add(&o, opt_common, opt_common_count);
    CHECK_OK(opt_parse(&o, 3, words));
    bench_add_json(&text, &o, r, 1, refused, 2);
    CHECK(strstr(text.data, ",\n\"not_fitting\": [{\"batch\": 256, \"why\": \"no \\\"memory\\\"\"}, "
                            "{\"batch\": 512, \"why\": \"none either\"}]}\n"));
    bench_add_json(&whole, &o, r, 1, NULL, 0);
    CHECK(strstr(whole.data, "\"upsample\": 0,") && strstr(whole.data, "\"backend\": \"cpu\","));
    CHECK(strstr(whole.data, "\"knee_batch\": 64") && !strstr(whole.data, "not_fitting"));
    CHECK_OK(bench_write_files(&o, r, 1, refused, 2));
    CHECK_OK(rn_file_read(&csv, &bytes, path, 10000));
    CHECK(strstr((char *)csv, "\ninfer,resnet18,224,64,") && strstr((char *)csv, "\ninfer,resnet18,224,512,"));
    CHECK(strstr((char *)csv, ",fp32,,,,,,,,,,,,,,,,,\n"));
    unlink(path);
    rn_free(csv);
    rn_text_free(&text);
    rn_text_free(&whole);
    opt_end(&o);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = { RN_TEST_ROW(test_quantiles), RN_TEST_ROW(test_few),
                                               RN_TEST_ROW(test_knee),
                                               RN_TEST_ROW(test_knee_of_the_seed), RN_TEST_ROW(test_refused) };
    return rn_test_main("test_bench_report", rows, RN_COUNT(rows), argc, argv);
}
