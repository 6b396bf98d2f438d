/* session.c - records a run, then says what it saw in two files. */
#include "tools/profile/session.h"

#include "analyze/analyze.h"
#include "base/file.h"
#include "base/mem.h"
#include "observe/observe.h"
#include "observe/trace.h"
#include "tools/cli/data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVENTS_A_STEP 4096 /* room, on each track; a ResNet-152 takes about two thousand on the main one */
#define MOST_EVENTS 4000000
#define SAMPLES_A_STEP 2048 /* three for each step of a pass */

rn_status tool_profile_open(struct tool_profile *p, const char *name, int64_t steps, int threads, int workers)
{
    const struct rn_recorder_config config = {
        .events = (size_t)RN_MIN(MOST_EVENTS, 16384 + steps * EVENTS_A_STEP),
        .tracks = 4 + RN_MIN(threads, 256) + 2 * workers, /* both loaders have workers */
        .samples = (int)RN_MIN(1 << 20, 64 + SAMPLES_A_STEP * steps),
        .counters = true,
    };
    if (!*name || strchr(name, '/') || strlen(name) >= sizeof p->name)
        return rn_fail(RN_EUSAGE, "--name %.80s: part of a file's name is needed, up to %zu characters without a /",
                       name, sizeof p->name - 1);
    *p = (struct tool_profile){ .most = steps, .threads = threads };
    snprintf(p->name, sizeof p->name, "%s", name);
    rn_status status = rn_recorder_create(&p->recorder, &config);
    if (status) return status;
    p->machine.gbytes = rn_memory_bandwidth(threads); /* before the run has memory of its own: the peak is to be its */
    rn_peak_rss_reset();
    return RN_OK;
}

rn_status tool_profile_open_train(struct tool_profile *p, const struct opt_set *o)
{
    const char *preset = opt_text(o, "preset");
    if (!opt_switch(o, "profile") || opt_switch(o, "dry-run") || opt_text(o, "verify-run")) return RN_OK;
    return tool_profile_open(p, preset && !strchr(preset, '/') ? preset : "train", opt_int(o, "profile-steps"),
                             (int)opt_int(o, "threads"), tool_workers(o, opt_text(o, "data")));
}

rn_status tool_profile_device(struct tool_profile *p, struct tool_device *d)
{
    if (!p->recorder) return RN_OK;
    p->isa = d->ops->isa(d->dev);
    return rn_observe(&d->ops, &d->dev);
}

rn_status tool_profile_batch(const struct opt_set *o, int batch, int64_t there, const char *set)
{
    const enum opt_source source = opt_source_of(o, "batch-size");
    const bool asked = source == OPT_FLAG || (source == OPT_FILE && !opt_text(o, "preset"));
    if (!asked || batch <= there) return RN_OK;
    return rn_fail(RN_EUSAGE, "--batch-size: %d images; %s has %" PRId64, batch, set, there);
}

void tool_profile_title(char title[256], const struct rn_train_config *c, const char *stem, const char *mode,
                        const struct tool_device *d)
{
    snprintf(title, 256, "%s, stem %s, %d classes, %dx%d, batch %d, %s, %s on %s/%s, threads %d, loader workers %d, "
             "data %.40s", c->arch.name, stem, c->arch.classes, c->image_size, c->image_size, c->batch * c->parts, mode,
             c->numerics, d->ops->name, d->ops->isa(d->dev), d->threads, c->workers, c->data->name);
}

void tool_profile_start(struct tool_profile *p)
{
    if (!p->recorder || p->on || p->written) return;
    p->on = true;
    p->machine.gflops = rn_peak_gflops(p->threads, p->isa);
    rn_recorder_start(p->recorder);
    p->began = p->last = p->epoch = rn_nanoseconds();
}

void tool_profile_start_train(struct tool_profile *p, int64_t steps_left)
{
    if (steps_left >= RN_HASHED_STEPS + p->most) p->wait = RN_HASHED_STEPS;
    else tool_profile_start(p);
}

bool tool_profile_step(struct tool_profile *p, int64_t images)
{
    if (!p->on) return false;
    const uint64_t now = rn_nanoseconds();
    /* A curve keeps its value up to the next point, so that a step's stands from its beginning on. */
    rn_recorder_sample(p->recorder, "images", "per second", p->last, rn_row_rate(images, now - p->last));
    rn_recorder_sample(p->recorder, "memory", "of the process (MB)", p->last, rn_rss_mb());
    p->images += images;
    p->steps++;
    p->last = rn_nanoseconds();
    if (p->steps < p->most) return false;
    tool_profile_stop(p);
    return true;
}

void tool_profile_stop(struct tool_profile *p)
{
    if (p->recorder) rn_recorder_stop(p->recorder);
    p->on = false;
}

void tool_profile_epoch(struct tool_profile *p, int64_t epoch)
{
    char name[32];
    const uint64_t now = rn_nanoseconds();
    snprintf(name, sizeof name, "epoch %" PRId64, epoch);
    if (p->on) rn_recorder_span(p->recorder, "epochs", name, p->epoch, now);
    p->epoch = now;
}

/* -- the summary -------------------------------------------------------------------------------- */

/* What recording one span takes: a thousand of them, on a recorder of their own. */
static double span_cost(void)
{
    const struct rn_recorder_config config = { .events = 1000, .tracks = 1 };
    const struct rn_op op = { .kind = RN_OP_SYNC };
    struct rn_recorder *r;
    if (rn_recorder_create(&r, &config)) return 0;
    rn_recorder_start(r);
    const uint64_t begin = rn_nanoseconds();
    for (int i = 0; i < 1000; i++) {
        rn_span_begin(&op);
        rn_span_end();
    }
    const double ns = (double)(rn_nanoseconds() - begin) / 1000;
    rn_recorder_free(r);
    return ns;
}

static void add_fixed(struct rn_text *t, const char *before, double x, int digits, const char *after)
{
    rn_text_add(t, "%s", before);
    rn_text_fixed(t, x, digits);
    rn_text_add(t, "%s", after);
}

static void add_head(struct tool_profile *p, const char *title)
{
    const struct rn_recording *r = rn_recorder_recording(p->recorder);
    const struct rn_profile *f = &p->result;
    struct rn_text *t = &p->summary;
    char span[RN_NUMBER_CHARS];
    size_t spans = 0;
    for (int i = 0; i < r->tracks; i++) spans += r->track[i].events;
    rn_text_add(t, "%s: %s\n", p->name, title);
    if (p->machine.gflops > 0 && p->machine.gbytes > 0) {
        add_fixed(t, "machine, measured: ", p->machine.gflops, 1, " GFLOP/s, ");
        add_fixed(t, "", p->machine.gbytes, 1, " GB/s of memory; compute bound from ");
        add_fixed(t, "", p->machine.gflops * 1e9 / (p->machine.gbytes * 1024 * RN_MB), 1, " FLOP/B\n");
    }
    if (p->steps) {
        rn_text_add(t, "%" PRId64 " steps of ", p->steps);
        add_fixed(t, "", p->step_ms, 3, " ms, ");
        add_fixed(t, "", p->images_per_second, 1, " images/s");
        if (f->steps_time)
            add_fixed(t, "; ops and other innermost spans are ",
                      100 * (double)f->leaves_time / (double)f->steps_time, 2, " % of them");
        rn_text_add(t, "\n");
    }
    rn_text_add(t, "%zu spans on %d tracks, %zu more that there was no room for; recording one takes %s\n\n", spans,
                r->tracks, rn_recording_dropped(r), rn_time_text(span, span_cost()));
}

static rn_status sum_up(struct tool_profile *p, const char *title, const struct rn_profile_style *style)
{
    struct rn_profile_style s = *style;
    rn_status status = rn_profile_make(&p->result, rn_recorder_recording(p->recorder), "step", style->by_shape);
    if (status) return status;
    /* The peak on both sides of the steps, should the machine be busy on one of them. */
    p->machine.gflops = RN_MAX(p->machine.gflops, rn_peak_gflops(p->threads, p->isa));
    s.machine = p->machine;
    if (p->result.steps) {
        p->step_ms = (double)p->result.steps_time / 1e6 / (double)p->result.steps;
        p->images_per_second = rn_row_rate(p->images, p->result.steps_time);
    }
    add_head(p, title);
    rn_profile_text(&p->summary, &p->result, &s);
    if (p->appendix.data) rn_text_add(&p->summary, "%s", p->appendix.data);
    return rn_text_status(&p->summary);
}

static char *path_of(const struct tool_profile *p, const char *folder, const char *ending)
{
    char file[sizeof p->name + 32];
    snprintf(file, sizeof file, "profiler_%s_%s", p->name, ending);
    return rn_path_join(folder, file);
}

rn_status tool_profile_write(struct tool_profile *p, const char *folder, const char *title,
                             const struct rn_profile_style *style)
{
    if (!p->recorder || p->written) return RN_OK;
    char why[512] = "";
    tool_profile_stop(p);
    p->written = true;
    rn_status status = sum_up(p, title, style), other;
    p->summary_path = path_of(p, folder, "summary.txt");
    p->trace_path = path_of(p, folder, "trace.json");
    if (!p->summary_path || !p->trace_path) return RN_ENOMEM;
    if (!status) status = rn_file_write(p->summary_path, p->summary.data, p->summary.length);
    if (status) snprintf(why, sizeof why, "%s", rn_error());
    other = rn_trace_write(p->trace_path, rn_recorder_recording(p->recorder), p->name, title);
    if (!status && !other) return RN_OK;
    status = status == RN_ENOMEM || other == RN_ENOMEM ? RN_ENOMEM : RN_EIO;
    if (!other) return rn_fail(status, "the summary is lost: %s", why);
    return rn_fail(status, "%s%sthe trace is lost: %s", why, *why ? "; " : "", rn_error());
}

bool tool_profile_observe(struct tool_profile *p, const struct rn_step *step)
{
    const int64_t before = step->step_in_epoch == 1 ? 0 : p->of_epoch;
    p->of_epoch = step->images;
    if (p->wait) {
        if (!--p->wait) tool_profile_start(p);
        return false;
    }
    return tool_profile_step(p, step->images - before);
}

rn_status tool_profile_finish(struct tool_profile *p, const char *folder, const struct rn_train_config *c,
                              const char *stem, const struct tool_device *d, rn_status failure)
{
    const struct rn_profile_style style = { .rows = 100 };
    char title[256], why[1024];
    if (!folder || !p->recorder || p->written) return failure;
    if (!p->steps) { /* of a finished run that was resumed: what its profile says stands */
        p->written = true;
        snprintf(p->line, sizeof p->line, "no profile: no step was recorded");
        return failure;
    }
    snprintf(why, sizeof why, "%s", failure ? rn_error() : "");
    tool_profile_title(title, c, stem, "train", d);
    const rn_status status = tool_profile_write(p, folder, title, &style);
    if (status) snprintf(p->lost, sizeof p->lost, "%s", rn_error());
    snprintf(p->line, sizeof p->line, "profile of %" PRId64 " steps: %s", p->steps, status ? p->lost : p->summary_path);
    return failure ? rn_fail(failure, "%s", why) : RN_OK;
}

void tool_profile_close(struct tool_profile *p)
{
    rn_recorder_free(p->recorder);
    rn_profile_free(&p->result);
    rn_text_free(&p->summary);
    rn_text_free(&p->appendix);
    rn_free(p->summary_path);
    rn_free(p->trace_path);
    *p = (struct tool_profile){0};
}
