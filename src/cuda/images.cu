/*
 * images.cu - pictures of bytes become images (A29): one thread, one element.
 */
#include "cuda/storage.h"

#define THREADS 256

static __device__ inline bool is_inside(int i, int extent) { return i >= 0 && i < extent; }

static __device__ inline int reflected(int i, int extent)
{
    if (extent == 1) return 0;
    while (!is_inside(i, extent)) i = i < 0 ? -i : 2 * (extent - 1) - i;
    return i;
}

template <class T> static __global__ void images_kernel(T *dst, const uint8_t *src, const struct rn_image_move *move,
                                                        struct rn_image_shape s, size_t count)
{
    const size_t i = static_cast<size_t>(blockIdx.x) * THREADS + threadIdx.x;
    if (i >= count) return;
    const int c = i % s.C, w = i / s.C % s.W, h = i / s.C / s.W % s.H;
    const size_t n = i / s.C / s.W / s.H;
    const struct rn_image_move m = move[n];
    int y = m.top + h, x = m.left + (m.mirror ? s.W - 1 - w : w);
    if (s.reflect) {
        y = reflected(y, s.H);
        x = reflected(x, s.W);
    }
    const bool seen = is_inside(y, s.H) && is_inside(x, s.W);
    const float u = seen ? src[((n * s.C + c) * s.H + y) * s.W + x] : 0;
    const bool erased = is_inside(h - m.erase_top, m.erase_height) && is_inside(w - m.erase_left, m.erase_width);
    dst[i] = rn_put<T>(erased ? 0.0f : __fdiv_rn(__fdiv_rn(u, 255.0f) - s.mean[c], s.std[c]));
}

void rn_cuda_images_forward(void *dev, void *dst, const uint8_t *src, const struct rn_image_move *move,
                            const struct rn_image_shape *s)
{
    const size_t count = static_cast<size_t>(s->N) * s->C * s->H * s->W;
    rn_cuda_typed(dev, [=](auto type) {
        rn_launch(dev, images_kernel<decltype(type)>, rn_cuda_blocks(count, THREADS), THREADS, dst, src, move, *s,
                  count);
    });
}
