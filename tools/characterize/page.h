/* page.h - the report's page: HTML and Markdown of tools/report, and the same sections and tables as JSON. */
#ifndef RN_CHARACTERIZE_PAGE_H
#define RN_CHARACTERIZE_PAGE_H

#include "tools/report/report.h"

/* sections: of the JSON, an array of {"title", "content": [...]} with {"heading"}, {"field", "value"}, {"text"} and
 * {"columns", "rows"} in it. */
struct page {
    struct report_page form;
    struct rn_text sections;
    int section, item, row; /* how many there are: of all, in this section, in the table under way; row -1: none is */
};

void page_begin(struct page *p, const char *title, const char *subtitle);
void page_end(struct page *p);
void page_free(struct page *p);
void page_section(struct page *p, const char *title); /* numbered */
void page_heading(struct page *p, const char *title);
void page_field(struct page *p, const char *name, const char *fmt, ...) RN_PRINTF(3, 4);
void page_bullet(struct page *p, const char *fmt, ...) RN_PRINTF(2, 3);
void page_note(struct page *p, const char *fmt, ...) RN_PRINTF(2, 3);
void page_table(struct page *p, const struct report_head *head, int columns);
void page_row(struct page *p, const char *const *cell, int cells);
/* Rows up to the end are unfolded by a click. */
void page_fold(struct page *p, const char *title);
void page_unfold(struct page *p);

#endif /* RN_CHARACTERIZE_PAGE_H */
