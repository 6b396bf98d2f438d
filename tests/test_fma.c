/*
 * test_fma.c - the portable fma (A4) against the hardware's, and the store (A5).
 *
 * Where the compiler can reach a hardware fma, millions of cases are compared bit for bit;
 * everywhere the hash of the portable results must be the one known.
 */
#include "tests/test.h"

#include "base/hash.h"
#include "base/random.h"

#define BLOCK 4096
#define BLOCKS 1280 /* 5.2 million cases */
#define KNOWN_HASH 0x9c6977d43d16e2beu

struct block { float x[BLOCK], y[BLOCK], z[BLOCK], soft[BLOCK], hard[BLOCK]; };

static uint64_t state;

/* Numbers enough for a test, cheaper than Philox: Marsaglia's xorshift64*. */
static uint64_t word(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
}

/* Any sign and significand; exponent field in [low, high]. */
static float some_float(uint32_t low, uint32_t high)
{
    uint64_t w = word();
    uint32_t exponent = low + (uint32_t)(w >> 40) % (high - low + 1);
    return rn_float((uint32_t)(w & 0x807fffffu) | exponent << 23);
}

/* The same with at most `bits` leading bits of the significand set: many exact results and ties. */
static float short_float(uint32_t low, uint32_t high, int bits)
{
    return rn_float(rn_bits(some_float(low, high)) & ~(0x7fffffu >> bits));
}

/* z = -x*y give or take a few units: cancellation. */
static void cancelling(float *x, float *y, float *z)
{
    *x = some_float(90, 160);
    *y = some_float(90, 160);
    *z = rn_float(rn_bits(-(*x * *y)) + (uint32_t)(word() % 7) - 3);
}

/* x*y = (1 - 2^-2i) half units of z: the tie is broken far below what a double sum can hold. */
static void near_tie(float *x, float *y, float *z)
{
    int i = 12 + (int)(word() % 12), sign = word() & 1 ? -1 : 1, up = word() & 1 ? -1 : 1;
    *z = some_float(60, 190);
    int exponent = (int)(rn_bits(*z) >> 23 & 0xff) - 127 - 24;
    *x = (float)ldexp(sign * (1 + up * ldexp(1, -i)), exponent / 2);
    *y = (float)ldexp(1 - up * ldexp(1, -RN_MIN(i, 23)), exponent - exponent / 2);
}

static void make_case(float *x, float *y, float *z)
{
    switch (word() % 10) {
    case 0: /* anything, NaN and Inf among them */
        *x = rn_float((uint32_t)word());
        *y = rn_float((uint32_t)word());
        *z = rn_float((uint32_t)word());
        break;
    case 1: *x = some_float(120, 134), *y = some_float(120, 134), *z = some_float(120, 134); break;
    case 2: *x = some_float(120, 134), *y = some_float(120, 134), *z = some_float(90, 164); break;
    case 3: cancelling(x, y, z); break;
    case 4: /* few bits: ties */
        *x = short_float(115, 139, 11), *y = short_float(115, 139, 12), *z = some_float(115, 165);
        break;
    case 5: near_tie(x, y, z); break;
    case 6: /* subnormal results and addends */
        *x = some_float(30, 90), *y = some_float(0, 60), *z = some_float(0, 12);
        break;
    case 7: *x = some_float(0, 3), *y = some_float(100, 154), *z = some_float(0, 30); break;
    case 8: /* overflow and back */
        *x = some_float(180, 254), *y = some_float(190, 254), *z = some_float(230, 254);
        break;
    default: /* subnormal ties */
        *x = short_float(40, 80, 10), *y = short_float(30, 60, 10), *z = short_float(0, 4, 20);
        break;
    }
}

static void soft_block(struct block *b)
{
    for (int i = 0; i < BLOCK; i++) b->soft[i] = rn_soft_fmaf(b->x[i], b->y[i], b->z[i]);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("fma"))) static void hard_block(struct block *b)
{
    for (int i = 0; i < BLOCK; i++) b->hard[i] = __builtin_fmaf(b->x[i], b->y[i], b->z[i]);
}
static bool has_hardware(void) { return __builtin_cpu_supports("fma"); }
#elif defined(__FP_FAST_FMAF)
static void hard_block(struct block *b)
{
    for (int i = 0; i < BLOCK; i++) b->hard[i] = __builtin_fmaf(b->x[i], b->y[i], b->z[i]);
}
static bool has_hardware(void) { return true; }
#else
static void hard_block(struct block *b) { memcpy(b->hard, b->soft, sizeof b->hard); }
static bool has_hardware(void) { return false; }
#endif

static void test_soft_fma(void)
{
    static struct block b;
    struct rn_hash h;
    long wrong = 0, naive = 0;
    state = 0x9E3779B97F4A7C15u;
    rn_hash_begin(&h, 0);
    if (!has_hardware()) printf("no hardware fma here: only the hash is checked\n");
    for (int k = 0; k < BLOCKS; k++) {
        for (int i = 0; i < BLOCK; i++) make_case(&b.x[i], &b.y[i], &b.z[i]);
        soft_block(&b);
        if (has_hardware()) hard_block(&b);
        else memcpy(b.hard, b.soft, sizeof b.hard);
        rn_hash_floats(&h, b.soft, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            bool both_nan = b.soft[i] != b.soft[i] && b.hard[i] != b.hard[i];
            double twice = (double)b.x[i] * b.y[i] + b.z[i];
            naive += !both_nan && rn_bits((float)twice) != rn_bits(b.hard[i]);
            if (both_nan || rn_bits(b.soft[i]) == rn_bits(b.hard[i])) continue;
            if (wrong++ == 0)
                printf("fma(%a, %a, %a) = %a instead of %a\n", (double)b.x[i], (double)b.y[i],
                       (double)b.z[i], (double)b.soft[i], (double)b.hard[i]);
        }
    }
    printf("%d cases, %ld of them beyond (float)((double)x * y + z)\n", BLOCK * BLOCKS, naive);
    CHECK(wrong == 0);
    CHECK(naive > 1000); /* the cases are hard enough to catch rounding twice */
    CHECK_MSG(rn_hash_end(&h) == KNOWN_HASH, "hash %016" PRIx64, rn_hash_end(&h));
}

static void test_fma_is_one_operation(void)
{
    struct rn_random r = rn_random(3, RN_RANDOM_TEST, 0, 0);
    for (int i = 0; i < 10000; i++) {
        float x = (float)rn_random_normal(&r), y = (float)rn_random_normal(&r), z = -x * y;
        CHECK(rn_bits(rn_fmaf(x, y, z)) == rn_bits(rn_soft_fmaf(x, y, z)));
    }
}

static void test_store_and_relu(void)
{
    static const float inf = INFINITY;
    CHECK(rn_bits(rn_store(-0.0f)) == 0 && rn_bits(rn_store(0.0f)) == 0);
    CHECK(rn_bits(rn_store(0x1p-127f)) == 0 && rn_bits(rn_store(-0x1p-149f)) == 0);
    CHECK(rn_store(0x1p-126f) == 0x1p-126f && rn_store(-0x1p-126f) == -0x1p-126f);
    CHECK(rn_store(inf) == inf && rn_store(-inf) == -inf && rn_store(NAN) != rn_store(NAN));
    CHECK(rn_finite(0x1.fffffep127f) && !rn_finite(inf) && !rn_finite(-inf) && !rn_finite(NAN));
    CHECK(rn_finite64(0x1p1023) && !rn_finite64(INFINITY) && !rn_finite64(NAN));
    CHECK(rn_bits(rn_relu(-0.0f)) == 0 && rn_relu(-1.0f) == 0 && rn_relu(2.0f) == 2);
    CHECK(rn_relu(NAN) != rn_relu(NAN) && rn_relu(inf) == inf);
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_soft_fma), RN_TEST_ROW(test_fma_is_one_operation),
        RN_TEST_ROW(test_store_and_relu),
    };
    return rn_test_main("test_fma", rows, RN_COUNT(rows), argc, argv);
}
