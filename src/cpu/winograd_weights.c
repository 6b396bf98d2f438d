/*
 * winograd_weights.c - weight gradient by F(3x3, 4x4) (A36), see winograd.h.
 *
 * Leaf by leaf (8 images) patches of x and tiles of dy are transformed to V[block][point][tile][c] and
 * Z[panel][point][tile][nr]; at each point V'Z is a GEMM whose k are the tiles of the leaf; its inverse
 * transform is the leaf's 3x3 filters, which go into the tree of A11 (leaf_tree.h).  dW is cut
 * into regions, a block of c by one panel of k, and everything after the transforms is done region by
 * region, so no thread holds a part of another's sum.
 *
 * Small maps have few tiles in a leaf: V and Z of several leaves, a wave, are made at once, and a task
 * takes one region through all of them while its products stay in the cache.  Large maps have many: a
 * leaf is taken in pieces, and a task is one point of one region, whose V and Z are read only once.
 */
#include "cpu/leaf_tree.h"
#include "cpu/winograd_tiles.h"

#define REGION_ROWS 48           /* at most: with a panel of 64, 36 points are 442 KB */
#define TASKS_EACH 4             /* regions a thread at least, where a task does all points */
#define SMALL_LEAF 64            /* tiles of a leaf up to which a task does all points */
#define PIECE 256                /* tiles of a large leaf transformed at once */
#define WAVE_BYTES (20u << 20)   /* of V and Z of a wave */
#define TILES_EACH 8             /* transformed by one task */

struct job {
    const struct rn_cpu *cpu;
    const struct rn_conv_shape *shape;
    struct rn_tiles x, dy;
    int panels, regions;
    int leaf;                    /* tiles of a whole leaf */
    int64_t tiles;               /* of the batch */
    bool small;
    struct rn_patches v;         /* V of one leaf or piece, and its tiles */
    int64_t step;                /* tiles transformed at once: a wave or a piece */
    int64_t first, count;        /* tiles in V and Z now */
    bool begins;                 /* a leaf does, with them */
    int64_t waves, wave;         /* waves of leaves; the one at work */
    size_t region_floats;        /* of one tap or point of a region */
    const float *src, *ddst;
    float *dweights, *zeros, *z;
    float *m;                    /* large: the products of every region */
    float *nodes;                /* the tree of waves of every region */
    char *workspace;             /* of all workers */
    size_t worker_bytes;
};

/* Channels c0 ... of x by one panel of channels of dy. */
struct region { int index, c0, rows; struct rn_panel panel; };

static struct region region(const struct job *j, int64_t i)
{
    struct region r = { .index = (int)i, .c0 = (int)(i / j->panels) * j->v.width };
    r.rows = RN_MIN(j->v.width, j->x.C - r.c0);
    r.panel = rn_gemm_panel(j->cpu->kernels, j->dy.C, (int)(i % j->panels));
    return r;
}

/* -- transforms --------------------------------------------------------------------------------- */

/* V of leaf i of the wave; a large leaf has one piece at a time and is number 0. */
static struct rn_patches patches(const struct job *j, int64_t i)
{
    struct rn_patches v = j->v;
    v.v += (size_t)i * rn_patch_floats(&v);
    return v;
}

static size_t z_floats(const struct job *j)
{
    size_t columns = rn_gemm_padded(j->cpu->kernels, j->dy.C);
    return POINTS * ((size_t)j->v.tiles * columns + (size_t)j->panels * RN_PAD);
}

static size_t z_plane(const struct job *j, const struct rn_panel *panel)
{
    return rn_plane((size_t)j->v.tiles, (size_t)panel->nr);
}

/* Z of leaf i: where panel p begins. */
static float *z_panel(const struct job *j, int64_t i, const struct rn_panel *panel, int p)
{
    return j->z + (size_t)i * z_floats(j) + POINTS * (j->v.tiles * panel->begin + (int64_t)p * RN_PAD);
}

/* A few tiles of x and dy. */
static void transform_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const float *pixel[TILE * TILE];
    (void)worker;
    for (int64_t i = task * TILES_EACH; i < RN_MIN((task + 1) * TILES_EACH, j->count); i++) {
        int64_t leaf = i / j->v.tiles, row = i % j->v.tiles;
        struct rn_patches v = patches(j, leaf);
        rn_patch_transform(j->cpu->kernels, &v, row, &j->x, j->first + i, j->src, j->zeros);
        rn_tile_pixels(pixel, &j->dy, j->first + i, 0, TILE, j->ddst, j->zeros);
        for (int p = 0; p < j->panels; p++) {
            struct rn_panel panel = rn_gemm_panel(j->cpu->kernels, j->dy.C, p);
            j->cpu->kernels->winograd.gradient(z_panel(j, leaf, &panel, p) + row * panel.nr,
                                               z_plane(j, &panel),
                                               pixel, (size_t)panel.begin, (size_t)panel.cols);
        }
    }
}

/* -- products ----------------------------------------------------------------------------------- */

/* Products of a region are [rows][nr], and a micro-kernel writes past the last row. */
static size_t m_plane(const struct region *r)
{
    return rn_plane((size_t)r->rows + RN_MAX_MR, (size_t)r->panel.nr);
}

static size_t most_m(const struct job *j)
{
    return POINTS * rn_plane((size_t)j->v.width + RN_MAX_MR, (size_t)j->cpu->kernels->tile->nr);
}

/* Adds the first `count` tiles of a leaf to the products of one point. */
static void multiply(const struct job *j, const struct region *r, size_t point, int64_t leaf,
                     int64_t count, bool begins, float *m)
{
    struct rn_patches v = patches(j, leaf);
    const float *a = rn_patch_row(&v, 0, r->c0) + point * rn_patch_plane(&v, r->c0);
    const float *b = z_panel(j, leaf, &r->panel, r->index % j->panels) + point * z_plane(j, &r->panel);
    rn_gemm_strips(&r->panel, (size_t)count, a, 1, (size_t)rn_patch_width(&v, r->c0), b,
                   m + point * m_plane(r), r->rows, begins);
}

/* F(sums[tap][c][k]) to their places in OIHW. */
static void store_region(const struct job *j, const struct region *r, const float *sums)
{
    size_t nr = (size_t)r->panel.nr, plane = (size_t)r->rows * nr, C = (size_t)j->x.C;
    for (size_t k = 0; k < (size_t)r->panel.cols; k++) {
        float *dw = j->dweights + (((size_t)r->panel.begin + k) * C + (size_t)r->c0) * 9;
        for (size_t c = 0; c < (size_t)r->rows; c++)
            for (size_t t = 0; t < 9; t++) *dw++ = rn_store(sums[t * plane + c * nr + k]);
    }
}

/* The taps of one point-wise product, of a leaf or a wave of leaves, into the tree of waves; with the last
 * one the region is done. */
static void add_wave(const struct job *j, const struct region *r, const float *sums)
{
    const struct rn_kernels *k = j->cpu->kernels;
    size_t n = 9 * (size_t)r->rows * (size_t)r->panel.nr;
    if (j->waves == 1) {
        store_region(j, r, sums);
        return;
    }
    size_t each = rn_leaf_tree_floats(9 * j->region_floats, j->waves);
    struct rn_leaf_tree tree = rn_leaf_tree(j->nodes + (size_t)r->index * each, 9 * j->region_floats,
                                            j->waves);
    float *slot = rn_leaf_slot(&tree, j->wave);
    memcpy(slot, sums, n * sizeof(float));
    rn_leaf_add(k, &tree, j->wave, slot, 0, n);
    if (j->wave + 1 == j->waves) store_region(j, r, rn_leaf_total(k, &tree, j->waves, n));
}

static void taps(const struct job *j, const struct region *r, float *leaf, const float *m)
{
    j->cpu->kernels->winograd.taps(leaf, m, m_plane(r), (size_t)r->rows * (size_t)r->panel.nr);
}

/* Small leaves: one region through all leaves of the wave. */
static void region_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    const struct rn_kernels *k = j->cpu->kernels;
    struct region r = region(j, task);
    size_t n = 9 * (size_t)r.rows * (size_t)r.panel.nr;
    int64_t leaves = (j->count + j->leaf - 1) / j->leaf;
    float *m = (float *)(j->workspace + (size_t)worker * j->worker_bytes);
    struct rn_leaf_tree tree = rn_leaf_tree(m + most_m(j), 9 * j->region_floats, leaves);
    for (int64_t i = 0; i < leaves; i++) {
        int64_t count = RN_MIN(j->leaf, j->count - i * j->leaf);
        float *leaf = rn_leaf_slot(&tree, i);
        for (size_t p = 0; p < POINTS; p++) multiply(j, &r, p, i, count, true, m);
        taps(j, &r, leaf, m);
        rn_leaf_add(k, &tree, i, leaf, 0, n);
    }
    add_wave(j, &r, rn_leaf_total(k, &tree, leaves, n));
}

/* Large leaves: one point of one region, for the tiles that are there. */
static void point_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct region r = region(j, task / POINTS);
    (void)worker;
    multiply(j, &r, (size_t)(task % POINTS), 0, j->count, j->begins,
             j->m + (size_t)r.index * most_m(j));
}

/* The leaf of one region, when its products are complete. */
static void leaf_task(void *arg, int64_t task, int worker)
{
    const struct job *j = arg;
    struct region r = region(j, task);
    float *leaf = (float *)(j->workspace + (size_t)worker * j->worker_bytes);
    taps(j, &r, leaf, j->m + (size_t)r.index * most_m(j));
    add_wave(j, &r, leaf);
}

/* -- the pass ----------------------------------------------------------------------------------- */

static int64_t tile_floats(const struct job *j)
{
    size_t C = rn_round_up((size_t)j->x.C, RN_PAD);
    return POINTS * (int64_t)(C + rn_gemm_padded(j->cpu->kernels, j->dy.C));
}

/* Leaves of a wave: a power of two, so that a wave is a node of the tree. */
static int64_t wave_leaves(const struct job *j)
{
    int64_t leaves = 1, bytes = j->leaf * tile_floats(j) * (int64_t)sizeof(float);
    while (2 * leaves * bytes <= WAVE_BYTES) leaves *= 2;
    return leaves;
}

/* Rows of a region: many, but so few that every thread has its share; whole vectors. */
static int region_rows(const struct job *j)
{
    int rows = REGION_ROWS, tasks = TASKS_EACH * j->cpu->threads;
    while (j->small && rows > RN_PAD && rn_ceil_div(j->x.C, rows) * j->panels < tasks) rows -= RN_PAD;
    return rows;
}

/* How a pass is cut, and how its workspace: `bytes` of it. */
static struct job plan(const struct rn_cpu *cpu, const struct rn_conv_shape *s, char *workspace,
                       size_t *bytes)
{
    struct job j = { .cpu = cpu, .shape = s, .x = rn_tiles(s, s->C), .dy = rn_tiles(s, s->K) };
    struct rn_carve w = { workspace, 0 };
    int64_t leaf = (int64_t)RN_WINOGRAD_LEAF * rn_tiles_per_map(&j.x);
    j.tiles = (int64_t)s->N * rn_tiles_per_map(&j.x);
    j.leaf = (int)leaf;
    j.small = j.leaf <= SMALL_LEAF;
    j.panels = rn_gemm_panels(cpu->kernels, s->K);
    int rows = region_rows(&j);
    j.regions = j.panels * rn_ceil_div(s->C, rows);
    j.region_floats = (size_t)rows * (size_t)cpu->kernels->tile->nr;
    int64_t wave = j.small ? wave_leaves(&j) * leaf : leaf;
    j.waves = (j.tiles + wave - 1) / wave;
    j.step = j.small ? wave : PIECE;
    j.v = (struct rn_patches){ .tiles = RN_MIN(leaf, j.small ? leaf : PIECE), .C = s->C,
                               .width = rows };
    size_t sets = (size_t)(j.small ? (RN_MIN(j.tiles, wave) + leaf - 1) / leaf : 1);
    j.zeros = rn_carve(&w, rn_round_up((size_t)RN_MAX(s->C, s->K), RN_PAD) * sizeof(float));
    j.v.v = rn_carve(&w, sets * rn_patch_floats(&j.v) * sizeof(float));
    j.z = rn_carve(&w, sets * z_floats(&j) * sizeof(float));
    j.m = rn_carve(&w, j.small ? 0 : (size_t)j.regions * most_m(&j) * sizeof(float));
    size_t nodes = j.waves > 1 ? rn_leaf_tree_floats(9 * j.region_floats, j.waves) : 0;
    j.nodes = rn_carve(&w, (size_t)j.regions * nodes * sizeof(float));
    size_t worker = 9 * j.region_floats;
    if (j.small) worker = most_m(&j) + rn_leaf_tree_floats(worker, wave / leaf);
    j.worker_bytes = rn_round_up(worker * sizeof(float), 64);
    j.workspace = rn_carve(&w, (size_t)cpu->threads * j.worker_bytes);
    *bytes = w.used;
    return j;
}

size_t rn_winograd_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s)
{
    size_t bytes;
    plan(cpu, s, NULL, &bytes);
    return bytes;
}

void rn_winograd_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                         const struct rn_conv_shape *s, void *workspace)
{
    size_t bytes;
    struct job j = plan(cpu, s, workspace, &bytes);
    j.src = src, j.ddst = ddst, j.dweights = dweights;
    memset(j.zeros, 0, (size_t)RN_MAX(s->C, s->K) * sizeof(float));
    for (; j.first < j.tiles; j.first += j.count) {
        int64_t in_leaf = j.first % j.leaf;
        j.begins = in_leaf == 0;
        j.count = RN_MIN(j.step, j.tiles - j.first);
        if (!j.small) j.count = RN_MIN(j.count, j.leaf - in_leaf);
        rn_parallel(cpu->threads, (j.count + TILES_EACH - 1) / TILES_EACH, transform_task, &j);
        if (j.small) {
            rn_parallel(cpu->threads, j.regions, region_task, &j);
            j.wave++;
            continue;
        }
        rn_parallel(cpu->threads, (int64_t)j.regions * POINTS, point_task, &j);
        if (in_leaf + j.count < j.leaf && j.first + j.count < j.tiles) continue;
        rn_parallel(cpu->threads, j.regions, leaf_task, &j);
        j.wave++;
    }
}
