/*
 * conv_im2col.c - the convolution of the textbooks, to compare with: RESNET_CONV=im2col.
 *
 * The pixels that every position reads are copied side by side into one matrix
 * [N][P][Q][taps x channels], and the convolution is a 1x1 convolution of that matrix, with the same
 * packed weights: the same chains, hence the same bits (A13 to A15), but R x S times the memory.
 * Groups, and the data gradient of a stride, keep the direct way.  Chellapilla, Puri, Simard, "High
 * performance convolutional neural networks for document processing", IWFHR 2006.
 */
#include "cpu/conv.h"

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    struct rn_conv_class class;
    const float *src;
    float *matrix;
};

static struct job plan(const struct rn_cpu *cpu, enum rn_pass pass, const struct rn_conv_shape *s)
{
    struct job j = { .cpu = cpu, .pass = rn_conv_pass(cpu->kernels, s, pass) };
    j.class = rn_conv_class(&j.pass, 0);
    return j;
}

/* The 1x1 convolution of the matrix. */
static struct rn_conv_shape product(const struct job *j)
{
    const struct rn_conv_pass *p = &j->pass;
    return (struct rn_conv_shape){ p->N, j->class.depth, p->P, p->Q, p->K, 1, 1, p->P, p->Q, 1, 0, 1 };
}

static size_t matrix_bytes(const struct job *j)
{
    const struct rn_conv_pass *p = &j->pass;
    size_t positions = (size_t)p->N * (size_t)p->P * (size_t)p->Q;
    return rn_round_up(positions * (size_t)j->class.depth * sizeof(float), 64);
}

static int source(const struct rn_axis *a, int i, int tap)
{
    return i * a->step + a->offset + tap * a->dir;
}

/* Row i of the map of an image: the taps of each of its positions. */
static void gather_row(const struct job *j, float *to, const float *image, int i)
{
    const struct rn_conv_pass *p = &j->pass;
    const struct rn_axis *ah = &j->class.h, *aw = &j->class.w;
    size_t C = (size_t)p->C;
    for (int q = 0; q < p->Q; q++)
        for (int th = 0; th < ah->taps; th++)
            for (int tw = 0; tw < aw->taps; tw++, to += C) {
                int h = source(ah, i, th), w = source(aw, q, tw);
                bool inside = h >= 0 && h < p->H && w >= 0 && w < p->W;
                if (inside) memcpy(to, image + (size_t)(h * p->W + w) * C, C * sizeof(float));
                else memset(to, 0, C * sizeof(float));
            }
}

static void gather_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const struct rn_conv_pass *p = &j->pass;
    size_t image = (size_t)p->H * (size_t)p->W * (size_t)p->C;
    float *to = j->matrix + (size_t)task * (size_t)p->Q * (size_t)j->class.depth;
    (void)worker;
    gather_row(j, to, j->src + (size_t)(task / p->P) * image, (int)(task % p->P));
}

static void gather(struct job *j, const float *src, void *workspace)
{
    j->src = src;
    j->matrix = workspace;
    rn_parallel(j->cpu->threads, (int64_t)j->pass.N * j->pass.P, gather_task, j);
}

bool rn_im2col_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    return cpu->im2col && s->groups == 1 && (pass == RN_PASS_FORWARD || s->stride == 1);
}

size_t rn_im2col_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct job j = plan(cpu, pass, s);
    struct rn_conv_shape one = product(&j);
    return matrix_bytes(&j) + rn_conv_workspace(cpu, &one, RN_PASS_FORWARD);
}

void rn_im2col_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                   const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                   void *workspace)
{
    struct job j = plan(cpu, pass, s);
    struct rn_conv_shape one = product(&j);
    gather(&j, src, workspace);
    rn_conv_run(cpu, RN_PASS_FORWARD, dst, j.matrix, packed, finish, &one,
                (char *)workspace + matrix_bytes(&j));
}

/* Behind the matrix: dW in the order of its columns, [K][taps][C]. */
static size_t ordered_bytes(const struct job *j)
{
    return rn_round_up((size_t)j->pass.K * (size_t)j->class.depth * sizeof(float), 64);
}

size_t rn_im2col_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, RN_PASS_FORWARD, s);
    struct rn_conv_shape one = product(&j);
    return matrix_bytes(&j) + ordered_bytes(&j) + rn_conv_weights_workspace(cpu, &one);
}

void rn_im2col_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                       const struct rn_conv_shape *s, void *workspace)
{
    struct job j = plan(cpu, RN_PASS_FORWARD, s);
    struct rn_conv_shape one = product(&j);
    float *ordered = (float *)((char *)workspace + matrix_bytes(&j));
    gather(&j, src, workspace);
    rn_conv_weights(cpu, ordered, j.matrix, ddst, &one, (char *)ordered + ordered_bytes(&j));
    memset(dweights, 0, (size_t)s->K * (size_t)s->C * (size_t)(s->R * s->S) * sizeof(float));
    for (int k = 0; k < s->K; k++)
        for (int tap = 0; tap < j.class.taps * j.pass.pixels; tap++) {
            int r = j.class.h.first + tap / j.class.w.taps, t = j.class.w.first + tap % j.class.w.taps;
            float *dw = dweights + ((size_t)(k * s->C) * (size_t)s->R + (size_t)r) * (size_t)s->S + (size_t)t;
            for (int c = 0; c < s->C; c++) dw[c * s->R * s->S] = *ordered++;
        }
}
