#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* macOS hides the terminal's width without it */
/*
 * train.c - ./train: trains, fine-tunes, resumes.  Settings from flags, files, environment, the
 * checkpoint resumed from and the data set become one configuration; src/train does the rest.  Talk
 * goes to stderr, results to stdout.
 */
#include "base/mem.h"
#include "base/threads.h"
#include "tools/cli/data.h"
#include "tools/cli/files.h"
#include "tools/cli/stop.h"
#include "tools/plot/plot.h"
#include "tools/profile/session.h"
#include "tools/train/advice.h"
#include "tools/train/dry_run.h"
#include "tools/train/preview.h"
#include "tools/train/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct session {
    struct opt_set o;
    struct rn_checkpoint *file; /* resumed from, or initial weights; gone once read */
    struct rn_dataset *data;
    struct tool_device device;
    struct rn_value *arguments;
    struct rn_train_config config;
    struct rn_trainer *trainer;
    struct rn_run *run;
    struct rn_progress progress;
    struct tool_profile profile; /* {0} without --profile */
    bool undrawn; /* the curves could not be drawn the last time */
    bool advised; /* about workers */
    char *resumed; /* --verify-run: the checkpoint that the run went on from, or NULL */
    bool hash, json, quiet;
    struct rn_text origin; /* of the first step's weights, in words; empty where the run goes on */
    bool fresh;   /* begins with the seed's weights */
    bool inexact; /* resumed from a checkpoint that does not hold all the state */
    char build[160];
};

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "an unknown compiler"
#endif

/* A folder's files come class by class: a --limit-train may leave nothing to be told apart. */
static rn_status check_limits(const struct session *s)
{
    const struct opt_set *o = &s->o;
    int64_t needed;
    tool_data_mention_limit(o, "limit-val", s->data, &s->data->val);
    if (!tool_data_one_class(&needed, &s->data->train, opt_int(o, "limit-train"))) return RN_OK;
    return rn_fail(RN_EINPUT, "--limit-train %s: the first images of %s are all of class \"%s\"; at least %" PRId64
                   " are needed for two classes", opt_text(o, "limit-train"), s->data->spec,
                   s->data->class_names[s->data->train.labels[0]], needed);
}

/* A profile, or a preset of the profiling study. */
static bool is_measured(const struct opt_set *o)
{
    const char *preset = opt_text(o, "preset");
    return opt_switch(o, "profile") || (preset && strlen(preset) == 4 && !strncmp(preset, "exp", 3));
}

/* Flags to a complete configuration: data set open, every setting explicit, device ready. */
static rn_status prepare(struct session *s)
{
    struct opt_set *o = &s->o;
    struct rn_dataset_options options;
    struct rn_arch arch;
    rn_status st;
    snprintf(s->build, sizeof s->build, "resnet.c %s, compiled by %s", RN_VERSION, COMPILER);
    s->hash = opt_switch(o, "hash");
    s->json = opt_switch(o, "json");
    s->quiet = opt_switch(o, "quiet");
    if ((st = tool_train_settle_precision(o))) return st;
    if (opt_text(o, "resume")) {
        if ((st = rn_checkpoint_open(&s->file, opt_text(o, "resume")))) return st;
        if (opt_given(o, "numerics")) tool_mention_numerics(o, s->file);
        if ((st = tool_train_adopt_checkpoint(o, s->file))) return st;
    } else if (opt_given(o, "more-epochs")) {
        return rn_fail(RN_EUSAGE, "--more-epochs needs --resume");
    } else if (opt_text(o, "weights")) {
        if ((st = rn_checkpoint_open(&s->file, opt_text(o, "weights")))) return st;
        if (!opt_given(o, "arch") && (st = tool_train_adopt_shapes(o, s->file))) return st;
        tool_mention_numerics(o, s->file);
    }
    /* A misspelt architecture is cheaper to refuse before the data is read. */
    if (strcmp(opt_text(o, "arch"), TOOL_CUSTOM) &&
        (st = rn_arch_named(&arch, opt_text(o, "arch"), RN_STEM_IMAGENET, 2)))
        return st;
    if ((st = tool_train_data(&options, o))) return st;
    if ((st = tool_data_open(&s->data, opt_text(o, "data"), &options, o))) return st;
    /* --resume has its own look at this; other weights may be of other classes, but not in another order. */
    if (s->file && (st = rn_check_classes(s->file, s->data, true))) return st;
    if ((st = check_limits(s)) || (st = tool_train_settle(o, s->data))) return st;
    if (!(s->arguments = opt_values(o))) return RN_ENOMEM;
    if ((st = tool_train_config(&s->config, o, s->data, s->file))) return st;
    if (is_measured(o) && (st = tool_profile_batch(o, s->config.batch, s->data->train.count, s->data->name))) return st;
    s->config.hash_steps = s->hash;
    s->config.build = s->build;
    s->config.arguments = s->arguments;
    if ((st = tool_profile_open_train(&s->profile, o)) || (st = tool_device_open(&s->device, o))) return st;
    return tool_profile_device(&s->profile, &s->device);
}

/* Beside the settings, what a folder holds: --resume refuses other pictures as it does other settings. */
static rn_status record_pictures(struct session *s)
{
    const struct rn_dataset *d = s->data;
    char text[96];
    if (!d->train.store) return RN_OK;
    snprintf(text, sizeof text, "%" PRId64 " and %" PRId64 " for validation (%016" PRIx64 ")", d->train.count,
             d->val.count, rn_dataset_hash(d));
    return rn_dict_set(s->arguments, "data-pictures", rn_string(text));
}

/* The trainer at its first step: fresh, fine-tuning, or where a checkpoint stopped. */
static rn_status create_trainer(struct session *s)
{
    rn_status st = record_pictures(s);
    s->fresh = !s->file;
    if (!opt_text(&s->o, "resume")) tool_tell_origin(&s->origin, &s->config, s->file);
    if (!st) st = rn_trainer_create(&s->trainer, &s->config, s->device.ops, s->device.dev);
    if (!st && opt_text(&s->o, "resume")) {
        st = rn_trainer_resume(s->trainer, s->file, opt_switch(&s->o, "force"));
        s->inexact = !s->file->own;
    } else if (!st && s->file) {
        st = rn_load_weights(rn_trainer_net(s->trainer), s->file, true);
    }
    rn_checkpoint_free(s->file);
    s->file = NULL;
    return st;
}

/* -- what is said ------------------------------------------------------------------------------ */
static void to_stderr(void *arg, const char *text)
{
    (void)arg;
    fputs(text, stderr);
    fflush(stderr);
}

static void say(struct session *s, const char *line)
{
    if (!s->quiet) rn_progress_line(&s->progress, line);
}

/* What is recorded into its files; a failure of the run stays what there is to say. */
static rn_status write_profile(struct session *s, rn_status failure)
{
    const char *folder = s->run ? rn_run_folder(s->run) : NULL, *stem = opt_text(&s->o, "stem");
    failure = tool_profile_finish(&s->profile, folder, &s->config, stem, &s->device, failure);
    if (*s->profile.line) say(s, s->profile.line);
    *s->profile.line = 0;
    return failure;
}

static void say_skipped(struct session *s, const struct rn_step *step)
{
    struct rn_text line = {0};
    rn_skip_text(&line, step);
    if (!rn_text_status(&line)) say(s, line.data);
    rn_text_free(&line);
}

static void on_line(void *arg, const char *line) { say(arg, line); }

static void on_step(void *arg, const struct rn_step *step)
{
    struct session *s = arg;
    if (s->hash) {
        struct rn_text t = {0};
        rn_step_text(&t, step);
        if (t.data) fprintf(s->json ? stderr : stdout, "%s\n", t.data);
        if (!s->json) fflush(stdout);
        rn_text_free(&t);
    }
    if (step->skipped) say_skipped(s, step);
    if (!s->quiet) rn_progress_step(&s->progress, step);
    if (tool_profile_observe(&s->profile, step)) write_profile(s, RN_OK);
}

/* curves.png of the epochs that results.csv has; nothing without cairo. */
static rn_status draw_curves(const struct session *s)
{
    const struct rn_train_config *c = &s->config;
    const char *folder = rn_run_folder(s->run), *slash = strrchr(folder, '/');
    struct rn_text line = {0};
    if (!tool_plot_available()) return RN_OK;
    rn_text_add(&line, "%s with the %s stem on %s, %d x %d pixels, batch %d, seed %" PRIu64 ", %s",
                c->arch.name, opt_text(&s->o, "stem"), s->data->name, c->image_size, c->image_size,
                c->batch * c->parts, c->seed, c->numerics);
    rn_status st = rn_text_status(&line);
    if (!st) st = tool_plot_run(folder, slash && slash[1] ? slash + 1 : folder, line.data);
    rn_text_free(&line);
    return st;
}

/* Said and logged, if there is anything; that it cannot be logged is no reason to stop. */
static bool remark(struct session *s, struct rn_text *line, bool any)
{
    any = any && !rn_text_status(line);
    if (any) say(s, line->data);
    if (any && rn_run_log(s->run, line->data)) rn_error_clear();
    rn_text_free(line);
    return any;
}

static void on_epoch(void *arg, const struct rn_epoch *epoch)
{
    struct session *s = arg;
    struct rn_text line = {0};
    tool_profile_epoch(&s->profile, epoch->epoch);
    s->undrawn = draw_curves(s) != RN_OK; /* no reason to stop; tried again at the end */
    if (!s->quiet) rn_progress_epoch(&s->progress, epoch);
    if (!s->advised) s->advised = remark(s, &line, tool_advise_workers(&line, epoch, &s->config, rn_cpu_count()));
}

static void begin_progress(struct session *s)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize window;
    s->progress = (struct rn_progress){ .write = to_stderr, .columns = 80 };
    s->progress.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
    s->progress.color = !(no_color && *no_color);
    if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &window) && window.ws_col)
        s->progress.columns = window.ws_col;
}

/* -- preview ----------------------------------------------------------------------------------- */
static rn_status preview(struct session *s)
{
    const char *path = opt_text(&s->o, "preview");
    struct rn_text legend = {0}, line = {0};
    rn_status st = tool_preview(&legend, &s->config, path);
    if (!st) {
        rn_text_add(&line, "%s: the first images of epoch 0; their classes, row by row:\n%s", path, legend.data);
        st = rn_text_status(&line);
    }
    if (!st) say(s, line.data);
    rn_text_free(&line);
    rn_text_free(&legend);
    return st;
}

/* -- a run ------------------------------------------------------------------------------------- */
static rn_status open_run(struct session *s)
{
    char *conf = opt_conf_text(&s->o);
    struct rn_run_config c = {
        .output = opt_text(&s->o, "output"),
        .place = s->data->name,
        .name = opt_text(&s->o, "checkpoint-name"),
        .csv = opt_text(&s->o, "csv-name"),
        .tensorboard = opt_switch(&s->o, "tensorboard"),
        .resume = opt_text(&s->o, "resume"),
        .overwrite = opt_switch(&s->o, "overwrite"),
        .conf = conf,
        .steps = rn_trainer_steps(s->trainer),
        .epochs = rn_trainer_epochs(s->trainer),
        .pending = rn_trainer_epoch_pending(s->trainer),
    };
    rn_status st = conf ? rn_run_open(&s->run, &c) : RN_ENOMEM;
    rn_free(conf);
    return st;
}

/* What a folder was found to hold, and all that is left out of it; stderr had the first of that. */
static rn_status log_folder(struct session *s)
{
    const struct rn_dataset *d = s->data;
    struct rn_text t = {0};
    if (!d->train.store) return RN_OK;
    rn_text_add(&t, "%" PRId64 " images for training, %" PRId64 " for validation%s%s, of %d classes", d->train.count,
                d->val.count, d->divided ? ", which is --val-split " : "",
                d->divided ? opt_text(&s->o, "val-split") : "", d->classes);
    rn_status st = rn_text_status(&t);
    if (!st) say(s, t.data);
    if (d->skipped)
        rn_text_add(&t, "\n%" PRId64 " of the files and folders cannot be used, and are left out:\n%.*s", d->skipped,
                    (int)strlen(d->skipped_list) - 1, d->skipped_list);
    if (d->notes) rn_text_add(&t, "\n%.*s", (int)strlen(d->notes) - 1, d->notes);
    if (!st) st = rn_text_status(&t);
    if (!st) st = rn_run_log(s->run, t.data);
    rn_text_free(&t);
    return st;
}

static rn_status begin_log(struct session *s)
{
    const bool bf16 = rn_observed(s->device.ops, s->device.dev) == &rn_ops_cpu_bf16;
    const char *absence = bf16 ? rn_amx_absence() : NULL;
    struct rn_text t = {0};
    rn_text_add(&t,
                "%s on %s: %zu parameters, %" PRId64 " steps an epoch, %s on %s/%s%s%s%s, %d threads, run "
                                                     "folder %s",
                s->config.arch.name, s->data->spec,
                rn_net_trainable_count(rn_trainer_net(s->trainer)),
                rn_trainer_steps_per_epoch(s->trainer), s->config.numerics, s->device.ops->name,
                s->device.ops->isa(s->device.dev), absence ? " (AMX not used: " : "", absence ? absence : "",
                absence ? ")" : "", s->device.threads, rn_run_folder(s->run));
    if (rn_trainer_steps(s->trainer))
        rn_text_add(&t, ", from step %" PRId64, rn_trainer_steps(s->trainer));
    rn_status st = rn_text_status(&t);
    if (!st) st = rn_run_log(s->run, t.data);
    if (!st) say(s, t.data);
    rn_text_free(&t);
    if (!st) st = log_folder(s);
    if (!st && s->origin.length) remark(s, &s->origin, true);
    t = (struct rn_text){0};
    if (!st && s->fresh) remark(s, &t, tool_advise_fresh(&t, &s->config));
    if (st || !s->inexact) return st;
    static const char line[] = "this checkpoint does not hold all the state of a run (no "
                               "resnet_c): the continuation is not exact";
    say(s, line);
    return rn_run_log(s->run, line);
}

/* Whether the accuracy aimed at was reached: said and logged; RN_ECHECK where a flag asked for it. */
static rn_status judge_target(struct session *s, const struct rn_summary *sum)
{
    const char *target = opt_text(&s->o, "target-acc");
    struct rn_text line = {0};
    if (!target) return RN_OK;
    bool met = sum->best_acc >= opt_real(&s->o, "target-acc");
    rn_text_add(&line, "target accuracy %s %%: %smet, best ", target, met ? "" : "not ");
    rn_text_fixed(&line, RN_MAX(sum->best_acc, 0), 2);
    rn_text_add(&line, " %%");
    rn_status st = rn_text_status(&line);
    if (!st) st = rn_run_log(s->run, line.data);
    if (!st) say(s, line.data);
    rn_text_free(&line);
    if (!st && !met && opt_source_of(&s->o, "target-acc") == OPT_FLAG)
        st = rn_fail(RN_ECHECK, "--target-acc %s was not reached", target);
    return st;
}

/* summary.json, the result on stdout, and the verdict on --target-acc. */
static rn_status conclude(struct session *s, double started, bool idle)
{
    struct rn_summary sum = { .seconds = rn_seconds() - started, .threads = s->device.threads };
    struct rn_text json = {0}, line = {0};
    rn_trainer_summary(s->trainer, &sum);
    if (idle) rn_run_keep_figures(s->run, &sum);
    rn_status st = rn_summary_text(&json, &sum);
    rn_text_add(&line, "val_acc ");
    rn_text_fixed(&line, RN_MAX(sum.val_acc, 0), 2);
    rn_text_add(&line, " %% (best ");
    rn_text_fixed(&line, RN_MAX(sum.best_acc, 0), 2);
    rn_text_add(&line, " %%) after %" PRId64 " epochs, %" PRId64 " steps; ", sum.epochs, sum.steps);
    rn_text_fixed(&line, sum.images_per_second, 1);
    rn_text_add(&line, " images/s; peak memory ");
    rn_text_fixed(&line, sum.peak_rss_mb, 1);
    rn_text_add(&line, " MB; run folder %s", rn_run_folder(s->run));
    if (!st) st = rn_text_status(&line);
    if (!st) st = rn_run_summary(s->run, json.data);
    if (!st) st = rn_run_log(s->run, line.data);
    if (!st && s->json) fputs(json.data, stdout);
    else if (!st && !s->quiet) printf("%s\n", line.data);
    if (!st) st = judge_target(s, &sum);
    rn_text_free(&json);
    rn_text_free(&line);
    return st;
}

/* Steps until the run is done, unless it ends early. */
static int64_t steps_left(const struct session *s)
{
    const int64_t whole = s->config.epochs * rn_trainer_steps_per_epoch(s->trainer), most = s->config.max_steps;
    return (most < 0 ? whole : RN_MIN(whole, most)) - rn_trainer_steps(s->trainer);
}

static rn_status train(struct session *s)
{
    struct rn_observer o = { .arg = s, .on_step = on_step, .on_epoch = on_epoch, .on_line = on_line,
                             .stop = tool_stop_asked, .save = tool_save_asked };
    double started = rn_seconds();
    rn_status st = create_trainer(s);
    if (!st) st = open_run(s);
    if (!st) st = begin_log(s);
    if (!st && !tool_plot_available())
        say(s, "no cairo here, so no curves.png: install libcairo2 (Debian, Ubuntu) or cairo (others)");
    if (!st) st = draw_curves(s);
    int64_t before = st ? 0 : rn_trainer_steps(s->trainer);
    if (!st) tool_profile_start_train(&s->profile, s->hash ? 0 : steps_left(s));
    if (!st) st = rn_train(s->trainer, s->run, &o);
    if (s->run && (st == RN_EFAIL || st == RN_EINTR || st == RN_EINPUT)) rn_run_log(s->run, rn_error());
    st = write_profile(s, st);
    if (!st) st = conclude(s, started, before > 0 && rn_trainer_steps(s->trainer) == before);
    if (!st && s->undrawn) st = draw_curves(s);
    return !st && *s->profile.lost ? rn_fail(RN_EIO, "%s", s->profile.lost) : st;
}

/* -- replay ------------------------------------------------------------------------------------ */

/* A run that went on from a checkpoint in a folder of its own is replayed from there, as long as the
 * checkpoint is still of that step. */
static rn_status go_where_it_began(struct session *s)
{
    struct rn_checkpoint *file = NULL;
    int64_t first = 0;
    rn_status st = rn_replay_first(&first, opt_text(&s->o, "verify-run"));
    if (st || first <= 1 || !s->resumed || rn_checkpoint_open(&file, s->resumed)) return st;
    if (rn_checkpoint_int(file, "step", first - 1) == first - 1) {
        st = rn_trainer_resume(s->trainer, file, true);
        say(s, "from the checkpoint that the run went on from");
    }
    rn_checkpoint_free(file);
    return st;
}

static rn_status verify(struct session *s)
{
    struct rn_observer o = { .arg = s, .on_step = on_step, .stop = tool_stop_asked };
    int64_t lines = 0;
    rn_status st = create_trainer(s);
    if (!st) st = go_where_it_began(s);
    if (!st) st = rn_replay(&lines, s->trainer, opt_text(&s->o, "verify-run"), &o);
    if (!st && s->json) printf("{\n  \"lines\": %" PRId64 ",\n  \"equal\": true\n}\n", lines);
    else if (!st)
        printf("all %" PRId64 " hashes are those of %s\n", lines, opt_text(&s->o, "verify-run"));
    return st;
}

/* -- the program ------------------------------------------------------------------------------- */
static rn_status run(struct session *s)
{
    struct opt_set *o = &s->o;
    const char *earlier = opt_text(o, "verify-run");
    rn_status st = RN_OK;
    if (earlier && opt_text(o, "resume"))
        return rn_fail(RN_EUSAGE, "--verify-run starts from the beginning; it excludes --resume");
    /* Both may come along in an earlier run's args.conf; only a flag says them on purpose. */
    if (opt_source_of(o, "weights") == OPT_FLAG && opt_text(o, "resume"))
        return rn_fail(RN_EUSAGE, "--weights begins a run, --resume goes on with one; give one");
    if (opt_source_of(o, "force") == OPT_FLAG && opt_switch(o, "force") && !opt_text(o, "resume"))
        return rn_fail(RN_EUSAGE, "--force needs --resume");
    if ((st = tool_preview_check(opt_text(o, "preview")))) return st;
    if ((st = tool_file_check(opt_text(o, "preview")))) return st;
    if (earlier) st = tool_train_adopt_run(o, earlier, &s->resumed);
    if (!st) st = prepare(s);
    if (st) return st;
    begin_progress(s);
    if (opt_text(o, "preview") && (st = preview(s))) return st;
    if (opt_switch(o, "dry-run")) return tool_dry_run(&s->config, &s->device, s->arguments, s->json);
    tool_stop_catch();
    return earlier ? verify(s) : train(s);
}

static void end(struct session *s)
{
    rn_run_close(s->run);
    rn_trainer_free(s->trainer);
    rn_checkpoint_free(s->file);
    rn_value_free(s->arguments);
    rn_text_free(&s->origin);
    rn_free(s->resumed);
    rn_dataset_close(s->data);
    tool_device_close(&s->device);
    tool_profile_close(&s->profile);
    opt_end(&s->o);
}

int main(int argc, char **argv)
{
    static struct session s;
    tool_save_catch(); /* before there is something to save, the signal is not to end the program */
    opt_begin(&s.o, "train", "trains, fine-tunes, resumes a ResNet");
    opt_add(&s.o, tool_train_rows, tool_train_rows_count);
    opt_add(&s.o, opt_net, opt_net_count);
    opt_add(&s.o, opt_common, opt_common_count);
    rn_status st = opt_parse(&s.o, argc, argv);
    if (!st && opt_switch(&s.o, "help")) opt_print_help(&s.o);
    else if (!st && opt_switch(&s.o, "version")) opt_print_version(&s.o);
    else if (!st) st = run(&s);
    if (s.progress.drawn) fputs("\n", stderr);
    int code = tool_exit("train", st);
    end(&s);
    return st == RN_EINTR && tool_stop_asked(NULL) ? 128 + tool_stop_asked(NULL) : code;
}
