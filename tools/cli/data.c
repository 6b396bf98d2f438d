#define _POSIX_C_SOURCE 200809L
/* data.c - opening image folders, which takes a while and may find files that are no pictures. */
#include "tools/cli/data.h"

#include "base/available.h"
#include "base/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_SHOWN 10 /* of the list of what was skipped */
#define MOST_WORKERS 4 /* unless told otherwise: each holds a batch */
#define MANY 5000      /* pictures that take long enough to be mentioned in a log */

uint64_t tool_cache_bytes(const struct opt_set *o)
{
    const uint64_t free_bytes = rn_memory_available();
    if (!opt_text(o, "cache-mb")) return free_bytes / 4;
    return RN_MIN((uint64_t)opt_int(o, "cache-mb") << 20, free_bytes - free_bytes / 8);
}

int tool_usual_workers(const char *data)
{
    return strncmp(data, "folder", 6) ? 1 : RN_MIN(rn_cpu_count(), MOST_WORKERS);
}

int tool_workers(const struct opt_set *o, const char *data)
{
    return opt_text(o, "workers") ? (int)opt_int(o, "workers") : tool_usual_workers(data);
}

struct line { const char *program; bool moves, drawn; };

static void draw(void *arg, int64_t done, int64_t count)
{
    struct line *line = arg;
    if (done >= count && !line->drawn) return; /* it was quick */
    if (line->moves)
        fprintf(stderr, "\r%s: reading pictures: %" PRId64 " of %" PRId64, line->program, done, count);
    else if (!line->drawn && count >= MANY)
        fprintf(stderr, "%s: reading %" PRId64 " pictures, to know which can be used\n", line->program, count);
    line->drawn = true;
}

static bool on_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
}

/* Beginning of the next line. */
static const char *say_line(const char *before, const char *line)
{
    const int length = (int)strcspn(line, "\n");
    fprintf(stderr, "%s%.*s\n", before, length, line);
    return line + length + 1;
}

static void mention_notes(const char *program, const struct rn_dataset *set)
{
    for (const char *line = set->notes; line && *line;) {
        fprintf(stderr, "%s: ", program);
        line = say_line("", line);
    }
}

static void mention(const char *program, const struct rn_dataset *set)
{
    const char *line = set->skipped_list;
    if (!set->skipped) return;
    fprintf(stderr, "%s: cannot be used, and left out: %" PRId64 " file%s or folder%s\n", program, set->skipped,
            set->skipped == 1 ? "" : "s", set->skipped == 1 ? "" : "s");
    for (int i = 0; i < LINES_SHOWN && line && *line; i++) line = say_line("  ", line);
    if (set->skipped > LINES_SHOWN) fprintf(stderr, "  and %" PRId64 " more\n", set->skipped - LINES_SHOWN);
}

rn_status tool_data_open(struct rn_dataset **set, const char *spec, const struct rn_dataset_options *options,
                         const struct opt_set *o)
{
    struct rn_dataset_options all = *options;
    struct line line = { .program = o->program, .moves = on_terminal() };
    all.threads = (int)opt_int(o, "threads");
    if (!opt_switch(o, "quiet")) {
        all.progress = draw;
        all.arg = &line;
    }
    rn_status status = rn_dataset_open(set, spec, &all);
    if (line.drawn && line.moves) fputs("\r\033[K", stderr);
    if (!status && !opt_switch(o, "quiet")) {
        if (options->headers && (*set)->train.store)
            fprintf(stderr, "%s: of pictures only the headers were read; --strict-data reads them whole\n",
                    o->program);
        mention(o->program, *set);
        mention_notes(o->program, *set);
    }
    return status;
}

bool tool_data_one_class(int64_t *needed, const struct rn_split *split, int64_t limit)
{
    int64_t first = 0; /* images of the first class */
    if (!split->store || !limit) return false;
    while (first < split->count && split->labels[first] == split->labels[0]) first++;
    *needed = first + 1;
    return limit <= first && first < split->count;
}

void tool_data_mention_limit(const struct opt_set *o, const char *flag, const struct rn_dataset *set,
                             const struct rn_split *split)
{
    int64_t needed;
    if (opt_switch(o, "quiet") || !tool_data_one_class(&needed, split, opt_int(o, flag))) return;
    fprintf(stderr, "%s: --%s %s: these images are all of class \"%s\"; another one begins with number %" PRId64
            "\n", o->program, flag, opt_text(o, flag), set->class_names[split->labels[0]], needed);
}
