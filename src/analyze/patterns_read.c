/* patterns_read.c - patterns out of a text file; every complaint names line and column. */
#include "analyze/patterns.h"

#include "analyze/text_file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define PATTERN_LIMIT 256
#define WORD_LIMIT 64

/* A place within one line. */
struct cursor { const char *path, *begin, *at, *end; int line; };

static int column(const struct cursor *c) { return (int)(c->at - c->begin) + 1; }

static void skip_spaces(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r')) c->at++;
}

static bool word_character(char x)
{
    return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') || x == '_' || x == '-' ||
        x == '.';
}

static rn_status wrong(const struct cursor *c, const char *wanted)
{
    char shown[40];
    if (c->at >= c->end)
        return rn_fail(RN_EINPUT, "%s:%d:%d: the line ends where %s should be", c->path, c->line, column(c), wanted);
    rn_printable(shown, sizeof shown, c->at, 1);
    return rn_fail(RN_EINPUT, "%s:%d:%d: \"%s\" where %s should be", c->path, c->line, column(c), shown, wanted);
}

/* Copies the word at the cursor, of at most max - 1 bytes, and goes behind it. */
static rn_status read_word(struct cursor *c, char *word, size_t max, const char *wanted)
{
    const char *end = c->at;
    while (end < c->end && word_character(*end)) end++;
    const size_t length = (size_t)(end - c->at);
    if (length == 0) return wrong(c, wanted);
    if (length >= max)
        return rn_fail(RN_EINPUT, "%s:%d:%d: %zu characters where %s should be, which has %zu at most", c->path,
                       c->line, column(c), length, wanted, max - 1);
    memcpy(word, c->at, length);
    word[length] = '\0';
    c->at = end;
    return RN_OK;
}

/* What a chain can be made of: the images are no operation, and the loss is none of the net's. */
static bool in_nets(enum rn_op_kind kind) { return kind != RN_OP_INPUT && kind != RN_OP_SOFTMAX; }

static rn_status unknown_kind(const struct cursor *c, const char *word)
{
    const char *name[RN_OP_KINDS];
    size_t names = 0;
    for (int i = 0; i < RN_OP_KINDS; i++)
        if (in_nets((enum rn_op_kind)i)) name[names++] = rn_op_kind_name((enum rn_op_kind)i);
    const char *nearest = rn_nearest(word, name, names);
    const int at = column(c) - (int)strlen(word);
    if (nearest)
        return rn_fail(RN_EINPUT, "%s:%d:%d: no operation is called \"%s\"; did you mean %s?", c->path, c->line, at,
                       word, nearest);
    return rn_fail(RN_EINPUT, "%s:%d:%d: no operation is called \"%s\"; they are conv2d, batch_norm2d, relu, add, "
                   "max_pool2d, adaptive_avg_pool2d, flatten, linear, resize", c->path, c->line, at, word);
}

/* One position of a pattern: kind, or kind|kind. */
static rn_status read_kinds(struct cursor *c, uint32_t *kinds)
{
    char word[WORD_LIMIT];
    for (*kinds = 0;; c->at++) {
        int kind = 0;
        rn_status status = read_word(c, word, sizeof word, "an operation");
        if (status) return status;
        while (kind < RN_OP_KINDS && strcmp(word, rn_op_kind_name((enum rn_op_kind)kind))) kind++;
        if (kind == RN_OP_KINDS || !in_nets((enum rn_op_kind)kind)) return unknown_kind(c, word);
        *kinds |= 1u << kind;
        if (c->at == c->end || *c->at != '|') return RN_OK;
    }
}

static rn_status check_name(const struct rn_patterns *p, const struct cursor *c, const char *name)
{
    for (int i = 0; i < p->rows; i++)
        if (!strcmp(p->row[i].name, name))
            return rn_fail(RN_EINPUT, "%s:%d:%d: %s stands in line %d already", c->path, c->line,
                           column(c) - (int)strlen(name), name, p->row[i].line);
    return RN_OK;
}

static rn_status read_line(struct rn_patterns *p, struct cursor *c)
{
    struct rn_pattern row = { .line = c->line };
    skip_spaces(c);
    if (c->at == c->end || *c->at == '#') return RN_OK;
    if (p->rows == p->capacity)
        return rn_fail(RN_EINPUT, "%s:%d:1: more than %d patterns", c->path, c->line, PATTERN_LIMIT);
    rn_status status = read_word(c, row.name, sizeof row.name, "a name");
    if (!status) status = check_name(p, c, row.name);
    skip_spaces(c);
    if (!status && (c->at == c->end || *c->at != '=')) status = wrong(c, "a =");
    if (status) return status;
    c->at++;
    for (skip_spaces(c); !status && ((c->at < c->end && *c->at != '#') || row.length == 0); skip_spaces(c)) {
        if (row.length == RN_PATTERN_LENGTH)
            return rn_fail(RN_EINPUT, "%s:%d:%d: more than %d operations", c->path, c->line, column(c),
                           RN_PATTERN_LENGTH);
        status = read_kinds(c, &row.kinds[row.length++]);
    }
    if (!status) p->row[p->rows++] = row;
    return status;
}

rn_status rn_patterns_parse(struct rn_patterns *p, const char *text, size_t length, const char *path)
{
    const char *end = text + length, *line = text;
    *p = (struct rn_patterns){ .row = rn_alloc_array(PATTERN_LIMIT, sizeof *p->row), .capacity = PATTERN_LIMIT };
    rn_status status = p->row ? RN_OK : RN_ENOMEM;
    for (int number = 1; !status && line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        struct cursor c = { path, line, line, stop ? stop : end, number };
        status = read_line(p, &c);
        line = stop ? stop + 1 : end;
    }
    if (!status && p->rows == 0)
        status = rn_fail(RN_EINPUT, "%s:1:1: no pattern in it; one is a line `name = conv2d relu`", path);
    return status;
}

static rn_status parse(void *into, const char *text, size_t length, const char *path)
{
    return rn_patterns_parse(into, text, length, path);
}

rn_status rn_patterns_read(struct rn_patterns *p, const char *path)
{
    *p = (struct rn_patterns){ .rows = 0 };
    return rn_text_file(p, path, parse);
}
