/* elementwise.c - ReLU, add, accumulate (A18, A25) and the search for Inf and NaN (A7). */
#include "cpu/slots.h"

#include <stdatomic.h>

#define GRAIN 16384 /* floats: a piece takes longer than handing it out */

struct job {
    const struct rn_cpu *cpu;
    float *dst;
    const float *a, *b;
    atomic_bool not_finite;
};

static void relu_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    j->cpu->kernels->relu(j->dst + begin, j->a + begin, (size_t)(end - begin));
}

void rn_cpu_relu_forward(void *dev, float *dst, const float *src, size_t count)
{
    struct job j = { .cpu = dev, .dst = dst, .a = src };
    rn_parallel_range(j.cpu->threads, (int64_t)count, GRAIN, relu_range, &j);
}

static void relu_gradient_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    j->cpu->kernels->relu_gradient(j->dst + begin, j->a + begin, j->b + begin,
                                   (size_t)(end - begin));
}

void rn_cpu_relu_backward(void *dev, float *dsrc, const float *ddst, const float *dst, size_t count)
{
    struct job j = { .cpu = dev, .dst = dsrc, .a = ddst, .b = dst };
    rn_parallel_range(j.cpu->threads, (int64_t)count, GRAIN, relu_gradient_range, &j);
}

static void add_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    j->cpu->kernels->add(j->dst + begin, j->a + begin, j->b + begin, (size_t)(end - begin));
}

void rn_cpu_add(void *dev, float *dst, const float *a, const float *b, size_t count)
{
    struct job j = { .cpu = dev, .dst = dst, .a = a, .b = b };
    rn_parallel_range(j.cpu->threads, (int64_t)count, GRAIN, add_range, &j);
}

void rn_cpu_accumulate(void *dev, float *dst, const float *src, size_t count)
{
    rn_cpu_add(dev, dst, dst, src, count);
}

static void finite_range(void *arg, int64_t begin, int64_t end, int worker)
{
    struct job *j = arg;
    (void)worker;
    if (!j->cpu->kernels->finite(j->a + begin, (size_t)(end - begin)))
        atomic_store(&j->not_finite, true);
}

int rn_cpu_finite(void *dev, const float *src, size_t count)
{
    struct job j = { .cpu = dev, .a = src };
    rn_parallel_range(j.cpu->threads, (int64_t)count, GRAIN, finite_range, &j);
    return !atomic_load(&j.not_finite);
}
