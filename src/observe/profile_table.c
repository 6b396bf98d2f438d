/*
 * profile_table.c - sums over a recording.  A span's self time is what no span within it covers, so the self times
 * of all spans add up to the outermost ones, to the nanosecond.
 */
#include "observe/profile.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* An event of the main thread in its place: parents come before what runs within them. */
struct node {
    const struct rn_event *event;
    size_t index;              /* in its track */
    ptrdiff_t parent, root;    /* root: the outermost span around it, or itself */
    uint64_t self;
    int64_t flops, bytes, written;
    bool leaf, backward;
};

struct table { struct rn_profile_row *row; int *of_site; int rows; };

static int by_begin(const void *a, const void *b)
{
    const struct rn_event *x = ((const struct node *)a)->event, *y = ((const struct node *)b)->event;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->depth != y->depth) return x->depth - y->depth;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* -- nesting ------------------------------------------------------------------------------------ */

static void find_parents(struct node *n, size_t count, const struct rn_recording *r)
{
    ptrdiff_t inner = -1; /* the last span so far, then those around it */
    for (size_t i = 0; i < count; i++) {
        const struct rn_event *e = n[i].event;
        const struct rn_site *site = &r->site[e->site];
        const struct rn_cost cost = rn_op_cost(&site->op);
        while (inner >= 0 && (n[inner].event->end <= e->begin || n[inner].event->depth >= e->depth))
            inner = n[inner].parent;
        n[i].parent = inner;
        n[i].root = inner < 0 ? (ptrdiff_t)i : n[inner].root;
        n[i].self = e->end - e->begin;
        n[i].leaf = true;
        n[i].flops = cost.flops;
        n[i].bytes = cost.bytes;
        n[i].written = cost.written;
        n[i].backward = (inner >= 0 && n[inner].backward) || !strcmp(site->name, "backward");
        if (inner >= 0) {
            n[inner].self -= n[i].self;
            n[inner].leaf = false;
        }
        inner = (ptrdiff_t)i;
    }
    for (size_t i = count; i-- > 0;) {
        if (n[i].parent < 0) continue;
        struct node *parent = &n[n[i].parent];
        parent->flops += n[i].flops;
        parent->bytes += n[i].bytes;
        parent->written += n[i].written;
    }
}

/* -- rows --------------------------------------------------------------------------------------- */

enum grouping { BY_NAME, BY_SHAPE, BY_LAYER, BY_FAMILY };

static enum rn_family family_of(const struct rn_recording *r, int site)
{
    const struct rn_site *s = &r->site[site];
    if (s->op.kind != RN_OP_NONE) return rn_op_family(&s->op);
    if (!strcmp(s->name, "enumerate(DataLoader)") || !strcmp(s->name, "prepare a batch")) return RN_FAMILY_DATA;
    for (int i = 0; i < r->sites; i++)
        if (r->site[i].group == site) return rn_op_family(&r->site[i].op);
    return RN_FAMILY_OTHER;
}

static const char *name_of(const struct rn_recording *r, int site, enum grouping by)
{
    const struct rn_site *s = &r->site[site];
    if (by == BY_FAMILY) return rn_family_name(family_of(r, site));
    if (by == BY_LAYER) return s->layer ? s->layer : "";
    return s->name;
}

static bool same_row(const struct rn_profile_row *row, const struct rn_site *s, const char *name, enum grouping by)
{
    return !strcmp(row->name, name) && (by != BY_SHAPE || !memcmp(&row->op, &s->op, sizeof s->op));
}

/* The row that each site belongs to. */
static rn_status make_rows(struct table *t, const struct rn_recording *r, enum grouping by)
{
    t->row = rn_alloc_array((size_t)r->sites, sizeof *t->row);
    t->of_site = rn_alloc_array((size_t)r->sites, sizeof *t->of_site);
    if (!t->row || !t->of_site) return RN_ENOMEM;
    for (int i = 0; i < r->sites; i++) {
        const char *name = name_of(r, i, by);
        int k = 0;
        while (k < t->rows && !same_row(&t->row[k], &r->site[i], name, by)) k++;
        if (k == t->rows)
            t->row[t->rows++] = (struct rn_profile_row){ .name = name, .op = r->site[i].op, .leaf = true };
        t->of_site[i] = k;
    }
    return RN_OK;
}

/* Whether a span around the node is of the same row. */
static bool within_itself(const struct node *n, size_t i, const struct table *t)
{
    const int row = t->of_site[n[i].event->site];
    for (ptrdiff_t k = n[i].parent; k >= 0; k = n[k].parent)
        if (t->of_site[n[k].event->site] == row) return true;
    return false;
}

static void add_node(struct table *t, const struct node *n, size_t i, const struct rn_track *track)
{
    struct rn_profile_row *row = &t->row[t->of_site[n[i].event->site]];
    row->self += n[i].self;
    row->forward += n[i].backward ? 0 : n[i].self;
    row->backward += n[i].backward ? n[i].self : 0;
    row->leaf &= n[i].leaf;
    if (track->counter)
        for (int k = 0; k < RN_COUNTERS; k++) row->counter[k] += track->counter[n[i].index][k];
    if (within_itself(n, i, t)) return;
    row->calls++;
    row->total += n[i].event->end - n[i].event->begin;
    row->flops += n[i].flops;
    row->bytes += n[i].bytes;
    row->written += n[i].written;
}

/* Rows that nothing on the main thread belongs to go. */
static void drop_empty(struct table *t)
{
    int kept = 0;
    for (int i = 0; i < t->rows; i++)
        if (t->row[i].calls) t->row[kept++] = t->row[i];
    t->rows = kept;
}

static rn_status sum_up(struct rn_profile_row **row, int *rows, const struct node *n, size_t count,
                        const struct rn_track *track, const struct rn_recording *r, enum grouping by)
{
    struct table t = {0};
    rn_status status = make_rows(&t, r, by);
    for (size_t i = 0; !status && i < count; i++) add_node(&t, n, i, track);
    if (!status) drop_empty(&t);
    rn_free(t.of_site);
    *row = t.row;
    *rows = t.rows;
    return status;
}

/* -- all of it ---------------------------------------------------------------------------------- */

static void count_steps(struct rn_profile *p, const struct node *n, size_t count, const struct rn_recording *r,
                        const char *step)
{
    for (size_t i = 0; i < count; i++) {
        const uint64_t length = n[i].event->end - n[i].event->begin;
        const bool in_step = !strcmp(r->site[n[n[i].root].event->site].name, step);
        p->self += n[i].self;
        if (n[i].parent < 0) p->flops += n[i].flops;
        if (n[i].parent < 0 && in_step) {
            p->steps++;
            p->steps_time += length;
        }
        if (n[i].leaf && in_step) p->leaves_time += length;
    }
}

static rn_status list_tracks(struct rn_profile *p, const struct rn_recording *r)
{
    p->track = rn_alloc_array((size_t)r->tracks, sizeof *p->track);
    if (!p->track) return RN_ENOMEM;
    for (p->tracks = 0; p->tracks < r->tracks; p->tracks++) {
        const struct rn_track *t = &r->track[p->tracks];
        struct rn_profile_track *out = &p->track[p->tracks];
        out->name = t->name;
        out->spans = (int64_t)t->events;
        for (size_t i = 0; i < t->events; i++)
            if (t->event[i].depth == 0) out->busy += t->event[i].end - t->event[i].begin;
    }
    return RN_OK;
}

/* The main thread's track; it is the first. */
static rn_status make(struct rn_profile *p, const struct rn_recording *r, const char *step, bool by_shape)
{
    const struct rn_track *main = &r->track[0];
    struct node *n = rn_alloc_array(main->events, sizeof *n);
    if (!n) return RN_ENOMEM;
    for (size_t i = 0; i < main->events; i++) n[i] = (struct node){ .event = &main->event[i], .index = i };
    qsort(n, main->events, sizeof *n, by_begin);
    find_parents(n, main->events, r);
    count_steps(p, n, main->events, r, step);
    rn_status status = sum_up(&p->op, &p->ops, n, main->events, main, r, by_shape ? BY_SHAPE : BY_NAME);
    if (!status) status = sum_up(&p->layer, &p->layers, n, main->events, main, r, BY_LAYER);
    if (!status) status = sum_up(&p->family, &p->families, n, main->events, main, r, BY_FAMILY);
    rn_free(n);
    return status;
}

rn_status rn_profile_make(struct rn_profile *p, const struct rn_recording *r, const char *step, bool by_shape)
{
    *p = (struct rn_profile){ .counted = r->counted };
    rn_status status = make(p, r, step, by_shape);
    if (!status) status = list_tracks(p, r);
    if (status) rn_profile_free(p);
    return status;
}

void rn_profile_free(struct rn_profile *p)
{
    rn_free(p->op);
    rn_free(p->layer);
    rn_free(p->family);
    rn_free(p->track);
    *p = (struct rn_profile){0};
}

double rn_row_rate(int64_t amount, uint64_t ns) { return ns ? (double)amount * 1e9 / (double)ns : 0; }
