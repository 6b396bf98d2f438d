/*
 * folder_check.c - what in a folder of pictures looks like a mistake: a part under a name that nobody looks for,
 * folders that are not looked at, and the same picture where it must not be twice.
 */
#include "data/folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/sets.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 20 /* of a list in a message */

/* -- names beside the parts -------------------------------------------------------------------- */

/* "train" for Train, TRAINING and training_set; NULL for what looks like no part. */
static const char *part_meant(const char *name)
{
    static const struct { const char *word, *part; } row[] = {
        { "train", "train" }, { "training", "train" }, { "val", "val" }, { "valid", "val" },
        { "validation", "val" }, { "test", "test" },
    };
    for (size_t i = 0; i < RN_COUNT(row); i++) {
        const size_t length = strlen(row[i].word);
        if (rn_letters_alike(name, row[i].word, length) &&
            (!name[length] || (rn_letters_alike(name + length, "_set", 4) && !name[length + 4])))
            return row[i].part;
    }
    return NULL;
}

static rn_status fail_misnamed(const char *root, const char *name, const char *part)
{
    return rn_fail(RN_EINPUT, "%s: has a folder \"%s\": images of %s are expected in \"%s\" (a class may be "
                   "called so only where the classes lie in train)", rn_shown(root).text, rn_shown(name).text,
                   part, part);
}

rn_status rn_folder_beside(struct rn_text *notes, const char *root)
{
    struct rn_names names;
    rn_status status = rn_names_read(&names, root);
    size_t count = 0;
    for (size_t i = 0; i < names.count && !status; i++) {
        const char *name = names.name[i], *meant = part_meant(name);
        if (rn_listed("train val valid validation test", name)) continue;
        char *path = rn_path_join(root, name);
        const bool is_folder = path && rn_folder_exists(path);
        rn_free(path);
        if (!path) status = RN_ENOMEM;
        else if (is_folder && meant) status = fail_misnamed(root, name, meant);
        if (status || !is_folder || count++ >= NAMES_SHOWN) continue;
        if (count == 1) rn_text_add(notes, "%s: not looked at beside train, val and test: ", rn_shown(root).text);
        rn_text_add(notes, "%s%s", count > 1 ? ", " : "", rn_shown(name).text);
    }
    rn_names_free(&names);
    if (count > NAMES_SHOWN) rn_text_add(notes, " and %zu more", count - NAMES_SHOWN);
    if (count) rn_text_add(notes, "\n");
    return status ? status : rn_text_status(notes);
}

/* -- the same picture twice -------------------------------------------------------------------- */

struct seen { uint64_t hash; size_t place; const struct rn_picture *picture; int part; };

static int by_hash(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* Of pictures of one hash: the first that is of another class, or of another part, than `seen`; or NULL. */
static const struct seen *find_other(const struct seen *seen, const struct seen *end)
{
    for (const struct seen *s = seen + 1; s < end; s++)
        if (s->part != seen->part || s->picture->label != seen->picture->label) return s;
    return NULL;
}

rn_status rn_folder_twice(struct rn_text *notes, const struct rn_store *const *store, int parts, bool strict)
{
    size_t count = 0, n = 0, twice = 0;
    const struct seen *first = NULL, *second = NULL;
    for (int i = 0; i < parts; i++) count += store[i] ? store[i]->count : 0;
    struct seen *all = rn_alloc_array(count, sizeof *all);
    if (!all) return RN_ENOMEM;
    for (int i = 0; i < parts; i++)
        for (size_t k = 0; store[i] && k < store[i]->count; k++, n++)
            all[n] = (struct seen){ store[i]->picture[k].hash, n, &store[i]->picture[k], i };
    qsort(all, count, sizeof *all, by_hash);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && all[end].hash == all[i].hash;) end++;
        const struct seen *other = find_other(&all[i], &all[end]);
        twice += other ? 1 : 0;
        if (!other || (first && first->place < all[i].place)) continue;
        first = &all[i];
        second = other;
    }
    struct rn_text line = {0};
    if (twice) {
        rn_text_add(&line, "%zu picture%s in more than one class, or in more than one of train, val and test; "
                    "the first: ", twice, twice == 1 ? " is" : "s are");
        rn_text_add(&line, "%s", rn_shown(first->picture->path).text);
        rn_text_add(&line, " and %s", rn_shown(second->picture->path).text);
        if (!strict) rn_text_add(notes, "%s\n", line.data ? line.data : "");
    }
    rn_status status = rn_text_status(&line);
    if (!status && twice && strict) status = rn_fail(RN_EINPUT, "%s", line.data);
    rn_text_free(&line);
    rn_free(all);
    return status ? status : rn_text_status(notes);
}
