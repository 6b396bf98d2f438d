/* json.c - ./characterize --json: the keys are an interface, DESIGN's and more. */
#include "tools/characterize/validate.h"

#include <inttypes.h>

/* The operations that `flops` and `layers` name, in the order of a net. */
static const enum rn_op_kind shown[] = { RN_OP_CONV, RN_OP_LINEAR, RN_OP_BN, RN_OP_RELU, RN_OP_ADD, RN_OP_MAXPOOL,
                                         RN_OP_AVGPOOL, RN_OP_RESIZE, RN_OP_SOFTMAX };

static void add_int(struct rn_text *t, const char *key, int64_t x)
{
    rn_text_add(t, "\"%s\": %" PRId64, key, x);
}

static void add_bytes(struct rn_text *t, const char *key, size_t x, bool more)
{
    rn_text_add(t, "\"%s\": %zu%s", key, x, more ? ", " : "");
}

static void add_flops(struct rn_text *t, const struct rn_work_counts *w)
{
    for (size_t i = 0; i < RN_COUNT(shown); i++) {
        add_int(t, rn_op_kind_name(shown[i]), w->flops[shown[i]]);
        rn_text_add(t, ", ");
    }
    rn_text_add(t, "\"bias\": %" PRId64 ", \"total\": %" PRId64 "}", w->bias, w->all);
}

static void add_counts(struct rn_text *t, const struct characterize *c)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    rn_text_add(t, ",\n\"parameters\": %" PRId64 ", \"buffers\": %" PRId64 ", \"macs_conv_linear\": %" PRId64
                ", \"flops_conv_linear\": %" PRId64 ",\n\"flops\": {", c->counts.parameters, c->counts.buffers,
                w->macs, w->conv_linear);
    add_flops(t, w);
    rn_text_add(t, ",\n\"passes\": {");
    for (int i = RN_WORK_FORWARD; i < RN_WORKS; i++) {
        rn_text_add(t, "\"%s\": {\"macs\": %" PRId64 ", ", rn_work_name((enum rn_work)i), c->counts.work[i].macs);
        add_flops(t, &c->counts.work[i]);
        rn_text_add(t, ",\n  ");
    }
    rn_text_add(t, "\"optimiser\": {\"sgd\": %" PRId64 ", \"adamw\": %" PRId64 "}},\n\"layers\": {",
                RN_SGD_FLOPS * c->counts.parameters, RN_ADAMW_FLOPS * c->counts.parameters);
    for (size_t i = 0; i + 1 < RN_COUNT(shown); i++) { /* softmax is the loss's */
        rn_text_add(t, "%s", i ? ", " : "");
        add_int(t, rn_op_kind_name(shown[i]), c->counts.of_kind[shown[i]]);
    }
    rn_text_add(t, "}");
}

static void add_matches(struct rn_text *t, const struct rn_matches *m, const struct rn_pattern *p, int patterns,
                        bool saved)
{
    for (int i = 0; i < patterns; i++) {
        int64_t bytes;
        int count = rn_matches_of(m, i, &bytes);
        rn_text_add(t, "%s\"%s\": %" PRId64, i ? ", " : "", p[i].name, saved ? bytes : (int64_t)count);
    }
    rn_text_add(t, "}");
}

static void add_instances(struct rn_text *t, const struct rn_trace *trace, const struct rn_matches *m,
                          const struct rn_pattern *p)
{
    for (int i = 0; i < m->rows; i++) {
        rn_text_add(t, "%s\n  {\"pattern\": \"%s\", \"ops\": [", i ? "," : "", p[m->row[i].pattern].name);
        for (int k = 0; k < m->row[i].length; k++)
            rn_text_add(t, "%s\"%s\"", k ? ", " : "", trace->op[m->row[i].op[k]].name);
        rn_text_add(t, "], \"saved_bytes\": %" PRId64 "}", m->row[i].saved);
    }
    rn_text_add(t, "]");
}

/* Counts, bytes saved, and every instance, under three keys. */
static void add_found(struct rn_text *t, const char *const key[3], const struct rn_trace *trace,
                      const struct rn_matches *m, const struct rn_pattern *p, int patterns)
{
    rn_text_add(t, ",\n\"%s\": {", key[0]);
    add_matches(t, m, p, patterns, false);
    rn_text_add(t, ",\n\"%s\": {", key[1]);
    add_matches(t, m, p, patterns, true);
    rn_text_add(t, ",\n\"%s\": [", key[2]);
    add_instances(t, trace, m, p);
}

static void add_fusions(struct rn_text *t, const struct characterize *c)
{
    static const char *const fused[] = { "fusions", "fusions_saved_bytes", "fusion_instances" };
    static const char *const folded[] = { "fusions_folded", "fusions_folded_saved_bytes", "fusion_folded_instances" };
    static const char *const candidate[] = { "fusion_candidates", "fusion_candidates_saved_bytes",
                                             "fusion_candidate_instances" };
    static const char *const user[] = { "user_patterns", "user_patterns_saved_bytes", "user_instances" };
    int patterns;
    const struct rn_pattern *p = rn_patterns_fused(false, &patterns);
    add_found(t, fused, &c->trace, &c->fused, p, patterns);
    p = rn_patterns_fused(true, &patterns);
    add_found(t, folded, &c->folded, &c->folded_fused, p, patterns);
    p = rn_patterns_candidates(&patterns);
    add_found(t, candidate, &c->trace, &c->candidates, p, patterns);
    if (c->user.row) add_found(t, user, &c->trace, &c->user, c->patterns.row, c->patterns.rows);
}

static void add_plan(struct rn_text *t, const char *key, const struct rn_plan_bytes *p)
{
    rn_text_add(t, ", \"%s\": {", key);
    add_bytes(t, "values_bytes", p->values, true);
    add_bytes(t, "gradients_bytes", p->gradients, true);
    add_bytes(t, "pool_indices_bytes", p->indices, true);
    add_bytes(t, "packed_weights_bytes", p->packed, true);
    add_bytes(t, "workspace_bytes", p->work, true);
    add_bytes(t, "live_bytes", p->live, true);
    add_bytes(t, "block_bytes", p->block, false);
    rn_text_add(t, "}");
}

static void add_memory(struct rn_text *t, const struct characterize *c)
{
    const struct rn_memory *m = &c->memory;
    rn_text_add(t, ",\n\"memory\": {\"batch\": %d, \"backend\": \"%s\", \"numerics\": \"%s\", ", c->batch,
                c->device.ops->name, opt_text(c->o, "numerics"));
    add_bytes(t, "bytes_of_a_value", m->element, true);
    add_bytes(t, "input_bytes", m->input, true);
    add_bytes(t, "weights_bytes", m->weights, true);
    add_bytes(t, "buffers_bytes", m->buffers + m->counters, true);
    add_bytes(t, "activation_bytes_inference", m->inference.live, true);
    add_bytes(t, "activation_bytes_inference_without_reuse", m->inference.values + m->inference.indices, true);
    add_bytes(t, "activation_bytes_unfused", m->activations, true);
    add_bytes(t, "activation_bytes_training", m->training.live, true);
    add_bytes(t, "activation_bytes_training_without_reuse",
              m->training.values + m->training.gradients + m->training.indices, true);
    add_bytes(t, "gradients_bytes", m->gradients, true);
    add_bytes(t, "optimiser_sgd_bytes", m->sgd, true);
    add_bytes(t, "optimiser_adamw_bytes", m->adamw, true);
    add_bytes(t, "workspace_bytes_inference", m->inference.work_most, true);
    add_bytes(t, "arena_bytes_inference", m->arena_inference, true);
    add_bytes(t, "arena_bytes_folded", m->arena_folded, true);
    add_bytes(t, "arena_bytes_training", m->arena_training, true);
    rn_text_add(t, "\"seed_bytes\": %" PRId64, c->seed.bytes);
    add_plan(t, "plan_inference", &m->inference);
    add_plan(t, "plan_training", &m->training);
    rn_text_add(t, "}");
}

/* A number, or null and the key of the hardware file that it wants. */
static void add_known(struct rn_text *t, const char *key, double x, int missing)
{
    rn_text_add(t, ", \"%s\": ", key);
    if (missing < 0) rn_text_number(t, x);
    else rn_text_add(t, "null, \"%s_needs\": \"%s\"", key, rn_hardware_key_name(missing));
}

/* The keys that the file lacks and our model does without, at what it takes for them. */
static void add_assumed(struct rn_text *t, const struct characterize *c)
{
    int assumed = 0;
    rn_text_add(t, ", \"assumed\": {");
    for (int i = 0; c->projection.row && i < CHARACTERIZE_ASSUMED; i++)
        if (!c->hardware.known[characterize_assumed[i].key])
            rn_text_add(t, "%s\"%s\": %d", assumed++ ? ", " : "", rn_hardware_key_name(characterize_assumed[i].key),
                        characterize_assumed[i].value);
    rn_text_add(t, "}");
}

static void add_projection(struct rn_text *t, const struct characterize *c)
{
    const struct rn_projection *p = &c->projection;
    const double speedup = characterize_speedup(c, p);
    rn_text_add(t, ",\n\"projection\": {\"hardware\": ");
    rn_text_json(t, c->hardware.name);
    rn_text_add(t, ", \"model\": \"%s\", \"precision\": \"%s\", \"batch\": %d", opt_text(c->o, "model"),
                rn_precision_name(c->precision), c->batch);
    add_known(t, "latency_ms", 1e3 * p->seconds, p->missing_seconds);
    add_known(t, "energy_j", p->joules, p->missing_joules);
    add_known(t, "speedup_vs_cpu", speedup, p->missing_seconds);
    add_known(t, "images_per_second", p->seconds > 0 ? c->batch / p->seconds : 0, p->missing_seconds);
    rn_text_add(t, ", \"flops\": %" PRId64 ", \"bytes\": ", p->flops);
    rn_text_number(t, p->bytes);
    add_assumed(t, c);
    rn_text_add(t, "}");
}

static void add_convention(struct rn_text *t, const struct rn_convention *v)
{
    rn_text_add(t, ",\n\"convention\": {\"name\": \"%s\", \"tool\": \"%s\", \"unit\": ", v->name, v->tool);
    rn_text_json(t, v->unit);
    rn_text_add(t, ", \"total\": %" PRId64 ", \"left_out\": \"%s\", \"lines\": [", v->total, v->left_out);
    for (int i = 0; i < v->lines; i++) {
        rn_text_add(t, "%s\n  {\"what\": ", i ? "," : "");
        rn_text_json(t, v->line[i].what);
        rn_text_add(t, ", \"rule\": ");
        rn_text_json(t, v->line[i].rule);
        rn_text_add(t, ", \"count\": %" PRId64 "}", v->line[i].count);
    }
    rn_text_add(t, "]}");
}

static void add_layer(struct rn_text *t, const struct characterize *c, const struct rn_op *op)
{
    const struct rn_trace *trace = &c->trace;
    char shape[64];
    rn_text_add(t, "{\"name\": \"%s\", \"kind\": \"%s\", \"shape\": %s, ", op->name, rn_op_kind_name(op->kind),
                characterize_shape(shape, op));
    add_int(t, "parameters", op->parameters);
    rn_text_add(t, ", \"trainable\": %s, \"buffers\": %" PRId64, op->parameters ? "true" : "false", op->buffers);
    for (int work = 0; work < RN_WORKS; work++) {
        const char *pass = rn_work_name((enum rn_work)work);
        rn_text_add(t, ", \"macs_%s\": %" PRId64 ", \"flops_%s\": %" PRId64, pass,
                    rn_op_macs(trace, op, (enum rn_work)work), pass, rn_op_all_flops(trace, op, (enum rn_work)work));
    }
    rn_text_add(t, ", \"flops_sgd\": %" PRId64 ", \"flops_adamw\": %" PRId64 ", \"output_bytes\": %zu}",
                RN_SGD_FLOPS * op->parameters, RN_ADAMW_FLOPS * op->parameters,
                rn_output_bytes(op, c->memory.element));
}

static void add_group(struct rn_text *t, const struct characterize *c, int i)
{
    const struct rn_group *g = &c->groups.row[i];
    rn_text_add(t, "{\"ops\": [");
    for (int k = 0; k < g->ops; k++) rn_text_add(t, "%s\"%s\"", k ? ", " : "", c->trace.op[g->op[k]].name);
    rn_text_add(t, "], \"fusion\": \"%s\", \"macs\": %" PRId64 ", \"flops\": %" PRId64,
                g->fusion ? g->fusion : rn_op_kind_name(c->trace.op[g->op[0]].kind), g->macs, g->flops);
    if (c->projection.row) {
        const struct rn_projected *p = &c->projection.row[i];
        rn_text_add(t, ", \"bound\": \"%s\"", rn_bound_name(p->bound));
        add_known(t, "latency_ms", 1e3 * p->seconds, -1);
        add_known(t, "energy_j", p->joules, c->projection.missing_joules);
    }
    rn_text_add(t, "}");
}

rn_status characterize_add_json(struct rn_text *t, const struct characterize *c)
{
    rn_text_add(t, "{\"arch\": \"%s\", \"stem\": \"%s\", \"image_size\": %d, \"num_classes\": %d",
                c->config.arch.name, rn_stem_name(c->config.arch.stem), c->config.image_size, c->config.arch.classes);
    add_counts(t, c);
    add_fusions(t, c);
    add_memory(t, c);
    characterize_add_tiles_json(t, c);
    add_projection(t, c);
    if (c->convention.name) add_convention(t, &c->convention);
    if (c->validation) characterize_add_validation_json(t, c);
    rn_status status = opt_switch(c->o, "roadmap") ? characterize_add_roadmap_json(t, c) : RN_OK;
    rn_text_add(t, ",\n\"per_layer\": [");
    for (int i = 0; i < c->trace.ops; i++) {
        rn_text_add(t, "%s\n  ", i ? "," : "");
        add_layer(t, c, &c->trace.op[i]);
    }
    rn_text_add(t, "],\n\"per_fused_op\": [");
    for (int i = 0; i < c->groups.rows; i++) {
        rn_text_add(t, "%s\n  ", i ? "," : "");
        add_group(t, c, i);
    }
    rn_text_add(t, "]}\n");
    return status;
}
