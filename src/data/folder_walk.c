/*
 * folder_walk.c - the names in a folder, and the files of a class in one order on every machine.
 *
 * Folders are told apart by device and inode: whoever links back to a folder that was seen already, or to one
 * above the class, is listed and not followed, so that no file counts twice and no walk is endless.
 */
#define _POSIX_C_SOURCE 200809L
#include "data/folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/sets.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST_FOLDERS 65536 /* of a class */

/* -- names ------------------------------------------------------------------------------------- */

void rn_names_free(struct rn_names *names)
{
    for (size_t i = 0; i < names->count; i++) rn_free(names->name[i]);
    rn_free(names->name);
    *names = (struct rn_names){0};
}

rn_status rn_names_add(struct rn_names *names, const char *name)
{
    if (names->count == names->room) {
        const size_t room = names->room ? 2 * names->room : 64, one = sizeof *names->name;
        char **grown = rn_realloc(names->name, names->room * one, room * one);
        if (!grown) return RN_ENOMEM;
        names->name = grown;
        names->room = room;
    }
    if (!(names->name[names->count] = rn_strdup(name))) return RN_ENOMEM;
    names->count++;
    return RN_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void rn_names_sort(struct rn_names *names)
{
    if (names->count) qsort(names->name, names->count, sizeof *names->name, by_bytes);
}

bool rn_letters_alike(const char *text, const char *word, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
        if (c != word[i]) return false;
    }
    return true;
}

static rn_status fail_read(const char *folder, int error)
{
    const bool machine = error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO;
    return rn_fail(machine ? RN_EIO : RN_EINPUT, "%s: cannot read this folder: %s", rn_shown(folder).text,
                   strerror(error));
}

rn_status rn_names_read(struct rn_names *names, const char *folder)
{
    rn_status status = RN_OK;
    *names = (struct rn_names){0};
    DIR *dir = opendir(folder);
    if (!dir) return fail_read(folder, errno);
    while (!status) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry && errno) status = fail_read(folder, errno);
        if (!entry) break;
        if (entry->d_name[0] != '.') status = rn_names_add(names, entry->d_name);
    }
    closedir(dir);
    if (status) rn_names_free(names);
    rn_names_sort(names);
    return status;
}

/* -- the walk ---------------------------------------------------------------------------------- */

struct place { dev_t device; ino_t inode; };

struct walk {
    struct rn_store *store;
    int32_t label;
    struct rn_skipped *skipped;
    struct place *seen;
    size_t count, room;
};

static rn_status remember(struct walk *w, const struct stat *info)
{
    if (w->count == w->room) {
        const size_t room = w->room ? 2 * w->room : 64;
        struct place *grown = rn_realloc(w->seen, w->room * sizeof *w->seen, room * sizeof *w->seen);
        if (!grown) return RN_ENOMEM;
        w->seen = grown;
        w->room = room;
    }
    w->seen[w->count++] = (struct place){ info->st_dev, info->st_ino };
    return RN_OK;
}

static bool is_seen(const struct walk *w, const struct stat *info)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->seen[i].device == info->st_dev && w->seen[i].inode == info->st_ino) return true;
    return false;
}

/* limit: what was exceeded, or 0. */
static rn_status skip_folder(const struct walk *w, const char *path, const char *why, int limit)
{
    struct rn_text line = {0};
    rn_text_add(&line, "%s: %s", rn_shown(path).text, why);
    if (limit) rn_text_add(&line, " (at most %d are read)", limit);
    rn_status status = rn_text_status(&line);
    if (!status) status = rn_skip(w->skipped, line.data);
    rn_text_free(&line);
    return status;
}

static rn_status walk_folder(struct walk *w, const char *path, const struct stat *info, int depth);

/* What systems put into folders unasked, and is meant to be no picture. */
static bool is_furniture(const char *name)
{
    static const char *const word[] = { "thumbs.db", "ehthumbs.db", "desktop.ini" };
    for (size_t i = 0; i < RN_COUNT(word); i++)
        if (rn_letters_alike(name, word[i], strlen(word[i]) + 1)) return true;
    return false;
}

static rn_status walk_entry(struct walk *w, const char *path, int depth)
{
    struct stat info;
    const bool there = stat(path, &info) == 0;
    if (there && S_ISDIR(info.st_mode)) return walk_folder(w, path, &info, depth + 1);
    if (there && S_ISREG(info.st_mode) && is_furniture(strrchr(path, '/') + 1)) return RN_OK;
    return rn_store_add(w->store, path, w->label); /* whatever else it is: reading it will tell */
}

static rn_status walk_folder(struct walk *w, const char *path, const struct stat *info, int depth)
{
    struct rn_names names;
    if (is_seen(w, info)) return skip_folder(w, path, "leads back to a folder that was read already", 0);
    if (depth > RN_FOLDER_DEPTH) return skip_folder(w, path, "too deep in other folders", RN_FOLDER_DEPTH);
    if (w->count >= MOST_FOLDERS) return skip_folder(w, path, "too many folders in a class", MOST_FOLDERS);
    rn_status status = remember(w, info);
    if (status) return status;
    status = rn_names_read(&names, path);
    if (status) return status == RN_EINPUT ? rn_skip(w->skipped, rn_error()) : status;
    for (size_t i = 0; i < names.count && !status; i++) {
        char *inner = rn_path_join(path, names.name[i]);
        status = inner ? walk_entry(w, inner, depth) : RN_ENOMEM;
        rn_free(inner);
    }
    rn_names_free(&names);
    return status;
}

rn_status rn_walk_class(struct rn_store *store, int32_t label, const char *folder, const char *const *above,
                        struct rn_skipped *skipped)
{
    struct walk w = { .store = store, .label = label, .skipped = skipped };
    struct stat info;
    rn_status status = RN_OK;
    for (; *above && !status; above++)
        if (stat(*above, &info) == 0) status = remember(&w, &info);
    if (!status && stat(folder, &info) != 0) status = skip_folder(&w, folder, strerror(errno), 0);
    else if (!status) status = walk_folder(&w, folder, &info, 0);
    rn_free(w.seen);
    return status;
}
