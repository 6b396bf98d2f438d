/*
 * canvas.h - a page that cairo draws on, for the plots of plot.h.  cairo is loaded when the first one is asked
 * for: a program that draws nothing neither needs it nor pays for it, and no build depends on it.
 */
#ifndef RN_PLOT_CANVAS_H
#define RN_PLOT_CANVAS_H

#include "base/base.h"

typedef int tool_write_fn(void *closure, const unsigned char *data, unsigned bytes);
struct tool_extents { double x_bearing, y_bearing, width, height, x_advance, y_advance; };

/* What is used of cairo 1.2 and later: result, name without cairo_, parameters. */
#define TOOL_CAIRO(X)                                                                                  \
    X(void *, image_surface_create, (int format, int width, int height))                              \
    X(void *, svg_surface_create_for_stream, (tool_write_fn *f, void *arg, double width, double height))   \
    X(int, surface_write_to_png_stream, (void *surface, tool_write_fn *f, void *arg))                      \
    X(void, surface_finish, (void *surface))                                                          \
    X(void, surface_destroy, (void *surface))                                                         \
    X(int, surface_status, (void *surface))                                                           \
    X(void *, create, (void *surface))                                                                \
    X(void, destroy, (void *c))                                                                       \
    X(int, status, (void *c))                                                                         \
    X(void, set_source_rgb, (void *c, double r, double g, double b))                                  \
    X(void, set_line_width, (void *c, double width))                                                  \
    X(void, save, (void *c))                                                                          \
    X(void, restore, (void *c))                                                                       \
    X(void, translate, (void *c, double x, double y))                                                 \
    X(void, rotate, (void *c, double angle))                                                          \
    X(void, rectangle, (void *c, double x, double y, double width, double height))                    \
    X(void, set_dash, (void *c, const double *dash, int count, double offset))                        \
    X(void, paint, (void *c))                                                                         \
    X(void, move_to, (void *c, double x, double y))                                                   \
    X(void, line_to, (void *c, double x, double y))                                                   \
    X(void, arc, (void *c, double x, double y, double radius, double from, double to))                \
    X(void, stroke, (void *c))                                                                        \
    X(void, fill, (void *c))                                                                          \
    X(void, select_font_face, (void *c, const char *family, int slant, int weight))                   \
    X(void, set_font_size, (void *c, double size))                                                    \
    X(void, text_extents, (void *c, const char *utf8, struct tool_extents *e))                             \
    X(void, show_text, (void *c, const char *utf8))

struct tool_cairo {
#define TOOL_CAIRO_MEMBER(result, name, parameters) result(*name) parameters;
    TOOL_CAIRO(TOOL_CAIRO_MEMBER)
#undef TOOL_CAIRO_MEMBER
};

struct tool_canvas { const struct tool_cairo *cairo; void *c; };
typedef void tool_draw_fn(const struct tool_canvas *canvas, const void *arg);

/* A white page of width x height, drawn on by draw(canvas, arg) and written whole or not at all; the form is
 * the name's ending.  What tool_plot_check refuses is refused here, too. */
rn_status tool_canvas_write(const char *path, double width, double height, tool_draw_fn *draw, const void *arg);

/* Text whose `align` (0 left, 0.5 middle, 1 right end) is at x. */
void tool_canvas_text(const struct tool_canvas *canvas, double x, double y, double align, const char *s);
double tool_canvas_text_width(const struct tool_canvas *canvas, const char *s);
void tool_canvas_line(const struct tool_canvas *canvas, double x0, double y0, double x1, double y1);

/* The smallest of 1, 2 and 5 times a power of ten with at most `most` steps up to span; and k such steps, as
 * the number nearest to their sum in decimals. */
double tool_axis_step(double span, int most);
double tool_axis_tick(double step, double k);

#endif /* RN_PLOT_CANVAS_H */
