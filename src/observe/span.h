/*
 * span.h - the recorder: what ran when, on which thread.  Spans of the program's marks (base/marks.h) and of the
 * calls of a watched op table (profile.h) go into one fixed block of memory a track; a track is a thread.
 *
 * One recorder at a time records.  Recording takes two looks at the clock and a store a span, and never allocates;
 * what does not fit is counted.  Readers (profile.h, trace.h) want a recording that has stopped.
 */
#ifndef RN_SPAN_H
#define RN_SPAN_H

#include "base/clock.h"
#include "observe/profile_op.h"

#include <stdatomic.h>

#define RN_COUNTERS 3 /* of the processor: cycles, instructions, cache misses */

/* What ran: a mark's name, or a call of the op table with its shape and layer. */
struct rn_site {
    const char *name;
    const char *layer, *other; /* of the net; other: where one call is of two layers; NULL: none */
    struct rn_op op;           /* kind RN_OP_NONE: a mark */
    int group;                 /* the site whose span is around this one's, made for that alone; -1: none */
};

struct rn_event {
    uint64_t begin, end;       /* ns */
    int site;
    int16_t depth, step;       /* depth 0 is outermost; step of the net's pass, for ops of a layer, else -1 */
};

struct rn_track {
    char name[40];
    bool main;                 /* a thread of the program, not one that helps an op or prepares data */
    struct rn_event *event;    /* in the order in which they ended */
    uint64_t (*counter)[RN_COUNTERS]; /* of each event's op; NULL: not counted */
    size_t events, dropped;
    atomic_flag busy;          /* the recorder's */
};

/* A point of a curve over time. */
struct rn_sample { uint64_t time; const char *counter, *series; double value; };

struct rn_recording {
    uint64_t begin, end;       /* when it was on, first and last */
    struct rn_track *track;
    int tracks, track_room;
    size_t track_events;       /* each has room for; all of it is there from the beginning */
    struct rn_site *site;
    int sites;
    struct rn_sample *sample;
    size_t samples;
    size_t lost;               /* spans of threads and sites, and samples, that there was no room for */
    bool counted;              /* cycles, instructions and cache misses are there */
};
/* All spans that are not in the recording. */
size_t rn_recording_dropped(const struct rn_recording *r);

struct rn_recorder;
struct rn_recorder_config {
    size_t events;             /* a track has room for */
    int tracks, samples;
    bool counters;             /* of the processor, where the system lets this process read them */
};
rn_status rn_recorder_create(struct rn_recorder **r, const struct rn_recorder_config *config);
/* Not while a thread that it has seen may still be within a span. */
void rn_recorder_free(struct rn_recorder *r);
/* From now on, and until now; once.  The thread that starts it is the track "main". */
void rn_recorder_start(struct rn_recorder *r);
void rn_recorder_stop(struct rn_recorder *r);
/* A point of a curve; both names must outlive the recorder.  By one thread, at any time. */
void rn_recorder_sample(struct rn_recorder *r, const char *counter, const char *series, uint64_t time, double value);
/* A span on a track called `track`, which no thread records on. */
void rn_recorder_span(struct rn_recorder *r, const char *track, const char *name, uint64_t begin, uint64_t end);
const struct rn_recording *rn_recorder_recording(const struct rn_recorder *r);

/* A call of the op table, by the table that watches it; nothing while nobody records. */
void rn_span_begin(const struct rn_op *op);
void rn_span_end(void);

#endif /* RN_SPAN_H */
