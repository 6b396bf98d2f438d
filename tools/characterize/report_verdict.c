/* report_verdict.c - what follows from the numbers: insights, ticks, conclusions; each computed where it is written. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

/* -- insights -------------------------------------------------------------------------------------- */

/* The machine with the least product of time and energy: the balance of both. */
static double delay_energy(const struct characterize_machine *m) { return m->ms * m->joules; }

static void suitability(struct page *p, const struct characterize_machines *m)
{
    static const struct { const char *what; double (*of)(const struct characterize_machine *m); } row[] = {
        { "Throughput", characterize_machine_ms }, { "Energy", characterize_machine_joules },
        { "Balance, time times energy", delay_energy },
    };
    char ms[RN_NUMBER_CHARS], j[RN_NUMBER_CHARS];
    page_heading(p, "Best of the four machines, by our model");
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        const struct characterize_machine *best = &m->row[characterize_least(m, row[i].of)];
        page_bullet(p, "%s: %s, %s ms, %s J", row[i].what, best->hardware.name, rn_fixed_text(ms, best->ms, 3),
                    rn_fixed_text(j, best->joules, 3));
    }
}

/* The smallest of the batch sizes at which an image takes less than 1.1 times what it takes in the largest. */
static int worthwhile_batch(const struct rn_hardware *h, const struct characterize *c)
{
    static const int batch[] = { 1, 8, 16, 32, 64 };
    double each[RN_COUNT(batch)];
    for (size_t i = 0; i < RN_COUNT(batch); i++) {
        struct rn_projection p;
        if (rn_project(&p, &c->groups, h, RN_FP32, batch[i])) return 0;
        each[i] = p.seconds / batch[i];
        rn_projection_free(&p);
    }
    size_t i = 0;
    while (each[i] > 1.1 * each[RN_COUNT(batch) - 1]) i++;
    return batch[i];
}

static void when(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    page_heading(p, "When each is at its best");
    for (int i = 0; i < CHARACTERIZE_MACHINES; i++) {
        const int batch = worthwhile_batch(&m->row[i].hardware, c);
        if (batch == 1)
            page_bullet(p, "%s: from batch 1 on, larger ones gain less than 10 %%", m->row[i].hardware.name);
        else if (batch) page_bullet(p, "%s: from batch %d on; smaller ones leave more than 10 %% of the speed of "
                                    "batch 64 to moving weights", m->row[i].hardware.name, batch);
    }
    if (!characterize_is_seeds(c)) return;
    page_note(p, "Nothing here supports what the report of 2025-10-17 says beyond its numbers, of real-time video "
              "or data centres: those are no figures of the net.");
}

/* Percent of the FLOPs of an inference. */
static double share(const struct characterize *c, enum rn_op_kind kind)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    return 100.0 * (double)w->flops[kind] / (double)w->all;
}

void characterize_insights(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    char a[RN_NUMBER_CHARS];
    page_section(p, "Insights");
    page_bullet(p, "Shapes decide: %d of the %d operations of the graph are convolutions, with %s %% of the FLOPs.",
                c->counts.of_kind[RN_OP_CONV], c->trace.ops - 1,
                rn_fixed_text(a, share(c, RN_OP_CONV), 2));
    page_bullet(p, "A graph is not its list of modules: %d additions are in none of the %d windows of three modules.",
                c->counts.of_kind[RN_OP_ADD], c->seed.rows);
    page_bullet(p, "Batch norm is %s %% of the FLOPs%s.", rn_fixed_text(a, share(c, RN_OP_BN), 2),
                characterize_is_seeds(c) ? ", of which the report of 2025-10-17 says ~5 %" : "");
    suitability(p, m);
    when(p, c, m);
}

/* -- ticks ----------------------------------------------------------------------------------------- */

static void tick(struct page *p, bool holds, const char *what)
{
    page_bullet(p, "%s %s", holds ? "\xe2\x9c\x93" : "\xe2\x9c\x97", what);
}

/* Every operation of the kind is in a match. */
static bool all_matched(const struct characterize *c, enum rn_op_kind kind)
{
    int found = 0;
    for (int i = 0; i < c->fused.rows; i++)
        for (int k = 0; k < c->fused.row[i].length; k++) found += c->trace.op[c->fused.row[i].op[k]].kind == kind;
    return found == c->counts.of_kind[kind];
}

/* Whether the machines are in this order of what `of` gives, the first with the least. */
static bool ordered(const struct characterize_machines *m, double (*of)(const struct characterize_machine *m),
                    const int order[CHARACTERIZE_MACHINES])
{
    for (int i = 1; i < CHARACTERIZE_MACHINES; i++)
        if (of(&m->row[order[i - 1]]) >= of(&m->row[order[i]])) return false;
    return true;
}

static void machine_ticks(struct page *p, const struct characterize_machines *m)
{
    static const int speed[] = { 2, 1, 3, 0 }, energy[] = { 3, 2, 1, 0 };
    tick(p, ordered(m, characterize_machine_ms, speed), "by our model, too, from fast to slow: TPU, GPU, KPU, CPU");
    tick(p, ordered(m, characterize_machine_joules, energy),
         "by our model, too, from thrifty to not: KPU, TPU, GPU, CPU");
}

static bool its_parameters(const struct characterize *c) { return c->counts.parameters == 11689512; }

static bool its_layers(const struct characterize *c)
{
    static const struct { enum rn_op_kind kind; int count; } said[] = {
        { RN_OP_CONV, 20 }, { RN_OP_BN, 20 }, { RN_OP_RELU, 17 }, { RN_OP_MAXPOOL, 1 }, { RN_OP_AVGPOOL, 1 },
        { RN_OP_LINEAR, 1 },
    };
    for (size_t i = 0; i < RN_COUNT(said); i++)
        if (c->counts.of_kind[said[i].kind] != said[i].count) return false;
    return true;
}

static void seeds_ticks(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    char a[RN_NUMBER_CHARS];
    page_heading(p, "Of the report of 2025-10-17");
    tick(p, c->seed.flops == 3786155008, "its published source gives its 3,786,155,008 FLOPs");
    tick(p, !strcmp(rn_fixed_text(a, 1e-6 * (double)c->seed.bytes, 2), "54.95"), "and its 54.95 MB, of 10^6 bytes");
    tick(p, m->met == CHARACTERIZE_MACHINES, "and its latencies, energies and speedups, to the digits");
    tick(p, c->seed.rows == c->fused.rows, "its 17 windows are the fusions");
    tick(p, its_parameters(c), "its parameters are right");
    tick(p, its_layers(c), "its counts of layers are right");
    tick(p, c->seed.flops == c->counts.work[RN_WORK_INFERENCE].conv_linear, "its FLOPs are right");
}

void characterize_checklist(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    const struct rn_work_counts *w = &c->counts.work[RN_WORK_INFERENCE];
    page_section(p, "Checklist");
    page_note(p, "Each tick is computed while this page is written.");
    tick(p, all_matched(c, RN_OP_CONV), "every convolution is in a fusion");
    tick(p, all_matched(c, RN_OP_BN), "every batch norm is in a fusion");
    tick(p, all_matched(c, RN_OP_ADD), "every addition is in a fusion");
    tick(p, c->trace.graph.macs == w->macs, "the sum over the layers is the graph's own count of MACs");
    tick(p, (int64_t)c->trace.graph.trainable == c->counts.parameters, "the layers' parameters are all of the net's");
    tick(p, c->memory.inference.live <= c->memory.inference.block &&
         c->memory.inference.block <= c->memory.arena_inference,
         "what lives at once fits the plan's block, and that the arena");
    tick(p, characterize_small_share(c) < 0.5,
         "batch norm, ReLU and additions are less than half a percent of the FLOPs");
    machine_ticks(p, m);
    if (characterize_is_seeds(c)) seeds_ticks(p, c, m);
}

/* -- conclusion ------------------------------------------------------------------------------------ */

/* The machines for which its model takes less time than its FLOPs at its peak. */
static int too_fast(const struct characterize *c, const struct characterize_machines *m)
{
    int count = 0;
    for (int i = 0; i < CHARACTERIZE_MACHINES; i++)
        count += 1e-3 * m->row[i].seed_ms * m->row[i].hardware.value[RN_HW_SEED_PEAK] < 0.999 * (double)c->seed.flops;
    return count;
}

void characterize_conclusion(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    const struct characterize_machine *fast = &m->row[characterize_least(m, characterize_machine_ms)];
    const struct characterize_validation *v = c->validation;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS];
    page_section(p, "Conclusion");
    page_bullet(p, "%s is %s million multiply-accumulates, %s parameters, %d fused operations.", c->config.arch.name,
                rn_fixed_text(a, 1e-6 * (double)c->counts.work[0].macs, 2),
                characterize_grouped(b, c->counts.parameters), c->groups.rows);
    page_bullet(p, "Of the four assumed machines %s is projected to be the fastest, with %s ms; this is a "
                "projection from assumptions, not a measurement.", fast->hardware.name, rn_fixed_text(a, fast->ms, 3));
    if (v)
        page_bullet(p, "On this machine it takes %s ms for %d image%s, and our model says %s ms: %s %% off.",
                    rn_fixed_text(a, 1e3 * v->seconds, 3), c->batch, c->batch == 1 ? "" : "s",
                    rn_fixed_text(b, 1e3 * c->projection.seconds, 3),
                    rn_fixed_text(d, 100 * (c->projection.seconds / v->seconds - 1), 1));
    if (!characterize_is_seeds(c)) return;
    page_bullet(p, "The report of 2025-10-17 calls itself fully validated and accurate: its parameters are %s, its "
                "counts of layers %s; its FLOPs are %s %% too many, %d of its %d fusions are none, and its times "
                "are below what its own peaks allow on %d of %d machines.", its_parameters(c) ? "right" : "wrong",
                its_layers(c) ? "right" : "wrong",
                rn_fixed_text(a, 100.0 * ((double)c->seed.flops / (double)c->counts.work[0].conv_linear - 1), 2),
                c->seed.rows - rn_matches_of(&c->fused, 1, NULL), c->seed.rows, too_fast(c, m),
                CHARACTERIZE_MACHINES);
}
