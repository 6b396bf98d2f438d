/* files.h - files that a program is going to write. */
#ifndef RN_CLI_FILES_H
#define RN_CLI_FILES_H

#include "base/base.h"

/* That the file can be written, asked before the work whose result it is to hold; leaves nothing behind.
 * NULL is no file, and fine. */
rn_status tool_file_check(const char *path);

#endif /* RN_CLI_FILES_H */
