/* plot.c - line charts on a canvas. */
#include "tools/plot/plot.h"

#include "base/text.h"
#include "tools/plot/canvas.h"

#include <math.h>

#define WIDTH 460.0  /* of a chart, in pixels */
#define HEIGHT 340.0
#define LEFT 72.0    /* margins around the axes */
#define RIGHT 18.0
#define TOP 62.0
#define BOTTOM 56.0

struct pen {
    const struct tool_canvas *canvas;
    double x, y, width, height;  /* the rectangle of the axes */
    double low, high, top;       /* log2 of the smallest and largest x; the largest y */
};

static double place_x(const struct pen *p, double x)
{
    return p->x + p->width * (p->high > p->low ? (log2(x) - p->low) / (p->high - p->low) : 0.5);
}

static double place_y(const struct pen *p, double y) { return p->y + p->height * (1 - y / p->top); }

/* Sets the scales and draws axes, grid and titles. */
static void draw_axes(struct pen *p, const struct tool_chart *chart)
{
    const struct tool_canvas *v = p->canvas;
    const struct tool_curve *first = &chart->curve[0];
    char number[RN_NUMBER_CHARS];
    double most = 0, step;
    for (int k = 0; k < chart->curves; k++)
        for (int i = 0; i < chart->curve[k].count; i++) most = RN_MAX(most, chart->curve[k].y[i]);
    step = tool_axis_step(most, 5);
    p->top = step * RN_MAX(ceil(most / step), 1);
    p->low = log2(first->x[0]);
    p->high = log2(first->x[first->count - 1]);
    v->cairo->set_font_size(v->c, 11);
    v->cairo->set_line_width(v->c, 1);
    for (int i = 0; i * step < p->top + step / 2; i++) {
        v->cairo->set_source_rgb(v->c, 0.86, 0.86, 0.86);
        tool_canvas_line(v, p->x, place_y(p, i * step), p->x + p->width, place_y(p, i * step));
        v->cairo->set_source_rgb(v->c, 0.2, 0.2, 0.2);
        tool_canvas_text(v, p->x - 6, place_y(p, i * step) + 4, 1, rn_number_text(number, tool_axis_tick(step, i)));
    }
    for (int i = 0; i < first->count; i++)
        tool_canvas_text(v, place_x(p, first->x[i]), p->y + p->height + 16, 0.5,
                         rn_number_text(number, first->x[i]));
    tool_canvas_text(v, p->x + p->width / 2, p->y + p->height + 36, 0.5, chart->x_title);
    tool_canvas_text(v, p->x - LEFT + 8, p->y - 10, 0, chart->y_title);
    v->cairo->set_font_size(v->c, 13);
    tool_canvas_text(v, p->x + p->width / 2, p->y - 42, 0.5, chart->title);
}

static void draw_curve(const struct pen *p, const struct tool_curve *curve, int place)
{
    const struct tool_canvas *v = p->canvas;
    static const double color[][3] = { { 0.12, 0.40, 0.70 }, { 0.85, 0.45, 0.10 }, { 0.20, 0.60, 0.30 },
                                       { 0.60, 0.25, 0.60 } };
    const double *rgb = color[place % (int)RN_COUNT(color)];
    v->cairo->set_source_rgb(v->c, rgb[0], rgb[1], rgb[2]);
    v->cairo->set_line_width(v->c, 2);
    v->cairo->move_to(v->c, place_x(p, curve->x[0]), place_y(p, curve->y[0]));
    for (int i = 1; i < curve->count; i++)
        v->cairo->line_to(v->c, place_x(p, curve->x[i]), place_y(p, curve->y[i]));
    v->cairo->stroke(v->c);
    for (int i = 0; i < curve->count; i++) {
        v->cairo->arc(v->c, place_x(p, curve->x[i]), place_y(p, curve->y[i]), 3, 0, 6.2831853);
        v->cairo->fill(v->c);
    }
    v->cairo->set_font_size(v->c, 11);
    tool_canvas_text(v, p->x + p->width, p->y - 22 + 14 * place, 1, curve->name);
}

static void draw_chart(struct pen *p, const struct tool_chart *chart)
{
    const struct tool_canvas *v = p->canvas;
    static const double dash[] = { 4, 4 };
    draw_axes(p, chart);
    if (chart->mark > 0) {
        v->cairo->set_source_rgb(v->c, 0.5, 0.5, 0.5);
        v->cairo->set_dash(v->c, dash, 2, 0);
        tool_canvas_line(v, place_x(p, chart->mark), p->y, place_x(p, chart->mark), p->y + p->height);
        v->cairo->set_dash(v->c, dash, 0, 0);
    }
    for (int k = 0; k < chart->curves; k++) draw_curve(p, &chart->curve[k], k);
}

/* -- the page ------------------------------------------------------------------------------------- */

struct page { const struct tool_chart *chart; int charts; };

static void draw_page(const struct tool_canvas *canvas, const void *arg)
{
    const struct page *page = arg;
    for (int i = 0; i < page->charts; i++) {
        struct pen pen = { .canvas = canvas, .x = WIDTH * i + LEFT, .y = TOP, .top = 1,
                           .width = WIDTH - LEFT - RIGHT, .height = HEIGHT - TOP - BOTTOM };
        draw_chart(&pen, &page->chart[i]);
    }
}

rn_status tool_plot_write(const char *path, const struct tool_chart *chart, int charts)
{
    const struct page page = { chart, charts };
    return tool_canvas_write(path, WIDTH * charts, HEIGHT, draw_page, &page);
}
