/* report_fusions.c - the fusions that are found, why they are not the seed's, and the graph's first operations. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

/* What was found of a list of patterns in one form of the net. */
struct found {
    const struct rn_matches *matches;
    const struct rn_pattern *pattern;
    int patterns;
    const struct rn_trace *trace;
    const char *who;
};
#define LISTS 4

/* The lists of patterns that were looked for; returns how many. */
static int lists_of(struct found list[LISTS], const struct characterize *c)
{
    list[0] = (struct found){ &c->fused, NULL, 0, &c->trace, "what the executor runs as one" };
    list[0].pattern = rn_patterns_fused(false, &list[0].patterns);
    list[1] = (struct found){ &c->folded_fused, NULL, 0, &c->folded, "the same after folding batch norm" };
    list[1].pattern = rn_patterns_fused(true, &list[1].patterns);
    list[2] = (struct found){ &c->candidates, NULL, 0, &c->trace, "possible; saved beyond the first three" };
    list[2].pattern = rn_patterns_candidates(&list[2].patterns);
    list[3] = (struct found){ &c->user, c->patterns.row, c->patterns.rows, &c->trace, "of --patterns, alone" };
    return c->user.row ? LISTS : LISTS - 1;
}

static int count_of(const struct found *f, const char *name)
{
    for (int i = 0; i < f->patterns; i++)
        if (!strcmp(f->pattern[i].name, name)) return rn_matches_of(f->matches, i, NULL);
    return 0;
}

static void pattern_rows(struct page *p, const struct found *f)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    for (int i = 0; i < f->patterns; i++) {
        int64_t saved;
        snprintf(a, sizeof a, "%d", rn_matches_of(f->matches, i, &saved));
        const char *const row[] = { f->pattern[i].name, a, characterize_grouped(b, saved), f->who };
        page_row(p, row, RN_COUNT(row));
    }
}

/* Convolutions that the windows of the seed take for a fusion though an addition comes before the ReLU. */
static int projections_in_windows(const struct characterize *c)
{
    int count = 0;
    for (int i = 0; i < c->seed.rows; i++) count += strstr(c->trace.op[c->seed.row[i].conv].name, "downsample") != NULL;
    return count;
}

static void patterns(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "pattern", 20, true }, { "found", 8, false },
                                               { "bytes saved, one image, fp32", 22, false }, { "", 40, true } };
    struct found list[LISTS];
    const int lists = lists_of(list, c);
    int convs = 0;
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < lists; i++) pattern_rows(p, &list[i]);
    for (int i = 0; i < c->fused.rows; i++) convs += c->trace.op[c->fused.row[i].op[0]].kind == RN_OP_CONV;
    page_note(p, "%d of the %d convolutions begin one of the first three; the plan of an inference has %d steps for "
              "the %d operations that this makes of the net.", convs, c->counts.of_kind[RN_OP_CONV],
              c->memory.inference.steps, c->groups.rows);
    if (!characterize_is_seeds(c)) return;
    page_note(p, "The report of 2025-10-17 found Conv+BN+ReLU 17 times: it looked for neighbours in a list of modules. "
              "There are %d such windows, %d of them of projections, whose next module is the ReLU after the "
              "addition; the %d second convolutions of those blocks are in none.", c->seed.rows,
              projections_in_windows(c), c->seed.convs_left_out);
    page_note(p, "What it lists as missing is here: Conv+BN %d times, and after folding Conv+Add+ReLU %d times and "
              "Conv+Add %d times.", count_of(&list[0], "conv_bn"), count_of(&list[1], "conv_add_relu"),
              count_of(&list[1], "conv_add"));
}

static void instances(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "instance", 60, true }, { "pattern", 18, true },
                                               { "bytes saved", 14, false }, { "", 40, true } };
    struct found list[LISTS];
    const int lists = lists_of(list, c);
    char a[RN_NUMBER_CHARS], names[600];
    page_fold(p, "Every instance");
    page_table(p, head, RN_COUNT(head));
    for (int l = 0; l < lists; l++) {
        for (int i = 0; i < list[l].matches->rows; i++) {
            const struct rn_match *m = &list[l].matches->row[i];
            size_t used = 0;
            for (int k = 0; k < m->length && used < sizeof names; k++)
                used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k ? " + " : "",
                                         list[l].trace->op[m->op[k]].name);
            const char *const row[] = { names, list[l].pattern[m->pattern].name, characterize_grouped(a, m->saved),
                                        list[l].who };
            page_row(p, row, RN_COUNT(row));
        }
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
        characterize_shape(shape, op);
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
