/*
 * parse.c - where settings come from: flags, then preset and config files, then the environment, then
 * defaults.  Sources are read in that order and a weaker one never replaces a stronger.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/cli/private.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/threads.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What people call our flags who come from other training programs. */
static const char *const elsewhere[][2] = {
    { "learning-rate", "lr" },  { "wd", "weight-decay" },     { "model", "arch" },
    { "optimizer", "opt" },     { "data-path", "data" },      { "data-dir", "data" },
    { "output-dir", "output" }, { "device", "backend" },      { "scheduler", "lr-scheduler" },
    { "classes", "num-classes" }, { "img-size", "image-size" }, { "batch", "batch-size" },
};

void opt_suggest(char *out, size_t max, const struct opt_set *o, const char *word, const char *dashes)
{
    const char *candidate[OPT_LIMIT + RN_COUNT(elsewhere)];
    size_t count = 0;
    for (size_t i = 0; i < o->rows; i++) candidate[count++] = o->row[i]->name;
    for (size_t i = 0; i < RN_COUNT(elsewhere); i++)
        if (opt_row(o, elsewhere[i][1], strlen(elsewhere[i][1])) >= 0) candidate[count++] = elsewhere[i][0];
    const char *nearest = rn_nearest(word, candidate, count);
    for (size_t i = 0; nearest && i < RN_COUNT(elsewhere); i++)
        if (!strcmp(nearest, elsewhere[i][0])) nearest = elsewhere[i][1];
    if (nearest) snprintf(out, max, "did you mean %s%s?", dashes, nearest);
    else snprintf(out, max, "--help lists what there is");
}

static rn_status unknown_flag(const struct opt_set *o, const char *name, size_t length)
{
    char word[64], shown[80], hint[128];
    snprintf(word, sizeof word, "%.*s", (int)RN_MIN(length, sizeof word - 1), name);
    opt_suggest(hint, sizeof hint, o, word, "--");
    return rn_fail(RN_EUSAGE, "unknown flag --%s; %s", rn_printable(shown, sizeof shown, word, strlen(word)),
                   hint);
}

/* Finds the row of --name or, for a switch, --no-name (*off). */
static int find_flag(const struct opt_set *o, const char *name, size_t length, bool *off)
{
    int row = opt_row(o, name, length);
    *off = false;
    if (row >= 0 || length < 4 || strncmp(name, "no-", 3)) return row;
    row = opt_row(o, name + 3, length - 3);
    *off = row >= 0 && o->row[row]->type == OPT_SWITCH;
    return *off ? row : -1;
}

/* One flag at argv[*i], its value in the same word or the next. */
static rn_status parse_flag(struct opt_set *o, int *i, int argc, char **argv)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '='), *value = equals ? equals + 1 : NULL;
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    bool off;
    int row = find_flag(o, name, length, &off);
    if (row < 0) return unknown_flag(o, name, length);

    char where[80];
    snprintf(where, sizeof where, "--%s%s", off ? "no-" : "", o->row[row]->name);
    if (o->row[row]->type == OPT_SWITCH) {
        if (off && value) return rn_fail(RN_EUSAGE, "%s takes no value", where);
        return opt_assign(o, row, off ? "false" : value ? value : "true", OPT_FLAG, where);
    }
    if (!value) {
        if (*i + 1 >= argc) return rn_fail(RN_EUSAGE, "%s needs a value", where);
        value = argv[++*i];
        if (!strncmp(value, "--", 2))
            return rn_fail(RN_EUSAGE, "%s needs a value, and %.60s is a flag (%s=%.60s if it is meant)", where,
                           value, where, value);
    }
    return opt_assign(o, row, value, OPT_FLAG, where);
}

static rn_status parse_positional(struct opt_set *o, const char *word)
{
    if (o->positionals < RN_MIN(o->max_positionals, (int)RN_COUNT(o->positional))) {
        char *copy = rn_strdup(word);
        if (!copy) return RN_ENOMEM;
        o->positional[o->positionals++] = copy;
        return RN_OK;
    }
    char shown[80], hint[128];
    opt_suggest(hint, sizeof hint, o, word + strspn(word, "-"), "--");
    rn_printable(shown, sizeof shown, word, strlen(word));
    if (o->max_positionals)
        return rn_fail(RN_EUSAGE, "\"%s\" is one name too many: %d are taken", shown, o->max_positionals);
    return rn_fail(RN_EUSAGE, "\"%s\" is not a flag; %s", shown, hint);
}

/* *done: --help or --version stands there, and nothing else matters. */
static rn_status parse_flags(struct opt_set *o, bool *done, int argc, char **argv)
{
    bool flags = true;
    for (int i = 1; i < argc; i++) {
        rn_status status;
        const char *word = argv[i];
        if (flags && !strcmp(word, "-h")) word = "--help";
        if (flags && (!strcmp(word, "--help") || !strcmp(word, "--version"))) {
            *done = true;
            return opt_assign(o, opt_row(o, word + 2, strlen(word + 2)), "true", OPT_FLAG, word);
        }
        if (flags && !strcmp(word, "--")) {
            flags = false;
            continue;
        }
        if (flags && !strncmp(word, "--", 2)) status = parse_flag(o, &i, argc, argv);
        else status = parse_positional(o, word);
        if (status) return status;
    }
    return RN_OK;
}

/* -- environment ---------------------------------------------------------------------------------- */

/* OMP_NUM_THREADS may be a list, one number a level; the first is ours.  A malformed one comes from
 * elsewhere, often from a job script, so it is said and passed over instead of refused. */
static rn_status read_threads(struct opt_set *o)
{
    const char *text = getenv("OMP_NUM_THREADS");
    int row = opt_row(o, "threads", 7);
    if (row < 0 || o->value[row]) return RN_OK;
    char first[32], number[32];
    int64_t threads = 0;
    if (text && *text) {
        snprintf(first, sizeof first, "%.*s", (int)RN_MIN(strcspn(text, ","), sizeof first - 1), text);
        if (rn_parse_int(&threads, first) && threads >= 1 && threads <= RN_MAX_THREADS)
            return opt_assign(o, row, first, OPT_ENVIRONMENT, "OMP_NUM_THREADS");
        char shown[64];
        fprintf(stderr, "%s: OMP_NUM_THREADS=%s is not a number from 1 to %d; using all CPUs\n", o->program,
                rn_printable(shown, sizeof shown, text, strlen(text)), RN_MAX_THREADS);
    }
    snprintf(number, sizeof number, "%d", RN_MIN(rn_cpu_count(), RN_MAX_THREADS));
    return opt_assign(o, row, number, OPT_DEFAULT, "CPUs");
}

static rn_status read_environment(struct opt_set *o)
{
    const char *isa = getenv("RESNET_ISA");
    int row = opt_row(o, "isa", 3);
    if (isa && *isa && row >= 0 && !o->value[row]) {
        rn_status status = opt_assign(o, row, isa, OPT_ENVIRONMENT, "RESNET_ISA");
        if (status) return status;
    }
    return read_threads(o);
}

/* The config file comes second: it is the more particular of the two, and the later one counts. */
static rn_status read_files(struct opt_set *o)
{
    int preset = opt_row(o, "preset", 6), config = opt_row(o, "config", 6);
    rn_status status = RN_OK;
    if (preset >= 0 && o->value[preset]) status = opt_read_preset(o, o->value[preset]);
    if (!status && config >= 0 && o->value[config]) status = opt_read_config(o, o->value[config]);
    return status;
}

static rn_status read_defaults(struct opt_set *o)
{
    for (size_t i = 0; i < o->rows; i++) {
        const struct opt *row = o->row[i];
        const char *text = row->fallback ? row->fallback : row->type == OPT_SWITCH ? "false" : NULL;
        if (o->value[i] || !text) continue;
        rn_status status = opt_assign(o, (int)i, text, OPT_DEFAULT, row->name);
        if (status) return status;
    }
    return RN_OK;
}

rn_status opt_parse(struct opt_set *o, int argc, char **argv)
{
    bool done = false;
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit is a failed write (exit 4), not the end */
#endif
    rn_status status = parse_flags(o, &done, argc, argv);
    if (!status && !done) status = read_files(o);
    if (!status && !done) status = read_environment(o);
    return status ? status : read_defaults(o);
}
