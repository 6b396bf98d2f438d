/* resize.c - bilinear resize with half-pixel centres and its gradient (A21), channels in vectors.
 */
#include "cpu/slots.h"

struct job {
    const struct rn_cpu *cpu;
    const struct rn_resize_shape *shape;
    void *dst;
    const void *src;
};

#define CHANNELS 256 /* whose accumulators stand on a worker's stack */

/* Where output coordinate d of OUT lies between inputs i0 and i1 of IN. */
struct place { int i0, i1; float lambda; };

static struct place place(int d, int in, int out)
{
    int64_t n = RN_MAX((2 * (int64_t)d + 1) * in - out, (int64_t)0), whole = 2 * (int64_t)out;
    struct place p = { (int)(n / whole), (int)(n / whole) + 1, 0 };
    if (p.i1 < in) p.lambda = (float)(n % whole) / (float)whole;
    else p.i0 = p.i1 = in - 1;
    return p;
}

/* Channel 0 of pixel (h, w) of image n of a map H x W. */
static void *pixel(const struct job *j, const void *tensor, int64_t n, int h, int w, int H, int W)
{
    size_t at = ((size_t)n * (size_t)H + (size_t)h) * (size_t)W + (size_t)w;
    return rn_element(j->cpu, tensor, at * (size_t)j->shape->C);
}

/* One output row. */
static void forward_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_resize_shape *s = j->shape;
    int64_t n = row / s->P;
    int p = (int)(row % s->P);
    struct place y = place(p, s->H, s->P);
    (void)worker;
    for (int q = 0; q < s->Q; q++) {
        struct place x = place(q, s->W, s->Q);
        const void *const corner[] = {
            pixel(j, j->src, n, y.i0, x.i0, s->H, s->W), pixel(j, j->src, n, y.i0, x.i1, s->H, s->W),
            pixel(j, j->src, n, y.i1, x.i0, s->H, s->W), pixel(j, j->src, n, y.i1, x.i1, s->H, s->W),
        };
        j->cpu->tensor->bilinear(pixel(j, j->dst, n, p, q, s->P, s->Q), corner, x.lambda, y.lambda,
                                 (size_t)s->C);
    }
}

void rn_cpu_resize_forward(void *dev, void *dst, const void *src, const struct rn_resize_shape *s)
{
    struct job j = { dev, s, dst, src };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->P, forward_task, &j);
}

/* What input i weighs in an output at p that reads it. */
static float weight(const struct place *p, int i)
{
    return i == p->i0 ? 1 - p->lambda : p->lambda;
}

/* The first output, not before `from`, of OUT that reads input i of IN or a later one. */
static int first_reader(int i, int in, int out, int from)
{
    while (from < out && place(from, in, out).i1 < i) from++;
    return from;
}

/* Input (h, w) collects, output by output, what it gave (A21): those that read it lie together, the first
 * at (p0, q0). */
static void collect(const struct job *j, int64_t n, int h, int w, int p0, int q0)
{
    const struct rn_resize_shape *s = j->shape;
    const struct rn_tensor_kernels *of = j->cpu->tensor;
    char *dx = pixel(j, j->dst, n, h, w, s->H, s->W);
    struct place y, x;
    for (int c = 0; c < s->C; c += CHANNELS) {
        float acc[CHANNELS] = { 0 };
        size_t count = (size_t)RN_MIN(CHANNELS, s->C - c), at = (size_t)c * of->bytes;
        for (int p = p0; p < s->P && (y = place(p, s->H, s->P)).i0 <= h; p++)
            for (int q = q0; q < s->Q && (x = place(q, s->W, s->Q)).i0 <= w; q++) {
                const char *dy = pixel(j, j->src, n, p, q, s->P, s->Q);
                of->axpy(acc, weight(&y, h) * weight(&x, w), dy + at, count);
            }
        of->from_floats(dx + at, acc, count);
    }
}

/* One input row. */
static void backward_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_resize_shape *s = j->shape;
    int h = (int)(row % s->H), p0 = first_reader(h, s->H, s->P, 0), q0 = 0;
    (void)worker;
    for (int w = 0; w < s->W; w++) {
        q0 = first_reader(w, s->W, s->Q, q0);
        collect(j, row / s->H, h, w, p0, q0);
    }
}

void rn_cpu_resize_backward(void *dev, void *dsrc, const void *ddst,
                            const struct rn_resize_shape *s)
{
    struct job j = { dev, s, dsrc, ddst };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->H, backward_task, &j);
}
