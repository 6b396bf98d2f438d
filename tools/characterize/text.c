/* text.c - what ./characterize prints for people. */
#include "tools/characterize/validate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *characterize_grouped(char out[RN_NUMBER_CHARS], int64_t x)
{
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%" PRId64, x);
    int at = 0;
    for (int i = 0; i < n; i++) {
        out[at++] = digits[i];
        if ((n - i - 1) % 3 == 0 && i + 1 < n && digits[i] != '-') out[at++] = ',';
    }
    out[at] = '\0';
    return out;
}

static void add_number(struct rn_text *t, const char *what, int64_t x, const char *note)
{
    char number[RN_NUMBER_CHARS];
    rn_text_add(t, "  %-34s %18s%s%s\n", what, characterize_grouped(number, x), *note ? "  " : "", note);
}

static void add_megabytes(struct rn_text *t, const char *what, size_t bytes, const char *note)
{
    char number[RN_NUMBER_CHARS], grouped[RN_NUMBER_CHARS];
    rn_text_add(t, "  %-34s %18s  %9s MB%s%s\n", what, characterize_grouped(grouped, (int64_t)bytes),
                rn_fixed_text(number, (double)bytes / RN_MB, 2), *note ? "  " : "", note);
}

static void add_head(struct rn_text *t, const struct characterize *c)
{
    const struct rn_counts *n = &c->counts;
    rn_text_add(t, "%s, %s stem, %dx%d, %d classes\n\nlayers: ", c->config.arch.name,
                rn_stem_name(c->config.arch.stem), c->config.image_size, c->config.image_size,
                c->config.arch.classes);
    bool any = false;
    for (int i = RN_OP_RESIZE; i < RN_OP_KINDS; i++) {
        if (!n->of_kind[i] || i == RN_OP_FLATTEN) continue;
        rn_text_add(t, "%s%d %s", any ? ", " : "", n->of_kind[i], rn_op_kind_class((enum rn_op_kind)i));
        any = true;
    }
    rn_text_add(t, "\n");
    add_number(t, "parameters", n->parameters, "trainable");
    add_number(t, "buffers", n->buffers, "running statistics");
}

static void add_passes(struct rn_text *t, const struct characterize *c)
{
    char number[RN_NUMBER_CHARS];
    rn_text_add(t, "\ncounts of one image, exact; a MAC is 2 FLOPs, taps in the padding count\n  %-22s", "");
    for (int i = 0; i < RN_WORKS; i++) rn_text_add(t, " %16s", rn_work_name((enum rn_work)i));
    rn_text_add(t, "\n  %-22s", "MACs");
    for (int i = 0; i < RN_WORKS; i++)
        rn_text_add(t, " %16s", characterize_grouped(number, c->counts.work[i].macs));
    for (int k = RN_OP_RESIZE; k <= RN_OP_KINDS; k++) {
        const bool bias = k == RN_OP_KINDS;
        if (!bias && !c->counts.of_kind[k] && k != RN_OP_SOFTMAX) continue;
        if (k == RN_OP_FLATTEN) continue;
        rn_text_add(t, "\n  %-22s", bias ? "bias" : rn_op_kind_name((enum rn_op_kind)k));
        for (int i = 0; i < RN_WORKS; i++)
            rn_text_add(t, " %16s", characterize_grouped(number, bias ? c->counts.work[i].bias
                                                                       : c->counts.work[i].flops[k]));
    }
    rn_text_add(t, "\n  %-22s", "FLOPs, all");
    for (int i = 0; i < RN_WORKS; i++)
        rn_text_add(t, " %16s", characterize_grouped(number, c->counts.work[i].all));
    rn_text_add(t, "\n");
    add_number(t, "FLOPs, conv2d and linear", c->counts.work[0].conv_linear, "2 x MACs");
    add_number(t, "optimiser, once a step: SGD", RN_SGD_FLOPS * c->counts.parameters, "6 a parameter");
    add_number(t, "AdamW", RN_ADAMW_FLOPS * c->counts.parameters, "15 a parameter");
}

static void add_matches(struct rn_text *t, const char *what, const struct rn_matches *m, const struct rn_pattern *p,
                        int patterns)
{
    char number[RN_NUMBER_CHARS];
    for (int i = 0; i < patterns; i++) {
        int64_t saved;
        const int count = rn_matches_of(m, i, &saved);
        rn_text_add(t, "  %-18s %4d  saves %15s bytes%s\n", p[i].name, count, characterize_grouped(number, saved),
                    i ? "" : what);
    }
}

static void add_instances(struct rn_text *t, const struct characterize *c, const struct rn_matches *m,
                          const struct rn_pattern *p)
{
    char number[RN_NUMBER_CHARS];
    for (int i = 0; i < m->rows; i++) {
        rn_text_add(t, "    %s, %s bytes:", p[m->row[i].pattern].name, characterize_grouped(number, m->row[i].saved));
        for (int k = 0; k < m->row[i].length; k++) rn_text_add(t, " %s", c->trace.op[m->row[i].op[k]].name);
        rn_text_add(t, "\n");
    }
}

static void add_fusions(struct rn_text *t, const struct characterize *c)
{
    int patterns;
    const struct rn_pattern *p = rn_patterns_fused(false, &patterns);
    rn_text_add(t, "\nfusions, with the memory traffic of one image, fp32, that each saves\n");
    add_matches(t, "   the executor runs these", &c->fused, p, patterns);
    p = rn_patterns_fused(true, &patterns);
    add_matches(t, "   the same, batch norm folded", &c->folded_fused, p, patterns);
    p = rn_patterns_candidates(&patterns);
    add_matches(t, "   possible, and beyond what the executor saves", &c->candidates, p, patterns);
    add_instances(t, c, &c->candidates, p);
    if (!c->user.row) return;
    add_matches(t, "   yours, alone", &c->user, c->patterns.row, c->patterns.rows);
    add_instances(t, c, &c->user, c->patterns.row);
}

static void add_memory(struct rn_text *t, const struct characterize *c)
{
    const struct rn_memory *m = &c->memory;
    rn_text_add(t, "\nmemory, %d image%s, backend %s, %s: a value of a tensor is %zu bytes\n", c->batch,
                c->batch == 1 ? "" : "s", c->device.ops->name, opt_text(c->o, "numerics"), m->element);
    add_megabytes(t, "input", m->input, "");
    add_megabytes(t, "weights", m->weights, "");
    add_megabytes(t, "buffers", m->buffers + m->counters, "");
    add_megabytes(t, "activations, inference", m->inference.live, "most alive at once");
    add_megabytes(t, "  without reuse", m->inference.values + m->inference.indices, "fused");
    add_megabytes(t, "  without reuse or fusion", m->activations, "");
    add_megabytes(t, "  workspace", m->inference.work_most, "of the step that needs most");
    add_megabytes(t, "activations, training", m->training.live, "with their gradients");
    add_megabytes(t, "  without reuse", m->training.values + m->training.gradients + m->training.indices, "");
    add_megabytes(t, "weight gradients", m->gradients, "");
    add_megabytes(t, "optimiser: SGD", m->sgd, "");
    add_megabytes(t, "AdamW", m->adamw, "");
    add_megabytes(t, "all of it, inference", m->arena_inference, "the net's one block");
    add_megabytes(t, "  batch norm folded", m->arena_folded, "");
    add_megabytes(t, "all of it, training", m->arena_training, "beside the optimiser's");
}

/* The longest operations of the projection, most first. */
#define RANKED 8

static void add_ranking(struct rn_text *t, const struct characterize *c)
{
    const struct rn_projection *p = &c->projection;
    char number[RN_NUMBER_CHARS], share[RN_NUMBER_CHARS], what[64];
    int order[RANKED], count = 0;
    for (int i = 0; i < p->rows; i++) {
        int k = count < RANKED ? count++ : RANKED;
        for (; k > 0 && p->row[order[k - 1]].seconds < p->row[i].seconds; k--)
            if (k < RANKED) order[k] = order[k - 1];
        if (k < RANKED) order[k] = i;
    }
    rn_text_add(t, "  the longest:\n");
    for (int k = 0; k < count; k++) {
        const struct rn_projected *r = &p->row[order[k]];
        const struct rn_op *first = &c->trace.op[c->groups.row[order[k]].op[0]];
        rn_text_add(t, "    %-22s %-18s %10s ms %6s %%  %s\n", first->name, characterize_describe(what, first),
                    rn_fixed_text(number, 1e3 * r->seconds, 4),
                    rn_fixed_text(share, 100 * r->seconds / p->seconds, 1), rn_bound_name(r->bound));
    }
}

static void add_known(struct rn_text *t, const char *what, double x, int digits, const char *unit, int missing)
{
    char number[RN_NUMBER_CHARS];
    if (missing < 0) rn_text_add(t, "  %-34s %18s %s\n", what, rn_fixed_text(number, x, digits), unit);
    else rn_text_add(t, "  %-34s %18s needs the key %s\n", what, "N/A", rn_hardware_key_name(missing));
}

static void add_projection(struct rn_text *t, const struct characterize *c)
{
    const struct rn_projection *p = &c->projection;
    rn_text_add(t, "\nprojection, not measured: %s, %s, batch %d, model %s\n", c->hardware.name,
                rn_precision_name(c->precision), c->batch, opt_text(c->o, "model"));
    add_known(t, "latency", 1e3 * p->seconds, 4, "ms", p->missing_seconds);
    add_known(t, "energy", p->joules, 6, "J", p->missing_joules);
    add_known(t, "speed over the file cpu.conf", characterize_speedup(c, p), 1, "times", p->missing_seconds);
    for (int i = 0; p->row && i < CHARACTERIZE_ASSUMED; i++)
        if (!c->hardware.known[characterize_assumed[i].key])
            rn_text_add(t, "  %-34s %18s not in the file; %d is taken: the least time\n",
                        rn_hardware_key_name(characterize_assumed[i].key), "N/A", characterize_assumed[i].value);
    if (p->row) add_ranking(t, c);
}

void characterize_add_convention(struct rn_text *t, const struct characterize *c)
{
    const struct rn_convention *v = &c->convention;
    const int64_t ours = c->counts.work[RN_WORK_INFERENCE].macs;
    char number[RN_NUMBER_CHARS];
    rn_text_add(t, "\nas %s counts (%s)\n  unit: %s\n", v->name, v->tool, v->unit);
    for (int i = 0; i < v->lines; i++)
        rn_text_add(t, "  %-36s %18s  %s\n", v->line[i].what, characterize_grouped(number, v->line[i].count),
                    v->line[i].rule);
    rn_text_add(t, "  %-36s %18s\n  left out: %s\n", "total", characterize_grouped(number, v->total), v->left_out);
    if (strcmp(v->name, "seed")) return;
    rn_text_add(t, "  %d windows of Conv2d, BatchNorm2d, ReLU in the list of modules; %d convolutions are in none,\n"
                "  with the linear layer %s FLOPs; right are %s\n", c->seed.rows, c->seed.convs_left_out,
                characterize_grouped(number, c->seed.left_out), "the 2 x MACs above");
    for (int i = 0; i < c->seed.rows; i++) {
        const struct rn_seed_window *w = &c->seed.row[i];
        char right[RN_NUMBER_CHARS];
        rn_text_add(t, "    %-24s %-20s %16s  right %16s\n", c->trace.op[w->conv].name, c->trace.op[w->relu].name,
                    characterize_grouped(number, w->flops), characterize_grouped(right, w->right));
    }
    rn_text_add(t, "  2 x MACs of the whole net: %s\n", characterize_grouped(number, 2 * ours));
}

void characterize_add_text(struct rn_text *t, const struct characterize *c)
{
    add_head(t, c);
    add_passes(t, c);
    add_fusions(t, c);
    add_memory(t, c);
    characterize_add_tiles(t, c);
    add_projection(t, c);
    if (c->convention.name) characterize_add_convention(t, c);
    if (c->validation) characterize_add_validation(t, c);
}
