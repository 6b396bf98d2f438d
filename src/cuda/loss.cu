/*
 * loss.cu - softmax cross-entropy with label smoothing and its gradient (A23), in double: one block, one image.
 *
 * The chains S and D go over all classes in order, so one thread adds; the others compute the exponentials, a
 * piece of the classes at a time.  The largest logit does not depend on the order in which it is looked for.
 */
#include "cuda/math.h"

#define THREADS 128

/* The largest of x[0 ... K-1]; a NaN in front stays the largest, one further back does not count. */
static __device__ inline double largest(const float *x, int K)
{
    RN_SHARED(float, best, [THREADS]);
    float mine = x[0];
    for (int k = threadIdx.x; k < K; k += THREADS)
        if (x[k] > mine) mine = x[k];
    best[threadIdx.x] = mine;
    for (unsigned half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && best[threadIdx.x + half] > best[threadIdx.x])
            best[threadIdx.x] = best[threadIdx.x + half];
    }
    __syncthreads();
    return best[0];
}

/* The chains of A23: sums[0] of EXP(x_k - max), sums[1] of x_k - max; every thread gets both. */
static __device__ inline void chains(double sums[2], const float *x, int K, double max)
{
    RN_SHARED(double, term, [2][THREADS]);
    RN_SHARED(double, total, [2]);
    double sum = 0;
    for (int begin = 0; begin < K; begin += THREADS) {
        int k = begin + threadIdx.x;
        if (k < K) {
            term[1][threadIdx.x] = x[k] - max;
            term[0][threadIdx.x] = rn_exp(term[1][threadIdx.x]);
        }
        __syncthreads();
        if (threadIdx.x < 2)
            for (int i = 0; i < K - begin && i < THREADS; i++) sum = sum + term[threadIdx.x][i];
        __syncthreads();
    }
    if (threadIdx.x < 2) total[threadIdx.x] = sum;
    __syncthreads();
    sums[0] = total[0];
    sums[1] = total[1];
}

static __global__ void loss_kernel(double *loss, float *dlogits, const float *logits, const int32_t *labels,
                                   int classes, int total, double smoothing)
{
    const float *x = logits + static_cast<size_t>(blockIdx.x) * classes;
    const int c = labels[blockIdx.x];
    double max = largest(x, classes), sums[2], K = classes, spread = __ddiv_rn(smoothing, K);
    chains(sums, x, classes, max);
    double L = rn_log(sums[0]);
    if (threadIdx.x == 0)
        loss[blockIdx.x] = -(((1 - smoothing) * ((x[c] - max) - L)) + (spread * (sums[1] - K * L)));
    if (!dlogits) return;
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        double q = k == c ? (1 - smoothing) + spread : spread;
        double d = __ddiv_rn(__ddiv_rn(rn_exp(x[k] - max), sums[0]) - q, static_cast<double>(total));
        dlogits[static_cast<size_t>(blockIdx.x) * classes + k] = rn_cuda_store(static_cast<float>(d));
    }
}

void rn_cuda_softmax_cross_entropy(void *dev, double *loss, float *dlogits, const float *logits, const int32_t *labels,
                                   const struct rn_loss_shape *s)
{
    rn_launch(dev, loss_kernel, s->N, THREADS, loss, dlogits, logits, labels, s->K, s->total, s->smoothing);
}
