/*
 * json.c - the JSON files of a run folder, with the digits of their numbers as they stand there; and
 * what the report expects of each.
 */
#include "tools/report/report.h"

#include "base/file.h"
#include "base/mem.h"
#include "io/io.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define JSON_LIMIT ((size_t)64 << 20)
#define LARGEST_MATRIX 4096 /* classes */

rn_status report_json_read(struct report_json *j, const char *folder, const char *name)
{
    unsigned char *text = NULL;
    size_t bytes;
    if (!(j->path = rn_path_join(folder, name))) return RN_ENOMEM;
    if (!rn_path_exists(j->path)) {
        snprintf(j->why, sizeof j->why, "there is no %s", name);
        return RN_OK;
    }
    rn_status st = rn_file_read(&text, &bytes, j->path, JSON_LIMIT);
    j->text = (char *)text;
    if (!st) st = rn_json_parse(&j->root, j->text, bytes, j->path);
    if (!st && j->root->kind != RN_DICT) st = rn_fail(RN_EINPUT, "%s: it is not one JSON object", j->path);
    return st;
}

void report_json_free(struct report_json *j)
{
    rn_value_free(j->root);
    rn_free(j->text);
    rn_free(j->path);
    *j = (struct report_json){ 0 };
}

static bool is_number(const struct rn_value *v) { return v && (v->kind == RN_INT || v->kind == RN_REAL); }

const char *report_digits(char out[REPORT_DIGITS], double *x, const struct report_json *j, const struct rn_value *v)
{
    *x = NAN;
    if (!is_number(v) || v->length >= REPORT_DIGITS) return strcpy(out, "N/A");
    *x = v->kind == RN_INT ? (double)v->integer : v->real;
    memcpy(out, j->text + v->at, v->length);
    out[v->length] = '\0';
    return out;
}

const char *report_number(char out[REPORT_DIGITS], double *x, const struct report_json *j, const struct rn_value *dict,
                          const char *key)
{
    return report_digits(out, x, j, dict ? rn_dict_get(dict, key) : NULL);
}

const char *report_string(const struct rn_value *dict, const char *key)
{
    const struct rn_value *v = dict ? rn_dict_get(dict, key) : NULL;
    return v && v->kind == RN_STRING ? v->text : NULL;
}

/* -- what must be there ------------------------------------------------------------------------ */

static rn_status lacks(const struct report_json *j, const char *key, const char *what)
{
    return rn_fail(RN_EINPUT, "%s: \"%s\" is not %s", j->path, key, what);
}

static bool is_list(const struct rn_value *v) { return v && v->kind == RN_LIST; }

/* A list of as many items, each a count from 0 on. */
static bool counts(const struct rn_value *v, size_t length)
{
    if (!is_list(v) || v->count != length) return false;
    for (size_t i = 0; i < length; i++) {
        const struct rn_value *n = v->item[i];
        if (n->kind != RN_INT || n->integer < 0 || n->integer > (int64_t)1 << 40) return false;
    }
    return true;
}

static rn_status need_numbers(const struct report_json *j, const struct rn_value *dict, const char *const *key,
                              size_t keys)
{
    for (size_t i = 0; i < keys; i++)
        if (!is_number(rn_dict_get(dict, key[i]))) return lacks(j, key[i], "a number");
    return RN_OK;
}

rn_status report_check_evaluation(const struct report_json *j)
{
    static const char *const number[] = { "count", "correct", "top1", "top5", "loss" };
    const struct rn_value *names = rn_dict_get(j->root, "classes"), *rows = rn_dict_get(j->root, "confusion");
    const struct rn_value *bins = rn_dict_get(j->root, "reliability");
    if (!is_list(names) || names->count < 2) return lacks(j, "classes", "a list of two names or more");
    for (size_t i = 0; i < names->count; i++)
        if (names->item[i]->kind != RN_STRING) return lacks(j, "classes", "a list of names");
    if (!is_list(rows) || rows->count != names->count || rows->count > LARGEST_MATRIX)
        return lacks(j, "confusion", "a row for each class");
    for (size_t i = 0; i < rows->count; i++)
        if (!counts(rows->item[i], rows->count)) return lacks(j, "confusion", "a matrix of counts");
    for (size_t i = 0; is_list(bins) && i < bins->count; i++)
        if (bins->item[i]->kind != RN_DICT) return lacks(j, "reliability", "a list of bins");
    if (!report_string(j->root, "split")) return lacks(j, "split", "a name");
    return need_numbers(j, j->root, number, RN_COUNT(number));
}

rn_status report_check_bench(const struct report_json *j)
{
    static const char *const number[] = { "batch", "mean_ms", "std_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms",
                                          "max_ms", "images_per_second", "gflops", "peak_gflops_measured",
                                          "peak_rss_mb", "image_size", "threads" };
    const struct rn_value *results = rn_dict_get(j->root, "results"), *bars;
    if (!is_list(results) || !results->count || results->count > BENCH_SIZES)
        return lacks(j, "results", "a list of 1 to 64 results");
    for (size_t i = 0; i < results->count; i++) {
        const struct rn_value *r = results->item[i];
        if (r->kind != RN_DICT) return lacks(j, "results", "a list of objects");
        rn_status st = need_numbers(j, r, number, RN_COUNT(number));
        if (st) return st;
        const struct rn_value *batch = rn_dict_get(r, "batch");
        if (batch->kind != RN_INT || batch->integer < 1) return lacks(j, "batch", "a number of images");
        if ((bars = rn_dict_get(r, "histogram")) && !counts(bars, BENCH_BARS))
            return lacks(j, "histogram", "a list of 20 counts");
    }
    return is_number(rn_dict_get(j->root, "knee_batch")) ? RN_OK : lacks(j, "knee_batch", "a number");
}

/* Base64 and nothing else, for it goes into the page as it is. */
static bool is_base64(const char *text)
{
    return text && *text && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")];
}

rn_status report_check_missed(const struct report_json *j)
{
    const struct rn_value *images = rn_dict_get(j->root, "images");
    if (!is_list(images)) return lacks(j, "images", "a list");
    for (size_t i = 0; i < images->count; i++) {
        const struct rn_value *v = images->item[i];
        if (v->kind != RN_DICT || !is_base64(report_string(v, "png"))) return lacks(j, "png", "a picture in base64");
        if (!report_string(v, "label") || !report_string(v, "answer")) return lacks(j, "label", "a name");
    }
    return RN_OK;
}
