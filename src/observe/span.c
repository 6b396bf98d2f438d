#define _POSIX_C_SOURCE 200809L
/*
 * span.c - the recorder.
 *
 * A thread keeps the spans that it is within on a stack of its own and puts each into its track when it ends, so
 * that a track never holds a span without an end.  What a span is of stands once in a table of sites, found by its
 * name, layer and shape; an event is two times and the number of a site.
 *
 * A site may belong into a group, PyTorch's one call where there are several here.  The group's span opens with the
 * first of them and closes, backdated to the end of the last, when something comes that is none of its own.
 */
#include "observe/span.h"

#include "base/marks.h"
#include "base/mem.h"
#include "base/threads.h"
#include "observe/span_counters.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define STACK 24      /* spans within each other */
#define SITES 8192    /* and twice as many places to look for them */
#define NAMES 131072  /* characters of layers' names */
#define NAME_SLOTS 4096

struct key { const char *name, *layer, *other; struct rn_op op; };

struct rn_recorder {
    struct rn_recording r;
    uint64_t number;           /* of this start: threads tell by it that their stack is an old one */
    size_t sample_capacity;
    int place[2 * SITES];      /* of sites by hash; 0: free, else site + 1 */
    char *names;
    size_t names_length;
    uint32_t name_place[NAME_SLOTS]; /* offset in names + 1 */
    atomic_int worker_track[RN_MAX_THREADS]; /* + 1 */
    atomic_int working;        /* the site that workers help with */
    int counter[RN_COUNTERS];
    atomic_flag busy;          /* around all that is shared */
};

/* A span that a thread is within. */
struct open { uint64_t begin, last; int site, step; bool group; uint64_t counter[RN_COUNTERS]; };

static _Thread_local struct {
    uint64_t number;           /* of the recorder's start that the rest is of */
    struct rn_track *track;    /* NULL: there was none left */
    const char *layer, *other;
    int step;
    int depth, beyond;         /* beyond: spans deeper than the stack */
    struct open open[STACK];
} me;

static _Atomic(struct rn_recorder *) current; /* the one that records, or recorded last */

static void lock(atomic_flag *flag)
{
    while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire)) sched_yield();
}

static void unlock(atomic_flag *flag) { atomic_flag_clear_explicit(flag, memory_order_release); }

/* -- names and sites --------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t x)
{
    hash = (hash ^ x) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* The recorder's copy of a name, the same for equal names; NULL when there is no room. */
static const char *keep_name(struct rn_recorder *r, const char *name)
{
    const size_t bytes = strlen(name) + 1;
    uint64_t at = 0;
    for (size_t i = 0; i + 1 < bytes; i++) at = at * 31 + (unsigned char)name[i];
    at = mix(0, at);
    for (int probe = 0; probe < NAME_SLOTS; probe++) {
        uint32_t *place = &r->name_place[(at + (uint64_t)probe) % NAME_SLOTS];
        if (*place && strcmp(r->names + *place - 1, name)) continue;
        if (!*place) {
            if (r->names_length + bytes > NAMES) return NULL;
            memcpy(r->names + r->names_length, name, bytes);
            *place = (uint32_t)r->names_length + 1;
            r->names_length += bytes;
        }
        return r->names + *place - 1;
    }
    return NULL;
}

static uint64_t hash_of(const struct key *k)
{
    const int *word = (const int *)(const void *)&k->op;
    uint64_t hash = mix(mix((uintptr_t)k->name, (uintptr_t)k->layer), (uintptr_t)k->other);
    if (k->op.kind == RN_OP_NONE) return hash;
    for (size_t i = 0; i < sizeof k->op / sizeof *word; i += 2)
        hash = mix(hash, (uint64_t)(uint32_t)word[i] << 32 | (uint32_t)word[i + 1]);
    return hash;
}

static bool is_of(const struct rn_site *s, const struct key *k)
{
    return s->name == k->name && s->layer == k->layer && s->other == k->other &&
           !memcmp(&s->op, &k->op, sizeof s->op);
}

/* The number of the site, a new one if need be; -1 when there is no room. */
static int find_site(struct rn_recorder *r, const struct key *k)
{
    uint64_t at = hash_of(k);
    int *place = &r->place[at % (2 * SITES)];
    while (*place && !is_of(&r->r.site[*place - 1], k)) place = &r->place[++at % (2 * SITES)];
    if (*place) return *place - 1;
    if (r->r.sites == SITES) return -1;
    const int number = r->r.sites++;
    const char *group = k->op.kind == RN_OP_NONE ? NULL : rn_op_group(&k->op);
    r->r.site[number] = (struct rn_site){ k->name, k->layer, k->other, k->op, -1 };
    *place = number + 1;
    if (group) r->r.site[number].group = find_site(r, &(struct key){ .name = group, .layer = k->layer });
    return number;
}

/* -- tracks ------------------------------------------------------------------------------------ */

/* A new track, or NULL; the recorder is locked. */
static struct rn_track *add_track(struct rn_recorder *r, const char *name)
{
    if (r->r.tracks == r->r.track_room) return NULL;
    struct rn_track *t = &r->r.track[r->r.tracks++];
    snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

/* Gives this thread a track, named after its kind and numbered. */
static void enter(struct rn_recorder *r, const char *kind)
{
    char name[sizeof r->r.track->name];
    int others = 0;
    lock(&r->busy);
    for (int i = 0; i < r->r.tracks; i++) others += !strncmp(r->r.track[i].name, kind, strlen(kind));
    snprintf(name, sizeof name, "%s %d", kind, others + 1);
    me.track = add_track(r, name);
    unlock(&r->busy);
    me.number = r->number;
    me.depth = me.beyond = 0;
    me.layer = me.other = NULL;
}

static void append(struct rn_recorder *r, struct rn_track *t, const struct rn_event *e,
                   const uint64_t counter[RN_COUNTERS])
{
    lock(&t->busy);
    if (t->events < r->r.track_events) {
        if (counter && t->counter) memcpy(t->counter[t->events], counter, sizeof *t->counter);
        t->event[t->events++] = *e;
    } else {
        t->dropped++;
    }
    unlock(&t->busy);
}

/* -- spans ------------------------------------------------------------------------------------- */

/* Ends this thread's innermost span. */
static void pop(struct rn_recorder *r, uint64_t end)
{
    struct open *o = &me.open[--me.depth];
    const bool op = r->r.counted && !o->group && r->r.site[o->site].op.kind != RN_OP_NONE;
    uint64_t counter[RN_COUNTERS] = {0};
    if (op) {
        rn_counters_read(counter, r->counter);
        for (int i = 0; i < RN_COUNTERS; i++) counter[i] -= o->counter[i];
    }
    append(r, me.track, &(struct rn_event){ o->begin, end, o->site, (int16_t)me.depth, (int16_t)o->step }, counter);
    if (me.depth) me.open[me.depth - 1].last = end;
}

/* Ends the group that this thread is in, unless it is `group`. */
static void leave_group(struct rn_recorder *r, int group)
{
    struct open *top = me.depth ? &me.open[me.depth - 1] : NULL;
    if (top && top->group && top->site != group) pop(r, top->last);
}

static void push(struct rn_recorder *r, int site, bool group)
{
    struct open *o = &me.open[me.depth++];
    o->site = site;
    o->step = me.layer ? me.step : -1;
    o->group = group;
    if (r->r.counted && !group) rn_counters_read(o->counter, r->counter);
    o->begin = o->last = rn_nanoseconds();
}

static void begin(struct rn_recorder *r, const struct key *k, const char *thread)
{
    if (me.number != r->number) enter(r, thread ? thread : "thread");
    if (!me.track || me.beyond || me.depth + 2 > STACK) {
        me.beyond++;
        return;
    }
    lock(&r->busy);
    const int site = find_site(r, k), group = site < 0 ? -1 : r->r.site[site].group;
    if (site < 0) r->r.lost++;
    unlock(&r->busy);
    if (site < 0) {
        me.beyond++;
        return;
    }
    leave_group(r, group);
    if (group >= 0 && !(me.depth && me.open[me.depth - 1].site == group)) push(r, group, true);
    if (k->op.kind != RN_OP_NONE) atomic_store_explicit(&r->working, site, memory_order_relaxed);
    push(r, site, false);
}

static void end(struct rn_recorder *r)
{
    const uint64_t now = rn_nanoseconds();
    if (me.number != r->number) return;
    if (me.beyond) {
        me.beyond--;
        return;
    }
    leave_group(r, -1);
    if (me.depth) pop(r, now);
}

/* -- the marks --------------------------------------------------------------------------------- */

static void mark_begin(const char *name, const char *thread)
{
    struct rn_recorder *r = atomic_load(&current);
    me.layer = me.other = NULL;
    begin(r, &(struct key){ .name = name }, thread);
}

static void mark_end(void)
{
    me.layer = me.other = NULL;
    end(atomic_load(&current));
}

static void mark_layer(int step, const char *name, const char *other)
{
    struct rn_recorder *r = atomic_load(&current);
    me.step = step;
    lock(&r->busy);
    me.layer = keep_name(r, name);
    me.other = other ? keep_name(r, other) : NULL;
    unlock(&r->busy);
}

/* Called while whoever works on the op waits for this worker. */
static void mark_worked(int worker, uint64_t since)
{
    struct rn_recorder *r = atomic_load(&current);
    const uint64_t now = rn_nanoseconds();
    char name[32];
    if (worker >= RN_MAX_THREADS || since < r->r.begin) return;
    int track = atomic_load(&r->worker_track[worker]);
    if (!track) {
        lock(&r->busy);
        snprintf(name, sizeof name, "worker %d", worker);
        if (!atomic_load(&r->worker_track[worker]) && add_track(r, name))
            atomic_store(&r->worker_track[worker], r->r.tracks);
        if (!(track = atomic_load(&r->worker_track[worker]))) r->r.lost++;
        unlock(&r->busy);
    }
    if (track)
        append(r, &r->r.track[track - 1], &(struct rn_event){ since, now, atomic_load(&r->working), 0, -1 }, NULL);
}

static const struct rn_marks marks = { rn_nanoseconds, mark_begin, mark_end, mark_layer, mark_worked };

void rn_span_begin(const struct rn_op *op)
{
    struct rn_recorder *r = atomic_load(&current);
    if (!rn_marks()) return;
    const bool both = op->kind == RN_OP_CONV_BN || op->kind == RN_OP_CONV_BIAS || op->kind == RN_OP_CONV_BN_TRAIN;
    const bool norm = rn_op_family(op) == RN_FAMILY_NORM && me.other;
    begin(r, &(struct key){ rn_op_name(op), norm ? me.other : me.layer, both ? me.other : NULL, *op }, NULL);
}

void rn_span_end(void)
{
    if (rn_marks()) end(atomic_load(&current));
}

/* -- the recorder ------------------------------------------------------------------------------ */

static rn_status make_tracks(struct rn_recorder *r)
{
    for (int i = 0; i < r->r.track_room; i++) {
        struct rn_track *t = &r->r.track[i];
        if (!(t->event = rn_alloc_array(r->r.track_events, sizeof *t->event))) return RN_ENOMEM;
        atomic_flag_clear(&t->busy);
    }
    if (!r->r.counted) return RN_OK;
    r->r.track[0].counter = rn_alloc_array(r->r.track_events, sizeof *r->r.track[0].counter);
    return r->r.track[0].counter ? RN_OK : RN_ENOMEM;
}

rn_status rn_recorder_create(struct rn_recorder **out, const struct rn_recorder_config *config)
{
    struct rn_recorder *r = rn_alloc(sizeof *r);
    *out = NULL;
    if (!r) return RN_ENOMEM;
    atomic_flag_clear(&r->busy);
    r->r.track_events = config->events;
    r->r.track_room = RN_MAX(config->tracks, 1);
    r->sample_capacity = (size_t)config->samples;
    r->r.counted = config->counters && rn_counters_open(r->counter);
    r->names = rn_alloc(NAMES);
    r->r.site = rn_alloc_array(SITES, sizeof *r->r.site);
    r->r.sample = rn_alloc_array(r->sample_capacity, sizeof *r->r.sample);
    r->r.track = rn_alloc_array((size_t)r->r.track_room, sizeof *r->r.track);
    rn_status status = r->names && r->r.site && r->r.sample && r->r.track ? make_tracks(r) : RN_ENOMEM;
    if (status) {
        rn_recorder_free(r);
        return status;
    }
    add_track(r, "main")->main = true;
    *out = r;
    return RN_OK;
}

void rn_recorder_free(struct rn_recorder *r)
{
    if (!r) return;
    rn_recorder_stop(r);
    for (int i = 0; r->r.track && i < r->r.track_room; i++) {
        rn_free(r->r.track[i].event);
        rn_free(r->r.track[i].counter);
    }
    if (r->r.counted) rn_counters_close(r->counter);
    rn_free(r->r.track);
    rn_free(r->r.sample);
    rn_free(r->r.site);
    rn_free(r->names);
    rn_free(r);
}

void rn_recorder_start(struct rn_recorder *r)
{
    static _Atomic(uint64_t) starts;
    if (!r->number) r->number = atomic_fetch_add(&starts, 1) + 1;
    me.number = r->number;
    me.track = &r->r.track[0];
    me.depth = me.beyond = 0;
    me.layer = me.other = NULL;
    if (!r->r.begin) r->r.begin = rn_nanoseconds();
    atomic_store(&current, r);
    atomic_store_explicit(&rn_marks_watched, &marks, memory_order_release);
}

void rn_recorder_stop(struct rn_recorder *r)
{
    if (atomic_load(&current) != r || !rn_marks()) return;
    atomic_store_explicit(&rn_marks_watched, NULL, memory_order_release);
    r->r.end = rn_nanoseconds();
}

void rn_recorder_sample(struct rn_recorder *r, const char *counter, const char *series, uint64_t time, double value)
{
    if (r->r.samples == r->sample_capacity) r->r.lost++;
    else r->r.sample[r->r.samples++] = (struct rn_sample){ time, counter, series, value };
}

void rn_recorder_span(struct rn_recorder *r, const char *track, const char *name, uint64_t begun, uint64_t ended)
{
    struct rn_track *t = NULL;
    lock(&r->busy);
    for (int i = 0; !t && i < r->r.tracks; i++)
        if (!strcmp(r->r.track[i].name, track)) t = &r->r.track[i];
    if (!t) t = add_track(r, track);
    const char *kept = keep_name(r, name);
    const int site = t && kept ? find_site(r, &(struct key){ .name = kept }) : -1;
    if (site < 0) r->r.lost++;
    unlock(&r->busy);
    if (site >= 0) append(r, t, &(struct rn_event){ RN_MAX(begun, r->r.begin), ended, site, 0, -1 }, NULL);
}

const struct rn_recording *rn_recorder_recording(const struct rn_recorder *r) { return &r->r; }

size_t rn_recording_dropped(const struct rn_recording *r)
{
    size_t dropped = r->lost;
    for (int i = 0; i < r->tracks; i++) dropped += r->track[i].dropped;
    return dropped;
}
