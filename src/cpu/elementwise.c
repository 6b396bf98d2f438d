/* elementwise.c - ReLU, add, accumulate (A18, A25) and the search for Inf and NaN (A7): of tensors, whatever
 * their element, and of floats. */
#include "cpu/slots.h"

#include <stdatomic.h>

#define GRAIN 16384 /* elements: a piece takes longer than handing it out */

struct job {
    const struct rn_tensor_kernels *of;
    char *dst;
    const char *a, *b;
    atomic_bool not_finite;
};

static void relu_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t at = (size_t)begin * j->of->bytes;
    (void)worker;
    j->of->relu(j->dst + at, j->a + at, (size_t)(end - begin));
}

void rn_cpu_relu_forward(void *dev, void *dst, const void *src, size_t count)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .of = cpu->tensor, .dst = dst, .a = src };
    rn_parallel_range(cpu->threads, (int64_t)count, GRAIN, relu_range, &j);
}

static void relu_gradient_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t at = (size_t)begin * j->of->bytes;
    (void)worker;
    j->of->relu_gradient(j->dst + at, j->a + at, j->b + at, (size_t)(end - begin));
}

void rn_cpu_relu_backward(void *dev, void *dsrc, const void *ddst, const void *dst, size_t count)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .of = cpu->tensor, .dst = dsrc, .a = ddst, .b = dst };
    rn_parallel_range(cpu->threads, (int64_t)count, GRAIN, relu_gradient_range, &j);
}

static void add_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    size_t at = (size_t)begin * j->of->bytes;
    (void)worker;
    j->of->add(j->dst + at, j->a + at, j->b + at, (size_t)(end - begin));
}

void rn_cpu_add(void *dev, void *dst, const void *a, const void *b, size_t count)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .of = cpu->tensor, .dst = dst, .a = a, .b = b };
    rn_parallel_range(cpu->threads, (int64_t)count, GRAIN, add_range, &j);
}

void rn_cpu_accumulate(void *dev, float *dst, const float *src, size_t count)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .of = cpu->kernels->fp32, .dst = (char *)dst, .a = (char *)dst, .b = (const char *)src };
    rn_parallel_range(cpu->threads, (int64_t)count, GRAIN, add_range, &j);
}

static void finite_range(void *arg, int64_t begin, int64_t end, int worker)
{
    struct job *j = arg;
    (void)worker;
    if (!j->of->finite(j->a + (size_t)begin * j->of->bytes, (size_t)(end - begin)))
        atomic_store(&j->not_finite, true);
}

static bool all_finite(const struct rn_cpu *cpu, const struct rn_tensor_kernels *of, const void *src, size_t count)
{
    struct job j = { .of = of, .a = src };
    rn_parallel_range(cpu->threads, (int64_t)count, GRAIN, finite_range, &j);
    return !atomic_load(&j.not_finite);
}

void rn_cpu_finite(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given)
{
    const struct rn_cpu *cpu = dev;
    *all = rn_given(given) && all_finite(cpu, cpu->kernels->fp32, src, count);
}

void rn_cpu_tensor_finite(void *dev, int32_t *all, const void *src, size_t count)
{
    const struct rn_cpu *cpu = dev;
    *all = all_finite(cpu, cpu->tensor, src, count);
}
