/*
 * report.c - ./report: what a run folder holds, as a page to hand in.  What the folder lacks of figures is
 * measured first, unless that is not wanted; several folders stand side by side.
 */
#include "base/file.h"
#include "base/mem.h"
#include "tools/experiments/experiments.h"
#include "tools/report/report.h"

#include <stdio.h>
#include <string.h>

#define FOLDERS 8

static const struct opt rows[] = {
    { "batch-sizes", OPT_INTS, "1,8,16,32,64", 1, 65536, NULL, "LIST", "images a call of the timed inference",
      "Measurement" },
    { "warmup", OPT_INT, "10", 0, 1000000, NULL, "N", "calls that are not timed", "Measurement" },
    { "runs", OPT_INT, "100", 1, 1000000, NULL, "N", "calls that are timed", "Measurement" },
    { "data", OPT_TEXT, NULL, 0, 0, NULL, "WHAT", "where the test images are now; default: where the run had them",
      "Measurement" },
    { "limit", OPT_INT, "0", 0, 1e9, NULL, "N", "evaluate the first N test images; 0: all", "Measurement" },
    { "positive-class", OPT_TEXT, NULL, 0, 0, NULL, "CLASS",
      "two classes: name or number of the one that is looked for; default: the second", "Measurement" },
    { "target-sensitivity", OPT_REAL, NULL, 0, 1, NULL, "X",
      "two classes: decide by the highest threshold that finds this share of the positive validation images, "
      "0.98 for 98 %", "Measurement" },
    { "measure", OPT_SWITCH, "true", 0, 0, NULL, NULL,
      "--no-measure reports what the folders hold, and says N/A to the rest", "Measurement" },
    { "experiments", OPT_TEXT, NULL, 0, 0, NULL, "DIR",
      "instead of a report: DIR/summary.html, .md and .csv of what `make experiments` ran there", "Output" },
    { "output", OPT_TEXT, NULL, 0, 0, NULL, "DIR", "folder of the report; default: the first run's", "Output" },
    { "json", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "the paths of the files written, as one JSON object on stdout",
      "Output" },
};

/* Writes FOLDER/report.KIND, and its path into *result: a line, or a key of an object. */
static rn_status write_one(const char *folder, const char *kind, const struct rn_text *t, struct rn_text *result,
                           bool json)
{
    char name[16], *path;
    snprintf(name, sizeof name, "report.%s", kind);
    if (!(path = rn_path_join(folder, name))) return RN_ENOMEM;
    rn_status st = rn_text_status(t);
    if (!st) st = rn_file_write(path, t->data, t->length);
    if (json) {
        rn_text_add(result, "%s\"%s\": ", result->length ? ", " : "{", kind);
        rn_text_json(result, path);
    } else {
        rn_text_add(result, "%s\n", path);
    }
    rn_free(path);
    return st;
}

static rn_status write_all(const struct report_page *p, const struct opt_set *o)
{
    const char *folder = opt_text(o, "output");
    const bool json = opt_switch(o, "json");
    struct rn_text result = { 0 };
    rn_status st = folder ? rn_folder_make(folder) : RN_OK;
    if (st == RN_EINPUT) st = rn_fail(RN_EIO, "%s", rn_error());
    if (!folder) folder = o->positional[0];
    if (!st) st = write_one(folder, "html", &p->html, &result, json);
    if (!st) st = write_one(folder, "md", &p->md, &result, json);
    if (!st) st = write_one(folder, "txt", &p->txt, &result, json);
    if (!st) st = rn_text_status(&result);
    if (!st && (json || !opt_switch(o, "quiet"))) printf("%s%s", result.data, json ? "}\n" : "");
    rn_text_free(&result);
    return st;
}

static rn_status run(struct opt_set *o)
{
    if (opt_text(o, "experiments")) {
        if (o->positionals) return rn_fail(RN_EUSAGE, "--experiments has its own folder, and takes no other");
        if (opt_given(o, "output"))
            return rn_fail(RN_EUSAGE, "--experiments and --output: the summary stands beside the runs");
        return experiments_report(opt_text(o, "experiments"), o);
    }
    struct report_run *r = rn_alloc_array(FOLDERS, sizeof *r);
    struct report_page page = { .into = 0 };
    int runs = 0;
    rn_status st = r ? RN_OK : RN_ENOMEM;
    if (!st && !o->positionals) st = rn_fail(RN_EUSAGE, "give the folders of one or more runs: ./report runs/NAME");
    for (; !st && runs < o->positionals; runs++) st = report_run_read(&r[runs], o->positional[runs]);
    if (!st) st = report_measure(r, runs, o);
    if (!st) report_compose(&page, r, runs);
    if (!st) st = write_all(&page, o);
    for (int i = 0; i < runs; i++) report_run_free(&r[i]);
    rn_text_free(&page.html);
    rn_text_free(&page.md);
    rn_text_free(&page.txt);
    rn_free(r);
    return st;
}

int main(int argc, char **argv)
{
    const struct tool report = {
        .name = "report", .summary = "turns run folders into one self-contained page", .run = run,
        .table = { { opt_common, opt_common_count }, { rows, RN_COUNT(rows) } }, .positionals = FOLDERS,
    };
    return tool_main(&report, argc, argv);
}
