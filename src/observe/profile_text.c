/*
 * profile_text.c - the tables, in torch.profiler's columns and units, so that a profile of PyTorch can be read beside
 * them; then what torch.profiler does not say: FLOPs, bytes and how far from the machine's limits.
 */
#include "observe/profile.h"

#include "base/mem.h"
#include "observe/grid.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- numbers ------------------------------------------------------------------------------------ */

/* "12.3" with as many digits behind the point as are worth it. */
static const char *short_text(char out[RN_NUMBER_CHARS], double x)
{
    return rn_fixed_text(out, x, x >= 100 ? 1 : x >= 10 ? 2 : 3);
}

const char *rn_time_text(char out[RN_NUMBER_CHARS], double ns)
{
    char number[RN_NUMBER_CHARS];
    const char *unit = ns >= 1e9 ? "s" : ns >= 1e6 ? "ms" : "us";
    rn_fixed_text(number, ns / (ns >= 1e9 ? 1e9 : ns >= 1e6 ? 1e6 : 1e3), 3);
    snprintf(out, RN_NUMBER_CHARS, "%.30s%s", number, unit);
    return out;
}

static void add_time(struct rn_grid *g, double ns)
{
    char text[RN_NUMBER_CHARS];
    rn_grid_add(g, "%s", rn_time_text(text, ns));
}

static void add_percent(struct rn_grid *g, double part, double whole)
{
    char text[RN_NUMBER_CHARS];
    rn_grid_add(g, "%s%%", rn_fixed_text(text, whole > 0 ? 100 * part / whole : 0, 2));
}

/* Counts with a letter for thousands, millions ...; bytes by 1024. */
static void add_amount(struct rn_grid *g, double x, double step, const char *unit)
{
    static const char *const letter[] = { "", "K", "M", "G", "T", "P" };
    char text[RN_NUMBER_CHARS];
    size_t i = 0;
    for (; x >= step && i + 1 < RN_COUNT(letter); i++) x /= step;
    if (x <= 0) rn_grid_add(g, "--");
    else rn_grid_add(g, "%s %s%s", i ? short_text(text, x) : rn_fixed_text(text, x, 0), letter[i], unit);
}

static void add_number(struct rn_grid *g, double x)
{
    char text[RN_NUMBER_CHARS];
    if (x <= 0) rn_grid_add(g, "--");
    else rn_grid_add(g, "%s", short_text(text, x));
}

/* -- limits ------------------------------------------------------------------------------------- */

/* FLOPs a second that the machine allows at this intensity, in billions; 0: not known, or nothing to bound. */
static double roof(const struct rn_machine *m, const struct rn_profile_row *r)
{
    if (m->gflops <= 0 || m->gbytes <= 0 || !r->flops || !r->bytes) return 0;
    const double memory = m->gbytes * (1024 * RN_MB) / 1e9 * (double)r->flops / (double)r->bytes;
    return RN_MIN(m->gflops, memory);
}

/* What limits a row's calls: where nothing is computed, memory. */
static const char *bound(const struct rn_machine *m, const struct rn_profile_row *r)
{
    const double limit = roof(m, r);
    if (!r->leaf || !r->bytes || m->gflops <= 0 || m->gbytes <= 0) return "--";
    return r->flops && limit >= m->gflops ? "compute" : "memory";
}

static void add_limits(struct rn_grid *g, const struct rn_profile_row *r, const struct rn_machine *m)
{
    const double rate = rn_row_rate(r->flops, r->total) / 1e9, limit = roof(m, r);
    add_amount(g, (double)r->flops, 1000, "");
    add_number(g, rate);
    add_amount(g, (double)r->bytes, 1024, "B");
    add_number(g, rn_row_rate(r->bytes, r->total) / (1024 * RN_MB));
    add_number(g, r->bytes ? (double)r->flops / (double)r->bytes : 0);
    if (m->gflops > 0 && r->flops) add_percent(g, rate, m->gflops);
    else rn_grid_add(g, "--");
    if (r->leaf && limit > 0) add_percent(g, rate, limit);
    else rn_grid_add(g, "--");
    rn_grid_add(g, "%s", bound(m, r));
}

/* -- sorting ------------------------------------------------------------------------------------ */

static double sort_value(const struct rn_profile_row *r, enum rn_sort sort)
{
    switch (sort) {
    case RN_SORT_SELF: return (double)r->self;
    case RN_SORT_TOTAL: return (double)r->total;
    case RN_SORT_AVERAGE: return (double)r->total / (double)r->calls;
    case RN_SORT_COUNT: return (double)r->calls;
    case RN_SORT_FLOPS: return (double)r->flops;
    case RN_SORT_BYTES: return (double)r->bytes;
    case RN_SORT_NAME: break;
    }
    return 0;
}

struct ranked { const struct rn_profile_row *row; double value; };

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    int order = strcmp(x->row->name, y->row->name);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static struct ranked *rank(const struct rn_profile_row *row, int rows, enum rn_sort sort)
{
    struct ranked *list = rn_alloc_array((size_t)rows, sizeof *list);
    for (int i = 0; list && i < rows; i++) list[i] = (struct ranked){ &row[i], sort_value(&row[i], sort) };
    if (list) qsort(list, (size_t)rows, sizeof *list, by_value);
    return list;
}

/* -- the tables --------------------------------------------------------------------------------- */

static void add_op(struct rn_grid *g, const struct rn_profile *p, const struct rn_profile_row *r,
                   const struct rn_profile_style *s)
{
    rn_grid_add(g, "%s", r->name);
    add_percent(g, (double)r->self, (double)p->self);
    add_time(g, (double)r->self);
    add_percent(g, (double)r->total, (double)p->self);
    add_time(g, (double)r->total);
    add_time(g, (double)r->total / (double)r->calls);
    rn_grid_add(g, "%" PRId64, r->calls);
    if (s->by_shape) {
        struct rn_text shapes = {0};
        rn_op_shapes(&shapes, &r->op);
        rn_grid_add(g, "%s", shapes.data ? shapes.data : "[]");
        rn_text_free(&shapes);
    }
    add_amount(g, (double)r->written / (double)r->calls, 1024, "B");
    add_limits(g, r, &s->machine);
    for (int k = 0; p->counted && k < RN_COUNTERS; k++) add_amount(g, (double)r->counter[k], 1000, "");
}

static void add_ops(struct rn_text *t, const struct rn_profile *p, const struct rn_profile_style *s)
{
    const char *heading[24] = { "Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg",
                                "# of Calls" };
    static const char *const rest[] = { "Mem", "FLOPs", "GFLOP/s", "Bytes", "GB/s", "FLOP/B", "% of peak",
                                        "% of roof", "Bound" };
    static const char *const counters[] = { "Cycles", "Instructions", "Cache misses" };
    char self[RN_NUMBER_CHARS];
    struct rn_grid g;
    struct ranked *list = rank(p->op, p->ops, s->sort);
    int columns = 7;
    if (s->by_shape) heading[columns++] = "Input Shapes";
    for (size_t i = 0; i < RN_COUNT(rest); i++) heading[columns++] = rest[i];
    for (size_t i = 0; p->counted && i < RN_COUNT(counters); i++) heading[columns++] = counters[i];
    rn_grid_begin(&g, heading);
    for (int i = 0; list && i < p->ops && (!s->rows || i < s->rows); i++) add_op(&g, p, list[i].row, s);
    rn_grid_end(t, &g);
    if (!list) t->failed = true;
    if (s->rows && p->ops > s->rows) rn_text_add(t, "%d more rows: --rows 0 shows all\n", p->ops - s->rows);
    rn_text_add(t, "Self CPU time total: %s\n", rn_time_text(self, (double)p->self));
    rn_free(list);
}

/* In the order of the net, which is that of their first calls; what is of no layer comes last. */
static void add_layers(struct rn_text *t, const struct rn_profile *p, const struct rn_profile_style *s)
{
    static const char *const heading[] = { "Layer", "Self CPU %", "Self CPU", "Forward", "Backward", "FLOPs",
                                           "GFLOP/s", "% of peak", NULL };
    struct rn_grid g;
    rn_grid_begin(&g, heading);
    for (int of_none = 0; of_none < 2; of_none++)
        for (int i = 0; i < p->layers; i++) {
            const struct rn_profile_row *r = &p->layer[i];
            if ((*r->name == 0) != of_none) continue;
            const double rate = of_none ? 0 : rn_row_rate(r->flops, r->self) / 1e9;
            rn_grid_add(&g, "%s", of_none ? "(of no layer)" : r->name);
            add_percent(&g, (double)r->self, (double)p->self);
            add_time(&g, (double)r->self);
            add_time(&g, (double)r->forward);
            add_time(&g, (double)r->backward);
            add_amount(&g, of_none ? 0 : (double)r->flops, 1000, "");
            add_number(&g, rate);
            if (rate > 0 && s->machine.gflops > 0) add_percent(&g, rate, s->machine.gflops);
            else rn_grid_add(&g, "--");
        }
    rn_grid_end(t, &g);
}

static void add_families(struct rn_text *t, const struct rn_profile *p)
{
    struct ranked *list = rank(p->family, p->families, RN_SORT_SELF);
    char share[RN_NUMBER_CHARS], time[RN_NUMBER_CHARS];
    for (int i = 0; list && i < p->families; i++) {
        const struct rn_profile_row *r = list[i].row;
        rn_fixed_text(share, p->self ? 100 * (double)r->self / (double)p->self : 0, 2);
        rn_text_add(t, "%s: %s %%  (%s)\n", r->name, share, rn_time_text(time, (double)r->self));
    }
    if (!list) t->failed = true;
    rn_free(list);
}

static void add_tracks(struct rn_text *t, const struct rn_profile *p)
{
    static const char *const heading[] = { "Thread", "Spans", "Busy", "% of main", NULL };
    struct rn_grid g;
    rn_grid_begin(&g, heading);
    for (int i = 0; i < p->tracks; i++) {
        rn_grid_add(&g, "%s", p->track[i].name);
        rn_grid_add(&g, "%" PRId64, p->track[i].spans);
        add_time(&g, (double)p->track[i].busy);
        add_percent(&g, (double)p->track[i].busy, (double)p->self);
    }
    rn_grid_end(t, &g);
}

void rn_profile_text(struct rn_text *t, const struct rn_profile *p, const struct rn_profile_style *style)
{
    rn_text_add(t, "By op\n");
    add_ops(t, p, style);
    rn_text_add(t, "\nBy layer\n");
    add_layers(t, p, style);
    rn_text_add(t, "\nBy family of ops\n");
    add_families(t, p);
    rn_text_add(t, "\nBy thread\n");
    add_tracks(t, p);
}
