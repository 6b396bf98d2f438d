/*
 * images.c - pictures of bytes become images (A29), of either element.  A channel has 256 values, so they are computed
 * once a call and looked up.  An image is written row by row, one channel at a time: a row stays in the cache.
 */
#include "cpu/slots.h"

#include "base/real.h"

#include <string.h>

#define CHANNELS 3

struct job {
    const struct rn_image_shape *s;
    const struct rn_image_move *move;
    const uint8_t *src;
    char *dst;
    size_t element;
    float value[CHANNELS][256];
    rn_bf16 narrow[CHANNELS][256];
};

static bool is_inside(int i, int extent) { return i >= 0 && i < extent; }

/* The byte at x of a picture's row, which may be beyond it; row NULL: all of it is. */
static uint8_t seen(const uint8_t *row, int x, const struct rn_image_shape *s)
{
    if (row && is_inside(x, s->W)) return row[x];
    return row && s->reflect ? row[rn_reflected(x, s->W)] : 0;
}

/* Channel c of a row of an image. */
static void put_channel(const struct job *j, char *dst, int c, const uint8_t *row, const struct rn_image_move *m)
{
    const int W = j->s->W, step = m->mirror ? -1 : 1;
    const size_t C = (size_t)j->s->C;
    int x = m->left + (m->mirror ? W - 1 : 0);
    if (j->element == sizeof(float)) {
        float *to = (float *)(void *)dst + c;
        for (int w = 0; w < W; w++, x += step, to += C) *to = j->value[c][seen(row, x, j->s)];
    } else {
        rn_bf16 *to = (rn_bf16 *)(void *)dst + c;
        for (int w = 0; w < W; w++, x += step, to += C) *to = j->narrow[c][seen(row, x, j->s)];
    }
}

static void put_image(void *arg, int64_t n, int worker)
{
    const struct job *j = arg;
    const struct rn_image_shape *s = j->s;
    const struct rn_image_move *m = &j->move[n];
    const size_t W = (size_t)s->W, plane = (size_t)s->H * W, pixel = (size_t)s->C * j->element;
    const uint8_t *src = j->src + (size_t)n * (size_t)s->C * plane;
    char *dst = j->dst + (size_t)n * plane * pixel;
    (void)worker;
    for (int h = 0; h < s->H; h++, dst += W * pixel) {
        int y = m->top + h;
        if (s->reflect) y = rn_reflected(y, s->H);
        for (int c = 0; c < s->C; c++)
            put_channel(j, dst, c, is_inside(y, s->H) ? src + (size_t)c * plane + (size_t)y * W : NULL, m);
        if (is_inside(h - m->erase_top, m->erase_height))
            memset(dst + (size_t)m->erase_left * pixel, 0, (size_t)m->erase_width * pixel);
    }
}

void rn_cpu_images_forward(void *dev, void *dst, const uint8_t *src, const struct rn_image_move *move,
                           const struct rn_image_shape *s)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { .s = s, .move = move, .src = src, .dst = dst, .element = cpu->tensor->bytes };
    for (int c = 0; c < s->C; c++)
        for (int u = 0; u < 256; u++) {
            j.value[c][u] = rn_store(((float)u / 255.0f - s->mean[c]) / s->std[c]);
            j.narrow[c][u] = rn_to_bf16(j.value[c][u]);
        }
    rn_parallel(cpu->threads, s->N, put_image, &j);
}
