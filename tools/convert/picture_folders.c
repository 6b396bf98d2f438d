/* picture_folders.c - a data set as folders of PNG files. */
#include "tools/convert/picture_folders.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/image.h"

#include <inttypes.h>
#include <string.h>

/* Whether the list of names, separated by commas, has this one. */
static bool has_name(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strcspn(at, ",") == length && !strncmp(at, name, length)) return true;
    return false;
}

static rn_status check_classes(const struct rn_dataset *set, const char *list)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const int length = (int)strcspn(at, ",");
        bool found = false;
        for (int k = 0; k < set->classes; k++)
            found |= strlen(set->class_names[k]) == (size_t)length && !strncmp(at, set->class_names[k], (size_t)length);
        if (!found) return rn_fail(RN_EUSAGE, "--classes: %s has no class '%.*s'", set->name, length, at);
    }
    return RN_OK;
}

static rn_status write_picture(const char *path, const uint8_t *planes, const struct rn_dataset *set, int size)
{
    const struct rn_box whole = { 0, 0, set->width, set->height };
    uint8_t *resized = size ? rn_alloc_array((size_t)size * (size_t)size, 3) : NULL, *bytes = NULL;
    void *scratch = size ? rn_alloc(rn_resize_scratch(set->width, set->height, size, size)) : NULL;
    size_t count;
    rn_status status = size && (!resized || !scratch) ? RN_ENOMEM : RN_OK;
    if (!status && size) rn_resize(resized, size, size, planes, set->width, set->height, &whole, scratch);
    if (!status)
        status = rn_png_encode(&bytes, &count, size ? resized : planes, size ? size : set->width,
                               size ? size : set->height);
    if (!status) status = rn_file_write(path, bytes, count);
    rn_free(bytes);
    rn_free(resized);
    rn_free(scratch);
    return status;
}

/* The pictures of one class in one part. */
static rn_status write_class(const char *folder, const char *part, const struct rn_dataset *set,
                             const struct rn_split *split, int label, const struct tool_pictures *how)
{
    const size_t bytes = 3 * (size_t)set->width * (size_t)set->height;
    struct rn_text path = {0};
    rn_text_add(&path, "%s/%s/%s", folder, part, set->class_names[label]);
    for (char *c = path.data ? path.data + strlen(folder) + strlen(part) + 2 : NULL; c && *c; c++)
        if (*c == '/') *c = '-';
    const size_t length = path.length;
    rn_status status = rn_text_status(&path);
    if (!status) status = rn_folder_make(path.data);
    int64_t written = 0;
    for (int64_t i = 0; i < split->count && !status && (!how->limit || written < how->limit); i++) {
        if (split->labels[i] != label) continue;
        path.length = length;
        rn_text_add(&path, "/%05" PRId64 ".png", i);
        status = rn_text_status(&path);
        if (!status) status = write_picture(path.data, split->pixels + (size_t)i * bytes, set, how->size);
        written++;
    }
    rn_text_free(&path);
    return status;
}

rn_status tool_write_pictures(const char *folder, const struct rn_dataset *set, const struct tool_pictures *how)
{
    rn_status status = check_classes(set, how->classes);
    if (status) return status;
    if (set->train.store) return rn_fail(RN_EUSAGE, "%s lies in files already", set->spec);
    if (rn_path_exists(folder)) return rn_fail(RN_EUSAGE, "%s exists; a new folder is needed", folder);
    for (int k = 0; k < set->classes && !status; k++) {
        if (how->classes && !has_name(how->classes, set->class_names[k])) continue;
        status = write_class(folder, "train", set, &set->train, k, how);
        if (!status) status = write_class(folder, "val", set, &set->val, k, how);
    }
    return status;
}
