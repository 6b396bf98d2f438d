/*
 * test.h - the whole test framework.  A test file has functions `static void test_x(void)` and a main
 * made by RN_TESTS(test_x, test_y ...).  A program prints one line per failure and ends with
 * "name: N checks, N failed"; its exit status is its verdict.  An argument filters tests by substring.
 */
#ifndef RN_TEST_H
#define RN_TEST_H

#include "base/base.h"
#include "base/real.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long rn_test_checks, rn_test_failures;

/* One check: the condition must hold.  Write comparisons with tolerance as !(err <= tol) being a failure,
 * which is what CHECK(err <= tol) does, so that NaN fails. */
#define CHECK(condition) \
    do { rn_test_checks++; if (!(condition)) { rn_test_failures++; \
        printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition); } } while (0)
#define CHECK_MSG(condition, ...) \
    do { rn_test_checks++; if (!(condition)) { rn_test_failures++; \
        printf("FAIL %s:%d: ", __FILE__, __LINE__); printf(__VA_ARGS__); printf("\n"); } } while (0)
#define CHECK_OK(call) \
    do { rn_status s_ = (call); rn_test_checks++; if (s_ != RN_OK) { rn_test_failures++; \
        printf("FAIL %s:%d: %s: %s\n", __FILE__, __LINE__, #call, rn_error()); } } while (0)

/* Equal bits; names the first difference with both hex floats. */
static inline bool check_bits(const char *what, const float *got, const float *want, size_t count)
{
    rn_test_checks++;
    for (size_t i = 0; i < count; i++) {
        if (rn_bits(got[i]) == rn_bits(want[i])) continue;
        rn_test_failures++;
        printf("FAIL %s: [%zu] %a instead of %a\n", what, i, (double)got[i], (double)want[i]);
        return false;
    }
    return true;
}

#define RN_TEST_ROW(f) { #f, f }
struct rn_test_row { const char *name; void (*run)(void); };

static inline int rn_test_main(const char *name, const struct rn_test_row *row, size_t rows, int argc,
                               char **argv)
{
    for (size_t i = 0; i < rows; i++)
        if (argc < 2 || strstr(row[i].name, argv[1])) row[i].run();
    printf("%s: %ld checks, %ld failed\n", name, rn_test_checks, rn_test_failures);
    return rn_test_failures || !rn_test_checks;
}

#endif /* RN_TEST_H */
