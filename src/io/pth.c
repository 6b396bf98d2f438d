/*
 * pth.c - reading .pth by content, the zip form (PyTorch 1.6 and later), and writing it.
 * The older forms are in pth_legacy.c.
 */
#include "io/pth.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STEM_LIMIT 256 /* letters of the folder inside the archive */

struct zip_context { struct rn_zip *zip; const char *stem; size_t stem_length; bool big; };

/* STEM/name with its content's size at most `limit`; NULL with a message if it must be refused. */
static struct rn_zip_entry *find(const struct zip_context *c, const char *name)
{
    char full[STEM_LIMIT + RN_STORAGE_KEY + 16];
    snprintf(full, sizeof full, "%.*s/%s", (int)c->stem_length, c->stem, name);
    return rn_zip_find(c->zip, full);
}

static rn_status read_zip_storage(void *context, const struct rn_storage *st, void *dst)
{
    struct zip_context *c = context;
    char name[RN_STORAGE_KEY + 8];
    const char *path = c->zip->source->path;
    snprintf(name, sizeof name, "data/%s", st->key);
    struct rn_zip_entry *e = find(c, name);
    size_t item = rn_dtype_bytes(st->dtype);
    if (!e)
        return rn_fail(RN_EINPUT, "%s: storage %s: the archive has no entry data/%s", path, st->key,
                       st->key);
    if (e->method)
        return rn_fail(RN_EINPUT, "%s: storage %s is compressed; torch.save stores", path, st->key);
    if (e->size / item != (uint64_t)st->numel || e->size % item)
        return rn_fail(RN_EINPUT,
                       "%s: storage %s: %" PRId64 " elements of %s need %" PRIu64
                       " bytes, its entry has %" PRIu64,
                       path, st->key, st->numel, rn_dtype_name(st->dtype),
                       (uint64_t)st->numel * item, e->size);
    if (!dst) return RN_OK;
    rn_status s = rn_zip_read(c->zip, e, dst);
    if (!s && c->big != RN_HOST_BIG) rn_swap(dst, (size_t)st->numel, item);
    return s;
}

/* All entries lie in one folder, the stem; what is no state dict is named. */
static rn_status find_stem(struct zip_context *c)
{
    const char *path = c->zip->source->path, *first = c->zip->entry[0].name;
    c->stem = first;
    c->stem_length = strcspn(first, "/");
    if (c->stem_length > STEM_LIMIT)
        return rn_fail(RN_EINPUT, "%s: the archive's folder has a name of more than %d letters",
                       path, STEM_LIMIT);
    for (size_t i = 0; i < c->zip->count; i++) {
        const char *name = c->zip->entry[i].name;
        if (strncmp(name, first, c->stem_length) || name[c->stem_length] != '/') {
            char shown[128];
            return rn_fail(RN_EINPUT,
                           "%s: not a .pth: entry %s does not lie in the archive's one folder",
                           path, rn_printable(shown, sizeof shown, name, strlen(name)));
        }
        if (!strcmp(name + c->stem_length, "/constants.pkl") ||
            !strncmp(name + c->stem_length, "/code/", 6))
            return rn_fail(RN_EINPUT, "%s: a TorchScript archive, not a state dict (it holds %s)",
                           path, name + c->stem_length + 1);
    }
    return RN_OK;
}

static rn_status read_byteorder(struct zip_context *c)
{
    char word[8] = "";
    struct rn_zip_entry *e = find(c, "byteorder");
    if (!e) return RN_OK;
    if (e->size >= sizeof word || e->method)
        return rn_fail(RN_EINPUT, "%s: entry byteorder is neither \"little\" nor \"big\"",
                       c->zip->source->path);
    rn_status s = rn_zip_read(c->zip, e, word);
    if (s) return s;
    c->big = !strcmp(word, "big");
    if (!c->big && strcmp(word, "little"))
        return rn_fail(RN_EINPUT, "%s: entry byteorder is neither \"little\" nor \"big\"",
                       c->zip->source->path);
    return RN_OK;
}

/* Runs the pickle in `data` as the whole of it, and builds its tree. */
static rn_status read_pickle(struct rn_pickle *p, uint64_t tensor_limit, struct rn_value **root,
                             struct rn_pending_list *pending)
{
    uint32_t id;
    rn_status s = rn_pickle_run(p, &id);
    if (!s && p->at != p->size)
        s = rn_pickle_fail(p, "%zu bytes follow the pickle's STOP", p->size - p->at);
    return s ? s : rn_pickle_tree(p, id, tensor_limit, root, pending);
}

static rn_status read_zip(struct rn_value **root, const struct rn_source *source)
{
    struct rn_zip zip;
    struct zip_context c = { .zip = &zip };
    struct rn_pickle p;
    struct rn_pending_list pending = { 0 };
    unsigned char *data = NULL;
    rn_status s = rn_zip_open(&zip, source);
    if (s) return s;
    rn_pickle_begin(&p, source->path);
    if ((s = find_stem(&c)) != RN_OK || (s = read_byteorder(&c)) != RN_OK) goto done;
    struct rn_zip_entry *e = find(&c, "data.pkl");
    if (!e)
        s = rn_fail(RN_EINPUT, "%s: not a .pth: the archive has no entry data.pkl", source->path);
    else if (e->method || e->size > RN_PICKLE_LIMIT)
        s = rn_fail(RN_EINPUT, "%s: entry data.pkl is compressed or longer than 64 MB",
                    source->path);
    else if (!(data = rn_alloc((size_t)e->size))) s = RN_ENOMEM;
    if (s || (s = rn_zip_read(&zip, e, data)) != RN_OK) goto done;
    rn_pickle_input(&p, data, (size_t)e->size, e->data);
    s = read_pickle(&p, source->size + RN_TENSOR_SLACK, root, &pending);
    if (!s) s = rn_pending_fill(&pending, source->path, read_zip_storage, &c);
    if (!s) s = rn_zip_check_rest(&zip);
done:
    rn_pickle_end(&p);
    rn_zip_close(&zip);
    rn_free(pending.item);
    rn_free(data);
    return s;
}

/* A pickle alone: names, shapes and types, but no values. */
static rn_status read_bare(struct rn_value **root, const struct rn_source *source)
{
    struct rn_pickle p;
    struct rn_pending_list pending = { 0 };
    unsigned char *data;
    if (source->size > RN_PICKLE_LIMIT)
        return rn_fail(RN_EINPUT, "%s: a pickle of more than 64 MB", source->path);
    rn_status s = rn_source_take(source, &data, 0, source->size, "the pickle");
    if (s) return s;
    rn_pickle_begin(&p, source->path);
    rn_pickle_input(&p, data, (size_t)source->size, 0);
    s = read_pickle(&p, UINT64_MAX, root, &pending);
    rn_pickle_end(&p);
    rn_free(pending.item);
    rn_free(data);
    return s;
}

rn_status rn_pth_read(struct rn_value **root, enum rn_format *format, const char *path)
{
    struct rn_source source;
    enum rn_format f;
    *root = NULL;
    rn_status s = rn_source_open(&source, path);
    if (s) return s;
    s = rn_sniff(&source, &f);
    if (!s) switch (f) {
        case RN_FORMAT_PTH_ZIP: s = read_zip(root, &source); break;
        case RN_FORMAT_PTH_STREAM: s = rn_pth_read_stream(root, &source); break;
        case RN_FORMAT_PTH_TAR: s = rn_pth_read_tar(root, &source); break;
        case RN_FORMAT_PICKLE: s = read_bare(root, &source); break;
        default: s = rn_fail(RN_EINPUT, "%s: is %s, not a .pth", path, rn_format_name(f));
        }
    rn_source_close(&source);
    if (s) {
        rn_value_free(*root);
        *root = NULL;
    } else if (format) *format = f;
    return s;
}

/* -- writing ----------------------------------------------------------------------------------- */

/* Entries as torch.save has them, under a folder whose name does not depend on the path. */
static rn_status put_entries(struct rn_zip_writer *z, const struct rn_text *pickle,
                             const struct rn_tensor_list *list)
{
    char name[64];
    rn_status s = rn_zip_put(z, "archive/data.pkl", pickle->data, pickle->length, NULL, 0, 1);
    if (!s) s = rn_zip_put(z, "archive/byteorder", "little", 6, NULL, 0, 1);
    for (size_t i = 0; i < list->count && !s; i++) {
        const struct rn_tensor *t = list->item[i];
        snprintf(name, sizeof name, "archive/data/%zu", i);
        s = rn_zip_put(z, name, NULL, 0, t->data, (size_t)t->count, rn_dtype_bytes(t->dtype));
    }
    return s ? s : rn_zip_put(z, "archive/version", "3\n", 2, NULL, 0, 1);
}

rn_status rn_pth_write(const char *path, const struct rn_value *root)
{
    struct rn_text pickle = { 0 };
    struct rn_tensor_list list = { 0 };
    struct rn_zip_writer zip = { .out = { .fd = -1 } };
    rn_status s = rn_pickle_write(&pickle, root, &list);
    if (s && s != RN_ENOMEM) s = rn_fail_in(s, path);
    if (!s) {
        s = rn_zip_begin(&zip, path);
        if (!s) s = put_entries(&zip, &pickle, &list);
        if (!s) s = rn_zip_commit(&zip);
        rn_zip_abort(&zip);
    }
    rn_free(list.item);
    rn_text_free(&pickle);
    return s;
}
