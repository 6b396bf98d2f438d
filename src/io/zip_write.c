/*
 * zip_write.c - stored zip archives, a pure function of names and content: fixed dates, no
 * comments, no compression.  Content begins at multiples of 64 bytes, padded by an extra field "FB"
 * as PyTorch pads, so that it can be mapped.  ZIP64 records appear where a size or place needs
 * them.
 */
#include "io/zip.h"

#include "base/mem.h"
#include "io/bytes.h"

#include <string.h>

#define ALIGN 64
#define DATE 0x0021 /* 1980-01-01, the zero of the format */
#define ALL_ONES 0xffffffffu

rn_status rn_zip_begin(struct rn_zip_writer *z, const char *path)
{
    *z = (struct rn_zip_writer){ .out = { .fd = -1 } };
    return rn_writer_open(&z->out, path);
}

/* The fields that local header and directory share, from `version needed` to the lengths. */
static void put_common(unsigned char *p, const struct rn_zip_record *r, bool large, size_t extra)
{
    memset(p, 0, 26);
    rn_put(p, large ? 45 : 20, 2);
    rn_put(p + 8, DATE, 2);
    rn_put(p + 10, r->crc, 4);
    rn_put(p + 14, large ? ALL_ONES : r->size, 4);
    rn_put(p + 18, large ? ALL_ONES : r->size, 4);
    rn_put(p + 22, strlen(r->name), 2);
    rn_put(p + 24, extra, 2);
}

static rn_status put_local(struct rn_zip_writer *z, const struct rn_zip_record *r)
{
    unsigned char p[30], extra[20 + 4 + ALIGN] = { 0 };
    size_t used = 0, n = strlen(r->name);
    bool large = r->size >= ALL_ONES;
    if (large) {
        rn_put(extra, 1, 2);
        rn_put(extra + 2, 16, 2);
        rn_put(extra + 4, r->size, 8);
        rn_put(extra + 12, r->size, 8);
        used = 20;
    }
    size_t pad = (size_t)((0 - (r->offset + sizeof p + n + used + 4)) % ALIGN);
    memcpy(extra + used, "FB", 2);
    rn_put(extra + used + 2, pad, 2);
    memset(extra + used + 4, 'Z', pad);
    used += 4 + pad;
    memcpy(p, "PK\3\4", 4);
    put_common(p + 4, r, large, used);
    rn_status s = rn_writer_bytes(&z->out, p, sizeof p);
    if (!s) s = rn_writer_bytes(&z->out, r->name, n);
    return s ? s : rn_writer_bytes(&z->out, extra, used);
}

rn_status rn_zip_put(struct rn_zip_writer *z, const char *name, const void *head, size_t head_bytes,
                     const void *items, size_t count, size_t size)
{
    rn_status s = rn_grow(&z->record, z->count, &z->capacity, sizeof *z->record, SIZE_MAX / 64);
    if (s) return s;
    struct rn_zip_record *r = &z->record[z->count];
    uint32_t crc = rn_crc_bytes(0, head, head_bytes);
    *r = (struct rn_zip_record){ .name = rn_strdup(name),
                                 .offset = z->out.offset,
                                 .size = (uint64_t)head_bytes + (uint64_t)count * size,
                                 .crc = rn_crc_items(crc, items, count, size) };
    if (!r->name) return RN_ENOMEM;
    z->count++;
    s = put_local(z, r);
    if (!s) s = rn_writer_bytes(&z->out, head, head_bytes);
    return s ? s : rn_write_items(&z->out, items, count, size);
}

static rn_status put_central(struct rn_zip_writer *z, const struct rn_zip_record *r)
{
    unsigned char p[46] = { 0 }, extra[28] = { 0 };
    size_t used = 0;
    bool large = r->size >= ALL_ONES, far = r->offset >= ALL_ONES;
    if (large) {
        rn_put(extra + 4, r->size, 8);
        rn_put(extra + 12, r->size, 8);
        used = 16;
    }
    if (far) {
        rn_put(extra + 4 + used, r->offset, 8);
        used += 8;
    }
    if (used) {
        rn_put(extra, 1, 2);
        rn_put(extra + 2, used, 2);
        used += 4;
    }
    memcpy(p, "PK\1\2", 4);
    rn_put(p + 4, 45, 2);
    put_common(p + 6, r, large, used);
    if (far) rn_put(p + 6, 45, 2);
    rn_put(p + 42, far ? ALL_ONES : r->offset, 4);
    rn_status s = rn_writer_bytes(&z->out, p, sizeof p);
    if (!s) s = rn_writer_bytes(&z->out, r->name, strlen(r->name));
    return s ? s : rn_writer_bytes(&z->out, extra, used);
}

/* The ZIP64 end record and its locator, where the plain end record has too few bits. */
static rn_status put_end64(struct rn_zip_writer *z, uint64_t directory, uint64_t end)
{
    unsigned char p[56 + 20] = { 0 };
    memcpy(p, "PK\6\6", 4);
    rn_put(p + 4, 44, 8);
    rn_put(p + 12, 45, 2);
    rn_put(p + 14, 45, 2);
    rn_put(p + 24, z->count, 8);
    rn_put(p + 32, z->count, 8);
    rn_put(p + 40, end - directory, 8);
    rn_put(p + 48, directory, 8);
    memcpy(p + 56, "PK\6\7", 4);
    rn_put(p + 64, end, 8);
    rn_put(p + 72, 1, 4);
    return rn_writer_bytes(&z->out, p, sizeof p);
}

rn_status rn_zip_commit(struct rn_zip_writer *z)
{
    unsigned char p[22] = { 0 };
    uint64_t directory = z->out.offset;
    rn_status s = RN_OK;
    for (size_t i = 0; i < z->count && !s; i++) s = put_central(z, &z->record[i]);
    uint64_t end = z->out.offset;
    if (s) return s;
    if (z->count >= 0xffff || directory >= ALL_ONES || end - directory >= ALL_ONES)
        s = put_end64(z, directory, end);
    memcpy(p, "PK\5\6", 4);
    rn_put(p + 8, RN_MIN(z->count, 0xffff), 2);
    rn_put(p + 10, RN_MIN(z->count, 0xffff), 2);
    rn_put(p + 12, RN_MIN(end - directory, ALL_ONES), 4);
    rn_put(p + 16, RN_MIN(directory, ALL_ONES), 4);
    if (!s) s = rn_writer_bytes(&z->out, p, sizeof p);
    return s ? s : rn_writer_commit(&z->out);
}

void rn_zip_abort(struct rn_zip_writer *z)
{
    rn_writer_abort(&z->out);
    for (size_t i = 0; i < z->count; i++) rn_free(z->record[i].name);
    rn_free(z->record);
    z->record = NULL;
    z->count = z->capacity = 0;
}
