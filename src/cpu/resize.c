/* resize.c - bilinear resize with half-pixel centres and its gradient (A21), channels in vectors.
 */
#include "cpu/slots.h"

struct job {
    const struct rn_cpu *cpu;
    const struct rn_resize_shape *shape;
    float *dst;
    const float *src;
};

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

static const float *pixel(const struct job *j, int64_t n, int h, int w)
{
    const struct rn_resize_shape *s = j->shape;
    return j->src + (((size_t)n * (size_t)s->H + (size_t)h) * (size_t)s->W + (size_t)w) *
        (size_t)s->C;
}

/* One output row. */
static void forward_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_resize_shape *s = j->shape;
    int64_t n = row / s->P;
    struct place y = place((int)(row % s->P), s->H, s->P);
    float *dst = j->dst + (size_t)row * (size_t)s->Q * (size_t)s->C;
    (void)worker;
    for (int q = 0; q < s->Q; q++, dst += s->C) {
        struct place x = place(q, s->W, s->Q);
        j->cpu->kernels->bilinear(dst, pixel(j, n, y.i0, x.i0), pixel(j, n, y.i0, x.i1),
                                  pixel(j, n, y.i1, x.i0), pixel(j, n, y.i1, x.i1), x.lambda,
                                  y.lambda, (size_t)s->C);
    }
}

void rn_cpu_resize_forward(void *dev, float *dst, const float *src, const struct rn_resize_shape *s)
{
    struct job j = { dev, s, dst, src };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->P, forward_task, &j);
}

/* What input i weighs in an output at p; 0 where the output does not read it. */
static float weight(const struct place *p, int i)
{
    if (i == p->i0) return 1 - p->lambda;
    return i == p->i1 ? p->lambda : 0;
}

/* One input row: every input collects, output by output, what it gave (A21). */
static void backward_task(void *arg, int64_t row, int worker)
{
    const struct job *j = arg;
    const struct rn_resize_shape *s = j->shape;
    int64_t n = row / s->H;
    int h = (int)(row % s->H);
    size_t C = (size_t)s->C;
    float *acc = j->dst + (size_t)row * (size_t)s->W * C;
    (void)worker;
    memset(acc, 0, (size_t)s->W * C * sizeof(float));
    for (int p = 0; p < s->P; p++) {
        struct place y = place(p, s->H, s->P);
        float wy = weight(&y, h);
        if (h != y.i0 && h != y.i1) continue;
        for (int q = 0; q < s->Q; q++) {
            struct place x = place(q, s->W, s->Q);
            const float *dy = j->src + (((size_t)n * (size_t)s->P + (size_t)p) * (size_t)s->Q +
                                        (size_t)q) * C;
            j->cpu->kernels->axpy(acc + (size_t)x.i0 * C, wy * weight(&x, x.i0), dy, C);
            if (x.i1 != x.i0) j->cpu->kernels->axpy(acc + (size_t)x.i1 * C, wy * x.lambda, dy, C);
        }
    }
    for (size_t i = 0; i < (size_t)s->W * C; i++) acc[i] = rn_store(acc[i]);
}

void rn_cpu_resize_backward(void *dev, float *dsrc, const float *ddst,
                            const struct rn_resize_shape *s)
{
    struct job j = { dev, s, dsrc, ddst };
    rn_parallel(j.cpu->threads, (int64_t)s->N * s->H, backward_task, &j);
}
