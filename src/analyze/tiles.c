/* tiles.c - tiles by the rule of tiles.h. */
#include "analyze/tiles.h"

struct rn_tiling rn_tile(const struct rn_group *g, const struct rn_trace *t, int size, double capacity)
{
    const struct rn_op *first = &t->op[g->op[0]];
    const struct rn_conv_shape *c = &first->conv;
    struct rn_tiling r = { .working_set = size * (int64_t)rn_group_values(g, 1) };
    r.traffic = r.tiled_traffic = r.working_set;
    const double ratio = (double)r.working_set / capacity;
    r.tiles = (int64_t)ratio + ((double)(int64_t)ratio < ratio);
    if (r.tiles < 1) r.tiles = 1;
    if (r.tiles > 1) {
        const int64_t shared = c->C && c->R > c->stride ? (int64_t)(c->R - c->stride) * c->W * c->C : 0;
        const int64_t by_channels = g->inputs, by_rows = g->weights + shared;
        r.tiled_traffic += (r.tiles - 1) * size * RN_MIN(by_channels, by_rows);
    }
    return r;
}
