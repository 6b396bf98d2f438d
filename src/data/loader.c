/*
 * loader.c - turns a split into batches of pictures, prepared ahead by background threads.  Pictures stay bytes: where
 * moving them is all that is to be done to them, the batch says how, and the device does it with the rest (A29).
 *
 * A ring of slots, one more than there are workers: batch s of the epoch lives in slot s mod slots,
 * workers claim batches in order, and a slot is claimed again only after the caller has moved on
 * from it.  What a batch holds is a function of (seed, epoch, s), so it does not matter who fills
 * it or when.  All memory for batches is taken when the loader is created; filling fails only where pictures
 * lie in files that are gone or changed, and then the slot holds the message for whoever asks for the batch.
 */
#define _POSIX_C_SOURCE 200809L
#include "data/data.h"

#include "base/clock.h"
#include "base/marks.h"
#include "base/mem.h"
#include "base/real.h"
#include "base/threads.h"
#include "data/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORKERS 64

struct slot {
    uint8_t *pixels; /* [n][C][H][W] */
    struct rn_image_move *move;
    int32_t *labels;
    uint32_t *index;
    uint8_t *cut;    /* one augmented image that is still to be shrunk; NULL without progressive sizes */
    void *scratch;   /* of augmenting, then of shrinking */
    size_t scratch_bytes;
    int n;
    int64_t step;    /* the batch it holds; -1: none, or being filled */
    rn_status status; /* of filling it */
    char message[512];
};

struct rn_loader {
    struct rn_loader_config c;
    uint32_t *order; /* of this epoch */
    uint32_t epoch;
    int height, width; /* of this epoch's images */
    int64_t count, steps;
    struct slot *slot;
    int slots, workers;       /* workers: threads started */
    pthread_t *thread;
    bool synchronised;        /* mutex and conditions exist */
    pthread_mutex_t lock;     /* of all below, and of slot[].step */
    pthread_cond_t work, done;
    int64_t current;          /* the batch in the caller's hands, or that comes next */
    int64_t claim, end;       /* the next batch to be filled; none from `end` on */
    int busy;                 /* workers filling */
    bool lent, quit;          /* the caller holds `current`; threads are to end */
    uint64_t waited;          /* nanoseconds in rn_loader_next, in all */
};

/* Bytes of an image as the set has it, the largest there is. */
static size_t image_size(const struct rn_loader *l)
{
    return (size_t)l->c.set->channels * (size_t)l->c.set->height * (size_t)l->c.set->width;
}

/* Whether this epoch's images are smaller than the set's. */
static bool is_shrunk(const struct rn_loader *l)
{
    return l->height != l->c.set->height || l->width != l->c.set->width;
}

/* Makes the slot's scratch that large. */
static rn_status reserve(struct slot *s, size_t bytes)
{
    if (bytes <= s->scratch_bytes) return RN_OK;
    rn_free(s->scratch);
    s->scratch_bytes = 0;
    if (!(s->scratch = rn_alloc(bytes))) return RN_ENOMEM;
    s->scratch_bytes = bytes;
    return RN_OK;
}

/* Room to augment a picture; those in memory have the set's size. */
static size_t augment_scratch(const struct rn_loader *l, int source_w, int source_h)
{
    return rn_augment_scratch(&l->c.augment, l->c.set->width, l->c.set->height, source_w, source_h);
}

/* Whether the list moves bytes only, which also works for other than three planes. */
static bool moves_only(const struct rn_augment *a)
{
    for (int i = 0; i < a->items; i++)
        if (a->item[i] != RN_AUGMENT_CROP && a->item[i] != RN_AUGMENT_FLIP) return false;
    return true;
}

static rn_status augment(uint8_t *dst, struct rn_loader *l, struct slot *s, const struct rn_view *view, uint32_t index)
{
    const struct rn_dataset *set = l->c.set;
    rn_status status = reserve(s, augment_scratch(l, view->width, view->height));
    if (!status)
        rn_augment_apply(dst, set->width, set->height, view->pixels, view->width, view->height, &l->c.augment,
                         l->c.seed, l->epoch, index, s->scratch);
    return status;
}

/* A picture that lies in a file: augmented, or as evaluation sees it.  Random resized crops are of the whole picture,
 * other items of one whose short side is evaluation's. */
static rn_status prepare_file(uint8_t *dst, struct rn_loader *l, struct slot *s, uint32_t index)
{
    const struct rn_store *store = l->c.split->store;
    struct rn_image own, resized = {0};
    struct rn_view view;
    rn_status status = rn_store_get(&view, &own, store, index);
    if (!status && !l->c.augment.items) status = rn_centre_crop(dst, l->c.set->width, &view, store->resize);
    if (!status && l->c.augment.items && !rn_augment_has(&l->c.augment, RN_AUGMENT_RRC))
        status = rn_view_resize(&view, &resized, store->resize);
    if (!status && l->c.augment.items) status = augment(dst, l, s, &view, index);
    rn_image_free(&own);
    rn_image_free(&resized);
    return status;
}

/* Image `index` as this epoch shows it, at the set's size, but for what *move is to do. */
static rn_status prepare(uint8_t *dst, struct rn_image_move *move, struct rn_loader *l, struct slot *s, uint32_t index)
{
    const struct rn_dataset *set = l->c.set;
    const struct rn_augment *a = &l->c.augment;
    if (l->c.split->store) return prepare_file(dst, l, s, index);
    const struct rn_view there = { set->width, set->height, l->c.split->pixels + index * image_size(l) };
    if (!moves_only(a)) return augment(dst, l, s, &there, index);
    if (is_shrunk(l)) {
        rn_augment_image(dst, there.pixels, set->channels, set->height, set->width, a, l->c.seed, l->epoch, index);
    } else {
        memcpy(dst, there.pixels, image_size(l));
        rn_augment_move(move, set->height, set->width, a, l->c.seed, l->epoch, index);
    }
    return RN_OK;
}

/* Picture number i of the slot, in the size of the epoch. */
static rn_status fill_picture(struct rn_loader *l, struct slot *s, int i)
{
    const struct rn_dataset *set = l->c.set;
    const struct rn_box whole = { 0, 0, set->width, set->height };
    const size_t bytes = (size_t)set->channels * (size_t)l->height * (size_t)l->width;
    const uint32_t index = s->index[i];
    uint8_t *picture = s->pixels + (size_t)i * bytes;
    s->move[i] = (struct rn_image_move){0};
    rn_status status = prepare(is_shrunk(l) ? s->cut : picture, &s->move[i], l, s, index);
    if (status) return status;
    if (is_shrunk(l)) rn_resize(picture, l->width, l->height, s->cut, set->width, set->height, &whole, s->scratch);
    rn_augment_erase(&s->move[i], l->height, l->width, &l->c.augment, l->c.seed, l->epoch, index);
    return RN_OK;
}

/* Makes batch `step` of the epoch in the slot. */
static void fill(struct rn_loader *l, struct slot *s, int64_t step)
{
    int64_t first = step * l->c.batch;
    const struct rn_marks *marks = rn_marks();
    if (marks) marks->begin("prepare a batch", "data loader");
    s->status = RN_OK;
    s->n = (int)RN_MIN(l->c.batch, l->count - first);
    for (int i = 0; i < s->n && !s->status; i++) {
        s->index[i] = l->order[first + i];
        s->labels[i] = l->c.split->labels[s->index[i]];
        s->status = fill_picture(l, s, i);
    }
    if (s->status) snprintf(s->message, sizeof s->message, "%s", rn_error());
    rn_mark_end();
}

/* Is there a batch to fill, and is its slot out of the caller's hands? */
static bool can_claim(const struct rn_loader *l)
{
    return l->claim < l->end && l->claim < l->current + l->slots;
}

static void *work(void *arg)
{
    struct rn_loader *l = arg;
    rn_fpmode_enter(); /* A3; a thread of our own needs no way back */
    rn_thread_roam();
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (!can_claim(l)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        int64_t step = l->claim++;
        struct slot *s = &l->slot[step % l->slots];
        s->step = -1;
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        fill(l, s, step);
        pthread_mutex_lock(&l->lock);
        s->step = step;
        l->busy--;
        pthread_cond_signal(&l->done); /* only the caller waits for it */
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Starts the workers with all signals blocked: those are the business of the program's own
 * thread. */
static rn_status start_workers(struct rn_loader *l, int workers)
{
    sigset_t all, before;
    if (pthread_mutex_init(&l->lock, NULL) || pthread_cond_init(&l->work, NULL) ||
        pthread_cond_init(&l->done, NULL))
        return rn_fail(RN_EIO, "the loader's lock cannot be made");
    l->synchronised = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    while (l->workers < workers && !error)
        if (!(error = pthread_create(&l->thread[l->workers], NULL, work, l))) l->workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return rn_fail(RN_EIO, "loader thread %d cannot be started: %s", l->workers + 1,
                       strerror(error));
    return RN_OK;
}

static rn_status check_config(const struct rn_loader_config *c)
{
    if (c->batch < 1) return rn_fail(RN_EUSAGE, "a batch of %d images; at least 1", c->batch);
    if (c->limit < 0)
        return rn_fail(RN_EUSAGE, "a limit of %lld images; at least 0", (long long)c->limit);
    if (c->workers < 0 || c->workers > MAX_WORKERS)
        return rn_fail(RN_EUSAGE, "%d loader threads; 0 to %d are possible", c->workers,
                       MAX_WORKERS);
    if (c->split->count < 0 || (uint64_t)c->split->count > UINT32_MAX)
        return rn_fail(RN_EINPUT, "%s: a split of %lld images; at most %lld", c->set->name,
                       (long long)c->split->count, (long long)UINT32_MAX);
    if (c->progressive.parts &&
        (c->set->height != c->set->width || c->progressive.part[c->progressive.parts - 1].side >= c->set->height))
        return rn_fail(RN_EUSAGE, "progressive sizes: up to %d, but images of %s are %dx%d",
                       c->progressive.part[c->progressive.parts - 1].side, c->set->name, c->set->height,
                       c->set->width);
    for (int k = 0; k < c->set->channels; k++) {
        float m = (float)c->mean[k], s = (float)c->std[k];
        if (!rn_finite(m) || !rn_finite(s) || s < FLT_MIN)
            return rn_fail(RN_EUSAGE, "channel %d: mean and std must be finite floats, std above 0",
                           k);
    }
    return RN_OK;
}

/* Bytes that shrinking takes, for the largest of the progressive sizes: they rise. */
static size_t shrink_scratch(const struct rn_loader *l)
{
    const struct rn_progressive *p = &l->c.progressive;
    int side = p->parts ? p->part[p->parts - 1].side : 0;
    return p->parts ? rn_resize_scratch(l->c.set->width, l->c.set->height, side, side) : 0;
}

/* Scratch of a slot; for pictures in files, which are of any size, it grows. */
static size_t scratch_bytes(const struct rn_loader *l)
{
    const struct rn_dataset *set = l->c.set;
    const bool moved = moves_only(&l->c.augment);
    return RN_MAX(shrink_scratch(l), moved ? 0 : augment_scratch(l, set->width, set->height));
}

static rn_status make_memory(struct rn_loader *l)
{
    size_t batch = (size_t)l->c.batch, image = image_size(l);
    l->order = rn_alloc_array((size_t)l->count, sizeof *l->order);
    l->slot = rn_alloc_array((size_t)l->slots, sizeof *l->slot);
    l->thread = rn_alloc_array((size_t)l->slots, sizeof *l->thread);
    if (!l->order || !l->slot || !l->thread) return RN_ENOMEM;
    for (struct slot *s = l->slot; s < l->slot + l->slots; s++) {
        s->step = -1;
        s->pixels = rn_alloc_array(batch, image);
        s->move = rn_alloc_array(batch, sizeof *s->move);
        s->labels = rn_alloc_array(batch, sizeof *s->labels);
        s->index = rn_alloc_array(batch, sizeof *s->index);
        if (!s->pixels || !s->move || !s->labels || !s->index) return RN_ENOMEM;
        if (reserve(s, scratch_bytes(l))) return RN_ENOMEM;
        if (l->c.progressive.parts && !(s->cut = rn_alloc(image))) return RN_ENOMEM;
    }
    return RN_OK;
}

/* All of the loader that is known without memory. */
static void lay_out(struct rn_loader *l, const struct rn_loader_config *config)
{
    l->c = *config;
    l->count = config->split->count;
    if (config->limit > 0) l->count = RN_MIN(l->count, config->limit);
    l->c.batch = (int)RN_MAX(1, RN_MIN(l->c.batch, l->count)); /* room for what there is */
    l->steps = (l->count + l->c.batch - 1) / l->c.batch;
    l->c.workers = (int)RN_MIN(config->workers, l->steps);
    l->slots = l->c.workers + 1;
}

/* What make_memory takes; SIZE_MAX / 2 if it is more than that. */
static size_t count_bytes(const struct rn_loader *l)
{
    const struct slot *s = NULL;
    const double image = (double)image_size(l);
    const double row = image + sizeof *s->move + sizeof *s->labels + sizeof *s->index;
    const double cut = l->c.progressive.parts ? image : 0, scratch = (double)scratch_bytes(l);
    const double slot = sizeof *s + sizeof *l->thread + cut + scratch + l->c.batch * row;
    const double bytes = (double)l->count * sizeof *l->order + l->slots * slot;
    return bytes < (double)(SIZE_MAX / 2) ? (size_t)bytes : SIZE_MAX / 2;
}

rn_status rn_loader_measure(struct rn_loader_size *size, const struct rn_loader_config *config)
{
    struct rn_loader l = {0};
    rn_status status = check_config(config);
    if (status != RN_OK) return status;
    lay_out(&l, config);
    *size = (struct rn_loader_size){ l.count, l.steps, count_bytes(&l) };
    return RN_OK;
}

rn_status rn_loader_create(struct rn_loader **loader, const struct rn_loader_config *config)
{
    *loader = NULL;
    rn_status status = check_config(config);
    if (status != RN_OK) return status;
    struct rn_loader *l = rn_alloc(sizeof *l);
    if (!l) return RN_ENOMEM;
    lay_out(l, config);
    status = make_memory(l);
    if (status == RN_OK && l->c.workers > 0) status = start_workers(l, l->c.workers);
    if (status == RN_OK) *loader = l;
    else rn_loader_free(l);
    return status;
}

int64_t rn_loader_steps(const struct rn_loader *loader)
{
    return loader->steps;
}

int64_t rn_loader_count(const struct rn_loader *loader)
{
    return loader->count;
}

/* Lets nobody claim, and waits until nobody fills. */
static void settle(struct rn_loader *l)
{
    if (!l->synchronised) return;
    pthread_mutex_lock(&l->lock);
    l->end = 0;
    while (l->busy) pthread_cond_wait(&l->done, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

rn_status rn_loader_begin(struct rn_loader *loader, uint32_t epoch, int64_t first_step)
{
    struct rn_loader *l = loader;
    if (first_step < 0 || first_step > l->steps)
        return rn_fail(RN_EUSAGE, "batch %lld of an epoch that has %lld", (long long)first_step,
                       (long long)l->steps);
    settle(l);
    l->height = rn_progressive_side(&l->c.progressive, epoch, l->c.set->height);
    l->width = rn_progressive_side(&l->c.progressive, epoch, l->c.set->width);
    if (l->c.shuffle)
        rn_shuffle(l->order, (uint32_t)l->count, l->c.seed, epoch);
    else
        for (int64_t i = 0; i < l->count; i++) l->order[i] = (uint32_t)i;
    if (l->synchronised) pthread_mutex_lock(&l->lock);
    l->epoch = epoch;
    l->lent = false;
    l->current = l->claim = first_step;
    l->end = l->steps;
    for (int i = 0; i < l->slots; i++) l->slot[i].step = -1;
    if (l->synchronised) {
        pthread_cond_broadcast(&l->work);
        pthread_mutex_unlock(&l->lock);
    }
    return RN_OK;
}

/* Takes the last batch back and waits for the next, made here when there are no workers. */
static void advance(struct rn_loader *l)
{
    if (l->synchronised) pthread_mutex_lock(&l->lock);
    if (l->lent) l->current++;
    l->lent = l->current < l->end;
    struct slot *s = &l->slot[l->current % l->slots];
    if (l->synchronised) {
        pthread_cond_broadcast(&l->work);
        while (l->lent && s->step != l->current) pthread_cond_wait(&l->done, &l->lock);
        pthread_mutex_unlock(&l->lock);
    } else if (l->lent) {
        fill(l, s, l->current);
    }
}

static struct rn_image_shape shape(const struct rn_loader *l, int n)
{
    struct rn_image_shape s = { n, l->c.set->channels, l->height, l->width, l->c.augment.reflect, {0}, {0} };
    for (int c = 0; c < s.C; c++) {
        s.mean[c] = (float)l->c.mean[c];
        s.std[c] = (float)l->c.std[c];
    }
    return s;
}

rn_status rn_loader_next(struct rn_loader *loader, struct rn_batch *batch)
{
    const uint64_t start = rn_nanoseconds();
    *batch = (struct rn_batch){0};
    rn_mark_begin("enumerate(DataLoader)"); /* PyTorch's name for it */
    advance(loader);
    rn_mark_end();
    loader->waited += rn_nanoseconds() - start;
    if (!loader->lent) return RN_OK;
    const struct slot *s = &loader->slot[loader->current % loader->slots];
    if (s->status) return rn_fail(s->status, "%s", s->message);
    *batch = (struct rn_batch){ { s->pixels, s->move, shape(loader, s->n) }, s->labels, s->index, s->n };
    return RN_OK;
}

double rn_loader_waited(const struct rn_loader *loader)
{
    return 1e-9 * (double)loader->waited;
}

static void stop_workers(struct rn_loader *l)
{
    if (!l->synchronised) return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->workers; i++) pthread_join(l->thread[i], NULL);
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
}

void rn_loader_free(struct rn_loader *loader)
{
    struct rn_loader *l = loader;
    if (!l) return;
    stop_workers(l);
    for (int i = 0; l->slot && i < l->slots; i++) {
        rn_free(l->slot[i].pixels);
        rn_free(l->slot[i].move);
        rn_free(l->slot[i].labels);
        rn_free(l->slot[i].index);
        rn_free(l->slot[i].cut);
        rn_free(l->slot[i].scratch);
    }
    rn_free(l->slot);
    rn_free(l->thread);
    rn_free(l->order);
    rn_free(l);
}
