/*
 * config.c - settings from files: `key = value` a line, # begins a comment.  The keys are the flags'
 * names.  A preset is such a file under tools/presets.  Every complaint names file and line.
 */
#define _POSIX_C_SOURCE 200809L

#include "tools/cli/private.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_LIMIT (1 << 20)
#define PATH_LIMIT 4096
#define NAME_LIMIT 64 /* of a preset, with its zero */

/* Cuts white space off both ends; returns the new begin. */
static char *trim(char *text)
{
    static const char space[] = " \t\r";
    text += strspn(text, space);
    size_t length = strlen(text);
    while (length && strchr(space, text[length - 1])) length--;
    text[length] = '\0';
    return text;
}

/* A comment begins a line or follows white space. */
static void cut_comment(char *line)
{
    for (char *p = line; (p = strchr(p, '#')); p++)
        if (p == line || p[-1] == ' ' || p[-1] == '\t') {
            *p = '\0';
            return;
        }
}

/* seen[row]: the line of this file that set the row, or 0. */
static rn_status read_line(struct opt_set *o, int seen[OPT_LIMIT], char *line, const char *path,
                           int number)
{
    char where[PATH_LIMIT + 160], shown[80], hint[128];
    cut_comment(line);
    line = trim(line);
    if (!*line) return RN_OK;
    char *equals = strchr(line, '=');
    if (!equals)
        return rn_fail(RN_EUSAGE, "%s:%d: \"%s\" is not `key = value`", path, number,
                       rn_printable(shown, sizeof shown, line, strlen(line)));
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    rn_printable(shown, sizeof shown, key, strlen(key));
    int row = opt_row(o, key, strlen(key));
    if (row < 0) {
        opt_suggest(hint, sizeof hint, o, key, "");
        return rn_fail(RN_EUSAGE, "%s:%d: unknown key \"%s\"; %s", path, number, shown, hint);
    }
    if (opt_steers(o->row[row]))
        return rn_fail(RN_EUSAGE, "%s:%d: %s is a flag only, not a key", path, number, shown);
    if (seen[row])
        return rn_fail(RN_EUSAGE, "%s:%d: %s stands in line %d already", path, number, shown,
                       seen[row]);
    seen[row] = number;
    snprintf(where, sizeof where, "%s:%d: %s", path, number, shown);
    return opt_assign(o, row, value, OPT_FILE, where);
}

rn_status opt_read_config(struct opt_set *o, const char *path)
{
    unsigned char *data;
    size_t bytes;
    int seen[OPT_LIMIT] = {0};
    rn_status status = rn_file_read(&data, &bytes, path, FILE_LIMIT);
    if (status) return status;
    char *line = (char *)data, *end = line + bytes;
    if (bytes >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) line += 3; /* a byte order mark */
    for (int number = 1; !status && line < end; number++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        *stop = '\0';
        if (memchr(line, '\0', (size_t)(stop - line)))
            status = rn_fail(RN_EUSAGE, "%s:%d: a zero byte; this is not a text file", path, number);
        else
            status = read_line(o, seen, line, path, number);
        line = stop + 1;
    }
    rn_free(data);
    return status;
}

/* -- presets -------------------------------------------------------------------------------------- */

/* The folder of the running program, "." where the system does not say. */
static void program_folder(char out[PATH_LIMIT])
{
    ssize_t length = readlink("/proc/self/exe", out, PATH_LIMIT - 1);
    out[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) *slash = '\0';
    else snprintf(out, PATH_LIMIT, ".");
}

#define PRESET_FOLDERS 3

/* Beside the program, in the working folder's tree, and where `make install` puts them. */
static void preset_folders(char folder[PRESET_FOLDERS][PATH_LIMIT + 32])
{
    char program[PATH_LIMIT];
    program_folder(program);
    snprintf(folder[0], PATH_LIMIT + 32, "%s/tools/presets", program);
    snprintf(folder[1], PATH_LIMIT + 32, "tools/presets");
    snprintf(folder[2], PATH_LIMIT + 32, "%s/../share/resnet/presets", program);
}

/* Appends the presets of a folder to `names`; at most `max` of them, counted in *count. */
static void list_presets(char names[][NAME_LIMIT], size_t *count, size_t max, const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; *count < max && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length <= 5 || length >= NAME_LIMIT || strcmp(entry->d_name + length - 5, ".conf")) continue;
        snprintf(names[(*count)++], NAME_LIMIT, "%.*s", (int)(length - 5), entry->d_name);
    }
    closedir(dir);
}

static rn_status unknown_preset(char folder[PRESET_FOLDERS][PATH_LIMIT + 32], const char *name)
{
    char names[64][NAME_LIMIT];
    const char *candidate[64];
    size_t count = 0;
    for (int i = 0; i < PRESET_FOLDERS; i++) list_presets(names, &count, RN_COUNT(names), folder[i]);
    for (size_t i = 0; i < count; i++) candidate[i] = names[i];
    const char *nearest = rn_nearest(name, candidate, count);
    if (nearest)
        return rn_fail(RN_EUSAGE, "--preset: there is no preset \"%.60s\"; did you mean %s?", name, nearest);
    return rn_fail(RN_EUSAGE, "--preset: there is no preset \"%.60s\"; they are the files NAME.conf in "
                   "tools/presets, and --config takes a path", name);
}

rn_status opt_read_preset(struct opt_set *o, const char *name)
{
    char folder[PRESET_FOLDERS][PATH_LIMIT + 32], path[PATH_LIMIT + 128];
    preset_folders(folder);
    bool plain = !strchr(name, '/') && strlen(name) < NAME_LIMIT;
    for (int i = 0; plain && i < PRESET_FOLDERS; i++) {
        int length = snprintf(path, sizeof path, "%s/%s.conf", folder[i], name);
        if (length < (int)sizeof path && rn_path_exists(path)) return opt_read_config(o, path);
    }
    return unknown_preset(folder, name);
}
