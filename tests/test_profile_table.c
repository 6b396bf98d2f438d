/* test_profile_table.c - what ops cost by their shapes, and the arithmetic of the tables on a made-up recording. */
#define _XOPEN_SOURCE 700 /* mkstemp */
#include "tests/test.h"

#include "base/file.h"
#include "base/mem.h"
#include "observe/profile.h"
#include "observe/trace.h"

#include <unistd.h>

/* -- costs -------------------------------------------------------------------------------------- */

static void check_cost(const char *what, struct rn_op op, int64_t flops, int64_t bytes, int64_t written)
{
    const struct rn_cost c = rn_op_cost(&op);
    CHECK_MSG(c.flops == flops && c.bytes == bytes && c.written == written,
              "%s: %" PRId64 " FLOPs, %" PRId64 " bytes, %" PRId64 " written", what, c.flops, c.bytes, c.written);
}

/* By hand: 2 images, 6 channels of 5x5 to 4 of 3x3 by a 3x3 filter in 2 groups, stride 2, padding 1. */
static void test_costs(void)
{
    struct rn_op conv = { .kind = RN_OP_CONV, .element = 4, .N = 2, .C = 6, .H = 5, .W = 5, .K = 4, .R = 3, .S = 3,
                          .P = 3, .Q = 3, .stride = 2, .pad = 1, .groups = 2 };
    const int64_t macs = 2 * 4 * 9 * 3 * 9, x = 4 * 2 * 6 * 25, y = 4 * 2 * 4 * 9, w = 4 * 4 * 3 * 9;
    check_cost("forward", conv, 2 * macs, x + y + w, y);
    conv.extra = 1;
    check_cost("with a bias", conv, 2 * macs + 72, x + y + w + 16, y);
    conv.extra = 0;
    conv.kind = RN_OP_CONV_DATA;
    check_cost("data gradient", conv, 2 * macs, x + y + w, x);
    conv.kind = RN_OP_CONV_WEIGHTS;
    check_cost("weight gradient", conv, 2 * macs, x + y + w, w);
    conv.kind = RN_OP_CONV_BN;
    conv.post = 2;
    check_cost("fused", conv, 2 * macs + 4 * 72, x + 2 * y + w + 64, y);
    conv.element = 2;
    check_cost("fused, bf16", conv, 2 * macs + 4 * 72, x / 2 + y + w + 64, y / 2);

    struct rn_op norm = { .kind = RN_OP_BN_TRAIN, .element = 4, .post = 1, .N = 2, .C = 3, .H = 4, .W = 5 };
    check_cost("batch norm + ReLU", norm, 7 * 120, 2 * 480 + 24 + 48, 480 + 48);
    norm.kind = RN_OP_BN_BACK;
    check_cost("and back", norm, 9 * 120, 3 * 480 + 60 + 24, 480 + 24);
    check_cost("linear", (struct rn_op){ .kind = RN_OP_LINEAR, .element = 4, .N = 2, .C = 5, .K = 3 }, 2 * 30 + 6,
               40 + 60 + 12 + 24, 24);
    check_cost("sgd", (struct rn_op){ .kind = RN_OP_SGD, .count = 100 }, 600, 2000, 800);
    check_cost("multiplication", (struct rn_op){ .kind = RN_OP_MULTIPLY, .count = 100 }, 100, 800, 400);
    check_cost("average", (struct rn_op){ .kind = RN_OP_AVERAGE, .count = 100 }, 300, 1200, 400);
    check_cost("adamw", (struct rn_op){ .kind = RN_OP_ADAMW, .count = 100 }, 1400, 2800, 1200);
    check_cost("a mark", (struct rn_op){ .kind = RN_OP_NONE }, 0, 0, 0);
    for (int kind = RN_OP_NONE + 1; kind < RN_OP_KINDS; kind++)
        CHECK_MSG(rn_op_name(&(struct rn_op){ .kind = kind }) != NULL, "op %d has no name", kind);
}

static void check_shapes(struct rn_op op, const char *want)
{
    struct rn_text t = {0};
    rn_op_shapes(&t, &op);
    CHECK_MSG(t.data && !strcmp(t.data, want), "%s instead of %s", t.data ? t.data : "nothing", want);
    rn_text_free(&t);
}

static void test_shapes(void)
{
    struct rn_op conv = { .kind = RN_OP_CONV, .N = 2, .C = 6, .H = 5, .W = 5, .K = 4, .R = 3, .S = 3, .P = 3, .Q = 3,
                          .groups = 2 };
    check_shapes(conv, "[[2, 6, 5, 5], [4, 3, 3, 3]]");
    conv.kind = RN_OP_CONV_DATA;
    check_shapes(conv, "[[2, 4, 3, 3], [4, 3, 3, 3]]");
    conv.kind = RN_OP_CONV_WEIGHTS;
    check_shapes(conv, "[[2, 4, 3, 3], [2, 6, 5, 5]]");
    check_shapes((struct rn_op){ .kind = RN_OP_SGD, .count = 7 }, "[[7]]");
}

/* -- a made-up recording ------------------------------------------------------------------------- */

enum { STEP, FORWARD, BACKWARD, CONV, GROUP, DATA, WEIGHTS, LOADER };

static struct rn_site site[] = {
    [STEP] = { .name = "step", .group = -1 },
    [FORWARD] = { .name = "forward", .group = -1 },
    [BACKWARD] = { .name = "backward", .group = -1 },
    [CONV] = { .name = "aten::convolution", .layer = "conv1", .group = -1,
               .op = { .kind = RN_OP_CONV, .element = 4, .N = 1, .C = 1, .H = 10, .W = 10, .K = 1, .R = 1, .S = 1,
                       .P = 10, .Q = 10, .groups = 1 } },
    [GROUP] = { .name = "aten::convolution_backward", .layer = "conv1", .group = -1 },
    [DATA] = { .name = "convolution_backward.data", .layer = "conv1", .group = GROUP,
               .op = { .kind = RN_OP_CONV_DATA, .element = 4, .N = 1, .C = 1, .H = 10, .W = 10, .K = 1, .R = 1,
                       .S = 1, .P = 10, .Q = 10, .groups = 1 } },
    [WEIGHTS] = { .name = "convolution_backward.weights", .layer = "conv1", .group = GROUP,
                  .op = { .kind = RN_OP_CONV_WEIGHTS, .element = 4, .N = 1, .C = 1, .H = 10, .W = 10, .K = 1, .R = 1,
                          .S = 1, .P = 10, .Q = 10, .groups = 1 } },
    [LOADER] = { .name = "enumerate(DataLoader)", .group = -1 },
};

/* In the order in which they end, as a recorder has them: two steps of 1000 ns, the second without backward. */
static struct rn_event event[] = {
    { 1000, 1100, LOADER, 1, -1 },   { 1110, 1390, CONV, 2, 0 },   { 1100, 1400, FORWARD, 1, -1 },
    { 1410, 1600, WEIGHTS, 3, 1 },   { 1600, 1890, DATA, 3, 2 },   { 1410, 1890, GROUP, 2, 1 },
    { 1400, 1900, BACKWARD, 1, -1 }, { 1000, 2000, STEP, 0, -1 },  { 3000, 3500, CONV, 2, 0 },
    { 3000, 3500, FORWARD, 1, -1 },  { 3000, 4000, STEP, 0, -1 },  { 5000, 5300, CONV, 0, 0 },
};
static struct rn_event worker_event[] = { { 1120, 1380, CONV, 0, -1 } };

static struct rn_recording made_up(void)
{
    static struct rn_track track[2];
    track[0] = (struct rn_track){ .name = "main", .main = true, .event = event, .events = RN_COUNT(event) };
    track[1] = (struct rn_track){ .name = "worker 1", .event = worker_event, .events = 1, .dropped = 2 };
    return (struct rn_recording){ .track = track, .tracks = 2, .site = site, .sites = (int)RN_COUNT(site), .lost = 1 };
}

static const struct rn_profile_row *find(const struct rn_profile_row *row, int rows, const char *name)
{
    static const struct rn_profile_row none;
    for (int i = 0; i < rows; i++)
        if (!strcmp(row[i].name, name)) return &row[i];
    CHECK_MSG(false, "no row %s", name);
    return &none;
}

static void test_sums(void)
{
    const struct rn_recording r = made_up();
    struct rn_profile p;
    CHECK_OK(rn_profile_make(&p, &r, "step", false));
    const struct rn_profile_row *step = find(p.op, p.ops, "step"), *conv = find(p.op, p.ops, "aten::convolution");
    const struct rn_profile_row *group = find(p.op, p.ops, "aten::convolution_backward");
    CHECK(step->calls == 2 && step->total == 2000 && step->self == 100 + 500 && !step->leaf);
    CHECK(conv->calls == 3 && conv->total == 280 + 500 + 300 && conv->self == conv->total && conv->leaf);
    CHECK(conv->flops == 3 * 200 && step->flops == 4 * 200);
    CHECK(group->calls == 1 && group->total == 480 && group->self == 0 && group->flops == 400);
    uint64_t self = 0;
    for (int i = 0; i < p.ops; i++) self += p.op[i].self;
    CHECK(self == p.self && p.self == 2000 + 300);
    self = 0;
    for (int i = 0; i < p.layers; i++) self += p.layer[i].self;
    CHECK(self == p.self);
    self = 0;
    for (int i = 0; i < p.families; i++) self += p.family[i].self;
    CHECK(self == p.self);
    CHECK(p.steps == 2 && p.steps_time == 2000 && p.leaves_time == 100 + 280 + 190 + 290 + 500);
    const struct rn_profile_row *layer = find(p.layer, p.layers, "conv1");
    CHECK(layer->forward == 280 + 500 + 300 && layer->backward == 480 && layer->flops == 5 * 200);
    CHECK(find(p.family, p.families, "convolution")->self == 280 + 500 + 300 + 480);
    CHECK(find(p.family, p.families, "data loading")->self == 100);
    CHECK(p.tracks == 2 && p.track[1].busy == 260 && rn_recording_dropped(&r) == 3);
    rn_profile_free(&p);
}

/* Two shapes of one op are two rows where that is asked for, else one. */
static void test_by_shape(void)
{
    struct rn_recording r = made_up();
    struct rn_profile p;
    site[DATA].name = "aten::convolution";
    CHECK_OK(rn_profile_make(&p, &r, "step", false));
    CHECK(find(p.op, p.ops, "aten::convolution")->calls == 4);
    const int rows = p.ops;
    rn_profile_free(&p);
    CHECK_OK(rn_profile_make(&p, &r, "step", true));
    CHECK(p.ops == rows + 1);
    rn_profile_free(&p);
    site[DATA].name = "convolution_backward.data";
}

static bool before(const char *text, const char *a, const char *b)
{
    const char *x = strstr(text, a), *y = strstr(text, b);
    return x && y && x < y;
}

static void test_text(void)
{
    static const char *const heading[] = { "Name ", "Self CPU %", "Self CPU ", "CPU total %", "CPU total ",
                                           "CPU time avg", "# of Calls", "Input Shapes", "Mem", "FLOPs", "GFLOP/s",
                                           "Bytes", "FLOP/B", "% of peak", "Bound" };
    const struct rn_recording r = made_up();
    struct rn_profile_style style = { .by_shape = true, .machine = { 1, 1 } };
    struct rn_profile p;
    struct rn_text t = {0};
    CHECK_OK(rn_profile_make(&p, &r, "step", true));
    rn_profile_text(&t, &p, &style);
    CHECK_OK(rn_text_status(&t));
    for (size_t i = 0; i < RN_COUNT(heading); i++)
        CHECK_MSG(strstr(t.data, heading[i]) != NULL, "no column %s", heading[i]);
    CHECK(strstr(t.data, "Self CPU time total: 2.300us") && strstr(t.data, "convolution: 67.83 %  (1.560us)"));
    CHECK(strstr(t.data, "[[1, 1, 10, 10], [1, 1, 1, 1]]") && strstr(t.data, "memory"));
    CHECK(before(t.data, "\naten::convolution ", "\nstep "));
    rn_text_free(&t);
    t = (struct rn_text){0};
    style.sort = RN_SORT_TOTAL;
    style.rows = 1;
    rn_profile_text(&t, &p, &style);
    CHECK(t.data && strstr(t.data, "\nstep ") && !strstr(t.data, "\naten::convolution ") &&
          strstr(t.data, "7 more rows"));
    rn_text_free(&t);
    rn_profile_free(&p);
}

/* 1 GFLOP/s and 1 GB/s: 200 FLOPs over 804 bytes wait for memory; at 1000 GB/s they do not. */
static void test_bound(void)
{
    const struct rn_recording r = made_up();
    struct rn_profile p;
    CHECK_OK(rn_profile_make(&p, &r, "step", false));
    for (int fast = 0; fast < 2; fast++) {
        struct rn_profile_style style = { .machine = { 1, fast ? 1000 : 1 } };
        struct rn_text t = {0};
        rn_profile_text(&t, &p, &style);
        const char *line = t.data ? strstr(t.data, "\naten::convolution ") : NULL;
        const char *end = line ? strchr(line + 1, '\n') : NULL;
        CHECK(end && !strncmp(end - 7, fast ? "compute" : " memory", 7));
        rn_text_free(&t);
    }
    rn_profile_free(&p);
}

/* Of two spans that begin at once, the outer comes first. */
static void test_trace_order(void)
{
    const struct rn_recording r = made_up();
    char path[] = "/tmp/resnet-test-XXXXXX";
    unsigned char *text = NULL;
    size_t bytes;
    int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    CHECK_OK(rn_trace_write(path, &r, "name", "made up"));
    CHECK_OK(rn_file_read(&text, &bytes, path, 1 << 20));
    CHECK(text && before((char *)text, "\"name\":\"aten::convolution_backward\"",
                         "\"name\":\"convolution_backward.weights\""));
    CHECK(text && strstr((char *)text, "\"ts\":1.410,\"dur\":0.190"));
    rn_free(text);
    remove(path);
}

static void test_times(void)
{
    char text[RN_NUMBER_CHARS];
    CHECK(!strcmp(rn_time_text(text, 1), "0.001us") && !strcmp(rn_time_text(text, 999999), "999.999us"));
    CHECK(!strcmp(rn_time_text(text, 1234567), "1.235ms") && !strcmp(rn_time_text(text, 5678e6), "5.678s"));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row row[] = {
        RN_TEST_ROW(test_costs), RN_TEST_ROW(test_shapes), RN_TEST_ROW(test_sums), RN_TEST_ROW(test_by_shape),
        RN_TEST_ROW(test_text),  RN_TEST_ROW(test_bound),  RN_TEST_ROW(test_times),
        RN_TEST_ROW(test_trace_order),
    };
    return rn_test_main("test_profile_table", row, RN_COUNT(row), argc, argv);
}
