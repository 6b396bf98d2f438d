/*
 * optim.cu - one update of every parameter (A26, A27).  Hyper-parameters become floats on the host, by the one
 * cast that their rule shows (A9); one thread updates one parameter.
 */
#include "cuda/cuda.h"

#include <math.h>

#define THREADS 256

/* Without gaps, for a record of commands is compared byte by byte. */
struct sgd { float wd, mu, lr; int nesterov; };
struct adamw { float keep, new1, old2, new2, root2, eps, rate; };

static __global__ void sgd_kernel(float *weights, float *velocity, const float *gradient, size_t count, struct sgd hp,
                                  const int32_t *given)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count || !rn_cuda_given(given)) return;
    float w = weights[i], g = __fmaf_rn(hp.wd, w, gradient[i]);
    float v = rn_cuda_store(__fmaf_rn(hp.mu, velocity[i], g));
    float u = hp.nesterov ? __fmaf_rn(hp.mu, v, g) : v;
    velocity[i] = v;
    weights[i] = rn_cuda_store(__fmaf_rn(-hp.lr, u, w));
}

static __global__ void adamw_kernel(float *weights, float *first, float *second, const float *gradient, size_t count,
                                    struct adamw hp, const int32_t *given)
{
    size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count || !rn_cuda_given(given)) return;
    float g = gradient[i], w1 = weights[i] * hp.keep;
    float m = rn_cuda_store(__fmaf_rn(hp.new1, g - first[i], first[i]));
    float v = rn_cuda_store(__fmaf_rn(hp.old2, second[i], hp.new2 * (g * g)));
    float d = __fdiv_rn(__fsqrt_rn(v), hp.root2) + hp.eps;
    first[i] = m;
    second[i] = v;
    weights[i] = rn_cuda_store(__fmaf_rn(-hp.rate, __fdiv_rn(m, d), w1));
}

void rn_cuda_sgd_update(void *dev, float *weights, float *velocity, const float *gradient, size_t count,
                        const struct rn_sgd *hp)
{
    struct sgd h = { static_cast<float>(hp->weight_decay), static_cast<float>(hp->momentum), static_cast<float>(hp->lr),
                     hp->nesterov };
    rn_launch(dev, sgd_kernel, rn_cuda_blocks(count, THREADS), THREADS, weights, velocity, gradient, count, h,
              hp->given);
}

void rn_cuda_adamw_update(void *dev, float *weights, float *first, float *second, const float *gradient, size_t count,
                          const struct rn_adamw *hp)
{
    struct adamw h;
    h.keep = static_cast<float>(1.0 - hp->lr * hp->weight_decay);
    h.new1 = static_cast<float>(1.0 - hp->beta1);
    h.old2 = static_cast<float>(hp->beta2);
    h.new2 = static_cast<float>(1.0 - hp->beta2);
    h.root2 = static_cast<float>(sqrt(1.0 - hp->beta2_power));
    h.eps = static_cast<float>(hp->eps);
    h.rate = static_cast<float>(hp->lr / (1.0 - hp->beta1_power));
    rn_launch(dev, adamw_kernel, rn_cuda_blocks(count, THREADS), THREADS, weights, first, second, gradient, count, h,
              hp->given);
}
