/*
 * test_characterize_project.c - the report that this project began with, from its own arithmetic; other counters;
 * hardware files; and the roofline by hand.
 */
#include "tests/test_net.h"

#include "analyze/convention.h"
#include "analyze/loops.h"
#include "analyze/project.h"
#include "analyze/seed.h"
#include "analyze/tiles.h"
#include "base/mem.h"
#include "base/text.h"
#include "cpu/cpu.h"

static struct rn_trace trace_of(const char *arch, enum rn_stem stem, int size)
{
    const struct rn_net_config config = config_of(arch, stem, 1000, size, 1);
    struct rn_trace t;
    CHECK_OK(rn_trace_build(&t, &config));
    return t;
}

static struct rn_hardware hardware_of(const char *text)
{
    struct rn_hardware h;
    CHECK_OK(rn_hardware_parse(&h, text, strlen(text), "x.conf"));
    return h;
}

/* -- the seed ------------------------------------------------------------------------------------- */

static void test_seed(void)
{
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_seed s;
    CHECK_OK(rn_seed_build(&s, &t));
    CHECK(s.rows == 17 && s.flops == 3786155008 && s.bytes == 54945792 && s.convs_left_out == 3);
    CHECK(s.left_out == 3 * 231211008 + 1024000);
    CHECK(s.row[0].flops == 1259216896 && s.row[0].right == 236027904);
    int64_t right = s.left_out;
    for (int i = 0; i < s.rows; i++) right += s.row[i].right;
    CHECK(right == 3628146688);
    rn_seed_free(&s);
    rn_trace_free(&t);
}

static void test_seeds_machines(void)
{
    static const struct { const char *path, *ms, *joules, *times; } row[] = {
        { "tools/hw/cpu.conf", "37.86", "3.792", "1.0" }, { "tools/hw/gpu.conf", "0.23", "1.895", "166.7" },
        { "tools/hw/tpu.conf", "0.05", "0.758", "750.0" }, { "tools/hw/kpu.conf", "2.27", "0.379", "16.7" },
    };
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    double cpu = 0;
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        struct rn_hardware h;
        struct rn_projection p;
        char text[RN_NUMBER_CHARS];
        CHECK_OK(rn_hardware_read(&h, row[i].path));
        CHECK_OK(rn_project_seed(&p, &t, &h, 1));
        if (i == 0) cpu = p.seconds;
        CHECK(!strcmp(rn_fixed_text(text, 1e3 * p.seconds, 2), row[i].ms));
        CHECK(!strcmp(rn_fixed_text(text, p.joules, 3), row[i].joules));
        CHECK(!strcmp(rn_fixed_text(text, cpu / p.seconds, 1), row[i].times));
        rn_projection_free(&p);
    }
    rn_trace_free(&t);
}

/* -- other counters ------------------------------------------------------------------------------- */

/* What fvcore 0.1.5, ptflops 0.7.5, thop 0.1.1 and torchinfo 1.8.0 print. */
static void test_conventions(void)
{
    static const struct { const char *arch, *tool; int64_t total; } row[] = {
        { "resnet18", "fvcore", 1819065856 }, { "resnet18", "ptflops", 1825313768 },
            { "resnet18", "thop", 1824033792 },
        { "resnet18", "torchinfo", 1814083944 }, { "resnet50", "fvcore", 4111512576 },
        { "resnet50", "ptflops", 4132436968 }, { "resnet50", "thop", 4133742592 },
        { "resnet50", "torchinfo", 4089238376 }, { "wide_resnet101_2", "thop", 22838050816 },
        { "wide_resnet101_2", "torchinfo", 22753189480 }, { "resnet18", "seed", 3786155008 },
    };
    struct rn_convention v;
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        struct rn_trace t = trace_of(row[i].arch, RN_STEM_IMAGENET, 224);
        CHECK_OK(rn_convention_of(&v, row[i].tool, &t));
        CHECK_MSG(v.total == row[i].total, "%s, %s: %" PRId64, row[i].arch, row[i].tool, v.total);
        int64_t sum = 0;
        for (int k = 0; k < v.lines; k++) sum += v.line[k].count;
        CHECK(sum == v.total);
        rn_trace_free(&t);
    }
    struct rn_trace t = trace_of("resnet18", RN_STEM_CIFAR, 32);
    CHECK(rn_convention_of(&v, "fvcor", &t) == RN_EUSAGE && strstr(rn_error(), "did you mean fvcore"));
    CHECK(rn_convention_of(&v, "nonsense", &t) == RN_EUSAGE);
    rn_trace_free(&t);
}

/* -- hardware files ------------------------------------------------------------------------------- */

static void refused(const char *text, const char *what)
{
    struct rn_hardware h;
    CHECK_MSG(rn_hardware_parse(&h, text, strlen(text), "x.conf") == RN_EINPUT, "accepted: %s", text);
    CHECK_MSG(strstr(rn_error(), what) != NULL, "%s: %s", text, rn_error());
}

static void test_hardware(void)
{
    const struct rn_hardware h = hardware_of("# one\r\nname = A thing # named\n\npeak_fp32=2e12\n bandwidth = 1e9\n"
                                             "source = a book\nlaunch_overhead = 0\n");
    CHECK(!strcmp(h.name, "A thing") && !strcmp(h.source, "a book") && h.value[RN_HW_PEAK + RN_FP32] == 2e12);
    CHECK(h.known[RN_HW_BANDWIDTH] && h.known[RN_HW_LAUNCH] && !h.known[RN_HW_PEAK + RN_INT8]);
    CHECK(rn_hardware_value(&h, RN_HW_UTILISATION, 0.5) == 0.5 && rn_hardware_value(&h, RN_HW_BANDWIDTH, 1) == 1e9);
    refused("peak_fp32 = 1", "name is missing");
    refused("name = x\nbandwith = 3", "x.conf:2: unknown key \"bandwith\"; did you mean bandwidth");
    refused("name = x\nbandwidth", "x.conf:2: \"bandwidth\" is not `key = value`");
    refused("name = x\nbandwidth = 0", "not a number above 0");
    refused("name = x\nbandwidth = -1", "not a number above 0");
    refused("name = x\nbandwidth = nan", "not a number above 0");
    refused("name = x\nbandwidth = 1\nbandwidth = 1", "x.conf:3: bandwidth stands there twice");
    refused("name = x\nname = y", "twice");
    refused("name = x\nutilisation = 1.5", "more than all");
    refused("name = x\nbandwidth = 1e-300", "not between 1e-30 and 1e30");
    refused("name = x\nbandwidth = 1e31", "not between 1e-30 and 1e30");
    refused("name = x\nthreads = 1.5", "x.conf:2: threads: 1.5 is not a number of threads, 1 to 1024");
    refused("name = x\nthreads = 1025", "not a number of threads");
    refused("name = x\nisa = avx2\nisa = avx2", "x.conf:3: isa stands there twice");
    refused("name = x\nnumeric = fp32", "did you mean numerics");
    refused("name = x\nisa = an instruction set", "longer than 15 bytes");
    const struct rn_hardware m = hardware_of("name = x\nthreads = 4\nisa = avx512\nnumerics = fp32\n");
    CHECK(m.value[RN_HW_THREADS] == 4 && !strcmp(m.isa, "avx512") && !strcmp(m.numerics, "fp32"));
    CHECK(!h.known[RN_HW_THREADS] && !*h.isa && !*h.numerics);
}

/* Every file that is delivered reads, says where its numbers are from, and projects what it has a peak for. */
static void test_delivered(void)
{
    static const struct { const char *path; enum rn_precision precision; bool joules; } row[] = {
        { "tools/hw/nvidia-a100-sxm.conf", RN_FP32, true }, { "tools/hw/nvidia-h100-sxm.conf", RN_BF16_TENSOR, false },
        { "tools/hw/nvidia-t4.conf", RN_INT8, true }, { "tools/hw/tpu-v1.conf", RN_INT8, false },
        { "tools/hw/tpu-v4.conf", RN_BF16_TENSOR, true }, { "tools/hw/xeon-e5-2699-v3.conf", RN_FP32, false },
    };
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    CHECK_OK(rn_groups_build(&g, &t));
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        struct rn_hardware h;
        struct rn_projection p;
        CHECK_OK(rn_hardware_read(&h, row[i].path));
        CHECK_OK(rn_project(&p, &g, &h, row[i].precision, 1));
        CHECK_MSG(*h.source && p.missing_seconds < 0 && p.seconds > 0, "%s", row[i].path);
        CHECK_MSG((p.missing_joules < 0) == row[i].joules, "%s: joules need %d", row[i].path, p.missing_joules);
        CHECK_MSG(row[i].joules || p.missing_joules == RN_HW_ENERGY_BYTE, "%s: joules need %d", row[i].path,
                  p.missing_joules);
        rn_projection_free(&p);
    }
    rn_groups_free(&g);
    rn_trace_free(&t);
}

/* Keys by their names: the table in hardware.c follows the enumeration. */
static void test_keys(void)
{
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_PEAK + RN_INT8), "peak_int8"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_ENERGY_MAC + RN_FP16), "energy_per_mac_fp16"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_CAPACITY + 2), "capacity_l2") && !strcmp(rn_memory_level_name(2), "l2"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_LEVEL_BANDWIDTH + 4), "bandwidth_buffer"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_BANDWIDTH), "bandwidth"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_LEVEL_RESULTS + 3), "result_bandwidth_l3"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_RESULTS), "result_bandwidth"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_ENERGY_BYTE), "energy_per_byte"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_WAVEFRONT), "wavefront"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_THREADS), "threads"));
    CHECK(!strcmp(rn_hardware_key_name(RN_HW_SEED_WAVEFRONT), "seed_wavefront_bytes"));
}

/* -- what a machine is measured with -------------------------------------------------------------- */

/* The loops compute what they say, of every set that this CPU has; or what they measure is something else. */
static void check_loops(const struct rn_loops *l)
{
    enum { STEPS = 5, STRIDE = 80 };
    const int row = (int)rn_loop_row(l);
    float panel[STEPS * RN_LOOP_VECTORS * RN_LOOP_LANES], value[RN_LOOP_VALUES * RN_LOOP_ROWS];
    float sums[RN_LOOP_ROWS * RN_LOOP_VECTORS * RN_LOOP_LANES], factor[2 * RN_LOOP_VECTORS * RN_LOOP_LANES];
    float to[RN_LOOP_ROWS * STRIDE], add[RN_LOOP_ROWS * STRIDE], from[8 * RN_LOOP_LANES * 2];
    int wrong = 0;
    for (size_t i = 0; i < RN_COUNT(panel); i++) panel[i] = (float)(i % 7);
    for (size_t i = 0; i < RN_COUNT(value); i++) value[i] = (float)(i % 5) - 2;
    for (size_t i = 0; i < RN_COUNT(factor); i++) factor[i] = (float)(i % 3) - 1;
    for (size_t i = 0; i < RN_COUNT(add); i++) add[i] = (float)(i % 11);
    l->tile(sums, panel, value, STEPS);
    l->finish(to, add, STRIDE, sums, factor);
    for (int i = 0; i < RN_LOOP_ROWS; i++)
        for (int k = 0; k < row; k++) {
            float sum = 0;
            for (int s = 0; s < STEPS; s++) sum += panel[s * row + k] * value[s * RN_LOOP_ROWS + i];
            const float done = sum * factor[k] + factor[row + k] + add[i * STRIDE + k];
            wrong += sums[i * row + k] != sum || to[i * STRIDE + k] != (done > 0 ? done : 0);
        }
    CHECK_MSG(wrong == 0, "%s: %d of %d wrong", l->isa, wrong, RN_LOOP_ROWS * row);
    for (size_t i = 0; i < RN_COUNT(from); i++) from[i] = 1;
    CHECK_MSG(l->read(from, (size_t)(2 * 8 * l->lanes)) == 16, "%s: reads", l->isa); /* a lane of the sums */
}

static void test_loops(void)
{
    const char *isa;
    for (int i = 0; (isa = rn_isa_name(i)); i++) {
        const struct rn_loops *l = rn_loops_named(isa);
        CHECK_MSG(l != NULL, "no loops for %s", isa);
        if (l) check_loops(l);
    }
    CHECK(rn_loops_named("none") == NULL && rn_peak_narrow(1, "portable", RN_INT8) == 0);
    CHECK(rn_peak_narrow(1, "avx512", RN_FP32) == 0);
}

/* -- our model ------------------------------------------------------------------------------------ */

static void test_groups(void)
{
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    CHECK_OK(rn_groups_build(&g, &t));
    CHECK(g.rows == 23 && !strcmp(t.op[g.row[1].op[0]].name, "maxpool") && g.row[0].ops == 3);
    const struct rn_group *sum = &g.row[3]; /* layer1.0: conv2, bn2, add, relu */
    CHECK(sum->ops == 4 && sum->inputs == 200704 && sum->added == 200704 && sum->outputs == 200704);
    CHECK(sum->macs == 115605504);
    CHECK(sum->weights == 64 * 64 * 9 + 4 * 64 && sum->flops == 2 * 115605504 + 4 * 200704);
    int64_t macs = 0, weights = 0;
    for (int i = 0; i < g.rows; i++) macs += g.row[i].macs;
    for (int i = 0; i < g.rows; i++) weights += g.row[i].weights;
    CHECK(macs == 1814073344 && weights == 11689512 + 9600);
    rn_groups_free(&g);
    rn_trace_free(&t);
}

/* What is added and what is stored take their own time, on top, at the level that holds inputs and results. */
static void check_results(const struct rn_hardware *without, const struct rn_groups *g)
{
    struct rn_hardware h = *without;
    struct rn_projection p;
    const double act = 4.0 * 200704, weights = 4.0 * (36864 + 256);
    h.known[RN_HW_RESULTS] = h.known[RN_HW_LEVEL_RESULTS + 2] = true;
    h.value[RN_HW_RESULTS] = 2e9;
    h.value[RN_HW_LEVEL_RESULTS + 2] = 2e10;
    CHECK_OK(rn_project(&p, g, &h, RN_FP32, 1));
    const struct rn_projected *sum = &p.row[3], *conv = &p.row[4]; /* 2.4 MB and 1.6: main memory and level 2 */
    CHECK(fabs(sum->results - 2 * act / 2e9) <= 1e-15 && fabs(conv->results - act / 2e10) <= 1e-15);
    CHECK(fabs(sum->memory - (act + weights) / 1e10) <= 1e-15);
    CHECK(fabs(conv->memory - act / 1e11 - weights / 1e10) <= 1e-15);
    CHECK(fabs(sum->seconds - sum->compute - 0.75 * sum->memory - sum->results - 1e-6) <= 1e-15);
    CHECK(sum->bound == RN_BOUND_MEMORY && conv->bound == RN_BOUND_COMPUTE);
    rn_projection_free(&p);
}

static void test_roofline(void)
{
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    struct rn_projection p;
    const struct rn_hardware h = hardware_of("name=x\npeak_fp32=1e12\npeak_fp16=4e12\nbandwidth=1e10\nutilisation=0.5\n"
                                             "capacity_l2=2e6\nbandwidth_l2=1e11\nlaunch_overhead=1e-6\n"
                                             "energy_per_mac_fp32=1e-12\nenergy_per_byte=1e-10\n");
    CHECK_OK(rn_groups_build(&g, &t));
    CHECK_OK(rn_project(&p, &g, &h, RN_FP32, 1));
    const struct rn_projected *sum = &p.row[3], *fc = &p.row[22];
    const double flops = 2.0 * 115605504 + 4.0 * 200704, act = 4.0 * 3 * 200704, weights = 4.0 * (36864 + 256);
    CHECK(fabs(sum->compute - flops / 5e11) <= 1e-15);
    CHECK(fabs(sum->memory - (act + weights) / 1e10) <= 1e-15 && sum->bound == RN_BOUND_COMPUTE); /* 2.4 MB: not L2 */
    CHECK(fabs(sum->seconds - sum->compute - 1e-6) <= 1e-15);
    CHECK(fabs(fc->memory - 4.0 * 1512 / 1e11 - 4.0 * 513000 / 1e10) <= 1e-15 && fc->bound == RN_BOUND_MEMORY);
    CHECK(fabs(fc->seconds - fc->memory - 1e-6) <= 1e-15);
    CHECK(fabs(sum->joules - (115605504e-12 + 4 * 200704 * 0.5e-12 + (act + weights) * 1e-10)) <= 1e-15);
    double seconds = 0;
    for (int i = 0; i < p.rows; i++) seconds += p.row[i].seconds;
    CHECK(fabs(seconds - p.seconds) <= 1e-12 && p.missing_seconds < 0 && p.missing_joules < 0);
    rn_projection_free(&p);
    struct rn_hardware turns = h;
    turns.known[RN_HW_OVERLAP] = true;
    turns.value[RN_HW_OVERLAP] = 0.25;
    CHECK_OK(rn_project(&p, &g, &turns, RN_FP32, 1));
    CHECK(fabs(p.row[3].seconds - p.row[3].compute - 0.75 * p.row[3].memory - 1e-6) <= 1e-15);
    rn_projection_free(&p);
    check_results(&turns, &g);
    CHECK_OK(rn_project(&p, &g, &h, RN_FP16, 2));
    CHECK(p.missing_seconds < 0 && p.missing_joules == RN_HW_ENERGY_MAC + RN_FP16);
    CHECK(fabs(p.row[3].compute - flops / 1e12) <= 1e-15);
    rn_projection_free(&p);
    CHECK_OK(rn_project(&p, &g, &h, RN_INT8, 1));
    CHECK(p.missing_seconds == RN_HW_PEAK + RN_INT8 && !p.row && p.seconds == 0);
    rn_projection_free(&p);
    rn_groups_free(&g);
    rn_trace_free(&t);
}

static void test_tiles(void)
{
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    CHECK_OK(rn_groups_build(&g, &t));
    const struct rn_group *conv = &g.row[2]; /* layer1.0.conv1: 56x56x64 in and out, 3x3 */
    const int64_t set = 4 * (2 * 200704 + 36864 + 256);
    struct rn_tiling r = rn_tile(conv, &t, 4, (double)set);
    CHECK(r.working_set == set && r.tiles == 1 && r.tiled_traffic == set);
    r = rn_tile(conv, &t, 4, (double)set - 1);
    CHECK(r.tiles == 2 && r.tiled_traffic == set && r.tile < set); /* one operand stays */
    /* Outputs and weights need three pieces of the rows, 19 of 56, under 21 of the inputs. */
    r = rn_tile(conv, &t, 4, 4 * (19 * 56 * 64 + 21 * 56 * 64 + 36864 + 256));
    CHECK(r.tiles == 3 && r.tile == 4 * (40 * 56 * 64 + 36864 + 256));
    CHECK(r.tiled_traffic == set + 4 * 2 * 2 * 56 * 64);
    CHECK(rn_tile(conv, &t, 4, 4 * (56 + 3 * 56 + 10)).tiles > 0); /* one row of one channel, and nine taps */
    CHECK(rn_tile(conv, &t, 4, 4 * (56 + 3 * 56 + 8)).tiles == 0);
    for (int i = 0; i < g.rows; i++) {
        for (double capacity = 16384; capacity < 1e8; capacity *= 4) {
            r = rn_tile(&g.row[i], &t, 4, capacity);
            CHECK(r.tiles >= 1 && (double)r.tile <= capacity && (double)r.tiles * capacity >= (double)r.working_set);
            CHECK(r.tiled_traffic >= r.traffic && (r.tiles == 1) == ((double)r.working_set <= capacity));
        }
    }
    rn_groups_free(&g);
    rn_trace_free(&t);
}

/* The groups of a convolution share no inputs: cut apart, where one is alone in memory, nothing is read twice. */
static void test_tiles_of_groups(void)
{
    struct rn_trace t = trace_of("resnext50_32x4d", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    CHECK_OK(rn_groups_build(&g, &t));
    const struct rn_group *conv = &g.row[3]; /* layer1.0.conv2: 56x56x128, 32 groups of 4 channels */
    CHECK(t.op[conv->op[0]].conv.groups == 32);
    const int64_t each = 4 * (2 * 4 * 56 * 56 + 4 * (4 * 9 + 4));
    struct rn_tiling r = rn_tile(conv, &t, 4, (double)each);
    CHECK(r.tiles == 32 && r.tile == each && r.tiled_traffic == r.traffic);
    r = rn_tile(conv, &t, 4, 4 * (4 * 56 * (28 + 30) + 4 * (4 * 9 + 4))); /* half of the rows, too */
    CHECK(r.tiles == 64 && r.tiled_traffic == r.traffic + 4 * 2 * 56 * 128);
    rn_groups_free(&g);
    rn_trace_free(&t);
}

/* A level that its file names, by both rules; ours over the fused operations, the seed's over its windows. */
static void check_level(const struct rn_tile_net *n, const struct rn_tile_level *level, int64_t tiles, int cut,
                        int64_t extents)
{
    const struct rn_tile_sum ours = rn_tile_all(n, RN_TILES_OURS, level), seed = rn_tile_all(n, RN_TILES_SEED, level);
    CHECK_MSG(ours.rows == 23 && ours.all.tiles == tiles && ours.split == cut, "%s: %" PRId64 " tiles, %d cut",
              level->name, ours.all.tiles, ours.split);
    CHECK(ours.all.working_set == 9746432 && ours.all.traffic == 72595008);
    CHECK((rn_tile_overhead(RN_TILES_OURS, &ours.all) > 1) == (ours.all.tiled_traffic > ours.all.traffic));
    CHECK(seed.rows == 17 && seed.all.tiles == 17 && seed.split == 0 && seed.all.working_set == extents);
    CHECK(fabs(rn_tile_overhead(RN_TILES_SEED, &seed.all) - 1.8) <= 1e-15); /* its text: 1 + 0.05 (17 - 1) */
    int64_t sum = 0;
    for (int i = 0; i < rn_tile_rows(n, RN_TILES_OURS); i++) sum += rn_tile_row(n, RN_TILES_OURS, level, i).tiles;
    CHECK(sum == tiles && !strcmp(n->trace->op[rn_tile_first(n, RN_TILES_OURS, 1)].name, "maxpool"));
    CHECK(!strcmp(n->trace->op[rn_tile_first(n, RN_TILES_SEED, 1)].name, "layer1_0_conv1"));
}

/* The four memories of the seed's report, each under both rules. */
static void test_levels(void)
{
    static const struct { const char *path, *level; int64_t tiles; int cut; int64_t extents; } row[] = {
        { "tools/hw/cpu.conf", "l2", 950, 22, 3 * 2108 }, { "tools/hw/gpu.conf", "shared", 15054, 23, 2108 },
        { "tools/hw/tpu.conf", "buffer", 23, 0, 2108 }, { "tools/hw/kpu.conf", "wavefront", 23, 0, 2108 },
    };
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    struct rn_seed s;
    CHECK_OK(rn_groups_build(&g, &t));
    CHECK_OK(rn_seed_build(&s, &t));
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        struct rn_hardware h;
        struct rn_tile_level level[RN_TILE_LEVELS];
        CHECK_OK(rn_hardware_read(&h, row[i].path));
        const struct rn_tile_net n = { &t, &g, &s, &h, 4 };
        CHECK(rn_tile_levels(level, &h) == 1 && !strcmp(level[0].name, row[i].level));
        check_level(&n, &level[0], row[i].tiles, row[i].cut, row[i].extents);
    }
    rn_seed_free(&s);
    rn_groups_free(&g);
    rn_trace_free(&t);
}

/* Levels innermost first; what does not fit at all; a window of two wavefronts; the seed's tiles when they do count. */
static void test_level_limits(void)
{
    struct rn_trace t = trace_of("resnet18", RN_STEM_IMAGENET, 224);
    struct rn_groups g;
    struct rn_seed s;
    struct rn_tile_level level[RN_TILE_LEVELS];
    const struct rn_hardware h = hardware_of("name=x\ncapacity_l3=1e8\ncapacity_l1=64\nwavefront=1\n"
                                             "seed_wavefront_bytes=12544\n");
    const struct rn_tile_net n = { &t, &g, &s, &h, 4 };
    CHECK_OK(rn_groups_build(&g, &t));
    CHECK_OK(rn_seed_build(&s, &t));
    CHECK(rn_tile_levels(level, &h) == 3 && !strcmp(level[0].name, "l1") && !strcmp(level[1].name, "l3") &&
          !strcmp(level[2].name, "wavefront") && level[2].capacity == 0);
    struct rn_tile_sum sum = rn_tile_all(&n, RN_TILES_OURS, &level[0]);
    CHECK(sum.all.tiles == 0 && rn_tile_overhead(RN_TILES_OURS, &sum.all) == 0);
    const struct rn_tiling first = rn_tile_row(&n, RN_TILES_SEED, &level[0], 0); /* 4 (1 + 64 + 112 + 112) bytes */
    CHECK(first.working_set == 1156 && first.tiles == 18);
    CHECK(fabs(rn_tile_overhead(RN_TILES_SEED, &first) - 1.85) <= 1e-15);
    sum = rn_tile_all(&n, RN_TILES_SEED, &level[2]); /* 4 * 56 * 56 is just not within 12,544 */
    CHECK(sum.all.tiles == 17 + 5 && sum.split == 5);
    const struct rn_hardware none = hardware_of("name=x\nbandwidth=1\nwavefront=0\n");
    CHECK(rn_tile_levels(level, &none) == 0);
    rn_seed_free(&s);
    rn_groups_free(&g);
    rn_trace_free(&t);
}

/* Every allocation may fail, and nothing stays behind. */
static void test_memory_runs_out(void)
{
    struct rn_trace t = trace_of("resnet18", RN_STEM_CIFAR, 32);
    const uint64_t live = rn_alloc_live();
    struct rn_groups g;
    struct rn_seed s;
    for (uint64_t n = 1; n <= 4; n++) {
        rn_alloc_fail_at(n, false);
        CHECK(rn_groups_build(&g, &t) == RN_ENOMEM);
    }
    rn_alloc_fail_at(1, false);
    CHECK(rn_seed_build(&s, &t) == RN_ENOMEM);
    rn_alloc_fail_at(0, false);
    CHECK(rn_alloc_live() == live);
    rn_trace_free(&t);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_seed), RN_TEST_ROW(test_seeds_machines), RN_TEST_ROW(test_conventions),
        RN_TEST_ROW(test_hardware), RN_TEST_ROW(test_keys), RN_TEST_ROW(test_loops),
        RN_TEST_ROW(test_groups), RN_TEST_ROW(test_roofline),
        RN_TEST_ROW(test_delivered), RN_TEST_ROW(test_tiles), RN_TEST_ROW(test_tiles_of_groups),
        RN_TEST_ROW(test_levels), RN_TEST_ROW(test_level_limits), RN_TEST_ROW(test_memory_runs_out),
    };
    return rn_test_main("test_characterize_project", rows, RN_COUNT(rows), argc, argv);
}
