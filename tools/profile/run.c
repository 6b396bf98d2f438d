/*
 * run.c - what ./profile does: a few steps of training, or calls of inference, that nobody looks at, and then
 * those that are recorded.  A training step is ./train's, from the batch to the updated weights.
 */
#include "tools/profile/memory.h"

#include "base/file.h"
#include "base/marks.h"
#include "base/mem.h"
#include "observe/observe.h"
#include "tools/cli/data.h"
#include "tools/cli/stop.h"
#include "tools/train/settings.h"

#include <inttypes.h>
#include <string.h>

#define G "Profile"
static const struct opt own[] = {
    { "mode", OPT_CHOICE, "train", 0, 0, "train|infer", NULL, "what is profiled", G },
    { "steps", OPT_INT, "10", 1, 100000, NULL, "N", "steps, or calls of inference, that are recorded", G },
    { "warmup", OPT_INT, "2", 0, 100000, NULL, "N", "steps before them", G },
    { "name", OPT_TEXT, "resnet", 0, 0, NULL, "NAME", "of profiler_NAME_summary.txt and profiler_NAME_trace.json", G },
    { "output", OPT_TEXT, ".", 0, 0, NULL, "DIR", "where they go", G },
    { "sort-by", OPT_CHOICE, "self_cpu_time_total", 0, 0,
      "self_cpu_time_total|cpu_time_total|cpu_time|count|flops|bytes|name", NULL,
      "order of the ops; cpu_time is the average of a call", G },
    { "group-by-shape", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "a row for each op and shape", G },
    { "memory", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "memory by what it is for, at the peak and over a step", G },
    { "rows", OPT_INT, "100", 0, 1000000, NULL, "N", "at most, of ops; 0: all", G },
};

/* Flags of ./train without a meaning here: what they do comes after the steps, or instead of them. */
static const char *const not_here[] = { "output",       "overwrite", "tensorboard", "resume",  "more-epochs", "force",
                                        "hash",         "dry-run",   "verify-run",  "preview", "weights",     "profile",
                                        "profile-steps" };

static bool is_here(const char *name)
{
    for (size_t i = 0; i < RN_COUNT(not_here); i++)
        if (!strcmp(name, not_here[i])) return false;
    return true;
}

void profile_add_rows(struct opt_set *o)
{
    opt_add(o, own, RN_COUNT(own));
    for (size_t i = 0; i < tool_train_rows_count; i++)
        if (is_here(tool_train_rows[i].name)) opt_add(o, &tool_train_rows[i], 1);
    opt_add(o, opt_net, opt_net_count);
    opt_add(o, opt_common, opt_common_count);
}

struct rn_profile_style profile_style(const struct opt_set *o)
{
    static const char *const name[] = { "self_cpu_time_total", "cpu_time_total", "cpu_time", "count", "flops",
                                        "bytes", "name" };
    struct rn_profile_style s = { .rows = (int)opt_int(o, "rows"), .by_shape = opt_switch(o, "group-by-shape") };
    for (size_t i = 0; i < RN_COUNT(name); i++)
        if (!strcmp(opt_text(o, "sort-by"), name[i])) s.sort = (enum rn_sort)i;
    return s;
}

/* -- training ----------------------------------------------------------------------------------- */

/* One step; at an epoch's end its validation comes first. */
static rn_status train_step(struct profile_run *r, int64_t *images)
{
    struct rn_step s;
    struct rn_epoch e;
    rn_status status = RN_OK;
    if (rn_trainer_epoch_pending(r->trainer)) status = rn_trainer_end_epoch(r->trainer, &e, NULL, NULL);
    if (!status) status = rn_trainer_step(r->trainer, &s);
    if (status) return status;
    *images = s.step_in_epoch == 1 ? s.images : s.images - r->images;
    r->images = s.images;
    return RN_OK;
}

/* -- inference ---------------------------------------------------------------------------------- */

static rn_status make_inference(struct profile_run *r)
{
    const struct rn_train_config *c = &r->config;
    struct rn_loader_config l = rn_val_loader(c);
    struct rn_net_config n = { .arch = c->arch, .image_size = c->image_size, .upsample = c->upsample,
                               .eval_batch = c->batch };
    l.batch = c->batch;
    rn_status status = rn_train_config_check(c);
    if (!status) status = rn_net_create(&r->net, &n, r->device.ops, r->device.dev);
    if (!status) status = rn_loader_create(&r->loader, &l);
    if (!status) status = rn_loader_begin(r->loader, 0, 0);
    if (status) return status;
    rn_net_init(r->net, c->seed);
    r->logits = rn_alloc_array((size_t)c->batch, (size_t)c->arch.classes * sizeof *r->logits);
    return r->logits ? RN_OK : RN_ENOMEM;
}

/* One batch; the set begins anew when it is over. */
static rn_status infer_step(struct profile_run *r, int64_t *images)
{
    struct rn_batch b;
    rn_mark_begin("step");
    rn_status status = rn_loader_next(r->loader, &b);
    if (!status && !b.n) {
        status = rn_loader_begin(r->loader, 0, 0);
        if (!status) status = rn_loader_next(r->loader, &b);
    }
    if (!status && b.n) {
        rn_net_forward_images(r->net, &b.images, false);
        rn_net_logits(r->net, r->logits);
    }
    rn_mark_end();
    if (!status && !b.n) return rn_fail(RN_EINPUT, "%s: no images to look at", r->data->spec);
    *images = b.n;
    return status;
}

/* -- the run ------------------------------------------------------------------------------------ */

static bool trains(const struct profile_run *r) { return !strcmp(opt_text(r->o, "mode"), "train"); }

/* From flags to data, configuration and device. */
static rn_status prepare(struct profile_run *r)
{
    struct opt_set *o = r->o;
    struct rn_dataset_options options;
    rn_status status = tool_train_settle_precision(o);
    if (!status)
        status = tool_profile_open(&r->profile, opt_text(o, "name"), opt_int(o, "steps"), (int)opt_int(o, "threads"),
                                   tool_workers(o, opt_text(o, "data")));
    if (!status) status = tool_device_open(&r->device, o);
    if (!status) status = tool_profile_device(&r->profile, &r->device);
    if (!status) status = tool_train_data(&options, o);
    if (!status) status = tool_data_open(&r->data, opt_text(o, "data"), &options, o);
    profile_memory_settle(); /* what reading the files has left to malloc is no part of the peak */
    if (!status) status = tool_train_settle(o, r->data);
    if (!status) status = tool_train_config(&r->config, o, r->data, NULL);
    if (!status)
        status = tool_profile_batch(o, r->config.batch, (trains(r) ? &r->data->train : &r->data->val)->count,
                                    r->data->name);
    if (!status) status = rn_folder_make(opt_text(o, "output"));
    if (status) return status;
    if (!r->config.limit_val && trains(r)) r->config.limit_val = r->config.val_batch; /* should an epoch end */
    r->config.hash_none = true;
    r->config.build = "";
    tool_profile_title(r->title, &r->config, opt_text(o, "stem"), opt_text(o, "mode"), &r->device);
    return trains(r) ? rn_trainer_create(&r->trainer, &r->config, r->device.ops, r->device.dev) : make_inference(r);
}

static rn_status step(struct profile_run *r, int64_t *images)
{
    return r->trainer ? train_step(r, images) : infer_step(r, images);
}

static rn_status look_at_memory(struct profile_run *r)
{
    if (!(r->memory = rn_alloc(sizeof *r->memory))) return RN_ENOMEM;
    rn_status status = profile_memory_take(r->memory, r);
    if (status) return status;
    profile_memory_curves(r->memory, &r->profile);
    profile_memory_text(&r->profile.appendix, r->memory);
    return rn_text_status(&r->profile.appendix);
}

rn_status profile_run(struct profile_run *r)
{
    const struct rn_profile_style style = profile_style(r->o);
    const int64_t warmup = opt_int(r->o, "warmup");
    int64_t images = 0;
    r->program_mb = rn_rss_mb();
    rn_status status = prepare(r);
    for (int64_t i = 0; !status && !tool_stop_asked(NULL) && i < warmup; i++) status = step(r, &images);
    profile_memory_settle();
    if (!status) tool_profile_start(&r->profile);
    while (!status && !(status = step(r, &images)) && !tool_profile_step(&r->profile, images) &&
           !tool_stop_asked(NULL)) {} /* a signal ends it, and what was recorded is written */
    tool_profile_stop(&r->profile);
    if (!status && opt_switch(r->o, "memory")) status = look_at_memory(r);
    return status ? status : tool_profile_write(&r->profile, opt_text(r->o, "output"), r->title, &style);
}

void profile_run_end(struct profile_run *r)
{
    if (r->memory) profile_memory_free(r->memory);
    rn_free(r->memory);
    rn_trainer_free(r->trainer);
    rn_loader_free(r->loader);
    rn_net_free(r->net);
    rn_free(r->logits);
    rn_dataset_close(r->data);
    tool_device_close(&r->device);
    tool_profile_close(&r->profile);
}

/* -- as JSON ------------------------------------------------------------------------------------ */

static void add_real(struct rn_text *t, const char *key, double x)
{
    rn_text_add(t, ",\n  \"%s\": ", key);
    rn_text_number(t, x);
}

void profile_add_json(struct rn_text *t, const struct profile_run *r)
{
    const struct tool_profile *p = &r->profile;
    rn_text_add(t, "{\n  \"name\": ");
    rn_text_json(t, p->name);
    rn_text_add(t, ",\n  \"what\": ");
    rn_text_json(t, r->title);
    rn_text_add(t, ",\n  \"steps\": %" PRId64 ",\n  \"images\": %" PRId64, p->steps, p->images);
    add_real(t, "step_ms", p->step_ms);
    add_real(t, "images_per_second", p->images_per_second);
    add_real(t, "self_cpu_ms", (double)p->result.self / 1e6);
    add_real(t, "gflops", rn_row_rate(p->result.flops, p->result.steps_time) / 1e9);
    add_real(t, "peak_gflops_measured", p->machine.gflops);
    add_real(t, "memory_gb_per_second", p->machine.gbytes);
    rn_text_add(t, ",\n  \"dropped_spans\": %zu,\n  \"families\": {",
                rn_recording_dropped(rn_recorder_recording(p->recorder)));
    for (int i = 0; i < p->result.families; i++) {
        const struct rn_profile_row *f = &p->result.family[i];
        rn_text_add(t, "%s\n    \"%s\": ", i ? "," : "", f->name);
        rn_text_number(t, p->result.self ? 100 * (double)f->self / (double)p->result.self : 0);
    }
    rn_text_add(t, "\n  }");
    if (r->memory) profile_memory_json(t, r->memory);
    rn_text_add(t, ",\n  \"summary\": ");
    rn_text_json(t, p->summary_path);
    rn_text_add(t, ",\n  \"trace\": ");
    rn_text_json(t, p->trace_path);
    rn_text_add(t, "\n}\n");
}
