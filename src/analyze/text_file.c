/* text_file.c - see text_file.h. */
#include "analyze/text_file.h"

#include "base/file.h"
#include "base/mem.h"

#define LIMIT ((size_t)1 << 20)

rn_status rn_text_file(void *into, const char *path, rn_text_parse *parse)
{
    unsigned char *data;
    size_t bytes;
    rn_status status = rn_file_read(&data, &bytes, path, LIMIT);
    if (status) return status;
    status = parse(into, (const char *)data, bytes, path);
    rn_free(data);
    return status;
}
