/* test_options.c - command lines, config files and the environment as the programs see them. */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "base/available.h"
#include "base/file.h"
#include "base/mem.h"
#include "tools/cli/data.h"
#include "tools/cli/options.h"

#include <unistd.h>

static const struct opt rows[] = {
    { "lr", OPT_REAL, "0.1", 0, 1000, NULL, "X", "learning rate", "Training" },
    { "batch-size", OPT_INT, "128", 1, 65536, NULL, "N", "images a step", "Training" },
    { "opt", OPT_CHOICE, "sgd", 0, 0, "sgd|adamw", NULL, "optimiser", "Training" },
    { "hash", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "a line per step", "Training" },
    { "shuffle", OPT_SWITCH, "true", 0, 0, NULL, NULL, "mix the images", "Training" },
    { "mean", OPT_REALS, NULL, -10, 10, NULL, "a,b,c", "of the channels", "Data" },
    { "sizes", OPT_INTS, NULL, 1, 64, NULL, "LIST", "sizes", "Data" },
    { "output", OPT_TEXT, NULL, 0, 0, NULL, "DIR", "where to", "Data" },
    { "cache-mb", OPT_INT, NULL, 0, 1e7, NULL, "N", "for pictures", "Data" },
    { "preset", OPT_TEXT, NULL, 0, 0, NULL, "NAME", "settings", "Data" },
    { "config", OPT_TEXT, NULL, 0, 0, NULL, "FILE", "settings", "Data" },
};

#define MAX_WORDS 12

/* Parses the words of `line` (separated by single spaces) as a command line. */
static rn_status parse(struct opt_set *o, const char *line)
{
    char text[512], *argv[MAX_WORDS + 1] = { "train" };
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *p = strtok(text, " "); p && argc < MAX_WORDS; p = strtok(NULL, " ")) argv[argc++] = p;
    opt_begin(o, "train", "trains");
    opt_add(o, rows, RN_COUNT(rows));
    opt_add(o, opt_common, opt_common_count);
    rn_error_clear();
    return opt_parse(o, argc, argv);
}

/* The command line must be refused as usage, with all of the words in its message. */
static void refuse(const char *line, const char *word, const char *another)
{
    struct opt_set o;
    rn_status status = parse(&o, line);
    CHECK_MSG(status == RN_EUSAGE, "\"%s\": status %d", line, (int)status);
    CHECK_MSG(strstr(rn_error(), word) && strstr(rn_error(), another), "\"%s\": \"%s\" lacks \"%s\" or \"%s\"",
              line, rn_error(), word, another);
    opt_end(&o);
}

/* -- flags ---------------------------------------------------------------------------------------- */

static void test_defaults(void)
{
    struct opt_set o;
    CHECK_OK(parse(&o, ""));
    CHECK(opt_real(&o, "lr") == 0.1 && opt_int(&o, "batch-size") == 128);
    CHECK(!strcmp(opt_text(&o, "opt"), "sgd") && !opt_text(&o, "output"));
    CHECK(!opt_switch(&o, "hash") && opt_switch(&o, "shuffle"));
    CHECK(!opt_given(&o, "lr") && opt_source_of(&o, "lr") == OPT_DEFAULT);
    CHECK(opt_int(&o, "threads") >= 1 && !opt_given(&o, "threads"));
    opt_end(&o);
}

static void test_flags(void)
{
    struct opt_set o;
    CHECK_OK(parse(&o, "--lr 0.5 --batch-size=64 --hash --no-shuffle --opt adamw --lr=0x1p-3"));
    CHECK(opt_real(&o, "lr") == 0.125); /* the last one counts */
    CHECK(opt_int(&o, "batch-size") == 64 && opt_switch(&o, "hash") && !opt_switch(&o, "shuffle"));
    CHECK(!strcmp(opt_text(&o, "opt"), "adamw") && opt_source_of(&o, "lr") == OPT_FLAG);
    opt_end(&o);
    CHECK_OK(parse(&o, "--hash=true --shuffle=false --output=--odd"));
    CHECK(opt_switch(&o, "hash") && !opt_switch(&o, "shuffle") && !strcmp(opt_text(&o, "output"), "--odd"));
    opt_end(&o);
}

static void test_lists(void)
{
    struct opt_set o;
    double x[4];
    CHECK_OK(parse(&o, "--mean .5,-1,2e-1 --sizes 1,8,64"));
    CHECK(opt_reals(&o, "mean", x, 4) == 3 && x[0] == 0.5 && x[1] == -1 && x[2] == 0.2);
    CHECK(opt_reals(&o, "sizes", x, 2) == 2 && x[1] == 8);
    opt_end(&o);
    refuse("--mean 1,,2", "--mean", "number");
    refuse("--mean 1,2,", "--mean", "number");
    refuse("--sizes 1,65", "65", "64");
    refuse("--sizes 1,2.5", "2.5", "whole");
}

static void test_refusals(void)
{
    refuse("--lerning-rate 3", "--lerning-rate", "--lr");
    refuse("--bach-size 3", "--bach-size", "--batch-size");
    refuse("--qqqqqqqqqqqq", "--qqqqqqqqqqqq", "--help");
    refuse("--lr 1e999", "1e999", "1000");
    refuse("--lr nan", "nan", "number");
    refuse("--lr 0,1", "0,1", "number");
    refuse("--lr -1", "-1", "0");
    refuse("--batch-size 0", "--batch-size", "1");
    refuse("--batch-size 65537", "65537", "65536");
    refuse("--batch-size 1.5", "1.5", "whole");
    refuse("--batch-size 99999999999999999999", "--batch-size", "number");
    refuse("--batch-size", "--batch-size", "needs a value");
    refuse("--output --hash", "--output needs a value", "--hash");
    refuse("--batch-size=", "--batch-size", "missing");
    refuse("--opt adam", "adam", "adamw");
    refuse("--opt zzzzzzzz", "zzzzzzzz", "sgd|adamw");
    refuse("--hash=maybe", "--hash", "true");
    refuse("--no-hash=true", "--no-hash", "no value");
    refuse("--no-lr", "--no-lr", "flag");
    refuse("somewhere", "somewhere", "flag");
    refuse("-x", "-x", "flag");
    refuse("--threads 0", "--threads", "1");
    refuse("--threads -3", "--threads", "-3");
    refuse("--isa=", "--isa", "missing");
    refuse("--opt adam", "did you mean adamw", "sgd|adamw");
    refuse("--opt lion", "lion", "not one of sgd|adamw");
    refuse("--output a\tb", "--output", "control");
    refuse("--preset no-such-preset", "no-such-preset", "preset");
    refuse("--preset ../evil", "../evil", "preset");
}

/* The command line is good, and the backend has its own word on what was asked for. */
static void backend_refuses(const char *line, const char *word, const char *another)
{
    struct opt_set o;
    struct tool_device d;
    CHECK_OK(parse(&o, line));
    CHECK_MSG(tool_device_open(&d, &o) == RN_EUSAGE, "\"%s\" is taken", line);
    CHECK_MSG(strstr(rn_error(), word) && strstr(rn_error(), another), "\"%s\": \"%s\" lacks \"%s\" or \"%s\"",
              line, rn_error(), word, another);
    tool_device_close(&d);
    opt_end(&o);
}

/* What this CPU has, not what there is in the world. */
static void test_unknown_isa(void)
{
#if defined(__aarch64__)
    static const char mine[] = ": neon, portable", other[] = "avx2";
#else
    static const char mine[] = "portable", other[] = "neon";
#endif
    backend_refuses("--isa avx1024", "'avx1024'", mine);
    CHECK_MSG(!strstr(rn_error(), other), "%s", rn_error());
    backend_refuses("--isa avx1024 --backend ref", "'avx1024'", "ref");
    setenv("RESNET_ISA", "sse9", 1);
    backend_refuses("", "'sse9'", mine);
    backend_refuses("--backend ref", "'sse9'", "ref");
    unsetenv("RESNET_ISA");
}

static void backend_takes(const char *line)
{
    struct opt_set o;
    struct tool_device d = { 0 };
    CHECK_OK(parse(&o, line));
    CHECK_MSG(!tool_device_open(&d, &o), "\"%s\": %s", line, rn_error());
    tool_device_close(&d);
    opt_end(&o);
}

static void test_numerics_of_a_backend(void)
{
    static const char *const backends[] = { "cpu", "ref" };
    char line[80], name[16];
    for (size_t i = 0; i < RN_COUNT(backends); i++) {
        snprintf(name, sizeof name, "backend %s", backends[i]);
        snprintf(line, sizeof line, "--backend %s --numerics fp32-winograd", backends[i]);
        backend_takes(line);
        snprintf(line, sizeof line, "--backend %s --numerics bf16", backends[i]);
        backend_takes(line);
        snprintf(line, sizeof line, "--backend %s --numerics int8", backends[i]);
        backend_refuses(line, name, "'int8'; it has: fp32 fp32-winograd bf16");
        snprintf(line, sizeof line, "--backend %s --numerics fast", backends[i]);
        backend_refuses(line, name, "'fast'; it has: fp32 fp32-winograd bf16");
    }
}

static void test_positionals(void)
{
    struct opt_set o;
    char *argv[] = { "convert", "a.pth", "--quiet", "--", "--b" };
    opt_begin(&o, "convert", "converts");
    opt_add(&o, opt_common, opt_common_count);
    o.max_positionals = 2;
    CHECK_OK(opt_parse(&o, 5, argv));
    CHECK(o.positionals == 2 && !strcmp(o.positional[0], "a.pth") && !strcmp(o.positional[1], "--b"));
    opt_end(&o);
    opt_begin(&o, "convert", "converts");
    opt_add(&o, opt_common, opt_common_count);
    o.max_positionals = 1;
    CHECK(opt_parse(&o, 5, argv) == RN_EUSAGE);
    opt_end(&o);
}

/* --help wins over everything that stands before or behind it, right or wrong. */
static void test_help_first(void)
{
    struct opt_set o;
    CHECK_OK(parse(&o, "--help --bogus"));
    CHECK(opt_switch(&o, "help") && !opt_switch(&o, "version"));
    opt_end(&o);
    CHECK_OK(parse(&o, "--config /nowhere/at/all -h"));
    CHECK(opt_switch(&o, "help"));
    opt_end(&o);
}

/* A program's own row replaces a shared one of the same name. */
static void test_replaced_row(void)
{
    static const struct opt own = { "backend", OPT_TEXT, "ref", 0, 0, NULL, "NAME", "own", "Own" };
    struct opt_set o;
    char *argv[] = { "x" };
    opt_begin(&o, "x", "x");
    opt_add(&o, opt_common, opt_common_count);
    opt_add(&o, &own, 1);
    CHECK(o.rows == opt_common_count);
    CHECK_OK(opt_parse(&o, 1, argv));
    CHECK(!strcmp(opt_text(&o, "backend"), "ref"));
    opt_end(&o);
}

/* -- image folders ------------------------------------------------------------------------------ */

static void check_cache(const char *line, uint64_t bytes)
{
    struct opt_set o;
    CHECK_OK(parse(&o, line));
    CHECK_MSG(tool_cache_bytes(&o) == bytes, "%s: %llu", line, (unsigned long long)tool_cache_bytes(&o));
    opt_end(&o);
}

/* However much is asked for, the net finds some memory. */
static void test_cache(void)
{
    rn_memory_pretend((uint64_t)800 << 20);
    check_cache("", (uint64_t)200 << 20);
    check_cache("--cache-mb 0", 0);
    check_cache("--cache-mb 700", (uint64_t)700 << 20);
    check_cache("--cache-mb 701", (uint64_t)700 << 20);
    check_cache("--cache-mb 10000000", (uint64_t)700 << 20);
    rn_memory_pretend(0);
}

static void test_one_class(void)
{
    int32_t labels[] = { 0, 0, 0, 1, 1 };
    struct rn_store *files = (struct rn_store *)(void *)labels; /* there are some; nobody looks */
    const struct rn_split split = { .count = 5, .labels = labels, .store = files };
    const struct rn_split memory = { .count = 5, .labels = labels };
    const struct rn_split alone = { .count = 3, .labels = labels, .store = files };
    int64_t needed = 0;
    CHECK(tool_data_one_class(&needed, &split, 1) && needed == 4 && tool_data_one_class(&needed, &split, 3));
    CHECK(!tool_data_one_class(&needed, &split, 4) && !tool_data_one_class(&needed, &split, 0));
    CHECK(!tool_data_one_class(&needed, &alone, 2)); /* no limit would help */
    CHECK(!tool_data_one_class(&needed, &memory, 1));
}

/* -- files ---------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/test_options.XXXXXX";
static char path[64];

/* Parses `line` with a config file of this content, "@" in line standing for its path. */
static rn_status parse_file(struct opt_set *o, const void *content, size_t bytes, const char *before)
{
    char line[256];
    CHECK_OK(rn_file_write(path, content, bytes));
    snprintf(line, sizeof line, "--config %s %s", path, before);
    return parse(o, line);
}

static void refuse_file(const char *content, size_t bytes, const char *word, const char *another)
{
    struct opt_set o;
    rn_status status = parse_file(&o, content, bytes, "");
    CHECK_MSG(status == RN_EUSAGE, "file \"%s\": status %d", content, (int)status);
    CHECK_MSG(strstr(rn_error(), word) && strstr(rn_error(), another), "file \"%s\": \"%s\" lacks \"%s\" or \"%s\"",
              content, rn_error(), word, another);
    opt_end(&o);
}

static void test_config(void)
{
    static const char text[] = "\xef\xbb\xbf# a comment\r\n\r\n  lr = 0.25   # and why\r\nhash = true\r\n"
                               "output = /a#b/c\nbatch-size = 32";
    struct opt_set o;
    CHECK_OK(parse_file(&o, text, sizeof text - 1, "--batch-size 16"));
    CHECK(opt_real(&o, "lr") == 0.25 && opt_source_of(&o, "lr") == OPT_FILE);
    CHECK(opt_switch(&o, "hash") && !strcmp(opt_text(&o, "output"), "/a#b/c"));
    CHECK(opt_int(&o, "batch-size") == 16 && opt_source_of(&o, "batch-size") == OPT_FLAG);
    opt_end(&o);
    CHECK_OK(parse_file(&o, "", 0, ""));
    opt_end(&o);
}

static void test_config_refusals(void)
{
    refuse_file("lr = 1\nlearning = 2\n", 20, ":2", "learning");
    refuse_file("lr = 1\nhash = true\nlr = 1\n", 26, ":3: lr", "line 1");
    refuse_file("lr = abc\n", 9, ":1: lr", "abc");
    refuse_file("\n\nlr 3\n", 7, ":3", "key = value");
    refuse_file("lr =\n", 5, ":1: lr", "missing");
    refuse_file("config = other.conf\n", 20, ":1", "flag only");
    refuse_file("hash = yes\n", 11, ":1: hash", "true");
    refuse_file("lr\0 = 1\n", 8, ":1", "zero byte");
    struct opt_set o;
    CHECK(parse(&o, "--config /nowhere/at/all.conf") == RN_EINPUT);
    opt_end(&o);
    CHECK(parse(&o, "--config /tmp") == RN_EINPUT);
    opt_end(&o);
}

/* args.conf, read back, gives the same settings. */
static void test_round_trip(void)
{
    struct opt_set o, back;
    CHECK_OK(parse(&o, "--lr 0.30000000000000004 --mean .1,.2,.3 --hash --no-shuffle --output x#y --threads 3"));
    char *text = opt_conf_text(&o);
    CHECK(text != NULL);
    if (text) {
        CHECK_OK(parse_file(&back, text, strlen(text), ""));
        char *again = opt_conf_text(&back);
        CHECK_MSG(again && !strcmp(text, again), "%s\nread back as\n%s", text, again ? again : "nothing");
        rn_free(again);
        opt_end(&back);
    }
    rn_free(text);
    opt_end(&o);
}

static void test_values(void)
{
    struct opt_set o;
    CHECK_OK(parse(&o, "--batch-size 7 --mean 1,2 --hash"));
    struct rn_value *all = opt_values(&o), *v;
    CHECK(all != NULL);
    CHECK(all && (v = rn_dict_get(all, "batch-size")) && v->kind == RN_INT && v->integer == 7);
    CHECK(all && (v = rn_dict_get(all, "lr")) && v->kind == RN_REAL && v->real == 0.1);
    CHECK(all && (v = rn_dict_get(all, "hash")) && v->kind == RN_BOOLEAN && v->integer == 1);
    CHECK(all && (v = rn_dict_get(all, "mean")) && v->kind == RN_LIST && v->count == 2);
    CHECK(all && (v = rn_dict_get(all, "opt")) && v->kind == RN_STRING && !strcmp(v->text, "sgd"));
    CHECK(all && !rn_dict_get(all, "output") && !rn_dict_get(all, "help"));
    rn_value_free(all);
    opt_end(&o);
}

/* -- environment ---------------------------------------------------------------------------------- */

/* Threads in force under OMP_NUM_THREADS=text; what the program says about it is not shown. */
static int64_t threads_under(const char *text, bool *given)
{
    struct opt_set o;
    setenv("OMP_NUM_THREADS", text, 1);
    CHECK_OK(parse(&o, ""));
    int64_t threads = opt_int(&o, "threads");
    *given = opt_source_of(&o, "threads") == OPT_ENVIRONMENT;
    opt_end(&o);
    unsetenv("OMP_NUM_THREADS");
    return threads;
}

static void test_environment(void)
{
    static const char *const malformed[] = { "0", "-1", "abc", "1e9", "1000000000", "2x", "" };
    struct opt_set o;
    bool given;
    CHECK(threads_under("3", &given) == 3 && given);
    CHECK(threads_under("5,2", &given) == 5 && given);
    fprintf(stderr, "(warnings about OMP_NUM_THREADS are part of this test)\n");
    for (size_t i = 0; i < RN_COUNT(malformed); i++)
        CHECK_MSG(threads_under(malformed[i], &given) >= 1 && !given, "OMP_NUM_THREADS=%s", malformed[i]);

    setenv("OMP_NUM_THREADS", "3", 1);
    CHECK_OK(parse_file(&o, "threads = 4\n", 12, ""));
    CHECK(opt_int(&o, "threads") == 4);
    opt_end(&o);
    CHECK_OK(parse_file(&o, "threads = 4\n", 12, "--threads 2000"));
    CHECK(opt_int(&o, "threads") == 1024);
    opt_end(&o);
    unsetenv("OMP_NUM_THREADS");

    setenv("RESNET_ISA", "portable", 1);
    CHECK_OK(parse(&o, ""));
    CHECK(!strcmp(opt_text(&o, "isa"), "portable") && opt_source_of(&o, "isa") == OPT_ENVIRONMENT);
    opt_end(&o);
    CHECK_OK(parse(&o, "--isa avx2"));
    CHECK(!strcmp(opt_text(&o, "isa"), "avx2"));
    opt_end(&o);
    unsetenv("RESNET_ISA");
}

/* Every allocation fails once, then from some point on all of them: a status, no leak. */
static void test_no_memory(void)
{
    for (int for_ever = 0; for_ever < 2; for_ever++)
        for (uint64_t n = 1; n < 200; n++) {
            struct opt_set o;
            uint64_t live = rn_alloc_live();
            rn_alloc_fail_at(n, for_ever);
            rn_status status = parse(&o, "--lr 0.5 --output somewhere");
            char *text = status ? NULL : opt_conf_text(&o);
            struct rn_value *all = status ? NULL : opt_values(&o);
            rn_alloc_fail_at(0, false);
            CHECK(status == RN_OK || status == RN_ENOMEM);
            bool done = text && all;
            rn_free(text);
            rn_value_free(all);
            opt_end(&o);
            CHECK(rn_alloc_live() == live);
            if (done) break;
            CHECK(n < 199);
        }
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_defaults), RN_TEST_ROW(test_flags), RN_TEST_ROW(test_lists),
        RN_TEST_ROW(test_refusals), RN_TEST_ROW(test_unknown_isa),
        RN_TEST_ROW(test_numerics_of_a_backend), RN_TEST_ROW(test_positionals), RN_TEST_ROW(test_help_first),
        RN_TEST_ROW(test_replaced_row), RN_TEST_ROW(test_cache), RN_TEST_ROW(test_one_class),
        RN_TEST_ROW(test_config), RN_TEST_ROW(test_config_refusals),
        RN_TEST_ROW(test_round_trip), RN_TEST_ROW(test_values), RN_TEST_ROW(test_environment),
        RN_TEST_ROW(test_no_memory),
    };
    unsetenv("OMP_NUM_THREADS");
    unsetenv("RESNET_ISA");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/test.conf", folder);
    int failed = rn_test_main("test_options", row, RN_COUNT(row), argc, argv);
    remove(path);
    rmdir(folder);
    return failed;
}
