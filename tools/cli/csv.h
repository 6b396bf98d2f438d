/* csv.h - fields of comma-separated values (RFC 4180). */
#ifndef RN_CLI_CSV_H
#define RN_CLI_CSV_H

#include "base/text.h"

/* As it is; in quotation marks, its own doubled, where it would otherwise be more or less than one field. */
void tool_csv_field(struct rn_text *t, const char *text);

#endif /* RN_CLI_CSV_H */
