/*
 * bytes.c - items between host order and the little-endian order of every file here, growing
 * arrays, and the one test of what may be a text.
 */
#include "io/bytes.h"

#include "base/mem.h"

#include <string.h>
#include <zlib.h>

/* bytes turned around at a time on big-endian hosts; a multiple of every item size */
#define CHUNK 4096

void rn_swap(void *data, size_t count, size_t size)
{
    unsigned char *p = data;
    if (size == 1) return;
    for (size_t i = 0; i < count; i++, p += size)
        for (size_t lo = 0, hi = size - 1; lo < hi; lo++, hi--) {
            unsigned char t = p[lo];
            p[lo] = p[hi];
            p[hi] = t;
        }
}

uint32_t rn_crc_bytes(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uLong c = crc;
    while (bytes > 0) {
        uInt n = (uInt)RN_MIN(bytes, (size_t)1 << 30);
        c = crc32(c, p, n);
        p += n;
        bytes -= n;
    }
    return (uint32_t)c;
}

/* Copies items to `chunk` with their bytes reversed; returns how many fitted. */
static size_t turn(unsigned char chunk[CHUNK], const unsigned char *p, size_t count, size_t size)
{
    size_t n = RN_MIN(count, CHUNK / size);
    memcpy(chunk, p, n * size);
    rn_swap(chunk, n, size);
    return n;
}

uint32_t rn_crc_items(uint32_t crc, const void *data, size_t count, size_t size)
{
    const unsigned char *p = data;
    unsigned char chunk[CHUNK];
    if (!RN_HOST_BIG || size == 1) return rn_crc_bytes(crc, data, count * size);
    while (count > 0) {
        size_t n = turn(chunk, p, count, size);
        crc = rn_crc_bytes(crc, chunk, n * size);
        p += n * size;
        count -= n;
    }
    return crc;
}

rn_status rn_write_items(struct rn_writer *w, const void *data, size_t count, size_t size)
{
    const unsigned char *p = data;
    unsigned char chunk[CHUNK];
    if (!RN_HOST_BIG || size == 1) return rn_writer_bytes(w, data, count * size);
    while (count > 0) {
        size_t n = turn(chunk, p, count, size);
        rn_status s = rn_writer_bytes(w, chunk, n * size);
        if (s) return s;
        p += n * size;
        count -= n;
    }
    return RN_OK;
}

rn_status rn_grow(void *array_pointer, size_t count, size_t *capacity, size_t item, size_t limit)
{
    void *array, *grown;
    if (count < *capacity) return RN_OK;
    if (count >= limit) return rn_fail(RN_EINPUT, "more than %zu items", limit);
    size_t room = RN_MIN(*capacity ? 2 * *capacity : 16, limit);
    memcpy(&array, array_pointer, sizeof array);
    grown = rn_realloc(array, *capacity * item, room * item);
    if (!grown) return RN_ENOMEM;
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = room;
    return RN_OK;
}

/* Bytes of the UTF-8 character at p, 0 if it is none.  Table 3-7 of the Unicode Standard. */
static size_t character(const unsigned char *p, size_t left)
{
    unsigned char a = p[0], lo = 0x80, hi = 0xbf;
    size_t n = a < 0x80 ? 1 : a < 0xc2 ? 0 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : a < 0xf5 ? 4 : 0;
    if (a == 0 || n == 0 || n > left) return 0;
    if (a == 0xe0) lo = 0xa0;
    if (a == 0xed) hi = 0x9f;
    if (a == 0xf0) lo = 0x90;
    if (a == 0xf4) hi = 0x8f;
    if (n > 1 && (p[1] < lo || p[1] > hi)) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

bool rn_text_valid(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t at = 0, n; at < length; at += n)
        if ((n = character(p + at, length - at)) == 0) return false;
    return true;
}
