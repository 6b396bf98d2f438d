/*
 * options.c - the table of a program's settings: shared rows, checking, storing and reading values.
 *
 * A value is kept as the text that was given and checked when it is stored, so that reading it back
 * cannot fail and args.conf shows what the user wrote.  Where the texts come from (flags, files,
 * environment) is the business of parse.c and config.c.
 */
#include "tools/cli/private.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names as they are spelt.  Which of them there are is for the backend to say when it is opened. */
#define NUMERICS "fp32|fp32-winograd|bf16|int8|fast|fast-fp16|fast-bf16"
#define INSTRUCTION_SETS "portable|avx2|avx512|amx|neon"
#define STEMS "imagenet|cifar|cifar-pool|3x3s2|deep"

const struct opt opt_common[] = {
    { "threads", OPT_INT, NULL, 1, 2147483647, NULL, "N",
      "threads to compute with, at most 1024; default OMP_NUM_THREADS, else all CPUs", "Machine" },
    { "backend", OPT_TEXT, "cpu", 0, 0, NULL, "NAME", "ref, cpu, cuda, or the path of a shared object",
      "Machine" },
    { "isa", OPT_TEXT, NULL, 0, 0, NULL, INSTRUCTION_SETS,
      "caps the instruction set; default RESNET_ISA, else the best there is", "Machine" },
    { "numerics", OPT_TEXT, "fp32", 0, 0, NULL, NUMERICS,
      "the arithmetic, each with its own bits: fp32-winograd is faster, bf16 takes half the memory and is fast "
      "with AMX; fast: cuDNN, on a GPU; --version has those of cpu",
      "Machine" },
    { "quiet", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "no progress and no talk on stderr", "Output" },
    { "json", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "the result as one JSON object on stdout", "Output" },
    { "help", OPT_SWITCH, NULL, 0, 0, NULL, NULL, "this text", "Output" },
    { "version", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "version, compiler, flags, instruction sets, optional libraries", "Output" },
};
const size_t opt_common_count = RN_COUNT(opt_common);

const struct opt opt_net[] = {
    { "arch", OPT_TEXT, "resnet18", 0, 0, NULL, "NAME",
      "resnet18 ... resnet152, resnext50_32x4d, resnext101_32x8d, resnext101_64x4d, wide_resnet50_2, "
      "wide_resnet101_2", "Net" },
    { "stem", OPT_CHOICE, NULL, 0, 0, STEMS, NULL, "first layers; default: the data's", "Net" },
    { "num-classes", OPT_INT, NULL, 2, 100000, NULL, "N", "outputs; default: the data's classes", "Net" },
    { "image-size", OPT_INT, NULL, 32, 4096, NULL, "N", "height and width given to the net", "Net" },
    { "upsample", OPT_INT, NULL, 32, 4096, NULL, "N", "resize to N x N inside the net", "Net" },
};
const size_t opt_net_count = RN_COUNT(opt_net);

const struct opt opt_net_cifar[] = {
    { "stem", OPT_CHOICE, "cifar", 0, 0, STEMS, NULL, "first layers", "Net" },
    { "image-size", OPT_INT, "32", 32, 4096, NULL, "N", "height and width given to the net", "Net" },
    { "num-classes", OPT_INT, "10", 2, 100000, NULL, "N", "outputs", "Net" },
};
const size_t opt_net_cifar_count = RN_COUNT(opt_net_cifar);

/* -- the table ------------------------------------------------------------------------------------ */

void opt_begin(struct opt_set *o, const char *program, const char *summary)
{
    *o = (struct opt_set){ .program = program, .summary = summary };
}

/* A row named like an earlier one takes its place: a program may reword or tighten a shared row. */
void opt_add(struct opt_set *o, const struct opt *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int row = opt_row(o, rows[i].name, strlen(rows[i].name));
        if (row >= 0) o->row[row] = &rows[i];
        else if (o->rows < OPT_LIMIT) o->row[o->rows++] = &rows[i];
    }
}

void opt_end(struct opt_set *o)
{
    for (size_t i = 0; i < o->rows; i++) rn_free(o->value[i]);
    for (int i = 0; i < o->positionals; i++) rn_free(o->positional[i]);
    *o = (struct opt_set){ 0 };
}

int opt_row(const struct opt_set *o, const char *name, size_t length)
{
    for (size_t i = 0; i < o->rows; i++)
        if (strlen(o->row[i]->name) == length && !memcmp(o->row[i]->name, name, length)) return (int)i;
    return -1;
}

bool opt_steers(const struct opt *row)
{
    static const char *const name[] = { "help", "version", "preset", "config" };
    for (size_t i = 0; i < RN_COUNT(name); i++)
        if (!strcmp(row->name, name[i])) return true;
    return false;
}

/* -- checking ------------------------------------------------------------------------------------- */

static bool bounded(const struct opt *row)
{
    return row->min < row->max;
}

/* " from 1 to 1024", or nothing where the row sets no bounds. */
static const char *range_text(char out[96], const struct opt *row)
{
    char low[RN_NUMBER_CHARS], high[RN_NUMBER_CHARS];
    out[0] = '\0';
    if (bounded(row))
        snprintf(out, 96, " from %s to %s", rn_number_text(low, row->min), rn_number_text(high, row->max));
    return out;
}

static rn_status bad_number(const struct opt *row, const char *text, const char *where)
{
    char shown[80], range[96];
    bool whole = row->type == OPT_INT || row->type == OPT_INTS;
    return rn_fail(RN_EUSAGE, "%s: \"%s\" is not a %snumber%s", where,
                   rn_printable(shown, sizeof shown, text, strlen(text)), whole ? "whole " : "",
                   range_text(range, row));
}

static rn_status check_number(const struct opt *row, const char *text, const char *where)
{
    double x;
    int64_t i;
    if (row->type == OPT_INT || row->type == OPT_INTS) {
        if (!rn_parse_int(&i, text)) return bad_number(row, text, where);
        x = (double)i;
    } else if (!rn_parse_double(&x, text)) {
        return bad_number(row, text, where);
    }
    if (bounded(row) && !(x >= row->min && x <= row->max)) return bad_number(row, text, where);
    return RN_OK;
}

/* Copies element `i` of a comma-separated list, without the spaces around it; false past the end. */
static bool list_element(char *out, size_t max, const char *list, int i)
{
    for (; i > 0; i--) {
        list = strchr(list, ',');
        if (!list) return false;
        list++;
    }
    size_t length = strcspn(list, ",");
    while (length && *list == ' ') { list++; length--; }
    while (length && list[length - 1] == ' ') length--;
    length = RN_MIN(length, max - 1);
    memcpy(out, list, length);
    out[length] = '\0';
    return true;
}

static rn_status check_list(const struct opt *row, const char *text, const char *where)
{
    char element[80];
    for (int i = 0; list_element(element, sizeof element, text, i); i++) {
        rn_status status = check_number(row, element, where);
        if (status) return status;
    }
    return RN_OK;
}

#define MAX_CHOICES 32

static rn_status check_choice(const struct opt *row, const char *text, const char *where)
{
    char names[512], shown[80];
    const char *choice[MAX_CHOICES];
    size_t count = 0;
    snprintf(names, sizeof names, "%s", row->choices);
    for (char *p = names; p && count < MAX_CHOICES; count++) {
        choice[count] = p;
        p = strchr(p, '|');
        if (p) *p++ = '\0';
    }
    for (size_t i = 0; i < count; i++)
        if (!strcmp(text, choice[i])) return RN_OK;
    const char *nearest = rn_nearest(text, choice, count);
    rn_printable(shown, sizeof shown, text, strlen(text));
    if (nearest)
        return rn_fail(RN_EUSAGE, "%s: \"%s\" is not known; did you mean %s? (%s)", where, shown, nearest,
                       row->choices);
    return rn_fail(RN_EUSAGE, "%s: \"%s\" is not one of %s", where, shown, row->choices);
}

/* Text must survive args.conf: no control characters, no spaces at the ends, no comment inside. */
static rn_status check_text(const char *text, const char *where)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return rn_fail(RN_EUSAGE, "%s: the value has a control character at position %zu", where, i);
    if (text[0] == ' ' || text[length - 1] == ' ')
        return rn_fail(RN_EUSAGE, "%s: the value \"%s\" begins or ends with a space", where, text);
    if (text[0] == '#' || strstr(text, " #"))
        return rn_fail(RN_EUSAGE, "%s: the value \"%s\" looks like a comment", where, text);
    return RN_OK;
}

static rn_status check_value(const struct opt *row, const char *text, const char *where)
{
    if (!*text) return rn_fail(RN_EUSAGE, "%s: a value is missing", where);
    switch (row->type) {
    case OPT_SWITCH:
        if (!strcmp(text, "true") || !strcmp(text, "false")) return RN_OK;
        return rn_fail(RN_EUSAGE, "%s: it is on or off and takes true or false, not \"%.60s\"", where, text);
    case OPT_INT:
    case OPT_REAL:
        return check_number(row, text, where);
    case OPT_INTS:
    case OPT_REALS:
        return check_list(row, text, where);
    case OPT_CHOICE:
        return check_choice(row, text, where);
    case OPT_TEXT:
        break;
    }
    return check_text(text, where);
}

/* -- storing -------------------------------------------------------------------------------------- */

static rn_status store(struct opt_set *o, int row, const char *text, enum opt_source source)
{
    char *copy = rn_strdup(text);
    if (!copy) return RN_ENOMEM;
    rn_free(o->value[row]);
    o->value[row] = copy;
    o->source[row] = source;
    return RN_OK;
}

rn_status opt_assign(struct opt_set *o, int row, const char *text, enum opt_source source,
                     const char *where)
{
    rn_status status = check_value(o->row[row], text, where);
    if (status) return status;
    if (o->source[row] > source) return RN_OK;
    int64_t threads;
    if (!strcmp(o->row[row]->name, "threads") && rn_parse_int(&threads, text) && threads > 1024) {
        fprintf(stderr, "%s: %s: %s threads are more than this program uses; capped to 1024\n", o->program,
                where, text);
        text = "1024";
    }
    return store(o, row, text, source);
}

/* -- reading -------------------------------------------------------------------------------------- */

/* Asking for a row that no table has is a mistake in the program, not in its input. */
static int must_have(const struct opt_set *o, const char *name)
{
    int row = opt_row(o, name, strlen(name));
    if (row < 0) {
        fprintf(stderr, "%s: no option is called \"%s\"\n", o->program, name);
        abort();
    }
    return row;
}

rn_status opt_set_text(struct opt_set *o, const char *name, const char *value)
{
    int row = must_have(o, name);
    char where[64];
    snprintf(where, sizeof where, "--%s", name);
    rn_status status = check_value(o->row[row], value, where);
    return status ? status : store(o, row, value, o->source[row]);
}

enum opt_source opt_source_of(const struct opt_set *o, const char *name)
{
    return o->source[must_have(o, name)];
}

bool opt_given(const struct opt_set *o, const char *name)
{
    return opt_source_of(o, name) != OPT_DEFAULT;
}

const char *opt_text(const struct opt_set *o, const char *name)
{
    return o->value[must_have(o, name)];
}

bool opt_switch(const struct opt_set *o, const char *name)
{
    const char *text = opt_text(o, name);
    return text && !strcmp(text, "true");
}

int64_t opt_int(const struct opt_set *o, const char *name)
{
    const char *text = opt_text(o, name);
    int64_t i = 0;
    return text && rn_parse_int(&i, text) ? i : 0;
}

double opt_real(const struct opt_set *o, const char *name)
{
    const char *text = opt_text(o, name);
    double x = 0;
    return text && rn_parse_double(&x, text) ? x : 0;
}

int opt_reals(const struct opt_set *o, const char *name, double *out, int max)
{
    const char *text = opt_text(o, name);
    char element[80];
    int count = 0;
    for (; text && count < max && list_element(element, sizeof element, text, count); count++) {
        out[count] = 0;
        rn_parse_double(&out[count], element);
    }
    return count;
}

rn_status opt_three(const struct opt_set *o, const char *name, double out[3])
{
    double x[4];
    const int count = opt_reals(o, name, x, 4);
    if (count != 3) return rn_fail(RN_EUSAGE, "--%s takes three numbers, not %d", name, count);
    memcpy(out, x, 3 * sizeof *out);
    return RN_OK;
}

/* -- all of them ---------------------------------------------------------------------------------- */

static struct rn_value *number_value(enum opt_type type, const char *text)
{
    int64_t i;
    double x;
    if ((type == OPT_INT || type == OPT_INTS) && rn_parse_int(&i, text)) return rn_integer(i);
    return rn_parse_double(&x, text) ? rn_real(x) : rn_string(text);
}

static struct rn_value *list_value(enum opt_type type, const char *text)
{
    struct rn_value *list = rn_list();
    char element[80];
    for (int i = 0; list && list_element(element, sizeof element, text, i); i++)
        if (rn_list_add(list, number_value(type, element))) {
            rn_value_free(list);
            return NULL;
        }
    return list;
}

static struct rn_value *row_value(enum opt_type type, const char *text)
{
    switch (type) {
    case OPT_SWITCH: return rn_boolean(!strcmp(text, "true"));
    case OPT_INT:
    case OPT_REAL: return number_value(type, text);
    case OPT_INTS:
    case OPT_REALS: return list_value(type, text);
    case OPT_TEXT:
    case OPT_CHOICE: break;
    }
    return rn_string(text);
}

struct rn_value *opt_values(const struct opt_set *o)
{
    struct rn_value *dict = rn_dict(true);
    for (size_t i = 0; dict && i < o->rows; i++) {
        if (!o->value[i] || opt_steers(o->row[i])) continue;
        if (rn_dict_set(dict, o->row[i]->name, row_value(o->row[i]->type, o->value[i]))) {
            rn_value_free(dict);
            return NULL;
        }
    }
    return dict;
}

char *opt_conf_text(const struct opt_set *o)
{
    struct rn_text text = { 0 };
    rn_text_add(&text, "# %s, resnet.c %s: settings in force; --config reads this file\n", o->program,
                RN_VERSION);
    for (size_t i = 0; i < o->rows; i++)
        if (o->value[i] && !opt_steers(o->row[i]))
            rn_text_add(&text, "%s = %s\n", o->row[i]->name, o->value[i]);
    if (!rn_text_status(&text)) return text.data;
    rn_text_free(&text);
    return NULL;
}
