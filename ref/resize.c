/*
 * resize.c - bilinear resize with half-pixel centres (A21).  The places and weights come from
 * integers, so both passes see the same ones; no antialiasing, no other alignment of corners.
 */
#include "ref/ref.h"

#include "base/real.h"

/* Where an output lies between two inputs: `low` has weight 1 - lambda, `high` has lambda. */
struct place { int low, high; float lambda; };

/* A21, one axis. */
static struct place place(int d, int inputs, int outputs)
{
    int64_t n = (2 * (int64_t)d + 1) * inputs - outputs, unit = 2 * (int64_t)outputs;
    if (n < 0) n = 0;
    int low = (int)(n / unit);
    if (low + 1 >= inputs) return (struct place){ low, low, 0 };
    return (struct place){ low, low + 1, (float)(n % unit) / (float)unit };
}

/* A21: along the row above, along the row below, then between the two. */
void rn_ref_resize_forward(void *dev, void *dst_tensor, const void *src_tensor,
                           const struct rn_resize_shape *s)
{
    float *dst = dst_tensor;
    const float *src = src_tensor;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int oh = 0; oh < s->P; oh++)
                for (int ow = 0; ow < s->Q; ow++) {
                    struct place y = place(oh, s->H, s->P), x = place(ow, s->W, s->Q);
                    float a = src[at4(n, c, y.low, x.low, s->C, s->H, s->W)];
                    float b = src[at4(n, c, y.low, x.high, s->C, s->H, s->W)];
                    float e = src[at4(n, c, y.high, x.low, s->C, s->H, s->W)];
                    float f = src[at4(n, c, y.high, x.high, s->C, s->H, s->W)];
                    float p = rn_fmaf(x.lambda, b - a, a), q = rn_fmaf(x.lambda, f - e, e);
                    dst[at4(n, c, oh, ow, s->C, s->P, s->Q)] =
                        rn_ref_element(dev, rn_fmaf(y.lambda, q - p, p));
                }
}

/* A21 backward, one output: its gradient goes to the two or four inputs it was made of.  At the
 * border `high` is `low` and its weight is zero: left out (A6). */
static void spread(float *map, int W, struct place y, struct place x, float dy)
{
    for (int below = 0; below <= (y.high != y.low); below++)
        for (int right = 0; right <= (x.high != x.low); right++) {
            float wy = below ? y.lambda : 1 - y.lambda, wx = right ? x.lambda : 1 - x.lambda;
            float *acc = map + (size_t)(below ? y.high : y.low) * (size_t)W
                       + (right ? x.high : x.low);
            *acc = rn_fmaf(wy * wx, dy, *acc);
        }
}

/* A21: dx = F(chain over (oh, ow) ascending); dsrc holds the accumulators until the last line. */
void rn_ref_resize_backward(void *dev, void *dsrc_tensor, const void *ddst_tensor,
                            const struct rn_resize_shape *s)
{
    float *dsrc = dsrc_tensor;
    const float *ddst = ddst_tensor;
    size_t count = (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
    for (size_t i = 0; i < count; i++) dsrc[i] = 0;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int oh = 0; oh < s->P; oh++)
                for (int ow = 0; ow < s->Q; ow++)
                    spread(dsrc + at4(n, c, 0, 0, s->C, s->H, s->W), s->W,
                           place(oh, s->H, s->P), place(ow, s->W, s->Q),
                           ddst[at4(n, c, oh, ow, s->C, s->P, s->Q)]);
    for (size_t i = 0; i < count; i++) dsrc[i] = rn_ref_element(dev, dsrc[i]);
}
