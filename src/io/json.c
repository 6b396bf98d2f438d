/*
 * json.c - a strict reader of JSON texts (RFC 8259) into the tree: the golden index, and the header
 * of safetensors.  Refused besides what the RFC refuses: two equal keys, zero characters, numbers
 * beyond a double, more than 64 levels, more than a million values.
 */
#include "io/io.h"

#include "base/mem.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/pickle.h"
#include "io/pth.h"

#include <string.h>

#define DEPTH_LIMIT 64
#define NUMBER_LIMIT 64 /* characters of a number; 17 digits decide a double */

struct json { const char *text, *path; size_t size, at, values; };

static rn_status bad(const struct json *j, const char *what)
{
    return rn_fail(RN_EINPUT, "%s: JSON offset %zu: %s", j->path, j->at, what);
}

/* The character at hand; 0 at the end (a zero in the text is no valid character anywhere). */
static int look(const struct json *j)
{
    return j->at < j->size ? (unsigned char)j->text[j->at] : 0;
}

static void skip_space(struct json *j)
{
    while (look(j) == ' ' || look(j) == '\t' || look(j) == '\n' || look(j) == '\r') j->at++;
}

static bool skip_char(struct json *j, int c)
{
    if (look(j) != c) return false;
    j->at++;
    return true;
}

/* -- strings ----------------------------------------------------------------------------------- */

static int hex_digit(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four hex digits; -1 if they are not there. */
static long hex4(struct json *j)
{
    long u = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        int d = hex_digit(look(j));
        if (d < 0) return -1;
        u = u * 16 + d;
    }
    return u;
}

/* What stands after `\u`, surrogate pairs joined, as UTF-8 at out; returns its length, 0 if it is
 * bad. */
static size_t unescape_u(struct json *j, char *out)
{
    long u = hex4(j), low;
    if (u >= 0xd800 && u < 0xdc00) {
        if (!skip_char(j, '\\') || !skip_char(j, 'u') || (low = hex4(j)) < 0xdc00 || low > 0xdfff)
            return 0;
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    }
    if (u <= 0 || (u >= 0xdc00 && u <= 0xdfff)) return 0;
    size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = n; i-- > 1; u >>= 6) out[i] = (char)(0x80 | (u & 0x3f));
    out[0] = (char)(lead[n] | u);
    return n;
}

/* The string whose opening quote is at hand. */
static rn_status parse_string(struct json *j, struct rn_value **out)
{
    static const char escape[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    size_t begin = ++j->at, n = 0;
    while (look(j) != '"' && j->at < j->size)
        j->at += look(j) == '\\' && j->at + 1 < j->size ? 2 : 1;
    if (j->at >= j->size) return bad(j, "a string without its closing quote");
    size_t end = j->at;
    char *copy = rn_alloc(end - begin + 1); /* escapes only shrink */
    if (!copy) return RN_ENOMEM;
    rn_status s = RN_OK;
    for (j->at = begin; j->at < end && !s;) {
        int c = look(j);
        j->at++;
        if (c < 0x20) s = bad(j, "a control character inside a string");
        else if (c != '\\') copy[n++] = (char)c;
        else if (skip_char(j, 'u')) {
            size_t made = unescape_u(j, copy + n);
            if (!made) s = bad(j, "a \\u escape that is no character, or zero");
            n += made;
        } else {
            const char *e = look(j) ? strchr(escape, look(j)) : NULL;
            if (!e) s = bad(j, "an unknown escape");
            else copy[n++] = meaning[e - escape];
            j->at++;
        }
    }
    if (!s && !rn_text_valid(copy, n)) s = bad(j, "a string that is not UTF-8");
    if (!s && !(*out = rn_string_of(copy, n))) s = RN_ENOMEM;
    rn_free(copy);
    j->at = end + 1;
    return s;
}

/* -- numbers ----------------------------------------------------------------------------------- */

static size_t digits(struct json *j)
{
    size_t n = 0;
    for (; look(j) >= '0' && look(j) <= '9'; j->at++) n++;
    return n;
}

/* Integers that fit are exact; others, and all with a point or an exponent, are doubles. */
static rn_status parse_number(struct json *j, struct rn_value **out)
{
    size_t begin = j->at;
    bool whole = true;
    char text[NUMBER_LIMIT];
    int64_t i;
    double x;
    skip_char(j, '-');
    if (!skip_char(j, '0') && !digits(j)) return bad(j, "no value where one must be");
    if (skip_char(j, '.')) {
        whole = false;
        if (!digits(j)) return bad(j, "a number without digits after its point");
    }
    if (look(j) == 'e' || look(j) == 'E') {
        whole = false;
        j->at++;
        if (!skip_char(j, '-')) skip_char(j, '+');
        if (!digits(j)) return bad(j, "a number without digits in its exponent");
    }
    size_t n = j->at - begin;
    if (n >= sizeof text) return bad(j, "a number of more than 63 characters");
    memcpy(text, j->text + begin, n);
    text[n] = '\0';
    if (whole && rn_parse_int(&i, text)) *out = rn_integer(i);
    else if (rn_parse_double(&x, text)) *out = rn_real(x);
    else return bad(j, "a number that no double can hold");
    if (!*out) return RN_ENOMEM;
    (*out)->at = begin;
    (*out)->length = n;
    return RN_OK;
}

/* -- values ------------------------------------------------------------------------------------ */

static rn_status parse_value(struct json *j, int depth, struct rn_value **out);

static rn_status parse_word(struct json *j, const char *word, struct rn_value *v,
                            struct rn_value **out)
{
    size_t n = strlen(word);
    *out = v;
    if (!v) return RN_ENOMEM;
    if (n > j->size - j->at || memcmp(j->text + j->at, word, n))
        return bad(j, "no value where one must be");
    j->at += n;
    return RN_OK;
}

/* Appends without looking for an equal key: that is done once for the whole dictionary. */
static rn_status append(struct rn_value *v, struct rn_value *item)
{
    rn_status s = rn_grow(&v->item, v->count, &v->capacity, sizeof *v->item, 2 * RN_PICKLE_NODES);
    if (s) rn_value_free(item);
    else v->item[v->count++] = item;
    return s;
}

/* One element of the list or dictionary v.  A key whose value fails is removed again. */
static rn_status parse_element(struct json *j, int depth, struct rn_value *v)
{
    struct rn_value *key = NULL, *item = NULL;
    rn_status s = RN_OK;
    skip_space(j);
    if (v->kind == RN_DICT) {
        if (look(j) != '"') return bad(j, "a key that is no string");
        j->values++;
        s = parse_string(j, &key);
        if (s) return s;
        skip_space(j);
        if (!skip_char(j, ':')) s = bad(j, "no colon after a key");
    }
    if (!s) s = parse_value(j, depth + 1, &item);
    if (s) {
        rn_value_free(key);
        rn_value_free(item);
        return s;
    }
    if (key && (s = append(v, key)) != RN_OK) {
        rn_value_free(item);
        return s;
    }
    s = append(v, item);
    if (s && key) rn_value_free(v->item[--v->count]);
    return s;
}

static rn_status parse_container(struct json *j, int depth, struct rn_value **out)
{
    int close = look(j) == '{' ? '}' : ']';
    struct rn_value *v = *out = close == '}' ? rn_dict(true) : rn_list();
    if (!v) return RN_ENOMEM;
    if (depth >= DEPTH_LIMIT) return bad(j, "more than 64 levels of nesting");
    j->at++;
    skip_space(j);
    if (skip_char(j, close)) return RN_OK;
    for (;;) {
        rn_status s = parse_element(j, depth, v);
        if (s) return s;
        skip_space(j);
        if (skip_char(j, close)) return v->kind == RN_DICT ? rn_dict_unique(v, j->path) : RN_OK;
        if (!skip_char(j, ',')) return bad(j, "neither a comma nor the end of the list or object");
    }
}

/* On failure *out may hold a part, for the caller to free. */
static rn_status parse_value(struct json *j, int depth, struct rn_value **out)
{
    *out = NULL;
    if (++j->values > RN_PICKLE_NODES) return bad(j, "more than a million values");
    skip_space(j);
    switch (look(j)) {
    case '{': case '[': return parse_container(j, depth, out);
    case '"': return parse_string(j, out);
    case 't': return parse_word(j, "true", rn_boolean(true), out);
    case 'f': return parse_word(j, "false", rn_boolean(false), out);
    case 'n': return parse_word(j, "null", rn_none(), out);
    default: return parse_number(j, out);
    }
}

rn_status rn_json_parse(struct rn_value **root, const char *text, size_t length, const char *path)
{
    struct json j = { .text = text, .path = path, .size = length };
    rn_status s = parse_value(&j, 0, root);
    skip_space(&j);
    if (!s && j.at != length) s = bad(&j, "text after the value");
    if (s) {
        rn_value_free(*root);
        *root = NULL;
    }
    return s;
}
