/*
 * winograd.c - forward and data gradient by F(4x4, 3x3) (A34, A35): one driver, see winograd.h.
 *
 * Patches are transformed to V[slice][point][tile][channel], filters to U[point][channel][nr] for
 * each panel of outputs, and at each of the 36 points M = V U is a GEMM of its own with the chain of
 * A35; the inverse transform of M finishes and stores the outputs.  Blocks of tiles are so small that
 * V and M of a block stay in the second-level cache.
 *
 * Few channels: U is transformed once, when the weights are packed, and a task is a block of tiles with
 * all its panels.  Many channels: U would be four times the weights and come from memory for every
 * block, so the weights are packed as they are and a task, now a block and one panel, transforms the
 * slices it needs; patches are transformed before, for all panels.
 */
#include "cpu/winograd_tiles.h"

#define SLICE RN_WINOGRAD_SLICE
#define BLOCK_BYTES (700u << 10)   /* of V and M of a block */
#define SHARED_BLOCK 128           /* tiles of a block where each task transforms its filters */
#define SHARED_BYTES (12u << 20)   /* of a shared V */
#define STREAM (2 << 20)           /* floats: the smallest tensor that is written around the caches */
#define TASKS_EACH 4               /* tasks a thread at least, where there is work enough */
#define TASKS_TRANSFORMING 2       /* the same where each task transforms its filters */

struct job {
    const struct rn_cpu *cpu;
    struct rn_tiles map;        /* of the source */
    int K;                      /* channels of the destination */
    int64_t tiles;
    int most, block;            /* tiles of a block: at most, chosen */
    bool keep;                  /* U is packed, else the weights */
    const float *src, *packed;
    float *dst;
    struct rn_finish finish;
    int64_t first, count;       /* tiles at work: the first, how many */
    int panels;                 /* of K */
    bool shared;                /* V is */
    struct rn_patches v;
    bool stream;                /* outputs are written around the caches */
    char *workspace;            /* of all workers */
    size_t worker_bytes;
};

/* What one worker computes in. */
struct scratch { struct rn_patches patches; float *zeros, *u, *m; };

/* V for some tiles: in one block where U is kept, else in slices. */
static struct rn_patches patches(const struct job *j, float *v, int64_t tiles)
{
    int C = (int)rn_round_up((size_t)j->map.C, RN_PAD);
    return (struct rn_patches){ v, tiles, j->map.C, j->keep ? C : SLICE };
}

static size_t m_plane(const struct job *j)
{
    return rn_plane((size_t)j->most + RN_MAX_MR, (size_t)j->cpu->kernels->tile->nr);
}

static size_t carve(const struct job *j, struct scratch *s, char *base)
{
    struct rn_carve w = { base, 0 };
    size_t nr = (size_t)j->cpu->kernels->tile->nr;
    s->patches = patches(j, NULL, j->most);
    s->zeros = rn_carve(&w, rn_round_up((size_t)j->map.C, RN_PAD) * sizeof(float));
    s->m = rn_carve(&w, POINTS * m_plane(j) * sizeof(float));
    s->u = rn_carve(&w, j->keep ? 0 : POINTS * rn_plane(SLICE, nr) * sizeof(float));
    s->patches.v = rn_carve(&w, j->keep ? rn_patch_floats(&s->patches) * sizeof(float) : 0);
    return w.used;
}

/* Tiles first ... of the batch into rows at ... of V. */
static void transform_patches(const struct job *j, const struct scratch *s, const struct rn_patches *v,
                              int64_t at, int64_t first, int count)
{
    memset(s->zeros, 0, (size_t)j->map.C * sizeof(float));
    for (int i = 0; i < count; i++)
        rn_patch_transform(j->cpu->kernels, v, at + i, &j->map, first + i, j->src, s->zeros);
}

/* M of one panel for `count` rows of V from `at` on: slice by slice of channels, point by point. */
static void multiply(const struct job *j, const struct scratch *s, const struct rn_patches *v,
                     int64_t at,
                     int count, const struct rn_panel *panel)
{
    const struct rn_kernels *k = j->cpu->kernels;
    size_t nr = (size_t)panel->nr, taps = j->keep ? POINTS : 9;
    const float *packed = j->packed + taps * (size_t)j->map.C * (size_t)panel->begin;
    for (int c = 0; c < j->map.C; c += v->width) {
        size_t kc = (size_t)RN_MIN(v->width, j->map.C - c), u_plane = kc * nr;
        const float *a = rn_patch_row(v, at, c), *u = packed;
        if (!j->keep) {
            u_plane = rn_plane(kc, nr);
            k->winograd.filter(s->u, u_plane, packed + 9 * (size_t)c * nr, kc * nr);
            u = s->u;
        }
        for (size_t p = 0; p < POINTS; p++)
            rn_gemm_strips(panel, kc, a + p * rn_patch_plane(v, c), (size_t)rn_patch_width(v, c), 1,
                           u + p * u_plane,
                           s->m + p * m_plane(j), count, c == 0);
    }
}

/* The finished outputs of one panel of `count` tiles. */
static void store_tiles(const struct job *j, const struct scratch *s, int64_t first, int count,
                        const struct rn_panel *panel)
{
    const struct rn_tiles *t = &j->map;
    struct rn_finish f = j->finish;
    size_t at[TILE * TILE], K = (size_t)j->K;
    float *dst = j->dst + panel->begin;
    if (f.bias) f.bias += panel->begin;
    if (f.scale) f.scale += panel->begin, f.shift += panel->begin;
    if (f.add) f.add += panel->begin;
    for (int64_t i = first; i < first + count; i++) {
        int64_t n = i / rn_tiles_per_map(t);
        int h0 = (int)(i / t->cols % t->rows) * TILE, w0 = (int)(i % t->cols) * TILE;
        for (int h = h0, p = 0; h < h0 + TILE; h++)
            for (int w = w0; w < w0 + TILE; w++, p++)
                at[p] = h < t->H && w < t->W ? (size_t)((n * t->H + h) * t->W + w) * K : SIZE_MAX;
        j->cpu->kernels->winograd.output(dst, at, s->m + (size_t)(i - first) * (size_t)panel->nr,
                                         m_plane(j),
                                         (size_t)panel->cols, j->stream, &f);
    }
}

/* Tiles of block i of those at work. */
static int block_tiles(const struct job *j, int64_t i)
{
    return (int)RN_MIN(j->block, j->count - i * j->block);
}

/* One block with all its panels. */
static void block_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    int64_t first = j->first + task * j->block;
    int count = block_tiles(j, task);
    carve(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    transform_patches(j, &s, &s.patches, 0, first, count);
    for (int p = 0; p < j->panels; p++) {
        struct rn_panel panel = rn_gemm_panel(j->cpu->kernels, j->K, p);
        multiply(j, &s, &s.patches, 0, count, &panel);
        store_tiles(j, &s, first, count, &panel);
    }
}

#define PATCHES 6 /* transformed by one task where V is shared */

static void patch_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    int64_t at = task * PATCHES;
    carve(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    transform_patches(j, &s, &j->v, at, j->first + at, (int)RN_MIN(PATCHES, j->count - at));
}

/* One panel of one block. */
static void panel_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct scratch s;
    struct rn_panel panel = rn_gemm_panel(j->cpu->kernels, j->K, (int)(task % j->panels));
    int64_t i = task / j->panels, at = i * j->block;
    int count = block_tiles(j, i);
    carve(j, &s, j->workspace + (size_t)worker * j->worker_bytes);
    multiply(j, &s, &j->v, at, count, &panel);
    store_tiles(j, &s, j->first + at, count, &panel);
}

bool rn_winograd_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass)
{
    return cpu->winograd &&
           rn_winograd_applies(s, pass == RN_PASS_FORWARD ? RN_WINOGRAD_FORWARD : RN_WINOGRAD_DATA);
}

bool rn_winograd_does_weights(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    return cpu->winograd && rn_winograd_applies(s, RN_WINOGRAD_WEIGHTS);
}

/* Blocks: as large as the cache allows, or so small that every thread has its share, and even; `units`
 * tasks are made of each. */
static int choose_block(const struct job *j, int64_t tiles, int units)
{
    int64_t wanted = (int64_t)j->cpu->threads * (j->keep ? TASKS_EACH : TASKS_TRANSFORMING);
    int64_t blocks = (wanted + units - 1) / units;
    blocks = RN_MAX(blocks, (tiles + j->most - 1) / j->most);
    size_t even = (size_t)((tiles + blocks - 1) / blocks);
    return RN_MIN(j->most, RN_MAX((int)rn_round_up(even, 6), 12));
}

/* Tiles a shared V has room for: never fewer for more images. */
static int shared_tiles(const struct job *j)
{
    size_t tile = POINTS * rn_round_up((size_t)j->map.C, RN_PAD) * sizeof(float);
    int64_t most = j->keep ? (int64_t)j->most * j->cpu->threads
                           : (int64_t)rn_round_up(SHARED_BYTES / tile + 1, SHARED_BLOCK);
    return (int)RN_MIN(j->tiles, most);
}

/* How a pass is cut. */
static struct job plan(const struct rn_cpu *cpu, enum rn_pass pass, const struct rn_conv_shape *s)
{
    bool forward = pass == RN_PASS_FORWARD;
    struct job j = { .cpu = cpu, .map = rn_tiles(s, forward ? s->C : s->K),
                     .K = forward ? s->K : s->C };
    size_t v = POINTS * rn_round_up((size_t)j.map.C, RN_PAD) * sizeof(float);
    size_t m = POINTS * (size_t)cpu->kernels->tile->nr * sizeof(float);
    j.keep = rn_winograd_keeps(s);
    j.panels = rn_gemm_panels(cpu->kernels, j.K);
    j.tiles = (int64_t)s->N * rn_tiles_per_map(&j.map);
    j.most = j.keep ? RN_MAX((int)(BLOCK_BYTES / (v + m)) / 6 * 6, 12) : SHARED_BLOCK;
    j.stream = j.K % RN_PAD == 0 && (int64_t)s->N * s->H * s->W * j.K >= STREAM;
    j.shared = !j.keep || j.tiles < (int64_t)j.most * cpu->threads;
    j.worker_bytes = carve(&j, &(struct scratch){ 0 }, NULL);
    return j;
}

static size_t pass_bytes(const struct rn_cpu *cpu, enum rn_pass pass, const struct rn_conv_shape *s)
{
    struct job j = plan(cpu, pass, s);
    struct rn_patches v = patches(&j, NULL, shared_tiles(&j));
    return (size_t)cpu->threads * j.worker_bytes + rn_patch_floats(&v) * sizeof(float);
}

size_t rn_winograd_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    size_t forward = pass_bytes(cpu, RN_PASS_FORWARD, s), data = pass_bytes(cpu,
                                                                            RN_PASS_BACKWARD_DATA, s);
    return RN_MAX(RN_MAX(forward, data), rn_winograd_weights_workspace(cpu, s));
}

void rn_winograd_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                     const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                     void *workspace)
{
    struct job j = plan(cpu, pass, s);
    j.dst = dst, j.src = src, j.packed = packed, j.finish = *finish, j.workspace = workspace;
    int64_t room = j.shared ? shared_tiles(&j) : j.tiles, chunks = (j.tiles + room - 1) / room;
    int64_t chunk = (j.tiles + chunks - 1) / chunks;
    j.block = choose_block(&j, chunk, j.shared ? j.panels : 1);
    j.v = patches(&j, (float *)(j.workspace + (size_t)cpu->threads * j.worker_bytes), chunk);
    for (; j.first < j.tiles; j.first += chunk) {
        j.count = RN_MIN(chunk, j.tiles - j.first);
        int64_t blocks = (j.count + j.block - 1) / j.block;
        if (j.shared) {
            rn_parallel(cpu->threads, (j.count + PATCHES - 1) / PATCHES, patch_task, &j);
            rn_parallel(cpu->threads, blocks * j.panels, panel_task, &j);
        } else {
            rn_parallel(cpu->threads, blocks, block_task, &j);
        }
    }
}
