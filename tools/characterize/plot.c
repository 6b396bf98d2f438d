/*
 * plot.c - the roofline of a machine with the fused operations of a net on it: operations a second over
 * operations a byte, both logarithmic.  A filled mark is bound by arithmetic, a hollow one by memory.
 */
#include "tools/characterize/characterize.h"

#include "tools/plot/canvas.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 860.0
#define HEIGHT 560.0
#define LEFT 90.0
#define RIGHT 40.0
#define TOP 60.0
#define BOTTOM 70.0

/* Ends of the axes as powers of ten. */
struct axes { double x0, x1, y0, y1; };

static double place_x(const struct axes *a, double x)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (log10(x) - a->x0) / (a->x1 - a->x0);
}

static double place_y(const struct axes *a, double y)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(y) - a->y0) / (a->y1 - a->y0);
}

/* Of group i: operations a byte, and operations a second. */
static void point(double xy[2], const struct characterize *c, int i)
{
    const struct rn_group *g = &c->groups.row[i];
    const double flops = (double)c->batch * (double)g->flops, size = rn_precision_bytes(c->precision);
    xy[0] = flops / (size * rn_group_values(g, c->batch));
    xy[1] = flops / c->projection.row[i].seconds;
}

static struct axes axes_of(const struct characterize *c, double peak, double bandwidth)
{
    const double ridge = peak / bandwidth;
    double x[2] = { ridge, ridge }, y[2] = { peak, peak }, xy[2];
    for (int i = 0; i < c->groups.rows; i++) {
        point(xy, c, i);
        x[0] = fmin(x[0], xy[0]);
        x[1] = fmax(x[1], xy[0]);
        y[0] = fmin(y[0], xy[1]);
        y[1] = fmax(y[1], xy[1]);
    }
    return (struct axes){ floor(log10(x[0])), ceil(log10(x[1])), floor(log10(y[0])), ceil(log10(1.1 * y[1])) };
}

static void draw_axes(const struct tool_canvas *v, const struct axes *a)
{
    char number[RN_NUMBER_CHARS];
    v->cairo->set_font_size(v->c, 11);
    v->cairo->set_line_width(v->c, 1);
    for (double e = a->x0; e <= a->x1; e++) {
        const double x = place_x(a, pow(10, e));
        v->cairo->set_source_rgb(v->c, 0.86, 0.86, 0.86);
        tool_canvas_line(v, x, TOP, x, HEIGHT - BOTTOM);
        v->cairo->set_source_rgb(v->c, 0.2, 0.2, 0.2);
        tool_canvas_text(v, x, HEIGHT - BOTTOM + 18, 0.5, rn_number_text(number, pow(10, e)));
    }
    for (double e = a->y0; e <= a->y1; e++) {
        const double y = place_y(a, pow(10, e));
        v->cairo->set_source_rgb(v->c, 0.86, 0.86, 0.86);
        tool_canvas_line(v, LEFT, y, WIDTH - RIGHT, y);
        v->cairo->set_source_rgb(v->c, 0.2, 0.2, 0.2);
        tool_canvas_text(v, LEFT - 8, y + 4, 1, rn_number_text(number, pow(10, e - 9)));
    }
    tool_canvas_text(v, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 24, 0.5, "operations a byte");
    tool_canvas_text(v, LEFT - 60, TOP - 14, 0, "GFLOP/s");
}

/* What the peak and main memory's bandwidth allow. */
static void draw_roof(const struct tool_canvas *v, const struct axes *a, double peak, double bandwidth)
{
    const double left = pow(10, a->x0), ridge = peak / bandwidth, bottom = pow(10, a->y0);
    const double from = fmax(left, bottom / bandwidth);
    v->cairo->set_source_rgb(v->c, 0.12, 0.40, 0.70);
    v->cairo->set_line_width(v->c, 2);
    tool_canvas_line(v, place_x(a, from), place_y(a, from * bandwidth), place_x(a, ridge), place_y(a, peak));
    tool_canvas_line(v, place_x(a, ridge), place_y(a, peak), WIDTH - RIGHT, place_y(a, peak));
}

static void draw_roofline(const struct tool_canvas *v, const void *arg)
{
    const struct characterize *c = arg;
    const double peak = c->hardware.value[RN_HW_PEAK + (int)c->precision];
    const double bandwidth = c->hardware.value[RN_HW_BANDWIDTH];
    const struct axes a = axes_of(c, peak, bandwidth);
    char title[200];
    double xy[2];
    draw_axes(v, &a);
    draw_roof(v, &a, peak, bandwidth);
    v->cairo->set_source_rgb(v->c, 0.85, 0.45, 0.10);
    v->cairo->set_line_width(v->c, 1.5);
    for (int i = 0; i < c->groups.rows; i++) {
        point(xy, c, i);
        v->cairo->arc(v->c, place_x(&a, xy[0]), place_y(&a, xy[1]), 4, 0, 6.2831853);
        if (c->projection.row[i].bound == RN_BOUND_COMPUTE) v->cairo->fill(v->c);
        else v->cairo->stroke(v->c);
    }
    v->cairo->set_source_rgb(v->c, 0.2, 0.2, 0.2);
    v->cairo->set_font_size(v->c, 13);
    snprintf(title, sizeof title, "%s on %s, %s, batch %d: projection", c->config.arch.name, c->hardware.name,
             rn_precision_name(c->precision), c->batch);
    tool_canvas_text(v, (LEFT + WIDTH - RIGHT) / 2, TOP - 30, 0.5, title);
}

rn_status characterize_plot(const char *path, const struct characterize *c)
{
    if (!c->projection.row)
        return rn_fail(RN_EUSAGE, "--plot: there is no roofline without the key %s, nor with --model seed",
                       rn_hardware_key_name(c->projection.missing_seconds < 0 ? RN_HW_BANDWIDTH
                                                                              : c->projection.missing_seconds));
    return tool_canvas_write(path, WIDTH, HEIGHT, draw_roofline, c);
}
