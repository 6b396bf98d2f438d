/* report_more.c - tiles, sweeps, other counters, variants, the checklist and the conclusions. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

/* -- 6: performance ------------------------------------------------------------------------------- */

static void averages(struct report_page *p, const struct characterize *c)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS];
    const double groups = c->groups.rows, MB = 1e6 * groups;
    report_section(p, 6, "Performance");
    report_field(p, "Average of a fused operation, MFLOPs",
                 rn_fixed_text(a, 1e-6 * (double)c->counts.work[0].all / groups, 2),
                 NULL);
    if (c->projection.missing_seconds < 0)
        report_fields(p, "Average latency", "%s ms on %s", rn_fixed_text(b, 1e3 * c->projection.seconds / groups, 4),
                      c->hardware.name);
    report_fields(p, "Average traffic", "%s million bytes", rn_fixed_text(d, c->projection.bytes / MB, 2));
    if (characterize_is_seeds(c))
        report_note(p, "The report of 2025-10-17 divides its sums by 17 windows: 223 MFLOPs, 0.013 ms on its "
                    "GPU, 3.2 MB.");
}

static void ranking(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "fused operation", 24, true }, { "", 22, true }, { "MFLOPs", 10, false }, { "ms", 10, false },
        { "% of all", 10, false }, { "bound by", 10, true }, { "FLOPs a byte", 12, false },
    };
    const struct rn_projection *q = &c->projection;
    char what[64], m[RN_NUMBER_CHARS], ms[RN_NUMBER_CHARS], share[RN_NUMBER_CHARS], intensity[RN_NUMBER_CHARS];
    if (!q->row) return;
    report_heading(p, "Every fused operation, in order");
    report_note(p, "%s, %s, batch %d", c->hardware.name, rn_precision_name(c->precision), c->batch);
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < q->rows; i++) {
        const struct rn_group *g = &c->groups.row[i];
        const struct rn_op *first = &c->trace.op[g->op[0]];
        const double bytes = rn_precision_bytes(c->precision) * (c->batch * (double)(g->inputs + g->outputs) +
                                                                 (double)g->weights);
        const char *const row[] = {
            first->name, characterize_describe(what, first), characterize_millions(m, g->flops),
            rn_fixed_text(ms, 1e3 * q->row[i].seconds, 4),
            rn_fixed_text(share, 100 * q->row[i].seconds / q->seconds, 1),
            rn_bound_name(q->row[i].bound), rn_fixed_text(intensity, c->batch * (double)g->flops / bytes, 1),
        };
        characterize_cells(p, row, RN_COUNT(row));
    }
}

/* Tiles of the whole net against one memory; the greatest working set. */
static void tiles_row(struct report_page *p, const struct characterize *c, const char *name, double capacity,
                      bool wavefront)
{
    int64_t tiles = 0, traffic = 0, tiled = 0, largest = 0;
    int split = 0;
    char a[24], b[24], x[RN_NUMBER_CHARS], w[RN_NUMBER_CHARS];
    for (int i = 0; i < c->groups.rows; i++) {
        const struct rn_tiling r = rn_tile(&c->groups.row[i], &c->trace, 4, wavefront ? 1e18 : capacity);
        tiles += r.tiles;
        traffic += r.traffic;
        tiled += r.tiled_traffic;
        largest = RN_MAX(largest, r.working_set);
        split += r.tiles > 1;
    }
    snprintf(a, sizeof a, "%d", split);
    snprintf(b, sizeof b, "%lld", (long long)tiles);
    const char *const row[] = { name, characterize_grouped(w, largest), a, b,
                                rn_fixed_text(x, (double)tiled / (double)traffic, 3), "17, factor 1 (text: 1.8)" };
    characterize_cells(p, row, characterize_is_seeds(c) ? 6 : 5);
}

static void tiles(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "memory", 26, true }, { "largest working set, bytes", 20, false }, { "operations split", 10, false },
        { "tiles", 10, false }, { "traffic, times", 10, false }, { "report of 2025-10-17", 24, true },
    };
    report_heading(p, "Tiles, fp32, one image");
    report_table(p, head, characterize_is_seeds(c) ? 6 : 5);
    tiles_row(p, c, "256 KB L2", 262144, false);
    tiles_row(p, c, "48 KB shared memory", 49152, false);
    tiles_row(p, c, "24 MB unified buffer", 25165824, false);
    tiles_row(p, c, "wavefront", 0, true);
    report_note(p, "A fused operation takes as many tiles as its inputs, weights and outputs are times the "
                "memory, rounded "
                "up; tiles read again what they share, and the traffic grows by that. The rule of the report of "
                "2025-10-17 sums the four extents of a shape where it means their product, so that no window "
                "ever has "
                "more than one tile.");
}

/* -- 7: sweeps ------------------------------------------------------------------------------------ */

static void sweep_row(struct report_page *p, const struct characterize *c, const char *what,
                      enum rn_precision precision, int batch)
{
    struct rn_projection q;
    char ms[RN_NUMBER_CHARS], j[RN_NUMBER_CHARS], rate[RN_NUMBER_CHARS], needs[80], needs_j[80];
    if (rn_project(&q, &c->groups, &c->hardware, precision, batch)) return;
    const int a = q.missing_seconds, b = q.missing_joules;
    snprintf(needs, sizeof needs, "N/A: needs %s", a >= 0 ? rn_hardware_key_name(a) : "");
    snprintf(needs_j, sizeof needs_j, "N/A: needs %s", b >= 0 ? rn_hardware_key_name(b) : "");
    const char *const row[] = { what, a >= 0 ? needs : rn_fixed_text(ms, 1e3 * q.seconds, 4),
                                a >= 0 ? needs : rn_fixed_text(rate, batch / q.seconds, 1),
                                b >= 0 ? needs_j : rn_fixed_text(j, q.joules / batch, 4) };
    characterize_cells(p, row, RN_COUNT(row));
    rn_projection_free(&q);
}

static void sweeps(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "", 12, true }, { "ms", 24, false }, { "images/s", 24, false },
                                               { "J an image", 30, false } };
    static const int batch[] = { 1, 8, 16, 32, 64 };
    char name[24];
    report_section(p, 7, "Sweeps");
    report_heading(p, "Batch sizes");
    report_note(p, "%s, our model, %s; projections", c->hardware.name, rn_precision_name(c->precision));
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < RN_COUNT(batch); i++) {
        snprintf(name, sizeof name, "batch %d", batch[i]);
        sweep_row(p, c, name, c->precision, batch[i]);
    }
    report_heading(p, "Precisions, batch 1");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < RN_PRECISIONS; i++) sweep_row(p, c, rn_precision_name((enum rn_precision)i),
                                                      (enum rn_precision)i, 1);
}

/* -- 8: other counters ---------------------------------------------------------------------------- */

static void counters(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "counter", 12, true }, { "its number", 18, false },
                                               { "its unit", 60, true },
                                               { "left out", 60, true } };
    char a[RN_NUMBER_CHARS];
    report_section(p, 8, "Other counters of the same net");
    report_table(p, head, RN_COUNT(head));
    for (int i = 0; i < RN_CONVENTIONS; i++) {
        struct rn_convention v;
        if (rn_convention_of(&v, rn_convention_names()[i], &c->trace)) continue;
        const char *const row[] = { v.name, characterize_grouped(a, v.total), v.unit, v.left_out };
        characterize_cells(p, row, RN_COUNT(row));
    }
}

/* -- 9: variants ---------------------------------------------------------------------------------- */

/* Top-1 on ImageNet of the weights IMAGENET1K_V1, torchvision 0.15's table of models, in percent. */
static const struct { const char *name, *top1; } published[] = {
    { "resnet18", "69.758" }, { "resnet34", "73.314" }, { "resnet50", "76.130" }, { "resnet101", "77.374" },
    { "resnet152", "78.312" }, { "resnext50_32x4d", "77.618" }, { "resnext101_32x8d", "79.312" },
    { "resnext101_64x4d", "83.246" }, { "wide_resnet50_2", "78.468" }, { "wide_resnet101_2", "78.848" },
};

static void variant(struct report_page *p, const struct characterize *c, const char *name)
{
    struct rn_net_config config = c->config;
    struct rn_trace t;
    struct rn_groups g = { .rows = 0 };
    struct rn_counts n;
    struct rn_projection q;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], w[RN_NUMBER_CHARS], ms[RN_NUMBER_CHARS] = "N/A";
    const char *top1 = "";
    if (rn_arch_named(&config.arch, name, c->config.arch.stem, c->config.arch.classes) ||
        rn_trace_build(&t, &config)) return;
    rn_count(&n, &t);
    for (size_t i = 0; i < RN_COUNT(published); i++)
        if (!strcmp(published[i].name, name)) top1 = published[i].top1;
    if (!rn_groups_build(&g, &t) && !rn_project(&q, &g, &c->hardware, c->precision, c->batch)) {
        if (q.missing_seconds < 0) rn_fixed_text(ms, 1e3 * q.seconds, 3);
        rn_projection_free(&q);
    }
    const bool imagenet = c->config.arch.stem == RN_STEM_IMAGENET && c->config.image_size == 224 &&
        c->config.arch.classes == 1000;
    const char *const row[] = { name, characterize_grouped(a, n.parameters), characterize_grouped(b, n.work[0].macs),
                                rn_fixed_text(w, 4.0 * (double)n.parameters / RN_MB, 1), ms, imagenet ? top1 : "" };
    characterize_cells(p, row, RN_COUNT(row));
    rn_groups_free(&g);
    rn_trace_free(&t);
}

static void variants(struct report_page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "architecture", 20, true }, { "parameters", 14, false }, { "MACs", 18, false },
            { "weights, MB", 12, false },
        { "projected ms", 12, false }, { "published top-1, %", 12, false },
    };
    size_t count;
    const char *const *name = rn_arch_names(&count);
    report_section(p, 9, "Variants");
    report_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < count; i++) variant(p, c, name[i]);
    report_note(p, "Projected on %s, %s, batch %d. Accuracies: torchvision's table of models, weights IMAGENET1K_V1, "
                "measured by its authors, not here.", c->hardware.name, rn_precision_name(c->precision), c->batch);
}

/* -- 10: checklist -------------------------------------------------------------------------------- */

static void tick(struct report_page *p, bool holds, const char *what)
{
    report_bullet(p, "%s %s", holds ? "\xe2\x9c\x93" : "\xe2\x9c\x97", what);
}

/* Every operation of the kind is in a match. */
static bool all_matched(const struct characterize *c, enum rn_op_kind kind)
{
    int found = 0;
    for (int i = 0; i < c->fused.rows; i++)
        for (int k = 0; k < c->fused.row[i].length; k++) found += c->trace.op[c->fused.row[i].op[k]].kind == kind;
    return found == c->counts.of_kind[kind];
}

static bool all_shaped(const struct characterize *c)
{
    bool shaped = true;
    for (int i = 0; i < c->trace.ops; i++) shaped = shaped && rn_op_elements(&c->trace.op[i]) > 0;
    return shaped;
}

static void checklist(struct report_page *p, const struct characterize *c, bool met)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    const int64_t small = w->flops[RN_OP_BN] + w->flops[RN_OP_RELU] + w->flops[RN_OP_ADD];
    report_section(p, 10, "Checklist");
    report_note(p, "Each tick is computed while this page is written.");
    tick(p, all_shaped(c), "every operation has a shape");
    tick(p, all_matched(c, RN_OP_CONV), "every convolution is in a fusion");
    tick(p, all_matched(c, RN_OP_BN), "every batch norm is in a fusion");
    tick(p, all_matched(c, RN_OP_ADD), "every addition is in a fusion");
    tick(p, c->trace.graph.macs == w->macs, "the sum over the layers is the graph's own count of MACs");
    tick(p, (int64_t)c->trace.graph.trainable == c->counts.parameters, "the layers' parameters are all of the net's");
    tick(p, c->memory.inference.live <= c->memory.inference.block &&
         c->memory.inference.block <= c->memory.arena_inference,
         "what lives at once fits the plan's block, and that the arena");
    tick(p, 200 * small < w->all, "batch norm, ReLU and additions are less than half a percent of the FLOPs");
    if (!characterize_is_seeds(c)) return;
    tick(p, c->seed.flops == 3786155008, "the published source of the report of 2025-10-17 gives its "
         "3,786,155,008 FLOPs");
    tick(p, c->seed.bytes / 10000 == 5494 || c->seed.bytes / 10000 == 5495, "and its 54.95 MB, of 10^6 bytes");
    tick(p, met, "and its latencies, energies and speedups, to the digits");
    tick(p, c->seed.rows == 17 && c->fused.rows != 17, "and its 17 windows, which are no fusions");
}

void characterize_report_more(struct report_page *p, const struct characterize *c, bool met)
{
    averages(p, c);
    ranking(p, c);
    tiles(p, c);
    sweeps(p, c);
    counters(p, c);
    variants(p, c);
    checklist(p, c, met);
}
