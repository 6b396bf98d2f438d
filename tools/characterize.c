/*
 * characterize.c - ./characterize: what a net consists of, what it computes and moves, what its executor fuses, and
 * what a machine would take for it.  Counts are exact, times are projections; only --validate runs the net.
 */
#include "tools/characterize/validate.h"

#include "analyze/measure.h"
#include "base/file.h"
#include "tools/cli/files.h"
#include "tools/plot/plot.h"

#include <stdio.h>
#include <string.h>

static rn_status write_dot(const char *path, const struct characterize *c)
{
    struct rn_text t = { 0 };
    characterize_add_dot(&t, c);
    rn_status status = rn_text_status(&t);
    if (!status) status = rn_file_write(path, t.data, t.length);
    rn_text_free(&t);
    return status;
}

static bool is(const struct opt_set *o, const char *name, const char *value)
{
    return !strcmp(opt_text(o, name), value);
}

/* Settings of which one would be passed over. */
static rn_status check_settings(const struct opt_set *o)
{
    static const struct { const char *one, *other; } exclude[] = {
        { "measure", "validate" }, { "graph", "validate" }, { "graph", "json" },
    };
    for (size_t i = 0; i < RN_COUNT(exclude); i++)
        if (opt_given(o, exclude[i].one) && opt_given(o, exclude[i].other))
            return rn_fail(RN_EUSAGE, "--%s and --%s exclude each other", exclude[i].one, exclude[i].other);
    if (opt_switch(o, "time-variants") && !opt_given(o, "report"))
        return rn_fail(RN_EUSAGE, "--time-variants needs --report, whose table it fills");
    if (is(o, "model", "seed") && !is(o, "precision", "fp32"))
        return rn_fail(RN_EUSAGE, "--model seed knows fp32 alone, not --precision %s", opt_text(o, "precision"));
    if (is(o, "tiles", "seed") && !is(o, "precision", "fp32"))
        return rn_fail(RN_EUSAGE, "--tiles seed knows fp32 alone, not --precision %s", opt_text(o, "precision"));
    if (!opt_switch(o, "validate")) return RN_OK;
    if (!is(o, "model", "ours") || !is(o, "precision", "fp32"))
        return rn_fail(RN_EUSAGE, "--validate: only our model at fp32 is set against what runs here");
    if (!is(o, "numerics", "fp32") || !is(o, "backend", "cpu"))
        return rn_fail(RN_EUSAGE, "--validate: what is projected runs as --numerics fp32 --backend cpu, not %s on %s",
                       opt_text(o, "numerics"), opt_text(o, "backend"));
    return RN_OK;
}

/* What can be refused before anything is worked out. */
static rn_status check_files(const struct opt_set *o)
{
    rn_status status = opt_given(o, "draw") ? tool_plot_check(opt_text(o, "draw")) : RN_OK;
    if (!status && opt_given(o, "plot")) status = tool_plot_check(opt_text(o, "plot"));
    if (!status) status = tool_file_check(opt_text(o, "draw"));
    if (!status) status = tool_file_check(opt_text(o, "plot"));
    if (!status) status = tool_file_check(opt_text(o, "measure"));
    return status ? status : tool_file_check(opt_text(o, "dot"));
}

static rn_status print(const struct characterize *c)
{
    struct rn_text t = { 0 };
    rn_status status = RN_OK;
    if (opt_switch(c->o, "json")) status = characterize_add_json(&t, c);
    else if (opt_switch(c->o, "graph")) characterize_add_graph(&t, c);
    else characterize_add_text(&t, c);
    if (!status && opt_switch(c->o, "roadmap") && !opt_switch(c->o, "json")) status = characterize_add_roadmap(&t, c);
    if (!status) status = rn_text_status(&t);
    if (!status) fputs(t.data, stdout);
    rn_text_free(&t);
    return status;
}

/* --measure is a job of its own: the net's settings do not matter to it. */
static rn_status measure(struct characterize *c)
{
    rn_status status = tool_device_open(&c->device, c->o);
    if (!status) status = characterize_measure(opt_text(c->o, "measure"), c, RN_MEASURE_ROUNDS);
    characterize_free(c);
    return status;
}

static rn_status run(struct opt_set *o)
{
    struct characterize c = { .o = o };
    struct characterize_validation validation = { .runs = 0 };
    rn_status status = check_settings(o);
    if (!status) status = check_files(o);
    if (!status && opt_given(o, "measure")) return measure(&c);
    if (!status) status = characterize_build(&c, o);
    if (!status && opt_switch(o, "validate")) {
        status = characterize_validate(&validation, &c);
        c.validation = &validation;
    }
    if (!status && opt_given(o, "dot")) status = write_dot(opt_text(o, "dot"), &c);
    if (!status && opt_given(o, "draw")) status = characterize_draw(opt_text(o, "draw"), &c);
    if (!status && opt_given(o, "plot")) status = characterize_plot(opt_text(o, "plot"), &c);
    if (!status && opt_given(o, "report")) status = characterize_report(opt_text(o, "report"), &c);
    if (!status) status = print(&c);
    characterize_validation_free(&validation);
    characterize_free(&c);
    return status;
}

int main(int argc, char **argv)
{
    const struct tool characterize = {
        .name = "characterize", .summary = "counts, memory, fusions and projections of a net", .run = run,
        .table = { { opt_net, opt_net_count }, { characterize_rows, characterize_rows_count },
                   { opt_common, opt_common_count } },
    };
    return tool_main(&characterize, argc, argv);
}
