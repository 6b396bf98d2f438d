/* project.c - the roofline, operation by operation; and the seed's sum. */
#include "analyze/project.h"

#include "analyze/counts.h"
#include "analyze/seed.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* -- groups -------------------------------------------------------------------------------------- */

static bool inside(const struct rn_group *g, int op)
{
    for (int i = 0; i < g->ops; i++)
        if (g->op[i] == op) return true;
    return false;
}

static void sum_group(struct rn_group *g, const struct rn_trace *t)
{
    for (int i = 0; i < g->ops; i++) {
        const struct rn_op *op = &t->op[g->op[i]];
        g->macs += rn_op_macs(t, op, RN_WORK_INFERENCE);
        g->flops += rn_op_all_flops(t, op, RN_WORK_INFERENCE);
        g->weights += op->parameters + op->buffers;
        for (int k = 0; k < 2; k++) {
            if (op->src[k] < 0 || inside(g, op->src[k])) continue;
            *(i > 0 ? &g->added : &g->inputs) += rn_op_elements(&t->op[op->src[k]]);
        }
    }
    g->outputs = rn_op_elements(&t->op[g->op[g->ops - 1]]);
}

static int by_last(const void *x, const void *y)
{
    const struct rn_group *a = x, *b = y;
    return a->op[a->ops - 1] - b->op[b->ops - 1];
}

static void add_group(struct rn_groups *g, const struct rn_trace *t, const int *op, int ops, const char *fusion)
{
    struct rn_group *row = &g->row[g->rows++];
    *row = (struct rn_group){ .ops = ops, .fusion = fusion };
    memcpy(row->op, op, (size_t)ops * sizeof *op);
    sum_group(row, t);
}

rn_status rn_groups_build(struct rn_groups *g, const struct rn_trace *t)
{
    int patterns;
    const struct rn_pattern *pattern = rn_patterns_fused(false, &patterns);
    struct rn_matches m;
    *g = (struct rn_groups){ .rows = 0 };
    rn_status status = rn_match(&m, t, pattern, patterns, NULL);
    if (status) return status;
    bool *taken = rn_alloc_array((size_t)t->ops, sizeof *taken);
    g->row = rn_alloc_array((size_t)t->ops, sizeof *g->row);
    if (taken && g->row) {
        for (int i = 0; i < m.rows; i++) {
            add_group(g, t, m.row[i].op, m.row[i].length, pattern[m.row[i].pattern].name);
            for (int k = 0; k < m.row[i].length; k++) taken[m.row[i].op[k]] = true;
        }
        for (int i = 0; i < t->ops; i++)
            if (!taken[i] && t->op[i].kind != RN_OP_INPUT && t->op[i].kind != RN_OP_FLATTEN)
                add_group(g, t, &i, 1, NULL);
        qsort(g->row, (size_t)g->rows, sizeof *g->row, by_last);
    }
    status = taken && g->row ? RN_OK : RN_ENOMEM;
    rn_free(taken);
    rn_matches_free(&m);
    if (status) rn_groups_free(g);
    return status;
}

void rn_groups_free(struct rn_groups *g)
{
    rn_free(g->row);
    *g = (struct rn_groups){ .rows = 0 };
}

/* -- ours ---------------------------------------------------------------------------------------- */

const char *rn_bound_name(enum rn_bound bound)
{
    static const char *const name[] = { "compute", "memory", "launch" };
    return name[bound];
}

/* The key of the innermost level that holds so many bytes and says what `level` and the keys after it do; `main` for
 * main memory. */
static int level_for(const struct rn_hardware *h, int level, int main, double bytes)
{
    for (int i = 0; i < RN_MEMORY_LEVELS; i++)
        if (h->known[RN_HW_CAPACITY + i] && h->known[level + i] && bytes <= h->value[RN_HW_CAPACITY + i])
            return level + i;
    return main;
}

static double bandwidth_for(const struct rn_hardware *h, double bytes)
{
    return h->value[level_for(h, RN_HW_LEVEL_BANDWIDTH, RN_HW_BANDWIDTH, bytes)];
}

/* What one projection is made of, besides the groups. */
struct setting { const struct rn_hardware *h; enum rn_precision precision; double batch, all_weights; };

/* Bytes of a group at the precision and batch. */
struct traffic { double inputs, results, weights; };

static struct traffic traffic_of(const struct rn_group *g, enum rn_precision precision, double batch)
{
    const double size = rn_precision_bytes(precision);
    return (struct traffic){ size * batch * (double)g->inputs, size * batch * (double)(g->added + g->outputs),
                             size * (double)g->weights };
}

static double joules_of(const struct rn_group *g, const struct setting *s, double bytes, double seconds)
{
    const struct rn_hardware *h = s->h;
    const double flops = s->batch * (double)g->flops, macs = s->batch * (double)g->macs;
    const double each = h->value[RN_HW_ENERGY_MAC + (int)s->precision];
    return macs * each + (flops - 2 * macs) * rn_hardware_value(h, RN_HW_ENERGY_OP, each / 2) +
           bytes * h->value[RN_HW_ENERGY_BYTE] + seconds * rn_hardware_value(h, RN_HW_IDLE, 0);
}

static struct rn_projected project_group(const struct rn_group *g, const struct setting *s)
{
    const struct rn_hardware *h = s->h;
    const struct traffic b = traffic_of(g, s->precision, s->batch);
    const double activations = b.inputs + b.results;
    const int results = level_for(h, RN_HW_LEVEL_RESULTS, RN_HW_RESULTS, activations);
    struct rn_projected p = { .launch = rn_hardware_value(h, RN_HW_LAUNCH, 0) };
    p.compute = s->batch * (double)g->flops /
                (h->value[RN_HW_PEAK + (int)s->precision] * rn_hardware_value(h, RN_HW_UTILISATION, 1));
    p.memory = b.inputs / bandwidth_for(h, activations) + b.weights / bandwidth_for(h, s->all_weights);
    if (h->known[results]) p.results = b.results / h->value[results];
    else p.memory += b.results / bandwidth_for(h, activations);
    p.seconds = RN_MAX(p.compute, p.memory) + p.results + p.launch +
                (1 - rn_hardware_value(h, RN_HW_OVERLAP, 1)) * RN_MIN(p.compute, p.memory);
    p.bound = p.compute >= p.memory + p.results ? RN_BOUND_COMPUTE : RN_BOUND_MEMORY;
    if (p.launch > RN_MAX(p.compute, p.memory + p.results)) p.bound = RN_BOUND_LAUNCH;
    p.joules = joules_of(g, s, activations + b.weights, p.seconds);
    return p;
}

/* The first of the keys that the file does not have; -1: all are there. */
static int missing(const struct rn_hardware *h, const int *key, int keys)
{
    for (int i = 0; i < keys; i++)
        if (!h->known[key[i]]) return key[i];
    return -1;
}

rn_status rn_project(struct rn_projection *p, const struct rn_groups *g, const struct rn_hardware *h,
                     enum rn_precision precision, int batch)
{
    const int time[] = { RN_HW_PEAK + (int)precision, RN_HW_BANDWIDTH };
    const int energy[] = { RN_HW_ENERGY_MAC + (int)precision, RN_HW_ENERGY_BYTE };
    struct setting s = { h, precision, batch, 0 };
    *p = (struct rn_projection){ .missing_seconds = missing(h, time, 2), .missing_joules = missing(h, energy, 2) };
    for (int i = 0; i < g->rows; i++) {
        const struct traffic b = traffic_of(&g->row[i], precision, batch);
        p->flops += batch * g->row[i].flops;
        p->bytes += b.inputs + b.results + b.weights;
        s.all_weights += b.weights;
    }
    if (p->missing_seconds >= 0) {
        p->missing_joules = p->missing_seconds;
        return RN_OK;
    }
    p->row = rn_alloc_array((size_t)g->rows, sizeof *p->row);
    if (!p->row) return RN_ENOMEM;
    for (p->rows = 0; p->rows < g->rows; p->rows++) {
        p->row[p->rows] = project_group(&g->row[p->rows], &s);
        p->seconds += p->row[p->rows].seconds;
        p->joules += p->row[p->rows].joules;
    }
    return RN_OK;
}

void rn_projection_free(struct rn_projection *p)
{
    rn_free(p->row);
    *p = (struct rn_projection){ .rows = 0 };
}

/* -- the seed's ---------------------------------------------------------------------------------- */

/* Tiles of a window; `op` is its convolution, whose output the seed takes for its input. */
static int64_t seed_tiles(const struct rn_hardware *h, const struct rn_op *op, int batch)
{
    if (h->known[RN_HW_SEED_WAVEFRONT]) return rn_seed_wavefronts(op, h->value[RN_HW_SEED_WAVEFRONT]);
    const int64_t extents = rn_seed_extents(op, batch, rn_hardware_value(h, RN_HW_SEED_BUFFERS, 1));
    return rn_seed_tiles(extents, rn_hardware_value(h, RN_HW_SEED_TILE, 1e18));
}

rn_status rn_project_seed(struct rn_projection *p, const struct rn_trace *t, const struct rn_hardware *h, int batch)
{
    static const int time[] = { RN_HW_SEED_PEAK, RN_HW_SEED_SCHEDULE };
    static const int energy[] = { RN_HW_SEED_ENERGY_FLOP, RN_HW_SEED_ENERGY_BYTE };
    struct rn_seed s;
    *p = (struct rn_projection){ .missing_seconds = missing(h, time, 2), .missing_joules = missing(h, energy, 2) };
    rn_status status = rn_seed_build(&s, t);
    if (status) return status;
    for (int i = 0; i < s.rows; i++) {
        const struct rn_seed_window *w = &s.row[i];
        const struct rn_op *op = &t->op[w->conv];
        const double overhead = rn_seed_overhead(seed_tiles(h, op, batch));
        const double flops = (double)batch * (double)w->flops;
        const double weights = 4.0 * op->conv.K * op->conv.K * op->conv.R * op->conv.S;
        const double bytes = weights + batch * ((double)w->bytes - weights);
        p->flops += batch * w->flops;
        p->bytes += bytes;
        p->seconds += flops / h->value[RN_HW_SEED_PEAK] * h->value[RN_HW_SEED_SCHEDULE] * overhead;
        p->joules += (flops * h->value[RN_HW_SEED_ENERGY_FLOP] + bytes * h->value[RN_HW_SEED_ENERGY_BYTE]) * overhead;
    }
    rn_seed_free(&s);
    return RN_OK;
}
