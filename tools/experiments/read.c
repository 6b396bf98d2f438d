/* read.c - what the experiments left in their folder. */
#include "tools/experiments/experiments.h"

#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_LIMIT ((size_t)1 << 20)

const struct experiment_kind experiment_kinds[EXPERIMENTS] = {
    { "exp1", "Exp 1", "CPU, one thread" },
    { "exp2", "Exp 2", "CPU, six threads, loader workers" },
    { "exp3", "Exp 3", "GPU, FP32" },
    { "exp4", "Exp 4", "mixed precision, the batch of the sweep" },
    { "exp5", "Exp 5", "GPU, mixed precision, fixed batch" },
    { "exp5-cpu", "Exp 5 on a CPU", "CPU, mixed precision, fixed batch" },
};
const char *const experiment_stems[EXPERIMENT_STEMS] = { "imagenet", "cifar" };

/* -- one experiment ---------------------------------------------------------------------------- */

/* The reason in NAME.na: its first line.  No such file: "". */
static rn_status read_reason(char *why, size_t max, const char *folder, const char *name)
{
    char file[40];
    unsigned char *text = NULL;
    size_t bytes;
    snprintf(file, sizeof file, "%s.na", name);
    char *path = rn_path_join(folder, file);
    rn_status st = path ? RN_OK : RN_ENOMEM;
    *why = '\0';
    if (!st && rn_path_exists(path) && !(st = rn_file_read(&text, &bytes, path, TEXT_LIMIT))) {
        rn_printable(why, max, text, strcspn((char *)text, "\r\n"));
        if (!*why) st = rn_fail(RN_EINPUT, "%s: it gives no reason", path);
    }
    rn_free(text);
    rn_free(path);
    return st;
}

/* The path of profiler_KEY_ENDING in the folder, if there is such a file: *path stays NULL otherwise. */
static rn_status find_profile(char **path, const char *folder, const char *key, const char *ending)
{
    char file[64];
    snprintf(file, sizeof file, "profiler_%s_%s", key, ending);
    char *found = rn_path_join(folder, file);
    if (!found) return RN_ENOMEM;
    if (rn_path_exists(found)) *path = found;
    else rn_free(found);
    return RN_OK;
}

static rn_status need(const struct report_run *r, const char *key)
{
    const struct rn_value *v = rn_dict_get(r->summary.root, key);
    if (v && (v->kind == RN_INT || v->kind == RN_REAL)) return RN_OK;
    return rn_fail(RN_EINPUT, "%s: \"%s\" is not a number", r->summary.path, key);
}

static rn_status check_run(struct experiment *x, const char *stem)
{
    static const char *const number[] = { "steps", "epochs", "val_acc", "best_acc", "images_per_second",
                                          "seconds", "peak_rss_mb", "threads" };
    const struct report_run *r = &x->run;
    const char *hash = report_string(r->summary.root, "weights_hash");
    char digits[REPORT_DIGITS];
    uint64_t weights;
    rn_status st = RN_OK;
    for (size_t i = 0; !st && i < RN_COUNT(number); i++) st = need(r, number[i]);
    if (st) return st;
    if (!hash || !rn_parse_hash(&weights, hash))
        return rn_fail(RN_EINPUT, "%s: \"weights_hash\" is not 1 to 16 hex digits", r->summary.path);
    if (!r->epochs) return rn_fail(RN_EINPUT, "%s: results.csv has no epoch", r->folder);
    if (!opt_text(&r->conf, "stem") || strcmp(opt_text(&r->conf, "stem"), stem))
        return rn_fail(RN_EINPUT, "%s/args.conf: its stem is not %s", r->folder, stem);
    report_number(digits, &x->rate, &r->summary, r->summary.root, "images_per_second");
    for (int i = 0; i < r->epochs; i++) x->epoch += r->epoch[i].x[REPORT_SECONDS] / r->epochs;
    return RN_OK;
}

/* A run that has no summary.json yet is one that was not finished. */
static rn_status read_run(struct experiment *x, const char *key, const char *stem)
{
    char *path = rn_path_join(x->folder, "summary.json");
    if (!path) return RN_ENOMEM;
    const bool done = rn_path_exists(path);
    rn_free(path);
    if (!done) {
        snprintf(x->why, sizeof x->why, "not run to its end");
        return RN_OK;
    }
    rn_status st = report_run_read(&x->run, x->folder);
    x->ran = true;
    if (!st) st = check_run(x, stem);
    if (!st) st = find_profile(&x->summary, x->folder, key, "summary.txt");
    if (!st) st = find_profile(&x->trace, x->folder, key, "trace.json");
    if (!st && x->summary) st = experiment_profile_read(&x->profile, x->summary);
    return st;
}

static rn_status read_one(struct experiment *x, const char *folder, const struct experiment_kind *kind, int stem)
{
    snprintf(x->name, sizeof x->name, "%s%s", kind->key, stem ? "-cifar" : "");
    if (!(x->folder = rn_path_join(folder, x->name))) return RN_ENOMEM;
    const char *preset = strcmp(kind->key, "exp5-cpu") ? kind->key : "exp5";
    if (rn_folder_exists(x->folder)) return read_run(x, preset, experiment_stems[stem]);
    rn_status st = read_reason(x->why, sizeof x->why, folder, x->name);
    if (!st && !*x->why) snprintf(x->why, sizeof x->why, "not run");
    return st;
}

/* -- the rest ---------------------------------------------------------------------------------- */

static rn_status read_sweep(struct experiments *e, int stem)
{
    const char *name = stem ? "exp4-cifar_batches.json" : "exp4_batches.json";
    rn_status st = report_json_read(&e->sweep[stem], e->folder, name);
    return st || !e->sweep[stem].root ? st : report_check_bench(&e->sweep[stem]);
}

static rn_status read_machine(struct experiments *e)
{
    unsigned char *text = NULL;
    size_t bytes;
    char *path = rn_path_join(e->folder, "machine.txt");
    rn_status st = path ? RN_OK : RN_ENOMEM;
    if (!st && rn_path_exists(path)) st = rn_file_read(&text, &bytes, path, TEXT_LIMIT);
    e->machine = (char *)text;
    for (char *line = e->machine; !st && line && *line; ) {
        char *end = line + strcspn(line, "\n"), *colon = strstr(line, ": ");
        const bool last = !*end;
        *end = '\0';
        if (!colon || colon > end) st = rn_fail(RN_EINPUT, "%s: line %d is not `key: value`", path, e->facts + 1);
        else if (e->facts == EXPERIMENT_FACTS)
            st = rn_fail(RN_EINPUT, "%s: it has more than %d lines", path, EXPERIMENT_FACTS);
        else {
            *colon = '\0';
            e->fact[e->facts++] = (struct experiment_fact){ line, colon + 2 };
        }
        line = last ? end : end + 1;
    }
    rn_free(path);
    return st;
}

rn_status experiments_read(struct experiments *e, const char *folder)
{
    *e = (struct experiments){ .folder = folder };
    if (!rn_folder_exists(folder)) return rn_fail(RN_EINPUT, "%s: there is no such folder", folder);
    rn_status st = RN_OK;
    bool any = false;
    for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) {
        for (int k = 0; !st && k < EXPERIMENTS; k++) {
            st = read_one(&e->row[k][stem], folder, &experiment_kinds[k], stem);
            any = any || e->row[k][stem].ran;
        }
        if (!st) st = read_sweep(e, stem);
        any = any || e->sweep[stem].root;
    }
    if (!st) st = read_machine(e);
    if (!st && !any) st = rn_fail(RN_EINPUT, "%s: no experiment has ended there; make experiments runs them", folder);
    return st;
}

void experiments_free(struct experiments *e)
{
    for (int k = 0; k < EXPERIMENTS; k++) {
        for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) {
            struct experiment *x = &e->row[k][stem];
            if (x->ran) report_run_free(&x->run);
            rn_free(x->summary);
            rn_free(x->trace);
            rn_free(x->folder);
        }
    }
    for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) report_json_free(&e->sweep[stem]);
    rn_free(e->machine);
}

enum experiment_same experiments_same(const struct experiments *e, int stem)
{
    static const char *const key[] = { "data", "stem", "batch-size", "epochs", "limit-train", "numerics", "seed",
                                       "lr", "augment" };
    const struct experiment *a = &e->row[0][stem], *b = &e->row[1][stem];
    if (!a->ran || !b->ran) return SAME_UNKNOWN;
    for (size_t i = 0; i < RN_COUNT(key); i++) {
        const char *of_a = opt_text(&a->run.conf, key[i]), *of_b = opt_text(&b->run.conf, key[i]);
        if (strcmp(of_a ? of_a : "", of_b ? of_b : "")) return SAME_OTHER_SETTINGS;
    }
    const char *of_a = report_string(a->run.summary.root, "weights_hash");
    return strcmp(of_a, report_string(b->run.summary.root, "weights_hash")) ? SAME_NO : SAME_YES;
}

double experiment_speedup(const struct experiments *e, int kind, int stem)
{
    const struct experiment *x = &e->row[kind][stem], *first = &e->row[0][stem];
    return x->ran && first->ran && first->rate > 0 ? x->rate / first->rate : NAN;
}

const char *experiment_below(const struct experiments *e, const char *path)
{
    path += strlen(e->folder);
    return path + strspn(path, "/");
}
