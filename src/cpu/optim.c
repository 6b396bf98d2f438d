/* optim.c - parameter updates, SGD (A26) and AdamW (A27): each element by itself, in vectors. */
#include "cpu/slots.h"

#define GRAIN 16384

struct job {
    const struct rn_cpu *cpu;
    float *weights, *first, *second;
    const float *gradient;
    const struct rn_sgd *sgd;
    const struct rn_adamw *adamw;
};

static void sgd_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    j->cpu->kernels->sgd(j->weights + begin, j->first + begin, j->gradient + begin,
                         (size_t)(end - begin), j->sgd);
}

void rn_cpu_sgd_update(void *dev, float *weights, float *velocity, const float *gradient,
                       size_t count, const struct rn_sgd *hp)
{
    struct job j = { .cpu = dev, .weights = weights, .first = velocity, .gradient = gradient,
                     .sgd = hp };
    if (!rn_given(hp->given)) return;
    rn_parallel_range(j.cpu->threads, (int64_t)count, GRAIN, sgd_range, &j);
}

static void adamw_range(void *arg, int64_t begin, int64_t end, int worker)
{
    const struct job *j = arg;
    (void)worker;
    j->cpu->kernels->adamw(j->weights + begin, j->first + begin, j->second + begin,
                           j->gradient + begin, (size_t)(end - begin), j->adamw);
}

void rn_cpu_adamw_update(void *dev, float *weights, float *first, float *second,
                         const float *gradient, size_t count, const struct rn_adamw *hp)
{
    struct job j = { .cpu = dev, .weights = weights, .first = first, .second = second,
                     .gradient = gradient, .adamw = hp };
    if (!rn_given(hp->given)) return;
    rn_parallel_range(j.cpu->threads, (int64_t)count, GRAIN, adamw_range, &j);
}
