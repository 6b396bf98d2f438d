/* report_theory.c - FLOPs by block, with what the seed's table leaves out, and by kind; and how its source counts. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

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

static void theory_row(struct page *p, const struct characterize *c, const char *name, const char *begin,
                       struct part *sum)
{
    const struct part s = part_of(c, begin);
    char main[RN_NUMBER_CHARS], all[RN_NUMBER_CHARS], size[48], difference[RN_NUMBER_CHARS];
    snprintf(size, sizeof size, "%dx%dx%d", s.H, s.W, s.C);
    const char *const row[] = { name, size, characterize_millions(main, s.main), characterize_millions(all, s.all),
                                characterize_millions(difference, s.all - s.main) };
    page_row(p, row, RN_COUNT(row));
    sum->all += s.all;
    sum->main += s.main;
}

static void table(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "layer", 20, true }, { "output", 14, false }, { "MFLOPs, projections left out", 22, false },
        { "MFLOPs, right", 14, false }, { "difference", 12, false },
    };
    const struct rn_arch *a = &c->config.arch;
    struct part sum = { 0 };
    char name[48], begin[48], main[RN_NUMBER_CHARS], all[RN_NUMBER_CHARS], difference[RN_NUMBER_CHARS];
    if (characterize_is_seeds(c))
        page_note(p, "The column without projections is the theory table of the report of 2025-10-17, which forgot the "
                    "1x1 convolutions on the shortcuts.");
    page_table(p, head, RN_COUNT(head));
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
    page_row(p, row, RN_COUNT(row));
}

static void families(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "part", 44, true }, { "FLOPs", 18, false },
                                               { "% of all", 10, false } };
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    page_heading(p, "Where the FLOPs are");
    page_table(p, head, RN_COUNT(head));
    for (int k = RN_OP_RESIZE; k < RN_OP_SOFTMAX; k++) {
        if (!w->flops[k]) continue;
        const char *const row[] = { rn_op_kind_name((enum rn_op_kind)k), characterize_grouped(a, w->flops[k]),
                                    rn_fixed_text(b, 100.0 * (double)w->flops[k] / (double)w->all, 3) };
        page_row(p, row, RN_COUNT(row));
    }
}

/* Every operation: what it holds, and what each pass and either optimiser computes. */
static void layers(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "operation", 24, true }, { "kind", 20, true }, { "shape", 20, true }, { "parameters", 12, false },
        { "trainable", 6, true }, { "buffers", 8, false }, { "MACs", 14, false }, { "FLOPs, inference", 14, false },
        { "forward", 14, false }, { "data gradient", 14, false }, { "weight gradient", 14, false },
        { "SGD", 12, false }, { "AdamW", 12, false },
    };
    char shape[64], cell[9][RN_NUMBER_CHARS];
    page_fold(p, "Every operation: parameters, buffers, and the FLOPs of each pass and of the optimisers");
    page_table(p, head, RN_COUNT(head));
    for (int i = 1; i < c->trace.ops; i++) {
        const struct rn_op *op = &c->trace.op[i];
        const int64_t number[] = {
            op->parameters, op->buffers, rn_op_macs(&c->trace, op, RN_WORK_INFERENCE),
            rn_op_all_flops(&c->trace, op, RN_WORK_INFERENCE), rn_op_all_flops(&c->trace, op, RN_WORK_FORWARD),
            rn_op_all_flops(&c->trace, op, RN_WORK_DATA), rn_op_all_flops(&c->trace, op, RN_WORK_WEIGHTS),
            RN_SGD_FLOPS * op->parameters, RN_ADAMW_FLOPS * op->parameters,
        };
        for (size_t k = 0; k < RN_COUNT(number); k++) characterize_grouped(cell[k], number[k]);
        const char *const row[] = { op->name, rn_op_kind_name(op->kind), characterize_shape(shape, op), cell[0],
                                    op->parameters ? "yes" : "", cell[1], cell[2], cell[3], cell[4], cell[5], cell[6],
                                    cell[7], cell[8] };
        page_row(p, row, RN_COUNT(row));
    }
    page_unfold(p);
}

static void seeds_sum(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "line", 44, true }, { "FLOPs", 18, false }, { "rule", 60, true } };
    struct rn_convention v;
    char a[RN_NUMBER_CHARS];
    if (rn_convention_of(&v, "seed", &c->trace)) return;
    page_heading(p, "How the published source of that report counts this net");
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < v.lines; i++) {
        const char *const row[] = { v.line[i].what, characterize_grouped(a, v.line[i].count), v.line[i].rule };
        page_row(p, row, RN_COUNT(row));
    }
    const char *const row[] = { "total", characterize_grouped(a, v.total), v.tool };
    page_row(p, row, RN_COUNT(row));
    page_note(p, "Left out: %s; that is %s FLOPs.", v.left_out, characterize_grouped(a, c->seed.left_out));
}

void characterize_theory(struct page *p, const struct characterize *c)
{
    page_section(p, "Theory");
    table(p, c);
    families(p, c);
    layers(p, c);
    seeds_sum(p, c);
}
