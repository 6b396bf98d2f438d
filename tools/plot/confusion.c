/*
 * confusion.c - a confusion matrix: counts in cells whose colour is the share of the label's images, from
 * white (none) to dark blue (all).  Cells shrink with the number of classes; counts and names that no longer
 * fit are left out.
 */
#include "tools/plot/plot.h"

#include "base/text.h"
#include "tools/plot/canvas.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARGIN 24.0
#define TITLE 34.0       /* height of the line above the table */
#define FONT 11.0
#define LEAST_CELL 16.0  /* the smallest with names beside it */
#define SCALE_GAP 26.0   /* between table and colour scale */
#define SCALE_WIDTH 14.0
#define SCALE_LABELS 52.0
#define NAME_WIDTH 130.0 /* of a name, at most */
#define PI 3.14159265358979323846

/* The sizes of one picture, from what has to be written in it. */
struct table {
    const struct tool_confusion *m;
    double cell, left, top, side;  /* one cell; the corner of the table; all cells */
    double names;                  /* the space for names, 0 without */
    double width, height;
};

static double cell_size(int classes)
{
    static const struct { int classes; double cell; } step[] = { { 2, 96 }, { 5, 72 }, { 12, 52 }, { 20, 40 },
                                                                 { 40, 26 }, { 80, LEAST_CELL } };
    for (size_t i = 0; i < RN_COUNT(step); i++)
        if (classes <= step[i].classes) return step[i].cell;
    return classes <= 120 ? 8 : classes <= 250 ? 4 : classes <= 450 ? 3 : 2;
}

/* Before there is a canvas to measure with: a character takes at most so much on average. */
static double names_width(const struct tool_confusion *m)
{
    size_t longest = 0;
    for (int i = 0; i < m->classes; i++) longest = RN_MAX(longest, strlen(m->names[i]));
    return RN_MIN(NAME_WIDTH, 0.62 * FONT * (double)longest) + 10;
}

static struct table lay_out(const struct tool_confusion *m)
{
    struct table t = { .m = m, .cell = cell_size(m->classes) };
    t.names = t.cell >= LEAST_CELL ? names_width(m) : 0;
    t.side = t.cell * m->classes;
    t.left = MARGIN + 18 + t.names;
    t.top = MARGIN + TITLE;
    t.width = RN_MAX(t.left + t.side + SCALE_GAP + SCALE_WIDTH + SCALE_LABELS, 420);
    t.height = t.top + t.side + 0.75 * t.names + 26 + MARGIN;
    return t;
}

/* White, light blue, blue, dark blue, and what lies between. */
static void colour(const struct tool_canvas *v, double share)
{
    static const double stop[4][3] = { { 1, 1, 1 }, { 0.68, 0.82, 0.93 }, { 0.26, 0.53, 0.77 }, { 0.03, 0.19, 0.42 } };
    double at = 3 * RN_MIN(RN_MAX(share, 0), 1);
    int i = RN_MIN((int)at, 2);
    double rgb[3];
    for (int k = 0; k < 3; k++) rgb[k] = stop[i][k] + (at - i) * (stop[i + 1][k] - stop[i][k]);
    v->cairo->set_source_rgb(v->c, rgb[0], rgb[1], rgb[2]);
}

static void ink(const struct tool_canvas *v) { v->cairo->set_source_rgb(v->c, 0.15, 0.15, 0.15); }

/* A count, in a font that fits the cell; none where that would be too small to read. */
static void draw_count(const struct tool_canvas *v, const struct table *t, double x, double y, int64_t count,
                       double share)
{
    char text[24];
    double font = RN_MIN(14, 0.34 * t->cell), width;
    if (t->cell < 20) return;
    snprintf(text, sizeof text, "%" PRId64, count);
    v->cairo->set_font_size(v->c, font);
    width = tool_canvas_text_width(v, text);
    if (width > t->cell - 4) {
        font *= (t->cell - 4) / width;
        if (font < 6) return;
        v->cairo->set_font_size(v->c, font);
    }
    if (share > 0.5) v->cairo->set_source_rgb(v->c, 1, 1, 1);
    else if (count == 0) v->cairo->set_source_rgb(v->c, 0.65, 0.65, 0.65);
    else ink(v);
    tool_canvas_text(v, x + t->cell / 2, y + t->cell / 2 + 0.36 * font, 0.5, text);
}

static void draw_row(const struct tool_canvas *v, const struct table *t, int row)
{
    const int64_t *count = t->m->count + (int64_t)row * t->m->classes;
    int64_t sum = 0;
    for (int k = 0; k < t->m->classes; k++) sum += count[k];
    for (int k = 0; k < t->m->classes; k++) {
        double x = t->left + k * t->cell, y = t->top + row * t->cell;
        double share = sum ? (double)count[k] / (double)sum : 0;
        colour(v, share);
        v->cairo->rectangle(v->c, x, y, t->cell, t->cell);
        v->cairo->fill(v->c);
        draw_count(v, t, x, y, count[k], share);
    }
}

/* Lines between cells that are large enough, and the frame. */
static void draw_grid(const struct tool_canvas *v, const struct table *t)
{
    int step = t->cell >= LEAST_CELL ? 1 : t->m->classes;
    v->cairo->set_line_width(v->c, 1);
    for (int i = 0; i <= t->m->classes; i += step) {
        double shade = i == 0 || i == t->m->classes ? 0.4 : 0.86, at = floor(i * t->cell);
        v->cairo->set_source_rgb(v->c, shade, shade, shade);
        tool_canvas_line(v, t->left, t->top + at + 0.5, t->left + t->side, t->top + at + 0.5);
        tool_canvas_line(v, t->left + at + 0.5, t->top, t->left + at + 0.5, t->top + t->side);
    }
}

/* A name, with an ellipsis where it is longer than NAME_WIDTH. */
static void draw_name(const struct tool_canvas *v, double x, double y, const char *name)
{
    char text[64];
    size_t length = strlen(name);
    snprintf(text, sizeof text, "%s", name);
    while (length > 0 && (length >= sizeof text - 4 || tool_canvas_text_width(v, text) > NAME_WIDTH)) {
        length--;
        while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80) length--; /* not inside UTF-8 */
        if (length < sizeof text - 4) snprintf(text, sizeof text, "%.*s...", (int)length, name);
    }
    tool_canvas_text(v, x, y, 1, text);
}

static void draw_names(const struct tool_canvas *v, const struct table *t)
{
    v->cairo->set_font_size(v->c, RN_MIN(FONT, t->cell));
    ink(v);
    for (int i = 0; t->names > 0 && i < t->m->classes; i++) {
        double middle = (i + 0.5) * t->cell;
        draw_name(v, t->left - 8, t->top + middle + 4, t->m->names[i]);
        v->cairo->save(v->c);
        v->cairo->translate(v->c, t->left + middle + 4, t->top + t->side + 12);
        v->cairo->rotate(v->c, -PI / 4);
        draw_name(v, 0, 0, t->m->names[i]);
        v->cairo->restore(v->c);
    }
}

static void draw_titles(const struct tool_canvas *v, const struct table *t)
{
    ink(v);
    v->cairo->set_font_size(v->c, 13);
    tool_canvas_text(v, t->width / 2, MARGIN + 8, 0.5, t->m->title);
    v->cairo->set_font_size(v->c, 12);
    tool_canvas_text(v, t->left + t->side / 2, t->height - MARGIN + 6, 0.5, "answer");
    v->cairo->save(v->c);
    v->cairo->translate(v->c, MARGIN, t->top + t->side / 2);
    v->cairo->rotate(v->c, -PI / 2);
    tool_canvas_text(v, 0, 0, 0.5, "label");
    v->cairo->restore(v->c);
}

/* What the colours mean, from 0 % at the foot to 100 %. */
static void draw_scale(const struct tool_canvas *v, const struct table *t)
{
    double x = t->left + t->side + SCALE_GAP;
    char text[16];
    for (int i = 99; i >= 0; i--) { /* each strip down to the foot, so that there are no seams */
        colour(v, (i + 0.5) / 100);
        v->cairo->rectangle(v->c, x, t->top + t->side * (99 - i) / 100, SCALE_WIDTH, t->side * (i + 1) / 100);
        v->cairo->fill(v->c);
    }
    ink(v);
    v->cairo->set_font_size(v->c, FONT);
    for (int percent = 0; percent <= 100; percent += 25) {
        snprintf(text, sizeof text, "%d %%", percent);
        tool_canvas_text(v, x + SCALE_WIDTH + 6, t->top + t->side * (100 - percent) / 100 + 4, 0, text);
    }
    tool_canvas_text(v, x + SCALE_WIDTH + SCALE_LABELS - 8, t->top - 12, 1, "of the label");
}

static void draw(const struct tool_canvas *v, const void *arg)
{
    const struct table *t = arg;
    for (int i = 0; i < t->m->classes; i++) draw_row(v, t, i);
    draw_grid(v, t);
    draw_names(v, t);
    draw_titles(v, t);
    draw_scale(v, t);
}

rn_status tool_plot_confusion(const char *path, const struct tool_confusion *confusion)
{
    if (confusion->classes > TOOL_CONFUSION_CLASSES)
        return rn_fail(RN_EUSAGE, "%s: %d classes, a confusion matrix is drawn of at most %d", path,
                       confusion->classes, TOOL_CONFUSION_CLASSES);
    const struct table t = lay_out(confusion);
    return tool_canvas_write(path, t.width, t.height, draw, &t);
}
