/*
 * elementwise.c - ReLU, addition, accumulation, the check for finite numbers.  Any layout will do.
 *
 * Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010; the
 * addition is the shortcut of He et al., arXiv:1512.03385, equation 1.
 */
#include "ref/ref.h"

#include "base/real.h"

/* A18: (x <= 0) ? +0 : x, so that NaN stays. */
void rn_ref_relu_forward(void *dev, void *dst_tensor, const void *src_tensor, size_t count)
{
    float *dst = dst_tensor;
    const float *src = src_tensor;
    for (size_t i = 0; i < count; i++) dst[i] = rn_ref_element(dev, rn_relu(src[i]));
}

/* A18: (y <= 0) ? +0 : dy. */
void rn_ref_relu_backward(void *dev, void *dsrc_tensor, const void *ddst_tensor,
                          const void *dst_tensor, size_t count)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor, *dst = dst_tensor;
    for (size_t i = 0; i < count; i++)
        dsrc[i] = rn_ref_element(dev, dst[i] <= 0 ? 0.0f : ddst[i]);
}

/* A18: F(a + b). */
void rn_ref_add(void *dev, void *dst_tensor, const void *a_tensor, const void *b_tensor,
                size_t count)
{
    float *dst = dst_tensor;
    const float *a = a_tensor, *b = b_tensor;
    for (size_t i = 0; i < count; i++) dst[i] = rn_ref_element(dev, a[i] + b[i]);
}

/* A25: F(g + new). */
void rn_ref_accumulate(void *dev, float *dst, const float *src, size_t count)
{
    (void)dev;
    for (size_t i = 0; i < count; i++) dst[i] = rn_store(dst[i] + src[i]);
}

/* A7. */
void rn_ref_finite(void *dev, int32_t *all, const float *src, size_t count, const int32_t *given)
{
    (void)dev;
    *all = rn_given(given);
    for (size_t i = 0; i < count; i++)
        if (!rn_finite(src[i])) *all = 0;
}

void rn_ref_tensor_finite(void *dev, int32_t *all, const void *src, size_t count)
{
    rn_ref_finite(dev, all, src, count, NULL);
}
