/* canvas.c - finds cairo, and lets it draw into a file. */
#define _POSIX_C_SOURCE 200809L

#include "tools/plot/canvas.h"

#include "base/file.h"
#include "base/text.h"
#include "tools/plot/plot.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

#define WRITE_ERROR 11 /* CAIRO_STATUS_WRITE_ERROR */

/* fontconfig never gives back what it has read; leak checkers ask this function what is not ours. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig\n"; }

/* False where there is none.  It stays loaded, for its libraries do not give back what they allocate. */
static bool load(struct tool_cairo *cairo)
{
    static const char *const names[] = { "libcairo.so.2", "libcairo.2.dylib", "libcairo.so" };
    void *library = NULL, *symbol;
    for (size_t i = 0; i < RN_COUNT(names) && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define FIND(result, name, parameters)                                                \
    if (!(symbol = dlsym(library, "cairo_" #name))) return false;                     \
    memcpy(&cairo->name, &symbol, sizeof symbol);
    TOOL_CAIRO(FIND)
#undef FIND
    return true;
}

bool tool_plot_available(void)
{
    struct tool_cairo cairo;
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

void tool_canvas_text(const struct tool_canvas *canvas, double x, double y, double align, const char *s)
{
    canvas->cairo->move_to(canvas->c, x - align * tool_canvas_text_width(canvas, s), y);
    canvas->cairo->show_text(canvas->c, s);
}

double tool_canvas_text_width(const struct tool_canvas *canvas, const char *s)
{
    struct tool_extents e;
    canvas->cairo->text_extents(canvas->c, s, &e);
    return e.x_advance;
}

void tool_canvas_line(const struct tool_canvas *canvas, double x0, double y0, double x1, double y1)
{
    canvas->cairo->move_to(canvas->c, x0, y0);
    canvas->cairo->line_to(canvas->c, x1, y1);
    canvas->cairo->stroke(canvas->c);
}

double tool_axis_step(double span, int most)
{
    double unit = pow(10, floor(log10(span > 0 ? span / most : 1))), reach = most * unit;
    return reach >= span ? unit : 2 * reach >= span ? 2 * unit : 5 * reach >= span ? 5 * unit : 10 * unit;
}

/* Below 1 a step's reciprocal is a whole number, and the quotient is rounded once. */
double tool_axis_tick(double step, double k) { return step < 1 ? k / rint(1 / step) : k * step; }

/* -- the file ------------------------------------------------------------------------------------- */

static int collect(void *closure, const unsigned char *data, unsigned bytes)
{
    struct rn_text *t = closure;
    rn_text_bytes(t, data, bytes);
    return t->failed ? WRITE_ERROR : 0;
}

/* 0, or cairo's number of what went wrong. */
static int draw_page(struct rn_text *out, void *surface, bool png, const struct tool_cairo *cairo,
                     tool_draw_fn *draw, const void *arg)
{
    const struct tool_canvas canvas = { cairo, cairo->create(surface) };
    cairo->set_source_rgb(canvas.c, 1, 1, 1);
    cairo->paint(canvas.c);
    cairo->select_font_face(canvas.c, "sans-serif", 0, 0);
    draw(&canvas, arg);
    int failed = cairo->status(canvas.c);
    cairo->destroy(canvas.c);
    if (!failed && png) failed = cairo->surface_write_to_png_stream(surface, collect, out);
    cairo->surface_finish(surface);
    if (!failed) failed = cairo->surface_status(surface);
    cairo->surface_destroy(surface);
    return failed;
}

rn_status tool_canvas_write(const char *path, double width, double height, tool_draw_fn *draw, const void *arg)
{
    struct tool_cairo cairo;
    struct rn_text out = { 0 };
    rn_status status = tool_plot_check(path);
    if (status) return status;
    bool png = ends_in(path, ".png");
    int failed = WRITE_ERROR;
    if (load(&cairo)) {
        void *surface = png ? cairo.image_surface_create(0, (int)width, (int)height)
                            : cairo.svg_surface_create_for_stream(collect, &out, width, height);
        failed = draw_page(&out, surface, png, &cairo, draw, arg);
    }
    status = rn_text_status(&out);
    if (!status && failed)
        status = rn_fail(RN_EFAIL, "%s: cairo could not draw this (its status %d)", path, failed);
    if (!status) status = rn_file_write(path, out.data, out.length);
    rn_text_free(&out);
    return status;
}
