/* loss.c - softmax cross-entropy with label smoothing, and its gradient (A23): one image a task, in
 * double, chains over classes. */
#include "cpu/slots.h"

#include "base/math.h"

struct job {
    const struct rn_loss_shape *shape;
    double *loss;
    float *dlogits;
    const float *logits;
    const int32_t *labels;
};

/* A NaN that is not first never becomes the maximum, but reaches the sums by its own difference. */
static double largest(const float *x, int K)
{
    double max = (double)x[0];
    for (int k = 1; k < K; k++)
        if ((double)x[k] > max) max = (double)x[k];
    return max;
}

static void image_task(void *arg, int64_t n, int worker)
{
    const struct job *j = arg;
    int K = j->shape->K, target = j->labels[n];
    const float *x = j->logits + (size_t)n * (size_t)K;
    double smoothing = j->shape->smoothing, max = largest(x, K), sum = 0, distance = 0;
    (void)worker;
    for (int k = 0; k < K; k++) {
        double d = (double)x[k] - max;
        sum = sum + rn_exp(d);
        distance = distance + d;
    }
    double L = rn_log(sum), share = smoothing / K;
    j->loss[n] = -(((1 - smoothing) * (((double)x[target] - max) - L)) + (share * (distance - K *
                                                                                   L)));
    if (!j->dlogits) return;
    float *dx = j->dlogits + (size_t)n * (size_t)K;
    for (int k = 0; k < K; k++) {
        double q = k == target ? (1 - smoothing) + share : share;
        dx[k] = rn_store((float)((rn_exp((double)x[k] - max) / sum - q) / j->shape->total));
    }
}

void rn_cpu_softmax_cross_entropy(void *dev, double *loss, float *dlogits, const float *logits,
                                  const int32_t *labels, const struct rn_loss_shape *s)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { s, loss, dlogits, logits, labels };
    rn_parallel((int64_t)s->N * s->K < 4096 ? 1 : cpu->threads, s->N, image_task, &j);
}
