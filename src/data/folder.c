/*
 * folder.c - data sets as people have them: DIR/train, DIR/val and DIR/test with a folder of pictures for each
 * class, or only one of these levels.
 *
 * Everything is in the order of bytes of names, classes and files alike, so that a data set is the same on every
 * machine and in every language.  What is divided is divided before a file is read: a picture that is damaged
 * later moves no other one from training to validation.  A class is what has a usable picture in train; where
 * there is no train and nobody asks for it, in any part.
 */
#include "data/folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "data/sets.h"

#include <inttypes.h>
#include <string.h>

#define IMAGE_SIZE 224
#define CLASS_NAME 1024    /* NAME_MAX bytes, each written as \xNN */
#define NAMES_SHOWN 20     /* of a list in a message */

enum { TRAIN, VAL, TEST, PARTS };

struct part {
    char *path;             /* NULL: there is no such folder */
    struct rn_store *store; /* of its files; val's also where they are a share of train's */
    int64_t *files;         /* [classes]: of each class, as last counted */
};

struct reader {
    const struct rn_dataset_options *options;
    const char *root;
    int image_size, resize;
    bool only_test;          /* part[VAL] is the folder's test, and all there is */
    struct part part[PARTS];
    struct rn_names classes; /* class folders of any part: a picture's label is its class's place here */
    struct rn_skipped skipped;
    struct rn_text notes;    /* what is only said */
};

/* -- where things are -------------------------------------------------------------------------- */

/* The folder of a part, under any of its names. */
static rn_status find_part(struct reader *r, int part, const char *const *names)
{
    const char *found = NULL;
    for (; *names; names++) {
        char *path = rn_path_join(r->root, *names);
        if (!path) return RN_ENOMEM;
        if (!rn_folder_exists(path)) {
            rn_free(path);
            continue;
        }
        rn_free(r->part[part].path);
        r->part[part].path = path;
        if (found)
            return rn_fail(RN_EINPUT, "%s: has both %s and %s; which is meant?", rn_shown(r->root).text,
                           found, *names);
        found = *names;
    }
    return RN_OK;
}

/* The only images there are validate, whatever their folder is called. */
static void find_only_test(struct reader *r)
{
    r->only_test = !r->part[VAL].path;
    if (!r->only_test) return;
    r->part[VAL].path = r->part[TEST].path;
    r->part[TEST].path = NULL;
}

static rn_status find_parts(struct reader *r)
{
    static const char *const train[] = { "train", NULL }, *const val[] = { "val", "valid", "validation", NULL },
                      *const test[] = { "test", NULL };
    rn_status status;
    if (!rn_folder_exists(r->root))
        return rn_fail(RN_EINPUT, "%s: %s", rn_shown(r->root).text,
                       rn_path_exists(r->root) ? "is no folder" : "no such folder");
    if ((status = rn_folder_beside(&r->notes, r->root)) || (status = find_part(r, TRAIN, train)) ||
        (status = find_part(r, VAL, val)) || (status = find_part(r, TEST, test)))
        return status;
    if (r->part[TRAIN].path) return RN_OK;
    const char *stray = r->part[VAL].path ? r->part[VAL].path : r->part[TEST].path;
    if (stray && r->options->no_train) {
        find_only_test(r);
        return RN_OK;
    }
    if (stray)
        return rn_fail(RN_EINPUT, "%s: has %s but no train", rn_shown(r->root).text,
                       rn_shown(strrchr(stray, '/') + 1).text);
    rn_text_free(&r->notes); /* the folders are the classes */
    return (r->part[TRAIN].path = rn_strdup(r->root)) ? RN_OK : RN_ENOMEM;
}

/* The folder of train, or of the first part there is. */
static const char *any_path(const struct reader *r)
{
    for (int i = 0; i < PARTS; i++)
        if (r->part[i].path) return r->part[i].path;
    return r->root;
}

/* Adds the class folders of a part to the list; what lies beside them is not looked at. */
static rn_status list_classes(struct reader *r, const struct part *part)
{
    struct rn_names names;
    rn_status status = part->path ? rn_names_read(&names, part->path) : RN_OK;
    if (status || !part->path) return status;
    for (size_t i = 0; i < names.count && !status; i++) {
        char *path = rn_path_join(part->path, names.name[i]);
        if (!path) status = RN_ENOMEM;
        else if (rn_folder_exists(path)) status = rn_names_add(&r->classes, names.name[i]);
        rn_free(path);
    }
    rn_names_free(&names);
    return status;
}

static void drop_doubles(struct rn_names *sorted)
{
    size_t kept = 0;
    for (size_t i = 0; i < sorted->count; i++) {
        if (kept && !strcmp(sorted->name[kept - 1], sorted->name[i])) rn_free(sorted->name[i]);
        else sorted->name[kept++] = sorted->name[i];
    }
    sorted->count = kept;
}

/* The files of one class of a part. */
static rn_status list_class(struct reader *r, struct part *part, size_t label)
{
    const bool nested = strcmp(part->path, r->root) != 0;
    const char *const above[] = { r->root, nested ? part->path : NULL, NULL };
    const size_t files = part->store->count;
    const int64_t skipped = r->skipped.count;
    char *path = rn_path_join(part->path, r->classes.name[label]);
    rn_status status = path ? RN_OK : RN_ENOMEM;
    if (path && rn_folder_exists(path)) {
        status = rn_walk_class(part->store, (int32_t)label, path, above, &r->skipped);
        if (!status && part->store->count == files && r->skipped.count == skipped) {
            rn_fail(RN_EINPUT, "%s: a class folder without files", rn_shown(path).text);
            status = rn_skip(&r->skipped, rn_error());
        }
    }
    rn_free(path);
    return status;
}

static rn_status list_files(struct reader *r)
{
    rn_status status = RN_OK;
    for (int i = 0; i < PARTS && !status; i++) status = list_classes(r, &r->part[i]);
    if (status) return status;
    rn_names_sort(&r->classes);
    drop_doubles(&r->classes);
    if (r->classes.count == 0)
        return rn_fail(RN_EINPUT, "%s: no class folders in it: pictures lie in a folder for each class",
                       rn_shown(any_path(r)).text);
    for (int i = 0; i < PARTS && !status; i++) {
        struct part *part = &r->part[i];
        if (!(part->files = rn_alloc_array(r->classes.count, sizeof *part->files))) return RN_ENOMEM;
        status = rn_store_create(&part->store, r->resize, i == TRAIN && r->options->originals);
        for (size_t k = 0; k < r->classes.count && part->path && !status; k++)
            status = list_class(r, part, k);
    }
    return status;
}

/* -- dividing train ---------------------------------------------------------------------------- */

/* Marks the share of `count` files of a class that goes to val: rounded, but one at least on either side. */
static void draw(bool *marked, uint32_t *order, uint32_t count, const struct reader *r, uint32_t label)
{
    const double share = r->options->val_split > 0 ? r->options->val_split : RN_VAL_SPLIT;
    uint32_t taken = (uint32_t)((double)count * share + 0.5);
    if (count < 2) return;
    taken = RN_MAX(1, RN_MIN(taken, count - 1));
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; i-- > 1;) {
        struct rn_random random = rn_random(r->options->seed, RN_RANDOM_SPLIT, label, i);
        const uint32_t j = rn_random_below(&random, i + 1), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    for (uint32_t i = 0; i < taken; i++) marked[order[i]] = true;
}

/* Class by class, by Fisher-Yates keyed by (seed, split, class, place): what goes to val keeps its order. */
static rn_status divide(struct reader *r)
{
    struct rn_store *train = r->part[TRAIN].store;
    bool *marked = rn_alloc_array(train->count, sizeof *marked);
    uint32_t *order = rn_alloc_array(train->count, sizeof *order);
    rn_status status = marked && order ? RN_OK : RN_ENOMEM;
    for (size_t i = 0, end; !status && i < train->count; i = end) {
        const int32_t label = train->picture[i].label;
        for (end = i; end < train->count && train->picture[end].label == label;) end++;
        draw(marked + i, order, (uint32_t)(end - i), r, (uint32_t)label);
    }
    if (!status) status = rn_store_move(r->part[VAL].store, train, marked);
    rn_free(marked);
    rn_free(order);
    return status;
}

/* -- classes ----------------------------------------------------------------------------------- */

static void count_files(struct reader *r)
{
    for (int i = 0; i < PARTS; i++) {
        const struct rn_store *store = r->part[i].store;
        memset(r->part[i].files, 0, r->classes.count * sizeof *r->part[i].files);
        for (size_t k = 0; k < store->count; k++) r->part[i].files[store->picture[k].label]++;
    }
}

/* The classes of a part that have files: "cat, dog". */
static void add_classes(struct rn_text *t, const struct reader *r, int part)
{
    int shown = 0, count = 0;
    for (size_t k = 0; k < r->classes.count; k++) {
        if (!r->part[part].files[k]) continue;
        count++;
        if (shown == NAMES_SHOWN) continue;
        rn_text_add(t, "%s%s", shown ? ", " : "", rn_shown(r->classes.name[k]).text);
        shown++;
    }
    if (shown < count) rn_text_add(t, " and %d more", count - shown);
    if (!count) rn_text_add(t, "none");
}

/* Why a class may lack images: what was left out. */
static void add_first_skipped(struct rn_text *t, const struct reader *r)
{
    const struct rn_text *lines = &r->skipped.lines;
    if (lines->length)
        rn_text_add(t, "; the first that could not be used: %.*s", (int)strcspn(lines->data, "\n"), lines->data);
}

static rn_status fail_foreign(const struct reader *r, int part, size_t label)
{
    const char *name = part == VAL ? "val" : "test";
    struct rn_text t = {0};
    rn_text_add(&t, "%s: ", rn_shown(r->root).text);
    rn_text_add(&t, "%s has a class without images in train, \"%s\"; classes of train: ", name,
                rn_shown(r->classes.name[label]).text);
    add_classes(&t, r, TRAIN);
    rn_text_add(&t, "; of %s: ", name);
    add_classes(&t, r, part);
    add_first_skipped(&t, r);
    rn_status status = rn_text_status(&t);
    if (!status) status = rn_fail(RN_EINPUT, "%s", t.data);
    rn_text_free(&t);
    return status;
}

/* Files that make a class one. */
static int64_t class_files(const struct reader *r, size_t class)
{
    int64_t count = r->part[TRAIN].files[class];
    if (!r->part[TRAIN].path) count += r->part[VAL].files[class] + r->part[TEST].files[class];
    return count;
}

/* No net could answer with a class that it was not trained on. */
static rn_status check_classes(struct reader *r)
{
    count_files(r);
    for (int i = VAL; i < PARTS; i++)
        for (size_t k = 0; k < r->classes.count; k++)
            if (r->part[i].files[k] && !class_files(r, k)) return fail_foreign(r, i, k);
    return RN_OK;
}

static rn_status fail_few(const struct reader *r, int classes)
{
    struct rn_text t = {0};
    const int part = r->part[TRAIN].path ? TRAIN : VAL;
    rn_text_add(&t, "%s: %simages of %d class%s (", rn_shown(any_path(r)).text,
                part == TRAIN ? "training " : "", classes, classes == 1 ? "" : "es");
    add_classes(&t, r, part);
    rn_text_add(&t, "); two are needed");
    add_first_skipped(&t, r);
    rn_status status = rn_text_status(&t);
    if (!status) status = rn_fail(RN_EINPUT, "%s", t.data);
    rn_text_free(&t);
    return status;
}

/* Says which class folders are empty handed after the scan, though they had files. */
static rn_status list_useless(struct reader *r, const int64_t *before, int part)
{
    rn_status status = RN_OK;
    for (size_t k = 0; k < r->classes.count && !status; k++) {
        if (!before[k] || r->part[part].files[k]) continue;
        rn_fail(RN_EINPUT, "%s: class \"%s\": none of its %" PRId64 " files can be used",
                rn_shown(r->part[part].path).text, rn_shown(r->classes.name[k]).text, before[k]);
        status = rn_skip(&r->skipped, rn_error());
    }
    return status;
}

/* -- reading ----------------------------------------------------------------------------------- */

static bool is_unused(const struct reader *r, int part)
{
    return (part == TRAIN && r->options->no_train) || (part == TEST && r->options->no_test);
}

static rn_status scan_parts(struct reader *r)
{
    const struct rn_dataset_options *o = r->options;
    struct rn_scan scan = { .threads = RN_MAX(o->threads, 1), .cache_bytes = o->cache_bytes,
                            .headers = o->headers, .skipped = &r->skipped, .progress = o->progress, .arg = o->arg };
    rn_status status = RN_OK;
    for (int i = 0; i < PARTS; i++)
        if (!is_unused(r, i)) scan.total += (int64_t)r->part[i].store->count;
    for (int i = 0; i < PARTS && !status; i++)
        status = is_unused(r, i) ? rn_store_probe(r->part[i].store) : rn_store_scan(r->part[i].store, &scan);
    return status;
}

/* Every usable file, and what the others are. */
static rn_status read_files(struct reader *r)
{
    const size_t classes = r->classes.count;
    int64_t *before = rn_alloc_array(PARTS * classes, sizeof *before);
    rn_status status = before ? RN_OK : RN_ENOMEM;
    for (int i = 0; i < PARTS && before; i++)
        memcpy(before + (size_t)i * classes, r->part[i].files, classes * sizeof *before);
    if (!status) status = scan_parts(r);
    if (!status) count_files(r);
    for (int i = 0; i < PARTS && !status; i++)
        if (!is_unused(r, i) && r->part[i].path) status = list_useless(r, before + (size_t)i * classes, i);
    rn_free(before);
    return status;
}

static rn_status compare_files(struct reader *r)
{
    const struct rn_store *scanned[PARTS];
    for (int i = 0; i < PARTS; i++) scanned[i] = is_unused(r, i) ? NULL : r->part[i].store;
    return rn_folder_twice(&r->notes, scanned, PARTS, r->options->strict);
}

/* -- the data set ------------------------------------------------------------------------------ */

/* The labels of a part's pictures, whose store the split takes over. */
static rn_status give_split(struct rn_split *split, struct part *part, const int32_t *number)
{
    split->store = part->store;
    part->store = NULL;
    if (!(split->labels = rn_alloc_array(split->store->count, sizeof *split->labels))) return RN_ENOMEM;
    for (size_t i = 0; i < split->store->count; i++) split->labels[i] = number[split->store->picture[i].label];
    split->count = (int64_t)split->store->count;
    return RN_OK;
}

static rn_status describe(struct rn_dataset *set, const struct reader *r, const int32_t *number, int classes)
{
    static const double mean[3] = { 0.485, 0.456, 0.406 }, std[3] = { 0.229, 0.224, 0.225 }; /* ImageNet's */
    char (*shown)[CLASS_NAME] = rn_alloc_array((size_t)classes, sizeof *shown);
    const char **name = rn_alloc_array((size_t)classes, sizeof *name);
    rn_status status = RN_ENOMEM;
    if (shown && name) {
        for (size_t k = 0; k < r->classes.count; k++) {
            const char *raw = r->classes.name[k];
            const int32_t n = number[k];
            if (n >= 0) name[n] = rn_printable(shown[n], CLASS_NAME, raw, strlen(raw));
        }
        status = rn_dataset_describe(set, "folder", r->image_size, name, classes, mean, std);
    }
    rn_free(shown);
    rn_free(name);
    return status;
}

/* Classes with training images are numbered anew; set and splits from them. */
static rn_status finish(struct rn_dataset *set, struct reader *r)
{
    int32_t *number = rn_alloc_array(r->classes.count, sizeof *number), classes = 0;
    struct rn_split *const split[PARTS] = { &set->train, &set->val, &set->test };
    rn_status status = RN_OK;
    if (!number) return RN_ENOMEM;
    for (size_t k = 0; k < r->classes.count; k++) number[k] = class_files(r, k) ? classes++ : -1;
    if (classes < 2) status = fail_few(r, classes);
    if (!status) status = describe(set, r, number, classes);
    set->has_test = r->part[TEST].path;
    set->divided = !r->part[VAL].path;
    set->only_test = r->only_test;
    for (int i = 0; i < PARTS && !status; i++)
        if (!is_unused(r, i) && (i != TEST || set->has_test))
            status = give_split(split[i], &r->part[i], number);
    rn_free(number);
    set->skipped = r->skipped.count;
    set->skipped_list = r->skipped.lines.data;
    r->skipped.lines = (struct rn_text){0};
    set->notes = r->notes.data;
    r->notes = (struct rn_text){0};
    return status;
}

static rn_status check_sizes(struct reader *r)
{
    const struct rn_dataset_options *o = r->options;
    r->image_size = o->image_size ? o->image_size : IMAGE_SIZE;
    r->resize = o->resize ? o->resize : rn_resize_side(r->image_size);
    if (r->resize < r->image_size)
        return rn_fail(RN_EUSAGE, "a short side of %d is too small for crops of %d", r->resize, r->image_size);
    if (!(o->val_split >= 0 && o->val_split < 1))
        return rn_fail(RN_EUSAGE, "the share of images for validation lies between 0 and 1");
    return RN_OK;
}

rn_status rn_folder_read(struct rn_dataset *set, const char *folder, const struct rn_dataset_options *options)
{
    struct reader r = { .options = options, .root = folder, .skipped.strict = options->strict };
    rn_status status = check_sizes(&r);
    if (!status) status = find_parts(&r);
    if (!status) status = list_files(&r);
    if (!status && !r.part[VAL].path) status = divide(&r);
    if (!status) status = check_classes(&r);
    if (!status) status = read_files(&r);
    if (!status) status = check_classes(&r);
    if (!status) status = compare_files(&r);
    if (!status) status = finish(set, &r);
    for (int i = 0; i < PARTS; i++) {
        rn_store_free(r.part[i].store);
        rn_free(r.part[i].path);
        rn_free(r.part[i].files);
    }
    rn_names_free(&r.classes);
    rn_text_free(&r.skipped.lines);
    rn_text_free(&r.notes);
    return status;
}
