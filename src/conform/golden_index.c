/*
 * golden_index.c - reads index.json of a golden pack and believes nothing: its own hash first, then
 * JSON, then that every case is the one this build knows at that place, with a file name that stays
 * inside the folder.
 */
#include "conform/golden.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/real.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT ((size_t)4 << 20) /* bytes of index.json; a real one has some 50 thousand */
#define DIGITS 16

/* Length of a line without its newline. */
static size_t line_length(const char *line, const char *end)
{
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    return (size_t)((newline ? newline : end) - line);
}

/* The line's seal, where it has one. */
static const char *find_seal(const char *line, size_t length)
{
    size_t tag = strlen(RN_GOLDEN_SEAL);
    for (size_t i = length; i-- > 0;)
        if (length - i >= tag && memcmp(line + i, RN_GOLDEN_SEAL, tag) == 0) return line + i;
    return NULL;
}

/* Letter by letter, since 0xA is no change of 0xa. */
static bool digits_say(const char *digits, size_t left, uint64_t hash)
{
    char text[DIGITS + 1];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return left >= DIGITS && memcmp(digits, text, DIGITS) == 0;
}

static bool seal_holds(const char *line, size_t length)
{
    const char *seal = find_seal(line, length),
               *digits = seal ? seal + strlen(RN_GOLDEN_SEAL) : NULL;
    return seal && digits_say(digits, (size_t)(line + length - digits),
                              rn_golden_hash(line, (size_t)(seal - line)));
}

/* The file's hash stands in its last line and is over all lines before. */
static bool file_holds(const char *text, size_t bytes)
{
    char last[64];
    size_t tail = strlen(RN_GOLDEN_HASH) + DIGITS + strlen("\"}\n");
    if (bytes < tail || tail >= sizeof last) return false;
    const char *line = text + bytes - tail;
    memcpy(last, line, tail);
    last[tail] = 0;
    return memcmp(last, RN_GOLDEN_HASH, strlen(RN_GOLDEN_HASH)) == 0 &&
           strcmp(last + tail - 3, "\"}\n") == 0 &&
           digits_say(last + strlen(RN_GOLDEN_HASH), DIGITS, rn_golden_hash(text, bytes - tail));
}

/* Names the first line that was changed: by its seal, or else by what has none. */
static rn_status changed(const char *path, const char *text, size_t bytes)
{
    size_t count, number = 0;
    const struct rn_case *cases = rn_cases(&count);
    const char *end = text + bytes;
    for (const char *line = text; line < end; line += line_length(line, end) + 1, number++) {
        size_t n = number - RN_GOLDEN_FIRST_LINE;
        bool is_case = number >= RN_GOLDEN_FIRST_LINE && n < count;
        bool is_trajectory = number == RN_GOLDEN_FIRST_LINE + count + 2;
        if ((!is_case && !is_trajectory) || seal_holds(line, line_length(line, end))) continue;
        if (is_trajectory)
            return rn_fail(RN_ECHECK, "%s: line %zu was changed: trajectory", path, number + 1);
        return rn_fail(RN_ECHECK, "%s: line %zu was changed: case %zu, %s %s %s", path, number + 1,
                       n, rn_case_op(cases[n].slot), rn_case_direction(cases[n].slot),
                       cases[n].geometry);
    }
    return rn_fail(RN_ECHECK, "%s: was changed outside of its cases", path);
}

/* Text that some index must have, however damaged: at least one seal's or the format's name. */
static bool looks_like_index(const char *text, size_t bytes)
{
    static const char *const marks[] = { RN_GOLDEN_FORMAT, RN_GOLDEN_SEAL };
    for (size_t m = 0; m < RN_COUNT(marks); m++) {
        size_t length = strlen(marks[m]);
        for (size_t i = 0; i + length <= bytes; i++)
            if (memcmp(text + i, marks[m], length) == 0) return true;
    }
    return false;
}

/* -- after the hash held ----------------------------------------------------------------------- */

static bool text_is(const struct rn_value *v, const char *key, const char *want)
{
    const struct rn_value *member = v->kind == RN_DICT ? rn_dict_get(v, key) : NULL;
    return member && member->kind == RN_STRING && strcmp(member->text, want) == 0;
}

/* A plain name inside the folder. */
static bool name_is_safe(const char *name)
{
    return *name && *name != '.' && strlen(name) < RN_GOLDEN_NAME_CHARS && !strchr(name, '/') &&
           !strchr(name, '\\') && !strstr(name, "..");
}

static bool read_bound(double *bound, const struct rn_value *v)
{
    if (!v || (v->kind != RN_REAL && v->kind != RN_INT)) return false;
    *bound = v->kind == RN_REAL ? v->real : (double)v->integer;
    return rn_finite64(*bound) && *bound >= 0;
}

/* File, hash and bound of a case or of the trajectory; `what` names it. */
static rn_status read_entry(struct rn_pack_entry *e, const struct rn_value *v, const char *path,
                            const char *what)
{
    const struct rn_value *files = rn_dict_get(v, "files"), *hash = rn_dict_get(v, "xxh64");
    const struct rn_value *file =
        files && files->kind == RN_LIST && files->count == 1 ? files->item[0] : NULL;
    if (!file || file->kind != RN_STRING || strlen(file->text) != file->length ||
        !name_is_safe(file->text))
        return rn_fail(RN_EINPUT, "%s: %s: files is not one plain file name", path, what);
    if (!hash || hash->kind != RN_STRING || !rn_parse_hash(&e->hash, hash->text))
        return rn_fail(RN_EINPUT, "%s: %s: xxh64 is not a hash", path, what);
    if (!read_bound(&e->bound, rn_dict_get(v, "bound")))
        return rn_fail(RN_EINPUT, "%s: %s: bound is not a number from 0 up", path, what);
    snprintf(e->file, sizeof e->file, "%s", file->text);
    return RN_OK;
}

static rn_status read_case(struct rn_pack_entry *e, const struct rn_value *v,
                           const struct rn_case *c, const char *numerics, size_t number,
                           const char *path)
{
    char variant[RN_VARIANT_CHARS], what[160];
    rn_variant_text(variant, c->variant);
    snprintf(what, sizeof what, "case %zu (%s %s %s)", number, rn_case_op(c->slot),
             rn_case_direction(c->slot), c->geometry);
    if (!text_is(v, "op", rn_case_op(c->slot)) ||
        !text_is(v, "direction", rn_case_direction(c->slot)) ||
        !text_is(v, "geometry", c->geometry) || !text_is(v, "variant", variant) ||
        !text_is(v, "numerics", numerics))
        return rn_fail(RN_EINPUT, "%s: is not what this build calls %s", path, what);
    return read_entry(e, v, path, what);
}

static rn_status read_root(struct rn_pack_index *x, const struct rn_value *root, const char *path,
                           const char *numerics)
{
    size_t count;
    const struct rn_case *known = rn_cases(&count);
    if (!text_is(root, "format", RN_GOLDEN_FORMAT))
        return rn_fail(RN_EINPUT, "%s: is not the index of a " RN_GOLDEN_FORMAT, path);
    const struct rn_value *version = rn_dict_get(root, "version"),
                          *cases = rn_dict_get(root, "cases");
    const struct rn_value *trajectory = rn_dict_get(root, "trajectory");
    if (!version || version->kind != RN_INT || version->integer != RN_GOLDEN_VERSION)
        return rn_fail(RN_EINPUT, "%s: version is not %d", path, RN_GOLDEN_VERSION);
    if (!text_is(root, "numerics", numerics))
        return rn_fail(RN_EINPUT, "%s: was written under another numerics than %s", path, numerics);
    if (!cases || cases->kind != RN_LIST || cases->count != count)
        return rn_fail(RN_EINPUT, "%s: has %zu cases; this build has %zu", path,
                       cases && cases->kind == RN_LIST ? cases->count : 0, count);
    if (!trajectory || trajectory->kind != RN_DICT)
        return rn_fail(RN_EINPUT, "%s: has no trajectory", path);
    if (!(x->item = rn_alloc_array(count + 1, sizeof *x->item))) return RN_ENOMEM;
    x->count = count + 1;
    for (size_t i = 0; i < count; i++) {
        rn_status status = read_case(&x->item[i], cases->item[i], &known[i], numerics, i, path);
        if (status) return status;
    }
    return read_entry(&x->item[count], trajectory, path, "trajectory");
}

rn_status rn_pack_index_read(struct rn_pack_index *x, const char *folder, const char *numerics)
{
    unsigned char *data = NULL;
    size_t bytes = 0;
    struct rn_value *root = NULL;
    *x = (struct rn_pack_index){ 0 };
    char *path = rn_path_join(folder, RN_GOLDEN_INDEX);
    if (!path) return RN_ENOMEM;
    rn_status status = rn_file_read(&data, &bytes, path, LIMIT);
    const char *text = (const char *)data;
    if (status) goto done;
    if (!looks_like_index(text, bytes)) {
        status = rn_fail(RN_EINPUT, "%s: is not the index of a " RN_GOLDEN_FORMAT, path);
        goto done;
    }
    if (!file_holds(text, bytes)) {
        status = changed(path, text, bytes);
        goto done;
    }
    status = rn_json_parse(&root, text, bytes, path);
    if (status == RN_OK) status = read_root(x, root, path, numerics);
done:
    if (status) rn_pack_index_free(x);
    rn_value_free(root);
    rn_free(data);
    rn_free(path);
    return status;
}

void rn_pack_index_free(struct rn_pack_index *x)
{
    rn_free(x->item);
    *x = (struct rn_pack_index){ 0 };
}
