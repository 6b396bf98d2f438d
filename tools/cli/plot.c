/*
 * plot.c - line charts by cairo, which is loaded when the first chart is asked for: a program that draws
 * nothing neither needs it nor pays for it, and no build depends on it.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/cli/plot.h"

#include "base/file.h"
#include "base/text.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

#define WIDTH 460.0  /* of a chart, in pixels */
#define HEIGHT 340.0
#define LEFT 72.0    /* margins around the axes */
#define RIGHT 18.0
#define TOP 62.0
#define BOTTOM 56.0
#define WRITE_ERROR 11 /* CAIRO_STATUS_WRITE_ERROR */

typedef int write_fn(void *closure, const unsigned char *data, unsigned bytes);
struct extents { double x_bearing, y_bearing, width, height, x_advance, y_advance; };

/* What is used of cairo 1.2 and later: result, name without cairo_, parameters. */
#define FUNCTIONS(X)                                                                                  \
    X(void *, image_surface_create, (int format, int width, int height))                              \
    X(void *, svg_surface_create_for_stream, (write_fn *f, void *arg, double width, double height))   \
    X(int, surface_write_to_png_stream, (void *surface, write_fn *f, void *arg))                      \
    X(void, surface_finish, (void *surface))                                                          \
    X(void, surface_destroy, (void *surface))                                                         \
    X(int, surface_status, (void *surface))                                                           \
    X(void *, create, (void *surface))                                                                \
    X(void, destroy, (void *c))                                                                       \
    X(int, status, (void *c))                                                                         \
    X(void, set_source_rgb, (void *c, double r, double g, double b))                                  \
    X(void, set_line_width, (void *c, double width))                                                  \
    X(void, set_dash, (void *c, const double *dash, int count, double offset))                        \
    X(void, paint, (void *c))                                                                         \
    X(void, move_to, (void *c, double x, double y))                                                   \
    X(void, line_to, (void *c, double x, double y))                                                   \
    X(void, arc, (void *c, double x, double y, double radius, double from, double to))                \
    X(void, stroke, (void *c))                                                                        \
    X(void, fill, (void *c))                                                                          \
    X(void, select_font_face, (void *c, const char *family, int slant, int weight))                   \
    X(void, set_font_size, (void *c, double size))                                                    \
    X(void, text_extents, (void *c, const char *utf8, struct extents *e))                             \
    X(void, show_text, (void *c, const char *utf8))

struct cairo {
#define MEMBER(result, name, parameters) result(*name) parameters;
    FUNCTIONS(MEMBER)
#undef MEMBER
};

/* False where there is none.  It stays loaded, for its libraries do not give back what they allocate. */
static bool load(struct cairo *cairo)
{
    static const char *const names[] = { "libcairo.so.2", "libcairo.2.dylib", "libcairo.so" };
    void *library = NULL, *symbol;
    for (size_t i = 0; i < RN_COUNT(names) && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define FIND(result, name, parameters)                                                \
    if (!(symbol = dlsym(library, "cairo_" #name))) return false;                     \
    memcpy(&cairo->name, &symbol, sizeof symbol);
    FUNCTIONS(FIND)
#undef FIND
    return true;
}

bool tool_plot_available(void)
{
    struct cairo cairo;
    return load(&cairo);
}

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n > m && !strcmp(path + n - m, end);
}

rn_status tool_plot_check(const char *path)
{
    if (!ends_in(path, ".png") && !ends_in(path, ".svg"))
        return rn_fail(RN_EUSAGE, "%s: a plot's name ends in .png or .svg", path);
    if (!tool_plot_available())
        return rn_fail(RN_EUSAGE, "%s: plots need cairo; install libcairo2 (Debian, Ubuntu) or cairo (others)",
                       path);
    return RN_OK;
}

/* -- one chart ------------------------------------------------------------------------------------ */

struct pen {
    const struct cairo *cairo;
    void *c;
    double x, y, width, height;  /* the rectangle of the axes */
    double low, high, top;       /* log2 of the smallest and largest x; the largest y */
};

static double place_x(const struct pen *p, double x)
{
    return p->x + p->width * (p->high > p->low ? (log2(x) - p->low) / (p->high - p->low) : 0.5);
}

static double place_y(const struct pen *p, double y) { return p->y + p->height * (1 - y / p->top); }

/* Text whose `align` (0 left, 0.5 middle, 1 right end) is at x. */
static void text(const struct pen *p, double x, double y, double align, const char *s)
{
    struct extents e;
    p->cairo->text_extents(p->c, s, &e);
    p->cairo->move_to(p->c, x - align * e.x_advance, y);
    p->cairo->show_text(p->c, s);
}

static void line(const struct pen *p, double x0, double y0, double x1, double y1)
{
    p->cairo->move_to(p->c, x0, y0);
    p->cairo->line_to(p->c, x1, y1);
    p->cairo->stroke(p->c);
}

/* The smallest of 1, 2 and 5 times a power of ten with at most five steps up to y. */
static double step_for(double y)
{
    double unit = pow(10, floor(log10(y > 0 ? y / 5 : 1)));
    return 5 * unit >= y ? unit : 10 * unit >= y ? 2 * unit : 25 * unit >= y ? 5 * unit : 10 * unit;
}

/* Sets the scales and draws axes, grid and titles. */
static void draw_axes(struct pen *p, const struct tool_chart *chart)
{
    const struct tool_curve *first = &chart->curve[0];
    char number[RN_NUMBER_CHARS];
    double most = 0, step;
    for (int k = 0; k < chart->curves; k++)
        for (int i = 0; i < chart->curve[k].count; i++) most = RN_MAX(most, chart->curve[k].y[i]);
    step = step_for(most);
    p->top = step * RN_MAX(ceil(most / step), 1);
    p->low = log2(first->x[0]);
    p->high = log2(first->x[first->count - 1]);
    p->cairo->set_font_size(p->c, 11);
    p->cairo->set_line_width(p->c, 1);
    for (int i = 0; i * step < p->top + step / 2; i++) {
        p->cairo->set_source_rgb(p->c, 0.86, 0.86, 0.86);
        line(p, p->x, place_y(p, i * step), p->x + p->width, place_y(p, i * step));
        p->cairo->set_source_rgb(p->c, 0.2, 0.2, 0.2);
        text(p, p->x - 6, place_y(p, i * step) + 4, 1, rn_number_text(number, i * step));
    }
    for (int i = 0; i < first->count; i++)
        text(p, place_x(p, first->x[i]), p->y + p->height + 16, 0.5, rn_number_text(number, first->x[i]));
    text(p, p->x + p->width / 2, p->y + p->height + 36, 0.5, chart->x_title);
    text(p, p->x - LEFT + 8, p->y - 10, 0, chart->y_title);
    p->cairo->set_font_size(p->c, 13);
    text(p, p->x + p->width / 2, p->y - 42, 0.5, chart->title);
}

static void draw_curve(const struct pen *p, const struct tool_curve *curve, int place)
{
    static const double color[][3] = { { 0.12, 0.40, 0.70 }, { 0.85, 0.45, 0.10 }, { 0.20, 0.60, 0.30 },
                                       { 0.60, 0.25, 0.60 } };
    const double *rgb = color[place % (int)RN_COUNT(color)];
    p->cairo->set_source_rgb(p->c, rgb[0], rgb[1], rgb[2]);
    p->cairo->set_line_width(p->c, 2);
    p->cairo->move_to(p->c, place_x(p, curve->x[0]), place_y(p, curve->y[0]));
    for (int i = 1; i < curve->count; i++)
        p->cairo->line_to(p->c, place_x(p, curve->x[i]), place_y(p, curve->y[i]));
    p->cairo->stroke(p->c);
    for (int i = 0; i < curve->count; i++) {
        p->cairo->arc(p->c, place_x(p, curve->x[i]), place_y(p, curve->y[i]), 3, 0, 6.2831853);
        p->cairo->fill(p->c);
    }
    p->cairo->set_font_size(p->c, 11);
    text(p, p->x + p->width, p->y - 22 + 14 * place, 1, curve->name);
}

static void draw_chart(struct pen *p, const struct tool_chart *chart)
{
    static const double dash[] = { 4, 4 };
    draw_axes(p, chart);
    if (chart->mark > 0) {
        p->cairo->set_source_rgb(p->c, 0.5, 0.5, 0.5);
        p->cairo->set_dash(p->c, dash, 2, 0);
        line(p, place_x(p, chart->mark), p->y, place_x(p, chart->mark), p->y + p->height);
        p->cairo->set_dash(p->c, dash, 0, 0);
    }
    for (int k = 0; k < chart->curves; k++) draw_curve(p, &chart->curve[k], k);
}

/* -- the file ------------------------------------------------------------------------------------- */

static int collect(void *closure, const unsigned char *data, unsigned bytes)
{
    struct rn_text *t = closure;
    rn_text_bytes(t, data, bytes);
    return t->failed ? WRITE_ERROR : 0;
}

/* 0, or cairo's number of what went wrong. */
static int draw(struct rn_text *out, const struct cairo *cairo, bool png, const struct tool_chart *chart,
                int charts)
{
    void *surface = png ? cairo->image_surface_create(0, (int)WIDTH * charts, (int)HEIGHT)
                        : cairo->svg_surface_create_for_stream(collect, out, WIDTH * charts, HEIGHT);
    void *c = cairo->create(surface);
    cairo->set_source_rgb(c, 1, 1, 1);
    cairo->paint(c);
    cairo->select_font_face(c, "sans-serif", 0, 0);
    for (int i = 0; i < charts; i++) {
        struct pen pen = { .cairo = cairo, .c = c, .x = WIDTH * i + LEFT, .y = TOP, .top = 1,
                           .width = WIDTH - LEFT - RIGHT, .height = HEIGHT - TOP - BOTTOM };
        draw_chart(&pen, &chart[i]);
    }
    int failed = cairo->status(c);
    cairo->destroy(c);
    if (!failed && png) failed = cairo->surface_write_to_png_stream(surface, collect, out);
    cairo->surface_finish(surface);
    if (!failed) failed = cairo->surface_status(surface);
    cairo->surface_destroy(surface);
    return failed;
}

rn_status tool_plot_write(const char *path, const struct tool_chart *chart, int charts)
{
    struct cairo cairo;
    struct rn_text out = { 0 };
    rn_status status = tool_plot_check(path);
    if (status) return status;
    int failed = load(&cairo) ? draw(&out, &cairo, ends_in(path, ".png"), chart, charts) : WRITE_ERROR;
    status = rn_text_status(&out);
    if (!status && failed)
        status = rn_fail(RN_EFAIL, "%s: cairo could not draw this (its status %d)", path, failed);
    if (!status) status = rn_file_write(path, out.data, out.length);
    rn_text_free(&out);
    return status;
}
