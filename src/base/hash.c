/*
 * hash.c - XXH64, after its public specification (Yann Collet, doc/xxhash_spec.md).
 *
 * Input is read as little-endian words by shifts, so every machine gives the same hash; compilers
 * make plain loads and stores of them.
 */
#include "base/hash.h"

#include "base/real.h"

#include <string.h>

#define PRIME1 0x9E3779B185EBCA87u
#define PRIME2 0xC2B2AE3D27D4EB4Fu
#define PRIME3 0x165667B19E3779F9u
#define PRIME4 0x85EBCA77C2B2AE63u
#define PRIME5 0x27D4EB2F165667C5u

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint32_t load32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t load64(const unsigned char *p)
{
    return load32(p) | (uint64_t)load32(p + 4) << 32;
}

static void store32(unsigned char *p, uint32_t x)
{
    p[0] = (unsigned char)x;
    p[1] = (unsigned char)(x >> 8);
    p[2] = (unsigned char)(x >> 16);
    p[3] = (unsigned char)(x >> 24);
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
    return rotate(lane + word * PRIME2, 31) * PRIME1;
}

/* Takes whole stripes of 32 bytes. */
static void stripes(struct rn_hash *h, const unsigned char *p, size_t count)
{
    uint64_t a = h->lane[0], b = h->lane[1], c = h->lane[2], d = h->lane[3];
    for (; count > 0; count--, p += 32) {
        a = mix(a, load64(p));
        b = mix(b, load64(p + 8));
        c = mix(c, load64(p + 16));
        d = mix(d, load64(p + 24));
    }
    h->lane[0] = a;
    h->lane[1] = b;
    h->lane[2] = c;
    h->lane[3] = d;
}

void rn_hash_begin(struct rn_hash *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->lane[0] = seed + PRIME1 + PRIME2;
    h->lane[1] = seed + PRIME2;
    h->lane[2] = seed;
    h->lane[3] = seed - PRIME1;
}

void rn_hash_bytes(struct rn_hash *h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    if (bytes == 0) return;
    h->total += bytes;
    if (h->fill > 0) {
        size_t take = RN_MIN(bytes, sizeof h->tail - h->fill);
        memcpy(h->tail + h->fill, p, take);
        h->fill += take;
        p += take;
        bytes -= take;
        if (h->fill < sizeof h->tail) return;
        stripes(h, h->tail, 1);
        h->fill = 0;
    }
    stripes(h, p, bytes / 32);
    h->fill = bytes % 32;
    memcpy(h->tail, p + (bytes - h->fill), h->fill);
}

#define BLOCK 128 /* floats looked at together; a constant, so that compilers make vectors of it */

/* Whether the block's memory is what is hashed: no NaN in it, and this machine little-endian. */
static bool as_it_lies(const float *block)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t nan = 0;
    for (int i = 0; i < BLOCK; i++) nan |= 0x7f800000u - (rn_bits(block[i]) & 0x7fffffffu);
    return nan >> 31 == 0; /* the difference was negative nowhere */
#else
    (void)block;
    return false;
#endif
}

void rn_hash_floats(struct rn_hash *h, const float *data, size_t count)
{
    unsigned char block[4 * BLOCK];
    while (count > 0) {
        size_t take = RN_MIN(count, BLOCK);
        if (take == BLOCK && as_it_lies(data)) {
            rn_hash_bytes(h, data, sizeof block);
        } else {
            for (size_t i = 0; i < take; i++) {
                uint32_t u = rn_bits(data[i]);
                store32(block + 4 * i, (u & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : u);
            }
            rn_hash_bytes(h, block, 4 * take);
        }
        data += take;
        count -= take;
    }
}

void rn_hash_u64(struct rn_hash *h, uint64_t value)
{
    unsigned char bytes[8];
    store32(bytes, (uint32_t)value);
    store32(bytes + 4, (uint32_t)(value >> 32));
    rn_hash_bytes(h, bytes, sizeof bytes);
}

/* The four lanes folded into one. */
static uint64_t merge(const uint64_t lane[4])
{
    uint64_t x = rotate(lane[0], 1) + rotate(lane[1], 7);
    x += rotate(lane[2], 12) + rotate(lane[3], 18);
    for (int i = 0; i < 4; i++) x = (x ^ mix(0, lane[i])) * PRIME1 + PRIME4;
    return x;
}

uint64_t rn_hash_end(const struct rn_hash *h)
{
    const unsigned char *p = h->tail, *end = h->tail + h->fill;
    /* lane[2] is the seed as long as no stripe was taken */
    uint64_t x = (h->total >= 32 ? merge(h->lane) : h->lane[2] + PRIME5) + h->total;
    for (; end - p >= 8; p += 8) x = rotate(x ^ mix(0, load64(p)), 27) * PRIME1 + PRIME4;
    if (end - p >= 4) {
        x = rotate(x ^ load32(p) * PRIME1, 23) * PRIME2 + PRIME3;
        p += 4;
    }
    for (; p < end; p++) x = rotate(x ^ *p * PRIME5, 11) * PRIME1;
    x = (x ^ x >> 33) * PRIME2;
    x = (x ^ x >> 29) * PRIME3;
    return x ^ x >> 32;
}
