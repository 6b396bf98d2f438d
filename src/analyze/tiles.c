/*
 * tiles.c - tiles by the rules of tiles.h.
 *
 * A cut into more pieces that leaves the largest as large as it was moves no less; so of all numbers of pieces only
 * those are tried that make the largest smaller, and of n rows there are about twice the root of n.
 */
#include "analyze/tiles.h"

/* What a cut depends on.  parts: sets of channels that have nothing to do with each other, those of a group of a
 * convolution, or each one of a pooling. */
struct extents {
    int64_t rows, channels, reduced, parts; /* of the outputs; channels of a part that are added up */
    int64_t source_rows, row_values;        /* of the inputs, all channels */
    int64_t window, step;                   /* rows that an output's row reads, and those to the next one's */
    int64_t position;                       /* outputs of a row and channel, and what is added to them */
};

static int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The least number of pieces whose largest is smaller than that of `pieces`; more than n: there is none. */
static int64_t more_pieces(int64_t n, int64_t pieces)
{
    const int64_t largest = up(n, pieces);
    return largest > 1 ? up(n, largest - 1) : n + 1;
}

static struct extents extents_of(const struct rn_group *g, const struct rn_trace *t)
{
    const struct rn_op *first = &t->op[g->op[0]], *source = first->src[0] < 0 ? first : &t->op[first->src[0]];
    const struct rn_conv_shape *c = &first->conv;
    struct extents e = { .rows = first->H, .channels = first->C, .reduced = 1, .parts = first->C };
    e.source_rows = c->C ? c->H : source->H;
    e.row_values = up(g->inputs, e.source_rows);
    e.step = c->C ? c->stride : up(e.source_rows, e.rows);
    e.window = c->C ? c->R : RN_MAX(first->R, 2);
    if (c->C) {
        e.parts = c->groups;
        e.reduced = c->C / c->groups;
    }
    e.position = up(g->outputs + g->added, e.rows * e.channels);
    return e;
}

/* Values of the largest tile of a cut. */
static int64_t largest(const struct rn_group *g, const struct extents *e, const int64_t cut[3])
{
    const int64_t rows = up(e->rows, cut[0]), unit = e->parts > 1 ? e->channels / e->parts : 1;
    const int64_t channels = unit * up(e->channels / unit, cut[1]), reduced = up(e->reduced, cut[2]);
    const int64_t source_rows = RN_MIN(e->source_rows, (rows - 1) * e->step + e->window);
    const int64_t parts = e->parts > 1 ? channels / unit : 1; /* whose inputs it reads */
    return up(source_rows * e->row_values * parts * reduced, e->parts * e->reduced) +
           up(g->weights * channels * reduced, e->channels * e->reduced) + rows * channels * e->position;
}

/* Values that a cut moves in all. */
static int64_t moved(const struct rn_group *g, const struct extents *e, const int64_t cut[3])
{
    const int64_t again = RN_MAX(0, e->window - e->step) * (cut[0] - 1);
    const int64_t inputs = RN_MIN(g->inputs + again * e->row_values, cut[0] * g->inputs);
    const int64_t reads = e->parts > 1 ? 1 : cut[1], all = inputs * reads + g->weights * cut[0];
    const int64_t inputs_stay = inputs + g->weights * (cut[1] > 1 ? cut[0] : 1);
    const int64_t weights_stay = inputs * (cut[0] > 1 ? reads : 1) + g->weights;
    return (cut[2] > 1 ? all : RN_MIN(inputs_stay, weights_stay)) + g->outputs + g->added;
}

/* The least cut[2] with which a tile has no more values than `most`; false: there is none. */
static bool fit(int64_t cut[3], const struct rn_group *g, const struct extents *e, double most)
{
    int64_t least = 1, end = e->reduced;
    cut[2] = end;
    if ((double)largest(g, e, cut) > most) return false;
    while (least < end) {
        cut[2] = (least + end) / 2;
        if ((double)largest(g, e, cut) > most) least = cut[2] + 1;
        else end = cut[2];
    }
    cut[2] = least;
    return true;
}

struct rn_tiling rn_tile(const struct rn_group *g, const struct rn_trace *t, int size, double capacity)
{
    const struct extents e = extents_of(g, t);
    const int64_t whole = (int64_t)rn_group_values(g, 1), most_channels = e.parts > 1 ? e.parts : e.channels;
    struct rn_tiling r = { .working_set = size * whole, .traffic = size * whole };
    for (int64_t rows = 1; rows <= e.rows; rows = more_pieces(e.rows, rows)) {
        for (int64_t channels = 1; channels <= most_channels; channels = more_pieces(most_channels, channels)) {
            int64_t cut[3] = { rows, channels, 1 };
            if (r.tiles && size * moved(g, &e, cut) > r.tiled_traffic) continue; /* nor less when sums are cut */
            if (!fit(cut, g, &e, capacity / size)) continue;
            const int64_t tiles = cut[0] * cut[1] * cut[2], traffic = size * moved(g, &e, cut);
            if (r.tiles && (traffic > r.tiled_traffic || (traffic == r.tiled_traffic && tiles >= r.tiles))) continue;
            r.tiles = tiles;
            r.tiled_traffic = traffic;
            r.tile = size * largest(g, &e, cut);
            if (tiles == 1) return r;
        }
    }
    return r;
}

/* -- a machine ----------------------------------------------------------------------------------- */

int rn_tile_levels(struct rn_tile_level level[RN_TILE_LEVELS], const struct rn_hardware *h)
{
    int levels = 0;
    for (int i = 0; i < RN_MEMORY_LEVELS; i++)
        if (h->known[RN_HW_CAPACITY + i])
            level[levels++] = (struct rn_tile_level){ rn_memory_level_name(i), h->value[RN_HW_CAPACITY + i] };
    if (rn_hardware_value(h, RN_HW_WAVEFRONT, 0) > 0) level[levels++] = (struct rn_tile_level){ "wavefront", 0 };
    return levels;
}

int rn_tile_rows(const struct rn_tile_net *n, enum rn_tile_model model)
{
    return model == RN_TILES_OURS ? n->groups->rows : n->seed->rows;
}

int rn_tile_first(const struct rn_tile_net *n, enum rn_tile_model model, int i)
{
    return model == RN_TILES_OURS ? n->groups->row[i].op[0] : n->seed->row[i].conv;
}

static struct rn_tiling tile_window(const struct rn_tile_net *n, const struct rn_tile_level *level, int i)
{
    const struct rn_seed_window *w = &n->seed->row[i];
    const struct rn_op *conv = &n->trace->op[w->conv];
    const int64_t extents = rn_seed_extents(conv, 1, rn_hardware_value(n->hardware, RN_HW_SEED_BUFFERS, 1));
    const int64_t tiles = level->capacity > 0
        ? rn_seed_tiles(extents, level->capacity)
        : rn_seed_wavefronts(conv, rn_hardware_value(n->hardware, RN_HW_SEED_WAVEFRONT, 1e30));
    return (struct rn_tiling){ extents, w->bytes, w->bytes, tiles, up(extents, tiles) };
}

struct rn_tiling rn_tile_row(const struct rn_tile_net *n, enum rn_tile_model model, const struct rn_tile_level *level,
                             int i)
{
    if (model == RN_TILES_SEED) return tile_window(n, level, i);
    return rn_tile(&n->groups->row[i], n->trace, n->size, level->capacity > 0 ? level->capacity : 1e30);
}

double rn_tile_overhead(enum rn_tile_model model, const struct rn_tiling *r)
{
    if (r->tiles == 0) return 0;
    return model == RN_TILES_SEED ? rn_seed_overhead(r->tiles) : (double)r->tiled_traffic / (double)r->traffic;
}

struct rn_tile_sum rn_tile_all(const struct rn_tile_net *n, enum rn_tile_model model,
                               const struct rn_tile_level *level)
{
    struct rn_tile_sum sum = { .rows = rn_tile_rows(n, model) };
    bool fits = true;
    for (int i = 0; i < sum.rows; i++) {
        const struct rn_tiling r = rn_tile_row(n, model, level, i);
        fits = fits && r.tiles > 0;
        sum.split += r.tiles > 1;
        sum.all.tiles += r.tiles;
        sum.all.traffic += r.traffic;
        sum.all.tiled_traffic += r.tiled_traffic;
        sum.all.working_set = RN_MAX(sum.all.working_set, r.working_set);
        sum.all.tile = RN_MAX(sum.all.tile, r.tile);
    }
    if (!fits) sum.all.tiles = 0;
    return sum;
}
