/*
 * run.c - the curves of a run: loss and accuracy side by side, the learning rate under them.  Everything
 * comes from results.csv, so that a resumed run shows all its epochs; times do not enter.
 */
#include "tools/plot/plot.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tools/plot/canvas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 1200.0
#define HEIGHT 800.0
#define TABLE_LIMIT ((size_t)64 << 20) /* bytes of results.csv */
#define TITLE 81                       /* bytes of it that are shown, and one */
#define DOTS 40                        /* up to so many epochs each has a dot */
#define LARGEST 1e30                   /* numbers beyond are not drawn; none below its inverse is told from 0 */
#define PI 3.14159265358979323846

enum { EPOCH, TRAIN_LOSS, TRAIN_ACC, VAL_LOSS, VAL_ACC, RATE, COLUMNS };
static const char head[] = "epoch,train_loss,train_acc,val_loss,val_acc,lr,";

struct table {
    double *cell; /* [rows][COLUMNS]; NaN where there is nothing to draw */
    int rows;
    int best; /* the row whose validation was best, the first of several; -1: none */
};

struct page { const char *title, *subtitle; const struct table *table; };

struct colour { double r, g, b; };
struct curve { const char *name; int column; struct colour colour; };
struct panel {
    double x, y, width, height; /* the rectangle of its axes */
    const char *y_title;
    struct curve curve[2];
    int curves, ticks; /* ticks: at most so many steps between numbers under it */
    bool from_zero;
};

#define TRAINING { 0.12, 0.40, 0.70 }
#define VALIDATION { 0.85, 0.45, 0.10 }
static const struct panel panel[] = {
    { 84, 122, 490, 370, "loss (mean over images)",
      { { "training", TRAIN_LOSS, TRAINING }, { "validation", VAL_LOSS, VALIDATION } }, 2, 10, false },
    { 684, 122, 490, 370, "accuracy (%)",
      { { "training", TRAIN_ACC, TRAINING }, { "validation", VAL_ACC, VALIDATION } }, 2, 10, false },
    { 84, 588, 1090, 150, "learning rate", { { "at the end of the epoch", RATE, { 0.20, 0.55, 0.30 } } }, 1, 20, true },
};

/* -- the table ------------------------------------------------------------------------------------- */

/* The first COLUMNS numbers of a line, whose commas become ends of strings. */
static bool read_line(double *cell, char *line)
{
    for (int i = 0; i < COLUMNS; i++) {
        char *comma = strchr(line, ',');
        if (!comma) return false;
        *comma = '\0';
        if (!rn_parse_double(&cell[i], line) || fabs(cell[i]) > LARGEST) cell[i] = NAN; /* "nan", "inf" */
        if (fabs(cell[i]) < 1 / LARGEST) cell[i] = 0;
        line = comma + 1;
    }
    return cell[EPOCH] >= 1 && cell[EPOCH] <= INT32_MAX;
}

static rn_status read_lines(struct table *t, char *text, const char *path)
{
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++) lines++;
    if (strncmp(text, head, sizeof head - 1)) return rn_fail(RN_EINPUT, "%s: its first line is not %s...", path, head);
    if (!(t->cell = rn_alloc_array(lines, COLUMNS * sizeof *t->cell))) return RN_ENOMEM;
    for (char *line = strchr(text, '\n'), *end; line && (end = strchr(++line, '\n')); line = end) {
        double *cell = t->cell + t->rows * COLUMNS, previous = t->rows ? cell[EPOCH - COLUMNS] : 0;
        *end = '\0';
        if (!read_line(cell, line) || cell[EPOCH] <= previous)
            return rn_fail(RN_EINPUT, "%s: line %d is not that of an epoch", path, t->rows + 2);
        if (cell[VAL_ACC] >= 0 && (t->best < 0 || cell[VAL_ACC] > t->cell[t->best * COLUMNS + VAL_ACC]))
            t->best = t->rows;
        t->rows++;
    }
    return RN_OK;
}

static rn_status read_table(struct table *t, const char *path)
{
    unsigned char *text = NULL;
    size_t bytes;
    *t = (struct table){ .best = -1 };
    rn_status status = rn_file_read(&text, &bytes, path, TABLE_LIMIT);
    if (!status) status = read_lines(t, (char *)text, path);
    rn_free(text);
    return status;
}

static double at(const struct table *t, int row, int column) { return t->cell[row * COLUMNS + column]; }

/* -- axes ------------------------------------------------------------------------------------------ */

struct pen {
    const struct tool_canvas *canvas;
    const struct panel *panel;
    const struct table *table;
    double left, right;       /* epochs at the ends of the axis */
    double low, high, y_step; /* likewise of y */
};

static double place_x(const struct pen *p, double epoch)
{
    return p->panel->x + p->panel->width * (epoch - p->left) / (p->right - p->left);
}

static double place_y(const struct pen *p, double y)
{
    return p->panel->y + p->panel->height * (p->high - y) / (p->high - p->low);
}

static double first_epoch(const struct table *t) { return t->rows ? at(t, 0, EPOCH) : 1; }
static double last_epoch(const struct table *t) { return t->rows ? at(t, t->rows - 1, EPOCH) : 1; }

/* Both axes just hold the curves; that of y begins and ends at a tick. */
static void set_scales(struct pen *p)
{
    const struct table *t = p->table;
    bool from_zero = p->panel->from_zero || t->rows < 2;
    double low = from_zero ? 0 : INFINITY, high = from_zero ? 0 : -INFINITY;
    double margin = RN_MAX(0.02 * (last_epoch(t) - first_epoch(t)), 0.25);
    p->left = first_epoch(t) - margin;
    p->right = last_epoch(t) + margin;
    for (int k = 0; k < p->panel->curves; k++) {
        for (int i = 0; i < t->rows; i++) {
            double y = at(t, i, p->panel->curve[k].column);
            if (y < low) low = y;
            if (y > high) high = y;
        }
    }
    if (!(low <= high)) low = 0, high = 1;
    double size = RN_MAX(fabs(low), fabs(high)), span = high - low > 1e-9 * size ? high - low : size;
    p->y_step = tool_axis_step(span, p->panel->height > 200 ? 6 : 4);
    low = floor(low / p->y_step);
    high = ceil(high / p->y_step);
    p->low = tool_axis_tick(p->y_step, low);
    p->high = tool_axis_tick(p->y_step, high > low ? high : low + 1);
}

static void colour(const struct tool_canvas *v, struct colour c) { v->cairo->set_source_rgb(v->c, c.r, c.g, c.b); }
static void ink(const struct tool_canvas *v) { colour(v, (struct colour){ 0.15, 0.15, 0.15 }); }
static void grid(const struct tool_canvas *v) { colour(v, (struct colour){ 0.87, 0.87, 0.87 }); }

static void draw_y_axis(const struct pen *p)
{
    const struct tool_canvas *v = p->canvas;
    const struct panel *a = p->panel;
    char number[RN_NUMBER_CHARS];
    for (double k = rint(p->low / p->y_step); k <= rint(p->high / p->y_step); k++) {
        double tick = tool_axis_tick(p->y_step, k), y = place_y(p, tick);
        grid(v);
        tool_canvas_line(v, a->x, y, a->x + a->width, y);
        ink(v);
        tool_canvas_text(v, a->x - 8, y + 4, 1, rn_number_text(number, tick));
    }
    v->cairo->save(v->c);
    v->cairo->translate(v->c, a->x - 62, a->y + a->height / 2);
    v->cairo->rotate(v->c, -PI / 2);
    tool_canvas_text(v, 0, 0, 0.5, a->y_title);
    v->cairo->restore(v->c);
}

static void draw_epoch_number(const struct pen *p, double epoch)
{
    const struct tool_canvas *v = p->canvas;
    double x = place_x(p, epoch), foot = p->panel->y + p->panel->height;
    char number[RN_NUMBER_CHARS];
    ink(v);
    tool_canvas_line(v, x, foot, x, foot + 5);
    tool_canvas_text(v, x, foot + 19, 0.5, rn_number_text(number, epoch));
}

/* Whole epochs: round ones, and the first unless a round one stands too near. */
static void draw_x_axis(const struct pen *p)
{
    const struct tool_canvas *v = p->canvas;
    const struct panel *a = p->panel;
    double first = first_epoch(p->table), last = last_epoch(p->table);
    double step = RN_MAX(tool_axis_step(last - first, a->ticks), 1), round = ceil(first / step) * step;
    if (p->table->rows && (round > last || round - first >= 0.4 * step)) draw_epoch_number(p, first);
    for (; p->table->rows && round <= last; round += step) draw_epoch_number(p, round);
    ink(v);
    tool_canvas_line(v, a->x, a->y, a->x, a->y + a->height);
    tool_canvas_line(v, a->x, a->y + a->height, a->x + a->width, a->y + a->height);
    tool_canvas_text(v, a->x + a->width / 2, a->y + a->height + 40, 0.5, "epoch");
}

/* -- curves ---------------------------------------------------------------------------------------- */

static void draw_dot(const struct tool_canvas *v, double x, double y, double radius)
{
    v->cairo->arc(v->c, x, y, radius, 0, 2 * PI);
    v->cairo->fill(v->c);
}

/* A line through the numbers that there are; dots where it is short. */
static void draw_curve(const struct pen *p, const struct curve *curve)
{
    const struct tool_canvas *v = p->canvas;
    const struct table *t = p->table;
    bool pen_down = false;
    colour(v, curve->colour);
    v->cairo->set_line_width(v->c, 2);
    for (int i = 0; i < t->rows; i++) {
        double x = place_x(p, at(t, i, EPOCH)), y = at(t, i, curve->column);
        if (pen_down && !isnan(y)) v->cairo->line_to(v->c, x, place_y(p, y));
        else if (!isnan(y)) v->cairo->move_to(v->c, x, place_y(p, y));
        pen_down = !isnan(y);
    }
    v->cairo->stroke(v->c);
    for (int i = 0; i < t->rows && t->rows <= DOTS; i++) {
        double y = at(t, i, curve->column);
        if (!isnan(y)) draw_dot(v, place_x(p, at(t, i, EPOCH)), place_y(p, y), 3.5);
    }
}

static void dashed_line(const struct tool_canvas *v, double x0, double y0, double x1, double y1)
{
    static const double dash[] = { 5, 4 };
    colour(v, (struct colour){ 0.45, 0.45, 0.45 });
    v->cairo->set_line_width(v->c, 1.5);
    v->cairo->set_dash(v->c, dash, 2, 0);
    tool_canvas_line(v, x0, y0, x1, y1);
    v->cairo->set_dash(v->c, dash, 0, 0);
}

/* What the best epoch is called in the legend; where accuracy is drawn, with it. */
static void best_text(char *out, size_t size, const struct pen *p)
{
    char epoch[RN_NUMBER_CHARS], accuracy[RN_NUMBER_CHARS];
    const struct table *t = p->table;
    rn_number_text(epoch, at(t, t->best, EPOCH));
    rn_fixed_text(accuracy, at(t, t->best, VAL_ACC), 2);
    if (p->panel->curve[0].column == TRAIN_ACC) snprintf(out, size, "best: epoch %s, %s %%", epoch, accuracy);
    else snprintf(out, size, "best: epoch %s", epoch);
}

/* Over the axes, from the left: a sample of each line, and its name. */
static void draw_legend(const struct pen *p)
{
    const struct tool_canvas *v = p->canvas;
    double x = p->panel->x, y = p->panel->y - 14;
    char text[2 * RN_NUMBER_CHARS + 32];
    for (int k = 0; k < p->panel->curves; k++) {
        const struct curve *curve = &p->panel->curve[k];
        colour(v, curve->colour);
        v->cairo->set_line_width(v->c, 2);
        tool_canvas_line(v, x, y - 4, x + 28, y - 4);
        draw_dot(v, x + 14, y - 4, 3.5);
        ink(v);
        tool_canvas_text(v, x + 35, y, 0, curve->name);
        x += 35 + tool_canvas_text_width(v, curve->name) + 24;
    }
    if (p->table->best < 0) return;
    best_text(text, sizeof text, p);
    dashed_line(v, x, y - 4, x + 28, y - 4);
    ink(v);
    tool_canvas_text(v, x + 35, y, 0, text);
}

static void draw_panel(const struct tool_canvas *v, const struct panel *a, const struct table *t)
{
    struct pen pen = { .canvas = v, .panel = a, .table = t };
    set_scales(&pen);
    v->cairo->set_line_width(v->c, 1);
    draw_y_axis(&pen);
    draw_x_axis(&pen);
    if (t->best >= 0) {
        double x = place_x(&pen, at(t, t->best, EPOCH));
        dashed_line(v, x, a->y, x, a->y + a->height);
    }
    for (int k = 0; k < a->curves; k++) draw_curve(&pen, &a->curve[k]);
    draw_legend(&pen);
    if (!t->rows) tool_canvas_text(v, a->x + a->width / 2, a->y + a->height / 2, 0.5, "no epoch has ended yet");
}

/* -- the page -------------------------------------------------------------------------------------- */

static void draw_page(const struct tool_canvas *v, const void *arg)
{
    const struct page *page = arg;
    ink(v);
    v->cairo->set_font_size(v->c, 22);
    tool_canvas_text(v, WIDTH / 2, 38, 0.5, page->title);
    v->cairo->set_font_size(v->c, 14);
    tool_canvas_text(v, WIDTH / 2, 64, 0.5, page->subtitle);
    v->cairo->set_font_size(v->c, 13);
    for (size_t i = 0; i < RN_COUNT(panel); i++) draw_panel(v, &panel[i], page->table);
}

rn_status tool_plot_run(const char *folder, const char *title, const char *subtitle)
{
    char *csv = rn_path_join(folder, "results.csv"), *png = rn_path_join(folder, "curves.png");
    char shown[TITLE];
    struct table table = { 0 };
    const struct page page = { rn_printable(shown, sizeof shown, title, strlen(title)), subtitle, &table };
    rn_status status = csv && png ? read_table(&table, csv) : RN_ENOMEM;
    if (!status) status = tool_canvas_write(png, WIDTH, HEIGHT, draw_page, &page);
    rn_free(table.cell);
    rn_free(csv);
    rn_free(png);
    return status;
}
