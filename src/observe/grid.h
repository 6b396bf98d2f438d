/* grid.h - a table of text with columns as wide as their widest cell. */
#ifndef RN_GRID_H
#define RN_GRID_H

#include "base/text.h"

struct rn_grid { struct rn_text cells; int columns, filled; }; /* cells end with a zero each */

/* The headings, up to a NULL, make the columns; the first is aligned to the left. */
void rn_grid_begin(struct rn_grid *g, const char *const *heading);
void rn_grid_add(struct rn_grid *g, const char *fmt, ...) RN_PRINTF(2, 3); /* the next cell, row by row */
/* The table, between lines of dashes; frees the grid. */
void rn_grid_end(struct rn_text *t, struct rn_grid *g);

#endif /* RN_GRID_H */
