/* bf16_tensor.c - tensors of bf16 from and to dense NCHW floats, an image at a time. */
#include "cpu/bf16.h"

#define PIECE 2048 /* floats transposed on the stack, then rounded by vectors */
#define WIDTH 128  /* channels in one: at least a cache line of positions of each */

struct job {
    const struct rn_cpu *cpu;
    rn_bf16 *dst;
    const float *src;
    size_t C, positions;
};

/* Positions p ... p+rows-1 of channels c ... c+cols-1 of the image at `image`. */
static void set_piece(const struct job *j, size_t image, size_t p, size_t rows, size_t c, size_t cols)
{
    float piece[PIECE];
    const float *src = j->src + image + c * j->positions + p;
    rn_bf16 *dst = j->dst + image + p * j->C + c;
    for (size_t k = 0; k < cols; k++)
        for (size_t i = 0; i < rows; i++) piece[i * cols + k] = src[k * j->positions + i];
    if (cols == j->C) {
        j->cpu->tensor->from_floats(dst, piece, rows * cols);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        j->cpu->tensor->from_floats(dst + i * j->C, piece + i * cols, cols);
}

static void set_image(void *arg, int64_t n, int worker)
{
    const struct job *j = arg;
    size_t image = (size_t)n * j->C * j->positions, rows = PIECE / RN_MIN(j->C, WIDTH);
    (void)worker;
    for (size_t p = 0; p < j->positions; p += rows)
        for (size_t c = 0; c < j->C; c += WIDTH)
            set_piece(j, image, p, RN_MIN(rows, j->positions - p), c, RN_MIN(WIDTH, j->C - c));
}

void rn_bf16_tensor_set(void *dev, void *dst, const float *nchw, int N, int C, int H, int W)
{
    struct job j = { dev, dst, nchw, (size_t)C, (size_t)H * (size_t)W };
    rn_parallel(j.cpu->threads, N, set_image, &j);
}

void rn_bf16_tensor_get(void *dev, float *nchw, const void *src, int N, int C, int H, int W)
{
    const rn_bf16 *x = src;
    size_t positions = (size_t)H * (size_t)W;
    (void)dev;
    for (int n = 0; n < N; n++, x += (size_t)C * positions)
        for (size_t c = 0; c < (size_t)C; c++)
            for (size_t p = 0; p < positions; p++) *nchw++ = rn_from_bf16(x[p * (size_t)C + c]);
}
