/* report_performance.c - every fused operation on the machine. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

static void averages(struct page *p, const struct characterize *c)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS];
    const bool ours = !strcmp(opt_text(c->o, "model"), "ours");
    const double groups = ours ? c->groups.rows : c->seed.rows, MB = 1e6 * groups;
    if (!groups) return;
    page_field(p, ours ? "Average of a fused operation, MFLOPs" : "Average of a window, MFLOPs", "%s; batch %d",
               rn_fixed_text(a, 1e-6 * (double)c->projection.flops / groups, 2), c->batch);
    if (c->projection.missing_seconds < 0)
        page_field(p, "Average latency", "%s ms on %s", rn_fixed_text(b, 1e3 * c->projection.seconds / groups, 4),
                   c->hardware.name);
    for (int i = 0; c->projection.row && i < CHARACTERIZE_ASSUMED; i++)
        if (!c->hardware.known[characterize_assumed[i].key])
            page_field(p, rn_hardware_key_name(characterize_assumed[i].key), "N/A: not in the file; %d is taken, so "
                       "that latencies are the least there can be", characterize_assumed[i].value);
    page_field(p, "Average traffic", "%s million bytes", rn_fixed_text(d, c->projection.bytes / MB, 2));
    if (characterize_is_seeds(c))
        page_note(p, "The report of 2025-10-17 divides its sums by 17 windows: 223 MFLOPs, 0.013 ms on its GPU, "
                  "3.2 MB.");
}

static void ranking(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = {
        { "fused operation", 24, true }, { "", 22, true }, { "MFLOPs", 10, false }, { "ms", 10, false },
        { "% of all", 10, false }, { "bound by", 10, true }, { "FLOPs a byte", 12, false },
    };
    const struct rn_projection *q = &c->projection;
    char what[64], m[RN_NUMBER_CHARS], ms[RN_NUMBER_CHARS], share[RN_NUMBER_CHARS], intensity[RN_NUMBER_CHARS];
    if (!q->row) return;
    page_heading(p, "Every fused operation, in order");
    page_note(p, "%s, %s, batch %d", c->hardware.name, rn_precision_name(c->precision), c->batch);
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < q->rows; i++) {
        const struct rn_group *g = &c->groups.row[i];
        const struct rn_op *first = &c->trace.op[g->op[0]];
        const double bytes = rn_precision_bytes(c->precision) * rn_group_values(g, c->batch);
        const char *const row[] = {
            first->name, characterize_describe(what, first), characterize_millions(m, g->flops),
            rn_fixed_text(ms, 1e3 * q->row[i].seconds, 4),
            rn_fixed_text(share, 100 * q->row[i].seconds / q->seconds, 1),
            rn_bound_name(q->row[i].bound), rn_fixed_text(intensity, c->batch * (double)g->flops / bytes, 1),
        };
        page_row(p, row, RN_COUNT(row));
    }
}

/* The operations that take longest: where a change would help. */
static void bottlenecks(struct page *p, const struct characterize *c)
{
    const struct rn_projection *q = &c->projection;
    double of[3] = { 0, 0, 0 };
    int count[3] = { 0, 0, 0 };
    char a[RN_NUMBER_CHARS];
    if (!q->row) return;
    for (int i = 0; i < q->rows; i++) {
        of[q->row[i].bound] += q->row[i].seconds;
        count[q->row[i].bound]++;
    }
    for (int i = 0; i < 3; i++)
        if (count[i])
            page_bullet(p, "%d of %d fused operations are bound by %s; they take %s %% of the time.", count[i],
                        q->rows,
                        rn_bound_name((enum rn_bound)i), rn_fixed_text(a, 100 * of[i] / q->seconds, 1));
}

/* The projection against the run, where there was one. */
static void validation(struct page *p, const struct characterize *c)
{
    const struct characterize_validation *v = c->validation;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], e[RN_NUMBER_CHARS], m[RN_NUMBER_CHARS];
    page_heading(p, "Measured here");
    if (!v) {
        page_note(p, "N/A: --hardware FILE --validate, with a file that --measure FILE has made here.");
        return;
    }
    page_note(p, "%s projected, %s ms measured, median of %d passes: %s %% off; the median error of a fused "
              "operation is %s %%.", rn_fixed_text(a, 1e3 * c->projection.seconds, 3),
              rn_fixed_text(b, 1e3 * v->seconds, 3),
              v->runs, rn_fixed_text(e, 100 * (c->projection.seconds / v->seconds - 1), 1),
              rn_fixed_text(m, 100 * v->median_error, 1));
}

void characterize_performance(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    page_section(p, "Performance");
    averages(p, c);
    ranking(p, c);
    bottlenecks(p, c);
    validation(p, c);
    characterize_tiles(p, c, m);
}
