/*
 * pickle_read.c - the stack machine of protocol 2, reduced to what torch.save makes it do.
 *
 * Every instruction that is not in step() is refused with its offset, before anything is done.  The
 * stack, the marks, the memo and the nodes are bounded by RN_PICKLE_NODES.
 */
#include "io/pickle.h"

#include "base/mem.h"
#include "base/real.h"
#include "base/text.h"
#include "io/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_LIMIT 256 /* of a module or class; the longest known one has 30 letters */

rn_status rn_pickle_fail(const struct rn_pickle *p, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return rn_fail(RN_EINPUT, "%s: pickle offset %llu: %s", p->path,
                   (unsigned long long)(p->base + p->at), text);
}

void rn_pickle_begin(struct rn_pickle *p, const char *path)
{
    *p = (struct rn_pickle){ .path = path, .persistent = rn_pickle_storage };
}

void rn_pickle_input(struct rn_pickle *p, const unsigned char *data, size_t size, uint64_t base)
{
    p->data = data;
    p->size = size;
    p->base = base;
    p->at = 0;
}

void rn_pickle_end(struct rn_pickle *p)
{
    rn_free(p->node);
    rn_free(p->link);
    rn_free(p->stack);
    rn_free(p->mark);
    rn_free(p->memo);
    rn_free(p->storage);
    rn_free(p->tensor);
    rn_pickle_begin(p, p->path);
}

/* -- nodes, stack, memo ------------------------------------------------------------------------ */

static rn_status room(struct rn_pickle *p, void *array, size_t count, size_t *capacity, size_t item)
{
    if (count >= RN_PICKLE_NODES)
        return rn_pickle_fail(p, "the pickle has more than %zu values", RN_PICKLE_NODES);
    return rn_grow(array, count, capacity, item, RN_PICKLE_NODES);
}

rn_status rn_pickle_node(struct rn_pickle *p, enum rn_node_kind kind, uint32_t *id)
{
    rn_status s = room(p, &p->node, p->nodes, &p->node_room, sizeof *p->node);
    if (s) return s;
    p->node[p->nodes] = (struct rn_node){ .kind = (uint8_t)kind };
    *id = (uint32_t)p->nodes++;
    return RN_OK;
}

rn_status rn_pickle_append(struct rn_pickle *p, uint32_t container, uint32_t item)
{
    rn_status s = room(p, &p->link, p->links, &p->link_room, sizeof *p->link);
    if (s) return s;
    struct rn_node *c = &p->node[container];
    uint32_t link = (uint32_t)p->links++;
    p->link[link] = (struct rn_link){ .node = item };
    if (c->count++) p->link[c->last].next = link;
    else c->first = link;
    c->last = link;
    return RN_OK;
}

size_t rn_pickle_items(const struct rn_pickle *p, uint32_t container, uint32_t *out, size_t max)
{
    const struct rn_node *c = &p->node[container];
    uint32_t link = c->first;
    for (size_t i = 0; i < c->count && i < max; i++, link = p->link[link].next)
        out[i] = p->link[link].node;
    return c->count;
}

static rn_status push(struct rn_pickle *p, uint32_t id)
{
    rn_status s = room(p, &p->stack, p->depth, &p->stack_room, sizeof *p->stack);
    if (!s) p->stack[p->depth++] = id;
    return s;
}

/* Objects above the last mark: only those may an instruction take. */
static size_t available(const struct rn_pickle *p)
{
    return p->depth - (p->marks ? p->mark[p->marks - 1] : 0);
}

static rn_status pop(struct rn_pickle *p, uint32_t *id)
{
    *id = 0;
    if (!available(p)) return rn_pickle_fail(p, "an instruction takes from an empty stack");
    *id = p->stack[--p->depth];
    return RN_OK;
}

/* Takes the last mark away; *from is the stack index of the first object above it. */
static rn_status pop_mark(struct rn_pickle *p, size_t *from)
{
    if (!p->marks) return rn_pickle_fail(p, "an instruction needs a MARK and there is none");
    *from = p->mark[--p->marks];
    return RN_OK;
}

static rn_status put(struct rn_pickle *p, uint32_t slot)
{
    if (slot >= RN_PICKLE_NODES)
        return rn_pickle_fail(p, "memo number %lu; the limit is %zu", (unsigned long)slot,
                              RN_PICKLE_NODES);
    if (!available(p)) return rn_pickle_fail(p, "an instruction takes from an empty stack");
    if (slot >= p->memos) {
        size_t n = RN_MIN(RN_MAX((size_t)slot + 1, 2 * p->memos), RN_PICKLE_NODES);
        uint32_t *grown = rn_realloc(p->memo, p->memos * sizeof *grown, n * sizeof *grown);
        if (!grown) return RN_ENOMEM;
        p->memo = grown;
        p->memos = n;
    }
    p->memo[slot] = p->stack[p->depth - 1] + 1; /* 0 is "not set" */
    return RN_OK;
}

static rn_status get(struct rn_pickle *p, uint32_t slot)
{
    if (slot >= p->memos || !p->memo[slot])
        return rn_pickle_fail(p, "memo number %lu was never set", (unsigned long)slot);
    return push(p, p->memo[slot] - 1);
}

/* -- operands ---------------------------------------------------------------------------------- */

/* The next n bytes of the pickle; *bytes points at them. */
static rn_status take(struct rn_pickle *p, size_t n, const unsigned char **bytes)
{
    *bytes = p->data + p->at;
    if (n > p->size - p->at)
        return rn_pickle_fail(p, "truncated: %zu bytes are needed and %zu are left", n,
                              p->size - p->at);
    p->at += n;
    return RN_OK;
}

static rn_status take_number(struct rn_pickle *p, int bytes, uint32_t *value)
{
    const unsigned char *b;
    rn_status s = take(p, (size_t)bytes, &b);
    if (s) return s;
    *value = 0;
    for (int i = bytes; i-- > 0;) *value = *value << 8 | b[i];
    return RN_OK;
}

/* A line up to its newline, which is passed over. */
static rn_status take_line(struct rn_pickle *p, const char **text, size_t *n)
{
    size_t left = RN_MIN(p->size - p->at, NAME_LIMIT + 1);
    const unsigned char *begin = p->data + p->at, *end = memchr(begin, '\n', left);
    *text = (const char *)begin;
    *n = end ? (size_t)(end - begin) : 0;
    if (!end)
        return rn_pickle_fail(p, "GLOBAL: a name without end, or of more than %d letters",
                              NAME_LIMIT);
    p->at += *n + 1;
    return RN_OK;
}

static rn_status push_int(struct rn_pickle *p, enum rn_node_kind kind, int64_t value)
{
    uint32_t id;
    rn_status s = rn_pickle_node(p, kind, &id);
    if (s) return s;
    p->node[id].as.integer = value;
    return push(p, id);
}

static rn_status push_long(struct rn_pickle *p)
{
    uint32_t n;
    const unsigned char *b;
    rn_status s = take_number(p, 1, &n);
    if (!s && n > 8)
        s = rn_pickle_fail(p, "LONG1: an integer of %lu bytes; the limit is 8", (unsigned long)n);
    if (!s) s = take(p, n, &b);
    if (s) return s;
    uint64_t value = n && (b[n - 1] & 0x80) ? UINT64_MAX : 0; /* sign */
    for (uint32_t i = n; i-- > 0;) value = value << 8 | b[i];
    int64_t signed_value;
    memcpy(&signed_value, &value, sizeof value);
    return push_int(p, RN_NODE_INT, signed_value);
}

static rn_status push_real(struct rn_pickle *p)
{
    uint32_t id;
    const unsigned char *b;
    rn_status s = take(p, 8, &b);
    if (!s) s = rn_pickle_node(p, RN_NODE_REAL, &id);
    if (s) return s;
    uint64_t u = 0;
    for (int i = 0; i < 8; i++) u = u << 8 | b[i]; /* the one big-endian field */
    p->node[id].as.real = rn_double(u);
    return push(p, id);
}

static rn_status push_text(struct rn_pickle *p, int length_bytes)
{
    uint32_t n, id;
    const unsigned char *b;
    rn_status s = take_number(p, length_bytes, &n);
    if (!s) s = take(p, n, &b);
    if (s) return s;
    if (!rn_text_valid((const char *)b, n))
        return rn_pickle_fail(p, "a text that is not UTF-8, or has a zero byte");
    if ((s = rn_pickle_node(p, RN_NODE_TEXT, &id)) != RN_OK) return s;
    p->node[id].count = n;
    p->node[id].as.text = (const char *)b;
    return push(p, id);
}

/* -- containers -------------------------------------------------------------------------------- */

static rn_status push_new(struct rn_pickle *p, enum rn_node_kind kind)
{
    uint32_t id;
    rn_status s = rn_pickle_node(p, kind, &id);
    return s ? s : push(p, id);
}

/* The objects from stack index `from` up become the items of a new tuple in their place. */
static rn_status make_tuple(struct rn_pickle *p, size_t from)
{
    uint32_t id;
    rn_status s = rn_pickle_node(p, RN_NODE_TUPLE, &id);
    for (size_t i = from; i < p->depth && !s; i++) s = rn_pickle_append(p, id, p->stack[i]);
    p->depth = from;
    return s ? s : push(p, id);
}

static rn_status short_tuple(struct rn_pickle *p, size_t n)
{
    if (available(p) < n) return rn_pickle_fail(p, "an instruction takes from an empty stack");
    return make_tuple(p, p->depth - n);
}

static bool hashable(enum rn_node_kind kind)
{
    return kind <= RN_NODE_TEXT || kind == RN_NODE_TUPLE;
}

/* Moves the objects from stack index `from` up into the container below them. */
static rn_status fill(struct rn_pickle *p, size_t from, enum rn_node_kind wanted)
{
    size_t floor = p->marks ? p->mark[p->marks - 1] : 0;
    if (from <= floor) return rn_pickle_fail(p, "an instruction takes from an empty stack");
    uint32_t container = p->stack[from - 1];
    if (p->node[container].kind != wanted)
        return rn_pickle_fail(p, wanted == RN_NODE_LIST
                                     ? "items are appended to what is not a list"
                                     : "keys are set in what is not a dictionary");
    if (wanted == RN_NODE_DICT && (p->depth - from) % 2)
        return rn_pickle_fail(p, "SETITEMS: a key without a value");
    rn_status s = RN_OK;
    for (size_t i = from; i < p->depth && !s; i++) {
        uint32_t id = p->stack[i];
        if (wanted == RN_NODE_DICT && (i - from) % 2 == 0 && !hashable(p->node[id].kind))
            return rn_pickle_fail(p, "a dictionary's key is neither text, number, None nor tuple");
        s = rn_pickle_append(p, container, id);
    }
    p->depth = from;
    return s;
}

static rn_status fill_from_mark(struct rn_pickle *p, enum rn_node_kind wanted)
{
    size_t from = 0;
    rn_status s = pop_mark(p, &from);
    return s ? s : fill(p, from, wanted);
}

static rn_status fill_top(struct rn_pickle *p, size_t n, enum rn_node_kind wanted)
{
    if (available(p) < n) return rn_pickle_fail(p, "an instruction takes from an empty stack");
    return fill(p, p->depth - n, wanted);
}

/* -- objects ----------------------------------------------------------------------------------- */

static rn_status push_global(struct rn_pickle *p)
{
    const char *module, *name;
    size_t m, n;
    uint32_t id;
    rn_status s = take_line(p, &module, &m);
    if (!s) s = take_line(p, &name, &n);
    if (!s) s = rn_pickle_global(p, module, m, name, n, &id);
    return s ? s : push(p, id);
}

static rn_status push_persistent(struct rn_pickle *p)
{
    uint32_t id, object;
    rn_status s = pop(p, &id);
    if (!s) s = p->persistent(p, id, &object);
    return s ? s : push(p, object);
}

/* REDUCE and NEWOBJ: callee and arguments give way to the record that a call makes. */
static rn_status reduce(struct rn_pickle *p)
{
    uint32_t args, callee, result;
    rn_status s = pop(p, &args);
    if (!s) s = pop(p, &callee);
    if (!s) s = rn_pickle_call(p, callee, args, &result);
    return s ? s : push(p, result);
}

static rn_status build(struct rn_pickle *p)
{
    uint32_t state, object;
    rn_status s = pop(p, &state);
    if (!s) s = pop(p, &object);
    if (!s) s = rn_pickle_build(p, object, state);
    return s ? s : push(p, object);
}

static rn_status push_mark(struct rn_pickle *p)
{
    rn_status s = room(p, &p->mark, p->marks, &p->mark_room, sizeof *p->mark);
    if (!s) p->mark[p->marks++] = (uint32_t)p->depth;
    return s;
}

/* One instruction whose opcode was read; BINPUT and BINGET have one byte of operand, their LONG_
 * forms four. */
static rn_status step(struct rn_pickle *p, unsigned char opcode)
{
    rn_status s;
    uint32_t n;
    size_t from = 0;
    switch (opcode) {
    case 'N': return push_new(p, RN_NODE_NONE);
    case 0x88: return push_int(p, RN_NODE_BOOL, 1);
    case 0x89: return push_int(p, RN_NODE_BOOL, 0);
    case 'K': return (s = take_number(p, 1, &n)) ? s : push_int(p, RN_NODE_INT, n);
    case 'M': return (s = take_number(p, 2, &n)) ? s : push_int(p, RN_NODE_INT, n);
    case 'J': return (s = take_number(p, 4, &n)) ? s
        : push_int(p, RN_NODE_INT, (int64_t)n - ((int64_t)(n >> 31) << 32));
    case 0x8a: return push_long(p);
    case 'G': return push_real(p);
    case 'X': return push_text(p, 4);
    case 'T': return push_text(p, 4); /* Python 2's str */
    case 'U': return push_text(p, 1);
    case ']': return push_new(p, RN_NODE_LIST);
    case '}': return push_new(p, RN_NODE_DICT);
    case ')': return push_new(p, RN_NODE_TUPLE);
    case 0x85: return short_tuple(p, 1);
    case 0x86: return short_tuple(p, 2);
    case 0x87: return short_tuple(p, 3);
    case '(': return push_mark(p);
    case 't': return (s = pop_mark(p, &from)) ? s : make_tuple(p, from);
    case 'a': return fill_top(p, 1, RN_NODE_LIST);
    case 'e': return fill_from_mark(p, RN_NODE_LIST);
    case 's': return fill_top(p, 2, RN_NODE_DICT);
    case 'u': return fill_from_mark(p, RN_NODE_DICT);
    case 'q': return (s = take_number(p, 1, &n)) ? s : put(p, n);
    case 'r': return (s = take_number(p, 4, &n)) ? s : put(p, n);
    case 'h': return (s = take_number(p, 1, &n)) ? s : get(p, n);
    case 'j': return (s = take_number(p, 4, &n)) ? s : get(p, n);
    case 'c': return push_global(p);
    case 'Q': return push_persistent(p);
    case 'R': case 0x81: return reduce(p);
    case 'b': return build(p);
    default: return rn_pickle_fail(p, "opcode 0x%02x is not one that torch.save writes", opcode);
    }
}

rn_status rn_pickle_run(struct rn_pickle *p, uint32_t *root)
{
    const unsigned char *b;
    p->depth = p->marks = 0;
    if (p->memo) memset(p->memo, 0, p->memos * sizeof *p->memo);
    rn_status s = take(p, 2, &b);
    if (s) return s;
    if (b[0] != 0x80 || b[1] != 2) {
        p->at -= 2;
        return rn_pickle_fail(p, "bytes %02x %02x where a pickle of protocol 2 (80 02) must begin",
                              b[0], b[1]);
    }
    for (;;) {
        if ((s = take(p, 1, &b)) != RN_OK) return s;
        if (b[0] == '.') break;
        if ((s = step(p, b[0])) != RN_OK) return s;
    }
    if (p->depth != 1 || p->marks)
        return rn_pickle_fail(p, "STOP with %zu objects on the stack", p->depth);
    *root = p->stack[0];
    return RN_OK;
}
