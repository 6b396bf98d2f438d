/*
 * test_base_text.c - numbers as text and back, JSON, misspellings, printable bytes.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"

#include <float.h>
#include <locale.h>

static double any_double(struct rn_random *r)
{
    double x = rn_double(rn_random_word(r));
    return rn_finite64(x) ? x : 1;
}

static void test_number_text(void)
{
    static const struct { double x; const char *text; } known[] = {
        { 0, "0" }, { -0.0, "-0" }, { 1, "1" }, { -1, "-1" }, { 0.1, "0.1" }, { 0.3, "0.3" },
        { 0.1 + 0.2, "0.30000000000000004" }, { 1.0 / 3, "0.3333333333333333" }, { 12.5, "12.5" },
        { 50000, "50000" }, { 100, "100" }, { 123456.789, "123456.789" }, { 0.0001, "0.0001" },
        { 0.00012345, "0.00012345" }, { 5e-5, "5e-05" }, { 5e-4, "0.0005" },
        { 1e15, "1000000000000000" }, { 9007199254740992, "9007199254740992" }, { 1e16, "1e+16" },
        { 1e23, "1e+23" }, { 1.5e300, "1.5e+300" }, { DBL_MAX, "1.7976931348623157e+308" },
        { DBL_MIN, "2.2250738585072014e-308" }, { 0x1p-1074, "5e-324" },
        { 123456789012345680.0, "1.2345678901234568e+17" }, { 99.99, "99.99" },
        { INFINITY, "inf" }, { -INFINITY, "-inf" }, { NAN, "nan" },
    };
    char out[RN_NUMBER_CHARS];
    for (size_t i = 0; i < RN_COUNT(known); i++)
        CHECK_MSG(strcmp(rn_number_text(out, known[i].x), known[i].text) == 0,
                  "%s instead of %s", out, known[i].text);
}

static void test_number_round_trip(void)
{
    struct rn_random r = rn_random(1, RN_RANDOM_TEST, 0, 0);
    char out[RN_NUMBER_CHARS];
    for (int i = 0; i < 20000; i++) {
        double x = i & 1 ? any_double(&r) : (double)(float)rn_random_normal(&r), y = 0;
        CHECK(rn_parse_double(&y, rn_number_text(out, x)) && rn_bits64(x) == rn_bits64(y));
        CHECK(rn_parse_double(&y, rn_hex_text(out, x)) && rn_bits64(x) == rn_bits64(y));
        CHECK(strlen(out) < RN_NUMBER_CHARS);
    }
}

static void test_fixed_text(void)
{
    char out[RN_NUMBER_CHARS], want[512];
    struct rn_random r = rn_random(2, RN_RANDOM_TEST, 0, 0);
    for (int i = 0; i < 5000; i++) {
        double x = rn_random_normal(&r) * pow(10, (int)rn_random_below(&r, 12) - 3);
        snprintf(want, sizeof want, "%.*f", i % 8, x);
        CHECK_MSG(strcmp(rn_fixed_text(out, x, i % 8), want) == 0, "%s instead of %s", out, want);
    }
    CHECK(strcmp(rn_fixed_text(out, 0.125, 2), "0.12") == 0); /* a tie goes to the even digit */
    CHECK(strcmp(rn_fixed_text(out, 2.5, 0), "2") == 0);
    CHECK(strcmp(rn_fixed_text(out, -0.001, 2), "-0.00") == 0);
    CHECK(strcmp(rn_fixed_text(out, NAN, 2), "nan") == 0);
    CHECK(strcmp(rn_fixed_text(out, -INFINITY, 2), "-inf") == 0);
    CHECK(strcmp(rn_fixed_text(out, 1e300, 2), "1e+300") == 0); /* does not fit: shortest */
}

static void test_hex_text(void)
{
    static const struct { double x; const char *text; } known[] = {
        { 0, "0x0p+0" }, { -0.0, "-0x0p+0" }, { 1, "0x1p+0" }, { 3, "0x1.8p+1" },
        { 0.1, "0x1.999999999999ap-4" }, { -1.2, "-0x1.3333333333333p+0" },
        { 0x1p-1074, "0x1p-1074" }, { 0x1.8p-1073, "0x1.8p-1073" },
        { 0x1.abcp-1030, "0x1.abcp-1030" }, { DBL_MAX, "0x1.fffffffffffffp+1023" },
        { 0x1.08p+0, "0x1.08p+0" }, { INFINITY, "inf" }, { NAN, "nan" },
    };
    char out[RN_NUMBER_CHARS];
    for (size_t i = 0; i < RN_COUNT(known); i++)
        CHECK_MSG(strcmp(rn_hex_text(out, known[i].x), known[i].text) == 0, "%s instead of %s", out,
                  known[i].text);
}

static void test_hex_as_glibc(void)
{
#ifdef __GLIBC__ /* whose %a writes normal numbers as we do */
    char out[RN_NUMBER_CHARS];
    struct rn_random r = rn_random(3, RN_RANDOM_TEST, 0, 0);
    for (int i = 0; i < 20000; i++) {
        char want[64];
        double x = any_double(&r);
        if (fabs(x) < DBL_MIN) continue;
        snprintf(want, sizeof want, "%a", x);
        CHECK(strcmp(rn_hex_text(out, x), want) == 0);
    }
#endif
}

static void check_accepted(void)
{
    static const struct { const char *text; double x; } good[] = {
        { "0", 0 }, { "-0", -0.0 }, { "1", 1 }, { "-1.5", -1.5 }, { ".5", 0.5 }, { "5.", 5 },
        { "1e3", 1000 }, { "1E-3", 0.001 }, { "1.25e+2", 125 }, { "0.1", 0.1 }, { "00012", 12 },
        { "0x1p3", 8 }, { "0x1.8p+1", 3 }, { "-0X.8P-1", -0.25 }, { "0xff", 255 },
        { "9007199254740993", 9007199254740992 },
        { "9007199254740993.00000000000000000000000000000001", 9007199254740994 },
        { "2.2250738585072011e-308", 0x0.fffffffffffffp-1022 }, { "2.4703282292062327e-324", 0 },
        { "2.4703282292062328e-324", 0x1p-1074 }, { "1.7976931348623158e308", DBL_MAX },
        { "1e-400", 0 }, { "0e99999999999", 0 }, { "1e-99999999999", 0 },
        { "0x1.00000000000008p0", 1 }, { "0x1.000000000000080000001p0", 0x1.0000000000001p0 },
        { "0x1p-1074", 0x1p-1074 }, { "0x1p-1075", 0 },
    };
    for (size_t i = 0; i < RN_COUNT(good); i++) {
        double x = 77;
        CHECK_MSG(rn_parse_double(&x, good[i].text) && rn_bits64(x) == rn_bits64(good[i].x),
                  "\"%s\": %a", good[i].text, x);
    }
}

static void test_parse_double(void)
{
    static const char *const bad[] = {
        "", " ", "-", "+1", " 1", "1 ", "1\n", "1e999", "-1e999", "1.7976931348623159e308", "nan",
        "NaN", "inf", "-inf", "infinity", "1,5", "1,000", "1.2.3", "1e", "1e+", "e5", ".", "-.",
        "0x", "0x.", "0xp3", "0x1p", "0x1p1024", "1f", "1_000", "0b1", "1e5x", "--1",
        "1e99999999999", "\xef\xbc\x91", "0x1e5p", "1p3",
    };
    double x = 77;
    check_accepted();
    for (size_t i = 0; i < RN_COUNT(bad); i++)
        CHECK_MSG(!rn_parse_double(&x, bad[i]) && x == 77, "\"%s\" accepted", bad[i]);
    char digits[3000];
    memset(digits, '0', sizeof digits);
    digits[0] = '1';
    digits[sizeof digits - 1] = '\0';
    CHECK(!rn_parse_double(&x, digits) && x == 77); /* too long, and too large */
    digits[300] = '\0';
    CHECK(rn_parse_double(&x, digits) && x == 1e299);
    memset(digits, '0', 1000);
    digits[1] = '.';
    memcpy(digits + 1000, "1e+999", 7); /* 0.00...01 x 10^999 */
    CHECK(rn_parse_double(&x, digits) && x == 1);
}

static void test_parse_whole_numbers(void)
{
    int64_t i = 77;
    CHECK(rn_parse_int(&i, "0") && i == 0 && rn_parse_int(&i, "-0") && i == 0);
    CHECK(rn_parse_int(&i, "9223372036854775807") && i == INT64_MAX);
    CHECK(rn_parse_int(&i, "-9223372036854775808") && i == INT64_MIN);
    CHECK(rn_parse_int(&i, "007") && i == 7);
    static const char *const bad[] = {
        "", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "9223372036854775808",
        "-9223372036854775809", "99999999999999999999999", "abc",
    };
    for (size_t k = 0; k < RN_COUNT(bad); k++) CHECK(!rn_parse_int(&i, bad[k]) && i == 7);
    uint64_t h = 77;
    CHECK(rn_parse_hash(&h, "0") && h == 0);
    CHECK(rn_parse_hash(&h, "fFfFffffffffffff") && h == UINT64_MAX);
    CHECK(rn_parse_hash(&h, "00000000000000ab") && h == 0xab);
    static const char *const none[] = { "", "0x1", "12345678123456781", "g", "1 ", "-1" };
    for (size_t k = 0; k < RN_COUNT(none); k++) CHECK(!rn_parse_hash(&h, none[k]) && h == 0xab);
}

/* A locale with a decimal comma, where the machine has one, changes nothing. */
static void test_locale(void)
{
    static const char *const names[] = {
        "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "fr_FR.utf8", "pt_BR.UTF-8",
        "ru_RU.UTF-8", "nl_NL.UTF-8",
    };
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        if (!setlocale(LC_ALL, names[i]) || strcmp(localeconv()->decimal_point, ",") != 0) continue;
        char out[RN_NUMBER_CHARS];
        CHECK(strcmp(rn_fixed_text(out, 1.25, 2), "1.25") == 0);
        CHECK(strcmp(rn_fixed_text(out, -1234567.5, 1), "-1234567.5") == 0);
        test_number_text();
        test_number_round_trip();
        test_hex_text();
        test_parse_double();
        setlocale(LC_ALL, "C");
        printf("checked under %s\n", names[i]);
        return;
    }
    setlocale(LC_ALL, "C");
    printf("no locale with a decimal comma on this machine: not checked\n");
}

static void test_growing_text(void)
{
    struct rn_text t = { 0 };
    uint64_t live = rn_alloc_live();
    CHECK(rn_text_status(&t) == RN_OK);
    for (int i = 0; i < 1000; i++) rn_text_add(&t, "%d,%s;", i % 10, "ab");
    rn_text_number(&t, 0.1);
    rn_text_fixed(&t, 2.0 / 3, 3);
    rn_text_bytes(&t, "xyz", 2);
    rn_text_bytes(&t, NULL, 0);
    CHECK_OK(rn_text_status(&t));
    CHECK(t.length == 5000 + 3 + 5 + 2 && strcmp(t.data + 5000, "0.10.667xy") == 0);
    CHECK(strncmp(t.data, "0,ab;1,ab;", 10) == 0 && strlen(t.data) == t.length);
    rn_text_free(&t);
    for (int i = 0; i < 1000; i++) { /* room for the closing zero at every length */
        rn_text_bytes(&t, "x", 1);
        CHECK(t.length < t.capacity && t.data[t.length] == 0);
    }
    rn_text_free(&t);
    CHECK(t.data == NULL && t.length == 0 && rn_alloc_live() == live);
    for (uint64_t n = 1; n <= 3; n++) { /* memory ends at the n-th growth */
        rn_alloc_fail_at(n, false);
        for (int i = 0; i < 1000; i++) rn_text_add(&t, "%d,%s;", i % 10, "ab");
        rn_alloc_fail_at(0, false);
        CHECK(t.failed && rn_text_status(&t) == RN_ENOMEM);
        CHECK(n == 1 ? t.data == NULL : strlen(t.data) == t.length);
        rn_text_free(&t);
    }
    CHECK(rn_alloc_live() == live);
}

static void test_json(void)
{
    static const struct { const char *in, *out; } known[] = {
        { "", "\"\"" }, { "plain", "\"plain\"" }, { "a\"b\\c", "\"a\\\"b\\\\c\"" },
        { "\n\t\r\b\f", "\"\\n\\t\\r\\b\\f\"" }, { "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"" },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\xff", "\"\\ufffd\"" }, { "a\xc3", "\"a\\ufffd\"" },
        { "\xc0\x80", "\"\\ufffd\\ufffd\"" },
        { "\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
        { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
        { "\xc2\x9b", "\"\\u009b\"" },
        { "\xf4\x90\x80\x80z", "\"\\ufffd\\ufffd\\ufffd\\ufffdz\"" },
        { "\xe2\x82z", "\"\\ufffd\\ufffdz\"" },
    };
    for (size_t i = 0; i < RN_COUNT(known); i++) {
        struct rn_text t = { 0 };
        rn_text_json(&t, known[i].in);
        CHECK_MSG(t.data && strcmp(t.data, known[i].out) == 0, "%s instead of %s", t.data,
                  known[i].out);
        rn_text_free(&t);
    }
}

static void test_nearest(void)
{
    static const char *const flags[] = {
        "--epochs", "--lr", "--seed", "--batch-size", "--max-steps", "--momentum", "--quiet",
    };
    static const struct { const char *word, *nearest; } known[] = {
        { "--epoch", "--epochs" }, { "--epcohs", "--epochs" }, { "--epochs", "--epochs" },
        { "--lrr", "--lr" }, { "--sed", "--seed" }, { "--rl", "--lr" },
        { "--batchsize", "--batch-size" },
        { "--max_steps", "--max-steps" }, { "--learning-rate", "none" }, { "xyz", "none" },
        { "", "none" }, { "x", "none" },
    };
    for (size_t i = 0; i < RN_COUNT(known); i++) {
        const char *got = rn_nearest(known[i].word, flags, RN_COUNT(flags));
        if (!got) got = "none";
        CHECK_MSG(strcmp(got, known[i].nearest) == 0, "%s: %s", known[i].word, got);
    }
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CHECK(rn_nearest(longest, flags, RN_COUNT(flags)) == NULL);
    const char *const pair[] = { longest, "abc", "abd" };
    CHECK(rn_nearest("abx", pair, 3) == pair[1] && rn_nearest("abx", pair, 0) == NULL);
}

/* A word of the list, not a piece of one. */
static void test_listed(void)
{
    static const char *const in[] = { "fp32", "fp32-winograd", "bf16" };
    static const char *const out[] = { "fp", "winograd", "6", "fp32 bf16", " " };
    for (size_t i = 0; i < RN_COUNT(in); i++) CHECK(rn_listed("fp32 fp32-winograd bf16", in[i]));
    for (size_t i = 0; i < RN_COUNT(out); i++) CHECK(!rn_listed("fp32 fp32-winograd bf16", out[i]));
    CHECK(!rn_listed("", "fp32"));
}

static void test_printable(void)
{
    static const struct { const char *in, *out; } known[] = {
        { "conv1.weight", "conv1.weight" }, { "a\x1b[31mb", "a\\x1b[31mb" },
        { "a\nb\x7f", "a\\x0ab\\x7f" }, { "\xc3\xa9", "\xc3\xa9" }, { "\xff\xc3", "\\xff\\xc3" },
        { "\xc2\x9b" "1m", "\\xc2\\x9b1m" }, { "\xe2\x80\xae" "x", "\\xe2\\x80\\xaex" },
        { "", "" },
    };
    char out[64];
    for (size_t i = 0; i < RN_COUNT(known); i++)
        CHECK_MSG(strcmp(rn_printable(out, sizeof out, known[i].in, strlen(known[i].in)),
                         known[i].out) == 0, "%s instead of %s", out, known[i].out);
    CHECK(strcmp(rn_printable(out, sizeof out, "a\0b", 3), "a\\x00b") == 0);
    for (size_t max = 0; max <= 12; max++) { /* every cut stays inside and ends with dots */
        memset(out, '#', sizeof out);
        const char *cut = rn_printable(out, max, "ab\x01\xc3\xa9zz", 7);
        CHECK(strlen(cut) < RN_MAX(max, 1) && (max == 0 || out[max] == '#'));
        CHECK(max < 4 || (strstr(cut, "...") != NULL) == (max <= 10));
    }
    CHECK(strcmp(rn_printable(out, 8, "abcdefgh", 8), "abcd...") == 0);
    CHECK(strcmp(rn_printable(out, 9, "abcdefgh", 8), "abcdefgh") == 0);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_number_text), RN_TEST_ROW(test_number_round_trip),
        RN_TEST_ROW(test_fixed_text), RN_TEST_ROW(test_hex_text), RN_TEST_ROW(test_hex_as_glibc),
        RN_TEST_ROW(test_parse_double), RN_TEST_ROW(test_parse_whole_numbers),
        RN_TEST_ROW(test_locale), RN_TEST_ROW(test_growing_text), RN_TEST_ROW(test_json),
        RN_TEST_ROW(test_nearest), RN_TEST_ROW(test_listed), RN_TEST_ROW(test_printable),
    };
    return rn_test_main("test_base_text", rows, RN_COUNT(rows), argc, argv);
}
