/*
 * project.h - latency and energy of an inference on a machine, as a hardware file describes it: a projection, never a
 * measurement.
 *
 * Ours: a net runs as its fused operations one after the other.  Each takes the longer of
 *     operations / (peak * utilisation)          at the precision, everything counted by counts.h, and
 *     inputs / bandwidth + results / bandwidth + weights / bandwidth
 * with the part of the shorter that does not hide behind the longer (key overlap), and the launch overhead on
 * top.  An activation is read and written at the innermost level that holds all activations of the operation and
 * says its bandwidth, weights come from the innermost that holds those of the whole net; main memory holds
 * everything.  Results are the outputs and what is added to them.  Where a file says how fast those are
 * (result_bandwidth...), they take that long on top: a core adds and stores a tile when its last product is there,
 * and begins the next when that is done.
 * Energy: MACs, other operations, bytes at main memory's price, idle power over the latency.
 * The seed's: see seed.h; FLOPs of its windows / seed_peak * seed_schedule, and FLOPs and bytes at two prices.
 */
#ifndef RN_PROJECT_H
#define RN_PROJECT_H

#include "analyze/hardware.h"
#include "analyze/patterns.h"

/* Operations that run as one: those of a match, or a single one. */
struct rn_group {
    int op[RN_PATTERN_LENGTH], ops;
    const char *fusion;              /* the pattern's name; NULL: a single operation */
    int64_t macs, flops;             /* of one image, inference */
    int64_t inputs, added, outputs, weights; /* values; all but weights of one image.  added: what an addition reads
                                                beside the sums of the convolution before it */
};
struct rn_groups { struct rn_group *row; int rows; };
/* Values that `batch` images' activations and the weights are together. */
static inline double rn_group_values(const struct rn_group *g, int batch)
{
    return batch * (double)(g->inputs + g->added + g->outputs) + (double)g->weights;
}

/* The whole net as its executor fuses it, in the order of the last operations; the input and flatten are no work.
 * RN_ENOMEM. */
rn_status rn_groups_build(struct rn_groups *g, const struct rn_trace *t);
void rn_groups_free(struct rn_groups *g);

enum rn_bound { RN_BOUND_COMPUTE, RN_BOUND_MEMORY, RN_BOUND_LAUNCH };
const char *rn_bound_name(enum rn_bound bound);

/* Seconds but joules.  results: of what is moved when nothing is computed. */
struct rn_projected { double compute, memory, results, launch, seconds, joules; enum rn_bound bound; };
struct rn_projection {
    double seconds, joules;           /* of one pass with `batch` images */
    int missing_seconds, missing_joules; /* the first key without which there is none; -1: there is one */
    int64_t flops;
    double bytes;
    struct rn_projected *row;         /* [groups], ours only; NULL where seconds are missing */
    int rows;
};

rn_status rn_project(struct rn_projection *p, const struct rn_groups *g, const struct rn_hardware *h,
                     enum rn_precision precision, int batch);
rn_status rn_project_seed(struct rn_projection *p, const struct rn_trace *t, const struct rn_hardware *h, int batch);
void rn_projection_free(struct rn_projection *p);

#endif /* RN_PROJECT_H */
