/*
 * plan.c - lifetimes and placement of a plan's buffers.
 *
 * A buffer lives from the first step that names it to the last.  Placement is greedy: largest first,
 * each at the lowest offset that is free during its life.
 */
#include "net/plan.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

size_t rn_plan_align(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* -- writing a plan ---------------------------------------------------------------------------- */

rn_status rn_plan_begin(struct rn_plan *p, int steps, int buffers)
{
    memset(p, 0, sizeof *p);
    p->step_capacity = steps;
    p->buffer_capacity = buffers;
    p->loss = p->logits = RN_NONE;
    p->step = rn_alloc_array((size_t)steps, sizeof *p->step);
    p->buffer = rn_alloc_array((size_t)buffers, sizeof *p->buffer);
    if (p->step && p->buffer) return RN_OK;
    rn_plan_free(p);
    return RN_ENOMEM;
}

void rn_plan_free(struct rn_plan *p)
{
    rn_free(p->step);
    rn_free(p->buffer);
    memset(p, 0, sizeof *p);
}

struct rn_plan_step *rn_plan_add_step(struct rn_plan *p, enum rn_step_kind kind, int node)
{
    RN_ASSERT(p->steps < p->step_capacity);
    struct rn_plan_step *s = &p->step[p->steps++];
    *s = (struct rn_plan_step){ kind, node, false, RN_NONE, RN_NONE, RN_NONE, RN_NONE, RN_NONE,
                           RN_NONE, RN_NONE, RN_NONE, RN_NONE, RN_NONE };
    return s;
}

int rn_plan_add_buffer(struct rn_plan *p, size_t bytes)
{
    RN_ASSERT(p->buffers < p->buffer_capacity);
    p->buffer[p->buffers] = (struct rn_plan_buffer){ .bytes = rn_plan_align(bytes), .first = RN_NONE };
    return p->buffers++;
}

void rn_plan_step_buffers(int number[RN_STEP_BUFFERS], const struct rn_plan_step *s)
{
    const int all[RN_STEP_BUFFERS] = { s->out, s->x, s->in, s->add, s->index,
                                       s->dout, s->din, s->dadd, s->packed, s->work };
    memcpy(number, all, sizeof all);
}

/* -- placement --------------------------------------------------------------------------------- */

static void find_lifetimes(struct rn_plan *p)
{
    for (int i = 0; i < p->steps; i++) {
        int number[RN_STEP_BUFFERS];
        rn_plan_step_buffers(number, &p->step[i]);
        for (int k = 0; k < RN_STEP_BUFFERS; k++) {
            if (number[k] == RN_NONE) continue;
            struct rn_plan_buffer *b = &p->buffer[number[k]];
            if (b->first == RN_NONE) b->first = i;
            b->last = i;
        }
    }
    p->buffer[p->logits].last = p->steps;
}

/* Larger first; then by first use, then by number: a total order, so plans never vary. */
static int larger_first(const void *x, const void *y)
{
    const struct rn_plan_buffer *a = *(struct rn_plan_buffer *const *)x;
    const struct rn_plan_buffer *b = *(struct rn_plan_buffer *const *)y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first) return a->first - b->first;
    return (a > b) - (a < b);
}

/* Places b beside placed[count], which is sorted by offset, at the lowest free offset, and returns
 * where in the order b belongs. */
static int place_one(struct rn_plan_buffer *b, struct rn_plan_buffer *const *placed, int count)
{
    b->at = 0;
    for (int i = 0; i < count; i++) {
        const struct rn_plan_buffer *o = placed[i];
        bool together = o->first <= b->last && b->first <= o->last;
        if (together && b->at < o->at + o->bytes && o->at < b->at + b->bytes) b->at = o->at + o->bytes;
    }
    int where = count;
    while (where > 0 && placed[where - 1]->at > b->at) where--;
    return where;
}

rn_status rn_plan_place(struct rn_plan *p)
{
    struct rn_plan_buffer **order = rn_alloc_array(2 * (size_t)p->buffers, sizeof *order);
    if (!order) return RN_ENOMEM;
    struct rn_plan_buffer **placed = order + p->buffers;
    find_lifetimes(p);
    for (int i = 0; i < p->buffers; i++) order[i] = &p->buffer[i];
    qsort(order, (size_t)p->buffers, sizeof *order, larger_first);
    for (int i = 0; i < p->buffers; i++) {
        int where = place_one(order[i], placed, i);
        memmove(placed + where + 1, placed + where, (size_t)(i - where) * sizeof *placed);
        placed[where] = order[i];
        p->bytes = RN_MAX(p->bytes, order[i]->at + order[i]->bytes);
    }
    rn_free(order);
    return RN_OK;
}
