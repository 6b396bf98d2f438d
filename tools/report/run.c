/* run.c - reads a run folder: settings, epochs, results, hashes, and which checkpoint is the best. */
#define _POSIX_C_SOURCE 200809L

#include "tools/report/report.h"

#include "base/file.h"
#include "base/mem.h"
#include "net/graph.h"
#include "tools/cli/private.h"
#include "tools/train/settings.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TABLE_LIMIT ((size_t)64 << 20)
#define FOLDERS_DEEP 2 /* that checkpoints may lie below checkpoints/ */

/* -- tables ------------------------------------------------------------------------------------ */

static size_t lines_of(const char *text)
{
    size_t n = 0;
    for (; (text = strchr(text, '\n')); text++) n++;
    return n;
}

/* The next line, its end cut off; NULL: there is none that has an end. */
static char *next_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (!end) return NULL;
    *end = '\0';
    *text = end + 1;
    return line;
}

/* A number, or one of the words that stand for none. */
static bool read_cell(double *x, const char *text)
{
    *x = NAN;
    if (!strcmp(text, "nan") || !strcmp(text, "inf") || !strcmp(text, "-inf") || !strcmp(text, "-nan")) return true;
    return strlen(text) < REPORT_DIGITS && rn_parse_double(x, text);
}

static bool read_epoch(struct report_epoch *e, char *line)
{
    for (int i = 0; i < REPORT_COLUMNS; i++) {
        char *comma = line ? strchr(line, ',') : NULL;
        if (!line) return false;
        if (comma) *comma = '\0';
        if (!read_cell(&e->x[i], line)) return false;
        e->digits[i] = line;
        line = comma ? comma + 1 : NULL;
    }
    return e->x[REPORT_EPOCH] >= 1 && e->x[REPORT_EPOCH] <= INT32_MAX;
}

static rn_status read_epochs(struct report_run *r, const char *path)
{
    static const char head[] = "epoch,train_loss,train_acc,val_loss,val_acc,lr,images,seconds,images_per_second,"
                               "peak_rss_mb";
    unsigned char *data = NULL;
    size_t bytes;
    rn_status st = rn_file_read(&data, &bytes, path, TABLE_LIMIT);
    r->csv = (char *)data;
    if (st) return st;
    char *at = r->csv, *line;
    if (!(r->epoch = rn_alloc_array(lines_of(at) + 1, sizeof *r->epoch))) return RN_ENOMEM;
    if (!(line = next_line(&at)) || strncmp(line, head, sizeof head - 1))
        return rn_fail(RN_EINPUT, "%s: its first line does not begin with %s", path, head);
    for (; (line = next_line(&at)); r->epochs++) {
        struct report_epoch *e = &r->epoch[r->epochs];
        if (!read_epoch(e, line) || (r->epochs && e->x[REPORT_EPOCH] <= e[-1].x[REPORT_EPOCH]))
            return rn_fail(RN_EINPUT, "%s: line %d is not that of an epoch", path, r->epochs + 2);
        if (r->best < 0 || e->x[REPORT_VAL_ACC] > r->epoch[r->best].x[REPORT_VAL_ACC]) r->best = r->epochs;
    }
    return *at ? rn_fail(RN_EINPUT, "%s: its last line has no end", path) : RN_OK;
}

/* The weights of the best epoch: `epoch 8 step 320 loss 0x... weights 3f9a...`. */
static rn_status read_hashes(struct report_run *r, const char *path)
{
    unsigned char *data = NULL;
    size_t bytes;
    char begin[40], *at, *line;
    if (r->best < 0 || !rn_path_exists(path)) return RN_OK;
    rn_status st = rn_file_read(&data, &bytes, path, TABLE_LIMIT);
    if (st) return st;
    snprintf(begin, sizeof begin, "epoch %.0f step ", r->epoch[r->best].x[REPORT_EPOCH]);
    for (at = (char *)data; (line = next_line(&at));) {
        const char *hash = strstr(line, " weights ");
        uint64_t number;
        if (strncmp(line, begin, strlen(begin)) || !hash || !rn_parse_hash(&number, hash + 9)) continue;
        snprintf(r->best_hash, sizeof r->best_hash, "%s", hash + 9);
    }
    rn_free(data);
    return RN_OK;
}

rn_status report_roc_read(struct report_run *r)
{
    unsigned char *data = NULL;
    size_t bytes;
    char *path = rn_path_join(r->folder, "roc.csv"), *at, *line;
    rn_status st = path ? RN_OK : RN_ENOMEM;
    if (st || !rn_path_exists(path)) goto done;
    if ((st = rn_file_read(&data, &bytes, path, TABLE_LIMIT))) goto done;
    at = (char *)data;
    rn_free(r->roc);
    r->roc_points = 0;
    if (!(r->roc = rn_alloc_array(lines_of(at) + 1, sizeof *r->roc))) st = RN_ENOMEM;
    line = st ? NULL : next_line(&at);
    if (!st && (!line || !strstr(line, "sensitivity,specificity"))) st = rn_fail(RN_EINPUT, "%s: no ROC curve", path);
    for (int n = 2; !st && (line = next_line(&at)); n++) {
        char *last = strrchr(line, ','), *previous;
        if (last) *last = '\0';
        previous = last ? strrchr(line, ',') : NULL;
        double *point = r->roc[r->roc_points];
        if (previous && (!previous[1] || !last[1])) continue; /* a class without images */
        if (!previous || !rn_parse_double(&point[1], previous + 1) || !rn_parse_double(&point[0], last + 1) ||
            !(point[0] >= 0 && point[0] <= 1 && point[1] >= 0 && point[1] <= 1))
            st = rn_fail(RN_EINPUT, "%s: line %d is no point of a ROC curve", path, n);
        point[0] = 1 - point[0];
        r->roc_points++;
    }
done:
    rn_free(data);
    rn_free(path);
    return st;
}

/* -- checkpoints ------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && !strcmp(name + n - m, end);
}

/* The first by name of those that end so, in the folder or below it. */
static char *find_checkpoint(const char *folder, const char *end, int deep)
{
    char *found = NULL;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *path = e->d_name[0] == '.' ? NULL : rn_path_join(folder, e->d_name), *inner = NULL;
        if (path && deep > 0 && rn_folder_exists(path)) inner = find_checkpoint(path, end, deep - 1);
        else if (path && ends_in(path, end)) inner = rn_strdup(path);
        rn_free(path);
        if (found && inner && strcmp(inner, found) < 0) {
            rn_free(found);
            found = NULL;
        }
        if (!found) found = inner;
        else rn_free(inner);
    }
    if (dir) closedir(dir);
    return found;
}

static void choose_checkpoint(struct report_run *r)
{
    char *folder = rn_path_join(r->folder, "checkpoints");
    struct stat info;
    if (folder) r->checkpoint = find_checkpoint(folder, "_best.pth", FOLDERS_DEEP);
    if (folder && !r->checkpoint) r->checkpoint = find_checkpoint(folder, "_last.pth", FOLDERS_DEEP);
    if (r->checkpoint && !stat(r->checkpoint, &info)) r->checkpoint_bytes = (int64_t)info.st_size;
    rn_free(folder);
    rn_error_clear();
}

/* -- the rest ---------------------------------------------------------------------------------- */

static void tell_time(struct report_run *r)
{
    struct stat info;
    time_t when = r->summary.path && !stat(r->summary.path, &info) ? info.st_mtime : time(NULL);
    struct tm utc;
    r->when[0] = '\0';
    if (gmtime_r(&when, &utc)) strftime(r->when, sizeof r->when, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void name_run(struct report_run *r)
{
    size_t end = strlen(r->folder), begin;
    while (end > 1 && r->folder[end - 1] == '/') end--;
    for (begin = end; begin > 0 && r->folder[begin - 1] != '/';) begin--;
    rn_printable(r->name, sizeof r->name, r->folder + begin, end - begin);
}

static rn_status count_trainable(struct report_run *r)
{
    struct rn_graph g;
    rn_status st = rn_graph_build(&g, &r->net);
    if (st) return st;
    for (int i = 0; i < g.params; i++)
        if (g.param[i].trainable && !rn_frozen_by(opt_text(&r->conf, "freeze"), &g.param[i]))
            r->trainable += (int64_t)g.param[i].count;
    rn_graph_free(&g);
    return RN_OK;
}

/* The net of args.conf; one that has no name there is left to the checkpoint. */
static void tell_net(struct report_run *r)
{
    static const char *const needed[] = { "arch", "stem", "num-classes", "image-size" };
    rn_status st = RN_OK;
    for (size_t i = 0; i < RN_COUNT(needed); i++)
        if (!opt_text(&r->conf, needed[i])) st = rn_fail(RN_EINPUT, "args.conf has no %s", needed[i]);
    r->net = (struct rn_net_config){ .eval_batch = 1 };
    if (!st) st = tool_net(&r->net, &r->conf);
    if (!st) st = count_trainable(r);
    if (!st) st = rn_layers(&r->layer, &r->layers, &r->net);
    if (st) snprintf(r->why_net, sizeof r->why_net, "%s", rn_error());
    rn_error_clear();
}

static rn_status read_conf(struct report_run *r)
{
    char *path = rn_path_join(r->folder, "args.conf");
    opt_begin(&r->conf, "report", "");
    opt_add(&r->conf, tool_train_rows, tool_train_rows_count);
    opt_add(&r->conf, opt_net, opt_net_count);
    opt_add(&r->conf, opt_common, opt_common_count);
    rn_status st = path ? opt_read_config(&r->conf, path) : RN_ENOMEM;
    if (st == RN_EUSAGE) { /* here it is a file that cannot be used, not what the user said */
        char why[600];
        snprintf(why, sizeof why, "%s", rn_error());
        st = rn_fail(RN_EINPUT, "%s", why);
    }
    rn_free(path);
    return st;
}

static rn_status read_tables(struct report_run *r)
{
    char *csv = rn_path_join(r->folder, "results.csv"), *hashes = rn_path_join(r->folder, "hashes.txt");
    rn_status st = csv && hashes ? read_epochs(r, csv) : RN_ENOMEM;
    if (!st) st = read_hashes(r, hashes);
    rn_free(csv);
    rn_free(hashes);
    return st;
}

rn_status report_run_read(struct report_run *r, const char *folder)
{
    *r = (struct report_run){ .folder = folder, .best = -1 };
    if (!rn_folder_exists(folder)) return rn_fail(RN_EINPUT, "%s: there is no such folder", folder);
    name_run(r);
    rn_status st = read_conf(r);
    if (!st) st = read_tables(r);
    if (!st) st = report_json_read(&r->summary, folder, "summary.json");
    if (!st) st = report_json_read(&r->evaluation, folder, "evaluation.json");
    if (!st && r->evaluation.root) st = report_check_evaluation(&r->evaluation);
    if (!st) st = report_json_read(&r->bench, folder, "bench.json");
    if (!st && r->bench.root) st = report_check_bench(&r->bench);
    if (!st) st = report_json_read(&r->missed, folder, "misclassified.json");
    if (!st && r->missed.root) st = report_check_missed(&r->missed);
    if (!st) st = report_roc_read(r);
    if (st) return st;
    const char *build = report_string(r->summary.root, "build");
    if (build) rn_printable(r->build, sizeof r->build, build, strlen(build));
    choose_checkpoint(r);
    tell_time(r);
    tell_net(r);
    return RN_OK;
}

void report_run_free(struct report_run *r)
{
    report_json_free(&r->summary);
    report_json_free(&r->evaluation);
    report_json_free(&r->bench);
    report_json_free(&r->missed);
    opt_end(&r->conf);
    rn_free(r->csv);
    rn_free(r->epoch);
    rn_free(r->roc);
    rn_free(r->checkpoint);
    rn_free(r->layer);
}
