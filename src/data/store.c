/*
 * store.c - pictures in files, scanned once and then given.
 *
 * What was seen of a file when it was scanned, its size in pixels and the hash of its bytes, must hold when it is
 * decoded again: a file that changed in between ends the run, for its batches would be others.
 */
#include "data/store.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/threads.h"
#include "data/image_codec.h"
#include "data/sets.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define CHUNK 64 /* files a thread between two calls of progress */

/* -- the list of what cannot be used ----------------------------------------------------------- */

rn_status rn_skip(struct rn_skipped *skipped, const char *line)
{
    if (skipped->strict) return rn_fail(RN_EINPUT, "%s", line);
    if (skipped->count++ < RN_SKIPPED_LINES) rn_text_add(&skipped->lines, "%s\n", line);
    return rn_text_status(&skipped->lines);
}

/* -- filling ----------------------------------------------------------------------------------- */

rn_status rn_store_create(struct rn_store **store, int resize, bool originals)
{
    if (!(*store = rn_alloc(sizeof **store))) return RN_ENOMEM;
    (*store)->resize = resize;
    (*store)->originals = originals;
    return RN_OK;
}

static void picture_free(struct rn_picture *p)
{
    rn_free(p->path);
    rn_free(p->pixels);
    *p = (struct rn_picture){0};
}

void rn_store_free(struct rn_store *store)
{
    if (!store) return;
    for (size_t i = 0; i < store->count; i++) picture_free(&store->picture[i]);
    rn_free(store->picture);
    rn_free(store);
}

/* Room for one more. */
static rn_status grow(struct rn_store *store)
{
    const size_t room = store->room ? 2 * store->room : 256, one = sizeof *store->picture;
    if (store->count < store->room) return RN_OK;
    struct rn_picture *grown = rn_realloc(store->picture, store->room * one, room * one);
    if (!grown) return RN_ENOMEM;
    store->picture = grown;
    store->room = room;
    return RN_OK;
}

rn_status rn_store_add(struct rn_store *store, const char *path, int32_t label)
{
    if (store->count >= UINT32_MAX)
        return rn_fail(RN_EINPUT, "%s: more than %" PRIu32 " files", rn_shown(path).text, UINT32_MAX);
    rn_status status = grow(store);
    if (status) return status;
    struct rn_picture *p = &store->picture[store->count];
    *p = (struct rn_picture){ .label = label, .path = rn_strdup(path) };
    if (!p->path) return RN_ENOMEM;
    store->count++;
    return RN_OK;
}

rn_status rn_store_move(struct rn_store *to, struct rn_store *from, const bool *marked)
{
    size_t kept = 0, count = from->count;
    rn_status status = RN_OK;
    for (size_t i = 0; i < count; i++) {
        const struct rn_picture p = from->picture[i];
        from->picture[i] = (struct rn_picture){0};
        if (marked[i] && !status) status = grow(to);
        if (marked[i] && !status) to->picture[to->count++] = p;
        else from->picture[kept++] = p;
    }
    from->count = kept;
    return status;
}

/* -- decoding ---------------------------------------------------------------------------------- */

/* torchvision's size of a picture whose short side becomes `side`: the long side is cut to a whole number.
 * false: more pixels than a picture may have. */
static bool resized(int *width, int *height, int w, int h, int side)
{
    const int64_t low = RN_MIN(w, h), high = RN_MAX(w, h), longer = side * high / low;
    if (side * longer > RN_IMAGE_MAX_PIXELS) return false;
    *width = w <= h ? side : (int)longer;
    *height = w <= h ? (int)longer : side;
    return true;
}

/* dst: planes [3][height][width], allocated here. */
static rn_status resize(uint8_t **dst, int width, int height, const uint8_t *src, int w, int h)
{
    const struct rn_box whole = { 0, 0, w, h };
    void *scratch = rn_alloc(rn_resize_scratch(w, h, width, height));
    *dst = rn_alloc_array((size_t)width * (size_t)height, 3);
    if (scratch && *dst) {
        rn_resize(*dst, width, height, src, w, h, &whole, scratch);
        rn_free(scratch);
        return RN_OK;
    }
    rn_free(scratch);
    rn_free(*dst);
    *dst = NULL;
    return RN_ENOMEM;
}

/* The picture as the store gives it. */
static rn_status fit(struct rn_image *image, const struct rn_store *store, const char *name)
{
    int width, height;
    uint8_t *smaller;
    if (!resized(&width, &height, image->width, image->height, store->resize))
        return rn_fail(RN_EINPUT, "%s: %d x %d pixels: too long and narrow to be brought to %d", name, image->width,
                       image->height, store->resize);
    if (store->originals || RN_MIN(image->width, image->height) <= store->resize) return RN_OK;
    if (image->pixels) {
        rn_status status = resize(&smaller, width, height, image->pixels, image->width, image->height);
        if (status) return status;
        rn_free(image->pixels);
        image->pixels = smaller;
    }
    image->width = width;
    image->height = height;
    return RN_OK;
}

/* Reads and decodes a file, or its header only: then without pixels.  expected: the hash it must have, or NULL;
 * *hash: the one it has. */
static rn_status load(struct rn_image *image, bool header, uint64_t *hash, const uint64_t *expected,
                      const struct rn_store *store, const char *path)
{
    unsigned char *bytes;
    size_t size;
    struct rn_hash h;
    const struct rn_shown name = rn_shown(path);
    *image = (struct rn_image){0};
    rn_status status = rn_file_read(&bytes, &size, path, RN_IMAGE_MAX_BYTES);
    if (status) return status;
    rn_hash_begin(&h, 0);
    rn_hash_bytes(&h, bytes, size);
    *hash = rn_hash_end(&h);
    if (expected && *hash != *expected)
        status = rn_fail(RN_EINPUT, "%s: changed since the data set was opened", name.text);
    if (!status && header) status = rn_image_size(&image->width, &image->height, bytes, size, name.text);
    else if (!status) status = rn_image_decode(image, bytes, size, name.text);
    rn_free(bytes);
    if (!status) status = fit(image, store, name.text);
    if (status) rn_image_free(image);
    return status;
}

/* -- the scan ---------------------------------------------------------------------------------- */

struct outcome { rn_status status; char *reason; };

struct job {
    struct rn_store *store;
    struct outcome *outcome; /* of the files from `first` on */
    size_t first;
    bool headers;
    _Atomic(uint64_t) room;  /* for pixels */
};

/* Whether so many bytes could be taken off the room. */
static bool take(_Atomic(uint64_t) *room, uint64_t bytes)
{
    uint64_t there = atomic_load(room);
    while (bytes <= there)
        if (atomic_compare_exchange_weak(room, &there, there - bytes)) return true;
    return false;
}

static void examine(void *arg, int64_t i, int worker)
{
    struct job *job = arg;
    struct rn_picture *p = &job->store->picture[job->first + (size_t)i];
    struct outcome *o = &job->outcome[i];
    struct rn_image image;
    (void)worker;
    *o = (struct outcome){ .status = load(&image, job->headers, &p->hash, NULL, job->store, p->path) };
    if (o->status) {
        if (!(o->reason = rn_strdup(rn_error()))) o->status = RN_ENOMEM;
        return;
    }
    p->width = image.width;
    p->height = image.height;
    const uint64_t bytes = 3 * (uint64_t)image.width * (uint64_t)image.height;
    if (image.pixels && take(&job->room, bytes)) p->pixels = image.pixels;
    else rn_image_free(&image);
}

/* Moves the usable pictures of a chunk to the place `*kept`, and lists the others. */
static rn_status sort_out(struct job *job, size_t count, size_t *kept, struct rn_skipped *skipped)
{
    struct rn_picture *all = job->store->picture;
    rn_status status = RN_OK;
    for (size_t i = 0; i < count; i++) {
        struct rn_picture *p = &all[job->first + i];
        struct outcome *o = &job->outcome[i];
        if (o->status == RN_OK) {
            if (&all[*kept] != p) {
                all[*kept] = *p;
                *p = (struct rn_picture){0};
            }
            ++*kept;
        } else {
            if (!status && o->status == RN_EINPUT) status = rn_skip(skipped, o->reason);
            else if (!status) status = rn_fail(o->status, "%s", o->reason ? o->reason : rn_status_text(o->status));
            picture_free(p);
        }
        rn_free(o->reason);
    }
    return status;
}

rn_status rn_store_scan(struct rn_store *store, struct rn_scan *scan)
{
    const size_t chunk = (size_t)scan->threads * CHUNK, count = store->count;
    struct job job = { .store = store, .headers = scan->headers };
    size_t kept = 0;
    rn_status status = RN_OK;
    atomic_init(&job.room, scan->cache_bytes);
    if (!(job.outcome = rn_alloc_array(chunk, sizeof *job.outcome))) return RN_ENOMEM;
    for (; !status && job.first < count; job.first += chunk) {
        const size_t part = RN_MIN(chunk, count - job.first);
        rn_parallel(scan->threads, (int64_t)part, examine, &job);
        status = sort_out(&job, part, &kept, scan->skipped);
        scan->done += (int64_t)part;
        if (!status && scan->progress) scan->progress(scan->arg, scan->done, scan->total);
    }
    rn_free(job.outcome);
    if (status) return status;
    store->count = kept;
    scan->cache_bytes = atomic_load(&job.room);
    return RN_OK;
}

rn_status rn_store_probe(struct rn_store *store)
{
    size_t kept = 0;
    rn_status status = RN_OK;
    for (size_t i = 0; i < store->count; i++) {
        struct rn_picture p = store->picture[i];
        struct rn_image image;
        bool wanted = !status && (!kept || store->picture[kept - 1].label != p.label);
        rn_status found = wanted ? load(&image, false, &p.hash, NULL, store, p.path) : RN_EINPUT;
        store->picture[i] = (struct rn_picture){0};
        if (found == RN_OK) {
            rn_image_free(&image);
            store->picture[kept++] = p;
        } else {
            if (found != RN_EINPUT) status = found;
            picture_free(&p);
        }
    }
    store->count = kept;
    return status;
}

/* -- giving ------------------------------------------------------------------------------------ */

rn_status rn_store_get(struct rn_view *view, struct rn_image *own, const struct rn_store *store, uint32_t index)
{
    const struct rn_picture *p = &store->picture[index];
    uint64_t hash;
    *own = (struct rn_image){0};
    *view = (struct rn_view){ p->width, p->height, p->pixels };
    if (p->pixels) return RN_OK;
    rn_status status = load(own, false, &hash, &p->hash, store, p->path);
    view->pixels = own->pixels;
    return status;
}

rn_status rn_view_resize(struct rn_view *view, struct rn_image *own, int resize_to)
{
    int w, h;
    *own = (struct rn_image){0};
    if (!resized(&w, &h, view->width, view->height, resize_to))
        return rn_fail(RN_EINPUT, "%d x %d pixels: too long and narrow to be brought to %d", view->width,
                       view->height, resize_to);
    if (w == view->width && h == view->height) return RN_OK;
    rn_status status = resize(&own->pixels, w, h, view->pixels, view->width, view->height);
    if (status) return status;
    own->width = w;
    own->height = h;
    *view = (struct rn_view){ w, h, own->pixels };
    return RN_OK;
}

rn_status rn_centre_crop(uint8_t *dst, int side, const struct rn_view *view, int resize_to)
{
    struct rn_view v = *view;
    struct rn_image own;
    rn_status status = rn_view_resize(&v, &own, resize_to);
    if (status) return status;
    const size_t width = (size_t)v.width, plane = width * (size_t)v.height;
    const uint8_t *corner = v.pixels + (size_t)rn_middle(side, v.height) * width + rn_middle(side, v.width);
    for (int c = 0; c < 3; c++, corner += plane)
        for (int y = 0; y < side; y++, dst += side) memcpy(dst, corner + (size_t)y * width, (size_t)side);
    rn_image_free(&own);
    return RN_OK;
}
