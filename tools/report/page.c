/*
 * page.c - one document in three forms at once: HTML for people to look at and print, Markdown, and
 * plain text in the form that such reports have had from Python.  Nothing in the page points outside it.
 */
#include "tools/report/report.h"

#include <stdio.h>
#include <string.h>

#define WIDE 100 /* columns of the plain text's title */
#define NARROW 50
#define SHORT 30
#define NARROW_COLUMN 15 /* words in a column of the text up to here are not broken in the page either */
#define SHOWN 2000 /* bytes of a text from anywhere */

enum { NOTHING, FIELDS, BULLETS, TABLE, FIGURES };

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2430;--soft:#5d6878;--line:#d9dee6;--page:#fff;--band:#f5f7fa;"
    "--c0:#2563b0;--c1:#d9730d;--c2:#2f8f57;--c3:#a23b8f;--c4:#b3402f;--c5:#4a8fa8;--c6:#7a6a1f;--c7:#6b6f78}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#9aa5b4;--line:#333c48;--page:#14181e;"
    "--band:#1c222b;--c0:#6ea8f0;--c1:#f2a154;--c2:#6ccb93;--c3:#d98acb;--c4:#ef8a7b;--c5:#7cc4dd;--c6:#c9b65a;"
    "--c7:#a9aeb8}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:66rem;padding:2.2rem 1.4rem 4rem;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif}\n"
    "h1{font-size:1.75rem;line-height:1.2;margin:0}\n"
    ".sub{color:var(--soft);margin:.3rem 0 1.2rem}\n"
    "h2{font-size:1.2rem;margin:2.4rem 0 .8rem;padding-bottom:.3rem;border-bottom:2px solid var(--c0)}\n"
    "h3{font-size:1rem;margin:1.5rem 0 .5rem}\n"
    ".part{font-size:1.5rem;border:0;margin-top:3.5rem}\n"
    ".links{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;font-size:.9rem;padding:.6rem 0;"
    "border-top:1px solid var(--line);border-bottom:1px solid var(--line)}\n"
    "a{color:var(--c0);text-decoration:none}a:hover{text-decoration:underline}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}\n"
    ".wide{overflow-x:auto;margin:.9rem 0}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;margin:1.2rem 0}\n"
    ".cards div{background:var(--band);border-left:3px solid var(--c0);padding:.5rem .8rem;color:var(--soft);"
    "font-size:.8rem}\n"
    ".cards b{display:block;color:var(--ink);font-size:1.25rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.28rem .6rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "thead th{color:var(--soft);font-weight:600;border-bottom:1.5px solid var(--soft);vertical-align:bottom}\n"
    "tbody tr:nth-child(even){background:var(--band)}\n"
    "td{white-space:nowrap}th.w,td.w{text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    "th.w:first-child,td.w:first-child{min-width:10em}\n"
    "th.n,td.n{white-space:nowrap}\n"
    ".wide table{font-size:.85rem}.wide th,.wide td{padding:.25rem .45rem}\n"
    ".fields th{text-align:left;font-weight:500;color:var(--soft);width:17rem}.fields{table-layout:fixed}\n"
    ".fields td{text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    "small{color:var(--soft);font-size:.82em;margin-left:.5em;overflow-wrap:anywhere}\n"
    ".note{color:var(--soft);font-size:.87rem;margin:.6rem 0}\n"
    "ul{margin:.4rem 0;padding-left:1.3rem}\n"
    ".figures{display:grid;grid-template-columns:repeat(6,1fr);gap:1.2rem;margin:1rem 0}\n"
    ".figures figure{grid-column:span 3}.figures .small{grid-column:span 2}\n"
    "@media screen and (max-width:44rem){.figures figure,.figures .small{grid-column:span 6}.fields th{width:38%}}\n"
    ".pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.9rem;margin:1rem 0}\n"
    "figure{margin:0;break-inside:avoid}\n"
    "figcaption{font-size:.85rem;color:var(--soft);margin-top:.3rem}\n"
    "figcaption b{color:var(--ink);font-weight:600}\n"
    ".pictures img{width:100%;image-rendering:pixelated;border:1px solid var(--line);display:block}\n"
    "svg{width:100%;height:auto;display:block}svg.s{display:inline-block;width:1.4em;vertical-align:middle;"
    "margin-left:.5em}\n"
    "svg text{fill:var(--ink);font:11px system-ui,sans-serif}svg .t{fill:var(--soft)}\n"
    "svg .g{stroke:var(--line)}svg .a{stroke:var(--soft)}svg .d{stroke:var(--soft);stroke-dasharray:5 4}\n"
    "svg .k{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}"
    ".c5{stroke:var(--c5)}.c6{stroke:var(--c6)}.c7{stroke:var(--c7)}\n"
    ".f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}"
    ".f5{fill:var(--c5)}.f6{fill:var(--c6)}.f7{fill:var(--c7)}\n"
    "summary{cursor:pointer;color:var(--c0);margin:.8rem 0 .4rem}\n";
static const char print_style[] =
    "@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#ccc;--page:#fff;--band:#f4f4f4;"
    "--c0:#1f5597;--c1:#b85f06;--c2:#22753f}body{max-width:none;padding:0;font-size:10.5pt}.links,summary{display:none}"
    "h2,h3{break-after:avoid}tr{break-inside:avoid}"
    ".wide{overflow:visible}.wide table{font-size:7.6pt}.wide th,.wide td{padding:.15rem .25rem}.fields th{width:12rem}"
    ".cards{grid-template-columns:repeat(6,1fr);gap:.3rem}.cards div{padding:.3rem .4rem;font-size:7pt}"
    ".cards b{font-size:10.5pt}.pictures{grid-template-columns:repeat(6,1fr);gap:.5rem}"
    ".pictures figcaption{font-size:7pt}"
    "thead{display:table-header-group}@page{margin:18mm 16mm}}\n";

/* -- text -------------------------------------------------------------------------------------- */

void report_escape(struct rn_text *t, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': rn_text_add(t, "&amp;"); break;
        case '<': rn_text_add(t, "&lt;"); break;
        case '>': rn_text_add(t, "&gt;"); break;
        case '"': rn_text_add(t, "&quot;"); break;
        case '\'': rn_text_add(t, "&#39;"); break;
        default: rn_text_bytes(t, text, 1);
        }
    }
}

/* Markdown shows every character as it is; a table's cell ends neither at a bar nor at a line's end. */
static void escape_md(struct rn_text *t, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n' || *text == '\r') {
            rn_text_add(t, " ");
            continue;
        }
        if (*text == '<') {
            rn_text_add(t, "&lt;");
            continue;
        }
        if (strchr("\\|*_`[]#~", *text)) rn_text_add(t, "\\");
        rn_text_bytes(t, text, 1);
    }
}

static struct rn_text *in(struct report_page *p, unsigned form)
{
    if (!(p->into & form)) return NULL;
    return form == REPORT_HTML ? &p->html : form == REPORT_MD ? &p->md : &p->txt;
}

static void rule(struct rn_text *t, char c, int width)
{
    for (int i = 0; i < width; i++) rn_text_bytes(t, &c, 1);
    rn_text_add(t, "\n");
}

/* Ends what is under way, in each form that has begun it. */
static void leave(struct report_page *p)
{
    static const char *const end[] = { "", "</tbody></table>\n", "</ul>\n", "</tbody></table></div>\n", "</div>\n" };
    if (p->begun & REPORT_HTML) rn_text_add(&p->html, "%s", end[p->open]);
    if (p->begun & REPORT_MD && p->open != FIGURES) rn_text_add(&p->md, "\n");
    if (p->begun & REPORT_TXT && p->open != FIGURES) rn_text_add(&p->txt, "\n");
    p->open = NOTHING;
    p->begun = 0;
}

/* Ends what is under way unless it is of this kind; returns the forms in which the kind begins here. */
static unsigned turn_to(struct report_page *p, int kind)
{
    if (p->open != kind) leave(p);
    unsigned fresh = p->into & ~p->begun;
    p->open = kind;
    p->begun |= p->into;
    if (fresh & REPORT_TXT && p->headed && kind != TABLE) rule(&p->txt, '-', SHORT);
    if (fresh & REPORT_TXT) p->headed = false;
    return fresh;
}

/* Plain text in capitals, as far as they are ASCII. */
static void capitals(struct rn_text *t, const char *text)
{
    for (; *text; text++) {
        char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
        rn_text_bytes(t, &c, 1);
    }
}

/* -- the document ------------------------------------------------------------------------------ */

void report_begin(struct report_page *p, const char *title, const char *subtitle)
{
    *p = (struct report_page){ .into = REPORT_ALL };
    rn_text_add(&p->html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    report_escape(&p->html, title);
    rn_text_add(&p->html, "</title>\n<style>\n");
    rn_text_add(&p->html, "%s%s", style, print_style);
    rn_text_add(&p->html, "</style>\n</head>\n<body>\n<h1>");
    report_escape(&p->html, title);
    rn_text_add(&p->html, "</h1>\n<p class=\"sub\">");
    report_escape(&p->html, subtitle);
    rn_text_add(&p->html, "</p>\n");
    rn_text_add(&p->md, "# ");
    escape_md(&p->md, title);
    rn_text_add(&p->md, "\n\n");
    escape_md(&p->md, subtitle);
    rn_text_add(&p->md, "\n\n");
    rule(&p->txt, '=', WIDE);
    capitals(&p->txt, title);
    rn_text_add(&p->txt, "\n%s\n", subtitle);
    rule(&p->txt, '=', WIDE);
    rn_text_add(&p->txt, "\n");
}

void report_link(struct report_page *p, int part, int number, const char *title)
{
    rn_text_add(&p->html, number ? "<a href=\"#s%d-%d\">" : "<a href=\"#s%d\">", part, number);
    report_escape(&p->html, title);
    rn_text_add(&p->html, "</a>\n");
}

void report_card(struct report_page *p, const char *name, const char *text)
{
    rn_text_add(&p->html, "<div><b>");
    report_escape(&p->html, text);
    rn_text_add(&p->html, "</b>");
    report_escape(&p->html, name);
    rn_text_add(&p->html, "</div>\n");
}

void report_box(struct report_page *p, const char *kind)
{
    leave(p);
    if (!kind) rn_text_add(&p->html, "</div>\n");
    else rn_text_add(&p->html, "<div class=\"%s\">\n", kind);
}

void report_end(struct report_page *p)
{
    p->into = REPORT_ALL;
    leave(p);
    rn_text_add(&p->html, "</body>\n</html>\n");
}

/* number: of a section, for links to it; 0: none. */
static void heading(struct report_page *p, int level, int number, const char *title)
{
    struct rn_text *html = in(p, REPORT_HTML), *md = in(p, REPORT_MD);
    if (html) {
        if (number) rn_text_add(html, "<h%d id=\"s%d-%d\">", level, p->part, number);
        else rn_text_add(html, "<h%d>", level);
        report_escape(html, title);
        rn_text_add(html, "</h%d>\n", level);
    }
    if (md) {
        rn_text_add(md, "%.*s ", level, "######");
        escape_md(md, title);
        rn_text_add(md, "\n\n");
    }
}

void report_part(struct report_page *p, const char *title)
{
    struct rn_text *html = in(p, REPORT_HTML), *md = in(p, REPORT_MD), *txt = in(p, REPORT_TXT);
    leave(p);
    p->part++;
    if (html) {
        rn_text_add(html, "<h2 class=\"part\" id=\"s%d\">", p->part);
        report_escape(html, title);
        rn_text_add(html, "</h2>\n");
    }
    if (md) {
        rn_text_add(md, "## ");
        escape_md(md, title);
        rn_text_add(md, "\n\n");
    }
    if (!txt) return;
    rule(txt, '=', WIDE);
    rn_text_add(txt, "%s\n", title);
    rule(txt, '=', WIDE);
    rn_text_add(txt, "\n");
}

void report_section(struct report_page *p, int number, const char *title)
{
    struct rn_text *txt = in(p, REPORT_TXT);
    char numbered[160];
    leave(p);
    snprintf(numbered, sizeof numbered, number ? "%d. %s" : "%.0d%s", number, title);
    heading(p, 2, number, numbered);
    if (!txt) return;
    capitals(txt, numbered);
    rn_text_add(txt, "\n");
    rule(txt, '-', NARROW);
}

void report_heading(struct report_page *p, const char *title)
{
    struct rn_text *txt = in(p, REPORT_TXT);
    leave(p);
    heading(p, 3, 0, title);
    if (txt) rn_text_add(txt, "%s:\n", title);
    if (txt) p->headed = true;
}

/* -- fields, lists ----------------------------------------------------------------------------- */

void report_field(struct report_page *p, const char *name, const char *raw, const char *digits)
{
    struct rn_text *html = in(p, REPORT_HTML), *md = in(p, REPORT_MD), *txt = in(p, REPORT_TXT);
    char text[SHOWN];
    rn_printable(text, sizeof text, raw, strlen(raw));
    const unsigned fresh = turn_to(p, FIELDS);
    if (digits && strstr(text, digits)) digits = NULL;
    if (html) {
        if (fresh & REPORT_HTML) rn_text_add(html, "<table class=\"fields\"><tbody>\n");
        rn_text_add(html, "<tr><th scope=\"row\">");
        report_escape(html, name);
        rn_text_add(html, "</th><td>");
        report_escape(html, text);
        if (digits) {
            rn_text_add(html, "<small>");
            report_escape(html, digits);
            rn_text_add(html, "</small>");
        }
        rn_text_add(html, "</td></tr>\n");
    }
    if (md) {
        if (fresh & REPORT_MD) rn_text_add(md, "| | |\n|---|---|\n");
        rn_text_add(md, "| ");
        escape_md(md, name);
        rn_text_add(md, " | ");
        escape_md(md, text);
        if (digits) rn_text_add(md, " (%s)", digits);
        rn_text_add(md, " |\n");
    }
    if (txt) rn_text_add(txt, "%s: %s\n", name, text);
}

void report_fields(struct report_page *p, const char *name, const char *fmt, ...)
{
    char text[SHOWN];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    report_field(p, name, text, NULL);
}

static void line(struct report_page *p, bool bullet, const char *raw)
{
    struct rn_text *html = in(p, REPORT_HTML), *md = in(p, REPORT_MD), *txt = in(p, REPORT_TXT);
    char text[SHOWN];
    rn_printable(text, sizeof text, raw, strlen(raw));
    if (html) {
        rn_text_add(html, bullet ? "<li>" : "<p class=\"note\">");
        report_escape(html, text);
        rn_text_add(html, bullet ? "</li>\n" : "</p>\n");
    }
    if (md) {
        rn_text_add(md, bullet ? "- " : "");
        escape_md(md, text);
        rn_text_add(md, bullet ? "\n" : "\n\n");
    }
    if (txt) rn_text_add(txt, bullet ? "\xe2\x80\xa2 %s\n" : "%s\n\n", text);
}

void report_bullet(struct report_page *p, const char *fmt, ...)
{
    char text[SHOWN];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (turn_to(p, BULLETS) & REPORT_HTML) rn_text_add(&p->html, "<ul>\n");
    line(p, true, text);
}

void report_note(struct report_page *p, const char *fmt, ...)
{
    char text[SHOWN];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    leave(p);
    line(p, false, text);
}

/* -- tables ------------------------------------------------------------------------------------ */

static int text_width(const struct report_head *head, int columns)
{
    int width = 0;
    for (int i = 0; i < columns; i++) width += head[i].width + (i > 0);
    return width;
}

static void table_head(struct report_page *p)
{
    struct rn_text *html = in(p, REPORT_HTML), *md = in(p, REPORT_MD), *txt = in(p, REPORT_TXT);
    const struct report_head *h = p->head;
    if (html) rn_text_add(html, "<div class=\"wide\"><table><thead><tr>");
    if (md) rn_text_add(md, "|");
    for (int i = 0; i < p->columns; i++) {
        if (html) {
            const bool narrow = h[i].width <= NARROW_COLUMN;
            rn_text_add(html, !h[i].left ? "<th scope=\"col\">" : narrow ? "<th class=\"w n\" scope=\"col\">"
                                                                       : "<th class=\"w\" scope=\"col\">");
            report_escape(html, h[i].name);
            rn_text_add(html, "</th>");
        }
        if (md) {
            rn_text_add(md, " ");
            escape_md(md, h[i].name);
            rn_text_add(md, " |");
        }
    }
    if (html) rn_text_add(html, "</tr></thead><tbody>\n");
    if (md) {
        rn_text_add(md, "\n|");
        for (int i = 0; i < p->columns; i++) rn_text_add(md, h[i].left ? "---|" : "---:|");
        rn_text_add(md, "\n");
    }
    if (!txt) return;
    rule(txt, '-', RN_MAX(text_width(h, p->columns), 80));
    for (int i = 0; i < p->columns; i++) rn_text_add(txt, "%s%-*s", i ? " " : "", h[i].width, h[i].name);
    rn_text_add(txt, "\n");
    rule(txt, '-', RN_MAX(text_width(h, p->columns), 80));
}

void report_table(struct report_page *p, const struct report_head *head, int columns)
{
    leave(p);
    turn_to(p, TABLE);
    p->head = head;
    p->columns = columns;
    p->column = 0;
    table_head(p);
}

void report_cell(struct report_page *p, const char *raw)
{
    struct rn_text *html = in(p, REPORT_HTML), *md = in(p, REPORT_MD), *txt = in(p, REPORT_TXT);
    char text[SHOWN];
    rn_printable(text, sizeof text, raw, strlen(raw));
    const int i = p->column, last = i == p->columns - 1;
    p->column = last ? 0 : i + 1;
    if (html) {
        const bool narrow = p->head[i].width <= NARROW_COLUMN;
        rn_text_add(html, "%s%s", i ? "" : "<tr>",
                    !p->head[i].left ? "<td>" : narrow ? "<td class=\"w n\">" : "<td class=\"w\">");
        report_escape(html, text);
        rn_text_add(html, "</td>%s", last ? "</tr>\n" : "");
    }
    if (md) {
        rn_text_add(md, i ? " " : "| ");
        escape_md(md, text);
        rn_text_add(md, last ? " |\n" : " |");
    }
    if (txt) rn_text_add(txt, "%s%-*s%s", i ? " " : "", p->head[i].width, text, last ? "\n" : "");
}

/* -- pictures ---------------------------------------------------------------------------------- */

void report_figure(struct report_page *p, bool small, const char *svg, const char *caption)
{
    struct rn_text *html = in(p, REPORT_HTML);
    if (turn_to(p, FIGURES) & REPORT_HTML) rn_text_add(html, "<div class=\"figures\">\n");
    if (!html) return;
    rn_text_add(html, "<figure%s>\n%s<figcaption>", small ? " class=\"small\"" : "", svg);
    rn_text_add(html, "%s</figcaption>\n</figure>\n", caption);
}

void report_picture(struct report_page *p, const char *base64, const char *caption, const char *below)
{
    struct rn_text *html = in(p, REPORT_HTML);
    if (turn_to(p, FIGURES) & REPORT_HTML) rn_text_add(html, "<div class=\"pictures\">\n");
    if (!html) return;
    rn_text_add(html, "<figure><img alt=\"\" src=\"data:image/png;base64,%s\"><figcaption><b>", base64);
    report_escape(html, caption);
    rn_text_add(html, "</b><br>");
    report_escape(html, below);
    rn_text_add(html, "</figcaption></figure>\n");
}

void report_fold(struct report_page *p, const char *title)
{
    struct rn_text *html = in(p, REPORT_HTML);
    leave(p);
    if (!html) return;
    rn_text_add(html, "<details><summary>");
    report_escape(html, title);
    rn_text_add(html, "</summary>\n");
}

void report_unfold(struct report_page *p)
{
    struct rn_text *html = in(p, REPORT_HTML);
    leave(p);
    if (html) rn_text_add(html, "</details>\n");
}
