/* text_file.h - small files that people write: hardware and patterns. */
#ifndef RN_TEXT_FILE_H
#define RN_TEXT_FILE_H

#include "base/base.h"

/* parse(into, text, length, path) of what the file holds, up to a megabyte.  RN_EINPUT: there is no such file, or it
 * is larger; else what parse returns. */
typedef rn_status rn_text_parse(void *into, const char *text, size_t length, const char *path);
rn_status rn_text_file(void *into, const char *path, rn_text_parse *parse);

#endif /* RN_TEXT_FILE_H */
