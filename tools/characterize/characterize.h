/* characterize.h - what ./characterize has found out about a net, and the forms in which it says so. */
#ifndef RN_TOOLS_CHARACTERIZE_H
#define RN_TOOLS_CHARACTERIZE_H

#include "analyze/convention.h"
#include "analyze/memory.h"
#include "analyze/project.h"
#include "analyze/seed.h"
#include "analyze/tiles.h"
#include "base/text.h"
#include "tools/cli/options.h"

extern const struct opt characterize_rows[];
extern const size_t characterize_rows_count;

struct characterize {
    const struct opt_set *o;
    struct rn_net_config config;
    struct tool_device device;
    struct rn_trace trace, folded;
    struct rn_counts counts;
    struct rn_memory memory;
    struct rn_groups groups;
    struct rn_matches fused, folded_fused, candidates, user; /* user: rows NULL without --patterns */
    struct rn_patterns patterns;
    struct rn_seed seed;
    struct rn_hardware hardware, cpu;
    struct rn_projection projection, on_cpu; /* by --model; on_cpu: of the file cpu.conf, what speedup is over */
    struct rn_convention convention;         /* name NULL without --convention */
    const struct characterize_validation *validation; /* NULL without --validate */
    int batch;
    enum rn_precision precision;
    enum rn_tile_model tiles;
};

rn_status characterize_build(struct characterize *c, const struct opt_set *o);
void characterize_free(struct characterize *c);

/* --hardware NAME of tools/hw, or a path (with a / or ending in .conf).  RN_EUSAGE with the nearest name. */
rn_status characterize_hardware(struct rn_hardware *h, const char *name);
/* The names, sorted; `names` has room for `max` of them. */
#define CHARACTERIZE_NAME 64
size_t characterize_hardware_names(char names[][CHARACTERIZE_NAME], size_t max);
/* The projection of this net on h by the model in force. */
rn_status characterize_project(struct rn_projection *p, const struct characterize *c, const struct rn_hardware *h,
                               enum rn_precision precision, int batch);
/* This net's operations against the memories of h, at the precision in force. */
struct rn_tile_net characterize_tile_net(const struct characterize *c, const struct rn_hardware *h);
/* What our model takes for keys that a file may lack: the least time. */
#define CHARACTERIZE_ASSUMED 2
extern const struct characterize_assumed { int key, value; } characterize_assumed[CHARACTERIZE_ASSUMED];
/* Seconds over seconds; 0 where one of them is not known. */
double characterize_speedup(const struct characterize *c, const struct rn_projection *p);

/* -- what is written ----------------------------------------------------------------------------- */

rn_status characterize_add_json(struct rn_text *t, const struct characterize *c); /* RN_ENOMEM */
void characterize_add_text(struct rn_text *t, const struct characterize *c);
void characterize_add_convention(struct rn_text *t, const struct characterize *c);
void characterize_add_tiles(struct rn_text *t, const struct characterize *c);
void characterize_add_tiles_json(struct rn_text *t, const struct characterize *c);
/* What either rule makes of that memory, and why the other does not; from the numbers. */
void characterize_tiles_explain(struct rn_text *t, const struct rn_tile_net *n, const struct rn_tile_level *level);
/* The phases of --roadmap on the machine in force.  RN_ENOMEM. */
rn_status characterize_add_roadmap(struct rn_text *t, const struct characterize *c);
rn_status characterize_add_roadmap_json(struct rn_text *t, const struct characterize *c);
void characterize_add_graph(struct rn_text *t, const struct characterize *c);
void characterize_add_dot(struct rn_text *t, const struct characterize *c);
rn_status characterize_plot(const char *path, const struct characterize *c); /* RN_EUSAGE: nothing to plot */
rn_status characterize_draw(const char *path, const struct characterize *c);
/* report.md, report.html and report.json in the folder; roofline.svg and graph.svg where cairo is. */
rn_status characterize_report(const char *folder, const struct characterize *c);

/* 1,814,073,344 */
const char *characterize_grouped(char out[RN_NUMBER_CHARS], int64_t x);
/* [1, 64, 112, 112]; of what has no map, [1, 1000]. */
const char *characterize_shape(char out[64], const struct rn_op *op);
/* conv2d 7x7 s2 3->64 g32; what an operation does, in few words. */
const char *characterize_describe(char out[64], const struct rn_op *op);

#endif /* RN_TOOLS_CHARACTERIZE_H */
