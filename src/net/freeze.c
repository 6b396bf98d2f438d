/*
 * freeze.c - which parameters a list like "conv1,bn1,layer1" means: those whose names begin so.
 */
#include "net/net.h"

#include <string.h>

/* The next beginning of a name in a list; its length, 0 at the end. */
static size_t next_prefix(const char **list)
{
    *list += strspn(*list, ",");
    return strcspn(*list, ",");
}

static bool begins(const struct rn_param *p, const char *prefix, size_t length)
{
    return p->trainable && !strncmp(p->name, prefix, length);
}

bool rn_frozen_by(const char *freeze, const struct rn_param *p)
{
    const char *list = freeze ? freeze : "";
    for (size_t n; (n = next_prefix(&list)) > 0; list += n)
        if (begins(p, list, n)) return true;
    return false;
}

const char *rn_freeze_stray(size_t *length, const char *freeze, const struct rn_param *p, size_t rows)
{
    const char *list = freeze ? freeze : "";
    for (size_t n; (n = next_prefix(&list)) > 0; list += n) {
        size_t i = 0;
        while (i < rows && !begins(&p[i], list, n)) i++;
        *length = n;
        if (i == rows) return list;
    }
    return NULL;
}
