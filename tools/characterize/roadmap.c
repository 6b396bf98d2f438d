/*
 * roadmap.c - what a list of changes would bring on a machine, one after the other: no enlarging of the
 * images, 3x3 convolutions of the blocks as depthwise and 1x1 ones, bf16, int8.  Projections of a net that is only
 * partly built: nothing is said about its accuracy.
 */
#include "tools/characterize/report.h"

#include <stdio.h>
#include <string.h>

/* after: the row that it is compared with. */
struct phase { const char *what, *claimed; double seconds, macs; int missing, after; };

/* A group whose 3x3 convolution of C to K channels becomes a 3x3 one of each channel and a 1x1 of all, with what lies
 * between them written and read.  One of groups stays: it is that step already, and the 1x1 would add to its work. */
static void make_depthwise(struct rn_group *g, const struct rn_trace *t)
{
    const struct rn_op *op = &t->op[g->op[0]];
    const struct rn_conv_shape *s = &op->conv;
    if (op->kind != RN_OP_CONV || s->R != 3 || s->groups > 1 || strncmp(op->name, "layer", 5)) return;
    const int64_t positions = (int64_t)s->P * s->Q, between = s->C * positions;
    const int64_t was = (int64_t)s->K * (s->C / s->groups) * 9, is = (int64_t)s->C * 9 + (int64_t)s->C * s->K;
    g->macs += (is - was) * positions;
    g->flops += 2 * (is - was) * positions;
    g->weights += is - was;
    g->inputs += between;
    g->outputs += between;
}

static rn_status project(struct phase *phase, const struct characterize *c, const struct rn_groups *g,
                         enum rn_precision precision)
{
    struct rn_projection p;
    rn_status status = rn_project(&p, g, &c->hardware, precision, c->batch);
    if (status) return status;
    phase->seconds = p.seconds;
    phase->missing = p.missing_seconds;
    for (int i = 0; i < g->rows; i++) phase->macs += (double)g->row[i].macs;
    rn_projection_free(&p);
    return RN_OK;
}

#define PHASES 5

static rn_status project_phases(struct phase phase[PHASES], const struct characterize *c)
{
    struct rn_net_config config = c->config;
    struct rn_trace t;
    struct rn_groups g;
    config.upsample = 0;
    rn_status status = project(&phase[0], c, &c->groups, RN_FP32);
    if (!status) status = rn_trace_build(&t, &config);
    if (status) return status;
    status = rn_groups_build(&g, &t);
    if (!status) status = project(&phase[1], c, &g, RN_FP32);
    for (int i = 0; !status && i < g.rows; i++) make_depthwise(&g.row[i], &t);
    if (!status) status = project(&phase[2], c, &g, RN_FP32);
    if (!status) status = project(&phase[3], c, &g, RN_BF16_TENSOR);
    if (!status) status = project(&phase[4], c, &g, RN_INT8);
    rn_groups_free(&g);
    rn_trace_free(&t);
    return status;
}

static const struct phase phases[PHASES] = {
    { "as it is, fp32", "", 0, 0, -1, -1 }, { "images as they are, not enlarged", "about 12", 0, 0, -1, 0 },
    { "3x3 as depthwise and 1x1", "3 to 8, by layer", 0, 0, -1, 1 }, { "bf16", "1.5 to 2.5", 0, 0, -1, 2 },
    { "int8, over depthwise fp32", "1.2 to 2 more", 0, 0, -1, 2 },
};

static rn_status project_all(struct phase phase[PHASES], const struct characterize *c)
{
    memcpy(phase, phases, sizeof phases);
    return project_phases(phase, c);
}

/* `before` over `now`; "-" where one of them is not known, or nothing is before. */
static const char *ratio(char out[RN_NUMBER_CHARS], const struct phase *now, const struct phase *before)
{
    if (!before || before->missing >= 0 || now->missing >= 0) return "-";
    return rn_fixed_text(out, before->seconds / now->seconds, 2);
}

/* A row in words; `cell` points into `text` or to what stands. */
#define CELLS 6
struct words { char text[4][RN_NUMBER_CHARS + 40]; const char *cell[CELLS]; };

static void say_phase(struct words *w, const struct phase phase[PHASES], int i)
{
    const struct phase *p = &phase[i];
    char number[RN_NUMBER_CHARS];
    snprintf(w->text[0], sizeof w->text[0], "%s", rn_fixed_text(number, 1e-6 * p->macs, 1));
    if (p->missing < 0) snprintf(w->text[1], sizeof w->text[1], "%s", rn_fixed_text(number, 1e3 * p->seconds, 4));
    else snprintf(w->text[1], sizeof w->text[1], "N/A: needs the key %s", rn_hardware_key_name(p->missing));
    snprintf(w->text[2], sizeof w->text[2], "%s", ratio(number, p, p->after < 0 ? NULL : &phase[p->after]));
    snprintf(w->text[3], sizeof w->text[3], "%s", ratio(number, p, i ? &phase[0] : NULL));
    w->cell[0] = p->what;
    for (int k = 0; k < 4; k++) w->cell[k + 1] = w->text[k];
    w->cell[5] = p->claimed;
}

/* The last phase that can be projected: what follows from all before it together; 0: none but the first. */
static int last_known(const struct phase phase[PHASES])
{
    int last = PHASES - 1;
    while (last > 0 && (phase[last].missing >= 0 || phase[0].missing >= 0)) last--;
    return last;
}

#define STUDY "what the optimisation study of this project's beginnings claims (all together: more than 20)"
#define ENLARGES_NOTHING "the net as given enlarges nothing; the study's is --image-size 64 --upsample 224"

rn_status characterize_add_roadmap(struct rn_text *t, const struct characterize *c)
{
    struct phase phase[PHASES];
    struct words w;
    char all[RN_NUMBER_CHARS];
    rn_status status = project_all(phase, c);
    if (status) return status;
    rn_text_add(t, "\nroadmap: projections on %s, batch %d; times over the row before and over the first;\n" STUDY "\n"
                "  %-34s %12s %12s %8s %8s  %s\n", c->hardware.name, c->batch, "", "M MACs", "ms", "times", "of all",
                "claimed");
    for (int i = 0; i < PHASES; i++) {
        say_phase(&w, phase, i);
        rn_text_add(t, "  %-34s %12s %12s %8s %8s  %s\n", w.cell[0], w.cell[1], w.cell[2], w.cell[3], w.cell[4],
                    w.cell[5]);
    }
    const int last = last_known(phase);
    if (last) rn_text_add(t, "  all together, up to \"%s\": %s times\n", phase[last].what,
                          rn_fixed_text(all, phase[0].seconds / phase[last].seconds, 1));
    if (!c->config.upsample) rn_text_add(t, "  (" ENLARGES_NOTHING ")\n");
    return RN_OK;
}

rn_status characterize_roadmap(struct page *p, const struct characterize *c)
{
    static const struct report_head head[CELLS] = {
        { "phase", 34, true }, { "M MACs", 12, false }, { "ms", 20, false }, { "times over the row before", 12, false },
        { "times over the first", 12, false }, { "claimed", 20, true },
    };
    struct phase phase[PHASES];
    struct words w;
    char all[RN_NUMBER_CHARS];
    rn_status status = project_all(phase, c);
    if (status) return status;
    page_heading(p, "Roadmap: what changes would bring");
    page_note(p, "Projections on %s, batch %d, one change after the other; the two last are each over the depthwise "
              "net. Claimed: " STUDY ". The depthwise net is not built, and nothing is said about its accuracy.",
              c->hardware.name, c->batch);
    page_table(p, head, CELLS);
    for (int i = 0; i < PHASES; i++) {
        say_phase(&w, phase, i);
        page_row(p, w.cell, CELLS);
    }
    const int last = last_known(phase);
    if (last) page_bullet(p, "All together, up to \"%s\": %s times.", phase[last].what,
                          rn_fixed_text(all, phase[0].seconds / phase[last].seconds, 1));
    if (!c->config.upsample) page_note(p, "Here " ENLARGES_NOTHING ".");
    return RN_OK;
}

static void add_ratio(struct rn_text *t, const char *key, const struct phase *now, const struct phase *before)
{
    rn_text_add(t, ", \"%s\": ", key);
    if (before && before->missing < 0 && now->missing < 0) rn_text_number(t, before->seconds / now->seconds);
    else rn_text_add(t, "null");
}

rn_status characterize_add_roadmap_json(struct rn_text *t, const struct characterize *c)
{
    struct phase phase[PHASES];
    rn_status status = project_all(phase, c);
    if (status) return status;
    rn_text_add(t, ",\n\"roadmap\": [");
    for (int i = 0; i < PHASES; i++) {
        const struct phase *p = &phase[i];
        rn_text_add(t, "%s\n  {\"phase\": \"%s\", \"macs\": ", i ? "," : "", p->what);
        rn_text_number(t, p->macs);
        rn_text_add(t, ", \"latency_ms\": ");
        if (p->missing < 0) rn_text_number(t, 1e3 * p->seconds);
        else rn_text_add(t, "null, \"latency_ms_needs\": \"%s\"", rn_hardware_key_name(p->missing));
        add_ratio(t, "times", p, p->after < 0 ? NULL : &phase[p->after]);
        add_ratio(t, "times_of_all", p, &phase[0]);
        rn_text_add(t, ", \"claimed\": \"%s\"}", p->claimed);
    }
    rn_text_add(t, "]");
    return RN_OK;
}
