/* tiles.c - tiles by the rule of tiles.h: every way to cut is tried. */
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
    for (int64_t rows = 1; rows <= e.rows; rows++) {
        for (int64_t channels = 1; channels <= most_channels; channels++) {
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
