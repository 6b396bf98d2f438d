/* write.c - reads the study, and leaves its summary beside the runs. */
#include "tools/experiments/experiments.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>

/* Writes FOLDER/NAME, and its path into *said: a line, or under `key` of an object. */
static rn_status write_one(struct rn_text *said, const char *folder, const char *name, const char *key,
                           const struct rn_text *t)
{
    char *path = rn_path_join(folder, name);
    rn_status st = path ? rn_text_status(t) : RN_ENOMEM;
    if (!st && t->length) st = rn_file_write(path, t->data, t->length);
    if (!st && t->length && key) {
        rn_text_add(said, "%s\"%s\": ", said->length ? ", " : "{", key);
        rn_text_json(said, path);
    } else if (!st && t->length) {
        rn_text_add(said, "%s\n", path);
    }
    rn_free(path);
    return st;
}

static rn_status write_all(const struct experiments *e, const struct opt_set *o)
{
    const bool json = opt_switch(o, "json");
    struct report_page page = { .into = 0 };
    struct rn_text csv = {0}, bars = {0}, said = {0};
    experiments_compose(&page, e);
    experiments_csv(&csv, e);
    experiments_bars(&bars, e, true);
    rn_status st = write_one(&said, e->folder, "summary.html", json ? "html" : NULL, &page.html);
    if (!st) st = write_one(&said, e->folder, "summary.md", json ? "md" : NULL, &page.md);
    if (!st) st = write_one(&said, e->folder, "summary.csv", json ? "csv" : NULL, &csv);
    if (!st) st = write_one(&said, e->folder, "throughput.svg", json ? "svg" : NULL, &bars);
    if (!st) st = rn_text_status(&said);
    if (!st && (json || !opt_switch(o, "quiet"))) printf("%s%s", said.data, json ? "}\n" : "");
    rn_text_free(&said);
    rn_text_free(&page.html);
    rn_text_free(&page.md);
    rn_text_free(&page.txt);
    rn_text_free(&csv);
    rn_text_free(&bars);
    return st;
}

rn_status experiments_report(const char *folder, const struct opt_set *o)
{
    struct experiments *e = rn_alloc(sizeof *e);
    if (!e) return RN_ENOMEM;
    rn_status st = experiments_read(e, folder);
    if (!st) st = write_all(e, o);
    for (int stem = 0; !st && stem < EXPERIMENT_STEMS; stem++)
        if (experiments_same(e, stem) == SAME_NO)
            st = rn_fail(RN_ECHECK, "%s and %s did the same steps, and ended on other weights",
                         e->row[0][stem].folder, e->row[1][stem].folder);
    experiments_free(e);
    rn_free(e);
    return st;
}
