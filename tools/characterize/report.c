/*
 * report.c - the report in the structure of the one that this project began with: its figures stand beside ours where
 * they are of the same net, and every sentence and tick is computed from the numbers it names.
 */
#include "tools/characterize/report.h"

#include "base/file.h"
#include "base/mem.h"
#include "tools/plot/plot.h"

#include <stdio.h>
#include <string.h>

const char *characterize_millions(char out[RN_NUMBER_CHARS], int64_t x)
{
    return rn_fixed_text(out, 1e-6 * (double)x, 2);
}

bool characterize_is_seeds(const struct characterize *c)
{
    return !strcmp(c->config.arch.name, "resnet18") && c->config.arch.stem == RN_STEM_IMAGENET &&
           c->config.image_size == 224 && c->config.arch.classes == 1000 && !c->config.upsample;
}

double characterize_small_share(const struct characterize *c)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    return 100.0 * (double)(w->flops[RN_OP_BN] + w->flops[RN_OP_RELU] + w->flops[RN_OP_ADD]) / (double)w->all;
}

/* -- what the net is ------------------------------------------------------------------------------- */

/* How the report of 2025-10-17 came to its FLOPs: see convention.c for the lines. */
static void seeds_flops(struct page *p, const struct characterize *c)
{
    struct rn_convention v;
    char more[RN_NUMBER_CHARS], total[RN_NUMBER_CHARS], shapes[RN_NUMBER_CHARS], small[RN_NUMBER_CHARS];
    char left[RN_NUMBER_CHARS];
    if (rn_convention_of(&v, "seed", &c->trace)) return;
    page_bullet(p, "The report of 2025-10-17 says 3,786,155,008 FLOPs, %s %% more. Its published source counts %s: %s "
                "of them because shapes are too large, %s as batch norm and ReLU; and it leaves out %s, of %d "
                "convolutions and the linear layer.",
                rn_fixed_text(more, 100.0 * (3786155008.0 / (double)c->counts.work[0].conv_linear - 1), 2),
                characterize_grouped(total, v.total), characterize_grouped(shapes, v.line[1].count),
                characterize_grouped(small, v.line[2].count), characterize_grouped(left, c->seed.left_out),
                c->seed.convs_left_out);
}

static void summary(struct page *p, const struct characterize *c)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS];
    page_section(p, "Summary");
    page_bullet(p, "%s takes %s multiply-accumulates in convolutions and the linear layer for one image of %d x %d; "
                "at 2 FLOPs each that is %s, with everything else %s.", c->config.arch.name,
                characterize_grouped(a, w->macs), c->config.image_size, c->config.image_size,
                characterize_grouped(b, w->conv_linear), characterize_grouped(d, w->all));
    page_bullet(p, "Batch norm, ReLU and the additions together are %s %% of the FLOPs.",
                rn_fixed_text(a, characterize_small_share(c), 2));
    page_bullet(p, "It has %s parameters, and its executor runs it as %d fused operations.",
                characterize_grouped(a, c->counts.parameters), c->groups.rows);
    if (characterize_is_seeds(c)) seeds_flops(p, c);
}

/* Stem, stages and head, a line each. */
static void overview(struct page *p, const struct characterize *c)
{
    const struct rn_arch *a = &c->config.arch;
    char what[64];
    page_heading(p, "Architecture");
    for (int i = 0; i < c->groups.rows; i++) {
        const struct rn_op *op = &c->trace.op[c->groups.row[i].op[0]];
        if (!strncmp(op->name, "layer", 5)) break;
        page_bullet(p, "%s: %s %s, to %d x %d x %d", op->name, rn_op_kind_class(op->kind),
                    characterize_describe(what, op), op->C, op->H, op->W);
    }
    for (int first = 0, end; first < a->blocks; first = end) {
        for (end = first; end < a->blocks && a->block[end].stage == a->block[first].stage;) end++;
        page_bullet(p, "layer%d: %d %s of %d channels%s", a->block[first].stage + 1, end - first,
                    a->bottleneck ? "bottlenecks" : "basic blocks", a->block[first].out,
                    a->block[first].stride == 2 ? ", the first with stride 2" : "");
    }
    page_bullet(p, "average pooling, and a linear layer %d->%d", a->features, a->classes);
}

static void configuration(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "operation", 20, true }, { "count", 8, false } };
    char a[RN_NUMBER_CHARS];
    page_section(p, "Model");
    page_field(p, "Architecture", "%s, %s stem", c->config.arch.name, rn_stem_name(c->config.arch.stem));
    page_field(p, "Input", "[1, 3, %d, %d]", c->config.image_size, c->config.image_size);
    page_field(p, "Output", "[1, %d]", c->config.arch.classes);
    page_field(p, "Parameters", "%s, all trainable", characterize_grouped(a, c->counts.parameters));
    page_field(p, "Buffers", "%s running statistics", characterize_grouped(a, c->counts.buffers));
    overview(p, c);
    page_heading(p, "Layer composition");
    page_table(p, head, RN_COUNT(head));
    for (int i = RN_OP_RESIZE; i < RN_OP_KINDS; i++) {
        if (!c->counts.of_kind[i] || i == RN_OP_FLATTEN) continue;
        snprintf(a, sizeof a, "%d", c->counts.of_kind[i]);
        const char *const row[] = { rn_op_kind_class((enum rn_op_kind)i), a };
        page_row(p, row, RN_COUNT(row));
    }
}

static void references(struct page *p)
{
    page_section(p, "References");
    page_bullet(p, "He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016, arXiv:1512.03385.");
    page_bullet(p, "torchvision, ResNet: https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py");
    page_bullet(p, "Williams, Waterman, Patterson: Roofline, an insightful visual performance model for multicore "
                "architectures. Communications of the ACM 52(4), 2009.");
    page_bullet(p, "The report of 2025-10-17: ResNet-18 Characterization Validation Report; its source: "
                "https://github.com/branes-ai/graphs, src/graphs/characterize at commit dfc55336.");
}

/* -- the files ------------------------------------------------------------------------------------- */

static rn_status write_one(const char *folder, const char *name, const struct rn_text *t)
{
    char *path = rn_path_join(folder, name);
    rn_status status = path ? rn_text_status(t) : RN_ENOMEM;
    if (!status) status = rn_file_write(path, t->data, t->length);
    rn_free(path);
    return status;
}

/* The roofline, as a file of the folder and in the page; the graph as a file.  Without cairo there is neither. */
static rn_status add_pictures(struct page *p, const char *folder, const struct characterize *c)
{
    char *roofline = rn_path_join(folder, "roofline.svg"), *graph = rn_path_join(folder, "graph.svg");
    unsigned char *data = NULL;
    size_t bytes = 0;
    rn_status status = roofline && graph ? RN_OK : RN_ENOMEM;
    if (!status && c->projection.row && !tool_plot_check(roofline)) {
        status = characterize_plot(roofline, c);
        if (!status) status = rn_file_read(&data, &bytes, roofline, (size_t)1 << 24);
        if (!status) status = characterize_draw(graph, c);
    }
    const char *svg = data ? strstr((const char *)data, "<svg") : NULL;
    if (!status && svg) report_figure(&p->form, false, svg, "roofline.svg: a filled mark is bound by arithmetic, a "
                                      "hollow one by memory. The graph is graph.svg.");
    rn_free(data);
    rn_free(graph);
    rn_free(roofline);
    rn_error_clear();
    return status;
}

static rn_status compose(struct page *p, const char *folder, const struct characterize *c)
{
    struct characterize_machines m;
    char title[160];
    rn_status status = characterize_machines(&m, c);
    snprintf(title, sizeof title, "%s: Characterisation", c->config.arch.name);
    page_begin(p, title, "Counts are exact; latencies and energies are projections where nothing else is said; "
               "resnet.c " RN_VERSION);
    if (status) return status;
    summary(p, c);
    configuration(p, c);
    characterize_results(p, c, &m);
    characterize_theory(p, c);
    characterize_fusions(p, c);
    characterize_performance(p, c, &m);
    status = add_pictures(p, folder, c);
    characterize_published(p, c);
    characterize_insights(p, c, &m);
    characterize_checklist(p, c, &m);
    page_section(p, "Next to this net");
    characterize_variants(p, c);
    characterize_sweeps(p, c);
    if (!status && opt_switch(c->o, "roadmap")) status = characterize_roadmap(p, c);
    characterize_conclusion(p, c, &m);
    references(p);
    page_end(p);
    return status;
}

static rn_status write_json(const char *folder, const struct page *p, const struct characterize *c)
{
    struct rn_text t = { 0 };
    rn_text_add(&t, "{\"sections\": ");
    rn_text_bytes(&t, p->sections.data, p->sections.length);
    rn_text_add(&t, ",\n\"data\": ");
    rn_status status = characterize_add_json(&t, c);
    rn_text_add(&t, "}\n");
    if (!status) status = rn_text_status(&p->sections);
    if (!status) status = write_one(folder, "report.json", &t);
    rn_text_free(&t);
    return status;
}

rn_status characterize_report(const char *folder, const struct characterize *c)
{
    struct page page;
    rn_status status = rn_folder_make(folder);
    if (status == RN_EINPUT) status = rn_fail(RN_EIO, "%s", rn_error());
    if (status) return status;
    status = compose(&page, folder, c);
    if (!status) status = write_one(folder, "report.html", &page.form.html);
    if (!status) status = write_one(folder, "report.md", &page.form.md);
    if (!status) status = write_json(folder, &page, c);
    page_free(&page);
    return status;
}
