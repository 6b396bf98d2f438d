#define _POSIX_C_SOURCE 200809L
/* data.c - opening image folders, which takes a while and may find files that are no pictures. */
#include "tools/cli/data.h"

#include "base/available.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_SHOWN 10 /* of the list of what was skipped */

uint64_t tool_cache_bytes(const struct opt_set *o)
{
    const uint64_t free_bytes = rn_memory_available();
    return opt_text(o, "cache-mb") ? (uint64_t)opt_int(o, "cache-mb") << 20 : free_bytes / 4;
}

struct line { const char *program; bool drawn; };

static void draw(void *arg, int64_t done, int64_t count)
{
    struct line *line = arg;
    if (done >= count && !line->drawn) return; /* it was quick */
    fprintf(stderr, "\r%s: reading pictures: %" PRId64 " of %" PRId64, line->program, done, count);
    line->drawn = true;
}

static bool on_terminal(const struct opt_set *o)
{
    const char *term = getenv("TERM");
    return !opt_switch(o, "quiet") && isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
}

static void mention(const char *program, const struct rn_dataset *set)
{
    const char *line = set->skipped_list;
    if (!set->skipped) return;
    fprintf(stderr, "%s: cannot be used, and left out: %" PRId64 " file%s or folder%s\n", program, set->skipped,
            set->skipped == 1 ? "" : "s", set->skipped == 1 ? "" : "s");
    for (int i = 0; i < LINES_SHOWN && line && *line; i++) {
        const int length = (int)strcspn(line, "\n");
        fprintf(stderr, "  %.*s\n", length, line);
        line += length + 1;
    }
    if (set->skipped > LINES_SHOWN) fprintf(stderr, "  and %" PRId64 " more\n", set->skipped - LINES_SHOWN);
}

rn_status tool_data_open(struct rn_dataset **set, const char *spec, const struct rn_dataset_options *options,
                         const struct opt_set *o)
{
    struct rn_dataset_options all = *options;
    struct line line = { .program = o->program };
    all.threads = (int)opt_int(o, "threads");
    if (on_terminal(o)) {
        all.progress = draw;
        all.arg = &line;
    }
    rn_status status = rn_dataset_open(set, spec, &all);
    if (line.drawn) fputs("\r\033[K", stderr);
    if (!status && !opt_switch(o, "quiet")) mention(o->program, *set);
    return status;
}
