/* graph.c - the graph of a net: as torch.fx lists it, for Graphviz, and drawn. */
#include "tools/characterize/characterize.h"

#include "tools/plot/canvas.h"

#include <stdio.h>
#include <string.h>

const char *characterize_describe(char out[64], const struct rn_op *op)
{
    const struct rn_conv_shape *s = &op->conv;
    char groups[24] = "";
    if (s->groups > 1) snprintf(groups, sizeof groups, " g%d", s->groups);
    if (op->kind == RN_OP_CONV)
        snprintf(out, 64, "%dx%d/%d %d->%d%s", s->R, s->S, s->stride, s->C, s->K, groups);
    else if (op->kind == RN_OP_LINEAR) snprintf(out, 64, "%d->%d", s->C, s->K);
    else if (op->kind == RN_OP_MAXPOOL || op->kind == RN_OP_AVGPOOL) snprintf(out, 64, "%dx%d", op->R, op->S);
    else out[0] = '\0';
    return out;
}

const char *characterize_shape(char out[64], const struct rn_op *op)
{
    if (op->kind == RN_OP_LINEAR || op->kind == RN_OP_FLATTEN) snprintf(out, 64, "[1, %d]", op->C);
    else snprintf(out, 64, "[1, %d, %d, %d]", op->C, op->H, op->W);
    return out;
}

/* The images are no node of the list: numbers begin with the first module, as in the seed's. */
void characterize_add_graph(struct rn_text *t, const struct characterize *c)
{
    char shape[64], what[64];
    for (int i = 1; i < c->trace.ops; i++) {
        const struct rn_op *op = &c->trace.op[i];
        rn_text_add(t, "[%d]%*s %-22s: %-17s \xe2\x86\x92 %-20s", i - 1, i < 11 ? 2 : i < 101 ? 1 : 0, "", op->name,
                    rn_op_kind_class(op->kind), characterize_shape(shape, op));
        characterize_describe(what, op);
        if (op->kind == RN_OP_ADD)
            rn_text_add(t, "  %s + %s", c->trace.op[op->src[0]].name, c->trace.op[op->src[1]].name);
        else if (*what) rn_text_add(t, "  %s", what);
        rn_text_add(t, "\n");
    }
}

/* -- Graphviz ------------------------------------------------------------------------------------- */

static const char *colour_of(enum rn_op_kind kind)
{
    switch (kind) {
    case RN_OP_CONV:
    case RN_OP_LINEAR: return "#cfe2f7";
    case RN_OP_BN: return "#e6e6e6";
    case RN_OP_RELU: return "#d8f0d8";
    case RN_OP_ADD: return "#fbe3c8";
    case RN_OP_MAXPOOL:
    case RN_OP_AVGPOOL: return "#ead6f0";
    default: return "#ffffff";
    }
}

static void add_dot_node(struct rn_text *t, const struct rn_op *op)
{
    char shape[64], what[64];
    characterize_describe(what, op);
    rn_text_add(t, "    %s [label=\"%s\\n%s%s%s\\n%s\", fillcolor=\"%s\"];\n", op->name, op->name,
                rn_op_kind_class(op->kind), *what ? " " : "", what, characterize_shape(shape, op), colour_of(op->kind));
}

/* Operations that run as one stand in a frame. */
void characterize_add_dot(struct rn_text *t, const struct characterize *c)
{
    int patterns;
    const struct rn_pattern *p = rn_patterns_fused(false, &patterns);
    rn_text_add(t, "digraph \"%s\" {\n    node [shape=box, style=filled, fontname=\"sans-serif\", fontsize=10];\n",
                c->config.arch.name);
    for (int i = 0; i < c->trace.ops; i++) add_dot_node(t, &c->trace.op[i]);
    for (int i = 0; i < c->fused.rows; i++) {
        const struct rn_match *m = &c->fused.row[i];
        rn_text_add(t, "    subgraph cluster_%d { label=\"%s\"; style=rounded; color=\"#888888\";", i,
                    p[m->pattern].name);
        for (int k = 0; k < m->length; k++) rn_text_add(t, " %s;", c->trace.op[m->op[k]].name);
        rn_text_add(t, " }\n");
    }
    for (int i = 0; i < c->trace.ops; i++)
        for (int k = 0; k < 2; k++)
            if (c->trace.op[i].src[k] >= 0)
                rn_text_add(t, "    %s -> %s;\n", c->trace.op[c->trace.op[i].src[k]].name, c->trace.op[i].name);
    rn_text_add(t, "}\n");
}

/* -- drawn ---------------------------------------------------------------------------------------- */

/* A box for every group, one under the other; shortcuts run beside them. */
#define BOX_WIDTH 360.0
#define BOX_HEIGHT 34.0
#define STEP 50.0
#define MARGIN 50.0
#define COLUMN (BOX_WIDTH + 150.0)
#define BOXES_A_COLUMN 30
#define LANES 8

static double box_x(int i) { return MARGIN + COLUMN * (i / BOXES_A_COLUMN); }
static double box_y(int i) { return MARGIN + STEP * (i % BOXES_A_COLUMN); }

/* The group that makes the output of operation `op`; -1: the images. */
static int maker(const struct characterize *c, int op)
{
    if (op >= 0 && c->trace.op[op].kind == RN_OP_FLATTEN) op = c->trace.op[op].src[0];
    for (int i = 0; i < c->groups.rows; i++)
        for (int k = 0; k < c->groups.row[i].ops; k++)
            if (c->groups.row[i].op[k] == op) return i;
    return -1;
}

static void set_colour(const struct tool_canvas *v, const char *hex)
{
    unsigned rgb = 0;
    sscanf(hex + 1, "%6x", &rgb);
    v->cairo->set_source_rgb(v->c, (rgb >> 16) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0);
}

static void draw_box(const struct tool_canvas *v, const struct characterize *c, int i)
{
    const struct rn_group *g = &c->groups.row[i];
    const struct rn_op *first = &c->trace.op[g->op[0]], *last = &c->trace.op[g->op[g->ops - 1]];
    char what[64], shape[64], text[200], number[RN_NUMBER_CHARS];
    const double x = box_x(i), y = box_y(i);
    set_colour(v, colour_of(g->ops == 4 ? RN_OP_ADD : first->kind));
    v->cairo->rectangle(v->c, x, y, BOX_WIDTH, BOX_HEIGHT);
    v->cairo->fill(v->c);
    v->cairo->set_source_rgb(v->c, 0.25, 0.25, 0.25);
    v->cairo->rectangle(v->c, x, y, BOX_WIDTH, BOX_HEIGHT);
    v->cairo->stroke(v->c);
    snprintf(text, sizeof text, "%s  %s", first->name, characterize_describe(what, first));
    tool_canvas_text(v, x + 8, y + 14, 0, text);
    tool_canvas_text(v, x + 8, y + 28, 0, g->fusion ? g->fusion : rn_op_kind_name(first->kind));
    tool_canvas_text(v, x + BOX_WIDTH - 8, y + 14, 1, characterize_shape(shape, last));
    if (!g->macs) return;
    snprintf(text, sizeof text, "%s M MACs", rn_fixed_text(number, 1e-6 * (double)g->macs, 1));
    tool_canvas_text(v, x + BOX_WIDTH - 8, y + 28, 1, text);
}

/* Down to the next box, else around on the right, each in the lane of the box it comes from. */
static void draw_edge(const struct tool_canvas *v, int from, int to)
{
    const double x = box_x(to), y = box_y(to);
    if (to == from + 1 && to % BOXES_A_COLUMN) {
        tool_canvas_line(v, x + BOX_WIDTH / 2, y - STEP + BOX_HEIGHT, x + BOX_WIDTH / 2, y);
        return;
    }
    const double right = box_x(from) + BOX_WIDTH, out = right + 14 + 12 * (from % LANES);
    const double begin = box_y(from) + 0.75 * BOX_HEIGHT, end = y + 0.25 * BOX_HEIGHT;
    const bool same = box_x(from) == x;
    tool_canvas_line(v, right, begin, out, begin);
    tool_canvas_line(v, out, begin, out, end);
    tool_canvas_line(v, out, end, same ? right : x, end);
}

static void draw_graph(const struct tool_canvas *v, const void *arg)
{
    const struct characterize *c = arg;
    v->cairo->set_font_size(v->c, 11);
    v->cairo->set_line_width(v->c, 1);
    for (int i = 0; i < c->groups.rows; i++) draw_box(v, c, i);
    for (int i = 0; i < c->groups.rows; i++) {
        const struct rn_group *g = &c->groups.row[i];
        for (int k = 0; k < g->ops; k++)
            for (int s = 0; s < 2; s++) {
                const int from = maker(c, c->trace.op[g->op[k]].src[s]);
                if (from >= 0 && from != i) draw_edge(v, from, i);
            }
    }
}

rn_status characterize_draw(const char *path, const struct characterize *c)
{
    const int columns = (c->groups.rows + BOXES_A_COLUMN - 1) / BOXES_A_COLUMN;
    const int rows = RN_MIN(c->groups.rows, BOXES_A_COLUMN);
    return tool_canvas_write(path, 2 * MARGIN + COLUMN * columns, 2 * MARGIN + STEP * rows, draw_graph, c);
}
