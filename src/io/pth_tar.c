/*
 * pth_tar.c - the .pth of PyTorch 0.1: a tar archive of `storages`, `tensors` and `pickle`.
 *
 * storages: a count; per storage a pickle (key, location, type), an int64 count, the elements; then
 * a pickle of views (key, root, offset, size).  tensors: a count; per tensor a pickle (key,
 * storage, type), int32 dims and four unused bytes, sizes, strides, offset as int64.  pickle: the
 * object, in which persistent ids are tensors' keys.  Source: legacy_load in
 * torch/serialization.py; tar: POSIX pax, "ustar Interchange Format".
 */
#include "io/pth.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 512
#define SMALL 4096 /* bytes enough for a pickle of three short values */

enum { SYS_INFO, STORAGES, TENSORS, PICKLE, MEMBERS };
static const char *const member_name[MEMBERS] = { "sys_info", "storages", "tensors", "pickle" };

struct tar {
    const struct rn_source *source;
    struct { uint64_t offset, size; bool there; } member[MEMBERS];
    struct rn_pickle p;
    struct rn_places storages; /* numel of a view: its elements; offset: of its first one */
    struct rn_places tensors;  /* numel: index into p.tensor */
};

/* -- the archive ------------------------------------------------------------------------------- */

static rn_status bad(const struct tar *t, uint64_t offset, const char *what)
{
    return rn_fail(RN_EINPUT, "%s: tar offset %" PRIu64 ": %s", t->source->path, offset, what);
}

/* Octal digits of a header field, ended by space or zero; false if there are none or others. */
static bool octal(const unsigned char *p, size_t n, uint64_t *value)
{
    size_t i = 0;
    for (*value = 0; i < n && p[i] == ' ';) i++;
    size_t first = i;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) *value = *value * 8 + (uint64_t)(p[i] - '0');
    return i > first && (i == n || p[i] == ' ' || p[i] == '\0');
}

/* A PAX header may set times and owners; what would rename, link or resize a member is refused. */
static rn_status check_pax(const struct tar *t, uint64_t offset, uint64_t size)
{
    static const char *const refused[] = { " path=", " linkpath=", " size=", " GNU.sparse" };
    unsigned char *text;
    if (size > 65536) return bad(t, offset, "a PAX header of more than 64 KB");
    rn_status s = rn_source_take(t->source, &text, offset, size, "a PAX header");
    if (s) return s;
    if (memchr(text, 0, (size_t)size)) s = bad(t, offset, "a zero byte in a PAX header");
    for (size_t i = 0; i < RN_COUNT(refused) && !s; i++)
        if (strstr((const char *)text, refused[i]))
            s = bad(t, offset, "a PAX header that renames or resizes its member");
    rn_free(text);
    return s;
}

static rn_status add_member(struct tar *t, const unsigned char *h, uint64_t at, uint64_t size)
{
    char name[101] = "", shown[128];
    memcpy(name, h, 100);
    if (h[345] && !memcmp(h + 257, "ustar", 5)) return bad(t, at, "a member inside a folder");
    for (int i = 0; i < MEMBERS; i++) {
        if (strcmp(name, member_name[i])) continue;
        if (t->member[i].there) return bad(t, at, "a member is there twice");
        t->member[i].offset = at + BLOCK;
        t->member[i].size = size;
        t->member[i].there = true;
        return RN_OK;
    }
    return rn_fail(RN_EINPUT,
                   "%s: tar offset %" PRIu64
                   ": member %s is none of sys_info, pickle, tensors, storages",
                   t->source->path, at, rn_printable(shown, sizeof shown, name, strlen(name)));
}

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

static rn_status read_members(struct tar *t)
{
    unsigned char h[BLOCK];
    uint64_t at = 0, size;
    bool ended = false;
    rn_status s = RN_OK;
    for (; at < t->source->size && !s; at += BLOCK) {
        if ((s = rn_source_read(t->source, h, at, BLOCK, "a tar header")) != RN_OK) break;
        if (all_zero(h, BLOCK)) {
            ended = true;
            continue;
        }
        if (ended) return bad(t, at, "bytes after the end of the archive");
        if (!rn_tar_checksum(h)) return bad(t, at, "a header whose checksum is wrong");
        if (!octal(h + 124, 12, &size) || size > t->source->size ||
            size > t->source->size - at - BLOCK)
            return bad(t, at, "a member's size is no octal number, or leads past the end");
        switch (h[156]) {
        case '0': case '\0': s = add_member(t, h, at, size); break;
        case 'x': case 'g': s = check_pax(t, at + BLOCK, size); break;
        case '1': case '2': s = bad(t, at, "a link; a checkpoint has none"); break;
        default: s = bad(t, at, "a member that is no file"); break;
        }
        at += (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    if (!s && !ended)
        s = bad(t, RN_MIN(at, t->source->size), "the archive is cut off: it has no end");
    for (int i = STORAGES; i < MEMBERS && !s; i++)
        if (!t->member[i].there)
            s = rn_fail(RN_EINPUT, "%s: a tar archive without member %s, not a .pth",
                        t->source->path, member_name[i]);
    return s;
}

/* -- small pickles ----------------------------------------------------------------------------- */

/* Runs the pickle at *at, which lies before `end`, from a window of `limit` bytes; *at moves behind
 * it. */
static rn_status run_at(struct tar *t, uint64_t *at, uint64_t end, uint64_t limit, uint32_t *root,
                        unsigned char **window)
{
    uint64_t n = RN_MIN(end - *at, limit);
    rn_status s = rn_source_take(t->source, window, *at, n, "a pickle");
    if (s) return s;
    rn_pickle_input(&t->p, *window, (size_t)n, *at);
    s = rn_pickle_run(&t->p, root);
    *at += t->p.at;
    return s;
}

static bool as_int(const struct tar *t, uint32_t id, int64_t *value)
{
    *value = t->p.node[id].as.integer;
    return t->p.node[id].kind == RN_NODE_INT;
}

/* A key is an integer; it is kept as its decimal text. */
static bool as_key(const struct tar *t, uint32_t id, char key[RN_STORAGE_KEY])
{
    int64_t value;
    if (!as_int(t, id, &value)) return false;
    snprintf(key, RN_STORAGE_KEY, "%" PRId64, value);
    return true;
}

static rn_status read_count(struct tar *t, uint64_t *at, uint64_t end, int64_t *count)
{
    uint32_t root;
    unsigned char *window = NULL;
    rn_status s = run_at(t, at, end, SMALL, &root, &window);
    if (!s && (!as_int(t, root, count) || *count < 0 || *count > (int64_t)RN_PICKLE_NODES))
        s = bad(t, *at, "a count that is no integer, negative or over a million");
    rn_free(window);
    return s;
}

/* -- storages ---------------------------------------------------------------------------------- */

static rn_status read_storage(struct tar *t, uint64_t *at, uint64_t end)
{
    struct rn_place place = { 0 };
    uint32_t root, part[3];
    unsigned char *window = NULL, b[8] = { 0 };
    rn_status s = run_at(t, at, end, SMALL, &root, &window);
    if (!s &&
        (t->p.node[root].kind != RN_NODE_TUPLE || rn_pickle_items(&t->p, root, part, 3) != 3 ||
         !as_key(t, part[0], place.key) || !rn_pickle_storage_type(&t->p, part[2], &place.dtype)))
        s = bad(t, *at, "a storage that is not (key, location, type)");
    rn_free(window);
    if (!s) s = rn_source_read(t->source, b, *at, 8, "a storage's count");
    if (s) return s;
    uint64_t numel = rn_get64(b), item = rn_dtype_bytes(place.dtype);
    place.offset = *at + 8;
    if (place.offset > end || numel > (end - place.offset) / item)
        return bad(t, *at, "a storage's count leads out of its member");
    place.numel = (int64_t)numel;
    *at = place.offset + numel * item;
    return rn_places_add(&t->storages, &place);
}

/* Views become storages of their own: a place inside their root. */
static rn_status add_views(struct tar *t, uint32_t root, uint64_t at)
{
    const struct rn_node *list = &t->p.node[root];
    uint32_t part[4], link = list->first, count = list->count;
    rn_status s = list->kind == RN_NODE_LIST ? rn_places_sort(&t->storages)
                                             : bad(t, at, "the views are no list");
    size_t roots = t->storages.count;
    for (uint32_t i = 0; i < count && !s; i++, link = t->p.link[link].next) {
        struct rn_places whole = { .item = t->storages.item, .count = roots };
        struct rn_place view = { 0 }, *of;
        char key[RN_STORAGE_KEY];
        int64_t first, numel;
        uint32_t id = t->p.link[link].node;
        if (t->p.node[id].kind != RN_NODE_TUPLE || rn_pickle_items(&t->p, id, part, 4) != 4 ||
            !as_key(t, part[0], view.key) || !as_key(t, part[1], key) ||
            !as_int(t, part[2], &first) || !as_int(t, part[3], &numel) ||
            !(of = rn_places_find(&whole, key)))
            return bad(t, at, "a view that is not (key, storage, offset, size)");
        if (first < 0 || numel < 0 || first > of->numel || numel > of->numel - first)
            return bad(t, at, "a view that leads out of its storage");
        view.dtype = of->dtype;
        view.numel = numel;
        view.offset = of->offset + (uint64_t)first * rn_dtype_bytes(of->dtype);
        s = rn_places_add(&t->storages, &view);
    }
    return s ? s : rn_places_sort(&t->storages);
}

static rn_status read_storages(struct tar *t)
{
    uint64_t at = t->member[STORAGES].offset, end = at + t->member[STORAGES].size;
    int64_t count = 0;
    uint32_t root;
    unsigned char *window = NULL;
    rn_status s = read_count(t, &at, end, &count);
    for (int64_t i = 0; i < count && !s; i++) s = read_storage(t, &at, end);
    if (!s) s = run_at(t, &at, end, RN_PICKLE_LIMIT, &root, &window);
    if (!s) s = add_views(t, root, at);
    rn_free(window);
    return s;
}

/* -- tensors ----------------------------------------------------------------------------------- */

/* Sizes, strides and offset in the member's bytes; p->at moves behind them. */
static rn_status read_geometry(struct tar *t, struct rn_strided *x)
{
    struct rn_pickle *p = &t->p;
    const unsigned char *b = p->data + p->at;
    size_t left = p->size - p->at;
    if (left < 8) return rn_pickle_fail(p, "truncated: a tensor's dimensions");
    uint32_t dims = rn_get32(b);
    if (dims > RN_MAX_DIMS)
        return rn_pickle_fail(p, "a tensor has %lu dimensions; the limit is %d",
                              (unsigned long)dims, RN_MAX_DIMS);
    if (left < 16 + 16 * (size_t)dims)
        return rn_pickle_fail(p, "truncated: a tensor's sizes and strides");
    for (uint32_t i = 0; i < dims; i++) {
        x->shape[i] = (int64_t)rn_get64(b + 8 + 8 * i);
        x->stride[i] = (int64_t)rn_get64(b + 8 + 8 * (dims + i));
    }
    x->dims = (int)dims;
    x->offset = (int64_t)rn_get64(b + 8 + 16 * (size_t)dims);
    p->at += 16 + 16 * (size_t)dims;
    return rn_pickle_bounds(p, x);
}

static rn_status read_tensor(struct tar *t)
{
    struct rn_pickle *p = &t->p;
    struct rn_place place = { 0 }, *of = NULL;
    struct rn_storage st = { 0 };
    uint32_t root, part[3], id;
    rn_status s = rn_pickle_run(p, &root);
    if (s) return s;
    if (p->node[root].kind != RN_NODE_TUPLE || rn_pickle_items(p, root, part, 3) != 3 ||
        !as_key(t, part[0], place.key) || !as_key(t, part[1], st.key) ||
        !(of = rn_places_find(&t->storages, st.key)))
        return rn_pickle_fail(p, "a tensor that is not (key, storage, type)");
    st.dtype = of->dtype;
    st.numel = st.count = of->numel;
    s = rn_grow(&p->storage, p->storages, &p->storage_room, sizeof *p->storage, RN_PICKLE_NODES);
    if (s) return s;
    p->storage[p->storages++] = st;
    struct rn_strided x = { .storage = (uint32_t)(p->storages - 1) };
    s = read_geometry(t, &x);
    if (!s) s = rn_pickle_tensor(p, &x, &id);
    if (s) return s;
    place.numel = p->node[id].as.integer;
    return rn_places_add(&t->tensors, &place);
}

static rn_status read_tensors(struct tar *t)
{
    unsigned char *data;
    uint32_t root;
    int64_t count = 0;
    uint64_t size = t->member[TENSORS].size, offset = t->member[TENSORS].offset;
    if (size > RN_PICKLE_LIMIT) return bad(t, offset, "member tensors has more than 64 MB");
    rn_status s = rn_source_take(t->source, &data, offset, size, "member tensors");
    if (s) return s;
    rn_pickle_input(&t->p, data, (size_t)size, offset);
    s = rn_pickle_run(&t->p, &root);
    if (!s && (!as_int(t, root, &count) || count < 0))
        s = rn_pickle_fail(&t->p, "the number of tensors is no integer");
    for (int64_t i = 0; i < count && !s; i++) s = read_tensor(t);
    if (!s) s = rn_places_sort(&t->tensors);
    rn_free(data);
    return s;
}

/* A persistent id is a tensor's key as text. */
static rn_status tar_persistent(struct rn_pickle *p, uint32_t id, uint32_t *object)
{
    const struct tar *t = p->context;
    const struct rn_node *n = &p->node[id];
    char key[RN_STORAGE_KEY] = "";
    if (n->kind == RN_NODE_TUPLE)
        return rn_pickle_fail(
            p, "a whole module was saved, with its code; save its state_dict() instead");
    if (n->kind == RN_NODE_TEXT && n->count < sizeof key) memcpy(key, n->as.text, n->count);
    const struct rn_place *place = rn_places_find(&t->tensors, key);
    if (!place) return rn_pickle_fail(p, "a persistent id that names no tensor of the file");
    rn_status s = rn_pickle_node(p, RN_NODE_TENSOR, object);
    if (!s) p->node[*object].as.integer = place->numel;
    return s;
}

rn_status rn_pth_read_tar(struct rn_value **root, const struct rn_source *source)
{
    struct tar t = { .source = source, .storages.source = source, .tensors.source = source };
    struct rn_pending_list pending = { 0 };
    unsigned char *window = NULL;
    uint32_t object;
    rn_pickle_begin(&t.p, source->path);
    rn_status s = read_members(&t);
    if (!s) s = read_storages(&t);
    if (!s) s = read_tensors(&t);
    uint64_t at = t.member[PICKLE].offset;
    t.p.persistent = tar_persistent;
    t.p.context = &t;
    if (!s) s = run_at(&t, &at, at + t.member[PICKLE].size, RN_PICKLE_LIMIT, &object, &window);
    if (!s) s = rn_pickle_tree(&t.p, object, source->size + RN_TENSOR_SLACK, root, &pending);
    if (!s) s = rn_pending_fill(&pending, source->path, rn_places_read, &t.storages);
    rn_pickle_end(&t.p);
    rn_free(window);
    rn_free(pending.item);
    rn_free(t.storages.item);
    rn_free(t.tensors.item);
    return s;
}
