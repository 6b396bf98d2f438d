#define _POSIX_C_SOURCE 200809L
/*
 * run.c - the folder that a run leaves behind: args.conf, results.csv, hashes.txt, log.txt,
 * summary.json, checkpoints/NAME_best.pth and NAME_last.pth, on request the table under a second name
 * and TensorBoard's events.  Tables are replaced whole, never half-written; the log only grows.
 */
#include "train/train.h"
#include "base/file.h"
#include "base/mem.h"
#include "observe/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_LIMIT ((size_t)64 << 20) /* bytes of an earlier run's results.csv or hashes.txt */
#define SUMMARY_LIMIT ((size_t)1 << 20)

static const char csv_head[] = "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,"
                               "images_per_second,peak_rss_mb\n";

struct rn_run {
    char *folder, *last, *best, *csv_path, *csv_copy, *hashes_path, *log_path, *summary_path;
    struct rn_text csv, hashes;
    struct rn_events *events; /* or NULL */
    int64_t first;            /* steps done before this folder's first */
};

/* -- paths ------------------------------------------------------------------------------------- */

/* `levels` path components up from path: 2 turns RUN/checkpoints/X.pth into RUN. */
static char *folder_above(const char *path, int levels)
{
    char *folder = rn_strdup(path);
    if (!folder) return NULL;
    for (int i = 0; i < levels; i++) {
        char *slash = strrchr(folder, '/');
        if (!slash) {
            rn_free(folder);
            return rn_strdup(i + 1 < levels ? ".." : ".");
        }
        while (slash > folder && *slash == '/') *slash-- = '\0';
    }
    return folder;
}

static bool holds_run(const char *folder)
{
    return rn_path_exists_in(folder, "args.conf") || rn_path_exists_in(folder, "results.csv") ||
           rn_path_exists_in(folder, "checkpoints");
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* runs/NAME, or runs/NAME-2, -3 ... whichever is the first that does not exist. */
static char *fresh_folder(const char *name)
{
    struct rn_text t = {0};
    char *folder = NULL;
    for (int i = 1; !folder && i < 1000000; i++) {
        t.length = 0;
        rn_text_add(&t, i > 1 ? "runs/%s-%d" : "runs/%s", name, i);
        if (rn_text_status(&t)) break;
        if (!rn_path_exists(t.data)) folder = rn_strdup(t.data);
    }
    rn_text_free(&t);
    return folder;
}

/* The run folder of RUN/checkpoints/X.pth, also of RUN/checkpoints/A/X.pth; where no args.conf says
 * which it is, RUN of the first form. */
static char *folder_of_checkpoint(const char *path)
{
    for (int levels = 2; levels <= 4; levels++) {
        char *folder = folder_above(path, levels);
        if (!folder || rn_path_exists_in(folder, "args.conf")) return folder;
        rn_free(folder);
    }
    return folder_above(path, 2);
}

/* Where the run goes, and whether it continues what is there. */
static rn_status choose_folder(char **folder, bool *continues, const struct rn_run_config *c)
{
    char *source = c->resume ? folder_of_checkpoint(c->resume) : NULL;
    rn_status status = RN_OK;
    *continues = false;
    if (c->output) *folder = rn_strdup(c->output);
    else if (source && rn_path_exists_in(source, "args.conf")) *folder = rn_strdup(source);
    else *folder = fresh_folder(c->place ? c->place : c->name);
    if (!*folder || (c->resume && !source)) status = RN_ENOMEM;
    else if (source && same_folder(source, *folder)) *continues = true;
    else if (holds_run(*folder) && !c->overwrite)
        status = rn_fail(RN_EUSAGE,
                         "%s holds a run: choose another --output, or --overwrite, or --resume a "
                         "checkpoint in it",
                         *folder);
    rn_free(source);
    return status;
}

/* -- tables of an earlier part of the run ------------------------------------------------------ */
static int64_t number_after(const char *line, const char *prefix)
{
    size_t skip = strlen(prefix);
    int64_t x = 0;
    if (strncmp(line, prefix, skip)) return -1;
    for (const char *p = line + skip; *p >= '0' && *p <= '9' && x < INT32_MAX; p++)
        x = 10 * x + (*p - '0');
    return x;
}

/* Keeps the lines of `path` up to this many steps and epochs; a file that is not there is empty. */
static void keep_lines(struct rn_text *out, const char *path, int64_t steps, int64_t epochs,
                       bool csv)
{
    unsigned char *data;
    size_t bytes;
    if (!rn_path_exists(path) || rn_file_read(&data, &bytes, path, TABLE_LIMIT)) return;
    const char *line = (const char *)data, *end;
    for (; (end = strchr(line, '\n')); line = end + 1) {
        int64_t step = csv ? -1 : number_after(line, "step ");
        int64_t epoch = number_after(line, csv ? "" : "epoch ");
        bool keep = step >= 0 ? step <= steps : epoch >= 1 && epoch <= epochs;
        if (keep) rn_text_bytes(out, line, (size_t)(end - line) + 1);
    }
    rn_free(data);
}

static bool is_checkpoint(const char *name)
{
    size_t n = strlen(name);
    return n > 9 && (!strcmp(name + n - 9, "_best.pth") || !strcmp(name + n - 9, "_last.pth"));
}

/* Those of an overwritten run, also a folder deeper. */
static void remove_checkpoints(const char *folder, int depth)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        char *path = rn_path_join(folder, e->d_name);
        if (path && is_checkpoint(e->d_name)) unlink(path);
        else if (path && depth > 0 && rn_folder_exists(path)) remove_checkpoints(path, depth - 1);
        rn_free(path);
    }
    closedir(dir);
}

/* What ./report measured of an overwritten run, and its pages. */
static void remove_measurements(const char *folder)
{
    static const char *const name[] = { "bench.json", "evaluation.json", "misclassified.json", "roc.csv",
                                        "report.html", "report.md", "report.txt" };
    for (size_t i = 0; i < RN_COUNT(name); i++) {
        char *path = rn_path_join(folder, name[i]);
        if (path) unlink(path);
        rn_free(path);
    }
}

/* -- opening ----------------------------------------------------------------------------------- */
static char *checkpoint_path(const char *folder, const char *name, const char *suffix)
{
    struct rn_text t = {0};
    rn_text_add(&t, "%s/%s_%s.pth", folder, name, suffix);
    if (rn_text_status(&t) == RN_OK) return t.data;
    rn_text_free(&t);
    return NULL;
}

static rn_status set_paths(struct rn_run *r, const char *checkpoints, const struct rn_run_config *c)
{
    r->last = checkpoint_path(checkpoints, c->name, "last");
    r->best = checkpoint_path(checkpoints, c->name, "best");
    r->csv_path = rn_path_join(r->folder, "results.csv");
    r->csv_copy = c->csv ? rn_path_join(r->folder, c->csv) : NULL;
    r->hashes_path = rn_path_join(r->folder, "hashes.txt");
    r->log_path = rn_path_join(r->folder, "log.txt");
    r->summary_path = rn_path_join(r->folder, "summary.json");
    bool all = r->last && r->best && r->csv_path && (r->csv_copy || !c->csv) && r->hashes_path &&
               r->log_path && r->summary_path;
    return all ? RN_OK : RN_ENOMEM;
}

static rn_status write_table(const char *path, const struct rn_text *t)
{
    rn_status status = rn_text_status(t);
    return status ? status : rn_file_write(path, t->data, t->length);
}

static rn_status write_csv(const struct rn_run *r)
{
    rn_status status = write_table(r->csv_path, &r->csv);
    return status || !r->csv_copy ? status : write_table(r->csv_copy, &r->csv);
}

/* The folder, its tables as far as they are known, args.conf, an empty log unless one is
 * continued. */
static rn_status write_first_files(struct rn_run *r, const struct rn_run_config *c, bool continues)
{
    char *conf = rn_path_join(r->folder, "args.conf");
    rn_text_bytes(&r->csv, csv_head, sizeof csv_head - 1);
    rn_text_bytes(&r->hashes, "", 0);
    if (continues) {
        keep_lines(&r->csv, r->csv_path, c->steps, c->epochs, true);
        keep_lines(&r->hashes, r->hashes_path, c->steps, c->epochs, false);
    }
    int64_t first = r->hashes.length ? rn_first_step(r->hashes.data) : 0;
    r->first = first ? first - 1 : c->steps;
    rn_status status = conf ? rn_file_write(conf, c->conf, strlen(c->conf)) : RN_ENOMEM;
    if (status == RN_OK) status = write_csv(r);
    if (status == RN_OK) status = write_table(r->hashes_path, &r->hashes);
    if (status == RN_OK && c->tensorboard)
        status = rn_events_open(&r->events, r->folder, continues ? c->steps : -1, c->pending);
    if (status == RN_OK && !(continues && rn_path_exists(r->log_path)))
        status = rn_file_write(r->log_path, "", 0);
    rn_free(conf);
    return status;
}

/* A place that cannot be written is RN_EIO, also where a file is in the way. */
static rn_status make_folder(const char *path)
{
    rn_status status = rn_folder_make(path);
    return status == RN_EINPUT ? rn_fail(RN_EIO, "%s", rn_error()) : status;
}

static rn_status make_folder_of(const char *path)
{
    char *folder = folder_above(path, 1);
    rn_status status = folder ? make_folder(folder) : RN_ENOMEM;
    rn_free(folder);
    return status;
}

rn_status rn_run_open(struct rn_run **out, const struct rn_run_config *c)
{
    *out = NULL;
    struct rn_run *r = rn_alloc(sizeof *r);
    char *checkpoints = NULL;
    bool continues = false;
    rn_status status = RN_ENOMEM;
    if (!r) return status;
    if ((status = choose_folder(&r->folder, &continues, c))) goto done;
    status = RN_ENOMEM;
    if (!(checkpoints = rn_path_join(r->folder, "checkpoints"))) goto done;
    if ((status = set_paths(r, checkpoints, c))) goto done;
    if ((status = make_folder_of(r->last))) goto done;
    if (c->overwrite && !continues) {
        remove_checkpoints(checkpoints, 2);
        remove_measurements(r->folder);
        rn_events_remove(r->folder);
    }
    status = write_first_files(r, c, continues);
done:
    rn_free(checkpoints);
    if (status) rn_run_close(r);
    else *out = r;
    return status;
}

void rn_run_close(struct rn_run *r)
{
    if (!r) return;
    rn_free(r->folder);
    rn_free(r->last);
    rn_free(r->best);
    rn_free(r->csv_path);
    rn_free(r->csv_copy);
    rn_free(r->hashes_path);
    rn_free(r->log_path);
    rn_free(r->summary_path);
    rn_events_close(r->events);
    rn_text_free(&r->csv);
    rn_text_free(&r->hashes);
    rn_free(r);
}

const char *rn_run_folder(const struct rn_run *r) { return r->folder; }
const char *rn_run_last(const struct rn_run *r) { return r->last; }
const char *rn_run_best(const struct rn_run *r) { return r->best; }

/* -- while it runs ----------------------------------------------------------------------------- */
static rn_status log_skipped(struct rn_run *r, const struct rn_step *s)
{
    struct rn_text line = {0};
    rn_skip_text(&line, s);
    rn_status status = rn_text_status(&line);
    if (!status) status = rn_run_log(r, line.data);
    rn_text_free(&line);
    return status;
}

rn_status rn_run_step(struct rn_run *r, const struct rn_step *s)
{
    rn_status status = r->events ? rn_events_step(r->events, s) : RN_OK;
    if (!status && s->skipped) status = log_skipped(r, s);
    if (status || s->step > r->first + RN_HASHED_STEPS) return status;
    rn_step_text(&r->hashes, s);
    rn_text_add(&r->hashes, "\n");
    return write_table(r->hashes_path, &r->hashes);
}

static void add_field(struct rn_text *t, double x)
{
    char text[RN_NUMBER_CHARS];
    rn_text_add(t, ",%s", rn_number_text(text, x));
}

static void add_rounded(struct rn_text *t, double x, int digits)
{
    rn_text_add(t, ",");
    rn_text_fixed(t, x, digits);
}

rn_status rn_run_epoch(struct rn_run *r, const struct rn_epoch *e)
{
    rn_text_add(&r->csv, "%" PRId64, e->epoch);
    add_field(&r->csv, e->train_loss);
    add_field(&r->csv, e->train_acc);
    add_field(&r->csv, e->val_loss);
    add_field(&r->csv, e->val_acc);
    add_field(&r->csv, e->lr);
    rn_text_add(&r->csv, ",%" PRId64, e->images);
    add_rounded(&r->csv, e->seconds, 3);
    add_rounded(&r->csv, e->images_per_second, 2);
    add_rounded(&r->csv, e->peak_rss_mb, 1);
    rn_text_add(&r->csv, "\n");
    rn_epoch_hash_text(&r->hashes, e);
    rn_text_add(&r->hashes, "\n");
    rn_status status = write_csv(r);
    if (status == RN_OK) status = write_table(r->hashes_path, &r->hashes);
    if (status == RN_OK && r->events) status = rn_events_epoch(r->events, e);
    if (status) return status;
    struct rn_text line = {0};
    rn_epoch_text(&line, e);
    status = rn_text_status(&line);
    if (status == RN_OK) status = rn_run_log(r, line.data);
    rn_text_free(&line);
    return status;
}

rn_status rn_run_log(struct rn_run *r, const char *line)
{
    FILE *f = fopen(r->log_path, "a");
    if (!f) return rn_fail(RN_EIO, "%s: %s", r->log_path, strerror(errno));
    bool written = fprintf(f, "%s\n", line) > 0;
    if (fclose(f) || !written) return rn_fail(RN_EIO, "%s: %s", r->log_path, strerror(errno));
    return RN_OK;
}

static void keep_figure(double *x, const struct rn_value *summary, const char *key)
{
    const struct rn_value *v = rn_dict_get(summary, key);
    if (v && v->kind == RN_REAL) *x = v->real;
    else if (v && v->kind == RN_INT) *x = (double)v->integer;
}

static void keep_text(char out[RN_CPU_NAME], const struct rn_value *summary, const char *key)
{
    const struct rn_value *v = rn_dict_get(summary, key);
    if (v && v->kind == RN_STRING) snprintf(out, RN_CPU_NAME, "%s", v->text);
}

void rn_run_keep_figures(const struct rn_run *r, struct rn_summary *s)
{
    unsigned char *text = NULL;
    size_t bytes;
    struct rn_value *root = NULL;
    if (!rn_path_exists(r->summary_path)) return;
    if (rn_file_read(&text, &bytes, r->summary_path, SUMMARY_LIMIT)) return;
    if (rn_json_parse(&root, (const char *)text, bytes, r->summary_path) == RN_OK) {
        const struct rn_value *steps = rn_dict_get(root, "steps");
        if (steps && steps->kind == RN_INT && steps->integer == s->steps) {
            keep_figure(&s->images_per_second, root, "images_per_second");
            keep_figure(&s->seconds, root, "seconds");
            keep_figure(&s->waited_seconds, root, "waited_seconds");
            keep_figure(&s->peak_rss_mb, root, "peak_rss_mb");
            keep_text(s->cpu, root, "cpu");
            keep_text(s->build, root, "build");
        }
    }
    rn_value_free(root);
    rn_free(text);
}

rn_status rn_run_summary(struct rn_run *r, const char *json)
{
    return rn_file_write(r->summary_path, json, strlen(json));
}
