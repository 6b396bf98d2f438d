/*
 * bytes.h - little-endian fields of files, whatever the host's order (inside io/ only).
 */
#ifndef RN_IO_BYTES_H
#define RN_IO_BYTES_H

#include "base/base.h"
#include "base/file.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define RN_HOST_BIG 1
#else
#define RN_HOST_BIG 0
#endif

static inline uint16_t rn_get16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t rn_get32(const unsigned char *p)
{
    return (uint32_t)rn_get16(p) | (uint32_t)rn_get16(p + 2) << 16;
}

static inline uint64_t rn_get64(const unsigned char *p)
{
    return (uint64_t)rn_get32(p) | (uint64_t)rn_get32(p + 4) << 32;
}

static inline void rn_put(unsigned char *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(value >> (8 * i));
}

/* Reverses the bytes of each of `count` items of `size` bytes, in place. */
void rn_swap(void *data, size_t count, size_t size);
/* CRC-32 of plain bytes, continuing `crc` (0 to start), whatever their number. */
uint32_t rn_crc_bytes(uint32_t crc, const void *data, size_t bytes);
/* CRC-32, continuing `crc`, of host-order items as they stand in a little-endian file. */
uint32_t rn_crc_items(uint32_t crc, const void *data, size_t count, size_t size);
/* Writes host-order items in little-endian order. */
rn_status rn_write_items(struct rn_writer *w, const void *data, size_t count, size_t size);

/* Makes room for one more item in an array of *capacity: doubles it, from 16 up to `limit`. */
rn_status rn_grow(void *array_pointer, size_t count, size_t *capacity, size_t item, size_t limit);
/* Valid UTF-8 (no surrogates, no overlong forms) without zero bytes: what every text here is. */
bool rn_text_valid(const char *text, size_t length);

#endif /* RN_IO_BYTES_H */
