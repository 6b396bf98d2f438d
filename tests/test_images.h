/* test_images.h - images of bytes as the floats that a net is given, by the reference. */
#ifndef RN_TEST_IMAGES_H
#define RN_TEST_IMAGES_H

#include "base/mem.h"
#include "tests/test.h"

#include "resnet.h"

static inline void images_floats(float *dst, const struct rn_images *images)
{
    rn_ops_ref.images_forward(NULL, dst, images->pixels, images->move, &images->shape);
}

/* A picture [C][H][W] as it is. */
static inline void normalised(float *dst, const uint8_t *src, int C, int H, int W, const double mean[3],
                              const double std[3])
{
    const struct rn_image_move none = { 0 };
    struct rn_images images = { src, &none, { 1, C, H, W, 0, { 0 }, { 0 } } };
    for (int c = 0; c < C; c++) {
        images.shape.mean[c] = (float)mean[c];
        images.shape.std[c] = (float)std[c];
    }
    images_floats(dst, &images);
}

/* Those of all images, in memory that the caller frees with rn_free; *count: how many floats. */
static inline float *images_alloc(size_t *count, const struct rn_images *images)
{
    const struct rn_image_shape *s = &images->shape;
    *count = (size_t)s->N * (size_t)s->C * (size_t)s->H * (size_t)s->W;
    float *floats = rn_alloc_array(*count, sizeof *floats);
    CHECK(floats);
    if (floats) images_floats(floats, images);
    return floats;
}

#endif /* RN_TEST_IMAGES_H */
