/* bars.c - images a second of every run, side by side: inside the page, or as a picture of its own. */
#include "tools/experiments/experiments.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 900.0
#define LEFT 210.0
#define RIGHT 130.0
#define ROW 26.0
#define TOP 10.0
#define FOOT 34.0

static const char lone_style[] =
    "<style>text{font:12px system-ui,sans-serif;fill:#1c2430}.t{fill:#5d6878}.f0{fill:#2563b0}.f1{fill:#d9730d}"
    "</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>";

static void attribute(struct rn_text *t, const char *name, double x)
{
    rn_text_add(t, " %s=\"", name);
    rn_text_fixed(t, x, 1);
    rn_text_add(t, "\"");
}

static void words(struct rn_text *t, double x, double y, const char *kind, const char *anchor, const char *text)
{
    rn_text_add(t, "<text%s text-anchor=\"%s\"", kind, anchor);
    attribute(t, "x", x);
    attribute(t, "y", y);
    rn_text_add(t, ">");
    report_escape(t, text);
    rn_text_add(t, "</text>");
}

static void bar(struct rn_text *t, const struct experiments *e, int kind, int stem, double y, double best)
{
    char name[80], number[RN_NUMBER_CHARS];
    const double rate = e->row[kind][stem].rate, speedup = experiment_speedup(e, kind, stem);
    const double width = RN_MAX((WIDTH - LEFT - RIGHT) * rate / best, 1);
    struct rn_text label = {0};
    snprintf(name, sizeof name, "%s, %s stem", experiment_kinds[kind].title, stem ? "CIFAR" : "stock");
    words(t, LEFT - 10, y + ROW / 2 + 4, "", "end", name);
    rn_text_add(t, "<rect class=\"f%d\"", stem);
    attribute(t, "x", LEFT);
    attribute(t, "y", y + 4);
    attribute(t, "width", width);
    attribute(t, "height", ROW - 8);
    rn_text_add(t, "/>");
    rn_text_add(&label, "%s", rn_fixed_text(number, rate, 1));
    if (isfinite(speedup)) rn_text_add(&label, " (%s\xc3\x97)", rn_fixed_text(number, speedup, 2));
    if (!rn_text_status(&label)) words(t, LEFT + width + 7, y + ROW / 2 + 4, "", "start", label.data);
    rn_text_free(&label);
}

void experiments_bars(struct rn_text *svg, const struct experiments *e, bool alone)
{
    double best = 0, y = TOP;
    int bars = 0;
    for (int i = 0; i < EXPERIMENTS * EXPERIMENT_STEMS; i++) {
        const struct experiment *x = &e->row[i % EXPERIMENTS][i / EXPERIMENTS];
        if (!x->ran || !(x->rate > 0)) continue;
        best = RN_MAX(best, x->rate);
        bars++;
    }
    if (!bars) return;
    rn_text_add(svg, "<svg%s role=\"img\" aria-label=\"images a second\" viewBox=\"0 0 %.0f %.0f\">%s",
                alone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", WIDTH, TOP + ROW * bars + FOOT,
                alone ? lone_style : "");
    for (int stem = 0; stem < EXPERIMENT_STEMS; stem++) {
        for (int k = 0; k < EXPERIMENTS; k++) {
            if (!e->row[k][stem].ran || !(e->row[k][stem].rate > 0)) continue;
            bar(svg, e, k, stem, y, best);
            y += ROW;
        }
    }
    words(svg, LEFT, y + 22, " class=\"t\"", "start",
          "images/s in training, and how many times those of Exp 1 with the same stem");
    rn_text_add(svg, "</svg>\n");
}
