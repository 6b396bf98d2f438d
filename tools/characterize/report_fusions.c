/* report_fusions.c - the fusions that are found, why they are not the seed's, and the graph's first operations. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

static void pattern_rows(struct page *p, const struct rn_matches *m, const struct rn_pattern *pattern, int count,
                         const char *who)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    for (int i = 0; i < count; i++) {
        int64_t saved;
        snprintf(a, sizeof a, "%d", rn_matches_of(m, i, &saved));
        const char *const row[] = { pattern[i].name, a, characterize_grouped(b, saved), who };
        page_row(p, row, RN_COUNT(row));
    }
}

static void patterns(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "pattern", 20, true }, { "found", 8, false },
                                               { "bytes saved, one image", 22, false }, { "", 40, true } };
    int count;
    const struct rn_pattern *pattern = rn_patterns_fused(false, &count);
    page_table(p, head, RN_COUNT(head));
    pattern_rows(p, &c->fused, pattern, count, "what the executor runs as one");
    pattern = rn_patterns_fused(true, &count);
    pattern_rows(p, &c->folded_fused, pattern, count, "the same after folding batch norm");
    pattern = rn_patterns_candidates(&count);
    pattern_rows(p, &c->candidates, pattern, count, "would be possible");
    if (c->user.row) pattern_rows(p, &c->user, c->patterns.row, c->patterns.rows, "of --patterns");
    page_note(p, "Every one of the %d convolutions is in exactly one of the first three, and the executor runs exactly "
              "these.", c->counts.of_kind[RN_OP_CONV]);
    if (!characterize_is_seeds(c)) return;
    page_note(p, "The report of 2025-10-17 found Conv+BN+ReLU 17 times: it looked for neighbours in a list of modules. "
              "There are %d such windows, among them the projections, whose next module is the ReLU after the "
              "addition; the %d second convolutions of those blocks are in none.", c->seed.rows,
              c->seed.convs_left_out);
    page_note(p, "It misses Conv+BN, Conv+Add and Conv+Add+ReLU: the first stands above, the others are what folding "
              "leaves. No convolution is followed by an addition alone.");
}

static void instances(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "instance", 60, true }, { "pattern", 18, true },
                                               { "bytes saved", 14, false } };
    int count;
    const struct rn_pattern *pattern = rn_patterns_fused(false, &count);
    char a[RN_NUMBER_CHARS], names[300];
    page_fold(p, "Every instance");
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < c->fused.rows; i++) {
        const struct rn_match *m = &c->fused.row[i];
        size_t used = 0;
        for (int k = 0; k < m->length && used < sizeof names; k++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k ? " + " : "",
                                     c->trace.op[m->op[k]].name);
        const char *const row[] = { names, pattern[m->pattern].name, characterize_grouped(a, m->saved) };
        page_row(p, row, RN_COUNT(row));
    }
    page_unfold(p);
}


/* The first operations, as far as the first block goes. */
static void nodes(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "node", 6, false }, { "name", 24, true }, { "operation", 20, true },
                                               { "shape", 24, true } };
    char number[16], shape[64];
    page_heading(p, "The first nodes; --graph lists all");
    page_table(p, head, RN_COUNT(head));
    for (int i = 1; i < c->trace.ops; i++) {
        const struct rn_op *op = &c->trace.op[i];
        snprintf(number, sizeof number, "%d", i - 1);
        snprintf(shape, sizeof shape, "[1, %d, %d, %d]", op->C, op->H, op->W);
        const char *const row[] = { number, op->name, rn_op_kind_class(op->kind), shape };
        page_row(p, row, RN_COUNT(row));
        if (op->kind == RN_OP_RELU && !strncmp(op->name, "layer", 5)) return;
    }
}

void characterize_fusions(struct page *p, const struct characterize *c)
{
    page_section(p, "Graph and fusions");
    patterns(p, c);
    nodes(p, c);
    instances(p, c);
}
