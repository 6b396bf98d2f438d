/*
 * test_io_json.c - the strict JSON reader: what it takes, what it refuses, memory that runs out.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test_io.h"

#define LIT(s) s, sizeof(s) - 1

static const char *const good[] = { "null",
                                    " [ ] ",
                                    "{}",
                                    "-0",
                                    "0.5e+3",
                                    "[1,2,[3]]",
                                    "\"\\u00e9\\ud83d\\ude00\\n\"",
                                    "{\"a\":{\"a\":1},\"b\":[true,false]}" };
static const char *const bad[] = {
    "",
    " ",
    "nul",
    "nulls",
    "[1,]",
    "[1 2]",
    "[,1]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{1:2}",
    "01",
    "+1",
    ".5",
    "5.",
    "1e",
    "1e999",
    "-",
    "0x10",
    "NaN",
    "Infinity",
    "\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\u0041\"",
    "\"\t\"",
    "\"\xc3\"",
    "[",
    "{",
    "[1]]",
    "{\"a\":1,\"a\":2}",
    "'a'",
    "tru",
    "\"\\u0000\"",
    "1111111111111111111111111111111111111111111111111111111111111111111",
};

static void test_grammar(void)
{
    uint64_t live = rn_alloc_live();
    struct rn_value *v;
    for (size_t i = 0; i < RN_COUNT(good); i++) {
        CHECK_OK(rn_json_parse(&v, good[i], strlen(good[i]), "text"));
        rn_value_free(v);
    }
    for (size_t i = 0; i < RN_COUNT(bad); i++) {
        rn_error_clear();
        rn_status s = rn_json_parse(&v, bad[i], strlen(bad[i]), "text");
        CHECK_MSG(refused(s, live) && !v, "%s: status %d, %s", bad[i], s, rn_error());
    }
}

static void test_values(void)
{
    struct rn_value *v;
    CHECK_OK(rn_json_parse(&v, LIT("[9223372036854775807,9223372036854775808,-1,0.1,\"\\u00e9\"]"),
                           "text"));
    CHECK(v->item[0]->kind == RN_INT && v->item[0]->integer == INT64_MAX);
    CHECK(v->item[1]->kind == RN_REAL && v->item[1]->real >= 9223372036854775807.0 &&
          v->item[1]->real <= 9223372036854775809.0);
    CHECK(v->item[3]->kind == RN_REAL && rn_bits64(v->item[3]->real) == rn_bits64(0.1));
    CHECK(!strcmp(v->item[4]->text, "\xc3\xa9"));
    rn_value_free(v);
}

static void test_depth(void)
{
    struct rn_value *v;
    for (size_t n = 64; n <= 65; n++) { /* levels */
        char deep[130];
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        CHECK(rn_json_parse(&v, deep, 2 * n, "text") == (n == 64 ? RN_OK : RN_EINPUT));
        rn_value_free(v);
    }
}

static void test_no_memory(void)
{
    uint64_t live = rn_alloc_live();
    struct rn_value *v;
    for (uint64_t n = 1; n < 60; n++) {
        rn_alloc_fail_at(n, false);
        rn_status s =
            rn_json_parse(&v, LIT("{\"a\":[1,2.5,\"x\",null,{\"b\":true}],\"c\":{}}"), "text");
        rn_alloc_fail_at(0, false);
        CHECK((s == RN_OK) == (v != NULL) && (s == RN_OK || s == RN_ENOMEM));
        rn_value_free(v);
        CHECK(rn_alloc_live() == live);
    }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row tests[] = { RN_TEST_ROW(test_grammar), RN_TEST_ROW(test_values),
                                                RN_TEST_ROW(test_depth), RN_TEST_ROW(test_no_memory) };
    return rn_test_main("test_io_json", tests, RN_COUNT(tests), argc, argv);
}
