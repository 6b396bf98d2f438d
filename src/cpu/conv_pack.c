/*
 * conv_pack.c - weights OIHW to the panels a GEMM reads: [class][group][panel][k][nr], zeros where
 * a panel is wider than its columns.  k runs over (tap, channel) in the order of the pass (A13,
 * A14).
 */
#include "cpu/conv.h"

#define CHANNELS 8 /* of a block: what is read and what is written both stay in the first cache */

struct job {
    const struct rn_cpu *cpu;
    struct rn_conv_pass pass;
    const float *weights;
    float *packed;
    int panels;
};

/* Channels c0 ... c1-1 of one panel. */
static void pack_block(const struct job *j, float *dst, const struct rn_conv_class *c,
                       const struct rn_panel *panel, int group, int c0, int c1)
{
    const struct rn_conv_shape *s = &j->pass.shape;
    int C = s->C / s->groups, K = s->K / s->groups, run = j->pass.run, m = j->pass.merged;
    bool forward = j->pass.pass == RN_PASS_FORWARD;
    for (int x = 0; x < panel->nr; x++)
        for (int ch = c0; ch < c1; ch++) {
            int column = panel->begin + x, k = forward ? column : ch, i = forward ? ch : column;
            bool here = x < panel->cols && k / K == i / C; /* else between two merged groups */
            const float *w = j->weights + ((size_t)(group * m * K + k) * (size_t)C +
                                           (size_t)(i % C)) *
                                              (size_t)(s->R * s->S);
            float *d = dst + (size_t)ch * (size_t)panel->nr + x;
            for (int th = 0; th < c->h.taps; th++)
                for (int tw = 0; tw < c->w.taps; tw++, d += (size_t)run * (size_t)panel->nr)
                    *d = here ? w[(c->h.first + th * c->h.every) * s->S +
                                             c->w.first + tw * c->w.every] : 0;
        }
}

static void pack_panel(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    int panel = (int)(task % j->panels), group = (int)(task / j->panels % j->pass.groups);
    int class = (int)(task / j->panels / j->pass.groups), run = j->pass.run;
    struct rn_conv_class c = rn_conv_class(&j->pass, class);
    struct rn_panel p = rn_gemm_panel(j->cpu->kernels, j->pass.cols, panel);
    float *dst = j->packed + rn_conv_packed_at(j->cpu->kernels, &j->pass, class, group) +
                 (size_t)p.begin * (size_t)c.depth;
    (void)worker;
    for (int c0 = 0; c0 < run; c0 += CHANNELS)
        pack_block(j, dst, &c, &p, group, c0, RN_MIN(c0 + CHANNELS, run));
}

size_t rn_cpu_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass)
{
    const struct rn_cpu *cpu = dev;
    struct rn_conv_pass p = rn_conv_pass(cpu->kernels, s, pass);
    return rn_conv_packed_at(cpu->kernels, &p, p.classes * p.classes, 0) * sizeof(float);
}

void rn_cpu_conv2d_pack(void *dev, void *packed, const float *weights,
                        const struct rn_conv_shape *s,
                        enum rn_pass pass)
{
    const struct rn_cpu *cpu = dev;
    struct job j = { cpu, rn_conv_pass(cpu->kernels, s, pass), weights, packed, 0 };
    j.panels = rn_gemm_panels(cpu->kernels, j.pass.cols);
    rn_parallel(cpu->threads,
                (int64_t)j.pass.classes * j.pass.classes * j.pass.groups * j.panels, pack_panel,
                    &j);
}
