/*
 * images.c - pictures of bytes become images of floats: moved, mirrored, normalised, a part erased (A29).
 *
 * torchvision's RandomCrop with padding, RandomHorizontalFlip, ToTensor, Normalize and RandomErasing, with what they
 * draw given as numbers.
 */
#include "ref/ref.h"

/* Where i lies in 0 ... extent-1 after reflection at the outermost pixels. */
static int reflected(int i, int extent)
{
    if (extent == 1) return 0;
    while (!inside(i, extent)) i = i < 0 ? -i : 2 * (extent - 1) - i;
    return i;
}

/* The byte that the image shows at (h, w). */
static uint8_t seen(const uint8_t *plane, const struct rn_image_move *m, const struct rn_image_shape *s, int h, int w)
{
    int y = m->top + h, x = m->left + (m->mirror ? s->W - 1 - w : w);
    if (s->reflect) {
        y = reflected(y, s->H);
        x = reflected(x, s->W);
    }
    return inside(y, s->H) && inside(x, s->W) ? plane[(size_t)y * (size_t)s->W + (size_t)x] : 0;
}

static bool erased(const struct rn_image_move *m, int h, int w)
{
    return inside(h - m->erase_top, m->erase_height) && inside(w - m->erase_left, m->erase_width);
}

void rn_ref_images_forward(void *dev, void *dst_tensor, const uint8_t *src, const struct rn_image_move *move,
                           const struct rn_image_shape *s)
{
    float *dst = dst_tensor;
    for (int n = 0; n < s->N; n++)
        for (int c = 0; c < s->C; c++)
            for (int h = 0; h < s->H; h++)
                for (int w = 0; w < s->W; w++) {
                    const uint8_t *plane = src + at4(n, c, 0, 0, s->C, s->H, s->W);
                    float u = seen(plane, &move[n], s, h, w);
                    float x = rn_ref_element(dev, (u / 255.0f - s->mean[c]) / s->std[c]);
                    dst[at4(n, c, h, w, s->C, s->H, s->W)] = erased(&move[n], h, w) ? 0.0f : x;
                }
}
