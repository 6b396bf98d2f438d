/*
 * progressive.c - which size images have in which epoch.  A net without a fixed input size learns coarse things
 * from small images at a fraction of the arithmetic, and needs the full ones only at the end.
 *
 * Source of the idea: J. Howard and others, "Training Imagenet in 3 hours for USD 25" (fast.ai, 2018).
 */
#include "data/sets.h"

#include "base/text.h"

#include <string.h>

#define ITEM_CHARS 48

/* SIDE:EPOCH, NUL-terminated; cuts the text at the colon. */
static rn_status take_part(struct rn_progressive *p, char *item)
{
    int64_t side, until;
    char *colon = strchr(item, ':');
    if (colon) *colon = '\0';
    if (!colon || !rn_parse_int(&side, item) || !rn_parse_int(&until, colon + 1) || side < 1 || side > 8192 ||
        until < 1)
        return rn_fail(RN_EUSAGE, "progressive sizes: '%s%s%s' is not SIDE:EPOCH", rn_shown(item).text,
                       colon ? ":" : "", colon ? rn_shown(colon + 1).text : "");
    if (p->parts == RN_SIZE_PARTS)
        return rn_fail(RN_EUSAGE, "progressive sizes: more than %d parts", RN_SIZE_PARTS);
    if (p->parts && (side <= p->part[p->parts - 1].side || until <= p->part[p->parts - 1].until))
        return rn_fail(RN_EUSAGE, "progressive sizes: sides and epochs must rise, and %lld:%lld follows %d:%lld",
                       (long long)side, (long long)until, p->part[p->parts - 1].side,
                       (long long)p->part[p->parts - 1].until);
    p->part[p->parts].side = (int)side;
    p->part[p->parts++].until = until;
    return RN_OK;
}

rn_status rn_progressive_parse(struct rn_progressive *p, const char *list)
{
    struct rn_progressive parsed = {0};
    *p = parsed;
    if (!strcmp(list, "none")) return RN_OK;
    for (const char *rest = list; rest;) {
        char item[ITEM_CHARS];
        rn_status status = rn_next_item(item, sizeof item, &rest, list, "progressive sizes");
        if (!status) status = take_part(&parsed, item);
        if (status) return status;
    }
    *p = parsed;
    return RN_OK;
}

int rn_progressive_side(const struct rn_progressive *p, int64_t epoch, int full)
{
    for (int i = 0; i < p->parts; i++)
        if (epoch < p->part[i].until) return p->part[i].side;
    return full;
}
