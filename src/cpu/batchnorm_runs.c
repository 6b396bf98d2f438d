/*
 * batchnorm_runs.c - the sums of batch norm: runs of positions, then their tree (A11, A17).
 *
 * A run is one chain, walked with its channels in vectors; runs and groups then meet in the tree,
 * channels in parallel.
 */
#include "cpu/batchnorm.h"

#define RUN 128     /* A17: positions in one chain */
#define GRAIN 16384 /* elements: a piece takes longer than handing it out */

static size_t run_bytes(const struct rn_bn_runs *r)
{
    return rn_round_up((size_t)r->count * r->padded * sizeof(double), 64);
}

struct rn_bn_runs rn_bn_runs(const struct rn_bn_shape *s, void *workspace)
{
    int64_t map = (int64_t)s->H * s->W;
    struct rn_bn_runs r = { .positions = s->N * map, .length = rn_group_images(map) * map,
                            .C = (size_t)s->C, .padded = rn_round_up((size_t)s->C, RN_PAD) };
    r.per_group = (r.length + RUN - 1) / RUN;
    r.groups = (r.positions + r.length - 1) / r.length;
    r.count = r.groups * r.per_group;
    r.bytes = 2 * run_bytes(&r);
    if (workspace) {
        r.s = workspace;
        r.q = r.s + run_bytes(&r) / sizeof(double);
    }
    return r;
}

/* Run `run` = 0 ... count-1 has `rows` positions from `begin` on. */
static int64_t run_begin(const struct rn_bn_runs *r, int64_t run)
{
    int64_t begin = run / r->per_group * r->length + run % r->per_group * RUN;
    return RN_MIN(begin, r->positions);
}

static size_t run_rows(const struct rn_bn_runs *r, int64_t run)
{
    return (size_t)(run_begin(r, run + 1) - run_begin(r, run));
}

struct job {
    const struct rn_cpu *cpu;
    const struct rn_bn_runs *runs;
    const void *g, *x;
    const struct rn_bn_mask *mask;
};

/* Runs that are worth a task. */
static int64_t grain(const struct rn_bn_runs *r)
{
    return RN_MAX(GRAIN / (RN_MIN(r->length, RUN) * (int64_t)r->C), 1);
}

/* Where the sums of a run are to stand, all +0. */
static void clear_sums(const struct rn_bn_runs *r, int64_t run, double **s, double **q)
{
    *s = r->s + (size_t)run * r->padded;
    *q = r->q + (size_t)run * r->padded;
    memset(*s, 0, r->padded * sizeof **s);
    memset(*q, 0, r->padded * sizeof **q);
}

static void forward_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    const struct rn_bn_runs *r = j->runs;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        double *s, *q;
        clear_sums(r, i, &s, &q);
        const void *x = rn_element(j->cpu, j->x, (size_t)run_begin(r, i) * r->C);
        j->cpu->tensor->bn_sums(s, q, x, run_rows(r, i), r->C);
    }
}

void rn_bn_sums(const struct rn_cpu *cpu, const struct rn_bn_runs *r, const void *x)
{
    struct job j = { .cpu = cpu, .runs = r, .x = x };
    rn_parallel_range(cpu->threads, r->count, grain(r), forward_range, &j);
}

static void backward_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    const struct rn_bn_runs *r = j->runs;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        size_t at = (size_t)run_begin(r, i) * r->C;
        struct rn_bn_mask mask = { rn_element(j->cpu, j->mask->y, at), j->mask->a, j->mask->b };
        double *s, *q;
        clear_sums(r, i, &s, &q);
        j->cpu->tensor->bn_backward_sums(s, q, rn_element(j->cpu, j->g, at), rn_element(j->cpu, j->x, at),
                                         &mask, run_rows(r, i), r->C);
    }
}

void rn_bn_backward_sums(const struct rn_cpu *cpu, const struct rn_bn_runs *r, const void *g,
                         const void *x, const struct rn_bn_mask *mask)
{
    struct job j = { .cpu = cpu, .runs = r, .g = g, .x = x, .mask = mask };
    rn_parallel_range(cpu->threads, r->count, grain(r), backward_range, &j);
}

/* The groups by themselves, then all of them; channels begin ... end-1. */
static void tree_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    const struct rn_bn_runs *r = j->runs;
    size_t group = (size_t)r->per_group * r->padded, n = (size_t)(end - begin);
    double *const sums[] = { r->s + begin, r->q + begin };
    (void)worker;
    for (int i = 0; i < 2; i++) {
        for (int64_t g = 0; g < r->groups; g++)
            j->cpu->kernels->bn_tree(sums[i] + (size_t)g * group, r->per_group, r->padded, n);
        j->cpu->kernels->bn_tree(sums[i], r->groups, group, n);
    }
}

void rn_bn_tree(const struct rn_cpu *cpu, const struct rn_bn_runs *r)
{
    struct job j = { .cpu = cpu, .runs = r };
    int threads = (size_t)r->count * r->padded < GRAIN ? 1 : cpu->threads;
    rn_parallel_range(threads, (int64_t)r->padded, RN_PAD, tree_range, &j);
}
