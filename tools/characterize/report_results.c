/* report_results.c - figures beside those of the report of 2025-10-17, and its four machines under both models. */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

/* "same", or why it is not. */
static const char *verdict(bool same, const char *why) { return same ? "same" : why; }

static void metrics(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "metric", 34, true }, { "here", 18, false },
                                               { "report of 2025-10-17", 22, false }, { "verdict", 60, true } };
    const struct rn_memory *m = &c->memory;
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS], e[RN_NUMBER_CHARS], tiles[16];
    char size[RN_NUMBER_CHARS], millions[RN_NUMBER_CHARS];
    const char *none = "";
    const bool seeds = characterize_is_seeds(c);
    const int64_t flops = c->counts.work[0].conv_linear;
    const int64_t memory = (int64_t)(m->input / (size_t)c->batch + m->weights + m->activations / (size_t)c->batch);
    page_table(p, head, seeds ? 4 : 2);
    snprintf(tiles, sizeof tiles, "%d", c->groups.rows);
    rn_fixed_text(size, 1e-6 * (double)memory, 2);
    characterize_millions(millions, c->counts.parameters);
    const char *const row[][4] = {
        { "FLOPs, convolution and linear", characterize_grouped(a, flops), "3,786,155,008",
          verdict(flops == 3786155008, "corrected because shapes, projections and fc were wrong") },
        { "FLOPs, all", characterize_grouped(e, c->counts.work[0].all), none, none },
        { "input + weights + activations, bytes", characterize_grouped(b, memory), "54.95 MB",
          verdict(!strcmp(size, "54.95"), "corrected because its parts have the wrong shapes; MB there is 10^6") },
        { "fused operations", tiles, "17 (\"tiles\")",
          verdict(c->groups.rows == 17, "corrected because windows are no fusions") },
        { "parameters", characterize_grouped(d, c->counts.parameters), "11.69M",
          verdict(!strcmp(millions, "11.69"), "corrected because it is not the net") },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) page_row(p, row[i], seeds ? 4 : 2);
}

static void memory_row(struct page *p, const char *what, size_t bytes)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    const char *const row[] = { what, characterize_grouped(a, (int64_t)bytes),
                                rn_fixed_text(b, (double)bytes / RN_MB, 2) };
    page_row(p, row, RN_COUNT(row));
}

static void memory(struct page *p, const struct characterize *c)
{
    static const struct report_head head[] = { { "memory", 44, true }, { "bytes", 18, false }, { "MB", 10, false } };
    const struct rn_memory *m = &c->memory;
    char title[120];
    snprintf(title, sizeof title, "Memory, batch %d, %s, %zu bytes a value of a tensor; an MB is 2^20 bytes", c->batch,
             opt_text(c->o, "numerics"), m->element);
    page_heading(p, title);
    page_table(p, head, RN_COUNT(head));
    memory_row(p, "input", m->input);
    memory_row(p, "weights", m->weights);
    memory_row(p, "activations of an inference, most at once", m->inference.live);
    memory_row(p, "the same without reuse", m->inference.values + m->inference.indices);
    memory_row(p, "the same without reuse or fusion", m->activations);
    memory_row(p, "activations of a training step, most at once", m->training.live);
    memory_row(p, "weight gradients", m->gradients);
    memory_row(p, "optimiser: SGD", m->sgd);
    memory_row(p, "optimiser: AdamW", m->adamw);
    memory_row(p, "the net's one block, inference", m->arena_inference);
    memory_row(p, "the net's one block, training", m->arena_training);
}

/* -- machines -------------------------------------------------------------------------------------- */

/* What the report has of its four machines: name, ms, J, times, as printed there. */
static const struct { const char *file, *ms, *joules, *times; } seeds_machine[CHARACTERIZE_MACHINES] = {
    { "cpu", "37.86", "3.792", "1.0" }, { "gpu", "0.23", "1.895", "166.7" }, { "tpu", "0.05", "0.758", "750.0" },
    { "kpu", "2.27", "0.379", "16.7" },
};

static rn_status fill_machine(struct characterize_machine *m, const struct characterize *c)
{
    struct rn_projection seed, ours;
    rn_status status = characterize_hardware(&m->hardware, m->file);
    if (!status) status = rn_project_seed(&seed, &c->trace, &m->hardware, 1);
    if (status) return status;
    status = rn_project(&ours, &c->groups, &m->hardware, RN_FP32, 1);
    m->seed_ms = 1e3 * seed.seconds;
    m->seed_joules = seed.joules;
    m->ms = 1e3 * ours.seconds;
    m->joules = ours.joules;
    rn_projection_free(&ours);
    rn_projection_free(&seed);
    return status;
}

rn_status characterize_machines(struct characterize_machines *m, const struct characterize *c)
{
    char ms[RN_NUMBER_CHARS], j[RN_NUMBER_CHARS], times[RN_NUMBER_CHARS];
    *m = (struct characterize_machines){ .met = 0 };
    for (int i = 0; i < CHARACTERIZE_MACHINES; i++) {
        struct characterize_machine *r = &m->row[i];
        r->file = seeds_machine[i].file;
        rn_status status = fill_machine(r, c);
        if (status) return status;
        r->met = !strcmp(rn_fixed_text(ms, r->seed_ms, 2), seeds_machine[i].ms) &&
            !strcmp(rn_fixed_text(j, r->seed_joules, 3), seeds_machine[i].joules) &&
            !strcmp(rn_fixed_text(times, m->row[0].seed_ms / r->seed_ms, 1), seeds_machine[i].times);
        m->met += r->met;
    }
    return RN_OK;
}

double characterize_machine_ms(const struct characterize_machine *m) { return m->ms; }
double characterize_machine_joules(const struct characterize_machine *m) { return m->joules; }

int characterize_least(const struct characterize_machines *m, double (*of)(const struct characterize_machine *m))
{
    int least = 0;
    for (int i = 1; i < CHARACTERIZE_MACHINES; i++)
        if (of(&m->row[i]) < of(&m->row[least])) least = i;
    return least;
}

static void machine_row(struct page *p, const struct characterize_machines *m, int i)
{
    const struct characterize_machine *r = &m->row[i], *cpu = &m->row[0];
    char ms[RN_NUMBER_CHARS], j[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS], e[RN_NUMBER_CHARS];
    char oms[RN_NUMBER_CHARS], oj[RN_NUMBER_CHARS], ox[RN_NUMBER_CHARS], oe[RN_NUMBER_CHARS];
    const char *const row[] = {
        r->hardware.name, rn_fixed_text(ms, r->seed_ms, 2), rn_fixed_text(j, r->seed_joules, 3),
        rn_fixed_text(x, cpu->seed_ms / r->seed_ms, 1), rn_fixed_text(e, cpu->seed_joules / r->seed_joules, 1),
        rn_fixed_text(oms, r->ms, 3), rn_fixed_text(oj, r->joules, 3), rn_fixed_text(ox, cpu->ms / r->ms, 1),
        rn_fixed_text(oe, cpu->joules / r->joules, 1)
    };
    page_row(p, row, RN_COUNT(row));
}

/* Where the model of that report runs faster than the peak that it assumes, and what it multiplies: its schedule, and
 * the overhead of tiles, which its text says to be in its times. */
static void impossible(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS], e[RN_NUMBER_CHARS];
    for (int i = 0; i < CHARACTERIZE_MACHINES; i++) {
        const struct rn_hardware *h = &m->row[i].hardware;
        if (!h->known[RN_HW_SEED_PEAK] || !h->known[RN_HW_SEED_SCHEDULE]) continue;
        const double allowed = (double)c->seed.flops / h->value[RN_HW_SEED_PEAK];
        const double of = 1e-3 * m->row[i].seed_ms / allowed, schedule = h->value[RN_HW_SEED_SCHEDULE];
        page_bullet(p, "%s: the model of that report takes %s of the %s ms that the peak it assumes allows for its own "
                    "FLOPs: %s by its schedule, and %s by tiles.", h->name, rn_fixed_text(a, of, 3),
                    rn_fixed_text(b, 1e3 * allowed, 4), rn_fixed_text(d, schedule, 3),
                    rn_fixed_text(e, of / schedule, 3));
    }
    page_note(p, "Its text derives a factor of %s from %d tiles and says that it is in these times.",
              rn_fixed_text(a, rn_seed_overhead(c->seed.rows), 2), c->seed.rows);
}

static void machines(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    static const struct report_head head[] = {
        { "machine, fp32, batch 1", 24, true }, { "ms, seed's model", 16, false }, { "J", 8, false },
        { "speed", 8, false }, { "energy", 8, false }, { "ms, our model", 14, false }, { "J", 8, false },
        { "speed", 8, false }, { "energy", 8, false },
    };
    page_heading(p, "The four machines of the report of 2025-10-17: projections, nothing is measured");
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < CHARACTERIZE_MACHINES; i++) machine_row(p, m, i);
    page_note(p, "Speed and energy: times as good as the CPU.");
    if (characterize_is_seeds(c))
        page_note(p, "%d of %d rows have the digits of that report under its own model.", m->met,
                  CHARACTERIZE_MACHINES);
    impossible(p, c, m);
}

static void observations(struct page *p, const struct characterize_machines *m)
{
    const struct characterize_machine *cpu = &m->row[0], *fast = &m->row[characterize_least(m,
                                                                                           characterize_machine_ms)];
    const struct characterize_machine *thrifty = &m->row[characterize_least(m, characterize_machine_joules)];
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS];
    page_heading(p, "Observations, by our model");
    page_bullet(p, "%s is the fastest of the four: %s ms, %s times as fast as %s.", fast->hardware.name,
                rn_fixed_text(a, fast->ms, 3), rn_fixed_text(b, cpu->ms / fast->ms, 1), cpu->hardware.name);
    page_bullet(p, "%s takes the least energy: %s J, %s times less than %s; it is %s times as slow as %s.",
                thrifty->hardware.name, rn_fixed_text(a, thrifty->joules, 3),
                rn_fixed_text(b, cpu->joules / thrifty->joules, 1), cpu->hardware.name,
                rn_fixed_text(d, thrifty->ms / fast->ms, 1), fast->hardware.name);
}

void characterize_results(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    page_section(p, "Results");
    metrics(p, c);
    machines(p, c, m);
    observations(p, m);
    memory(p, c);
}
