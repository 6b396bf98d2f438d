/* report_variants.c - the other architectures, batch sizes and precisions beside this one. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

/* Top-1 on ImageNet in percent, of the weights IMAGENET1K_V1: "acc@1" in torchvision/models/resnet.py, also
 * https://pytorch.org/vision/stable/models.html, "Table of all available classification weights".  Those of
 * resnext101_64x4d were trained by the newer recipe. */
static const struct { const char *name, *top1; } published[] = {
    { "resnet18", "69.758" }, { "resnet34", "73.314" }, { "resnet50", "76.130" }, { "resnet101", "77.374" },
    { "resnet152", "78.312" }, { "resnext50_32x4d", "77.618" }, { "resnext101_32x8d", "79.312" },
    { "resnext101_64x4d", "83.246" }, { "wide_resnet50_2", "78.468" }, { "wide_resnet101_2", "78.848" },
};

/* Measured seconds: of the net that --validate has run, or of any with --time-variants. */
static const char *measured(char out[RN_NUMBER_CHARS], const struct characterize *c,
                            const struct rn_net_config *config)
{
    double seconds = 0;
    int runs;
    if (c->validation && !strcmp(config->arch.name, c->config.arch.name)) seconds = c->validation->seconds;
    else if (!opt_switch(c->o, "time-variants")) return "N/A: --time-variants";
    else if (characterize_time(&seconds, &runs, c, config)) return "N/A";
    return rn_fixed_text(out, 1e3 * seconds, 3);
}

static void variant(struct page *p, const struct characterize *c, const char *name)
{
    struct rn_net_config config = c->config;
    struct rn_trace t;
    struct rn_groups g = { .rows = 0 };
    struct rn_counts n;
    struct rn_projection q;
    struct rn_memory m;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], w[RN_NUMBER_CHARS], took[RN_NUMBER_CHARS];
    char ms[RN_NUMBER_CHARS] = "N/A", arena[RN_NUMBER_CHARS] = "N/A";
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
    if (!rn_memory_of(&m, &t, &config, c->batch, c->device.ops, c->device.dev))
        rn_fixed_text(arena, (double)m.arena_inference / RN_MB, 1);
    const bool imagenet = c->config.arch.stem == RN_STEM_IMAGENET && c->config.image_size == 224 &&
        c->config.arch.classes == 1000;
    const char *const row[] = { name, characterize_grouped(a, n.parameters), characterize_grouped(b, n.work[0].macs),
                                rn_fixed_text(w, 4.0 * (double)n.parameters / RN_MB, 1), arena, ms,
                                measured(took, c, &config), imagenet ? top1 : "" };
    page_row(p, row, RN_COUNT(row));
    rn_groups_free(&g);
    rn_trace_free(&t);
}

void characterize_variants(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "architecture", 20, true }, { "parameters", 14, false }, { "MACs", 18, false },
        { "weights, MB", 12, false }, { "inference, MB", 12, false }, { "projected ms", 12, false },
        { "measured ms", 12, false }, { "published top-1, %", 12, false },
    };
    size_t count;
    const char *const *name = rn_arch_names(&count);
    page_heading(p, "Variants");
    page_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < count; i++) variant(p, c, name[i]);
    page_note(p, "Projected on %s, %s, batch %d; measured here, fp32, %d threads. Inference: the one block of "
              "memory that the net takes. Accuracies: torchvision's table of models, weights IMAGENET1K_V1, "
              "measured by its authors, not here.", c->hardware.name, rn_precision_name(c->precision), c->batch,
              c->device.threads);
    rn_error_clear();
}

static void sweep_row(struct page *p, const struct characterize *c, const char *what,
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
    page_row(p, row, RN_COUNT(row));
    rn_projection_free(&q);
}

void characterize_sweeps(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "", 12, true }, { "ms", 24, false }, { "images/s", 24, false },
                                               { "J an image", 30, false } };
    static const int batch[] = { 1, 8, 16, 32, 64 };
    char name[24];
    page_heading(p, "Batch sizes");
    page_note(p, "%s, our model, %s; projections", c->hardware.name, rn_precision_name(c->precision));
    page_table(p, head, RN_COUNT(head));
    for (size_t i = 0; i < RN_COUNT(batch); i++) {
        snprintf(name, sizeof name, "batch %d", batch[i]);
        sweep_row(p, c, name, c->precision, batch[i]);
    }
    page_heading(p, "Precisions, batch 1");
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < RN_PRECISIONS; i++) sweep_row(p, c, rn_precision_name((enum rn_precision)i),
                                                      (enum rn_precision)i, 1);
}

