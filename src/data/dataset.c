/*
 * dataset.c - opens a data set by its spec, KIND or KIND:ARGUMENT, and frees it again.
 */
#include "data/sets.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/store.h"

#include <string.h>

static rn_status open_demo(struct rn_dataset *set, const char *size, const struct rn_dataset_options *options)
{
    const int image_size = options->image_size;
    int64_t side = image_size ? image_size : 32;
    if (size) {
        if (!rn_parse_int(&side, size))
            return rn_fail(RN_EUSAGE, "data set %s: '%s' is no image size; it has 32, 64 and 224",
                           set->spec, rn_shown(size).text);
        if (image_size && side != image_size)
            return rn_fail(RN_EUSAGE, "data set %s and an image size of %d contradict each other",
                           set->spec, image_size);
    }
    return rn_demo_make(set, side);
}

static rn_status open_cifar10(struct rn_dataset *set, const char *folder,
                              const struct rn_dataset_options *options)
{
    (void)options;
    return rn_cifar10_read(set, folder);
}

static rn_status open_fashion(struct rn_dataset *set, const char *folder,
                              const struct rn_dataset_options *options)
{
    (void)options;
    return rn_idx_read(set, folder, true);
}

static rn_status open_mnist(struct rn_dataset *set, const char *folder,
                            const struct rn_dataset_options *options)
{
    (void)options;
    return rn_idx_read(set, folder, false);
}


/* The kinds; `needs`: what must follow the colon, NULL where nothing has to. */
static const struct kind {
    const char *name, *needs;
    rn_status (*open)(struct rn_dataset *set, const char *argument, const struct rn_dataset_options *options);
} kinds[] = {
    { "demo", NULL, open_demo },
    { "cifar10", "DIR", open_cifar10 },
    { "fashion-mnist", "DIR", open_fashion },
    { "mnist", "DIR", open_mnist },
    { "folder", "DIR", rn_folder_read },
};

const char *rn_dataset_kinds(void)
{
    return "demo[:SIZE] | cifar10:DIR | fashion-mnist:DIR | mnist:DIR | folder:DIR";
}

static rn_status fail_kind(const char *word)
{
    const char *names[RN_COUNT(kinds)];
    for (size_t i = 0; i < RN_COUNT(kinds); i++) names[i] = kinds[i].name;
    const char *near = rn_nearest(word, names, RN_COUNT(kinds));
    return rn_fail(RN_EUSAGE, "no data set of kind '%s'%s%s%s; there are %s", rn_shown(word).text,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "",
                   rn_dataset_kinds());
}

/* Cuts `word` at its colon and opens what it names. */
static rn_status open_word(struct rn_dataset *set, char *word, const struct rn_dataset_options *options)
{
    char *argument = strchr(word, ':');
    if (argument) *argument++ = '\0';
    for (size_t i = 0; i < RN_COUNT(kinds); i++) {
        if (strcmp(word, kinds[i].name) != 0) continue;
        if (kinds[i].needs && (!argument || *argument == '\0'))
            return rn_fail(RN_EUSAGE, "data set %s needs a folder: %s:%s", word, word,
                           kinds[i].needs);
        return kinds[i].open(set, argument, options);
    }
    return fail_kind(word);
}

int rn_resize_side(int image_size)
{
    return (16 * image_size + 7) / 14; /* image_size / 0.875, halves up */
}

rn_status rn_dataset_open(struct rn_dataset **set, const char *spec, const struct rn_dataset_options *options)
{
    static const struct rn_dataset_options none;
    rn_status status = RN_ENOMEM;
    *set = NULL;
    struct rn_dataset *made = rn_alloc(sizeof *made);
    char *word = rn_strdup(spec);
    if (made && word && (made->spec = rn_strdup(spec))) status = open_word(made, word, options ? options : &none);
    rn_free(word);
    if (made && !made->has_test) made->test = made->val;
    if (status == RN_OK) *set = made;
    else rn_dataset_close(made);
    return status;
}

static void split_free(struct rn_split *split)
{
    rn_free(split->pixels);
    rn_free(split->labels);
    rn_store_free(split->store);
}

void rn_dataset_close(struct rn_dataset *set)
{
    if (!set) return;
    split_free(&set->train);
    split_free(&set->val);
    if (set->has_test) split_free(&set->test);
    if (set->class_names)
        for (int k = 0; k < set->classes; k++) rn_free(set->class_names[k]);
    rn_free(set->class_names);
    rn_free(set->name);
    rn_free(set->skipped_list);
    rn_free(set->notes);
    rn_free(set->spec);
    rn_free(set);
}

static void hash_split(struct rn_hash *h, const struct rn_split *split)
{
    rn_hash_u64(h, (uint64_t)split->count);
    for (int64_t i = 0; i < split->count; i++) {
        rn_hash_u64(h, split->store->picture[i].hash);
        rn_hash_u64(h, (uint64_t)split->labels[i]);
    }
}

uint64_t rn_dataset_hash(const struct rn_dataset *set)
{
    struct rn_hash h;
    if (!set->train.store || !set->val.store) return 0;
    rn_hash_begin(&h, 0);
    hash_split(&h, &set->train);
    hash_split(&h, &set->val);
    return rn_hash_end(&h);
}

rn_status rn_dataset_describe(struct rn_dataset *set, const char *name, int side,
                              const char *const *class_names, int classes, const double mean[3],
                              const double std[3])
{
    set->channels = 3;
    set->height = set->width = side;
    set->classes = classes;
    memcpy(set->mean, mean, sizeof set->mean);
    memcpy(set->std, std, sizeof set->std);
    if (!(set->name = rn_strdup(name))) return RN_ENOMEM;
    if (!(set->class_names = rn_alloc_array((size_t)classes, sizeof *set->class_names)))
        return RN_ENOMEM;
    for (int k = 0; k < classes; k++)
        if (!(set->class_names[k] = rn_strdup(class_names[k]))) return RN_ENOMEM;
    return RN_OK;
}

rn_status rn_split_make(struct rn_split *split, const struct rn_dataset *set, int64_t count)
{
    size_t image = (size_t)set->channels * (size_t)set->height * (size_t)set->width;
    split->pixels = rn_alloc_array((size_t)count, image);
    split->labels = rn_alloc_array((size_t)count, sizeof *split->labels);
    if (!split->pixels || !split->labels) return RN_ENOMEM;
    split->count = count;
    return RN_OK;
}

struct rn_shown rn_shown(const char *text)
{
    struct rn_shown s;
    rn_printable(s.text, sizeof s.text, text, strlen(text));
    return s;
}

rn_status rn_next_item(char *item, size_t size, const char **rest, const char *list, const char *what)
{
    const size_t length = strcspn(*rest, ",");
    if (length == 0 || length >= size)
        return rn_fail(RN_EUSAGE, "%s '%s': an item is %s", what, rn_shown(list).text, length ? "too long" : "empty");
    memcpy(item, *rest, length);
    item[length] = '\0';
    *rest = (*rest)[length] ? *rest + length + 1 : NULL;
    return RN_OK;
}
