/*
 * tiles.c - the tiles of every operation against every memory of a machine, by either rule of analyze/tiles.h, and what
 * their difference comes from, in sentences made of the numbers.
 */
#include "tools/characterize/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- the difference ------------------------------------------------------------------------------- */

static const char *bytes_text(char out[RN_NUMBER_CHARS], double bytes)
{
    return bytes < 1e15 ? characterize_grouped(out, (int64_t)bytes) : rn_number_text(out, bytes);
}

/* Of the bytes that tiles move twice: what moving them takes. */
static void explain_cost(struct rn_text *t, const struct rn_tiling *r, const struct rn_hardware *h)
{
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS];
    const int64_t more = r->tiled_traffic - r->traffic;
    if (more == 0 || !h->known[RN_HW_BANDWIDTH]) return;
    rn_text_add(t, ": %s more, %s ms at its main memory's bandwidth", characterize_grouped(a, more),
                rn_fixed_text(b, 1e3 * (double)more / h->value[RN_HW_BANDWIDTH], 4));
}

static void explain_ours(struct rn_text *t, const struct rn_tile_net *n, const struct rn_tile_level *level)
{
    const struct rn_tile_sum s = rn_tile_all(n, RN_TILES_OURS, level);
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS];
    characterize_grouped(a, s.all.working_set);
    if (!(level->capacity > 0)) {
        rn_text_add(t, "wavefront: ours lets the operands of the %d fused operations stream through, one tile each, "
                    "and moves nothing twice.", s.rows);
    } else if (s.all.tiles == 0) {
        rn_text_add(t, "%s: ours finds no tile that fits %s bytes for one at least of the %d fused operations.",
                    level->name, bytes_text(b, level->capacity), s.rows);
    } else if (s.split == 0) {
        rn_text_add(t, "%s: ours cuts none of the %d fused operations, of which the largest takes %s bytes.",
                    level->name, s.rows, a);
    } else {
        rn_text_add(t, "%s: ours cuts %d of the %d fused operations, of which the largest takes %s bytes, into %s "
                    "tiles in all, and moves %s times the bytes", level->name, s.split, s.rows, a,
                    characterize_grouped(b, s.all.tiles),
                    rn_fixed_text(x, rn_tile_overhead(RN_TILES_OURS, &s.all), 3));
        explain_cost(t, &s.all, n->hardware);
        rn_text_add(t, ".");
    }
}

static void explain_seed(struct rn_text *t, const struct rn_tile_net *n, const struct rn_tile_level *level)
{
    const struct rn_tile_sum s = rn_tile_all(n, RN_TILES_SEED, level);
    char a[RN_NUMBER_CHARS], count[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS], y[RN_NUMBER_CHARS];
    double most = 1;
    if (s.rows == 0) return;
    for (int i = 0; i < s.rows; i++) {
        const struct rn_tiling r = rn_tile_row(n, RN_TILES_SEED, level, i);
        most = RN_MAX(most, rn_tile_overhead(RN_TILES_SEED, &r));
    }
    rn_text_add(t, " The seed's rule counts %s in its %d windows", characterize_grouped(count, s.all.tiles), s.rows);
    if (level->capacity > 0)
        rn_text_add(t, ", for it adds the extents of a shape where bytes are their product: %s bytes at most",
                    characterize_grouped(a, s.all.working_set));
    else if (n->hardware->known[RN_HW_SEED_WAVEFRONT])
        rn_text_add(t, ", each within a wavefront of %s bytes if it counts as one",
                    bytes_text(a, n->hardware->value[RN_HW_SEED_WAVEFRONT]));
    rn_text_add(t, "; its text then takes 1 + 0.05 (%s - 1) = %s times the latency, its source, which looks at each "
                "window alone, %s times at most.", count,
                rn_fixed_text(x, rn_tile_overhead(RN_TILES_SEED, &s.all), 2), rn_fixed_text(y, most, 2));
}

void characterize_tiles_explain(struct rn_text *t, const struct rn_tile_net *n, const struct rn_tile_level *level)
{
    explain_ours(t, n, level);
    explain_seed(t, n, level);
}

/* -- text ------------------------------------------------------------------------------------------ */

/* Whole words, lines of up to 110 characters. */
static void add_wrapped(struct rn_text *t, const char *text)
{
    size_t column = 0;
    for (size_t length; *text; text += length) {
        text += strspn(text, " ");
        length = strcspn(text, " ");
        if (column && column + 1 + length > 110) column = 0;
        rn_text_add(t, "%s%.*s", column ? " " : "\n  ", (int)length, text);
        column = column ? column + 1 + length : 2 + length;
    }
    rn_text_add(t, "\n");
}

static const char *times_text(char out[RN_NUMBER_CHARS], enum rn_tile_model model, const struct rn_tiling *r)
{
    return r->tiles ? rn_fixed_text(out, rn_tile_overhead(model, r), 3) : "N/A";
}

static const char *tiles_text(char out[RN_NUMBER_CHARS], const struct rn_tiling *r)
{
    return r->tiles ? characterize_grouped(out, r->tiles) : "N/A";
}

static const char *capacity_text(char out[RN_NUMBER_CHARS], const struct rn_tile_level *level)
{
    return level->capacity > 0 ? bytes_text(out, level->capacity) : "streams";
}

static void add_rows(struct rn_text *t, const struct characterize *c, const struct rn_tile_net *n,
                     const struct rn_tile_level *level, int levels)
{
    char a[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS];
    rn_text_add(t, "  %-24s %14s", c->tiles == RN_TILES_OURS ? "fused operation" : "window", "working set");
    for (int k = 0; k < levels; k++) rn_text_add(t, " %10s %8s", level[k].name, "times");
    for (int i = 0; i < rn_tile_rows(n, c->tiles); i++) {
        for (int k = 0; k < levels; k++) {
            const struct rn_tiling r = rn_tile_row(n, c->tiles, &level[k], i);
            if (k == 0)
                rn_text_add(t, "\n  %-24s %14s", c->trace.op[rn_tile_first(n, c->tiles, i)].name,
                            characterize_grouped(a, r.working_set));
            rn_text_add(t, " %10s %8s", tiles_text(a, &r), times_text(x, c->tiles, &r));
        }
    }
    rn_text_add(t, "\n");
}

void characterize_add_tiles(struct rn_text *t, const struct characterize *c)
{
    const struct rn_tile_net n = characterize_tile_net(c, &c->hardware);
    struct rn_tile_level level[RN_TILE_LEVELS];
    const int levels = rn_tile_levels(level, &c->hardware);
    char a[RN_NUMBER_CHARS], b[RN_NUMBER_CHARS], d[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS];
    rn_text_add(t, "\ntiles, one image, %s, on %s, by %s rule\n", rn_precision_name(c->precision), c->hardware.name,
                c->tiles == RN_TILES_OURS ? "our" : "the seed's");
    if (!levels) {
        rn_text_add(t, "  N/A: needs a key like %s, or %s\n", rn_hardware_key_name(RN_HW_CAPACITY + 2),
                    rn_hardware_key_name(RN_HW_WAVEFRONT));
        return;
    }
    rn_text_add(t, "  %-12s %16s %22s %10s %5s %10s %8s\n", "memory", "bytes", "largest working set", "operations",
                "cut", "tiles", "times");
    for (int k = 0; k < levels; k++) {
        const struct rn_tile_sum s = rn_tile_all(&n, c->tiles, &level[k]);
        rn_text_add(t, "  %-12s %16s %22s %10d %5d %10s %8s\n", level[k].name, capacity_text(a, &level[k]),
                    characterize_grouped(b, s.all.working_set), s.rows, s.split, tiles_text(d, &s.all),
                    times_text(x, c->tiles, &s.all));
    }
    add_rows(t, c, &n, level, levels);
    for (int k = 0; k < levels; k++) {
        struct rn_text why = { 0 };
        characterize_tiles_explain(&why, &n, &level[k]);
        if (why.data) add_wrapped(t, why.data);
        t->failed = t->failed || why.failed;
        rn_text_free(&why);
    }
}

/* -- JSON ------------------------------------------------------------------------------------------ */

static void add_tiling(struct rn_text *t, enum rn_tile_model model, const struct rn_tiling *r)
{
    rn_text_add(t, "\"working_set_bytes\": %" PRId64 ", \"tiles\": ", r->working_set);
    if (r->tiles == 0) {
        rn_text_add(t, "null, \"overhead\": null");
        return;
    }
    rn_text_add(t, "%" PRId64 ", \"tile_bytes\": %" PRId64 ", \"traffic_bytes\": %" PRId64
                ", \"tiled_traffic_bytes\": %" PRId64 ", \"overhead\": ", r->tiles, r->tile, r->traffic,
                r->tiled_traffic);
    rn_text_number(t, rn_tile_overhead(model, r));
}

static void add_level(struct rn_text *t, const struct characterize *c, const struct rn_tile_net *n,
                      const struct rn_tile_level *level)
{
    static const char *const name[] = { "ours", "seed" };
    struct rn_text why = { 0 };
    rn_text_add(t, "{\"level\": \"%s\", \"capacity_bytes\": ", level->name);
    if (level->capacity > 0) rn_text_number(t, level->capacity);
    else rn_text_add(t, "null");
    for (int model = RN_TILES_OURS; model <= RN_TILES_SEED; model++) {
        const struct rn_tile_sum s = rn_tile_all(n, (enum rn_tile_model)model, level);
        rn_text_add(t, ",\n  \"%s\": {\"operations\": %d, \"operations_cut\": %d, ", name[model], s.rows, s.split);
        add_tiling(t, (enum rn_tile_model)model, &s.all);
        rn_text_add(t, "}");
    }
    characterize_tiles_explain(&why, n, level);
    rn_text_add(t, ",\n  \"difference\": ");
    rn_text_json(t, why.data ? why.data : "");
    t->failed = t->failed || why.failed;
    rn_text_free(&why);
    rn_text_add(t, ",\n  \"per_operation\": [");
    for (int i = 0; i < rn_tile_rows(n, c->tiles); i++) {
        const struct rn_tiling r = rn_tile_row(n, c->tiles, level, i);
        rn_text_add(t, "%s\n   {\"name\": \"%s\", ", i ? "," : "", c->trace.op[rn_tile_first(n, c->tiles, i)].name);
        add_tiling(t, c->tiles, &r);
        rn_text_add(t, "}");
    }
    rn_text_add(t, "]}");
}

void characterize_add_tiles_json(struct rn_text *t, const struct characterize *c)
{
    const struct rn_tile_net n = characterize_tile_net(c, &c->hardware);
    struct rn_tile_level level[RN_TILE_LEVELS];
    const int levels = rn_tile_levels(level, &c->hardware);
    rn_text_add(t, ",\n\"tiles\": {\"model\": \"%s\", \"precision\": \"%s\", \"images\": 1, \"levels\": [",
                opt_text(c->o, "tiles"), rn_precision_name(c->precision));
    for (int k = 0; k < levels; k++) {
        rn_text_add(t, "%s\n ", k ? "," : "");
        add_level(t, c, &n, &level[k]);
    }
    rn_text_add(t, "]");
    if (!levels) rn_text_add(t, ", \"levels_need\": \"%s\"", rn_hardware_key_name(RN_HW_CAPACITY + 2));
    rn_text_add(t, "}");
}

/* -- the report ------------------------------------------------------------------------------------ */

/* The machine in force, and those of the report of 2025-10-17 that are not it. */
struct places { struct rn_tile_net net[CHARACTERIZE_MACHINES + 1]; int nets; };

static struct places places_of(const struct characterize *c, const struct characterize_machines *m)
{
    struct places p = { .nets = 1 };
    p.net[0] = characterize_tile_net(c, &c->hardware);
    for (int i = 0; i < CHARACTERIZE_MACHINES; i++)
        if (strcmp(m->row[i].hardware.name, c->hardware.name))
            p.net[p.nets++] = characterize_tile_net(c, &m->row[i].hardware);
    return p;
}

static void page_level(struct page *p, const struct rn_tile_net *n, const struct rn_tile_level *level)
{
    const struct rn_tile_sum s = rn_tile_all(n, RN_TILES_OURS, level), q = rn_tile_all(n, RN_TILES_SEED, level);
    char bytes[RN_NUMBER_CHARS], set[RN_NUMBER_CHARS], cut[24], tiles[RN_NUMBER_CHARS], times[RN_NUMBER_CHARS];
    char seeds[RN_NUMBER_CHARS], factor[RN_NUMBER_CHARS];
    snprintf(cut, sizeof cut, "%d of %d", s.split, s.rows);
    const char *const row[] = {
        n->hardware->name, level->name, capacity_text(bytes, level), characterize_grouped(set, s.all.working_set), cut,
        tiles_text(tiles, &s.all), times_text(times, RN_TILES_OURS, &s.all), tiles_text(seeds, &q.all),
        q.all.tiles ? rn_fixed_text(factor, rn_tile_overhead(RN_TILES_SEED, &q.all), 2) : "N/A"
    };
    page_row(p, row, RN_COUNT(row));
}

static void page_levels(struct page *p, const struct places *at)
{
    static const struct report_head head[] = {
        { "machine", 20, true }, { "memory", 10, true }, { "bytes", 12, false },
        { "largest working set, bytes", 16, false }, { "operations cut", 10, false }, { "tiles", 8, false },
        { "traffic, times", 8, false }, { "tiles, seed's rule", 8, false }, { "latency, times, its text", 10, false },
    };
    struct rn_tile_level level[RN_TILE_LEVELS];
    page_table(p, head, RN_COUNT(head));
    for (int i = 0; i < at->nets; i++) {
        const int levels = rn_tile_levels(level, at->net[i].hardware);
        for (int k = 0; k < levels; k++) page_level(p, &at->net[i], &level[k]);
    }
}

/* The sentence of each level. */
static void page_reasons(struct page *p, const struct places *at)
{
    struct rn_tile_level level[RN_TILE_LEVELS];
    for (int i = 0; i < at->nets; i++) {
        const int levels = rn_tile_levels(level, at->net[i].hardware);
        for (int k = 0; k < levels; k++) {
            struct rn_text why = { 0 };
            characterize_tiles_explain(&why, &at->net[i], &level[k]);
            if (why.data) page_bullet(p, "%s, %s", at->net[i].hardware->name, why.data);
            rn_text_free(&why);
        }
    }
}

#define COLUMNS_MOST (2 + (CHARACTERIZE_MACHINES + 1) * RN_TILE_LEVELS)
#define CELL 96

static void page_operation(struct page *p, const struct characterize *c, const struct places *at, int i)
{
    struct rn_tile_level level[RN_TILE_LEVELS];
    char text[COLUMNS_MOST][CELL], a[RN_NUMBER_CHARS], x[RN_NUMBER_CHARS];
    const char *cell[COLUMNS_MOST];
    int cells = 2;
    for (int n = 0; n < at->nets; n++) {
        const int levels = rn_tile_levels(level, at->net[n].hardware);
        for (int k = 0; k < levels; k++, cells++) {
            const struct rn_tiling r = rn_tile_row(&at->net[n], c->tiles, &level[k], i);
            if (cells == 2) snprintf(text[1], CELL, "%s", characterize_grouped(a, r.working_set));
            snprintf(text[cells], CELL, "%s; %s", tiles_text(a, &r), times_text(x, c->tiles, &r));
        }
    }
    snprintf(text[0], CELL, "%s", c->trace.op[rn_tile_first(&at->net[0], c->tiles, i)].name);
    for (int k = 0; k < cells; k++) cell[k] = text[k];
    page_row(p, cell, cells);
}

static void page_operations(struct page *p, const struct characterize *c, const struct places *at)
{
    struct rn_tile_level level[RN_TILE_LEVELS];
    char name[COLUMNS_MOST][CELL];
    struct report_head head[COLUMNS_MOST] = { { "operation", 24, true }, { "working set, bytes", 14, false } };
    int columns = 2;
    for (int n = 0; n < at->nets; n++) {
        const int levels = rn_tile_levels(level, at->net[n].hardware);
        for (int k = 0; k < levels; k++, columns++) {
            snprintf(name[columns], CELL, "%s, %s", at->net[n].hardware->name, level[k].name);
            head[columns] = (struct report_head){ name[columns], 14, false };
        }
    }
    page_fold(p, c->tiles == RN_TILES_OURS ? "Tiles of every fused operation by our rule; traffic, times"
                                           : "Tiles of every window by the seed's rule; latency, times");
    page_table(p, head, columns);
    for (int i = 0; i < rn_tile_rows(&at->net[0], c->tiles); i++) page_operation(p, c, at, i);
    page_unfold(p);
}

void characterize_tiles(struct page *p, const struct characterize *c, const struct characterize_machines *m)
{
    const struct places at = places_of(c, m);
    char title[80];
    snprintf(title, sizeof title, "Tiles, one image, %s", rn_precision_name(c->precision));
    page_heading(p, title);
    page_levels(p, &at);
    page_note(p, "Ours: a tile is some rows, some channels and some of the channels summed over, with all that it "
              "takes; every one fits. Of all ways to cut, the one with the least traffic is taken, then the one with "
              "the fewest tiles. N/A: not even one row of one channel fits.");
    page_reasons(p, &at);
    page_operations(p, c, &at);
}
