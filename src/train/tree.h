/* tree.h - small helpers for building trees of rn_value, so that a whole dictionary is one &&
 * chain. */
#ifndef RN_TREE_H
#define RN_TREE_H

#include "io/value.h"

/* false when `v` is NULL or there is no memory; `v` is owned by the dictionary or gone. */
static inline bool rn_tree_put(struct rn_value *dict, const char *key, struct rn_value *v)
{
    return rn_dict_set(dict, key, v) == RN_OK;
}

/* The container if all went well, else NULL, with everything in it freed. */
static inline struct rn_value *rn_tree_end(struct rn_value *container, bool ok)
{
    if (ok) return container;
    rn_value_free(container);
    return NULL;
}

static inline struct rn_value *rn_tree_reals(const double *x, size_t count)
{
    struct rn_value *list = rn_list();
    bool ok = list;
    for (size_t i = 0; ok && i < count; i++) ok = rn_list_add(list, rn_real(x[i])) == RN_OK;
    return rn_tree_end(list, ok);
}

#endif /* RN_TREE_H */
