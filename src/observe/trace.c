/* trace.c - writes a recording as JSON, piece by piece, into a file that is there when it is complete. */
#include "observe/trace.h"

#include "base/file.h"
#include "base/mem.h"
#include "observe/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 65536 /* characters between two writes */

struct trace { struct rn_writer file; struct rn_text text; const struct rn_recording *r; rn_status status; };

static void flush(struct trace *t, size_t least)
{
    if (t->status || t->text.length < least) return;
    t->status = rn_text_status(&t->text);
    if (!t->status && t->text.length) t->status = rn_writer_bytes(&t->file, t->text.data, t->text.length);
    t->text.length = 0;
}

/* Microseconds with three digits behind the point. */
static void add_time(struct rn_text *t, uint64_t ns)
{
    rn_text_add(t, "%" PRIu64 ".%03d", ns / 1000, (int)(ns % 1000));
}

static uint64_t since_begin(const struct trace *t, uint64_t time)
{
    return time > t->r->begin ? time - t->r->begin : 0;
}

/* Viewers take the thread whose number is the process's for its main thread, and 0 for none: tracks count from 1. */
#define PROCESS 1
static int thread_of(int track) { return PROCESS + track; }

/* The main thread first, then its workers by number, then the others as they came. */
static int place_of(const struct trace *t, int track)
{
    const char *name = t->r->track[track].name;
    return track == 0 ? 0 : !strncmp(name, "worker ", 7) ? atoi(name + 7) : 10000 + track;
}

static void add_thread(struct trace *t, int track)
{
    const int tid = thread_of(track);
    rn_text_add(&t->text, ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"args\":{\"name\":",
                PROCESS, tid);
    rn_text_json(&t->text, t->r->track[track].name);
    rn_text_add(&t->text,
                "}},\n{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
                "\"args\":{\"sort_index\":%d}}",
                PROCESS, tid, place_of(t, track));
}

static void add_process(struct trace *t, const char *key, const char *arg, const char *value)
{
    rn_text_add(&t->text, "{\"name\":\"%s\",\"ph\":\"M\",\"pid\":%d,\"args\":{\"%s\":", key, PROCESS, arg);
    rn_text_json(&t->text, value);
    rn_text_add(&t->text, "}}");
}

/* -- spans -------------------------------------------------------------------------------------- */

static void add_string(struct rn_text *t, const char *key, const char *value)
{
    if (!value) return;
    rn_text_add(t, "%s\"%s\":", t->data[t->length - 1] == '{' ? "" : ",", key);
    rn_text_json(t, value);
}

/* Layer, shapes, costs; a worker's span has the layer and the shapes of the op that it helps with. */
static void add_args(struct trace *t, const struct rn_site *site, const struct rn_event *e, bool worker,
                     const uint64_t *counter)
{
    static const char *const name[RN_COUNTERS] = { "cycles", "instructions", "cache misses" };
    struct rn_text *x = &t->text;
    rn_text_add(x, ",\"args\":{");
    add_string(x, "layer", site->layer);
    add_string(x, "with", site->other);
    if (site->op.kind != RN_OP_NONE) {
        const struct rn_cost c = rn_op_cost(&site->op);
        struct rn_text shapes = {0};
        rn_op_shapes(&shapes, &site->op);
        add_string(x, "Input Shapes", shapes.data);
        rn_text_free(&shapes);
        if (!worker) {
            rn_text_add(x, "%s\"FLOPs\":%" PRId64 ",\"bytes\":%" PRId64 ",\"GFLOP/s\":",
                        x->data[x->length - 1] == '{' ? "" : ",", c.flops, c.bytes);
            rn_text_fixed(x, rn_row_rate(c.flops, e->end - e->begin) / 1e9, 3);
        }
        for (int k = 0; counter && k < RN_COUNTERS; k++) rn_text_add(x, ",\"%s\":%" PRIu64, name[k], counter[k]);
    }
    rn_text_add(x, "}");
}

static void add_span(struct trace *t, int number, const struct rn_event *e)
{
    const struct rn_track *track = &t->r->track[number];
    const struct rn_site *site = &t->r->site[e->site];
    const bool worker = !strncmp(track->name, "worker", 6);
    const char *kind = worker ? "worker" : site->op.kind != RN_OP_NONE ? "op" : "span";
    rn_text_add(&t->text, ",\n{\"name\":");
    rn_text_json(&t->text, site->name);
    rn_text_add(&t->text, ",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":", kind, PROCESS,
                thread_of(number));
    add_time(&t->text, since_begin(t, e->begin));
    rn_text_add(&t->text, ",\"dur\":");
    add_time(&t->text, since_begin(t, e->end) - since_begin(t, e->begin));
    add_args(t, site, e, worker, track->counter ? track->counter[e - track->event] : NULL);
    rn_text_add(&t->text, "}");
    flush(t, PIECE);
}

static int by_begin(const void *a, const void *b)
{
    const struct rn_event *x = *(const struct rn_event *const *)a, *y = *(const struct rn_event *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->depth - y->depth;
}

static void add_track(struct trace *t, int number)
{
    const struct rn_track *track = &t->r->track[number];
    const struct rn_event **list = rn_alloc_array(track->events, sizeof *list);
    if (!list) {
        t->status = RN_ENOMEM;
        return;
    }
    for (size_t i = 0; i < track->events; i++) list[i] = &track->event[i];
    qsort(list, track->events, sizeof *list, by_begin);
    for (size_t i = 0; i < track->events; i++) add_span(t, number, list[i]);
    rn_free(list);
}

/* -- curves ------------------------------------------------------------------------------------- */

/* Points of one curve that follow each other are one event, up to the series that it began with. */
static void add_samples(struct trace *t)
{
    if (!t->r->samples) return;
    const struct rn_sample *s = t->r->sample, *end = s + t->r->samples;
    while (s < end) {
        const struct rn_sample *first = s;
        rn_text_add(&t->text, ",\n{\"name\":");
        rn_text_json(&t->text, first->counter);
        rn_text_add(&t->text, ",\"ph\":\"C\",\"pid\":%d,\"ts\":", PROCESS);
        add_time(&t->text, since_begin(t, first->time));
        rn_text_add(&t->text, ",\"args\":{");
        do {
            rn_text_add(&t->text, "%s", s == first ? "" : ",");
            rn_text_json(&t->text, s->series);
            rn_text_add(&t->text, ":");
            rn_text_fixed(&t->text, s->value, 3);
            s++;
        } while (s < end && !strcmp(s->counter, first->counter) && strcmp(s->series, first->series));
        rn_text_add(&t->text, "}}");
        flush(t, PIECE);
    }
}

rn_status rn_trace_write(const char *path, const struct rn_recording *r, const char *name, const char *title)
{
    struct trace t = { .r = r };
    rn_status status = rn_writer_open(&t.file, path);
    if (status) return status;
    rn_text_add(&t.text, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"title\":");
    rn_text_json(&t.text, title);
    rn_text_add(&t.text, "},\"traceEvents\":[\n");
    add_process(&t, "process_name", "name", name);
    rn_text_add(&t.text, ",\n");
    add_process(&t, "process_labels", "labels", title);
    for (int i = 0; i < r->tracks; i++) add_thread(&t, i);
    for (int i = 0; i < r->tracks; i++) add_track(&t, i);
    add_samples(&t);
    rn_text_add(&t.text, "\n]}\n");
    flush(&t, 0);
    rn_text_free(&t.text);
    if (t.status) {
        rn_writer_abort(&t.file);
        return t.status;
    }
    return rn_writer_commit(&t.file);
}
