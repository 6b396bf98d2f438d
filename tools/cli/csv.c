/* csv.c - when a field needs quotation marks, and what then becomes of its own. */
#include "tools/cli/csv.h"

#include <string.h>

void tool_csv_field(struct rn_text *t, const char *text)
{
    const char *mark = text[strcspn(text, ",\"\r\n")] ? "\"" : "";
    rn_text_add(t, "%s", mark);
    for (const char *at = text; *at; at++) rn_text_add(t, *at == '"' ? "\"\"" : "%c", *at);
    rn_text_add(t, "%s", mark);
}
