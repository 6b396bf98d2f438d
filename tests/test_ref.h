/*
 * test_ref.h - what the tests of the reference backend share: inputs and comparisons.
 */
#ifndef RN_TEST_REF_H
#define RN_TEST_REF_H

#include "test.h"

#include "base/random.h"
#include "resnet.h"

/* Integers -4 ... 4: sums of products of them are exact in any order. */
static inline void fill_integers(float *x, size_t count, uint32_t stream)
{
    struct rn_random random = rn_random(1, RN_RANDOM_TEST, 0, stream);
    for (size_t i = 0; i < count; i++) x[i] = (float)((int)rn_random_below(&random, 9) - 4);
}

static inline void fill_reals(float *x, size_t count, uint32_t stream)
{
    struct rn_random random = rn_random(2, RN_RANDOM_TEST, 0, stream);
    for (size_t i = 0; i < count; i++) x[i] = (float)(2 * rn_random_uniform(&random) - 1);
}

static inline void fill(float *x, size_t count, float value)
{
    for (size_t i = 0; i < count; i++) x[i] = value;
}

static inline double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

static inline bool near(double got, double want, double bound)
{
    return fabs(got - want) <= bound * (1 + fabs(want));
}

#endif /* RN_TEST_REF_H */
