/* plot.h - charts and tables as PNG or SVG, drawn by cairo where this machine has it. */
#ifndef RN_TOOLS_PLOT_H
#define RN_TOOLS_PLOT_H

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

/* count[classes][classes]: a row for each label, a column for each answer; a cell's colour is its share of the
 * row. */
#define TOOL_CONFUSION_CLASSES 1000 /* at most */
struct tool_confusion {
    const char *title;
    const char *const *names; /* [classes] */
    const int64_t *count;
    int classes;
};
rn_status tool_plot_confusion(const char *path, const struct tool_confusion *confusion);

/* The curves of the run in `folder`: its results.csv drawn into its curves.png, 1200x800: loss, accuracy and
 * learning rate over the epochs, the best of them marked.  Equal tables, titles and fonts give equal bytes.
 * RN_EINPUT: no such table, or a line of it that is none. */
rn_status tool_plot_run(const char *folder, const char *title, const char *subtitle);

#endif /* RN_TOOLS_PLOT_H */
