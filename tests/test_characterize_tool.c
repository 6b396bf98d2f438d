/*
 * test_characterize_tool.c - what ./characterize writes: the JSON against the library's numbers, the report, a measured
 * hardware file and what --validate does with it, pictures.
 */
#define _POSIX_C_SOURCE 200809L

#include "tests/test.h"

#include "analyze/measure.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/io.h"
#include "tools/characterize/report.h"
#include "tools/plot/plot.h"

#include <unistd.h>

#define SMALL " --stem cifar --image-size 32 --num-classes 10"
#define MAX_WORDS 24

static char folder[64];

static const char *in_folder(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

/* ./characterize as far as what it knows: `line` is its command line. */
struct run { struct opt_set o; struct characterize c; };

static void begin(struct run *r, const char *line)
{
    char text[512], *argv[MAX_WORDS + 1] = { "characterize" };
    int argc = 1;
    snprintf(text, sizeof text, "--threads 1 %s", line);
    for (char *p = strtok(text, " "); p && argc < MAX_WORDS; p = strtok(NULL, " ")) argv[argc++] = p;
    opt_begin(&r->o, "characterize", "");
    opt_add(&r->o, opt_net, opt_net_count);
    opt_add(&r->o, characterize_rows, characterize_rows_count);
    opt_add(&r->o, opt_common, opt_common_count);
    CHECK_OK(opt_parse(&r->o, argc, argv));
    CHECK_OK(characterize_build(&r->c, &r->o));
}

static void end(struct run *r)
{
    characterize_free(&r->c);
    opt_end(&r->o);
}

/* -- JSON ------------------------------------------------------------------------------------------ */

static struct rn_value *json_of(const struct characterize *c)
{
    struct rn_text t = { 0 };
    struct rn_value *root = NULL;
    CHECK_OK(characterize_add_json(&t, c));
    CHECK_OK(rn_json_parse(&root, t.data, t.length, "json"));
    rn_text_free(&t);
    return root;
}

/* The value at the end of keys, of lists by number, with a dot between them; a missing one is a failure. */
static const struct rn_value *at(const struct rn_value *v, const char *path)
{
    char key[64];
    const char *p = path;
    while (v && *p) {
        const size_t length = strcspn(p, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, p);
        if (v->kind == RN_LIST) v = (size_t)atoi(key) < v->count ? v->item[atoi(key)] : NULL;
        else v = rn_dict_get(v, key);
        p += length + (p[length] == '.');
    }
    CHECK_MSG(v != NULL, "no %s", path);
    return v;
}

static double number(const struct rn_value *root, const char *path)
{
    const struct rn_value *v = at(root, path);
    if (!v) return NAN;
    return v->kind == RN_INT ? (double)v->integer : v->kind == RN_REAL ? v->real : NAN;
}

static void check_text(const struct rn_value *root, const char *path, const char *want)
{
    const struct rn_value *v = at(root, path);
    CHECK_MSG(v && v->kind == RN_STRING && strstr(v->text, want), "%s: not %s", path, want);
}

static void check_number(const struct rn_value *root, const char *path, double want)
{
    const double x = number(root, path);
    CHECK_MSG(fabs(x - want) <= 1e-12 * fabs(want), "%s: %.17g instead of %.17g", path, x, want);
}

/* Layers: what each holds, what the optimisers compute for it, shapes; sums are the net's. */
static void test_layers(void)
{
    struct run r;
    begin(&r, "");
    struct rn_value *root = json_of(&r.c);
    const struct rn_value *layers = at(root, "per_layer");
    double parameters = 0, buffers = 0, sgd = 0, adamw = 0;
    int trainable = 0;
    for (size_t i = 0; i < layers->count; i++) {
        const struct rn_value *l = layers->item[i];
        parameters += number(l, "parameters");
        buffers += number(l, "buffers");
        sgd += number(l, "flops_sgd");
        adamw += number(l, "flops_adamw");
        trainable += (int)at(l, "trainable")->integer;
    }
    CHECK(parameters == 11689512 && buffers == 9600 && sgd == 6.0 * 11689512 && adamw == 15.0 * 11689512);
    CHECK(trainable == 20 + 20 + 1);
    const struct rn_value *fc = layers->item[layers->count - 1];
    check_text(fc, "name", "fc");
    CHECK(at(fc, "shape")->count == 2 && number(fc, "shape.1") == 1000 && number(fc, "flops_sgd") == 6 * 513000);
    CHECK(at(layers->item[1], "shape")->count == 4);
    check_number(root, "passes.optimiser.sgd", sgd);
    rn_value_free(root);
    end(&r);
}

/* Every list of patterns has its counts, its savings, and instances that add up to them. */
static void test_instances(void)
{
    static const struct { const char *counts, *saved, *instances; double count, bytes; } row[] = {
        { "fusions", "fusions_saved_bytes", "fusion_instances", 20, 24887296 + 18063360 + 1404928 },
        { "fusions_folded", "fusions_folded_saved_bytes", "fusion_folded_instances", 20, 12443648 + 12042240 },
        { "fusion_candidates", "fusion_candidates_saved_bytes", "fusion_candidate_instances", 2, 6422528 + 4096 },
        { "user_patterns", "user_patterns_saved_bytes", "user_instances", 1, 2 * 4 * 802816 },
    };
    struct run r;
    char path[128], line[200];
    CHECK_OK(rn_file_write(in_folder(path, "mine.txt"), "pool = relu max_pool2d\n", 23));
    snprintf(line, sizeof line, "--patterns %s", path);
    begin(&r, line);
    struct rn_value *root = json_of(&r.c);
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        const struct rn_value *list = at(root, row[i].instances), *counts = at(root, row[i].counts);
        const struct rn_value *saved = at(root, row[i].saved);
        double bytes = 0, sum = 0, count = 0;
        for (size_t k = 0; k < list->count; k++) bytes += number(list->item[k], "saved_bytes");
        for (size_t k = 1; k < counts->count; k += 2) count += (double)counts->item[k]->integer;
        for (size_t k = 1; k < saved->count; k += 2) sum += (double)saved->item[k]->integer;
        CHECK_MSG((double)list->count == row[i].count && count == row[i].count, "%s: %zu", row[i].instances,
                  list->count);
        CHECK_MSG(bytes == row[i].bytes && sum == row[i].bytes, "%s: %g, %g bytes", row[i].saved, bytes, sum);
    }
    check_text(root, "fusion_folded_instances.1.ops.1", "layer1_0_relu");
    rn_value_free(root);
    end(&r);
}

/* Tiles: both rules' sums, the rows of the one in force, and a sentence that has their numbers. */
static void test_tiles(void)
{
    struct run r;
    begin(&r, "");
    struct rn_value *root = json_of(&r.c);
    check_text(root, "tiles.model", "ours");
    check_text(root, "tiles.levels.0.level", "l2");
    CHECK(at(root, "tiles.levels.0.per_operation")->count == 23);
    check_number(root, "tiles.levels.0.capacity_bytes", 262144);
    check_number(root, "tiles.levels.0.ours.tiles", 950);
    check_number(root, "tiles.levels.0.ours.operations_cut", 22);
    check_number(root, "tiles.levels.0.seed.tiles", 17);
    check_number(root, "tiles.levels.0.seed.overhead", 1.8);
    check_number(root, "tiles.levels.0.per_operation.2.working_set_bytes", 4 * (2 * 200704 + 36864 + 256));
    check_text(root, "tiles.levels.0.difference", "22 of the 23 fused operations");
    check_text(root, "tiles.levels.0.difference", "950 tiles");
    check_text(root, "tiles.levels.0.difference", "4,183,808 more, 0.0837 ms"); /* at 50 GB/s */
    check_text(root, "tiles.levels.0.difference", "6,324 bytes at most; its text then takes 1 + 0.05 (17 - 1) = 1.80 ");
    rn_value_free(root);
    end(&r);
    begin(&r, "--tiles seed --hardware kpu");
    root = json_of(&r.c);
    CHECK(at(root, "tiles.levels.0.per_operation")->count == 17);
    check_number(root, "tiles.levels.0.per_operation.0.working_set_bytes", 1156);
    check_text(root, "tiles.levels.0.difference", "each within a wavefront of 67,108,864 bytes");
    rn_value_free(root);
    end(&r);
    char path[128], line[200];
    CHECK_OK(rn_file_write(in_folder(path, "other.conf"), "name = x\npeak_fp32 = 1e9\n", 25));
    snprintf(line, sizeof line, "--numerics bf16 --hardware %s", path);
    begin(&r, line);
    root = json_of(&r.c);
    check_text(root, "tiles.levels_need", "capacity_l2");
    CHECK(at(root, "tiles.levels")->count == 0);
    check_text(root, "projection.latency_ms_needs", "bandwidth");
    check_number(root, "memory.bytes_of_a_value", 2);
    check_number(root, "per_layer.1.output_bytes", 2 * 802816);
    check_number(root, "per_layer.69.output_bytes", 4000);
    rn_value_free(root);
    end(&r);
    begin(&r, "--hardware nvidia-a100-sxm --precision int8");
    root = json_of(&r.c);
    CHECK(at(root, "tiles.levels")->count == 2);
    check_number(root, "tiles.levels.1.per_operation.2.working_set_bytes", 2 * 200704 + 36864 + 256);
    check_number(root, "projection.assumed.utilisation", 1);
    check_number(root, "projection.assumed.launch_overhead", 0);
    rn_value_free(root);
    end(&r);
}

/* -- the report ------------------------------------------------------------------------------------ */

static char *read_all(const char *name)
{
    char path[128];
    unsigned char *data = NULL;
    size_t bytes = 0;
    CHECK_OK(rn_file_read(&data, &bytes, in_folder(path, name), (size_t)1 << 24));
    return (char *)data;
}

/* Markdown has a backslash before some characters. */
static const char *in_markdown(char out[120], const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p && n < 118; p++) {
        if (strchr("[]_", *p)) out[n++] = '\\';
        out[n++] = *p;
    }
    out[n] = '\0';
    return out;
}

/* Sums, sentences out of them, the roadmap, an instance that the executor does not fuse. */
static void test_report(void)
{
    static const char *const want[] = {
        "3628.15", "359.66", "950", "15,054", "takes 0.600 of the 0.3786 ms",
        "0.600 by its schedule, and 1.000 by tiles", "849,772,544", "2,892,800", "694,657,024", "Roadmap",
        "3x3 as depthwise", "N/A: needs the key peak", "avgpool + flatten + fc",
        "counts 17 in its 17 windows", "11,689,512", "Batch norm is 0.14 % of the FLOPs, of which", "20 of the 20",
        "its parameters are right, its counts of layers right", "N/A: not in the file; 1 is taken",
    };
    static const char *const never[] = { "does not add 5", ">nan", "| nan", "inf " };
    struct run r;
    char word[120];
    begin(&r, "--roadmap");
    CHECK_OK(characterize_report(folder, &r.c));
    char *md = read_all("report.md"), *html = read_all("report.html"), *json = read_all("report.json");
    for (size_t i = 0; i < RN_COUNT(want); i++) {
        CHECK_MSG(md && strstr(md, in_markdown(word, want[i])), "report.md has no %s", word);
        CHECK_MSG(html && strstr(html, want[i]), "report.html has no %s", want[i]);
    }
    for (size_t i = 0; i < RN_COUNT(never); i++) {
        CHECK_MSG(md && !strstr(md, never[i]), "report.md has %s", never[i]);
        CHECK_MSG(html && !strstr(html, never[i]), "report.html has %s", never[i]);
    }
    CHECK(md && strstr(md, "\n### Every instance\n") && html && !strstr(html, "<h3>Every instance"));
    struct rn_value *root = NULL;
    CHECK_OK(rn_json_parse(&root, json, strlen(json), "report.json"));
    CHECK(at(root, "data.roadmap")->count == 5 && at(root, "sections")->count >= 12);
    rn_value_free(root);
    rn_free(json);
    rn_free(html);
    rn_free(md);
    end(&r);
}

/* -- a measured file ------------------------------------------------------------------------------- */

static struct rn_hardware measured_file(char path[128])
{
    struct rn_hardware h;
    struct run r;
    begin(&r, SMALL);
    CHECK_OK(characterize_measure(in_folder(path, "here.conf"), &r.c, 2));
    CHECK_OK(rn_hardware_read(&h, path));
    CHECK(!strcmp(h.isa, r.c.device.ops->isa(r.c.device.dev)) && !strcmp(h.numerics, "fp32"));
    end(&r);
    return h;
}

/* The file of one thread says so, and what it measured is possible. */
static void check_measured(const struct rn_hardware *h)
{
    static const int key[] = { RN_HW_PEAK, RN_HW_UTILISATION, RN_HW_BANDWIDTH, RN_HW_RESULTS, RN_HW_OVERLAP };
    double last = 0;
    for (size_t i = 0; i < RN_COUNT(key); i++) CHECK_MSG(h->known[key[i]], "no %s", rn_hardware_key_name(key[i]));
    CHECK(h->known[RN_HW_THREADS] && h->value[RN_HW_THREADS] == 1 && h->value[RN_HW_UTILISATION] <= 1);
    for (int i = 0; i < RN_MEMORY_LEVELS; i++) {
        if (!h->known[RN_HW_CAPACITY + i]) continue;
        CHECK(h->value[RN_HW_CAPACITY + i] > last && h->known[RN_HW_LEVEL_BANDWIDTH + i]);
        last = h->value[RN_HW_CAPACITY + i];
    }
}

static void test_measure(void)
{
    char path[128];
    const struct rn_hardware h = measured_file(path);
    struct run r;
    struct characterize_validation v = { .runs = 0 };
    char line[300];
    check_measured(&h);
    snprintf(line, sizeof line, SMALL " --validate --hardware %s", path);
    begin(&r, line);
    CHECK_OK(characterize_validate(&v, &r.c));
    CHECK(v.groups == r.c.groups.rows && v.runs >= 7 && v.seconds > 0 && v.median_error >= 0);
    r.c.validation = &v;
    struct rn_value *root = json_of(&r.c);
    const struct rn_value *layers = at(root, "validation.layers");
    CHECK((int)layers->count == v.groups);
    for (size_t i = 0; i < layers->count; i++) {
        const struct rn_value *l = layers->item[i];
        check_number(l, "error", number(l, "predicted_ms") / number(l, "measured_ms") - 1);
        CHECK(number(l, "measured_ms") > 0);
    }
    rn_value_free(root);
    characterize_validation_free(&v);
    end(&r);
}

/* What --validate says of a file with these keys. */
static void refused(const char *keys, rn_status want, const char *words)
{
    struct run r;
    struct characterize_validation v = { .runs = 0 };
    struct rn_text t = { 0 };
    char path[128], line[300];
    rn_text_add(&t, "name = x\nbandwidth = 1e10\n%s", keys);
    CHECK_OK(rn_file_write(in_folder(path, "other.conf"), t.data, t.length));
    rn_text_free(&t);
    snprintf(line, sizeof line, SMALL " --validate --hardware %s", path);
    begin(&r, line);
    rn_error_clear();
    const rn_status status = characterize_validate(&v, &r.c);
    CHECK_MSG(status == want && strstr(rn_error(), words), "%s: status %d, %s", keys, (int)status, rn_error());
    characterize_validation_free(&v);
    end(&r);
}

static void test_other_machine(void)
{
    refused("peak_fp32 = 1e10\nthreads = 2\n", RN_EINPUT, "was measured with 2 threads, and this run has 1");
    refused("peak_fp32 = 1e10\nisa = vax\n", RN_EINPUT, "was measured with vax, and this run has ");
    refused("peak_fp32 = 1e10\nnumerics = bf16\n", RN_EINPUT, "was measured for --numerics bf16");
    refused("peak_int8 = 1e10\n", RN_EUSAGE, "peak_fp32");
}

/* -- pictures -------------------------------------------------------------------------------------- */

static size_t drawn(const struct characterize *c, const char *name,
                    rn_status (*draw)(const char *path, const struct characterize *c))
{
    char path[128];
    CHECK_OK(draw(in_folder(path, name), c));
    char *text = read_all(name);
    const size_t length = text ? strlen(text) : 0;
    CHECK(text && strstr(text, "<svg") && strstr(text, "</svg>"));
    rn_free(text);
    return length;
}

/* A net of more operations has more marks and boxes; without a peak there is no roofline. */
static void test_pictures(void)
{
    struct run small, large;
    if (tool_plot_check("x.svg")) {
        printf("test_characterize_tool: no cairo, pictures are not drawn\n");
        rn_error_clear();
        return;
    }
    begin(&small, "");
    begin(&large, "--arch resnet34");
    CHECK(drawn(&small.c, "a.svg", characterize_draw) < drawn(&large.c, "b.svg", characterize_draw));
    CHECK(drawn(&small.c, "a.svg", characterize_plot) < drawn(&large.c, "b.svg", characterize_plot));
    end(&large);
    end(&small);
    begin(&small, "--hardware tpu-v1");
    CHECK(characterize_plot("x.svg", &small.c) == RN_EUSAGE && strstr(rn_error(), "peak_fp32"));
    end(&small);
    begin(&small, "--model seed");
    CHECK(characterize_plot("x.svg", &small.c) == RN_EUSAGE && strstr(rn_error(), "--model seed"));
    end(&small);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_layers), RN_TEST_ROW(test_instances), RN_TEST_ROW(test_tiles), RN_TEST_ROW(test_report),
        RN_TEST_ROW(test_measure), RN_TEST_ROW(test_other_machine), RN_TEST_ROW(test_pictures),
    };
    static const char *const left[] = { "mine.txt", "report.md", "report.html", "report.json", "roofline.svg",
                                        "graph.svg", "here.conf", "other.conf", "a.svg", "b.svg" };
    char path[128];
    snprintf(folder, sizeof folder, "/tmp/resnet-characterize-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const int status = rn_test_main("test_characterize_tool", rows, RN_COUNT(rows), argc, argv);
    for (size_t i = 0; i < RN_COUNT(left); i++) unlink(in_folder(path, left[i]));
    rmdir(folder);
    return status;
}
