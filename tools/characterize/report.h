/* report.h - the two files of the report. */
#ifndef RN_CHARACTERIZE_REPORT_H
#define RN_CHARACTERIZE_REPORT_H

#include "tools/characterize/characterize.h"
#include "tools/report/report.h"

/* Whether it is the net of the report of 2025-10-17. */
bool characterize_is_seeds(const struct characterize *c);
/* 1e-6 x with two decimals. */
const char *characterize_millions(char out[RN_NUMBER_CHARS], int64_t x);
void characterize_cells(struct report_page *p, const char *const *text, int count);
/* Sections 6 and on.  met: the seed's four machines came out to its digits. */
void characterize_report_more(struct report_page *p, const struct characterize *c, bool met);

#endif /* RN_CHARACTERIZE_REPORT_H */
