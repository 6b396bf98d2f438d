/* plot.h - line charts as PNG or SVG, drawn by cairo where this machine has it. */
#ifndef RN_CLI_PLOT_H
#define RN_CLI_PLOT_H

#include "base/base.h"

/* count points; x ascending and above 0, y at least 0. */
struct tool_curve { const char *name; const double *x, *y; int count; };

/* One pair of axes: x logarithmic with a tick at every x of the first curve, y linear from 0.
 * mark: an x with a dashed line through it; 0: none. */
struct tool_chart {
    const char *title, *x_title, *y_title;
    struct tool_curve curve[4];
    int curves;
    double mark;
};

bool tool_plot_available(void);

/* What can be known before there is anything to draw.  RN_EUSAGE: path ends neither in .png nor in
 * .svg, or there is no cairo; the message says what to install. */
rn_status tool_plot_check(const char *path);

/* Draws the charts side by side; the file is written whole or not at all. */
rn_status tool_plot_write(const char *path, const struct tool_chart *chart, int charts);

#endif /* RN_CLI_PLOT_H */
