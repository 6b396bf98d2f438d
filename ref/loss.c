/*
 * loss.c - softmax cross-entropy with label smoothing, and its gradient, in double.
 *
 * It does not sum over images (that is a tree of its own, A23) and checks no label.  Smoothing:
 * Szegedy et al., "Rethinking the Inception architecture", arXiv:1512.00567, section 7.
 */
#include "ref/ref.h"

#include "base/math.h"
#include "base/real.h"

/* A NaN in front stays the largest; one further back reaches the sums by its own d. */
static double largest(const float *x, int K)
{
    double max = x[0];
    for (int k = 1; k < K; k++)
        if (x[k] > max) max = x[k];
    return max;
}

/* A23 for one image: its loss and, unless dx is NULL, the K gradients of its logits. */
static double image_loss(float *dx, const float *x, int c, const struct rn_loss_shape *s)
{
    double max = largest(x, s->K), S = 0, D = 0, K = s->K, smoothing = s->smoothing;
    for (int k = 0; k < s->K; k++) {
        double d = x[k] - max;
        S = S + rn_exp(d);
        D = D + d;
    }
    double L = rn_log(S);
    double loss =
        -(((1 - smoothing) * ((x[c] - max) - L)) + ((smoothing / K) * (D - K * L)));
    if (dx)
        for (int k = 0; k < s->K; k++) {
            double q = k == c ? (1 - smoothing) + smoothing / K : smoothing / K;
            dx[k] = rn_store((float)((rn_exp(x[k] - max) / S - q) / s->total));
        }
    return loss;
}

/* A23, image by image. */
void rn_ref_softmax_cross_entropy(void *dev, double *loss, float *dlogits, const float *logits,
                                  const int32_t *labels, const struct rn_loss_shape *s)
{
    (void)dev;
    for (int n = 0; n < s->N; n++) {
        size_t row = (size_t)n * (size_t)s->K;
        loss[n] = image_loss(dlogits ? dlogits + row : NULL, logits + row, labels[n], s);
    }
}
