/*
 * class_names.c - a checkpoint's classes against a data set's: outputs mean classes by their number, and a
 * folder renamed is another order.
 */
#include "base/text.h"
#include "train/train.h"

#include <string.h>

#define NAMES_SHOWN 20 /* of each list */

static const char *stored_name(const struct rn_value *list, size_t i)
{
    const struct rn_value *name = i < list->count ? list->item[i] : NULL;
    return name && name->kind == RN_STRING ? name->text : "(none)";
}

static const char *name_of(const struct rn_dataset *d, size_t i)
{
    return i < (size_t)d->classes ? d->class_names[i] : "(none)";
}

static void add_name(struct rn_text *t, size_t i, const char *name)
{
    char shown[80];
    rn_text_add(t, "%s%s", i ? ", " : "", rn_printable(shown, sizeof shown, name, strlen(name)));
}

/* Whether the list has the names of the data set, in whatever order. */
static bool are_permuted(const struct rn_value *list, const struct rn_dataset *d)
{
    size_t found = 0;
    for (size_t i = 0; i < list->count; i++)
        for (size_t k = 0; k < (size_t)d->classes; k++) found += !strcmp(stored_name(list, i), name_of(d, k));
    return found == list->count && found == (size_t)d->classes;
}

static rn_status fail_at(size_t i, const struct rn_value *list, const struct rn_checkpoint *c,
                         const struct rn_dataset *d)
{
    char there[80], here[80];
    const char *a = stored_name(list, i), *b = name_of(d, i);
    struct rn_text t = {0};
    rn_text_add(&t, "%s: class %zu is \"%s\", in %s of %dx%d it is \"%s\"; classes there: ", c->path, i,
                rn_printable(there, sizeof there, a, strlen(a)), d->spec, d->height, d->width,
                rn_printable(here, sizeof here, b, strlen(b)));
    for (size_t k = 0; k < RN_MIN(list->count, NAMES_SHOWN); k++) add_name(&t, k, stored_name(list, k));
    rn_text_add(&t, "%s; here: ", list->count > NAMES_SHOWN ? " ..." : "");
    for (size_t k = 0; k < RN_MIN((size_t)d->classes, NAMES_SHOWN); k++) add_name(&t, k, name_of(d, k));
    if (d->classes > NAMES_SHOWN) rn_text_add(&t, " ...");
    rn_status status = rn_text_status(&t);
    if (!status) status = rn_fail(RN_EINPUT, "%s", t.data);
    rn_text_free(&t);
    return status;
}

rn_status rn_check_classes(const struct rn_checkpoint *c, const struct rn_dataset *d, bool others_too)
{
    const struct rn_value *list = rn_dict_get(c->own, "class_names");
    if (!list || list->kind != RN_LIST || !list->count) return RN_OK;
    if (others_too && !are_permuted(list, d)) return RN_OK;
    for (size_t i = 0; i < RN_MAX(list->count, (size_t)d->classes); i++)
        if (strcmp(stored_name(list, i), name_of(d, i))) return fail_at(i, list, c, d);
    return RN_OK;
}
