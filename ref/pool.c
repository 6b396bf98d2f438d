/*
 * pool.c - max, average and global average pooling (A19, A20).
 *
 * The backward passes go over the windows in (oh, ow) order and add into the inputs they came from:
 * dsrc holds the accumulators, and the last loop stores them.
 */
#include "ref/ref.h"

#include "base/real.h"

static size_t source_count(const struct rn_pool_shape *s)
{
    return (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
}

/* A19: the first tap inside the image is taken, a later one replaces it if v > best or v is NaN. */
static float window_max(uint8_t *index, const float *src, const struct rn_pool_shape *s, int n,
                        int c, int p, int q)
{
    float best = 0;
    bool taken = false;
    for (int kh = 0; kh < s->R; kh++)
        for (int kw = 0; kw < s->S; kw++) {
            int h = p * s->stride - s->pad + kh, w = q * s->stride - s->pad + kw;
            if (!inside(h, s->H) || !inside(w, s->W)) continue;
            float v = src[at4(n, c, h, w, s->C, s->H, s->W)];
            if (taken && !(v > best || v != v)) continue;
            best = v;
            *index = (uint8_t)(kh * s->S + kw);
            taken = true;
        }
    return best;
}

/* A19: y = F(best), and the tap it came from. */
void rn_ref_maxpool_forward(void *dev, void *dst_tensor, uint8_t *index, const void *src,
                            const struct rn_pool_shape *s)
{
    float *dst = dst_tensor;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int p = 0; p < s->P; p++)
                for (int q = 0; q < s->Q; q++) {
                    size_t i = at4(n, c, p, q, s->C, s->P, s->Q);
                    dst[i] = rn_ref_element(dev, window_max(&index[i], src, s, n, c, p, q));
                }
}

/* A19: dx = F(chain of acc + dy over the windows that chose it). */
void rn_ref_maxpool_backward(void *dev, void *dsrc_tensor, const void *ddst_tensor,
                             const uint8_t *index, const struct rn_pool_shape *s)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    for (size_t i = 0; i < source_count(s); i++) dsrc[i] = 0;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int p = 0; p < s->P; p++)
                for (int q = 0; q < s->Q; q++) {
                    size_t o = at4(n, c, p, q, s->C, s->P, s->Q);
                    int h = p * s->stride - s->pad + index[o] / s->S;
                    int w = q * s->stride - s->pad + index[o] % s->S;
                    size_t i = at4(n, c, h, w, s->C, s->H, s->W);
                    dsrc[i] = dsrc[i] + ddst[o];
                }
    for (size_t i = 0; i < source_count(s); i++) dsrc[i] = rn_ref_element(dev, dsrc[i]);
}

/* A20: the sum of one window, taps ascending; those outside would add +0 (A6). */
static float window_sum(const float *src, const struct rn_pool_shape *s, int n, int c, int p, int q)
{
    float acc = 0;
    for (int kh = 0; kh < s->R; kh++)
        for (int kw = 0; kw < s->S; kw++) {
            int h = p * s->stride - s->pad + kh, w = q * s->stride - s->pad + kw;
            if (!inside(h, s->H) || !inside(w, s->W)) continue;
            acc = acc + src[at4(n, c, h, w, s->C, s->H, s->W)];
        }
    return acc;
}

/* A20: y = F(acc / count), padding counted. */
void rn_ref_avgpool_forward(void *dev, void *dst_tensor, const void *src,
                            const struct rn_pool_shape *s)
{
    float *dst = dst_tensor;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int p = 0; p < s->P; p++)
                for (int q = 0; q < s->Q; q++)
                    dst[at4(n, c, p, q, s->C, s->P, s->Q)] =
                        rn_ref_element(dev, window_sum(src, s, n, c, p, q) / (float)(s->R * s->S));
}

/* A20 backward, one window: dy is added to every input it covered. */
static void window_spread(float *dsrc, float dy, const struct rn_pool_shape *s, int n, int c, int p,
                          int q)
{
    for (int kh = 0; kh < s->R; kh++)
        for (int kw = 0; kw < s->S; kw++) {
            int h = p * s->stride - s->pad + kh, w = q * s->stride - s->pad + kw;
            if (!inside(h, s->H) || !inside(w, s->W)) continue;
            size_t i = at4(n, c, h, w, s->C, s->H, s->W);
            dsrc[i] = dsrc[i] + dy;
        }
}

/* A20: dx = F((chain of dy over the windows ascending) / count). */
void rn_ref_avgpool_backward(void *dev, void *dsrc_tensor, const void *ddst_tensor,
                             const struct rn_pool_shape *s)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    for (size_t i = 0; i < source_count(s); i++) dsrc[i] = 0;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int p = 0; p < s->P; p++)
                for (int q = 0; q < s->Q; q++)
                    window_spread(dsrc, ddst[at4(n, c, p, q, s->C, s->P, s->Q)], s, n, c, p, q);
    for (size_t i = 0; i < source_count(s); i++)
        dsrc[i] = rn_ref_element(dev, dsrc[i] / (float)(s->R * s->S));
}

/* One window as large as the map, whatever else the caller's shape says. */
static struct rn_pool_shape whole_map(const struct rn_pool_shape *s)
{
    return (struct rn_pool_shape){ .N = s->N, .C = s->C, .H = s->H, .W = s->W, .R = s->H, .S = s->W,
                                   .P = 1, .Q = 1, .stride = 1, .pad = 0 };
}

/* A20, count = H * W.  Lin, Chen, Yan, "Network in network", arXiv:1312.4400, section 3.2. */
void rn_ref_global_avgpool_forward(void *dev, void *dst, const void *src,
                                   const struct rn_pool_shape *s)
{
    struct rn_pool_shape whole = whole_map(s);
    rn_ref_avgpool_forward(dev, dst, src, &whole);
}

/* A20. */
void rn_ref_global_avgpool_backward(void *dev, void *dsrc, const void *ddst,
                                    const struct rn_pool_shape *s)
{
    struct rn_pool_shape whole = whole_map(s);
    rn_ref_avgpool_backward(dev, dsrc, ddst, &whole);
}
