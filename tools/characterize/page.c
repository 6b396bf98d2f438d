/* page.c - see page.h. */
#include "tools/characterize/page.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE 2000 /* bytes of a sentence */

/* Ends the table under way. */
static void leave_table(struct page *p)
{
    if (p->row >= 0) rn_text_add(&p->sections, "]}");
    p->row = -1;
}

/* Begins the next item of the section: {"key":  */
static void next_item(struct page *p, const char *key)
{
    leave_table(p);
    rn_text_add(&p->sections, "%s\n  {\"%s\": ", p->item++ ? "," : "", key);
}

static void add_item(struct page *p, const char *key, const char *text)
{
    next_item(p, key);
    rn_text_json(&p->sections, text);
    rn_text_add(&p->sections, "}");
}

static void leave_section(struct page *p)
{
    leave_table(p);
    if (p->section) rn_text_add(&p->sections, "]}");
}

void page_begin(struct page *p, const char *title, const char *subtitle)
{
    *p = (struct page){ .row = -1 };
    report_begin(&p->form, title, subtitle);
    rn_text_add(&p->sections, "[");
}

void page_end(struct page *p)
{
    report_end(&p->form);
    leave_section(p);
    rn_text_add(&p->sections, "]");
}

void page_free(struct page *p)
{
    rn_text_free(&p->form.html);
    rn_text_free(&p->form.md);
    rn_text_free(&p->form.txt);
    rn_text_free(&p->sections);
}

void page_section(struct page *p, const char *title)
{
    leave_section(p);
    rn_text_add(&p->sections, "%s\n {\"title\": ", p->section ? "," : "");
    rn_text_json(&p->sections, title);
    rn_text_add(&p->sections, ", \"content\": [");
    report_section(&p->form, ++p->section, title);
    p->item = 0;
}

void page_heading(struct page *p, const char *title)
{
    add_item(p, "heading", title);
    report_heading(&p->form, title);
}

void page_field(struct page *p, const char *name, const char *fmt, ...)
{
    char text[LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    next_item(p, "field");
    rn_text_json(&p->sections, name);
    rn_text_add(&p->sections, ", \"value\": ");
    rn_text_json(&p->sections, text);
    rn_text_add(&p->sections, "}");
    report_field(&p->form, name, text, NULL);
}

/* One sentence, in the form that `sink` gives it. */
static void add_sentence(struct page *p, void (*sink)(struct report_page *form, const char *fmt, ...), const char *fmt,
                         va_list args)
{
    char text[LINE];
    vsnprintf(text, sizeof text, fmt, args);
    add_item(p, "text", text);
    sink(&p->form, "%s", text);
}

void page_bullet(struct page *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_sentence(p, report_bullet, fmt, args);
    va_end(args);
}

void page_note(struct page *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_sentence(p, report_note, fmt, args);
    va_end(args);
}

void page_table(struct page *p, const struct report_head *head, int columns)
{
    next_item(p, "columns");
    for (int i = 0; i < columns; i++) {
        rn_text_add(&p->sections, i ? ", " : "[");
        rn_text_json(&p->sections, head[i].name);
    }
    rn_text_add(&p->sections, "], \"rows\": [");
    p->row = 0;
    report_table(&p->form, head, columns);
}

void page_row(struct page *p, const char *const *cell, int cells)
{
    rn_text_add(&p->sections, "%s\n    [", p->row++ ? "," : "");
    for (int i = 0; i < cells; i++) {
        rn_text_add(&p->sections, i ? ", " : "");
        rn_text_json(&p->sections, cell[i]);
        report_cell(&p->form, cell[i]);
    }
    rn_text_add(&p->sections, "]");
}

void page_fold(struct page *p, const char *title)
{
    const unsigned into = p->form.into;
    add_item(p, "heading", title);
    p->form.into = into & ~(unsigned)REPORT_HTML; /* there it is what unfolds */
    report_heading(&p->form, title);
    p->form.into = into;
    report_fold(&p->form, title);
}

void page_unfold(struct page *p)
{
    leave_table(p);
    report_unfold(&p->form);
}
