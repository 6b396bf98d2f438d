/*
 * svg.c - charts as SVG inside the page: lines, bars, a matrix.  Colours are the page's classes, so that
 * they follow its light, dark and printed forms.
 */
#include "tools/report/report.h"

#include "base/mem.h"
#include "tools/plot/canvas.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define WIDTH 460.0
#define HEIGHT 300.0
#define SMALL_WIDTH 330.0
#define SMALL_HEIGHT 210.0
#define SQUARE 330.0
#define LEFT 72.0
#define RIGHT 14.0
#define TOP 12.0
#define FOOT 44.0
#define DOTS 40      /* up to so many points each has a dot */
#define POINTS 2000  /* drawn of a curve at most */
#define LARGEST 1e30 /* numbers beyond are not drawn */

struct frame {
    struct rn_text *t;
    double width, height;           /* of the picture */
    double left, right, low, high;  /* values at the ends of the axes */
    double y_step;
    bool doubling, whole_y;         /* x logarithmic; ticks of y at whole numbers only */
};

static double place_x(const struct frame *f, double x)
{
    double share = f->doubling ? (log2(x) - log2(f->left)) / (log2(f->right) - log2(f->left))
                               : (x - f->left) / (f->right - f->left);
    return LEFT + (f->width - LEFT - RIGHT) * share;
}

static double place_y(const struct frame *f, double y)
{
    return TOP + (f->height - TOP - FOOT) * (f->high - y) / (f->high - f->low);
}

static bool drawn(double x) { return x >= -LARGEST && x <= LARGEST; }

/* -- marks ------------------------------------------------------------------------------------- */

static void add(struct rn_text *t, double x)
{
    char text[RN_NUMBER_CHARS];
    rn_text_add(t, "%s", rn_fixed_text(text, x, 1));
}

/* name="x" */
static void attribute(struct rn_text *t, const char *name, double x)
{
    rn_text_add(t, " %s=\"", name);
    add(t, x);
    rn_text_add(t, "\"");
}

static void line(struct rn_text *t, const char *kind, double x0, double y0, double x1, double y1)
{
    rn_text_add(t, "<line class=\"%s\"", kind);
    attribute(t, "x1", x0);
    attribute(t, "y1", y0);
    attribute(t, "x2", x1);
    attribute(t, "y2", y1);
    rn_text_add(t, "/>");
}

static void words(struct rn_text *t, double x, double y, const char *anchor, const char *text)
{
    rn_text_add(t, "<text class=\"t\" text-anchor=\"%s\"", anchor);
    attribute(t, "x", x);
    attribute(t, "y", y);
    rn_text_add(t, ">");
    report_escape(t, text);
    rn_text_add(t, "</text>");
}

static void box(struct rn_text *t, const char *kind, double x, double y, double width, double height)
{
    rn_text_add(t, "<rect class=\"%s\"", kind);
    attribute(t, "x", x);
    attribute(t, "y", y);
    attribute(t, "width", width);
    attribute(t, "height", height);
    rn_text_add(t, "/>");
}

static void begin(const struct frame *f, const char *name)
{
    rn_text_add(f->t, "<svg role=\"img\" aria-label=\"");
    report_escape(f->t, name);
    rn_text_add(f->t, "\" viewBox=\"0 0 %.0f %.0f\">", f->width, f->height);
}

/* -- axes -------------------------------------------------------------------------------------- */

/* The axis of y begins and ends at a tick. */
static void round_y(struct frame *f)
{
    if (!(f->low <= f->high)) f->low = 0, f->high = 1;
    double size = RN_MAX(fabs(f->low), fabs(f->high)), span = f->high - f->low;
    f->y_step = tool_axis_step(span > 1e-9 * size ? span : size > 0 ? size : 1, 6);
    if (f->whole_y) f->y_step = RN_MAX(f->y_step, 1);
    double low = floor(f->low / f->y_step), high = ceil(f->high / f->y_step);
    f->low = tool_axis_tick(f->y_step, low);
    f->high = tool_axis_tick(f->y_step, high > low ? high : low + 1);
}

static void y_axis(const struct frame *f, const char *title)
{
    char number[RN_NUMBER_CHARS];
    for (double k = rint(f->low / f->y_step); k <= rint(f->high / f->y_step); k++) {
        double tick = tool_axis_tick(f->y_step, k), y = place_y(f, tick);
        line(f->t, "g", LEFT, y, f->width - RIGHT, y);
        words(f->t, LEFT - 7, y + 4, "end", rn_number_text(number, tick));
    }
    double middle = TOP + (f->height - TOP - FOOT) / 2;
    rn_text_add(f->t, "<text class=\"t\" text-anchor=\"middle\" transform=\"translate(13 ");
    add(f->t, middle);
    rn_text_add(f->t, ") rotate(-90)\">");
    report_escape(f->t, title);
    rn_text_add(f->t, "</text>");
}

static void x_number(const struct frame *f, double tick)
{
    char number[RN_NUMBER_CHARS];
    double x = place_x(f, tick), foot = f->height - FOOT;
    line(f->t, "a", x, foot, x, foot + 4);
    words(f->t, x, foot + 17, "middle", rn_number_text(number, tick));
}

static void x_axis(const struct frame *f, const struct report_chart *c)
{
    const struct report_curve *first = &c->curve[0];
    double foot = f->height - FOOT, step = tool_axis_step(f->right - f->left, (int)(f->width / 55));
    line(f->t, "a", LEFT, foot, f->width - RIGHT, foot);
    words(f->t, LEFT + (f->width - LEFT - RIGHT) / 2, f->height - 8, "middle", c->x_title);
    if (c->doubling)
        for (int i = 0; i < first->count; i++) x_number(f, first->x[i]);
    if (c->doubling) return;
    if (c->whole) step = RN_MAX(step, 1);
    for (double k = ceil(f->left / step - 1e-9) + 0.0; k * step <= f->right * (1 + 1e-12); k++)
        if (!c->whole || k >= 1) x_number(f, tool_axis_tick(step, k));
}

/* -- lines ------------------------------------------------------------------------------------- */

static void fit(struct frame *f, const struct report_chart *c)
{
    f->left = f->low = INFINITY;
    f->right = f->high = -INFINITY;
    for (int k = 0; k < c->curves; k++) {
        for (int i = 0; i < c->curve[k].count; i++) {
            double x = c->curve[k].x[i], y = c->curve[k].y[i];
            if (!drawn(x) || !drawn(y)) continue;
            f->left = RN_MIN(f->left, x);
            f->right = RN_MAX(f->right, x);
            f->low = RN_MIN(f->low, y);
            f->high = RN_MAX(f->high, y);
        }
    }
    if (c->from_zero) f->low = RN_MIN(f->low, 0);
    if (c->unit) f->left = f->low = 0, f->right = f->high = 1;
    if (!(f->left <= f->right)) f->left = 0, f->right = 1;
    double margin = c->unit ? 0 : RN_MAX(0.02 * (f->right - f->left), c->whole ? 0.25 : 0);
    if (f->doubling) margin = 0;
    f->left -= margin;
    f->right += margin;
    if (f->doubling && f->left == f->right) f->left /= 2, f->right *= 2;
    if (f->left == f->right) f->right += 1;
    round_y(f);
}

static void curve(const struct frame *f, const struct report_curve *c, int colour)
{
    int step = c->steps ? 1 : 1 + c->count / POINTS, points = 0;
    double last = NAN;
    bool down = false;
    rn_text_add(f->t, "<path class=\"k c%d\" d=\"", colour);
    for (int i = 0; i < c->count; i += step) {
        double x = c->x[i], y = c->y[i];
        bool there = drawn(x) && drawn(y);
        if (there && c->steps && points > POINTS && fabs(x - last) < 1e-3 && i + 1 < c->count) continue;
        if (there) {
            rn_text_add(f->t, down ? "L" : "M");
            add(f->t, place_x(f, x));
            rn_text_add(f->t, " ");
            add(f->t, place_y(f, y));
            last = x;
            points++;
        }
        down = there;
    }
    rn_text_add(f->t, "\"/>");
    for (int i = 0; i < c->count && c->count <= DOTS && !c->steps; i++) {
        if (!drawn(c->x[i]) || !drawn(c->y[i])) continue;
        rn_text_add(f->t, "<circle class=\"f%d\" r=\"2.8\"", colour);
        attribute(f->t, "cx", place_x(f, c->x[i]));
        attribute(f->t, "cy", place_y(f, c->y[i]));
        rn_text_add(f->t, "/>");
    }
}

void report_chart(struct rn_text *svg, const struct report_chart *c)
{
    struct frame f = { .t = svg, .doubling = c->doubling,
                       .width = c->unit ? SQUARE : c->doubling ? SMALL_WIDTH : WIDTH,
                       .height = c->unit ? SQUARE : c->doubling ? SMALL_HEIGHT : HEIGHT };
    fit(&f, c);
    begin(&f, c->y_title);
    y_axis(&f, c->y_title);
    x_axis(&f, c);
    if (c->unit) line(svg, "d", place_x(&f, 0), place_y(&f, 0), place_x(&f, 1), place_y(&f, 1));
    if (drawn(c->mark)) line(svg, "d", place_x(&f, c->mark), TOP, place_x(&f, c->mark), f.height - FOOT);
    for (int k = 0; k < c->curves; k++) curve(&f, &c->curve[k], k);
    rn_text_add(svg, "</svg>\n");
}

/* -- bars -------------------------------------------------------------------------------------- */

void report_bars(struct rn_text *svg, const struct report_bars *b)
{
    const struct report_chart axes = { .x_title = b->x_title };
    struct frame f = { .t = svg, .width = b->unit ? SQUARE : SMALL_WIDTH,
                       .height = b->unit ? SQUARE : SMALL_HEIGHT, .left = b->low,
                       .right = b->low + b->width * b->count, .high = b->unit, .whole_y = !b->unit };
    if (!(f.right > f.left)) f.right = f.left + 1;
    for (int i = 0; i < b->count && !b->unit; i++)
        if (drawn(b->height[i])) f.high = RN_MAX(f.high, b->height[i]);
    round_y(&f);
    begin(&f, b->y_title);
    y_axis(&f, b->y_title);
    for (int i = 0; i < b->count; i++) {
        if (!drawn(b->height[i])) continue;
        double x = place_x(&f, b->low + i * b->width), y = place_y(&f, b->height[i]);
        double right = place_x(&f, b->low + (i + 1) * b->width);
        box(svg, "f0", x + 0.5, y, RN_MAX(right - x - 1, 1), place_y(&f, 0) - y);
    }
    x_axis(&f, &axes);
    if (b->unit) line(svg, "d", place_x(&f, 0), place_y(&f, 0), place_x(&f, 1), place_y(&f, 1));
    rn_text_add(svg, "</svg>\n");
}

/* -- the matrix -------------------------------------------------------------------------------- */

/* At most `most` characters of a name, and dots where there are more. */
static void short_name(struct rn_text *t, const char *name, int most)
{
    struct rn_text cut = { 0 };
    int characters = 0;
    const char *end = name;
    while (*end && characters < most) {
        end++;
        while (((unsigned char)*end & 0xc0) == 0x80) end++;
        characters++;
    }
    rn_text_bytes(&cut, name, (size_t)(end - name));
    if (*end) rn_text_add(&cut, "\xe2\x80\xa6");
    if (!rn_text_status(&cut)) report_escape(t, cut.data);
    rn_text_free(&cut);
}

static void cell(struct rn_text *t, double x, double y, double side, int64_t count, double share, bool diagonal)
{
    rn_text_add(t, "<rect class=\"%s\" fill-opacity=\"", diagonal ? "f0" : "f1");
    rn_text_fixed(t, count ? 0.12 + 0.78 * share : 0.03, 3);
    rn_text_add(t, "\"");
    attribute(t, "x", x + 1);
    attribute(t, "y", y + 1);
    attribute(t, "width", side - 2);
    attribute(t, "height", side - 2);
    rn_text_add(t, "/>");
    if (side < 24) return;
    rn_text_add(t, "<text text-anchor=\"middle\"");
    attribute(t, "x", x + side / 2);
    attribute(t, "y", y + side / 2 + 4);
    rn_text_add(t, ">%" PRId64 "</text>", count);
}

void report_confusion(struct rn_text *svg, const int64_t *count, const char *const *names, int classes)
{
    const double side = RN_MAX(RN_MIN(96.0, 330.0 / classes), 12), left = 104, top = classes > 3 ? 92 : 30;
    rn_text_add(svg, "<svg role=\"img\" aria-label=\"confusion matrix\" viewBox=\"0 0 ");
    add(svg, left + side * classes + 8);
    rn_text_add(svg, " ");
    add(svg, top + side * classes + 8);
    rn_text_add(svg, "\">");
    for (int i = 0; i < classes; i++) {
        double middle = side * (i + 0.5);
        int64_t row = 0;
        rn_text_add(svg, "<text text-anchor=\"end\"");
        attribute(svg, "x", left - 6);
        attribute(svg, "y", top + middle + 4);
        rn_text_add(svg, ">");
        short_name(svg, names[i], 13);
        rn_text_add(svg, "</text><text transform=\"translate(");
        add(svg, left + middle + (classes > 3 ? 4 : 0));
        rn_text_add(svg, " ");
        add(svg, top - 7);
        rn_text_add(svg, classes > 3 ? ") rotate(-90)\">" : ")\" text-anchor=\"middle\">");
        short_name(svg, names[i], 13);
        rn_text_add(svg, "</text>");
        for (int k = 0; k < classes; k++) row += count[i * classes + k];
        for (int k = 0; k < classes; k++) {
            int64_t n = count[i * classes + k];
            cell(svg, left + side * k, top + side * i, side, n, row ? (double)n / (double)row : 0, i == k);
        }
    }
    rn_text_add(svg, "</svg>\n");
}
