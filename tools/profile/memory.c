/*
 * memory.c - memory by what it is for.  The net's is what its plan says; optimiser and data are what was asked
 * for; the profiler's what it has used of its own; the program is what it took before anything was opened.
 */
#include "tools/profile/memory.h"

#include "base/mem.h"
#include "data/store.h"
#include "observe/grid.h"
#include "observe/observe.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>

/* -- collecting --------------------------------------------------------------------------------- */

static size_t split_bytes(const struct rn_dataset *d, const struct rn_split *s)
{
    size_t bytes = (size_t)s->count * sizeof *s->labels;
    if (s->pixels) bytes += (size_t)s->count * (size_t)d->channels * (size_t)d->height * (size_t)d->width;
    for (size_t i = 0; s->store && i < s->store->count; i++) {
        const struct rn_picture *p = &s->store->picture[i];
        if (p->pixels) bytes += (size_t)3 * (size_t)p->height * (size_t)p->width;
    }
    return bytes;
}

/* The loaders': each takes as many batches as it has workers, and one. */
static size_t loader_bytes(const struct profile_run *r)
{
    const struct rn_loader_config train = rn_train_loader(&r->config);
    struct rn_loader_config val = rn_val_loader(&r->config);
    struct rn_loader_size a = {0}, b = {0};
    if (!r->trainer) val.batch = r->config.batch;
    if (r->trainer && rn_loader_measure(&a, &train)) a.bytes = 0;
    if (rn_loader_measure(&b, &val)) b.bytes = 0;
    return a.bytes + b.bytes;
}

/* Small blocks are cleared, and so in memory, when they are made (base/mem.c); of large ones what is used. */
static size_t profiler_bytes(const struct rn_recording *r)
{
    const size_t event = sizeof *r->track->event + (r->counted ? sizeof *r->track->counter : 0);
    size_t bytes = r->samples * sizeof *r->sample + (size_t)r->sites * sizeof *r->site;
    if (r->track_events * event < (size_t)1 << 20) return bytes + (size_t)r->track_room * r->track_events * event;
    for (int i = 0; i < r->tracks; i++) bytes += r->track[i].events * event;
    return bytes;
}

void profile_memory_settle(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

rn_status profile_memory_take(struct profile_memory *m, const struct profile_run *r)
{
    const struct rn_net *net = r->trainer ? rn_trainer_net(r->trainer) : r->net;
    const struct rn_net_config *c = rn_net_config_of(net);
    const struct rn_dataset *d = r->data;
    *m = (struct profile_memory){ .program = r->program_mb, .measured = rn_rss_mb() };
    m->optimizer = (size_t)c->beside_arrays * rn_net_trainable_count(net) * sizeof(float);
    m->data = split_bytes(d, &d->train) + split_bytes(d, &d->val) + (d->has_test ? split_bytes(d, &d->test) : 0);
    m->data += loader_bytes(r);
    m->profiler = profiler_bytes(rn_recorder_recording(r->profile.recorder));
    return rn_net_memory(&m->net, net, r->trainer != NULL);
}

void profile_memory_free(struct profile_memory *m) { rn_net_memory_free(&m->net); }

/* -- categories ---------------------------------------------------------------------------------- */

#define CATEGORIES 9
struct category { const char *name, *key; double mb; };

static void list(struct category out[CATEGORIES], const struct profile_memory *m)
{
    const struct rn_net_memory *n = &m->net;
    const struct rn_memory_point *p = &n->point[n->peak];
    const size_t alive = p->activations + p->gradients + p->workspace;
    const size_t gaps = n->block > alive ? n->block - alive : 0;
    const struct category all[CATEGORIES] = {
        { "weights and running statistics", "weights", (double)(n->weights + n->packed) / RN_MB },
        { "gradients of the weights", "gradients", (double)n->gradients / RN_MB },
        { "optimizer", "optimizer", (double)m->optimizer / RN_MB },
        { "activations", "activations", (double)p->activations / RN_MB },
        { "gradients of activations", "activation_gradients", (double)p->gradients / RN_MB },
        { "workspace, packed weights, gaps", "workspace", (double)(p->workspace + gaps + n->statistics) / RN_MB },
        { "data: pixels, prepared batches", "data", (double)m->data / RN_MB },
        { "the profiler", "profiler", (double)m->profiler / RN_MB },
        { "the program itself", "program", m->program },
    };
    memcpy(out, all, sizeof all);
}

double profile_memory_sum(const struct profile_memory *m)
{
    struct category c[CATEGORIES];
    double sum = 0;
    list(c, m);
    for (int i = 0; i < CATEGORIES; i++) sum += c[i].mb;
    return sum;
}

static void add_cell(struct rn_grid *g, double mb)
{
    char text[RN_NUMBER_CHARS];
    rn_grid_add(g, "%s", rn_fixed_text(text, mb, 2));
}

static void add_pass(struct rn_text *t, const struct rn_net_memory *n)
{
    static const char *const heading[] = { "Step of a pass", "Layer", "Activations", "Gradients", "Workspace", "MB",
                                           NULL };
    struct rn_grid g;
    rn_grid_begin(&g, heading);
    for (int i = 0; i < n->points; i++) {
        const struct rn_memory_point *p = &n->point[i];
        rn_grid_add(&g, "%d %s%s", i, p->backward ? "backward" : "forward", i == n->peak ? ", peak" : "");
        rn_grid_add(&g, "%s", p->layer);
        add_cell(&g, (double)p->activations / RN_MB);
        add_cell(&g, (double)p->gradients / RN_MB);
        add_cell(&g, (double)p->workspace / RN_MB);
        add_cell(&g, (double)(p->activations + p->gradients + p->workspace) / RN_MB);
    }
    rn_grid_end(t, &g);
}

void profile_memory_text(struct rn_text *t, const struct profile_memory *m)
{
    static const char *const heading[] = { "At the peak", "MB", NULL };
    const double sum = profile_memory_sum(m);
    struct category c[CATEGORIES];
    struct rn_grid g;
    list(c, m);
    rn_text_add(t, "\nMemory\n");
    rn_grid_begin(&g, heading);
    for (int i = 0; i < CATEGORIES; i++) {
        rn_grid_add(&g, "%s", c[i].name);
        add_cell(&g, c[i].mb);
    }
    rn_grid_add(&g, "all of these");
    add_cell(&g, sum);
    rn_grid_add(&g, "by the operating system");
    add_cell(&g, m->measured);
    rn_grid_end(t, &g);
    if (m->measured > 0) {
        rn_text_add(t, "The categories are ");
        rn_text_fixed(t, 100 * sum / m->measured, 1);
        rn_text_add(t, " %% of what the operating system says.\n");
    }
    rn_text_add(t, "\nMemory of a pass, step by step\n");
    add_pass(t, &m->net);
}

void profile_memory_json(struct rn_text *t, const struct profile_memory *m)
{
    struct category c[CATEGORIES];
    list(c, m);
    rn_text_add(t, ",\n  \"memory_mb\": {");
    for (int i = 0; i < CATEGORIES; i++) {
        rn_text_add(t, "%s\n    \"%s\": ", i ? "," : "", c[i].key);
        rn_text_fixed(t, c[i].mb, 3);
    }
    rn_text_add(t, "\n  },\n  \"memory_sum_mb\": ");
    rn_text_fixed(t, profile_memory_sum(m), 3);
    rn_text_add(t, ",\n  \"rss_mb\": ");
    rn_text_fixed(t, m->measured, 3);
}

/* -- curves -------------------------------------------------------------------------------------- */

static int by_begin(const void *a, const void *b)
{
    const uint64_t x = (*(const struct rn_event *const *)a)->begin, y = (*(const struct rn_event *const *)b)->begin;
    return (x > y) - (x < y);
}

static void add_point(struct rn_recorder *r, uint64_t time, const struct rn_memory_point *p)
{
    static const char counter[] = "alive in a pass:";
    rn_recorder_sample(r, counter, "activations (MB)", time, (double)p->activations / RN_MB);
    rn_recorder_sample(r, counter, "gradients (MB)", time, (double)p->gradients / RN_MB);
    rn_recorder_sample(r, counter, "workspace (MB)", time, (double)p->workspace / RN_MB);
}

void profile_memory_curves(const struct profile_memory *m, struct tool_profile *p)
{
    const struct rn_recording *r = rn_recorder_recording(p->recorder);
    const struct rn_track *main = &r->track[0];
    const struct rn_event **list = rn_alloc_array(main->events, sizeof *list);
    const bool trains = m->net.gradients > 0;
    const char *last = trains ? "backward" : "inference";
    uint64_t past = 0, over = 0; /* end of a pass that the points are not of; and of the one that they are of */
    static const struct rn_memory_point none;
    int step = -1;
    if (!list) return;
    for (size_t i = 0; i < main->events; i++) list[i] = &main->event[i];
    qsort(list, main->events, sizeof *list, by_begin);
    for (size_t i = 0; i < main->events; i++) {
        const struct rn_event *e = list[i];
        if (over && e->begin >= over) add_point(p->recorder, over, &none);
        if (e->begin >= over) over = 0;
        if (trains && !strcmp(r->site[e->site].name, "inference")) past = e->end;
        if (!strcmp(r->site[e->site].name, last)) over = e->end;
        if (e->begin < past || e->step == step || e->step < 0 || e->step >= m->net.points) continue;
        step = e->step;
        add_point(p->recorder, e->begin, &m->net.point[step]);
    }
    if (over) add_point(p->recorder, over, &none);
    rn_free(list);
}
