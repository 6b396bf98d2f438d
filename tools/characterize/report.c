/*
 * report.c - the report in the structure of the one that this project began with: its figures stand
 * beside ours where they are of the same net, and every sentence and tick is computed from the numbers it names.
 */
#include "tools/characterize/report.h"

#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the report of 2025-10-17 says of ResNet-18. */
#define SEED_FLOPS 3786155008

const char *characterize_millions(char out[RN_NUMBER_CHARS], int64_t x)
{
    return rn_fixed_text(out, 1e-6 * (double)x, 2);
}

bool characterize_is_seeds(const struct characterize *c)
{
    return !strcmp(c->config.arch.name, "resnet18") && c->config.arch.stem == RN_STEM_IMAGENET &&
           c->config.image_size == 224 && c->config.arch.classes == 1000 && !c->config.upsample;
}

void characterize_cells(struct report_page *p, const char *const *text, int count)
{
    for (int i = 0; i < count; i++) report_cell(p, text[i]);
}

static double share_of_small(const struct characterize *c)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    return 100.0 * (double)(w->flops[RN_OP_BN] + w->flops[RN_OP_RELU] + w->flops[RN_OP_ADD]) / (double)w->all;
}

/* -- 1, 2 ----------------------------------------------------------------------------------------- */

static void summary(struct report_page *p, const struct characterize *c)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS];
    report_section(p, 1, "Summary");
    report_bullet(p, "%s takes %s multiply-accumulates in convolutions and the linear layer for one image of "
                  "%d x %d; "
                  "at 2 FLOPs each that is %s, with everything else %s.", c->config.arch.name,
                  characterize_grouped(a, w->macs), c->config.image_size, c->config.image_size,
                  characterize_grouped(b, w->conv_linear), characterize_grouped(d, w->all));
    report_bullet(p, "Batch norm, ReLU and the additions together are %s %% of the FLOPs.",
                  rn_fixed_text(a, share_of_small(c), 2));
    report_bullet(p, "It has %s parameters, and its executor runs it as %d fused operations.",
                  characterize_grouped(a, c->counts.parameters), c->groups.rows);
    if (!characterize_is_seeds(c)) return;
    report_bullet(p, "The report of 2025-10-17 says %s FLOPs, %s %% more. Its published source gives exactly "
                  "that number "
                  "(section 4), but what it adds is neither batch norm nor ReLU: some of its shapes are too "
                  "large, and "
                  "%d convolutions and the linear layer are left out.", characterize_grouped(a, SEED_FLOPS),
                  rn_fixed_text(b, 100.0 * ((double)SEED_FLOPS / (double)w->conv_linear - 1), 2),
                  c->seed.convs_left_out);
}

static void configuration(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "operation", 20, true }, { "count", 8, false } };
    char a[RN_NUMBER_CHARS];
    report_section(p, 2, "Model");
    report_fields(p, "Architecture", "%s, %s stem", c->config.arch.name, rn_stem_name(c->config.arch.stem));
    report_fields(p, "Input", "[1, 3, %d, %d]", c->config.image_size, c->config.image_size);
    report_fields(p, "Output", "[1, %d]", c->config.arch.classes);
    report_field(p, "Parameters", characterize_grouped(a, c->counts.parameters), NULL);
    report_field(p, "Buffers", characterize_grouped(a, c->counts.buffers), NULL);
    report_heading(p, "Layer composition");
    report_table(p, head, RN_COUNT(head));
    for (int i = RN_OP_RESIZE; i < RN_OP_KINDS; i++) {
        if (!c->counts.of_kind[i] || i == RN_OP_FLATTEN) continue;
        report_cell(p, rn_op_kind_class((enum rn_op_kind)i));
        snprintf(a, sizeof a, "%d", c->counts.of_kind[i]);
        report_cell(p, a);
    }
}

/* -- 3: results ----------------------------------------------------------------------------------- */

static void metrics(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "metric", 34, true }, { "here", 18, false },
                                               { "report of 2025-10-17", 22, false }, { "verdict", 60, true } };
    const struct rn_memory *m = &c->memory;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS], tiles[16];
    const char *none = "";
    const bool seeds = characterize_is_seeds(c);
    const int64_t memory = (int64_t)(m->input / (size_t)c->batch + m->weights + m->activations / (size_t)c->batch);
    report_table(p, head, RN_COUNT(head));
    snprintf(tiles, sizeof tiles, "%d", c->groups.rows);
    const char *const row[][4] = {
        { "FLOPs, convolution and linear", characterize_grouped(a, c->counts.work[0].conv_linear),
          seeds ? "3,786,155,008" : none, seeds ? "corrected because shapes, projections and fc were wrong" : none },
        { "input + weights + activations, bytes", characterize_grouped(b, memory), seeds ? "54.95 MB" : none,
          seeds ? "corrected because its parts have the wrong shapes; MB there is 10^6" : none },
        { "fused operations", tiles, seeds ? "17 (\"tiles\")" : none,
          seeds ? "corrected because windows are no fusions" : none },
        { "parameters", characterize_grouped(d, c->counts.parameters), seeds ? "11.69M" : none,
          seeds ? "same" : none },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) characterize_cells(p, row[i], RN_COUNT(row[i]));
}

/* What the report has of its four machines: name, ms, J, times, as printed there. */
static const struct { const char *file, *ms, *joules, *times; } seeds_machine[] = {
    { "cpu", "37.86", "3.792", "1.0" }, { "gpu", "0.23", "1.895", "166.7" }, { "tpu", "0.05", "0.758", "750.0" },
    { "kpu", "2.27", "0.379", "16.7" },
};

/* Both models on one machine of the seed; false where the printed digits are not met. */
static bool machine(struct report_page *p, const struct characterize *c, size_t i, double cpu[2])
{
    struct rn_hardware h;
    struct rn_projection seed, ours;
    char ms[RN_NUMBER_CHARS], j[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS], oms[RN_NUMBER_CHARS], oj[RN_NUMBER_CHARS];
    char ox[RN_NUMBER_CHARS];
    bool met = false;
    if (characterize_hardware(&h, seeds_machine[i].file)) return false;
    if (rn_project_seed(&seed, &c->trace, &h, 1)) return false;
    if (!rn_project(&ours, &c->groups, &h, RN_FP32, 1)) {
        if (i == 0) cpu[0] = seed.seconds;
        if (i == 0) cpu[1] = ours.seconds;
        rn_fixed_text(ms, 1e3 * seed.seconds, 2);
        rn_fixed_text(j, seed.joules, 3);
        rn_fixed_text(x, cpu[0] / seed.seconds, 1);
        rn_fixed_text(oms, 1e3 * ours.seconds, 3);
        rn_fixed_text(oj, ours.joules, 3);
        rn_fixed_text(ox, cpu[1] / ours.seconds, 1);
        met = !strcmp(ms, seeds_machine[i].ms) && !strcmp(j, seeds_machine[i].joules) &&
            !strcmp(x, seeds_machine[i].times);
        const char *const row[] = { h.name, ms, j, x, oms, oj, ox };
        characterize_cells(p, row, RN_COUNT(row));
    }
    rn_projection_free(&ours);
    rn_projection_free(&seed);
    return met;
}

static bool machines(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "machine, fp32, batch 1", 24, true }, { "ms, seed's model", 16, false }, { "J", 8, false },
            { "times", 8, false },
        { "ms, our model", 14, false }, { "J", 8, false }, { "times", 8, false },
    };
    double cpu[2] = { 0, 0 };
    int met = 0;
    report_heading(p, "The four machines of the report of 2025-10-17: projections, nothing is measured");
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < RN_COUNT(seeds_machine); i++) met += machine(p, c, i, cpu);
    if (characterize_is_seeds(c))
        report_note(p, "%d of 4 rows have the digits of that report under its own model.", met);
    report_note(p, "The model of that report takes 0.6 of the time that the peak allows on GPU, TPU and KPU: it runs "
                "faster than the peak. Bandwidth is in its files and not in its formula. The overhead of 1.8, "
                "which its "
                "text says is factored in, is not: every window is one tile, and the factor is 1.");
    return met == 4;
}

/* -- 4: theory ------------------------------------------------------------------------------------ */

/* FLOPs of the operations whose name begins so, with and without projections. */
struct part { int64_t all, main; int C, H, W; };

static struct part part_of(const struct characterize *c, const char *begin)
{
    struct part s = { 0 };
    for (int i = 0; i < c->trace.ops; i++) {
        const struct rn_op *op = &c->trace.op[i];
        if (strncmp(op->name, begin, strlen(begin)) || (op->kind != RN_OP_CONV && op->kind != RN_OP_LINEAR)) continue;
        const int64_t flops = 2 * rn_op_macs(&c->trace, op, RN_WORK_INFERENCE);
        s.all += flops;
        if (!strstr(op->name, "downsample")) s.main += flops;
        s.C = op->C;
        s.H = op->H;
        s.W = op->W;
    }
    return s;
}

static void theory_row(struct report_page *p, const struct characterize *c, const char *name, const char *begin,
                       struct part *sum)
{
    const struct part s = part_of(c, begin);
    char main[RN_NUMBER_CHARS], all[RN_NUMBER_CHARS], size[48], difference[RN_NUMBER_CHARS];
    snprintf(size, sizeof size, "%dx%dx%d", s.H, s.W, s.C);
    const char *const row[] = { name, size, characterize_millions(main, s.main), characterize_millions(all, s.all),
                                characterize_millions(difference, s.all - s.main) };
    characterize_cells(p, row, RN_COUNT(row));
    sum->all += s.all;
    sum->main += s.main;
}

static void theory(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "layer", 20, true }, { "output", 14, false }, { "MFLOPs, projections left out", 22, false },
        { "MFLOPs, right", 14, false }, { "difference", 12, false },
    };
    const struct rn_arch *a = &c->config.arch;
    struct part sum = { 0 };
    char name[48], begin[48], main[RN_NUMBER_CHARS], all[RN_NUMBER_CHARS], difference[RN_NUMBER_CHARS];
    report_section(p, 4, "Theory");
    report_note(p, "The column without projections is the theory table of the report of 2025-10-17, which forgot the "
                "1x1 convolutions on the shortcuts.");
    report_table(p, head, RN_COUNT(head));
    theory_row(p, c, "conv1", "conv1", &sum);
    for (int i = 0; i < a->blocks; i++) {
        snprintf(name, sizeof name, "layer%d block %d", a->block[i].stage + 1, a->block[i].index + 1);
        snprintf(begin, sizeof begin, "layer%d_%d_", a->block[i].stage + 1, a->block[i].index);
        theory_row(p, c, name, begin, &sum);
    }
    theory_row(p, c, "fc", "fc", &sum);
    const char *const row[] = { "total", "", characterize_millions(main, sum.main),
                                characterize_millions(all, sum.all),
                                characterize_millions(difference, sum.all - sum.main) };
    characterize_cells(p, row, RN_COUNT(row));
}

static void difference(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "part", 44, true }, { "FLOPs", 18, false },
                                               { "% of all", 10, false } };
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    report_heading(p, "Where the FLOPs are");
    report_table(p, head, RN_COUNT(head));
    for (int k = RN_OP_RESIZE; k < RN_OP_SOFTMAX; k++) {
        if (!w->flops[k]) continue;
        report_cell(p, rn_op_kind_name((enum rn_op_kind)k));
        report_cell(p, characterize_grouped(a, w->flops[k]));
        report_cell(p, rn_fixed_text(b, 100.0 * (double)w->flops[k] / (double)w->all, 3));
    }
}

static void seeds_sum(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "line", 44, true }, { "FLOPs", 18, false }, { "rule", 60, true } };
    struct rn_convention v;
    char a[RN_NUMBER_CHARS];
    if (rn_convention_of(&v, "seed", &c->trace)) return;
    report_heading(p, "How the published source of that report counts this net");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < v.lines; i++) {
        const char *const row[] = { v.line[i].what, characterize_grouped(a, v.line[i].count), v.line[i].rule };
        characterize_cells(p, row, RN_COUNT(row));
    }
    const char *const row[] = { "total", characterize_grouped(a, v.total), v.tool };
    characterize_cells(p, row, RN_COUNT(row));
    report_note(p, "Left out: %s; that is %s FLOPs.", v.left_out, characterize_grouped(a, c->seed.left_out));
}

/* -- 5: graph ------------------------------------------------------------------------------------- */

static void patterns(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "pattern", 20, true }, { "found", 8, false },
                                               { "bytes saved, one image", 22, false } };
    int count;
    const struct rn_pattern *pattern = rn_patterns_fused(false, &count);
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    report_section(p, 5, "Graph and fusions");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < count; i++) {
        int64_t saved;
        snprintf(a, sizeof a, "%d", rn_matches_of(&c->fused, i, &saved));
        const char *const row[] = { pattern[i].name, a, characterize_grouped(b, saved) };
        characterize_cells(p, row, RN_COUNT(row));
    }
    report_note(p, "Every one of the %d convolutions is in exactly one of these, and the executor runs "
                "exactly these.",
                c->counts.of_kind[RN_OP_CONV]);
    if (!characterize_is_seeds(c)) return;
    report_note(p, "The report of 2025-10-17 found Conv+BN+ReLU 17 times: it looked for neighbours in a list "
                "of modules. "
                "There are %d such windows, among them the projections, whose next module is the ReLU after "
                "the addition; "
                "the %d second convolutions of those blocks are in none.", c->seed.rows, c->seed.convs_left_out);
}

static void instances(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "instance", 60, true }, { "pattern", 18, true },
                                               { "bytes saved", 14, false } };
    int count;
    const struct rn_pattern *pattern = rn_patterns_fused(false, &count);
    char a[RN_NUMBER_CHARS], names[300];
    report_fold(p, "Every instance");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < c->fused.rows; i++) {
        const struct rn_match *m = &c->fused.row[i];
        size_t used = 0;
        for (int k = 0; k < m->length && used < sizeof names; k++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k ? " + " : "",
                                     c->trace.op[m->op[k]].name);
        const char *const row[] = { names, pattern[m->pattern].name, characterize_grouped(a, m->saved) };
        characterize_cells(p, row, RN_COUNT(row));
    }
    report_unfold(p);
}

static void compose(struct report_page *p, const struct characterize *c)
{
    char title[160];
    bool met;
    snprintf(title, sizeof title, "%s: Characterisation", c->config.arch.name);
    report_begin(p, title, "Counts are exact; latencies and energies are projections; resnet.c " RN_VERSION);
    summary(p, c);
    configuration(p, c);
    report_section(p, 3, "Results");
    metrics(p, c);
    met = machines(p, c);
    theory(p, c);
    difference(p, c);
    seeds_sum(p, c);
    patterns(p, c);
    instances(p, c);
    characterize_report_more(p, c, met);
    report_end(p);
}

static rn_status write_one(const char *folder, const char *name, const struct rn_text *t)
{
    char *path = rn_path_join(folder, name);
    rn_status status = path ? rn_text_status(t) : RN_ENOMEM;
    if (!status) status = rn_file_write(path, t->data, t->length);
    rn_free(path);
    return status;
}

rn_status characterize_report(const char *folder, const struct characterize *c)
{
    struct report_page page = { .into = 0 };
    rn_status status = rn_folder_make(folder);
    if (status == RN_EINPUT) status = rn_fail(RN_EIO, "%s", rn_error());
    if (status) return status;
    compose(&page, c);
    status = write_one(folder, "report.html", &page.html);
    if (!status) status = write_one(folder, "report.md", &page.md);
    rn_text_free(&page.html);
    rn_text_free(&page.md);
    rn_text_free(&page.txt);
    return status;
}
