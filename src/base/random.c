/*
 * random.c - Philox4x32-10 and the distributions of rule A29 over it.
 *
 * The generator has no state to carry: word number `draw` of a key is computed from the key alone,
 * so threads, ranks and resumed runs need not agree on who drew what before.
 * Source: Salmon, Moraes, Dror, Shaw, SC'11, section 3.3 and table 2 (round constants).
 */
#include "base/random.h"

#include "base/math.h"

#include <math.h>

#define PHILOX_ROUNDS 10
#define UNIT 0x1p-53 /* distance of neighbouring uniform numbers */

void rn_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rn_random rn_random(uint64_t seed, enum rn_purpose purpose, uint32_t epoch, uint32_t index)
{
    return (struct rn_random){ seed, (uint32_t)purpose, epoch, index, 0 };
}

/* Output words 0 and 1, word 0 the low half. */
uint64_t rn_random_word(struct rn_random *r)
{
    uint32_t out[4], counter[4] = { r->draw++, r->index, r->epoch, r->purpose };
    uint32_t key[2] = { (uint32_t)r->seed, (uint32_t)(r->seed >> 32) };
    rn_philox(out, counter, key);
    return (uint64_t)out[1] << 32 | out[0];
}

double rn_random_uniform(struct rn_random *r)
{
    return (double)(rn_random_word(r) >> 11) * UNIT;
}

double rn_random_normal(struct rn_random *r)
{
    double u1 = (double)((rn_random_word(r) >> 11) + 1) * UNIT; /* (0, 1]: the log is finite */
    double u2 = rn_random_uniform(r);
    return sqrt(-2.0 * rn_log(u1)) * rn_cospi(2.0 * u2);
}

uint32_t rn_random_below(struct rn_random *r, uint32_t n)
{
    uint64_t w = rn_random_word(r);
    uint64_t low = (w & 0xffffffffu) * n, high = (w >> 32) * n; /* w * n = high * 2^32 + low */
    return (uint32_t)((high + (low >> 32)) >> 32);
}
