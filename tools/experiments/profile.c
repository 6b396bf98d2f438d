/* profile.c - reads back the text tables of a profile: what docs/profiling.md describes. */
#include "tools/experiments/experiments.h"

#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_LIMIT ((size_t)16 << 20)
#define CELLS 40

/* The next line, its end cut off; NULL: there is none. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (!*line) return NULL;
    *at = end ? end + 1 : line + strlen(line);
    if (end) *end = '\0';
    return line;
}

/* Cells stand two spaces apart or more; within one there may be single ones. */
static int split(char *line, char *cell[CELLS])
{
    int cells = 0;
    for (char *at = line + strspn(line, " "); *at && cells < CELLS;) {
        cell[cells++] = at;
        char *end = strstr(at, "  ");
        if (!end) break;
        *end = '\0';
        at = end + 1 + strspn(end + 1, " ");
    }
    return cells;
}

static int find_cell(char *const *cell, int cells, const char *name)
{
    for (int i = 0; i < cells; i++)
        if (!strcmp(cell[i], name)) return i;
    return -1;
}

/* "1.168s", "29.35ms", "14.1us", "96ns" in seconds. */
static bool read_time(double *seconds, const char *text)
{
    static const struct { const char *unit; double seconds; } units[] = {
        { "ns", 1e-9 }, { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 },
    };
    char number[32];
    const size_t digits = strspn(text, "0123456789.");
    if (!digits || digits >= sizeof number) return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    for (size_t i = 0; i < RN_COUNT(units); i++) {
        if (strcmp(text + digits, units[i].unit) || !rn_parse_double(seconds, number)) continue;
        *seconds *= units[i].seconds;
        return true;
    }
    return false;
}

/* A row of the table by op. */
static bool read_op(struct experiment_profile *p, char *const *cell, int share, int total, double *most)
{
    double seconds;
    const char *name = cell[0];
    if (!read_time(&seconds, cell[total])) return false;
    if (!strcmp(name, "step")) p->steps = seconds;
    if (!strcmp(name, "aten::convolution_backward")) {
        p->backward = seconds;
        snprintf(p->share, sizeof p->share, "%s", cell[share]);
    }
    if (!strncmp(name, "aten::", 6) && seconds > *most) {
        *most = seconds;
        snprintf(p->largest, sizeof p->largest, "%s", name);
    }
    return true;
}

/* From the heading on; RN_EINPUT: a row that is none. */
static rn_status read_ops(struct experiment_profile *p, char **at, const char *path)
{
    char *cell[CELLS], *line;
    int cells = 0, share = -1, total = -1;
    double most = 0;
    while (total < 0 && (line = next_line(at))) {
        cells = split(line, cell);
        share = find_cell(cell, cells, "CPU total %");
        total = find_cell(cell, cells, "CPU total");
    }
    if (total < 0 || share < 0) return rn_fail(RN_EINPUT, "%s: its table by op has no column \"CPU total\"", path);
    next_line(at); /* the rule below the heads */
    while ((line = next_line(at)) && *line && *line != '-') {
        const int here = split(line, cell);
        if (here < RN_MAX(share, total) + 1 || !read_op(p, cell, share, total, &most))
            return rn_fail(RN_EINPUT, "%s: a row of its table by op is none: \"%.40s\"", path, line);
    }
    return line && *line == '-' ? RN_OK : rn_fail(RN_EINPUT, "%s: its table by op has no end", path);
}

/* "20 steps of 144.792 ms, 442.0 images/s; ..." */
static void read_steps(struct experiment_profile *p, char *line)
{
    char *begin = strstr(line, " steps of "), *end = begin ? strstr(begin, " ms, ") : NULL;
    if (!end) return;
    *end = '\0';
    if (!rn_parse_double(&p->step_ms, begin + 10)) p->step_ms = NAN;
    *end = ' ';
}

static void read_line(struct experiment_profile *p, char *line)
{
    static const char machine[] = "machine, measured: ", family[] = "convolution: ";
    read_steps(p, line);
    if (!strncmp(line, machine, sizeof machine - 1))
        rn_printable(p->machine, sizeof p->machine, line + sizeof machine - 1, strlen(line) - sizeof machine + 1);
    if (!strncmp(line, family, sizeof family - 1)) {
        const char *share = line + sizeof family - 1;
        snprintf(p->convolution, sizeof p->convolution, "%.*s", (int)RN_MIN(strcspn(share, " "), 12), share);
    }
}

rn_status experiment_profile_read(struct experiment_profile *p, const char *path)
{
    unsigned char *text = NULL;
    size_t bytes;
    *p = (struct experiment_profile){ .step_ms = NAN };
    rn_status st = rn_file_read(&text, &bytes, path, TEXT_LIMIT);
    char *at = (char *)text, *line;
    bool table = false;
    while (!st && (line = next_line(&at))) {
        if (!table && !strcmp(line, "By op")) {
            table = true;
            st = read_ops(p, &at, path);
        } else {
            read_line(p, line);
        }
    }
    if (!st && !table) st = rn_fail(RN_EINPUT, "%s: it has no table by op", path);
    if (!st && !(p->steps > 0)) st = rn_fail(RN_EINPUT, "%s: its table by op has no row \"step\"", path);
    if (!st && !*p->share)
        st = rn_fail(RN_EINPUT, "%s: its table by op has no row \"aten::convolution_backward\"", path);
    p->there = !st;
    rn_free(text);
    return st;
}
