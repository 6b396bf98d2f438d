/*
 * winograd_pack.c - the filters of a convolution in the form winograd.c multiplies with.
 *
 * For each panel of outputs [slice][tap][channel][nr], the nine taps as they are, in slices of
 * channels; or, where all filters are few, transformed: [point][channel][nr].  A data gradient has
 * the roles of the channels exchanged and its filters rotated by 180 degrees (A35).
 */
#include "cpu/winograd_tiles.h"

struct pack {
    const struct rn_kernels *kernels;
    const struct rn_conv_shape *shape;
    enum rn_pass pass;
    bool keep;
    int from, to;            /* channels of source and destination */
    const float *weights;
    float *packed;
};

/* dst[9][channels][nr] of channels first ... of one panel. */
static void copy_taps(const struct pack *p, float *dst, const struct rn_panel *panel, int first,
                      int channels)
{
    bool forward = p->pass == RN_PASS_FORWARD;
    size_t plane = (size_t)channels * (size_t)panel->nr, C = (size_t)p->shape->C;
    size_t step = forward ? 9 * C : 9; /* from one output to the next */
    for (int c = 0; c < channels; c++, dst += panel->nr) {
        size_t at = forward ? ((size_t)panel->begin * C + (size_t)(first + c)) * 9
                            : ((size_t)(first + c) * C + (size_t)panel->begin) * 9;
        for (size_t t = 0; t < 9; t++) {
            const float *w = p->weights + at + (forward ? t : 8 - t);
            float *out = dst + t * plane;
            for (int k = 0; k < panel->nr; k++) out[k] = k < panel->cols ? w[(size_t)k * step] : 0;
        }
    }
}

#define CHANNELS RN_WINOGRAD_SLICE /* packed by one task */

/* One slice of channels of one panel. */
static void pack_task(void *arg, int64_t task, int worker)
{
    const struct pack *p = arg;
    int slices = rn_ceil_div(p->from, CHANNELS), first = (int)(task % slices) * CHANNELS;
    int channels = RN_MIN(CHANNELS, p->from - first);
    struct rn_panel panel = rn_gemm_panel(p->kernels, p->to, (int)(task / slices));
    size_t from = (size_t)p->from, nr = (size_t)panel.nr;
    (void)worker;
    if (!p->keep) {
        copy_taps(p, p->packed + 9 * (from * (size_t)panel.begin + (size_t)first * nr), &panel,
                  first, channels);
        return;
    }
    float taps[9 * RN_WINOGRAD_NR];
    float *u = p->packed + POINTS * from * (size_t)panel.begin + (size_t)first * nr;
    for (int c = 0; c < channels; c++, u += nr) {
        copy_taps(p, taps, &panel, first + c, 1);
        p->kernels->winograd.filter(u, from * nr, taps, nr);
    }
}

static struct pack plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    bool forward = pass == RN_PASS_FORWARD;
    return (struct pack){ .kernels = cpu->kernels, .shape = s, .pass = pass,
                          .keep = rn_winograd_keeps(s),
                          .from = forward ? s->C : s->K, .to = forward ? s->K : s->C };
}

size_t rn_winograd_packed_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s,
                                enum rn_pass pass)
{
    struct pack p = plan(cpu, s, pass);
    return (p.keep ? POINTS : 9) * (size_t)p.from * rn_gemm_padded(cpu->kernels, p.to) * sizeof(float);
}

void rn_winograd_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                      const struct rn_conv_shape *s, enum rn_pass pass)
{
    struct pack p = plan(cpu, s, pass);
    p.weights = weights, p.packed = packed;
    int64_t slices = rn_ceil_div(p.from, CHANNELS);
    rn_parallel(cpu->threads, slices * rn_gemm_panels(cpu->kernels, p.to), pack_task, &p);
}

bool rn_winograd_unpack(const struct rn_cpu *cpu, float *weights, const void *packed,
                        const struct rn_conv_shape *s)
{
    size_t C = (size_t)s->C;
    if (rn_winograd_keeps(s)) return false;
    for (int p = 0; weights && p < rn_gemm_panels(cpu->kernels, s->K); p++) {
        struct rn_panel panel = rn_gemm_panel(cpu->kernels, s->K, p);
        const float *taps = (const float *)packed + 9 * C * (size_t)panel.begin;
        size_t nr = (size_t)panel.nr;
        for (size_t first = 0, n; first < C; first += n, taps += 9 * n * nr) {
            n = RN_MIN(C - first, CHANNELS);
            for (size_t k = 0; k < (size_t)panel.cols; k++)
                for (size_t i = 0; i < n * 9; i++)
                    weights[(((size_t)panel.begin + k) * C + first) * 9 + i] =
                        taps[(i % 9 * n + i / 9) * nr + k];
        }
    }
    return true;
}
