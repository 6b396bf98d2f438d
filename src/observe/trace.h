/*
 * trace.h - a recording in the Trace Event Format, which Perfetto and chrome://tracing open.
 *
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: "X" a span, "M" a name of a
 * thread, "C" a point of a curve; microseconds.  A curve is called by its counter and its series, in this order.
 */
#ifndef RN_TRACE_H
#define RN_TRACE_H

#include "observe/span.h"

/* An event a line, times with all nanoseconds, spans of a track by their begin, parents first.  Whole or not at
 * all.  name: of the process, short; title: what was recorded.  RN_EIO, RN_ENOMEM. */
rn_status rn_trace_write(const char *path, const struct rn_recording *r, const char *name, const char *title);

#endif /* RN_TRACE_H */
