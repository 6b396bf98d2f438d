/* files.c - files that a program is going to write. */
#include "tools/cli/files.h"

#include "base/file.h"

rn_status tool_file_check(const char *path)
{
    struct rn_writer w;
    rn_status status = path ? rn_writer_open(&w, path) : RN_OK;
    if (path && !status) rn_writer_abort(&w);
    return status;
}
