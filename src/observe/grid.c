/* grid.c - tables of text, written when all widths are known. */
#include "observe/grid.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS 32
#define CELL 200

void rn_grid_begin(struct rn_grid *g, const char *const *heading)
{
    *g = (struct rn_grid){0};
    for (; heading[g->columns] && g->columns < COLUMNS; g->columns++)
        rn_text_bytes(&g->cells, heading[g->columns], strlen(heading[g->columns]) + 1);
    g->filled = g->columns;
}

void rn_grid_add(struct rn_grid *g, const char *fmt, ...)
{
    char cell[CELL];
    va_list list;
    va_start(list, fmt);
    vsnprintf(cell, sizeof cell, fmt, list);
    va_end(list);
    rn_text_bytes(&g->cells, cell, strlen(cell) + 1);
    g->filled++;
}

static void add_padding(struct rn_text *t, char c, size_t count)
{
    while (count-- > 0) rn_text_bytes(t, &c, 1);
}

static void add_line(struct rn_text *t, const size_t *width, int columns)
{
    for (int k = 0; k < columns; k++) {
        add_padding(t, '-', width[k]);
        rn_text_add(t, "%s", k + 1 < columns ? "  " : "\n");
    }
}

void rn_grid_end(struct rn_text *t, struct rn_grid *g)
{
    size_t width[COLUMNS] = {0};
    const char *cell = g->cells.data;
    if (rn_text_status(&g->cells)) {
        t->failed = true;
        return;
    }
    for (int i = 0; i < g->filled; i++, cell += strlen(cell) + 1)
        width[i % g->columns] = RN_MAX(width[i % g->columns], strlen(cell));
    cell = g->cells.data;
    add_line(t, width, g->columns);
    for (int i = 0; i < g->filled; i++, cell += strlen(cell) + 1) {
        const int k = i % g->columns;
        const size_t room = width[k] - strlen(cell);
        if (k) add_padding(t, ' ', room);
        rn_text_add(t, "%s", cell);
        if (!k) add_padding(t, ' ', room);
        rn_text_add(t, "%s", k + 1 < g->columns ? "  " : "\n");
        if (i + 1 == g->columns) add_line(t, width, g->columns);
    }
    add_line(t, width, g->columns);
    rn_text_free(&g->cells);
}
