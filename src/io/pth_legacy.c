/*
 * pth_legacy.c - the forms of .pth before PyTorch 1.6: the stream (magic number, four pickles, then
 * the storages), and the tar archive of 2017.  Source: legacy_load in torch/serialization.py.
 */
#include "io/pth.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- places of storages ------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct rn_place *)a)->key, ((const struct rn_place *)b)->key);
}

rn_status rn_places_add(struct rn_places *list, const struct rn_place *place)
{
    rn_status s =
        rn_grow(&list->item, list->count, &list->room, sizeof *list->item, RN_PICKLE_NODES);
    if (!s) list->item[list->count++] = *place;
    return s;
}

rn_status rn_places_sort(struct rn_places *list)
{
    if (list->count) qsort(list->item, list->count, sizeof *list->item, by_key);
    for (size_t i = 1; i < list->count; i++)
        if (!by_key(&list->item[i - 1], &list->item[i]))
            return rn_fail(RN_EINPUT, "%s: storage %s is there twice", list->source->path,
                           list->item[i].key);
    return RN_OK;
}

struct rn_place *rn_places_find(const struct rn_places *list, const char *key)
{
    struct rn_place wanted = { 0 };
    snprintf(wanted.key, sizeof wanted.key, "%s", key);
    return list->count ? bsearch(&wanted, list->item, list->count, sizeof wanted, by_key) : NULL;
}

rn_status rn_places_read(void *context, const struct rn_storage *st, void *dst)
{
    const struct rn_places *list = context;
    const char *path = list->source->path;
    const struct rn_place *place = rn_places_find(list, st->key);
    if (!place)
        return rn_fail(RN_EINPUT, "%s: storage %s is not in the file's list of storages", path,
                       st->key);
    if (place->numel != st->numel)
        return rn_fail(RN_EINPUT,
                       "%s: offset %" PRIu64 ": storage %s has %" PRId64
                       " elements, its tensors say %" PRId64,
                       path, place->offset, st->key, place->numel, st->numel);
    if (!dst) return RN_OK; /* that it lies inside the file was checked when the place was made */
    size_t item = rn_dtype_bytes(st->dtype);
    rn_status s =
        rn_source_read(list->source, dst, place->offset, (uint64_t)st->numel * item, st->key);
    if (!s && RN_HOST_BIG) rn_swap(dst, (size_t)st->numel, item);
    return s;
}

/* The int64 count at *at and the elements after it; *at moves behind them. */
static rn_status locate(struct rn_place *place, const struct rn_source *source, uint64_t *at)
{
    unsigned char b[8];
    uint64_t item = rn_dtype_bytes(place->dtype);
    rn_status s = rn_source_read(source, b, *at, 8, "a storage's count");
    if (s) return s;
    uint64_t numel = rn_get64(b);
    place->offset = *at + 8;
    if (numel > (source->size - place->offset) / item)
        return rn_fail(RN_EINPUT,
                       "%s: truncated at byte %" PRIu64 ": storage %s at offset %" PRIu64
                       " says %" PRIu64 " elements of %s",
                       source->path, source->size, place->key, *at, numel,
                       rn_dtype_name(place->dtype));
    place->numel = (int64_t)numel;
    *at = place->offset + numel * item;
    return RN_OK;
}

/* -- stream ------------------------------------------------------------------------------------ */

/* Types of the storages that tensors mention, by key. */
static rn_status known_types(struct rn_places *types, const struct rn_pickle *p)
{
    rn_status s = RN_OK;
    for (size_t i = 0; i < p->storages && !s; i++) {
        struct rn_place place = { .numel = p->storage[i].numel, .dtype = p->storage[i].dtype };
        memcpy(place.key, p->storage[i].key, sizeof place.key);
        s = rn_places_add(types, &place);
    }
    if (types->count) qsort(types->item, types->count, sizeof *types->item, by_key);
    return s;
}

/* The last pickle lists the keys in the order in which the storages follow it. */
static rn_status stream_places(struct rn_places *places, const struct rn_pickle *p, uint32_t keys)
{
    struct rn_places types = { .source = places->source };
    const struct rn_node *list = &p->node[keys];
    if (list->kind != RN_NODE_LIST)
        return rn_pickle_fail(p, "the keys of the storages are no list");
    rn_status s = known_types(&types, p);
    uint64_t at = p->base + p->at;
    uint32_t link = list->first;
    for (uint32_t i = 0; i < list->count && !s; i++, link = p->link[link].next) {
        const struct rn_node *key = &p->node[p->link[link].node];
        struct rn_place place = { 0 }, *type = NULL;
        if (key->kind == RN_NODE_TEXT && key->count < RN_STORAGE_KEY) {
            memcpy(place.key, key->as.text, key->count);
            type = rn_places_find(&types, place.key);
        }
        if (!type)
            s = rn_pickle_fail(p, "key %lu of the storages belongs to no tensor", (unsigned long)i);
        else place.dtype = type->dtype;
        if (!s) s = locate(&place, places->source, &at);
        if (!s) s = rn_places_add(places, &place);
    }
    if (!s && at != places->source->size)
        s = rn_fail(RN_EINPUT, "%s: offset %" PRIu64 ": bytes follow the last storage",
                    places->source->path, at);
    rn_free(types.item);
    return s ? s : rn_places_sort(places);
}

rn_status rn_pth_read_stream(struct rn_value **root, const struct rn_source *source)
{
    static const unsigned char protocol[] = { 0x80, 2, 'M', 0xe9, 3, '.' }; /* 1001 */
    const size_t magic = 15; /* recognised by rn_sniff */
    struct rn_pickle p;
    struct rn_places places = { .source = source };
    struct rn_pending_list pending = { 0 };
    unsigned char *data = NULL;
    uint32_t info, object, keys;
    uint64_t window = RN_MIN(source->size, RN_PICKLE_LIMIT);
    rn_status s = rn_source_take(source, &data, 0, window, "the pickles");
    if (s) return s;
    rn_pickle_begin(&p, source->path);
    rn_pickle_input(&p, data, (size_t)window, 0);
    p.at = magic;
    if (window < magic + sizeof protocol || memcmp(data + magic, protocol, sizeof protocol))
        s = rn_fail(RN_EINPUT, "%s: offset %zu: no protocol number 1001 after the magic number",
                    source->path, magic);
    p.at += sizeof protocol;
    if (!s) s = rn_pickle_run(&p, &info);
    if (!s) s = rn_pickle_run(&p, &object);
    if (!s) s = rn_pickle_run(&p, &keys);
    if (!s) s = stream_places(&places, &p, keys);
    if (!s) s = rn_pickle_tree(&p, object, source->size + RN_TENSOR_SLACK, root, &pending);
    rn_free(data);
    if (!s) s = rn_pending_fill(&pending, source->path, rn_places_read, &places);
    rn_pickle_end(&p);
    rn_free(places.item);
    rn_free(pending.item);
    return s;
}
