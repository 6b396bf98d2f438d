/*
 * test_base.c - status, memory, random numbers, hashing, threads, floating-point mode, start-up
 * check.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include "base/hash.h"
#include "base/math.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/threads.h"

#include <fenv.h>
#include <stdatomic.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

/* -- status ---------------------------------------------------------------------------------------
 * */

static void test_status(void)
{
    rn_error_clear();
    CHECK(strcmp(rn_error(), "") == 0);
    CHECK(rn_fail(RN_EINPUT, "%s: byte %d", "a.bin", 7) == RN_EINPUT);
    CHECK(strcmp(rn_error(), "a.bin: byte 7") == 0);
    CHECK(rn_fail_in(RN_EIO, "run") == RN_EIO && strcmp(rn_error(), "run: a.bin: byte 7") == 0);
    rn_fail(RN_EFAIL, "[%s]", rn_error()); /* an argument that is the old message */
    CHECK(strcmp(rn_error(), "[run: a.bin: byte 7]") == 0);
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    rn_fail(RN_EFAIL, "%s", text);
    CHECK(strlen(rn_error()) > 1000 && strlen(rn_error()) < sizeof text - 1);
    rn_error_clear();
    CHECK(strcmp(rn_error(), "") == 0);
}

static void test_exit_codes(void)
{
    static const int want[] = { 0, 1, 2, 3, 4, 4, 5, 130 };
    for (int i = 0; i < 8; i++) {
        CHECK(rn_exit_code((rn_status)-i) == want[i]);
        CHECK(strlen(rn_status_text((rn_status)-i)) > 0);
    }
}

static void fail_in_task(void *arg, int64_t i, int worker)
{
    (void)arg, (void)worker;
    rn_fail(RN_EFAIL, "task %d", (int)i);
}

static void count_mine(void *arg, int64_t i, int worker)
{
    atomic_int *mine = arg;
    (void)i, (void)worker;
    atomic_fetch_add(mine, strcmp(rn_error(), "mine") == 0);
}

static void test_message_is_per_thread(void)
{
    rn_fail(RN_EFAIL, "mine");
    atomic_int mine = 0;
    rn_every_worker(4, count_mine, &mine);
    CHECK(mine == 1 && strcmp(rn_error(), "mine") == 0);
    rn_parallel(1, 3, fail_in_task, NULL);
    CHECK(strcmp(rn_error(), "task 2") == 0);
}

/* -- memory ---------------------------------------------------------------------------------------
 * */

static void test_alloc(void)
{
    static const size_t sizes[] = { 0,       1,       63,      64,      65,     4096,
                                    1000003, 1 << 20, 3000001, 3000001, 3000001 };
    uint64_t live = rn_alloc_live();
    for (size_t k = 0; k < RN_COUNT(sizes); k++) {
        unsigned char *p = rn_alloc(sizes[k]), any = 0;
        CHECK(p && (uintptr_t)p % 64 == 0 && rn_alloc_live() == live + 1);
        for (size_t i = 0; p && i < sizes[k]; i++) any |= p[i];
        CHECK(any == 0);
        if (p) memset(p, 0xff, sizes[k]); /* so that a block used again is not zero by chance */
        rn_free(p);
        CHECK(rn_alloc_live() == live);
    }
    rn_free(NULL);
    CHECK(rn_alloc_live() == live);
}

static void test_alloc_overflow(void)
{
    size_t product = 1, half = (size_t)1 << sizeof(size_t) * 4; /* half * half is just too much */
    CHECK(rn_mul_size(&product, SIZE_MAX, 1) && product == SIZE_MAX);
    CHECK(rn_mul_size(&product, 0, SIZE_MAX) && product == 0);
    CHECK(rn_mul_size(&product, half / 2, half) && !rn_mul_size(&product, half, half));
    CHECK(rn_alloc_array(SIZE_MAX / 8 + 2, 8) == NULL && strstr(rn_error(), "out of memory"));
    CHECK(rn_alloc(SIZE_MAX / 2) == NULL && strstr(rn_error(), "out of memory"));
}

static void test_realloc_and_strdup(void)
{
    uint64_t live = rn_alloc_live();
    char *p = rn_strdup("abc"), *q = rn_realloc(p, 4, 100);
    CHECK(q && strcmp(q, "abc") == 0 && q[99] == 0);
    rn_alloc_fail_at(1, false);
    CHECK(rn_realloc(q, 100, 200) == NULL && strcmp(q, "abc") == 0);
    CHECK((q = rn_realloc(q, 100, 2)) && q[0] == 'a' && q[1] == 'b');
    rn_free(q);
    CHECK((p = rn_realloc(NULL, 0, 8)) && p[7] == 0);
    rn_free(p);
    CHECK(rn_alloc_live() == live);
}

static void test_fault_injection(void)
{
    uint64_t live = rn_alloc_live();
    for (int for_ever = 0; for_ever <= 1; for_ever++) {
        void *p[5];
        rn_alloc_fail_at(3, for_ever);
        for (int i = 0; i < 5; i++) p[i] = rn_alloc(8);
        CHECK(p[0] && p[1] && !p[2]);
        CHECK(for_ever ? !p[3] && !p[4] : p[3] && p[4]);
        rn_alloc_fail_at(0, false);
        for (int i = 0; i < 5; i++) rn_free(p[i]);
        CHECK((p[0] = rn_alloc(8)) != NULL);
        rn_free(p[0]);
    }
    CHECK(rn_alloc_live() == live);
}

/* -- random numbers -------------------------------------------------------------------------------
 * */

static void test_philox(void)
{
    /* kat_vectors of the authors' Random123 distribution: counter, key, output */
    static const uint32_t known[][10] = {
        { 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
        { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff,
          0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
        { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0,
          0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 },
    };
    for (size_t i = 0; i < RN_COUNT(known); i++) {
        uint32_t out[4];
        rn_philox(out, known[i], known[i] + 4);
        CHECK(memcmp(out, known[i] + 6, sizeof out) == 0);
    }
}

static void test_random_key(void)
{
    struct rn_random r = { 0x299f31d0a4093822u, 0x03707344, 0x13198a2e, 0x85a308d3, 0x243f6a88 };
    CHECK(rn_random_word(&r) == 0x94fdccebd16cfe09u && r.draw == 0x243f6a89);
    /* each part of the key matters, and nothing else does */
    uint64_t words[6] = { 0 };
    struct rn_random keys[6];
    for (int i = 0; i < 6; i++)
        keys[i] = rn_random(i == 1 ? 2 : i == 5 ? (uint64_t)1 << 32 | 1 : 1,
                            i == 2 ? RN_RANDOM_SPLIT : RN_RANDOM_TEST, i == 3, i == 4);
    for (int i = 0; i < 6; i++) words[i] = rn_random_word(&keys[i]);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++) CHECK(words[i] != words[j]);
    struct rn_random again = rn_random(1, RN_RANDOM_TEST, 0, 0);
    CHECK(rn_random_word(&again) == words[0] && rn_random_word(&again) != words[0]);
}

static void test_distributions(void)
{
    enum { DRAWS = 200000 };
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    double sum = 0, square = 0, fourth = 0, uniform = 0;
    long bins[7] = { 0 };
    for (int i = 0; i < DRAWS; i++) {
        double z = rn_random_normal(&r), u = rn_random_uniform(&r);
        uint32_t k = rn_random_below(&r, 7);
        CHECK(k < 7 && u >= 0 && u < 1 && fabs(z) < 9);
        bins[k % 7]++;
        sum += z;
        square += z * z;
        fourth += z * z * z * z;
        uniform += u;
    }
    CHECK(r.draw == 4 * DRAWS);
    CHECK(fabs(sum / DRAWS) < 0.01 && fabs(square / DRAWS - 1) < 0.02);
    CHECK(fabs(fourth / DRAWS - 3) < 0.15);
    CHECK(fabs(uniform / DRAWS - 0.5) < 0.003);
    for (int i = 0; i < 7; i++) CHECK(labs(bins[i] - DRAWS / 7) < 700);
    CHECK(rn_random_below(&r, 1) == 0);
    for (int i = 0; i < 1000; i++) CHECK(rn_random_below(&r, UINT32_MAX) < UINT32_MAX);
}

/* The formulas of A29 over the raw words. */
static void test_random_formulas(void)
{
    struct rn_random a = rn_random(9, RN_RANDOM_INIT, 3, 5), b = a;
    uint64_t w = rn_random_word(&a), v = rn_random_word(&a), x = rn_random_word(&a);
    double u1 = (double)((w >> 11) + 1) * 0x1p-53, u2 = (double)(v >> 11) * 0x1p-53;
    double z = sqrt(-2 * rn_log(u1)) * rn_cospi(2 * u2);
    CHECK(rn_bits64(rn_random_normal(&b)) == rn_bits64(z));
    CHECK(rn_random_below(&b, 1000) == (uint32_t)floor((double)(x >> 32) * 1000 * 0x1p-32));
    /* (word * n) >> 64 in whole numbers, where the low half of the word carries into the high */
    static const uint32_t below[] = { 424575892u, 2525503173u, 4041321105u,
                                      327346580u, 93862364u, 2292130676u };
    struct rn_random r = rn_random(42, RN_RANDOM_TEST, 0, 0);
    for (size_t i = 0; i < RN_COUNT(below); i++)
        CHECK(rn_random_below(&r, 4294967291u) == below[i]);
}

/* -- hash -----------------------------------------------------------------------------------------
 * */

static uint64_t hash_of(const void *data, size_t bytes, uint64_t seed)
{
    struct rn_hash h;
    rn_hash_begin(&h, seed);
    rn_hash_bytes(&h, data, bytes);
    return rn_hash_end(&h);
}

static void test_hash_known(void)
{
    /* the sanity buffer and sums of the published implementation */
    static const struct { size_t bytes; uint64_t seed, hash; } known[] = {
        { 0, 0, 0xEF46DB3751D8E999u },            { 0, 2654435761u, 0xAC75FDA2929B17EFu },
        { 1, 0, 0xE934A84ADB052768u },            { 1, 2654435761u, 0x5014607643A9B4C3u },
        { 4, 0, 0x9136A0DCA57457EEu },            { 14, 0, 0x8282DCC4994E35C8u },
        { 14, 2654435761u, 0xC3BD6BF63DEB6DF0u }, { 222, 0, 0xB641AE8CB691C174u },
        { 222, 2654435761u, 0x20CB8AB7AE10C14Au },
    };
    unsigned char buffer[222];
    uint64_t state = 2654435761u;
    for (size_t i = 0; i < sizeof buffer; i++, state *= 0x9E3779B185EBCA8Du)
        buffer[i] = (unsigned char)(state >> 56);
    for (size_t i = 0; i < RN_COUNT(known); i++)
        CHECK(hash_of(buffer, known[i].bytes, known[i].seed) == known[i].hash);
    CHECK(hash_of("abc", 3, 0) == 0x44BC2CF5AD770999u);
}

static void test_hash_pieces(void)
{
    unsigned char buffer[300];
    for (size_t i = 0; i < sizeof buffer; i++) buffer[i] = (unsigned char)(i * 37 % 251);
    uint64_t whole = hash_of(buffer, sizeof buffer, 7);
    for (size_t step = 1; step <= 100; step++) {
        struct rn_hash h;
        rn_hash_begin(&h, 7);
        for (size_t i = 0; i < sizeof buffer; i += step)
            rn_hash_bytes(&h, buffer + i, RN_MIN(step, sizeof buffer - i));
        CHECK(rn_hash_end(&h) == whole && rn_hash_end(&h) == whole);
    }
}

static void test_hash_floats(void)
{
    const float x[4] = { 1.0f, -0.0f, rn_float(0xffc12345u), rn_float(0x7f800001u) };
    static const unsigned char bytes[16] = { 0, 0, 0x80, 0x3f, 0, 0, 0, 0x80, 0, 0, 0xc0, 0x7f,
                                             0, 0, 0xc0, 0x7f };
    struct rn_hash h;
    rn_hash_begin(&h, 0);
    rn_hash_floats(&h, x, 4);
    CHECK(rn_hash_end(&h) == hash_of(bytes, sizeof bytes, 0));
    static const unsigned char eight[8] = { 8, 7, 6, 5, 4, 3, 2, 1 };
    rn_hash_begin(&h, 0);
    rn_hash_u64(&h, 0x0102030405060708u);
    CHECK(rn_hash_end(&h) == hash_of(eight, sizeof eight, 0));
    /* longer than the block that is looked at as one, with a NaN in the second */
    float *many = rn_alloc_array(1000, sizeof *many);
    struct rn_hash g;
    rn_hash_begin(&h, 0);
    rn_hash_begin(&g, 0);
    for (int i = 0; many && i < 1000; i++) {
        many[i] = i == 200 ? rn_float(0xff800001u) : i == 950 ? -INFINITY : (float)i / 7;
        rn_hash_floats(&g, many + i, 1);
    }
    if (many) rn_hash_floats(&h, many, 1000);
    CHECK(many && rn_hash_end(&h) == rn_hash_end(&g));
    rn_free(many);
}

/* -- threads --------------------------------------------------------------------------------------
 * */

struct tally { atomic_int count[1000]; atomic_int wrong; int threads; };

static void count_task(void *arg, int64_t i, int worker)
{
    struct tally *t = arg;
    atomic_fetch_add(&t->count[i], 1);
    if (worker < 0 || worker >= t->threads) atomic_fetch_add(&t->wrong, 1);
}

static void test_parallel_once_each(void)
{
    static const int threads[] = { 1, 2, 3, 6, 8, 0, -3 };
    for (size_t k = 0; k < RN_COUNT(threads); k++)
        for (int tasks = 0; tasks <= 1000; tasks = tasks < 3 ? tasks + 1 : tasks * 10 + 7) {
            static struct tally t;
            memset(&t, 0, sizeof t);
            t.threads = RN_MAX(threads[k], 1);
            rn_parallel(threads[k], tasks, count_task, &t);
            int sum = 0;
            for (int i = 0; i < 1000; i++) sum += t.count[i] == (i < tasks);
            CHECK(sum == 1000 && t.wrong == 0);
        }
}

static void range_task(void *arg, int64_t begin, int64_t end, int worker)
{
    struct tally *t = arg;
    for (int64_t i = begin; i < end; i++) count_task(arg, i, worker);
    if (end - begin < 16 || (begin % 16 && t->threads > 1)) atomic_fetch_add(&t->wrong, 1);
}

static void test_parallel_range(void)
{
    for (int threads = 1; threads <= 8; threads++)
        for (int count = 16; count <= 1000; count += 41) {
            static struct tally t;
            memset(&t, 0, sizeof t);
            t.threads = threads;
            rn_parallel_range(threads, count, 16, range_task, &t);
            int sum = 0;
            for (int i = 0; i < 1000; i++) sum += t.count[i] == (i < count);
            CHECK_MSG(sum == 1000 && t.wrong == 0, "threads %d, count %d", threads, count);
        }
    static struct tally none;
    rn_parallel_range(2, 0, 16, range_task, &none);
    CHECK(none.wrong == 0);
}

static void nested_task(void *arg, int64_t i, int worker)
{
    struct tally *t = arg, inner = { .threads = 1 };
    (void)worker;
    rn_parallel(4, 5, count_task, &inner);
    for (int k = 0; k < 5; k++) atomic_fetch_add(&t->count[i], inner.count[k]);
    atomic_fetch_add(&t->wrong, inner.wrong);
}

static void test_nested_is_serial(void)
{
    static struct tally t;
    for (int threads = 1; threads <= 3; threads++) {
        memset(&t, 0, sizeof t);
        rn_parallel(threads, 20, nested_task, &t);
        for (int i = 0; i < 20; i++) CHECK(t.count[i] == 5);
        CHECK(t.wrong == 0);
    }
}

static void test_every_worker(void)
{
    static struct tally t;
    for (int threads = 1; threads <= 8; threads++) {
        memset(&t, 0, sizeof t);
        t.threads = threads;
#ifdef _OPENMP
        int team = threads;
#else
        int team = 1;
#endif
        rn_every_worker(threads, count_task, &t);
        for (int i = 0; i < 8; i++) CHECK(t.count[i] == (i < team));
        CHECK(t.wrong == 0);
    }
    CHECK(rn_cpu_count() >= 1 && rn_cpu_count() <= RN_MAX_THREADS);
}

/* -- floating-point mode --------------------------------------------------------------------------
 * */

static RN_NOINLINE float sum_of(volatile float *a, volatile float *b)
{
    return *a + *b;
}

/* 1 + 2^-24 is a tie: 1 in the default mode, more when rounding up. */
static bool rounds_up(void)
{
    volatile float one = 1.0f, half_ulp = 0x1p-24f;
    return sum_of(&one, &half_ulp) > 1.0f;
}

static void mode_task(void *arg, int64_t i, int worker)
{
    atomic_int *wrong = arg;
    (void)i, (void)worker;
    atomic_fetch_add(wrong, rounds_up());
}

static void test_mode_of_workers(void)
{
    for (int threads = 1; threads <= 8; threads++) { /* larger teams start new threads */
        atomic_int wrong = 0;
        CHECK(fesetround(FE_UPWARD) == 0 && rounds_up());
        rn_parallel(threads, 50, mode_task, &wrong);
        CHECK(wrong == 0);
        rn_every_worker(threads, mode_task, &wrong);
        CHECK(wrong == 0);
        CHECK(fegetround() == FE_UPWARD && rounds_up()); /* the caller's mode is back */
        fesetround(FE_TONEAREST);
    }
}

static void test_mode_enter_leave(void)
{
    fesetround(FE_DOWNWARD);
    rn_fpmode outer = rn_fpmode_enter();
    CHECK(fegetround() == FE_TONEAREST && !rounds_up());
    rn_fpmode inner = rn_fpmode_enter();
    rn_fpmode_leave(inner);
    CHECK(fegetround() == FE_TONEAREST);
    rn_fpmode_leave(outer);
    CHECK(fegetround() == FE_DOWNWARD);
    fesetround(FE_TONEAREST);
}

/* -- start-up check -------------------------------------------------------------------------------
 * */

static void test_selfcheck(void)
{
    for (int threads = 1; threads <= 8; threads++) CHECK_OK(rn_selfcheck(threads));
    CHECK_OK(rn_selfcheck_here());
}

/* It must see what it is there for. */
static void test_selfcheck_sees_rounding(void)
{
    static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    for (size_t i = 0; i < RN_COUNT(modes); i++) {
        fesetround(modes[i]);
        rn_status here = rn_selfcheck_here(), workers = rn_selfcheck(2);
        fesetround(FE_TONEAREST);
        CHECK(here == RN_EIO && strstr(rn_error(), "rule A1 ") && workers == RN_OK);
    }
}

static void test_selfcheck_sees_flushing(void)
{
#ifdef __SSE__
    static const unsigned modes[] = { 0x8000, 0x0040, 0x8040 }; /* FTZ, DAZ, both */
    for (size_t i = 0; i < RN_COUNT(modes); i++) {
        unsigned saved = _mm_getcsr();
        _mm_setcsr(saved | modes[i]);
        rn_status here = rn_selfcheck_here(), workers = rn_selfcheck(2);
        _mm_setcsr(saved);
        CHECK_MSG(here == RN_EIO && strstr(rn_error(), "rule A3 "), "mode %x: %s", modes[i],
                  rn_error());
        CHECK(workers == RN_OK);
    }
#endif
}

/* The first cause stands behind every later message, once in each. It cannot be taken back: the last test. */
static void test_cause(void)
{
    CHECK(!rn_fail_cause());
    rn_fail_because("the device is lost");
    rn_fail_because("so is everything after it");
    CHECK(rn_fail(RN_EFAIL, "step %d", 3) == RN_EFAIL);
    CHECK(!strcmp(rn_error(), "step 3; the device is lost"));
    rn_fail_in(RN_EFAIL, "train");
    CHECK(!strcmp(rn_error(), "train: step 3; the device is lost"));
    CHECK(rn_fail_cause() && !strcmp(rn_fail_cause(), "the device is lost"));
}

int main(int argc, char **argv)
{
    static const struct rn_test_row rows[] = {
        RN_TEST_ROW(test_status), RN_TEST_ROW(test_exit_codes),
        RN_TEST_ROW(test_message_is_per_thread), RN_TEST_ROW(test_alloc),
        RN_TEST_ROW(test_alloc_overflow), RN_TEST_ROW(test_realloc_and_strdup),
        RN_TEST_ROW(test_fault_injection), RN_TEST_ROW(test_philox), RN_TEST_ROW(test_random_key),
        RN_TEST_ROW(test_distributions), RN_TEST_ROW(test_random_formulas),
        RN_TEST_ROW(test_hash_known), RN_TEST_ROW(test_hash_pieces), RN_TEST_ROW(test_hash_floats),
        RN_TEST_ROW(test_parallel_once_each), RN_TEST_ROW(test_parallel_range),
        RN_TEST_ROW(test_nested_is_serial), RN_TEST_ROW(test_every_worker),
        RN_TEST_ROW(test_mode_of_workers), RN_TEST_ROW(test_mode_enter_leave),
        RN_TEST_ROW(test_selfcheck), RN_TEST_ROW(test_selfcheck_sees_rounding),
        RN_TEST_ROW(test_selfcheck_sees_flushing), RN_TEST_ROW(test_cause),
    };
    return rn_test_main("test_base", rows, RN_COUNT(rows), argc, argv);
}
