/*
 * elementwise.c - ReLU, addition, accumulation, the check for finite numbers.  Any layout will do.
 *
 * Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010; the
 * addition is the shortcut of He et al., arXiv:1512.03385, equation 1.
 */
#include "ref/ref.h"

#include "base/real.h"

/* A18: (x <= 0) ? +0 : x, so that NaN stays. */
void rn_ref_relu_forward(void *dev, float *dst, const float *src, size_t count)
{
    (void)dev;
    for (size_t i = 0; i < count; i++) dst[i] = rn_store(rn_relu(src[i]));
}

/* A18: (y <= 0) ? +0 : dy. */
void rn_ref_relu_backward(void *dev, float *dsrc, const float *ddst, const float *dst,
                          size_t count)
{
    (void)dev;
    for (size_t i = 0; i < count; i++) dsrc[i] = rn_store(dst[i] <= 0 ? 0.0f : ddst[i]);
}

/* A18: F(a + b). */
void rn_ref_add(void *dev, float *dst, const float *a, const float *b, size_t count)
{
    (void)dev;
    for (size_t i = 0; i < count; i++) dst[i] = rn_store(a[i] + b[i]);
}

/* A25: F(g + new). */
void rn_ref_accumulate(void *dev, float *dst, const float *src, size_t count)
{
    (void)dev;
    for (size_t i = 0; i < count; i++) dst[i] = rn_store(dst[i] + src[i]);
}

/* A7. */
int rn_ref_finite(void *dev, const float *src, size_t count)
{
    (void)dev;
    for (size_t i = 0; i < count; i++)
        if (!rn_finite(src[i])) return 0;
    return 1;
}
