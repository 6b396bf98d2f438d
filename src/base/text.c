/*
 * text.c - growing text, JSON strings, misspellings, and bytes made fit to show to people.
 *
 * A text that could not grow remembers it and ignores what follows, so a caller builds a whole
 * document and asks once.
 */
#include "base/text.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Room for `bytes` more and a closing zero; false, and failed set, without memory. */
static bool reserve(struct rn_text *t, size_t bytes)
{
    if (t->failed) return false;
    if (bytes < t->capacity - t->length) return true;
    size_t capacity = RN_MAX(t->capacity * 2, 256);
    while (capacity > t->capacity && capacity - t->length <= bytes) capacity *= 2;
    char *data = capacity > t->capacity ? rn_realloc(t->data, t->length, capacity) : NULL;
    t->failed = !data;
    if (!data) return false;
    t->data = data;
    t->capacity = capacity;
    return true;
}

void rn_text_bytes(struct rn_text *t, const void *data, size_t bytes)
{
    if (!reserve(t, bytes)) return;
    if (bytes > 0) memcpy(t->data + t->length, data, bytes);
    t->length += bytes;
    t->data[t->length] = '\0';
}

void rn_text_add(struct rn_text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0) t->failed = true;
    if (length < 0 || !reserve(t, (size_t)length)) return;
    va_start(args, fmt);
    vsnprintf(t->data + t->length, (size_t)length + 1, fmt, args);
    va_end(args);
    t->length += (size_t)length;
}

static void add_string(struct rn_text *t, const char *s)
{
    rn_text_bytes(t, s, strlen(s));
}

void rn_text_number(struct rn_text *t, double x)
{
    char number[RN_NUMBER_CHARS];
    add_string(t, rn_number_text(number, x));
}

void rn_text_fixed(struct rn_text *t, double x, int digits)
{
    char number[RN_NUMBER_CHARS];
    add_string(t, rn_fixed_text(number, x, digits));
}

rn_status rn_text_status(const struct rn_text *t)
{
    if (!t->failed) return RN_OK;
    return rn_fail(RN_ENOMEM, "out of memory: a text of %zu bytes cannot grow", t->length);
}

void rn_text_free(struct rn_text *t)
{
    rn_free(t->data);
    *t = (struct rn_text){ 0 };
}

/* Bytes of the UTF-8 character at the start of p[n], its number in *code; 0 if it is not valid
 * (truncated, overlong, a surrogate, beyond U+10FFFF).  RFC 3629, section 4. */
static size_t utf8_character(const unsigned char *p, size_t n, uint32_t *code)
{
    static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > n) return 0;
    uint32_t c = p[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *code = c;
    return length;
}

static void add_json_character(struct rn_text *t, uint32_t code, const unsigned char *p,
                               size_t length)
{
    static const char name[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: character, letter after the \ */
    for (size_t i = 0; i + 1 < sizeof name; i += 2)
        if (code == (unsigned char)name[i]) {
            rn_text_add(t, "\\%c", name[i + 1]);
            return;
        }
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) rn_text_add(t, "\\u%04x", (unsigned)code);
    else rn_text_bytes(t, p, length);
}

/* What is not UTF-8 becomes U+FFFD, so that the document stays valid. */
void rn_text_json(struct rn_text *t, const char *utf8)
{
    const unsigned char *p = (const unsigned char *)utf8, *end = p + strlen(utf8);
    add_string(t, "\"");
    while (p < end) {
        uint32_t code = 0;
        size_t length = utf8_character(p, (size_t)(end - p), &code);
        if (length > 0) add_json_character(t, code, p, length);
        else add_string(t, "\\ufffd");
        p += RN_MAX(length, 1);
    }
    add_string(t, "\"");
}

/* Characters that act on a terminal or turn the direction of writing instead of showing a sign. */
static bool is_hidden(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/* `out` has room for `max` bytes, the closing zero included; a cut text ends with "...". */
const char *rn_printable(char *out, size_t max, const void *bytes, size_t count)
{
    const unsigned char *p = bytes, *end = p + count;
    size_t n = 0, cut = 0; /* cut: the longest prefix that leaves room for the dots */
    if (max == 0) return "";
    while (p < end) {
        uint32_t code = 0;
        size_t length = utf8_character(p, (size_t)(end - p), &code);
        bool escape = length == 0 || is_hidden(code);
        size_t used = RN_MAX(length, 1), needed = escape ? 4 * used : used;
        if (n + needed >= max) {
            n = cut;
            for (int i = 0; i < 3 && n + 1 < max; i++) out[n++] = '.';
            break;
        }
        for (size_t i = 0; i < used; i++, p++) {
            if (escape) snprintf(out + n, 5, "\\x%02x", *p);
            else out[n] = (char)*p;
            n += escape ? 4 : 1;
        }
        if (n + 3 < max) cut = n;
    }
    out[n] = '\0';
    return out;
}

#define MAX_WORD 63 /* longer words are not compared */

/* Edit distance: insertions, deletions, substitutions and swaps of neighbours, each 1.
 * Optimal string alignment; three rows of the usual table. */
static int edit_distance(const char *a, const char *b)
{
    int rows[3][MAX_WORD + 1], n = (int)strlen(a), m = (int)strlen(b);
    for (int j = 0; j <= m; j++) rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int other = a[i - 1] != b[j - 1];
            int best = RN_MIN(RN_MIN(above[j], row[j - 1]) + 1, above[j - 1] + other);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = RN_MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

/* Near enough: at most one edit in three letters of the word, and always one. */
bool rn_listed(const char *list, const char *word)
{
    for (size_t length; *list; list += length + (list[length] == ' ')) {
        length = strcspn(list, " ");
        if (length == strlen(word) && !memcmp(list, word, length)) return true;
    }
    return false;
}

const char *rn_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t length = strlen(word);
    int limit = RN_MAX(1, (int)RN_MIN(length, MAX_WORD) / 3);
    if (length > MAX_WORD) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(candidates[i]) > MAX_WORD) continue;
        int distance = edit_distance(word, candidates[i]);
        if (distance > limit || distance >= (int)RN_MAX(length, 1)) continue;
        nearest = candidates[i];
        limit = distance - 1; /* the first of equals stays */
    }
    return nearest;
}
