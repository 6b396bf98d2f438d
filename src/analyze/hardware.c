/* hardware.c - hardware files. */
#include "analyze/hardware.h"

#include "analyze/text_file.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/threads.h"

#include <stdio.h>
#include <string.h>

#define LEAST 1e-30 /* of a number that is not 0: nothing computed from such is out of range */
#define MOST 1e30

static const struct { const char *name; int bytes; } precision_table[RN_PRECISIONS] = {
    { "fp32", 4 }, { "fp16", 2 }, { "bf16", 2 }, { "int8", 1 }
};
const char *rn_precision_name(enum rn_precision p) { return precision_table[p].name; }
int rn_precision_bytes(enum rn_precision p) { return precision_table[p].bytes; }

const char *rn_memory_level_name(int level)
{
    static const char *const name[RN_MEMORY_LEVELS] = { "l1", "shared", "l2", "l3", "buffer" };
    return name[level];
}

static const char *const key_table[RN_HW_KEYS] = {
    "peak_fp32", "peak_fp16", "peak_bf16", "peak_int8",
    "energy_per_mac_fp32", "energy_per_mac_fp16", "energy_per_mac_bf16", "energy_per_mac_int8",
    "capacity_l1", "capacity_shared", "capacity_l2", "capacity_l3", "capacity_buffer",
    "bandwidth_l1", "bandwidth_shared", "bandwidth_l2", "bandwidth_l3", "bandwidth_buffer",
    "bandwidth",
    "result_bandwidth_l1", "result_bandwidth_shared", "result_bandwidth_l2", "result_bandwidth_l3",
    "result_bandwidth_buffer", "result_bandwidth", "energy_per_byte", "energy_per_op", "idle_power",
    "utilisation", "launch_overhead",
    "overlap", "wavefront", "threads",
    "seed_peak", "seed_schedule", "seed_energy_per_flop", "seed_energy_per_byte", "seed_tile_bytes",
    "seed_tile_buffers", "seed_wavefront_bytes",
};
const char *rn_hardware_key_name(int key) { return key_table[key]; }

double rn_hardware_value(const struct rn_hardware *h, int key, double otherwise)
{
    return h->known[key] ? h->value[key] : otherwise;
}

/* -- reading ------------------------------------------------------------------------------------- */

static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length && strchr(" \t\r", text[length - 1])) length--;
    text[length] = '\0';
    return text;
}

static rn_status read_text(char *out, size_t max, const char *value, const char *where)
{
    if (*out) return rn_fail(RN_EINPUT, "%s stands there twice", where);
    if (strlen(value) >= max) return rn_fail(RN_EINPUT, "%s: longer than %zu bytes", where, max - 1);
    rn_printable(out, max, value, strlen(value));
    return RN_OK;
}

static rn_status read_number(struct rn_hardware *h, int key, const char *value, const char *where)
{
    char shown[60];
    double x;
    if (h->known[key]) return rn_fail(RN_EINPUT, "%s stands there twice", where);
    const bool none_is_fine = key == RN_HW_LAUNCH || key == RN_HW_IDLE || key == RN_HW_WAVEFRONT ||
                              key == RN_HW_ENERGY_OP || key == RN_HW_OVERLAP;
    if (!rn_parse_double(&x, value) || x < 0 || (x == 0 && !none_is_fine))
        return rn_fail(RN_EINPUT, "%s: \"%s\" is not a number above 0", where,
                       rn_printable(shown, sizeof shown, value, strlen(value)));
    if (x > MOST || (x != 0 && x < LEAST))
        return rn_fail(RN_EINPUT, "%s: %s is not between 1e-30 and 1e30", where, value);
    if ((key == RN_HW_UTILISATION || key == RN_HW_OVERLAP) && x > 1)
        return rn_fail(RN_EINPUT, "%s: %s is more than all", where, value);
    if (key == RN_HW_THREADS && (x < 1 || x > RN_MAX_THREADS || x != (double)(int)x))
        return rn_fail(RN_EINPUT, "%s: %s is not a number of threads, 1 to %d", where, value, RN_MAX_THREADS);
    h->value[key] = x;
    h->known[key] = true;
    return RN_OK;
}

static rn_status unknown_key(const char *key, const char *path, int line)
{
    static const char *const text_key[] = { "name", "source", "isa", "numerics" };
    const char *name[RN_HW_KEYS + RN_COUNT(text_key)];
    char shown[60];
    memcpy(name, key_table, sizeof key_table);
    memcpy(name + RN_HW_KEYS, text_key, sizeof text_key);
    const char *nearest = rn_nearest(key, name, RN_COUNT(name));
    return rn_fail(RN_EINPUT, "%s:%d: unknown key \"%s\"%s%s", path, line,
                   rn_printable(shown, sizeof shown, key, strlen(key)), nearest ? "; did you mean " : "",
                   nearest ? nearest : "");
}

static rn_status read_line(struct rn_hardware *h, char *line, const char *path, int number)
{
    char where[320], shown[60];
    char *comment = strchr(line, '#');
    if (comment) *comment = '\0';
    line = trim(line);
    if (!*line) return RN_OK;
    char *equals = strchr(line, '=');
    if (!equals)
        return rn_fail(RN_EINPUT, "%s:%d: \"%s\" is not `key = value`", path, number,
                       rn_printable(shown, sizeof shown, line, strlen(line)));
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    snprintf(where, sizeof where, "%.200s:%d: %.60s", path, number, key);
    if (!strcmp(key, "name")) return read_text(h->name, sizeof h->name, value, where);
    if (!strcmp(key, "source")) return read_text(h->source, sizeof h->source, value, where);
    if (!strcmp(key, "isa")) return read_text(h->isa, sizeof h->isa, value, where);
    if (!strcmp(key, "numerics")) return read_text(h->numerics, sizeof h->numerics, value, where);
    for (int i = 0; i < RN_HW_KEYS; i++)
        if (!strcmp(key, key_table[i])) return read_number(h, i, value, where);
    return unknown_key(key, path, number);
}

rn_status rn_hardware_parse(struct rn_hardware *h, const char *text, size_t length, const char *path)
{
    char *copy = rn_alloc(length + 1);
    rn_status status = copy ? RN_OK : RN_ENOMEM;
    *h = (struct rn_hardware){ .name = "" };
    if (status) return status;
    memcpy(copy, text, length);
    if (memchr(copy, '\0', length)) status = rn_fail(RN_EINPUT, "%s: a zero byte; this is not a text file", path);
    int number = 1;
    for (char *line = copy, *next; !status && line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        status = read_line(h, line, path, number);
    }
    if (!status && !*h->name) status = rn_fail(RN_EINPUT, "%s: the key name is missing", path);
    rn_free(copy);
    return status;
}

static rn_status parse(void *into, const char *text, size_t length, const char *path)
{
    return rn_hardware_parse(into, text, length, path);
}

rn_status rn_hardware_read(struct rn_hardware *h, const char *path) { return rn_text_file(h, path, parse); }
